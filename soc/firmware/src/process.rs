//! A container's process: what a loader says of it, and the page tables that it runs under.
//!
//! ```text
//!   virtual                    physical                    U   S
//!   VIRTUAL_BASE, code     ->  the slot, page 1 ...        RX
//!   variables and stack    ->  pages behind the code       RW
//!   the firmware's GiB     ->  itself                          RWX, of which the protection leaves code and what belongs to the hart
//! ```
//! Firmware lies in the process's own address space, so a call into it changes no table.

use soc_map::containers::{PROCESS_PAGES, TABLES, VIRTUAL_BASE};
use soc_map::privileged::sv39::{self, entry, AD, ENTRIES, PAGE_BYTES, R, SHIFTS, U, W, X};
use soc_map::{Region, FIRMWARE};
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const MAGIC: u64 = u64::from_le_bytes(*b"FDPROG01");

/// What a loader says of the program behind it, in the first page of a slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Program {
    magic: U64,
    /// [`soc_map::VERSION`] of who wrote it.
    map: U64,
    code_bytes: U64,
}

/// A program that firmware does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The map that it is for.
    pub map: u64,
    /// Bytes of its code.
    pub code_bytes: u64,
}

impl Program {
    /// A program with so much code.
    pub fn new(code_bytes: u64) -> Self {
        Self { magic: MAGIC.into(), map: soc_map::VERSION.into(), code_bytes: code_bytes.into() }
    }

    /// No program.
    pub fn none() -> Self {
        Self { magic: 0.into(), ..Self::new(0) }
    }

    /// Bytes of its code; none if there is no program.
    ///
    /// # Errors
    /// If it is for another map, or leaves no page for a stack.
    pub fn code_bytes(&self) -> Result<Option<u64>, Refused> {
        let (map, code_bytes) = (self.map.get(), self.code_bytes.get());
        if self.magic.get() != MAGIC {
            return Ok(None);
        }
        if map != soc_map::VERSION || code_bytes > (PROCESS_PAGES - 1) * PAGE_BYTES {
            return Err(Refused { map, code_bytes });
        }
        Ok(Some(code_bytes))
    }
}

/// Where a process finds its stack: behind its last page.
pub const STACK_TOP: u64 = VIRTUAL_BASE + PROCESS_PAGES * PAGE_BYTES;

/// Where the tables of a slot are: the root is the first.
pub const fn tables_at(slot: &Region) -> u64 {
    slot.end() - TABLES * PAGE_BYTES
}

/// The tables of a process: of the level 2, which is the root, 1 and 0.
pub type Tables = [[u64; ENTRIES]; TABLES as usize];

/// Fills the tables of a process with so much code, for a slot.
pub fn map(tables: &mut Tables, slot: &Region, code_bytes: u64) {
    let index = |address: u64, level: usize| (address >> SHIFTS[level]) as usize % ENTRIES;
    let table = |level: usize| tables_at(slot) + (2 - level as u64) * PAGE_BYTES;
    *tables = [[0; ENTRIES]; TABLES as usize];
    let [root, middle, last] = tables;
    let firmware = FIRMWARE.base >> SHIFTS[2] << SHIFTS[2];
    root[index(firmware, 2)] = entry(firmware, R | W | X | AD);
    root[index(VIRTUAL_BASE, 2)] = entry(table(1), 0);
    middle[index(VIRTUAL_BASE, 1)] = entry(table(0), 0);
    for page in 0..PROCESS_PAGES {
        let rights = if page * PAGE_BYTES < code_bytes { R | X } else { R | W };
        let physical = slot.base + (1 + page) * PAGE_BYTES;
        last[index(VIRTUAL_BASE + page * PAGE_BYTES, 0)] = entry(physical, rights | U | AD);
    }
}

/// `satp` for the tables of a slot.
pub const fn satp(slot: &Region) -> u64 {
    sv39::satp(tables_at(slot))
}

// All pages of a process lie in one table, and firmware in one entry of the root that is not theirs.
const _: () = assert!(VIRTUAL_BASE >> SHIFTS[1] == (STACK_TOP - 1) >> SHIFTS[1]);
const _: () = assert!(FIRMWARE.base >> SHIFTS[2] == (FIRMWARE.end() - 1) >> SHIFTS[2]);
const _: () = assert!(FIRMWARE.base >> SHIFTS[2] != VIRTUAL_BASE >> SHIFTS[2]);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use soc_map::containers::{slot, SLOT_BYTES};
    use soc_map::privileged::sv39::V;
    use soc_map::HARTS_MAX;

    const RIGHTS: u64 = R | W | X | U;

    /// Where an address leads, and what is allowed there. Volume II, "Virtual Address Translation Process".
    fn walk(tables: &Tables, slot: &Region, address: u64) -> Option<(u64, u64)> {
        let mut table = satp(slot) << 12;
        for level in [2, 1, 0] {
            let number = (table - tables_at(slot)) / PAGE_BYTES;
            let entry = tables[number as usize][(address >> SHIFTS[level]) as usize % ENTRIES];
            let physical = entry >> 10 << 12;
            if entry & V == 0 {
                return None;
            }
            if entry & (R | W | X) != 0 {
                assert!(entry & AD == AD);
                return Some((physical + address % (1 << SHIFTS[level]), entry & RIGHTS));
            }
            table = physical;
        }
        None
    }

    proptest! {
        /// A process has its pages, code and the rest, and nothing else; firmware has itself.
        #[test]
        fn a_process_sees_its_pages(pages in 0..PROCESS_PAGES, less in prop_oneof![Just(0), 0..PAGE_BYTES], hart in (0..HARTS_MAX).prop_filter("one for containers", |hart| slot(*hart).is_some()), near: u32, far in 0..1_u64 << 38) {
            let slot = slot(hart).unwrap();
            let code_bytes = (pages * PAGE_BYTES).saturating_sub(less);
            let mut tables = [[u64::MAX; ENTRIES]; TABLES as usize];
            map(&mut tables, &slot, code_bytes);
            for address in [near.into(), far, u64::from(near) % (STACK_TOP + PAGE_BYTES), VIRTUAL_BASE, VIRTUAL_BASE + code_bytes, STACK_TOP - 1] {
                let found = walk(&tables, &slot, address);
                let expected = if (VIRTUAL_BASE..STACK_TOP).contains(&address) {
                    let page = (address - VIRTUAL_BASE) / PAGE_BYTES;
                    let rights = if page < code_bytes.div_ceil(PAGE_BYTES) { R | X } else { R | W };
                    Some((slot.base + PAGE_BYTES + address - VIRTUAL_BASE, rights | U))
                } else if address >> 30 == FIRMWARE.base >> 30 {
                    Some((address, R | W | X))
                } else {
                    None
                };
                prop_assert_eq!(found, expected, "{:#x}", address);
            }
        }

        /// What a loader says is run if it fits, and refused otherwise.
        #[test]
        fn programs_that_fit_are_run(code_bytes: u64, map: u64, is_small: bool, is_for_us: bool) {
            let code_bytes = if is_small { code_bytes % (SLOT_BYTES * 2) } else { code_bytes };
            let map = if is_for_us { soc_map::VERSION } else { map };
            let program = Program { map: map.into(), ..Program::new(code_bytes) };
            let fits = code_bytes <= (PROCESS_PAGES - 1) * PAGE_BYTES && map == soc_map::VERSION;
            let expected = if fits { Ok(Some(code_bytes)) } else { Err(Refused { map, code_bytes }) };
            prop_assert_eq!(program.code_bytes(), expected);
        }
    }

    #[test]
    fn no_program_is_no_error() {
        assert_eq!(Program::none().code_bytes(), Ok(None));
    }
}
