//! Certificates that rotate by themselves, with lives of seconds.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::identity::service_account;
use crate::harness::program::run;
use crate::harness::review::{PATH, review};
use crate::harness::webhook::free_port;
use crate::harness::{Api, Namespace, Setup, Webhook, bed, eventually, request, task_pod};

/// How long a new CA stands in the registration before it signs, in seconds.
const OVERLAP: u64 = 3;

fn pod() -> Value {
    task_pod("t", &[request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")])])
}

/// No certificates on disk and none to be written there.
fn auto(certificates: Value) -> Value {
    json!({"secretManagerTypes": ["K8s"], "localCert": false, "certificates": certificates})
}

/// A CA lives 40 s and a leaf 6 s.
fn short() -> Value {
    let overlap = format!("{OVERLAP}s");
    json!({"caLifetime": "40s", "leafLifetime": "6s", "caOverlap": overlap, "clockSkew": "1s"})
}

async fn secret(namespace: &Namespace) -> Option<Value> {
    namespace.api.get(&format!("{}/{}-ca", namespace.path("secrets"), namespace.name)).await.ok()
}

/// The certificates in the registered bundle, each as PEM.
async fn bundle(namespace: &Namespace, webhook: &Webhook) -> Vec<String> {
    let now = namespace.api.get(&webhook.registration()).await.unwrap();
    let bundle = now["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap();
    let bundle = String::from_utf8(BASE64.decode(bundle.as_bytes()).unwrap()).unwrap();
    let end = "-----END CERTIFICATE-----";
    bundle.split_inclusive(end).map(str::trim).filter(|pem| pem.ends_with(end)).map(str::to_owned).collect()
}

/// Two replicas of one installation, at one address that takes them in turns, connection by connection.
async fn two_replicas(namespace: &Namespace, certificates: Value) -> [Webhook; 2] {
    let listener = TcpListener::bind(("127.0.0.1", free_port())).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut replicas = [(); 2].map(|()| {
        let mut webhook = auto(certificates.clone());
        webhook["url"] = format!("https://{address}").into();
        Webhook::configure(&namespace.name, &namespace.name, Setup::with(webhook))
    });
    replicas[1].log.set_file_name(format!("{}-second.log", namespace.name));
    tokio::spawn(take_turns(listener, [replicas[0].port, replicas[1].port]));
    for webhook in &mut replicas {
        webhook.spawn();
    }
    for webhook in &mut replicas {
        webhook.ready().await;
    }
    replicas
}

async fn take_turns(listener: TcpListener, ports: [u16; 2]) {
    let turn = AtomicUsize::new(0);
    while let Ok((mut client, _)) = listener.accept().await {
        let port = ports[turn.fetch_add(1, Ordering::Relaxed) % ports.len()];
        tokio::spawn(async move {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        });
    }
}

/// Makes pods as dry runs until `done`; gives the failures.
async fn admit_until(done: Arc<AtomicBool>, namespace: Arc<Namespace>, admitted: Arc<AtomicU32>) -> Vec<String> {
    let mut failures = Vec::new();
    while !done.load(Ordering::Relaxed) {
        match namespace.try_pod(&pod()).await {
            Ok(_) => drop(admitted.fetch_add(1, Ordering::Relaxed)),
            Err(failure) => failures.push(failure.message),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    failures
}

/// Admissions without a pause, until `finish`.
struct Load {
    done: Arc<AtomicBool>,
    admitted: Arc<AtomicU32>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(namespace: &Arc<Namespace>) -> Self {
        let (done, admitted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let one = || tokio::spawn(admit_until(done.clone(), namespace.clone(), admitted.clone()));
        let tasks = vec![one(), one()];
        Self { done, admitted, tasks }
    }

    async fn finish(self) {
        self.done.store(true, Ordering::Relaxed);
        for task in self.tasks {
            assert_eq!(task.await.unwrap(), Vec::<String>::new(), "admissions that failed");
        }
        assert!(self.admitted.load(Ordering::Relaxed) > 50);
    }
}

/// A new connection to a replica by somebody who trusts `bundle`.
async fn trusts(bundle: &[String], replica: &Webhook, namespace: &Namespace) -> Result<(), String> {
    let mut last = String::new();
    for ca in bundle {
        let api = Api::of_server(&format!("https://127.0.0.1:{}", replica.port), ca);
        match api.create(PATH, &review(&namespace.name, &pod())).await {
            Ok(_) => return Ok(()),
            Err(failure) => last = failure.message,
        }
    }
    Err(last)
}

/// What the CAs' Secret holds, as texts.
async fn held(namespace: &Namespace) -> Vec<String> {
    let data = secret(namespace).await.unwrap()["data"].clone();
    let decoded = |value: &Value| BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap();
    data.as_object()
        .unwrap()
        .values()
        .map(|value| String::from_utf8_lossy(&decoded(value)).trim_ascii().to_owned())
        .collect()
}

#[tokio::test]
async fn with_nothing_on_disk_it_makes_a_ca_in_a_secret_and_is_called() {
    let namespace = bed().namespace("auto").await;
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, Setup::with(auto(json!({}))));
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;

    let secret = secret(&namespace).await.unwrap();
    assert_eq!(secret["metadata"]["labels"]["app.kubernetes.io/managed-by"], "flyte-secrets");
    assert_eq!(secret["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(secret["data"].as_object().unwrap().len(), 3, "a list, a certificate and its key");
    assert!(!webhook.cert_dir().exists(), "nothing is written to disk");
    assert_eq!(bundle(&namespace, &webhook).await.len(), 1);
    assert!(!webhook.logged().contains("PRIVATE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_start_at_once_agree_on_one_ca() {
    let namespace = bed().namespace("agree").await;
    let replicas = two_replicas(&namespace, json!({"mode": "auto"})).await;
    let bundle = bundle(&namespace, &replicas[0]).await;
    assert_eq!(bundle.len(), 1);
    for replica in &replicas {
        trusts(&bundle, replica, &namespace).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_and_cas_change_and_no_admission_fails() {
    let namespace = Arc::new(bed().namespace("rotate").await);
    let replicas = two_replicas(&namespace, short()).await;
    replicas[0].called(&namespace).await;
    let load = Load::start(&namespace);

    let first = bundle(&namespace, &replicas[0]).await;
    let (start, mut registered, mut expiries) = (Instant::now(), VecDeque::new(), BTreeSet::new());
    loop {
        let now = bundle(&namespace, &replicas[0]).await;
        registered.push_back((Instant::now(), now.clone()));
        // What an API server may still work with, at most.
        while registered.front().is_some_and(|(at, _)| at.elapsed() > Duration::from_secs(OVERLAP)) {
            registered.pop_front();
        }
        for replica in &replicas {
            let late = &registered.front().unwrap().1;
            trusts(late, replica, &namespace).await.unwrap();
            trusts(&now, replica, &namespace).await.unwrap();
        }
        expiries.insert(replicas[0].metric("certificate_expiry_timestamp_seconds").await.to_bits());
        if !now.iter().any(|ca| first.contains(ca)) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(90), "the first CA is still there: {now:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    load.finish().await;
    assert!(expiries.len() > 5, "leaves: {}", expiries.len());
    // It leaves the bundle first; by then there may be a third one.
    eventually("a Secret without the old CA", 20, async || {
        if held(&namespace).await.iter().any(|value| first.contains(value)) {
            Err("there it is".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    let held = held(&namespace).await;
    let holds = |ca: &String| held.contains(ca);
    assert!(bundle(&namespace, &replicas[0]).await.iter().any(holds), "a CA is found there as the bundle has it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_secret_comes_back_and_no_admission_fails() {
    let namespace = Arc::new(bed().namespace("deleted").await);
    let replicas = two_replicas(&namespace, short()).await;
    replicas[0].called(&namespace).await;
    let before = secret(&namespace).await.unwrap();
    let load = Load::start(&namespace);
    namespace.api.delete(&format!("{}/{}-ca", namespace.path("secrets"), namespace.name)).await.unwrap();
    let after = eventually("the Secret", 20, || async { secret(&namespace).await.ok_or("gone".to_owned()) }).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    load.finish().await;
    assert_ne!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let keys = |secret: &Value| secret["data"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&after), keys(&before), "the same CA");
    assert_eq!(bundle(&namespace, &replicas[0]).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_leases_cas_change_all_the_same_and_it_is_said_once() {
    let namespace = Arc::new(bed().namespace("no-leases").await);
    let verbs = ["get", "create", "update", "patch"];
    let kubeconfig = service_account(
        &namespace,
        json!([
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"], "verbs": verbs},
            {"apiGroups": [""], "resources": ["secrets", "pods"], "verbs": verbs},
        ]),
    )
    .await;
    let setup = Setup { kubeconfig: Some(kubeconfig), ..Setup::with(auto(short())) };
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;
    let load = Load::start(&namespace);
    eventually("a second CA", 60, || async {
        let bundle = bundle(&namespace, &webhook).await;
        if bundle.len() == 2 { Ok(()) } else { Err(format!("{} CAs", bundle.len())) }
    })
    .await;
    load.finish().await;
    assert_eq!(webhook.logged().matches("this replica does not lead").count(), 1);
}

/// The rights of the chart, where whoever installs it makes the Secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_make_a_deleted_secret_anew_it_serves_on_and_an_event_says_what_is_missing() {
    let namespace = Arc::new(bed().namespace("no-create").await);
    let ca = format!("{}-ca", namespace.name);
    namespace.api.create(&namespace.path("secrets"), &json!({"metadata": {"name": ca}})).await.unwrap();
    let kubeconfig = service_account(
        &namespace,
        json!([
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
             "verbs": ["get", "create", "patch", "watch"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "update"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
        ]),
    )
    .await;
    let setup = Setup { kubeconfig: Some(kubeconfig), ..Setup::with(auto(short())) };
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    webhook.set_env("POD_NAME", "webhook-0");
    webhook.spawn();
    webhook.ready().await;
    webhook.called(&namespace).await;
    let load = Load::start(&namespace);
    namespace.api.delete(&format!("{}/{ca}", namespace.path("secrets"))).await.unwrap();
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", namespace.name);
    eventually("an Event", 30, || async {
        let list = namespace.api.get(&path).await.map_err(|failure| failure.message)?;
        let told = list["items"].as_array().unwrap().iter().any(|event| {
            let note = event["note"].as_str().unwrap_or_default();
            event["reason"] == "CertificateTrouble" && note.contains("create") && note.contains("secrets")
        });
        if told { Ok(()) } else { Err(list.to_string()) }
    })
    .await;
    // Longer than a leaf lives.
    tokio::time::sleep(Duration::from_secs(7)).await;
    load.finish().await;
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_the_start_with_the_way_out() {
    let namespace = bed().namespace("refused").await;
    let foreign =
        json!({"metadata": {"name": format!("{}-ca", namespace.name)}, "stringData": {"password": "planted"}});
    namespace.api.create(&namespace.path("secrets"), &foreign).await.unwrap();
    let mut unregistered = auto(json!({"mode": "auto"}));
    unregistered["disableCreateMutatingWebhookConfig"] = true.into();
    let cases = [
        (auto(json!({"mode": "auto"})), "it holds password and no authorities.json"),
        (unregistered, "webhook.disableCreateMutatingWebhookConfig: false"),
    ];
    for (webhook, told) in cases {
        let webhook = Webhook::configure(&namespace.name, &namespace.name, Setup::with(webhook));
        let output = run(webhook.command(&["webhook"])).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{told}");
        assert!(errors.contains(told), "{told} is not in: {errors}");
        assert!(!errors.contains("planted"), "{errors}");
    }
}
