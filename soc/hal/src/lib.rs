//! The only crate that touches memory-mapped registers.
//!
//! Drivers are generic over [`Mmio`], so that the same driver runs on a processor ([`Registers`]), against a model and in co-simulation.
#![no_std]
#![deny(missing_docs)]

mod flash;

pub use flash::{FastPath, Layout, Shared};

use flash_spec::fast_path::{Buffer, Command, Event, Register};

/// A block of 32-bit registers. Offsets are in bytes from the start of the block and multiples of 4.
pub trait Mmio {
    /// Reads a register. It takes `&mut self` since a read may have effects, and in co-simulation it lets time pass.
    fn read32(&mut self, offset: u32) -> u32;

    /// Writes a register.
    fn write32(&mut self, offset: u32, value: u32);
}

/// The fast path of the flash, as firmware sees it: `flash_spec::fast_path`.
pub trait Flash {
    /// Tells the hardware something.
    fn command(&mut self, command: Command);

    /// What the hardware has to tell. In simulation it lets time pass if that is nothing.
    fn event(&mut self) -> Option<Event>;

    /// Reads a number.
    fn register(&mut self, register: Register) -> u64;

    /// Reads a word of a page of shared DRAM.
    fn read_word(&mut self, buffer: Buffer, word: u32) -> u32;

    /// Writes a word of a page of shared DRAM.
    fn write_word(&mut self, buffer: Buffer, word: u32, value: u32);
}

impl<M: Mmio + ?Sized> Mmio for &mut M {
    fn read32(&mut self, offset: u32) -> u32 {
        (**self).read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        (**self).write32(offset, value);
    }
}

/// Registers at an address of this processor.
pub struct Registers {
    base: *mut u32,
    bytes: u32,
}

// SAFETY: the registers are not memory of a thread, and the contract of `new` makes this value their only user.
#[allow(unsafe_code)]
unsafe impl Send for Registers {}

impl Registers {
    /// The block of `bytes` bytes of registers at `base`.
    ///
    /// # Safety
    /// For as long as this value lives, `base..base + bytes` must be mapped device registers (or memory that nothing else uses) which may be
    /// read and written in 32-bit units, `base` must be a multiple of 4, and nothing else may access them.
    #[allow(unsafe_code)]
    pub const unsafe fn new(base: *mut u32, bytes: u32) -> Self {
        Self { base, bytes }
    }

    fn register(&self, offset: u32) -> *mut u32 {
        assert!(offset % 4 == 0, "registers lie at multiples of 4");
        assert!(offset < self.bytes, "the register lies in the block");
        self.base.wrapping_byte_add(offset as usize)
    }
}

impl Mmio for Registers {
    #[allow(unsafe_code)]
    fn read32(&mut self, offset: u32) -> u32 {
        let register = self.register(offset);
        // SAFETY: `register` asserts that it lies in the block, which the contract of `new` makes readable.
        unsafe { register.read_volatile() }
    }

    #[allow(unsafe_code)]
    fn write32(&mut self, offset: u32, value: u32) {
        let register = self.register(offset);
        // SAFETY: `register` asserts that it lies in the block, which the contract of `new` makes writable.
        unsafe { register.write_volatile(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code)]
    fn registers_are_dwords_at_byte_offsets() {
        let mut memory = [0_u32; 4];
        // SAFETY: nothing else uses `memory` while `registers` lives.
        let mut registers = unsafe { Registers::new(memory.as_mut_ptr(), 16) };
        registers.write32(8, 0x1234_5678);
        assert_eq!(registers.read32(8), 0x1234_5678);
        assert_eq!(registers.read32(4), 0);
        assert_eq!(memory, [0, 0, 0x1234_5678, 0]);
    }

    #[test]
    #[should_panic(expected = "the register lies in the block")]
    #[allow(unsafe_code)]
    fn the_end_is_exclusive() {
        let mut memory = [0_u32; 4];
        // SAFETY: nothing else uses `memory` while `registers` lives.
        let mut registers = unsafe { Registers::new(memory.as_mut_ptr(), 16) };
        registers.read32(16);
    }
}
