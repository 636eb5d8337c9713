//! How [`Command`]s and [`Event`]s look in registers: eight words each.
//!
//! ```text
//! word   31..16     15..8   7..0
//!   0    argument   tag     code
//!   1    first
//!   2    second
//!   3    third
//!  4..7  body, the lowest word first
//! ```

use super::{Buffer, Command, Event, Planes, Register, Stream};
use crate::limits::SPARE_BYTES;
use crate::Outcome;

/// Words of a command or an event.
pub const WORDS: usize = 8;

/// Codes of commands. The upper half says which block of the fast path it is for.
pub mod command {
    /// The bits of a code that name the block.
    pub const BLOCK_BITS: core::ops::Range<u32> = 4..7;
    /// Blocks that are told something.
    pub const BLOCKS: u32 = 6;

    // What is written next.
    /// Tag: stream. Argument: super-block. Body: planes.
    pub const OPEN: u8 = 0x01;
    /// Tag: plane. Argument: page of the block.
    pub const START_AT: u8 = 0x02;
    /// First and second: the number, the lower half first.
    pub const SET_SEQUENCE: u8 = 0x03;
    /// Nothing more.
    pub const SETTLE: u8 = 0x04;
    // What is read.
    /// Tag. First: page. Second: [`buffer`](super::buffer).
    pub const READ: u8 = 0x11;
    /// First: page.
    pub const MOVE: u8 = 0x12;
    /// Nothing more.
    pub const DRAIN_MOVES: u8 = 0x13;
    // Programs.
    /// Tag. Argument: kind. First: page. Second: label. Third: [`buffer`](super::buffer).
    pub const PROGRAM: u8 = 0x21;
    // Erases.
    /// Argument: super-block. Body: planes.
    pub const ERASE: u8 = 0x31;
    // The map and the log.
    /// Tag: 1 if dirty. Argument: map page.
    pub const MAP_PRESENT: u8 = 0x41;
    /// First: logical unit. Second: place.
    pub const APPEND_LOG: u8 = 0x42;
    /// Nothing more.
    pub const CLOSE_LOG: u8 = 0x43;
    /// Nothing more.
    pub const LOG_DURABLE: u8 = 0x44;
    // All of it.
    /// Tag: 1 to refuse writes.
    pub const SET_READ_ONLY: u8 = 0x51;
    /// Nothing more.
    pub const FORGET: u8 = 0x52;
}

/// Codes of events; 0 is none.
pub mod event {
    /// Tag: stream. Argument: super-block.
    pub const SUPER_BLOCK_CLOSED: u8 = 1;
    /// Argument: map page.
    pub const MAP_NEEDED: u8 = 2;
    /// Tag. Argument: outcome. The spare lies in shared memory.
    pub const READ_DONE: u8 = 3;
    /// Tag. Argument: outcome.
    pub const PROGRAM_DONE: u8 = 4;
    /// Argument: super-block. Body: planes that failed.
    pub const ERASE_DONE: u8 = 5;
    /// Argument: outcome. First: page.
    pub const MOVED: u8 = 6;
    /// Nothing more.
    pub const MOVES_DRAINED: u8 = 7;
    /// Tag: buffer. First: entries. Body: covered, and safe at, 64 bits each.
    pub const LOG_CLOSED: u8 = 8;
    /// First: page.
    pub const PROGRAM_FAILED: u8 = 9;
    /// Tag: repetitions. First: page.
    pub const READ_RETRIED: u8 = 10;
}

/// Where the registers of the fast path are: offsets in bytes. Numbers of 64 bits lie with their lower half first; reading that holds the upper half.
pub mod register {
    /// The words of a command. Writing the first sends it.
    pub const COMMAND: u32 = 0x00;
    /// 1: the last command is not yet taken.
    pub const BUSY: u32 = 0x20;
    /// The words of the next event; the first is 0 if there is none.
    pub const EVENT: u32 = 0x40;
    /// Writing it takes the event.
    pub const EVENT_TAKE: u32 = 0x60;
    /// [`Register::Sequence`](crate::fast_path::Register), and so on in the order of these.
    pub const SEQUENCE: u32 = 0x80;
    /// See [`SEQUENCE`].
    pub const SAFE_SEQUENCE: u32 = 0x88;
    /// See [`SEQUENCE`].
    pub const LOG_APPENDED: u32 = 0x90;
    /// See [`SEQUENCE`].
    pub const LOG_DURABLE: u32 = 0x98;
    /// See [`SEQUENCE`].
    pub const LOG_COVERED: u32 = 0xA0;
    /// See [`SEQUENCE`].
    pub const LAST_TRIM: u32 = 0xA8;
    /// See [`SEQUENCE`].
    pub const LAST_TRIM_SEQUENCE: u32 = 0xB0;
    /// See [`SEQUENCE`].
    pub const FLUSH_WAITS: u32 = 0xB8;
    /// See [`SEQUENCE`].
    pub const WRITTEN_UNITS: u32 = 0xC0;
    /// See [`SEQUENCE`].
    pub const HOST_PAGES: u32 = 0xC8;
    /// See [`SEQUENCE`].
    pub const MOVED_PAGES: u32 = 0xD0;
    /// See [`SEQUENCE`].
    pub const OTHER_PAGES: u32 = 0xD8;
    /// A word for each super-block.
    pub const VALID_UNITS: u32 = 0x1000;
    /// A word for each map page.
    pub const MAP_DIRTY: u32 = 0x4000;
    /// Bytes of all registers.
    pub const BYTES: u32 = 0x8000;
}

/// Where a register is.
pub const fn register_offset(register: Register) -> u32 {
    match register {
        Register::Sequence => register::SEQUENCE,
        Register::SafeSequence => register::SAFE_SEQUENCE,
        Register::LogAppended => register::LOG_APPENDED,
        Register::LogDurable => register::LOG_DURABLE,
        Register::LogCovered => register::LOG_COVERED,
        Register::LastTrim => register::LAST_TRIM,
        Register::LastTrimSequence => register::LAST_TRIM_SEQUENCE,
        Register::FlushWaits => register::FLUSH_WAITS,
        Register::ValidUnits(super_block) => register::VALID_UNITS + 4 * super_block as u32,
        Register::MapDirty(map_page) => register::MAP_DIRTY + 4 * map_page as u32,
        Register::WrittenUnits => register::WRITTEN_UNITS,
        Register::HostPages => register::HOST_PAGES,
        Register::MovedPages => register::MOVED_PAGES,
        Register::OtherPages => register::OTHER_PAGES,
    }
}

/// Whether a register has 64 bits.
pub const fn is_wide(register: Register) -> bool {
    !matches!(register, Register::ValidUnits(_) | Register::MapDirty(_))
}

/// A buffer, or none, as a word: 0, or one more than [`Buffer::number`].
pub const fn buffer(buffer: Option<Buffer>) -> u32 {
    match buffer {
        None => 0,
        Some(buffer) => buffer.number() + 1,
    }
}

/// A command in registers.
pub fn encode(said: Command) -> [u32; WORDS] {
    let head = |code: u8, tag: u8, argument: u16| u32::from(code) | u32::from(tag) << 8 | u32::from(argument) << 16;
    let words = |head: u32, rest: [u32; 3]| [head, rest[0], rest[1], rest[2], 0, 0, 0, 0];
    let with_planes = |head: u32, planes: Planes| {
        let [a, b, c, d] = [0, 32, 64, 96].map(|shift| (planes >> shift) as u32);
        [head, 0, 0, 0, a, b, c, d]
    };
    match said {
        Command::Open { stream, super_block, planes } => {
            with_planes(head(command::OPEN, stream as u8, super_block), planes)
        }
        Command::StartAt { plane, page } => words(head(command::START_AT, plane, page), [0; 3]),
        Command::Read { tag, page, into } => words(head(command::READ, tag, 0), [page, buffer(into), 0]),
        Command::Program { tag, page, from, kind, label } => {
            words(head(command::PROGRAM, tag, kind.into()), [page, label, buffer(from)])
        }
        Command::Erase { super_block, planes } => with_planes(head(command::ERASE, 0, super_block), planes),
        Command::Move { page } => words(head(command::MOVE, 0, 0), [page, 0, 0]),
        Command::DrainMoves => words(head(command::DRAIN_MOVES, 0, 0), [0; 3]),
        Command::MapPresent { map_page, is_dirty } => {
            words(head(command::MAP_PRESENT, is_dirty.into(), map_page), [0; 3])
        }
        Command::AppendLog { lpn, place } => words(head(command::APPEND_LOG, 0, 0), [lpn, place, 0]),
        Command::CloseLog => words(head(command::CLOSE_LOG, 0, 0), [0; 3]),
        Command::LogDurable => words(head(command::LOG_DURABLE, 0, 0), [0; 3]),
        Command::Settle => words(head(command::SETTLE, 0, 0), [0; 3]),
        Command::SetSequence { next } => {
            words(head(command::SET_SEQUENCE, 0, 0), [next as u32, (next >> 32) as u32, 0])
        }
        Command::SetReadOnly { read_only } => words(head(command::SET_READ_ONLY, read_only.into(), 0), [0; 3]),
        Command::Forget => words(head(command::FORGET, 0, 0), [0; 3]),
    }
}

/// The event in registers; nothing if there is none. `spare` fetches the spare of a read by its tag.
pub fn decode(words: [u32; WORDS], spare: impl FnOnce(u8) -> [u8; SPARE_BYTES as usize]) -> Option<Event> {
    let [head, first, _, _, body @ ..] = words;
    let (tag, argument) = ((head >> 8) as u8, (head >> 16) as u16);
    let stream = || Stream::ALL.get(usize::from(tag)).copied();
    let outcome = || Outcome::from_code(argument as u8);
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let planes = || body.iter().rev().fold(0, |planes: Planes, &word| planes << 32 | Planes::from(word));
    let event = match head as u8 {
        event::SUPER_BLOCK_CLOSED => Event::SuperBlockClosed { stream: stream()?, super_block: argument },
        event::MAP_NEEDED => Event::MapNeeded { map_page: argument },
        event::READ_DONE => Event::ReadDone { tag, outcome: outcome()?, spare: spare(tag) },
        event::PROGRAM_DONE => Event::ProgramDone { tag, outcome: outcome()? },
        event::ERASE_DONE => Event::EraseDone { super_block: argument, failed: planes() },
        event::MOVED => Event::Moved { page: first, outcome: outcome()? },
        event::MOVES_DRAINED => Event::MovesDrained,
        event::LOG_CLOSED => {
            let [covered_low, covered_high, safe_low, safe_high] = body;
            let (covered, safe_at) = (pair(covered_low, covered_high), pair(safe_low, safe_high));
            Event::LogClosed { buffer: tag, entries: first, covered, safe_at }
        }
        event::PROGRAM_FAILED => Event::ProgramFailed { page: first },
        event::READ_RETRIED => Event::ReadRetried { page: first, retries: tag },
        _ => return None,
    };
    Some(event)
}
