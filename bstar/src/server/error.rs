//! What can go wrong with a node of a pair.

use std::time::Duration;

use super::store::StoreError;
use crate::core::{PromoteError, StepBackError};
use reactor::EndpointError;

/// Why a node could not be attached to a reactor. Nothing of it remains there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An endpoint is not one.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// An endpoint cannot be bound.
    #[error("cannot bind {endpoint}: {error}{}", hint(*error))]
    Bind {
        /// The endpoint.
        endpoint: String,
        /// What libzmq says.
        error: zmq::Error,
    },
    /// An endpoint cannot be connected to.
    #[error("cannot connect to {endpoint}: {error}")]
    Connect {
        /// The endpoint.
        endpoint: String,
        /// What libzmq says.
        error: zmq::Error,
    },
    /// The state link leads nowhere outside this process.
    #[error("the state link cannot be inproc: the two nodes of a pair are two processes")]
    InprocLink,
    /// A proof of death was asked for without the peer's front ends, or with too many.
    #[error("a proof of death needs all front ends of the peer: name 1 to {0}")]
    PeerFrontends(usize),
    /// The grace for a restart is too long.
    #[error("a restart grace of {0:?} is too long: it goes to 24 hours")]
    RestartGrace(Duration),
    /// A proof of death was asked for of a peer that is named, or has no TCP port.
    #[error(
        "a proof of death needs numeric addresses, since a name may lead elsewhere: write {0} as \
         for example tcp://192.0.2.1:5003"
    )]
    NotNumeric(String),
    /// There are no voters, so the node could never be asked to take over.
    #[error("a node needs a front end whose requests vote: add one, or say that there is none")]
    NoVoter,
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The system has no random numbers.
    #[error("no random numbers for the incarnation: {0}")]
    Random(String),
    /// A socket could not be made.
    #[error("cannot make a socket: {0}")]
    Socket(#[from] zmq::Error),
    /// The reactor refused.
    #[error(transparent)]
    Reactor(#[from] reactor::Error),
}

/// Why a question to a node was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The node does not step back.
    #[error(transparent)]
    StepBack(#[from] StepBackError),
    /// The node is not promoted.
    #[error(transparent)]
    Promote(#[from] PromoteError),
    /// The node's thread did not come round to it. Whether it will is unknown.
    #[error("the node did not answer within {0:?}")]
    Timeout(Duration),
    /// Too many questions wait already. Nothing was asked.
    #[error("too many questions wait for this node")]
    Full,
    /// The node is gone.
    #[error("the node has ended")]
    Ended,
}

/// What to do about it, where that is known.
fn hint(error: zmq::Error) -> &'static str {
    match error {
        zmq::Error::EADDRINUSE => "; another process has it: end that one, or choose another",
        zmq::Error::EADDRNOTAVAIL | zmq::Error::ENODEV => {
            "; give an address or an interface of this machine, or *"
        }
        _ => "",
    }
}
