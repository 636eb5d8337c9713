//! Every block of the device by name: what `flashdock emit` writes and `cargo xtask area` measures.

use crate::{DirectDevice, FlashDevice, Uncore};
use flash_hw::array::Array;
use flash_hw::cache::Cache;
use flash_hw::commit::{self, Commit};
use flash_hw::erase::Erasing;
use flash_hw::fill::{self, Filling};
use flash_hw::flash_path::{self, FlashPath};
use flash_hw::flash_port::FlashPort;
use flash_hw::gather::{self, Gather};
use flash_hw::line_port::LinePort;
use flash_hw::locate::Locate;
use flash_hw::mover::Mover;
use flash_hw::page_cache::{self, PageCache};
use flash_hw::page_map::{self, PageMap};
use flash_hw::page_read::{self, PageRead};
use flash_hw::program::{self, Programming};
use flash_hw::stage::Stage;
use flash_hw::write_point::WritePoint;
use flash_hw::Channel;
use flash_spec::Geometry;
use nvme_hw::arbiter::Arbiter;
use nvme_hw::buffer::Buffer;
use nvme_hw::complete::Complete;
use nvme_hw::controller::Controller;
use nvme_hw::decode::Decode;
use nvme_hw::direct::Direct;
use nvme_hw::dma_read::DmaRead;
use nvme_hw::dma_write::DmaWrite;
use nvme_hw::errand::Errand;
use nvme_hw::host_port::HostPort;
use nvme_hw::io_engine::IoEngine;
use nvme_hw::irq::Irq;
use nvme_hw::latency::Latency;
use nvme_hw::lifecycle::Lifecycle;
use nvme_hw::list_reader::ListReader;
use nvme_hw::mailbox::Mailbox;
use nvme_hw::queues::Queues;
use nvme_hw::regs::Regs;
use nvme_hw::slots::Slots;
use nvme_hw::sq_fetch::SqFetch;
use nvme_hw::storage_mux::StorageMux;
use nvme_hw::units::Units;
use nvme_hw::walk::Walk;
use nvme_hw::Config;
use rtl_bus::{
    coherence_hub, Axi4Config, Axi4Mux, Axi4Slice, Axi4ToTileLink, AxiLiteDemux, AxiLiteToAxi4, AxiStreamConfig,
    AxiStreamSlice, CoherenceHub, TileLinkConfig, TileLinkHalfRate, TileLinkMemory, TileLinkRouter, TileLinkSlice,
    TileLinkToAxiLite,
};
use rtl_hdl::Block;
use rtl_hdl::MemoryStyle;
use rtl_prim::cdc::{AsyncFifo, Handshake, Pulse, ResetBridge, Synchronizer};
use rtl_prim::dual_port_ram::{Clocks, DualPortRam};
use rtl_prim::{cdc, Fifo, Lock, Payload, RoundRobin, RoundRobinRegistered, SkidBuffer, StreamArbiter, StreamDemux};
use soc_hw::{BootRom, Clint, Counters, DmaEngine, Plic, Uart, Watchdog};
use soc_map::rocket::{BOOT_ROM, CACHED, CLINT, PLIC, UNCACHED};
use soc_map::{HARTS_MAX, INTERRUPTS};
use soc_tile::tile::BUS_CONFIG;

/// A block that can be asked for by name.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The name, which does not change with the configuration.
    pub name: &'static str,
    /// Makes the block for a configuration.
    pub make: fn(Config) -> Box<dyn Block>,
}

/// Fills from the whole flash.
const FILL: fill::Config = fill::Config {
    geometry: Geometry::DEFAULT_1_GIB,
    slots: 64,
    lines_base: 0,
    units_base: 0,
    spares_base: 0,
    patience: fill::PATIENCE,
};
/// What becomes of programs of the whole flash.
const COMMIT: commit::Config = commit::Config { geometry: Geometry::DEFAULT_1_GIB, lines_base: 0, shared_base: 0 };

/// Units of the whole flash, that wait for 100 us.
const GATHER: gather::Config =
    gather::Config { geometry: Geometry::DEFAULT_1_GIB, lines_base: 0, shared_base: 0, patience: 25_000 };

/// Programs of the whole flash.
const PROGRAM: program::Config = program::Config {
    geometry: Geometry::DEFAULT_1_GIB,
    slots: 64,
    units_base: 0,
    spares_base: Geometry::DEFAULT_1_GIB.bytes(),
};

/// Bits of the items in the examples of `rtl-prim`, whose blocks carry anything.
const EXAMPLE_BITS: u32 = 64;

/// The buses of the examples of `rtl-bus`.
const EXAMPLE_AXI4: Axi4Config = Axi4Config { address_bits: 32, data_bits: EXAMPLE_BITS, id_bits: 4, user_bits: 1 };
const EXAMPLE_STREAM: AxiStreamConfig =
    AxiStreamConfig { data_bits: EXAMPLE_BITS, keep: true, last: true, id_bits: 0, dest_bits: 0, user_bits: 0 };
const EXAMPLE_TILE_LINK: TileLinkConfig =
    TileLinkConfig { address_bits: 10, data_bits: EXAMPLE_BITS, size_bits: 3, source_bits: 4, sink_bits: 1 };

/// Reads of the whole flash.
const PAGE_READ: page_read::Config = page_read::Config {
    geometry: Geometry::DEFAULT_1_GIB,
    units: page_map::Config::DEFAULT.units,
    units_base: 0,
    spares_base: 0,
    shared_base: 0,
    read_spares_base: 0,
};

/// The tops. They only join what is measured by itself, so they are measured where somebody asks for them: the flash takes yosys many minutes.
pub const TOPS: &[&str] = &["direct_device", "flash_device", "flash_path", "uncore"];

/// The whole devices, the controller, its blocks in the order of a command's way, those of the flash, and examples of the building blocks.
pub const CATALOGUE: &[Entry] = &[
    Entry { name: "direct_device", make: |config| Box::new(DirectDevice::new(config)) },
    Entry { name: "flash_device", make: |config| Box::new(FlashDevice::new(config, flash_path::Config::DEFAULT)) },
    Entry { name: "uncore", make: |_| Box::new(Uncore::new(HARTS_MAX)) },
    Entry { name: "controller", make: |config| Box::new(Controller::new(config)) },
    Entry { name: "regs", make: |config| Box::new(Regs::new(config)) },
    Entry { name: "lifecycle", make: |_| Box::new(Lifecycle) },
    Entry { name: "queues", make: |config| Box::new(Queues::new(config)) },
    Entry { name: "arbiter", make: |config| Box::new(Arbiter::new(config)) },
    Entry { name: "sq_fetch", make: |config| Box::new(SqFetch::new(config)) },
    Entry { name: "decode", make: |config| Box::new(Decode::new(config)) },
    Entry { name: "mailbox", make: |config| Box::new(Mailbox::new(config)) },
    Entry { name: "io_engine", make: |config| Box::new(IoEngine::new(config)) },
    Entry { name: "slots", make: |config| Box::new(Slots::new(config)) },
    Entry { name: "walk", make: |_| Box::new(Walk) },
    Entry { name: "list_reader", make: |_| Box::new(ListReader) },
    Entry { name: "units", make: |config| Box::new(Units::new(config)) },
    Entry { name: "dma_read", make: |config| Box::new(DmaRead::new(config)) },
    Entry { name: "dma_write", make: |config| Box::new(DmaWrite::new(config)) },
    Entry { name: "storage_mux", make: |_| Box::new(StorageMux) },
    Entry { name: "buffer", make: |_| Box::new(Buffer) },
    Entry { name: "direct", make: |config| Box::new(Direct::new(config, soc_map::DRAM.bytes)) },
    Entry { name: "complete", make: |_| Box::new(Complete) },
    Entry { name: "irq", make: |config| Box::new(Irq::new(config)) },
    Entry { name: "errand", make: |_| Box::new(Errand) },
    Entry { name: "latency", make: |config| Box::new(Latency::new(config)) },
    Entry { name: "host_port", make: |config| Box::new(HostPort::new(config)) },
    Entry { name: "flash_path", make: |_| Box::new(FlashPath::new(flash_path::Config::DEFAULT)) },
    Entry { name: "cache", make: |_| Box::new(Cache { config: page_cache::Config::DEFAULT, base: 0 }) },
    Entry { name: "stage", make: |_| Box::new(Stage { commands: page_cache::Config::DEFAULT.commands }) },
    Entry { name: "page_cache", make: |_| Box::new(PageCache::new(page_cache::Config::DEFAULT)) },
    Entry { name: "line_port", make: |_| Box::new(LinePort { bursts: 16, base: 0 }) },
    Entry { name: "fill", make: |_| Box::new(Filling::new(FILL)) },
    Entry { name: "commit", make: |_| Box::new(Commit::new(COMMIT)) },
    Entry { name: "locate", make: |_| Box::new(Locate::new(Geometry::DEFAULT_1_GIB)) },
    Entry { name: "page_read", make: |_| Box::new(PageRead::new(PAGE_READ)) },
    Entry { name: "program", make: |_| Box::new(Programming::new(PROGRAM)) },
    Entry { name: "gather", make: |_| Box::new(Gather::new(GATHER)) },
    Entry { name: "write_point", make: |_| Box::new(WritePoint { geometry: Geometry::DEFAULT_1_GIB }) },
    Entry { name: "flash_port", make: |_| Box::new(FlashPort) },
    Entry { name: "erase", make: |_| Box::new(Erasing { geometry: Geometry::DEFAULT_1_GIB }) },
    Entry { name: "mover", make: |_| Box::new(Mover { units: 8 }) },
    Entry { name: "page_map", make: |_| Box::new(PageMap::new(page_map::Config::DEFAULT)) },
    Entry { name: "array", make: |_| Box::new(Array { geometry: Geometry::SMALL }) },
    Entry { name: "channel", make: |_| Box::new(Channel::new(Geometry::DEFAULT)) },
    Entry { name: "fifo", make: |_| Box::new(Fifo::new(Payload::bits(EXAMPLE_BITS), 512)) },
    Entry { name: "skid_buffer", make: |_| Box::new(SkidBuffer { payload: Payload::bits(EXAMPLE_BITS) }) },
    Entry { name: "round_robin", make: |_| Box::new(RoundRobin { requests: 8 }) },
    Entry { name: "round_robin_registered", make: |_| Box::new(RoundRobinRegistered { requests: 8 }) },
    Entry {
        name: "stream_arbiter",
        make: |_| Box::new(StreamArbiter { inputs: 3, payload: Payload::bits(EXAMPLE_BITS), lock: Lock::Item }),
    },
    Entry {
        name: "dual_port_ram",
        make: |_| {
            let (style, clocks) = (MemoryStyle::Block, Clocks::Two);
            Box::new(DualPortRam { width: EXAMPLE_BITS, depth: 4096, lanes: EXAMPLE_BITS / 8, style, clocks })
        },
    },
    Entry {
        name: "ultra_ram",
        make: |_| {
            let (style, clocks) = (MemoryStyle::Ultra, Clocks::One);
            Box::new(DualPortRam { width: EXAMPLE_BITS, depth: 4096, lanes: EXAMPLE_BITS / 8, style, clocks })
        },
    },
    Entry {
        name: "synchronizer",
        make: |_| Box::new(Synchronizer { from: cdc::synchronizer::From::Clock, stages: cdc::STAGES }),
    },
    Entry { name: "pulse", make: |_| Box::new(Pulse { stages: cdc::STAGES }) },
    Entry {
        name: "handshake",
        make: |_| Box::new(Handshake { payload: Payload::bits(EXAMPLE_BITS), stages: cdc::STAGES }),
    },
    Entry { name: "async_fifo", make: |_| Box::new(AsyncFifo::new(Payload::bits(EXAMPLE_BITS), 16, cdc::STAGES)) },
    Entry { name: "reset_bridge", make: |_| Box::new(ResetBridge { stages: cdc::STAGES }) },
    Entry { name: "stream_demux", make: |_| Box::new(StreamDemux::new(4, Payload::bits(EXAMPLE_BITS), "data", 0..2)) },
    Entry { name: "axi4_mux", make: |_| Box::new(Axi4Mux { managers: 4, config: EXAMPLE_AXI4 }) },
    Entry { name: "axi4_slice", make: |_| Box::new(Axi4Slice { config: EXAMPLE_AXI4 }) },
    Entry { name: "axi_stream_slice", make: |_| Box::new(AxiStreamSlice { config: EXAMPLE_STREAM }) },
    Entry { name: "tile_link_memory", make: |_| Box::new(TileLinkMemory { config: EXAMPLE_TILE_LINK }) },
    Entry { name: "coherence_hub", make: |_| Box::new(CoherenceHub::new(coherence_hub::Config::DEFAULT)) },
    Entry {
        name: "axi_lite_to_axi4",
        make: |_| {
            Box::new(AxiLiteToAxi4 { address_bits: flash_path::SHARED_BITS, base: 0, config: flash_hw::types::MEMORY })
        },
    },
    Entry {
        name: "axi4_to_tile_link",
        make: |_| Box::new(Axi4ToTileLink { address_bits: 32, data_bits: 512, id_bits: 4, slots: 4 }),
    },
    Entry {
        name: "tile_link_to_axi_lite",
        make: |_| {
            let windows = [BOOT_ROM, CLINT, PLIC, UNCACHED].map(|region| region.base..region.end()).into();
            Box::new(TileLinkToAxiLite { clients: 6, address_bits: 32, source_bits: 2, windows })
        },
    },
    Entry { name: "tile_link_slice", make: |_| Box::new(TileLinkSlice { config: EXAMPLE_TILE_LINK }) },
    Entry {
        name: "tile_link_router",
        make: |_| Box::new(TileLinkRouter { config: BUS_CONFIG, cached: CACHED.range() }),
    },
    Entry { name: "tile_link_half_rate", make: |_| Box::new(TileLinkHalfRate { config: BUS_CONFIG }) },
    Entry {
        name: "axi_lite_demux",
        make: |_| {
            let windows = [BOOT_ROM, CLINT, PLIC].map(|region| region.range()).into();
            Box::new(AxiLiteDemux { address_bits: 32, windows, patience: 10_000 })
        },
    },
    Entry { name: "boot_rom", make: |_| Box::new(BootRom) },
    Entry { name: "clint", make: |_| Box::new(Clint { harts: HARTS_MAX }) },
    Entry { name: "counters", make: |_| Box::new(Counters) },
    Entry { name: "dma_engine", make: |_| Box::new(DmaEngine) },
    Entry { name: "plic", make: |_| Box::new(Plic { harts: HARTS_MAX, sources: INTERRUPTS }) },
    Entry { name: "uart", make: |_| Box::new(Uart) },
    Entry { name: "watchdog", make: |_| Box::new(Watchdog { harts: HARTS_MAX }) },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_there_once_and_elaborates() {
        for (i, entry) in CATALOGUE.iter().enumerate() {
            assert!(CATALOGUE[..i].iter().all(|other| other.name != entry.name), "{} is there twice", entry.name);
            for config in [Config::SMALL, Config::DEFAULT] {
                if let Err(problems) = rtl_hdl::elaborate(&*(entry.make)(config)) {
                    panic!("{}: {problems}", entry.name);
                }
            }
        }
    }
}
