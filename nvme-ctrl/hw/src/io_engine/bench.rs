//! The running block: scripted commands against host memory and a storage, compared byte by byte.

use super::IoEngine;
use crate::direct::Direct;
use crate::types::Operation;
use crate::Config;
use nvme_spec::Status;
use rtl_bus::Axi4;
use rtl_hdl::bench::{Bench, Rng, Seed, Stalls};
use rtl_hdl::sim::Simulator;
use rtl_hdl::{block_fn, elaborate, Design, Evaluator};
use std::collections::BTreeSet;

pub(crate) mod bytes;
mod host;
mod memory;
mod script;

use host::{Host, HostTiming};
use memory::Memory;
use script::{statuses, Fault, Script, BAD_STORAGE, STORAGE_BYTES};

/// The engine with `direct` behind its storage port.
fn engine_with_direct(config: Config) -> Design {
    let top = block_fn("engine_with_direct", |m| {
        m.clock();
        let engine = m.instance("engine", &IoEngine::new(config));
        let direct = m.instance("direct", &Direct::new(config, STORAGE_BYTES));
        m.connect(&engine, "storage_command", &direct, "storage_command");
        m.connect(&engine, "storage_write", &direct, "storage_write");
        m.connect(&direct, "storage_read", &engine, "storage_read");
        m.connect(&direct, "storage_done", &engine, "storage_done");
        Axi4::export(m, &direct, "memory", "memory");
        for stream in ["command", "outcome", "failure", "list_read", "list_beat", "data_read", "data_beat"] {
            m.export(&engine, stream, stream);
        }
        m.export(&engine, "data_write", "data_write");
        m.export(&engine, "data_write_beat", "data_write_beat");
        for input in ["buffer_write", "buffer_address", "buffer_write_data"] {
            let port = engine.port(input);
            port.set(m.input(input, port.width()));
        }
        m.output("buffer_read_data", engine.port("buffer_read_data"));
        m.output("quiet", engine.port("quiet"));
    });
    elaborate(&top).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Runs the commands of `script` and says in how many clocks. Checks each outcome, and memory and storage afterwards.
fn run(design: &Design, sim: &mut dyn Simulator, mut script: Script, seed: Seed, stalls: Stalls, timing: HostTiming) -> u64 {
    script.finish();
    let mut bench = Bench::new(sim, design, seed, stalls);
    let mut host = Host::new(script.host.clone(), timing, seed.rng("host"));
    let mut memory = Memory::new(script.storage.clone(), BAD_STORAGE, 64);
    let items = script.items(&bench);
    let began = bench.clocks();
    bench.send("command", items);

    let mut open: BTreeSet<u64> = (0..script.commands.len() as u64).collect();
    let bytes: u64 = script.commands.iter().map(|c| c.bytes + 4096).sum();
    let clocks_max = 20_000 + bytes / 2;
    while !open.is_empty() {
        assert!(bench.clocks() - began < clocks_max, "{} commands have no outcome, such as {:?}", open.len(), open.first());
        host.clock(&mut bench);
        memory.clock(&mut bench);
        bench.clock();
        for stream in ["outcome", "failure"] {
            for outcome in bench.drain_fields(stream) {
                let number = outcome.get("cid");
                assert!(open.remove(&number), "command {number} has a second outcome");
                let command = &script.commands[number as usize];
                assert_eq!(Status::from_raw(outcome.get("status") as u16), command.status, "command {number}: {command:x?}");
                assert_eq!(stream == "failure", command.status != Status::SUCCESS);
                assert_eq!(outcome.get("sqid"), number % 9);
                assert_eq!(outcome.get("opcode"), u64::from(command.opcode()));
                assert_eq!((outcome.get("lba"), outcome.get("blocks"), outcome.get("nsid")), (command.lba, command.blocks, 1));
                if command.operation == Operation::Read && command.status == Status::SUCCESS {
                    assert!(host.has_heads_of(&command.pieces()), "command {number} ended before its data was sent");
                }
            }
        }
    }
    let clocks = bench.clocks() - began;
    for _ in 0..400 {
        host.clock(&mut bench);
        memory.clock(&mut bench);
        bench.clock();
    }
    assert_eq!(bench.peek("quiet"), 1, "the engine is not quiet");
    assert!(host.is_idle() && memory.is_idle(), "something is left on the buses");
    script.forgive(&host.memory, &memory.bytes);
    if let Some(page) = host.memory.first_difference(&script.expected_host) {
        panic!("host memory is wrong in page {page:#x}");
    }
    if let Some(page) = memory.bytes.first_difference(&script.expected_storage) {
        panic!("the storage is wrong at {page:#x}");
    }
    clocks
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
    ];
    for _ in 0..count {
        let fault = if rng.below(fault_every) == 0 { *rng.pick(&faults) } else { Fault::None };
        let any = 1 + rng.below(blocks_max);
        let blocks = *rng.pick(&[1, 8.min(blocks_max), any]);
        match rng.below(16) {
            0 => script.flush(),
            n if n % 2 == 0 => script.command(Operation::Read, blocks, offset(&mut rng), fault),
            _ => script.command(Operation::Write, blocks, offset(&mut rng), fault),
        }
    }
    script
}

#[test]
fn moves_data_under_every_stall_pattern() {
    for config in [Config::SMALL, Config::DEFAULT] {
        let design = engine_with_direct(config);
        for stalls in Stalls::ALL {
            let seed = Seed::from_env_or(0x5EED);
            let script = random_script(config, seed, 40, 24, 8);
            let mut sim = Evaluator::new(&design).expect("the design can be evaluated");
            run(&design, &mut sim, script, seed, stalls, HostTiming { latency: 20, late_max: 100 });
        }
    }
}

#[test]
fn measures() {
    let config = Config::DEFAULT;
    let design = engine_with_direct(config);
    for (name, operation, blocks) in
        [("read 512", Operation::Read, 1), ("write 512", Operation::Write, 1), ("read 4k", Operation::Read, 8), ("write 4k", Operation::Write, 8), ("read 8k", Operation::Read, 16), ("write 8k", Operation::Write, 16), ("read 64k", Operation::Read, 128)]
    {
        for unaligned in [false, true] {
            let seed = Seed::from_env_or(0x5EED);
            let mut rng = seed.rng("offsets");
            let mut script = Script::new(config, seed.rng("data"));
            let count = if blocks > 16 { 20 } else { 200 };
            for _ in 0..count {
                script.command(operation, blocks, if unaligned { 4 * rng.below(1024) } else { 0 }, Fault::None);
            }
            let mut sim = Evaluator::new(&design).expect("the design can be evaluated");
            let began = std::time::Instant::now();
            let clocks = run(&design, &mut sim, script, seed, Stalls::None, CALM);
            println!("{name} unaligned {unaligned}: {} clocks per command; {} clocks in {:?}", clocks / count, clocks, began.elapsed());
        }
    }
}
