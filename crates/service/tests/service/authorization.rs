//! Who may do what.

use flyte_secrets_config::{AccessRule, AccessSubject, AccessVerb, ScopePattern};
use flyte_secrets_service::{Identity, Rules};
use serde_json::{Value, json};

use crate::support::{SERVICE, Service, code, post};

fn rule(user: &str, domain: &str, project: &str, verbs: &[AccessVerb]) -> AccessRule {
    let scope = |text: &str| if text == "*" { ScopePattern::Any } else { ScopePattern::Exactly(text.to_owned()) };
    let subjects = vec![AccessSubject::User(user.to_owned())];
    AccessRule { subjects, domain: scope(domain), project: scope(project), verbs: verbs.to_vec() }
}

fn secret(domain: &str, project: &str, name: &str) -> Value {
    json!({"id": {"name": name, "domain": domain, "project": project}, "secretSpec": {"stringValue": "v"}})
}

async fn call(service: &Service, user: &str, method: &str, message: &Value) -> (http::StatusCode, Value) {
    let mut request = post(&format!("{SERVICE}/{method}"), message.to_string());
    request.extensions_mut().insert(Identity::User { name: user.to_owned(), groups: Vec::new() });
    service.send(request).await
}

/// A service in which the admin has put secrets into two projects, and ann may read one of them.
async fn filled(count: usize) -> Service {
    let service = Service::with(Rules::new(vec![
        rule("admin", "*", "*", &[AccessVerb::Read, AccessVerb::Write]),
        rule("ann", "development", "a", &[AccessVerb::Read, AccessVerb::Write]),
    ]));
    for number in 0..count {
        for project in ["a", "b"] {
            let secret = secret("development", project, &format!("s{number:03}"));
            assert_eq!(code(&call(&service, "admin", "CreateSecret", &secret).await), "no error");
        }
    }
    service
}

/// All secrets of a list, page by page, and the size of each page.
async fn listed(service: &Service, user: &str, limit: usize) -> (Vec<String>, Vec<usize>) {
    let (mut found, mut pages, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let request = json!({"domain": "development", "limit": limit, "token": token});
        let (_, answer) = call(service, user, "ListSecrets", &request).await;
        let page = answer["secrets"].as_array().cloned().unwrap_or_default();
        found.extend(page.iter().map(|secret| {
            let id = &secret["id"];
            format!("{}/{}", id["project"].as_str().unwrap(), id["name"].as_str().unwrap())
        }));
        pages.push(page.len());
        token = answer["token"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return (found, pages);
        }
    }
}

#[tokio::test]
async fn a_list_holds_what_the_caller_may_read_in_full_pages() {
    let service = filled(25).await;
    let expected: Vec<String> = (0..25).map(|number| format!("a/s{number:03}")).collect();
    for limit in [1, 7, 24, 25, 26, 100] {
        let (found, pages) = listed(&service, "ann", limit).await;
        assert_eq!(found, expected, "{limit}");
        let (last, full) = pages.split_last().unwrap();
        assert!(full.iter().all(|size| *size == limit) && *last <= limit, "{limit}: {pages:?}");
    }
    assert_eq!(listed(&service, "admin", 7).await.0.len(), 50);
}

#[tokio::test]
async fn what_no_rule_permits_is_refused_before_it_is_looked_for_and_counted() {
    let service = filled(1).await;
    let (there, not_there) = (secret("development", "b", "s000"), secret("development", "b", "other"));
    let mut texts = Vec::new();
    for message in [&there, &not_there] {
        for method in ["CreateSecret", "UpdateSecret", "GetSecret", "DeleteSecret"] {
            let answer = call(&service, "ann", method, message).await;
            assert_eq!(code(&answer), "permission_denied", "{method} {message}");
            texts.push(answer.1["message"].as_str().unwrap().replace("s000", "other"));
        }
    }
    // Nobody learns from a refusal whether the secret is there.
    assert_eq!(texts[..4], texts[4..]);
    assert_eq!(
        texts[0],
        "user:ann may not create the secret \"other\" of the project \"b\" in the domain \"development\""
    );
    for scope in [json!({"domain": "development", "project": "b"}), json!({"domain": "production"})] {
        assert_eq!(code(&call(&service, "ann", "ListSecrets", &scope).await), "permission_denied", "{scope}");
    }
    assert_eq!(code(&call(&service, "eve", "ListSecrets", &json!({})).await), "permission_denied");
    let text = service.metrics.text();
    for line in ["denials_total{verb=\"read\"} 5\n", "denials_total{verb=\"write\"} 6\n"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
