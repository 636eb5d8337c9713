//! # DMA engine
//!
//! Copies memory for firmware, line by line, between places that it is allowed to touch.
//!
//! ## Symbol
//! ```text
//!                     +- dma_engine -+
//!  bus (AXI4-Lite) ==>|              |==> memory   (AXI4 manager, 512 bits)
//!                     |              |---> dma_interrupt, dma_line
//!                     +--------------+
//! ```
//! ## Theory of operation
//! ```text
//!  START -> measure -> check --(allowed)--> reads -> lines (FIFO) -> writes -> answers -> DONE
//!                        +----(forbidden)-----------------------------------------------> DONE
//! ```
//! 1. The registers are those of [`soc_map::dma`]. START takes SOURCE, DESTINATION and BYTES over, so that they can be written for the next copy.
//! 2. A *window* allows reads or writes between two addresses. A copy begins only if one window allows all of its source, and one all of its destination:
//!    nothing is touched of one that is refused. After a reset there is no window. Who sets the windows up can lock them.
//! 3. Each line is a read and a write of a single beat. Reads run ahead of writes by at most [`DEPTH`] lines. A line whose read fails is
//!    written with no byte of it, and the copy goes on.
//!
//! ## Timing
//! A line per clock, if memory keeps up. The first read is offered 4 clocks after START was written. No combinational path from any input to any output.
//!
//! ## Limits
//! A copy onto a later part of its own source does not copy what was there before. Of several errors the first is told. A window that is changed holds for the
//! next copy.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_bus::{resp, Axi4, Axi4Config, AxiLite, AxiLiteRegisters, WriteData};
use rtl_hdl::{address_width, cat, lit, when, zero, Block, Clock, Constant, Module, Signal};
use rtl_prim::fifo_bits;
use soc_map::dma::{
    Outcome, BYTES, CONTROL, DESTINATION, INTERRUPT, LOCKED, OUTCOME_SHIFT, READ, SOURCE, START, STATUS, WINDOWS,
    WINDOW_ACCESS, WINDOW_FIRST, WINDOW_LAST, WINDOW_STRIDE, WRITE,
};
use soc_map::rocket::{CACHED, LINE_BYTES};
use soc_map::DMA;

#[cfg(test)]
pub(crate) mod bench;

/// Width of the block's addresses.
pub const ADDRESS_BITS: u32 = DMA.bytes.ilog2();

/// Lines that have been asked for and not been written.
pub const DEPTH: u32 = 16;

/// Of the addresses in memory.
const MEMORY_BITS: u32 = CACHED.end().ilog2();

/// Of the address of a line.
const LINE_BITS: u32 = MEMORY_BITS - LINE_BYTES.ilog2();

/// The bus to memory.
pub const MEMORY: Axi4Config =
    Axi4Config { address_bits: MEMORY_BITS, data_bits: 8 * LINE_BYTES, id_bits: 4, user_bits: 1 };

const OUTCOME_BITS: u32 = 3;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaEngine;

impl Block for DmaEngine {
    fn name(&self) -> String {
        "dma_engine".into()
    }

    fn description(&self) -> String {
        "Copies memory for firmware.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "bus", ADDRESS_BITS);
        let memory = Axi4::manager(m, "memory", MEMORY);

        // 2. State
        let word = AxiLite::DATA_BITS;
        let register = |name: &str| m.reg(name, clock, zero(word));
        let flag = |name: &str| m.reg(name, clock, false);
        let [source, destination, bytes] = ["source", "destination", "bytes"].map(register);
        let [busy, done, measuring, checking, interrupts] =
            ["busy", "done", "measuring", "checking", "interrupts"].map(flag);
        let outcome = m.reg("outcome", clock, zero(OUTCOME_BITS));
        let windows: Vec<Window> = (0..WINDOWS).map(|number| Window::new(m, clock, number)).collect();
        // What is copied, from the first line to the last.
        let from = Span::new(m, clock, "from");
        let to = Span::new(m, clock, "to");
        let wrong = flag("wrong");
        let [to_read, to_answer] = ["to_read", "to_answer"].map(|name| m.reg(name, clock, zero(LINE_BITS + 1)));
        let lines = fifo_bits(m, "lines", 8 * LINE_BYTES + 1, DEPTH);
        // Places for lines that nobody has asked for.
        let room = m.reg("room", clock, Constant::from_words(address_width(DEPTH + 1), &[DEPTH.into()]));

        // 3. Conditions
        let data = bus.write_data();
        let starts = m.wire("starts", bus.writes(CONTROL) & data.bit(START.trailing_zeros()) & !busy);
        let allows = |span: &Span, access: u32| {
            windows.iter().fold(lit(0u8, 1), |any, window| any | window.allows(span, access))
        };
        let is = |outcome: Outcome| lit(outcome as u32, OUTCOME_BITS);
        let verdict = wrong.mux(
            is(Outcome::Malformed),
            allows(&from, READ).mux(
                allows(&to, WRITE).mux(is(Outcome::Good), is(Outcome::DestinationForbidden)),
                is(Outcome::SourceForbidden),
            ),
        );
        let verdict = m.wire("verdict", verdict);
        let is_allowed = m.wire("is_allowed", checking & verdict.eq(Outcome::Good as u64));
        let asks = m.wire("asks", to_read.any() & room.any() & memory.ar.can_take());
        let stores = m.wire("stores", lines.valid() & memory.aw.can_take() & memory.w.can_take());
        when(lines.can_push(), || memory.r.take());
        memory.b.take();
        let is_read = m.wire("is_read", memory.r.taken());
        let read_fails = m.wire("read_fails", is_read & resp::is_error(memory.r.payload().resp));
        let is_answered = m.wire("is_answered", memory.b.taken());
        let write_fails = m.wire("write_fails", is_answered & resp::is_error(memory.b.payload().resp));

        // 4. Next state
        when(bus.write(), || bus.accept_write());
        for (offset, register) in [(SOURCE, source), (DESTINATION, destination), (BYTES, bytes)] {
            when(bus.writes(offset), || register.set(data));
        }
        when(bus.writes(INTERRUPT), || interrupts.set(data.bit(0)));
        when(bus.writes(STATUS), || done.set(false));
        for window in &windows {
            let is_open = !window.access.bit(LOCKED.trailing_zeros());
            for (offset, register) in window.registers() {
                when(bus.writes(offset) & is_open, || register.set(data.low(register.width())));
            }
        }

        measuring.set(starts);
        checking.set(measuring);
        when(starts, || {
            busy.set(true);
            done.set(false);
            outcome.set(is(Outcome::Good));
            let line_offset = LINE_BYTES.ilog2();
            for (span, first) in [(&from, source), (&to, destination)] {
                span.first.set(first.bits(line_offset..MEMORY_BITS));
            }
            to_answer.set(bytes.bits(line_offset..MEMORY_BITS).zext(LINE_BITS + 1));
            wrong.set(
                [source, destination, bytes]
                    .map(|word| word.low(line_offset).any())
                    .into_iter()
                    .fold(!bytes.any(), |a, b| a | b),
            );
        });
        for span in [&from, &to] {
            let end = m.wire(&format!("{}_end", span.name), span.first.zext(LINE_BITS + 1) + to_answer - 1);
            when(measuring, || {
                span.last.set(end.low(LINE_BITS));
                when(end.bit(LINE_BITS), || wrong.set(true));
            });
        }
        when(checking & !is_allowed, || {
            outcome.set(verdict);
            busy.set(false);
            done.set(true);
        });
        when(is_allowed, || to_read.set(to_answer));
        when(asks, || {
            to_read.set(to_read - 1);
            from.first.set(from.first + 1);
        });
        room.set(room - asks.zext(room.width()) + stores.zext(room.width()));
        when(is_read, || lines.push(cat(&[!read_fails, memory.r.payload().data])));
        when(stores, || {
            lines.take();
            to.first.set(to.first + 1);
        });
        when(is_answered, || {
            to_answer.set(to_answer - 1);
            when(to_answer.eq(1u8), || {
                busy.set(false);
                done.set(true);
            });
        });
        when(outcome.eq(Outcome::Good as u64), || {
            when(read_fails, || outcome.set(is(Outcome::ReadFailed)))
                .else_when(write_fails, || outcome.set(is(Outcome::WriteFailed)));
        });

        // 5. Outputs
        let one_line = |span: &Span| {
            let address = cat(&[span.first, lit(0u8, LINE_BYTES.ilog2())]);
            MEMORY.whole_beats(lit(0u8, MEMORY.id_bits), address, lit(0u8, 8), lit(0u8, 1))
        };
        when(asks, || memory.ar.offer(one_line(&from)));
        when(stores, || {
            memory.aw.offer(one_line(&to));
            let line = lines.payload();
            memory.w.offer(WriteData {
                data: line.low(8 * LINE_BYTES),
                strb: line.bit(8 * LINE_BYTES).repeat(LINE_BYTES),
                last: lit(1u8, 1),
            });
        });
        let status = cat(&[outcome, lit(0u8, OUTCOME_SHIFT - 2), done, busy]);
        let mut registers = vec![
            (SOURCE, source),
            (DESTINATION, destination),
            (BYTES, bytes),
            (STATUS, status),
            (INTERRUPT, interrupts),
        ];
        registers.extend(windows.iter().flat_map(Window::registers));
        bus.answer_words(registers);
        let interrupt = m.reg("interrupt_line", clock, false);
        interrupt.set(done & interrupts);
        m.output("dma_interrupt", interrupt);
        // Whoever counts lines is told of each one that memory has answered for.
        let line = m.reg("line_answered", clock, false);
        line.set(is_answered);
        m.output("dma_line", line);
    }
}

/// Lines of memory, by their numbers.
struct Span {
    name: &'static str,
    /// The first one that is left.
    first: Signal,
    last: Signal,
}

impl Span {
    fn new(m: &Module, clock: Clock, name: &'static str) -> Self {
        let [first, last] = ["first", "last"].map(|part| m.reg(&format!("{name}_{part}"), clock, zero(LINE_BITS)));
        Self { name, first, last }
    }
}

/// What may be touched.
struct Window {
    number: u32,
    first: Signal,
    last: Signal,
    access: Signal,
}

impl Window {
    fn new(m: &Module, clock: Clock, number: u32) -> Self {
        let register = |part: &str, width: u32| m.reg(&format!("window_{number}_{part}"), clock, zero(width));
        let [first, last] = ["first", "last"].map(|part| register(part, AxiLite::DATA_BITS));
        Self { number, first, last, access: register("access", LOCKED.ilog2() + 1) }
    }

    fn registers(&self) -> [(u32, Signal); 3] {
        [(WINDOW_FIRST, self.first), (WINDOW_LAST, self.last), (WINDOW_ACCESS, self.access)]
            .map(|(offset, value)| (offset + WINDOW_STRIDE * self.number, value))
    }

    fn allows(&self, span: &Span, access: u32) -> Signal {
        let offset_bits = LINE_BYTES.ilog2();
        let first = cat(&[span.first, lit(0u8, offset_bits)]);
        let last = cat(&[span.last, !lit(0u8, offset_bits)]);
        self.access.bit(access.trailing_zeros()) & self.first.le(first) & self.last.ge(last)
    }
}
