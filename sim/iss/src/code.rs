//! Instructions that were decoded once, by the physical page that they lie in.

use crate::decode::{Instruction, Op};
use crate::mmu::{PAGE_BITS, PAGE_BYTES};

/// Places of an instruction in a page.
const SLOTS: usize = PAGE_BYTES as usize / 2;

/// Pages that are kept: a direct-mapped table by the lowest bits of the page number. Firmware and a program beside it, in 4 MiB of the PC's memory.
const PAGES: usize = 128;

/// Decoded instructions of one page, by half of their offset.
pub(crate) type Page = [Instruction; SLOTS];

/// The table. It is as old as the last `fence.i`, as the instruction cache of a hart may be.
pub(crate) struct Code {
    /// The physical page number; [`NONE`] for none.
    tags: [u64; PAGES],
    slots: Vec<Instruction>,
}

const NONE: u64 = u64::MAX;

impl Code {
    pub(crate) fn new() -> Self {
        Self { tags: [NONE; PAGES], slots: vec![Instruction::new(Op::Undecoded); PAGES * SLOTS] }
    }

    /// The page of a physical address.
    pub(crate) fn page(&mut self, physical: u64) -> &mut Page {
        let number = physical >> PAGE_BITS;
        let index = number as usize % PAGES;
        let page = self.slots[index * SLOTS..].first_chunk_mut().expect("a page for each tag");
        if self.tags[index] != number {
            self.tags[index] = number;
            *page = [Instruction::new(Op::Undecoded); SLOTS];
        }
        page
    }

    pub(crate) fn flush(&mut self) {
        self.tags = [NONE; PAGES];
    }
}
