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
pub use run::{Difference, LockStep, Report};

use sim_device::Random;
use sim_firmware::Image;
use sim_tile::{Bench, Stalls, MODEL};
use sim_verilator::{Library, Reset};
use soc_map::firmware::PARAMETERS;

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
        let mut lock_step = with_random_program(library, seed);
        lock_step.run(left.min(PROGRAM_INSTRUCTIONS)).map_err(|difference| difference.of_seed(seed))?;
        total += lock_step.report();
    }
    Ok(total)
}

/// Both about to begin with the random program of a seed.
pub fn with_random_program(library: &Library, seed: u64) -> LockStep {
    let mut random = Random::new(seed);
    let program = random_program(&mut random);
    let level = *random.pick(&[0, 0, 4, 12]);
    let stalls = Stalls { takes: level, answers: level };
    let model = library.model_with(MODEL, Reset::Seed(seed as u32));
    let bench = Bench::new(model, 0, &program.boot, stalls, seed);
    LockStep::new(bench, &program.memory, Some(program::DISTURBED), random.next_u64())
}

/// Both about to begin with firmware, from the boot ROM on. Registers of the controller answer with what is in none of them.
pub fn with_firmware(library: &Library, image: &Image, parameters: &[u8], seed: u64) -> LockStep {
    let boot = program::boot_of_firmware();
    let mut memory: Vec<_> =
        image.segments().iter().map(|segment| (segment.address, segment.content.clone())).collect();
    memory.push((PARAMETERS.base, parameters.to_vec()));
    let model = library.model_with(MODEL, Reset::Seed(seed as u32));
    let bench = Bench::new(model, 0, &boot, Stalls { takes: 0, answers: 0 }, seed);
    LockStep::new(bench, &memory, None, seed)
}
