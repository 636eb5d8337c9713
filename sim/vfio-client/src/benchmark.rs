//! Polled reads, as a driver in user space does them: queues and data in memory that both sides have mapped, doorbells in the mapped page.

use crate::client::{map, region, Client, NoMemory};
use crate::connection::Error;
use crate::device::{map_doorbells, ring};
use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::identify::{cns, IdentifyNamespace};
use nvme_spec::opcode::io;
use nvme_spec::pci::{command, COMMAND};
use nvme_spec::{regs, CqEntry, SqEntry, Status};
use rustix::fs::{memfd_create, MemfdFlags};
use rustix::time::{clock_gettime, ClockId};
use sim_device::{Random, PAGE_BYTES};
use sim_host::{blocks_entry, create_cq_entry, create_sq_entry, identify_entry, wire_prps, Driver};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Commands in flight.
pub const QUEUE_DEPTH: usize = 32;

/// Bytes that each command reads: one page of memory.
const READ_BYTES: u64 = PAGE_BYTES;

/// Entries of each queue: more than commands in flight.
const ENTRIES: u16 = 64;

/// Where the memory is for the device: as far up as a program's own memory may be.
const BASE: u64 = 0x7F12_3456_7000; // tidy: an address of this program's choice, which has its home here

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Reads that were completed.
    pub commands: u64,
    /// From the first doorbell to the last completion.
    pub time: Duration,
    /// Reads in a second.
    pub iops: f64,
    /// The part of that time in which this thread had a processor.
    pub processor_share: f64,
}

/// Brings up the controller behind `DIR/cntrl` and does so many reads of 4 KiB from random places, [`QUEUE_DEPTH`] of them at a time. Each is checked to
/// have succeeded.
///
/// # Errors
/// If the server cannot be reached or does not behave, or a command fails.
pub fn benchmark(directory: &Path, commands: u64) -> Result<Figures, Error> {
    let mut controller = Controller::start(&directory.join("cntrl"))?;
    let namespace = controller.namespace()?;
    controller.create_queues()?;
    let lba_bytes = 1 << namespace.lbaf[usize::from(namespace.flbas & 0xF)].lbads;
    let blocks = (READ_BYTES / lba_bytes) as u32;
    let places = namespace.nsze.get() / u64::from(blocks);
    let mut random = Random::new(SEED);
    let (started, processor_before) = (Instant::now(), processor_time());
    let (mut sent, mut done) = (0, 0);
    let mut free: Vec<u16> = (0..QUEUE_DEPTH as u16).collect();
    while done < commands {
        let before = sent;
        while sent < commands {
            let Some(slot) = free.pop() else { break };
            let entry = blocks_entry(io::READ, 1, random.below(places) * u64::from(blocks), blocks);
            let data = BASE + DATA + u64::from(slot) * READ_BYTES;
            controller.io.push(&controller.memory, SqEntry { cid: slot.into(), prp: wire_prps([data, 0]), ..entry });
            sent += 1;
        }
        if sent > before {
            controller.io.announce(&controller.page);
        }
        let completed = done;
        while let Some(completion) = controller.io.next(&controller.memory)? {
            free.push(completion.cid.get());
            done += 1;
        }
        if done > completed {
            controller.io.release(&controller.page);
        } else {
            // The device may need this processor.
            std::thread::yield_now();
        }
    }
    let time = started.elapsed();
    let processor = processor_time().saturating_sub(processor_before);
    controller.stop()?;
    let seconds = time.as_secs_f64();
    Ok(Figures { commands, time, iops: commands as f64 / seconds, processor_share: processor.as_secs_f64() / seconds })
}

/// The same places in every run.
const SEED: u64 = 0x5EED;

/// What this thread has had of processors.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Places in the memory: each queue has a page, at least.
const ADMIN_SUBMISSION: u64 = 0;
const ADMIN_COMPLETION: u64 = PAGE_BYTES;
const IO_SUBMISSION: u64 = 2 * PAGE_BYTES;
const IO_COMPLETION: u64 = 3 * PAGE_BYTES;
const IDENTIFY: u64 = 4 * PAGE_BYTES;
const DATA: u64 = 5 * PAGE_BYTES;
const MEMORY_BYTES: u64 = DATA + QUEUE_DEPTH as u64 * READ_BYTES;
const _: () = assert!((ENTRIES as u64) << SQ_ENTRY_LOG2_BYTES <= ADMIN_COMPLETION);

/// A queue pair.
struct Pair {
    queue: u16,
    submission: u64,
    completion: u64,
    tail: u16,
    head: u16,
    phase: bool,
}

impl Pair {
    const fn new(queue: u16, submission: u64, completion: u64) -> Self {
        Self { queue, submission, completion, tail: 0, head: 0, phase: true }
    }

    fn push(&mut self, memory: &MmapRegion, entry: SqEntry) {
        let at = self.submission + (u64::from(self.tail) << SQ_ENTRY_LOG2_BYTES);
        let slot = memory.get_slice(at as usize, size_of::<SqEntry>()).expect("a queue is in the memory");
        slot.copy_from(entry.as_bytes());
        self.tail = (self.tail + 1) % ENTRIES;
    }

    fn announce(&self, page: &MmapRegion) {
        ring(page, regs::sq_tail_doorbell(self.queue), self.tail.into());
    }

    /// The next completion, if it is there.
    fn next(&mut self, memory: &MmapRegion) -> Result<Option<CqEntry>, Error> {
        let at = (self.completion + (u64::from(self.head) << CQ_ENTRY_LOG2_BYTES)) as usize;
        // The phase is in the last dword. Once it is seen, the rest is there.
        let last = memory.get_atomic_ref::<AtomicU32>(at + 12).expect("a queue is in the memory");
        let phase = last.load(Ordering::Acquire) >> 16 & 1 == 1;
        if phase != self.phase {
            return Ok(None);
        }
        let mut entry = CqEntry::new_zeroed();
        let slot = memory.get_slice(at, size_of::<CqEntry>()).expect("a queue is in the memory");
        slot.copy_to(entry.as_mut_bytes());
        self.head = (self.head + 1) % ENTRIES;
        self.phase ^= self.head == 0;
        let status = Status::from_raw(entry.status_field());
        if !status.is_success() {
            return Err(Error::Protocol(format!("a command of queue {} failed: {status:?}", self.queue)));
        }
        Ok(Some(entry))
    }

    fn release(&self, page: &MmapRegion) {
        ring(page, regs::cq_head_doorbell(self.queue), self.head.into());
    }
}

struct Controller {
    client: Client,
    memory: MmapRegion,
    page: MmapRegion,
    admin: Pair,
    io: Pair,
}

type NoDriver<'d> = Driver<'d, dyn sim_device::Device>;

impl Controller {
    fn start(socket: &Path) -> Result<Self, Error> {
        let mut client = Client::connect(socket)?;
        let file = File::from(memfd_create("host", MemfdFlags::CLOEXEC)?);
        file.set_len(MEMORY_BYTES)?;
        client.map(map::READABLE | map::WRITABLE, BASE, MEMORY_BYTES, Some((file.as_fd(), 0)))?;
        let memory = MmapRegion::from_file(FileOffset::new(file, 0), MEMORY_BYTES as usize);
        let memory = memory.map_err(|error| Error::Protocol(format!("memory: {error}")))?;
        let page = map_doorbells(&mut client)?;
        let admin = Pair::new(0, ADMIN_SUBMISSION, ADMIN_COMPLETION);
        let mut controller = Self { client, memory, page, admin, io: Pair::new(1, IO_SUBMISSION, IO_COMPLETION) };
        // As SPDK does: bus mastering, no INTx, and no word of memory space.
        let mut control = [0; 2];
        controller.client.read(region::CONFIG, COMMAND.offset.into(), &mut control, &mut NoMemory)?;
        let enabled = command::BUS_MASTER_ENABLE.set32(u16::from_le_bytes(control).into(), 1);
        let enabled = command::INTERRUPT_DISABLE.set32(enabled, 1) as u16;
        controller.client.write(region::CONFIG, COMMAND.offset.into(), &enabled.to_le_bytes(), &mut NoMemory)?;
        controller.enable(0)?;
        let entries = u32::from(ENTRIES) - 1;
        let aqa = regs::aqa::ACQS.set32(regs::aqa::ASQS.set32(0, entries), entries);
        controller.write(regs::AQA.offset, &aqa.to_le_bytes())?;
        controller.write(regs::ASQ.offset, &(BASE + ADMIN_SUBMISSION).to_le_bytes())?;
        controller.write(regs::ACQ.offset, &(BASE + ADMIN_COMPLETION).to_le_bytes())?;
        controller.enable(1)?;
        Ok(controller)
    }

    fn write(&mut self, offset: u32, value: &[u8]) -> Result<(), Error> {
        self.client.write(region::BAR0, offset.into(), value, &mut NoMemory)
    }

    /// Writes CC.EN and waits for CSTS.RDY.
    fn enable(&mut self, enable: u32) -> Result<(), Error> {
        self.write(regs::CC.offset, &NoDriver::cc_value(enable).to_le_bytes())?;
        for _ in 0..LOOKS_MAX {
            let mut status = [0; 4];
            self.client.read(region::BAR0, regs::CSTS.offset.into(), &mut status, &mut NoMemory)?;
            if regs::csts::RDY.get32(u32::from_le_bytes(status)) == enable {
                return Ok(());
            }
        }
        Err(Error::Protocol(format!("CSTS.RDY does not become {enable}")))
    }

    fn execute(&mut self, entry: SqEntry) -> Result<(), Error> {
        self.admin.push(&self.memory, entry);
        self.admin.announce(&self.page);
        for _ in 0..LOOKS_MAX {
            if self.admin.next(&self.memory)?.is_some() {
                self.admin.release(&self.page);
                return Ok(());
            }
            // The server answers this after the doorbell, so that looks are not counted faster than the device takes them.
            self.client.read(region::BAR0, regs::VS.offset.into(), &mut [0; 4], &mut NoMemory)?;
        }
        Err(Error::Protocol("an admin command is not completed".to_owned()))
    }

    fn namespace(&mut self) -> Result<IdentifyNamespace, Error> {
        self.execute(SqEntry { prp: wire_prps([BASE + IDENTIFY, 0]), ..identify_entry(cns::NAMESPACE, 1) })?;
        let mut bytes = vec![0; size_of::<IdentifyNamespace>()];
        self.memory.get_slice(IDENTIFY as usize, bytes.len()).expect("it is in the memory").copy_to(&mut bytes);
        IdentifyNamespace::read_from_bytes(&bytes).map_err(|error| Error::Protocol(format!("Identify: {error}")))
    }

    fn create_queues(&mut self) -> Result<(), Error> {
        self.execute(create_cq_entry(1, ENTRIES, BASE + IO_COMPLETION, None))?;
        self.execute(create_sq_entry(1, ENTRIES, BASE + IO_SUBMISSION, 1))
    }

    fn stop(mut self) -> Result<(), Error> {
        self.enable(0)
    }
}

/// Looks at something that the device does soon.
const LOOKS_MAX: u32 = 1_000_000;
