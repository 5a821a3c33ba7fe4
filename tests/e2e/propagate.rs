//! Requests that are passed on through the objects of controllers: what the API server takes, with the operators' own
//! definitions, and what the pods carry that Kubernetes' own controllers make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures::future::join_all;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::program::{command, path, run_ok};
use crate::harness::{Api, Namespace, bed, eventually};

const REQUESTS: [&str; 4] = ["--secret", "team/token,mount=ENV_VAR", "--secret", "team/certificate,mount=FILE"];
/// The value of the first one's annotation.
const FIRST: &str = "m4zg54lqhiqce4dfmfwsectlmv3tuibcorxwwzloeifg122vnz1f53tfof1ws3tfnvsw34b1ebcu3vs6kzavecq";
/// Kinds whose definitions are in no package that can be had.
const WITHOUT_DEFINITION: [&str; 3] =
    ["FlinkDeployment.flink.apache.org", "Job.batch.volcano.sh", "JobTemplate.flow.volcano.sh"];

/// The folder with an example of every kind.
fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/objects")
}

/// Runs a command that reads `file` and prints JSON documents.
async fn documents(arguments: &[&str], file: &Path) -> Vec<Value> {
    let file = file.to_str().unwrap();
    let text = run_ok(command(&path(), &[arguments, &["-o", "json", "-f", file]].concat())).await;
    serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect()
}

/// The objects of a file, with requests and with their secrets.
async fn prepared(file: &Path) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let (config, propagated) = (folder.path().join("config.yaml"), folder.path().join("propagated.json"));
    std::fs::write(&config, "webhook: {secretManagerTypes: [K8s]}").unwrap();
    let objects = documents(&[&["propagate"], &REQUESTS[..]].concat(), file).await;
    let text: String = objects.iter().map(|object| format!("{object}\n")).collect();
    std::fs::write(&propagated, text).unwrap();
    documents(&["inject", "--config", config.to_str().unwrap()], &propagated).await
}

/// What an API server stores where.
#[derive(Clone)]
struct Resource {
    /// `/apis/batch/v1`
    root: String,
    plural: String,
    namespaced: bool,
}

impl Resource {
    fn path(&self, namespace: &str) -> String {
        let Self { root, plural, namespaced } = self;
        if *namespaced { format!("{root}/namespaces/{namespace}/{plural}") } else { format!("{root}/{plural}") }
    }
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member].as_str().unwrap_or_default()
}

/// `Kind.group`
fn name_of_kind(object: &Value) -> String {
    let group = text(object, "apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    format!("{}.{group}", text(object, "kind"))
}

/// The resource of an object's kind, as the API server tells; nothing if it does not know the kind.
async fn resource(api: &Api, object: &Value) -> Option<Resource> {
    let version = text(object, "apiVersion");
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let known = api.get(&root).await.ok()?;
    let known = known["resources"].as_array()?;
    let found = known.iter().find(|one| one["kind"] == object["kind"] && !text(one, "name").contains('/'))?;
    Some(Resource { root, plural: text(found, "name").to_owned(), namespaced: found["namespaced"] == true })
}

/// Installs the operators' definitions. They stay: removing them is as much work for an API server.
async fn install_definitions(api: &Api) {
    let folder = std::env::var_os("FLYTE_SECRETS_CRDS");
    let folder = folder.expect("FLYTE_SECRETS_CRDS is not set: export it with `$crds` of tests/env.sh");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    let definitions = files.map(|file| serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).unwrap());
    let mut served = Vec::new();
    for definition in definitions {
        api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await.unwrap();
        let spec = &definition["spec"];
        let version = format!("{}/{}", text(spec, "group"), text(&spec["versions"][0], "name"));
        served.push(json!({"apiVersion": version, "kind": spec["names"]["kind"]}));
    }
    for kind in served {
        eventually("a definition is served", 60, || async {
            resource(api, &kind).await.ok_or_else(|| kind.to_string())
        })
        .await;
    }
}

/// What the API server would store; unknown members are refused.
async fn strictly(api: &Api, namespace: &str, resource: &Resource, object: &Value) -> Result<Value, String> {
    let path = format!("{}?dryRun=All&fieldValidation=Strict", resource.path(namespace));
    // A definition that is not served everywhere yet is answered with 404.
    eventually("an answer", 30, || async {
        match api.create(&path, object).await {
            Err(failure) if failure.code == 404 => Err(failure.message),
            outcome => Ok(outcome.map_err(|failure| failure.message)),
        }
    })
    .await
}

/// How often a text is a member's value.
fn count(value: &Value, wanted: &str) -> usize {
    match value {
        Value::String(text) => usize::from(text == wanted),
        Value::Array(elements) => elements.iter().map(|element| count(element, wanted)).sum(),
        Value::Object(members) => members.values().map(|member| count(member, wanted)).sum(),
        _ => 0,
    }
}

#[tokio::test]
async fn operators_definitions_take_objects_with_requests_and_their_secrets_and_keep_them() {
    let namespace = bed().namespace("propagate-kinds").await;
    let api = &namespace.api;
    let files: Vec<PathBuf> = std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let ((), objects) = futures::join!(
        install_definitions(api),
        join_all(files.iter().map(async |file| {
            let mut objects = prepared(file).await;
            // Two versions of one definition cannot be installed under one name.
            if file.ends_with("trainer-2.1.yaml") {
                objects[0]["apiVersion"] = json!("trainer-2-1.kubeflow.org/v1alpha1");
            }
            objects
        }))
    );
    let mut unknown = BTreeSet::new();
    let mut checked = 0;
    for object in objects.into_iter().flatten() {
        let Some(resource) = resource(api, &object).await else {
            unknown.insert(name_of_kind(&object));
            continue;
        };
        let stored = strictly(api, &namespace.name, &resource, &object).await;
        let stored = stored.unwrap_or_else(|why| panic!("{}: {why}\n{object:#}", name_of_kind(&object)));
        let asked = count(&object, FIRST);
        assert!(asked > 0, "{object:#}");
        assert_eq!(count(&stored, FIRST), asked, "{} loses requests:\n{stored:#}", name_of_kind(&object));

        // The check can fail: a member that the kind does not have is refused.
        let mut wrong = object.clone();
        let (key, inner) = if wrong["spec"].is_object() { ("spec", "notAMember") } else { ("template", "notAMember") };
        wrong[key][inner] = json!(1);
        assert!(strictly(api, &namespace.name, &resource, &wrong).await.is_err(), "{}", name_of_kind(&object));
        checked += 1;
    }
    assert_eq!(unknown.iter().map(String::as_str).collect::<Vec<_>>(), WITHOUT_DEFINITION);
    assert!(checked > 35, "{checked}");
}

/// A node in name only, to which nothing but a daemon's pod goes.
async fn pretended_node(api: &Api) -> String {
    let name = "propagate-pretended";
    let node = json!({
        "metadata": {"name": name, "labels": {"pretended": "true"}},
        "spec": {"unschedulable": true, "taints": [{"key": "flyte-secrets/pretended", "effect": "NoExecute"}]},
    });
    api.create("/api/v1/nodes", &node).await.unwrap();
    name.to_owned()
}

/// Has a CronJob make its Job now: it is told that it made the last one a while ago.
async fn let_it_run(namespace: &Namespace, name: &str) {
    let path = format!("/apis/batch/v1/namespaces/{}/cronjobs/{name}/status", namespace.name);
    let past = (Timestamp::now() - SignedDuration::from_secs(120)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    eventually("a status", 10, || async {
        let mut object = namespace.api.get(&path).await.map_err(|failure| failure.message)?;
        object["status"]["lastScheduleTime"] = json!(past);
        namespace.api.replace(&path, &object).await.map_err(|failure| failure.message)
    })
    .await;
}

#[tokio::test]
async fn pods_of_kubernetes_own_controllers_carry_the_requests_that_were_passed_on() {
    let namespace = bed().namespace("propagate-pods").await;
    let api = &namespace.api;
    let node = pretended_node(api).await;
    let file = examples().join("kubernetes.yaml");
    for mut object in documents(&[&["propagate"], &REQUESTS[..]].concat(), &file).await {
        if object["kind"] == "DaemonSet" {
            let pod = &mut object["spec"]["template"]["spec"];
            pod["tolerations"] = json!([{"operator": "Exists"}]);
            // Other tests may have a real node beside it.
            pod["nodeSelector"] = json!({"pretended": "true"});
        }
        let resource = resource(api, &object).await.unwrap();
        api.create(&resource.path(&namespace.name), &object).await.unwrap();
    }
    let_it_run(&namespace, "cron-job").await;
    // A pod each: of the Job and the CronJob's Job, of the Deployment's ReplicaSet and the other one, …; the Job that
    // waits for its queue has none.
    let expected = BTreeMap::from([
        ("", 1),
        ("DaemonSet", 1),
        ("Job", 2),
        ("ReplicaSet", 2),
        ("ReplicationController", 1),
        ("StatefulSet", 1),
    ]);
    let expected: BTreeMap<String, usize> = expected.into_iter().map(|(kind, pods)| (kind.to_owned(), pods)).collect();
    let pods = eventually("a pod of every controller", 30, || async {
        let pods = api.get(&namespace.path("pods")).await.unwrap()["items"].as_array().cloned().unwrap_or_default();
        let mut owners = BTreeMap::new();
        for pod in &pods {
            *owners.entry(text(&pod["metadata"]["ownerReferences"][0], "kind").to_owned()).or_insert(0) += 1;
        }
        if owners == expected { Ok(pods) } else { Err(format!("{owners:?}")) }
    })
    .await;
    api.delete(&format!("/api/v1/nodes/{node}")).await.unwrap();
    for pod in pods {
        let metadata = &pod["metadata"];
        assert_eq!(metadata["labels"]["inject-flyte-secrets"], "true", "{pod:#}");
        assert_eq!(metadata["annotations"]["flyte.secrets/s0"], FIRST, "{pod:#}");
        assert!(metadata["annotations"]["flyte.secrets/s1"].is_string(), "{pod:#}");
    }
}
