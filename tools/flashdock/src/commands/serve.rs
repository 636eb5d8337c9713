//! `serve`: the device behind sockets, for programs that are started by somebody else.

use crate::failure::{Failure, Result};
use crate::output;
use crate::served;
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGTERM};
use sim_bridge::mpqemu::{self, QemuHost};
use sim_bridge::vfio_user::Server;
use sim_bridge::{listen, Activity, AddressBits, BindError, Bridge, Endpoint, Listener};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Offer the device to other programs through sockets
///
/// Ends on Ctrl-C or, with `--qemu`, when QEMU has gone.
#[derive(clap::Args)]
#[group(id = "serve")]
pub struct Args {
    /// For QEMU from 10.1 on (`vfio-user-pci`) and SPDK (VFIOUSER): the socket `cntrl` in this folder, for the second function in the folder `1` in it.
    /// The folder is made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "qemu", conflicts_with = "qemu")]
    vfio_user: Option<PathBuf>,
    /// For the `x-pci-proxy-dev` of QEMU 7.2: sockets in this folder, which is made if it is not there. `linux` uses it
    #[arg(long, value_name = "DIR")]
    qemu: Option<PathBuf>,
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
}

/// Letters come no faster.
const LETTER_PERIOD: Duration = Duration::from_millis(2);

/// How often somebody who waits for a change looks whether all is over.
const END_PERIOD: Duration = Duration::from_millis(100);

/// Serves until the other program goes, or until somebody ends it.
pub fn run(args: &Args) -> Result {
    let report = match (&args.vfio_user, &args.qemu) {
        (Some(folder), _) => serve_vfio_user(args, folder)?,
        (None, Some(folder)) => serve_qemu(args, folder)?,
        (None, None) => unreachable!("one of them is required"),
    };
    if args.json {
        output::print_json(&report)
    } else {
        Ok(())
    }
}

fn serve_vfio_user(args: &Args, folder: &Path) -> Result<Report> {
    let server = Server::bind(folder, args.device.functions()).map_err(|error| no_socket(&error))?;
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Failure::new(format!("cannot wait for signals: {error}"), "run it again"))?;
    let bridge = Arc::new(args.device.start(AddressBits::Bits64, Box::new(server.host()))?);
    let endpoint: Arc<dyn Endpoint> = bridge.clone();
    let serving = server.serve(&endpoint).map_err(|error| connection_failed(&error))?;
    drop(endpoint);
    let ready = processor_time();
    say(READY)?;
    signals.forever().next();
    serving.stop();
    let bridge = Arc::into_inner(bridge).expect("nobody is served any more");
    let report = report(&bridge, ready);
    stop(bridge)?;
    Ok(report)
}

fn serve_qemu(args: &Args, folder: &Path) -> Result<Report> {
    let functions = args.device.functions();
    let names: Vec<_> = (0..functions).map(socket::function).collect();
    let names = names.iter().map(String::as_str).chain([socket::QTEST, socket::STATE]);
    let listeners = listen(folder, names).map_err(|error| no_socket(&error))?;
    say(LISTENING)?;
    let mut streams = listeners.into_iter().map(accept).collect::<Result<Vec<_>>>()?;
    let (state, qtest) = (streams.pop().expect("the last"), streams.pop().expect("the last but one"));
    let host = QemuHost::new(functions, qtest);
    let memory: Vec<_> = (0..functions).map(|function| host.memory(function)).collect();
    let bridge = args.device.start(AddressBits::Bits32, Box::new(host))?;
    let ready = processor_time();
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
    let report = report(&bridge, ready);
    stop(bridge)?;
    served?;
    Ok(report)
}

/// Stops the device and completes its files.
fn stop(bridge: Bridge) -> Result {
    bridge.stop().map_err(|error| {
        Failure::new(
            format!("the device's files could not be completed: {error}"),
            "make room on the disk and run it again",
        )
    })
}

fn say(line: &str) -> Result {
    output::print(&format!("{line}\n"))
}

/// The time of this process since its device was ready, parted.
fn report(bridge: &Bridge, ready: Duration) -> Report {
    let all = (processor_time() - ready).as_secs_f64();
    let device_seconds = bridge.device_time().as_secs_f64().min(all);
    let bridge_seconds = all - device_seconds;
    Report { clocks: bridge.clock(), device_seconds, bridge_seconds }
}

/// What this process has taken of the processors.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn publish_state(bridge: &Bridge, mut socket: UnixStream, has_ended: &AtomicBool) {
    let mut before = Activity { is_idle: true, answers: bridge.activity().answers };
    while !has_ended.load(Ordering::Relaxed) {
        let now = bridge.activity_after(before, END_PERIOD);
        let doing = match (now.is_idle, now.answers != before.answers) {
            (true, _) => (!before.is_idle).then_some(Doing::Idle),
            (false, true) => Some(Doing::Answered),
            (false, false) => before.is_idle.then_some(Doing::Busy),
        };
        before = now;
        if let Some(doing) = doing {
            // Whoever does not want to know any more has closed it.
            if socket.write_all(&[doing.letter()]).is_err() {
                return;
            }
            std::thread::sleep(LETTER_PERIOD);
        }
    }
}

/// Waits for the one who connects.
fn accept(listener: Listener) -> Result<UnixStream> {
    let accepted = listener.socket.set_nonblocking(false).and_then(|()| listener.socket.accept());
    accepted.map(|(stream, _)| stream).map_err(|error| connection_failed(&error))
}

/// The messages say what to do behind a colon.
fn no_socket(error: &BindError) -> Failure {
    let message = error.to_string();
    match message.split_once(": ") {
        Some((what, next)) => Failure::new(what, next),
        None => Failure::new(message, "choose another folder"),
    }
}

fn connection_failed(error: &std::io::Error) -> Failure {
    Failure::new(format!("the connection failed: {error}"), "start both again")
}

/// The messages of the front end end with a sentence that says what to do.
fn qemu_failed(error: &mpqemu::Error) -> Failure {
    let message = error.to_string();
    match message.rsplit_once(". ") {
        Some((what, next)) => Failure::new(what, output::uncapitalized(next)),
        None => Failure::new(message, "start both again"),
    }
}
