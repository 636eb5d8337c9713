//! # SoC
//!
//! The whole device: tiles, uncore, and the NVMe controller with its storage. Wiring only.
//!
//! ## Symbol
//! ```text
//!                             +-- soc --+
//!         mmio (AXI4-Lite) ==>|         |==> host, memory, dram   (AXI4 managers, 512 bits)
//!                 sideband -->|         |->- console_out   byte
//!               dma (AXI4) ==>|         |--> reset_request, write_failed
//!               console_in ->-|         |
//!  tile_edge (of tile_clock)->|         |
//!                             +---------+
//! ```
//! ## Theory of operation
//! ```text
//! tile_0, ... (tile_clock) ==== uncore ==== device ==== mmio, host, memory
//!                                  +==== dram, dma, console
//! ```
//! 1. `tile_clock` has half the frequency of `clock`, and its edges are edges of `clock`: one clock network makes both. `tile_edge` is 1 in the clocks that end
//!    with an edge of both, so that whatever goes between them stands still when it is looked at: see [`rtl_bus::tile_link_half_rate`].
//! 2. A simulation that wants to be fast has the tiles, the uncore and the device as models of their own instead of this.
//!
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! Both resets have to come together, and last for several clocks of the tiles.

use crate::{host_side, DirectDevice, Uncore};
use nvme_hw::Config;
use rtl_bus::{Axi4, AxiLite};
use rtl_hdl::{lit, Block, Clock, InstanceHandle, Module};
use soc_tile::tile::BUS_CONFIG;
use soc_tile::{Tile, HART_BITS};

/// Why what goes between the two clocks may be looked at.
const WHY: &str = "each edge of the tiles' clock is one of the core's, and is told by tile_edge: the value stands until it is taken there";

/// See the [page](self) of this block.
#[derive(Clone, Debug)]
pub struct Soc {
    config: Config,
    harts: u32,
    tile: Tile,
}

impl Soc {
    /// So many of this tile around a controller of this configuration, which must be legal.
    pub fn new(config: Config, harts: u32, tile: Tile) -> Self {
        Soc { config, harts, tile }
    }
}

impl Block for Soc {
    fn name(&self) -> String {
        format!("soc_{}_{}", self.harts, self.config.suffix())
    }

    fn description(&self) -> String {
        format!("The device: {} RISC-V harts, an NVMe controller, and what joins them.", self.harts)
    }

    fn build(&self, m: &Module) {
        let clock = m.named_clock("clock", Some("reset"));
        let device = m.instance_with_clocks("device", &DirectDevice::new(self.config), &[clock]);
        let uncore = m.instance_with_clocks("uncore", &Uncore::new(self.harts), &[clock]);

        host_side(m, &device, self.config.functions);
        Axi4::export(m, &device, "memory", "memory");
        Axi4::export(m, &uncore, "dram", "dram");
        Axi4::export(m, &uncore, "dma", "dma");
        m.export(&uncore, "console_out", "console_out");
        m.export(&uncore, "console_in", "console_in");
        for output in ["reset_request", "write_failed"] {
            m.output(output, uncore.port(output));
        }
        AxiLite::connect(m, &uncore, "controller", &device, "firmware");
        uncore.port("controller_event").set(device.port("firmware_event"));
        uncore.port("tile_edge").set(m.input("tile_edge", 1));

        // Ports belong to the clock that was declared last, and none follows.
        let tile_clock = m.named_clock("tile_clock", Some("tile_reset"));
        for hart in 0..self.harts {
            let tile = m.instance_with_clocks(&format!("tile_{hart}"), &self.tile, &[tile_clock]);
            tile.port("hart_id").set(lit(hart, HART_BITS));
            tile.port("debug").set(lit(0u8, 1));
            let cross = |clock: Clock, from: &InstanceHandle, output: &str, to: &InstanceHandle, input: &str| {
                let name = format!("hart_{hart}_{input}_there");
                to.port(input).set(m.held_across(&name, clock, from.port(output), WHY));
            };
            for interrupt in crate::uncore::INTERRUPTS {
                cross(tile_clock, &uncore, &format!("{interrupt}_{hart}"), &tile, interrupt);
            }
            for (channel, from_tile) in [("a", true), ("b", false), ("c", true), ("d", false), ("e", true)] {
                let inner = |field: &str| format!("bus_{channel}_{field}");
                let outer = |field: &str| format!("tile_{hart}_{channel}_{field}");
                let to_uncore = |field: &str| cross(clock, &tile, &inner(field), &uncore, &outer(field));
                let to_tile = |field: &str| cross(tile_clock, &uncore, &outer(field), &tile, &inner(field));
                let fields = rtl_bus::channel_fields(BUS_CONFIG, channel);
                for field in fields.iter().map(String::as_str).chain(["valid"]) {
                    if from_tile {
                        to_uncore(field);
                    } else {
                        to_tile(field);
                    }
                }
                if from_tile {
                    to_tile("ready");
                } else {
                    to_uncore("ready");
                }
            }
        }
    }
}
