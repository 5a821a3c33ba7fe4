//! The chart's rights are the fewest that do: installed with a set of features, everything that they do is done, and the API
//! server's audit log shows that nothing was refused and that each right was needed for something.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use http::Method;
use serde_json::{Value, json};

use crate::harness::certs::Authority;
use crate::harness::plain_http::{post_text, send_text};
use crate::harness::{Namespace, bed, eventually, request, task_pod};
use crate::support::audit::{Asked, asked};
use crate::support::grants::{Right, rights};
use crate::support::helm::Helm;
use crate::support::image;
use crate::support::kubectl::kubectl;
use crate::support::tasks::called;
use crate::support::workload::{pods, rolled_out};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
/// A secret of the Embedded manager, and the hex MD5 of its id (made with md5sum), under which it is stored.
const STORED: (&str, &str) =
    ("u__org__flyte__domain__development__project__flytesnacks__key__k", "ddc1f24fc20de2a43d2f4b9122296cb6");
/// The image-pull Secret of that key: the start of the SHA-256 of `flyte:development:flytesnacks:k` (made with sha256sum).
const PULL: &str = "img-pull-2d0287704c0fc2ab";
const MIRRORS: &str = "labelSelector=secrets.flyte.org%2Fmirror%3Dtrue";

/// The owners of pods that an Event may stand at; none of them is there, but they are looked for.
const OWNERS: [(&str, &str); 16] = [
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
    ("flyte.lyft.com/v1alpha1", "FlyteWorkflow"),
    ("flyte.org/v1", "TaskAction"),
    ("kubeflow.org/v1", "MPIJob"),
    ("kubeflow.org/v1", "PyTorchJob"),
    ("kubeflow.org/v1", "TFJob"),
    ("kubernetes.dask.org/v1", "DaskCluster"),
    ("kubernetes.dask.org/v1", "DaskJob"),
    ("kubernetes.dask.org/v1", "DaskWorkerGroup"),
    ("ray.io/v1", "RayCluster"),
    ("ray.io/v1", "RayJob"),
    ("sparkoperator.k8s.io/v1beta2", "SparkApplication"),
];

/// The Job at the end takes the whole registration away, or our part of it where others have theirs: one in each installation.
const ONLY_BESIDE_OTHERS: &str = "-unregister: patch mutatingwebhookconfigurations.";
const ONLY_ALONE: &str = "-unregister: delete mutatingwebhookconfigurations.";

/// One installation: the features that differ, and what is known of its rights.
struct Features {
    /// The namespace of the release, which is in the audit policy of the test bed, and the release.
    name: &'static str,
    values: Value,
    /// Requests that are refused, as `verb resource`, and this is right.
    refused: &'static [&'static str],
    /// Rights, as they are shown, that another installation shows to be needed.
    unproved: &'static [&'static str],
}

/// The release, its namespaces, and how it is asked.
struct Scene {
    features: Features,
    home: Namespace,
    store: Namespace,
    tasks: Namespace,
    helm: Helm,
    pods: AtomicU32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_of_the_chart_is_needed_and_none_is_missing() {
    image::on_the_node().await;
    let mut faults = Vec::new();
    for features in all().await {
        let scene = Scene::new(features).await;
        faults.extend(scene.prove().await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn all() -> Vec<Features> {
    vec![
        Features { name: "rights-default", values: json!({}), refused: &[], unproved: &[] },
        Features {
            name: "rights-everything",
            values: json!({
                "rbac": {"recreate": true}, "uninstall": {"mirrors": true},
                "secretService": {"enabled": true, "replicas": 1},
                "config": {"webhook": {
                    "k8s": {"checkExists": "Warn"},
                    "invalidation": {"authentication": "TokenReview"},
                    "embeddedSecretManagerConfig": {"imagePullSecrets": {"enabled": true}},
                }},
            }),
            refused: &[],
            unproved: &[ONLY_BESIDE_OTHERS],
        },
        Features {
            name: "rights-podspec",
            values: json!({
                "rbac": {"recreate": true},
                "config": {"webhook": {"delivery": "PodSpec", "k8s": {"checkExists": "Warn"}}},
            }),
            refused: &[],
            unproved: &[ONLY_ALONE],
        },
        Features {
            name: "rights-roles",
            values: json!({
                "registration": {"by": "chart"}, "certificates": {"mode": "files"},
                "rbac": {"scope": "Namespaces", "namespaces": ["rights-roles-tasks"]},
                "config": {"webhook": {"embeddedSecretManagerConfig": {"imagePullSecrets": {"enabled": true}}}},
            }),
            // Without that right the webhook is ready without a look at what is registered.
            refused: &["get mutatingwebhookconfigurations"],
            unproved: &[],
        },
        Features {
            name: "rights-job",
            values: json!({
                "certificates": {"mode": "files", "files": {"job": true}},
                "config": {"webhook": {"delivery": "PodSpec"}},
            }),
            refused: &[],
            unproved: &[ONLY_BESIDE_OTHERS],
        },
    ]
}

impl Scene {
    async fn new(features: Features) -> Self {
        let part = |part: &str| format!("{}-{part}", features.name);
        let scene = Self {
            home: bed().namespace_named(features.name).await,
            store: bed().namespace_named(part("store")).await,
            tasks: bed().namespace_named(part("tasks")).await,
            helm: Helm::new(),
            pods: AtomicU32::new(0),
            features,
        };
        scene.stored("planted 0").await;
        scene
    }

    fn has(&self, path: &str) -> &Value {
        self.features.values.pointer(path).unwrap_or(&Value::Null)
    }

    fn registers(&self) -> bool {
        self.has("/registration/by").is_null()
    }

    /// Whether Flyte 1's Job makes the certificate.
    fn has_job(&self) -> bool {
        *self.has("/certificates/files/job") == true
    }

    /// The features over what all installations have: short times, and only pods of this test.
    async fn values(&self) -> Value {
        let mut values = json!({
            "image": {"repository": "localhost/flyte-secrets", "tag": "test", "pullPolicy": "Never"},
            "fullnameOverride": self.features.name, "replicas": 1, "terminationGracePeriodSeconds": 5,
            "config": {"webhook": {
                "secretManagerTypes": ["Embedded", "K8s"],
                "embeddedSecretManagerConfig": {"type": "K8s", "k8sConfig": {"namespace": self.store.name}},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.tasks.name}},
                "accessPolicy": {"mode": "Off"},
                "mirrorRetention": "2s", "mirrorGrace": "2s", "shutdownDelay": "0s",
                "registration": {"refresh": "2s"},
            }},
        });
        crate::harness::webhook::merge(&mut values, self.features.values.clone());
        if !self.registers() {
            values["registration"]["caBundle"] = json!(self.certificate(true).await);
        }
        values
    }

    /// A good pair for the Service in the Secret of the chart, or one that is none; gives its CA.
    async fn certificate(&self, good: bool) -> String {
        let name = self.features.name;
        let authority = Authority::new("by hand");
        let leaf = authority.leaf(&[&format!("{name}.{name}.svc")], 2040);
        let key = if good { leaf.key.as_str() } else { "no key" };
        let pair = json!({"ca.crt": authority.pem, "tls.crt": leaf.certificate, "tls.key": key});
        put(&self.home, name, json!({"stringData": pair})).await;
        authority.pem
    }

    async fn stored(&self, value: &str) {
        put(&self.store, STORED.1, json!({"stringData": {STORED.0: value}})).await;
    }

    async fn prove(&self) -> Vec<String> {
        let name = self.features.name;
        self.helm.install(name, &self.home.name, &self.values().await).await.unwrap();
        rolled_out(&self.home, name).await;
        called(&self.tasks).await;
        let manifest = self.helm.run(&["get", "manifest", name, "--namespace", name]).await.unwrap();
        let hooks = self.helm.run(&["get", "hooks", name, "--namespace", name]).await.unwrap();
        let rights = rights(&format!("{manifest}\n---\n{hooks}")).await;

        self.everything_is_done().await;
        let until_the_end = asked(name);
        self.uninstalled().await;
        // At the end the webhook loses its rights before its pods are gone; what the Jobs of hooks may counts to the end.
        let mut asked = asked(name);
        asked.retain(|asked| asked.account != name || until_the_end.contains(asked));
        self.faults(&rights, &asked)
    }

    async fn everything_is_done(&self) {
        self.pods_are_refused().await;
        self.secrets_are_delivered().await;
        if *self.has("/config/webhook/invalidation/authentication") == "TokenReview" {
            self.an_invalidation_comes().await;
        }
        if *self.has("/secretService/enabled") == true {
            self.the_secret_service_is_used().await;
        }
        if !self.registers() {
            self.the_certificate_is_broken_twice().await;
        }
        if *self.has("/rbac/recreate") == true {
            self.shared_objects_are_deleted().await;
        }
        if self.has_job() {
            self.an_upgrade_mends_the_certificate().await;
        }
    }

    /// A pod that nobody serves, for each kind of owner; one of them is there and has two.
    async fn pods_are_refused(&self) {
        let job = json!({
            "metadata": {"name": "idle"},
            "spec": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "main", "image": "task:1"}],
            }}},
        });
        let jobs = format!("/apis/batch/v1/namespaces/{}/jobs", self.tasks.name);
        let job = self.tasks.api.create(&jobs, &job).await.unwrap();
        let uid = job["metadata"]["uid"].as_str().unwrap();
        let nowhere = "00000000-0000-4000-8000-000000000000";
        let absent = OWNERS.iter().map(|(version, kind)| (*version, *kind, "absent", nowhere));
        for (version, kind, name, uid) in absent.chain([("batch/v1", "Job", "idle", uid); 2]) {
            let mut pod = self.pod(&[("group", "g")]);
            // The same words twice are one Event.
            pod["metadata"]["name"] = json!("refused");
            pod["metadata"]["ownerReferences"] =
                json!([{"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true}]);
            self.tasks.create_pod(&pod).await.unwrap_err();
        }
    }

    /// A value of the store, another value of it, and the end of the pods that had them.
    async fn secrets_are_delivered(&self) {
        let pull = *self.has("/config/webhook/embeddedSecretManagerConfig/imagePullSecrets/enabled") == true;
        if pull {
            let config = json!({"auths": {"registry.example": {"auth": "planted"}}}).to_string();
            let secret = json!({
                "metadata": {"labels": {"union.ai/secret-type": "image-pull-secret"}},
                "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config},
            });
            put(&self.home, PULL, secret).await;
        }
        self.wanting().await;
        self.stored("planted 1").await;
        if *self.has("/config/webhook/delivery") == "PodSpec" {
            return;
        }
        let before = self.mirrors().await;
        eventually("the new value in the mirror", 30, || async {
            self.wanting().await;
            let now = self.mirrors().await;
            let changed = now.iter().zip(&before).any(|(now, before)| now["data"] != before["data"]);
            if changed { Ok(()) } else { Err("the mirror is old".to_owned()) }
        })
        .await;
        if *self.has("/rbac/scope") == "Namespaces" {
            return;
        }
        kubectl(&["delete", "pods", "--all", "--namespace", &self.tasks.name, "--grace-period=0", "--force"])
            .await
            .unwrap();
        eventually("the end of the mirror", 60, || async {
            let left = self.mirrors().await;
            if left.is_empty() { Ok(()) } else { Err(format!("{} left", left.len())) }
        })
        .await;
    }

    async fn mirrors(&self) -> Vec<Value> {
        let list = self.tasks.api.get(&format!("{}?{MIRRORS}", self.tasks.path("secrets"))).await.unwrap();
        list["items"].as_array().unwrap().clone()
    }

    fn pod(&self, fields: &[(&str, &str)]) -> Value {
        let number = self.pods.fetch_add(1, Ordering::Relaxed);
        task_pod(&format!("task-{number}"), &[request(fields)])
    }

    /// A pod that asks for the value of the store.
    async fn wanting(&self) {
        let pod = self.pod(&[("key", "k"), ("mount_requirement", "ENV_VAR"), ("env_var", "WANTED")]);
        self.tasks.create_pod(&pod).await.unwrap();
    }

    async fn an_invalidation_comes(&self) {
        let pod = &pods(&self.home, "app.kubernetes.io/component=webhook").await[0];
        let token = kubectl(&["create", "token", "default", "--namespace", &self.tasks.name]).await.unwrap();
        let address = format!("{}:9444", pod["status"]["podIP"].as_str().unwrap());
        let header = format!("Authorization: Bearer {}\r\n", token.trim());
        let body = json!({"org": "flyte", "domain": "development", "project": "flytesnacks", "name": "k"}).to_string();
        post_text(&address, "/invalidate-secret", &header, &body).await;
    }

    /// A secret's life, and the list in which it is.
    async fn the_secret_service_is_used(&self) {
        rolled_out(&self.home, &format!("{}-service", self.features.name)).await;
        let pod = &pods(&self.home, "app.kubernetes.io/component=secret-service").await[0];
        let address = format!("{}:8093", pod["status"]["podIP"].as_str().unwrap());
        let message = json!({"id": {"name": "written"}, "secretSpec": {"stringValue": "planted"}}).to_string();
        let (all, one) = ("/secrets/api/v1", "/secrets/api/v1/name/written");
        for (method, path) in
            [(Method::POST, all), (Method::GET, one), (Method::GET, all), (Method::PUT, one), (Method::DELETE, one)]
        {
            let (status, answer) = send_text(&method, &address, path, "", &message).await;
            assert_eq!(status, 200, "{method} {path}: {answer}");
        }
    }

    /// An Event of that, and one more time it is counted.
    async fn the_certificate_is_broken_twice(&self) {
        let events = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.home.name);
        for (good, count) in [(false, 1), (true, 1), (false, 2)] {
            self.certificate(good).await;
            let pod = &pods(&self.home, "app.kubernetes.io/component=webhook").await[0];
            let pod = format!("pod/{}", pod["metadata"]["name"].as_str().unwrap());
            let stamp = AtomicU32::new(0);
            eventually("word of the certificate", 60, || async {
                // The kubelet looks at a pod that changes.
                let stamp = format!("test/stamp={good}{count}{}", stamp.fetch_add(1, Ordering::Relaxed));
                kubectl(&["annotate", &pod, "--overwrite", &stamp, "--namespace", &self.home.name]).await?;
                tokio::time::sleep(std::time::Duration::from_secs(2)).await;
                let all = self.home.api.get(&events).await.map_err(|failure| failure.message)?;
                let all = all["items"].as_array().unwrap().iter();
                let ours: Vec<_> = all.filter(|event| event["reason"] == "CertificateTrouble").collect();
                let told: i64 = ours.iter().map(|event| event["series"]["count"].as_i64().unwrap_or(1)).sum();
                if good {
                    let path = format!("/api/v1/namespaces/{}/{pod}", self.home.name).replace("/pod/", "/pods/");
                    let log = self.home.api.text(&format!("{path}/log")).await.map_err(|failure| failure.message)?;
                    let taken = log.lines().rev().find(|line| line.contains("serving certificate"));
                    return taken.filter(|line| !line.contains("bad")).map(drop).ok_or("not taken yet".to_owned());
                }
                if told >= count { Ok(()) } else { Err(format!("{ours:?}")) }
            })
            .await;
        }
    }

    /// The registration, the Lease and the Secret of the CA are made anew.
    async fn shared_objects_are_deleted(&self) {
        let name = self.features.name;
        let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{name}/leases/{name}-leader");
        for path in [format!("{}/{name}-ca", self.home.path("secrets")), lease, format!("{CONFIGURATIONS}/{name}")] {
            let old = self.home.api.get(&path).await.unwrap();
            self.home.api.delete(&path).await.unwrap();
            eventually(&path, 60, || async {
                let new = self.home.api.get(&path).await.map_err(|failure| failure.message)?;
                if new["metadata"]["uid"] == old["metadata"]["uid"] { Err("old".to_owned()) } else { Ok(()) }
            })
            .await;
        }
        called(&self.tasks).await;
    }

    /// The Job of an upgrade finds a Secret in which there is no certificate.
    async fn an_upgrade_mends_the_certificate(&self) {
        let name = self.features.name;
        let nothing = r#"{"data": {"ca.crt": null, "tls.crt": null, "tls.key": null}}"#;
        kubectl(&["patch", "secret", name, "--namespace", name, "--patch", nothing]).await.unwrap();
        self.helm.upgrade(name, name, &self.values().await).await.unwrap();
        let secret = self.home.api.get(&format!("{}/{name}", self.home.path("secrets"))).await.unwrap();
        assert!(secret["data"]["tls.crt"].is_string(), "{}", secret["metadata"]);
    }

    /// The release's end, with a mirror that a pod needs; and with a registration that a late replica has made again.
    async fn uninstalled(&self) {
        let name = self.features.name;
        self.wanting().await;
        let again = async {
            if *self.has("/rbac/recreate") != true && !self.has_job() {
                return;
            }
            // Helm waits until its objects are gone, and only then makes the Job, whose pod takes a moment to start.
            let job = format!("/apis/batch/v1/namespaces/{name}/jobs/{name}-unregister");
            eventually("the Job at the end", 60, || async {
                self.home.api.get(&job).await.map_err(|failure| failure.message)
            })
            .await;
            let path = format!("{CONFIGURATIONS}/{name}");
            // Somebody else's beside it where that is what is to be shown.
            if self.features.unproved == [ONLY_ALONE] {
                self.registered_again(&path, "others", "others.example.com").await;
            }
            self.registered_again(&path, "flyte-secrets", "flyte-pod-webhook.flyte.org").await;
        };
        let (ended, ()) = tokio::join!(self.helm.uninstall(name, name), again);
        ended.unwrap();
        let _ = self.home.api.delete(&format!("{CONFIGURATIONS}/{name}")).await;
    }

    /// Somebody's webhook for no pod, applied as the webhook applies its own.
    async fn registered_again(&self, path: &str, manager: &str, webhook: &str) {
        let registration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self.features.name},
            "webhooks": [{
                "name": webhook, "clientConfig": {"url": "https://127.0.0.1:1/"}, "sideEffects": "None",
                "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
                "objectSelector": {"matchLabels": {"no": "pod"}},
            }],
        });
        self.home.api.apply(path, manager, &registration).await.unwrap();
    }

    /// What was refused, and rights that nothing needed: a request counts for a right if no other right allows it. One that
    /// is for all namespaces must have been needed in another one than the release's.
    fn faults(&self, rights: &[Right], asked: &[Asked]) -> Vec<String> {
        let Features { name, refused, unproved, .. } = &self.features;
        assert!(!rights.is_empty() && !asked.is_empty(), "{name}: {} rights, {} requests", rights.len(), asked.len());
        let denied = asked.iter().filter(|asked| !asked.allowed).filter(|asked| {
            let short = format!("{} {}", asked.verb, asked.resource);
            !refused.contains(&short.as_str())
        });
        let mut faults: Vec<_> = denied.map(|asked| format!("{name}: refused: {asked:?}")).collect();
        let needed: BTreeSet<&Right> = asked
            .iter()
            .filter(|asked| asked.allowed)
            .filter_map(|asked| {
                let mut by = rights.iter().filter(|right| asked.by(right));
                let one = by.next().filter(|_| by.next().is_none())?;
                let elsewhere = !one.namespace.is_empty() || asked.namespace != *name;
                elsewhere.then_some(one)
            })
            .collect();
        for right in rights.iter().filter(|right| !needed.contains(right)) {
            let shown = right.to_string();
            if !unproved.iter().any(|known| shown.contains(known)) {
                faults.push(format!("{name}: nothing needs {shown}"));
            }
        }
        println!("{name}: {} rights, {} kinds of requests", rights.len(), asked.len());
        faults
    }
}

/// Creates or replaces a Secret.
async fn put(namespace: &Namespace, name: &str, mut secret: Value) {
    secret["metadata"]["name"] = json!(name);
    let path = namespace.path("secrets");
    if namespace.api.create(&path, &secret).await.is_err() {
        namespace.api.replace(&format!("{path}/{name}"), &secret).await.unwrap();
    }
}
