//! The instructions of 32 bits: one table, read in both directions.
//!
//! Sources: The RISC-V Instruction Set Manual, Volume I: Unprivileged ISA, "RV32/64G Instruction Set Listings", and Volume II: Privileged
//! Architecture, "RISC-V Privileged Instruction Set Listings".

/// Where the operands of an instruction are in its 32 bits. Volume I, "Base Instruction Formats".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `rd`, `rs1`, `rs2`.
    R,
    /// `rd`, `rs1`; the place of `rs2` belongs to the opcode.
    R1,
    /// `rd`, `rs1`, `rs2`, rounding mode.
    Rounded,
    /// `rd`, `rs1`, rounding mode; the place of `rs2` belongs to the opcode.
    Rounded1,
    /// `rd`, `rs1`, `rs2`, `rs3`, rounding mode.
    R4,
    /// `rd`, `rs1`, `rs2`; the bits `aq` and `rl` are free.
    Amo,
    /// `rd`, `rs1`; the bits `aq` and `rl` are free.
    LoadReserved,
    /// `rd`, `rs1`, 12 bits sign-extended.
    I,
    /// `rd`, `rs1`, a shift of 0 to 63.
    Shift6,
    /// `rd`, `rs1`, a shift of 0 to 31.
    Shift5,
    /// `rs1`, `rs2`, 12 bits sign-extended.
    S,
    /// `rs1`, `rs2`, a branch's offset.
    B,
    /// `rd`, the upper 20 bits.
    U,
    /// `rd`, a jump's offset.
    J,
    /// `rd`, `rs1` or five bits in its place, and the number of a CSR.
    Csr,
    /// `rs1`, `rs2`.
    Fence,
    /// No operand that is looked at.
    None,
}

/// A decoded instruction. Fields that its [`Format`] does not have are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What is done.
    pub op: Op,
    /// Destination register.
    pub rd: u8,
    /// First source register, or the five bits of an immediate CSR instruction.
    pub rs1: u8,
    /// Second source register.
    pub rs2: u8,
    /// Third source register.
    pub rs3: u8,
    /// The field `rm`.
    pub rounding: u8,
    /// Length: 2 or 4 bytes.
    pub bytes: u8,
    /// Immediate, sign-extended; the number of a CSR; the amount of a shift.
    pub immediate: i32,
    /// What was fetched; the upper half is 0 when the length is 2.
    pub raw: u32,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    /// The instruction.
    pub op: Op,
    /// Its name in the manual.
    pub name: &'static str,
    /// Its operands.
    pub format: Format,
    /// The bits that belong to the opcode.
    pub mask: u32,
    /// Their values.
    pub bits: u32,
}

/// `opcode[6:2]`. Volume I, "RISC-V base opcode map".
mod major {
    pub const LOAD: u32 = 0b00_000;
    pub const LOAD_FP: u32 = 0b00_001;
    pub const MISC_MEM: u32 = 0b00_011;
    pub const OP_IMM: u32 = 0b00_100;
    pub const AUIPC: u32 = 0b00_101;
    pub const OP_IMM_32: u32 = 0b00_110;
    pub const STORE: u32 = 0b01_000;
    pub const STORE_FP: u32 = 0b01_001;
    pub const AMO: u32 = 0b01_011;
    pub const OP: u32 = 0b01_100;
    pub const LUI: u32 = 0b01_101;
    pub const OP_32: u32 = 0b01_110;
    pub const MADD: u32 = 0b10_000;
    pub const MSUB: u32 = 0b10_001;
    pub const NMSUB: u32 = 0b10_010;
    pub const NMADD: u32 = 0b10_011;
    pub const OP_FP: u32 = 0b10_100;
    pub const BRANCH: u32 = 0b11_000;
    pub const JALR: u32 = 0b11_001;
    pub const JAL: u32 = 0b11_011;
    pub const SYSTEM: u32 = 0b11_100;
}
use major::*;

const MAJOR: u32 = 0b111_1111;
const FUNCT3: u32 = 0b111 << 12;
const FUNCT7: u32 = 0b111_1111 << 25;
const RD: u32 = 0b1_1111 << 7;
const RS1: u32 = 0b1_1111 << 15;
const RS2: u32 = 0b1_1111 << 20;

/// Mask and bits of an opcode.
type Pattern = (u32, u32);

const fn opcode(major: u32) -> Pattern {
    (MAJOR, major << 2 | 0b11)
}

const fn with(pattern: Pattern, mask: u32, bits: u32) -> Pattern {
    (pattern.0 | mask, pattern.1 | bits)
}

/// `funct3`.
const fn f3(major: u32, funct3: u32) -> Pattern {
    with(opcode(major), FUNCT3, funct3 << 12)
}

/// `funct7` and `funct3`.
const fn f7(major: u32, funct7: u32, funct3: u32) -> Pattern {
    with(f3(major, funct3), FUNCT7, funct7 << 25)
}

/// `funct6` and `funct3`: a shift of 6 bits.
const fn f6(major: u32, funct6: u32, funct3: u32) -> Pattern {
    with(f3(major, funct3), 0b11_1111 << 26, funct6 << 26)
}

/// `funct5` and `funct3`: an atomic.
const fn f5(funct5: u32, funct3: u32) -> Pattern {
    with(f3(AMO, funct3), 0b1_1111 << 27, funct5 << 27)
}

/// `funct7` of a floating-point operation with a rounding mode.
const fn fp(funct7: u32) -> Pattern {
    with(opcode(OP_FP), FUNCT7, funct7 << 25)
}

/// `funct7` and `rs2` of a floating-point operation with a rounding mode.
const fn fp1(funct7: u32, rs2: u32) -> Pattern {
    with(fp(funct7), RS2, rs2 << 20)
}

/// `funct7`, `rs2` and `funct3` of a floating-point operation without a rounding mode.
const fn fp2(funct7: u32, rs2: u32, funct3: u32) -> Pattern {
    with(f7(OP_FP, funct7, funct3), RS2, rs2 << 20)
}

/// The two bits `fmt` of a fused multiply-add.
const fn fused(major: u32, fmt: u32) -> Pattern {
    with(opcode(major), 0b11 << 25, fmt << 25)
}

/// A system instruction without operands, by its upper 12 bits.
const fn system(funct12: u32) -> Pattern {
    (u32::MAX, opcode(SYSTEM).1 | funct12 << 20)
}

macro_rules! instructions {
    ($($op:ident $name:literal $format:ident $pattern:expr;)*) => {
        /// What an instruction does, by its name in the manual.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Op {
            $(#[doc = concat!("`", $name, "`")] $op,)*
            /// None: an illegal instruction.
            Illegal,
            /// Nothing was decoded here yet.
            Undecoded,
            /// An instruction that goes on in the next page.
            Crossing,
        }

        /// All instructions of 32 bits, in the order of [`Op`].
        pub const TABLE: &[Encoding] = &[
            $(Encoding { op: Op::$op, name: $name, format: Format::$format, mask: $pattern.0, bits: $pattern.1 },)*
        ];
    };
}

instructions! {
    // RV32I and RV64I.
    Lui "lui" U opcode(LUI);
    Auipc "auipc" U opcode(AUIPC);
    Jal "jal" J opcode(JAL);
    Jalr "jalr" I f3(JALR, 0b000);
    Beq "beq" B f3(BRANCH, 0b000);
    Bne "bne" B f3(BRANCH, 0b001);
    Blt "blt" B f3(BRANCH, 0b100);
    Bge "bge" B f3(BRANCH, 0b101);
    Bltu "bltu" B f3(BRANCH, 0b110);
    Bgeu "bgeu" B f3(BRANCH, 0b111);
    Lb "lb" I f3(LOAD, 0b000);
    Lh "lh" I f3(LOAD, 0b001);
    Lw "lw" I f3(LOAD, 0b010);
    Ld "ld" I f3(LOAD, 0b011);
    Lbu "lbu" I f3(LOAD, 0b100);
    Lhu "lhu" I f3(LOAD, 0b101);
    Lwu "lwu" I f3(LOAD, 0b110);
    Sb "sb" S f3(STORE, 0b000);
    Sh "sh" S f3(STORE, 0b001);
    Sw "sw" S f3(STORE, 0b010);
    Sd "sd" S f3(STORE, 0b011);
    Addi "addi" I f3(OP_IMM, 0b000);
    Slti "slti" I f3(OP_IMM, 0b010);
    Sltiu "sltiu" I f3(OP_IMM, 0b011);
    Xori "xori" I f3(OP_IMM, 0b100);
    Ori "ori" I f3(OP_IMM, 0b110);
    Andi "andi" I f3(OP_IMM, 0b111);
    Slli "slli" Shift6 f6(OP_IMM, 0b000000, 0b001);
    Srli "srli" Shift6 f6(OP_IMM, 0b000000, 0b101);
    Srai "srai" Shift6 f6(OP_IMM, 0b010000, 0b101);
    Add "add" R f7(OP, 0b0000000, 0b000);
    Sub "sub" R f7(OP, 0b0100000, 0b000);
    Sll "sll" R f7(OP, 0b0000000, 0b001);
    Slt "slt" R f7(OP, 0b0000000, 0b010);
    Sltu "sltu" R f7(OP, 0b0000000, 0b011);
    Xor "xor" R f7(OP, 0b0000000, 0b100);
    Srl "srl" R f7(OP, 0b0000000, 0b101);
    Sra "sra" R f7(OP, 0b0100000, 0b101);
    Or "or" R f7(OP, 0b0000000, 0b110);
    And "and" R f7(OP, 0b0000000, 0b111);
    Addiw "addiw" I f3(OP_IMM_32, 0b000);
    Slliw "slliw" Shift5 f7(OP_IMM_32, 0b0000000, 0b001);
    Srliw "srliw" Shift5 f7(OP_IMM_32, 0b0000000, 0b101);
    Sraiw "sraiw" Shift5 f7(OP_IMM_32, 0b0100000, 0b101);
    Addw "addw" R f7(OP_32, 0b0000000, 0b000);
    Subw "subw" R f7(OP_32, 0b0100000, 0b000);
    Sllw "sllw" R f7(OP_32, 0b0000000, 0b001);
    Srlw "srlw" R f7(OP_32, 0b0000000, 0b101);
    Sraw "sraw" R f7(OP_32, 0b0100000, 0b101);
    // Fences with any `fm` and reserved fields are ordinary fences, as the manual asks of base implementations.
    Fence "fence" None f3(MISC_MEM, 0b000);
    FenceI "fence.i" None f3(MISC_MEM, 0b001);
    Ecall "ecall" None system(0b0000_0000_0000);
    Ebreak "ebreak" None system(0b0000_0000_0001);

    // Zicsr.
    Csrrw "csrrw" Csr f3(SYSTEM, 0b001);
    Csrrs "csrrs" Csr f3(SYSTEM, 0b010);
    Csrrc "csrrc" Csr f3(SYSTEM, 0b011);
    Csrrwi "csrrwi" Csr f3(SYSTEM, 0b101);
    Csrrsi "csrrsi" Csr f3(SYSTEM, 0b110);
    Csrrci "csrrci" Csr f3(SYSTEM, 0b111);

    // RV64M.
    Mul "mul" R f7(OP, 0b0000001, 0b000);
    Mulh "mulh" R f7(OP, 0b0000001, 0b001);
    Mulhsu "mulhsu" R f7(OP, 0b0000001, 0b010);
    Mulhu "mulhu" R f7(OP, 0b0000001, 0b011);
    Div "div" R f7(OP, 0b0000001, 0b100);
    Divu "divu" R f7(OP, 0b0000001, 0b101);
    Rem "rem" R f7(OP, 0b0000001, 0b110);
    Remu "remu" R f7(OP, 0b0000001, 0b111);
    Mulw "mulw" R f7(OP_32, 0b0000001, 0b000);
    Divw "divw" R f7(OP_32, 0b0000001, 0b100);
    Divuw "divuw" R f7(OP_32, 0b0000001, 0b101);
    Remw "remw" R f7(OP_32, 0b0000001, 0b110);
    Remuw "remuw" R f7(OP_32, 0b0000001, 0b111);

    // RV64A.
    LrW "lr.w" LoadReserved with(f5(0b00010, 0b010), RS2, 0);
    ScW "sc.w" Amo f5(0b00011, 0b010);
    AmoswapW "amoswap.w" Amo f5(0b00001, 0b010);
    AmoaddW "amoadd.w" Amo f5(0b00000, 0b010);
    AmoxorW "amoxor.w" Amo f5(0b00100, 0b010);
    AmoandW "amoand.w" Amo f5(0b01100, 0b010);
    AmoorW "amoor.w" Amo f5(0b01000, 0b010);
    AmominW "amomin.w" Amo f5(0b10000, 0b010);
    AmomaxW "amomax.w" Amo f5(0b10100, 0b010);
    AmominuW "amominu.w" Amo f5(0b11000, 0b010);
    AmomaxuW "amomaxu.w" Amo f5(0b11100, 0b010);
    LrD "lr.d" LoadReserved with(f5(0b00010, 0b011), RS2, 0);
    ScD "sc.d" Amo f5(0b00011, 0b011);
    AmoswapD "amoswap.d" Amo f5(0b00001, 0b011);
    AmoaddD "amoadd.d" Amo f5(0b00000, 0b011);
    AmoxorD "amoxor.d" Amo f5(0b00100, 0b011);
    AmoandD "amoand.d" Amo f5(0b01100, 0b011);
    AmoorD "amoor.d" Amo f5(0b01000, 0b011);
    AmominD "amomin.d" Amo f5(0b10000, 0b011);
    AmomaxD "amomax.d" Amo f5(0b10100, 0b011);
    AmominuD "amominu.d" Amo f5(0b11000, 0b011);
    AmomaxuD "amomaxu.d" Amo f5(0b11100, 0b011);

    // RV64F.
    Flw "flw" I f3(LOAD_FP, 0b010);
    Fsw "fsw" S f3(STORE_FP, 0b010);
    FmaddS "fmadd.s" R4 fused(MADD, 0b00);
    FmsubS "fmsub.s" R4 fused(MSUB, 0b00);
    FnmsubS "fnmsub.s" R4 fused(NMSUB, 0b00);
    FnmaddS "fnmadd.s" R4 fused(NMADD, 0b00);
    FaddS "fadd.s" Rounded fp(0b0000000);
    FsubS "fsub.s" Rounded fp(0b0000100);
    FmulS "fmul.s" Rounded fp(0b0001000);
    FdivS "fdiv.s" Rounded fp(0b0001100);
    FsqrtS "fsqrt.s" Rounded1 fp1(0b0101100, 0);
    FsgnjS "fsgnj.s" R f7(OP_FP, 0b0010000, 0b000);
    FsgnjnS "fsgnjn.s" R f7(OP_FP, 0b0010000, 0b001);
    FsgnjxS "fsgnjx.s" R f7(OP_FP, 0b0010000, 0b010);
    FminS "fmin.s" R f7(OP_FP, 0b0010100, 0b000);
    FmaxS "fmax.s" R f7(OP_FP, 0b0010100, 0b001);
    FcvtWS "fcvt.w.s" Rounded1 fp1(0b1100000, 0);
    FcvtWuS "fcvt.wu.s" Rounded1 fp1(0b1100000, 1);
    FcvtLS "fcvt.l.s" Rounded1 fp1(0b1100000, 2);
    FcvtLuS "fcvt.lu.s" Rounded1 fp1(0b1100000, 3);
    FmvXW "fmv.x.w" R1 fp2(0b1110000, 0, 0b000);
    FclassS "fclass.s" R1 fp2(0b1110000, 0, 0b001);
    FeqS "feq.s" R f7(OP_FP, 0b1010000, 0b010);
    FltS "flt.s" R f7(OP_FP, 0b1010000, 0b001);
    FleS "fle.s" R f7(OP_FP, 0b1010000, 0b000);
    FcvtSW "fcvt.s.w" Rounded1 fp1(0b1101000, 0);
    FcvtSWu "fcvt.s.wu" Rounded1 fp1(0b1101000, 1);
    FcvtSL "fcvt.s.l" Rounded1 fp1(0b1101000, 2);
    FcvtSLu "fcvt.s.lu" Rounded1 fp1(0b1101000, 3);
    FmvWX "fmv.w.x" R1 fp2(0b1111000, 0, 0b000);

    // RV64D.
    Fld "fld" I f3(LOAD_FP, 0b011);
    Fsd "fsd" S f3(STORE_FP, 0b011);
    FmaddD "fmadd.d" R4 fused(MADD, 0b01);
    FmsubD "fmsub.d" R4 fused(MSUB, 0b01);
    FnmsubD "fnmsub.d" R4 fused(NMSUB, 0b01);
    FnmaddD "fnmadd.d" R4 fused(NMADD, 0b01);
    FaddD "fadd.d" Rounded fp(0b0000001);
    FsubD "fsub.d" Rounded fp(0b0000101);
    FmulD "fmul.d" Rounded fp(0b0001001);
    FdivD "fdiv.d" Rounded fp(0b0001101);
    FsqrtD "fsqrt.d" Rounded1 fp1(0b0101101, 0);
    FsgnjD "fsgnj.d" R f7(OP_FP, 0b0010001, 0b000);
    FsgnjnD "fsgnjn.d" R f7(OP_FP, 0b0010001, 0b001);
    FsgnjxD "fsgnjx.d" R f7(OP_FP, 0b0010001, 0b010);
    FminD "fmin.d" R f7(OP_FP, 0b0010101, 0b000);
    FmaxD "fmax.d" R f7(OP_FP, 0b0010101, 0b001);
    FcvtSD "fcvt.s.d" Rounded1 fp1(0b0100000, 1);
    FcvtDS "fcvt.d.s" Rounded1 fp1(0b0100001, 0);
    FeqD "feq.d" R f7(OP_FP, 0b1010001, 0b010);
    FltD "flt.d" R f7(OP_FP, 0b1010001, 0b001);
    FleD "fle.d" R f7(OP_FP, 0b1010001, 0b000);
    FclassD "fclass.d" R1 fp2(0b1110001, 0, 0b001);
    FcvtWD "fcvt.w.d" Rounded1 fp1(0b1100001, 0);
    FcvtWuD "fcvt.wu.d" Rounded1 fp1(0b1100001, 1);
    FcvtLD "fcvt.l.d" Rounded1 fp1(0b1100001, 2);
    FcvtLuD "fcvt.lu.d" Rounded1 fp1(0b1100001, 3);
    FmvXD "fmv.x.d" R1 fp2(0b1110001, 0, 0b000);
    FcvtDW "fcvt.d.w" Rounded1 fp1(0b1101001, 0);
    FcvtDWu "fcvt.d.wu" Rounded1 fp1(0b1101001, 1);
    FcvtDL "fcvt.d.l" Rounded1 fp1(0b1101001, 2);
    FcvtDLu "fcvt.d.lu" Rounded1 fp1(0b1101001, 3);
    FmvDX "fmv.d.x" R1 fp2(0b1111001, 0, 0b000);

    // The privileged instructions.
    Sret "sret" None system(0b0001_0000_0010);
    Mret "mret" None system(0b0011_0000_0010);
    Wfi "wfi" None system(0b0001_0000_0101);
    SfenceVma "sfence.vma" Fence with(f7(SYSTEM, 0b0001001, 0b000), RD, 0);
}

impl Instruction {
    /// An instruction of 4 bytes with no operands yet.
    pub const fn new(op: Op) -> Self {
        Self { op, rd: 0, rs1: 0, rs2: 0, rs3: 0, rounding: 0, bytes: 4, immediate: 0, raw: 0 }
    }

    /// What `raw`, of this length, is when it is no instruction.
    pub(crate) const fn illegal(raw: u32, bytes: u8) -> Self {
        Self { bytes, raw, ..Self::new(Op::Illegal) }
    }
}

impl Op {
    /// The row of the table; none for what is no instruction of the manual.
    pub fn encoding(self) -> Option<&'static Encoding> {
        TABLE.get(self as usize)
    }
}

/// Bits `low..low + width` of a word.
const fn bits(word: u32, low: u32, width: u32) -> u32 {
    word >> low & ((1 << width) - 1)
}

/// The lower `width` bits, sign-extended.
pub(crate) const fn sign_extended(value: u32, width: u32) -> i32 {
    (value << (32 - width)) as i32 >> (32 - width)
}

/// The instruction in a word whose two lowest bits are set. Every word has an answer.
pub fn decode(word: u32) -> Instruction {
    let Some(row) = TABLE.iter().find(|row| word & row.mask == row.bits) else {
        return Instruction::illegal(word, 4);
    };
    let register = |low| bits(word, low, 5) as u8;
    let (rd, rs1, rs2) = (register(7), register(15), register(20));
    let rounding = bits(word, 12, 3) as u8;
    let plain = Instruction { raw: word, ..Instruction::new(row.op) };
    match row.format {
        Format::R | Format::Amo => Instruction { rd, rs1, rs2, ..plain },
        Format::R1 | Format::LoadReserved => Instruction { rd, rs1, ..plain },
        Format::Rounded => Instruction { rd, rs1, rs2, rounding, ..plain },
        Format::Rounded1 => Instruction { rd, rs1, rounding, ..plain },
        Format::R4 => Instruction { rd, rs1, rs2, rs3: register(27), rounding, ..plain },
        Format::I => Instruction { rd, rs1, immediate: word as i32 >> 20, ..plain },
        Format::Shift6 => Instruction { rd, rs1, immediate: bits(word, 20, 6) as i32, ..plain },
        Format::Shift5 => Instruction { rd, rs1, immediate: bits(word, 20, 5) as i32, ..plain },
        Format::S => {
            let immediate = bits(word, 25, 7) << 5 | bits(word, 7, 5);
            Instruction { rs1, rs2, immediate: sign_extended(immediate, 12), ..plain }
        }
        Format::B => {
            let immediate =
                bits(word, 31, 1) << 12 | bits(word, 7, 1) << 11 | bits(word, 25, 6) << 5 | bits(word, 8, 4) << 1;
            Instruction { rs1, rs2, immediate: sign_extended(immediate, 13), ..plain }
        }
        Format::U => Instruction { rd, immediate: (bits(word, 12, 20) << 12) as i32, ..plain },
        Format::J => {
            let immediate =
                bits(word, 31, 1) << 20 | bits(word, 12, 8) << 12 | bits(word, 20, 1) << 11 | bits(word, 21, 10) << 1;
            Instruction { rd, immediate: sign_extended(immediate, 21), ..plain }
        }
        Format::Csr => Instruction { rd, rs1, immediate: bits(word, 20, 12) as i32, ..plain },
        Format::Fence => Instruction { rs1, rs2, ..plain },
        Format::None => plain,
    }
}

/// The word of an instruction of 32 bits: [`decode`] backwards. What does not fit its field is cut off.
///
/// # Panics
/// When the operation is none of the table.
pub fn encode(instruction: &Instruction) -> u32 {
    let row = instruction.op.encoding().expect("an instruction of the table");
    let field = |value: u8, low: u32| u32::from(value & 0b1_1111) << low;
    let (rd, rs1, rs2) = (field(instruction.rd, 7), field(instruction.rs1, 15), field(instruction.rs2, 20));
    let rounding = u32::from(instruction.rounding & 0b111) << 12;
    let immediate = instruction.immediate as u32;
    let part = |low, width, at: u32| bits(immediate, low, width) << at;
    row.bits
        | match row.format {
            Format::R | Format::Amo => rd | rs1 | rs2,
            Format::R1 | Format::LoadReserved => rd | rs1,
            Format::Rounded => rd | rs1 | rs2 | rounding,
            Format::Rounded1 => rd | rs1 | rounding,
            Format::R4 => rd | rs1 | rs2 | field(instruction.rs3, 27) | rounding,
            Format::I | Format::Csr => rd | rs1 | part(0, 12, 20),
            Format::Shift6 => rd | rs1 | part(0, 6, 20),
            Format::Shift5 => rd | rs1 | part(0, 5, 20),
            Format::S => rs1 | rs2 | part(5, 7, 25) | part(0, 5, 7),
            Format::B => rs1 | rs2 | part(12, 1, 31) | part(11, 1, 7) | part(5, 6, 25) | part(1, 4, 8),
            Format::U => rd | part(12, 20, 12),
            Format::J => rd | part(20, 1, 31) | part(12, 8, 12) | part(11, 1, 20) | part(1, 10, 21),
            Format::Fence => rs1 | rs2,
            Format::None => 0,
        }
}

// Unused by the patterns above, and so all of `rs1` is free in each of them but those without operands.
const _: () = {
    let mut row = 0;
    while row < TABLE.len() {
        assert!(TABLE[row].bits & !TABLE[row].mask == 0);
        assert!(TABLE[row].mask & RS1 == 0 || TABLE[row].mask == u32::MAX);
        row += 1;
    }
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words as an assembler makes them; written by hand from Volume I, "RV32/64G Instruction Set Listings".
    #[test]
    fn words_of_the_manual() {
        let i = Instruction::new;
        for (word, instruction) in [
            (0x0000_0013, i(Op::Addi)),
            (0xFFF5_8513, Instruction { rd: 10, rs1: 11, immediate: -1, ..i(Op::Addi) }),
            (0x1234_52B7, Instruction { rd: 5, immediate: 0x1234_5000, ..i(Op::Lui) }),
            (0xFE00_0EE3, Instruction { immediate: -4, ..i(Op::Beq) }),
            (0xFFDF_F06F, Instruction { immediate: -4, ..i(Op::Jal) }),
            (0xFE11_3C23, Instruction { rs1: 2, rs2: 1, immediate: -8, ..i(Op::Sd) }),
            (0x03F0_9093, Instruction { rd: 1, rs1: 1, immediate: 63, ..i(Op::Slli) }),
            (0x43F0_D093, Instruction { rd: 1, rs1: 1, immediate: 63, ..i(Op::Srai) }),
            (0x3005_1073, Instruction { rs1: 10, immediate: 0x300, ..i(Op::Csrrw) }),
            (0x1005_A52F, Instruction { rd: 10, rs1: 11, ..i(Op::LrW) }),
            (0x18C5_B52F, Instruction { rd: 10, rs1: 11, rs2: 12, ..i(Op::ScD) }),
            (0x6AC5_F543, Instruction { rd: 10, rs1: 11, rs2: 12, rs3: 13, rounding: 7, ..i(Op::FmaddD) }),
            (0xD225_F553, Instruction { rd: 10, rs1: 11, rounding: 7, ..i(Op::FcvtDL) }),
            (0x3020_0073, i(Op::Mret)),
            (0x1050_0073, i(Op::Wfi)),
            (0x12B5_0073, Instruction { rs1: 10, rs2: 11, ..i(Op::SfenceVma) }),
        ] {
            assert_eq!(decode(word), Instruction { raw: word, ..instruction }, "{word:#010x}");
        }
        for illegal in [0xFFFF_FFFF, 0x0000_707B, 0x0200_9093 | 1 << 26, 0x02B5_1013 | 1 << 30, 0x0000_7063 & !0x5000] {
            assert_eq!(decode(illegal).op, Op::Illegal, "{illegal:#010x}");
        }
    }

    #[test]
    fn no_word_has_two_rows() {
        for (index, a) in TABLE.iter().enumerate() {
            assert_eq!(a.op as usize, index);
            for b in &TABLE[..index] {
                assert!((a.bits ^ b.bits) & a.mask & b.mask != 0, "{} and {}", a.name, b.name);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Encoding is decoding backwards, but for bits that are not looked at.
        #[test]
        fn every_word_decodes_and_what_is_legal_encodes_to_the_same(word: u32) {
            let instruction = decode(word | 0b11);
            if instruction.op != Op::Illegal {
                let again = decode(encode(&instruction));
                prop_assert_eq!(Instruction { raw: instruction.raw, ..again }, instruction);
            }
        }

        /// The same from the other side, so that every row is met.
        #[test]
        fn every_row_is_met(row in 0..TABLE.len(), free: u32) {
            let word = TABLE[row].bits | free & !TABLE[row].mask;
            prop_assert_eq!(decode(word).op, TABLE[row].op);
            prop_assert_eq!(decode(encode(&decode(word))).op, TABLE[row].op);
        }
    }
}
