//! Inputs are data, whatever is in them.

use flyte_secrets_sdk::sql::{Input, SqlTask};
use serde_json::json;

use crate::places::{Place, all, inputs, look_up, mariadb, postgresql, sqlite};

/// What people write into forms.
const ATTEMPTS: &[&str] = &[
    "",
    "'",
    "''",
    "\"",
    "\\",
    "\\'",
    "\\\\' OR 1=1 -- ",
    "' OR '1'='1",
    "'; DROP TABLE victims; --",
    "\"; DROP TABLE victims; --",
    "`; DROP TABLE victims; --",
    "1; DROP TABLE victims",
    "') ; DELETE FROM victims; /*",
    "*/ DROP TABLE victims; /*",
    "-- ",
    "# ",
    "$$; DROP TABLE victims; $$",
    "$1",
    "?",
    ":name",
    "%s%(name)s%%",
    "{{ .inputs.a }}",
    "{{ .inputs.other }}",
    "{{ .inputs.missing }}'; DROP TABLE victims; --",
    "\u{2019} OR 1=1",
    "\u{ff07}; DROP TABLE victims",
    "ʼ",
    "\u{202e}txet",
    "é\u{301}🦀𝔘",
    "line\nend\r\nand\ttab",
    "0x27",
    "CHAR(39)",
    "NULL",
    "E'\\047'",
];

async fn victims(place: &Place) {
    let _ = place.execute("DROP TABLE victims", inputs([])).await;
    place.execute("CREATE TABLE victims (a VARCHAR(200), b VARCHAR(200), c VARCHAR(400))", inputs([])).await.unwrap();
}

#[tokio::test]
async fn whatever_an_input_holds_arrives_unchanged_and_nothing_else_happens() {
    for place in all() {
        victims(&place).await;
        for attempt in ATTEMPTS {
            let insert = "INSERT INTO victims VALUES ({{ .inputs.a }}, '{{ .inputs.a }}', '<{{.inputs.a}}''{{ .inputs.other }}>') \
                RETURNING a, b, c";
            let mut batches = Vec::new();
            let given = inputs([("a", (*attempt).into()), ("other", "o".into())]);
            let done = place.task(insert).run(&given, look_up, &mut batches).await.unwrap();
            assert_eq!(done.rows, 1, "{}: {attempt:?}", place.name);
            assert_eq!(row(&batches), [(*attempt).to_owned(), (*attempt).to_owned(), format!("<{attempt}'o>")]);
        }
        for attempt in &ATTEMPTS[..10] {
            let select = "SELECT COUNT(*) FROM victims WHERE a = {{ .inputs.a }} AND b = '{{ .inputs.a }}'";
            let count = place.rows(select, inputs([("a", (*attempt).into())])).await.unwrap();
            assert_eq!(count, "1\n", "{}: {attempt:?}", place.name);
        }
        let count = place.rows("SELECT COUNT(*) FROM victims", inputs([])).await.unwrap();
        assert_eq!(count, format!("{}\n", ATTEMPTS.len()), "{}", place.name);
    }
}

/// The texts of the last row.
fn row(batches: &[flyte_secrets_sdk::sql::RecordBatch]) -> Vec<String> {
    use arrow_array::{Array, StringArray};
    let batch = batches.last().unwrap();
    let texts = batch.columns().iter().map(|column| column.as_any().downcast_ref::<StringArray>().unwrap());
    texts.map(|texts| texts.value(texts.len() - 1).to_owned()).collect()
}

#[tokio::test]
async fn an_input_that_stands_for_a_name_or_for_sql_is_refused() {
    for place in all() {
        victims(&place).await;
        let from =
            place.rows("SELECT * FROM {{ .inputs.table }}", inputs([("table", "victims".into())])).await.unwrap_err();
        assert!(from.to_string().contains("none of them can be a name of a table"), "{}: {from}", place.name);
        let quote = if place.name == "mariadb" { '`' } else { '"' };
        let quoted = format!("SELECT {quote}{{{{ .inputs.column }}}}{quote} FROM victims");
        let quoted = place.rows(&quoted, inputs([("column", "a".into())])).await.unwrap_err();
        assert!(quoted.to_string().contains("in a quoted name"), "{}: {quoted}", place.name);
    }
}

#[tokio::test]
async fn each_type_of_input_arrives_as_what_it_is() {
    let day = "2024-02-29".parse::<chrono::NaiveDate>().unwrap();
    let time = "2024-02-29T12:34:56.789012Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let all = || {
        inputs([
            ("n", Input::Null),
            ("b", true.into()),
            ("i", i64::MIN.into()),
            ("f", 0.1.into()),
            ("s", "text".into()),
            ("x", vec![0, 255, 39].into()),
            ("d", day.into()),
            ("t", time.into()),
        ])
    };
    let names = "({{ .inputs.n }}, {{ .inputs.b }}, {{ .inputs.i }}, {{ .inputs.f }}, {{ .inputs.s }}, {{ .inputs.x }}, {{ .inputs.d }}, {{ .inputs.t }})";
    for (place, columns, expected) in [
        (
            postgresql(),
            "n int, b boolean, i bigint, f float8, s text, x bytea, d date, t timestamptz",
            ",true,-9223372036854775808,0.1,text,00ff27,2024-02-29,2024-02-29T12:34:56.789012Z\n",
        ),
        (
            mariadb(),
            "n int, b boolean, i bigint, f double, s text, x blob, d date, t timestamp(6)",
            ",1,-9223372036854775808,0.1,text,00ff27,2024-02-29,2024-02-29T12:34:56.789012Z\n",
        ),
        (
            sqlite(),
            "n int, b boolean, i bigint, f double, s text, x blob, d date, t timestamp",
            ",1,-9223372036854775808,0.1,text,00ff27,2024-02-29,2024-02-29 12:34:56.789012+00:00\n",
        ),
    ] {
        let _ = place.execute("DROP TABLE kinds", inputs([])).await;
        place.execute(&format!("CREATE TABLE kinds ({columns})"), inputs([])).await.unwrap();
        place.execute(&format!("INSERT INTO kinds VALUES {names}"), all()).await.unwrap();
        assert_eq!(place.rows("SELECT * FROM kinds", inputs([])).await.unwrap(), expected, "{}", place.name);
    }
}

#[tokio::test]
async fn a_text_becomes_what_postgresql_wants_at_its_place_as_a_literal_does() {
    let place = postgresql();
    let _ = place.execute("DROP TABLE wanted", inputs([])).await;
    let _ = place.execute("DROP TYPE mood", inputs([])).await;
    place.execute("CREATE TYPE mood AS ENUM ('so so', 'good')", inputs([])).await.unwrap();
    let columns = "d date, t timestamp, i int, n numeric(20,3), u uuid, j jsonb, m mood, b boolean, p inet, c char(4), bits bit(3)";
    place.execute(&format!("CREATE TABLE wanted ({columns})"), inputs([])).await.unwrap();
    let values = [
        ("d", "2024-02-29"),
        ("t", "2024-02-29 01:02:03"),
        ("i", "42"),
        ("n", "12345678901234567.125"),
        ("u", "00112233-4455-6677-8899-aabbccddeeff"),
        ("j", r#"{"a": [1, "'"]}"#),
        ("m", "so so"),
        ("b", "yes"),
        ("p", "10.0.0.1/8"),
        ("c", "ab"),
        ("s", "101"),
    ];
    let given = || values.iter().map(|(name, value)| ((*name).to_owned(), Input::from(*value))).collect();
    let insert = "INSERT INTO wanted VALUES ('{{.inputs.d}}', '{{.inputs.t}}', '{{.inputs.i}}', {{.inputs.n}}, '{{.inputs.u}}', \
        {{.inputs.j}}, '{{.inputs.m}}', {{.inputs.b}}, '{{.inputs.p}}', '{{.inputs.c}}', '{{.inputs.s}}')";
    place.execute(insert, given()).await.unwrap();
    let select = "SELECT d, t, i, n, u, j, m, b, p::text, c, bits::text FROM wanted WHERE i = '{{ .inputs.i }}' AND d = {{ .inputs.d }} \
        AND m = {{ .inputs.m }} AND n = '{{ .inputs.n }}' AND '{{.inputs.t}}' = t AND u='{{.inputs.u}}' AND j='{{.inputs.j}}' AND b = \
        '{{.inputs.b}}' AND p = '{{.inputs.p}}' AND c = '{{.inputs.c}}' AND bits = '{{ .inputs.s }}' LIMIT '{{ .inputs.i }}'";
    let row = place.rows(select, given()).await.unwrap();
    let expected = "2024-02-29,2024-02-29T01:02:03,42,12345678901234567.125,00112233-4455-6677-8899-aabbccddeeff,\
        \"{\"\"a\"\": [1, \"\"'\"\"]}\",so so,true,10.0.0.1/8,ab  ,101\n";
    assert_eq!(row, expected);
}

#[tokio::test]
async fn a_task_that_flytekit_registered_runs() {
    let place = postgresql();
    let custom = json!({
        "query_template": "SELECT '{{ .inputs.who }}' AS who, 1\\::int AS one, {{ .inputs.n }} AS n",
        "uri": "postgresql+psycopg2://nobody@127.0.0.1/flyte",
        "connect_args": {"user": "flyte", "port": place.config.uri.rsplit(':').next().unwrap().split('/').next().unwrap().parse::<f64>().unwrap()},
        "secret_connect_args": {"password": {"group": "database", "key": "password", "group_version": null, "mount_requirement": 1.0}},
    });
    let task = SqlTask::from_custom(&custom).unwrap();
    let given = inputs([("who", "me".into()), ("n", 7.into())]);
    let mut csv = Vec::new();
    // On another thread: a run may be moved.
    let csv = tokio::spawn(async move {
        task.run(&given, look_up, &mut flyte_secrets_sdk::sql::Csv::new(&mut csv)).await.unwrap();
        csv
    });
    assert_eq!(csv.await.unwrap(), b"who,one,n\nme,1,7\n");
}

#[tokio::test]
async fn a_task_without_rows_says_how_many_it_changed() {
    for place in all() {
        let _ = place.execute("DROP TABLE changed", inputs([])).await;
        place.execute("CREATE TABLE changed (a int)", inputs([])).await.unwrap();
        place.execute("INSERT INTO changed VALUES (1), (2), (3)", inputs([])).await.unwrap();
        let done = place
            .execute("UPDATE changed SET a = a + 10 WHERE a > {{ .inputs.a }}", inputs([("a", 1.into())]))
            .await
            .unwrap();
        assert_eq!((done.rows, done.rows_affected), (0, 2), "{}", place.name);
        let error = place.rows("DELETE FROM changed", inputs([])).await.unwrap_err();
        assert!(error.to_string().contains("declare the task without an output"), "{}: {error}", place.name);
        assert_eq!(place.rows("SELECT COUNT(*) FROM changed", inputs([])).await.unwrap(), "3\n", "nothing was deleted");
    }
}
