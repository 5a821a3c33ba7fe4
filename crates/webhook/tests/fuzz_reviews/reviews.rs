//! Reviews of pods in which much of what injection has to be careful about is there already.

use serde_json::{Map, Value, json};

use crate::random::Random;
use crate::requests;

pub fn review(random: &mut Random) -> Value {
    let version = random.pick(&["admission.k8s.io/v1", "admission.k8s.io/v1beta1"]);
    json!({
        "kind": "AdmissionReview",
        "apiVersion": version,
        "request": {
            "uid": format!("uid-{}", random.next()),
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": random.pick(&["", "task-0"]),
            "namespace": random.pick(&["development", "flyte", ""]),
            "operation": if random.once_in(50) { "UPDATE" } else { "CREATE" },
            "object": pod(random),
            "oldObject": null,
            "dryRun": random.once_in(4),
        },
    })
}

fn pod(random: &mut Random) -> Value {
    let mut annotations = Map::new();
    annotations.insert("notes".to_owned(), json!("not a request"));
    let count = if random.once_in(300) { 200 } else { random.below(6) };
    let all_fail = random.once_in(20);
    for number in 0..count {
        let value = if all_fail { requests::down() } else { requests::value(random) };
        annotations.insert(requests::annotation(random, number), json!(value));
    }
    if random.once_in(10) {
        annotations.insert("vault.hashicorp.com/role".to_owned(), json!("mine"));
    }
    let mut spec = json!({
        "containers": list(random, 1, container),
        "volumes": list(random, 0, volume),
        "futureField": {"quantity": "1000m"},
    });
    if random.once_in(2) {
        spec["initContainers"] = list(random, 0, init_container);
    }
    if random.once_in(4) {
        spec["imagePullSecrets"] = json!([{"name": "z"}, {"name": "a"}]);
    }
    json!({
        "metadata": {
            "name": "task-0", "namespace": "development", "creationTimestamp": null,
            "labels": {
                "inject-flyte-secrets": "true", "organization": "flyte", "domain": "development",
                "project": random.pick(&["flytesnacks", "flytesnacks", "flytesnacks", "", "a__b"]),
            },
            "annotations": annotations,
        },
        "spec": spec,
    })
}

fn list(random: &mut Random, least: usize, one: fn(&mut Random) -> Value) -> Value {
    let count = least + random.below(3);
    (0..count).map(|_| one(random)).collect()
}

fn container(random: &mut Random) -> Value {
    let mut container = json!({"name": random.pick(&["main", "side"]), "image": "task:1"});
    if random.once_in(2) {
        container["env"] = list(random, 0, variable);
    }
    if random.once_in(2) {
        container["volumeMounts"] = list(random, 0, mount);
    }
    container
}

fn init_container(random: &mut Random) -> Value {
    let mut init = container(random);
    if random.once_in(2) {
        init["name"] = json!(random.pick(&[
            "aws-pull-secret-0",
            "aws-pull-secret-1",
            "gcp-pull-secret-0",
            "init-embedded-secret"
        ]));
    }
    if random.once_in(3) {
        init["restartPolicy"] = json!("Always");
    }
    if random.once_in(3) {
        init["command"] = json!(["sh", "-ec", "true"]);
    }
    init
}

fn variable(random: &mut Random) -> Value {
    let name = random.pick(&[
        "MINE",
        "TOKEN",
        "_UNION_A",
        "_UNION_A_B",
        "FLYTE_SECRETS_ENV_PREFIX",
        "FLYTE_SECRETS_DEFAULT_DIR",
        "SECRETS",
    ]);
    match random.below(3) {
        0 => json!({"name": name}),
        1 => json!({"name": name, "value": random.pick(&["1", "_UNION_", "/etc/flyte/secrets", "$(OTHER)"])}),
        _ => {
            json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "a", "key": "b", "optional": random.once_in(2)}}})
        }
    }
}

fn mount(random: &mut Random) -> Value {
    json!({"name": volume_name(random), "mountPath": random.pick(&["/data", "/etc/flyte/secrets", "/etc/flyte/secrets/a"])})
}

fn volume(random: &mut Random) -> Value {
    let name = volume_name(random);
    match random.below(4) {
        0 => json!({"name": name, "emptyDir": {}}),
        1 => json!({"name": name, "secret": {"secretName": random.pick(&["a", "b"])}}),
        2 => {
            json!({"name": name, "secret": {"secretName": random.pick(&["a", "b"]), "items": [{"key": "b", "path": "b"}]}})
        }
        _ => json!({"name": name, "secret": null, "csi": {"driver": "x"}}),
    }
}

fn volume_name(random: &mut Random) -> &'static str {
    // The second ones are those of the Secrets "a" and "b" without a version.
    random.pick(&[
        "data",
        "mfpq",
        "mjpq",
        "aws-secret-vol",
        "gcp-secret-vol",
        "azure-secret-vol",
        "embedded-secret-vol",
    ])
}
