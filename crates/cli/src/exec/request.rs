//! Requests as people type them: `db/password@v2:file=DB_PASSWORD`.

use anyhow::{Result, bail};
use flyte_secrets_core::{MountRequirement, Secret};

/// Reads `[GROUP/]KEY[@VERSION][:env|:file][=VARIABLE]`. The last `/` ends the group, which may hold more of them.
///
/// # Errors
/// They do not repeat what stands behind a `=`: it may be a value.
pub(super) fn parse(text: &str) -> Result<Secret> {
    let (named, variable) = match text.split_once('=') {
        Some((named, variable)) => (named, Some(variable)),
        None => (text, None),
    };
    if variable.is_some_and(|variable| !is_variable(variable)) {
        bail!(
            "behind '=' stands the name of a variable in capitals (A-Z, 0-9, _), as in {named}=MY_VARIABLE. A value has no \
             place on the command line, where every process of this computer can read it and the shell remembers it: \
             store it with `flyte-secrets secret create`, which reads standard input"
        );
    }
    let (place, mount_requirement) = match named.rsplit_once(':') {
        Some((place, "env")) => (place, MountRequirement::ENV_VAR),
        Some((place, "file")) => (place, MountRequirement::FILE),
        _ => (named, MountRequirement::ANY),
    };
    let (group, key) = place.rsplit_once('/').map_or((None, place), |(group, key)| (Some(group), key));
    let (key, version) = key.rsplit_once('@').map_or((key, None), |(key, version)| (key, Some(version)));
    for (part, what) in [(group, "group"), (Some(key), "key"), (version, "version")] {
        if part == Some("") {
            bail!(
                "{named:?} has no {what}; write GROUP/KEY or KEY, then @VERSION, :env or :file, and =VARIABLE if needed"
            );
        }
    }
    Ok(Secret {
        group: group.unwrap_or_default().to_owned(),
        group_version: version.unwrap_or_default().to_owned(),
        key: key.to_owned(),
        mount_requirement,
        env_var: variable.unwrap_or_default().to_owned(),
    })
}

/// flytekit's rule for `Secret.env_var`.
fn is_variable(name: &str) -> bool {
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    name.bytes().next().is_some_and(upper) && name.bytes().all(|byte| upper(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_part_but_the_key_may_be_left_out() {
        use MountRequirement as Mount;
        for (text, group, key, version, mount, variable) in [
            ("api_key", "", "api_key", "", Mount::ANY, ""),
            ("db/password", "db", "password", "", Mount::ANY, ""),
            ("db/cert:file", "db", "cert", "", Mount::FILE, ""),
            ("db/password:env=DB_PASSWORD", "db", "password", "", Mount::ENV_VAR, "DB_PASSWORD"),
            ("db/password=_P1", "db", "password", "", Mount::ANY, "_P1"),
            ("db/password@v2:file=P", "db", "password", "v2", Mount::FILE, "P"),
            ("kv/data/team/db/password", "kv/data/team/db", "password", "", Mount::ANY, ""),
            ("arn:aws:secretsmanager:eu:1:secret:s/k", "arn:aws:secretsmanager:eu:1:secret:s", "k", "", Mount::ANY, ""),
            ("user@host/key:other", "user@host", "key:other", "", Mount::ANY, ""),
        ] {
            let expected = Secret {
                group: group.to_owned(),
                group_version: version.to_owned(),
                key: key.to_owned(),
                mount_requirement: mount,
                env_var: variable.to_owned(),
            };
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_part_that_is_announced_and_empty_is_named() {
        for (text, part) in
            [("", "key"), ("/k", "group"), ("g/", "key"), ("k@", "version"), ("@v", "key"), (":file", "key")]
        {
            let told = parse(text).unwrap_err().to_string();
            assert!(told.contains(&format!("has no {part};")), "{text}: {told}");
        }
    }

    #[test]
    fn what_may_be_a_value_is_not_repeated() {
        for value in ["hunter2", "", "pass=word", "P@ss", "Ab", "1A", "A B"] {
            let told = parse(&format!("db/password={value}")).unwrap_err().to_string();
            assert!(told.contains("as in db/password=MY_VARIABLE") && told.contains("secret create"), "{told}");
            assert!(value.is_empty() || !told.contains(value), "{told}");
        }
    }
}
