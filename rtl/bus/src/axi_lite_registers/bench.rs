//! The running front end, before a block that accepts and answers at once, and one that takes its time.

use super::*;
use crate::monitor::{AxiLiteMonitor, AxiLiteProbe, Watched};
use crate::testing::{design, BED};
use rtl_hdl::bench::{Bench, Rng, Seed, Stalls};
use rtl_hdl::{zero, Block, MemoryStyle};

const ADDRESS_BITS: u32 = 6;
const WORDS: usize = 16;

/// Sixteen words of memory.
struct Words {
    /// Accepts and answers only in every fourth clock.
    is_slow: bool,
}

impl Block for Words {
    fn name(&self) -> String {
        format!("words_{}", if self.is_slow { "slow" } else { "prompt" })
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "mmio", ADDRESS_BITS);

        // 2. State
        let words = m.memory("words", AxiLite::DATA_BITS, WORDS as u32, MemoryStyle::Distributed);
        let tick = m.reg("tick", clock, zero(2));

        // 3. Conditions
        let awake = m.wire("awake", if self.is_slow { tick.eq(3) } else { lit(1u32, 1) });
        let write = m.wire("write", bus.write() & awake);
        let number = |address: Signal| address.bits(2..ADDRESS_BITS);

        // 4. Next state
        tick.set(tick + 1);
        words.write_lanes(clock, write, number(bus.write_address()), bus.write_data(), bus.write_strobe());
        when(write, || bus.accept_write());
        when(bus.read() & awake, || bus.answer_read(words.lookup(number(bus.read_address()))));

        // 5. Outputs
        m.output("ticks", tick);
    }
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(Words { is_slow: false }), Box::new(Words { is_slow: true })]
}

#[test]
fn behaves_like_memory_and_keeps_the_protocol_under_all_stalls_and_resets() {
    let seed = Seed::from_env_or(0x5EED);
    for block in blocks() {
        let design = design(&*block);
        for stalls in Stalls::ALL {
            let simulator = BED.simulator(&design);
            let probe = AxiLiteProbe::new(&simulator, "mmio");
            let mut monitor = AxiLiteMonitor::new("mmio");
            let mut watched = Watched::new(simulator, |sim| monitor.clock(&probe.sample(sim)));
            let mut bench = Bench::new(&mut watched, &design, seed, stalls);
            let mut rng = seed.rng("accesses");
            // What memory holds at the start is not known.
            let mut memory = [0u64; WORDS];
            for number in 0..WORDS as u64 {
                write(&mut bench, &mut memory, 4 * number, rng.bits(AxiLite::DATA_BITS)[0], 0xf);
            }
            for _ in 0..10 {
                (0..30).for_each(|_| access(&mut bench, &mut rng, &mut memory));
                leave_in_the_middle(&mut bench, &mut rng);
            }
            drop(bench);
            drop(watched);
            monitor.finish();
            monitor.assert_clean();
        }
    }
}

/// A write or a read, with its answer.
fn access(bench: &mut Bench, rng: &mut Rng, memory: &mut [u64; WORDS]) {
    let address = rng.below(1 << ADDRESS_BITS);
    if rng.bool() {
        let (data, strobe) = (rng.bits(AxiLite::DATA_BITS)[0], rng.bits(AxiLite::DATA_BYTES)[0]);
        write(bench, memory, address, data, strobe);
    } else {
        bench.send("mmio_ar", [vec![address]]);
        bench.run_until(500, |bench| !bench.received("mmio_r").is_empty());
        let answers = bench.drain_fields("mmio_r");
        let word = memory[address as usize / 4];
        assert_eq!((answers[0].get("data"), answers[0].get("resp")), (word, u64::from(resp::OKAY)));
    }
}

fn write(bench: &mut Bench, memory: &mut [u64; WORDS], address: u64, data: u64, strobe: u64) {
    let word = &mut memory[address as usize / 4];
    let lanes: u64 = (0..4).filter(|byte| strobe >> byte & 1 == 1).map(|byte| 0xff << (8 * byte)).sum();
    *word = *word & !lanes | data & lanes;
    bench.send("mmio_aw", [vec![address]]);
    let item = bench.fields("mmio_w").set("data", data).set("strb", strobe).words();
    bench.send("mmio_w", [item]);
    bench.run_until(500, |bench| !bench.received("mmio_b").is_empty());
    assert_eq!(bench.drain_fields("mmio_b")[0].get("resp"), u64::from(resp::OKAY));
}

/// A read, and the address of a write without its data, which a reset cuts off in a random clock.
fn leave_in_the_middle(bench: &mut Bench, rng: &mut Rng) {
    bench.send("mmio_aw", [vec![0]]);
    bench.send("mmio_ar", [vec![0]]);
    bench.run(rng.below(12));
    bench.clear("mmio_aw");
    bench.clear("mmio_ar");
    bench.reset(1);
    bench.run(10);
    assert!(bench.drain("mmio_b").is_empty(), "a write without data is not answered");
    // The read may have been answered before the reset, and not after it.
    bench.drain("mmio_r");
}

#[test]
fn writes_and_reads_in_every_second_clock() {
    let design = design(&Words { is_slow: false });
    let mut simulator = BED.simulator(&design);
    let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
    for number in 0..50 {
        bench.send("mmio_aw", [vec![4 * number % 64]]);
        let item = bench.fields("mmio_w").set("data", number).set("strb", 15u64).words();
        bench.send("mmio_w", [item]);
        bench.send("mmio_ar", [vec![4 * number % 64]]);
    }
    bench.run(2 * 50 + 1);
    assert_eq!((bench.received("mmio_b").len(), bench.received("mmio_r").len()), (50, 50));
}

#[test]
fn answers_everything_that_is_sent_without_waiting() {
    let seed = Seed::from_env_or(0x5EED);
    for block in blocks() {
        let design = design(&*block);
        for stalls in Stalls::ALL {
            let mut simulator = BED.simulator(&design);
            let mut bench = Bench::new(&mut *simulator, &design, seed, stalls);
            let data: Vec<u64> = (0..WORDS as u64).map(|number| number * 0x0101_0101).collect();
            for (number, data) in data.iter().enumerate() {
                bench.send("mmio_aw", [vec![4 * number as u64]]);
                let item = bench.fields("mmio_w").set("data", *data).set("strb", 15u64).words();
                bench.send("mmio_w", [item]);
            }
            bench.run_until(2_000, |bench| bench.received("mmio_b").len() >= WORDS);
            bench.send("mmio_ar", (0..WORDS as u64).map(|number| vec![4 * number]));
            bench.run_until(2_000, |bench| bench.received("mmio_r").len() >= WORDS);
            bench.run(50);
            let read: Vec<u64> = bench.drain_fields("mmio_r").iter().map(|answer| answer.get("data")).collect();
            assert_eq!((bench.received("mmio_b").len(), read), (WORDS, data));
        }
    }
}
