use flyte_secrets_core::annotations::{PREFIX, base32_name};
use flyte_secrets_core::outline::PodOutline;
use flyte_secrets_core::settings::{CheckExists, OnManagerFailure};
use flyte_secrets_core::{Profile, Secret, SecretManagerType as Manager, Settings, text_format};
use serde_json::json;

use super::*;
use crate::admission::{Admission, Code, Creation, Decision, Sources, admit};
use crate::kubernetes::fake_api_server::FakeApiServer;

struct Bed {
    server: FakeApiServer,
    metrics: Metrics,
    sources: Sources,
    settings: Settings,
}

impl Bed {
    /// The namespace `ns` has the Secret `db` with the keys `user` and `password`, the K8s manager is the only one.
    fn new(check_exists: CheckExists) -> Self {
        let (server, metrics) = (FakeApiServer::default(), Metrics::new(""));
        let data = json!({"data": {"user": "cGxhbnRlZA==", "password": "cGxhbnRlZA=="}});
        server.cluster().put_in("ns", "secrets", "db", data);
        let existing = Some(Arc::new(ExistingSecrets::new(server.client(), &metrics)));
        let sources = Sources { existing, ..Sources::default() };
        let settings = Settings { check_exists, managers: vec![Manager::K8s], ..Settings::defaults(Profile::Flyte2) };
        Self { server, metrics, sources, settings }
    }

    async fn admit(&self, requests: &[(&str, &str)]) -> Admission {
        let encoded = |(group, key): &(&str, &str)| {
            let secret = Secret { group: (*group).to_owned(), key: (*key).to_owned(), ..Secret::default() };
            base32_name(&text_format::write(&secret))
        };
        let annotations: serde_json::Map<_, _> =
            requests.iter().enumerate().map(|(n, one)| (format!("{PREFIX}{n}"), encoded(one).into())).collect();
        let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "main"}]}});
        let bytes = serde_json::to_vec(&pod).unwrap();
        let pod = PodOutline::parse(&bytes).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        admit(&self.settings, &self.sources, &pod, Creation { namespace: "ns", creator: "c" }, deadline).await
    }

    fn reads(&self) -> usize {
        self.server.cluster().count(&["get"], "secrets")
    }
}

/// What a refused pod is told, and its code.
fn refused(admission: &Admission) -> (Code, &str) {
    match &admission.decision {
        Decision::Refused(refusal) => (refusal.code, &refusal.message),
        other => panic!("not refused: {other:?}"),
    }
}

fn served(admission: &Admission) -> &[String] {
    assert!(matches!(admission.decision, Decision::Patched(_)), "{:?}", admission.decision);
    &admission.warnings
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_served_without_a_word() {
    for check in [CheckExists::Warn, CheckExists::Refuse] {
        let bed = Bed::new(check);
        assert_eq!(served(&bed.admit(&[("db", "user"), ("db", "password")]).await), &[] as &[String]);
        assert!(bed.metrics.text().contains(r#"k8s_secret_checks_total{result="found"} 2"#));
    }
}

#[tokio::test(start_paused = true)]
async fn off_asks_nobody() {
    let bed = Bed::new(CheckExists::Off);
    served(&bed.admit(&[("missing", "k")]).await);
    assert_eq!(bed.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn warn_serves_what_is_missing_and_says_so_for_each_request() {
    let bed = Bed::new(CheckExists::Warn);
    let admission = bed.admit(&[("db", "user"), ("db", "token"), ("cache", "k")]).await;
    let warnings = served(&admission);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, words) in warnings.iter().zip([
        ["flyte.secrets/s1", "K8s found no key \"token\" in the Secret \"db\" of the namespace \"ns\""],
        ["flyte.secrets/s2", "K8s found no Secret \"cache\" in the namespace \"ns\""],
    ]) {
        assert!(words.iter().all(|word| warning.contains(word)), "{warning}");
        assert!(!warning.contains("password"), "names of other keys are nobody's business: {warning}");
    }
    assert!(bed.metrics.text().contains(r#"k8s_secret_checks_total{result="missing"} 2"#));
}

#[tokio::test(start_paused = true)]
async fn refuse_declines_what_is_missing_and_says_what_to_do() {
    let bed = Bed::new(CheckExists::Refuse);
    for (request, words) in [
        (("cache", "k"), "K8s: found no Secret \"cache\" in the namespace \"ns\"; create it there with the key \"k\""),
        (("db", "token"), "K8s: found no key \"token\" in the Secret \"db\" of the namespace \"ns\"; add it there"),
    ] {
        let admission = bed.admit(&[request]).await;
        let (code, message) = refused(&admission);
        assert_eq!(code, Code::BadRequest);
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("password"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_refuse_the_next_manager_is_asked_for_what_is_missing() {
    let mut bed = Bed::new(CheckExists::Refuse);
    bed.settings.managers = vec![Manager::K8s, Manager::Aws];
    let admission = bed.admit(&[("cache", "k"), ("db", "user")]).await;
    served(&admission);
    let managers: Vec<_> = admission.handled.iter().map(|one| one.served.as_ref().unwrap().0).collect();
    assert_eq!(managers, [Manager::Aws, Manager::K8s]);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_warn_serves_and_refuse_answers_503() {
    type Break = fn(&FakeApiServer);
    let faults: [(Break, &str); 2] = [
        (|server| server.cluster().down = true, "503"),
        (
            |server| {
                server.cluster().forbidden.insert("get secrets");
            },
            "{apiGroups: [\"\"], resources: [\"secrets\"], verbs: [\"get\"]}",
        ),
    ];
    for (fault, word) in faults {
        let bed = Bed::new(CheckExists::Warn);
        fault(&bed.server);
        let admission = bed.admit(&[("db", "user")]).await;
        let warnings = served(&admission);
        assert!(warnings[0].contains("could not look") && warnings[0].contains(word), "{warnings:?}");
        assert!(bed.metrics.text().contains(r#"k8s_secret_checks_total{result="unknown"} 1"#));

        let bed = Bed::new(CheckExists::Refuse);
        fault(&bed.server);
        let admission = bed.admit(&[("db", "user")]).await;
        let (code, message) = refused(&admission);
        assert_eq!(code, Code::Unavailable);
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_on_manager_failure_next_a_look_without_an_answer_passes_the_request_on() {
    let mut bed = Bed::new(CheckExists::Refuse);
    bed.settings.managers = vec![Manager::K8s, Manager::Aws];
    bed.settings.on_manager_failure = OnManagerFailure::Next;
    bed.server.cluster().down = true;
    served(&bed.admit(&[("db", "user")]).await);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_is_waited_for_five_seconds_and_no_longer() {
    let bed = Bed::new(CheckExists::Warn);
    bed.server.cluster().latency = Some(Box::new(|| (Duration::from_secs(600), Duration::ZERO)));
    let begun = Instant::now();
    assert_eq!(served(&bed.admit(&[("db", "user"), ("db", "password"), ("cache", "k")]).await).len(), 3);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_read_once_for_all_requests_and_again_when_the_answer_is_old() {
    let bed = Bed::new(CheckExists::Warn);
    let found = [("db", "user"), ("db", "password")];
    bed.admit(&found).await;
    bed.admit(&found).await;
    assert_eq!(bed.reads(), 1);
    tokio::time::advance(FOUND).await;
    bed.admit(&found).await;
    assert_eq!(bed.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_missing_is_seen_three_seconds_after_it_was_made() {
    let bed = Bed::new(CheckExists::Warn);
    let wanted = [("db", "token")];
    assert_eq!(served(&bed.admit(&wanted).await).len(), 1);
    let data = json!({"data": {"user": "cGxhbnRlZA==", "token": "cGxhbnRlZA=="}});
    bed.server.cluster().put_in("ns", "secrets", "db", data);
    assert_eq!(served(&bed.admit(&wanted).await).len(), 1);
    tokio::time::advance(MISSING).await;
    assert_eq!(served(&bed.admit(&wanted).await), &[] as &[String]);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_secret_can_have_is_missing_and_never_part_of_a_request() {
    let bed = Bed::new(CheckExists::Refuse);
    for group in ["db/../../../other/secrets/db", "db?watch=true", "DB", "-db", "d b", &"a".repeat(254)] {
        let existing = bed.sources.existing.as_ref().unwrap();
        let wanted = SecretReference { name: group.to_owned(), key: "user".to_owned() };
        let until = Instant::now() + Duration::from_secs(1);
        assert_eq!(existing.look("ns", &wanted, until).await, Ok(Existence::NoSecret), "{group}");
    }
    assert_eq!(bed.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_remembered_than_there_is_room_for() {
    let bed = Bed::new(CheckExists::Warn);
    let existing = bed.sources.existing.as_ref().unwrap();
    let look = async |name: String| {
        let wanted = SecretReference { name, key: "k".to_owned() };
        existing.look("ns", &wanted, Instant::now() + Duration::from_secs(1)).await
    };
    for number in 0..CAPACITY + 10 {
        assert_eq!(look(format!("s{number}")).await, Ok(Existence::NoSecret));
    }
    assert_eq!(existing.looks().len(), CAPACITY);
    let keys: serde_json::Map<_, _> = (0..500).map(|n| (format!("{n:0>100}"), "".into())).collect();
    bed.server.cluster().put_in("ns", "secrets", "many", json!({"data": keys}));
    tokio::time::advance(FOUND).await;
    assert_eq!(look("many".to_owned()).await, Ok(Existence::NoKey));
    assert!(existing.looks().is_empty(), "names of so many keys are not kept");
}
