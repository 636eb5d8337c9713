//! The monitor: what a hart does in M-mode, once S-mode runs.
//!
//! ```text
//!   U --access fault--------> reflected to S, as if it had been delegated: Rocket cannot delegate those
//!   U --illegal instruction-> likewise, but for rdtime, which is carried out, also for S
//!   S --ecall---------------> timers and interrupts of other harts: sbi.rs
//!                             STOP, with a record; TRAPPED: a trap that S took from itself
//!   timer, software --------> handed on to S
//!   anything else ----------> the hart stops
//! ```
//! The hart that stops leaves a record and an event. That of the host interface tells the hosts of all functions, again in each life that they begin; others
//! just do not go on, and their neighbours do.

use crate::csr::{read_csr, write_csr};
use crate::start::{console, port, wait};
use crate::{sbi, tracing};
use core::arch::{asm, global_asm};
use core::panic::PanicInfo;
use core::ptr;
use nvme_spec::firmware_port::{self as regs, status_set};
use soc_firmware::record::{Record, MAGIC, PANIC, TRAP};
use soc_hal::Mmio;
use soc_map::firmware::{record, stack, MONITOR};
use soc_map::privileged::{cause, status, RD, READ_TIME};
use soc_map::roles::Role;
use soc_map::trace::HART_STOPPED;
use soc_map::Region;

/// In `a7` of an `ecall`: firmware must not go on; `a0` is the address of its record.
const STOP: u32 = u32::from_be_bytes(*b"STOP");

/// In `a7` of an `ecall`: firmware has trapped in S-mode; `sscratch` has its `a7`.
pub const TRAPPED: u32 = u32::from_be_bytes(*b"TRAP");

/// `x1` to `x31` of what has trapped.
type Frame = [u64; 31];

/// The places of `a0`, `a1`, `a6` and `a7` in it.
const A0: usize = 10 - 1;
const A1: usize = 11 - 1;
const A6: usize = 16 - 1;
const A7: usize = 17 - 1;

/// Bytes of a frame on the stack.
const FRAME_BYTES: usize = size_of::<Frame>().next_multiple_of(16);

// `mscratch` is the top of the stack of M-mode, or 0 in there: what traps there takes the stack as it is. A trap in that spins.
global_asm!(
    ".pushsection .text.monitor, \"ax\"",
    ".balign 4",
    ".globl monitor_trap",
    "monitor_trap:",
    "    csrrw sp, mscratch, sp",
    "    bnez sp, 1f",
    "    csrr sp, mscratch",
    "    addi sp, sp, -{frame}",
    "    sd   t0, 32(sp)",
    "    la   t0, spin",
    "    csrw mtvec, t0",
    "    addi t0, sp, {frame}",
    "    j    2f",
    "1:  addi sp, sp, -{frame}",
    "    sd   t0, 32(sp)",
    "    csrr t0, mscratch",
    "2:  sd   t0, 8(sp)",
    "    csrw mscratch, zero",
    "    .irp n, 1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "    sd   x\\n, (8 * \\n - 8)(sp)",
    "    .endr",
    "    mv   a0, sp",
    "    call {trapped}",
    "    addi t0, sp, {frame}",
    "    csrw mscratch, t0",
    "    .irp n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "    ld   x\\n, (8 * \\n - 8)(sp)",
    "    .endr",
    "    ld   sp, 8(sp)",
    "    mret",
    "    .balign 4",
    "spin:",
    "    j    spin",
    ".popsection",
    frame = const FRAME_BYTES,
    trapped = sym trapped,
);

/// A trap, by its registers.
struct Trap {
    cause: u64,
    pc: u64,
    value: u64,
}

/// Comes from `monitor_trap`, and goes back there unless the hart stops.
extern "C" fn trapped(frame: &mut Frame) {
    let trap = Trap { cause: read_csr!("mcause"), pc: read_csr!("mepc"), value: read_csr!("mtval") };
    let mode = read_csr!("mstatus") & status::MPP;
    let hart = read_csr!("mhartid") as u32;
    if trap.cause & cause::INTERRUPT != 0 && sbi::hand_on(hart, trap.cause & !cause::INTERRUPT) {
        return;
    }
    match trap.cause {
        cause::ILLEGAL_INSTRUCTION if trap.value & !RD == READ_TIME => {
            // The frame has no `x0`.
            let rd = (trap.value & RD) >> RD.trailing_zeros();
            if let Some(register) = frame.get_mut((rd as usize).wrapping_sub(1)) {
                *register = sbi::read_time();
            }
            write_csr!("mepc", trap.pc + 4);
        }
        cause::ILLEGAL_INSTRUCTION if mode == 0 => reflect(&trap),
        cause::INSTRUCTION_ACCESS_FAULT | cause::LOAD_ACCESS_FAULT | cause::STORE_ACCESS_FAULT if mode == 0 => {
            reflect(&trap);
        }
        cause::SUPERVISOR_CALL | cause::MACHINE_CALL if frame[A7] == STOP.into() => {
            let place = if trap.cause == cause::MACHINE_CALL { MONITOR } else { stack(hart) };
            match record_at(frame[A0], &place) {
                Some(mut record) => {
                    (record.pc, record.registers) = (trap.pc.into(), frame.map(u64::into));
                    stop(hart, record)
                }
                None => stop_trapped(hart, &trap, frame),
            }
        }
        cause::SUPERVISOR_CALL if frame[A7] != TRAPPED.into() => {
            let [extension, function, first, second] = [A7, A6, A0, A1].map(|register| frame[register]);
            match sbi::answer(hart, extension, function, first, second) {
                Some(error) => {
                    // What a call returns beside an error is 0 for these.
                    (frame[A0], frame[A1]) = (error, 0);
                    write_csr!("mepc", trap.pc + 4);
                }
                None => stop_trapped(hart, &trap, frame),
            }
        }
        cause::SUPERVISOR_CALL => {
            let trap = Trap { cause: read_csr!("scause"), pc: read_csr!("sepc"), value: read_csr!("stval") };
            let mut frame = *frame;
            frame[A7] = read_csr!("sscratch");
            stop_trapped(hart, &trap, &frame);
        }
        _ => stop_trapped(hart, &trap, frame),
    }
}

/// Has S-mode handle a trap of U.
fn reflect(trap: &Trap) {
    write_csr!("scause", trap.cause);
    write_csr!("sepc", trap.pc);
    write_csr!("stval", trap.value);
    let before = read_csr!("mstatus");
    let spie = if before & status::SIE != 0 { status::SPIE } else { 0 };
    let cleared = before & !(status::MPP | status::SPP | status::SPIE | status::SIE);
    write_csr!("mstatus", cleared | status::MPP_SUPERVISOR | spie);
    write_csr!("mepc", read_csr!("stvec"));
}

/// The record that lies there, if all of it lies in its place.
fn record_at(address: u64, place: &Region) -> Option<Record> {
    let end = address.checked_add(size_of::<Record>() as u64)?;
    let is_inside = place.base <= address && end <= place.end();
    // SAFETY: it is memory of this hart, which waits for us. Any bytes are a record, at any address.
    is_inside.then(|| unsafe { (address as *const Record).read_unaligned() })
}

#[panic_handler]
fn panicked(panic: &PanicInfo<'_>) -> ! {
    let record = Record::new(PANIC, format_args!("{panic}"));
    // SAFETY: the monitor reads the record, and does not come back.
    unsafe { asm!("ecall", in("a0") &record, in("a7") STOP, options(noreturn)) }
}

/// Stops the hart for a trap of firmware.
fn stop_trapped(hart: u32, trap: &Trap, frame: &Frame) -> ! {
    let Trap { cause, pc, value } = *trap;
    let text = format_args!("trap: {} ({cause:#x}), pc {pc:#x}, value {value:#x}", cause::name(cause));
    let mut record = Record::new(TRAP, text);
    (record.cause, record.pc, record.value) = (cause.into(), pc.into(), value.into());
    record.registers = frame.map(u64::into);
    stop(hart, record)
}

/// Leaves a record. If hosts depend on the hart, they are told from then on that their controller is dead.
fn stop(hart: u32, mut stopped: Record) -> ! {
    let place = record(hart).base as *mut Record;
    (stopped.magic, stopped.hart) = (0.into(), u64::from(hart).into());
    // SAFETY: the map gives the region to the record alone. Whoever reads it finds the mark when the rest is there.
    unsafe {
        place.write_volatile(stopped);
        ptr::addr_of_mut!((*place).magic).write_volatile(MAGIC.into());
    }
    stopped.magic = MAGIC.into();
    tracing::write(hart, &HART_STOPPED, [stopped.cause.get(), stopped.pc.get(), stopped.value.get()]);
    console().say(format_args!("hart {hart} has stopped: {}", stopped.said().unwrap_or_default()));
    if Role::of(hart) != Role::HostInterface {
        loop {
            wait();
        }
    }
    // SAFETY: the firmware that used them does not go on.
    let mut port = unsafe { port() };
    let functions = regs::functions::COUNT.get32(port.read32(regs::FUNCTIONS.offset));
    loop {
        for function in 0..functions.min(regs::FUNCTIONS_MAX) as u8 {
            let status = regs::of_function(&regs::STATUS_SET, function).offset;
            let value = port.read32(status);
            port.write32(status, status_set::CFS.set32(value, 1));
        }
        // A controller that is disabled has no such state: its host is told when it comes, which is an event.
        wait();
    }
}
