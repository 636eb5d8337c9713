//! What each instruction does.
//!
//! Source: The RISC-V Instruction Set Manual, Volume I: Unprivileged ISA, the chapters "RV32I Base Integer Instruction Set", "RV64I Base Integer
//! Instruction Set" and those of the extensions M, A, F, D, Zicsr and Zifencei; Volume II: Privileged Architecture, for the system instructions.

use std::cmp::Ordering;

use rustc_apfloat::Round;

use crate::bus::Bus;
use crate::csr::{carried_address, number};
use crate::decode::{Instruction, Op};
use crate::float::{self, boxed, unboxed, Double64, Flagged, Format, Single32};
use crate::hart::{Exit, State};
use crate::mmu::Access;
use crate::trap::{Cause, Exception, Mode};

/// A word in a register: sign-extended.
const fn word(value: u64) -> u64 {
    value as i32 as u64
}

/// Signed division. By zero it gives all ones, and the one overflow gives the dividend. Volume I, "Division Operations".
const fn div(a: i64, b: i64) -> i64 {
    if b == 0 {
        -1
    } else {
        a.wrapping_div(b)
    }
}

const fn rem(a: i64, b: i64) -> i64 {
    if b == 0 {
        a
    } else {
        a.wrapping_rem(b)
    }
}

fn divu(a: u64, b: u64) -> u64 {
    a.checked_div(b).unwrap_or(u64::MAX)
}

fn remu(a: u64, b: u64) -> u64 {
    a.checked_rem(b).unwrap_or(a)
}

impl Instruction {
    fn illegal_here(&self) -> Exception {
        Exception { cause: Cause::IllegalInstruction, value: self.raw.into() }
    }

    /// The immediate in a register.
    fn offset(&self) -> u64 {
        self.immediate as u64
    }
}

impl State {
    #[inline(always)]
    fn rs1(&self, i: &Instruction) -> u64 {
        self.x[usize::from(i.rs1 % 32)]
    }

    #[inline(always)]
    fn rs2(&self, i: &Instruction) -> u64 {
        self.x[usize::from(i.rs2 % 32)]
    }

    #[inline(always)]
    fn set_rd(&mut self, i: &Instruction, value: u64) {
        self.x[usize::from(i.rd % 32)] = value;
        self.x[0] = 0;
    }

    /// Carries out one instruction at `pc`, and gives the address of the next.
    #[inline(always)]
    pub(crate) fn execute<B: Bus>(&mut self, bus: &mut B, i: &Instruction, pc: u64) -> Result<u64, Exit> {
        let (a, b) = (self.rs1(i), self.rs2(i));
        let immediate = i.offset();
        let shift = i.immediate as u32;
        let next = pc.wrapping_add(i.bytes.into());
        let value = match i.op {
            Op::Lui => immediate,
            Op::Auipc => pc.wrapping_add(immediate),
            Op::Jal => {
                self.set_rd(i, next);
                return Ok(pc.wrapping_add(immediate));
            }
            Op::Jalr => {
                self.set_rd(i, next);
                return Ok(carried_address(a.wrapping_add(immediate) & !1));
            }
            Op::Beq => return Ok(if a == b { pc.wrapping_add(immediate) } else { next }),
            Op::Bne => return Ok(if a != b { pc.wrapping_add(immediate) } else { next }),
            Op::Blt => return Ok(if (a as i64) < b as i64 { pc.wrapping_add(immediate) } else { next }),
            Op::Bge => return Ok(if a as i64 >= b as i64 { pc.wrapping_add(immediate) } else { next }),
            Op::Bltu => return Ok(if a < b { pc.wrapping_add(immediate) } else { next }),
            Op::Bgeu => return Ok(if a >= b { pc.wrapping_add(immediate) } else { next }),

            Op::Lb => i8::from_le_bytes(self.load(bus, a.wrapping_add(immediate))?) as u64,
            Op::Lh => i16::from_le_bytes(self.load(bus, a.wrapping_add(immediate))?) as u64,
            Op::Lw => i32::from_le_bytes(self.load(bus, a.wrapping_add(immediate))?) as u64,
            Op::Ld => u64::from_le_bytes(self.load(bus, a.wrapping_add(immediate))?),
            Op::Lbu => u8::from_le_bytes(self.load(bus, a.wrapping_add(immediate))?).into(),
            Op::Lhu => u16::from_le_bytes(self.load(bus, a.wrapping_add(immediate))?).into(),
            Op::Lwu => u32::from_le_bytes(self.load(bus, a.wrapping_add(immediate))?).into(),
            Op::Sb => {
                self.store(bus, a.wrapping_add(immediate), (b as u8).to_le_bytes())?;
                return Ok(next);
            }
            Op::Sh => {
                self.store(bus, a.wrapping_add(immediate), (b as u16).to_le_bytes())?;
                return Ok(next);
            }
            Op::Sw => {
                self.store(bus, a.wrapping_add(immediate), (b as u32).to_le_bytes())?;
                return Ok(next);
            }
            Op::Sd => {
                self.store(bus, a.wrapping_add(immediate), b.to_le_bytes())?;
                return Ok(next);
            }

            Op::Addi => a.wrapping_add(immediate),
            Op::Slti => u64::from((a as i64) < immediate as i64),
            Op::Sltiu => u64::from(a < immediate),
            Op::Xori => a ^ immediate,
            Op::Ori => a | immediate,
            Op::Andi => a & immediate,
            Op::Slli => a.wrapping_shl(shift),
            Op::Srli => a.wrapping_shr(shift),
            Op::Srai => (a as i64).wrapping_shr(shift) as u64,
            Op::Add => a.wrapping_add(b),
            Op::Sub => a.wrapping_sub(b),
            // The amount of a shift is taken modulo the width, and so does Rust's `wrapping_shl`.
            Op::Sll => a.wrapping_shl(b as u32),
            Op::Slt => u64::from((a as i64) < b as i64),
            Op::Sltu => u64::from(a < b),
            Op::Xor => a ^ b,
            Op::Srl => a.wrapping_shr(b as u32),
            Op::Sra => (a as i64).wrapping_shr(b as u32) as u64,
            Op::Or => a | b,
            Op::And => a & b,
            Op::Addiw => word(a.wrapping_add(immediate)),
            Op::Slliw => word((a as u32).wrapping_shl(shift).into()),
            Op::Srliw => word((a as u32).wrapping_shr(shift).into()),
            Op::Sraiw => (a as i32).wrapping_shr(shift) as u64,
            Op::Addw => word(a.wrapping_add(b)),
            Op::Subw => word(a.wrapping_sub(b)),
            Op::Sllw => word((a as u32).wrapping_shl(b as u32).into()),
            Op::Srlw => word((a as u32).wrapping_shr(b as u32).into()),
            Op::Sraw => (a as i32).wrapping_shr(b as u32) as u64,

            Op::Mul => a.wrapping_mul(b),
            Op::Mulh => ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64,
            Op::Mulhsu => ((i128::from(a as i64) * i128::from(b)) >> 64) as u64,
            Op::Mulhu => ((u128::from(a) * u128::from(b)) >> 64) as u64,
            Op::Div => div(a as i64, b as i64) as u64,
            Op::Divu => divu(a, b),
            Op::Rem => rem(a as i64, b as i64) as u64,
            Op::Remu => remu(a, b),
            Op::Mulw => word(a.wrapping_mul(b)),
            Op::Divw => word(div((a as i32).into(), (b as i32).into()) as u64),
            Op::Divuw => word(divu((a as u32).into(), (b as u32).into())),
            Op::Remw => word(rem((a as i32).into(), (b as i32).into()) as u64),
            Op::Remuw => word(remu((a as u32).into(), (b as u32).into())),

            // One hart's accesses are in order already.
            Op::Fence => return Ok(next),
            Op::FenceI => return Err(Exit::Refetch(next)),

            Op::Flw | Op::Fld | Op::Fsw | Op::Fsd => {
                self.float_memory(bus, i)?;
                return Ok(next);
            }
            op if op >= Op::LrW && op <= Op::AmomaxuD => self.atomic(bus, i)?,
            op if op >= Op::FmaddS && op <= Op::FmvDX => {
                self.float(i)?;
                return Ok(next);
            }
            _ => return Err(self.system(bus, i, pc)),
        };
        self.set_rd(i, value);
        Ok(next)
    }

    fn float_memory<B: Bus>(&mut self, bus: &mut B, i: &Instruction) -> Result<(), Exception> {
        if !self.csrs.float_enabled() {
            return Err(i.illegal_here());
        }
        let address = self.rs1(i).wrapping_add(i.offset());
        let source = self.f[usize::from(i.rs2)];
        match i.op {
            Op::Flw => self.f[usize::from(i.rd)] = boxed(u32::from_le_bytes(self.load(bus, address)?).into()),
            Op::Fld => self.f[usize::from(i.rd)] = u64::from_le_bytes(self.load(bus, address)?),
            Op::Fsw => self.store(bus, address, (source as u32).to_le_bytes())?,
            _ => self.store(bus, address, source.to_le_bytes())?,
        }
        Ok(())
    }

    #[inline(never)]
    fn atomic<B: Bus>(&mut self, bus: &mut B, i: &Instruction) -> Result<u64, Exception> {
        let address = self.rs1(i);
        let b = self.rs2(i);
        let bytes = if i.op >= Op::LrD { 8 } else { 4 };
        let access = if matches!(i.op, Op::LrW | Op::LrD) { Access::Load } else { Access::Store };
        let physical = self.data_page(bus, access, address, bytes)?;
        let fault = access.access_fault(address);
        if !bus.has_atomics(physical) {
            return Err(fault);
        }
        if address % bytes != 0 {
            return Err(access.misaligned(address));
        }
        let hart = self.hart;
        let load = |bus: &mut B| match bytes {
            4 => bus.load(hart, physical).map(|bytes| i32::from_le_bytes(bytes) as u64),
            _ => bus.load(hart, physical).map(u64::from_le_bytes),
        };
        let store = |bus: &mut B, value: u64| match bytes {
            4 => bus.store(hart, physical, (value as u32).to_le_bytes()),
            _ => bus.store(hart, physical, value.to_le_bytes()),
        };
        Ok(match i.op {
            Op::LrW | Op::LrD => {
                let value = load(bus).map_err(|_| fault)?;
                bus.reservations().reserve(hart, physical);
                value
            }
            Op::ScW | Op::ScD => {
                let holds = bus.reservations().holds(hart, physical);
                bus.reservations().release(hart);
                if holds {
                    store(bus, b).map_err(|_| fault)?;
                }
                u64::from(!holds)
            }
            op => {
                let old = load(bus).map_err(|_| fault)?;
                // Words were sign-extended, and so compare as doublewords do, signed and unsigned.
                let b = if bytes == 4 { word(b) } else { b };
                let new = match op {
                    Op::AmoswapW | Op::AmoswapD => b,
                    Op::AmoaddW | Op::AmoaddD => old.wrapping_add(b),
                    Op::AmoxorW | Op::AmoxorD => old ^ b,
                    Op::AmoandW | Op::AmoandD => old & b,
                    Op::AmoorW | Op::AmoorD => old | b,
                    Op::AmominW | Op::AmominD => (old as i64).min(b as i64) as u64,
                    Op::AmomaxW | Op::AmomaxD => (old as i64).max(b as i64) as u64,
                    Op::AmominuW | Op::AmominuD => old.min(b),
                    _ => old.max(b),
                };
                store(bus, new).map_err(|_| fault)?;
                old
            }
        })
    }

    /// What computes with floating-point numbers, compares, converts and moves them.
    #[inline(never)]
    fn float(&mut self, i: &Instruction) -> Result<(), Exception> {
        if !self.csrs.float_enabled() {
            return Err(i.illegal_here());
        }
        let integer = self.rs1(i);
        let registers = [i.rs1, i.rs2, i.rs3].map(|register| self.f[usize::from(register)]);
        let s = registers.map(unboxed);
        let d = registers;
        let rounding = || self.rounding(i);
        let (destination, (value, flags)) = match i.op {
            Op::FmaddS | Op::FmsubS | Op::FnmsubS | Op::FnmaddS => {
                (To::Single, fused::<Single32>(i.op, s, rounding()?))
            }
            Op::FaddS => (To::Single, float::add::<Single32>(s[0], s[1], rounding()?)),
            Op::FsubS => (To::Single, float::sub::<Single32>(s[0], s[1], rounding()?)),
            Op::FmulS => (To::Single, float::mul::<Single32>(s[0], s[1], rounding()?)),
            Op::FdivS => (To::Single, float::div::<Single32>(s[0], s[1], rounding()?)),
            Op::FsqrtS => (To::Single, float::sqrt::<Single32>(s[0], rounding()?)),
            Op::FsgnjS | Op::FsgnjnS | Op::FsgnjxS => (To::Single, sign::<Single32>(i.op, s)),
            Op::FminS => (To::Single, float::least::<Single32>(s[0], s[1], Ordering::Less)),
            Op::FmaxS => (To::Single, float::least::<Single32>(s[0], s[1], Ordering::Greater)),
            Op::FcvtWS | Op::FcvtWuS | Op::FcvtLS | Op::FcvtLuS => {
                (To::Integer, to_integer::<Single32>(i.op, s[0], rounding()?))
            }
            Op::FmvXW => (To::Integer, (word(d[0]), 0)),
            Op::FclassS => (To::Integer, (float::class::<Single32>(s[0]), 0)),
            Op::FeqS => (To::Integer, float::equal::<Single32>(s[0], s[1])),
            Op::FltS => (To::Integer, float::ordered::<Single32>(s[0], s[1], Ordering::is_lt)),
            Op::FleS => (To::Integer, float::ordered::<Single32>(s[0], s[1], Ordering::is_le)),
            Op::FcvtSW | Op::FcvtSWu | Op::FcvtSL | Op::FcvtSLu => {
                (To::Single, float::from_integer::<Single32>(integer_operand(i.op, integer), rounding()?))
            }
            Op::FmvWX => (To::Single, (integer & u64::from(u32::MAX), 0)),

            Op::FmaddD | Op::FmsubD | Op::FnmsubD | Op::FnmaddD => {
                (To::Double, fused::<Double64>(i.op, d, rounding()?))
            }
            Op::FaddD => (To::Double, float::add::<Double64>(d[0], d[1], rounding()?)),
            Op::FsubD => (To::Double, float::sub::<Double64>(d[0], d[1], rounding()?)),
            Op::FmulD => (To::Double, float::mul::<Double64>(d[0], d[1], rounding()?)),
            Op::FdivD => (To::Double, float::div::<Double64>(d[0], d[1], rounding()?)),
            Op::FsqrtD => (To::Double, float::sqrt::<Double64>(d[0], rounding()?)),
            Op::FsgnjD | Op::FsgnjnD | Op::FsgnjxD => (To::Double, sign::<Double64>(i.op, d)),
            Op::FminD => (To::Double, float::least::<Double64>(d[0], d[1], Ordering::Less)),
            Op::FmaxD => (To::Double, float::least::<Double64>(d[0], d[1], Ordering::Greater)),
            Op::FcvtSD => (To::Single, float::double_to_single(d[0], rounding()?)),
            Op::FcvtDS => {
                // Exact, but a reserved rounding mode is illegal all the same.
                rounding()?;
                (To::Double, float::single_to_double(s[0]))
            }
            Op::FeqD => (To::Integer, float::equal::<Double64>(d[0], d[1])),
            Op::FltD => (To::Integer, float::ordered::<Double64>(d[0], d[1], Ordering::is_lt)),
            Op::FleD => (To::Integer, float::ordered::<Double64>(d[0], d[1], Ordering::is_le)),
            Op::FclassD => (To::Integer, (float::class::<Double64>(d[0]), 0)),
            Op::FcvtWD | Op::FcvtWuD | Op::FcvtLD | Op::FcvtLuD => {
                (To::Integer, to_integer::<Double64>(i.op, d[0], rounding()?))
            }
            Op::FmvXD => (To::Integer, (d[0], 0)),
            Op::FcvtDW | Op::FcvtDWu | Op::FcvtDL | Op::FcvtDLu => {
                (To::Double, float::from_integer::<Double64>(integer_operand(i.op, integer), rounding()?))
            }
            Op::FmvDX => (To::Double, (integer, 0)),
            _ => return Err(i.illegal_here()),
        };
        self.csrs.fflags |= flags;
        match destination {
            To::Integer => self.set_rd(i, value),
            To::Single => self.f[usize::from(i.rd)] = boxed(value),
            To::Double => self.f[usize::from(i.rd)] = value,
        }
        Ok(())
    }

    /// The rounding mode of an instruction: its own or the dynamic one. A reserved one is illegal.
    fn rounding(&self, i: &Instruction) -> Result<Round, Exception> {
        const DYNAMIC: u8 = 7;
        let mode = if i.rounding == DYNAMIC { self.csrs.frm } else { i.rounding };
        float::rounding(mode).ok_or(i.illegal_here())
    }

    /// What changes more than registers. There is always something to look at afterwards.
    #[inline(never)]
    fn system<B: Bus>(&mut self, bus: &mut B, i: &Instruction, pc: u64) -> Exit {
        let next = pc.wrapping_add(i.bytes.into());
        let target = match i.op {
            Op::Ecall => {
                let cause = match self.mode {
                    Mode::User => Cause::UserCall,
                    Mode::Supervisor => Cause::SupervisorCall,
                    Mode::Machine => Cause::MachineCall,
                };
                return Exception { cause, value: 0 }.into();
            }
            // Rocket leaves 0 in `mtval`, as the manual allows.
            Op::Ebreak => return Exception { cause: Cause::Breakpoint, value: 0 }.into(),
            Op::Csrrw | Op::Csrrs | Op::Csrrc | Op::Csrrwi | Op::Csrrsi | Op::Csrrci => match self.csr(bus, i) {
                Ok(()) => next,
                Err(exception) => return exception.into(),
            },
            Op::Mret if self.mode == Mode::Machine => {
                let (target, mode) = self.csrs.leave_machine_trap();
                self.set_mode(mode);
                target
            }
            Op::Sret if self.csrs.may_return(self.mode) => {
                let (target, mode) = self.csrs.leave_supervisor_trap();
                self.set_mode(mode);
                target
            }
            Op::Wfi if self.csrs.may_wait(self.mode) => {
                self.waiting = true;
                next
            }
            Op::SfenceVma if self.csrs.may_fence(self.mode) => {
                self.flush_translations();
                next
            }
            _ => return i.illegal_here().into(),
        };
        Exit::Leave(target)
    }

    /// Volume I, "\"Zicsr\" Extension for Control and Status Register (CSR) Instructions".
    fn csr<B: Bus>(&mut self, bus: &mut B, i: &Instruction) -> Result<(), Exception> {
        let number = i.immediate as u16;
        let operand = if i.op >= Op::Csrrwi { i.rs1.into() } else { self.rs1(i) };
        let writes = matches!(i.op, Op::Csrrw | Op::Csrrwi) || i.rs1 != 0;
        let time = if number == number::TIME { bus.time() } else { None };
        let read = self.csrs.read(number, self.now(time)).filter(|_| self.csrs.may_access(number, writes, self.mode));
        let before = read.ok_or(i.illegal_here())?;
        if writes {
            let modified = self.csrs.modified(number, before);
            let value = match i.op {
                Op::Csrrw | Op::Csrrwi => operand,
                Op::Csrrs | Op::Csrrsi => modified | operand,
                _ => modified & !operand,
            };
            self.write_csr(number, value);
        }
        self.set_rd(i, before);
        Ok(())
    }
}

/// Where a result goes, and as what.
enum To {
    Integer,
    Single,
    Double,
}

/// The four signs of `a * b + c`, by turning operands.
fn fused<F: Format>(op: Op, [a, b, c]: [u64; 3], round: Round) -> Flagged {
    let negated = float::negated::<F>;
    match op {
        Op::FmaddS | Op::FmaddD => float::fused::<F>(a, b, c, round),
        Op::FmsubS | Op::FmsubD => float::fused::<F>(a, b, negated(c), round),
        Op::FnmsubS | Op::FnmsubD => float::fused::<F>(negated(a), b, c, round),
        _ => float::fused::<F>(negated(a), b, negated(c), round),
    }
}

fn sign<F: Format>(op: Op, [a, b, _]: [u64; 3]) -> Flagged {
    let value = match op {
        Op::FsgnjS | Op::FsgnjD => float::with_sign::<F>(a, b, |_, b| b),
        Op::FsgnjnS | Op::FsgnjnD => float::with_sign::<F>(a, b, |_, b| !b),
        _ => float::with_sign::<F>(a, b, |a, b| a ^ b),
    };
    (value, 0)
}

/// Results of 32 bits are sign-extended, also unsigned ones.
fn to_integer<F: Format>(op: Op, a: u64, round: Round) -> Flagged {
    let (min, max) = match op {
        Op::FcvtWS | Op::FcvtWD => (i32::MIN.into(), i32::MAX.into()),
        Op::FcvtWuS | Op::FcvtWuD => (0, u32::MAX.into()),
        Op::FcvtLS | Op::FcvtLD => (i64::MIN.into(), i64::MAX.into()),
        _ => (0, u64::MAX.into()),
    };
    let (integer, flags) = float::to_integer::<F>(a, round, min, max);
    let value = integer as u64;
    (if max == u32::MAX.into() { word(value) } else { value }, flags)
}

fn integer_operand(op: Op, register: u64) -> i128 {
    match op {
        Op::FcvtSW | Op::FcvtDW => (register as i32).into(),
        Op::FcvtSWu | Op::FcvtDWu => (register as u32).into(),
        Op::FcvtSL | Op::FcvtDL => (register as i64).into(),
        _ => register.into(),
    }
}
