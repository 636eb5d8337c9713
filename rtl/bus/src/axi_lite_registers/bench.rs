//! The running front end, before a block that accepts and answers at once, or takes its time.

use super::*;
use crate::monitor::{AxiLiteMonitor, AxiLiteProbe, Watched};
use crate::testing::{design, BED};
use rtl_hdl::bench::{Bench, Rng, Seed, Stalls};
use rtl_hdl::{Block, MemoryStyle};

const ADDRESS_BITS: u32 = 6;
const WORDS: usize = 16;

/// Sixteen words of memory.
struct Words;

impl Block for Words {
    fn name(&self) -> String {
        "memory_behind_axi_lite".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let bus = AxiLiteRegisters::new(m, clock, "mmio", ADDRESS_BITS);
        let awake = m.input("awake", 1);

        // 2. State
        let words = m.memory("words", AxiLite::DATA_BITS, WORDS as u32, MemoryStyle::Distributed);

        // 3. Conditions
        let write = m.wire("write", bus.write() & awake);
        let number = |address: Signal| address.bits(2..ADDRESS_BITS);

        // 4. Next state
        words.write_lanes(clock, write, number(bus.write_address()), bus.write_data(), bus.write_strobe());
        when(write, || bus.accept_write());
        when(bus.read() & awake, || bus.answer_read(words.lookup(number(bus.read_address()))));

        // 5. Outputs: the bus's own.
    }
}

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(Words)]
}

/// The memory, and how often it is awake.
struct Access<'a, 'b> {
    bench: &'a mut Bench<'b>,
    rng: Rng,
    awake_percent: u64,
    memory: [u64; WORDS],
}

impl Access<'_, '_> {
    fn clock(&mut self) {
        let awake = self.rng.percent(self.awake_percent);
        self.bench.poke("awake", awake.into());
        self.bench.clock();
    }

    fn wait_for(&mut self, stream: &str, count: usize) {
        for _ in 0..2_000 {
            if self.bench.received(stream).len() >= count {
                return;
            }
            self.clock();
        }
        panic!("fewer than {count} answers on `{stream}`");
    }

    fn send_write(&mut self, address: u64, data: u64, strobe: u64) {
        let word = &mut self.memory[address as usize / 4];
        let lanes: u64 = (0..4).filter(|byte| strobe >> byte & 1 == 1).map(|byte| 0xff << (8 * byte)).sum();
        *word = *word & !lanes | data & lanes;
        self.bench.send("mmio_aw", [vec![address]]);
        let item = self.bench.fields("mmio_w").set("data", data).set("strb", strobe).words();
        self.bench.send("mmio_w", [item]);
    }

    fn write(&mut self, address: u64, data: u64, strobe: u64) {
        self.send_write(address, data, strobe);
        self.wait_for("mmio_b", 1);
        let answers = self.bench.drain_fields("mmio_b");
        assert_eq!(answers.iter().map(|answer| answer.get("resp")).collect::<Vec<_>>(), [u64::from(resp::OKAY)]);
    }

    fn read(&mut self, address: u64) {
        self.bench.send("mmio_ar", [vec![address]]);
        self.wait_for("mmio_r", 1);
        let answers = self.bench.drain_fields("mmio_r");
        let answers: Vec<_> = answers.iter().map(|answer| (answer.get("data"), answer.get("resp"))).collect();
        assert_eq!(answers, [(self.memory[address as usize / 4], u64::from(resp::OKAY))]);
    }

    /// Writes every word: what memory holds at the start is not known.
    fn fill(&mut self) {
        for number in 0..WORDS as u64 {
            let data = self.rng.bits(AxiLite::DATA_BITS)[0];
            self.write(4 * number, data, 0xf);
        }
    }

    /// A read, and the address of a write without its data, which a reset cuts off in a random clock.
    fn leave_in_the_middle(&mut self) {
        self.bench.send("mmio_aw", [vec![0]]);
        self.bench.send("mmio_ar", [vec![0]]);
        for _ in 0..self.rng.below(12) {
            self.clock();
        }
        self.bench.clear("mmio_aw");
        self.bench.clear("mmio_ar");
        self.bench.reset(1);
        for _ in 0..10 {
            self.clock();
        }
        assert!(self.bench.drain("mmio_b").is_empty(), "a write without data is not answered");
        // The read may have been answered before the reset, and not after it.
        self.bench.drain("mmio_r");
    }
}

/// Runs `body` with a memory that is always or rarely awake, under every stall pattern, with a monitor on the bus.
fn on_every_memory(mut body: impl FnMut(&mut Access)) {
    let seed = Seed::from_env_or(0x5EED);
    let design = design(&Words);
    for (awake_percent, stalls) in [100, 25].into_iter().flat_map(|percent| Stalls::ALL.map(|stalls| (percent, stalls)))
    {
        let simulator = BED.simulator(&design);
        let probe = AxiLiteProbe::new(&simulator, "mmio");
        let mut monitor = AxiLiteMonitor::new("mmio");
        let mut watched = Watched::new(simulator, |sim| monitor.clock(&probe.sample(sim)));
        let mut bench = Bench::new(&mut watched, &design, seed, stalls);
        body(&mut Access { bench: &mut bench, rng: seed.rng("accesses"), awake_percent, memory: [0; WORDS] });
        drop(bench);
        drop(watched);
        monitor.finish();
        monitor.assert_clean();
    }
}

#[test]
fn behaves_like_memory_and_keeps_the_protocol_under_all_stalls_and_resets() {
    on_every_memory(|access| {
        access.fill();
        for _ in 0..10 {
            for _ in 0..30 {
                let address = access.rng.below(1 << ADDRESS_BITS);
                if access.rng.bool() {
                    let (data, strobe) =
                        (access.rng.bits(AxiLite::DATA_BITS)[0], access.rng.bits(AxiLite::DATA_BYTES)[0]);
                    access.write(address, data, strobe);
                } else {
                    access.read(address);
                }
            }
            access.leave_in_the_middle();
        }
    });
}

#[test]
fn waits_for_a_block_that_sleeps() {
    let design = design(&Words);
    let mut simulator = BED.simulator(&design);
    let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
    let mut access = Access { bench: &mut bench, rng: Seed(1).rng("data"), awake_percent: 0, memory: [0; WORDS] };
    access.send_write(8, 5, 0xf);
    (0..100).for_each(|_| access.clock());
    access.bench.send("mmio_ar", [vec![8]]);
    (0..100).for_each(|_| access.clock());
    assert!(access.bench.drain("mmio_b").is_empty() && access.bench.drain("mmio_r").is_empty(), "it was asleep");
    access.awake_percent = 100;
    access.wait_for("mmio_b", 1);
    access.wait_for("mmio_r", 1);
    access.bench.drain("mmio_r");
    access.read(8);
}

#[test]
fn writes_and_reads_in_every_second_clock() {
    let design = design(&Words);
    let mut simulator = BED.simulator(&design);
    let mut bench = Bench::new(&mut *simulator, &design, Seed(1), Stalls::None);
    bench.poke("awake", 1);
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
    on_every_memory(|access| {
        for number in 0..WORDS as u64 {
            access.send_write(4 * number, number * 0x0101_0101, 0xf);
        }
        access.wait_for("mmio_b", WORDS);
        access.bench.send("mmio_ar", (0..WORDS as u64).map(|number| vec![4 * number]));
        access.wait_for("mmio_r", WORDS);
        (0..50).for_each(|_| access.clock());
        let read: Vec<u64> = access.bench.drain_fields("mmio_r").iter().map(|answer| answer.get("data")).collect();
        assert_eq!((access.bench.received("mmio_b").len(), read), (WORDS, access.memory.to_vec()));
    });
}
