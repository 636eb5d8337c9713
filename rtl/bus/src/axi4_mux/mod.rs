//! # AXI4 multiplexer
//!
//! Lets several managers share one subordinate, fairly, a burst at a time.
//!
//! ## Symbol
//! ```text
//!              +- axi4_mux -+
//!    from_0 ==>|            |
//!    from_1 ==>|            |==> to   (AXI4)
//!       ... ==>|            |
//!              +------------+
//! ```
//! ## Theory of operation
//! 1. Of each address channel, `turn` names the only manager that is listened to. The turn moves to the next other manager that offers an address, when one
//!    was taken or when there is none.
//! 2. The number of the manager goes in front of the identifier, so that answers find back and those of different managers need not come in order.
//! 3. Write data of different bursts is not mixed (AMBA AXI, "Write data ordering"): a FIFO remembers whose addresses were taken, and the data follows in that
//!    order.
//! 4. An answer is taken when every manager has room for it.
//!
//! ## Timing
//! An address every clock, a beat per clock on each data channel, also across a change of managers; each item is offered one clock after it was
//! taken, data of a write no sooner than two clocks after its address. A manager that has not the turn waits a clock more.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! A manager that does not take its answers holds up those of the others.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{Address, Axi4, Axi4Config, ReadData, WriteResponse};
use rtl_hdl::{address_width, cat, when, zero, Block, Constant, Module, Signal, StreamIn};
use rtl_prim::{choose, fifo_bits, one_hot_index, round_robin};

#[cfg(test)]
pub(crate) mod bench;

/// Write addresses whose data has not all come.
const WRITES_MAX: u32 = 16;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axi4Mux {
    /// How many managers there are, from 2 on.
    pub managers: u32,
    /// The widths of their buses.
    pub config: Axi4Config,
}

impl Axi4Mux {
    /// The widths of the bus `to`: the identifiers are wider.
    pub const fn to(&self) -> Axi4Config {
        let Axi4Config { address_bits, data_bits, id_bits, user_bits } = self.config;
        Axi4Config { address_bits, data_bits, id_bits: id_bits + address_width(self.managers), user_bits }
    }
}

impl Block for Axi4Mux {
    fn name(&self) -> String {
        let Axi4Config { address_bits, data_bits, id_bits, user_bits } = self.config;
        format!("axi4_mux_{}_a{address_bits}_d{data_bits}_i{id_bits}_u{user_bits}", self.managers)
    }

    fn description(&self) -> String {
        format!("Lets {} managers share one subordinate, fairly.", self.managers)
    }

    fn build(&self, m: &Module) {
        let number_bits = address_width(self.managers);
        let id_bits = self.config.id_bits;

        // 1. Ports
        let clock = m.clock();
        let from: Vec<_> =
            (0..self.managers).map(|n| Axi4::subordinate(m, &format!("from_{n}"), self.config)).collect();
        let to = Axi4::manager(m, "to", self.to());

        // 2. State
        let first = Constant::new(1, self.managers).unwrap_or_else(|| zero(1));
        let [read_turn, write_turn] = ["read_turn", "write_turn"].map(|name| m.reg(name, clock, first.clone()));
        let order = fifo_bits(m, "order", number_bits, WRITES_MAX);

        // 3. Conditions
        let reads: Vec<_> = from.iter().map(|from| from.ar).collect();
        let writes: Vec<_> = from.iter().map(|from| from.aw).collect();
        let read_taken = m.wire("read_taken", listen(&reads, read_turn, to.ar.can_take()));
        let write_taken = m.wire("write_taken", listen(&writes, write_turn, to.aw.can_take() & order.can_push()));
        for (number, from) in (0..).zip(&from) {
            when(order.valid() & order.payload().eq(number as u64) & to.w.can_take(), || from.w.take());
        }
        let data_taken = m.wire("data_taken", any(from.iter().map(|from| from.w.taken())));
        when(all(from.iter().map(|from| from.r.can_take())), || to.r.take());
        when(all(from.iter().map(|from| from.b.can_take())), || to.b.take());

        // 4. Next state
        when(read_taken, || to.ar.offer(self.named(&reads, read_turn)));
        when(write_taken, || {
            to.aw.offer(self.named(&writes, write_turn));
            order.push(one_hot_index(write_turn));
        });
        pass_turn(&reads, read_turn, read_taken);
        pass_turn(&writes, write_turn, write_taken);
        let beat = |number: usize| from[number].w.payload();
        let data = (1..from.len()).fold(beat(0), |data, number| choose(from[number].w.taken(), beat(number), data));
        when(data_taken, || {
            to.w.offer(data);
            when(data.last, || order.take());
        });

        // 5. Outputs
        let read = to.r.payload();
        let response = to.b.payload();
        for (number, from) in (0u64..).zip(&from) {
            let is_of = |id: Signal| id.bits(id_bits..id_bits + number_bits).eq(number);
            when(to.r.taken() & is_of(read.id), || {
                from.r.offer(ReadData { id: read.id.low(id_bits), data: read.data, resp: read.resp, last: read.last });
            });
            when(to.b.taken() & is_of(response.id), || {
                from.b.offer(WriteResponse { id: response.id.low(id_bits), resp: response.resp });
            });
        }
    }
}

impl Axi4Mux {
    /// The address of the manager that has the turn, with its number in front of the identifier.
    fn named(&self, channels: &[StreamIn<Address>], turn: Signal) -> Address {
        let address = |number: usize| channels[number].payload();
        let chosen = (1..channels.len())
            .fold(address(0), |chosen, number| choose(turn.bit(number as u32), address(number), chosen));
        let Address { id, addr, len, size, burst, user } = chosen;
        Address { id: cat(&[one_hot_index(turn), id]), addr, len, size, burst, user }
    }
}

/// Takes an address of the manager that has the turn, if there is room; says whether one was taken.
fn listen(channels: &[StreamIn<Address>], turn: Signal, room: Signal) -> Signal {
    for (number, channel) in (0..).zip(channels) {
        when(turn.bit(number) & room, || channel.take());
    }
    any(channels.iter().map(|channel| channel.taken()))
}

/// Moves the turn on.
fn pass_turn(channels: &[StreamIn<Address>], turn: Signal, taken: Signal) {
    let valid: Vec<Signal> = channels.iter().rev().map(|channel| channel.valid()).collect();
    let valid = cat(&valid);
    let others = valid & !turn;
    let movable = taken | !(valid & turn).any();
    when(movable & others.any(), || turn.set(round_robin(others, turn)));
}

fn any(signals: impl Iterator<Item = Signal>) -> Signal {
    signals.reduce(|a, b| a | b).expect("there are some")
}

fn all(signals: impl Iterator<Item = Signal>) -> Signal {
    signals.reduce(|a, b| a & b).expect("there are some")
}
