//! # Tile
//!
//! A RISC-V hart with its caches, on a TileLink with caches.
//!
//! ## Symbol
//! ```text
//!                                  +-- tile --+
//!                        hart_id ->|          |== bus (TL-C client)
//!  msip, mtip, seip, meip, debug ->|          |-> wfi
//!                                  +----------+
//! ```
//! ## Theory of operation
//! ```text
//! hart_id, interrupts --> rocket ==== slice ==== bus
//! ```
//! 1. `rocket` is a tile of Rocket Chip: RV64GC with Sv39 and eight PMP regions, in order, one instruction in a clock. It begins at
//!    [`RESET_PC`](soc_map::rocket::RESET_PC) and sees the regions of [`soc_map::rocket`].
//! 2. An instruction cache and a data cache of 16 KiB each, with lines of 64 bytes, are on one bus. Sources 0 and 1 are those of the data cache (what is
//!    cached, and what is not), source 2 is that of the instruction cache, which only reads. Probes go to source 0.
//! 3. It may acknowledge a grant with its first beat, before the others have come.
//! 4. `slice` is a [TileLink slice](rtl_bus::tile_link_slice): the tile may take an offer back, which a stream here never does, and its answers follow
//!    its inputs within a clock.
//! 5. A [traced](RocketTile::read_traced) tile has more outputs, which begin with `trace_` and are only for simulations: the instruction that retires or traps in a
//!    clock, and what is written into the integer and the floating-point registers.
//!
//! ## Timing
//! Each message goes a clock through `slice`. No combinational path from any input to any output.
//!
//! ## Limits
//! - The interrupts belong to the clock, and `hart_id` must not change.
//! - An answer that is denied traps where it is one to a fetch. A denied load or store goes on: there is no bus error unit.
//! - Registers and memory have no atomics by the bus: those to memory are done in the data cache.
//! - No reset clears the bits of `mip` that software may write.
//! - The evaluator has no model of the tile, so that it runs in Verilator alone.

use crate::rocket::{Channel, BUS, CHANNELS, INTERRUPTS, WFI};
use crate::trace::{PREFIX, TAPS};
use crate::verilog::Direction;
use crate::{RocketTile, HART_BITS};
use rtl_bus::{TileLinkCached, TileLinkConfig, TileLinkSlice};
use rtl_hdl::{lit, Block, Module};

/// The widths of the tile's bus.
pub const BUS_CONFIG: TileLinkConfig =
    TileLinkConfig { address_bits: 32, data_bits: 64, size_bits: 4, source_bits: 2, sink_bits: 2 };

/// See the [page](self) of this block.
#[derive(Clone, Debug)]
pub struct Tile {
    rocket: RocketTile,
}

impl Tile {
    /// A tile of this Verilog.
    pub fn new(rocket: RocketTile) -> Self {
        Tile { rocket }
    }
}

impl Block for Tile {
    fn name(&self) -> String {
        "tile".into()
    }

    fn description(&self) -> String {
        "A RISC-V hart with its caches: a tile of Rocket Chip.".into()
    }

    fn build(&self, m: &Module) {
        let clock = m.clock();
        let rocket = m.foreign("rocket", &self.rocket.foreign(), &[clock]);
        let slice = m.instance("slice", &TileLinkSlice { config: BUS_CONFIG });

        rocket.port("auto_hartid_in").set(m.input("hart_id", HART_BITS));
        for (name, port) in INTERRUPTS {
            rocket.port(port).set(m.input(name, 1));
        }
        m.output("wfi", rocket.port(WFI));

        for Channel { letter, direction, fields, absent } in CHANNELS {
            let inner = |field: &str| rocket.port(&format!("{BUS}_{letter}_{field}"));
            let outer = |field: &str| slice.port(&format!("from_{letter}_{field}"));
            match direction {
                Direction::Output => {
                    outer("valid").set(inner("valid"));
                    inner("ready").set(outer("ready"));
                    for (field, _) in fields {
                        outer(field).set(inner(&format!("bits_{field}")));
                    }
                    for field in absent {
                        outer(field).set(lit(0u8, 1));
                    }
                }
                Direction::Input => {
                    inner("valid").set(outer("valid"));
                    outer("ready").set(inner("ready"));
                    for (field, width) in fields {
                        inner(&format!("bits_{field}")).set(outer(field).bits(0..*width));
                    }
                }
            }
        }
        TileLinkCached::export(m, &slice, "to", "bus");

        for tap in TAPS.iter().filter(|_| self.rocket.is_traced()) {
            let name = format!("{PREFIX}{}", tap.name);
            m.output(&name, rocket.port(&name));
        }
    }
}
