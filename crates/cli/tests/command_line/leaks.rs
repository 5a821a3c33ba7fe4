//! Values that are easy to recognise are planted wherever the program reads values. They may appear where the pod
//! itself is printed and is to hold them (`webhook.delivery: PodSpec`), and where somebody says `--reveal`; nowhere
//! else, in no form.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use crate::program::{Program, Ran, SCOPE, file, managers, managers_with_values_in_pods, pod, variable};

const TEXT: &str = "planted-text-pa$$w0rd-Zx81";
const OF_VARIABLE: &str = "planted-variable-Qn27";
const OF_FILE: &str = "planted-file-content-Lk93\n";
const PASSPHRASE: &str = "planted-passphrase-Vr55";
const IN_POD: &str = "planted-in-the-pod-Hj68";
const BYTES: &[u8] = b"\xfe\xffplanted-bytes-Tw42\x00\x80";

const PLANTED: [&[u8]; 6] = [
    TEXT.as_bytes(),
    OF_VARIABLE.as_bytes(),
    OF_FILE.as_bytes().trim_ascii_end(),
    PASSPHRASE.as_bytes(),
    IN_POD.as_bytes(),
    BYTES,
];

/// All forms in which bytes may hide in an output.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let core =
        value.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-').max_by_key(|part| part.len()).unwrap();
    let mut forms = vec![value.to_vec(), core.to_vec(), HEXLOWER.encode(core).into_bytes()];
    forms.push(HEXLOWER.encode(core).to_uppercase().into_bytes());
    // Base64 of a text differs with the place at which the value starts in it; its ends depend on what is around.
    for lead in 0..3 {
        let encoded = BASE64.encode(&[&vec![b'?'; lead][..], value].concat());
        let inner = encoded.trim_end_matches('=');
        forms.push(inner.as_bytes()[if lead == 0 { 0 } else { 4 }..inner.len() - 2].to_vec());
    }
    // As a list of numbers, the way `Debug` prints bytes.
    let numbers: Vec<String> = core.iter().map(u8::to_string).collect();
    forms.push(numbers.join(", ").into_bytes());
    forms
}

fn holds(output: &[u8], form: &[u8]) -> bool {
    output.windows(form.len()).any(|window| window == form)
}

#[track_caller]
fn assert_clean(what: &str, output: &[u8]) {
    for value in PLANTED {
        for form in forms(value) {
            assert!(!holds(output, &form), "{what} holds {}", String::from_utf8_lossy(&form));
        }
    }
}

/// What the program said may hold no value, and what it printed neither, unless that is what it is asked for.
#[track_caller]
fn check(what: &str, ran: &Ran, may_print: bool) {
    assert!([0, 1, 2, 3, 125].contains(&ran.code), "{what}: {ran:?}");
    assert_clean(&format!("standard error of {what}"), ran.err.as_bytes());
    if !may_print {
        assert_clean(&format!("standard output of {what}"), &ran.out);
    }
}

fn planted() -> Program {
    let program = Program::new();
    let values = json!({
        format!("{SCOPE}text"): TEXT,
        format!("{SCOPE}bytes"): {"binary_base64": BASE64.encode(BYTES)},
        format!("{SCOPE}key"): TEXT,
    });
    program.file("values.json", values.to_string()).file("secrets/group/file", OF_FILE);
    program.file("config.yaml", managers("Embedded"));
    program
}

const SOURCES: [&str; 8] = [
    "--config",
    "config.yaml",
    "--values",
    "values.json",
    "--env",
    "FLYTE_SECRET_GROUP_KEY=planted-variable-Qn27",
    "--secrets-prefix",
    "secrets",
];

/// Pods that touch every source, and what becomes of each.
fn pods() -> Vec<(&'static str, Value)> {
    let all = [
        variable("", "text"),
        file("", "bytes"),
        file("", "text"),
        variable("group", "key"),
        variable("group", "file"),
    ];
    let mut collision = variable("", "text");
    collision.env_var = "_UNION_GROUP_KEY".to_owned();
    let missing = variable("", "missing");
    vec![
        ("a served pod", pod("p", &all)),
        ("a refused pod", pod("p", &[&all[..], &[missing]].concat())),
        ("a binary value as a variable", pod("p", &[variable("", "bytes")])),
        ("two values for one variable", pod("p", &[variable("group", "key"), collision])),
    ]
}

#[test]
fn the_forms_of_a_value_are_found() {
    for value in PLANTED {
        let text = [b"before ", value, b" after"].concat();
        for output in [text.clone(), BASE64.encode(&text).into_bytes(), HEXLOWER.encode(&text).into_bytes()] {
            assert!(forms(value).iter().any(|form| holds(&output, form)), "{}", String::from_utf8_lossy(&output));
        }
        let debug = format!("{text:?}");
        assert!(forms(value).iter().any(|form| holds(debug.as_bytes(), form)), "{debug}");
    }
}

#[test]
fn exec_says_nothing_of_values() {
    let program = planted().with("PATH", "/usr/bin:/bin").with("FLYTE_SECRET_GROUP_KEY", OF_VARIABLE);
    let given = ["--config", "config.yaml", "--values", "values.json"];
    let files = ["--secrets.secrets-prefix", "secrets"];
    for (what, pod) in pods() {
        program.file("pod.json", pod.to_string());
        let ran = program.run(&[&["exec", "-f", "pod.json"], &given[..], &files, &["--", "true"]].concat());
        check(&format!("exec of {what}"), &ran, false);
        assert_eq!(ran.code, if what.starts_with("a served") || what.starts_with("two") { 0 } else { 125 }, "{ran:?}");
    }
    // The command gets them, whole.
    program.file("pod.json", pods()[0].1.to_string());
    let ran = program.run(&[&["exec", "-f", "pod.json"], &given[..], &files, &["--", "env"]].concat());
    assert!(holds(&ran.out, TEXT.as_bytes()) && holds(&ran.out, OF_FILE.as_bytes()), "{ran:?}");
}

#[test]
fn inject_prints_values_of_secrets_on_request_only_and_explain_nowhere() {
    let program = planted();
    for (what, pod) in pods() {
        program.file("pod.json", pod.to_string());
        for output in ["yaml", "json", "patch", "diff"] {
            for reveal in [&[][..], &["--reveal"]] {
                let ran = program.run(&[&["inject", "-f", "pod.json", "-o", output], &SOURCES[..], reveal].concat());
                // A patch is of the pod alone, which only refers to values.
                let may_print = ran.code == 0 && !reveal.is_empty() && output != "patch";
                check(&format!("inject -o {output} {reveal:?} of {what}"), &ran, may_print);
                let shown = holds(&ran.out, BASE64.encode(OF_VARIABLE.as_bytes()).as_bytes());
                assert_eq!(shown, may_print, "{what}: {ran:?}");
            }
        }
        for output in ["text", "json"] {
            let ran = program.run(&[&["explain", "-f", "pod.json", "-o", output], &SOURCES[..]].concat());
            check(&format!("explain -o {output} of {what}"), &ran, false);
        }
    }
}

#[test]
fn where_the_pod_holds_values_inject_prints_them_in_the_pod_only_and_explain_nowhere() {
    let program = planted();
    program.file("config.yaml", managers_with_values_in_pods("Embedded"));
    for (what, pod) in pods() {
        program.file("pod.json", pod.to_string());
        for output in ["yaml", "json", "patch", "diff"] {
            let ran = program.run(&[&["inject", "-f", "pod.json", "-o", output], &SOURCES[..]].concat());
            let patched = ran.code == 0;
            check(&format!("inject -o {output} of {what}"), &ran, patched);
            assert_eq!(patched, what == "a served pod" || what == "two values for one variable", "{what}: {ran:?}");
            // The values were there to be printed.
            if patched {
                assert!(holds(&ran.out, OF_VARIABLE.as_bytes()) || what != "a served pod", "{ran:?}");
            }
        }
        for output in ["text", "json"] {
            let ran = program.run(&[&["explain", "-f", "pod.json", "-o", output], &SOURCES[..]].concat());
            check(&format!("explain -o {output} of {what}"), &ran, false);
        }
    }
}

#[test]
fn inputs_that_cannot_be_read_are_not_quoted() {
    let program = planted();
    let base64 = BASE64.encode(BYTES);
    for (name, content) in [
        ("values", format!("{SCOPE}text: {TEXT}\n  {TEXT}: [\n")),
        ("values", format!("{SCOPE}text: [{TEXT}]\n{TEXT}: x\n")),
        ("values", format!("{SCOPE}text: {{binary_base64: \"{base64}!\"}}\n")),
        ("values", format!("{SCOPE}text: {{{IN_POD}: {TEXT}}}\n")),
        ("values", format!("{{\"{SCOPE}text\": \"{TEXT}\"")),
        ("values", format!("\"{TEXT}\"")),
        ("pod", format!("kind: Pod\nspec:\n  containers: [{{env: [{{value: {IN_POD}\n")),
        ("pod", format!("kind: Pod\nspec: {IN_POD}\n   x: \"{IN_POD}\n")),
        ("pod", format!("kind: Pod\nx: {IN_POD}\nx: {IN_POD}\n")),
        ("pod", format!("{{\"kind\": \"Pod\", \"x\": \"{IN_POD}\", ]")),
        (
            "pod",
            format!(
                "kind: Pod\nmetadata: {{labels: {{inject-flyte-secrets: \"true\"}}}}\nspec: {{containers: {IN_POD}}}\n"
            ),
        ),
        (
            "pod",
            format!(
                "kind: Pod\nmetadata: {{labels: {{inject-flyte-secrets: \"true\"}}}}\nspec: {{containers: [{{env: {IN_POD}}}]}}\n"
            ),
        ),
    ] {
        program.file("good.json", pod("p", &[variable("", "text")]).to_string()).file("bad", &content);
        let (values, pods) = if name == "values" { ("bad", "good.json") } else { ("values.json", "bad") };
        for command in ["inject", "explain"] {
            let ran = program.run(&[command, "-f", pods, "--values", values, "--config", "config.yaml"]);
            assert_eq!(ran.code, 1, "{content}\n{ran:?}");
            check(&content, &ran, false);
        }
        if name == "values" {
            let ran = program.run(&["secret", "import", "bad"]);
            assert_eq!(ran.code, 1, "{ran:?}");
            check(&content, &ran, false);
        }
    }
}

#[test]
fn a_slip_on_the_command_line_is_not_repeated() {
    let program = planted();
    program.file("pod.json", pod("p", &[]).to_string());
    check("--env without a name", &program.run(&["inject", "-f", "pod.json", "--env", OF_VARIABLE]), false);
    check("a value as an argument", &program.run(&["secret", "create", "k", TEXT]), false);
    check("a value as a flag", &program.run(&["secret", "create", "k", &format!("--value={TEXT}")]), false);
}

#[test]
fn the_local_store_gives_values_to_reveal_only() {
    let program = planted();
    let run = |arguments: &[&str], input: &[u8]| {
        for output in ["text", "json"] {
            let ran = program.run_with(&[arguments, &["-o", output]].concat(), input);
            check(&arguments.join(" "), &ran, false);
        }
    };
    run(&["secret", "create", "text"], TEXT.as_bytes());
    run(&["secret", "create", "bytes", "--binary", "--replace"], BYTES);
    run(&["secret", "create", "text", "--from-file", "secrets/group/file", "--replace"], b"");
    run(&["secret", "create", "text"], TEXT.as_bytes());
    run(&["secret", "create", "huge"], TEXT.repeat(50_000).as_bytes());
    run(&["secret", "create", "a__b", "--org", "a__b"], TEXT.as_bytes());
    run(&["secret", "import", "values.json"], b"");
    run(&["secret", "import", "values.json", "--replace"], b"");
    run(&["secret", "get", "text"], b"");
    run(&["secret", "get", "missing", "--reveal"], b"");
    run(&["secret", "list"], b"");
    run(&["config", "show"], b"");
    run(&["secret", "delete", "text"], b"");
    let folder = program.folder().join("data/flyte-secrets");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_clean(&path.display().to_string(), &std::fs::read(&path).unwrap());
    }
    let ran = program.run(&["secret", "get", "bytes", "--reveal"]);
    assert_eq!((ran.code, ran.out.as_slice(), ran.err.as_str()), (0, BYTES, ""));
}

#[test]
fn a_passphrase_is_nowhere() {
    let program = planted().with("FLYTE_SECRETS_PASSPHRASE", PASSPHRASE);
    check("create", &program.run_with(&["secret", "create", "k", "--passphrase"], b"v"), false);
    check("list", &program.run(&["secret", "list", "--passphrase"]), false);
    check("list without", &program.run(&["secret", "list"]), false);
    check("config", &program.run(&["config", "show"]), false);
    check("dev", &program.run(&["dev", "--once"]), false);
}
