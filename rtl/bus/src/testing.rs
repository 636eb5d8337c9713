//! What the benches of this crate share.

use crate::{axi4, axi_lite_registers};
use rtl_hdl::Block;
use sim_verilator::TestBed;

pub(crate) use sim_verilator::test_bed::design;

/// Every block that is run.
pub(crate) static BED: TestBed = TestBed::new("rtl-bus", blocks);

fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks = axi4::bench::blocks();
    blocks.extend(axi_lite_registers::bench::blocks());
    blocks
}

#[test]
fn lint_is_silent() {
    BED.assert_lint_is_silent();
}
