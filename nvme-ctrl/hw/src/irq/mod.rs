//! # Interrupts
//!
//! The MSI-X table, its masks and pending bits, and the messages.
//!
//! ## Symbol
//! ```text
//!                          +--- irq ---+
//!   raise, raise_vector -->|           |---> message  Message (to host_port)
//!     window_write, ..  -->|           |---> window_read_data (to regs)
//!       function_mask,  -->|           |
//! msix_enable, holding     |           |
//!  clear, function_reset ->|           |---> quiet
//!  coalescing_f0, ..,   -->|           |
//!  exempt_write_f0, ..     |           |
//!                          +-----------+
//! ```
//! ## Theory of operation
//! PCI Express Base, "MSI-X Capability and Table Structure". Each function has a table of its own, and a bit in each of the inputs that are not
//! about one vector.
//! 1. `raise` sets the pending bit of a vector; if it is set already, both requests become one message.
//! 2. Functions take turns, and so do the vectors of one that are pending and not masked: the bit is cleared and the message sent, table data to table
//!    address. If there is nothing else to send, a vector that is raised is sent at once.
//! 3. While a vector, the function or MSI-X is masked or off, the bit stays; the host sees it in the pending bit array.
//! 4. `holding` stops messages when a life of the controller has ended; `clear` forgets the pending bits. The table survives both. A function
//!    level reset masks all vectors.
//! 5. *Coalescing* (NVMe Base, "Interrupt Coalescing"): a request for a vector that takes part in it is only counted, and its bit in `delayed` set. The
//!    vector becomes pending with the request that reaches the threshold, or, with all others of its function that are delayed, when the
//!    aggregation time has passed since the first of them was.
//!
//! The window is the table, and above it the pending bit array; addresses count dwords.
//!
//! ## Timing
//! From `raise` to the message 2 clocks, 6 if others are to be sent. `window_read_data` shows `window_read_address` one clock later. Time is counted in
//! [`AGGREGATION_TIME_CLOCKS`].
//!
//! ## Limits
//! Each function has as many vectors as there are I/O queues altogether, and one more. Vector 0, that of the admin queue, is never delayed.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::{bit_at, function_bit, function_number, function_row, function_rows};
use crate::types::Message;
use crate::Config;
use nvme_spec::feature::AGGREGATION_TIME_CLOCKS;
use nvme_spec::firmware_port::coalescing;
use nvme_spec::regs::{BAR0_BYTES, MSIX_ENTRY_BYTES, MSIX_PBA, MSIX_TABLE};
use rtl_hdl::{
    address_width, cat, hw_enum, lit, select, switch, when, zero, Block, Clock, Constant, MemoryStyle, Module, Signal,
};
use rtl_prim::{one_hot, one_hot_index, one_hot_select, round_robin};

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

/// Clocks of a unit of the aggregation time.
const TICK_CLOCKS: u32 = AGGREGATION_TIME_CLOCKS as u32;
/// Width of `coalescing`: the threshold minus one in the low byte, the time in the high byte, as the feature has them.
pub const COALESCING_BITS: u32 = coalescing::THR.width + coalescing::TIME.width;

hw_enum! {
    /// `Look -> Turn -> Name -> Send -> Look`; from `Look` to `Send` with a vector that is raised while nothing is pending.
    pub enum State {
        /// Which functions have something to send. Leaves when one has.
        Look,
        /// One of the vectors of the function. Leaves in one clock.
        Turn,
        /// Its number. Leaves in one clock.
        Name,
        /// The message. Leaves when it has been offered.
        Send,
    }
}

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

/// What each function has of its own.
struct Function {
    pending: Signal,
    masked: Signal,
    last_turn: Signal,
    has: Signal,
    /// Requests wait to be aggregated.
    delayed: Signal,
    /// Vectors that do not take part in coalescing.
    exempt: Signal,
    exempt_write: Signal,
    exempt_vector: Signal,
    exempt_value: Signal,
    ticks: Signal,
    threshold: Signal,
    time: Signal,
}

impl Function {
    #[track_caller]
    fn new(m: &Module, clock: Clock, number: u32, vectors: u32) -> Function {
        let coalescing = m.input(&format!("coalescing_f{number}"), COALESCING_BITS);
        let bits = |name: &str| m.reg(&format!("{name}_f{number}"), clock, zero(vectors));
        Function {
            pending: bits("pending"),
            masked: m.reg(&format!("masked_f{number}"), clock, Constant::ones(vectors)),
            last_turn: bits("last_turn"),
            has: m.reg(&format!("has_f{number}"), clock, false),
            delayed: bits("delayed"),
            exempt: bits("exempt"),
            exempt_write: m.input(&format!("exempt_write_f{number}"), 1),
            exempt_vector: m.input(&format!("exempt_vector_f{number}"), 16),
            exempt_value: m.input(&format!("exempt_value_f{number}"), 1),
            ticks: m.reg(&format!("ticks_f{number}"), clock, zero(coalescing::TIME.width)),
            threshold: coalescing.low(coalescing::THR.width),
            time: coalescing.bits(coalescing::THR.width..COALESCING_BITS),
        }
    }
}

impl Block for Irq {
    fn name(&self) -> String {
        format!("irq_n{}_v{}", self.config.functions, self.config.vectors())
    }

    fn description(&self) -> String {
        "MSI-X tables, masks, pending bits, coalescing and messages.".into()
    }

    fn build(&self, m: &Module) {
        let functions = self.config.functions;
        let vectors = self.config.vectors();
        let vector_bits = address_width(vectors);

        // 1. Ports
        let clock = m.clock();
        let raise = m.input("raise", 1);
        let raise_function = m.input("raise_function", 8);
        let raise_vector = m.input("raise_vector", 8);
        let [msix_enable, function_mask] = ["msix_enable", "function_mask"].map(|name| m.input(name, functions));
        let [holding, clear, function_reset] =
            ["holding", "clear", "function_reset"].map(|name| m.input(name, functions));
        let window_write = m.input("window_write", 1);
        let window_function = m.input("window_function", 8);
        let window_address = m.input("window_address", WINDOW_BITS);
        let window_data = m.input("window_data", 32);
        let window_strobe = m.input("window_strobe", 4);
        let window_read_function = m.input("window_read_function", 8);
        let window_read_address = m.input("window_read_address", WINDOW_BITS);
        let message = m.stream_out_single::<Message>("message");

        // 2. State
        let state = m.reg("state", clock, State::Look);
        let of: Vec<Function> = (0..functions).map(|number| Function::new(m, clock, number, vectors)).collect();
        let last_function = m.reg("last_function", clock, zero(functions));
        let function = m.reg_without_reset("sent_function", clock, functions);
        let offered_function = m.reg_without_reset("offered_function", clock, functions);
        let turn = m.reg_without_reset("turn", clock, vectors);
        let vector = m.reg_without_reset("vector", clock, vector_bits);
        let prescaler = m.reg("prescaler", clock, zero(address_width(TICK_CLOCKS)));
        let window_read_data = m.reg_without_reset("window_read_data_held", clock, 32);
        let quiet = m.reg("quiet_held", clock, zero(functions));
        let rows = function_rows(functions, vector_bits);
        let memory = |name: &str, width: u32| m.memory(name, width, rows, MemoryStyle::Distributed);
        let tables = [memory("address_low", 32), memory("address_high", 32), memory("data", 32)];
        let counts = memory("counts", coalescing::THR.width);
        let row = |function: Signal, vector: Signal| function_row(function, vector.low(vector_bits), functions);

        // 3. Conditions
        let may_send = m.wire("may_send", msix_enable & !function_mask & !holding);
        let sendable: Vec<Signal> =
            (0..).zip(&of).map(|(number, f)| m.wire(&format!("sendable_f{number}"), f.pending & !f.masked)).collect();
        let has = m.wire("has", cat(&of.iter().rev().map(|f| f.has).collect::<Vec<_>>()));
        let next_function = m.wire("next_function", round_robin(has, last_function));
        let ours = m.wire("ours", one_hot_select(function, &sendable));
        let last = m.wire("last", one_hot_select(function, &of.iter().map(|f| f.last_turn).collect::<Vec<_>>()));
        let is_allowed = m.wire("is_allowed", (may_send & function).any());
        let send = m.wire("send", state.is(State::Send) & message.can_take());
        let written = Place::of(window_address, vectors, vector_bits);
        let read = Place::of(window_read_address, vectors, vector_bits);

        // 3. Conditions: what a request does.
        let raised_function = m.wire("raised_function", function_bit(raise_function, functions));
        let raised_row = m.wire("raised_row", row(raise_function, raise_vector));
        let of_raised = |value: &dyn Fn(&Function) -> Signal| {
            one_hot_select(raised_function, &of.iter().map(value).collect::<Vec<_>>())
        };
        let is_delayed = m.wire("is_delayed", bit_at(of_raised(&|f| f.delayed), raise_vector.low(vector_bits)));
        let is_exempt = m.wire("is_exempt", {
            bit_at(of_raised(&|f| f.exempt), raise_vector.low(vector_bits)) | raise_vector.eq(0)
        });
        let threshold = m.wire("threshold", of_raised(&|f| f.threshold));
        let count = m.wire("count", is_delayed.mux(counts.lookup(raised_row), lit(0u8, coalescing::THR.width)));
        let is_counted = m.wire("is_counted", {
            let has_time = of_raised(&|f| f.time).any();
            raise & !is_exempt & has_time & count.lt(threshold)
        });
        let is_pended = m.wire("is_pended", raise & !is_counted);
        let is_masked = m.wire("is_masked", bit_at(of_raised(&|f| f.masked), raise_vector.low(vector_bits)));
        let is_sent_at_once = m.wire("is_sent_at_once", {
            let nothing_else = !has.any() & state.is(State::Look);
            is_pended & !is_masked & (may_send & raised_function).any() & nothing_else
        });

        // 4. Next state: messages.
        switch(state, |s: State| match s {
            State::Look => {
                function.set(next_function);
                vector.set(raise_vector.low(vector_bits));
                when(has.any(), || {
                    last_function.set(next_function);
                    state.goto(State::Turn);
                })
                .else_when(is_sent_at_once, || {
                    function.set(raised_function);
                    state.goto(State::Send);
                });
            }
            State::Turn => {
                turn.set(round_robin(ours, last));
                state.goto(State::Name);
            }
            State::Name => {
                vector.set(one_hot_index(turn));
                when(turn.any() & is_allowed, || state.goto(State::Send)).otherwise(|| state.goto(State::Look));
            }
            State::Send => when(message.can_take(), || state.goto(State::Look)).otherwise(|| {}),
        });
        when(state.is(State::Send) & (clear & function).any(), || state.goto(State::Look));
        when(send & !(clear & function).any(), || {
            let at = row(function_number(function), vector);
            let [low, high, data] = tables.map(|table| table.lookup(at));
            // A message is one aligned dword.
            let address = cat(&[high, low.bits(2..32), lit(0u8, 2)]);
            offered_function.set(function);
            message.offer(Message { function: function_number(function), address, data });
        });

        // 4. Next state: requests.
        let tick = m.wire("tick", prescaler.eq(TICK_CLOCKS - 1));
        prescaler.set(tick.mux(prescaler.literal(0u8), prescaler + 1));
        counts.write(clock, raise, raised_row, count + 1);
        let raised_vector = m.wire("raised_vector", one_hot(raise_vector.low(vector_bits), vectors));
        for (number, f) in (0..).zip(&of) {
            let here = raised_function.bit(number);
            let all = |condition: Signal| condition.repeat(vectors);
            let pended = raised_vector & all(here & is_pended & !is_sent_at_once);
            let counted = raised_vector & all(here & is_counted);
            let is_late = m.wire(&format!("is_late_f{number}"), tick & f.ticks.ge(f.time) & f.delayed.any());
            let late = f.delayed & all(is_late);
            let named = turn & all(state.is(State::Name) & function.bit(number));
            let chosen = named & all(is_allowed);
            f.pending.set((f.pending & !chosen) | pended | late);
            f.delayed.set(((f.delayed & !late) | counted) & !pended & !(raised_vector & all(here & is_sent_at_once)));
            // The first tick may come at once: time counts whole ticks after it.
            when(!f.delayed.any() | is_late, || f.ticks.set(zero(coalescing::TIME.width)))
                .else_when(tick, || f.ticks.set(f.ticks + 1));
            when(chosen.any(), || f.last_turn.set(turn));
            f.has.set((sendable[number as usize] & !named).any() & may_send.bit(number));
            let exempted = one_hot(f.exempt_vector.low(vector_bits), vectors) & all(f.exempt_write);
            f.exempt.set(f.exempt_value.mux(f.exempt | exempted, f.exempt & !exempted));
            when((clear | function_reset).bit(number), || {
                f.pending.set(zero(vectors));
                f.delayed.set(zero(vectors));
                f.exempt.set(zero(vectors));
                f.has.set(false);
            });
            let this = one_hot(written.vector, vectors) & all(window_function.eq(number));
            when(window_write & written.in_table & written.dword.eq(CONTROL) & window_strobe.bit(0), || {
                f.masked.set(window_data.bit(0).mux(f.masked | this, f.masked & !this));
            });
            when(function_reset.bit(number), || f.masked.set(Constant::ones(vectors)));
        }

        // 4. Next state: the window.
        let written_row = m.wire("written_row", row(window_function, written.vector));
        let writes_table = window_write & written.in_table & window_function.zext(9).lt(functions);
        for (table, dword) in tables.iter().zip([ADDRESS_LOW, ADDRESS_HIGH, DATA]) {
            table.write_lanes(clock, writes_table & written.dword.eq(dword), written_row, window_data, window_strobe);
        }
        let reader = m.wire("reader", function_bit(window_read_function, functions));
        let of_reader =
            |value: &dyn Fn(&Function) -> Signal| one_hot_select(reader, &of.iter().map(value).collect::<Vec<_>>());
        let read_row = m.wire("read_row", row(window_read_function, read.vector));
        let [low, high, data] = tables.map(|table| table.lookup(read_row));
        let control = bit_at(of_reader(&|f| f.masked), read.vector).zext(32);
        let entry = select(&[low, high, data, control], read.dword);
        let pending_words = words(of_reader(&|f| f.pending));
        let pending_word = select(&pending_words, read.index.low(address_width(pending_words.len() as u32)));
        let in_pending = read.is_pending & read.index.lt(pending_words.len() as u32);
        window_read_data.set(in_pending.mux(pending_word, read.in_table.mux(entry, zero(32))));
        let on_its_way = function & (!state.is(State::Look)).repeat(functions);
        let offered = offered_function & (!message.can_take()).repeat(functions);
        quiet.set(!(on_its_way | offered));

        // 5. Outputs
        m.output("window_read_data", window_read_data);
        m.output("quiet", quiet);
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
