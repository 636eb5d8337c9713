//! The running ROM.

use super::*;
use crate::testing::{design, BED};
use rtl_hdl::bench::{Bench, Fields, Seed, Stalls};

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(BootRom)]
}

#[test]
fn words_are_read_where_they_are_and_nothing_elsewhere() {
    let seed = Seed::from_env_or(0x5EED);
    let design = design(&BootRom);
    for stalls in Stalls::ALL {
        let mut simulator = BED.simulator(&design);
        let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
        let mut rng = seed.rng("addresses");
        let around = (boot::START - 64..boot::END + 64).step_by(4);
        let mut addresses: Vec<u64> = around.chain([BOOT_ROM.base, BOOT_ROM.end() - 4]).collect();
        addresses.extend((0..50).map(|_| BOOT_ROM.base + rng.below(BOOT_ROM.bytes) / 4 * 4));
        for address in &addresses {
            let offset = address - BOOT_ROM.base;
            // What is written changes nothing.
            for stream in ["bus_aw", "bus_ar"] {
                let item = bench.fields(stream).set("addr", offset).words();
                bench.send(stream, [item]);
            }
            let item = bench.fields("bus_w").set("data", 0x5555_5555_u32).set("strb", 0xF).words();
            bench.send("bus_w", [item]);
        }
        bench.run_until(20_000, |bench| {
            ["bus_r", "bus_b"].iter().all(|answers| bench.received(answers).len() == addresses.len())
        });
        let got: Vec<u64> = bench.drain_fields("bus_r").iter().map(|answer: &Fields| answer.get("data")).collect();
        let expected: Vec<u64> = addresses.iter().map(|address| boot::word_at(*address).into()).collect();
        assert_eq!(got, expected, "{stalls:?}");
    }
}
