//! The driver of the fast path of the flash.

use crate::{Flash, Mmio};
use flash_spec::fast_path::wire::{self, event, register, WORDS};
use flash_spec::fast_path::{Buffer, Command, Event, Register};
use flash_spec::limits::{PAGE_BYTES, SPARE_BYTES};
use flash_spec::record::{MAP_ENTRIES, UNMAPPED};

/// DRAM that firmware and hardware share.
pub trait Shared {
    /// Reads 32 bits at an address that is a multiple of 4.
    fn load32(&mut self, address: u64) -> u32;

    /// Writes 32 bits at an address that is a multiple of 4.
    fn store32(&mut self, address: u64, value: u32);

    /// The fast path has something to tell. Where it is not known, it is asked.
    fn may_have_event(&mut self) -> bool {
        true
    }
}

/// Where in shared DRAM things lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Address of the first shared page: see [`Buffer::number`].
    pub shared_base: u64,
    /// Address of the spares that were read, by tag.
    pub read_spares_base: u64,
    /// Pages of the map.
    pub map_pages: u32,
}

/// The fast path behind its registers and the shared DRAM.
///
/// `Forget` is for hardware that was just reset: there is nothing in it to be forgotten but the map, which is made empty. What erases a flash that has been
/// in use resets the fast path before.
#[derive(Debug)]
pub struct FastPath<M> {
    hardware: M,
    layout: Layout,
    /// The words that the registers hold.
    sent: [u32; WORDS],
    /// The last command may not be taken yet.
    may_be_busy: bool,
}

impl<M: Mmio + Shared> FastPath<M> {
    /// The driver of hardware that was just reset.
    pub fn new(hardware: M, layout: Layout) -> Self {
        let mut driver = Self { hardware, layout, sent: [0; WORDS], may_be_busy: false };
        // What the registers hold after a reset is not known.
        (1..WORDS as u32).for_each(|word| driver.hardware.write32(register::COMMAND + 4 * word, 0));
        driver
    }

    /// The hardware.
    pub fn hardware(&mut self) -> &mut M {
        &mut self.hardware
    }

    /// Gives the hardware back.
    pub fn into_hardware(self) -> M {
        self.hardware
    }

    /// Waits until hardware has taken the last command. It does so within a bounded time.
    fn wait(&mut self) {
        while self.may_be_busy && self.hardware.read32(register::BUSY) != 0 {}
        self.may_be_busy = false;
    }

    fn send(&mut self, command: Command) {
        self.wait();
        let words = wire::encode(command);
        for ((offset, word), sent) in (register::COMMAND..).step_by(4).zip(words).zip(self.sent).skip(1) {
            if word != sent {
                self.hardware.write32(offset, word);
            }
        }
        self.sent = words;
        self.hardware.write32(register::COMMAND, words[0]);
        self.may_be_busy = true;
    }

    fn address(&self, buffer: Buffer, word: u32) -> u64 {
        self.layout.shared_base + u64::from(buffer.number()) * u64::from(PAGE_BYTES) + 4 * u64::from(word)
    }

    fn spare(&mut self, tag: u8) -> [u8; SPARE_BYTES as usize] {
        let base = self.layout.read_spares_base + u64::from(tag) * u64::from(SPARE_BYTES);
        let mut spare = [0; SPARE_BYTES as usize];
        for (address, bytes) in (base..).step_by(4).zip(spare.chunks_exact_mut(4)) {
            bytes.copy_from_slice(&self.hardware.load32(address).to_le_bytes());
        }
        spare
    }

    /// The map is there, and empty.
    fn clear_map(&mut self) {
        for map_page in 0..self.layout.map_pages as u16 {
            (0..MAP_ENTRIES).for_each(|word| self.write_word(Buffer::Map(map_page), word, UNMAPPED));
            self.send(Command::MapPresent { map_page, is_dirty: false });
        }
    }
}

impl<M: Mmio + Shared> Flash for FastPath<M> {
    fn command(&mut self, command: Command) {
        self.send(command);
        if command == Command::Forget {
            self.clear_map();
        }
    }

    fn event(&mut self) -> Option<Event> {
        if !self.hardware.may_have_event() {
            return None;
        }
        let mut words = [0; WORDS];
        words[0] = self.hardware.read32(register::EVENT);
        let code = words[0] as u8;
        if code == 0 {
            return None;
        }
        words[1] = self.hardware.read32(register::EVENT + 4);
        if code == event::ERASE_DONE || code == event::LOG_CLOSED {
            for (offset, word) in (register::EVENT..).step_by(4).zip(&mut words).skip(4) {
                *word = self.hardware.read32(offset);
            }
        }
        let event = wire::decode(words, |tag| self.spare(tag));
        self.hardware.write32(register::EVENT_TAKE, 0);
        event
    }

    fn register(&mut self, register: Register) -> u64 {
        self.wait();
        let offset = wire::register_offset(register);
        let low = self.hardware.read32(offset);
        let high = if wire::is_wide(register) { self.hardware.read32(offset + 4) } else { 0 };
        u64::from(low) | u64::from(high) << 32
    }

    fn read_word(&mut self, buffer: Buffer, word: u32) -> u32 {
        let address = self.address(buffer, word);
        self.hardware.load32(address)
    }

    fn write_word(&mut self, buffer: Buffer, word: u32, value: u32) {
        let address = self.address(buffer, word);
        self.hardware.store32(address, value);
    }
}
