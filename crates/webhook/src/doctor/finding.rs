//! What a check says: one sentence with a level, a place and a remedy, under an id that scripts may rely on.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::admission::wording::plain;

/// The longest text of a finding, in bytes; messages of the API server and of stores are cut there.
const MAX_TEXT: usize = 1200;

/// The subjects that are looked at, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// The API server and its version.
    Cluster,
    /// What RBAC allows the webhook.
    Permissions,
    /// The MutatingWebhookConfiguration.
    Registration,
    /// The certificate that is served, and what the API server trusts.
    Certificates,
    /// Whether the API server reaches the webhook.
    Admission,
    /// The stores of the Embedded manager.
    Stores,
    /// The access policy.
    Policy,
    /// Other webhooks for the same pods.
    Rivals,
    /// Names that another program uses as well.
    Names,
    /// Mirrored Secrets.
    Mirrors,
    /// The webhook's pods.
    Replicas,
}

impl Check {
    /// All checks.
    pub const ALL: [Self; 11] = [
        Self::Cluster,
        Self::Permissions,
        Self::Registration,
        Self::Certificates,
        Self::Admission,
        Self::Stores,
        Self::Policy,
        Self::Rivals,
        Self::Names,
        Self::Mirrors,
        Self::Replicas,
    ];

    /// The name in JSON, and the first part of its findings' ids.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Permissions => "permissions",
            Self::Registration => "registration",
            Self::Certificates => "certificates",
            Self::Admission => "admission",
            Self::Stores => "stores",
            Self::Policy => "policy",
            Self::Rivals => "rivals",
            Self::Names => "names",
            Self::Mirrors => "mirrors",
            Self::Replicas => "replicas",
        }
    }

    /// The heading for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Cluster => "Kubernetes",
            Self::Permissions => "Permissions",
            Self::Registration => "Registration",
            Self::Certificates => "Certificates",
            Self::Admission => "Calls of the API server",
            Self::Stores => "Stores",
            Self::Policy => "Access policy",
            Self::Rivals => "Other webhooks",
            Self::Names => "Names",
            Self::Mirrors => "Mirrors",
            Self::Replicas => "Replicas",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing, or what could not be looked at.
    Info,
    /// It works, and not in every case or not for long.
    Warning,
    /// Pods are refused, or start without their secrets.
    Error,
}

impl Level {
    /// All levels, the best first.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Info, Self::Warning, Self::Error];

    /// The level as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One row a finding: its name in Rust, its id, and what it means (as `docs/doctor.md` has it).
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)*) => {
        /// What a finding is about. Ids are stable: one is added or removed, and never means something else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Id {
            $($(#[$doc])* $name,)*
        }

        impl Id {
            /// All ids, in the order of the checks.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The id as it stands in JSON and in the documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)*
                }
            }
        }
    };
}

ids! {
    /// Something could not be looked at.
    CouldNotLook = "could-not-look",
    /// The version, and what it allows.
    ClusterVersion = "cluster.version",
    /// The API server does not answer.
    ClusterUnreachable = "cluster.unreachable",
    /// Older than what is supported.
    ClusterTooOld = "cluster.too-old",
    /// Newer than what was tested.
    ClusterUntested = "cluster.untested",
    /// Everything that is switched on is allowed.
    PermissionsComplete = "permissions.complete",
    /// Rules that are missing for a feature.
    PermissionsMissing = "permissions.missing",
    /// Whose permissions were looked at.
    PermissionsOwn = "permissions.own",
    /// Registered as configured.
    RegistrationAsConfigured = "registration.as-configured",
    /// The configuration, or our webhook in it, is not there.
    RegistrationMissing = "registration.missing",
    /// A field is another one than configured.
    RegistrationDiffers = "registration.differs",
    /// Pods go on without their secrets while the webhook is away.
    RegistrationIgnoresFailures = "registration.ignores-failures",
    /// It goes away with another object.
    RegistrationOwned = "registration.owned",
    /// It is called after the Vault agent injector.
    RegistrationOrder = "registration.order",
    /// The API server trusts what is served.
    CertificatesTrusted = "certificates.trusted",
    /// The API server does not trust what is served.
    CertificatesUntrusted = "certificates.untrusted",
    /// A certificate is no longer valid, or not yet.
    CertificatesInvalid = "certificates.invalid",
    /// A certificate ends soon and nobody has replaced it.
    CertificatesExpireSoon = "certificates.expire-soon",
    /// There is no bundle: the API server trusts the issuers that its system trusts.
    CertificatesNoBundle = "certificates.no-bundle",
    /// The Secret holds another certificate than what is trusted.
    CertificatesSecretDiffers = "certificates.secret-differs",
    /// What is served could not be seen from here.
    CertificatesNotSeen = "certificates.not-seen",
    /// The API server calls the webhook, which answers.
    AdmissionWorks = "admission.works",
    /// It answers late.
    AdmissionSlow = "admission.slow",
    /// The API server does not trust the webhook.
    AdmissionNotTrusted = "admission.not-trusted",
    /// The API server does not reach the webhook.
    AdmissionUnreachable = "admission.unreachable",
    /// The API server waits in vain.
    AdmissionTimesOut = "admission.times-out",
    /// The API server passes over the webhook.
    AdmissionNotCalled = "admission.not-called",
    /// The registration does not select the namespace.
    AdmissionNotSelected = "admission.not-selected",
    /// Something else is against the pod.
    AdmissionBlocked = "admission.blocked",
    /// The webhook answers with an error.
    AdmissionFails = "admission.fails",
    /// A store answers.
    StoresAnswer = "stores.answer",
    /// No store is configured.
    StoresNone = "stores.none",
    /// A store cannot be opened with this configuration.
    StoresUnusable = "stores.unusable",
    /// A store does not let us read.
    StoresDenied = "stores.denied",
    /// A store cannot be asked.
    StoresUnavailable = "stores.unavailable",
    /// The policy keeps projects apart.
    PolicyKeepsApart = "policy.keeps-apart",
    /// There is no policy.
    PolicyOff = "policy.off",
    /// Breaches are served.
    PolicyAudits = "policy.audits",
    /// Something that the policy does not keep apart.
    PolicyGap = "policy.gap",
    /// Nobody else is called for our pods.
    RivalsNone = "rivals.none",
    /// Another webhook is called for the same pods.
    RivalsActive = "rivals.active",
    /// Another webhook is called for such pods in other namespaces.
    RivalsElsewhere = "rivals.elsewhere",
    /// Nobody else uses our names.
    NamesOwn = "names.own",
    /// Another installation has the name of our registration.
    NamesRegistration = "names.registration",
    /// Another program writes the Secret of our certificate.
    NamesSecret = "names.secret",
    /// Who holds a Lease.
    NamesLeader = "names.leader",
    /// Nobody renews a Lease.
    NamesNoLeader = "names.no-leader",
    /// How many mirrors there are.
    MirrorsCounted = "mirrors.counted",
    /// Mirrors that stay for ever.
    MirrorsNotCollected = "mirrors.not-collected",
    /// Mirrors of other installations.
    MirrorsForeign = "mirrors.foreign",
    /// All replicas are ready.
    ReplicasReady = "replicas.ready",
    /// There are none.
    ReplicasNone = "replicas.none",
    /// Some are not ready.
    ReplicasNotReady = "replicas.not-ready",
    /// They run different images.
    ReplicasDiffer = "replicas.differ",
    /// They restart.
    ReplicasRestart = "replicas.restart",
    /// There is one only.
    ReplicasSingle = "replicas.single",
    /// Nothing keeps a node drain from ending all at once.
    ReplicasNoBudget = "replicas.no-budget",
    /// They are not in this cluster, or not behind a selector.
    ReplicasUnknown = "replicas.unknown",
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One thing that was found. Names, addresses and dates only, never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub id: Id,
    /// How bad it is.
    pub level: Level,
    /// What was found, and what follows from it.
    pub what: String,
    /// Where: an object of the cluster, an address, a key of the configuration. May be empty.
    #[serde(rename = "where", skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The line to change or the command to run; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    pub(super) fn new(id: Id, level: Level, what: impl AsRef<str>) -> Self {
        Self { id, level, what: plain(what.as_ref(), MAX_TEXT), place: String::new(), remedy: String::new() }
    }

    pub(super) fn ok(id: Id, what: impl AsRef<str>) -> Self {
        Self::new(id, Level::Ok, what)
    }

    pub(super) fn info(id: Id, what: impl AsRef<str>) -> Self {
        Self::new(id, Level::Info, what)
    }

    pub(super) fn warning(id: Id, what: impl AsRef<str>) -> Self {
        Self::new(id, Level::Warning, what)
    }

    pub(super) fn error(id: Id, what: impl AsRef<str>) -> Self {
        Self::new(id, Level::Error, what)
    }

    pub(super) fn at(self, place: impl AsRef<str>) -> Self {
        Self { place: plain(place.as_ref(), MAX_TEXT), ..self }
    }

    pub(super) fn remedy(self, remedy: impl AsRef<str>) -> Self {
        Self { remedy: plain(remedy.as_ref(), MAX_TEXT), ..self }
    }
}

/// All findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By check, in the order of [`Check::ALL`].
    pub checks: Vec<(Check, Vec<Finding>)>,
}

impl Report {
    /// All findings, in the order of the checks.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().flat_map(|(_, findings)| findings)
    }

    /// How many there are of a level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings().filter(|finding| finding.level == level).count()
    }

    /// The worst level.
    #[must_use]
    pub fn worst(&self) -> Level {
        self.findings().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }
}

#[cfg(test)]
#[path = "finding_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
