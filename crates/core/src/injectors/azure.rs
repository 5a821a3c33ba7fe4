//! Azure: one container a secret, which asks Azure Key Vault as the pod's own workload identity.
//!
//! Source: `azure_secret_manager.go` of Flyte 2. The request's group is the secret's URI.

use super::fetch::{Fetcher, shell};
use super::{Answer, files_only, path_parts, required};
use crate::case;
use crate::expansion::{is_plain_word, shell_word};
use crate::injection::SeenFile;
use crate::paths::{SECRETS_DIR, join};
use crate::secret::Secret;
use crate::settings::Settings;

const LOGIN: &str = "az login --service-principal -u $AZURE_CLIENT_ID -t $AZURE_TENANT_ID \
                     --federated-token \"$(cat $AZURE_FEDERATED_TOKEN_FILE)\"; ";

pub(super) fn inject(settings: &Settings, request: &Secret) -> Answer {
    let Secret { group, group_version: version, .. } = request;
    required(&[("group", group)])?;
    files_only(request)?;
    let uri = group.trim_end_matches('/');
    let name = uri.rsplit('/').next().unwrap_or_default();
    path_parts(&[("last part of the group", name), ("group version", version)])?;

    let path = case::lower(&join(&[SECRETS_DIR, name, version])).to_string();
    let make_folder = if version.is_empty() {
        String::new()
    } else {
        format!("mkdir -p {}; ", shell_word(&case::lower(&join(&[SECRETS_DIR, name]))))
    };
    let id = format!("{uri}/{version}");
    let quoted_id = if is_plain_word(&id) { format!("\"{id}\"") } else { shell_word(&id) };
    let script = format!(
        "{LOGIN}{make_folder}az keyvault secret show --id {quoted_id} --query \"value\" -o tsv > {}",
        shell_word(&path)
    );
    Fetcher {
        name_prefix: "azure-pull-secret-",
        volume: "azure-secret-vol",
        settings: &settings.azure,
        command: shell(script),
        env: Vec::new(),
        mount_path: SECRETS_DIR,
    }
    .injection(SeenFile { path, source: format!("the Azure secret {id:?}") })
}
