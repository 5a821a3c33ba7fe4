//! The test bed, started once for the whole run and taken down when this process ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock};

use serde_json::json;

use super::{Api, eventually};

/// A running control plane, and a node once someone asks for it.
pub(crate) struct Bed {
    /// Of the cluster's admin.
    pub(crate) kubeconfig: PathBuf,
    holder: Mutex<Holder>,
    node: OnceLock<()>,
}

/// `hold.sh` takes the bed down when its standard input closes, which the kernel does when this process ends.
struct Holder {
    _child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    log: PathBuf,
}

/// The bed; the first caller starts it (10 to 15 seconds).
pub(crate) fn bed() -> &'static Bed {
    static BED: LazyLock<Bed> = LazyLock::new(Bed::start);
    &BED
}

/// The folder of the logs of this run.
pub(crate) fn logs() -> &'static Path {
    static LOGS: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!(env!("CARGO_CRATE_NAME"), "-logs"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    });
    &LOGS
}

impl Bed {
    fn start() -> Self {
        // The one crypto provider of the tests' own clients and servers.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let log = logs().join("bed.log");
        let mut child = Command::new("bash")
            .args(["-c", ". \"$0/env.sh\"; exec setsid \"$0/testbed/hold.sh\"", env!("CARGO_MANIFEST_DIR")])
            .env("KTB_KEEP_LOGS", logs().join("bed"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut holder = Holder { _child: child, stdin, stdout, log };
        let kubeconfig = holder.expect("up ").into();
        Self { kubeconfig, holder: Mutex::new(holder), node: OnceLock::new() }
    }

    /// Makes sure that a node is there (about 5 seconds, root only).
    pub(crate) fn with_node(&self) {
        self.node.get_or_init(|| {
            let mut holder = self.holder.lock().unwrap();
            holder.stdin.write_all(b"node\n").unwrap();
            let _ = holder.expect("node");
        });
    }

    /// The address at which the node, its pods and the API server reach this host; there once a node is.
    pub(crate) fn host_address(&self) -> String {
        self.with_node();
        format!("{}.1", std::env::var("KTB_NET").unwrap_or_else(|_| "198.51.100".to_owned()))
    }

    /// A client of the cluster's admin. One for each test: a client belongs to the runtime it is used in.
    pub(crate) async fn api(&self) -> Api {
        Api::of_kubeconfig(&self.kubeconfig).await
    }

    /// A new namespace with a service account, so that pods can be made in it.
    pub(crate) async fn namespace(&self, purpose: &str) -> Namespace {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        self.namespace_named(format!("{purpose}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))).await
    }

    /// A new namespace of exactly this name; each can be made once in a run.
    pub(crate) async fn namespace_named(&self, name: impl Into<String>) -> Namespace {
        let (name, api) = (name.into(), self.api().await);
        api.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await.unwrap();
        eventually("a service account", 30, || async {
            api.get(&format!("/api/v1/namespaces/{name}/serviceaccounts/default")).await.map_err(|e| e.message)
        })
        .await;
        Namespace { name, api }
    }
}

impl Holder {
    /// Waits for a line that begins with `word`; gives what follows it.
    fn expect(&mut self, word: &str) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let Some(rest) = line.trim_end().strip_prefix(word) else {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("the test bed did not say {word}; run `make install` first. Its log:\n{log}");
        };
        rest.to_owned()
    }
}

/// A namespace of one test, and the admin's client.
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) api: Api,
}

impl Namespace {
    /// The path of a kind of the core group in this namespace: `pods`, `secrets`.
    pub(crate) fn path(&self, kind: &str) -> String {
        format!("/api/v1/namespaces/{}/{kind}", self.name)
    }

    /// Makes a pod and gives the stored object.
    pub(crate) async fn create_pod(&self, pod: &serde_json::Value) -> Result<serde_json::Value, super::api::Failure> {
        self.api.create(&self.path("pods"), pod).await
    }

    /// What `create_pod` would give, without storing anything.
    pub(crate) async fn try_pod(&self, pod: &serde_json::Value) -> Result<serde_json::Value, super::api::Failure> {
        self.api.create(&format!("{}?dryRun=All", self.path("pods")), pod).await
    }
}
