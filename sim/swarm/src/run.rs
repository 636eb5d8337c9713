//! One run: a driver that does what a seed says, and what it knows of the device.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use nvme_spec::copy::SourceRange;
use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::feature::fid;
use nvme_spec::identify::oncs;
use nvme_spec::opcode::{admin, io};
use nvme_spec::regs::{self, csts};
use nvme_spec::{decode_io, limits, IoCommand, Limits, NamespaceInfo, SqEntry, Status, Transfer};
use sim_device::{Access, Chance, Device, Event, Random, Sideband, BEAT_BYTES, PAGE_BYTES};
use sim_host::{
    cdw, create_cq_entry, create_sq_entry, delete_entry, wire_prps, with_sgl, Buffer, Completion, Driver, Identity,
    IoTransfer, ListPlacement, Options, Waiting,
};
use zerocopy::{FromZeros, IntoBytes};

use crate::error::Broken;
use crate::garbage::{random_entry, Pool};
use crate::neighbour::Neighbour;
use crate::plan::{calm, host_timing, Action, Plan};
use crate::shadow::{End, Moment, Shadow, Version};
use crate::storm;

/// Clocks within which everything has ended once nothing fails any more, whatever was in flight ...
pub const SETTLE_CLOCKS: u64 = 200_000;
/// ... and so many more for each command ...
pub const SETTLE_CLOCKS_PER_COMMAND: u64 = 4_000;
/// ... and one more for so many bytes that it moves: the device's memory may be slow.
pub const SETTLE_BYTES_PER_CLOCK: u64 = 2;

/// Most logical blocks that a Copy writes.
const COPIED_BLOCKS_MAX: u64 = 64;

/// How many times as long as the data of another command that of a Copy takes.
const COPY_COST: u64 = 8;

/// Clocks after which all that was under way when Bus Master Enable fell has come to its end: the bus answers a few hundred reads of 4 KiB.
const BUS_MASTER_CLOCKS_MAX: u64 = 40_000;

/// A function without accesses for so many clocks is quiet.
const QUIET_CLOCKS: u32 = 1_000;

/// Dwords of data that firmware writes for one admin command, at most ...
const ANSWER_DWORDS_MAX: u64 = 4096;

/// ... and what each takes on its bus, beyond what the plan adds.
const SETTLE_CLOCKS_PER_DWORD: u64 = 16;

/// I/O queue pairs that a life has at most.
const QUEUES_MAX: u16 = 12;

/// Asynchronous event requests that are left in flight at most: they take slots of the admin queue.
const EVENT_REQUESTS_MAX: usize = 6;

/// Clocks after which doorbells and masks that were asked for later have come.
pub(crate) const LATER_CLOCKS_MAX: u64 = 64;

/// Blocks at the start, the middle and the end of the namespace, where commands meet.
const HOT_BLOCKS: u64 = 96;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Commands that were put into queues one by one, whose completions were judged.
    pub commands: u64,
    /// Those that ended with a completion.
    pub completed: u64,
    /// Those that a reset or the deletion of their queue took away.
    pub dropped: u64,
    /// Blocks that were read and compared.
    pub blocks_compared: u64,
    /// Lives of the controller.
    pub lives: u64,
    /// Lives that CSTS.CFS ended.
    pub fatal: u64,
    /// Accesses to BAR0 in storms.
    pub storm_accesses: u64,
    /// Clocks.
    pub clocks: u64,
}

impl Tally {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.completed += other.completed;
        self.dropped += other.dropped;
        self.blocks_compared += other.blocks_compared;
        self.lives += other.lives;
        self.fatal += other.fatal;
        self.storm_accesses += other.storm_accesses;
        self.clocks += other.clocks;
    }
}

/// A command in flight.
struct Pending {
    entry: SqEntry,
    kind: Kind,
}

enum Kind {
    /// A Read whose data is compared.
    Read {
        lbas: Range<u64>,
        begun: Moment,
        buffer: Buffer,
        /// A write into the buffer failed. Writes are posted, so that the command may succeed all the same.
        is_damaged: bool,
    },
    /// A Write of data that the shadow knows.
    Write { lbas: Range<u64>, version: Version, buffer: Buffer },
    /// A Copy to these blocks, as it should be. What is in them afterwards is not known: what was copied may change meanwhile.
    Copy { lbas: Range<u64>, version: Version, buffer: Buffer },
    /// A Flush as it should be.
    Flush,
    /// Any 64 bytes in an I/O queue; which blocks it may write.
    Garbage { writes: Option<(Range<u64>, Version)> },
    /// An admin command, its data anywhere in the pool.
    Admin,
    /// A command that may be held until an event, a deletion or a reset.
    Held,
}

#[derive(Clone, Copy)]
struct SubmissionQueue {
    completion: u16,
    /// A deletion is under way: its commands may end by it, and no more are put into it.
    is_leaving: bool,
}

/// Admin commands that create and delete queues: the swarm follows them.
const OF_QUEUES: &[u8] = &[admin::CREATE_IO_CQ, admin::CREATE_IO_SQ, admin::DELETE_IO_CQ, admin::DELETE_IO_SQ];

/// Admin commands that leave queues and blocks as they are.
const HARMLESS: &[u8] = &[
    admin::GET_LOG_PAGE,
    admin::IDENTIFY,
    admin::ABORT,
    admin::SET_FEATURES,
    admin::GET_FEATURES,
    admin::ASYNC_EVENT_REQUEST,
];

/// Whether an admin command of this controller may change namespaces or all of their blocks, which the swarm does not follow.
fn reshapes(entry: &SqEntry) -> bool {
    let opcode = entry.opcode;
    let is_known = admin::ALL.iter().any(|(known, _)| *known == opcode);
    let protects = opcode == admin::SET_FEATURES && entry.cdw(10) as u8 == fid::NAMESPACE_WRITE_PROTECTION;
    protects || is_known && !OF_QUEUES.contains(&opcode) && !HARMLESS.contains(&opcode)
}

/// Commands that may be held for ever.
const HELD: &[u8] = &[admin::ASYNC_EVENT_REQUEST];

/// One run.
pub(crate) struct Run<'d> {
    pub(crate) random: Random,
    pub(crate) plan: &'d Plan,
    /// The other function, until it is reset.
    neighbour: Option<Neighbour>,
    pub(crate) host: Driver<'d, dyn Device + 'd>,
    shadow: Shadow,
    identity: Identity,
    pool: Pool,
    submission: BTreeMap<u16, SubmissionQueue>,
    completion: BTreeSet<u16>,
    pending: BTreeMap<(u16, u16), Pending>,
    /// Pairs of queue and command that an Abort has named in this life.
    aborts: Vec<(u32, u32)>,
    /// Host memory has failed in this life, so that commands may have ended in errors, and completions may be lost with CSTS.CFS.
    is_stressed: bool,
    /// Most entries of an I/O queue: CAP.MQES + 1.
    entries_max: u32,
    /// The host holds completions back.
    is_holding: bool,
    /// The host has done what has no defined answer; what is in flight is not known.
    is_wild: bool,
    next_cid: u16,
    tally: Tally,
    /// What was done last, with its clock, for the message of a failure.
    history: VecDeque<(u64, Action)>,
}

/// Actions that a failure tells of.
const HISTORY: usize = 12;

/// Does what `plan` says on `device`, which is as after power-on.
///
/// # Errors
/// What was found broken first.
pub fn run<'d>(plan: &'d Plan, device: &'d mut (dyn Device + 'd)) -> Result<Tally, Broken> {
    let mut run = Run::new(plan, device)?;
    let result = run.go_through();
    run.tally.clocks = run.host.clock();
    result.map(|()| run.tally).map_err(|broken| broken.after(&run.history))
}

impl<'d> Run<'d> {
    fn new(plan: &'d Plan, device: &'d mut (dyn Device + 'd)) -> Result<Self, Broken> {
        let mut random = Random::new(plan.seed ^ 0x5A4B_3C2D);
        device.host().faults.reseed(random.next_u64());
        let other = (0..plan.back_end.functions()).find(|function| *function != plan.function);
        let neighbour = other.map(|function| Neighbour::new(device, function, &mut random)).transpose()?;
        let mut host = Driver::new(device, Options { function: plan.function, ..Options::default() });
        let pool = Pool::new(&mut host);
        host.start()?;
        let identity = host.identity()?;
        let entries_max = regs::cap::MQES.get(host.read64(regs::CAP.offset)) as u32 + 1;
        let whole_bytes = if plan.expects_whole_blocks { identity.lba_bytes } else { BEAT_BYTES as u32 };
        let mut run = Self {
            random,
            plan,
            host,
            neighbour,
            shadow: Shadow::new(plan.seed, identity.lba_bytes, whole_bytes),
            identity,
            pool,
            submission: BTreeMap::new(),
            completion: BTreeSet::new(),
            pending: BTreeMap::new(),
            aborts: Vec::new(),
            is_stressed: false,
            entries_max,
            is_holding: false,
            is_wild: false,
            next_cid: 0,
            tally: Tally::default(),
            history: VecDeque::new(),
        };
        run.begin_life()?;
        Ok(run)
    }

    fn go_through(&mut self) -> Result<(), Broken> {
        while self.tally.commands < self.plan.commands {
            let action = self.plan.action(&mut self.random);
            let is_new = self.history.back().is_none_or(|(_, last)| *last != action);
            if is_new {
                self.history.push_back((self.host.clock(), action));
            }
            if self.history.len() > HISTORY {
                self.history.pop_front();
            }
            self.act(action)?;
            self.serve()?;
        }
        self.finish()
    }

    // --- Lives -----------------------------------------------------------------------------------------------------------------------

    /// Brings the controller up in a way of its own.
    fn begin_life(&mut self) -> Result<(), Broken> {
        let random = &mut self.random;
        let options = self.host.options();
        options.admin_submission_entries = *random.pick(&[16, 17, 64, 256]);
        options.admin_completion_entries = *random.pick(&[2, 4, 5, 32, 256]);
        options.io_queues = QUEUES_MAX;
        options.poll_clocks = *random.pick(&[3, 16, 16, 16, 64, 256]);
        options.waiting = if random.below(3) == 0 { Waiting::Interrupts } else { Waiting::Polling };
        options.check_retry = true;
        options.clocks_max = SETTLE_CLOCKS;
        options.release_completions = true;
        self.host.start()?;
        self.tally.lives += 1;
        if self.random.below(8) == 0 {
            let identity = self.host.identity()?;
            if identity != self.identity {
                return Err(Broken::Other("Identify changed over a reset".into()));
            }
        }
        self.pool.make_lists(self.host.host(), &mut self.random);
        let wanted = self.random.between(1, u64::from(QUEUES_MAX)) as u16;
        let granted = self.host.set_number_of_queues(wanted)?.min(wanted);
        for queue in 1..=granted {
            let (entries, vector) = (self.queue_entries(), self.vector(queue));
            self.host.create_completion_queue(queue, entries, vector)?;
            self.completion.insert(queue);
        }
        for queue in 1..=granted {
            let (entries, completion) = (self.queue_entries(), self.completion_queue());
            self.host.create_submission_queue(queue, entries, completion)?;
            self.submission.insert(queue, SubmissionQueue { completion, is_leaving: false });
        }
        let timing = host_timing(&mut self.random);
        self.host.device().set_host_timing(timing);
        Ok(())
    }

    fn queue_entries(&mut self) -> u16 {
        let most = self.entries_max.min(1 << self.random.between(1, 7));
        self.random.between(2, u64::from(most)) as u16
    }

    fn vector(&mut self, queue: u16) -> Option<u16> {
        // A queue without a vector, or with that of another queue, is seldom.
        match self.random.below(8) {
            0 => None,
            1 => Some(1),
            _ => Some(queue),
        }
    }

    /// One of the completion queues that are there.
    fn completion_queue(&mut self) -> u16 {
        let queues: Vec<u16> = self.completion.iter().copied().collect();
        *self.random.pick(&queues)
    }

    /// The controller is disabled: all that it had is gone.
    fn end_life(&mut self) -> Result<(), Broken> {
        self.host.check_canaries()?;
        self.host.now_disabled();
        while self.host.next_completion().is_some() {}
        let keys: Vec<_> = self.pending.keys().copied().collect();
        for key in keys {
            self.drop_pending(key);
        }
        self.submission.clear();
        self.completion.clear();
        self.aborts.clear();
        self.is_stressed = false;
        self.is_holding = false;
        self.is_wild = false;
        self.host.host().faults.clear();
        // What was asked for later comes before the next life. The slowest answer of the old life is on its way for some thousand clocks.
        let clocks = if self.random.below(4) == 0 { 4_000 } else { LATER_CLOCKS_MAX };
        self.host.run_for(clocks)?;
        let timing = calm(&mut self.random);
        self.host.device().set_host_timing(timing);
        Ok(())
    }

    /// A command ends without a completion.
    fn drop_pending(&mut self, key: (u16, u16)) {
        let Some(pending) = self.pending.remove(&key) else { return };
        self.tally.dropped += 1;
        let end = if self.is_stressed || self.has_media_errors() { End::Unknown } else { End::Interrupted };
        let oldest = self.oldest_read();
        match pending.kind {
            Kind::Read { buffer, .. } => buffer.free(self.host.host()),
            Kind::Write { lbas, version, buffer } => {
                self.shadow.end(lbas, version, end, oldest);
                buffer.free(self.host.host());
            }
            Kind::Copy { lbas, version, buffer } => {
                self.shadow.end(lbas, version, End::Unknown, oldest);
                buffer.free(self.host.host());
            }
            Kind::Garbage { writes: Some((lbas, version)) } => self.shadow.end(lbas, version, End::Unknown, oldest),
            Kind::Garbage { writes: None } | Kind::Flush | Kind::Admin | Kind::Held => {}
        }
    }

    fn has_media_errors(&self) -> bool {
        self.plan.media_errors != Chance::NEVER
    }

    fn oldest_read(&self) -> Option<Moment> {
        let begun = self.pending.values().filter_map(|pending| match pending.kind {
            Kind::Read { begun, .. } => Some(begun),
            _ => None,
        });
        begun.min()
    }

    /// Waits for CSTS.RDY = 0, and starts anew.
    fn restart(&mut self) -> Result<(), Broken> {
        self.host.options().clocks_max = self.limit();
        self.host.wait_until("CSTS.RDY = 0", |host| csts::RDY.get32(host.csts()) == 0)?;
        // What was written before RDY fell has been seen; from here on everything is a violation.
        self.host.step(0)?;
        self.end_life()?;
        self.begin_life()
    }

    fn disable_and_restart(&mut self) -> Result<(), Broken> {
        self.host.write32(regs::CC.offset, cc_value(0));
        self.restart()
    }

    fn finish(&mut self) -> Result<(), Broken> {
        self.settle()?;
        // Nothing may fail in the way of the last look at every block.
        self.disable_and_restart()?;
        let timing = calm(&mut self.random);
        self.host.device().set_host_timing(timing);
        if self.submission.keys().next().is_none() {
            return Err(Broken::Other("a life without an I/O queue".into()));
        }
        let most = 64 * 1024 / u64::from(self.identity.lba_bytes);
        let mut lba = 0;
        while let Some(lbas) = self.shadow.next_known(lba, most) {
            let queue = *self.submission.keys().next().unwrap_or(&1);
            lba = lbas.end;
            self.submit_read(queue, lbas)?;
            self.settle()?;
        }
        self.host.check_canaries()?;
        Ok(())
    }

    // --- Actions ---------------------------------------------------------------------------------------------------------------------

    fn act(&mut self, action: Action) -> Result<(), Broken> {
        match action {
            Action::Traffic => self.traffic(),
            Action::IoGarbage => self.io_garbage(),
            Action::AdminGarbage => self.admin_garbage(),
            Action::Admin => self.admin(),
            Action::Time => self.time(),
            Action::HoldBack => self.hold_back(),
            Action::WildDoorbell => self.wild_doorbell(),
            Action::WildRead => self.wild_read(),
            Action::Timing => {
                let timing = host_timing(&mut self.random);
                self.host.device().set_host_timing(timing);
                Ok(())
            }
            Action::MemoryFaults => self.memory_faults(),
            Action::CreateQueue => self.create_queue(),
            Action::DeleteQueue => self.delete_queue(),
            Action::Mask => self.mask(),
            Action::Settle => self.settle(),
            Action::Disable => self.disable(),
            Action::Bounce => self.bounce(),
            Action::FunctionReset => self.function_reset(),
            Action::SubsystemReset => self.subsystem_reset(),
            Action::Neighbour => {
                if let Some(neighbour) = &mut self.neighbour {
                    neighbour.go_on(self.host.device(), &mut self.random);
                }
                Ok(())
            }
            Action::NeighbourReset => {
                if let Some(neighbour) = self.neighbour.take() {
                    self.host.device().function_level_reset(neighbour.function());
                }
                Ok(())
            }
            Action::BusMasterOff => self.bus_master_off(),
            Action::Shutdown => self.shutdown(),
            Action::Storm => self.storm(),
        }
    }

    fn time(&mut self) -> Result<(), Broken> {
        let bits = self.random.below(11);
        let clocks = self.random.below(1 << bits);
        Ok(self.host.run_for(clocks)?)
    }

    /// A life that has ended by itself begins anew.
    fn serve(&mut self) -> Result<(), Broken> {
        self.host.poll()?;
        self.take_completions()?;
        // To look costs clocks.
        if self.is_stressed && self.random.below(8) == 0 && csts::CFS.get32(self.host.csts()) == 1 {
            self.tally.fatal += 1;
            return self.disable_and_restart();
        }
        Ok(())
    }

    /// Nothing fails any more, and everything ends: this is where a hang is found.
    fn settle(&mut self) -> Result<(), Broken> {
        let was_stressed = self.is_stressed;
        self.host.host().faults.clear();
        let timing = calm(&mut self.random);
        self.host.device().set_host_timing(timing);
        self.unmask()?;
        self.stop_holding();
        let clocks = self.limit();
        let start = self.host.clock();
        while self.is_anything_due() {
            self.ring_all();
            if was_stressed && csts::CFS.get32(self.host.csts()) == 1 {
                self.tally.fatal += 1;
                return self.disable_and_restart();
            }
            if self.host.clock() - start > clocks {
                let what = self.what_hangs();
                let csts = self.host.csts();
                let device = self.host.device().name().to_owned();
                return Err(sim_host::DriverError::Timeout { device, what, clocks, csts }.into());
            }
            let step = u64::from(self.host.options().poll_clocks) * 4;
            self.host.run_for(step)?;
            self.take_completions()?;
        }
        if !was_stressed && csts::CFS.get32(self.host.csts()) == 1 {
            return Err(Broken::Other("CSTS.CFS is 1, and no memory failed".into()));
        }
        if was_stressed && csts::CFS.get32(self.host.csts()) == 1 {
            self.tally.fatal += 1;
            return self.disable_and_restart();
        }
        self.host.check_canaries()?;
        Ok(())
    }

    /// Announces what was put into queues. A queue whose deletion is under way may be another one by now: its doorbell is left alone.
    fn ring_all(&mut self) {
        self.host.ring(0);
        for (queue, _) in self.submission.iter().filter(|(_, queue)| !queue.is_leaving) {
            self.host.ring(*queue);
        }
    }

    /// Clocks within which everything that is in flight has ended, or a reset or a shutdown is done: both wait for the data that is on its way.
    fn limit(&self) -> u64 {
        let largest = u64::from(limits::TRANSFER_BYTES_MAX);
        let moved = |pending: &Pending| match &pending.kind {
            Kind::Read { buffer, .. } | Kind::Write { buffer, .. } => buffer.bytes() as u64,
            Kind::Garbage { .. } => largest,
            // Each piece waits for everything else, twice, and firmware asks for a few of them at a time.
            Kind::Copy { lbas, .. } => COPY_COST * (lbas.end - lbas.start) * u64::from(self.identity.lba_bytes),
            Kind::Admin | Kind::Flush | Kind::Held => 0,
        };
        let cost = |bytes: u64| SETTLE_CLOCKS_PER_COMMAND + bytes / SETTLE_BYTES_PER_CLOCK;
        // Firmware writes the data of its answers dword by dword.
        let admin = self.pending.values().filter(|pending| matches!(pending.kind, Kind::Admin)).count() as u64;
        let firmware = ANSWER_DWORDS_MAX * (SETTLE_CLOCKS_PER_DWORD + u64::from(self.plan.firmware_clocks_max));
        let known: u64 = self.pending.values().map(|pending| cost(moved(pending))).sum();
        // Entries that were announced again are in flight, too.
        let unknown = if self.is_wild { self.plan.back_end.commands_in_flight_max() * cost(largest) } else { 0 };
        SETTLE_CLOCKS + known + unknown + admin * firmware
    }

    /// What has not ended, and what the host knows of the queues.
    fn what_hangs(&self) -> String {
        let due = self.pending.iter().filter(|(_, pending)| !matches!(pending.kind, Kind::Held));
        let due: Vec<String> = due.map(|((queue, _), p)| format!("opcode {:#x} in {queue}", p.entry.opcode)).collect();
        let due = due.join(", ");
        let first = self.first_due().map_or(String::new(), |((queue, cid), pending)| {
            format!("{cid:#06x} of queue {queue}, {:x?}", pending.entry)
        });
        let queues = std::iter::once(0).chain(self.completion.iter().copied());
        let queues = queues.map(|queue| format!("{queue}: {}", self.host.describe_queue(queue)));
        format!("the end of {due} (first {first}; {})", queues.collect::<Vec<_>>().join("; "))
    }

    fn first_due(&self) -> Option<(&(u16, u16), &Pending)> {
        self.pending.iter().find(|(_, pending)| !matches!(pending.kind, Kind::Held))
    }

    fn is_anything_due(&self) -> bool {
        self.first_due().is_some()
    }

    fn hold_back(&mut self) -> Result<(), Broken> {
        if self.is_holding {
            self.stop_holding();
        } else {
            self.is_holding = true;
            self.host.options().release_completions = false;
        }
        Ok(())
    }

    fn stop_holding(&mut self) {
        self.is_holding = false;
        self.host.options().release_completions = true;
        for queue in std::iter::once(0).chain(self.completion.iter().copied()) {
            self.host.release(queue);
        }
    }

    /// NVMe Base, "Asynchronous Event Information - Error Status": values that mean nothing are ignored, and may be reported.
    fn wild_doorbell(&mut self) -> Result<(), Broken> {
        let queue = self.random.below(260).min(u64::from(limits::IO_QUEUES_MAX)) as u16;
        let entries_max = u64::from(limits::QUEUE_ENTRIES_MAX);
        let beyond = self.random.between(entries_max, 0xFFFF) as u32;
        let is_tail = self.random.below(2) == 0;
        let doorbell = if is_tail { regs::sq_tail_doorbell(queue) } else { regs::cq_head_doorbell(queue) };
        let exists = if is_tail { self.submission.contains_key(&queue) } else { self.completion.contains(&queue) };
        // A queue that may come into being in this moment is one that is there.
        let may_exist = queue == 0 || exists || self.pending.values().any(|p| matches!(p.kind, Kind::Admin));
        let value = if may_exist { beyond } else { self.random.next_u64() as u32 };
        let clocks = self.random.below(LATER_CLOCKS_MAX) as u32;
        let event = Event::Write { access: self.dword(doorbell), value: u64::from(value) };
        self.host.device().after(clocks, event);
        Ok(())
    }

    fn wild_read(&mut self) -> Result<(), Broken> {
        for _ in 0..self.random.between(1, 8) {
            let bytes = *self.random.pick(&[1, 2, 4, 8]);
            let offset = self.random.below(u64::from(regs::BAR0_BYTES) + 16);
            self.host.device().read(Access { function: self.plan.function, offset, bytes });
        }
        Ok(())
    }

    fn memory_faults(&mut self) -> Result<(), Broken> {
        let chances = [Chance::NEVER, Chance::of(1, 5000), Chance::of(1, 500), Chance::of(1, 20)];
        let [read, write] = [*self.random.pick(&chances), *self.random.pick(&chances)];
        let faults = &mut self.host.host().faults;
        faults.read_chance = read;
        faults.write_chance = write;
        if read != Chance::NEVER || write != Chance::NEVER {
            self.is_stressed = true;
            // Of two reasons for an error, either may be told.
            self.host.options().check_retry = false;
        }
        Ok(())
    }

    fn mask(&mut self) -> Result<(), Broken> {
        let vector = self.random.below(u64::from(QUEUES_MAX)) as u16;
        match self.random.below(4) {
            0 => {
                let sideband = Sideband { msix_function_mask: true, ..Sideband::RUNNING };
                let clocks = self.random.below(LATER_CLOCKS_MAX) as u32;
                self.host.device().after(clocks, Event::Sideband { function: self.plan.function, sideband });
            }
            1 => self.unmask()?,
            _ => self.host.mask_vector(vector, true),
        }
        Ok(())
    }

    fn unmask(&mut self) -> Result<(), Broken> {
        // What was asked for later comes first.
        self.host.run_for(LATER_CLOCKS_MAX)?;
        self.host.device().set_sideband(self.plan.function, Sideband::RUNNING);
        for vector in 0..=QUEUES_MAX {
            self.host.mask_vector(vector, false);
        }
        Ok(())
    }

    // --- Commands --------------------------------------------------------------------------------------------------------------------

    pub(crate) fn all_submission_queues(&self) -> Vec<u16> {
        std::iter::once(0).chain(self.submission.keys().copied()).collect()
    }

    /// An I/O queue that takes commands.
    fn io_queue(&mut self) -> Option<u16> {
        let stays = self.submission.iter().filter(|(_, queue)| !queue.is_leaving).map(|(queue, _)| *queue);
        let queues: Vec<u16> = stays.collect();
        if queues.is_empty() {
            return None;
        }
        let queue = *self.random.pick(&queues);
        (!self.host.is_full(queue)).then_some(queue)
    }

    fn traffic(&mut self) -> Result<(), Broken> {
        for _ in 0..self.random.between(1, 12) {
            let Some(queue) = self.io_queue() else { return Ok(()) };
            let lbas = self.blocks();
            match self.random.below(36) {
                0..=3 => self.submit_flush(queue)?,
                4 if self.identity.controller.oncs.get() & oncs::COPY != 0 => self.submit_copy(queue, lbas)?,
                4..=19 => self.submit_write(queue, lbas)?,
                _ => self.submit_read(queue, lbas)?,
            }
            self.ring_perhaps(queue);
        }
        Ok(())
    }

    fn ring_perhaps(&mut self, queue: u16) {
        if self.random.below(3) != 0 {
            self.host.ring(queue);
        }
    }

    /// Blocks of a command: few, most of the time, where others are used, too.
    fn blocks(&mut self) -> Range<u64> {
        let lba_bytes = u64::from(self.identity.lba_bytes);
        let most = match self.random.below(400) {
            0 => self.identity.transfer_bytes_max().min(u64::from(limits::TRANSFER_BYTES_MAX)),
            1..=19 => 64 * 1024,
            20..=119 => 4 * PAGE_BYTES,
            _ => PAGE_BYTES,
        };
        let blocks = self.random.between(1, (most / lba_bytes).max(1));
        let end = self.identity.blocks;
        let zone = *self.random.pick(&[0, end / 2, end - HOT_BLOCKS]);
        let lba = (zone + self.random.below(HOT_BLOCKS)).min(end - blocks);
        lba..lba + blocks
    }

    fn buffer(&mut self, bytes: usize) -> Buffer {
        let offset = match self.random.below(4) {
            0 => self.random.below(8) * 512,
            1 => *self.random.pick(&[4, 0x7FC, 0xFFC]),
            _ => 0,
        };
        let host = self.host.host();
        if self.random.below(3) == 0 {
            Buffer::scattered(host, offset, bytes)
        } else {
            Buffer::contiguous(host, offset, bytes)
        }
    }

    fn placement(&mut self) -> ListPlacement {
        let entries = self.random.between(1, 4);
        let near_the_end = ListPlacement { offset: PAGE_BYTES - 8 * entries };
        *self.random.pick(&[ListPlacement::PAGE_START, near_the_end])
    }

    fn submit_read(&mut self, queue: u16, lbas: Range<u64>) -> Result<(), Broken> {
        let (entry, buffer) = self.transfer(&lbas, false);
        let writable = buffer.segments().to_vec();
        let begun = self.shadow.now();
        self.submit(queue, entry, Kind::Read { lbas, begun, buffer, is_damaged: false }, &writable)
    }

    fn submit_write(&mut self, queue: u16, lbas: Range<u64>) -> Result<(), Broken> {
        let (entry, buffer) = self.transfer(&lbas, true);
        let version = self.shadow.begin(lbas.clone());
        let data = self.shadow.data(lbas.clone(), version);
        buffer.store(self.host.host(), &data);
        self.submit(queue, entry, Kind::Write { lbas, version, buffer }, &[])
    }

    /// A Copy from blocks that others are reading and writing.
    fn submit_copy(&mut self, queue: u16, lbas: Range<u64>) -> Result<(), Broken> {
        let mut left = (lbas.end - lbas.start).min(COPIED_BLOCKS_MAX);
        let lbas = lbas.start..lbas.start + left;
        let mut ranges = vec![];
        while left > 0 {
            let blocks = self.random.between(1, left);
            let mut range = SourceRange::new_zeroed();
            range.slba = self.random.below(self.identity.blocks - blocks).into();
            range.nlb = ((blocks - 1) as u16).into();
            ranges.extend(range.as_bytes());
            left -= blocks;
        }
        let mut buffer = self.buffer(ranges.len());
        buffer.store(self.host.host(), &ranges);
        let count = (ranges.len() / size_of::<SourceRange>()) as u32;
        let mut entry = SqEntry { opcode: io::COPY, nsid: self.identity.nsid.into(), ..SqEntry::default() };
        entry.cdw10 = cdw([lbas.start as u32, (lbas.start >> 32) as u32, count - 1, 0, 0, 0]);
        let placement = self.placement();
        entry.prp = wire_prps(buffer.prps(self.host.host(), placement));
        let version = self.shadow.begin_unknown(lbas.clone());
        self.submit(queue, entry, Kind::Copy { lbas, version, buffer }, &[])
    }

    fn transfer(&mut self, lbas: &Range<u64>, write: bool) -> (SqEntry, Buffer) {
        let blocks = (lbas.end - lbas.start) as u32;
        let mut buffer = self.buffer(blocks as usize * self.identity.lba_bytes as usize);
        let placement = self.placement();
        let transfer = IoTransfer { write, nsid: self.identity.nsid, lba: lbas.start, blocks };
        let entry = if self.random.below(2) == 0 {
            let per_segment = self.random.between(2, 10) as usize;
            let first = buffer.sgl(self.host.host(), per_segment, placement.offset);
            with_sgl(transfer.entry([0, 0]), first)
        } else {
            transfer.entry(buffer.prps(self.host.host(), placement))
        };
        (entry, buffer)
    }

    fn submit_flush(&mut self, queue: u16) -> Result<(), Broken> {
        let entry = SqEntry { opcode: io::FLUSH, nsid: self.identity.nsid.into(), ..SqEntry::default() };
        self.submit(queue, entry, Kind::Flush, &[])
    }

    /// Puts a command into a queue that has room, without announcing it.
    fn submit(&mut self, queue: u16, mut entry: SqEntry, kind: Kind, writable: &[Range<u64>]) -> Result<(), Broken> {
        // Identifiers are used again late, so that a late completion is found out, and they lie anywhere.
        loop {
            self.next_cid = self.next_cid.wrapping_mul(5).wrapping_add(0x3619);
            if self.next_cid != u16::MAX && !self.pending.contains_key(&(queue, self.next_cid)) {
                break;
            }
        }
        entry.cid = self.next_cid.into();
        self.host.push_raw(queue, zerocopy::transmute!(entry), writable)?;
        self.pending.insert((queue, self.next_cid), Pending { entry, kind });
        self.tally.commands += 1;
        Ok(())
    }

    fn io_garbage(&mut self) -> Result<(), Broken> {
        for _ in 0..self.random.between(1, 8) {
            let Some(queue) = self.io_queue() else { return Ok(()) };
            let mut entry: SqEntry = zerocopy::transmute!(random_entry(&mut self.random, &self.pool, false));
            // Frames are another matter: who receives waits for a frame that may never come. So are the ranges of Dataset Management and Copy: they
            // lie in memory that changes, and nobody knows which blocks they name.
            let is_other = matches!(entry.opcode, io::SEND_FRAME | io::RECEIVE_FRAME);
            if is_other || matches!(entry.opcode, io::DATASET_MANAGEMENT | io::COPY) {
                entry.opcode = io::FLUSH;
            }
            // Every command that changes blocks is to be named here.
            let writes = match self.decode(&entry) {
                Ok(
                    IoCommand::Write(Transfer { range, .. })
                    | IoCommand::WriteZeroes(range)
                    | IoCommand::Deallocate(range),
                ) => Some((range.range(), self.shadow.begin_unknown(range.range()))),
                Ok(IoCommand::WriteUncorrectable(range)) => {
                    Some((range.range(), self.shadow.begin_mark(range.range())))
                }
                Ok(IoCommand::Read(_) | IoCommand::Compare(_) | IoCommand::Verify(_) | IoCommand::Flush) | Err(_) => {
                    None
                }
            };
            self.submit(queue, entry, Kind::Garbage { writes }, &[])?;
            self.ring_perhaps(queue);
        }
        Ok(())
    }

    fn decode(&self, entry: &SqEntry) -> Result<IoCommand, Status> {
        let namespace =
            NamespaceInfo { nsid: self.identity.nsid, blocks: self.identity.blocks, is_write_protected: false };
        let limits = Limits { lba_bytes: self.identity.lba_bytes, ..Limits::DEFAULT };
        decode_io(entry, &namespace, &limits)
    }

    fn admin_garbage(&mut self) -> Result<(), Broken> {
        for _ in 0..self.random.between(1, 4) {
            let mut entry: SqEntry = zerocopy::transmute!(random_entry(&mut self.random, &self.pool, true));
            if reshapes(&entry) {
                entry.opcode = admin::IDENTIFY;
            }
            if storm::creates_a_queue(&entry) {
                self.give_queue_memory(&mut entry);
            }
            self.submit_admin(entry)?;
        }
        Ok(())
    }

    /// A queue that is created must lie in memory that nobody else has.
    fn give_queue_memory(&mut self, entry: &mut SqEntry) {
        let entries = (entry.cdw(10) >> 16) + 1;
        let is_submission = entry.opcode == admin::CREATE_IO_SQ;
        let log2_bytes = if is_submission { SQ_ENTRY_LOG2_BYTES } else { CQ_ENTRY_LOG2_BYTES };
        let base = self.host.alloc_queue_memory(entries.min(self.entries_max), log2_bytes);
        let misplaced = if self.random.below(4) == 0 { self.random.below(PAGE_BYTES) } else { 0 };
        let prp2 = entry.prp[1].get();
        entry.prp = wire_prps([base + misplaced, prp2]);
    }

    /// Commands as drivers send them.
    fn admin(&mut self) -> Result<(), Broken> {
        let pointer = [self.pool.pointer(&mut self.random), self.pool.pointer(&mut self.random)];
        let command =
            |opcode, dwords| SqEntry { opcode, prp: wire_prps(pointer), cdw10: cdw(dwords), ..SqEntry::default() };
        let entry = match self.random.below(5) {
            0 => command(admin::ASYNC_EVENT_REQUEST, [0; 6]),
            1 => command(admin::IDENTIFY, [1, 0, 0, 0, 0, 0]),
            2 => command(admin::GET_FEATURES, [u32::from(fid::ARBITRATION), 0, 0, 0, 0, 0]),
            3 => command(admin::GET_LOG_PAGE, [self.random.between(1, 3) as u32 | 127 << 16, 0, 0, 0, 0, 0]),
            _ => {
                // A command that is there, if there is one.
                let keys: Vec<_> = self.pending.keys().copied().collect();
                let (queue, cid) = if keys.is_empty() { (1, 0) } else { *self.random.pick(&keys) };
                command(admin::ABORT, [u32::from(cid) << 16 | u32::from(queue), 0, 0, 0, 0, 0])
            }
        };
        self.submit_admin(entry)
    }

    /// Puts an admin command into its queue, if there is room, and announces it.
    fn submit_admin(&mut self, entry: SqEntry) -> Result<(), Broken> {
        let held = self.pending.values().filter(|pending| matches!(pending.kind, Kind::Held)).count();
        let may_be_held = HELD.contains(&entry.opcode);
        if self.host.is_full(0) || may_be_held && held >= EVENT_REQUESTS_MAX {
            return Ok(());
        }
        match entry.opcode {
            admin::DELETE_IO_SQ => {
                if let Some(queue) = self.submission.get_mut(&(entry.cdw(10) as u16)) {
                    queue.is_leaving = true;
                }
            }
            admin::ABORT => self.aborts.push((entry.cdw(10) & 0xFFFF, entry.cdw(10) >> 16)),
            _ => {}
        }
        self.submit(0, entry, if may_be_held { Kind::Held } else { Kind::Admin }, &[])?;
        self.ring_perhaps(0);
        Ok(())
    }

    fn create_queue(&mut self) -> Result<(), Broken> {
        let queue = self.random.between(1, u64::from(QUEUES_MAX)) as u16;
        let entries = self.queue_entries();
        let is_submission = self.random.below(2) == 0 && !self.completion.is_empty();
        let mut entry = if is_submission {
            create_sq_entry(queue, entries, 0, self.completion_queue())
        } else {
            create_cq_entry(queue, entries, 0, self.vector(queue))
        };
        self.give_queue_memory(&mut entry);
        self.submit_admin(entry)
    }

    fn delete_queue(&mut self) -> Result<(), Broken> {
        let is_submission = self.random.below(2) == 0;
        let queues: Vec<u16> = if is_submission {
            self.submission.keys().copied().collect()
        } else {
            self.completion.iter().copied().collect()
        };
        if queues.len() < 2 {
            return Ok(());
        }
        let opcode = if is_submission { admin::DELETE_IO_SQ } else { admin::DELETE_IO_CQ };
        let entry = delete_entry(opcode, *self.random.pick(&queues));
        self.submit_admin(entry)
    }

    // --- Completions -----------------------------------------------------------------------------------------------------------------

    fn take_completions(&mut self) -> Result<(), Broken> {
        for failed in self.host.take_failed_writes() {
            for pending in self.pending.values_mut() {
                if let Kind::Read { buffer, is_damaged, .. } = &mut pending.kind {
                    *is_damaged |= buffer.segments().iter().any(|s| s.start < failed.end && failed.start < s.end);
                }
            }
        }
        while let Some(completion) = self.host.next_completion() {
            self.complete(&completion)?;
        }
        Ok(())
    }

    fn complete(&mut self, completion: &Completion) -> Result<(), Broken> {
        let key = (completion.queue, completion.cid);
        let Some(pending) = self.pending.remove(&key) else {
            return Err(Broken::Other(format!("{completion:?} belongs to no command")));
        };
        self.tally.completed += 1;
        let status = completion.status.code();
        let succeeded = status.is_success();
        let wrong = |why: String| {
            let (queue, cid, status) = (completion.queue, completion.cid, completion.status);
            Broken::Status { queue, cid, status, why }
        };
        if status.info().is_none() {
            return Err(wrong("no command ends so".into()));
        }
        let is_plain = matches!(pending.kind, Kind::Read { .. } | Kind::Write { .. } | Kind::Copy { .. } | Kind::Flush);
        let is_unreadable = status == Status::UNRECOVERED_READ_ERROR
            && match &pending.kind {
                Kind::Read { lbas, begun, .. } => self.shadow.may_be_unreadable(lbas.clone(), *begun),
                // From anywhere.
                Kind::Copy { .. } => self.shadow.may_be_unreadable(0..u64::MAX, 0),
                _ => false,
            };
        if is_plain && !succeeded && !is_unreadable && !self.may_fail_with(key, status) {
            return Err(wrong(format!("nothing failed, and the command is right: {:x?}", pending.entry)));
        }
        let oldest = self.oldest_read();
        match pending.kind {
            Kind::Read { lbas, begun, buffer, is_damaged } => {
                if succeeded && !is_damaged {
                    let data = buffer.load(self.host.host());
                    if let Some(lba) = self.shadow.wrong_block(lbas.clone(), begun, &data) {
                        let at = (lba - lbas.start) as usize * self.identity.lba_bytes as usize;
                        let block = &data[at..at + self.identity.lba_bytes as usize];
                        let possible = self.shadow.describe(lba);
                        let found = self.shadow.recognize(lba, block);
                        return Err(Broken::Data { queue: key.0, cid: key.1, lba, possible, found });
                    }
                    self.tally.blocks_compared += lbas.end - lbas.start;
                }
                buffer.free(self.host.host());
            }
            Kind::Write { lbas, version, buffer } => {
                self.shadow.end(lbas, version, if succeeded { End::Done } else { End::Unknown }, oldest);
                buffer.free(self.host.host());
            }
            Kind::Copy { lbas, version, buffer } => {
                self.shadow.end(lbas, version, End::Unknown, oldest);
                buffer.free(self.host.host());
            }
            Kind::Flush | Kind::Held => {}
            Kind::Garbage { writes } => {
                let is_known = io::ALL.iter().any(|(opcode, _)| *opcode == pending.entry.opcode);
                if succeeded && is_known && self.decode(&pending.entry).is_err() {
                    return Err(wrong(format!("the command is not right: {:x?}", pending.entry)));
                }
                match writes {
                    Some((lbas, version)) => self.shadow.end(lbas, version, End::Unknown, oldest),
                    None if succeeded && !is_known => self.shadow.forget_everything(),
                    None => {}
                }
            }
            Kind::Admin if succeeded => self.admin_succeeded(&pending.entry)?,
            Kind::Admin => self.admin_failed(&pending.entry),
        }
        Ok(())
    }

    /// Whether a command that is right may end with this error.
    fn may_fail_with(&self, (queue, cid): (u16, u16), status: Status) -> bool {
        match status {
            Status::DATA_TRANSFER_ERROR => self.is_stressed,
            Status::INTERNAL_ERROR => self.is_stressed || self.has_media_errors(),
            Status::UNRECOVERED_READ_ERROR | Status::WRITE_FAULT => self.has_media_errors(),
            Status::ABORT_REQUESTED => self.aborts.contains(&(u32::from(queue), u32::from(cid))),
            Status::ABORTED_SQ_DELETION => self.submission.get(&queue).is_some_and(|queue| queue.is_leaving),
            _ => false,
        }
    }

    fn admin_succeeded(&mut self, entry: &SqEntry) -> Result<(), Broken> {
        let (queue, high) = (entry.cdw(10) as u16, entry.cdw(11) >> 16);
        let entries = (entry.cdw(10) >> 16) + 1;
        let base = entry.prp[0].get();
        let twice = |what| Broken::Other(format!("{what} queue {queue} was created, and it was there: {entry:x?}"));
        match entry.opcode {
            admin::CREATE_IO_CQ => {
                let vector = (entry.cdw(11) & 2 != 0).then_some(high as u16);
                if !self.completion.insert(queue) {
                    return Err(twice("completion"));
                }
                self.host.know_completion_queue(queue, base, entries, vector);
            }
            admin::CREATE_IO_SQ => {
                let completion = high as u16;
                let made = SubmissionQueue { completion, is_leaving: false };
                if self.submission.insert(queue, made).is_some() {
                    return Err(twice("submission"));
                }
                self.host.know_submission_queue(queue, base, entries, completion);
            }
            admin::DELETE_IO_SQ => {
                self.host.forget_submission_queue(queue)?;
                let keys: Vec<_> = self.pending.keys().copied().filter(|key| key.0 == queue).collect();
                for key in keys {
                    match self.host.take_completion(key.0, key.1) {
                        Some(completion) => self.complete(&completion)?,
                        None => self.drop_pending(key),
                    }
                }
                self.submission.remove(&queue);
            }
            admin::DELETE_IO_CQ => {
                if let Some((user, _)) = self.submission.iter().find(|(_, user)| user.completion == queue) {
                    let text = format!("completion queue {queue} was deleted while submission queue {user} uses it");
                    return Err(Broken::Other(text));
                }
                self.host.forget_completion_queue(queue);
                self.completion.remove(&queue);
            }
            opcode if HARMLESS.contains(&opcode) => {}
            _ => self.shadow.forget_everything(),
        }
        Ok(())
    }

    fn admin_failed(&mut self, entry: &SqEntry) {
        if entry.opcode == admin::DELETE_IO_SQ {
            let queue = entry.cdw(10) as u16;
            let is_asked_again = |p: &Pending| p.entry.opcode == admin::DELETE_IO_SQ && p.entry.cdw(10) as u16 == queue;
            let again = self.pending.iter().any(|(key, pending)| key.0 == 0 && is_asked_again(pending));
            if let Some(queue) = self.submission.get_mut(&queue) {
                queue.is_leaving = again;
            }
        }
    }

    // --- Ends of lives ---------------------------------------------------------------------------------------------------------------

    /// A clock from now on in which something happens: soon, most of the time.
    fn moment_soon(&mut self) -> u32 {
        let bits = self.random.below(11);
        self.random.below(1 << bits) as u32
    }

    fn disable(&mut self) -> Result<(), Broken> {
        let clocks = self.moment_soon();
        let access = self.dword(regs::CC.offset);
        self.host.device().after(clocks, Event::Write { access, value: u64::from(cc_value(0)) });
        self.host.run_for(u64::from(clocks) + 1)?;
        self.take_completions()?;
        self.restart()
    }

    fn run_wild(&mut self) {
        self.host.judge_writes_only();
        self.is_wild = true;
    }

    fn bounce(&mut self) -> Result<(), Broken> {
        self.run_wild();
        let access = self.dword(regs::CC.offset);
        let mut clocks = self.moment_soon();
        for enable in [0, 1, 0, 1].into_iter().take(2 * self.random.between(1, 2) as usize) {
            self.host.device().after(clocks, Event::Write { access, value: u64::from(cc_value(enable)) });
            let bits = self.random.below(9);
            clocks += self.random.below(1 << bits) as u32;
        }
        self.host.run_for(u64::from(clocks) + 1)?;
        let more = self.moment_soon();
        self.host.run_for(u64::from(more))?;
        self.disable_and_restart()
    }

    /// A register of the function.
    fn dword(&self, offset: u32) -> Access {
        Access { function: self.plan.function, ..Access::dword(offset.into()) }
    }

    fn function_reset(&mut self) -> Result<(), Broken> {
        let clocks = self.moment_soon();
        self.host.device().after(clocks, Event::FunctionLevelReset { function: self.plan.function });
        self.host.run_for(u64::from(clocks) + 1)?;
        self.take_completions()?;
        self.restart()
    }

    /// NVMe Base, "NVM Subsystem Reset": all functions end, and tell of it.
    fn subsystem_reset(&mut self) -> Result<(), Broken> {
        let function = self.random.below(self.plan.back_end.functions().into()) as u8;
        let access = Access { function, ..Access::dword(regs::NSSR.offset.into()) };
        let clocks = self.moment_soon();
        self.host.device().after(clocks, Event::Write { access, value: regs::SUBSYSTEM_RESET.into() });
        self.host.run_for(u64::from(clocks) + 1)?;
        self.forget_neighbour();
        self.take_completions()?;
        self.restart()?;
        // No image waits to be activated, which would clear the bit.
        if csts::NSSRO.get32(self.host.csts()) == 0 {
            return Err(Broken::Other("CSTS.NSSRO is 0 after a reset of the NVM subsystem".into()));
        }
        self.host.write32(regs::CSTS.offset, csts::NSSRO.mask() as u32);
        Ok(())
    }

    /// The other function has been reset.
    pub(crate) fn forget_neighbour(&mut self) {
        self.neighbour = None;
    }

    /// PCI Express Base, "Command Register", Bus Master Enable: without it no request leaves. What was under way is lost.
    fn bus_master_off(&mut self) -> Result<(), Broken> {
        // Masks that were asked for later would bring the bit back.
        self.host.run_for(LATER_CLOCKS_MAX)?;
        self.take_completions()?;
        self.run_wild();
        let clocks = self.moment_soon();
        let sideband = Sideband { bus_master_enable: false, ..Sideband::RUNNING };
        self.host.device().after(clocks, Event::Sideband { function: self.plan.function, sideband });
        self.host.run_for(u64::from(clocks) + 1)?;
        // A burst that had begun goes on to its end.
        let timing = calm(&mut self.random);
        self.host.device().set_host_timing(timing);
        self.is_stressed = true;
        let start = self.host.clock();
        let mut records = Vec::new();
        self.host.step(0)?;
        loop {
            self.host.device().step(QUIET_CLOCKS);
            self.host.host().take_log(&mut records);
            self.host.host().take_messages();
            let Some(record) = records.iter().rfind(|record| record.function == self.plan.function) else { break };
            if self.host.clock() - start > BUS_MASTER_CLOCKS_MAX {
                return Err(Broken::NotBusMaster { clock: record.clock, address: record.address });
            }
        }
        self.host.device().set_sideband(self.plan.function, Sideband::RUNNING);
        let more = self.moment_soon();
        self.host.run_for(u64::from(more))?;
        self.disable_and_restart()
    }

    fn shutdown(&mut self) -> Result<(), Broken> {
        self.unmask()?;
        self.stop_holding();
        let kind = self.random.between(1, 2) as u32;
        let value = regs::cc::SHN.set32(cc_value(1), kind);
        self.host.write32(regs::CC.offset, value);
        let is_stressed = self.is_stressed;
        self.host.options().clocks_max = self.limit();
        self.host.wait_until("CSTS.SHST = 10b", |host| {
            let status = host.csts();
            csts::SHST.get32(status) == regs::shst::COMPLETE || is_stressed && csts::CFS.get32(status) == 1
        })?;
        self.take_completions()?;
        self.disable_and_restart()
    }

    fn storm(&mut self) -> Result<(), Broken> {
        self.run_wild();
        self.is_stressed = true;
        self.tally.storm_accesses += storm::rage(self)?;
        // Entries that were announced again have written again.
        self.shadow.forget_everything();
        let timing = calm(&mut self.random);
        self.host.device().set_host_timing(timing);
        self.host.device().set_sideband(self.plan.function, Sideband::RUNNING);
        if self.random.below(2) == 0 {
            self.host.device().function_level_reset(self.plan.function);
            self.restart()
        } else {
            self.disable_and_restart()
        }
    }

    /// What a storm leaves of completions: nobody knows to which commands they belong.
    pub(crate) fn take_storm_completions(&mut self) {
        while self.host.next_completion().is_some() {}
    }

    /// An entry for a storm: any, but none that creates a queue in the pool.
    pub(crate) fn garbage(&mut self, is_admin: bool) -> SqEntry {
        let mut entry: SqEntry = zerocopy::transmute!(random_entry(&mut self.random, &self.pool, is_admin));
        if is_admin && (storm::creates_a_queue(&entry) || reshapes(&entry)) {
            entry.opcode = admin::IDENTIFY;
        }
        entry
    }
}

pub(crate) fn cc_value(enable: u32) -> u32 {
    Driver::<dyn Device>::cc_value(enable)
}
