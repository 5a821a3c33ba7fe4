#![allow(clippy::unwrap_used)]

use futures::executor::block_on;
use proptest::prelude::*;

use super::*;

fn id(name: &str) -> SecretId {
    SecretId {
        org: "flyte".to_owned(),
        domain: "development".to_owned(),
        project: "flytesnacks".to_owned(),
        name: name.to_owned(),
    }
}

fn get(document: &str, name: &str) -> Result<SecretValue, FetchError> {
    block_on(Values::parse(document).unwrap().get(&id(name)))
}

fn problems(document: &str) -> Vec<ValuesProblem> {
    Values::parse(document).unwrap_err().problems
}

#[test]
fn a_value_is_a_string_or_a_map_that_says_what_it_is() {
    let k = id("k");
    for (document, expected) in [
        (format!("{k}: v"), &b"v"[..]),
        (format!("{k}: {{string: v}}"), b"v"),
        (format!("{k}:\n  binary_base64: /wD/\n"), b"\xff\x00\xff"),
        (format!("{k}: |\n  two\n  lines\n"), b"two\nlines\n"),
        (format!("{k}: \"5432\""), b"5432"),
        (format!("{k}: ''"), b""),
        (format!("{{\"{k}\": {{\"string\": \"\\ud83d\\ude00\\t\"}}}}"), "😀\t".as_bytes()),
        (format!("{{\n\t\"{k}\": \"v\"\n}}"), b"v"),
        (format!("{{{k}: v}}"), b"v"),
    ] {
        assert_eq!(get(&document, "k").unwrap().expose_bytes(), expected, "{document}");
    }
}

#[test]
fn text_and_binary_are_told_apart() {
    assert!(matches!(get(&format!("{}: v", id("k")), "k").unwrap(), SecretValue::Text(_)));
    assert!(matches!(get(&format!("{}: {{binary_base64: dg==}}", id("k")), "k").unwrap(), SecretValue::Binary(_)));
}

#[test]
fn an_empty_document_holds_nothing() {
    for document in ["", "{}", "# nothing\n", "null"] {
        assert_eq!(get(document, "k").unwrap_err().class(), FailureClass::NotFound, "{document:?}");
    }
}

#[test]
fn an_error_is_the_failure_of_its_class() {
    for (text, class) in [
        ("denied", FailureClass::Denied),
        ("nil", FailureClass::Empty),
        ("empty", FailureClass::Empty),
        ("throttled", FailureClass::Throttled),
        ("late", FailureClass::Late),
        ("malformed", FailureClass::Malformed),
        ("no route to host", FailureClass::Unavailable),
    ] {
        let error = get(&format!("{}: {{error: {text}}}", id("k")), "k").unwrap_err();
        assert_eq!((error.class(), error.detail()), (class, text));
    }
}

#[test]
fn all_problems_are_told_at_once_with_line_and_id() {
    let [a, b, c, d, e, f, g] = ["a", "b", "c", "d", "e", "f", "g"].map(|name| id(name).to_string());
    let document = format!(
        "{a}: good\n{b}: 5432\n{c}: true\n{d}:\n{e}: [x]\nnot-an-id: x\n{f}: {{string: a, error: b}}\n{g}: {{binary_base64: '*'}}\n{a}: again\n"
    );
    let told: Vec<_> = problems(&document).into_iter().map(|problem| (problem.line, problem.id)).collect();
    let expected = [
        (Some(2), Some(b)),
        (Some(3), Some(c)),
        (Some(4), Some(d)),
        (Some(5), Some(e)),
        (Some(6), None),
        (Some(7), Some(f)),
        (Some(8), Some(g)),
        (Some(9), Some(a)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_problem_in_json_is_told_with_its_entry_and_id() {
    let document = format!("{{\"{}\": \"v\", \"{}\": 5}}", id("a"), id("b"));
    let error = Values::parse(&document).unwrap_err();
    assert_eq!(error.to_string(), format!("entry 2: {}: the value is a number; put it in quotes", id("b")));
}

#[test]
fn a_document_that_is_no_map_is_refused_with_its_line() {
    for (document, line) in [("- a\n- b\n", 1), ("just text", 1), ("a: b\n  c: [\n", 2)] {
        let [problem] = problems(document).try_into().unwrap();
        assert_eq!(problem.entry, None, "{document}");
        assert!(problem.line.is_some_and(|at| at >= line), "{problem}");
    }
}

#[test]
fn a_thousand_problems_are_counted_and_not_all_told() {
    let document: String = (0..1000).map(|number| format!("x{number}: v\n")).collect();
    let error = Values::parse(&document).unwrap_err();
    assert_eq!((error.problems.len(), error.more), (100, 900));
    assert!(error.to_string().ends_with("and 900 more"));
}

#[test]
fn a_planted_value_appears_in_no_error_and_no_debug_text() {
    let k = id("k");
    for document in [
        format!("{k}: {{string: planted, error: planted}}"),
        format!("{k}: {{planted: planted}}"),
        format!("{k}: {{planted}}"),
        format!("{k}: [planted]"),
        format!("{k}: {{binary_base64: 'planted value'}}"),
        format!("planted: {k}"),
        format!("{k}: \"planted"),
        format!("{k}: planted: planted"),
        format!("{{\"{k}\": \"planted\" \"planted\"}}"),
        format!("{k}: {{string: {{planted: planted}}}}"),
        "planted".to_owned(),
    ] {
        let error = Values::parse(&document).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("planted"), "{document}: {error:?}");
    }
    let good = Values::parse(&format!("{k}: planted")).unwrap();
    assert!(!format!("{good:?}").contains("planted"));
}

proptest! {
    #[test]
    fn any_text_survives_the_way_through_json(text in ".*") {
        let document = serde_json::json!({ id("k").to_string(): { "string": text } }).to_string();
        let value = get(&document, "k").unwrap();
        prop_assert_eq!(value.expose_text(), Some(text.as_str()));
    }

    #[test]
    fn no_document_panics(document in ".{0,200}") {
        let _ = Values::parse(&document);
    }
}
