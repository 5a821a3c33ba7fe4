#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn metadata(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> PodMetadata {
    let map =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    PodMetadata { labels: map(labels), annotations: map(annotations) }
}

/// What a pod carries that asks for one secret.
fn asking() -> PodMetadata {
    let secret = Secret { key: "my_key".to_owned(), ..Secret::default() };
    PodMetadata::asking_for(&[secret]).unwrap()
}

fn carries(place: &Value, metadata: &PodMetadata) -> bool {
    let has = |member: &str, wanted: &BTreeMap<String, String>| {
        wanted.iter().all(|(name, value)| place[member].get(name).and_then(Value::as_str) == Some(value))
    };
    has("labels", &metadata.labels) && has("annotations", &metadata.annotations)
}

/// Puts the requests into an object and gives their places.
fn places(object: &mut Value) -> Vec<String> {
    let places = propagate(object, &asking(), &[]).unwrap();
    for place in &places {
        let inner = object.pointer(place).unwrap();
        let inner = if carries(inner, &asking()) { inner } else { &inner["metadata"] };
        assert!(carries(inner, &asking()), "{place} of {object}");
    }
    places
}

#[test]
fn every_row_can_be_read_and_stands_there_once() {
    for (index, row) in KINDS.iter().enumerate() {
        assert!(!row.places.is_empty() && !row.source.is_empty(), "{row:?}");
        for place in row.places {
            assert_eq!(place.path().to_string(), place.path, "{row:?}");
        }
        let same = |other: &&Kind| (other.group, other.kind, other.only_with) == (row.group, row.kind, row.only_with);
        assert_eq!(KINDS.iter().position(|other| same(&other)), Some(index), "{row:?}");
    }
}

#[test]
fn requests_are_put_where_the_pods_of_a_kind_get_their_metadata() {
    let pod = || json!({"spec": {"containers": []}});
    for (object, expected) in [
        (json!({"apiVersion": "v1", "kind": "Pod"}), vec![""]),
        (json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": pod()}}), vec!["/spec/template"]),
        (
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": pod()}}}}),
            vec!["/spec/jobTemplate/spec/template"],
        ),
        (
            json!({"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": {"tasks": [{"template": pod()}, {"template": pod()}]}}),
            vec!["/spec/tasks/0/template", "/spec/tasks/1/template"],
        ),
        (
            json!({"apiVersion": "kubeflow.org/v1", "kind": "MPIJob",
                   "spec": {"mpiReplicaSpecs": {"Launcher": {"template": pod()}, "Worker": {"template": pod()}}}}),
            vec!["/spec/mpiReplicaSpecs/Launcher/template", "/spec/mpiReplicaSpecs/Worker/template"],
        ),
        (
            json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {"driver": {}, "executor": {"cores": 1}}}),
            vec!["/spec/driver", "/spec/executor"],
        ),
        // The submitter of a RayJob and the leader of a LeaderWorkerSet need not be described.
        (
            json!({"apiVersion": "ray.io/v1", "kind": "RayJob",
                   "spec": {"submitterPodTemplate": null, "rayClusterSpec": {"headGroupSpec": {"template": pod()}, "workerGroupSpecs": []}}}),
            vec!["/spec/rayClusterSpec/headGroupSpec/template"],
        ),
        (
            json!({"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "spec": {"leaderWorkerTemplate": {"workerTemplate": pod()}}}),
            vec!["/spec/leaderWorkerTemplate/workerTemplate"],
        ),
        // The metadata for all pods of a workflow is made; what a step says itself would win, so it is set too.
        (
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
                   "spec": {"templates": [{"name": "a"}, {"name": "b", "metadata": {"annotations": {"flyte.secrets/s0": "stale"}}}]}}),
            vec!["/spec/podMetadata", "/spec/templates/1/metadata"],
        ),
        (
            json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "spec": {"taskManager": {"podTemplate": {}}}}),
            vec!["/spec/podTemplate", "/spec/taskManager/podTemplate"],
        ),
        (
            json!({"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "spec": {"podTemplateOverrides": [{"targetJobs": [{"name": "node"}]}]}}),
            vec!["/spec/podTemplateOverrides/0"],
        ),
        (
            json!({"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "spec": {"runtimePatches": [{"manager": "a.b/c"}]}}),
            vec!["/spec/runtimePatches/1/trainingRuntimeSpec/template/spec/replicatedJobs/0/template/spec/template"],
        ),
    ] {
        let mut after = object.clone();
        assert_eq!(places(&mut after), expected, "{object}");
    }
}

#[test]
fn kinds_are_told_apart_by_their_group() {
    let object = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind});
    for (api_version, kind, group) in [
        ("batch/v1", "Job", Some("batch")),
        ("batch.volcano.sh/v1alpha1", "Job", Some("batch.volcano.sh")),
        ("serving.knative.dev/v1", "Service", Some("serving.knative.dev")),
        ("v1", "Service", None),
        ("extensions/v1beta1", "Deployment", Some("apps")),
        ("example.com/v1", "Deployment", None),
        ("argoproj.io/v1alpha1", "Pod", None),
    ] {
        assert_eq!(Kind::of(&object(api_version, kind)).map(|row| row.group), group, "{api_version} {kind}");
    }
    assert_eq!(Kind::of(&json!({"kind": "Deployment"})).map(|row| row.group), Some("apps"));
}

#[test]
fn a_set_of_requests_replaces_another_as_a_whole_and_leaves_the_rest() {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "p",
        "labels": {"project": "old", "app": "a"},
        "annotations": {"flyte.secrets/s1": "stale", "first": "1", "flyte.secrets/s0": "stale", "flyte.secrets/t": "other"},
    }});
    let wanted = asking().and(metadata(&[("project", "new")], &[]));
    propagate(&mut pod, &wanted, &[]).unwrap();
    let expected = r#"{"name":"p","labels":{"project":"new","app":"a","inject-flyte-secrets":"true"},"annotations":{"first":"1","flyte.secrets/s0":"nnsxsoraejwxsx2lmv3secq","flyte.secrets/t":"other"}}"#;
    assert_eq!(pod["metadata"].to_string(), expected);
}

#[test]
fn requests_stay_where_only_other_metadata_is_put() {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"annotations": {"flyte.secrets/s1": "kept"}}});
    propagate(&mut pod, &metadata(&[("a", "b")], &[("c", "d")]), &[]).unwrap();
    assert_eq!(pod["metadata"], json!({"annotations": {"flyte.secrets/s1": "kept", "c": "d"}, "labels": {"a": "b"}}));
}

#[test]
fn what_asks_always_carries_the_label() {
    assert_eq!(asking().labels[LABEL], LABEL_VALUE);
    assert!(metadata(&[], &[]).and(metadata(&[], &[("flyte.secrets/s0", "")])).labels.contains_key(LABEL));
    assert!(!metadata(&[], &[]).and(metadata(&[], &[("a", "")])).labels.contains_key(LABEL));
}

#[test]
fn the_requests_of_an_object_are_read_off_it_or_off_its_pods() {
    let own = json!({"labels": {"project": "p", "app": "a"}, "annotations": {"flyte.secrets/s0": "x", "other": "y"}});
    let expected = Some(metadata(&[("project", "p"), (LABEL, "true")], &[("flyte.secrets/s0", "x")]));
    assert_eq!(PodMetadata::of(&json!({"kind": "Anything", "metadata": own})), expected);
    assert_eq!(
        PodMetadata::of(&json!({"kind": "Job", "metadata": {}, "spec": {"template": {"metadata": own}}})),
        expected
    );
    let spark =
        json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {"executor": own}});
    assert_eq!(PodMetadata::of(&spark), expected);
    assert_eq!(PodMetadata::of(&json!({"kind": "Pod", "metadata": {"labels": {LABEL: "true"}}})), None);
    assert_eq!(PodMetadata::of(&json!(["no object"])), None);
}

#[test]
fn an_unknown_kind_is_served_by_path_and_else_an_error() {
    let object = json!({"apiVersion": "example.com/v1", "kind": "Crew", "spec": {"members": {"a": {"pod": {}}, "b": {"pod": {}}}}});
    let mut after = object.clone();
    let error = propagate(&mut after, &asking(), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Crew of example.com/v1 is not a kind whose pods are known; name the paths of its pod templates"
    );
    let more = [Place::template("spec.members.*.pod").unwrap(), Place::metadata("spec.podLabels").unwrap()];
    let places = propagate(&mut after, &asking(), &more).unwrap();
    assert_eq!(places, ["/spec/members/a/pod", "/spec/members/b/pod", "/spec/podLabels"]);
    assert!(carries(&after["spec"]["podLabels"], &asking()));
    assert!(carries(&after["spec"]["members"]["b"]["pod"]["metadata"], &asking()));
}

#[test]
fn an_object_without_a_pod_template_is_an_error_that_says_where_one_was_looked_for() {
    let mut ray = json!({"apiVersion": "ray.io/v1", "kind": "RayService", "spec": {"rayClusterConfig": {}}});
    let error = propagate(&mut ray, &asking(), &[]).unwrap_err();
    let expected = "RayService has no pod template; looked for spec.rayClusterConfig.headGroupSpec.template, \
                    spec.rayClusterConfig.workerGroupSpecs[].template";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_has_another_type_is_named_and_the_object_stays_as_it_was() {
    for (object, pointer) in [
        (json!({"kind": "Job", "spec": {"template": "x"}}), "/spec/template"),
        (json!({"kind": "Job", "spec": {"template": {"metadata": 1}}}), "/spec/template/metadata"),
        (json!({"kind": "Job", "spec": {"template": {"metadata": {"labels": []}}}}), "/spec/template/metadata/labels"),
        (json!({"kind": "Job", "spec": []}), "/spec"),
    ] {
        let mut after = object.clone();
        let error = propagate(&mut after, &asking(), &[]).unwrap_err();
        assert_eq!(error, PropagateError::NotAnObject(NotAnObject { pointer: pointer.to_owned() }));
        assert_eq!(after, object);
    }
}

#[test]
fn only_whole_templates_are_pods_for_inject() {
    let spark = json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication",
                       "spec": {"driver": {"annotations": {"flyte.secrets/s0": ""}}, "executor": {}}});
    assert_eq!(pod_templates(&spark), Vec::<String>::new());
    assert!(asks_elsewhere(&spark));
    let dask = json!({"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster",
                      "spec": {"scheduler": {"metadata": {"annotations": {"flyte.secrets/s0": ""}}, "spec": {}}, "worker": {"spec": {}}}});
    assert_eq!(pod_templates(&dask), ["/spec/scheduler", "/spec/worker"]);
    assert!(!asks_elsewhere(&dask));
}

#[test]
fn paths_are_read_and_written_alike() {
    for text in ["", "spec", "spec.template", "a[].b", "a.*.b", "a[k=v.w/x].b", "a[][]", "*"] {
        assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
    }
}

#[test]
fn a_text_that_is_no_path_is_refused_with_the_reason() {
    for (text, problem) in [
        (".a", "a name is empty"),
        ("a.", "a name is empty"),
        ("a..b", "a name is empty"),
        ("a[", "a bracket is open"),
        ("a[0]", "brackets hold nothing or name=value"),
        ("a[=v]", "brackets hold nothing or name=value"),
        ("a[]b", "a dot is missing"),
        (&"a.".repeat(100), "it has too many steps"),
    ] {
        assert_eq!(text.parse::<Path>().unwrap_err().problem, problem, "{text}");
    }
}
