//! What is proved of the blocks of this crate: see `cargo xtask formal`.

use crate::{
    Axi4Config, Axi4Slice, AxiLite, AxiLiteRegisters, AxiStreamConfig, AxiStreamSlice, TileLinkConfig, TileLinkMemory,
    TileLinkSlice,
};
use rtl_hdl::formal::{Goal, Proof};
use rtl_hdl::{block_fn, when, Block, Module};

/// Small.
const SMALL: Axi4Config = Axi4Config { address_bits: 12, data_bits: 16, id_bits: 1, user_bits: 1 };

/// Every optional field is there.
const STREAM: AxiStreamConfig =
    AxiStreamConfig { data_bits: 8, keep: true, last: true, id_bits: 1, dest_bits: 1, user_bits: 1 };

/// Four words of two bytes.
const TILE_LINK: TileLinkConfig =
    TileLinkConfig { address_bits: 3, data_bits: 16, size_bits: 2, source_bits: 2, sink_bits: 1 };

/// Every proof, in configurations that are small and have every case in them.
pub fn proofs() -> Vec<Proof> {
    // A base case of few clocks is enough for a step of two, and these have so much state that each clock more costs much.
    let short = |proof: Proof| Proof { goal: Goal::Induction { base: 3, step: 2 }, ..proof }.cover(6);
    vec![
        short(Proof::by_induction(Axi4Slice { config: SMALL }, 2)),
        Proof::by_induction(registers(), 2),
        Proof::by_induction(AxiStreamSlice { config: STREAM }, 2),
        short(Proof::by_induction(TileLinkMemory { config: TILE_LINK }, 2)),
        short(Proof::by_induction(TileLinkSlice { config: TILE_LINK }, 2)),
    ]
}

/// The front end before a block that accepts and answers when it likes.
fn registers() -> impl Block {
    block_fn("axi_lite_registers", |m: &Module| {
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "mmio", 4);
        when(bus.write() & m.input("accept", 1), || bus.accept_write());
        let data = m.input("data", AxiLite::DATA_BITS);
        when(bus.read() & m.input("answer", 1), || bus.answer_read(data));
    })
}
