use nvme_model::{Config, HostError, HostPort, Model};

use crate::{Access, BusTiming, Device, Event, HostMemory, Schedule, Sideband};

/// The reference model as a back end: [`Model`] and the memory of its host.
///
/// It has no beat-level path to host memory, so that [`BusTiming`] does not change it; its own delays come from [`Config::seed`].
pub struct ModelDevice {
    model: Model,
    host: HostMemory,
    clock: u64,
    schedule: Schedule,
    /// The clock of the last input or access to host memory.
    last_activity: u64,
}

/// Every step of the model comes after a few dozen clocks at most. A device that did nothing for so long waits for its host.
const QUIET_CLOCKS: u64 = 2000;

impl ModelDevice {
    /// A device after power-on.
    pub fn new(config: Config, host: HostMemory) -> Self {
        Self { model: Model::new(config), host, clock: 0, schedule: Schedule::default(), last_activity: 0 }
    }
}

/// The offset of the access, if it is in any BAR.
fn offset_of(access: Access) -> Option<u32> {
    u32::try_from(access.offset).ok()
}

impl Device for ModelDevice {
    fn name(&self) -> &str {
        "model"
    }

    fn read(&mut self, access: Access) -> u64 {
        self.last_activity = self.clock;
        offset_of(access).map_or(0, |offset| self.model.read(access.function, offset, access.bytes))
    }

    fn write(&mut self, access: Access, value: u64) {
        self.last_activity = self.clock;
        if let Some(offset) = offset_of(access) {
            self.model.write(access.function, offset, access.bytes, value);
        }
    }

    fn step(&mut self, clocks: u32) {
        for _ in 0..clocks {
            self.clock += 1;
            self.host.set_clock(self.clock);
            while let Some(event) = self.schedule.due(self.clock) {
                match event {
                    Event::Write { access, value } => self.write(access, value),
                    Event::Sideband { function, sideband } => self.set_sideband(function, sideband),
                    Event::FunctionLevelReset { function } => self.function_level_reset(function),
                }
            }
            let mut port = Port { host: &mut self.host, was_used: false };
            self.model.step(&mut port);
            if port.was_used {
                self.last_activity = self.clock;
            }
        }
    }

    fn clock(&self) -> u64 {
        self.clock
    }

    fn is_idle(&self) -> bool {
        self.clock - self.last_activity >= QUIET_CLOCKS && self.schedule.is_empty() && !self.model.is_busy()
    }

    fn host(&mut self) -> &mut HostMemory {
        &mut self.host
    }

    fn set_sideband(&mut self, function: u8, sideband: Sideband) {
        self.last_activity = self.clock;
        self.model.set_sideband(
            function,
            nvme_model::Sideband {
                bus_master_enable: sideband.bus_master_enable,
                msix_enable: sideband.msix_enable,
                msix_function_mask: sideband.msix_function_mask,
            },
        );
    }

    fn function_level_reset(&mut self, function: u8) {
        self.last_activity = self.clock;
        self.model.reset_function(function);
    }

    fn after(&mut self, clocks: u32, event: Event) {
        self.schedule.add(self.clock + u64::from(clocks), event);
    }

    fn set_host_timing(&mut self, _timing: BusTiming) {}
}

struct Port<'m> {
    host: &'m mut HostMemory,
    was_used: bool,
}

impl HostPort for Port<'_> {
    fn read(&mut self, function: u8, address: u64, data: &mut [u8]) -> Result<(), HostError> {
        self.was_used = true;
        self.host.dma_read(function, address, data).map_err(|_| HostError)
    }

    fn write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), HostError> {
        self.was_used = true;
        self.host.dma_write(function, address, data).map_err(|_| HostError)
    }
}
