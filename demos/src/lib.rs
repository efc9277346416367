//! Small programs, one a file.
