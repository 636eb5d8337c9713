//! # The fast path
//!
//! What the hardware between the `storage` port and the flash does, in plain Rust and without time: [`flash_spec::fast_path`] says what it promises.
//!
//! ```text
//!   write, read, trim, flush               Command, Event
//!            |                                   |
//!            v                                   v
//!     cache (dirty lines) ---> gather 4 ---> Host   open super-blocks ---> Array
//!            |                            +> Moved        ^
//!            v                            |               |
//!     map (in DRAM) <--- compare-and-swap +--- moves <----+ valid units of victims
//!            |
//!            +---> log (every change)
//! ```
//! Something happens only in [`FastPath::step`]: a page is gathered and its program starts, or one of the programs and erases in flight ends. Which one is
//! random, so that a seed stands for an order of events, and a power cut ([`FastPath::cut`]) can come between any two.
//!
//! A unit of data is a number of 64 bits, which stands for 4 KiB.

mod cache;
mod firmware;
mod log;
mod moves;
mod write_point;

use std::collections::VecDeque;

use flash_spec::fast_path::{Event, Stream, LOG_BUFFERS, MOVES_MAX, READ_ATTEMPTS, REFRESH_RETRIES, SCRATCH_BUFFERS};
use flash_spec::limits::{PAGE_BYTES, UNITS_PER_PAGE};
use flash_spec::record::{MAP_ENTRIES, UNMAPPED};
use flash_spec::spare::{crc32c, kind, Spare, LPN_NONE};
use flash_spec::{Geometry, Outcome, PageAddress};

use crate::array::{Array, Page};
use crate::random::Random;
use cache::Cache;
use log::Log;
use moves::Moves;
use write_point::WritePoint;

/// Words of a page.
pub const PAGE_WORDS: usize = PAGE_BYTES as usize / 4;

/// What is in a page of flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Units of the host.
    Units([u64; UNITS_PER_PAGE as usize]),
    /// What firmware wrote.
    Words(Box<[u32]>),
    /// Filler.
    Nothing,
}

impl Content {
    /// CRC-32C of each unit.
    pub fn crc(&self) -> [u32; UNITS_PER_PAGE as usize] {
        match self {
            Self::Units(units) => units.map(|unit| crc32c(&unit.to_le_bytes())),
            Self::Words(words) => {
                let mut crcs = [0; UNITS_PER_PAGE as usize];
                for (crc, unit) in crcs.iter_mut().zip(words.chunks(PAGE_WORDS / UNITS_PER_PAGE as usize)) {
                    let bytes: Vec<u8> = unit.iter().flat_map(|word| word.to_le_bytes()).collect();
                    *crc = crc32c(&bytes);
                }
                crcs
            }
            Self::Nothing => [0; UNITS_PER_PAGE as usize],
        }
    }
}

/// Why a request of the host was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not now: something has to happen first. Ask again.
    Busy,
    /// There is no such unit.
    OutOfRange,
    /// The device takes no more writes.
    ReadOnly,
    /// The unit cannot be read, now or ever.
    Unreadable,
}

/// Something in flight.
#[derive(Clone, Debug)]
enum Operation {
    /// A program of units.
    Units { stream: Stream, page: u32, sequence: u64, units: Vec<Unit> },
    /// A program of filler in a super-block of a stream.
    Filler { page: u32, sequence: u64 },
    /// A program of firmware.
    Firmware { tag: u8, page: u32 },
    /// An erase of a block.
    Erase { page: u32 },
}

/// A unit on its way into flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    lpn: u32,
    data: u64,
    /// Where it was read, if it is moved.
    source: u32,
}

/// Erases of a super-block.
#[derive(Clone, Copy, Debug)]
struct Erasing {
    super_block: u16,
    left: u32,
    failed: u128,
}

/// Pages by what they were programmed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// For the host.
    pub host: u64,
    /// For moves.
    pub moved: u64,
    /// For firmware.
    pub firmware: u64,
    /// Filler.
    pub filler: u64,
}

/// The fast path over its flash.
#[derive(Debug)]
pub struct FastPath {
    array: Array<Content>,
    geometry: Geometry,
    units: u32,
    cache: Cache,
    map: Vec<u32>,
    is_present: Vec<bool>,
    is_dirty: Vec<bool>,
    valid: Vec<u32>,
    log: Log,
    moves: Moves,
    write_points: Vec<WritePoint>,
    operations: Vec<Operation>,
    /// The page of units whose changes are being made: a buffer of the log may be full after some of them.
    ending: Option<u64>,
    erasing: Vec<Erasing>,
    scratch: Vec<Vec<u32>>,
    /// Where the blocks of the next super-block start.
    starts: Vec<u16>,
    events: VecDeque<Event>,
    sequence: u64,
    settles_before: u64,
    is_read_only: bool,
    written_units: u64,
    pages: PageCounts,
}

impl FastPath {
    /// The hardware after power-up: no map page is present. The host sees `units` units; the cache has `lines` lines.
    ///
    /// # Panics
    /// If a page of units does not fit into the cache.
    pub fn new(array: Array<Content>, units: u32, lines: usize) -> Self {
        assert!(lines >= UNITS_PER_PAGE as usize);
        let geometry = *array.geometry();
        let map_pages = units.div_ceil(MAP_ENTRIES) as usize;
        Self {
            array,
            geometry,
            units,
            cache: Cache::new(lines),
            map: vec![UNMAPPED; map_pages * MAP_ENTRIES as usize],
            is_present: vec![false; map_pages],
            is_dirty: vec![false; map_pages],
            valid: vec![0; geometry.blocks_per_plane as usize],
            log: Log::new(),
            moves: Moves::new(),
            write_points: Vec::new(),
            operations: Vec::new(),
            ending: None,
            erasing: Vec::new(),
            scratch: vec![vec![0; PAGE_WORDS]; usize::from(SCRATCH_BUFFERS)],
            starts: vec![0; geometry.planes() as usize],
            events: VecDeque::new(),
            sequence: 1,
            settles_before: 0,
            is_read_only: false,
            written_units: 0,
            pages: PageCounts::default(),
        }
    }

    /// Cuts the power: what is in flight ends where it is, and all but the flash is lost.
    pub fn cut(mut self) -> Array<Content> {
        self.array.cut();
        self.array
    }

    /// The flash.
    pub fn array(&self) -> &Array<Content> {
        &self.array
    }

    /// The flash, to break something.
    pub fn array_mut(&mut self) -> &mut Array<Content> {
        &mut self.array
    }

    /// Pages that were programmed.
    pub fn pages(&self) -> PageCounts {
        self.pages
    }

    /// Writes a unit. It is acknowledged with this, and kept for as long as there is power.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn write(&mut self, lpn: u32, data: u64) -> Result<(), Refusal> {
        self.check(lpn)?;
        if self.is_read_only {
            return Err(Refusal::ReadOnly);
        }
        if !self.cache.write(lpn, data) {
            return Err(Refusal::Busy);
        }
        self.written_units += 1;
        Ok(())
    }

    /// Reads a unit; `None` if it was never written or was trimmed.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn read(&mut self, lpn: u32) -> Result<Option<u64>, Refusal> {
        self.check(lpn)?;
        if let Some(data) = self.cache.read(lpn) {
            return Ok(Some(data));
        }
        self.need_map(lpn).map_err(|_| Refusal::Busy)?;
        let place = self.map[lpn as usize];
        if place == UNMAPPED {
            return Ok(None);
        }
        let (page, unit) = (place / UNITS_PER_PAGE, (place % UNITS_PER_PAGE) as usize);
        match self.read_flash(page) {
            Some((spare, Content::Units(units))) if spare.lpns[unit].get() == lpn => Ok(Some(units[unit])),
            _ => Err(Refusal::Unreadable),
        }
    }

    /// Trims a unit.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn trim(&mut self, lpn: u32) -> Result<(), Refusal> {
        self.check(lpn)?;
        if self.is_read_only {
            return Err(Refusal::ReadOnly);
        }
        self.need_map(lpn).map_err(|_| Refusal::Busy)?;
        if !self.log.has_room(self.entries_in_flight() + 1) {
            return Err(Refusal::Busy);
        }
        if self.map[lpn as usize] != UNMAPPED {
            self.set_map(lpn, UNMAPPED);
        }
        let trim = self.log.note_trim(self.sequence);
        self.cache.trim(lpn, trim);
        Ok(())
    }

    /// Starts a flush of all that was acknowledged; [`Self::flushed`] tells when it has ended.
    pub fn flush(&mut self, id: u64) {
        self.cache.flush(id, self.log.last_trim());
    }

    /// A flush that has ended.
    pub fn flushed(&mut self) -> Option<u64> {
        self.cache.flushed.pop_front()
    }

    /// Lets something happen, if there is anything that can; says whether there was.
    pub fn step(&mut self, random: &mut Random) -> bool {
        let gathers_first = random.one_in(2);
        (gathers_first && self.start()) || self.end_one(random) || self.start()
    }

    /// Starts a program, if there is one to be started, or ends a flush.
    fn start(&mut self) -> bool {
        self.resolve_moves();
        self.end_flush() || self.fill() || self.gather_moves() || self.gather_host()
    }

    /// Ends an operation in flight, if there is one.
    fn end_one(&mut self, random: &mut Random) -> bool {
        if self.operations.is_empty() {
            return false;
        }
        let index = random.below(self.operations.len() as u32) as usize;
        match self.operations.swap_remove(index) {
            Operation::Units { stream, page, sequence, units } => {
                self.ending = Some(sequence);
                self.end_units(stream, page, &units);
                self.ending = None;
            }
            Operation::Filler { page, .. } => {
                self.end_program(page);
            }
            Operation::Firmware { tag, page } => {
                let outcome = self.array.end(self.address(page));
                self.events.push_back(Event::ProgramDone { tag, outcome });
            }
            Operation::Erase { page } => self.end_erase(page),
        }
        true
    }

    fn end_units(&mut self, stream: Stream, page: u32, units: &[Unit]) {
        let is_good = self.end_program(page);
        for (index, unit) in (0..).zip(units) {
            let place = page * UNITS_PER_PAGE + index;
            match stream {
                Stream::Host => {
                    if self.cache.end_write(unit.lpn, is_good) {
                        self.set_map(unit.lpn, place);
                    }
                }
                Stream::Moved => {
                    self.moves.end(unit, is_good);
                    // The compare-and-swap: the host may have trimmed it.
                    if is_good && self.map[unit.lpn as usize] == unit.source {
                        self.set_map(unit.lpn, place);
                    }
                }
            }
        }
        self.resolve_moves();
    }

    /// Ends a program of a stream.
    fn end_program(&mut self, page: u32) -> bool {
        let is_good = self.array.end(self.address(page)).is_good();
        let address = self.address(page);
        let point = self.write_points.iter_mut().find(|point| point.super_block == address.block);
        point.expect("it is open").end(&self.geometry, address, is_good);
        if !is_good {
            self.events.push_back(Event::ProgramFailed { page });
        }
        self.close_full();
        is_good
    }

    /// Tells of super-blocks that are full.
    fn close_full(&mut self) {
        let events = &mut self.events;
        self.write_points.retain(|point| {
            let is_closed = point.is_full() && !point.is_busy();
            if is_closed {
                events.push_back(Event::SuperBlockClosed { stream: point.stream, super_block: point.super_block });
            }
            !is_closed
        });
    }

    /// Gathers dirty lines into a page.
    fn gather_host(&mut self) -> bool {
        if !self.can_gather(Stream::Host) {
            return false;
        }
        let is_present = &self.is_present;
        let mut absent = None;
        let lpns = self.cache.gather(|lpn| {
            let is_present = is_present[(lpn / MAP_ENTRIES) as usize];
            if !is_present {
                absent.get_or_insert(lpn);
            }
            is_present
        });
        if let Some(lpn) = absent {
            let _ = self.need_map(lpn);
        }
        if lpns.is_empty() {
            return false;
        }
        let units: Vec<Unit> =
            lpns.iter().map(|&lpn| Unit { lpn, data: self.cache.start_write(lpn), source: UNMAPPED }).collect();
        self.pages.host += 1;
        self.program(Stream::Host, units);
        true
    }

    /// Gathers units that are moved into a page.
    fn gather_moves(&mut self) -> bool {
        if !self.can_gather(Stream::Moved) {
            return false;
        }
        let units = self.moves.gather(&self.cache);
        if units.is_empty() {
            return false;
        }
        self.pages.moved += 1;
        self.program(Stream::Moved, units);
        true
    }

    /// Fills cells for a flush or for firmware.
    fn fill(&mut self) -> bool {
        let limit = if self.flush_is_written() { self.sequence } else { 0 };
        let has_room = self.log.has_room(self.entries_in_flight() + UNITS_PER_PAGE);
        let settles_before = self.settles_before.max(if has_room { 0 } else { self.log.waits_for() });
        for index in 0..self.write_points.len() {
            let point = &mut self.write_points[index];
            let limit = if point.stream == Stream::Host { limit.max(settles_before) } else { settles_before };
            if let Some(address) = point.start_filler(&self.geometry, limit) {
                let page = self.geometry.page_index(address) as u32;
                let spare = Spare::new(page, self.sequence, kind::FILLER, [LPN_NONE; 4], [0; 4]);
                self.array.start_program(address, Content::Nothing, spare.to_bytes()).expect("it is the next page");
                self.operations.push(Operation::Filler { page, sequence: self.sequence });
                self.sequence += 1;
                self.pages.filler += 1;
                return true;
            }
        }
        false
    }

    /// Whether all that the first flush needs is programmed.
    fn flush_is_written(&self) -> bool {
        self.cache.flush_is_written()
    }

    /// Goes on with the first flush when everything is programmed.
    fn end_flush(&mut self) -> bool {
        if !self.flush_is_written() {
            return false;
        }
        let Some(flush) = self.cache.flushes.front().copied() else { return false };
        let is_safe = self.write_points.iter().all(|point| point.stream == Stream::Moved || point.is_safe());
        if !is_safe {
            return false;
        }
        if !self.log.is_trim_durable(flush.trim) {
            if self.covered() >= flush.trim.sequence && !self.log.has_closed_since(flush.trim) {
                self.close_log();
                return true;
            }
            return false;
        }
        self.cache.end_flush();
        true
    }

    fn can_gather(&self, stream: Stream) -> bool {
        self.log.has_room(self.entries_in_flight() + UNITS_PER_PAGE)
            && self.current(stream).is_some_and(|index| self.write_points[index].can_start())
    }

    /// The super-block that a stream is filling.
    fn current(&self, stream: Stream) -> Option<usize> {
        self.write_points.iter().position(|point| point.stream == stream && !point.is_full())
    }

    /// Starts the program of units in the first open super-block of a stream that has room.
    fn program(&mut self, stream: Stream, units: Vec<Unit>) {
        let sequence = self.sequence;
        let current = self.current(stream).expect("there is room");
        let address = self.write_points[current].start(&self.geometry, sequence);
        let page = self.geometry.page_index(address) as u32;
        let (mut lpns, mut data) = ([LPN_NONE; 4], [0; 4]);
        for (index, unit) in units.iter().enumerate() {
            (lpns[index], data[index]) = (unit.lpn, unit.data);
        }
        let content = Content::Units(data);
        let spare = Spare::new(page, sequence, kind::USER, lpns, content.crc());
        self.array.start_program(address, content, spare.to_bytes()).expect("it is the next page");
        self.operations.push(Operation::Units { stream, page, sequence, units });
        self.sequence += 1;
    }

    /// Changes the map, and writes that down.
    fn set_map(&mut self, lpn: u32, place: u32) {
        let before = std::mem::replace(&mut self.map[lpn as usize], place);
        let per_super_block = self.units_per_super_block();
        if before != UNMAPPED {
            self.valid[(before / per_super_block) as usize] -= 1;
        }
        if place != UNMAPPED {
            self.valid[(place / per_super_block) as usize] += 1;
        }
        self.is_dirty[(lpn / MAP_ENTRIES) as usize] = true;
        if self.log.append(lpn, place) {
            self.close_log();
        }
    }

    /// Closes the buffer of the log that is being filled, as soon as there is another one.
    fn close_log(&mut self) {
        let covered = self.covered();
        if let Some(event) = self.log.close(covered, self.sequence) {
            self.events.push_back(event);
        }
    }

    /// The lowest sequence number of a page whose changes are not in the log.
    fn covered(&self) -> u64 {
        let units = self.operations.iter().filter_map(|operation| match operation {
            Operation::Units { sequence, .. } => Some(*sequence),
            _ => None,
        });
        units.chain(self.ending).min().unwrap_or(self.sequence)
    }

    /// Entries that the log will get from what is in flight.
    fn entries_in_flight(&self) -> u32 {
        self.operations.len() as u32 * UNITS_PER_PAGE
    }

    /// All pages of streams with lower sequence numbers are safe.
    fn safe_sequence(&self) -> u64 {
        let in_flight = self.operations.iter().filter_map(|operation| match operation {
            Operation::Units { sequence, .. } | Operation::Filler { sequence, .. } => Some(*sequence),
            _ => None,
        });
        let not_safe = self.write_points.iter().filter_map(WritePoint::first_not_safe);
        in_flight.chain(not_safe).min().unwrap_or(self.sequence)
    }

    fn units_per_super_block(&self) -> u32 {
        self.geometry.planes() * self.geometry.pages_per_block * UNITS_PER_PAGE
    }

    fn address(&self, page: u32) -> PageAddress {
        self.geometry.page_at(page.into())
    }

    fn check(&self, lpn: u32) -> Result<(), Refusal> {
        if lpn < self.units {
            Ok(())
        } else {
            Err(Refusal::OutOfRange)
        }
    }

    /// Asks for the map page of a unit, once, if it is absent.
    fn need_map(&mut self, lpn: u32) -> Result<(), ()> {
        let map_page = (lpn / MAP_ENTRIES) as u16;
        if self.is_present[usize::from(map_page)] {
            return Ok(());
        }
        let event = Event::MapNeeded { map_page };
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
        Err(())
    }

    /// Reads a page, several times if need be: its spare and its content, if both are what was written.
    fn read_flash(&mut self, page: u32) -> Option<(Spare, Content)> {
        let address = self.address(page);
        for _ in 0..READ_ATTEMPTS {
            let outcome = self.array.read(address).expect("there is such a page");
            let Outcome::Good { retries } = outcome else { continue };
            if retries >= REFRESH_RETRIES {
                self.events.push_back(Event::ReadRetried { page, retries });
            }
            let Page::Programmed { data, spare } = self.array.page(address) else { return None };
            let spare = Spare::check(spare, page)?;
            let is_whole = spare.unit_crc.map(|crc| crc.get()) == data.crc();
            return is_whole.then(|| (spare, data.clone()));
        }
        None
    }
}

const _: () = assert!(LOG_BUFFERS == 2, "one is filled while the other is written");
const _: () = assert!(MOVES_MAX > UNITS_PER_PAGE, "units that wait for others to fill a page do not stop the moves");
