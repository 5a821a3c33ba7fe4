//! `dev`: the whole way of a secret on one computer.

use std::io::Write;
use std::time::Instant;

use crate::program::Program;

const VALUE: &str = "a sample value of flyte-secrets dev";

#[test]
fn once_shows_the_pod_before_and_after_and_ends() {
    let program = Program::new();
    let ran = program.run(&["dev", "--once"]);
    let out = ran.done();
    assert!(out.contains("holds a new sample secret"), "{out}");
    assert!(out.contains("--- Pod flytesnacks-development/demo (as it was)"), "{out}");
    let reference = "\n+    - name: DEMO_API_KEY\n+      valueFrom:\n+        secretKeyRef:\n+          key: value\n";
    assert!(out.contains(reference) && out.contains("\n+          name: flyte-mirror-"), "{out}");
    assert!(out.contains("would write the Secret flyte-mirror-"), "{out}");
    assert!(out.ends_with("\nServed: s0=Embedded,s1=K8s.\n"), "{out}");
    assert!(!out.contains(VALUE), "{out}");
    // The sample is a secret like others.
    assert!(program.run(&["dev", "--once"]).done().contains("holds the sample secret"));
    let get = ["secret", "get", "demo_api_key", "--domain=development", "--project=flytesnacks", "--reveal"];
    assert_eq!(program.run(&get).done(), VALUE);
}

#[test]
fn a_value_that_stands_in_the_pod_is_not_shown() {
    let out = Program::new().run(&["dev", "--once", "--webhook.delivery=PodSpec"]).done();
    assert!(out.contains("\n+    - name: DEMO_API_KEY\n+      value: (the value; not shown)\n"), "{out}");
    assert!(!out.contains(VALUE) && !out.contains("would write"), "{out}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ran = Program::new().run(&["dev", "--port", &port]);
    assert!(ran.code == 1 && ran.err.starts_with("error: ") && ran.err.contains(&port), "{ran:?}");
}

/// A figure, not a limit: machines differ.
#[test]
fn the_time_that_it_takes_is_printed() {
    let mut times: Vec<u128> = (0..5)
        .map(|_| {
            let (program, start) = (Program::new(), Instant::now());
            program.run(&["dev", "--once"]).done();
            start.elapsed().as_millis()
        })
        .collect();
    times.sort_unstable();
    // Not `println!`, which is kept back as long as a test passes.
    writeln!(std::io::stdout(), "\nfigure: dev_once_ms = {} ms", times[2]).unwrap();
}
