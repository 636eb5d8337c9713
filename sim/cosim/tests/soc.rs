//! The Verilated SoC apart from the device: harts that share memory, wake each other, and write to the console.

use sim_cosim::{Error, Soc};
use sim_iss::{encode, Instruction, MemoryBus, Op};
use sim_verilator::Toolchain;
use soc_map::firmware::ENTRY;
use soc_map::rocket::CLINT;
use soc_map::{clint, FIRMWARE, UART};

/// Where the harts meet: two words, each in a line of its own.
const SHARED: u64 = FIRMWARE.base + 0x1_0000;
const LINE: i32 = 64;

/// How often each hart adds to the first word.
const ADDITIONS: i32 = 500;

/// Clocks that hart 0 lets hart 1 sleep for, at least.
const SLEEP: i32 = 1_000;

const CLOCKS_MAX: u64 = 400_000;

const ZERO: u8 = 0;
const T0: u8 = 5;
const T1: u8 = 6;
const T2: u8 = 7;
const A0: u8 = 10;

/// `mie.MSIE`.
const SOFTWARE_INTERRUPT: i32 = 8;

fn i(op: Op, rd: u8, rs1: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, immediate, ..Instruction::new(op) }
}

fn store(op: Op, rs1: u8, rs2: u8, immediate: i32) -> Instruction {
    Instruction { rs1, rs2, immediate, ..Instruction::new(op) }
}

fn amoadd(rs1: u8, rs2: u8) -> Instruction {
    Instruction { rs1, rs2, ..Instruction::new(Op::AmoaddD) }
}

/// Waits until the word at an offset is not zero.
fn wait_for(offset: i32) -> [Instruction; 2] {
    [i(Op::Ld, T0, T1, offset), Instruction { rs1: T0, rs2: ZERO, immediate: -4, ..Instruction::new(Op::Beq) }]
}

fn count_down(from: i32, body: &[Instruction]) -> Vec<Instruction> {
    let mut program = vec![i(Op::Addi, T0, ZERO, from)];
    program.extend(body);
    program.push(i(Op::Addi, T0, T0, -1));
    let back = -4 * (body.len() as i32 + 1);
    program.push(Instruction { rs1: T0, rs2: ZERO, immediate: back, ..Instruction::new(Op::Bne) });
    program
}

/// Writes a character to the console.
fn say(character: u8) -> [Instruction; 3] {
    [
        i(Op::Lui, T0, 0, UART.base as i32),
        i(Op::Addi, T2, ZERO, character.into()),
        store(Op::Sw, T0, T2, soc_map::uart::TRANSMIT as i32),
    ]
}

fn program() -> Vec<Instruction> {
    let one = i(Op::Addi, T2, ZERO, 1);
    let mut program = vec![
        i(Op::Csrrw, 0, ZERO, sim_iss::number::MIP.into()),
        i(Op::Lui, T1, 0, SHARED as u32 as i32),
        i(Op::Slli, T1, T1, 32),
        i(Op::Srli, T1, T1, 32),
        one,
    ];
    program.extend(count_down(ADDITIONS, &[amoadd(T1, T2)]));
    let park = [Instruction::new(Op::Wfi), i(Op::Jal, ZERO, 0, -4)];

    let mut first = wait_for(LINE).to_vec();
    first.extend(count_down(SLEEP, &[]));
    first.extend(say(b'A'));
    // Nothing but the interrupt comes to hart 1 from here on.
    first.extend([one, i(Op::Lui, T0, 0, CLINT.base as i32), store(Op::Sw, T0, T2, clint::MSIP as i32 + 4)]);
    first.push(i(Op::Csrrw, 0, ZERO, sim_iss::number::MIE.into()));
    first.extend(park);

    let mut second = vec![
        i(Op::Addi, T0, ZERO, SOFTWARE_INTERRUPT),
        i(Op::Csrrw, 0, T0, sim_iss::number::MIE.into()),
        store(Op::Sd, T1, T2, LINE),
        Instruction::new(Op::Wfi),
    ];
    second.extend(say(b'B'));
    second.push(i(Op::Csrrw, 0, ZERO, sim_iss::number::MIE.into()));
    second.extend(park);

    let skip = 4 * (first.len() as i32 + 1);
    program.push(Instruction { rs1: A0, rs2: ZERO, immediate: skip, ..Instruction::new(Op::Bne) });
    program.extend(first);
    program.extend(second);
    program
}

/// The SoC with the program in its memory; nothing, with a line that says so, where it cannot be had.
fn soc() -> Option<Soc> {
    let mut memory = MemoryBus::new(FIRMWARE.base, FIRMWARE.bytes as usize);
    let program: Vec<u8> = program().iter().flat_map(|instruction| encode(instruction).to_le_bytes()).collect();
    memory.bytes_mut(ENTRY, program.len()).copy_from_slice(&program);
    match Soc::new(2, &mut memory, &Toolchain::from_env()) {
        Ok(soc) => Some(soc),
        Err(Error::Build(error)) if error.is_unavailable() => {
            eprintln!("skipped: the Verilated SoC. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Atomics of two harts are all done, a hart that sleeps is woken by the other, and memory is read through their caches.
#[test]
fn harts_share_memory_and_wake_each_other() {
    let Some(mut soc) = soc() else { return };
    let (mut said, mut slept) = (vec![], 0);
    while said.len() < 2 {
        assert!(soc.clock() < CLOCKS_MAX, "after {CLOCKS_MAX} clocks: {said:?}");
        soc.step();
        slept += u64::from(soc.waits(1));
        said.extend(soc.take_console());
    }
    assert_eq!(said, b"AB", "hart 0 wakes hart 1");
    assert!(slept > SLEEP as u64, "hart 1 slept for {slept} clocks");
    let sum = soc.read(SHARED, 8);
    assert_eq!(sum, (2 * ADDITIONS as u64).to_le_bytes());
    for _ in 0..CLOCKS_MAX {
        if soc.is_asleep() {
            return;
        }
        soc.step();
    }
    panic!("both harts sleep in the end");
}
