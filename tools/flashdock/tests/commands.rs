//! The program as people call it: what it prints, how it ends, what it leaves behind.

use fst_reader::{FstFilter, FstHierarchyEntry, FstReader, FstScopeType, FstSignalHandle, FstSignalValue};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

fn flashdock(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashdock"));
    command.args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    flashdock(arguments).output().expect("the program starts")
}

/// What it prints when all is well.
fn stdout(arguments: &[&str]) -> String {
    let output = output(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(arguments)).expect("JSON")
}

/// The two lines of an error: what is wrong and what to do next. Nothing is printed as a result, and the exit code is 1.
fn error_of(output: &Output, arguments: &[&str]) -> (String, String) {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    let lines: Vec<&str> = errors.lines().collect();
    let [what, next] = lines[..] else { panic!("{arguments:?} should print two lines, not:\n{errors}") };
    let what = what.strip_prefix("error: ").unwrap_or_else(|| panic!("{arguments:?}: {errors}"));
    let next = next.strip_prefix(" next: ").unwrap_or_else(|| panic!("{arguments:?}: {errors}"));
    (what.to_owned(), next.to_owned())
}

/// As [`error_of`], behind what the building of a model said.
fn two_last_lines(output: &Output) -> (String, String) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = errors.lines().collect();
    let stderr = lines[lines.len().saturating_sub(2)..].join("\n").into_bytes();
    error_of(&Output { stderr, ..output.clone() }, &[])
}

fn error(arguments: &[&str]) -> (String, String) {
    let output = output(arguments);
    assert!(output.stdout.is_empty(), "{arguments:?}");
    error_of(&output, arguments)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

// --- decode, map, emit -------------------------------------------------------------------------------------------------------------------

#[test]
fn decode_explains_registers() {
    let text = stdout(&["decode", "cc", "0x00460001"]);
    for line in ["CC = 0x00460001", "23:20  IOCQES  0x4", "19:16  IOSQES  0x6", "0  EN      0x1"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    // Decimal, and the firmware port's register of the same name.
    assert_eq!(stdout(&["decode", "CC", "4587521"]), text);
    assert!(stdout(&["decode", "firmware.cc", "1"]).contains("VALUE"));
    assert!(stdout(&["decode", "csts", "0x100"]).contains("reserved bits are set: 0x100"));
}

#[test]
fn decode_explains_a_status() {
    let decoded = json(&["decode", "status", "0x4002", "--json"]);
    assert_eq!(decoded["about"], "0/02 Invalid Field in Command (DNR)");
    assert!(stdout(&["decode", "status", "0x7ff"]).contains("never returns"));
}

#[test]
fn decode_explains_entries_from_digits_and_files() {
    // A Flush of namespace 1, command identifier 5.
    let mut entry = [0; 64];
    entry[2] = 5;
    entry[4] = 1;
    let digits: String = entry.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = tempfile::tempdir().unwrap();
    let (binary, written) = (folder.path().join("binary"), folder.path().join("text"));
    fs::write(&binary, entry).unwrap();
    fs::write(&written, format!("{}\n{}\n", &digits[..64], &digits[64..])).unwrap();
    let expected = stdout(&["decode", "sqe", &digits]);
    assert!(expected.contains("Flush, I/O queue") && expected.contains("hardware alone"), "{expected}");
    assert_eq!(stdout(&["decode", "sqe", text(&binary)]), expected);
    assert_eq!(stdout(&["decode", "sqe", text(&written)]), expected);
    assert!(stdout(&["decode", "--admin", "sqe", &digits]).contains("Delete I/O Submission Queue"));
    let completion = stdout(&["decode", "cqe", "00000000000000000100010005000180"]);
    assert!(completion.contains("0/00 Successful Completion (DNR)"), "{completion}");
}

#[test]
fn map_prints_every_address_space() {
    let text = stdout(&["map"]);
    for line in ["0x1000..0x1004    4 B  SQ0TDBL", "COMPLETION_POST", "dram", "msix-table"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let maps = json(&["map", "bar0", "--json"]);
    assert_eq!(maps.as_array().map(Vec::len), Some(1));
    let entries = maps[0]["entries"].as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["name"] == "CSTS" && entry["start"] == 0x1C), "{maps}");
}

#[test]
fn emit_writes_the_same_modules_to_standard_output_and_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/verilog");
    stdout(&["emit", "skid_buffer", "--out", text(&out)]);
    let files: Vec<_> = fs::read_dir(&out).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let printed = stdout(&["emit", "skid_buffer"]);
    assert_eq!(printed, fs::read_to_string(&files[0]).unwrap());
    assert!(printed.contains("module skid_buffer") && printed.ends_with("endmodule\n"), "{printed}");
}

#[test]
fn emit_writes_the_controller_in_both_configurations() {
    let list = stdout(&["emit", "--list"]);
    assert!(list.lines().any(|line| line.starts_with("controller ")), "{list}");
    let modules = |config| json(&["emit", "controller", "--config", config, "--json"]);
    let (small, default) = (modules("small"), modules("default"));
    assert!(small.as_array().is_some_and(|files| files.len() > 10));
    assert_ne!(small, default);
}

// --- demo, run, bench --------------------------------------------------------------------------------------------------------------------

/// A file of `bytes` bytes that is not a number of blocks long.
fn sample_file(folder: &Path, bytes: u32) -> std::path::PathBuf {
    let path = folder.join("sample");
    let contents: Vec<u8> = (0..bytes).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(&path, contents).unwrap();
    path
}

fn check_demo(back_end: &str, bytes: u32) {
    let folder = tempfile::tempdir().unwrap();
    let file = sample_file(folder.path(), bytes);
    let report = json(&["demo", text(&file), "--back-end", back_end, "--json", "--seed", "3"]);
    assert_eq!(report["equal"], true);
    assert_eq!(report["bytes"], bytes);
    assert_eq!(report["device"]["model"], "flashdock NVMe controller");
    let padded = u64::from(bytes.next_multiple_of(512));
    for direction in ["write", "read"] {
        let summary = &report[direction];
        assert_eq!(summary["bytes"], padded, "{direction}");
        assert!(summary["commands"].as_u64() > Some(10), "seed 3 no longer draws a mix of sizes: {summary}");
        let binned: u64 =
            summary["histogram"].as_array().unwrap().iter().map(|bin| bin["commands"].as_u64().unwrap()).sum();
        assert_eq!(summary["commands"], binned, "{direction}");
    }
    // SHA-256 of the file itself, by another implementation's hand: the sha2 crate called here on what lies on the disk.
    use sha2::Digest;
    let hash = sha2::Sha256::digest(fs::read(&file).unwrap());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report["sha256_read"], hash);
}

#[test]
fn demo_brings_a_file_back_from_the_model() {
    check_demo("model", 1_000_001);
}

#[test]
fn demo_brings_a_file_back_from_the_hardware() {
    check_demo("verilated", 400_001);
}

#[test]
fn demo_takes_an_empty_file_and_prints_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample_file(folder.path(), 0);
    let printed = stdout(&["demo", text(&file), "--back-end", "model"]);
    assert!(printed.contains("equal") && printed.contains("0 B"), "{printed}");
    assert!(!printed.contains('\x1b'), "colours are for terminals");
    let file = sample_file(folder.path(), 20_000);
    let printed = stdout(&["demo", text(&file), "--back-end", "model"]);
    for part in ["serial number", "cycles per command", "p99", "█", "SHA-256 read", "bench"] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
}

#[test]
fn run_measures_what_it_is_asked_for() {
    let arguments = ["run", "--op", "mixed", "--bytes", "8192", "--depth", "3", "--queues", "2", "--commands", "77"];
    let report = json(&[&arguments[..], &["--back-end", "model", "--json"]].concat());
    assert_eq!(report["figures"]["commands"], 77);
    assert_eq!(report["figures"]["bytes"], 77 * 8192);
    assert_eq!((&report["queues"], &report["depth"]), (&Value::from(2), &Value::from(3)));
    assert!(stdout(&[&arguments[..], &["--back-end", "model"]].concat()).contains("77 commands"));
}

#[test]
fn one_seed_is_one_run() {
    let figures =
        |seed| json(&["run", "--commands", "200", "--back-end", "model", "--json", "--seed", seed])["figures"].clone();
    assert_eq!(figures("3"), figures("3"));
    assert_ne!(figures("3"), figures("4"));
}

#[test]
fn bench_prints_its_figures_under_their_names() {
    let figures = json(&["bench", "--json", "--commands", "100", "--back-end", "model"]);
    let names = [
        "read_512_cycles_per_command",
        "write_512_cycles_per_command",
        "read_4k_cycles_per_command",
        "write_4k_cycles_per_command",
        "mixed_4k_cycles_per_command",
        "read_2m_cycles_per_4k",
        "write_2m_cycles_per_4k",
        "one_queue_read_512_cycles_per_command",
        "simulation_clocks_per_second",
    ];
    for name in names {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name}: {figures}");
    }
    // What memories and data of the hardware take is subtracted from these, which means nothing for the model.
    for name in ["read_4k_latency_cycles", "write_4k_latency_cycles"] {
        assert!(figures[name].is_number(), "{name}: {figures}");
    }
    let only = json(&["bench", "--json", "--commands", "100", "--back-end", "model", "--only", names[2]]);
    assert!(only[names[2]].is_number() && only[names[0]].is_null(), "{only}");
    // What is about the hardware is measured for who names it, whatever the back end.
    let elaboration = "elaboration_and_emission_ms";
    assert!(figures[elaboration].is_null(), "{figures}");
    let only = json(&["bench", "--json", "--back-end", "model", "--only", elaboration]);
    assert!(only[elaboration].as_f64().is_some_and(|figure| figure > 0.0), "{only}");
}

/// Beside each throughput stand its IOPS and GB/s, what links let through, and what others report.
#[test]
fn bench_compares_throughputs_with_links_and_other_controllers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("throughput.svg");
    let figures = json(&["bench", "--json", "--commands", "100", "--back-end", "model", "--plot", text(&file)]);
    let throughputs = figures["throughputs"].as_array().unwrap();
    let reads = &throughputs[0];
    assert_eq!((&reads["name"], &reads["bytes"]), (&Value::from("512 B reads"), &Value::from(512)));
    let iops = reads["iops"].as_f64().unwrap();
    assert!((iops * reads["cycles"].as_f64().unwrap() / 250e6 - 1.0).abs() < 0.001, "{reads}");
    assert!((reads["gigabytes_per_second"].as_f64().unwrap() / (iops * 512e-9) - 1.0).abs() < 0.001, "{reads}");
    let links: Vec<&str> =
        reads["limits"].as_array().unwrap().iter().filter_map(|limit| limit["link"].as_str()).collect();
    assert_eq!(links, ["Gen3 x4", "Gen4 x4", "Gen5 x4"]);
    assert_eq!(figures["reported_by_others"].as_array().unwrap().len(), 3);
    let svg = fs::read_to_string(&file).unwrap();
    assert!(throughputs.iter().all(|row| svg.contains(row["name"].as_str().unwrap())), "{svg}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left behind");
}

/// Nothing is looked for, fetched or built.
#[test]
fn the_evaluator_needs_no_tools() {
    let cache = tempfile::tempdir().unwrap();
    let arguments = ["run", "--commands", "20", "--depth", "2", "--queues", "1", "--back-end", "evaluator", "--json"];
    let output = flashdock(&arguments).env("PATH", "").env("FLASHDOCK_CACHE", cache.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["figures"]["commands"], 20);
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    // Verilator counts the same clocks.
    let verilated = json(&[&arguments[..7], &["--back-end", "verilated", "--json"]].concat());
    assert_eq!(report["figures"], verilated["figures"]);
}

/// The figures that the project promises, measured as `bench` does.
#[test]
fn the_hardware_reaches_its_targets() {
    let figures = json(&["bench", "--json", "--commands", "1000"]);
    for (name, most) in [("read_512", 40.0), ("read_4k", 80.0), ("write_4k", 80.0)] {
        let cycles = figures[format!("{name}_cycles_per_command")].as_f64().unwrap();
        assert!(cycles > 1.0 && cycles <= most, "{name}: {cycles} cycles per command");
    }
    for name in ["harness_overhead_percent", "evaluator_speed_over_verilator", "elaboration_and_emission_ms"] {
        assert!(figures[name].as_f64().is_some_and(|figure| figure > 0.0), "{name}: {figures}");
    }
}

// --- emit --bundle -----------------------------------------------------------------------------------------------------------------------

/// The variables of Verilator's makefile that its installer would have written.
const MAKE_VARIABLES: &str = "CXX=g++ LINK=g++ CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=gnu++20 CFG_CXXFLAGS_STD_NEWEST=-std=gnu++20 \
                              CFG_CXXFLAGS_COROUTINES=-fcoroutines CFG_LDLIBS_THREADS=-pthread PYTHON3=python3 OPT_FAST=-O0 OPT_SLOW=-O0 \
                              OPT_GLOBAL=-O0";

/// As README.md of the bundle says, with nothing but the bundle and Verilator.
#[test]
fn the_smoke_test_of_a_bundle_passes() {
    let folder = tempfile::tempdir().unwrap();
    stdout(&["emit", "--bundle", text(folder.path()), "--config", "small"]);
    let readme = fs::read_to_string(folder.path().join("README.md")).unwrap();
    let line = readme.lines().find_map(|line| line.strip_prefix("verilator ")).unwrap();
    let verilator = sim_toolchain::Toolchain::from_env().verilator().unwrap_or_else(|error| panic!("{error}"));
    let mut build = verilator.command();
    build.current_dir(folder.path()).args(line.split(' ')).args(["-MAKEFLAGS", MAKE_VARIABLES]);
    let built = build.output().unwrap();
    assert!(
        built.status.success(),
        "{}{}",
        String::from_utf8_lossy(&built.stdout),
        String::from_utf8_lossy(&built.stderr)
    );
    let run = Command::new(folder.path().join("obj_dir/Vsmoke_test")).output().unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success() && said.lines().any(|line| line == "PASS"), "{said}");
    for name in ["CAP, low half", "VS", "ID of the firmware port", "VERSION of the firmware port"] {
        assert!(said.contains(&format!("{name} is ")) && !said.contains("instead of"), "{said}");
    }
}

#[test]
fn a_bundle_destroys_nothing_unless_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let [own, guide] = ["own.txt", "PORTS.md"].map(|name| folder.path().join(name));
    fs::write(&own, "mine").unwrap();
    fs::write(&guide, "mine, too").unwrap();
    let (what, next) = error(&["emit", "--bundle", text(folder.path())]);
    assert!(what.contains("has files in it already") && next.contains("--force"), "{what} {next}");
    assert_eq!(fs::read_to_string(&guide).unwrap(), "mine, too");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    stdout(&["emit", "--bundle", text(folder.path()), "--force"]);
    assert_eq!(fs::read_to_string(&own).unwrap(), "mine");
    assert!(fs::read_to_string(&guide).unwrap().contains("Port guide"));
}

// --- trace -------------------------------------------------------------------------------------------------------------------------------

#[test]
fn trace_writes_exactly_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bring-up.vcd");
    let printed = stdout(&["trace", "bring-up", "--from", "100", "--clocks", "50", "--out", text(&file)]);
    assert!(printed.contains("50 clocks from clock 100 on"), "{printed}");
    let waveform = fs::read_to_string(&file).unwrap();
    assert!(waveform.contains("$enddefinitions") && waveform.contains(" clock $end"));
    let times: Vec<u64> = waveform.lines().filter_map(|line| line.strip_prefix('#')?.parse().ok()).collect();
    // 4 ns are a clock.
    assert_eq!(times.first(), Some(&400));
    assert!(times.last().is_some_and(|last| (596..600).contains(last)), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left behind");
}

/// The same window in both formats; the FST is read back.
#[test]
fn trace_as_fst_has_the_same_window_and_the_names_of_states() {
    let folder = tempfile::tempdir().unwrap();
    let [fst, vcd, save_file] = ["up.fst", "up.vcd", "up.gtkw"].map(|name| folder.path().join(name));
    for file in [&fst, &vcd] {
        let printed = stdout(&["trace", "bring-up", "--from", "100", "--clocks", "50", "--out", text(file)]);
        assert!(printed.contains("50 clocks from clock 100 on"), "{printed}");
        let opens = printed.contains(&format!("gtkwave {} {}`", fst.display(), save_file.display()));
        assert_eq!(opens, *file == fst, "{printed}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "nothing else is left behind");

    let mut reader = FstReader::open(std::io::BufReader::new(fs::File::open(&fst).unwrap())).unwrap();
    let header = reader.get_header();
    assert_eq!((header.start_time, header.timescale_exponent), (400, -9));
    let (mut tables, mut structs, mut variables) = (Vec::new(), Vec::new(), Vec::new());
    let read = reader.read_hierarchy(|entry| match entry {
        FstHierarchyEntry::EnumTable { mapping, .. } => tables.push(mapping),
        FstHierarchyEntry::Scope { tpe: FstScopeType::Struct, name, .. } => structs.push(name),
        FstHierarchyEntry::Var { name, handle, .. } => variables.push((name, handle)),
        _ => {}
    });
    read.unwrap();
    let alive = ("001".to_owned(), "Alive".to_owned());
    assert!(tables.iter().any(|table| table.contains(&alive)), "{tables:?}");
    assert!(structs.iter().any(|name| name == "host_ar"), "{structs:?}");
    assert!(fs::read_to_string(&save_file).unwrap().contains("{controller/lifecycle_f0/state}"));

    // What the file of text says of the clock, the other says, too.
    let (_, clock) = variables.into_iter().find(|(name, _)| name == "clock").unwrap();
    let mut found = Vec::new();
    let read = reader.read_signals::<()>(&FstFilter::filter_signals(vec![clock]), |time, _, value| {
        if let FstSignalValue::String(bits) = value {
            found.push((time, String::from_utf8(bits.to_vec()).unwrap()));
        }
        Ok(())
    });
    assert!(read.is_ok());
    let waveform = fs::read_to_string(&vcd).unwrap();
    let declared = waveform.lines().find(|line| line.ends_with(" clock $end")).unwrap();
    let code = declared.split_whitespace().nth(3).unwrap();
    let (mut time, mut expected) = (0, Vec::<(u64, String)>::new());
    for line in waveform.lines() {
        if let Some(at) = line.strip_prefix('#').and_then(|at| at.parse().ok()) {
            time = at;
        } else if let Some(bit) = line.strip_suffix(code).filter(|bit| ["0", "1"].contains(bit)) {
            // The last one of a time counts.
            expected.retain(|(at, _)| *at != time);
            expected.push((time, bit.to_owned()));
        }
    }
    assert_eq!(found, expected);
}

/// What a process on a hart for containers does, and what the firmware beside it.
#[test]
fn trace_tells_what_the_harts_did() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program");
    // lui t0, 0x40000; ld t1, 0(t0): a load from where nothing is.
    let program = [0x4000_02B7_u32, 0x0002_B303].map(u32::to_le_bytes).concat();
    fs::write(&file, program).unwrap();
    let for_hart = |hart: u32| format!("{hart}={}", text(&file));
    let arguments = |program: &'static str, rest: &[&'static str]| {
        [&["trace", "bring-up", "--harts", program], rest].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run =
        |arguments: Vec<String>| flashdock(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    let with_program = |hart| [arguments("--program", &[]), vec![for_hart(hart)]].concat();

    let printed = run(with_program(3));
    let errors = String::from_utf8_lossy(&printed.stderr);
    if errors.contains("there is no Rust compiler") {
        eprintln!("skipped: what harts did. {errors}");
        return;
    }
    assert!(printed.status.success(), "{errors}");
    let printed = String::from_utf8(printed.stdout).unwrap();
    let lines = |hart: &str| printed.lines().filter(|line| line.trim_start().starts_with(hart)).collect::<Vec<_>>();
    assert!(lines("0  host interface").last().is_some_and(|line| line.ends_with("serving")), "{printed}");
    assert_eq!(lines("2  containers").len(), 1, "{printed}");
    let [started, begun, trapped] = lines("3  containers")[..] else { panic!("{printed}") };
    assert!(started.contains("hart started") && begun.contains("code bytes 8"), "{printed}");
    assert!(trapped.ends_with("load page fault (13), pc 0x10004, value 0x40000000"), "{printed}");

    for (arguments, expected) in [
        (with_program(0), "hart 0 runs no containers"),
        (arguments("--program", &["3=/nowhere"]), "cannot read /nowhere"),
        (arguments("--firmware", &["hosted"]), "no harts"),
    ] {
        let (what, _) = two_last_lines(&run(arguments));
        assert!(what.contains(expected), "{what}");
    }
}

#[test]
fn trace_leaves_no_file_when_its_window_never_begins() {
    for name in ["read.vcd", "read.fst"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        let arguments = ["trace", "read", "--from", "900000000", "--out", text(&file)];
        let (what, _) = two_last_lines(&output(&arguments));
        assert!(what.contains("before the window began"), "{what}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}

// --- Bad input ---------------------------------------------------------------------------------------------------------------------------

#[test]
fn every_mistake_is_answered_by_what_is_wrong_and_what_to_do() {
    let entry = "0".repeat(128);
    let odd = "0".repeat(127);
    let cases: &[(&[&str], &str)] = &[
        (&[], "no command"),
        (&["dekode"], "unrecognized subcommand 'dekode'"),
        (&["decode", "cx", "1"], "no register `cx`; the controller has cap, vs,"),
        (&["decode", "cc"], "needs a value"),
        (&["decode", "cc", "0x100000000"], "more than 32 bits"),
        (&["decode", "cc", "many"], "not a number"),
        (&["decode", "cc", ""], "not a number"),
        (&["decode", "cc", "1", "--admin"], "--admin"),
        (&["decode", "status", "0x8000"], "more than 15 bits"),
        (&["decode", "sqe", &odd], "neither hexadecimal nor a file"),
        (&["decode", "cqe", &entry], "the value has 64 bytes; an entry has 16"),
        (&["decode", "sqe", "/"], "neither hexadecimal nor a file"),
        (&["decode", "sqe", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], "an entry has 64"),
        (&["map", "moon"], "invalid value 'moon'"),
        (&["gdb", "nowhere"], "invalid value 'nowhere'"),
        (&["gdb", "--harts", "7"], "7 is not in 1..=6"),
        (&["emit"], "required arguments were not provided"),
        (&["emit", "warp_core"], "no block `warp_core`; there are direct_device, flash_device, uncore, controller,"),
        (&["emit", "fifo", "--out", "/dev/null/x"], "cannot write /dev/null/x"),
        (&["emit", "fifo", "--config", "huge"], "invalid value 'huge'"),
        (&["emit", "--bundle", "/dev/null"], "/dev/null is there already and is not a folder"),
        (&["emit", "--bundle", "/dev/null/x"], "cannot write /dev/null/x"),
        (&["emit", "--force", "fifo"], "cannot be used with"),
        (&["emit", "fifo", "--bundle", "/nowhere"], "cannot be used with"),
        (&["demo", "/nowhere/at/all"], "cannot read /nowhere/at/all: no such file"),
        (&["demo", "/"], "/ is a folder"),
        (&["demo", "/dev/zero"], "not a regular file"),
        (&["demo", "--seed", "luck"], "invalid value 'luck'"),
        (&["demo", "--back-end", "fpga"], "invalid value 'fpga'"),
        (&["run", "--bytes", "100"], "a command cannot have 100 bytes"),
        (&["run", "--bytes", "0"], "a command cannot have 0 bytes"),
        (&["run", "--bytes", "2097664"], "a command cannot have 2097664 bytes"),
        (&["run", "--queues", "0"], "invalid value '0'"),
        (&["run", "--queues", "64"], "invalid value '64'"),
        (&["run", "--depth", "4096"], "invalid value '4096'"),
        (&["run", "--commands", "0"], "invalid value '0'"),
        (&["run", "--stall", "100"], "invalid value '100'"),
        (&["bench", "--only", "speed"], "no figure `speed`"),
        (
            &["bench", "--back-end", "model", "--commands", "100", "--plot", "/nowhere/x.png"],
            "/nowhere/x.png is no name of a plot",
        ),
        (
            &["bench", "--back-end", "model", "--commands", "100", "--plot", "/nowhere/x.svg"],
            "cannot write /nowhere/x.svg",
        ),
        (&["trace", "read"], "required arguments were not provided"),
        (&["trace", "read", "--harts", "--out", "read.fst"], "cannot be used with"),
        (&["trace", "read", "--firmware", "iss", "--out", "read.fst"], "cannot be used with"),
        (&["trace", "read", "--harts", "--program", "3"], "the number of the hart"),
        (&["trace", "read", "--out", "/"], "is not a file"),
        (&["trace", "read", "--out", "/dev/full"], "is not a file"),
        (&["trace", "read", "--out", "/nowhere/read.vcd"], "cannot write /nowhere/read.vcd"),
        (&["trace", "read", "--out", "/nowhere/read.fst"], "cannot write /nowhere/read.fst"),
        (&["trace", "read", "--out", "/nowhere/read.txt"], "/nowhere/read.txt is no name of a waveform"),
        (&["trace", "read", "--out", "/nowhere/read"], "is no name of a waveform"),
    ];
    for (arguments, expected) in cases {
        let (what, next) = error(arguments);
        assert!(what.contains(expected), "{arguments:?}: {what}");
        assert!(!next.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_file_that_is_too_large_for_any_namespace_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    fs::File::create(&path).unwrap().set_len((4 << 30) + 1).unwrap();
    let (what, _) = error(&["demo", text(&path)]);
    assert!(what.contains("the largest namespace has 4 GiB"), "{what}");
}

#[test]
fn a_full_disk_is_one_message() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let arguments = ["map"];
    let output = flashdock(&arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let (what, _) = error_of(&output, &arguments);
    assert_eq!(what, "cannot write the result: no space left on device");
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let mut child = flashdock(&["emit", "controller"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn help_and_version_succeed() {
    for command in [&["--help"][..], &["--version"], &["demo", "--help"], &["help", "bench"]] {
        assert!(stdout(command).contains("flashdock") || command.contains(&"help"), "{command:?}");
    }
}

// --- serve, linux, replay-inputs -----------------------------------------------------------------------------------------------------------

/// A device that answers, and what it still prints.
fn serve(arguments: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut server = flashdock(arguments).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(server.stdout.take().expect("it is piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    (server, lines)
}

/// Ends a served device as its user does.
fn end(mut server: Child) {
    assert!(Command::new("kill").arg(server.id().to_string()).status().expect("kill starts").success());
    assert!(server.wait().expect("it ends").success());
}

/// A recording of the hardware with its waveform: made by `serve`, run again by `replay-inputs`.
#[test]
fn a_recorded_device_is_replayed_with_its_waveform() {
    let folder = tempfile::tempdir().expect("a folder");
    let [sockets, recording, fst] = ["device", "inputs", "replay.fst"].map(|name| folder.path().join(name));
    let (server, _lines) = serve(&["serve", "--vfio-user", text(&sockets), "--record", text(&recording)]);
    sim_vfio_client::benchmark(&sockets, 10).expect("reads");
    end(server);

    let printed = stdout(&["replay-inputs", text(&recording), "--waveform", text(&fst)]);
    assert!(printed.ends_with("ran again as recorded\n"), "{printed}");
    let words: Vec<&str> = printed.split(' ').collect();
    let number = |unit: &str| {
        let at = words.iter().position(|word| word.starts_with(unit)).expect("its unit");
        words[at - 1].replace(',', "").parse::<u64>().expect("a number")
    };
    // Each read rings two doorbells.
    assert!(number("input") > 20 && number("clock") > 1000, "{printed}");

    let mut reader = FstReader::open(std::io::BufReader::new(fs::File::open(&fst).unwrap())).unwrap();
    let (mut scopes, mut clocks, mut states) = (Vec::new(), Vec::new(), Vec::new());
    let read = reader.read_hierarchy(|entry| match entry {
        FstHierarchyEntry::Scope { name, .. } => scopes.push(name),
        FstHierarchyEntry::UpScope => drop(scopes.pop()),
        FstHierarchyEntry::Var { name, handle, .. } => {
            match (name.split(' ').next(), scopes.last().map(String::as_str)) {
                (Some("clock"), _) => clocks.push(handle),
                (Some("state"), Some("lifecycle_f0")) => states.push(handle),
                _ => {}
            }
        }
        _ => {}
    });
    read.unwrap();
    let mut values = |handle: FstSignalHandle| {
        let mut values = Vec::new();
        let read = reader.read_signals::<()>(&FstFilter::filter_signals(vec![handle]), |_, _, value| {
            if let FstSignalValue::String(bits) = value {
                values.push(String::from_utf8(bits.to_vec()).unwrap());
            }
            Ok(())
        });
        assert!(read.is_ok());
        values
    };
    let edges = values(clocks.swap_remove(0)).iter().filter(|&value| value == "1").count();
    let states: BTreeSet<String> = values(states.pop().expect("the state of function 0")).into_iter().collect();
    // The whole run is in it, from power-on over the life of the controller to the client's end.
    assert_eq!(edges as u64, number("clock"), "{printed}");
    assert!(states.len() > 2, "{states:?}");
}

#[test]
fn a_served_device_is_used_and_ended_by_a_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let sockets = folder.path().join("device");
    let arguments = ["serve", "--vfio-user", text(&sockets), "--back-end", "model", "--json"];
    let (server, mut lines) = serve(&arguments);
    let figures = sim_vfio_client::benchmark(&sockets, 100).expect("reads");
    assert_eq!(figures.commands, 100);
    let (what, next) = error(&arguments);
    assert!(what.contains("is served by a process that runs"), "{what}");
    assert!(next.contains("choose another"), "{next}");
    end(server);
    let mut report = String::new();
    lines.read_to_string(&mut report).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert!(report["clocks"].as_u64() > Some(0) && report["bridge_seconds"].as_f64() > Some(0.0), "{report}");
    assert!(!sockets.join("cntrl").exists());
}

#[test]
fn what_cannot_be_served_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a path in UTF-8").to_owned();
    let (sockets, image, recording) = (path("sockets"), path("image"), path("recording"));
    let (what, next) = error(&["serve", "--vfio-user", &sockets, "--back-end", "model", "--image", &image]);
    assert_eq!((what.as_str(), next.contains("`--image`")), ("the model keeps no image", true));
    fs::write(&image, "no image").expect("a file");
    let (what, _) = error(&["serve", "--vfio-user", &sockets, "--image", &image, "--record", &recording]);
    assert!(what.contains("begins with an empty device"), "{what}");
    let (what, next) = error(&["serve", "--vfio-user", &sockets, "--image", &image]);
    assert!(what.contains("has 8 bytes") && next.contains("`--size`"), "{what} {next}");
    assert_eq!(fs::read(&image).expect("the file"), b"no image");
    let (what, _) = error(&["serve"]);
    assert!(what.contains("--vfio-user"), "{what}");
    let (what, _) = error(&["serve", "--qemu", &sockets, "--vfio-user", &sockets]);
    assert!(what.contains("cannot be used with"), "{what}");
    let (what, _) = error(&["linux", "--script", &path("missing.sh")]);
    assert!(what.contains("missing.sh"), "{what}");
    fs::write(&recording, "no recording").expect("a file");
    let (what, next) = error(&["replay-inputs", &recording]);
    assert!(what.contains("no recording of this version") && next.contains("record"), "{what} {next}");
    let (what, _) = error(&["replay-inputs", &recording, "--waveform", &path("replay.txt")]);
    assert!(what.contains("is no name of a waveform"), "{what}");
    let (what, _) = error(&["replay-inputs", &path("missing")]);
    assert!(what.contains("missing"), "{what}");
}
