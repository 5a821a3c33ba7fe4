//! The binary: arguments in, exit code out.

mod annotations;
mod args;
mod config;
mod dev;
mod diff;
mod doctor;
mod documents;
mod endpoint;
mod exec;
mod explain;
mod get;
mod hardening;
mod init_certs;
mod inject;
mod logging;
mod offline;
mod output;
mod propagate;
mod secret;
mod serve;
mod serve_secrets;
mod setup;
mod stores;
#[cfg(feature = "otel")]
mod traces;
mod unregister;
mod writers;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use flyte_secrets_config::ConfigErrors;
use flyte_secrets_core::Profile;
use flyte_secrets_webhook::doctor::Level;

use args::{
    AnnotationsCommand, Cli, Command, ConfigCommand, InjectOutput, PropagateOutput, TextOutput, WebhookCommand,
};
use output::Message;
use setup::{Surroundings, split_arguments};

/// How long work on other threads may go on when everything else has ended.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Why a command ends with another code than 0.
#[derive(Debug)]
pub(crate) enum Failed {
    /// All that is wrong with the configuration.
    Config(Box<ConfigErrors>),
    /// A pod is refused, and that has been told.
    Refused,
    /// What is wrong has been told.
    Told,
    /// A task's secret is at none of its places.
    NotFound(anyhow::Error),
    /// The cluster was looked at, and the worst that was found is this.
    Found(Level),
    /// The command that was run has ended with this code.
    Ended(u8),
    /// A command was not run, for this reason.
    NotStarted(Box<Failed>),
    /// Anything else.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn main() -> ExitCode {
    let split = split_arguments(std::env::args_os());
    let cli = Cli::parse_from(&split.rest);
    let surroundings = Surroundings {
        flags: split.settings,
        implied_profile: split.rest.first().and_then(|program| implied_profile(program)),
    };
    let as_json = wants_json(&cli.command);
    run(&surroundings, &cli).map_or_else(|failed| told(failed, as_json), |()| ExitCode::SUCCESS)
}

/// Says why a command failed, unless that has been said, and gives the exit code.
fn told(failed: Failed, as_json: bool) -> ExitCode {
    match failed {
        Failed::Refused => ExitCode::from(3),
        Failed::Told => ExitCode::FAILURE,
        Failed::Found(level) => doctor::exit_code(level),
        Failed::Ended(code) => ExitCode::from(code),
        Failed::NotStarted(why) => {
            told(*why, as_json);
            ExitCode::from(exec::NOT_STARTED)
        }
        Failed::Config(errors) => {
            for error in errors.errors() {
                Message::Error { message: &error.to_string() }.tell(as_json);
            }
            if errors.omitted() > 0 {
                let message = format!("and {} more errors in the configuration", errors.omitted());
                Message::Error { message: &message }.tell(as_json);
            }
            ExitCode::FAILURE
        }
        Failed::NotFound(error) => {
            Message::Error { message: &with_causes(&error) }.tell(as_json);
            ExitCode::from(6)
        }
        Failed::Other(error) => {
            Message::Error { message: &with_causes(&error) }.tell(as_json);
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, each once: some name their cause themselves.
pub(crate) fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Flyte 1's manifests call the webhook by the name of the program that holds it there.
fn implied_profile(program: &OsStr) -> Option<Profile> {
    (Path::new(program).file_name()? == "flytepropeller").then_some(Profile::Flyte1)
}

fn wants_json(command: &Command) -> bool {
    match command {
        Command::Inject(args) => args.output == InjectOutput::Json,
        Command::Propagate(args) => args.output == PropagateOutput::Json,
        Command::Explain(args) => args.output == TextOutput::Json,
        Command::Secret(args) => args.output == TextOutput::Json,
        Command::Get(args) => args.output == TextOutput::Json,
        Command::Doctor(args) => args.output == TextOutput::Json,
        Command::Annotations(AnnotationsCommand::Decode(args)) => args.output == TextOutput::Json,
        Command::Config(ConfigCommand::Show { output } | ConfigCommand::Check { output }) => {
            *output == TextOutput::Json
        }
        _ => false,
    }
}

fn run(surroundings: &Surroundings, cli: &Cli) -> Result<(), Failed> {
    let config = &cli.config;
    match &cli.command {
        Command::Annotations(command) => return Ok(annotations::run(command)?),
        Command::Propagate(args) => return Ok(propagate::run(args)?),
        Command::Config(command) => return config::run(surroundings, config, command),
        Command::Get(args) => return get::run(args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "flyte-secrets", &mut script);
            return Ok(output::print(&String::from_utf8(script)?)?);
        }
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match &cli.command {
            Command::Webhook(args) => match args.command {
                None => serve::run(surroundings, config).await,
                Some(WebhookCommand::InitCerts) => init_certs::run(surroundings, config).await,
            },
            Command::Service => serve_secrets::run(surroundings, config).await,
            Command::InitCerts => init_certs::run(surroundings, config).await,
            Command::Unregister(args) => unregister::run(surroundings, config, args).await,
            Command::Inject(args) => inject::run(surroundings, config, args).await,
            Command::Explain(args) => explain::run(surroundings, config, args).await,
            Command::Exec(args) => exec::run(surroundings, config, args).await,
            Command::Secret(args) => secret::run(surroundings, config, args).await,
            Command::Doctor(args) => doctor::run(surroundings, config, args).await,
            Command::Dev(args) => dev::run(surroundings, config, args).await,
            Command::Annotations(_)
            | Command::Config(_)
            | Command::Get(_)
            | Command::Completions { .. }
            | Command::Propagate(_) => Ok(()),
        }
    });
    // What still runs was given up: a name that does not resolve, say, would keep us for as long as it takes.
    runtime.shutdown_timeout(LAST_WORK);
    outcome
}
