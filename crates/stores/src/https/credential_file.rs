//! Credentials in files: read when they are needed, because others renew them.

use std::path::Path;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::fetcher::{FailureClass, FetchError};

/// The largest credential, in bytes; a ServiceAccount token has about a thousand.
const MAX_CREDENTIAL: u64 = 64 << 10;

/// The text of a file without the white space around it; `what` names it in errors.
pub(crate) async fn read_credential(what: &str, path: &Path) -> Result<SecretString, FetchError> {
    let denied =
        |problem: &str| FetchError::new(FailureClass::Denied, format!("no {what}: {} {problem}", path.display()));
    let metadata = tokio::fs::metadata(path).await.map_err(|error| denied(&format!("cannot be read: {error}")))?;
    if !metadata.is_file() || metadata.len() > MAX_CREDENTIAL {
        return Err(denied(&format!("is no file of at most {MAX_CREDENTIAL} bytes")));
    }
    let bytes = tokio::fs::read(path).await.map(Zeroizing::new);
    let bytes = bytes.map_err(|error| denied(&format!("cannot be read: {error}")))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| denied("is not UTF-8"))?.trim();
    if text.is_empty() { Err(denied("is empty")) } else { Ok(SecretString::from(text)) }
}
