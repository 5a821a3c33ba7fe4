//! The service is killed in the middle of writes.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use flyte_secrets_core::azure_key_vault::encode_name;
use flyte_secrets_core::encoded_id::SecretId;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::key_vault::key_vault;
use super::process::{Service, encoded, named, path, pull_secret, rights, secret, stored, value_in};
use crate::harness::servers::Server;
use crate::harness::{bed, eventually};

const REGION: &str = "eu-central-1";
const NOTHING: [(&str, &str); 0] = [];
const SECRETS: usize = 24;

/// Every third is for pulling images.
fn message(number: usize) -> Value {
    let name = format!("s{number}");
    if number.is_multiple_of(3) { pull_secret(&name, "dTpw") } else { secret(&name, &format!("v{number}")) }
}

/// Begins to create all secrets at once, and kills the service when so many of them are answered.
async fn interrupted(service: &mut Service, answered: usize) {
    let mut calls = JoinSet::new();
    for number in 0..SECRETS {
        calls.spawn(create(service.address(), message(number).to_string()));
    }
    for _ in 0..answered {
        assert!(calls.join_next().await.unwrap().unwrap().unwrap().contains("200 OK"));
    }
    service.kill().await;
    while calls.join_next().await.is_some() {}
}

/// What is answered, if anything is.
async fn create(address: String, body: String) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let path = path("CreateSecret");
    let length = body.len();
    let head = format!("POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// After a crash and a restart the client tries all again: each is there in the end, and none twice.
async fn retried(service: &Service) {
    for number in 0..SECRETS {
        eventually("the retry", 30, async || match &*service.call("CreateSecret", &message(number)).await {
            "ok" | "already_exists" => Ok(()),
            // GCP's two steps: whoever made the first one may still be at work.
            again @ ("aborted" | "deadline_exceeded" | "unavailable") => Err(format!("{number}: {again}")),
            other => panic!("{number}: {other}"),
        })
        .await;
        assert_eq!(service.call("GetSecret", &named(&format!("s{number}"))).await, "ok");
    }
}

#[tokio::test]
async fn over_kubernetes_no_secret_is_half_written_and_the_retry_is_safe() {
    let namespace = bed().namespace("crashes").await;
    let mut service = Service::over_kubernetes("crashes", &namespace.name, rights(&namespace).await, json!({})).await;
    for answered in [0, 1, SECRETS / 2] {
        interrupted(&mut service, answered).await;
        for secret in stored(&namespace).await {
            assert_eq!(secret["data"].as_object().unwrap().len(), 1, "{}", secret["metadata"]["name"]);
        }
        service.spawn().await;
        retried(&service).await;
        let all = stored(&namespace).await;
        let pulls = (0..SECRETS).filter(|number| number.is_multiple_of(3)).count();
        assert_eq!(all.len(), SECRETS + pulls);
        let values: BTreeMap<String, String> = all
            .iter()
            .flat_map(|secret| {
                secret["data"].as_object().unwrap().keys().map(move |key| (key.clone(), value_in(secret, key).unwrap()))
            })
            .collect();
        for number in 0..SECRETS {
            let expected = message(number)["secretSpec"]["stringValue"].as_str().unwrap().to_owned();
            assert_eq!(values[&encoded(&format!("s{number}"))], expected);
        }
        assert_eq!(all.iter().filter(|secret| secret["type"] == "kubernetes.io/dockerconfigjson").count(), pulls);
        for number in 0..SECRETS {
            assert_eq!(service.call("DeleteSecret", &named(&format!("s{number}"))).await, "ok");
        }
        assert!(stored(&namespace).await.is_empty());
    }
}

/// The service is killed before, amid and after its answers; `whole` looks at each secret that is there after the retry, with
/// the value that it should have.
async fn killed_and_retried(service: &mut Service, whole: impl AsyncFn(&str, &str, bool)) {
    for answered in [0, 1, SECRETS / 2] {
        interrupted(service, answered).await;
        service.spawn().await;
        retried(service).await;
        for number in 0..SECRETS {
            let name = format!("s{number}");
            let expected = message(number)["secretSpec"]["stringValue"].as_str().unwrap().to_owned();
            whole(&encoded(&name), &expected, number.is_multiple_of(3)).await;
            assert_eq!(service.call("DeleteSecret", &named(&name)).await, "ok");
        }
    }
}

#[tokio::test]
async fn over_the_local_store_no_secret_is_half_written_and_the_retry_is_safe() {
    let mut service = Service::over_local("crashes-local", json!({})).await;
    // It opens the file as a whole, or does not become ready.
    killed_and_retried(&mut service, async |_, _, _| ()).await;
}

#[tokio::test]
async fn over_openbao_no_secret_is_half_written_and_the_retry_is_safe() {
    let bao = Server::openbao().await;
    let auth = json!({"method": "Token", "tokenFile": bao.root_token_file()});
    let config = json!({"address": format!("http://{}", bao.address), "auth": auth});
    let mut service = Service::over("Vault", json!({"vaultConfig": config}), &NOTHING).await;
    killed_and_retried(&mut service, async |id, expected, pull| {
        let (fields, version) = bao.bao_get(id).await.unwrap();
        assert_eq!(fields["value"].as_str(), Some(expected));
        assert_eq!(fields.get("flyte_image_pull_secret").is_some(), pull);
        assert_eq!(version, 1, "nothing is made twice");
    })
    .await;
}

#[tokio::test]
async fn over_aws_no_secret_is_half_written_and_the_retry_is_safe() {
    let moto = Server::moto().await;
    let config = json!({"region": REGION, "endpoint": format!("http://{}", moto.address)});
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let mut service = Service::over("AWS", json!({"awsConfig": config}), &keys).await;
    killed_and_retried(&mut service, async |id, expected, _| {
        let secret = json!({"SecretId": id});
        assert_eq!(moto.moto_action(REGION, "GetSecretValue", &secret).await["SecretString"].as_str(), Some(expected));
        let versions = moto.moto_action(REGION, "ListSecretVersionIds", &secret).await;
        assert_eq!(versions["Versions"].as_array().map(Vec::len), Some(1), "nothing is made twice: {versions}");
    })
    .await;
}

#[tokio::test]
async fn over_gcp_no_secret_is_half_written_and_the_retry_is_safe() {
    let drongo = Server::drongo().await;
    let config = json!({"project": "my-project", "endpoint": format!("http://{}", drongo.address), "anonymous": true});
    // A secret without a version is somebody's for three times as long.
    let mut service = Service::over("GCP", json!({"gcpConfig": config, "callTimeout": "2s"}), &NOTHING).await;
    killed_and_retried(&mut service, async |id, expected, _| {
        let path = format!("/v1/projects/my-project/secrets/{id}/versions");
        let payload = drongo.drongo_get(&format!("{path}/latest:access")).await["payload"]["data"].clone();
        assert_eq!(payload.as_str(), Some(&*BASE64.encode(expected.as_bytes())));
        let versions = drongo.drongo_get(&path).await;
        assert_eq!(versions["versions"].as_array().map(Vec::len), Some(1), "nothing is made twice: {versions}");
    })
    .await;
}

#[tokio::test]
async fn over_azure_no_secret_is_half_written_and_the_retry_is_safe() {
    let (azure, vault) = key_vault().await;
    let mut service = Service::over("Azure", json!({"azureConfig": azure.config()}), &azure.env()).await;
    killed_and_retried(&mut service, async |id, expected, _| {
        let name = encode_name(&SecretId::decode(id).unwrap()).unwrap();
        let versions = vault.versions(&name);
        // What was deleted in the round before ends with a disabled version.
        let new: Vec<_> = versions.iter().rev().take_while(|version| version.enabled).collect();
        assert_eq!(new.len(), 1, "nothing is made twice: {id}");
        assert_eq!(new[0].value, json!({"type": "STRING", "value": expected}).to_string());
    })
    .await;
}
