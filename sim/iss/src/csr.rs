//! The control and status registers.
//!
//! Sources: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, "CSR Listing" and the sections of each register, for what they
//! mean; Rocket Chip, `CSR.scala`, for those that there are, their fields that exist and what a write leaves of them.

use crate::pmp::{Pmp, REGIONS_MAX};
use crate::trap::{interrupt, Mode};

/// What is fixed when a hart is built.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Its number, on the bus and in `mhartid`.
    pub hart: usize,
    /// Where it begins.
    pub reset_pc: u64,
    /// Bits of a physical address, at most 56. Addresses with more are access faults.
    pub physical_bits: u32,
}

/// Fields of `mstatus`.
pub(crate) mod status {
    pub const SIE: u64 = 1 << 1;
    pub const MIE: u64 = 1 << 3;
    pub const SPIE: u64 = 1 << 5;
    pub const MPIE: u64 = 1 << 7;
    pub const SPP: u64 = 1 << 8;
    pub const MPP_SHIFT: u32 = 11;
    pub const MPP: u64 = 0b11 << MPP_SHIFT;
    pub const FS: u64 = 0b11 << 13;
    pub const MPRV: u64 = 1 << 17;
    pub const SUM: u64 = 1 << 18;
    pub const MXR: u64 = 1 << 19;
    pub const TVM: u64 = 1 << 20;
    pub const TW: u64 = 1 << 21;
    pub const TSR: u64 = 1 << 22;
    /// UXL and SXL: both 64 bits.
    pub const UXL: u64 = 2 << 32;
    pub const SXL: u64 = 2 << 34;
    pub const SD: u64 = 1 << 63;

    pub const SUPERVISOR: u64 = SIE | SPIE | SPP | FS | SUM | MXR;
    pub const MACHINE: u64 = SUPERVISOR | MIE | MPIE | MPP | MPRV | TVM | TW | TSR;
}

/// The numbers of the registers.
#[allow(missing_docs)]
pub mod number {
    pub const FFLAGS: u16 = 0x001;
    pub const FRM: u16 = 0x002;
    pub const FCSR: u16 = 0x003;
    pub const SSTATUS: u16 = 0x100;
    pub const SIE: u16 = 0x104;
    pub const STVEC: u16 = 0x105;
    pub const SCOUNTEREN: u16 = 0x106;
    pub const SSCRATCH: u16 = 0x140;
    pub const SEPC: u16 = 0x141;
    pub const SCAUSE: u16 = 0x142;
    pub const STVAL: u16 = 0x143;
    pub const SIP: u16 = 0x144;
    pub const SATP: u16 = 0x180;
    pub const MSTATUS: u16 = 0x300;
    pub const MISA: u16 = 0x301;
    pub const MEDELEG: u16 = 0x302;
    pub const MIDELEG: u16 = 0x303;
    pub const MIE: u16 = 0x304;
    pub const MTVEC: u16 = 0x305;
    pub const MCOUNTEREN: u16 = 0x306;
    pub const MCOUNTINHIBIT: u16 = 0x320;
    pub const MHPMEVENT3: u16 = 0x323;
    pub const MHPMEVENT31: u16 = 0x33F;
    pub const MSCRATCH: u16 = 0x340;
    pub const MEPC: u16 = 0x341;
    pub const MCAUSE: u16 = 0x342;
    pub const MTVAL: u16 = 0x343;
    pub const MIP: u16 = 0x344;
    pub const PMPCFG0: u16 = 0x3A0;
    pub const PMPCFG2: u16 = 0x3A2;
    pub const PMPADDR0: u16 = 0x3B0;
    pub const PMPADDR15: u16 = 0x3BF;
    pub const TSELECT: u16 = 0x7A0;
    pub const TDATA3: u16 = 0x7A3;
    pub const MCYCLE: u16 = 0xB00;
    pub const MINSTRET: u16 = 0xB02;
    pub const MHPMCOUNTER3: u16 = 0xB03;
    pub const MHPMCOUNTER31: u16 = 0xB1F;
    pub const CYCLE: u16 = 0xC00;
    pub const TIME: u16 = 0xC01;
    pub const INSTRET: u16 = 0xC02;
    pub const HPMCOUNTER31: u16 = 0xC1F;
    pub const MVENDORID: u16 = 0xF11;
    pub const MARCHID: u16 = 0xF12;
    pub const MIMPID: u16 = 0xF13;
    pub const MHARTID: u16 = 0xF14;
}
use number::*;

/// Rocket's number in the list of architectures of RISC-V International ("marchid.md").
const ROCKET_ARCHITECTURE: u64 = 1;
/// The date in BCD that Rocket has had in `mimpid` since.
// tidy: a date, not an address
const ROCKET_IMPLEMENTATION: u64 = 0x2018_1004;

/// RV64, and the letters of its extensions: A, C, D, F, I, M, S, U, and X for registers of its own (7C1h).
const ISA: u64 = {
    let mut isa = 2 << 62;
    let mut index = 0;
    let letters = b"ACDFIMSUX";
    while index < letters.len() {
        isa |= 1 << (letters[index] - b'A');
        index += 1;
    }
    isa
};

/// Bits of a virtual address in the registers that hold one, and its sign: the others are copies of the highest.
const VIRTUAL_BITS: u32 = 40;
/// Bits of `stvec`.
const VECTOR_BITS: u32 = 39;
/// The exceptions that may be delegated: all but access faults and calls from S and M. Rocket keeps the bits of a hypervisor's (10 and 20 to 23) as well.
const DELEGABLE_EXCEPTIONS: u64 =
    1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 15 | 0xF << 20;
/// What `mcause` and `scause` hold.
const MCAUSE_MASK: u64 = 1 << 63 | 0xF;
const SCAUSE_MASK: u64 = 1 << 63 | 0x1F;
/// Cycle, time and instructions retired: all counters that there are.
const COUNTERS: u64 = 0b111;
/// The mode field of `satp`.
pub(crate) const SATP_MODE_SHIFT: u32 = 60;
/// Its value for Sv39.
pub(crate) const SV39: u64 = 8;

/// A counter that may be stopped: what counts is one for all of them, so that a step counts once.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    /// Its value less what counts; or its value, when it stands.
    offset: u64,
    stands: bool,
}

impl Counter {
    fn value(self, count: u64) -> u64 {
        if self.stands {
            self.offset
        } else {
            self.offset.wrapping_add(count)
        }
    }

    fn set(&mut self, value: u64, count: u64) {
        self.offset = if self.stands { value } else { value.wrapping_sub(count) };
    }

    fn set_standing(&mut self, stands: bool, count: u64) {
        let value = self.value(count);
        self.stands = stands;
        self.set(value, count);
    }
}

/// What a register's value depends on beside itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Instructions that were begun.
    pub steps: u64,
    /// Those of them that trapped.
    pub traps: u64,
    /// The clock of the platform.
    pub time: Option<u64>,
}

/// All registers of one hart.
#[derive(Clone, Debug)]
pub(crate) struct Csrs {
    pub mstatus: u64,
    pub mie: u64,
    /// The bits of `mip` that software sets.
    pub software: u64,
    /// The bits of `mip` that come from outside.
    pub lines: u64,
    pub mideleg: u64,
    pub medeleg: u64,
    pub mtvec: u64,
    pub mepc: u64,
    pub mcause: u64,
    pub mtval: u64,
    mscratch: u64,
    mcounteren: u64,
    mcountinhibit: u64,
    pub stvec: u64,
    pub sepc: u64,
    pub scause: u64,
    pub stval: u64,
    sscratch: u64,
    scounteren: u64,
    pub satp: u64,
    /// Accrued exceptions.
    pub fflags: u8,
    /// Dynamic rounding mode, legal or not.
    pub frm: u8,
    pub pmp: Pmp,
    cycle: Counter,
    retired: Counter,
    hart: u64,
    pub physical_bits: u32,
}

fn sign_extended(value: u64, bits: u32) -> u64 {
    ((value << (64 - bits)) as i64 >> (64 - bits)) as u64
}

/// What is left of an address of an instruction.
fn instruction_address(value: u64) -> u64 {
    sign_extended(value, VIRTUAL_BITS) & !1
}

/// What is left of a vector: vectored tables are aligned to 256 bytes.
fn vector(value: u64) -> u64 {
    if value & 1 != 0 {
        value & !0b1111_1110
    } else {
        value & !0b10
    }
}

impl Csrs {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            mstatus: status::UXL | status::SXL | status::MPP,
            mie: 0,
            software: 0,
            lines: 0,
            mideleg: 0,
            medeleg: 0,
            mtvec: 0,
            mepc: 0,
            mcause: 0,
            mtval: 0,
            mscratch: 0,
            mcounteren: 0,
            mcountinhibit: 0,
            stvec: 0,
            sepc: 0,
            scause: 0,
            stval: 0,
            sscratch: 0,
            scounteren: 0,
            satp: 0,
            fflags: 0,
            frm: 0,
            pmp: Pmp::default(),
            cycle: Counter::default(),
            retired: Counter::default(),
            hart: config.hart as u64,
            physical_bits: config.physical_bits,
        }
    }

    /// Pending interrupts.
    pub(crate) fn mip(&self) -> u64 {
        self.software | self.lines
    }

    /// Whether floating-point instructions are legal.
    pub(crate) fn float_enabled(&self) -> bool {
        self.mstatus & status::FS != 0
    }

    /// Whether `sfence.vma` is legal, and with it the access to `satp`.
    pub(crate) fn may_fence(&self, mode: Mode) -> bool {
        mode == Mode::Machine || mode == Mode::Supervisor && self.mstatus & status::TVM == 0
    }

    /// Whether `wfi` is legal.
    pub(crate) fn may_wait(&self, mode: Mode) -> bool {
        mode == Mode::Machine || mode == Mode::Supervisor && self.mstatus & status::TW == 0
    }

    /// Whether `sret` is legal.
    pub(crate) fn may_return(&self, mode: Mode) -> bool {
        mode == Mode::Machine || mode == Mode::Supervisor && self.mstatus & status::TSR == 0
    }

    /// Whether an instruction may access a register, if there is one: the mode and the kind of access that are in its number, and what `mstatus`
    /// and the counter enables say.
    pub(crate) fn may_access(&self, number: u16, writes: bool, mode: Mode) -> bool {
        let lowest = Mode::from_bits(u64::from(number) >> 8);
        let reachable = mode >= lowest;
        let read_only = number >> 10 == 0b11;
        let allowed = match number {
            FFLAGS..=FCSR => self.float_enabled(),
            SATP => self.may_fence(mode),
            CYCLE..=HPMCOUNTER31 => {
                let enabled = |enables: u64| enables >> (number & 0x1F) & 1 != 0;
                mode == Mode::Machine
                    || enabled(self.mcounteren) && (mode == Mode::Supervisor || enabled(self.scounteren))
            }
            _ => true,
        };
        reachable && !(writes && read_only) && allowed
    }

    /// The value of a register; none if there is no such register.
    pub(crate) fn read(&self, number: u16, now: Now) -> Option<u64> {
        let dirty = if self.mstatus & status::FS == status::FS { status::SD } else { 0 };
        Some(match number {
            FFLAGS => self.fflags.into(),
            FRM => self.frm.into(),
            FCSR => u64::from(self.frm) << 5 | u64::from(self.fflags),
            SSTATUS => self.mstatus & (status::SUPERVISOR | status::UXL) | dirty,
            SIE => self.mie & self.mideleg,
            STVEC => self.stvec,
            SCOUNTEREN => self.scounteren,
            SSCRATCH => self.sscratch,
            SEPC => self.sepc,
            SCAUSE => self.scause,
            STVAL => self.stval,
            SIP => self.mip() & self.mideleg,
            SATP => self.satp,
            MSTATUS => self.mstatus | dirty,
            MISA => ISA,
            MEDELEG => self.medeleg,
            MIDELEG => self.mideleg,
            MIE => self.mie,
            MTVEC => self.mtvec,
            MCOUNTEREN => self.mcounteren,
            MCOUNTINHIBIT => self.mcountinhibit,
            MSCRATCH => self.mscratch,
            MEPC => self.mepc,
            MCAUSE => self.mcause,
            MTVAL => self.mtval,
            MIP => self.mip(),
            PMPCFG0 => self.pmp.configurations(0),
            PMPCFG2 => self.pmp.configurations(REGIONS_MAX / 2),
            PMPADDR0..=PMPADDR15 => self.pmp.address((number - PMPADDR0).into()),
            MCYCLE | CYCLE => self.cycle.value(now.steps),
            MINSTRET | INSTRET => self.retired.value(now.steps - now.traps),
            TIME => now.time?,
            MARCHID => ROCKET_ARCHITECTURE,
            MIMPID => ROCKET_IMPLEMENTATION,
            MHARTID => self.hart,
            // There are no further counters and no triggers.
            MVENDORID | MHPMEVENT3..=MHPMEVENT31 | TSELECT..=TDATA3 => 0,
            MHPMCOUNTER3..=MHPMCOUNTER31 | CYCLE..=HPMCOUNTER31 => 0,
            _ => return None,
        })
    }

    /// What an instruction that sets or clears bits begins with, when this was read. The line of SEIP is read together with the bit, and is not to be
    /// written into it. Volume II, "Machine Interrupt (`mip` and `mie`) Registers".
    pub(crate) fn modified(&self, number: u16, read: u64) -> u64 {
        if number == MIP {
            self.software
        } else {
            read
        }
    }

    /// Writes a register that [`Self::read`] knows.
    pub(crate) fn write(&mut self, number: u16, value: u64, now: Now) {
        // A counter that is written has the value when the next instruction reads it.
        let next = Now { steps: now.steps + 1, ..now };
        match number {
            FFLAGS => self.fflags = value as u8 & 0x1F,
            FRM => self.frm = value as u8 & 0b111,
            FCSR => {
                self.fflags = value as u8 & 0x1F;
                self.frm = (value >> 5) as u8 & 0b111;
            }
            SSTATUS => self.set_status(value, status::SUPERVISOR),
            SIE => self.mie = self.mie & !self.mideleg | value & self.mideleg,
            STVEC => self.stvec = vector(sign_extended(value, VECTOR_BITS)),
            SCOUNTEREN => self.scounteren = value & COUNTERS,
            SSCRATCH => self.sscratch = value,
            SEPC => self.sepc = instruction_address(value),
            SCAUSE => self.scause = value & SCAUSE_MASK,
            STVAL => self.stval = sign_extended(value, VIRTUAL_BITS),
            SIP => {
                let writable = self.mideleg & interrupt::SSI;
                self.software = self.software & !writable | value & writable;
            }
            SATP => self.set_satp(value),
            MSTATUS => self.set_status(value, status::MACHINE),
            MEDELEG => self.medeleg = value & DELEGABLE_EXCEPTIONS,
            MIDELEG => self.mideleg = value & interrupt::DELEGABLE,
            MIE => self.mie = value & interrupt::ALL,
            MTVEC => self.mtvec = vector(value & ((1 << self.physical_bits) - 1)),
            MCOUNTEREN => self.mcounteren = value & COUNTERS,
            MCOUNTINHIBIT => {
                self.mcountinhibit = value & 0b101;
                self.cycle.set_standing(value & 1 != 0, next.steps);
                self.retired.set_standing(value & 0b100 != 0, next.steps - next.traps);
            }
            MSCRATCH => self.mscratch = value,
            MEPC => self.mepc = instruction_address(value),
            MCAUSE => self.mcause = value & MCAUSE_MASK,
            MTVAL => self.mtval = sign_extended(value, VIRTUAL_BITS),
            MIP => self.software = value & interrupt::DELEGABLE,
            PMPCFG0 => self.pmp.set_configurations(0, value),
            PMPADDR0..=PMPADDR15 => {
                self.pmp.set_address((number - PMPADDR0).into(), value, self.physical_bits);
            }
            MCYCLE => self.cycle.set(value, next.steps),
            MINSTRET => self.retired.set(value, next.steps - next.traps),
            _ => {}
        }
    }

    fn set_status(&mut self, value: u64, writable: u64) {
        let mut value = value;
        // Rocket does not tell clean from dirty.
        if value & status::FS != 0 {
            value |= status::FS;
        }
        // There is no mode 2.
        if value & status::MPP == 2 << status::MPP_SHIFT {
            value &= !status::MPP;
        }
        self.mstatus = self.mstatus & !writable | value & writable;
    }

    /// A mode that there is not leaves the register as it was. There are no address space identifiers.
    fn set_satp(&mut self, value: u64) {
        let mode = value >> SATP_MODE_SHIFT;
        if mode == 0 || mode == SV39 {
            let page_bits = self.physical_bits - crate::mmu::PAGE_BITS;
            self.satp = mode << SATP_MODE_SHIFT | value & ((1 << page_bits) - 1);
        }
    }
}

/// An address as Rocket carries it, in `pc` and into the registers of a trap: in 40 bits. One that has no such copy becomes another invalid one, by the
/// complement of bit 38. Rocket Chip, `encodeVirtualAddress` in `RocketCore.scala`.
#[inline]
pub(crate) fn carried_address(value: u64) -> u64 {
    const BITS: u32 = VIRTUAL_BITS - 1;
    let upper = value as i64 >> BITS;
    if upper == 0 || upper == -1 {
        return value;
    }
    let sign = !value << 1 & 1 << BITS;
    sign_extended(value & ((1 << BITS) - 1) | sign, VIRTUAL_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { steps: 100, traps: 10, time: None };

    fn csrs() -> Csrs {
        Csrs::new(&Config { hart: 5, reset_pc: 0, physical_bits: 32 })
    }

    /// Writes a register and reads it back.
    fn written(csrs: &mut Csrs, number: u16, value: u64) -> u64 {
        csrs.write(number, value, NOW);
        csrs.read(number, Now { steps: NOW.steps + 1, ..NOW }).expect("a register")
    }

    /// What a write of all ones leaves, register by register, as the sections of Volume II and Rocket have it.
    #[test]
    fn writes_leave_what_exists() {
        for (number, expected) in [
            (MSTATUS, 0x8000_000A_007E_79AA),
            (SSTATUS, 0x8000_0002_000C_6122),
            (MISA, 0x8000_0000_0094_112D),
            (MEDELEG, 0xF0_B55D),
            (MIDELEG, 0x222),
            (MIE, 0xAAA),
            (MIP, 0x222),
            (MTVEC, 0xFFFF_FF01),
            (STVEC, 0xFFFF_FFFF_FFFF_FF01),
            (MEPC, u64::MAX - 1),
            (MCAUSE, 1 << 63 | 0xF),
            (MSCRATCH, u64::MAX),
            (MCOUNTEREN, 7),
            (MCOUNTINHIBIT, 5),
            (SATP, 0),
            (FCSR, 0xFF),
            (FRM, 7),
            (PMPADDR0, (1 << 30) - 1),
            (PMPADDR0 + 8, 0),
            (PMPCFG0, 0x9F9F_9F9F_9F9F_9F9F),
            (PMPCFG2, 0),
            (MCYCLE, u64::MAX),
            (MINSTRET, u64::MAX),
            (MHPMCOUNTER3, 0),
            (MHARTID, 5),
            (MARCHID, 1),
            (SIE, 0),
            (SIP, 0),
        ] {
            assert_eq!(written(&mut csrs(), number, u64::MAX), expected, "{number:#x}");
        }
        // Rocket's own, and those that this version does not have yet: menvcfg and senvcfg.
        for number in [0x7C0, 0x30A, 0x10A] {
            assert_eq!(csrs().read(number, NOW), None, "{number:#x}");
        }
        assert_eq!(csrs().read(TIME, NOW), None);
        assert_eq!(csrs().read(TIME, Now { time: Some(9), ..NOW }), Some(9));
    }

    #[test]
    fn fields_with_few_values_keep_to_them() {
        let mut csrs = csrs();
        assert_eq!(written(&mut csrs, MSTATUS, 1 << 13) & status::FS, status::FS);
        assert_eq!(written(&mut csrs, MSTATUS, 2 << 11) & status::MPP, 0);
        assert_eq!(written(&mut csrs, SATP, 8 << 60 | 0xFFFF << 44 | 0x123), 8 << 60 | 0x123);
        assert_eq!(written(&mut csrs, SATP, 9 << 60), 8 << 60 | 0x123);
        assert_eq!(written(&mut csrs, MEPC, 0x80_0000_0003), 0xFFFF_FF80_0000_0002);
        assert_eq!(written(&mut csrs, MTVEC, 0x8000_0006), 0x8000_0004);
    }

    #[test]
    fn supervisor_registers_are_windows() {
        let mut csrs = csrs();
        csrs.mideleg = 0x222;
        csrs.mie = 0x888;
        csrs.lines = interrupt::MTI | interrupt::SEI;
        assert_eq!(written(&mut csrs, SIE, u64::MAX), 0x222);
        assert_eq!(csrs.mie, 0xAAA);
        assert_eq!(written(&mut csrs, SIP, u64::MAX), 0x202);
        assert_eq!(csrs.mip(), 0x282);
        // The line of SEI is seen in a read, and a write that sets another bit does not keep it.
        let read = csrs.read(MIP, NOW).expect("mip");
        csrs.write(MIP, csrs.modified(MIP, read) | interrupt::STI, NOW);
        csrs.lines = 0;
        assert_eq!(csrs.mip(), 0x22);
    }

    #[test]
    fn counters_count_what_retires_and_stand_when_told_to() {
        let mut csrs = csrs();
        assert_eq!((csrs.read(MCYCLE, NOW), csrs.read(MINSTRET, NOW)), (Some(100), Some(90)));
        csrs.write(MCOUNTINHIBIT, 0b101, NOW);
        let later = Now { steps: 200, traps: 20, time: None };
        assert_eq!((csrs.read(CYCLE, later), csrs.read(INSTRET, later)), (Some(101), Some(91)));
        csrs.write(MINSTRET, 5, later);
        csrs.write(MCOUNTINHIBIT, 0, later);
        let last = Now { steps: 203, traps: 20, time: None };
        assert_eq!((csrs.read(CYCLE, last), csrs.read(INSTRET, last)), (Some(103), Some(7)));
    }

    #[test]
    fn an_address_that_has_too_many_bits_becomes_an_invalid_one() {
        for (address, carried) in [
            (0x3F_FFFF_FFFF, 0x3F_FFFF_FFFF),
            (0x7F_FFFF_FFFF, 0x7F_FFFF_FFFF),
            (0xFFFF_FF80_0000_0000, 0xFFFF_FF80_0000_0000),
            (0x80_0000_0000, 0xFFFF_FF80_0000_0000),
            (0xC0_0000_0000, 0x40_0000_0000),
            (0x4008_0000_0000_0000, 0xFFFF_FF80_0000_0000),
            (0x4008_0040_0000_0002, 0x40_0000_0002),
        ] {
            assert_eq!(carried_address(address), carried, "{address:#x}");
        }
    }

    #[test]
    fn access_follows_number_mode_and_enables() {
        let mut csrs = csrs();
        assert!(csrs.may_access(MSTATUS, true, Mode::Machine) && !csrs.may_access(MSTATUS, false, Mode::Supervisor));
        assert!(csrs.may_access(SSTATUS, true, Mode::Supervisor) && !csrs.may_access(SSTATUS, false, Mode::User));
        assert!(csrs.may_access(MHARTID, false, Mode::Machine) && !csrs.may_access(MHARTID, true, Mode::Machine));
        assert!(!csrs.may_access(FCSR, false, Mode::Machine));
        csrs.mstatus |= status::FS;
        assert!(csrs.may_access(FCSR, true, Mode::User));
        assert!(!csrs.may_access(CYCLE, false, Mode::Supervisor));
        csrs.mcounteren = 1;
        assert!(csrs.may_access(CYCLE, false, Mode::Supervisor) && !csrs.may_access(CYCLE, false, Mode::User));
        csrs.scounteren = 1;
        assert!(csrs.may_access(CYCLE, false, Mode::User) && !csrs.may_access(INSTRET, false, Mode::User));
        csrs.mstatus |= status::TVM;
        assert!(!csrs.may_access(SATP, false, Mode::Supervisor) && csrs.may_access(SATP, true, Mode::Machine));
    }
}
