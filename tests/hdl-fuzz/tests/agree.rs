//! The share of every test run: random designs, which all three simulators must understand in the same way, and about which lint is silent.

use std::path::Path;

use hdl_fuzz::{campaign, report, shrink, Campaign, Judge};
use rtl_hdl::bench::Seed;
use sim_toolchain::Toolchain;

/// How many designs.
const DESIGNS: u64 = 90;

/// How many of them a known defect of a tool may spoil.
const SKIPPED_MAX: u64 = 2;

/// How often something smaller is tried than a design that fails.
const ATTEMPTS_MAX: usize = 500;

#[test]
fn evaluator_verilator_and_netlist_agree() {
    let seed = Seed::from_env_or(0x5EED);
    // What comes again in the next run is kept.
    let judge = Judge::new(&Toolchain::from_env()).keeping();
    let campaign = Campaign { seed, count: DESIGNS, jobs: 1 };
    let summary = campaign::run(&judge, campaign, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(summary.designs, DESIGNS);
    for (about, count) in &summary.defects {
        eprintln!("skipped for {count} design(s): {about}");
    }
    let skipped: u64 = summary.defects.values().sum();
    assert!(skipped <= SKIPPED_MAX, "{skipped} designs are too many that a tool cannot take");
    if let Some((verdict, _)) = summary.failures.into_iter().next() {
        let shrunk =
            shrink::shrink(&judge, verdict, ATTEMPTS_MAX, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"));
        let case = report::write(Path::new(env!("CARGO_TARGET_TMPDIR")), &shrunk.verdict);
        let replay = case.map_or(String::new(), |case| report::replay(&case));
        panic!("{}\n{}\n{replay}\nor: {}", report::said(&shrunk.verdict), shrunk.verdict.case, seed.replay());
    }
    let missing = summary.census.missing();
    assert!(missing.is_empty(), "no design has: {}\nreplay: {}", missing.join(", "), seed.replay());
    assert!(summary.modules >= DESIGNS * 3 / 2, "{} modules are too few to say anything", summary.modules);
}
