use crate::controller::{Controller, Sideband};
use crate::host::HostPort;
use crate::subsystem::Subsystem;
use crate::Config;

/// The reference device: a controller for each function, and the NVM subsystem that they share.
pub struct Model {
    controllers: Vec<Controller>,
    subsystem: Box<Subsystem>,
}

impl Model {
    /// A device after power-on.
    ///
    /// # Panics
    /// When the configuration cannot work: see [`Config::check`].
    pub fn new(config: Config) -> Self {
        if let Err(error) = config.check() {
            panic!("{error}");
        }
        Self {
            controllers: (0..config.functions).map(|function| Controller::new(config, function)).collect(),
            subsystem: Box::new(Subsystem::new(&config)),
        }
    }

    /// Works with one function, which has the subsystem meanwhile; nothing if there is no such function.
    fn with<T: Default>(&mut self, function: u8, work: impl FnOnce(&mut Controller) -> T) -> T {
        let Some(controller) = self.controllers.get_mut(usize::from(function)) else {
            return T::default();
        };
        std::mem::swap(&mut self.subsystem, &mut controller.subsystem);
        let result = work(controller);
        std::mem::swap(&mut self.subsystem, &mut controller.subsystem);
        result
    }

    /// Sets the configuration-space bits of a function.
    pub fn set_sideband(&mut self, function: u8, sideband: Sideband) {
        self.with(function, |controller| controller.set_sideband(sideband));
    }

    /// Function level reset: everything but the stored data is as after power-on.
    pub fn reset_function(&mut self, function: u8) {
        self.with(function, Controller::reset_function);
    }

    /// NVMe Base, "NVM Subsystem Reset": if a host has asked for one, all controllers are reset.
    fn follow_subsystem_reset(&mut self) {
        if !self.subsystem.take_reset() {
            return;
        }
        let has_same_image = self.subsystem.next_slot.is_none();
        for function in 0..self.controllers.len() as u8 {
            self.with(function, |controller| controller.reset_with_subsystem(has_same_image));
        }
    }

    /// Reads `bytes` bytes of BAR0 of a function, after all its posted writes.
    pub fn read(&mut self, function: u8, offset: u32, bytes: u8) -> u64 {
        while self.with(function, Controller::take_posted_write) {
            self.follow_subsystem_reset();
        }
        self.with(function, |controller| controller.read(offset, bytes))
    }

    /// Posts a write of `bytes` bytes to BAR0 of a function.
    pub fn write(&mut self, function: u8, offset: u32, bytes: u8, value: u64) {
        self.with(function, |controller| controller.write(offset, bytes, value));
    }

    /// Whether something is under way that takes its time without an access to host memory.
    pub fn is_busy(&self) -> bool {
        self.subsystem.is_sanitizing() || self.controllers.iter().any(Controller::is_busy)
    }

    /// Lets one clock pass.
    pub fn step(&mut self, host: &mut dyn HostPort) {
        for function in 0..self.controllers.len() as u8 {
            self.with(function, |controller| controller.step(host));
            self.follow_subsystem_reset();
        }
    }
}
