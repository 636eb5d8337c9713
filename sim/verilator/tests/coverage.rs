//! Coverage through the whole way: a small block counts, its models end, the folder is read.

use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

use rtl_hdl::sim::Simulator;
use rtl_hdl::{block_fn, elaborate, when, zero, Design};
use sim_verilator::coverage::{read, Item, Module};
use sim_verilator::{Library, ModelSet, ModelSpec, Optimize};

/// A register that is loaded or counts, of more bits than a machine word has; an output that chooses; something that is checked.
fn block() -> Design {
    let block = block_fn("covered", |m| {
        m.allow_combinational("it shows a choice outside of an `always` block");
        let clock = m.clock();
        let (load, step) = (m.input("load", 1), m.input("step", 1));
        let value = m.input("value", 100);
        let state = m.reg("state", clock, zero(100));
        when(load, || state.set(value)).else_when(step, || state.set(state + 1));
        m.assert(clock, "top_bit_clear", state.bit(99).eq(false));
        m.output("result", load.mux(value, state));
    });
    elaborate(&block).unwrap_or_else(|problems| panic!("{problems}"))
}

fn library(folder: &Path, optimize: Optimize) -> Library {
    let set = ModelSet::new("self-test-coverage").with(ModelSpec::of(&block())).optimize(optimize).coverage(folder);
    set.load().unwrap_or_else(|error| panic!("{error}"))
}

/// Clocks in which these inputs are set, in a model of its own. A name that begins with `!` ends the run by a panic.
fn run(library: &Library, clocks: &[&str]) {
    let mut model = library.model("covered");
    for input in clocks {
        assert!(!input.starts_with('!'), "the run ends here");
        if let Some(bits) = input.strip_prefix("value ") {
            let value = model.port("value");
            let bit = bits.parse::<u32>().unwrap();
            model.poke(value, &[if bit < 64 { 1 << bit } else { 0 }, if bit < 64 { 0 } else { 1 << (bit - 64) }]);
            continue;
        }
        for name in ["reset", "load", "step"] {
            let port = model.port(name);
            model.poke_u64(port, u64::from(name == *input));
        }
        model.step();
    }
}

fn module(folder: &Path) -> Module {
    let mut modules = read(folder).unwrap();
    assert_eq!(modules.len(), 1);
    modules.remove(0)
}

/// The texts of the lines that never ran.
fn missing(module: &Module) -> Vec<String> {
    let text: Vec<_> = module.text.lines().collect();
    let missing = module.lines().into_iter().filter(|line| line.count == 0);
    missing.map(|line| text[line.line - 1].trim().to_owned()).collect()
}

/// What was never reached, without its line.
fn never(items: Vec<Item>) -> Vec<String> {
    items.into_iter().filter(|item| item.count == 0).map(|item| item.what).collect()
}

#[test]
fn what_never_ran_is_missing_until_some_model_ran_it() {
    for optimize in [Optimize::Build, Optimize::Run] {
        let folder = tempfile::tempdir().unwrap();
        let library = library(folder.path(), optimize);
        run(&library, &["reset", "load", ""]);
        let first = module(folder.path());
        assert_eq!(missing(&first), ["end else if (step) begin", "state <= state + 100'h1;"]);
        assert_eq!(never(first.branches()), ["if"]);
        // The reset and its value, the load and the step with theirs: the head of the `always` and the assertion are no lines.
        assert_eq!(first.lines().len(), 6);

        // A model whose test fails says what led there.
        let failed = catch_unwind(AssertUnwindSafe(|| run(&library, &["step", "!"])));
        assert!(failed.is_err());
        let second = module(folder.path());
        assert_eq!(missing(&second), [""; 0]);
        assert_eq!(never(second.branches()), [""; 0]);
        let count = |module: &Module| module.lines().iter().map(|line| line.count).collect::<Vec<_>>();
        assert_eq!(count(&first), [1, 1, 1, 1, 0, 0]);
        assert_eq!(count(&second), [1, 1, 1, 1, 1, 1]);
    }
}

#[test]
fn model_that_an_assertion_stopped_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path(), Optimize::Build);
    let stopped = catch_unwind(AssertUnwindSafe(|| run(&library, &["value 99", "load", "step"])));
    assert!(stopped.unwrap_err().downcast_ref::<String>().is_some_and(|text| text.contains("top_bit_clear")));
    let reached: Vec<_> = module(folder.path()).lines().into_iter().map(|line| line.count).collect();
    assert_eq!(reached, [0, 0, 1, 1, 0, 0]);
}

/// Verilator counts bits 32, 64 and 96 whenever bit 0 changes.
#[test]
fn bits_of_wide_signals_toggle_for_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path(), Optimize::Build);
    run(&library, &["reset", "value 0", "load", "reset", "value 70", "load"]);
    let toggles = module(folder.path()).toggles();
    let of_state: Vec<_> = toggles.iter().filter(|toggle| toggle.what.starts_with("state[")).collect();
    assert_eq!(of_state.len(), 200);
    let reached = of_state.iter().filter(|toggle| toggle.count > 0).map(|toggle| (&*toggle.what, toggle.count));
    assert_eq!(reached.collect::<Vec<_>>(), [("state[0]:0->1", 1), ("state[0]:1->0", 1), ("state[70]:0->1", 1)]);
}

#[test]
fn damaged_counts_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    run(&library(folder.path(), Optimize::Build), &["reset"]);
    let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let counts = files.filter(|file| file.extension().unwrap() == "counts").collect::<Vec<_>>();
    assert_eq!(counts.len(), 1, "every process and kind of model has one file");
    let text = fs::read_to_string(&counts[0]).unwrap();
    fs::write(&counts[0], &text[..text.len() - 3]).unwrap();
    let error = read(folder.path()).unwrap_err().to_string();
    assert!(error.contains(&*counts[0].to_string_lossy()) && error.contains("is not `C 'key' count`"), "{error}");
    assert!(read(&folder.path().join("absent")).is_err());
}
