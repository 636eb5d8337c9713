//! What the benches of this crate share.

use crate::Channel;
use flash_spec::Geometry;
use rtl_hdl::Block;
use sim_verilator::TestBed;

/// The flash of one die, one plane, few blocks and the fewest pages.
const LEAST: Geometry =
    Geometry { channels: 1, dies_per_channel: 1, planes_per_die: 1, blocks_per_plane: 5, pages_per_block: 4 };

/// The configurations under which every block runs.
pub(crate) const GEOMETRIES: [Geometry; 3] = [LEAST, Geometry::SMALL, Geometry::DEFAULT];

/// The blocks of this crate, in every configuration that is run.
pub(crate) static BED: TestBed = TestBed::new("flash-hw", blocks);

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    GEOMETRIES.iter().map(|geometry| Box::new(Channel::new(*geometry)) as Box<dyn Block>).collect()
}

#[test]
fn lint_is_silent() {
    BED.assert_lint_is_silent();
}
