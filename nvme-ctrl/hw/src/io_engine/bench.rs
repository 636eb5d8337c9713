//! The running block: scripted commands against host memory and a storage, compared byte by byte.

use super::IoEngine;
use crate::direct::Direct;
use crate::testing::{design, simulator, CONFIGS};
use crate::types::{Operation, Target};
use crate::Config;
use nvme_spec::Status;
use rtl_bus::Axi4;
use rtl_hdl::bench::{Bench, Fields, Rng, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{block_fn, Block, Design, HwEnum};
use std::collections::BTreeSet;
use std::ops::Range;

pub(crate) mod bytes;
pub(crate) mod host;
pub(crate) mod memory;
mod script;
mod storage;

use bytes::Bytes;
use host::{Host, HostTiming};
use memory::Memory;
use script::{Fault, Script, BAD_STORAGE, STORAGE_BYTES};
use storage::Storage;

/// The engine with `direct` behind its storage port.
pub(crate) fn engine_with_direct(config: Config) -> impl Block {
    let name = format!("engine_with_direct_{}", config.suffix());
    block_fn(&name, move |m| {
        m.clock();
        let engine = m.instance("engine", &IoEngine::new(config));
        let direct = m.instance("direct", &Direct::new(config, STORAGE_BYTES));
        m.connect(&engine, "storage_command", &direct, "storage_command");
        m.connect(&engine, "storage_write", &direct, "storage_write");
        m.connect(&direct, "storage_read", &engine, "storage_read");
        m.connect(&direct, "storage_done", &engine, "storage_done");
        Axi4::export(m, &direct, "memory", "memory");
        for stream in ["command", "transfer", "outcome", "failure", "list_read", "list_beat", "data_read", "data_beat"]
        {
            m.export(&engine, stream, stream);
        }
        m.export(&engine, "data_write", "data_write");
        m.export(&engine, "data_write_beat", "data_write_beat");
        for input in ["buffer_write", "buffer_address", "buffer_write_data", "drain", "pair_comes"] {
            let port = engine.port(input);
            port.set(m.input(input, port.width()));
        }
        m.output("buffer_read_data", engine.port("buffer_read_data"));
        for output in ["quiet", "drains"] {
            m.output(output, engine.port(output));
        }
    })
}

/// The other side of the storage port.
pub(crate) trait BackEnd {
    /// Sees what was asked for in the last clock and prepares the next one.
    fn clock(&mut self, bench: &mut Bench);
    /// Forgets what is in flight; a reset of the engine follows.
    fn forget(&mut self, bench: &mut Bench);
    /// What is stored.
    fn bytes(&self) -> &Bytes;
    /// Whether everything was answered.
    fn is_idle(&self) -> bool;
}

/// An engine with all that is around it.
struct World<'a> {
    bench: Bench<'a>,
    host: Host,
    back_end: Box<dyn BackEnd>,
    script: Script,
    /// A stream from which nothing is taken in these clocks.
    held: Option<(&'static str, Range<u64>)>,
}

impl<'a> World<'a> {
    /// The engine of `design`, reset, before the first command of `script`. With `direct` the design has that block, else a storage port.
    fn new(
        design: &Design,
        sim: &'a mut dyn Simulator,
        mut script: Script,
        (seed, stalls): (Seed, Stalls),
        timing: HostTiming,
        direct: bool,
    ) -> World<'a> {
        script.finish();
        let bench = Bench::new(sim, design, seed, stalls);
        let host = Host::new(script.host.clone(), timing, seed.rng("host"));
        let stored = script.storage.clone();
        let back_end: Box<dyn BackEnd> = match direct {
            true => Box::new(Memory::new(stored, |address| BAD_STORAGE.contains(&address), 64)),
            false => Box::new(Storage::new(stored, seed.rng("storage"))),
        };
        World { bench, host, back_end, script, held: None }
    }

    fn clock(&mut self) {
        if let Some((stream, clocks)) = &self.held {
            let held = clocks.contains(&self.bench.clocks());
            self.bench.hold(stream, held);
        }
        self.host.clock(&mut self.bench);
        self.back_end.clock(&mut self.bench);
        self.bench.clock();
    }

    /// Resets the engine, whatever it does, and everything around it.
    fn reset(&mut self) {
        self.bench.clear("command");
        self.bench.clear("transfer");
        for stream in ["outcome", "failure"] {
            self.bench.drain(stream);
        }
        self.host.forget(&mut self.bench);
        self.back_end.forget(&mut self.bench);
        self.bench.reset(2);
    }

    /// Writes the firmware's buffer through its window.
    fn store_buffer(&mut self, data: &[u8]) {
        for (address, dword) in data.chunks(4).enumerate() {
            self.bench.poke("buffer_write", 1);
            self.bench.poke("buffer_address", address as u64);
            self.bench.poke("buffer_write_data", u32::from_le_bytes(dword.try_into().expect("a dword")).into());
            self.clock();
        }
        self.bench.poke("buffer_write", 0);
    }

    /// Reads the firmware's buffer through its window.
    fn load_buffer(&mut self, bytes: u64) -> Vec<u8> {
        let dword = |address: u64| {
            self.bench.poke("buffer_address", address);
            self.clock();
            (self.bench.peek("buffer_read_data") as u32).to_le_bytes()
        };
        (0..bytes / 4).flat_map(dword).collect()
    }

    /// Runs all commands and says in how many clocks. Checks each outcome, and memory and storage afterwards.
    fn run(mut self) -> u64 {
        let began = self.bench.clocks();
        let items = self.script.items(&self.bench);
        self.bench.send("command", items);
        let errands = self.script.errands(&self.bench);
        self.bench.send("transfer", errands);
        let count = self.script.commands.len() + self.script.copies.len();
        let mut open: BTreeSet<u64> = (0..count as u64).collect();
        let bytes: u64 = self.script.commands.iter().map(|c| c.bytes + 4096).sum();
        let clocks_max = 40_000 + bytes / 2 + 4000 * self.script.copies.len() as u64;
        while let Some(first) = open.first() {
            let clocks = self.bench.clocks() - began;
            assert!(clocks < clocks_max, "{} commands have no outcome, such as number {first}", open.len());
            self.clock();
            for stream in ["outcome", "failure"] {
                for outcome in self.bench.drain_fields(stream) {
                    let number = outcome.get("cid");
                    assert!(open.remove(&number), "command {number} has a second outcome");
                    self.check_outcome(number, &outcome, stream == "failure");
                }
            }
        }
        let clocks = self.bench.clocks() - began;
        self.check_rest();
        clocks
    }

    fn check_outcome(&self, number: u64, outcome: &Fields, failure: bool) {
        if outcome.get("errand") == 1 {
            let copy = &self.script.copies[number as usize - self.script.commands.len()];
            let status = Status::from_raw(outcome.get("status") as u16);
            assert_eq!((failure, status), (false, copy.status), "{copy:x?}");
            return;
        }
        let command = &self.script.commands[number as usize];
        let status = Status::from_raw(outcome.get("status") as u16);
        assert_eq!(status, command.status, "command {number}: {command:x?}");
        assert_eq!(failure, status != Status::SUCCESS && command.target == Target::Storage);
        assert_eq!(outcome.get("sqid"), number % 9);
        assert_eq!(outcome.get("opcode"), u64::from(command.opcode()));
        assert_eq!(outcome.get("target"), command.target.code());
        let [lba, blocks, nsid] = ["lba", "blocks", "nsid"].map(|field| outcome.get(field));
        assert_eq!((lba, blocks, nsid), (command.lba, command.blocks, script::nsid_of(number)));
        if command.operation == Operation::Read && status == Status::SUCCESS {
            assert!(self.host.has_heads_of(&command.pieces()), "command {number} ended before its data was sent");
        }
    }

    /// Nothing is left, and memory and storage hold what they must.
    fn check_rest(&mut self) {
        for _ in 0..1000 {
            self.clock();
        }
        assert_eq!(self.bench.peek("quiet"), 1, "the engine is not quiet");
        assert!(self.host.is_idle() && self.back_end.is_idle(), "something is left on the buses");
        self.script.forgive(&self.host.memory, self.back_end.bytes());
        if let Some(page) = self.host.memory.first_difference(&self.script.expected_host) {
            panic!("host memory is wrong in page {page:#x}");
        }
        if let Some(page) = self.back_end.bytes().first_difference(&self.script.expected_storage) {
            panic!("the storage is wrong at {page:#x}");
        }
    }
}

const CALM: HostTiming = HostTiming { latency: 200, late_max: 0 };

/// A dword offset in a page: often a special one.
fn offset(rng: &mut Rng) -> u64 {
    let any = 4 * rng.below(1024);
    *rng.pick(&[0, 4, 60, 64, 512, 4092, any, any, any])
}

/// `count` commands of random operations, sizes up to `blocks_max` and offsets; one in `fault_every` is faulty.
fn random_script(config: Config, seed: Seed, count: usize, blocks_max: u64, fault_every: u64) -> Script {
    let mut rng = seed.rng("script");
    let mut script = Script::new(config, seed.rng("data"));
    let faults = [
        Fault::EntryOffset,
        Fault::ListOffset,
        Fault::ListMissing,
        Fault::DataMissing,
        Fault::Medium,
        Fault::OutOfRange,
        Fault::Differs,
    ];
    for _ in 0..count {
        let fault = if rng.below(fault_every) == 0 { *rng.pick(&faults) } else { Fault::None };
        let any = 1 + rng.below(blocks_max);
        let blocks = *rng.pick(&[1, 8.min(blocks_max), any]);
        match rng.below(25) {
            0 => script.flush(),
            23 => script.command(Operation::WriteUncorrectable, blocks, offset(&mut rng), fault),
            22 | 24 => script.copy(1 + rng.below(8), fault),
            1 => script.command(Operation::WriteZeroes, blocks, offset(&mut rng), fault),
            9 => script.compare_and_write([(); 2].map(|()| offset(&mut rng)), fault),
            5 | 7 => script.command(Operation::Compare, blocks, offset(&mut rng), fault),
            3 => script.command(Operation::Verify, blocks, offset(&mut rng), fault),
            n if n % 2 == 0 => script.command(Operation::Read, blocks, offset(&mut rng), fault),
            _ => script.command(Operation::Write, blocks, offset(&mut rng), fault),
        }
    }
    script
}

const WILD: HostTiming = HostTiming { latency: 20, late_max: 100 };

/// Any storage: it answers in any order.
#[test]
fn moves_data_of_any_storage_under_every_stall_pattern() {
    for config in CONFIGS {
        let design = design(&IoEngine::new(config));
        for stalls in Stalls::ALL {
            let seed = Seed::from_env_or(0x5EED);
            let script = random_script(config, seed, 60, 24, 6);
            let mut sim = simulator(&design);
            World::new(&design, &mut *sim, script, (seed, stalls), WILD, false).run();
        }
    }
}

#[test]
fn moves_data_of_direct_storage_under_every_stall_pattern() {
    for config in CONFIGS {
        let design = design(&engine_with_direct(config));
        for stalls in Stalls::ALL {
            let seed = Seed::from_env_or(0x5EED);
            let script = random_script(config, seed, 40, 24, 8);
            let mut sim = simulator(&design);
            World::new(&design, &mut *sim, script, (seed, stalls), WILD, true).run();
        }
    }
}

/// Lists of more than one page, and the longest command there is.
#[test]
fn moves_data_of_long_commands() {
    let config = Config::DEFAULT;
    let design = design(&engine_with_direct(config));
    let seed = Seed::from_env_or(0x5EED);
    let mut script = Script::new(config, seed.rng("data"));
    for (operation, bytes, offset) in [
        (Operation::Write, 128 << 10, 0),
        (Operation::Read, 128 << 10, 2044),
        (Operation::Write, 2 << 20, 4),
        (Operation::Read, 2 << 20, 4092),
    ] {
        script.command(operation, bytes / u64::from(config.lba_bytes), offset, Fault::None);
    }
    let mut sim = simulator(&design);
    World::new(&design, &mut *sim, script, (seed, Stalls::None), CALM, true).run();
}

/// Firmware's transfers, of any length and to any dword address.
#[test]
fn moves_data_of_firmware() {
    let config = Config::SMALL;
    let design = design(&engine_with_direct(config));
    for stalls in Stalls::ALL {
        let seed = Seed::from_env_or(0x5EED);
        let mut rng = seed.rng("transfers");
        let mut script = Script::new(config, seed.rng("data"));
        for operation in [Operation::Read, Operation::Write] {
            for bytes in [4, 4096, 4 * (1 + rng.below(1024)), 4 * (1 + rng.below(1024))] {
                script.transfer(operation, bytes, offset(&mut rng));
            }
        }
        let commands = script.commands.clone();
        let mut sim = simulator(&design);
        let mut world = World::new(&design, &mut *sim, script, (seed, stalls), WILD, true);
        for (number, (command, item)) in commands.iter().zip(world.script.items(&world.bench)).enumerate() {
            let data: Vec<u8> = (0..command.bytes).map(|_| rng.below(256) as u8).collect();
            world.store_buffer(&data);
            world.bench.send("transfer", [item]);
            let began = world.bench.clocks();
            let outcome = loop {
                assert!(world.bench.clocks() - began < 5000, "transfer {number} has no outcome: {command:x?}");
                world.clock();
                if let Some(outcome) = world.bench.drain_fields("outcome").pop() {
                    break outcome;
                }
            };
            world.check_outcome(number as u64, &outcome, false);
            let pieces = command.pieces();
            if command.operation == Operation::Write {
                let host = &world.script.host;
                let sent: Vec<u8> = pieces.iter().flat_map(|&(address, bytes)| host.load(address, bytes)).collect();
                assert!(
                    world.load_buffer(command.bytes) == sent,
                    "transfer {number}: the buffer is wrong, {command:x?}"
                );
            } else {
                let mut left = data.as_slice();
                for (address, bytes) in pieces {
                    let (piece, rest) = left.split_at(bytes as usize);
                    world.script.expected_host.store(address, piece);
                    left = rest;
                }
            }
        }
        world.check_rest();
    }
}

/// Any receiver may stall for as long as it likes, and so may the host.
#[test]
fn waits_for_as_long_as_others_like() {
    let config = Config::SMALL;
    let design = design(&IoEngine::new(config));
    let outputs = [
        "list_read",
        "data_read",
        "data_write",
        "data_write_beat",
        "storage_command",
        "storage_write",
        "outcome",
        "failure",
    ];
    let slow = HostTiming { latency: 1500, late_max: 500 };
    let stalled = outputs.map(|stream| (Some((stream, 100..1700)), WILD));
    for (held, timing) in stalled.into_iter().chain([(None, slow)]) {
        let seed = Seed::from_env_or(0x5EED);
        let script = random_script(config, seed, 30, 4, 6);
        let mut sim = simulator(&design);
        let mut world = World::new(&design, &mut *sim, script, (seed, Stalls::None), timing, false);
        world.held = held;
        world.run();
    }
}

/// A reset in any clock leaves nothing behind that harms the next life.
#[test]
fn starts_again_after_a_reset_in_any_clock() {
    let config = Config::SMALL;
    let design = design(&engine_with_direct(config));
    for round in 0..10 {
        let seed = Seed(Seed::from_env_or(0x5EED).0 + round);
        let script = random_script(config, seed, 12, 4, 1000);
        let mut sim = simulator(&design);
        let mut world = World::new(&design, &mut *sim, script, (seed, Stalls::Random), WILD, true);
        let items = world.script.items(&world.bench);
        world.bench.send("command", items);
        for _ in 0..seed.rng("reset").below(2000) {
            world.clock();
        }
        world.reset();
        world.run();
    }
}

/// Clocks per command with host latency 200, memory latency 64 and as many commands in flight as there are slots.
#[test]
fn keeps_up() {
    let config = Config::DEFAULT;
    let design = design(&engine_with_direct(config));
    for (operation, blocks, unaligned, clocks_max) in [
        (Operation::Read, 1, false, 9),
        (Operation::Read, 1, true, 10),
        (Operation::Write, 1, false, 20),
        (Operation::Write, 1, true, 20),
        (Operation::Read, 8, false, 65),
        (Operation::Read, 8, true, 66),
        (Operation::Write, 8, false, 67),
        (Operation::Write, 8, true, 67),
    ] {
        let seed = Seed::from_env_or(0x5EED);
        let mut rng = seed.rng("offsets");
        let mut script = Script::new(config, seed.rng("data"));
        let count = 200;
        for _ in 0..count {
            script.command(operation, blocks, if unaligned { 4 * rng.below(1024) } else { 0 }, Fault::None);
        }
        let mut sim = simulator(&design);
        let clocks = World::new(&design, &mut *sim, script, (seed, Stalls::None), CALM, true).run();
        assert!(
            clocks <= count * clocks_max,
            "{operation:?} of {blocks} blocks, unaligned {unaligned}: {clocks} clocks for {count} commands"
        );
    }
}
