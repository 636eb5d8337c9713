//! How the flash wears, and faults on purpose.

/// What goes wrong, and when. Everything follows from the seed and the order of a channel's operations, so that model and hardware agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reliability {
    /// A read is repeated once for every 2^n times that its block has been erased.
    pub retry_wear_shift: u8,
    /// A block that has been erased so often fails at its next erase; 0: never.
    pub erases_max: u32,
    /// Start of a channel's sequence of numbers, to which the number of the channel is added; not 0 then.
    pub seed: u32,
    /// Of 2^32 reads so many need one repetition more than their wear says.
    pub retry_rate: u32,
    /// Of 2^32 reads so many cannot be corrected.
    pub uncorrectable_rate: u32,
    /// Of 2^32 programs so many fail.
    pub program_fail_rate: u32,
    /// Of 2^32 erases so many fail.
    pub erase_fail_rate: u32,
}

/// Most repetitions of a read. What needs more is uncorrectable.
pub const RETRIES_MAX: u32 = 7;

/// Bits of the counter of a block's erases, which stays at its largest.
pub const ERASES_BITS: u32 = 24;

/// Erases that a block is made for: those of MLC flash. Nothing happens to one that has more, but what [`Reliability`] says.
pub const RATED_ERASES: u32 = 3000;

impl Reliability {
    /// Flash without faults, which wears as MLC of [`RATED_ERASES`] does: a repetition more every 1,024 erases.
    pub const DEFAULT: Self = Self {
        retry_wear_shift: 10,
        erases_max: 0,
        seed: 0x5EED,
        retry_rate: 0,
        uncorrectable_rate: 0,
        program_fail_rate: 0,
        erase_fail_rate: 0,
    };

    /// Repetitions of a read of a block that was erased so often.
    pub const fn wear_retries(&self, erases: u32) -> u32 {
        erases >> self.retry_wear_shift
    }
}

/// The next number of a sequence: a channel takes one for every read, program and erase that begins in an array. G. Marsaglia, "Xorshift RNGs", Journal
/// of Statistical Software 8(14), 2003.
pub const fn next_random(mut state: u32) -> u32 {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_paper() {
        // The first number of the example with y = 2463534242.
        assert_eq!(next_random(2_463_534_242), 723_471_715);
        assert_eq!(next_random(0), 0, "why a seed is not 0");
    }

    #[test]
    fn wear_adds_a_repetition_each_1024_erases() {
        let retries = [0, 1023, 1024, 7 * 1024].map(|erases| Reliability::DEFAULT.wear_retries(erases));
        assert_eq!(retries, [0, 0, 1, 7]);
    }
}
