//! # Uncore
//!
//! Everything between the tiles, the device and the memory. Wiring only.
//!
//! ## Symbol
//! ```text
//!                                +-- uncore --+
//!     tile_0, ... (TL-C, at ==>  |            |==> controller, flash, shared (AXI4-Lite)
//!         the tiles' clock)      |            |==> dram       (AXI4 manager, 512 bits)
//!                tile_edge ---> |            |---> meip_0, ..., seip_0, ..., mtip_0, ..., msip_0, ...
//!         controller_event ---> |            |---> write_failed, reset_request
//!              flash_event ---> |            |
//!               dma (AXI4) ==>  |            |->- console_out   byte
//!               console_in ->-  |            |
//!                               +------------+
//! ```
//! ## Theory of operation
//! ```text
//! tile_n == half_rate_n == router_n ==+== hub ============ dram
//!                               |     |
//!                               |     dma_port == dma_mux ==+== dma
//!                               |                           +== dma_engine
//!                               +== bridge == demux ==+== boot_rom
//!                                                     +== clint ---> msip, mtip
//!                                                     +== plic ----> meip, seip
//!                                                     +== controller
//!                                                     +== counters
//!                                                     +== dma_engine
//!                                                     +== uart ---- console
//!                                                     +== flash, shared
//!                                                     +== watchdog ---> reset_request
//! ```
//! 1. `half_rate_n` joins a tile, whose clock has half the frequency, and `router_n` parts what it asks for: memory goes to the
//!    [hub](rtl_bus::coherence_hub), registers go to the [bridge](rtl_bus::tile_link_to_axi_lite).
//! 2. What is in none of the regions behind `demux` is denied by the bridge.
//! 3. `demux` answers for what does not answer, so that no hart waits for ever.
//! 4. The tiles are outside, so that in a simulation each can run as a model of its own, or not at all while it sleeps.
//!
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! The events of the controller and of the flash are sources of the PLIC. Beside it they are the supervisor external interrupts of the harts that they are for,
//! which need no claim: they are the way of every admin command, and of every super-block. `reset_request` asks for a reset of everything, which is given
//! outside. A device without flash leaves `flash` and `shared` open: an access there is given up by `demux`.

use rtl_bus::{
    coherence_hub, Axi4, Axi4Mux, Axi4ToTileLink, AxiLite, AxiLiteDemux, CoherenceHub, TileLink, TileLinkCached,
    TileLinkHalfRate, TileLinkRouter, TileLinkToAxiLite,
};
use rtl_hdl::{Block, Module};
use soc_hw::{dma_engine, BootRom, Clint, Counters, DmaEngine, Plic, Uart, Watchdog};
use soc_map::counters::Event;
use soc_map::rocket::{BOOT_ROM, CACHED, CLINT, PLIC};
use soc_map::roles::Role;
use soc_map::{
    plic, Region, COUNTERS, DMA, DMA_INTERRUPT, FLASH_FIRMWARE_PORT, FLASH_INTERRUPT, FLASH_SHARED, HARTS_MAX,
    INTERRUPTS as SOURCES, NVME_FIRMWARE_PORT, NVME_INTERRUPT, UART, UART_INTERRUPT, WATCHDOG, WATCHDOG_INTERRUPT,
};
use soc_tile::tile::BUS_CONFIG;

/// Joins the port `dma` and the DMA engine.
const DMA_MUX: Axi4Mux = Axi4Mux { managers: 2, config: dma_engine::MEMORY };

/// Clocks after which an access to a register is given up: far more than any answer takes.
const PATIENCE: u32 = 10_000;

/// Reads, and writes, of the port `dma` that are under way.
const DMA_SLOTS: u32 = 4;

/// The interrupts of a tile, which are outputs here, one of each for each tile.
pub const INTERRUPTS: [&str; 4] = ["msip", "mtip", "seip", "meip"];

/// What is behind the bridge, in the order of the ports of the demultiplexer.
const PERIPHERALS: [Region; 10] =
    [BOOT_ROM, CLINT, PLIC, NVME_FIRMWARE_PORT, UART, WATCHDOG, DMA, COUNTERS, FLASH_FIRMWARE_PORT, FLASH_SHARED];

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncore {
    harts: u32,
}

impl Uncore {
    /// For so many tiles.
    ///
    /// # Panics
    /// If there is none, or there are more than [`HARTS_MAX`].
    pub fn new(harts: u32) -> Self {
        assert!((1..=HARTS_MAX).contains(&harts), "an SoC with {harts} harts");
        Uncore { harts }
    }

    fn hub(&self) -> CoherenceHub {
        let dma = self.dma().to();
        CoherenceHub::new(coherence_hub::Config {
            clients: self.harts,
            address_bits: BUS_CONFIG.address_bits,
            source_bits: BUS_CONFIG.source_bits,
            dma_source_bits: dma.source_bits,
            ..coherence_hub::Config::DEFAULT
        })
    }

    fn dma(&self) -> Axi4ToTileLink {
        let address_bits = BUS_CONFIG.address_bits;
        let data_bits = 8 * coherence_hub::BLOCK_BYTES;
        Axi4ToTileLink { address_bits, data_bits, id_bits: DMA_MUX.to().id_bits, slots: DMA_SLOTS }
    }

    fn bridge(&self) -> TileLinkToAxiLite {
        TileLinkToAxiLite {
            clients: self.harts,
            address_bits: BUS_CONFIG.address_bits,
            source_bits: BUS_CONFIG.source_bits,
            windows: PERIPHERALS.map(|region| region.range()).into(),
        }
    }
}

impl Block for Uncore {
    fn name(&self) -> String {
        format!("uncore_{}", self.harts)
    }

    fn description(&self) -> String {
        format!("Joins {} tiles to memory, device and peripherals.", self.harts)
    }

    fn build(&self, m: &Module) {
        let clock = m.clock();
        let (hub, bridge) = (self.hub(), self.bridge());
        let router = TileLinkRouter { config: BUS_CONFIG, cached: CACHED.range() };
        let demux =
            AxiLiteDemux { address_bits: BUS_CONFIG.address_bits, windows: bridge.windows.clone(), patience: PATIENCE };
        let hub = m.instance("hub", &hub);
        let bridge = m.instance("bridge", &bridge);
        let demux = m.instance("demux", &demux);
        let dma = m.instance("dma_port", &self.dma());
        let rom = m.instance("boot_rom", &BootRom);
        let clint = m.instance("clint", &Clint { harts: self.harts });
        let plic = m.instance("plic", &Plic { harts: self.harts, sources: SOURCES });
        let uart = m.instance("uart", &Uart);
        let counters = m.instance("counters", &Counters);
        let dma_mux = m.instance("dma_mux", &DMA_MUX);
        let engine = m.instance("dma_engine", &DmaEngine);
        let watchdog = m.instance("watchdog", &Watchdog { harts: self.harts });

        let edge = m.input("tile_edge", 1);
        for hart in 0..self.harts {
            let half_rate = m.instance(&format!("half_rate_{hart}"), &TileLinkHalfRate { config: BUS_CONFIG });
            let router = m.instance(&format!("router_{hart}"), &router);
            half_rate.port("client_edge").set(edge);
            TileLinkCached::export(m, &half_rate, "from", &format!("tile_{hart}"));
            TileLinkCached::connect(m, &half_rate, "to", &router, "from");
            TileLinkCached::connect(m, &router, "cached", &hub, &format!("client_{hart}"));
            TileLink::connect(m, &router, "uncached", &bridge, &format!("client_{hart}"));
        }
        AxiLite::connect(m, &bridge, "to", &demux, "from");
        AxiLite::connect(m, &demux, "to_0", &rom, "bus");
        AxiLite::connect(m, &demux, "to_1", &clint, "bus");
        AxiLite::connect(m, &demux, "to_2", &plic, "bus");
        AxiLite::export(m, &demux, "to_3", "controller");
        AxiLite::connect(m, &demux, "to_4", &uart, "bus");
        AxiLite::connect(m, &demux, "to_5", &watchdog, "bus");
        AxiLite::connect(m, &demux, "to_6", &engine, "bus");
        AxiLite::connect(m, &demux, "to_7", &counters, "bus");
        AxiLite::export(m, &demux, "to_8", "flash");
        AxiLite::export(m, &demux, "to_9", "shared");
        m.export(&uart, "transmit", "console_out");
        m.export(&uart, "receive", "console_in");
        m.output("reset_request", watchdog.port("bite"));
        Axi4::export(m, &dma_mux, "from_0", "dma");
        Axi4::connect(m, &engine, "memory", &dma_mux, "from_1");
        Axi4::connect(m, &dma_mux, "to", &dma, "from");
        TileLink::connect(m, &dma, "to", &hub, "dma");
        Axi4::export(m, &hub, "memory", "dram");
        m.output("write_failed", hub.port("write_failed"));

        let [controller, flash] = ["controller", "flash"].map(|device| {
            let event = m.reg(&format!("{device}_waits"), clock, false);
            event.set(m.input(&format!("{device}_event"), 1));
            event
        });
        let sources = [
            (NVME_INTERRUPT, controller),
            (FLASH_INTERRUPT, flash),
            (UART_INTERRUPT, uart.port("uart_interrupt")),
            (WATCHDOG_INTERRUPT, watchdog.port("bark")),
            (DMA_INTERRUPT, engine.port("dma_interrupt")),
        ];
        for (number, line) in sources {
            plic.port(&format!("source_{number}")).set(line);
        }
        let events = [
            (Event::Requests, hub.port("counts_request")),
            (Event::Probes, hub.port("counts_probe")),
            (Event::MemoryReads, hub.port("counts_read")),
            (Event::MemoryWrites, hub.port("counts_write")),
            (Event::DmaLines, engine.port("dma_line")),
        ];
        for (event, line) in events {
            counters.port(&format!("event_{}", event as u32)).set(line);
        }
        for hart in 0..self.harts {
            let [machine, supervisor] =
                [plic::machine(hart), plic::supervisor(hart)].map(|context| plic.port(&format!("external_{context}")));
            m.output(&format!("meip_{hart}"), machine);
            let supervisor = match Role::of(hart) {
                Role::HostInterface => supervisor | controller,
                Role::CacheAndTranslation => supervisor | flash,
                Role::Containers => supervisor,
            };
            m.output(&format!("seip_{hart}"), supervisor);
            for name in ["msip", "mtip"].map(|name| format!("{name}_{hart}")) {
                m.output(&name, clint.port(&name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_tiles_elaborates() {
        for harts in 1..=HARTS_MAX {
            if let Err(problems) = rtl_hdl::elaborate(&Uncore::new(harts)) {
                panic!("{problems}");
            }
        }
    }
}
