//! The running block against a model of the pending bits, with random masks.

use super::{Irq, TICK_CLOCKS, WINDOW_BITS};
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls, FUNCTION_CONFIGS as CONFIGS};
use crate::Config;
use rtl_hdl::bench::{Bench, Rng};

/// The first dword of the pending bit array.
const PENDING: u64 = 1 << (WINDOW_BITS - 1);

fn write(bench: &mut Bench, address: u64, data: u64, strobe: u64) {
    bench.poke("window_write", 1);
    bench.poke("window_address", address);
    bench.poke("window_data", data);
    bench.poke("window_strobe", strobe);
    bench.clock();
    bench.poke("window_write", 0);
}

fn read(bench: &mut Bench, address: u64) -> u64 {
    bench.poke("window_read_address", address);
    bench.clock();
    bench.peek("window_read_data")
}

/// The bit of the function that is tested: the last one.
fn ours(config: Config) -> u64 {
    1 << (config.functions - 1)
}

/// Everything is about that function.
fn begin(bench: &mut Bench, config: Config) {
    for port in ["raise_function", "window_function", "window_read_function"] {
        bench.poke(port, (config.functions - 1).into());
    }
}

fn fill_table(bench: &mut Bench, config: Config) {
    begin(bench, config);
    for vector in 0..u64::from(config.vectors()) {
        for (dword, value) in [(0, 0x1000 + 8 * vector), (1, vector), (2, 0xD0 + vector)] {
            write(bench, 4 * vector + dword, value, 0xF);
        }
    }
}

#[test]
fn raised_vectors_send_their_message_once_they_may() {
    for config in CONFIGS {
        under_all_stalls(&Irq::new(config), |bench, rng| {
            let vectors = u64::from(config.vectors());
            fill_table(bench, config);
            bench.poke("msix_enable", ours(config));
            // Messages may be fewer than requests, never more, and never for a vector that is masked for long.
            let mut masked: Vec<bool> = vec![true; vectors as usize];
            let mut requests: Vec<u64> = vec![0; vectors as usize];
            let mut waiting: Vec<bool> = vec![false; vectors as usize];
            for _ in 0..300 {
                let vector = rng.below(vectors) as usize;
                bench.poke("raise", 1);
                bench.poke("raise_vector", vector as u64);
                bench.clock();
                bench.poke("raise", 0);
                requests[vector] += 1;
                waiting[vector] = true;
                if rng.percent(40) {
                    let vector = rng.below(vectors) as usize;
                    masked[vector] = rng.bool();
                    write(bench, 4 * vector as u64 + 3, masked[vector].into(), 0xF);
                }
                bench.run(rng.below(60));
                take_messages(bench, &mut requests, &mut waiting);
            }
            // All that is not masked has been sent after a while; the rest is pending.
            bench.run(200);
            take_messages(bench, &mut requests, &mut waiting);
            let pending = read(bench, PENDING);
            for vector in 0..vectors as usize {
                assert_eq!(pending >> vector & 1 == 1, masked[vector] && waiting[vector], "pending bit {vector}");
            }
            (0..vectors).for_each(|vector| write(bench, 4 * vector + 3, 0, 1));
            bench.run(200);
            take_messages(bench, &mut requests, &mut waiting);
            assert!(waiting.iter().all(|waits| !waits));
            assert_eq!(read(bench, PENDING), 0);
            assert_ne!(bench.peek("quiet") & ours(config), 0);
        });
    }
}

fn take_messages(bench: &mut Bench, requests: &mut [u64], waiting: &mut [bool]) {
    for message in bench.drain_fields("message") {
        let vector = message.get("address") >> 32;
        assert_eq!(message.get("address") & 0xFFFF_FFFF, 0x1000 + 8 * vector);
        assert_eq!(message.get("data"), 0xD0 + vector);

        let requests = &mut requests[vector as usize];
        assert!(*requests > 0, "a message that nobody asked for");
        *requests -= 1;
        waiting[vector as usize] = false;
    }
}

#[test]
fn the_table_reads_as_written() {
    for config in CONFIGS {
        under_all_stalls(&Irq::new(config), |bench, rng: &mut Rng| {
            begin(bench, config);
            let vectors = u64::from(config.vectors());
            let mut table: Vec<u64> = vec![0; 4 * vectors as usize];
            for address in 0..4 * vectors {
                write(bench, address, 0, 0xF);
            }
            for _ in 0..400 {
                let beyond = rng.below(1 << WINDOW_BITS);
                let (inside, near) = (rng.below(4 * vectors), rng.below(4 * vectors + 64));
                let address = *rng.pick(&[inside, near, beyond, PENDING + inside]);
                let (data, strobe) = (rng.next_u64() & 0xFFFF_FFFF, rng.below(16));
                write(bench, address, data, strobe);
                // What stands there afterwards is no write.
                bench.poke("window_data", !data & 0xFFFF_FFFF);
                bench.clock();
                let mask: u64 = (0..4).filter(|byte| strobe >> byte & 1 == 1).map(|byte| 0xFF << (8 * byte)).sum();
                // Vector control has one bit.
                let mask = if address % 4 == 3 { mask & 1 } else { mask };
                if let Some(word) = table.get_mut(address as usize) {
                    *word = *word & !mask | data & mask;
                    assert_eq!(read(bench, address), *word, "dword {address} after strobe {strobe:#x}");
                }
            }
            // Everything else is zero: behind the table, and the pending bits.
            for address in (0..4 * vectors + 300).chain(PENDING..PENDING + 300) {
                let expected = table.get(address as usize).copied().unwrap_or(0);
                assert_eq!(read(bench, address), expected, "dword {address}");
            }
            for (port, clears) in [("function_reset", true), ("clear", false)] {
                (0..vectors).for_each(|vector| write(bench, 4 * vector + 3, 0, 1));
                raise_all(bench, vectors);
                assert_eq!(read(bench, PENDING), (1 << vectors) - 1);
                assert!((1..300).all(|dword| read(bench, PENDING + dword) == 0), "they are in the first dword");
                bench.poke(port, ours(config));
                bench.clock();
                bench.poke(port, 0);
                assert_eq!(read(bench, PENDING), 0, "`{port}` forgets");
                let masks = (0..vectors).all(|vector| read(bench, 4 * vector + 3) == u64::from(clears));
                assert!(masks, "only a function level reset masks");
            }
        });
    }
}

fn raise_all(bench: &mut Bench, vectors: u64) {
    for vector in 0..vectors {
        bench.poke("raise", 1);
        bench.poke("raise_vector", vector);
        bench.clock();
    }
    bench.poke("raise", 0);
}

#[test]
fn a_reset_masks_all_and_forgets() {
    for config in CONFIGS {
        under_all_stalls(&Irq::new(config), |bench, _| {
            begin(bench, config);
            let vectors = u64::from(config.vectors());
            for _ in 0..2 {
                assert_eq!(read(bench, PENDING), 0);
                assert!((0..vectors).all(|vector| read(bench, 4 * vector + 3) == 1), "all are masked");
                (0..vectors).for_each(|vector| write(bench, 4 * vector + 3, 0, 1));
                raise_all(bench, vectors);
                assert_ne!(read(bench, PENDING), 0);
                // One message is offered, and another vector has been chosen.
                bench.poke("msix_enable", ours(config));
                bench.hold("message", true);
                bench.run(10);
                bench.reset(1);
                bench.hold("message", false);
                bench.run(10);
                assert!(bench.drain("message").is_empty(), "what was chosen before a reset is sent after it");
                bench.poke("msix_enable", 0);
            }
        });
        // Words of the RAM.
        forgets_at_reset(&Irq::new(config), &[], &["window_read_data", "message_address", "message_data"]);
    }
}

/// The first vector behind the one that was sent last goes first; after a reset, the first of all.
#[test]
fn vectors_take_turns() {
    for config in CONFIGS {
        under_all_stalls(&Irq::new(config), |bench, rng| {
            let vectors = u64::from(config.vectors());
            fill_table(bench, config);
            bench.poke("msix_enable", ours(config));
            for _ in 0..4 {
                (0..vectors).for_each(|vector| write(bench, 4 * vector + 3, 0, 1));
                let mut last = vectors - 1;
                for round in 0..6 {
                    bench.poke("holding", ours(config));
                    let raised: Vec<u64> = (0..vectors).filter(|_| round == 0 || rng.percent(60)).collect();
                    for vector in &raised {
                        bench.poke("raise", 1);
                        bench.poke("raise_vector", *vector);
                        bench.clock();
                    }
                    bench.poke("raise", 0);
                    bench.poke("holding", 0);
                    bench.run(30 * vectors);
                    let sent: Vec<u64> = bench.drain_fields("message").iter().map(|m| m.get("address") >> 32).collect();
                    let turns = (last + 1..=last + vectors).map(|turn| turn % vectors);
                    let expected: Vec<u64> = turns.filter(|vector| raised.contains(vector)).collect();
                    assert_eq!(sent, expected, "after {last}");
                    last = expected.last().copied().unwrap_or(last);
                }
                bench.reset(1);
            }
        });
    }
}

/// While new messages are held back, `quiet` says that none is on its way.
#[test]
fn nothing_leaves_after_quiet() {
    for config in CONFIGS {
        under_all_stalls(&Irq::new(config), |bench, rng| {
            let vectors = u64::from(config.vectors());
            fill_table(bench, config);
            (0..vectors).for_each(|vector| write(bench, 4 * vector + 3, 0, 1));
            bench.poke("msix_enable", ours(config));
            for _ in 0..100 {
                raise_all(bench, vectors);
                bench.poke("holding", 0);
                bench.run(rng.below(8));
                bench.poke("holding", ours(config));
                // What is chosen in this clock is on its way.
                bench.clock();
                bench.run_until(200, |bench| bench.peek("quiet") & ours(config) != 0);
                bench.drain("message");
                bench.run(20);
                assert_eq!(bench.drain("message").len(), 0);
            }
        });
    }
}

/// What was chosen and has not been offered is forgotten with the rest.
#[test]
fn the_end_of_a_life_forgets_what_is_chosen() {
    without_stalls(&Irq::new(CONFIGS[1]), |bench| {
        let vectors = u64::from(CONFIGS[1].vectors());
        fill_table(bench, CONFIGS[1]);
        (0..vectors).for_each(|vector| write(bench, 4 * vector + 3, 0, 1));
        bench.poke("msix_enable", ours(CONFIGS[1]));
        bench.hold("message", true);
        raise_all(bench, vectors);
        bench.run(50);
        bench.poke("clear", ours(CONFIGS[1]));
        bench.clock();
        bench.poke("clear", 0);
        bench.hold("message", false);
        bench.run(50);
        assert_eq!(bench.drain("message").len(), 1, "the one that was offered");
    });
}

#[test]
fn masks_of_the_function_hold_back_and_the_end_of_a_life_forgets() {
    let ours = ours(CONFIGS[0]);
    for (port, idle, active) in [("msix_enable", ours, 0), ("function_mask", 0, ours), ("holding", 0, ours)] {
        under_all_stalls(&Irq::new(CONFIGS[0]), |bench, _| {
            fill_table(bench, CONFIGS[0]);
            bench.poke("msix_enable", ours);
            write(bench, 3, 0, 0xF);
            bench.poke(port, active);
            bench.poke("raise", 1);
            bench.clock();
            bench.poke("raise", 0);
            bench.run(100);
            assert_eq!((bench.received("message").len(), read(bench, PENDING)), (0, 1), "{port}");
            bench.poke(port, idle);
            bench.run(100);
            assert_eq!((bench.drain("message").len(), read(bench, PENDING)), (1, 0), "{port}");

            bench.poke(port, active);
            bench.poke("raise", 1);
            bench.clock();
            bench.poke("raise", 0);
            bench.poke("clear", ours);
            bench.clock();
            bench.poke("clear", 0);
            bench.poke(port, idle);
            bench.run(100);
            assert_eq!((bench.drain("message").len(), read(bench, PENDING)), (0, 0), "{port}");
        });
    }
}

/// NVMe Base, "Interrupt Coalescing (Feature Identifier 08h)": so many entries or so much time, and never the admin queue.
#[test]
fn requests_are_aggregated_by_count_and_by_time() {
    for config in CONFIGS {
        without_stalls(&Irq::new(config), |bench| {
            fill_table(bench, config);
            (0..3).for_each(|vector| write(bench, 4 * vector + 3, 0, 1));
            bench.poke("msix_enable", ours(config));
            let raise = |bench: &mut Bench, vector: u64, times: u64| {
                for _ in 0..times {
                    bench.poke("raise", 1);
                    bench.poke("raise_vector", vector);
                    bench.clock();
                    bench.poke("raise", 0);
                    bench.run(20);
                }
                bench.drain("message").len()
            };
            let coalescing = format!("coalescing_f{}", config.functions - 1);
            let threshold = 4;
            bench.poke(&coalescing, (threshold - 1) | 2 << 8);
            assert_eq!(raise(bench, 1, threshold - 1), 0);
            assert_eq!(raise(bench, 1, 1), 1, "the threshold is reached");
            assert_eq!(raise(bench, 1, threshold - 1), 0, "the count begins anew");
            assert_eq!(raise(bench, 0, 3), 3, "the admin queue is never delayed");
            // Less than three units of time later it is delivered, with one of another vector.
            assert_eq!(raise(bench, 2, 1), 0);
            bench.run(u64::from(TICK_CLOCKS) - 1000);
            assert_eq!(bench.drain("message").len(), 0, "not before its time");
            bench.run(2 * u64::from(TICK_CLOCKS) + 1000);
            assert_eq!(bench.drain("message").len(), 2);
            // A vector that does not take part, by the feature Interrupt Vector Configuration.
            let exempt = |bench: &mut Bench, value: u64| {
                let port = |name: &str| format!("exempt_{name}_f{}", config.functions - 1);
                bench.poke(&port("write"), 1);
                bench.poke(&port("vector"), 2);
                bench.poke(&port("value"), value);
                bench.clock();
                bench.poke(&port("write"), 0);
            };
            exempt(bench, 1);
            assert_eq!((raise(bench, 2, 2), raise(bench, 1, 1)), (2, 0));
            exempt(bench, 0);
            assert_eq!(raise(bench, 2, 2), 0);
            // Without a time nothing is delayed.
            bench.poke(&coalescing, threshold - 1);
            assert_eq!(raise(bench, 1, 2), 2);
        });
    }
}
