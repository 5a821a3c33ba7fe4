//! `config`: the effective settings, their errors, and all there are.

use anyhow::Result;
use flyte_secrets_config::reference;
use serde_json::json;

use crate::Failed;
use crate::args::{ConfigArgs, ConfigCommand, TextOutput};
use crate::output::{print, print_json};
use crate::setup::{Surroundings, tell_warnings};

pub(crate) fn run(surroundings: &Surroundings, config: &ConfigArgs, command: &ConfigCommand) -> Result<(), Failed> {
    match command {
        ConfigCommand::Reference => Ok(print(&reference())?),
        ConfigCommand::Show { output } => show(surroundings, config, *output),
        ConfigCommand::Check { output } => check(surroundings, config, *output),
    }
}

fn show(surroundings: &Surroundings, config: &ConfigArgs, output: TextOutput) -> Result<(), Failed> {
    let loaded = surroundings.load(config)?;
    tell_warnings(&loaded, output == TextOutput::Json);
    if output == TextOutput::Json {
        return Ok(print_json(&loaded.effective)?);
    }
    let width = loaded.effective.iter().map(|one| one.key.len() + one.value.to_string().len() + 2).max().unwrap_or(0);
    let width = width.min(90);
    let mut text = String::new();
    for one in &loaded.effective {
        let setting = format!("{}: {}", one.key, one.value);
        text.push_str(&format!("{setting:<width$}  # {}\n", one.origin));
    }
    Ok(print(&text)?)
}

fn check(surroundings: &Surroundings, config: &ConfigArgs, output: TextOutput) -> Result<(), Failed> {
    let as_json = output == TextOutput::Json;
    match surroundings.load(config) {
        Ok(loaded) if as_json => Ok(print_json(&json!({"errors": [], "warnings": loaded.warnings}))?),
        Ok(loaded) => {
            tell_warnings(&loaded, false);
            Ok(print("the configuration is correct\n")?)
        }
        Err(Failed::Config(errors)) if as_json => {
            print_json(&json!({"errors": errors.errors(), "omitted": errors.omitted()}))?;
            Err(Failed::Told)
        }
        Err(failed) => Err(failed),
    }
}
