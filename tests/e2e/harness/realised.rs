//! A stored pod's container `main` without a kubelet: what the kubelet would give it, read from the API server.
//!
//! What stands in for the kubelet is this file: variables with their `$(NAME)`, and the volumes that secrets come in. The
//! container's root is a folder of this host; paths below [`SECRETS_DIR`] lead into that folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Namespace;
use super::pod::container;

/// Where files of secrets are.
pub(crate) const SECRETS_DIR: &str = "/etc/flyte/secrets";

/// A container's variables and files.
pub(crate) struct Realised {
    pub(crate) env: BTreeMap<String, String>,
    root: TempDir,
}

impl Realised {
    /// The container `main` of a stored pod.
    pub(crate) async fn main(namespace: &Namespace, pod: &Value) -> Self {
        let root = TempDir::with_prefix("fs-root-").unwrap();
        let mut realised = Self { env: BTreeMap::new(), root };
        let main = container(pod, "main");
        for mount in items(&main["volumeMounts"]) {
            let volume = items(&pod["spec"]["volumes"]).find(|volume| volume["name"] == mount["name"]).unwrap();
            realised.mount(namespace, volume, text(&mount["mountPath"])).await;
        }
        realised.env = realised.variables(namespace, main).await;
        realised
    }

    /// A job of this container.
    pub(crate) fn run(&self, mut job: Value) -> Value {
        let mut env = self.env.clone();
        // What an image brings.
        env.extend([("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("HOME".to_owned(), self.path("/root"))]);
        job["env"] = json!(env);
        job
    }

    /// The result of a job with the paths that the container would have seen.
    pub(crate) fn seen(&self, result: &Value) -> Value {
        serde_json::from_str(&result.to_string().replace(self.root.path().to_str().unwrap(), "")).unwrap()
    }

    /// The place on this host of a path of the container.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.root.path().display())
    }

    /// A text in which paths of secrets lead into this root.
    pub(crate) fn rooted(&self, text: &str) -> String {
        text.replace(SECRETS_DIR, &self.path(SECRETS_DIR))
    }

    /// The variables of a container of the same pod.
    pub(crate) async fn variables(&self, namespace: &Namespace, container: &Value) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for variable in items(&container["env"]) {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            let value = if reference.is_null() {
                Some(self.rooted(&expand(variable["value"].as_str().unwrap_or_default(), &env)))
            } else {
                let data = secret(namespace, &reference["name"]).await;
                data.get(text(&reference["key"])).map(|value| String::from_utf8(value.clone()).unwrap())
            };
            env.extend(value.map(|value| (text(&variable["name"]).to_owned(), value)));
        }
        env
    }

    async fn mount(&self, namespace: &Namespace, volume: &Value, at: &str) {
        let folder = PathBuf::from(self.path(at));
        fs::create_dir_all(&folder).unwrap();
        let one = [volume["secret"].clone()];
        let sources: Vec<_> = items(&volume["projected"]["sources"]).map(|source| source["secret"].clone()).collect();
        for source in one.iter().chain(&sources).filter(|source| !source.is_null()) {
            let name = if source["secretName"].is_null() { &source["name"] } else { &source["secretName"] };
            write_items(&folder, source, &secret(namespace, name).await);
        }
    }
}

/// Writes the keys of a Secret that a volume wants.
fn write_items(folder: &Path, source: &Value, data: &BTreeMap<String, Vec<u8>>) {
    for item in items(&source["items"]) {
        let Some(value) = data.get(text(&item["key"])) else {
            assert_eq!(source["optional"], true, "{source}");
            continue;
        };
        let file = folder.join(text(&item["path"]));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, value).unwrap();
    }
}

/// The data of a Secret; none if it is not there.
async fn secret(namespace: &Namespace, name: &Value) -> BTreeMap<String, Vec<u8>> {
    let found = namespace.api.get(&format!("{}/{}", namespace.path("secrets"), text(name))).await;
    let data = found.map(|secret| secret["data"].clone()).unwrap_or_default();
    let data = data.as_object().into_iter().flatten();
    data.map(|(key, value)| (key.clone(), BASE64.decode(text(value).as_bytes()).unwrap())).collect()
}

/// What the kubelet makes of a value: `$(NAME)` is replaced where that variable is there, `$$` stands for `$`.
pub(crate) fn expand(value: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let reference = after.strip_prefix('(').and_then(|text| text.split_once(')'));
        rest = match (after.strip_prefix('$'), reference.and_then(|(name, then)| Some((env.get(name)?, then)))) {
            (Some(then), _) => {
                out.push('$');
                then
            }
            (None, Some((value, then))) => {
                out.push_str(value);
                then
            }
            (None, None) => {
                out.push('$');
                after
            }
        };
    }
    out + rest
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
