//! The key pair as files in `webhook.certDir`.

use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flyte_secrets_core::value::SecretValue;

use super::inspect::certified_key;
use super::key_pair::{CA_CRT, KeyPairPem, TLS_CRT, TLS_KEY};

/// A Kubernetes Secret is at most this large, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// How often files that change while they are read are read again, and the wait before that.
const ATTEMPTS: u32 = 5;
const WAIT: Duration = Duration::from_millis(50);

/// Why the files cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file is not there.
    #[error(
        "{path} is not there; run `flyte-secrets init-certs`, or mount the Secret that `webhook.secretName` names at `webhook.certDir`"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file is there and cannot be read.
    #[error(
        "{path} cannot be read: {reason}; it must be readable for the user that the webhook runs as (`securityContext.fsGroup` in a pod), not larger than 1 MiB, and text"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The folder or a file cannot be written.
    #[error(
        "{path} cannot be written: {source}; `webhook.certDir` must be a folder that the user of this process may write to, not a mounted Secret"
    )]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Reads `tls.crt`, `tls.key` and, if there, `ca.crt` from `folder`, all three of one state.
///
/// The files may be replaced at any time: by [`write`](fn@write), one after another, or by the kubelet, which swaps the link `..data` under
/// all of them. If something changed meanwhile, or the key is not the certificate's, all are read again, at most five times
/// within a quarter of a second. What is read last is not judged: see [`inspect`](super::inspect()).
///
/// # Errors
///
/// When `tls.crt` or `tls.key` is missing, or any of the three cannot be read.
pub async fn load(folder: &Path) -> Result<KeyPairPem, FilesError> {
    let mut attempt = 1;
    loop {
        let folder = folder.to_owned();
        let (pair, settled) = blocking(move || {
            let before = Fingerprint::of(&folder);
            let pair = read(&folder);
            let settled =
                Fingerprint::of(&folder) == before && pair.as_ref().map_or(true, |p| certified_key(p).is_ok());
            (pair, settled)
        })
        .await;
        if settled || attempt == ATTEMPTS {
            return pair;
        }
        attempt += 1;
        tokio::time::sleep(WAIT).await;
    }
}

/// Writes the three files into `folder`, which is made if need be: `tls.key` readable for the owner alone, the others for all.
/// Each file is replaced as a whole; a pair without a CA removes `ca.crt`.
///
/// # Errors
///
/// When the folder or a file cannot be written; files written before that stay.
pub async fn write(folder: &Path, pair: &KeyPairPem) -> Result<(), FilesError> {
    let (folder, pair) = (folder.to_owned(), pair.clone());
    blocking(move || write_now(&folder, &pair)).await
}

/// What tells one state of the files from another, without reading them: their identity, size and times, behind all links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([Option<[i64; 7]>; 3]);

impl Fingerprint {
    /// The state now. A file that cannot be looked at counts as missing.
    pub(crate) fn of(folder: &Path) -> Self {
        Self([CA_CRT, TLS_CRT, TLS_KEY].map(|name| {
            let file = std::fs::metadata(folder.join(name)).ok()?;
            let (device, inode, size) = (file.dev().cast_signed(), file.ino().cast_signed(), file.size().cast_signed());
            Some([device, inode, size, file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()])
        }))
    }

    /// The state now, from async code.
    pub(crate) async fn look(folder: &Path) -> Self {
        let folder = folder.to_owned();
        blocking(move || Self::of(&folder)).await
    }
}

/// Runs file operations where they hold up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down and drops this task as well.
            Err(_) => std::future::pending().await,
        },
    }
}

fn read(folder: &Path) -> Result<KeyPairPem, FilesError> {
    let missing = |name: &str| FilesError::Missing { path: folder.join(name) };
    Ok(KeyPairPem {
        ca_crt: read_file(&folder.join(CA_CRT))?,
        tls_crt: read_file(&folder.join(TLS_CRT))?.ok_or_else(|| missing(TLS_CRT))?,
        tls_key: SecretValue::text(read_file(&folder.join(TLS_KEY))?.ok_or_else(|| missing(TLS_KEY))?),
    })
}

/// `None` if the file is not there.
fn read_file(path: &Path) -> Result<Option<String>, FilesError> {
    let unreadable = |reason: String| FilesError::Unreadable { path: path.to_owned(), reason };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut text = String::new();
    let length = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    if length as u64 > MAX_FILE {
        return Err(unreadable("it is larger than 1 MiB".to_owned()));
    }
    Ok(Some(text))
}

fn write_now(folder: &Path, pair: &KeyPairPem) -> Result<(), FilesError> {
    std::fs::create_dir_all(folder).map_err(|source| FilesError::Unwritable { path: folder.to_owned(), source })?;
    write_file(folder, TLS_KEY, pair.tls_key.expose_bytes(), 0o600)?;
    write_file(folder, TLS_CRT, pair.tls_crt.as_bytes(), 0o644)?;
    match &pair.ca_crt {
        Some(ca_crt) => write_file(folder, CA_CRT, ca_crt.as_bytes(), 0o644),
        None => remove_file(&folder.join(CA_CRT)),
    }
}

fn write_file(folder: &Path, name: &str, content: &[u8], mode: u32) -> Result<(), FilesError> {
    let path = folder.join(name);
    let replace = || -> io::Result<()> {
        // A temporary file is readable for its owner alone until it is complete.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    replace().map_err(|source| FilesError::Unwritable { path: path.clone(), source })
}

fn remove_file(path: &Path) -> Result<(), FilesError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FilesError::Unwritable { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    use super::super::{CertificateAuthority, CertificateNames};
    use super::*;

    fn pair() -> KeyPairPem {
        let now = SystemTime::now();
        let names = CertificateNames::for_hosts(&["localhost".to_owned()]).unwrap();
        CertificateAuthority::new(now).unwrap().issue(&names, now).unwrap()
    }

    fn assert_same(one: &KeyPairPem, other: &KeyPairPem) {
        assert_eq!(one.ca_crt, other.ca_crt);
        assert_eq!(one.tls_crt, other.tls_crt);
        assert!(one.tls_key.expose_bytes() == other.tls_key.expose_bytes());
    }

    /// As the kubelet lays out a Secret volume: a folder with the files, a link `..data` to it, a link per file.
    fn mount(volume: &Path, version: &str, pair: &KeyPairPem) {
        write_now(&volume.join(version), pair).unwrap();
        symlink(version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        for name in [CA_CRT, TLS_CRT, TLS_KEY] {
            if fs::symlink_metadata(volume.join(name)).is_err() {
                symlink(Path::new("..data").join(name), volume.join(name)).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn what_was_written_is_read_again_and_only_the_owner_may_read_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let certs = folder.path().join("made/for/us");
        let pair = pair();
        write(&certs, &pair).await.unwrap();

        assert_same(&load(&certs).await.unwrap(), &pair);
        let mode = |name: &str| fs::metadata(certs.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(CA_CRT), mode(TLS_CRT), mode(TLS_KEY)], [0o644, 0o644, 0o600]);
        assert_eq!(fs::read_dir(&certs).unwrap().count(), 3, "no temporary file is left");
    }

    #[tokio::test]
    async fn files_are_replaced_and_not_written_into() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &pair()).await.unwrap();
        let old = fs::File::open(folder.path().join(TLS_CRT)).unwrap();
        let old_text = io::read_to_string(&old).unwrap();
        let new = pair();
        write(folder.path(), &new).await.unwrap();

        assert_ne!(old.metadata().unwrap().ino(), fs::metadata(folder.path().join(TLS_CRT)).unwrap().ino());
        assert_ne!(old_text, new.tls_crt);
        assert_same(&load(folder.path()).await.unwrap(), &new);
    }

    #[tokio::test]
    async fn without_a_ca_there_is_no_ca_file() {
        let folder = tempfile::tempdir().unwrap();
        let with = pair();
        write(folder.path(), &with).await.unwrap();
        write(folder.path(), &KeyPairPem { ca_crt: None, ..with }).await.unwrap();
        assert!(!folder.path().join(CA_CRT).exists());
        assert_eq!(load(folder.path()).await.unwrap().ca_crt, None);
    }

    #[tokio::test]
    async fn a_missing_file_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in [TLS_CRT, TLS_KEY] {
            write(folder.path(), &pair()).await.unwrap();
            fs::remove_file(folder.path().join(name)).unwrap();
            let text = load(folder.path()).await.unwrap_err().to_string();
            assert!(text.starts_with(folder.path().join(name).to_str().unwrap()), "{text}");
            assert!(text.contains("flyte-secrets init-certs"), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_no_text_or_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for content in [vec![0xff; 10], vec![b'a'; 1024 * 1024 + 1]] {
            write(folder.path(), &pair()).await.unwrap();
            fs::write(folder.path().join(TLS_KEY), content).unwrap();
            let error = load(folder.path()).await.unwrap_err();
            assert!(matches!(&error, FilesError::Unreadable { path, .. } if path.ends_with(TLS_KEY)), "{error}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(&file.join("certs"), &pair()).await.unwrap_err();
        assert!(matches!(&error, FilesError::Unwritable { path, .. } if path.ends_with("certs")), "{error}");
    }

    #[tokio::test]
    async fn a_mounted_secret_is_followed_when_the_kubelet_swaps_it() {
        let volume = tempfile::tempdir().unwrap();
        let (old, new) = (pair(), pair());
        mount(volume.path(), "..2026_01", &old);
        let before = Fingerprint::of(volume.path());
        assert_same(&load(volume.path()).await.unwrap(), &old);
        assert_eq!(Fingerprint::of(volume.path()), before);

        mount(volume.path(), "..2026_02", &new);
        fs::remove_dir_all(volume.path().join("..2026_01")).unwrap();
        assert_ne!(Fingerprint::of(volume.path()), before);
        assert_same(&load(volume.path()).await.unwrap(), &new);
    }

    #[tokio::test]
    async fn a_pair_that_is_just_being_written_is_read_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (pair(), pair());
        write(folder.path(), &old).await.unwrap();
        write_file(folder.path(), TLS_KEY, new.tls_key.expose_bytes(), 0o600).unwrap();
        let path = folder.path().to_owned();
        let rest = new.clone();
        let writer = tokio::spawn(async move {
            tokio::time::sleep(WAIT).await;
            write(&path, &rest).await
        });
        assert_same(&load(folder.path()).await.unwrap(), &new);
        writer.await.unwrap().unwrap();
    }
}
