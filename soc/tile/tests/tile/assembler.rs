//! The few instructions of RV64 that the programs of these tests consist of. RISC-V Unprivileged ISA, "RV32/64G Instruction Set Listings".

pub const ZERO: u32 = 0;
pub const T0: u32 = 5;
pub const T1: u32 = 6;
pub const T2: u32 = 7;
pub const A0: u32 = 10;
pub const A1: u32 = 11;
pub const A2: u32 = 12;
pub const A3: u32 = 13;
pub const A4: u32 = 14;

pub const MHARTID: u32 = 0xF14;
pub const MIE: u32 = 0x304;
pub const MIP: u32 = 0x344;
pub const MTVEC: u32 = 0x305;
pub const MCAUSE: u32 = 0x342;
pub const MTVAL: u32 = 0x343;

pub const WFI: u32 = 0x1050_0073;

fn i_type(opcode: u32, funct3: u32, rd: u32, rs1: u32, immediate: i32) -> u32 {
    assert!((-2048..2048).contains(&immediate));
    (immediate as u32) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

fn r_type(opcode: u32, funct3: u32, funct7: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

pub fn lui(rd: u32, value: u64) -> u32 {
    assert!(value & 0xFFF == 0 && value < 1 << 31, "{value:#x} is not for one `lui`");
    value as u32 | rd << 7 | 0b011_0111
}

pub fn auipc(rd: u32) -> u32 {
    rd << 7 | 0b001_0111
}

pub fn addi(rd: u32, rs1: u32, immediate: i32) -> u32 {
    i_type(0b001_0011, 0b000, rd, rs1, immediate)
}

pub fn slli(rd: u32, rs1: u32, shift: i32) -> u32 {
    i_type(0b001_0011, 0b001, rd, rs1, shift)
}

pub fn add(rd: u32, rs1: u32, rs2: u32) -> u32 {
    r_type(0b011_0011, 0b000, 0, rd, rs1, rs2)
}

pub fn mul(rd: u32, rs1: u32, rs2: u32) -> u32 {
    r_type(0b011_0011, 0b000, 1, rd, rs1, rs2)
}

pub fn ld(rd: u32, rs1: u32, offset: i32) -> u32 {
    i_type(0b000_0011, 0b011, rd, rs1, offset)
}

pub fn lw(rd: u32, rs1: u32, offset: i32) -> u32 {
    i_type(0b000_0011, 0b010, rd, rs1, offset)
}

pub fn sd(rs2: u32, rs1: u32, offset: i32) -> u32 {
    store(0b011, rs2, rs1, offset)
}

pub fn sh(rs2: u32, rs1: u32, offset: i32) -> u32 {
    store(0b001, rs2, rs1, offset)
}

fn store(funct3: u32, rs2: u32, rs1: u32, offset: i32) -> u32 {
    assert!((-2048..2048).contains(&offset));
    let offset = offset as u32;
    (offset >> 5 & 0x7F) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (offset & 0x1F) << 7 | 0b010_0011
}

pub fn amoadd_d(rd: u32, rs2: u32, rs1: u32) -> u32 {
    r_type(0b010_1111, 0b011, 0, rd, rs1, rs2)
}

/// Branches if the registers differ; `offset` is in bytes.
pub fn bne(rs1: u32, rs2: u32, offset: i32) -> u32 {
    assert!(offset % 2 == 0 && (-4096..4096).contains(&offset));
    let offset = offset as u32;
    (offset >> 12 & 1) << 31
        | (offset >> 5 & 0x3F) << 25
        | rs2 << 20
        | rs1 << 15
        | 0b001 << 12
        | (offset >> 1 & 0xF) << 8
        | (offset >> 11 & 1) << 7
        | 0b110_0011
}

/// Jumps; `offset` is in bytes.
pub fn j(offset: i32) -> u32 {
    assert!(offset % 2 == 0 && (-4096..4096).contains(&offset));
    let offset = offset as u32;
    (offset >> 20 & 1) << 31
        | (offset >> 1 & 0x3FF) << 21
        | (offset >> 11 & 1) << 20
        | (offset >> 12 & 0xFF) << 12
        | 0b110_1111
}

/// Jumps to the address in a register.
pub fn jr(rs1: u32) -> u32 {
    i_type(0b110_0111, 0b000, ZERO, rs1, 0)
}

pub fn csrr(rd: u32, csr: u32) -> u32 {
    csr << 20 | 0b010 << 12 | rd << 7 | 0b111_0011
}

pub fn csrw(csr: u32, rs1: u32) -> u32 {
    csr << 20 | rs1 << 15 | 0b001 << 12 | 0b111_0011
}
