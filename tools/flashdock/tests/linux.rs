//! An unmodified Linux drives the device: its kernel, nvme-cli, ext4 and fio, in QEMU. The scripts in `guest` run in the guest; `set -e` makes each of their
//! lines a test.

use flate2::write::GzEncoder;
use flate2::Compression;
use sim_guest::{prepare, Toolchain};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Whether there is a guest on this machine; says why if there is none.
fn has_guest() -> bool {
    match prepare(&Toolchain::from_env()) {
        Ok(_) => true,
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: an unmodified Linux on the device. {error}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn flashdock(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashdock"));
    command.args(arguments);
    command
}

/// The path of a script for the guest, which begins with what all have.
fn script(folder: &Path, text: &str) -> String {
    let path = folder.join("script.sh");
    std::fs::write(&path, [include_str!("guest/attempts.sh"), text].concat()).expect("a script");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Runs a script in a guest and returns its console. The device is the Verilated hardware, if the arguments say nothing else.
fn linux(arguments: &[&str], text: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(folder.path(), text);
    let output = flashdock(&["linux", "--script", &script]).args(arguments).output().expect("the program starts");
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}\n{console}", output.status);
    console
}

#[test]
fn nvme_cli_and_every_kind_of_reset() {
    if has_guest() {
        linux(&[], include_str!("guest/commands.sh"));
    }
}

#[test]
fn fio_finds_no_error_on_any_queue() {
    if has_guest() {
        linux(&[], include_str!("guest/fio.sh"));
    }
}

#[test]
fn resets_under_load_are_recovered_from() {
    if has_guest() {
        linux(&[], include_str!("guest/reset_under_load.sh"));
    }
}

#[test]
fn both_functions_are_bound() {
    if has_guest() {
        linux(&["--functions", "2"], include_str!("guest/two_functions.sh"));
    }
}

#[test]
fn a_slow_device_is_no_timeout_of_the_driver() {
    if has_guest() {
        linux(&["--kernel-argument", "nvme_core.io_timeout=2"], include_str!("guest/slow_device.sh"));
    }
}

#[test]
fn a_wait_of_a_script_has_an_end() {
    if !has_guest() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(folder.path(), "attempts_max=2\nuntil_it_succeeds test -e /never\necho it goes on\n");
    let output =
        flashdock(&["linux", "--back-end", "model", "--script", &script]).output().expect("the program starts");
    let console = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(124), "{console}");
    assert!(console.contains("given up after 2 attempts: test -e /never"), "{console}");
    assert!(!console.contains("it goes on"), "{console}");
}

/// The sources of this project's hardware as an archive.
fn sources() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for folder in ["rtl", "nvme-ctrl"] {
        archive.append_dir_all(folder, root.join(folder)).expect("the sources");
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("an archive")
}

/// A script that has `archive` on its standard input: the only way into the guest is its script.
fn with_input(archive: &[u8], text: &str) -> String {
    let octal: String = archive.iter().map(|byte| format!("\\0{byte:03o}")).collect();
    let lines: Vec<&str> =
        octal.as_bytes().chunks(5 * 800).map(|part| std::str::from_utf8(part).expect("digits")).collect();
    let prints: String = lines.iter().map(|line| format!("printf '%b' '{line}'\n")).collect();
    format!("{{\n{prints}}} > /tmp/input\nexec < /tmp/input\n{text}")
}

/// A process that is gone and another one are the same device, by its image.
#[test]
fn a_file_system_outlives_the_device() {
    if !has_guest() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    let image = image.to_str().expect("a path in UTF-8");
    let count = |console: &str| console.lines().find_map(|line| line.strip_suffix(" files")?.parse::<u32>().ok());
    let written = linux(&["--image", image], &with_input(&sources(), include_str!("guest/files_write.sh")));
    let found = linux(&["--image", image], include_str!("guest/files_check.sh"));
    assert!(count(&written) > Some(300), "{written}");
    assert_eq!(count(&written), count(&found), "{found}");
}

/// An image keeps blocks, and not formats: the next device has that of the start, and finds every byte where it was.
#[test]
fn an_image_of_a_formatted_namespace_has_its_bytes() {
    if !has_guest() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    let text = image.to_str().expect("a path in UTF-8");
    linux(&["--image", text], include_str!("guest/format_write.sh"));
    linux(&["--image", text], include_str!("guest/format_check.sh"));
    let mut start = vec![0xFF; 1 << 20];
    std::fs::File::open(&image).and_then(|mut file| file.read_exact(&mut start)).expect("the image");
    assert!(start.iter().all(|byte| *byte == 0), "a format erases the image, too");
}

/// A guest on whose console `line` has come: its process, and the rest of the console.
fn guest_that_says(script: &str, line: &str) -> (Child, BufReader<ChildStdout>) {
    let mut guest =
        flashdock(&["linux", "--script", script]).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut console = BufReader::new(guest.stdout.take().expect("it is piped"));
    let mut text = String::new();
    while !text.contains(line) {
        assert!(console.read_line(&mut text).expect("the console") > 0, "{text}");
    }
    (guest, console)
}

/// The children of a process, with their command lines.
fn children(process: u32) -> Vec<(String, String)> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let line = |child| {
        String::from_utf8_lossy(&std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default()).into_owned()
    };
    children
        .expect("the kernel lists children")
        .split_whitespace()
        .map(|child| (child.to_owned(), line(child)))
        .collect()
}

fn kill(signal: &str, process: &str) {
    assert!(Command::new("kill").args([signal, process]).status().expect("kill starts").success());
}

#[test]
fn a_device_that_dies_ends_io_with_errors() {
    if !has_guest() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(folder.path(), include_str!("guest/device_dies.sh"));
    let (mut guest, mut console) = guest_that_says(&script, "the device may die now");
    let children = children(guest.id());
    let (device, _) = children.iter().find(|(_, line)| line.contains("\0serve\0")).expect("the device has a process");
    kill("-9", device);
    let mut text = String::new();
    console.read_to_string(&mut text).expect("the console");
    assert!(guest.wait().expect("it ends").success(), "{text}");
    assert!(text.contains("an error after"), "{text}");
}

#[test]
fn who_ends_the_command_ends_guest_and_device() {
    if !has_guest() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(folder.path(), "echo it runs\nsleep 100000\n");
    let (mut guest, mut console) = guest_that_says(&script, "it runs");
    let children = children(guest.id());
    assert_eq!(children.len(), 2, "QEMU and the device: {children:?}");
    kill("-TERM", &guest.id().to_string());
    console.read_to_string(&mut String::new()).expect("the console ends");
    assert!(!guest.wait().expect("it ends").success());
    for (child, line) in children {
        assert!(!Path::new(&format!("/proc/{child}")).exists(), "{line} lives on");
    }
}

#[test]
fn what_linux_did_is_replayed_clock_by_clock() {
    if !has_guest() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let recording = folder.path().join("inputs");
    let recording = recording.to_str().expect("a path in UTF-8");
    linux(
        &["--record", recording],
        "set -e\ndd if=/dev/urandom of=/dev/nvme0n1 bs=64k count=8 oflag=direct\nnvme reset /dev/nvme0\n",
    );
    let replayed = flashdock(&["replay-inputs", recording]).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&replayed.stderr);
    assert!(replayed.status.success(), "{errors}");
    let text = String::from_utf8_lossy(&replayed.stdout);
    assert!(text.ends_with("ran again as recorded\n"), "{text}");
}

/// Commands that are typed through a pipe: the shell does them and ends with its input, with the status of the last one.
#[test]
fn a_shell_does_what_is_typed_and_ends_with_its_input() {
    if !has_guest() {
        return;
    }
    let mut shell = flashdock(&["linux", "--shell", "--back-end", "model"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let typed = b"echo kept | dd of=/dev/nvme0n1 bs=512 conv=sync oflag=direct\n\
        dd if=/dev/nvme0n1 bs=5 count=1 2> /dev/null | tr k-p K-P\nsh -c 'exit 7'\n";
    shell.stdin.take().expect("it is piped").write_all(typed).expect("it is typed");
    let output = shell.wait_with_output().expect("it ends");
    let console = String::from_utf8_lossy(&output.stdout);
    assert!(console.contains("KePt"), "{console}");
    assert_eq!(output.status.code(), Some(7), "{console}");
}

#[test]
fn the_time_of_real_hosts_is_parted() {
    if !has_guest() {
        return;
    }
    let output = flashdock(&["bench", "hosts", "--commands", "100", "--json"]).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["commands"], &report["depth"]), (&100.into(), &32.into()), "{report}");
    for host in ["linux_fio", "vfio_user"] {
        let figure = |name: &str| {
            let figure = &report[host][name];
            figure.as_f64().or(figure["measured"].as_f64()).unwrap_or_else(|| panic!("{host}, {name}: {report}"))
        };
        for name in ["read_4k_iops", "model_seconds", "bridge_seconds"] {
            assert!(figure(name) > 0.0, "{host}, {name}: {report}");
        }
        let sum: f64 = ["model_percent", "bridge_percent", "qemu_percent"].map(figure).iter().sum();
        assert!((sum - 100.0).abs() < 1e-6, "{host}: {sum}");
        let of_process = 100.0 * figure("bridge_seconds") / (figure("model_seconds") + figure("bridge_seconds"));
        assert!((of_process - figure("bridge_percent_of_device_process")).abs() < 1e-6, "{host}: {of_process}");
        // How much it is depends on this machine; what is said of it does not.
        for name in ["bridge_percent", "bridge_percent_of_device_process"] {
            let limited = &report[host][name];
            assert_eq!(limited["most"], 15.0, "{report}");
            assert_eq!(limited["is_reached"], figure(name) <= 15.0, "{report}");
        }
    }
    assert_eq!(report["vfio_user"]["qemu_seconds"], 0.0, "{report}");
}
