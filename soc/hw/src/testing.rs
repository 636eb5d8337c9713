//! What the benches of this crate share.

use rtl_hdl::Block;
use sim_verilator::TestBed;

pub(crate) use sim_verilator::test_bed::design;

/// Every block that is run.
pub(crate) static BED: TestBed = TestBed::new("soc-hw", blocks);

fn blocks() -> Vec<Box<dyn Block>> {
    crate::boot_rom::bench::blocks()
}

#[test]
fn lint_is_silent() {
    BED.assert_lint_is_silent();
}
