//! What crosses the walls of the blocks. Codes are those of `flash-spec`.

use flash_spec::reliability::ERASES_BITS;
use rtl_hdl::{hw_bundle, hw_enum, Bits};

/// Width of a time of the array, in clocks.
pub const ARRAY_TIME_BITS: u32 = 24;
/// Width of a time of the bus, in clocks.
pub const BUS_TIME_BITS: u32 = 16;

hw_bundle! {
    /// What a channel is told to do.
    pub struct Command {
        /// Comes back with the completion.
        pub tag: Bits<16>,
        /// The die.
        pub die: Bits<2>,
        /// An [`Operation`](flash_spec::Operation).
        pub operation: Bits<3>,
        /// The planes, a bit each.
        pub planes: Bits<2>,
        /// The block in plane 0.
        pub block_0: Bits<16>,
        /// The block in plane 1.
        pub block_1: Bits<16>,
        /// The page in each of them. An erase does not look at it.
        pub page: Bits<16>,
        /// The first unit that is read.
        pub first_unit: Bits<2>,
        /// How many are read.
        pub units: Bits<3>,
    }
}

hw_bundle! {
    /// The end of a command.
    pub struct Done {
        /// That of the command.
        pub tag: Bits<16>,
        /// How it ended in plane 0: an [`Outcome`](flash_spec::Outcome).
        pub outcome_0: Bits<8>,
        /// How it ended in plane 1.
        pub outcome_1: Bits<8>,
        /// What the die was doing: see [`status`](flash_spec::command::status).
        pub status: Bits<8>,
    }
}

hw_bundle! {
    /// Data that goes over the bus, or inside a plane.
    pub struct Transfer {
        /// That of the command.
        pub tag: Bits<16>,
        /// `Read`, `Program` or `CopybackProgram`.
        pub operation: Bits<3>,
        /// The die.
        pub die: Bits<2>,
        /// The planes, a bit each.
        pub planes: Bits<2>,
        /// The planes whose data could not be corrected, a bit each.
        pub uncorrectable: Bits<2>,
        /// The block in plane 0.
        pub block_0: Bits<16>,
        /// The block in plane 1.
        pub block_1: Bits<16>,
        /// The page.
        pub page: Bits<16>,
        /// The first unit.
        pub first_unit: Bits<2>,
        /// How many.
        pub units: Bits<3>,
        /// Where the data of a copyback comes from: the block in plane 0.
        pub from_block_0: Bits<16>,
        /// The block in plane 1.
        pub from_block_1: Bits<16>,
        /// The page.
        pub from_page: Bits<16>,
    }
}

hw_bundle! {
    /// The [`Clocks`](flash_spec::Clocks) of a timing.
    pub struct Times {
        /// tR of an LSB page.
        pub read_lsb: Bits<ARRAY_TIME_BITS>,
        /// tR of an MSB page.
        pub read_msb: Bits<ARRAY_TIME_BITS>,
        /// tPROG of an LSB page.
        pub program_lsb: Bits<ARRAY_TIME_BITS>,
        /// tPROG of an MSB page.
        pub program_msb: Bits<ARRAY_TIME_BITS>,
        /// tBERS.
        pub erase: Bits<ARRAY_TIME_BITS>,
        /// From a suspend command to an array that takes a read.
        pub suspend: Bits<ARRAY_TIME_BITS>,
        /// What a program or an erase takes longer for each suspension.
        pub resume: Bits<ARRAY_TIME_BITS>,
        /// Command and address cycles of an operation.
        pub command: Bits<BUS_TIME_BITS>,
        /// A unit on the bus.
        pub unit: Bits<BUS_TIME_BITS>,
    }
}

hw_bundle! {
    /// What goes wrong: see [`Reliability`](flash_spec::Reliability).
    pub struct Faults {
        /// A read is repeated once for every 2^n erases of its block.
        pub retry_wear_shift: Bits<5>,
        /// A block that has been erased so often fails at its next erase; 0: never.
        pub erases_max: Bits<32>,
        /// Of 2^32 reads so many need one repetition more.
        pub retry_rate: Bits<32>,
        /// Of 2^32 reads so many cannot be corrected.
        pub uncorrectable_rate: Bits<32>,
        /// Of 2^32 programs so many fail.
        pub program_fail_rate: Bits<32>,
        /// Of 2^32 erases so many fail.
        pub erase_fail_rate: Bits<32>,
    }
}

hw_enum! {
    /// What the bus is used for.
    pub enum Phase {
        /// Command of a read.
        Read,
        /// Suspend command.
        Suspend,
        /// Data of a read.
        Out,
        /// Read status command, and the answer.
        Status,
        /// Command of a program or an erase, and the data.
        Write,
        /// Resume command.
        Resume,
    }
}

hw_enum! {
    /// Which pages of a block have been destroyed since its last erase.
    pub(crate) enum Torn {
        /// None.
        Nothing,
        /// The last that was programmed.
        Last,
        /// That one and the LSB page of the same cells.
        Cells,
        /// All.
        Block,
    }
}

hw_bundle! {
    /// What is known of a block.
    pub(crate) struct Record {
        pub erases: Bits<ERASES_BITS>,
        /// The page that is programmed next.
        pub next_page: Bits<11>,
        /// Nothing is programmed before the next erase.
        pub is_closed: Bits<1>,
        /// No erase succeeds.
        pub is_bad: Bits<1>,
        pub torn: Torn,
    }
}
