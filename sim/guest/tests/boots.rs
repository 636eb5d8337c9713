//! The guest on a device of QEMU's own: what it is made of works, and every end of it is noticed.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use sim_guest::{prepare, Error, Guest, Image, Machine, Qemu, Qmp, Task, Toolchain};

/// QEMU and what it boots, or nothing and a line that says why.
fn parts() -> Option<(Qemu, Image)> {
    match prepare(&Toolchain::from_env()) {
        Ok(parts) => Some(parts),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: the Linux guest. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A machine with a device of 64 MiB.
fn machine_with_device(disk: &Path) -> Machine {
    std::fs::File::create(disk).unwrap().set_len(64 << 20).unwrap();
    let mut machine = Machine::default();
    // Each processor has an I/O queue of its own.
    machine.processors = 2;
    machine.arguments(["-drive", &format!("id=disk,if=none,format=raw,cache=unsafe,file={}", disk.display())]);
    machine.arguments(["-device", "nvme,drive=disk,serial=OF-QEMU"]);
    machine
}

#[test]
fn nvme_cli_ext4_and_fio_work() {
    let Some((qemu, image)) = parts() else { return };
    let folder = tempfile::tempdir().unwrap();
    let machine = machine_with_device(&folder.path().join("disk"));
    let outcome = Guest::run_script(&qemu, &image, machine, include_str!("everything.sh")).unwrap();
    assert_eq!(outcome.status, 0, "{}", outcome.console);
    for line in ["list: /dev/nvme0n1 OF-QEMU", "id-ctrl: OF-QEMU", "sha256: equal", "fio: 0 errors", "fsck: clean"] {
        assert!(outcome.console.lines().any(|found| found == line), "no line `{line}` in\n{}", outcome.console);
    }
}

/// The input of a script is empty: `cat` ends at once.
#[test]
fn the_status_of_the_script_is_that_of_the_guest() {
    let Some((qemu, image)) = parts() else { return };
    let outcome = Guest::run_script(&qemu, &image, Machine::default(), "cat; echo last words; exit 42").unwrap();
    assert_eq!(outcome.status, 42, "{}", outcome.console);
    assert!(outcome.console.contains("last words\n"), "{}", outcome.console);
}

#[test]
fn a_kernel_that_panics_is_an_error_with_its_last_words() {
    let Some((qemu, image)) = parts() else { return };
    let script = "echo c >/proc/sysrq-trigger";
    let error = Guest::run_script(&qemu, &image, Machine::default(), script).unwrap_err();
    assert!(matches!(&error, Error::Ended { console, .. } if console.contains("Kernel panic")), "{error}");
}

#[test]
fn a_qemu_that_dies_is_an_error_with_what_it_said() {
    let Some((qemu, image)) = parts() else { return };
    let mut machine = Machine::default();
    machine.arguments(["-device", "no-such-device"]);
    let error = Guest::run_script(&qemu, &image, machine, "").unwrap_err();
    assert!(matches!(&error, Error::Ended { qemu, .. } if qemu.contains("no-such-device")), "{error}");
}

/// A shell takes its commands from the console, and the monitor stops the guest.
#[test]
fn the_shell_and_the_monitor_answer() {
    let Some((qemu, image)) = parts() else { return };
    let mut guest = Guest::start(&qemu, &image, Machine::default(), Task::Shell).unwrap();
    let mut monitor = guest.take_monitor().unwrap();
    let running = |monitor: &mut Qmp| monitor.execute("query-status").unwrap()["running"].as_bool();
    assert_eq!(running(&mut monitor), Some(true));
    monitor.execute("stop").unwrap();
    assert_eq!(running(&mut monitor), Some(false));
    monitor.execute("cont").unwrap();

    let mut console = guest.console().unwrap();
    read_to_prompt(&mut console);
    console.write_all(b"echo $((6 * 7)) answers; exit 3\n").unwrap();
    let outcome = guest.wait(&mut std::io::sink()).unwrap();
    assert!(outcome.console.contains("42 answers"), "{}", outcome.console);
    assert_eq!(outcome.status, 3);
}

/// Sockets for devices that other processes answer for, and for tests that write to memory: QEMU has them under the numbers that the machine gave.
#[test]
fn inherited_sockets_reach_qemu() {
    let Some((qemu, image)) = parts() else { return };
    let (mut qtest, theirs) = UnixStream::pair().unwrap();
    let mut machine = Machine::default();
    let fd = machine.inherit(theirs);
    machine.arguments(["-chardev", &format!("socket,id=qtest,fd={fd}")]);
    machine.arguments(["-object", "qtest,id=qtest0,chardev=qtest,log=/dev/null"]);
    let guest = Guest::start(&qemu, &image, machine, Task::Shell).unwrap();
    qtest.write_all(b"writel 0x1000 0x42\n").unwrap();
    let mut answer = [0; 3];
    qtest.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"OK\n");
    drop(guest);

    let (mut device, theirs) = UnixStream::pair().unwrap();
    let mut machine = Machine::default();
    let fd = machine.inherit(theirs);
    machine.arguments(["-device", &format!("x-pci-proxy-dev,fd={fd},addr=4.0,multifunction=on")]);
    let _guest = Guest::start(&qemu, &image, machine, Task::Shell).unwrap();
    // It begins by asking for the device's configuration.
    device.read_exact(&mut [0; 16]).unwrap();
}

/// A guest that is dropped ends: its console does.
#[test]
fn a_guest_that_is_dropped_ends() {
    let Some((qemu, image)) = parts() else { return };
    let guest = Guest::start(&qemu, &image, Machine::default(), Task::Shell).unwrap();
    let mut console = guest.console().unwrap();
    drop(guest);
    // Returns, because QEMU holds the other end no longer. What is unread in that end makes an error of it.
    let _ = console.read_to_end(&mut Vec::new());
}

fn read_to_prompt(console: &mut UnixStream) {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"~ # ") {
        assert_eq!(console.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
}
