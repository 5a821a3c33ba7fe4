//! A Key Vault in memory: what its REST reference says of secrets, versions, deleted secrets and their recovery.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Reply, Seen, VAULT, problem};

/// Items of a page; fewer than are asked for, as Key Vault may.
const PAGE: usize = 3;

#[derive(Default)]
pub struct Vault {
    state: Mutex<State>,
}

type Deed = Box<dyn FnOnce(&Vault) + Send>;

#[derive(Default)]
struct State {
    /// By the name in lower case: Key Vault tells no case.
    secrets: BTreeMap<String, Secret>,
    versions: u64,
    accident: Option<Accident>,
    /// How many sets are refused after a recovery has begun.
    slow_recovery: u32,
    /// Somebody else's deed at the moment when a secret is set.
    other: Option<Deed>,
}

struct Secret {
    name: String,
    versions: Vec<Version>,
    deleted: bool,
    recovering: u32,
}

#[derive(Clone)]
pub struct Version {
    pub id: String,
    pub value: String,
    pub tags: Value,
    pub content_type: Option<String>,
    pub enabled: bool,
    created: u64,
}

/// A request that ends in a failure, before or after it is done.
#[derive(Clone, Copy, Debug)]
pub struct Accident {
    /// The method and the beginning of the path.
    pub request: (&'static str, &'static str),
    /// Whether it is done, and only its answer lost.
    pub done: bool,
}

impl Vault {
    pub fn accident(&self, accident: Accident) {
        self.state.lock().unwrap().accident = Some(accident);
    }

    /// Whether the accident has still not happened; it will not any more.
    pub fn no_accident(&self) -> bool {
        self.state.lock().unwrap().accident.take().is_some()
    }

    pub fn slow_recovery(&self, refusals: u32) {
        self.state.lock().unwrap().slow_recovery = refusals;
    }

    /// Done just before the next secret is set.
    pub fn meanwhile(&self, other: impl FnOnce(&Self) + Send + 'static) {
        self.state.lock().unwrap().other = Some(Box::new(other));
    }

    /// Sets a secret as others do.
    pub fn set(&self, name: &str, version: Value) {
        let body = serde_json::to_vec(&version).unwrap();
        assert_eq!(self.done("PUT", &["secrets", name], &body, 0).status, 200);
    }

    /// Deletes a secret as others do.
    pub fn delete(&self, name: &str) {
        assert_eq!(self.done("DELETE", &["secrets", name], b"", 0).status, 200);
    }

    pub fn versions(&self, name: &str) -> Vec<Version> {
        let state = self.state.lock().unwrap();
        state.secrets.get(&name.to_lowercase()).map(|secret| secret.versions.clone()).unwrap_or_default()
    }

    pub fn answer(&self, seen: &Seen) -> Reply {
        let (path, query) = seen.target.split_once('?').unwrap();
        let skip = query.split('&').find_map(|pair| pair.strip_prefix("skip=")).map_or(0, |skip| skip.parse().unwrap());
        let method = seen.method.as_str();
        if method == "POST" {
            assert_eq!(seen.header("content-length"), "0", "Azure asks for a length");
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let accident = self
            .state
            .lock()
            .unwrap()
            .accident
            .take_if(|accident| method == accident.request.0 && path.starts_with(accident.request.1));
        if method == "PUT" {
            let other = self.state.lock().unwrap().other.take();
            other.into_iter().for_each(|other| other(self));
        }
        match accident {
            None => self.done(method, &parts, &seen.body, skip),
            Some(Accident { done: false, .. }) => problem(503, "ServiceUnavailable", "", None),
            Some(Accident { done: true, .. }) => {
                self.done(method, &parts, &seen.body, skip);
                problem(503, "ServiceUnavailable", "", None)
            }
        }
    }

    fn done(&self, method: &str, parts: &[&str], body: &[u8], skip: usize) -> Reply {
        let mut state = self.state.lock().unwrap();
        match (method, parts) {
            ("GET", ["secrets"]) => state.list(skip),
            ("GET", ["secrets", name]) => state.get(name),
            ("GET", ["secrets", name, "versions"]) => state.list_versions(name, skip),
            ("PUT", ["secrets", name]) => state.put(name, &serde_json::from_slice(body).unwrap()),
            ("DELETE", ["secrets", name]) => state.remove(name),
            ("GET", ["deletedsecrets", name]) => match state.deleted(name) {
                Some(secret) => Reply::new(200, item(secret, secret.versions.last().unwrap(), true)),
                None => missing(name),
            },
            ("POST", ["deletedsecrets", name, "recover"]) => state.recover(name),
            _ => problem(400, "BadParameter", "no such operation", None),
        }
    }
}

impl State {
    fn live(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(&name.to_lowercase()).filter(|secret| !secret.deleted)
    }

    fn deleted(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(&name.to_lowercase()).filter(|secret| secret.deleted)
    }

    fn get(&self, name: &str) -> Reply {
        let Some(secret) = self.live(name) else { return missing(name) };
        let latest = secret.versions.last().unwrap();
        if !latest.enabled {
            return problem(
                403,
                "Forbidden",
                "Operation get is not allowed on a disabled secret.",
                Some("SecretDisabled"),
            );
        }
        let mut bundle = item(secret, latest, true);
        bundle["value"] = json!(latest.value);
        Reply::new(200, bundle)
    }

    fn list(&self, skip: usize) -> Reply {
        let live = self.secrets.values().filter(|secret| !secret.deleted);
        page("secrets", live.map(|secret| item(secret, secret.versions.last().unwrap(), false)).collect(), skip)
    }

    fn list_versions(&self, name: &str, skip: usize) -> Reply {
        let secret = self.live(name);
        // In the order of their ids, which says nothing.
        let mut all: Vec<Value> = secret
            .into_iter()
            .flat_map(|secret| secret.versions.iter().map(|version| item(secret, version, true)))
            .collect();
        all.sort_by_key(|version| version["id"].to_string());
        page(&format!("secrets/{name}/versions"), all, skip)
    }

    fn put(&mut self, name: &str, body: &Value) -> Reply {
        if body["value"].as_str().unwrap().len() > 25_600
            || body["tags"].as_object().is_some_and(|tags| tags.len() > 15)
        {
            return problem(400, "BadParameter", &format!("too long: {}", body["value"]), None);
        }
        let key = name.to_lowercase();
        if let Some(secret) = self.secrets.get_mut(&key) {
            if secret.deleted {
                return problem(409, "Conflict", "deleted but recoverable", Some("ObjectIsDeletedButRecoverable"));
            }
            if secret.recovering > 0 {
                secret.recovering -= 1;
                return problem(409, "Conflict", "being recovered", Some("ObjectIsBeingRecovered"));
            }
        }
        self.versions += 1;
        let version = Version {
            // Ids are random: a later version does not sort behind.
            id: format!("{:032x}", u128::from(self.versions.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
            value: body["value"].as_str().unwrap().to_owned(),
            tags: body["tags"].clone(),
            content_type: body["contentType"].as_str().map(str::to_owned),
            enabled: body["attributes"]["enabled"].as_bool().unwrap_or(true),
            created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
        };
        let new = || Secret { name: name.to_owned(), versions: Vec::new(), deleted: false, recovering: 0 };
        let secret = self.secrets.entry(key).or_insert_with(new);
        secret.versions.push(version);
        Reply::new(200, item(secret, secret.versions.last().unwrap(), true))
    }

    fn remove(&mut self, name: &str) -> Reply {
        match self.secrets.get_mut(&name.to_lowercase()).filter(|secret| !secret.deleted) {
            Some(secret) => {
                secret.deleted = true;
                Reply::new(200, item(secret, secret.versions.last().unwrap(), true))
            }
            None => missing(name),
        }
    }

    fn recover(&mut self, name: &str) -> Reply {
        let refusals = self.slow_recovery;
        match self.secrets.get_mut(&name.to_lowercase()).filter(|secret| secret.deleted) {
            Some(secret) => {
                (secret.deleted, secret.recovering) = (false, refusals);
                Reply::new(200, item(secret, secret.versions.last().unwrap(), true))
            }
            None => missing(name),
        }
    }
}

fn item(secret: &Secret, version: &Version, with_version: bool) -> Value {
    let end = if with_version { format!("/{}", version.id) } else { String::new() };
    let mut item = json!({
        "id": format!("https://{VAULT}/secrets/{}{end}", secret.name),
        "attributes": {"enabled": version.enabled, "created": version.created, "updated": version.created},
        "tags": version.tags,
    });
    if let Some(content_type) = &version.content_type {
        item["contentType"] = json!(content_type);
    }
    item
}

fn page(path: &str, items: Vec<Value>, skip: usize) -> Reply {
    let next = (skip + PAGE < items.len())
        .then(|| format!("https://{VAULT}/{path}?api-version=2025-07-01&skip={}", skip + PAGE));
    let items: Vec<Value> = items.into_iter().skip(skip).take(PAGE).collect();
    Reply::new(200, json!({"value": items, "nextLink": next}))
}

fn missing(name: &str) -> Reply {
    problem(404, "SecretNotFound", &format!("A secret with (name/id) {name} was not found in this key vault."), None)
}
