//! GCP: one container a secret, which asks GCP Secret Manager as the pod's own identity.
//!
//! Source: `gcp_secret_manager.go` of Flyte. The request's group is the secret, its version the version.

use super::fetch::{Fetcher, shell};
use super::{Answer, files_only, path_parts, required};
use crate::case;
use crate::expansion::shell_word;
use crate::injection::SeenFile;
use crate::paths::{SECRETS_DIR, join};
use crate::secret::Secret;
use crate::settings::Settings;

pub(super) fn inject(settings: &Settings, request: &Secret) -> Answer {
    let Secret { group, group_version: version, .. } = request;
    required(&[("group", group), ("group version", version)])?;
    files_only(request)?;
    path_parts(&[("group", group), ("group version", version)])?;

    let folder = case::lower(&join(&[SECRETS_DIR, group])).to_string();
    let path = case::lower(&join(&[SECRETS_DIR, group, version])).to_string();
    let name = format!("{group}/versions/{version}");
    let script = format!(
        "gcloud secrets versions access {full} --out-file={file} || gcloud secrets versions access {version} \
         --secret={secret} --out-file={file}; chmod +rX {folder} {file}",
        full = shell_word(&name),
        version = shell_word(version),
        secret = shell_word(group),
        folder = shell_word(&folder),
        file = shell_word(&path),
    );
    Fetcher {
        name_prefix: "gcp-pull-secret-",
        volume: "gcp-secret-vol",
        settings: &settings.gcp,
        command: shell(script),
        env: Vec::new(),
        mount_path: SECRETS_DIR,
    }
    .injection(SeenFile { path, source: format!("the GCP secret {name:?}") })
}
