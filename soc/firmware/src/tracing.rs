//! What a hart tells of itself: [`soc_firmware::trace`], in the ring of the hart.

use crate::csr::read_csr;
use soc_firmware::trace::{Event, Ring};
use soc_map::trace::{ring, Kind};

/// Empties the ring of this hart.
pub fn start(hart: u32) {
    // SAFETY: see `write`.
    unsafe { (*(ring(hart).base as *mut Ring)).start() };
}

/// Writes an event into the ring of this hart.
pub fn write(hart: u32, kind: &Kind, values: [u64; 3]) {
    let event = Event::new(kind, read_csr!("cycle"), values);
    // SAFETY: the map gives the memory to this hart, any bytes are a ring, and the hart's modes do not interrupt each other in here but to stop.
    unsafe { (*(ring(hart).base as *mut Ring)).push(event) };
}
