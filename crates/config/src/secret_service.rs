//! The settings of the Secret service (`secret`).

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::access_rules::AccessRule;
use crate::errors::ConfigError;
use crate::getter::Getter;
use crate::origin::Origin;
use crate::patterns;
use crate::settings::KubeClientSettings;
use crate::stores::StoreSettings;
use crate::typed_stores;

/// `secret`: the service that `flyte create secret` talks to.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretServiceSettings {
    /// `store`: where it keeps secrets.
    pub store: SecretServiceStore,
    /// The Embedded manager's settings of that store, whether it is asked by it or not.
    pub store_settings: StoreSettings,
    /// `server.host`: the address it listens on.
    pub host: String,
    /// `server.port`.
    pub port: u16,
    /// `server.metricsPort`: plain HTTP, `/healthz`, `/readyz` and `/metrics`.
    pub metrics_port: u16,
    /// `server.certDir`: the folder of `tls.crt` and `tls.key`, variables replaced; `None` is plain HTTP.
    pub cert_dir: Option<PathBuf>,
    /// `server.shutdownDelay`: how long it goes on serving after it was told to end; at most ten minutes.
    pub shutdown_delay: Duration,
    /// `webhookURL`: where caches are told of changes; `None` where it is empty and nobody is told.
    pub webhook_url: Option<String>,
    /// `webhookTokenFile`: the bearer token for that.
    pub webhook_token_file: Option<PathBuf>,
    /// `kubernetes.namespace`; that of the Embedded manager's K8s store where none is given.
    pub namespace: String,
    /// `kubernetes.{qps,burst,timeout}`; those of `webhook.kubeClientConfig` where none are given.
    pub kube_client: KubeClientSettings,
    /// `kubernetes.clusterName`: the cluster that secrets are said to be present in; empty: none.
    pub cluster_name: String,
    /// `authentication`: how callers show who they are.
    pub authentication: AuthenticationSettings,
    /// `authorization.rules`: who may read and write which secrets, where callers show who they are.
    pub rules: Vec<AccessRule>,
}

/// `secret.authentication`: how callers show who they are. Nobody is asked where both are `None`, as in Flyte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationSettings {
    /// Tokens of ServiceAccounts, and whom they have to be meant for; the API server where that is empty. `None`: not taken.
    pub token_review: Option<Vec<String>>,
    /// Tokens of an issuer of OpenID Connect; `None`: not taken.
    pub oidc: Option<OidcSettings>,
}

impl AuthenticationSettings {
    /// Whether callers have to show who they are.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.token_review.is_some() || self.oidc.is_some()
    }
}

/// `secret.authentication.oidc`: the issuer whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcSettings {
    /// `issuer`: as it stands in `iss`.
    pub issuer: String,
    /// `audiences`: one of these has to stand in `aud`; not empty.
    pub audiences: Vec<String>,
    /// `subjectClaim`: the claim with the user's name.
    pub subject_claim: String,
    /// `groupsClaim`: the claim with the groups.
    pub groups_claim: Option<String>,
    /// `leeway`: how far clocks may differ.
    pub leeway: Duration,
    /// `caFile`: roots to trust beside the platform's, variables replaced.
    pub ca_file: Option<PathBuf>,
}

/// Where the Secret service keeps secrets (`secret.store`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretServiceStore {
    /// Secrets of one namespace, as in Flyte.
    K8s,
    /// One encrypted file.
    Local,
    /// AWS Secrets Manager.
    #[serde(rename = "AWS")]
    Aws,
    /// GCP Secret Manager.
    #[serde(rename = "GCP")]
    Gcp,
    /// Azure Key Vault.
    Azure,
    /// A KV engine of HashiCorp Vault or OpenBao.
    Vault,
}

/// Checks what values have to do with each other.
pub(crate) fn check(values: Getter<'_>, errors: &mut Vec<ConfigError>) {
    let (port, metrics) = ("secret.server.port", "secret.server.metricsPort");
    if values.port(port) == values.port(metrics) {
        let message = format!("the same port as {port}; choose another one for either");
        errors.push(ConfigError::new(values.origin(metrics), metrics, message));
    }
    check_access(values, errors);
}

const MODES: &str = "secret.authentication.modes";
const RULES: &str = "secret.authorization.rules";
const ISSUER: &str = "secret.authentication.oidc.issuer";
const OIDC_AUDIENCES: &str = "secret.authentication.oidc.audiences";

/// Rules that nobody is held to, callers that no rule could permit, and an issuer that anybody could play.
fn check_access(values: Getter<'_>, errors: &mut Vec<ConfigError>) {
    let mut wrong = |path: &str, message: &str| errors.push(ConfigError::new(values.origin(path), path, message));
    let modes = values.list(MODES);
    let rules = values.rules(RULES);
    if modes.is_empty() && !rules.is_empty() {
        wrong(RULES, "nobody is asked who it is; set secret.authentication.modes");
    }
    // A list with a mistake reads as empty, and has an error of its own.
    if !modes.is_empty() && rules.is_empty() && values.origin(RULES) == Origin::Default {
        wrong(MODES, "there are no secret.authorization.rules, so that nobody could do anything; add one");
    }
    let issuer = values.text(ISSUER);
    if patterns::is_in_the_clear(&issuer) {
        wrong(ISSUER, "whoever is on the way could play the issuer; use https:// (http:// for this computer only)");
    }
    if modes.iter().any(|mode| mode == "OIDC") {
        for (path, is_missing) in
            [(ISSUER, issuer.is_empty()), (OIDC_AUDIENCES, values.list(OIDC_AUDIENCES).is_empty())]
        {
            if is_missing {
                wrong(path, "needed for OIDC in secret.authentication.modes");
            }
        }
    }
}

fn authentication(values: Getter<'_>) -> AuthenticationSettings {
    let modes = values.list(MODES);
    let has = |name: &str| modes.iter().any(|mode| mode == name);
    AuthenticationSettings {
        token_review: has("TokenReview").then(|| values.list("secret.authentication.tokenReview.audiences")),
        oidc: has("OIDC").then(|| OidcSettings {
            issuer: values.text(ISSUER),
            audiences: values.list(OIDC_AUDIENCES),
            subject_claim: values.text("secret.authentication.oidc.subjectClaim"),
            groups_claim: values.optional_text("secret.authentication.oidc.groupsClaim"),
            leeway: values.duration("secret.authentication.oidc.leeway").unwrap_or_default(),
            ca_file: values.path("secret.authentication.oidc.caFile"),
        }),
    }
}

/// Makes the settings; the values have no error.
pub(crate) fn settings(values: Getter<'_>, kube_client: KubeClientSettings) -> SecretServiceSettings {
    let of_store = "webhook.embeddedSecretManagerConfig.k8sConfig.namespace";
    SecretServiceSettings {
        store: values.named("secret.store"),
        store_settings: typed_stores::written(values, kube_client),
        host: values.text("secret.server.host"),
        port: values.port("secret.server.port"),
        metrics_port: values.port("secret.server.metricsPort"),
        cert_dir: values.path("secret.server.certDir"),
        shutdown_delay: values.duration("secret.server.shutdownDelay").unwrap_or_default(),
        webhook_url: values.optional_text("secret.webhookURL"),
        webhook_token_file: values.path("secret.webhookTokenFile"),
        namespace: values.optional_text("secret.kubernetes.namespace").unwrap_or_else(|| values.text(of_store)),
        kube_client: values.kube_client("secret.kubernetes", kube_client),
        cluster_name: values.text("secret.kubernetes.clusterName"),
        authentication: authentication(values),
        rules: values.rules(RULES),
    }
}
