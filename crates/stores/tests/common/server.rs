//! Servers of others, as programs of the folder that `FLYTE_SECRETS_STORES_VENV` names.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A server on this host, until it is dropped.
pub struct Server {
    pub url: String,
    address: SocketAddr,
    process: Child,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts a program; `PORT` in its arguments is a free one. Waits until it takes connections.
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let venv = env::var_os("FLYTE_SECRETS_STORES_VENV").expect(
            "FLYTE_SECRETS_STORES_VENV is not set: export FLYTE_SECRETS_STORES_VENV=$(tests/python/venv.sh stores)",
        );
        // The port is free now; another program could take it before the server does, which then ends at once.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let port = address.port().to_string();
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Command::new(PathBuf::from(venv).join("bin").join(program))
            .args(arguments.iter().map(|argument| if *argument == "PORT" { &port } else { *argument }))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { url: format!("http://{address}"), address, process, folder };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none() && begin.elapsed() < Duration::from_secs(60), "{ended:?}\n{}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    /// What the server printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Sends a request to prepare the server, and gives the answer's body.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        self.send("POST", path, headers, body)
    }

    /// Asks the server what it holds, and gives the answer's body.
    pub fn get(&self, path: &str) -> String {
        self.send("GET", path, &[], "")
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
        let mut connection = TcpStream::connect(self.address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}",
            self.address
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.split(' ').nth(1), Some("200"), "{path}: {answer}");
        body.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
