//! The webhook's pods: those that its Service selects.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Reader, core, could_not_look, object, place};
use super::finding::Finding;
use super::ids::Id;
use super::installation::Installation;
use super::selector::{Labels, selects};
use crate::kubernetes::{ApiError, Object};
use crate::registration::Endpoint;

/// A pod that has restarted more often than this is said to.
const RESTARTS: u64 = 5;

/// What was seen.
pub(super) enum Facts {
    /// The registration leads to a URL.
    Elsewhere,
    /// The Service is not there, or has no selector.
    NoSelector(bool),
    /// The Service's pods, and the PodDisruptionBudgets of their namespace.
    Pods(Vec<Pod>, Result<Vec<Budget>, ApiError>),
}

#[derive(Deserialize)]
struct Service {
    spec: ServiceSpec,
}

#[derive(Deserialize)]
struct ServiceSpec {
    #[serde(default)]
    selector: Labels,
}

/// A pod, as far as it matters: no variable is read.
#[derive(Deserialize)]
pub(super) struct Pod {
    metadata: PodMetadata,
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMetadata {
    name: String,
    #[serde(default)]
    labels: Labels,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct PodSpec {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    image: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    #[serde(default)]
    restart_count: u64,
}

/// A PodDisruptionBudget.
#[derive(Deserialize)]
pub(super) struct Budget {
    #[serde(default)]
    spec: BudgetSpec,
}

#[derive(Default, Deserialize)]
struct BudgetSpec {
    #[serde(default)]
    selector: Value,
}

impl Pod {
    fn ready(&self) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.r#type == "Ready")
    }

    fn is_ready(&self) -> bool {
        self.ready().is_some_and(|condition| condition.status == "True")
    }

    fn images(&self) -> BTreeSet<(&str, &str)> {
        self.spec.containers.iter().map(|one| (one.name.as_str(), one.image.as_str())).collect()
    }

    fn restarts(&self) -> u64 {
        self.status.container_statuses.iter().map(|status| status.restart_count).sum()
    }
}

fn service(installation: &Installation) -> Object {
    core("services", Some(&installation.namespace), &installation.registration.name)
}

pub(super) async fn ask(reader: &Reader, installation: &Installation) -> Result<Facts, ApiError> {
    let Endpoint::Service { namespace, name, .. } = &installation.registration.endpoint else {
        return Ok(Facts::Elsewhere);
    };
    let found: Option<Service> = reader.get(&core("services", Some(namespace), name)).await?;
    let selector = match found {
        Some(Service { spec }) if !spec.selector.is_empty() => spec.selector,
        found => return Ok(Facts::NoSelector(found.is_some())),
    };
    let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let (pods, budgets) =
        (core("pods", Some(namespace), ""), object("policy", "poddisruptionbudgets", Some(namespace), ""));
    let labels = labels.join(",");
    let (pods, budgets) = futures::join!(reader.list(&pods, &labels), reader.list(&budgets, ""));
    Ok(Facts::Pods(pods?, budgets))
}

pub(super) fn judge(installation: &Installation, facts: &Result<Facts, ApiError>) -> Vec<Finding> {
    let at = place(&service(installation));
    let findings = match facts {
        Err(error) => return vec![could_not_look(error)],
        Ok(Facts::Elsewhere) => {
            let what = "the webhook is registered by URL: its replicas are not looked at";
            return vec![Finding::info(Id::ReplicasUnknown, what).at("webhook.url")];
        }
        Ok(Facts::NoSelector(true)) => {
            vec![Finding::info(Id::ReplicasUnknown, "the Service selects no pods: its replicas are not looked at")]
        }
        Ok(Facts::NoSelector(false)) => {
            let remedy = "make the Service, or give webhook.serviceName and --namespace the right names";
            vec![Finding::error(Id::ReplicasNone, "the Service is not there").remedy(remedy)]
        }
        Ok(Facts::Pods(pods, budgets)) => judge_pods(installation, pods, budgets),
    };
    findings.into_iter().map(|finding| if finding.place.is_empty() { finding.at(&at) } else { finding }).collect()
}

fn judge_pods(installation: &Installation, pods: &[Pod], budgets: &Result<Vec<Budget>, ApiError>) -> Vec<Finding> {
    let namespace = &installation.namespace;
    let live: Vec<&Pod> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    if live.is_empty() {
        let remedy = format!("kubectl get deployments,replicasets,events -n {namespace}");
        return vec![Finding::error(Id::ReplicasNone, "there is no pod behind the Service").remedy(remedy)];
    }
    let mut findings = Vec::new();
    let ready = live.iter().filter(|pod| pod.is_ready()).count();
    match ready == live.len() {
        true => findings.push(Finding::ok(Id::ReplicasReady, format!("{ready} of {ready} pods are ready"))),
        false => findings.push(not_ready(&live, ready, namespace)),
    }
    let images: BTreeSet<_> = live.iter().map(|pod| pod.images()).collect();
    if images.len() > 1 {
        let what = format!("the pods run {} different sets of images", images.len());
        let remedy =
            format!("wait for the rolling update, or look at it: kubectl rollout status -n {namespace} deploy");
        findings.push(Finding::warning(Id::ReplicasDiffer, what).remedy(remedy));
    }
    for pod in live.iter().filter(|pod| pod.restarts() > RESTARTS) {
        let name = &pod.metadata.name;
        let what = format!("it has restarted {} times", pod.restarts());
        let remedy = format!("kubectl logs -n {namespace} {name} --previous");
        findings
            .push(Finding::warning(Id::ReplicasRestart, what).at(format!("pods {namespace}/{name}")).remedy(remedy));
    }
    if live.len() == 1 {
        let what = "there is one replica: while it is replaced, pods with secrets are refused";
        findings.push(Finding::info(Id::ReplicasSingle, what).remedy("run two or more"));
    } else {
        findings.extend(budget(&live, budgets));
    }
    findings
}

fn not_ready(live: &[&Pod], ready: usize, namespace: &str) -> Finding {
    let waiting: Vec<String> = live
        .iter()
        .filter(|pod| !pod.is_ready())
        .map(|pod| match pod.ready().and_then(|condition| condition.message.as_deref()) {
            Some(why) => format!("{} ({why})", pod.metadata.name),
            None => pod.metadata.name.clone(),
        })
        .collect();
    let what = format!("{ready} of {} pods are ready; not so: {}", live.len(), waiting.join(", "));
    let remedy = format!("kubectl describe pods -n {namespace}; /readyz on the metrics port says what is missing");
    match ready {
        0 => Finding::error(Id::ReplicasNotReady, what),
        _ => Finding::warning(Id::ReplicasNotReady, what),
    }
    .remedy(remedy)
}

fn budget(live: &[&Pod], budgets: &Result<Vec<Budget>, ApiError>) -> Option<Finding> {
    let budgets = match budgets {
        Ok(budgets) => budgets,
        Err(error) => return Some(could_not_look(error)),
    };
    let labels = &live.first()?.metadata.labels;
    // Without a selector a budget is for no pod; an empty one is for all (policy/v1).
    let covered = budgets.iter().any(|one| !one.spec.selector.is_null() && selects(&one.spec.selector, labels));
    (!covered).then(|| {
        let what = "no PodDisruptionBudget: a drain may end all replicas at once";
        let example = json!({"maxUnavailable": 1, "selector": {"matchLabels": labels}});
        Finding::info(Id::ReplicasNoBudget, what).remedy(format!("a PodDisruptionBudget with the spec {example}"))
    })
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
