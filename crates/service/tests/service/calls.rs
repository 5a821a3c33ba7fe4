//! What each method does, over Connect with JSON.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Request, StatusCode};
use serde_json::json;

use crate::support::{SERVICE, Service, code, named, post, secret};

const DOCKER: &str = r#"{"auths": {"ghcr.io": {"auth": "dTpw"}}}"#;

#[tokio::test]
async fn a_secret_is_created_found_updated_and_deleted() {
    let service = Service::new();
    assert_eq!(service.done("CreateSecret", &secret("a", "v")).await, json!({}));
    assert_eq!(service.stored("a").unwrap(), "v");
    let found = service.done("GetSecret", &named("a")).await["secret"].clone();
    assert_eq!(found["id"], json!({"name": "a", "organization": "flyte"}));
    let metadata = &found["secretMetadata"];
    assert!(metadata["createdTime"].as_str().unwrap().starts_with("20"), "{metadata}");
    assert_eq!(metadata.get("type"), None, "generic is the default");
    let status = json!({
        "overallStatus": "FULLY_PRESENT",
        "clusterStatus": [{"cluster": {"name": "here"}, "presenceStatus": "PRESENT"}],
    });
    assert_eq!(metadata["secretStatus"], status);
    assert_eq!(service.done("UpdateSecret", &secret("a", "w")).await, json!({}));
    assert_eq!(service.stored("a").unwrap(), "w");
    assert_eq!(service.done("DeleteSecret", &named("a")).await, json!({}));
    assert_eq!(service.stored("a"), None);
}

#[tokio::test]
async fn what_is_there_is_not_created_and_what_is_not_there_is_not_found() {
    let service = Service::new();
    for (method, message) in
        [("UpdateSecret", secret("a", "v")), ("GetSecret", named("a")), ("DeleteSecret", named("a"))]
    {
        let answer = service.call(method, &message).await;
        assert_eq!((answer.0, code(&answer).as_str()), (StatusCode::NOT_FOUND, "not_found"), "{method}");
    }
    service.done("CreateSecret", &secret("a", "v")).await;
    let answer = service.call("CreateSecret", &secret("a", "w")).await;
    assert_eq!((answer.0, code(&answer).as_str()), (StatusCode::CONFLICT, "already_exists"));
    assert_eq!(service.stored("a").unwrap(), "v", "it is left as it is");
}

#[tokio::test]
async fn a_value_may_be_text_bytes_or_empty_but_not_missing() {
    let service = Service::new();
    let bytes = json!({"id": {"name": "bytes"}, "secretSpec": {"binaryValue": "AAEC"}});
    service.done("CreateSecret", &bytes).await;
    service.done("CreateSecret", &secret("empty", "")).await;
    assert_eq!(
        (service.stored("bytes").unwrap().as_str(), service.stored("empty").unwrap().as_str()),
        ("\0\u{1}\u{2}", "")
    );
    for message in [named("none"), json!({"id": {"name": "none"}, "secretSpec": {}})] {
        for method in ["CreateSecret", "UpdateSecret"] {
            assert_eq!(code(&service.call(method, &message).await), "invalid_argument", "{method} {message}");
        }
    }
    let large = secret("large", &"x".repeat((1 << 20) + 1));
    assert_eq!(code(&service.call("CreateSecret", &large).await), "invalid_argument");
    service.done("CreateSecret", &secret("full", &"\n".repeat(1 << 20))).await;
    assert_eq!(code(&service.call("CreateSecret", &secret("huge", &"x".repeat(4 << 20))).await), "resource_exhausted");
}

#[tokio::test]
async fn the_organization_that_is_asked_for_is_not_regarded() {
    let service = Service::new();
    let message = json!({"id": {"name": "a", "organization": "other"}, "secretSpec": {"stringValue": "v"}});
    service.done("CreateSecret", &message).await;
    assert_eq!(service.stored("a").unwrap(), "v");
}

#[tokio::test]
async fn an_image_pull_secret_is_a_docker_configuration() {
    let service = Service::new();
    let pull = |value: &str| {
        json!({
            "id": {"name": "pull"},
            "secretSpec": {"stringValue": value, "type": "SECRET_TYPE_IMAGE_PULL_SECRET"},
        })
    };
    let refused = service.call("CreateSecret", &pull("planted")).await;
    assert!(code(&refused) == "invalid_argument" && !refused.1.to_string().contains("planted"), "{}", refused.1);
    service.done("CreateSecret", &pull(DOCKER)).await;
    let found = service.done("GetSecret", &named("pull")).await;
    assert_eq!(found["secret"]["secretMetadata"]["type"], "SECRET_TYPE_IMAGE_PULL_SECRET");
    let unknown = json!({"id": {"name": "other"}, "secretSpec": {"stringValue": "v", "type": 7}});
    assert_eq!(code(&service.call("CreateSecret", &unknown).await), "invalid_argument");
}

#[tokio::test]
async fn a_list_comes_in_pages_and_holds_the_scopes_within_its_own() {
    let service = Service::new();
    for (name, domain, project) in
        [("o", "", ""), ("d", "dev", ""), ("p1", "dev", "p"), ("p2", "dev", "p"), ("q", "dev", "q"), ("x", "prod", "p")]
    {
        let id = json!({"name": name, "domain": domain, "project": project});
        service.done("CreateSecret", &json!({"id": id, "secretSpec": {"stringValue": "v"}})).await;
    }
    let names = async |request: serde_json::Value| {
        let (mut names, mut message) = (Vec::new(), request);
        loop {
            let page = service.done("ListSecrets", &message).await;
            let secrets = page["secrets"].as_array().cloned().unwrap_or_default();
            names.extend(secrets.iter().map(|secret| secret["id"]["name"].as_str().unwrap().to_owned()));
            match page.get("token") {
                Some(token) => message["token"] = token.clone(),
                None => return names.join(" "),
            }
        }
    };
    assert_eq!(names(json!({"limit": 1})).await, "o d p1 p2 q x");
    assert_eq!(names(json!({"domain": "dev", "limit": 2})).await, "d p1 p2 q");
    assert_eq!(names(json!({"domain": "dev", "project": "p"})).await, "p1 p2");
    assert_eq!(names(json!({"domain": "none"})).await, "");
    for wrong in [json!({"project": "p"}), json!({"limit": -1}), json!({"token": "x"}), json!({"domain": "a,b=c"})] {
        assert_eq!(code(&service.call("ListSecrets", &wrong).await), "invalid_argument", "{wrong}");
    }
}

#[tokio::test]
async fn compressed_requests_are_taken() {
    let service = Service::new();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(secret("a", "v").to_string().as_bytes()).unwrap();
    let mut request = post(&format!("{SERVICE}/CreateSecret"), gzip.finish().unwrap());
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(service.send(request).await.0, StatusCode::OK);
    assert_eq!(service.stored("a").unwrap(), "v");
}

#[tokio::test]
async fn secrets_are_served_here_and_nothing_else() {
    let service = Service::new();
    let ask = |operation: &str| {
        post("/flyteidl2.cluster.ClusterService/SelectCluster", json!({"operation": operation}).to_string())
    };
    assert_eq!(service.send(ask("OPERATION_USE_SECRETS")).await, (StatusCode::OK, json!({})));
    assert_eq!(code(&service.send(ask("OPERATION_GET_IMAGE")).await), "unimplemented");
    assert_eq!(service.call("GetValue", &json!({})).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn health_is_told_for_each_service() {
    let service = Service::new();
    for name in ["", "flyteidl2.secret.SecretService", "flyteidl2.cluster.ClusterService"] {
        let request = post("/grpc.health.v1.Health/Check", json!({"service": name}).to_string());
        assert_eq!(service.send(request).await, (StatusCode::OK, json!({"status": "SERVING"})), "{name}");
    }
}

#[tokio::test]
async fn grpc_web_is_spoken_too() {
    let service = Service::new();
    // One frame: no flags, a length of 7, and `id { name: "abc" }` in protobuf.
    let frame = b"\0\0\0\0\x07\x0a\x05\x0a\x03abc".to_vec();
    let request = Request::post(format!("{SERVICE}/GetSecret")).header("content-type", "application/grpc-web+proto");
    let (status, answer) = service.send(request.body(frame.into()).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer.to_string().contains("grpc-status: 5") || answer.to_string().contains("grpc-status:5"), "{answer}");
}
