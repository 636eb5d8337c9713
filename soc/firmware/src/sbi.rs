//! What S-mode asks the monitor for, and the monitor's answers: [`soc_map::sbi`].
//!
//! The timers and the software interrupts of the CLINT are those of M-mode. The monitor hands them on:
//!
//! ```text
//!   S: set_timer ----> M: mtimecmp, MTIE    MTIP ---> M: STIP, no MTIE until the next set_timer
//!   S: send_ipi -----> M: msip of others    MSIP ---> M: SSIP, msip is cleared
//!   S, U: rdtime ----> M: illegal instruction, carried out
//! ```

use crate::csr::{clear_csr, set_csr};
use core::arch::asm;
use soc_hal::{Mmio, Registers};
use soc_map::clint::{MSIP, MTIME, MTIMECMP};
use soc_map::privileged::interrupt::{MACHINE_SOFTWARE, MACHINE_TIMER, SOFTWARE, TIMER};
use soc_map::rocket::CLINT;
use soc_map::sbi::{INVALID_PARAMETER, IPI, NOT_SUPPORTED, SUCCESS, TIME};
use soc_map::HARTS_MAX;

/// Calls the monitor; its error comes back.
fn call(extension: u64, first: u64, second: u64) -> u64 {
    let error;
    // SAFETY: the monitor changes nothing else.
    unsafe {
        asm!("ecall", inout("a0") first => error, inout("a1") second => _, in("a6") 0_u64, in("a7") extension,
            options(nostack));
    }
    error
}

/// From this time on the supervisor timer interrupt of this hart is pending.
pub fn set_timer(time: u64) {
    call(TIME, time, 0);
}

/// Another hart gets a supervisor software interrupt.
pub fn interrupt_hart(hart: u32) {
    call(IPI, 1, hart.into());
}

/// The time, in units of [`soc_map::clint::CLOCKS_PER_TICK`] clocks.
pub fn time() -> u64 {
    let time;
    // SAFETY: it changes nothing. The tile has no such register: the monitor carries it out.
    unsafe { asm!("rdtime {}", out(reg) time, options(nomem, nostack)) };
    time
}

/// In M-mode: the answer to a call, if it is one of these extensions.
pub fn answer(hart: u32, extension: u64, function: u64, first: u64, second: u64) -> Option<u64> {
    match (extension, function) {
        (TIME, 0) => {
            // The higher word is the largest until the lower one is there: in between, the timer stays quiet.
            let mut clint = clint();
            let compare = MTIMECMP + 8 * hart;
            clint.write32(compare + 4, u32::MAX);
            clint.write32(compare, first as u32);
            clint.write32(compare + 4, (first >> 32) as u32);
            clear_csr!("mip", TIMER);
            set_csr!("mie", 1 << MACHINE_TIMER);
            Some(SUCCESS)
        }
        (IPI, 0) => {
            let asked = |other: u32| {
                let number = u64::from(other).checked_sub(second);
                number.is_some_and(|number| number < 64 && first >> number & 1 == 1)
            };
            let harts = (0..HARTS_MAX).filter(|other| asked(*other));
            if harts.clone().count() as u32 != first.count_ones() {
                return Some(INVALID_PARAMETER);
            }
            harts.for_each(|other| clint().write32(MSIP + 4 * other, 1));
            Some(SUCCESS)
        }
        (TIME | IPI, _) => Some(NOT_SUPPORTED),
        _ => None,
    }
}

/// In M-mode: an interrupt of this hart is handed on to S; false if it is none of these.
pub fn hand_on(hart: u32, number: u64) -> bool {
    match number {
        MACHINE_TIMER => {
            clear_csr!("mie", 1 << MACHINE_TIMER);
            set_csr!("mip", TIMER);
        }
        MACHINE_SOFTWARE => {
            clint().write32(MSIP + 4 * hart, 0);
            set_csr!("mip", SOFTWARE);
        }
        _ => return false,
    }
    true
}

/// In M-mode: the time, for who cannot read it.
pub fn read_time() -> u64 {
    let mut clint = clint();
    loop {
        let [high, low, again] = [MTIME + 4, MTIME, MTIME + 4].map(|offset| clint.read32(offset));
        if high == again {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

fn clint() -> Registers {
    // SAFETY: the map says that they lie there; each hart has its own, but for `msip`, to which all write the same.
    unsafe { Registers::new(CLINT.base as *mut u32, CLINT.bytes as u32) }
}
