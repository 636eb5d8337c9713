//! A server in front of a device that only writes down what it is asked for.
#![allow(dead_code)] // Each test program uses a part of it.

use sim_bridge::vfio_user::{Server, Serving, VfioUserHost};
use sim_bridge::{AddressBits, ConfigSpace, Endpoint, Identity};
use sim_device::Access;
use sim_vfio_client::{Client, Connection};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a test waits for what must happen. It never waits so long but when it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const VECTORS: u16 = 65;

pub const IDENTITY: Identity = Identity { functions: 1, vectors: VECTORS, address: AddressBits::Bits64 };

/// A directory that goes with the test.
pub struct Directory(PathBuf);

impl Directory {
    /// A name that nobody has; nothing is made.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("flashdock-vfio-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn socket(&self) -> PathBuf {
        self.0.join("cntrl")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a device was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Write(Access, u64),
    Config(u32, u8, u32),
    Reset(u8),
}

type Then = Box<dyn FnOnce(u64) + Send>;

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// Reads that wait, if reads wait.
    held: Option<Vec<Then>>,
}

/// The device. A read of BAR0 returns the offset.
pub struct Fake {
    space: Mutex<ConfigSpace>,
    state: Mutex<State>,
    called: Condvar,
}

impl Fake {
    pub fn new() -> Self {
        let space = Mutex::new(ConfigSpace::new(IDENTITY));
        Self { space, state: Mutex::default(), called: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test holds this and panics")
    }

    /// What was asked for since this was last asked.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    /// Waits until so many calls have come, and takes them.
    pub fn take_when(&self, count: usize) -> Vec<Call> {
        let waited = self.called.wait_timeout_while(self.state(), PATIENCE, |state| state.calls.len() < count);
        std::mem::take(&mut waited.expect("no test holds this and panics").0.calls)
    }

    /// From now on, reads wait, until they are asked for or the test ends.
    pub fn hold_reads(&self) -> HeldReads<'_> {
        self.state().held = Some(Vec::new());
        HeldReads(self)
    }

    /// Waits until so many reads wait, and hands them out; from now on, reads are answered.
    pub fn held_reads(&self, count: usize) -> Vec<Then> {
        let few = |state: &mut State| state.held.as_ref().is_some_and(|held| held.len() < count);
        let waited = self.called.wait_timeout_while(self.state(), PATIENCE, few);
        waited.expect("no test holds this and panics").0.held.take().unwrap_or_default()
    }

    fn called(&self, call: Call) {
        self.state().calls.push(call);
        self.called.notify_all();
    }
}

/// Nobody waits for ever for a test that has failed.
pub struct HeldReads<'f>(&'f Fake);

impl Drop for HeldReads<'_> {
    fn drop(&mut self) {
        let held = self.0.state.lock().unwrap_or_else(PoisonError::into_inner).held.take();
        drop(held);
    }
}

impl Endpoint for Fake {
    fn functions(&self) -> u8 {
        1
    }

    fn vectors(&self) -> u16 {
        VECTORS
    }

    fn read_config(&self, _function: u8, offset: u32, bytes: u8) -> u32 {
        self.space.lock().expect("no test holds this and panics").read(offset, bytes)
    }

    fn write_config(&self, _function: u8, offset: u32, bytes: u8, value: u32) {
        self.space.lock().expect("no test holds this and panics").write(offset, bytes, value);
        self.called(Call::Config(offset, bytes, value));
    }

    fn read_bar(&self, access: Access, then: Then) {
        let mut state = self.state();
        match &mut state.held {
            Some(held) => held.push(then),
            None => {
                drop(state);
                then(access.offset);
                return;
            }
        }
        drop(state);
        self.called.notify_all();
    }

    fn write_bar(&self, access: Access, value: u64) {
        self.called(Call::Write(access, value));
    }

    fn reset(&self, function: u8) {
        *self.space.lock().expect("no test holds this and panics") = ConfigSpace::new(IDENTITY);
        self.called(Call::Reset(function));
    }
}

/// A server of one function.
pub struct Served {
    pub serving: Serving,
    pub fake: Arc<Fake>,
    pub host: VfioUserHost,
    pub directory: Directory,
}

impl Served {
    pub fn new() -> Self {
        let directory = Directory::new();
        let server = Server::bind(directory.path(), 1).expect("a server");
        let host = server.host();
        let fake = Arc::new(Fake::new());
        let endpoint: Arc<dyn Endpoint> = fake.clone();
        let serving = server.serve(&endpoint).expect("threads");
        Self { serving, fake, host, directory }
    }

    pub fn open(&self) -> Connection {
        Connection::open(&self.directory.socket()).expect("the socket")
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.directory.socket()).expect("a client")
    }
}
