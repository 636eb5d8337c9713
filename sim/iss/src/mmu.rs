//! From virtual to physical addresses: Sv39 and the table of what was translated.
//!
//! Source: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, "Sv39: Page-Based 39-bit Virtual-Memory System" and "Virtual
//! Address Translation Process". As in Rocket, a page that was not accessed yet (A) or not written yet (D) is a page fault: firmware sets the bits.

use crate::bus::Bus;
use crate::csr::{status, Csrs, SATP_MODE_SHIFT, SV39};
use crate::trap::{Cause, Exception, Mode};

/// Bits of an offset in a page.
pub(crate) const PAGE_BITS: u32 = 12;
/// Bytes of a page.
pub(crate) const PAGE_BYTES: u64 = 1 << PAGE_BITS;

/// What an access is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// An instruction.
    Fetch,
    /// A load, or `lr`.
    Load,
    /// A store, an atomic or `sc`.
    Store,
}

impl Access {
    /// What a misaligned address is.
    pub(crate) fn misaligned(self, address: u64) -> Exception {
        let cause = match self {
            Self::Fetch => Cause::InstructionAddressMisaligned,
            Self::Load => Cause::LoadAddressMisaligned,
            Self::Store => Cause::StoreAddressMisaligned,
        };
        Exception { cause, value: address }
    }

    /// What a denied access is.
    pub(crate) fn access_fault(self, address: u64) -> Exception {
        let cause = match self {
            Self::Fetch => Cause::InstructionAccessFault,
            Self::Load => Cause::LoadAccessFault,
            Self::Store => Cause::StoreAccessFault,
        };
        Exception { cause, value: address }
    }

    /// What a failed translation is.
    fn page_fault(self, address: u64) -> Exception {
        let cause = match self {
            Self::Fetch => Cause::InstructionPageFault,
            Self::Load => Cause::LoadPageFault,
            Self::Store => Cause::StorePageFault,
        };
        Exception { cause, value: address }
    }
}

/// Bits of a page table entry.
mod pte {
    pub const V: u64 = 1;
    pub const R: u64 = 1 << 1;
    pub const W: u64 = 1 << 2;
    pub const X: u64 = 1 << 3;
    pub const U: u64 = 1 << 4;
    pub const A: u64 = 1 << 6;
    pub const D: u64 = 1 << 7;
    pub const PPN_SHIFT: u32 = 10;
    pub const PPN_BITS: u32 = 44;
    /// Reserved, or of extensions that there are not.
    pub const RESERVED: u64 = !0 << (PPN_SHIFT + PPN_BITS);
}

/// Levels of Sv39.
const LEVELS: u32 = 3;
/// Bits of a virtual page number that each level takes.
const INDEX_BITS: u32 = 9;
/// Bits of a virtual address.
const VIRTUAL_BITS: u32 = PAGE_BITS + LEVELS * INDEX_BITS;
/// Bytes of a page table entry.
const PTE_BYTES: u64 = 8;

impl Csrs {
    /// The mode in which loads and stores of a mode are checked. Volume II, "Memory Privilege in `mstatus` Register".
    pub(crate) fn data_mode(&self, mode: Mode) -> Mode {
        if self.mstatus & status::MPRV != 0 {
            Mode::from_bits(self.mstatus >> status::MPP_SHIFT)
        } else {
            mode
        }
    }

    /// The physical address of an access of so many bytes, checked in every way.
    pub(crate) fn translate<B: Bus>(
        &self,
        bus: &mut B,
        hart: usize,
        mode: Mode,
        access: Access,
        address: u64,
        bytes: u64,
    ) -> Result<u64, Exception> {
        let bare = mode == Mode::Machine || self.satp >> SATP_MODE_SHIFT != SV39;
        let physical = if bare { address } else { self.walk(bus, hart, mode, access, address)? };
        // What is misaligned is protected as the aligned bytes around it.
        if physical >> self.physical_bits != 0 || !self.pmp.permits(mode, access, physical & !(bytes - 1), bytes) {
            return Err(access.access_fault(address));
        }
        Ok(physical)
    }

    fn walk<B: Bus>(
        &self,
        bus: &mut B,
        hart: usize,
        mode: Mode,
        access: Access,
        address: u64,
    ) -> Result<u64, Exception> {
        let page_fault = access.page_fault(address);
        let unused = 64 - VIRTUAL_BITS;
        if ((address << unused) as i64 >> unused) as u64 != address {
            return Err(page_fault);
        }
        let mut table = self.satp << PAGE_BITS & ((1 << (pte::PPN_BITS + PAGE_BITS)) - 1);
        for level in (0..LEVELS).rev() {
            let below = PAGE_BITS + level * INDEX_BITS;
            let at = table + PTE_BYTES * (address >> below & ((1 << INDEX_BITS) - 1));
            // Page tables are read as S reads.
            let permitted =
                at >> self.physical_bits == 0 && self.pmp.permits(Mode::Supervisor, Access::Load, at, PTE_BYTES);
            let entry = if permitted { bus.load(hart, at).ok() } else { None };
            let entry = u64::from_le_bytes(entry.ok_or(access.access_fault(address))?);
            let has = |bits: u64| entry & bits == bits;
            if !has(pte::V) || entry & pte::RESERVED != 0 || has(pte::W) && !has(pte::R) {
                return Err(page_fault);
            }
            let base = entry >> pte::PPN_SHIFT << PAGE_BITS;
            if entry & (pte::R | pte::X) != 0 {
                let offset = (1 << below) - 1;
                return match self.leaf_permits(entry, mode, access) && base & offset == 0 {
                    true => Ok(base | address & offset),
                    false => Err(page_fault),
                };
            }
            if entry & (pte::A | pte::D | pte::U) != 0 {
                return Err(page_fault);
            }
            table = base;
        }
        Err(page_fault)
    }

    fn leaf_permits(&self, entry: u64, mode: Mode, access: Access) -> bool {
        let has = |bits: u64| entry & bits == bits;
        let for_mode = match mode {
            Mode::User => has(pte::U),
            _ => !has(pte::U) || access != Access::Fetch && self.mstatus & status::SUM != 0,
        };
        let for_access = match access {
            Access::Fetch => has(pte::X),
            Access::Load => has(pte::R) || has(pte::X) && self.mstatus & status::MXR != 0,
            Access::Store => has(pte::W | pte::D),
        };
        for_mode && for_access && has(pte::A)
    }
}

/// Entries of a [`Tlb`]: a direct-mapped table by the lowest bits of the page number.
const ENTRIES: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The virtual page and the mode; [`Entry::NONE`] holds for none.
    tag: u64,
    /// What to add to a virtual address.
    delta: u64,
}

impl Entry {
    const NONE: Self = Self { tag: u64::MAX, delta: 0 };
}

/// The pages that one kind of access has reached, for all modes. Each is allowed as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Tlb([Entry; ENTRIES]);

/// A mode as part of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModeTag(u64);

impl ModeTag {
    pub(crate) const fn new(mode: Mode) -> Self {
        // The page number leaves as many bits as an offset has.
        Self((mode as u64) << (64 - PAGE_BITS))
    }
}

impl Tlb {
    pub(crate) const fn new() -> Self {
        Self([Entry::NONE; ENTRIES])
    }

    /// The physical address, if the page is here.
    #[inline]
    pub(crate) fn find(&self, mode: ModeTag, address: u64) -> Option<u64> {
        let page = address >> PAGE_BITS;
        let entry = self.0[page as usize % ENTRIES];
        (entry.tag == page | mode.0).then(|| address.wrapping_add(entry.delta))
    }

    /// Keeps a page.
    pub(crate) fn keep(&mut self, mode: ModeTag, address: u64, physical: u64) {
        let page = address >> PAGE_BITS;
        self.0[page as usize % ENTRIES] = Entry { tag: page | mode.0, delta: physical.wrapping_sub(address) };
    }

    pub(crate) fn flush(&mut self) {
        self.0 = [Entry::NONE; ENTRIES];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::MemoryBus;
    use crate::csr::Config;

    const ROOT: u64 = 0x8000_0000;
    const MIDDLE: u64 = 0x8000_1000;
    const LAST: u64 = 0x8000_2000;
    const VIRTUAL: u64 = 0xFFFF_FFC0_4020_3000;
    const ALL: u64 = pte::V | pte::R | pte::W | pte::X | pte::A | pte::D;

    /// Page tables of three levels for one virtual page, whose last entry has these bits; and Sv39 with all of memory open.
    fn tables(leaf: u64) -> (Csrs, MemoryBus) {
        let mut csrs = Csrs::new(&Config { hart: 0, reset_pc: 0, physical_bits: 32 });
        csrs.pmp.set_address(0, u64::MAX, 32);
        csrs.pmp.set_configurations(0, 0x1F);
        csrs.satp = SV39 << SATP_MODE_SHIFT | ROOT >> PAGE_BITS;
        let mut bus = MemoryBus::new(ROOT, 0x1_0000);
        let entry = |address: u64, bits: u64| address >> PAGE_BITS << pte::PPN_SHIFT | bits;
        put(&mut bus, ROOT + 8 * 0x101, entry(MIDDLE, pte::V));
        put(&mut bus, MIDDLE + 8, entry(LAST, pte::V));
        put(&mut bus, LAST + 8 * 3, entry(0x8000_5000, leaf));
        (csrs, bus)
    }

    fn put(bus: &mut MemoryBus, address: u64, value: u64) {
        bus.store(0, address, value.to_le_bytes()).expect("memory");
    }

    fn translated(csrs: &Csrs, bus: &mut MemoryBus, mode: Mode, access: Access, address: u64) -> Result<u64, Cause> {
        csrs.translate(bus, 0, mode, access, address, 1).map_err(|exception| exception.cause)
    }

    #[test]
    fn three_levels_and_bare() {
        let (csrs, mut bus) = tables(ALL);
        let s = |bus: &mut _, address| translated(&csrs, bus, Mode::Supervisor, Access::Load, address);
        assert_eq!(s(&mut bus, VIRTUAL + 0x123), Ok(0x8000_5123));
        assert_eq!(s(&mut bus, VIRTUAL + 0x1000), Err(Cause::LoadPageFault));
        assert_eq!(s(&mut bus, VIRTUAL & ((1 << 39) - 1)), Err(Cause::LoadPageFault), "not canonical");
        assert_eq!(translated(&csrs, &mut bus, Mode::Machine, Access::Store, 0x1234), Ok(0x1234));
        assert_eq!(translated(&csrs, &mut bus, Mode::Machine, Access::Store, 1 << 32), Err(Cause::StoreAccessFault));
    }

    /// Volume II, "Virtual Address Translation Process", steps 3 to 9.
    #[test]
    fn permissions_of_a_leaf() {
        use Access::*;
        use Mode::*;
        let (v, r, w, x, u, a, d) = (pte::V, pte::R, pte::W, pte::X, pte::U, pte::A, pte::D);
        for (bits, mode, set, access, permitted) in [
            (v | r | a, Supervisor, 0, Load, true),
            (r | a, Supervisor, 0, Load, false),
            (v | r, Supervisor, 0, Load, false),
            (v | r | a, Supervisor, 0, Store, false),
            (v | r | w | a, Supervisor, 0, Store, false),
            (v | r | w | a | d, Supervisor, 0, Store, true),
            (v | w | a | d, Supervisor, 0, Store, false),
            (v | r | a, Supervisor, 0, Fetch, false),
            (v | x | a, Supervisor, 0, Fetch, true),
            (v | x | a, Supervisor, 0, Load, false),
            (v | x | a, Supervisor, status::MXR, Load, true),
            (v | r | a, User, 0, Load, false),
            (v | r | a | u, User, 0, Load, true),
            (v | r | a | u, Supervisor, 0, Load, false),
            (v | r | a | u, Supervisor, status::SUM, Load, true),
            (v | x | a | u, Supervisor, status::SUM, Fetch, false),
            (v | r | a | 1 << 54, Supervisor, 0, Load, false),
            (v | r | a | 1 << 63, Supervisor, 0, Load, false),
            (v, Supervisor, 0, Load, false),
        ] {
            let (mut csrs, mut bus) = tables(bits);
            csrs.mstatus |= set;
            let answer = translated(&csrs, &mut bus, mode, access, VIRTUAL);
            assert_eq!(answer.is_ok(), permitted, "{bits:#x} {mode:?} {access:?}: {answer:?}");
        }
    }

    #[test]
    fn large_pages_are_aligned_and_tables_have_no_other_bits() {
        let (csrs, mut bus) = tables(ALL);
        let s = |bus: &mut _| translated(&csrs, bus, Mode::Supervisor, Access::Store, VIRTUAL + 0x123);
        put(&mut bus, MIDDLE + 8, 0x8020_0000 >> PAGE_BITS << pte::PPN_SHIFT | ALL);
        assert_eq!(s(&mut bus), Ok(0x8020_3123));
        put(&mut bus, MIDDLE + 8, 0x8020_1000 >> PAGE_BITS << pte::PPN_SHIFT | ALL);
        assert_eq!(s(&mut bus), Err(Cause::StorePageFault));
        put(&mut bus, ROOT + 8 * 0x101, 0x8000_0000 >> PAGE_BITS << pte::PPN_SHIFT | ALL);
        assert_eq!(s(&mut bus), Ok(0x8020_3123));
        put(&mut bus, MIDDLE + 8, LAST >> PAGE_BITS << pte::PPN_SHIFT | pte::V);
        for bit in [pte::A, pte::D, pte::U] {
            put(&mut bus, ROOT + 8 * 0x101, MIDDLE >> PAGE_BITS << pte::PPN_SHIFT | pte::V | bit);
            assert_eq!(s(&mut bus), Err(Cause::StorePageFault));
        }
    }

    #[test]
    fn tables_that_cannot_be_read_are_access_faults() {
        let (mut csrs, mut bus) = tables(ALL);
        csrs.satp = SV39 << SATP_MODE_SHIFT | 0x9000_0000 >> PAGE_BITS;
        assert_eq!(translated(&csrs, &mut bus, Mode::User, Access::Fetch, VIRTUAL), Err(Cause::InstructionAccessFault));
        let (mut csrs, mut bus) = tables(ALL);
        // The first region closes the last table.
        csrs.pmp.set_address(1, u64::MAX, 32);
        csrs.pmp.set_address(0, (LAST | 0x7FC) >> 2, 32);
        csrs.pmp.set_configurations(0, 0x1F18);
        assert_eq!(translated(&csrs, &mut bus, Mode::Supervisor, Access::Load, VIRTUAL), Err(Cause::LoadAccessFault));
    }

    #[test]
    fn a_page_is_found_by_its_mode_and_its_number() {
        let (user, machine) = (ModeTag::new(Mode::User), ModeTag::new(Mode::Machine));
        let mut tlb = Tlb::new();
        assert_eq!(tlb.find(machine, u64::MAX), None);
        tlb.keep(user, 0xFFFF_FFFF_FFFF_F008, 0x2008);
        assert_eq!(tlb.find(user, 0xFFFF_FFFF_FFFF_F123), Some(0x2123));
        assert_eq!(tlb.find(machine, 0xFFFF_FFFF_FFFF_F123), None);
        assert_eq!(tlb.find(user, 0x000F_FFFF_FFFF_F123), None);
        tlb.flush();
        assert_eq!(tlb.find(user, 0xFFFF_FFFF_FFFF_F123), None);
    }
}
