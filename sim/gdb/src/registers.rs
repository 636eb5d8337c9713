//! The registers of a hart as GDB numbers them. GDB's documentation, "RISC-V Features"; for the numbers, its `riscv-tdep.h`.

use std::num::NonZeroUsize;

use gdbstub::arch::{Arch, RegId, Registers};
use sim_iss::{number, Hart};

/// The architecture.
pub(crate) enum Rv64 {}

impl Arch for Rv64 {
    type Usize = u64;
    type Registers = Integers;
    type BreakpointKind = usize;
    type RegId = Register;

    fn target_description_xml() -> Option<&'static str> {
        Some(include_str!("target.xml"))
    }
}

/// What a hart has beside memory, as one packet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Integers {
    pub(crate) x: [u64; 32],
    pub(crate) pc: u64,
}

impl Registers for Integers {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.pc
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        let values = self.x.iter().chain([&self.pc]);
        values.flat_map(|value| value.to_le_bytes()).for_each(|byte| write_byte(Some(byte)));
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let (values, []) = bytes.as_chunks::<8>() else { return Err(()) };
        let [x @ .., pc] = values else { return Err(()) };
        self.x = x.iter().map(|value| u64::from_le_bytes(*value)).collect::<Vec<_>>().try_into().map_err(|_| ())?;
        self.pc = u64::from_le_bytes(*pc);
        Ok(())
    }
}

/// One register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Register {
    Integer(usize),
    Pc,
    Float(usize),
    Csr(u16),
}

/// The numbers of the first registers of each kind.
const PC: usize = 32;
const FLOATS: usize = 33;
const CSRS: usize = 65;
const CSR_NUMBERS: usize = 1 << 12;

impl RegId for Register {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        let register = match id {
            0..PC => Self::Integer(id),
            PC => Self::Pc,
            FLOATS..CSRS => Self::Float(id - FLOATS),
            CSRS.. if id < CSRS + CSR_NUMBERS => Self::Csr((id - CSRS) as u16),
            _ => return None,
        };
        Some((register, NonZeroUsize::new(register.bytes())))
    }
}

impl Register {
    /// Its size in `target.xml`.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Csr(number::FFLAGS | number::FRM | number::FCSR) => 4,
            _ => 8,
        }
    }

    /// None if the hart has no such register.
    pub(crate) fn read(self, hart: &Hart) -> Option<u64> {
        match self {
            Self::Integer(register) => Some(hart.x(register)),
            Self::Pc => Some(hart.pc()),
            Self::Float(register) => Some(hart.f(register)),
            Self::Csr(number) => hart.csr(number),
        }
    }

    /// None if the hart has no such register, or it cannot have this value.
    pub(crate) fn write(self, hart: &mut Hart, value: u64) -> Option<()> {
        match self {
            Self::Integer(register) => hart.set_x(register, value),
            Self::Pc if value & 1 == 0 => hart.set_pc(value),
            Self::Pc => return None,
            Self::Float(register) => hart.set_f(register, value),
            Self::Csr(number) => {
                hart.csr(number)?;
                hart.set_csr(number, value);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The description and the numbers here are one: each register that it names is there, with its size.
    #[test]
    fn the_description_names_registers_that_there_are() {
        let hart = Hart::new(&sim_iss::Config { hart: 0, reset_pc: 0, physical_bits: 32 });
        let mut next = 0;
        let mut names = Vec::new();
        for line in include_str!("target.xml").lines().filter(|line| line.trim_start().starts_with("<reg ")) {
            let field = |name: &str| {
                let (_, rest) = line.split_once(&format!(" {name}=\""))?;
                rest.split_once('"').map(|(value, _)| value)
            };
            let id = field("regnum").map_or(next, |number| number.parse().unwrap());
            next = id + 1;
            let (register, bytes) = Register::from_raw_id(id).unwrap();
            let bits: usize = field("bitsize").unwrap().parse().unwrap();
            assert_eq!(bytes.unwrap().get() * 8, bits, "{line}");
            assert!(register.read(&hart).is_some(), "{line}");
            names.push((field("name").unwrap(), register));
        }
        for (name, register) in [
            ("sp", Register::Integer(2)),
            ("pc", Register::Pc),
            ("fa0", Register::Float(10)),
            ("fcsr", Register::Csr(number::FCSR)),
            ("mepc", Register::Csr(number::MEPC)),
            ("satp", Register::Csr(number::SATP)),
        ] {
            assert!(names.contains(&(name, register)), "{name}");
        }
        assert_eq!(Register::from_raw_id(CSRS + CSR_NUMBERS), None);
    }

    #[test]
    fn integers_are_read_from_a_packet_as_they_are_written() {
        let registers = Integers { x: std::array::from_fn(|register| register as u64 * 0x0101), pc: 0x8000_0000 };
        let mut bytes = Vec::new();
        registers.gdb_serialize(|byte| bytes.extend(byte));
        let mut read = Integers::default();
        assert_eq!(read.gdb_deserialize(&bytes), Ok(()));
        assert_eq!(read, registers);
        assert_eq!(read.gdb_deserialize(&bytes[1..]), Err(()));
        assert_eq!(read.gdb_deserialize(&bytes[8..]), Err(()));
    }
}
