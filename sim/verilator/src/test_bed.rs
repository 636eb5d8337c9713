//! What the benches of every hardware crate share: each block runs in the evaluator and in Verilator at once.
//!
//! Registers and memories start with ones: a reset that is missing shows, because zeros, which most resets load, would hide it. Where the tests
//! judge [mutants](rtl_hdl::mutation), the evaluator runs alone: a model of each would take seconds to build.

use crate::{lint, Library, ModelSet, ModelSpec, Reset};
use rtl_hdl::bench::Lockstep;
use rtl_hdl::sim::Simulator;
use rtl_hdl::{elaborate, mutation, with_jitter, Block, Design, Evaluator, Options, Start};
use std::sync::OnceLock;

/// The blocks that a crate benches, in every configuration that is run. All of them are in one Verilated library, because most of its price is
/// paid once. Blocks with synchronisers are there twice: as they are, and [with jitter](rtl_hdl::with_jitter).
pub struct TestBed {
    name: &'static str,
    blocks: fn() -> Vec<Box<dyn Block>>,
    library: OnceLock<Option<Library>>,
}

impl TestBed {
    /// A test bed whose library has this name.
    pub const fn new(name: &'static str, blocks: fn() -> Vec<Box<dyn Block>>) -> Self {
        Self { name, blocks, library: OnceLock::new() }
    }

    /// Whether the block of this name is one of its blocks.
    pub fn has(&self, name: &str) -> bool {
        (self.blocks)().iter().any(|block| block.name() == name)
    }

    /// The evaluator and the Verilated block in step, so that every output is compared in every clock. For mutants, the evaluator alone; also
    /// where Verilator cannot be had, with a line that says so.
    ///
    /// # Panics
    /// If the block is none of the test bed's, or its model cannot be built.
    pub fn simulator(&self, design: &Design) -> Box<dyn Simulator> {
        if mutation::is_asked_for() {
            return evaluator(design);
        }
        let Some(library) = self.library() else { return evaluator(design) };
        let verilated = library.model_with(&design.top().name, Reset::Ones);
        Box::new(Lockstep::new(design, ("the evaluator", evaluator(design)), ("Verilator", verilated)))
    }

    /// Asserts that `verilator --lint-only -Wall` says nothing about any block.
    ///
    /// # Panics
    /// If it does.
    pub fn assert_lint_is_silent(&self) {
        for block in (self.blocks)() {
            assert_lint_is_silent(&*block);
        }
    }

    fn library(&self) -> Option<&Library> {
        let load = || {
            let designs = (self.blocks)().into_iter().flat_map(|block| {
                let plain = design(&*block);
                let jittered = with_jitter(&plain);
                let has_synchronisers = jittered.top().name != plain.top().name;
                [Some(plain), has_synchronisers.then_some(jittered)]
            });
            let specs = designs.flatten().map(|design| ModelSpec::of(&design));
            let set = specs.fold(ModelSet::new(self.name), ModelSet::with);
            match set.load() {
                Ok(library) => Some(library),
                Err(error) if error.is_unavailable() => {
                    eprintln!("skipped: the comparison with the Verilated blocks. {error}");
                    None
                }
                Err(error) => panic!("{error}"),
            }
        };
        self.library.get_or_init(load).as_ref()
    }
}

/// Elaborates a block that is right.
///
/// # Panics
/// With its mistakes, if it has some.
pub fn design(block: &dyn Block) -> Design {
    elaborate(block).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The evaluator alone, for a block that is in no test bed; it starts with ones.
///
/// # Panics
/// If the design cannot be evaluated.
pub fn evaluator(design: &Design) -> Box<dyn Simulator> {
    let options = Options::default().start(Start::Ones);
    Box::new(Evaluator::with(design, options).unwrap_or_else(|error| panic!("{error}")))
}

/// Asserts that `verilator --lint-only -Wall` says nothing about the block. Where Verilator cannot be had, a line says so. Mutants are judged by
/// what they do, so nothing happens for them.
///
/// # Panics
/// If it does.
pub fn assert_lint_is_silent(block: &dyn Block) {
    if mutation::is_asked_for() {
        return;
    }
    let spec = ModelSpec::of(&design(block));
    match lint(&spec.verilog, &spec.top) {
        Ok(()) => {}
        Err(error) if error.is_unavailable() => eprintln!("skipped: lint of {}. {error}", spec.top),
        Err(error) => panic!("{error}"),
    }
}
