//! From plain text to an age file and back, with a key file or a passphrase.
//!
//! The formats are those of `age` and `age-keygen` (<https://c2sp.org/age>), so that the secrets can be
//! reached without this program.

use std::io::Read;
use std::iter;
use std::path::Path;
use std::time::SystemTime;

use age::x25519;
use age::{DecryptError, Decryptor};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::error::LocalError;
use super::file;
use super::places::Places;

/// The largest key file, in bytes.
const MAX_KEY_FILE: usize = 64 << 10;
/// The most scrypt work that is done to open a file: 2^20 rounds, 1 GiB of memory. Only a file that
/// somebody tampered with asks for more.
const MAX_WORK_FACTOR: u8 = 20;

/// What opens the secrets.
#[derive(Clone, Debug, Default)]
pub enum Unlock {
    /// The key file; it is made with the first secret.
    #[default]
    KeyFile,
    /// A passphrase. Opening and writing take about a second each, on purpose.
    Passphrase(SecretString),
}

/// The work that a passphrase costs: scrypt with 2^`.0` rounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkFactor(pub(super) u8);

/// That of the `age` program: about a second and 256 MiB.
impl Default for WorkFactor {
    fn default() -> Self {
        Self(18)
    }
}

/// Decrypts the bytes of `places.file`.
pub(super) fn decrypt(ciphertext: &[u8], places: &Places, unlock: &Unlock) -> Result<Zeroizing<Vec<u8>>, LocalError> {
    let corrupt = |problem: &str| LocalError::Corrupt { file: places.file.clone(), problem: problem.to_owned() };
    let decryptor = Decryptor::new_buffered(ciphertext).map_err(|_| corrupt("not an age file in binary form"))?;
    let reader = match (unlock, decryptor.is_scrypt()) {
        (Unlock::KeyFile, true) => return Err(LocalError::NeedsPassphrase(places.file.clone())),
        (Unlock::Passphrase(_), false) => return Err(LocalError::NeedsKeyFile(places.file.clone())),
        (Unlock::KeyFile, false) => {
            let identities = read_key_file(places)?
                .ok_or_else(|| LocalError::KeyMissing { key: places.key.clone(), file: places.file.clone() })?;
            decryptor.decrypt(identities.iter().map(|identity| identity as &dyn age::Identity))
        }
        (Unlock::Passphrase(passphrase), true) => {
            let mut identity = age::scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(MAX_WORK_FACTOR);
            decryptor.decrypt(iter::once(&identity as &dyn age::Identity))
        }
    };
    let mut reader = reader.map_err(|error| match (error, unlock) {
        (DecryptError::NoMatchingKeys, Unlock::KeyFile) => {
            LocalError::WrongKey { key: places.key.clone(), file: places.file.clone() }
        }
        (DecryptError::DecryptionFailed, Unlock::Passphrase(_)) => LocalError::WrongPassphrase(places.file.clone()),
        (DecryptError::ExcessiveWork { .. }, _) => corrupt("it asks for far more work than any file of ours"),
        _ => corrupt("its beginning was changed"),
    })?;
    // Room for everything at once: a growing vector would leave copies behind in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(ciphertext.len()));
    reader.read_to_end(&mut text).map_err(|_| corrupt("it was cut or changed"))?;
    Ok(text)
}

/// Encrypts a plain text for `places.file`; makes the key file if there is none.
pub(super) fn encrypt(text: &[u8], places: &Places, unlock: &Unlock, work: WorkFactor) -> Result<Vec<u8>, LocalError> {
    let encrypted = match unlock {
        Unlock::KeyFile => {
            let existing = read_key_file(places)?.and_then(|identities| identities.into_iter().next());
            let identity = existing.map_or_else(|| make_key_file(&places.key), Ok)?;
            age::encrypt(&identity.to_public(), text)
        }
        Unlock::Passphrase(passphrase) => {
            let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(work.0);
            age::encrypt(&recipient, text)
        }
    };
    // With one recipient of a known kind and memory as output, nothing of age's own can fail.
    encrypted.map_err(|error| LocalError::io("encrypt", &places.file)(std::io::Error::other(error.to_string())))
}

/// The identities of the key file, at least one; the first is the one that new files are made for.
/// `None` if there is no key file.
fn read_key_file(places: &Places) -> Result<Option<Vec<x25519::Identity>>, LocalError> {
    let key = &places.key;
    if let Some(mode) = file::open_to_others(key)? {
        return Err(LocalError::KeyReadableByOthers { key: key.clone(), mode });
    }
    let Some(bytes) = file::read(key, MAX_KEY_FILE)? else {
        return Ok(None);
    };
    let malformed = |problem: String| LocalError::KeyMalformed { key: key.clone(), problem };
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed("not a text file".to_owned()))?;
    let mut identities = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let problem = |_| malformed(format!("line {} is no key of the kind AGE-SECRET-KEY-1…", number + 1));
            identities.push(line.parse().map_err(problem)?);
        }
    }
    if identities.is_empty() {
        return Err(malformed("no line with a key (AGE-SECRET-KEY-1…)".to_owned()));
    }
    Ok(Some(identities))
}

/// Makes a key file as `age-keygen` does. The caller holds the lock.
fn make_key_file(path: &Path) -> Result<x25519::Identity, LocalError> {
    let identity = x25519::Identity::generate();
    let created = humantime::format_rfc3339_seconds(SystemTime::now());
    let (public, secret) = (identity.to_public(), identity.to_string());
    let text = Zeroizing::new(format!("# created: {created}\n# public key: {public}\n{}\n", secret.expose_secret()));
    file::replace(path, text.as_bytes())?;
    Ok(identity)
}
