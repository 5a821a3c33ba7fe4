//! `inject` and `explain` read nothing of their own process; what they are given stands in for it.

use serde_json::json;

use crate::program::{Program, SCOPE, managers_with_values_in_pods, pod, variable};

const COMMANDS: [[&str; 7]; 2] = [
    ["inject", "-f", "pod.json", "-o", "json", "--config", "config.yaml"],
    ["explain", "-f", "pod.json", "-o", "json", "--config", "config.yaml"],
];

fn prepared(program: Program) -> Program {
    program.file("pod.json", pod("p", &[variable("group", "key")]).to_string());
    program.file("config.yaml", managers_with_values_in_pods("Embedded"));
    program
}

#[test]
fn variables_of_the_process_have_no_effect() {
    let plain = prepared(Program::new());
    let nonsense = [
        "FLYTE_SECRET_GROUP_KEY",
        "WEBHOOK_SECRETMANAGERTYPES",
        "WEBHOOK.SECRETMANAGERTYPES",
        "WEBHOOK_PROFILE",
        "WEBHOOK_ONUNSERVED",
        "SECRETS_ENV_PREFIX",
        "SECRETS.SECRETS-PREFIX",
        "KUBECONFIG",
        "POD_NAMESPACE",
        "LOGGER_LEVEL",
        "RUST_LOG",
        "FLYTE_SECRETS_PASSPHRASE",
        "KUBERNETES_SERVICE_HOST",
        "AWS_REGION",
    ];
    let odd = nonsense.iter().fold(prepared(Program::new()), |program, name| program.with(name, "nonsense: ["));
    for command in COMMANDS {
        let ran = plain.run(&command);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert_eq!(ran, odd.run(&command));
    }
}

#[test]
fn variables_files_and_values_that_are_given_count() {
    let program = prepared(Program::new());
    program.file("secrets/group/key", "of a file").file("values.yaml", format!("{SCOPE}key: of a store\n"));
    let given = [
        (&["--env", "FLYTE_SECRET_GROUP_KEY=a=b"][..], "Global", "a=b"),
        (&["--secrets-prefix", "secrets"], "Global", "of a file"),
        (&["--values", "values.yaml"], "Embedded", "of a store"),
        // A variable comes before a file, as in Flyte.
        (&["--secrets-prefix", "secrets", "--env", "FLYTE_SECRET_GROUP_KEY=first"], "Global", "first"),
    ];
    for (arguments, manager, value) in given {
        let pod = program.run(&[&COMMANDS[0][..], arguments].concat()).json();
        let variables = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        assert!(variables.iter().any(|variable| variable["value"] == value), "{variables:?}");
        let explained = program.run(&[&COMMANDS[1][..], arguments].concat()).json();
        assert_eq!(explained[0]["requests"][0]["servedBy"], manager, "{explained}");
    }
}

#[test]
fn the_namespace_of_objects_without_one_can_be_given() {
    let program = prepared(Program::new());
    let mut pod = pod("p", &[]);
    pod["metadata"].as_object_mut().unwrap().remove("namespace");
    program.file("pod.json", pod.to_string());
    let object = |more: &[&str]| program.run(&[&COMMANDS[1][..], more].concat()).json()[0]["object"].clone();
    assert_eq!([object(&[]), object(&["-n", "mine"])], [json!("Pod default/p"), json!("Pod mine/p")]);
}

#[test]
fn the_local_store_is_not_asked() {
    let program = prepared(Program::new());
    program.run_with(&["secret", "create", "key", "--domain=development", "--project=flytesnacks"], b"stored").done();
    assert_eq!(program.run(&COMMANDS[0]).code, 3);
}
