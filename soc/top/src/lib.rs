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
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! The namespace must fit the memory; firmware is told its size.
#![deny(missing_docs)]

mod catalogue;

pub use catalogue::{Entry, CATALOGUE};

use nvme_hw::controller::Controller;
use nvme_hw::direct::Direct;
use nvme_hw::Config;
use rtl_bus::{Axi4, AxiLite};
use rtl_hdl::{Block, Module};

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

        AxiLite::export(m, &controller, "mmio", "mmio");
        AxiLite::export(m, &controller, "firmware", "firmware");
        Axi4::export(m, &controller, "host", "host");
        Axi4::export(m, &direct, "memory", "memory");
        for wire in ["bus_master_enable", "msix_enable", "msix_function_mask", "function_level_reset"] {
            controller.port(wire).set(m.input(wire, self.config.functions));
        }
        m.output("firmware_event", controller.port("firmware_event"));

        m.connect(&controller, "storage_command", &direct, "storage_command");
        m.connect(&controller, "storage_write", &direct, "storage_write");
        m.connect(&direct, "storage_read", &controller, "storage_read");
        m.connect(&direct, "storage_done", &controller, "storage_done");
    }
}

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
