//! What the benches of this crate share.

use crate::Channel;
use flash_spec::Geometry;
use rtl_hdl::sim::Simulator;
use rtl_hdl::{mutation, Block};
use sim_verilator::test_bed::design;
use sim_verilator::{Library, Model, ModelSet, ModelSpec, TestBed};

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

/// A simulator that can run for many clocks with the inputs as they are.
pub(crate) trait Runs: Simulator {
    /// So many edges of the clock.
    fn run(&mut self, clocks: u64);
}

impl Runs for Box<dyn Simulator> {
    fn run(&mut self, clocks: u64) {
        (0..clocks).for_each(|_| self.step());
    }
}

impl Runs for Model {
    fn run(&mut self, clocks: u64) {
        self.run_clocks(1, clocks);
    }
}

/// The Verilated blocks alone, for long runs; nothing for mutants, and, with a line that says so, where Verilator cannot be had.
///
/// # Panics
/// If they cannot be built.
pub(crate) fn verilated() -> Option<Library> {
    if mutation::is_asked_for() {
        return None;
    }
    let specs = blocks().into_iter().map(|block| ModelSpec::of(&design(&*block)));
    match specs.fold(ModelSet::new("flash-hw"), ModelSet::with).load() {
        Ok(library) => Some(library),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: long runs of the Verilated blocks. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
