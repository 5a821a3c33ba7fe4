//! The Secrets in which the Secret service keeps secrets: how they look. Data in, data out.
//!
//! A secret is one Secret in the namespace of the store: its name is the hex MD5 of the encoded id, its only data key the encoded
//! id, and its labels [`MANAGED`], [`DOMAIN`] and [`PROJECT`] (the Secret service of Flyte 2). Beside a secret for pulling images
//! stands a second one, made of the first, that a kubelet can read ([`flyte_secrets_core::image_pull`]).

use std::collections::BTreeMap;

use data_encoding::BASE64;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::image_pull;
use flyte_secrets_core::secret_name::kubernetes_secret_name;
use flyte_secrets_core::value::SecretValue;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::writer::{SecretKind, SecretMetadata};

/// The label, with the value `true`, of every Secret that the Secret service keeps.
pub(super) const MANAGED: &str = "app.flyte.org/managed";
/// The label with the domain of the secret.
pub(super) const DOMAIN: &str = "app.flyte.org/domain";
/// The label with the project of the secret.
pub(super) const PROJECT: &str = "app.flyte.org/project";
/// The label that tells image-pull secrets, and what stands beside them, from others.
pub(super) const PULL: (&str, &str) = ("union.ai/secret-type", "image-pull-secret");
/// `kubectl apply` keeps the whole object in this annotation, the value included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The key of a Secret that a kubelet reads to pull images.
const DOCKER_KEY: &str = ".dockerconfigjson";

/// The longest key of a Secret's data, in characters (`IsConfigMapKey` of Kubernetes).
const MAX_KEY: usize = 253;
/// The longest label value, in characters.
const MAX_LABEL: usize = 63;
/// The most bytes of a Secret's data (`MaxSecretSize` of Kubernetes).
pub(super) const MAX_VALUE: usize = 1 << 20;

/// A Secret as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: &'a ObjectMeta,
    r#type: &'static str,
    data: BTreeMap<&'a str, &'a str>,
}

/// Whether a Secret can hold this id, as its data key and its labels.
pub(super) fn check(id: &SecretId) -> Result<(), String> {
    if id.name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if id.domain.is_empty() && !id.project.is_empty() {
        return Err("a project needs a domain".to_owned());
    }
    id.check_components().map_err(|ambiguous| ambiguous.to_string())?;
    for (what, text) in [("domain", &id.domain), ("project", &id.project)] {
        if !text.is_empty() && !is_label_value(text) {
            return Err(format!(
                "the {what} {text:?} cannot be the value of a label: at most {MAX_LABEL} of A-Z, a-z, 0-9, `-`, `_` and `.`, with a \
                 letter or digit at both ends"
            ));
        }
    }
    let key = id.to_string();
    if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err("a name is made of A-Z, a-z, 0-9, `-`, `_` and `.`".to_owned());
    }
    if key.len() > MAX_KEY {
        let room = MAX_KEY.saturating_sub(key.len() - id.name.len());
        return Err(format!(
            "the name has {} characters; with this domain and project a Kubernetes Secret has room for {room}",
            id.name.len()
        ));
    }
    Ok(())
}

fn is_label_value(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= MAX_LABEL
        && end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The metadata of a new secret.
pub(super) fn new_metadata(id: &SecretId, kind: SecretKind) -> ObjectMeta {
    let mut metadata = ObjectMeta { name: Some(kubernetes_secret_name(&id.to_string())), ..ObjectMeta::default() };
    mark(&mut metadata, id);
    if kind == SecretKind::ImagePull {
        metadata.labels.get_or_insert_default().insert(PULL.0.to_owned(), PULL.1.to_owned());
    }
    metadata
}

/// The metadata of a secret that gets a new value: what others have put there stays, but for a copy of the old value.
pub(super) fn kept_metadata(found: &ObjectMeta, id: &SecretId) -> ObjectMeta {
    let mut metadata = ObjectMeta { managed_fields: None, ..found.clone() };
    metadata.annotations.iter_mut().for_each(|annotations| drop(annotations.remove(LAST_APPLIED)));
    mark(&mut metadata, id);
    metadata
}

fn mark(metadata: &mut ObjectMeta, id: &SecretId) {
    let labels = [(MANAGED, "true"), (DOMAIN, id.domain.as_str()), (PROJECT, id.project.as_str())];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    metadata.labels.get_or_insert_default().extend(labels);
}

/// What a secret is for.
pub(super) fn kind(metadata: &ObjectMeta) -> SecretKind {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(PULL.0));
    if label.is_some_and(|value| value == PULL.1) { SecretKind::ImagePull } else { SecretKind::Generic }
}

/// What the service tells of a secret.
pub(super) fn described(id: SecretId, metadata: &ObjectMeta) -> SecretMetadata {
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0.into());
    SecretMetadata { id, kind: kind(metadata), created }
}

/// The Secret in JSON.
pub(super) fn body(metadata: &ObjectMeta, id: &SecretId, value: &SecretValue) -> Zeroizing<Vec<u8>> {
    let value = Zeroizing::new(BASE64.encode(value.expose_bytes()));
    written(metadata, "Opaque", &id.to_string(), &value)
}

/// The metadata of the Secret beside one for pulling images; `found` is that of the one which is there.
pub(super) fn pull_metadata(id: &SecretId, found: Option<&ObjectMeta>) -> ObjectMeta {
    let mut metadata = ObjectMeta { managed_fields: None, ..found.cloned().unwrap_or_default() };
    metadata.name = Some(image_pull::secret_name(id));
    let labels = image_pull::labels(id).map(|(name, value)| (name.to_owned(), value));
    metadata.labels.get_or_insert_default().extend(labels);
    metadata
}

/// The Secret beside one for pulling images, in JSON.
pub(super) fn pull_body(metadata: &ObjectMeta, base64: &str) -> Zeroizing<Vec<u8>> {
    written(metadata, "kubernetes.io/dockerconfigjson", DOCKER_KEY, base64)
}

fn written(metadata: &ObjectMeta, r#type: &'static str, key: &str, base64: &str) -> Zeroizing<Vec<u8>> {
    const METADATA: usize = 64 << 10;
    let data = BTreeMap::from([(key, base64)]);
    // Room for everything at once: a growing vector would leave copies of the value behind in memory.
    let mut body = Zeroizing::new(Vec::with_capacity(base64.len() + METADATA));
    let secret = Written { api_version: "v1", kind: "Secret", metadata, r#type, data };
    serde_json::to_writer(&mut *body, &secret)
        .expect("strings and maps always have a JSON form, and a vector takes every byte");
    body
}

/// The id of a secret of which only metadata is known: the API server notes which keys were written
/// (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>). The Secret's name proves it.
pub(super) fn noted_id(metadata: &ObjectMeta) -> Option<SecretId> {
    let name = metadata.name.as_deref()?;
    let fields = metadata.managed_fields.iter().flatten().filter_map(|entry| entry.fields_v1.as_ref());
    let mut keys = fields.filter_map(|fields| fields.0.get("f:data")?.as_object()).flat_map(|data| data.keys());
    keys.find_map(|key| proven_id(name, key.strip_prefix("f:")?))
}

/// The id that a data key is, if the Secret's name belongs to it.
pub(super) fn proven_id(name: &str, key: &str) -> Option<SecretId> {
    (kubernetes_secret_name(key) == name).then(|| SecretId::decode(key).ok())?
}
