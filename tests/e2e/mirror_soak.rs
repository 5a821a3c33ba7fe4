//! Ten thousand pods, two replicas, rotations, pauses and a collector in a hurry: the promises about mirrors hold at every
//! revision of the cluster. `FLYTE_SECRETS_SOAK_PODS` sets how many pods (10000).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::harness::splitter::Splitter;
use crate::harness::webhook::free_port;
use crate::harness::{Api, Namespace, Setup, Webhook, bed, eventually, request, task_pod};

const SECRETS: usize = 20;
const NAMESPACES: usize = 5;
const ROTATIONS: u64 = 5;
const WORKERS: usize = 24;
/// Pods of one worker that live at the same time.
const ALIVE: usize = 8;
const RETENTION: u64 = 20;
const GRACE: u64 = 8;

/// An event of a watch, in the order of the cluster's revisions.
struct Event {
    revision: u64,
    kind: &'static str,
    object: Value,
}

/// A namespace, and a name in it.
type Place = (String, String);

fn id(secret: usize) -> String {
    format!("u__org__flyte__domain__development__project__flytesnacks__key__s{secret}")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The stored Secret of a version, as Flyte's Secret service would write it.
fn stored(secret: usize, version: u64) -> Value {
    let id = id(secret);
    let name = flyte_name(&id);
    json!({"metadata": {"name": name}, "stringData": {id: format!("planted-{secret}-{version}")}})
}

/// MD5 of the id in hex, as `md5sum` prints it.
fn flyte_name(id: &str) -> String {
    let mut child = std::process::Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(id.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()[..32].to_owned()
}

fn pod(name: &str, secrets: &[usize]) -> Value {
    let requests: Vec<String> = secrets
        .iter()
        .map(|n| request(&[("key", &format!("s{n}")), ("mount_requirement", "ENV_VAR"), ("env_var", &format!("S{n}"))]))
        .collect();
    task_pod(name, &requests)
}

/// The mirrors that a pod refers to.
fn references(pod: &Value) -> Vec<Place> {
    let env = pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten();
    let names = env.filter_map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str());
    names.map(|name| (text(&pod["metadata"]["namespace"]), name.to_owned())).collect()
}

fn version(mirror: &Value) -> u64 {
    let value = BASE64.decode(mirror["data"]["value"].as_str().unwrap().as_bytes()).unwrap();
    String::from_utf8(value).unwrap().rsplit('-').next().unwrap().parse().unwrap()
}

/// Two replicas of one installation whose caches begin at different times, both behind `splitter`.
struct Replicas {
    all: [Webhook; 2],
    splitter: Arc<Splitter>,
}

impl Replicas {
    async fn start(home: &Namespace, store: &str, namespaces: &[&str]) -> Self {
        let port = free_port();
        let setup = || {
            Setup::with(json!({
                "secretManagerTypes": ["Embedded"], "delivery": "SecretRef",
                "embeddedSecretManagerConfig": {"type": "K8s", "k8sConfig": {"namespace": store, "watch": false}},
                "mirrorRetention": format!("{RETENTION}s"), "mirrorGrace": format!("{GRACE}s"), "webhookTimeout": "5s",
                "url": format!("https://127.0.0.1:{port}"),
                "namespaceSelector": {
                    "matchLabels": null,
                    "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}],
                },
            }))
        };
        let mut all = [(); 2].map(|()| Webhook::configure(&home.name, &home.name, setup()));
        all[1].log.set_file_name(format!("{}-second.log", home.name));
        for (webhook, expiry) in all.iter_mut().zip(["3s", "7s"]) {
            let cache = json!({"cache": {"inMemoryFixedSize": {"defaultExpiration": expiry}}});
            webhook.add_config("z.yaml", &cache);
            webhook.init_certs().await;
        }
        let splitter = Splitter::listen(port, &[&all[0], &all[1]]).await;
        for webhook in &mut all {
            webhook.spawn();
            webhook.ready().await;
        }
        Self { all, splitter }
    }

    async fn writes(&self) -> f64 {
        self.all[0].metric("mirror_writes_total").await + self.all[1].metric("mirror_writes_total").await
    }

    /// Stops a replica for so long; without `traffic` it gets no new requests meanwhile.
    async fn pause(&self, replica: usize, seconds: u64, traffic: bool) {
        self.splitter.serves(replica, traffic);
        self.all[replica].pause(true);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.all[replica].pause(false);
        self.splitter.serves(replica, true);
    }
}

/// What goes on beside the pods, until `done`.
struct Progress {
    made: AtomicUsize,
    refused_by_quota: AtomicUsize,
    without_namespace: AtomicUsize,
    failed: AtomicUsize,
    rotations: AtomicU64,
    done: AtomicBool,
    pods: usize,
}

/// Creates pods, keeps a few alive and deletes them.
async fn work(api: Api, worker: usize, namespaces: Vec<String>, progress: Arc<Progress>) {
    let mut alive = VecDeque::new();
    let mut number = 0;
    while progress.made.fetch_add(1, Ordering::SeqCst) < progress.pods {
        number += 1;
        let turn = number * WORKERS + worker;
        // Which secrets are needed changes with time, so that some mirrors are collected and come back.
        let window = progress.made.load(Ordering::SeqCst) * 4 * SECRETS / progress.pods;
        let secrets = [(window + turn % 8) % SECRETS, (window + (turn / 7) % 8) % SECRETS];
        let secrets = if secrets[0] == secrets[1] { &secrets[..1] } else { &secrets };
        let pods = format!("/api/v1/namespaces/{}/pods", namespaces[turn % namespaces.len()]);
        let name = format!("p-{worker}-{number}");
        match api.create(&pods, &pod(&name, secrets)).await {
            Ok(_) => alive.push_back(format!("{pods}/{name}?gracePeriodSeconds=0")),
            Err(failure) if failure.message.contains("exceeded quota") => {
                progress.refused_by_quota.fetch_add(1, Ordering::SeqCst);
            }
            // The namespace goes away. That is said at once, and must not use up the pods that there are to be.
            Err(failure) if [403, 404].contains(&failure.code) => {
                progress.without_namespace.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            // A replica sleeps.
            Err(failure) => {
                assert!([409, 500, 503, 504].contains(&failure.code), "{failure:?}");
                progress.failed.fetch_add(1, Ordering::SeqCst);
            }
        }
        if alive.len() > ALIVE {
            let _ = api.delete(&alive.pop_front().unwrap()).await;
        }
    }
    for path in alive {
        let _ = api.delete(&path).await;
    }
}

/// Rotates every secret some times while pods are made.
async fn rotate(api: Api, store: String, progress: Arc<Progress>) {
    for round in 1..=ROTATIONS {
        for secret in 0..SECRETS {
            let share =
                ((round - 1) as usize * SECRETS + secret + 1) * progress.pods / (ROTATIONS as usize * SECRETS + 20);
            while progress.made.load(Ordering::SeqCst) < share && !progress.done.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let secret = stored(secret, round);
            let path = format!("/api/v1/namespaces/{store}/secrets/{}", text(&secret["metadata"]["name"]));
            api.replace(&path, &secret).await.unwrap();
            progress.rotations.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Collects everything that happens to a kind from now on. A watch that the API server ends (it has no patience with slow
/// readers) goes on where it stopped.
async fn record(
    api: &Api,
    path: &str,
    to: &mpsc::UnboundedSender<Event>,
    resumed: &Arc<AtomicUsize>,
) -> JoinHandle<()> {
    let list = api.get(path).await.unwrap();
    let mut after = text(&list["metadata"]["resourceVersion"]);
    let (api, path, to, resumed) = (api.clone(), path.to_owned(), to.clone(), Arc::clone(resumed));
    tokio::spawn(async move {
        loop {
            let mut events = std::pin::pin!(api.watch(&format!("{path}&watch=1&resourceVersion={after}")).await);
            while let Some((kind, object)) = events.next().await {
                after = text(&object["metadata"]["resourceVersion"]);
                if to.send(Event { revision: after.parse().unwrap(), kind, object }).is_err() {
                    return;
                }
            }
            resumed.fetch_add(1, Ordering::SeqCst);
        }
    })
}

/// What the history of the cluster tells.
#[derive(Default)]
struct Told {
    writes: usize,
    kinds: BTreeMap<&'static str, usize>,
    value_changes: usize,
    pods: usize,
}

/// Goes through all events in order. `doomed` is the namespace that was deleted.
fn replay(events: &mut [Event], ours: &[String], doomed: &str) -> (Told, HashMap<Place, u64>) {
    events.sort_by_key(|event| event.revision);
    let mut told = Told::default();
    let (mut mirrors, mut users) = (HashMap::<Place, u64>::new(), HashMap::<Place, usize>::new());
    let mut lives = HashMap::<Place, Vec<String>>::new();
    for Event { revision, kind, object } in events {
        let metadata = &object["metadata"];
        let place = (text(&metadata["namespace"]), text(&metadata["name"]));
        if !ours.contains(&place.0) {
            continue;
        }
        if object["data"].is_null() {
            let change = match *kind {
                "ADDED" => 1,
                "DELETED" => -1,
                _ => continue,
            };
            told.pods += usize::from(change == 1);
            for reference in references(object) {
                let there = mirrors.contains_key(&reference) || place.0 == doomed;
                assert!(
                    change < 0 || there,
                    "revision {revision}: the pod {place:?} of {} refers to a missing {reference:?}, whose life was {:#?}",
                    metadata["creationTimestamp"],
                    lives.get(&reference),
                );
                let count = users.entry(reference).or_default();
                *count = count.strict_add_signed(change);
            }
            continue;
        }
        lives.entry(place.clone()).or_default().push(format!("{revision}: {kind} {}", metadata["annotations"]));
        if place.0 != doomed {
            told.writes += 1;
            *told.kinds.entry(kind).or_default() += 1;
        }
        if *kind == "DELETED" {
            let count = users.get(&place).copied().unwrap_or_default();
            assert!(count == 0 || place.0 == doomed, "revision {revision}: {place:?} was removed under {count} pods");
            mirrors.remove(&place);
            continue;
        }
        let now = version(object);
        match mirrors.insert(place.clone(), now) {
            Some(before) => {
                assert!(now >= before, "revision {revision}: {place:?} went back from version {before} to {now}");
                told.value_changes += usize::from(now > before);
            }
            None => told.value_changes += 1,
        }
    }
    (told, mirrors)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_pods_never_refer_to_a_missing_or_older_value_and_nothing_is_left() {
    let pods = std::env::var("FLYTE_SECRETS_SOAK_PODS").map_or(10_000, |text| text.parse().unwrap());
    let (home, store) = (bed().namespace("soak-home").await, bed().namespace("soak-store").await);
    let mut all = Vec::new();
    for _ in 0..NAMESPACES + 2 {
        all.push(bed().namespace("soak").await);
    }
    let names: Vec<String> = all.iter().map(|namespace| namespace.name.clone()).collect();
    let (tight, doomed) = (&all[NAMESPACES], &all[NAMESPACES + 1]);
    let api = home.api.clone();
    let quota = json!({"metadata": {"name": "tight"}, "spec": {"hard": {"pods": "3"}}});
    api.create(&tight.path("resourcequotas"), &quota).await.unwrap();
    for secret in 0..SECRETS {
        api.create(&store.path("secrets"), &stored(secret, 0)).await.unwrap();
    }
    let (to, mut history) = mpsc::unbounded_channel();
    let resumed = Arc::default();
    let recorders = [
        record(&api, "/api/v1/secrets?labelSelector=secrets.flyte.org%2Fmirror%3Dtrue", &to, &resumed).await,
        record(&api, "/api/v1/pods?labelSelector=inject-flyte-secrets%3Dtrue", &to, &resumed).await,
    ];
    let targets: Vec<&str> = names.iter().map(String::as_str).collect();
    let replicas = Replicas::start(&home, &store.name, &targets).await;
    eventually("mirrors", 30, || async {
        let tried = all[0].try_pod(&pod("probe", &[])).await.map_err(|failure| failure.message)?;
        let calls = replicas.all[0].calls().await + replicas.all[1].calls().await;
        if calls > 1.0 { Ok(tried) } else { Err("nobody is called".to_owned()) }
    })
    .await;

    let began = Instant::now();
    let progress = Arc::new(Progress {
        made: 0.into(),
        refused_by_quota: 0.into(),
        without_namespace: 0.into(),
        failed: 0.into(),
        rotations: 0.into(),
        done: false.into(),
        pods,
    });
    let rotation = tokio::spawn(rotate(api.clone(), store.name.clone(), Arc::clone(&progress)));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            // Most pods go to the five; one worker each is at the tight and the doomed namespace.
            let places = match worker {
                0 => vec![tight.name.clone()],
                1 => vec![doomed.name.clone()],
                _ => names[..NAMESPACES].to_vec(),
            };
            tokio::spawn(work(api.clone(), worker, places, Arc::clone(&progress)))
        })
        .collect();
    let trouble = async {
        for round in 0.. {
            tokio::time::sleep(Duration::from_secs(4)).await;
            if progress.made.load(Ordering::SeqCst) >= pods {
                break;
            }
            match round {
                // The first replica leads. Longer than its Lease: the other takes over, and it wakes up as ex-leader.
                1 => replicas.pause(0, 18, false).await,
                2 => drop(api.delete(&format!("/api/v1/namespaces/{}", doomed.name)).await),
                round => replicas.pause(round % 2, 2, true).await,
            }
        }
    };
    trouble.await;
    for worker in workers {
        worker.await.unwrap();
    }
    let took = began.elapsed();
    progress.done.store(true, Ordering::SeqCst);
    rotation.await.unwrap();

    eventually("all pods are gone and nothing is left", 2 * (RETENTION + GRACE) + 30, || async {
        let left = api.get("/api/v1/secrets?labelSelector=secrets.flyte.org%2Fmirror%3Dtrue").await.unwrap();
        let left = left["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|secret| names.contains(&text(&secret["metadata"]["namespace"])));
        match left.count() {
            0 => Ok(()),
            left => Err(format!("{left} mirrors")),
        }
    })
    .await;
    let counted = replicas.writes().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(recorders.iter().all(|recorder| !recorder.is_finished()), "the whole history was recorded");
    history.close();
    let mut events = Vec::new();
    while let Some(event) = history.recv().await {
        events.push(event);
    }
    let (told, left) = replay(&mut events, &names, &doomed.name);

    let load = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    let rotations = progress.rotations.load(Ordering::SeqCst);
    writeln!(
        std::io::stdout(),
        "\n{pods} pods asked for in {took:?}: {} stored, {} refused by quota, {} without their namespace, {} failed; {rotations} rotations; {:?}, {} changes \
         of values, {counted} writes by the replicas' own count, watches resumed {} times",
        told.pods,
        load(&progress.refused_by_quota),
        load(&progress.without_namespace),
        load(&progress.failed),
        told.kinds,
        told.value_changes,
        load(&resumed),
    )
    .unwrap();
    writeln!(std::io::stdout(), "\nfigure: api_writes_{pods}_mirrored_pods = {} writes", told.writes).unwrap();
    writeln!(std::io::stdout(), "\nfigure: mirrors_left_after_grace = {} mirrors", left.len()).unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(told.pods * 10 > pods * 8, "most pods were stored");
    assert!(pods < 500 || load(&progress.refused_by_quota) > 0, "some were refused by quota");
    // One mark and one value for a change; a sentence and a removal for each; and who needs a mirror renews it every seventh
    // of the retention.
    let lifetimes = (told.kinds.get("DELETED").copied().unwrap_or_default() + 1) * 2;
    let seconds = took.as_secs() as usize + RETENTION as usize;
    let renewals = SECRETS * (NAMESPACES + 1) * (seconds * 7 / RETENTION as usize + 1);
    let bound = 3 * told.value_changes + 2 * lifetimes + renewals;
    assert!(told.writes <= bound, "{} writes, {bound} are explained", told.writes);
}
