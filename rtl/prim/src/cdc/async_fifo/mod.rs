//! # Asynchronous FIFO
//!
//! Brings the items of a stream into another clock domain, one per clock.
//!
//! ## Symbol
//! ```text
//!           +- async_fifo -+
//!     in ->-| from      to |->- out   (streams of any payload)
//!           +--------------+
//! ```
//! ## Theory of operation
//! 1. An item is written at `tail`, which counts in the clock `from`. A copy of `tail` in Gray code, of which one bit changes at a time, crosses
//!    through a synchroniser. The other side may see it late, and then knows of less than there is.
//! 2. While `head` differs from what it knows of `tail`, and the output register is free or becomes free in this clock, the item at `head` is read
//!    into it: the output register is the read register of the RAM. `head` crosses back in the same way.
//! 3. The pointers have one bit more than an address. The FIFO is full when they are one round apart, which in Gray code means that the two highest
//!    bits differ and the others are equal.
//!
//! ## Timing
//! One item per clock of the slower side, if `depth` is at least `2 * stages + 6`. An item that meets an empty FIFO is offered `stages + 1` edges of
//! `to` after it was taken, or one later. Its place is free again `stages` edges of `from` after it was read, or one later. No combinational path
//! from any input to any output.
//!
//! ## Limits
//! The depth is a power of two. It holds `depth` items, and one more in the output register.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use super::scoreboard::Scoreboard;
use crate::{gray, Payload, Traffic};
use rtl_hdl::{address_width, constant, when, zero, Block, Constant, MemoryStyle, Module};

#[cfg(test)]
pub(crate) mod bench;
mod props;

/// Words up to which a memory is made of distributed RAM: one LUT holds 64 bits.
const DISTRIBUTED_WORDS_MAX: u32 = 64;

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsyncFifo {
    payload: Payload,
    depth: u32,
    stages: u32,
}

impl AsyncFifo {
    /// A FIFO for `depth` items, with synchronisers of `stages` registers, at least two.
    ///
    /// # Panics
    /// If the depth is not a power of two, or below two: the description of the hardware is wrong.
    pub fn new(payload: Payload, depth: u32, stages: u32) -> AsyncFifo {
        assert!(depth.is_power_of_two() && depth >= 2, "an asynchronous FIFO of {depth} words: use a power of two");
        AsyncFifo { payload, depth, stages }
    }
}

impl Block for AsyncFifo {
    fn name(&self) -> String {
        format!("async_fifo_{}_{}_{}", self.payload.name(), self.depth, self.stages)
    }

    fn description(&self) -> String {
        format!("Brings the items of a stream into another clock domain; holds {} of them.", self.depth)
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let from = m.named_clock("from_clock", Some("from_reset"));
        let input = self.payload.stream_in(m, "in");
        let to = m.named_clock("to_clock", Some("to_reset"));
        let output = self.payload.stream_out_wires(m, "out");

        // 2. State
        let style = match self.depth {
            ..=DISTRIBUTED_WORDS_MAX => MemoryStyle::Distributed,
            _ => MemoryStyle::Block,
        };
        let items = m.memory("items", self.payload.width(), self.depth, style);
        let items = items.crosses_clocks("an item is read after the pointer behind it has crossed, and overwritten after the pointer at it has come back");
        let index_bits = address_width(self.depth);
        let pointer = index_bits + 1;
        let (tail, tail_gray) = (m.reg("tail", from, zero(pointer)), m.reg("tail_gray", from, zero(pointer)));
        let (head, head_gray) = (m.reg("head", to, zero(pointer)), m.reg("head_gray", to, zero(pointer)));
        let offered = m.reg("offered", to, false);

        // 3. Conditions
        const WHY: &str = "a Gray code, of which one bit changes at a time";
        let tail_there = m.synchronize_gray("tail_there", to, tail_gray, self.stages, WHY);
        let head_there = m.synchronize_gray("head_there", from, head_gray, self.stages, WHY);
        // The two highest bits.
        let round = constant(&Constant::from_words(pointer, &[3 << (pointer - 2)]));
        let full = m.wire("full", tail_gray.eq(head_there.value() ^ round));
        when(!full, || input.take());
        let write = m.wire("write", input.taken());
        let read = m.wire("read", head_gray.ne(tail_there.value()) & (!offered | output.ready));

        // 4. Next state
        items.write(from, write, tail.low(index_bits), input.payload());
        let item = items.read_when(to, "item", read, head.low(index_bits));
        when(write, || {
            tail.set(tail + 1);
            tail_gray.set(gray(tail + 1));
        });
        when(read, || {
            head.set(head + 1);
            head_gray.set(gray(head + 1));
        });
        when(output.ready, || offered.set(false));
        when(read, || offered.set(true));

        // 5. Outputs
        output.valid.set(offered);
        output.payload.set(item);

        // 6. Properties
        m.assert(from, "tail_gray_is_tail", tail_gray.eq(gray(tail)));
        m.assert(to, "head_gray_is_head", head_gray.eq(gray(head)));
        let pop = offered & output.ready;
        let traffic = Traffic { push: write, pushed: input.payload(), pop, popped: item };
        let board = Scoreboard::new(m, [from, to], self.depth + 1, traffic);
        let pointers = props::Pointers { head, tail, head_there: &head_there, tail_there: &tail_there };
        props::is_a_fifo(m, to, pointers, board, props::Register { items, offered, item });
    }
}
