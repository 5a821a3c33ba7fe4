//! The Embedded manager over real servers of stores. The webhook logs at the level trace, and its log is searched for
//! planted values at the end of every test.

use data_encoding::BASE64;
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::harness::identity::service_account;
use crate::harness::pod::{container, variable};
use crate::harness::servers::Server;
use crate::harness::{Namespace, Setup, Webhook, bed, eventually, request, task_pod};

const REGION: &str = "eu-central-1";

fn project(name: &str) -> String {
    format!("u__org__flyte__domain__development__project__flytesnacks__key__{name}")
}

fn domain(name: &str) -> String {
    format!("u__org__flyte__domain__development__project____key__{name}")
}

fn organization(name: &str) -> String {
    format!("u__org__flyte__domain____project____key__{name}")
}

/// A webhook with nothing but the Embedded manager, which delivers by mirror and caches values for a second.
async fn webhook(namespace: &Namespace, stores: Value, env: &[(&str, &str)]) -> Webhook {
    let mut setup = Setup::with(json!({
        "secretManagerTypes": ["Embedded"], "delivery": "SecretRef", "embeddedSecretManagerConfig": stores,
    }));
    setup.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut webhook = Webhook::configure(&namespace.name, &namespace.name, setup);
    let cache = json!({"inMemoryFixedSize": {"defaultExpiration": "1s"}});
    webhook.add_config("trace.yaml", &json!({"logger": {"level": 6}, "cache": cache}));
    webhook.init_certs().await;
    webhook.spawn();
    webhook.ready().await;
    webhook.called(namespace).await;
    webhook
}

fn pod(name: &str, key: &str, kind: &str) -> Value {
    task_pod(name, &[request(&[("key", key), ("mount_requirement", kind), ("env_var", "WANTED")])])
}

/// What the Secret holds to which the variable of an admitted pod refers.
async fn delivered(namespace: &Namespace, pod: &Value) -> Vec<u8> {
    referred(namespace, &variable(pod, "main", "WANTED")["valueFrom"]["secretKeyRef"]).await
}

async fn referred(namespace: &Namespace, reference: &Value) -> Vec<u8> {
    let (name, key) = (reference["name"].as_str().unwrap(), reference["key"].as_str().unwrap());
    let secret = namespace.api.get(&format!("{}/{name}", namespace.path("secrets"))).await.unwrap();
    BASE64.decode(secret["data"][key].as_str().unwrap().as_bytes()).unwrap()
}

fn holds_all(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

/// Lets service accounts of the namespace log in at OpenBao, which asks the test bed's API server whose a token is. They
/// may read the secrets of the project `flytesnacks` in `development`, and those of the scopes around it. Gives the file
/// with the token of the service account `webhook`.
async fn kubernetes_login(bao: &Server, namespace: &Namespace) -> std::path::PathBuf {
    let reviews = json!([{
        "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"],
    }]);
    let reviewer = Kubeconfig::read_from(service_account(namespace, reviews).await).unwrap();
    let cluster = serde_json::to_value(&reviewer.clusters[0].cluster).unwrap();
    let user = serde_json::to_value(&reviewer.auth_infos[0].auth_info).unwrap();
    let ca = match cluster["certificate-authority-data"].as_str() {
        Some(data) => String::from_utf8(BASE64.decode(data.as_bytes()).unwrap()).unwrap(),
        None => std::fs::read_to_string(cluster["certificate-authority"].as_str().unwrap()).unwrap(),
    };
    bao.bao_write("sys/auth/kubernetes", &json!({"type": "kubernetes"})).await;
    let config = json!({
        "kubernetes_host": cluster["server"], "kubernetes_ca_cert": ca, "token_reviewer_jwt": user["token"],
        "disable_local_ca_jwt": true,
    });
    bao.bao_write("auth/kubernetes/config", &config).await;
    let rules: String = [project("*"), domain("*"), organization("*")]
        .iter()
        .map(|ids| format!("path \"secret/data/{ids}\" {{ capabilities = [\"read\"] }}\n"))
        .collect();
    bao.bao_write("sys/policies/acl/flytesnacks", &json!({"policy": rules})).await;
    let role = json!({
        "bound_service_account_names": ["webhook"], "bound_service_account_namespaces": [namespace.name],
        "token_policies": ["flytesnacks"],
    });
    bao.bao_write("auth/kubernetes/role/webhook", &role).await;

    let path = format!("{}/webhook/token", namespace.path("serviceaccounts"));
    let token = namespace.api.create(&path, &json!({"spec": {"expirationSeconds": 3600}})).await.unwrap();
    let file = bao.folder.path().join("webhook-token");
    std::fs::write(&file, token["status"]["token"].as_str().unwrap()).unwrap();
    file
}

#[tokio::test]
async fn openbao_trusts_the_service_account_of_the_webhook_as_far_as_its_policy_goes() {
    let namespace = bed().namespace("openbao").await;
    let mut bao = Server::openbao().await;
    let token = kubernetes_login(&bao, &namespace).await;
    bao.bao_put(&project("k"), "planted-in-openbao").await;
    let stores = json!({
        "type": "Vault", "staleIfUnavailable": "1h",
        "vaultConfig": {
            "address": format!("http://{}", bao.address),
            "auth": {"method": "Kubernetes", "role": "webhook", "tokenFile": token},
        },
    });
    let webhook = webhook(&namespace, stores, &[]).await;

    let first = namespace.create_pod(&pod("first", "k", "ENV_VAR")).await.unwrap();
    assert_eq!(delivered(&namespace, &first).await, b"planted-in-openbao");

    let missing = namespace.create_pod(&pod("missing", "nobody", "ENV_VAR")).await.unwrap_err();
    assert_eq!(missing.code, 400, "{missing:?}");
    assert!(!missing.message.contains("permission denied"), "{}", missing.message);
    holds_all(&missing.message, &[&project("nobody"), &organization("nobody")]);
    let mut of_others = pod("denied", "k", "ENV_VAR");
    of_others["metadata"]["labels"]["project"] = json!("other");
    let denied = namespace.create_pod(&of_others).await.unwrap_err();
    assert_eq!(denied.code, 400, "{denied:?}");
    holds_all(&denied.message, &["Vault", "permission denied", "capabilities = [\"read\"]"]);

    bao.stop().await;
    // The value expires after a second; until then it comes from the cache.
    eventually("an expired value that is served all the same", 20, || async {
        let pod = namespace.try_pod(&pod("stale", "k", "ENV_VAR")).await.map_err(|failure| failure.message)?;
        assert_eq!(variable(&pod, "main", "WANTED"), variable(&first, "main", "WANTED"));
        let served = webhook.metric("store_stale_served_total").await;
        if served > 0.0 { Ok(()) } else { Err("it is not counted".to_owned()) }
    })
    .await;
    let down = namespace.create_pod(&pod("down", "never-read", "ENV_VAR")).await.unwrap_err();
    assert_eq!(down.code, 503, "{down:?}");
    holds_all(&down.message, &["Vault"]);
}

#[tokio::test]
async fn aws_gives_text_of_the_third_scope_and_bytes_as_a_file() {
    let namespace = bed().namespace("aws").await;
    let moto = Server::moto().await;
    let bytes = b"planted-bytes-in-aws\xff\x00";
    moto.moto_put(REGION, &organization("wide"), json!({"SecretString": "planted-in-aws"})).await;
    moto.moto_put(REGION, &project("Bytes"), json!({"SecretBinary": BASE64.encode(bytes)})).await;
    let stores = json!({
        "type": "AWS", "awsConfig": {"region": REGION, "endpoint": format!("http://{}", moto.address)},
    });
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let _webhook = webhook(&namespace, stores, &keys).await;

    let text = namespace.create_pod(&pod("text", "wide", "ENV_VAR")).await.unwrap();
    assert_eq!(delivered(&namespace, &text).await, b"planted-in-aws");
    let file = namespace.create_pod(&pod("file", "Bytes", "FILE")).await.unwrap();
    assert_eq!(container(&file, "main")["volumeMounts"][0]["mountPath"], "/etc/flyte/secrets", "{file}");
    let source = &file["spec"]["volumes"][0]["projected"]["sources"][0]["secret"];
    let reference = json!({"name": source["name"], "key": source["items"][0]["key"]});
    assert_eq!(referred(&namespace, &reference).await, bytes, "{file}");
}

#[tokio::test]
async fn gcp_gives_the_value_of_the_narrowest_scope() {
    let namespace = bed().namespace("gcp").await;
    let drongo = Server::drongo().await;
    drongo.drongo_put("my-project", &domain("k"), b"planted-domain-in-gcp").await;
    drongo.drongo_put("my-project", &organization("k"), b"planted-organization-in-gcp").await;
    let endpoint = format!("http://{}", drongo.address);
    let config = json!({"project": "my-project", "endpoint": endpoint, "anonymous": true});
    let _webhook = webhook(&namespace, json!({"type": "GCP", "gcpConfig": config}), &[]).await;

    let admitted = namespace.create_pod(&pod("admitted", "k", "ENV_VAR")).await.unwrap();
    assert_eq!(delivered(&namespace, &admitted).await, b"planted-domain-in-gcp");
}

#[tokio::test]
async fn the_narrow_scope_of_the_second_store_comes_before_the_wide_scope_of_the_first() {
    let namespace = bed().namespace("two-stores").await;
    let bao = Server::openbao().await;
    bao.bao_put(&project("k"), "planted-narrow-in-openbao").await;
    // The hex MD5 of the id of the organization's secret, made with md5sum: how the Secret service calls it.
    let secret = json!({
        "metadata": {"name": "ab876e2e7db96bf3ea3d5fbd02918d8e"},
        "stringData": {organization("k"): "planted-wide-in-kubernetes"},
    });
    namespace.api.create(&namespace.path("secrets"), &secret).await.unwrap();
    let stores = json!({
        "types": ["K8s", "Vault"],
        "k8sConfig": {"namespace": namespace.name},
        "vaultConfig": {
            "address": format!("http://{}", bao.address),
            "auth": {"method": "Token", "tokenFile": bao.root_token_file()},
        },
    });
    let _webhook = webhook(&namespace, stores, &[]).await;

    let narrow = namespace.create_pod(&pod("narrow", "k", "ENV_VAR")).await.unwrap();
    assert_eq!(delivered(&namespace, &narrow).await, b"planted-narrow-in-openbao");
    let mut of_others = pod("wide", "k", "ENV_VAR");
    of_others["metadata"]["labels"]["project"] = json!("other");
    let wide = namespace.create_pod(&of_others).await.unwrap();
    assert_eq!(delivered(&namespace, &wide).await, b"planted-wide-in-kubernetes");
}

#[tokio::test]
async fn the_example_server_is_a_store_for_who_has_its_token() {
    let namespace = bed().namespace("http-store").await;
    let secrets = json!({domain("k"): {"value": "planted-behind-http"}});
    let server = Server::http_store(&secrets, "planted-token").await;
    let token = client_token(&server, "planted-token");
    let stores = json!({
        "type": "Http", "notFoundTtl": "0s",
        "httpConfig": {"url": format!("http://{}", server.address), "tokenFile": token},
    });
    let _webhook = webhook(&namespace, stores, &[]).await;

    let admitted = namespace.create_pod(&pod("admitted", "k", "ENV_VAR")).await.unwrap();
    assert_eq!(delivered(&namespace, &admitted).await, b"planted-behind-http");

    client_token(&server, "planted-wrong-token");
    let refused = namespace.create_pod(&pod("refused", "never-read", "ENV_VAR")).await.unwrap_err();
    assert_eq!(refused.code, 400, "{refused:?}");
    holds_all(&refused.message, &["Http", "denied"]);
    assert!(!refused.message.contains("planted"), "{}", refused.message);
}

/// The file with the token that the webhook sends.
fn client_token(server: &Server, token: &str) -> std::path::PathBuf {
    let file = server.folder.path().join("token-of-the-webhook");
    std::fs::write(&file, token).unwrap();
    file
}
