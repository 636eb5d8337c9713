//! Exceptions, interrupts, and the ways into and out of their handlers.
//!
//! Source: The RISC-V Instruction Set Manual, Volume II: Privileged Architecture, "Machine Cause (`mcause`) Register", "Machine Status (`mstatus`
//! and `mstatush`) Registers", "Machine Interrupt (`mip` and `mie`) Registers" and "Trap-Return Instructions".

use crate::csr::{status, Csrs};

/// A privilege mode, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// U.
    User = 0,
    /// S.
    Supervisor = 1,
    /// M.
    Machine = 3,
}

impl Mode {
    /// The mode with this number; the reserved one is U, as Rocket has it.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits & 0b11 {
            3 => Self::Machine,
            1 => Self::Supervisor,
            _ => Self::User,
        }
    }
}

/// Why an instruction was not carried out, by its number in `mcause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Cause {
    InstructionAddressMisaligned = 0,
    InstructionAccessFault = 1,
    IllegalInstruction = 2,
    Breakpoint = 3,
    LoadAddressMisaligned = 4,
    LoadAccessFault = 5,
    StoreAddressMisaligned = 6,
    StoreAccessFault = 7,
    UserCall = 8,
    SupervisorCall = 9,
    MachineCall = 11,
    InstructionPageFault = 12,
    LoadPageFault = 13,
    StorePageFault = 15,
}

/// An exception, with what goes into `mtval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Why.
    pub cause: Cause,
    /// The address, or the instruction.
    pub value: u64,
}

/// Interrupts, by their bits in `mip`.
pub mod interrupt {
    /// Supervisor software.
    pub const SSI: u64 = 1 << 1;
    /// Machine software.
    pub const MSI: u64 = 1 << 3;
    /// Supervisor timer.
    pub const STI: u64 = 1 << 5;
    /// Machine timer.
    pub const MTI: u64 = 1 << 7;
    /// Supervisor external.
    pub const SEI: u64 = 1 << 9;
    /// Machine external.
    pub const MEI: u64 = 1 << 11;
    /// All of them.
    pub const ALL: u64 = SSI | MSI | STI | MTI | SEI | MEI;
    /// Those that may be delegated.
    pub const DELEGABLE: u64 = SSI | STI | SEI;
    /// Those that lines from outside raise.
    pub const LINES: u64 = MSI | MTI | MEI | SEI;

    /// From the highest priority to the lowest. Volume II, "Machine Interrupt (`mip` and `mie`) Registers".
    pub(super) const PRIORITY: [u64; 6] = [MEI, MSI, MTI, SEI, SSI, STI];
}

/// The bit of `mcause` that tells interrupts from exceptions.
const INTERRUPT: u64 = 1 << 63;

impl Csrs {
    /// The interrupt that the hart takes next from this mode, as a value of `mcause`.
    pub(crate) fn interrupt_cause(&self, mode: Mode) -> Option<u64> {
        let pending = self.mip() & self.mie;
        if pending == 0 {
            return None;
        }
        let enabled = |bit| self.mstatus & bit != 0;
        let machine = if mode < Mode::Machine || enabled(status::MIE) { pending & !self.mideleg } else { 0 };
        let supervised = mode < Mode::Supervisor || mode == Mode::Supervisor && enabled(status::SIE);
        let supervisor = if supervised { pending & self.mideleg } else { 0 };
        // What goes to M comes before what is delegated.
        let candidates = if machine != 0 { machine } else { supervisor };
        let first = interrupt::PRIORITY.into_iter().find(|bit| candidates & bit != 0)?;
        Some(INTERRUPT | u64::from(first.trailing_zeros()))
    }

    /// Enters the handler of a cause: returns its address and its mode.
    pub(crate) fn enter_trap(&mut self, mode: Mode, pc: u64, cause: u64, value: u64) -> (u64, Mode) {
        let number = cause & !INTERRUPT;
        let delegation = if cause & INTERRUPT != 0 { self.mideleg } else { self.medeleg };
        let moved = |status: u64, from: u64, to: u64| if status & from != 0 { status | to } else { status & !to };
        let (vector, handler) = if mode <= Mode::Supervisor && delegation >> number & 1 != 0 {
            self.sepc = pc;
            self.scause = cause;
            self.stval = value;
            let spp = if mode == Mode::Supervisor { status::SPP } else { 0 };
            self.mstatus = moved(self.mstatus, status::SIE, status::SPIE) & !(status::SIE | status::SPP) | spp;
            (self.stvec, Mode::Supervisor)
        } else {
            self.mepc = pc;
            self.mcause = cause;
            self.mtval = value;
            let mpp = (mode as u64) << status::MPP_SHIFT;
            self.mstatus = moved(self.mstatus, status::MIE, status::MPIE) & !(status::MIE | status::MPP) | mpp;
            (self.mtvec, Mode::Machine)
        };
        let vectored = vector & 1 != 0 && cause & INTERRUPT != 0;
        let base = vector & !1;
        (if vectored { base + 4 * number } else { base }, handler)
    }

    /// `mret`: the address and the mode that the hart goes on with.
    pub(crate) fn leave_machine_trap(&mut self) -> (u64, Mode) {
        let mode = Mode::from_bits(self.mstatus >> status::MPP_SHIFT);
        let mie = if self.mstatus & status::MPIE != 0 { status::MIE } else { 0 };
        self.mstatus = self.mstatus & !(status::MIE | status::MPP) | status::MPIE | mie;
        self.leave_mprv(mode);
        (self.mepc, mode)
    }

    /// `sret`: the address and the mode that the hart goes on with.
    pub(crate) fn leave_supervisor_trap(&mut self) -> (u64, Mode) {
        let mode = if self.mstatus & status::SPP != 0 { Mode::Supervisor } else { Mode::User };
        let sie = if self.mstatus & status::SPIE != 0 { status::SIE } else { 0 };
        self.mstatus = self.mstatus & !(status::SIE | status::SPP) | status::SPIE | sie;
        self.leave_mprv(mode);
        (self.sepc, mode)
    }

    /// A return to a mode that has no MPRV clears it.
    fn leave_mprv(&mut self, mode: Mode) {
        if mode < Mode::Machine {
            self.mstatus &= !status::MPRV;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::Config;

    fn csrs() -> Csrs {
        Csrs::new(&Config { hart: 0, reset_pc: 0, physical_bits: 32 })
    }

    #[test]
    fn interrupts_by_priority_mode_and_delegation() {
        let mut csrs = csrs();
        csrs.lines = interrupt::LINES;
        csrs.mie = interrupt::ALL;
        assert_eq!(csrs.interrupt_cause(Mode::Machine), None, "MIE is off");
        csrs.mstatus |= status::MIE;
        for expected in [11, 3, 7, 9] {
            assert_eq!(csrs.interrupt_cause(Mode::Machine), Some(INTERRUPT | expected));
            csrs.lines &= !(1 << expected);
        }
        csrs.mideleg = interrupt::DELEGABLE;
        csrs.lines = interrupt::SEI;
        assert_eq!(csrs.interrupt_cause(Mode::Machine), None, "delegated interrupts do not reach M");
        assert_eq!(csrs.interrupt_cause(Mode::Supervisor), None, "SIE is off");
        assert_eq!(csrs.interrupt_cause(Mode::User), Some(INTERRUPT | 9));
        csrs.mstatus |= status::SIE;
        assert_eq!(csrs.interrupt_cause(Mode::Supervisor), Some(INTERRUPT | 9));
        csrs.lines |= interrupt::MTI;
        csrs.mstatus &= !status::MIE;
        assert_eq!(
            csrs.interrupt_cause(Mode::Supervisor),
            Some(INTERRUPT | 7),
            "M's come first and need no MIE below M"
        );
    }

    #[test]
    fn traps_enter_and_leave() {
        let mut csrs = csrs();
        csrs.mtvec = 0x100 | 1;
        csrs.stvec = 0x200;
        csrs.medeleg = 1 << Cause::UserCall as u64;
        csrs.mstatus |= status::MIE | status::SIE;
        assert_eq!(csrs.enter_trap(Mode::User, 0x40, Cause::UserCall as u64, 0), (0x200, Mode::Supervisor));
        assert_eq!((csrs.sepc, csrs.scause), (0x40, 8));
        assert_eq!(csrs.mstatus & (status::SIE | status::SPIE | status::SPP), status::SPIE);
        assert_eq!(csrs.enter_trap(Mode::Supervisor, 0x44, INTERRUPT | 7, 0), (0x100 + 28, Mode::Machine));
        assert_eq!(csrs.enter_trap(Mode::Machine, 0x48, Cause::Breakpoint as u64, 0x48), (0x100, Mode::Machine));
        assert_eq!(csrs.leave_machine_trap(), (0x48, Mode::Machine));
        csrs.mstatus |= status::MPRV;
        assert_eq!(csrs.leave_machine_trap(), (0x48, Mode::User));
        assert_eq!(csrs.mstatus & status::MPRV, 0);
        assert_eq!(csrs.leave_supervisor_trap(), (0x40, Mode::User));
        assert_ne!(csrs.mstatus & status::SIE, 0);
    }
}
