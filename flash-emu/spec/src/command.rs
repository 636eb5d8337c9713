//! What a channel is told to do.

/// An operation of a die. ONFI, "Command Definition".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// Units of a page, or of the pages of the same number in both planes, go from the array to the requester. "Read", "Multi-plane Operations".
    Read = 0,
    /// Data goes into a page, or one in each plane; the die takes no other data until it is done. "Page Program".
    Program = 1,
    /// As `Program`, but data is taken while the die still programs what came before. "Page Cache Program".
    CacheProgram = 2,
    /// A block, or one in each plane, is erased. "Block Erase".
    Erase = 3,
    /// A page goes into the page register of its plane, and not over the bus. "Copyback", the read.
    CopybackRead = 4,
    /// The page register goes into a page of the same plane; the spare comes over the bus. "Copyback", the program.
    CopybackProgram = 5,
    /// What the die is doing, at any time: see [`status`]. "Read Status".
    ReadStatus = 6,
}

impl Operation {
    /// All operations, in the order of their codes.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Program,
        Self::CacheProgram,
        Self::Erase,
        Self::CopybackRead,
        Self::CopybackProgram,
        Self::ReadStatus,
    ];

    /// The operation of a code.
    pub const fn from_code(code: u8) -> Option<Self> {
        if (code as usize) < Self::ALL.len() {
            Some(Self::ALL[code as usize])
        } else {
            None
        }
    }

    /// The code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether it changes the array.
    pub const fn is_write(self) -> bool {
        matches!(self, Self::Program | Self::CacheProgram | Self::Erase | Self::CopybackProgram)
    }

    /// Whether it programs a page.
    pub const fn is_program(self) -> bool {
        matches!(self, Self::Program | Self::CacheProgram | Self::CopybackProgram)
    }
}

/// Bits of what [`Operation::ReadStatus`] answers. ONFI, "Status Field Definition".
pub mod status {
    /// The last program or erase that has ended failed.
    pub const FAIL: u8 = 1 << 0;
    /// The one before failed (cache program).
    pub const FAILC: u8 = 1 << 1;
    /// The array is ready: nothing is in progress.
    pub const ARDY: u8 = 1 << 5;
    /// The die takes a command.
    pub const RDY: u8 = 1 << 6;
    /// A program or an erase is suspended. ONFI leaves this bit to the vendor.
    pub const SUSPENDED: u8 = 1 << 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_operations_are_one_to_one() {
        for code in 0..=u8::MAX {
            assert!(Operation::from_code(code).is_none_or(|operation| operation.code() == code));
        }
        for operation in Operation::ALL {
            assert_eq!(Operation::from_code(operation.code()), Some(operation));
        }
    }
}
