//! What one pod may cost.

use std::fs;

use flyte_secrets_core::{MountRequirement, Profile, Secret, SecretManagerType as Manager};
use flyte_secrets_webhook::admission::{Admission, Code, Decision, Outcome, Sources};
use serde_json::json;

use crate::common::{FakeStore, Reply, decide, file, group_and_key, key, patched, pod, refusal, settings, sources};

fn served_by(admission: &Admission) -> Vec<Option<Manager>> {
    admission.handled.iter().map(|one| one.served.as_ref().map(|(manager, _)| *manager)).collect()
}

#[tokio::test]
async fn the_file_that_would_go_over_128_kib_is_declined_there_and_passed_on() {
    let settings = settings(Profile::Flyte2, &[Manager::Embedded, Manager::K8s]);
    let half = Reply::Binary(vec![0; 48 * 1024]); // 64 KiB in base64
    let store = FakeStore::new([("a", half.clone()), ("b", half), ("c", Reply::Binary(vec![0; 1000]))]);
    let pod = pod(&[file("a"), file("b"), file("c")]);
    let admission = decide(&settings, &sources(&store), &pod).await;
    assert_eq!(served_by(&admission), [Some(Manager::Embedded), Some(Manager::K8s), Some(Manager::Embedded)]);
    let Outcome::Declines(reason) = &admission.handled[1].attempts[0].outcome else { panic!("{admission:?}") };
    assert!(reason.contains("over 128 KiB in all") && reason.contains("ask for fewer or smaller files"), "{reason}");
    let patched = patched(&admission, &pod);
    let content = patched["spec"]["initContainers"][0]["env"].as_array().unwrap();
    let content = content.iter().find(|variable| variable["name"] == "SECRETS").unwrap()["value"].as_str().unwrap();
    assert!(content.contains("a=") && !content.contains("b=") && content.len() < 128 * 1024);
}

#[tokio::test]
async fn a_file_over_128_kib_that_nobody_else_takes_is_refused_with_the_way_out() {
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let store = FakeStore::new([("a", Reply::Binary(vec![0; 128 * 1024]))]);
    let admission = decide(&settings, &sources(&store), &pod(&[file("a")])).await;
    assert_eq!(refusal(&admission).code, Code::BadRequest);
    assert!(refusal(&admission).message.contains("keep large ones in a Kubernetes Secret for the K8s manager"));
}

#[tokio::test]
async fn one_large_value_that_is_asked_for_many_times_does_not_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("g")).unwrap();
    fs::write(folder.path().join("g/k"), vec![b'a'; 1 << 20]).unwrap();
    let mut settings = settings(Profile::Flyte2, &[Manager::Global]);
    settings.global.secrets_prefix = folder.path().to_path_buf();
    let version = |number: usize| Secret { group_version: format!("v{number}"), ..group_and_key("g", "k") };
    let requests: Vec<Secret> = (0..100).map(version).collect();
    let admission = decide(&settings, &Sources::default(), &pod(&requests)).await;
    assert_eq!(refusal(&admission).code, Code::BadRequest);
    assert!(refusal(&admission).message.contains("over 3 MiB in all"), "{}", refusal(&admission).message);
}

#[tokio::test]
async fn what_would_make_the_pod_larger_than_kubernetes_takes_it_is_refused() {
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let store = FakeStore::new([("a", Reply::Text("a".repeat(1 << 20)))]);
    for (containers, fits) in [(2, true), (3, false)] {
        let mut pod = pod(&[key("a")]);
        pod["spec"]["containers"] = vec![json!({"name": "main"}); containers].into();
        let admission = decide(&settings, &sources(&store), &pod).await;
        if fits {
            assert!(matches!(admission.decision, Decision::Patched(_)));
        } else {
            assert_eq!(refusal(&admission).code, Code::BadRequest);
            assert!(refusal(&admission).message.contains("3145728 are allowed"), "{}", refusal(&admission).message);
        }
    }
}

#[tokio::test]
async fn a_thousand_requests_for_a_pod_of_fifty_containers_are_served() {
    let settings = settings(Profile::Flyte2, &[Manager::K8s]);
    let request = |number: usize| Secret {
        mount_requirement: MountRequirement::ENV_VAR,
        ..group_and_key("g", &format!("k{number}"))
    };
    let mut pod = pod(&(0..1000).map(request).collect::<Vec<_>>());
    pod["spec"]["containers"] = vec![json!({"name": "main"}); 50].into();
    let admission = decide(&settings, &Sources::default(), &pod).await;
    assert_eq!(patched(&admission, &pod)["spec"]["containers"][49]["env"].as_array().unwrap().len(), 1001);
}

#[tokio::test]
async fn a_pod_with_more_members_than_any_pod_has_is_refused_and_without_requests_it_passes() {
    let settings = settings(Profile::Flyte2, &[Manager::K8s]);
    for (list, told) in [("containers", "containers"), ("initContainers", "init containers"), ("volumes", "volumes")] {
        let mut asking = pod(&[group_and_key("g", "k")]);
        asking["spec"][list] = vec![json!({}); 10_001].into();
        let admission = decide(&settings, &Sources::default(), &asking).await;
        assert_eq!(refusal(&admission).code, Code::BadRequest);
        assert!(refusal(&admission).message.ends_with(&format!("has more than 10000 {told}")));

        asking["metadata"]["annotations"] = json!({});
        let admission = decide(&settings, &Sources::default(), &asking).await;
        assert!(matches!(admission.decision, Decision::Unchanged));
    }
}

#[tokio::test]
async fn a_pod_without_a_spec_has_no_place_for_a_secret() {
    let settings = settings(Profile::Flyte2, &[Manager::K8s]);
    let mut pod = pod(&[group_and_key("g", "k")]);
    pod["spec"] = json!(null);
    let admission = decide(&settings, &Sources::default(), &pod).await;
    assert_eq!(refusal(&admission).code, Code::BadRequest);
    assert!(refusal(&admission).message.contains("has no spec"));
}
