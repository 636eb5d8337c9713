//! Address map, interrupt numbers and memory sizes.
//!
//! Addresses of the device's own bus are in [`REGIONS`]; addresses of the host are its own business, but for [`MSI_WINDOW`].
#![no_std]
#![deny(missing_docs)]

pub mod boot;
pub mod clint;
pub mod containers;
pub mod counters;
pub mod dma;
pub mod firmware;
pub mod plic;
pub mod privileged;
pub mod protection;
pub mod rocket;
pub mod roles;
pub mod sbi;
pub mod trace;
pub mod uart;
pub mod watchdog;

use core::ops::Range;

/// A part of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// What `flashdock map` prints.
    pub name: &'static str,
    /// The first address.
    pub base: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// One sentence.
    pub doc: &'static str,
}

impl Region {
    /// The addresses of the region.
    pub const fn range(&self) -> Range<u64> {
        self.base..self.end()
    }

    /// The address behind the region.
    pub const fn end(&self) -> u64 {
        self.base + self.bytes
    }

    /// Whether the address lies in the region.
    pub const fn contains(&self, address: u64) -> bool {
        self.base <= address && address < self.end()
    }
}

/// The register port of the NVMe controller: `nvme_spec::firmware_port`.
pub const NVME_FIRMWARE_PORT: Region = Region {
    name: "nvme-firmware-port",
    base: 0x1000_0000,
    bytes: 0x2000,
    doc: "The NVMe controller's registers for firmware.",
};

/// The console: [`uart`].
pub const UART: Region = Region { name: "uart", base: 0x1001_0000, bytes: 0x1000, doc: "The console." };

/// Watches the harts: [`watchdog`].
pub const WATCHDOG: Region =
    Region { name: "watchdog", base: 0x1002_0000, bytes: 0x1000, doc: "Notices a hart that stops." };

/// The engine that copies memory for firmware: [`dma`].
pub const DMA: Region = Region { name: "dma", base: 0x1003_0000, bytes: 0x1000, doc: "Copies memory." };

/// The performance counters: [`counters`].
pub const COUNTERS: Region =
    Region { name: "counters", base: 0x1004_0000, bytes: 0x1000, doc: "How often what happens has happened." };

/// The fast path of the flash: `flash_spec::fast_path`.
pub const FLASH_FIRMWARE_PORT: Region = Region {
    name: "flash-firmware-port",
    base: 0x1005_0000,
    bytes: 0x8000,
    doc: "The registers of the flash's fast path for firmware.",
};

/// Memory that firmware and the fast path of the flash share: log, map, pages of firmware. No cache holds it, because the fast path looks into none.
pub const FLASH_SHARED: Region = Region {
    name: "flash-shared",
    base: 0x2000_0000,
    bytes: 0x400_0000,
    doc: "What firmware and the flash's fast path share in memory.",
};

/// Memory of the device. The processors cache it from here on.
pub const DRAM: Region = Region { name: "dram", base: 0x8000_0000, bytes: 0x1_0000_0000, doc: "Memory of the device." };

/// The part of [`DRAM`] that belongs to firmware: the last that a processor reaches, whose bus has 32 bits of address. Storage that lies in the same memory
/// must leave it alone.
pub const FIRMWARE: Region = Region {
    name: "firmware",
    base: rocket::CACHED.end() - (32 << 20),
    bytes: 32 << 20,
    doc: "Firmware, in the device's memory: `soc_map::firmware`.",
};

const _: () = assert!(DRAM.base <= FIRMWARE.base && FIRMWARE.end() <= DRAM.end());

/// Harts of the largest SoC.
pub const HARTS_MAX: u32 = 6;

/// All regions of the device's bus, in the order of their addresses.
pub const REGIONS: &[Region] = &[
    rocket::BOOT_ROM,
    rocket::CLINT,
    rocket::PLIC,
    NVME_FIRMWARE_PORT,
    UART,
    WATCHDOG,
    DMA,
    COUNTERS,
    FLASH_FIRMWARE_PORT,
    FLASH_SHARED,
    DRAM,
];

const _: () = assert!(regions_are_disjoint(REGIONS));

/// Interrupt line of the NVMe controller's firmware port.
pub const NVME_INTERRUPT: u32 = 1;

/// Interrupt line of the console.
pub const UART_INTERRUPT: u32 = 2;

/// Interrupt line of the watchdog, while it barks.
pub const WATCHDOG_INTERRUPT: u32 = 3;

/// Interrupt line of the DMA engine.
pub const DMA_INTERRUPT: u32 = 4;

/// Interrupt line of the flash's fast path, while an event waits.
pub const FLASH_INTERRUPT: u32 = 5;

/// Interrupt lines of the device, from 1 on.
pub const INTERRUPTS: u32 = 5;

/// Where the simulated host takes interrupt messages: addresses as on a PC, above which no memory of the simulated host lies.
pub const MSI_WINDOW: Region = Region {
    name: "msi",
    base: 0xFEE0_0000,
    bytes: 0x10_0000,
    doc: "Where the simulated host takes interrupt messages.",
};

/// Whether no two regions share an address and none is empty or goes beyond the address space.
pub const fn regions_are_disjoint(regions: &[Region]) -> bool {
    let mut i = 0;
    while i < regions.len() {
        let a = &regions[i];
        if a.bytes == 0 || a.base.checked_add(a.bytes).is_none() {
            return false;
        }
        let mut j = 0;
        while j < i {
            let b = &regions[j];
            if a.base < b.end() && b.base < a.end() {
                return false;
            }
            j += 1;
        }
        i += 1;
    }
    true
}

/// A number that another map has not: of all that firmware is linked for. A change of any of it makes another number.
pub const VERSION: u64 = version(&[
    NVME_FIRMWARE_PORT,
    UART,
    FLASH_FIRMWARE_PORT,
    FLASH_SHARED,
    DRAM,
    FIRMWARE,
    firmware::FLASH_TABLES,
    firmware::STACKS,
    firmware::IMAGE,
    firmware::CODE,
    firmware::CONTAINERS,
    firmware::MONITOR,
    firmware::TRACE,
    firmware::PARAMETERS,
    firmware::RECORDS,
]);

/// FNV-1a of the addresses and sizes.
const fn version(regions: &[Region]) -> u64 {
    let mut hash: u64 = 0xCBF2_9CE4_8422_2325;
    let mut i = 0;
    while i < regions.len() {
        let words = [regions[i].base, regions[i].bytes];
        let mut byte = 0;
        while byte < 16 {
            hash = (hash ^ (words[byte / 8] >> (8 * (byte % 8)) & 0xFF)).wrapping_mul(0x100_0000_01B3);
            byte += 1;
        }
        i += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_map_has_another_version() {
        let map = [DRAM, FIRMWARE];
        for change in [
            [DRAM, Region { base: FIRMWARE.base - 4096, ..FIRMWARE }],
            [DRAM, Region { bytes: FIRMWARE.bytes / 2, ..FIRMWARE }],
            [FIRMWARE, DRAM],
        ] {
            assert_ne!(version(&map), version(&change));
        }
    }

    const fn region(base: u64, bytes: u64) -> Region {
        Region { name: "r", base, bytes, doc: "" }
    }

    #[test]
    fn neighbours_are_disjoint_and_overlaps_are_not() {
        assert!(regions_are_disjoint(&[region(0, 4), region(4, 4)]));
        assert!(!regions_are_disjoint(&[region(0, 5), region(4, 4)]));
        assert!(!regions_are_disjoint(&[region(4, 4), region(0, 16)]));
        assert!(!regions_are_disjoint(&[region(0, 0)]));
        assert!(!regions_are_disjoint(&[region(u64::MAX, 2)]));
    }

    #[test]
    fn ends_are_exclusive() {
        assert!(DRAM.contains(DRAM.base));
        assert!(!DRAM.contains(DRAM.end()));
    }
}
