//! System calls of processes, by their numbers on Linux for RISC-V: `include/uapi/asm-generic/unistd.h`.

/// Ends the thread, which is all of the process.
pub const EXIT: u64 = 93;

/// Ends the process.
pub const EXIT_GROUP: u64 = 94;

/// Gives the process's number.
pub const GETPID: u64 = 172;

/// What a call that is not there returns: minus ENOSYS.
pub const NO_SUCH_CALL: u64 = 38_u64.wrapping_neg();

/// What becomes of the process that called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes on with this value.
    Return(u64),
    /// It has ended, with this status.
    Exit(u64),
}

/// The answer to a call of the process on a hart.
pub fn answer(number: u64, first: u64, hart: u32) -> Answer {
    match number {
        // Only so much of a status is told. `exit_group(2)` of the Linux manual pages.
        EXIT | EXIT_GROUP => Answer::Exit(first & 0xFF),
        GETPID => Answer::Return(process_number(hart)),
        _ => Answer::Return(NO_SUCH_CALL),
    }
}

/// The number of the process on a hart. There is one at a time, and none has the number 0.
pub const fn process_number(hart: u32) -> u64 {
    hart as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_call_has_an_answer(number: u64, first: u64, hart in 0..soc_map::HARTS_MAX) {
            prop_assert_eq!(answer(EXIT, first, hart), Answer::Exit(first % 256));
            prop_assert_eq!(answer(GETPID, first, hart), Answer::Return(u64::from(hart) + 1));
            let is_known = [EXIT, EXIT_GROUP, GETPID].contains(&number);
            prop_assert!(is_known || answer(number, first, hart) == Answer::Return(-38_i64 as u64));
        }
    }
}
