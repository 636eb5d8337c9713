//! Two harts under a debugger that speaks the remote protocol as GDB does.

use proptest::prelude::*;
use sim_gdb::{Debugger, Ended};
use sim_iss::{encode, number, Config, Hart, Instruction, MemoryBus, Mode, Op};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{spawn, JoinHandle};

const BASE: u64 = 0x8000_0000;
const BYTES: usize = 0x1_0000;
const TABLE: u64 = BASE + 0x8000;
/// Where the pages of memory lie for S-mode.
const VIRTUAL: u64 = 0x4000_0000;

const fn with(op: Op, rd: u8, rs1: u8, rs2: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, rs2, immediate, ..Instruction::new(op) }
}

/// Counts in `x5`, with the number of the hart in `x6`.
const PROGRAM: [Instruction; 4] = [
    with(Op::Csrrs, 6, 0, 0, number::MHARTID as i32),
    with(Op::Addi, 5, 5, 0, 1),
    with(Op::Addi, 7, 5, 0, 0),
    with(Op::Jal, 0, 0, 0, -8),
];

/// Most turns of a simulation here: a test that hangs fails.
const TURNS_MAX: u64 = 50_000_000;

/// How the simulation ended, and its harts.
struct Outcome {
    ended: Option<Ended>,
    harts: Vec<Hart>,
}

/// Harts that run until the conversation has ended, and then a while; and the other end of it.
fn simulation(prepare: fn(&mut Hart, &mut MemoryBus)) -> (JoinHandle<Outcome>, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let simulation = spawn(move || {
        let mut bus = MemoryBus::new(BASE, BYTES);
        for (at, instruction) in (BASE..).step_by(4).zip(&PROGRAM) {
            bus.bytes_mut(at, 4).copy_from_slice(&encode(instruction).to_le_bytes());
        }
        let config = |hart| Config { hart, reset_pc: BASE, physical_bits: 32 };
        let mut harts: Vec<_> = (0..2).map(|hart| Hart::new(&config(hart))).collect();
        harts.iter_mut().for_each(|hart| prepare(hart, &mut bus));
        let mut debugger = Debugger::new(listener.accept().unwrap().0).unwrap();
        let mut left = TURNS_MAX;
        while debugger.ended().is_none() && left > 0 {
            debugger.turn(&mut harts, &mut bus);
            for (_, hart) in harts.iter_mut().enumerate().filter(|(number, _)| debugger.may_run(*number)) {
                hart.run(&mut bus, 1);
            }
            left -= 1;
        }
        for hart in &mut harts {
            hart.run(&mut bus, 100);
        }
        Outcome { ended: debugger.ended().cloned(), harts }
    });
    (simulation, Client(TcpStream::connect(address).unwrap()))
}

/// The end that GDB has.
struct Client(TcpStream);

impl Client {
    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.0.read_exact(&mut byte).expect("an answer");
        byte[0]
    }

    fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0u8, |sum, byte| sum.wrapping_add(byte));
        write!(self.0, "${packet}#{sum:02x}").unwrap();
        assert_eq!(self.byte(), b'+', "{packet}");
    }

    /// The next packet from there.
    fn receive(&mut self) -> String {
        assert_eq!(self.byte(), b'$');
        let mut packet = Vec::new();
        loop {
            match self.byte() {
                b'#' => break,
                // GDB's documentation, "Overview" of the protocol: a run of the same letter.
                b'*' => {
                    let count = self.byte() - 29;
                    let last = *packet.last().unwrap();
                    packet.extend(vec![last; count.into()]);
                }
                byte => packet.push(byte),
            }
        }
        let _sum = [self.byte(), self.byte()];
        self.0.write_all(b"+").unwrap();
        String::from_utf8(packet).unwrap()
    }

    fn ask(&mut self, packet: &str) -> String {
        self.send(packet);
        self.receive()
    }

    /// A register of the thread that was chosen last.
    fn register(&mut self, number: u32) -> u64 {
        value(&self.ask(&format!("p{number:x}")))
    }
}

/// A little-endian number of a packet.
fn value(text: &str) -> u64 {
    let byte = |index: usize| u64::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap();
    (0..text.len() / 2).fold(0, |value, index| value | byte(index) << (8 * index))
}

fn hex(value: u64) -> String {
    value.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

const PC: u32 = 32;

#[test]
fn harts_are_threads_with_registers_and_memory() {
    let (simulation, mut gdb) = simulation(|_, _| {});
    assert!(gdb.ask("qSupported:swbreak+;vContSupported+;qXfer:features:read+").contains("qXfer:features:read+"));
    assert!(gdb.ask("qXfer:features:read:target.xml:0,7ff").contains("<architecture>riscv:rv64</architecture>"));
    assert!(gdb.ask("?").starts_with('T'));
    assert_eq!(gdb.ask("qfThreadInfo"), "m01,02");
    assert_eq!(gdb.ask("qsThreadInfo"), "l");

    // One step of both: the numbers of the harts differ.
    for (hart, expected) in [("1", 0), ("2", 1)] {
        assert!(gdb.ask(&format!("vCont;s:{hart}")).contains(&format!("thread:0{hart}")));
        assert_eq!(gdb.ask(&format!("Hg{hart}")), "OK");
        assert_eq!((gdb.register(6), gdb.register(65 + 0xF14)), (expected, expected));
    }
    assert_eq!(gdb.ask("Hg1"), "OK");
    assert_eq!(gdb.register(PC), BASE + 4);
    // What is changed below has been carried out already.
    assert!(gdb.ask("vCont;s:1").contains("thread:01"));
    assert_eq!((gdb.register(PC), gdb.register(5)), (BASE + 8, 1));
    assert_eq!(gdb.ask(&format!("P5={}", hex(0x1234_5678_9ABC))), "OK");
    assert_eq!(value(&gdb.ask("g")[16 * 5..][..16]), 0x1234_5678_9ABC);
    assert!(gdb.ask(&format!("P20={}", hex(BASE + 1))).starts_with('E'), "an odd address");
    assert_eq!(gdb.ask(&format!("P2b={}", hex(0x3FF0_0000_0000_0000))), "OK");
    assert_eq!(gdb.register(33 + 10), 0x3FF0_0000_0000_0000);

    let code = u64::from(encode(&PROGRAM[1])) | u64::from(encode(&PROGRAM[2])) << 32;
    assert_eq!(value(&gdb.ask(&format!("m{:x},8", BASE + 4))), code);
    assert_eq!(gdb.ask(&format!("M{:x},4:13050000", BASE + 4)), "OK");
    assert_eq!(gdb.ask(&format!("m{:x},4", BASE + 4)), "13050000");
    assert!(gdb.ask("m0,4").starts_with('E'), "nothing is there");
    assert_eq!(value(&gdb.ask(&format!("m{:x},10", BASE + BYTES as u64 - 4))), 0, "as much as there is");
    assert_eq!(gdb.ask("D"), "OK");
    let Outcome { ended, harts } = simulation.join().unwrap();
    assert_eq!(ended, Some(Ended::Detached));
    // The changed instruction was `addi x10, x0, 0`: what was decoded before is forgotten.
    assert_eq!(harts[0].x(5), 0x1234_5678_9ABC);
}

#[test]
fn breakpoints_steps_and_interruptions_stop_all_harts() {
    let (simulation, mut gdb) = simulation(|_, _| {});
    assert!(gdb.ask("qSupported:swbreak+;vContSupported+").contains("swbreak+"));
    let breakpoint = format!("0,{:x},4", BASE + 8);
    assert_eq!(gdb.ask(&format!("Z{breakpoint}")), "OK");
    for round in 1..=3 {
        // Both come to it in one turn, and the first is told.
        let stop = gdb.ask("vCont;c");
        assert!(stop.contains("thread:01") && stop.contains("swbreak"), "{stop}");
        for hart in [1, 2] {
            assert_eq!(gdb.ask(&format!("Hg{hart}")), "OK");
            assert_eq!((gdb.register(PC), gdb.register(5)), (BASE + 8, round));
        }
    }
    // A step over it, of one hart; the other stays.
    assert!(gdb.ask("vCont;s:2").contains("thread:02"));
    assert_eq!(gdb.register(PC), BASE + 12);
    assert_eq!(gdb.ask("Hg1"), "OK");
    assert_eq!((gdb.register(PC), gdb.register(7)), (BASE + 8, 2));
    assert_eq!(gdb.ask(&format!("z{breakpoint}")), "OK");
    gdb.send("vCont;c");
    // GDB's documentation, "Interrupts".
    gdb.0.write_all(&[3]).unwrap();
    assert!(gdb.receive().starts_with("S02"));
    assert!(gdb.register(5) > 3);
    // It ends the harts, and does not wait for an answer.
    gdb.send("vKill;1");
    let Outcome { ended, harts } = simulation.join().unwrap();
    assert_eq!(ended, Some(Ended::Killed));
    assert!(harts[0].steps() > 10);
}

/// Addresses are those of the hart: with translation on, memory lies elsewhere.
#[test]
fn memory_is_that_which_the_hart_sees() {
    let (simulation, mut gdb) = simulation(|hart, bus| {
        // One page of 1 GiB, at another address, which can be read, written and executed.
        let entry = (BASE >> 12 << 10) | 0xCF;
        bus.bytes_mut(TABLE + 8 * (VIRTUAL >> 30), 8).copy_from_slice(&entry.to_le_bytes());
        hart.set_csr(number::PMPADDR0, u64::MAX);
        hart.set_csr(number::PMPCFG0, 0x1F);
        hart.set_csr(number::SATP, 8 << 60 | TABLE >> 12);
        hart.set_mode(Mode::Supervisor);
        hart.set_pc(VIRTUAL + 4);
    });
    gdb.ask("qSupported:swbreak+;vContSupported+");
    assert_eq!(value(&gdb.ask(&format!("m{VIRTUAL:x},4"))), encode(&PROGRAM[0]).into());
    assert!(gdb.ask(&format!("m{BASE:x},4")).starts_with('E'));
    assert_eq!(gdb.ask(&format!("Z0,{:x},4", VIRTUAL + 12)), "OK");
    assert!(gdb.ask("vCont;c").contains("swbreak"));
    assert_eq!(gdb.register(PC), VIRTUAL + 12);
    // Who leaves without a word leaves the harts running.
    drop(gdb);
    let Outcome { ended, harts } = simulation.join().unwrap();
    assert!(matches!(ended, Some(Ended::Lost(_))), "{ended:?}");
    assert!(harts[1].x(5) > 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes on the connection, the simulation goes on, with the harts that it had.
    #[test]
    fn no_bytes_end_the_simulation(
        packets in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[?gGpPmMzZvcsHTqQDk][0-9a-f:;,=Ccs+-]{0,20}".prop_map(|packet| {
                let sum = packet.bytes().fold(0u8, |sum, byte| sum.wrapping_add(byte));
                format!("${packet}#{sum:02x}").into_bytes()
            }),
        ], 0..30),
    ) {
        let (simulation, gdb) = simulation(|_, _| {});
        let mut writer = gdb.0.try_clone().unwrap();
        let mut reader = gdb.0;
        // What is answered is read, so that nobody waits.
        let answers = spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        for packet in &packets {
            if writer.write_all(packet).is_err() {
                break;
            }
        }
        let _ = writer.shutdown(std::net::Shutdown::Write);
        let Outcome { ended, harts } = simulation.join().unwrap();
        prop_assert!(ended.is_some(), "it has not come back");
        prop_assert_eq!(harts.len(), 2);
        drop(writer);
        let _ = answers.join();
    }
}
