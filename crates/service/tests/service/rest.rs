//! The paths of the protocol's annotations.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::support::{Service, code, post, secret};

async fn rest(service: &Service, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(format!("/secrets/api/v1{path}"));
    service.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn all_methods_have_their_path() {
    let service = Service::new();
    let (created, _) = rest(&service, Method::POST, "", &secret("a", "v").to_string()).await;
    assert_eq!((created, service.stored("a").as_deref()), (StatusCode::OK, Some("v")));
    let (_, found) = rest(&service, Method::GET, "/name/a", "").await;
    assert_eq!(found["secret"]["id"]["name"], "a");
    let update = json!({"secretSpec": {"stringValue": "w \" \\ \n"}}).to_string();
    let (updated, _) = rest(&service, Method::PUT, "/name/a", &update).await;
    assert_eq!((updated, service.stored("a").as_deref()), (StatusCode::OK, Some("w \" \\ \n")));
    let (_, listed) = rest(&service, Method::GET, "?limit=1&include_system_secrets=true", "").await;
    assert_eq!(listed["secrets"].as_array().unwrap().len(), 1);
    let (deleted, _) = rest(&service, Method::DELETE, "/name/a", "").await;
    assert_eq!((deleted, service.stored("a")), (StatusCode::OK, None));
    assert_eq!(rest(&service, Method::GET, "/name/a", "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_scope_stands_in_the_query_or_in_the_body() {
    let service = Service::new();
    let id = json!({"domain": "dev", "project": "p"});
    let message = json!({"id": {"name": "a", "domain": "dev", "project": "p"}, "secretSpec": {"stringValue": "v"}});
    rest(&service, Method::POST, "", &message.to_string()).await;
    let update = json!({"id": id, "secretSpec": {"stringValue": "w"}}).to_string();
    assert_eq!(rest(&service, Method::PUT, "/name/a", &update).await.0, StatusCode::OK);
    assert_eq!(rest(&service, Method::GET, "/name/a?id.domain=dev&id.project=p", "").await.0, StatusCode::OK);
    assert_eq!(rest(&service, Method::GET, "/name/a", "").await.0, StatusCode::NOT_FOUND);
    let (_, listed) = rest(&service, Method::GET, "?domain=dev&project=p", "").await;
    assert_eq!(listed["secrets"][0]["id"]["project"], "p");
}

#[tokio::test]
async fn what_is_misspelt_or_contradicts_itself_is_refused() {
    let service = Service::new();
    service.done("CreateSecret", &secret("a", "v")).await;
    for (method, path, body) in [
        (Method::GET, "?domian=dev", String::new()),
        (Method::DELETE, "/name/a?domain=dev", String::new()),
        (Method::PUT, "/name/a", secret("b", "w").to_string()),
        (Method::PUT, "/name/a", "planted".to_owned()),
        (Method::PUT, "/name/a", r#"{"id": "planted"}"#.to_owned()),
        (Method::POST, "", r#"{"secretSpec": {"stringValue": "planted"}}"#.to_owned()),
        (Method::GET, "/name/a%2fb", String::new()),
        (Method::GET, "/name/..", String::new()),
    ] {
        let answer = rest(&service, method.clone(), path, &body).await;
        assert_eq!(code(&answer), "invalid_argument", "{method} {path}: {}", answer.1);
        assert!(!answer.1.to_string().contains("planted"), "{}", answer.1);
    }
    assert_eq!(service.stored("a").unwrap(), "v");
}

#[tokio::test]
async fn a_page_of_another_site_has_no_call_made_by_a_browser() {
    for (site, code) in [
        ("cross-site", StatusCode::FORBIDDEN),
        ("same-site", StatusCode::FORBIDDEN),
        ("same-origin", StatusCode::OK),
        ("none", StatusCode::OK),
    ] {
        let service = Service::new();
        for path in ["/secrets/api/v1", "/flyteidl2.secret.SecretService/CreateSecret"] {
            let name = if path.starts_with("/secrets") { "a" } else { "b" };
            let mut request = post(path, secret(name, "v").to_string());
            request.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
            let answer = service.send(request).await;
            assert_eq!(answer.0, code, "{site} {path}: {}", answer.1);
            assert_eq!(service.stored(name).is_some(), code == StatusCode::OK, "{site} {path}");
        }
    }
}
