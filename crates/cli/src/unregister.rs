//! `unregister`: the webhook's registration, away.

use anyhow::Result;
use flyte_secrets_webhook::kubernetes::client;
use flyte_secrets_webhook::registration::{Unregistered, unregister};

use crate::Failed;
use crate::args::{ConfigArgs, UnregisterArgs};
use crate::logging;
use crate::output::{Message, print};
use crate::setup::{Surroundings, tell_warnings};

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &UnregisterArgs) -> Result<(), Failed> {
    let loaded = surroundings.load(config)?;
    logging::start(&loaded.config.log);
    tell_warnings(&loaded, false);
    let name = &loaded.config.webhook.service_name;
    let outcome = unregister(client().await?, name, args.dry_run).await?;
    let would = if args.dry_run { " (dry run: nothing was changed)" } else { "" };
    if let Unregistered::Emptied { reason } = &outcome {
        Message::Warning { message: reason }.tell(false);
    }
    Ok(print(&format!("MutatingWebhookConfiguration {name}: {}{would}\n", words(&outcome)))?)
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
