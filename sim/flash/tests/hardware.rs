//! The Verilated flash path with its firmware, as a host sees it.

use flash_fw::{Config, Ftl};
use flash_hw::flash_path;
use flash_model::reference_ftl::Pattern;
use flash_model::Random;
use flash_spec::fast_path::{Command, Register, MAP_FIRST};
use flash_spec::limits::{PAGE_BYTES, UNIT_BYTES};
use flash_spec::{Geometry, Preset, Reliability};
use nvme_hw::types::{Operation, StorageStatus};
use sim_cosim::FlashContents;
use sim_device::Ram;
use sim_flash::age::{age, Ageing};
use sim_flash::hardware::{layout, library, Machine, Medium};
use sim_flash::hardware_cuts::{Campaign, Plan, GEOMETRY as CUTS_GEOMETRY};
use sim_flash::{unit_bytes, Drive, Fault, Image, Owned};
use sim_verilator::Library;
use soc_hal::{FastPath, Flash};

/// 64 super-blocks of 64 pages.
const GEOMETRY: Geometry =
    Geometry { channels: 2, dies_per_channel: 2, planes_per_die: 2, blocks_per_plane: 64, pages_per_block: 8 };

/// Spare of the drives, and their hardware.
fn drive() -> (Config, flash_path::Config) {
    let config = Config::new(GEOMETRY, 80);
    let config = Config { units: config.units.min(config.units_max()), ..config };
    (config, flash_path::Config { geometry: GEOMETRY, units: config.units, ..flash_path::Config::SMALL })
}

/// Polls of the firmware after which a command has to have ended.
const POLLS_MAX: u32 = 3_000_000;

fn content(unit: u64, version: u64) -> Vec<u64> {
    (0..u64::from(UNIT_BYTES) / 8)
        .map(|word| (unit << 40 | version << 12 | word).wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .collect()
}

#[test]
fn what_is_written_is_read_again() {
    let (config, path) = drive();
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

/// A drive of the model that was overwritten, with wear, trimmed units, a bad block and a program that a power cut has destroyed, works on in hardware.
#[test]
fn an_aged_drive_of_the_model_goes_on_in_hardware() {
    let (config, path) = drive();
    // The hardware may have more units than its firmware is told.
    let config = Config { units: config.units - 100, ..config };
    let mut memory = Owned::new(&config);
    let mut aged = Drive::formatted(config, &mut memory, 1).expect("it is new");
    let ageing = Ageing { fill_percent: 90, rounds: Some(3), pattern: Pattern::HotCold, seed: 2 };
    age(&mut aged, &ageing, || {}).expect("it works");
    let moments = aged.port().moments();
    aged.port().fail_at(moments, Fault::Erase);
    age(&mut aged, &ageing, || {}).expect("it works");
    aged.trim(3).expect("it works");
    aged.flush().expect("it works");
    let words_of = |number: Option<u64>| -> Vec<u64> {
        let bytes = number.map_or_else(|| vec![0; UNIT_BYTES as usize], unit_bytes);
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight"))).collect()
    };
    let numbers: Vec<Option<u64>> = (0..config.units).map(|unit| aged.read(unit).expect("it works")).collect();
    assert!(numbers[3].is_none() && numbers[4].is_some() && numbers[config.units as usize - 1].is_none());
    let mut expected: Vec<Vec<u64>> = numbers.into_iter().map(words_of).collect();
    let before = aged.ftl.smart();
    // What is overwritten now is lost, or not.
    let unsafe_units = 4..12;
    let unsafe_number = |unit: u64| 1_000_000 + unit;
    unsafe_units.clone().for_each(|unit| aged.write(unit as u32, unsafe_number(unit)).expect("it works"));
    let image = Image { config, array: aged.cut() };
    let records = image.contents(&path).medium.expect("it is used").records;
    assert!(records.iter().any(|record| record.is_bad), "no block is bad");
    let image = Image::from_bytes(&image.to_bytes()).expect("it was written");

    let library = library(path).expect("it can be built");
    let FlashContents { config, medium } = image.contents(&path);
    let medium = medium.expect("it is used");
    assert_eq!(medium.records, records, "they go through the file");
    let mut machine = Machine::new(&library, path, medium);
    machine.set_flash(&Preset::Sim, 1, Reliability::DEFAULT);
    let mut memory = Owned::new(&config);
    let mut ftl = Ftl::new(FastPath::new(machine, layout(&path)), config, memory.lend()).expect("it is legal");
    ftl.mount().expect("it mounts");
    for (unit, right) in (0..).zip(&mut expected) {
        let words = run(&mut ftl, Operation::Read, unit, &[]);
        let is_new = unsafe_units.contains(&unit) && words == words_of(Some(unsafe_number(unit)));
        assert!(words == *right || is_new, "unit {unit} is not what it was");
        if unit % 3 == 0 || is_new {
            *right = content(unit, 7);
        }
        if *right == content(unit, 7) {
            run(&mut ftl, Operation::Write, unit, right);
        }
    }
    run(&mut ftl, Operation::Flush, 0, &[]);
    for (unit, right) in (0..).zip(&expected) {
        assert!(run(&mut ftl, Operation::Read, unit, &[]) == *right, "unit {unit} is not what was written");
    }
    let after = ftl.smart();
    assert_eq!((after.unreadable_pages, after.stuck_super_blocks), (0, 0), "{after:?}");
    // Figures since the last checkpoint are lost in a power cut, but for erases.
    assert!(after.erases >= before.erases, "{before:?} {after:?}");
}

/// A command, and what it reads.
fn run(ftl: &mut Ftl<'_, FastPath<Machine>>, operation: Operation, unit: u64, words: &[u64]) -> Vec<u64> {
    let machine = ftl.flash().hardware();
    let tag = machine.take_tag().expect("nothing is in flight");
    machine.ask(tag, operation, unit, false, words);
    for _ in 0..POLLS_MAX {
        ftl.poll();
        if let Some((_, status, words)) = ftl.flash().hardware().ended() {
            assert_eq!(status, StorageStatus::Good, "{operation:?} of unit {unit}");
            return words;
        }
    }
    panic!("{operation:?} of unit {unit} does not end");
}

/// Lines of a cache that is soon full.
const CUTS_LINES: u32 = 64;

/// Flash as that of the power cuts, with a cache of few lines.
struct Bed {
    config: Config,
    path: flash_path::Config,
    library: Library,
}

impl Bed {
    fn new() -> Self {
        let config = Config::new(CUTS_GEOMETRY, 85);
        let config = Config { units: config.units.min(config.units_max()), log_records: 8, ..config };
        let path = flash_path::Config {
            geometry: CUTS_GEOMETRY,
            units: config.units,
            lines: CUTS_LINES,
            ..flash_path::Config::SMALL
        };
        Self { config, path, library: library(path).expect("it can be built") }
    }

    /// A host in front of this medium.
    fn host<'m>(&self, medium: impl Into<Medium>, memory: &'m mut Owned) -> Host<'m> {
        let mut machine = Machine::new(&self.library, self.path, medium);
        machine.set_flash(&Preset::Sim, 8, Reliability::DEFAULT);
        let flash = FastPath::new(machine, layout(&self.path));
        let ftl = Ftl::new(flash, self.config, memory.lend()).expect("it is legal");
        Host { ftl, random: Random::new(1) }
    }

    /// A host in front of new flash.
    fn formatted<'m>(&self, memory: &'m mut Owned) -> Host<'m> {
        let mut host = self.host(Ram::new(self.path.medium_bytes()), memory);
        host.ftl.format().expect("it is formatted");
        host
    }

    /// The same after a power cut.
    fn mounted<'m>(&self, host: Host<'_>, memory: &'m mut Owned) -> Host<'m> {
        let mut host = self.host(host.ftl.into_flash().into_hardware().cut_power(), memory);
        host.ftl.mount().expect("it is mounted");
        host
    }
}

/// A host that does one thing after the other.
struct Host<'m> {
    ftl: Ftl<'m, FastPath<Machine>>,
    random: Random,
}

impl Host<'_> {
    /// Waits for the end of a command.
    fn end(&mut self) -> (StorageStatus, Vec<u64>) {
        for _ in 0..POLLS_MAX {
            self.ftl.poll();
            if let Some((_, status, words)) = self.ftl.flash().hardware().ended() {
                return (status, words);
            }
        }
        panic!("a command does not end");
    }

    fn command(&mut self, operation: Operation, sector: u64, sectors: u32, words: &[u64]) -> (StorageStatus, Vec<u64>) {
        let machine = self.ftl.flash().hardware();
        let tag = machine.take_tag().expect("nothing is in flight");
        machine.ask_sectors(tag, operation, sector, sectors, false, words);
        self.end()
    }

    /// A command that has no data to give.
    fn does(&mut self, operation: Operation, sector: u64, sectors: u32, words: &[u64]) {
        let (status, _) = self.command(operation, sector, sectors, words);
        assert_eq!(status, StorageStatus::Good, "{operation:?} of {sectors} sectors from {sector}");
    }

    /// Writes so many units at random, none below `first`, several at a time.
    fn writes(&mut self, first: u64, units: u32, count: u32) {
        let (mut in_flight, mut left) = (0, count);
        while left > 0 || in_flight > 0 {
            let machine = self.ftl.flash().hardware();
            if left > 0 && in_flight < 16 {
                let unit = first + u64::from(self.random.below(units - first as u32));
                let tag = machine.take_tag().expect("few are in flight");
                machine.ask(tag, Operation::Write, unit, false, &content(unit, 1));
                (in_flight, left) = (in_flight + 1, left - 1);
                if left > 0 && in_flight < 16 {
                    continue;
                }
            }
            assert_eq!(self.end().0, StorageStatus::Good);
            in_flight -= 1;
        }
    }

    /// Reads units sector by sector, and as a whole: what is there, and where a sector is marked, that it cannot be read.
    fn checks(&mut self, expected: &[[Option<u64>; 8]], when: &str) {
        const WORDS: usize = UNIT_BYTES as usize / 8 / 8;
        for (unit, sectors) in (0u64..).zip(expected) {
            for (sector, version) in (0u64..).zip(sectors) {
                let (status, words) = self.command(Operation::Read, unit * 8 + sector, 1, &[]);
                let right =
                    version.map(|version| if version == 0 { vec![0; 8 * WORDS] } else { content(unit, version) });
                let right = right.map(|words| words[sector as usize * WORDS..][..WORDS].to_vec());
                let got = (status == StorageStatus::Good).then_some(words);
                assert!(got == right, "{when}: sector {sector} of unit {unit}: {status:?}");
                assert!(right.is_some() || status == StorageStatus::MediaError, "{when}: {status:?}");
            }
            let (status, _) = self.command(Operation::Read, unit * 8, 8, &[]);
            let is_good = sectors.iter().all(Option::is_some);
            assert_eq!(status == StorageStatus::Good, is_good, "{when}: unit {unit}: {status:?}");
        }
    }
}

/// Write Uncorrectable marks sectors, which stay marked wherever their units go, until they are written.
#[test]
fn marked_sectors_stay_marked_out_of_the_cache_moved_and_mounted() {
    let bed = Bed::new();
    let all_units = bed.config.units;
    // Units 0 and 1 are written, and unit 2 is not.
    let mut expected = [[Some(1); 8], [Some(1); 8], [Some(0); 8]];
    let others = expected.len() as u64;

    let mut memory = Owned::new(&bed.config);
    let mut host = bed.formatted(&mut memory);
    host.does(Operation::Write, 0, 8, &content(0, 1));
    host.does(Operation::Write, 8, 8, &content(1, 1));
    for (unit, first, sectors) in [(0, 2, 2), (1, 7, 1), (2, 0, 1)] {
        host.does(Operation::WriteUncorrectable, unit * 8 + first, sectors, &[]);
        expected[unit as usize][first as usize..][..sectors as usize].fill(None);
    }
    host.checks(&expected, "in the cache");
    host.writes(others, all_units, 4 * CUTS_LINES);
    host.checks(&expected, "from the flash");
    let place = |host: &mut Host| {
        let map = bed.path.shared_base() + u64::from(MAP_FIRST) * u64::from(PAGE_BYTES);
        let mut entries = [0; 12];
        host.ftl.flash().hardware().dram.load(map, &mut entries);
        entries
    };
    let before = place(&mut host);
    let mut written = 0;
    while before.chunks(4).zip(place(&mut host).chunks(4)).any(|(before, now)| before == now) {
        host.writes(others, all_units, 500);
        written += 500;
        assert!(written < 100_000, "nothing collects the units");
    }
    host.checks(&expected, "after a move");

    // One of the two is written again.
    host.does(Operation::Write, 2, 1, &content(0, 2)[2 * 64..3 * 64]);
    expected[0][2] = Some(2);
    host.checks(&expected, "written again");
    host.writes(others, all_units, 4 * CUTS_LINES);
    host.checks(&expected, "written again, from the flash");
    host.does(Operation::Flush, 0, 0, &[]);
    let mut memory = Owned::new(&bed.config);
    let mut host = bed.mounted(host, &mut memory);
    host.checks(&expected, "mounted");
}

/// Deallocated units give up their places without a program for each, read as zero, and have no place after a power cut either, once flushed.
#[test]
fn deallocated_units_have_no_place_and_do_not_come_back() {
    let bed = Bed::new();
    let mut memory = Owned::new(&bed.config);
    let mut host = bed.formatted(&mut memory);
    let valid = |host: &mut Host| -> u64 {
        let super_blocks = 0..CUTS_GEOMETRY.blocks_per_plane as u16;
        super_blocks.map(|number| host.ftl.flash().register(Register::ValidUnits(number))).sum()
    };
    let pages = |host: &mut Host| host.ftl.flash().register(Register::HostPages);
    let units = 300;
    (0..units).for_each(|unit| host.does(Operation::Write, unit * 8, 8, &content(unit, 1)));
    host.does(Operation::Flush, 0, 0, &[]);
    assert_eq!(valid(&mut host), units);
    let before = pages(&mut host);
    // The first has been written anew, the last is written behind it.
    host.does(Operation::Write, 0, 8, &content(0, 2));
    (0..200).for_each(|unit| host.does(Operation::Deallocate, unit * 8, 8, &[]));
    host.does(Operation::Write, 199 * 8, 8, &content(199, 2));
    // A part of a unit is written with zeroes.
    host.does(Operation::Deallocate, 200 * 8 + 1, 7, &[]);
    host.does(Operation::Flush, 0, 0, &[]);
    assert_eq!(valid(&mut host), units - 199);
    assert!(pages(&mut host) - before <= 6, "{} pages were programmed", pages(&mut host) - before);
    // A host that is told that its trims are durable is told so after their record is.
    let [last, durable] = [Register::LastTrim, Register::LogDurable].map(|at| host.ftl.flash().register(at));
    assert!(last >= 199 && durable >= last, "{durable} of {last} entries are in the flash");

    let mut expected = vec![[Some(0); 8]; units as usize];
    expected[199..].fill([Some(1); 8]);
    expected[199] = [Some(2); 8];
    expected[200][1..].fill(Some(0));
    host.checks(&expected, "trimmed");
    let mut memory = Owned::new(&bed.config);
    let mut host = bed.mounted(host, &mut memory);
    host.checks(&expected, "mounted");
    assert_eq!(valid(&mut host), units - 199);

    // Flash whose spare is used up is only read.
    for read_only in [true, false] {
        host.ftl.flash().command(Command::SetReadOnly { read_only });
        let (status, _) = host.command(Operation::Write, 0, 8, &content(0, 3));
        let right = if read_only { StorageStatus::MediaError } else { StorageStatus::Good };
        assert_eq!(status, right, "a write while read-only is {read_only}");
        expected[0] = [Some(if read_only { 0 } else { 3 }); 8];
        host.checks(&expected[..1], "read-only, and not any more");
    }
}

#[test]
fn nothing_that_was_durable_is_lost_in_a_power_cut() {
    let campaign = Campaign::new().expect("it can be built");
    for has_faults in [false, true] {
        let plan = Plan { seed: 0x5EED, cuts: 30, life_clocks: 200_000, has_faults };
        let report = campaign.run(&plan, |_| {}).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
        assert!(report.cuts_of_mounts > 0 && report.flushes > 0 && report.trims > 0, "{report:?}");
        assert_eq!(report.retired_blocks > 0, has_faults, "{report:?}");
        assert!(has_faults || report.unreadable == 0, "{report:?}");
    }
}
