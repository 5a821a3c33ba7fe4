//! Kubernetes Secrets that no task may have: the kubelet fetches them, and nobody else checks who asks.

use crate::encoded_id::SecretId;
use crate::image_pull;
use crate::mirror::is_mirror_name;
use crate::secret::Secret;
use crate::settings::ProtectedSecrets;

/// Why the Secret `name` of `namespace` is never handed out to a request: a sentence as of
/// [`super::Decline`]; `None` where nothing speaks against it.
///
/// For every manager that lets the kubelet read a Secret which a request names.
#[must_use]
pub fn protected(settings: &ProtectedSecrets, namespace: &str, name: &str, request: &Secret) -> Option<String> {
    if settings.own.iter().any(|(own_namespace, own_name)| own_namespace == namespace && own_name == name) {
        return Some(format!("never hands out the Secret {name:?}: it holds this webhook's private key"));
    }
    if is_mirror_name(name) {
        return Some(format!(
            "never hands out the Secret {name:?}: it is a mirror, which belongs to the pods of one request; ask the \
             Embedded or Global manager for its source"
        ));
    }
    if image_pull::is_secret_name(name) {
        return Some(format!(
            "never hands out the Secret {name:?}: it is for pulling images, and may be another project's"
        ));
    }
    if settings.store_namespaces.iter().any(|store| store == namespace) {
        let named_by_digest = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        // The name made of a key is harmless, unless the key is the id of a stored secret.
        if (named_by_digest && !request.group.is_empty()) || SecretId::decode(&request.key).is_ok() {
            return Some(format!(
                "never hands out {name:?}: Secrets of that form in the namespace {namespace:?} belong to the Secret \
                 service; leave the group away and use the Embedded manager"
            ));
        }
    }
    let pattern = settings.deny.iter().find(|pattern| match pattern.split_once('/') {
        Some((namespaces, names)) => matches(namespaces, namespace) && matches(names, name),
        None => matches(pattern, name),
    })?;
    Some(format!("never hands out the Secret {name:?}: webhook.accessPolicy.denySecrets lists {pattern:?}"))
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        if let Some(middle) = last.replace(piece) {
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [("a", "a"), ("*", ""), ("a*", "abc"), ("*c", "abc"), ("a*b*c", "a1b2b3c"), ("a**", "a")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*c", "ab"), ("", "a"), ("ab*ba", "aba"), ("*a*", "b")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
