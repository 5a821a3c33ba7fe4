//! Small syntaxes of Kubernetes that values must have.

/// Limits of Kubernetes for names.
const MAX_SUBDOMAIN: usize = 253;
const MAX_LABEL_NAME: usize = 63;

/// Whether this is a DNS subdomain (RFC 1123) as Kubernetes wants it in names.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_dns_label)
}

fn is_dns_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether this is a Kubernetes quantity: a number with an optional suffix (`200m`, `500Mi`, `1e3`).
pub(crate) fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 14] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti"];
    const MORE: [&str; 2] = ["Pi", "Ei"];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let is_number = number.bytes().any(|c| c.is_ascii_digit()) && number.bytes().filter(|c| *c == b'.').count() <= 1;
    is_number && (SUFFIXES.contains(&suffix) || MORE.contains(&suffix) || is_exponent(suffix))
}

fn is_exponent(suffix: &str) -> bool {
    let Some(exponent) = suffix.strip_prefix(['e', 'E']) else { return false };
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
}

/// Whether this is a key of a label or annotation, or the name of a resource: an optional DNS
/// subdomain with `/`, and a name of letters, digits, `-`, `_` and `.`.
pub(crate) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_name(prefix) && is_plain_name(name),
        None => is_plain_name(text),
    }
}

fn is_plain_name(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let ends = text.bytes().next().zip(text.bytes().next_back());
    text.len() <= MAX_LABEL_NAME
        && text.bytes().all(inner)
        && ends.is_some_and(|(first, last)| first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric())
}

/// Whether this is the value of a label; an empty one is.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_plain_name(text)
}

/// Whether this is a pattern for Secrets: `name` or `namespace/name`, with `*` for anything.
pub(crate) fn is_secret_pattern(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.*".contains(&c))
    };
    text.len() <= 2 * MAX_SUBDOMAIN
        && text.split_once('/').map_or(part(text), |(namespace, name)| part(namespace) && part(name))
}

/// Whether the API server takes this as the URL of a webhook: `https`, a host, no user, query or fragment.
pub(crate) fn is_https_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    !host.is_empty() && !host.starts_with(':') && rest.bytes().all(|c| c.is_ascii_graphic() && !b"?#@".contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(is(text), "{text:?} is one");
        }
        for text in bad {
            assert!(!is(text), "{text:?} is none");
        }
    }

    #[test]
    fn names_are_dns_subdomains() {
        let long = "a".repeat(254);
        check(is_name, &["flyte", "a.b-c", "0"], &["", "-a", "a-", "A", "a_b", "a..b", "a b", "é", &long]);
    }

    #[test]
    fn quantities_are_those_of_kubernetes() {
        check(
            is_quantity,
            &["1", "0.5", "200m", "500Mi", "1e3", "1E-3", "+1Gi", ".5", "1.", "2Ei"],
            &["", "m", ".", "1 Gi", "1mi", "1KB", "1e", "1.2.3", "--1", "0x10", "1_000"],
        );
    }

    #[test]
    fn qualified_names_may_have_a_domain() {
        check(
            is_qualified_name,
            &["cpu", "nvidia.com/gpu", "a_b.C"],
            &["", "/gpu", "a/", "a/b/c", "-a", "A.com/b", "a b"],
        );
    }

    #[test]
    fn secret_patterns_are_names_with_stars() {
        check(is_secret_pattern, &["*", "db-*", "kube-system/*", "a.b"], &["", "/a", "a/", "a/b/c", "A", "a b", "a?"]);
    }

    #[test]
    fn webhooks_are_registered_by_plain_https_urls() {
        check(
            is_https_url,
            &["https://host", "https://host:9443/mutate--v1-pod", "https://[::1]:1/"],
            &[
                "",
                "http://host",
                "https://",
                "https:///x",
                "https://u@host",
                "https://h?a",
                "https://h#a",
                "https://h h",
            ],
        );
    }
}
