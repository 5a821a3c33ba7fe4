//! The paths that the protocol's annotations declare (`google.api.http`), as calls of Connect with JSON.
//!
//! | | |
//! |---|---|
//! | `POST /secrets/api/v1` | CreateSecret; the body is the message |
//! | `PUT /secrets/api/v1/name/{name}` | UpdateSecret; the body is the message, its `id.name` may be left out |
//! | `GET /secrets/api/v1/name/{name}` | GetSecret; `id.domain`, `id.project` in the query |
//! | `DELETE /secrets/api/v1/name/{name}` | DeleteSecret; the same |
//! | `GET /secrets/api/v1` | ListSecrets; `domain`, `project`, `limit`, `token` in the query |

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use connectrpc::{ConnectError, ConnectRpcService};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Uri, request::Parts};
use http_body_util::BodyExt;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tower::ServiceExt;
use zeroize::Zeroizing;

const SERVICE: &str = "/flyteidl2.secret.SecretService";

/// Query parameters and where they stand in a message: by the names of the protocol and by those of its JSON.
const OF_ONE: &[(&str, &str)] =
    &[("id.organization", "organization"), ("id.domain", "domain"), ("id.project", "project")];
const OF_LIST: &[&str] = &["organization", "domain", "project", "limit", "token"];
const SYSTEM: [&str; 2] = ["include_system_secrets", "includeSystemSecrets"];

type Pairs = Vec<(String, String)>;

/// The paths, over the service that speaks Connect.
pub(crate) fn routes(service: ConnectRpcService) -> Router {
    Router::new()
        .route("/secrets/api/v1", get(list).post(create))
        .route("/secrets/api/v1/name/{name}", get(one).put(update).delete(one))
        .with_state(service)
}

async fn create(State(service): State<ConnectRpcService>, request: Request) -> Response {
    let (parts, body) = match whole(request).await {
        Ok(read) => read,
        Err(error) => return error.into_response_of_json(),
    };
    call(service, "CreateSecret", parts, body).await
}

async fn update(State(service): State<ConnectRpcService>, Path(name): Path<String>, request: Request) -> Response {
    let named = whole(request).await.and_then(|(parts, body)| Ok((parts, with_name(&body, name)?)));
    match named {
        Ok((parts, body)) => call(service, "UpdateSecret", parts, body).await,
        Err(error) => error.into_response_of_json(),
    }
}

/// GetSecret and DeleteSecret.
async fn one(
    State(service): State<ConnectRpcService>,
    Path(name): Path<String>,
    Query(query): Query<Pairs>,
    request: Request,
) -> Response {
    let method = if request.method() == Method::DELETE { "DeleteSecret" } else { "GetSecret" };
    let mut id = Map::from_iter([("name".to_owned(), Value::String(name))]);
    for (parameter, value) in query {
        match OF_ONE.iter().find(|(known, _)| *known == parameter) {
            Some((_, field)) => drop(id.insert((*field).to_owned(), Value::String(value))),
            None if SYSTEM.contains(&parameter.as_str()) => {}
            None => return unknown(&parameter, OF_ONE.iter().map(|(known, _)| *known)).into_response_of_json(),
        }
    }
    call(service, method, request.into_parts().0, bytes(&json!({"id": id}))).await
}

async fn list(State(service): State<ConnectRpcService>, Query(query): Query<Pairs>, request: Request) -> Response {
    let mut message = Map::new();
    for (parameter, value) in query {
        if OF_LIST.contains(&parameter.as_str()) {
            // A number in a text is a number to the JSON of protobuf.
            message.insert(parameter, Value::String(value));
        } else if !SYSTEM.contains(&parameter.as_str()) {
            return unknown(&parameter, OF_LIST.iter().copied()).into_response_of_json();
        }
    }
    call(service, "ListSecrets", request.into_parts().0, bytes(&Value::Object(message))).await
}

/// A misspelt `domain` must not become a question about all domains.
fn unknown<'a>(parameter: &str, known: impl Iterator<Item = &'a str>) -> ConnectError {
    let known: Vec<_> = known.collect();
    let parameter: String = parameter.chars().take(60).collect();
    ConnectError::invalid_argument(format!(
        "the query parameter {parameter:?} is not known; there are {}",
        known.join(", ")
    ))
}

fn bytes(message: &Value) -> Bytes {
    Bytes::from(message.to_string())
}

/// The body, which is in one piece already.
async fn whole(request: Request) -> Result<(Parts, Bytes), ConnectError> {
    let (parts, body) = request.into_parts();
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return Err(ConnectError::invalid_argument("a compressed body is taken over Connect and gRPC only"));
    }
    let body = body.collect().await.map_err(|_| ConnectError::canceled("the request's body ended early"))?;
    Ok((parts, body.to_bytes()))
}

/// The message of an update whose secret is named by the path. Values stay where they are in `body`.
fn with_name(body: &Bytes, name: String) -> Result<Bytes, ConnectError> {
    let unreadable =
        |_| ConnectError::invalid_argument("the body is no message in JSON: {\"id\": {…}, \"secretSpec\": {…}}");
    let mut message: BTreeMap<String, &RawValue> = serde_json::from_slice(body).map_err(unreadable)?;
    let mut id: Map<String, Value> = match message.remove("id") {
        Some(id) => serde_json::from_str(id.get()).map_err(unreadable)?,
        None => Map::new(),
    };
    if let Some(Value::String(other)) = id.get("name")
        && !other.is_empty()
        && *other != name
    {
        return Err(ConnectError::invalid_argument("the path and the body name two secrets"));
    }
    id.insert("name".to_owned(), Value::String(name));
    let id = serde_json::value::to_raw_value(&id).map_err(unreadable)?;
    message.insert("id".to_owned(), &id);
    let mut named = Zeroizing::new(Vec::with_capacity(body.len() + id.get().len() + 64));
    serde_json::to_writer(&mut *named, &message).map_err(unreadable)?;
    Ok(Bytes::from_owner(named))
}

/// Calls the method as a client of Connect would; who asks stays who it is.
async fn call(service: ConnectRpcService, method: &str, mut parts: Parts, body: Bytes) -> Response {
    parts.method = Method::POST;
    parts.uri = Uri::try_from(format!("{SERVICE}/{method}")).expect("a path of letters, dots and slashes is one");
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    parts.headers.remove(CONTENT_LENGTH);
    match service.oneshot(Request::from_parts(parts, Body::from(body))).await {
        Ok(answer) => answer.map(Body::new),
        Err(never) => match never {},
    }
}

/// Errors look alike, whether they come from here or from the call.
trait IntoResponseOfJson {
    fn into_response_of_json(self) -> Response;
}

impl IntoResponseOfJson for ConnectError {
    fn into_response_of_json(self) -> Response {
        (self.http_status(), [(CONTENT_TYPE, "application/json")], self.to_json()).into_response()
    }
}
