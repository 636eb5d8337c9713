//! What firmware and the hardware fast path say to each other.
//!
//! Hardware serves reads, writes, flushes and trims by itself. It owns the write pointers of the super-blocks that firmware hands out, makes every change
//! of the map and writes each into the log. Firmware hears of it by [`Event`]s and answers by [`Command`]s.
//!
//! ## What hardware promises
//! - At most one write of a logical unit is in flight, and no move of it starts meanwhile: so of two pages with the same unit the one with the greater
//!   sequence number has the newer version.
//! - A flush ends when all that was acknowledged before it is programmed and can no more be destroyed by a program of the same cells
//!   ([`crate::pairing::safe_end`]), and each trim before it is in a record of the log that [`Command::LogDurable`] names.
//! - It changes the map of no unit whose map page is absent. It asks for the page and goes on with others.
//! - It programs nothing for the host or a move while no buffer of the log has room. Instead it programs filler, until the closed buffer is safe.

use crate::limits::{PAGE_BYTES, SPARE_BYTES};
use crate::Outcome;

pub mod wire;

/// A super-block as hardware writes it: a bit for each plane that takes part.
pub type Planes = u128;

/// Whose units go into a super-block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stream {
    /// The host's writes.
    Host = 0,
    /// Units that garbage collection moves.
    Moved = 1,
}

impl Stream {
    /// All streams, in the order of their codes.
    pub const ALL: [Self; 2] = [Self::Host, Self::Moved];
}

/// A page of DRAM that firmware and hardware share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Buffer {
    /// A page of the map, by its number.
    Map(u16),
    /// A record of the log, below [`LOG_BUFFERS`]. Hardware fills in the entries, firmware the header.
    Log(u8),
    /// Firmware's own, below [`SCRATCH_BUFFERS`].
    Scratch(u8),
}

impl Buffer {
    /// Its number among the pages of DRAM that firmware and hardware share: records of the log, firmware's own, pages on the move, the map.
    pub const fn number(self) -> u32 {
        match self {
            Self::Log(index) => index as u32,
            Self::Scratch(index) => LOG_BUFFERS as u32 + index as u32,
            Self::Map(index) => MAP_FIRST + index as u32,
        }
    }
}

/// The first of the shared pages that hold pages on the move: see [`Buffer::number`].
pub const MOVES_FIRST: u32 = LOG_BUFFERS as u32 + SCRATCH_BUFFERS as u32;
/// The first of the shared pages that hold the map.
pub const MAP_FIRST: u32 = MOVES_FIRST + MOVES_MAX;

/// Bytes of the shared pages of a flash with so many pages of the map. Behind them are the spares that firmware reads, by tag.
pub const fn shared_bytes(map_pages: u32) -> u64 {
    (MAP_FIRST + map_pages) as u64 * PAGE_BYTES as u64
}

/// Records of the log that hardware can hold.
pub const LOG_BUFFERS: u8 = 2;
/// Entries for which hardware keeps room in the log, so that those of firmware need not wait.
pub const FIRMWARE_LOG_ENTRIES: u32 = 256;
/// Pages that only firmware uses.
pub const SCRATCH_BUFFERS: u8 = 16;
/// Most pages that hardware moves at a time.
pub const MOVES_MAX: u32 = 16;
/// Most reads and programs of firmware that hardware does at a time: their tags are below it.
pub const TAGS: u8 = 64;
/// How often a read is tried before its page is given up.
pub const READ_ATTEMPTS: u32 = 8;
/// A page whose read was repeated so often is written anew before it is lost.
pub const REFRESH_RETRIES: u8 = 6;

/// What firmware tells hardware. Hardware takes each at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The next super-block of a stream: erased, and used when the one before it is full.
    Open {
        /// Whose.
        stream: Stream,
        /// Its number.
        super_block: u16,
        /// Its good blocks.
        planes: Planes,
    },
    /// Of the super-block that is handed out next: a block whose first pages are written, and safe. Where a die is programmed in all its planes at once, those
    /// that do not start at the same page as its first one get nothing more.
    StartAt {
        /// The plane of the block.
        plane: u8,
        /// Its first page that is not written.
        page: u16,
    },
    /// Reads a page, its spare or all of it.
    Read {
        /// Names it in [`Event::ReadDone`].
        tag: u8,
        /// The page.
        page: u32,
        /// Where its data goes.
        into: Option<Buffer>,
    },
    /// Programs a page. Hardware makes its spare. A map page counts as clean from now on.
    Program {
        /// Names it in [`Event::ProgramDone`].
        tag: u8,
        /// The page.
        page: u32,
        /// Where its data comes from; without, it is filler.
        from: Option<Buffer>,
        /// One of [`crate::spare::kind`].
        kind: u8,
        /// `lpns[0]` of its spare.
        label: u32,
    },
    /// Erases blocks of a super-block.
    Erase {
        /// Its number.
        super_block: u16,
        /// Which.
        planes: Planes,
    },
    /// Moves the valid units of a page to [`Stream::Moved`].
    Move {
        /// The page.
        page: u32,
    },
    /// Programs units that were moved though they do not fill a page.
    DrainMoves,
    /// A map page is in its buffer. Hardware counts its valid units.
    MapPresent {
        /// Its number.
        map_page: u16,
        /// It differs from what is in flash.
        is_dirty: bool,
    },
    /// Adds an entry to the log.
    AppendLog {
        /// See [`crate::record::LogEntry`].
        lpn: u32,
        /// See [`crate::record::LogEntry`].
        place: u32,
    },
    /// Closes the buffer of the log that is being filled, even if it is empty.
    CloseLog,
    /// The record in the buffer that was closed first is in flash.
    LogDurable,
    /// Programs filler until all that was written is safe.
    Settle,
    /// The number of the next page.
    SetSequence {
        /// The number.
        next: u64,
    },
    /// Takes writes or refuses them; what is in the cache is written all the same.
    SetReadOnly {
        /// Refuses.
        read_only: bool,
    },
    /// Ends what is in flight, and forgets the cache, the log and the open super-blocks. The map is present, and empty.
    Forget,
}

/// What hardware tells firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A super-block is full, or none of its blocks can be written any more, and its last program has ended.
    SuperBlockClosed {
        /// Whose.
        stream: Stream,
        /// Its number.
        super_block: u16,
    },
    /// Something waits for a map page.
    MapNeeded {
        /// Its number.
        map_page: u16,
    },
    /// A read of firmware has ended. [`Outcome::Uncorrectable`] also if a CRC was wrong.
    ReadDone {
        /// As in the command.
        tag: u8,
        /// How.
        outcome: Outcome,
        /// The spare; all ones if the page is erased.
        spare: [u8; SPARE_BYTES as usize],
    },
    /// A program of firmware has ended.
    ProgramDone {
        /// As in the command.
        tag: u8,
        /// How.
        outcome: Outcome,
    },
    /// Blocks have been erased.
    EraseDone {
        /// As in the command.
        super_block: u16,
        /// Those that failed.
        failed: Planes,
    },
    /// No valid unit of a page waits for its move any more: each has been moved, or its place in the map has changed.
    Moved {
        /// As in the command.
        page: u32,
        /// [`Outcome::Uncorrectable`]: it could not be read, and nothing was moved.
        outcome: Outcome,
    },
    /// All units before [`Command::DrainMoves`] are where they belong.
    MovesDrained,
    /// A buffer of the log is closed; it is written to flash by firmware. The next one is in use.
    LogClosed {
        /// Which.
        buffer: u8,
        /// Its entries.
        entries: u32,
        /// See [`crate::record::LogHeader::covered`].
        covered: u64,
        /// All pages that its entries name are safe when [`Register::SafeSequence`] is at least this. Only then may it be written: otherwise a mount could
        /// find an entry whose page is destroyed, and not what was there before.
        safe_at: u64,
    },
    /// A page of a stream has failed. Its units go elsewhere, and its block gets no more. Pages that the flash refuses because of that are not told.
    ProgramFailed {
        /// The page.
        page: u32,
    },
    /// A page was read with so many repetitions.
    ReadRetried {
        /// The page.
        page: u32,
        /// How many.
        retries: u8,
    },
}

/// A number that firmware reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// The sequence number of the next page.
    Sequence,
    /// All pages of streams with lower sequence numbers are programmed and safe.
    SafeSequence,
    /// Entries that were ever added to the log.
    LogAppended,
    /// Entries that are in flash.
    LogDurable,
    /// [`crate::record::LogHeader::covered`] of the last record that is in flash.
    LogCovered,
    /// [`Self::LogAppended`] after the last trim.
    LastTrim,
    /// [`Self::Sequence`] at the last trim. Pages before it may hold the unit: a mount must not look at them when an older version is left of it.
    LastTrimSequence,
    /// 1: a flush waits for a record of the log.
    FlushWaits,
    /// Units of a super-block that the map refers to; right when all map pages are present.
    ValidUnits(u16),
    /// 1: the map page differs from what is in flash.
    MapDirty(u16),
    /// Units that the host wrote.
    WrittenUnits,
    /// Pages that were programmed for the host.
    HostPages,
    /// Pages that were programmed for moves.
    MovedPages,
    /// Pages that were programmed for firmware, and filler.
    OtherPages,
}
