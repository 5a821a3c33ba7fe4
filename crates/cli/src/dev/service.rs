//! The life of a secret: the Secret service creates, updates and removes it, and each pod gets what is in force.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Result, bail};
use flyte_secrets_core::settings::Delivery;
use flyte_secrets_core::{MountRequirement, Secret, Settings};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::calls::{rest, review};
use super::servers::Servers;
use super::{SAMPLE, pod_with};
use crate::output::print;

/// Nobody has a secret of this name for anything else.
const NAME: &str = "flyte_secrets_dev_token";
/// The variable that holds it.
const VARIABLE: &str = "DEV_TOKEN";
const PATH: &str = "/secrets/api/v1";

/// Shows it; ends with an error if a pod gets anything else than the value of the last write.
pub(super) async fn show(servers: &Servers) -> Result<()> {
    let settings = servers.settings.load_full();
    // Without a cluster nobody could read what a pod refers to. In the Pod a value can be compared.
    servers.settings.store(Arc::new(Settings { delivery: Delivery::PodSpec, ..Settings::clone(&settings) }));
    let shown = play(servers).await;
    servers.settings.store(settings);
    shown
}

async fn play(servers: &Servers) -> Result<()> {
    let service = servers.service;
    print(&format!("\nThe Secret service, on http://{service}, as `flyte create secret` uses it:\n"))?;
    // One that was left by a run that was killed gets the value all the same.
    if call(service, Method::POST, "the first value").await? == StatusCode::CONFLICT {
        call(service, Method::PUT, "the first value").await?;
    }
    expect(servers, "the first value").await?;
    print(&format!("  created {NAME}: the next pod gets its value\n"))?;
    call(service, Method::PUT, "the second value").await?;
    expect(servers, "the second value").await?;
    print(&format!("  updated {NAME}: the next pod gets the new value\n"))?;
    call(service, Method::DELETE, "").await?;
    print(&format!("  deleted {NAME}\n"))
}

/// Writes the secret; only that it is there already is no error.
async fn call(service: SocketAddr, method: Method, value: &str) -> Result<StatusCode> {
    let [_, domain, project, _] = SAMPLE;
    let path = match method {
        Method::POST => PATH.to_owned(),
        Method::PUT => format!("{PATH}/name/{NAME}"),
        _ => format!("{PATH}/name/{NAME}?id.domain={domain}&id.project={project}"),
    };
    let message = json!({
        "id": {"domain": domain, "project": project, "name": NAME},
        "secretSpec": {"stringValue": value},
    });
    let status = rest(service, method.clone(), &path, &message).await?;
    if !status.is_success() && status != StatusCode::CONFLICT {
        bail!("the Secret service answers {method} {path} with {status}");
    }
    Ok(status)
}

/// A pod that is admitted now gets this value.
async fn expect(servers: &Servers, value: &str) -> Result<()> {
    let request = Secret {
        key: NAME.to_owned(),
        mount_requirement: MountRequirement::ENV_VAR,
        env_var: VARIABLE.to_owned(),
        ..Secret::default()
    };
    let (pod, _) = review(servers.webhook, &servers.pair, &pod_with(&[request])?).await?;
    let variables = pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten();
    let got: Vec<&Value> =
        variables.filter(|variable| variable["name"] == VARIABLE).map(|variable| &variable["value"]).collect();
    if got != [value] {
        bail!("a pod that asks for {NAME} right after a write does not get the value that was written");
    }
    Ok(())
}
