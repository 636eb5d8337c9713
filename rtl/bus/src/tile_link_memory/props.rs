//! Each request is answered once, and the word at an arbitrary address holds what was last written to it.

use crate::{ChannelD, OpcodeA, OpcodeD, TileLinkConfig, TileLinkManager};
use rtl_hdl::{cat, lit, when, zero, Clock, MemoryHandle, Module, Signal};

/// Answers of one source that wait are counted with so many bits: the port holds two.
const COUNT_BITS: u32 = 2;

/// Asserts it. `writes` says when a request changes the memory.
pub(super) fn behaves_like_memory(
    m: &Module,
    clock: Clock,
    config: TileLinkConfig,
    tl: &TileLinkManager,
    memory: MemoryHandle,
    writes: Signal,
) {
    let constant = |name: &str, width: u32| {
        let constant = m.reg_without_reset(name, clock, width);
        constant.set(constant);
        constant
    };
    let request = tl.a.payload();
    let first = tl.d.contents();
    let (second_full, second) = first.spare.expect("the channel is two deep");

    // TileLink, "Source and Sink Identifiers": an answer carries the source of a request that waits.
    let source = constant("watched_source", config.source_bits);
    let waiting = m.reg("watched_waiting", clock, zero(COUNT_BITS));
    let asked = (tl.a.taken() & request.source.eq(source)).zext(COUNT_BITS);
    let answered = (tl.d.taken() & first.held.source.eq(source)).zext(COUNT_BITS);
    waiting.set(waiting + asked - answered);
    let of_source = |full: Signal, answer: Signal| (full & answer.eq(source)).zext(COUNT_BITS);
    let inside = of_source(first.full, first.held.source) + of_source(second_full, second.source);
    m.assert(clock, "each_request_is_answered_once", waiting.eq(inside));
    m.assert(clock, "second_is_behind_the_first", second_full.implies(first.full));

    // The word, once it was written in full. It is found by its bytes, so that the address of the block is not taken for granted.
    let word = constant("watched_word", memory.address_width());
    let address = word.zext(config.address_bits);
    let reached = (request.address - address.shl(lit(config.beat_size(), 4))).lt(config.beat_bytes());
    let is_put = request.opcode.is(OpcodeA::PutFullData) | request.opcode.is(OpcodeA::PutPartialData);
    let puts = tl.a.taken() & reached & is_put & !request.corrupt & request.size.le(config.beat_size());
    let known = m.reg("watched_known", clock, false);
    let value = m.reg_without_reset("watched_value", clock, config.data_bits);
    let lanes: Vec<Signal> = (0..config.data_bits).rev().map(|bit| request.mask.bit(bit / 8)).collect();
    let lanes = cat(&lanes);
    when(puts, || {
        value.set((value & !lanes) | (request.data & lanes));
        when(request.mask.all(), || known.set(true));
    });
    m.assert(clock, "only_such_requests_write", (writes & reached).implies(puts));
    m.assert(clock, "watched_word_is_what_was_written", known.implies(memory.lookup(word).eq(value)));

    // A Get of it, which may overtake nothing.
    let gets = tl.a.taken() & reached & request.opcode.is(OpcodeA::Get) & request.size.le(config.beat_size()) & known;
    let got = m.reg("watched_got", clock, false);
    let expected = m.reg_without_reset("watched_expected", clock, config.data_bits);
    got.set(gets);
    expected.set(value);
    let right =
        |answer: &ChannelD| answer.opcode.is(OpcodeD::AccessAckData) & !answer.denied & answer.data.eq(expected);
    let newest_is_right = second_full.mux(right(&second), right(&first.held));
    m.assert(clock, "watched_word_is_got", got.implies(newest_is_right));
    m.cover(clock, "watched_word_is_read", got);
}
