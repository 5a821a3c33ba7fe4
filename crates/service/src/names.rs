//! Which names are taken. What a single store cannot hold is its own matter; what is refused here is refused for all.

use flyte_secrets_core::encoded_id::SecretId;

use crate::problem::Problem;

/// The only organization, whatever is asked for, as in Flyte's own service.
pub(crate) const ORGANIZATION: &str = "flyte";
/// Pods carry their domain and project as labels, whose values are this long at most.
const MAX_SCOPE: usize = 63;

/// The scope of a list.
///
/// # Errors
///
/// If there can be no secret in it.
pub(crate) fn scope(domain: &str, project: &str) -> Result<SecretId, Problem> {
    for (what, text) in [("domain", domain), ("project", project)] {
        if !text.is_empty() && !is_label_value(text) {
            return Err(Problem::invalid(format!(
                "the {what} {} is none: at most {MAX_SCOPE} of A-Z, a-z, 0-9, `-`, `_` and `.`, with a letter or digit at both ends",
                shown(text)
            )));
        }
    }
    if domain.is_empty() && !project.is_empty() {
        return Err(Problem::invalid(format!(
            "the project {project:?} has no domain: name one, or leave the project away"
        )));
    }
    let scope = SecretId {
        org: ORGANIZATION.to_owned(),
        domain: domain.to_owned(),
        project: project.to_owned(),
        name: String::new(),
    };
    scope.check_components().map_err(|ambiguous| Problem::invalid(ambiguous.to_string()))?;
    Ok(scope)
}

/// The id of a secret.
///
/// Flyte's protocol declares names of `-`, `_`, letters and digits, and nothing there enforces it; a `.` is taken as well, because
/// stores hold such names. See `docs/differences.md`.
///
/// # Errors
///
/// If the name, or the scope, is none.
pub(crate) fn secret_id(name: &str, domain: &str, project: &str) -> Result<SecretId, Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        return Err(Problem::invalid("the secret has no name".to_owned()));
    }
    if !name.chars().all(plain) || matches!(name, "." | "..") {
        return Err(Problem::invalid(format!(
            "{} is no name for a secret: letters, digits, `-`, `_` and `.` make one (A-Z, a-z, 0-9)",
            shown(name)
        )));
    }
    Ok(SecretId { name: name.to_owned(), ..scope(domain, project)? })
}

fn is_label_value(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= MAX_SCOPE
        && end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// A text of the caller's in a message: quoted, on one line, bounded.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_that_stores_hold_exactly_are_taken() {
        for name in ["a", "A-b_c.9", "_", "__", "a__key__b", "u__org__x", "...", "-", "x".repeat(300).as_str()] {
            assert_eq!(secret_id(name, "d", "p").unwrap().name, name);
        }
    }

    #[test]
    fn names_that_would_leave_their_place_are_refused() {
        for name in
            ["", ".", "..", "../a", "a/b", "%2f", "a%2fb", "a b", "ä", "a\n", "a\0", "a:b", "a=b", "$(A)", "\u{202e}"]
        {
            let problem = secret_id(name, "", "").unwrap_err();
            assert!(problem.to_string().chars().all(|c| !c.is_control()), "{problem}");
        }
    }

    #[test]
    fn scopes_are_label_values_that_no_other_id_can_mean() {
        let long = "x".repeat(64);
        for (domain, project) in [
            ("", "p"),
            ("d/e", ""),
            ("a__b", "p"),
            ("d", "p_"),
            ("-d", ""),
            ("d", ".."),
            ("d,x=y", ""),
            (long.as_str(), ""),
        ] {
            assert!(scope(domain, project).is_err(), "{domain:?} {project:?}");
        }
        for (domain, project) in [("", ""), ("development", ""), ("development", "flytesnacks"), ("a_b", "c.d-e")] {
            assert_eq!(scope(domain, project).unwrap().org, "flyte");
        }
    }

    #[test]
    fn a_long_name_is_cut_in_messages() {
        let problem = secret_id(&"/".repeat(5000), "", "").unwrap_err();
        assert!(problem.to_string().len() < 300, "{problem}");
    }
}
