//! The table: registers and their fields.

use thiserror::Error;

/// Bytes of a word of the bus.
pub(crate) const WORD_BYTES: u32 = 4;
/// Bits of a word of the bus.
pub(crate) const WORD_BITS: u32 = 8 * WORD_BYTES;

/// What a read and a write of a field do, and which ports the hardware has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads as its reset value for ever. No port.
    Constant,
    /// Reads what the hardware shows; writes are ignored. Input `<register>_<field>`.
    Ro,
    /// Reads what was written. Output `<register>_<field>`.
    Rw,
    /// The hardware sets bits with the input `<register>_<field>_set`, writing ones clears them. In one clock, setting wins: no event is
    /// lost. Output `<register>_<field>`.
    W1c,
    /// Writing ones sets bits, the hardware clears them with the input `<register>_<field>_clear`. In one clock, setting wins. A clear
    /// input that is always on makes pulses of one clock. Output `<register>_<field>`.
    W1s,
}

impl Access {
    /// Whether a write can change the field.
    pub fn is_writable(self) -> bool {
        match self {
            Access::Constant | Access::Ro => false,
            Access::Rw | Access::W1c | Access::W1s => true,
        }
    }
}

/// Adjacent bits of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name; part of the names of ports.
    pub name: String,
    /// Number of the lowest bit.
    pub lsb: u32,
    /// Number of bits.
    pub width: u32,
    /// What a read and a write do.
    pub access: Access,
}

impl Field {
    /// A field of `width` bits from bit `lsb` up.
    pub fn new(name: &str, lsb: u32, width: u32, access: Access) -> Field {
        Field { name: name.into(), lsb, width, access }
    }

    /// Ones where the field lies in the register.
    pub fn mask(&self) -> u64 {
        u64::MAX >> (64 - self.width) << self.lsb
    }
}

/// A register of 4 or 8 bytes. Bits outside of all fields read as zero and ignore writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Name; part of the names of ports.
    pub name: String,
    /// Of the first byte; a multiple of `bytes`.
    pub offset: u32,
    /// 4 or 8.
    pub bytes: u32,
    /// The value after reset of the fields that keep one.
    pub reset: u64,
    /// In any order.
    pub fields: Vec<Field>,
}

impl Register {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether a write can change anything.
    pub fn is_writable(&self) -> bool {
        self.fields.iter().any(|field| field.access.is_writable())
    }

    /// The offsets of its words, the low one first.
    pub(crate) fn words(&self) -> impl Iterator<Item = u32> {
        (self.offset..self.offset + self.bytes).step_by(WORD_BYTES as usize)
    }

    /// The part of `field` that lies in the word at `offset`, as bits of the register; empty if none does.
    pub(crate) fn part(&self, field: &Field, offset: u32) -> std::ops::Range<u32> {
        let word = 8 * (offset - self.offset);
        let start = field.lsb.max(word);
        start..(field.lsb + field.width).min(word + WORD_BITS).max(start)
    }
}

/// What is wrong with a table of registers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// A register of another size.
    #[error("the register `{0}` has {1} bytes; a register has 4 or 8")]
    Size(String, u32),
    /// A register that is not at a multiple of its size.
    #[error("the register `{0}` at {1:#x} is not at a multiple of its size")]
    Misaligned(String, u32),
    /// A register that the address cannot reach.
    #[error("the register `{0}` at {1:#x} lies beyond the addresses of {2} bits")]
    Unreachable(String, u32, u32),
    /// Two registers share a byte.
    #[error("the registers `{0}` and `{1}` overlap")]
    Overlap(String, String),
    /// Two registers, or two fields of one, share a name.
    #[error("the name `{0}` is there twice")]
    Name(String),
    /// A field that is empty or reaches beyond its register.
    #[error("the field `{1}` of `{0}` does not lie inside the register")]
    FieldOutside(String, String),
    /// Two fields share a bit.
    #[error("the fields `{1}` and `{2}` of `{0}` overlap")]
    FieldOverlap(String, String, String),
    /// A reset value outside of the fields that keep one.
    #[error("the reset value {1:#x} of `{0}` has bits outside of its fields that keep a value")]
    Reset(String, u64),
}

/// Names the first thing that is wrong with `registers` behind addresses of `address_bits` bits.
pub(crate) fn check(registers: &[Register], address_bits: u32) -> Result<(), TableError> {
    for (i, register) in registers.iter().enumerate() {
        let name = || register.name.clone();
        if register.bytes != 4 && register.bytes != 8 {
            return Err(TableError::Size(name(), register.bytes));
        }
        if register.offset % register.bytes != 0 {
            return Err(TableError::Misaligned(name(), register.offset));
        }
        if u64::from(register.offset) + u64::from(register.bytes) > 1 << address_bits {
            return Err(TableError::Unreachable(name(), register.offset, address_bits));
        }
        for other in &registers[..i] {
            if other.name == register.name {
                return Err(TableError::Name(name()));
            }
            if other.offset < register.offset + register.bytes && register.offset < other.offset + other.bytes {
                return Err(TableError::Overlap(other.name.clone(), name()));
            }
        }
        check_fields(register)?;
    }
    Ok(())
}

fn check_fields(register: &Register) -> Result<(), TableError> {
    let mut kept = 0;
    for (i, field) in register.fields.iter().enumerate() {
        let inside = field.width > 0 && u64::from(field.lsb) + u64::from(field.width) <= u64::from(8 * register.bytes);
        if !inside {
            return Err(TableError::FieldOutside(register.name.clone(), field.name.clone()));
        }
        for other in &register.fields[..i] {
            if other.name == field.name {
                return Err(TableError::Name(field.name.clone()));
            }
            if other.mask() & field.mask() != 0 {
                return Err(TableError::FieldOverlap(register.name.clone(), other.name.clone(), field.name.clone()));
            }
        }
        if field.access != Access::Ro {
            kept |= field.mask();
        }
    }
    if register.reset & !kept != 0 {
        return Err(TableError::Reset(register.name.clone(), register.reset));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(name: &str, offset: u32, bytes: u32, reset: u64, fields: Vec<Field>) -> Register {
        Register { name: name.into(), offset, bytes, reset, fields }
    }

    #[test]
    fn each_mistake_is_named() {
        let rw = |name: &str, lsb, width| Field::new(name, lsb, width, Access::Rw);
        let a = || register("A", 0, 4, 0, vec![]);
        let bad = |registers: &[Register]| check(registers, 6).expect_err("the table is wrong");
        assert_eq!(check(&[a(), register("B", 8, 8, 0xff, vec![rw("X", 0, 64)])], 6), Ok(()));
        assert_eq!(bad(&[register("A", 0, 2, 0, vec![])]), TableError::Size("A".into(), 2));
        assert_eq!(bad(&[register("A", 4, 8, 0, vec![])]), TableError::Misaligned("A".into(), 4));
        assert_eq!(bad(&[register("A", 64, 4, 0, vec![])]), TableError::Unreachable("A".into(), 64, 6));
        assert_eq!(bad(&[a(), register("B", 0, 8, 0, vec![])]), TableError::Overlap("A".into(), "B".into()));
        assert_eq!(bad(&[a(), register("A", 8, 8, 0, vec![])]), TableError::Name("A".into()));
        let outside = TableError::FieldOutside("A".into(), "X".into());
        assert_eq!(bad(&[register("A", 0, 4, 0, vec![rw("X", 31, 2)])]), outside);
        assert_eq!(bad(&[register("A", 0, 4, 0, vec![rw("X", 0, 0)])]), outside);
        let overlap = TableError::FieldOverlap("A".into(), "X".into(), "Y".into());
        assert_eq!(bad(&[register("A", 0, 4, 0, vec![rw("X", 0, 8), rw("Y", 7, 1)])]), overlap);
        assert_eq!(bad(&[register("A", 0, 4, 0, vec![rw("X", 0, 1), rw("X", 1, 1)])]), TableError::Name("X".into()));
        let ro = Field::new("X", 0, 4, Access::Ro);
        assert_eq!(bad(&[register("A", 0, 4, 1, vec![ro])]), TableError::Reset("A".into(), 1));
    }

    #[test]
    fn a_field_is_cut_at_the_words() {
        let wide = Field::new("X", 20, 24, Access::Rw);
        let r = register("A", 8, 8, 0, vec![wide.clone()]);
        assert_eq!(r.words().collect::<Vec<_>>(), [8, 12]);
        assert_eq!(r.part(&wide, 8), 20..32);
        assert_eq!(r.part(&wide, 12), 32..44);
        assert!(r.part(&Field::new("Y", 0, 4, Access::Rw), 12).is_empty());
    }
}
