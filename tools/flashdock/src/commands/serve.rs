//! `serve`: the device behind sockets, for programs that are started by somebody else.

use crate::failure::{Failure, Result};
use crate::output;
use crate::served;
use serde::{Deserialize, Serialize};
use sim_bridge::mpqemu::{self, QemuHost};
use sim_bridge::{AddressBits, Bridge};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Offer the device to other programs through sockets
#[derive(clap::Args)]
pub struct Args {
    /// For the `x-pci-proxy-dev` of stock QEMU: sockets in this folder, which is made if it is not there. `linux` uses it
    #[arg(long, value_name = "DIR")]
    qemu: PathBuf,
    #[command(flatten)]
    device: served::Args,
    /// Print JSON at the end
    #[arg(long)]
    json: bool,
}

/// Names of the sockets for QEMU.
pub mod socket {
    /// Where QEMU's `qtest` commands are written.
    pub const QTEST: &str = "qtest";
    /// What the device is doing: a letter of [`super::Doing`] whenever it changes.
    pub const STATE: &str = "state";

    /// Where a function's proxy connects.
    pub fn function(number: u8) -> String {
        format!("function-{number}")
    }
}

/// The line on standard output that says that sockets are there.
pub const LISTENING: &str = "listening";
/// The line on standard output that says that the device answers.
pub const READY: &str = "ready";

/// What the device is doing, as a letter on the socket [`socket::STATE`].
pub enum Doing {
    /// It waits.
    Idle,
    /// It works.
    Busy,
    /// It has answered something since the last letter, and works on.
    Answered,
}

impl Doing {
    const ALL: [Doing; 3] = [Doing::Idle, Doing::Busy, Doing::Answered];

    const fn letter(&self) -> u8 {
        match self {
            Doing::Idle => b'i',
            Doing::Busy => b'b',
            Doing::Answered => b'a',
        }
    }

    /// What a letter says.
    pub fn of(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|doing| doing.letter() == letter)
    }
}

/// Where the time went, in seconds of a processor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Clocks of the device.
    pub clocks: u64,
    /// In the device: hardware, firmware, their buses.
    pub device_seconds: f64,
    /// In everything else of this process.
    pub bridge_seconds: f64,
    /// What the bridge takes of both.
    pub bridge_share: f64,
}

/// How often the state is looked at.
const STATE_PERIOD: Duration = Duration::from_millis(20);

/// Serves until the other program goes.
pub fn run(args: &Args) -> Result {
    make_folder(&args.qemu)?;
    let functions = args.device.functions();
    let names = (0..functions).map(socket::function).chain([socket::QTEST.to_owned(), socket::STATE.to_owned()]);
    let listeners = names.map(|name| listen(&args.qemu.join(name))).collect::<Result<Vec<_>>>()?;
    say(LISTENING)?;
    let mut streams = listeners.into_iter().map(Listener::accept).collect::<Result<Vec<_>>>()?;
    let (state, qtest) = (streams.pop().expect("the last"), streams.pop().expect("the last but one"));
    let host = QemuHost::new(functions, qtest).map_err(|error| connection_failed(&error))?;
    let memory: Vec<_> = (0..functions).map(|function| host.memory(function)).collect();
    let bridge = args.device.start(AddressBits::Bits32, Box::new(host))?;
    say(READY)?;
    let has_ended = AtomicBool::new(false);
    let served = std::thread::scope(|scope| {
        scope.spawn(|| publish_state(&bridge, state, &has_ended));
        let bridge = &bridge;
        let serve = |(function, (stream, memory))| {
            scope.spawn(move || mpqemu::serve(bridge, function, &stream, &memory).map_err(|error| qemu_failed(&error)))
        };
        let threads: Vec<_> = (0..).zip(streams.into_iter().zip(memory)).map(serve).collect();
        let ends: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("a front end does not panic")).collect();
        has_ended.store(true, Ordering::Relaxed);
        ends.into_iter().collect::<Result<Vec<()>>>()
    });
    let report = report(&bridge);
    bridge.stop().map_err(|error| {
        Failure::new(
            format!("the device's files could not be completed: {error}"),
            "make room on the disk and run it again",
        )
    })?;
    served?;
    if args.json {
        output::print_json(&report)
    } else {
        Ok(())
    }
}

fn say(line: &str) -> Result {
    output::print(&format!("{line}\n"))
}

/// The time of this process, parted.
fn report(bridge: &Bridge) -> Report {
    let all = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let all = all.tv_sec as f64 + all.tv_nsec as f64 / 1e9;
    let device_seconds = bridge.shares().device.as_secs_f64().min(all);
    let bridge_seconds = all - device_seconds;
    Report { clocks: bridge.clock(), device_seconds, bridge_seconds, bridge_share: bridge_seconds / all }
}

fn publish_state(bridge: &Bridge, mut socket: UnixStream, has_ended: &AtomicBool) {
    let (mut was_idle, mut answers) = (true, bridge.answers());
    while !has_ended.load(Ordering::Relaxed) {
        let (is_idle, now) = (bridge.is_idle(), bridge.answers());
        let doing = match (is_idle, now != answers) {
            (true, _) => (!was_idle).then_some(Doing::Idle),
            (false, true) => Some(Doing::Answered),
            (false, false) => was_idle.then_some(Doing::Busy),
        };
        (was_idle, answers) = (is_idle, now);
        // Whoever does not want to know any more has closed it.
        if doing.is_some_and(|doing| socket.write_all(&[doing.letter()]).is_err()) {
            return;
        }
        std::thread::sleep(STATE_PERIOD);
    }
}

/// A socket that is removed when it is no longer listened on.
struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    fn accept(self) -> Result<UnixStream> {
        let (stream, _) = self.socket.accept().map_err(|error| connection_failed(&error))?;
        Ok(stream)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may be gone with its folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes a folder that nobody else can look into, or takes one that is there.
fn make_folder(path: &Path) -> Result {
    if path.is_dir() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new().mode(0o700).create(path);
    made.map_err(|error| output::cannot_write(path, &error))
}

fn listen(path: &Path) -> Result<Listener> {
    let socket = UnixListener::bind(path).map_err(|error| output::cannot_write(path, &error))?;
    let listener = Listener { socket, path: path.to_owned() };
    let private = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
    private.map_err(|error| output::cannot_write(path, &error))?;
    Ok(listener)
}

fn connection_failed(error: &std::io::Error) -> Failure {
    Failure::new(format!("the connection to QEMU failed: {error}"), "start both again")
}

/// The messages of the front end end with a sentence that says what to do.
fn qemu_failed(error: &mpqemu::Error) -> Failure {
    let message = error.to_string();
    match message.rsplit_once(". ") {
        Some((what, next)) => Failure::new(what, output::uncapitalized(next)),
        None => Failure::new(message, "start both again"),
    }
}
