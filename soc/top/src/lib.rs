//! # The RTL tops
//!
//! Wiring only: behaviour found here moves into a block.
//!
//! ## Symbol
//! ```text
//!                        +-- direct_device --+
//!    mmio (AXI4-Lite)   ==|                   |== host   (AXI4 manager, 512 bits)
//! firmware (AXI4-Lite)  ==|                   |== memory (AXI4 manager, 512 bits)
//!          sideband   --->|                   |---> firmware_event
//!                        +-------------------+
//! ```
//! ## Theory of operation
//! ```text
//! mmio, firmware, host, sideband ==== controller ==== (storage) ==== direct ==== memory
//! ```
//!
//! ```text
//!                        +-- flash_device --+
//!    mmio (AXI4-Lite)   ==|                  |== host   (AXI4 manager, 512 bits)
//! firmware (AXI4-Lite)  ==|                  |== memory (AXI4 manager, 512 bits): cache, map, log
//!    flash (AXI4-Lite)  ==|                  |== medium (AXI4 manager, 512 bits): what stands for the flash
//!   shared (AXI4-Lite)  ==|                  |
//!          sideband   --->|                  |---> firmware_event, flash_event
//!  times_*, faults_*  --->|                  |---> late, lost
//!               door  ->--|                  |->-- door_record
//!                        +------------------+
//!
//! mmio, firmware, host, sideband ==== controller ==== (storage) ==== flash_path ==== memory, medium, flash, shared
//! ```
//!
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! The namespace must fit the memory; firmware is told its size.
#![deny(missing_docs)]

mod catalogue;
pub mod soc;
pub mod uncore;

pub use catalogue::{Entry, CATALOGUE, TOPS};
pub use soc::Soc;
pub use uncore::Uncore;

use flash_hw::flash_path::{self, FlashPath};
use flash_hw::types::{Faults, Times};
use nvme_hw::controller::Controller;
use nvme_hw::direct::Direct;
use nvme_hw::Config;
use rtl_bus::{Axi4, AxiLite};
use rtl_hdl::{Block, InstanceHandle, Module, Shape};

/// The controller over a memory that holds the logical blocks.
#[derive(Clone, Copy, Debug)]
pub struct DirectDevice {
    config: Config,
}

impl DirectDevice {
    /// A device of this configuration, which must be legal: see [`Config::check`].
    pub fn new(config: Config) -> Self {
        DirectDevice { config }
    }
}

impl Block for DirectDevice {
    fn name(&self) -> String {
        format!("direct_device_{}", self.config.suffix())
    }

    fn description(&self) -> String {
        "An NVMe controller whose namespace lies in an AXI4 memory.".into()
    }

    fn build(&self, m: &Module) {
        m.clock();
        let controller = m.instance("controller", &Controller::new(self.config));
        let direct = m.instance("direct", &Direct::new(self.config, soc_map::DRAM.bytes));

        host_side(m, &controller, self.config.functions);
        firmware_side(m, &controller);
        Axi4::export(m, &direct, "memory", "memory");
        join(m, &controller, &direct);
    }
}

/// The ports of the controller, but for those of firmware.
fn host_side(m: &Module, controller: &InstanceHandle, functions: u32) {
    AxiLite::export(m, controller, "mmio", "mmio");
    Axi4::export(m, controller, "host", "host");
    for wire in ["bus_master_enable", "msix_enable", "msix_function_mask", "function_level_reset"] {
        controller.port(wire).set(m.input(wire, functions));
    }
}

/// The ports of the controller for firmware.
fn firmware_side(m: &Module, controller: &InstanceHandle) {
    AxiLite::export(m, controller, "firmware", "firmware");
    m.output("firmware_event", controller.port("firmware_event"));
}

/// The `storage` port of the controller and a back end.
fn join(m: &Module, controller: &InstanceHandle, storage: &InstanceHandle) {
    m.connect(controller, "storage_command", storage, "storage_command");
    m.connect(controller, "storage_write", storage, "storage_write");
    m.connect(storage, "storage_read", controller, "storage_read");
    m.connect(storage, "storage_done", controller, "storage_done");
}

/// The controller over the emulated flash.
#[derive(Clone, Copy, Debug)]
pub struct FlashDevice {
    config: Config,
    flash: flash_path::Config,
}

impl FlashDevice {
    /// A device of these configurations, which must be legal: see [`Config::check`].
    pub fn new(config: Config, flash: flash_path::Config) -> Self {
        Self { config, flash }
    }
}

impl Block for FlashDevice {
    fn name(&self) -> String {
        format!("flash_device_{}_{}", self.config.suffix(), FlashPath::new(self.flash).name())
    }

    fn description(&self) -> String {
        "An NVMe controller whose namespaces lie in emulated flash.".into()
    }

    fn build(&self, m: &Module) {
        m.clock();
        let controller = m.instance("controller", &Controller::new(self.config));
        let flash = m.instance("flash_path", &FlashPath::new(self.flash));
        host_side(m, &controller, self.config.functions);
        firmware_side(m, &controller);
        join(m, &controller, &flash);
        AxiLite::export(m, &flash, "firmware", "flash");
        AxiLite::export(m, &flash, "shared", "shared");
        Axi4::export(m, &flash, "dram", "memory");
        Axi4::export(m, &flash, "medium", "medium");
        m.output("flash_event", flash.port("has_events"));
        flash_side(m, &flash);
    }
}

/// What is told to the array, and what flash tells of itself.
fn flash_side(m: &Module, flash: &InstanceHandle) {
    let fields = |bundle: &str, fields: Vec<(String, u32)>| {
        fields.into_iter().map(|(field, width)| (format!("{bundle}_{field}"), width)).collect::<Vec<_>>()
    };
    let mut inputs = fields("times", Times::fields());
    inputs.extend(fields("faults", Faults::fields()));
    inputs.extend([("suspends", 1), ("seed", 32), ("seed_set", 1), ("power_cut", 1)].map(|(n, w)| (n.into(), w)));
    for (input, width) in inputs {
        flash.port(&input).set(m.input(&input, width));
    }
    for stream in ["door", "door_record"] {
        m.export(flash, stream, stream);
    }
    for output in ["read_only", "forget", "late", "lost", "log_units"] {
        m.output(output, flash.port(output));
    }
}

const _: () = assert!(soc_map::FLASH_FIRMWARE_PORT.bytes == flash_spec::fast_path::wire::register::BYTES as u64);
const _: () = assert!(soc_map::FLASH_SHARED.bytes == 1 << flash_path::SHARED_BITS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_configuration_elaborates() {
        for config in [Config::SMALL, Config::DEFAULT] {
            if let Err(problems) = rtl_hdl::elaborate(&DirectDevice::new(config)) {
                panic!("{problems}");
            }
        }
    }
}
