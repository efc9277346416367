//! A server on axum, as one half of a pair.
//!
//! ```text
//! cargo run -p bstar --example guard_axum -- primary tcp://127.0.0.1:5003 tcp://127.0.0.1:5004 127.0.0.1:7001
//! cargo run -p bstar --example guard_axum -- backup  tcp://127.0.0.1:5004 tcp://127.0.0.1:5003 127.0.0.1:7002
//! curl http://127.0.0.1:7001/ || curl http://127.0.0.1:7002/
//! ```
//!
//! The node that stands by answers 503, by which load balancers and clients know to try the other. `GET
//! /health` tells a node's state whatever that is; `PUT /health` with a reason says that it is ill, and
//! without one that it is well again; `POST /switchover` hands the service over. A fifth argument is the
//! heartbeat in milliseconds.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bstar::server::{HandleError, Work};
use bstar::{Config, Guard, Handle, Role};
use tokio::sync::oneshot;

/// How long an operator waits for the guard's thread.
const ASK_WITHIN: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (role, local, remote, listen, heartbeat_ms) = match args[..] {
        [role, local, remote, listen] => (role, local, remote, listen, "1000"),
        [role, local, remote, listen, heartbeat_ms] => (role, local, remote, listen, heartbeat_ms),
        _ => return Err("usage: guard_axum ROLE LOCAL REMOTE LISTEN [HEARTBEAT_MS]".into()),
    };
    let role = match role {
        "primary" => Role::Primary,
        "backup" => Role::Backup,
        _ => return Err("the role is primary or backup".into()),
    };
    let heartbeat = Duration::from_millis(heartbeat_ms.parse()?);
    let config = Config::new(role).with_heartbeat(heartbeat)?;

    let guard = Guard::builder(config, local, remote).spawn()?;
    let handle = guard.handle().clone();
    let app = Router::new()
        .route("/", get(move || async move { format!("{role}\n") }))
        // The service is what stands above this, and the pair's own affairs below.
        .route_layer(middleware::from_fn_with_state(handle.clone(), if_active))
        .route("/health", get(health).put(set_health))
        .route("/switchover", post(switch_over))
        .with_state(handle);

    tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()?
        .block_on(async {
            let listener = tokio::net::TcpListener::bind(listen).await?;
            let served = axum::serve(listener, app);
            // A node that has ended serves nobody: whoever supervises this process is to start it anew.
            let ended = tokio::task::spawn_blocking(move || guard.wait());
            tokio::select! {
                served = served.into_future() => Ok(served?),
                ended = ended => Ok(ended??),
            }
        })
}

/// Lets a request through while this node is active, and counts it until it is answered.
async fn if_active(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    match begin(&handle).await {
        Some(_work) => next.run(request).await,
        None => (StatusCode::SERVICE_UNAVAILABLE, "this node stands by\n").into_response(),
    }
}

/// The request is the vote. Nothing here blocks a thread of the runtime.
async fn begin(handle: &Handle) -> Option<Work> {
    if let Some(work) = handle.try_begin() {
        return Some(work);
    }
    let (answer, answered) = oneshot::channel();
    let vote = handle.vote_with(|counted| {
        // Whoever asked may have hung up.
        let _ = answer.send(counted);
    });
    // Too many votes wait already, or the node has ended.
    vote.ok()?;
    answered.await.ok()?.then(|| handle.try_begin()).flatten()
}

async fn health(State(handle): State<Handle>) -> Result<String, Refusal> {
    let status = asked(move || handle.status(ASK_WITHIN)).await?;
    Ok(format!("{:?} fit={}\n", status.state, status.fit))
}

async fn set_health(State(handle): State<Handle>, reason: String) -> Result<(), Refusal> {
    match &reason[..] {
        "" => handle.set_well()?,
        reason => handle.set_ill(reason)?,
    }
    Ok(())
}

async fn switch_over(State(handle): State<Handle>) -> Result<(), Refusal> {
    asked(move || handle.switch_over(ASK_WITHIN)).await
}

/// A question that waits for its answer must not hold up the runtime.
async fn asked<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, HandleError> + Send + 'static,
) -> Result<T, Refusal> {
    let answer = tokio::task::spawn_blocking(ask).await;
    Ok(answer.map_err(|_| HandleError::Ended)??)
}

/// What a node says to an operator whom it does not obey.
struct Refusal(HandleError);

impl From<HandleError> for Refusal {
    fn from(error: HandleError) -> Refusal {
        Refusal(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::CONFLICT, format!("{}\n", self.0)).into_response()
    }
}
