//! What is known of the installation before the cluster is asked: the webhook's own configuration.

use std::sync::Arc;
use std::time::Duration;

use flyte_secrets_core::Settings;
use flyte_secrets_stores::SecretFetcher;
use futures::future::BoxFuture;

use crate::registration::RegistrationSettings;

/// How long one check may take, unless somebody says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// The webhook as it is configured.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Managers, delivery, access policy.
    pub settings: Settings,
    /// The namespace of the webhook (`POD_NAMESPACE`).
    pub namespace: String,
    /// What it registers (`webhook.serviceName` is its name), or somebody else for it.
    pub registration: RegistrationSettings,
    /// Whether it registers itself.
    pub registers: bool,
    /// The Secret of its certificate in [`Self::namespace`] (`webhook.secretName`).
    pub certificate_secret: String,
    /// Whether it makes a certificate where there is none.
    pub makes_certificate: bool,
    /// The Secret of a shared CA, namespace and name, where replicas make their own leaves.
    pub authority_secret: Option<(String, String)>,
    /// The Leases by which replicas elect a leader, in [`Self::namespace`].
    pub leases: Vec<String>,
    /// The namespace of the K8s store, if it is asked.
    pub store_namespace: Option<String>,
    /// Whether that namespace's Secrets are watched.
    pub watches_store: bool,
    /// Whether callers of the invalidation port are asked for a token.
    pub reviews_tokens: bool,
    /// Whether the K8s manager looks if Secrets are there (`webhook.k8s.checkExists`).
    pub looks_first: bool,
    /// Whether Kubernetes Events are written (`webhook.events.enabled`).
    pub writes_events: bool,
}

/// From where, and how, it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The ServiceAccount of [`Installation::namespace`] whose permissions are looked at; `None`: one's own.
    pub service_account: Option<String>,
    /// The namespace of the pods that are tried (as a dry run).
    pub test_namespace: String,
    /// Whether this runs in a pod of the cluster, with the webhook's own network and identity.
    pub inside: bool,
    /// How long one check may take.
    pub timeout: Duration,
}

/// A store of the Embedded manager.
pub struct Store<'a> {
    /// Its name in the configuration.
    pub name: String,
    /// Opens it, or says why it cannot be opened.
    pub open: BoxFuture<'a, Result<Arc<dyn SecretFetcher>, String>>,
}
