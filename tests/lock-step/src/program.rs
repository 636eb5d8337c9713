//! Random programs: units of random instructions in a loop, in all modes, and handlers that go on with the next unit whatever happened.
//!
//! ```text
//!   boot ROM   goes to INIT
//!   HANDLERS   of M and S: each reads what the trap left and goes on at the address in x3
//!   INIT       sets all registers that no reset sets, and goes to UNITS in M-mode
//!   UNITS      each puts the address of the next into x3 first; the last goes to the first
//!   TABLES     page tables, and below them what INIT loads
//!   DATA       pages that the units load and store
//! ```
//!
//! Code lies at its physical address in M-mode. With translation it lies [`USER_BASE`] higher for U and [`SUPERVISOR_BASE`] higher for S, and the
//! handlers turn the address in x3 into that of the mode that they return to. Data lie at their physical address, and a second and a third time behind pages of 2 MiB and
//! of 1 GiB.
//!
//! Every value is compared as it is written, so that handlers may change registers under the units as they like.

use iss_reference::{bytes, load_immediate, registers, Bodies, REGISTERS};
use sim_device::Random;
use sim_iss::{decode, encode, number::*, Instruction, Op};
use soc_map::boot;
use soc_map::rocket::{BOOT_ROM, CACHED, CLINT, UNCACHED};

use crate::run::ACKNOWLEDGE;

/// The register with the address of the next unit, and the two pointers to data. Random instructions leave them alone.
const NEXT: u8 = 3;
const DATA_POINTER: u8 = 2;
const SECOND_POINTER: u8 = 8;
/// Registers of the handlers; the last tells them on a call which mode to go on in.
const SCRATCH: [u8; 2] = [29, 30];
const WANTED_MODE: u8 = 31;

const MACHINE_HANDLER: u64 = CACHED.base;
const SUPERVISOR_HANDLER: u64 = CACHED.base + 0x400;
const INIT: u64 = CACHED.base + 0x800;
const UNITS: u64 = CACHED.base + 0x2000;
/// Where code ends at the latest.
const CODE_END: u64 = CACHED.base + 0x2_0000;
const CONSTANTS: u64 = CODE_END;
const TABLES: u64 = CACHED.base + 0x4_0000;
const DATA: u64 = CACHED.base + 0x10_0000;
const PAGE: u64 = 4096;
const DATA_PAGES: u64 = 16;

/// What is added to addresses of code in U and in S.
const USER_BASE: u64 = 1 << 32;
const SUPERVISOR_BASE: u64 = 2 << 32;
/// Where the data lie a second and a third time: in a page of 2 MiB, and in one of 1 GiB.
const MEGAPAGE: u64 = CACHED.base + 0x20_0000;
const GIGAPAGE: u64 = CACHED.base + 0x4000_0000;
const DATA_OFFSET: u64 = DATA - CACHED.base;

/// Entries of page tables. Volume II, "Sv39: Page-Based 39-bit Virtual-Memory System".
const VALID: u64 = 1;
const FOR_USER: u64 = 1 << 4;
const ACCESSED: u64 = 1 << 6;
const DIRTY: u64 = 1 << 7;
/// Valid, readable, writable, executable, accessed and dirty.
const ALL: u64 = 0b1100_1111;
const READ_AND_EXECUTE: u64 = 0b1100_1011;
/// The fields of `mstatus` that units change: MPRV, SUM, MXR, TVM, TW, TSR, FS, MPP, MPIE, MIE, SPIE, SIE and SPP.
const STATUS_BITS: [u32; 15] = [17, 18, 19, 20, 21, 22, 13, 14, 11, 12, 7, 3, 5, 1, 8];
/// MTIE: a program that waits for interrupts has one.
const TIMER_ENABLE: u64 = 1 << 7;

/// A program with its memory.
#[derive(Clone, Debug)]
pub struct Program {
    /// The boot ROM, from the first instruction on.
    pub boot: Vec<u32>,
    /// What lies in memory at first: address and bytes.
    pub memory: Vec<(u64, Vec<u8>)>,
}

/// Memory of which lines are asked back.
pub(crate) const DISTURBED: std::ops::Range<u64> = DATA..DATA + PAGE;

const fn with(op: Op, rd: u8, rs1: u8, rs2: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, rs2, immediate, ..Instruction::new(op) }
}

/// An access to a register.
fn csr(op: Op, rd: u8, rs1: u8, number: u16) -> Instruction {
    with(op, rd, rs1, 0, i32::from(number))
}

/// `register = address`, of 32 bits and even.
fn load_address(register: u8, address: u64) -> [Instruction; 3] {
    let [upper, lower] = load_immediate(register, address / 2);
    [upper, lower, with(Op::Slli, register, register, 0, 1)]
}

fn code(instructions: &[Instruction]) -> Vec<u8> {
    let bytes = |instruction: &Instruction| match instruction.op {
        Op::Illegal => instruction.raw.to_le_bytes().to_vec(),
        _ => bytes(instruction),
    };
    instructions.iter().flat_map(bytes).collect()
}

fn length(instructions: &[Instruction]) -> i32 {
    instructions.iter().map(|instruction| i32::from(instruction.bytes)).sum()
}

/// A random program.
pub fn random_program(random: &mut Random) -> Program {
    let translates = random.below(4) != 0;
    let mut bodies = Bodies::default();
    let mut units = Vec::new();
    let target = random.between(2_000, 12_000) as usize;
    while units.len() < target {
        units.extend(code(&unit(random, &mut bodies)));
    }
    let back = -(units.len() as i32);
    units.extend(code(&[with(Op::Jal, 0, 0, 0, back)]));
    assert!(UNITS + units.len() as u64 <= CODE_END);

    let (init, constants) = init(random, translates);
    let machine = code(&machine_handler(translates));
    let supervisor = code(&supervisor_handler(translates));
    assert!(machine.len().max(supervisor.len()) <= 0x400);
    let init = code(&init);
    assert!(INIT + init.len() as u64 <= UNITS);

    let mut data = Vec::new();
    while data.len() < (DATA_PAGES * PAGE) as usize {
        data.extend(registers(random).iter().skip(1).flat_map(|value| value.to_le_bytes()));
    }
    data.truncate((DATA_PAGES * PAGE) as usize);

    let [a, b, c] = load_address(5, INIT);
    let boot = [a, b, c, with(Op::Jalr, 0, 5, 0, 0)].iter().map(encode).collect();
    let mut memory = vec![
        (MACHINE_HANDLER, machine),
        (SUPERVISOR_HANDLER, supervisor),
        (INIT, init),
        (UNITS, units),
        (CONSTANTS, constants),
        (DATA, data),
    ];
    memory.extend(tables(random));
    Program { boot, memory }
}

/// What comes before firmware: it sets what no reset sets, and then comes the boot ROM, which may lie anywhere.
pub(crate) fn boot_of_firmware() -> Vec<u32> {
    let t0 = 5;
    let zero = |number| csr(Op::Csrrw, 0, 0, number);
    let mut all: Vec<_> = [MIP, MIE, MEDELEG, MIDELEG, MCOUNTEREN, SCOUNTEREN].map(zero).into();
    all.extend([MSCRATCH, SSCRATCH, MEPC, SEPC, MCAUSE, SCAUSE, MTVAL, STVAL, MTVEC, STVEC].map(zero));
    all.extend([with(Op::Lui, t0, 0, 0, 0b11 << 13), csr(Op::Csrrs, 0, t0, MSTATUS), zero(FCSR)]);
    all.extend((0..32).map(|register| with(Op::FmvDX, register, 0, 0, 0)));
    all.push(csr(Op::Csrrc, 0, t0, MSTATUS));
    all.extend((1..32).map(|register| with(Op::Addi, register, 0, 0, 0)));
    all.iter().map(encode).chain(boot::WORDS).collect()
}

/// Goes on at the address in [`NEXT`], in the mode that `mstatus` tells.
fn machine_handler(translates: bool) -> Vec<Instruction> {
    let [a, b] = SCRATCH;
    let [status_mask, status_low] = load_immediate(b, 0b11 << 11);
    let interrupt: Vec<_> = load_immediate(b, ACKNOWLEDGE).into_iter().chain([with(Op::Sw, 0, b, 0, 0)]).collect();
    // A call is one of the causes 8 to 11.
    let call = [
        status_mask,
        status_low,
        csr(Op::Csrrc, 0, b, MSTATUS),
        with(Op::Slli, WANTED_MODE, WANTED_MODE, 0, 11),
        with(Op::And, WANTED_MODE, WANTED_MODE, b, 0),
        csr(Op::Csrrs, 0, WANTED_MODE, MSTATUS),
    ];
    let exception =
        [with(Op::Addi, b, b, 0, -8), with(Op::Sltiu, a, b, 0, 4), with(Op::Beq, 0, a, 0, 4 + length(&call))];
    let mut all = vec![
        // No access of the handler is translated: MPRV is off.
        with(Op::Lui, b, 0, 0, 1 << 17),
        csr(Op::Csrrc, a, b, MSTATUS),
        csr(Op::Csrrs, b, 0, MCAUSE),
        csr(Op::Csrrs, a, 0, MEPC),
        csr(Op::Csrrs, a, 0, MTVAL),
        with(Op::Bge, 0, b, 0, 4 + length(&interrupt) + 4),
    ];
    all.extend(interrupt);
    all.push(with(Op::Jal, 0, 0, 0, 4 + length(&exception) + length(&call)));
    all.extend(exception);
    all.extend(call);
    all.extend([csr(Op::Csrrs, b, 0, MSTATUS), with(Op::Srli, b, b, 0, 11), with(Op::Andi, b, b, 0, 0b11)]);
    // U is 0, S is 1 and M is 3: of one more, the two lowest bits count.
    all.extend([with(Op::Addi, b, b, 0, 1), with(Op::Andi, b, b, 0, 0b11)]);
    all.extend(next(b, MEPC, translates));
    all.push(Instruction::new(Op::Mret));
    all
}

fn supervisor_handler(translates: bool) -> Vec<Instruction> {
    let [a, b] = SCRATCH;
    let mut all = vec![
        csr(Op::Csrrs, b, 0, SCAUSE),
        csr(Op::Csrrs, a, 0, SEPC),
        csr(Op::Csrrs, a, 0, STVAL),
        // An interrupt is not taken again.
        with(Op::Bge, 0, b, 0, 8),
        csr(Op::Csrrw, a, 0, SIE),
        csr(Op::Csrrs, b, 0, SSTATUS),
        with(Op::Srli, b, b, 0, 8),
        with(Op::Andi, b, b, 0, 1),
        with(Op::Addi, b, b, 0, 1),
    ];
    all.extend(next(b, SEPC, translates));
    all.push(Instruction::new(Op::Sret));
    all
}

/// The address in [`NEXT`] for the mode whose base is in a register, in units of 2^32, goes to `number`.
fn next(base: u8, number: u16, translates: bool) -> Vec<Instruction> {
    let mut all = vec![with(Op::Slli, NEXT, NEXT, 0, 32), with(Op::Srli, NEXT, NEXT, 0, 32)];
    if translates {
        all.extend([with(Op::Slli, base, base, 0, 32), with(Op::Or, NEXT, NEXT, base, 0)]);
    }
    all.push(csr(Op::Csrrw, 0, NEXT, number));
    all.extend([SCRATCH[0], SCRATCH[1], WANTED_MODE].map(|register| with(Op::Addi, register, 0, 0, 0)));
    all
}

/// Sets everything, and the constants that it loads.
fn init(random: &mut Random, translates: bool) -> (Vec<Instruction>, Vec<u8>) {
    let mut constants: Vec<u64> = Vec::new();
    let mut all: Vec<_> = load_address(5, CONSTANTS).into();
    let mut place = |value: u64| {
        constants.push(value);
        8 * (constants.len() as i32 - 1)
    };
    let values = registers(random);
    // Regions of memory that S and U may not reach lie in the data; all else is open.
    let csrs = [
        (MTVEC, MACHINE_HANDLER),
        (STVEC, SUPERVISOR_HANDLER + if translates { SUPERVISOR_BASE } else { 0 }),
        (SATP, if translates { 8 << 60 | TABLES >> 12 } else { 0 }),
        (MIE, random.below(1 << 12) | TIMER_ENABLE),
        (MIP, 0),
        (MEDELEG, if random.below(2) == 0 { 0 } else { random.below(1 << 16) }),
        (MIDELEG, *random.pick(&[0, 0x222, 0x200, 0x22])),
        (PMPADDR0, DATA >> 2),
        (PMPADDR0 + 1, pmp_address(random)),
        (PMPADDR0 + 2, pmp_address(random)),
        (PMPADDR0 + 3, pmp_address(random)),
        (PMPADDR0 + 4, pmp_address(random)),
        (PMPADDR0 + 5, pmp_address(random)),
        (PMPADDR0 + 6, pmp_address(random)),
        (PMPADDR0 + 7, u64::MAX >> 10),
        (PMPCFG0, 0x1F << 56 | if random.below(2) == 0 { 0 } else { pmp_configuration(random) }),
        (MCOUNTEREN, random.below(8)),
        (SCOUNTEREN, random.below(8)),
        (MCOUNTINHIBIT, 0),
        // For FCSR. No interrupt comes before all registers are set.
        (MSTATUS, 0b11 << 13),
        (FCSR, values[0]),
    ];
    let others = [MSCRATCH, SSCRATCH, MEPC, SEPC, MCAUSE, SCAUSE, MTVAL, STVAL].map(|number| (number, 0));
    for (number, value) in csrs.into_iter().chain(others) {
        all.extend([with(Op::Ld, 6, 5, 0, place(value)), csr(Op::Csrrw, 0, 6, number)]);
    }
    all.push(with(Op::SfenceVma, 0, 0, 0, 0));
    for register in 0..32 {
        all.push(with(Op::Fld, register, 5, 0, place(values[32 + usize::from(register)])));
    }
    for register in (1..32).filter(|register| *register != 5) {
        let value = match register {
            NEXT => UNITS,
            DATA_POINTER | SECOND_POINTER => DATA + PAGE / 2,
            _ => values[usize::from(register)],
        };
        all.push(with(Op::Ld, register, 5, 0, place(value)));
    }
    all.push(with(Op::Addi, 5, 0, 0, 5));
    if random.below(2) == 0 {
        all.push(csr(Op::Csrrsi, 0, 1 << 3, MSTATUS));
    }
    all.push(with(Op::Jalr, 0, NEXT, 0, 0));
    assert_eq!(values.len(), REGISTERS);
    // Loads reach 2 KiB upwards.
    assert!(constants.len() < 256);
    (all, constants.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// An address register of a region that lies in the data: an end, or a naturally aligned power of two.
fn pmp_address(random: &mut Random) -> u64 {
    let address = DATA + random.below(DATA_PAGES * PAGE);
    let ones = random.below(11);
    match random.below(3) {
        0 => address >> 2,
        1 => (DATA + random.below(DATA_PAGES) * PAGE) >> 2,
        _ => address >> 2 & !((2 << ones) - 1) | ((1 << ones) - 1),
    }
}

/// Configurations of the regions 1 to 6: not locked as a rule.
fn pmp_configuration(random: &mut Random) -> u64 {
    let mut bytes = [0u8; 8];
    for byte in &mut bytes[1..7] {
        let locked = u8::from(random.below(24) == 0) << 7;
        *byte = match random.below(3) {
            0 => 0,
            _ => (random.next_u64() & 0b1_1111) as u8 | locked,
        };
    }
    u64::from_le_bytes(bytes)
}

/// An entry for a page, as a rule one that works.
fn entry(random: &mut Random, physical: u64) -> u64 {
    let user = random.below(2) << 4;
    let flags = match random.below(10) {
        0 => random.below(256),
        1 => VALID | random.below(256),
        2 => ALL & !(1 << random.below(8)) | user,
        3 => READ_AND_EXECUTE & !(1 << 3) | user,
        4 => ALL & !ACCESSED | user,
        5 => ALL & !DIRTY | user,
        _ => ALL | user,
    };
    // The two bits for software.
    physical >> 12 << 10 | flags | random.below(4) << 8
}

/// The page tables.
fn tables(random: &mut Random) -> Vec<(u64, Vec<u8>)> {
    let table = |number: u64| TABLES + number * PAGE;
    let pointer = |table: u64| table >> 12 << 10 | VALID;
    let index = |address: u64, level: u32| 8 * (address >> (12 + 9 * level) & 0x1FF);
    let mut entries: Vec<(u64, u64)> = vec![
        (table(0) + index(DATA, 2), pointer(table(1))),
        (table(1) + index(DATA, 1), pointer(table(2))),
        // Pages of the data, by megapage, and with a gigapage.
        (table(1) + index(MEGAPAGE, 1), entry(random, CACHED.base)),
        (table(0) + index(GIGAPAGE, 2), entry(random, CACHED.base)),
    ];
    for page in 0..DATA_PAGES {
        // As a rule a page lies where it lies.
        let physical = if random.below(4) == 0 { random.below(DATA_PAGES) } else { page };
        entries.push((table(2) + index(DATA + page * PAGE, 0), entry(random, DATA + physical * PAGE)));
    }
    for (base, first, user) in [(USER_BASE, 3, FOR_USER), (SUPERVISOR_BASE, 5, 0)] {
        entries.push((table(0) + index(base + CACHED.base, 2), pointer(table(first))));
        entries.push((table(first) + index(base + CACHED.base, 1), pointer(table(first + 1))));
        for page in 0..(CODE_END - CACHED.base) / PAGE {
            let physical = CACHED.base + page * PAGE;
            entries.push((table(first + 1) + index(physical, 0), physical >> 12 << 10 | READ_AND_EXECUTE | user));
        }
    }
    entries.into_iter().map(|(address, entry)| (address, entry.to_le_bytes().to_vec())).collect()
}

/// One unit: where to go on after a trap, then something random.
fn unit(random: &mut Random, bodies: &mut Bodies) -> Vec<Instruction> {
    let mut body = Vec::new();
    if random.below(4) == 0 {
        body.extend(pointers(random));
    }
    match random.below(16) {
        0 => body.extend(access_register(random)),
        1 => {
            let mode = *random.pick(&[0, 1, 3, 3]);
            body.extend([with(Op::Addi, WANTED_MODE, 0, 0, mode), Instruction::new(Op::Ecall)]);
        }
        2 => body.extend(bad_access(random)),
        3 => body.push(illegal(random)),
        4 => body.extend(privileged(random)),
        5 => body.extend(modified_code(random)),
        6 => body.extend(go_astray(random)),
        7 => {
            let reserve = if random.below(2) == 0 { Op::LrW } else { Op::LrD };
            let store = if reserve == Op::LrW { Op::ScW } else { Op::ScD };
            body.push(with(reserve, 5, DATA_POINTER, 0, 0));
            body.extend((0..random.below(3)).map(|_| with(Op::Addi, 6, 5, 0, 1)));
            body.push(with(store, 7, *random.pick(&[DATA_POINTER, DATA_POINTER, SECOND_POINTER]), 6, 0));
        }
        _ => {
            let parts = random.between(2, 10) as usize;
            body.extend(bodies.body(random, parts));
        }
    }
    let mut all = vec![with(Op::Auipc, NEXT, 0, 0, 0), with(Op::Addi, NEXT, NEXT, 0, 8 + length(&body))];
    all.extend(body);
    all
}

/// New pointers to data, mostly on few lines.
fn pointers(random: &mut Random) -> Vec<Instruction> {
    let base = *random.pick(&[DATA, DATA, DATA, MEGAPAGE + DATA_OFFSET, GIGAPAGE + DATA_OFFSET]);
    let page = if random.below(2) == 0 { 0 } else { random.below(DATA_PAGES) };
    let near = *random.pick(&[0, 8, 64, 128]);
    let mut all: Vec<_> = load_address(DATA_POINTER, base + page * PAGE + PAGE / 2).into();
    all.push(with(Op::Addi, SECOND_POINTER, DATA_POINTER, 0, near));
    all
}

/// A register that random values may be written to without losing the program.
const WRITABLE: [u16; 22] = [
    FFLAGS,
    FRM,
    FCSR,
    MSCRATCH,
    SSCRATCH,
    MEPC,
    SEPC,
    MCAUSE,
    SCAUSE,
    MTVAL,
    STVAL,
    MEDELEG,
    MIDELEG,
    SIE,
    MIP,
    SIP,
    MCOUNTEREN,
    SCOUNTEREN,
    MCOUNTINHIBIT,
    MCYCLE,
    MINSTRET,
    SSTATUS,
];

fn access_register(random: &mut Random) -> Vec<Instruction> {
    let any = |random: &mut Random| random.below(32) as u8;
    if random.below(2) == 0 {
        let number = loop {
            let number = match random.below(3) {
                0 => random.below(1 << 12) as u16,
                1 => *random
                    .pick(&[MSTATUS, SATP, MTVEC, STVEC, MIE, MISA, MHARTID, MVENDORID, MARCHID, MIMPID, CYCLE, TIME]),
                _ => *random.pick(&[PMPCFG0, PMPCFG2, PMPADDR0, PMPADDR0 + 7, PMPADDR15, MHPMEVENT3, MHPMCOUNTER3]),
            };
            if !is_rockets_own(number) {
                break number;
            }
        };
        let op = *random.pick(&[Op::Csrrs, Op::Csrrc, Op::Csrrsi, Op::Csrrci]);
        return vec![csr(op, free(random), 0, number)];
    }
    let number = *random.pick(&WRITABLE);
    let op = *random.pick(&[Op::Csrrw, Op::Csrrs, Op::Csrrc, Op::Csrrwi, Op::Csrrsi, Op::Csrrci]);
    vec![csr(op, free(random), any(random), number)]
}

/// Registers of debugging and of tuning, which the simulator does not have.
fn is_rockets_own(number: u16) -> bool {
    (0x7A0..0x800).contains(&number)
}

fn free(random: &mut Random) -> u8 {
    loop {
        let register = random.below(32) as u8;
        if ![NEXT, DATA_POINTER, SECOND_POINTER].contains(&register) {
            return register;
        }
    }
}

/// Loads, stores and atomics that are misaligned, or go where nothing is, where registers are, or where nothing may be written.
fn bad_access(random: &mut Random) -> Vec<Instruction> {
    const OPS: [Op; 20] = [
        Op::Lb,
        Op::Lh,
        Op::Lw,
        Op::Ld,
        Op::Lbu,
        Op::Lhu,
        Op::Lwu,
        Op::Sb,
        Op::Sh,
        Op::Sw,
        Op::Sd,
        Op::Flw,
        Op::Fld,
        Op::Fsw,
        Op::Fsd,
        Op::LrW,
        Op::ScD,
        Op::AmoaddW,
        Op::AmoswapD,
        Op::AmomaxuW,
    ];
    let op = *random.pick(&OPS);
    let is_float = matches!(op, Op::Flw | Op::Fld);
    let rd = if is_float { random.below(32) as u8 } else { free(random) };
    let any = random.below(32) as u8;
    let is_atomic = op >= Op::LrW && op <= Op::AmomaxuD;
    let offset = if is_atomic { 0 } else { random.below(64) as i32 };
    match random.below(2) {
        0 => vec![with(Op::Addi, 5, DATA_POINTER, 0, random.below(64) as i32), with(op, rd, 5, any, offset)],
        _ => {
            let outside = CLINT.end() + 0x1000;
            let place =
                *random.pick(&[UNCACHED.base, UNCACHED.base, outside, BOOT_ROM.base, BOOT_ROM.end(), 0x9000_0000]);
            // The register that acknowledges is not meant.
            let mut all: Vec<_> = load_address(5, place + 8 * random.below(8)).into();
            if random.below(4) == 0 {
                // Beyond 32 bits of physical address, and beyond 39 of virtual ones.
                let shift = *random.pick(&[1, 7, 24]);
                all.push(with(Op::Slli, 5, 5, 0, shift));
            }
            all.push(with(op, rd, 5, any, offset & !0b111));
            all
        }
    }
}

/// A word that is no instruction.
fn illegal(random: &mut Random) -> Instruction {
    loop {
        let word = match random.below(3) {
            0 => 0,
            // Instructions of the system have some of Rocket's own among those that the simulator does not know.
            _ => random.next_u64() as u32 | 0b11,
        };
        let is_of_rocket = word & 0x7F == 0x73 || word & 0x7F == 0x0B;
        let decoded = decode(word);
        if decoded.op == Op::Illegal && !is_of_rocket {
            return Instruction { raw: word, ..decoded };
        }
    }
}

/// What only M may do, or S: in other modes it traps.
fn privileged(random: &mut Random) -> Vec<Instruction> {
    let fence = with(Op::SfenceVma, 0, 0, 0, 0);
    let constant = |register: u8, value: u64| load_immediate(register, value).to_vec();
    match random.below(9) {
        0 => {
            // The lower half of the regions: the configuration of the last stays.
            let mut all = constant(5, pmp_configuration(random) & 0x7F7F_7F00);
            let mask = constant(6, 0x7F7F_7F00);
            all.extend(mask);
            all.extend([csr(Op::Csrrc, 7, 6, PMPCFG0), csr(Op::Csrrs, 7, 5, PMPCFG0), fence]);
            all
        }
        1 => {
            let mut all = constant(5, pmp_address(random));
            let region = 1 + random.below(6) as u16;
            all.extend([csr(Op::Csrrw, 7, 5, PMPADDR0 + region), fence]);
            all
        }
        2 => {
            let physical = DATA + random.below(DATA_PAGES) * PAGE;
            let page = DATA + random.below(DATA_PAGES) * PAGE;
            let (at, value) = match random.below(4) {
                0 => (TABLES + PAGE + 8 * (MEGAPAGE >> 21 & 0x1FF), entry(random, CACHED.base)),
                1 => (TABLES + 8 * (GIGAPAGE >> 30 & 0x1FF), entry(random, CACHED.base)),
                _ => (TABLES + 2 * PAGE + 8 * (page >> 12 & 0x1FF), entry(random, physical)),
            };
            let mut all = load_address(5, at).to_vec();
            all.extend(constant(6, value));
            all.extend([with(Op::Sd, 0, 5, 6, 0), fence]);
            all
        }
        3 | 4 => {
            let bit = *random.pick(&STATUS_BITS);
            let op = *random.pick(&[Op::Csrrs, Op::Csrrc]);
            let mut all = constant(5, 1 << bit);
            all.push(csr(op, 6, 5, *random.pick(&[MSTATUS, MSTATUS, SSTATUS])));
            all
        }
        5 => {
            let mut all = constant(5, random.below(1 << 12) | TIMER_ENABLE);
            all.extend([csr(Op::Csrrw, 6, 5, MIE), Instruction::new(Op::Wfi)]);
            all
        }
        6 => vec![with(Op::SfenceVma, 0, random.below(32) as u8, random.below(32) as u8, 0)],
        7 => vec![Instruction::new(*random.pick(&[Op::Wfi, Op::Ebreak, Op::FenceI, Op::Fence]))],
        _ => {
            // The same translation again.
            let mut all = vec![csr(Op::Csrrs, 5, 0, SATP)];
            all.extend([csr(Op::Csrrw, 7, 5, SATP), fence]);
            all
        }
    }
}

/// Writes an instruction right ahead, with a constant that depends on a register, and carries it out.
fn modified_code(random: &mut Random) -> Vec<Instruction> {
    let target = encode(&with(Op::Addi, 7, 0, 0, random.below(1 << 11) as i32));
    let mut all = vec![with(Op::Auipc, 5, 0, 0, 0)];
    let [upper, lower] = load_immediate(6, u64::from(target));
    all.extend([upper, lower, with(Op::Slli, 9, 10, 0, 20), with(Op::Xor, 6, 6, 9, 0)]);
    let store = length(&all) + 4 + 4;
    all.extend([with(Op::Sw, 0, 5, 6, store), Instruction::new(Op::FenceI), with(Op::Addi, 7, 0, 0, 0)]);
    all
}

/// Jumps to where nothing can be fetched, and returns from traps that there were not.
fn go_astray(random: &mut Random) -> Vec<Instruction> {
    match random.below(4) {
        0 => {
            let place = *random.pick(&[CLINT.end() + 0x1000, BOOT_ROM.end(), UNCACHED.base + 0x2000]);
            let mut all: Vec<_> = load_address(5, place).into();
            all.push(with(Op::Jalr, 1, 5, 0, 2 * random.below(16) as i32));
            all
        }
        1 => {
            let mut all: Vec<_> = load_address(5, DATA).into();
            all.extend([with(Op::Slli, 5, 5, 0, random.between(1, 31) as i32), with(Op::Jalr, 1, 5, 0, 0)]);
            all
        }
        2 => vec![csr(Op::Csrrw, 0, NEXT, SEPC), Instruction::new(Op::Sret)],
        // From M to the next unit in M: MPP must tell it.
        _ => {
            let [upper, lower] = load_immediate(5, 0b11 << 11);
            vec![upper, lower, csr(Op::Csrrs, 0, 5, MSTATUS), csr(Op::Csrrw, 0, NEXT, MEPC), Instruction::new(Op::Mret)]
        }
    }
}
