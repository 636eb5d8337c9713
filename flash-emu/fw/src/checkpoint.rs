//! Checkpoints: the pages of the map that have changed, their directory, the table of super-blocks, and the anchor that makes them count.
//!
//! A checkpoint begins with the last record of the log. What hardware changes while the pages are written is in records after it, and making a change
//! twice does no harm.

use flash_spec::fast_path::{Buffer, Command, Register};
use flash_spec::record::{
    slots_per_block, Anchor, SuperBlockEntry, ANCHOR_BLOCKS_MAX, ANCHOR_MAGIC, COPIES, SUPER_BLOCKS_MAX, UNMAPPED,
};
use soc_hal::Flash;
use zerocopy::little_endian::{U16, U32, U64};

use crate::erase::Secure;
use crate::job::{Job, Record, RecordWriter};
use crate::log::Detached;
use crate::map::SuperBlocks;
use crate::{Ftl, State};

/// How far a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checkpoint {
    /// None is made.
    Idle,
    /// One is needed.
    Wanted,
    /// It is being written.
    Going(Going),
}

/// A checkpoint that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Going {
    /// The first record that counts after it.
    log: RecordWriter,
    log_number: u64,
    /// The next page of the map to look at.
    next: u32,
    /// Where the copies of the directory and the table are.
    directory: [Option<u32>; COPIES],
    table: [Option<u32>; COPIES],
    /// It may count when all pages with lower sequence numbers are safe.
    safe_at: u64,
    /// Something has changed since it began that must be in another one.
    again: bool,
}

/// Where the next anchor goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnchorWriter {
    pub(crate) plane: u32,
    pub(crate) row: u32,
    /// The block that has the last anchor, if there is one.
    pub(crate) last_plane: Option<u32>,
    pub(crate) generation: u64,
    /// The block takes no more.
    pub(crate) is_worn: bool,
    /// What the last anchor refers to.
    pub(crate) directory: [u32; COPIES],
    pub(crate) table: [u32; COPIES],
}

impl AnchorWriter {
    /// Of flash that has no anchor: the first block is erased before it is written.
    pub(crate) const NEW: Self = Self {
        plane: ANCHOR_BLOCKS_MAX - 1,
        row: 0,
        last_plane: None,
        generation: 0,
        is_worn: true,
        directory: [UNMAPPED; COPIES],
        table: [UNMAPPED; COPIES],
    };
}

/// The places of what is written.
fn written(copies: [Option<u32>; COPIES]) -> [u32; COPIES] {
    copies.map(|copy| copy.expect("it is written"))
}

impl Checkpoint {
    /// Another one is needed.
    pub(crate) fn want(&mut self) {
        match self {
            Self::Idle => *self = Self::Wanted,
            Self::Wanted => {}
            Self::Going(going) => going.again = true,
        }
    }

    /// Whether it is being written.
    pub(crate) fn is_going(&self) -> bool {
        matches!(self, Self::Going(_))
    }
}

impl<F: Flash> Ftl<'_, F> {
    /// Begins a checkpoint that is needed.
    pub(crate) fn poll_checkpoint(&mut self) {
        if self.checkpoint != Checkpoint::Wanted || !self.is_map_complete() {
            return;
        }
        if self.log.detached == Detached::Unwritten {
            return;
        }
        let Some((log, log_number)) = self.log.last else {
            self.log.record_wanted = true;
            return;
        };
        if !self.may_begin_checkpoint() {
            return self.grants.note_short();
        }
        self.choose_emptied();
        let (directory, table) = ([None; COPIES], [None; COPIES]);
        let going = Going { log, log_number, next: 0, directory, table, safe_at: 0, again: false };
        self.checkpoint = Checkpoint::Going(going);
    }

    /// Chooses the super-blocks of the map that the checkpoint empties: all but the one that is written, and one more if there is room beside it.
    fn choose_emptied(&mut self) {
        let writer = self.map_writer.super_block;
        let others = || self.all_in(State::Map).filter(|&index| index != writer && !self.grants_map(index));
        let slots_left = self.slots().saturating_sub(self.map_writer.slot);
        let has_room = self.config.has_room_for_checkpoints(slots_left);
        let kept = others().filter(|_| has_room).max_by_key(|&index| self.map_pages_in(index));
        let mut emptied = SuperBlocks::NONE;
        others().filter(|&index| Some(index) != kept).for_each(|index| emptied.insert(index));
        self.map.emptied = emptied;
    }

    /// Pages of the map and of marks that count in a super-block.
    fn map_pages_in(&self, super_block: u16) -> u32 {
        let is_in = |&&page: &&u32| page != UNMAPPED && self.super_block_of(page) == super_block;
        self.memory.directory.iter().filter(is_in).count() as u32
    }

    /// Writes the next page of the checkpoint.
    pub(crate) fn go_on_with_checkpoint(&mut self) {
        let Checkpoint::Going(mut going) = self.checkpoint else { return };
        if let Some(map_page) = self.map.is_unwritten.take() {
            self.mark(map_page);
            return self.write_map_record(Record::Map(map_page), |map| map.is_unwritten = Some(map_page));
        }
        while going.next < self.config.map_pages() {
            let map_page = going.next as u16;
            if self.is_emptied(map_page.into()) || self.flash.register(Register::MapDirty(map_page)) == 1 {
                self.mark(map_page);
                self.write_map_record(Record::Map(map_page), |_| {});
                if matches!(self.job, Job::Write(_)) {
                    going.next += 1;
                    self.checkpoint = Checkpoint::Going(going);
                }
                return;
            }
            going.next += 1;
            self.checkpoint = Checkpoint::Going(going);
        }
        if let Some(index) = self.marks_to_write() {
            self.put_marks(index);
            return self.write_map_record(Record::Marks(index), |_| {});
        }
        if going.directory.contains(&None) {
            going.safe_at = self.flash.register(Register::Sequence);
            self.checkpoint = Checkpoint::Going(going);
            for index in 0..self.memory.directory.len() {
                let place = self.memory.directory[index];
                self.flash.write_word(Buffer::Scratch(0), index as u32, place);
            }
            return self.write_map_record(Record::Directory, |_| {});
        }
        if going.table.contains(&None) {
            for index in 0..SUPER_BLOCKS_MAX {
                let block = self.memory.super_blocks.get(index as usize);
                let entry: SuperBlockEntry = block.map_or(crate::SuperBlock::NEW, |block| *block).to_entry();
                self.put(Buffer::Scratch(0), 0, index, &entry);
            }
            return self.write_map_record(Record::Table, |_| {});
        }
        // The pages of the map name pages that must not be destroyed any more when the anchor makes them count.
        let safe_at = going.safe_at;
        if self.flash.register(Register::SafeSequence) < safe_at {
            let is_waited_for = self.log.detached != Detached::No || self.is_short() && !self.do_moves_go_on();
            let is_urgent =
                self.is_at_rest() || is_waited_for || self.log_length() > u64::from(2 * self.config.log_records);
            if is_urgent && self.settled < safe_at {
                self.settled = safe_at;
                self.flash.command(Command::Settle);
            }
            return;
        }
        self.write_anchor(&going);
    }

    /// Pages that the checkpoint has still to write, at most.
    pub(crate) fn checkpoint_pages_left(&self) -> u32 {
        let all = self.config.checkpoint_pages();
        let Checkpoint::Going(going) = &self.checkpoint else { return all };
        let copies = [going.directory, going.table].as_flattened().iter().filter(|copy| copy.is_some()).count();
        let is_with_copies = going.safe_at != 0;
        all - if is_with_copies { all - 2 * COPIES as u32 + copies as u32 } else { going.next }
    }

    /// Whether nothing more will be written that would make pages safe.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.secure != Secure::Idle || self.is_read_only && !self.is_tight()
    }

    /// Writes a record of the map, or has another super-block taken for it.
    fn write_map_record(&mut self, record: Record, otherwise: impl FnOnce(&mut crate::map::MapState)) {
        if !self.start_record(record) {
            otherwise(&mut self.map);
            self.grant_map();
        }
    }

    /// A part of the checkpoint is in flash.
    pub(crate) fn end_checkpoint_part(&mut self, record: Record, page: u32) {
        let Checkpoint::Going(mut going) = self.checkpoint else { return };
        let note = |copies: &mut [Option<u32>; COPIES]| {
            *copies.iter_mut().find(|copy| copy.is_none()).expect("a copy was missing") = Some(page);
        };
        match record {
            Record::Directory => note(&mut going.directory),
            Record::Table => note(&mut going.table),
            Record::Anchor => {
                self.anchor.row += 1;
                self.anchor.last_plane = Some(self.anchor.plane);
                return self.end_checkpoint(&going);
            }
            Record::Log(_) | Record::Map(_) | Record::Marks(_) => {}
        }
        self.checkpoint = Checkpoint::Going(going);
    }

    fn write_anchor(&mut self, going: &Going) {
        let is_full = self.anchor.row >= slots_per_block(self.geometry.pages_per_block);
        if is_full || self.anchor.is_worn {
            return self.erase_next_anchor_block();
        }
        self.anchor.generation += 1;
        let geometry = self.geometry;
        let totals = self.smart();
        let anchor = Anchor {
            magic: U64::new(ANCHOR_MAGIC),
            generation: U64::new(self.anchor.generation),
            log_number: U64::new(going.log_number),
            written_units: U64::new(totals.written_units),
            programmed_pages: U64::new(totals.programmed_pages),
            units: U32::new(self.config.units),
            directory: written(going.directory).map(U32::new),
            table: written(going.table).map(U32::new),
            log_slot: U32::new(going.log.slot),
            log_super_block: U16::new(going.log.super_block),
            erasing: U16::new((self.secure == Secure::Announcing).into()),
            geometry: [
                geometry.channels,
                geometry.dies_per_channel,
                geometry.planes_per_die,
                geometry.blocks_per_plane,
                geometry.pages_per_block,
            ]
            .map(U32::new),
            program_failures: U32::new(totals.program_failures),
            erase_failures: U32::new(totals.erase_failures),
        };
        self.put(Buffer::Scratch(0), 0, 0, &anchor);
        self.start_record(Record::Anchor);
    }

    /// Goes to the next block for anchors that has not the last one, so that there is always one.
    fn erase_next_anchor_block(&mut self) {
        let blocks = ANCHOR_BLOCKS_MAX.min(self.geometry.planes());
        let good = self.planes(0);
        let may_be = |&plane: &u32| good >> plane & 1 == 1 && self.anchor.last_plane != Some(plane);
        let Some(plane) = (1..=blocks).map(|offset| (self.anchor.plane + offset) % blocks).find(may_be) else {
            // No block is left for anchors: what is in flash can be read, but nothing new would survive.
            self.is_read_only = true;
            self.flash.command(Command::SetReadOnly { read_only: true });
            return;
        };
        self.anchor.plane = plane;
        self.anchor.row = 0;
        self.job = Job::EraseAnchor;
        self.flash.command(Command::Erase { super_block: 0, planes: 1 << plane });
    }

    /// The anchor is in flash: what only the one before it needed is useless now.
    fn end_checkpoint(&mut self, going: &Going) {
        self.checkpoint = if going.again { Checkpoint::Wanted } else { Checkpoint::Idle };
        self.anchor.directory = written(going.directory);
        self.anchor.table = written(going.table);
        self.log.first_number = going.log_number;
        self.deltas = 0;
        self.attach_log();
        self.drop_useless(going.log.super_block);
        if self.secure == Secure::Announcing {
            self.secure = Secure::Announced;
        }
    }

    /// Finds super-blocks of the map and the log that the anchor does not need; `log` has the first record that counts.
    pub(crate) fn drop_useless(&mut self, log: u16) {
        let checkpoint =
            [self.anchor.directory, self.anchor.table].map(|copies| copies.map(|page| self.super_block_of(page)));
        for index in 0..self.memory.super_blocks.len() as u16 {
            let is_useless = match self.block(index).state {
                State::Map => {
                    index != self.map_writer.super_block
                        && !checkpoint.as_flattened().contains(&index)
                        && !self.grants_map(index)
                        && self.map_pages_in(index) == 0
                }
                State::Log => !self.log_needs(index, log),
                _ => false,
            };
            if is_useless {
                self.block(index).state = State::Useless;
            }
        }
    }
}
