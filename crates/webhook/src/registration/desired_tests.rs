use super::*;

fn settings() -> RegistrationSettings {
    let endpoint = Endpoint::Service { namespace: "flyte".to_owned(), name: "flyte-pod-webhook".to_owned(), port: 443 };
    RegistrationSettings::new("flyte-pod-webhook", endpoint)
}

#[test]
fn a_service_is_registered_with_exactly_these_fields() {
    assert_eq!(
        desired(&settings(), Some("PEM"), false),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "flyte-pod-webhook"},
            "webhooks": [{
                "name": "flyte-pod-webhook.flyte.org",
                "clientConfig": {
                    "service": {
                        "namespace": "flyte", "name": "flyte-pod-webhook", "port": 443, "path": "/mutate--v1-pod"
                    },
                    "caBundle": "UEVN"
                },
                "rules": [{
                    "operations": ["CREATE"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["pods"],
                    "scope": "*"
                }],
                "objectSelector": {"matchLabels": {"inject-flyte-secrets": "true"}},
                "matchConditions": [
                    {"name": "flyte-secrets-not-kube-system", "expression": "request.namespace != 'kube-system'"}
                ],
                "failurePolicy": "Fail",
                "sideEffects": "NoneOnDryRun",
                "admissionReviewVersions": ["v1", "v1beta1"],
                "timeoutSeconds": 30,
                "reinvocationPolicy": "IfNeeded"
            }]
        })
    );
}

#[test]
fn a_url_stands_in_place_of_the_service_and_without_a_ca_there_is_no_bundle() {
    let settings = RegistrationSettings { endpoint: Endpoint::url("https://127.0.0.1:9443/").unwrap(), ..settings() };
    let document = desired(&settings, None, false);
    assert_eq!(document["webhooks"][0]["clientConfig"], json!({"url": "https://127.0.0.1:9443/mutate--v1-pod"}));
}

#[test]
fn what_is_configured_is_taken_as_it_is() {
    let selector = json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]});
    let condition = MatchCondition { name: "mine".to_owned(), expression: "true".to_owned() };
    let settings = RegistrationSettings {
        namespace_selector: Some(selector.clone()),
        failure_policy: FailurePolicy::Ignore,
        reinvocation_policy: ReinvocationPolicy::Never,
        match_conditions: vec![condition],
        ..settings()
    };
    let webhook = &desired(&settings, None, false)["webhooks"][0];
    assert_eq!(webhook["namespaceSelector"], selector);
    assert_eq!(webhook["failurePolicy"], "Ignore");
    assert_eq!(webhook["reinvocationPolicy"], "Never");
    assert_eq!(webhook["matchConditions"][1], json!({"name": "mine", "expression": "true"}));
}

#[test]
fn the_webhooks_own_pods_are_known_by_the_label_that_names_them() {
    let own = |name: &str| {
        let settings =
            RegistrationSettings { name: name.to_owned(), own_namespace: Some("flyte".to_owned()), ..settings() };
        desired(&settings, None, false)["webhooks"][0]["matchConditions"][1]["expression"].clone()
    };
    let expression = |names: &str| {
        format!(
            "request.namespace != 'flyte' || !has(object.metadata.labels) || !['app.kubernetes.io/name', \
             'app'].exists(label, label in object.metadata.labels && object.metadata.labels[label] in [{names}])"
        )
    };
    assert_eq!(own("flyte-pod-webhook"), expression("'flyte-secrets', 'flyte-pod-webhook'"));
    assert_eq!(own("ours"), expression("'flyte-secrets', 'flyte-pod-webhook', 'ours'"));
}

#[test]
fn cert_manager_is_asked_by_its_annotation_when_it_is_time() {
    let settings = RegistrationSettings { cert_manager_certificate: Some("flyte/webhook".to_owned()), ..settings() };
    let annotations = |inject| desired(&settings, None, inject)["metadata"]["annotations"].clone();
    assert_eq!(annotations(true), json!({"cert-manager.io/inject-ca-from": "flyte/webhook"}));
    assert_eq!(annotations(false), Value::Null);
}

#[test]
fn the_timeout_is_cut_to_what_kubernetes_takes() {
    for (millis, seconds) in [(0, 1), (999, 1), (1_999, 1), (10_000, 10), (30_000, 30), (60_000, 30)] {
        let settings = RegistrationSettings { timeout: Duration::from_millis(millis), ..settings() };
        assert_eq!(desired(&settings, None, false)["webhooks"][0]["timeoutSeconds"], seconds, "{millis} ms");
    }
}

/// The first column of a table in the documentation: the names in backticks.
fn documented(page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(field, _)| field.to_owned()).collect()
}

#[test]
fn the_documentation_lists_the_owned_fields_and_no_others() {
    let selector = json!({"matchLabels": {"a": "b"}});
    let all = |endpoint| RegistrationSettings {
        endpoint,
        namespace_selector: Some(selector.clone()),
        cert_manager_certificate: Some("flyte/webhook".to_owned()),
        ..settings()
    };
    let mut fields = Vec::new();
    for endpoint in [settings().endpoint, Endpoint::url("https://hook").unwrap()] {
        let document = desired(&all(endpoint), Some("PEM"), true);
        for name in document["metadata"]["annotations"].as_object().unwrap().keys() {
            fields.push(format!("metadata.annotations[{name}]"));
        }
        for (name, value) in document["webhooks"][0].as_object().unwrap() {
            match value.as_object().filter(|_| name == "clientConfig") {
                Some(members) => fields.extend(members.keys().map(|member| format!("{name}.{member}"))),
                None => fields.push(name.clone()),
            }
        }
    }
    fields.sort();
    fields.dedup();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/registration.md");
    let mut documented = documented(&std::fs::read_to_string(page).unwrap());
    documented.sort();
    assert_eq!(documented, fields);
}
