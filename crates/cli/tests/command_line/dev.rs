//! `dev`: the whole way of a secret on one computer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
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
    assert!(out.contains("\nServed: s0=Embedded,s1=K8s.\n"), "{out}");
    assert!(!out.contains(VALUE), "{out}");
    // The sample is a secret like others.
    assert!(program.run(&["dev", "--once"]).done().contains("holds the sample secret"));
    let get = ["secret", "get", "demo_api_key", "--domain=development", "--project=flytesnacks", "--reveal"];
    assert_eq!(program.run(&get).done(), VALUE);
}

#[test]
fn once_shows_a_secret_that_is_created_updated_and_removed_by_the_secret_service() {
    let program = Program::new();
    let ran = program.run(&["dev", "--once"]);
    let shown = "  created flyte_secrets_dev_token: the next pod gets its value\n  \
                 updated flyte_secrets_dev_token: the next pod gets the new value\n  \
                 deleted flyte_secrets_dev_token\n";
    assert!(ran.code == 0 && ran.out.ends_with(shown.as_bytes()), "{ran:?}");
    let changes = ran.err.matches("flyte_secrets_dev_token").count();
    assert!(changes == 3 && ran.err.contains("flyte_secrets::audit"), "each change is in the log: {ran:?}");
    assert!(!format!("{ran:?}").contains("first value"), "{ran:?}");
    let left = program.run(&["secret", "list", "-o", "json"]).done();
    assert!(left.contains("demo_api_key") && !left.contains("dev_token"), "{left}");
}

#[test]
fn a_secret_that_a_killed_run_left_behind_is_used_and_removed() {
    let program = Program::new();
    let left = ["secret", "create", "flyte_secrets_dev_token", "--domain=development", "--project=flytesnacks"];
    assert_eq!(program.run_with(&left, b"old").code, 0);
    assert!(program.run(&["dev", "--once"]).done().ends_with("  deleted flyte_secrets_dev_token\n"));
}

#[test]
fn the_secret_service_writes_to_the_local_store_until_it_is_told_to_end() {
    let program = Program::new();
    let mut dev = program.start(&["dev", "--port=0", "--service-port=0"]);
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines().map(Result::unwrap);
    let serves = lines.find(|line| line.contains("the Secret service on http://")).unwrap();
    let address = serves.rsplit("http://").next().unwrap().trim_end_matches('.');
    lines.find(|line| line.ends_with("Ctrl-C ends both.")).unwrap();

    let body = r#"{"id": {"name": "by_rest", "domain": "development"}, "secretSpec": {"stringValue": "v"}}"#;
    let request = format!(
        "POST /secrets/api/v1 HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (mut stream, mut answer) = (TcpStream::connect(address).unwrap(), String::new());
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(program.run(&["secret", "get", "by_rest", "--domain=development", "--reveal"]).done(), "v");

    assert!(std::process::Command::new("kill").args(["-INT", &dev.id().to_string()]).status().unwrap().success());
    assert!(dev.wait().unwrap().success());
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
    for taken in ["--port", "--service-port"] {
        let other = if taken == "--port" { "--service-port=0" } else { "--port=0" };
        let ran = Program::new().run(&["dev", taken, &port, other]);
        assert!(ran.code == 1 && ran.err.starts_with("error: ") && ran.err.contains(&port), "{ran:?}");
    }
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
