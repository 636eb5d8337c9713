//! The simulator does what the Verilated tile does, and a difference between them is found and told.

use lock_step::{run, with_firmware, with_random_program, LockStep, Report};
use sim_device::seed_from_env_or;
use sim_firmware::Toolchain;
use sim_iss::{number, Cause};
use sim_verilator::Library;
use soc_firmware::parameters::Parameters;
use soc_map::rocket::CACHED;
use std::sync::OnceLock;
use zerocopy::IntoBytes;

/// Instructions of the random programs here: `cargo xtask lock-step` compares as many as one likes.
const INSTRUCTIONS: u64 = 200_000;

/// Instructions of firmware's start-up here, of a million.
const FIRMWARE_INSTRUCTIONS: u64 = 60_000;

/// The Verilated tile; none, with a line that says so, where it cannot be had.
fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    let load = || match sim_tile::library() {
        Ok(library) => Some(library),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: the lock-step with the tile. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    };
    LIBRARY.get_or_init(load).as_ref()
}

#[test]
fn random_programs_do_the_same_on_both() {
    let Some(library) = library() else { return };
    let seed = seed_from_env_or(0x10C_0001);
    let report = run(library, INSTRUCTIONS, seed).unwrap_or_else(|difference| panic!("{difference}"));
    // Everything that there is to compare has come.
    let Report {
        retired, by_mode, exceptions, interrupts, late, float, injected, conditional, succeeded, lines, ..
    } = report;
    assert!(retired >= INSTRUCTIONS && [0, 1, 3].iter().all(|&mode| by_mode[mode] > INSTRUCTIONS / 50), "{report:?}");
    let causes = [
        Cause::InstructionAccessFault,
        Cause::IllegalInstruction,
        Cause::Breakpoint,
        Cause::LoadAddressMisaligned,
        Cause::LoadAccessFault,
        Cause::StoreAddressMisaligned,
        Cause::StoreAccessFault,
        Cause::UserCall,
        Cause::SupervisorCall,
        Cause::MachineCall,
        Cause::InstructionPageFault,
        Cause::LoadPageFault,
        Cause::StorePageFault,
    ];
    assert!(causes.iter().all(|&cause| exceptions[cause as usize] > 0), "{report:?}");
    assert!(interrupts > 10 && late > 100 && float > 1000 && injected > 10 && lines > 100, "{report:?}");
    assert!(conditional > succeeded && succeeded > 10, "{report:?}");
}

#[test]
fn firmware_starts_up_in_lock_step() {
    let Some(library) = library() else { return };
    let image = match sim_firmware::build(&Toolchain::from_env()) {
        Ok(image) => image,
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: firmware in lock-step with the tile. {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let parameters = Parameters::new(&nvme_fw::Config::new(1 << 20, "SERIAL-1"));
    let mut lock_step = with_firmware(library, &image, parameters.as_bytes(), 1);
    lock_step.run(FIRMWARE_INSTRUCTIONS).unwrap_or_else(|difference| panic!("{difference}"));
    let report = lock_step.report();
    assert!(report.retired == FIRMWARE_INSTRUCTIONS && report.lines > 100, "{report:?}");
    assert_eq!(report.exceptions, [0; 16]);
}

/// Runs a program for a while, changes something in the simulator, and goes on: how the difference is told.
#[track_caller]
fn difference_after(change: impl FnOnce(&mut LockStep)) -> Option<String> {
    let mut lock_step = with_random_program(library()?, 1);
    lock_step.run(2_000).unwrap_or_else(|difference| panic!("{difference}"));
    change(&mut lock_step);
    let difference = lock_step.run(15_000).expect_err("the change is seen");
    assert!(difference.instructions.len() > 8, "{difference}");
    assert!(difference.report.retired >= 2_000, "{difference}");
    Some(difference.message)
}

#[test]
fn what_differs_is_found_and_told() {
    let elsewhere = difference_after(|both| {
        let pc = both.hart().pc();
        both.hart().set_pc(pc ^ 4);
    });
    let Some(elsewhere) = elsewhere else { return };
    assert!(elsewhere.contains("the tile is at") && elsewhere.contains("the simulator at"), "{elsewhere}");
    let difference = |change: fn(&mut LockStep)| difference_after(change).expect("a library");

    let integers = difference(|both| {
        for register in 1..32 {
            let value = both.hart().x(register);
            both.hart().set_x(register, value ^ 2);
        }
    });
    assert!(integers.contains("in the simulator") || integers.contains("the simulator at"), "{integers}");
    let floats = difference(|both| {
        for register in 0..32 {
            let value = both.hart().f(register);
            both.hart().set_f(register, value ^ 1);
        }
    });
    assert!(floats.contains("in the simulator"), "{floats}");
    let handler = difference(|both| both.hart().set_csr(number::MTVEC, OTHER_HANDLER));
    assert!(handler.contains(&format!("the simulator at {OTHER_HANDLER:#x}")), "{handler}");
    // Memory is seen by loads, and when a line is given back.
    let memory = difference(|both| both.memory().write(DATA, &[0x5A; 4096]));
    assert!(memory.contains("in memory, the simulator 0x5a") || memory.contains("in the simulator"), "{memory}");
}

/// Addresses of the programs: an instruction of a handler, and a page of data.
const OTHER_HANDLER: u64 = CACHED.base + 0x100;
const DATA: u64 = CACHED.base + 0x10_0000;
