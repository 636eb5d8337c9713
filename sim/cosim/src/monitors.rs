//! Protocol monitors on the four buses of the device.

use nvme_hw::{direct, host_port};
use rtl_bus::monitor::{Axi4Monitor, Axi4Probe, AxiLiteMonitor, AxiLiteProbe};
use rtl_hdl::sim::Simulator;

/// Looks at every bus in every clock.
pub struct Monitors {
    axi: [(Axi4Probe, Axi4Monitor); 2],
    lite: [(AxiLiteProbe, AxiLiteMonitor); 2],
}

impl Monitors {
    pub fn new(model: &dyn Simulator) -> Self {
        let axi = [("host", host_port::HOST_BUS), ("memory", direct::MEMORY)]
            .map(|(name, config)| (Axi4Probe::new(model, name, config), Axi4Monitor::new(name, config)));
        let lite = ["mmio", "firmware"].map(|name| (AxiLiteProbe::new(model, name), AxiLiteMonitor::new(name)));
        Self { axi, lite }
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
