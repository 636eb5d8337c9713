//! The unprivileged instructions, group by group, with the values of the manual's tables and of its text. The RISC-V Instruction Set Manual, Volume I.

mod common;

use common::{i, n, r, result, s, Machine, BASE, DATA, DEVICE};
use sim_iss::{flag, number, Cause, Instruction, Op};

const MIN: u64 = i64::MIN as u64;
const MIN_WORD: u64 = i32::MIN as u64;
const ALL: u64 = u64::MAX;

/// "Integer Computational Instructions" and "RV64I Base Integer Instruction Set".
#[test]
fn integers() {
    for (op, a, b, expected) in [
        (Op::Add, ALL, 1, 0),
        (Op::Sub, 0, 1, ALL),
        (Op::Sll, 1, 64 + 63, MIN),
        (Op::Srl, MIN, 63, 1),
        (Op::Sra, MIN, 63, ALL),
        (Op::Slt, MIN, 1, 1),
        (Op::Sltu, MIN, 1, 0),
        (Op::Xor, 0b1100, 0b1010, 0b0110),
        (Op::Or, 0b1100, 0b1010, 0b1110),
        (Op::And, 0b1100, 0b1010, 0b1000),
        (Op::Addw, 0x7FFF_FFFF, 1, MIN_WORD),
        (Op::Subw, 0, 1, ALL),
        (Op::Sllw, 1, 32 + 31, MIN_WORD),
        (Op::Srlw, ALL, 31, 1),
        (Op::Srlw, ALL, 32, ALL),
        (Op::Sraw, 0x8000_0000, 31, ALL),
    ] {
        assert_eq!(result(r(op), a, b), expected, "{op:?} {a:#x} {b:#x}");
    }
    for (op, a, immediate, expected) in [
        (Op::Addi, 5, -6, ALL),
        (Op::Slti, ALL, 0, 1),
        // "SLTIU rd, rs1, 1 sets rd to 1 if rs1 equals zero"; the immediate is sign-extended first.
        (Op::Sltiu, 0, 1, 1),
        (Op::Sltiu, 5, -1, 1),
        (Op::Xori, 5, -1, !5),
        (Op::Ori, 1, -2, ALL),
        (Op::Andi, ALL, -16, !15),
        (Op::Slli, 1, 63, MIN),
        (Op::Srli, MIN, 63, 1),
        (Op::Srai, MIN, 63, ALL),
        (Op::Addiw, 0x1_7FFF_FFFF, 1, MIN_WORD),
        (Op::Slliw, 1, 31, MIN_WORD),
        (Op::Srliw, ALL, 31, 1),
        (Op::Sraiw, 0x8000_0000, 31, ALL),
        (Op::Lui, 0, i32::MIN, MIN_WORD),
        (Op::Auipc, 0, 0x1000, BASE + 0x1000),
    ] {
        assert_eq!(result(i(op, 3, 1, immediate), a, 0), expected, "{op:?} {a:#x} {immediate:#x}");
    }
}

/// "Multiplication Operations", and the table "Semantics for division by zero and division overflow".
#[test]
fn multiplication_and_division() {
    for (op, a, b, expected) in [
        (Op::Mul, ALL, ALL, 1),
        (Op::Mulh, ALL, ALL, 0),
        (Op::Mulh, MIN, MIN, 1 << 62),
        (Op::Mulhu, ALL, ALL, ALL - 1),
        (Op::Mulhsu, ALL, ALL, ALL),
        (Op::Mulw, 0x1_0000_0003, 0x5555_5556, 2),
        (Op::Div, 7, ALL - 1, -3i64 as u64),
        (Op::Rem, -7i64 as u64, 2, ALL),
        (Op::Divu, 5, 0, ALL),
        (Op::Remu, 5, 0, 5),
        (Op::Div, 5, 0, ALL),
        (Op::Rem, 5, 0, 5),
        (Op::Div, MIN, ALL, MIN),
        (Op::Rem, MIN, ALL, 0),
        (Op::Divw, MIN_WORD, ALL, MIN_WORD),
        (Op::Remw, MIN_WORD, ALL, 0),
        (Op::Divuw, 0x8000_0000, 0, ALL),
        (Op::Remuw, 0x8000_0000, 0, MIN_WORD),
        (Op::Divw, 1 << 32, 0, ALL),
    ] {
        assert_eq!(result(r(op), a, b), expected, "{op:?} {a:#x} {b:#x}");
    }
}

/// "Control Transfer Instructions".
#[test]
fn jumps_and_branches() {
    for (op, a, b, taken) in [
        (Op::Beq, 1, 1, true),
        (Op::Bne, 1, 1, false),
        (Op::Blt, ALL, 0, true),
        (Op::Bge, ALL, 0, false),
        (Op::Bltu, ALL, 0, false),
        (Op::Bgeu, ALL, 0, true),
    ] {
        let mut machine = Machine::new(&[s(op, 1, 2, 0x800)]);
        machine.hart.set_x(1, a);
        machine.hart.set_x(2, b);
        machine.run(1);
        assert_eq!(machine.hart.pc(), BASE + if taken { 0x800 } else { 4 }, "{op:?}");
    }
    let mut machine = Machine::new(&[i(Op::Jal, 1, 0, 8), n(Op::Ebreak), i(Op::Jalr, 1, 1, 8 + 1)]);
    machine.run(1);
    assert_eq!((machine.hart.pc(), machine.hart.x(1)), (BASE + 8, BASE + 4));
    // The target is computed before the link is written, and its lowest bit is dropped.
    machine.run(1);
    assert_eq!((machine.hart.pc(), machine.hart.x(1)), (BASE + 12, BASE + 12));
}

#[test]
fn the_zero_register_stays_zero() {
    let mut machine = Machine::new(&[i(Op::Addi, 0, 0, 5), i(Op::Jal, 0, 0, 4), i(Op::Ld, 0, 1, 0)]);
    machine.hart.set_x(1, BASE);
    machine.run(3);
    assert_eq!((machine.hart.x(0), machine.hart.pc()), (0, BASE + 12));
}

/// "Load and Store Instructions".
#[test]
fn loads_and_stores() {
    for (op, bytes, expected) in [
        (Op::Lb, 1, 0xFFFF_FFFF_FFFF_FF88),
        (Op::Lbu, 1, 0x88),
        (Op::Lh, 2, 0xFFFF_FFFF_FFFF_9988),
        (Op::Lhu, 2, 0x9988),
        (Op::Lw, 4, 0xFFFF_FFFF_BBAA_9988),
        (Op::Lwu, 4, 0xBBAA_9988),
        (Op::Ld, 8, 0xFFEE_DDCC_BBAA_9988),
    ] {
        let mut machine = Machine::new(&[i(op, 3, 1, -8), i(op, 4, 1, -7)]);
        machine.put(DATA, 0xFFEE_DDCC_BBAA_9988u64.to_le_bytes());
        machine.hart.set_x(1, DATA + 8);
        machine.run(2);
        assert_eq!(machine.hart.x(3), expected, "{op:?}");
        // Rocket does not carry out misaligned accesses.
        if bytes > 1 {
            assert_eq!(machine.csr(number::MCAUSE), Cause::LoadAddressMisaligned as u64, "{op:?}");
            assert_eq!((machine.csr(number::MTVAL), machine.csr(number::MEPC)), (DATA + 1, BASE + 4));
        }
    }
    for (op, expected) in [
        (Op::Sb, 0xFFFF_FFFF_FFFF_FF88),
        (Op::Sh, 0xFFFF_FFFF_FFFF_9988),
        (Op::Sw, 0xFFFF_FFFF_BBAA_9988),
        (Op::Sd, 0x7766_5544_BBAA_9988),
    ] {
        let mut machine = Machine::new(&[s(op, 1, 2, 16), s(op, 1, 2, 17)]);
        machine.put(DATA + 16, ALL.to_le_bytes());
        machine.hart.set_x(1, DATA);
        machine.hart.set_x(2, 0x7766_5544_BBAA_9988);
        machine.run(2);
        assert_eq!(machine.doubleword(DATA + 16), if op == Op::Sb { 0xFFFF_FFFF_FFFF_8888 } else { expected });
        let misaligned = machine.csr(number::MCAUSE) == Cause::StoreAddressMisaligned as u64;
        assert_eq!(misaligned, op != Op::Sb, "{op:?}");
    }
}

/// "Atomic Memory Operations": words are sign-extended, and what is written is of the old value.
#[test]
fn atomics() {
    let old = 0xFFFF_FFFF_8000_0005u64;
    let low = old & 0xFFFF_FFFF;
    for (word, doubleword, operand, new) in [
        (Op::AmoswapW, Op::AmoswapD, 9u64, [9, 9]),
        (Op::AmoaddW, Op::AmoaddD, ALL, [low - 1, old - 1]),
        (Op::AmoxorW, Op::AmoxorD, 1, [low ^ 1, old ^ 1]),
        (Op::AmoandW, Op::AmoandD, 4, [4, 4]),
        (Op::AmoorW, Op::AmoorD, 2, [low | 2, old | 2]),
        (Op::AmominW, Op::AmominD, 1, [low, old]),
        (Op::AmomaxW, Op::AmomaxD, 1, [1, 1]),
        (Op::AmominuW, Op::AmominuD, 1, [1, 1]),
        (Op::AmomaxuW, Op::AmomaxuD, 1, [low, old]),
    ] {
        for (op, new) in [(word, new[0] | old & !0xFFFF_FFFF), (doubleword, new[1])] {
            let mut machine = Machine::new(&[r(op)]);
            machine.put(DATA, old.to_le_bytes());
            machine.hart.set_x(1, DATA);
            machine.hart.set_x(2, operand);
            machine.run(1);
            assert_eq!(machine.hart.x(3), old, "{op:?}");
            assert_eq!(machine.doubleword(DATA), new, "{op:?}");
        }
    }
    // Misaligned, and where there are none.
    for (address, cause) in [(DATA + 4, Cause::StoreAddressMisaligned), (DEVICE, Cause::StoreAccessFault)] {
        let mut machine = Machine::new(&[r(Op::AmoaddD)]);
        machine.hart.set_x(1, address);
        machine.run(1);
        assert_eq!(machine.csr(number::MCAUSE), cause as u64);
        assert_eq!((machine.csr(number::MTVAL), machine.bus.device_reads), (address, 0));
    }
}

/// "Load-Reserved/Store-Conditional Instructions".
#[test]
fn reservations() {
    let lr = Instruction { rd: 4, rs1: 1, ..Instruction::new(Op::LrD) };
    let run = |program: &[Instruction], between: fn(&mut Machine)| {
        let mut machine = Machine::new(program);
        machine.hart.set_x(1, DATA);
        machine.hart.set_x(2, 7);
        machine.run(1);
        between(&mut machine);
        machine.run(program.len() as u64 - 1);
        let stored = machine.doubleword(DATA);
        (machine.hart.x(3), stored)
    };
    assert_eq!(run(&[lr, r(Op::ScD)], |_| {}), (0, 7));
    assert_eq!(run(&[r(Op::ScD)], |_| {}), (1, 0));
    assert_eq!(run(&[lr, r(Op::ScD), r(Op::ScD)], |_| {}).0, 1, "one reservation serves once");
    // A store of the hart itself leaves it, one of another does not.
    assert_eq!(run(&[lr, s(Op::Sd, 1, 1, 8), r(Op::ScD)], |_| {}), (0, 7));
    let by_another = |machine: &mut Machine| {
        sim_iss::Bus::store(&mut machine.bus, 1, DATA + 8, [0; 1]).expect("memory");
    };
    assert_eq!(run(&[lr, r(Op::ScD)], by_another), (1, 0));
    let mut machine = Machine::new(&[lr]);
    machine.hart.set_x(1, DEVICE);
    machine.run(1);
    assert_eq!(machine.csr(number::MCAUSE), Cause::LoadAccessFault as u64);
}

/// "NaN Boxing of Narrower Values", and the moves between the register files.
#[test]
fn singles_are_boxed() {
    let program = [
        Instruction { rd: 1, rs1: 1, ..n(Op::FmvWX) },
        Instruction { rd: 2, rs1: 3, ..n(Op::FmvXW) },
        Instruction { rd: 4, rs1: 3, rs2: 3, ..n(Op::FsgnjS) },
        Instruction { rd: 5, rs1: 3, ..n(Op::FmvXD) },
        i(Op::Flw, 6, 7, 0),
        s(Op::Fsw, 7, 3, 4),
    ];
    let mut machine = Machine::new(&program);
    machine.hart.set_csr(number::MSTATUS, 3 << 13);
    machine.hart.set_x(1, 0x1234_5678_3F80_0000);
    machine.hart.set_f(3, 0x0000_0000_C000_0000);
    machine.hart.set_x(7, DATA);
    machine.put(DATA, [1, 0, 0, 0]);
    machine.run(6);
    assert_eq!(machine.hart.f(1), 0xFFFF_FFFF_3F80_0000);
    assert_eq!(machine.hart.x(2), 0xFFFF_FFFF_C000_0000, "moves do not look at the box");
    assert_eq!(machine.hart.f(4), 0xFFFF_FFFF_7FC0_0000, "what is not boxed is the canonical NaN");
    assert_eq!(machine.hart.x(5), 0xC000_0000);
    assert_eq!(machine.hart.f(6), 0xFFFF_FFFF_0000_0001);
    assert_eq!(machine.doubleword(DATA), 0xC000_0000_0000_0001);
}

/// "Floating-Point Control and Status Register".
#[test]
fn rounding_modes_and_flags() {
    let fdiv = |rounding| Instruction { rd: 3, rs1: 1, rs2: 2, rounding, ..n(Op::FdivD) };
    let mut machine = Machine::new(&[fdiv(7), fdiv(3), fdiv(7), fdiv(5)]);
    machine.run(1);
    assert_eq!(machine.csr(number::MCAUSE), Cause::IllegalInstruction as u64, "floating point is off");
    machine.hart.set_csr(number::MSTATUS, 1 << 13);
    machine.hart.set_f(1, 1f64.to_bits());
    machine.hart.set_f(2, 3f64.to_bits());
    machine.hart.set_pc(BASE);
    machine.run(1);
    assert_eq!((machine.hart.f(3), machine.csr(number::FFLAGS)), ((1f64 / 3.0).to_bits(), flag::NX.into()));
    machine.run(1);
    assert_eq!(machine.hart.f(3), (1f64 / 3.0).to_bits() + 1);
    assert_eq!(machine.csr(number::MSTATUS) >> 63, 1, "Rocket has no clean state");
    for (frm, pc) in [(4, BASE + 8), (5, BASE + 8), (0, BASE + 12)] {
        machine.hart.set_csr(number::FRM, frm);
        machine.hart.set_csr(number::MEPC, 0);
        machine.hart.set_pc(pc);
        machine.run(1);
        let legal = frm == 4;
        assert_eq!(machine.csr(number::MEPC) == 0, legal, "frm {frm}");
        if !legal {
            assert_eq!(machine.csr(number::MTVAL) as u32, sim_iss::encode(&fdiv(if frm == 5 { 7 } else { 5 })));
        }
    }
}

/// A reserved rounding mode is illegal also where nothing is rounded.
#[test]
fn exact_conversions_have_rounding_modes_too() {
    for (rounding, legal) in [(0, true), (5, false)] {
        let mut machine = Machine::new(&[Instruction { rounding, ..n(Op::FcvtDS) }]);
        machine.hart.set_csr(number::MSTATUS, 3 << 13);
        machine.run(1);
        assert_eq!(machine.csr(number::MCAUSE) == 0, legal, "rm {rounding}");
    }
}

/// "CSR Instructions".
#[test]
fn csr_instructions() {
    let csr = |op, rd, rs1, number: u16| Instruction { rd, rs1, immediate: number.into(), ..n(op) };
    let program = [
        csr(Op::Csrrw, 3, 1, number::MSCRATCH),
        csr(Op::Csrrs, 4, 2, number::MSCRATCH),
        csr(Op::Csrrc, 5, 1, number::MSCRATCH),
        csr(Op::Csrrwi, 6, 31, number::MSCRATCH),
        csr(Op::Csrrsi, 7, 0, number::MHARTID),
        csr(Op::Csrrci, 8, 1, number::MSCRATCH),
        csr(Op::Csrrs, 9, 0, number::MINSTRET),
        csr(Op::Csrrw, 9, 0, number::MHARTID),
    ];
    let mut machine = Machine::new(&program);
    machine.hart.set_x(1, 0b1100);
    machine.hart.set_x(2, 0b0011);
    machine.run(8);
    let registers = [3, 4, 5, 6, 7, 8, 9].map(|register| machine.hart.x(register));
    assert_eq!(registers, [0, 0b1100, 0b1111, 0b0011, 0, 31, 6]);
    assert_eq!(machine.csr(number::MSCRATCH), 30);
    assert_eq!(machine.csr(number::MCAUSE), Cause::IllegalInstruction as u64, "a read-only register was written");
}

/// "\"Zifencei\" Extension for Instruction-Fetch Fence": what was decoded is used until then, as from an instruction cache.
#[test]
fn code_that_changes_needs_a_fence() {
    let set = |value| i(Op::Addi, 3, 0, value);
    for fence in [n(Op::Fence), n(Op::FenceI)] {
        let program = [set(1), s(Op::Sw, 1, 2, 0), fence, i(Op::Jal, 0, 0, -12)];
        let mut machine = Machine::new(&program);
        machine.hart.set_x(1, BASE);
        machine.hart.set_x(2, u64::from(sim_iss::encode(&set(2))));
        machine.run(5);
        assert_eq!(machine.hart.x(3), if fence.op == Op::FenceI { 2 } else { 1 });
    }
}

/// An instruction may lie in two pages, and be of 16 bits anywhere.
#[test]
fn pages_are_crossed() {
    let mut machine = Machine::new(&[]);
    let end = BASE + 0x1000;
    machine.put(end - 4, 0x0505u16.to_le_bytes()); // c.addi a0, 1
    machine.put_program(end - 2, &[i(Op::Addi, 10, 10, 0x100)]);
    machine.put(end + 2, 0x0505u16.to_le_bytes());
    machine.hart.set_pc(end - 4);
    machine.run(3);
    assert_eq!((machine.hart.x(10), machine.hart.pc()), (0x102, end + 4));
}

#[test]
fn devices_are_reached_and_denials_are_faults() {
    let mut machine =
        Machine::new(&[s(Op::Sw, 1, 2, 0), i(Op::Lw, 3, 1, 4), i(Op::Lw, 4, 1, 2044), i(Op::Lw, 5, 1, 0)]);
    machine.hart.set_x(1, DEVICE);
    machine.hart.set_x(2, 0x1122_3344_5566_7788);
    machine.run(2);
    assert_eq!((machine.bus.device, machine.hart.x(3), machine.bus.device_reads), (0x5566_7788, 0x5566_7788, 1));
    machine.hart.set_x(1, DEVICE + 8);
    machine.run(1);
    assert_eq!(machine.csr(number::MCAUSE), Cause::LoadAccessFault as u64);
    assert_eq!((machine.csr(number::MTVAL), machine.hart.x(4)), (DEVICE + 2052, 0));
    machine.hart.set_pc(DEVICE);
    machine.run(1);
    assert_eq!(machine.csr(number::MCAUSE), Cause::InstructionAccessFault as u64);
}
