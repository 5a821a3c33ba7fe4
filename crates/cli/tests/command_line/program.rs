//! Runs the program in a folder of its own, with an environment of its own.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flyte_secrets_core::annotations::encode_all;
use flyte_secrets_core::{MountRequirement, Secret};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Flyte's folder of an organization, a domain and a project.
pub(crate) const SCOPE: &str = "u__org__flyte__domain__development__project__flytesnacks__key__";

pub(crate) struct Program {
    folder: TempDir,
    path: PathBuf,
    environment: Vec<(String, String)>,
}

/// What came of it.
#[derive(PartialEq)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, path: env!("CARGO_BIN_EXE_flyte-secrets").into(), environment: Vec::new() }
    }

    /// Calls the program by another name.
    pub(crate) fn named(name: &str) -> Self {
        let mut program = Self::new();
        let path = program.folder().join(name);
        std::os::unix::fs::symlink(&program.path, &path).unwrap();
        program.path = path;
        program
    }

    pub(crate) fn with(mut self, variable: &str, value: &str) -> Self {
        self.environment.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// The folder in which the program runs; its local store is below.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file there.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Ran {
        self.run_with(arguments, b"")
    }

    pub(crate) fn run_with(&self, arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Ran {
        let mut child = self.start(arguments);
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A program that reads nothing closes its end.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts it; all three streams are pipes.
    pub(crate) fn start(&self, arguments: &[impl AsRef<OsStr>]) -> Child {
        Command::new(&self.path)
            .args(arguments)
            .current_dir(self.folder())
            .env_clear()
            .env("HOME", self.folder())
            .env("XDG_DATA_HOME", self.folder().join("data"))
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with {}\n{}\n{}", self.code, String::from_utf8_lossy(&self.out), self.err)
    }
}

impl Ran {
    /// What it printed; it must have ended with 0.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        String::from_utf8(self.out).unwrap()
    }

    /// What it printed, as JSON; it must have ended with 0.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }

    /// What it said on standard error; it must have ended with 1 and printed nothing.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert!(self.code == 1 && self.out.is_empty(), "{self:?}");
        self.err
    }

    /// What it said on standard error; it must have refused a pod and printed nothing.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert!(self.code == 3 && self.out.is_empty(), "{self:?}");
        self.err
    }
}

/// A request for a variable.
pub(crate) fn variable(group: &str, key: &str) -> Secret {
    request(group, key, MountRequirement::ENV_VAR)
}

/// A request for a file.
pub(crate) fn file(group: &str, key: &str) -> Secret {
    request(group, key, MountRequirement::FILE)
}

fn request(group: &str, key: &str, mount_requirement: MountRequirement) -> Secret {
    Secret { group: group.to_owned(), key: key.to_owned(), mount_requirement, ..Secret::default() }
}

/// A pod of a task of Flyte.
pub(crate) fn pod(name: &str, requests: &[Secret]) -> Value {
    let annotations: serde_json::Map<String, Value> =
        encode_all(requests).unwrap().into_iter().map(|(name, value)| (name, value.into())).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "flytesnacks-development",
            "labels": {
                "inject-flyte-secrets": "true",
                "organization": "flyte",
                "domain": "development",
                "project": "flytesnacks",
            },
            "annotations": annotations,
        },
        "spec": {"containers": [{"name": "task", "image": "task:1"}]},
    })
}

/// Managers that are asked in this order behind Global, with values in the pods themselves.
pub(crate) fn managers_with_values_in_pods(names: &str) -> String {
    managers(names) + "  delivery: PodSpec\n"
}

/// Managers that are asked in this order behind Global.
pub(crate) fn managers(names: &str) -> String {
    format!("webhook:\n  secretManagerTypes: [{names}]\n")
}
