//! The controller's firmware port: the registers behind its AXI4-Lite bus `firmware`, all of 32 bits.
//!
//! ## Functions
//! The controller has one or more PCIe functions, each a controller of its own to its host. The registers that belong to one function lie in a bank:
//! that of function 0 is in [`REGS`], and [`of_function`] moves a register to the bank of another. [`EVENTS`] has a summary bit for each function.
//!
//! ## Lives
//! A life of a function starts when its CC.EN rises and ends when it falls, or at a function level reset. From the end of a life until
//! [`control::ACK_DISABLE`] hardware drops whatever firmware still asks for it: [`COMPLETION_POST`] and [`TRANSFER_START`] end as dropped,
//! [`QUEUE_COMMAND`] and [`STATUS_SET`] do nothing and are not busy. The acknowledgement clears [`STATUS_SET`], all queues and all latched
//! events of the function. Every end of a life raises [`function_events::DISABLED`], also when the function was never ready.
//!
//! ## Queue slots
//! Hardware knows a queue by its slot: a number that firmware gives it when it creates it. Submission queues and completion queues have slots of
//! their own. Slot `f` below the number of functions is the admin queue of function `f`; the I/O queues of all functions share the slots above. The
//! host's name of a queue is in [`QUEUE_IDENTITY`] when it is created.
//!
//! ## Commands
//! The head of the inbox stays in [`INBOX_STATUS`] and [`INBOX_ENTRY`] until [`INBOX_POP`]. A command that was popped is firmware's: it is completed
//! by slot and command identifier, in any order and at any time, through [`COMPLETION_POST`]. It has no place in its completion queue until then.
//!
//! ## Namespaces
//! Hardware has a row for each namespace identifier from 1 to [`NAMESPACES_MAX`]; firmware writes a row by [`NAMESPACE_COMMIT`]. A command of the fast
//! path for a row that is empty, not attached to the command's function, or write protected comes to firmware. Rows
//! hold anything until they are written: firmware writes all of them before it makes the first function ready.

use crate::limits::{BUFFER_BYTES, NAMESPACES_MAX};
use crate::log::latency;
use crate::reg::{fields_are_disjoint, regs_are_disjoint, windows_are_disjoint, Access, Field, Reg, Window};

/// Bytes of the address space of the port.
pub const PORT_BYTES: u32 = 0x2000;

/// The value of [`ID`]: the letters FDNC, the first in the highest byte.
pub const ID_VALUE: u32 = u32::from_be_bytes(*b"FDNC");

/// The version of this interface: it changes when a register does. Firmware refuses a version it does not know.
pub const INTERFACE_VERSION: u32 = 7;

/// Most functions of any hardware.
pub const FUNCTIONS_MAX: u32 = 8;

/// Where the bank of function 0 begins.
pub const FUNCTION_BANK: u32 = 0x800;

/// Bytes of the bank of a function.
pub const FUNCTION_BANK_BYTES: u32 = 0x40;

/// Whether the register belongs to a function: it is in the bank of function 0.
pub const fn is_of_function(reg: &Reg) -> bool {
    reg.offset >= FUNCTION_BANK && reg.offset < FUNCTION_BANK + FUNCTION_BANK_BYTES
}

/// A register of function 0 in the bank of `function`.
pub const fn of_function(reg: &Reg, function: u8) -> Reg {
    assert!(is_of_function(reg), "the register belongs to a function");
    assert!((function as u32) < FUNCTIONS_MAX, "there are not more functions");
    Reg { offset: reg.offset + function as u32 * FUNCTION_BANK_BYTES, ..*reg }
}

const fn read_only(name: &'static str, offset: u32, doc: &'static str) -> Reg {
    Reg { name, offset, bytes: 4, reset: 0, fields: WORD_RO, doc }
}

const fn read_write(name: &'static str, offset: u32, doc: &'static str) -> Reg {
    Reg { name, offset, bytes: 4, reset: 0, fields: WORD_RW, doc }
}

const fn with_fields(name: &'static str, offset: u32, fields: &'static [Field], doc: &'static str) -> Reg {
    Reg { name, offset, bytes: 4, reset: 0, fields, doc }
}

const WORD_RO: &[Field] = &[Field::new("VALUE", 0, 32, Access::Ro).with_doc("The whole register.")];
const WORD_RW: &[Field] = &[Field::new("VALUE", 0, 32, Access::Rw).with_doc("The whole register.")];

/// Which block this is: [`ID_VALUE`].
pub const ID: Reg = Reg { reset: ID_VALUE as u64, ..read_only("ID", 0x000, "Which block this is: the letters FDNC.") };

/// Which version of this table it follows: [`INTERFACE_VERSION`].
pub const VERSION: Reg =
    Reg { reset: INTERFACE_VERSION as u64, ..read_only("VERSION", 0x004, "Version of this interface.") };

/// Fields of [`CONFIGURATION`].
pub mod configuration {
    use super::{Access, Field};

    /// Number of I/O queue pairs.
    pub const IO_QUEUES: Field =
        Field::new("IO_QUEUES", 0, 8, Access::Ro).with_doc("Number of I/O queue pairs of all functions together.");
    /// Number of units in flight.
    pub const UNITS: Field = Field::new("UNITS", 8, 8, Access::Ro).with_doc("Number of units in flight.");
    /// Number of commands in flight.
    pub const SLOTS: Field = Field::new("SLOTS", 16, 8, Access::Ro).with_doc("Number of commands in flight.");
    /// Size of the largest queue.
    pub const QUEUE_ENTRIES_LOG2: Field = Field::new("QUEUE_ENTRIES_LOG2", 24, 5, Access::Ro)
        .with_doc("Log2 of the number of entries of the largest queue: CAP.MQES + 1.");
}

/// How the hardware was configured; the reset value depends on it.
pub const CONFIGURATION: Reg = with_fields(
    "CONFIGURATION",
    0x008,
    &[configuration::IO_QUEUES, configuration::UNITS, configuration::SLOTS, configuration::QUEUE_ENTRIES_LOG2],
    "How the hardware was configured.",
);

/// Bytes of a logical block; the reset value depends on the configuration.
pub const LBA_BYTES: Reg = read_only("LBA_BYTES", 0x00C, "Bytes of a logical block.");

/// Fields of [`EVENTS`] and [`EVENTS_CLEAR`].
pub mod events {
    use super::{Access, Field, FUNCTIONS_MAX};

    /// The inbox is not empty.
    pub const INBOX: Field = Field::new("INBOX", 0, 1, Access::Ro).with_doc("Level: the inbox is not empty.");
    /// A transfer ended.
    pub const TRANSFER_DONE: Field = Field::new("TRANSFER_DONE", 4, 1, Access::Ro)
        .with_doc("Latched until EVENTS_CLEAR or the next TRANSFER_START: a transfer has ended.");
    /// A refused completion may be tried again.
    pub const COMPLETION_ROOM: Field = Field::new("COMPLETION_ROOM", 5, 1, Access::Ro)
        .with_doc("Latched until EVENTS_CLEAR: a completion queue that refused a completion got room.");
    /// The alarm.
    pub const ALARM: Field =
        Field::new("ALARM", 6, 1, Access::Ro).with_doc("Level: the alarm is armed, and its time has come.");
    /// The NVM subsystem is reset.
    pub const SUBSYSTEM_RESET: Field = Field::new("SUBSYSTEM_RESET", 7, 1, Access::Ro).with_doc(
        "Latched until EVENTS_CLEAR: a host wrote NSSR, CSTS.NSSRO of all functions is 1; comes before their DISABLED.",
    );
    /// Functions with an event.
    pub const FUNCTIONS: Field = Field::new("FUNCTIONS", 16, FUNCTIONS_MAX, Access::Ro)
        .with_doc("A bit for each function, the lowest for function 0: its FUNCTION_EVENTS is not zero.");

    /// The same bits in `EVENTS_CLEAR`.
    pub(super) const CLEAR: &[Field] = &[
        Field::new("TRANSFER_DONE", 4, 1, Access::W1c).with_doc("Clears EVENTS.TRANSFER_DONE."),
        Field::new("COMPLETION_ROOM", 5, 1, Access::W1c).with_doc("Clears EVENTS.COMPLETION_ROOM."),
        Field::new("SUBSYSTEM_RESET", 7, 1, Access::W1c).with_doc("Clears EVENTS.SUBSYSTEM_RESET."),
    ];
}

/// What firmware has to look at. The event line is the OR of all bits.
pub const EVENTS: Reg = with_fields(
    "EVENTS",
    0x010,
    &[
        events::INBOX,
        events::TRANSFER_DONE,
        events::COMPLETION_ROOM,
        events::ALARM,
        events::SUBSYSTEM_RESET,
        events::FUNCTIONS,
    ],
    "What firmware has to look at; the event line is the OR of all bits.",
);

/// Clears latched bits of [`EVENTS`]; reads as zero.
pub const EVENTS_CLEAR: Reg =
    with_fields("EVENTS_CLEAR", 0x014, events::CLEAR, "Clears latched bits of EVENTS; reads as zero.");

/// Fields of [`FUNCTIONS`].
pub mod functions {
    use super::{Access, Field};

    /// Number of functions.
    pub const COUNT: Field = Field::new("COUNT", 0, 4, Access::Ro).with_doc("Number of functions, at least 1.");
    /// Interrupt vectors.
    pub const VECTORS: Field =
        Field::new("VECTORS", 16, 12, Access::Ro).with_doc("Number of interrupt vectors of each function.");
}

/// The functions; the reset value depends on the configuration.
pub const FUNCTIONS: Reg =
    with_fields("FUNCTIONS", 0x018, &[functions::COUNT, functions::VECTORS], "How many functions there are.");

/// Fields of [`CAPABILITIES`].
pub mod capabilities {
    use super::{Access, Field};

    /// Namespaces have a base.
    pub const NAMESPACE_BASE: Field = Field::new("NAMESPACE_BASE", 0, 1, Access::Ro)
        .with_doc("Hardware adds the base of a namespace's row; without it, there is one namespace, with base 0.");
    /// Namespaces have a format.
    pub const NAMESPACE_FORMAT: Field = Field::new("NAMESPACE_FORMAT", 1, 1, Access::Ro)
        .with_doc("Hardware follows LBA_SHIFT of a namespace's row; without it, all blocks have LBA_BYTES.");
    /// Weighted round robin.
    pub const WEIGHTED_ROUND_ROBIN: Field = Field::new("WEIGHTED_ROUND_ROBIN", 2, 1, Access::Ro).with_doc(
        "Hardware follows ARBITRATION and QPRIO where CC.AMS selects weighted round robin with urgent class.",
    );
    /// The storage can be erased.
    pub const STORAGE_ERASE: Field = Field::new("STORAGE_ERASE", 3, 1, Access::Ro)
        .with_doc("Hardware erases storage on firmware's request: ERRAND_START.ERASE.");
    /// The storage can be copied.
    pub const STORAGE_COPY: Field = Field::new("STORAGE_COPY", 4, 1, Access::Ro)
        .with_doc("Hardware copies storage on firmware's request: ERRAND_START.COPY.");
}

/// What the hardware does with what firmware tells it; the reset value depends on the hardware.
pub const CAPABILITIES: Reg = with_fields(
    "CAPABILITIES",
    0x01C,
    &[
        capabilities::NAMESPACE_BASE,
        capabilities::NAMESPACE_FORMAT,
        capabilities::WEIGHTED_ROUND_ROBIN,
        capabilities::STORAGE_ERASE,
        capabilities::STORAGE_COPY,
    ],
    "What the hardware does with what firmware tells it.",
);

/// Fields of [`ARBITRATION`].
pub mod arbitration {
    use super::{Access, Field};

    /// Arbitration Burst.
    pub const AB: Field =
        Field::new("AB", 0, 3, Access::Rw).with_doc("Most commands fetched from a queue at a time: 2^AB; 7: no limit.");
    /// Low Priority Weight.
    pub const LPW: Field = Field::new("LPW", 8, 8, Access::Rw).with_doc("Low Priority Weight, minus one.");
    /// Medium Priority Weight.
    pub const MPW: Field = Field::new("MPW", 16, 8, Access::Rw).with_doc("Medium Priority Weight, minus one.");
    /// High Priority Weight.
    pub const HPW: Field = Field::new("HPW", 24, 8, Access::Rw).with_doc("High Priority Weight, minus one.");
}

/// The feature Arbitration, at the same bits.
pub const ARBITRATION: Reg = with_fields(
    "ARBITRATION",
    FUNCTION_BANK + 0x30,
    &[arbitration::AB, arbitration::LPW, arbitration::MPW, arbitration::HPW],
    "The feature Arbitration of the function.",
);

/// Log2 of the clocks of a unit of ALARM.
pub const ALARM_UNIT_LOG2_CLOCKS: u32 = 16;

/// When the alarm comes.
pub const ALARM: Reg =
    read_write("ALARM", 0x024, "When the alarm comes: bits 47:16 of CLOCK; at most 2^31 - 1 of these units from now.");

/// Fields of [`ALARM_CONTROL`].
pub mod alarm_control {
    use super::{Access, Field};

    /// Armed.
    pub const ARMED: Field = Field::new("ARMED", 0, 1, Access::Rw).with_doc("The alarm may come.");
}

/// Arms the alarm.
pub const ALARM_CONTROL: Reg =
    with_fields("ALARM_CONTROL", 0x028, &[alarm_control::ARMED], "Arms and disarms the alarm.");

/// Values of INBOX_STATUS.KIND.
pub mod inbox_kind {
    /// A command that hardware does not execute.
    pub const COMMAND: u32 = 0;
    /// A command of the fast path that met an error: firmware logs it and completes it with INBOX_STATUS.STATUS.
    pub const FAILED_COMMAND: u32 = 1;
}

/// Fields of [`INBOX_STATUS`].
pub mod inbox_status {
    use super::{Access, Field};

    /// There is a head.
    pub const VALID: Field = Field::new("VALID", 0, 1, Access::Ro)
        .with_doc("There is a command; the other fields and INBOX_ENTRY describe it.");
    /// Why it is here.
    pub const KIND: Field = Field::new("KIND", 1, 3, Access::Ro)
        .with_doc("0: a command that hardware does not execute; 1: a command that failed.");
    /// The function.
    pub const FUNCTION: Field = Field::new("FUNCTION", 4, 4, Access::Ro).with_doc("The function it belongs to.");
    /// The submission queue.
    pub const SLOT: Field = Field::new("SLOT", 8, 8, Access::Ro).with_doc("Slot of the submission queue it came from.");
    /// How it failed.
    pub const STATUS: Field = Field::new("STATUS", 16, 15, Access::Ro)
        .with_doc("The status field of a failed command, without the phase tag; else 0.");
}

/// The head of the inbox.
pub const INBOX_STATUS: Reg = with_fields(
    "INBOX_STATUS",
    0x040,
    &[inbox_status::VALID, inbox_status::KIND, inbox_status::FUNCTION, inbox_status::SLOT, inbox_status::STATUS],
    "The head of the inbox.",
);

/// Removes the head of the inbox.
pub const INBOX_POP: Reg = with_fields(
    "INBOX_POP",
    0x044,
    &[Field::new("POP", 0, 1, Access::W1s).with_doc("Pulse: the next command becomes the head.")],
    "Removes the head of the inbox; reads as zero.",
);

/// The submission queue entry at the head of the inbox.
pub const INBOX_ENTRY: Window = Window {
    name: "INBOX_ENTRY",
    offset: 0x080,
    bytes: 64,
    writable: false,
    doc: "The entry at the head of the inbox; of a failed command only opcode, CID, NSID and CDW10 to CDW12, the rest is zero.",
};

/// Dword 0 of the completion to post.
pub const COMPLETION_RESULT: Reg = read_write("COMPLETION_RESULT", 0x0C0, "Dword 0 of the completion to post.");

/// Fields of [`COMPLETION_ID`].
pub mod completion_id {
    use super::{Access, Field};

    /// Command identifier.
    pub const CID: Field = Field::new("CID", 0, 16, Access::Rw).with_doc("Command identifier.");
    /// Submission queue.
    pub const SLOT: Field = Field::new("SLOT", 16, 8, Access::Rw).with_doc("Slot of the command's submission queue.");
    /// Function.
    pub const FUNCTION: Field =
        Field::new("FUNCTION", 24, 8, Access::Rw).with_doc("The function that the command belongs to.");
}

/// Which command the completion to post is for.
pub const COMPLETION_ID: Reg = with_fields(
    "COMPLETION_ID",
    0x0C4,
    &[completion_id::CID, completion_id::SLOT, completion_id::FUNCTION],
    "Which command the completion to post is for.",
);

/// Fields of [`COMPLETION_POST`].
pub mod completion_post {
    use super::{Access, Field};

    /// Status field.
    pub const STATUS: Field =
        Field::new("STATUS", 0, 15, Access::W1s).with_doc("The status field without the phase tag; reads as zero.");
}

/// Writing it posts the completion. Only written while COMPLETION_STATE.BUSY is 0.
pub const COMPLETION_POST: Reg = with_fields(
    "COMPLETION_POST",
    0x0C8,
    &[completion_post::STATUS],
    "Writing it posts the completion; only while COMPLETION_STATE.BUSY is 0.",
);

/// Fields of [`COMPLETION_STATE`].
pub mod completion_state {
    use super::{Access, Field};

    /// In work.
    pub const BUSY: Field = Field::new("BUSY", 0, 1, Access::Ro)
        .with_doc("The completion is in work; the other bits are valid when it is 0.");
    /// No room.
    pub const REFUSED: Field = Field::new("REFUSED", 1, 1, Access::Ro)
        .with_doc("The last completion was refused: its queue has no room. Post it again later.");
    /// Nowhere to go.
    pub const DROPPED: Field = Field::new("DROPPED", 2, 1, Access::Ro)
        .with_doc("The last completion was dropped: no such queue, or the life has ended.");
}

/// What became of the last completion.
pub const COMPLETION_STATE: Reg = with_fields(
    "COMPLETION_STATE",
    0x0CC,
    &[completion_state::BUSY, completion_state::REFUSED, completion_state::DROPPED],
    "What became of the last completion.",
);

/// Address of the queue to create, low dword.
pub const QUEUE_BASE_LOW: Reg =
    read_write("QUEUE_BASE_LOW", 0x100, "Host address of the queue to create, low dword; page aligned.");
/// Address of the queue to create, high dword.
pub const QUEUE_BASE_HIGH: Reg =
    read_write("QUEUE_BASE_HIGH", 0x104, "Host address of the queue to create, high dword.");

/// Fields of [`QUEUE_SIZE`].
pub mod queue_size {
    use super::{Access, Field};

    /// Number of entries.
    pub const ENTRIES: Field =
        Field::new("ENTRIES", 0, 17, Access::Rw).with_doc("Number of entries, from 2 up to CAP.MQES + 1.");
}

/// Size of the queue to create.
pub const QUEUE_SIZE: Reg = with_fields("QUEUE_SIZE", 0x108, &[queue_size::ENTRIES], "Size of the queue to create.");

/// Fields of [`QUEUE_ATTRIBUTES`].
pub mod queue_attributes {
    use super::{Access, Field};

    /// Where completions go.
    pub const CQ_SLOT: Field =
        Field::new("CQ_SLOT", 0, 8, Access::Rw).with_doc("Slot of the completion queue of a submission queue.");
    /// Interrupt vector.
    pub const VECTOR: Field =
        Field::new("VECTOR", 8, 8, Access::Rw).with_doc("The interrupt vector of a completion queue.");
    /// Interrupts enabled.
    pub const IEN: Field = Field::new("IEN", 16, 1, Access::Rw).with_doc("The completion queue sends interrupts.");
    /// Queue Priority.
    pub const QPRIO: Field = Field::new("QPRIO", 17, 2, Access::Rw)
        .with_doc("Priority of a submission queue: 0 urgent, 1 high, 2 medium, 3 low.");
}

/// Attributes of the queue to create.
pub const QUEUE_ATTRIBUTES: Reg = with_fields(
    "QUEUE_ATTRIBUTES",
    0x10C,
    &[queue_attributes::CQ_SLOT, queue_attributes::VECTOR, queue_attributes::IEN, queue_attributes::QPRIO],
    "Attributes of the queue to create.",
);

/// Values of QUEUE_COMMAND.OP.
pub mod queue_operation {
    /// Creates a submission queue: base, size, CQ_SLOT and QPRIO.
    pub const CREATE_SQ: u32 = 1;
    /// Creates a completion queue: base, size, VECTOR and IEN.
    pub const CREATE_CQ: u32 = 2;
    /// No more entries are fetched from the submission queue; those fetched go on.
    pub const STOP_SQ: u32 = 3;
    /// Removes a submission queue that was stopped and has nothing in flight.
    pub const DELETE_SQ: u32 = 4;
    /// Removes a completion queue that no submission queue uses.
    pub const DELETE_CQ: u32 = 5;
}

/// Fields of [`QUEUE_COMMAND`].
pub mod queue_command {
    use super::{Access, Field};

    /// What to do.
    pub const OP: Field = Field::new("OP", 0, 3, Access::W1s)
        .with_doc("1: create SQ; 2: create CQ; 3: stop SQ; 4: delete SQ; 5: delete CQ.");
    /// With which queue.
    pub const SLOT: Field = Field::new("SLOT", 8, 8, Access::W1s)
        .with_doc("Slot of the queue; those below the number of functions are their admin queues.");
}

/// Writing it changes a queue. Only written while QUEUE_STATE.BUSY is 0; reads as zero.
pub const QUEUE_COMMAND: Reg = with_fields(
    "QUEUE_COMMAND",
    0x110,
    &[queue_command::OP, queue_command::SLOT],
    "Writing it changes a queue; only while QUEUE_STATE.BUSY is 0; reads as zero.",
);

/// Fields of [`QUEUE_STATE`].
pub mod queue_state {
    use super::{Access, Field};

    /// In work.
    pub const BUSY: Field =
        Field::new("BUSY", 0, 1, Access::Ro).with_doc("The last queue command is in work: a few clocks.");
}

/// Whether the last queue command has ended.
pub const QUEUE_STATE: Reg =
    with_fields("QUEUE_STATE", 0x114, &[queue_state::BUSY], "Whether the last queue command has ended.");

/// Fields of [`QUEUE_SELECT`].
pub mod queue_select {
    use super::{Access, Field};

    /// The queue.
    pub const SLOT: Field =
        Field::new("SLOT", 0, 8, Access::Rw).with_doc("Slot of the submission queue that QUEUE_IN_FLIGHT tells about.");
}

/// Which queue QUEUE_IN_FLIGHT tells about.
pub const QUEUE_SELECT: Reg =
    with_fields("QUEUE_SELECT", 0x118, &[queue_select::SLOT], "The submission queue that QUEUE_IN_FLIGHT tells about.");

/// Commands of the selected submission queue that are still with the hardware.
pub const QUEUE_IN_FLIGHT: Reg = read_only(
    "QUEUE_IN_FLIGHT",
    0x11C,
    "Entries of the selected submission queue that are fetched or being fetched and neither completed nor popped from the inbox.",
);

/// Fields of [`QUEUE_IDENTITY`].
pub mod queue_identity {
    use super::{Access, Field};

    /// The host's number.
    pub const QID: Field = Field::new("QID", 0, 16, Access::Rw).with_doc("What the host calls the queue.");
    /// The function.
    pub const FUNCTION: Field =
        Field::new("FUNCTION", 16, 8, Access::Rw).with_doc("The function that the queue belongs to.");
}

/// Whose queue QUEUE_COMMAND is about, in every operation.
pub const QUEUE_IDENTITY: Reg = with_fields(
    "QUEUE_IDENTITY",
    0x120,
    &[queue_identity::QID, queue_identity::FUNCTION],
    "Whose queue QUEUE_COMMAND is about, in every operation.",
);

/// Fields of [`NAMESPACE_SELECT`].
pub mod namespace_select {
    use super::{Access, Field};

    /// Which row.
    pub const INDEX: Field = Field::new("INDEX", 0, 8, Access::Rw)
        .with_doc("The row that NAMESPACE_COMMIT writes: the namespace identifier minus one.");
}

/// Which row of the table of namespaces is written.
pub const NAMESPACE_SELECT: Reg = with_fields(
    "NAMESPACE_SELECT",
    0x140,
    &[namespace_select::INDEX],
    "Which row of the table of namespaces is written.",
);

/// Where the namespace begins, low dword.
pub const NAMESPACE_BASE_LOW: Reg =
    read_write("NAMESPACE_BASE_LOW", 0x144, "First 4 KiB unit of the namespace in the storage, low dword.");
/// Where the namespace begins, high dword.
pub const NAMESPACE_BASE_HIGH: Reg =
    read_write("NAMESPACE_BASE_HIGH", 0x148, "First 4 KiB unit of the namespace in the storage, high dword.");
/// Blocks of the namespace, low dword.
pub const NAMESPACE_BLOCKS_LOW: Reg =
    read_write("NAMESPACE_BLOCKS_LOW", 0x14C, "Logical blocks of the namespace, low dword; 0 in both: none.");
/// Blocks of the namespace, high dword.
pub const NAMESPACE_BLOCKS_HIGH: Reg =
    read_write("NAMESPACE_BLOCKS_HIGH", 0x150, "Logical blocks of the namespace, high dword.");

/// Fields of [`NAMESPACE_CONTROL`].
pub mod namespace_control {
    use super::{Access, Field, FUNCTIONS_MAX};

    /// Who sees it.
    pub const ATTACHED: Field = Field::new("ATTACHED", 0, FUNCTIONS_MAX, Access::Rw)
        .with_doc("A bit for each function, the lowest for function 0: the namespace is attached to it.");
    /// Its format.
    pub const LBA_SHIFT: Field =
        Field::new("LBA_SHIFT", 8, 4, Access::Rw).with_doc("Log2 of the bytes of a logical block: 9 or 12.");
    /// Its write protection.
    pub const WRITE_PROTECTED: Field = Field::new("WRITE_PROTECTED", 12, 1, Access::Rw)
        .with_doc("Commands that write to the namespace come to firmware.");
}

/// Whose the namespace is, and of what kind.
pub const NAMESPACE_CONTROL: Reg = with_fields(
    "NAMESPACE_CONTROL",
    0x154,
    &[namespace_control::ATTACHED, namespace_control::LBA_SHIFT, namespace_control::WRITE_PROTECTED],
    "Whose the namespace is, and of what kind.",
);

/// Writes the row; reads as zero.
pub const NAMESPACE_COMMIT: Reg = with_fields(
    "NAMESPACE_COMMIT",
    0x158,
    &[Field::new("COMMIT", 0, 1, Access::W1s)
        .with_doc("Pulse: the row of NAMESPACE_SELECT becomes what the registers say.")],
    "Writes the row of the table of namespaces; reads as zero.",
);

/// PRP1 of the transfer, low dword. With TRANSFER_START.SGL these four registers are the 16 bytes of an SGL descriptor.
pub const TRANSFER_PRP1_LOW: Reg = read_write(
    "TRANSFER_PRP1_LOW",
    0x180,
    "PRP1 of the transfer, low dword; a multiple of 4. Or the address of an SGL descriptor.",
);
/// PRP1 of the transfer, high dword.
pub const TRANSFER_PRP1_HIGH: Reg =
    read_write("TRANSFER_PRP1_HIGH", 0x184, "PRP1 of the transfer, or the address of an SGL descriptor, high dword.");
/// PRP2 of the transfer, low dword.
pub const TRANSFER_PRP2_LOW: Reg =
    read_write("TRANSFER_PRP2_LOW", 0x188, "PRP2 of the transfer, low dword. Or the length of an SGL descriptor.");
/// PRP2 of the transfer, high dword.
pub const TRANSFER_PRP2_HIGH: Reg = read_write(
    "TRANSFER_PRP2_HIGH",
    0x18C,
    "PRP2 of the transfer, high dword. Or the highest dword of an SGL descriptor, with its type.",
);

/// Fields of [`TRANSFER_LENGTH`].
pub mod transfer_length {
    use super::{Access, Field};

    /// Number of bytes.
    pub const BYTES: Field = Field::new("BYTES", 0, 13, Access::Rw)
        .with_doc("Bytes from the start of BUFFER: a multiple of 4, from 4 to 4096.");
}

/// Length of the transfer.
pub const TRANSFER_LENGTH: Reg =
    with_fields("TRANSFER_LENGTH", 0x190, &[transfer_length::BYTES], "Length of the transfer.");

/// Fields of [`TRANSFER_START`].
pub mod transfer_start {
    use super::{Access, Field};

    /// Where the data goes.
    pub const DIRECTION: Field =
        Field::new("DIRECTION", 0, 1, Access::W1s).with_doc("0: host to BUFFER; 1: BUFFER to host.");
    /// What the pointer registers hold.
    pub const SGL: Field = Field::new("SGL", 1, 1, Access::W1s).with_doc(
        "0: the pointer registers are PRP1 and PRP2; 1: they are the first descriptor of an SGL, which may be longer than the transfer.",
    );
    /// Whose memory it is.
    pub const FUNCTION: Field =
        Field::new("FUNCTION", 8, 8, Access::W1s).with_doc("The function whose host memory it is.");
}

/// Writing it starts the transfer. Only written while TRANSFER_STATE.BUSY is 0; reads as zero.
pub const TRANSFER_START: Reg = with_fields(
    "TRANSFER_START",
    0x194,
    &[transfer_start::DIRECTION, transfer_start::SGL, transfer_start::FUNCTION],
    "Writing it starts the transfer; only while TRANSFER_STATE.BUSY is 0; reads as zero.",
);

/// Fields of [`TRANSFER_STATE`].
pub mod transfer_state {
    use super::{Access, Field};

    /// In work.
    pub const BUSY: Field = Field::new("BUSY", 0, 1, Access::Ro).with_doc("The transfer is in work.");
    /// Dropped.
    pub const DROPPED: Field = Field::new("DROPPED", 1, 1, Access::Ro)
        .with_doc("The last transfer was dropped, and BUFFER is as it was: the life of its function had ended.");
    /// How it ended.
    pub const STATUS: Field = Field::new("STATUS", 16, 15, Access::Ro)
        .with_doc("The status field of the last transfer when BUSY is 0: 0 if all is well.");
}

/// What became of the last transfer.
pub const TRANSFER_STATE: Reg = with_fields(
    "TRANSFER_STATE",
    0x198,
    &[transfer_state::BUSY, transfer_state::DROPPED, transfer_state::STATUS],
    "What became of the last transfer.",
);

/// Empties the data buffer.
pub const BUFFER_CLEAR: Reg = with_fields(
    "BUFFER_CLEAR",
    0x19C,
    &[Field::new("CLEAR", 0, 1, Access::W1s).with_doc(
        "Pulse: all of BUFFER becomes zero; only while TRANSFER_STATE.BUSY is 0. Writes that come sooner wait.",
    )],
    "Empties the data buffer; reads as zero.",
);

/// A counter of 64 bits in two registers. Reading the low dword holds the high dword for the read that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Bits 31:0.
    pub low: Reg,
    /// Bits 63:32, as they were when the low dword was last read.
    pub high: Reg,
}

/// Read commands that hardware completed without error.
pub const READ_COMMANDS: Counter = Counter {
    low: read_only("READ_COMMANDS_LOW", 0x200, "Read commands done, low dword."),
    high: read_only("READ_COMMANDS_HIGH", 0x204, "Read commands done, high dword."),
};
/// Write commands that hardware completed without error.
pub const WRITE_COMMANDS: Counter = Counter {
    low: read_only("WRITE_COMMANDS_LOW", 0x208, "Write commands done, low dword."),
    high: read_only("WRITE_COMMANDS_HIGH", 0x20C, "Write commands done, high dword."),
};
/// Sectors of those reads, and of Verify commands: 512 bytes each, whatever the size of a logical block.
pub const READ_SECTORS: Counter = Counter {
    low: read_only("READ_SECTORS_LOW", 0x210, "Sectors of 512 bytes read, low dword."),
    high: read_only("READ_SECTORS_HIGH", 0x214, "Sectors of 512 bytes read, high dword."),
};
/// Sectors of those writes.
pub const WRITE_SECTORS: Counter = Counter {
    low: read_only("WRITE_SECTORS_LOW", 0x218, "Sectors of 512 bytes written, low dword."),
    high: read_only("WRITE_SECTORS_HIGH", 0x21C, "Sectors of 512 bytes written, high dword."),
};
/// Writes to host memory that were answered with an error.
pub const HOST_WRITE_ERRORS: Counter = Counter {
    low: read_only(
        "HOST_WRITE_ERRORS_LOW",
        0x220,
        "Writes to host memory that were answered with an error, low dword.",
    ),
    high: read_only(
        "HOST_WRITE_ERRORS_HIGH",
        0x224,
        "Writes to host memory that were answered with an error, high dword.",
    ),
};
/// Clocks of the core since the reset of the hardware.
pub const CLOCK: Counter = Counter {
    low: read_only("CLOCK_LOW", 0x228, "Clocks of the core since the reset, low dword."),
    high: read_only("CLOCK_HIGH", 0x22C, "Clocks of the core since the reset, high dword."),
};

/// All counters. They are never cleared but by a reset of the hardware.
pub const COUNTERS: &[Counter] =
    &[READ_COMMANDS, WRITE_COMMANDS, READ_SECTORS, WRITE_SECTORS, HOST_WRITE_ERRORS, CLOCK];

/// Fields of [`LATENCY_SELECT`].
pub mod latency_select {
    use super::{Access, Field};

    /// Which queue.
    pub const SLOT: Field = Field::new("SLOT", 0, 8, Access::Rw)
        .with_doc("Slot of the submission queue that LATENCY tells about; an admin queue has zeroes.");
}

/// Which queue LATENCY tells about.
pub const LATENCY_SELECT: Reg =
    with_fields("LATENCY_SELECT", 0x240, &[latency_select::SLOT], "The submission queue that LATENCY tells about.");

/// The first sector that is erased or written to, low dword.
pub const ERRAND_SECTOR_LOW: Reg =
    read_write("ERRAND_SECTOR_LOW", 0x250, "First sector of the storage that is erased or written to, low dword.");
/// The first sector that is erased or written to, high dword.
pub const ERRAND_SECTOR_HIGH: Reg =
    read_write("ERRAND_SECTOR_HIGH", 0x254, "First sector of the storage that is erased or written to, high dword.");
/// The number of sectors.
pub const ERRAND_SECTORS: Reg =
    read_write("ERRAND_SECTORS", 0x258, "Number of sectors of 512 bytes that are erased or copied.");
/// The first sector that is copied, low dword.
pub const ERRAND_SOURCE_LOW: Reg =
    read_write("ERRAND_SOURCE_LOW", 0x25C, "First sector of the storage that is copied, low dword.");
/// The first sector that is copied, high dword.
pub const ERRAND_SOURCE_HIGH: Reg =
    read_write("ERRAND_SOURCE_HIGH", 0x260, "First sector of the storage that is copied, high dword.");

/// Fields of [`ERRAND_START`].
pub mod errand_start {
    use super::{Access, Field};

    /// Erases.
    pub const ERASE: Field =
        Field::new("ERASE", 0, 1, Access::W1s).with_doc("Pulse: the sectors are erased; they read as zero afterwards.");
    /// Copies.
    pub const COPY: Field = Field::new("COPY", 1, 1, Access::W1s).with_doc(
        "Pulse: the sectors from ERRAND_SOURCE on are copied to those from ERRAND_SECTOR on, in ascending order.",
    );
    /// Drains.
    pub const DRAIN: Field = Field::new("DRAIN", 2, 1, Access::W1s).with_doc(
        "Pulse: BUSY until the commands have ended that hardware executes now, by the rows of namespaces as they were.",
    );
}

/// Writing it has the storage erased or copied, if CAPABILITIES says so, or commands waited for; only while ERRAND_STATE.BUSY is 0.
pub const ERRAND_START: Reg = with_fields(
    "ERRAND_START",
    0x264,
    &[errand_start::ERASE, errand_start::COPY, errand_start::DRAIN],
    "Has sectors of the storage erased or copied, or commands waited for; one bit, and only while ERRAND_STATE.BUSY is 0.",
);

/// Fields of [`ERRAND_STATE`].
pub mod errand_state {
    use super::{Access, Field};

    /// In work.
    pub const BUSY: Field = Field::new("BUSY", 0, 1, Access::Ro).with_doc("The errand is in work.");
    /// How it ended.
    pub const STATUS: Field = Field::new("STATUS", 16, 15, Access::Ro).with_doc(
        "The status field of what was last erased or copied when BUSY is 0: 0 if all is well, else that of the first mistake.",
    );
}

/// What became of the last errand.
pub const ERRAND_STATE: Reg =
    with_fields("ERRAND_STATE", 0x268, &[errand_state::BUSY, errand_state::STATUS], "What became of the last errand.");

/// The latencies of a queue: a histogram for each phase, in the order of [`latency::Phase`], each of [`latency::BUCKETS`] counters of 32 bits. The
/// creation of the queue clears them, and is [`queue_state::BUSY`] as long as that takes.
pub const LATENCY: Window = Window {
    name: "LATENCY",
    offset: 0xC00,
    bytes: latency::PHASES * latency::BUCKETS * 4,
    writable: false,
    doc: "Histograms of the latency of each phase of the commands of the queue in LATENCY_SELECT.",
};

// The bank of function 0.

/// Fields of [`FUNCTION_EVENTS`] and [`FUNCTION_EVENTS_CLEAR`].
pub mod function_events {
    use super::{Access, Field};

    /// The host enables the controller.
    pub const ENABLE: Field = Field::new("ENABLE", 1, 1, Access::Ro)
        .with_doc("Level: CC.EN is 1, the last life is acknowledged, CSTS.RDY and CSTS.CFS are 0.");
    /// A life has ended.
    pub const DISABLED: Field = Field::new("DISABLED", 2, 1, Access::Ro)
        .with_doc("Level until CONTROL.ACK_DISABLE: CC.EN fell and nothing of the old life is in flight any more.");
    /// CC.SHN changed.
    pub const SHUTDOWN: Field = Field::new("SHUTDOWN", 3, 1, Access::Ro)
        .with_doc("Latched until CONTROL.ACK_SHUTDOWN: CC.SHN changed to another value than zero.");
    /// The host's memory failed under the queues.
    pub const HOST_ERROR: Field = Field::new("HOST_ERROR", 6, 1, Access::Ro)
        .with_doc("Latched until CONTROL.ACK_DISABLE: an access to a queue in host memory failed; fatal.");
    /// The host wrote a doorbell wrongly.
    pub const INVALID_DOORBELL: Field = Field::new("INVALID_DOORBELL", 7, 1, Access::Ro).with_doc(
        "Latched until FUNCTION_EVENTS_CLEAR: a doorbell of a queue that is not there was written and ignored.",
    );
    /// The host wrote a wrong value to a doorbell.
    pub const INVALID_DOORBELL_VALUE: Field = Field::new("INVALID_DOORBELL_VALUE", 8, 1, Access::Ro)
        .with_doc("Latched until FUNCTION_EVENTS_CLEAR: an impossible position was written to a doorbell and ignored.");

    /// The same bits in `FUNCTION_EVENTS_CLEAR`.
    pub(super) const CLEAR: &[Field] = &[
        Field::new("INVALID_DOORBELL", 7, 1, Access::W1c).with_doc("Clears FUNCTION_EVENTS.INVALID_DOORBELL."),
        Field::new("INVALID_DOORBELL_VALUE", 8, 1, Access::W1c)
            .with_doc("Clears FUNCTION_EVENTS.INVALID_DOORBELL_VALUE."),
    ];
}

/// What firmware has to look at in a function.
pub const FUNCTION_EVENTS: Reg = with_fields(
    "FUNCTION_EVENTS",
    FUNCTION_BANK,
    &[
        function_events::ENABLE,
        function_events::DISABLED,
        function_events::SHUTDOWN,
        function_events::HOST_ERROR,
        function_events::INVALID_DOORBELL,
        function_events::INVALID_DOORBELL_VALUE,
    ],
    "What firmware has to look at in the function.",
);

/// Clears latched bits of [`FUNCTION_EVENTS`]; reads as zero.
pub const FUNCTION_EVENTS_CLEAR: Reg = with_fields(
    "FUNCTION_EVENTS_CLEAR",
    FUNCTION_BANK + 0x04,
    function_events::CLEAR,
    "Clears latched bits of FUNCTION_EVENTS; reads as zero.",
);

/// Fields of [`CONTROL`].
pub mod control {
    use super::{Access, Field};

    /// Firmware has dropped the old life.
    pub const ACK_DISABLE: Field = Field::new("ACK_DISABLE", 0, 1, Access::W1s).with_doc(
        "Pulse: firmware holds nothing of the old life; FUNCTION_EVENTS.DISABLED and CSTS.RDY fall. Ignored if DISABLED is 0.",
    );
    /// Firmware has seen CC.SHN.
    pub const ACK_SHUTDOWN: Field = Field::new("ACK_SHUTDOWN", 1, 1, Access::W1s)
        .with_doc("Pulse: firmware reads CC.SHN next; FUNCTION_EVENTS.SHUTDOWN falls.");
    /// The reset of the NVM subsystem is not to be told.
    pub const CLEAR_NSSRO: Field = Field::new("CLEAR_NSSRO", 2, 1, Access::W1s)
        .with_doc("Pulse: CSTS.NSSRO falls; the reset of the NVM subsystem has activated a new firmware image.");
}

/// Pulses; reads as zero.
pub const CONTROL: Reg = with_fields(
    "CONTROL",
    FUNCTION_BANK + 0x08,
    &[control::ACK_DISABLE, control::ACK_SHUTDOWN, control::CLEAR_NSSRO],
    "Pulses; reads as zero.",
);

/// Fields of [`STATUS_SET`].
pub mod status_set {
    use super::{Access, Field};

    /// CSTS.RDY.
    pub const RDY: Field = Field::new("RDY", 0, 1, Access::Rw)
        .with_doc("CSTS.RDY; while it is 1 in a life, submission queues are served.");
    /// CSTS.CFS.
    pub const CFS: Field = Field::new("CFS", 1, 1, Access::Rw).with_doc("CSTS.CFS.");
    /// CSTS.SHST.
    pub const SHST: Field = Field::new("SHST", 2, 2, Access::Rw)
        .with_doc("CSTS.SHST; unlike the other fields it may be written while the controller is disabled.");
}

/// The fields of CSTS, at the same bits.
pub const STATUS_SET: Reg = with_fields(
    "STATUS_SET",
    FUNCTION_BANK + 0x0C,
    &[status_set::RDY, status_set::CFS, status_set::SHST],
    "The fields of CSTS, at the same bits; ACK_DISABLE clears them.",
);

/// What the host wrote to CC.
pub const CC: Reg = read_only("CC", FUNCTION_BANK + 0x10, "What the host wrote to CC.");
/// What the host wrote to AQA.
pub const AQA: Reg = read_only("AQA", FUNCTION_BANK + 0x14, "What the host wrote to AQA.");
/// What the host wrote to ASQ, low dword.
pub const ASQ_LOW: Reg = read_only("ASQ_LOW", FUNCTION_BANK + 0x18, "What the host wrote to ASQ, low dword.");
/// What the host wrote to ASQ, high dword.
pub const ASQ_HIGH: Reg = read_only("ASQ_HIGH", FUNCTION_BANK + 0x1C, "What the host wrote to ASQ, high dword.");
/// What the host wrote to ACQ, low dword.
pub const ACQ_LOW: Reg = read_only("ACQ_LOW", FUNCTION_BANK + 0x20, "What the host wrote to ACQ, low dword.");
/// What the host wrote to ACQ, high dword.
pub const ACQ_HIGH: Reg = read_only("ACQ_HIGH", FUNCTION_BANK + 0x24, "What the host wrote to ACQ, high dword.");

/// Fields of [`COALESCING`].
pub mod coalescing {
    use super::{Access, Field};

    /// Aggregation Threshold.
    pub const THR: Field =
        Field::new("THR", 0, 8, Access::Rw).with_doc("Completions that wait for one interrupt, minus one.");
    /// Aggregation Time.
    pub const TIME: Field = Field::new("TIME", 8, 8, Access::Rw).with_doc(
        "The longest that a completion waits for its interrupt, in units of 100 microseconds; 0: not at all.",
    );
}

/// The feature Interrupt Coalescing, at the same bits.
pub const COALESCING: Reg = with_fields(
    "COALESCING",
    FUNCTION_BANK + 0x28,
    &[coalescing::THR, coalescing::TIME],
    "The feature Interrupt Coalescing of the function.",
);

/// Fields of [`VECTOR_COALESCING`].
pub mod vector_coalescing {
    use super::{Access, Field};

    /// Which vector.
    pub const VECTOR: Field = Field::new("VECTOR", 0, 16, Access::W1s).with_doc("The interrupt vector.");
    /// Coalescing Disable.
    pub const DISABLE: Field =
        Field::new("DISABLE", 16, 1, Access::W1s).with_doc("Interrupts of the vector are never coalesced.");
}

/// The feature Interrupt Vector Configuration, at the same bits: writing it sets one vector; reads as zero.
pub const VECTOR_COALESCING: Reg = with_fields(
    "VECTOR_COALESCING",
    FUNCTION_BANK + 0x2C,
    &[vector_coalescing::VECTOR, vector_coalescing::DISABLE],
    "The feature Interrupt Vector Configuration of the function: writing it sets one vector; reads as zero.",
);

/// The data buffer that transfers read and write.
pub const BUFFER: Window = Window {
    name: "BUFFER",
    offset: 0x1000,
    bytes: BUFFER_BYTES,
    writable: true,
    doc: "The data buffer that transfers read and write.",
};

/// All registers, in the order of their offsets; of the banks of the functions only the first. What is neither here, nor in the bank of another
/// function, nor in [`WINDOWS`] reads as zero and ignores writes.
pub const REGS: &[Reg] = &[
    ID,
    VERSION,
    CONFIGURATION,
    LBA_BYTES,
    EVENTS,
    EVENTS_CLEAR,
    FUNCTIONS,
    CAPABILITIES,
    ALARM,
    ALARM_CONTROL,
    INBOX_STATUS,
    INBOX_POP,
    COMPLETION_RESULT,
    COMPLETION_ID,
    COMPLETION_POST,
    COMPLETION_STATE,
    QUEUE_BASE_LOW,
    QUEUE_BASE_HIGH,
    QUEUE_SIZE,
    QUEUE_ATTRIBUTES,
    QUEUE_COMMAND,
    QUEUE_STATE,
    QUEUE_SELECT,
    QUEUE_IN_FLIGHT,
    QUEUE_IDENTITY,
    NAMESPACE_SELECT,
    NAMESPACE_BASE_LOW,
    NAMESPACE_BASE_HIGH,
    NAMESPACE_BLOCKS_LOW,
    NAMESPACE_BLOCKS_HIGH,
    NAMESPACE_CONTROL,
    NAMESPACE_COMMIT,
    TRANSFER_PRP1_LOW,
    TRANSFER_PRP1_HIGH,
    TRANSFER_PRP2_LOW,
    TRANSFER_PRP2_HIGH,
    TRANSFER_LENGTH,
    TRANSFER_START,
    TRANSFER_STATE,
    BUFFER_CLEAR,
    READ_COMMANDS.low,
    READ_COMMANDS.high,
    WRITE_COMMANDS.low,
    WRITE_COMMANDS.high,
    READ_SECTORS.low,
    READ_SECTORS.high,
    WRITE_SECTORS.low,
    WRITE_SECTORS.high,
    HOST_WRITE_ERRORS.low,
    HOST_WRITE_ERRORS.high,
    CLOCK.low,
    CLOCK.high,
    LATENCY_SELECT,
    ERRAND_SECTOR_LOW,
    ERRAND_SECTOR_HIGH,
    ERRAND_SECTORS,
    ERRAND_SOURCE_LOW,
    ERRAND_SOURCE_HIGH,
    ERRAND_START,
    ERRAND_STATE,
    FUNCTION_EVENTS,
    FUNCTION_EVENTS_CLEAR,
    CONTROL,
    STATUS_SET,
    CC,
    AQA,
    ASQ_LOW,
    ASQ_HIGH,
    ACQ_LOW,
    ACQ_HIGH,
    COALESCING,
    VECTOR_COALESCING,
    ARBITRATION,
];

/// The blocks of dwords between the registers.
pub const WINDOWS: &[Window] = &[INBOX_ENTRY, LATENCY, BUFFER];

const _: () = assert!(regs_are_disjoint(REGS) && fields_are_disjoint(REGS));
const _: () = assert!(windows_are_disjoint(WINDOWS, REGS));
const _: () = assert!(BUFFER.end() == PORT_BYTES);
const _: () = assert!(FUNCTION_BANK + FUNCTIONS_MAX * FUNCTION_BANK_BYTES <= LATENCY.offset);
const _: () = assert!(NAMESPACES_MAX <= 1 << namespace_select::INDEX.width);
const _: () = assert!(INBOX_ENTRY.bytes as usize == size_of::<crate::SqEntry>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_in_the_order_of_their_offsets_and_have_unique_names() {
        assert!(REGS.windows(2).all(|pair| pair[0].end() <= pair[1].offset));
        let names: std::collections::BTreeSet<_> = REGS.iter().map(|reg| reg.name).collect();
        assert_eq!(names.len(), REGS.len());
    }

    #[test]
    fn everything_has_a_sentence() {
        for reg in REGS {
            assert!(reg.doc.ends_with('.'), "{}", reg.name);
            for field in reg.fields {
                assert!(field.doc.ends_with('.'), "{}.{}", reg.name, field.name);
            }
        }
    }

    #[test]
    fn events_are_cleared_by_their_own_bits() {
        for (clear, events) in [(EVENTS_CLEAR, EVENTS), (FUNCTION_EVENTS_CLEAR, FUNCTION_EVENTS)] {
            for clear in clear.fields {
                let event = events.field(clear.name).unwrap();
                assert_eq!(event.mask(), clear.mask());
            }
        }
    }

    #[test]
    fn banks_of_functions_follow_each_other_and_meet_nothing_else() {
        let banked: std::vec::Vec<_> = REGS.iter().filter(|reg| is_of_function(reg)).collect();
        assert_eq!(banked.len(), 13);
        let others = REGS.iter().filter(|reg| !is_of_function(reg)).map(|reg| reg.offset..reg.end());
        let others: std::vec::Vec<_> = others.chain(WINDOWS.iter().map(|window| window.offset..window.end())).collect();
        for function in 0..FUNCTIONS_MAX as u8 {
            for reg in &banked {
                let at = of_function(reg, function).offset;
                assert_eq!(at, reg.offset + 0x40 * u32::from(function));
                assert!(others.iter().all(|range| !range.contains(&at)), "{}", reg.name);
            }
        }
    }

    #[test]
    fn status_set_has_the_bits_of_csts() {
        for field in STATUS_SET.fields {
            let csts = crate::regs::CSTS.field(field.name).unwrap();
            assert_eq!(field.mask(), csts.mask());
        }
    }
}
