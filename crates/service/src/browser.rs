//! Calls that a browser makes for a page of somebody else.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use connectrpc::ConnectError;

use crate::problem::Problem;

/// Says where the page comes from that makes a call (W3C, Fetch Metadata). Browsers set it, and pages cannot change it.
const SITE: &str = "sec-fetch-site";

/// Refuses what a page of another site has a browser send. Such a page cannot read the answer, but without this it could
/// write and delete secrets through the browser of somebody who reaches the port.
pub(crate) async fn refuse_other_sites(request: Request, next: Next) -> Response {
    let ours = |site: &[u8]| matches!(site, b"none" | b"same-origin");
    if request.headers().get(SITE).is_none_or(|site| ours(site.as_bytes())) {
        return next.run(request).await;
    }
    let problem = Problem::new(
        connectrpc::ErrorCode::PermissionDenied,
        "a page of another site has a browser make this call; call from a program".to_owned(),
    );
    ConnectError::from(problem).into_http_response(request.headers()).map(Body::new).into_response()
}
