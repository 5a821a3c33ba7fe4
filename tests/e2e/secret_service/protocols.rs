//! gRPC by gRPC's own client, REST by curl, both with and without TLS; names that try to leave their place.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use super::client::venv;
use super::process::{Service, certificate, encoded, named, rights, secret, stored, value_in};
use crate::harness::bed;
use crate::harness::program::run_ok;

async fn grpc(service: &Service, ca: Option<&Path>) -> Value {
    let mut command = Command::new(venv().join("bin/python"));
    command.args(["-c", include_str!("../../python/secret_service_grpc.py"), &service.address()]).args(ca).env_clear();
    serde_json::from_str(&run_ok(command).await).unwrap()
}

async fn curl(service: &Service, ca: Option<&Path>, arguments: &[&str], path: &str) -> Value {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--path-as-is"]).args(arguments);
    let scheme = if ca.is_some() { "https" } else { "http" };
    if let Some(ca) = ca {
        command.arg("--cacert").arg(ca);
    }
    command.arg(format!("{scheme}://{}/secrets/api/v1{path}", service.address()));
    serde_json::from_str(&run_ok(command).await).unwrap()
}

async fn speaks(service: &Service, ca: Option<&Path>) {
    let codes =
        json!(["OK", "ALREADY_EXISTS", "OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "OK", "NOT_FOUND", "OK"]);
    let expected = json!({"codes": codes, "name": "by-grpc", "names": ["by-grpc"], "clusters": [["bed", 2]]});
    assert_eq!(grpc(service, ca).await, expected);

    let body = secret("by-rest", "planted").to_string();
    assert_eq!(curl(service, ca, &["-d", &body], "").await, json!({}));
    assert_eq!(curl(service, ca, &["-d", &body], "").await["code"], "already_exists");
    let scope = "?id.domain=development&id.project=flytesnacks";
    let update =
        json!({"id": {"domain": "development", "project": "flytesnacks"}, "secretSpec": {"binaryValue": "AA=="}});
    assert_eq!(curl(service, ca, &["-X", "PUT", "-d", &update.to_string()], "/name/by-rest").await, json!({}));
    let found = curl(service, ca, &[], &format!("/name/by-rest{scope}")).await;
    assert_eq!(found["secret"]["id"]["project"], "flytesnacks");
    assert_eq!(curl(service, ca, &[], "?domain=development").await["secrets"][0]["id"]["name"], "by-rest");
    assert_eq!(curl(service, ca, &[], "/name/..").await["code"], "invalid_argument");
    assert_eq!(curl(service, ca, &[], "/name/a%2fb").await["code"], "invalid_argument");
    assert_eq!(curl(service, ca, &["-X", "DELETE"], &format!("/name/by-rest{scope}")).await, json!({}));
    assert_eq!(curl(service, ca, &["-X", "DELETE"], &format!("/name/by-rest{scope}")).await["code"], "not_found");
}

#[tokio::test]
async fn grpc_and_rest_are_spoken_with_and_without_tls() {
    let namespace = bed().namespace("protocols").await;
    let kubeconfig = rights(&namespace).await;
    let plain = Service::over_kubernetes("protocols-plain", &namespace.name, kubeconfig.clone(), json!({})).await;
    speaks(&plain, None).await;
    assert!(plain.metrics().await.contains("method=\"ListSecrets\",code=\"ok\""));
    let (folder, _) = certificate();
    let tls = json!({"server": {"certDir": folder.path()}});
    let encrypted = Service::over_kubernetes("protocols-tls", &namespace.name, kubeconfig, tls).await;
    speaks(&encrypted, Some(&folder.path().join("ca.crt"))).await;
}

#[tokio::test]
async fn names_are_stored_exactly_or_refused_before_the_api_server_is_asked() {
    let namespace = bed().namespace("names").await;
    let kubeconfig = rights(&namespace).await;
    let service = Service::over_kubernetes("names", &namespace.name, kubeconfig, json!({})).await;
    // With this domain and project the longest that fits a key of a Secret's data.
    let longest = "x".repeat(253 - encoded("").len());
    let good = ["a__b", "__", "_", "a__key__b", "a.b", "...", "A", "a", "-", longest.as_str()];
    for name in good {
        assert_eq!(service.call("CreateSecret", &secret(name, &format!("value of {name}"))).await, "ok", "{name}");
        assert_eq!(service.call("GetSecret", &named(name)).await, "ok", "{name}");
    }
    let all = stored(&namespace).await;
    assert_eq!(all.len(), good.len());
    for name in good {
        let values: Vec<_> = all.iter().filter_map(|secret| value_in(secret, &encoded(name))).collect();
        assert_eq!(values, [format!("value of {name}")]);
    }
    let (too_long, long) = (format!("{longest}x"), "x".repeat(300));
    for name in
        ["", ".", "..", "/", "../a", "%2f", "a b", "ä", "日本", "a\n", "a\u{0}", too_long.as_str(), long.as_str()]
    {
        for method in ["CreateSecret", "UpdateSecret", "GetSecret", "DeleteSecret"] {
            assert_eq!(service.call(method, &message(method, name)).await, "invalid_argument", "{method} {name:?}");
        }
    }
    assert_eq!(stored(&namespace).await.len(), good.len());
}

fn message(method: &str, name: &str) -> Value {
    if matches!(method, "CreateSecret" | "UpdateSecret") { secret(name, "v") } else { named(name) }
}
