//! `doctor` looks at a cluster that works, and at one that is broken in one way at a time.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::certs::{Authority, Leaf};
use crate::harness::identity::service_account;
use crate::harness::program::run;
use crate::harness::webhook::{PLANTED, local_store, selector};
use crate::harness::{Namespace, Setup, Webhook, bed, eventually};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// What `doctor` printed as JSON, and how it ended.
struct Seen {
    report: Value,
    code: i32,
}

/// Runs `doctor` with the configuration of a webhook.
async fn doctor(webhook: &Webhook, arguments: &[&str], environment: &[(&str, &str)]) -> Seen {
    let mut command = webhook.command(&[&["doctor", "-o", "json"], arguments].concat());
    command.envs(environment.iter().copied());
    let output = run(command).await;
    let [text, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(!text.contains(PLANTED) && !errors.contains(PLANTED), "a value is shown: {text} {errors}");
    let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text} {errors}"));
    Seen { report, code: output.status.code().unwrap() }
}

impl Seen {
    fn findings(&self) -> impl Iterator<Item = &Value> {
        self.report["findings"].as_array().unwrap().iter()
    }

    /// The ids of all findings of a level.
    fn ids(&self, level: &str) -> BTreeSet<&str> {
        let found = self.findings().filter(|finding| finding["level"] == level);
        found.map(|finding| finding["id"].as_str().unwrap()).collect()
    }

    fn finding(&self, id: &str) -> &Value {
        self.findings().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no {id}: {}", self.report))
    }

    /// These errors, no other ones, and the exit code of errors.
    fn has_errors(&self, expected: &[&str]) -> Result<(), String> {
        if self.ids("error") == expected.iter().copied().collect() && self.code == 5 {
            return Ok(());
        }
        Err(format!("exit code {}, {:#}", self.code, self.report))
    }
}

/// What the API server calls has changed: that takes a moment to get there.
async fn sees_errors(webhook: &Webhook, expected: &[&str]) -> Seen {
    eventually("the findings", 20, || async {
        let seen = doctor(webhook, &[], &[]).await;
        seen.has_errors(expected).map(|()| seen)
    })
    .await
}

/// A webhook with a store, a variable and a policy that keeps everything apart.
async fn healthy(namespace: &Namespace) -> Webhook {
    let mut setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded", "K8s"],
        "embeddedSecretManagerConfig": local_store(),
        "delivery": "SecretRef",
        "accessPolicy": {"mode": "Enforce", "namespaces": ["{project}-{domain}"]},
    }));
    setup.env.push(("FLYTE_SECRET_GROUP_KEY".to_owned(), "planted variable".to_owned()));
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    webhook.import(&json!({"u__org__flyte__domain____project____key__k": "planted in the store"})).await;
    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(namespace).await;
    webhook
}

#[tokio::test]
async fn a_healthy_installation_has_no_fault_and_every_subject_is_looked_at() {
    let namespace = bed().namespace("doctor-healthy").await;
    let webhook = healthy(&namespace).await;

    let seen = doctor(&webhook, &[], &[]).await;

    assert!(seen.ids("error").is_empty() && seen.ids("warning").is_empty(), "{:#}", seen.report);
    assert_eq!(seen.code, 0);
    let expected = [
        "admission.works",
        "certificates.trusted",
        "cluster.version",
        "mirrors.counted",
        "names.own",
        "permissions.complete",
        "policy.keeps-apart",
        "registration.as-configured",
        "stores.answer",
    ];
    let fine = seen.ids("ok");
    assert!(expected.iter().all(|id| fine.contains(id)), "{fine:?}");
    let checks: Vec<&str> = seen.findings().map(|finding| finding["check"].as_str().unwrap()).collect();
    let mut distinct = checks.clone();
    distinct.dedup();
    let all = [
        "cluster",
        "permissions",
        "registration",
        "certificates",
        "admission",
        "stores",
        "policy",
        "rivals",
        "names",
        "mirrors",
        "replicas",
    ];
    assert_eq!(distinct, all, "in this order");
    let summary = seen.report["summary"].as_object().unwrap();
    let sum: u64 = summary.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(summary.keys().collect::<Vec<_>>(), ["ok", "info", "warning", "error"]);
    assert_eq!(sum, u64::try_from(checks.len()).unwrap());
    for finding in seen.findings() {
        let members: BTreeSet<&str> = finding.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(members.is_subset(&BTreeSet::from(["check", "id", "level", "what", "where", "remedy"])), "{finding}");
    }

    let secret = format!("{}/{}", namespace.path("secrets"), webhook.name);
    let managers = namespace.api.get(&secret).await.unwrap()["metadata"]["managedFields"].clone();
    assert_eq!(managers[0]["manager"], "flyte-secrets", "by which the writers of a Secret are told apart");

    let output = run(webhook.command(&["doctor"])).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nCalls of the API server\n  ok      the API server calls the webhook"), "{text}");
    assert!(text.trim_end().ends_with("0 warning, 0 error"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains(PLANTED), "no colour into a pipe: {text}");
}

#[tokio::test]
async fn each_fault_is_found_as_what_it_is() {
    let namespace = bed().namespace("doctor-faults").await;
    let mut webhook = healthy(&namespace).await;
    let api = &namespace.api;
    let registered = api.get(&webhook.registration()).await.unwrap();
    // From now on nobody repairs the registration.
    webhook.terminate();
    webhook.ended().await;
    webhook.add_config("zz.yaml", &json!({"webhook": {"disableCreateMutatingWebhookConfig": true}}));
    webhook.spawn();
    webhook.ready().await;

    // A second webhook for the same pods, such as Flyte 2's own. Its failures are ignored, as it is not there.
    let rival = json!({
        "metadata": {"name": format!("{}-rival", namespace.name)},
        "webhooks": [{
            "name": "flyte-pod-webhook.flyte.org",
            "clientConfig": {"url": "https://127.0.0.1:1/mutate--v1-pod"},
            "rules": registered["webhooks"][0]["rules"], "objectSelector": registered["webhooks"][0]["objectSelector"],
            "namespaceSelector": selector(&namespace.name),
            "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        }],
    });
    api.create(CONFIGURATIONS, &rival).await.unwrap();
    let seen = sees_errors(&webhook, &["rivals.active"]).await;
    let finding = seen.finding("rivals.active");
    assert!(finding["where"].as_str().unwrap().contains(&format!("{}-rival", namespace.name)), "{finding}");
    assert!(finding["remedy"].as_str().unwrap().contains("namespaceSelector"), "{finding}");
    api.delete(&format!("{CONFIGURATIONS}/{}-rival", namespace.name)).await.unwrap();

    // A bundle of another authority.
    let mut wrong = api.get(&webhook.registration()).await.unwrap();
    wrong["webhooks"][0]["clientConfig"]["caBundle"] = json!(BASE64.encode(Authority::new("another").pem.as_bytes()));
    api.replace(&webhook.registration(), &wrong).await.unwrap();
    let seen = sees_errors(&webhook, &["certificates.untrusted", "admission.not-trusted"]).await;
    let finding = seen.finding("admission.not-trusted");
    assert!(finding["what"].as_str().unwrap().contains("x509"), "{finding}");
    assert!(finding["remedy"].as_str().unwrap().contains("caBundle"), "{finding}");

    // No registration at all.
    api.delete(&webhook.registration()).await.unwrap();
    sees_errors(&webhook, &["registration.missing", "admission.not-called"]).await;

    // The webhook is gone, and its registration stays.
    webhook.terminate();
    webhook.ended().await;
    let mut there = registered.clone();
    there["metadata"] = json!({"name": webhook.name});
    api.create(CONFIGURATIONS, &there).await.unwrap();
    let seen = sees_errors(&webhook, &["admission.unreachable"]).await;
    assert!(seen.ids("info").contains("certificates.not-seen"), "{:#}", seen.report);
}

#[tokio::test]
async fn an_expired_certificate_is_told_with_its_date() {
    let namespace = bed().namespace("doctor-expired").await;
    let setup = Setup::with(json!({
        "secretManagerTypes": ["K8s"], "accessPolicy": {"mode": "Enforce", "namespaces": ["{project}-{domain}"]},
    }));
    let webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    let authority = Authority::new("by hand");
    let Leaf { certificate, key } = authority.leaf(&["127.0.0.1"], 2021);
    let tls = RustlsConfig::from_pem(certificate.into_bytes(), key.into_bytes()).await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], webhook.port));
    tokio::spawn(axum_server::bind_rustls(address, tls).serve(Router::new().into_make_service()));
    let rule = json!({"operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"]});
    let configuration = json!({
        "metadata": {"name": webhook.name},
        "webhooks": [{
            "name": "flyte-pod-webhook.flyte.org",
            "clientConfig": {
                "url": format!("https://127.0.0.1:{}/mutate--v1-pod", webhook.port),
                "caBundle": BASE64.encode(authority.pem.as_bytes()),
            },
            "rules": [rule], "objectSelector": {"matchLabels": {"inject-flyte-secrets": "true"}},
            "namespaceSelector": selector(&namespace.name), "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun",
            "admissionReviewVersions": ["v1", "v1beta1"], "timeoutSeconds": 30, "reinvocationPolicy": "IfNeeded",
        }],
    });
    namespace.api.create(CONFIGURATIONS, &configuration).await.unwrap();

    let seen = sees_errors(&webhook, &["certificates.invalid", "admission.not-trusted"]).await;

    let finding = seen.finding("certificates.invalid");
    assert!(finding["what"].as_str().unwrap().contains("expired at 2021-01-01"), "{finding}");
    assert_eq!(finding["where"], format!("127.0.0.1:{}", webhook.port));
}

#[tokio::test]
async fn a_store_that_is_down_is_an_error_in_the_pod_and_a_warning_elsewhere() {
    let namespace = bed().namespace("doctor-store").await;
    let setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded", "K8s"],
        "embeddedSecretManagerConfig": {"type": "Http", "httpConfig": {"url": "http://127.0.0.1:1"}, "callTimeout": "2s"},
        "accessPolicy": {"mode": "Enforce", "namespaces": ["{project}-{domain}"]},
        "onManagerFailure": "Next",
    }));
    let webhook = Webhook::start(&namespace, setup).await;

    let elsewhere = doctor(&webhook, &[], &[]).await;
    assert_eq!(elsewhere.ids("warning"), BTreeSet::from(["stores.unavailable"]), "{:#}", elsewhere.report);
    assert!(elsewhere.ids("error").is_empty(), "{:#}", elsewhere.report);
    assert_eq!(elsewhere.code, 4);

    let in_the_pod = doctor(&webhook, &[], &[("KUBERNETES_SERVICE_HOST", "198.51.100.1")]).await;
    in_the_pod.has_errors(&["stores.unavailable"]).unwrap();
    let finding = in_the_pod.finding("stores.unavailable");
    assert!(finding["what"].as_str().unwrap().contains("Http"), "{finding}");
}

#[tokio::test]
async fn few_rights_are_told_rule_by_rule_and_never_end_it() {
    let namespace = bed().namespace("doctor-rights").await;
    let webhook = healthy(&namespace).await;
    let group = "admissionregistration.k8s.io";
    let rules = json!([{"apiGroups": [group], "resources": ["mutatingwebhookconfigurations"], "verbs": ["get"]}]);
    let kubeconfig = service_account(&namespace, rules).await;

    // Somebody with rights asks about the ServiceAccount.
    let asked = doctor(&webhook, &["--service-account", "webhook"], &[]).await;
    asked.has_errors(&["permissions.missing"]).unwrap();
    // The ServiceAccount itself looks, as it would in the pod.
    let itself = doctor(&webhook, &[], &[("KUBECONFIG", kubeconfig.to_str().unwrap())]).await;
    itself.has_errors(&["permissions.missing"]).unwrap();

    let rules_of = |seen: &Seen| -> BTreeSet<String> {
        let missing = seen.findings().filter(|finding| finding["id"] == "permissions.missing");
        missing.map(|finding| finding["remedy"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(rules_of(&asked), rules_of(&itself));
    let text: String = rules_of(&itself).into_iter().collect();
    for verb in ["patch", "create", "update", "list", "delete"] {
        assert!(text.contains(&format!("verbs: [\"{verb}\"]")), "{verb}: {text}");
    }
    assert_eq!(itself.finding("registration.as-configured")["level"], "ok");
    let blind = itself.findings().filter(|finding| finding["id"] == "could-not-look").collect::<Vec<_>>();
    assert!(blind.len() >= 5, "{:#}", itself.report);
    assert!(blind.iter().all(|finding| finding["remedy"].as_str().unwrap().contains("verbs: [")), "{blind:?}");
}
