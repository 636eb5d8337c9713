//! `bench cores`: the figures of the processors.

use super::bench::{figures_json, figures_table, Figure, Must};
use crate::backend::{no_device, BackEnd, Kind, Processor, Settings};
use crate::failure::Result;
use crate::output::{self, Paint};
use crate::workload;
use nvme_spec::identify::{cns, IDENTIFY_BYTES};
use rustix::time::{clock_gettime, ClockId};
use serde_json::Value;
use sim_cosim::{system_call_clocks, CoresKind, Soc, Start, IDENTIFY_CLOCKS_MAX, SYSTEM_CALL_CLOCKS_MAX};
use sim_host::{identify_entry, Driver, Options};
use sim_iss::{encode, Instruction, MemoryBus, Op};
use sim_verilator::Toolchain;
use soc_map::firmware::{ENTRY, IMAGE_BYTES_MAX, STACKS, STACK_BYTES};
use soc_map::{FIRMWARE, HARTS_MAX};

/// Measure the device's processors: firmware on them in clocks, and how fast they are simulated
///
/// The first run compiles the firmware and builds the models, which takes minutes.
#[derive(clap::Args)]
#[group(id = "cores")]
pub struct Args {
    /// Clocks for which the speed of a simulation is measured
    #[arg(long, value_name = "N", default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    clocks: u64,
    /// Chooses what is random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Least speed with six busy harts, of that with one.
const SIX_LEAST: f64 = 1.0 / 7.0;
/// Likewise with four of the six asleep.
const ASLEEP_LEAST: f64 = 1.0 / 3.0;

/// Measures and prints.
pub fn run(args: &Args) -> Result {
    let mut figures = identify(args)?;
    figures.extend(speeds(args)?);
    if args.json {
        return output::print_json(&Value::Object(figures_json(&figures)));
    }
    let heading = Paint::stdout().strong("Processors");
    output::print(&format!("{heading}: the Verilated tiles\n{}", figures_table("figure", figures)))
}

/// From the doorbell to the completion in the host's memory, and the firmware that does it.
fn identify(args: &Args) -> Result<Vec<Figure>> {
    let mut settings = Settings::new(Kind::Verilated, args.seed);
    let cores = Processor::Rtl.cores(1)?;
    let image = cores.as_ref().map(|cores| cores.image.clone());
    settings.cores = cores;
    let mut device = BackEnd::new(&settings)?;
    let mut driver = Driver::new(&mut device, Options::default());
    driver.bring_up().map_err(workload::device_failed)?;
    let asked = driver.admin_data(identify_entry(cns::CONTROLLER, 0), IDENTIFY_BYTES as usize);
    let (completion, _) = asked.map_err(workload::device_failed)?;
    let image = image.as_deref().expect("there are processors");
    let call = system_call_clocks(image, CoresKind::Verilated(Start::Ready)).map_err(no_device)?;
    Ok(vec![
        (
            "admin_identify_cycles_on_cores",
            completion.latency() as f64,
            Some(Must::BeAtMost(IDENTIFY_CLOCKS_MAX as f64)),
            "Identify Controller, from the doorbell to the completion in host memory",
        ),
        (
            "syscall_cycles",
            call as f64,
            Some(Must::BeAtMost(SYSTEM_CALL_CLOCKS_MAX as f64)),
            "a system call of a process in U-mode, getpid, to the instruction behind it",
        ),
        (
            "firmware_image_bytes",
            image.bytes() as f64,
            Some(Must::BeAtMost(IMAGE_BYTES_MAX as f64)),
            "the firmware's image",
        ),
    ])
}

/// How fast the SoC is simulated, in core clocks per second of processor time, so that other programs on this machine do not count.
fn speeds(args: &Args) -> Result<Vec<Figure>> {
    let speed = |harts, busy| speed(args, harts, busy);
    let (one, six, two_of_six) = (speed(1, 1)?, speed(HARTS_MAX, HARTS_MAX)?, speed(HARTS_MAX, 2)?);
    Ok(vec![
        ("sim_one_tile_clocks_per_second", one, None, "simulated core clocks, one busy hart, without the controller"),
        ("sim_six_tiles_ratio", six / one, Some(Must::BeAtLeast(SIX_LEAST)), "speed with six busy harts, over one"),
        (
            "sim_six_tiles_four_asleep_ratio",
            two_of_six / one,
            Some(Must::BeAtLeast(ASLEEP_LEAST)),
            "speed with six harts of which four sleep, over one",
        ),
    ])
}

fn speed(args: &Args, harts: u32, busy: u32) -> Result<f64> {
    let mut memory = MemoryBus::new(FIRMWARE.base, FIRMWARE.bytes as usize);
    let program: Vec<u8> = busy_program(busy).iter().flat_map(|i| encode(i).to_le_bytes()).collect();
    memory.bytes_mut(ENTRY, program.len()).copy_from_slice(&program);
    let soc = Soc::new(harts, &mut memory, &Toolchain::from_env());
    let mut soc = soc.map_err(no_device)?;
    let mut run = |clocks| (0..clocks).for_each(|_| soc.step());
    // The caches fill, and those that sleep come to rest.
    run(args.clocks / 10);
    let start = processor_seconds();
    run(args.clocks);
    Ok(args.clocks as f64 / (processor_seconds() - start))
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The first harts compute, and load and store in a line of their own stacks, for ever; the others sleep.
fn busy_program(busy: u32) -> Vec<Instruction> {
    let i = Instruction::new;
    let [zero, a0, t0, t1, t2] = [0, 10, 5, 6, 7];
    let lui = |rd, value: u64| Instruction { rd, immediate: value as u32 as i32, ..i(Op::Lui) };
    let addi = |rd, rs1, immediate| Instruction { rd, rs1, immediate, ..i(Op::Addi) };
    let three = |op, rd, rs1, rs2| Instruction { rd, rs1, rs2, ..i(op) };
    let csrw = |number: u16, rs1| Instruction { rs1, immediate: number.into(), ..i(Op::Csrrw) };
    let shift = |op, rd, rs1, immediate| Instruction { rd, rs1, immediate, ..i(op) };
    // A stack is as far from the next one as a power of two, and `lui` gives the address with its sign.
    let begin = [
        csrw(sim_iss::number::MIE, zero),
        addi(t0, zero, busy as i32),
        Instruction { rs1: a0, rs2: t0, immediate: 12, ..i(Op::Blt) },
        i(Op::Wfi),
        Instruction { rd: zero, immediate: -4, ..i(Op::Jal) },
        lui(t1, STACKS.base),
        shift(Op::Slli, t1, t1, 32),
        shift(Op::Srli, t1, t1, 32),
        shift(Op::Slli, t0, a0, STACK_BYTES.ilog2() as i32),
        three(Op::Add, t1, t1, t0),
        addi(t2, zero, 1),
    ];
    // Multiplies, and loads and stores in a line of its own.
    let body = [
        three(Op::Mul, t2, t2, t2),
        three(Op::Add, t2, t2, t0),
        Instruction { rd: t0, rs1: t1, immediate: 8, ..i(Op::Ld) },
        Instruction { rs1: t1, rs2: t2, immediate: 16, ..i(Op::Sd) },
        Instruction { rd: t0, rs1: t0, immediate: 0x7F8, ..i(Op::Andi) },
        three(Op::Xor, t2, t2, t0),
    ];
    let back = -4 * body.len() as i32;
    let mut program = begin.to_vec();
    program.extend(body);
    program.push(Instruction { rd: zero, immediate: back, ..i(Op::Jal) });
    program
}
