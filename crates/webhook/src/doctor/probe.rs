//! Two pods that are made as a dry run, so nothing is stored: what does the API server say to them?

use std::time::{Duration, Instant};

use flyte_secrets_core::annotations::{LABEL, LABEL_VALUE, encode_all};
use flyte_secrets_core::{MountRequirement, Secret};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::api::Reader;
use super::installation::{Installation, Options};
use crate::kubernetes::ONE;

/// The container of the pods that are tried.
const CONTAINER: &str = "probe";
/// Every manager that serves a request adds a variable that begins so (flytekit reads it).
const SERVED: &str = "FLYTE_SECRETS_";
/// The group and key of a secret that exists nowhere.
const NOWHERE: (&str, &str) = ("flyte-secrets-doctor", "not-there");
/// The most bytes of an error's text that are looked at.
const MAX_MESSAGE: usize = 4096;

/// How the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The pod would be stored.
    Admitted {
        /// Whether a secret's variables were added to it.
        served: bool,
        /// Whether the answer warns.
        warned: bool,
    },
    /// It would not.
    Refused {
        /// The HTTP status.
        code: u16,
        /// What the API server says.
        message: String,
    },
    /// There was no answer.
    Silent(String),
}

/// How much longer than the API server we wait.
const GRACE: Duration = Duration::from_secs(3);

/// One try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Try {
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// A pod that asks for nothing, and one that asks for a secret that exists nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) plain: Try,
    pub(super) asking: Try,
}

pub(super) async fn ask(reader: &Reader, installation: &Installation, options: &Options) -> Facts {
    let organization = installation.settings.access.organizations.first().map_or("flyte", String::as_str);
    // One after the other: the first opens the API server's connection, as any pod before would have.
    let plain = attempt(reader, options, &pod(organization, false)).await;
    let asking = match plain.outcome {
        Outcome::Admitted { .. } => attempt(reader, options, &pod(organization, true)).await,
        // What keeps the first one out keeps the second one out too.
        _ => plain.clone(),
    };
    Facts { plain, asking }
}

/// A pod that the strictest Pod Security Standard admits, and ResourceQuotas that want requests and limits.
fn pod(organization: &str, asks: bool) -> Value {
    let request = Secret {
        group: NOWHERE.0.to_owned(),
        key: NOWHERE.1.to_owned(),
        mount_requirement: MountRequirement::ANY,
        ..Secret::default()
    };
    let requests = if asks { vec![request] } else { Vec::new() };
    let annotations: serde_json::Map<String, Value> =
        encode_all(&requests).unwrap_or_default().into_iter().map(|(name, value)| (name, value.into())).collect();
    let amount = json!({"cpu": "1m", "memory": "1Mi"});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "flyte-secrets-doctor-",
            "labels": {
                LABEL: LABEL_VALUE, "organization": organization, "project": "flyte-secrets-doctor", "domain": "doctor",
            },
            "annotations": annotations,
        },
        "spec": {
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": CONTAINER,
                "image": "registry.k8s.io/pause:3.10",
                "resources": {"requests": amount, "limits": amount},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

async fn attempt(reader: &Reader, options: &Options, pod: &Value) -> Try {
    let start = Instant::now();
    let seconds = options.timeout.as_secs().max(1);
    let path = format!("/api/v1/namespaces/{}/pods?dryRun=All&timeout={seconds}s", options.test_namespace);
    // The API server gives up first, and says where it was.
    let outcome = match timeout(options.timeout + GRACE, send(reader, path, pod)).await {
        Ok(Ok(outcome)) => outcome,
        // When its time is over, the API server may end the connection without a word.
        Ok(Err(error)) if start.elapsed() < options.timeout => Outcome::Silent(error.to_string()),
        _ => Outcome::Silent(format!("no answer after {seconds} s (with a longer --timeout it may say why)")),
    };
    Try { outcome, took: start.elapsed() }
}

async fn send(reader: &Reader, path: String, pod: &Value) -> Result<Outcome, kube::Error> {
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Body::from(pod.to_string().into_bytes()))
        .map_err(kube::Error::HttpError)?;
    let answer = reader.client().send(request).await?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ONE).collect().await.map_err(kube::Error::Service)?.to_bytes();
    let document: Value = serde_json::from_slice(&body).unwrap_or_default();
    if head.status.is_success() {
        let warned = head.headers.contains_key(http::header::WARNING);
        return Ok(Outcome::Admitted { served: served(&document), warned });
    }
    let message: String = document["message"].as_str().unwrap_or("no reason given").chars().take(MAX_MESSAGE).collect();
    Ok(Outcome::Refused { code: head.status.as_u16(), message })
}

fn served(pod: &Value) -> bool {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let env = containers.filter(|container| container["name"] == CONTAINER).filter_map(|one| one["env"].as_array());
    env.flatten().filter_map(|variable| variable["name"].as_str()).any(|name| name.starts_with(SERVED))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_that_managers_add_show_that_a_request_is_served() {
        let pod = |env: Value| json!({"spec": {"containers": [{"name": "other"}, {"name": CONTAINER, "env": env}]}});
        assert!(served(&pod(json!([{"name": "A"}, {"name": "FLYTE_SECRETS_DEFAULT_DIR"}]))));
        assert!(!served(&pod(json!([{"name": "A"}]))));
        assert!(!served(&pod(Value::Null)));
    }

    #[test]
    fn the_pod_that_asks_asks_for_one_secret() {
        let requests = |asks| pod("flyte", asks)["metadata"]["annotations"].as_object().unwrap().len();
        assert_eq!((requests(false), requests(true)), (0, 1));
    }
}
