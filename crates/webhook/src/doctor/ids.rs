//! The ids of all findings.

use std::fmt;

use serde::{Serialize, Serializer};

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
