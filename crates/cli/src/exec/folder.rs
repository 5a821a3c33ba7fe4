//! A private folder in memory for the files, as a pod's memory-backed volume is.
//!
//! The folder is locked (flock(2)) as long as this process or the command lives: the command inherits the lock. So a folder
//! without a lock belongs to nobody any more, and the next `exec` of the same user takes it away.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flyte_secrets_core::value::SecretValue;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::getuid;
use tempfile::TempDir;

/// What the folder's name starts with; the user and random letters follow.
const PREFIX: &str = "flyte-secrets-exec-";
/// Where file systems in memory are, unless `XDG_RUNTIME_DIR` names one (file-hierarchy(7)).
const SHARED_MEMORY: &str = "/dev/shm";
/// So many entries of the place are looked at for folders that were left.
const MAX_ENTRIES: usize = 10_000;
/// Somebody may take away a folder that is made and not locked yet.
const ATTEMPTS: usize = 5;

/// The folder; it is removed with all its content when this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    folder: TempDir,
    lock: OwnedFd,
}

impl Folder {
    /// An empty folder that only this user can enter, in memory.
    pub(super) fn new(allow_disk: bool) -> Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let places = runtime.into_iter().chain([PathBuf::from(SHARED_MEMORY)]);
        let mut tried = Vec::new();
        for place in places {
            let place_name = place.display();
            if !in_memory(&place) {
                tried.push(format!("{place_name} is not there, or not in memory"));
                continue;
            }
            match Self::below(&place) {
                Ok(folder) => return Ok(folder),
                // Somebody else's, read-only, or full: perhaps the next one.
                Err(error) => tried.push(format!("in {place_name}: {error}")),
            }
        }
        if !allow_disk {
            bail!(
                "no folder in memory can be made ({}), and secrets on a disk may outlive their deletion; mount a tmpfs at \
                 {SHARED_MEMORY}, or say --allow-disk",
                tried.join("; ")
            );
        }
        let place = std::env::temp_dir();
        Self::below(&place).with_context(|| format!("cannot make a folder in {}", place.display()))
    }

    fn below(place: &Path) -> io::Result<Self> {
        let prefix = format!("{PREFIX}{}-", getuid().as_raw());
        sweep(place, &prefix);
        for _ in 0..ATTEMPTS {
            let folder = tempfile::Builder::new()
                .prefix(&prefix)
                .rand_bytes(16)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(place)?;
            if let Some(lock) = lock(folder.path())? {
                return Ok(Self { folder, lock });
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file that only this user can read. `path` is relative, of plain segments.
    pub(super) fn write(&self, path: &str, value: &SecretValue) -> Result<()> {
        let target = self.path().join(path);
        let write = || {
            if let Some(parent) = target.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            // A file of that name would be a fault, and a link in its place an attack: neither is written to.
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&target)?;
            file.write_all(value.expose_bytes())
        };
        write().with_context(|| format!("cannot write the file {path:?} into {}", self.path().display()))
    }

    /// Has programs that are started from now on share the lock.
    pub(super) fn share_lock(&self) -> io::Result<()> {
        Ok(fcntl_setfd(&self.lock, FdFlags::empty())?)
    }

    /// Removes the folder.
    pub(super) fn remove(self) -> Result<()> {
        let path = self.path().to_owned();
        self.folder.close().with_context(|| format!("cannot remove the folder of the secrets, {}", path.display()))
    }
}

/// Locks a folder; `None` if another has the lock, or it is not there any more.
fn lock(folder: &Path) -> io::Result<Option<OwnedFd>> {
    let fd = match open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    {
        Ok(fd) => fd,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // What we have locked may have been removed in between.
    let (locked, there) = (fstat(&fd)?, folder.symlink_metadata());
    Ok(there.is_ok_and(|there| there.ino() == locked.st_ino && there.dev() == locked.st_dev).then_some(fd))
}

/// Removes folders of this user whose processes are gone. What cannot be removed is left.
fn sweep(place: &Path, prefix: &str) {
    let Ok(entries) = std::fs::read_dir(place) else { return };
    for entry in entries.take(MAX_ENTRIES).flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let path = entry.path();
        let ours = path.symlink_metadata().is_ok_and(|metadata| metadata.uid() == getuid().as_raw());
        if ours && let Ok(Some(_lock)) = lock(&path) {
            tracing::debug!(folder = %path.display(), "removing the folder of a command that is gone");
            // The lock is held until it is gone: nobody begins to use it meanwhile.
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::debug!(%error, folder = %path.display(), "cannot remove it");
            }
        }
    }
}

/// Whether a folder is on tmpfs or ramfs, by the numbers of statfs(2).
#[cfg(target_os = "linux")]
fn in_memory(folder: &Path) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    const RAMFS_MAGIC: u64 = 0x8584_58f6;
    // The type is signed on some machines: 32 bits count.
    rustix::fs::statfs(folder)
        .is_ok_and(|there| [TMPFS_MAGIC, RAMFS_MAGIC].contains(&(there.f_type as u64 & 0xffff_ffff)))
}

/// Elsewhere nobody tells.
#[cfg(not(target_os = "linux"))]
fn in_memory(_: &Path) -> bool {
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn only_the_user_can_enter_the_folder_and_read_its_files() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::below(place.path()).unwrap();
        folder.write("group/v1/key", &SecretValue::text("value".to_owned())).unwrap();
        folder.write("key", &SecretValue::binary(vec![0, 255])).unwrap();
        for (path, expected) in
            [("", 0o700), ("group", 0o700), ("group/v1", 0o700), ("group/v1/key", 0o400), ("key", 0o400)]
        {
            assert_eq!(mode(&folder.path().join(path)), expected, "{path:?}");
        }
        assert_eq!(std::fs::read(folder.path().join("key")).unwrap(), [0, 255]);
        folder.remove().unwrap();
        assert_eq!(place.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_written_over_or_through_a_link() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::below(place.path()).unwrap();
        let outside = place.path().join("outside");
        std::os::unix::fs::symlink(&outside, folder.path().join("key")).unwrap();
        let error = folder.write("key", &SecretValue::text("value".to_owned())).unwrap_err();
        assert!(format!("{error:#}").contains("\"key\"") && !outside.exists(), "{error:#}");
    }

    #[test]
    fn a_folder_is_swept_when_its_processes_are_gone_and_not_before() {
        let place = tempfile::tempdir().unwrap();
        let left = place.path().join(format!("{PREFIX}{}-left", getuid().as_raw()));
        let others = place.path().join(format!("{PREFIX}{}0-others", getuid().as_raw()));
        for folder in [&left, &others] {
            std::fs::create_dir_all(folder.join("group")).unwrap();
            std::fs::write(folder.join("group/key"), "value").unwrap();
        }
        let first = Folder::below(place.path()).unwrap();
        assert!(!left.exists() && others.exists());
        let second = Folder::below(place.path()).unwrap();
        assert!(first.path().exists() && second.path().exists());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_told_from_disk() {
        assert!(in_memory(Path::new(SHARED_MEMORY)));
        assert!(!in_memory(Path::new("/proc")) && !in_memory(Path::new("/no/such/folder")));
    }
}
