//! Whether a value can pull images.

use std::collections::BTreeMap;

use flyte_secrets_core::value::SecretValue;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The part of a docker configuration that a kubelet reads.
#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, Auth>,
}

/// The credentials of one registry; their values are skipped, not copied.
#[derive(Deserialize)]
struct Auth {
    auth: Option<IgnoredAny>,
    username: Option<IgnoredAny>,
    password: Option<IgnoredAny>,
    identitytoken: Option<IgnoredAny>,
}

/// Whether a value is what a Secret of the type `kubernetes.io/dockerconfigjson` holds: JSON with `auths`, a registry at least,
/// and credentials for each (<https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets>).
///
/// # Errors
///
/// A sentence that says what is missing, without anything of the value.
pub(crate) fn check(value: &SecretValue) -> Result<(), String> {
    let config: DockerConfig = serde_json::from_slice(value.expose_bytes()).map_err(|error| {
        // The parser's own words may quote the value.
        let (line, column) = (error.line(), error.column());
        format!(
            "the value of an image-pull secret is a docker configuration in JSON, {{\"auths\": {{\"<registry>\": {{\"auth\": \
             \"<base64 of user:password>\"}}}}}}; this one is not (line {line}, column {column})"
        )
    })?;
    if config.auths.is_empty() {
        return Err("the docker configuration has no registry in `auths`".to_owned());
    }
    let bare = |auth: &Auth| {
        auth.auth.is_none() && auth.identitytoken.is_none() && (auth.username.is_none() || auth.password.is_none())
    };
    match config.auths.values().filter(|auth| bare(auth)).count() {
        0 => Ok(()),
        count => Err(format!(
            "the docker configuration has no credentials for {count} of its {} registries: each needs `auth`, or `username` and \
             `password`; a configuration that points to a credential helper (`credsStore`) holds none",
            config.auths.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        check(&SecretValue::text(text.to_owned()))
    }

    #[test]
    fn what_docker_and_flyte_write_is_taken() {
        for text in [
            r#"{"auths": {"ghcr.io": {"auth": "dTpw"}}}"#,
            r#"{"auths": {"https://index.docker.io/v1/": {"username": "u", "password": "p", "auth": "dTpw"}}}"#,
            r#"{"auths": {"r": {"identitytoken": "t"}}, "credHelpers": {}, "HttpHeaders": {"a": "b"}}"#,
        ] {
            checked(text).unwrap();
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_quoted() {
        for (text, part) in [
            ("planted", "line 1"),
            (r#"{"planted.io": {"auth": "planted"}}"#, "docker configuration in JSON"),
            (r#"{"auths": "planted"}"#, "docker configuration in JSON"),
            (r#"{"auths": {}}"#, "no registry"),
            (r#"{"auths": {"planted.io": {}, "b": {"auth": "x"}}, "credsStore": "desktop"}"#, "1 of its 2"),
            (r#"{"auths": {"planted.io": {"username": "planted"}}}"#, "1 of its 1"),
        ] {
            let problem = checked(text).unwrap_err();
            assert!(problem.contains(part) && !problem.contains("planted"), "{problem}");
        }
    }
}
