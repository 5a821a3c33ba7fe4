//! Start, change of certificates, end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::harness::certs::Authority;
use crate::harness::identity::admin_at;
use crate::harness::review::{Halved, PATH, patch, review};
use crate::harness::webhook::free_port;
use crate::harness::{Api, Namespace, Setup, Webhook, bed, eventually, request, task_pod};

fn pod() -> Value {
    task_pod("t", &[request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")])])
}

/// A new authority and certificate, put where a webhook reads them. Each file appears whole.
fn write_certificates(folder: &Path) -> Authority {
    let authority = Authority::new("rotated");
    let leaf = authority.leaf(&["127.0.0.1", "localhost"], 2040);
    std::fs::create_dir_all(folder).unwrap();
    for (name, text) in [("ca.crt", &authority.pem), ("tls.crt", &leaf.certificate), ("tls.key", &leaf.key)] {
        let new = folder.join(format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, folder.join(name)).unwrap();
    }
    authority
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_authority_and_certificate_are_taken_under_load_and_no_admission_fails() {
    let namespace = Arc::new(bed().namespace("rotation").await);
    let webhook = Webhook::start(&namespace, Setup::default()).await;
    let (done, admitted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load: Vec<_> =
        (0..4).map(|_| tokio::spawn(admit_until(done.clone(), namespace.clone(), admitted.clone()))).collect();

    tokio::time::sleep(Duration::from_millis(500)).await;
    let authority = write_certificates(&webhook.cert_dir());
    eventually("the new authority in the registration", 20, || async {
        let now = namespace.api.get(&webhook.registration()).await.map_err(|failure| failure.message)?;
        let bundle = now["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap();
        let bundle = String::from_utf8(BASE64.decode(bundle.as_bytes()).unwrap()).unwrap();
        // The old one may stand beside it for a while.
        if bundle.contains(&authority.pem) { Ok(()) } else { Err(bundle) }
    })
    .await;
    let fresh = Api::of_server(&format!("https://127.0.0.1:{}", webhook.port), &authority.pem);
    let answer = eventually("the new certificate on a new connection", 20, || async {
        fresh.create(PATH, &review(&namespace.name, &pod())).await.map_err(|failure| failure.message)
    })
    .await;
    let before = admitted.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    done.store(true, Ordering::Relaxed);

    for task in load {
        assert_eq!(task.await.unwrap(), Vec::<String>::new(), "admissions that failed");
    }
    assert!(!patch(&answer).is_empty());
    assert!(admitted.load(Ordering::Relaxed) > before, "and the API server goes on");
}

/// Makes pods as dry runs until `done`; gives the failures.
async fn admit_until(done: Arc<AtomicBool>, namespace: Arc<Namespace>, admitted: Arc<AtomicU32>) -> Vec<String> {
    let mut failures = Vec::new();
    while !done.load(Ordering::Relaxed) {
        match namespace.try_pod(&pod()).await {
            Ok(_) => drop(admitted.fetch_add(1, Ordering::Relaxed)),
            Err(failure) => failures.push(failure.message),
        }
    }
    failures
}

#[tokio::test]
async fn it_serves_before_the_api_server_is_there_and_registers_when_it_comes() {
    let namespace = bed().namespace("first").await;
    let port = free_port();
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, Setup::default());
    webhook.init_certs().await;
    let kubeconfig = admin_at("later.kubeconfig", &format!("https://127.0.0.1:{port}"));
    webhook.set_env("KUBECONFIG", kubeconfig.to_str().unwrap());
    webhook.spawn();

    let direct = Api::of_server(&format!("https://127.0.0.1:{}", webhook.port), &webhook.ca());
    let answer = eventually("an answer without an API server", 15, || async {
        direct.create(PATH, &review(&namespace.name, &pod())).await.map_err(|failure| failure.message)
    })
    .await;
    assert!(!patch(&answer).is_empty());
    let (status, why) = webhook.plain("/readyz").await.unwrap();
    assert_eq!(status, 503, "not registered yet: {why}");

    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let server = kube::config::Kubeconfig::read_from(&bed().kubeconfig).unwrap();
    let server = server.clusters[0].cluster.as_ref().unwrap().server.clone().unwrap();
    let relay = tokio::spawn(relay(listener, server.trim_start_matches("https://").to_owned()));
    // The back-off between two tries is bounded.
    eventually("the registration", 45, || async {
        match webhook.plain("/readyz").await? {
            (200, _) => Ok(()),
            (_, why) => Err(why),
        }
    })
    .await;
    webhook.called(&namespace).await;

    relay.abort();
    assert!(relay.await.unwrap_err().is_cancelled());
    let answer = direct.create(PATH, &review(&namespace.name, &pod())).await.unwrap();
    assert!(!patch(&answer).is_empty(), "the K8s manager needs no API server");
    let (status, why) = webhook.plain("/readyz").await.unwrap();
    assert_eq!(status, 200, "what is true of all replicas takes none out of service: {why}");
}

async fn relay(listener: TcpListener, to: String) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let to = to.clone();
        connections.spawn(async move {
            let mut server = TcpStream::connect(to).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await
        });
    }
}

#[tokio::test]
async fn with_certificates_on_disk_and_no_registration_it_needs_no_api_server() {
    let setup = Setup::with(json!({"secretManagerTypes": ["K8s"], "disableCreateMutatingWebhookConfig": true}));
    let (mut webhook, ca) = without_cluster("no-cluster", setup);
    webhook.spawn();
    webhook.ready().await;

    let direct = Api::of_server(&format!("https://127.0.0.1:{}", webhook.port), &ca);
    let answer = direct.create(PATH, &review("flytesnacks-development", &pod())).await.unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["response"]["uid"], review("", &pod())["request"]["uid"]);
    assert!(!patch(&answer).is_empty());
}

/// A configured webhook with certificates on disk and nothing that leads to an API server.
fn without_cluster(name: &str, setup: Setup) -> (Webhook, String) {
    let mut webhook = Webhook::configure(name, name, setup);
    webhook.set_env("KUBECONFIG", "/nonexistent");
    let ca = write_certificates(&webhook.cert_dir()).pem;
    (webhook, ca)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_sigterm_admissions_in_flight_are_answered_and_the_end_is_0() {
    let (mut webhook, ca) = without_cluster("sigterm", unregistered("2s"));
    webhook.spawn();
    webhook.ready().await;

    let (port, body) = (webhook.port, review("ns", &pod()));
    let begun = tokio::task::spawn_blocking(move || Vec::from_iter((0..5).map(|_| Halved::begin(port, &ca, &body))));
    let begun = begun.await.unwrap();
    webhook.terminate();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (status, _) = webhook.plain("/readyz").await.unwrap_or((503, String::new()));
    assert_eq!(status, 503, "it takes itself out of service first");

    let answers = tokio::task::spawn_blocking(|| Vec::from_iter(begun.into_iter().map(Halved::finish)));
    for answer in answers.await.unwrap() {
        let answer = answer.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\"allowed\":true") && answer.contains("\"patch\":"), "{answer}");
    }
    assert_eq!(webhook.ended().await.code(), Some(0));
}

/// Without a registration, and with this time between SIGTERM and the end of service.
fn unregistered(shutdown_delay: &str) -> Setup {
    Setup::with(json!({
        "secretManagerTypes": ["K8s"], "disableCreateMutatingWebhookConfig": true, "shutdownDelay": shutdown_delay,
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_sigterm_new_connections_are_served_until_the_delay_is_over_and_a_second_one_ends_it_at_once() {
    let (mut webhook, ca) = without_cluster("sigterm-twice", unregistered("10m"));
    webhook.spawn();
    webhook.ready().await;
    webhook.terminate();
    eventually("out of service", 10, || async {
        match webhook.plain("/readyz").await? {
            (503, _) => Ok(()),
            (status, _) => Err(format!("{status}")),
        }
    })
    .await;
    let (port, body) = (webhook.port, review("ns", &pod()));
    let answer = tokio::task::spawn_blocking(move || Halved::begin(port, &ca, &body).finish()).await.unwrap().unwrap();
    assert!(answer.contains("\"allowed\":true"), "{answer}");

    let asked = Instant::now();
    webhook.terminate();
    assert_eq!(webhook.ended().await.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(webhook.logged().contains("ending at once"), "{}", webhook.logged());
}

#[tokio::test]
async fn sigterm_ends_a_start_that_waits_for_the_api_server() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", silent.local_addr().unwrap());
    let mut webhook = Webhook::configure("sigterm-early", "sigterm-early", Setup::default());
    webhook.set_env("KUBECONFIG", admin_at("silent.kubeconfig", &server).to_str().unwrap());
    webhook.spawn();
    let _waiting = silent.accept().await.unwrap();
    let asked = Instant::now();
    webhook.terminate();
    assert_eq!(webhook.ended().await.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}
