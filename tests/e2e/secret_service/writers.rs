//! A hundred writers at once, by way of two processes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use serde_json::json;

use super::process::{Service, encoded, rights, secret, stored, value_in};
use crate::harness::{Namespace, bed};

const WRITERS: usize = 100;

/// All writers at once call one of two replicas; what each was told.
async fn at_once(replicas: &[Service; 2], method: &str, message: impl Fn(usize) -> serde_json::Value) -> Vec<String> {
    let messages: Vec<_> = (0..WRITERS).map(message).collect();
    join_all(messages.iter().enumerate().map(|(writer, message)| replicas[writer % 2].call(method, message))).await
}

fn count(answers: &[String]) -> BTreeMap<&str, usize> {
    let mut counted = BTreeMap::new();
    answers.iter().for_each(|answer| *counted.entry(answer.as_str()).or_default() += 1);
    counted
}

/// The values that the secret `shared` gets after a revision, in order, until nothing more comes.
async fn values_after(namespace: &Namespace, revision: &str) -> Vec<String> {
    let path = format!("{}?watch=true&resourceVersion={revision}", namespace.path("secrets"));
    let mut events = pin!(namespace.api.watch(&path).await);
    let mut values = Vec::new();
    while let Ok(Some((_, object))) = tokio::time::timeout(Duration::from_secs(3), events.next()).await {
        values.extend(value_in(&object, &encoded("shared")));
    }
    values
}

#[tokio::test]
async fn of_a_hundred_writers_none_loses_an_update_that_was_confirmed() {
    let namespace = bed().namespace("writers").await;
    let kubeconfig = rights(&namespace).await;
    let replica = async |name| Service::over_kubernetes(name, &namespace.name, kubeconfig.clone(), json!({})).await;
    let replicas = [replica("writers-1").await, replica("writers-2").await];

    let same = at_once(&replicas, "CreateSecret", |writer| secret("shared", &format!("v{writer}"))).await;
    assert_eq!(count(&same), BTreeMap::from([("ok", 1), ("already_exists", WRITERS - 1)]));
    let winner = same.iter().position(|answer| answer == "ok").unwrap();
    let [shared] = &stored(&namespace).await[..] else { panic!("one Secret") };
    assert_eq!(value_in(shared, &encoded("shared")).unwrap(), format!("v{winner}"));

    let each =
        at_once(&replicas, "CreateSecret", |writer| secret(&format!("own-{writer}"), &format!("v{writer}"))).await;
    assert_eq!(count(&each), BTreeMap::from([("ok", WRITERS)]));
    let all = stored(&namespace).await;
    assert_eq!(all.len(), 1 + WRITERS);
    for writer in 0..WRITERS {
        let found: Vec<_> =
            all.iter().filter_map(|secret| value_in(secret, &encoded(&format!("own-{writer}")))).collect();
        assert_eq!(found, [format!("v{writer}")], "nothing lost, nothing twice");
    }

    let revision = shared["metadata"]["resourceVersion"].as_str().unwrap();
    let updates = at_once(&replicas, "UpdateSecret", |writer| secret("shared", &format!("u{writer}"))).await;
    let confirmed: BTreeSet<_> = updates
        .iter()
        .enumerate()
        .filter(|(_, answer)| *answer == "ok")
        .map(|(writer, _)| format!("u{writer}"))
        .collect();
    // Who was told that others were faster may try again, and knows it.
    assert!(updates.iter().all(|answer| answer == "ok" || answer == "aborted"), "{updates:?}");
    let made = values_after(&namespace, revision).await;
    assert_eq!(made.len(), made.iter().collect::<BTreeSet<_>>().len(), "no update was made twice");
    let lost = confirmed.iter().filter(|value| !made.contains(value)).count();
    assert_eq!(made.len(), confirmed.len() - lost, "what was not confirmed was not made: {made:?}");
    let path = format!("{}/{}", namespace.path("secrets"), shared["metadata"]["name"].as_str().unwrap());
    let last = namespace.api.get(&path).await.unwrap();
    assert_eq!(value_in(&last, &encoded("shared")).as_ref(), made.last());
    writeln!(std::io::stdout(), "\nfigure: updates_confirmed_of_100_writers = {} updates", confirmed.len()).unwrap();
    writeln!(std::io::stdout(), "\nfigure: lost_updates_100_writers = {lost} updates").unwrap();
    assert_eq!(lost, 0);
}
