//! A guest that runs.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use command_fds::{CommandFdExt as _, FdMapping};
use tempfile::NamedTempFile;

use crate::{Error, Image, Qemu, Qmp};

/// The lowest number of a file descriptor that QEMU inherits: above those that a starting process uses itself.
const FD_MIN: RawFd = 200;

/// How many lines of the console an error shows, if the kernel did not panic.
const CONSOLE_LINES: usize = 20;

/// What the guest is made of, and what it is connected to.
#[derive(Debug)]
pub struct Machine {
    /// How much memory the guest has. It is shared: a process that gets its file descriptor (from `x-pci-proxy-dev`) may map it.
    pub memory_mib: u32,
    /// How many processors the guest has.
    pub processors: u32,
    arguments: Vec<OsString>,
    kernel_arguments: String,
    inherited: Vec<OwnedFd>,
}

/// What the guest does.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// Runs the text of a shell script; its output goes to the console.
    Script(&'a str),
    /// Runs a shell on the console.
    Shell,
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit status of the script, or of the shell.
    pub status: u8,
    /// What came over the console, the kernel's messages included. Lines end with a line feed alone.
    pub console: String,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            memory_mib: 512,
            processors: 1,
            arguments: Vec::new(),
            // A kernel that panics restarts the machine at once, and QEMU, told not to restart it, ends.
            kernel_arguments: "console=ttyS0 quiet panic=-1".into(),
            inherited: Vec::new(),
        }
    }
}

impl Machine {
    /// Hands a file descriptor over to QEMU, and returns the number that it has there, for use in [`arguments`](Self::arguments).
    pub fn inherit(&mut self, fd: impl Into<OwnedFd>) -> RawFd {
        self.inherited.push(fd.into());
        FD_MIN + self.inherited.len() as RawFd - 1
    }

    /// Adds arguments for QEMU.
    pub fn arguments<A: Into<OsString>>(&mut self, arguments: impl IntoIterator<Item = A>) -> &mut Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds an argument for the kernel, such as `nvme_core.io_timeout=120`.
    pub fn kernel_argument(&mut self, argument: &str) -> &mut Self {
        self.kernel_arguments.push(' ');
        self.kernel_arguments.push_str(argument);
        self
    }

    /// Adds a serial line and returns our end of it.
    fn serial(&mut self, name: &str) -> Result<UnixStream, Error> {
        let ours = self.socket(name)?;
        self.arguments(["-serial".to_owned(), format!("chardev:{name}")]);
        Ok(ours)
    }

    /// Adds a character device and returns our end of it.
    fn socket(&mut self, name: &str) -> Result<UnixStream, Error> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| stream_error("create", error))?;
        let fd = self.inherit(theirs);
        self.arguments(["-chardev".to_owned(), format!("socket,id={name},fd={fd}")]);
        Ok(ours)
    }
}

/// A guest that runs; dropping it ends it.
#[derive(Debug)]
pub struct Guest {
    qemu: Process,
    console: UnixStream,
    monitor: Option<UnixStream>,
    report: JoinHandle<String>,
    messages: JoinHandle<String>,
    /// QEMU reads it when it starts.
    _script: Option<NamedTempFile>,
}

impl Guest {
    /// Starts a guest.
    pub fn start(qemu: &Qemu, image: &Image, mut machine: Machine, task: Task) -> Result<Self, Error> {
        let console = machine.serial("console")?;
        let report = machine.serial("report")?;
        let monitor = machine.socket("monitor")?;
        machine.arguments(["-mon", "chardev=monitor,mode=control"]);
        let script = match task {
            Task::Script(text) => Some(script_file(text)?),
            Task::Shell => None,
        };
        if let Some(file) = &script {
            // In an option of QEMU, a comma is written twice.
            let path = file.path().display().to_string().replace(',', ",,");
            machine.arguments(["-fw_cfg".to_owned(), format!("name=opt/flashdock/script,file={path}")]);
        }
        let memory = machine.memory_mib;

        let mut command = qemu.command();
        // Time is the guest's own also for its calendar, so that it stands still when the guest is stopped.
        // One thread for all processors: two that wait for answers of an `x-pci-proxy-dev` at once stop each other for ever (hw/remote/mpqemu-link.c waits for an
        // answer with a lock of the device held and takes the global lock again before it lets go).
        command.args(["-accel", "tcg,thread=single", "-cpu", "max", "-rtc", "clock=vm"]);
        command.args(["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"]);
        command.args(["-machine", "pc,memory-backend=memory", "-smp", &machine.processors.to_string()]);
        command.args(["-m", &format!("{memory}M")]);
        command.args(["-object", &format!("memory-backend-memfd,id=memory,size={memory}M,share=on")]);
        command.arg("-kernel").arg(image.kernel()).arg("-initrd").arg(image.initramfs());
        command.args(["-append", &machine.kernel_arguments]).args(&machine.arguments);
        let inherited = machine.inherited.into_iter().zip(FD_MIN..);
        let mappings = inherited.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
        command.fd_mappings(mappings).expect("each number is given once");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut qemu = command.spawn().map_err(|error| Error::io("run", Path::new(command.get_program()), error))?;
        // It holds the other ends of our sockets, which must close when QEMU ends.
        drop(command);

        let messages = qemu.stderr.take().expect("it is piped");
        Ok(Self {
            qemu: Process(qemu),
            console,
            monitor: Some(monitor),
            report: collect(report),
            messages: collect(messages),
            _script: script,
        })
    }

    /// Runs a script in a guest that has nothing else to do, and waits for its end.
    pub fn run_script(qemu: &Qemu, image: &Image, machine: Machine, script: &str) -> Result<Outcome, Error> {
        Self::start(qemu, image, machine, Task::Script(script))?.wait(&mut io::sink())
    }

    /// The console, to write to and, by somebody who does not call [`wait`](Self::wait) before, to read from.
    ///
    /// The guest stands still while nobody reads. The stream ends when QEMU does.
    pub fn console(&self) -> Result<UnixStream, Error> {
        self.console.try_clone().map_err(|error| stream_error("open", error))
    }

    /// QEMU's process, for somebody who wants to end it while another one waits: it ends the guest at once.
    pub fn process_id(&self) -> u32 {
        self.qemu.0.id()
    }

    /// The monitor. There is one: who takes it has it.
    ///
    /// # Panics
    /// If it was taken before.
    pub fn take_monitor(&mut self) -> Result<Qmp, Error> {
        Qmp::new(self.monitor.take().expect("the monitor was taken before"))
    }

    /// Waits until the guest has ended, copying the console to `output` as it comes.
    ///
    /// # Errors
    /// [`Error::Ended`] if the guest did not say how its script ended: its kernel panicked, or QEMU died.
    pub fn wait(mut self, output: &mut dyn Write) -> Result<Outcome, Error> {
        let mut console = Vec::new();
        let mut part = [0; 4096];
        loop {
            match self.console.read(&mut part) {
                Ok(0) => break,
                Ok(count) => {
                    console.extend_from_slice(&part[..count]);
                    output
                        .write_all(&part[..count])
                        .and_then(|()| output.flush())
                        .map_err(|error| stream_error("copy", error))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // QEMU died with something of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => return Err(stream_error("read", error)),
            }
        }
        let console = String::from_utf8_lossy(&console).replace("\r\n", "\n");
        let qemu_status = self.qemu.0.wait().map_err(|error| stream_error("wait for", error))?;
        let (report, messages) = (collected(self.report), collected(self.messages));
        match status_in(&report) {
            Some(status) => Ok(Outcome { status, console }),
            None => {
                let qemu_status = format!("QEMU: {qemu_status}");
                Err(Error::Ended { qemu_status, qemu: messages, console: last_words(&console).into() })
            }
        }
    }
}

/// QEMU, which ends when this is dropped.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status that the first process of the guest reports.
fn status_in(report: &str) -> Option<u8> {
    report.lines().find_map(|line| line.strip_prefix("status ")?.trim().parse().ok())
}

/// What of the console says why the guest ended: the kernel's panic, or else the last lines.
fn last_words(console: &str) -> &str {
    let console = console.trim_end();
    let panic = console.find("Kernel panic").map(|at| console[..at].rfind('\n').map_or(0, |end| end + 1));
    let last_lines = || console.rmatch_indices('\n').nth(CONSOLE_LINES - 1).map_or(0, |(at, _)| at + 1);
    &console[panic.unwrap_or_else(last_lines)..]
}

fn script_file(script: &str) -> Result<NamedTempFile, Error> {
    let folder = std::env::temp_dir();
    let file = NamedTempFile::new_in(&folder).map_err(|error| Error::io("create a file in", &folder, error))?;
    fs::write(file.path(), script).map_err(|error| Error::io("write", file.path(), error))?;
    Ok(file)
}

/// Reads a stream to its end, which comes when QEMU ends.
fn collect(mut stream: impl io::Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn collected(text: JoinHandle<String>) -> String {
    text.join().unwrap_or_default()
}

fn stream_error(action: &'static str, error: io::Error) -> Error {
    Error::io(action, Path::new("the guest's console"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_its_line_alone() {
        assert_eq!(status_in("status 0\r\n"), Some(0));
        assert_eq!(status_in("\nstatus 137\r\n"), Some(137));
        for other in ["", "status", "status x", "exit status 1", "status 256"] {
            assert_eq!(status_in(other), None, "{other}");
        }
    }

    #[test]
    fn the_last_words_are_the_panic_or_the_last_lines() {
        let boot = "one\n".repeat(100);
        assert_eq!(last_words(&format!("{boot}[ 4.8] Kernel panic - x\ntrace\n")), "[ 4.8] Kernel panic - x\ntrace");
        assert_eq!(last_words("Kernel panic"), "Kernel panic");
        assert_eq!(last_words(&boot), "one\n".repeat(CONSOLE_LINES).trim_end());
        assert_eq!(last_words("short\n"), "short");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn inherited_descriptors_have_numbers_of_their_own() {
        let mut machine = Machine::default();
        let (one, other) = UnixStream::pair().unwrap();
        assert_eq!(machine.inherit(one), FD_MIN);
        assert_eq!(machine.inherit(other), FD_MIN + 1);
    }
}
