//! Firmware on Verilated processors: the [`Soc`], joined to the register ports of the device.

use crate::cores::{self, Coalescing, Start};
use crate::hardware::Error;
use crate::resume;
use crate::soc::Soc;
use rtl_hdl::sim::{PortId, Simulator};
use sim_device::BusTiming;
use sim_firmware::Image;
use sim_verilator::{Model, Toolchain};
use soc_firmware::parameters::Parameters;

/// Clocks after which firmware that has not come up is given up.
const BOOT_CLOCKS_MAX: u64 = 50_000_000;

/// An AXI4-Lite between the uncore and the device: its channels, from the uncore and to it.
struct Registers {
    asks: [Lane; 3],
    answers: [Lane; 2],
    /// An access is under way.
    is_busy: bool,
}

/// A wire from the device to the uncore.
struct Wire([PortId; 2]);

impl Wire {
    fn new(uncore: &Model, device: &impl Simulator, names: [&str; 2]) -> Self {
        Self([device.port(names[0]), uncore.port(names[1])])
    }

    fn carry(&self, uncore: &mut Model, device: &impl Simulator) {
        uncore.poke_u64(self.0[1], device.peek_u64(self.0[0]));
    }
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

impl Registers {
    /// Those with these names, at the uncore and at the device.
    fn new(uncore: &Model, device: &impl Simulator, names: [&str; 2]) -> Self {
        let lane = |channel: &str, fields: &[&str], from_uncore: bool| {
            let pair = |field: &str| {
                let [outer, inner] = names;
                let pins = [
                    uncore.port(&format!("{outer}_{channel}{field}")),
                    device.port(&format!("{inner}_{channel}{field}")),
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
            is_busy: false,
        }
    }

    /// Carries all channels; with the address and the data of a write that go over, and whether a write is answered.
    fn carry(&mut self, uncore: &mut Model, device: &mut impl Simulator) -> Carried {
        let goes = self.asks.each_ref().map(|lane| lane.carry(uncore, device));
        let comes = self.answers.each_ref().map(|lane| lane.carry(device, uncore));
        self.is_busy = (self.is_busy || goes.contains(&true)) && !comes.contains(&true);
        let first = |lane: usize| goes[lane].then(|| uncore.peek_u64(self.asks[lane].fields[0][0]) as u32);
        Carried { address: first(0), value: first(1), is_written: comes[0] }
    }

    /// Whether the uncore asks for something.
    fn is_asked(&self, uncore: &Model) -> bool {
        self.asks.iter().any(|lane| uncore.peek_u64(lane.valid[0]) == 1)
    }
}

/// What has gone over in a clock.
struct Carried {
    address: Option<u32>,
    value: Option<u32>,
    is_written: bool,
}

/// What firmware of the flash has of it.
struct FlashRegisters {
    port: Registers,
    shared: Registers,
    event: Wire,
}

/// The processors.
pub(crate) struct Tiles {
    pub soc: Soc,
    controller: Registers,
    event: Wire,
    flash: Option<FlashRegisters>,
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
        parameters: &Parameters,
        device: &impl Simulator,
        toolchain: &Toolchain,
    ) -> Result<Self, Error> {
        let mut memory = cores::loaded(image, parameters);
        if start == Start::Ready {
            resume::start_up(&mut memory, &cores::hart_config(0));
        }
        let soc = Soc::new(harts, &mut memory, toolchain)?;
        let has_flash = matches!(parameters.flash(), Ok(Some(_)));
        let registers = |names| Registers::new(&soc.uncore, device, names);
        let wire = |names| Wire::new(&soc.uncore, device, names);
        Ok(Self {
            controller: registers(["controller", "firmware"]),
            event: wire(["firmware_event", "controller_event"]),
            flash: has_flash.then(|| FlashRegisters {
                port: registers(["flash", "flash"]),
                shared: registers(["shared", "shared"]),
                event: wire(["flash_event", "flash_event"]),
            }),
            soc,
            coalescing: Coalescing::default(),
        })
    }

    /// Lets the harts start up before the device's clock does, as a host finds a drive that has been there for a while: until firmware first touches a
    /// register of the device. The memory answers at once until then, and later as `memory` says.
    ///
    /// # Panics
    /// If it never does.
    pub fn boot(&mut self, memory: BusTiming) {
        for _ in 0..BOOT_CLOCKS_MAX {
            if self.registers().any(|registers| registers.is_asked(&self.soc.uncore)) {
                self.soc.set_memory_timing(memory);
                return;
            }
            self.soc.step();
        }
        panic!("firmware has not come up in {BOOT_CLOCKS_MAX} clocks");
    }

    /// A clock, with what the device drives in it, and drives the device.
    pub fn clock(&mut self, device: &mut impl Simulator) {
        let Self { soc: Soc { uncore, .. }, controller, event, flash, coalescing } = self;
        event.carry(uncore, device);
        let Carried { address, value, is_written } = controller.carry(uncore, device);
        coalescing.address = address.unwrap_or(coalescing.address);
        coalescing.value = value.unwrap_or(coalescing.value);
        if is_written {
            coalescing.note();
        }
        if let Some(FlashRegisters { port, shared, event }) = flash {
            event.carry(uncore, device);
            port.carry(uncore, device);
            shared.carry(uncore, device);
        }
        self.soc.step();
    }

    fn registers(&self) -> impl Iterator<Item = &Registers> {
        let flash = self.flash.iter().flat_map(|flash| [&flash.port, &flash.shared]);
        flash.chain([&self.controller])
    }

    /// Whether all harts wait for an interrupt, and nothing is under way.
    pub fn are_waiting(&self) -> bool {
        self.soc.is_asleep() && !self.registers().any(|registers| registers.is_busy)
    }
}
