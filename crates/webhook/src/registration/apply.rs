//! Writing the MutatingWebhookConfiguration.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::Value;

use super::desired::{FIELD_MANAGER, RegistrationSettings, desired, removal};
use crate::kubernetes::{ApiError, ApiErrorKind, Object, Verb};

/// Registers the webhook by server-side apply: our fields are taken over from whoever has set them (Flyte itself,
/// say), all others stay as they are.
///
/// Needs the verbs `get`, `patch` and `create` on the configuration.
///
/// # Errors
///
/// When the API server cannot be reached or refuses; a missing permission is named with the rule to add.
pub async fn apply(
    client: kube::Client,
    settings: &RegistrationSettings,
    ca_bundle: Option<&str>,
) -> Result<(), ApiError> {
    let configurations = Api::<MutatingWebhookConfiguration>::all(client);
    let object = Object {
        group: "admissionregistration.k8s.io",
        resource: "mutatingwebhookconfigurations",
        namespace: None,
        name: settings.name.clone(),
    };
    let document = desired(settings, ca_bundle);
    let existing = object.call(Verb::Get, configurations.get_opt(&settings.name)).await?;
    if let Some(patch) = existing.and_then(|existing| removal(&as_value(&existing), &document)) {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Strategic(patch);
        let removed = object.call(Verb::Patch, configurations.patch(&settings.name, &params, &patch)).await;
        // If it was deleted meanwhile, there is nothing to remove.
        if let Err(error) = removed
            && error.kind != ApiErrorKind::NotFound
        {
            return Err(error);
        }
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    object.call(Verb::Patch, configurations.patch(&settings.name, &params, &Patch::Apply(document))).await.map(drop)
}

fn as_value(configuration: &MutatingWebhookConfiguration) -> Value {
    serde_json::to_value(configuration).expect("a type of the Kubernetes API is JSON")
}
