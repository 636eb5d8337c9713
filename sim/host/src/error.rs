use nvme_spec::Status;
use sim_device::CanaryError;

/// A rule that every NVMe controller keeps, broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A completion for a command that is not outstanding: completed twice, or never submitted.
    #[error("completion queue {queue}: completion for command {cid:#06x} of submission queue {sqid}, which is not outstanding")]
    NotOutstanding {
        /// Completion queue.
        queue: u16,
        /// SQID of the entry.
        sqid: u16,
        /// CID of the entry.
        cid: u16,
    },
    /// A completion in another completion queue than that of its submission queue.
    #[error("completion for submission queue {sqid} in completion queue {queue}")]
    WrongQueue {
        /// Completion queue.
        queue: u16,
        /// SQID of the entry.
        sqid: u16,
    },
    /// The phase tag does not tell a new entry.
    #[error("completion queue {queue}, entry {slot}: the phase tag was not inverted")]
    Phase {
        /// Completion queue.
        queue: u16,
        /// Slot in the queue.
        slot: u64,
    },
    /// An entry was written elsewhere than at the tail, or not as a whole.
    #[error("completion queue {queue}: a write of {bytes} bytes at {address:#x}, where the entry at the tail was expected at {expected:#x}")]
    NotAtTail {
        /// Completion queue.
        queue: u16,
        /// Where it was written.
        address: u64,
        /// How much.
        bytes: u32,
        /// Where the tail is.
        expected: u64,
    },
    /// An entry was written over one that the host had not consumed.
    #[error("completion queue {queue} was overrun")]
    Overrun {
        /// Completion queue.
        queue: u16,
    },
    /// SQHD went back, went beyond the tail, or has not passed the completed command.
    #[error("submission queue {queue}: SQHD {sqhd} with the head at {head} and the tail at {tail} (counted from the start), for the command in slot {slot}")]
    Head {
        /// Submission queue.
        queue: u16,
        /// SQHD of the entry.
        sqhd: u16,
        /// Entries known to be fetched before.
        head: u64,
        /// Entries announced.
        tail: u64,
        /// The entry of the completed command.
        slot: u64,
    },
    /// A write outside of the buffers of all commands in flight: a stray write, or data after its completion.
    #[error("clock {clock}: a write of {bytes} bytes at {address:#x}, which no command in flight asked for{hint}")]
    StrayWrite {
        /// When.
        clock: u64,
        /// Where.
        address: u64,
        /// How much.
        bytes: u32,
        /// What may have happened.
        hint: &'static str,
    },
    /// The device accessed memory while it was disabled.
    #[error("clock {clock}: an access of {bytes} bytes at {address:#x} after CSTS.RDY had fallen")]
    AccessWhileDisabled {
        /// When.
        clock: u64,
        /// Where.
        address: u64,
        /// How much.
        bytes: u32,
    },
    /// An interrupt message without a completion before it.
    #[error("clock {clock}: an interrupt of vector {vector} without a completion before it")]
    InterruptWithoutCompletion {
        /// Vector.
        vector: u16,
        /// When.
        clock: u64,
    },
    /// An interrupt message that no vector of the table holds.
    #[error("an interrupt message {data:#x} at {address:#x}, which is in no entry of the MSI-X table")]
    UnknownMessage {
        /// Address of the message.
        address: u64,
        /// Data of the message.
        data: u32,
    },
    /// A command failed for a reason that will not go away, and Do Not Retry is clear.
    #[error("status {status:?} of command {cid:#06x} comes without Do Not Retry")]
    Retry {
        /// Command.
        cid: u16,
        /// Its status.
        status: Status,
    },
    /// Memory next to an allocation changed.
    #[error(transparent)]
    Canary(#[from] CanaryError),
}

/// What went wrong between the driver and its device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The device broke a rule.
    #[error("{device}: {violation}")]
    Violation {
        /// Name of the back end.
        device: String,
        /// What was broken.
        violation: Violation,
    },
    /// Something did not happen in time.
    #[error("{device}: {what} did not happen within {clocks} clocks (CSTS = {csts:#x})")]
    Timeout {
        /// Name of the back end.
        device: String,
        /// What was waited for.
        what: String,
        /// For how long.
        clocks: u64,
        /// Controller Status at the end.
        csts: u32,
    },
    /// A command that was expected to succeed did not.
    #[error("{device}: {what} failed with {status:?}")]
    Failed {
        /// Name of the back end.
        device: String,
        /// What was asked for.
        what: String,
        /// The answer.
        status: Status,
    },
    /// No slot is free in a submission queue.
    #[error("submission queue {queue} is full")]
    QueueFull {
        /// Which.
        queue: u16,
    },
    /// A queue was used that does not exist.
    #[error("queue {queue} does not exist")]
    NoQueue {
        /// Which.
        queue: u16,
    },
    /// The device cannot do what this driver needs.
    #[error("{device}: {what}")]
    Unsupported {
        /// Name of the back end.
        device: String,
        /// What is missing.
        what: String,
    },
}
