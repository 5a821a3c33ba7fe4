//! The reference of all keys, made from the table.

use std::fmt::Write as _;

use flyte_secrets_core::Profile;

use crate::keys::{KEYS, Key, Preset, SECTIONS, Since};

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the table of keys: `UPDATE_DOCS=1 cargo test -p flyte-secrets-config` writes this file. -->

YAML, in the files and with the keys of Flyte. `--config` takes paths and globs and may be given more than
once; the files of a glob are read in the order of their names. Later layers win, key by key:

1. the defaults below,
2. the files, in their order,
3. the environment,
4. the flags.

Mappings are merged member by member, down to `resources.limits.cpu`; lists and everything else are replaced.
A key without a value, or with `null`, is as if it were not there. Case makes no difference in keys, except in
names of annotations and labels.

Every key is also a flag, `--webhook.certDir=/certs`, and an environment variable in upper case, with `-` as
`_`: `WEBHOOK.CERTDIR`, as in Flyte, or `WEBHOOK_CERTDIR` where a shell is to set it. In both, lists are written with commas and mappings
as YAML in one line: `--webhook.namespaceSelector='{matchLabels: {flyte: \"yes\"}}'`. An empty variable is as if
it were not set, and unknown variables are ignored.

The sections of other Flyte components in the same files are ignored. An unknown key in a section below is an
error that names the file, the line and the nearest known key; only `cache` and `logger` may hold keys of others.
All errors are reported at once.

`POD_NAMESPACE` and `POD_NAME` tell the webhook its own namespace and pod.

In the column *since*, *Flyte* is Flyte 1 and 2, *2* is Flyte 2, and *new* is a key that Flyte does not have.
Keys of Flyte 2 work in the profile `flyte1` too.
";

/// The reference of all keys in Markdown, as `docs/configuration.md` holds it.
#[must_use]
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in SECTIONS {
        push(
            &mut text,
            format_args!("\n## `{section}`\n\n| key | accepts | default | since | meaning |\n|---|---|---|---|---|\n"),
        );
        for key in KEYS.iter().filter(|key| key.section() == section) {
            row(&mut text, key);
        }
    }
    text
}

fn row(text: &mut String, key: &Key) {
    let since = match key.since {
        Since::Flyte => "Flyte",
        Since::Flyte2 => "2",
        Since::Ours => "new",
    };
    let name = key.path.split_once('.').map_or(key.path, |(_, name)| name);
    let accepted = key.kind.accepted().replace('|', "\\|");
    push(text, format_args!("| `{name}` | {accepted} | {} | {since} | {} |\n", default(key), key.doc));
}

fn default(key: &Key) -> String {
    let one = |profile| match key.default_text(profile) {
        None => "not set".to_owned(),
        Some("") if key.kind.is_list() => "`[]`".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    };
    match key.default {
        Preset::ByProfile { .. } => {
            format!("{}; in `flyte1` {}", one(Profile::Flyte2), one(Profile::Flyte1))
        }
        _ => one(Profile::Flyte2),
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("writing to a String cannot fail");
}
