//! The NVMe controller's firmware: admin commands, features, logs, events.
//!
//! NOTE to the writer of this crate (delete when done): the bus is passed to `poll`, NOT owned, because the co-simulation owns
//! both the bus and the firmware:
//! `impl Firmware { pub const fn/fn new(config: Config) -> Self; pub fn poll(&mut self, mmio: &mut impl soc_hal::Mmio); }`
//! `poll` is called by the co-simulation whenever the hardware's event line is high (and once after it has returned having done work);
//! it returns `bool`: true if it did something or still has work pending that needs another poll soon.
