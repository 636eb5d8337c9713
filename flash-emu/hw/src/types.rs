//! What crosses the walls of the blocks: of the cache, and of the channels. Codes of the flash are those of `flash-spec`.

use flash_spec::block::{NEXT_PAGE_BITS, RECORD_BITS};
use flash_spec::limits::UNIT_BYTES;
use flash_spec::reliability::ERASES_BITS;
use nvme_hw::types::{Operation, BEAT_BYTES};
use nvme_spec::limits::SECTOR_BYTES;
use rtl_bus::Axi4Config;
use rtl_hdl::{hw_bundle, hw_enum, Bits};

/// The bus of each memory.
pub const MEMORY: Axi4Config = nvme_hw::direct::MEMORY;
/// Width of the number of a line of the cache.
pub const LINE_BITS: u32 = 20;
/// Sectors of a unit, which is a line of the cache.
pub const UNIT_SECTORS: u32 = UNIT_BYTES / SECTOR_BYTES;
/// Beats of a unit.
pub const UNIT_BEATS: u32 = UNIT_BYTES / BEAT_BYTES;
/// Beats of a sector.
pub const SECTOR_BEATS: u32 = SECTOR_BYTES / BEAT_BYTES;

hw_enum! {
    /// What the data side of the cache does.
    pub enum Move {
        /// Line to host.
        Read,
        /// Host to line.
        Write,
        /// Nothing, or data of the host is thrown away; the end of a command is reported.
        Report,
    }
}

hw_bundle! {
    /// A part of a storage command, of one line of the cache.
    pub struct Burst {
        /// Of the storage command.
        pub tag: Bits<8>,
        /// What moves.
        pub operation: Move,
        /// The line.
        pub line: Bits<LINE_BITS>,
        /// The first beat in the line.
        pub beat: Bits<6>,
        /// Beats of the line, or of the host, that are moved or thrown away, up to those of a line.
        pub beats: Bits<7>,
        /// Sectors of the line: those that are written, or those that cannot be read.
        pub sectors: Bits<8>,
        /// The beats go nowhere (Verify), or are made here (Write Zeroes).
        pub without_host: Bits<1>,
        /// The end of this burst is that of its command.
        pub ends_command: Bits<1>,
        /// The end of the command is not reported but goes to `persist`: it is to be on the medium first.
        pub fua: Bits<1>,
        /// Of a Report: the medium could not be read.
        pub failed: Bits<1>,
        /// Of a Report: the command is beyond the end.
        pub refused: Bits<1>,
    }
}

hw_bundle! {
    /// A burst no longer uses its line.
    pub struct Released {
        /// The line.
        pub line: Bits<LINE_BITS>,
        /// It wrote.
        pub is_write: Bits<1>,
    }
}

hw_bundle! {
    /// A command whose data is in the cache and is to be on the medium before its end is reported.
    pub struct Persist {
        /// Of the command.
        pub tag: Bits<8>,
    }
}

hw_bundle! {
    /// A storage command all of whose data is there.
    pub struct Staged {
        /// Of the storage command.
        pub tag: Bits<8>,
        /// What to do.
        pub operation: Operation,
        /// The first sector.
        pub sector: Bits<64>,
        /// Number of sectors.
        pub sectors: Bits<4>,
        /// Force unit access.
        pub fua: Bits<1>,
        /// Of a Write, the sectors that stay as they are, counted from its first.
        pub missing: Bits<8>,
    }
}

hw_bundle! {
    /// A line of the cache is to be filled with a unit from the flash.
    pub struct Fill {
        /// The line.
        pub line: Bits<LINE_BITS>,
        /// The unit.
        pub unit: Bits<32>,
        /// Whether a part of it is forwarded to the host as it comes.
        pub forward: Bits<1>,
        /// Of the storage command that it is forwarded to.
        pub tag: Bits<8>,
        /// The first sector of that part.
        pub sector: Bits<3>,
        /// Sectors of that part.
        pub sectors: Bits<4>,
    }
}

hw_bundle! {
    /// A line of the cache is filled.
    pub struct Filled {
        /// The line.
        pub line: Bits<LINE_BITS>,
        /// Sectors that cannot be read.
        pub bad: Bits<8>,
        /// As in the request.
        pub forward: Bits<1>,
        /// As in the request.
        pub tag: Bits<8>,
        /// One of the sectors that were forwarded cannot be read.
        pub failed: Bits<1>,
        /// The flash could not read it, so that no sector can be; it may be asked again.
        pub lost: Bits<1>,
    }
}

hw_bundle! {
    /// A line of the cache is to be written to the flash; or, with `settle`, all that was given before is to be made safe.
    pub struct Clean {
        /// Nothing is to be written: see [`Step::Settled`].
        pub settle: Bits<1>,
        /// The line.
        pub line: Bits<LINE_BITS>,
        /// The unit.
        pub unit: Bits<32>,
        /// Sectors that cannot be read.
        pub bad: Bits<8>,
        /// Nothing is to be written but the unit is to have no place any more, so that it reads as zero. Its data is zero, too.
        pub trim: Bits<1>,
    }
}

hw_bundle! {
    /// A unit whose line is trimmed is to have no place any more.
    pub struct Trim {
        /// The line.
        pub line: Bits<LINE_BITS>,
        /// The unit.
        pub unit: Bits<32>,
    }
}

hw_enum! {
    /// What has become of a line that was to be written to the flash.
    pub enum Step {
        /// Its data has been read, so that it may be written again.
        Left,
        /// Its data is in the flash, and the map says so.
        Cleaned,
        /// It is not: it must be given once more.
        Failed,
        /// No line. All that was given before `settle` is in the flash, and nothing that is programmed later can destroy it.
        Settled,
        /// No line. Some of what was given before `settle` has failed: once it has been given again, the flash is to settle again.
        Unsettled,
        /// No line. The flash takes no more data.
        Full,
    }
}

hw_bundle! {
    /// What has become of a line: `Left`, then `Cleaned` or `Failed`; of a line that is trimmed, only one of the last two. The answer to `settle` comes
    /// behind those of all lines before it.
    pub struct Progress {
        /// What.
        pub step: Step,
        /// The line.
        pub line: Bits<LINE_BITS>,
    }
}

hw_bundle! {
    /// A unit is to be copied.
    pub struct MoveJob {
        /// The end carries it.
        pub tag: Bits<16>,
        /// Address of the unit in the one memory.
        pub source: Bits<64>,
        /// Address of the unit in the other.
        pub sink: Bits<64>,
        /// There is no source: zeroes are written.
        pub zeroes: Bits<1>,
        /// It is known that it cannot be read: its beats carry an error, and it fails.
        pub bad: Bits<1>,
        /// Of the storage command to which beats are forwarded.
        pub forward_tag: Bits<8>,
        /// The first of these beats.
        pub forward_beat: Bits<6>,
        /// How many; 0: none.
        pub forward_beats: Bits<7>,
    }
}

hw_bundle! {
    /// A unit has been copied.
    pub struct Moved {
        /// Of the job.
        pub tag: Bits<16>,
        /// CRC-32C of what was written.
        pub crc: Bits<32>,
        /// It could not be read or written.
        pub failed: Bits<1>,
    }
}

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
        /// Of a read, the planes whose page has not been programmed since the erase of its block, a bit each; a page that is torn is none of them.
        pub blank: Bits<2>,
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
    /// Which pages of a block have been destroyed since its last erase: the twin of [`flash_spec::Torn`].
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
    /// What is known of a block: the twin of [`BlockRecord`](flash_spec::BlockRecord).
    pub(crate) struct Record {
        pub erases: Bits<ERASES_BITS>,
        /// The page that is programmed next.
        pub next_page: Bits<NEXT_PAGE_BITS>,
        /// Nothing is programmed before the next erase.
        pub is_closed: Bits<1>,
        /// No erase succeeds.
        pub is_bad: Bits<1>,
        pub torn: Torn,
    }
}

hw_bundle! {
    /// Somebody asks for the record of a block, or puts one there. It names a block that is there.
    pub struct Door {
        /// The channel. A channel does not look at it.
        pub channel: Bits<4>,
        /// The die on it.
        pub die: Bits<2>,
        /// The plane of the die.
        pub plane: Bits<1>,
        /// The block of the plane.
        pub block: Bits<16>,
        /// `record` is put there.
        pub is_write: Bits<1>,
        /// A [`BlockRecord`](flash_spec::BlockRecord).
        pub record: Bits<RECORD_BITS>,
    }
}

hw_bundle! {
    /// What is known of a block, or was until another record was put there.
    pub struct DoorRecord {
        /// A [`BlockRecord`](flash_spec::BlockRecord).
        pub record: Bits<RECORD_BITS>,
    }
}

hw_bundle! {
    /// The data of a channel's phase is through.
    pub struct Through {
        /// The channel.
        pub channel: Bits<4>,
    }
}

/// Who has told a channel to do something: these bits of a tag. The bits above them are the number of the channel, those below are the user's own.
pub const USER_BITS: std::ops::Range<u32> = 10..12;

/// The users of the array: [`USER_BITS`].
pub mod user {
    /// [`Filling`](crate::fill::Filling).
    pub const FILL: u32 = 0;
    /// [`PageRead`](crate::page_read::PageRead).
    pub const READ: u32 = 1;
    /// [`Programming`](crate::program::Programming).
    pub const PROGRAM: u32 = 2;
    /// [`Erasing`](crate::erase::Erasing).
    pub const ERASE: u32 = 3;
}

/// Who has asked the page map: these bits of a tag.
pub const MAP_USER_BITS: std::ops::Range<u32> = 6..8;

/// The users of the page map: [`MAP_USER_BITS`].
pub mod map_user {
    /// [`Filling`](crate::fill::Filling).
    pub const FILL: u32 = 0;
    /// [`Gather`](crate::gather::Gather).
    pub const GATHER: u32 = 1;
    /// [`PageRead`](crate::page_read::PageRead).
    pub const READ: u32 = 2;
    /// [`Commit`](crate::commit::Commit).
    pub const COMMIT: u32 = 3;
}

/// Width of the number of a page of the flash among all written, which only grows.
pub const SEQUENCE_BITS: u32 = 48;
/// The most units of one program: those of a page in each plane of a die.
pub const PROGRAM_UNITS: u32 = flash_spec::limits::UNITS_PER_PAGE * flash_spec::limits::PLANES_PER_DIE_MAX;

hw_bundle! {
    /// What firmware says: see [`flash_spec::fast_path::wire`].
    pub struct Said {
        /// What.
        pub code: Bits<8>,
        /// See there.
        pub tag: Bits<8>,
        /// See there.
        pub argument: Bits<16>,
        /// See there.
        pub first: Bits<32>,
        /// See there.
        pub second: Bits<32>,
        /// See there.
        pub third: Bits<32>,
        /// See there.
        pub body: Bits<128>,
    }
}

hw_bundle! {
    /// What firmware hears: see [`flash_spec::fast_path::wire`].
    pub struct Heard {
        /// What.
        pub code: Bits<8>,
        /// See there.
        pub tag: Bits<8>,
        /// See there.
        pub argument: Bits<16>,
        /// See there.
        pub first: Bits<32>,
        /// See there.
        pub body: Bits<128>,
    }
}

hw_enum! {
    /// For whom a page is programmed.
    pub enum Purpose {
        /// The host's units.
        Host,
        /// Units that garbage collection moves.
        Moved,
        /// Filler in a super-block of a stream.
        Filler,
        /// What firmware wants.
        Firmware,
    }
}

hw_bundle! {
    /// Somebody wants to program a die.
    pub struct Want {
        /// For whom.
        pub purpose: Purpose,
    }
}

hw_bundle! {
    /// Where a die is programmed, and as the how manieth.
    pub struct Place {
        /// For whom.
        pub purpose: Purpose,
        /// The open super-block: see [`WritePoint`](crate::write_point::WritePoint). Not of firmware's.
        pub point: Bits<2>,
        /// The channel.
        pub channel: Bits<4>,
        /// The die on it.
        pub die: Bits<2>,
        /// The planes, a bit each. None: there was no place, and it is to be asked for once more.
        pub planes: Bits<2>,
        /// The block in each of them, which is the super-block.
        pub super_block: Bits<16>,
        /// The page in each of them.
        pub page: Bits<16>,
        /// The number of the page in the lower plane; one more is that of the page in the upper.
        pub sequence: Bits<SEQUENCE_BITS>,
    }
}

hw_bundle! {
    /// A die is to be programmed. Its units come after it, as [`ProgramUnit`]s: those of the lower plane first, four to a plane, and only the last plane has
    /// fewer.
    pub struct ProgramPage {
        /// Where.
        pub place: Place,
        /// Firmware's name of it.
        pub tag: Bits<8>,
        /// The kind in the spare.
        pub kind: Bits<8>,
        /// How many units come.
        pub units: Bits<4>,
    }
}

hw_bundle! {
    /// A unit that is to be programmed.
    pub struct ProgramUnit {
        /// Its address in the memory it comes from, in units.
        pub source: Bits<32>,
        /// Its number in the spare.
        pub lpn: Bits<32>,
        /// The entry of the map that it replaces.
        pub old: Bits<32>,
        /// Sectors that cannot be read.
        pub bad: Bits<8>,
    }
}

hw_enum! {
    /// What happens to a program.
    pub enum ProgramStep {
        /// The data of a unit has been read, so that its source may be written again.
        Left,
        /// A unit is programmed, or not.
        Unit,
        /// The program is over; its units have been told of.
        End,
    }
}

hw_bundle! {
    /// A step of a program. Of each: `Left` of every unit, `Unit` of every unit, `End`.
    pub struct ProgramResult {
        /// What.
        pub step: ProgramStep,
        /// Where the program was told to be.
        pub place: Place,
        /// Of firmware's, as it was told.
        pub tag: Bits<8>,
        /// The unit.
        pub unit: ProgramUnit,
        /// Where it lies now: an entry of the map.
        pub entry: Bits<32>,
        /// `Unit`: bit 0 says that it failed. `End`: the planes that failed.
        pub failed: Bits<2>,
        /// `End`: an [`Outcome`](flash_spec::Outcome), that of the lowest plane.
        pub outcome: Bits<8>,
    }
}

hw_bundle! {
    /// A program of an open super-block is over, and the map has changed for it.
    pub struct Ended {
        /// As in its place.
        pub point: Bits<2>,
        /// The channel.
        pub channel: Bits<4>,
        /// The die.
        pub die: Bits<2>,
        /// The planes that failed.
        pub failed: Bits<2>,
    }
}

hw_bundle! {
    /// A unit that was to be moved.
    pub struct Resolved {
        /// Its address in memory, in units.
        pub source: Bits<32>,
        /// It was not programmed.
        pub failed: Bits<1>,
    }
}

hw_bundle! {
    /// A page by its number.
    pub struct PageNumber {
        /// Its number: see [`page_index`](flash_spec::Geometry::page_index).
        pub page: Bits<32>,
        /// The answer carries it.
        pub carried: Bits<16>,
    }
}

hw_bundle! {
    /// Where a page lies.
    pub struct Located {
        /// Its number.
        pub page: Bits<32>,
        /// There is such a page; if not, no field below but the last means anything.
        pub is_there: Bits<1>,
        /// The channel.
        pub channel: Bits<4>,
        /// The die on it.
        pub die: Bits<2>,
        /// The plane of the die.
        pub plane: Bits<1>,
        /// The block of the plane.
        pub block: Bits<16>,
        /// The page of the block.
        pub page_of_block: Bits<16>,
        /// As it came.
        pub carried: Bits<16>,
    }
}
