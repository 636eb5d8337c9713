//! Mount, format and secure erase. These wait for the flash.
//!
//! A mount reads the last anchor (found by a binary search in one of a few blocks), the directory and the table, the records of the log, and in the
//! super-blocks that the last record names the spares of pages that it does not cover: for each of their blocks a binary search for its end, and from there
//! backwards. Each of these has a bound that does not depend on the capacity. Pages of the map come later, when something needs them.

use flash_spec::fast_path::{Buffer, Command, Event, Planes, Stream, SCRATCH_BUFFERS, TAGS};
use flash_spec::limits::{PLANES_MAX, SPARE_BYTES, UNITS_PER_PAGE};
use flash_spec::pairing::safe_end;
use flash_spec::record::{
    entry, slot_index, slot_page, slots_per_block, Anchor, LogEntry, LogHeader, ANCHOR_BLOCKS_MAX, ANCHOR_MAGIC,
    UNMAPPED, WRITTEN_MAX,
};
use flash_spec::spare::{kind, Spare};
use flash_spec::{Geometry, Outcome};
use soc_hal::Flash;

use crate::blocks::Wear;
use crate::checkpoint::{AnchorWriter, Checkpoint};
use crate::erase::Secure;
use crate::grant::Grants;
use crate::job::{Job, RecordWriter};
use crate::log::{Detached, Inherited, LogState};
use crate::map::MapState;
use crate::{Ftl, State, SuperBlock, Written};

/// How often hardware is asked for an event before it is given up.
const POLLS_MAX: u32 = 100_000;

/// Most pages of filler behind a page, so that nothing can destroy it any more: see [`safe_end`].
const FILLERS_MAX: u32 = 3;

/// Changes of spares are newer than those of the log.
const OF_SPARE: u64 = 1 << 63;

/// A change of the map that a mount has found.
#[derive(Clone, Copy, Debug)]
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

    /// Pages that can still be written.
    fn room(&self, geometry: &Geometry) -> u32 {
        if self.super_block == 0 {
            return 0;
        }
        let open = (0..geometry.planes()).filter(|plane| self.closed >> plane & 1 == 0);
        open.map(|plane| geometry.pages_per_block - u32::from(self.next[plane as usize])).sum()
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
        self.read_table(anchor.table.get())?;
        if anchor.erasing.get() == 1 {
            return self.start_anew();
        }
        self.read_directory(anchor.directory.get())?;
        let last = self.read_log(&anchor)?;
        let mut written = [Resumed::NONE; WRITTEN_MAX];
        let next = self.read_spares(&last, &mut written)?;
        self.check_free()?;
        self.flash.command(Command::SetSequence { next });
        // All of them, and before a record names what was found in them: a later mount may go on with another one.
        for written in &mut written {
            self.make_safe(written)?;
        }
        self.merge_deltas();
        self.write_down_spares(&last)?;
        if let Some(resumed) = written.iter().max_by_key(|written| written.room(&self.geometry)) {
            self.resume(resumed);
        }
        self.drop_useless(anchor.log_super_block.get());
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

    /// Erases all super-blocks but that of the table and the anchors, and begins with an empty map.
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
        let table = (self.anchor.table != UNMAPPED).then(|| self.super_block_of(self.anchor.table));
        for index in 1..self.memory.super_blocks.len() as u16 {
            if Some(index) != table && self.planes(index) != 0 {
                self.erase_and_wait(index)?;
            }
        }
        self.flash.command(Command::Forget);
        self.memory.directory.fill(UNMAPPED);
        self.map.set_all_present();
        self.block(0).state = State::System;
        if let Some(table) = table {
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
            generation: anchor.generation.get(),
            is_worn: false,
            directory: anchor.directory.get(),
            table: anchor.table.get(),
        };
        // Records of the map go on behind the table; slots that were used since are refused and left out.
        let table = self.geometry.page_at(anchor.table.get().into());
        let row = (0..slots_per_block(geometry.pages_per_block))
            .find(|&row| slot_page(row, geometry.pages_per_block) == u32::from(table.page));
        if let Some(row) = row {
            let slot = row * geometry.planes() + geometry.plane_index(table) + 1;
            self.map_writer = RecordWriter { super_block: table.block, slot };
        }
        self.smart.written_units = anchor.written_units.get();
        self.smart.programmed_pages = anchor.programmed_pages.get();
        Ok(())
    }

    fn read_checkpoint(&mut self, page: u32) -> Result<(), MountError> {
        let mut answers = [Answer::NONE; TAGS as usize];
        if u64::from(page) >= self.geometry.pages() {
            return Err(MountError::Unreadable);
        }
        self.read(&[(page, Some(Buffer::Scratch(0)))], &mut answers)?;
        let spare = answers[0].spare(page).filter(|spare| spare.kind == kind::CHECKPOINT);
        spare.map(|_| ()).ok_or(MountError::Unreadable)
    }

    fn read_directory(&mut self, page: u32) -> Result<(), MountError> {
        self.read_checkpoint(page)?;
        for index in 0..self.memory.directory.len() {
            let place = self.flash.read_word(Buffer::Scratch(0), index as u32);
            if place != UNMAPPED && u64::from(place) >= self.geometry.pages() {
                return Err(MountError::Unreadable);
            }
            self.memory.directory[index] = place;
        }
        Ok(())
    }

    fn read_table(&mut self, page: u32) -> Result<(), MountError> {
        self.read_checkpoint(page)?;
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
        last.ok_or(MountError::Unreadable)
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
            let super_block = number.get();
            if u32::from(super_block) >= self.geometry.blocks_per_plane {
                return Err(MountError::Unreadable);
            }
            found.super_block = super_block;
            next = next.max(self.read_spares_of(super_block, covered, found)?);
        }
        Ok(next)
    }

    fn read_spares_of(&mut self, super_block: u16, covered: u64, found: &mut Resumed) -> Result<u64, MountError> {
        let mut answers = [Answer::NONE; TAGS as usize];
        let planes = self.geometry.planes();
        let pages_per_block = self.geometry.pages_per_block;
        let page_of = |plane: u32, page: u32| (u32::from(super_block) * pages_per_block + page) * planes + plane;
        let mut next = covered;
        for first_plane in (0..planes).step_by(TAGS.into()) {
            let group = (planes - first_plane).min(TAGS.into()) as usize;
            // How many pages of each block are programmed.
            let mut least = [0; TAGS as usize];
            let mut most = [pages_per_block; TAGS as usize];
            for _ in 0..u32::BITS - pages_per_block.leading_zeros() {
                let mut pages = [(0, None); TAGS as usize];
                for index in 0..group {
                    let middle = ((least[index] + most[index]) / 2).min(pages_per_block - 1);
                    pages[index].0 = page_of(first_plane + index as u32, middle);
                }
                self.read(&pages[..group], &mut answers)?;
                for index in 0..group {
                    let middle = (least[index] + most[index]) / 2;
                    if least[index] < most[index] && answers[index].is_erased() {
                        most[index] = middle;
                    } else if least[index] < most[index] {
                        least[index] = middle + 1;
                    }
                }
            }
            for (plane, &page) in (first_plane..).zip(&least[..group]) {
                found.next[plane as usize] = page as u16;
            }
            // From there backwards, those that are not covered.
            let mut open = least;
            for _ in 0..pages_per_block {
                let mut pages = [(0, None); TAGS as usize];
                let mut planes_of = [0; TAGS as usize];
                let mut count = 0;
                for (index, open) in open[..group].iter().enumerate().filter(|(_, &open)| open > 0) {
                    pages[count].0 = page_of(first_plane + index as u32, open - 1);
                    planes_of[count] = index;
                    count += 1;
                }
                if count == 0 {
                    break;
                }
                self.read(&pages[..count], &mut answers)?;
                for slot in 0..count {
                    let (page, index) = (pages[slot].0, planes_of[slot]);
                    open[index] -= 1;
                    let Some(spare) = answers[slot].spare(page) else {
                        // After a program that was interrupted or has failed there is none before the next erase.
                        if open[index] + 1 == least[index] {
                            found.closed |= 1 << (first_plane + index as u32);
                        }
                        continue;
                    };
                    let sequence = spare.sequence.get();
                    next = next.max(sequence + 1);
                    if sequence < covered {
                        open[index] = 0;
                    } else if spare.kind == kind::USER {
                        for (place, lpn) in (page * UNITS_PER_PAGE..).zip(spare.lpns) {
                            self.add_delta(Delta { lpn: lpn.get(), place, order: OF_SPARE | sequence })?;
                        }
                    }
                }
            }
        }
        Ok(next)
    }

    /// Fills the cells that the pages of a super-block share with pages that are not written: then writing goes on behind them without danger.
    fn make_safe(&mut self, resumed: &mut Resumed) -> Result<(), MountError> {
        let pages_per_block = self.geometry.pages_per_block;
        let planes = self.geometry.planes();
        if resumed.super_block == 0 {
            return Ok(());
        }
        let ends = resumed.next.map(|next| safe_end(next.into(), pages_per_block));
        for _ in 0..FILLERS_MAX {
            for first in (0..planes).step_by(TAGS.into()) {
                let group = first..planes.min(first + u32::from(TAGS));
                let needs = |plane: &u32| {
                    let is_open = resumed.closed >> plane & 1 == 0;
                    is_open && u32::from(resumed.next[*plane as usize]) < ends[*plane as usize]
                };
                let mut count = 0;
                let mut planes_of = [0; TAGS as usize];
                for plane in group.filter(needs) {
                    let page = u32::from(resumed.next[plane as usize]);
                    let stripe = u32::from(resumed.super_block) * pages_per_block + page;
                    let (tag, page) = (count as u8, stripe * planes + plane);
                    self.flash.command(Command::Program { tag, page, from: None, kind: kind::FILLER, label: 0 });
                    planes_of[count] = plane;
                    count += 1;
                }
                for _ in 0..count {
                    let (tag, outcome) = self.wait_for_program()?;
                    let plane = planes_of[usize::from(tag)];
                    resumed.next[plane as usize] += 1;
                    if !outcome.is_good() {
                        resumed.closed |= 1 << plane;
                    }
                }
            }
        }
        Ok(())
    }

    fn wait_for_program(&mut self) -> Result<(u8, Outcome), MountError> {
        for _ in 0..POLLS_MAX {
            match self.flash.event() {
                Some(Event::ProgramDone { tag, outcome }) => return Ok((tag, outcome)),
                Some(event) => self.handle(event),
                None => {}
            }
        }
        Err(MountError::NoAnswer)
    }

    /// Hands out a super-block that was being written when the power went, so that power cuts do not use up what is erased. Records name it as being written
    /// already.
    fn resume(&mut self, resumed: &Resumed) {
        let super_block = resumed.super_block;
        if resumed.room(&self.geometry) == 0 || self.block(super_block).state != State::Closed {
            return;
        }
        let mut planes = self.planes(super_block) & !resumed.closed;
        for (plane, &page) in (0..self.geometry.planes() as u8).zip(&resumed.next) {
            if u32::from(page) == self.geometry.pages_per_block {
                planes &= !(1 << plane);
            }
            self.flash.command(Command::StartAt { plane, page });
        }
        self.written[0] = Some(Written { super_block, end: None });
        let block = self.block(super_block);
        (block.state, block.closed_at) = (State::Open, Stream::Moved as u64);
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
                pages[found].0 = u32::from(index) * per_super_block + self.planes(index).trailing_zeros();
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

    fn is_free(&self, super_block: u16) -> bool {
        self.memory.super_blocks[usize::from(super_block)].state == State::Free
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
    fn write_down_spares(&mut self, last: &LogHeader) -> Result<(), MountError> {
        self.log.inherited = Some(Inherited {
            covered: last.covered.get(),
            written: last.written.map(|number| number.get()),
            count: last.written_count.get().min(WRITTEN_MAX as u16),
        });
        for index in 0..self.deltas {
            let delta = self.memory.deltas[index];
            if delta.order & OF_SPARE != 0 {
                self.append(delta.lpn, delta.place);
                self.wait(|ftl| ftl.log.has_room() || ftl.log.detached != Detached::No)?;
            }
            if self.log.detached != Detached::No {
                break;
            }
        }
        let appended = self.flash.register(flash_spec::fast_path::Register::LogAppended);
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

const _: () = assert!(PLANES_MAX <= 2 * TAGS as u32);
const _: () = assert!(ANCHOR_BLOCKS_MAX <= SCRATCH_BUFFERS as u32);
