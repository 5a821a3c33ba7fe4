//! What RBAC must allow for what is switched on: one table, feature by feature.

use flyte_secrets_core::settings::Delivery;
use futures::future::join_all;

use super::api::{Reader, Whose, core, could_not_look, object};
use super::check::Level;
use super::finding::Finding;
use super::ids::Id;
use super::installation::{Installation, Options};
use crate::kubernetes::{ApiError, Object, Verb};
use crate::mirrors::{COLLECTING, KEEPING};

/// Something that needs permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Feature {
    /// What the webhook does.
    pub(super) name: &'static str,
    /// What follows where it may not.
    pub(super) without: &'static str,
    /// How bad that is.
    pub(super) level: Level,
    /// What it does to which objects.
    pub(super) needs: Vec<(Object, Verb)>,
}

/// A feature, and what is missing for it.
#[derive(Debug)]
pub(super) struct Asked {
    feature: Feature,
    missing: Result<Vec<(Object, Verb)>, ApiError>,
    /// Whether what is missing in the cluster is allowed in the namespace that was tried.
    there: bool,
}

/// The features that the configuration switches on.
pub(super) fn features(installation: &Installation) -> Vec<Feature> {
    let Installation { settings, namespace, .. } = installation;
    let on = |object: &Object, verbs: &[Verb]| verbs.iter().map(|verb| (object.clone(), *verb)).collect::<Vec<_>>();
    let secrets = |namespace: &str, name: &str| core("secrets", Some(namespace), name);
    let everywhere =
        |rules: [(&'static str, Verb); 3]| rules.map(|(resource, verb)| (core(resource, None, ""), verb)).to_vec();
    let (filled, anew) = ([Verb::Get, Verb::Update], [Verb::Create]);
    let mut features = Vec::new();
    let mut add = |name, without, level, needs| features.push(Feature { name, without, level, needs });
    if installation.registers {
        let name = &installation.registration.name;
        let configuration = object("admissionregistration.k8s.io", "mutatingwebhookconfigurations", None, name);
        let needs = on(&configuration, &[Verb::Get, Verb::Patch]);
        add("register the webhook", "the API server does not call it, or not for long", Level::Error, needs);
        let without = "a registration that is not there, or is deleted, stays away";
        add("make the registration anew", without, Level::Info, on(&configuration, &anew));
        let without = "what others change in the registration is put right minutes later";
        add("watch the registration", without, Level::Info, on(&configuration, &[Verb::Watch]));
    }
    if let Some((namespace, name)) = &installation.authority_secret {
        let secret = secrets(namespace, name);
        add("share a CA between replicas", "there is no certificate to serve", Level::Error, on(&secret, &filled));
        let without = "a Secret that is not there, or is deleted, stays away";
        add("make the CA's Secret anew", without, Level::Info, on(&secret, &anew));
    } else if installation.makes_certificate {
        let needs = on(&secrets(namespace, &installation.certificate_secret), &[Verb::Get, Verb::Create, Verb::Update]);
        add("make a certificate where there is none", "somebody else has to make it", Level::Info, needs);
    }
    for lease in &installation.leases {
        let lease = object("coordination.k8s.io", "leases", Some(namespace), lease);
        let without = "what one replica does for all is done by none";
        add("elect a leader", without, Level::Warning, on(&lease, &filled));
        let without = "a Lease that is not there, or is deleted, stays away";
        add("make the Lease anew", without, Level::Info, on(&lease, &anew));
    }
    if settings.delivery == Delivery::SecretRef {
        let without = "pods whose values come by reference are refused in every namespace without a Role of its own";
        add("keep mirrors", without, Level::Error, everywhere(KEEPING));
        add("collect mirrors", "mirrors that nobody needs stay for ever", Level::Warning, everywhere(COLLECTING));
    }
    if settings.embedded.image_pull_secrets {
        let mut needs = on(&secrets(namespace, ""), &[Verb::Get]);
        needs.extend(everywhere(KEEPING));
        add("copy image-pull Secrets", "pods with image-pull Secrets are refused", Level::Error, needs);
    }
    if let Some(store) = &installation.store_namespace {
        add("read the K8s store", "no secret of it is found", Level::Error, on(&secrets(store, ""), &[Verb::Get]));
        if installation.watches_store {
            let needs = on(&secrets(store, ""), &[Verb::List, Verb::Watch]);
            let without = "a changed secret is seen when its cached value expires";
            add("watch the K8s store", without, Level::Warning, needs);
        }
    }
    if installation.looks_first {
        let needs = on(&core("secrets", None, ""), &[Verb::Get]);
        let without = "webhook.k8s.checkExists cannot tell what is missing";
        add("look whether Secrets of pods are there", without, Level::Warning, needs);
    }
    if installation.reviews_tokens {
        let needs = on(&object("authentication.k8s.io", "tokenreviews", None, ""), &[Verb::Create]);
        add("review tokens", "every invalidation is refused", Level::Error, needs);
    }
    if installation.writes_events {
        let needs = on(&object("events.k8s.io", "events", None, ""), &[Verb::Create, Verb::Patch]);
        let without = "the owner of a refused pod does not show why";
        add("write Events at refused pods' controllers", without, Level::Info, needs);
    }
    features
}

/// Whose permissions are looked at.
pub(super) fn whose(installation: &Installation, options: &Options) -> Whose {
    match &options.service_account {
        Some(name) => Whose::ServiceAccount(installation.namespace.clone(), name.clone()),
        None => Whose::Own,
    }
}

pub(super) async fn ask(reader: &Reader, installation: &Installation, options: &Options) -> Vec<Asked> {
    let whose = whose(installation, options);
    join_all(features(installation).into_iter().map(|feature| async {
        let missing = missing(reader, &whose, &feature.needs, None).await;
        let in_part = missing.as_ref().is_ok_and(|missing| !missing.is_empty());
        let there = in_part && {
            let there = missing.as_ref().map_or(&[][..], Vec::as_slice);
            let namespace = Some(options.test_namespace.as_str());
            self::missing(reader, &whose, there, namespace).await.is_ok_and(|missing| missing.is_empty())
        };
        Asked { feature, missing, there }
    }))
    .await
}

/// What is missing of `needs`; those of all namespaces are asked for in `namespace` where one is given.
async fn missing(
    reader: &Reader,
    whose: &Whose,
    needs: &[(Object, Verb)],
    namespace: Option<&str>,
) -> Result<Vec<(Object, Verb)>, ApiError> {
    let mut missing = Vec::new();
    for (object, verb) in needs {
        let mut asked = object.clone();
        if asked.group.is_empty() && asked.namespace.is_none() {
            asked.namespace = namespace.map(str::to_owned);
        }
        if !reader.allows(whose, &asked, *verb).await? {
            missing.push((object.clone(), *verb));
        }
    }
    Ok(missing)
}

pub(super) fn judge(asked: &[Asked], whose: &Whose, options: &Options) -> Vec<Finding> {
    let mut findings: Vec<Finding> = asked.iter().filter_map(|asked| judge_one(asked, whose, options)).collect();
    if *whose == Whose::Own && !options.inside {
        let what = "these are your permissions and not the webhook's";
        let remedy = "add --service-account with the name of the webhook's ServiceAccount";
        findings.push(Finding::info(Id::PermissionsOwn, what).remedy(remedy));
    }
    if findings.iter().all(|finding| finding.id == Id::PermissionsOwn) {
        let names: Vec<&str> = asked.iter().map(|asked| asked.feature.name).collect();
        let what = match names.is_empty() {
            true => "nothing that is switched on needs permissions".to_owned(),
            false => format!("allowed: {}", names.join(", ")),
        };
        findings.insert(0, Finding::ok(Id::PermissionsComplete, what).at(subject(whose)));
    }
    findings
}

fn judge_one(Asked { feature, missing, there }: &Asked, whose: &Whose, options: &Options) -> Option<Finding> {
    let missing = match missing {
        Ok(missing) if missing.is_empty() => return None,
        Ok(missing) => missing,
        Err(error) => return Some(could_not_look(error)),
    };
    let Feature { name, without, level, .. } = feature;
    let verbs: Vec<String> = missing.iter().map(|(object, verb)| format!("{verb} {}", object.resource)).collect();
    let verbs = verbs.join(", ");
    let (level, what) = if *there {
        let namespace = &options.test_namespace;
        let what = format!("may {name} in the namespace {namespace}, and not in the whole cluster (missing: {verbs})");
        (Level::Info, what)
    } else {
        (*level, format!("may not {name} (missing: {verbs}): {without}"))
    };
    let rules: Vec<String> = missing.iter().map(|(object, verb)| object.rule(*verb)).collect();
    let role = missing.first().map(|(object, _)| object.role()).unwrap_or_default();
    let remedy = format!("add to a {role} of the webhook's ServiceAccount: {}", rules.join(", "));
    Some(Finding::new(Id::PermissionsMissing, level, what).at(subject(whose)).remedy(remedy))
}

fn subject(whose: &Whose) -> String {
    match whose {
        Whose::Own => "whoever runs doctor".to_owned(),
        Whose::ServiceAccount(namespace, name) => format!("serviceaccounts {namespace}/{name}"),
    }
}

#[cfg(test)]
#[path = "permissions_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
