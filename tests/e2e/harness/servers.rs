//! Servers of stores, as processes on this host.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use data_encoding::BASE64;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Child;

use super::plain_http::send_text;
use super::{eventually, program, webhook::free_port};

/// The root token of OpenBao in development mode.
const ROOT: &str = "root-of-the-tests";

/// A server, until it is dropped.
pub(crate) struct Server {
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    /// Its home, where a test may keep its files.
    pub(crate) folder: TempDir,
    child: Child,
}

impl Server {
    /// Starts a program; `ADDRESS` and `PORT` in its arguments become its own. Waits until it takes connections.
    async fn start(program: &Path, folder: TempDir, arguments: &[&str]) -> Self {
        Self::start_with(program, folder, arguments, &[]).await
    }

    /// As [`Self::start`], with these variables.
    async fn start_with(program: &Path, folder: TempDir, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let arguments: Vec<String> = arguments
            .iter()
            .map(|argument| argument.replace("ADDRESS", &address).replace("PORT", &port.to_string()))
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = program::command(program, &arguments);
        command.env("HOME", folder.path()).envs(env.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        eventually(&program.display().to_string(), 60, || async {
            TcpStream::connect(&address).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Self { address, folder, child }
    }

    /// A program of the Python environment with servers of stores.
    async fn of_environment(name: &str, arguments: &[&str]) -> Self {
        Self::start(&Self::program(name), TempDir::with_prefix("fs-store-").unwrap(), arguments).await
    }

    /// Where a program of that environment is.
    pub(crate) fn program(name: &str) -> PathBuf {
        let environment = std::env::var_os("FLYTE_SECRETS_STORES_VENV")
            .expect("FLYTE_SECRETS_STORES_VENV is not set: export it with what `tests/python/venv.sh stores` prints");
        PathBuf::from(environment).join("bin").join(name)
    }

    /// Prometheus, which scrapes the plain port of a webhook every second and reads this file of rules.
    pub(crate) async fn prometheus(metrics_port: u16, rules: &Path) -> Self {
        let folder = TempDir::with_prefix("fs-prometheus-").unwrap();
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [{"job_name": "webhook", "static_configs": [{"targets": [format!("127.0.0.1:{metrics_port}")]}]}],
        });
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let (config, data) = (format!("--config.file={}", file.display()), folder.path().join("data"));
        let data = format!("--storage.tsdb.path={}", data.display());
        let program = program::of_prometheus("prometheus");
        Self::start(&program, folder, &[&config, &data, "--web.listen-address=ADDRESS"]).await
    }

    /// AWS, as moto plays it.
    pub(crate) async fn moto() -> Self {
        Self::of_environment("moto_server", &["-H", "127.0.0.1", "-p", "PORT"]).await
    }

    /// GCP, as drongo plays its REST API.
    pub(crate) async fn drongo() -> Self {
        Self::of_environment("drongo", &["server", "--host", "127.0.0.1", "--port", "PORT"]).await
    }

    /// The example server of the protocol of the Http store, with these secrets behind this bearer token.
    pub(crate) async fn http_store(secrets: &Value, token: &str) -> Self {
        let folder = TempDir::with_prefix("fs-store-").unwrap();
        let (file, token_file) = (folder.path().join("secrets.json"), folder.path().join("token"));
        std::fs::write(&file, secrets.to_string()).unwrap();
        std::fs::write(&token_file, token).unwrap();
        let program = program::path().with_file_name("examples").join("http-store");
        assert!(program.exists(), "{} is not there: run `make build` first", program.display());
        let arguments = ["ADDRESS", file.to_str().unwrap(), token_file.to_str().unwrap()];
        Self::start(&program, folder, &arguments).await
    }

    /// OpenBao in development mode, with a KV engine of version 2 at `secret`.
    pub(crate) async fn openbao() -> Self {
        let root = format!("-dev-root-token-id={ROOT}");
        let arguments = ["server", "-dev", "-dev-no-store-token", &root, "-dev-listen-address=ADDRESS"];
        let server = Self::of_environment("bao", &arguments).await;
        std::fs::write(server.root_token_file(), ROOT).unwrap();
        eventually("the KV engine of OpenBao", 20, || async {
            let (status, body) = server.bao(Method::GET, "secret/config", &Value::Null).await;
            if status == 200 { Ok(()) } else { Err(body) }
        })
        .await;
        server
    }

    /// PostgreSQL with a database `flyte` of the user `flyte`, who has this password.
    pub(crate) async fn postgresql(password: &str) -> Self {
        let folder = TempDir::with_prefix("fs-database-").unwrap();
        let data = folder.path().to_str().unwrap().to_owned();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("databases/postgresql.sh");
        let cache = std::env::var("FLYTE_SECRETS_CACHE").expect("FLYTE_SECRETS_CACHE is not set: source tests/env.sh");
        let env = [("DATABASE_PASSWORD", password), ("FLYTE_SECRETS_CACHE", &cache)];
        let server = Self::start_with(&script, folder, &[&data, "PORT"], &env).await;
        eventually("PostgreSQL", 20, || async {
            let state = std::fs::read_to_string(server.folder.path().join("data/postmaster.pid"));
            let state = state.map_err(|error| error.to_string())?;
            if state.contains("ready") { Ok(()) } else { Err(state) }
        })
        .await;
        server
    }

    /// The file of OpenBao's root token.
    pub(crate) fn root_token_file(&self) -> PathBuf {
        self.folder.path().join("root-token")
    }

    async fn bao(&self, method: Method, path: &str, body: &Value) -> (u16, String) {
        let headers = format!("X-Vault-Token: {ROOT}\r\n");
        send_text(&method, &self.address, &format!("/v1/{path}"), &headers, &body.to_string()).await
    }

    /// Writes to OpenBao as root.
    pub(crate) async fn bao_write(&self, path: &str, body: &Value) {
        let (status, answer) = self.bao(Method::POST, path, body).await;
        assert!(status < 300, "{path}: {status} {answer}");
    }

    /// The fields of the latest version of a secret, and its number.
    pub(crate) async fn bao_get(&self, id: &str) -> Option<(Value, u64)> {
        let (status, answer) = self.bao(Method::GET, &format!("secret/data/{id}"), &Value::Null).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let found = || (answer["data"]["data"].clone(), answer["data"]["metadata"]["version"].as_u64().unwrap());
        (status == 200).then(found)
    }

    /// Puts a value into OpenBao under an encoded id.
    pub(crate) async fn bao_put(&self, id: &str, value: &str) {
        self.bao_write(&format!("secret/data/{id}"), &json!({"data": {"value": value}})).await;
    }

    /// Makes a secret in moto's Secrets Manager: `value` has `SecretString` or `SecretBinary`.
    pub(crate) async fn moto_put(&self, region: &str, id: &str, mut value: Value) {
        value["Name"] = json!(id);
        self.moto_action(region, "CreateSecret", &value).await;
    }

    /// What moto's Secrets Manager answers to an action.
    pub(crate) async fn moto_action(&self, region: &str, action: &str, message: &Value) -> Value {
        let headers = format!(
            "X-Amz-Target: secretsmanager.{action}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=a/20260101/\
             {region}/secretsmanager/aws4_request, SignedHeaders=host, Signature=a\r\n"
        );
        let (status, answer) = send_text(&Method::POST, &self.address, "/", &headers, &message.to_string()).await;
        assert_eq!(status, 200, "{action}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// Makes a secret in drongo's Secret Manager.
    pub(crate) async fn drongo_put(&self, project: &str, id: &str, value: &[u8]) {
        let made = json!({"replication": {"automatic": {}}});
        self.drongo_post(&format!("/v1/projects/{project}/secrets?secretId={id}"), &made).await;
        self.drongo_put_version(project, id, value).await;
    }

    /// Adds a version to a secret in drongo's Secret Manager.
    pub(crate) async fn drongo_put_version(&self, project: &str, id: &str, value: &[u8]) {
        let version = json!({"payload": {"data": BASE64.encode(value)}});
        self.drongo_post(&format!("/v1/projects/{project}/secrets/{id}:addVersion"), &version).await;
    }

    /// What drongo's Secret Manager has at a path.
    pub(crate) async fn drongo_get(&self, path: &str) -> Value {
        let (status, answer) = send_text(&Method::GET, &self.address, path, "", "").await;
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    async fn drongo_post(&self, path: &str, body: &Value) {
        let (status, answer) = send_text(&Method::POST, &self.address, path, "", &body.to_string()).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }

    /// Ends it, at once.
    pub(crate) async fn stop(&mut self) {
        self.child.kill().await.unwrap();
    }
}
