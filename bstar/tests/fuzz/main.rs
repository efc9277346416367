//! What comes from a peer, a client or a server may be anything. Nothing panics on it; what does not
//! parse changes nothing and is no sign of life; and what parses reads the same when it is printed.

mod client;
mod machine;
mod wire;

/// A message: its frames.
type Message = Vec<Vec<u8>>;
