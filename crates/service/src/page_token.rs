//! Where the next page of a list begins, as a text that means something to us only.

use data_encoding::BASE64URL_NOPAD;
use flyte_secrets_core::encoded_id::SecretId;

use crate::problem::Problem;

/// The form of tokens; another form would have another letter.
const FORM: &[u8] = b"1";

/// The token of the page behind this encoded id.
pub(crate) fn write(after: &str) -> String {
    BASE64URL_NOPAD.encode(&[FORM, after.as_bytes()].concat())
}

/// Reads a token; none is that of the first page.
pub(crate) fn read(token: &str) -> Result<Option<String>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    let after = bytes.and_then(|bytes| String::from_utf8(bytes.strip_prefix(FORM)?.to_vec()).ok());
    match after.filter(|after| SecretId::decode(after).is_ok()) {
        Some(after) => Ok(Some(after)),
        None => Err(Problem::invalid(
            "the page token is none of ours; ask for the first page again, without one".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let id = "u__org__flyte__domain____project____key__a";
        assert_eq!(read(&write(id)).unwrap().as_deref(), Some(id));
        assert_eq!(read("").unwrap(), None);
    }

    #[test]
    fn anything_else_is_refused() {
        for token in
            ["x", "!", &write("no id"), &BASE64URL_NOPAD.encode(b"2u__org__"), &BASE64URL_NOPAD.encode(b"1\xff")]
        {
            assert!(read(token).is_err(), "{token}");
        }
    }
}
