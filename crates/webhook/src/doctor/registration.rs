//! The MutatingWebhookConfiguration: is it there, and does it say what it should?

use flyte_secrets_core::SecretManagerType;
use serde_json::Value;

use super::api::{Reader, could_not_look, object, place};
use super::finding::Finding;
use super::ids::Id;
use super::installation::Installation;
use crate::kubernetes::{ApiError, Object};
use crate::registration::{WEBHOOK_NAME, desired};

/// The webhook of HashiCorp's Vault agent injector, whatever its configuration is called.
const VAULT_INJECTOR: &str = "vault.hashicorp.com";
/// Fields without which pods do not reach us, or with which others do.
const ESSENTIAL: [&str; 3] = ["clientConfig", "rules", "objectSelector"];

/// All configurations of the cluster, as far as they could be read.
#[derive(Debug)]
pub(super) struct Configurations {
    /// Ours, by its name.
    pub(super) ours: Result<Option<Value>, ApiError>,
    /// All of them, ours too.
    pub(super) all: Result<Vec<Value>, ApiError>,
}

impl Configurations {
    pub(super) async fn read(reader: &Reader, installation: &Installation) -> Self {
        let all = self::object("admissionregistration.k8s.io", "mutatingwebhookconfigurations", None, "");
        let ours = ours(installation);
        let (ours, all) = futures::join!(reader.get(&ours), reader.list(&all, ""));
        Self { ours, all }
    }

    /// Our webhook in our configuration.
    pub(super) fn webhook(&self) -> Option<&Value> {
        webhook_in(self.ours.as_ref().ok()?.as_ref()?)
    }
}

/// The webhook of ours in a configuration.
pub(super) fn webhook_in(configuration: &Value) -> Option<&Value> {
    configuration["webhooks"].as_array()?.iter().find(|webhook| webhook["name"] == WEBHOOK_NAME)
}

/// The name of a configuration.
pub(super) fn name_of(configuration: &Value) -> &str {
    configuration["metadata"]["name"].as_str().unwrap_or_default()
}

fn ours(installation: &Installation) -> Object {
    object("admissionregistration.k8s.io", "mutatingwebhookconfigurations", None, &installation.registration.name)
}

pub(super) fn judge(installation: &Installation, configurations: &Configurations) -> Vec<Finding> {
    let place = place(&ours(installation));
    let configuration = match &configurations.ours {
        Err(error) => return vec![could_not_look(error)],
        Ok(configuration) => configuration.as_ref(),
    };
    let Some((configuration, webhook)) = configuration.and_then(|found| Some((found, webhook_in(found)?))) else {
        return vec![missing(installation, configuration.is_some()).at(place)];
    };
    let mut findings = differences(installation, webhook);
    findings.extend(ignores_failures(webhook));
    findings.extend(owned(configuration));
    findings.extend(order(installation, configurations));
    if findings.is_empty() {
        let what = format!("registered as configured, at {}", address(webhook));
        findings.push(Finding::ok(Id::RegistrationAsConfigured, what));
    }
    findings.into_iter().map(|finding| if finding.place.is_empty() { finding.at(&place) } else { finding }).collect()
}

fn missing(installation: &Installation, there: bool) -> Finding {
    let what = match there {
        true => format!("it holds no webhook {WEBHOOK_NAME}, so the API server does not call us"),
        false => "it is not there, so the API server does not call us and pods start without their secrets".to_owned(),
    };
    let Installation { namespace, .. } = installation;
    let remedy = match installation.registers {
        true => format!(
            "start the webhook, which registers itself; if it runs, its log says why it could not: kubectl logs -n \
             {namespace} deploy/{}",
            installation.registration.name
        ),
        false => "the webhook does not register itself (webhook.disableCreateMutatingWebhookConfig): apply your own \
                  configuration, or switch that off"
            .to_owned(),
    };
    Finding::error(Id::RegistrationMissing, what).remedy(remedy)
}

/// Every field that is configured and is another one in the cluster. The bundle is looked at with the certificates.
fn differences(installation: &Installation, webhook: &Value) -> Vec<Finding> {
    let desired = desired(&installation.registration, None);
    let Some(members) = desired["webhooks"][0].as_object() else { return Vec::new() };
    // That failures are ignored is told with what follows from it.
    let told = |name: &str| name == "failurePolicy" && webhook[name] == "Ignore";
    let differing = members.iter().filter(|(name, wanted)| !holds(&webhook[name.as_str()], wanted) && !told(name));
    differing.map(|(name, wanted)| difference(installation, name, wanted, &webhook[name.as_str()])).collect()
}

fn difference(installation: &Installation, name: &str, wanted: &Value, found: &Value) -> Finding {
    let mut found = found.clone();
    if let Some(client_config) = found.as_object_mut() {
        // It is long, and says nothing to people.
        client_config.remove("caBundle");
    }
    let what = format!("{name} is {found} and should be {wanted}");
    let finding = match ESSENTIAL.contains(&name) {
        true => Finding::error(Id::RegistrationDiffers, what),
        false => Finding::warning(Id::RegistrationDiffers, what),
    };
    let configuration = &installation.registration.name;
    finding.remedy(match installation.registers {
        true => format!(
            "the webhook puts it right within minutes; if it stays, another program or another --config writes it: \
             kubectl get mutatingwebhookconfiguration {configuration} -o yaml --show-managed-fields"
        ),
        false => format!("kubectl edit mutatingwebhookconfiguration {configuration}"),
    })
}

/// Whether `found` says everything that `wanted` says; the API server adds defaults.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| found.get(name).is_some_and(|found| holds(found, wanted)))
        }
        // What others have added under names of their own is theirs.
        (Value::Array(found), Value::Array(wanted)) if wanted.iter().any(|wanted| wanted["name"].is_string()) => {
            let named = |name: &Value| found.iter().find(|found| found["name"] == *name);
            wanted.iter().all(|wanted| named(&wanted["name"]).is_some_and(|found| holds(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| holds(found, wanted))
        }
        // Kubernetes leaves empty lists and objects out.
        (Value::Null, wanted) => *wanted == Value::Array(Vec::new()) || *wanted == Value::Object(Default::default()),
        (found, wanted) => found == wanted,
    }
}

fn ignores_failures(webhook: &Value) -> Option<Finding> {
    (webhook["failurePolicy"] == "Ignore").then(|| {
        Finding::warning(
            Id::RegistrationIgnoresFailures,
            "failurePolicy is Ignore: while the webhook is away, pods start without their secrets",
        )
        .remedy("failurePolicy: Fail, the default")
    })
}

fn owned(configuration: &Value) -> Option<Finding> {
    let owner = configuration["metadata"]["ownerReferences"].as_array()?.first()?;
    let text = |member: &str| owner[member].as_str().unwrap_or("?");
    let what = format!(
        "it is owned by the {} {}, and is deleted with it: until it is written again, pods start without their secrets",
        text("kind"),
        text("name")
    );
    let remedy = format!(
        "kubectl patch mutatingwebhookconfiguration {} --type=json -p \
         '[{{\"op\":\"remove\",\"path\":\"/metadata/ownerReferences\"}}]'",
        name_of(configuration)
    );
    Some(Finding::warning(Id::RegistrationOwned, what).remedy(remedy))
}

/// Mutating webhooks are called in the order of their configurations' names; what we annotate is for the Vault injector.
fn order(installation: &Installation, configurations: &Configurations) -> Option<Finding> {
    if !installation.settings.managers.contains(&SecretManagerType::Vault) {
        return None;
    }
    let injects = |configuration: &&Value| {
        let mut webhooks = configuration["webhooks"].as_array().into_iter().flatten();
        webhooks.any(|webhook| webhook["name"] == VAULT_INJECTOR)
    };
    let ours = &installation.registration.name;
    let first = configurations.all.as_ref().ok()?.iter().filter(injects).map(name_of).min()?;
    (ours.as_str() > first).then(|| {
        let what = format!(
            "{ours} sorts behind {first}: the Vault injector is called first and does not see the annotations that we \
             make for it"
        );
        let remedy = format!("give webhook.serviceName a name that sorts before {first:?}");
        Finding::warning(Id::RegistrationOrder, what).remedy(remedy)
    })
}

/// Where a webhook is called.
pub(super) fn address(webhook: &Value) -> String {
    let config = &webhook["clientConfig"];
    if let Some(url) = config["url"].as_str() {
        return url.to_owned();
    }
    let text = |member: &str| config["service"][member].as_str().unwrap_or("?");
    let port = config["service"]["port"].as_u64().unwrap_or(443);
    format!("the Service {}/{} port {port}", text("namespace"), text("name"))
}

#[cfg(test)]
#[path = "registration_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
