//! One request whose answer may hold secrets: bounded in size, never logged, wiped.

use axum::body::Bytes;
use http::Request;
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::{Status, request};
use zeroize::Zeroizing;

/// The largest answer with one object, in bytes: a full Secret (1 MiB of data in base64) with all its metadata.
pub(crate) const ONE: usize = 4 << 20;
/// The largest page of a list, in bytes.
pub(crate) const PAGE: usize = 64 << 20;

/// Sends `request`; the answer's body if it is a success.
///
/// `kube::Api` and `Client::request` write an answer that they cannot read into the log as a whole. Here nothing is
/// logged, and what we hold of either body is wiped.
pub(crate) async fn exchange(
    client: &Client,
    request: Result<Request<Vec<u8>>, request::Error>,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, kube::Error> {
    let wiped = |body: Vec<u8>| Body::from(Bytes::from_owner(Zeroizing::new(body)));
    let answer = client.send(request.map_err(kube::Error::BuildRequest)?.map(wiped)).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), limit).collect().await.map_err(kube::Error::Service)?;
    let body = Zeroizing::new(Vec::from(body.to_bytes()));
    if status.is_success() {
        return Ok(body);
    }
    // What is no Status comes from something in between, and is not worth repeating.
    let status = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| {
        Status::failure("the answer is no Status of Kubernetes", "Unknown").with_code(status.as_u16())
    });
    Err(kube::Error::Api(status.boxed()))
}
