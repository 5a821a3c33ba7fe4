//! The CAs in their Secret.
//!
//! `authorities.json` lists them with their times; `<name>.crt` and `<name>.key` hold each one's certificate and private key. Other
//! keys of the Secret are left alone.

use std::collections::BTreeMap;

use flyte_secrets_core::value::SecretValue;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::status::Fingerprint;
use super::authority::Authority;
use crate::kubernetes::MANAGED_BY;

/// The key of the Secret that lists the CAs.
const LIST: &str = "authorities.json";
/// Two or three CAs overlap; more than this were not put there by us.
const MOST: usize = 16;

/// One line of the list. Times are as in RFC 3339.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    name: String,
    created: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    announced: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired: Option<String>,
}

/// The CAs that a Secret holds; none if it is empty.
///
/// # Errors
///
/// A sentence about what cannot be read, without any of the content.
pub(super) fn read(secret: &Secret) -> Result<Vec<Authority>, String> {
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    let Some(ByteString(list)) = data.get(LIST) else {
        let keys: Vec<&str> = data.keys().map(String::as_str).collect();
        return if keys.is_empty() {
            Ok(Vec::new())
        } else {
            Err(format!("it holds {} and no {LIST}", keys.join(", ")))
        };
    };
    let listed: Vec<Listed> =
        serde_json::from_slice(list).map_err(|_| format!("{LIST} is no list of CAs with their times"))?;
    if listed.len() > MOST {
        return Err(format!("{LIST} names more than {MOST} CAs"));
    }
    listed.into_iter().map(|listed| authority(listed, data)).collect()
}

fn authority(listed: Listed, data: &BTreeMap<String, ByteString>) -> Result<Authority, String> {
    let Listed { name, created, announced, retired } = listed;
    let text = |key: String| {
        let found = data.get(&key).ok_or_else(|| format!("{key} is missing"))?;
        String::from_utf8(found.0.clone()).map_err(|_| format!("{key} is no text"))
    };
    let time = |text: String| text.parse::<Timestamp>().map_err(|_| format!("a time of {name} in {LIST} is none"));
    let certificate = text(format!("{name}.crt"))?;
    let key = SecretValue::text(text(format!("{name}.key"))?);
    let times = (time(created)?, announced.map(time).transpose()?, retired.map(time).transpose()?);
    let authority = Authority::stored(certificate, key, times.0, times.1, times.2)
        .map_err(|reason| format!("{name}.crt and {name}.key are not a CA's: {reason}"))?;
    if name_of(&authority.life.id) == name { Ok(authority) } else { Err(format!("{name}.crt is another certificate")) }
}

/// `existing`, or a new Secret called `name`, with these CAs and no others.
pub(super) fn write(existing: Option<Secret>, name: &str, authorities: &[Authority]) -> Secret {
    let mut secret = existing.unwrap_or_else(|| Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        ..Secret::default()
    });
    let data = secret.data.get_or_insert_default();
    data.retain(|key, _| !is_ours(key));
    let listed: Vec<Listed> = authorities.iter().map(listed).collect();
    let list = serde_json::to_vec_pretty(&listed).expect("texts are JSON");
    data.insert(LIST.to_owned(), ByteString(list));
    for Authority { life, certificate, key } in authorities {
        let name = name_of(&life.id);
        data.insert(format!("{name}.crt"), ByteString(certificate.clone().into_bytes()));
        data.insert(format!("{name}.key"), ByteString(key.expose_bytes().to_vec()));
    }
    let (label, manager) = MANAGED_BY;
    // Who has made the Secret for us, Helm for example, goes on managing it.
    secret.metadata.labels.get_or_insert_default().entry(label.to_owned()).or_insert_with(|| manager.to_owned());
    secret
}

fn listed(Authority { life, .. }: &Authority) -> Listed {
    Listed {
        name: name_of(&life.id),
        created: life.created.to_string(),
        announced: life.announced.map(|time| time.to_string()),
        retired: life.retired.map(|time| time.to_string()),
    }
}

/// `ca-` and the first 16 hex digits of the certificate's SHA-256.
fn name_of(id: &Fingerprint) -> String {
    let mut name = format!("ca-{id}");
    name.truncate("ca-".len() + 16);
    name
}

/// Whether a key of the Secret is one that we write.
fn is_ours(key: &str) -> bool {
    key == LIST || (key.starts_with("ca-") && (key.ends_with(".crt") || key.ends_with(".key")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "document_tests.rs"]
mod tests;
