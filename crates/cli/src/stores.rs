//! The stores of the Embedded manager, made from the configuration. One function a store; what this program was built
//! without says so.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use flyte_secrets_config as config;
use flyte_secrets_config::{StoreSettings, StoresSettings};
use flyte_secrets_stores::kubernetes::KubernetesStore;
use flyte_secrets_stores::local::{LocalStore, Unlock};
use flyte_secrets_stores::{CacheSettings, LookUpObserver, LookUpSettings, LookUps, Scopes, SecretFetcher};
use flyte_secrets_webhook::kubernetes::client;

use crate::secret;

/// All configured stores with their cache.
pub(crate) async fn look_ups(settings: &StoresSettings, observer: Arc<dyn LookUpObserver>) -> Result<LookUps> {
    let mut stores = Vec::with_capacity(settings.stores.len());
    for store in &settings.stores {
        let what = format!("webhook.embeddedSecretManagerConfig: the store {}", store.store_type().name());
        stores.push(open(store, settings.call_timeout).await.context(what)?);
    }
    Ok(LookUps::new(stores, look_up_settings(settings), observer))
}

fn look_up_settings(settings: &StoresSettings) -> LookUpSettings {
    let config::CacheSettings { ttl, not_found_ttl, max_bytes, stale_if_unavailable } = settings.cache;
    LookUpSettings {
        scopes: match settings.scopes {
            config::Scopes::Parallel => Scopes::Parallel,
            config::Scopes::Sequential => Scopes::Sequential,
        },
        concurrent_calls: settings.concurrent_calls,
        call_timeout: settings.call_timeout,
        cache: CacheSettings { ttl, not_found_ttl, max_bytes, stale_if_unavailable },
        ..LookUpSettings::default()
    }
}

/// A store that is ready to be asked.
pub(crate) type Store = Result<Arc<dyn SecretFetcher>>;

/// One store.
pub(crate) async fn open(store: &StoreSettings, timeout: Duration) -> Store {
    match store {
        StoreSettings::Local(settings) => local(settings),
        StoreSettings::K8s(settings) => kubernetes(settings).await,
        StoreSettings::Aws(settings) => aws(settings, timeout).await,
        StoreSettings::Gcp(settings) => gcp(settings, timeout).await,
        StoreSettings::Azure(settings) => azure(settings, timeout),
        StoreSettings::Vault(settings) => vault(settings, timeout),
        StoreSettings::Http(settings) => http(settings, timeout),
    }
}

fn local(settings: &config::LocalStoreSettings) -> Store {
    Ok(Arc::new(LocalStore::open(secret::places(settings)?, local_unlock())?))
}

/// What opens the local store where nobody can be asked.
pub(crate) fn local_unlock() -> Unlock {
    match std::env::var("FLYTE_SECRETS_PASSPHRASE") {
        Ok(passphrase) => Unlock::Passphrase(passphrase.into()),
        Err(_) => Unlock::KeyFile,
    }
}

async fn kubernetes(settings: &config::K8sStoreSettings) -> Store {
    Ok(Arc::new(KubernetesStore::new(client().await?, &*settings.namespace, settings.kube_client.timeout)?))
}

/// A store that was left out of this program.
#[allow(dead_code, reason = "with all features nothing is left out")]
fn left_out(feature: &str) -> Store {
    anyhow::bail!("this program was built without it; build it with the Cargo feature {feature:?}, or all-stores")
}

#[cfg(feature = "aws")]
async fn aws(settings: &config::AwsStoreSettings, timeout: Duration) -> Store {
    Ok(Arc::new(flyte_secrets_stores::aws::AwsStore::new(aws_settings(settings, timeout)).await?))
}
#[cfg(feature = "aws")]
pub(crate) fn aws_settings(
    settings: &config::AwsStoreSettings,
    timeout: Duration,
) -> flyte_secrets_stores::aws::AwsSettings {
    let config::AwsStoreSettings { region, endpoint, batch } = settings.clone();
    flyte_secrets_stores::aws::AwsSettings { region, endpoint, timeout, batch }
}
#[cfg(not(feature = "aws"))]
async fn aws(_: &config::AwsStoreSettings, _: Duration) -> Store {
    left_out("aws")
}

#[cfg(feature = "gcp")]
async fn gcp(settings: &config::GcpStoreSettings, timeout: Duration) -> Store {
    Ok(Arc::new(flyte_secrets_stores::gcp::GcpStore::new(gcp_settings(settings, timeout)).await?))
}
#[cfg(feature = "gcp")]
pub(crate) fn gcp_settings(
    settings: &config::GcpStoreSettings,
    timeout: Duration,
) -> flyte_secrets_stores::gcp::GcpSettings {
    let config::GcpStoreSettings { project, endpoint, anonymous } = settings.clone();
    flyte_secrets_stores::gcp::GcpSettings { project, endpoint, anonymous, timeout }
}
#[cfg(not(feature = "gcp"))]
async fn gcp(_: &config::GcpStoreSettings, _: Duration) -> Store {
    left_out("gcp")
}

#[cfg(feature = "azure")]
fn azure(settings: &config::AzureStoreSettings, timeout: Duration) -> Store {
    Ok(Arc::new(flyte_secrets_stores::azure::AzureStore::new(azure_settings(settings, timeout))?))
}
#[cfg(feature = "azure")]
pub(crate) fn azure_settings(
    settings: &config::AzureStoreSettings,
    timeout: Duration,
) -> flyte_secrets_stores::azure::AzureSettings {
    use flyte_secrets_stores::azure::AzureSettings;
    let config::AzureStoreSettings { vault_uri, ca_file } = settings.clone();
    AzureSettings { ca_file, timeout, ..AzureSettings::new(vault_uri) }
}
#[cfg(not(feature = "azure"))]
fn azure(_: &config::AzureStoreSettings, _: Duration) -> Store {
    left_out("azure")
}

#[cfg(feature = "vault")]
fn vault(settings: &config::VaultStoreSettings, timeout: Duration) -> Store {
    Ok(Arc::new(flyte_secrets_stores::vault::VaultStore::new(vault_settings(settings, timeout))?))
}
#[cfg(feature = "vault")]
pub(crate) fn vault_settings(
    settings: &config::VaultStoreSettings,
    timeout: Duration,
) -> flyte_secrets_stores::vault::VaultSettings {
    use config::VaultAuth as Configured;
    use flyte_secrets_core::settings::KvVersion as ConfiguredVersion;
    use flyte_secrets_stores::vault::{DEFAULT_TOKEN_PATH, KvVersion, TokenSource, VaultAuth, VaultSettings};
    let auth = match settings.auth.clone() {
        Configured::Kubernetes { mount, role, token_file } => {
            VaultAuth::Kubernetes { mount, role, token_path: token_file.unwrap_or_else(|| DEFAULT_TOKEN_PATH.into()) }
        }
        Configured::Jwt { mount, role, token_file } => VaultAuth::Jwt { mount, role, token_path: token_file },
        Configured::AppRole { mount, role_id, secret_id_file } => VaultAuth::AppRole { mount, role_id, secret_id_file },
        Configured::Token { token_file } => {
            VaultAuth::Token(token_file.map_or(TokenSource::Environment, TokenSource::File))
        }
    };
    let config::VaultStoreSettings { address, namespace, mount, path_prefix, kv_version, field, ca_file, .. } =
        settings.clone();
    let kv_version = match kv_version {
        ConfiguredVersion::V1 => KvVersion::V1,
        ConfiguredVersion::V2 => KvVersion::V2,
    };
    VaultSettings { address, namespace, mount, path_prefix, kv_version, field, auth, ca_file, timeout }
}
#[cfg(not(feature = "vault"))]
fn vault(_: &config::VaultStoreSettings, _: Duration) -> Store {
    left_out("vault")
}

#[cfg(feature = "http")]
fn http(settings: &config::HttpStoreSettings, timeout: Duration) -> Store {
    use flyte_secrets_stores::http::{HttpSettings, HttpStore};
    let config::HttpStoreSettings { url, token_file, client_certificate, ca_file } = settings.clone();
    let (client_cert, client_key) = client_certificate.unzip();
    Ok(Arc::new(HttpStore::new(HttpSettings { url, token_file, client_cert, client_key, ca_file, timeout })?))
}
#[cfg(not(feature = "http"))]
fn http(_: &config::HttpStoreSettings, _: Duration) -> Store {
    left_out("http")
}
