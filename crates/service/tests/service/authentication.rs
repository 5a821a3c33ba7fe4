//! Who is let in.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use data_encoding::BASE64URL_NOPAD;
use flyte_secrets_config::{AccessRule, AccessSubject, AccessVerb, OidcSettings, ScopePattern};
use flyte_secrets_service::{Authentication, Oidc, Refusal, ReviewTokens, Rules, TokenReview};
use futures::future::BoxFuture;
use http::{Request, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::issuer::{Issuer, Signer};
use crate::support::{SERVICE, Service, code, post, secret};

/// Everybody who is known may do everything.
fn known() -> Rules {
    Rules::new(vec![AccessRule {
        subjects: vec![AccessSubject::Everybody],
        domain: ScopePattern::Any,
        project: ScopePattern::Any,
        verbs: vec![AccessVerb::Read, AccessVerb::Write],
    }])
}

fn of(issuer: &Issuer) -> OidcSettings {
    OidcSettings {
        issuer: issuer.url.clone(),
        audiences: vec!["secrets".to_owned()],
        subject_claim: "sub".to_owned(),
        groups_claim: Some("groups".to_owned()),
        leeway: Duration::from_secs(5),
        ca_file: None,
    }
}

fn with_oidc(settings: OidcSettings) -> Service {
    Service::guarded(Authentication::new(None, Some(Oidc::new(settings).unwrap())), known())
}

fn list(token: Option<&str>) -> Request<Body> {
    let mut request = post(&format!("{SERVICE}/ListSecrets"), "{}");
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

/// `ok`, or the code and the text of the error.
async fn outcome(service: &Service, token: &str) -> String {
    let answer = service.send(list(Some(token))).await;
    match answer.0 {
        StatusCode::OK => "ok".to_owned(),
        _ => format!("{}: {}", code(&answer), answer.1["message"].as_str().unwrap()),
    }
}

/// A token whose header and claims are these, with this for its signature.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn a_token_of_the_issuer_is_taken_and_every_other_is_refused_with_the_reason() {
    let [signer, other] = [0; 2].map(|_| Signer::new("k1", Algorithm::ES256));
    let [ed, rsa] = [("k2", Algorithm::EdDSA), ("k3", Algorithm::RS256)].map(|(id, kind)| Signer::new(id, kind));
    let issuer = Issuer::start(&[&signer, &ed, &rsa]).await;
    let service = with_oidc(of(&issuer));
    let now = get_current_timestamp();
    let claims = |changes: Value| issuer.claims(&changes);
    let public = signer.public();
    let x = BASE64URL_NOPAD.decode(public["x"].as_str().unwrap().as_bytes()).unwrap();
    let mut hs = Header::new(Algorithm::HS256);
    hs.kid = Some("k1".to_owned());
    let by = |key: &[u8]| encode(&hs, &claims(json!({})), &EncodingKey::from_secret(key)).unwrap();
    let good = signer.sign(&claims(json!({})));
    let cut = &good[..good.len() - 2];
    let another_part =
        forged(&json!({"alg": "ES256", "kid": "k1"}), &claims(json!({"sub": "eve"})), good.rsplit('.').next().unwrap());
    let cases = [
        (good.clone(), "ok"),
        (ed.sign(&claims(json!({}))), "ok"),
        (rsa.sign(&claims(json!({}))), "ok"),
        (signer.sign(&claims(json!({"aud": ["other", "secrets"]}))), "ok"),
        // Within the leeway.
        (signer.sign(&claims(json!({"exp": now - 2, "nbf": now + 2}))), "ok"),
        (signer.sign(&claims(json!({"exp": now - 90}))), "the token has expired 90s ago"),
        (signer.sign(&claims(json!({"exp": null}))), "no claim \"exp\""),
        (signer.sign(&claims(json!({"exp": "never"}))), "no claim \"exp\""),
        (signer.sign(&claims(json!({"nbf": now + 600}))), "not valid yet"),
        (signer.sign(&claims(json!({"nbf": "soon"}))), "no claim \"nbf\""),
        (signer.sign(&claims(json!({"aud": "other"}))), "another audience; expected is secrets"),
        (signer.sign(&claims(json!({"aud": null}))), "no claim \"aud\""),
        (
            signer.sign(&claims(json!({"iss": "https://evil.example"}))),
            &format!("another issuer; expected is {}", issuer.url),
        ),
        (signer.sign(&claims(json!({"iss": null}))), "another issuer"),
        (signer.sign(&claims(json!({"sub": null}))), "no claim \"sub\""),
        (signer.sign(&claims(json!({"sub": "a\nb"}))), "no claim \"sub\""),
        (other.sign(&claims(json!({}))), "signature"),
        (cut.to_owned(), "signature"),
        (another_part, "signature"),
        (forged(&json!({"alg": "none"}), &claims(json!({})), ""), "not signed"),
        (forged(&json!({"alg": "NonE", "kid": "k1"}), &claims(json!({})), ""), "not signed"),
        (by(public.to_string().as_bytes()), "algorithm"),
        (by(&x), "algorithm"),
        (
            forged(&json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}), &claims(json!({})), "AA"),
            "crit",
        ),
        // A key of another kind than the algorithm.
        (
            forged(&json!({"alg": "RS256", "kid": "k1"}), &claims(json!({})), "AA"),
            "a key that its issuer does not name",
        ),
        (Signer::new("k9", Algorithm::ES256).sign(&claims(json!({}))), "a key that its issuer does not name"),
        ("a.b.c".to_owned(), "no token"),
        ("secret".to_owned(), "no token"),
        (format!("{good}.{good}"), "no token"),
        ("x".repeat(20_000), "no token"),
    ];
    for (token, expected) in &cases {
        let found = outcome(&service, token).await;
        let is_right = found == **expected || found.starts_with("unauthenticated: ") && found.contains(expected);
        assert!(is_right, "expected {expected}, found {found}");
        assert!(!found.contains(token.as_str()), "{found}");
    }
    let text = service.metrics.text();
    for (mode, result, count) in [
        ("OIDC", "ok", 5),
        ("OIDC", "signature", 3),
        ("OIDC", "unsigned", 2),
        ("OIDC", "expired", 1),
        ("OIDC", "issuer", 2),
    ] {
        let line = format!("authentications_total{{mode=\"{mode}\",result=\"{result}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_told_but_where_secrets_are_served() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let service = with_oidc(of(&Issuer::start(&[&signer]).await));
    let answer = service.router.clone().oneshot(list(None)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"flyte-secrets\"");
    let answer = service.router.clone().oneshot(list(Some("a.b.c"))).await.unwrap();
    assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"flyte-secrets\", error=\"invalid_token\"");
    let mut request = list(None);
    request.headers_mut().insert("authorization", "Basic YTpi".parse().unwrap());
    assert_eq!(service.send(request).await.0, StatusCode::UNAUTHORIZED);

    for path in ["/secrets/api/v1", "/secrets/api/v1/name/a"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = service.send(request).await;
        assert_eq!((answer.0, code(&answer)), (StatusCode::UNAUTHORIZED, "unauthenticated".to_owned()), "{path}");
    }
    let large = secret("a", &"v".repeat(1 << 20)).to_string();
    assert_eq!(service.send(post(&format!("{SERVICE}/CreateSecret"), large)).await.0, StatusCode::UNAUTHORIZED);

    let mut request = post(&format!("{SERVICE}/ListSecrets"), "\0\0\0\0\0");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let answer = service.router.clone().oneshot(request).await.unwrap();
    assert_eq!(
        (answer.status(), answer.headers().get("grpc-status").map(|code| code.to_str().unwrap())),
        (StatusCode::OK, Some("16"))
    );

    let select = post(
        "/flyteidl2.cluster.ClusterService/SelectCluster",
        json!({"operation": "OPERATION_USE_SECRETS"}).to_string(),
    );
    assert_eq!(service.send(select).await.0, StatusCode::OK);
    let health = post("/grpc.health.v1.Health/Check", "{}");
    assert_eq!(service.send(health).await.0, StatusCode::OK);
    assert_eq!(service.store.list().unwrap().len(), 0);
}

#[tokio::test]
async fn one_token_is_taken_and_two_are_not() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let issuer = Issuer::start(&[&signer]).await;
    let service = with_oidc(of(&issuer));
    let token = signer.sign(&issuer.claims(&json!({})));
    let mut request = list(Some(&token));
    request.headers_mut().append("authorization", format!("Bearer {token}").parse().unwrap());
    assert_eq!(service.send(request).await.0, StatusCode::UNAUTHORIZED);
}

/// Moves the clock; it is not stopped for longer, since real connections would time out.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it_and_an_old_one_goes() {
    let (old, new) = (Signer::new("old", Algorithm::ES256), Signer::new("new", Algorithm::ES256));
    let issuer = Issuer::start(&[&old]).await;
    let service = with_oidc(of(&issuer));
    let token = |signer: &Signer| signer.sign(&issuer.claims(&json!({})));
    assert_eq!(outcome(&service, &token(&old)).await, "ok");
    issuer.publish(&[&new]);
    // Whatever tokens name, the issuer is not asked again at once.
    for _ in 0..20 {
        assert!(outcome(&service, &token(&new)).await.contains("a key that its issuer does not name"));
    }
    assert_eq!(issuer.asked(), 1);
    later(60).await;
    assert_eq!(outcome(&service, &token(&new)).await, "ok");
    assert!(outcome(&service, &token(&old)).await.contains("a key that its issuer does not name"));
    assert_eq!(issuer.asked(), 2);
    // A key that was withdrawn goes although no token names a new one.
    issuer.publish(&[&old]);
    later(540).await;
    assert_eq!(outcome(&service, &token(&new)).await, "ok");
    later(120).await;
    assert!(outcome(&service, &token(&new)).await.contains("a key that its issuer does not name"));
}

#[tokio::test]
async fn an_issuer_that_is_away_lets_nobody_new_in_and_its_keys_are_good_for_an_hour() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let issuer = Issuer::start(&[&signer]).await;
    let token = signer.sign(&issuer.claims(&json!({})));
    let away = OidcSettings { issuer: "http://127.0.0.1:1".to_owned(), ..of(&issuer) };
    let strange = signer.sign(&issuer.claims(&json!({"iss": "http://127.0.0.1:1"})));
    let service = with_oidc(away);
    let found = outcome(&service, &strange).await;
    assert!(found.starts_with("unavailable: it cannot be checked who you are: the keys of the issuer"), "{found}");

    let service = with_oidc(of(&issuer));
    assert_eq!(outcome(&service, &token).await, "ok");
    issuer.fail();
    later(3000).await;
    assert_eq!(outcome(&service, &token).await, "ok");
    later(601).await;
    assert!(outcome(&service, &token).await.starts_with("unavailable: "));
}

#[tokio::test]
async fn an_issuer_has_to_be_who_it_is_said_to_be() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let issuer = Issuer::start(&[&signer]).await;
    let with_slash = format!("{}/", issuer.url);
    let service = with_oidc(OidcSettings { issuer: with_slash.clone(), ..of(&issuer) });
    let token = signer.sign(&issuer.claims(&json!({"iss": with_slash})));
    assert!(outcome(&service, &token).await.starts_with("unavailable: "));
    for address in ["http://issuer.example", "ftp://127.0.0.1", "issuer", ""] {
        let settings = OidcSettings { issuer: address.to_owned(), ..of(&issuer) };
        let error = Oidc::new(settings).unwrap_err().to_string();
        assert!(error.contains("no address of an issuer"), "{error}");
    }
}

/// Speaks TLS in front of a plain server at `to`; gives the address and the certificate in PEM.
async fn tls_in_front_of(to: String) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let (tcp, acceptor) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(Arc::new(config)));
    let url = format!("https://{}", tcp.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                let Ok(mut from) = acceptor.accept(stream).await else { return };
                let mut to = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (url, made.cert.pem())
}

#[tokio::test]
async fn an_issuer_over_tls_is_believed_if_its_certificate_is_trusted() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let mut issuer = Issuer::start(&[&signer]).await;
    let (url, certificate) = tls_in_front_of(issuer.url.trim_start_matches("http://").to_owned()).await;
    issuer.known_as(&url);
    let token = signer.sign(&issuer.claims(&json!({})));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate).unwrap();
    let trusting = with_oidc(OidcSettings { ca_file: Some(ca.clone()), ..of(&issuer) });
    assert_eq!(outcome(&trusting, &token).await, "ok");
    assert!(outcome(&with_oidc(of(&issuer)), &token).await.starts_with("unavailable: "));
    assert_eq!(issuer.asked(), 1);

    std::fs::write(&ca, "no certificate").unwrap();
    for file in [ca, folder.path().join("missing")] {
        let error = Oidc::new(OidcSettings { ca_file: Some(file.clone()), ..of(&issuer) }).unwrap_err().to_string();
        assert!(error.starts_with(file.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn the_name_can_be_an_email_if_it_is_verified() {
    let signer = Signer::new("k1", Algorithm::ES256);
    let issuer = Issuer::start(&[&signer]).await;
    let service = with_oidc(OidcSettings { subject_claim: "email".to_owned(), ..of(&issuer) });
    for (verified, expected) in
        [(json!(true), "ok"), (Value::Null, "ok"), (json!(false), "not verified"), (json!("true"), "not verified")]
    {
        let token = signer.sign(&issuer.claims(&json!({"email": "ann@example.com", "email_verified": verified})));
        let found = outcome(&service, &token).await;
        assert!(found == expected || found.contains(expected), "{verified}: {found}");
    }
}

/// An API server that knows one token of a ServiceAccount and one of a user.
struct ApiServer;

impl ReviewTokens for ApiServer {
    fn user<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<String, Refusal>> {
        Box::pin(async move {
            match token.rsplit('.').next() {
                Some("account") => Ok("system:serviceaccount:flyte:builder".to_owned()),
                Some("user") => Ok("admin".to_owned()),
                Some("away") => Err(Refusal::Unavailable { what: "the API server cannot be asked" }),
                _ => Err(Refusal::Unknown),
            }
        })
    }
}

#[tokio::test]
async fn service_accounts_are_those_that_the_api_server_knows() {
    let now = get_current_timestamp();
    let signer = Signer::new("k1", Algorithm::ES256);
    let issuer = Issuer::start(&[&signer]).await;
    let reviews = || TokenReview::new(Arc::new(ApiServer), vec!["secrets".to_owned()]);
    let alone = Service::guarded(Authentication::new(Some(reviews()), None), known());
    let both = Authentication::new(Some(reviews()), Some(Oidc::new(of(&issuer)).unwrap()));
    let both = Service::guarded(both, known());
    let token = |claims: Value, end: &str| forged(&json!({"alg": "RS256"}), &claims, end);
    let cases = [
        (token(json!({}), "account"), "ok"),
        (token(json!({}), "user"), "unauthenticated: the token is good, and not that of a ServiceAccount"),
        (
            token(json!({}), "away"),
            "unavailable: it cannot be checked who you are: the API server cannot be asked; try again",
        ),
        (token(json!({"exp": now - 60 * 60 * 3, "aud": ["secrets"]}), "other"), "expired 3h ago"),
        (
            token(json!({"exp": now + 60, "aud": ["https://kubernetes"]}), "other"),
            "another audience; expected is secrets",
        ),
        (token(json!({"exp": now + 60, "aud": ["secrets"]}), "other"), "the API server does not know the token"),
    ];
    for service in [&alone, &both] {
        for (token, expected) in &cases {
            let found = outcome(service, token).await;
            assert!(found == *expected || found.contains(expected), "{found}");
        }
    }
    // Each mode has its own tokens: the issuer's are not shown to the API server.
    let user = signer.sign(&issuer.claims(&json!({})));
    assert_eq!(outcome(&both, &user).await, "ok");
    assert!(outcome(&alone, &user).await.starts_with("unauthenticated: "));
    let stolen = token(json!({"iss": issuer.url, "aud": "secrets", "sub": "ann", "exp": now + 60}), "account");
    assert!(outcome(&both, &stolen).await.starts_with("unauthenticated: "));
}
