//! What firmware says and sees.

use flash_spec::fast_path::{Buffer, Command, Event, Planes, Register};
use flash_spec::limits::SPARE_BYTES;
use flash_spec::record::{MAP_ENTRIES, UNMAPPED};
use flash_spec::spare::{kind, Spare, LPN_NONE};
use flash_spec::Outcome;

use super::cache::Cache;
use super::log::Log;
use super::moves::Moves;
use super::{Content, Erasing, FastPath, Operation, WritePoint};
use crate::array::Page;

impl FastPath {
    /// Takes a command.
    pub fn command(&mut self, command: Command) {
        match command {
            Command::Open { stream, super_block, planes } => {
                let starts = std::mem::replace(&mut self.starts, vec![0; self.geometry.planes() as usize]);
                self.write_points.push(WritePoint::new(starts, stream, super_block, planes));
            }
            Command::StartAt { plane, page } => self.starts[usize::from(plane)] = page,
            Command::Read { tag, page, into } => self.read_for_firmware(tag, page, into),
            Command::Program { tag, page, from, kind, label } => {
                self.program_for_firmware(tag, page, from, kind, label)
            }
            Command::Erase { super_block, planes } => self.start_erase(super_block, planes),
            Command::Move { page } => self.start_move(page),
            Command::DrainMoves => self.moves.drain(),
            Command::MapPresent { map_page, is_dirty } => self.take_map_page(map_page, is_dirty),
            Command::AppendLog { lpn, place } => {
                if self.log.append(lpn, place) {
                    self.close_log();
                }
            }
            Command::CloseLog => self.close_log(),
            Command::LogDurable => {
                if self.log.end() {
                    self.close_log();
                }
            }
            Command::Settle => self.settles_before = self.sequence,
            Command::SetSequence { next } => self.sequence = next,
            Command::SetReadOnly { read_only } => self.is_read_only = read_only,
            Command::Forget => self.forget(),
        }
    }

    /// Something that firmware has to know.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// A number.
    pub fn register(&self, register: Register) -> u64 {
        match register {
            Register::Sequence => self.sequence,
            Register::SafeSequence => self.safe_sequence(),
            Register::LogAppended => self.log.appended(),
            Register::LogDurable => self.log.durable(),
            Register::LogCovered => self.log.covered(),
            Register::LastTrim => self.log.last_trim().entries,
            Register::LastTrimSequence => self.log.last_trim().sequence,
            Register::FlushWaits => {
                self.cache.flushes.front().is_some_and(|flush| !self.log.is_trim_durable(flush.trim)).into()
            }
            Register::ValidUnits(super_block) => self.valid[usize::from(super_block)].into(),
            Register::MapDirty(map_page) => self.is_dirty[usize::from(map_page)].into(),
            Register::WrittenUnits => self.written_units,
            Register::HostPages => self.pages.host,
            Register::MovedPages => self.pages.moved,
            Register::OtherPages => self.pages.firmware + self.pages.filler,
        }
    }

    /// The words of a page of shared DRAM.
    pub fn buffer(&mut self, buffer: Buffer) -> &mut [u32] {
        match buffer {
            Buffer::Map(page) => {
                let first = usize::from(page) * MAP_ENTRIES as usize;
                &mut self.map[first..first + MAP_ENTRIES as usize]
            }
            Buffer::Log(index) => self.log.buffer(index),
            Buffer::Scratch(index) => &mut self.scratch[usize::from(index)],
        }
    }

    fn read_for_firmware(&mut self, tag: u8, page: u32, into: Option<Buffer>) {
        const ERASED: [u8; SPARE_BYTES as usize] = [0xFF; SPARE_BYTES as usize];
        let (outcome, spare) = match self.read_flash(page) {
            Some((spare, content)) => {
                if let (Some(buffer), Content::Words(words)) = (into, content) {
                    self.buffer(buffer).copy_from_slice(&words);
                }
                (Outcome::GOOD, spare.to_bytes())
            }
            None if self.array.page(self.address(page)) == &Page::Erased => (Outcome::GOOD, ERASED),
            None => (Outcome::Uncorrectable, ERASED),
        };
        self.events.push_back(Event::ReadDone { tag, outcome, spare });
    }

    fn program_for_firmware(&mut self, tag: u8, page: u32, from: Option<Buffer>, kind: u8, label: u32) {
        let address = self.address(page);
        if let Err(violation) = self.array.check_program(address) {
            let outcome = Outcome::Refused(violation);
            return self.events.push_back(Event::ProgramDone { tag, outcome });
        }
        let (content, kind, label) = match from {
            Some(buffer) => (Content::Words(self.buffer(buffer).into()), kind, label),
            None => (Content::Nothing, kind::FILLER, LPN_NONE),
        };
        if let Some(Buffer::Map(map_page)) = from {
            self.is_dirty[usize::from(map_page)] = false;
        }
        let lpns = [label, LPN_NONE, LPN_NONE, LPN_NONE];
        let spare = Spare::new(page, self.sequence, kind, lpns, content.crc());
        self.array.start_program(address, content, spare.to_bytes()).expect("it was checked");
        self.operations.push(Operation::Firmware { tag, page });
        self.sequence += 1;
        self.pages.firmware += 1;
    }

    fn start_erase(&mut self, super_block: u16, planes: Planes) {
        let first = u64::from(super_block) * u64::from(self.geometry.pages_per_block * self.geometry.planes());
        for plane in (0..self.geometry.planes()).filter(|plane| planes >> plane & 1 == 1) {
            let page = first as u32 + plane;
            self.array.start_erase(self.address(page)).expect("there is such a block");
            self.operations.push(Operation::Erase { page });
        }
        self.erasing.push(Erasing { super_block, left: planes.count_ones(), failed: 0 });
    }

    pub(super) fn end_erase(&mut self, page: u32) {
        let address = self.address(page);
        let outcome = self.array.end(address);
        let plane = self.geometry.plane_index(address);
        let index = self.erasing.iter().position(|erasing| erasing.super_block == address.block);
        let index = index.expect("it is being erased");
        let erasing = &mut self.erasing[index];
        erasing.left -= 1;
        erasing.failed |= Planes::from(!outcome.is_good()) << plane;
        if erasing.left == 0 {
            let Erasing { super_block, failed, .. } = self.erasing.swap_remove(index);
            self.events.push_back(Event::EraseDone { super_block, failed });
        }
    }

    fn take_map_page(&mut self, map_page: u16, is_dirty: bool) {
        let per_super_block = self.units_per_super_block();
        let index = usize::from(map_page);
        assert!(!self.is_present[index], "map page {map_page} comes twice");
        (self.is_present[index], self.is_dirty[index]) = (true, is_dirty);
        let first = index * MAP_ENTRIES as usize;
        for &place in &self.map[first..first + MAP_ENTRIES as usize] {
            if place != UNMAPPED {
                self.valid[(place / per_super_block) as usize] += 1;
            }
        }
    }

    fn forget(&mut self) {
        for operation in std::mem::take(&mut self.operations) {
            match operation {
                Operation::Units { page, .. } | Operation::Filler { page, .. } | Operation::Firmware { page, .. } => {
                    self.array.end(self.address(page));
                }
                Operation::Erase { page } => self.end_erase(page),
            }
        }
        self.cache = Cache::new(self.cache.capacity());
        self.log = Log::new();
        self.moves = Moves::new();
        self.write_points.clear();
        self.map.fill(UNMAPPED);
        self.is_present.fill(true);
        self.is_dirty.fill(false);
        self.valid.fill(0);
    }
}
