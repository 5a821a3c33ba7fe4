#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use Dialect::{Mysql, Postgres, Sqlite};

fn inputs<const N: usize>(inputs: [(&str, Input); N]) -> Inputs {
    inputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn x() -> Inputs {
    inputs([("x", "X".into())])
}

/// The SQL with `<0>`, `<1>`, … for the parameters, and their values.
fn read(template: &str, dialect: Dialect, inputs: &Inputs) -> Result<(String, Vec<Input>), TemplateError> {
    let statement = Statement::new(template, dialect, inputs)?;
    let values = statement.parameters.iter().map(|parameter| parameter.value.clone()).collect();
    Ok((statement.sql(|number| format!("<{number}>")), values))
}

#[test]
fn an_input_becomes_a_parameter_and_a_literal_with_inputs_becomes_one() {
    let text = |text: &str| vec![Input::from(text)];
    let all: &[Dialect] = &[Sqlite, Postgres, Mysql];
    for (template, dialects, sql, values) in [
        ("SELECT {{ .inputs.x }}", all, "SELECT <0>", text("X")),
        ("SELECT {{.inputs.x}}", all, "SELECT <0>", text("X")),
        ("SELECT {{\n.Inputs.x\t}}", all, "SELECT <0>", text("X")),
        ("SELECT '{{ .inputs.x }}'", all, "SELECT <0>", text("X")),
        ("a LIKE '%{{ .inputs.x }}_'", all, "a LIKE <0>", text("%X_")),
        ("a IN('{{ .inputs.x }}')", all, "a IN(<0>)", text("X")),
        ("'it''s {{ .inputs.x }}'", all, "<0>", text("it's X")),
        ("'a''{{ .inputs.x }}''b' || 'c'", all, "<0> || 'c'", text("a'X'b")),
        ("'{\"a\": {\"b\": 1}}', {{.inputs.x}}", all, "'{\"a\": {\"b\": 1}}', <0>", text("X")),
        ("'{{1,2},{3,4}}', {{.inputs.x}}", all, "'{{1,2},{3,4}}', <0>", text("X")),
        ("'{{ .outputs.x }}' {{.inputs.x}}", all, "'{{ .outputs.x }}' <0>", text("X")),
        ("1 -- {{ .inputs.x }} it's\n + 1", all, "1 -- {{ .inputs.x }} it's\n + 1", vec![]),
        ("1 /* '{{ .inputs.x }} */ + 1;", all, "1 /* '{{ .inputs.x }} */ + 1;", vec![]),
        ("1 /* /* */ */ {{.inputs.x}}", &[Postgres], "1 /* /* */ */ <0>", text("X")),
        ("1 /* /* */ {{.inputs.x}}", &[Sqlite, Mysql], "1 /* /* */ <0>", text("X")),
        ("1 # it's {{ .inputs.x }}\n", &[Mysql], "1 # it's {{ .inputs.x }}\n", vec![]),
        ("1 --1 + {{ .inputs.x }}", &[Mysql], "1 --1 + <0>", text("X")),
        ("a #> '{b}' = {{ .inputs.x }}", &[Postgres], "a #> '{b}' = <0>", text("X")),
        ("'\\' || {{ .inputs.x }} || '\\'", &[Sqlite, Postgres], "'\\' || <0> || '\\'", text("X")),
        ("'a\\'b\\n{{ .inputs.x }}\\\\'", &[Mysql], "<0>", text("a'b\nX\\")),
        ("\"it's {{ .inputs.x }}\"", &[Mysql], "<0>", text("it's X")),
        ("E'\\'', {{ .inputs.x }}", &[Postgres], "E'\\'', <0>", text("X")),
        ("$$ it's $$, {{ .inputs.x }}", &[Postgres], "$$ it's $$, <0>", text("X")),
        ("$a$ $$ $b$ ' $a$, {{ .inputs.x }}", &[Postgres], "$a$ $$ $b$ ' $a$, <0>", text("X")),
        ("a$b, '{{ .inputs.x }}', c$b", &[Postgres], "a$b, <0>, c$b", text("X")),
        ("\"a'b\", {{ .inputs.x }}", &[Sqlite, Postgres], "\"a'b\", <0>", text("X")),
        ("`a'b`, {{ .inputs.x }}", &[Sqlite, Mysql], "`a'b`, <0>", text("X")),
        ("[a'b], {{ .inputs.x }}", &[Sqlite], "[a'b], <0>", text("X")),
        ("a[1], {{ .inputs.x }}::int[]", &[Postgres], "a[1], <0>::int[]", text("X")),
        ("DATE '2024-01-01', {{ .inputs.x }}", all, "DATE '2024-01-01', <0>", text("X")),
        ("NOW() + INTERVAL '{{ .inputs.x }}' DAY", &[Mysql], "NOW() + INTERVAL <0> DAY", text("X")),
        ("a ? 'b' AND c @> {{ .inputs.x }}", &[Postgres], "a ? 'b' AND c @> <0>", text("X")),
        ("@a := {{ .inputs.x }}", &[Mysql], "@a := <0>", text("X")),
        ("é = {{ .inputs.x }} -- é", all, "é = <0> -- é", text("X")),
    ] {
        for dialect in dialects {
            let (read, found) = read(template, *dialect, &x()).unwrap_or_else(|error| panic!("{template}: {error}"));
            assert_eq!((read.as_str(), found), (sql, values.clone()), "{dialect:?}: {template}");
        }
    }
}

#[test]
fn where_no_value_can_stand_an_input_is_an_error_that_says_so() {
    let all: &[Dialect] = &[Sqlite, Postgres, Mysql];
    for (template, dialects, expected) in [
        (
            "SELECT\n\"{{ .inputs.x }}\"",
            &[Sqlite, Postgres][..],
            "line 2 of the query template has the input `x` in a quoted name",
        ),
        ("`{{ .inputs.x }}`", &[Sqlite, Mysql], "in a quoted name"),
        ("[{{ .inputs.x }}]", &[Sqlite], "in a quoted name"),
        ("$$ {{ .inputs.x }} $$", &[Postgres], "in dollar quotes"),
        ("E'{{ .inputs.x }}'", all, "in a literal with a prefix"),
        ("U&'{{ .inputs.x }}'", &[Postgres], "in a literal with a prefix"),
        ("x'{{ .inputs.x }}'", all, "in a literal with a prefix"),
        ("date '{{ .inputs.x }}'", all, "write CAST({{ .inputs.name }} AS type) instead"),
        ("interval '{{ .inputs.x }} days'", &[Postgres], "in a literal with a prefix"),
        ("_utf8mb4 '{{ .inputs.x }}'", &[Mysql], "in a literal with a prefix"),
        ("/*! {{ .inputs.x }} */", &[Mysql], "in a comment that is executed"),
        ("SELECT {{ .inputs.y }}", all, "asks for the input `y`, which was not given; inputs of this run: x"),
        ("SELECT 1", all, "the input `x` was given, and the query template has no {{ .inputs.x }}"),
        ("SELECT {{ inputs.x }}", all, "braces that are no input"),
        ("SELECT 1; DROP TABLE a; -- {{ .inputs.x }}", all, "begins a second statement"),
        ("{{.inputs.x}} 'a", all, "begins a string literal that is not closed"),
        ("{{.inputs.x}} 'a\\'", &[Mysql], "begins a string literal that is not closed"),
        ("{{.inputs.x}} 'a\\", &[Mysql], "begins a string literal that is not closed"),
        ("{{.inputs.x}} /* a", all, "begins a comment that is not closed"),
        ("{{.inputs.x}} \"a", &[Sqlite, Postgres], "begins a quoted name that is not closed"),
        ("{{.inputs.x}} $a$ b $$", &[Postgres], "begins dollar quotes that is not closed"),
        ("{{.inputs.x}} $1", &[Sqlite, Postgres], "has a parameter of its own, `$1`"),
        ("{{.inputs.x}} ?", &[Sqlite, Mysql], "has a parameter of its own, `?`"),
        ("{{.inputs.x}} :name", &[Sqlite], "has a parameter of its own, `:name`"),
        (" -- {{ .inputs.x }}", all, "the query template is empty"),
    ] {
        for dialect in dialects {
            let error = read(template, *dialect, &x()).unwrap_err().to_string();
            assert!(error.contains(expected), "{dialect:?}: {template}: {error}");
        }
    }
}

#[test]
fn a_null_is_null_where_it_stands_alone_and_has_no_text() {
    let null = inputs([("x", Input::Null)]);
    for template in ["{{ .inputs.x }}", "'{{ .inputs.x }}'"] {
        assert_eq!(read(template, Postgres, &null).unwrap().1, [Input::Null]);
    }
    let error = read("'a{{ .inputs.x }}'", Postgres, &null).unwrap_err();
    let expected = "the input `x` is null and stands in a string literal: write {{ .inputs.x }} without quotes";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn in_a_literal_each_type_has_its_text() {
    let time = |text: &str| Input::from(text.parse::<chrono::DateTime<chrono::Utc>>().unwrap());
    for (value, text) in [
        (true.into(), "true"),
        ((-7).into(), "-7"),
        (1.0.into(), "1.0"),
        (1e300.into(), "1e300"),
        (chrono::NaiveDate::from_ymd_opt(2024, 2, 29).unwrap().into(), "2024-02-29"),
        (time("2024-02-29T01:02:03Z"), "2024-02-29 01:02:03+00:00"),
        (time("2024-02-29T01:02:03.5Z"), "2024-02-29 01:02:03.500000+00:00"),
    ] {
        assert_eq!(read("'{{ .inputs.x }}'", Sqlite, &inputs([("x", value)])).unwrap().1, [Input::from(text)]);
    }
    let in_mysql = read("'{{ .inputs.x }}'", Mysql, &inputs([("x", time("2024-02-29T01:02:03Z"))])).unwrap().1;
    assert_eq!(in_mysql, [Input::from("2024-02-29 01:02:03")], "MariaDB reads no time zone");
}

#[test]
fn a_trigger_of_sqlite_has_statements_of_its_own() {
    let trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END";
    assert!(read(trigger, Sqlite, &inputs([])).is_ok());
    assert!(read("DROP TRIGGER t; DROP TABLE b", Sqlite, &inputs([])).is_err());
    assert!(read(trigger, Postgres, &inputs([])).is_err());
}

proptest! {
    /// Whatever stands in the template and in the input: it is read or refused, and the input is in no SQL.
    #[test]
    fn no_input_gets_into_the_sql(before in "[-a-z'\"`$#/*\\\\{} \n;E]{0,12}", after in "[-a-z'\"`$#/*\\\\{} \n;]{0,12}", value in "ÜÖ[^A]{0,20}ÄÜ") {
        let given = inputs([("x", value.as_str().into())]);
        for dialect in [Sqlite, Postgres, Mysql] {
            if let Ok((sql, _)) = read(&format!("{before}{{{{ .inputs.x }}}}{after}"), dialect, &given) {
                prop_assert!(!sql.contains(&value));
            }
        }
    }

    /// A template without inputs is the statement.
    #[test]
    fn sql_without_inputs_stays_as_it_is(sql in "[-a-z0-9'\"`$#/*\\\\(), \n]{1,30}") {
        for dialect in [Sqlite, Postgres, Mysql] {
            if let Ok((read, values)) = read(&sql, dialect, &inputs([])) {
                prop_assert_eq!(&read, &sql);
                prop_assert!(values.is_empty());
            }
        }
    }
}
