//! How a connection is made: names of arguments, TLS.

use crate::places::{MARIADB, POSTGRESQL, assert_nothing_planted, inputs, mariadb, postgresql, sqlite};
use flyte_secrets_sdk::sql::{SqlConfig, SqlTask};

const ENCRYPTED_POSTGRESQL: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
const ENCRYPTED_MARIADB: &str =
    "SELECT VARIABLE_VALUE <> '' FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_cipher'";

#[tokio::test]
async fn postgresql_is_encrypted_as_sslmode_says() {
    let ca = POSTGRESQL.ca.to_str().unwrap();
    for (mode, encrypted) in
        [("disable", "false\n"), ("prefer", "true\n"), ("require", "true\n"), ("verify-ca", "true\n")]
    {
        let place = postgresql().with("sslmode", mode).with("sslrootcert", ca);
        assert_eq!(place.rows(ENCRYPTED_POSTGRESQL, inputs([])).await.unwrap(), encrypted, "{mode}");
    }
    let place = postgresql().with("host", "localhost").with("sslmode", "verify-full").with("sslrootcert", ca);
    assert_eq!(place.rows(ENCRYPTED_POSTGRESQL, inputs([])).await.unwrap(), "true\n");
    let secret =
        postgresql().with_secret("host", "localhost").with("sslmode", "verify-full").with_secret("sslrootcert", ca);
    assert_eq!(secret.rows(ENCRYPTED_POSTGRESQL, inputs([])).await.unwrap(), "true\n");
}

#[tokio::test]
async fn mariadb_is_encrypted_as_its_ssl_arguments_say() {
    let ca = MARIADB.ca.to_str().unwrap();
    let named = mariadb().with("host", "localhost");
    for (place, encrypted) in [
        (mariadb().with("ssl_disabled", true), "0\n"),
        (mariadb(), "1\n"),
        (mariadb().with("ssl_mode", "VERIFY_CA").with("ssl_ca", ca), "1\n"),
        (mariadb().with("ssl", serde_json::json!({"ca": ca, "check_hostname": false})), "1\n"),
        (named.clone().with("ssl", serde_json::json!({"ca": ca})), "1\n"),
        (named.with("ssl_mode", "VERIFY_IDENTITY").with("ssl_ca", ca), "1\n"),
    ] {
        let rows = place.rows(ENCRYPTED_MARIADB, inputs([])).await.unwrap();
        assert_eq!(rows, encrypted, "{:?}", place.config.connect_args);
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_is_not_talked_to() {
    for (place, reason) in [
        (
            postgresql().with("sslmode", "verify-full").with("sslrootcert", POSTGRESQL.ca.to_str().unwrap()),
            "another host name",
        ),
        (postgresql().with("sslmode", "verify-ca"), "not from a CA that is trusted"),
        (
            postgresql().with("sslmode", "verify-ca").with("sslrootcert", MARIADB.ca.to_str().unwrap()),
            "not from a CA that is trusted",
        ),
        (postgresql().with("sslmode", "verify-ca").with("sslrootcert", "/no/such/file"), "a file is missing"),
        (mariadb().with("ssl_ca", MARIADB.ca.to_str().unwrap()), "another host name"),
        (mariadb().with("ssl_mode", "verify_ca"), "not from a CA that is trusted"),
    ] {
        let error = place.rows("SELECT 1", inputs([])).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_nothing_planted("TLS", &[error.to_string(), format!("{error:?}")]);
    }
}

#[tokio::test]
async fn arguments_have_an_effect() {
    let place =
        postgresql().with("application_name", "my task").with("options", "-c work_mem=123kB --search_path=a,\\ b");
    let query =
        "SELECT current_setting('application_name'), current_setting('work_mem'), current_setting('search_path')";
    assert_eq!(place.rows(query, inputs([])).await.unwrap(), "my task,123kB,\"a, b\"\n");
    let place = mariadb().with("charset", "utf8mb4").with("collation", "utf8mb4_bin");
    assert_eq!(place.rows("SELECT @@collation_connection", inputs([])).await.unwrap(), "utf8mb4_bin\n");
    let mut read_only = sqlite();
    read_only.execute("CREATE TABLE t (a)", inputs([])).await.unwrap();
    read_only.config.uri = read_only.config.uri.replace("sqlite:///", "sqlite+pysqlite:///file:") + "?mode=ro&uri=true";
    let error = read_only.execute("INSERT INTO t VALUES (1)", inputs([])).await.unwrap_err();
    assert!(error.to_string().contains("the database is read-only"), "{error}");
}

#[tokio::test]
async fn sqlite_in_memory_lives_as_long_as_one_task() {
    for uri in ["sqlite://", "sqlite:///:memory:"] {
        let config = SqlConfig { uri: uri.to_owned(), ..SqlConfig::default() };
        let task = SqlTask::new(config, "CREATE TABLE t (a)").without_rows();
        for _ in 0..2 {
            task.run(&inputs([]), crate::places::look_up, &mut Vec::new()).await.unwrap();
        }
    }
}
