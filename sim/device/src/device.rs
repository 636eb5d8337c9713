use crate::{BusTiming, HostMemory, Message};

/// One access of the host to BAR0 of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// PCIe function whose BAR is accessed.
    pub function: u8,
    /// Byte offset in the BAR.
    pub offset: u64,
    /// Width of the access: 1, 2, 4 or 8 bytes.
    pub bytes: u8,
}

impl Access {
    /// A 32-bit access of function 0.
    pub const fn dword(offset: u64) -> Self {
        Self { function: 0, offset, bytes: 4 }
    }

    /// A 64-bit access of function 0.
    pub const fn qword(offset: u64) -> Self {
        Self { function: 0, offset, bytes: 8 }
    }
}

/// The configuration-space bits of one function that the controller sees as wires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sideband {
    /// Bus Master Enable: without it the function makes no access to host memory.
    pub bus_master_enable: bool,
    /// MSI-X Enable: without it no interrupt message is sent.
    pub msix_enable: bool,
    /// MSI-X Function Mask: interrupts stay pending while it is set.
    pub msix_function_mask: bool,
}

impl Sideband {
    /// What a driver sets when it takes the device: bus mastering and MSI-X on, nothing masked.
    pub const RUNNING: Self = Self { bus_master_enable: true, msix_enable: true, msix_function_mask: false };
}

/// Something that happens to a device from outside of its memory, at a clock of its own: see [`Device::after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A posted write to BAR0.
    Write {
        /// Where.
        access: Access,
        /// What.
        value: u64,
    },
    /// The configuration-space bits of a function change.
    Sideband {
        /// Which function.
        function: u8,
        /// What they are from then on.
        sideband: Sideband,
    },
    /// A function level reset.
    FunctionLevelReset {
        /// Of which function.
        function: u8,
    },
}

/// Events that wait for their clock, for those who implement [`Device::after`].
#[derive(Default)]
pub struct Schedule {
    /// By clock and by the order in which they were asked for.
    events: std::collections::BTreeMap<(u64, u64), Event>,
    asked: u64,
}

impl Schedule {
    /// Puts an event in line for a clock.
    pub fn add(&mut self, clock: u64, event: Event) {
        self.events.insert((clock, self.asked), event);
        self.asked += 1;
    }

    /// Whether none is in line.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The next event whose clock has come.
    pub fn due(&mut self, clock: u64) -> Option<Event> {
        // Nearly always there is none: this is asked in every clock.
        let first = self.events.first_entry()?;
        (first.key().0 <= clock).then(|| first.remove())
    }
}

/// An NVMe device as its host sees it, whatever it is made of.
///
/// Time is counted in clocks of the device and moves only in [`step`](Device::step) and [`read`](Device::read).
pub trait Device {
    /// What this back end is called in messages.
    fn name(&self) -> &str;

    /// Reads BAR0. Earlier writes of the same function have taken effect; a cycle-accurate back end needs some clocks for it.
    fn read(&mut self, access: Access) -> u64;

    /// Writes BAR0. Writes are posted: they take effect in order as the clock steps.
    fn write(&mut self, access: Access, value: u64);

    /// Lets `clocks` clocks pass.
    fn step(&mut self, clocks: u32);

    /// Clocks since power-on.
    fn clock(&self) -> u64;

    /// Whether nothing will happen from now on, however long the clock steps, until there is an input. Who waits for inputs need not step a device
    /// that is idle. A time that firmware keeps does not count: it stands still with the clock.
    fn is_idle(&self) -> bool;

    /// The memory that the device reaches by DMA.
    fn host(&mut self) -> &mut HostMemory;

    /// The interrupt messages that arrived since the last call, oldest first.
    fn take_interrupts(&mut self) -> Vec<Message> {
        self.host().take_messages()
    }

    /// Sets the configuration-space bits of a function. A device starts with [`Sideband::RUNNING`] for function 0.
    fn set_sideband(&mut self, function: u8, sideband: Sideband);

    /// Resets one function, as Initiate Function Level Reset does.
    fn function_level_reset(&mut self, function: u8);

    /// Lets `event` happen when `clocks` more clocks have passed, whatever the device is doing then. A back end whose firmware runs in turns of
    /// many clocks does not wait for the end of a turn, so that an event can meet every state.
    fn after(&mut self, clocks: u32, event: Event);

    /// Sets how the path to host memory behaves from now on. A back end without a beat-level path keeps what has a meaning for it.
    fn set_host_timing(&mut self, timing: BusTiming);
}

/// A device made around another one: it does what that one does, but for what is said here.
pub trait Around {
    /// The device inside.
    fn inner(&self) -> &dyn Device;

    /// The device inside.
    fn inner_mut(&mut self) -> &mut dyn Device;

    /// [`Device::read`], if it is not that of the device inside.
    fn read_around(&mut self, access: Access) -> u64 {
        self.inner_mut().read(access)
    }

    /// [`Device::step`], if it is not that of the device inside.
    fn step_around(&mut self, clocks: u32) {
        self.inner_mut().step(clocks);
    }
}

impl<T: Around> Device for T {
    fn name(&self) -> &str {
        self.inner().name()
    }

    fn read(&mut self, access: Access) -> u64 {
        self.read_around(access)
    }

    fn write(&mut self, access: Access, value: u64) {
        self.inner_mut().write(access, value);
    }

    fn step(&mut self, clocks: u32) {
        self.step_around(clocks);
    }

    fn clock(&self) -> u64 {
        self.inner().clock()
    }

    fn is_idle(&self) -> bool {
        self.inner().is_idle()
    }

    fn host(&mut self) -> &mut HostMemory {
        self.inner_mut().host()
    }

    fn set_sideband(&mut self, function: u8, sideband: Sideband) {
        self.inner_mut().set_sideband(function, sideband);
    }

    fn function_level_reset(&mut self, function: u8) {
        self.inner_mut().function_level_reset(function);
    }

    fn after(&mut self, clocks: u32, event: Event) {
        self.inner_mut().after(clocks, event);
    }

    fn set_host_timing(&mut self, timing: BusTiming) {
        self.inner_mut().set_host_timing(timing);
    }
}
