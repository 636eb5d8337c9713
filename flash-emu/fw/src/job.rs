//! What firmware itself does with the flash, one thing at a time: it writes a record, or loads a page of the map.

use flash_spec::fast_path::{Buffer, Command};
use flash_spec::limits::SPARE_BYTES;
use flash_spec::record::{part, slot_page, slot_plane, slots_per_block};
use flash_spec::spare::kind;
use flash_spec::Outcome;
use soc_hal::Flash;

use crate::log::ClosedBuffer;
use crate::{Ftl, State};

/// What is being done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    /// Nothing.
    Idle,
    /// A record is written.
    Write(Write),
    /// The block of the next anchor is erased.
    EraseAnchor,
    /// A page of the map is read.
    Load {
        /// Its number.
        map_page: u16,
    },
    /// The marks of a page of the map that cannot be read are read.
    LoadMarks {
        /// The number of the page of the map.
        map_page: u16,
    },
    /// A page of the map that cannot be read is found again in the spares of all pages.
    Rebuild {
        /// Its number.
        map_page: u16,
        /// The page whose spare is read.
        page: u32,
    },
}

/// A record that is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub(crate) record: Record,
    super_block: u16,
    plane: u32,
    /// The page of the block that is programmed now, and that of the record.
    page: u32,
    last: u32,
}

/// What a record is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Record {
    /// Of the log.
    Log(ClosedBuffer),
    /// A page of the map.
    Map(u16),
    /// A page of marks.
    Marks(u16),
    /// The directory.
    Directory,
    /// The table of super-blocks.
    Table,
    /// The anchor.
    Anchor,
}

impl Record {
    /// Where its content is, its kind and its label.
    fn content(self) -> (Buffer, u8, u32) {
        match self {
            Self::Log(closed) => (Buffer::Log(closed.buffer), kind::LOG, closed.number as u32),
            Self::Map(map_page) => (Buffer::Map(map_page), kind::MAP, map_page.into()),
            Self::Marks(index) => (Buffer::Scratch(0), kind::CHECKPOINT, part::MARKS + u32::from(index)),
            Self::Directory => (Buffer::Scratch(0), kind::CHECKPOINT, part::DIRECTORY),
            Self::Table => (Buffer::Scratch(0), kind::CHECKPOINT, part::TABLE),
            Self::Anchor => (Buffer::Scratch(0), kind::CHECKPOINT, part::ANCHOR),
        }
    }
}

/// Where records of a kind go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordWriter {
    /// 0: nowhere, since super-block 0 has the anchors.
    pub(crate) super_block: u16,
    /// The next slot.
    pub(crate) slot: u32,
}

impl RecordWriter {
    pub(crate) const NONE: Self = Self { super_block: 0, slot: u32::MAX };
}

impl<F: Flash> Ftl<'_, F> {
    /// Slots of a super-block.
    pub(crate) fn slots(&self) -> u32 {
        self.geometry.planes() * slots_per_block(self.geometry.pages_per_block)
    }

    /// Starts what is most needed, if nothing is being done.
    pub(crate) fn poll_job(&mut self) {
        if !matches!(self.job, Job::Idle) {
            return;
        }
        if let Some(map_page) = self.map.wanted.take() {
            if !self.map.is_present(map_page) {
                return self.start_load(map_page);
            }
        }
        if self.start_log_record() || !self.is_mounted {
            return;
        }
        if let Some(map_page) = self.map.first_absent(self.config.map_pages()) {
            return self.start_load(map_page);
        }
        self.go_on_with_checkpoint();
    }

    /// Starts to write a record into the next slot of its writer that can be used; false if there is none.
    pub(crate) fn start_record(&mut self, record: Record) -> bool {
        let planes = self.geometry.planes();
        let slots = self.slots();
        let (super_block, plane, row) = match record {
            Record::Anchor => (0, self.anchor.plane, self.anchor.row),
            Record::Log(_) | Record::Map(_) | Record::Marks(_) | Record::Directory | Record::Table => {
                let writer = match record {
                    Record::Log(_) => self.log_writer,
                    _ => self.map_writer,
                };
                let good = self.planes(writer.super_block);
                let plane_of = |slot: u32| slot_plane(&self.geometry, writer.super_block.into(), slot);
                let slot = (writer.slot..slots).find(|&slot| good >> plane_of(slot) & 1 == 1);
                let plane = slot.map_or(0, plane_of);
                let writer = match record {
                    Record::Log(_) => &mut self.log_writer,
                    _ => &mut self.map_writer,
                };
                let Some(slot) = slot.filter(|_| writer.super_block != 0) else {
                    writer.slot = slots;
                    return false;
                };
                writer.slot = slot + 1;
                (writer.super_block, plane, slot / planes)
            }
        };
        let last = slot_page(row, self.geometry.pages_per_block);
        let page = if row == 0 { 0 } else { slot_page(row - 1, self.geometry.pages_per_block) + 1 };
        self.job = Job::Write(Write { record, super_block, plane, page, last });
        self.program();
        true
    }

    fn page_of(&self, write: &Write) -> u32 {
        let stripe = u32::from(write.super_block) * self.geometry.pages_per_block + write.page;
        stripe * self.geometry.planes() + write.plane
    }

    /// Programs the filler before a record, or the record.
    fn program(&mut self) {
        let Job::Write(write) = self.job else { return };
        let page = self.page_of(&write);
        let (buffer, kind, label) = write.record.content();
        let from = (write.page == write.last).then_some(buffer);
        self.flash.command(Command::Program { tag: 0, page, from, kind, label });
    }

    /// A program of firmware has ended. A slot that cannot be written is left out; a mount expects that.
    pub(crate) fn end_program(&mut self, outcome: Outcome) {
        let Job::Write(mut write) = self.job else { return };
        let page = self.page_of(&write);
        let is_record = write.page == write.last;
        if outcome == Outcome::ProgramFailed {
            self.note_program_failed(page);
        }
        if outcome == Outcome::ProgramFailed || is_record && !outcome.is_good() {
            self.job = Job::Idle;
            return self.write_elsewhere(write.record);
        }
        if !is_record {
            // A filler may be there already from before a power cut.
            write.page += 1;
            self.job = Job::Write(write);
            return self.program();
        }
        self.job = Job::Idle;
        match write.record {
            Record::Log(closed) => self.end_log_record(&closed, write.super_block),
            Record::Map(map_page) => self.memory.directory[usize::from(map_page)] = page,
            Record::Marks(index) => self.end_marks(index, page),
            Record::Directory | Record::Table | Record::Anchor => self.end_checkpoint_part(write.record, page),
        }
    }

    /// Writes a record into another slot than the one that failed.
    fn write_elsewhere(&mut self, record: Record) {
        match record {
            // It is tried again when the log is looked at.
            Record::Log(closed) => self.log.give_back(closed),
            Record::Anchor => self.anchor.is_worn = true,
            Record::Map(map_page) => self.map.is_unwritten = Some(map_page),
            // They are still missing.
            Record::Marks(_) | Record::Directory | Record::Table => {}
        }
    }

    /// A read of firmware has ended.
    pub(crate) fn end_read(&mut self, _tag: u8, outcome: Outcome, spare: &[u8; SPARE_BYTES as usize]) {
        match self.job {
            Job::Load { map_page } => self.end_load(map_page, outcome, spare),
            Job::LoadMarks { map_page } => self.end_load_marks(map_page, outcome, spare),
            Job::Rebuild { map_page, page } => self.go_on_with_rebuild(map_page, page, outcome, spare),
            Job::Idle | Job::Write(_) | Job::EraseAnchor => {}
        }
    }

    /// A super-block for records of the map is taken and may be written.
    pub(crate) fn begin_map_super_block(&mut self, super_block: u16) {
        self.map_writer = RecordWriter { super_block, slot: 0 };
        debug_assert_eq!(self.block(super_block).state, State::Map);
    }
}
