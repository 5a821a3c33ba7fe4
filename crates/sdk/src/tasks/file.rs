//! Reading a file that holds a secret, up to a limit.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// Why a file that is there was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is a folder, a pipe or a device.
    NotAFile,
    /// It has more bytes than the limit.
    TooLarge,
    /// The operating system says no.
    Failed(io::Error),
}

/// The file's content; `None` if there is no such file. Links are followed, which a kubelet's volumes consist of.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Unread> {
    match try_read(path, limit) {
        Ok(content) => Ok(Some(content)),
        Err(Unread::Failed(error)) if is_missing(&error) => Ok(None),
        Err(unread) => Err(unread),
    }
}

fn try_read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, Unread> {
    // Before it is opened: opening a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Unread::NotAFile);
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len().min(limit);
    // One byte more shows the end, and that there is more than the limit. The buffer holds the whole file from the start
    // on; if the file grows it may move, at most a few times.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1));
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit { Err(Unread::TooLarge) } else { Ok(content) }
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Whether no file can be there: also where the path is none that a file could have.
fn is_missing(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}
