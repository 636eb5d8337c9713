//! # The instruction-set simulator in lock-step with the Verilated tile
//!
//! The tile runs a program, and each instruction that it retires is carried out by the simulator too. Both must agree on address and instruction, on each value
//! that comes into a register, on each trap, on each line of memory that the tile gives back and on each write to a register of a device.
//!
//! ```text
//!  seed --> program --+--> Bench (sim-tile): tile, memory, interrupts, probes ----> what retires and lands, clock by clock --+
//!                     |                                                                                                   v
//!                     +--> Hart (sim-iss) with a memory of its own <--- one step for each, and what is injected ---- LockStep --> Difference
//! ```
//!
//! ## What the tile decides
//! - When an interrupt is taken. The simulator has to find the same cause.
//! - What a device answers: the value that lands is put into the simulator's register.
//! - `mcycle`, `minstret` and their copies, which count clocks there, and `mip` and `sip`, whose lines come with a delay.
//! - Whether `sc` succeeds, of which Rocket decides by clocks. It must not succeed where no reservation can be.
//!
//! ## When values are compared
//! Those that are written as an instruction retires, at once. Those of missed loads, of multiplications and divisions, and of the FPU come later, and in another order; each is
//! kept, by its register, until it lands.
#![deny(missing_docs)]

mod program;
mod run;

pub use program::{random_program, Program};
pub use run::{Difference, LockStep, Memories, Report};

use sim_device::Random;
use sim_tile::{Bench, Stalls, MODEL};
use sim_verilator::{Library, Reset};

/// Instructions of one random program, each in about three rounds of its loop.
const PROGRAM_INSTRUCTIONS: u64 = 20_000;

/// Runs random programs until so many instructions are compared.
///
/// # Errors
/// The tile and the simulator do not do the same.
pub fn run(library: &Library, instructions: u64, seed: u64) -> Result<Report, Box<Difference>> {
    let mut total = Report::default();
    for round in 0.. {
        let left = instructions.saturating_sub(total.retired);
        if left == 0 {
            break;
        }
        let seed = seed.wrapping_add(round);
        let report = run_one(library, left.min(PROGRAM_INSTRUCTIONS), seed);
        total += report.map_err(|difference| Box::new(difference.of_seed(seed)))?;
    }
    Ok(total)
}

/// Runs one random program.
///
/// # Errors
/// As [`run`].
pub fn run_one(library: &Library, instructions: u64, seed: u64) -> Result<Report, Difference> {
    let mut random = Random::new(seed);
    let program = random_program(&mut random);
    let level = *random.pick(&[0, 0, 4, 12]);
    let stalls = Stalls { takes: level, answers: level };
    let model = library.model_with(MODEL, Reset::Seed(seed as u32));
    let mut bench = Bench::new(model, 0, &program.boot, stalls, seed);
    for (address, bytes) in &program.memory {
        bench.memory.write(*address, bytes);
    }
    let mut lock_step = LockStep::new(bench, program.memories(), random.next_u64());
    lock_step.run(instructions)?;
    Ok(lock_step.report())
}
