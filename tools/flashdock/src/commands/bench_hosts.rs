//! `bench hosts`: how fast real software drives the simulated device, in wall-clock time, and where that time goes.

use super::linux::{self, Ended};
use super::serve;
use crate::backend::Kind;
use crate::failure::{Failure, Result};
use crate::output::{self, Align, Table};
use crate::served;
use serde::Serialize;
use serde_json::Value;
use sim_guest::{Machine, Task};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Measure how fast fio in a Linux guest, and a polled driver over vfio-user, read 4 KiB from random places, in wall-clock time
///
/// Figures depend on this machine and on what else it does. Processor time is parted: the model is the device (hardware, firmware, their buses), the bridge
/// everything else in the device's process, QEMU what it takes beyond a guest that only boots.
#[derive(clap::Args)]
#[group(id = "hosts")]
pub struct Args {
    /// Reads of each host
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    commands: u64,
    /// Which device
    #[arg(long, value_name = "DEVICE", value_enum, default_value_t = Kind::Verilated)]
    back_end: Kind,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads in flight.
const DEPTH: u32 = 32;

/// Most that the bridge may take of the processor time of the device's process, in percent.
const BRIDGE_PERCENT_MAX: f64 = 15.0;

/// One way to the device.
#[derive(Serialize)]
struct Host {
    read_4k_iops: f64,
    model_seconds: f64,
    bridge_seconds: f64,
    /// Of the guest's emulator; none where there is no guest.
    qemu_seconds: Option<f64>,
    /// Of the processor time of the device's process.
    bridge_percent: f64,
}

#[derive(Serialize)]
struct Report {
    device: &'static str,
    depth: u32,
    linux_fio: Host,
    vfio_user: Host,
    bridge_percent_max: f64,
}

/// Measures both.
pub fn run(args: &Args) -> Result {
    let linux_fio = linux(args)?;
    let vfio_user = vfio_user(args)?;
    let device = args.back_end.description();
    let report = Report { device, depth: DEPTH, linux_fio, vfio_user, bridge_percent_max: BRIDGE_PERCENT_MAX };
    if args.json {
        return output::print_json(&report);
    }
    let mut table = Table::with_heading(&[
        ("host", Align::Left),
        ("4 KiB reads/s", Align::Right),
        ("model s", Align::Right),
        ("bridge s", Align::Right),
        ("QEMU s", Align::Right),
        ("bridge %", Align::Right),
    ]);
    for (name, host) in [("fio in Linux", &report.linux_fio), ("vfio-user, polled", &report.vfio_user)] {
        table.row([
            name.to_owned(),
            format!("{:.0}", host.read_4k_iops),
            format!("{:.2}", host.model_seconds),
            format!("{:.2}", host.bridge_seconds),
            host.qemu_seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.2}")),
            format!("{:.1}", host.bridge_percent),
        ]);
    }
    output::print(&format!(
        "{device}, {DEPTH} reads in flight, wall-clock time; the bridge may take {BRIDGE_PERCENT_MAX} % of the device's process\n\n{}",
        table.text(2)
    ))
}

impl Host {
    fn new(read_4k_iops: f64, report: &serve::Report, qemu: Option<Duration>) -> Self {
        Self {
            read_4k_iops,
            model_seconds: report.device_seconds,
            bridge_seconds: report.bridge_seconds,
            qemu_seconds: qemu.map(|time| time.as_secs_f64()),
            bridge_percent: 100.0 * report.bridge_share,
        }
    }
}

fn linux(args: &Args) -> Result<Host> {
    let device = served::Args::of(args.back_end);
    let boot =
        |script: &str| linux::boot(&device, Machine::default(), None, Task::Script(script), &mut std::io::sink());
    let idle = boot("true\n")?;
    let script = format!(
        "fio --name=read --filename=/dev/nvme0n1 --direct=1 --rw=randread --bs=4k --ioengine=libaio --iodepth={DEPTH} \
         --number_ios={} --size=64m --norandommap --output-format=json\n",
        args.commands
    );
    let Ended { outcome, qemu, device } = boot(&script)?;
    let iops = fio_iops(&outcome.console).filter(|_| outcome.status == 0);
    let (Some(iops), Some(report)) = (iops, device) else {
        return Err(
            Failure::new("fio did not run in the guest", "see what its console says").with_detail(outcome.console)
        );
    };
    Ok(Host::new(iops, &report, Some(qemu.saturating_sub(idle.qemu))))
}

/// Reads a second, as fio's JSON on the console says.
fn fio_iops(console: &str) -> Option<f64> {
    let (start, end) = (console.find('{')?, console.rfind('}')?);
    let report: Value = serde_json::from_str(console.get(start..=end)?).ok()?;
    report.pointer("/jobs/0/read/iops")?.as_f64()
}

fn vfio_user(args: &Args) -> Result<Host> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("the device could not be served: {error}"), "run it again")
    };
    let folder = tempfile::Builder::new().prefix("flashdock-").tempdir();
    let folder = folder.map_err(|error| output::cannot_write(&std::env::temp_dir(), &error))?;
    let directory = folder.path().join("device");
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--vfio-user").arg(&directory).arg("--json");
    command.args(served::Args::of(args.back_end).to_command_line());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
    let figures = measure(&mut child, &directory, args.commands);
    // As Ctrl-C does: it completes its report.
    let signal = rustix::process::Pid::from_child(&child);
    let ended = rustix::process::kill_process(signal, rustix::process::Signal::TERM);
    let (figures, mut lines) = figures?;
    ended.map_err(|error| failed(&error))?;
    let mut rest = String::new();
    lines.read_to_string(&mut rest).map_err(|error| failed(&error))?;
    child.wait().map_err(|error| failed(&error))?;
    let report: serve::Report = serde_json::from_str(&rest).map_err(|error| failed(&error))?;
    Ok(Host::new(figures.iops, &report, None))
}

/// What the client has measured, and what its device still has to say.
type Measured = (sim_vfio_client::Figures, BufReader<std::process::ChildStdout>);

fn measure(child: &mut std::process::Child, directory: &Path, commands: u64) -> Result<Measured> {
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    match lines.read_line(&mut line) {
        Ok(_) if line.trim_end() == serve::READY => {}
        // It has said why.
        _ => return Err(Failure::new("the device did not start", "see above")),
    }
    let figures = sim_vfio_client::benchmark(directory, commands);
    let figures = figures.map_err(|error| Failure::new(format!("the client failed: {error}"), "run it again"))?;
    Ok((figures, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_found_between_what_the_kernel_says() {
        let console = "[ 1.0] nvme\n{\n \"jobs\" : [ { \"read\" : { \"iops\" : 12.5 } } ]\n}\n[ 9.0] reboot";
        assert_eq!(fio_iops(console), Some(12.5));
        for other in ["", "}{", "{}", "fio: no such file"] {
            assert_eq!(fio_iops(other), None, "{other}");
        }
    }
}
