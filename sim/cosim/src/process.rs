//! A process on a hart for containers, and what its system calls cost.

use crate::cores::{CoresKind, CoresOptions, CLOCKS_PER_CYCLE};
use crate::hardware::{Error, Options, Verilated};
use nvme_hw::Config;
use sim_device::Device;
use sim_firmware::Image;
use sim_iss::{encode, number, Instruction, Op};
use soc_firmware::calls::{EXIT, GETPID};
use soc_map::containers::{slot, VIRTUAL_BASE};
use soc_map::privileged::sv39::PAGE_BYTES;
use soc_map::roles::Role;
use soc_map::trace::PROCESS_ENDED;
use soc_map::HARTS_MAX;
use std::sync::Arc;
use zerocopy::little_endian::U64;
use zerocopy::FromBytes;

/// Most core clocks of an Identify Controller on the Verilated tile: the project's figure `admin_identify_cycles_on_cores`.
pub const IDENTIFY_CLOCKS_MAX: u64 = 12_000;

/// Most core clocks of a system call.
pub const SYSTEM_CALL_CLOCKS_MAX: u64 = 400;

/// Calls that are made; the last one is measured, with code and data of both sides in the caches.
const CALLS: i32 = 16;

/// Clocks within which they are done.
const CLOCKS_MAX: u64 = 400_000;

/// Core clocks from a system call of a process, `getpid`, to the instruction behind it. There and back it is one trap.
///
/// # Errors
/// If there is no such device, or the process does not end.
pub fn system_call_clocks(image: &Image, kind: CoresKind) -> Result<u64, Error> {
    let failed = |error: &dyn ToString| Error::Cores(error.to_string());
    let hart = (0..HARTS_MAX).find(|hart| Role::of(*hart) == Role::Containers).unwrap_or(0);
    let image = image.clone().with_program(hart, &program()).map_err(|error| failed(&error))?;
    let cores = Some(CoresOptions { image: Arc::new(image), harts: hart + 1, kind });
    let mut device = Verilated::new(&Options { cores, ..Options::new(Config::SMALL) })?;
    let end = device.clock() + CLOCKS_MAX;
    while !device.firmware_trace(hart).is_some_and(|ring| ring.events().any(|e| e.kind() == Some(&PROCESS_ENDED))) {
        if device.clock() >= end {
            return Err(failed(&"a process does not end"));
        }
        device.step(1_000);
    }
    let place = slot(hart).map_or(0, |slot| slot.base + 2 * PAGE_BYTES);
    let bytes = device.read_firmware_memory(place, size_of::<[U64; 3]>()).unwrap_or_default();
    let times = <[U64; 3]>::read_from_bytes(&bytes).map_err(|_| failed(&"there is no memory of firmware"))?;
    let [before, behind, last] = times.map(U64::get);
    // What it takes to look at the time is not the call's.
    Ok((behind - before - (last - behind)) * u64::from(CLOCKS_PER_CYCLE))
}

/// Leaves the times before and behind the call, and that of another look, in the page behind its code.
fn program() -> Vec<u8> {
    let i = Instruction::new;
    let [zero, t0, t1, t2, s0, s1, a0, a7] = [0, 5, 6, 7, 8, 9, 10, 17];
    let set = |rd, value: i32| Instruction { rd, rs1: zero, immediate: value, ..i(Op::Addi) };
    let time = |rd| Instruction { rd, rs1: zero, immediate: number::CYCLE.into(), ..i(Op::Csrrs) };
    let keep = |rs2, word: i32| Instruction { rs1: s0, rs2, immediate: 8 * word, ..i(Op::Sd) };
    let body = [
        set(a7, GETPID as i32),
        time(t0),
        i(Op::Ecall),
        time(t1),
        time(t2),
        keep(t0, 0),
        keep(t1, 1),
        keep(t2, 2),
        Instruction { rd: s1, rs1: s1, immediate: -1, ..i(Op::Addi) },
    ];
    let back = -4 * body.len() as i32;
    let mut program =
        vec![Instruction { rd: s0, immediate: (VIRTUAL_BASE + PAGE_BYTES) as i32, ..i(Op::Lui) }, set(s1, CALLS)];
    program.extend(body);
    program.push(Instruction { rs1: s1, rs2: zero, immediate: back, ..i(Op::Bne) });
    program.extend([set(a0, 0), set(a7, EXIT as i32), i(Op::Ecall)]);
    program.iter().flat_map(|instruction| encode(instruction).to_le_bytes()).collect()
}
