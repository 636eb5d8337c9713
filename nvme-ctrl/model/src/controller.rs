use std::collections::VecDeque;

use nvme_spec::copy::Copy;
use nvme_spec::dataset::DatasetManagement;
use nvme_spec::entry::{queue_priority, CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::opcode::io;
use nvme_spec::regs::{self, shst};
use nvme_spec::{is_fast_path, CqEntry, FrameCommand, Limits, SqEntry, Status};
use zerocopy::IntoBytes;

use crate::admin::{Admin, Answer};
use crate::arbiter::{Arbiter, Candidate};
use crate::host::{HostError, HostPort};
use crate::interrupts::Msix;
use crate::io::Move;
use crate::queues::{CompletionQueue, SubmissionQueue};
use crate::random::Random;
use crate::registers::Registers;
use crate::subsystem::Subsystem;
use crate::Config;

const SQ_ENTRY_BYTES: u64 = 1 << SQ_ENTRY_LOG2_BYTES;
const CQ_ENTRY_BYTES: u64 = 1 << CQ_ENTRY_LOG2_BYTES;

/// Longest time from CC.EN to CSTS.RDY, and of a command before it is worked on, in clocks.
const DELAY_CLOCKS_MAX: u32 = 40;

/// The configuration-space bits of the function that the controller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sideband {
    /// Bus Master Enable.
    pub bus_master_enable: bool,
    /// MSI-X Enable.
    pub msix_enable: bool,
    /// MSI-X Function Mask.
    pub msix_function_mask: bool,
}

/// A dword on its way, with the mask of its bytes that are written.
#[derive(Clone, Copy)]
struct PostedWrite {
    offset: u32,
    value: u32,
    mask: u32,
}

/// Where the controller is between CC.EN and CSTS.RDY. The numbers are clocks to go.
#[derive(Clone, Copy)]
enum Life {
    Disabled,
    Starting(u32),
    Ready,
    Stopping(u32),
}

/// A command that was fetched and is being executed.
pub(crate) struct Running {
    pub(crate) queue: u16,
    pub(crate) entry: SqEntry,
    /// The Write that is fused with it.
    write: Option<SqEntry>,
    work: Work,
}

enum Work {
    /// It has not begun; the number is clocks to go.
    Waiting(u32),
    Moving(Move),
}

/// A command that has ended and whose completion entry is not written yet.
struct Finished {
    entry: CqEntry,
    completion_queue: u16,
    /// Where the head of the submission queue was at last, if the queue is gone. There may be another one of its number.
    last_head: Option<u32>,
    /// Its place in the completion queue is taken already.
    reserved: bool,
}

/// The controller of one function.
pub(crate) struct Controller {
    pub(crate) config: Config,
    /// Its number, which is its controller identifier too.
    pub(crate) function: u8,
    /// What it shares with the others: it is with the one that is being worked with.
    pub(crate) subsystem: Box<Subsystem>,
    /// Clocks since power-on.
    pub(crate) clock: u64,
    pub(crate) registers: Registers,
    pub(crate) submission: Vec<Option<SubmissionQueue>>,
    pub(crate) completion: Vec<Option<CompletionQueue>>,
    pub(crate) admin: Admin,
    random: Random,
    life: Life,
    /// CC.EN was 0 since the life began, even if it is 1 again.
    reset_asked_for: bool,
    posted: VecDeque<PostedWrite>,
    sideband: Sideband,
    msix: Msix,
    arbiter: Arbiter,
    running: Vec<Running>,
    finished: VecDeque<Finished>,
}

impl Controller {
    /// The controller of a function after power-on.
    pub(crate) fn new(config: Config, function: u8) -> Self {
        let queues = usize::from(config.io_queues) + 1;
        Self {
            config,
            function,
            subsystem: Box::default(),
            clock: 0,
            registers: Registers::new(config.queue_entries_max),
            submission: (0..queues).map(|_| None).collect(),
            completion: (0..queues).map(|_| None).collect(),
            admin: Admin::new(config.io_queues + 1),
            random: Random::new(config.seed ^ u64::from(function)),
            life: Life::Disabled,
            reset_asked_for: false,
            posted: VecDeque::new(),
            sideband: Sideband { bus_master_enable: true, msix_enable: true, msix_function_mask: false },
            msix: Msix::new(config.io_queues + 1),
            arbiter: Arbiter::default(),
            running: Vec::new(),
            finished: VecDeque::new(),
        }
    }

    /// Sets the configuration-space bits.
    pub(crate) fn set_sideband(&mut self, sideband: Sideband) {
        self.sideband = sideband;
    }

    /// Function level reset: everything but the stored data, and what is known of the last reset of the NVM subsystem, is as after power-on.
    pub(crate) fn reset_function(&mut self) {
        self.posted.clear();
        self.reset_all();
    }

    /// A reset of the NVM subsystem. Writes that are posted come after it.
    pub(crate) fn reset_with_subsystem(&mut self, has_same_image: bool) {
        self.reset_all();
        self.registers.set_subsystem_was_reset(has_same_image);
    }

    fn reset_all(&mut self) {
        self.drop_life();
        self.registers.reset_function();
        self.msix = Msix::new(self.config.io_queues + 1);
        self.life = Life::Disabled;
        self.reset_asked_for = false;
    }

    /// Whether a command is being worked on, or an interrupt waits for others.
    pub(crate) fn is_busy(&self) -> bool {
        !self.posted.is_empty() || !self.running.is_empty() || self.msix.is_aggregating()
    }

    // --- BAR0 ------------------------------------------------------------------------------------------------------------------------

    /// Reads `bytes` bytes of BAR0; no writes are posted.
    pub(crate) fn read(&mut self, offset: u32, bytes: u8) -> u64 {
        (0..u32::from(bytes)).fold(0, |value, i| {
            let at = offset + i;
            let byte = self.read_dword(at & !3) >> (8 * (at % 4)) & 0xFF;
            value | u64::from(byte) << (8 * i)
        })
    }

    /// Posts a write of `bytes` bytes to BAR0. It is a write of each dword that it touches, the lowest first, as the hardware takes it: a host may access
    /// a register in aligned parts of 32 bits, and what an access does that touches two registers is not said. NVMe PCIe, "Transport Specific Controller
    /// Properties".
    pub(crate) fn write(&mut self, offset: u32, bytes: u8, value: u64) {
        let mut at = offset;
        let end = offset + u32::from(bytes);
        while at < end {
            let mut dword = PostedWrite { offset: at & !3, value: 0, mask: 0 };
            while at < end && at & !3 == dword.offset {
                let byte = (value >> (8 * (at - offset))) as u32 & 0xFF;
                dword.value |= byte << (8 * (at % 4));
                dword.mask |= 0xFF << (8 * (at % 4));
                at += 1;
            }
            self.posted.push_back(dword);
        }
    }

    fn read_dword(&self, offset: u32) -> u32 {
        if regs::REGISTERS.contains(&offset) {
            self.registers.read(offset)
        } else if regs::MSIX_TABLE.contains(&offset) {
            self.msix.read_table(u64::from(offset - regs::MSIX_TABLE.start))
        } else if regs::MSIX_PBA.contains(&offset) {
            self.msix.read_pending(u64::from(offset - regs::MSIX_PBA.start))
        } else {
            0
        }
    }

    /// The next posted write takes effect; whether there was one.
    pub(crate) fn take_posted_write(&mut self) -> bool {
        let Some(PostedWrite { offset, value, mask }) = self.posted.pop_front() else {
            return false;
        };
        self.write_dword(offset, value, mask);
        true
    }

    fn write_dword(&mut self, offset: u32, value: u32, mask: u32) {
        if regs::REGISTERS.contains(&offset) {
            let was_enabled = self.registers.is_enabled();
            self.registers.write(offset, value, mask);
            self.reset_asked_for |= was_enabled && !self.registers.is_enabled();
            if offset == regs::NSSR.offset && mask == u32::MAX && value == regs::SUBSYSTEM_RESET {
                self.subsystem.ask_for_reset();
            }
        } else if regs::DOORBELLS.contains(&offset) {
            // "Doorbell registers": a host writes whole doorbells.
            if mask == u32::MAX {
                self.doorbell((offset - regs::DOORBELLS.start) / regs::DOORBELL_BYTES, value);
            }
        } else if regs::MSIX_TABLE.contains(&offset) {
            let at = u64::from(offset - regs::MSIX_TABLE.start);
            let merged = self.msix.read_table(at) & !mask | value & mask;
            self.msix.write_table(at, merged);
        }
    }

    /// NVMe PCIe, "Submission Queue y Tail Doorbell" and "Completion Queue y Head Doorbell".
    fn doorbell(&mut self, number: u32, value: u32) {
        if !matches!(self.life, Life::Ready) || self.reset_asked_for {
            return;
        }
        let queue = (number / 2) as usize;
        let is_submission = number.is_multiple_of(2);
        let accepted = if is_submission {
            let queue = self.submission.get_mut(queue).and_then(Option::as_mut);
            queue.map(|q| q.set_tail(value))
        } else {
            let queue = self.completion.get_mut(queue).and_then(Option::as_mut);
            queue.map(|q| q.set_head(value))
        };
        match accepted {
            None => self.admin.invalid_doorbell_register(),
            Some(false) => self.admin.invalid_doorbell_value(),
            Some(true) if !is_submission => self.head_moved(queue),
            Some(true) => {}
        }
    }

    /// NVMe PCIe, "Interrupts": entries that the host left behind are a new reason to interrupt; a queue that it emptied is none any more.
    fn head_moved(&mut self, queue: usize) {
        let Some(moved) = &self.completion[queue] else {
            return;
        };
        let vector = moved.vector;
        let mut interrupting = self.completion.iter().flatten().filter(|q| q.interrupts_enabled && q.vector == vector);
        if interrupting.clone().all(CompletionQueue::is_empty) {
            self.msix.withdraw(vector);
        } else if interrupting.any(|q| std::ptr::eq(q, moved) && !q.is_empty()) {
            self.request_interrupt(vector);
        }
    }

    // --- One clock -------------------------------------------------------------------------------------------------------------------

    /// Lets one clock pass.
    pub(crate) fn step(&mut self, host: &mut dyn HostPort) {
        self.clock += 1;
        self.take_posted_write();
        self.follow_enable();
        self.follow_subsystem();
        let moves_data = self.running.iter().any(|running| matches!(running.work, Work::Moving(_)));
        self.subsystem.go_on_sanitizing(self.function, moves_data);
        if let Some(cid) = self.subsystem.go_on_formatting(self.function) {
            self.finish(0, cid, Ok(0), false);
        }
        let is_alive = matches!(self.life, Life::Ready) && !self.registers.is_failed();
        if !is_alive || !self.sideband.bus_master_enable {
            return;
        }
        if self.keep_alive_has_ended() {
            // NVMe Base, "Keep Alive Timer": the controller stops.
            self.registers.set_failed();
            return;
        }
        self.follow_shutdown();
        if self.random.one_in(2) {
            self.fetch(host);
        }
        self.deliver_frame(host);
        if self.random.one_in(2) {
            self.work(host);
        }
        if let Some((cid, result)) = self.admin.take_event() {
            self.finish(0, cid, Ok(result), false);
        }
        if self.random.one_in(2) {
            self.post(host);
        }
        self.msix.announce_late(self.clock);
        let may_interrupt = self.sideband.msix_enable && !self.sideband.msix_function_mask;
        if may_interrupt && self.random.one_in(2) {
            self.msix.send_one(self.function, host);
        }
    }

    /// NVMe Base, "Memory-based Transport Controller Initialization" and "Controller Level Reset".
    fn follow_enable(&mut self) {
        match self.life {
            Life::Disabled => {
                self.reset_asked_for = false;
                if self.registers.is_enabled() && self.registers.are_acceptable() {
                    self.life = Life::Starting(self.random.below(DELAY_CLOCKS_MAX));
                } else if self.registers.shutdown_is_asked_for() {
                    self.registers.set_shutdown_status(shst::COMPLETE);
                }
            }
            Life::Starting(_) if self.reset_asked_for => self.life = Life::Disabled,
            Life::Starting(0) => self.start(),
            Life::Starting(clocks) => self.life = Life::Starting(clocks - 1),
            Life::Ready if self.reset_asked_for => {
                self.drop_life();
                self.life = Life::Stopping(self.random.below(DELAY_CLOCKS_MAX));
            }
            Life::Ready => {}
            Life::Stopping(0) => {
                self.registers.reset_controller();
                self.life = Life::Disabled;
            }
            Life::Stopping(clocks) => self.life = Life::Stopping(clocks - 1),
        }
    }

    fn start(&mut self) {
        let (base, entries) = self.registers.admin_submission();
        self.submission[0] = Some(SubmissionQueue::new(base, entries, 0, queue_priority::URGENT));
        let (base, entries) = self.registers.admin_completion();
        self.completion[0] = Some(CompletionQueue::new(base, entries, 0, true));
        self.registers.set_ready();
        self.life = Life::Ready;
    }

    /// Everything that a controller reset takes away.
    fn drop_life(&mut self) {
        self.submission.fill_with(|| None);
        self.completion.fill_with(|| None);
        self.running.clear();
        self.finished.clear();
        self.admin.reset();
        self.subsystem.end_download_and_activate(self.function);
        self.subsystem.end_formats(self.function);
        self.msix.withdraw_all();
        self.arbiter = Arbiter::default();
    }

    /// NVMe Base, "Memory-based Controller Shutdown". There is no volatile cache to write back, so that nothing but commands is waited for.
    fn follow_shutdown(&mut self) {
        if !self.registers.shutdown_is_asked_for() {
            return;
        }
        match self.registers.shutdown_status() {
            shst::NORMAL => self.registers.set_shutdown_status(shst::OCCURRING),
            shst::OCCURRING if self.running.is_empty() && self.finished.is_empty() => {
                self.registers.set_shutdown_status(shst::COMPLETE);
            }
            _ => {}
        }
    }

    /// Fetches one entry from the next queue, by the arbitration, that has one and whose completion has a place.
    fn fetch(&mut self, host: &mut dyn HostPort) {
        if self.running.len() >= self.config.commands_max || self.registers.shutdown_status() != shst::NORMAL {
            return;
        }
        let mut candidates: Vec<Candidate> = self.candidates().collect();
        let is_weighted = self.registers.selects_weighted_round_robin();
        let feature = self.admin.arbitration();
        while let Some(chosen) = self.arbiter.choose(&candidates, is_weighted, feature) {
            match self.fetch_from(chosen.queue, host) {
                Ok(0) => candidates.retain(|candidate| candidate.queue != chosen.queue),
                Ok(count) => {
                    return self.arbiter.took(chosen, count, is_weighted, feature, &mut self.random);
                }
                // Nobody can be told by a completion. NVMe Base, "Controller Fatal Status Condition".
                Err(HostError) => return self.registers.set_failed(),
            }
        }
    }

    /// The submission queues that have an entry, and whose completion queue has a place for its completion.
    fn candidates(&self) -> impl Iterator<Item = Candidate> + '_ {
        let waiting = |queue: &SubmissionQueue| {
            let target = self.completion[usize::from(queue.completion_queue)].as_ref();
            !queue.is_empty() && target.is_some_and(|target| target.room() > 0)
        };
        let queues = self.submission.iter().enumerate();
        let queues = queues.filter_map(|(number, queue)| queue.as_ref().map(|queue| (number, queue)));
        queues.filter(move |(_, q)| waiting(q)).map(|(queue, q)| Candidate { queue, priority: q.priority })
    }

    /// Fetches the next command of a queue, with the Write that is fused with it: how many entries that are, or none for want of a place for the
    /// second completion.
    fn fetch_from(&mut self, number: usize, host: &mut dyn HostPort) -> Result<u32, HostError> {
        let Some(queue) = self.submission[number].as_mut() else {
            return Ok(0);
        };
        let Some(target) = self.completion[usize::from(queue.completion_queue)].as_mut() else {
            return Ok(0);
        };
        let entry = read_entry(self.function, host, queue.head_address(0))?;
        // NVMe Base, "Fused Operations": both are published at once, and they are executed as one.
        let mut write = None;
        if number != 0 && entry.is_fused_compare() && queue.published() > 1 && target.entries > 2 {
            let next = read_entry(self.function, host, queue.head_address(1))?;
            write = next.is_fused_write().then_some(next);
        }
        let count = 1 + u32::from(write.is_some());
        if target.room() < count {
            return Ok(0);
        }
        queue.take(count);
        target.reserved += count;
        self.running.push(Running {
            queue: number as u16,
            entry,
            write,
            work: Work::Waiting(self.random.below(DELAY_CLOCKS_MAX)),
        });
        Ok(count)
    }

    /// Does one unit of work of one command.
    fn work(&mut self, host: &mut dyn HostPort) {
        for running in &mut self.running {
            if let Work::Waiting(clocks) = &mut running.work {
                *clocks = clocks.saturating_sub(1);
            }
        }
        if self.running.is_empty() {
            return;
        }
        let index = self.random.below(self.running.len() as u32) as usize;
        match &mut self.running[index].work {
            Work::Waiting(0) => self.begin(index, host),
            Work::Waiting(_) => {}
            Work::Moving(movement) => {
                let (nsid, version) = movement.namespace;
                let end = match self.subsystem.check_reach(nsid, version, movement.writes()) {
                    Ok(()) => movement.advance(host, &mut self.subsystem.storage),
                    Err(status) => Some(Err(status)),
                };
                if let Some(end) = end {
                    self.moved(index, end, host);
                }
            }
        }
    }

    /// The data of a command has been moved. What has been compared for a Write is followed by that.
    fn moved(&mut self, index: usize, end: Result<(), Status>, host: &mut dyn HostPort) {
        let Running { write, work, .. } = &mut self.running[index];
        let (Some(write), Work::Moving(movement)) = (*write, work) else {
            return self.end(index, end.map(|()| 0));
        };
        match (end, movement.take_compared()) {
            (Ok(()), Some(expected)) => match self.fused_write(&write, expected, host) {
                Ok(movement) => self.running[index].work = Work::Moving(movement),
                Err(status) => self.end_both(index, [Ok(0), Err(status)]),
            },
            (Err(status), Some(_)) | (Err(status @ Status::COMPARE_FAILURE), None) => {
                self.end_both(index, [Err(status), Err(Status::FAILED_FUSED_COMMAND)]);
            }
            (end, None) => self.end_both(index, [Ok(0), end.map(|()| 0)]),
        }
    }

    /// Begins a command, and ends it at once if it moves no data of the namespace.
    fn begin(&mut self, index: usize, host: &mut dyn HostPort) {
        let Running { queue, entry, write, .. } = self.running[index];
        if queue == 0 {
            // It is no longer among the commands that it may abort.
            self.running.swap_remove(index);
            match self.execute_admin(&entry, host) {
                Answer::Done(result) => self.conclude(queue, &entry, result),
                // A held command takes room in its completion queue only when it ends.
                Answer::Held => self.release_reservation(0),
            }
            return;
        }
        if let Err(status) = self.subsystem.check_sanitize() {
            self.end(index, Err(status));
            return;
        }
        let is_ready = self.subsystem.check_format(self.function, entry.nsid.get());
        if let Some(write) = write {
            let compare =
                is_ready.map_err(|status| [status; 2]).and_then(|()| self.fused_compare([&entry, &write], host));
            match compare {
                Ok(movement) => self.running[index].work = Work::Moving(movement),
                Err(statuses) => self.end_both(index, statuses.map(Err)),
            }
            return;
        }
        if let Some(command) = FrameCommand::decode(&entry) {
            match command.and_then(|command| self.frame_command(queue, &entry, command, host)) {
                // A held command has its place in the completion queue only when it ends.
                Ok(Answer::Held) => {
                    let completion = self.submission[usize::from(queue)].as_ref().map(|s| s.completion_queue);
                    self.running.swap_remove(index);
                    completion.into_iter().for_each(|completion| self.release_reservation(completion));
                }
                Ok(Answer::Done(result)) => self.end(index, result),
                Err(status) => self.end(index, Err(status)),
            }
            return;
        }
        if let Err(status) = is_ready {
            self.end(index, Err(status));
            return;
        }
        let namespace = self.subsystem.info(self.function, entry.nsid.get());
        if let Some(command) = DatasetManagement::decode(&entry, &namespace).filter(|_| self.config.can_erase) {
            let result = command.and_then(|command| self.manage_dataset(&entry, &namespace, &command, host));
            self.end(index, result.map(|()| 0));
            return;
        }
        if let Some(command) = Copy::decode(&entry, &namespace).filter(|_| self.config.can_copy) {
            let command = command.map_err(|status| (status, 0));
            match command.and_then(|command| self.copy(&entry, &namespace, &command, host)) {
                Ok(()) => self.end(index, Ok(0)),
                Err((status, range)) => {
                    self.running.swap_remove(index);
                    self.admin.log_error(queue, &entry, status.for_host());
                    self.finish_with(queue, entry.cid.get(), status, range, true);
                }
            }
            return;
        }
        match self.decode(&entry, host) {
            Ok(Some(movement)) => self.running[index].work = Work::Moving(movement),
            Ok(None) => self.end(index, Ok(0)),
            Err(status) => self.end(index, Err(status)),
        }
    }

    fn end(&mut self, index: usize, result: Result<u32, Status>) {
        self.end_both(index, [result; 2]);
    }

    /// Ends a command with the first result, and with the second one the Write that is fused with it.
    fn end_both(&mut self, index: usize, results: [Result<u32, Status>; 2]) {
        let Running { queue, entry, write, .. } = self.running.swap_remove(index);
        for (entry, result) in [Some(entry), write].into_iter().zip(results) {
            entry.into_iter().for_each(|entry| self.conclude(queue, &entry, result));
        }
    }

    /// Accounts for a command that has ended, and lets its completion be written.
    fn conclude(&mut self, queue: u16, entry: &SqEntry, result: Result<u32, Status>) {
        if let Err(status) = result {
            self.admin.log_error(queue, entry, status.for_host());
        } else if queue != 0 {
            self.admin.count(entry, self.subsystem.lba_bytes(entry.nsid.get()));
            if entry.opcode == io::WRITE {
                self.subsystem.count_write();
            }
            self.count_fast_command(queue, entry);
        }
        self.finish(queue, entry.cid.get(), result, true);
    }

    fn count_fast_command(&mut self, queue: u16, entry: &SqEntry) {
        let nsid = entry.nsid.get();
        let limits = Limits { lba_bytes: self.subsystem.lba_bytes(nsid), ..Limits::DEFAULT };
        if is_fast_path(entry, &self.subsystem.info(self.function, nsid), &limits) {
            if let Some(submission) = &mut self.submission[usize::from(queue)] {
                submission.fast_commands = submission.fast_commands.saturating_add(1);
            }
        }
    }

    /// A command has ended: its completion is the next in line.
    pub(crate) fn finish(&mut self, queue: u16, cid: u16, result: Result<u32, Status>, reserved: bool) {
        let status = result.err().unwrap_or(Status::SUCCESS);
        self.finish_with(queue, cid, status, result.unwrap_or(0), reserved);
    }

    /// The same with dword 0 also of a command that has failed.
    fn finish_with(&mut self, queue: u16, cid: u16, status: Status, result: u32, reserved: bool) {
        let Some(submission) = &self.submission[usize::from(queue)] else {
            return;
        };
        let status = status.for_host();
        self.finished.push_back(Finished {
            entry: CqEntry {
                result: result.into(),
                reserved: 0.into(),
                // Where the head is when the entry is written: others may be fetched while this one waits for a place.
                sqhd: 0.into(),
                sqid: queue.into(),
                cid: cid.into(),
                status_phase: (status.raw() << 1).into(),
            },
            completion_queue: submission.completion_queue,
            last_head: None,
            reserved,
        });
    }

    fn release_reservation(&mut self, completion_queue: u16) {
        if let Some(queue) = &mut self.completion[usize::from(completion_queue)] {
            queue.reserved -= 1;
        }
    }

    /// Writes the oldest completion entry that has a place.
    fn post(&mut self, host: &mut dyn HostPort) {
        let has_place = |f: &Finished| {
            let queue = &self.completion[usize::from(f.completion_queue)];
            f.reserved || queue.as_ref().is_some_and(|q| q.room() > 0)
        };
        let Some(index) = self.finished.iter().position(has_place) else {
            return;
        };
        let Some(mut finished) = self.finished.remove(index) else {
            return;
        };
        let Some(queue) = &mut self.completion[usize::from(finished.completion_queue)] else {
            return;
        };
        if finished.reserved {
            queue.reserved -= 1;
        }
        let submission = self.submission[usize::from(finished.entry.sqid.get())].as_ref();
        let head = finished.last_head.or_else(|| submission.map(|submission| submission.head));
        finished.entry.sqhd = (head.unwrap_or_default() as u16).into();
        let (address, phase) = queue.take_tail(CQ_ENTRY_BYTES);
        let status = finished.entry.status_phase.get();
        finished.entry.status_phase = (status | u16::from(phase)).into();
        if host.write(self.function, address, finished.entry.as_bytes()).is_err() {
            self.registers.set_failed();
            return;
        }
        if queue.interrupts_enabled && self.sideband.msix_enable {
            let vector = queue.vector;
            self.request_interrupt(vector);
        }
    }

    fn request_interrupt(&mut self, vector: u16) {
        let aggregation = self.admin.aggregation(vector);
        self.msix.raise(vector, aggregation, self.clock);
    }

    // --- What admin commands do to commands and queues -------------------------------------------------------------------------------

    /// Ends a command that is being executed; whether there was one.
    pub(crate) fn abort(&mut self, queue: u16, cid: u16) -> bool {
        let is_it = |r: &Running| r.queue == queue && r.entry.cid.get() == cid;
        // A command that moves data is beyond being aborted: "best effort".
        let waits = |r: &Running| matches!(r.work, Work::Waiting(_));
        let Some(index) = self.running.iter().position(|r| is_it(r) && waits(r)) else {
            return false;
        };
        self.end(index, Err(Status::ABORT_REQUESTED));
        true
    }

    /// Ends all commands of a submission queue, and the queue. NVMe Base, "Delete I/O Submission Queue command".
    pub(crate) fn remove_submission_queue(&mut self, queue: u16) {
        while let Some(index) = self.running.iter().position(|r| r.queue == queue) {
            self.end(index, Err(Status::ABORTED_SQ_DELETION));
        }
        for receiver in self.admin.frames.take_of(queue) {
            self.finish(queue, receiver.cid, Err(Status::ABORTED_SQ_DELETION), false);
        }
        let Some(submission) = self.submission[usize::from(queue)].take() else {
            return;
        };
        let mut target = self.completion[usize::from(submission.completion_queue)].as_mut();
        self.finished.retain_mut(|finished| {
            if finished.entry.sqid.get() != queue || finished.last_head.is_some() {
                return true;
            }
            // Others may have told the host of this head already, which never goes back.
            finished.last_head = Some(submission.head);
            // Nothing comes after the completion of the deletion: a command that was held, and for which there is no room, goes with its queue.
            if let Some(target) = target.as_mut().filter(|target| !finished.reserved && target.room() > 0) {
                target.reserved += 1;
                finished.reserved = true;
            }
            finished.reserved
        });
    }

    /// Forgets a completion queue, and what was to be written into it: nobody waits for that, and the next queue of this number has no place for
    /// it.
    pub(crate) fn remove_completion_queue(&mut self, queue: u16) {
        self.completion[usize::from(queue)] = None;
        self.finished.retain(|finished| finished.completion_queue != queue);
    }
}

/// Reads a submission queue entry.
fn read_entry(function: u8, host: &mut dyn HostPort, address: u64) -> Result<SqEntry, HostError> {
    let mut raw = [0; SQ_ENTRY_BYTES as usize];
    host.read(function, address, &mut raw)?;
    Ok(zerocopy::transmute!(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of the completion queue at address 0.
    struct Memory(Vec<u8>);

    impl HostPort for Memory {
        fn read(&mut self, _: u8, _: u64, _: &mut [u8]) -> Result<(), HostError> {
            Err(HostError)
        }

        fn write(&mut self, _: u8, address: u64, data: &[u8]) -> Result<(), HostError> {
            self.0[address as usize..][..data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    fn submission(head: u32) -> Option<SubmissionQueue> {
        let queue = SubmissionQueue::new(0x1000, 8, 1, queue_priority::URGENT);
        Some(SubmissionQueue { head, tail: head, ..queue })
    }

    /// A controller with I/O queue pair 1, of 8 and 4 entries, whose head is at 5.
    fn controller() -> Controller {
        let mut controller = Controller::new(Config::SMALL, 0);
        controller.submission[1] = submission(5);
        controller.completion[1] = Some(CompletionQueue::new(0, 4, 0, false));
        controller
    }

    /// SQHD and the command id of the entries that are written.
    fn post_all(controller: &mut Controller) -> Vec<(u16, u16)> {
        let mut memory = Memory(vec![0; 4 * CQ_ENTRY_BYTES as usize]);
        (0..4).for_each(|_| controller.post(&mut memory));
        let field = |entry: &[u8], at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let entries = memory.0.chunks(CQ_ENTRY_BYTES as usize).filter(|entry| entry[14] & 1 == 1);
        entries.map(|entry| (field(entry, 8), field(entry, 12))).collect()
    }

    #[test]
    fn the_head_of_a_deleted_queue_is_not_that_of_its_successors() {
        let mut controller = controller();
        controller.finish(1, 70, Ok(0), false);
        controller.remove_submission_queue(1);
        controller.submission[1] = submission(2);
        controller.finish(1, 71, Ok(0), false);
        controller.remove_submission_queue(1);
        controller.submission[1] = submission(0);
        assert_eq!(post_all(&mut controller), [(5, 70), (2, 71)]);
    }

    #[test]
    fn what_has_no_room_goes_with_its_submission_queue() {
        let mut controller = controller();
        (70..74).for_each(|cid| controller.finish(1, cid, Ok(0), false));
        controller.remove_submission_queue(1);
        assert_eq!(controller.completion[1].as_ref().map(CompletionQueue::room), Some(0));
        assert_eq!(controller.finished.len(), 3);
        assert_eq!(post_all(&mut controller), [(5, 70), (5, 71), (5, 72)]);
    }

    #[test]
    fn what_was_to_be_written_goes_with_its_completion_queue() {
        let mut controller = controller();
        controller.finish(1, 70, Ok(0), false);
        controller.remove_submission_queue(1);
        controller.remove_completion_queue(1);
        controller.completion[1] = Some(CompletionQueue::new(0, 4, 0, false));
        assert_eq!(post_all(&mut controller), []);
    }
}
