//! How the Embedded manager keeps secrets in Azure Key Vault: the codec of names and the codec of values.
//!
//! Key Vault allows only letters, digits and `-` in a name and only text as a value, so both are encoded.
//! Source: `azure_secret_manager.go` and `azure_utils.go` of Flyte 2.

mod name;
mod value;

pub use name::{AzureNameError, MAX_NAME_LENGTH, decode_name, encode_name};
pub use value::{AzureValueError, decode_value, encode_value};
