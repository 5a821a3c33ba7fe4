//! Plain HTTP to a server on this machine.

use http::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Posts JSON; gives status and body, whatever they are.
pub(crate) async fn post_text(address: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    send_text(&Method::POST, address, path, headers, body).await
}

/// Sends JSON; gives status and body, whatever they are.
pub(crate) async fn send_text(method: &Method, address: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// Posts JSON to a server that answers with JSON.
pub(crate) async fn post(address: &str, path: &str, body: &Value) -> Value {
    let (status, text) = post_text(address, path, "", &body.to_string()).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}
