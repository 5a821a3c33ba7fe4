//! Who is let in, and how often the API server is asked.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

const TOKEN: &str = "aaaa.planted-token.cccc";

/// An API server that answers every TokenReview in one way, and counts them.
fn api_server(status: u16, answer: Value) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (count, answer) = (Arc::clone(&count), answer.to_string());
        async move {
            assert_eq!(request.uri().path(), "/apis/authentication.k8s.io/v1/tokenreviews");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&body["kind"], body["spec"].as_object().unwrap().len()), (&json!("TokenReview"), 1));
            count.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(Response::builder().status(status).body(Body::from(answer.into_bytes())).unwrap())
        }
    });
    (Client::new(service, "default"), asked)
}

/// What a real one answers for a good token: the token is repeated.
fn good(user: &str) -> Value {
    json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": TOKEN},
           "status": {"authenticated": true, "user": {"username": user, "uid": "u", "groups": ["system:authenticated"]}}})
}

fn unknown() -> Value {
    json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": TOKEN},
           "status": {"user": {}, "error": "[invalid bearer token, unknown]"}})
}

fn headers(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
}

async fn check(answer: (u16, Value), allowed: &[&str], header: &str) -> Result<String, NotLetIn> {
    let (client, _) = api_server(answer.0, answer.1);
    let allowed: Vec<String> = allowed.iter().map(|&account| account.to_owned()).collect();
    Authenticator::new(client, &allowed).check(&headers(header)).await
}

#[tokio::test]
async fn a_service_account_is_let_in_if_it_is_named_or_nobody_is() {
    let user = "system:serviceaccount:flyte:secret-service";
    let forbidden = || Err(NotLetIn::Forbidden { user: user.to_owned() });
    let cases: [(&[&str], Result<String, NotLetIn>); 4] = [
        (&[], Ok(user.to_owned())),
        (&["other/one", "flyte/secret-service"], Ok(user.to_owned())),
        (&["flyte/other"], forbidden()),
        (&["other/secret-service"], forbidden()),
    ];
    for (allowed, expected) in cases {
        assert_eq!(check((201, good(user)), allowed, &format!("Bearer {TOKEN}")).await, expected, "{allowed:?}");
    }
}

#[tokio::test]
async fn a_user_that_is_no_service_account_is_not_let_in() {
    let found = check((201, good("admin")), &[], &format!("Bearer {TOKEN}")).await;
    assert_eq!(found, Err(NotLetIn::Forbidden { user: "admin".to_owned() }));
}

#[tokio::test]
async fn a_token_that_the_api_server_does_not_know_is_none() {
    assert_eq!(check((201, unknown()), &[], &format!("bearer {TOKEN}")).await, Err(NotLetIn::Unauthenticated));
    // Authenticated, and nobody: not what an API server says, and not good enough.
    let nobody = json!({"status": {"authenticated": true}});
    assert_eq!(check((201, nobody), &[], &format!("Bearer {TOKEN}")).await, Err(NotLetIn::Unauthenticated));
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_asked_about() {
    let (client, asked) = api_server(201, good("system:serviceaccount:a:b"));
    let authenticator = Authenticator::new(client, &[]);
    let long = format!("Bearer {}.b.c", "a".repeat(MAX_TOKEN));
    assert_eq!(authenticator.check(&HeaderMap::new()).await, Err(NotLetIn::Unauthenticated));
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Basic aaaa.b.c",
        "Bearer secret",
        "Bearer a.b",
        "Bearer a..c",
        "Bearer a.b.c d",
        &long,
    ] {
        assert_eq!(authenticator.check(&headers(value)).await, Err(NotLetIn::Unauthenticated), "{value}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_api_server_that_cannot_tell_lets_nobody_in() {
    let forbidden = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"});
    for answer in [(403, forbidden), (500, json!("broken")), (201, json!("not a review")), (201, json!({"status": 5}))]
    {
        let found = check(answer.clone(), &[], &format!("Bearer {TOKEN}")).await;
        assert_eq!(found, Err(NotLetIn::Unavailable), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_remembered_for_a_minute_and_a_bad_one_is_not() {
    let (client, asked) = api_server(201, good("system:serviceaccount:a:b"));
    let authenticator = Authenticator::new(client, &[]);
    for _ in 0..3 {
        authenticator.check(&headers(&format!("Bearer {TOKEN}"))).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(REMEMBERED).await;
    authenticator.check(&headers(&format!("Bearer {TOKEN}"))).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);

    let (client, asked) = api_server(201, unknown());
    let authenticator = Authenticator::new(client, &[]);
    for _ in 0..3 {
        authenticator.check(&headers(&format!("Bearer {TOKEN}"))).await.unwrap_err();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn no_more_tokens_are_remembered_than_there_is_room_for() {
    let (client, _) = api_server(201, good("system:serviceaccount:a:b"));
    let authenticator = Authenticator::new(client, &[]);
    for index in 0..MAX_REMEMBERED + 10 {
        authenticator.remember(Sha256::digest(index.to_string()).into(), "system:serviceaccount:a:b");
    }
    assert_eq!(authenticator.known().len(), MAX_REMEMBERED);
}

#[tokio::test(start_paused = true)]
async fn callers_with_made_up_tokens_cannot_hammer_the_api_server_and_known_ones_are_still_let_in() {
    let (client, asked) = api_server(201, good("system:serviceaccount:a:b"));
    let authenticator = Authenticator::new(client, &[]);
    let known = headers(&format!("Bearer {TOKEN}"));
    authenticator.check(&known).await.unwrap();
    for index in 1..1000 {
        let _ = authenticator.check(&headers(&format!("Bearer made.up.{index}"))).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), QUESTIONS_PER_MINUTE as usize);
    assert!(authenticator.check(&known).await.is_ok());
    assert_eq!(authenticator.check(&headers("Bearer one.more.token")).await, Err(NotLetIn::Unavailable));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(authenticator.check(&headers("Bearer one.more.token")).await.is_ok());
}

#[tokio::test]
async fn a_token_is_in_no_error_and_no_debug_output() {
    let (client, _) = api_server(201, json!([TOKEN]));
    let authenticator = Authenticator::new(client, &["flyte/a".to_owned()]);
    let error = authenticator.review(TOKEN).await.err().unwrap();
    assert!(!format!("{error} {error:?} {authenticator:?}").contains("planted-token"), "{error}");
}
