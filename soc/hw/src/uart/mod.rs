//! # UART
//!
//! The console of firmware: bytes out, and bytes in.
//!
//! ## Symbol
//! ```text
//!                     +- uart -+
//!  bus (AXI4-Lite) ==>|        |->- transmit   byte
//!          receive ->-|        |---> uart_interrupt
//!                     +--------+
//! ```
//! ## Theory of operation
//! 1. The registers are those of [`soc_map::uart`]. What is written to TRANSMIT goes through a FIFO of [`DEPTH`] bytes to `transmit`, and what comes by
//!    `receive` waits in another one until RECEIVE is read.
//! 2. `uart_interrupt` is 1 while something is there that INTERRUPTS asks for.
//! 3. Bytes become bits outside: a board has a serializer there, a simulation a console.
//!
//! ## Timing
//! A read is answered 2 clocks after it was taken. `uart_interrupt` follows by a clock. No combinational path from any input to any output.
//!
//! ## Limits
//! A byte that is written while there is no room is lost. Nothing is lost on the way in: `receive` waits.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use rtl_bus::{AxiLite, AxiLiteRegisters};
use rtl_hdl::{cat, lit, when, zero, Block, Module};
use rtl_prim::fifo_bits;
use soc_map::uart::{INTERRUPTS, RECEIVE, STATUS, TRANSMIT};
use soc_map::UART;

#[cfg(test)]
pub(crate) mod bench;

/// Bytes of each FIFO.
pub const DEPTH: u32 = 64;

/// Width of the block's addresses.
pub const ADDRESS_BITS: u32 = UART.bytes.ilog2();

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uart;

impl Block for Uart {
    fn name(&self) -> String {
        "uart".into()
    }

    fn description(&self) -> String {
        "The console of firmware.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "bus", ADDRESS_BITS);
        let transmit = m.stream_out_bits("transmit", 8);
        let receive = m.stream_in_bits("receive", 8);

        // 2. State
        let outgoing = fifo_bits(m, "outgoing", 8, DEPTH);
        let incoming = fifo_bits(m, "incoming", 8, DEPTH);
        let enabled = m.reg("enabled", clock, zero(2));
        let interrupt = m.reg("interrupt_line", clock, false);

        // 3. Conditions
        let status = m.wire("status", cat(&[incoming.valid(), outgoing.can_push()]));

        // 4. Next state
        when(bus.write(), || bus.accept_write());
        when(bus.writes(TRANSMIT) & outgoing.can_push(), || outgoing.push(bus.write_data().low(8)));
        when(bus.writes(INTERRUPTS), || enabled.set(bus.write_data().low(2)));
        when(bus.read() & bus.reads(RECEIVE), || incoming.take());
        when(incoming.can_push(), || {
            receive.take();
            when(receive.valid(), || incoming.push(receive.payload()));
        });
        when(transmit.can_take(), || {
            outgoing.take();
            when(outgoing.valid(), || transmit.offer(outgoing.payload()));
        });
        interrupt.set((status & enabled).any());

        // 5. Outputs
        let byte = incoming.payload() & incoming.valid().repeat(8);
        let received = cat(&[!incoming.valid(), lit(0u8, AxiLite::DATA_BITS - 9), byte]);
        let registers = [(RECEIVE, received), (STATUS, status), (INTERRUPTS, enabled)];
        bus.answer_words(registers);
        m.output("uart_interrupt", interrupt);
    }
}
