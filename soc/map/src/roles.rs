//! What each hart is there for: fixed, so that no hart waits for another's work.

use crate::HARTS_MAX;

/// What a hart does, all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Admin commands, and all that hosts ask of firmware.
    HostInterface,
    /// The page cache, and the translation to the flash.
    CacheAndTranslation,
    /// Processes of containers, and the firmware that they call.
    Containers,
}

use Role::{CacheAndTranslation, Containers, HostInterface};

/// The roles of the harts, by their numbers. An SoC with fewer harts has the first of them.
pub const ROLES: [Role; HARTS_MAX as usize] =
    [HostInterface, CacheAndTranslation, Containers, Containers, Containers, Containers];

impl Role {
    /// The role of a hart.
    pub const fn of(hart: u32) -> Self {
        ROLES[hart as usize]
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            HostInterface => "host interface",
            CacheAndTranslation => "cache and translation",
            Containers => "containers",
        }
    }

    /// How many harts of the largest SoC have it.
    pub const fn harts(self) -> u32 {
        Self::before(self, HARTS_MAX)
    }

    /// How many of the harts before this one have it.
    pub const fn before(self, hart: u32) -> u32 {
        let (mut count, mut number) = (0, 0);
        while number < hart {
            count += (ROLES[number as usize] as u32 == self as u32) as u32;
            number += 1;
        }
        count
    }
}

const _: () = assert!(HostInterface.harts() == 1, "one hart owns the controller's registers");
const _: () = assert!(Containers.harts() >= 2, "containers do not share one hart");
