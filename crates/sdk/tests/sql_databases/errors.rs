//! What goes wrong, and that no value is in what is said about it.

use std::net::TcpListener;

use flyte_secrets_sdk::sql::Input;

use crate::places::{Place, all, assert_nothing_planted, inputs, look_up, mariadb, postgresql, sqlite};

async fn says(place: &Place, query: &str, given: &[(&str, &str)], expected: &[&str]) {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), Input::from(*value))).collect();
    let error = place.execute(query, given).await.unwrap_err();
    for part in expected {
        assert!(error.to_string().contains(part), "{}: {query}: {error}", place.name);
    }
    let task = place.task(query);
    assert_nothing_planted(query, &[error.to_string(), format!("{error:?}"), format!("{task:?}")]);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    for (place, expected) in [
        (postgresql().with_secret("password", "planted-wrong"), ["user or password are wrong", "(28P01)"]),
        (postgresql().with_secret("user", "planted-user"), ["user or password are wrong", "(28P01)"]),
        (
            postgresql().with_secret("dbname", "planted-database"),
            ["no database of this name", "database (secret) at 127.0.0.1"],
        ),
        (postgresql().with_secret("host", "planted-host.invalid"), ["its name is not known", "at (secret):"]),
        (postgresql().with("port", closed), ["nobody listens there", &format!("127.0.0.1:{closed}")]),
        (postgresql().with("port", silent).with("connect_timeout", 1), ["connecting took longer", "1s"]),
        (postgresql().with_missing_secret("password"), ["`password`", "neither in the environment nor in a file"]),
        (mariadb().with_secret("passwd", "planted-wrong"), ["user or password are wrong", "1045"]),
        (mariadb().with_secret("user", "planted-user"), ["user or password are wrong", "1045"]),
        (mariadb().with_secret("db", "planted-database"), ["no database of this name", "1049"]),
        (mariadb().with("port", closed), ["nobody listens there", "MySQL database flyte"]),
        (mariadb().with_secret("port", "planted-port"), ["`port`", "1 to 65535"]),
        (mariadb().with_secret("charset", "planted', sql_mode='"), ["`charset`", "utf8mb4"]),
        (sqlite().with_secret("database", "/planted/no/such/folder/file"), ["the file cannot be opened", "(secret)"]),
        (sqlite().with("mode", "ro"), ["the file cannot be opened", "data.db"]),
    ] {
        says(&place, "SELECT 1", &[], &expected).await;
    }
    let mut in_the_uri = postgresql();
    in_the_uri.config.uri = in_the_uri.config.uri.replace("flyte@", "flyte:planted-in-uri@");
    in_the_uri.config.secret_connect_args.clear();
    says(&in_the_uri, "SELECT 1", &[], &["user or password are wrong"]).await;
}

#[tokio::test]
async fn tls_that_a_server_does_not_offer_is_said() {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // A PostgreSQL that answers the request for TLS with no.
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.read_exact(&mut [0; 8]).unwrap();
        client.write_all(b"N").unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        rest
    });
    says(
        &postgresql().with("port", port).with("sslmode", "require"),
        "SELECT 1",
        &[],
        &["the server does not offer it"],
    )
    .await;
    assert!(server.join().unwrap().is_empty(), "nothing was sent without TLS");
}

#[tokio::test]
async fn a_statement_that_is_wrong_is_told_in_the_servers_words() {
    for (place, expected) in [
        (postgresql(), ["syntax error at or near \"SELEC\"", "42601"]),
        (mariadb(), ["near 'SELEC", "1064"]),
        (sqlite(), ["near \"SELEC\": syntax error", "SQLite does not take"]),
    ] {
        says(&place, "SELEC {{ .inputs.a }}", &[("a", "planted-input")], &expected).await;
    }
    for place in all() {
        says(
            &place,
            "SELECT a FROM no_such_table WHERE a = {{ .inputs.a }}",
            &[("a", "planted-input")],
            &["no_such_table"],
        )
        .await;
    }
    // What was looked up is left out, even where it stands in the template.
    let place = postgresql().with_secret("application_name", "looked_up");
    let error = place.rows("SELECT * FROM looked_up", inputs([])).await.unwrap_err();
    assert!(error.to_string().contains("relation \"…\" does not exist"), "{error}");
}

#[tokio::test]
async fn a_statement_that_fails_is_told_without_the_servers_words() {
    let unique = "a row with this key is there already";
    for place in all() {
        let _ = place.execute("DROP TABLE keys_of_errors", inputs([])).await;
        let create =
            "CREATE TABLE keys_of_errors (a varchar(60) PRIMARY KEY, b varchar(60) NOT NULL, n int CHECK (n < 10))";
        place.execute(create, inputs([])).await.unwrap();
        let insert = "INSERT INTO keys_of_errors VALUES ({{ .inputs.a }}, 'b', 1)";
        place.execute(insert, inputs([("a", "planted-key".into())])).await.unwrap();
        says(&place, insert, &[("a", "planted-key")], &[unique]).await;
        let null = "INSERT INTO keys_of_errors VALUES ('{{ .inputs.a }}', NULL, 1)";
        says(&place, null, &[("a", "planted-other")], &["a column that must have a value would be null"]).await;
    }
    let constraint = "constraint `keys_of_errors_pkey`, table `keys_of_errors`";
    let insert = "INSERT INTO keys_of_errors VALUES ('{{ .inputs.a }}', 'b', 1)";
    says(&postgresql(), insert, &[("a", "planted-key")], &[constraint, "(23505)"]).await;
    let number = "SELECT * FROM keys_of_errors WHERE n = '{{ .inputs.a }}'";
    says(&postgresql(), number, &[("a", "planted-number")], &["a value does not fit", "22P02"]).await;
    let raise = "SELECT * FROM keys_of_errors WHERE n = 1 / (length({{ .inputs.a }}) - length('{{ .inputs.a }}'))";
    says(&postgresql(), raise, &[("a", "planted-zero")], &["22012"]).await;
    let check = "INSERT INTO keys_of_errors VALUES ('{{ .inputs.a }}', 'b', 11)";
    says(&postgresql(), check, &[("a", "planted")], &["a check of the table does not hold", "keys_of_errors_n_check"])
        .await;
    says(&sqlite(), "SELECT json('{{ .inputs.a }}')", &[("a", "planted{")], &["SQLite could not run the statement"])
        .await;
    let too_long = "INSERT INTO keys_of_errors VALUES (CONCAT({{ .inputs.a }}, REPEAT('x', 60)), 'b', 1)";
    says(&mariadb(), too_long, &[("a", "planted-long")], &["a value does not fit", "1406"]).await;
}

#[tokio::test]
async fn what_a_database_raises_and_notices_is_not_passed_on() {
    let place = postgresql();
    let function = "CREATE OR REPLACE FUNCTION tell(what text) RETURNS int LANGUAGE plpgsql AS $$ \
        BEGIN RAISE NOTICE '%', what; RAISE EXCEPTION 'raised: %', what; END $$";
    place.execute(function, inputs([])).await.unwrap();
    says(&place, "SELECT tell({{ .inputs.a }})", &[("a", "planted-raise")], &["raised an error of its own", "P0001"])
        .await;
    let function = "CREATE OR REPLACE FUNCTION pretend(what text) RETURNS int LANGUAGE plpgsql AS $$ \
        BEGIN RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = what, CONSTRAINT = what, TABLE = 'a ' || what; END $$";
    place.execute(function, inputs([])).await.unwrap();
    says(&place, "SELECT pretend({{ .inputs.a }})", &[("a", "planted-name")], &["(23505)"]).await;
}

#[tokio::test]
async fn a_run_that_works_logs_no_value() {
    for place in all() {
        let query = "SELECT {{ .inputs.a }} AS a, '{{ .inputs.a }}' AS b";
        let mut batches = Vec::new();
        let given = inputs([("a", "planted-input".into())]);
        place.task(query).run(&given, look_up, &mut batches).await.unwrap();
        assert_eq!(batches[0].num_rows(), 1);
        assert_nothing_planted(place.name, &[format!("{given:?}"), format!("{:?}", place.task(query))]);
    }
}
