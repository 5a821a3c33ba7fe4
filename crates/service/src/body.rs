//! Bodies of requests that may hold a value: bounded in size, number and time, and wiped when they are dropped.
//!
//! What the libraries copy out of them in between (frames on the wire, a decompressed body, JSON on its way to a message) is theirs
//! and is not wiped.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes};
use connectrpc::{ConnectError, ErrorCode};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The largest body, in bytes: a value of 1 MiB in base64 or with every second character escaped, and room for the rest.
pub(crate) const MAX_BODY: usize = 3 << 20;
/// How long a client may take to send one.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many bodies may be in memory.
#[derive(Clone)]
pub(crate) struct Bodies(Arc<Semaphore>);

impl Bodies {
    pub(crate) fn at_once(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }
}

/// Reads the body as a whole before anybody else does.
pub(crate) async fn keep(State(bodies): State<Bodies>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let read = async {
        let slot = bodies.0.acquire().await.map_err(|_| overloaded())?;
        Ok::<_, ConnectError>((read(body).await?, slot))
    };
    let read = timeout(PATIENCE, read).await.unwrap_or_else(|_| Err(overloaded()));
    match read {
        Ok((body, _slot)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(error) => error.into_http_response(&parts.headers).map(Body::new).into_response(),
    }
}

fn overloaded() -> ConnectError {
    ConnectError::new(ErrorCode::Unavailable, "too many requests at once, or their bodies come too slowly; try again")
}

async fn read(mut body: Body) -> Result<Bytes, ConnectError> {
    let mut whole = Zeroizing::new(Vec::new());
    while let Some(frame) = body.frame().await {
        let broken = |_| ConnectError::new(ErrorCode::Canceled, "the request's body ended early");
        let Ok(mut data) = frame.map_err(broken)?.into_data() else { continue };
        let needed = whole.len() + data.remaining();
        if needed > MAX_BODY {
            let message = format!("the request is larger than {MAX_BODY} bytes; a value has at most 1 MiB");
            return Err(ConnectError::new(ErrorCode::ResourceExhausted, message));
        }
        if needed > whole.capacity() {
            // A vector that grows by itself would leave what it held behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two().max(4096)));
            larger.extend_from_slice(&whole);
            whole = larger;
        }
        while data.has_remaining() {
            let length = data.chunk().len();
            whole.extend_from_slice(data.chunk());
            data.advance(length);
        }
    }
    Ok(Bytes::from_owner(whole))
}
