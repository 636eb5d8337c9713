//! # SoC
//!
//! The whole device: tiles, uncore, and the NVMe controller with its storage. Wiring only.
//!
//! ## Symbol
//! ```text
//!                             +-- soc --+
//!         mmio (AXI4-Lite) ==>|         |==> host      (AXI4 manager, 512 bits)
//!                 sideband -->|         |==> ddr4_0    (AXI4 manager, 512 bits): of firmware, and the cache, map and log of the flash
//!               dma (AXI4) ==>|         |==> ddr4_1    (AXI4 manager, 512 bits): what stands for the flash
//!               console_in ->-|         |->- console_out   byte
//!  tile_edge (of tile_clock)->|         |--> reset_request, write_failed
//!       times_*, faults_*  -->|         |--> late, lost
//!                     door ->-|         |->- door_record
//!                             +---------+
//! ```
//! ## Theory of operation
//! ```text
//! tile_0, ... (tile_clock) ==== uncore ==== device ==== mmio, host, medium: ddr4_1
//!                                  |           +======== memory --+
//!                                  +==== dma, console             +== memories: ddr4_0
//!                                  +==== dram --------------------+
//! ```
//! 1. `tile_clock` has half the frequency of `clock`, and its edges are edges of `clock`: one clock network makes both. `tile_edge` is 1 in the clocks that end
//!    with an edge of both, so that whatever goes between them stands still when it is looked at: see [`rtl_bus::tile_link_half_rate`].
//! 2. A simulation that wants to be fast has the tiles, the uncore and the device as models of their own instead of this.
//!
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! Both resets have to come together, and last for several clocks of the tiles. The memory at `ddr4_0` begins at the address 0 of the flash, which is that of
//! `soc_map::DRAM` of the harts.

use crate::{flash_side, host_side, FlashDevice, Uncore};
use flash_hw::flash_path;
use nvme_hw::Config;
use rtl_bus::{Axi4, Axi4Config, Axi4Mux, AxiLite};
use rtl_hdl::{lit, Block, Clock, InstanceHandle, Module, Signal};
use soc_map::DRAM;
use soc_tile::tile::BUS_CONFIG;
use soc_tile::{Tile, HART_BITS};

/// Why what goes between the two clocks may be looked at.
const WHY: &str = "each edge of the tiles' clock is one of the core's, and is told by tile_edge: the value stands until it is taken there";

/// Joins what uses the first memory.
const MEMORIES: Axi4Mux =
    Axi4Mux { managers: 2, config: Axi4Config { address_bits: 64, data_bits: 512, id_bits: 8, user_bits: 1 } };

/// See the [page](self) of this block.
#[derive(Clone, Debug)]
pub struct Soc {
    config: Config,
    flash: flash_path::Config,
    harts: u32,
    tile: Tile,
}

impl Soc {
    /// So many of this tile around a controller and a flash of these configurations, which must be legal.
    pub fn new(config: Config, flash: flash_path::Config, harts: u32, tile: Tile) -> Self {
        Soc { config, flash, harts, tile }
    }
}

/// Joins a manager to a port whose addresses and identifiers may have more bits.
fn join(from: &InstanceHandle, bus: &str, address: impl Fn(Signal) -> Signal, to: &InstanceHandle, port: &str) {
    let carry = |from: &InstanceHandle, bus: &str, to: &InstanceHandle, port: &str, field: &str| {
        let (value, input) = (from.port(&format!("{bus}_{field}")), to.port(&format!("{port}_{field}")));
        let value = if field.ends_with("addr") { address(value) } else { value };
        input.set(if value.width() < input.width() { value.zext(input.width()) } else { value.low(input.width()) });
    };
    let fields = |channel: &str| -> &[&str] {
        match channel {
            "aw" | "ar" => &["valid", "id", "addr", "len", "size", "burst", "user"],
            "w" => &["valid", "data", "strb", "last"],
            "b" => &["valid", "id", "resp"],
            _ => &["valid", "id", "data", "resp", "last"],
        }
    };
    for identifier in ["awid", "arid"] {
        let [asks, takes] = [from.port(&format!("{bus}_{identifier}")), to.port(&format!("{port}_{identifier}"))];
        assert!(asks.width() <= takes.width(), "answers would not find back");
    }
    for channel in ["aw", "w", "ar"] {
        fields(channel).iter().for_each(|field| carry(from, bus, to, port, &format!("{channel}{field}")));
        carry(to, port, from, bus, &format!("{channel}ready"));
    }
    for channel in ["b", "r"] {
        fields(channel).iter().for_each(|field| carry(to, port, from, bus, &format!("{channel}{field}")));
        carry(from, bus, to, port, &format!("{channel}ready"));
    }
}

impl Block for Soc {
    fn name(&self) -> String {
        format!("soc_{}_{}", self.harts, FlashDevice::new(self.config, self.flash).name())
    }

    fn description(&self) -> String {
        format!("The device: {} RISC-V harts, an NVMe controller, flash, and what joins them.", self.harts)
    }

    fn build(&self, m: &Module) {
        let clock = m.named_clock("clock", Some("reset"));
        let device = m.instance_with_clocks("device", &FlashDevice::new(self.config, self.flash), &[clock]);
        let uncore = m.instance_with_clocks("uncore", &Uncore::new(self.harts), &[clock]);

        host_side(m, &device, self.config.functions);
        flash_side(m, &device);
        let memories = m.instance_with_clocks("memories", &MEMORIES, &[clock]);
        join(&device, "memory", |address| address, &memories, "from_0");
        // The first address of the harts is a power of two: without its bit, what is left counts from there.
        join(&uncore, "dram", |address| address.low(DRAM.base.trailing_zeros()), &memories, "from_1");
        Axi4::export(m, &memories, "to", "ddr4_0");
        Axi4::export(m, &device, "medium", "ddr4_1");
        Axi4::export(m, &uncore, "dma", "dma");
        m.export(&uncore, "console_out", "console_out");
        m.export(&uncore, "console_in", "console_in");
        for output in ["reset_request", "write_failed"] {
            m.output(output, uncore.port(output));
        }
        AxiLite::connect(m, &uncore, "controller", &device, "firmware");
        AxiLite::connect(m, &uncore, "flash", &device, "flash");
        AxiLite::connect(m, &uncore, "shared", &device, "shared");
        uncore.port("controller_event").set(device.port("firmware_event"));
        uncore.port("flash_event").set(device.port("flash_event"));
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
