//! Protocol monitors on the buses of the device.

use flash_hw::flash_path;
use nvme_hw::{direct, host_port};
use rtl_bus::monitor::{Axi4Monitor, Axi4Probe, AxiLiteMonitor, AxiLiteProbe};
use rtl_hdl::sim::Simulator;

/// Looks at every bus in every clock.
pub struct Monitors {
    axi: Vec<(Axi4Probe, Axi4Monitor)>,
    lite: Vec<(AxiLiteProbe, AxiLiteMonitor)>,
}

impl Monitors {
    /// On a device with or without flash.
    pub fn new(model: &dyn Simulator, has_flash: bool) -> Self {
        let host = ("host", host_port::HOST_BUS);
        let (axi, lite) = if has_flash {
            let memories = [("memory", flash_path::DRAM), ("medium", flash_path::MEDIUM)];
            ([&[host], &memories[..]].concat(), &["mmio", "firmware", "flash", "shared"][..])
        } else {
            (vec![host, ("memory", direct::MEMORY)], &["mmio", "firmware"][..])
        };
        let axi = axi.into_iter();
        let axi = axi.map(|(name, config)| (Axi4Probe::new(model, name, config), Axi4Monitor::new(name, config)));
        let lite = lite.iter().map(|name| (AxiLiteProbe::new(model, name), AxiLiteMonitor::new(name)));
        Self { axi: axi.collect(), lite: lite.collect() }
    }

    /// Looks at the pins as they are at the coming edge.
    ///
    /// # Panics
    /// At the first violation of a protocol.
    pub fn look(&mut self, model: &dyn Simulator) {
        for (probe, monitor) in &mut self.axi {
            monitor.clock(&probe.sample(model));
            monitor.assert_clean();
        }
        for (probe, monitor) in &mut self.lite {
            monitor.clock(&probe.sample(model));
            monitor.assert_clean();
        }
    }
}
