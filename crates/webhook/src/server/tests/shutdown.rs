use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{StatusCode, header};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::support::{Client, Script, Server, quick};
use crate::server::ServerSettings;

/// Long enough for a busy machine; a test that waits this long has failed.
const SOON: Duration = Duration::from_secs(10);

struct Waiting {
    server: Server,
    begun: Arc<Notify>,
    leave: Arc<Notify>,
}

impl Waiting {
    async fn start(settings: ServerSettings) -> Self {
        let (begun, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let script = Script::Wait { begun: Arc::clone(&begun), leave: Arc::clone(&leave) };
        Self { server: Server::start(script, settings).await, begun, leave }
    }

    fn stop(&mut self) {
        self.server.stop.take().unwrap().send(()).unwrap();
    }

    async fn until_port_is_closed(&self) {
        let closed = async {
            while TcpStream::connect(self.server.addr).await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, closed).await.expect("the port stays open");
    }
}

/// Not ready, still serving, no new connections, what is under way is answered, closed.
async fn ends_in_order(http2: bool) {
    let mut waiting = Waiting::start(quick()).await;
    let connect = async || if http2 { waiting.server.http2().await } else { waiting.server.http1().await };
    let mut under_way: Client = connect().await;
    let under_way = tokio::spawn(async move { (under_way.review().await, under_way.ended) });
    waiting.begun.notified().await;
    assert_eq!(waiting.server.plain("/readyz").await.unwrap().status, StatusCode::OK);

    waiting.stop();
    let not_ready = async {
        loop {
            let answer = waiting.server.plain("/readyz").await.unwrap();
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                return answer.text;
            }
        }
    };
    let reasons = timeout(SOON, not_ready).await.unwrap();
    assert!(reasons.starts_with("draining: "), "{reasons}");

    let mut late = if http2 { waiting.server.http2().await } else { waiting.server.http1().await };
    let late = tokio::spawn(async move { late.review().await });
    waiting.begun.notified().await;

    waiting.until_port_is_closed().await;
    assert!(!under_way.is_finished(), "a review under way was given up");
    assert_eq!(waiting.server.plain("/healthz").await.unwrap().status, StatusCode::OK);

    waiting.leave.notify_waiters();
    let (answer, connection) = timeout(SOON, under_way).await.unwrap().unwrap();
    assert_eq!(answer.unwrap().status, StatusCode::OK);
    assert_eq!(timeout(SOON, late).await.unwrap().unwrap().unwrap().status, StatusCode::OK);
    timeout(SOON, connection).await.expect("the connection stays open").unwrap();
    timeout(SOON, waiting.server.handle).await.expect("the server does not end").unwrap();
    assert!(TcpStream::connect(waiting.server.metrics_addr).await.is_err());
}

#[tokio::test]
async fn shutdown_is_in_order_over_http1() {
    ends_in_order(false).await;
}

#[tokio::test]
async fn shutdown_is_in_order_over_http2() {
    ends_in_order(true).await;
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let settings = ServerSettings { shutdown_delay: Duration::ZERO, ..quick() };
    let mut server = Server::start(Script::Patch, settings).await;
    let mut clients = [server.http1().await, server.http2().await];
    for client in &mut clients {
        client.review().await.unwrap();
    }
    let begun = Instant::now();
    server.stop.take().unwrap().send(()).unwrap();
    timeout(SOON, server.handle).await.unwrap().unwrap();
    assert!(begun.elapsed() < quick().webhook_timeout, "the connections had to be cut");
}

#[tokio::test]
async fn a_review_that_does_not_end_is_cut_after_the_webhook_timeout() {
    let settings =
        ServerSettings { shutdown_delay: Duration::ZERO, webhook_timeout: Duration::from_millis(300), ..quick() };
    let mut waiting = Waiting::start(settings).await;
    let mut client = waiting.server.http1().await;
    let review = tokio::spawn(async move { client.review().await });
    waiting.begun.notified().await;
    waiting.stop();
    timeout(SOON, waiting.server.handle).await.expect("the server does not end").unwrap();
    assert!(review.await.unwrap().is_err());
}

#[tokio::test]
async fn from_the_signal_on_answers_over_http1_ask_for_a_new_connection_and_those_over_http2_do_not() {
    let settings = ServerSettings { shutdown_delay: SOON, ..quick() };
    let mut server = Server::start(Script::Patch, settings).await;
    let (mut http1, mut http2) = (server.http1().await, server.http2().await);
    for client in [&mut http1, &mut http2] {
        assert_eq!(client.review().await.unwrap().headers.get(header::CONNECTION), None);
    }
    server.stop.take().unwrap().send(()).unwrap();
    while server.plain("/readyz").await.unwrap().status == StatusCode::OK {
        sleep(Duration::from_millis(5)).await;
    }
    let answer = http1.review().await.unwrap();
    assert_eq!(answer.headers[header::CONNECTION], "close");
    assert_eq!(answer.status, StatusCode::OK);
    timeout(SOON, http1.ended).await.expect("the connection stays open").unwrap();
    assert_eq!(http2.review().await.unwrap().headers.get(header::CONNECTION), None);
    assert!(!http2.ended.is_finished());
    assert_eq!(server.http1().await.review().await.unwrap().status, StatusCode::OK, "new connections are taken");
}

#[tokio::test]
async fn an_end_during_a_request_tells_http2_clients_to_go_elsewhere_and_answers_it() {
    let mut waiting = Waiting::start(ServerSettings { shutdown_delay: Duration::ZERO, ..quick() }).await;
    let mut client = waiting.server.http2().await;
    let under_way = tokio::spawn(async move { (client.review().await, client) });
    waiting.begun.notified().await;
    waiting.stop();
    waiting.until_port_is_closed().await;
    waiting.leave.notify_waiters();
    let (answer, client) = timeout(SOON, under_way).await.unwrap().unwrap();
    assert_eq!(answer.unwrap().status, StatusCode::OK);
    timeout(SOON, client.ended).await.expect("no GOAWAY").unwrap();
}

#[tokio::test]
async fn a_connection_that_never_asks_for_anything_does_not_hold_up_the_end() {
    let settings =
        ServerSettings { shutdown_delay: Duration::ZERO, webhook_timeout: Duration::from_secs(60), ..quick() };
    let mut server = Server::start(Script::Patch, settings).await;
    let silent = server.connect(&[]).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    server.stop.take().unwrap().send(()).unwrap();
    timeout(SOON, server.handle).await.expect("the server waits for a silent connection").unwrap();
    drop(silent);
}

#[tokio::test]
async fn a_connection_that_waits_to_be_accepted_at_the_end_is_served() {
    let settings = ServerSettings { shutdown_delay: Duration::ZERO, ..quick() };
    let mut server = Server::start(Script::Patch, settings).await;
    server.stop.take().unwrap().send(()).unwrap();
    // Nothing of the server runs before this test waits for something.
    let tcp = std::net::TcpStream::connect(server.addr).unwrap();
    tcp.set_nonblocking(true).unwrap();
    let mut client = server.http1_over(TcpStream::from_std(tcp).unwrap()).await;
    let answer = client.review().await.unwrap();
    assert_eq!(answer.headers[header::CONNECTION], "close");
    assert_eq!(answer.status, StatusCode::OK);
}
