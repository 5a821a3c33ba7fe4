//! Encoding of text for the places where the kubelet or a shell would read it as more than text.

use std::borrow::Cow;

/// Writes every `$` as `$$`: the kubelet expands `$(NAME)` in env values, command and args and turns
/// `$$` back into `$` (Kubernetes API, `EnvVar.value` and `Container.command`).
#[must_use]
pub fn escape_dollars(text: &str) -> Cow<'_, str> {
    if text.contains('$') { Cow::Owned(text.replace('$', "$$")) } else { Cow::Borrowed(text) }
}

/// What the kubelet makes of a `value` of a variable: `$(NAME)` is replaced by what `value_of` has for the name and stays as it is
/// where that has nothing, `$$` is `$`, every other `$` stands for itself (Kubernetes API, `EnvVar.value`).
#[must_use]
pub fn expand<'v>(text: &str, value_of: impl Fn(&str) -> Option<&'v [u8]>) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.extend_from_slice(before.as_bytes());
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push(b'$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|name| name.split_once(')')) {
            match value_of(name) {
                Some(value) => expanded.extend_from_slice(value),
                None => expanded.extend_from_slice(format!("$({name})").as_bytes()),
            }
            rest = after;
        } else {
            expanded.push(b'$');
        }
    }
    expanded.extend_from_slice(rest.as_bytes());
    expanded
}

/// What stands in a POSIX shell as it is.
pub(crate) fn is_plain_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/:@+-".contains(&byte))
}

/// A word for a POSIX shell that stands in a container's command: quoted whole if it holds anything
/// unusual, with every `$` written for the kubelet.
pub(crate) fn shell_word(word: &str) -> String {
    if is_plain_word(word) {
        return word.to_owned();
    }
    format!("'{}'", escape_dollars(word).replace('\'', r"'\''"))
}

/// Whether Kubernetes takes the name of a variable: printable ASCII without `=` (KEP-4369).
#[must_use]
pub fn is_env_var_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_whole_as_soon_as_it_holds_anything_unusual() {
        for (word, expected) in [
            ("projects/p-1/secrets/My_Secret", "projects/p-1/secrets/My_Secret"),
            ("a b", "'a b'"),
            ("a'b", r"'a'\''b'"),
            ("$(id)", "'$$(id)'"),
            ("a=b", "'a=b'"),
            ("ü", "'ü'"),
        ] {
            assert_eq!(shell_word(word), expected);
        }
    }

    #[test]
    fn a_value_is_expanded_as_the_kubelet_does() {
        let values = [("A", "1"), ("", "nothing"), ("B", "$(A)")];
        let value_of = |name: &str| Some(values.iter().find(|(other, _)| *other == name)?.1.as_bytes());
        // The cases of the kubelet's own `expansion.Expand`, as Kubernetes documents them.
        for (text, expected) in [
            ("$(A)", "1"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$(UNKNOWN)-$(A)", "$(UNKNOWN)-1"),
            ("$(B)", "$(A)"),
            ("$A $ $", "$A $ $"),
            ("$(A", "$(A"),
            ("$((A))", "$((A))"),
            ("$()", "nothing"),
            ("ü$$ü$(A)ü", "ü$ü1ü"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(expand(text, value_of)).unwrap_or_default(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_escaped_arrives_as_it_was() {
        for text in ["a$b", "$$", "$(A)", "$", "$$(A)$$"] {
            assert_eq!(expand(&escape_dollars(text), |_| Some(b"never")), text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn names_of_variables_are_printable_ascii_without_an_equals_sign() {
        for name in ["A", "a.b-c d", "$(A)"] {
            assert!(is_env_var_name(name), "{name:?}");
        }
        for name in ["", "A=B", "ß", "a\n", "\u{7f}"] {
            assert!(!is_env_var_name(name), "{name:?}");
        }
    }
}
