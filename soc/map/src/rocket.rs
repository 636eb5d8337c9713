//! Where the Rocket tile of the package `pythondata-cpu-rocket` sees what. The generator has built these numbers into its Verilog (the package lists
//! them in `LitexFull4DConfig.memmap.json`): a map of the SoC can only follow them. What is in none of these regions traps in the tile, but for two
//! pages of the generator's own below [`BOOT_ROM`].

use crate::Region;

/// Where a hart begins to run after a reset.
pub const RESET_PC: u64 = 0x1_0040;

/// What the tile runs from, and does not write: the boot ROM.
pub const BOOT_ROM: Region =
    Region { name: "boot-rom", base: 0x1_0000, bytes: 0x1_0000, doc: "The first instructions." };

/// Timers and software interrupts: registers, with atomics.
pub const CLINT: Region = Region { name: "clint", base: 0x200_0000, bytes: 0x1_0000, doc: "Timers of the harts." };

/// External interrupts: registers, with atomics.
pub const PLIC: Region = Region { name: "plic", base: 0xC00_0000, bytes: 0x400_0000, doc: "Interrupts of the device." };

/// What the tile reads and writes as the program says, never speculatively, and without atomics.
pub const UNCACHED: Region =
    Region { name: "uncached", base: 0x1000_0000, bytes: 0x7000_0000, doc: "Registers of the device." };

/// What the tile caches. The address goes on to 2^32: the tile's bus has 32 bits of it.
pub const CACHED: Region =
    Region { name: "cached", base: 0x8000_0000, bytes: 0x8000_0000, doc: "Memory that the harts share." };

/// Bytes of the instruction cache, and of the data cache.
pub const CACHE_BYTES: u32 = 16 << 10;

/// Bytes of a line of both.
pub const LINE_BYTES: u32 = 64;

const _: () = assert!(crate::regions_are_disjoint(&[CLINT, PLIC, BOOT_ROM, UNCACHED, CACHED]));
const _: () = assert!(BOOT_ROM.contains(RESET_PC));
const _: () = assert!(CACHED.base == crate::DRAM.base);
