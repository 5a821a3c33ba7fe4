//! Several webhooks behind one address, connection by connection: TLS goes through to the one that is reached.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};

use super::webhook::free_port;

/// The address, and who is behind it.
pub(crate) struct Relay {
    pub(crate) port: u16,
    to: Mutex<Vec<u16>>,
    turn: AtomicUsize,
}

impl Relay {
    /// Listens, with nobody behind it.
    pub(crate) async fn listen() -> Arc<Self> {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let relay = Arc::new(Self { port, to: Mutex::default(), turn: AtomicUsize::new(0) });
        let here = Arc::clone(&relay);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let Some(port) = here.next() else { continue };
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        relay
    }

    /// New connections go to these ports in turn, as to the endpoints of a Service that are ready.
    pub(crate) fn leads_to(&self, ports: &[u16]) {
        *self.to.lock().unwrap() = ports.to_vec();
    }

    fn next(&self) -> Option<u16> {
        let to = self.to.lock().unwrap();
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        to.get(turn % to.len().max(1)).copied()
    }
}
