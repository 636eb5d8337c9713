//! What the guide of the HDL shows as a proof is one.

use sim_toolchain::Toolchain;
use sim_yosys::formal::{prove, Known};

#[path = "../../../rtl/hdl/guide/properties.rs"]
mod properties;

#[test]
fn the_proof_of_the_guide_holds_for_all_runs() {
    assert_eq!(properties::shown().len(), 1);
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let outcomes = prove(&Toolchain::from_env(), &properties::proof(), folder.path());
    for outcome in outcomes.unwrap_or_else(|error| panic!("{error}")) {
        assert!(matches!(outcome.known, Known::Proved { .. } | Known::Covered { .. }), "{outcome:?}");
    }
}
