use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file that keeps what a [`Ram`](crate::Ram) holds: byte for byte, sparse where nothing was ever written.
///
/// The data of a write is in the file before the write is answered, by one call of the system for each burst: a process that is killed loses nothing
/// that the device has acknowledged, and tears no burst. What a power cut of the PC leaves is what its system has written back.
#[derive(Debug)]
pub struct Image {
    file: File,
    /// What is in memory and not yet in the file.
    pub(crate) dirty: Option<Dirty>,
}

/// The bytes of a burst, within a page.
#[derive(Clone, Debug)]
pub(crate) struct Dirty {
    pub(crate) bytes: Range<u64>,
    /// Whether they are others than before.
    pub(crate) changed: bool,
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be opened, created or read.
    #[error("the image {path} cannot be used: {source}")]
    Io {
        /// Of the image.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It belongs to a device of another size.
    #[error("the image {path} has {found} bytes, and the device {expected}")]
    Size {
        /// Of the image.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// What it should have.
        expected: u64,
    },
    /// Another device has it open.
    #[error("the image {path} is in use by another device")]
    InUse {
        /// Of the image.
        path: PathBuf,
    },
}

impl Image {
    /// Opens an image for a memory of `bytes`; creates it, full of zeroes, if there is none.
    ///
    /// # Errors
    /// If the file cannot be used, has another size, or is in use.
    pub fn open(path: &Path, bytes: u64) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ImageError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        match file.metadata().map_err(failed)?.len() {
            0 => file.set_len(bytes).map_err(failed)?,
            found if found != bytes => {
                return Err(ImageError::Size { path: path.to_owned(), found, expected: bytes });
            }
            _ => {}
        }
        Ok(Self { file, dirty: None })
    }

    /// Reads what the file has from `address` on. What is behind its end, because somebody cut it, is an error.
    pub(crate) fn load(&self, address: u64, data: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(data, address)
    }

    pub(crate) fn store(&self, address: u64, data: &[u8]) -> io::Result<()> {
        match self.file.write_at(data, address)? {
            count if count == data.len() => Ok(()),
            _ => Err(ErrorKind::WriteZero.into()),
        }
    }
}
