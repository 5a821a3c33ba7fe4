//! Google's part of writing: etags, filters, pages and version numbers, as its documentation has them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::common::{Answer, Seen};
use crate::error;

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done and answered.
    Good,
    /// It is not done, and the answer is an error.
    Failed,
    /// It is done, and the answer is an error.
    Lost,
    /// The service account has no permission for it.
    Denied,
}

#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    secrets: BTreeMap<String, Stored>,
    changes: u32,
    fates: BTreeMap<String, Fate>,
}

#[derive(Clone)]
struct Stored {
    labels: Value,
    etag: u32,
    versions: Vec<String>,
}

impl Fake {
    /// From here on, calls of this kind (`create`, `addVersion`, …) end like this.
    pub fn let_end(&self, call: &str, fate: Fate) {
        self.0.lock().unwrap().fates.insert(call.to_owned(), fate);
    }

    /// From here on all is well.
    pub fn let_all_be_good(&self) {
        self.0.lock().unwrap().fates.clear();
    }

    /// The labels of a secret.
    pub fn labels(&self, name: &str) -> Option<Value> {
        self.0.lock().unwrap().secrets.get(name).map(|stored| stored.labels.clone())
    }

    /// The values of a secret, oldest first, in base64.
    pub fn versions(&self, name: &str) -> Vec<String> {
        self.0.lock().unwrap().secrets.get(name).map(|stored| stored.versions.clone()).unwrap_or_default()
    }

    /// A secret with these labels and no version.
    pub fn put(&self, name: &str, labels: Value) {
        self.0.lock().unwrap().secrets.insert(name.to_owned(), Stored { labels, etag: 0, versions: Vec::new() });
    }

    pub fn answer(&self, seen: &Seen) -> Answer {
        let call = call(seen);
        let mut state = self.0.lock().unwrap();
        match state.fates.get(call).copied().unwrap_or(Fate::Good) {
            Fate::Good => state.answer(call, seen),
            Fate::Failed => error(503, "UNAVAILABLE", "The service is currently unavailable."),
            Fate::Lost => {
                state.answer(call, seen);
                error(503, "UNAVAILABLE", "The service is currently unavailable.")
            }
            Fate::Denied => error(403, "PERMISSION_DENIED", "Permission denied on resource."),
        }
    }
}

/// Which call a request is.
pub fn call(seen: &Seen) -> &'static str {
    let path = seen.path.split('?').next().unwrap();
    match (seen.method.as_str(), path.ends_with("/secrets"), path.contains("/versions/")) {
        ("POST", true, _) => "create",
        ("GET", true, _) => "list",
        ("POST", ..) => "addVersion",
        ("PATCH", ..) => "update",
        ("DELETE", ..) => "delete",
        ("GET", _, true) if path.ends_with(":access") => "access",
        ("GET", _, true) => "getVersion",
        _ => "get",
    }
}

fn query(seen: &Seen, name: &str) -> Option<String> {
    let (_, query) = seen.path.split_once('?')?;
    let decode = |text: &str| text.replace("%3A", ":").replace("%22", "\"");
    query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(decode)
}

impl State {
    fn answer(&mut self, call: &str, seen: &Seen) -> Answer {
        let path = seen.path.split('?').next().unwrap();
        let name = path.split('/').nth(5).unwrap_or_default().split(':').next().unwrap().to_owned();
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        self.changes += 1;
        let etag = self.changes;
        match call {
            "create" => {
                let name = query(seen, "secretId").unwrap();
                if self.secrets.contains_key(&name) {
                    return error(409, "ALREADY_EXISTS", "Secret already exists.");
                }
                let labels = body["labels"].clone();
                self.secrets.insert(name.clone(), Stored { labels, etag, versions: Vec::new() });
                return self.told(&name);
            }
            "list" => return self.list(seen),
            _ => {}
        }
        let Some(stored) = self.secrets.get_mut(&name) else {
            return error(404, "NOT_FOUND", &format!("Secret [{name}] not found."));
        };
        let fits =
            |given: Option<&str>| given.is_none_or(|given| given.is_empty() || given == format!("\"{}\"", stored.etag));
        match call {
            "update" => {
                assert_eq!(query(seen, "updateMask").as_deref(), Some("labels"));
                if !fits(body["etag"].as_str()) {
                    return error(400, "FAILED_PRECONDITION", "The etag does not match.");
                }
                (stored.labels, stored.etag) = (body["labels"].clone(), etag);
                self.told(&name)
            }
            "delete" => {
                if !fits(query(seen, "etag").as_deref()) {
                    return error(400, "FAILED_PRECONDITION", "The etag does not match.");
                }
                self.secrets.remove(&name);
                json_answer(&json!({}))
            }
            "addVersion" => {
                stored.versions.push(body["payload"]["data"].as_str().unwrap().to_owned());
                json_answer(&json!({"name": format!("projects/1/secrets/{name}/versions/{}", stored.versions.len())}))
            }
            "getVersion" | "access" => {
                let wanted = path.rsplit('/').next().unwrap().split(':').next().unwrap();
                let number = wanted.parse().unwrap_or(stored.versions.len());
                match number.checked_sub(1).and_then(|index| stored.versions.get(index)) {
                    None => error(404, "NOT_FOUND", "Secret Version not found."),
                    Some(_) if call == "getVersion" => json_answer(&json!({"name": path, "state": "ENABLED"})),
                    Some(data) => json_answer(&json!({"name": path, "payload": {"data": data}})),
                }
            }
            _ => self.told(&name),
        }
    }

    fn told(&self, name: &str) -> Answer {
        json_answer(&self.secret(name))
    }

    fn secret(&self, name: &str) -> Value {
        let Stored { labels, etag, .. } = &self.secrets[name];
        let labels = if labels.is_null() { json!({}) } else { labels.clone() };
        json!({"name": format!("projects/1/secrets/{name}"), "labels": labels, "etag": format!("\"{etag}\""),
            "createTime": "2026-01-01T00:00:00Z", "replication": {"automatic": {}}})
    }

    /// Pages of at most 25,000 secrets, whose names hold what the filter says.
    fn list(&self, seen: &Seen) -> Answer {
        let part = query(seen, "filter").unwrap();
        let part = part.strip_prefix("name:").unwrap();
        let (size, token) =
            (query(seen, "pageSize").unwrap().parse().unwrap(), query(seen, "pageToken").unwrap_or_default());
        let mut fitting = self.secrets.keys().filter(|name| name.contains(part) && **name > token).peekable();
        let page: Vec<_> = fitting.by_ref().take(size).collect();
        let next = page.last().filter(|_| fitting.peek().is_some()).map(|name| name.as_str());
        let secrets: Vec<_> = page.iter().map(|name| self.secret(name)).collect();
        json_answer(&json!({"secrets": secrets, "nextPageToken": next.unwrap_or_default()}))
    }
}

fn json_answer(body: &Value) -> Answer {
    Answer::new(200, body).header("content-type", "application/json; charset=UTF-8")
}
