//! The running demultiplexer, with monitors on all ports and memories behind it.

use super::*;
use crate::monitor::{AxiLiteMonitor, AxiLiteProbe, Watched};
use crate::testing::{design, BED};
use rtl_hdl::bench::{Bench, Seed, Stalls};
use std::collections::VecDeque;

/// More clocks than an answer takes here under any stall, but for those that are held back.
const PATIENCE: u32 = 400;

fn demuxes() -> [AxiLiteDemux; 2] {
    [
        AxiLiteDemux { address_bits: 8, windows: vec![0x40..0x80, 0xF0..0x100], patience: PATIENCE },
        AxiLiteDemux {
            address_bits: 32,
            windows: vec![0x1_0000..0x2_0000, 0x1000_0000..0x1000_2000, 0..0x100],
            patience: PATIENCE,
        },
    ]
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    demuxes().map(|demux| Box::new(demux) as Box<dyn Block>).into()
}

/// What a subordinate answers to a read of an offset.
fn content(number: u64, offset: u64) -> u64 {
    (offset << 4 | number) & 0xFFFF_FFFF
}

#[test]
fn accesses_go_to_their_windows_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for demux in demuxes() {
        let design = design(&demux);
        for stalls in Stalls::ALL {
            let simulator = BED.simulator(&design);
            let names: Vec<String> =
                (0..demux.windows.len()).map(|n| format!("to_{n}")).chain(["from".into()]).collect();
            let mut watches: Vec<_> =
                names.iter().map(|name| (AxiLiteProbe::new(&simulator, name), AxiLiteMonitor::new(name))).collect();
            let mut watched = Watched::new(simulator, |sim| {
                watches.iter_mut().for_each(|(probe, monitor)| monitor.clock(&probe.sample(sim)));
            });
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            let mut rng = seed.rng("accesses");
            for round in 0..4 {
                let is_cut_short = round % 2 == 0;
                let address = |rng: &mut rtl_hdl::bench::Rng| {
                    let window = rng.pick(&demux.windows).clone();
                    let edges = [window.start, window.end - 4, window.end, window.start.wrapping_sub(4)];
                    let inside = window.start + rng.below(window.end - window.start);
                    let address = if rng.percent(40) { *rng.pick(&edges) } else { inside };
                    address & ((1 << demux.address_bits) - 1) & !3
                };
                const COUNT: usize = 60;
                let reads: Vec<u64> = (0..COUNT).map(|_| address(&mut rng)).collect();
                let writes: Vec<(u64, Vec<u64>)> =
                    (0..COUNT).map(|_| (address(&mut rng), bench.random_fields("from_w", &mut rng).words())).collect();
                let words =
                    |bench: &Bench, stream: &str, address: u64| bench.fields(stream).set("addr", address).words();
                let items: Vec<_> = reads.iter().map(|address| words(&bench, "from_ar", *address)).collect();
                bench.send("from_ar", items);
                let items: Vec<_> = writes.iter().map(|(address, _)| words(&bench, "from_aw", *address)).collect();
                bench.send("from_aw", items);
                bench.send("from_w", writes.iter().map(|(_, item)| item.clone()));
                let place = |address: u64| {
                    let number = demux.windows.iter().position(|window| window.contains(&address));
                    number.map(|number| (number as u64, address - demux.windows[number].start))
                };
                let resp = |number: u64, offset: u64| if offset % 12 == number { resp::SLVERR } else { resp::OKAY };
                let mut came: Vec<(VecDeque<u64>, VecDeque<Vec<u64>>)> = vec![Default::default(); demux.windows.len()];
                let mut written = vec![vec![]; demux.windows.len()];
                for clock in 0.. {
                    assert!(clock < 20_000, "not all is answered");
                    let is_done = bench.received("from_r").len() + bench.received("from_b").len() == 2 * COUNT;
                    if is_done || is_cut_short && clock > 40 && rng.percent(5) {
                        break;
                    }
                    bench.clock();
                    for number in 0..demux.windows.len() {
                        for read in bench.drain_fields(&format!("to_{number}_ar")) {
                            let (offset, number) = (read.get("addr"), number as u64);
                            let item = bench.fields(&format!("to_{number}_r")).set("data", content(number, offset));
                            bench.send(&format!("to_{number}_r"), [item.set("resp", resp(number, offset)).words()]);
                        }
                        let (addresses, data) = &mut came[number];
                        addresses
                            .extend(bench.drain_fields(&format!("to_{number}_aw")).iter().map(|aw| aw.get("addr")));
                        data.extend(bench.drain(&format!("to_{number}_w")));
                        while !addresses.is_empty() && !data.is_empty() {
                            let (offset, item) = (addresses.remove(0).unwrap(), data.remove(0).unwrap());
                            written[number].push((offset, item));
                            let b = format!("to_{number}_b");
                            let item = bench.fields(&b).set("resp", resp(number as u64, offset));
                            bench.send(&b, [item.words()]);
                        }
                    }
                }
                let answers = bench.drain_fields("from_r");
                for (address, answer) in reads.iter().zip(&answers) {
                    let expected = place(*address)
                        .map_or((0, resp::DECERR), |(number, offset)| (content(number, offset), resp(number, offset)));
                    assert_eq!((answer.get("data"), answer.get("resp") as u8), expected, "a read of {address:#x}");
                }
                let answers = bench.drain_fields("from_b");
                for ((address, _), answer) in writes.iter().zip(&answers) {
                    let expected = place(*address).map_or(resp::DECERR, |(number, offset)| resp(number, offset));
                    assert_eq!(answer.get("resp") as u8, expected, "a write of {address:#x}");
                }
                for (number, written) in (0..).zip(&written) {
                    let placed = writes.iter().filter_map(|(address, item)| Some((place(*address)?, item)));
                    let of_it = placed.filter(|((of, _), _)| *of == number);
                    let expected: Vec<_> = of_it.map(|((_, offset), item)| (offset, item.clone())).collect();
                    assert_eq!(*written, expected[..written.len()], "`to_{number}`");
                    assert!(is_cut_short || written.len() == expected.len());
                }
                let to: Vec<_> =
                    (0..demux.windows.len()).flat_map(|n| [format!("to_{n}_r"), format!("to_{n}_b")]).collect();
                let inputs = to.iter().map(String::as_str).chain(["from_ar", "from_aw", "from_w"]);
                inputs.for_each(|input| bench.clear(input));
                bench.reset(1);
                for (number, channel) in (0..demux.windows.len()).flat_map(|n| ["aw", "w", "ar"].map(|c| (n, c))) {
                    bench.drain(&format!("to_{number}_{channel}"));
                }
                ["from_r", "from_b"].iter().for_each(|output| drop(bench.drain(output)));
            }
            drop(bench);
            drop(watched);
            watches.iter().for_each(|(_, monitor)| monitor.assert_clean());
        }
    }
}

/// The kinds of access: where it is asked for, and where it is answered.
const KINDS: [(&str, &str); 2] = [("ar", "r"), ("aw", "b")];

/// Clocks that the block and stalls may take for what is not held back.
const SLACK: u64 = 60;

fn ask(bench: &mut Bench, kind: usize, address: u64) {
    let stream = format!("from_{}", KINDS[kind].0);
    bench.send(&stream, [bench.fields(&stream).set("addr", address).words()]);
    if kind == 1 {
        bench.send("from_w", [bench.fields("from_w").set("data", address).set("strb", 0xF).words()]);
    }
}

/// Runs until an access has reached a subordinate.
fn reach(bench: &mut Bench, number: usize, kind: usize) {
    let channels: &[&str] = if kind == 0 { &["ar"] } else { &["aw", "w"] };
    let streams: Vec<String> = channels.iter().map(|channel| format!("to_{number}_{channel}")).collect();
    bench.run_until(SLACK, |bench| streams.iter().all(|stream| bench.received(stream).len() == 1));
    streams.iter().for_each(|stream| drop(bench.drain(stream)));
}

/// A subordinate answers.
fn answer(bench: &mut Bench, number: usize, kind: usize, data: u64) {
    let stream = format!("to_{number}_{}", KINDS[kind].1);
    let item = bench.fields(&stream).set("resp", resp::OKAY);
    let item = if kind == 0 { item.set("data", data) } else { item };
    bench.send(&stream, [item.words()]);
}

/// What the manager gets, within so many clocks.
fn result(bench: &mut Bench, kind: usize, clocks: u64) -> (u8, u64) {
    let stream = format!("from_{}", KINDS[kind].1);
    bench.run_until(clocks, |bench| !bench.received(&stream).is_empty());
    let items = bench.drain_fields(&stream);
    assert_eq!(items.len(), 1);
    (items[0].get("resp") as u8, if kind == 0 { items[0].get("data") } else { 0 })
}

#[test]
fn what_is_not_answered_is_an_error_and_never_the_answer_to_another() {
    let seed = Seed::from_env_or(0x5EED);
    for demux in demuxes() {
        let design = design(&demux);
        for stalls in Stalls::ALL {
            let simulator = BED.simulator(&design);
            let mut watches =
                ["from", "to_0", "to_1"].map(|name| (AxiLiteProbe::new(&simulator, name), AxiLiteMonitor::new(name)));
            let mut watched = Watched::new(simulator, |sim| {
                watches.iter_mut().for_each(|(probe, monitor)| monitor.clock(&probe.sample(sim)));
            });
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            let mut rng = seed.rng("accesses");
            for round in 0..12 {
                let (kind, stuck) = (round % 2, rng.below(2) as usize);
                let [here, there] = [stuck, 1 - stuck].map(|number| demux.windows[number].start);
                ask(&mut bench, kind, here);
                let before = bench.clocks();
                let patience = u64::from(PATIENCE);
                assert_eq!(result(&mut bench, kind, patience + SLACK), (resp::SLVERR, 0));
                let passed = bench.clocks() - before;
                assert!(stalls != Stalls::None || (patience..patience + 8).contains(&passed), "{passed} clocks");
                reach(&mut bench, stuck, kind);
                // Nothing more of this kind goes to the one that is stuck; to the other one it does, and so does the other kind.
                for _ in 0..rng.below(3) {
                    ask(&mut bench, kind, here + 4);
                    assert_eq!(result(&mut bench, kind, SLACK), (resp::SLVERR, 0));
                }
                for (number, address, kind) in [(1 - stuck, there, kind), (stuck, here, 1 - kind)] {
                    ask(&mut bench, kind, address);
                    reach(&mut bench, number, kind);
                    answer(&mut bench, number, kind, 1);
                    assert_eq!(result(&mut bench, kind, SLACK), (resp::OKAY, 1 - kind as u64));
                }
                // The late answer is nobody's, also when the manager waits for another.
                ask(&mut bench, kind, there);
                reach(&mut bench, 1 - stuck, kind);
                answer(&mut bench, stuck, kind, 2);
                bench.run(SLACK);
                answer(&mut bench, 1 - stuck, kind, 3);
                assert_eq!(result(&mut bench, kind, SLACK), (resp::OKAY, if kind == 0 { 3 } else { 0 }));
                ask(&mut bench, kind, here + 8);
                reach(&mut bench, stuck, kind);
                answer(&mut bench, stuck, kind, 4);
                assert_eq!(result(&mut bench, kind, SLACK), (resp::OKAY, if kind == 0 { 4 } else { 0 }));
            }
            drop(bench);
            drop(watched);
            watches.iter().for_each(|(_, monitor)| monitor.assert_clean());
        }
    }
}
