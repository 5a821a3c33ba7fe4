//! Mirrors: Secrets of ours in the pod's namespace that hold a value which the webhook has read elsewhere
//! (`webhook.delivery: SecretRef`). Here are their names and marks; who writes them is the webhook.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::encoded_id::SecretId;
use crate::secret::{MountRequirement, Secret};
use crate::secret_name::kubernetes_secret_name;
use crate::settings::SecretManagerType;

/// The label that every mirror has, with the value `true`.
pub const LABEL: &str = "secrets.flyte.org/mirror";
/// Annotation: what is mirrored, as [`MirrorSource`] writes itself.
pub const SOURCE: &str = "secrets.flyte.org/mirrors";
/// Annotation: when the value was read from its source, RFC 3339 in UTC with nanoseconds.
pub const FETCHED: &str = "secrets.flyte.org/fetched-at";
/// Annotation: when a pod last needed the mirror, give or take a day, RFC 3339 in UTC.
pub const NEEDED: &str = "secrets.flyte.org/last-needed";
/// Annotation: since when the mirror waits for its removal, RFC 3339 in UTC; whoever needs it takes this away first.
pub const CONDEMNED: &str = "secrets.flyte.org/condemned-at";
/// Annotation: somebody is about to replace the value; its own value is different each time. Whoever relies on the value as it
/// is takes this away first.
pub const CHANGING: &str = "secrets.flyte.org/changing";
/// Annotation: the installation of the webhook that keeps the mirror, and that alone may collect it.
pub const INSTALLATION: &str = "secrets.flyte.org/installation";
/// The key of a mirror's value.
pub const VALUE_KEY: &str = "value";

/// What every mirror's name starts with; 40 hex digits follow.
const PREFIX: &str = "flyte-mirror-";
const DIGITS: usize = 40;

/// A key of a Secret in the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretReference {
    /// The Secret.
    pub name: String,
    /// The key.
    pub key: String,
}

impl SecretReference {
    /// Whether it has the form of those that the webhook makes: to a mirror, or to a Secret of a Kubernetes store.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let Self { name, key } = self;
        (is_mirror_name(name) && key == VALUE_KEY)
            || (SecretId::decode(key).is_ok() && *name == kubernetes_secret_name(key))
    }
}

/// How a container sees a value. Each form has a mirror of its own, because what fits a file (any bytes) need not fit a
/// variable (UTF-8), and a value that changes must not break those who use the other form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// An environment variable: UTF-8.
    Env,
    /// A file: any bytes.
    File,
}

impl Form {
    /// The form that Embedded and Global give a request.
    #[must_use]
    pub fn of(request: &Secret) -> Self {
        if request.mount_requirement == MountRequirement::FILE { Self::File } else { Self::Env }
    }

    /// The form's name in annotations and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
        }
    }
}

/// What is mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MirrorSource {
    /// A secret of a store: the encoded id of the scope in which it was found.
    Embedded {
        /// The id.
        id: String,
    },
    /// A variable or file of the webhook itself.
    Global {
        /// The request's group.
        group: String,
        /// The request's key.
        key: String,
    },
}

impl MirrorSource {
    /// The manager whose value it is.
    #[must_use]
    pub const fn manager(&self) -> SecretManagerType {
        match self {
            Self::Embedded { .. } => SecretManagerType::Embedded,
            Self::Global { .. } => SecretManagerType::Global,
        }
    }

    /// Reads what [`std::fmt::Display`] has written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('/')? {
            ("embedded", id) => Some(Self::Embedded { id: id.to_owned() }),
            ("global", rest) => {
                let (group, key) = rest.split_once('/')?;
                let plain = |part: &str| part.replace("~1", "/").replace("~0", "~");
                Some(Self::Global { group: plain(group), key: plain(key) })
            }
            _ => None,
        }
    }
}

/// `embedded/ID` or `global/GROUP/KEY`, where a `/` of the group and the key is `~1` and a `~` is `~0`.
impl std::fmt::Display for MirrorSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let escape = |part: &str| part.replace('~', "~0").replace('/', "~1");
        match self {
            Self::Embedded { id } => write!(f, "embedded/{id}"),
            Self::Global { group, key } => write!(f, "global/{}/{}", escape(group), escape(key)),
        }
    }
}

/// The name of the mirror of `source` in `namespace`: the same for every replica and every value.
#[must_use]
pub fn mirror_name(namespace: &str, source: &MirrorSource, form: Form) -> String {
    let digest = Sha256::digest(format!("{namespace}\n{}\n{source}", form.name()));
    format!("{PREFIX}{}", &HEXLOWER.encode(&digest)[..DIGITS])
}

/// Whether a Secret of this name is, or could be, a mirror.
#[must_use]
pub fn is_mirror_name(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == DIGITS && rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reads_what_it_writes() {
        let global = |group: &str, key: &str| MirrorSource::Global { group: group.into(), key: key.into() };
        for source in [
            MirrorSource::Embedded { id: "u__org__o__domain__d__project____key__a/b".into() },
            global("g", "k"),
            global("a/b~1", "~0/c"),
            global("", ""),
        ] {
            assert_eq!(MirrorSource::parse(&source.to_string()), Some(source));
        }
        for text in ["", "embedded", "global/x", "other/x"] {
            assert_eq!(MirrorSource::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_tells_namespaces_sources_and_forms_apart_and_is_recognised() {
        let source = |id: &str| MirrorSource::Embedded { id: id.to_owned() };
        let names = [
            mirror_name("a", &source("x"), Form::Env),
            mirror_name("b", &source("x"), Form::Env),
            mirror_name("a", &source("y"), Form::Env),
            mirror_name("a", &source("x"), Form::File),
        ];
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert!(names.iter().all(|name| is_mirror_name(name)));
        assert!(!is_mirror_name("flyte-mirror-of-mine"));
    }

    #[test]
    fn a_reference_of_ours_is_to_a_mirror_or_to_a_stored_secret() {
        let reference = |name: &str, key: &str| SecretReference { name: name.to_owned(), key: key.to_owned() };
        let id = "u__org__o__domain__d__project__p__key__k";
        let mirror = mirror_name("ns", &MirrorSource::Embedded { id: id.to_owned() }, Form::File);
        assert!(reference(&mirror, VALUE_KEY).is_ours());
        assert!(reference(&kubernetes_secret_name(id), id).is_ours());
        for (name, key) in [(&*mirror, "other"), (&kubernetes_secret_name("k"), "k"), ("mine", id), ("mine", VALUE_KEY)]
        {
            assert!(!reference(name, key).is_ours(), "{name} {key}");
        }
    }
}
