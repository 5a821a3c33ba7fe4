//! What is asked for: a pod, made of requests or read from a file, and Secrets that were given beside it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use data_encoding::BASE64;
use flyte_secrets_core::Secret;
use flyte_secrets_core::annotations::{LABEL, LABEL_VALUE, decode, encode_all};
use flyte_secrets_core::value::SecretValue;
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::args::ExecArgs;
use super::request::parse;
use crate::documents;
use crate::output::Message;

/// What `pyflyte run` takes where nothing is said, and Flyte's only organization.
const CLAIMS: [(&str, &str); 3] = [("organization", "flyte"), ("project", "flytesnacks"), ("domain", "development")];

/// A Secret's values by key.
pub(super) type Values = BTreeMap<String, SecretValue>;

/// What is asked for.
pub(super) enum Asked {
    /// Requests of the command line.
    Requests(Vec<Secret>),
    /// A pod of a file.
    Pod {
        /// As the webhook would get it.
        pod: Value,
        /// Where it stands.
        namespace: Option<String>,
    },
}

/// A Secret of a file.
pub(super) struct Given {
    /// Every namespace, where it names none.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) values: Values,
}

/// What the command line and its files say.
pub(super) struct Input {
    pub(super) asked: Asked,
    pub(super) secrets: Vec<Given>,
}

impl Input {
    pub(super) fn read(args: &ExecArgs) -> Result<Self> {
        let mut requests = Vec::new();
        for (text, number) in args.secrets.iter().zip(1..) {
            requests.push(parse(text).with_context(|| format!("--secret number {number}"))?);
        }
        for (text, number) in args.annotations.iter().zip(1..) {
            requests.push(decode(text).with_context(|| format!("--annotation number {number}"))?);
        }
        let Found { mut pods, secrets } = Found::read(args)?;
        let asked = match (pods.pop(), requests.is_empty()) {
            (None, true) => bail!("nothing is asked for: give --secret GROUP/KEY, or a pod with -f"),
            (None, false) => Asked::Requests(requests),
            (Some(_), false) => bail!("give requests (--secret, --annotation) or a pod (-f), not both"),
            (Some(found), true) => {
                if let Some(other) = pods.pop() {
                    let (one, other) = (other.title, found.title);
                    bail!("one pod is realised at a time; the files hold {one} and {other}");
                }
                Asked::Pod { pod: labelled(found.pod, &found.title, args), namespace: found.namespace }
            }
        };
        Ok(Self { asked, secrets })
    }
}

/// A pod that asks for these.
pub(super) fn pod_for(requests: &[Secret], args: &ExecArgs) -> Result<Value> {
    let annotations: serde_json::Map<String, Value> =
        encode_all(requests)?.into_iter().map(|(name, value)| (name, value.into())).collect();
    let mut labels = json!({LABEL: LABEL_VALUE});
    for ((label, default), given) in CLAIMS.into_iter().zip(claims(args)) {
        labels[label] = given.unwrap_or(default).into();
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "exec", "labels": labels, "annotations": annotations},
        "spec": {"containers": [{"name": "command"}]},
    }))
}

fn claims(args: &ExecArgs) -> [Option<&str>; 3] {
    [args.org.as_deref(), args.project.as_deref(), args.domain.as_deref()]
}

/// A pod of a file, with what the command line says of its place.
fn labelled(mut pod: Value, title: &str, args: &ExecArgs) -> Value {
    if pod["metadata"]["labels"][LABEL] != LABEL_VALUE {
        let message = format!("{title} has no label {LABEL}: \"true\", so in a cluster it would get no secrets");
        Message::Warning { message: &message }.tell(false);
    }
    for ((label, _), given) in CLAIMS.into_iter().zip(claims(args)) {
        if let Some(given) = given {
            pod["metadata"]["labels"][label] = given.into();
        }
    }
    pod
}

struct FoundPod {
    title: String,
    pod: Value,
    namespace: Option<String>,
}

/// What the files hold.
#[derive(Default)]
struct Found {
    pods: Vec<FoundPod>,
    secrets: Vec<Given>,
}

impl Found {
    fn read(args: &ExecArgs) -> Result<Self> {
        let mut found = Self::default();
        for path in &args.files {
            let text = Zeroizing::new(documents::read_input(path)?);
            for mut document in documents::parse(path, &text)? {
                let added = found.add(&mut document.value).with_context(|| documents::display(path));
                document.text.zeroize();
                added?;
            }
        }
        if !args.files.is_empty() && found.pods.is_empty() && found.secrets.is_empty() {
            bail!("no file given with -f holds a pod, an object with a pod template that is known here, or a Secret");
        }
        Ok(found)
    }

    fn add(&mut self, document: &mut Value) -> Result<()> {
        for place in documents::pods(document, "") {
            let pod = document.pointer(&place.pointer).cloned().unwrap_or_default();
            let own = pod["metadata"]["namespace"].as_str().unwrap_or(&place.namespace).to_owned();
            let namespace = Some(own).filter(|namespace| !namespace.is_empty());
            self.pods.push(FoundPod { title: place.title, pod, namespace });
        }
        self.add_secrets(document)
    }

    fn add_secrets(&mut self, object: &mut Value) -> Result<()> {
        match object["kind"].as_str() {
            Some("Secret") => {
                let name = object["metadata"]["name"].as_str().context("a Secret without a name")?.to_owned();
                let namespace = object["metadata"]["namespace"].as_str().filter(|name| !name.is_empty());
                let namespace = namespace.map(str::to_owned);
                let values = values(object).with_context(|| format!("the Secret {name:?}"));
                wipe(object);
                self.secrets.push(Given { namespace, name, values: values? });
                Ok(())
            }
            Some(kind) if kind.ends_with("List") => {
                object["items"].as_array_mut().into_iter().flatten().try_for_each(|item| self.add_secrets(item))
            }
            _ => Ok(()),
        }
    }
}

/// `data` in base64, and `stringData` over it, as the API server does.
fn values(secret: &Value) -> Result<Values> {
    let mut values = Values::new();
    for (key, value) in secret["data"].as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| anyhow!("data.{key} is not base64"))?;
        values.insert(key.clone(), SecretValue::binary(bytes));
    }
    for (key, value) in secret["stringData"].as_object().into_iter().flatten() {
        let text = value.as_str().with_context(|| format!("stringData.{key} must be a string"))?;
        values.insert(key.clone(), SecretValue::text(text.to_owned()));
    }
    Ok(values)
}

/// Overwrites all text of a document.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(elements) => elements.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
