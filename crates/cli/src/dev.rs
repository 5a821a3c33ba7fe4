//! `dev`: the whole way of a secret on one computer. A local store with a sample secret, certificates,
//! the webhook and the Secret service on 127.0.0.1, and real AdmissionReviews over TLS.

mod calls;
mod servers;
mod service;

use anyhow::{Context, Result};
use flyte_secrets_config::{Loaded, LogFormat, LogLevel, LogSettings};
use flyte_secrets_core::annotations::{LABEL, LABEL_VALUE, encode_all};
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::mirror::is_mirror_name;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_core::{MountRequirement, Secret, SecretManagerType};
use flyte_secrets_stores::local::{LocalError, LocalStore, Places, Unlock};
use flyte_secrets_webhook::registration::PATH;
use serde_json::{Value, json};

use crate::Failed;
use crate::args::{ConfigArgs, DevArgs};
use crate::documents::to_yaml;
use crate::output::{print, print_coloured};
use crate::setup::{Surroundings, tell_warnings};
use crate::{diff, logging, secret};
use servers::Servers;

/// The sample secret, of a project that Flyte itself comes with.
const SAMPLE: [&str; 4] = ["flyte", "development", "flytesnacks", "demo_api_key"];
/// Its value is no secret, but is treated as one.
const SAMPLE_VALUE: &str = "a sample value of flyte-secrets dev";
/// What is printed in its place.
const HIDDEN: &str = "(the value; not shown)";

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &DevArgs) -> Result<(), Failed> {
    let mut loaded = surroundings.load(config)?;
    tell_warnings(&loaded, false);
    if config.files.is_empty() {
        use SecretManagerType::{Embedded, Global, K8s};
        loaded.config.injection.managers = vec![Global, Embedded, K8s];
        // Somebody looks on: words, and only those that matter.
        loaded.config.log = LogSettings { level: LogLevel::Warn, format: LogFormat::Text };
    }
    Ok(demonstrate(&loaded, args).await?)
}

async fn demonstrate(loaded: &Loaded, args: &DevArgs) -> Result<()> {
    let places = secret::places(&loaded.config.stores.local)?;
    let store = LocalStore::open(places.clone(), Unlock::KeyFile).context("cannot open the local store")?;
    let new = add_sample(&store)?;
    logging::start(&loaded.config.log);
    let servers = Servers::start(&loaded.config, store, args).await?;

    print(&introduction(&places, new, &servers))?;
    let pod = sample_pod()?;
    let (after, served_by) = calls::review(servers.webhook, &servers.pair, &pod).await?;
    let mirrors = mirrors(&after);
    print_coloured(&diff::unified("Pod flytesnacks-development/demo", &to_yaml(&pod)?, &to_yaml(&hidden(after))?))?;
    for mirror in mirrors {
        print(&format!(
            "\nThe value is not in the pod. In a cluster the webhook would write the Secret {mirror} to the pod's\n\
             namespace before it answers; here is none, so nothing is written.\n"
        ))?;
    }
    print(&format!("\nServed: {served_by}.\n"))?;
    service::show(&servers).await?;
    if !args.once {
        print(&next_steps(&servers))?;
        tokio::signal::ctrl_c().await.context("cannot listen for Ctrl-C")?;
        print("\nending\n")?;
    }
    servers.end().await
}

/// Puts the sample into the store; says whether it is new there.
fn add_sample(store: &LocalStore) -> Result<bool> {
    let [org, domain, project, name] = SAMPLE.map(str::to_owned);
    match store.create(&SecretId { org, domain, project, name }, SecretValue::text(SAMPLE_VALUE.to_owned())) {
        Ok(()) => Ok(true),
        Err(LocalError::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error).context("cannot store the sample secret"),
    }
}

/// A pod as Flyte makes it for a task with two requests.
fn sample_pod() -> Result<Value> {
    let requests = [
        Secret {
            key: SAMPLE[3].to_owned(),
            mount_requirement: MountRequirement::ENV_VAR,
            env_var: "DEMO_API_KEY".to_owned(),
            ..Secret::default()
        },
        Secret {
            group: "user-info".to_owned(),
            key: "user_secret".to_owned(),
            mount_requirement: MountRequirement::FILE,
            ..Secret::default()
        },
    ];
    pod_with(&requests)
}

/// A pod of the sample's project.
fn pod_with(requests: &[Secret]) -> Result<Value> {
    let annotations: serde_json::Map<String, Value> =
        encode_all(requests)?.into_iter().map(|(name, value)| (name, value.into())).collect();
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "demo",
            "namespace": "flytesnacks-development",
            "labels": {LABEL: LABEL_VALUE, "organization": SAMPLE[0], "domain": SAMPLE[1], "project": SAMPLE[2]},
            "annotations": annotations,
        },
        "spec": {"containers": [{"name": "task", "image": "task:1", "env": [{"name": "TASK", "value": "demo"}]}]},
    }))
}

/// The Secrets that the webhook would keep for the pod's variables.
fn mirrors(pod: &Value) -> Vec<String> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .filter_map(|container| container["env"].as_array())
        .flatten()
        .filter_map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str())
        .filter(|name| is_mirror_name(name))
        .map(str::to_owned)
        .collect()
}

/// The pod without the sample's value, as its variable would show it to everybody who looks on.
fn hidden(mut pod: Value) -> Value {
    let containers = pod["spec"]["containers"].as_array_mut().into_iter().flatten();
    for variable in containers.filter_map(|container| container["env"].as_array_mut()).flatten() {
        if variable["name"] == "DEMO_API_KEY" && variable.get("value").is_some() {
            variable["value"] = HIDDEN.into();
        }
    }
    pod
}

fn introduction(places: &Places, new: bool, servers: &Servers) -> String {
    let [org, domain, project, name] = SAMPLE;
    let file = places.file.display();
    let what = if new { "holds a new sample secret" } else { "holds the sample secret" };
    let Servers { webhook, service, .. } = servers;
    format!(
        "The local store {file} {what}: {name} of {org}/{domain}/{project}.\n\
         The webhook serves on https://{webhook}{PATH}, the Secret service on http://{service}.\n\
         A task asks for {name} as a variable and for user-info/user_secret as a file. Its pod, before and after:\n\n"
    )
}

fn next_steps(Servers { webhook, service, .. }: &Servers) -> String {
    format!(
        "\nTry next, in another terminal:\n\
         \x20 flyte --endpoint http://{service} --insecure create secret my_key --project flytesnacks --domain development\n\
         \x20 flyte-secrets secret list\n\
         \x20 echo my-value | flyte-secrets secret create other_key --domain development --project flytesnacks\n\
         \x20 flyte-secrets annotations encode --key my_key --mount-requirement ENV_VAR\n\
         \x20 flyte-secrets inject -f pod.yaml -o diff\n\
         The webhook goes on serving on {webhook}, the Secret service on {service}. Ctrl-C ends both.\n"
    )
}
