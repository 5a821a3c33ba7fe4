//! The keys: one row each. Parsing, flags, environment, errors and the reference follow from here.

use flyte_secrets_core::Profile;

use crate::kinds::Kind;

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Where it stands, as Flyte spells it.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Preset,
    /// What it says, for the reference.
    pub(crate) doc: &'static str,
    pub(crate) since: Since,
}

/// A default, written as a flag would be.
#[derive(Debug)]
pub(crate) enum Preset {
    /// Not set.
    Unset,
    /// The same in both profiles.
    Is(&'static str),
    /// One for each profile.
    ByProfile { flyte1: &'static str, flyte2: &'static str },
}

/// Who knows the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// Flyte 1 and 2.
    Flyte,
    /// Flyte 2.
    Flyte2,
    /// Only this program.
    Ours,
}

impl Key {
    /// The default as text.
    pub(crate) fn default_text(&self, profile: Profile) -> Option<&'static str> {
        match (&self.default, profile) {
            (Preset::Unset, _) => None,
            (Preset::Is(text), _) => Some(text),
            (Preset::ByProfile { flyte1, .. }, Profile::Flyte1) => Some(flyte1),
            (Preset::ByProfile { flyte2, .. }, Profile::Flyte2) => Some(flyte2),
        }
    }

    /// The section: `webhook` of `webhook.certDir`.
    pub(crate) fn section(&self) -> &'static str {
        self.path.split('.').next().unwrap_or(self.path)
    }
}

/// Sections of ours.
pub(crate) const SECTIONS: [&str; 4] = ["webhook", "secrets", "secret", LOGGER];

/// Flyte's section for every component: keys of it that are not in the table are others'.
pub(crate) const LOGGER: &str = "logger";

const fn row(path: &'static str, kind: Kind, default: Preset, since: Since, doc: &'static str) -> Key {
    Key { path, kind, default, doc, since }
}

use Preset::{ByProfile, Is, Unset};
use Since::{Flyte, Flyte2, Ours};

const STEP: &str = "{limits: {cpu: 200m, memory: 500Mi}, requests: {cpu: 200m, memory: 500Mi}}";
const MANAGERS: &[&str] = &["Global", "K8s", "AWS", "GCP", "Azure", "Vault", "Embedded"];

/// All keys, in the order of the reference.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    row("webhook.profile", Kind::Choice(&["flyte1", "flyte2"]), Is("flyte2"), Ours,
        "Whose behaviour is reproduced where Flyte 1 and Flyte 2 differ. A program called `flytepropeller` implies `flyte1`."),
    row("webhook.secretManagerTypes", Kind::Choices(MANAGERS), Is(""), Flyte2,
        "The secret managers in the order they are asked, behind Global, which is always asked first. Empty: `secretManagerType`."),
    row("webhook.secretManagerType", Kind::Choice(MANAGERS), ByProfile { flyte1: "K8s", flyte2: "Embedded" }, Flyte,
        "The one secret manager asked behind Global where `secretManagerTypes` is empty. Deprecated in Flyte 2."),
    row("webhook.secretEnvVarPrefix", Kind::Text, ByProfile { flyte1: "_FSEC_", flyte2: "_UNION_" }, Flyte2,
        "In front of the names of variables with secrets. Fixed in the profile `flyte1`."),
    row("webhook.delivery", Kind::Choice(&["PodSpec"]), Is("PodSpec"), Ours,
        "How values that the webhook itself reads reach the container. `PodSpec`: they stand in the Pod object, as in Flyte."),
    row("webhook.accessPolicy.mode", Kind::Choice(&["Off"]), Is("Off"), Ours,
        "Whether the labels of a pod are checked before a value is given to it. `Off`: they are believed, as in Flyte."),
    row("webhook.onUnserved", Kind::Choice(&["Refuse", "Admit"]), ByProfile { flyte1: "Admit", flyte2: "Refuse" }, Ours,
        "A request that cannot be read or that no manager serves: the pod is refused, or admitted unchanged with a warning."),
    row("webhook.onManagerFailure", Kind::Choice(&["Refuse", "Next"]), Is("Refuse"), Ours,
        "A store is unavailable, throttled, late or malformed: the pod is refused with 503 so that Flyte tries again, or the next manager is asked, as in Flyte."),
    row("webhook.onCollision", Kind::Choice(&["Warn", "Refuse"]), Is("Warn"), Ours,
        "Two requests of a pod end in one variable or file with different sources: the later one wins with a warning, or the pod is refused."),
    row("webhook.initContainerPlacement", Kind::Choice(&["AfterSidecars", "First", "Last"]), Is("AfterSidecars"), Ours,
        "Where fetch containers stand among the init containers: before the first that is not a native sidecar, before all, or behind all, as in Flyte."),
    row("webhook.metrics-prefix", Kind::Text, Is("flyte:"), Flyte, "In front of the names of metrics."),
    row("webhook.metricsPort", Kind::Port, Is("10254"), Ours, "The plain HTTP port of `/healthz`, `/readyz` and `/metrics`."),
    row("webhook.certDir", Kind::Path, Is("/etc/webhook/certs"), Flyte,
        "The folder of `ca.crt`, `tls.crt` and `tls.key`. `$VAR` and `${VAR}` are replaced."),
    row("webhook.localCert", Kind::Bool, Is("false"), Flyte, "Whether `init-certs` also writes the certificates to `certDir`."),
    row("webhook.listenPort", Kind::Port, Is("9443"), Flyte, "The port of the admission webhook (HTTPS)."),
    row("webhook.cacheInvalidationPort", Kind::PortOrOff, Is("9444"), Flyte2, "The port of `POST /invalidate-secret`; 0 turns it off."),
    row("webhook.serviceName", Kind::Name, Is("flyte-pod-webhook"), Flyte, "The Service of the webhook; also the name of its registration."),
    row("webhook.servicePort", Kind::Port, Is("443"), Flyte, "The port of that Service."),
    row("webhook.secretName", Kind::Name, Is("flyte-pod-webhook"), Flyte, "The Secret of the certificates, in the namespace of the webhook."),
    row("webhook.url", Kind::HttpsUrl, Is(""), Ours, "Registers this `https://` URL instead of the Service, for a webhook outside the cluster."),
    row("webhook.webhookTimeout", Kind::Seconds, Is("30s"), Flyte2,
        "How long the API server waits for an answer: a number of seconds, or a duration."),
    row("webhook.disableCreateMutatingWebhookConfig", Kind::Bool, Is("false"), Flyte2,
        "Leaves the MutatingWebhookConfiguration to somebody else, the Helm chart for example."),
    row("webhook.namespaceSelector", Kind::LabelSelector, Is("{}"), Flyte2,
        "A Kubernetes label selector: only pods in namespaces with such labels come to the webhook. Empty: all."),
    row("webhook.kubeClientConfig.qps", Kind::Count, Is("100"), Flyte2, "Requests a second to the API server; 0 stands for 5."),
    row("webhook.kubeClientConfig.burst", Kind::Count, Is("25"), Flyte2, "Requests that may exceed `qps` at once; 0 stands for 10."),
    row("webhook.kubeClientConfig.timeout", Kind::Duration, Is("30s"), Flyte2, "How long one request to the API server may take; 0 stands for 30s."),
    row("webhook.k8sSecretManager.deny", Kind::SecretPatterns, Is(""), Ours,
        "Secrets that the K8s manager never hands out: `name` or `namespace/name`, `*` for anything. The Secret of the certificates and those of the Secret service are always denied."),
    row("webhook.awsSecretManager.sidecarImage", Kind::Image, Is("docker.io/amazon/aws-secrets-manager-secret-sidecar:v0.1.4"), Flyte, "The image of the fetch container."),
    row("webhook.awsSecretManager.resources", Kind::Resources, Is(STEP), Flyte, "Its resources."),
    row("webhook.gcpSecretManager.sidecarImage", Kind::Image, Is("gcr.io/google.com/cloudsdktool/cloud-sdk:alpine"), Flyte, "The image of the fetch container."),
    row("webhook.gcpSecretManager.resources", Kind::Resources, Is(STEP), Flyte, "Its resources."),
    row("webhook.azureSecretManager.sidecarImage", Kind::Image, Is("mcr.microsoft.com/azure-cli:cbl-mariner2.0"), Flyte2, "The image of the fetch container."),
    row("webhook.azureSecretManager.resources", Kind::Resources, Is(STEP), Flyte2, "Its resources."),
    row("webhook.vaultSecretManager.role", Kind::Text, Is("flyte"), Flyte, "The Vault role of the pods."),
    row("webhook.vaultSecretManager.kvVersion", Kind::Choice(&["1", "2"]), Is("2"), Flyte,
        "The version of the KV engine where the request names none. Deprecated: name it as the group version of the request."),
    row("webhook.vaultSecretManager.annotations", Kind::Annotations, Is("{}"), Flyte, "Annotations for every pod, over those of the manager. Their names keep their case."),
    row("webhook.embeddedSecretManagerConfig.type", Kind::Choice(&["AWS", "GCP", "Azure", "K8s", "Local"]), Is("K8s"), Flyte2,
        "The store of the Embedded manager. `Local` is ours: one encrypted file."),
    row("webhook.embeddedSecretManagerConfig.awsConfig.region", Kind::Text, Is(""), Flyte2, "The AWS region. Empty: the one of the environment."),
    row("webhook.embeddedSecretManagerConfig.gcpConfig.project", Kind::Text, Is(""), Flyte2, "The Google Cloud project; needed for `type: GCP`."),
    row("webhook.embeddedSecretManagerConfig.azureConfig.vaultURI", Kind::HttpsUrl, Is(""), Flyte2, "The URI of the Key Vault; needed for `type: Azure`."),
    row("webhook.embeddedSecretManagerConfig.k8sConfig.namespace", Kind::Name, Is("flyte"), Flyte2, "The namespace of the stored Secrets."),
    row("webhook.embeddedSecretManagerConfig.k8sConfig.kubeClientConfig.qps", Kind::Count, Unset, Flyte2, "As `webhook.kubeClientConfig.qps`, for this store; not set or 0: that one."),
    row("webhook.embeddedSecretManagerConfig.k8sConfig.kubeClientConfig.burst", Kind::Count, Unset, Flyte2, "As `webhook.kubeClientConfig.burst`, for this store; not set or 0: that one."),
    row("webhook.embeddedSecretManagerConfig.k8sConfig.kubeClientConfig.timeout", Kind::Duration, Unset, Flyte2, "As `webhook.kubeClientConfig.timeout`, for this store; not set or 0: that one."),
    row("webhook.embeddedSecretManagerConfig.localConfig.file", Kind::Path, Is(""), Ours, "The file of the local store. Empty: the store's own place. `$VAR` is replaced."),
    row("webhook.embeddedSecretManagerConfig.localConfig.keyFile", Kind::Path, Is(""), Ours, "The file with the key of the local store. Empty: the store's own place. `$VAR` is replaced."),
    row("webhook.embeddedSecretManagerConfig.fileMountInitContainer.image", Kind::Image, Is("public.ecr.aws/docker/library/busybox:latest"), Flyte2, "The image of the container that writes files."),
    row("webhook.embeddedSecretManagerConfig.fileMountInitContainer.resources", Kind::Resources,
        Is("{limits: {cpu: 100m, memory: 100Mi}, requests: {cpu: 100m, memory: 100Mi}}"), Flyte2, "Its resources."),
    row("webhook.embeddedSecretManagerConfig.fileMountInitContainer.containerName", Kind::Name, Is("init-embedded-secret"), Flyte2, "Its name."),
    row("webhook.embeddedSecretManagerConfig.imagePullSecrets.enabled", Kind::Bool, Is("false"), Flyte2, "Whether image-pull Secrets are mirrored and added to pods."),
    row("webhook.imageBuilderConfig", Kind::Ignored, Unset, Flyte2, "Belongs to another part of Flyte and has no effect here."),

    row("secrets.type", Kind::Choice(&["local"]), Is("local"), Flyte, "Where the Global manager looks: environment and files of the webhook itself."),
    row("secrets.secrets-prefix", Kind::NonEmpty("files would be looked up in the working directory"), Is("/etc/secrets"), Flyte, "The folder of the files: `<secrets-prefix>/<group>/<key>`."),
    row("secrets.env-prefix", Kind::NonEmpty("every variable of the webhook's process could be asked for"), Is("FLYTE_SECRET_"), Flyte, "In front of the names of the variables: `<env-prefix><GROUP>_<KEY>`."),

    row("secret.server.host", Kind::Text, Is("0.0.0.0"), Flyte2, "The address of the Secret service."),
    row("secret.server.port", Kind::Port, Is("8093"), Flyte2, "The port of the Secret service."),
    row("secret.webhookURL", Kind::Text, Is("http://localhost:9444"), Flyte2, "Where the Secret service invalidates caches; every address of the host."),
    row("secret.kubernetes.namespace", Kind::OptionalName, Unset, Flyte2, "The namespace in which the Secret service stores; the K8s manager hands nothing stored there out."),
    row("secret.kubernetes.qps", Kind::Count, Unset, Flyte2, "Requests a second of the Secret service to the API server."),
    row("secret.kubernetes.burst", Kind::Count, Unset, Flyte2, "Requests that may exceed `qps` at once."),
    row("secret.kubernetes.timeout", Kind::Duration, Unset, Flyte2, "How long one request of the Secret service to the API server may take."),
    row("secret.kubernetes.clusterName", Kind::Text, Unset, Flyte2, "The name of the cluster."),

    row("logger.level", Kind::Choice(&["error|panic|fatal|0|1|2", "warn|warning|3", "info|4", "debug|5", "trace|6"]), Is("info"), Flyte,
        "The least severe messages that are logged, by name or by Flyte's number."),
    row("logger.formatter.type", Kind::Choice(&["json|gcp", "text"]), Is("json"), Flyte, "How log lines are written."),
];

/// What a path names.
pub(crate) enum Named {
    /// A key.
    Key(&'static Key),
    /// A mapping with keys below, spelled as in the table.
    Section(&'static str),
    /// Nothing.
    Unknown,
}

/// Finds a path, without regard to case.
pub(crate) fn find(path: &str) -> Named {
    for key in KEYS {
        if key.path.eq_ignore_ascii_case(path) || matches!(key.kind, Kind::Ignored) && is_below(path, key.path) {
            return Named::Key(key);
        }
        let start = key.path.split_at_checked(path.len());
        if let Some((section, rest)) = start
            && rest.starts_with('.')
            && section.eq_ignore_ascii_case(path)
        {
            return Named::Section(section);
        }
    }
    Named::Unknown
}

fn is_below(path: &str, parent: &str) -> bool {
    let parts = path.split_at_checked(parent.len());
    parts.is_some_and(|(start, rest)| start.eq_ignore_ascii_case(parent) && rest.starts_with('.'))
}

/// Whether the path lies in the section that is read leniently.
pub(crate) fn is_lenient(path: &str) -> bool {
    path.split('.').next().is_some_and(|section| section.eq_ignore_ascii_case(LOGGER))
}

/// How like two names must be for the one to be proposed for the other; `0..=1`.
const LIKENESS: f64 = 0.6;

/// The known key or section that was most likely meant: one that stands at the same place and has a
/// similar name, or one of the same name at another place of the section.
pub(crate) fn nearest(path: &str) -> Option<&'static str> {
    let wanted = path.to_ascii_lowercase();
    let (parent, name) = wanted.rsplit_once('.').unwrap_or(("", &wanted));
    let siblings = KEYS.iter().filter_map(|key| sibling(key.path, parent));
    let similar = siblings
        .map(|known| (strsim::normalized_damerau_levenshtein(name, &last(known).to_ascii_lowercase()), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    similar.map(|(_, known)| known).or_else(|| {
        let mut elsewhere = KEYS.iter().filter(|key| last(key.path).eq_ignore_ascii_case(name));
        let found = elsewhere.next().filter(|key| wanted.starts_with(key.section()))?;
        elsewhere.next().is_none().then_some(found.path)
    })
}

/// The path of `known` cut behind the member of `parent`, if it lies below `parent`.
fn sibling<'a>(known: &'a str, parent: &str) -> Option<&'a str> {
    let (start, rest) = known.split_at_checked(parent.len())?;
    let rest = if parent.is_empty() { rest } else { rest.strip_prefix('.')? };
    let name = rest.split('.').next()?;
    start.eq_ignore_ascii_case(parent).then(|| &known[..known.len() - rest.len() + name.len()])
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment;
    use crate::kinds;
    use crate::origin::Source;
    use std::collections::HashSet;

    #[test]
    fn every_default_is_a_value_that_its_key_accepts() {
        for key in KEYS {
            for profile in [Profile::Flyte1, Profile::Flyte2] {
                let Some(text) = key.default_text(profile) else { continue };
                let mut errors = Vec::new();
                assert!(kinds::read_text(key, text, &Source::Default, &mut errors).is_some(), "{}: {text}", key.path);
                assert_eq!(errors, [], "{}", key.path);
            }
        }
    }

    #[test]
    fn no_two_keys_share_a_path_or_a_variable() {
        let mut names = HashSet::new();
        for key in KEYS {
            assert!(SECTIONS.contains(&key.section()), "{}", key.path);
            for name in environment::names(key) {
                assert!(names.insert(name.clone()), "{name}");
            }
        }
    }

    #[test]
    fn no_key_lies_below_another() {
        for key in KEYS {
            assert!(matches!(find(key.path), Named::Key(found) if found.path == key.path), "{}", key.path);
            let parents = key.path.match_indices('.').map(|(end, _)| &key.path[..end]);
            for parent in parents {
                assert!(matches!(find(parent), Named::Section(section) if section == parent), "{parent}");
            }
        }
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        let cases = [
            ("webhook.certDirr", Some("webhook.certDir")),
            ("webhook.cert-dir", Some("webhook.certDir")),
            ("WEBHOOK.LISTENPROT", Some("webhook.listenPort")),
            ("webhook.secretManagersTypes", Some("webhook.secretManagerTypes")),
            ("webhook.embeddedSecretManager", Some("webhook.embeddedSecretManagerConfig")),
            (
                "webhook.embeddedSecretManagerConfig.awsConfig.regin",
                Some("webhook.embeddedSecretManagerConfig.awsConfig.region"),
            ),
            ("webhook.vaultURI", Some("webhook.embeddedSecretManagerConfig.azureConfig.vaultURI")),
            ("webhook.kvVersion", Some("webhook.vaultSecretManager.kvVersion")),
            ("secrets.prefix", Some("secrets.env-prefix")),
            ("webhook.qqq", None),
            ("webhook.é", None),
        ];
        for (path, expected) in cases {
            assert_eq!(nearest(path), expected, "{path}");
        }
    }
}
