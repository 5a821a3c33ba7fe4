//! Whose token it is, and how often the API server is asked.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

const REMEMBERED: Duration = Duration::from_secs(60);

pub(crate) const TOKEN: &str = "aaaa.planted-token.cccc";

/// An API server that answers every TokenReview in one way, and counts them.
pub(crate) fn api_server(status: u16, answer: Value) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (count, answer) = (Arc::clone(&count), answer.to_string());
        async move {
            assert_eq!(request.uri().path(), "/apis/authentication.k8s.io/v1/tokenreviews");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["kind"], "TokenReview");
            count.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(Response::builder().status(status).body(Body::from(answer.into_bytes())).unwrap())
        }
    });
    (Client::new(service, "default"), asked)
}

/// What a real one answers for a good token: the token is repeated.
pub(crate) fn good(user: &str) -> Value {
    json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": TOKEN},
           "status": {"authenticated": true, "user": {"username": user, "uid": "u", "groups": ["system:authenticated"]}}})
}

pub(crate) fn unknown() -> Value {
    json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": TOKEN},
           "status": {"user": {}, "error": "[invalid bearer token, unknown]"}})
}

fn asking(client: Client) -> TokenReviews {
    TokenReviews::new(client, Vec::new(), REMEMBERED)
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_asked_about() {
    let (client, asked) = api_server(201, good("system:serviceaccount:a:b"));
    let reviews = asking(client);
    for token in ["", "secret", "a.b", "a..c", "a.b.c d", &format!("{}.b.c", "a".repeat(MAX_TOKEN))] {
        assert_eq!(reviews.user(token).await, Err(NobodyKnown::Unknown), "{token}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_token_has_to_be_confirmed_for_one_of_the_audiences() {
    for (confirmed, expected) in [
        (json!(["other", "secrets"]), Ok("system:serviceaccount:a:b".to_owned())),
        (json!(["other"]), Err(NobodyKnown::Unknown)),
        // What an authenticator answers that knows nothing of audiences.
        (json!([]), Err(NobodyKnown::Unknown)),
    ] {
        let mut answer = good("system:serviceaccount:a:b");
        answer["status"]["audiences"] = confirmed;
        let (client, _) = api_server(201, answer.clone());
        let reviews = TokenReviews::new(client, vec!["secrets".to_owned()], REMEMBERED);
        assert_eq!(reviews.user(TOKEN).await, expected, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_remembered_for_a_minute_and_a_bad_one_is_not() {
    let (client, asked) = api_server(201, good("system:serviceaccount:a:b"));
    let reviews = asking(client);
    for _ in 0..3 {
        reviews.user(TOKEN).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(REMEMBERED).await;
    reviews.user(TOKEN).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);

    let (client, asked) = api_server(201, unknown());
    let reviews = asking(client);
    for _ in 0..3 {
        reviews.user(TOKEN).await.unwrap_err();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_good_token_is_remembered_no_longer_than_it_is_valid() {
    let (client, asked) = api_server(201, good("system:serviceaccount:a:b"));
    let reviews = asking(client);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let token = |end: u64| format!("e30.{}.sig", BASE64URL_NOPAD.encode(json!({"exp": end}).to_string().as_bytes()));
    for (end, advance, questions) in [(now + 10, 15, 2), (now + 3600, 15, 1), (now - 1, 0, 2)] {
        asked.store(0, Ordering::SeqCst);
        reviews.user(&token(end)).await.unwrap();
        tokio::time::advance(Duration::from_secs(advance)).await;
        reviews.user(&token(end)).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), questions, "{end}");
    }
}

#[tokio::test]
async fn no_more_tokens_are_remembered_than_there_is_room_for() {
    let (client, _) = api_server(201, good("system:serviceaccount:a:b"));
    let reviews = asking(client);
    for index in 0..MAX_REMEMBERED + 10 {
        reviews.remember(Sha256::digest(index.to_string()).into(), "system:serviceaccount:a:b", Duration::MAX);
    }
    assert_eq!(reviews.known().len(), MAX_REMEMBERED);
}

#[tokio::test(start_paused = true)]
async fn callers_with_made_up_tokens_cannot_hammer_the_api_server_and_known_ones_are_still_let_in() {
    let (client, asked) = api_server(201, good("system:serviceaccount:a:b"));
    let reviews = asking(client);
    reviews.user(TOKEN).await.unwrap();
    for index in 1..1000 {
        let _ = reviews.user(&format!("made.up.{index}")).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), QUESTIONS_PER_MINUTE as usize);
    assert!(reviews.user(TOKEN).await.is_ok());
    assert_eq!(reviews.user("one.more.token").await, Err(NobodyKnown::Unavailable));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(reviews.user("one.more.token").await.is_ok());
}

#[tokio::test]
async fn a_token_is_in_no_error_and_no_debug_output() {
    let (client, _) = api_server(201, json!([TOKEN]));
    let reviews = asking(client);
    let error = reviews.review(TOKEN).await.err().unwrap();
    assert!(!format!("{error} {error:?} {reviews:?}").contains("planted-token"), "{error}");
}
