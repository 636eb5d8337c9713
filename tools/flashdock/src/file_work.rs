//! A file, written to the device and read back in a seeded mix of sizes, depths and alignments.

use crate::failure::{Failure, Result};
use crate::output;
use crate::progress::Progress;
use crate::workload::{Request, Slot, Window, Work};
use sha2::{Digest, Sha256};
use sim_device::{HostMemory, Random, PAGE_BYTES};
use sim_host::{Buffer, Identity, IoTransfer, ListPlacement};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A SHA-256.
pub type Hash = [u8; 32];

/// Sizes of commands in bytes, and how often each is drawn.
const SIZES: [(u32, u64); 9] = [
    (512, 6),
    (1 << 10, 3),
    (2 << 10, 3),
    (4 << 10, 12),
    (8 << 10, 4),
    (16 << 10, 3),
    (32 << 10, 2),
    (64 << 10, 1),
    (128 << 10, 1),
];

/// One command in so many has any size up to the largest that the device takes.
const LARGE_ONE_IN: u64 = 100;

/// How many commands are in flight; drawn anew every [`PHASE_COMMANDS`] commands.
const WINDOWS: [Window; 6] = [
    Window { queues: 1, depth: 1 },
    Window { queues: 1, depth: 8 },
    Window { queues: 2, depth: 16 },
    Window { queues: 4, depth: 4 },
    Window { queues: 8, depth: 8 },
    Window { queues: 8, depth: DEPTH_MAX },
];

/// Most commands in flight in one queue.
pub const DEPTH_MAX: u16 = 32;

const PHASE_COMMANDS: u64 = 32;

/// Where buffers start in their page. Any dword will do for the device; few places let the memory of the host be used again.
const BUFFER_OFFSETS: [u64; 8] = [0, 0, 0, 0, 4, 1364, 2048, PAGE_BYTES - 4];

/// Where PRP lists start in their page: those at the end chain after one entry.
const LIST_OFFSETS: [u64; 5] = [0, 0, 8, 2048, PAGE_BYTES - 16];

/// What fills a buffer before it is read into.
const POISON: u8 = 0xBD;

/// The choices that reading and writing have in common.
struct Mix {
    random: Random,
    nsid: u32,
    lba_bytes: u32,
    transfer_bytes_max: u32,
    window: Window,
    /// Commands until the window changes.
    phase: u64,
    /// The next block.
    lba: u64,
    /// The block behind the last.
    end: u64,
}

impl Mix {
    fn new(identity: &Identity, bytes: u64, seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            nsid: identity.nsid,
            lba_bytes: identity.lba_bytes,
            transfer_bytes_max: identity.transfer_bytes_max().min(u64::from(u32::MAX)) as u32,
            window: WINDOWS[0],
            phase: PHASE_COMMANDS,
            lba: 0,
            end: bytes.div_ceil(u64::from(identity.lba_bytes)),
        }
    }

    /// The next command, with a buffer somewhere; nothing behind the end of the file.
    fn next(&mut self, host: &mut HostMemory, write: bool) -> Option<Request> {
        if self.lba == self.end {
            return None;
        }
        if self.phase == 0 {
            self.window = *self.random.pick(&WINDOWS);
            self.phase = PHASE_COMMANDS;
        }
        self.phase -= 1;
        let blocks = u64::from(self.bytes() / self.lba_bytes).clamp(1, self.end - self.lba) as u32;
        let offset = *self.random.pick(&BUFFER_OFFSETS);
        let bytes = (blocks * self.lba_bytes) as usize;
        let buffer = match self.random.below(2) {
            0 => Buffer::contiguous(host, offset, bytes),
            _ => Buffer::scattered(host, offset, bytes),
        };
        let placement = ListPlacement { offset: *self.random.pick(&LIST_OFFSETS) };
        let transfer = IoTransfer { write, nsid: self.nsid, lba: self.lba, blocks };
        self.lba += u64::from(blocks);
        Some(Request { transfer, slot: Slot::new(host, buffer, placement) })
    }

    fn bytes(&mut self) -> u32 {
        if self.random.below(LARGE_ONE_IN) == 0 {
            return self.random.between(1, u64::from(self.transfer_bytes_max)) as u32;
        }
        let total: u64 = SIZES.iter().map(|(_, weight)| weight).sum();
        let mut draw = self.random.below(total);
        for (bytes, weight) in SIZES {
            if draw < weight {
                return bytes.min(self.transfer_bytes_max);
            }
            draw -= weight;
        }
        self.lba_bytes
    }
}

/// The part of a file of `bytes` bytes that lies in `transfer`.
fn part(transfer: &IoTransfer, lba_bytes: u32, bytes: u64) -> usize {
    let start = transfer.lba * u64::from(lba_bytes);
    u64::from(transfer.blocks * lba_bytes).min(bytes - start) as usize
}

// --- Writing -----------------------------------------------------------------------------------------------------------------------------

/// Writes the file from block 0 on, filled up with zeroes to a whole block.
pub struct FileWriter<'f> {
    mix: Mix,
    file: &'f mut File,
    path: &'f Path,
    bytes: u64,
    hash: Sha256,
    progress: Progress,
}

impl<'f> FileWriter<'f> {
    /// `bytes` bytes from `file`, which is called `path`.
    pub fn new(identity: &Identity, file: &'f mut File, path: &'f Path, bytes: u64, seed: u64) -> Self {
        let progress = Progress::new("writing", bytes);
        Self { mix: Mix::new(identity, bytes, seed), file, path, bytes, hash: Sha256::new(), progress }
    }

    /// The hash of what was written.
    pub fn hash(self) -> Hash {
        self.hash.finalize().into()
    }
}

impl Work for FileWriter<'_> {
    fn window(&self) -> Window {
        self.mix.window
    }

    fn next(&mut self, host: &mut HostMemory) -> Result<Option<Request>> {
        let Some(request) = self.mix.next(host, true) else { return Ok(None) };
        let mut data = vec![0; request.slot.buffer.bytes()];
        let part = part(&request.transfer, self.mix.lba_bytes, self.bytes);
        self.file.read_exact(&mut data[..part]).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::UnexpectedEof => "it became shorter meanwhile".to_owned(),
                _ => output::reason(&error),
            };
            Failure::new(format!("cannot read {}: {reason}", self.path.display()), "name a file that does not change")
        })?;
        self.hash.update(&data[..part]);
        request.slot.buffer.store(host, &data);
        Ok(Some(request))
    }

    fn completed(&mut self, host: &mut HostMemory, request: Request) -> Result {
        self.progress.advance(request.slot.buffer.bytes() as u64);
        request.slot.buffer.free(host);
        Ok(())
    }
}

// --- Reading -----------------------------------------------------------------------------------------------------------------------------

/// Reads it back.
pub struct FileReader {
    mix: Mix,
    bytes: u64,
    hash: Sha256,
    /// The block up to which everything is in `hash`.
    hashed: u64,
    /// What completed before something in front of it did, by its first block.
    early: BTreeMap<u64, (u64, Vec<u8>)>,
    progress: Progress,
}

impl FileReader {
    /// `bytes` bytes from block 0 on.
    pub fn new(identity: &Identity, bytes: u64, seed: u64) -> Self {
        let progress = Progress::new("reading", bytes);
        let (mix, early) = (Mix::new(identity, bytes, seed), BTreeMap::new());
        Self { mix, bytes, hash: Sha256::new(), hashed: 0, early, progress }
    }

    /// The hash of what was read.
    pub fn hash(self) -> Hash {
        self.hash.finalize().into()
    }
}

impl Work for FileReader {
    fn window(&self) -> Window {
        self.mix.window
    }

    fn next(&mut self, host: &mut HostMemory) -> Result<Option<Request>> {
        let request = self.mix.next(host, false);
        if let Some(request) = &request {
            for segment in request.slot.buffer.segments() {
                host.fill(segment.start, segment.end - segment.start, POISON);
            }
        }
        Ok(request)
    }

    fn completed(&mut self, host: &mut HostMemory, request: Request) -> Result {
        let Request { transfer, slot } = request;
        self.progress.advance(slot.buffer.bytes() as u64);
        let mut data = slot.buffer.load(host);
        data.truncate(part(&transfer, self.mix.lba_bytes, self.bytes));
        slot.buffer.free(host);
        self.early.insert(transfer.lba, (transfer.lba + u64::from(transfer.blocks), data));
        while let Some((end, data)) = self.early.remove(&self.hashed) {
            self.hash.update(&data);
            self.hashed = end;
        }
        Ok(())
    }
}
