//! What the containers and agents do that fetch secrets into a pod, where their images cannot run.
//!
//! Real are the container's own script and variables, the servers that are asked, and OpenBao's agent. Played are AWS's
//! sidecar (it reads `SECRET_ARN` and writes `/tmp` + `SECRET_FILENAME`), `gcloud` and `az` as far as the scripts call
//! them, and the injector that starts Vault's agent for a pod's annotations.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::plain_http::send_text;
use super::pod::container;
use super::realised::{Realised, SECRETS_DIR, expand};
use super::servers::Server;
use super::{Namespace, program};

/// `gcloud secrets versions access VERSION [--secret=NAME] --out-file=FILE`, over REST; it knows one project. As
/// gcloud it makes the folder, and what it writes is its own.
const GCLOUD: &str = r#"#!/bin/sh
set -eu
[ "$1 $2 $3" = "secrets versions access" ]
version=$4 secret='' out=''
shift 4
for argument; do
  case $argument in
    --secret=*) secret=${argument#*=} ;;
    --out-file=*) out=${argument#*=} ;;
    *) exit 2 ;;
  esac
done
if [ -n "$secret" ]; then name=projects/my-project/secrets/$secret/versions/$version; else name=$version; fi
body=$(curl -sf "$GCLOUD_ENDPOINT/v1/$name:access")
umask 077
mkdir -p "${out%/*}"
printf %s "$body" | sed 's/.*"data": *"\([^"]*\)".*/\1/' | base64 -d >"$out"
"#;

/// `az login` with a federated token, and `az keyvault secret show` out of a folder with a file a secret, called as its id
/// with every `/` as `_`.
const AZ: &str = r#"#!/bin/sh
set -eu
case "$*" in
  "login --service-principal -u $AZURE_CLIENT_ID -t $AZURE_TENANT_ID --federated-token federated") touch "$AZ_VAULT/.in" ;;
  "keyvault secret show --id "*" --query value -o tsv") [ -e "$AZ_VAULT/.in" ] && cat "$AZ_VAULT/$(printf %s "$5" | tr / _)" ;;
  *) exit 2 ;;
esac
"#;

/// Runs the only init container of a pod, which is a script, with these programs and variables.
async fn run_script(namespace: &Namespace, pod: &Value, main: &Realised, program: (&str, &str), env: &[(&str, &str)]) {
    let fetcher = &pod["spec"]["initContainers"][0];
    let folder = TempDir::with_prefix("fs-fetcher-").unwrap();
    let file = folder.path().join(program.0);
    fs::write(&file, program.1).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let variables = main.variables(namespace, fetcher).await;
    let words = ["command", "args"].into_iter().flat_map(|part| fetcher[part].as_array().into_iter().flatten());
    let words: Vec<String> = words.map(|word| main.rooted(&expand(word.as_str().unwrap(), &variables))).collect();
    let (shell, arguments) = words.split_first().unwrap();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = program::command(Path::new(shell), &arguments);
    command.envs(variables).envs(env.iter().copied());
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
    program::run_ok(command).await;
}

/// Google's SDK in a container.
pub(crate) async fn gcloud(namespace: &Namespace, pod: &Value, main: &Realised, drongo: &Server) {
    let endpoint = format!("http://{}", drongo.address);
    run_script(namespace, pod, main, ("gcloud", GCLOUD), &[("GCLOUD_ENDPOINT", &endpoint)]).await;
}

/// Azure's command line in a container with a workload identity, and a vault with these secrets, by id.
pub(crate) async fn az(namespace: &Namespace, pod: &Value, main: &Realised, secrets: &[(&str, &str)]) {
    let vault = TempDir::with_prefix("fs-vault-").unwrap();
    for (id, value) in secrets {
        // The command line ends what it prints with a line end.
        fs::write(vault.path().join(id.replace('/', "_")), format!("{value}\n")).unwrap();
    }
    let token = vault.path().join("token");
    fs::write(&token, "federated").unwrap();
    let env = [
        ("AZ_VAULT", vault.path().to_str().unwrap()),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap()),
    ];
    run_script(namespace, pod, main, ("az", AZ), &env).await;
}

/// AWS's sidecar.
pub(crate) async fn aws_sidecar(namespace: &Namespace, pod: &Value, main: &Realised, region: &str, moto: &Server) {
    let fetcher = &pod["spec"]["initContainers"][0];
    let env = main.variables(namespace, fetcher).await;
    let headers = format!(
        "X-Amz-Target: secretsmanager.GetSecretValue\r\nAuthorization: AWS4-HMAC-SHA256 Credential=a/20260101/{region}/\
         secretsmanager/aws4_request, SignedHeaders=host, Signature=a\r\n"
    );
    let question = json!({"SecretId": env["SECRET_ARN"]}).to_string();
    let (status, answer) = send_text(&Method::POST, &moto.address, "/", &headers, &question).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    // Its volume is at /tmp in the sidecar, and where secrets are in the task.
    let volume = &fetcher["volumeMounts"][0];
    assert_eq!(volume["mountPath"], "/tmp");
    let mounts = container(pod, "main")["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]).unwrap();
    let file = PathBuf::from(main.path(&format!("{}{}", mount["mountPath"].as_str().unwrap(), env["SECRET_FILENAME"])));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, answer["SecretString"].as_str().unwrap()).unwrap();
}

/// Vault's agent, as its injector starts it for the annotations of a pod.
pub(crate) async fn vault_agent(pod: &Value, main: &Realised, bao: &Server) {
    const PREFIX: &str = "vault.hashicorp.com/";
    let annotations = pod["metadata"]["annotations"].as_object().unwrap().iter();
    let vault: BTreeMap<&str, &str> =
        annotations.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value.as_str()?))).collect();
    assert_eq!((vault["agent-inject"], vault["secret-volume-path"]), ("true", SECRETS_DIR), "{pod}");
    let files = vault.iter().filter_map(|(name, file)| Some((name.strip_prefix("agent-inject-file-")?, file)));
    let templates: Vec<_> = files
        .map(|(id, file)| {
            let template = vault[format!("agent-inject-template-{id}").as_str()];
            json!({"contents": template, "destination": main.path(&format!("{SECRETS_DIR}/{file}"))})
        })
        .collect();
    let token = bao.root_token_file();
    let config = json!({
        "vault": {"address": format!("http://{}", bao.address)},
        "auto_auth": {"method": [{"type": "token_file", "config": {"token_file_path": token}}]},
        "template": templates,
        "exit_after_auth": true,
    });
    let file = bao.folder.path().join("agent.json");
    fs::write(&file, config.to_string()).unwrap();
    let mut command = program::command(&Server::program("bao"), &["agent", &format!("-config={}", file.display())]);
    command.env("HOME", bao.folder.path());
    program::run_ok(command).await;
}
