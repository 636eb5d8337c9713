//! `bench hosts`: how fast real software drives the simulated device, in wall-clock time, and where that time goes.

use super::bench::Must;
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
/// everything else in the device's process, QEMU what it takes beyond a guest that only boots. The percentages of the three add up to 100.
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

/// Most that the bridge may take, in percent.
const BRIDGE_PERCENT_MOST: f64 = 15.0;

/// One way to the device. Percentages are of processor time.
#[derive(Serialize)]
struct Host {
    read_4k_iops: f64,
    model_seconds: f64,
    bridge_seconds: f64,
    /// Of the guest's emulator; 0 where there is no guest.
    qemu_seconds: f64,
    /// Of the three together.
    model_percent: f64,
    bridge_percent: Limited,
    qemu_percent: f64,
    /// The bridge's part of the device's process, which is the model and the bridge.
    bridge_percent_of_device_process: Limited,
}

/// A figure with a limit.
#[derive(Clone, Copy, Serialize)]
struct Limited {
    measured: f64,
    most: f64,
    is_reached: bool,
}

impl Limited {
    fn new(measured: f64, most: f64) -> Self {
        Self { measured, most, is_reached: Must::BeAtMost(most).is_reached(measured) }
    }
}

#[derive(Serialize)]
struct Report {
    device: &'static str,
    commands: u64,
    depth: u32,
    linux_fio: Host,
    vfio_user: Host,
}

/// Measures both.
pub fn run(args: &Args) -> Result {
    let linux_fio = linux(args)?;
    let vfio_user = vfio_user(args)?;
    let device = args.back_end.description();
    let report = Report { device, commands: args.commands, depth: DEPTH, linux_fio, vfio_user };
    if args.json {
        return output::print_json(&report);
    }
    output::print(&report.text())
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!(
            "{device}, {commands} reads of 4 KiB, {DEPTH} in flight; wall-clock time and processor time of this machine\n",
            device = self.device,
            commands = output::thousands(self.commands),
        );
        let hosts = [("fio in Linux", &self.linux_fio), ("vfio-user, polled", &self.vfio_user)];
        for (name, host) in hosts {
            let mut table = Table::with_heading(&[
                (name, Align::Left),
                ("measured", Align::Right),
                ("must", Align::Right),
                ("", Align::Left),
                ("of", Align::Left),
            ]);
            for (figure, value, must, about) in host.figures() {
                let verdict = must.map_or("", |must| must.verdict(value));
                let must = must.map_or_else(String::new, |must| must.to_string());
                table.row([figure.to_owned(), number(value), must, verdict.to_owned(), about.to_owned()]);
            }
            text += &format!("\n{}", table.text(2));
        }
        text
    }
}

impl Host {
    fn new(read_4k_iops: f64, report: &serve::Report, qemu: Duration) -> Self {
        let (model, bridge, qemu) = (report.device_seconds, report.bridge_seconds, qemu.as_secs_f64());
        let percent = |part: f64, all: f64| if all > 0.0 { 100.0 * part / all } else { 0.0 };
        let all = model + bridge + qemu;
        Self {
            read_4k_iops,
            model_seconds: model,
            bridge_seconds: bridge,
            qemu_seconds: qemu,
            model_percent: percent(model, all),
            bridge_percent: Limited::new(percent(bridge, all), BRIDGE_PERCENT_MOST),
            qemu_percent: percent(qemu, all),
            bridge_percent_of_device_process: Limited::new(percent(bridge, model + bridge), BRIDGE_PERCENT_MOST),
        }
    }

    /// Name, value, what it must reach, what it is.
    fn figures(&self) -> [(&'static str, f64, Option<Must>, &'static str); 8] {
        let limited = |name, Limited { measured, most, .. }, about| (name, measured, Some(Must::BeAtMost(most)), about);
        [
            ("read_4k_iops", self.read_4k_iops, None, "reads in a second, wall-clock time"),
            ("model_seconds", self.model_seconds, None, "processor time of hardware, firmware, their buses"),
            ("bridge_seconds", self.bridge_seconds, None, "processor time of the rest of the device's process"),
            ("qemu_seconds", self.qemu_seconds, None, "processor time of QEMU beyond a guest that only boots"),
            ("model_percent", self.model_percent, None, "processor time of model, bridge and QEMU together"),
            limited("bridge_percent", self.bridge_percent, "as above"),
            ("qemu_percent", self.qemu_percent, None, "as above"),
            limited(
                "bridge_percent_of_device_process",
                self.bridge_percent_of_device_process,
                "processor time of model and bridge, without QEMU",
            ),
        ]
    }
}

fn number(value: f64) -> String {
    match value {
        1000.0.. => output::thousands(value as u64),
        _ => format!("{value:.2}"),
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
    Ok(Host::new(iops, &report, qemu.saturating_sub(idle.qemu)))
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
    Ok(Host::new(figures.iops, &report, Duration::ZERO))
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
