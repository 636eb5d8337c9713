//! Each rule catches a wrong trace, and right traces pass.

use super::*;
use crate::{burst, resp, Axi4Config};

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
