//! What the benches of this crate share.

use crate::{
    axi4_mux, axi4_slice, axi4_to_tile_link, axi_lite_demux, axi_lite_registers, axi_lite_to_axi4, axi_stream_slice,
    coherence_hub, tile_link_half_rate, tile_link_memory, tile_link_router, tile_link_slice, tile_link_to_axi_lite,
};
use rtl_hdl::Block;
use sim_verilator::TestBed;

pub(crate) use sim_verilator::test_bed::design;

/// Every block that is run.
pub(crate) static BED: TestBed = TestBed::new("rtl-bus", blocks);

fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks = axi4_mux::bench::blocks();
    blocks.extend(axi4_slice::bench::blocks());
    blocks.extend(axi4_to_tile_link::bench::blocks());
    blocks.extend(axi_lite_demux::bench::blocks());
    blocks.extend(axi_lite_registers::bench::blocks());
    blocks.extend(axi_lite_to_axi4::bench::blocks());
    blocks.extend(axi_stream_slice::bench::blocks());
    blocks.extend(coherence_hub::bench::blocks());
    blocks.extend(tile_link_half_rate::bench::blocks());
    blocks.extend(tile_link_memory::bench::blocks());
    blocks.extend(tile_link_router::bench::blocks());
    blocks.extend(tile_link_slice::bench::blocks());
    blocks.extend(tile_link_to_axi_lite::bench::blocks());
    blocks
}

#[test]
fn lint_is_silent() {
    BED.assert_lint_is_silent();
}
