//! The stores of the Embedded manager: which are asked, what they need, what is cached.

use std::path::PathBuf;
use std::time::Duration;

use flyte_secrets_config::{
    AwsStoreSettings, AzureStoreSettings, CacheSettings, GcpStoreSettings, HttpStoreSettings, Inputs, K8sStoreSettings,
    KubeClientSettings, LocalStoreSettings, Scopes, StoreSettings, StoreType, StoresSettings, VaultAuth,
    VaultStoreSettings, load,
};
use flyte_secrets_core::settings::KvVersion;

use crate::support::{errors_of, file_name_only, load_one, load_with, pairs};

/// Loads a text below `webhook.embeddedSecretManagerConfig`.
fn stores(embedded: &str) -> StoresSettings {
    load_one(&format!("webhook: {{embeddedSecretManagerConfig: {embedded}}}"))
        .unwrap_or_else(|errors| panic!("{errors}"))
        .config
        .stores
}

/// The errors of one, without the place and the start of the key.
fn wrong(embedded: &str) -> Vec<String> {
    let errors = errors_of(load_one(&format!("webhook: {{embeddedSecretManagerConfig: {embedded}}}")));
    errors.iter().map(|error| error.replace("webhook.embeddedSecretManagerConfig.", "…")).collect()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn path(path: &str) -> Option<PathBuf> {
    Some(path.into())
}

#[test]
fn the_defaults_are_one_kubernetes_store_asked_in_parallel_and_a_short_cache() {
    let expected = StoresSettings {
        stores: vec![StoreSettings::K8s(K8sStoreSettings {
            namespace: "flyte".to_owned(),
            watch: true,
            kube_client: KubeClientSettings { qps: 100, burst: 25, timeout: Duration::from_secs(30) },
        })],
        scopes: Scopes::Parallel,
        concurrent_calls: 64,
        call_timeout: Duration::from_secs(10),
        cache: CacheSettings {
            ttl: Duration::from_secs(300),
            not_found_ttl: Duration::from_secs(10),
            max_bytes: 100_000_000,
            stale_if_unavailable: Duration::ZERO,
        },
        local: LocalStoreSettings::default(),
    };
    assert_eq!(load(&Inputs::default()).unwrap().config.stores, expected);
}

#[test]
fn stores_are_asked_in_the_order_of_the_list_or_it_is_the_single_type() {
    let cases: [(&str, &[StoreType]); 4] = [
        ("{type: aws}", &[StoreType::Aws]),
        ("{type: AWS, types: []}", &[StoreType::Aws]),
        ("{types: [local, K8s]}", &[StoreType::Local, StoreType::K8s]),
        ("{types: 'AWS, K8s'}", &[StoreType::Aws, StoreType::K8s]),
    ];
    for (embedded, expected) in cases {
        let found: Vec<StoreType> = stores(embedded).stores.iter().map(StoreSettings::store_type).collect();
        assert_eq!(found, expected, "{embedded}");
    }
}

#[test]
fn no_store_is_asked_where_the_embedded_manager_is_not() {
    let text =
        "webhook: {secretManagerTypes: [K8s], embeddedSecretManagerConfig: {type: GCP, localConfig: {file: /s}}}";
    let stores = load_one(text).unwrap().config.stores;
    assert_eq!(stores.stores, []);
    assert_eq!(stores.local.file, path("/s"), "for commands that work on the local store");
}

#[test]
fn a_single_type_beside_a_list_has_no_effect_and_gives_a_warning() {
    let loaded = load_one("webhook: {embeddedSecretManagerConfig: {type: GCP, types: [K8s]}}").unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains("embeddedSecretManagerConfig.type has no effect"), "{:?}", loaded.warnings);
}

#[test]
fn a_store_is_named_once() {
    assert_eq!(wrong("{types: [K8s, AWS, k8s]}"), ["1.yaml:1:48: …types: names a store twice; each is asked once"]);
}

#[test]
fn every_store_gets_what_it_is_told() {
    let found = stores(
        "{types: [AWS, GCP, Azure, K8s, Http, Local],
    awsConfig: {region: eu-west-1, endpoint: 'https://vpce.example', batch: false},
    gcpConfig: {project: p, endpoint: 'http://localhost:9', anonymous: true},
    azureConfig: {vaultURI: 'https://v.vault.azure.net', caFile: /ca},
    k8sConfig: {namespace: n, watch: false, kubeClientConfig: {qps: 1, burst: 2, timeout: 3s}},
    httpConfig: {url: 'https://h/x', tokenFile: /t, clientCert: /c, clientKey: /k, caFile: /ca},
    localConfig: {file: /s.age, keyFile: /key}}",
    );
    let local = LocalStoreSettings { file: path("/s.age"), key_file: path("/key") };
    let expected = [
        StoreSettings::Aws(AwsStoreSettings {
            region: text("eu-west-1"),
            endpoint: text("https://vpce.example"),
            batch: false,
        }),
        StoreSettings::Gcp(GcpStoreSettings {
            project: "p".to_owned(),
            endpoint: text("http://localhost:9"),
            anonymous: true,
        }),
        StoreSettings::Azure(AzureStoreSettings {
            vault_uri: "https://v.vault.azure.net".to_owned(),
            ca_file: path("/ca"),
        }),
        StoreSettings::K8s(K8sStoreSettings {
            namespace: "n".to_owned(),
            watch: false,
            kube_client: KubeClientSettings { qps: 1, burst: 2, timeout: Duration::from_secs(3) },
        }),
        StoreSettings::Http(HttpStoreSettings {
            url: "https://h/x".to_owned(),
            token_file: path("/t"),
            client_certificate: Some(("/c".into(), "/k".into())),
            ca_file: path("/ca"),
        }),
        StoreSettings::Local(local.clone()),
    ];
    assert_eq!(found.stores, expected);
    assert_eq!(found.local, local);
}

#[test]
fn vault_is_asked_as_it_is_told() {
    let found = stores(
        "{type: Vault, vaultConfig: {address: 'https://v:8200', namespace: team, mount: kv, pathPrefix: a/b, kvVersion: 1,
          field: data, caFile: /ca, auth: {role: r, mount: k8s-eu}}}",
    );
    let expected = VaultStoreSettings {
        address: "https://v:8200".to_owned(),
        namespace: text("team"),
        mount: "kv".to_owned(),
        path_prefix: "a/b".to_owned(),
        kv_version: KvVersion::V1,
        field: "data".to_owned(),
        ca_file: path("/ca"),
        auth: VaultAuth::Kubernetes { mount: "k8s-eu".to_owned(), role: "r".to_owned(), token_file: None },
    };
    assert_eq!(found.stores, [StoreSettings::Vault(expected)]);
}

#[test]
fn every_method_of_logging_in_to_vault_has_its_usual_mount() {
    let cases = [
        (
            "role: r, tokenFile: /t",
            VaultAuth::Kubernetes { mount: "kubernetes".to_owned(), role: "r".to_owned(), token_file: path("/t") },
        ),
        (
            "method: jwt, role: r, tokenFile: /t",
            VaultAuth::Jwt { mount: "jwt".to_owned(), role: "r".to_owned(), token_file: "/t".into() },
        ),
        (
            "method: AppRole, roleId: i, secretIdFile: /s",
            VaultAuth::AppRole { mount: "approle".to_owned(), role_id: "i".to_owned(), secret_id_file: "/s".into() },
        ),
        ("method: Token, tokenFile: /t", VaultAuth::Token { token_file: path("/t") }),
    ];
    for (auth, expected) in cases {
        let found = stores(&format!("{{type: Vault, vaultConfig: {{address: 'https://v', auth: {{{auth}}}}}}}"));
        let [StoreSettings::Vault(vault)] = &found.stores[..] else { panic!("{found:?}") };
        assert_eq!((vault.mount.as_str(), vault.field.as_str(), vault.kv_version), ("secret", "value", KvVersion::V2));
        assert_eq!(vault.auth, expected, "{auth}");
    }
}

#[test]
fn everything_that_the_stores_lack_is_told_at_once_with_the_line_to_add() {
    let errors =
        wrong("{types: [GCP, Azure, Vault, Http], httpConfig: {clientCert: /c}, gcpConfig: {anonymous: true}}");
    let expected = [
        "1.yaml:1:48: …gcpConfig.project: needed where …types names GCP; add `…gcpConfig.project: my-project`",
        "1.yaml:1:48: …azureConfig.vaultURI: needed where …types names Azure; add \
         `…azureConfig.vaultURI: https://my-vault.vault.azure.net`",
        "1.yaml:1:48: …vaultConfig.address: needed where …types names Vault; add \
         `…vaultConfig.address: https://vault.vault.svc:8200`",
        "1.yaml:1:48: …httpConfig.url: needed where …types names Http; add \
         `…httpConfig.url: https://secrets.example.com`",
        "1.yaml:1:48: …vaultConfig.auth.role: needed where …vaultConfig.auth.method is Kubernetes; add \
         `…vaultConfig.auth.role: flyte-secrets`",
        "1.yaml:1:100: …httpConfig.clientKey: needed together with …httpConfig.clientCert",
        "1.yaml:1:128: …gcpConfig.anonymous: only for a test server: Google answers nobody without credentials; set \
         gcpConfig.endpoint too",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn a_store_that_is_not_asked_lacks_nothing() {
    let text = "webhook: {secretManagerTypes: [K8s], embeddedSecretManagerConfig: {types: [GCP, Azure, Vault, Http]}}";
    assert!(load_one(text).is_ok());
    let unused = stores("{type: K8s, vaultConfig: {auth: {method: AppRole}}, httpConfig: {clientKey: /k}}");
    assert_eq!(unused.stores.len(), 1);
}

#[test]
fn the_store_that_is_written_to_lacks_nothing_either() {
    let with = |store: &str, manager: &str, embedded: &str| {
        let webhook = format!("secretManagerTypes: [{manager}], embeddedSecretManagerConfig: {{{embedded}}}");
        load_one(&format!("{{secret: {{store: {store}}}, webhook: {{{webhook}}}}}"))
    };
    let project = "webhook.embeddedSecretManagerConfig.gcpConfig.project";
    for manager in ["K8s", "Embedded"] {
        assert_eq!(
            errors_of(with("GCP", manager, "")),
            [format!("1.yaml:1:18: {project}: needed where secret.store is GCP; add `{project}: my-project`")]
        );
        let config = with("GCP", manager, "gcpConfig: {project: p}").unwrap().config;
        let gcp = GcpStoreSettings { project: "p".to_owned(), endpoint: None, anonymous: false };
        assert_eq!(config.secret_service.store_settings, StoreSettings::Gcp(gcp));
        assert!(config.stores.stores.iter().all(|store| store.store_type() == StoreType::K8s));
    }
    for (store, store_type) in [("K8s", StoreType::K8s), ("Local", StoreType::Local), ("AWS", StoreType::Aws)] {
        assert_eq!(with(store, "K8s", "").unwrap().config.secret_service.store_settings.store_type(), store_type);
    }
}

#[test]
fn every_method_of_logging_in_to_vault_says_what_it_lacks() {
    let cases: [(&str, &[&str]); 4] = [
        ("Kubernetes", &["…vaultConfig.auth.role"]),
        ("JWT", &["…vaultConfig.auth.role", "…vaultConfig.auth.tokenFile"]),
        ("AppRole", &["…vaultConfig.auth.roleId", "…vaultConfig.auth.secretIdFile"]),
        ("Token", &["…vaultConfig.auth.tokenFile"]),
    ];
    for (method, expected) in cases {
        let errors =
            wrong(&format!("{{type: Vault, vaultConfig: {{address: 'https://v', auth: {{method: {method}}}}}}}"));
        let keys: Vec<&str> = errors.iter().filter_map(|error| error.split(": ").nth(1)).collect();
        assert_eq!(keys, expected, "{method}");
    }
}

#[test]
fn a_token_of_vault_may_stand_in_the_environment() {
    let inputs = Inputs { environment: pairs(&[("VAULT_TOKEN", "t")]), ..Inputs::default() };
    let text = "webhook: {embeddedSecretManagerConfig: {type: Vault, vaultConfig: {address: 'https://v', auth: {method: Token}}}}";
    let stores = load_with(&[text], inputs).unwrap().config.stores;
    let [StoreSettings::Vault(vault)] = &stores.stores[..] else { panic!("{stores:?}") };
    assert_eq!(vault.auth, VaultAuth::Token { token_file: None });
}

#[test]
fn addresses_without_tls_are_taken_with_a_warning_unless_they_stay_on_this_computer() {
    let text = "webhook: {embeddedSecretManagerConfig: {types: [AWS, Http], awsConfig: {endpoint: 'http://localhost:1'}, \
                httpConfig: {url: 'http://h'}, gcpConfig: {endpoint: 'http://unused'}}}";
    let warnings = load_one(text).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let expected = "1.yaml:1:124: webhook.embeddedSecretManagerConfig.httpConfig.url: values and credentials go over the \
                    network unencrypted; write https://";
    assert_eq!(file_name_only(&warnings[0]), expected);
}

#[test]
fn the_cache_is_the_section_of_flyte() {
    let loaded = load_one(
        "cache:
  type: InMemoryFixedSize
  inMemoryFixedSize: {size: 64Mi, defaultExpiration: 24h}
  redis: {options: {addr: x}}
  max_size_mbs: 100
webhook: {embeddedSecretManagerConfig: {notFoundTtl: 0, staleIfUnavailable: 2h, scopes: sequential}}",
    )
    .unwrap();
    let expected = CacheSettings {
        ttl: Duration::from_secs(24 * 3600),
        not_found_ttl: Duration::ZERO,
        max_bytes: 64 << 20,
        stale_if_unavailable: Duration::from_secs(2 * 3600),
    };
    assert_eq!(loaded.config.stores.cache, expected);
    assert_eq!(loaded.config.stores.scopes, Scopes::Sequential);
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn what_others_mean_by_their_cache_is_told_where_it_is_not_what_happens() {
    let warnings = |webhook: &str| {
        let text = format!("cache: {{type: redis, inMemoryFixedSize: {{defaultExpiration: 0}}}}\nwebhook: {webhook}");
        load_one(&text).unwrap().warnings
    };
    let told = warnings("{}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("cache.type: values of secrets are cached in memory only"), "{told:?}");
    assert!(told[1].contains("0 turns the cache of values off"), "{told:?}");
    assert_eq!(warnings("{secretManagerTypes: [K8s]}"), [""; 0], "nothing is cached without the Embedded manager");
}
