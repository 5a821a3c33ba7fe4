//! The connector as a process, its client, and who runs its Jobs.

use std::cell::RefCell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::WRONG;
use crate::harness::bed::logs;
use crate::harness::program::{command, path, run_ok};
use crate::harness::webhook::free_port;
use crate::harness::{Namespace, bed, eventually};

/// What Flyte sends for a task with a container.
pub(super) fn create_request(project: &str, execution: &str) -> Value {
    let execution = json!({"org": "flyte", "project": project, "domain": "development", "name": execution});
    json!({
        "template": {
            "type": "http_job",
            "container": {"image": "localhost/busybox:1", "args": ["echo", "hello"]},
        },
        "task_execution_metadata": {
            "task_execution_id": {"node_execution_id": {"node_id": "n0", "execution_id": execution}},
            "namespace": "no-such-namespace",
        },
    })
}

/// A service account that may, or may not, run Jobs.
pub(super) struct Runner<'a> {
    namespace: &'a Namespace,
    account: &'static str,
}

/// The tokens that were given out in this test, to be searched for.
#[derive(Default)]
struct Planted(RefCell<Vec<String>>);

thread_local! {
    static TOKENS: Planted = Planted::default();
}

impl<'a> Runner<'a> {
    pub(super) async fn new(namespace: &'a Namespace, account: &'static str) -> Self {
        let runner = Self::without_rights(namespace, account).await;
        let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", namespace.name);
        let rules = json!([
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "delete"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        ]);
        let role = json!({"metadata": {"name": account}, "rules": rules});
        namespace.api.create(&format!("{rbac}/roles"), &role).await.unwrap();
        let binding = json!({
            "metadata": {"name": account},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace.name}],
        });
        namespace.api.create(&format!("{rbac}/rolebindings"), &binding).await.unwrap();
        runner
    }

    pub(super) async fn without_rights(namespace: &'a Namespace, account: &'static str) -> Self {
        let accounts = namespace.path("serviceaccounts");
        namespace.api.create(&accounts, &json!({"metadata": {"name": account}})).await.unwrap();
        Self { namespace, account }
    }

    /// An API key.
    pub(super) async fn token(&self) -> String {
        self.token_with(json!({"expirationSeconds": 3600})).await
    }

    /// An API key that [`Self::end_token`] makes worthless.
    pub(super) async fn token_that_ends(&self) -> String {
        let secrets = self.namespace.path("secrets");
        self.namespace.api.create(&secrets, &json!({"metadata": {"name": self.account}})).await.unwrap();
        let bound = json!({"kind": "Secret", "apiVersion": "v1", "name": self.account});
        self.token_with(json!({"expirationSeconds": 3600, "boundObjectRef": bound})).await
    }

    pub(super) async fn end_token(&self) {
        let secret = format!("{}/{}", self.namespace.path("secrets"), self.account);
        self.namespace.api.delete(&secret).await.unwrap();
    }

    async fn token_with(&self, spec: Value) -> String {
        let path = format!("{}/{}/token", self.namespace.path("serviceaccounts"), self.account);
        let answer = self.namespace.api.create(&path, &json!({"spec": spec})).await.unwrap();
        let token = answer["status"]["token"].as_str().unwrap().to_owned();
        TOKENS.with(|tokens| tokens.0.borrow_mut().push(token.clone()));
        token
    }

    /// The path of Jobs.
    pub(super) fn jobs(&self) -> String {
        format!("/apis/batch/v1/namespaces/{}/jobs", self.namespace.name)
    }

    /// The path of the pod that the Job controller makes.
    pub(super) async fn pod(&self, job: &str) -> String {
        let pods = format!("{}?labelSelector=batch.kubernetes.io/job-name={job}", self.namespace.path("pods"));
        eventually("the Job's pod", 30, || async {
            let pods = self.namespace.api.get(&pods).await.map_err(|failure| failure.message)?;
            let name = pods["items"][0]["metadata"]["name"].as_str().ok_or("no pod")?;
            Ok(format!("{}/{name}", self.namespace.path("pods")))
        })
        .await
    }

    /// Says of a pod what a kubelet would.
    pub(super) async fn set_status(&self, pod: &str, status: Value) {
        eventually("a pod's status", 10, || async {
            let mut object = self.namespace.api.get(pod).await.map_err(|failure| failure.message)?;
            object["status"] = status.clone();
            self.namespace.api.replace(&format!("{pod}/status"), &object).await.map_err(|failure| failure.message)
        })
        .await;
    }
}

/// The connector, until it is dropped.
pub(super) struct Connector {
    address: String,
    folder: TempDir,
    log: PathBuf,
    child: Child,
}

impl Connector {
    /// With API keys from files, which [`Self::put_file`] writes.
    pub(super) async fn with_files(namespace: &Namespace, arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("fs-connector-").unwrap();
        std::fs::create_dir(folder.path().join("secrets")).unwrap();
        let secrets = folder.path().join("secrets");
        let arguments = [&["--secrets-prefix", secrets.to_str().unwrap()], arguments].concat();
        Self::start(namespace, folder, &arguments).await
    }

    /// With API keys from a local store, which [`Self::put_stored`] fills.
    pub(super) async fn with_local_store(namespace: &Namespace) -> Self {
        Self::start(namespace, TempDir::with_prefix("fs-connector-").unwrap(), &["--secrets", "local"]).await
    }

    async fn start(namespace: &Namespace, folder: TempDir, arguments: &[&str]) -> Self {
        let program = path().with_file_name("flyte-secrets-connector");
        assert!(program.exists(), "{} is not there: run `make build` first", program.display());
        let admin = Kubeconfig::read_from(&bed().kubeconfig).unwrap();
        let cluster = admin.clusters[0].cluster.as_ref().unwrap();
        let ca = folder.path().join("ca.crt");
        match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
            (Some(data), _) => std::fs::write(&ca, data_encoding::BASE64.decode(data.as_bytes()).unwrap()).unwrap(),
            (None, Some(file)) => drop(std::fs::copy(file, &ca).unwrap()),
            (None, None) => panic!("the kubeconfig of the test bed has no certificate authority"),
        }
        let address = format!("127.0.0.1:{}", free_port());
        let mut all = vec!["--listen", &address, "--ca-file", ca.to_str().unwrap(), "--namespace", &namespace.name];
        all.extend(["--log-url", "https://logs.example/{namespace}/{job}"]);
        if !arguments.contains(&"--api-url") {
            all.extend(["--api-url", cluster.server.as_deref().unwrap()]);
        }
        all.extend(arguments);
        let log = logs().join(format!("{}.log", namespace.name));
        let file = File::create(&log).unwrap();
        let mut command = command(&program, &all);
        command.env("XDG_DATA_HOME", folder.path()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        let connector = Self { address, folder, log, child };
        eventually("the connector", 20, || async {
            TcpStream::connect(&connector.address)
                .await
                .map(drop)
                .map_err(|error| format!("{error}: {}", connector.log()))
        })
        .await;
        connector
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn put_file(&self, name: &str, value: &str) {
        std::fs::write(self.folder.path().join("secrets").join(name), value).unwrap();
    }

    pub(super) async fn put_stored(&self, id: &str, value: &str) {
        let file = self.folder.path().join("values.json");
        std::fs::write(&file, json!({id: value}).to_string()).unwrap();
        let mut command = command(&path(), &["secret", "import", "--replace", file.to_str().unwrap()]);
        command.env("XDG_DATA_HOME", self.folder.path());
        run_ok(command).await;
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(super) async fn client(&self, flyte: Flyte) -> Client {
        Client::start(flyte, &self.address).await
    }

    /// Searches the log and everything that was answered for the values of this test.
    pub(super) fn holds_no_value(&self, clients: &[&Client]) {
        let log = self.log();
        assert!(log.contains("serving"), "the log is read: {log}");
        let tokens = TOKENS.with(|tokens| tokens.0.borrow().clone());
        for value in tokens.iter().map(String::as_str).chain([WRONG]) {
            // The middle of a token, which no other token has, in the clear and as it would stand in bytes or base64.
            let part = &value[value.len() / 2..][..12];
            let seen = clients.iter().flat_map(|client| &client.seen).chain([&log]);
            for form in [part.to_owned(), format!("{:?}", part.as_bytes()).trim_matches(['[', ']']).to_owned()] {
                let found = seen.clone().find(|text| text.contains(&form));
                assert!(found.is_none(), "{form} stands in:\n{}", found.unwrap());
            }
        }
    }

    /// Ends it with SIGTERM: exit code 0, soon, and what it said holds no value.
    pub(super) async fn ends_in_good_order(mut self, clients: &[&Client]) {
        run_ok(command(Path::new("kill"), &["-TERM", &self.child.id().unwrap().to_string()])).await;
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        let status = ended.expect("it does not end").unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        self.holds_no_value(clients);
    }
}

/// Whose client it is.
#[derive(Clone, Copy)]
pub(super) enum Flyte {
    /// flytekit's: agents.
    One,
    /// The flyte SDK's: connectors.
    Two,
}

/// `tests/python/connector.py`, a line for each call.
pub(super) struct Client {
    _child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Everything that was answered.
    seen: Vec<String>,
}

impl Client {
    async fn start(flyte: Flyte, address: &str) -> Self {
        let (variable, protocol) = match flyte {
            Flyte::One => ("FLYTE_SECRETS_VENV", "flyte1"),
            Flyte::Two => ("FLYTE_SECRETS_FLYTE2_VENV", "flyte2"),
        };
        let venv = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: run `make e2e`"));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/connector.py");
        let mut python = command(&PathBuf::from(venv).join("bin/python"), &[script, protocol, address]);
        python.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut client = Self { _child: child, stdin, stdout: BufReader::new(stdout).lines(), seen: Vec::new() };
        assert_eq!(client.answer().await["answer"], "ready");
        client
    }

    /// Calls, whatever comes of it.
    pub(super) async fn call(&mut self, method: &str, request: Value) -> Value {
        let line = format!("{}\n", json!({"method": method, "request": request}));
        self.stdin.write_all(line.as_bytes()).await.unwrap();
        self.answer().await
    }

    async fn answer(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(60), self.stdout.next_line()).await;
        let line = line.expect("the client does not answer").unwrap().expect("the client has ended");
        let answer = serde_json::from_str(&line).unwrap();
        self.seen.push(line);
        answer
    }

    /// Calls and gives the answer, of CreateTask as the request for other methods.
    pub(super) async fn ok(&mut self, method: &str, request: Value) -> Value {
        let answer = self.call(method, request).await;
        assert!(answer.get("answer").is_some(), "{method}: {answer}");
        answer["answer"].clone()
    }

    /// Calls, which must fail with this code; gives the text.
    pub(super) async fn fails(&mut self, method: &str, request: Value, code: &str) -> String {
        let answer = self.call(method, request).await;
        assert_eq!(answer["code"], code, "{method}: {answer}");
        answer["details"].as_str().unwrap().to_owned()
    }

    /// Calls until the answer is a failure with this code; gives the text.
    pub(super) async fn eventually_fails(&mut self, method: &str, request: &Value, code: &str) -> String {
        let mut last = Value::Null;
        for _ in 0..200 {
            last = self.call(method, request.clone()).await;
            if last["code"] == code {
                return last["details"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{method} does not fail with {code}: {last}");
    }

    /// Asks for a task until it is in this phase.
    pub(super) async fn phase(&mut self, meta: &Value, phase: &str) -> Value {
        let mut last = Value::Null;
        for _ in 0..300 {
            last = self.ok("GetTask", meta.clone()).await;
            if last["resource"]["phase"] == phase {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the task is not {phase}: {last}");
    }
}
