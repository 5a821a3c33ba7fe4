//! `get`: a task's secret in a shell, on a computer without a cluster and with what a pod has.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::program::{Program, Ran};

/// Set in every container of a task.
const IN_TASK: (&str, &str) = ("FLYTE_INTERNAL_EXECUTION_ID", "a1b2");

/// A program that sees a variable and the file `secrets/g/k`.
fn program(variable: &str, value: &str, file: &[u8]) -> Program {
    let program = Program::new().with(variable, value).with("FLYTE_SECRETS_DEFAULT_DIR", "secrets");
    program.file("secrets/g/k", file);
    program
}

fn printed(ran: Ran) -> Vec<u8> {
    assert!(ran.code == 0 && ran.err.is_empty(), "{ran:?}");
    ran.out
}

#[test]
fn a_value_of_a_variable_is_printed_and_nothing_else() {
    let program = program("_UNION_G_K", " planted $(x) '\" \n", b"of the file");
    let program = program.with("FLYTE_SECRETS_ENV_PREFIX", "_UNION_").with(IN_TASK.0, IN_TASK.1);
    assert_eq!(printed(program.run(&["get", "g", "k"])), b"planted $(x) '\"");
    assert_eq!(printed(program.run(&["get", "g", "k", "--raw"])), b" planted $(x) '\" \n");
}

#[test]
fn a_value_of_a_file_is_printed_as_flytekit_reads_it_or_as_it_is() {
    let program = program("X", "", b"\na\r\nb\n");
    assert_eq!(printed(program.run(&["get", "G", "K"])), b"a\nb");
    assert_eq!(printed(program.run(&["get", "G", "K", "--raw"])), b"\na\r\nb\n");
}

#[test]
fn bytes_that_are_no_text_are_printed_as_they_are() {
    let bytes = b"\n\x00\xff\xfe\r\n \n";
    assert_eq!(printed(program("X", "", bytes).run(&["get", "g", "k"])), bytes);
}

#[test]
fn on_a_laptop_a_variable_without_the_prefix_is_enough() {
    let program = program("OTHER_V1_KEY", "planted", b"");
    let ask = ["get", "other", "key", "--group-version", "v1"];
    assert_eq!(printed(program.run(&ask)), b"planted");
    assert_eq!(program.with(IN_TASK.0, IN_TASK.1).run(&ask).code, 6, "not in a task");
}

#[test]
fn a_secret_without_a_group_is_asked_for_with_an_empty_one() {
    assert_eq!(printed(program("_FSEC_API_KEY", "planted", b"").run(&["get", "", "api_key"])), b"planted");
}

#[test]
fn what_is_not_found_ends_with_6_and_is_told_with_every_place() {
    let program = program("_FSEC_G_K", "planted", b"planted");
    let ran = program.run(&["get", "g", "other"]);
    assert!(ran.code == 6 && ran.out.is_empty(), "{ran:?}");
    for place in ["_FSEC_G_OTHER", "\"G_OTHER\"", "secrets/g/other", "secret_requests"] {
        assert!(ran.err.contains(place), "{place} is not in: {}", ran.err);
    }
    assert!(!ran.err.contains("planted"), "{}", ran.err);
    let ran = program.run(&["get", "g", "other", "-o", "json"]);
    assert!(ran.code == 6 && ran.out.is_empty(), "{ran:?}");
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["level"], "error");
}

#[test]
fn what_cannot_be_read_ends_with_1() {
    let program = program("X", "", b"");
    let error = program.run(&["get", "g", ""]).failed();
    assert!(error.contains("secrets/g is not a file"), "{error}");
    assert!(program.run(&["get", "", ""]).failed().contains("no secret was asked for"));
}

#[test]
fn json_tells_where_it_stands_and_the_value_only_when_asked() {
    let in_variable = program("_FSEC_G_K", " planted ", b"");
    let document = in_variable.run(&["get", "g", "k", "-o", "json"]).json();
    assert_eq!(document, json!({"group": "g", "key": "k", "source": {"env": "_FSEC_G_K"}}));
    let document = in_variable.run(&["get", "g", "k", "-o", "json", "--reveal"]).json();
    assert_eq!(document["value"], "planted");
    assert_eq!(in_variable.run(&["get", "g", "k", "-o", "json", "--reveal", "--raw"]).json()["value"], " planted ");

    let in_file = program("X", "", b"\xff\n");
    let document = in_file.run(&["get", "g", "k", "-o", "json", "--reveal"]).json();
    assert_eq!(document, json!({"group": "g", "key": "k", "source": {"file": "secrets/g/k"}, "value_base64": "/wo="}));
}

#[test]
fn names_of_places_are_printed_whether_they_are_there_or_not() {
    let program = program("X", "", b"").with("FLYTE_SECRETS_FILE_PREFIX", "p-");
    let versioned = |flag| program.run(&["get", "My-Group", "Key", "--group-version", "V1", flag]);
    assert_eq!(printed(versioned("--path")), b"secrets/my-group/v1/p-key\n");
    assert_eq!(printed(versioned("--env-name")), b"_FSEC_MY-GROUP_V1_KEY\n");
}

#[test]
fn on_a_terminal_a_line_end_is_added() {
    let program = program("_FSEC_G_K", "planted", b"");
    // `script` runs a command on a terminal; that one writes \r\n for \n.
    let line = format!("{} get g k", env!("CARGO_BIN_EXE_flyte-secrets"));
    let mut script = Command::new("script");
    let output = script.args(["-qec", &line, "/dev/null"]).env("_FSEC_G_K", "planted").output();
    let output = output.expect("script(1), of util-linux, is needed");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "planted\r\n");
    assert_eq!(printed(program.run(&["get", "g", "k"])), b"planted");
}

/// What the kernel says of a process that holds a value, while it waits for somebody to read all of what it prints.
#[cfg(target_os = "linux")]
#[test]
fn the_process_that_holds_the_value_leaves_no_core_file_and_no_value_in_the_list_of_processes() {
    let program = program("X", "", "planted".repeat(20_000).as_bytes());
    let mut child = Command::new(env!("CARGO_BIN_EXE_flyte-secrets"))
        .args(["get", "g", "k"])
        .env("FLYTE_SECRETS_DEFAULT_DIR", program.folder().join("secrets"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A pipe takes 64 KiB, the value has 140 KB.
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let process = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap();
    let (limits, command_line) = (process("limits"), process("cmdline"));
    child.kill().unwrap();
    child.wait().unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"]);
    assert!(!command_line.contains("planted"));
}
