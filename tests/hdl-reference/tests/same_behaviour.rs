//! Both designs do the same.

use hdl_reference::{library, run, HAND_WRITTEN_TOP};
use sim_verilator::{Optimize, Toolchain};

#[test]
fn both_designs_do_the_same() {
    let library = library(&Toolchain::from_env(), Optimize::Build).unwrap_or_else(|error| panic!("{error}"));
    let ours = run(&mut library.model("queue_fetch"), 50_000);
    let hand_written = run(&mut library.model(HAND_WRITTEN_TOP), 50_000);
    assert_eq!(ours, hand_written);
    assert!(ours.commands > 500, "{ours:?}");
    assert!(!ours.error, "{ours:?}");
}
