//! The server: sockets, one client at a time on each, and what the device reaches of it.

use super::interrupts::Interrupts;
use super::link::Link;
use super::memory::{ClientMemory, Reach};
use super::session;
use crate::listener::{listen, BindError, Listener};
use crate::{distinct, Endpoint, Host};
use nvme_spec::regs::VS;
use rustix::event::{poll, PollFd, PollFlags};
use rustix::process::{getrlimit, setrlimit, Resource};
use sim_device::{Access, Fault, Message, Outside};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// When a client is looked for again that the system could not let in.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Sockets that clients can connect to, before there is a device.
pub struct Server {
    sockets: Vec<(Listener, Arc<Function>)>,
}

/// What the thread that serves a function and that of the device share. It outlives clients.
pub(super) struct Function {
    pub number: u8,
    pub memory: Arc<ClientMemory>,
    pub interrupts: Interrupts,
}

/// The name of a socket: that which SPDK looks for.
const SOCKET_NAME: &str = "cntrl";

/// The directory of a function.
fn of_function(directory: &Path, function: u8) -> PathBuf {
    match function {
        0 => directory.to_owned(),
        number => directory.join(number.to_string()),
    }
}

impl Server {
    /// Makes the sockets of a device with so many functions: see [the module](super).
    ///
    /// Each window of a client's memory takes one of the files that a process may have open: this process is allowed as many as the system lets it have.
    ///
    /// # Errors
    /// If somebody serves there already, or the directory cannot be used.
    pub fn bind(directory: &Path, functions: u8) -> Result<Self, BindError> {
        let files = getrlimit(Resource::Nofile);
        // If it may not be raised, clients with fewer windows are served all the same.
        let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: files.maximum, ..files });
        let sockets = (0..functions).map(|number| {
            let function = Function { number, memory: Arc::default(), interrupts: Interrupts::new() };
            let listener = listen(&of_function(directory, number), [SOCKET_NAME])?.remove(0);
            Ok((listener, Arc::new(function)))
        });
        Ok(Self { sockets: sockets.collect::<Result<_, BindError>>()? })
    }

    /// The memory and the interrupts of the clients that come: for [`Bridge::start`](crate::Bridge::start).
    pub fn host(&self) -> VfioUserHost {
        let function =
            |(_, function): &(Listener, Arc<Function>)| (Reach::new(function.memory.clone()), function.clone());
        VfioUserHost { functions: self.sockets.iter().map(function).collect() }
    }

    /// Serves clients, in threads of its own.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn serve(self, endpoint: &Arc<dyn Endpoint>) -> io::Result<Serving> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = Arc::new(theirs);
        let mut serving = Serving { end: Some(ours), functions: Vec::new() };
        for (listener, function) in self.sockets {
            let current = Arc::new(Mutex::new(Current::Waiting));
            let serves = ServesFunction {
                listener,
                function: function.clone(),
                current: current.clone(),
                end: theirs.clone(),
                endpoint: endpoint.clone(),
            };
            let thread = std::thread::Builder::new().name("vfio-user".to_owned()).spawn(move || serves.run())?;
            serving.functions.push(Served { function, current, thread: Some(thread) });
        }
        Ok(serving)
    }
}

/// Clients are served as long as this lives.
pub struct Serving {
    /// Closed to end.
    end: Option<UnixStream>,
    functions: Vec<Served>,
}

struct Served {
    function: Arc<Function>,
    current: Arc<Mutex<Current>>,
    thread: Option<JoinHandle<()>>,
}

/// Whom a function serves.
enum Current {
    Waiting,
    Client(Arc<Link>),
    /// Nobody any more.
    Ended,
}

impl Serving {
    /// Sends the clients away and removes the sockets. The device no longer waits for a client then, and can be stopped.
    pub fn stop(self) {
        drop(self);
    }

    /// Windows of memory that the clients have mapped.
    pub fn windows(&self) -> usize {
        self.functions.iter().map(|served| served.function.memory.windows()).sum()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.end.take());
        for Served { current, .. } in &self.functions {
            let before =
                std::mem::replace(&mut *current.lock().unwrap_or_else(PoisonError::into_inner), Current::Ended);
            if let Current::Client(link) = before {
                link.close();
            }
        }
        for Served { thread, .. } in &mut self.functions {
            if let Some(thread) = thread.take() {
                // Should it panic, its clients have gone all the same.
                let _ = thread.join();
            }
        }
    }
}

struct ServesFunction {
    listener: Listener,
    function: Arc<Function>,
    current: Arc<Mutex<Current>>,
    /// Readable when it is time to end.
    end: Arc<UnixStream>,
    endpoint: Arc<dyn Endpoint>,
}

impl ServesFunction {
    fn run(self) {
        while let Some(socket) = self.next_client() {
            let link = Arc::new(Link::new(socket));
            {
                let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
                if matches!(*current, Current::Ended) {
                    return;
                }
                *current = Current::Client(link.clone());
            }
            // However a client goes, the next one finds a fresh function.
            let _ = session::run(&self.function, &self.endpoint, &link);
            link.close();
            self.take_back();
        }
    }

    /// Waits for a client; none if it is time to end.
    fn next_client(&self) -> Option<UnixStream> {
        loop {
            let mut waits = [
                PollFd::new(&self.listener.socket, PollFlags::IN),
                PollFd::new(&*self.end, PollFlags::IN | PollFlags::HUP),
            ];
            match poll(&mut waits, None) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return None,
                Ok(_) if !waits[1].revents().is_empty() => return None,
                Ok(_) => {}
            }
            match self.listener.socket.accept() {
                Ok((socket, _)) => return Some(socket),
                // It has gone already.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {}
                // There are no files left, or no memory: others may give some back.
                Err(_) => std::thread::sleep(ACCEPT_AGAIN),
            }
        }
    }

    /// Takes back what a client had. "Client Disconnection" lets the device keep its state; here a client that comes finds it as after power-on.
    fn take_back(&self) {
        let Function { number, memory, interrupts } = &*self.function;
        memory.detach();
        interrupts.detach();
        self.endpoint.reset(*number);
        // When the device takes this, it has taken all that came before, and what it sent then has reached nobody.
        self.endpoint.read_bar_now(Access { function: *number, ..Access::dword(VS.offset.into()) });
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*current, Current::Client(_)) {
            *current = Current::Waiting;
        }
    }
}

/// The clients of a [`Server`] as a [`Host`], whether there are any or not.
pub struct VfioUserHost {
    functions: Vec<(Reach, Arc<Function>)>,
}

impl VfioUserHost {
    fn reach(&mut self, function: u8) -> Result<&mut Reach, Fault> {
        self.functions.get_mut(usize::from(function)).map(|(reach, _)| reach).ok_or(Fault)
    }
}

impl Outside for VfioUserHost {
    fn read(&mut self, function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault> {
        self.reach(function)?.read(function, address, data)
    }

    fn write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        self.reach(function)?.write(function, address, data)
    }
}

impl Host for VfioUserHost {
    fn interrupt(&mut self, messages: &[Message]) {
        for message in distinct(messages) {
            if let Some((_, function)) = self.functions.get(usize::from(message.function)) {
                function.interrupts.message(message);
            }
        }
    }
}
