//! # Stream demultiplexer
//!
//! Parts a stream: a field of each item says to which output it goes.
//!
//! ## Symbol
//! ```text
//!           +- stream_demux -+
//!           |                |->- out_0
//!     in ->-|                |->- out_1   (streams of one payload)
//!           |                |->- ...
//!           +----------------+
//! ```
//! ## Theory of operation
//! All outputs share one two-place buffer. Its first place holds an item and, one-hot, the output to which it is offered; the second takes
//! the item that is already on its way when that output stalls.
//!
//! ## Timing
//! One item per clock; an item is offered one clock after it was taken. No combinational path from any input to any output.
//!
//! ## Limits
//! An item that is not taken holds up those behind it, also for other outputs. An item for an output that does not exist is thrown away.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{one_hot, Payload, Traffic, Watched};
use rtl_hdl::{cat, when, zero, Block, Module, Signal};
use std::ops::Range;

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDemux {
    /// How many streams go out.
    pub outputs: u32,
    /// What they carry.
    pub payload: Payload,
    /// The bits of an item that hold the number of its output.
    select: Range<u32>,
}

impl StreamDemux {
    /// Parts by `bits` of the field `field` (`data` for plain bits).
    ///
    /// # Panics
    /// If the payload has no such field: the description of the hardware is wrong.
    pub fn new(outputs: u32, payload: Payload, field: &str, bits: Range<u32>) -> StreamDemux {
        let (low, width) =
            payload.field(field).unwrap_or_else(|| panic!("`{}` has no field `{field}`", payload.name()));
        assert!(bits.start < bits.end && bits.end <= width, "`{field}` of `{}` has {width} bits", payload.name());
        StreamDemux { outputs, payload, select: low + bits.start..low + bits.end }
    }
}

impl Block for StreamDemux {
    fn name(&self) -> String {
        format!("stream_demux_{}_{}_by_{}_{}", self.payload.name(), self.outputs, self.select.start, self.select.end)
    }

    fn description(&self) -> String {
        format!("Parts a stream into {}.", self.outputs)
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let input = self.payload.stream_in(m, "in");
        let outputs: Vec<_> =
            (0..self.outputs).map(|i| self.payload.stream_out_wires(m, &format!("out_{i}"))).collect();

        // 2. State
        let target = m.reg("target", clock, zero(self.outputs));
        let item = m.reg_without_reset("item", clock, self.payload.width());
        let spare_full = m.reg("spare_full", clock, false);
        let spare = m.reg_without_reset("spare", clock, self.payload.width());

        // 3. Conditions
        when(!spare_full, || input.take());
        let mut ready: Vec<Signal> = outputs.iter().map(|output| output.ready).collect();
        ready.reverse();
        let ready = m.wire("ready", cat(&ready));
        let free = m.wire("free", !target.any() | (target & ready).any());
        let next = m.wire("next", spare_full.mux(spare, input.payload()));
        let has_next = m.wire("has_next", spare_full | input.valid());
        let next_target = m.wire("next_target", one_hot(next.bits(self.select.clone()), self.outputs));

        // 4. Next state
        when(free, || {
            target.set(next_target & has_next.repeat(self.outputs));
            item.set(next);
            spare_full.set(false);
        })
        .else_when(input.valid(), || spare_full.set(true));
        when(!spare_full, || spare.set(input.payload()));

        // 5. Outputs
        for (i, output) in outputs.iter().enumerate() {
            output.valid.set(target.bit(i as u32));
            output.payload.set(item);
        }

        // 6. Properties
        let number = |item: Signal| one_hot(item.bits(self.select.clone()), self.outputs);
        m.assert(clock, "offered_where_it_belongs", target.any().implies(target.eq(number(item))));
        let push = input.taken() & number(input.payload()).any();
        let traffic = Traffic { push, pushed: input.payload(), pop: (target & ready).any(), popped: item };
        let waits = spare_full & number(spare).any();
        let watched = Watched::new(m, clock, "watched", 2, traffic);
        watched.is_in_two_places(m, clock, "places", (target.any(), item), Some((waits, spare)));
        m.assert(clock, "spare_waits_for_an_offer", spare_full.implies(target.any()));
    }
}
