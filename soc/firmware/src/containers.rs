//! A hart for containers: its process in U-mode, and the firmware that the process calls.
//!
//! ```text
//!   enter_user --sret--> U --ecall--> supervisor_trap --> system_call --sret--> U
//!        ^                  any other trap --> user_trapped --+
//!        +---------------------- leave_user <------ exit -----+
//! ```
//! `sscratch` is the address of the process's [`Context`] while U runs, and 0 in S-mode: a trap from there is firmware's own.

use crate::csr::{read_csr, write_csr};
use crate::monitor::TRAPPED;
use crate::start::wait;
use crate::tracing;
use core::arch::{asm, global_asm};
use core::ffi::c_void;
use core::mem::offset_of;
use soc_firmware::calls::{self, Answer};
use soc_firmware::process::{self, Program, Tables, STACK_TOP};
use soc_map::containers::{slot, VIRTUAL_BASE};
use soc_map::privileged::cause::USER_CALL;
use soc_map::privileged::status::SPP;
use soc_map::trace::{Kind, PROCESS_ENDED, PROCESS_STARTED, PROCESS_TRAPPED, PROGRAM_REFUSED};
use soc_map::Region;

/// What a process has in its hart's registers while it is not running, and how it is left.
#[repr(C, align(16))]
struct Context {
    /// `x1` to `x31`.
    registers: [u64; 31],
    pc: u64,
    /// The stack of firmware.
    stack: u64,
    /// Not 0: the process has ended.
    has_ended: u64,
    hart: u32,
    end: End,
}

/// How a process has ended.
struct End {
    kind: &'static Kind,
    values: [u64; 3],
}

/// Bytes that `enter_user` leaves on the stack: `ra`, `s0` to `s11`, and the context.
const SAVED_BYTES: usize = 8 * 14;

// A call saves and restores the integer registers that a function may change, but for `a0`, so that nothing of firmware is left in a register; the others the function itself brings back.
global_asm!(
    ".pushsection .text.containers, \"ax\"",
    ".globl enter_user",
    "enter_user:",
    "    addi sp, sp, -{saved}",
    "    sd   ra, 0(sp)",
    "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
    "    sd   s\\n, (8 * \\n + 8)(sp)",
    "    .endr",
    "    sd   a0, 104(sp)",
    "    sd   sp, {stack}(a0)",
    "    csrw sscratch, a0",
    "    ld   t0, {pc}(a0)",
    "    csrw sepc, t0",
    "    li   t0, {spp}",
    "    csrc sstatus, t0",
    "    csrw fcsr, zero",
    "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "    fmv.d.x f\\n, zero",
    "    .endr",
    "    .irp n, 1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "    ld   x\\n, (8 * \\n - 8)(a0)",
    "    .endr",
    "    ld   sp, 8(a0)",
    "    ld   a0, 72(a0)",
    "    sret",
    "    .balign 4",
    ".globl supervisor_trap",
    "supervisor_trap:",
    "    csrrw sp, sscratch, sp",
    "    bnez sp, 1f",
    "    csrrw sp, sscratch, sp",
    "    csrw sscratch, a7",
    "    li   a7, {trapped}",
    "    ecall",
    "1:  .irp n, 1, 5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31",
    "    sd   x\\n, (8 * \\n - 8)(sp)",
    "    .endr",
    "    csrrw t0, sscratch, zero",
    "    sd   t0, 8(sp)",
    "    csrr t0, scause",
    "    li   t1, {user_call}",
    "    mv   a6, sp",
    "    ld   sp, {stack}(a6)",
    "    bne  t0, t1, 2f",
    "    csrr t0, sepc",
    "    addi t0, t0, 4",
    "    csrw sepc, t0",
    "    call {system_call}",
    "    ld   t0, 104(sp)",
    "    ld   t1, {has_ended}(t0)",
    "    bnez t1, leave_user",
    "    csrw sscratch, t0",
    "    mv   sp, t0",
    "    .irp n, 1, 5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31",
    "    ld   x\\n, (8 * \\n - 8)(sp)",
    "    .endr",
    "    ld   sp, 8(sp)",
    "    sret",
    "2:  mv   a0, a6",
    "    call {user_trapped}",
    "leave_user:",
    "    ld   ra, 0(sp)",
    "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
    "    ld   s\\n, (8 * \\n + 8)(sp)",
    "    .endr",
    "    addi sp, sp, {saved}",
    "    ret",
    ".popsection",
    saved = const SAVED_BYTES,
    stack = const offset_of!(Context, stack),
    pc = const offset_of!(Context, pc),
    has_ended = const offset_of!(Context, has_ended),
    spp = const SPP,
    user_call = const USER_CALL,
    trapped = const TRAPPED,
    system_call = sym system_call,
    user_trapped = sym user_trapped,
);

extern "C" {
    /// Runs the process of a [`Context`] until it has ended.
    fn enter_user(context: *mut c_void);
    fn supervisor_trap();
}

/// The address of the handler of S-mode, for all roles.
pub fn trap_vector() -> u64 {
    supervisor_trap as *const () as u64
}

/// Runs what is loaded into the slot of this hart, for ever.
pub fn run(hart: u32) -> ! {
    if let Some(slot) = slot(hart) {
        run_program(hart, &slot);
    }
    loop {
        wait();
    }
}

fn run_program(hart: u32, slot: &Region) {
    let place = slot.base as *mut Program;
    // SAFETY: the map gives the slot to this hart, and any bytes are what a loader says. It is taken, so that it does not run again.
    let program = unsafe { place.replace(Program::none()) };
    let code_bytes = match program.code_bytes() {
        Ok(None) => return,
        Ok(Some(code_bytes)) => code_bytes,
        Err(refused) => {
            return tracing::write(hart, &PROGRAM_REFUSED, [0, refused.map, refused.code_bytes]);
        }
    };
    // SAFETY: likewise; any bytes are tables, and no process runs that they belong to.
    process::map(unsafe { &mut *(process::tables_at(slot) as *mut Tables) }, slot, code_bytes);
    let end = End { kind: &PROCESS_ENDED, values: [0; 3] };
    let mut context = Context { registers: [0; 31], pc: VIRTUAL_BASE, stack: 0, has_ended: 0, hart, end };
    context.registers[2 - 1] = STACK_TOP;
    tracing::write(hart, &PROCESS_STARTED, [0, VIRTUAL_BASE, code_bytes]);
    translate(process::satp(slot));
    // SAFETY: the tables show firmware where it is, and the process what is its own.
    unsafe { enter_user((&raw mut context).cast()) };
    translate(0);
    tracing::write(hart, context.end.kind, context.end.values);
}

/// Has other tables, and other code.
fn translate(satp: u64) {
    write_csr!("satp", satp);
    // SAFETY: firmware lies at the same addresses in all tables.
    unsafe { asm!("sfence.vma", "fence.i", options(nostack)) }
}

/// A system call: its arguments, and its number in `a7`. What it returns is for `a0`. It uses no floating point, whose registers are the process's.
#[allow(clippy::too_many_arguments, reason = "they are the registers of a call")]
extern "C" fn system_call(
    first: u64,
    _: u64,
    _: u64,
    _: u64,
    _: u64,
    _: u64,
    context: &mut Context,
    number: u64,
) -> u64 {
    match calls::answer(number, first, context.hart) {
        Answer::Return(value) => value,
        Answer::Exit(status) => {
            (context.has_ended, context.end.values) = (1, [0, status, 0]);
            0
        }
    }
}

/// The process did what it may not.
extern "C" fn user_trapped(context: &mut Context) {
    let values = [read_csr!("scause"), read_csr!("sepc"), read_csr!("stval")];
    context.end = End { kind: &PROCESS_TRAPPED, values };
}
