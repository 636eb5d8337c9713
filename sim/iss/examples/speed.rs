//! How many instructions per second the simulator carries out: `cargo run --release --package sim-iss --example speed [ROUNDS]`.
//!
//! A loop of loads, stores, arithmetic and branches over 64 KiB, in M-mode and in U-mode under Sv39.

use std::time::Instant;

use sim_iss::{encode, number, Config, Hart, Instruction, MemoryBus, Mode, Op, Stop};

const BASE: u64 = 0x8000_0000;
const TABLE: u64 = BASE + 0x10_0000;
const DATA: u64 = BASE + 0x20_0000;
const DATA_BYTES: i32 = 64 << 10;

const fn with(op: Op, rd: u8, rs1: u8, rs2: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, rs2, immediate, ..Instruction::new(op) }
}

/// The loop, and a jump to itself behind it. `x5` counts rounds down, `x6` points to the data, `x7` behind it.
const PROGRAM: [Instruction; 19] = [
    with(Op::Add, 8, 6, 0, 0),
    // Each doubleword is mixed into a sum and written back.
    with(Op::Ld, 9, 8, 0, 0),
    with(Op::Add, 10, 10, 9, 0),
    with(Op::Slli, 11, 10, 0, 13),
    with(Op::Srli, 12, 10, 0, 7),
    with(Op::Xor, 11, 11, 12, 0),
    with(Op::Xor, 10, 10, 11, 0),
    with(Op::Sd, 0, 8, 10, 0),
    // Every other one, at random, takes a longer way.
    with(Op::Andi, 13, 10, 0, 1),
    with(Op::Beq, 0, 13, 0, 16),
    with(Op::Lbu, 14, 8, 0, 3),
    with(Op::Mul, 15, 14, 10, 0),
    with(Op::Sh, 0, 8, 15, 4),
    with(Op::Addi, 8, 8, 0, 8),
    with(Op::Bltu, 0, 8, 7, -4 * 13),
    with(Op::Addi, 5, 5, 0, -1),
    with(Op::Bne, 0, 5, 0, -4 * 16),
    with(Op::Addi, 16, 0, 0, 1),
    with(Op::Jal, 0, 0, 0, 0),
];

fn main() {
    let rounds = std::env::args().nth(1).map_or(2_000, |rounds| rounds.parse().expect("a number of rounds"));
    for mode in [Mode::Machine, Mode::User] {
        let mut bus = MemoryBus::new(BASE, 4 << 20);
        for (index, instruction) in PROGRAM.iter().enumerate() {
            bus.bytes_mut(BASE + 4 * index as u64, 4).copy_from_slice(&encode(instruction).to_le_bytes());
        }
        let mut hart = Hart::new(&Config { hart: 0, reset_pc: BASE, physical_bits: 32 });
        for (register, value) in [(5, rounds), (6, DATA), (7, DATA + DATA_BYTES as u64), (10, 1)] {
            hart.set_x(register, value);
        }
        if mode == Mode::User {
            // One page of 1 GiB with all permissions, at the address that it has.
            let entry = BASE >> 12 << 10 | 0xDF;
            bus.bytes_mut(TABLE + 8 * (BASE >> 30), 8).copy_from_slice(&entry.to_le_bytes());
            hart.set_csr(number::PMPADDR0, u64::MAX);
            hart.set_csr(number::PMPCFG0, 0x1F);
            hart.set_csr(number::SATP, 8 << 60 | TABLE >> 12);
            hart.set_mode(mode);
        }
        let begin = Instant::now();
        while hart.x(16) == 0 {
            assert_eq!(hart.run(&mut bus, 1_000_000), Stop::Limit);
        }
        let seconds = begin.elapsed().as_secs_f64();
        let steps = hart.steps() as f64;
        println!("{mode:?}: {:.0} million instructions per second, sum {:#018x}", steps / seconds / 1e6, hart.x(10));
    }
}
