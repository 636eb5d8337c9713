//! The Verilated flash path with its firmware, as a host sees it.

use flash_fw::{Config, Ftl};
use flash_hw::flash_path;
use flash_model::Random;
use flash_spec::limits::UNIT_BYTES;
use flash_spec::{Geometry, Preset, Reliability};
use nvme_hw::types::{Operation, StorageStatus};
use sim_device::Ram;
use sim_flash::hardware::{layout, library, Machine};
use sim_flash::hardware_cuts::{Campaign, Plan};
use sim_flash::Owned;
use soc_hal::FastPath;

/// 64 super-blocks of 64 pages.
const GEOMETRY: Geometry =
    Geometry { channels: 2, dies_per_channel: 2, planes_per_die: 2, blocks_per_plane: 64, pages_per_block: 8 };

/// Polls of the firmware after which a command has to have ended.
const POLLS_MAX: u32 = 3_000_000;

fn content(unit: u64, version: u64) -> Vec<u64> {
    (0..u64::from(UNIT_BYTES) / 8)
        .map(|word| (unit << 40 | version << 12 | word).wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .collect()
}

#[test]
fn what_is_written_is_read_again() {
    let mut config = Config::new(GEOMETRY, 28);
    config.units = config.units.min(config.units_max());
    let path = flash_path::Config { geometry: GEOMETRY, units: config.units, ..flash_path::Config::SMALL };
    let library = library(path).expect("it can be built");
    let mut machine = Machine::new(&library, path, Ram::new(path.medium_bytes()));
    machine.set_flash(&Preset::Sim, 1, Reliability::DEFAULT);
    let mut memory = Owned::new(&config);
    let driver = FastPath::new(machine, layout(&path));
    let mut ftl = Ftl::new(driver, config, memory.lend()).expect("the configuration is legal");
    ftl.format().expect("it is formatted");
    let mut random = Random::new(1);
    let mut versions = vec![0u64; config.units as usize];
    let mut in_flight: Vec<(u8, u64, Operation)> = Vec::new();
    let total = 20_000;
    let mut done = 0;
    let mut polls = 0;
    while done < total {
        polls += 1;
        assert!(polls < POLLS_MAX, "it hangs after {done} commands: {in_flight:?}");
        ftl.poll();
        let machine = ftl.flash().hardware();
        while let Some((tag, status, words)) = machine.ended() {
            polls = 0;
            done += 1;
            let at = in_flight.iter().position(|(other, ..)| *other == tag).expect("it is in flight");
            let (_, unit, operation) = in_flight.swap_remove(at);
            assert_eq!(status, StorageStatus::Good, "{operation:?} of unit {unit}");
            if operation == Operation::Read {
                let version = versions[unit as usize];
                let right = if version == 0 { vec![0; UNIT_BYTES as usize / 8] } else { content(unit, version) };
                assert!(words == right, "unit {unit} is not what was written as version {version}");
            }
        }
        if in_flight.len() < 16 {
            let unit = u64::from(random.below(config.units));
            if in_flight.iter().any(|(_, other, _)| *other == unit) {
                continue;
            }
            let Some(tag) = machine.take_tag() else { continue };
            let operation = match random.below(100) {
                0 => Operation::Flush,
                1..=60 => Operation::Write,
                _ => Operation::Read,
            };
            let words = if operation == Operation::Write {
                versions[unit as usize] += 1;
                content(unit, versions[unit as usize])
            } else {
                Vec::new()
            };
            machine.ask(tag, operation, unit, false, &words);
            in_flight.push((tag, unit, operation));
        }
    }
}

#[test]
fn nothing_that_was_durable_is_lost_in_a_power_cut() {
    let campaign = Campaign::new().expect("it can be built");
    let plan = Plan { seed: 0x5EED, cuts: 8, life_clocks: 200_000 };
    let report = campaign.run(&plan, |_| {}).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.cuts_of_mounts > 0 && report.flushes > 0, "{report:?}");
}
