//! A hundred thousand reviews that are random, broken, or both: no panic, no answer that is not one, no memory that grows.
//!
//! Every input has a seed; `FUZZ_SEED=… cargo test -p flyte-secrets-webhook --test fuzz_reviews` plays one again, and
//! `FUZZ_FROM=…` begins elsewhere.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub)]

mod mutations;
mod random;
mod requests;
mod reviews;
mod subject;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use data_encoding::BASE64;
use flyte_secrets_webhook::server::Limits;
use http::StatusCode;
use serde_json::Value;

use random::Random;
use subject::Subject;

const INPUTS: u64 = 100_000;
const THREADS: u64 = 2;
/// Kilobytes by which the peak of the memory in use may grow.
const MAX_GROWTH: usize = 64 << 10;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// How often each kind of answer came.
#[derive(Debug, Default)]
struct Tally {
    patched: usize,
    unchanged: usize,
    unserved: usize,
    refused_400: usize,
    refused_503: usize,
    no_review: usize,
}

#[test]
fn a_hundred_thousand_reviews_are_each_answered_rightly_or_refused_clearly() {
    let played = |name: &str| std::env::var(name).ok().map(|seed| seed.parse::<u64>().unwrap());
    let (from, count) = match played("FUZZ_SEED") {
        Some(seed) => (seed, 1),
        None => (played("FUZZ_FROM").unwrap_or(1), INPUTS),
    };
    println!("seeds {from} to {}", from + count - 1);
    std::panic::set_hook(Box::new(|info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        println!("{info}");
    }));
    let before = peak_memory();
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let threads = (0..THREADS)
            .map(|thread| scope.spawn(move || run((from + thread..from + count).step_by(THREADS as usize))));
        threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let growth = peak_memory() - before;
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "reviews that ended in a panic; see above");
    if count < INPUTS {
        return;
    }
    let sum = |one: fn(&Tally) -> usize| tallies.iter().map(one).sum::<usize>();
    // Every kind of answer is tried often enough to mean something.
    for (kind, count) in [
        ("patched", sum(|tally| tally.patched)),
        ("unchanged", sum(|tally| tally.unchanged)),
        ("unserved", sum(|tally| tally.unserved)),
        ("refused_400", sum(|tally| tally.refused_400)),
        ("refused_503", sum(|tally| tally.refused_503)),
        ("no_review", sum(|tally| tally.no_review)),
    ] {
        println!("{kind} {count}");
        assert!(count > 1000, "{kind}: {count}");
    }
    assert!(growth < MAX_GROWTH, "the peak of the memory in use has grown by {growth} KiB");
    // Not `println!`, which is kept back as long as a test passes.
    let figures = format!("\nfigure: fuzzed_inputs = {count} count\nfigure: fuzz_memory_growth = {growth} KiB\n");
    std::io::stdout().write_all(figures.as_bytes()).unwrap();
}

fn run(seeds: impl Iterator<Item = u64>) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (subjects, mut tally) = (Subject::all(), Tally::default());
    for seed in seeds {
        let mut random = Random::new(seed);
        let subject = &subjects[random.below(subjects.len())];
        let input = input(&mut random);
        runtime.block_on(check(seed, subject, input, &mut tally));
    }
    for subject in &subjects {
        assert!(subject.metrics.text().contains("admission_panics_total 0\n"));
    }
    tally
}

struct Input {
    bytes: Vec<u8>,
    /// Nothing was changed: this has to be read as a review.
    whole: bool,
}

fn input(random: &mut Random) -> Input {
    let mut review = reviews::review(random);
    let kind = random.below(10);
    if (4..9).contains(&kind) {
        mutations::of_members(random, &mut review);
    }
    let mut bytes = serde_json::to_vec(&review).unwrap();
    if kind >= 7 {
        mutations::of_bytes(random, &mut bytes);
    }
    Input { bytes, whole: kind < 4 }
}

async fn check(seed: u64, subject: &Subject, Input { bytes, whole }: Input, tally: &mut Tally) {
    let (status, answer) = subject.post(bytes.clone()).await;
    if bytes.len() > Limits::default().body {
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "seed {seed}");
        return;
    }
    if status != StatusCode::OK {
        assert_eq!(status, StatusCode::BAD_REQUEST, "seed {seed}");
        assert!(
            !whole && answer.starts_with(b"this is no AdmissionReview: ") && answer.len() < 2048,
            "seed {seed}: {answer:?}"
        );
        tally.no_review += 1;
        return;
    }
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let response = &answer["response"];
    assert_eq!(answer["kind"], "AdmissionReview", "seed {seed}");
    // Deeper than 128 levels nobody reads it as values; it is answered all the same.
    let review: Option<Value> = serde_json::from_slice(&bytes).ok();
    if let Some(review) = &review {
        assert_eq!(response["uid"], review["request"]["uid"], "seed {seed}");
        assert_eq!(answer["apiVersion"], review["apiVersion"], "seed {seed}");
    }
    if response["allowed"] == false {
        refused(seed, subject, response, tally);
        return;
    }
    assert!(response["allowed"] == true && response.get("status").is_none(), "seed {seed}: {response}");
    match (response.get("patch"), review) {
        (Some(patch), Some(review)) => {
            patched(seed, subject, patch, review).await;
            tally.patched += 1;
        }
        (Some(_), None) => {}
        (None, _) if response["auditAnnotations"]["unserved"] == "true" => {
            let warning = response["warnings"][0].as_str().unwrap();
            assert!(warning.starts_with("admitted without its secrets: "), "seed {seed}: {warning}");
            tally.unserved += 1;
        }
        (None, _) => tally.unchanged += 1,
    }
}

fn refused(seed: u64, subject: &Subject, response: &Value, tally: &mut Tally) {
    let (status, message) = (&response["status"], response["status"]["message"].as_str().unwrap());
    assert!(response.get("patch").is_none(), "seed {seed}");
    assert!(message.len() > 40 && message.len() <= 8192, "seed {seed}: {message}");
    assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "seed {seed}: {message:?}");
    match status["code"].as_u64() {
        Some(400) => tally.refused_400 += 1,
        Some(503) => {
            assert!(
                subject.store.has_failed.load(Ordering::Relaxed),
                "seed {seed}: 503 though the store is fine: {message}"
            );
            tally.refused_503 += 1;
        }
        other => panic!("seed {seed}: code {other:?}: {message}"),
    }
}

/// The patch applies, and a second pass has nothing to add.
async fn patched(seed: u64, subject: &Subject, patch: &Value, mut review: Value) {
    let patch = BASE64.decode(patch.as_str().unwrap().as_bytes()).unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    let object = &mut review["request"]["object"];
    if let Err(error) = json_patch::patch(object, &patch) {
        panic!("seed {seed}: the patch does not apply: {error}\n{patch}\n{object}");
    }
    let (_, again) = subject.post(serde_json::to_vec(&review).unwrap()).await;
    let again: Value = serde_json::from_slice(&again).unwrap();
    let response = &again["response"];
    if response["allowed"] != true || response.get("patch").is_some() {
        let patch =
            response["patch"].as_str().map(|patch| BASE64.decode(patch.as_bytes()).unwrap()).unwrap_or_default();
        panic!(
            "seed {seed}: a second pass changes the pod: {response}\n{}\n{}",
            String::from_utf8_lossy(&patch),
            review["request"]["object"]
        );
    }
}

/// The most memory that this process has had in use, in KiB (Linux).
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
