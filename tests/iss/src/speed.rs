//! The speed of the simulator beside that of QEMU as a whole machine, on the same program in one run.
//!
//! The program needs no operating system: a loop of loads, stores, arithmetic and branches over 64 KiB, in M-mode, or in U-mode under Sv39. It ends by a write to
//! a device, which tells a part of its sum, so that both have done the same.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sim_guest::RiscvQemu;
use sim_iss::{number, Bus, BusFault, Config, Hart, Instruction, MemoryBus, Mode, Op, Reservations};

use crate::compare::Error;
use crate::program::{bytes, elf_at, load_immediate, with};

/// Where memory begins on both, and the program.
const MEMORY: u64 = 0x8000_0000;
const DATA: u64 = MEMORY + 0x1_0000;
const DATA_BYTES: u64 = 64 << 10;
const TABLE: u64 = DATA + DATA_BYTES;
const BYTES: usize = 0x3_0000;

/// QEMU's test device, which ends it; and what it takes for an end with the status in the upper half. QEMU, `hw/misc/sifive_test.h`.
const TEST_DEVICE: u64 = 0x10_0000;
const ENDS_WITH_STATUS: i32 = 0x3333;

/// Rounds over the data.
const ROUNDS: u64 = 6_000;
/// QEMU is faster.
const QEMU_ROUNDS: u64 = 5 * ROUNDS;
/// Times that each is measured, of which the fastest counts: others use this machine too.
const REPEATS: usize = 3;
/// Steps between looks at whether the simulator's program has ended.
const STEPS: u64 = 100_000;

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

/// Instructions per second of both, on the same program.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Of the simulator.
    pub simulator: f64,
    /// Of QEMU, which translates to instructions of this machine. Its start does not count.
    pub qemu: f64,
}

impl Speed {
    /// The simulator's as a part of QEMU's.
    pub fn ratio(&self) -> f64 {
        self.simulator / self.qemu
    }
}

/// Measures both, with the loop in M-mode, or in U-mode under Sv39.
///
/// # Errors
/// QEMU cannot be run, or ends with another sum.
///
/// # Panics
/// When there is no such mode of the program, S.
pub fn measure(qemu: &RiscvQemu, mode: Mode) -> Result<Speed, Error> {
    let (mut simulator, mut fast, mut start) = (Duration::MAX, Duration::MAX, Duration::MAX);
    let mut steps = 0;
    for _ in 0..REPEATS {
        let simulated = on_simulator(&program(mode, ROUNDS));
        simulator = simulator.min(simulated.time);
        steps = simulated.steps;
        let (time, status) = on_qemu(qemu, &program(mode, ROUNDS))?;
        if status != Some(simulated.status) {
            return Err(Error::Sum { qemu: status, simulator: simulated.status });
        }
        start = start.min(time);
        fast = fast.min(on_qemu(qemu, &program(mode, ROUNDS + QEMU_ROUNDS))?.0);
    }
    let qemu_steps = (steps / ROUNDS * QEMU_ROUNDS) as f64;
    let qemu_time = fast.saturating_sub(start).as_secs_f64();
    Ok(Speed { simulator: steps as f64 / simulator.as_secs_f64(), qemu: qemu_steps / qemu_time })
}

/// The program in memory.
fn program(mode: Mode, rounds: u64) -> Vec<u8> {
    let mut code = Vec::new();
    // An address by how far it is.
    let load_address = |code: &mut Vec<Instruction>, register: u8, address: u64| {
        let here = MEMORY + 4 * code.len() as u64;
        let [upper, lower] = load_immediate(register, address - here);
        code.extend([Instruction { op: Op::Auipc, ..upper }, Instruction { rs1: register, ..lower }]);
    };
    load_address(&mut code, 6, DATA);
    load_address(&mut code, 7, DATA + DATA_BYTES);
    code.extend(load_immediate(5, rounds));
    code.push(with(Op::Addi, 10, 0, 0, 1));
    let write = |register, csr: u16| with(Op::Csrrw, 0, register, 0, csr.into());
    match mode {
        Mode::Machine => {}
        Mode::Supervisor => panic!("the program runs in M-mode or in U-mode"),
        Mode::User => {
            // All of memory may be reached, and lies where it lies.
            code.extend([with(Op::Addi, 11, 0, 0, -1), write(11, number::PMPADDR0)]);
            code.extend([with(Op::Addi, 11, 0, 0, 0x1F), write(11, number::PMPCFG0)]);
            load_address(&mut code, 11, TABLE);
            code.extend([with(Op::Srli, 11, 11, 0, 12), with(Op::Addi, 12, 0, 0, 8), with(Op::Slli, 12, 12, 0, 60)]);
            code.extend([with(Op::Or, 11, 11, 12, 0), write(11, number::SATP), write(0, number::MSTATUS)]);
            let next = MEMORY + 4 * (code.len() as u64 + 4);
            load_address(&mut code, 11, next);
            code.extend([write(11, number::MEPC), with(Op::Mret, 0, 0, 0, 0)]);
        }
    }
    code.extend(LOOP);
    code.extend([with(Op::Andi, 10, 10, 0, 0x7F), with(Op::Slli, 10, 10, 0, 16)]);
    code.extend(load_immediate(11, ENDS_WITH_STATUS as u64));
    code.extend([with(Op::Or, 10, 10, 11, 0), with(Op::Lui, 11, 0, 0, TEST_DEVICE as i32)]);
    code.extend([with(Op::Sw, 0, 11, 10, 0), with(Op::Jal, 0, 0, 0, 0)]);
    let mut image: Vec<_> = code.iter().flat_map(bytes).collect();
    image.resize(BYTES, 0);
    // Pages of 1 GiB for U with all permissions: that of the device, and that of memory.
    for index in [TEST_DEVICE >> 30, MEMORY >> 30] {
        let at = (TABLE - MEMORY + 8 * index) as usize;
        image[at..at + 8].copy_from_slice(&(index << 28 | 0xDF).to_le_bytes());
    }
    image
}

/// How long QEMU takes, and the status that it ends with.
fn on_qemu(qemu: &RiscvQemu, program: &[u8]) -> Result<(Duration, Option<i32>), Error> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("program");
    fs::write(&path, elf_at(MEMORY, program))?;
    let begin = Instant::now();
    let output = qemu.command(&path).stdin(Stdio::null()).output()?;
    let time = begin.elapsed();
    match output.status.code() {
        Some(status) => Ok((time, Some(status))),
        None => {
            Err(Error::Ended { status: output.status, messages: String::from_utf8_lossy(&output.stderr).into_owned() })
        }
    }
}

/// A run on the simulator.
struct Simulated {
    time: Duration,
    steps: u64,
    status: i32,
}

fn on_simulator(program: &[u8]) -> Simulated {
    let mut bus = Machine { memory: MemoryBus::new(MEMORY, BYTES), ended: None };
    bus.memory.bytes_mut(MEMORY, BYTES).copy_from_slice(program);
    let mut hart = Hart::new(&Config { hart: 0, reset_pc: MEMORY, physical_bits: 32 });
    let begin = Instant::now();
    while bus.ended.is_none() {
        hart.run(&mut bus, STEPS);
    }
    let time = begin.elapsed();
    Simulated { time, steps: hart.steps(), status: (bus.ended.unwrap_or_default() >> 16) as i32 }
}

/// Memory, and the device that ends the program.
struct Machine {
    memory: MemoryBus,
    ended: Option<u32>,
}

impl Bus for Machine {
    #[inline]
    fn load<const N: usize>(&mut self, hart: usize, address: u64) -> Result<[u8; N], BusFault> {
        self.memory.load(hart, address)
    }

    #[inline]
    fn store<const N: usize>(&mut self, hart: usize, address: u64, bytes: [u8; N]) -> Result<(), BusFault> {
        self.memory.store(hart, address, bytes).or_else(|fault| {
            if address != TEST_DEVICE {
                return Err(fault);
            }
            let value = bytes.as_slice().try_into().map_err(|_| fault)?;
            self.ended = Some(u32::from_le_bytes(value));
            Ok(())
        })
    }

    fn fetch(&mut self, hart: usize, address: u64) -> Result<u16, BusFault> {
        self.memory.fetch(hart, address)
    }

    fn has_atomics(&self, address: u64) -> bool {
        self.memory.has_atomics(address)
    }

    fn reservations(&mut self) -> &mut Reservations {
        self.memory.reservations()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the loop computes, in Rust.
    fn sum(rounds: u64) -> u64 {
        let mut data = program(Mode::User, rounds)[(DATA - MEMORY) as usize..][..DATA_BYTES as usize].to_vec();
        let mut sum = 1u64;
        for _ in 0..rounds {
            for word in data.chunks_exact_mut(8) {
                sum = sum.wrapping_add(u64::from_le_bytes(word.try_into().unwrap()));
                sum ^= sum << 13 ^ sum >> 7;
                word.copy_from_slice(&sum.to_le_bytes());
                if sum & 1 == 1 {
                    let product = u64::from(word[3]).wrapping_mul(sum);
                    word[4..6].copy_from_slice(&(product as u16).to_le_bytes());
                }
            }
        }
        sum
    }

    #[test]
    fn the_program_ends_with_its_sum_in_both_modes() {
        for mode in [Mode::Machine, Mode::User] {
            let Simulated { status, steps, .. } = on_simulator(&program(mode, 3));
            assert_eq!(status, (sum(3) & 0x7F) as i32, "{mode:?}");
            assert!(steps > 3 * DATA_BYTES / 8 * 10, "{steps}");
        }
    }
}
