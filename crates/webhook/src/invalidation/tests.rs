//! Invalidations as their callers see them.

#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tower::ServiceExt;

use super::*;

const SECRET: &str = r#"{"org":"flyte","domain":"development","project":"p","name":"db"}"#;

fn id(org: &str, domain: &str, project: &str, name: &str) -> SecretId {
    let [org, domain, project, name] = [org, domain, project, name].map(str::to_owned);
    SecretId { org, domain, project, name }
}

fn secret() -> SecretId {
    id("flyte", "development", "p", "db")
}

#[derive(Default)]
struct Dropped(Mutex<Vec<SecretId>>);

impl Dropped {
    fn all(&self) -> Vec<SecretId> {
        self.0.lock().unwrap().clone()
    }

    fn callback(self: &Arc<Self>) -> Arc<DropSecret> {
        let dropped = Arc::clone(self);
        Arc::new(move |id| dropped.0.lock().unwrap().push(id.clone()))
    }
}

/// The routes without sockets.
struct Routes {
    router: Router,
    invalidations: Arc<Invalidations>,
    dropped: Arc<Dropped>,
    metrics: Metrics,
}

impl Routes {
    fn new(settings: InvalidationSettings) -> Self {
        Self::with(settings, None)
    }

    fn with(settings: InvalidationSettings, authenticator: Option<Authenticator>) -> Self {
        let (dropped, metrics) = (Arc::<Dropped>::default(), Metrics::new("flyte:"));
        let invalidations = Arc::new(Invalidations::new(&settings, dropped.callback(), authenticator, metrics.clone()));
        Self { router: invalidation_router(Arc::clone(&invalidations)), invalidations, dropped, metrics }
    }

    async fn post(&self, body: impl Into<Body>) -> Answer {
        self.send(Request::post(INVALIDATION_PATH).body(body.into()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    fn counted(&self, outcome: &str) -> usize {
        let series = format!("flyte:cache_invalidations_total{{outcome=\"{outcome}\"}} ");
        let text = self.metrics.text();
        text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |value| value.parse().unwrap())
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

fn limits(per_id_per_minute: u32, per_minute: u32) -> InvalidationSettings {
    InvalidationSettings { per_id_per_minute, per_minute, ..InvalidationSettings::default() }
}

#[tokio::test]
async fn a_secret_is_dropped_and_the_answer_is_an_empty_200() {
    let routes = Routes::new(InvalidationSettings::default());
    let answer = routes.post(SECRET).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(routes.dropped.all(), [secret()]);
    assert_eq!(routes.counted("dropped"), 1);
}

#[tokio::test]
async fn only_the_name_is_needed_and_what_is_not_known_is_ignored() {
    let cases = [
        (r#"{"name":"n"}"#, id("", "", "", "n")),
        (r#"{"name":"n","org":null,"domain":""}"#, id("", "", "", "n")),
        (r#" {"name":"n","value":"v","more":[1,{}]} "#, id("", "", "", "n")),
        (r#"{"org":"o","name":"\u00e4"}"#, id("o", "", "", "ä")),
    ];
    for (body, expected) in cases {
        let routes = Routes::new(InvalidationSettings::default());
        assert_eq!(routes.post(body).await.status, StatusCode::OK, "{body}");
        assert_eq!(routes.dropped.all(), [expected], "{body}");
    }
}

#[tokio::test]
async fn a_body_that_names_no_secret_is_a_400_that_does_not_repeat_it() {
    let bodies = [
        "",
        "{}",
        r#"{"name":""}"#,
        r#"{"name":null}"#,
        r#"{"name":7}"#,
        r#"{"name":"n","org":["planted"]}"#,
        r#"["planted"]"#,
        r#""planted""#,
        r#"{"name":"n"} planted"#,
        r#"{"name":"n""#,
        "name=planted",
    ];
    for body in bodies {
        let routes = Routes::new(InvalidationSettings::default());
        let answer = routes.post(body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text.contains("name") && !answer.text.contains("planted"), "{body}: {}", answer.text);
        assert_eq!((routes.dropped.all(), routes.counted("malformed")), (vec![], 1), "{body}");
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_with_a_sentence() {
    let routes = Routes::new(InvalidationSettings::default());
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
        let request = Request::builder().method(&method).uri(INVALIDATION_PATH).body(Body::from(SECRET)).unwrap();
        let answer = routes.send(request).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers[header::ALLOW], "POST");
    }
    for path in ["/", "/invalidate-secret/", "/metrics", "/invalidate-secrets"] {
        let answer = routes.send(Request::post(path).body(Body::from(SECRET)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text.contains(INVALIDATION_PATH), "{}", answer.text);
    }
    assert_eq!(routes.dropped.all(), []);
}

#[tokio::test]
async fn a_body_of_more_than_16_kib_is_not_read() {
    let routes = Routes::new(InvalidationSettings::default());
    let body = |length: usize| format!(r#"{{"name":"{}"}}"#, "n".repeat(length - 11));
    assert_eq!(routes.post(body(16 << 10)).await.status, StatusCode::OK);
    assert_eq!(routes.post(body((16 << 10) + 1)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_ends_in_408() {
    let routes = Routes::new(InvalidationSettings::default());
    let never = futures::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
    assert_eq!(routes.post(Body::from_stream(never)).await.status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_in_excess_is_a_429_and_its_secret_is_dropped_later_once() {
    let routes = Routes::new(limits(2, 600));
    let later = tokio::spawn({
        let invalidations = Arc::clone(&routes.invalidations);
        async move { invalidations.drop_later().await }
    });
    for _ in 0..2 {
        assert_eq!(routes.post(SECRET).await.status, StatusCode::OK);
    }
    for _ in 0..3 {
        let answer = routes.post(SECRET).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers[header::RETRY_AFTER], "30");
        assert!(answer.text.contains("will be dropped"), "{}", answer.text);
    }
    assert_eq!(routes.dropped.all().len(), 2);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(routes.dropped.all(), [secret(), secret(), secret()]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(routes.dropped.all().len(), 3);
    let counted = ["dropped", "deferred", "dropped_later"].map(|outcome| routes.counted(outcome));
    assert_eq!(counted, [2, 3, 1]);
    later.abort();
}

#[tokio::test(start_paused = true)]
async fn one_that_is_due_before_the_others_does_not_wait_for_them() {
    let routes = Routes::new(limits(1, 600));
    let later = tokio::spawn({
        let invalidations = Arc::clone(&routes.invalidations);
        async move { invalidations.drop_later().await }
    });
    routes.post(r#"{"name":"early"}"#).await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    // `late` is due in 60 s and waited for; `early`, which is asked for behind it, in 10 s.
    routes.post(r#"{"name":"late"}"#).await;
    routes.post(r#"{"name":"late"}"#).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    routes.post(r#"{"name":"early"}"#).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let names: Vec<String> = routes.dropped.all().into_iter().map(|id| id.name).collect();
    assert_eq!(names, ["early", "late", "early"]);
    later.abort();
}

#[tokio::test]
async fn callers_in_excess_take_no_more_memory_than_there_is() {
    let routes = Routes::new(limits(1, 1));
    let mut last = None;
    for index in 0..limiter::MAX_REMEMBERED + 2 {
        last = Some(routes.post(format!(r#"{{"name":"n{index}"}}"#)).await);
    }
    let last = last.unwrap();
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.text.contains("ask again") && last.headers.contains_key(header::RETRY_AFTER), "{last:?}");
    assert_eq!((routes.counted("dropped"), routes.counted("refused")), (1, 1));
}

#[tokio::test]
async fn a_caller_without_a_good_token_is_not_let_in_and_its_body_is_not_read() {
    let answers = |status: serde_json::Value| {
        let service = tower::service_fn(move |_: Request<kube::client::Body>| {
            let answer = serde_json::json!({"status": status}).to_string();
            async move {
                Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::from(answer.into_bytes())))
            }
        });
        Authenticator::new(kube::Client::new(service, "default"), &["flyte/secret-service".to_owned()])
    };
    let user = |name: &str| serde_json::json!({"authenticated": true, "user": {"username": name}});
    let cases = [
        (user("system:serviceaccount:flyte:secret-service"), StatusCode::OK, "dropped"),
        (user("system:serviceaccount:evil:pod"), StatusCode::FORBIDDEN, "forbidden"),
        (serde_json::json!({"authenticated": false}), StatusCode::UNAUTHORIZED, "unauthenticated"),
        (serde_json::json!("nonsense"), StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    ];
    for (status, expected, outcome) in cases {
        let routes = Routes::with(InvalidationSettings::default(), Some(answers(status)));
        let request = Request::post(INVALIDATION_PATH).header(header::AUTHORIZATION, "Bearer aa.bb.cc");
        let answer = routes.send(request.body(Body::from(SECRET)).unwrap()).await;
        assert_eq!((answer.status, routes.counted(outcome)), (expected, 1), "{}", answer.text);
        assert_eq!(answer.headers.contains_key(header::WWW_AUTHENTICATE), expected == StatusCode::UNAUTHORIZED);
        assert_eq!(routes.dropped.all().len(), usize::from(expected == StatusCode::OK));
        assert_eq!(routes.post(SECRET).await.status, StatusCode::UNAUTHORIZED, "without any token");
    }
}

/// A port on the loopback.
struct Port {
    running: Running,
    dropped: Arc<Dropped>,
    stop: oneshot::Sender<()>,
}

impl Port {
    async fn open(limits: Limits) -> Self {
        let dropped = Arc::<Dropped>::default();
        let (stop, stopped) = oneshot::channel();
        let settings = InvalidationSettings {
            address: Some([127, 0, 0, 1].into()),
            port: 0,
            limits,
            ..InvalidationSettings::default()
        };
        let shutdown = async { stopped.await.unwrap_or_default() };
        let running = serve_invalidation(settings, dropped.callback(), None, Metrics::new(""), shutdown).await.unwrap();
        Self { running, dropped, stop }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.running.addr).await.unwrap()
    }
}

fn http1(connection: &str) -> String {
    let length = SECRET.len();
    format!(
        "POST /invalidate-secret HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\ncontent-length: {length}\r\n\r\n{SECRET}"
    )
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes));
    // A reset is an end, too.
    let _ = read.await.expect("the server keeps the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_real_connection_is_served_and_kept_for_the_next_request() {
    let port = Port::open(LIMITS).await;
    let mut stream = port.connect().await;
    stream.write_all(http1("keep-alive").as_bytes()).await.unwrap();
    stream.write_all(http1("close").as_bytes()).await.unwrap();
    let answers = until_closed(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answers}");
    assert_eq!(port.dropped.all(), [secret(), secret()]);
}

#[tokio::test]
async fn a_caller_that_sends_its_head_slowly_is_cut() {
    let port = Port::open(Limits { header_read: Duration::from_millis(100), ..LIMITS }).await;
    let mut stream = port.connect().await;
    stream.write_all(b"POST /invalidate-secret HTTP/1.1\r\nx-long: ").await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn no_more_connections_are_served_than_allowed_and_others_wait() {
    let port = Port::open(Limits { connections: 1, ..LIMITS }).await;
    let mut first = port.connect().await;
    first.write_all(http1("keep-alive").as_bytes()).await.unwrap();
    first.read_exact(&mut [0; 12]).await.unwrap();
    let mut second = port.connect().await;
    second.write_all(http1("close").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(port.dropped.all().len(), 1);
    drop(first);
    assert!(until_closed(&mut second).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_port_closes_at_the_end() {
    let port = Port::open(LIMITS).await;
    port.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), port.running.handle).await.unwrap().unwrap();
    assert!(TcpStream::connect(port.running.addr).await.is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_its_key() {
    let port = Port::open(LIMITS).await;
    let settings = InvalidationSettings {
        address: Some([127, 0, 0, 1].into()),
        port: port.running.addr.port(),
        ..InvalidationSettings::default()
    };
    let dropped = Arc::<Dropped>::default().callback();
    let error = serve_invalidation(settings, dropped, None, Metrics::new(""), async {}).await.unwrap_err();
    assert!(error.to_string().contains("webhook.cacheInvalidationPort"), "{error}");
}
