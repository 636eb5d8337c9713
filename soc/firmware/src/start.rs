//! The first instructions, the main loop, and what happens when it must not go on.
#![allow(unsafe_code)]

use core::arch::{asm, global_asm};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::ptr;
use nvme_fw::{Config, Firmware};
use nvme_spec::firmware_port::{self as regs, status_set};
use soc_firmware::console::Console;
use soc_firmware::note::{self, Note};
use soc_firmware::parameters::Parameters;
use soc_firmware::record::{Record, MAGIC, PANIC, TRAP};
use soc_hal::{Mmio, Registers};
use soc_map::firmware::{RECORD, STACKS, STACK_BYTES};
use soc_map::{HARTS_MAX, NVME_FIRMWARE_PORT, UART};

#[used]
#[link_section = ".note.flashdock"]
static MAP: Note = note::MAP;

/// `mie.MEIE`.
const EXTERNAL_INTERRUPT: usize = 1 << 11;

/// `mstatus.FS`: the floating-point unit may be used.
const FLOATING_POINT: usize = 1 << 13;

// `a0` is the number of the hart and `a1` the address of the parameters. A hart that traps saves its registers to `trap_registers` without touching
// its stack, which may be what it trapped for, and then takes the stack as if it had just begun. A trap in there spins: the record is there, or is not to be had.
global_asm!(
    ".pushsection .text.start, \"ax\"",
    ".globl start",
    "start:",
    "    csrw mie, zero",
    "    la   t0, trap",
    "    csrw mtvec, t0",
    "    li   t0, {harts}",
    "    bgeu a0, t0, park",
    "    li   sp, {stacks}",
    "    li   t0, {stack_bytes}",
    "    addi t1, a0, 1",
    "    mul  t0, t0, t1",
    "    add  sp, sp, t0",
    "    bnez a0, park",
    "    la   t0, bss_start",
    "    la   t1, bss_end",
    "1:  bgeu t0, t1, 2f",
    "    sd   zero, 0(t0)",
    "    addi t0, t0, 8",
    "    j    1b",
    "2:  li   t0, {floating_point}",
    "    csrs mstatus, t0",
    "    li   t0, {external_interrupt}",
    "    csrs mie, t0",
    "    mv   a0, a1",
    "    call run",
    "park:",
    "    wfi",
    "    j    park",
    "    .balign 4",
    "trap:",
    "    csrw mscratch, t0",
    "    la   t0, spin",
    "    csrw mtvec, t0",
    "    la   t0, {trap_registers}",
    "    .irp n, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "    sd   x\\n, (8 * \\n - 8)(t0)",
    "    .endr",
    "    csrr t1, mscratch",
    "    sd   t1, 32(t0)",
    "    csrr t0, mhartid",
    "    addi t0, t0, 1",
    "    li   sp, {stack_bytes}",
    "    mul  t0, t0, sp",
    "    li   sp, {stacks}",
    "    add  sp, sp, t0",
    "    call {trapped}",
    "    .balign 4",
    "spin:",
    "    j    spin",
    ".popsection",
    harts = const HARTS_MAX,
    stacks = const STACKS.base,
    stack_bytes = const STACK_BYTES,
    floating_point = const FLOATING_POINT,
    external_interrupt = const EXTERNAL_INTERRUPT,
    trap_registers = sym TRAP_REGISTERS,
    trapped = sym trapped,
);

/// `x1` to `x31` of the hart that has trapped.
static mut TRAP_REGISTERS: [u64; 31] = [0; 31];

/// The state of the firmware. It is too large for a stack to live on.
static mut FIRMWARE: MaybeUninit<Firmware<Registers>> = MaybeUninit::uninit();

/// Hart 0 runs this, for ever.
#[no_mangle]
extern "C" fn run(parameters: *const Parameters) -> ! {
    // SAFETY: who starts the image passes their address. Any bytes are parameters, and nobody writes to them any more.
    let parameters = unsafe { parameters.read_unaligned() };
    let config = parameters.config().unwrap_or_else(|error| panic!("{error}"));
    begin(config);
    // SAFETY: `begin` has written it, and nothing else uses it.
    let firmware = unsafe { (&mut *ptr::addr_of_mut!(FIRMWARE)).assume_init_mut() };
    console().say(format_args!("flashdock firmware, map {:#018x}", soc_map::VERSION));
    loop {
        soc_firmware::serve(firmware);
        wait();
    }
}

/// Makes the state of the firmware. A frame of its own, because the state may be built in it, and moved.
#[inline(never)]
fn begin(config: Config) {
    // SAFETY: nothing else uses the registers, nor the state.
    unsafe { ptr::addr_of_mut!(FIRMWARE).write(MaybeUninit::new(Firmware::new(port(), config))) };
}

/// The controller's registers.
///
/// # Safety
/// Nothing else may use them any more.
unsafe fn port() -> Registers {
    // SAFETY: the map says that they lie there, and the caller that nothing else uses them.
    unsafe { Registers::new(NVME_FIRMWARE_PORT.base as *mut u32, NVME_FIRMWARE_PORT.bytes as u32) }
}

/// The console. Bytes of two harts may mix, and no more than that.
fn console() -> Console<Registers> {
    // SAFETY: the map says that they lie there; what several users of them do to each other is mixed text.
    Console::new(unsafe { Registers::new(UART.base as *mut u32, UART.bytes as u32) })
}

/// Waits until an interrupt is pending.
fn wait() {
    // SAFETY: it changes nothing.
    unsafe { asm!("wfi", options(nomem, nostack)) }
}

#[panic_handler]
fn panicked(panic: &PanicInfo<'_>) -> ! {
    stop(Record::new(PANIC, hart(), format_args!("{panic}")))
}

/// Comes from `trap`.
extern "C" fn trapped() -> ! {
    let (cause, pc, value): (u64, u64, u64);
    // SAFETY: it reads registers of this hart that nothing else uses.
    unsafe {
        asm!("csrr {}, mcause", "csrr {}, mepc", "csrr {}, mtval", out(reg) cause, out(reg) pc, out(reg) value, options(nomem, nostack));
    }
    let text = format_args!("trap: mcause {cause:#x}, mepc {pc:#x}, mtval {value:#x}");
    let mut record = Record::new(TRAP, hart(), text);
    (record.cause, record.pc, record.value) = (cause.into(), pc.into(), value.into());
    // SAFETY: `trap` has written them, and nothing else does.
    record.registers = unsafe { ptr::addr_of!(TRAP_REGISTERS).read() }.map(u64::into);
    stop(record)
}

fn hart() -> u64 {
    let hart;
    // SAFETY: it reads a register that never changes.
    unsafe { asm!("csrr {}, mhartid", out(reg) hart, options(nomem, nostack)) };
    hart
}

/// Leaves a record, and from then on tells the hosts of all functions that their controller is dead.
fn stop(mut record: Record) -> ! {
    let place = RECORD.base as *mut Record;
    record.magic = 0.into();
    // SAFETY: the map gives the region to the record alone. Whoever reads it finds the mark when the rest is there.
    unsafe {
        place.write_volatile(record);
        ptr::addr_of_mut!((*place).magic).write_volatile(MAGIC.into());
    }
    record.magic = MAGIC.into();
    console().say(format_args!("hart {} has stopped: {}", record.hart, record.said().unwrap_or_default()));
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
