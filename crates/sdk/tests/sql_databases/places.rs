//! The databases that the tests use. Each server is started once, and ends with this process.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, Once};
use std::time::{Duration, Instant};

use flyte_secrets_core::secret::Secret;
use flyte_secrets_core::value::SecretValue;
use flyte_secrets_sdk::sql::{Csv, Inputs, SqlConfig, SqlError, SqlTask, Summary};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

/// Every value that must not turn up anywhere begins with this word, as it is or quoted.
pub const PLANTED: &str = "planted";
pub const PASSWORD: &str = "planted-p'w\"d\\ $x";

/// A server, and the CA that its certificate is from.
pub struct Server {
    pub port: u16,
    pub ca: PathBuf,
    /// When this process ends, its input does, and then the server.
    _holder: Child,
}

pub static POSTGRESQL: LazyLock<Server> = LazyLock::new(|| Server::start("postgresql"));
pub static MARIADB: LazyLock<Server> = LazyLock::new(|| Server::start("mariadb"));

const HOLD: &str = r#""$0" "$1" "$2" >"$1/log" 2>&1 & server=$!
read -r _
kill -QUIT $server; timeout 5 tail --pid=$server -f /dev/null || kill -KILL $server
rm -rf "$1""#;

impl Server {
    fn start(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let (ca, certificate, key) = certificates(&folder);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/databases/{kind}.sh"));
        let holder = Command::new("bash")
            .args(["-c", HOLD])
            .args([&script, &folder])
            .arg(port.to_string())
            .env("DATABASE_PASSWORD", PASSWORD)
            .env("DATABASE_TLS_CERT", certificate)
            .env("DATABASE_TLS_KEY", key)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        // The port opens before the server takes connections.
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        while !["ready to accept connections", "ready for connections"].iter().any(|ready| log().contains(ready)) {
            assert!(Instant::now() < end, "{kind}: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { port, ca, _holder: holder }
    }
}

/// A CA, and a certificate for `localhost` and no other name.
fn certificates(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    (write("ca.crt", ca.pem()), write("server.crt", leaf.pem()), write("server.key", key.serialize_pem()))
}

/// One database that a test runs tasks on.
#[derive(Clone)]
pub struct Place {
    pub name: &'static str,
    pub config: SqlConfig,
}

pub fn secret(key: &str) -> Secret {
    Secret { group: "database".to_owned(), key: key.to_owned(), ..Secret::default() }
}

pub fn postgresql() -> Place {
    let uri = format!("postgresql+psycopg2://flyte@127.0.0.1:{}/flyte", POSTGRESQL.port);
    let secret_connect_args = BTreeMap::from([("password".to_owned(), secret("password"))]);
    Place { name: "postgresql", config: SqlConfig { uri, secret_connect_args, ..SqlConfig::default() } }
}

pub fn mariadb() -> Place {
    let uri = format!("mysql+pymysql://flyte@127.0.0.1:{}/flyte", MARIADB.port);
    let secret_connect_args = BTreeMap::from([("passwd".to_owned(), secret("password"))]);
    Place { name: "mariadb", config: SqlConfig { uri, secret_connect_args, ..SqlConfig::default() } }
}

/// A file that stays until the process ends; its folder is the system's to clean.
pub fn sqlite() -> Place {
    let folder = tempfile::tempdir().unwrap().keep();
    let uri = format!("sqlite:///{}/data.db", folder.display());
    Place { name: "sqlite", config: SqlConfig { uri, ..SqlConfig::default() } }
}

pub fn all() -> [Place; 3] {
    [sqlite(), postgresql(), mariadb()]
}

impl Place {
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.config.connect_args.insert(name.to_owned(), value.into());
        self
    }

    /// A connect argument that is looked up, and has this value then.
    pub fn with_secret(mut self, name: &str, value: &str) -> Self {
        let mut values = VALUES.lock().unwrap();
        self.config.secret_connect_args.insert(name.to_owned(), secret(&format!("value-{}", values.len())));
        values.push(value.to_owned());
        self
    }

    /// A connect argument that is looked up and not found.
    pub fn with_missing_secret(mut self, name: &str) -> Self {
        self.config.secret_connect_args.insert(name.to_owned(), secret("missing"));
        self
    }

    pub fn task(&self, query: impl Into<String>) -> SqlTask {
        SqlTask::new(self.config.clone(), query)
    }

    /// Runs a query without output.
    pub async fn execute(&self, query: &str, inputs: Inputs) -> Result<Summary, SqlError> {
        watch();
        self.task(query).without_rows().run(&inputs, look_up, &mut Vec::new()).await
    }

    /// Runs a query; gives its rows as CSV, without the line of names.
    pub async fn rows(&self, query: &str, inputs: Inputs) -> Result<String, SqlError> {
        watch();
        let mut csv = Vec::new();
        self.task(query).run(&inputs, look_up, &mut Csv::new(&mut csv)).await?;
        Ok(String::from_utf8(csv).unwrap().split_once('\n').unwrap().1.to_owned())
    }
}

/// Values of `with_secret`, whose keys are their numbers.
static VALUES: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub fn look_up(secret: &Secret) -> Result<SecretValue, String> {
    assert_eq!(secret.group, "database");
    match secret.key.strip_prefix("value-") {
        Some(number) => Ok(SecretValue::text(VALUES.lock().unwrap()[number.parse::<usize>().unwrap()].clone())),
        None if secret.key == "password" => Ok(SecretValue::text(PASSWORD.to_owned())),
        None => Err("neither in the environment nor in a file".to_owned()),
    }
}

pub fn inputs<const N: usize>(inputs: [(&str, flyte_secrets_sdk::sql::Input); N]) -> Inputs {
    inputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct ToLog;

impl Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From now on everything that this process logs is kept, at every level.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        subscriber.with_writer(|| ToLog).init();
        tracing::trace!("watched");
    });
}

/// No planted value is in `text`, nor in anything that any test logged so far.
pub fn assert_nothing_planted(what: impl Display, texts: &[String]) {
    for text in texts {
        assert!(!text.contains(PLANTED), "{what}: {text}");
    }
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    assert!(log.contains("watched"), "nothing is logged");
    let line = log.lines().find(|line| line.contains(PLANTED));
    assert!(line.is_none(), "{what}: logged: {line:?}");
}
