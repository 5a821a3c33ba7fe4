//! `get`: a task's secret for shells and programs without an SDK.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Result;
use data_encoding::BASE64;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_sdk::tasks::{Found, SecretError, SecretsManager, Source};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::{GetArgs, TextOutput};
use crate::{Failed, hardening, output};

pub(crate) fn run(args: &GetArgs) -> Result<(), Failed> {
    hardening::harden()?;
    let secrets = SecretsManager::default();
    let (group, key, group_version) = (args.group.as_str(), args.key.as_str(), args.group_version.as_deref());
    if args.path {
        let path = secrets.get_secrets_file(group, key, group_version)?;
        return Ok(output::print(&format!("{}\n", path.display()))?);
    }
    if args.env_name {
        return Ok(output::print(&format!("{}\n", secrets.get_secrets_env_var(group, key, group_version)))?);
    }
    let found = secrets.find(group, key, group_version).map_err(failed)?;
    match args.output {
        TextOutput::Text => print_value(&value(&found, args.raw))?,
        TextOutput::Json => print_json(args, &found)?,
    }
    Ok(())
}

fn failed(error: SecretError) -> Failed {
    match error {
        SecretError::NotFound { .. } => Failed::NotFound(error.into()),
        error => error.into(),
    }
}

/// The value as flytekit gives it; what is no text as it is.
fn value(found: &Found, raw: bool) -> SecretValue {
    match found.text() {
        Ok(text) if !raw => SecretValue::Text(text),
        _ => SecretValue::Binary(found.exact_bytes()),
    }
}

/// Nothing but the value, so that it can be used; on a terminal a line end for the eye.
fn print_value(value: &SecretValue) -> Result<()> {
    output::print_bytes(value.expose_bytes())?;
    if std::io::stdout().is_terminal() { output::print("\n") } else { Ok(()) }
}

#[derive(Serialize)]
struct Document<'a> {
    group: &'a str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_version: Option<&'a str>,
    source: Place<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<Zeroizing<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Place<'a> {
    Env(&'a str),
    File(&'a Path),
}

fn print_json(args: &GetArgs, found: &Found) -> Result<()> {
    let value = args.reveal.then(|| value(found, args.raw));
    let text = value.as_ref().and_then(SecretValue::expose_text);
    let binary = value.as_ref().filter(|_| text.is_none());
    let document = Document {
        group: &args.group,
        key: &args.key,
        group_version: args.group_version.as_deref(),
        source: match found.source() {
            Source::EnvVar(name) => Place::Env(name),
            Source::File(path) => Place::File(path),
        },
        value: text,
        value_base64: binary.map(|value| Zeroizing::new(BASE64.encode(value.expose_bytes()))),
    };
    output::print_json(&document)
}
