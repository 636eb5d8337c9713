//! What crosses the walls between the blocks of the controller.
//!
//! Every bundle here is the payload of a stream. Queue numbers, slots, tags and functions have eight bits in every configuration, so that a
//! larger configuration changes memories and not the shapes.

use rtl_hdl::{hw_bundle, hw_enum, hw_view, Bits, EnumSignal, Signal};

/// Width of one beat of the `host` and `storage` ports, in bits.
pub const BEAT_BITS: u32 = 512;
/// The same in bytes.
pub const BEAT_BYTES: u32 = BEAT_BITS / 8;

/// Ids of host reads: the two highest bits name the reader, the others are its own tag.
pub mod reader {
    /// `sq_fetch`.
    pub const FETCH: u8 = 0;
    /// `list_reader`.
    pub const LIST: u8 = 1;
    /// `dma_read`.
    pub const DATA: u8 = 2;
}

hw_bundle! {
    /// A read of host memory; it never crosses a 4 KiB boundary.
    pub struct HostRead {
        /// Every beat of the answer carries it.
        pub id: Bits<8>,
        /// The function whose memory it is.
        pub function: Bits<8>,
        /// Of the first byte, a multiple of 64: a beat is always a whole 64-byte line.
        pub address: Bits<64>,
        /// Number of beats, 1 to 64.
        pub beats: Bits<7>,
    }
}

hw_bundle! {
    /// One beat of an answer.
    pub struct HostBeat {
        /// Of the read.
        pub id: Bits<8>,
        /// The line; meaningless if `error`.
        pub data: Bits<512>,
        /// The host could not answer.
        pub error: Bits<1>,
        /// The last beat of the read.
        pub last: Bits<1>,
    }
}

hw_bundle! {
    /// The head of a write to host memory; its beats follow in a stream of their own. It never crosses a 4 KiB boundary.
    pub struct HostWrite {
        /// The function whose memory it is.
        pub function: Bits<8>,
        /// Of the first line, a multiple of 64.
        pub address: Bits<64>,
        /// Number of beats, 1 to 64.
        pub beats: Bits<7>,
    }
}

hw_bundle! {
    /// One beat of a write.
    pub struct HostWriteBeat {
        /// The line.
        pub data: Bits<512>,
        /// One bit for each byte that is written.
        pub strobe: Bits<64>,
        /// The last beat of the write.
        pub last: Bits<1>,
    }
}

hw_bundle! {
    /// Permission to fetch entries: room for their completions is reserved.
    pub struct Grant {
        /// The submission queue.
        pub sqid: Bits<8>,
        /// Its function.
        pub function: Bits<8>,
        /// Of the first entry.
        pub address: Bits<64>,
        /// Number of entries, 1 to 8, inside one 512-byte line and inside the ring.
        pub count: Bits<4>,
        /// The host has published more, and the completion queue has room for two.
        pub leaves_some: Bits<1>,
    }
}

hw_bundle! {
    /// A fetched submission queue entry.
    pub struct Fetched {
        /// Where it came from.
        pub sqid: Bits<8>,
        /// Its function.
        pub function: Bits<8>,
        /// The host could not be read; the 64 bytes are meaningless.
        pub error: Bits<1>,
        /// Another entry of the queue follows: it has been published, and there is room for both completions in the completion queue.
        pub has_next: Bits<1>,
        /// The entry as it is on the wire.
        pub entry: Bits<512>,
    }
}

hw_bundle! {
    /// An entry has left `decode`: the queue's head may be reported beyond it.
    pub struct Consumed {
        /// The submission queue.
        pub sqid: Bits<8>,
        /// It was thrown away, so its reservation in the completion queue ends and it no longer counts as in flight.
        pub dropped: Bits<1>,
    }
}

hw_enum! {
    /// What a command or a unit does.
    pub enum Operation {
        /// Everything completed before reaches the medium; no data.
        Flush,
        /// Host to storage.
        Write,
        /// Storage to host.
        Read,
        /// The storage is set to zero; no data moves.
        WriteZeroes,
        /// As `WriteZeroes`; a storage that has places to give back does so for what is a whole unit of 4 KiB.
        Deallocate,
        /// The storage is read to see whether it can be; no data moves.
        Verify,
        /// The storage is compared with the host's data. As a unit: with what is in the bounce.
        Compare,
        /// The storage is marked: what reads it fails until it is written again; no data moves.
        WriteUncorrectable,
        /// Storage to bounce: a unit only.
        Load,
        /// Bounce to storage: a unit only.
        Store,
        /// Storage to storage, by way of the bounce: a piece of an errand only, at most a unit.
        Copy,
    }
}

/// Whether an operation is one of these.
pub(crate) fn is_one_of(operation: EnumSignal<Operation>, these: &[Operation]) -> Signal {
    these.iter().map(|this| operation.is(*this)).reduce(|a, b| a | b).expect("there are some")
}

hw_enum! {
    /// What is at the device's end of a transfer.
    pub enum Target {
        /// The `storage` port.
        Storage,
        /// The firmware's data buffer.
        Buffer,
        /// The bounce: the page in which units put their data together. See [`crate::buffer`].
        Bounce,
    }
}

hw_bundle! {
    /// A command for the I/O engine: checked, so that only the host's memory and the medium can still fail.
    pub struct Command {
        /// The submission queue, meaningless for `Target::Buffer` and an errand.
        pub sqid: Bits<8>,
        /// The function whose memory it moves.
        pub function: Bits<8>,
        /// Command identifier.
        pub cid: Bits<16>,
        /// As on the wire.
        pub opcode: Bits<8>,
        /// Namespace.
        pub nsid: Bits<32>,
        /// What to do.
        pub operation: Operation,
        /// With whom.
        pub target: Target,
        /// A piece of an errand of firmware, which gets the outcome whatever it is: see [`crate::errand`].
        pub errand: Bits<1>,
        /// The first logical block, as the host named it.
        pub lba: Bits<64>,
        /// Number of logical blocks, 1 to 65,536; 0 for Flush. Meaningless for `Target::Buffer`.
        pub blocks: Bits<17>,
        /// The first sector in the storage, meaningless for `Target::Buffer`; of a Copy, the first one that is read.
        pub sector: Bits<64>,
        /// Logical blocks have 4 KiB and not 512 bytes.
        pub large_blocks: Bits<1>,
        /// Bytes of the logical blocks or of firmware's data: a multiple of 4, at most 2 MiB; 0 for Flush.
        pub bytes: Bits<22>,
        /// Force unit access.
        pub fua: Bits<1>,
        /// Part of a Compare and Write: a Compare, or the Write that is the next command after it.
        pub fused: Bits<1>,
        /// `prp1` and `prp2` are the two halves of an SGL descriptor.
        pub sgl: Bits<1>,
        /// The first PRP; a multiple of 4. Of a Copy, the first sector that is written. Meaningless, as the other is, if no data moves.
        pub prp1: Bits<64>,
        /// The second PRP or the list.
        pub prp2: Bits<64>,
    }
}

hw_bundle! {
    /// How a command ended.
    pub struct Outcome {
        /// As in the command.
        pub sqid: Bits<8>,
        /// As in the command.
        pub function: Bits<8>,
        /// As in the command.
        pub cid: Bits<16>,
        /// As in the command.
        pub opcode: Bits<8>,
        /// As in the command.
        pub nsid: Bits<32>,
        /// As in the command.
        pub target: Target,
        /// As in the command.
        pub errand: Bits<1>,
        /// As in the command.
        pub lba: Bits<64>,
        /// As in the command.
        pub blocks: Bits<17>,
        /// As in the command.
        pub large_blocks: Bits<1>,
        /// The status field without the phase tag: 0 if all is well.
        pub status: Bits<15>,
    }
}

hw_bundle! {
    /// A command of the `storage` port: at most 4 KiB. The storage is one space of sectors of 512 bytes, in which namespaces have their ranges.
    pub struct StorageCommand {
        /// Answers carry it; unique among commands in flight.
        pub tag: Bits<8>,
        /// What to do: Flush, Write, Read, Write Zeroes, Deallocate, Verify or Write Uncorrectable.
        pub operation: Operation,
        /// Namespace.
        pub nsid: Bits<32>,
        /// The first sector.
        pub sector: Bits<64>,
        /// Number of sectors, 1 to 8; 0 for Flush.
        pub sectors: Bits<4>,
        /// Force unit access: done means on the medium.
        pub fua: Bits<1>,
    }
}

hw_bundle! {
    /// One beat of the data of write commands, in the order of the commands. Data may come before its command.
    ///
    /// The host's data may turn out to be unreadable when the beats before it are on their way. Then `error` is set in all beats of each
    /// logical block that is not whole, and these blocks must stay as they are: no block is ever torn.
    pub struct StorageWrite {
        /// 64 bytes; meaningless if `error`.
        pub data: Bits<512>,
        /// The logical block of this beat must not be written.
        pub error: Bits<1>,
        /// The last beat of its command.
        pub last: Bits<1>,
    }
}

hw_bundle! {
    /// One beat of the data of a read command. All beats of one command are adjacent; commands come in any order. All beats come whether the
    /// command ends with `Good` or with `MediaError`, and none if it is refused.
    pub struct StorageRead {
        /// Of the command.
        pub tag: Bits<8>,
        /// 64 bytes.
        pub data: Bits<512>,
        /// The beat could not be read; the command's status says so too.
        pub error: Bits<1>,
        /// The last beat of its command.
        pub last: Bits<1>,
    }
}

hw_enum! {
    /// How a storage command ended.
    pub enum StorageStatus {
        /// Done.
        Good,
        /// The medium could not be read or written.
        MediaError,
        /// The back end cannot do it (out of its range).
        Refused,
    }
}

hw_bundle! {
    /// The end of a storage command: once for each, in any order. The end of a read may come before its last beats, that of a write
    /// comes after all of its beats have been taken.
    pub struct StorageDone {
        /// Of the command.
        pub tag: Bits<8>,
        /// How it ended.
        pub status: StorageStatus,
    }
}

hw_bundle! {
    /// A command for firmware.
    pub struct Inbox {
        /// The submission queue.
        pub sqid: Bits<8>,
        /// Its function.
        pub function: Bits<8>,
        /// A command whose status is known already. Of one that met an error in the I/O engine only opcode, cid, nsid and cdw10 to cdw12 are there.
        pub failed: Bits<1>,
        /// How it failed; 0 otherwise.
        pub status: Bits<15>,
        /// The entry.
        pub entry: Bits<512>,
    }
}

hw_bundle! {
    /// A completion to be posted.
    pub struct Completion {
        /// The submission queue of the command.
        pub sqid: Bits<8>,
        /// Command identifier.
        pub cid: Bits<16>,
        /// Status field without the phase tag.
        pub status: Bits<15>,
        /// Dword 0.
        pub result: Bits<32>,
        /// Firmware posts it: room has not been reserved.
        pub from_firmware: Bits<1>,
    }
}

hw_bundle! {
    /// A completion queue entry with its place.
    pub struct Posted {
        /// The function.
        pub function: Bits<8>,
        /// Where it goes: a multiple of 16.
        pub address: Bits<64>,
        /// The entry.
        pub entry: Bits<128>,
    }
}

hw_bundle! {
    /// An interrupt message: a dword that is written to host memory.
    pub struct Message {
        /// The function.
        pub function: Bits<8>,
        /// A multiple of 4.
        pub address: Bits<64>,
        /// What is written.
        pub data: Bits<32>,
    }
}

hw_view! {
    /// The fields of a submission queue entry that hardware looks at.
    pub struct SqEntry from nvme_spec::SqEntry { opcode: 8, flags: 8, cid: 16, nsid: 32 }
}
