//! The engine that keeps queues busy, and the workloads that it is given.

use crate::failure::{Failure, Result};
use crate::output;
use crate::progress::Progress;
use crate::stats::Sample;
use sim_device::{Device, HostMemory, Random};
use sim_host::{Buffer, Driver, DriverError, Identity, IoTransfer, ListPlacement, Waiting};

/// Clocks without a completion after which a device is taken to hang. Flash that has to collect garbage first may be silent for long.
pub const SILENCE_CLOCKS_MAX: u64 = 10_000_000;

/// A data buffer with its PRPs.
pub struct Slot {
    /// The memory.
    pub buffer: Buffer,
    prp: [u64; 2],
}

impl Slot {
    /// The buffer with PRPs to it, and a list, if it needs one, at `placement`.
    pub fn new(host: &mut HostMemory, mut buffer: Buffer, placement: ListPlacement) -> Self {
        let prp = buffer.prps(host, placement);
        Self { buffer, prp }
    }

    /// PRP1 and PRP2.
    pub const fn prp(&self) -> [u64; 2] {
        self.prp
    }
}

/// One command.
pub struct Request {
    /// What it reads or writes.
    pub transfer: IoTransfer,
    /// From where or to where.
    pub slot: Slot,
}

/// How many commands are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// I/O queues in use, from the first.
    pub queues: u16,
    /// Commands in each.
    pub depth: u16,
}

/// What there is to do.
pub trait Work {
    /// How many commands should be in flight now.
    fn window(&self) -> Window;

    /// The next command; nothing once there is no more.
    fn next(&mut self, host: &mut HostMemory) -> Result<Option<Request>>;

    /// A command has succeeded.
    fn completed(&mut self, host: &mut HostMemory, request: Request) -> Result;
}

/// Does all of `work`: in every clock the host looks at the completions and announces new commands for them.
pub fn drive<D: Device + ?Sized>(
    driver: &mut Driver<'_, D>,
    identity: &Identity,
    work: &mut impl Work,
) -> Result<Vec<Sample>> {
    let function = driver.options().function;
    drive_functions(driver, &mut [Function::new(function, identity, work)])
}

/// A function of the device, and what it has to do.
pub struct Function<'a, W> {
    number: u8,
    lba_bytes: u32,
    work: &'a mut W,
    /// Of each I/O queue, what is in flight, with its command identifier.
    queues: Vec<Vec<(u16, Request)>>,
    /// The queue that is filled next.
    turn: usize,
}

impl<'a, W: Work> Function<'a, W> {
    /// Nothing has begun yet.
    pub fn new(number: u8, identity: &Identity, work: &'a mut W) -> Self {
        Self { number, lba_bytes: identity.lba_bytes, work, queues: Vec::new(), turn: 0 }
    }

    /// Takes the completions that the driver, which has turned to this function, has consumed.
    fn complete<D: Device + ?Sized>(&mut self, driver: &mut Driver<'_, D>, samples: &mut Vec<Sample>) -> Result {
        while let Some(completion) = driver.next_completion() {
            let in_flight = &mut self.queues[usize::from(completion.queue) - 1];
            // The driver has checked that the command was in flight.
            let Some(at) = in_flight.iter().position(|(cid, _)| *cid == completion.cid) else { continue };
            let (_, request) = in_flight.swap_remove(at);
            if !completion.status.is_success() {
                return Err(command_failed(driver.device().name(), &request.transfer, completion.status));
            }
            // Who waits for interrupts knows of a completion in the clock of its message.
            let completed_at = match driver.options().waiting {
                Waiting::Interrupts => driver.clock(),
                Waiting::Polling => completion.completed_at,
            };
            samples.push(Sample {
                announced_at: completion.announced_at,
                completed_at,
                bytes: request.transfer.blocks * self.lba_bytes,
            });
            self.work.completed(driver.host(), request)?;
        }
        Ok(())
    }
}

/// As [`drive`], for several functions at once, which the driver has brought up.
pub fn drive_functions<D: Device + ?Sized>(
    driver: &mut Driver<'_, D>,
    functions: &mut [Function<'_, impl Work>],
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut last_completion = driver.clock();
    loop {
        let mut in_flight = 0;
        for function in &mut *functions {
            driver.turn_to(function.number);
            function.turn = fill(driver, function.work, &mut function.queues, function.turn)?;
            in_flight += function.queues.iter().map(Vec::len).sum::<usize>();
        }
        if in_flight == 0 {
            return Ok(samples);
        }
        driver.device().step(1);
        let before = samples.len();
        for function in &mut *functions {
            driver.turn_to(function.number);
            driver.poll().map_err(device_failed)?;
            function.complete(driver, &mut samples)?;
        }
        if samples.len() > before {
            last_completion = driver.clock();
        }
        if driver.clock() - last_completion > SILENCE_CLOCKS_MAX {
            return Err(silent(driver, in_flight));
        }
    }
}

/// Fills the window, queue by queue in turn, and rings one doorbell for each queue that got something. Returns whose turn is next.
fn fill<D: Device + ?Sized>(
    driver: &mut Driver<'_, D>,
    work: &mut impl Work,
    queues: &mut Vec<Vec<(u16, Request)>>,
    mut turn: usize,
) -> Result<usize> {
    let mut rung = Vec::new();
    loop {
        let window = work.window();
        let count = usize::from(window.queues);
        if queues.len() < count {
            queues.resize_with(count, Vec::new);
        }
        // A slot of the ring may be in use longer than its command: until a completion says that it was fetched.
        let free =
            |queue: &usize| queues[*queue].len() < usize::from(window.depth) && !driver.is_full(*queue as u16 + 1);
        let Some(queue) = (0..count).map(|i| (turn + i) % count).find(free) else { break };
        let number = queue as u16 + 1;
        let Some(request) = work.next(driver.host())? else { break };
        let writable = if request.transfer.write { &[] } else { request.slot.buffer.segments() };
        let cid = driver.push(number, request.transfer.entry(request.slot.prp), writable).map_err(device_failed)?;
        queues[queue].push((cid, request));
        if !rung.contains(&number) {
            rung.push(number);
        }
        turn = (queue + 1) % count;
    }
    for number in rung {
        driver.ring(number);
    }
    Ok(turn)
}

/// The error for a device that broke a rule or did not do what every device does.
pub fn device_failed(error: DriverError) -> Failure {
    let trace = output::command("trace --help");
    Failure::new(
        error,
        format!("this is a defect of the device, and comes again; `{trace}` tells how to see it in a waveform"),
    )
}

fn command_failed(device: &str, transfer: &IoTransfer, status: nvme_spec::Status) -> Failure {
    let op = if transfer.write { "Write" } else { "Read" };
    let IoTransfer { lba, blocks, .. } = transfer;
    Failure::new(
        format!("{device}: {op} of {blocks} blocks from {lba} failed with {status}"),
        format!("`{}` explains the status", output::command(format!("decode status {:#06x}", status.raw()))),
    )
}

/// The error for a device with commands in flight of which none completes.
pub fn silent<D: Device + ?Sized>(driver: &mut Driver<'_, D>, commands: usize) -> Failure {
    let error = DriverError::Timeout {
        device: driver.device().name().to_owned(),
        what: format!("the completion of any of {commands} commands in flight"),
        clocks: SILENCE_CLOCKS_MAX,
        csts: driver.csts(),
    };
    device_failed(error)
}

// --- Random reads and writes -------------------------------------------------------------------------------------------------------------

/// What a random workload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Reads
    Read,
    /// Writes
    Write,
    /// Either, evenly
    Mixed,
}

/// Commands of one size at random places, from and to page-aligned buffers.
pub struct RandomWork {
    op: Op,
    blocks: u32,
    place: Place,
    order: Order,
    window: Window,
    remaining: u64,
    random: Random,
    free: Vec<Slot>,
    progress: Progress,
}

/// Which piece is next.
#[derive(Clone, Copy, Debug)]
enum Order {
    Random,
    /// So many further than the last one, round about; the next one.
    Strided {
        stride: u64,
        next: u64,
    },
}

/// Where the commands go.
struct Place {
    nsid: u32,
    lba_bytes: u32,
    /// Pieces of the size of a command that the namespace has.
    pieces: u64,
}

impl RandomWork {
    /// `commands` commands of `bytes` bytes each.
    ///
    /// # Panics
    /// When `bytes` is not a number of blocks that the namespace has.
    pub fn new(identity: &Identity, op: Op, bytes: u32, window: Window, commands: u64, seed: u64) -> Self {
        let blocks = bytes / identity.lba_bytes;
        assert!(blocks > 0 && bytes % identity.lba_bytes == 0, "{bytes} bytes are not a number of blocks");
        let pieces = identity.blocks / u64::from(blocks);
        assert!(pieces > 0, "the namespace is smaller than a command");
        let place = Place { nsid: identity.nsid, lba_bytes: identity.lba_bytes, pieces };
        Self {
            op,
            blocks,
            place,
            order: Order::Random,
            window,
            remaining: commands,
            random: Random::new(seed),
            free: Vec::new(),
            progress: Progress::new("commands", commands),
        }
    }

    /// The same in the first `bytes` of the namespace.
    #[must_use]
    pub fn within(mut self, bytes: u64) -> Self {
        self.place.pieces = bytes / u64::from(self.blocks * self.place.lba_bytes);
        self
    }

    /// The same from a piece on, each so many further than the last one, round about: each once, if the two have no common divisor.
    #[must_use]
    pub fn strided(self, first: u64, stride: u64) -> Self {
        Self { order: Order::Strided { stride, next: first }, ..self }
    }
}

impl Work for RandomWork {
    fn window(&self) -> Window {
        self.window
    }

    fn next(&mut self, host: &mut HostMemory) -> Result<Option<Request>> {
        if self.remaining == 0 {
            return Ok(None);
        }
        self.remaining -= 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            let bytes = (self.blocks * self.place.lba_bytes) as usize;
            let buffer = Buffer::contiguous(host, 0, bytes);
            let mut data = vec![0; bytes];
            self.random.fill(&mut data);
            buffer.store(host, &data);
            Slot::new(host, buffer, ListPlacement::PAGE_START)
        });
        let write = match self.op {
            Op::Read => false,
            Op::Write => true,
            Op::Mixed => self.random.below(2) == 1,
        };
        let piece = match &mut self.order {
            Order::Random => self.random.below(self.place.pieces),
            Order::Strided { stride, next } => {
                let piece = *next;
                *next = (piece + *stride) % self.place.pieces;
                piece
            }
        };
        let lba = piece * u64::from(self.blocks);
        let transfer = IoTransfer { write, nsid: self.place.nsid, lba, blocks: self.blocks };
        Ok(Some(Request { transfer, slot }))
    }

    fn completed(&mut self, _host: &mut HostMemory, request: Request) -> Result {
        self.free.push(request.slot);
        self.progress.advance(1);
        Ok(())
    }
}
