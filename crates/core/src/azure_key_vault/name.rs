//! Names: `1-<org>-<domain>-<project>-<BASE32(name)>`.

use crate::base32;
use crate::encoded_id::SecretId;

/// The version of the codec, which every name begins with.
const VERSION: &str = "1";

/// The longest name that Key Vault takes, in bytes.
pub const MAX_NAME_LENGTH: usize = 127;

/// Why an id has no name in Key Vault, or a name no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AzureNameError {
    /// The encoded name is longer than [`MAX_NAME_LENGTH`].
    #[error(
        "the secret's name takes {length} characters in Azure Key Vault, {MAX_NAME_LENGTH} are allowed; shorten the name, project, domain or organization"
    )]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Not `1-` and four parts.
    #[error("not a name of version 1: expected `1-<org>-<domain>-<project>-<name in base32>`")]
    Format,
    /// A `0` is followed by something else than `0` or `1`.
    #[error("the {component} holds `0` followed by something else than `0` or `1`")]
    Escape {
        /// `organization`, `domain` or `project`.
        component: &'static str,
    },
    /// The last part is not base32.
    #[error("the last part is not base32: {found:?} at its byte {position} is not one of A-Z and 2-7")]
    NotBase32 {
        /// Where the character stands in the last part, in bytes from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// The last part is base32 of something that is no text.
    #[error("the last part does not decode to UTF-8")]
    NotUtf8,
}

/// The name under which Key Vault keeps the secret.
///
/// # Errors
/// If the name would be longer than [`MAX_NAME_LENGTH`].
pub fn encode_name(id: &SecretId) -> Result<String, AzureNameError> {
    let [org, domain, project] = [&id.org, &id.domain, &id.project].map(|text| escape(text));
    let name = format!("{VERSION}-{org}-{domain}-{project}-{}", base32::STANDARD.encode(id.name.as_bytes()));
    if name.len() > MAX_NAME_LENGTH { Err(AzureNameError::TooLong { length: name.len() }) } else { Ok(name) }
}

/// The id of the secret that Key Vault keeps under the name.
///
/// # Errors
/// If [`encode_name`] could not have written the name.
pub fn decode_name(name: &str) -> Result<SecretId, AzureNameError> {
    let parts: Vec<&str> = name.splitn(6, '-').collect();
    let &[VERSION, org, domain, project, name] = parts.as_slice() else { return Err(AzureNameError::Format) };
    let name = base32::STANDARD
        .decode(name)
        .map_err(|base32::BadCharacter { position, found }| AzureNameError::NotBase32 { position, found })?;
    Ok(SecretId {
        org: unescape("organization", org)?,
        domain: unescape("domain", domain)?,
        project: unescape("project", project)?,
        name: String::from_utf8(name).map_err(|_| AzureNameError::NotUtf8)?,
    })
}

fn escape(component: &str) -> String {
    component.replace('0', "00").replace('-', "01")
}

/// A lone `0` at the end stays, as in Flyte.
fn unescape(component: &'static str, escaped: &str) -> Result<String, AzureNameError> {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped.chars();
    while let Some(c) = rest.next() {
        text.push(match c {
            '0' => match rest.next() {
                Some('0') | None => '0',
                Some('1') => '-',
                Some(_) => return Err(AzureNameError::Escape { component }),
            },
            other => other,
        });
    }
    Ok(text)
}
