//! AdmissionReviews: what is read of them, and what stands in the answer.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use flyte_secrets_core::{Profile, Secret, SecretManagerType as Manager, Settings};
use flyte_secrets_stores::FailureClass;
use flyte_secrets_webhook::admission::Sources;
use flyte_secrets_webhook::server::{Outcome, Reviewed};
use serde_json::{Value, json};

use common::{
    FakeStore, Reply, apply, file, group_and_key, key, patch_of, pod, response, review_of, reviewed, settings, sources,
    text, variable,
};

fn k8s() -> Settings {
    settings(Profile::Flyte2, &[Manager::K8s])
}

fn asking() -> Value {
    review_of(&pod(&[group_and_key("g", "k")]))
}

async fn answered(review: &Value) -> Value {
    response(&k8s(), &Sources::default(), review).await
}

/// The sentence with which bytes that are no review are answered.
async fn turned_away(body: &[u8]) -> String {
    let Reviewed { status, outcome, body, .. } = reviewed(&k8s(), &Sources::default(), body).await;
    assert_eq!((status.as_u16(), outcome), (400, Outcome::Malformed));
    String::from_utf8(body).unwrap()
}

#[tokio::test]
async fn a_review_is_answered_in_its_version_and_for_its_uid() {
    for version in ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"] {
        let mut review = asking();
        review["apiVersion"] = json!(version);
        review["request"]["uid"] = json!("with \"quotes\" and ü");
        // `response` looks at both.
        assert_eq!(answered(&review).await["allowed"], true);
    }
}

#[tokio::test]
async fn what_is_no_review_of_these_versions_is_answered_with_a_sentence() {
    let table = [
        ("apiVersion", json!("admission.k8s.io/v2"), "apiVersion admission.k8s.io/v1 or admission.k8s.io/v1beta1"),
        ("apiVersion", json!(5), "apiVersion: a number stands where a string belongs"),
        ("kind", json!("Pod"), "kind must be AdmissionReview"),
        ("request", json!(null), "it has no request"),
        ("request", json!("hunter2"), "request: a string stands where an object belongs"),
    ];
    for (member, value, told) in table {
        let mut review = asking();
        review[member] = value;
        let sentence = turned_away(&serde_json::to_vec(&review).unwrap()).await;
        assert!(sentence.starts_with("this is no AdmissionReview: ") && sentence.contains(told), "{sentence}");
        assert!(!sentence.contains("hunter2"));
    }
}

#[tokio::test]
async fn what_is_no_json_is_answered_with_its_place() {
    for (body, told) in [
        (&b""[..], "EOF while parsing a value at line 1 column 0"),
        (b"{", "EOF while parsing an object"),
        (b"\xff\xfe", "expected value at line 1 column 1"),
        (b"[]", "a list stands where an object belongs"),
        (b"{}", "missing field `apiVersion`"),
    ] {
        let sentence = turned_away(body).await;
        assert!(sentence.contains(told), "{sentence}");
    }
}

#[tokio::test]
async fn what_creates_no_pod_passes_unchanged() {
    let table = [
        ("/request/operation", json!("UPDATE")),
        ("/request/operation", json!("DELETE")),
        ("/request/operation", json!("CONNECT")),
        ("/request/resource/resource", json!("deployments")),
        ("/request/resource/group", json!("pods.example.org")),
        ("/request/subResource", json!("ephemeralcontainers")),
        ("/request/subResource", json!("exec")),
        ("/request/object", json!(null)),
    ];
    for (member, value) in table {
        let mut review = asking();
        review["request"]["subResource"] = json!("");
        *review.pointer_mut(member).unwrap() = value.clone();
        let mut strange = review.clone();
        if member != "/request/object" {
            strange["request"]["object"] = json!({"metadata": "of no pod", "spec": 5});
        }
        for review in [review, strange] {
            let answer = answered(&review).await;
            assert_eq!(answer, json!({"uid": review["request"]["uid"], "allowed": true}), "{member} {value}");
        }
    }
}

#[tokio::test]
async fn a_dry_run_has_the_same_answer() {
    let mut review = asking();
    let real = answered(&review).await;
    review["request"]["dryRun"] = json!(true);
    assert_eq!(answered(&review).await, real);
    let body = serde_json::to_vec(&review).unwrap();
    assert!(reviewed(&k8s(), &Sources::default(), &body).await.dry_run);
}

#[tokio::test]
async fn the_namespace_of_the_review_counts_and_not_that_of_the_pod() {
    let mut settings = k8s();
    settings.protected.deny = vec!["forbidden/*".to_owned()];
    for (of_review, of_pod, allowed) in [
        (json!("fine"), json!("forbidden"), true),
        (json!("forbidden"), json!("fine"), false),
        (json!(""), json!("forbidden"), false),
        (json!(null), json!("forbidden"), false),
    ] {
        let mut review = asking();
        review["request"]["namespace"] = of_review;
        review["request"]["object"]["metadata"]["namespace"] = of_pod;
        assert_eq!(response(&settings, &Sources::default(), &review).await["allowed"], allowed);
    }
}

#[tokio::test]
async fn the_patch_applies_and_a_second_pass_finds_everything_there() {
    let mut review = asking();
    let answer = answered(&review).await;
    let members: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(members, ["uid", "allowed", "patchType", "patch", "auditAnnotations"], "no status where allowed");
    review["request"]["object"] = apply(&patch_of(&answer), &review["request"]["object"]);
    let again = answered(&review).await;
    assert_eq!(again, json!({"uid": review["request"]["uid"], "allowed": true}));
}

#[tokio::test]
async fn a_refusal_has_a_code_a_reason_and_a_message_and_nothing_else() {
    let store = FakeStore::new([("down", Reply::Fails(FailureClass::Unavailable, "because"))]);
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    for (name, code, reason) in [("missing", 400, "BadRequest"), ("down", 503, "ServiceUnavailable")] {
        let answer = response(&settings, &sources(&store), &review_of(&pod(&[key(name)]))).await;
        assert_eq!(answer["allowed"], false);
        let status = answer["status"].as_object().unwrap();
        assert_eq!(status.keys().collect::<Vec<_>>(), ["code", "reason", "message"]);
        assert_eq!((&status["code"], &status["reason"]), (&json!(code), &json!(reason)));
        assert!(status["message"].as_str().unwrap().starts_with("none of the secret managers injected secret ["));
        assert!(answer.get("patch").is_none() && answer.get("auditAnnotations").is_none());
    }
}

#[tokio::test]
async fn a_member_of_the_pod_with_the_wrong_type_is_named() {
    let table = [
        ("/metadata", json!("x"), "request.object.metadata: a string stands where an object belongs"),
        ("/metadata/labels", json!([]), "request.object.metadata.labels: a list stands where an object belongs"),
        ("/metadata/annotations/flyte.secrets~1s0", json!(5), "request.object.metadata.annotations.flyte.secrets/s0: "),
        ("/metadata/name", json!({}), "request.object.metadata.name: an object stands where a string belongs"),
        ("/spec", json!([]), "request.object.spec: a list stands where an object belongs"),
        ("/spec/containers", json!({}), "request.object.spec.containers: an object stands where a list belongs"),
        ("/spec/containers/0", json!("x"), "request.object.spec.containers[0]: a string stands where"),
        (
            "/spec/containers/0/env",
            json!("hunter2"),
            "request.object.spec.containers[0].env: a string stands where a list",
        ),
        (
            "/spec/containers/0/env/0/value",
            json!(12),
            "request.object.spec.containers[0].env[0].value: a number stands",
        ),
    ];
    for (member, value, told) in table {
        let mut review = asking();
        *review["request"]["object"].pointer_mut(member).unwrap() = value;
        let answer = answered(&review).await;
        let (status, message) = (&answer["status"], answer["status"]["message"].as_str().unwrap());
        assert_eq!((&answer["allowed"], &status["code"]), (&json!(false), &json!(400)), "{message}");
        assert!(message.contains(told), "{told}\nis not in\n{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn members_that_nobody_knows_yet_are_nobodys_business() {
    let mut review = asking();
    review["request"]["object"]["spec"]["newInKubernetes2030"] = json!({"containers": 5});
    review["request"]["object"]["spec"]["containers"][0]["newToo"] = json!([[["x"]]]);
    review["request"]["newInTheReview"] = json!({"a": 1});
    review["newBesideIt"] = json!(1);
    let answer = answered(&review).await;
    let patched = apply(&patch_of(&answer), &review["request"]["object"]);
    assert_eq!(patched["spec"]["newInKubernetes2030"], json!({"containers": 5}));
}

#[tokio::test]
async fn members_that_are_null_are_members_that_are_not_there() {
    let mut review = asking();
    for member in ["volumes", "initContainers", "imagePullSecrets"] {
        review["request"]["object"]["spec"][member] = json!(null);
    }
    for member in ["env", "volumeMounts", "command", "restartPolicy"] {
        review["request"]["object"]["spec"]["containers"][0][member] = json!(null);
    }
    let answer = answered(&review).await;
    let patched = apply(&patch_of(&answer), &review["request"]["object"]);
    assert_eq!(patched["spec"]["volumes"].as_array().unwrap().len(), 1);
    assert_eq!(variable(&patched, "FLYTE_SECRETS_DEFAULT_DIR"), Some("/etc/flyte/secrets"));
}

#[tokio::test]
async fn warnings_are_single_printable_lines_and_few() {
    let store = FakeStore::new([("a", text("1")), ("b", text("2"))]);
    let embedded = settings(Profile::Flyte2, &[Manager::Embedded]);
    // Every second one collides with the one before.
    let request = |number: usize| Secret { env_var: format!("V{}", number / 2), ..key(["a", "b"][number % 2]) };
    let many: Vec<Secret> = (0..400).map(request).collect();
    let answer = response(&embedded, &sources(&store), &review_of(&pod(&many))).await;
    check_warnings(&answer);
    assert!(answer["warnings"].as_array().unwrap().last().unwrap().as_str().unwrap().ends_with("more warnings"));

    let mut flyte1 = settings(Profile::Flyte1, &[Manager::K8s]);
    flyte1.managers.push(Manager::Aws);
    let long = key(&format!("a\n\u{1b}[31m{}", "ü".repeat(3000)));
    let answer = response(&flyte1, &Sources::default(), &review_of(&pod(&[long]))).await;
    check_warnings(&answer);
    assert_eq!(answer["allowed"], true);
    assert_eq!(answer["auditAnnotations"], json!({"unserved": "true"}));
}

/// The API server shows 4 KiB of them, and none with control characters.
fn check_warnings(answer: &Value) {
    let warnings: Vec<&str> = answer["warnings"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(!warnings.is_empty());
    assert!(warnings.iter().map(|one| one.len()).sum::<usize>() <= 4096, "{warnings:?}");
    assert!(!warnings.iter().any(|one| one.is_empty() || one.chars().any(char::is_control)), "{warnings:?}");
}

#[tokio::test]
async fn audit_annotations_say_who_served_what_in_names_alone() {
    let store = FakeStore::new([("a", text("hunter2"))]);
    let both = settings(Profile::Flyte2, &[Manager::Embedded, Manager::K8s]);
    let answer = response(&both, &sources(&store), &review_of(&pod(&[key("a"), group_and_key("g", "k")]))).await;
    let annotations: BTreeMap<String, String> = serde_json::from_value(answer["auditAnnotations"].clone()).unwrap();
    assert_eq!(annotations, BTreeMap::from([("served-by".to_owned(), "s0=Embedded,s1=K8s".to_owned())]));
}

#[tokio::test]
async fn audit_annotations_are_bounded() {
    let mut review = asking();
    let value = review["request"]["object"]["metadata"]["annotations"]["flyte.secrets/s0"].clone();
    let many: Vec<Secret> = (0..1000).map(|number| group_and_key("g", &format!("k{number}"))).collect();
    let mut annotations = pod(&many)["metadata"]["annotations"].take();
    annotations[format!("flyte.secrets/s\n{}", "x".repeat(100_000))] = value;
    review["request"]["object"]["metadata"]["annotations"] = annotations;
    let answer = answered(&review).await;
    let served = answer["auditAnnotations"]["served-by"].as_str().unwrap();
    assert!(served.len() <= 8200 && !served.contains('\n'), "{} bytes", served.len());
}

#[tokio::test]
async fn what_is_logged_and_counted_is_told_beside_the_answer() {
    let store = FakeStore::new([("a", text("value"))]);
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let mut review = review_of(&pod(&[key("a")]));
    review["request"]["name"] = json!("");
    review["request"]["object"]["metadata"]["generateName"] = json!("task-");
    let told = reviewed(&settings, &sources(&store), &serde_json::to_vec(&review).unwrap()).await;
    assert_eq!((told.outcome, told.managers.as_slice()), (Outcome::Patched, &["Embedded"][..]));
    assert_eq!((&*told.namespace, &*told.pod, told.reason), ("development", "task-", None));
    assert_eq!(told.uid, review["request"]["uid"]);

    let refused = review_of(&pod(&[key("b")]));
    let told = reviewed(&settings, &sources(&store), &serde_json::to_vec(&refused).unwrap()).await;
    assert_eq!((told.outcome, told.managers.len(), &*told.pod), (Outcome::Refused400, 0, "task-0"));
    assert!(told.reason.unwrap().starts_with("none of the secret managers"));
}

#[tokio::test]
async fn a_pod_of_three_megabytes_is_read_patched_and_read_again() {
    let store = FakeStore::new([("a", text("value"))]);
    let settings = settings(Profile::Flyte2, &[Manager::Embedded]);
    let mut review = review_of(&pod(&[key("a"), file("a")]));
    let object = &mut review["request"]["object"];
    object["metadata"]["annotations"]["notes"] = json!("x\n\"y\" ü ".repeat(120_000));
    object["spec"]["containers"][0]["args"] = vec!["--flag={\"a\": [1, 2, 3]}"; 40_000].into();
    object["spec"]["containers"][0]["env"] =
        (0..20_000).map(|n| json!({"name": format!("V{n}"), "value": "{}"})).collect();
    assert!(serde_json::to_vec(&review).unwrap().len() > 3_000_000);
    let answer = response(&settings, &sources(&store), &review).await;
    let patch = patch_of(&answer);
    assert!(patch.len() < 10_000, "only what is new stands in the patch: {} bytes", patch.len());
    let patched = apply(&patch, &review["request"]["object"]);
    assert_eq!(patched["metadata"]["annotations"], review["request"]["object"]["metadata"]["annotations"]);
    assert_eq!(variable(&patched, "_UNION_A"), Some("value"));
    review["request"]["object"] = patched;
    assert!(response(&settings, &sources(&store), &review).await.get("patch").is_none());
}

#[tokio::test]
async fn what_is_told_of_a_review_are_names_and_times() {
    let store =
        FakeStore::new([("found", text("hunter2")), ("down", Reply::Fails(FailureClass::Unavailable, "because"))]);
    let settings = settings(Profile::Flyte2, &[Manager::K8s, Manager::Embedded]);
    let mut pod = pod(&[group_and_key("g", "k"), key("found")]);
    pod["metadata"]["name"] = json!("");
    pod["metadata"]["generateName"] = json!("task-");
    let owner = |kind: &str, controller| json!({"apiVersion": "batch/v1", "kind": kind, "name": "j", "uid": "u", "controller": controller});
    pod["metadata"]["ownerReferences"] = json!([owner("Other", false), owner("Job", true)]);
    let mut review = review_of(&pod);
    review["request"]["name"] = json!("");

    let told = reviewed(&settings, &sources(&store), &serde_json::to_vec(&review).unwrap()).await;
    assert_eq!((told.pod.as_str(), told.outcome), ("task-", Outcome::Patched));
    let details = told.details;
    assert_eq!(details.generate_name, "task-");
    assert_eq!(details.owner.as_ref().map(|owner| owner.kind.as_str()), Some("Job"));
    assert_eq!(details.creator, "system:serviceaccount:flyte:flyteworkflow");
    assert_eq!(details.requests, r#"s0: group:"g" key:"k", s1: key:"found""#);
    assert!(details.look_up > std::time::Duration::ZERO);
    assert_eq!(details.refusal, None);
    assert!(!format!("{details:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_refusal_has_a_reason_in_a_word() {
    use flyte_secrets_webhook::admission::RefusalReason;
    let store = FakeStore::new([("down", Reply::Fails(FailureClass::Unavailable, "because"))]);
    let embedded = settings(Profile::Flyte2, &[Manager::Embedded]);
    let mut closed = embedded.clone();
    closed.access.mode = flyte_secrets_core::settings::AccessMode::Enforce;
    closed.access.organizations = vec!["another".to_owned()];
    let mut undecodable = pod(&[]);
    undecodable["metadata"]["annotations"] = json!({"flyte.secrets/s0": "!"});
    let mut strange = pod(&[key("down")]);
    strange["spec"] = json!(5);
    let table = [
        (embedded.clone(), pod(&[key("missing")]), RefusalReason::Unserved),
        (embedded.clone(), pod(&[key("down")]), RefusalReason::Unavailable),
        (closed, pod(&[key("down")]), RefusalReason::AccessPolicy),
        (embedded.clone(), undecodable, RefusalReason::Undecodable),
        (embedded, strange, RefusalReason::Malformed),
    ];
    for (settings, pod, expected) in table {
        let review = review_of(&pod);
        let told = reviewed(&settings, &sources(&store), &serde_json::to_vec(&review).unwrap()).await;
        assert_eq!((told.details.refusal, told.outcome.is_refusal()), (Some(expected), true), "{:?}", told.reason);
    }
}
