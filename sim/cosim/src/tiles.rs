//! Firmware on Verilated processors: the [`Soc`], joined to the controller's register port.

use crate::cores::{self, Coalescing, Start};
use crate::hardware::Error;
use crate::resume;
use crate::soc::Soc;
use rtl_hdl::sim::{PortId, Simulator};
use sim_device::BusTiming;
use sim_firmware::Image;
use sim_verilator::{Model, Toolchain};

/// Clocks after which firmware that has not come up is given up.
const BOOT_CLOCKS_MAX: u64 = 50_000_000;

/// The AXI4-Lite between the uncore and the device: its channels, from the uncore and to it.
struct Controller {
    asks: [Lane; 3],
    answers: [Lane; 2],
    event: [PortId; 2],
    /// An access is under way.
    is_busy: bool,
}

/// A channel between the uncore and the device, which may run in any simulator.
struct Lane {
    valid: [PortId; 2],
    ready: [PortId; 2],
    fields: Vec<[PortId; 2]>,
}

impl Lane {
    /// Carries from one simulator to another, and back whether there is room; true if something goes over.
    fn carry(&self, from: &mut impl Simulator, to: &mut impl Simulator) -> bool {
        let is_offered = from.peek_u64(self.valid[0]) == 1;
        to.poke_u64(self.valid[1], is_offered.into());
        if is_offered {
            for [from_pin, to_pin] in &self.fields {
                to.poke_u64(*to_pin, from.peek_u64(*from_pin));
            }
        }
        let is_ready = to.peek_u64(self.ready[1]);
        from.poke_u64(self.ready[0], is_ready);
        is_offered && is_ready == 1
    }
}

impl Controller {
    fn new(uncore: &Model, device: &impl Simulator) -> Self {
        let lane = |channel: &str, fields: &[&str], from_uncore: bool| {
            let pair = |field: &str| {
                let pins = [
                    uncore.port(&format!("controller_{channel}{field}")),
                    device.port(&format!("firmware_{channel}{field}")),
                ];
                if from_uncore {
                    pins
                } else {
                    [pins[1], pins[0]]
                }
            };
            Lane {
                valid: pair("valid"),
                ready: pair("ready"),
                fields: fields.iter().map(|field| pair(field)).collect(),
            }
        };
        Self {
            asks: [lane("aw", &["addr"], true), lane("w", &["data", "strb"], true), lane("ar", &["addr"], true)],
            answers: [lane("b", &["resp"], false), lane("r", &["data", "resp"], false)],
            event: [device.port("firmware_event"), uncore.port("controller_event")],
            is_busy: false,
        }
    }

    fn carry(&mut self, uncore: &mut Model, device: &mut impl Simulator, coalescing: &mut Coalescing) {
        uncore.poke_u64(self.event[1], device.peek_u64(self.event[0]));
        for (index, lane) in self.asks.iter().enumerate() {
            if lane.carry(uncore, device) {
                self.is_busy = true;
                match index {
                    0 => coalescing.address = uncore.peek_u64(lane.fields[0][0]) as u32,
                    1 => coalescing.value = uncore.peek_u64(lane.fields[0][0]) as u32,
                    _ => {}
                }
            }
        }
        for (index, lane) in self.answers.iter().enumerate() {
            if lane.carry(device, uncore) {
                self.is_busy = false;
                if index == 0 {
                    coalescing.note();
                }
            }
        }
    }

    /// Whether the uncore asks for something.
    fn is_asked(&self, uncore: &Model) -> bool {
        self.asks.iter().any(|lane| uncore.peek_u64(lane.valid[0]) == 1)
    }
}

/// The processors.
pub(crate) struct Tiles {
    pub soc: Soc,
    controller: Controller,
    /// What firmware wrote to COALESCING.
    pub coalescing: Coalescing,
}

impl Tiles {
    /// Tiles that are about to begin with the image.
    ///
    /// # Errors
    /// If a model cannot be built.
    pub fn new(
        image: &Image,
        harts: u32,
        start: Start,
        config: &nvme_fw::Config,
        device: &impl Simulator,
        toolchain: &Toolchain,
    ) -> Result<Self, Error> {
        let mut memory = cores::loaded(image, config);
        if start == Start::Ready {
            resume::start_up(&mut memory, &cores::hart_config(0));
        }
        let soc = Soc::new(harts, &mut memory, toolchain)?;
        Ok(Self { controller: Controller::new(&soc.uncore, device), soc, coalescing: Coalescing::default() })
    }

    /// Lets the harts start up before the device's clock does, as a host finds a drive that has been there for a while: until firmware first touches a
    /// register. The memory answers at once until then, and later as `memory` says.
    ///
    /// # Panics
    /// If it never does.
    pub fn boot(&mut self, memory: BusTiming) {
        for _ in 0..BOOT_CLOCKS_MAX {
            if self.controller.is_asked(&self.soc.uncore) {
                self.soc.set_memory_timing(memory);
                return;
            }
            self.soc.step();
        }
        panic!("firmware has not come up in {BOOT_CLOCKS_MAX} clocks");
    }

    /// A clock, with what the device drives in it, and drives the device.
    pub fn clock(&mut self, device: &mut impl Simulator) {
        self.controller.carry(&mut self.soc.uncore, device, &mut self.coalescing);
        self.soc.step();
    }

    /// Whether all harts wait for an interrupt, and nothing is under way.
    pub fn are_waiting(&self) -> bool {
        self.soc.is_asleep() && !self.controller.is_busy
    }
}
