//! The running block: units from random places of host memory, answered in any order.

use super::DmaRead;
use crate::dma_write::bench::{function_of, Unit};
use crate::io_engine::bench::bytes::Bytes;
use crate::io_engine::bench::host::{Host, HostTiming};
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls, CONFIGS};
use crate::types::reader;
use crate::Config;
use rtl_hdl::bench::{Bench, Fields, Rng, Seed};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Host memory for `count` units, in which some pages are missing.
fn memory(rng: &mut Rng, count: u64, missing_one_in: u64) -> Bytes {
    let mut memory = Bytes::default();
    for page in 0..2 * count {
        if missing_one_in > 0 && rng.below(missing_one_in) == 0 {
            continue;
        }
        let data: Vec<u8> = (0..4096).map(|_| rng.next_u64() as u8).collect();
        memory.store(page * 4096, &data);
    }
    memory
}

/// Whether all lines that `bytes` from `at` in the unit on lie in can be read.
fn is_there(memory: &Bytes, unit: &Unit, at: u64, bytes: u64) -> bool {
    let first = unit.address() + at;
    let last = first + bytes.min(unit.bytes - at) - 1;
    memory.line(first & !63).is_some() && memory.line(last & !63).is_some()
}

/// A unit with this number and data: some are passed on as a whole, whatever their length, others by logical blocks of 512 bytes.
fn with_whole(unit: &mut Unit, rng: &mut Rng) -> bool {
    let whole = rng.bool();
    if !whole {
        unit.bytes = unit.bytes.div_ceil(512) * 512;
    }
    whole
}

#[test]
fn every_unit_arrives_once_and_whole() {
    for config in CONFIGS {
        under_all_stalls(&DmaRead::new(config), |bench, rng| {
            let count = 60;
            let memory = memory(rng, count, 15);
            let mut host = Host::new(memory.clone(), HostTiming { latency: 5, late_max: 60 }, rng.clone());
            let mut free: Vec<u64> = (0..config.units.into()).collect();
            let mut running: BTreeMap<u64, (Unit, bool)> = BTreeMap::new();
            // Units that have begun to arrive, with the beats that must follow.
            let mut leaving: VecDeque<(u64, Unit, bool)> = VecDeque::new();
            let mut failed: BTreeSet<u64> = BTreeSet::new();
            let mut beats: VecDeque<Fields> = VecDeque::new();
            let (mut next, mut ended, mut index) = (0, 0, 0);
            for _ in 0..30_000 {
                if let (true, Some(tag)) = (next < count, free.pop()) {
                    let mut unit = Unit::random(rng, next);
                    let whole = with_whole(&mut unit, rng);
                    let fields = bench.random_fields("write_unit", rng).set("target", next % 2).set("whole", whole);
                    bench.send("write_unit", [unit.item(fields, tag)]);
                    running.insert(tag, (unit, whole));
                    next += 1;
                }
                for read in bench.received("data_read") {
                    let read = Fields::from_words(bench.stream("data_read"), read);
                    assert_eq!(read.get("function"), function_of(read.get("address")));
                    assert_eq!(read.get("id") >> 6, reader::DATA.into());
                }
                host.answer_data_reads(bench);
                bench.clock();
                if bench.peek("data_error") == 1 {
                    failed.insert(bench.peek("data_error_tag"));
                }
                for arrived in bench.drain_fields("arrived") {
                    let tag = arrived.get("tag");
                    let (unit, whole) = running.remove(&tag).unwrap_or_else(|| panic!("tag {tag} is not running"));
                    leaving.push_back((tag, unit, whole));
                }
                // Beats may come before what announces them was taken.
                beats.extend(bench.drain_fields("write"));
                while let (Some((tag, unit, whole)), false) = (leaving.front(), beats.is_empty()) {
                    let got = beats.pop_front().expect("not empty");
                    let bytes = (unit.bytes - 64 * index).min(64);
                    let (block, block_bytes) = if *whole { (0, unit.bytes) } else { (64 * index / 512 * 512, 512) };
                    let is_there_now = (block..block + block_bytes)
                        .step_by(4)
                        .filter(|at| *at < unit.bytes)
                        .all(|at| is_there(&memory, unit, at, 4));
                    assert_eq!(got.get("error") == 0, is_there_now, "beat {index} of unit {}", unit.number);
                    if is_there_now {
                        let data: Vec<u8> = got.get_words("data").iter().flat_map(|word| word.to_le_bytes()).collect();
                        let expected = memory.load(unit.address() + 64 * index, bytes);
                        assert_eq!(data[..bytes as usize], expected, "beat {index} of unit {}", unit.number);
                    }
                    assert_eq!(got.get("target"), unit.number % 2);
                    index += 1;
                    assert_eq!(got.get("last") == 1, index == unit.beats());
                    if index == unit.beats() {
                        let is_whole = is_there(&memory, unit, 0, unit.bytes);
                        assert_eq!(failed.remove(tag), !is_whole, "of unit {}", unit.number);
                        free.push(*tag);
                        leaving.pop_front();
                        (index, ended) = (0, ended + 1);
                    }
                }
                if ended == count {
                    break;
                }
            }
            assert_eq!(ended, count);
            bench.run(50);
            assert!(beats.is_empty() && bench.received("write").is_empty(), "there are beats that belong to no unit");
        });
    }
}

/// A line comes in and a beat goes out in every clock, also where the next unit begins.
#[test]
fn moves_a_beat_in_every_clock() {
    without_stalls(&DmaRead::new(Config::DEFAULT), |bench| {
        let rng = &mut Seed(1).rng("data");
        let mut host = Host::new(memory(rng, 16, 0), HostTiming { latency: 1, late_max: 0 }, rng.clone());
        let units = |bench: &Bench| -> Vec<Vec<u64>> {
            let unit = |number| Unit { number, offset: if number % 2 == 0 { 0 } else { 100 }, bytes: 4096 };
            (0..16).map(|number| unit(number).item(bench.fields("write_unit"), number)).collect()
        };
        bench.send("write_unit", units(bench));
        let began = bench.clocks();
        while bench.received("write").len() < 16 * 64 {
            host.answer_data_reads(bench);
            bench.clock();
            let clocks = bench.clocks() - began;
            assert!(clocks <= 8 * (64 + 65) + 80, "{} beats in {clocks} clocks", bench.received("write").len());
        }

        // With all units there before the first beat is taken; the first time a reset takes all of them away.
        for is_reset in [true, false] {
            bench.drain("write");
            bench.hold("write", true);
            bench.send("write_unit", units(bench));
            for _ in 0..8 * (64 + 65) + 80 {
                host.answer_data_reads(bench);
                bench.clock();
            }
            assert_eq!(bench.peek("write_valid"), 1, "a beat is offered before there is room for it");
            if is_reset {
                bench.reset(1);
                bench.hold("write", false);
                bench.run(100);
                assert!(bench.received("write").is_empty());
            }
        }
        bench.hold("write", false);
        bench.run_until(16 * 64 + 2, |bench| bench.received("write").len() == 16 * 64);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    for config in CONFIGS {
        forgets_at_reset(&DmaRead::new(config), &["data_beat"], &["data_error_tag"]);
    }
}
