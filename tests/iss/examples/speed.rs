//! The speed of the simulator beside QEMU's, on the same program in one run: `cargo run --release --package iss-reference --example speed`.
//!
//! The program is a loop of loads, stores, arithmetic and branches over 64 KiB. The simulator runs it in M-mode and in U-mode under Sv39; QEMU runs it as a program of a user,
//! translated to instructions of this machine (TCG) and without an emulated MMU, which is faster than a whole machine under QEMU.

use std::process::ExitCode;
use std::time::Instant;

use iss_reference::{bytes, load_immediate, output_on_qemu, BASE};
use sim_guest::{Toolchain, UserQemu};
use sim_iss::{number, Config, Hart, Instruction, MemoryBus, Mode, Op, Stop};

const DATA: u64 = BASE + 0x1_0000;
const DATA_BYTES: u64 = 64 << 10;
const TABLE: u64 = DATA + DATA_BYTES;
const BYTES: usize = 0x3_0000;

/// Rounds over the data.
const ROUNDS: u64 = 6_000;
/// QEMU is faster, and its start counts.
const QEMU_ROUNDS: u64 = 10 * ROUNDS;
/// The bound: the simulator's speed as a part of QEMU's.
const RATIO_MIN: f64 = 1.0 / 15.0;

const fn with(op: Op, rd: u8, rs1: u8, rs2: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, rs2, immediate, ..Instruction::new(op) }
}

/// `x5` counts rounds down, `x6` points to the data, `x7` behind it, and `x10` is the sum that the program ends with.
const LOOP: [Instruction; 17] = [
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
];

/// The program in memory, and the address of the call that ends it.
fn program(rounds: u64) -> (Vec<u8>, u64) {
    let registers = [(5, rounds), (6, DATA), (7, DATA + DATA_BYTES), (10, 1)];
    let mut code: Vec<_> =
        registers.into_iter().flat_map(|(register, value)| load_immediate(register, value)).collect();
    code.extend(LOOP);
    code.push(with(Op::Andi, 10, 10, 0, 0x7F));
    // Linux: exit.
    code.extend(load_immediate(17, 93));
    let mut image: Vec<_> = code.iter().flat_map(bytes).collect();
    let end = BASE + image.len() as u64;
    image.extend(bytes(&Instruction::new(Op::Ecall)));
    image.resize(BYTES, 0);
    (image, end)
}

/// Instructions per second, instructions, and what the program ends with.
fn on_simulator(mode: Mode, rounds: u64) -> (f64, u64, u64) {
    let (image, end) = program(rounds);
    let mut bus = MemoryBus::new(BASE, BYTES);
    bus.bytes_mut(BASE, BYTES).copy_from_slice(&image);
    let mut hart = Hart::new(&Config { hart: 0, reset_pc: BASE, physical_bits: 32 });
    if mode == Mode::User {
        // One page of 1 GiB with all permissions, at the address that it has; the first entry of the table is that of the program.
        bus.bytes_mut(TABLE, 8).copy_from_slice(&0xDFu64.to_le_bytes());
        hart.set_csr(number::PMPADDR0, u64::MAX);
        hart.set_csr(number::PMPCFG0, 0x1F);
        hart.set_csr(number::SATP, 8 << 60 | TABLE >> 12);
        hart.set_mode(mode);
    }
    // The call at the end traps to an instruction that waits for ever.
    let wait = DATA - 4;
    bus.bytes_mut(wait, 4).copy_from_slice(&bytes(&Instruction::new(Op::Wfi)));
    hart.set_csr(number::MTVEC, wait);
    let begin = Instant::now();
    assert_eq!(hart.run(&mut bus, u64::MAX), Stop::Waiting);
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(hart.csr(number::MEPC), Some(end), "the program ended early");
    (hart.steps() as f64 / seconds, hart.steps(), hart.x(10))
}

fn main() -> ExitCode {
    let qemu = match UserQemu::found(&Toolchain::from_env()) {
        Ok(qemu) => qemu,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let (machine, steps, end) = on_simulator(Mode::Machine, ROUNDS);
    let (user, ..) = on_simulator(Mode::User, ROUNDS);
    let (check, _) = program(ROUNDS);
    let output = output_on_qemu(&qemu, &check).expect("QEMU runs");
    assert_eq!(output.status.code(), i32::try_from(end).ok(), "the two end with different sums");

    let (image, _) = program(QEMU_ROUNDS);
    let begin = Instant::now();
    output_on_qemu(&qemu, &image).expect("QEMU runs");
    let speed = (steps * (QEMU_ROUNDS / ROUNDS)) as f64 / begin.elapsed().as_secs_f64();

    let slower = machine.min(user);
    println!("simulator, M-mode            {:7.0} million instructions per second", machine / 1e6);
    println!("simulator, U-mode under Sv39 {:7.0} million instructions per second", user / 1e6);
    println!("QEMU, program of a user      {:7.0} million instructions per second", speed / 1e6);
    println!("simulator / QEMU             {:7.3}, must be at least {RATIO_MIN:.3}", slower / speed);
    if slower / speed < RATIO_MIN {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
