//! # Interrupts
//!
//! The MSI-X table, its masks and pending bits, and the messages.
//!
//! ## Symbol
//! ```text
//!                          +--- irq ---+
//!   raise, raise_vector -->|           |---> message  SmallWrite (to cq_post)
//!     window_write, ..  -->|           |---> window_read_data (to regs)
//!       function_mask,  -->|           |
//! msix_enable, holding     |           |
//!  clear, function_reset ->|           |---> quiet
//!                          +-----------+
//! ```
//! ## Theory of operation
//! PCI Express Base, "MSI-X Capability and Table Structure".
//! 1. `raise` sets the pending bit of a vector; if it is set already, both requests become one message.
//! 2. One vector that is pending and not masked is chosen by round robin, its bit is cleared and its message sent: table data to table address.
//! 3. While a vector, the function or MSI-X is masked or off, the bit stays; the host sees it in the pending bit array.
//! 4. `holding` stops messages when a life of the controller has ended; `clear` forgets the pending bits. The table survives both. A function
//!    level reset masks all vectors.
//!
//! The window is the table, and above it the pending bit array; addresses count dwords.
//!
//! ## Timing
//! From `raise` to the message 3 clocks. `window_read_data` shows `window_read_address` one clock later.
//!
//! ## Limits
//! As many vectors as there are completion queues.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::cq_post::SmallWrite;
use crate::held::bit_at;
use crate::Config;
use nvme_spec::regs::{BAR0_BYTES, MSIX_ENTRY_BYTES, MSIX_PBA, MSIX_TABLE};
use rtl_hdl::{address_width, cat, lit, select, when, zero, Block, Constant, MemoryStyle, Module, Signal};
use rtl_prim::{one_hot, one_hot_index, round_robin};

#[cfg(test)]
mod bench;

/// Width of an address in the window: table and pending bit array lie side by side at the end of the BAR.
pub const WINDOW_BITS: u32 = address_width((BAR0_BYTES - MSIX_TABLE.start) / 4);
const _: () = assert!(MSIX_TABLE.end == MSIX_PBA.start && MSIX_PBA.end == BAR0_BYTES && MSIX_ENTRY_BYTES == 16);

/// Dwords of an entry: address (low, high), data, control.
const ADDRESS_LOW: u8 = 0;
const ADDRESS_HIGH: u8 = 1;
const DATA: u8 = 2;
const CONTROL: u8 = 3;

/// See the [page](self) of this block.
pub struct Irq {
    config: Config,
}

impl Irq {
    /// The block of this configuration.
    pub fn new(config: Config) -> Self {
        Irq { config }
    }
}

impl Block for Irq {
    fn name(&self) -> String {
        format!("irq_v{}", self.config.vectors())
    }

    fn description(&self) -> String {
        "MSI-X table, masks, pending bits and messages.".into()
    }

    fn build(&self, m: &Module) {
        let vectors = self.config.vectors();
        let vector_bits = self.config.queue_bits();

        // 1. Ports
        let clock = m.clock();
        let raise = m.input("raise", 1);
        let raise_vector = m.input("raise_vector", 8);
        let msix_enable = m.input("msix_enable", 1);
        let function_mask = m.input("function_mask", 1);
        let holding = m.input("holding", 1);
        let clear = m.input("clear", 1);
        let function_reset = m.input("function_reset", 1);
        let window_write = m.input("window_write", 1);
        let window_address = m.input("window_address", WINDOW_BITS);
        let window_data = m.input("window_data", 32);
        let window_strobe = m.input("window_strobe", 4);
        let window_read_address = m.input("window_read_address", WINDOW_BITS);
        let message = m.stream_out_single::<SmallWrite>("message");

        // 2. State
        let pending = m.reg("pending", clock, zero(vectors));
        let masked = m.reg("masked", clock, Constant::ones(vectors));
        let last_turn = m.reg("last_turn", clock, zero(vectors));
        let sending = m.reg("sending", clock, false);
        let vector = m.reg_without_reset("vector", clock, vector_bits);
        let window_read_data = m.reg_without_reset("window_read_data_held", clock, 32);
        let idle = m.reg("idle", clock, false);
        let table = |name: &str| m.memory(name, 32, vectors, MemoryStyle::Distributed);
        let tables = [table("address_low"), table("address_high"), table("data")];

        // 3. Conditions
        let may_send = m.wire("may_send", (msix_enable & !function_mask & !holding).repeat(vectors));
        let sendable = m.wire("sendable", pending & !masked & may_send);
        let turn = m.wire("turn", round_robin(sendable, last_turn));
        let choose = m.wire("choose", !sending & sendable.any());
        let send = m.wire("send", sending & message.can_take());
        let written = Place::of(window_address, vectors, vector_bits);
        let read = Place::of(window_read_address, vectors, vector_bits);

        // 4. Next state
        let raised = raise.mux(one_hot(raise_vector, vectors), zero(vectors));
        let chosen = choose.mux(turn, zero(vectors));
        pending.set((pending & !chosen) | raised);
        when(choose, || {
            last_turn.set(turn);
            vector.set(one_hot_index(turn));
            sending.set(true);
        });
        when(send, || {
            sending.set(false);
            let [low, high, data] = tables.map(|table| table.lookup(vector));
            // A message is one aligned dword.
            let address = cat(&[high, low.bits(2..32), lit(0u8, 2)]);
            message.offer(SmallWrite { function: lit(0u8, 8), address, data: data.repeat(4), is_entry: lit(0u8, 1) });
        });
        when(clear | function_reset, || {
            pending.set(zero(vectors));
            sending.set(false);
        });

        let writes_table = window_write & written.in_table;
        for (table, dword) in tables.iter().zip([ADDRESS_LOW, ADDRESS_HIGH, DATA]) {
            table.write_lanes(
                clock,
                writes_table & written.dword.eq(dword),
                written.vector,
                window_data,
                window_strobe,
            );
        }
        when(writes_table & written.dword.eq(CONTROL) & window_strobe.bit(0), || {
            let this = one_hot(written.vector, vectors);
            masked.set(window_data.bit(0).mux(masked | this, masked & !this));
        });
        when(function_reset, || masked.set(Constant::ones(vectors)));

        let [low, high, data] = tables.map(|table| table.lookup(read.vector));
        let control = bit_at(masked, read.vector).zext(32);
        let entry = select(&[low, high, data, control], read.dword);
        let pending_words = words(pending);
        let pending_word = select(&pending_words, read.index.low(address_width(pending_words.len() as u32)));
        let in_pending = read.is_pending & read.index.lt(pending_words.len() as u32);
        window_read_data.set(in_pending.mux(pending_word, read.in_table.mux(entry, zero(32))));
        idle.set(!sending & message.can_take());

        // 5. Outputs
        m.output("window_read_data", window_read_data);
        m.output("quiet", idle);
    }
}

/// What a window address means.
struct Place {
    /// A dword of the table.
    in_table: Signal,
    /// The pending bit array.
    is_pending: Signal,
    vector: Signal,
    /// Of the table entry.
    dword: Signal,
    /// Of the dword in table or array.
    index: Signal,
}

impl Place {
    #[track_caller]
    fn of(address: Signal, vectors: u32, vector_bits: u32) -> Place {
        let is_pending = address.bit(WINDOW_BITS - 1);
        let index = address.low(WINDOW_BITS - 1);
        let vector = index.bits(2..WINDOW_BITS - 1);
        Place {
            in_table: !is_pending & vector.zext(WINDOW_BITS).lt(vectors),
            is_pending,
            vector: vector.low(vector_bits),
            dword: index.low(2),
            index,
        }
    }
}

/// The bits as dwords, the lowest first.
fn words(bits: Signal) -> Vec<Signal> {
    (0..bits.width().div_ceil(32)).map(|i| bits.bits(32 * i..bits.width().min(32 * i + 32)).zext(32)).collect()
}
