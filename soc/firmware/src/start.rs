//! The first instructions, and what each hart does from then on.

use crate::csr::{clear_csr, write_csr};
use crate::{containers, flash, sbi, tracing};
use core::arch::{asm, global_asm};
use core::mem::MaybeUninit;
use core::ptr;
use nvme_fw::{Config, Firmware};
use soc_firmware::console::Console;
use soc_firmware::note::{self, Note};
use soc_firmware::parameters::Parameters;
use soc_hal::Registers;
use soc_map::firmware::{stack, MONITOR, MONITOR_STACK_BYTES};
use soc_map::privileged::{cause, interrupt, status, COUNTERS};
use soc_map::roles::Role;
use soc_map::trace::{HART_STARTED, SERVING};
use soc_map::{protection, HARTS_MAX, NVME_FIRMWARE_PORT, UART};

#[used]
#[link_section = ".note.flashdock"]
static MAP: Note = note::MAP;

// `a0` is the number of the hart and `a1` the address of the parameters.
global_asm!(
    ".pushsection .text.start, \"ax\"",
    ".globl start",
    "start:",
    "    csrw mie, zero",
    "    csrw mip, zero",
    "    la   t0, monitor_trap",
    "    csrw mtvec, t0",
    "    li   t0, {harts}",
    "    bgeu a0, t0, park",
    "    addi t0, a0, 1",
    "    li   t1, {monitor_stack_bytes}",
    "    mul  t0, t0, t1",
    "    li   sp, {monitor}",
    "    add  sp, sp, t0",
    "    csrw mscratch, sp",
    "    bnez a0, 2f",
    "    la   t0, bss_start",
    "    la   t1, bss_end",
    "1:  bgeu t0, t1, 2f",
    "    sd   zero, 0(t0)",
    "    addi t0, t0, 8",
    "    j    1b",
    "2:  call {leave_machine_mode}",
    "park:",
    "    wfi",
    "    j    park",
    ".popsection",
    harts = const HARTS_MAX,
    monitor = const MONITOR.base,
    monitor_stack_bytes = const MONITOR_STACK_BYTES,
    leave_machine_mode = sym leave_machine_mode,
);

/// The state of the firmware. It is too large for a stack to live on.
static mut FIRMWARE: MaybeUninit<Firmware<Registers>> = MaybeUninit::uninit();

/// Sets up what S-mode may reach and handles itself, and goes on there.
extern "C" fn leave_machine_mode(hart: u64, parameters: u64) -> ! {
    let (addresses, configurations) = protection::registers(hart as u32);
    let [a, b, c, d, e, f, g, h] = addresses;
    write_csr!("pmpaddr0", a);
    write_csr!("pmpaddr1", b);
    write_csr!("pmpaddr2", c);
    write_csr!("pmpaddr3", d);
    write_csr!("pmpaddr4", e);
    write_csr!("pmpaddr5", f);
    write_csr!("pmpaddr6", g);
    write_csr!("pmpaddr7", h);
    write_csr!("pmpcfg0", configurations);
    write_csr!("medeleg", cause::DELEGATED);
    write_csr!("mideleg", interrupt::SUPERVISOR);
    write_csr!("mcounteren", COUNTERS);
    write_csr!("scounteren", COUNTERS);
    write_csr!("satp", 0_u64);
    write_csr!("sscratch", 0_u64);
    write_csr!("stvec", containers::trap_vector());
    // What other harts and the timer want of S comes through the monitor. Of S's own, each role switches on what wakes it: they are off in `sstatus`.
    write_csr!("mie", 1 << interrupt::MACHINE_SOFTWARE);
    write_csr!("mstatus", status::MPP_SUPERVISOR | status::FS_INITIAL);
    // SAFETY: `supervise` takes these arguments, and its stack is used by nothing else.
    unsafe {
        asm!(
            "csrw mepc, {main}",
            "mv sp, {stack}",
            "sfence.vma",
            "mret",
            main = in(reg) supervise as *const (),
            stack = in(reg) stack(hart as u32).end(),
            in("a0") hart,
            in("a1") parameters,
            options(noreturn)
        )
    }
}

/// S-mode begins here.
extern "C" fn supervise(hart: u64, parameters: *const Parameters) -> ! {
    let hart = hart as u32;
    tracing::start(hart);
    tracing::write(hart, &HART_STARTED, [0; 3]);
    match Role::of(hart) {
        Role::HostInterface => serve_hosts(hart, &read(parameters)),
        Role::CacheAndTranslation => serve_flash(hart, &read(parameters)),
        Role::Containers => containers::run(hart),
    }
}

/// The parameters.
fn read(parameters: *const Parameters) -> Parameters {
    // SAFETY: who starts the image passes their address. Any bytes are parameters, and nobody writes to them any more.
    unsafe { parameters.read_unaligned() }
}

/// The hart that serves hosts, and the one that serves flash.
pub const HOST_INTERFACE: u32 = 0;
const CACHE_AND_TRANSLATION: u32 = 1;

const _: () = assert!(matches!(Role::of(HOST_INTERFACE), Role::HostInterface));
const _: () = assert!(matches!(Role::of(CACHE_AND_TRANSLATION), Role::CacheAndTranslation));

/// The hart of the host interface runs this, for ever.
fn serve_hosts(hart: u32, parameters: &Parameters) -> ! {
    let config = parameters.config().unwrap_or_else(|error| panic!("{error}"));
    let has_flash = parameters.flash().unwrap_or_else(|error| panic!("{error}")).is_some();
    begin(config);
    write_csr!("sie", interrupt::EXTERNAL | interrupt::SOFTWARE);
    // SAFETY: `begin` has written it, and nothing else uses it.
    let firmware = unsafe { (&mut *ptr::addr_of_mut!(FIRMWARE)).assume_init_mut() };
    console().say(format_args!("flashdock firmware, map {:#018x}", soc_map::VERSION));
    // A host is not served before its flash is there, whose firmware waits until it may tell so.
    if has_flash {
        sbi::interrupt_hart(CACHE_AND_TRANSLATION);
    }
    let mut is_ready = !has_flash;
    let mut is_serving = false;
    loop {
        clear_csr!("sip", interrupt::SOFTWARE);
        // SAFETY: only this hart takes something out.
        if let Some(health) = unsafe { flash::HEALTH.take() } {
            firmware.set_medium_health(health);
            is_ready = true;
        }
        if is_ready && !is_serving {
            tracing::write(hart, &SERVING, [0; 3]);
            is_serving = true;
        }
        if is_ready {
            soc_firmware::serve(firmware);
        }
        wait();
    }
}

/// The hart of cache and translation runs this, for ever.
fn serve_flash(hart: u32, parameters: &Parameters) -> ! {
    if let Some(flash) = parameters.flash().unwrap_or_else(|error| panic!("{error}")) {
        flash::run(hart, &flash);
    }
    loop {
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
pub unsafe fn port() -> Registers {
    // SAFETY: the map says that they lie there, and the caller that nothing else uses them.
    unsafe { Registers::new(NVME_FIRMWARE_PORT.base as *mut u32, NVME_FIRMWARE_PORT.bytes as u32) }
}

/// The console. Bytes of two harts may mix, and no more than that.
pub fn console() -> Console<Registers> {
    // SAFETY: the map says that they lie there; what several users of them do to each other is mixed text.
    Console::new(unsafe { Registers::new(UART.base as *mut u32, UART.bytes as u32) })
}

/// Waits until an interrupt is pending.
pub fn wait() {
    // SAFETY: it changes nothing.
    unsafe { asm!("wfi", options(nomem, nostack)) }
}
