//! `replay --on device`: the requests of a trace as NVMe commands, each at its time.

use crate::backend::{BackEnd, Kind, Settings};
use crate::block_trace::{Op, Request};
use crate::failure::{Failure, Result};
use crate::output::{self, Align, Paint, Table};
use crate::progress::Progress;
use crate::report::DeviceReport;
use crate::stats::{nanoseconds, percentile};
use crate::storage::Flash;
use crate::workload::{self, Slot};
use nvme_spec::dataset::{DatasetRange, DEALLOCATE};
use nvme_spec::decode::FORCE_UNIT_ACCESS;
use nvme_spec::limits::{CORE_HZ, TRANSFER_BYTES_MAX};
use nvme_spec::log::{lid, SmartLog, DATA_UNIT_BYTES};
use nvme_spec::opcode::{admin, io};
use nvme_spec::SqEntry;
use serde::Serialize;
use sim_device::Device;
use sim_host::{blocks_entry, cdw, wire_prps, Buffer, Driver, Identity, ListPlacement, Options};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, IntoBytes};

/// I/O queues of the host, and entries of each: more than a device has in flight.
const QUEUES: u16 = 8;
const ENTRIES: u16 = 256;
/// Clocks from one look of the host at the completions to the next, at most. The clock of a completion is exact, whenever it is seen.
const LOOK_CLOCKS: u64 = 64;
/// Clocks that pass at once while the host waits for the next request, and for nothing else.
const IDLE_CLOCKS: u64 = 1 << 16;

/// What the requests of a kind came to.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct OfKind {
    requests: u64,
    bytes: u64,
    /// From the time of the request in the trace to the completion of its last command.
    latency: Option<Latencies>,
}

/// Latencies in microseconds of the device: at the frequency of its core.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latencies {
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

/// What the log page SMART / Health Information says of the medium when all has ended.
#[derive(Serialize)]
struct Smart {
    available_spare: u8,
    percentage_used: u8,
    critical_warning: u8,
    /// Thousands of 512 bytes, in the life of the drive.
    data_units_written: u64,
    media_errors: u64,
}

#[derive(Serialize)]
struct Report {
    device: DeviceReport,
    trace: PathBuf,
    image: Option<PathBuf>,
    /// The times of the trace are divided by it.
    faster: u32,
    reads: OfKind,
    writes: OfKind,
    trims: OfKind,
    flushes: OfKind,
    /// From the time of the first request to the last completion.
    clocks: u64,
    smart: Smart,
}

/// What a trace is replayed on, and how.
pub struct Plan<'a> {
    /// The flash of the device.
    pub flash: Flash,
    /// The times of the trace are divided by it.
    pub faster: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// The file of the trace.
    pub trace: &'a Path,
    /// The image that the flash comes from.
    pub image: Option<&'a Path>,
    /// Print JSON.
    pub json: bool,
}

/// Replays requests, all of which begin in the device or wrap around.
pub fn run(plan: &Plan<'_>, requests: &[Request]) -> Result {
    let settings = Settings {
        namespace_bytes: plan.flash.bytes(),
        flash: Some(plan.flash.clone()),
        is_private: true,
        ..Settings::new(Kind::Verilated, plan.seed)
    };
    let mut device = BackEnd::new(&settings)?;
    let options = Options { io_queues: QUEUES, io_entries: ENTRIES, ..Options::default() };
    let mut driver = Driver::new(&mut device, options);
    let identity = driver.bring_up().map_err(workload::device_failed)?;
    let mut host = Host::new(&mut driver, identity, plan, requests);
    host.run()?;
    let (latencies, clocks) = (host.latencies, host.last_completion - host.start);
    driver.check_canaries().map_err(workload::device_failed)?;
    let smart = Smart::of(&mut driver)?;
    driver.disable().map_err(workload::device_failed)?;
    let of_kind = |op: Op| {
        let mut of_kind = OfKind::default();
        let mut clocks = Vec::new();
        for (request, latency) in requests.iter().zip(&latencies).filter(|(request, _)| request.op == op) {
            of_kind.requests += 1;
            of_kind.bytes += request.bytes();
            clocks.extend(*latency);
        }
        clocks.sort_unstable();
        OfKind { latency: Latencies::of(&clocks), ..of_kind }
    };
    let report = Report {
        device: DeviceReport::new(Kind::Verilated, &identity, QUEUES, ENTRIES).with_flash(Some(&plan.flash)),
        trace: plan.trace.to_owned(),
        image: plan.image.map(Path::to_owned),
        faster: plan.faster,
        reads: of_kind(Op::Read),
        writes: of_kind(Op::Write),
        trims: of_kind(Op::Trim),
        flushes: of_kind(Op::Flush),
        clocks,
        smart,
    };
    if plan.json {
        return output::print_json(&report);
    }
    output::print(&report.text())
}

impl Smart {
    fn of(driver: &mut Driver<'_, BackEnd>) -> Result<Self> {
        let bytes = size_of::<SmartLog>();
        let dwords = bytes as u32 / 4 - 1;
        let entry = SqEntry {
            opcode: admin::GET_LOG_PAGE,
            cdw10: cdw([u32::from(lid::SMART) | dwords << 16, 0, 0, 0, 0, 0]),
            ..SqEntry::default()
        };
        let (completion, data) = driver.admin_data(entry, bytes).map_err(workload::device_failed)?;
        let page = SmartLog::read_from_bytes(&data).ok().filter(|_| completion.status.is_success());
        let page = page.ok_or_else(|| {
            Failure::new(
                format!("Get Log Page failed with {}", completion.status),
                "this is a defect of the device, and comes again: report it",
            )
        })?;
        Ok(Self {
            available_spare: page.available_spare,
            percentage_used: page.percentage_used,
            critical_warning: page.critical_warning,
            data_units_written: page.data_units_written.get() as u64,
            media_errors: page.media_errors.get() as u64,
        })
    }

    fn text(&self) -> String {
        let mut table = Table::new(&[Align::Left, Align::Left]);
        let row = |table: &mut Table, name: &str, value: String| table.row([name.to_owned(), value]);
        row(&mut table, "available spare", format!("{} %", self.available_spare));
        row(&mut table, "percentage used", format!("{} %", self.percentage_used));
        row(&mut table, "critical warning", format!("{:#04x}", self.critical_warning));
        let bytes = output::bytes_text(self.data_units_written * DATA_UNIT_BYTES);
        row(&mut table, "data units written", format!("{}: {bytes}", output::thousands(self.data_units_written)));
        row(&mut table, "media errors", output::thousands(self.media_errors));
        format!("{}\n{}", Paint::stdout().strong("SMART / Health Information"), table.text(2))
    }
}

/// A command that waits for a place in a queue.
struct Command {
    /// The number of its request.
    request: usize,
    entry: SqEntry,
    /// Bytes of its data.
    bytes: u64,
    /// What it sends, if that matters: the range of a trim.
    data: Option<DatasetRange>,
    /// It waits until the commands of its request that were announced before have completed.
    waits: bool,
}

/// The host: its driver, and what is on the way.
struct Host<'h, 'd, 'r> {
    driver: &'h mut Driver<'d, BackEnd>,
    identity: Identity,
    requests: &'r [Request],
    faster: u32,
    /// The clock of the first request.
    start: u64,
    waiting: VecDeque<Command>,
    /// By queue and command identifier: the request, and the buffer.
    in_flight: HashMap<(u16, u16), (usize, Option<Slot>)>,
    /// Of each request: commands that have not completed, and the clocks that it took.
    open: Vec<u32>,
    latencies: Vec<Option<u64>>,
    /// Buffers that are not in use, by their size.
    buffers: HashMap<u64, Vec<Slot>>,
    queue: u16,
    last_completion: u64,
    /// The clock since which nothing has completed of what is in flight.
    quiet_since: u64,
}

impl<'h, 'd, 'r> Host<'h, 'd, 'r> {
    fn new(driver: &'h mut Driver<'d, BackEnd>, identity: Identity, plan: &Plan<'_>, requests: &'r [Request]) -> Self {
        let start = driver.clock();
        Self {
            driver,
            identity,
            requests,
            faster: plan.faster,
            start,
            waiting: VecDeque::new(),
            in_flight: HashMap::new(),
            open: vec![0; requests.len()],
            latencies: vec![None; requests.len()],
            buffers: HashMap::new(),
            queue: 0,
            last_completion: start,
            quiet_since: start,
        }
    }

    /// The clock in which a request is due: the first at once.
    fn due(&self, request: usize) -> u64 {
        self.start + clocks_after(&self.requests[0], &self.requests[request], self.faster)
    }

    fn run(&mut self) -> Result {
        let mut progress = Progress::new("requests", self.requests.len() as u64);
        let mut next = 0;
        while next < self.requests.len() || !self.waiting.is_empty() || !self.in_flight.is_empty() {
            let now = self.driver.clock();
            while next < self.requests.len() && self.due(next) <= now {
                let commands = commands(&self.requests[next], next, &self.identity);
                self.open[next] = commands.len() as u32;
                self.waiting.extend(commands);
                next += 1;
            }
            self.announce()?;
            let is_idle = self.waiting.is_empty() && self.in_flight.is_empty();
            let longest = if is_idle { IDLE_CLOCKS } else { LOOK_CLOCKS };
            let until_due = if next < self.requests.len() { self.due(next) - now } else { longest };
            self.driver.device().step(until_due.clamp(1, longest) as u32);
            self.driver.poll().map_err(workload::device_failed)?;
            self.complete(&mut progress)?;
            if !self.in_flight.is_empty() && self.driver.clock() - self.quiet_since > workload::SILENCE_CLOCKS_MAX {
                return Err(workload::silent(self.driver, self.in_flight.len()));
            }
        }
        Ok(())
    }

    /// Puts as many commands into the queues as there is room for.
    fn announce(&mut self) -> Result {
        let mut rung = [false; QUEUES as usize];
        while let Some(command) = self.waiting.front() {
            let is_first = |request: usize| self.in_flight.values().all(|(other, _)| *other != request);
            if command.waits && !is_first(command.request) {
                break;
            }
            let queues = (0..QUEUES).map(|turn| (self.queue + turn) % QUEUES + 1);
            let mut free = queues.filter(|&queue| !self.driver.is_full(queue));
            let Some(queue) = free.next() else { break };
            let command = self.waiting.pop_front().expect("it is there");
            let slot = (command.bytes > 0).then(|| self.slot(&command));
            let prp = slot.as_ref().map_or([0; 2], Slot::prp);
            let entry = SqEntry { prp: wire_prps(prp), ..command.entry };
            let writable = match &slot {
                Some(slot) if entry.opcode == io::READ => slot.buffer.segments(),
                _ => &[],
            };
            let cid = self.driver.push(queue, entry, writable).map_err(workload::device_failed)?;
            if self.in_flight.is_empty() {
                self.quiet_since = self.driver.clock();
            }
            self.in_flight.insert((queue, cid), (command.request, slot));
            rung[usize::from(queue) - 1] = true;
            self.queue = queue % QUEUES;
        }
        (1..).zip(rung).filter(|(_, is_rung)| *is_rung).for_each(|(queue, _)| self.driver.ring(queue));
        Ok(())
    }

    /// A buffer for the data of a command.
    fn slot(&mut self, command: &Command) -> Slot {
        let host = self.driver.host();
        let slot = self.buffers.get_mut(&command.bytes).and_then(Vec::pop).unwrap_or_else(|| {
            // What is written is of no matter, but that it is not zero.
            let buffer = Buffer::contiguous(host, 0, command.bytes as usize);
            buffer.store(host, &vec![0xA5; command.bytes as usize]);
            Slot::new(host, buffer, ListPlacement::PAGE_START)
        });
        if let Some(range) = &command.data {
            slot.buffer.store(host, range.as_bytes());
        }
        slot
    }

    fn complete(&mut self, progress: &mut Progress) -> Result {
        while let Some(completion) = self.driver.next_completion() {
            // The driver has checked that the command was in flight.
            let Some((request, slot)) = self.in_flight.remove(&(completion.queue, completion.cid)) else { continue };
            if !completion.status.is_success() {
                let line = &self.requests[request];
                return Err(Failure::new(
                    format!("the request of line {} ({line}) failed with {}", line.line, completion.status),
                    format!(
                        "`{}` explains the status",
                        output::command(format!("decode status {:#06x}", completion.status.raw()))
                    ),
                ));
            }
            if let Some(slot) = slot {
                let bytes = slot.buffer.segments().iter().map(|segment| segment.end - segment.start).sum();
                self.buffers.entry(bytes).or_default().push(slot);
            }
            self.quiet_since = self.driver.clock();
            self.last_completion = self.last_completion.max(completion.completed_at);
            self.open[request] -= 1;
            if self.open[request] == 0 {
                self.latencies[request] = Some(completion.completed_at.saturating_sub(self.due(request)));
                progress.advance(1);
            }
        }
        Ok(())
    }
}

/// Clocks from the first request to another one. A trace may go back in time: what is before the first is due with it.
fn clocks_after(first: &Request, request: &Request, faster: u32) -> u64 {
    let ns = u128::from(request.nsecs.saturating_sub(first.nsecs));
    (ns * u128::from(CORE_HZ) / 1_000_000_000 / u128::from(faster)) as u64
}

/// The commands of a request. Transfers are no longer than the device takes, and what reaches beyond the end
/// of the namespace goes on at its beginning.
fn commands(request: &Request, number: usize, identity: &Identity) -> Vec<Command> {
    let lba_bytes = u64::from(identity.lba_bytes);
    let command = |entry, bytes, data| Command { request: number, entry, bytes, data, waits: false };
    let flush = || command(SqEntry { opcode: io::FLUSH, nsid: identity.nsid.into(), ..SqEntry::default() }, 0, None);
    let mut all = Vec::new();
    if request.flushes_before || request.op == Op::Flush {
        all.push(flush());
    }
    let blocks_max = match request.op {
        Op::Read | Op::Write => identity.transfer_bytes_max().min(TRANSFER_BYTES_MAX.into()) / lba_bytes,
        Op::Trim => u64::from(u32::MAX),
        Op::Flush => return all,
    };
    let (mut at, mut left) = (request.sector, request.sectors);
    while left > 0 {
        let lba = at % identity.blocks;
        let blocks = left.min(blocks_max).min(identity.blocks - lba);
        let (at_once, bytes) = (blocks as u32, blocks * lba_bytes);
        let mut next = match request.op {
            Op::Trim => {
                let range = DatasetRange { attributes: 0.into(), blocks: at_once.into(), lba: lba.into() };
                let entry = SqEntry {
                    opcode: io::DATASET_MANAGEMENT,
                    nsid: identity.nsid.into(),
                    cdw10: cdw([0, DEALLOCATE, 0, 0, 0, 0]),
                    ..SqEntry::default()
                };
                command(entry, size_of::<DatasetRange>() as u64, Some(range))
            }
            _ => {
                let opcode = if request.op == Op::Write { io::WRITE } else { io::READ };
                let mut entry = blocks_entry(opcode, identity.nsid, lba, at_once);
                if request.is_durable {
                    entry.cdw10[2] = (entry.cdw10[2].get() | FORCE_UNIT_ACCESS).into();
                }
                command(entry, bytes, None)
            }
        };
        // What comes behind the flush of its own request waits for that.
        next.waits = request.flushes_before && all.len() == 1;
        all.push(next);
        at += blocks;
        left -= blocks;
    }
    all
}

impl Latencies {
    /// Of sorted clocks.
    fn of(sorted: &[u64]) -> Option<Self> {
        let us = |permille| nanoseconds(percentile(sorted, permille) as f64) / 1000.0;
        (!sorted.is_empty()).then(|| Self { p50_us: us(500), p99_us: us(990), p999_us: us(999), max_us: us(1000) })
    }
}

impl Report {
    fn text(&self) -> String {
        let mut table = Table::with_heading(&[
            ("", Align::Left),
            ("requests", Align::Right),
            ("bytes", Align::Right),
            ("p50 us", Align::Right),
            ("p99 us", Align::Right),
            ("p99.9 us", Align::Right),
            ("max us", Align::Right),
        ]);
        let kinds =
            [("read", self.reads), ("written", self.writes), ("trimmed", self.trims), ("flushed", self.flushes)];
        for (name, OfKind { requests, bytes, latency }) in kinds {
            let figures = latency.map_or([const { String::new() }; 4], |latency| {
                [latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us].map(|us| format!("{us:.1}"))
            });
            let counts = [name.to_owned(), output::thousands(requests), output::bytes_text(bytes)];
            table.row(counts.into_iter().chain(figures));
        }
        let title = Paint::stdout().strong(format!("Trace {}", self.trace.display()));
        let ms = nanoseconds(self.clocks as f64) / 1e6;
        let faster = match self.faster {
            1 => "requests come at the times of the trace".to_owned(),
            faster => format!("requests come {faster} times as fast as in the trace"),
        };
        let kept = match &self.image {
            Some(path) => format!("{} is as it was before", path.display()),
            None => "the drive was new, and is not kept".to_owned(),
        };
        format!(
            "{}\n{title}\n  {faster}; {} of the device, {ms:.3} ms\n{}\n{}\n{kept}\n",
            self.device.text(),
            output::count_text(self.clocks, "clock"),
            table.text(2),
            self.smart.text()
        )
    }
}
