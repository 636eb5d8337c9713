//! The running register file.

use super::*;
use rtl_bus::monitor::{AxiLiteMonitor, AxiLiteProbe, Watched};
use rtl_hdl::bench::{Bench, Rng, Seed, Stalls};
use rtl_hdl::Block;
use sim_verilator::test_bed::design;
use sim_verilator::TestBed;

/// Words of the table that is plain memory.
const WORDS: u32 = 16;

fn register(name: &str, offset: u32, bytes: u32, reset: u64, fields: Vec<Field>) -> Register {
    Register { name: name.into(), offset, bytes, reset, fields }
}

/// Registers of both sizes, every access kind, fields that cross words and bytes, holes.
fn small() -> Vec<Register> {
    vec![
        register("VS", 0x08, 4, 0x0001_0400, vec![Field::new("ALL", 0, 32, Access::Constant)]),
        register("CC", 0x14, 4, 0x40, vec![Field::new("EN", 0, 1, Access::Rw), Field::new("MPS", 6, 7, Access::Rw)]),
        register("ASQ", 0x28, 8, 0xF000, vec![Field::new("ASQB", 12, 52, Access::Rw)]),
        register(
            "WORK",
            0x20,
            4,
            0,
            vec![Field::new("START", 7, 2, Access::W1s), Field::new("LEVEL", 16, 9, Access::Ro)],
        ),
    ]
}

fn mixed() -> Vec<Register> {
    let all = |access| vec![Field::new("ALL", 0, 64, access)];
    vec![
        register("FLAGS", 0x00, 8, 0x8000_0001_8000_0001, all(Access::W1c)),
        register("SHOWN", 0x08, 8, 0, all(Access::Ro)),
        register("ASKED", 0x10, 8, 0, all(Access::W1s)),
        register("PLAIN", 0x20, 8, u64::MAX, all(Access::Rw)),
        register("EMPTY", 0x18, 4, 0, vec![]),
        register(
            "MANY",
            0x1c,
            4,
            0x8765_4321,
            vec![
                Field::new("TOP", 31, 1, Access::Rw),
                Field::new("LOW", 0, 12, Access::Constant),
                Field::new("MIDDLE", 12, 19, Access::W1c),
            ],
        ),
    ]
}

/// Sixteen words of memory.
fn memory() -> RegisterFile {
    let word = |i| register(&format!("R{i}"), 4 * i, 4, 0, vec![Field::new("ALL", 0, 32, Access::Rw)]);
    RegisterFile::new("registers_memory", (0..WORDS).map(word).collect(), 6, Bus::AxiLite("mmio".into()))
        .expect("the table is right")
}

fn files() -> Vec<RegisterFile> {
    let tables = [("small", small(), 6), ("mixed", mixed(), 12)];
    let mut files = vec![memory()];
    for (name, table, address_bits) in tables {
        for (bus, suffix) in [(Bus::Access, "plain"), (Bus::AxiLite("mmio".into()), "axi_lite")] {
            let file = RegisterFile::new(&format!("registers_{name}_{suffix}"), table.clone(), address_bits, bus);
            files.push(file.expect("the table is right"));
        }
    }
    files
}

/// Every table that is run.
static BED: TestBed = TestBed::new("rtl-csr", blocks);

fn blocks() -> Vec<Box<dyn Block>> {
    files().into_iter().map(|file| Box::new(file) as Box<dyn Block>).collect()
}

#[test]
fn every_register_does_what_the_table_says() {
    for file in files() {
        crate::walk::walk(&file, &mut *BED.simulator(&design(&file)), Seed::from_env_or(0x5EED));
    }
}

#[test]
fn lint_is_silent() {
    BED.assert_lint_is_silent();
}

/// Runs `body` with sixteen words of memory under every stall pattern, with a monitor on the bus.
fn on_memory(mut body: impl FnMut(&mut Bench, &mut Rng)) {
    let design = design(&memory());
    let seed = Seed::from_env_or(0x5EED);
    for stalls in Stalls::ALL {
        let simulator = BED.simulator(&design);
        let probe = AxiLiteProbe::new(&simulator, "mmio");
        let mut monitor = AxiLiteMonitor::new("mmio");
        let mut watched = Watched::new(simulator, |sim| monitor.clock(&probe.sample(sim)));
        body(&mut Bench::new(&mut watched, &design, seed, stalls), &mut seed.rng("accesses"));
        monitor.finish();
        monitor.assert_clean();
    }
}

fn write(bench: &mut Bench, address: u64, data: u64, strobe: u64) {
    bench.send("mmio_aw", [vec![address]]);
    let item = bench.fields("mmio_w").set("data", data).set("strb", strobe).words();
    bench.send("mmio_w", [item]);
}

/// Writes and reads, each waiting for the one before: the answers are those of plain memory.
#[test]
fn accesses_over_axi_lite_are_answered_in_order_under_all_stalls() {
    on_memory(|bench, rng| {
        let mut memory = [0u64; WORDS as usize];
        for _ in 0..300 {
            let (address, data, strobe) = (rng.below(64), rng.next_u64() & 0xffff_ffff, rng.below(16));
            let word = &mut memory[address as usize / 4];
            if rng.bool() {
                let lanes: u64 = (0..4).filter(|byte| strobe >> byte & 1 == 1).map(|byte| 0xff << (8 * byte)).sum();
                *word = *word & !lanes | data & lanes;
                write(bench, address, data, strobe);
                bench.run_until(500, |bench| !bench.received("mmio_b").is_empty());
                assert_eq!(bench.drain("mmio_b").len(), 1, "a write gets one answer");
            } else {
                bench.send("mmio_ar", [vec![address]]);
                bench.run_until(500, |bench| !bench.received("mmio_r").is_empty());
                let answers: Vec<u64> = bench.drain_fields("mmio_r").iter().map(|answer| answer.get("data")).collect();
                assert_eq!(answers, [*word]);
            }
        }
    });
}

#[test]
fn accesses_over_axi_lite_need_not_wait_for_answers() {
    on_memory(|bench, _| {
        let (words, data) = (WORDS as usize, |number: u64| number * 0x0101_0101);
        (0..WORDS.into()).for_each(|number| write(bench, 4 * number, data(number), 0xf));
        bench.run_until(2_000, |bench| bench.received("mmio_b").len() >= words);
        bench.send("mmio_ar", (0..WORDS.into()).map(|number| vec![4 * number]));
        bench.run_until(2_000, |bench| bench.received("mmio_r").len() >= words);
        bench.run(50);
        let read: Vec<u64> = bench.drain_fields("mmio_r").iter().map(|answer| answer.get("data")).collect();
        assert_eq!((bench.received("mmio_b").len(), read), (words, (0..WORDS.into()).map(data).collect()));
    });
}
