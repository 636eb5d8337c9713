//! `linux`: an unmodified Linux drives the device.

use super::serve::{self, socket, Doing};
use crate::failure::{Failure, Result};
use crate::output;
use crate::served;
use nix::sys::resource::{getrusage, UsageWho};
use rustix::termios::{self, OptionalActions, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use sim_guest::{patience_of, Dilation, Guest, Machine, Outcome, Qmp, Task, Toolchain, SHELL_BEGINS};
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Boot an unmodified Debian Linux in QEMU whose NVMe device is the simulated one
///
/// Kernel, programs and, if it is not installed, QEMU are fetched from Debian when they are first needed; nothing is installed. The device is
/// /dev/nvme0; nvme-cli, fio and the tools of ext4 are there. The guest's clock stands still while it waits for a slow device, so that its driver never
/// sees a timeout.
#[derive(clap::Args)]
#[group(id = "linux")]
pub struct Args {
    /// Run this shell script in the guest, print its console, and end with its status
    #[arg(long, value_name = "FILE", conflicts_with = "shell")]
    script: Option<PathBuf>,
    /// Give a prompt in the guest [default]
    #[arg(long)]
    shell: bool,
    /// Processors of the guest: its driver makes an I/O queue for each
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    processors: u32,
    /// Memory of the guest in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(256..=16384))]
    memory: u32,
    /// More for the kernel's command line, such as nvme_core.io_timeout=10
    #[arg(long, value_name = "ARGUMENT")]
    kernel_argument: Vec<String>,
    #[command(flatten)]
    device: served::Args,
}

/// What the guest's driver gives a command, if its command line says nothing else. Linux, `nvme_core.io_timeout`.
const IO_TIMEOUT: Duration = Duration::from_secs(30);

/// Commands that may be in front of another one: those of an I/O queue of the guest's driver.
const COMMANDS_MAX: u32 = 1023;

/// Ends a guest's prompt from outside: Ctrl-], as in telnet.
const ESCAPE: u8 = 0x1D;

/// What is typed when nothing more is: the shell ends when it has done what was, with the status of that. Ctrl-D is no end while a program runs.
const END_OF_INPUT: &[u8] = b"\nexit\n";

/// Runs the guest; the status of its script is that of this process.
pub fn run(args: &Args) -> Result {
    let script = args.script.as_ref().map(|path| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display()), "name a shell script"))
    });
    let script = script.transpose()?;
    let task = script.as_deref().map_or(Task::Shell, Task::Script);
    let mut machine = Machine::default();
    machine.processors = args.processors;
    machine.memory_mib = args.memory;
    for argument in &args.kernel_argument {
        machine.kernel_argument(argument);
    }
    let io_timeout = args.kernel_argument.iter().find_map(|argument| argument.strip_prefix("nvme_core.io_timeout="));
    let io_timeout = io_timeout.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let Ended { outcome, .. } = boot(&args.device, machine, io_timeout, task, &mut std::io::stdout())?;
    match outcome.status {
        0 => Ok(()),
        // Its own message is on the console.
        status => std::process::exit(i32::from(status)),
    }
}

/// What a guest and its device leave.
pub struct Ended {
    /// How the guest ended.
    pub outcome: Outcome,
    /// What QEMU took of the processors.
    pub qemu: Duration,
    /// What the device's process says.
    pub device: Option<serve::Report>,
}

/// Runs a guest with a device of these arguments to its end; what comes over its console is copied to `output`. `io_timeout` is that of the driver.
pub fn boot(
    device: &served::Args,
    mut machine: Machine,
    io_timeout: Option<Duration>,
    task: Task,
    output: &mut dyn Write,
) -> Result<Ended> {
    let (qemu, image) = sim_guest::prepare(&Toolchain::from_env()).map_err(|error| guest_failed(&error))?;
    let folder = tempfile::Builder::new().prefix("flashdock-").tempdir();
    let folder = folder.map_err(|error| output::cannot_write(&std::env::temp_dir(), &error))?;
    // Programs that look at registers, as `nvme show-regs` does, map them while the driver has them.
    machine.kernel_argument("iomem=relaxed");
    let patience = patience_of(io_timeout.unwrap_or(IO_TIMEOUT), COMMANDS_MAX);
    let mut process = DeviceProcess::start(device, folder.path())?;
    let state = process.connect(&mut machine, device.functions(), folder.path())?;
    process.wait_for(serve::READY)?;
    let before = processor_time_of_children();
    let mut guest = Guest::start(&qemu, &image, machine, task).map_err(|error| guest_failed(&error))?;
    let monitor = guest.take_monitor().map_err(|error| guest_failed(&error))?;
    std::thread::spawn(move || dilate(monitor, state, patience));
    end_with_signal(guest.process_id())?;
    let outcome = match task {
        Task::Script(_) => guest.wait(output),
        Task::Shell => converse(guest, output),
    };
    // The device's process has not been waited for: what is new is QEMU's.
    let qemu = processor_time_of_children() - before;
    let device = process.end();
    Ok(Ended { outcome: outcome.map_err(|error| guest_failed(&error))?, qemu, device })
}

/// Ends QEMU when somebody ends this process, so that no guest is left behind: what waits for it goes on then.
fn end_with_signal(qemu: u32) -> Result {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::new(format!("cannot wait for signals: {error}"), "run it again"))?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            end_process(qemu);
        }
    });
    Ok(())
}

fn end_process(id: u32) {
    let id = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
    // It may have ended.
    let _ = id.map(|id| rustix::process::kill_process(id, rustix::process::Signal::KILL));
}

/// What the processes that have been waited for took of the processors.
fn processor_time_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("every process may ask about its own");
    let times = [usage.user_time(), usage.system_time()];
    times
        .map(|time| Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64))
        .iter()
        .sum()
}

/// `serve` in a process of its own: what happens to it does not happen to the guest.
struct DeviceProcess {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl DeviceProcess {
    fn start(args: &served::Args, folder: &Path) -> Result<Self> {
        let failed = |error: &std::io::Error| Failure::new(format!("cannot start the device: {error}"), "run it again");
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--qemu").arg(folder).arg("--json").args(args.to_command_line());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut process = Self { child, lines };
        process.wait_for(serve::LISTENING)?;
        Ok(process)
    }

    fn wait_for(&mut self, expected: &str) -> Result {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(_) if line.trim_end() == expected => Ok(()),
            // It has said why.
            _ => Err(Failure::new("the device did not start", "see above")),
        }
    }

    /// Connects QEMU with the device; returns what the device says about its state.
    fn connect(&self, machine: &mut Machine, functions: u8, folder: &Path) -> Result<UnixStream> {
        let connect = |name: &str| {
            let path = folder.join(name);
            UnixStream::connect(&path)
                .map_err(|error| Failure::new(format!("cannot connect to {}: {error}", path.display()), "run it again"))
        };
        for function in 0..functions {
            let fd = machine.inherit(connect(&socket::function(function))?);
            let place = format!("addr=4.{function},multifunction=on");
            machine.arguments(["-device".to_owned(), format!("x-pci-proxy-dev,id=nvme{function},fd={fd},{place}")]);
        }
        let fd = machine.inherit(connect(socket::QTEST)?);
        machine.arguments(["-chardev".to_owned(), format!("socket,id=qtest,fd={fd}")]);
        machine.arguments(["-object", "qtest,id=qtest0,chardev=qtest,log=/dev/null"]);
        connect(socket::STATE)
    }

    /// Waits until the device has completed its files, which it does when QEMU has gone, and returns what it says about its time. A device that was killed
    /// says nothing; what went wrong in another one it has said itself.
    fn end(mut self) -> Option<serve::Report> {
        let mut rest = String::new();
        let report = self.lines.read_to_string(&mut rest).ok().and_then(|_| serde_json::from_str(&rest).ok());
        let _ = self.child.wait();
        report
    }
}

impl Drop for DeviceProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stops the guest's clock while a busy device does not answer.
fn dilate(monitor: Qmp, mut state: UnixStream, patience: Duration) {
    let mut dilation = Dilation::new(monitor, patience);
    loop {
        let wait = dilation.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = wait.map(|wait| wait.max(Duration::from_millis(1)));
        let mut letters = [0; 64];
        let told = match state.set_read_timeout(timeout).and_then(|()| state.read(&mut letters)) {
            // The device has ended, or this program ends: a guest that stands still would wait for ever.
            Ok(0) => {
                let _ = dilation.idle();
                return;
            }
            Ok(count) => letters[..count].iter().filter_map(|&letter| Doing::of(letter)).try_for_each(|doing| {
                let now = Instant::now();
                match doing {
                    Doing::Idle => dilation.idle(),
                    Doing::Busy => dilation.busy(now),
                    Doing::Answered => dilation.answered(now),
                }
            }),
            Err(_) => dilation.check(Instant::now()),
        };
        // Without its monitor QEMU has ended, and there is nothing to stop.
        if told.is_err() {
            return;
        }
    }
}

/// Joins the terminal with the console of the guest.
fn converse(guest: Guest, output: &mut dyn Write) -> std::result::Result<Outcome, sim_guest::Error> {
    let mut console = guest.console()?;
    let qemu = guest.process_id();
    let _raw = RawTerminal::new();
    let (keys, typed) = mpsc::channel::<Vec<u8>>();
    let (begun, has_begun) = mpsc::channel();
    std::thread::spawn(move || {
        // A guest that ends before never gets what was typed.
        let has_begun = has_begun.recv().is_ok();
        typed.iter().take_while(|keys| has_begun && console.write_all(keys).is_ok()).for_each(drop);
    });
    std::thread::spawn(move || {
        let mut typed = [0; 256];
        let mut stdin = std::io::stdin().lock();
        while let Ok(count) = stdin.read(&mut typed) {
            if typed[..count].contains(&ESCAPE) {
                return end_process(qemu);
            }
            let keys_of = if count == 0 { END_OF_INPUT } else { &typed[..count] };
            if keys.send(keys_of.to_vec()).is_err() || count == 0 {
                return;
            }
        }
    });
    guest.wait(&mut Watched { output, end: Vec::new(), begun: Some(begun) })
}

/// The console on its way to the terminal, watched for the words behind which a shell takes what is typed.
struct Watched<'o> {
    output: &'o mut dyn Write,
    /// The last of what was written: the words may come in two pieces.
    end: Vec<u8>,
    /// Told when they have come.
    begun: Option<mpsc::Sender<()>>,
}

impl Write for Watched<'_> {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        let count = self.output.write(piece)?;
        if let Some(begun) = &self.begun {
            let words = SHELL_BEGINS.as_bytes();
            self.end.extend_from_slice(&piece[..count]);
            if self.end.windows(words.len()).any(|window| window == words) {
                // Who types may have gone.
                let _ = begun.send(());
                self.begun = None;
            }
            let kept = self.end.len().min(words.len());
            self.end.drain(..self.end.len() - kept);
        }
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}

/// A terminal that hands every key over, as long as this lives.
struct RawTerminal {
    before: Option<Termios>,
}

impl RawTerminal {
    fn new() -> Self {
        let stdin = std::io::stdin();
        let before = stdin.is_terminal().then(|| termios::tcgetattr(&stdin).ok()).flatten();
        if let Some(mut raw) = before.clone() {
            raw.make_raw();
            // Without it, the guest is used line by line.
            let _ = termios::tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        Self { before }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// The messages of the guest end with a sentence that says what to do, or go on with what a program said.
pub(super) fn guest_failed(error: &sim_guest::Error) -> Failure {
    let message = error.to_string();
    let (first, rest) = message.split_once('\n').unwrap_or((&message, ""));
    let failure = match first.rsplit_once(". ") {
        Some((what, next)) => Failure::new(what, output::uncapitalized(next)),
        None => Failure::new(first.trim_end_matches(':'), "run the same command again"),
    };
    failure.with_detail(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_found_across_pieces_and_told_once() {
        for bytes in [1, 2, 7, 1000] {
            let (begun, has_begun) = mpsc::channel();
            let mut shown = Vec::new();
            let mut watched = Watched { output: &mut shown, end: Vec::new(), begun: Some(begun) };
            let console = format!("it boots\r\n    exit   {SHELL_BEGINS}\r\n~ # exit {SHELL_BEGINS}");
            let (before, after) =
                console.as_bytes().split_at(console.find(SHELL_BEGINS).unwrap() + SHELL_BEGINS.len() - 1);
            before.chunks(bytes).for_each(|piece| watched.write_all(piece).unwrap());
            assert!(has_begun.try_recv().is_err());
            after.chunks(bytes).for_each(|piece| watched.write_all(piece).unwrap());
            assert_eq!((has_begun.try_recv(), has_begun.try_recv().is_err()), (Ok(()), true));
            assert_eq!(shown, console.as_bytes());
        }
    }
}
