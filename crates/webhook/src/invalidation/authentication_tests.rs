//! Who is let in.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::token_review::tests::{TOKEN, api_server, good, unknown};

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
async fn a_request_without_a_bearer_token_is_not_let_in() {
    let (client, _) = api_server(201, good("system:serviceaccount:a:b"));
    let authenticator = Authenticator::new(client, &[]);
    assert_eq!(authenticator.check(&HeaderMap::new()).await, Err(NotLetIn::Unauthenticated));
    for value in ["", "Bearer", "Bearer ", "Basic aaaa.b.c", "Bearer secret"] {
        assert_eq!(authenticator.check(&headers(value)).await, Err(NotLetIn::Unauthenticated), "{value}");
    }
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
