//! What the harts have done, for who looks at the device: rings of typed events, one for each hart, in [`TRACE`].
//!
//! ```text
//!   0x00  MAGIC
//!   0x08  how many events the hart has written since its start
//!   0x20  events, of 32 bytes: kind (u32), first value (u32), clock (u64), second and third value (u64); number n is at n modulo EVENTS
//! ```
//! The clock is `cycle` of the hart, which stands still while it sleeps in a simulation. All numbers are little-endian.

use crate::firmware::TRACE;
use crate::Region;

/// Bytes of a ring.
pub const RING_BYTES: u64 = 4096;

/// Bytes of an event, and of what is before the first one.
pub const EVENT_BYTES: u64 = 32;

/// Events that a ring holds.
pub const EVENTS: u64 = RING_BYTES / EVENT_BYTES - 1;

/// What a ring begins with.
pub const MAGIC: u64 = u64::from_le_bytes(*b"FDTRACE1");

/// The ring of a hart.
pub const fn ring(hart: u32) -> Region {
    let base = TRACE.base + hart as u64 * RING_BYTES;
    Region { name: "trace", base, bytes: RING_BYTES, doc: "Events of a hart." }
}

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its number, not 0.
    pub number: u32,
    /// What it is called.
    pub name: &'static str,
    /// What its values are called; those without a name are 0.
    pub values: [&'static str; 3],
}

/// The hart begins.
pub const HART_STARTED: Kind = Kind { number: 1, name: "hart started", values: ["", "", ""] };

/// Firmware serves the controller.
pub const SERVING: Kind = Kind { number: 2, name: "serving", values: ["", "", ""] };

/// Firmware has stopped the hart.
pub const HART_STOPPED: Kind = Kind { number: 3, name: "hart stopped", values: ["cause", "pc", "value"] };

/// A process begins.
pub const PROCESS_STARTED: Kind = Kind { number: 4, name: "process started", values: ["", "pc", "code bytes"] };

/// A process has ended itself.
pub const PROCESS_ENDED: Kind = Kind { number: 5, name: "process ended", values: ["", "status", ""] };

/// A process has trapped.
pub const PROCESS_TRAPPED: Kind = Kind { number: 6, name: "process trapped", values: ["cause", "pc", "value"] };

/// What lies in the slot of a hart is no program for it.
pub const PROGRAM_REFUSED: Kind = Kind { number: 7, name: "program refused", values: ["", "map", "code bytes"] };

/// The flash is there for the host: formatted, or mounted.
pub const FLASH_READY: Kind = Kind { number: 8, name: "flash ready", values: ["is new", "units", ""] };

/// All of them.
pub const KINDS: &[Kind] = &[
    HART_STARTED,
    SERVING,
    HART_STOPPED,
    PROCESS_STARTED,
    PROCESS_ENDED,
    PROCESS_TRAPPED,
    PROGRAM_REFUSED,
    FLASH_READY,
];

impl Kind {
    /// The kind with this number.
    pub fn of(number: u32) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_one_kind() {
        for kind in KINDS {
            assert_eq!(Kind::of(kind.number), Some(kind));
        }
        assert_eq!(Kind::of(0), None);
    }
}
