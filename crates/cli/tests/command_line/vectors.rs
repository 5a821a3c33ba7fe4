//! Every golden pod through `inject`, configured to do as the reference does.

use serde_json::{Value, json};

use crate::normalised::normalised;
use crate::program::{Program, Ran};

/// Where fetch containers stand, compared with the pod's own init containers.
#[derive(Clone, Copy, Debug)]
enum Placement {
    AsTheReference,
    Default,
}

fn cases() -> Vec<Value> {
    let document: Value = serde_json::from_str(include_str!("../../../core/testdata/public.json")).unwrap();
    let runs = |case: &Value| !case["name"].as_str().unwrap().starts_with("pull_secret_");
    document["cases"].as_array().unwrap().iter().filter(|case| runs(case)).cloned().collect()
}

fn play(case: &Value, placement: Placement) -> Ran {
    let mut webhook = case["config"].clone();
    webhook["delivery"] = json!("PodSpec");
    webhook["accessPolicy"] = json!({"mode": "Off"});
    webhook["onManagerFailure"] = json!("Next");
    if let Placement::AsTheReference = placement {
        webhook["initContainerPlacement"] = json!("Last");
    }
    let mut config = json!({"webhook": webhook});
    if let Some(secrets) = case.get("secrets_config") {
        config["secrets"] = secrets.clone();
    }
    let store = case.get("store").cloned().unwrap_or_else(|| json!({}));
    let program = Program::new();
    program.file("config.yaml", config.to_string()).file("pod.json", case["pod"].to_string());
    program.file("values.json", store.to_string()).file("secrets/other", "");
    for (path, content) in case["files"].as_object().into_iter().flatten() {
        program.file(&format!("secrets/{path}"), content.as_str().unwrap());
    }
    let profile = if case["profile"] == "v1" { "flyte1" } else { "flyte2" };
    let arguments = "inject -f pod.json --config config.yaml --values values.json --secrets-prefix secrets -o json";
    let mut arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    arguments.extend(["--profile".to_owned(), profile.to_owned()]);
    for (name, value) in case["env"].as_object().into_iter().flatten() {
        arguments.extend(["--env".to_owned(), format!("{name}={}", value.as_str().unwrap())]);
    }
    program.run(&arguments)
}

/// Plays all cases, on two threads; gives what is wrong with each.
fn wrong(check: impl Fn(&Value) -> Result<(), String> + Sync) -> Vec<String> {
    let cases = cases();
    let halves: Vec<&[Value]> = cases.chunks(cases.len().div_ceil(2)).collect();
    let one = |case: &Value| check(case).err().map(|wrong| format!("{}: {wrong}", case["name"]));
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            halves.iter().map(|half| scope.spawn(|| half.iter().filter_map(one).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[track_caller]
fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn printed(ran: &Ran) -> Result<Value, String> {
    serde_json::from_slice(&ran.out).map_err(|error| format!("{error}: {ran:?}"))
}

/// The last line of standard error.
fn refusal(ran: &Ran) -> Result<Value, String> {
    let line = ran.err.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|error| format!("{error}: {ran:?}"))
}

fn check_refusal(ran: &Ran, case: &Value) -> Result<(), String> {
    let refusal = refusal(ran)?;
    let members: Vec<&str> = refusal.as_object().unwrap().keys().map(String::as_str).collect();
    let metadata = &case["pod"]["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    let object = format!("Pod {namespace}/{}", metadata["name"].as_str().unwrap_or("(no name)"));
    let started = case["expect"]["error"].as_str().map_or("", |error| &error[..error.floor_char_boundary(40)]);
    let fits = (ran.code, ran.out.len()) == (3, 0)
        && members == ["level", "object", "code", "reason", "message"]
        && (&refusal["level"], &refusal["object"]) == (&json!("refusal"), &json!(object))
        && refusal["message"].as_str().unwrap().starts_with(started);
    if fits { Ok(()) } else { Err(format!("{started:?} {ran:?}")) }
}

#[test]
fn pods_come_out_as_from_the_reference() {
    assert_none(wrong(|case| {
        if case.get("departs").is_some() {
            return Ok(());
        }
        let (ran, expect) = (play(case, Placement::AsTheReference), &case["expect"]);
        match (expect["admission"].as_str().unwrap(), ran.code) {
            ("patched", 0) => {
                let (ours, theirs) = (normalised(printed(&ran)?), normalised(expect["pod"].clone()));
                if ours == theirs { Ok(()) } else { Err(format!("\n ours     {ours}\n expected {theirs}")) }
            }
            ("unchanged", 0) if printed(&ran)? == case["pod"] => Ok(()),
            ("denied", 3) if refusal(&ran)?["code"] == expect["code"] => check_refusal(&ran, case),
            _ => Err(format!("{} expected, {ran:?}", expect["admission"])),
        }
    }));
}

#[test]
fn a_request_that_flyte_1_leaves_unserved_is_told() {
    assert_none(wrong(|case| {
        let asked = case["secrets"].as_array().is_some_and(|secrets| !secrets.is_empty());
        if case["profile"] != "v1" || case["expect"]["admission"] != "unchanged" || !asked {
            return Ok(());
        }
        let ran = play(case, Placement::Default);
        let is_told = ran.err.lines().any(|line| {
            let message: Value = serde_json::from_str(line).unwrap();
            let text = message["message"].as_str().unwrap();
            message["level"] == "warning"
                && (text.contains("none of the secret managers") || text.contains("failed to unmarshal"))
        });
        if is_told && ran.code == 0 { Ok(()) } else { Err(format!("{ran:?}")) }
    }));
}

#[test]
fn pods_that_depart_from_the_reference_are_patched_or_refused() {
    assert_none(wrong(|case| {
        if case.get("departs").is_none() {
            return Ok(());
        }
        let ran = play(case, Placement::AsTheReference);
        match ran.code {
            0 => printed(&ran).map(drop),
            _ => check_refusal(&ran, &json!({"pod": case["pod"], "expect": {}})),
        }
    }));
}

#[test]
fn by_default_only_the_place_of_fetch_containers_differs_from_the_reference() {
    assert_none(wrong(|case| {
        let (last, default) = (play(case, Placement::AsTheReference), play(case, Placement::Default));
        if last.code != 0 {
            return if last.code == default.code { Ok(()) } else { Err(format!("{last:?}\n{default:?}")) };
        }
        let (last, default) = (parts(printed(&last)?, case), parts(printed(&default)?, case));
        if (&last.own, &last.fetch, &last.pod) != (&default.own, &default.fetch, &default.pod) {
            return Err("more than the place of fetch containers differs".to_owned());
        }
        let places = |fetch: usize, own: usize| (!default.fetch.is_empty()).then_some((fetch, own));
        let behind_all = places(last.own.len(), last.own.len());
        let behind_sidecars = places(default.sidecars, default.sidecars);
        if (last.place, default.place) == (behind_all, behind_sidecars) {
            Ok(())
        } else {
            Err(format!("places {:?} and {:?}", last.place, default.place))
        }
    }));
}

/// A pod taken apart.
struct Parts {
    /// Without init containers.
    pod: Value,
    /// The task's own init containers.
    own: Vec<Value>,
    fetch: Vec<Value>,
    /// How many init containers of the task stand before the first and the last fetch container.
    place: Option<(usize, usize)>,
    /// How many native sidecars stand at the front of the task's own.
    sidecars: usize,
}

fn parts(mut pod: Value, case: &Value) -> Parts {
    let taken = pod["spec"].as_object_mut().unwrap().remove("initContainers");
    let before = case["pod"]["spec"]["initContainers"].as_array().cloned().unwrap_or_default();
    let is_own = |container: &Value| before.iter().any(|own| own["name"] == container["name"]);
    let all = taken.and_then(|all| all.as_array().cloned()).unwrap_or_default();
    let (mut own, mut fetch, mut place) = (Vec::new(), Vec::new(), None);
    for container in all {
        if is_own(&container) {
            own.push(container);
        } else {
            place = Some((place.map_or(own.len(), |(first, _)| first), own.len()));
            fetch.push(container);
        }
    }
    let sidecars = own.iter().take_while(|container| container["restartPolicy"] == "Always").count();
    Parts { pod, own, fetch, place, sidecars }
}
