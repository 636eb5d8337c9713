use super::*;
use crate::traffic::Traffic;
use flash_spec::limits::PAGE_BYTES;
use flash_spec::{Geometry, Preset, Reliability};
use proptest::prelude::*;
use std::collections::HashMap;

const CORE_HZ: u64 = 250_000_000;

fn config(preset: Preset) -> Config {
    Config { clocks: preset.clocks(CORE_HZ), suspends: true, mover: Mover::InTime, keeps_phases: true }
}

/// A channel and its flash.
struct Rig {
    array: Array<u32>,
    channel: Channel<u32>,
    done: Vec<Completion<u32>>,
}

impl Rig {
    fn new(geometry: Geometry, config: Config) -> Self {
        let array = Array::new(geometry, Reliability::DEFAULT);
        let channel = Channel::new(0, config, &array);
        Self { array, channel, done: Vec::new() }
    }

    /// Until a command is taken; in which clock it was.
    fn send(&mut self, command: Command<u32>) -> u64 {
        while !self.channel.can_take() {
            self.advance(u64::MAX);
        }
        self.channel.take(command);
        let clock = self.channel.clock();
        self.advance(u64::MAX);
        clock
    }

    fn advance(&mut self, until: u64) {
        if self.channel.skip(until - self.channel.clock()) == 0 {
            self.channel.step(&mut self.array);
        }
        self.done.extend(std::iter::from_fn(|| self.channel.next_done()));
    }

    fn run_to(&mut self, until: u64) {
        while self.channel.clock() < until {
            self.advance(until);
        }
    }

    fn finish(&mut self) {
        while !self.channel.is_idle() {
            self.advance(u64::MAX);
        }
    }

    /// The completion of a command, and how many clocks after it was taken.
    fn alone(&mut self, command: Command<u32>) -> (Completion<u32>, u64) {
        self.done.clear();
        let from = self.send(command);
        self.finish();
        assert_eq!(self.done.len(), 1);
        let done = self.done.remove(0);
        let clocks = done.clock - from;
        (done, clocks)
    }
}

fn program(operation: Operation, tag: u16, die: u8, planes: u8, block: u16, page: u16) -> Command<u32> {
    let data = [0, 1].map(|plane| (planes >> plane & 1 == 1).then_some(u32::from(tag) << plane));
    Command { data, ..Command::new(tag, operation, die, planes, [block; 2], page) }
}

#[test]
fn an_operation_alone_takes_its_phases_its_array_and_its_own_clocks() {
    for preset in Preset::ALL {
        let mut rig = Rig::new(Geometry::DEFAULT, config(preset));
        let clocks = preset.clocks(CORE_HZ);
        let (command, unit) = (u64::from(clocks.command), u64::from(clocks.unit));
        let mut measured = Vec::new();
        // Pages 0 and 2 share cells.
        for page in 0..3 {
            let kind = usize::from(page == 2);
            let (read, written) = (u64::from(clocks.read[kind]), u64::from(clocks.program[kind]));
            for planes in [1u8, 3] {
                let (blocks, count) = (planes.into(), u64::from(planes.count_ones()));
                let (done, took) = rig.alone(program(Operation::Program, 7, 1, planes, blocks, page));
                assert_eq!(done.outcomes, [Outcome::GOOD; 2]);
                measured.push((took, command + count * 4 * unit + written + WRITE_OWN_CLOCKS));
                for units in 1..=4 {
                    let read_units = Command {
                        first_unit: 4 - units,
                        units,
                        ..Command::new(8, Operation::Read, 1, planes, [blocks; 2], page)
                    };
                    let (done, took) = rig.alone(read_units);
                    let spare = [0; SPARE_BYTES as usize];
                    assert_eq!(done.content[0], Some(Page::Programmed { data: 7, spare }));
                    measured.push((took, command + read + count * u64::from(units) * unit + READ_OWN_CLOCKS));
                }
                let copy = |operation, block| Command::new(9, operation, 1, planes, [block; 2], page);
                let (_, took) = rig.alone(copy(Operation::CopybackRead, blocks));
                measured.push((took, command + read + READ_OWN_CLOCKS - 8));
                let (done, took) = rig.alone(copy(Operation::CopybackProgram, 10 + blocks));
                assert_eq!(done.outcomes, [Outcome::GOOD; 2]);
                measured.push((took, command + written + WRITE_OWN_CLOCKS));
                let (done, _) = rig.alone(copy(Operation::Read, 10 + blocks));
                assert_eq!(done.content[1].is_some(), planes == 3);
                assert!(matches!(done.content[0], Some(Page::Programmed { data: 7, .. })));
            }
        }
        let (_, took) = rig.alone(Command::new(1, Operation::Erase, 1, 3, [1, 3], 0));
        measured.push((took, command + u64::from(clocks.erase) + WRITE_OWN_CLOCKS));
        let (done, took) = rig.alone(Command::new(2, Operation::ReadStatus, 1, 0, [0; 2], 0));
        assert_eq!(done.status, status::ARDY | status::RDY);
        measured.push((took, command + STATUS_OWN_CLOCKS));
        for (took, expected) in measured {
            assert_eq!(took, expected, "{preset:?}");
        }
    }
}

#[test]
fn a_repetition_takes_as_long_as_the_read() {
    let mut rig = Rig::new(Geometry::SMALL, config(Preset::Sim));
    let read = Command::new(0, Operation::Read, 0, 1, [0; 2], 0);
    let address = PageAddress { channel: 0, die: 0, plane: 0, block: 0, page: 0 };
    let (_, without) = rig.alone(read.clone());
    for retries in 0..=8 {
        rig.array.set_erases(address, 1024 * retries);
        let (done, took) = rig.alone(read.clone());
        let is_good = retries <= RETRIES_MAX;
        assert_eq!(
            done.outcomes[0],
            if is_good { Outcome::Good { retries: retries as u8 } } else { Outcome::Uncorrectable }
        );
        assert_eq!(done.content[0].is_some(), is_good);
        let read = u64::from(Preset::Sim.clocks(CORE_HZ).read[0]);
        assert_eq!(took, without + u64::from(retries.min(RETRIES_MAX)) * read);
    }
}

fn gb_s(bytes: u64, clocks: u64) -> f64 {
    bytes as f64 * CORE_HZ as f64 / clocks as f64 / 1e9
}

fn assert_near(what: &str, value: f64, expected: f64, percent: f64) {
    let part = (value / expected - 1.0) * 100.0;
    println!("{what}: {value:.3}, {part:+.2} % of {expected}");
    assert!(part.abs() <= percent, "{what}: {value:.3}, {part:+.2} % of {expected}");
}

/// Clocks between the completion of a share of the commands and that of the last one, on each of 12 channels, and how many completed then.
fn steady(mut command: impl FnMut(u32) -> Command<u32>, count: u32) -> (u64, u64) {
    let mut array = Array::new(Geometry::DEFAULT, Reliability::DEFAULT);
    let (mut clocks, mut completed) = (0, 0);
    for number in 0..Geometry::DEFAULT.channels {
        let mut rig =
            Rig { channel: Channel::new(number as u8, config(Preset::SimplessdMlc), &array), array, done: vec![] };
        for index in 0..count {
            rig.send(command(index));
        }
        let done = &rig.done[rig.done.len() / 4..];
        assert!(done.iter().all(|done| done.outcomes == [Outcome::GOOD; 2]));
        clocks = (done[done.len() - 1].clock - done[0].clock).max(clocks);
        completed += done.len() as u64 - 1;
        array = rig.array;
    }
    (completed, clocks)
}

#[test]
fn the_default_preset_has_the_figures_of_a_device_of_its_kind() {
    let mut rig = Rig::new(Geometry::DEFAULT, config(Preset::SimplessdMlc));
    let clocks: u64 = (0..40)
        .map(|index| rig.alone(Command::new(0, Operation::Read, (index % 4) as u8, 1, [0; 2], 2 * (index / 4 % 2))).1)
        .sum();
    assert_near("us of a read alone", clocks as f64 / 40.0 / 250.0, 93.5, 1.0);

    let page = u64::from(PAGE_BYTES);
    let (reads, clocks) =
        steady(|index| Command::new(0, Operation::Read, (index % 4) as u8, 1, [0; 2], (index / 4 % 512) as u16), 400);
    assert_near("GB/s read", gb_s(reads * page, clocks), 4.80, 2.0);

    for (operation, planes, expected) in [
        (Operation::CacheProgram, 1, 0.87),
        (Operation::CacheProgram, 3, 1.75),
        (Operation::Program, 1, 0.836),
        (Operation::Program, 3, 1.60),
    ] {
        let write = |index| program(operation, 0, (index % 4) as u8, planes, 0, (index / 4) as u16);
        let (writes, clocks) = steady(write, 512);
        let bytes = writes * page * u64::from(planes.count_ones());
        assert_near(&format!("GB/s of {operation:?} of planes {planes:#b}"), gb_s(bytes, clocks), expected, 2.0);
    }
}

/// Latencies of reads of one unit at random times, in clocks, sorted, while programs of both planes come at 70 % of the rate that the dies can take.
fn read_latencies(suspends: bool, reads: usize) -> Vec<u64> {
    let config = Config { suspends, keeps_phases: false, ..config(Preset::SimplessdMlc) };
    let mut rig = Rig::new(Geometry::DEFAULT, config);
    let mut traffic = Traffic::new(Geometry::DEFAULT, 0x5EED);
    let [lsb, msb] = config.clocks.program;
    let write_every = u64::from(lsb + msb) / 2 * 10 / 7 / 4;
    let (mut next_write, mut next_read) = (0, 0);
    let (mut writes, mut sent) = (0u32, HashMap::new());
    let mut latencies = Vec::new();
    while latencies.len() < reads {
        if next_write <= next_read {
            rig.run_to(next_write);
            let page = writes / 4;
            let (block, page) = ((page / 512) as u16, (page % 512) as u16);
            rig.send(program(Operation::CacheProgram, u16::MAX, (writes % 4) as u8, 3, block, page));
            writes += 1;
            next_write += write_every;
        } else {
            rig.run_to(next_read);
            let tag = (latencies.len() + sent.len()) as u16 % 1024;
            let read = Command {
                units: 1,
                ..Command::new(tag, Operation::Read, traffic.below(4) as u8, 1, [0; 2], traffic.below(512) as u16)
            };
            sent.insert(tag, next_read);
            rig.send(read);
            next_read += u64::from(1 + traffic.below(80_000));
        }
        for done in rig.done.drain(..) {
            assert_eq!(done.outcomes[0], Outcome::GOOD);
            if let Some(from) = sent.remove(&done.tag) {
                latencies.push(done.clock - from);
            }
        }
    }
    latencies.sort_unstable();
    latencies
}

#[test]
fn suspension_takes_the_tail_off_read_latency() {
    let reads = 20_000;
    let of = |suspends| {
        let latencies = read_latencies(suspends, reads);
        (latencies[reads / 2], latencies[reads * 999 / 1000])
    };
    let (with, without) = (of(true), of(false));
    println!("median and p99.9 in clocks: with suspension {with:?}, without {without:?}");
    assert!(without.1 >= 5 * with.1, "p99.9 in clocks: with suspension {}, without {}", with.1, without.1);
}

/// What a command may take once it is taken, with everything before it, of a channel with so many dies: six programs and erases, each suspended as often
/// as it may be, and between two of its parts as many reads as may be, each with all repetitions and a turn of every other die before each phase.
fn clocks_max(clocks: &Clocks, dies: u64) -> u64 {
    let own = 10 * TASK_CLOCKS;
    let phase = u64::from(clocks.command + 8 * clocks.unit) + own;
    let turn = 3 * dies * phase;
    let read = 2 * turn + 8 * u64::from(clocks.read[1]);
    let reads = u64::from(READ_TURNS_MAX + 1) * read;
    let write = u64::from(clocks.erase.max(clocks.program[1])) + turn;
    let suspension = u64::from(clocks.suspend + clocks.resume) + 2 * turn + reads;
    6 * (reads + write + u64::from(SUSPENDS_MAX) * suspension)
}

fn any_reliability() -> impl Strategy<Value = Reliability> {
    let rate = prop_oneof![Just(0), 0..u32::MAX / 8];
    (0..4u8, 0..20u32, 1..u32::MAX / 2, [rate.clone(), rate.clone(), rate.clone(), rate]).prop_map(
        |(retry_wear_shift, erases_max, seed, [retry_rate, uncorrectable_rate, program_fail_rate, erase_fail_rate])| {
            Reliability {
                retry_wear_shift,
                erases_max,
                seed,
                retry_rate,
                uncorrectable_rate,
                program_fail_rate,
                erase_fail_rate,
            }
        },
    )
}

fn any_preset() -> impl Strategy<Value = Preset> {
    prop_oneof![3 => Just(Preset::Sim), 1 => Just(Preset::Scm)]
}

impl Rig {
    /// What holds in every clock.
    fn check(&self) {
        for die in &self.channel.dies {
            let is_reading = matches!(die.read, Read::Commanded | Read::Busy);
            assert!(
                !is_reading || matches!(die.array, State::Idle | State::Suspended),
                "{:?} {:?}",
                die.read,
                die.array
            );
            assert!(die.suspends <= SUSPENDS_MAX);
            assert!(die.turns <= READ_TURNS_MAX);
            assert!(die.reads.len() <= DIE_QUEUE_ENTRIES as usize && die.writes.len() <= DIE_QUEUE_ENTRIES as usize);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_command_ends_once_in_time_and_phases_do_not_overlap(
        preset in any_preset(), reliability in any_reliability(), seed in 1..u32::MAX, suspends in any::<bool>(), gap in 0..3000u32,
    ) {
        let geometry = Geometry::SMALL;
        let mut rig = Rig::new(geometry, Config { suspends, ..config(preset) });
        rig.array = Array::new(geometry, reliability);
        let mut traffic = Traffic::new(geometry, seed);
        let mut taken = HashMap::new();
        let mut next = 0;
        let clocks_max = clocks_max(&preset.clocks(CORE_HZ), geometry.dies_per_channel.into());
        while taken.len() < 300 || !rig.channel.is_idle() {
            if taken.len() < 300 && rig.channel.can_take() && rig.channel.clock() >= next {
                let command = traffic.command();
                prop_assert!(taken.insert(command.tag, (command.clone(), rig.channel.clock())).is_none());
                rig.channel.take(command);
                next = rig.channel.clock() + u64::from(traffic.below(1 + gap));
            }
            rig.channel.step(&mut rig.array);
            rig.check();
            while let Some(done) = rig.channel.next_done() {
                let (command, from) = taken.get(&done.tag).expect("it was sent");
                prop_assert!(done.clock - from <= clocks_max, "{:?} took {} clocks of {}", command, done.clock - from, clocks_max);
                if matches!(command.operation, Operation::Program | Operation::CacheProgram) && done.outcomes[0].is_good() {
                    for plane in command.planes().filter(|&plane| done.outcomes[plane].is_good()) {
                        let address = rig.channel.address(command, plane);
                        let data = command.data[plane].expect("it has data");
                        prop_assert_eq!(rig.array.page(address), &Page::Programmed { data, spare: command.spare[plane] });
                    }
                }
                rig.done.push(done);
            }
        }
        let mut tags: Vec<u16> = rig.done.iter().map(|done| done.tag).collect();
        tags.sort_unstable();
        tags.dedup();
        prop_assert_eq!((tags.len(), rig.done.len()), (300, 300));
        let phases = rig.channel.take_phases();
        prop_assert!(phases.windows(2).all(|pair| pair[0].until < pair[1].from));
        prop_assert!(phases.len() > 100);
    }

    #[test]
    fn clocks_that_are_left_out_change_nothing(
        preset in any_preset(), reliability in any_reliability(), seed in 1..u32::MAX, gap in 0..3000u32,
    ) {
        let run = |skips: bool| {
            let geometry = Geometry::SMALL;
            let mut rig = Rig::new(geometry, config(preset));
            rig.array = Array::new(geometry, reliability);
            let mut traffic = Traffic::new(geometry, seed);
            let mut next = 0;
            for _ in 0..200 {
                while rig.channel.clock() < next || !rig.channel.can_take() {
                    let until = if rig.channel.clock() < next { next } else { u64::MAX };
                    if !skips || rig.channel.skip(until - rig.channel.clock()) == 0 {
                        rig.channel.step(&mut rig.array);
                    }
                    rig.done.extend(std::iter::from_fn(|| rig.channel.next_done()));
                }
                rig.channel.take(traffic.command());
                next = rig.channel.clock() + u64::from(traffic.below(1 + gap));
            }
            let end = rig.channel.clock() + 100_000;
            while rig.channel.clock() < end {
                if !skips || rig.channel.skip(end - rig.channel.clock()) == 0 {
                    rig.channel.step(&mut rig.array);
                }
                rig.done.extend(std::iter::from_fn(|| rig.channel.next_done()));
            }
            (rig.done, rig.channel.take_phases())
        };
        prop_assert_eq!(run(true), run(false));
    }
}

#[test]
fn a_flood_of_reads_lets_each_program_and_erase_have_its_turn() {
    let mut rig = Rig::new(Geometry::DEFAULT, config(Preset::Sim));
    let dies = Geometry::DEFAULT.dies_per_channel as u8;
    for die in 0..dies {
        rig.send(Command::new(100, Operation::Erase, die, 1, [0; 2], 0));
        rig.send(program(Operation::Program, 101, die, 1, 1, 0));
    }
    let mut index = 0;
    while rig.done.iter().filter(|done| done.tag >= 100).count() < 2 * usize::from(dies) {
        rig.send(Command { units: 1, ..Command::new(1, Operation::Read, index % dies, 1, [2; 2], 0) });
        index = index.wrapping_add(1);
        assert!(rig.channel.clock() < 1_000_000, "a program or an erase waits for ever");
    }
    let phases = rig.channel.take_phases();
    for die in 0..dies {
        let own: Vec<PhaseKind> = phases.iter().filter(|phase| phase.die == die).map(|phase| phase.kind).collect();
        let suspends = own.iter().filter(|kind| **kind == PhaseKind::Suspend).count();
        let resumes = own.iter().filter(|kind| **kind == PhaseKind::Resume).count();
        assert!(resumes >= SUSPENDS_MAX as usize && suspends <= 2 * SUSPENDS_MAX as usize, "{suspends} suspensions");
        // From a suspension to its resume, and from one program or erase to the next, there are at most so many reads.
        let is_turn = |kind: &PhaseKind| matches!(kind, PhaseKind::Resume | PhaseKind::Write);
        let last = own.iter().rposition(is_turn).expect("there were some");
        for between in own[..last].split(is_turn) {
            let reads = between.iter().filter(|kind| **kind == PhaseKind::Read).count();
            assert!(reads <= READ_TURNS_MAX as usize, "{reads} reads");
        }
    }
}

#[test]
fn a_bus_full_of_data_lets_a_program_have_its_turn() {
    let mut rig = Rig::new(Geometry::DEFAULT, config(Preset::Sim));
    let read = |index: u8| Command::new(1, Operation::Read, index % 3, 3, [2; 2], 0);
    (0..30).for_each(|index| _ = rig.send(read(index)));
    rig.send(program(Operation::Program, 2, 3, 1, 1, 0));
    rig.channel.take_phases();
    (0..60).for_each(|index| _ = rig.send(read(index)));
    let phases = rig.channel.take_phases();
    let turn = phases.iter().position(|phase| phase.kind == PhaseKind::Write).expect("it had its turn");
    // One more had begun when the program came.
    assert!(
        (READ_TURNS_MAX as usize..READ_TURNS_MAX as usize + 2).contains(&turn),
        "it was given the bus after {turn} others"
    );
}

#[test]
fn a_read_suspends_what_it_waits_for() {
    let clocks = Preset::Sim.clocks(CORE_HZ);
    let erase_alone = u64::from(clocks.command + clocks.erase) + WRITE_OWN_CLOCKS;
    let mut latency = HashMap::new();
    for suspends in [true, false] {
        let mut rig = Rig::new(Geometry::SMALL, Config { suspends, ..config(Preset::Sim) });
        let erase = rig.send(Command::new(1, Operation::Erase, 0, 3, [0; 2], 0));
        rig.run_to(erase + 1000);
        let read = rig.send(Command::new(2, Operation::Read, 0, 1, [1; 2], 0));
        rig.run_to(erase + 1000 + 100);
        rig.send(Command::new(3, Operation::ReadStatus, 0, 0, [0; 2], 0));
        rig.finish();
        let done = |tag| rig.done.iter().find(|done| done.tag == tag).expect("it is done");
        latency.insert(suspends, done(2).clock - read);
        assert_eq!(done(1).outcomes, [Outcome::GOOD; 2]);
        if suspends {
            assert_eq!(done(3).status, status::SUSPENDED, "it reads");
            let away = done(1).clock - erase - erase_alone;
            assert!(away > done(2).clock - read, "the erase was away for {away} clocks");
        } else {
            assert_eq!(done(3).status, 0);
            assert_eq!(done(1).clock - erase, erase_alone);
        }
    }
    let alone = u64::from(clocks.command + clocks.read[0] + 4 * clocks.unit) + READ_OWN_CLOCKS;
    // The suspension: its task and phase, its time, and a clock each in which they end.
    assert_eq!(latency[&true], alone + u64::from(clocks.command + clocks.suspend) + TASK_CLOCKS + 2);
    assert!(latency[&false] > u64::from(clocks.erase) - 1000);
}

#[test]
fn cache_programs_load_while_the_array_programs_and_fail_one_by_one() {
    let mut rig = Rig::new(Geometry::SMALL, config(Preset::Sim));
    let fails = Reliability { program_fail_rate: u32::MAX, ..Reliability::DEFAULT };
    rig.send(program(Operation::CacheProgram, 1, 0, 3, 5, 0));
    rig.send(program(Operation::CacheProgram, 2, 0, 3, 5, 1));
    rig.send(program(Operation::CacheProgram, 3, 0, 3, 5, 2));
    while rig.done.is_empty() {
        rig.advance(u64::MAX);
    }
    let from = rig.channel.take_phases().iter().map(|phase| phase.until).max().expect("two have loaded");
    assert!(from < rig.done[0].clock, "the second was loaded before the first ended");
    rig.array.set_reliability(fails);
    rig.finish();
    let outcomes: Vec<_> = rig.done.iter().map(|done| (done.tag, done.outcomes[1])).collect();
    // The last had passed the rules when its turn on the bus came, and its block was closed meanwhile.
    let expected = [(1, Outcome::GOOD), (2, Outcome::ProgramFailed), (3, Outcome::Refused(Violation::NotErased))];
    assert_eq!(outcomes, expected);
    let (done, _) = rig.alone(Command::new(4, Operation::ReadStatus, 0, 0, [0; 2], 0));
    assert_eq!(done.status & (status::FAIL | status::FAILC), status::FAIL);
}

#[test]
fn what_breaks_a_rule_is_refused_and_takes_no_time_of_the_die() {
    let mut rig = Rig::new(Geometry::SMALL, config(Preset::Sim));
    let read = Command::new(1, Operation::Read, 1, 1, [0; 2], 0);
    let out_of_range = [
        Command { die: 2, ..read.clone() },
        Command { planes: 0, ..read.clone() },
        Command { planes: 4, ..read.clone() },
        Command { blocks: [16, 0], ..read.clone() },
        Command { blocks: [0, 16], planes: 3, ..read.clone() },
        Command { page: 16, ..read.clone() },
        Command { units: 0, ..read.clone() },
        Command { first_unit: 1, units: 4, ..read.clone() },
        Command { die: 2, ..Command::new(1, Operation::ReadStatus, 0, 0, [0; 2], 0) },
        Command::new(1, Operation::Erase, 0, 1, [16, 0], 0),
    ];
    for command in out_of_range {
        let (done, took) = rig.alone(command.clone());
        assert_eq!((done.outcomes[0], took), (Outcome::Refused(Violation::OutOfRange), 1), "{command:?}");
    }
    rig.alone(program(Operation::Program, 2, 1, 1, 3, 0));
    rig.channel.take_phases();
    let refused = [
        (program(Operation::Program, 2, 1, 1, 3, 0), Violation::NotErased),
        (program(Operation::CacheProgram, 2, 1, 1, 3, 2), Violation::OutOfOrder),
        (program(Operation::Program, 2, 1, 3, 3, 1), Violation::OutOfOrder),
        (Command::new(2, Operation::CopybackProgram, 1, 1, [3; 2], 1), Violation::NoPageRegister),
    ];
    for (command, violation) in refused {
        let (done, took) = rig.alone(command.clone());
        assert_eq!((done.outcomes, took), ([Outcome::Refused(violation); 2], 8), "{command:?}");
    }
    assert_eq!(rig.channel.take_phases(), []);
    // A register of a page without content holds nothing; that of one plane serves no other.
    for (planes, from, page) in [(1, [4; 2], 0), (2, [3; 2], 0)] {
        rig.alone(Command::new(3, Operation::CopybackRead, 1, planes, from, page));
        let (done, _) = rig.alone(Command::new(4, Operation::CopybackProgram, 1, 1, [5; 2], 0));
        assert_eq!(done.outcomes[0], Outcome::Refused(Violation::NoPageRegister));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_at_any_clock_leaves_what_the_array_keeps(seed in 1..u32::MAX, first in 0..40_000u64, then in 0..60u64) {
        let geometry = Geometry::SMALL;
        let mut rig = Rig::new(geometry, config(Preset::Sim));
        let mut traffic = Traffic::new(geometry, seed);
        let mut sent = 0;
        // The second may come while the torn programs are still being noted.
        for until in [first, first + then] {
            while rig.channel.clock() < until {
                if rig.channel.can_take() {
                    rig.channel.take(traffic.command());
                    sent += 1;
                }
                rig.advance(until);
            }
            rig.channel.cut();
            rig.array.cut();
        }
        prop_assert!(rig.done.len() <= sent);
        rig.done.clear();
        // All dies work as new ones.
        for die in 0..2 {
            for block in 0..16 {
                rig.send(Command::new(0, Operation::Erase, die, 3, [block; 2], 0));
                rig.send(program(Operation::Program, 1, die, 3, block, 0));
                rig.finish();
                rig.send(Command::new(2, Operation::Read, die, 3, [block; 2], 0));
            }
        }
        rig.finish();
        prop_assert_eq!(rig.done.len(), 96);
        prop_assert!(rig.done.iter().all(|done| done.outcomes == [Outcome::GOOD; 2]));
    }
}

#[test]
fn a_phase_waits_for_its_data_and_says_for_how_long() {
    let mut rig = Rig::new(Geometry::SMALL, Config { mover: Mover::Outside, ..config(Preset::Sim) });
    let clocks = Preset::Sim.clocks(CORE_HZ);
    let alone = u64::from(clocks.command + clocks.read[0] + 4 * clocks.unit) + READ_OWN_CLOCKS;
    for (delay, late) in
        [(0, 0), (100, 0), (4 * u64::from(clocks.unit) - 1, 0), (1000, 1001 - 4 * u64::from(clocks.unit))]
    {
        let (from, late_before) = (rig.send(Command::new(9, Operation::Read, 0, 1, [0; 2], 0)), rig.channel.late());
        let transfer = loop {
            rig.advance(u64::MAX);
            if let Some(transfer) = rig.channel.next_transfer() {
                break transfer;
            }
        };
        assert_eq!((transfer.tag, transfer.operation, transfer.units), (9, Operation::Read, 4));
        rig.run_to(rig.channel.clock() + delay);
        rig.channel.through();
        rig.finish();
        assert_eq!(rig.channel.late() - late_before, late);
        assert_eq!(rig.done.pop().expect("it is done").clock - from, alone + late);
    }
}
