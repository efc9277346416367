//! The client's hosts.
