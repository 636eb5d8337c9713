//! The running block against a model of the pending bits, with random masks.

use super::{Irq, WINDOW_BITS};
use crate::testing::{under_all_stalls, CONFIGS};
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

fn fill_table(bench: &mut Bench, config: Config) {
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
            bench.poke("msix_enable", 1);
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
            assert_eq!(bench.peek("quiet"), 1);
        });
    }
}

fn take_messages(bench: &mut Bench, requests: &mut [u64], waiting: &mut [bool]) {
    for message in bench.drain_fields("message") {
        let vector = message.get("address") >> 32;
        assert_eq!(message.get("address") & 0xFFFF_FFFF, 0x1000 + 8 * vector);
        assert_eq!(message.get_words("data")[0], (0xD0 + vector) << 32 | (0xD0 + vector));
        assert_eq!(message.get("is_entry"), 0);
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
            let vectors = u64::from(config.vectors());
            let mut table: Vec<u64> = vec![0; 4 * vectors as usize];
            for address in 0..4 * vectors {
                write(bench, address, 0, 0xF);
            }
            for _ in 0..200 {
                let (address, data, strobe) = (rng.below(4 * vectors + 4), rng.next_u64() & 0xFFFF_FFFF, rng.below(16));
                write(bench, address, data, strobe);
                let mask: u64 = (0..4).filter(|byte| strobe >> byte & 1 == 1).map(|byte| 0xFF << (8 * byte)).sum();
                // Vector control has one bit.
                let mask = if address % 4 == 3 { mask & 1 } else { mask };
                if let Some(word) = table.get_mut(address as usize) {
                    *word = *word & !mask | data & mask;
                }
            }
            for address in 0..4 * vectors + 4 {
                let expected = table.get(address as usize).copied().unwrap_or(0);
                assert_eq!(read(bench, address), expected, "dword {address}");
            }
            bench.poke("function_reset", 1);
            bench.clock();
            bench.poke("function_reset", 0);
            assert!((0..vectors).all(|vector| read(bench, 4 * vector + 3) == 1), "a function level reset masks");
        });
    }
}

#[test]
fn masks_of_the_function_hold_back_and_the_end_of_a_life_forgets() {
    for (port, idle, active) in [("msix_enable", 1, 0), ("function_mask", 0, 1), ("holding", 0, 1)] {
        under_all_stalls(&Irq::new(CONFIGS[0]), |bench, _| {
            fill_table(bench, CONFIGS[0]);
            bench.poke("msix_enable", 1);
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
            bench.poke("clear", 1);
            bench.clock();
            bench.poke("clear", 0);
            bench.poke(port, idle);
            bench.run(100);
            assert_eq!((bench.drain("message").len(), read(bench, PENDING)), (0, 0), "{port}");
        });
    }
}
