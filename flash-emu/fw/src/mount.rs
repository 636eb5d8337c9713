//! Mount, format and secure erase. These wait for the flash.
//!
//! A mount reads the last anchor (found by a binary search in one of a few blocks), the directory and the table, the records of the log, and in the
//! super-blocks that the last record names the spares of pages that it does not cover: for each of their blocks a binary search for its end, and from there
//! backwards, in all dies at the same time. Each of these has a bound that does not depend on the capacity: a checkpoint is made after so many records, and a
//! record is written after so many pages. Pages of the map come later, when something needs them.
//!
//! What spares have told is written into the log. One of the super-blocks is written on; what a mount has found in the others may be in cells that a later
//! program would destroy, so records name the one until then.

use flash_spec::fast_path::{Buffer, Command, Event, Planes, Register, Stream, SCRATCH_BUFFERS, TAGS};
use flash_spec::limits::{CHANNELS_MAX, DIES_PER_CHANNEL_MAX, PLANES_MAX, SPARE_BYTES, UNITS_PER_PAGE};
use flash_spec::pairing::safe_end;
use flash_spec::record::{
    entry, part, slot_index, slot_of, slot_plane, slots_per_block, Anchor, LogEntry, LogHeader, ANCHOR_BLOCKS_MAX,
    ANCHOR_MAGIC, COPIES, UNMAPPED, WRITTEN_MAX,
};
use flash_spec::spare::{kind, Spare};
use flash_spec::{Geometry, Outcome};
use soc_hal::Flash;
use zerocopy::little_endian::U32;
use zerocopy::FromBytes;

use crate::blocks::Wear;
use crate::checkpoint::{AnchorWriter, Checkpoint};
use crate::erase::Secure;
use crate::grant::Grants;
use crate::job::{Job, RecordWriter};
use crate::log::{Detached, LogState, Uncovered};
use crate::map::MapState;
use crate::{Ftl, State, SuperBlock, Written};

/// How often hardware is asked for an event before it is given up.
const POLLS_MAX: u32 = 100_000;

/// Most dies of a device.
const DIES_MAX: usize = (CHANNELS_MAX * DIES_PER_CHANNEL_MAX) as usize;

/// Changes of spares are newer than those of the log.
const OF_SPARE: u64 = 1 << 63;

/// A change of the map that a mount has found.
#[derive(Clone, Copy, Debug, FromBytes)]
pub struct Delta {
    pub(crate) lpn: u32,
    pub(crate) place: u32,
    /// Of two changes of a unit, the greater is the newer.
    order: u64,
}

impl Delta {
    /// None.
    pub const NEW: Self = Self { lpn: 0, place: 0, order: 0 };
}

/// Why the flash is not mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountError {
    /// It has no anchor: it was never formatted.
    NoAnchor,
    /// It was formatted with another geometry or number of units.
    OtherConfig,
    /// A record cannot be read without which nothing can be found.
    Unreadable,
    /// There are more changes since the last checkpoint than may be.
    TooManyChanges,
    /// Hardware does not answer.
    NoAnswer,
}

impl MountError {
    /// One sentence for a person.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoAnchor => "the flash was never formatted",
            Self::OtherConfig => "the flash was formatted with another geometry or number of units",
            Self::Unreadable => "a checkpoint or the log cannot be read",
            Self::TooManyChanges => "the log is longer than it may be",
            Self::NoAnswer => "the flash does not answer",
        }
    }
}

/// A super-block that was being written when the power went.
#[derive(Clone, Copy, Debug)]
struct Resumed {
    /// 0: none.
    super_block: u16,
    /// The first page of each block that is not written.
    next: [u16; PLANES_MAX as usize],
    /// Blocks that cannot be written before they are erased.
    closed: Planes,
}

impl Resumed {
    const NONE: Self = Self { super_block: 0, next: [0; PLANES_MAX as usize], closed: 0 };
}

/// The search in a block for its end, and from there backwards for pages that no record covers.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// The row that is read next.
    row: Option<u32>,
    /// Rows below `least` are programmed, those from `most` on are not.
    least: u32,
    most: u32,
    has_end: bool,
    /// The spare of the row before `least`.
    top: Option<Spare>,
    /// After a program that was interrupted or has failed there is none before the next erase.
    is_closed: bool,
}

impl Search {
    const fn new(pages_per_block: u32) -> Self {
        // The first row first: many super-blocks that may be written are not yet.
        Self { row: Some(0), least: 0, most: pages_per_block, has_end: false, top: None, is_closed: false }
    }

    /// Takes the spare of the row that was read, if it has one. Returns the next one on the way back.
    fn note(&mut self, is_erased: bool, spare: Option<Spare>, covered: u64) -> Option<Spare> {
        let mut row = self.row.take().expect("it was read");
        let mut found = spare;
        if !self.has_end {
            if is_erased {
                self.most = row;
            } else {
                (self.least, self.top) = (row + 1, spare);
            }
            if self.least < self.most {
                self.row = Some((self.least + self.most) / 2);
                return None;
            }
            self.has_end = true;
            if self.least == 0 {
                return None;
            }
            self.is_closed = self.top.is_none();
            (row, found) = (self.least - 1, self.top);
        }
        let is_covered = found.is_some_and(|spare| spare.sequence.get() < covered);
        self.row = (row > 0 && !is_covered).then(|| row - 1);
        found
    }
}

/// How a read ended.
#[derive(Clone, Copy, Debug)]
struct Answer {
    outcome: Outcome,
    spare: [u8; SPARE_BYTES as usize],
}

impl Answer {
    const NONE: Self = Self { outcome: Outcome::Uncorrectable, spare: [0; SPARE_BYTES as usize] };

    fn is_erased(&self) -> bool {
        self.outcome.is_good() && self.spare == [u8::MAX; SPARE_BYTES as usize]
    }

    fn spare(&self, page: u32) -> Option<Spare> {
        Spare::check(&self.spare, page).filter(|_| self.outcome.is_good())
    }
}

impl<F: Flash> Ftl<'_, F> {
    /// Finds what was in flash when the power went, and serves it again.
    ///
    /// # Errors
    /// See [`MountError`].
    pub fn mount(&mut self) -> Result<(), MountError> {
        let anchor = self.find_anchor()?;
        self.read_table(anchor.table)?;
        if anchor.erasing.get() == 1 {
            return self.start_anew();
        }
        self.read_directory(anchor.directory)?;
        let last = self.read_log(&anchor)?;
        let mut written = [Resumed::NONE; WRITTEN_MAX];
        let next = self.read_spares(&last, &mut written)?;
        self.check_free()?;
        self.flash.command(Command::SetSequence { next });
        self.log.closed_at = next;
        let mut resumed = self.choose_resumed(&last, &written);
        if let Some(resumed) = &mut resumed {
            // Before a record names what was found in it.
            self.make_safe(resumed)?;
            self.take_up(resumed);
        }
        self.merge_deltas();
        self.drop_useless(anchor.log_super_block.get());
        self.erase_for_log()?;
        self.write_down_spares(&last, resumed.map_or(0, |resumed| resumed.super_block))?;
        if let Some(resumed) = &resumed {
            self.hand_out(resumed);
        }
        self.is_mounted = true;
        self.checkpoint.want();
        self.check_spare();
        Ok(())
    }

    /// Makes new flash ready: everything is erased, and the host's space is empty.
    ///
    /// # Errors
    /// [`MountError::NoAnswer`].
    pub fn format(&mut self) -> Result<(), MountError> {
        self.memory.super_blocks.fill(SuperBlock::NEW);
        self.anchor = AnchorWriter::NEW;
        // First of all old anchors, which could be newer than those to come.
        self.erase_and_wait(0)?;
        self.start_anew()
    }

    /// Erases all content, so that none can be read from the flash either. Wear and bad blocks stay known. A power cut does not end it: the next mount goes
    /// on with it.
    ///
    /// # Errors
    /// [`MountError::NoAnswer`].
    pub fn erase_all(&mut self) -> Result<(), MountError> {
        self.secure = Secure::Announcing;
        self.checkpoint.want();
        self.wait(|ftl| ftl.secure == Secure::Announced)?;
        self.start_anew()
    }

    /// Erases all super-blocks but those of the table and the anchors, and begins with an empty map.
    fn start_anew(&mut self) -> Result<(), MountError> {
        self.is_mounted = false;
        self.flash.command(Command::Forget);
        self.collection = None;
        self.refresh = None;
        self.written = [None; WRITTEN_MAX];
        self.grants = Grants::default();
        self.checkpoint = Checkpoint::Idle;
        self.map = MapState::new();
        self.map_writer = RecordWriter::NONE;
        self.log = LogState::new();
        self.job = Job::Idle;
        self.deltas = 0;
        while let Some(event) = self.flash.event() {
            if let Event::EraseDone { super_block, failed } = event {
                self.note_erased(super_block, failed);
            }
        }
        let tables = self.anchor.table.map(|table| (table != UNMAPPED).then(|| self.super_block_of(table)));
        for index in 1..self.memory.super_blocks.len() as u16 {
            if !tables.contains(&Some(index)) && self.planes(index) != 0 {
                self.erase_and_wait(index)?;
            }
        }
        self.flash.command(Command::Forget);
        self.memory.directory.fill(UNMAPPED);
        self.memory.marks.fill(0);
        self.map.set_all_present();
        self.block(0).state = State::System;
        for table in tables.into_iter().flatten() {
            self.block(table).state = State::Map;
        }
        let super_block = self.take(Wear::Least, State::Log).ok_or(MountError::Unreadable)?;
        self.block(super_block).closed_at = self.log.next_number;
        self.log_writer = RecordWriter { super_block, slot: 0 };
        self.secure = Secure::Idle;
        self.is_mounted = true;
        self.checkpoint.want();
        let generation = self.anchor.generation;
        self.wait(|ftl| ftl.anchor.generation > generation && ftl.checkpoint == Checkpoint::Idle)
    }

    fn erase_and_wait(&mut self, super_block: u16) -> Result<(), MountError> {
        let planes = self.planes(super_block);
        self.flash.command(Command::Erase { super_block, planes });
        for _ in 0..POLLS_MAX {
            if let Some(Event::EraseDone { super_block, failed }) = self.flash.event() {
                self.note_erased(super_block, failed);
                return Ok(());
            }
        }
        Err(MountError::NoAnswer)
    }

    fn note_erased(&mut self, super_block: u16, failed: u128) {
        let planes = self.planes(super_block);
        let block = self.block(super_block);
        block.erases += 1;
        block.bad |= failed;
        block.state = if planes & !failed == 0 { State::Retired } else { State::Free };
    }

    /// Goes on until something is so.
    fn wait(&mut self, mut is_so: impl FnMut(&mut Self) -> bool) -> Result<(), MountError> {
        for _ in 0..POLLS_MAX {
            if is_so(self) {
                return Ok(());
            }
            self.poll();
        }
        Err(MountError::NoAnswer)
    }

    /// Reads pages, at most [`TAGS`], all at the same time.
    fn read(
        &mut self,
        pages: &[(u32, Option<Buffer>)],
        answers: &mut [Answer; TAGS as usize],
    ) -> Result<(), MountError> {
        for (tag, &(page, into)) in (0..).zip(pages) {
            self.flash.command(Command::Read { tag, page, into });
        }
        let mut left = pages.len();
        let mut polls = 0;
        while left > 0 {
            match self.flash.event() {
                Some(Event::ReadDone { tag, outcome, spare }) => {
                    answers[usize::from(tag)] = Answer { outcome, spare };
                    left -= 1;
                }
                Some(event) => self.handle(event),
                None if polls == POLLS_MAX => return Err(MountError::NoAnswer),
                None => polls += 1,
            }
        }
        Ok(())
    }

    /// The last anchor.
    fn find_anchor(&mut self) -> Result<Anchor, MountError> {
        let mut answers = [Answer::NONE; TAGS as usize];
        let blocks = ANCHOR_BLOCKS_MAX.min(self.geometry.planes());
        let mut pages = [(0, None); ANCHOR_BLOCKS_MAX as usize];
        for (plane, page) in (0..).zip(&mut pages[..blocks as usize]) {
            *page = (slot_index(&self.geometry, 0, plane), Some(Buffer::Scratch(plane as u8)));
        }
        let pages = &pages[..blocks as usize];
        self.read(pages, &mut answers)?;
        // The first anchor of the block that was begun last is the newest of all first ones.
        let mut best: Option<(u64, u32)> = None;
        for plane in 0..blocks {
            if let Some(anchor) = self.anchor_of(&answers[plane as usize], pages[plane as usize].0, plane as u8) {
                best = best.max(Some((anchor.generation.get(), plane)));
            }
        }
        let (_, plane) = best.ok_or(MountError::NoAnchor)?;
        let (mut first_erased, mut end) = (1, slots_per_block(self.geometry.pages_per_block));
        while first_erased < end {
            let middle = (first_erased + end) / 2;
            if self.read_anchor(plane, middle, &mut answers)?.is_erased() {
                end = middle;
            } else {
                first_erased = middle + 1;
            }
        }
        for row in (0..first_erased).rev() {
            let answer = self.read_anchor(plane, row, &mut answers)?;
            let page = slot_index(&self.geometry, 0, row * self.geometry.planes() + plane);
            if let Some(anchor) = self.anchor_of(&answer, page, 0) {
                self.take_anchor(&anchor, plane, first_erased)?;
                return Ok(anchor);
            }
        }
        Err(MountError::NoAnchor)
    }

    fn read_anchor(
        &mut self,
        plane: u32,
        row: u32,
        answers: &mut [Answer; TAGS as usize],
    ) -> Result<Answer, MountError> {
        let page = slot_index(&self.geometry, 0, row * self.geometry.planes() + plane);
        self.read(&[(page, Some(Buffer::Scratch(0)))], answers)?;
        Ok(answers[0])
    }

    fn anchor_of(&mut self, answer: &Answer, page: u32, scratch: u8) -> Option<Anchor> {
        answer.spare(page).filter(|spare| spare.kind == kind::CHECKPOINT)?;
        let anchor: Anchor = self.get(Buffer::Scratch(scratch), 0, 0);
        (anchor.magic.get() == ANCHOR_MAGIC).then_some(anchor)
    }

    fn take_anchor(&mut self, anchor: &Anchor, plane: u32, row: u32) -> Result<(), MountError> {
        let geometry = self.geometry;
        let ours = [
            geometry.channels,
            geometry.dies_per_channel,
            geometry.planes_per_die,
            geometry.blocks_per_plane,
            geometry.pages_per_block,
        ];
        if anchor.geometry.map(|number| number.get()) != ours || anchor.units.get() != self.config.units {
            return Err(MountError::OtherConfig);
        }
        self.anchor = AnchorWriter {
            plane,
            row,
            last_plane: Some(plane),
            generation: anchor.generation.get(),
            is_worn: false,
            directory: anchor.directory.map(|copy| copy.get()),
            table: anchor.table.map(|copy| copy.get()),
        };
        // Records of the map go on behind the table; slots that were used since are refused and left out.
        let table = anchor.table[COPIES - 1].get();
        if let Some(slot) = slot_of(&self.geometry, table) {
            self.map_writer = RecordWriter { super_block: self.super_block_of(table), slot: slot + 1 };
        }
        self.smart.written_units = anchor.written_units.get();
        self.smart.programmed_pages = anchor.programmed_pages.get();
        self.smart.program_failures = anchor.program_failures.get();
        self.smart.erase_failures = anchor.erase_failures.get();
        Ok(())
    }

    /// Reads the first copy of a part of the checkpoint that can be read.
    fn read_checkpoint(&mut self, copies: [U32; COPIES], part: u32) -> Result<(), MountError> {
        let mut answers = [Answer::NONE; TAGS as usize];
        for page in copies.map(|copy| copy.get()) {
            if u64::from(page) >= self.geometry.pages() {
                continue;
            }
            self.read(&[(page, Some(Buffer::Scratch(0)))], &mut answers)?;
            let is_it = |spare: Spare| spare.kind == kind::CHECKPOINT && spare.lpns[0].get() == part;
            if answers[0].spare(page).is_some_and(is_it) {
                return Ok(());
            }
        }
        Err(MountError::Unreadable)
    }

    fn read_directory(&mut self, copies: [U32; COPIES]) -> Result<(), MountError> {
        self.read_checkpoint(copies, part::DIRECTORY)?;
        for index in 0..self.memory.directory.len() {
            let place = self.flash.read_word(Buffer::Scratch(0), index as u32);
            if place != UNMAPPED && u64::from(place) >= self.geometry.pages() {
                return Err(MountError::Unreadable);
            }
            self.memory.directory[index] = place;
        }
        Ok(())
    }

    fn read_table(&mut self, copies: [U32; COPIES]) -> Result<(), MountError> {
        self.read_checkpoint(copies, part::TABLE)?;
        for index in 0..self.memory.super_blocks.len() {
            let entry = self.get(Buffer::Scratch(0), 0, index as u32);
            self.memory.super_blocks[index] = SuperBlock::from_entry(&entry).ok_or(MountError::Unreadable)?;
        }
        Ok(())
    }

    /// Reads the records since the checkpoint, and returns the head of the last one.
    fn read_log(&mut self, anchor: &Anchor) -> Result<LogHeader, MountError> {
        let mut answers = [Answer::NONE; TAGS as usize];
        let slots = self.slots();
        let mut number = anchor.log_number.get();
        self.log.first_number = number;
        let mut super_block = anchor.log_super_block.get();
        self.note_log_super_block(super_block, number)?;
        let mut slot = anchor.log_slot.get();
        let mut last = None;
        // Slots that could not be written are left out, but never as many as there are planes.
        let mut missing = 0;
        while slot < slots && missing < self.geometry.planes() {
            let count = (slots - slot).min(SCRATCH_BUFFERS.into());
            let mut pages = [(0, None); SCRATCH_BUFFERS as usize];
            for (index, page) in (0..count as u8).zip(&mut pages) {
                let place = slot_index(&self.geometry, super_block.into(), slot + u32::from(index));
                *page = (place, Some(Buffer::Scratch(index)));
            }
            self.read(&pages[..count as usize], &mut answers)?;
            for index in 0..count as u8 {
                slot += 1;
                let (answer, page) = (answers[usize::from(index)], pages[usize::from(index)].0);
                let header: LogHeader = self.get(Buffer::Scratch(index), 0, 0);
                let is_log = answer.spare(page).is_some_and(|spare| spare.kind == kind::LOG);
                if !is_log || header.number.get() != number {
                    missing += 1;
                    continue;
                }
                missing = 0;
                self.take_record(Buffer::Scratch(index), &header)?;
                self.log.last = Some((RecordWriter { super_block, slot: slot - 1 }, number));
                self.log_writer = RecordWriter { super_block, slot };
                last = Some(header);
                number += 1;
                if header.next_super_block.get() != 0 {
                    super_block = header.next_super_block.get();
                    self.note_log_super_block(super_block, number)?;
                    slot = 0;
                    self.log_writer = RecordWriter { super_block, slot };
                    break;
                }
            }
        }
        self.log.next_number = number;
        // The erase of a super-block of the log may be in a record behind the one that leads to it.
        for block in self.memory.super_blocks.iter_mut().filter(|block| block.closed_at > 0) {
            block.state = State::Log;
        }
        // So may that of a super-block of the map which was taken when no record would have counted. What the anchor refers to is there.
        for index in 0..self.memory.directory.len() {
            self.note_map_super_block(self.memory.directory[index]);
        }
        for page in [anchor.directory, anchor.table].as_flattened() {
            self.note_map_super_block(page.get());
        }
        last.ok_or(MountError::Unreadable)
    }

    fn note_map_super_block(&mut self, page: u32) {
        if u64::from(page) < self.geometry.pages() {
            let super_block = self.super_block_of(page);
            self.block(super_block).state = State::Map;
        }
    }

    fn note_log_super_block(&mut self, super_block: u16, number: u64) -> Result<(), MountError> {
        let block = self.memory.super_blocks.get_mut(usize::from(super_block)).ok_or(MountError::Unreadable)?;
        (block.state, block.closed_at) = (State::Log, number);
        Ok(())
    }

    /// Makes the changes of a record.
    fn take_record(&mut self, buffer: Buffer, header: &LogHeader) -> Result<(), MountError> {
        let first_word = (size_of::<LogHeader>() / 4) as u32;
        for index in 0..header.entries.get().min(flash_spec::record::LOG_ENTRIES) {
            let LogEntry { lpn, place } = self.get(buffer, first_word, index);
            let (lpn, place) = (lpn.get(), place.get());
            if lpn < entry::FIRST {
                let order = header.number.get() << 16 | u64::from(index);
                self.add_delta(Delta { lpn, place, order })?;
                continue;
            }
            let super_block = place & ((1 << entry::SUPER_BLOCK_BITS) - 1);
            let upper = place >> entry::SUPER_BLOCK_BITS;
            let planes = self.geometry.planes();
            if lpn == entry::RETIRED {
                let (super_block, plane) = (place / planes, place % planes);
                if let Some(block) = self.memory.super_blocks.get_mut(super_block as usize) {
                    block.bad |= 1 << plane;
                }
            } else if let Some(block) = self.memory.super_blocks.get_mut(super_block as usize) {
                if lpn == entry::ERASED {
                    let has_good = block.bad.count_ones() < planes;
                    (block.state, block.erases) = (if has_good { State::Free } else { State::Retired }, upper);
                } else if lpn == entry::OPENED {
                    block.state = State::from_code(upper as u8).ok_or(MountError::Unreadable)?;
                }
            }
        }
        Ok(())
    }

    fn add_delta(&mut self, delta: Delta) -> Result<(), MountError> {
        if delta.lpn >= self.config.units {
            return Ok(());
        }
        let place = self.memory.deltas.get_mut(self.deltas).ok_or(MountError::TooManyChanges)?;
        *place = delta;
        self.deltas += 1;
        Ok(())
    }

    /// Reads the spares that the last record does not cover; returns the first sequence number that is not used.
    fn read_spares(&mut self, last: &LogHeader, written: &mut [Resumed; WRITTEN_MAX]) -> Result<u64, MountError> {
        let covered = last.covered.get();
        let mut next = covered;
        let count = usize::from(last.written_count.get()).min(WRITTEN_MAX);
        for (found, number) in written.iter_mut().zip(&last.written[..count]) {
            found.super_block = number.get();
            if u32::from(found.super_block) >= self.geometry.blocks_per_plane {
                return Err(MountError::Unreadable);
            }
        }
        let Geometry { pages_per_block, planes_per_die, .. } = self.geometry;
        let (dies, planes) = (self.geometry.dies(), self.geometry.planes());
        // The blocks of a die are looked at one after the other.
        let blocks = count as u32 * planes_per_die;
        let mut searches = [Search::new(pages_per_block); DIES_MAX];
        let mut done = [0; DIES_MAX];
        self.work_in_dies(|ftl, die, answer| {
            let (search, done) = (&mut searches[die as usize], &mut done[die as usize]);
            let block = |done: u32| ((done / planes_per_die) as usize, die + done % planes_per_die * dies);
            if let Some(answer) = answer {
                let (index, plane) = block(*done);
                let row = search.row.expect("it was read");
                let page = (u32::from(written[index].super_block) * pages_per_block + row) * planes + plane;
                if let Some(spare) = search.note(answer.is_erased(), answer.spare(page), covered) {
                    let sequence = spare.sequence.get();
                    next = next.max(sequence + 1);
                    if sequence >= covered && spare.kind == kind::USER {
                        for (place, lpn) in (spare.page.get() * UNITS_PER_PAGE..).zip(spare.lpns) {
                            ftl.add_delta(Delta { lpn: lpn.get(), place, order: OF_SPARE | sequence })?;
                        }
                    }
                }
                if search.row.is_none() {
                    written[index].next[plane as usize] = search.least as u16;
                    written[index].closed |= Planes::from(search.is_closed) << plane;
                    (*search, *done) = (Search::new(pages_per_block), *done + 1);
                }
            }
            let row = search.row.filter(|_| *done < blocks);
            Ok(row.map(|row| {
                let (index, plane) = block(*done);
                let page = (u32::from(written[index].super_block) * pages_per_block + row) * planes + plane;
                Command::Read { tag: die as u8, page, into: None }
            }))
        })?;
        Ok(next)
    }

    /// Has each die do one thing after the other, all dies at the same time. `next` hears how what a die did has ended, and says what it does next: a read or
    /// a program whose tag is the number of the die.
    fn work_in_dies(
        &mut self,
        mut next: impl FnMut(&mut Self, u32, Option<&Answer>) -> Result<Option<Command>, MountError>,
    ) -> Result<(), MountError> {
        let mut left = 0;
        for die in 0..self.geometry.dies() {
            if let Some(command) = next(self, die, None)? {
                self.flash.command(command);
                left += 1;
            }
        }
        let mut polls = 0;
        while left > 0 {
            let (die, answer) = match self.flash.event() {
                Some(Event::ReadDone { tag, outcome, spare }) => (tag, Answer { outcome, spare }),
                Some(Event::ProgramDone { tag, outcome }) => (tag, Answer { outcome, ..Answer::NONE }),
                Some(event) => {
                    self.handle(event);
                    continue;
                }
                None if polls == POLLS_MAX => return Err(MountError::NoAnswer),
                None => {
                    polls += 1;
                    continue;
                }
            };
            left -= 1;
            if let Some(command) = next(self, die.into(), Some(&answer))? {
                self.flash.command(command);
                left += 1;
            }
        }
        Ok(())
    }

    /// The super-block that moves go on in: a mount that was interrupted may have chosen it already, or else the one with the most room.
    fn choose_resumed(&self, last: &LogHeader, written: &[Resumed]) -> Option<Resumed> {
        let may_be = |resumed: &&Resumed| {
            let chosen = last.resumed.get();
            let block = &self.memory.super_blocks[usize::from(resumed.super_block)];
            (chosen == 0 || resumed.super_block == chosen) && block.state == State::Closed && self.room(resumed) > 0
        };
        written.iter().filter(may_be).max_by_key(|resumed| self.room(resumed)).copied()
    }

    /// Blocks of a super-block that was being written that have room.
    fn open_planes(&self, resumed: &Resumed) -> Planes {
        let is_full = |plane: &u32| u32::from(resumed.next[*plane as usize]) == self.geometry.pages_per_block;
        let full = (0..self.geometry.planes()).filter(is_full).fold(0, |planes, plane| planes | 1 << plane);
        self.planes(resumed.super_block) & !resumed.closed & !full
    }

    /// Pages that can still be written.
    fn room(&self, resumed: &Resumed) -> u32 {
        let open = self.open_planes(resumed);
        let pages = |plane: u32| self.geometry.pages_per_block - u32::from(resumed.next[plane as usize]);
        (0..self.geometry.planes()).filter(|plane| open >> plane & 1 == 1).map(pages).sum()
    }

    /// Fills the cells that the pages of a super-block share with pages that are not written: then writing goes on behind them without danger.
    fn make_safe(&mut self, resumed: &mut Resumed) -> Result<(), MountError> {
        let Geometry { pages_per_block, planes_per_die, .. } = self.geometry;
        let (dies, planes) = (self.geometry.dies(), self.geometry.planes());
        let ends = resumed.next.map(|next| safe_end(next.into(), pages_per_block));
        let to_fill = |ftl: &Self, resumed: &Resumed, die: u32| {
            let open = ftl.open_planes(resumed);
            let needs =
                |plane: u32| open >> plane & 1 == 1 && u32::from(resumed.next[plane as usize]) < ends[plane as usize];
            (0..planes_per_die).map(|index| die + index * dies).find(|&plane| needs(plane))
        };
        self.work_in_dies(|ftl, die, ended| {
            if let (Some(answer), Some(plane)) = (ended, to_fill(ftl, resumed, die)) {
                resumed.next[plane as usize] += 1;
                resumed.closed |= Planes::from(!answer.outcome.is_good()) << plane;
            }
            Ok(to_fill(ftl, resumed, die).map(|plane| {
                let stripe = u32::from(resumed.super_block) * pages_per_block + u32::from(resumed.next[plane as usize]);
                let page = stripe * planes + plane;
                Command::Program { tag: die as u8, page, from: None, kind: kind::FILLER, label: 0 }
            }))
        })
    }

    /// Counts a super-block that was being written when the power went as open, so that power cuts do not use up what is erased.
    fn take_up(&mut self, resumed: &Resumed) {
        self.written[0] = Some(Written { super_block: resumed.super_block, end: None });
        let block = self.block(resumed.super_block);
        (block.state, block.closed_at) = (State::Open, Stream::Moved as u64);
    }

    /// Hands it out. Records name it as being written already.
    fn hand_out(&mut self, resumed: &Resumed) {
        let (super_block, planes) = (resumed.super_block, self.open_planes(resumed));
        if planes == 0 {
            return self.note_closed(super_block);
        }
        for (plane, &page) in (0..self.geometry.planes() as u8).zip(&resumed.next) {
            self.flash.command(Command::StartAt { plane, page });
        }
        self.flash.command(Command::Open { stream: Stream::Moved, super_block, planes });
    }

    /// Super-blocks that count as erased and are not, because a power cut came between their first use and the anchor that would have told of it, are erased.
    fn check_free(&mut self) -> Result<(), MountError> {
        let mut answers = [Answer::NONE; TAGS as usize];
        let count = self.memory.super_blocks.len() as u16;
        let per_super_block = self.geometry.planes() * self.geometry.pages_per_block;
        for first in (0..count).step_by(TAGS.into()) {
            let mut pages = [(0, None); TAGS as usize];
            let mut free = [0; TAGS as usize];
            let mut found = 0;
            for index in (first..count.min(first + u16::from(TAGS))).filter(|&index| self.is_free(index)) {
                pages[found].0 = u32::from(index) * per_super_block + self.first_plane(index);
                free[found] = index;
                found += 1;
            }
            self.read(&pages[..found], &mut answers)?;
            for (&index, answer) in free[..found].iter().zip(&answers) {
                if !answer.is_erased() {
                    self.block(index).state = State::Useless;
                }
            }
        }
        Ok(())
    }

    /// The plane of the first slot of a super-block.
    fn first_plane(&self, super_block: u16) -> u32 {
        let good = self.planes(super_block);
        let mut planes = (0..self.geometry.planes()).map(|slot| slot_plane(&self.geometry, super_block.into(), slot));
        planes.find(|plane| good >> plane & 1 == 1).unwrap_or(0)
    }

    fn is_free(&self, super_block: u16) -> bool {
        self.memory.super_blocks[usize::from(super_block)].state == State::Free
    }

    /// Has something erased if nothing is, and something may be: the log may need it.
    fn erase_for_log(&mut self) -> Result<(), MountError> {
        let useless = self.all_in(State::Useless).next().filter(|_| self.free() == 0);
        let Some(useless) = useless else { return Ok(()) };
        self.start_erase(useless);
        self.wait(|ftl| ftl.count(State::Erasing) == 0)
    }

    /// Sorts the changes by unit and keeps the newest of each.
    fn merge_deltas(&mut self) {
        let deltas = &mut self.memory.deltas[..self.deltas];
        deltas.sort_unstable_by_key(|delta| (delta.lpn, delta.order));
        let mut kept = 0;
        for index in 0..deltas.len() {
            let is_newest = deltas.get(index + 1).is_none_or(|next| next.lpn != deltas[index].lpn);
            if is_newest {
                deltas[kept] = deltas[index];
                kept += 1;
            }
        }
        self.deltas = kept;
    }

    /// Writes into the log what was found in spares, so that the next mount need not look there. Until all of it is in flash, records say what the last one
    /// said.
    fn write_down_spares(&mut self, last: &LogHeader, resumed: u16) -> Result<(), MountError> {
        self.log.inherited = Some(Uncovered {
            covered: last.covered.get(),
            written: last.written.map(|number| number.get()),
            count: last.written_count.get().min(WRITTEN_MAX as u16),
            resumed,
        });
        for index in 0..self.deltas {
            let delta = self.memory.deltas[index];
            if delta.order & OF_SPARE != 0 {
                self.wait(|ftl| ftl.log_has_room() || ftl.log.detached != Detached::No)?;
                self.append(delta.lpn, delta.place);
            }
            if self.log.detached != Detached::No {
                break;
            }
        }
        let appended = self.flash.register(Register::LogAppended);
        self.log.want(appended);
        // If the log has no room for it the checkpoint will have all of it.
        self.wait(|ftl| {
            let is_written = ftl.durable() >= appended && ftl.log.is_quiet();
            matches!(ftl.job, Job::Idle) && (is_written || ftl.log.detached == Detached::Written)
        })?;
        self.log.inherited = None;
        Ok(())
    }
}

const _: () = assert!(DIES_MAX <= TAGS as usize);
const _: () = assert!(ANCHOR_BLOCKS_MAX <= SCRATCH_BUFFERS as u32);
