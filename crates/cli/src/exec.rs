//! `exec`: gives a command the variables and files that a pod would get. What a pod gets is decided by the webhook's own code;
//! what the kubelet makes of it is done here, with a private folder in memory in place of the pod's volumes.

pub(crate) mod args;
mod asked;
mod command;
mod folder;
mod here;
mod outfit;
mod request;

use flyte_secrets_config::{Config, Loaded, Origin, StoreSettings};
use flyte_secrets_core::settings::{AccessMode, CheckExists, Delivery, OnUnserved};
use flyte_secrets_core::{Profile, SecretManagerType};

use crate::args::ConfigArgs;
use crate::output::Message;
use crate::setup::{Surroundings, tell_warnings};
use crate::{Failed, hardening, with_causes};
use args::ExecArgs;
use asked::Input;
use command::Signals;
use folder::Folder;
use here::Here;
use outfit::Outfit;

/// Our own failures, as in `env`, `timeout` and `docker run`: the command was not started.
pub(crate) const NOT_STARTED: u8 = 125;

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &ExecArgs) -> Result<(), Failed> {
    match start(surroundings, config, args).await {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failed::Ended(code)),
        Err(failed) => Err(Failed::NotStarted(Box::new(failed))),
    }
}

async fn start(surroundings: &Surroundings, config: &ConfigArgs, args: &ExecArgs) -> Result<u8, Failed> {
    hardening::harden()?;
    let here = Here::of_this_process();
    let settings = settings(surroundings, config, here.as_ref())?;
    let input = Input::read(args)?;
    // What is left behind is cleaned up, so from here on no signal ends us at once.
    let mut signals = Signals::new()?;
    let outfit = tokio::select! {
        outfit = outfit::outfit(&settings, args, input, here) => outfit?,
        received = signals.next() => return Ok(Signals::code(received)),
    };
    let folder = folder(&outfit, args.allow_disk)?;
    let command = command::command(args, &outfit, folder.as_ref().map(Folder::path))?;
    // The command has them now.
    drop((outfit, settings));
    let code = command::run(command, &mut signals).await;
    if let Some(Err(error)) = folder.map(Folder::remove) {
        Message::Warning { message: &with_causes(&error) }.tell(false);
    }
    Ok(code)
}

/// The folder with all files, if there are any.
fn folder(outfit: &Outfit, allow_disk: bool) -> Result<Option<Folder>, Failed> {
    if !outfit.needs_folder() {
        return Ok(None);
    }
    let folder = Folder::new(allow_disk)?;
    for (path, value) in &outfit.files {
        folder.write(path, value)?;
    }
    folder.share_lock()?;
    Ok(Some(folder))
}

/// The settings of a webhook that serves one person on one computer.
fn settings(surroundings: &Surroundings, config: &ConfigArgs, here: Option<&Here>) -> Result<Config, Failed> {
    let loaded = surroundings.load(config)?;
    tell_warnings(&loaded, false);
    let unconfigured = config.files.is_empty() && loaded.config.injection.profile == Profile::Flyte2;
    let chosen = |key: &str| is_chosen(&loaded, key);
    let (managers, stores) = (chosen("webhook.secretManagerType"), chosen("webhook.embeddedSecretManagerConfig.type"));
    let mut settings = loaded.config;
    if unconfigured && !managers {
        use SecretManagerType::{Embedded, Global, K8s};
        settings.injection.managers = vec![Global, Embedded, K8s];
    }
    if unconfigured && !stores {
        settings.stores.stores = vec![StoreSettings::Local(settings.stores.local.clone())];
    }
    let injection = &mut settings.injection;
    // Values never stand in the pod that is made up here; its container sees the same either way.
    injection.delivery = Delivery::SecretRef;
    // What is read is read as the caller, who may have it or not: nobody else's rights are lent.
    injection.access.mode = AccessMode::Off;
    // Somebody is there to be told.
    injection.on_unserved = OnUnserved::Refuse;
    // Whether Secrets are there is seen when they are read.
    injection.check_exists = CheckExists::Off;
    injection.embedded.image_pull_secrets = false;
    if let Some(here) = here {
        here.prefix().clone_into(&mut injection.env_var_prefix);
    }
    Ok(settings)
}

/// Whether somebody has set a key, or one that begins like it.
fn is_chosen(loaded: &Loaded, key: &str) -> bool {
    loaded.effective.iter().any(|one| one.key.starts_with(key) && one.origin != Origin::Default)
}
