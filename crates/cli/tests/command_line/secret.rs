//! `secret`: the local store.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::program::{Program, SCOPE};

const TASK: [&str; 2] = ["--domain=development", "--project=flytesnacks"];

fn create(program: &Program, name: &str, value: impl AsRef<[u8]>) {
    let ran = program.run_with(&[&["secret", "create", name], &TASK[..]].concat(), value.as_ref());
    assert_eq!(ran.done(), format!("stored {SCOPE}{name}\n"));
}

fn revealed(program: &Program, name: &str) -> Vec<u8> {
    let ran = program.run(&[&["secret", "get", name, "--reveal"], &TASK[..]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out
}

fn listed(program: &Program, more: &[&str]) -> Vec<String> {
    let all = program.run(&[&["secret", "list", "-o", "json"], more].concat()).json();
    all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_value_comes_from_standard_input_without_its_last_line_end() {
    let program = Program::new();
    for (given, stored) in [
        (&b"text"[..], &b"text"[..]),
        (b"echo\n", b"echo"),
        (b"windows\r\n", b"windows"),
        (b"two\n\n", b"two\n"),
        (b" spaces stay ", b" spaces stay "),
        (b"\xff\x00bytes", b"\xff\x00bytes"),
        (b"", b""),
    ] {
        let ran = program.run_with(&[&["secret", "create", "k", "--replace"], &TASK[..]].concat(), given);
        ran.done();
        assert_eq!(revealed(&program, "k"), stored);
    }
}

#[test]
fn a_value_of_a_file_is_taken_as_it_is() {
    let program = Program::new();
    program.file("value", b"with a line end\n");
    program.run(&[&["secret", "create", "k", "--from-file", "value"], &TASK[..]].concat()).done();
    assert_eq!(revealed(&program, "k"), b"with a line end\n");
}

#[test]
fn a_value_on_the_command_line_is_refused_and_not_repeated() {
    for arguments in [&["secret", "create", "k", "hunter2"][..], &["secret", "create", "k", "--value=hunter2"]] {
        let ran = Program::new().run(arguments);
        assert!([1, 2].contains(&ran.code) && ran.out.is_empty() && !ran.err.contains("hunter2"), "{ran:?}");
    }
    let told = Program::new().run(&["secret", "create", "k", "hunter2"]).failed();
    assert!(told.contains("--from-file"), "{told}");
}

#[test]
fn get_prints_a_value_only_when_it_is_asked_to() {
    let program = Program::new();
    create(&program, "api_key", "hunter2");
    let get = [&["secret", "get", "api_key"], &TASK[..]].concat();
    let text = program.run(&get).done();
    assert!(text.contains("api_key") && text.contains("flytesnacks") && !text.contains("hunter2"), "{text}");
    let shown = program.run(&[&get[..], &["-o", "json"]].concat()).json();
    let members: Vec<&String> = shown[0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["org", "domain", "project", "name", "id", "kind", "bytes", "created", "updated"]);
    assert_eq!((&shown[0]["id"], &shown[0]["bytes"]), (&json!(format!("{SCOPE}api_key")), &json!(7)));
    assert_eq!(revealed(&program, "api_key"), b"hunter2");
}

#[test]
fn what_is_stored_can_be_read_by_its_owner_only() {
    let program = Program::new();
    create(&program, "k", "v");
    let folder = program.folder().join("data/flyte-secrets");
    for (name, mode) in [("", 0o700), ("key.txt", 0o600), ("secrets.age", 0o600)] {
        let metadata = std::fs::metadata(folder.join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    std::fs::set_permissions(folder.join("key.txt"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = program.run(&["secret", "list"]).failed();
    assert!(told.contains("chmod 600"), "{told}");
}

#[test]
fn a_secret_that_is_there_is_replaced_only_on_request() {
    let program = Program::new();
    create(&program, "k", "first");
    let arguments = [&["secret", "create", "k"], &TASK[..]].concat();
    let told = program.run_with(&arguments, b"second").failed();
    assert!(told.contains("already there") && told.contains("--replace"), "{told}");
    assert_eq!(revealed(&program, "k"), b"first");
    program.run_with(&[&arguments[..], &["--replace"]].concat(), b"second").done();
    assert_eq!(revealed(&program, "k"), b"second");
}

#[test]
fn list_shows_scopes_and_filters_by_them() {
    let program = Program::new();
    create(&program, "of_project", "v");
    program.run_with(&["secret", "create", "of_domain", "--domain", "development"], b"v").done();
    program.run_with(&["secret", "create", "of_org"], b"v").done();
    program.run_with(&["secret", "create", "of_other", "--org", "other"], b"v").done();
    assert_eq!(listed(&program, &[]).len(), 4);
    assert_eq!(listed(&program, &["--org", "other"]), ["of_other"]);
    assert_eq!(listed(&program, &["--project", "flytesnacks"]), ["of_project"]);
    assert_eq!(listed(&program, &["--domain", "development", "--project", ""]), ["of_domain"]);
    let text = program.run(&["secret", "list"]).done();
    assert!(text.lines().count() == 5 && text.starts_with("NAME "), "{text}");
}

#[test]
fn a_deleted_secret_is_gone() {
    let program = Program::new();
    create(&program, "k", "v");
    let delete = [&["secret", "delete", "k"], &TASK[..]].concat();
    assert_eq!(program.run(&delete).done(), format!("deleted {SCOPE}k\n"));
    for command in [&delete[..], &["secret", "get", "k"], &["secret", "get", "k", "--reveal"]] {
        let told = program.run(command).failed();
        assert!(told.starts_with("error: ") && told.contains("no secret u__org__flyte__"), "{told}");
    }
    assert_eq!(listed(&program, &[]), Vec::<String>::new());
}

#[test]
fn many_secrets_are_imported_at_once_or_not_at_all() {
    let program = Program::new();
    program.file("a.yaml", format!("{SCOPE}text: a value\n{SCOPE}bytes: {{binary_base64: /wA=}}\n"));
    assert_eq!(program.run(&["secret", "import", "a.yaml"]).done(), "stored 2 new secrets and replaced 0\n");
    assert_eq!([revealed(&program, "text"), revealed(&program, "bytes")], [b"a value".to_vec(), vec![0xff, 0]]);
    let more = json!({format!("{SCOPE}text"): "other", format!("{SCOPE}new"): "new"});
    let told = program.run_with(&["secret", "import", "-"], more.to_string().as_bytes()).failed();
    assert!(told.contains(&format!("{SCOPE}text")) && told.contains("--replace"), "{told}");
    assert_eq!(listed(&program, &[]).len(), 2);
    let ran = program.run_with(&["secret", "import", "-", "--replace", "-o", "json"], more.to_string().as_bytes());
    assert_eq!(ran.json(), json!({"created": 1, "replaced": 1}));
    assert_eq!(revealed(&program, "text"), b"other");
}

#[test]
fn an_import_that_cannot_be_stored_names_the_place() {
    let program = Program::new();
    for (input, parts) in [
        ("not_an_id: v\n", &["line 1", "u__org__"][..]),
        (&*format!("{SCOPE}a: v\n{SCOPE}b: 5\n"), &["line 2", "b", "quotes"]),
        (&*format!("{SCOPE}a: {{error: denied}}\n"), &["__key__a", "no value"]),
        ("a: [\n", &["YAML or JSON"]),
    ] {
        program.file("a.yaml", input);
        let told = program.run(&["secret", "import", "a.yaml"]).failed();
        assert!(told.starts_with("error: ") && parts.iter().all(|part| told.contains(part)), "{told}");
    }
    assert_eq!(listed(&program, &[]), Vec::<String>::new());
}

#[test]
fn a_passphrase_comes_from_the_environment_and_opens_what_it_locked() {
    let locked = Program::new().with("FLYTE_SECRETS_PASSPHRASE", "correct horse");
    locked.run_with(&["secret", "create", "k", "--passphrase"], b"v").done();
    assert!(!locked.folder().join("data/flyte-secrets/key.txt").exists());
    let get = ["secret", "get", "k", "--reveal", "--passphrase"];
    assert_eq!(locked.run(&get).done(), "v");
    let told = locked.run(&["secret", "list"]).failed();
    assert!(told.contains("locked with a passphrase"), "{told}");
    let store = locked.folder().join("data/flyte-secrets/secrets.age");
    let arguments = [&get[..], &["--store", store.to_str().unwrap()]].concat();
    let told = Program::new().with("FLYTE_SECRETS_PASSPHRASE", "wrong").run(&arguments).failed();
    assert!(told.contains("wrong passphrase"), "{told}");
    let told = Program::new().with("FLYTE_SECRETS_PASSPHRASE", "").run(&arguments).failed();
    assert!(told.contains("the passphrase is empty"), "{told}");
}

#[test]
fn other_places_can_be_named() {
    let program = Program::new();
    let places = ["--store", "my/secrets.age", "--key-file", "my/key"];
    program.run_with(&[&["secret", "create", "k"], &places[..]].concat(), b"v").done();
    assert!(program.folder().join("my/key").exists() && !program.folder().join("data").exists());
    program.file(
        "c.yaml",
        "webhook: {embeddedSecretManagerConfig: {localConfig: {file: my/secrets.age, keyFile: my/key}}}",
    );
    assert_eq!(program.run(&["secret", "get", "k", "--reveal", "--config", "c.yaml"]).done(), "v");
}

#[test]
fn errors_are_json_where_the_output_is() {
    let ran = Program::new().run(&["secret", "get", "missing", "-o", "json"]);
    let error: Value = serde_json::from_str(&ran.failed()).unwrap();
    assert_eq!(error["level"], "error");
}

#[test]
fn a_value_larger_than_a_kubernetes_secret_is_refused() {
    let told = Program::new().run_with(&["secret", "create", "k"], &vec![b'x'; 1024 * 1024 + 1]).failed();
    assert!(told.contains("1 MiB"), "{told}");
    let ran = Program::new().run_with(&["secret", "create", "k"], &vec![b'x'; 1024 * 1024]);
    assert_eq!(ran.code, 0);
}
