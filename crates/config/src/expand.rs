//! Variables of the environment in paths.

/// Replaces `$NAME` and `${NAME}`; a name that `lookup` does not know becomes nothing, as in Flyte, and
/// is returned. A `$` in front of anything else stays.
pub(crate) fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> (String, Vec<String>) {
    let (mut expanded, mut missing) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, after) = name(behind);
        match (name.is_empty(), lookup(name)) {
            (true, _) => expanded.push('$'),
            (false, Some(value)) => expanded.push_str(value),
            (false, None) => missing.push(name.to_owned()),
        }
        rest = after;
    }
    expanded.push_str(rest);
    (expanded, missing)
}

/// The name behind a `$`, which may stand in braces, and what follows it; an empty one is none.
fn name(text: &str) -> (&str, &str) {
    if let Some((name, after)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return if is_name(name) { (name, after) } else { ("", text) };
    }
    let end = text.find(|c: char| !is_name_part(c)).unwrap_or(text.len());
    if is_name(&text[..end]) { text.split_at(end) } else { ("", text) }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_name_part)
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::expand;
    use proptest::prelude::*;

    #[test]
    fn variables_are_replaced_with_and_without_braces() {
        let cases = [
            ("$HOME/certs", "/home/me/certs", ""),
            ("${HOME}certs", "/home/mecerts", ""),
            ("a$HOME$HOME", "a/home/me/home/me", ""),
            ("$NOPE/x", "/x", "NOPE"),
            ("$", "$", ""),
            ("$$HOME", "$/home/me", ""),
            ("$/x ${} ${a b} ${HOME", "$/x ${} ${a b} ${HOME", ""),
            ("/plain/é", "/plain/é", ""),
        ];
        for (text, expected, missing) in cases {
            let (expanded, names) = expand(text, |name| (name == "HOME").then_some("/home/me"));
            assert_eq!((expanded.as_str(), names.join(",").as_str()), (expected, missing), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_without_a_dollar_stays_as_it_is(text in "[^$]{0,40}") {
            prop_assert_eq!(expand(&text, |_| None), (text, Vec::new()));
        }

        #[test]
        fn any_text_is_expanded(text in "[${}a1_/é]{0,20}") {
            let _ = expand(&text, |_| Some("v"));
        }
    }
}
