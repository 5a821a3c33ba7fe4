//! Writing the MutatingWebhookConfiguration.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::bundle::{Adopted, Moment};
use super::desired::{FIELD_MANAGER, RegistrationSettings};
use super::differences::differences;
use super::managed::{is_ours, is_set_by_us};
use super::plan::{Plan, plan, registered};
use crate::kubernetes::{ApiError, ApiErrorKind, Object, Verb, jittered};

/// How often in a row others may be faster.
const TRIES: u32 = 6;
/// The wait after the first time; it grows with each further one.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a replica leaves alone what another one has set otherwise. In a rolling update it ends before.
const REPLICAS_AGREE: Duration = Duration::from_secs(2 * 60);
/// The field of the CAs, which every replica has a part in.
pub(super) const CA_BUNDLE: &str = "clientConfig.caBundle";
/// What is always written again, whatever becomes of it: without it pods are refused.
const VITAL: &str = "clientConfig";

/// The configuration as an object of the API.
pub(super) fn object(name: &str) -> Object {
    Object {
        group: "admissionregistration.k8s.io",
        resource: "mutatingwebhookconfigurations",
        namespace: None,
        name: name.to_owned(),
    }
}

/// The configuration that stands; `None` if there is none.
pub(super) async fn read(
    configurations: &Api<MutatingWebhookConfiguration>,
    name: &str,
) -> Result<Option<Value>, ApiError> {
    let found = object(name).call(Verb::Get, configurations.get_opt(name)).await?;
    Ok(found.as_ref().map(as_value))
}

/// Brings one configuration to what it shall be, and remembers what that took.
pub(super) struct Registrar {
    configurations: Api<MutatingWebhookConfiguration>,
    settings: RegistrationSettings,
    adopted: Adopted,
    /// Fields that the API server did not store as we wrote them.
    unheeded: BTreeSet<String>,
    /// Whether this process has applied the configuration, or found it as it should be.
    applied: bool,
    /// Fields that another replica has set to something else, and since when.
    disputed: BTreeMap<String, Instant>,
}

/// What one look at the configuration found and left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The bundle that stands now, in PEM.
    pub(super) ca_bundle: Option<String>,
    /// What was otherwise and has been written; empty if nothing was.
    pub(super) fields: Vec<String>,
    /// How many CAs were taken out of the bundle because nobody needs them any more.
    pub(super) retired: usize,
    /// How many CAs stand in it for others' sake.
    pub(super) foreign: usize,
}

impl Registrar {
    pub(super) fn new(client: kube::Client, settings: RegistrationSettings) -> Self {
        Self {
            configurations: Api::all(client),
            adopted: Adopted::new(settings.adopted_ca_retention),
            settings,
            unheeded: BTreeSet::new(),
            applied: false,
            disputed: BTreeMap::new(),
        }
    }

    /// Reads the configuration and writes what is not as it should be, by server-side apply: our fields are taken over from
    /// whoever has set them, all others stay. `wanted` is PEM. Fields that are `held` are no reason to write yet.
    ///
    /// Every write has the resource version that was read as its precondition; if somebody else was faster, it is read again.
    ///
    /// # Errors
    ///
    /// When the API server cannot be reached or refuses; a missing permission is named with the rule to add.
    pub(super) async fn round(&mut self, wanted: Option<&str>, held: &BTreeSet<String>) -> Result<Round, ApiError> {
        let mut tries = 0;
        loop {
            match self.once(wanted, held).await {
                Err(error) if tries < TRIES && is_race(&error) => {
                    tries += 1;
                    tokio::time::sleep(jittered(PAUSE * tries)).await;
                }
                result => return result,
            }
        }
    }

    async fn once(&mut self, wanted: Option<&str>, held: &BTreeSet<String>) -> Result<Round, ApiError> {
        let existing = match read(&self.configurations, &self.settings.name).await? {
            Some(existing) => existing,
            None => self.create().await?,
        };
        let mut plan = plan(&existing, &self.settings, wanted, &mut self.adopted, Moment::now());
        // One that is heeded again is repaired again.
        self.unheeded.retain(|field| plan.fields.contains(field));
        plan.fields.retain(|field| !self.unheeded.contains(field) && !held.contains(field));
        let left = self.left_to_others(&existing, &plan.fields, Instant::now());
        plan.leave(&existing, &left);
        let foreign = plan.union.as_ref().map_or(0, |union| union.foreign);
        if plan.fields.is_empty() && (self.applied || is_ours(&existing)) {
            self.applied = true;
            return Ok(Round { ca_bundle: registered(&existing), fields: Vec::new(), retired: 0, foreign });
        }
        let after = self.write(&existing, &plan).await?;
        self.applied = true;
        let retired = plan.union.as_ref().map_or(0, |union| self.adopted.stands(union));
        self.note_unheeded(&differences(&after, &plan.document));
        Ok(Round { ca_bundle: registered(&after), fields: plan.fields, retired, foreign })
    }

    /// Fields that another replica of ours has set since we did: it was started later and knows better, so that a rolling
    /// update ends with the new settings and without a dispute. If they still stand after a while, that replica may be gone.
    fn left_to_others(&mut self, existing: &Value, fields: &[String], now: Instant) -> BTreeSet<String> {
        let mut left = BTreeSet::new();
        if self.applied {
            let theirs = fields.iter().filter(|field| *field != CA_BUNDLE && is_set_by_us(existing, field));
            for field in theirs {
                let since = *self.disputed.entry(field.clone()).or_insert(now);
                if now.saturating_duration_since(since) < REPLICAS_AGREE {
                    left.insert(field.clone());
                }
            }
        }
        self.disputed.retain(|field, _| left.contains(field));
        left
    }

    /// An object without any webhook. Unlike an apply, this fails if another replica was faster, whose CA an apply
    /// that has not seen it would take away.
    async fn create(&self) -> Result<Value, ApiError> {
        let skeleton = json!({"metadata": {"name": self.settings.name}});
        let skeleton = serde_json::from_value(skeleton).expect("an object needs no more than its metadata");
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let created = self.object().call(Verb::Create, self.configurations.create(&params, &skeleton)).await?;
        Ok(as_value(&created))
    }

    async fn write(&self, existing: &Value, plan: &Plan) -> Result<Value, ApiError> {
        let mut version = existing["metadata"]["resourceVersion"].clone();
        if let Some(removal) = &plan.removal {
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            version = self.patch(&params, &Patch::Strategic(removal)).await?["metadata"]["resourceVersion"].take();
        }
        let mut document = plan.document.clone();
        document["metadata"]["resourceVersion"] = version;
        self.patch(&PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&document)).await
    }

    async fn patch(&self, params: &PatchParams, patch: &Patch<&Value>) -> Result<Value, ApiError> {
        let patched = self.configurations.patch(&self.settings.name, params, patch);
        Ok(as_value(&self.object().call(Verb::Patch, patched).await?))
    }

    /// What was not stored as it was written is not written for ever.
    fn note_unheeded(&mut self, fields: &[String]) {
        for field in fields.iter().filter(|field| !field.starts_with(VITAL)) {
            if self.unheeded.insert(field.clone()) {
                tracing::warn!(
                    configuration = %self.settings.name, field,
                    "the API server did not store this field as it was written; an admission webhook of the cluster \
                     changes it, or this version of Kubernetes does not know it. It is left as it is"
                );
            }
        }
    }

    fn object(&self) -> Object {
        object(&self.settings.name)
    }
}

fn is_race(error: &ApiError) -> bool {
    matches!(error.kind, ApiErrorKind::Conflict | ApiErrorKind::NotFound)
}

pub(super) fn as_value(configuration: &MutatingWebhookConfiguration) -> Value {
    serde_json::to_value(configuration).expect("a type of the Kubernetes API is JSON")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "apply_tests.rs"]
mod tests;
