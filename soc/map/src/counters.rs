//! Registers of [`COUNTERS`](crate::COUNTERS): of each [`Event`] a double word, at eight times its number, of how often it has happened since the
//! reset. The halves are read one after the other, so that a reader of a running counter looks at the higher one twice.

/// Bit 0, FROZEN: nothing is counted.
pub const CONTROL: u32 = 0x800;

/// Of CONTROL.
pub const FROZEN: u32 = 1 << 0;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    /// A clock.
    Clocks = 0,
    /// A request of a hart or of DMA for memory.
    Requests = 1,
    /// A request for which caches were asked for the line.
    Probes = 2,
    /// A line that the memory has read.
    MemoryReads = 3,
    /// A line that the memory has written.
    MemoryWrites = 4,
    /// A line that the DMA engine has copied.
    DmaLines = 5,
}

impl Event {
    /// All of them, in the order of their numbers.
    pub const ALL: [Event; 6] =
        [Event::Clocks, Event::Requests, Event::Probes, Event::MemoryReads, Event::MemoryWrites, Event::DmaLines];

    /// The register of the counter's lower half.
    pub const fn register(self) -> u32 {
        8 * self as u32
    }
}
