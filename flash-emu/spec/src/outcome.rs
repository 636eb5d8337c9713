//! How an operation ends.

/// The end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done. A read that needed it was repeated so many times with other read levels before its errors could be corrected.
    Good {
        /// Repetitions, each as long as the read itself.
        retries: u8,
    },
    /// A read whose errors cannot be corrected.
    Uncorrectable,
    /// A program failed: the page has no content, the others of its block are as they were.
    ProgramFailed,
    /// An erase failed: the block has no content and cannot be programmed.
    EraseFailed,
    /// The command breaks a rule of the flash. Nothing was done.
    Refused(Violation),
}

/// A rule of the flash that a command breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Violation {
    /// There is no such page, plane or unit, or no plane is selected.
    OutOfRange = 0,
    /// The page, or a page behind it, has been programmed since its block was erased, or a program or an erase of the block was interrupted or failed.
    NotErased = 1,
    /// A page before it has not been programmed. Pages of a block are programmed in order.
    OutOfOrder = 2,
    /// A copyback program of a plane whose page register no copyback read has filled: there was none since the last program, or it found no content.
    NoPageRegister = 3,
}

impl Violation {
    /// All, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::OutOfRange, Self::NotErased, Self::OutOfOrder, Self::NoPageRegister];

    /// One sentence for a person.
    pub const fn message(self) -> &'static str {
        match self {
            Self::OutOfRange => "there is no such page",
            Self::NotErased => "the block must be erased first",
            Self::OutOfOrder => "a page before it has not been programmed",
            Self::NoPageRegister => "no copyback read has filled the page register",
        }
    }
}

impl Outcome {
    /// Done without any repetition.
    pub const GOOD: Self = Self::Good { retries: 0 };

    /// Whether the command did what it was to do.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Good { .. })
    }

    /// The byte by which hardware says it: the kind in the upper half, the number of repetitions or the violation in the lower.
    pub const fn code(self) -> u8 {
        match self {
            Self::Good { retries } => {
                assert!(retries < 16);
                retries
            }
            Self::Uncorrectable => 0x10,
            Self::ProgramFailed => 0x20,
            Self::EraseFailed => 0x30,
            Self::Refused(violation) => 0x40 | violation as u8,
        }
    }

    /// What a byte of hardware says.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0x00..=0x0F => Some(Self::Good { retries: code }),
            0x10 => Some(Self::Uncorrectable),
            0x20 => Some(Self::ProgramFailed),
            0x30 => Some(Self::EraseFailed),
            0x40..=0x43 => Some(Self::Refused(Violation::ALL[(code & 0xF) as usize])),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_outcomes_are_one_to_one() {
        let known = (0..=u8::MAX).filter_map(|code| Some((code, Outcome::from_code(code)?)));
        let known: std::vec::Vec<_> = known.collect();
        assert_eq!(known.len(), 16 + 3 + Violation::ALL.len());
        for (code, outcome) in known {
            assert_eq!(outcome.code(), code);
        }
    }
}
