//! `propagate`: documents in, documents out, with requests where the pods get theirs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::program::{Program, Ran, managers, pod, variable};

const REQUESTS: [&str; 4] = ["--secret", "team/token,mount=ENV_VAR", "--secret", "team/certificate,mount=FILE"];
/// The annotation's value for the first one.
const TOKEN: &str = "m4zg54lqhiqce4dfmfwsectlmv3tuibcorxwwzloeifg122vnz1f53tfof1ws3tfnvsw34b1ebcu3vs6kzavecq";
/// Kinds that hold no whole pod: what is served there, and where.
const NOT_WHOLE: [(&str, &[&str]); 8] = [
    ("SparkApplication", &["/spec/driver", "/spec/executor", "/spec/driver/template/metadata"]),
    ("ScheduledSparkApplication", &["/spec/template/driver", "/spec/template/executor"]),
    ("FlinkDeployment", &["/spec/podTemplate/metadata", "/spec/taskManager/podTemplate/metadata"]),
    ("Workflow", &["/spec/podMetadata", "/spec/templates/0/metadata"]),
    ("WorkflowTemplate", &["/spec/podMetadata", "/spec/templateDefaults/metadata"]),
    ("ClusterWorkflowTemplate", &["/spec/podMetadata"]),
    ("CronWorkflow", &["/spec/workflowSpec/podMetadata"]),
    ("TrainJob", &[]),
];
/// Of the TrainJob of trainer 2.1 and of later ones.
const TRAIN_JOBS: [&str; 2] = [
    "/spec/podTemplateOverrides/0/metadata",
    "/spec/runtimePatches/0/trainingRuntimeSpec/template/spec/replicatedJobs/0/template/spec/template/metadata",
];

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/crds/objects");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn propagate(program: &Program, more: &[&str], input: impl AsRef<[u8]>) -> Ran {
    program.run_with(&[&["propagate", "-f", "-"], more].concat(), input.as_ref())
}

fn values(text: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(text).into_iter().map(Result::unwrap).collect()
}

/// Everything that looks like a pod, by what Kubernetes calls one: `spec.containers`. It knows no table.
fn pods<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    if value["spec"]["containers"].is_array() {
        found.push(value);
    }
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| pods(element, found)),
        Value::Object(members) => members.values().for_each(|member| pods(member, found)),
        _ => {}
    }
}

fn asks(metadata: &Value) -> bool {
    metadata["labels"]["inject-flyte-secrets"] == "true"
        && metadata["annotations"]["flyte.secrets/s0"] == TOKEN
        && metadata["annotations"]["flyte.secrets/s1"].is_string()
}

fn is_served(container: &Value) -> bool {
    let has = |member: &str, key: &str, wanted: &str| {
        container[member].as_array().into_iter().flatten().any(|one| one[key] == wanted)
    };
    has("env", "name", "_UNION_TEAM_TOKEN") && has("volumeMounts", "mountPath", "/etc/flyte/secrets/team")
}

#[test]
fn every_pod_of_every_kind_asks_and_inject_serves_those_that_stand_there_as_a_whole() {
    let program = Program::new();
    program.file("config.yaml", managers("K8s"));
    let mut seen = BTreeSet::new();
    for example in examples() {
        let asking = propagate(&program, &[&REQUESTS[..], &["-o", "json"]].concat(), std::fs::read(&example).unwrap());
        let asking = asking.done();
        let arguments = ["inject", "--config", "config.yaml", "-f", "-", "-o", "json"];
        let served = program.run_with(&arguments, asking.as_bytes()).done();
        for (asking, served) in values(&asking).iter().zip(values(&served)) {
            let (group, kind) = (asking["apiVersion"].as_str().unwrap(), asking["kind"].as_str().unwrap());
            let group = group.rsplit_once('/').map_or("", |(group, _)| group);
            seen.insert((group.to_owned(), kind.to_owned(), asking["spec"]["podTemplateOverrides"].is_array()));
            if let Some((_, places)) = NOT_WHOLE.iter().find(|(name, _)| *name == kind) {
                let train = TRAIN_JOBS.iter().filter(|place| kind == "TrainJob" && asking.pointer(place).is_some());
                let places: Vec<_> = places.iter().chain(train).collect();
                assert!(!places.is_empty(), "{asking:#}");
                places.iter().for_each(|place| assert!(asks(asking.pointer(place).unwrap()), "{place} {asking:#}"));
                assert_eq!(*asking, served, "{kind} is left to the webhook");
                continue;
            }
            let (mut found, mut injected) = (Vec::new(), Vec::new());
            pods(asking, &mut found);
            assert!(!found.is_empty() && found.iter().all(|pod| asks(&pod["metadata"])), "{asking:#}");
            pods(&served, &mut injected);
            let containers = injected.iter().flat_map(|pod| {
                let of = |name: &str| pod["spec"][name].as_array().into_iter().flatten();
                of("containers").chain(of("initContainers"))
            });
            containers.for_each(|container| assert!(is_served(container), "{container:#} of {kind}"));
        }
    }
    // Every row of the table has an example.
    let rows = Program::new().run(&["propagate", "--list-kinds", "-o", "json"]).json();
    let text = |row: &Value, member: &str| row[member].as_str().unwrap().to_owned();
    let rows = rows.as_array().unwrap().iter();
    let rows = rows.map(|row| (text(row, "group"), text(row, "kind"), row.get("onlyWith").is_some()));
    assert_eq!(rows.collect::<BTreeSet<_>>(), seen);
}

#[test]
fn a_second_pass_changes_nothing() {
    for example in examples() {
        let program = Program::new();
        let once = propagate(&program, &REQUESTS, std::fs::read(&example).unwrap()).done();
        assert_eq!(propagate(&program, &REQUESTS, &once).done(), once, "{}", example.display());
    }
}

#[test]
fn a_patch_makes_the_same_of_an_object() {
    for example in examples() {
        let (program, text) = (Program::new(), std::fs::read(&example).unwrap());
        let with = |more: &[&str]| values(&propagate(&program, &[&REQUESTS[..], more].concat(), &text).done());
        let (patches, after) = (with(&["-o", "patch"]), with(&["-o", "json"]));
        // What stood there before, as JSON: nothing is injected where nothing asks.
        let before = values(&program.run_with(&["inject", "-f", "-", "-o", "json"], &text).done());
        assert_eq!((patches.len(), before.len()), (after.len(), after.len()));
        for ((mut object, patch), after) in before.into_iter().zip(patches).zip(after) {
            let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
            json_patch::patch(&mut object, &patch).unwrap();
            assert_eq!(object, after);
        }
    }
}

fn job() -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "it"}, "spec": {"template": {"spec": {"containers": []}}}})
}

#[test]
fn requests_are_taken_over_from_a_pod_with_the_labels_that_say_whose_it_is() {
    let program = Program::new();
    let mut source = pod("task", &[variable("g", "k")]);
    source["metadata"]["labels"]["app"] = json!("other");
    program.file("pod.json", source.to_string());
    let after = propagate(&program, &["--from", "pod.json", "-o", "json"], job().to_string()).json();
    let metadata = &after["spec"]["template"]["metadata"];
    let labels = json!({"domain": "development", "inject-flyte-secrets": "true", "organization": "flyte", "project": "flytesnacks"});
    assert_eq!(metadata["labels"], labels);
    assert_eq!(metadata["annotations"], source["metadata"]["annotations"]);
}

#[test]
fn labels_and_annotations_of_any_name_can_be_passed_on() {
    let more = ["--label", "team=a", "--annotation", "note=x=y", "--annotation", &format!("flyte.secrets/s0={TOKEN}")];
    let after = propagate(&Program::new(), &[&more[..], &["-o", "json"]].concat(), job().to_string()).json();
    let metadata = &after["spec"]["template"]["metadata"];
    assert_eq!(metadata["labels"], json!({"inject-flyte-secrets": "true", "team": "a"}));
    assert_eq!(metadata["annotations"], json!({"flyte.secrets/s0": TOKEN, "note": "x=y"}));
}

#[test]
fn what_makes_no_pods_passes_through_byte_for_byte() {
    let others = "# a licence\n---\n# a comment\napiVersion: v1\nkind: ConfigMap # and one more\ndata: {mode: 0644,  b: 1.50}\n---\n\
                  apiVersion: v1\nkind: Service\nspec: {ports: []}\n---\nnot: an object of Kubernetes\n";
    let both = format!("{others}---\n{}\n---\n{others}", job());
    let after = propagate(&Program::new(), &REQUESTS, &both).done();
    assert!(after.starts_with(others) && after.ends_with(others) && after.contains(TOKEN), "{after}");
}

#[test]
fn the_items_of_a_list_are_served_one_by_one() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "ConfigMap"}, job()]});
    let after = propagate(&Program::new(), &[&REQUESTS[..], &["-o", "json"]].concat(), list.to_string()).json();
    assert!(asks(&after["items"][1]["spec"]["template"]["metadata"]), "{after}");
    assert_eq!(after["items"][0], list["items"][0]);
}

#[test]
fn a_diff_shows_what_changes() {
    let after = propagate(&Program::new(), &["--label", "a=b", "-o", "diff"], job().to_string()).done();
    assert!(after.starts_with("--- Job default/it (as it was)\n+++ Job default/it (with its requests)\n"), "{after}");
    assert!(after.contains("\n+        a: b\n"), "{after}");
}

#[test]
fn an_unknown_kind_is_an_error_with_the_ways_out() {
    let crew = json!({"apiVersion": "example.com/v1", "kind": "Crew", "metadata": {"name": "c"}, "spec": {"members": [{"pod": {}}]}});
    let text = crew.to_string();
    let with = |more: &[&str]| propagate(&Program::new(), &[&REQUESTS[..], &["-o", "json"], more].concat(), &text);
    let error = with(&[]).failed();
    for part in ["Crew default/c", "example.com/v1", "--path", "--ignore-unknown"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(asks(&with(&["--path", "spec.members[].pod"]).json()["spec"]["members"][0]["pod"]["metadata"]));
    assert!(asks(&with(&["--metadata-path", "spec.podMetadata"]).json()["spec"]["podMetadata"]));
    let error = with(&["--path", "spec.member[].pod"]).failed();
    assert!(error.contains("looked for spec.member[].pod"), "{error}");
    let error = with(&["--path", "spec..pod"]).failed();
    assert!(error.contains("--path") && error.contains("a name is empty"), "{error}");
    let among_others =
        propagate(&Program::new(), &[&REQUESTS[..], &["--ignore-unknown"]].concat(), format!("{text}\n---\n{}", job()));
    assert!(among_others.done().starts_with(&text));
}

#[test]
fn a_path_adds_a_place_to_a_known_kind() {
    let train = json!({"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "spec": {}});
    let path = "spec.runtimePatches[manager=flyte.org/secrets].trainingRuntimeSpec.template.spec.replicatedJobs[name=launcher]\
                .template.spec.template";
    let after =
        propagate(&Program::new(), &[&REQUESTS[..], &["-o", "json", "--path", path]].concat(), train.to_string());
    let patches = after.json()["spec"]["runtimePatches"].clone();
    assert_eq!(patches.as_array().unwrap().len(), 1);
    let jobs = &patches[0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"];
    assert_eq!((&jobs[0]["name"], &jobs[1]["name"]), (&json!("node"), &json!("launcher")));
    assert!(asks(&jobs[1]["template"]["spec"]["template"]["metadata"]), "{jobs}");
}

#[test]
fn what_cannot_be_done_is_an_error_that_says_why() {
    let program = Program::new();
    program.file("plain.yaml", "kind: Pod\n");
    program.file("two.json", format!("{}{}", pod("a", &[variable("g", "a")]), pod("b", &[variable("g", "b")])));
    let job = job().to_string();
    for (arguments, input, part) in [
        (&[][..], job.as_str(), "nothing to pass on"),
        (&["--from", "plain.yaml"], &job, "nothing there asks for secrets"),
        (&["--from", "two.json"], &job, "several objects ask"),
        (&["--from", "two.json", "--secret", "g/k"], &job, "two sets of requests"),
        (&["--label", "a=b"], "kind: ConfigMap\n", "no object in this input whose pods are known"),
        (&["--label", "a=b"], "kind: Job\nspec: {template: 1}\n", "\"/spec/template\" has another type"),
        (&["--label", "a=b"], "kind: Job\n", "Job has no pod template; looked for spec.template"),
    ] {
        let error = propagate(&program, arguments, input).failed();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn pods_that_do_not_stand_in_an_object_as_a_whole_are_said_to_be_served_at_admission() {
    let spark = json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "s"},
                       "spec": {"driver": {}, "executor": {}}});
    let program = Program::new();
    let asking = propagate(&program, &REQUESTS, spark.to_string()).done();
    let ran = program.run_with(&["inject", "-f", "-"], asking.as_bytes());
    assert!(ran.err.contains("SparkApplication default/s") && ran.err.contains("when they are created"), "{ran:?}");
    assert_eq!(ran.done(), asking);
    let explained = program.run_with(&["explain", "-f", "-", "-o", "json"], asking.as_bytes()).json();
    assert_eq!(explained[0]["decision"], "served at admission");
}

#[test]
fn the_table_of_the_documentation_is_that_of_the_program() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/propagate.md");
    let page = std::fs::read_to_string(page).unwrap();
    let lines: Vec<&str> = page.lines().filter(|line| line.ends_with(" |") && !line.starts_with("| kind ")).collect();
    let rows = Program::new().run(&["propagate", "--list-kinds", "-o", "json"]).json();
    let expected: Vec<String> = rows.as_array().unwrap().iter().map(documented).collect();
    assert_eq!(lines, expected);
}

/// A row as the page has it.
fn documented(row: &Value) -> String {
    let text = |member: &str| row[member].as_str().unwrap_or_default();
    let (group, only) = (text("group"), text("onlyWith"));
    let group = if group.is_empty() { String::new() } else { format!(" of `{group}`") };
    let only = if only.is_empty() { String::new() } else { format!(", with `spec.{only}`") };
    let path = |place: &Value| {
        let path = place["path"].as_str().unwrap();
        if path.contains(' ') { path.to_owned() } else { format!("`{path}`") }
    };
    let paths: Vec<String> = row["places"].as_array().unwrap().iter().map(path).collect();
    format!("| {}{group}{only} | {} | {} | {} |", text("kind"), paths.join("<br>"), text("inject"), text("source"))
}
