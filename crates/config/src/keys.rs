//! The keys: one row each. Parsing, flags, environment, errors and the reference follow from here.

use std::time::Duration;

use flyte_secrets_core::Profile;

use crate::items::Item;
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
pub(crate) const SECTIONS: [&str; 5] = ["webhook", "secrets", "secret", "cache", "logger"];

/// Flyte's sections for every component: keys of them that are not in the table are others'.
const SHARED: [&str; 2] = ["cache", "logger"];

const fn row(path: &'static str, kind: Kind, default: Preset, since: Since, doc: &'static str) -> Key {
    Key { path, kind, default, doc, since }
}

use Preset::{ByProfile, Is, Unset};
use Since::{Flyte, Flyte2, Ours};

const STEP: &str = "{limits: {cpu: 200m, memory: 500Mi}, requests: {cpu: 200m, memory: 500Mi}}";
const STORES: &[&str] = &["AWS", "GCP", "Azure", "K8s", "Vault", "Http", "Local"];

const DAY: u64 = 24 * 3600;
const YEAR: Duration = Duration::from_secs(365 * DAY);
/// Times that a mirror may wait.
const MIRROR: Kind = Kind::DurationIn(Duration::from_secs(1), YEAR);
/// Nobody waits longer for the endpoints of a Service to change.
const SHUTDOWN_DELAY: Kind = Kind::DurationIn(Duration::ZERO, Duration::from_secs(600));
/// Lives of certificates.
const CERTIFICATE: Kind = Kind::DurationIn(Duration::from_secs(1), Duration::from_secs(3650 * DAY));
const OVERLAP: Kind = Kind::DurationIn(Duration::from_secs(1), Duration::from_secs(30 * DAY));
const SKEW: Kind = Kind::DurationIn(Duration::ZERO, Duration::from_secs(DAY));
/// One call to a store.
const CALL: Kind = Kind::DurationIn(Duration::from_millis(10), Duration::from_secs(600));

/// All keys, in the order of the reference.
#[rustfmt::skip]
pub(crate) const KEYS: &[Key] = &[
    row("webhook.profile", Kind::Choice(&["flyte1", "flyte2"]), Is("flyte2"), Ours,
        "Whose behaviour is reproduced where Flyte 1 and Flyte 2 differ. A program called `flytepropeller` implies `flyte1`."),
    row("webhook.secretManagerTypes", Kind::Managers, Is(""), Flyte2,
        "The secret managers in the order they are asked, behind Global, which is always asked first. Empty: `secretManagerType`."),
    row("webhook.secretManagerType", Kind::Manager, ByProfile { flyte1: "K8s", flyte2: "Embedded" }, Flyte,
        "The one secret manager asked behind Global where `secretManagerTypes` is empty. Deprecated in Flyte 2."),
    row("webhook.secretEnvVarPrefix", Kind::Text, ByProfile { flyte1: "_FSEC_", flyte2: "_UNION_" }, Flyte2,
        "In front of the names of variables with secrets. Fixed in the profile `flyte1`."),
    row("webhook.delivery", Kind::Choice(&["SecretRef", "PodSpec"]), Is("SecretRef"), Ours,
        "How values that the webhook itself reads (Global, Embedded) reach the container. `SecretRef`: by reference to a Secret in the pod's namespace, the stored one itself or a mirror of it. `PodSpec`: they stand in the Pod object, as in Flyte, where whoever may read pods reads them."),
    row("webhook.mirrorRetention", MIRROR, Is("168h"), Ours,
        "How long a mirror that no pod needs any more is kept. A warning below 10m."),
    row("webhook.mirrorGrace", MIRROR, Is("90s"), Ours,
        "How long a mirror then waits for its removal, so that a pod that is being admitted can still claim it. A warning below 80s: an API server takes up to 60s to store a pod (`--request-timeout`), and a request of ours up to 15s."),
    row("webhook.accessPolicy.mode", Kind::Choice(&["Enforce", "Audit", "Off"]), Is("Enforce"), Ours,
        "What happens when a pod asks for a value of a project to which it does not belong, where the webhook's own identity reads the value (Global, Embedded). `Enforce`: the request is not served. `Audit`: it is served with a warning, a metric and a log line. `Off`: the labels of a pod are believed, as in Flyte."),
    row("webhook.accessPolicy.organizations", Kind::List(Item::LabelValue), Is("flyte"), Ours,
        "Values that the label `organization` may have."),
    row("webhook.accessPolicy.domains", Kind::List(Item::LabelValue), Is(""), Ours,
        "Domains of the installation. Those with a `-` have to be here: they are what tells project `a-b`, domain `c` from project `a`, domain `b-c`."),
    row("webhook.accessPolicy.namespaces", Kind::List(Item::NamespaceTemplate), ByProfile { flyte1: "{project}-{domain}", flyte2: "{project}-{domain},flyte" }, Ours,
        "Namespaces in which Flyte runs the pods of a project: templates with `{organization}`, `{project}` and `{domain}`, or the name of a namespace that is open to every project. In YAML a template stands in quotes."),
    row("webhook.accessPolicy.trustedCreators", Kind::List(Item::UserName), Is(""), Ours,
        "User names that may create pods with requests, for example `system:serviceaccount:flyte:flytepropeller`. Empty: everybody."),
    row("webhook.accessPolicy.denySecrets", Kind::List(Item::SecretPattern), Is(""), Ours,
        "Secrets that the K8s manager and those described in configuration never hand out: `name` or `namespace/name`, `*` for anything. The Secrets of the certificates and of their CAs, mirrors and the Secrets of the Secret service are always denied."),
    row("webhook.onUnserved", Kind::Choice(&["Refuse", "Admit"]), ByProfile { flyte1: "Admit", flyte2: "Refuse" }, Ours,
        "A request that cannot be read or that no manager serves: the pod is refused, or admitted unchanged with a warning."),
    row("webhook.onManagerFailure", Kind::Choice(&["Refuse", "Next"]), Is("Refuse"), Ours,
        "A store is unavailable, throttled, late or malformed: the pod is refused with 503 so that Flyte tries again, or the next manager is asked, as in Flyte."),
    row("webhook.onCollision", Kind::Choice(&["Warn", "Refuse"]), Is("Warn"), Ours,
        "Two requests of a pod end in one variable or file with different sources: the later one wins with a warning, or the pod is refused."),
    row("webhook.initContainerPlacement", Kind::Choice(&["AfterSidecars", "First", "Last"]), Is("AfterSidecars"), Ours,
        "Where fetch containers stand among the init containers: before the first that is not a native sidecar, before all, or behind all, as in Flyte."),
    row("webhook.initContainerSecurityContext", Kind::Choice(&["None", "Restricted"]), Is("None"), Ours,
        "The security context of the init containers that the webhook adds. `None`: none, as in Flyte. `Restricted`: what the Pod Security Standard `restricted` asks for (no privilege escalation, no capabilities, not root, seccomp RuntimeDefault; a read-only root file system for the writer of Embedded files). Their images then run as a user that is not root: the image's, or `runAsUser` of the pod's own security context."),
    row("webhook.k8s.checkExists", Kind::Choice(&["Off", "Warn", "Refuse"]), Is("Off"), Ours,
        "Whether the K8s manager looks if a Secret and its key are in the pod's namespace. `Off`: no, as in Flyte, and a task starts without what is missing. `Warn`: the pod gets a warning. `Refuse`: the manager does not serve the request, and where no other does `onUnserved` decides about the pod, so in the profile `flyte1` set that to `Refuse` too. Needs the verb get on Secrets in the namespaces of pods; where the API server does not say, `Warn` warns and `Refuse` answers 503."),
    row("webhook.metrics-prefix", Kind::Text, Is("flyte:"), Flyte, "In front of the names of metrics."),
    row("webhook.events.enabled", Kind::Bool, Is("true"), Ours,
        "Whether Kubernetes Events tell of pods that are refused, at the controllers of those pods. Needs rights of its own; without them it is said once that there are no Events."),
    row("webhook.tracing.endpoint", Kind::Url, Is(""), Ours,
        "The address of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://collector:4318`; `/v1/traces` is added. Empty: `OTEL_EXPORTER_OTLP_ENDPOINT`, and without that no traces. The other standard `OTEL_` variables count too: sampler, queue, headers."),
    row("webhook.tracing.caFile", Kind::Path, Is(""), Ours, "A PEM file of CAs to trust besides those of the system. `$VAR` is replaced."),
    row("webhook.metricsPort", Kind::Port, Is("10254"), Ours, "The plain HTTP port of `/healthz`, `/readyz` and `/metrics`."),
    row("webhook.certDir", Kind::Path, Is("/etc/webhook/certs"), Flyte,
        "The folder of `ca.crt`, `tls.crt` and `tls.key`. `$VAR` and `${VAR}` are replaced."),
    row("webhook.localCert", Kind::Bool, Is("false"), Flyte, "Whether `init-certs` also writes the certificates to `certDir`."),
    row("webhook.listenPort", Kind::Port, Is("9443"), Flyte, "The port of the admission webhook (HTTPS)."),
    row("webhook.cacheInvalidationPort", Kind::PortOrOff, Is("9444"), Flyte2, "The port of `POST /invalidate-secret`; 0 turns it off."),
    row("webhook.invalidation.authentication", Kind::Choice(&["None", "TokenReview"]), Is("None"), Ours,
        "Who may call `POST /invalidate-secret`. `None`: everybody who reaches the port, since Flyte's Secret service sends no token. `TokenReview`: whoever sends the token of a ServiceAccount (`Authorization: Bearer`), about which the API server is asked; needs the verb create on `tokenreviews`, which the ClusterRole `system:auth-delegator` holds."),
    row("webhook.invalidation.allowedServiceAccounts", Kind::List(Item::ServiceAccount), Is(""), Ours,
        "The ServiceAccounts that may, as `namespace/name`; needs `authentication: TokenReview`. Empty: every ServiceAccount."),
    row("webhook.invalidation.perIdPerMinute", Kind::Positive, Is("30"), Ours,
        "How many times a minute one secret is dropped from the cache. What comes in excess is dropped once, as soon as that is allowed again."),
    row("webhook.invalidation.perMinute", Kind::Positive, Is("600"), Ours,
        "How many times a minute all secrets together are. Up to 1024 secrets in excess are remembered; where pods of others reach the port, let a NetworkPolicy or `authentication` keep them from using that up."),
    row("webhook.serviceName", Kind::Name, Is("flyte-pod-webhook"), Flyte, "The Service of the webhook; also the name of its registration."),
    row("webhook.servicePort", Kind::Port, Is("443"), Flyte, "The port of that Service."),
    row("webhook.secretName", Kind::Name, Is("flyte-pod-webhook"), Flyte, "The Secret of the certificates, in the namespace of the webhook."),
    row("webhook.certificates.mode", Kind::OptionalChoice(&["files", "auto", "cert-manager"]), Is(""), Ours,
        "Who makes the serving certificate. `files`: whoever writes `certDir`, `init-certs` for example; changed files are followed. `auto`: every replica for itself, by CAs that all share in a Secret; everything is replaced in time. `cert-manager`: as `files`, and cert-manager keeps the `caBundle`. Empty: `auto`, but `files` where `certDir` holds a certificate at the start, with `localCert`, with `disableCreateMutatingWebhookConfig`, without `POD_NAMESPACE` and in the profile `flyte1`, whose Job writes the files."),
    row("webhook.certificates.caSecretName", Kind::OptionalName, Is(""), Ours,
        "The Secret of the CAs in mode `auto`. Empty: `serviceName` with `-ca` behind it."),
    row("webhook.certificates.caSecretNamespace", Kind::OptionalName, Is(""), Ours,
        "Its namespace; best one in which no tasks run. Empty: the namespace of the webhook."),
    row("webhook.certificates.caLifetime", CERTIFICATE, Is("8760h"), Ours,
        "How long a CA is valid in mode `auto`. It is replaced when a third is left, so it has to be three times `leafLifetime`, `caOverlap` and three times `clockSkew` together."),
    row("webhook.certificates.leafLifetime", CERTIFICATE, Is("24h"), Ours,
        "How long a serving certificate is valid in mode `auto`, and how long a replica may be cut off from the API server. It is replaced when a third is left; at least four times `clockSkew`."),
    row("webhook.certificates.caOverlap", OVERLAP, Is("10m"), Ours,
        "How long a new CA stands in the registration before anything is signed by it, because API servers learn of it late. A warning below 1m."),
    row("webhook.certificates.clockSkew", SKEW, Is("5m"), Ours,
        "How much the clocks of any two machines may differ."),
    row("webhook.certificates.certManagerCertificate", Kind::OptionalNamespacedName, Is(""), Ours,
        "The Certificate of cert-manager, as `namespace/name`, whose CA its cainjector puts into the registration; needed in mode `cert-manager`."),
    row("webhook.url", Kind::HttpsUrl, Is(""), Ours, "Registers this `https://` URL instead of the Service, for a webhook outside the cluster."),
    row("webhook.webhookTimeout", Kind::Seconds, Is("30s"), Flyte2,
        "How long the API server waits for an answer: a number of seconds, or a duration."),
    row("webhook.shutdownDelay", SHUTDOWN_DELAY, Is("10s"), Ours,
        "How long the webhook goes on serving after it was told to end, no longer ready: longer than Kubernetes takes to tell every API server that this replica is gone. The pod's `terminationGracePeriodSeconds` is this, `webhookTimeout` and 5 seconds."),
    row("webhook.disableCreateMutatingWebhookConfig", Kind::Bool, Is("false"), Flyte2,
        "Leaves the MutatingWebhookConfiguration to somebody else, the Helm chart for example."),
    row("webhook.namespaceSelector", Kind::LabelSelector, Is("{}"), Flyte2,
        "A Kubernetes label selector: only pods in namespaces with such labels come to the webhook. Empty: all."),
    row("webhook.registration.failurePolicy", Kind::Choice(&["Fail", "Ignore"]), Is("Fail"), Ours,
        "What becomes of a pod with requests when the webhook cannot be asked: it is refused, as in Flyte, or starts without its secrets."),
    row("webhook.registration.reinvocationPolicy", Kind::Choice(&["IfNeeded", "Never"]), Is("IfNeeded"), Ours,
        "Whether the webhook is asked again when another one has changed the pod since. A second pass serves only what came in between. Flyte: never."),
    row("webhook.registration.matchConditions", Kind::MatchConditions, Is("[]"), Ours,
        "CEL expressions that a pod must meet to come to the webhook, as Kubernetes has them: a list of `name` and `expression`. They hold besides our own ([the registration](registration.md)) and those that were set by hand."),
    row("webhook.registration.adoptedCaRetention", Kind::DurationIn(Duration::from_secs(1), YEAR), Is("24h"), Ours,
        "How long a CA that others have registered stays trusted, so that replicas whose certificate it has signed can end. A warning below 10m."),
    row("webhook.registration.refresh", Kind::DurationIn(Duration::from_secs(1), Duration::from_secs(3600)), Is("5m"), Ours,
        "How often the registration is read, to put back what others have changed. Where RBAC lets us watch it, changes are seen at once."),
    row("webhook.kubeClientConfig.qps", Kind::Count, Is("100"), Flyte2, "Requests a second to the API server; 0 stands for 5."),
    row("webhook.kubeClientConfig.burst", Kind::Count, Is("25"), Flyte2, "Requests that may exceed `qps` at once; 0 stands for 10."),
    row("webhook.kubeClientConfig.timeout", Kind::Duration, Is("30s"), Flyte2, "How long one request to the API server may take; 0 stands for 30s."),
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
    row("webhook.customSecretManagers", Kind::CustomManagers, Is("[]"), Ours,
        "Secret managers without code: what a request adds to a pod, as templates ([custom-managers.md](custom-managers.md)). Their names can then stand in `secretManagerTypes`. One of a later file replaces that of the same name."),
    row("webhook.embeddedSecretManagerConfig.type", Kind::Choice(STORES), Is("K8s"), Flyte2,
        "The store of the Embedded manager, where `types` is empty. Ours: `Vault` (HashiCorp Vault, OpenBao), `Http` (anything that speaks our small protocol), `Local` (one encrypted file)."),
    row("webhook.embeddedSecretManagerConfig.types", Kind::Choices(STORES), Is(""), Ours,
        "Several stores, in the order they are asked. Empty: `type`."),
    row("webhook.embeddedSecretManagerConfig.scopes", Kind::Choice(&["Parallel", "Sequential"]), Is("Parallel"), Ours,
        "Whether the scopes of a secret (project, domain, organization) and the stores are asked all at once, or one after another, as in Flyte, for stores that are paid by the call. The answer is the same."),
    row("webhook.embeddedSecretManagerConfig.concurrentCalls", Kind::Positive, Is("64"), Ours, "Calls to one store at a time."),
    row("webhook.embeddedSecretManagerConfig.callTimeout", CALL, Is("10s"), Ours, "How long one call to a store may take."),
    row("webhook.embeddedSecretManagerConfig.notFoundTtl", Kind::Duration, Is("10s"), Ours, "How long it is remembered that a store does not have a secret; 0 asks every time, as in Flyte."),
    row("webhook.embeddedSecretManagerConfig.staleIfUnavailable", Kind::DurationIn(Duration::ZERO, YEAR), Is("0s"), Ours,
        "For how long after it has expired a value may still be served while its store is down or throttled; 0 turns that off."),
    row("webhook.embeddedSecretManagerConfig.awsConfig.region", Kind::Text, Is(""), Flyte2, "The AWS region. Empty: the one of the environment."),
    row("webhook.embeddedSecretManagerConfig.awsConfig.endpoint", Kind::Url, Is(""), Ours, "Another address of AWS Secrets Manager, for a private endpoint for example."),
    row("webhook.embeddedSecretManagerConfig.awsConfig.batch", Kind::Bool, Is("true"), Ours, "Whether many secrets are read by one `BatchGetSecretValue`, where IAM permits it."),
    row("webhook.embeddedSecretManagerConfig.gcpConfig.project", Kind::Text, Is(""), Flyte2, "The Google Cloud project; needed for `GCP`."),
    row("webhook.embeddedSecretManagerConfig.gcpConfig.endpoint", Kind::Url, Is(""), Ours, "Another address of Secret Manager."),
    row("webhook.embeddedSecretManagerConfig.gcpConfig.anonymous", Kind::Bool, Is("false"), Ours, "Whether no credentials are sent, for a test server at `endpoint`."),
    row("webhook.embeddedSecretManagerConfig.azureConfig.vaultURI", Kind::HttpsUrl, Is(""), Flyte2, "The URI of the Key Vault; needed for `Azure`."),
    row("webhook.embeddedSecretManagerConfig.azureConfig.caFile", Kind::Path, Is(""), Ours, "A PEM file of CAs to trust besides those of the system. `$VAR` is replaced."),
    row("webhook.embeddedSecretManagerConfig.k8sConfig.namespace", Kind::Name, Is("flyte"), Flyte2, "The namespace of the stored Secrets."),
    row("webhook.embeddedSecretManagerConfig.k8sConfig.watch", Kind::Bool, Is("true"), Ours, "Whether that namespace is watched, so that a Secret that changes leaves the cache at once. Needs the verbs list and watch."),
    row("webhook.embeddedSecretManagerConfig.k8sConfig.kubeClientConfig.qps", Kind::Count, Unset, Flyte2, "As `webhook.kubeClientConfig.qps`, for this store; not set or 0: that one."),
    row("webhook.embeddedSecretManagerConfig.k8sConfig.kubeClientConfig.burst", Kind::Count, Unset, Flyte2, "As `webhook.kubeClientConfig.burst`, for this store; not set or 0: that one."),
    row("webhook.embeddedSecretManagerConfig.k8sConfig.kubeClientConfig.timeout", Kind::Duration, Unset, Flyte2, "As `webhook.kubeClientConfig.timeout`, for this store; not set or 0: that one."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.address", Kind::Url, Is(""), Ours, "The address of Vault or OpenBao; needed for `Vault`."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.namespace", Kind::Text, Is(""), Ours, "The Vault namespace. Empty: none."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.mount", Kind::NonEmpty("a KV engine is always mounted somewhere"), Is("secret"), Ours, "Where the KV engine is mounted."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.pathPrefix", Kind::Text, Is(""), Ours, "The path below it, in front of the secret's id."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.kvVersion", Kind::Choice(&["1", "2"]), Is("2"), Ours, "The version of the KV engine."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.field", Kind::NonEmpty("a KV secret is a set of named fields"), Is("value"), Ours, "The field that holds the value."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.caFile", Kind::Path, Is(""), Ours, "A PEM file of CAs to trust besides those of the system. `$VAR` is replaced."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.auth.method", Kind::Choice(&["Kubernetes", "JWT", "AppRole", "Token"]), Is("Kubernetes"), Ours, "How the webhook logs in."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.auth.mount", Kind::Text, Is(""), Ours, "Where the method is mounted. Empty: `kubernetes`, `jwt` or `approle`."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.auth.role", Kind::Text, Is(""), Ours, "The role; needed for `Kubernetes` and `JWT`."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.auth.tokenFile", Kind::Path, Is(""), Ours,
        "The file of the token: needed for `JWT`; empty, it is the one of the pod's ServiceAccount for `Kubernetes` and the variable `VAULT_TOKEN` for `Token`. `$VAR` is replaced."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.auth.roleId", Kind::Text, Is(""), Ours, "The role id; needed for `AppRole`."),
    row("webhook.embeddedSecretManagerConfig.vaultConfig.auth.secretIdFile", Kind::Path, Is(""), Ours, "The file of the secret id; needed for `AppRole`. `$VAR` is replaced."),
    row("webhook.embeddedSecretManagerConfig.httpConfig.url", Kind::Url, Is(""), Ours, "The address of a server that speaks our HTTP protocol for stores; needed for `Http`."),
    row("webhook.embeddedSecretManagerConfig.httpConfig.tokenFile", Kind::Path, Is(""), Ours, "The file of the bearer token. `$VAR` is replaced."),
    row("webhook.embeddedSecretManagerConfig.httpConfig.clientCert", Kind::Path, Is(""), Ours, "The PEM file of our certificate, for mTLS; with `clientKey`. `$VAR` is replaced."),
    row("webhook.embeddedSecretManagerConfig.httpConfig.clientKey", Kind::Path, Is(""), Ours, "The PEM file of its private key. `$VAR` is replaced."),
    row("webhook.embeddedSecretManagerConfig.httpConfig.caFile", Kind::Path, Is(""), Ours, "A PEM file of CAs to trust besides those of the system. `$VAR` is replaced."),
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

    row("secret.store", Kind::Choice(&["K8s", "Local", "AWS", "GCP", "Azure", "Vault"]), Is("K8s"), Ours,
        "Where the Secret service keeps secrets. `K8s`: in Secrets of `secret.kubernetes.namespace`, as in Flyte. The others: in the store that `webhook.embeddedSecretManagerConfig` describes under that name (`localConfig`, `awsConfig`, …)."),
    row("secret.server.host", Kind::Text, Is("0.0.0.0"), Flyte2, "The address of the Secret service."),
    row("secret.server.port", Kind::Port, Is("8093"), Flyte2, "The port of the Secret service."),
    row("secret.server.metricsPort", Kind::Port, Is("8094"), Ours, "The plain HTTP port of `/healthz`, `/readyz` and `/metrics` of the Secret service."),
    row("secret.server.certDir", Kind::Path, Is(""), Ours,
        "The folder of `tls.crt` and `tls.key` of the Secret service, which are followed when they change. Empty: plain HTTP, as in Flyte. `$VAR` and `${VAR}` are replaced."),
    row("secret.server.shutdownDelay", SHUTDOWN_DELAY, Is("5s"), Ours, "How long the Secret service goes on serving after it was told to end, no longer ready."),
    row("secret.webhookURL", Kind::Text, Is("http://localhost:9444"), Flyte2, "Where the Secret service invalidates caches; every address of the host. Empty: nowhere."),
    row("secret.webhookTokenFile", Kind::Path, Is(""), Ours,
        "The file of the token that it sends there (`Authorization: Bearer`), for `webhook.invalidation.authentication: TokenReview`. Empty: none, as in Flyte. `$VAR` is replaced."),
    row("secret.kubernetes.namespace", Kind::OptionalName, Unset, Flyte2, "The namespace in which the Secret service stores; the K8s manager hands nothing stored there out. Not set: that of `webhook.embeddedSecretManagerConfig.k8sConfig`."),
    row("secret.kubernetes.qps", Kind::Count, Unset, Flyte2, "Requests a second of the Secret service to the API server."),
    row("secret.kubernetes.burst", Kind::Count, Unset, Flyte2, "Requests that may exceed `qps` at once."),
    row("secret.kubernetes.timeout", Kind::Duration, Unset, Flyte2, "How long one request of the Secret service to the API server may take."),
    row("secret.kubernetes.clusterName", Kind::Text, Unset, Flyte2, "The name of the cluster."),
    row("secret.authentication.modes", Kind::Choices(&["TokenReview", "OIDC"]), Is(""), Ours,
        "How callers of the Secret service show who they are, with a bearer token. `TokenReview`: as a ServiceAccount, which the API server confirms. `OIDC`: as a user, which an issuer of OpenID Connect has signed. Empty: nobody is asked, as in Flyte."),
    row("secret.authentication.tokenReview.audiences", Kind::List(Item::Audience), Is(""), Ours,
        "Whom tokens of ServiceAccounts have to be meant for, one of these. Empty: the API server, as tokens in pods are by default."),
    row("secret.authentication.oidc.issuer", Kind::Url, Is(""), Ours,
        "The issuer, exactly as it stands in `iss` of its tokens; its keys are found through `<issuer>/.well-known/openid-configuration`. `http://` on this computer only. Needed for `OIDC`."),
    row("secret.authentication.oidc.audiences", Kind::List(Item::Audience), Is(""), Ours,
        "Whom its tokens have to be meant for (`aud`), one of these. Needed for `OIDC`."),
    row("secret.authentication.oidc.subjectClaim", Kind::NonEmpty("nobody would have a name"), Is("sub"), Ours,
        "The claim with the user's name. `email` has to be verified, where the issuer says whether it is."),
    row("secret.authentication.oidc.groupsClaim", Kind::Text, Is("groups"), Ours, "The claim with the user's groups, a text or a list. Empty: none."),
    row("secret.authentication.oidc.leeway", Kind::DurationIn(Duration::ZERO, Duration::from_secs(300)), Is("30s"), Ours,
        "How far clocks may differ when `exp` and `nbf` are looked at."),
    row("secret.authentication.oidc.caFile", Kind::Path, Is(""), Ours,
        "A PEM file of CAs to trust for the issuer besides those of the system. `$VAR` is replaced."),
    row("secret.authorization.rules", Kind::AccessRules, Is("[]"), Ours,
        "Who may read and write which secrets, where callers show who they are. What no rule permits is refused. A list in a later file replaces this one."),

    row("cache.type", Kind::Choice(&["InMemoryFixedSize", "Redis"]), Is("InMemoryFixedSize"), Flyte2,
        "Where Flyte's components cache. Values of secrets are only ever cached in the memory of this process, whatever stands here."),
    row("cache.inMemoryFixedSize.size", Kind::Bytes, Is("100M"), Flyte2, "How much memory cached values may take."),
    row("cache.inMemoryFixedSize.defaultExpiration", Kind::DurationIn(Duration::ZERO, YEAR), Is("5m"), Flyte2,
        "How long a value is cached, 24h by default in Flyte. 0 turns the cache off; in Flyte it is for ever."),

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

/// Whether the path lies in a section that is read leniently.
pub(crate) fn is_lenient(path: &str) -> bool {
    path.split('.').next().is_some_and(|section| SHARED.iter().any(|shared| shared.eq_ignore_ascii_case(section)))
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
#[path = "keys_tests.rs"]
mod tests;
