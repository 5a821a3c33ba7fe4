//! `secret`: the local store on the command line. Values come from a file or standard input and are
//! printed by `get --reveal` only.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use flyte_secrets_config::LocalStoreSettings;
use flyte_secrets_core::encoded_id::SecretId;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_stores::SecretFetcher;
use flyte_secrets_stores::local::{Entry, LocalError, LocalStore, Places, Unlock, ValueKind};
use flyte_secrets_stores::values::Values;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::Failed;
use crate::args::{ConfigArgs, Place, SecretArgs, SecretCommand, TextOutput};
use crate::documents::read_input;
use crate::output::{print, print_json};
use crate::setup::Surroundings;

/// A Kubernetes Secret is no larger.
const MAX_VALUE: u64 = 1024 * 1024;

/// Where the local store is: as configured, or in its own place.
pub(crate) fn places(settings: &LocalStoreSettings) -> Result<Places> {
    let configured = (&settings.file, &settings.key_file);
    if let (Some(file), Some(key)) = configured {
        return Ok(Places { file: file.clone(), key: key.clone() });
    }
    let own = Places::from_environment(|name| std::env::var_os(name))?;
    let (file, key) = configured;
    Ok(Places { file: file.clone().unwrap_or(own.file), key: key.clone().unwrap_or(own.key) })
}

pub(crate) async fn run(surroundings: &Surroundings, config: &ConfigArgs, args: &SecretArgs) -> Result<(), Failed> {
    let loaded = surroundings.load(config)?;
    let mut settings = loaded.config.stores.local;
    settings.file = args.store.clone().or(settings.file);
    settings.key_file = args.key_file.clone().or(settings.key_file);
    let places = places(&settings)?;
    let unlock = if args.passphrase {
        Unlock::Passphrase(ask_passphrase(!places.file.exists())?.into())
    } else {
        Unlock::KeyFile
    };
    let store = LocalStore::open(places, unlock).context("cannot open the local store")?;
    Ok(act(&store, args).await?)
}

async fn act(store: &LocalStore, args: &SecretArgs) -> Result<()> {
    match &args.command {
        SecretCommand::Create { value: Some(_), .. } => {
            bail!(
                "a value has no place on the command line, where every process of this computer can read it: give it \
                 on standard input, or in a file with --from-file"
            )
        }
        SecretCommand::Create { place, value: None, from_file, binary, replace } => {
            let (id, value) = (id(place), read_value(from_file, *binary)?);
            if *replace {
                store.put(&id, value)?
            } else {
                store.create(&id, value).map_err(hint_at_replace)?
            }
            done(args, "stored", &id)
        }
        SecretCommand::Get { place, reveal: true } => reveal(&store.get(&id(place))?),
        SecretCommand::Get { place, reveal: false } => {
            let id = id(place);
            let entry = store.list()?.into_iter().find(|entry| entry.id == id);
            show(args, &[entry.ok_or_else(|| anyhow!("there is no secret {id}"))?])
        }
        SecretCommand::List { org, domain, project } => {
            let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
            let mut entries = store.list()?;
            entries.retain(|Entry { id, .. }| {
                fits(org, &id.org) && fits(domain, &id.domain) && fits(project, &id.project)
            });
            show(args, &entries)
        }
        SecretCommand::Delete { place } => {
            let id = id(place);
            store.delete(&id)?;
            done(args, "deleted", &id)
        }
        SecretCommand::Import { file, replace } => {
            let secrets = import(file).await?;
            let imported = store.import(secrets, *replace).map_err(hint_at_replace)?;
            let (created, replaced) = (imported.created, imported.replaced);
            match args.output {
                TextOutput::Text => print(&format!("stored {created} new secrets and replaced {replaced}\n")),
                TextOutput::Json => print_json(&serde_json::json!({"created": created, "replaced": replaced})),
            }
        }
    }
}

/// The same error in the words of the command line.
fn hint_at_replace(error: LocalError) -> anyhow::Error {
    match error {
        LocalError::AlreadyExists { ids } => {
            anyhow!("already there, and left as it is: {}; --replace gives it the new value", ids.join(", "))
        }
        error => error.into(),
    }
}

fn id(place: &Place) -> SecretId {
    let scope = place.scope.clone();
    SecretId { org: scope.org, domain: scope.domain, project: scope.project, name: place.name.clone() }
}

/// Reads a value. Of standard input the last line end is left away: a person's `echo` has put it there.
fn read_value(path: &Path, binary: bool) -> Result<SecretValue> {
    let mut bytes = Zeroizing::new(Vec::new());
    if path == Path::new("-") && std::io::stdin().is_terminal() {
        let value = rpassword::prompt_password("Value (not shown): ").context("cannot ask for the value")?;
        bytes.extend_from_slice(Zeroizing::new(value).as_bytes());
    } else if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_VALUE + 2).read_to_end(&mut bytes).context("cannot read standard input")?;
        for end in [b'\n', b'\r'] {
            if !binary && bytes.last() == Some(&end) {
                bytes.pop();
            }
        }
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        file.take(MAX_VALUE + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    }
    if bytes.len() as u64 > MAX_VALUE {
        bail!("the value is larger than 1 MiB");
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if !binary => Ok(SecretValue::text(text.to_owned())),
        _ => Ok(SecretValue::binary(bytes.to_vec())),
    }
}

fn reveal(value: &SecretValue) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(value.expose_bytes())?;
    Ok(out.flush()?)
}

/// Reads many values from a document of the form that `--values` takes.
async fn import(path: &Path) -> Result<BTreeMap<SecretId, SecretValue>> {
    let values = Values::parse(&read_input(path)?).with_context(|| path.display().to_string())?;
    let mut secrets = BTreeMap::new();
    for encoded in values.ids() {
        let id = SecretId::decode(encoded).with_context(|| format!("{encoded:?}"))?;
        let value =
            values.get(&id).await.with_context(|| format!("{encoded:?} holds no value that could be stored"))?;
        secrets.insert(id, value);
    }
    Ok(secrets)
}

#[derive(Serialize)]
struct Shown<'a> {
    org: &'a str,
    domain: &'a str,
    project: &'a str,
    name: &'a str,
    id: String,
    kind: ValueKind,
    bytes: usize,
    created: String,
    updated: String,
}

fn show(args: &SecretArgs, entries: &[Entry]) -> Result<()> {
    let time = |time| humantime::format_rfc3339_seconds(time).to_string();
    let shown: Vec<Shown<'_>> = entries
        .iter()
        .map(|entry| Shown {
            org: &entry.id.org,
            domain: &entry.id.domain,
            project: &entry.id.project,
            name: &entry.id.name,
            id: entry.id.to_string(),
            kind: entry.kind,
            bytes: entry.size,
            created: time(entry.created),
            updated: time(entry.updated),
        })
        .collect();
    if args.output == TextOutput::Json {
        return print_json(&shown);
    }
    let mut text = format!("{:<28} {:<12} {:<14} {:<20} {:>8}  UPDATED\n", "NAME", "ORG", "DOMAIN", "PROJECT", "BYTES");
    for Shown { org, domain, project, name, bytes, updated, .. } in shown {
        text.push_str(&format!("{name:<28} {org:<12} {domain:<14} {project:<20} {bytes:>8}  {updated}\n"));
    }
    print(&text)
}

fn done(args: &SecretArgs, what: &str, id: &SecretId) -> Result<()> {
    match args.output {
        TextOutput::Text => print(&format!("{what} {id}\n")),
        TextOutput::Json => print_json(&serde_json::json!({"done": what, "id": id.to_string()})),
    }
}

/// Asks on the terminal, twice for a new store, or reads `FLYTE_SECRETS_PASSPHRASE`; never from the command line.
fn ask_passphrase(new: bool) -> Result<String> {
    if let Ok(passphrase) = std::env::var("FLYTE_SECRETS_PASSPHRASE") {
        return Ok(passphrase);
    }
    let ask = |what| {
        rpassword::prompt_password(what)
            .context("cannot ask for the passphrase; set FLYTE_SECRETS_PASSPHRASE where there is no terminal")
    };
    let passphrase = ask("Passphrase of the local store: ")?;
    if new && *Zeroizing::new(ask("The same again: ")?) != passphrase {
        bail!("the two passphrases differ; nothing is stored");
    }
    Ok(passphrase)
}
