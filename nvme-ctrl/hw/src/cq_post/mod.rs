//! # Completion post
//!
//! Writes completion queue entries and interrupt messages to the host, in one order.
//!
//! ## Symbol
//! ```text
//!              +-- cq_post --+
//!    posted -->|             |---> write    SmallWrite (to host_port)
//!   message -->|             |---> raise, raise_vector (to irq)
//!  dropping -->|             |---> quiet
//!              +-------------+
//! ```
//! ## Theory of operation
//! 1. `posted` and `message` take turns.
//! 2. An entry becomes a write; its interrupt is raised in the clock in which the write is offered. The message that `irq` makes of it comes
//!    back through `message`, so it leaves after the entry, in the same stream: *the completion entry is in host memory before its interrupt*.
//! 3. When the life of the controller has ended (`dropping`) entries and messages are thrown away.
//!
//! ## Timing
//! One write every second clock. `raise` is a pulse, one clock after the entry is taken.
//!
//! ## Limits
//! `quiet` does not cover what has left through `write`: `host_port` counts it.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::Posted;
use rtl_hdl::{hw_bundle, lit, when, Bits, Block, Module};

#[cfg(test)]
mod bench;

hw_bundle! {
    /// A write inside one 64-byte line of host memory.
    pub struct SmallWrite {
        /// The function whose memory it is.
        pub function: Bits<8>,
        /// Of the first byte: a multiple of the size.
        pub address: Bits<64>,
        /// What is written; a dword is repeated four times.
        pub data: Bits<128>,
        /// A completion queue entry of 16 bytes; otherwise an interrupt message of 4 bytes.
        pub is_entry: Bits<1>,
    }
}

/// See the [page](self) of this block.
pub struct CqPost;

impl Block for CqPost {
    fn name(&self) -> String {
        "cq_post".into()
    }

    fn description(&self) -> String {
        "Writes completion queue entries and interrupt messages to the host, in one order.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let dropping = m.input("dropping", 1);
        let posted = m.stream_in::<Posted>("posted");
        let message = m.stream_in::<SmallWrite>("message");
        let write = m.stream_out_single::<SmallWrite>("write");

        // 2. State
        let turn_of_message = m.reg("turn_of_message", clock, false);
        let raise = m.reg("raise_pulse", clock, false);
        let vector = m.reg_without_reset("vector", clock, 8);
        let idle = m.reg("idle", clock, false);

        // 3. Conditions
        let item = posted.payload();
        let takes_message = m.wire("takes_message", write.can_take() & turn_of_message);
        let takes_posted = m.wire("takes_posted", write.can_take() & !turn_of_message);

        // 4. Next state
        when(write.can_take(), || turn_of_message.set(!turn_of_message));
        when(takes_message, || {
            message.take();
            when(message.valid() & !dropping, || write.offer(message.payload()));
        });
        when(takes_posted, || {
            posted.take();
            when(posted.valid() & item.written & !dropping, || {
                write.offer(SmallWrite {
                    function: item.function,
                    address: item.address,
                    data: item.entry,
                    is_entry: lit(1u8, 1),
                });
            });
        });
        raise.set(takes_posted & posted.valid() & item.interrupt & !dropping);
        vector.set(item.vector);
        idle.set(!posted.valid() & !message.valid() & write.can_take() & !raise);

        // 5. Outputs
        m.output("raise", raise);
        m.output("raise_vector", vector);
        m.output("quiet", idle);
    }
}
