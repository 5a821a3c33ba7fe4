//! The same questions to flytekit and to our SDK for tasks: same names, paths, values and kinds of errors.
//!
//! The table stands in `python/sdk_cases.py`. No cluster is needed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use data_encoding::BASE64;
use flyte_secrets_sdk::tasks::{ExposeSecret, MountRequirement, Secret, SecretError, SecretsManager};
use flyte_secrets_sdk::testing::secrets_of;
use serde::Deserialize;

/// Where we differ on purpose: how the case's name begins, and what ours answers. See docs/differences.md.
const DEPARTURES: &[(&str, &str)] = &[
    ("nothing asked for and a variable called like the prefix", "invalid"),
    // flytekit gives a text that cannot be encoded again.
    ("content Latin-1: get of a variable", "not text"),
    ("content spaces around what is no text: get of a variable", "not text"),
    ("content a cut character: get of a variable", "not text"),
    ("content a surrogate: get of a variable", "not text"),
    ("content overlong: get of a variable", "not text"),
    ("content beyond Unicode: get of a variable", "not text"),
    // flytekit takes a file for missing when it cannot look.
    ("place a link to itself", "unreadable"),
    ("place a device", "not a file"),
    ("place more than one MiB", "too large"),
    ("a configuration file of flytekit", "_FSEC_G_K"),
    ("declare env_var 'A\\n'", "invalid"),
    ("declare '', '', None", "invalid"),
    // As with the SDK of Flyte 2.
    ("declare None, 'k', None", "declared"),
];

/// Letters that got a partner after Unicode 14, which flytekit's Python has.
const NEWER: [std::ops::RangeInclusive<u32>; 9] = [
    0x019B..=0x019B,
    0x0264..=0x0264,
    0x1C89..=0x1C8A,
    0xA7CB..=0xA7CF,
    0xA7D2..=0xA7D5,
    0xA7DA..=0xA7DC,
    0x10D50..=0x10D65,
    0x10D70..=0x10D85,
    0x16EA0..=0x16ED3,
];

#[derive(Deserialize)]
struct Table {
    flytekit: String,
    upper: BTreeMap<u32, String>,
    lower: BTreeMap<u32, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    ask: String,
    group: Option<String>,
    key: Option<String>,
    version: Option<String>,
    mode: String,
    env: BTreeMap<String, String>,
    env_var: Option<String>,
    mount: Option<String>,
    folder: PathBuf,
    flytekit: Answer,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Answer {
    Value {
        /// In base64.
        value: String,
    },
    Name {
        name: String,
    },
    Path {
        path: String,
    },
    Secret {
        secret: [String; 5],
    },
    Error {
        error: String,
        /// The variable that was looked for last, and the file.
        places: Option<[String; 2]>,
    },
}

impl Answer {
    fn error(error: &str) -> Self {
        Self::Error { error: error.to_owned(), places: None }
    }

    /// Writes {root} for the case's folder, so that answers to different cases can be compared.
    fn forget(&mut self, folder: &Path) {
        let path = match self {
            Self::Path { path } => path,
            Self::Error { places: Some([_, path]), .. } => path,
            _ => return,
        };
        *path = path.replacen(folder.to_str().unwrap(), "{root}", 1);
    }

    /// What a row of the departures calls it.
    fn in_short(&self) -> &str {
        match self {
            Self::Value { value } => value,
            Self::Name { name } => name,
            Self::Path { path } => path,
            Self::Secret { .. } => "declared",
            Self::Error { error, .. } => error,
        }
    }
}

impl Case {
    fn secrets(&self) -> SecretsManager {
        let plain = |value: &String| BASE64.decode(value.as_bytes()).unwrap();
        secrets_of(self.env.iter().map(|(name, value)| (name.clone(), plain(value))), &self.folder)
    }

    fn ours(&self) -> Answer {
        let secrets = self.secrets();
        let [group, key] = [&self.group, &self.key].map(|name| name.as_deref().unwrap_or_default());
        let version = self.version.as_deref();
        let value = |bytes: &[u8]| Answer::Value { value: BASE64.encode(bytes) };
        let text = |text: flyte_secrets_sdk::tasks::SecretString| value(text.expose_secret().as_bytes());
        let answer = match self.ask.as_str() {
            "get" => secrets.get(group, key, version).map(text),
            "attribute" => secrets.group(group).get(key).map(text),
            "get_bytes" => secrets.get_bytes(group, key, version).map(|bytes| value(bytes.expose_secret())),
            "env_var" => Ok(Answer::Name { name: secrets.get_secrets_env_var(group, key, version) }),
            "file" => {
                let path = |path: PathBuf| Answer::Path { path: path.into_os_string().into_string().unwrap() };
                secrets.get_secrets_file(group, key, version).map(path)
            }
            "declare" => return self.declared(group, key),
            other => panic!("no question: {other}"),
        };
        let mut answer = answer.unwrap_or_else(|error| failure(&error));
        answer.forget(&self.folder);
        answer
    }

    fn declared(&self, group: &str, key: &str) -> Answer {
        let mount = MountRequirement::from_name(self.mount.as_deref().unwrap_or("ANY")).unwrap();
        let secret = Secret::new(group, key)
            .map(|secret| secret.with_group_version(self.version.as_deref().unwrap_or_default()))
            .and_then(|secret| secret.with_mount_requirement(mount))
            .and_then(|secret| match &self.env_var {
                Some(env_var) => secret.with_env_var(env_var),
                None => Ok(secret),
            });
        let Ok(secret) = secret else { return Answer::error("invalid") };
        // As a pod carries it.
        let carried = flyte_secrets_core::annotations::decode(&secret.to_annotation().unwrap()).unwrap();
        let mount = carried.mount_requirement.number().to_string();
        Answer::Secret { secret: [carried.group, carried.group_version, carried.key, mount, carried.env_var] }
    }
}

fn failure(error: &SecretError) -> Answer {
    match error {
        SecretError::NotFound { variables, file, .. } => {
            let places = [variables.last().unwrap().clone(), file.to_str().unwrap().to_owned()];
            Answer::Error { error: "missing".to_owned(), places: Some(places) }
        }
        SecretError::NothingAsked => Answer::error("invalid"),
        SecretError::NotText { .. } => Answer::error("not text"),
        SecretError::NotAFile { .. } => Answer::error("not a file"),
        SecretError::Unreadable { .. } => Answer::error("unreadable"),
        SecretError::TooLarge { .. } => Answer::error("too large"),
        error => panic!("{error}"),
    }
}

/// The table with flytekit's answers, and the folder with its files.
fn asked_of_flytekit() -> (Table, tempfile::TempDir) {
    let venv = std::env::var_os("FLYTE_SECRETS_VENV").map(PathBuf::from);
    let venv = venv.expect("FLYTE_SECRETS_VENV is not set: run `make e2e`");
    let folder = tempfile::tempdir().unwrap();
    let mut python = Command::new(venv.join("bin/python"));
    python.args(["-B", "-I", concat!(env!("CARGO_MANIFEST_DIR"), "/python/sdk_cases.py")]).arg(folder.path());
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut table: Table = serde_json::from_slice(&output.stdout).unwrap();
    for case in &mut table.cases {
        case.flytekit.forget(&case.folder);
    }
    (table, folder)
}

/// What an answer must be for a case that departs.
enum Departure<'a> {
    /// The row of the list.
    Listed(usize, &'a str),
    /// flytekit knows a third mode: its functions called where no task runs. For a program that is the task there is none;
    /// outside of a pod it runs locally.
    AsLocally(&'a Answer),
}

impl Table {
    fn departure<'a>(&'a self, case: &Case) -> Option<Departure<'a>> {
        let row = DEPARTURES.iter().position(|(name, _)| case.name.starts_with(name));
        let locally = || {
            let twin = case.name.replacen("mode none", "mode local", 1);
            let twin = self.cases.iter().find(|other| case.mode == "none" && other.name == twin);
            twin.map(|twin| Departure::AsLocally(&twin.flytekit))
        };
        row.map(|row| Departure::Listed(row, DEPARTURES[row].1)).or_else(locally)
    }
}

#[test]
fn flytekit_and_the_sdk_for_tasks_answer_alike() {
    let (table, _folder) = asked_of_flytekit();
    assert!(table.flytekit.starts_with("1.16."), "{}", table.flytekit);
    let (mut equal, mut wrong, mut listed) = (0, Vec::new(), vec![0; DEPARTURES.len()]);
    for case in &table.cases {
        let ours = case.ours();
        match table.departure(case) {
            _ if ours == case.flytekit => equal += 1,
            Some(Departure::Listed(row, answer)) if ours.in_short() == answer => listed[row] += 1,
            Some(Departure::AsLocally(answer)) if ours == *answer => {}
            _ => wrong.push(format!("{}: flytekit {:?}, ours {ours:?}", case.name, case.flytekit)),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.cases.len(), wrong.join("\n"));
    let stale: Vec<_> = DEPARTURES.iter().zip(&listed).filter(|(_, count)| **count == 0).collect();
    assert!(stale.is_empty(), "nothing departs there: {stale:?}");
    writeln!(std::io::stdout(), "\nfigure: sdk_flytekit_cases_equal = {equal} cases").unwrap();
}

#[test]
fn upper_and_lower_case_are_pythons() {
    let (table, _folder) = asked_of_flytekit();
    assert!(table.upper.keys().chain(table.lower.keys()).all(|c| *c < 0x20000));
    for c in '\0'..'\u{20000}' {
        let of_python = |table: &BTreeMap<u32, String>| table.get(&c.into()).cloned().unwrap_or_else(|| c.to_string());
        let (upper, lower) = (c.to_string().to_uppercase(), c.to_string().to_lowercase());
        if !NEWER.iter().any(|range| range.contains(&c.into())) {
            assert_eq!((upper, lower), (of_python(&table.upper), of_python(&table.lower)), "U+{:04X}", u32::from(c));
        }
    }
}
