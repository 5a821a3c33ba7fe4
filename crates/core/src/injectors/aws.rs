//! AWS: one container a secret, which asks AWS Secrets Manager as the pod's own identity.
//!
//! Source: `aws_secret_manager.go` of Flyte.

use super::fetch::Fetcher;
use super::{Answer, files_only, path_parts, required, variable_name};
use crate::case;
use crate::expansion::escape_dollars;
use crate::injection::{EnvVar, SeenFile};
use crate::paths::{SECRETS_DIR, join};
use crate::secret::Secret;
use crate::settings::{Profile, Settings};

pub(super) fn inject(settings: &Settings, request: &Secret) -> Answer {
    let Secret { group, key, env_var, .. } = request;
    required(&[("group", group), ("key", key)])?;
    files_only(request)?;
    path_parts(&[("group", group), ("key", key)])?;

    let arn = format!("{}:{}", group.trim_end_matches(':'), key.trim_start_matches(':'));
    let (folder, file) = (case::lower(group), case::lower(key));
    let filename = join(&["/", &folder, &file]);
    let path = join(&[SECRETS_DIR, &folder, &file]);
    let fetcher = Fetcher {
        name_prefix: "aws-pull-secret-",
        volume: "aws-secret-vol",
        settings: &settings.aws,
        command: Vec::new(),
        env: vec![
            EnvVar::text("SECRET_ARN", escape_dollars(&arn)),
            EnvVar::text("SECRET_FILENAME", escape_dollars(&filename)),
        ],
        // The image of AWS writes below /tmp.
        mount_path: "/tmp",
    };
    let env_var = match settings.profile {
        Profile::Flyte1 if !env_var.is_empty() => {
            Some(EnvVar::text(variable_name(env_var.clone())?, escape_dollars(&path)))
        }
        _ => None,
    };
    let mut injection = fetcher.injection(SeenFile { path, source: format!("the AWS secret {arn:?}") })?;
    injection.env.extend(env_var);
    Ok(injection)
}
