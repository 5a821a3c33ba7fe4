//! The store of the Secret service, made from the configuration. One function a store; what this program was built without
//! says so.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use flyte_secrets_config as config;
use flyte_secrets_config::{SecretServiceSettings, StoreSettings};
use flyte_secrets_stores::SecretWriter;
use flyte_secrets_stores::kubernetes::KubernetesWriter;
use flyte_secrets_stores::local::LocalStore;
use flyte_secrets_webhook::kubernetes::client;

use crate::{secret, stores};

/// A store that is ready to be written to.
pub(crate) type Writer = Result<Arc<dyn SecretWriter>>;

/// Where the service keeps secrets; `timeout` is for one request to a store in a cloud.
pub(crate) async fn open(service: &SecretServiceSettings, timeout: Duration) -> Writer {
    match &service.store_settings {
        StoreSettings::K8s(_) => {
            Ok(Arc::new(KubernetesWriter::new(client().await?, &*service.namespace, service.kube_client.timeout)?))
        }
        StoreSettings::Local(settings) => {
            Ok(Arc::new(LocalStore::open(secret::places(settings)?, stores::local_unlock())?))
        }
        StoreSettings::Aws(settings) => aws(settings, timeout).await,
        StoreSettings::Gcp(settings) => gcp(settings, timeout).await,
        StoreSettings::Azure(settings) => azure(settings, timeout),
        StoreSettings::Vault(settings) => vault(settings, timeout),
        StoreSettings::Http(_) => anyhow::bail!("the store Http is not written to"),
    }
}

/// A store that was left out of this program.
#[allow(dead_code, reason = "with all features nothing is left out")]
fn left_out(feature: &str) -> Writer {
    anyhow::bail!("this program was built without it; build it with the Cargo feature {feature:?}, or all-stores")
}

#[cfg(feature = "aws")]
async fn aws(settings: &config::AwsStoreSettings, timeout: Duration) -> Writer {
    Ok(Arc::new(flyte_secrets_stores::aws::AwsWriter::new(stores::aws_settings(settings, timeout)).await?))
}
#[cfg(not(feature = "aws"))]
async fn aws(_: &config::AwsStoreSettings, _: Duration) -> Writer {
    left_out("aws")
}

#[cfg(feature = "gcp")]
async fn gcp(settings: &config::GcpStoreSettings, timeout: Duration) -> Writer {
    Ok(Arc::new(flyte_secrets_stores::gcp::GcpWriter::new(stores::gcp_settings(settings, timeout)).await?))
}
#[cfg(not(feature = "gcp"))]
async fn gcp(_: &config::GcpStoreSettings, _: Duration) -> Writer {
    left_out("gcp")
}

#[cfg(feature = "azure")]
fn azure(settings: &config::AzureStoreSettings, timeout: Duration) -> Writer {
    Ok(Arc::new(flyte_secrets_stores::azure::AzureWriter::new(stores::azure_settings(settings, timeout))?))
}
#[cfg(not(feature = "azure"))]
fn azure(_: &config::AzureStoreSettings, _: Duration) -> Writer {
    left_out("azure")
}

#[cfg(feature = "vault")]
fn vault(settings: &config::VaultStoreSettings, timeout: Duration) -> Writer {
    Ok(Arc::new(flyte_secrets_stores::vault::VaultWriter::new(stores::vault_settings(settings, timeout))?))
}
#[cfg(not(feature = "vault"))]
fn vault(_: &config::VaultStoreSettings, _: Duration) -> Writer {
    left_out("vault")
}
