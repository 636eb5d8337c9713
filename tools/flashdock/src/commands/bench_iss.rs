//! `bench iss`: the speed of the instruction-set simulator beside QEMU's, in wall-clock time.

use super::bench::{figures_json, figures_table, Must};
use super::linux::guest_failed;
use crate::failure::{Failure, Result};
use crate::output;
use iss_reference::speed;
use serde_json::Value;
use sim_guest::{RiscvQemu, Toolchain};
use sim_iss::Mode;

/// Measure how fast the instruction-set simulator is beside QEMU as a machine of riscv64, on the same program in one run
///
/// The program computes over 64 KiB without an operating system, in M-mode and in U-mode under Sv39. QEMU translates it to instructions of this machine.
#[derive(clap::Args)]
#[group(id = "iss")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The part of QEMU's speed that is asked for.
const RATIO_LEAST: f64 = 1.0 / 15.0;

/// Measures both, and prints.
pub fn run(args: &Args) -> Result {
    let qemu = RiscvQemu::found(&Toolchain::from_env()).map_err(|error| guest_failed(&error))?;
    let measure = |mode| {
        speed::measure(&qemu, mode)
            .map_err(|error| Failure::new(error.to_string(), "run `cargo test --package iss-reference`, and report it"))
    };
    let (machine, user) = (measure(Mode::Machine)?, measure(Mode::User)?);
    let million = 1e6;
    let must = Must::BeAtLeast(RATIO_LEAST);
    let figures = [
        ("iss_over_qemu_ratio", machine.ratio().min(user.ratio()), Some(must), "the lower of the two modes"),
        ("iss_machine_mips", machine.simulator / million, None, "million instructions per second in M-mode"),
        ("qemu_machine_mips", machine.qemu / million, None, "the same in QEMU"),
        ("iss_user_mips", user.simulator / million, None, "million instructions per second in U-mode under Sv39"),
        ("qemu_user_mips", user.qemu / million, None, "the same in QEMU"),
    ];
    if args.json {
        return output::print_json(&Value::Object(figures_json(&figures)));
    }
    output::print(&figures_table("figure", figures))
}
