//! The service is killed in the middle of writes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::process::{Service, encoded, named, path, pull_secret, rights, secret, stored, value_in};
use crate::harness::bed;

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
        let answer = service.call("CreateSecret", &message(number)).await;
        assert!(answer == "ok" || answer == "already_exists", "{number}: {answer}");
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

#[tokio::test]
async fn over_the_local_store_no_secret_is_half_written_and_the_retry_is_safe() {
    let mut service = Service::over_local("crashes-local", json!({})).await;
    for answered in [0, 1, SECRETS / 2] {
        interrupted(&mut service, answered).await;
        // It opens the file as a whole, or does not become ready.
        service.spawn().await;
        retried(&service).await;
        for number in 0..SECRETS {
            assert_eq!(service.call("DeleteSecret", &named(&format!("s{number}"))).await, "ok");
        }
    }
}
