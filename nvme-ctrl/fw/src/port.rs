//! The firmware port by meaning instead of by register.

use nvme_spec::firmware_port::{self as regs, Counter};
use nvme_spec::reg::{Field, Reg};
use nvme_spec::{DataPointer, SqEntry, Status};
use soc_hal::Mmio;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::queues::Owner;

/// A command of the host: what its completion names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandId {
    pub(crate) function: u8,
    /// Of its submission queue.
    pub(crate) slot: u8,
    pub(crate) cid: u16,
}

/// A completion to be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) command: CommandId,
    pub(crate) result: u32,
    pub(crate) status: Status,
}

/// What the hardware did with a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    /// It is on its way to the host, or its queue is gone.
    Done,
    /// Its queue has no room.
    Refused,
    /// Not known yet.
    Busy,
}

/// A command from the inbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InboxCommand {
    /// Of its submission queue.
    pub(crate) slot: u8,
    /// How it failed, if hardware tried to execute it.
    pub(crate) failure: Option<Status>,
    pub(crate) entry: SqEntry,
}

/// A row of the hardware's table of namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamespaceRow {
    pub(crate) base_units: u64,
    pub(crate) blocks: u64,
    pub(crate) attached: u8,
    pub(crate) lba_shift: u8,
    pub(crate) is_write_protected: bool,
}

/// A change of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueCommand {
    CreateSq(CreateSq),
    CreateCq(CreateCq),
    StopSq,
    DeleteSq,
    DeleteCq,
}

/// Parameters of a submission queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CreateSq {
    pub(crate) base: u64,
    pub(crate) entries: u32,
    /// Slot of its completion queue.
    pub(crate) cq_slot: u8,
    /// Queue Priority.
    pub(crate) priority: u8,
}

/// What became of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transferred {
    /// It is in work.
    GoesOn,
    /// It never began: the life of its function had ended.
    Dropped,
    /// It has ended so.
    Ended(Status),
}

/// Parameters of a completion queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CreateCq {
    pub(crate) base: u64,
    pub(crate) entries: u32,
    pub(crate) vector: u8,
    pub(crate) interrupts_enabled: bool,
}

/// The hardware did not end a queue command in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueCommandStuck;

/// How often a register is read until hardware that needs a few clocks must have ended.
const SPINS: u32 = 64;

/// What the hardware says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub(crate) io_queues: u16,
    pub(crate) queue_entries_max: u32,
    pub(crate) lba_bytes: u32,
    pub(crate) functions: u8,
    /// Interrupt vectors of each function.
    pub(crate) vectors: u16,
    pub(crate) has_namespace_base: bool,
    pub(crate) has_namespace_format: bool,
    pub(crate) has_weighted_round_robin: bool,
    pub(crate) can_erase: bool,
    pub(crate) can_copy: bool,
}

impl Hardware {
    /// Before the first look.
    pub(crate) const NONE: Self = Self {
        io_queues: 0,
        queue_entries_max: 0,
        lba_bytes: 1,
        functions: 1,
        vectors: 1,
        has_namespace_base: false,
        has_namespace_format: false,
        has_weighted_round_robin: false,
        can_erase: false,
        can_copy: false,
    };
}

/// The register bus with names.
pub(crate) struct Port<M> {
    pub(crate) mmio: M,
    /// All of the data buffer is zero.
    pub(crate) is_buffer_clear: bool,
}

impl<M: Mmio> Port<M> {
    pub(crate) fn read(&mut self, register: &Reg) -> u32 {
        self.mmio.read32(register.offset)
    }

    pub(crate) fn write(&mut self, register: &Reg, value: u32) {
        self.mmio.write32(register.offset, value);
    }

    /// Two registers that hold one number.
    pub(crate) fn read_pair(&mut self, low: &Reg, high: &Reg) -> u64 {
        let low = self.read(low);
        u64::from(self.read(high)) << 32 | u64::from(low)
    }

    fn write_pair(&mut self, low: &Reg, high: &Reg, value: u64) {
        self.write(low, value as u32);
        self.write(high, (value >> 32) as u32);
    }

    pub(crate) fn counter(&mut self, counter: &Counter) -> u64 {
        self.read_pair(&counter.low, &counter.high)
    }

    /// What the hardware is; `None` if this firmware does not know it.
    pub(crate) fn identify(&mut self) -> Option<Hardware> {
        if self.read(&regs::ID) != regs::ID_VALUE {
            return None;
        }
        if self.read(&regs::VERSION) != regs::INTERFACE_VERSION {
            return None;
        }
        let configuration = self.read(&regs::CONFIGURATION);
        let functions = self.read(&regs::FUNCTIONS);
        let capabilities = self.read(&regs::CAPABILITIES);
        let can = |capability: nvme_spec::reg::Field| capability.get32(capabilities) == 1;
        Some(Hardware {
            io_queues: regs::configuration::IO_QUEUES.get32(configuration) as u16,
            queue_entries_max: 1 << regs::configuration::QUEUE_ENTRIES_LOG2.get32(configuration).min(16),
            lba_bytes: self.read(&regs::LBA_BYTES).max(1),
            functions: regs::functions::COUNT.get32(functions).max(1) as u8,
            vectors: regs::functions::VECTORS.get32(functions).max(1) as u16,
            has_namespace_base: can(regs::capabilities::NAMESPACE_BASE),
            has_namespace_format: can(regs::capabilities::NAMESPACE_FORMAT),
            has_weighted_round_robin: can(regs::capabilities::WEIGHTED_ROUND_ROBIN),
            can_erase: can(regs::capabilities::STORAGE_ERASE),
            can_copy: can(regs::capabilities::STORAGE_COPY),
        })
    }

    /// Reads a register of a function.
    pub(crate) fn read_of(&mut self, register: &Reg, function: u8) -> u32 {
        self.read(&regs::of_function(register, function))
    }

    /// Writes a register of a function.
    pub(crate) fn write_of(&mut self, register: &Reg, function: u8, value: u32) {
        self.write(&regs::of_function(register, function), value);
    }

    /// Two registers of a function that hold one number.
    pub(crate) fn read_pair_of(&mut self, low: &Reg, high: &Reg, function: u8) -> u64 {
        self.read_pair(&regs::of_function(low, function), &regs::of_function(high, function))
    }

    /// Writes a row of the table of namespaces.
    pub(crate) fn set_namespace(&mut self, index: u32, row: &NamespaceRow) {
        use regs::namespace_control::{ATTACHED, LBA_SHIFT, WRITE_PROTECTED};
        let control = ATTACHED.set32(0, u32::from(row.attached));
        let control = LBA_SHIFT.set32(control, u32::from(row.lba_shift));
        let control = WRITE_PROTECTED.set32(control, u32::from(row.is_write_protected));
        self.write(&regs::NAMESPACE_SELECT, index);
        self.write_pair(&regs::NAMESPACE_BASE_LOW, &regs::NAMESPACE_BASE_HIGH, row.base_units);
        self.write_pair(&regs::NAMESPACE_BLOCKS_LOW, &regs::NAMESPACE_BLOCKS_HIGH, row.blocks);
        self.write(&regs::NAMESPACE_CONTROL, control);
        self.write(&regs::NAMESPACE_COMMIT, 1);
    }

    /// Arms the alarm for a time in its units, or disarms it.
    pub(crate) fn set_alarm(&mut self, at: Option<u32>) {
        if let Some(at) = at {
            self.write(&regs::ALARM, at);
        }
        self.write(&regs::ALARM_CONTROL, u32::from(at.is_some()));
    }

    /// Counter `bucket` of a phase in the histograms of a submission queue.
    pub(crate) fn latency(&mut self, slot: u8, counters: &mut [u32]) {
        self.write(&regs::LATENCY_SELECT, u32::from(slot));
        for (index, counter) in (0..regs::LATENCY.bytes / 4).zip(counters) {
            *counter = self.mmio.read32(regs::LATENCY.dword(index));
        }
    }

    /// Has sectors of the storage erased; [`Self::errand`] tells when that has ended.
    pub(crate) fn erase(&mut self, sector: u64, sectors: u32) {
        self.start_errand(sector, sectors, regs::errand_start::ERASE);
    }

    /// Has sectors of the storage copied to those from `destination` on; [`Self::errand`] tells when that has ended.
    pub(crate) fn copy(&mut self, source: u64, destination: u64, sectors: u32) {
        self.write_pair(&regs::ERRAND_SOURCE_LOW, &regs::ERRAND_SOURCE_HIGH, source);
        self.start_errand(destination, sectors, regs::errand_start::COPY);
    }

    /// Has the commands waited for that the hardware executes; [`Self::errand`] tells when that has ended, not how.
    pub(crate) fn drain(&mut self) {
        self.write(&regs::ERRAND_START, regs::errand_start::DRAIN.set32(0, 1));
    }

    fn start_errand(&mut self, sector: u64, sectors: u32, start: Field) {
        self.write_pair(&regs::ERRAND_SECTOR_LOW, &regs::ERRAND_SECTOR_HIGH, sector);
        self.write(&regs::ERRAND_SECTORS, sectors);
        self.write(&regs::ERRAND_START, start.set32(0, 1));
    }

    /// How the last errand ended; `None` while it goes on.
    pub(crate) fn errand(&mut self) -> Option<Result<(), Status>> {
        use regs::errand_state::{BUSY, STATUS};
        let state = self.read(&regs::ERRAND_STATE);
        let status = Status::from_raw(STATUS.get32(state) as u16);
        let has_ended = BUSY.get32(state) == 0;
        has_ended.then_some(if status.is_success() { Ok(()) } else { Err(status) })
    }

    /// Takes the head of the inbox.
    pub(crate) fn pop_inbox(&mut self) -> Option<InboxCommand> {
        use regs::{inbox_kind, inbox_status as field};
        let status = self.read(&regs::INBOX_STATUS);
        if field::VALID.get32(status) == 0 {
            return None;
        }
        let failed = field::KIND.get32(status) == inbox_kind::FAILED_COMMAND;
        let failure = Status::from_raw(field::STATUS.get32(status) as u16);
        let entry = self.read_entry();
        self.write(&regs::INBOX_POP, 1);
        Some(InboxCommand { slot: field::SLOT.get32(status) as u8, failure: failed.then_some(failure), entry })
    }

    /// Reads what firmware uses of the entry: not command dwords 2 and 3 and the metadata pointer.
    fn read_entry(&mut self) -> SqEntry {
        let mut dword = |index| self.mmio.read32(regs::INBOX_ENTRY.dword(index));
        let mut entry = SqEntry::default();
        let [opcode, flags, cid @ ..] = dword(0).to_le_bytes();
        entry.opcode = opcode;
        entry.flags = flags;
        entry.cid = cid.into();
        entry.nsid = U32::new(dword(1));
        for (i, prp) in entry.prp.iter_mut().enumerate() {
            let (low, high) = (dword(6 + 2 * i as u32), dword(7 + 2 * i as u32));
            *prp = U64::new(u64::from(high) << 32 | u64::from(low));
        }
        for (i, cdw) in entry.cdw10.iter_mut().enumerate() {
            *cdw = U32::new(dword(10 + i as u32));
        }
        entry
    }

    /// Posts a completion; [`Self::posted`] tells what became of it.
    pub(crate) fn post(&mut self, completion: &Completion) {
        let Completion { command, result, status } = *completion;
        let id = regs::completion_id::CID.set32(0, u32::from(command.cid));
        let id = regs::completion_id::SLOT.set32(id, u32::from(command.slot));
        let id = regs::completion_id::FUNCTION.set32(id, u32::from(command.function));
        self.write(&regs::COMPLETION_RESULT, result);
        self.write(&regs::COMPLETION_ID, id);
        self.write(&regs::COMPLETION_POST, u32::from(status.raw()));
    }

    /// What became of the last completion.
    pub(crate) fn posted(&mut self) -> Posted {
        use regs::completion_state::{BUSY, REFUSED};
        for _ in 0..SPINS {
            let state = self.read(&regs::COMPLETION_STATE);
            if BUSY.get32(state) == 0 {
                return match REFUSED.get32(state) {
                    0 => Posted::Done,
                    _ => Posted::Refused,
                };
            }
        }
        Posted::Busy
    }

    /// Changes a queue and waits the few clocks that it takes.
    pub(crate) fn queue_command(
        &mut self,
        slot: u8,
        owner: Owner,
        command: QueueCommand,
    ) -> Result<(), QueueCommandStuck> {
        use regs::{queue_attributes as attributes, queue_operation as operation};
        let identity = regs::queue_identity::QID.set32(0, u32::from(owner.qid));
        self.write(&regs::QUEUE_IDENTITY, regs::queue_identity::FUNCTION.set32(identity, u32::from(owner.function)));
        let operation = match command {
            QueueCommand::CreateSq(create) => {
                let value = attributes::CQ_SLOT.set32(0, u32::from(create.cq_slot));
                let value = attributes::QPRIO.set32(value, u32::from(create.priority));
                self.write_queue(create.base, create.entries, value);
                operation::CREATE_SQ
            }
            QueueCommand::CreateCq(create) => {
                let value = attributes::VECTOR.set32(0, u32::from(create.vector));
                let value = attributes::IEN.set32(value, u32::from(create.interrupts_enabled));
                self.write_queue(create.base, create.entries, value);
                operation::CREATE_CQ
            }
            QueueCommand::StopSq => operation::STOP_SQ,
            QueueCommand::DeleteSq => operation::DELETE_SQ,
            QueueCommand::DeleteCq => operation::DELETE_CQ,
        };
        let value = regs::queue_command::OP.set32(0, operation);
        let value = regs::queue_command::SLOT.set32(value, u32::from(slot));
        self.write(&regs::QUEUE_COMMAND, value);
        for _ in 0..SPINS {
            let state = self.read(&regs::QUEUE_STATE);
            if regs::queue_state::BUSY.get32(state) == 0 {
                return Ok(());
            }
        }
        Err(QueueCommandStuck)
    }

    fn write_queue(&mut self, base: u64, entries: u32, attributes: u32) {
        self.write_pair(&regs::QUEUE_BASE_LOW, &regs::QUEUE_BASE_HIGH, base);
        self.write(&regs::QUEUE_SIZE, entries);
        self.write(&regs::QUEUE_ATTRIBUTES, attributes);
    }

    /// Commands of a submission queue that are still with the hardware.
    pub(crate) fn in_flight(&mut self, slot: u8) -> u32 {
        self.write(&regs::QUEUE_SELECT, u32::from(slot));
        self.read(&regs::QUEUE_IN_FLIGHT)
    }

    /// Empties the data buffer, which takes the hardware a while: best before the data is made that is to be there.
    pub(crate) fn clear_buffer(&mut self) {
        if !self.is_buffer_clear {
            self.write(&regs::BUFFER_CLEAR, 1);
            self.is_buffer_clear = true;
        }
    }

    /// Fills the data buffer from its start, and what is behind it with zeros. Most words of most data are zero, and each access is slow.
    pub(crate) fn write_buffer(&mut self, data: &[u8]) {
        self.clear_buffer();
        // Processors without misaligned loads make a word of four bytes in ten instructions.
        if let Ok(pairs) = <[u64]>::ref_from_bytes(data) {
            for (index, pair) in (0..).zip(pairs) {
                if *pair != 0 {
                    self.set_word_if_any(2 * index, u64::from_le(*pair) as u32);
                    self.set_word_if_any(2 * index + 1, (u64::from_le(*pair) >> 32) as u32);
                }
            }
            return;
        }
        let (words, rest) = data.as_chunks();
        for (index, word) in (0..).zip(words) {
            self.set_word_if_any(index, u32::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut bytes = [0; 4];
            bytes[..rest.len()].copy_from_slice(rest);
            self.set_word_if_any(words.len() as u32, u32::from_le_bytes(bytes));
        }
    }

    /// Sets a word of the clear buffer.
    fn set_word_if_any(&mut self, index: u32, value: u32) {
        if value != 0 {
            self.set_buffer_word(index, value);
        }
    }

    /// A word of the data buffer.
    pub(crate) fn buffer_word(&mut self, index: u32) -> u32 {
        self.mmio.read32(regs::BUFFER.dword(index))
    }

    /// One of the items that lie in the data buffer one behind the other; each has a number of whole words.
    pub(crate) fn buffer_item<T: FromBytes + IntoBytes>(&mut self, number: u32) -> T {
        let mut item = T::new_zeroed();
        let first = number * (size_of::<T>() / 4) as u32;
        for (word, bytes) in (first..).zip(item.as_mut_bytes().chunks_exact_mut(4)) {
            bytes.copy_from_slice(&self.buffer_word(word).to_le_bytes());
        }
        item
    }

    /// Sets a word of the data buffer.
    pub(crate) fn set_buffer_word(&mut self, index: u32, value: u32) {
        self.is_buffer_clear = false;
        self.mmio.write32(regs::BUFFER.dword(index), value);
    }

    /// Moves the start of the data buffer to where a command wants its data; [`Self::transferred`] tells when that has ended.
    pub(crate) fn send_buffer(&mut self, function: u8, pointer: DataPointer, bytes: u32) {
        self.transfer(function, pointer, bytes, 1);
    }

    /// Moves the data of a command to the start of the data buffer; [`Self::transferred`] tells when that has ended.
    pub(crate) fn fetch_to_buffer(&mut self, function: u8, pointer: DataPointer, bytes: u32) {
        self.is_buffer_clear = false;
        self.transfer(function, pointer, bytes, 0);
    }

    fn transfer(&mut self, function: u8, pointer: DataPointer, bytes: u32, direction: u32) {
        let ([prp1, prp2], is_sgl) = pointer.halves();
        self.write_pair(&regs::TRANSFER_PRP1_LOW, &regs::TRANSFER_PRP1_HIGH, prp1);
        self.write_pair(&regs::TRANSFER_PRP2_LOW, &regs::TRANSFER_PRP2_HIGH, prp2);
        self.write(&regs::TRANSFER_LENGTH, bytes);
        let start = regs::transfer_start::DIRECTION.set32(0, direction);
        let start = regs::transfer_start::SGL.set32(start, is_sgl.into());
        self.write(&regs::TRANSFER_START, regs::transfer_start::FUNCTION.set32(start, u32::from(function)));
    }

    /// What became of the transfer.
    pub(crate) fn transferred(&mut self) -> Transferred {
        use regs::transfer_state::{BUSY, DROPPED, STATUS};
        let state = self.read(&regs::TRANSFER_STATE);
        match (BUSY.get32(state), DROPPED.get32(state)) {
            (0, 0) => Transferred::Ended(Status::from_raw(STATUS.get32(state) as u16)),
            (0, _) => Transferred::Dropped,
            _ => Transferred::GoesOn,
        }
    }
}
