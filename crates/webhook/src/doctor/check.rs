//! What is looked at, and how bad what is found is.

use serde::Serialize;

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
