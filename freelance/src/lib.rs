//! Freelance clients and servers arrive in a later release; the crate keeps their place in the workspace.
