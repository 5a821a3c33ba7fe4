//! What is repeated of a request's headers.

#![allow(clippy::unwrap_used)]

use http::HeaderMap;

use super::*;

#[test]
fn ids_are_repeated_where_they_are_ids() {
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let long = "a".repeat(MAX_ID + 1);
    let cases = [
        ("x-request-id", "2b47c079-8db1", Some("2b47c079-8db1")),
        ("x-request-id", "", None),
        ("x-request-id", "two words", None),
        ("x-request-id", &long, None),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some(trace_id)),
        ("traceparent", "00-short-b7ad6b7169203331-01", None),
        ("traceparent", "0af7651916cd43dd8448eb211c80319c", None),
    ];
    for (name, value, expected) in cases {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        let Trace { request_id, trace_id } = Trace::of(&headers);
        assert_eq!(request_id.or(trace_id).as_deref(), expected, "{name}: {value}");
    }
}
