//! The part of a cluster's DNS that the test bed lacks: one headless Service.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Where pods of the test bed ask.
const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 53);
/// The types and the class of the protocol that matter here (RFC 1035, 3.2).
const A: [u8; 2] = [0, 1];
const IN: [u8; 2] = [0, 1];
/// An answer to which nothing is to be added; and that there is no such name.
const ANSWER: [u8; 2] = [0x84, 0x00];
const NO_SUCH_NAME: [u8; 2] = [0x84, 0x03];

/// Answers until it is dropped.
pub(crate) struct Dns(JoinHandle<()>);

impl Dns {
    /// `SERVICE.NAMESPACE.svc`, with or without the cluster's domain behind it, has these addresses.
    pub(crate) async fn of(service: &str, namespace: &str, addresses: Vec<Ipv4Addr>) -> Self {
        let socket = Arc::new(UdpSocket::bind(ADDRESS).await.unwrap());
        let short = format!("{service}.{namespace}.svc");
        let names = [format!("{short}.cluster.local"), short];
        Self(tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                reply(&socket, from, &query[..length], &names, &addresses).await;
            }
        }))
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn reply(socket: &UdpSocket, to: SocketAddr, query: &[u8], names: &[String], addresses: &[Ipv4Addr]) {
    let Some((name, end)) = name(query) else { return };
    let Some(question) = query.get(12..end + 4) else { return };
    let known = names.contains(&name.to_lowercase());
    let addresses = if known && query[end..].starts_with(&A) { addresses } else { &[] };
    let count = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    let mut answer = [&query[..2], if known { &ANSWER } else { &NO_SUCH_NAME }, &[0, 1], &count, &[0; 4]].concat();
    answer.extend_from_slice(question);
    for address in addresses {
        // The name that stands behind the header; a type, a class, no time to keep it, four bytes.
        answer.extend([&[0xc0, 12][..], &A, &IN, &[0; 4], &[0, 4], &address.octets()].concat());
    }
    let _ = socket.send_to(&answer, to).await;
}

/// The name of the question, and where its type begins.
fn name(query: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            return Some((labels.join("."), at + 1));
        }
        labels.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + length)?).into_owned());
        at += 1 + length;
    }
}
