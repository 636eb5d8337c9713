//! What the benches of this crate share.

use rtl_hdl::bench::Bench;
use rtl_hdl::Block;
use sim_verilator::TestBed;

pub(crate) use sim_verilator::test_bed::design;

/// Every block that is run.
pub(crate) static BED: TestBed = TestBed::new("soc-hw", blocks);

fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks = crate::boot_rom::bench::blocks();
    blocks.extend(crate::clint::bench::blocks());
    blocks.extend(crate::counters::bench::blocks());
    blocks.extend(crate::dma_engine::bench::blocks());
    blocks.extend(crate::plic::bench::blocks());
    blocks.extend(crate::uart::bench::blocks());
    blocks.extend(crate::watchdog::bench::blocks());
    blocks
}

/// Clocks within which an access to a register is answered under any stall.
const ACCESS_CLOCKS_MAX: u64 = 1_000;

/// Reads a register of the bus `bus`.
pub(crate) fn read(bench: &mut Bench, offset: u32) -> u32 {
    let address = bench.fields("bus_ar").set("addr", offset).words();
    bench.send("bus_ar", [address]);
    bench.run_until(ACCESS_CLOCKS_MAX, |bench| !bench.received("bus_r").is_empty());
    bench.drain_fields("bus_r")[0].get("data") as u32
}

/// Writes a register of the bus `bus`.
pub(crate) fn write(bench: &mut Bench, offset: u32, value: u32) {
    let address = bench.fields("bus_aw").set("addr", offset).words();
    bench.send("bus_aw", [address]);
    let data = bench.fields("bus_w").set("data", value).set("strb", 0xF).words();
    bench.send("bus_w", [data]);
    bench.run_until(ACCESS_CLOCKS_MAX, |bench| !bench.received("bus_b").is_empty());
    bench.drain("bus_b");
}

#[test]
fn lint_is_silent() {
    BED.assert_lint_is_silent();
}
