//! # Dual-port RAM
//!
//! Memory with two ports, each of which writes bytes or reads, with a clock each or one for both.
//!
//! ## Symbol
//! ```text
//!                 +-- dual_port_ram --+
//!     a_address ->|                   |<- b_address
//!  a_write_data ->| a               b |<- b_write_data
//!       a_write ->|                   |<- b_write        (one bit for each lane)
//!        a_read ->|                   |<- b_read
//!   a_read_data <-|                   |-> b_read_data
//!                 +-------------------+
//! ```
//! ## Theory of operation
//! 1. A port that has a lane of `write` set writes those lanes, and its read data stay as they are.
//! 2. Otherwise, with `read`, the word at `address` goes into the register behind `read_data`.
//!
//! That is what block RAM does in its mode NO_CHANGE, and UltraRAM always: no logic stands beside the memory but one gate for each port, which
//! says that nothing is written.
//!
//! ## Timing
//! One access per clock and port. Read data come one clock after the address. No combinational path from any input to any output.
//!
//! ## Limits
//! Where one port writes, the other must not access the same address in the same moment; simulation stops if it does. UltraRAM has one clock.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_hdl::{address_width, Block, Clock, MemoryStyle, Module};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DualPortRam {
    /// Width of a word in bits.
    pub width: u32,
    /// Number of words.
    pub depth: u32,
    /// Parts of a word that are written apart: bytes of 8 or 9 bits, in what block RAM can do.
    pub lanes: u32,
    /// What it is made of.
    pub style: MemoryStyle,
    /// One clock for each port, or one for both.
    pub clocks: Clocks,
}

/// See [`DualPortRam`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// `clock`.
    One,
    /// `a_clock` and `b_clock`.
    Two,
}

impl Block for DualPortRam {
    fn name(&self) -> String {
        let style = match self.style {
            MemoryStyle::Auto => "",
            MemoryStyle::Distributed => "_distributed",
            MemoryStyle::Block => "_block",
            MemoryStyle::Ultra => "_ultra",
        };
        let clocks = match self.clocks {
            Clocks::One => 1,
            Clocks::Two => 2,
        };
        format!("dual_port_ram_{}_{}_{}_{clocks}{style}", self.width, self.depth, self.lanes)
    }

    fn description(&self) -> String {
        format!("{} words of {} bits behind two ports.", self.depth, self.width)
    }

    fn build(&self, m: &Module) {
        let clocks = match self.clocks {
            Clocks::One => [m.named_clock("clock", None); 2],
            Clocks::Two => ["a_clock", "b_clock"].map(|name| m.named_clock(name, None)),
        };
        let words = m.memory("words", self.width, self.depth, self.style).without_collisions();
        let words = match self.clocks {
            Clocks::One => words,
            Clocks::Two => words.crosses_clocks("no port accesses an address while the other one writes it"),
        };
        for (port, clock) in ["a", "b"].into_iter().zip(clocks) {
            self.port(m, port, clock, words);
        }
    }
}

impl DualPortRam {
    fn port(&self, m: &Module, port: &str, clock: Clock, words: rtl_hdl::MemoryHandle) {
        // 1. Ports
        let named = |what: &str| format!("{port}_{what}");
        let address = m.input_of(&named("address"), address_width(self.depth), clock);
        let write_data = m.input_of(&named("write_data"), self.width, clock);
        let write = m.input_of(&named("write"), self.lanes, clock);
        let read = m.input_of(&named("read"), 1, clock);

        // 3. Conditions
        let reads = m.wire(&named("reads"), read & !write.any());

        // 4. Next state: without an enable of its own, so that the lanes go to the memory as they are.
        words.write_lanes(clock, rtl_hdl::lit(1u8, 1), address, write_data, write);
        let word = words.read_when(clock, &named("word"), reads, address);

        // 5. Outputs
        m.output(&named("read_data"), word);
    }
}
