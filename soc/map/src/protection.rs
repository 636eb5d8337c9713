//! What each hart may reach below M-mode: the regions of its physical memory protection, from its [role](Role).
//!
//! The monitor in M-mode is bound by none of it. S-mode and U-mode have the same rights here: what U may reach of that, the page tables say. A hart for
//! containers reaches the code, its own stack, slot and trace, and nothing else: no register, and no variable of the firmware that serves hosts.

use crate::firmware::{stack, CODE, COMMON, MONITOR, RECORDS};
use crate::roles::Role;
use crate::{containers, trace, Region, FIRMWARE, FLASH_FIRMWARE_PORT, FLASH_SHARED, NVME_FIRMWARE_PORT, UART};

/// Regions that a hart has.
pub const REGIONS: usize = 8;

/// Loads.
pub const R: u8 = 1;
/// Stores.
pub const W: u8 = 1 << 1;
/// Fetches.
pub const X: u8 = 1 << 2;

/// A region's address register holds its address and its size, a power of two. Volume II, "Address Matching".
const NAPOT: u8 = 0b11 << 3;

/// What a hart may do in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where.
    pub region: Region,
    /// [`R`], [`W`] and [`X`]; 0: nothing.
    pub rights: u8,
}

const fn may(region: Region, rights: u8) -> Option<Grant> {
    Some(Grant { region, rights })
}

/// What a hart may reach; the first region that has an address decides. What is in none is denied.
pub const fn grants(hart: u32) -> [Option<Grant>; REGIONS] {
    let [monitor, records] = [may(MONITOR, 0), may(RECORDS, 0)];
    let [code, uart] = [may(CODE, R | X), may(UART, R | W)];
    match (Role::of(hart), containers::slot(hart)) {
        (Role::HostInterface, _) => {
            let [common, controller] = [may(COMMON, R | W), may(NVME_FIRMWARE_PORT, R | W)];
            [monitor, records, code, common, controller, uart, None, None]
        }
        (_, Some(slot)) => {
            let [stack, slot, trace] = [may(stack(hart), R | W), may(slot, R | W | X), may(trace::ring(hart), R | W)];
            [code, stack, slot, trace, None, None, None, None]
        }
        (_, None) => {
            // Beyond its stack lies that of hart 0, beyond which it has the tables.
            let [below, firmware] = [may(stack(hart - 1), 0), may(FIRMWARE, R | W)];
            let [flash, shared] = [may(FLASH_FIRMWARE_PORT, R | W), may(FLASH_SHARED, R | W)];
            [below, monitor, records, code, firmware, flash, shared, uart]
        }
    }
}

/// What a hart has in `pmpaddr0` to `pmpaddr7`, and in `pmpcfg0`.
pub const fn registers(hart: u32) -> ([u64; REGIONS], u64) {
    let grants = grants(hart);
    let (mut addresses, mut configurations) = ([0; REGIONS], [0; REGIONS]);
    let mut index = 0;
    while index < REGIONS {
        if let Some(Grant { region, rights }) = grants[index] {
            assert!(region.bytes.is_power_of_two() && region.bytes >= 8 && region.base % region.bytes == 0);
            addresses[index] = region.base >> 2 | (region.bytes / 8 - 1);
            configurations[index] = NAPOT | rights;
        }
        index += 1;
    }
    (addresses, u64::from_le_bytes(configurations))
}

// Every hart has registers that can be written so.
const _: () = {
    let mut hart = 0;
    while hart < crate::HARTS_MAX {
        registers(hart);
        hart += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firmware::FLASH_TABLES;
    use crate::HARTS_MAX;

    /// What a hart may do at an address.
    fn rights(hart: u32, address: u64) -> u8 {
        let grants = grants(hart);
        let first = grants.iter().flatten().find(|grant| grant.region.contains(address));
        first.map_or(0, |grant| grant.rights)
    }

    #[test]
    fn no_hart_reaches_the_monitor_or_changes_code() {
        for hart in 0..HARTS_MAX {
            assert_eq!(rights(hart, MONITOR.base) | rights(hart, RECORDS.base), 0, "hart {hart}");
            assert_eq!(rights(hart, CODE.base), R | X, "hart {hart}");
            assert_eq!(rights(hart, CODE.end()) & X, 0, "hart {hart}");
            assert_eq!(rights(hart, stack(hart).base), R | W, "hart {hart}");
            assert_eq!(rights(hart, stack(hart).base - 1), 0, "hart {hart}, what an overflow of its stack meets");
        }
    }

    #[test]
    fn containers_reach_nothing_of_their_neighbours() {
        let containers = || (0..HARTS_MAX).filter(|hart| containers::slot(*hart).is_some());
        for hart in containers() {
            for other in (0..HARTS_MAX).filter(|other| *other != hart) {
                assert_eq!(rights(hart, stack(other).base), 0, "hart {hart}, the stack of {other}");
                assert_eq!(rights(hart, trace::ring(other).base), 0, "hart {hart}, the trace of {other}");
                let slot = containers::slot(other).map_or(0, |slot| rights(hart, slot.base));
                assert_eq!(slot, 0, "hart {hart}, the slot of {other}");
            }
            assert_eq!(rights(hart, NVME_FIRMWARE_PORT.base) | rights(hart, UART.base), 0, "hart {hart}");
            assert_eq!(rights(hart, CODE.end()), 0, "hart {hart}, variables");
        }
        assert!(containers().count() >= 2);
    }

    #[test]
    fn one_hart_has_the_flash_and_another_the_controller() {
        for hart in 0..HARTS_MAX {
            let [controller, flash] = [NVME_FIRMWARE_PORT, FLASH_FIRMWARE_PORT].map(|region| rights(hart, region.base));
            let [is_first, is_second] =
                [Role::HostInterface, Role::CacheAndTranslation].map(|role| Role::of(hart) == role);
            assert_eq!((controller != 0, flash != 0), (is_first, is_second), "hart {hart}");
            assert_eq!(rights(hart, FLASH_TABLES.base), flash, "hart {hart}, the state of the flash's firmware");
            assert_eq!(rights(hart, FLASH_SHARED.end() - 4), flash, "hart {hart}, what the fast path shares");
        }
    }

    #[test]
    fn regions_are_encoded_as_powers_of_two() {
        // 256 KiB, and what the manual's table of NAPOT ranges says of that: y...y01111... with 15 ones.
        let (addresses, configurations) = registers(2);
        assert_eq!(addresses[0], CODE.base >> 2 | 0x7FFF);
        assert_eq!(configurations.to_le_bytes(), [0x1D, 0x1B, 0x1F, 0x1B, 0, 0, 0, 0]);
    }
}
