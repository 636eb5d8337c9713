//! Physical memory protection.
//!
//! Source: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, "Physical Memory Protection".

use std::ops::Range;

use crate::mmu::{Access, PAGE_BYTES};
use crate::trap::Mode;

/// The regions that Rocket has in its configuration `LitexFull`.
pub const REGIONS: usize = 8;

/// The registers `pmpcfg` that there are by their numbers, of which the upper half is hard-wired to 0: each holds eight regions.
pub const REGIONS_MAX: usize = 16;

/// Bits of a region's configuration.
mod bit {
    pub const R: u8 = 1;
    pub const W: u8 = 1 << 1;
    pub const X: u8 = 1 << 2;
    pub const A: u8 = 0b11 << 3;
    pub const TOR: u8 = 0b01 << 3;
    pub const NA4: u8 = 0b10 << 3;
    pub const NAPOT: u8 = 0b11 << 3;
    pub const L: u8 = 1 << 7;
}

/// The regions, in the order of their priority.
#[derive(Clone, Debug, Default)]
pub struct Pmp {
    configurations: [u8; REGIONS],
    /// Address bits from bit 2 on.
    addresses: [u64; REGIONS],
    /// What the two say, worked out when they are written.
    ranges: [Range<u64>; REGIONS],
}

impl Pmp {
    /// A register of eight configurations, from the region with this number on.
    pub fn configurations(&self, first: usize) -> u64 {
        let part = self.configurations.get(first..first + 8);
        part.map_or(0, |part| u64::from_le_bytes(part.try_into().expect("eight regions")))
    }

    /// Writes eight configurations. Those that are locked stay; a region that could be written but not read loses W, as in Rocket.
    pub fn set_configurations(&mut self, first: usize, value: u64) {
        for (region, new) in (first..REGIONS).zip(value.to_le_bytes()) {
            if self.configurations[region] & bit::L == 0 {
                let writable = if new & bit::R == 0 { 0 } else { bit::W };
                self.configurations[region] = new & (bit::R | bit::X | bit::A | bit::L | writable);
            }
        }
        self.work_out();
    }

    /// The address register of a region.
    pub fn address(&self, region: usize) -> u64 {
        self.addresses.get(region).copied().unwrap_or(0)
    }

    /// Writes an address register, unless its region is locked or bounds a locked one from below.
    pub fn set_address(&mut self, region: usize, value: u64, physical_bits: u32) {
        let locked = |region: usize| self.configurations.get(region).is_some_and(|part| part & bit::L != 0);
        let bounds = |next: usize| locked(next) && self.configurations[next] & bit::A == bit::TOR;
        if region < REGIONS && !locked(region) && !bounds(region + 1) {
            self.addresses[region] = value & ((1 << (physical_bits - 2)) - 1);
            self.work_out();
        }
    }

    fn work_out(&mut self) {
        for region in 0..REGIONS {
            let address = self.addresses[region];
            let below = region.checked_sub(1).map_or(0, |before| self.addresses[before] << 2);
            self.ranges[region] = match self.configurations[region] & bit::A {
                bit::TOR => below..address << 2,
                bit::NA4 => address << 2..(address << 2) + 4,
                bit::NAPOT => {
                    let bytes = 8 << address.trailing_ones();
                    let base = address << 2 & !(bytes - 1);
                    base..base + bytes
                }
                _ => 0..0,
            };
        }
    }

    /// Whether an access of so many bytes from `mode` is permitted.
    pub fn permits(&self, mode: Mode, access: Access, address: u64, bytes: u64) -> bool {
        let end = address + bytes;
        // The region with the lowest number that has any byte decides, and must have all of them.
        let Some(region) = self.ranges.iter().position(|range| address < range.end && range.start < end) else {
            return mode == Mode::Machine;
        };
        let (range, configuration) = (&self.ranges[region], self.configurations[region]);
        if address < range.start || range.end < end {
            return false;
        }
        let needed = match access {
            Access::Fetch => bit::X,
            Access::Load => bit::R,
            Access::Store => bit::W,
        };
        configuration & needed != 0 || mode == Mode::Machine && configuration & bit::L == 0
    }

    /// Whether one answer holds for each access to a page: no region that can decide begins or ends inside of it.
    pub fn is_uniform(&self, page: u64) -> bool {
        let end = page + PAGE_BYTES;
        let parts = |range: &Range<u64>| page < range.end && range.start < end;
        match self.ranges.iter().find(|range| parts(range)) {
            Some(range) => range.start <= page && end <= range.end,
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PHYSICAL_BITS: u32 = 32;

    fn pmp(configurations: u64, addresses: &[u64]) -> Pmp {
        let mut pmp = Pmp::default();
        for (region, address) in addresses.iter().enumerate() {
            pmp.set_address(region, address >> 2, PHYSICAL_BITS);
        }
        pmp.set_configurations(0, configurations);
        pmp
    }

    #[test]
    fn nothing_is_permitted_but_to_the_machine_without_a_region() {
        let pmp = Pmp::default();
        assert!(pmp.permits(Mode::Machine, Access::Store, 0, 8));
        assert!(!pmp.permits(Mode::Supervisor, Access::Load, 0, 1));
    }

    #[test]
    fn the_first_region_decides_and_must_have_every_byte() {
        // NA4 readable at 0x1000; TOR with all rights to 0x2000.
        let pmp = pmp(0x0F_11, &[0x1000, 0x2000]);
        assert!(pmp.permits(Mode::User, Access::Load, 0x1000, 4));
        assert!(!pmp.permits(Mode::User, Access::Load, 0x1000, 8));
        assert!(!pmp.permits(Mode::User, Access::Store, 0x1002, 2));
        assert!(pmp.permits(Mode::Machine, Access::Store, 0x1002, 2));
        assert!(pmp.permits(Mode::User, Access::Fetch, 0x1FFE, 2));
        assert!(!pmp.permits(Mode::User, Access::Load, 0xFFF, 1));
        assert!(!pmp.permits(Mode::User, Access::Load, 0x2000, 1));
        assert!(!pmp.is_uniform(0x1000) && pmp.is_uniform(0) && pmp.is_uniform(0x2000));
    }

    #[test]
    fn power_of_two_regions() {
        // 4 KiB at 0x5000, execute only.
        let pmp = pmp(0x1C, &[0x5000 | 0x7FC]);
        assert!(pmp.permits(Mode::User, Access::Fetch, 0x5000, 2) && pmp.permits(Mode::User, Access::Fetch, 0x5FFE, 2));
        assert!(
            !pmp.permits(Mode::User, Access::Fetch, 0x6000, 2) && !pmp.permits(Mode::User, Access::Load, 0x5000, 1)
        );
        assert!(pmp.is_uniform(0x5000));
        let all = self::pmp(0x1F, &[u64::MAX]);
        assert!(all.permits(Mode::User, Access::Store, 0xFFFF_FFF8, 8));
    }

    #[test]
    fn locked_regions_bind_the_machine_and_stay() {
        let mut pmp = pmp(0x89_00, &[0x1000, 0x2000]);
        assert!(!pmp.permits(Mode::Machine, Access::Store, 0x1000, 8));
        assert!(pmp.permits(Mode::Machine, Access::Load, 0x1000, 8));
        pmp.set_configurations(0, 0);
        assert_eq!(pmp.configurations(0), 0x89_00);
        // The lower bound of a locked TOR region is locked, too.
        pmp.set_address(0, 0, PHYSICAL_BITS);
        pmp.set_address(1, 0, PHYSICAL_BITS);
        assert_eq!((pmp.address(0), pmp.address(1)), (0x400, 0x800));
    }

    #[test]
    fn reserved_bits_read_as_zero() {
        let mut pmp = Pmp::default();
        pmp.set_configurations(0, 0x62);
        assert_eq!(pmp.configurations(0), 0);
        pmp.set_configurations(8, u64::MAX);
        assert_eq!((pmp.configurations(8), pmp.address(8)), (0, 0));
    }

    proptest! {
        /// In a uniform page, what holds for one access holds for all.
        #[test]
        fn uniform_pages_have_one_answer(configurations: u64, addresses in prop::array::uniform8(0u64..0x1_0000), page in 0u64..16, offset in 0u64..512) {
            let pmp = pmp(configurations & !0x8080_8080_8080_8080, &addresses);
            let page = page * PAGE_BYTES;
            if pmp.is_uniform(page) {
                for access in [Access::Fetch, Access::Load, Access::Store] {
                    for mode in [Mode::User, Mode::Machine] {
                        let answer = pmp.permits(mode, access, page, 1);
                        prop_assert_eq!(pmp.permits(mode, access, page + offset * 8, 8), answer);
                        prop_assert_eq!(pmp.permits(mode, access, page + offset * 8 + 5, 1), answer);
                    }
                }
            }
        }
    }
}
