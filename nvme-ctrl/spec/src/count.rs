//! Counts that are stored minus one.

/// A count which the specification stores minus one ("0's based").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZeroBased(u16);

impl ZeroBased {
    /// From what is stored.
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// From a count of 1 to 65,536.
    pub const fn from_count(count: u32) -> Self {
        assert!(count >= 1);
        assert!(count <= 1 << 16);
        Self((count - 1) as u16)
    }

    /// What is stored.
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// The number to compute with.
    pub const fn count(self) -> u32 {
        self.0 as u32 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_the_range() {
        assert_eq!(ZeroBased::from_raw(0).count(), 1);
        assert_eq!(ZeroBased::from_raw(0xFFFF).count(), 65_536);
        assert_eq!(ZeroBased::from_count(65_536).raw(), 0xFFFF);
    }
}
