//! The flash commands as people call them: age, smart, flash-map, checkpoint, restore, replay, sweep.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn output(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flashdock")).args(arguments).output().expect("the program starts")
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

/// What is wrong, the lines between, and what to do next. Nothing is printed as a result, and the exit code is 1.
fn error(arguments: &[&str]) -> (String, Vec<String>, String) {
    let output = output(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty() && output.status.code() == Some(1), "{arguments:?}: {errors}");
    let mut lines: Vec<String> = errors.lines().map(str::to_owned).collect();
    let next = lines.pop().and_then(|line| Some(line.strip_prefix(" next: ")?.to_owned())).expect("what to do");
    let what = lines.remove(0).strip_prefix("error: ").expect("what is wrong").to_owned();
    let detail = lines.iter().map(|line| line.strip_prefix("  | ").expect("a detail").to_owned()).collect();
    (what, detail, next)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), contents).expect("it can be written");
        self.path(name)
    }

    /// A small drive that was overwritten once.
    fn image(&self) -> PathBuf {
        let path = self.path("drive");
        stdout(&["age", "--size", "small", "--overwrites", "1", "--image", text(&path)]);
        path
    }

    fn files(&self) -> usize {
        fs::read_dir(self.0.path()).expect("a folder").count()
    }
}

// --- age, smart, flash-map -----------------------------------------------------------------------------------------------------------------

#[test]
fn an_aged_drive_is_kept_with_its_figures() {
    let folder = Folder::new();
    let path = folder.path("drive");
    let options =
        ["--size", "small", "--spare", "28", "--hot-cold", "--overwrites", "4", "--image", text(&path), "--json"];
    let aged = json(&[&["age"], &options[..]].concat());
    let rounds = aged["write_amplification"].as_array().expect("rounds");
    assert_eq!(rounds.len(), 4, "{aged}");
    assert!(rounds.iter().all(|figure| figure.as_f64() > Some(1.0)), "{aged}");
    assert_eq!(aged["image_bytes"], fs::metadata(&path).expect("it was written").len());
    assert_eq!(folder.files(), 1, "nothing else is left behind");

    let smart = json(&["smart", "--image", text(&path), "--json"]);
    let units = aged["filled_units"].as_u64().expect("a number");
    assert_eq!(smart["smart"]["written_bytes"], units * 4096 * (1 + rounds.len() as u64));
    assert!(smart["smart"]["programmed_bytes"].as_u64() >= aged["smart"]["programmed_bytes"].as_u64());
    assert_eq!(
        (&smart["smart"]["bad_blocks"], &smart["smart"]["is_read_only"]),
        (&Value::from(0), &Value::from(false))
    );
    for failures in ["program_failures", "erase_failures"] {
        assert_eq!(smart["smart"][failures], 0, "{failures}");
    }
    assert_eq!(smart["drive"], aged["drive"]);

    let map = json(&["flash-map", "--image", text(&path), "--json"]);
    assert_eq!(map["units"]["valid"], units);
    assert_eq!(map["dies"].as_array().map(Vec::len), Some(4));
    let sum: u64 = map["units"].as_object().expect("units").values().filter_map(Value::as_u64).sum();
    assert_eq!(sum, 128 << 20 >> 12);
    let svg = folder.path("map.svg");
    stdout(&["flash-map", "--image", text(&path), "--svg", text(&svg)]);
    let svg = fs::read_to_string(svg).expect("it was written");
    assert!(svg.starts_with("<svg") && svg.matches("<title>").count() == 4 * 2 * 64);
}

#[test]
fn people_are_told_what_happened() {
    let folder = Folder::new();
    let path = folder.path("drive");
    let printed = stdout(&["age", "--size", "small", "--overwrites", "1", "--fill", "50", "--image", text(&path)]);
    let failures = "0 programs, 0 erases";
    for part in ["128 MiB: 2 x 2 dies", "1 time, uniform, seed 1", "not yet steady", "SMART", failures, "written to"] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    let printed = stdout(&["age", "--size", "small", "--overwrites", "0"]);
    assert!(printed.contains("nothing is kept: `--image FILE`"), "{printed}");
    let printed = stdout(&["flash-map", "--image", text(&path)]);
    for part in ["0,   0  d", "all valid", "% valid", "bad"] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
    assert!(!printed.contains('\x1b'), "colours are for terminals");
    let printed = stdout(&["smart", "--size", "small"]);
    assert!(printed.contains("write amplification") && printed.contains("takes writes"), "{printed}");
}

#[test]
fn one_seed_is_one_drive() {
    let of = |seed| json(&["age", "--size", "small", "--overwrites", "1", "--seed", seed, "--json"]);
    assert_eq!(of("3"), of("3"));
    assert_ne!(of("3")["write_amplification"], of("4")["write_amplification"]);
}

#[test]
fn an_image_is_not_replaced_by_accident() {
    let folder = Folder::new();
    let (own, image) = (folder.file("own.txt", "mine"), folder.image());
    let age = ["age", "--size", "small", "--overwrites", "0", "--image"];
    let (what, _, next) = error(&[&age[..], &[text(&image)]].concat());
    assert!(what.contains("is there already") && next.contains("--force"), "{what} {next}");
    stdout(&[&age[..], &[text(&image), "--force"]].concat());
    let (what, _, _) = error(&[&age[..], &[text(&own), "--force"]].concat());
    assert!(what.contains("is there already and is no image"), "{what}");
    let (what, _, _) = error(&["restore", text(&image), text(&own)]);
    assert!(what.contains("is there already and is no image"), "{what}");
    assert_eq!(fs::read_to_string(&own).expect("it is there"), "mine");
}

#[test]
fn what_is_no_image_is_refused_by_every_command() {
    let folder = Folder::new();
    let image = folder.image();
    let bytes = fs::read(&image).expect("it is there");
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 4;
    let mut newer = bytes.clone();
    newer[8] = 99;
    let trace = folder.file("trace", "0,r,4096,0");
    let cases = [
        (folder.file("foreign", "hello, world"), "does not begin as an image"),
        (folder.file("empty", ""), "does not begin as an image"),
        (folder.file("short", &bytes[..bytes.len() / 2]), "it is cut off"),
        (folder.file("damaged", &damaged), "its checksum is wrong"),
        (folder.file("newer", &newer), "it has version 99"),
        (folder.path("nothing"), "cannot read"),
        (PathBuf::from("/"), "is not a file"),
        (PathBuf::from("/dev/zero"), "is not a file"),
    ];
    let target = folder.path("target");
    for (path, expected) in &cases {
        let path = text(path);
        let commands: [&[&str]; 5] = [
            &["smart", "--image", path],
            &["flash-map", "--image", path],
            &["replay", text(&trace), "--image", path],
            &["checkpoint", path, text(&target)],
            &["restore", path, text(&target)],
        ];
        for command in commands {
            let (what, _, next) = error(command);
            assert!(what.contains(expected) && what.contains(path) && !next.is_empty(), "{command:?}: {what}");
        }
    }
    assert!(!target.exists());
}

// --- replay, checkpoint, restore -----------------------------------------------------------------------------------------------------------

#[test]
fn a_trace_goes_on_with_a_drive_and_a_checkpoint_brings_it_back() {
    let folder = Folder::new();
    let image = folder.image();
    let checkpoint = folder.path("checkpoint");
    let printed = stdout(&["checkpoint", text(&image), text(&checkpoint)]);
    assert!(printed.contains("in use, and all can be read"), "{printed}");
    let before = fs::read(&image).expect("it is there");
    assert_eq!(fs::read(&checkpoint).expect("it was written"), before);
    error(&["checkpoint", text(&image), text(&checkpoint)]);

    // One unit, parts of two, half of one; a read of two; one whole unit and a half to trim; a flush.
    let trace = "time_ns,op,bytes,lba\n0,w,4096,8\n1,w,4096,20\n2,W,2048,32\n3,r,8192,0\n4,trim,6144,40\n5,f,0,0\n";
    let trace = folder.file("trace.csv", trace);
    let replay = ["replay", text(&trace), "--image", text(&image), "--json"];
    let report = json(&[&replay[..], &["--discard"]].concat());
    let done = &report["done"];
    assert_eq!(done["writes"], serde_json::json!({ "requests": 3, "bytes": 10240 }));
    assert_eq!(done["reads"], serde_json::json!({ "requests": 1, "bytes": 8192 }));
    let counts =
        ["units_written", "units_read", "units_read_for_parts", "units_trimmed", "flushes"].map(|name| &done[name]);
    assert_eq!(counts, [4, 2, 3, 1, 1]);
    assert!(report["write_amplification_of_bytes"].as_f64() > Some(1.0), "{report}");
    assert_eq!(fs::read(&image).expect("it is there"), before, "it is as it was before");

    assert_eq!(json(&replay)["done"], *done);
    assert_ne!(fs::read(&image).expect("it is there"), before);
    let written = |path: &Path| json(&["smart", "--image", text(path), "--json"])["smart"]["written_bytes"].as_u64();
    assert_eq!(written(&image), written(&checkpoint).map(|bytes| bytes + 4 * 4096));
    let valid = |path: &Path| json(&["flash-map", "--image", text(path), "--json"])["units"]["valid"].as_u64();
    assert_eq!(valid(&image), valid(&checkpoint).map(|units| units - 1), "one unit was trimmed");
    stdout(&["restore", text(&checkpoint), text(&image)]);
    assert_eq!(fs::read(&image).expect("it is there"), before);
}

#[test]
fn both_forms_of_a_trace_do_the_same_and_say_what_is_left_out() {
    let folder = Folder::new();
    let csv = folder.file("csv", "0,write,65536,0\n9,read,4096,64\n");
    let block =
        folder.file("block", "nsecs, rwbs, bytes, sector, nr_sector\n0, WS, 65536, 0, 128\n9, RA, 4096, 64, 8\n");
    let of = |path: &Path| json(&["replay", text(path), "--size", "small", "--json"])["done"].clone();
    assert_eq!(of(&csv), of(&block));
    let printed = stdout(&["replay", text(&csv), "--size", "small"]);
    for part in ["no latencies: there is no time in this drive", "64 KiB", "the drive was new, and is not kept"] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
}

#[test]
fn a_trace_with_bad_lines_runs_nothing() {
    let folder = Folder::new();
    let image = folder.image();
    let before = fs::read(&image).expect("it is there");
    let lines: String = (0..12).map(|line| format!("{line},w,4096,0\n{line},w,5,0\n")).collect();
    let trace = folder.file("trace", lines);
    let (what, detail, next) = error(&["replay", text(&trace), "--image", text(&image)]);
    assert!(what.ends_with("has 12 bad lines, and nothing was run") && next.contains("replay --help"), "{what} {next}");
    assert_eq!(detail.len(), 11, "{detail:?}");
    assert_eq!(detail[0], "line 2: 5 bytes are not a number of blocks of 512");
    assert_eq!(detail[10], "and 2 more");
    let trace = folder.file("far", "0,r,512,0\n0,w,512,999999999\n");
    let (_, detail, next) = error(&["replay", text(&trace), "--image", text(&image)]);
    assert!(detail[0].starts_with("line 2: it ends with sector 999999999; the drive has "), "{detail:?}");
    assert!(next.contains("--wrap"), "{next}");
    assert_eq!(fs::read(&image).expect("it is there"), before);
    stdout(&["replay", text(&trace), "--image", text(&image), "--wrap", "--discard"]);
    let (_, detail, _) =
        error(&["replay", text(&folder.file("long", "0,d,549755813888,0")), "--size", "small", "--wrap"]);
    assert!(detail[0].contains("1073741824 sectors"), "{detail:?}");
    let (what, _, _) = error(&["replay", text(&folder.file("nothing", "# nothing\n"))]);
    assert!(what.contains("has no request"), "{what}");
    let (what, _, _) = error(&["replay", text(&image)]);
    assert!(what.contains("bad line"), "{what}");
}

// --- The Verilated flash ---------------------------------------------------------------------------------------------------------------------

/// Each of these tests runs on the smallest device with flash: one model is built for all of them.
const ON_FLASH: [&str; 2] = ["--storage", "flash"];

#[test]
fn the_device_runs_over_flash_that_is_new_and_that_was_aged() {
    let folder = Folder::new();
    let image = folder.image();
    let before = fs::read(&image).expect("it is there");
    let work = ["run", "--op", "mixed", "--queues", "2", "--depth", "4", "--commands", "200", "--json"];
    let new = json(&[&work[..], &ON_FLASH, &["--flash-size", "small"]].concat());
    assert_eq!(new["device"]["flash"], "new flash: 128 MiB in 2 x 2 dies, preset sim", "{new}");
    assert_eq!(new["figures"]["commands"], 200);
    let used = |preset| json(&[&work[..], &ON_FLASH, &["--from", text(&image), "--preset", preset]].concat());
    let (fast, slow) = (used("scm"), used("simplessd-mlc"));
    assert_eq!(fast["device"]["flash"], "used flash: 128 MiB in 2 x 2 dies, preset scm", "{fast}");
    // Half of the commands are reads of what lies in the flash, and that of an LSB page takes 40 us.
    let p90 = |report: &Value| report["figures"]["latency"]["p90_ns"].as_f64().expect("a number");
    assert!(p90(&slow) > 40_000.0 && p90(&fast) < 20_000.0, "{slow}\n{fast}");
    assert_eq!(used("scm"), fast, "one seed is one run");
    assert_eq!(fs::read(&image).expect("it is there"), before, "it stays as it is");
}

#[test]
fn a_trace_runs_on_the_device_with_latencies() {
    let folder = Folder::new();
    let image = folder.image();
    let before = fs::read(&image).expect("it is there");
    // A read of flash, one of 3 MiB, a write of which the last sector is part of a unit, a durable one behind a flush, a trim, a flush.
    let trace = "nsecs, rwbs, bytes, sector, nr_sector\n0, R, 4096, 80000, 8\n100000, R, 3145728, 4096, 6144\n5000000, W, 66048, 0, 129\n\
                 9000000, FWFS, 8192, 2048, 16\n9100000, D, 1048576, 8192, 2048\n20000000, F, 0, 0, 0\n";
    let trace = folder.file("trace", trace);
    let replay = ["replay", text(&trace), "--on", "device", "--json"];
    let report = json(&[&replay[..], &["--from", text(&image)]].concat());
    let counts = |kind: &str| [&report[kind]["requests"], &report[kind]["bytes"]].map(Value::as_u64);
    let all = ["reads", "writes", "trims", "flushes"].map(counts);
    let expected = [[2, 3_149_824], [2, 74_240], [1, 1_048_576], [1, 0]];
    assert_eq!(all, expected.map(|counts| counts.map(Some)), "{report}");
    let latency = |report: &Value, kind: &str, name: &str| report[kind]["latency"][name].as_f64().expect("a number");
    for kind in ["reads", "writes", "trims", "flushes"] {
        let of = |name| latency(&report, kind, name);
        assert!(of("p50_us") <= of("p99_us") && of("p99_us") <= of("p999_us") && of("p999_us") <= of("max_us"));
    }
    // The last request is due after 20 ms of the trace, which are a thirty-second of that here; 250 clocks are a microsecond.
    assert_eq!(report["faster"], 32);
    let clocks = report["clocks"].as_u64().expect("a number");
    assert!(clocks >= 20_000 * 250 / 32, "{clocks}");
    // The life of the drive goes on.
    let written =
        json(&["smart", "--image", text(&image), "--json"])["smart"]["written_bytes"].as_u64().expect("bytes");
    let units = (written + 74_240).div_ceil(512_000);
    let smart = &report["smart"];
    assert_eq!(smart["data_units_written"], units, "{smart}");
    let of_medium = ["available_spare", "percentage_used", "critical_warning", "media_errors"].map(|name| &smart[name]);
    assert_eq!(of_medium, [100, 0, 0, 0], "{smart}");
    assert_eq!(json(&[&replay[..], &["--from", text(&image)]].concat()), report, "one seed is one run");
    assert_eq!(fs::read(&image).expect("it is there"), before, "it stays as it is");

    // A new drive, with the times of flash.
    let trace = folder.file("one", "0,w,4096,0\n1000,f,0,0\n2000000,r,4096,0\n");
    let options = ["--size", "small", "--preset", "simplessd-mlc"];
    let printed = stdout(&[&["replay", text(&trace), "--on", "device"], &options[..]].concat());
    for part in ["p99.9 us", "at the times of the trace", "available spare", "the drive was new, and is not kept"] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
}

#[test]
fn a_trace_with_bad_lines_runs_nothing_on_the_device() {
    let folder = Folder::new();
    let trace = folder.file("trace", "0,r,512,0\n0,w,5,0\n0,w,512,999999999\n");
    let replay = ["replay", text(&trace), "--on", "device", "--size", "small"];
    let (_, detail, _) = error(&replay);
    assert_eq!(detail, ["line 2: 5 bytes are not a number of blocks of 512"]);
    folder.file("trace", "0,r,512,0\n0,w,512,999999999\n");
    let (_, detail, next) = error(&replay);
    assert!(detail[0].starts_with("line 2: it ends with sector 999999999; the drive has ") && next.contains("--wrap"));
}

#[test]
fn what_no_device_with_flash_can_do_is_said() {
    let folder = Folder::new();
    let trace = folder.file("trace", "0,r,512,0\n");
    let image = folder.image();
    let (trace, image, socket) = (text(&trace), text(&image), folder.path("sockets"));
    let serve = ["serve", "--vfio-user", text(&socket), "--storage", "flash"];
    let served = |options: &[&'static str]| [&serve[..], options].concat();
    let cases: [(Vec<&str>, &str, &str); 11] = [
        (vec!["run", "--preset", "scm"], "`--preset` is of flash", "--storage flash"),
        (vec!["run", "--from", image], "`--from` is of flash", "--storage flash"),
        (vec!["run", "--storage", "flash", "--back-end", "model"], "has no flash", "leave"),
        (vec!["run", "--storage", "flash", "--flash-size", "full"], "flash of 48 GiB does not fit", "4g"),
        (vec!["run", "--storage", "flash", "--from", trace], "is no image", "age --image"),
        (served(&["--flash-size", "small", "--size", "100"]), "of 100 MiB does not fit the flash", "--size"),
        (served(&["--image", "x"]), "`--image` keeps the blocks", "--from"),
        (vec!["replay", trace, "--preset", "sim"], "`--preset` is of a device", "--on device"),
        (vec!["replay", trace, "--faster", "2"], "`--faster` is of a device", "--on device"),
        (vec!["replay", trace, "--on", "device", "--size", "full"], "flash of 48 GiB does not fit", "4g"),
        (
            [&serve[..], &["--from", image, "--record", "x"]].concat(),
            "a recording begins with an empty device",
            "leave",
        ),
    ];
    for (command, expected, to_do) in cases {
        let (what, _, next) = error(&command);
        assert!(what.contains(expected) && next.contains(to_do), "{command:?}: {what} {next}");
    }
}

// --- sweep -----------------------------------------------------------------------------------------------------------------------------------

#[test]
fn a_sweep_runs_every_combination() {
    let folder = Folder::new();
    let config = folder
        .file("sweep.toml", "spare_percent = [15, 60]\npolicy = [\"greedy\", \"cost-benefit\"]\noverwrites = 1\n");
    let csv = stdout(&["sweep", text(&config)]);
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 5, "{csv}");
    let column = |name| rows[0].iter().position(|column| *column == name).expect("a column");
    let amplification = |row: usize| rows[row][column("write_amplification")].parse::<f64>().expect("a number");
    let spares = [1, 2, 3, 4].map(|row: usize| rows[row][column("spare_percent")]);
    assert_eq!(spares, ["15", "15", "60", "60"]);
    assert!(amplification(1) > amplification(3) && amplification(3) >= 1.0, "{csv}");

    let (file, plot) = (folder.path("out.csv"), folder.path("out.svg"));
    let table = stdout(&["sweep", text(&config), "--csv", text(&file), "--plot", text(&plot)]);
    assert!(table.contains("spare %") && table.lines().count() == 5, "{table}");
    assert_eq!(fs::read_to_string(file).expect("it was written"), csv);
    let svg = fs::read_to_string(plot).expect("it was written");
    assert!(svg.contains("small, cost-benefit, uniform, 1 overwrite"), "{svg}");
    assert_eq!(folder.files(), 3, "nothing else is left behind");
}

#[test]
fn a_sweep_with_mistakes_runs_nothing() {
    let folder = Folder::new();
    let csv = folder.path("out.csv");
    let config = folder.file("sweep.toml", "seed = [1,\n  -2]\nspares = 7\n");
    let (what, detail, next) = error(&["sweep", text(&config), "--csv", text(&csv)]);
    assert!(what.contains("has 2 mistakes, and nothing was run") && next.contains("sweep --example"), "{what} {next}");
    assert!(
        detail[0].starts_with("line 2: -2 is not a number") && detail[1].starts_with("line 3: there is no `spares`"),
        "{detail:?}"
    );
    let (_, detail, _) = error(&["sweep", text(&folder.file("broken", "a = \"\n"))]);
    assert!(detail[0].starts_with("line 1: "), "{detail:?}");
    let config = folder.file("good", stdout(&["sweep", "--example"]));
    let (what, _, _) = error(&["sweep", text(&config), "--plot", "/nowhere/x.png"]);
    assert!(what.contains("is no name of a plot"), "{what}");
    assert!(!csv.exists());
}

#[test]
fn every_mistake_is_answered_by_what_is_wrong_and_what_to_do() {
    let cases: &[(&[&str], &str)] = &[
        (&["age", "--fill", "0"], "invalid value '0'"),
        (&["age", "--spare", "0"], "invalid value '0'"),
        (&["age", "--spare", "1", "--size", "small"], "1 % of spare are too few"),
        (&["age", "--size", "huge"], "invalid value 'huge'"),
        (&["age", "--force"], "required arguments"),
        (&["age", "--image", "/"], "is there already"),
        (&["age", "--size", "small", "--overwrites", "0", "--image", "/nowhere/x"], "cannot write /nowhere/x"),
        (&["smart", "--image", "x", "--size", "small"], "cannot be used with"),
        (&["flash-map", "--size", "small", "--svg", "x.png"], "is no name of a picture"),
        (&["checkpoint", "x"], "required arguments"),
        (&["replay"], "required arguments"),
        (&["replay", "/nowhere"], "cannot read /nowhere"),
        (&["replay", "/dev/zero"], "it is not a file"),
        (&["sweep"], "required arguments"),
        (&["sweep", "/"], "it is not a file"),
    ];
    for (arguments, expected) in cases {
        let (what, _, next) = error(arguments);
        assert!(what.contains(expected) && !next.is_empty(), "{arguments:?}: {what}");
    }
}
