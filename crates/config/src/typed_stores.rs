//! From resolved values to the settings of stores.

use std::time::Duration;

use crate::environment::variable;
use crate::errors::ConfigError;
use crate::getter::{Getter, named};
use crate::origin::Origin;
use crate::patterns;
use crate::settings::KubeClientSettings;
use crate::stores::{
    AwsStoreSettings, AzureStoreSettings, CacheSettings, GcpStoreSettings, HttpStoreSettings, K8sStoreSettings,
    LocalStoreSettings, StoreSettings, StoreType, StoresSettings, VaultAuth, VaultStoreSettings,
};

/// Names the store that the Secret service writes to.
const WRITTEN: &str = "secret.store";
const VAULT_METHOD: &str = "vaultConfig.auth.method";

/// What a store cannot do without, and an example of it.
const NEEDED: [(&str, &str, &str); 4] = [
    ("GCP", "gcpConfig.project", "my-project"),
    ("Azure", "azureConfig.vaultURI", "https://my-vault.vault.azure.net"),
    ("Vault", "vaultConfig.address", "https://vault.vault.svc:8200"),
    ("Http", "httpConfig.url", "https://secrets.example.com"),
];

/// The same for the methods of logging in to Vault.
const NEEDED_TO_LOG_IN: [(&str, &str, &str); 5] = [
    ("Kubernetes", "vaultConfig.auth.role", "flyte-secrets"),
    ("JWT", "vaultConfig.auth.role", "flyte-secrets"),
    ("JWT", "vaultConfig.auth.tokenFile", "/var/run/secrets/vault/token"),
    ("AppRole", "vaultConfig.auth.roleId", "8d3f6a1e-…"),
    ("AppRole", "vaultConfig.auth.secretIdFile", "/etc/vault/secret-id"),
];

fn at(name: &str) -> String {
    format!("webhook.embeddedSecretManagerConfig.{name}")
}

/// The names of the stores in the order they are asked, and the key that holds them.
fn names(values: Getter<'_>) -> (Vec<String>, String) {
    let listed = values.list(&at("types"));
    if listed.is_empty() { (vec![values.text(&at("type"))], at("type")) } else { (listed, at("types")) }
}

/// Checks that the stores have what they need which the Embedded manager asks, if it is `asked` itself, and the one that the
/// Secret service writes to.
pub(crate) fn check(values: Getter<'_>, asked: bool, environment: &[(String, String)], errors: &mut Vec<ConfigError>) {
    let (mut names, chosen_by) = names(values);
    if !asked {
        names.clear();
    }
    let written = values.text(WRITTEN);
    // Which key asks for a store; the Embedded manager's goes first.
    let asked_by = |name: &str| match names.iter().any(|asked| asked == name) {
        true => Some(chosen_by.as_str()),
        false => (written == name).then_some(WRITTEN),
    };
    let asks = |name: &str| asked_by(name).is_some();
    for (name, key, example) in NEEDED {
        let Some(chosen_by) = asked_by(name) else { continue };
        let verb = if chosen_by.ends_with("types") { "names" } else { "is" };
        let origin = values.origin(chosen_by);
        need(values, at(key), example, &format!("where {chosen_by} {verb} {name}"), origin, errors);
    }
    if let Some(chosen_by) = asked_by("Vault") {
        check_vault_login(values, chosen_by, environment, errors);
    }
    if asks("Http") {
        check_pair(values, ["httpConfig.clientCert", "httpConfig.clientKey"], errors);
    }
    let anonymous = at("gcpConfig.anonymous");
    if asks("GCP") && values.bool(&anonymous) && values.text(&at("gcpConfig.endpoint")).is_empty() {
        let message = "only for a test server: Google answers nobody without credentials; set gcpConfig.endpoint too";
        errors.push(ConfigError::new(values.origin(&anonymous), anonymous, message));
    }
    if names.iter().enumerate().any(|(index, name)| names[..index].contains(name)) {
        let message = "names a store twice; each is asked once";
        errors.push(ConfigError::new(values.origin(&chosen_by), chosen_by, message));
    }
}

fn need(values: Getter<'_>, key: String, example: &str, when: &str, origin: Origin, errors: &mut Vec<ConfigError>) {
    if values.text(&key).is_empty() {
        errors.push(ConfigError::new(origin, &key, format!("needed {when}; add `{key}: {example}`")));
    }
}

fn check_vault_login(
    values: Getter<'_>,
    chosen_by: &str,
    environment: &[(String, String)],
    errors: &mut Vec<ConfigError>,
) {
    let key = at(VAULT_METHOD);
    let method = values.text(&key);
    // Where nobody wrote a method, what has to change is where somebody wrote `Vault`.
    let origin = match values.origin(&key) {
        Origin::Default => values.origin(chosen_by),
        written => written,
    };
    for (_, needed, example) in NEEDED_TO_LOG_IN.iter().filter(|(needs, ..)| *needs == method) {
        need(values, at(needed), example, &format!("where {key} is {method}"), origin.clone(), errors);
    }
    if method == "Token" && variable(environment, "VAULT_TOKEN").is_none() {
        let when = format!("where {key} is Token and the variable VAULT_TOKEN is not set");
        need(values, at("vaultConfig.auth.tokenFile"), "/etc/vault/token", &when, origin, errors);
    }
}

/// Two keys of which one is of no use alone.
fn check_pair(values: Getter<'_>, keys: [&str; 2], errors: &mut Vec<ConfigError>) {
    let [one, other] = keys.map(at);
    for (given, missing) in [(&one, &other), (&other, &one)] {
        if !values.text(given).is_empty() && values.text(missing).is_empty() {
            let message = format!("needed together with {given}");
            errors.push(ConfigError::new(values.origin(given), missing, message));
        }
    }
}

/// Makes the settings; the values have no error. `asked` says whether the Embedded manager is.
pub(crate) fn settings(values: Getter<'_>, asked: bool, kube_client: KubeClientSettings) -> StoresSettings {
    let duration = |path: &str| values.duration(path).unwrap_or_default();
    let local = local(values);
    let types = if asked { names(values).0 } else { Vec::new() };
    StoresSettings {
        stores: types.iter().map(|name| store(values, named(name), kube_client, &local)).collect(),
        scopes: values.named(&at("scopes")),
        concurrent_calls: values.count(&at("concurrentCalls")) as usize,
        call_timeout: duration(&at("callTimeout")),
        cache: CacheSettings {
            ttl: duration("cache.inMemoryFixedSize.defaultExpiration"),
            not_found_ttl: duration(&at("notFoundTtl")),
            max_bytes: patterns::bytes(&values.text("cache.inMemoryFixedSize.size")).unwrap_or_default(),
            stale_if_unavailable: duration(&at("staleIfUnavailable")),
        },
        local,
    }
}

/// The store that the Secret service writes to; the values have no error.
pub(crate) fn written(values: Getter<'_>, kube_client: KubeClientSettings) -> StoreSettings {
    store(values, values.named(WRITTEN), kube_client, &local(values))
}

fn local(values: Getter<'_>) -> LocalStoreSettings {
    LocalStoreSettings { file: values.path(&at("localConfig.file")), key_file: values.path(&at("localConfig.keyFile")) }
}

fn store(
    values: Getter<'_>,
    store_type: StoreType,
    kube_client: KubeClientSettings,
    local: &LocalStoreSettings,
) -> StoreSettings {
    match store_type {
        StoreType::Aws => StoreSettings::Aws(AwsStoreSettings {
            region: values.optional_text(&at("awsConfig.region")),
            endpoint: values.optional_text(&at("awsConfig.endpoint")),
            batch: values.bool(&at("awsConfig.batch")),
        }),
        StoreType::Gcp => StoreSettings::Gcp(GcpStoreSettings {
            project: values.text(&at("gcpConfig.project")),
            endpoint: values.optional_text(&at("gcpConfig.endpoint")),
            anonymous: values.bool(&at("gcpConfig.anonymous")),
        }),
        StoreType::Azure => StoreSettings::Azure(AzureStoreSettings {
            vault_uri: values.text(&at("azureConfig.vaultURI")),
            ca_file: values.path(&at("azureConfig.caFile")),
        }),
        StoreType::K8s => StoreSettings::K8s(K8sStoreSettings {
            namespace: values.text(&at("k8sConfig.namespace")),
            watch: values.bool(&at("k8sConfig.watch")),
            kube_client: values.kube_client(&at("k8sConfig.kubeClientConfig"), kube_client),
        }),
        StoreType::Vault => StoreSettings::Vault(vault(values)),
        StoreType::Http => StoreSettings::Http(HttpStoreSettings {
            url: values.text(&at("httpConfig.url")),
            token_file: values.path(&at("httpConfig.tokenFile")),
            client_certificate: values.path(&at("httpConfig.clientCert")).zip(values.path(&at("httpConfig.clientKey"))),
            ca_file: values.path(&at("httpConfig.caFile")),
        }),
        StoreType::Local => StoreSettings::Local(local.clone()),
    }
}

fn vault(values: Getter<'_>) -> VaultStoreSettings {
    let at = |name: &str| at(&format!("vaultConfig.{name}"));
    let role = values.text(&at("auth.role"));
    let token_file = values.path(&at("auth.tokenFile"));
    let mount = |usual: &str| values.optional_text(&at("auth.mount")).unwrap_or_else(|| usual.to_owned());
    let auth = match values.text(&at("auth.method")).as_str() {
        "JWT" => VaultAuth::Jwt { mount: mount("jwt"), role, token_file: token_file.unwrap_or_default() },
        "AppRole" => VaultAuth::AppRole {
            mount: mount("approle"),
            role_id: values.text(&at("auth.roleId")),
            secret_id_file: values.path(&at("auth.secretIdFile")).unwrap_or_default(),
        },
        "Token" => VaultAuth::Token { token_file },
        _ => VaultAuth::Kubernetes { mount: mount("kubernetes"), role, token_file },
    };
    VaultStoreSettings {
        address: values.text(&at("address")),
        namespace: values.optional_text(&at("namespace")),
        mount: values.text(&at("mount")),
        path_prefix: values.text(&at("pathPrefix")),
        kv_version: values.named(&at("kvVersion")),
        field: values.text(&at("field")),
        ca_file: values.path(&at("caFile")),
        auth,
    }
}

/// What is accepted and probably not meant.
pub(crate) fn warn(values: Getter<'_>, settings: &StoresSettings, warnings: &mut Vec<String>) {
    let single = at("type");
    if !values.list(&at("types")).is_empty() && values.origin(&single) != Origin::Default {
        warnings.push(format!("{}: {single} has no effect: {} is set", values.origin(&single), at("types")));
    }
    let addresses = settings.stores.iter().filter_map(|store| match store {
        StoreSettings::Aws(_) => Some("awsConfig.endpoint"),
        StoreSettings::Gcp(_) => Some("gcpConfig.endpoint"),
        StoreSettings::Vault(_) => Some("vaultConfig.address"),
        StoreSettings::Http(_) => Some("httpConfig.url"),
        StoreSettings::Azure(_) | StoreSettings::K8s(_) | StoreSettings::Local(_) => None,
    });
    for key in addresses.map(at).filter(|key| patterns::is_in_the_clear(&values.text(key))) {
        warnings.push(format!(
            "{}: {key}: values and credentials go over the network unencrypted; write https://",
            values.origin(&key)
        ));
    }
    let asks = !settings.stores.is_empty();
    let kind = "cache.type";
    if asks && values.text(kind) == "Redis" {
        let origin = values.origin(kind);
        warnings.push(format!("{origin}: {kind}: values of secrets are cached in memory only, not in Redis"));
    }
    let expiration = "cache.inMemoryFixedSize.defaultExpiration";
    if asks && settings.cache.ttl == Duration::ZERO {
        let origin = values.origin(expiration);
        warnings.push(format!(
            "{origin}: {expiration}: 0 turns the cache of values off (in Flyte it is for ever); every pod asks the store"
        ));
    }
}
