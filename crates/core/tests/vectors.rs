//! Every golden pod: what Flyte's own code makes of it, and where ours departs on purpose.
//!
//! `testdata/public.json` was made by running the reference's functions; its notes say how to read it.
//! Admission `denied` or `unchanged` here means that a request is served by nobody.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::normalised::normalised;
use common::{injected, settings};
use flyte_secrets_core::settings::{Delivery, InitContainerPlacement};
use serde_json::{Value, json};

fn cases() -> Vec<Value> {
    let document: Value = serde_json::from_str(include_str!("../testdata/public.json")).unwrap();
    document["cases"].as_array().unwrap().clone()
}

#[test]
fn pods_come_out_as_from_the_reference() {
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.get("departs").is_none()) {
        let (name, expect) = (case["name"].as_str().unwrap(), &case["expect"]);
        let mut settings = settings(case);
        settings.init_container_placement = InitContainerPlacement::Last;
        let ours = injected(case, &settings, &case["pod"]).filter(|ours| ours.served_by.iter().all(Option::is_some));
        match (expect["admission"].as_str().unwrap(), ours) {
            ("patched", Some(ours)) => {
                let (pod, expected) = (normalised(ours.pod), normalised(expect["pod"].clone()));
                if pod != expected {
                    wrong.push(format!("{name}:\n ours     {pod}\n expected {expected}"));
                }
                if expect.get("served_by").is_some() && json!(ours.served_by) != expect["served_by"] {
                    wrong.push(format!("{name}: served by {:?}", ours.served_by));
                }
            }
            ("unchanged", Some(ours)) if ours.pod == case["pod"] => {}
            ("unchanged" | "denied", None) => {}
            (admission, ours) => wrong.push(format!("{name}: {admission}, ours {ours:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_second_pass_over_our_own_output_changes_nothing() {
    for case in cases() {
        for placement in [InitContainerPlacement::AfterSidecars, InitContainerPlacement::Last] {
            for delivery in [Delivery::PodSpec, Delivery::SecretRef] {
                let mut settings = settings(&case);
                (settings.init_container_placement, settings.delivery) = (placement, delivery);
                if let Some(once) = injected(&case, &settings, &case["pod"]) {
                    let twice = injected(&case, &settings, &once.pod).unwrap();
                    assert_eq!(once.pod, twice.pod, "{}", case["name"]);
                }
            }
        }
    }
}
