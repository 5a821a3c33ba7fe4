//! `exec` and `get` as tasks without an SDK use them: raw containers, whose pods have their secrets from the webhook.

use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::harness::{Namespace, bed, eventually, request, task_pod};
use crate::support::helm::Helm;
use crate::support::image::{self, Image};
use crate::support::processes::processes;
use crate::support::tasks::called;

const RELEASE: &str = "raw";
/// A secret of the Embedded manager, with the hex MD5 of its id (made with md5sum), under which it is stored.
const ID: &str = "u__org__flyte__domain__development__project__flytesnacks__key__emb_token";
const STORED_AS: &str = "b8fd56f46117e722a3faedff38947ac4";
/// Where the container with a shell has the image's program.
const PROGRAM: &str = "/flyte-secrets/flyte-secrets";

/// What a task's author writes (the kubelet makes one dollar sign of two), and what becomes of it. At the end it waits, so that
/// it can be looked at.
const SCRIPT: &str = r#"
fs=/flyte-secrets/flyte-secrets
$fs exec --secret db/password=PASSWORD --secret db/cert:file=CERT --secret emb_token=TOKEN -- sh -c '
  fs=/flyte-secrets/flyte-secrets
  echo "get $($fs get db password), $($fs get db cert), $($fs get "" emb_token)"
  echo "own names $PASSWORD, $(cat "$CERT"), $TOKEN"
  echo "core $(ulimit -c)"
  exit 7'
echo "ended $?"
ls /dev/shm # nothing is left there
$fs get db nothing 2>/dev/null; echo "not found $?"
$fs exec --secret db/nothing --strict -- true 2>/dev/null; echo "not served $?"
$fs exec --secret db/password -- /nothing 2>/dev/null; echo "no command $?"
$fs exec --secret db/password -- sh -c 'kill -9 $$$$' 2>/dev/null; echo "killed $?"
echo waiting
exec $fs exec --secret db/password=PASSWORD --secret db/cert:file=CERT --secret emb_token -- tail -f /dev/null
"#;
const PRINTED: &str = "\
get planted password, planted certificate, planted token
own names planted password, planted certificate, planted token
core 0
ended 7
not found 6
not served 125
no command 127
killed 137
waiting
";

#[tokio::test]
async fn a_raw_container_gets_its_secrets_by_exec_and_get() {
    image::on_the_node().await;
    let home = bed().namespace(RELEASE).await;
    let tasks = bed().namespace("raw-tasks").await;
    let secret = json!({
        "metadata": {"name": "db"},
        "stringData": {"password": "planted password", "cert": "planted certificate\n"},
    });
    tasks.api.create(&tasks.path("secrets"), &secret).await.unwrap();
    let secret = json!({"metadata": {"name": STORED_AS}, "stringData": {ID: "planted token"}});
    home.api.create(&home.path("secrets"), &secret).await.unwrap();
    let helm = Helm::new();
    helm.install(RELEASE, &home.name, &values(&home, &tasks)).await.unwrap();
    called(&tasks).await;

    the_image_alone_runs_itself(&tasks).await;
    a_container_with_a_shell_has_names_values_and_codes(&tasks).await;
    helm.uninstall(RELEASE, &home.name).await.unwrap();
}

fn values(home: &Namespace, tasks: &Namespace) -> Value {
    json!({
        "image": {"repository": "localhost/flyte-secrets", "tag": "test", "pullPolicy": "Never"},
        "fullnameOverride": RELEASE, "replicas": 1,
        "config": {"webhook": {
            "secretManagerTypes": ["Embedded", "K8s"],
            "embeddedSecretManagerConfig": {"type": "K8s", "k8sConfig": {"namespace": home.name}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tasks.name}},
            "accessPolicy": {"mode": "Off"},
        }},
    })
}

/// A pod with all three requests, of a user that is nobody, with nothing but what its container brings.
fn pod(name: &str, container: &Value) -> Value {
    let requests = [
        request(&[("group", "db"), ("key", "password"), ("mount_requirement", "ENV_VAR")]),
        request(&[("group", "db"), ("key", "cert"), ("mount_requirement", "FILE")]),
        request(&[("key", "emb_token"), ("mount_requirement", "ENV_VAR")]),
    ];
    let mut pod = task_pod(name, &requests);
    pod["spec"]["schedulerName"] = json!("default-scheduler");
    pod["spec"]["restartPolicy"] = json!("Never");
    pod["spec"]["terminationGracePeriodSeconds"] = json!(1);
    pod["spec"]["securityContext"] = json!({"runAsUser": 65532, "runAsGroup": 65532});
    pod["spec"]["containers"] = json!([container]);
    pod["spec"]["containers"][0]["name"] = json!("main");
    pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Never");
    pod["spec"]["containers"][0]["securityContext"] = json!({
        "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
    });
    pod
}

/// There is no shell and no other program in it.
async fn the_image_alone_runs_itself(tasks: &Namespace) {
    let questions = [
        ("password", vec!["--secret", "db/password"], vec!["db", "password"], "planted password"),
        ("certificate", vec!["--secret", "db/cert:file"], vec!["db", "cert", "--raw"], "planted certificate\n"),
        ("token", vec!["--secret", "emb_token"], vec!["", "emb_token"], "planted token"),
    ];
    for (name, secrets, get, expected) in questions {
        let exec = [&["/bin/flyte-secrets", "exec"], &secrets[..], &["--", "/bin/flyte-secrets", "get"], &get].concat();
        tasks.create_pod(&pod(name, &json!({"image": image::NAME, "command": exec}))).await.unwrap();
        let path = format!("{}/{name}", tasks.path("pods"));
        eventually("the end of the pod", 60, || async {
            let pod = tasks.api.get(&path).await.map_err(|failure| failure.message)?;
            let log = tasks.api.text(&format!("{path}/log")).await.unwrap_or_default();
            if pod["status"]["phase"] == "Succeeded" { Ok(()) } else { Err(format!("{}\n{log}", pod["status"])) }
        })
        .await;
        assert_eq!(tasks.api.text(&format!("{path}/log")).await.unwrap(), expected);
    }
}

async fn a_container_with_a_shell_has_names_values_and_codes(tasks: &Namespace) {
    let image = Image::unpack(&image::archive());
    let folder = tempfile::TempDir::with_prefix("fs-raw-").unwrap();
    std::fs::copy(image.root().join("bin/flyte-secrets"), folder.path().join("flyte-secrets")).unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mount = json!({"name": "program", "mountPath": "/flyte-secrets", "readOnly": true});
    let container = json!({"image": "localhost/busybox:1", "command": ["sh", "-c", SCRIPT], "volumeMounts": [mount]});
    let mut pod = pod("shell", &container);
    pod["spec"]["volumes"] = json!([{"name": "program", "hostPath": {"path": folder.path()}}]);
    tasks.create_pod(&pod).await.unwrap();
    let path = format!("{}/shell", tasks.path("pods"));
    let printed = eventually("the end of the script", 60, || async {
        let log = tasks.api.text(&format!("{path}/log")).await.map_err(|failure| failure.message)?;
        if log.ends_with("waiting\n") { Ok(log) } else { Err(log) }
    })
    .await;
    assert_eq!(printed, PRINTED);

    let pod = tasks.api.get(&path).await.unwrap();
    eventually("the command", 30, || async {
        if processes(&pod, "tail").is_empty() { Err("it has not started".to_owned()) } else { Ok(()) }
    })
    .await;
    nothing_is_in_the_process_list(&pod);
    tasks.api.delete(&format!("{path}?gracePeriodSeconds=0")).await.unwrap();
}

/// The node's own view, as root: `exec` and its command.
fn nothing_is_in_the_process_list(pod: &Value) {
    let [exec, command] = ["flyte-secrets", "tail"].map(|name| {
        let mut all = processes(pod, name);
        let lines: Vec<_> =
            all.iter().map(|one| (one.status("NSpid"), one.status("PPid"), one.command_line())).collect();
        assert_eq!(all.len(), 1, "{name}: {lines:?}");
        all.remove(0)
    });
    for process in [&exec, &command] {
        let line = process.command_line();
        assert!(!line.is_empty() && !line.contains("planted"), "{line}");
        let core = process.limit("Max core file size");
        assert_eq!(core, ["0", "0", "bytes"], "{line}");
        assert_eq!(process.status("Uid"), "65532 65532 65532 65532");
    }
    assert!(exec.command_line().starts_with(PROGRAM), "{}", exec.command_line());
    // proc(5): what belongs to a process that is not dumpable belongs to root, whatever its user.
    let owner = |id: u32| std::fs::metadata(format!("/proc/{id}/environ")).unwrap().uid();
    assert_eq!((owner(exec.id), owner(command.id)), (0, 65532));
}
