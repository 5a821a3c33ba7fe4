//! Azure Key Vault to write to: the vault in memory of the stores' tests, behind the hosts that the harness plays.

#[path = "../../../crates/stores/tests/azure_write/vault.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod vault;

use std::sync::Arc;

use axum::response::Response;
use http::request::Parts;
use serde_json::{Value, json};

use crate::harness::azure::{self, Azure, VAULT};
use vault::Vault;

/// A request as the vault sees it.
pub(super) struct Seen {
    method: String,
    target: String,
    parts: Parts,
    body: Vec<u8>,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.parts.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What the vault answers.
pub(super) struct Reply {
    status: u16,
    body: Value,
}

impl Reply {
    fn new(status: u16, body: Value) -> Self {
        Self { status, body }
    }
}

fn problem(status: u16, code: &str, message: &str, inner: Option<&str>) -> Reply {
    let inner = inner.map(|code| json!({"code": code}));
    Reply::new(status, json!({"error": {"code": code, "message": message, "innererror": inner}}))
}

fn answer(vault: &Vault, parts: &Parts, body: &[u8]) -> Response {
    let target = parts.uri.path_and_query().unwrap().to_string();
    let method = parts.method.to_string();
    let reply = vault.answer(&Seen { method, target, parts: parts.clone(), body: body.to_vec() });
    azure::body(reply.status.try_into().unwrap(), &reply.body)
}

/// An empty vault, and what is behind its hosts.
pub(super) async fn key_vault() -> (Azure, Arc<Vault>) {
    let vault = Arc::new(Vault::default());
    let asked = Arc::clone(&vault);
    (Azure::with(move |parts, body| answer(&asked, parts, body)).await, vault)
}
