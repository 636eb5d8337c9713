//! Sockets in a directory that only this user can write.

use rustix::fs::{fchmod, flock, FlockOperation, Mode};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Clients that may wait while one is served.
const WAITING_MAX: i32 = 16;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody serves there already.
    #[error("{0} is served by a process that runs: end that, or choose another directory")]
    InUse(PathBuf),
    /// Others could put their sockets there.
    #[error("{0} is not a directory of this user that only this user can write: choose another, or let this command make it")]
    NotPrivate(PathBuf),
    /// There is a file that is no socket.
    #[error("{0} exists and is no socket: remove it, or choose another directory")]
    NotSocket(PathBuf),
    /// The system has no room for the name.
    #[error("{0} is too long for the name of a socket: choose a directory with a shorter name")]
    TooLong(PathBuf),
    /// The system refuses.
    #[error("{path} cannot be used: {error}")]
    System {
        /// What was touched.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A socket that clients connect to; its name goes with it.
pub struct Listener {
    /// It does not wait.
    pub socket: UnixListener,
    path: PathBuf,
    /// Locked as long as the socket is served: nobody else makes a socket here meanwhile.
    _directory: Arc<File>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have been removed.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes sockets of these names in a directory, which is made with mode 0700 if it is not there. The sockets have mode 0600. Those of a process that has died
/// are replaced.
///
/// # Errors
/// If somebody listens there already, or the directory cannot be used.
pub fn listen<'n>(directory: &Path, names: impl IntoIterator<Item = &'n str>) -> Result<Vec<Listener>, BindError> {
    let system = |error: io::Error| BindError::System { path: directory.to_owned(), error };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(system)?,
    }
    let about = fs::symlink_metadata(directory).map_err(system)?;
    if !about.is_dir() || about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o022 != 0 {
        return Err(BindError::NotPrivate(directory.to_owned()));
    }
    let locked = File::open(directory).map_err(system)?;
    match flock(&locked, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Err(BindError::InUse(directory.to_owned())),
        other => other.map_err(|error| system(error.into()))?,
    }
    let locked = Arc::new(locked);
    names.into_iter().map(|name| listen_at(directory.join(name), locked.clone())).collect()
}

fn listen_at(path: PathBuf, directory: Arc<File>) -> Result<Listener, BindError> {
    remove_stale(&path)?;
    let system = |error: Errno| BindError::System { path: path.clone(), error: error.into() };
    let address = address(&path)?;
    let socket = unconnected().map_err(system)?;
    // Before there is a name, so that nobody else connects in between. unix(7): the socket's file has the mode of the socket.
    fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(system)?;
    net::bind(&socket, &address).map_err(system)?;
    net::listen(&socket, WAITING_MAX).map_err(system)?;
    Ok(Listener { socket: socket.into(), path, _directory: directory })
}

/// A socket that does not wait: neither for connections nor for being connected.
fn unconnected() -> Result<OwnedFd, Errno> {
    net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

fn address(path: &Path) -> Result<SocketAddrUnix, BindError> {
    SocketAddrUnix::new(path).map_err(|_| BindError::TooLong(path.to_owned()))
}

/// Removes the socket of a server that has died.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let system = |error: io::Error| BindError::System { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
        Ok(about) if !about.file_type().is_socket() => return Err(BindError::NotSocket(path.to_owned())),
        Ok(_) => {}
    }
    // Servers of other programs lock nothing, but answer.
    let probe = unconnected().map_err(|error| system(error.into()))?;
    match net::connect(&probe, &address(path)?) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(system),
        _ => Err(BindError::InUse(path.to_owned())),
    }
}
