use flash_hw::flash_path;
use flash_spec::limits::UNIT_BYTES;
use flash_spec::{Geometry, Preset, Reliability};
use nvme_model::Config;
use nvme_spec::limits::CORE_HZ;
use sim_cosim::{CoresKind, CoresOptions, FlashOptions, Start};
use sim_device::{seed_from_env_or, BusTiming, Device, HostMemory, ModelDevice};
use sim_firmware::{Image, Toolchain};
use std::sync::{Arc, OnceLock};

use crate::Body;

/// Size of the namespace of the Verilated device: small, so that tests reach its end soon.
const NAMESPACE_BYTES: u64 = 32 << 20;

/// Something that implements [`Device`], and how to make one.
#[derive(Clone, Copy)]
pub struct BackEnd {
    /// Its name, for `BACK_END`.
    pub name: &'static str,
    /// Makes a device after power-on whose choices come from a seed.
    pub make: fn(u64) -> Box<dyn Device>,
}

/// The back ends that all tests run on.
pub fn back_ends() -> Vec<BackEnd> {
    vec![
        BackEnd { name: "model", make: |seed| model(Config { seed, ..Config::DEFAULT }) },
        BackEnd { name: "model-small", make: |seed| model(Config { seed, ..Config::SMALL }) },
        BackEnd { name: "verilated", make: |seed| verilated(nvme_hw::Config::DEFAULT, seed) },
        BackEnd { name: "verilated-small", make: |seed| verilated(nvme_hw::Config::SMALL, seed) },
    ]
}

/// Those that run when `BACK_END` names them: the evaluator takes the same clocks as Verilator, which `sim-cosim` tests, and many times as long; `cores` has
/// the firmware as the device's processors run it, which takes a compiler for them, and `tiles` has those processors, Verilated; `flash` has its namespaces in
/// flash instead of memory.
pub fn back_ends_on_request() -> Vec<BackEnd> {
    vec![
        BackEnd { name: "evaluated-small", make: |seed| evaluated(nvme_hw::Config::SMALL, seed) },
        BackEnd { name: "cores", make: |seed| cores(nvme_hw::Config::DEFAULT, CoresKind::Simulated, seed) },
        BackEnd { name: "cores-small", make: |seed| cores(nvme_hw::Config::SMALL, CoresKind::Simulated, seed) },
        BackEnd { name: "tiles", make: |seed| cores(nvme_hw::Config::DEFAULT, TILES, seed) },
        BackEnd { name: "tiles-small", make: |seed| cores(nvme_hw::Config::SMALL, TILES, seed) },
        BackEnd { name: "flash-small", make: |seed| under_verilator(&with_flash(options(SMALL, seed))) },
        BackEnd {
            name: "flash-cores-small",
            make: |seed| under_verilator(&with_flash(with_cores(options(SMALL, seed), CoresKind::Simulated, 2))),
        },
    ]
}

const SMALL: nvme_hw::Config = nvme_hw::Config::SMALL;

/// The Verilated processors, with firmware that has started up.
const TILES: CoresKind = CoresKind::Verilated(Start::Ready);

fn model(config: Config) -> Box<dyn Device> {
    Box::new(ModelDevice::new(config, HostMemory::new()))
}

/// The hardware with its firmware. It answers fast, so that tests take few clocks; tests that are about slow memory set its timing.
fn options(config: nvme_hw::Config, seed: u64) -> sim_cosim::Options {
    sim_cosim::Options {
        namespace_bytes: NAMESPACE_BYTES,
        host: BusTiming::with_latency(20),
        memory: BusTiming::with_latency(20),
        seed,
        monitors: true,
        ..sim_cosim::Options::new(config)
    }
}

/// The hardware with its firmware under Verilator.
pub fn verilated(config: nvme_hw::Config, seed: u64) -> Box<dyn Device> {
    under_verilator(&options(config, seed))
}

/// The hardware under Verilator with its firmware's image on a processor.
fn cores(config: nvme_hw::Config, kind: CoresKind, seed: u64) -> Box<dyn Device> {
    under_verilator(&with_cores(options(config, seed), kind, 1))
}

fn with_cores(options: sim_cosim::Options, kind: CoresKind, harts: u32) -> sim_cosim::Options {
    static IMAGE: OnceLock<Arc<Image>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        let image = sim_firmware::build(&Toolchain::from_env());
        Arc::new(image.unwrap_or_else(|error| panic!("{error}")))
    });
    let cores = CoresOptions { image: image.clone(), harts, kind };
    sim_cosim::Options { cores: Some(cores), ..options }
}

/// Small flash without times, with room for what memory has.
fn with_flash(options: sim_cosim::Options) -> sim_cosim::Options {
    let bytes = options.namespace_bytes + options.shared_bytes + options.spare_bytes;
    let geometry = Geometry { blocks_per_plane: 64, pages_per_block: 32, ..Geometry::SMALL };
    let units = (bytes / u64::from(UNIT_BYTES)) as u32;
    let flash = FlashOptions {
        path: flash_path::Config { geometry, units, ..flash_path::Config::SMALL },
        clocks: Preset::Scm.clocks(CORE_HZ),
        reliability: Reliability::DEFAULT,
    };
    sim_cosim::Options { flash: Some(flash), ..options }
}

fn under_verilator(options: &sim_cosim::Options) -> Box<dyn Device> {
    match sim_cosim::Verilated::new(options) {
        Ok(device) => Box::new(device),
        Err(error) => panic!("{error}\nBACK_END=model and BACK_END=evaluated-small need no tools."),
    }
}

fn evaluated(config: nvme_hw::Config, seed: u64) -> Box<dyn Device> {
    Box::new(sim_cosim::Evaluated::new(&options(config, seed)).unwrap_or_else(|error| panic!("{error}")))
}

/// The seed of this run.
pub fn seed() -> u64 {
    seed_from_env_or(0x5EED)
}

/// Runs `body` on a fresh device of every back end, and looks at the canaries in the end.
///
/// # Panics
/// When the body fails, with the line that replays it.
pub fn every_back_end(body: Body) {
    let only = std::env::var("BACK_END").ok();
    let back_ends = match &only {
        None => back_ends(),
        Some(only) => back_ends().into_iter().chain(back_ends_on_request()).filter(|b| b.name == only).collect(),
    };
    assert!(!back_ends.is_empty(), "BACK_END={} is no back end", only.unwrap_or_default());
    for back_end in &back_ends {
        run(back_end, body);
    }
}

/// As [`every_back_end`], on those with two functions; `BACK_END` may be none of them.
#[cfg(test)]
pub(crate) fn every_back_end_with_two_functions(body: Body) {
    let only = std::env::var("BACK_END").ok();
    let back_ends = [
        BackEnd { name: "model", make: |seed| model(Config { seed, ..Config::TWO_FUNCTIONS }) },
        BackEnd { name: "verilated", make: |seed| verilated(nvme_hw::Config::DEFAULT, seed) },
        BackEnd { name: "cores", make: |seed| cores(nvme_hw::Config::DEFAULT, CoresKind::Simulated, seed) },
        BackEnd { name: "tiles", make: |seed| cores(nvme_hw::Config::DEFAULT, TILES, seed) },
    ];
    let asked_for = |back_end: &BackEnd| match &only {
        None => !["cores", "tiles"].contains(&back_end.name),
        Some(only) => back_end.name == only,
    };
    for back_end in back_ends.iter().filter(|back_end| asked_for(back_end)) {
        run(back_end, body);
    }
}

fn run(back_end: &BackEnd, body: Body) {
    let _replay = Replay { back_end: back_end.name };
    let mut device = (back_end.make)(seed());
    if let Err(error) = body(&mut *device) {
        panic!("{error}");
    }
    if let Err(error) = device.host().check_canaries() {
        panic!("{}: {error}", device.name());
    }
}

/// Says how to run a test again, if the test panics while this lives.
struct Replay {
    back_end: &'static str,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The test harness names the thread of a test after the test.
            let thread = std::thread::current();
            let (seed, back_end, test) = (seed(), self.back_end, thread.name().unwrap_or_default());
            eprintln!("replay: SEED={seed:#x} BACK_END={back_end} cargo test -p conformance {test}");
        }
    }
}
