//! Who may read and write which secrets of the Secret service, and how callers show who they are.

use std::time::Duration;

use flyte_secrets_config::{
    AccessRule, AccessSubject, AccessVerb, AuthenticationSettings, Inputs, OidcSettings, ScopePattern, load,
};

use crate::support::{errors_of, load_files, load_one, load_with, with_flags};

const REVIEW: &str = "secret: {authentication: {modes: [TokenReview]}, authorization: {rules: [";

fn with_rules(rules: &str) -> String {
    format!("{REVIEW}{rules}]}}}}")
}

#[test]
fn nobody_is_asked_by_default_as_in_flyte() {
    let service = load(&Inputs::default()).unwrap().config.secret_service;
    assert_eq!(service.authentication, AuthenticationSettings::default());
    assert!(!service.authentication.is_on() && service.rules.is_empty());
}

#[test]
fn rules_name_subjects_a_domain_a_project_and_verbs() {
    let text = with_rules(
        "{subjects: ['serviceaccount:flyte/builder', 'serviceaccount:ml/*', 'user:a:b', 'group:ml', '*'],
          domain: development, project: '*', verbs: [read, write]},
         {subjects: ['*'], domain: '', project: '', verbs: [read]}",
    );
    let rules = load_one(&text).unwrap().config.secret_service.rules;
    let account = |namespace: &str, name: Option<&str>| AccessSubject::ServiceAccount {
        namespace: namespace.to_owned(),
        name: name.map(str::to_owned),
    };
    let expected = [
        AccessRule {
            subjects: vec![
                account("flyte", Some("builder")),
                account("ml", None),
                AccessSubject::User("a:b".to_owned()),
                AccessSubject::Group("ml".to_owned()),
                AccessSubject::Everybody,
            ],
            domain: ScopePattern::Exactly("development".to_owned()),
            project: ScopePattern::Any,
            verbs: vec![AccessVerb::Read, AccessVerb::Write],
        },
        AccessRule {
            subjects: vec![AccessSubject::Everybody],
            domain: ScopePattern::Exactly(String::new()),
            project: ScopePattern::Exactly(String::new()),
            verbs: vec![AccessVerb::Read],
        },
    ];
    assert_eq!(rules, expected);
}

#[test]
fn rules_are_replaced_as_a_whole_and_shown_as_they_are_written() {
    let rule = |user: &str| format!("{{subjects: ['user:{user}'], domain: d, project: p, verbs: [write]}}");
    let two = with_rules(&format!("{}, {}", rule("ann"), rule("bob")));
    let loaded = load_files(&[&two, &with_rules(&rule("eve"))]).unwrap();
    assert_eq!(loaded.config.secret_service.rules.len(), 1);
    let shown = loaded.effective.iter().find(|row| row.key == "secret.authorization.rules").unwrap();
    assert_eq!(shown.value, r#"[{"subjects":["user:eve"],"domain":"d","project":"p","verbs":["write"]}]"#);
    let again = with_flags(&[("secret.authorization.rules", &shown.value)]);
    let again = load_with(&["secret: {authentication: {modes: [TokenReview]}}"], again).unwrap();
    assert_eq!(again.config.secret_service.rules, loaded.config.secret_service.rules);
}

#[test]
fn everything_that_is_wrong_with_rules_is_told_with_its_place() {
    let text = "\
secret:
  authentication: {modes: [TokenReview]}
  authorization:
    rules:
      - {subjects: [ann], domain: d, project: p, verbs: [read]}
      - {subjects: ['serviceaccount:builder'], domain: d, project: p, verbs: [read]}
      - {subjects: ['serviceaccount:*/builder'], domain: d, project: p, verbs: [read]}
      - {subjects: ['user:'], domain: d, project: p, verbs: [read]}
      - {subjects: ['user:*'], domain: d, project: p, verbs: [read]}
      - {subjects: ['*'], domain: 'team-*', project: p, verbs: [read]}
      - {subjects: ['*'], domain: d, project: p, verbs: [admin]}
      - {subjects: ['*'], domain: d, verbs: [read]}
      - {subjects: ['*'], domain: '', project: p, verbs: [read]}
      - {subjects: ['*'], domain: d, project: p, verbs: [read], organization: flyte}
      - {subjects: [], domain: d, project: p, verbs: []}
      - {subjects: '*', domain: d, project: p, verbs: [read]}
      - everybody
";
    let errors = errors_of(load_one(text));
    let expected = [
        (5, "got `ann`"),
        (6, "got `serviceaccount:builder`"),
        (7, "got `serviceaccount:*/builder`"),
        (8, "got `user:`"),
        (9, "got `user:*`"),
        (10, "got `team-*`"),
        (11, "a list of read, write, got `admin`"),
        (12, "`project` is missing"),
        (13, "a project without a domain"),
        (14, "unknown key; known here: subjects, domain, project, verbs"),
        (15, "1 to 1000 of them"),
        (15, "1 to 1000 of them"),
        (16, "got `*`"),
        (17, "got `everybody`"),
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, (line, part)) in errors.iter().zip(expected) {
        assert!(error.starts_with(&format!("1.yaml:{line}:")) && error.contains(part), "{part}: {error}");
    }
}

#[test]
fn an_issuer_is_named_with_its_audiences() {
    let text = "\
secret:
  authentication:
    modes: [OIDC, TokenReview]
    tokenReview: {audiences: [secrets]}
    oidc: {issuer: 'https://issuer.example/', audiences: [secrets, flyte], groupsClaim: '', leeway: 5s, caFile: /ca.pem}
  authorization: {rules: []}
";
    let authentication = load_one(text).unwrap().config.secret_service.authentication;
    assert_eq!(authentication.token_review, Some(vec!["secrets".to_owned()]));
    let expected = OidcSettings {
        issuer: "https://issuer.example/".to_owned(),
        audiences: vec!["secrets".to_owned(), "flyte".to_owned()],
        subject_claim: "sub".to_owned(),
        groups_claim: None,
        leeway: Duration::from_secs(5),
        ca_file: Some("/ca.pem".into()),
    };
    assert_eq!(authentication.oidc, Some(expected));
}

#[test]
fn settings_that_would_let_everybody_in_or_nobody_are_refused() {
    let rule = "authorization: {rules: [{subjects: ['*'], domain: '*', project: '*', verbs: [read]}]}";
    let cases = [
        (format!("secret: {{{rule}}}"), "secret.authorization.rules: nobody is asked who it is"),
        (
            "secret: {authentication: {modes: [TokenReview]}}".to_owned(),
            "secret.authentication.modes: there are no secret.authorization.rules",
        ),
        (
            format!("secret: {{{rule}, authentication: {{modes: [OIDC], oidc: {{audiences: [a]}}}}}}"),
            "secret.authentication.oidc.issuer: needed for OIDC",
        ),
        (
            format!("secret: {{{rule}, authentication: {{modes: [OIDC], oidc: {{issuer: 'https://i'}}}}}}"),
            "secret.authentication.oidc.audiences: needed for OIDC",
        ),
        (
            format!(
                "secret: {{{rule}, authentication: {{modes: [OIDC], oidc: {{issuer: 'http://i', audiences: [a]}}}}}}"
            ),
            "secret.authentication.oidc.issuer: whoever is on the way could play the issuer",
        ),
        (format!("secret: {{{rule}, authentication: {{modes: [Basic]}}}}"), "secret.authentication.modes: "),
    ];
    for (text, expected) in cases {
        let errors = errors_of(load_one(&text)).join("\n");
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
}
