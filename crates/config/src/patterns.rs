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

/// Whether this is the name of a namespace, or becomes one when `{organization}`, `{project}` and `{domain}` are put in.
pub(crate) fn is_namespace_template(text: &str) -> bool {
    // One letter stands for each: what comes from a pod is looked at when there is a pod.
    let filled =
        ["{organization}", "{project}", "{domain}"].iter().fold(text.to_owned(), |text, name| text.replace(name, "x"));
    filled.len() <= MAX_LABEL_NAME && is_dns_label(&filled)
}

/// Whether this is `namespace/name` of a ServiceAccount.
pub(crate) fn is_service_account(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(namespace, name)| namespace.len() <= MAX_LABEL_NAME && is_dns_label(namespace) && is_name(name))
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

/// The whole number that a Kubernetes quantity stands for, rounded up as `Quantity.Value()` of Kubernetes does; `None`
/// for a negative one, and for one of more digits than anybody writes.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    if !is_quantity(text) || text.starts_with('-') {
        return None;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.len() > MAX_DIGITS {
        return None;
    }
    let (times, divided_by) = scale(suffix)?;
    let divided_by = divided_by.checked_mul(10_u128.pow(u32::try_from(fraction.len()).ok()?))?;
    let value = digits.parse::<u128>().ok()?.checked_mul(times)?.div_ceil(divided_by);
    u64::try_from(value).ok()
}

/// Digits of a quantity that is turned into a number, at most.
const MAX_DIGITS: usize = 18;

/// By what the suffix of a quantity multiplies and divides.
fn scale(suffix: &str) -> Option<(u128, u128)> {
    const DECIMAL: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const SMALL: [&str; 3] = ["m", "u", "n"];
    let power = |base: u128, suffixes: &[&str]| {
        let place = suffixes.iter().position(|known| *known == suffix)?;
        base.checked_pow(u32::try_from(place).ok()? + 1)
    };
    if suffix.is_empty() {
        return Some((1, 1));
    }
    if let Some(times) = power(1000, &DECIMAL).or_else(|| power(1024, &BINARY)) {
        return Some((times, 1));
    }
    if let Some(divided_by) = power(1000, &SMALL) {
        return Some((1, divided_by));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_u128.checked_pow(exponent.unsigned_abs()).filter(|_| exponent.unsigned_abs() <= 18)?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
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
    text.strip_prefix("https://").is_some_and(is_url_rest)
}

/// Whether this is the URL of a server, with TLS or without: a host, no user, query or fragment.
pub(crate) fn is_url(text: &str) -> bool {
    is_https_url(text) || text.strip_prefix("http://").is_some_and(is_url_rest)
}

fn is_url_rest(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    !host.is_empty() && !host.starts_with(':') && rest.bytes().all(|c| c.is_ascii_graphic() && !b"?#@".contains(&c))
}

/// Whether what is sent to this URL can be read on the way: `http`, to a host that is not this computer.
pub(crate) fn is_in_the_clear(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(ipv6) => ipv6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_loopback = host.parse::<std::net::IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
    !is_loopback
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
    fn templates_of_namespaces_have_three_placeholders_and_the_letters_of_a_namespace() {
        let long = "a".repeat(64);
        check(
            is_namespace_template,
            &["flyte", "{project}-{domain}", "{organization}-{project}-{domain}", "x{domain}y", "{project}{project}"],
            &[
                "",
                "{team}",
                "{Project}",
                "{project",
                "project}",
                "-{project}",
                "{project}.a",
                "{project}_a",
                "A",
                &long,
            ],
        );
    }

    #[test]
    fn service_accounts_have_a_namespace_and_a_name() {
        check(is_service_account, &["flyte/secrets", "a/b.c"], &["", "a", "a/", "/b", "a/b/c", "A/b", "a.b/c"]);
    }

    #[test]
    fn quantities_of_bytes_are_whole_numbers_rounded_up() {
        let cases = [
            ("100M", Some(100_000_000)),
            ("64Mi", Some(64 << 20)),
            ("1.5Ki", Some(1536)),
            ("1e3", Some(1000)),
            ("1500m", Some(2)),
            ("+1E-3", Some(1)),
            (".5k", Some(500)),
            ("7", Some(7)),
            ("0", Some(0)),
            ("16Ei", None),
            ("-1", None),
            ("1e99", None),
            ("9999999999999999999", None),
            ("1 M", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text:?}");
        }
    }

    #[test]
    fn plain_http_is_in_the_clear_unless_it_stays_on_this_computer() {
        check(
            is_in_the_clear,
            &["http://vault:8200", "http://10.0.0.1", "http://localhost.example/", "http://[2001:db8::1]:80"],
            &["https://vault", "http://localhost:1/x", "http://127.0.0.1", "http://127.1.2.3:80/", "http://[::1]:80"],
        );
    }

    #[test]
    fn servers_have_urls_with_or_without_tls() {
        check(is_url, &["http://h", "https://h:1/p/"], &["", "ftp://h", "http://", "http://u@h", "http://h?a", "h:80"]);
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
