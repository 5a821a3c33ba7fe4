//! Files that are either the old one or the new one, never half of it, and that only their owner reads.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::error::LocalError;

/// How often a waiting writer tries the lock.
const LOCK_POLL: Duration = Duration::from_millis(10);
const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_FOLDER: u32 = 0o700;

/// Tells one version of an age file from another: its size and its last 16 bytes. Those are the
/// authenticator of the last piece, made with a key that is new for every file. Unlike modification
/// times and inodes, it cannot miss a quick change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    size: u64,
    end: [u8; 16],
}

impl Mark {
    /// The mark of a file's bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let mut end = [0; 16];
        let tail = &bytes[bytes.len().saturating_sub(end.len())..];
        end[..tail.len()].copy_from_slice(tail);
        Self { size: bytes.len() as u64, end }
    }

    /// The mark of a file; `None` if there is none.
    pub(super) fn of_file(path: &Path) -> Result<Option<Self>, LocalError> {
        let read = || -> io::Result<Self> {
            let mut file = File::open(path)?;
            let size = file.metadata()?.len();
            let mut tail = Vec::with_capacity(16);
            file.seek(SeekFrom::Start(size.saturating_sub(16)))?;
            file.take(16).read_to_end(&mut tail)?;
            Ok(Self { size, ..Self::of_bytes(&tail) })
        };
        missing_is_none(read()).map_err(LocalError::io("read", path))
    }
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file's bytes, at most `limit`; `None` if there is no file.
pub(super) fn read(path: &Path, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, LocalError> {
    let read = || -> io::Result<Zeroizing<Vec<u8>>> {
        let file = File::open(path)?;
        // Room for everything at once: a growing vector would leave copies of a key behind in memory.
        let size = usize::try_from(file.metadata()?.len()).map_or(limit, |size| size.min(limit));
        let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = missing_is_none(read()).map_err(LocalError::io("read", path))?;
    match bytes {
        Some(bytes) if bytes.len() > limit => Err(LocalError::FileTooLarge { file: path.to_owned(), limit }),
        bytes => Ok(bytes),
    }
}

/// The mode bits of a file that somebody but its owner may read or write; `None` if only the owner may, or if
/// there is no file.
pub(super) fn open_to_others(path: &Path) -> Result<Option<u32>, LocalError> {
    let metadata = missing_is_none(fs::metadata(path)).map_err(LocalError::io("look at", path))?;
    Ok(metadata.map(|metadata| metadata.permissions().mode() & 0o7777).filter(|mode| mode & 0o077 != 0))
}

/// Waits for a lock that one process, and one thread of it, holds at a time; it ends with the returned file.
pub(super) fn lock(path: &Path, patience: Duration) -> Result<File, LocalError> {
    make_folder(folder_of(path))?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(OWNER_ONLY);
    let file = options.open(path).map_err(LocalError::io("open the lock", path))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => {
                return Err(LocalError::Locked { lock: path.to_owned(), waited: start.elapsed() });
            }
            Err(TryLockError::Error(error)) => return Err(LocalError::io("lock", path)(error)),
        }
    }
}

/// Puts `bytes` in the place of a file, or makes it. The caller holds the lock.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), LocalError> {
    let target = behind_links(path);
    let staged = stage(&target, bytes)?;
    staged.persist(&target).map_err(|error| LocalError::io("replace", &target)(error.error))?;
    sync_folder(&target)
}

/// Writes `bytes` to the disk next to `target`, under a name of its own. The name is always the same, so that
/// what a killed process left behind is swept up by the next write.
fn stage(target: &Path, bytes: &[u8]) -> Result<NamedTempFile, LocalError> {
    let folder = folder_of(target);
    make_folder(folder)?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let path = folder.join(&name);
    missing_is_none(fs::remove_file(&path)).map_err(LocalError::io("remove", &path))?;
    let write = || -> io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempfile_in(folder)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(OWNER_ONLY))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(LocalError::io("write", &path))
}

/// Makes a rename outlive a power cut.
fn sync_folder(path: &Path) -> Result<(), LocalError> {
    let folder = folder_of(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(LocalError::io("sync", folder))
}

/// The file itself if `path` is a link to it: a rename would replace the link and leave the file as it is.
fn behind_links(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn make_folder(folder: &Path) -> Result<(), LocalError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(OWNER_ONLY_FOLDER);
    builder.create(folder).map_err(LocalError::io("make the folder", folder))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_write_that_ends_before_the_rename_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        replace(&path, b"old").unwrap();
        // As when the process is killed here: nothing is cleaned up.
        std::mem::forget(stage(&path, b"half a new fi").unwrap());
        assert_eq!(**read(&path, 100).unwrap().unwrap(), *b"old");
        replace(&path, b"new").unwrap();
        assert_eq!(**read(&path, 100).unwrap().unwrap(), *b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the killed write's rest is gone");
    }

    #[test]
    fn files_and_folders_are_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/f");
        replace(&path, b"x").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("a")), 0o700);
        assert_eq!(mode(&folder.path().join("a/b")), 0o700);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "12345").unwrap();
        assert!(read(&path, 5).is_ok());
        assert!(matches!(read(&path, 4), Err(LocalError::FileTooLarge { limit: 4, .. })));
    }

    #[test]
    fn a_lock_that_somebody_holds_is_waited_for_and_then_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.lock");
        let held = lock(&path, Duration::ZERO).unwrap();
        assert!(matches!(lock(&path, Duration::from_millis(30)), Err(LocalError::Locked { .. })));
        drop(held);
        assert!(lock(&path, Duration::ZERO).is_ok());
    }

    #[test]
    fn a_mark_is_the_same_from_bytes_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        assert_eq!(Mark::of_file(&path).unwrap(), None);
        for bytes in [&b""[..], b"short", b"longer than sixteen bytes"] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(Mark::of_file(&path).unwrap(), Some(Mark::of_bytes(bytes)));
        }
        assert_ne!(Mark::of_bytes(b"same end, other size: 0123456789abcdef"), Mark::of_bytes(b"0123456789abcdef"));
    }
}
