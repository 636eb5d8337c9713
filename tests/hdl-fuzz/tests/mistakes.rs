//! Mistakes that are made on purpose are found, and what shows them becomes small.

use hdl_fuzz::judge::{Edit, Reader, EVALUATOR, NETLIST, VERILATOR};
use hdl_fuzz::shrink::shrink;
use hdl_fuzz::{Case, Judge, Kind, Opinions, Verdict};
use rtl_hdl::bench::Seed;
use sim_toolchain::Toolchain;

const NOBODY: Opinions = Opinions { lint: false, verilator: false, netlist: false };

/// How often something smaller is tried.
const ATTEMPTS_MAX: usize = 300;

fn judge(opinions: Opinions, edit: Edit) -> Judge {
    Judge::new(&Toolchain::from_env()).asking(opinions).with_edit(edit)
}

/// What becomes of this many designs.
fn verdicts(judge: &Judge, count: u64) -> Vec<Verdict> {
    let seed = Seed::from_env_or(0x5EED);
    let cases = (0..count).map(|number| Case::random(seed, number)).collect();
    let verdicts = judge.judge(cases).unwrap_or_else(|error| panic!("{error}\nreplay: {}", seed.replay())).0;
    let failed = verdicts.iter().filter(|verdict| verdict.failure.is_some()).count();
    assert!(failed > 0, "nobody noticed the mistake in {count} designs\nreplay: {}", seed.replay());
    verdicts
}

fn kind(verdict: &Verdict) -> Option<&Kind> {
    verdict.failure.as_ref().map(|failure| &failure.kind)
}

/// The smallest design that fails, made smaller.
fn shrunk(judge: &Judge, verdicts: Vec<Verdict>) -> Verdict {
    let failed = verdicts.into_iter().filter(|verdict| verdict.failure.is_some());
    let smallest = failed.min_by_key(|verdict| verdict.verilog.len()).expect("one failed");
    let expected = kind(&smallest).cloned();
    let shrunk = shrink(judge, smallest, ATTEMPTS_MAX, &mut |_| ()).unwrap_or_else(|error| panic!("{error}")).verdict;
    // What is kept as text is what fails.
    let kept = Case::parse(&shrunk.case.to_string()).unwrap_or_else(|error| panic!("{error}"));
    let again = judge.judge(vec![kept]).unwrap_or_else(|error| panic!("{error}")).0.remove(0);
    assert_eq!(kind(&again), expected.as_ref(), "{}", shrunk.case);
    again
}

/// The lines that are neither empty nor comments.
fn lines(verdict: &Verdict) -> usize {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//") && !line.starts_with('`');
    verdict.verilog.lines().filter(code).count()
}

/// A wrong operator in the Verilog, as a mistake of the emitter would put it there.
#[test]
fn a_wrong_operator_is_found_and_shrinks() {
    let judge = judge(Opinions { netlist: true, ..NOBODY }, |_, verilog| verilog.replace(" - ", " + "));
    let verdicts = verdicts(&judge, 40);
    let before = verdicts.iter().filter(|verdict| verdict.failure.is_some()).map(lines).min();
    let shrunk = shrunk(&judge, verdicts);
    assert_eq!(kind(&shrunk), Some(&Kind::Disagree(vec![EVALUATOR, NETLIST])));
    assert!(shrunk.verilog.contains(" - "), "{}", shrunk.verilog);
    let smaller = before.is_some_and(|before| 3 * lines(&shrunk) <= before);
    assert!(smaller, "{} lines of {before:?}:\n{}", lines(&shrunk), shrunk.verilog);
    assert!(shrunk.case.clocks < 120, "it runs for longer than it must: {}", shrunk.case);
}

/// The same as a mistake of Verilator: of three, it is the one that is wrong.
#[test]
fn who_is_alone_is_named() {
    let edit: Edit = |reader, verilog| match reader {
        Reader::Verilator => verilog.replace(" - ", " + "),
        _ => verilog,
    };
    let judge = judge(Opinions { lint: false, ..Opinions::ALL }, edit);
    for verdict in verdicts(&judge, 12).iter().filter(|verdict| verdict.failure.is_some()) {
        match kind(verdict) {
            Some(Kind::Disagree(odd)) => assert_eq!(odd[..], [VERILATOR]),
            // A property shows it, too.
            Some(Kind::Stopped(name)) => assert_eq!(*name, VERILATOR),
            other => panic!("{other:?}"),
        }
    }
}

/// A warning of lint is a failure, too.
#[test]
fn what_lint_says_is_found_and_shrinks() {
    let edit: Edit = |_, verilog| verilog.replace("wire _unused =", "wire careless =");
    let judge = judge(Opinions { lint: true, ..NOBODY }, edit);
    let shrunk = shrunk(&judge, verdicts(&judge, 10));
    assert_eq!(kind(&shrunk), Some(&Kind::Lint("UNUSEDSIGNAL".into())));
    assert!(lines(&shrunk) <= 12, "{} lines:\n{}", lines(&shrunk), shrunk.verilog);
}

/// A property that does not hold stops the model, and not the other designs.
#[test]
fn a_property_that_does_not_hold_is_found() {
    let edit: Edit = |_, verilog| verilog.replace(": assert (", ": assert (1'b1 ? 1'b0 : ");
    let judge = judge(Opinions { verilator: true, ..NOBODY }, edit);
    let verdicts = verdicts(&judge, 12);
    let asserts = |verdict: &Verdict| verdict.verilog.contains(": assert (");
    assert!(
        verdicts.iter().any(|verdict| !asserts(verdict)),
        "there is no design without an assertion to compare with"
    );
    for verdict in &verdicts {
        let expected = asserts(verdict).then_some(Kind::Stopped(VERILATOR));
        assert_eq!(kind(verdict), expected.as_ref(), "{}", verdict.case.top);
    }
}

/// A design that a tool refuses fails alone.
#[test]
fn a_design_that_a_tool_refuses_fails_alone() {
    let edit: Edit = |_, verilog| verilog.replace(" * ", " ** ** ");
    let judge = judge(Opinions { netlist: true, ..NOBODY }, edit);
    for verdict in verdicts(&judge, 12) {
        // Synthesis does not read what only properties have.
        let read = verdict.verilog.split("`ifndef SYNTHESIS").map(|part| part.rsplit("`endif").next().unwrap_or(part));
        let expected = read.into_iter().any(|part| part.contains(" * ")).then_some(Kind::Synthesis);
        assert_eq!(kind(&verdict), expected.as_ref(), "{}", verdict.case.top);
    }
}
