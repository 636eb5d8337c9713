//! Waveforms, read back: FST beside VCD, of the evaluator and of a Verilated model.

use fst_reader::{FstFilter, FstHierarchyEntry, FstReader, FstScopeType, FstSignalValue};
use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::sim::Simulator;
use rtl_hdl::waveform::{Format, FromVcd, Outline, Traced};
use rtl_hdl::{
    block_fn, elaborate, emit, hw_bundle, hw_enum, switch, when, zero, Bits, Block, Design, Evaluator, Naming, Value,
};
use sim_verilator::{ModelSet, ModelSpec};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

hw_enum! {
    /// `Idle -> Busy -> Done -> Idle`.
    enum State {
        /// Nothing to do.
        Idle,
        /// Working.
        Busy,
        /// One clock.
        Done,
    }
}

hw_bundle! {
    /// A bundle in a bundle.
    struct Entry {
        /// An enum among the fields.
        kind: State,
        /// More bits than a machine word has.
        number: Bits<70>,
    }
}

hw_bundle! {
    /// What a stream carries.
    struct Read {
        /// A plain field.
        id: Bits<4>,
        /// A bundle.
        entry: Entry,
    }
}

/// Passes items on and remembers them.
fn worker() -> impl Block {
    block_fn("worker", |m| {
        let clock = m.clock();
        let (read, answer) = (m.stream_in::<Read>("read"), m.stream_out::<Read>("answer"));
        let state = m.reg("state", clock, State::Idle);
        let last = m.reg_as::<Entry>("last", clock);
        let numbers = m.reg_array("numbers", clock, 4, zero(70));
        let states = m.reg_array("states", clock, 3, State::Idle);
        when(answer.can_take(), || read.take());
        let item = read.payload();
        when(read.taken(), || {
            answer.offer(item);
            last.set(item.entry);
            numbers.set(item.id.low(2), item.entry.number);
            states.set(item.id.low(2), item.entry.kind);
        });
        switch(state, |now| match now {
            State::Idle => drop(when(read.valid(), || state.goto(State::Busy))),
            State::Busy => state.goto(State::Done),
            State::Done => state.goto(State::Idle),
        });
        m.output_as::<State>("now", state);
        m.output("low", last.number.low(8));
    })
}

/// Two workers, one of them with its streams on the ports.
fn design() -> Design {
    let top = block_fn("top", |m| {
        m.clock();
        let [first, second] = ["first", "second"].map(|name| m.instance(name, &worker()));
        m.export(&first, "read", "in");
        m.connect(&first, "answer", &second, "read");
        m.export(&second, "answer", "out");
        m.output("now", first.port("now"));
        m.output("low", second.port("low"));
    });
    elaborate(&top).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Random items and stalls, the same for every simulator.
fn run(sim: &mut dyn Simulator, clocks: u64) {
    let mut rng: Rng = Seed(7).rng("inputs");
    for clock in 0..clocks {
        for (port, value) in [
            ("reset", u64::from(clock < 2)),
            ("in_valid", rng.below(2)),
            ("in_id", rng.below(16)),
            ("in_entry_kind", rng.below(3)),
            ("out_ready", rng.below(2)),
        ] {
            let port = sim.port(port);
            sim.poke_u64(port, value);
        }
        let port = sim.port("in_entry_number");
        sim.poke(port, &rng.bits(70));
        sim.step();
    }
}

/// The waveform that the evaluator writes in this format, of this window of a run.
fn evaluated(format: Format, window: std::ops::Range<u64>) -> Vec<u8> {
    let evaluator = Evaluator::new(&design()).unwrap();
    let mut file = Cursor::new(Vec::new());
    let mut traced = match format {
        Format::Vcd => Traced::vcd(evaluator, &mut file, window),
        Format::Fst => Traced::fst(evaluator, &mut file, window),
    };
    run(&mut traced, 60);
    traced.finish().unwrap();
    file.into_inner()
}

/// What the Verilated model writes, from its power-on, as VCD.
fn verilated() -> Vec<u8> {
    let set = ModelSet::new("rtl-hdl-waveform").with(ModelSpec::of(&design())).trace(true);
    let mut model = set.load().unwrap_or_else(|error| panic!("{error}")).model("top");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verilated.vcd");
    model.trace_open(&path).unwrap();
    run(&mut model, 60);
    model.trace_close();
    fs::read(path).unwrap()
}

/// The FST that a VCD becomes, and its save file.
fn converted(vcd: &[u8]) -> (Vec<u8>, String) {
    let mut file = Cursor::new(Vec::new());
    let mut converter = FromVcd::new(Outline::of(&design()), &mut file);
    // In pieces that end anywhere.
    vcd.chunks(1000).for_each(|chunk| converter.write_all(chunk).unwrap());
    let save_file = converter.finish("name.fst").unwrap();
    (file.into_inner(), save_file)
}

// --- Reading back ------------------------------------------------------------------------------------------------------------------------

/// The values of a variable: time and bits, the highest first.
type Changes = BTreeMap<u64, String>;

/// A waveform as it was read back.
#[derive(Debug, Default)]
struct Waveform {
    /// Its first time.
    start: u64,
    /// By path, with all scopes.
    variables: BTreeMap<String, Changes>,
    /// Kind and path of each scope that is no module.
    groups: Vec<String>,
    /// Path and variants of each enum.
    enums: BTreeMap<String, String>,
}

impl Waveform {
    /// The variables without the scopes of bundles, and arrays as the values that they are elements of: what the Verilog has.
    fn flat(&self) -> BTreeMap<String, Changes> {
        let mut flat: BTreeMap<String, Changes> = BTreeMap::new();
        let mut arrays: BTreeMap<String, Vec<(usize, &Changes)>> = BTreeMap::new();
        for (path, changes) in &self.variables {
            let (mut scope, name) = path.rsplit_once('.').unwrap();
            while self.groups.iter().any(|group| group == scope) {
                scope = scope.rsplit_once('.').unwrap().0;
            }
            match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
                None => drop(flat.insert(format!("{scope}.{name}"), changes.clone())),
                Some((array, index)) => {
                    let elements = arrays.entry(format!("{scope}.{array}")).or_default();
                    elements.push((index.parse().unwrap(), changes));
                }
            }
        }
        for (path, mut elements) in arrays {
            elements.sort_by_key(|(index, _)| std::cmp::Reverse(*index));
            let times: Vec<u64> = elements.iter().flat_map(|(_, changes)| changes.keys().copied()).collect();
            let at = |time: u64| {
                elements.iter().map(move |(_, changes)| changes.range(..=time).next_back().unwrap().1.as_str())
            };
            flat.insert(path, times.iter().map(|time| (*time, at(*time).collect())).collect());
        }
        flat
    }
}

fn read_fst(file: &[u8]) -> Waveform {
    let mut reader = FstReader::open(Cursor::new(file)).unwrap();
    let mut waveform = Waveform { start: reader.get_header().start_time, ..Waveform::default() };
    let (mut open, mut tables, mut enum_of_next) = (Vec::<String>::new(), BTreeMap::new(), None);
    let mut paths: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let read = reader.read_hierarchy(|entry| match entry {
        FstHierarchyEntry::Scope { tpe, name, .. } => {
            open.push(name);
            match tpe {
                FstScopeType::Module => {}
                FstScopeType::Struct => waveform.groups.push(open.join(".")),
                other => panic!("{other:?} in {open:?}"),
            }
        }
        FstHierarchyEntry::UpScope => drop(open.pop()),
        FstHierarchyEntry::EnumTable { handle, mapping, .. } => {
            let codes: Vec<String> = mapping.into_iter().map(|(code, label)| format!("{code}={label}")).collect();
            assert!(tables.insert(handle, codes.join(" ")).is_none(), "a table is written once");
        }
        FstHierarchyEntry::EnumTableRef { handle } => enum_of_next = Some(tables[&handle].clone()),
        FstHierarchyEntry::Var { name, length, handle, .. } => {
            let (name, range) = name.split_once(' ').unwrap_or((&name, "[0:0]"));
            assert_eq!(range, format!("[{}:0]", length - 1));
            let path = format!("{}.{name}", open.join("."));
            if let Some(labels) = enum_of_next.take() {
                waveform.enums.insert(path.clone(), labels);
            }
            paths.entry(handle.get_index()).or_default().push(path);
        }
        other => panic!("{other:?}"),
    });
    read.unwrap();
    let read = reader.read_signals::<()>(&FstFilter::all(), |time, handle, value| {
        let FstSignalValue::String(bits) = value else { panic!("{handle:?} is no number") };
        for path in &paths[&handle.get_index()] {
            let bits = String::from_utf8(bits.to_vec()).unwrap();
            let earlier = waveform.variables.entry(path.clone()).or_default().insert(time, bits);
            assert_eq!(earlier, None, "{path} has one value at {time}");
        }
        Ok(())
    });
    read.unwrap_or_else(|_| panic!("the values cannot be read"));
    waveform
}

/// Scopes are paths as they are; the ports that Verilator repeats in `TOP` are left out.
fn read_vcd(file: &[u8]) -> BTreeMap<String, Changes> {
    fn declare(items: &[vcd::ScopeItem], path: &str, codes: &mut BTreeMap<vcd::IdCode, Vec<(String, usize)>>) {
        for item in items {
            match item {
                vcd::ScopeItem::Scope(scope) => {
                    let path = match (path, scope.identifier.as_str()) {
                        ("", name) => name.to_owned(),
                        ("TOP", name) => name.to_owned(),
                        (path, name) => format!("{path}.{name}"),
                    };
                    declare(&scope.items, &path, codes);
                }
                vcd::ScopeItem::Var(variable) if path != "TOP" => {
                    let path = format!("{path}.{}", variable.reference);
                    codes.entry(variable.code).or_default().push((path, variable.size as usize));
                }
                _ => {}
            }
        }
    }
    let mut parser = vcd::Parser::new(file);
    let header = parser.parse_header().unwrap();
    let mut codes = BTreeMap::new();
    declare(&header.items, "", &mut codes);
    let (mut time, mut variables) = (0, BTreeMap::<String, Changes>::new());
    for command in parser {
        let (code, bits) = match command.unwrap() {
            vcd::Command::Timestamp(at) => {
                time = at;
                continue;
            }
            vcd::Command::ChangeScalar(code, bit) => (code, bit.to_string()),
            vcd::Command::ChangeVector(code, bits) => (code, bits.to_string()),
            _ => continue,
        };
        for (path, width) in codes.get(&code).into_iter().flatten() {
            variables.entry(path.clone()).or_default().insert(time, format!("{bits:0>width$}"));
        }
    }
    variables
}

/// Only the changes: a value that stays is none.
fn changes_only(mut variables: BTreeMap<String, Changes>) -> BTreeMap<String, Changes> {
    for changes in variables.values_mut() {
        let mut before = None;
        changes.retain(|_, bits| before.replace(bits.clone()).as_ref() != Some(bits));
    }
    variables
}

// --- Tests -------------------------------------------------------------------------------------------------------------------------------

#[test]
fn fst_and_vcd_show_the_same_values_at_the_same_times() {
    for window in [0..60, 20..41, 58..1000] {
        let from_fst = read_fst(&evaluated(Format::Fst, window.clone()));
        let from_vcd = read_vcd(&evaluated(Format::Vcd, window.clone()));
        assert_eq!(changes_only(from_fst.flat()), changes_only(from_vcd.clone()), "{window:?}");
        assert_eq!(from_fst.start, 10 * window.start);
        assert!(from_vcd.values().all(|changes| *changes.keys().next().unwrap() == 10 * window.start));
        assert!(from_vcd.values().map(BTreeMap::len).sum::<usize>() > from_vcd.len(), "something changes");
    }
}

#[test]
fn verilated_waveform_becomes_the_same_with_the_knowledge_of_the_design() {
    let vcd = verilated();
    let (fst, save_file) = converted(&vcd);
    let readable = read_fst(&fst);
    let mut expected = read_vcd(&vcd);
    // Constants for the variants are no signals of the design.
    let constants = ["Idle", "Busy", "Done"].map(|label| format!("_{label}"));
    expected.retain(|path, _| !constants.iter().any(|constant| path.ends_with(constant)));
    assert_eq!(changes_only(readable.flat()), changes_only(expected));

    // What the evaluator's has, this has, apart from nets that the Verilog writes into a port list.
    let own = read_fst(&evaluated(Format::Fst, 0..60));
    for (path, labels) in own.enums.iter().filter(|(path, _)| readable.variables.contains_key(*path)) {
        assert_eq!(readable.enums.get(path), Some(labels), "{path}");
    }
    assert!(
        readable.enums.contains_key("top.first.state") && readable.enums.contains_key("top.second.states.states[2]")
    );
    assert!(readable.groups.contains(&"top.first.answer.answer_held.answer_held_entry".to_owned()));
    assert!(save_file.contains("+{first/state} top.first.state[1:0]"), "{save_file}");
}

#[test]
fn bundles_streams_and_arrays_are_scopes_and_enums_have_names() {
    let waveform = read_fst(&evaluated(Format::Fst, 0..9));
    let inside = |scope: &str| {
        let names = waveform.variables.keys().filter_map(|path| path.strip_prefix(scope)?.strip_prefix('.'));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        inside("top.first.read"),
        "read_entry.read_entry_kind read_entry.read_entry_number read_id read_ready read_valid"
    );
    assert_eq!(inside("top.first.last"), "last_kind last_number");
    assert_eq!(inside("top.first.numbers"), "numbers[0] numbers[1] numbers[2] numbers[3]");
    assert_eq!(
        inside("top.second.answer.answer_held"),
        "answer_held_entry.answer_held_entry_kind answer_held_entry.answer_held_entry_number answer_held_id"
    );
    // Also on the ports of the top, and on the nets between the workers.
    assert_eq!(inside("top.in"), "in_entry.in_entry_kind in_entry.in_entry_number in_id in_ready in_valid");
    assert_eq!(inside("top.second_read.second_read_entry"), "second_read_entry_kind second_read_entry_number");

    let labels = "00=Idle 01=Busy 10=Done";
    let enums = [
        "top.now",
        "top.in.in_entry.in_entry_kind",
        "top.first.state",
        "top.first.states.states[1]",
        "top.second.answer.answer_entry.answer_entry_kind",
    ];
    for path in enums {
        assert_eq!(waveform.enums.get(path).map(String::as_str), Some(labels), "{path}");
    }
    assert!(waveform.enums.values().all(|found| found == labels));
    assert!(!waveform.enums.contains_key("top.low"));
}

#[test]
fn channels_of_the_axi_standards_are_streams_too() {
    let block = block_fn("reader", |m| {
        m.clock();
        let address = m.stream_in_with("host_ar", Naming::Joined, |make| make("addr", 8));
        address.take();
        m.output("any", address.valid());
        m.allow_combinational("a test");
    });
    let design = elaborate(&block).unwrap();
    let mut file = Cursor::new(Vec::new());
    let mut traced = Traced::fst(Evaluator::new(&design).unwrap(), &mut file, 0..1);
    traced.step();
    traced.finish().unwrap();
    let waveform = read_fst(file.get_ref());
    let names = ["host_araddr", "host_arready", "host_arvalid"].map(|name| format!("reader.host_ar.{name}"));
    let found: Vec<_> = waveform.variables.keys().filter(|path| path.contains("host_ar")).cloned().collect();
    assert_eq!(found, names);
}

hw_bundle! {
    struct Pair {
        kind: Bits<2>,
        number: Bits<70>,
    }
}

/// The same hardware with and without bundles is the same module, and the same Verilog.
#[test]
fn bundles_are_no_part_of_the_hardware() {
    let with_bundle = block_fn("same", |m| {
        let clock = m.clock();
        let pair = m.reg_as::<Pair>("pair", clock);
        pair.set(m.input_as::<Pair>("in"));
        m.output_as::<Pair>("out", pair);
    });
    let without = block_fn("same", |m| {
        let clock = m.clock();
        let kind = m.reg_without_reset("pair_kind", clock, 2);
        let number = m.reg_without_reset("pair_number", clock, 70);
        let (in_kind, in_number) = (m.input("in_kind", 2), m.input("in_number", 70));
        kind.set(in_kind);
        number.set(in_number);
        let (out_kind, out_number) = (m.output_wire("out_kind", 2), m.output_wire("out_number", 70));
        out_kind.set(kind);
        out_number.set(number);
    });
    let [a, b] = [&with_bundle as &dyn Block, &without].map(|block| elaborate(block).unwrap());
    assert!(a.top().nodes.iter().any(|node| !node.bundles.is_empty()));
    assert!(a.top().is_same_hardware(b.top()));
    let text = |design: &Design| {
        let without_places = |line: &str| line.split("// rtl/").next().unwrap_or_default().trim_end().to_owned();
        emit(design)[0].text.lines().map(without_places).collect::<Vec<_>>()
    };
    assert_eq!(text(&a), text(&b));
}

#[test]
fn file_gets_the_format_of_its_name_and_a_save_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let evaluator = || Evaluator::new(&design()).unwrap();
    for name in ["a.vcd", "b.fst"] {
        let mut traced = Traced::create(evaluator(), &path(name), 3..5).unwrap();
        run(&mut traced, 10);
        traced.finish().unwrap();
    }
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["a.vcd", "b.fst", "b.gtkw"]);
    assert_eq!(
        changes_only(read_fst(&fs::read(path("b.fst")).unwrap()).flat()),
        changes_only(read_vcd(&fs::read(path("a.vcd")).unwrap()))
    );
    let save_file = fs::read_to_string(path("b.gtkw")).unwrap();
    for lines in [
        "[dumpfile] \"b.fst\"\n[timestart] 30\n",
        "@28\ntop.clock\n",
        "@100000028\ntop.now[1:0]\n",
        "@c00200\n-in\n@22\ntop.in.in_id[3:0]\n",
        "@100000028\ntop.in.in_entry.in_entry_kind[1:0]\n@22\ntop.in.in_entry.in_entry_number[69:0]\n@1401200\n-in\n",
        "@800200\n-states\n@100000028\n+{first/state} top.first.state[1:0]\n@100000028\n+{second/state} ",
    ] {
        assert!(save_file.contains(lines), "{lines}\nin\n{save_file}");
    }

    for name in ["c.txt", "d", "e.FST", ".fst"] {
        let error = Traced::create(evaluator(), &path(name), 0..1).err().expect("no format").to_string();
        assert!(error.contains(name) && error.contains("end it with .fst or .vcd"), "{error}");
        assert!(!path(name).exists());
    }
    assert!(Traced::create(evaluator(), &path("missing/a.fst"), 0..1).is_err());
    assert_eq!(Format::of(Path::new("x/y.vcd")), Ok(Format::Vcd));
}

#[test]
fn window_that_never_begins_is_a_waveform_without_values() {
    let waveform = read_fst(&evaluated(Format::Fst, 1000..2000));
    assert!(waveform.variables.values().all(|changes| changes.values().all(|bits| bits.contains('x'))));
    assert!(!waveform.groups.is_empty());
}

#[test]
fn values_of_a_simulator_may_be_written_in_every_way_that_the_format_has() {
    let text = "$date today $end $timescale 10 ps $end $scope module other $end $var reg 4 ! wide [3:0] $end
$var wire 1 \" bit $end $scope begin inner $end $var wire 4 ! memory[2] [3:0] $end $upscope $end $upscope $end $enddefinitions $end
#3 $dumpvars b1 ! x\" $end $comment #9 b0 ! $end #5 bx ! 0\" #5 B0 ! #7 bZ1 ! 1\" #8 1\" #9";
    let mut file = Cursor::new(Vec::new());
    let mut converter = FromVcd::new(Outline::of(&design()), &mut file);
    converter.write_all(text.as_bytes()).unwrap();
    converter.finish("name.fst").unwrap();
    assert_eq!(FstReader::open(&mut file).unwrap().get_header().timescale_exponent, -11);
    let changes = |changes: &[(u64, &str)]| changes.iter().map(|(time, bits)| (*time, (*bits).to_owned())).collect();
    let wide: Changes = changes(&[(3, "0001"), (5, "0000"), (7, "zzz1")]);
    let expected = [
        ("other.bit", changes(&[(3, "x"), (5, "0"), (7, "1")])),
        ("other.inner.memory[2]", wide.clone()),
        ("other.wide", wide),
    ];
    let found = changes_only(read_fst(file.get_ref()).variables);
    assert_eq!(found, expected.map(|(path, changes)| (path.to_owned(), changes)).into());
}

#[test]
fn damaged_waveforms_of_a_simulator_are_refused() {
    let head =
        "$timescale 1ns $end $scope module top $end $var wire 2 ! a [1:0] $end $upscope $end $enddefinitions $end\n";
    let convert = |text: &str| {
        let mut converter = FromVcd::new(Outline::of(&design()), Cursor::new(Vec::new()));
        converter.write_all(text.as_bytes()).and_then(|()| converter.finish("a.fst"))
    };
    assert!(convert(&format!("{head}#0 b1 !")).is_ok());
    for (text, expected) in [
        (String::new(), "ends within its declarations"),
        (head.replace("1ns", "3ns"), "`3ns` is no unit of time"),
        (head.replace(" 2 ", " 0 "), "`a` has no width"),
        (head.replace(" 2 ", " 70000 "), "`a` has no width"),
        (head.replace("$upscope", "$var wire 3 ! b $end $upscope"), "`b` has 3 bits and its signal 2"),
        (head.replace("$upscope $end", "$upscope $end $upscope $end"), "more scopes end than begin"),
        (head.replace("$upscope $end", ""), "a scope does not end"),
        (format!("{head}#0 1\""), "`\"` is not declared"),
        (format!("{head}#0 b101 !"), "`101` is no value of 2 bits"),
        (format!("{head}#0 b12 !"), "`12` is no value"),
        (format!("{head}#0 b !"), "`` is no value"),
        (format!("{head}#5 1! #4 0!"), "the time 4 comes after"),
        (format!("{head}#x"), "the time x"),
        (format!("{head}r1.5 !"), "`r1.5` is no change"),
        (format!("{head}é!"), "`é!` is no change"),
    ] {
        let error = convert(&text).expect_err(&text);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}
