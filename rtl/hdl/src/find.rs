//! What a block that was described has in it, by name: for properties that are said of it from outside, in a block of their own.
//!
//! ```
//! use rtl_hdl::{block_fn, elaborate, zero, Block};
//! let counter = || block_fn("counter", |m| {
//!     let clock = m.clock();
//!     let count = m.reg("count", clock, zero(8));
//!     count.set(count.eq(9).mux(count.literal(0u8), count + 1));
//!     m.output("value", count);
//! });
//! elaborate(&block_fn("counter_with_properties", |m| {
//!     counter().build(m);
//!     m.assert(m.found_clock(), "is_below_ten", m.found("count").lt(10));
//! }))?;
//! # Ok::<(), rtl_hdl::Problems>(())
//! ```

use crate::foreign::nearest;
use crate::ir::ResetKind;
use crate::memory::MemoryHandle;
use crate::module::{building, problem, stand_in, Clock, Module};
use crate::signal::Signal;
use std::panic::Location;

impl Module {
    /// The port, wire or register of this name.
    #[track_caller]
    pub fn found(&self, name: &str) -> Signal {
        let source = Location::caller();
        let uid = building(|b| b.uid);
        let found = building(|b| {
            let mut nodes = b.ir.nodes.iter().enumerate();
            nodes.find(|(_, node)| node.name.as_deref() == Some(name)).map(|(id, node)| (id, node.width))
        });
        match found {
            Some((id, width)) => Signal::new(uid, id, width),
            None => {
                let near = building(|b| nearest(name, b.ir.nodes.iter().filter_map(|node| node.name.as_deref())));
                problem(source, format!("the module has no signal `{name}`; {near}"));
                stand_in(1, source)
            }
        }
    }

    /// The memory of this name.
    ///
    /// # Panics
    /// If the module has none.
    #[track_caller]
    pub fn found_memory(&self, name: &str) -> MemoryHandle {
        let found = building(|b| b.ir.memories.iter().position(|memory| memory.name == name));
        MemoryHandle::of(found.unwrap_or_else(|| panic!("the module has no memory `{name}`")))
    }

    /// The first clock, with its synchronous reset.
    ///
    /// # Panics
    /// If the module has none.
    #[track_caller]
    pub fn found_clock(&self) -> Clock {
        let uid = building(|b| b.uid);
        let clock = building(|b| b.ir.clocks.first().cloned()).expect("a module with a clock");
        let reset = clock.reset.map(|reset| Signal::new(uid, reset, 1));
        Clock { module: uid, index: 0, reset, reset_kind: ResetKind::Synchronous }
    }
}
