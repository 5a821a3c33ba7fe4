//! An issuer of OpenID Connect on this computer, with real keys.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A key that signs, and its name.
pub(crate) struct Signer {
    id: String,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Value,
}

impl Signer {
    pub(crate) fn new(id: &str, algorithm: Algorithm) -> Self {
        let (pair, kind) = match algorithm {
            Algorithm::ES256 => (KeyPair::generate().unwrap(), json!({"kty": "EC", "crv": "P-256"})),
            Algorithm::EdDSA => {
                (KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), json!({"kty": "OKP", "crv": "Ed25519"}))
            }
            Algorithm::RS256 => {
                let pair = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
                (pair, json!({"kty": "RSA"}))
            }
            other => panic!("no keys for {other:?} are made here"),
        };
        let (private, raw) = (pair.serialize_der(), pair.public_key_raw());
        let text = |bytes: &[u8]| Value::from(BASE64URL_NOPAD.encode(bytes));
        let mut public = kind;
        (public["kid"], public["use"]) = (Value::from(id), Value::from("sig"));
        let key = match algorithm {
            Algorithm::ES256 => {
                // A byte in front says that both coordinates follow.
                (public["x"], public["y"]) = (text(&raw[1..33]), text(&raw[33..]));
                EncodingKey::from_ec_der(&private)
            }
            Algorithm::EdDSA => {
                public["x"] = text(raw);
                EncodingKey::from_ed_der(&private)
            }
            _ => {
                // PKCS #1 in PKCS #8, behind 26 bytes that say so; the public exponent is 65537.
                let key = EncodingKey::from_rsa_der(&private[26..]);
                let parts = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
                (public["n"], public["e"]) = (parts["n"].clone(), parts["e"].clone());
                key
            }
        };
        Self { id: id.to_owned(), algorithm, key, public }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        encode(&header, claims, &self.key).unwrap()
    }

    pub(crate) fn public(&self) -> Value {
        self.public.clone()
    }
}

/// What the issuer answers.
#[derive(Clone, Default)]
struct Answers {
    keys: Arc<Mutex<Vec<Value>>>,
    /// How often it was asked for keys.
    asked: Arc<Mutex<usize>>,
    fails: Arc<Mutex<bool>>,
    url: Arc<Mutex<String>>,
}

pub(crate) struct Issuer {
    pub(crate) url: String,
    answers: Answers,
}

impl Issuer {
    pub(crate) async fn start(signers: &[&Signer]) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", tcp.local_addr().unwrap());
        let answers = Answers { url: Arc::new(Mutex::new(url.clone())), ..Answers::default() };
        let discovery = |State(answers): State<Answers>| async move {
            if *answers.fails.lock().unwrap() {
                return "broken".to_owned();
            }
            let url = answers.url.lock().unwrap();
            json!({"issuer": *url, "jwks_uri": format!("{url}/keys")}).to_string()
        };
        let keys = |State(answers): State<Answers>| async move {
            *answers.asked.lock().unwrap() += 1;
            json!({"keys": *answers.keys.lock().unwrap()}).to_string()
        };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .with_state(answers.clone());
        tokio::spawn(async move { axum::serve(tcp, routes).await });
        let issuer = Self { url, answers };
        issuer.publish(signers);
        issuer
    }

    /// Its keys are these from now on.
    pub(crate) fn publish(&self, signers: &[&Signer]) {
        *self.answers.keys.lock().unwrap() = signers.iter().map(|signer| signer.public()).collect();
    }

    /// From now on it answers with something else.
    pub(crate) fn fail(&self) {
        *self.answers.fails.lock().unwrap() = true;
    }

    /// From now on it says that this is its address.
    pub(crate) fn known_as(&mut self, url: &str) {
        url.clone_into(&mut self.url);
        url.clone_into(&mut self.answers.url.lock().unwrap());
    }

    pub(crate) fn asked(&self) -> usize {
        *self.answers.asked.lock().unwrap()
    }

    /// Claims that are good, with some of them changed.
    pub(crate) fn claims(&self, changes: &Value) -> Value {
        let now = get_current_timestamp();
        let mut claims =
            json!({"iss": self.url, "aud": "secrets", "sub": "ann", "groups": ["ml"], "iat": now, "exp": now + 600});
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                _ => claims[name] = value.clone(),
            }
        }
        claims
    }
}
