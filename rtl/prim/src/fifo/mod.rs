//! # FIFO
//!
//! Holds items in a RAM and gives them out in their order.
//!
//! ## Symbol
//! ```text
//!           +--- fifo ---+
//!     in ->-|            |->- out   (streams of any payload)
//!           +------------+
//! ```
//! ## Theory of operation
//! 1. An item is written at `tail` and counted in `held`.
//! 2. While something is held and the output register is free, or becomes free in this clock, the item at `head` is read into it.
//!    The output register is the read register of the RAM itself.
//!
//! Small FIFOs use distributed RAM, large ones block RAM; the behaviour is the same.
//!
//! ## Timing
//! One item per clock in and out. An item that meets an empty FIFO is offered two clocks after it was taken.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! It holds `depth` items, and one more in the output register.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::{next_index, Payload, Traffic};
use rtl_hdl::{address_width, when, zero, Block, InstanceHandle, MemoryStyle, Module, Shape, Signal};

#[cfg(test)]
pub(crate) mod bench;
mod props;

/// Words up to which a memory is made of distributed RAM: one LUT holds 64 bits.
const DISTRIBUTED_WORDS_MAX: u32 = 64;

/// See the [page](self) of this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    payload: Payload,
    depth: u32,
}

impl Fifo {
    /// A FIFO for `depth` items, at least one.
    pub fn new(payload: Payload, depth: u32) -> Fifo {
        Fifo { payload, depth }
    }
}

impl Block for Fifo {
    fn name(&self) -> String {
        format!("fifo_{}_{}", self.payload.name(), self.depth)
    }

    fn description(&self) -> String {
        format!("Holds {} items of {} bits.", self.depth, self.payload.width())
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let input = self.payload.stream_in(m, "in");
        let output = self.payload.stream_out_wires(m, "out");

        // 2. State
        let style = match self.depth {
            ..=DISTRIBUTED_WORDS_MAX => MemoryStyle::Distributed,
            _ => MemoryStyle::Block,
        };
        let items = m.memory("items", self.payload.width(), self.depth, style);
        let head = m.reg("head", clock, zero(items.address_width()));
        let tail = m.reg("tail", clock, zero(items.address_width()));
        let held = m.reg("held", clock, zero(address_width(self.depth + 1)));
        let offered = m.reg("offered", clock, false);

        // 3. Conditions
        let room = m.wire("room", held.ne(self.depth));
        when(room, || input.take());
        let write = m.wire("write", input.taken());
        let read = m.wire("read", held.ne(0) & (!offered | output.ready));

        // 4. Next state
        items.write(clock, write, tail, input.payload());
        let item = items.read_when(clock, "item", read, head);
        when(write, || tail.set(next_index(tail, self.depth)));
        when(read, || head.set(next_index(head, self.depth)));
        when(write & !read, || held.set(held + 1));
        when(read & !write, || held.set(held - 1));
        when(output.ready, || offered.set(false));
        when(read, || offered.set(true));

        // 5. Outputs
        output.valid.set(offered);
        output.payload.set(item);

        // 6. Properties
        let traffic = Traffic { push: write, pushed: input.payload(), pop: offered & output.ready, popped: item };
        props::keeps_order(m, clock, self.depth, props::Inside { items, head, tail, held, offered, item }, traffic);
    }
}

/// A FIFO inside a block, seen from that block.
#[derive(Clone, Debug)]
pub struct FifoHandle<V> {
    can_push: Signal,
    push: Signal,
    input: V,
    valid: Signal,
    item: V,
    ready: Signal,
}

impl<V: rtl_hdl::Value> FifoHandle<V> {
    #[track_caller]
    fn new(m: &Module, fifo: &InstanceHandle, input: V, item: V) -> FifoHandle<V> {
        let handle = FifoHandle {
            can_push: fifo.port("in_ready"),
            push: fifo.port("in_valid"),
            input,
            valid: fifo.port("out_valid"),
            item,
            ready: fifo.port("out_ready"),
        };
        m.default_to(handle.push, false);
        m.default_to(handle.ready, false);
        m.dont_care(&handle.input);
        handle
    }

    /// True where [`push`](Self::push) is allowed; from registers.
    pub fn can_push(&self) -> Signal {
        self.can_push
    }

    /// Puts `item` in, under the conditions around this call, which must include [`can_push`](Self::can_push).
    #[track_caller]
    pub fn push(&self, item: V) {
        self.push.set(true);
        self.input.set(item);
    }

    /// True where an item is there; a register.
    pub fn valid(&self) -> Signal {
        self.valid
    }

    /// The oldest item, meaningful only while [`valid`](Self::valid); a register.
    pub fn payload(&self) -> V {
        self.item
    }

    /// Takes the item, if there is one, under the conditions around this call. Inside a block this may depend on the item.
    #[track_caller]
    pub fn take(&self) {
        self.ready.set(true);
    }

    /// True in the clock in which an item is taken.
    #[track_caller]
    pub fn taken(&self) -> Signal {
        self.valid & self.ready
    }
}

/// Puts a FIFO for `depth` items of the shape `T` into the block that is being built; the instance is called `name`.
#[track_caller]
pub fn fifo_of<T: Shape>(m: &Module, name: &str, depth: u32) -> FifoHandle<T::Value> {
    let fifo = fifo_instance(m, name, T::WIDTH, depth);
    let input = T::declare("", &mut |field, width| m.wire_of_width(&joined(name, "item_pushed", field), width));
    fifo.port("in_data").set(rtl_hdl::Value::pack(&input));
    let item = m.wire(&format!("{name}_item"), T::unpack(fifo.port("out_data")));
    FifoHandle::new(m, &fifo, input, item)
}

/// Like [`fifo_of`], for plain bits of a width that is known at run time.
#[track_caller]
pub fn fifo_bits(m: &Module, name: &str, width: u32, depth: u32) -> FifoHandle<Signal> {
    let fifo = fifo_instance(m, name, width, depth);
    let (input, item) = (fifo.port("in_data"), fifo.port("out_data"));
    FifoHandle::new(m, &fifo, input, item)
}

#[track_caller]
fn fifo_instance(m: &Module, name: &str, width: u32, depth: u32) -> InstanceHandle {
    m.instance(name, &Fifo::new(Payload::bits(width), depth))
}

fn joined(instance: &str, part: &str, field: &str) -> String {
    match field {
        "" => format!("{instance}_{part}"),
        field => format!("{instance}_{part}_{field}"),
    }
}
