//! Each rule catches a wrong trace, and right traces pass.

use super::*;
use crate::{burst, resp, Axi4Config, AxiStreamConfig, Level, OpcodeA, OpcodeB, OpcodeC, OpcodeD, TileLinkConfig};
use rtl_hdl::HwEnum;

const CONFIG: Axi4Config = Axi4Config { address_bits: 64, data_bits: 512, id_bits: 8, user_bits: 8 };
/// `awsize` of whole beats of [`CONFIG`].
const WHOLE: u8 = 6;

fn taken<T>(payload: T) -> Channel<T> {
    Channel { valid: true, ready: true, payload }
}

fn offered<T>(payload: T) -> Channel<T> {
    Channel { valid: true, ready: false, payload }
}

fn address(id: u32, addr: u64, beats: u32) -> AddressSample {
    AddressSample { id, addr, len: (beats - 1) as u8, size: WHOLE, burst: burst::INCR, user: 0 }
}

fn beat(last: bool) -> WriteSample {
    WriteSample { strb: u64::MAX, last, ..WriteSample::default() }
}

fn read(id: u32, last: bool) -> ReadSample {
    ReadSample { id, last, ..ReadSample::default() }
}

fn aw(payload: AddressSample) -> Axi4Sample {
    Axi4Sample { aw: taken(payload), ..Axi4Sample::default() }
}

fn w(last: bool) -> Axi4Sample {
    Axi4Sample { w: taken(beat(last)), ..Axi4Sample::default() }
}

fn b(id: u32) -> Axi4Sample {
    Axi4Sample { b: taken(ResponseSample { id, resp: resp::OKAY }), ..Axi4Sample::default() }
}

fn ar(payload: AddressSample) -> Axi4Sample {
    Axi4Sample { ar: taken(payload), ..Axi4Sample::default() }
}

fn r(id: u32, last: bool) -> Axi4Sample {
    Axi4Sample { r: taken(read(id, last)), ..Axi4Sample::default() }
}

/// The rules that a trace breaks, with their clocks.
fn judge(trace: &[Axi4Sample]) -> Vec<(u64, Rule)> {
    let mut monitor = Axi4Monitor::new("host", CONFIG);
    trace.iter().for_each(|sample| monitor.clock(sample));
    monitor.violations().iter().map(|violation| (violation.clock, violation.rule)).collect()
}

#[test]
fn right_traces_pass() {
    let traces: [&[Axi4Sample]; 5] = [
        // Data after the address, with it, and before it.
        &[aw(address(1, 0, 2)), w(false), w(true), b(1)],
        &[Axi4Sample { w: taken(beat(true)), ..aw(address(1, 0, 1)) }, b(1)],
        &[w(false), w(true), w(true), aw(address(1, 0, 2)), aw(address(2, 64, 1)), b(2), b(1)],
        // Reads of different ids answered out of order and interleaved.
        &[
            ar(address(1, 0, 2)),
            ar(address(2, 0xfc0, 1)),
            ar(address(1, 0, 1)),
            r(1, false),
            r(2, true),
            r(1, true),
            r(1, true),
        ],
        // An answer in the clock of the next question.
        &[ar(address(1, 0, 1)), Axi4Sample { ar: taken(address(1, 0, 1)), ..r(1, true) }, r(1, true)],
    ];
    for trace in traces {
        assert_eq!(judge(trace), []);
        let mut monitor = Axi4Monitor::new("host", CONFIG);
        trace.iter().for_each(|sample| monitor.clock(sample));
        monitor.finish();
        monitor.assert_clean();
        assert_eq!(monitor.in_flight(), (0, 0));
    }
}

#[test]
fn an_offer_that_is_withdrawn_or_changed_is_caught_on_every_channel() {
    let first = Axi4Sample {
        aw: offered(address(1, 0, 1)),
        w: offered(beat(true)),
        ar: offered(address(1, 0, 1)),
        ..Axi4Sample::default()
    };
    assert_eq!(judge(&[first, Axi4Sample::default()]), [(1, Rule::Withdrawn); 3]);
    let changed = Axi4Sample {
        aw: offered(address(1, 64, 1)),
        w: offered(WriteSample { data: [1; DATA_WORDS], ..beat(true) }),
        ar: offered(address(2, 0, 1)),
        ..Axi4Sample::default()
    };
    assert_eq!(judge(&[first, changed]), [(1, Rule::Changed); 3]);
    let asked = [Axi4Sample { ar: taken(address(1, 0, 1)), ..aw(address(1, 0, 1)) }, w(true)];
    let answer = |id, data| Axi4Sample {
        b: offered(ResponseSample { id: 1, resp: id }),
        r: offered(ReadSample { data: [data; DATA_WORDS], ..read(1, true) }),
        ..Axi4Sample::default()
    };
    assert_eq!(judge(&[&asked[..], &[answer(0, 0), answer(0, 0)]].concat()), []);
    assert_eq!(judge(&[&asked[..], &[answer(0, 0), answer(2, 1)]].concat()), [(3, Rule::Changed); 2]);
    assert_eq!(judge(&[&asked[..], &[answer(0, 0), Axi4Sample::default()]].concat()), [(3, Rule::Withdrawn); 2]);
}

#[test]
fn bursts_stay_within_4_kib() {
    assert_eq!(judge(&[ar(address(1, 0xfc0, 1))]), []);
    assert_eq!(judge(&[ar(address(1, 0xfc0, 2))]), [(0, Rule::Boundary)]);
    assert_eq!(judge(&[ar(address(1, 0x1000, 64))]), []);
    assert_eq!(judge(&[aw(address(1, 0x1040, 64))]), [(0, Rule::Boundary)]);
    // An unaligned first beat ends where an aligned one would.
    assert_eq!(judge(&[aw(address(1, 0xfff, 1))]), []);
    assert_eq!(judge(&[ar(address(1, u64::MAX - 63, 1))]), []);
}

#[test]
fn bursts_and_sizes_exist() {
    let with = |beats, burst, addr| AddressSample { burst, ..address(1, addr, beats) };
    assert_eq!(judge(&[ar(with(4, burst::WRAP, 0xfc0))]), []);
    assert_eq!(judge(&[ar(with(3, burst::WRAP, 0))]), [(0, Rule::Burst)]);
    assert_eq!(judge(&[ar(with(4, burst::WRAP, 8))]), [(0, Rule::Burst)]);
    assert_eq!(judge(&[ar(with(16, burst::FIXED, 0))]), []);
    assert_eq!(judge(&[ar(with(17, burst::FIXED, 0))]), [(0, Rule::Burst)]);
    assert_eq!(judge(&[ar(with(1, 3, 0))]), [(0, Rule::Burst)]);
    assert_eq!(judge(&[ar(AddressSample { size: WHOLE + 1, ..address(1, 0, 1) })]), [(0, Rule::Size)]);
}

#[test]
fn strobes_stay_within_the_beat() {
    let write = |addr, size, strb| {
        let aw = AddressSample { size, ..address(1, addr, 1) };
        [Axi4Sample { aw: taken(aw), w: taken(WriteSample { strb, ..beat(true) }), ..Axi4Sample::default() }]
    };
    assert_eq!(judge(&write(0, WHOLE, u64::MAX)), []);
    assert_eq!(judge(&write(4, 2, 0xf0)), []);
    assert_eq!(judge(&write(4, 2, 0x1f0)), [(0, Rule::Strobe)]);
    assert_eq!(judge(&write(4, 2, 0x0f)), [(0, Rule::Strobe)]);
    assert_eq!(judge(&write(6, 2, 0xc0)), []);
    assert_eq!(judge(&write(6, 2, 0xe0)), [(0, Rule::Strobe)]);
    // The second beat of a narrow burst is one lane further.
    let narrow = AddressSample { size: 0, ..address(1, 63, 2) };
    let at = |strb, last| Axi4Sample { w: taken(WriteSample { strb, ..beat(last) }), ..Axi4Sample::default() };
    assert_eq!(judge(&[aw(narrow), at(1 << 63, false), at(1, true)]), []);
    assert_eq!(judge(&[aw(narrow), at(1 << 63, false), at(2, true)]), [(2, Rule::Strobe)]);
}

#[test]
fn wlast_marks_the_last_beat_only() {
    assert_eq!(judge(&[aw(address(1, 0, 2)), w(true)]), [(1, Rule::WriteLast)]);
    assert_eq!(judge(&[aw(address(1, 0, 2)), w(false), w(false)]), [(2, Rule::WriteLast)]);
    assert_eq!(judge(&[w(false), w(true), aw(address(1, 0, 1))]), [(2, Rule::WriteLast)]);
}

#[test]
fn rlast_marks_the_last_beat_only() {
    assert_eq!(judge(&[ar(address(1, 0, 2)), r(1, true)]), [(1, Rule::ReadLast)]);
    assert_eq!(judge(&[ar(address(1, 0, 2)), r(1, false), r(1, false)]), [(2, Rule::ReadLast)]);
}

#[test]
fn every_answer_was_asked_for_once() {
    assert_eq!(judge(&[b(1)]), [(0, Rule::ResponseUnasked)]);
    assert_eq!(judge(&[aw(address(1, 0, 1)), b(1)]), [(1, Rule::ResponseUnasked)], "before the data");
    assert_eq!(judge(&[w(true), b(0)]), [(1, Rule::ResponseUnasked)], "before the address");
    assert_eq!(judge(&[aw(address(1, 0, 1)), w(true), b(2)]), [(2, Rule::ResponseUnasked)], "another id");
    assert_eq!(judge(&[aw(address(1, 0, 1)), w(true), b(1), b(1)]), [(3, Rule::ResponseUnasked)], "twice");
    let same_clock = Axi4Sample { b: b(1).b, ..w(true) };
    assert_eq!(judge(&[aw(address(1, 0, 1)), same_clock]), [(1, Rule::ResponseUnasked)], "with the last beat");
    assert_eq!(judge(&[r(1, true)]), [(0, Rule::ReadUnasked)]);
    assert_eq!(judge(&[ar(address(1, 0, 1)), r(2, true)]), [(1, Rule::ReadUnasked)], "another id");
    assert_eq!(judge(&[ar(address(1, 0, 1)), r(1, true), r(1, true)]), [(2, Rule::ReadUnasked)], "twice");
    let same_clock = Axi4Sample { r: r(1, true).r, ..ar(address(1, 0, 1)) };
    assert_eq!(judge(&[same_clock]), [(0, Rule::ReadUnasked)], "with the address");
}

#[test]
fn responses_exist() {
    let answer = |resp| Axi4Sample { r: taken(ReadSample { resp, ..read(1, true) }), ..Axi4Sample::default() };
    for (value, expected) in [(resp::OKAY, vec![]), (resp::SLVERR, vec![]), (resp::EXOKAY, vec![(1, Rule::Response)])] {
        assert_eq!(judge(&[ar(address(1, 0, 1)), answer(value)]), expected);
    }
    let refused = Axi4Sample { b: taken(ResponseSample { id: 1, resp: resp::EXOKAY }), ..Axi4Sample::default() };
    assert_eq!(judge(&[aw(address(1, 0, 1)), w(true), refused]), [(2, Rule::Response)]);
}

#[test]
fn nothing_is_valid_during_reset_and_nothing_survives_it() {
    let reset = |sample| Axi4Sample { reset: true, ..sample };
    // What was offered may still show in the first clock of a reset.
    let waits = Axi4Sample { r: offered(read(1, true)), ..Axi4Sample::default() };
    let idle = Axi4Sample::default();
    assert_eq!(judge(&[ar(address(1, 0, 1)), waits, reset(waits), reset(idle), idle]), []);
    assert_eq!(judge(&[reset(idle), reset(w(true)), reset(idle)]), [(1, Rule::Reset)]);
    assert_eq!(judge(&[ar(address(1, 0, 1)), reset(idle), r(1, true)]), [(2, Rule::ReadUnasked)]);
}

#[test]
fn what_is_not_answered_is_a_violation_at_the_end() {
    for sample in [ar(address(1, 0, 1)), aw(address(1, 0, 1)), w(true)] {
        let mut monitor = Axi4Monitor::new("host", CONFIG);
        monitor.clock(&sample);
        monitor.finish();
        assert_eq!(monitor.violations()[0].rule, Rule::Unanswered);
    }
}

/// The rules that a trace of AXI4-Lite breaks, with their clocks.
fn judge_lite(trace: &[LiteSample]) -> Vec<(u64, Rule)> {
    let mut monitor = AxiLiteMonitor::new("mmio");
    trace.iter().for_each(|sample| monitor.clock(sample));
    monitor.finish();
    monitor.violations().iter().map(|violation| (violation.clock, violation.rule)).collect()
}

#[test]
fn lite_rules_are_kept() {
    let idle = LiteSample::default();
    let address = LiteSample { aw: taken(4), ..idle };
    let word = LiteSample { w: taken(LiteWriteSample { data: 1, strb: 15 }), ..idle };
    let response = LiteSample { b: taken(resp::OKAY), ..idle };
    let read = LiteSample { ar: taken(8), ..idle };
    let data = LiteSample { r: taken(LiteReadSample { data: 7, resp: resp::OKAY }), ..idle };
    for trace in [&[address, word, response, read, data][..], &[word, address, response], &[read, read, data, data]] {
        assert_eq!(judge_lite(trace), []);
    }
    assert_eq!(judge_lite(&[word, response]), [(1, Rule::ResponseUnasked)]);
    assert_eq!(judge_lite(&[address, word, response, response]), [(3, Rule::ResponseUnasked)]);
    assert_eq!(judge_lite(&[data]), [(0, Rule::ReadUnasked)]);
    assert_eq!(judge_lite(&[read, LiteSample { ar: taken(8), ..data }, data, data]), [(3, Rule::ReadUnasked)]);
    assert_eq!(judge_lite(&[read]), [(1, Rule::Unanswered)]);
    assert_eq!(judge_lite(&[LiteSample { ar: offered(8), ..idle }, idle]), [(1, Rule::Withdrawn)]);
    let moved = [LiteSample { w: offered(LiteWriteSample { data: 1, strb: 1 }), ..idle }, address, response];
    assert_eq!(judge_lite(&moved)[0], (1, Rule::Withdrawn));
    let strobe = |strb| LiteSample { w: offered(LiteWriteSample { data: 1, strb }), ..idle };
    assert_eq!(judge_lite(&[strobe(1), strobe(3)]), [(1, Rule::Changed)]);
    let exclusive = LiteSample { b: taken(resp::EXOKAY), ..idle };
    assert_eq!(judge_lite(&[address, word, exclusive]), [(2, Rule::Response)]);
    let reset = |sample| LiteSample { reset: true, ..sample };
    assert_eq!(judge_lite(&[read, reset(data), reset(idle)]), []);
    assert_eq!(judge_lite(&[reset(idle), reset(data)]), [(1, Rule::Reset)]);
    assert_eq!(judge_lite(&[read, reset(idle), data]), [(2, Rule::ReadUnasked)]);
}

#[test]
fn a_stream_keeps_its_offer() {
    let config = AxiStreamConfig { data_bits: 64, keep: true, last: true, id_bits: 4, dest_bits: 4, user_bits: 1 };
    let judge = |trace: &[AxiStreamSample]| {
        let mut monitor = AxiStreamMonitor::new("from", config);
        trace.iter().for_each(|sample| monitor.clock(sample));
        monitor.violations().iter().map(|violation| (violation.clock, violation.rule)).collect::<Vec<_>>()
    };
    let transfer = TransferSample { keep: 0xff, ..TransferSample::default() };
    let offers = |payload| AxiStreamSample { reset: false, t: offered(payload) };
    let takes = |payload| AxiStreamSample { reset: false, t: taken(payload) };
    let idle = AxiStreamSample::default();
    assert_eq!(judge(&[offers(transfer), takes(transfer), takes(TransferSample { last: true, ..transfer }), idle]), []);
    assert_eq!(judge(&[offers(transfer), idle]), [(1, Rule::Withdrawn)]);
    let changes = [
        TransferSample { data: [1; DATA_WORDS], ..transfer },
        TransferSample { keep: 1, ..transfer },
        TransferSample { last: true, ..transfer },
        TransferSample { id: 1, ..transfer },
        TransferSample { dest: 1, ..transfer },
        TransferSample { user: 1, ..transfer },
    ];
    for changed in changes {
        assert_eq!(judge(&[offers(transfer), offers(changed)]), [(1, Rule::Changed)]);
    }
    let reset = |sample| AxiStreamSample { reset: true, ..sample };
    assert_eq!(judge(&[offers(transfer), reset(offers(transfer)), reset(idle), idle]), []);
    assert_eq!(judge(&[reset(idle), reset(offers(transfer))]), [(1, Rule::Reset)]);
}

const TILE_LINK: TileLinkConfig =
    TileLinkConfig { address_bits: 32, data_bits: 64, size_bits: 4, source_bits: 4, sink_bits: 2 };

/// The rules that a trace of TileLink breaks, with their clocks.
fn judge_tile_link(level: Level, trace: &[TileLinkSample]) -> Vec<(u64, Rule)> {
    let mut monitor = TileLinkMonitor::new("tl", TILE_LINK, level);
    trace.iter().for_each(|sample| monitor.clock(sample));
    monitor.finish();
    monitor.violations().iter().map(|violation| (violation.clock, violation.rule)).collect()
}

fn judge_light(trace: &[TileLinkSample]) -> Vec<(u64, Rule)> {
    judge_tile_link(Level::UncachedLightweight, trace)
}

fn judge_heavy(trace: &[TileLinkSample]) -> Vec<(u64, Rule)> {
    judge_tile_link(Level::UncachedHeavyweight, trace)
}

/// A request for a whole beat.
fn request(opcode: OpcodeA, source: u16) -> MessageSample {
    MessageSample { opcode: opcode.code() as u8, size: 3, source, address: 0x100, mask: 0xff, ..Default::default() }
}

fn answer(opcode: OpcodeD, source: u16) -> MessageSample {
    MessageSample { opcode: opcode.code() as u8, size: 3, source, ..MessageSample::default() }
}

fn on_a(message: MessageSample) -> TileLinkSample {
    TileLinkSample { a: taken(message), ..TileLinkSample::default() }
}

fn on_c(message: MessageSample) -> TileLinkSample {
    TileLinkSample { c: taken(message), ..TileLinkSample::default() }
}

fn on_d(message: MessageSample) -> TileLinkSample {
    TileLinkSample { d: taken(message), ..TileLinkSample::default() }
}

#[test]
fn tile_link_that_is_right_passes() {
    let get = |source| on_a(request(OpcodeA::Get, source));
    let data = |source| on_d(answer(OpcodeD::AccessAckData, source));
    let put = on_a(request(OpcodeA::PutFullData, 1));
    let ack = on_d(answer(OpcodeD::AccessAck, 1));
    assert_eq!(judge_light(&[get(1), get(2), data(2), data(1), put, ack]), []);
    // Answered in the clock of the request.
    assert_eq!(judge_light(&[TileLinkSample { d: data(1).d, ..get(1) }]), []);
    // A source is free with the first beat of its answer, so the next request of it may be there in that clock's successor.
    let long = |message: MessageSample| MessageSample { size: 4, ..message };
    let long_data = on_d(long(answer(OpcodeD::AccessAckData, 1)));
    let long_get = on_a(long(request(OpcodeA::Get, 1)));
    assert_eq!(
        judge_heavy(&[long_get, long_data, TileLinkSample { d: long_data.d, ..long_get }, long_data, long_data]),
        []
    );
    // An answer may come while the burst of the request is under way.
    let long_put = on_a(long(request(OpcodeA::PutFullData, 1)));
    let long_ack = on_d(long(answer(OpcodeD::AccessAck, 1)));
    assert_eq!(judge_heavy(&[long_put, TileLinkSample { d: long_ack.d, ..long_put }]), []);
    for opcode in [OpcodeA::ArithmeticData, OpcodeA::LogicalData] {
        assert_eq!(judge_heavy(&[on_a(request(opcode, 1)), data(1)]), []);
    }
    assert_eq!(judge_heavy(&[on_a(request(OpcodeA::Intent, 1)), on_d(answer(OpcodeD::HintAck, 1))]), []);
    let denied = MessageSample { denied: true, corrupt: true, ..answer(OpcodeD::AccessAckData, 1) };
    assert_eq!(judge_light(&[get(1), on_d(denied)]), []);
}

#[test]
fn tile_link_offers_stay() {
    let offers = |message| TileLinkSample { a: offered(message), ..TileLinkSample::default() };
    let get = request(OpcodeA::Get, 1);
    let data = on_d(answer(OpcodeD::AccessAckData, 1));
    assert_eq!(judge_light(&[offers(get), on_a(get), data]), []);
    assert_eq!(judge_light(&[offers(get), TileLinkSample::default(), data]), [(1, Rule::Withdrawn)]);
    let other = MessageSample { address: 0x108, ..get };
    assert_eq!(judge_light(&[offers(get), on_a(other), data]), [(1, Rule::Changed)]);
    let probe = MessageSample { opcode: OpcodeB::ProbeBlock.code() as u8, mask: 0xff, size: 3, ..Default::default() };
    let idle = TileLinkSample::default();
    let [b, c, d, e] = [
        TileLinkSample { b: offered(probe), ..idle },
        TileLinkSample {
            c: offered(MessageSample { opcode: OpcodeC::ProbeAck.code() as u8, ..Default::default() }),
            ..idle
        },
        TileLinkSample { d: offered(answer(OpcodeD::AccessAckData, 1)), ..on_a(get) },
        TileLinkSample { e: offered(1), ..idle },
    ];
    for sample in [b, c, e] {
        assert_eq!(judge_tile_link(Level::Cached, &[sample, idle]), [(1, Rule::Withdrawn)]);
    }
    let unanswered = (2, Rule::Unanswered);
    assert_eq!(judge_tile_link(Level::Cached, &[d, idle]), [(1, Rule::Withdrawn), unanswered]);
}

#[test]
fn tile_link_messages_exist_at_their_level() {
    use Level::{Cached, UncachedHeavyweight, UncachedLightweight};
    let first = |level: Level, sample: TileLinkSample| {
        let rules = judge_tile_link(level, &[sample]);
        rules.into_iter().map(|(_, rule)| rule).find(|rule| matches!(rule, Rule::Opcode | Rule::Param))
    };
    for (opcode, least, kinds) in [
        (OpcodeA::PutFullData, UncachedLightweight, 1),
        (OpcodeA::PutPartialData, UncachedLightweight, 1),
        (OpcodeA::Get, UncachedLightweight, 1),
        (OpcodeA::ArithmeticData, UncachedHeavyweight, 5),
        (OpcodeA::LogicalData, UncachedHeavyweight, 4),
        (OpcodeA::Intent, UncachedHeavyweight, 2),
        (OpcodeA::AcquireBlock, Cached, 3),
        (OpcodeA::AcquirePerm, Cached, 3),
    ] {
        for level in [UncachedLightweight, UncachedHeavyweight, Cached] {
            let expected = (level < least).then_some(Rule::Opcode);
            assert_eq!(first(level, on_a(request(opcode, 1))), expected, "{opcode:?} at {level:?}");
        }
        let with = |param| MessageSample { param, ..request(opcode, 1) };
        assert_eq!(first(Cached, on_a(with(kinds - 1))), None);
        assert_eq!(first(Cached, on_a(with(kinds))), Some(Rule::Param), "{opcode:?}");
    }
    for (number, kinds) in [1, 1, 5, 4, 1, 2, 3, 3].into_iter().enumerate() {
        let on_b = |opcode, param| {
            let message = MessageSample { opcode, param, mask: 0xff, size: 3, ..MessageSample::default() };
            TileLinkSample { b: taken(message), ..TileLinkSample::default() }
        };
        assert_eq!(first(Cached, on_b(number as u8, kinds - 1)), None);
        assert_eq!(first(Cached, on_b(number as u8, kinds)), Some(Rule::Param));
        assert_eq!(first(UncachedHeavyweight, on_b(number as u8, 0)), Some(Rule::Opcode));
    }
    for (number, kinds) in [1, 1, 1, 0, 6, 6, 6, 6].into_iter().enumerate() {
        let message = |param| MessageSample { opcode: number as u8, param, size: 3, ..MessageSample::default() };
        if kinds == 0 {
            assert_eq!(first(Cached, on_c(message(0))), Some(Rule::Opcode));
            continue;
        }
        assert_eq!(first(Cached, on_c(message(kinds - 1))), None);
        assert_eq!(first(Cached, on_c(message(kinds))), Some(Rule::Param));
    }
    for (opcode, least, kinds) in [
        (OpcodeD::AccessAck, Some(UncachedLightweight), 1),
        (OpcodeD::AccessAckData, Some(UncachedLightweight), 1),
        (OpcodeD::HintAck, Some(UncachedHeavyweight), 1),
        (OpcodeD::Reserved3, None, 0),
        (OpcodeD::Grant, Some(Cached), 3),
        (OpcodeD::GrantData, Some(Cached), 3),
        (OpcodeD::ReleaseAck, Some(Cached), 1),
        (OpcodeD::Reserved7, None, 0),
    ] {
        for level in [UncachedLightweight, UncachedHeavyweight, Cached] {
            let expected = least.is_none_or(|least| level < least).then_some(Rule::Opcode);
            assert_eq!(first(level, on_d(answer(opcode, 1))), expected, "{opcode:?} at {level:?}");
        }
        if kinds > 0 {
            let with = |param| MessageSample { param, ..answer(opcode, 1) };
            assert_eq!(first(Cached, on_d(with(kinds))), Some(Rule::Param), "{opcode:?}");
        }
    }
}

#[test]
fn tile_link_sizes_addresses_and_masks_fit() {
    let data = |size| on_d(MessageSample { size, ..answer(OpcodeD::AccessAckData, 1) });
    let get = |size, address, mask| on_a(MessageSample { size, address, mask, ..request(OpcodeA::Get, 1) });
    for (size, address, mask) in [(3, 0x100, 0xff), (2, 0x104, 0xf0), (1, 0x102, 0x0c), (0, 0x107, 0x80)] {
        assert_eq!(judge_light(&[get(size, address, mask), data(size)]), []);
    }
    assert_eq!(judge_light(&[get(4, 0x100, 0xff), data(4), data(4)]), [(0, Rule::Size), (1, Rule::Size)]);
    assert_eq!(judge_light(&[get(2, 0x102, 0x0f), data(2)]), [(0, Rule::Aligned)]);
    assert_eq!(judge_light(&[get(2, 0x104, 0x0f), data(2)]), [(0, Rule::Mask)]);
    assert_eq!(judge_light(&[get(2, 0x104, 0x70), data(2)]), [(0, Rule::Mask)]);
    let partial = |mask| on_a(MessageSample { size: 2, address: 0x104, mask, ..request(OpcodeA::PutPartialData, 1) });
    let ack = on_d(MessageSample { size: 2, ..answer(OpcodeD::AccessAck, 1) });
    assert_eq!(judge_light(&[partial(0x50), ack]), []);
    assert_eq!(judge_light(&[partial(0x58), ack]), [(0, Rule::Mask)]);
    // Every beat of a burst has a mask.
    let put = |mask| on_a(MessageSample { size: 4, mask, ..request(OpcodeA::PutFullData, 1) });
    let ack = on_d(MessageSample { size: 4, ..answer(OpcodeD::AccessAck, 1) });
    assert_eq!(judge_heavy(&[put(0xff), put(0x7f), ack]), [(1, Rule::Mask)]);
}

#[test]
fn tile_link_bursts_are_contiguous() {
    let long = |source| MessageSample { size: 4, ..request(OpcodeA::PutFullData, source) };
    let ack = on_d(MessageSample { size: 4, ..answer(OpcodeD::AccessAck, 1) });
    assert_eq!(judge_heavy(&[on_a(long(1)), on_a(long(1)), ack]), []);
    let first = long(1);
    let others = [
        MessageSample { opcode: OpcodeA::PutPartialData.code() as u8, ..first },
        MessageSample { param: 1, ..first },
        MessageSample { size: 3, ..first },
        MessageSample { source: 2, ..first },
        MessageSample { address: 0x110, ..first },
    ];
    for other in others {
        assert_eq!(judge_heavy(&[on_a(first), on_a(other), ack]), [(1, Rule::Contiguous)]);
    }
    let get = |source| on_a(MessageSample { size: 4, ..request(OpcodeA::Get, source) });
    let data = |source| on_d(MessageSample { size: 4, ..answer(OpcodeD::AccessAckData, source) });
    let mixed = [get(1), get(2), data(1), data(2), data(2), data(2)];
    assert_eq!(judge_heavy(&mixed)[0], (3, Rule::Contiguous));
}

#[test]
fn tile_link_answers_are_what_was_asked_for_once() {
    let get = |source| on_a(request(OpcodeA::Get, source));
    let data = |source| on_d(answer(OpcodeD::AccessAckData, source));
    assert_eq!(judge_light(&[data(1)]), [(0, Rule::ResponseUnasked)]);
    assert_eq!(judge_light(&[get(1), data(2), data(1)]), [(1, Rule::ResponseUnasked)]);
    assert_eq!(judge_light(&[get(1), data(1), data(1)]), [(2, Rule::ResponseUnasked)]);
    assert_eq!(judge_light(&[get(1), get(1), data(1)]), [(1, Rule::SourceInUse)]);
    assert_eq!(judge_light(&[get(1)]), [(1, Rule::Unanswered)]);
    let short = on_d(MessageSample { size: 2, ..answer(OpcodeD::AccessAckData, 1) });
    assert_eq!(judge_light(&[get(1), short]), [(1, Rule::Answer)]);
    let pairs = [
        (OpcodeA::PutFullData, vec![OpcodeD::AccessAck]),
        (OpcodeA::PutPartialData, vec![OpcodeD::AccessAck]),
        (OpcodeA::ArithmeticData, vec![OpcodeD::AccessAckData]),
        (OpcodeA::LogicalData, vec![OpcodeD::AccessAckData]),
        (OpcodeA::Get, vec![OpcodeD::AccessAckData]),
        (OpcodeA::Intent, vec![OpcodeD::HintAck]),
        (OpcodeA::AcquireBlock, vec![OpcodeD::Grant, OpcodeD::GrantData]),
        (OpcodeA::AcquirePerm, vec![OpcodeD::Grant]),
    ];
    let answers = [OpcodeD::AccessAck, OpcodeD::AccessAckData, OpcodeD::HintAck, OpcodeD::Grant, OpcodeD::GrantData];
    for (asked, right) in pairs {
        for given in answers {
            let expected = if right.contains(&given) { vec![] } else { vec![(1, Rule::Answer)] };
            let trace = [on_a(request(asked, 1)), on_d(answer(given, 1))];
            assert_eq!(judge_tile_link(Level::Cached, &trace), expected, "{asked:?}, {given:?}");
        }
    }
    let release = MessageSample { opcode: OpcodeC::Release.code() as u8, size: 3, source: 1, ..Default::default() };
    let ack = on_d(answer(OpcodeD::ReleaseAck, 1));
    let cached = |trace: &[TileLinkSample]| judge_tile_link(Level::Cached, trace);
    assert_eq!(cached(&[on_c(release), ack]), []);
    assert_eq!(cached(&[ack]), [(0, Rule::ResponseUnasked)]);
    assert_eq!(cached(&[get(1), ack, data(1)]), [(1, Rule::ResponseUnasked)]);
    assert_eq!(cached(&[on_c(release), on_c(release), ack]), [(1, Rule::SourceInUse)]);
    assert_eq!(cached(&[on_c(release), on_d(MessageSample { size: 2, ..ack.d.payload })]), [(1, Rule::Answer)]);
    assert_eq!(cached(&[on_c(release)]), [(1, Rule::Unanswered)]);
}

#[test]
fn only_data_is_corrupt_in_tile_link() {
    let corrupt = |message| MessageSample { corrupt: true, ..message };
    let data = on_d(answer(OpcodeD::AccessAckData, 1));
    let ack = on_d(answer(OpcodeD::AccessAck, 1));
    assert_eq!(judge_light(&[on_a(corrupt(request(OpcodeA::PutFullData, 1))), ack]), []);
    assert_eq!(judge_light(&[on_a(corrupt(request(OpcodeA::Get, 1))), data]), [(0, Rule::Corrupt)]);
    let put = on_a(request(OpcodeA::PutFullData, 1));
    assert_eq!(judge_light(&[put, on_d(corrupt(ack.d.payload))]), [(1, Rule::Corrupt)]);
    assert_eq!(judge_light(&[put, on_d(MessageSample { denied: true, ..ack.d.payload })]), []);
    let get = on_a(request(OpcodeA::Get, 1));
    assert_eq!(judge_light(&[get, on_d(corrupt(data.d.payload))]), []);
    assert_eq!(judge_light(&[get, on_d(MessageSample { denied: true, ..data.d.payload })]), [(1, Rule::Corrupt)]);
}

#[test]
fn nothing_of_tile_link_survives_a_reset() {
    let idle = TileLinkSample::default();
    let reset = |sample| TileLinkSample { reset: true, ..sample };
    let get = on_a(request(OpcodeA::Get, 1));
    let data = on_d(answer(OpcodeD::AccessAckData, 1));
    let waits = TileLinkSample { d: offered(data.d.payload), ..idle };
    assert_eq!(judge_light(&[get, waits, reset(waits), reset(idle), get, data]), []);
    assert_eq!(judge_light(&[get, reset(idle), data]), [(2, Rule::ResponseUnasked)]);
    let on_b = TileLinkSample { b: get.a, ..idle };
    let on_e = TileLinkSample { e: taken(1), ..idle };
    for sample in [get, on_b, on_c(get.a.payload), data, on_e] {
        assert_eq!(judge_tile_link(Level::Cached, &[reset(idle), reset(sample)]), [(1, Rule::Reset)]);
    }
}

/// The rules of permissions that a trace of two clients breaks: what each message is, and on which of their buses.
fn judge_copies(trace: &[(usize, TileLinkSample)]) -> Vec<(u64, Rule)> {
    let mut monitor = CoherenceMonitor::new("clients", TILE_LINK, 2);
    for (client, sample) in trace {
        let mut samples = [TileLinkSample::default(); 2];
        samples[*client] = *sample;
        monitor.clock(&samples);
    }
    monitor.finish();
    monitor.violations().iter().map(|violation| (violation.clock, violation.rule)).collect()
}

#[test]
fn one_client_may_write_or_many_may_read() {
    const BLOCK: u64 = 0x40;
    let acquire = |param: u8| on_a(MessageSample { param, address: BLOCK, ..request(OpcodeA::AcquireBlock, 0) });
    let grant = |param: u8| on_d(MessageSample { param, sink: 1, ..answer(OpcodeD::Grant, 0) });
    let acknowledge = TileLinkSample { e: taken(1), ..TileLinkSample::default() };
    let probe = |param: u8| {
        let opcode = OpcodeB::ProbeBlock.code() as u8;
        TileLinkSample {
            b: taken(MessageSample { opcode, param, address: BLOCK, ..MessageSample::default() }),
            ..TileLinkSample::default()
        }
    };
    let give = |opcode: OpcodeC, param: u8| {
        on_c(MessageSample { opcode: opcode.code() as u8, param, address: BLOCK, ..MessageSample::default() })
    };
    let (to_t, to_b, to_n) = (0, 1, 2);
    let (t_to_b, t_to_n, b_to_n, n_to_n) = (0, 1, 2, 5);
    let first = [(0, acquire(1)), (0, grant(to_t)), (0, acknowledge)];
    let judge = |rest: &[(usize, TileLinkSample)]| judge_copies(&[&first, rest].concat());
    let second = |param: u8| [(1, acquire(1)), (1, grant(param)), (1, acknowledge)];
    assert_eq!(judge(&[]), []);
    // A writer, and another one, or a reader.
    assert_eq!(judge(&second(to_t)), [(4, Rule::Permission)]);
    assert_eq!(judge(&second(to_b)), [(4, Rule::Permission)]);
    // The first one is probed before, and keeps what it may, or more, or says that it had less.
    let probed = |kept: u8, answer: u8, param: u8| {
        judge(&[&[(0, probe(kept)), (0, give(OpcodeC::ProbeAck, answer))][..], &second(param)].concat())
    };
    assert_eq!(probed(to_n, t_to_n, to_t), []);
    assert_eq!(probed(to_n, n_to_n, to_t), []);
    assert_eq!(probed(to_b, t_to_b, to_b), []);
    assert_eq!(probed(to_b, t_to_b, to_t), [(6, Rule::Permission)]);
    assert_eq!(probed(to_n, t_to_b, to_b), [(4, Rule::Permission)]);
    // Released, and what was not there.
    let ack = on_d(answer(OpcodeD::ReleaseAck, 0));
    let release = |client: usize, param: u8| [(client, give(OpcodeC::Release, param)), (client, ack)];
    assert_eq!(judge(&[&release(0, t_to_n)[..], &second(to_t)].concat()), []);
    assert_eq!(judge(&release(1, b_to_n)), [(3, Rule::Permission)]);
    // Probes and acknowledgements that nobody waits for, and that wait for ever.
    assert_eq!(judge(&[(0, give(OpcodeC::ProbeAck, t_to_n))]), [(3, Rule::ResponseUnasked)]);
    assert_eq!(judge(&[(0, acknowledge)]), [(3, Rule::ResponseUnasked)]);
    assert_eq!(judge(&[(0, probe(to_n))]), [(4, Rule::Unanswered)]);
    assert_eq!(
        judge(&[(0, probe(to_n)), (0, probe(to_n)), (0, give(OpcodeC::ProbeAck, t_to_n))]),
        [(4, Rule::SourceInUse)]
    );
    // A probe meets a grant; a release meets a probe, or a request.
    assert_eq!(
        judge_copies(&[
            (0, acquire(1)),
            (0, grant(to_t)),
            (0, probe(to_n)),
            (0, acknowledge),
            (0, give(OpcodeC::ProbeAck, t_to_n))
        ]),
        [(2, Rule::Permission)]
    );
    let meets = [(0, probe(to_n)), (0, give(OpcodeC::Release, t_to_n)), (0, give(OpcodeC::ProbeAck, n_to_n)), (0, ack)];
    assert_eq!(judge(&meets), [(5, Rule::Permission)]);
    assert_eq!(judge(&[(0, give(OpcodeC::Release, t_to_n)), (0, acquire(1)), (0, ack)]), [(4, Rule::Permission)]);
    // A reset takes all copies away.
    let reset = TileLinkSample { reset: true, ..TileLinkSample::default() };
    assert_eq!(judge(&[&[(0, reset)][..], &second(to_t)].concat()), []);
}
