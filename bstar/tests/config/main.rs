//! What `bstar` says of a configuration: of wrong ones, one line each, and of its own examples.

mod bad_files;
mod bad_flags;
mod bad_tables;
mod examples;
mod rig;
