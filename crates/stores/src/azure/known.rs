//! What Key Vault tells of a secret beside its value, and what we note there. Data in, data out.
//!
//! Tags belong to one version, so that each new one gets those of the last. Names of tags are made of letters and `-`.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure_security_keyvault_secrets::models::SecretProperties;
use serde::Deserialize;

use crate::writer::SecretKind;

/// The tag that tells image-pull secrets from others.
const KIND: (&str, &str) = ("flyte-secrets-kind", "image-pull");
/// The tag of every secret that is made here: when, in seconds since 1970, and a number that no other creation has.
const CREATED: &str = "flyte-secrets-created";
/// The tag of a version without a value that stands for the end of a secret.
const REMOVED: (&str, &str) = ("flyte-secrets-removed", "true");
/// The most tags of a secret: <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-tags>.
const MAX_TAGS: usize = 15;

/// The tags of a version, as they are written.
pub(super) type Tags = BTreeMap<String, String>;

/// A version of a secret, without its value.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The name of the secret in Key Vault, as far as its id tells.
    pub(super) name: String,
    /// Whether the value can be read.
    pub(super) enabled: bool,
    pub(super) content_type: Option<String>,
    /// When this version was made, in seconds since 1970.
    changed: Option<u64>,
    tags: HashMap<String, String>,
}

/// The part of a secret bundle that is needed; the value in it is skipped.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    id: String,
    content_type: Option<String>,
    #[serde(default)]
    attributes: Attributes,
    tags: Option<HashMap<String, String>>,
}

#[derive(Default, Deserialize)]
struct Attributes {
    created: Option<u64>,
}

impl Known {
    /// The version in a secret bundle; `None` if it is none. Only versions that are enabled are answered with.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let Bundle { id, content_type, attributes, tags } = serde_json::from_slice(body).ok()?;
        let name = name_in(&id)?;
        let (changed, tags) = (attributes.created, tags.unwrap_or_default());
        Some(Self { name, enabled: true, content_type, changed, tags })
    }

    /// What it is for.
    pub(super) fn kind(&self) -> SecretKind {
        let is_pull = self.tags.get(KIND.0).is_some_and(|kind| kind == KIND.1);
        if is_pull { SecretKind::ImagePull } else { SecretKind::Generic }
    }

    /// When the secret was made, as we noted; that of the version where we did not.
    pub(super) fn created(&self) -> Option<SystemTime> {
        let noted = self.tags.get(CREATED).and_then(|noted| noted.split_once('-')?.0.parse().ok());
        UNIX_EPOCH.checked_add(Duration::from_secs(noted.or(self.changed)?))
    }

    /// Whether it stands for the end of a secret.
    pub(super) fn is_end(&self) -> bool {
        !self.enabled && is_end(&self.tags)
    }

    /// The tags of a version that comes after this one.
    pub(super) fn next_tags(&self) -> Tags {
        let mut tags: Tags = self.tags.clone().into_iter().filter(|(name, _)| name != REMOVED.0).collect();
        if let Some(changed) = self.changed.filter(|_| tags.len() < MAX_TAGS) {
            tags.entry(CREATED.to_owned()).or_insert_with(|| format!("{changed}-0"));
        }
        tags
    }
}

/// A version of a list.
impl From<SecretProperties> for Known {
    fn from(properties: SecretProperties) -> Self {
        let name = properties.id.as_deref().and_then(name_in).unwrap_or_default();
        let attributes = properties.attributes.unwrap_or_default();
        let changed = attributes.created.and_then(|time| u64::try_from(time.unix_timestamp()).ok());
        let enabled = attributes.enabled.unwrap_or(true);
        let tags = properties.tags.unwrap_or_default();
        Self { name, enabled, content_type: properties.content_type, changed, tags }
    }
}

/// The name in `https://<vault>/secrets/<name>[/<version>]`.
fn name_in(id: &str) -> Option<String> {
    let name = id.split_once("/secrets/")?.1.split('/').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// The tags of a new secret; no other creation has the same.
pub(super) fn new_tags(kind: SecretKind) -> Tags {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut tags = Tags::from([(CREATED.to_owned(), format!("{seconds}-{:016x}", fastrand::u64(..)))]);
    if kind == SecretKind::ImagePull {
        tags.insert(KIND.0.to_owned(), KIND.1.to_owned());
    }
    tags
}

/// The tags of a version that stands for the end of a secret.
pub(super) fn end_tags() -> Tags {
    Tags::from([(REMOVED.0.to_owned(), REMOVED.1.to_owned())])
}

fn is_end(tags: &HashMap<String, String>) -> bool {
    tags.get(REMOVED.0).is_some_and(|value| value == REMOVED.1)
}

/// Whether a deleted secret had its end set before, so that no value comes back with it; `None` if it is no deleted secret.
pub(super) fn has_ended(body: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Deleted {
        #[serde(default)]
        tags: Option<HashMap<String, String>>,
    }
    let Deleted { tags } = serde_json::from_slice(body).ok()?;
    Some(tags.is_some_and(|tags| is_end(&tags)))
}

/// The latest of the versions that are disabled, if the latest of all is; times are in seconds, so an end comes last.
pub(super) fn latest_disabled(versions: Vec<Known>) -> Option<Known> {
    let disabled = versions.into_iter().filter(|version| !version.enabled);
    disabled.max_by_key(|version| (version.changed, version.is_end()))
}

/// Whether somebody else has made the secret at the same time as we have: a version that is not one of ours, and not one of a
/// secret that had its end before.
pub(super) fn made_by_another(versions: &[Known], ours: &Tags) -> bool {
    let end = versions.iter().filter(|version| version.is_end()).filter_map(|version| version.changed).max();
    versions.iter().any(|version| {
        let is_ours = version.tags.get(CREATED) == ours.get(CREATED);
        !is_ours && !version.is_end() && (end.is_none() || version.changed > end)
    })
}
