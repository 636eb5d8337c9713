//! What S-mode asks the monitor for: its extension in `a7`, the function in `a6`, arguments in `a0` and `a1`; an error comes back in `a0`.
//! RISC-V Supervisor Binary Interface Specification.

/// "Timer Extension". Function 0, `sbi_set_timer`: from the time in `a0` on, the supervisor timer interrupt of the hart is pending.
pub const TIME: u64 = u32::from_be_bytes(*b"TIME") as u64;

/// "IPI Extension". Function 0, `sbi_send_ipi`: the harts that have a bit in `a0`, counted from `a1` on, get a supervisor software interrupt.
pub const IPI: u64 = 0x73_5049;

/// No error.
pub const SUCCESS: u64 = 0;

/// There is no such function.
pub const NOT_SUPPORTED: u64 = 2_u64.wrapping_neg();

/// There is no such hart.
pub const INVALID_PARAMETER: u64 = 3_u64.wrapping_neg();
