//! How long the flash is busy with what firmware itself does in it.

use flash_spec::limits::PAGE_BYTES;
use flash_spec::pairing::kind;
use flash_spec::{Geometry, Timing};

/// Nanoseconds in which firmware waits for the flash: each die does one thing at a time, a channel moves the bytes of one page at a time, and firmware itself
/// takes no time. What hardware does for the host is not in it, and neither are reads that are repeated.
#[derive(Clone, Debug)]
pub struct DeviceTime {
    geometry: Geometry,
    timing: Timing,
    now: u64,
    /// When each die and the bus of each channel is free.
    dies: Vec<u64>,
    buses: Vec<u64>,
}

impl DeviceTime {
    /// From 0, with all dies free.
    pub fn new(geometry: Geometry, timing: Timing) -> Self {
        let (dies, buses) = (vec![0; geometry.dies() as usize], vec![0; geometry.channels as usize]);
        Self { geometry, timing, now: 0, dies, buses }
    }

    /// Now, in ns.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Firmware has waited until then.
    pub(crate) fn wait_until(&mut self, then: u64) {
        self.now = self.now.max(then);
    }

    /// Starts the read of a page, of all of it or of its spare, whose bytes take no time of their own; returns its end.
    pub(crate) fn read(&mut self, page: u32, is_whole: bool) -> u64 {
        let (die, channel, time) = self.place(page);
        let array_end = self.command(die) + u64::from(self.timing.read_ns[time]);
        let start = array_end.max(self.buses[channel]);
        let end = start + if is_whole { self.transfer() } else { 0 };
        if is_whole {
            self.buses[channel] = end;
        }
        self.dies[die] = end;
        end
    }

    /// Starts the program of a page; returns its end.
    pub(crate) fn program(&mut self, page: u32) -> u64 {
        let (die, channel, time) = self.place(page);
        let moved = self.command(die).max(self.buses[channel]) + self.transfer();
        self.buses[channel] = moved;
        self.dies[die] = moved + u64::from(self.timing.program_ns[time]);
        self.dies[die]
    }

    /// Command and address cycles, when the die is free.
    fn command(&self, die: usize) -> u64 {
        self.now.max(self.dies[die]) + u64::from(self.timing.command_ns)
    }

    fn transfer(&self) -> u64 {
        match self.timing.bus_mt_s {
            0 => 0,
            rate => u64::from(PAGE_BYTES) * 1000 / u64::from(rate),
        }
    }

    /// Die, channel and kind of a page.
    fn place(&self, page: u32) -> (usize, usize, usize) {
        let address = self.geometry.page_at(page.into());
        let channel = usize::from(address.channel);
        let die = channel * self.geometry.dies_per_channel as usize + usize::from(address.die);
        (die, channel, kind(address.page.into(), self.geometry.pages_per_block) as usize)
    }
}
