//! # Mailbox
//!
//! The registers through which firmware sees the controller: commands for it, completions from it, queues, transfers, events.
//!
//! ## Symbol
//! ```text
//!                       +--- mailbox ---+
//!   firmware ===========|               |---> firmware_completion  Completion   (to queues)
//!      inbox ---------->| from decode   |---> queue_command        QueueCommand (to queues)
//!    failure ---------->| from slots    |---> released             Released     (to queues)
//! answers of queues --->|               |---> transfer             Command      (to the I/O engine)
//! transfer_done, .. --->|               |---> buffer_write, ..                  (to the I/O engine)
//! cc, aqa, asq, acq --->|               |---> acknowledge, status_write, status_value (to lifecycle)
//! alive, enabling, ..-->|               |---> namespace_blocks                  (to decode)
//! errors, counts ------>|               |---> firmware_event
//!                       +---------------+
//! ```
//! ## Theory of operation
//! [`nvme_spec::firmware_port`] is the table of registers, and says what each does; [`rtl_csr::RegisterFile`] makes them from it.
//! 1. Commands from `decode` and failed commands from the I/O engine take turns into the inbox. Firmware pops them; only then their place in
//!    the completion queue and their count in flight are released, so firmware sees a command before its queue is empty.
//! 2. When the life has ended, the inbox is emptied without firmware: commands are dropped as they come.
//! 3. A completion, a change of queues, or a transfer is handed on and `BUSY` until it is answered, one of each kind at a time. After the end
//!    of a life nothing is handed on.
//! 4. `firmware_event` is the OR of the register EVENTS.
//!
//! ## Timing
//! A read is answered after 3 clocks, a write after 2; `firmware_event` follows EVENTS by one clock.
//!
//! ## Limits
//! Registers are written as whole dwords; the buffer too. What is written to a register of pulses while it is BUSY is lost.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::{get, placed, port_name, register_of};
use crate::lifecycle::STATUS_BITS;
use crate::queues::{QueueCommand, QueueOperation, Released};
use crate::types::{Command, Completion, Inbox, Operation, Outcome, Target};
use crate::Config;
use nvme_spec::firmware_port as port;
use nvme_spec::reg::{self, Field, Reg};
use nvme_spec::regs;
use rtl_bus::AxiLiteRegisters;
use rtl_csr::{Access, Bus, RegisterFile};
use rtl_hdl::{
    address_width, cases, cat, lit, when, zero, Block, Constant, EnumSignal, HwEnum, InstanceHandle, Module, Shape,
    Signal,
};
use rtl_prim::fifo_of;
use std::mem::offset_of;

#[cfg(test)]
mod bench;

/// Commands that wait for firmware here.
const INBOX_DEPTH: u32 = 4;

/// The largest number that CONFIGURATION.SLOTS can show.
const SLOTS_SHOWN_MAX: u32 = port::configuration::SLOTS.max() as u32;

/// Width of an address of the port.
pub const FIRMWARE_ADDRESS_BITS: u32 = address_width(port::PORT_BYTES);

/// See the [page](self) of this block.
pub struct Mailbox {
    config: Config,
}

impl Mailbox {
    /// The block of this configuration.
    pub fn new(config: Config) -> Self {
        Mailbox { config }
    }
}

/// The submission queue entry of a failed command: only what firmware logs.
#[track_caller]
fn failed_entry(failed: &Outcome) -> Signal {
    let entry = |offset: usize, value: Signal| placed(value, 8 * offset as u32, 512);
    entry(offset_of!(nvme_spec::SqEntry, opcode), failed.opcode)
        | entry(offset_of!(nvme_spec::SqEntry, cid), failed.cid)
        | entry(offset_of!(nvme_spec::SqEntry, nsid), failed.nsid)
        | entry(offset_of!(nvme_spec::SqEntry, cdw10), failed.lba)
        | entry(offset_of!(nvme_spec::SqEntry, cdw10) + 8, (failed.blocks - 1).low(16))
}

/// The register file, by the names of the specification.
struct Registers {
    file: InstanceHandle,
}

impl Registers {
    /// What firmware wrote to a field, or what it reads there.
    #[track_caller]
    fn field(&self, reg: &Reg, field: &Field) -> Signal {
        self.file.port(&port_name(reg, field))
    }

    /// The only field of a register.
    #[track_caller]
    fn whole(&self, reg: &Reg) -> Signal {
        self.field(reg, &reg.fields[0])
    }

    /// True in the clock after `reg` was written.
    #[track_caller]
    fn written(&self, reg: &Reg) -> Signal {
        self.file.port(&format!("{}_written", reg.name))
    }

    /// Firmware reads these values.
    #[track_caller]
    fn show(&self, reg: &Reg, fields: &[(&Field, Signal)]) {
        for (field, value) in fields {
            self.field(reg, field).set(*value);
        }
    }
}

impl Mailbox {
    fn register_file(&self) -> RegisterFile {
        let config = self.config;
        let configuration = port::configuration::IO_QUEUES.set(0, config.io_queues.into());
        let configuration = port::configuration::UNITS.set(configuration, config.units.into());
        let configuration = port::configuration::SLOTS.set(configuration, config.slots.min(SLOTS_SHOWN_MAX).into());
        let entries_log2 = config.queue_entries_max.ilog2().into();
        let constants = [
            (&port::ID, port::ID.reset),
            (&port::VERSION, port::VERSION.reset),
            (&port::CONFIGURATION, port::configuration::QUEUE_ENTRIES_LOG2.set(configuration, entries_log2)),
            (&port::LBA_BYTES, config.lba_bytes.into()),
        ];
        let register = |reg: &Reg| {
            let constant = constants.iter().find(|(constant, _)| constant.name == reg.name);
            register_of(reg, constant.map_or(0, |(_, value)| *value), |field| match field.access {
                reg::Access::Ro if constant.is_some() => Access::Constant,
                reg::Access::Ro => Access::Ro,
                // `lifecycle` has it.
                reg::Access::Rw if reg.name == port::STATUS_SET.name => Access::Ro,
                reg::Access::Rw => Access::Rw,
                // What is latched is in EVENTS; here is only the wish to clear it.
                reg::Access::W1c | reg::Access::W1s => Access::W1s,
            })
        };
        let registers = port::REGS.iter().map(register).collect();
        let name = format!("firmware_registers_{}", config.suffix());
        RegisterFile::new(&name, registers, FIRMWARE_ADDRESS_BITS, Bus::Access).expect("the table of the port is right")
    }
}

impl Block for Mailbox {
    fn name(&self) -> String {
        format!("mailbox_{}", self.config.suffix())
    }

    fn description(&self) -> String {
        "The registers of firmware: inbox, completions, queues, transfers, events.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "firmware", FIRMWARE_ADDRESS_BITS);
        let inbox_in = m.stream_in::<Inbox>("inbox");
        let failure = m.stream_in::<Outcome>("failure");
        let released = m.stream_out_single::<Released>("released");
        let completion = m.stream_out_single::<Completion>("firmware_completion");
        let queue_command = m.stream_out_single::<QueueCommand>("queue_command");
        let transfer = m.stream_out_single::<Command>("transfer");
        let input = |name: &str| m.input(name, 1);
        let [alive, clear, enabling, disabled] = ["alive", "clear", "enabling", "disabled"].map(input);
        let status = m.input("status", STATUS_BITS);
        let cc = m.input("cc", 32);
        let aqa = m.input("aqa", 32);
        let asq = m.input("asq", 64);
        let acq = m.input("acq", 64);
        let [command_answered, firmware_answered] = ["command_answered", "firmware_answered"].map(input);
        let [firmware_refused, firmware_dropped] = ["firmware_refused", "firmware_dropped"].map(input);
        let [firmware_room, doorbell_unknown, doorbell_illegal] =
            ["firmware_room", "doorbell_unknown", "doorbell_illegal"].map(input);
        let selected_in_flight = m.input("selected_in_flight", crate::config::INDEX_BITS);
        let transfer_done = input("transfer_done");
        let transfer_status = m.input("transfer_status", 15);
        let [read_done, write_done] = ["read_done", "write_done"].map(input);
        let blocks_done = m.input("blocks_done", 17);
        let [host_error, write_error, queue_write_error] =
            ["host_error", "write_error", "queue_write_error"].map(input);
        let buffer_read_data = m.input("buffer_read_data", 32);

        // 2. State
        let inbox = fifo_of::<Inbox>(m, "waiting", INBOX_DEPTH);
        let turn_of_failed = m.reg("turn_of_failed", clock, false);
        let read_settled = m.reg("read_settled", clock, false);
        let completion_busy = m.reg("completion_busy", clock, false);
        let completion_refused = m.reg("completion_refused", clock, false);
        let completion_dropped = m.reg("completion_dropped", clock, false);
        let queue_busy = m.reg("queue_busy", clock, false);
        let transfer_busy = m.reg("transfer_busy", clock, false);
        let transfer_result = m.reg("transfer_result", clock, zero(15));
        let shn = m.reg("last_shn", clock, zero(regs::cc::SHN.width));
        let event = m.reg("event_line", clock, false);
        let counter_high = m.reg_without_reset("counter_high", clock, 32);
        let latch = |name: &str| m.reg(name, clock, false);
        let shutdown_latch = latch("shutdown_latch");
        let transfer_latch = latch("transfer_latch");
        let room_latch = latch("room_latch");
        let error_latch = latch("error_latch");
        let unknown_latch = latch("unknown_latch");
        let illegal_latch = latch("illegal_latch");

        // 3. Conditions
        let pops = m.wire("pops", bus.write_address().bits(2..FIRMWARE_ADDRESS_BITS).eq(port::INBOX_POP.offset / 4));
        let accept = m.wire("accept", bus.write() & (!pops | released.can_take()));
        let data = bus.write_data();
        let registers = Registers { file: m.instance("registers", &self.register_file()) };
        let in_buffer = |address: Signal| {
            address.ge(port::BUFFER.offset) & address.zext(FIRMWARE_ADDRESS_BITS + 1).lt(port::BUFFER.end())
        };
        let write_buffer = m.wire("write_buffer", accept & in_buffer(bus.write_address()));
        let read_buffer = m.wire("read_buffer", in_buffer(bus.read_address()));
        let discards = m.wire("discards", !alive & inbox.valid() & released.can_take());
        let head_shown = m.wire("head_shown", alive & inbox.valid());

        // 4. Next state: the bus.
        when(accept, || bus.accept_write());
        let file = &registers.file;
        file.port("write").set(accept);
        file.port("write_address").set(bus.write_address());
        file.port("write_data").set(data);
        file.port("write_strobe").set(bus.write_strobe());
        file.port("read_address").set(bus.read_address());
        // What is written to a register of pulses is there for one clock.
        for reg in port::REGS {
            for field in reg.fields.iter().filter(|field| matches!(field.access, reg::Access::W1c | reg::Access::W1s)) {
                file.port(&format!("{}_clear", port_name(reg, field))).set(Constant::ones(field.width));
            }
        }
        // The buffer answers one clock after its address, which is the read's unless a write needs it.
        read_settled.set(bus.read() & !read_settled & !write_buffer);
        let word_bits = 2..2 + address_width(port::BUFFER.bytes / 4);
        m.output("buffer_write", write_buffer);
        m.output(
            "buffer_address",
            write_buffer.mux(bus.write_address().bits(word_bits.clone()), bus.read_address().bits(word_bits)),
        );
        m.output("buffer_write_data", data);

        // 4. Next state: the inbox.
        when(inbox.can_push(), || {
            turn_of_failed.set(!turn_of_failed);
            when(turn_of_failed, || failure.take()).otherwise(|| inbox_in.take());
        });
        when(inbox_in.taken(), || inbox.push(inbox_in.payload()));
        when(failure.taken(), || {
            let failed = failure.payload();
            inbox.push(Inbox {
                sqid: failed.sqid,
                function: lit(0u8, 8),
                failed: lit(1u8, 1),
                status: failed.status,
                entry: failed_entry(&failed),
            });
        });
        let head = inbox.payload();
        when(discards | (head_shown & registers.whole(&port::INBOX_POP) & released.can_take()), || {
            inbox.take();
            released.offer(Released { sqid: head.sqid });
        });
        let kind = head.failed.mux(lit(port::inbox_kind::FAILED_COMMAND, 3), lit(port::inbox_kind::COMMAND, 3));
        let shown = |value: Signal| value & head_shown.repeat(value.width());
        registers.show(
            &port::INBOX_STATUS,
            &[
                (&port::inbox_status::VALID, head_shown),
                (&port::inbox_status::KIND, shown(kind)),
                (&port::inbox_status::SQID, shown(head.sqid)),
                (&port::inbox_status::STATUS, shown(head.status)),
            ],
        );
        let read_index = bus.read_address().bits(2..2 + address_width(port::INBOX_ENTRY.bytes / 4));
        let entry_word = m.wire("entry_word", head.entry.word(read_index, 32));
        let read_entry = {
            let base_bits = port::INBOX_ENTRY.bytes.trailing_zeros();
            bus.read_address().bits(base_bits..FIRMWARE_ADDRESS_BITS).eq(port::INBOX_ENTRY.offset >> base_bits)
        };

        // 4. Next state: completions.
        when(firmware_answered, || {
            completion_busy.set(false);
            completion_refused.set(firmware_refused);
            completion_dropped.set(firmware_dropped);
        });
        let posts = m.wire("posts", registers.written(&port::COMPLETION_POST) & !completion_busy);
        when(posts & alive & completion.can_take(), || {
            completion_busy.set(true);
            completion.offer(Completion {
                sqid: registers.field(&port::COMPLETION_ID, &port::completion_id::SQID),
                cid: registers.field(&port::COMPLETION_ID, &port::completion_id::CID),
                status: registers.whole(&port::COMPLETION_POST),
                result: registers.whole(&port::COMPLETION_RESULT),
                from_firmware: lit(1u8, 1),
            });
        });
        when(posts & !alive, || {
            completion_refused.set(false);
            completion_dropped.set(true);
        });
        registers.show(
            &port::COMPLETION_STATE,
            &[
                (&port::completion_state::BUSY, completion_busy),
                (&port::completion_state::REFUSED, completion_refused),
                (&port::completion_state::DROPPED, completion_dropped),
            ],
        );

        // 4. Next state: queues.
        let base_low = registers.whole(&port::QUEUE_BASE_LOW);
        let base_high = registers.whole(&port::QUEUE_BASE_HIGH);
        let size = registers.whole(&port::QUEUE_SIZE);
        let attribute = |field: &Field| registers.field(&port::QUEUE_ATTRIBUTES, field);
        let operation = m.wire_as::<QueueOperation>("queue_operation");
        let is_operation = m.wire_of_width("is_queue_operation", 1);
        operation.goto(QueueOperation::CreateSubmission);
        is_operation.set(true);
        cases(registers.field(&port::QUEUE_COMMAND, &port::queue_command::OP))
            .on(port::queue_operation::CREATE_SQ, || operation.goto(QueueOperation::CreateSubmission))
            .on(port::queue_operation::CREATE_CQ, || operation.goto(QueueOperation::CreateCompletion))
            .on(port::queue_operation::STOP_SQ, || operation.goto(QueueOperation::StopSubmission))
            .on(port::queue_operation::DELETE_SQ, || operation.goto(QueueOperation::DeleteSubmission))
            .on(port::queue_operation::DELETE_CQ, || operation.goto(QueueOperation::DeleteCompletion))
            .otherwise(|| is_operation.set(false));
        when(command_answered, || queue_busy.set(false));
        let changes = m.wire("changes", registers.written(&port::QUEUE_COMMAND) & is_operation & alive & !queue_busy);
        when(changes & queue_command.can_take(), || {
            queue_busy.set(true);
            queue_command.offer(QueueCommand {
                operation,
                queue: registers.field(&port::QUEUE_COMMAND, &port::queue_command::QID),
                completion_queue: attribute(&port::queue_attributes::CQID),
                function: lit(0u8, 8),
                qid: registers.field(&port::QUEUE_COMMAND, &port::queue_command::QID).zext(16),
                priority: lit(0u8, 2),
                page: cat(&[base_high, base_low.bits(12..32)]),
                last: (size - 1).low(crate::config::INDEX_BITS),
                interrupts: attribute(&port::queue_attributes::IEN),
                vector: attribute(&port::queue_attributes::VECTOR),
            });
        });
        registers.show(&port::QUEUE_STATE, &[(&port::queue_state::BUSY, queue_busy)]);
        registers.whole(&port::QUEUE_IN_FLIGHT).set(selected_in_flight.zext(32));

        // 4. Next state: transfers.
        let prp1_low = registers.whole(&port::TRANSFER_PRP1_LOW);
        let prp1_high = registers.whole(&port::TRANSFER_PRP1_HIGH);
        let prp2_low = registers.whole(&port::TRANSFER_PRP2_LOW);
        let prp2_high = registers.whole(&port::TRANSFER_PRP2_HIGH);
        let length = registers.whole(&port::TRANSFER_LENGTH);
        let starts = m.wire("starts", registers.written(&port::TRANSFER_START) & alive & !transfer_busy);
        when(transfer_done, || {
            transfer_busy.set(false);
            transfer_result.set(transfer_status);
            transfer_latch.set(true);
        });
        when(starts & transfer.can_take(), || {
            transfer_busy.set(true);
            transfer_latch.set(false);
            let to_host = registers.whole(&port::TRANSFER_START);
            let [read, write] =
                [Operation::Read, Operation::Write].map(|operation| lit(operation.code(), Operation::WIDTH));
            transfer.offer(Command {
                sqid: lit(0u8, 8),
                function: lit(0u8, 8),
                cid: lit(0u8, 16),
                opcode: lit(0u8, 8),
                nsid: lit(0u8, 32),
                operation: EnumSignal::from_signal(to_host.mux(read, write)),
                target: EnumSignal::of(Target::Buffer),
                lba: lit(0u8, 64),
                blocks: lit(0u8, 17),
                bytes: length.zext(22),
                fua: lit(0u8, 1),
                prp1: cat(&[prp1_high, prp1_low]),
                prp2: cat(&[prp2_high, prp2_low]),
            });
        });
        registers.show(
            &port::TRANSFER_STATE,
            &[(&port::transfer_state::BUSY, transfer_busy), (&port::transfer_state::STATUS, transfer_result)],
        );

        // 4. Next state: events. A life's events end with it.
        let shutdown_now = get(cc, &regs::cc::SHN);
        shn.set(shutdown_now);
        when(registers.field(&port::CONTROL, &port::control::ACK_SHUTDOWN), || shutdown_latch.set(false));
        when(shutdown_now.ne(shn) & shutdown_now.any(), || shutdown_latch.set(true));
        let latches = [
            (&port::events::TRANSFER_DONE, transfer_latch, None),
            (&port::events::COMPLETION_ROOM, room_latch, Some(firmware_room)),
            (&port::events::INVALID_DOORBELL, unknown_latch, Some(doorbell_unknown)),
            (&port::events::INVALID_DOORBELL_VALUE, illegal_latch, Some(doorbell_illegal)),
        ];
        for (field, latch, cause) in latches {
            when(registers.field(&port::EVENTS_CLEAR, field), || latch.set(false));
            if let Some(cause) = cause {
                when(cause & alive, || latch.set(true));
            }
        }
        when((host_error | queue_write_error) & alive, || error_latch.set(true));
        when(clear, || {
            for latch in [shutdown_latch, transfer_latch, room_latch, error_latch, unknown_latch, illegal_latch] {
                latch.set(false);
            }
            for busy in [completion_busy, queue_busy, transfer_busy] {
                busy.set(false);
            }
        });
        let events = [
            (&port::events::INBOX, head_shown),
            (&port::events::ENABLE, enabling),
            (&port::events::DISABLED, disabled),
            (&port::events::SHUTDOWN, shutdown_latch),
            (&port::events::TRANSFER_DONE, transfer_latch),
            (&port::events::COMPLETION_ROOM, room_latch),
            (&port::events::HOST_ERROR, error_latch),
            (&port::events::INVALID_DOORBELL, unknown_latch),
            (&port::events::INVALID_DOORBELL_VALUE, illegal_latch),
        ];
        registers.show(&port::EVENTS, &events);
        event.set(cat(&events.map(|(_, bit)| bit)).any());

        // 4. Next state: counters.
        let one = lit(1u8, 17);
        let counts = [
            (port::READ_COMMANDS, read_done, one),
            (port::WRITE_COMMANDS, write_done, one),
            (port::READ_BLOCKS, read_done, blocks_done),
            (port::WRITE_BLOCKS, write_done, blocks_done),
            (port::HOST_WRITE_ERRORS, write_error, one),
        ];
        for (counter, pulse, step) in counts {
            let name = counter.low.name.trim_end_matches("_LOW").to_lowercase();
            let count = m.reg(&name, clock, zero(64));
            when(pulse, || count.set(count + step.zext(64)));
            let reads_low = bus.read_address().bits(2..FIRMWARE_ADDRESS_BITS).eq(counter.low.offset / 4);
            when(bus.read() & read_settled & reads_low, || counter_high.set(count.bits(32..64)));
            registers.whole(&counter.low).set(count.low(32));
            registers.whole(&counter.high).set(counter_high);
        }

        // 4. Next state: the plain registers.
        let blocks_low = registers.whole(&port::NAMESPACE_BLOCKS_LOW);
        let blocks_high = registers.whole(&port::NAMESPACE_BLOCKS_HIGH);
        for (reg, value) in [
            (&port::CC, cc),
            (&port::AQA, aqa),
            (&port::ASQ_LOW, asq.low(32)),
            (&port::ASQ_HIGH, asq.bits(32..64)),
            (&port::ACQ_LOW, acq.low(32)),
            (&port::ACQ_HIGH, acq.bits(32..64)),
        ] {
            registers.whole(reg).set(value);
        }
        for field in port::STATUS_SET.fields {
            registers.field(&port::STATUS_SET, field).set(get(status.zext(32), field));
        }
        let writes_status = accept & bus.write_address().bits(2..FIRMWARE_ADDRESS_BITS).eq(port::STATUS_SET.offset / 4);
        let word = m.wire("word", read_entry.mux(entry_word & head_shown.repeat(32), file.port("read_data")));
        when(bus.read() & read_settled, || bus.answer_read(read_buffer.mux(buffer_read_data, word)));

        // 5. Outputs
        m.output("select", registers.whole(&port::QUEUE_SELECT));
        m.output("namespace_blocks", cat(&[blocks_high, blocks_low]));
        m.output("acknowledge", registers.field(&port::CONTROL, &port::control::ACK_DISABLE));
        m.output("status_write", writes_status);
        m.output("status_value", data.low(STATUS_BITS));
        m.output("firmware_event", event);
    }
}
