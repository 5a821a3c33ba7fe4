//! `unregister`: the webhook's registration, away; and all that an installation leaves behind, where that is asked for.

use anyhow::{Context, Result};
use flyte_secrets_config::WebhookSettings;
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::leftovers::{Place, Removal, remove_lease, remove_secret};
use flyte_secrets_webhook::mirrors::remove_all;
use flyte_secrets_webhook::registration::{Unregistered, unregister};

use crate::Failed;
use crate::args::{ConfigArgs, UnregisterArgs};
use crate::logging;
use crate::output::{Message, print};
use crate::serve::leading;
use crate::setup::{Surroundings, tell_warnings};

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &UnregisterArgs) -> Result<(), Failed> {
    let loaded = surroundings.load(config)?;
    logging::start(&loaded.config.log);
    tell_warnings(&loaded, false);
    let webhook = &loaded.config.webhook;
    let UnregisterArgs { dry_run, everything, mirrors } = *args;
    // Who asks for more may have no right on a registration that somebody else keeps.
    if webhook.register || !(everything || mirrors) {
        tell(dry_run, &registration(webhook, dry_run).await?)?;
    }
    if everything {
        for line in shared(webhook, dry_run).await? {
            tell(dry_run, &line)?;
        }
    }
    if mirrors {
        let installation = format!("{}/{}", own_namespace(webhook)?, webhook.service_name);
        let count = remove_all(&client().await?, &installation, dry_run).await?;
        tell(dry_run, &format!("mirrors of {installation}: {count} deleted"))?;
    }
    Ok(())
}

fn tell(dry_run: bool, line: &str) -> Result<()> {
    let would = if dry_run { " (dry run: nothing was changed)" } else { "" };
    print(&format!("{line}{would}\n"))
}

async fn registration(webhook: &WebhookSettings, dry_run: bool) -> Result<String> {
    let name = &webhook.service_name;
    let outcome = unregister(client().await?, name, dry_run).await?;
    if let Unregistered::Emptied { reason } = &outcome {
        Message::Warning { message: reason }.tell(false);
    }
    Ok(format!("MutatingWebhookConfiguration {name}: {}", words(&outcome)))
}

/// What the replicas share: the Secrets of the certificate and of the CAs, the Lease.
async fn shared(webhook: &WebhookSettings, dry_run: bool) -> Result<[String; 3]> {
    let client = client().await?;
    let namespace = own_namespace(webhook)?;
    let place = |name: String| Place { namespace: namespace.to_owned(), name };
    let secret = place(webhook.secret_name.clone());
    let ca = &webhook.certificates;
    let authorities = Place {
        namespace: ca.ca_secret_namespace.clone().unwrap_or_else(|| namespace.to_owned()),
        name: ca.ca_secret_name.clone(),
    };
    let lease = place(leading::lease(&webhook.service_name));
    let told = |kind: &str, Place { namespace, name }: &Place, removal: Removal| {
        let words = match removal {
            Removal::Absent => "not there",
            Removal::NotOurs => "not made by us; left alone",
            Removal::Removed => "deleted",
        };
        format!("{kind} {namespace}/{name}: {words}")
    };
    Ok([
        told("Secret", &secret, remove_secret(&client, &secret, dry_run).await?),
        told("Secret", &authorities, remove_secret(&client, &authorities, dry_run).await?),
        told("Lease", &lease, remove_lease(&client, &lease, dry_run).await?),
    ])
}

fn own_namespace(webhook: &WebhookSettings) -> Result<&str> {
    webhook.pod_namespace.as_deref().context("set the environment variable POD_NAMESPACE: the webhook's namespace")
}

fn words(outcome: &Unregistered) -> String {
    match outcome {
        Unregistered::Absent => "not there".to_owned(),
        Unregistered::NotOurs { managers } if managers.is_empty() => "holds no webhook of ours; left alone".to_owned(),
        Unregistered::NotOurs { managers } => {
            format!("its webhook was made by {}, not by us; left alone", managers.join(", "))
        }
        Unregistered::Deleted => "deleted".to_owned(),
        Unregistered::TakenOut { others } => {
            format!("our webhook was taken out; {} stays", others.join(", "))
        }
        Unregistered::Emptied { .. } => "our webhook was taken out; the empty object stays".to_owned(),
    }
}
