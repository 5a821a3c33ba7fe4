//! Values only come in.

use std::io::Write;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{PLANTED, SERVICE, Service, post, secret};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_answer_log_line_or_metric_holds_a_value_and_every_write_is_noted() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let service = Service::new();
    let mut seen = Vec::new();
    for message in [
        secret("a", PLANTED),
        secret("a", PLANTED),
        json!({"id": {"name": "a"}, "secretSpec": {"stringValue": [PLANTED]}}),
        json!({"id": {"name": "a"}, "secretSpec": {"stringValue": {PLANTED: 1}}}),
        json!({"id": {"name": "a"}, "secretSpec": {"binaryValue": format!("*{PLANTED}")}}),
        json!({"id": {"name": "a"}, "secretSpec": {"type": PLANTED}}),
        json!({"id": {"name": "a"}, "secretSpec": {PLANTED: PLANTED}}),
        json!({"id": {"name": "a"}, "secretSpec": PLANTED}),
        json!(PLANTED),
    ] {
        for method in ["CreateSecret", "UpdateSecret", "GetSecret", "ListSecrets", "DeleteSecret"] {
            seen.push(service.call(method, &message).await.1.to_string());
        }
    }
    for _ in 0..2 {
        seen.push(service.call("CreateSecret", &secret("a", PLANTED)).await.1.to_string());
    }
    for (kind, body) in [
        ("application/json", format!("{{\"secretSpec\": {{\"stringValue\": \"{PLANTED}")),
        ("application/proto", PLANTED.to_owned()),
        ("application/grpc", format!("\0\0\0\0\x0d{PLANTED}")),
        ("application/grpc-web+proto", format!("\0\0\0\0\x0d{PLANTED}")),
        ("text/plain", PLANTED.to_owned()),
    ] {
        let mut request = post(&format!("{SERVICE}/CreateSecret"), body);
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        seen.push(service.send(request).await.1.to_string());
    }
    seen.push(service.metrics.text());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for text in seen.iter().chain([&log]) {
        assert!(!text.contains("planted"), "{text}");
    }
    let noted = |action: &str, outcome: &str| {
        log.lines().any(|line| {
            line.contains("flyte_secrets::audit")
                && line.contains(&format!("action=\"{action}\""))
                && line.contains(&format!("outcome=\"{outcome}\""))
                && line.contains("identity=anonymous")
                && line.contains("name=\"a\"")
        })
    };
    for (action, outcome) in
        [("create", "ok"), ("create", "already_exists"), ("update", "ok"), ("delete", "ok"), ("delete", "not_found")]
    {
        assert!(noted(action, outcome), "{action} {outcome}: {log}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let service = Service::new();
    service.done("CreateSecret", &secret("a", "v")).await;
    assert_eq!(service.call("CreateSecret", &secret("a", "v")).await.0, StatusCode::CONFLICT);
    service.call("CreateSecret", &json!([])).await;
    let text = service.metrics.text();
    for code in ["ok", "already_exists", "invalid_argument"] {
        let line = format!("flyte:secret_service_requests_total{{method=\"CreateSecret\",code=\"{code}\"}} 1");
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(text.contains("flyte:secret_service_request_duration_seconds_count{method=\"CreateSecret\"} 3"), "{text}");
}
