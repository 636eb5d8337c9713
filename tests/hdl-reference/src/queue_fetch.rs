//! The design in the Rust HDL.

use rtl_hdl::{
    cases, cat, hw_bundle, hw_enum, hw_view, lit, switch, when, zero, Bits, Block, MemoryStyle, Module, Shape, Signal,
    Value,
};

/// The same design, written by hand.
pub const HAND_WRITTEN: &str = include_str!("queue_fetch.sv");
/// Its top module.
pub const HAND_WRITTEN_TOP: &str = "hand_queue_fetch";

/// Width of a queue index.
const INDEX_BITS: u32 = 6;
/// Commands that the FIFO holds.
const FIFO_DEPTH: u32 = 512;

// example: types
hw_enum! {
    /// `Idle -> Address -> Data -> Push -> Idle`.
    enum State {
        /// Nothing in flight. Leaves when an entry is published and the FIFO has room.
        Idle,
        /// A read is offered. Leaves when it is taken.
        Address,
        /// Four beats are expected. Leaves on the fourth.
        Data,
        /// A whole entry is held. Leaves when the FIFO takes it.
        Push,
    }
}

hw_enum! {
    /// What an entry asks for.
    enum Operation {
        /// Opcode 0.
        Flush,
        /// Opcode 1.
        Write,
        /// Opcode 2.
        Read,
        /// Anything else.
        Invalid,
    }
}

hw_bundle! {
    /// What is kept of an entry.
    struct Command {
        op: Operation,
        cid: Bits<16>,
        nsid: Bits<32>,
        prp1: Bits<64>,
        prp2: Bits<64>,
        slba: Bits<64>,
        nlb: Bits<16>,
    }
}

/// The fields of the 64 bytes that the design looks at.
#[repr(C)]
struct WireEntry {
    opcode: u8,
    flags: u8,
    cid: u16,
    nsid: u32,
    reserved: [u32; 4],
    prp1: u64,
    prp2: u64,
    slba: u64,
    nlb: u16,
    more: [u16; 7],
}

hw_view! {
    /// Hardware view of the entry.
    struct Entry from WireEntry { opcode: 8, cid: 16, nsid: 32, prp1: 64, prp2: 64, slba: 64, nlb: 16 }
}
// end

// example: pointers
struct Pointers;

impl Block for Pointers {
    fn name(&self) -> String {
        "sq_pointers".into()
    }

    fn build(&self, m: &Module) {
        let clock = m.clock();
        let doorbell_valid = m.input("db_valid", 1);
        let doorbell_tail = m.input("db_tail", INDEX_BITS);
        let pop = m.input("pop", 1);

        let head = m.reg("head_q", clock, zero(INDEX_BITS));
        let tail = m.reg("tail_q", clock, zero(INDEX_BITS));
        let error = m.reg("error_q", clock, false);

        let moves_back = m.wire("moves_back", (doorbell_tail - head).lt(tail - head));

        when(doorbell_valid, || when(moves_back, || error.set(true)).otherwise(|| tail.set(doorbell_tail)));
        when(pop, || head.set(head + 1));

        m.output("head", head);
        m.output("nonempty", head.ne(tail));
        m.output("db_err", error);
    }
}
// end

// example: fifo
struct CommandFifo;

impl Block for CommandFifo {
    fn name(&self) -> String {
        "command_fifo".into()
    }

    fn build(&self, m: &Module) {
        m.allow_combinational("the reader advances the block RAM's address in the clock of its request");
        let clock = m.clock();
        let write = m.input("we", 1);
        let data = m.input("wdata", Command::WIDTH);
        let next = m.input("next", 1);

        let ram = m.memory("ram", Command::WIDTH, FIFO_DEPTH, MemoryStyle::Block);
        let bits = ram.address_width();
        let write_at = m.reg("write_at", clock, zero(bits));
        let write_seen = m.reg("write_seen", clock, zero(bits));
        let read_at = m.reg("read_at", clock, zero(bits));

        let empty = m.wire("empty", write_seen.eq(read_at));
        let full = m.wire("full_now", (write_at + 1).eq(read_at));
        let take = m.wire("take", write & !full);
        let read_next = m.wire("read_next", read_at + (next & !empty).zext(bits));

        when(take, || write_at.set(write_at + 1));
        write_seen.set(write_at);
        read_at.set(read_next);
        ram.write(clock, take, write_at, data);

        m.output("rdata", ram.read(clock, "ram_q", read_next));
        m.output("valid", !empty);
        m.output("full", full);
        m.output("almost_full", full | (write_at + 2).eq(read_at));
    }
}
// end

// example: engine
/// The fetch engine: a doorbell, a 128-bit read port, a FIFO of decoded commands.
pub struct QueueFetch;

impl Block for QueueFetch {
    fn name(&self) -> String {
        "queue_fetch".into()
    }

    fn build(&self, m: &Module) {
        m.allow_combinational("the command port is the FIFO's, which is the point of the comparison");
        // 1. Ports
        let clock = m.clock();
        let enable = m.input("enable", 1);
        let base = m.input("base", 64);
        let pointers = m.instance("pointers", &Pointers);
        pointers.port("db_valid").set(m.input("db_valid", 1));
        pointers.port("db_tail").set(m.input("db_tail", INDEX_BITS));
        let address_ready = m.input("ar_ready", 1);
        let data_valid = m.input("r_valid", 1);
        let data = m.input("r_data", 128);
        let data_last = m.input("r_last", 1);
        let command_ready = m.input("cmd_ready", 1);

        // 2. State
        let fifo = m.instance("fifo", &CommandFifo);
        let state = m.reg("state", clock, State::Idle);
        let beat = m.reg("beat", clock, zero(2));
        let last_error = m.reg("last_error", clock, false);
        let words: Vec<Signal> = (0..4).map(|i| m.reg(&format!("word{i}"), clock, zero(128))).collect();

        // 3. Conditions
        let head = pointers.port("head");
        let may_start = m.wire("may_start", enable & pointers.port("nonempty") & !fifo.port("almost_full"));
        let pushed = m.wire("pushed", state.is(State::Push) & !fifo.port("full"));
        let entry = Entry::view(cat(&[words[3], words[2], words[1], words[0]]));
        let op = m.wire_as::<Operation>("op");
        op.goto(Operation::Invalid);
        cases(entry.opcode)
            .on(0u8, || op.goto(Operation::Flush))
            .on(1u8, || op.goto(Operation::Write))
            .on(2u8, || op.goto(Operation::Read))
            .otherwise(|| {});

        // 4. Next state
        switch(state, |s: State| match s {
            State::Idle => {
                when(may_start, || state.goto(State::Address));
            }
            State::Address => {
                when(address_ready, || {
                    state.goto(State::Data);
                    beat.set(0);
                });
            }
            State::Data => {
                when(data_valid, || {
                    for (i, word) in words.iter().enumerate() {
                        when(beat.eq(i), || word.set(data));
                    }
                    beat.set(beat + 1);
                    when(data_last.ne(beat.eq(3)), || last_error.set(true));
                    when(beat.eq(3), || state.goto(State::Push));
                });
            }
            State::Push => {
                when(pushed, || state.goto(State::Idle));
            }
        });
        pointers.port("pop").set(pushed);
        fifo.port("we").set(pushed);
        fifo.port("next").set(command_ready);
        let Entry { cid, nsid, prp1, prp2, slba, nlb, .. } = entry;
        fifo.port("wdata").set(Command { op, cid, nsid, prp1, prp2, slba, nlb }.pack());

        // 5. Outputs
        m.output("ar_valid", state.is(State::Address));
        m.output("ar_addr", base + cat(&[head, lit(0u8, 6)]).zext(64));
        m.output("ar_len", lit(3u8, 8));
        m.output("r_ready", state.is(State::Data));
        m.output("cmd_valid", fifo.port("valid"));
        m.output_as::<Command>("cmd", Command::unpack(fifo.port("rdata")));
        m.output("sq_head", head);
        m.output("err", pointers.port("db_err") | last_error);
    }
}
// end
