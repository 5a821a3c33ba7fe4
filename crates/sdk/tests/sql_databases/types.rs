//! Rows out: what each type of a database becomes.

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{DataType, TimeUnit};
use flyte_secrets_sdk::sql::{ArrowFile, ArrowStream, Csv, Output};

use crate::places::{Place, all, inputs, look_up, mariadb, postgresql, sqlite};

/// The value of a query of one row with one column `v`, as text, and the Arrow type of that column.
async fn value(place: &Place, query: &str) -> (String, DataType) {
    let mut batches = Vec::new();
    let done = place.task(query).run(&inputs([]), look_up, &mut batches).await;
    done.unwrap_or_else(|error| panic!("{query}: {error}"));
    let (mut csv, schema) = (Vec::new(), batches[0].schema());
    let mut output = Csv::new(&mut csv);
    output.begin(&schema).unwrap();
    output.write(&batches[0]).unwrap_or_else(|error| panic!("{query}: {error}"));
    drop(output);
    let text = String::from_utf8(csv).unwrap();
    (text.strip_prefix("v\n").unwrap().trim_end_matches('\n').to_owned(), schema.field(0).data_type().clone())
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

#[tokio::test]
async fn types_of_postgresql() {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    for (expression, text, kind) in [
        ("true", "true", DataType::Boolean),
        ("'-32768'::int2", "-32768", DataType::Int64),
        ("-2147483648", "-2147483648", DataType::Int64),
        ("9223372036854775807", "9223372036854775807", DataType::Int64),
        ("4294967295::oid", "4294967295", DataType::Int64),
        ("1.5::float4", "1.5", DataType::Float32),
        ("0.1::float8", "0.1", DataType::Float64),
        ("'NaN'::float8", "NaN", DataType::Float64),
        ("'é'::text", "é", DataType::Utf8),
        ("'ab'::char(4)", "ab  ", DataType::Utf8),
        ("current_user", "flyte", DataType::Utf8),
        ("'x'::\"char\"", "x", DataType::Utf8),
        ("'\\x00ff'::bytea", "00ff", DataType::Binary),
        ("'1969-12-31'::date", "1969-12-31", DataType::Date32),
        ("'4713-01-01 BC'::date", "-4712-01-01", DataType::Date32),
        ("'23:59:59.999999'::time", "23:59:59.999999", DataType::Time64(TimeUnit::Microsecond)),
        ("'1999-12-31 23:59:59.5'::timestamp", "1999-12-31T23:59:59.500", time),
        ("'2024-02-29 12:00:00+02'::timestamptz", "2024-02-29T10:00:00Z", utc()),
        ("'00112233-4455-6677-8899-AABBCCDDEEFF'::uuid", "00112233-4455-6677-8899-aabbccddeeff", DataType::Utf8),
        ("'[1, 2]'::json", "\"[1, 2]\"", DataType::Utf8),
        ("'[1,2]'::jsonb", "\"[1, 2]\"", DataType::Utf8),
        ("NULL", "\"\"", DataType::Utf8),
        ("NULL::date", "\"\"", DataType::Date32),
    ] {
        assert_eq!(
            value(&postgresql(), &format!("SELECT {expression} AS v")).await,
            (text.to_owned(), kind),
            "{expression}"
        );
    }
}

#[tokio::test]
async fn a_decimal_of_postgresql_has_the_digits_that_postgresql_prints() {
    let numbers = [
        "0",
        "0.0",
        "0.00000",
        "1",
        "-1",
        "1.50",
        "10000",
        "9999",
        "10000.0001",
        "0.0001",
        "0.00001",
        "-0.00010",
        "123456789.987654321",
        "1e30",
        "1e-30",
        "12345678901234567890.12345678901234567890",
        "100000000",
        "0.1",
        "99999999.99999999",
        "NaN",
        "Infinity",
        "-Infinity",
    ];
    let list = numbers.map(|number| format!("('{number}'::numeric)")).join(", ");
    let query = format!("SELECT n, n::text FROM (VALUES {list}) AS numbers (n)");
    let rows = postgresql().rows(&query, inputs([])).await.unwrap();
    assert_eq!(rows.lines().count(), numbers.len());
    for line in rows.lines() {
        let (ours, theirs) = line.split_once(',').unwrap();
        assert_eq!(ours, theirs);
    }
}

#[tokio::test]
async fn types_of_mariadb() {
    let place = mariadb();
    let _ = place.execute("DROP TABLE types_of_mariadb", inputs([])).await;
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let table = [
        ("b boolean", "2", "2", DataType::Int64),
        ("ti tinyint", "-128", "-128", DataType::Int64),
        ("tu tinyint unsigned", "255", "255", DataType::Int64),
        ("iu int unsigned", "4294967295", "4294967295", DataType::Int64),
        ("bi bigint", "-9223372036854775808", "-9223372036854775808", DataType::Int64),
        ("bu bigint unsigned", "18446744073709551615", "18446744073709551615", DataType::UInt64),
        ("f float", "1.5", "1.5", DataType::Float32),
        ("d double", "0.1", "0.1", DataType::Float64),
        (
            "n decimal(40,10)",
            "123456789012345678901234567890.1",
            "123456789012345678901234567890.1000000000",
            DataType::Utf8,
        ),
        ("c char(4)", "'ab'", "ab", DataType::Utf8),
        ("v varchar(10) collate utf8mb4_bin", "'é'", "é", DataType::Utf8),
        ("j json", "'[1, 2]'", "\"[1, 2]\"", DataType::Utf8),
        ("e enum('x','y')", "'y'", "y", DataType::Utf8),
        ("x varbinary(10)", "x'00ff'", "00ff", DataType::Binary),
        ("bl blob", "x'00ff'", "00ff", DataType::Binary),
        ("bt bit(9)", "b'100000001'", "0101", DataType::Binary),
        ("y year", "2024", "2024", DataType::Int64),
        ("da date", "'1000-01-01'", "1000-01-01", DataType::Date32),
        ("t time(1)", "'-838:59:58.5'", "-838:59:58.5", DataType::Utf8),
        ("dt datetime(6)", "'1999-12-31 23:59:59.000001'", "1999-12-31T23:59:59.000001", time),
        ("ts timestamp", "'2024-02-29 10:00:00'", "2024-02-29T10:00:00Z", utc()),
    ];
    let columns = table.iter().map(|(column, ..)| *column).collect::<Vec<_>>().join(", ");
    place.execute(&format!("CREATE TABLE types_of_mariadb ({columns})"), inputs([])).await.unwrap();
    let values = table.iter().map(|(_, value, ..)| *value).collect::<Vec<_>>().join(", ");
    place.execute(&format!("INSERT INTO types_of_mariadb VALUES ({values})"), inputs([])).await.unwrap();
    for (column, _, text, kind) in table {
        let name = column.split(' ').next().unwrap();
        let query = format!("SELECT {name} AS v FROM types_of_mariadb");
        assert_eq!(value(&place, &query).await, (text.to_owned(), kind), "{column}");
    }
}

#[tokio::test]
async fn a_column_of_sqlite_has_the_type_of_its_first_values() {
    let place = sqlite();
    for (values, text, kind) in [
        ("(1), (2)", "1\n2\n", DataType::Int64),
        ("(1), (2.5), (NULL)", "1.0\n2.5\n\n", DataType::Float64),
        ("(NULL), ('a')", "\na\n", DataType::Utf8),
        ("(x'00ff')", "00ff\n", DataType::Binary),
        ("(NULL)", "\n", DataType::Utf8),
    ] {
        let query = format!("SELECT column1 FROM (VALUES {values})");
        assert_eq!(place.rows(&query, inputs([])).await.unwrap().replace("\"\"", ""), text, "{values}");
        let mut batches = Vec::new();
        place.task(query).run(&inputs([]), look_up, &mut batches).await.unwrap();
        assert_eq!(batches[0].schema().field(0).data_type(), &kind, "{values}");
    }
    let error = place.rows("SELECT column1 AS v FROM (VALUES (1), ('planted'))", inputs([])).await.unwrap_err();
    let expected =
        "column `v`, row 2: the value is of another type than the column's first ones: write a CAST in the query";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn what_has_no_place_in_a_column_is_an_error_that_names_the_column_before_anything_runs() {
    let place = postgresql();
    let _ = place.execute("DROP TABLE untouched", inputs([])).await;
    place.execute("CREATE TABLE untouched (a int[])", inputs([])).await.unwrap();
    let error = place.rows("INSERT INTO untouched VALUES ('{1}') RETURNING a", inputs([])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "column `a` has the type INT4[], which cannot be put out: write CAST(a AS text) in the query"
    );
    assert_eq!(place.rows("SELECT COUNT(*) FROM untouched", inputs([])).await.unwrap(), "0\n");
    let error = place.rows("SELECT 'infinity'::timestamptz AS t", inputs([])).await.unwrap_err();
    assert!(error.to_string().starts_with("column `t`, row 1: the value is infinite"), "{error}");
}

#[tokio::test]
async fn arrow_files_and_streams_hold_the_rows_in_batches_and_the_columns_even_without_rows() {
    for place in all() {
        let query = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i, 'x' AS x FROM n";
        let query = if place.name == "mariadb" { "SELECT seq AS i, 'x' AS x FROM seq_1_to_20000" } else { query };
        let (mut file, mut stream) = (Vec::new(), Vec::new());
        let summary = place.task(query).run(&inputs([]), look_up, &mut ArrowFile::new(&mut file)).await.unwrap();
        place.task(query).run(&inputs([]), look_up, &mut ArrowStream::new(&mut stream)).await.unwrap();
        let rows = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
        let from_file: Vec<_> =
            FileReader::try_new(std::io::Cursor::new(file), None).unwrap().map(Result::unwrap).collect();
        let from_stream: Vec<_> = StreamReader::try_new(&*stream, None).unwrap().map(Result::unwrap).collect();
        assert_eq!(summary.rows, 20000);
        assert_eq!(rows(&from_file), [8192, 8192, 3616], "{}", place.name);
        assert_eq!(from_file, from_stream);
        let mut csv = Vec::new();
        place
            .task("SELECT 1 AS a, 'x' AS b FROM (SELECT 1 AS c) t WHERE c = 2")
            .run(&inputs([]), look_up, &mut Csv::new(&mut csv))
            .await
            .unwrap();
        assert_eq!(csv, b"a,b\n");
    }
}
