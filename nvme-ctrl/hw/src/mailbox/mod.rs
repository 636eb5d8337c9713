//! # Mailbox
//!
//! The registers through which firmware sees the controller: commands for it, completions from it, queues, transfers, events.
//!
//! ## Symbol
//! ```text
//!                          +--- mailbox ---+
//!      firmware ===========|               |---> firmware_completion  Completion   (to queues)
//!         inbox ---------->| from decode   |---> queue_command        QueueCommand (to queues)
//!       failure ---------->| from slots    |---> released             Released     (to queues)
//!    answers of queues --->|               |---> transfer             Command      (to the I/O engine)
//!    transfer_done, .. --->|               |---> buffer_write, ..                  (to the I/O engine)
//! cc_f0, aqa_f0, .. ------>|               |---> acknowledge_f0, status_write_f0, status_value (to lifecycle)
//! alive_f0, enabling_f0, ->|               |---> namespace_write, namespace_row    (to decode)
//!     subsystem_reset ---->|               |---> clear_nssro_f0, ..                (to regs)
//!       errors, counts --->|               |---> arbitration_f0, coalescing_f0, ..  (to queues and irq)
//!   clearing, window_.. -->|               |---> window_read, window_sqid, window_index (to latency)
//!   errand_busy, .. ------>|               |---> errand_erase, ..                   (to errand)
//!                          |               |---> firmware_event
//!                          +---------------+
//! ```
//! Ports that end in `_f0` are there once for each function: `_f0`, `_f1` and so on.
//!
//! ## Theory of operation
//! [`nvme_spec::firmware_port`] is the table of registers, and says what each does; [`rtl_csr::RegisterFile`] makes them from it.
//! 1. Commands from `decode` and failed commands from the I/O engine take turns into the inbox. Firmware pops them; only then their place in
//!    the completion queue and their count in flight are released, so firmware sees a command before its queue is empty.
//! 2. When the life of a function has ended, its commands leave the inbox without firmware: they are dropped as they come.
//! 3. A completion, a change of queues, or a transfer is handed on and `BUSY` until it is answered, one of each kind at a time. After the end
//!    of a life nothing is handed on for its function, and what was busy for it is not any more.
//! 4. `firmware_event` is the OR of the register EVENTS, which has a bit for every function with an event.
//! 5. A row of the table of namespaces goes to `decode` when firmware commits it: nothing is judged by half of a row.
//! 6. The alarm compares the higher half of a count of clocks with what firmware asked for.
//! 7. BUFFER_CLEAR writes a zero to each dword of the buffer, one in a clock. Writes of firmware wait meanwhile, and so do reads of the buffer.
//! 8. A counter of the window LATENCY is asked of `latency`, whose clearing of counters is part of the creation of a submission queue.
//!
//! ## Timing
//! A read is answered after 4 clocks, of a counter of LATENCY a few more, a write after 2, but behind BUFFER_CLEAR after 1024; `firmware_event` follows EVENTS by one clock.
//!
//! ## Limits
//! Registers are written as whole dwords; the buffer too. What is written to a register of pulses while it is BUSY is lost.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::buffer::DWORD_INDEX_BITS;
use crate::complete::SECTOR_COUNT_BITS;
use crate::decode::NamespaceRow;
use crate::held::{bit_at, get, placed, port_name, register_of};
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
    Signal, Value,
};
use rtl_prim::fifo_of;
use std::mem::offset_of;

#[cfg(test)]
mod bench;

/// Commands that wait for firmware here.
const INBOX_DEPTH: u32 = 4;

/// The largest number that CONFIGURATION.SLOTS can show.
const SLOTS_SHOWN_MAX: u32 = port::configuration::SLOTS.max() as u32;

/// Width of the number of a function in here.
const FUNCTION_BITS: u32 = address_width(port::FUNCTIONS_MAX);

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

/// Bits of an offset in the window LATENCY, and in the hole behind it.
const WINDOW_BITS: u32 = address_width(port::LATENCY.bytes);

const _: () = assert!(port::LATENCY.offset.is_multiple_of(1 << WINDOW_BITS));

/// The clocks that ALARM does not look at.
const ALARM_BITS: std::ops::Range<u32> = port::ALARM_UNIT_LOG2_CLOCKS..port::ALARM_UNIT_LOG2_CLOCKS + 32;

/// What this hardware does with what firmware tells it: CAPABILITIES. Who joins a block to one of these outputs sets its bit.
const CAPABILITIES: u64 = port::capabilities::NAMESPACE_BASE.mask()
    | port::capabilities::NAMESPACE_FORMAT.mask()
    | port::capabilities::WEIGHTED_ROUND_ROBIN.mask()
    | port::capabilities::STORAGE_ERASE.mask()
    | port::capabilities::STORAGE_COPY.mask();

/// The name of a port that belongs to a function.
fn of(name: &str, function: u32) -> String {
    format!("{name}_f{function}")
}

/// The registers of a register file, by the names of the specification.
struct Registers<'a> {
    file: &'a InstanceHandle,
    /// What their names begin with: banks of functions have the same registers.
    prefix: String,
}

/// What the names of the registers of a function begin with.
fn bank_prefix(function: u32) -> String {
    format!("F{function}_")
}

impl Registers<'_> {
    /// What firmware wrote to a field, or what it reads there.
    #[track_caller]
    fn field(&self, reg: &Reg, field: &Field) -> Signal {
        self.file.port(&format!("{}{}", self.prefix, port_name(reg, field)))
    }

    /// The only field of a register.
    #[track_caller]
    fn whole(&self, reg: &Reg) -> Signal {
        self.field(reg, &reg.fields[0])
    }

    /// True in the clock after `reg` was written.
    #[track_caller]
    fn written(&self, reg: &Reg) -> Signal {
        self.file.port(&format!("{}{}_written", self.prefix, reg.name))
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
        let functions = port::functions::COUNT.set(0, config.functions.into());
        let functions = port::functions::VECTORS.set(functions, config.vectors().into());
        let entries_log2 = config.queue_entries_max.ilog2().into();
        let constants = [
            (&port::ID, port::ID.reset),
            (&port::VERSION, port::VERSION.reset),
            (&port::CONFIGURATION, port::configuration::QUEUE_ENTRIES_LOG2.set(configuration, entries_log2)),
            (&port::LBA_BYTES, config.lba_bytes.into()),
            (&port::FUNCTIONS, functions),
            (&port::CAPABILITIES, CAPABILITIES),
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
        let of_function = |function: u32| {
            port::REGS.iter().filter(|reg| port::is_of_function(reg)).map(move |reg| {
                let banked = port::of_function(reg, function as u8);
                let mut register = register(&banked);
                register.name = format!("{}{}", bank_prefix(function), register.name);
                register
            })
        };
        let registers = port::REGS.iter().filter(|reg| !port::is_of_function(reg)).map(register);
        let registers = registers.chain((0..config.functions).flat_map(of_function)).collect();
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
        let functions = 0..self.config.functions;
        let of_each = |name: &str, width: u32| -> Vec<Signal> {
            functions.clone().map(|function| m.input(&of(name, function), width)).collect()
        };
        let [alive, clear, enabling, disabled] =
            ["alive", "clear", "enabling", "disabled"].map(|name| of_each(name, 1));
        let status = of_each("status", STATUS_BITS);
        let cc = of_each("cc", 32);
        let aqa = of_each("aqa", 32);
        let asq = of_each("asq", 64);
        let acq = of_each("acq", 64);
        let [doorbell_unknown, doorbell_illegal] =
            ["doorbell_unknown", "doorbell_illegal"].map(|name| of_each(name, 1));
        let [host_error, queue_write_error] = ["host_error", "queue_write_error"].map(|name| of_each(name, 1));
        let [command_answered, firmware_answered] = ["command_answered", "firmware_answered"].map(input);
        let [firmware_refused, firmware_dropped] = ["firmware_refused", "firmware_dropped"].map(input);
        let firmware_room = input("firmware_room");
        let subsystem_reset = input("subsystem_reset");
        let selected_in_flight = m.input("selected_in_flight", crate::config::INDEX_BITS);
        let transfer_done = input("transfer_done");
        let transfer_status = m.input("transfer_status", 15);
        let [read_done, verify_done, write_done] = ["read_done", "verify_done", "write_done"].map(input);
        let sectors_done = m.input("sectors_done", SECTOR_COUNT_BITS);
        let write_error = input("write_error");
        let buffer_read_data = m.input("buffer_read_data", 32);
        let [clearing, window_ready] = ["clearing", "window_ready"].map(input);
        let [errand_busy, drains] = ["errand_busy", "drains"].map(input);
        let errand_failure = m.input("errand_failure", 15);
        let window_data = m.input("window_data", 32);

        // 2. State
        let inbox = fifo_of::<Inbox>(m, "waiting", INBOX_DEPTH);
        let turn_of_failed = m.reg("turn_of_failed", clock, false);
        // A read: its address is in a register, so that finding the word takes a clock of its own, and then the word is.
        let read_begun = m.reg("read_begun", clock, false);
        let read_address = m.reg_without_reset("read_address_held", clock, FIRMWARE_ADDRESS_BITS);
        let read_settled = m.reg("read_settled", clock, false);
        let completion_busy = m.reg("completion_busy", clock, false);
        let completion_refused = m.reg("completion_refused", clock, false);
        let completion_dropped = m.reg("completion_dropped", clock, false);
        let completion_function = m.reg_without_reset("completion_owner", clock, FUNCTION_BITS);
        let queue_busy = m.reg("queue_busy", clock, false);
        let queue_function = m.reg_without_reset("queue_owner", clock, FUNCTION_BITS);
        let transfer_function = m.reg_without_reset("transfer_owner", clock, FUNCTION_BITS);
        let transfer_busy = m.reg("transfer_busy", clock, false);
        let transfer_dropped = m.reg("transfer_dropped", clock, false);
        let transfer_result = m.reg("transfer_result", clock, zero(15));
        // The buffer is being cleared, from here on.
        let wiping = m.reg("wiping", clock, false);
        let wiped = m.reg("wiped", clock, zero(DWORD_INDEX_BITS));
        let alarm = m.reg("alarm", clock, false);
        let event = m.reg("event_line", clock, false);
        let counter_high = m.reg_without_reset("counter_high", clock, 32);
        let latch = |name: &str| m.reg(name, clock, false);
        let transfer_latch = latch("transfer_latch");
        let room_latch = latch("room_latch");
        let subsystem_latch = latch("subsystem_latch");

        // 3. Conditions
        let pops = m.wire("pops", bus.write_address().bits(2..FIRMWARE_ADDRESS_BITS).eq(port::INBOX_POP.offset / 4));
        let file = &m.instance("registers", &self.register_file());
        let registers = Registers { file, prefix: String::new() };
        let wipes = registers.whole(&port::BUFFER_CLEAR);
        let accept = m.wire("accept", bus.write() & (!pops | released.can_take()) & !(wipes | wiping));
        let data = bus.write_data();
        let bank = |function: u32| Registers { file, prefix: bank_prefix(function) };
        let lives: Vec<Signal> = alive.iter().rev().copied().collect();
        let lives = m.wire("lives", cat(&lives));
        let is_alive = |function: Signal| bit_at(lives, function.low(FUNCTION_BITS));
        let in_buffer = |address: Signal| {
            address.ge(port::BUFFER.offset) & address.zext(FIRMWARE_ADDRESS_BITS + 1).lt(port::BUFFER.end())
        };
        let write_buffer = m.wire("write_buffer", accept & in_buffer(bus.write_address()));
        let read_buffer = m.wire("read_buffer", in_buffer(bus.read_address()));
        let in_window =
            bus.read_address().bits(WINDOW_BITS..FIRMWARE_ADDRESS_BITS).eq(port::LATENCY.offset >> WINDOW_BITS);
        let read_window = m.wire("read_window", in_window);
        let head_lives = m.wire("head_lives", is_alive(inbox.payload().function));
        let discards = m.wire("discards", !head_lives & inbox.valid() & released.can_take());
        let head_shown = m.wire("head_shown", head_lives & inbox.valid());

        // 4. Next state: the bus.
        when(accept, || bus.accept_write());
        file.port("write").set(accept);
        file.port("write_address").set(bus.write_address());
        file.port("write_data").set(data);
        file.port("write_strobe").set(bus.write_strobe());
        file.port("read_address").set(read_address);
        // What is written to a register of pulses is there for one clock.
        for reg in port::REGS {
            let prefixes: Vec<String> = match port::is_of_function(reg) {
                true => functions.clone().map(bank_prefix).collect(),
                false => vec![String::new()],
            };
            let is_pulse = |field: &&Field| matches!(field.access, reg::Access::W1c | reg::Access::W1s);
            for (prefix, field) in prefixes.iter().flat_map(|p| reg.fields.iter().filter(is_pulse).map(move |f| (p, f)))
            {
                file.port(&format!("{prefix}{}_clear", port_name(reg, field))).set(Constant::ones(field.width));
            }
        }
        // The buffer answers one clock after its address, which is the read's unless a write needs it.
        let buffer_write = m.wire("writes_buffer", write_buffer | wiping);
        let buffer_busy = m.wire("buffer_busy", buffer_write & read_buffer);
        let settles = m.wire("settles", read_begun & !read_settled & !buffer_busy & (!read_window | window_ready));
        read_begun.set(bus.read() & !read_settled);
        read_address.set(bus.read_address());
        read_settled.set(settles);
        when(wipes, || wiping.set(true));
        when(wiping, || {
            wiped.set(wiped + 1);
            when(wiped.all(), || wiping.set(false));
        });
        let word_bits = 2..2 + DWORD_INDEX_BITS;
        let word = write_buffer.mux(bus.write_address().bits(word_bits.clone()), bus.read_address().bits(word_bits));
        m.output("buffer_write", buffer_write);
        m.output("buffer_address", wiping.mux(wiped, word));
        m.output("buffer_write_data", data & !wiping.repeat(32));

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
                function: failed.function,
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
                (&port::inbox_status::FUNCTION, shown(head.function.low(port::inbox_status::FUNCTION.width))),
                (&port::inbox_status::SLOT, shown(head.sqid)),
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
        let completes_for = registers.field(&port::COMPLETION_ID, &port::completion_id::FUNCTION);
        let may_complete = m.wire("may_complete", is_alive(completes_for));
        when(posts & may_complete & completion.can_take(), || {
            completion_busy.set(true);
            completion_function.set(completes_for.low(FUNCTION_BITS));
            completion.offer(Completion {
                sqid: registers.field(&port::COMPLETION_ID, &port::completion_id::SLOT),
                cid: registers.field(&port::COMPLETION_ID, &port::completion_id::CID),
                status: registers.whole(&port::COMPLETION_POST),
                result: registers.whole(&port::COMPLETION_RESULT),
                from_firmware: lit(1u8, 1),
            });
        });
        when(posts & !may_complete, || {
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
        let changes_for = registers.field(&port::QUEUE_IDENTITY, &port::queue_identity::FUNCTION);
        let may_change = m.wire("may_change", is_operation & is_alive(changes_for) & !queue_busy);
        let changes = m.wire("changes", registers.written(&port::QUEUE_COMMAND) & may_change);
        when(changes & queue_command.can_take(), || {
            queue_busy.set(true);
            queue_function.set(changes_for.low(FUNCTION_BITS));
            queue_command.offer(QueueCommand {
                operation,
                queue: registers.field(&port::QUEUE_COMMAND, &port::queue_command::SLOT),
                function: changes_for,
                qid: registers.field(&port::QUEUE_IDENTITY, &port::queue_identity::QID),
                priority: attribute(&port::queue_attributes::QPRIO),
                completion_queue: attribute(&port::queue_attributes::CQ_SLOT),
                page: cat(&[base_high, base_low.bits(12..32)]),
                last: (size - 1).low(crate::config::INDEX_BITS),
                interrupts: attribute(&port::queue_attributes::IEN),
                vector: attribute(&port::queue_attributes::VECTOR),
            });
        });
        registers.show(&port::QUEUE_STATE, &[(&port::queue_state::BUSY, queue_busy | clearing)]);
        registers.whole(&port::QUEUE_IN_FLIGHT).set(selected_in_flight.zext(32));

        // 4. Next state: transfers.
        let prp1_low = registers.whole(&port::TRANSFER_PRP1_LOW);
        let prp1_high = registers.whole(&port::TRANSFER_PRP1_HIGH);
        let prp2_low = registers.whole(&port::TRANSFER_PRP2_LOW);
        let prp2_high = registers.whole(&port::TRANSFER_PRP2_HIGH);
        let length = registers.whole(&port::TRANSFER_LENGTH);
        let transfers_for = registers.field(&port::TRANSFER_START, &port::transfer_start::FUNCTION);
        let may_transfer = m.wire("may_transfer", is_alive(transfers_for) & !transfer_busy);
        let starts = m.wire("starts", registers.written(&port::TRANSFER_START) & may_transfer);
        when(transfer_done, || {
            transfer_busy.set(false);
            transfer_result.set(transfer_status);
            transfer_latch.set(true);
        });
        when(registers.written(&port::TRANSFER_START), || transfer_dropped.set(!is_alive(transfers_for)));
        when(starts & transfer.can_take(), || {
            transfer_busy.set(true);
            transfer_function.set(transfers_for.low(FUNCTION_BITS));
            transfer_latch.set(false);
            let to_host = registers.field(&port::TRANSFER_START, &port::transfer_start::DIRECTION);
            let [read, write] =
                [Operation::Read, Operation::Write].map(|operation| lit(operation.code(), Operation::WIDTH));
            transfer.offer(Command {
                sqid: lit(0u8, 8),
                function: transfers_for,
                cid: lit(0u8, 16),
                opcode: lit(0u8, 8),
                nsid: lit(0u8, 32),
                operation: EnumSignal::from_signal(to_host.mux(read, write)),
                target: EnumSignal::of(Target::Buffer),
                errand: lit(0u8, 1),
                lba: lit(0u8, 64),
                blocks: lit(0u8, 17),
                sector: lit(0u8, 64),
                large_blocks: lit(0u8, 1),
                bytes: length.zext(22),
                fua: lit(0u8, 1),
                fused: lit(0u8, 1),
                sgl: registers.field(&port::TRANSFER_START, &port::transfer_start::SGL),
                prp1: cat(&[prp1_high, prp1_low]),
                prp2: cat(&[prp2_high, prp2_low]),
            });
        });
        registers.show(
            &port::TRANSFER_STATE,
            &[
                (&port::transfer_state::BUSY, transfer_busy),
                (&port::transfer_state::DROPPED, transfer_dropped),
                (&port::transfer_state::STATUS, transfer_result),
            ],
        );

        // 4. Next state: events. A life's events end with it.
        let latches = [
            (&port::events::TRANSFER_DONE, transfer_latch, None),
            (&port::events::COMPLETION_ROOM, room_latch, Some(firmware_room & lives.any())),
            (&port::events::SUBSYSTEM_RESET, subsystem_latch, Some(subsystem_reset)),
        ];
        for (field, latch, cause) in latches {
            when(registers.field(&port::EVENTS_CLEAR, field), || latch.set(false));
            if let Some(cause) = cause {
                when(cause, || latch.set(true));
            }
        }
        let mut function_events = vec![];
        for function in functions.clone() {
            let at = function as usize;
            let bank = bank(function);
            let latch = |name: &str| m.reg(&of(name, function), clock, false);
            let shutdown_latch = latch("shutdown_latch");
            let error_latch = latch("error_latch");
            let unknown_latch = latch("unknown_latch");
            let illegal_latch = latch("illegal_latch");
            let shn = m.reg(&of("last_shn", function), clock, zero(regs::cc::SHN.width));
            let shutdown_now = get(cc[at], &regs::cc::SHN);
            shn.set(shutdown_now);
            when(bank.field(&port::CONTROL, &port::control::ACK_SHUTDOWN), || shutdown_latch.set(false));
            when(shutdown_now.ne(shn) & shutdown_now.any(), || shutdown_latch.set(true));
            for (field, latch, cause) in [
                (&port::function_events::INVALID_DOORBELL, unknown_latch, doorbell_unknown[at]),
                (&port::function_events::INVALID_DOORBELL_VALUE, illegal_latch, doorbell_illegal[at]),
            ] {
                when(bank.field(&port::FUNCTION_EVENTS_CLEAR, field), || latch.set(false));
                when(cause & alive[at], || latch.set(true));
            }
            when((host_error[at] | queue_write_error[at]) & alive[at], || error_latch.set(true));
            when(clear[at], || {
                for latch in [shutdown_latch, error_latch, unknown_latch, illegal_latch] {
                    latch.set(false);
                }
                for (busy, whose) in [(completion_busy, completion_function), (queue_busy, queue_function)] {
                    when(whose.eq(function), || busy.set(false));
                }
                when(transfer_function.eq(function), || {
                    transfer_busy.set(false);
                    transfer_latch.set(false);
                });
            });
            let events = [
                (&port::function_events::ENABLE, enabling[at]),
                (&port::function_events::DISABLED, disabled[at]),
                (&port::function_events::SHUTDOWN, shutdown_latch),
                (&port::function_events::HOST_ERROR, error_latch),
                (&port::function_events::INVALID_DOORBELL, unknown_latch),
                (&port::function_events::INVALID_DOORBELL_VALUE, illegal_latch),
            ];
            bank.show(&port::FUNCTION_EVENTS, &events);
            function_events.insert(0, cat(&events.map(|(_, bit)| bit)).any());
        }
        let events = [
            (&port::events::INBOX, head_shown),
            (&port::events::TRANSFER_DONE, transfer_latch),
            (&port::events::COMPLETION_ROOM, room_latch),
            (&port::events::ALARM, alarm),
            (&port::events::SUBSYSTEM_RESET, subsystem_latch),
            (&port::events::FUNCTIONS, cat(&function_events).zext(port::FUNCTIONS_MAX)),
        ];
        registers.show(&port::EVENTS, &events);
        event.set(cat(&events.map(|(_, bit)| bit)).any());

        // 4. Next state: counters.
        let one = lit(1u8, SECTOR_COUNT_BITS);
        let counts = [
            (port::READ_COMMANDS, read_done, one),
            (port::WRITE_COMMANDS, write_done, one),
            (port::READ_SECTORS, read_done | verify_done, sectors_done),
            (port::WRITE_SECTORS, write_done, sectors_done),
            (port::HOST_WRITE_ERRORS, write_error, one),
            (port::CLOCK, lit(1u8, 1), one),
        ];
        for (counter, pulse, step) in counts {
            let name = counter.low.name.trim_end_matches("_LOW").to_lowercase();
            let count = m.reg(&format!("{name}_count"), clock, zero(64));
            when(pulse, || count.set(count + step.zext(64)));
            let reads_low = read_address.bits(2..FIRMWARE_ADDRESS_BITS).eq(counter.low.offset / 4);
            when(settles & reads_low, || counter_high.set(count.bits(32..64)));
            registers.whole(&counter.low).set(count.low(32));
            registers.whole(&counter.high).set(counter_high);
            if counter == port::CLOCK {
                // The numbers go round: what is less than half of them away has passed.
                let passed = count.bits(ALARM_BITS) - registers.whole(&port::ALARM);
                alarm.set(!passed.bit(31) & registers.whole(&port::ALARM_CONTROL));
            }
        }

        // 4. Next state: the plain registers.
        let pair = |high: &Reg, low: &Reg| cat(&[registers.whole(high), registers.whole(low)]);
        for function in functions.clone() {
            let at = function as usize;
            let bank = bank(function);
            for (reg, value) in [
                (&port::CC, cc[at]),
                (&port::AQA, aqa[at]),
                (&port::ASQ_LOW, asq[at].low(32)),
                (&port::ASQ_HIGH, asq[at].bits(32..64)),
                (&port::ACQ_LOW, acq[at].low(32)),
                (&port::ACQ_HIGH, acq[at].bits(32..64)),
            ] {
                bank.whole(reg).set(value);
            }
            for field in port::STATUS_SET.fields {
                bank.field(&port::STATUS_SET, field).set(get(status[at].zext(32), field));
            }
        }
        registers.show(
            &port::ERRAND_STATE,
            &[(&port::errand_state::BUSY, errand_busy | drains), (&port::errand_state::STATUS, errand_failure)],
        );
        let word = m.wire("word", read_entry.mux(entry_word & head_shown.repeat(32), file.port("read_data")));
        let answer = read_window.mux(window_data, read_buffer.mux(buffer_read_data, word));
        when(bus.read() & read_settled, || bus.answer_read(answer));

        // 5. Outputs
        m.output("select", registers.whole(&port::QUEUE_SELECT));
        m.output("errand_erase", registers.field(&port::ERRAND_START, &port::errand_start::ERASE));
        m.output("errand_copy", registers.field(&port::ERRAND_START, &port::errand_start::COPY));
        m.output("errand_drain", registers.field(&port::ERRAND_START, &port::errand_start::DRAIN));
        m.output("errand_sector", pair(&port::ERRAND_SECTOR_HIGH, &port::ERRAND_SECTOR_LOW));
        m.output("errand_sectors", registers.whole(&port::ERRAND_SECTORS));
        m.output("errand_source", pair(&port::ERRAND_SOURCE_HIGH, &port::ERRAND_SOURCE_LOW));
        m.output("window_read", read_begun & read_window & !read_settled);
        m.output("window_sqid", registers.whole(&port::LATENCY_SELECT));
        m.output("window_index", bus.read_address().bits(2..WINDOW_BITS));
        let control = |field: &Field| registers.field(&port::NAMESPACE_CONTROL, field);
        m.output("namespace_write", registers.whole(&port::NAMESPACE_COMMIT));
        m.output("namespace_index", registers.whole(&port::NAMESPACE_SELECT));
        let row = NamespaceRow {
            base: pair(&port::NAMESPACE_BASE_HIGH, &port::NAMESPACE_BASE_LOW),
            blocks: pair(&port::NAMESPACE_BLOCKS_HIGH, &port::NAMESPACE_BLOCKS_LOW),
            attached: control(&port::namespace_control::ATTACHED),
            lba_shift: control(&port::namespace_control::LBA_SHIFT),
            write_protected: control(&port::namespace_control::WRITE_PROTECTED),
        };
        m.output("namespace_row", row.pack());
        for function in functions {
            let bank = bank(function);
            let status_set = port::of_function(&port::STATUS_SET, function as u8).offset / 4;
            let writes_status = accept & bus.write_address().bits(2..FIRMWARE_ADDRESS_BITS).eq(status_set);
            m.output(&of("acknowledge", function), bank.field(&port::CONTROL, &port::control::ACK_DISABLE));
            m.output(&of("status_write", function), writes_status);
            m.output(&of("clear_nssro", function), bank.field(&port::CONTROL, &port::control::CLEAR_NSSRO));
            let weights = port::ARBITRATION.fields.iter().rev().map(|field| bank.field(&port::ARBITRATION, field));
            m.output(&of("arbitration", function), cat(&weights.collect::<Vec<_>>()));
            let thresholds = port::COALESCING.fields.iter().rev().map(|field| bank.field(&port::COALESCING, field));
            m.output(&of("coalescing", function), cat(&thresholds.collect::<Vec<_>>()));
            let vector = |field: &Field| bank.field(&port::VECTOR_COALESCING, field);
            m.output(&of("exempt_write", function), bank.written(&port::VECTOR_COALESCING));
            m.output(&of("exempt_vector", function), vector(&port::vector_coalescing::VECTOR));
            m.output(&of("exempt_value", function), vector(&port::vector_coalescing::DISABLE));
        }
        let is_quiet = |function: u32| !(transfer_busy & transfer_function.eq(function));
        m.output("quiet", cat(&(0..self.config.functions).rev().map(is_quiet).collect::<Vec<_>>()));
        m.output("status_value", data.low(STATUS_BITS));
        m.output("firmware_event", event);
    }
}
