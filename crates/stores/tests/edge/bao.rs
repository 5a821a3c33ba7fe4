//! A real OpenBao server in development mode, one for the whole test program.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The variable with the Python environment of `tests/python/stores-requirements.txt`.
const VENV: &str = "FLYTE_SECRETS_STORES_VENV";
const ROOT: &str = "root-of-the-tests";

pub struct Bao {
    pub address: String,
    /// Its end of input ends the server.
    _shell: Child,
}

/// The server, started by whoever asks first.
pub async fn bao() -> &'static Bao {
    static BAO: OnceLock<Bao> = OnceLock::new();
    let bao = BAO.get_or_init(start);
    for _ in 0..200 {
        if call(bao, "", Method::GET, "sys/health", Value::Null).await.is_some_and(|(status, _)| status == 200) {
            return bao;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("OpenBao did not start within 10 s");
}

fn start() -> Bao {
    let venv = std::env::var(VENV).unwrap_or_else(|_| {
        panic!("{VENV} must name a Python environment with what tests/python/stores-requirements.txt lists")
    });
    let program = PathBuf::from(venv).join("bin/bao");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!(
        "\"$0\" server -dev -dev-no-store-token -dev-root-token-id={ROOT} -dev-listen-address=127.0.0.1:{port} & \
         cat > /dev/null; kill $!"
    );
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(server).arg(program).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let shell = shell.spawn().unwrap();
    Bao { address: format!("http://127.0.0.1:{port}"), _shell: shell }
}

async fn call(bao: &Bao, namespace: &str, method: Method, path: &str, body: Value) -> Option<(u16, Value)> {
    let request = Client::new().request(method, format!("{}/v1/{path}", bao.address));
    let request = request.header("x-vault-token", ROOT).header("x-vault-namespace", namespace).body(body.to_string());
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).unwrap_or_default()))
}

impl Bao {
    /// Writes as root; the answer is a success.
    pub async fn write(&self, path: &str, body: Value) -> Value {
        self.write_in("", path, body).await
    }

    pub async fn write_in(&self, namespace: &str, path: &str, body: Value) -> Value {
        let (status, answer) = call(self, namespace, Method::POST, path, body).await.unwrap();
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// Reads as root, whatever the status.
    pub async fn read(&self, path: &str) -> Value {
        call(self, "", Method::GET, path, Value::Null).await.unwrap().1
    }

    pub async fn delete(&self, path: &str) {
        call(self, "", Method::DELETE, path, Value::Null).await.unwrap();
    }

    /// Puts a secret of KV version 2 at a path that is encoded.
    pub async fn put(&self, path: &str, fields: Value) {
        self.write(path, json!({"data": fields})).await;
    }

    pub async fn policy(&self, name: &str, rules: &str) {
        self.write(&format!("sys/policies/acl/{name}"), json!({"policy": rules})).await;
    }

    /// A token with a policy.
    pub async fn token(&self, policy: &str) -> String {
        let answer = self.write("auth/token/create", json!({"policies": [policy], "ttl": "1h"})).await;
        answer["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// How many tokens live that a login at this mount made.
    pub async fn logins(&self, mount: &str) -> usize {
        let (_, answer) = call(self, "", Method::GET, "auth/token/accessors?list=true", Value::Null).await.unwrap();
        let mut logins = 0;
        for accessor in answer["data"]["keys"].as_array().unwrap() {
            let (_, token) = call(self, "", Method::POST, "auth/token/lookup-accessor", json!({"accessor": accessor}))
                .await
                .unwrap();
            logins += usize::from(token["data"]["path"] == format!("auth/{mount}/login"));
        }
        logins
    }
}
