//! Registers as data: names, offsets, fields, access kinds.

/// What a read and a write of a field do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Writes are ignored.
    Ro,
    /// A read returns what was written.
    Rw,
    /// Writing ones clears these bits, zeroes leave them.
    W1c,
    /// Writing ones sets these bits, zeroes leave them; where nothing is stored (a pulse), the bits read as zero.
    W1s,
}

/// Adjacent bits of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The specification's abbreviation.
    pub name: &'static str,
    /// Number of the lowest bit.
    pub lsb: u32,
    /// Number of bits.
    pub width: u32,
    /// What a read and a write do.
    pub access: Access,
    /// One sentence.
    pub doc: &'static str,
}

impl Field {
    /// A field of `width` bits from bit `lsb` up.
    pub const fn new(name: &'static str, lsb: u32, width: u32, access: Access) -> Self {
        assert!(width > 0, "a field has at least one bit");
        assert!(lsb + width <= 64, "a field lies within 64 bits");
        Self { name, lsb, width, access, doc: "" }
    }

    /// The same field with a sentence about it.
    pub const fn with_doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// The largest value of the field.
    pub const fn max(self) -> u64 {
        u64::MAX >> (64 - self.width)
    }

    /// Ones where the field lies in the register.
    pub const fn mask(self) -> u64 {
        self.max() << self.lsb
    }

    /// The field's value in the register's value.
    pub const fn get(self, register: u64) -> u64 {
        (register >> self.lsb) & self.max()
    }

    /// The register's value with the field replaced; bits of `value` beyond the field are dropped.
    pub const fn set(self, register: u64, value: u64) -> u64 {
        (register & !self.mask()) | ((value & self.max()) << self.lsb)
    }

    /// The field's value in a 32-bit register's value.
    pub const fn get32(self, register: u32) -> u32 {
        self.get(register as u64) as u32
    }

    /// A 32-bit register's value with the field replaced.
    pub const fn set32(self, register: u32, value: u32) -> u32 {
        self.set(register as u64, value as u64) as u32
    }
}

/// A register: everything that hardware, firmware and tools need to know about it.
///
/// Bits outside of all fields read as zero and ignore writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg {
    /// The specification's abbreviation.
    pub name: &'static str,
    /// Of the first byte, from the start of the register block.
    pub offset: u32,
    /// 4 or 8.
    pub bytes: u32,
    /// The value after power-on.
    pub reset: u64,
    /// From the lowest bit up.
    pub fields: &'static [Field],
    /// One sentence.
    pub doc: &'static str,
}

impl Reg {
    /// The offset behind the register.
    pub const fn end(&self) -> u32 {
        self.offset + self.bytes
    }

    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The bits that belong to fields with this access.
    pub const fn mask_of(&self, access: Access) -> u64 {
        let mut mask = 0;
        let mut i = 0;
        while i < self.fields.len() {
            if self.fields[i].access as u8 == access as u8 {
                mask |= self.fields[i].mask();
            }
            i += 1;
        }
        mask
    }
}

/// A block of plain dwords between the registers: a memory, or a structure from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its name in register lists.
    pub name: &'static str,
    /// Of the first byte.
    pub offset: u32,
    /// A multiple of 4.
    pub bytes: u32,
    /// Whether firmware may write it.
    pub writable: bool,
    /// One sentence.
    pub doc: &'static str,
}

impl Window {
    /// The offset behind the window.
    pub const fn end(&self) -> u32 {
        self.offset + self.bytes
    }

    /// The offset of a dword in it.
    pub const fn dword(&self, index: u32) -> u32 {
        assert!(index < self.bytes / 4, "the dword lies in the window");
        self.offset + 4 * index
    }

    /// Whether the offset lies in the window.
    pub const fn contains(&self, offset: u32) -> bool {
        self.offset <= offset && offset < self.end()
    }
}

/// Whether no two half-open ranges share a byte.
pub const fn ranges_are_disjoint(a_start: u64, a_end: u64, b_start: u64, b_end: u64) -> bool {
    a_end <= b_start || b_end <= a_start
}

/// Whether no two registers share a byte and each lies at a multiple of its size.
pub const fn regs_are_disjoint(regs: &[Reg]) -> bool {
    let mut i = 0;
    while i < regs.len() {
        if regs[i].bytes != 4 && regs[i].bytes != 8 {
            return false;
        }
        if regs[i].offset % regs[i].bytes != 0 {
            return false;
        }
        let mut j = 0;
        while j < i {
            let (a, b) = (&regs[i], &regs[j]);
            if !ranges_are_disjoint(a.offset as u64, a.end() as u64, b.offset as u64, b.end() as u64) {
                return false;
            }
            j += 1;
        }
        i += 1;
    }
    true
}

/// Whether no window shares a byte with another window or with a register.
pub const fn windows_are_disjoint(windows: &[Window], regs: &[Reg]) -> bool {
    let mut i = 0;
    while i < windows.len() {
        let (start, end) = (windows[i].offset as u64, windows[i].end() as u64);
        let mut j = 0;
        while j < i {
            let other = &windows[j];
            if !ranges_are_disjoint(start, end, other.offset as u64, other.end() as u64) {
                return false;
            }
            j += 1;
        }
        let mut j = 0;
        while j < regs.len() {
            if !ranges_are_disjoint(start, end, regs[j].offset as u64, regs[j].end() as u64) {
                return false;
            }
            j += 1;
        }
        i += 1;
    }
    true
}

/// Whether the fields of each register lie inside it and share no bit, and every reset value lies inside the fields.
pub const fn fields_are_disjoint(regs: &[Reg]) -> bool {
    let mut i = 0;
    while i < regs.len() {
        let reg = &regs[i];
        let mut used = 0;
        let mut j = 0;
        while j < reg.fields.len() {
            let field = reg.fields[j];
            if field.lsb + field.width > reg.bytes * 8 || used & field.mask() != 0 {
                return false;
            }
            used |= field.mask();
            j += 1;
        }
        if reg.reset & !used != 0 {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Field = Field::new("A", 4, 8, Access::Rw);
    const B: Field = Field::new("B", 11, 2, Access::Ro);

    const fn reg(offset: u32, bytes: u32, reset: u64, fields: &'static [Field]) -> Reg {
        Reg { name: "R", offset, bytes, reset, fields, doc: "" }
    }

    #[test]
    fn a_field_is_read_and_replaced_in_place() {
        assert_eq!(A.mask(), 0xFF0);
        assert_eq!(A.get(0xABCD), 0xBC);
        assert_eq!(A.set(0xABCD, 0x112), 0xA12D);
        assert_eq!(Field::new("ALL", 0, 64, Access::Rw).mask(), u64::MAX);
        assert_eq!(Field::new("TOP", 63, 1, Access::Rw).get(1 << 63), 1);
    }

    #[test]
    fn overlaps_are_found() {
        assert!(regs_are_disjoint(&[reg(0, 8, 0, &[]), reg(8, 4, 0, &[])]));
        assert!(!regs_are_disjoint(&[reg(0, 8, 0, &[]), reg(4, 4, 0, &[])]));
        assert!(!regs_are_disjoint(&[reg(4, 8, 0, &[])]), "misaligned");
        assert!(!fields_are_disjoint(&[reg(0, 4, 0, &[A, B])]));
        assert!(fields_are_disjoint(&[reg(0, 4, 0xFF0, &[A])]));
        assert!(!fields_are_disjoint(&[reg(0, 4, 0xF, &[A])]), "reset");
        let high = Field::new("HIGH", 30, 3, Access::Rw);
        assert!(!fields_are_disjoint(&[reg(0, 4, 0, std::vec![high].leak())]));
        let window = |offset| Window { name: "W", offset, bytes: 8, writable: true, doc: "" };
        assert!(windows_are_disjoint(&[window(8)], &[reg(4, 4, 0, &[])]));
        assert!(!windows_are_disjoint(&[window(8)], &[reg(12, 4, 0, &[])]));
        assert!(!windows_are_disjoint(&[window(8), window(12)], &[]));
    }
}
