//! The running block: every dword of the BAR, in random order and with random strobes, against the table of the specification.

use super::{Regs, OFFSET_BITS};
use crate::testing::{under_all_stalls, CONFIGS};
use nvme_spec::reg::{Access, Reg};
use nvme_spec::regs::{self, DOORBELLS, MSIX_TABLE};
use rtl_hdl::bench::Bench;
use std::collections::BTreeMap;

fn write(bench: &mut Bench, address: u64, data: u64, strobe: u64) {
    let address = bench.fields("mmio_aw").set("addr", address).words();
    let data = bench.fields("mmio_w").set("data", data).set("strb", strobe).words();
    bench.send("mmio_aw", [address]);
    bench.send("mmio_w", [data]);
    bench.run_until(200, |bench| !bench.received("mmio_b").is_empty());
    bench.drain("mmio_b");
}

fn read(bench: &mut Bench, address: u64) -> u64 {
    let address = bench.fields("mmio_ar").set("addr", address).words();
    bench.send("mmio_ar", [address]);
    bench.run_until(200, |bench| !bench.received("mmio_r").is_empty());
    bench.drain_fields("mmio_r")[0].get("data")
}

/// Reads the window, behind which each dword holds its number, one clock later.
fn read_window(bench: &mut Bench, offset: u64) -> u64 {
    let address = bench.fields("mmio_ar").set("addr", u64::from(MSIX_TABLE.start) + offset).words();
    bench.send("mmio_ar", [address]);
    while bench.received("mmio_r").is_empty() {
        let number = bench.peek("window_read_address");
        bench.clock();
        bench.poke("window_read_data", number);
        assert!(bench.clocks() < 100_000, "no answer");
    }
    bench.drain_fields("mmio_r")[0].get("data")
}

#[test]
fn every_register_does_what_its_table_says() {
    for config in CONFIGS {
        under_all_stalls(&Regs::new(config), |bench, rng| {
            // What each dword holds, and which of its bits can be written.
            let mut dwords: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
            for reg in regs::REGS {
                let value = if reg.name == "CAP" { regs::cap_value(config.queue_entries_max) } else { reg.reset };
                for dword in 0..reg.bytes / 4 {
                    let half = |value: u64| value >> (32 * dword) & 0xFFFF_FFFF;
                    let offset = u64::from(reg.offset + 4 * dword);
                    dwords.insert(offset, (half(value), half(reg.mask_of(Access::Rw))));
                }
            }
            bench.poke("status", 0b1001);
            dwords.insert(regs::CSTS.offset.into(), (0b1001, 0));
            for _ in 0..300 {
                let range = if rng.bool() { 0x40 } else { 0x1000 };
                let offset = rng.below(range) & !3;
                let function = u64::from(rng.percent(10));
                let address = function << OFFSET_BITS | offset;
                if rng.bool() {
                    let (data, strobe) = (rng.next_u64() & 0xFFFF_FFFF, rng.below(16));
                    write(bench, address, data, strobe);
                    let mask: u64 = (0..4).filter(|byte| strobe >> byte & 1 == 1).map(|byte| 0xFF << (8 * byte)).sum();
                    if let Some((value, writable)) = dwords.get_mut(&address) {
                        let mask = mask & *writable;
                        *value = *value & !mask | data & mask;
                    }
                } else {
                    let expected = dwords.get(&address).map_or(0, |(value, _)| *value);
                    assert_eq!(read(bench, address), expected, "dword {address:#x}");
                }
            }
            let value = |reg: &Reg| dwords[&u64::from(reg.offset)].0;
            assert_eq!(bench.peek("cc"), value(&regs::CC));
            assert_eq!(bench.peek("aqa"), value(&regs::AQA));
            assert_eq!(bench.peek("asq") & 0xFFFF_FFFF, value(&regs::ASQ));
            assert_eq!(read_window(bench, 0x1234), 0x1234 / 4);
            assert_eq!(bench.drain("doorbell").len(), 0);
            bench.poke("function_reset", 1);
            bench.clock();
            bench.poke("function_reset", 0);
            bench.clock();
            for port in ["cc", "aqa", "asq", "acq"] {
                assert_eq!(bench.peek(port), 0, "`{port}` after a function level reset");
            }
        });
    }
}

#[test]
fn doorbells_become_items_in_their_order() {
    for config in CONFIGS {
        under_all_stalls(&Regs::new(config), |bench, rng| {
            let mut expected = Vec::new();
            for _ in 0..100 {
                let (queue, completion, value) = (rng.below(512), rng.below(2), rng.below(0x1_0000));
                let strobe = *rng.pick(&[0xF, 3, 1, 2, 0xC]);
                let offset = u64::from(DOORBELLS.start) + 8 * queue + 4 * completion;
                let function = u64::from(rng.percent(10));
                write(bench, function << OFFSET_BITS | offset, value, strobe);
                if strobe & 3 == 3 && queue < 256 && function == 0 {
                    let item = bench.fields("doorbell").set("queue", queue).set("completion", completion);
                    expected.push(item.set("value", value).words());
                }
            }
            bench.run(50);
            assert_eq!(bench.drain("doorbell"), expected);
        });
    }
}

#[test]
fn writes_of_the_window_are_passed_on() {
    under_all_stalls(&Regs::new(CONFIGS[0]), |bench, _| {
        let address = bench.fields("mmio_aw").set("addr", u64::from(MSIX_TABLE.start) + 0x10).words();
        let data = bench.fields("mmio_w").set("data", 0x1234_5678u32).set("strb", 5u8).words();
        bench.send("mmio_aw", [address]);
        bench.send("mmio_w", [data]);
        let mut writes = 0;
        for _ in 0..100 {
            if bench.peek("window_write") == 1 {
                writes += 1;
                assert_eq!(bench.peek("window_address"), 4);
                assert_eq!((bench.peek("window_data"), bench.peek("window_strobe")), (0x1234_5678, 5));
            }
            bench.clock();
        }
        assert_eq!(writes, 1);
    });
}
