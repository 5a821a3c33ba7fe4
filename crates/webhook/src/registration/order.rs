//! In what order the API server calls webhooks.

/// The name of the configuration that the Helm chart of Vault's injector makes with its default names.
const VAULT_INJECTOR: &str = "vault-agent-injector-cfg";

/// What to say where Vault's annotations are ours to add and its injector is called before us.
///
/// The API server calls mutating webhooks in the order of their configurations' names. An injector that is called first sees no
/// annotations of ours, and is asked again only where its `reinvocationPolicy` is `IfNeeded`.
#[must_use]
pub fn order_warning(name: &str) -> Option<String> {
    (name >= VAULT_INJECTOR).then(|| {
        format!(
            "the registration {name} does not sort before {VAULT_INJECTOR}, so Vault's injector is called before the \
             annotations for it are there; choose an earlier webhook.serviceName, or set the injector's \
             reinvocationPolicy (injector.webhook.reinvocationPolicy of Vault's chart) to IfNeeded"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::order_warning;

    #[test]
    fn only_names_that_come_before_the_injectors_are_fine() {
        for (name, fine) in [
            ("flyte-pod-webhook", true),
            ("vault-agent-injector", true),
            ("vault-agent-injector-cfg", false),
            ("webhook", false),
        ] {
            assert_eq!(order_warning(name).is_none(), fine, "{name}");
        }
    }
}
