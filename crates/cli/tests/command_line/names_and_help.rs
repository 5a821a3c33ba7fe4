//! The names it goes by, its help and its completions.

use crate::program::{Program, SCOPE, managers, pod, variable};

const COMMANDS: [&str; 24] = [
    "",
    "webhook",
    "webhook init-certs",
    "service",
    "init-certs",
    "inject",
    "propagate",
    "explain",
    "exec",
    "annotations",
    "annotations encode",
    "annotations decode",
    "secret",
    "secret create",
    "secret get",
    "secret list",
    "secret delete",
    "secret import",
    "get",
    "config",
    "config show",
    "config check",
    "dev",
    "completions",
];

#[test]
fn every_command_explains_itself() {
    for command in COMMANDS {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = Program::new().run(&arguments).done();
        assert!(help.contains("Usage: flyte-secrets") && help.len() > 200, "{command}: {help}");
    }
}

#[test]
fn help_shows_examples() {
    for command in [
        "",
        "webhook",
        "service",
        "inject",
        "propagate",
        "explain",
        "exec",
        "annotations encode",
        "annotations decode",
        "secret",
        "get",
        "config",
        "dev",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = Program::new().run(&arguments).done();
        let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("{command}: {help}"));
        assert!(examples.contains(&format!("flyte-secrets {command}")), "{command}: {help}");
    }
}

#[test]
fn a_command_line_that_cannot_be_read_ends_with_2() {
    for arguments in [&[][..], &["nonsense"], &["inject"], &["inject", "-f", "x", "-o", "nonsense"], &["secret", "get"]]
    {
        let ran = Program::new().run(arguments);
        assert!(ran.code == 2 && ran.out.is_empty() && ran.err.contains("help"), "{ran:?}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let ran = Program::new().run(&["--version"]);
    assert_eq!(ran.done(), format!("flyte-secrets {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_exist_for_common_shells() {
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef flyte-secrets"), ("fish", "complete -c flyte-secrets")]
    {
        let script = Program::new().run(&["completions", shell]).done();
        assert!(script.contains(mark) && script.contains("annotations"), "{shell}");
    }
}

#[test]
fn under_the_name_of_flyte_1_it_behaves_as_flyte_1() {
    let profile = |program: &Program, more: &[&str]| {
        let text = program.run(&[&["config", "show"], more].concat()).done();
        text.lines().find(|line| line.starts_with("webhook.profile: ")).unwrap().to_owned()
    };
    let (own, flyte1) = (Program::new(), Program::named("flytepropeller"));
    assert!(profile(&own, &[]).contains("flyte2"));
    assert!(profile(&flyte1, &[]).contains("flyte1") && profile(&flyte1, &[]).contains("# program name"));
    assert!(profile(&flyte1, &["--profile", "flyte2"]).contains("flyte2"));
    flyte1.file("config.yaml", "webhook: {profile: flyte2}\n");
    assert!(profile(&flyte1, &["--config", "config.yaml"]).contains("flyte2"));
    // As Flyte 1's manifests call it.
    let help = flyte1.run(&["webhook", "init-certs", "--config", "x.yaml", "--help"]).done();
    assert!(help.contains("Usage: flytepropeller webhook init-certs"), "{help}");
}

#[test]
fn names_of_files_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let program = Program::new();
    let name = std::ffi::OsStr::from_bytes(b"p\xf6d.yaml");
    std::fs::write(program.folder().join(name), "kind: A\n").unwrap();
    assert_eq!(program.run(&["inject".as_ref(), "-f".as_ref(), name]).done(), "kind: A\n");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let program = Program::new();
    program.file("config.yaml", managers("Embedded")).file("values.yaml", format!("{SCOPE}k: v\n"));
    let pods = vec![pod("p", &[variable("", "k")]).to_string(); 2_000].join("\n");
    program.file("pods.json", pods);
    let path = env!("CARGO_BIN_EXE_flyte-secrets");
    for command in [
        "inject -f pods.json --config config.yaml --values values.yaml",
        "completions bash",
        "config reference",
        "--help",
    ] {
        // The shell's own code is that of the last program; what counts is what the first one says.
        let script = format!("({path} {command}; echo code $? >&2) | true");
        let output =
            std::process::Command::new("sh").args(["-c", &script]).current_dir(program.folder()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "code 0\n", "{command}");
    }
}
