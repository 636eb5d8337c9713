//! What the benches of this crate share.

use crate::{axi4, axi_lite_registers};
use rtl_hdl::bench::Lockstep;
use rtl_hdl::sim::Simulator;
use rtl_hdl::{elaborate, Block, Design, Evaluator};
use sim_verilator::{Error, Library, ModelSet, ModelSpec};
use std::sync::OnceLock;

/// Every block that is run. All of them are in one Verilated library, because most of its price is paid once.
fn blocks() -> Vec<Box<dyn Block>> {
    let mut blocks = axi4::bench::blocks();
    blocks.extend(axi_lite_registers::bench::blocks());
    blocks
}

/// Elaborates a block that is right.
pub(crate) fn design(block: &dyn Block) -> Design {
    elaborate(block).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Whether Verilator cannot be had here; everything else is a failure.
fn is_unavailable(error: &Error) -> bool {
    matches!(error, Error::MissingProgram { .. } | Error::Network { .. } | Error::Platform { .. })
}

/// The Verilated blocks; none where Verilator cannot be had.
fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    let load = || {
        let set = blocks().iter().fold(ModelSet::new("rtl-bus"), |set, b| set.with(ModelSpec::of(&design(&**b))));
        match set.load() {
            Ok(library) => Some(library),
            Err(error) if is_unavailable(&error) => {
                eprintln!("skipped: the comparison with the Verilated blocks. {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    };
    LIBRARY.get_or_init(load).as_ref()
}

/// The evaluator and the Verilated block in step: every output is compared in every clock.
pub(crate) fn simulator(design: &Design) -> Box<dyn Simulator> {
    let evaluator = Evaluator::new(design).unwrap_or_else(|error| panic!("{error}"));
    match library() {
        Some(library) => {
            let verilated = library.model(&design.top().name);
            Box::new(Lockstep::new(design, ("the evaluator", evaluator), ("Verilator", verilated)))
        }
        None => Box::new(evaluator),
    }
}

/// `verilator --lint-only -Wall` says nothing about any block.
#[test]
fn lint_is_silent() {
    for block in blocks() {
        let spec = ModelSpec::of(&design(&*block));
        match sim_verilator::lint(&spec.verilog, &spec.top) {
            Ok(()) => {}
            Err(error) if is_unavailable(&error) => return eprintln!("skipped: lint. {error}"),
            Err(error) => panic!("{error}"),
        }
    }
}
