//! The bundle of CAs while certificates, their sources and the address of the webhook change: no pod is refused.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::bed::bed as test_bed;
use crate::harness::certs::Authority;
use crate::harness::load::Load;
use crate::harness::relay::Relay;
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

/// How long foreign CAs are kept in these tests.
const RETENTION: Duration = Duration::from_secs(4);

fn pod() -> Value {
    task_pod("t", &[request(&[("group", "g"), ("key", "k"), ("mount_requirement", "ENV_VAR")])])
}

/// A replica of the webhook that is called like the namespace, with a certificate of a CA of its own.
async fn replica(namespace: &Namespace, url: &str, extra: Value) -> Webhook {
    let mut setup = Setup::with(json!({
        "secretManagerTypes": ["K8s"],
        "url": url,
        "registration": {"adoptedCaRetention": format!("{}s", RETENTION.as_secs()), "refresh": "1s"},
    }));
    for (name, value) in extra.as_object().unwrap() {
        setup.webhook[name] = value.clone();
    }
    let webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    write_certificates(&webhook, namespace);
    webhook
}

/// The certificate of a new CA, for every name by which these tests call the webhook.
fn write_certificates(webhook: &Webhook, namespace: &Namespace) {
    let authority = Authority::new("a replica's own");
    let service = format!("{0}.{0}.svc", namespace.name);
    let leaf = authority.leaf(&["127.0.0.1", "localhost", &service], 2040);
    std::fs::create_dir_all(webhook.cert_dir()).unwrap();
    for (name, text) in [("ca.crt", &authority.pem), ("tls.crt", &leaf.certificate), ("tls.key", &leaf.key)] {
        std::fs::write(webhook.cert_dir().join(name), text).unwrap();
    }
}

async fn running(mut webhook: Webhook) -> Webhook {
    webhook.spawn();
    webhook.ready().await;
    webhook
}

/// The certificates in the registered bundle.
async fn bundle(namespace: &Namespace, webhook: &Webhook) -> Vec<String> {
    let configuration = namespace.api.get(&webhook.registration()).await.unwrap();
    let encoded = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned();
    let text = String::from_utf8(BASE64.decode(encoded.as_bytes()).unwrap()).unwrap();
    text.split_inclusive("-----END CERTIFICATE-----")
        .map(|one| one.trim().to_owned())
        .filter(|one| !one.is_empty())
        .collect()
}

/// Waits until exactly the CAs of these replicas are registered.
async fn trusted(namespace: &Namespace, webhooks: &[&Webhook]) {
    let mut wanted: Vec<String> = webhooks.iter().map(|webhook| webhook.ca().trim().to_owned()).collect();
    wanted.sort();
    eventually(&format!("a bundle of {} CAs", wanted.len()), 25, || async {
        let mut found = bundle(namespace, webhooks[0]).await;
        found.sort();
        if found == wanted { Ok(()) } else { Err(format!("{} CAs", found.len())) }
    })
    .await;
}

async fn ends(webhook: &mut Webhook) {
    webhook.terminate();
    webhook.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_with_different_cas_run_side_by_side_and_the_last_one_is_alone_in_the_end() {
    let namespace = Arc::new(bed().namespace("two-cas").await);
    let relay = Relay::listen().await;
    let url = format!("https://127.0.0.1:{}", relay.port);
    let mut old = running(replica(&namespace, &url, json!({})).await).await;
    relay.leads_to(&[old.port]);
    old.called(&namespace).await;
    let load = Load::begin(&namespace, &pod());

    let new = running(replica(&namespace, &url, json!({})).await).await;
    trusted(&namespace, &[&old, &new]).await;
    relay.leads_to(&[old.port, new.port]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    relay.leads_to(&[new.port]);
    ends(&mut old).await;
    eventually("admissions by the new replica", 20, || async {
        if new.calls().await > 20.0 { Ok(()) } else { Err("too few".to_owned()) }
    })
    .await;
    trusted(&namespace, &[&new]).await;
    let so_far = load.admitted();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(load.admitted() > so_far, "pods are admitted after that too");
    load.end_without_a_failure().await;
}

/// What stands in for cert-manager's cainjector: where the annotation asks for it, the whole bundle is its CA.
async fn cainjector(namespace: Arc<Namespace>, path: String, certificate: String, ca: String) {
    let wanted = json!(BASE64.encode(ca.as_bytes()));
    loop {
        if let Ok(mut configuration) = namespace.api.get(&path).await
            && configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == certificate.as_str()
            && configuration["webhooks"][0]["clientConfig"]["caBundle"] != wanted
        {
            configuration["webhooks"][0]["clientConfig"]["caBundle"] = wanted.clone();
            // If somebody was faster, it comes again.
            let _ =
                namespace.api.replace(&format!("{path}?fieldManager=cert-manager-cainjector"), &configuration).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Who has set the bundle.
fn owners_of_the_bundle(configuration: &Value) -> Vec<&str> {
    let entries = configuration["metadata"]["managedFields"].as_array().unwrap();
    let key = "k:{\"name\":\"flyte-pod-webhook.flyte.org\"}";
    let owns = |entry: &&Value| !entry["fieldsV1"]["f:webhooks"][key]["f:clientConfig"]["f:caBundle"].is_null();
    entries.iter().filter(owns).map(|entry| entry["manager"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_cert_manager_and_back_no_pod_is_refused() {
    let namespace = Arc::new(bed().namespace("cert-manager").await);
    let relay = Relay::listen().await;
    let url = format!("https://127.0.0.1:{}", relay.port);
    let mut before = running(replica(&namespace, &url, json!({})).await).await;
    relay.leads_to(&[before.port]);
    before.called(&namespace).await;
    let load = Load::begin(&namespace, &pod());

    let certificate = format!("{}/webhook", namespace.name);
    let setting = json!({"certificates": {"certManagerCertificate": certificate}});
    let with = replica(&namespace, &url, setting).await;
    // As cert-manager writes it, not as we do.
    let ca = format!("\n{}", with.ca());
    let path = with.registration();
    let injector = tokio::spawn(cainjector(namespace.clone(), path.clone(), certificate.clone(), ca));
    let mut with = running(with).await;
    let asked = namespace.api.get(&path).await.unwrap()["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
        != Value::Null;
    assert!(!asked, "the replica of before is still there");
    trusted(&namespace, &[&before, &with]).await;
    relay.leads_to(&[with.port]);
    ends(&mut before).await;
    let theirs = eventually("cert-manager's bundle", 25, || async {
        let now = namespace.api.get(&path).await.unwrap();
        if owners_of_the_bundle(&now) == ["cert-manager-cainjector"] { Ok(now) } else { Err(now.to_string()) }
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let now = namespace.api.get(&path).await.unwrap();
    assert_eq!(now["metadata"]["resourceVersion"], theirs["metadata"]["resourceVersion"], "nothing more is written");
    trusted(&namespace, &[&with]).await;

    let after = running(replica(&namespace, &url, json!({})).await).await;
    trusted(&namespace, &[&with, &after]).await;
    relay.leads_to(&[after.port]);
    ends(&mut with).await;
    trusted(&namespace, &[&after]).await;
    let now = namespace.api.get(&path).await.unwrap();
    assert_eq!(now["metadata"]["annotations"], Value::Null);
    injector.abort();
    load.end_without_a_failure().await;
}

/// An address of this machine that the API server may call a Service's endpoint: not the loopback one.
fn own_address() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent.
    match socket.connect("203.0.113.1:9").and_then(|()| socket.local_addr()) {
        Ok(address) if !address.ip().is_loopback() => address.ip().to_string(),
        _ => test_bed().host_address(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_service_to_a_url_no_pod_is_refused() {
    let namespace = Arc::new(bed().namespace("to-url").await);
    let name = &namespace.name;
    let service = json!({"metadata": {"name": name}, "spec": {"ports": [{"name": "https", "port": 443}]}});
    namespace.api.create(&namespace.path("services"), &service).await.unwrap();
    let mut by_service = replica(&namespace, "", json!({})).await;
    let slice = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
        "endpoints": [{"addresses": [own_address()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": by_service.port}],
    });
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{name}/endpointslices");
    namespace.api.create(&slices, &slice).await.unwrap();
    by_service = running(by_service).await;
    by_service.called(&namespace).await;
    let load = Load::begin(&namespace, &pod());

    let relay = Relay::listen().await;
    let url = format!("https://127.0.0.1:{}", relay.port);
    let by_url = replica(&namespace, &url, json!({})).await;
    relay.leads_to(&[by_url.port]);
    let by_url = running(by_url).await;
    // While both are there each has the address that it knows, and both lead to a webhook that is trusted.
    trusted(&namespace, &[&by_service, &by_url]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    by_service.terminate();
    eventually("the URL and nothing else", 40, || async {
        let now = namespace.api.get(&by_url.registration()).await.unwrap();
        let client_config = &now["webhooks"][0]["clientConfig"];
        let done = client_config["service"].is_null() && client_config["url"] == format!("{url}/mutate--v1-pod");
        if done { Ok(()) } else { Err(client_config.to_string()) }
    })
    .await;
    by_service.ended().await;
    trusted(&namespace, &[&by_url]).await;
    load.end_without_a_failure().await;
}

#[tokio::test]
async fn a_registration_by_somebody_else_is_waited_for_once_and_never_again() {
    let namespace = bed().namespace("not-ours").await;
    let mut webhook =
        replica(&namespace, "https://127.0.0.1:1", json!({"disableCreateMutatingWebhookConfig": true})).await;
    let theirs = |bundle: &str| {
        json!({
            "metadata": {"name": namespace.name},
            "webhooks": [{
                "name": "flyte-pod-webhook.flyte.org", "failurePolicy": "Ignore", "sideEffects": "None",
                "clientConfig": {"url": "https://127.0.0.1:1/", "caBundle": BASE64.encode(bundle.as_bytes())},
                "admissionReviewVersions": ["v1"], "objectSelector": {"matchLabels": {"nobody": "has-this"}},
            }],
        })
    };
    let path = webhook.registration();
    let put = async |bundle: &str| {
        let mut configuration = theirs(bundle);
        let there = namespace.api.get(&path).await.unwrap();
        configuration["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
        namespace.api.replace(&path, &configuration).await.unwrap();
    };
    let other = Authority::new("another").pem;
    namespace.api.create(path.rsplit_once('/').unwrap().0, &theirs(&other)).await.unwrap();
    webhook.spawn();
    eventually("the reason why it is not ready", 15, || async {
        let (_, reasons) = webhook.plain("/readyz").await?;
        if reasons.contains("no CA in the registration's caBundle") { Ok(()) } else { Err(reasons) }
    })
    .await;
    put(&webhook.ca()).await;
    eventually("to be ready", 15, || async {
        match webhook.plain("/readyz").await? {
            (200, _) => Ok(()),
            (_, reasons) => Err(reasons),
        }
    })
    .await;
    put(&other).await;
    eventually("a word in the log", 15, || async {
        let logged = webhook.logged();
        if logged.contains("may not trust this webhook any more") { Ok(()) } else { Err(logged) }
    })
    .await;
    assert_eq!(webhook.plain("/readyz").await.unwrap().0, 200, "or all replicas would be unready at once");
}
