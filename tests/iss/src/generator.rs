//! Random blocks of every instruction that a program of a user has.

use std::collections::BTreeMap;

use sim_device::Random;
use sim_iss::{decode_compressed, is_compressed, number, Format, Instruction, Op, TABLE};

use crate::operands;
use crate::program::{is_free, Block, Program, POINTERS, SCRATCH_BYTES};

/// The instructions of 32 bits that a program of a user may carry out without a trap.
pub fn user_level() -> Vec<Op> {
    let others = [Op::Ecall, Op::Ebreak, Op::Sret, Op::Mret, Op::Wfi, Op::SfenceVma];
    TABLE.iter().map(|row| row.op).filter(|op| !others.contains(op)).collect()
}

/// What tells compressed instructions apart: the bits of the opcode that all of them have, and what is done.
pub type Kind = (u16, Op);

/// The kind of an instruction of 16 bits; `c.addi16sp` has a bit more than its opcode.
pub fn kind(instruction: &Instruction) -> Kind {
    let parcel = instruction.raw as u16;
    let opcode = parcel & 0b1110_0000_0000_0011;
    let register = parcel & 0b0000_1111_1000_0000;
    (if opcode == C_LUI && instruction.op == Op::Addi { opcode | register } else { opcode }, instruction.op)
}

/// The opcode of `c.lui`, which is that of `c.addi16sp` with another register.
const C_LUI: u16 = 0b0110_0000_0000_0001;

/// Parcels that a block may contain, by their kind.
pub fn compressed_kinds() -> BTreeMap<Kind, Vec<Instruction>> {
    let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for parcel in (0..=u16::MAX).filter(|&parcel| is_compressed(parcel)) {
        let instruction = decode_compressed(parcel);
        // `c.addi16sp` moves a pointer of the block, and stands in pairs.
        let moves_pointer = parcel & 0b1110_0000_0000_0011 == C_LUI && instruction.op == Op::Addi;
        if instruction.op != Op::Ebreak && (moves_pointer || may_stand(&instruction)) {
            kinds.entry(kind(&instruction)).or_default().push(instruction);
        }
    }
    kinds
}

fn may_stand(instruction: &Instruction) -> bool {
    let based_on_pointer = POINTERS.contains(&instruction.rs1);
    match instruction.op {
        Op::Illegal => false,
        Op::Lw | Op::Ld => based_on_pointer && is_free(instruction.rd),
        Op::Fld | Op::Sw | Op::Sd | Op::Fsd => based_on_pointer,
        // The target is computed right before, into this register.
        Op::Jalr => is_free(instruction.rs1) && is_free(instruction.rd),
        Op::Beq | Op::Bne => true,
        _ => is_free(instruction.rd),
    }
}

/// A source of bodies of blocks, in which each instruction has its turn.
pub struct Bodies {
    ops: Vec<Op>,
    kinds: Vec<Vec<Instruction>>,
    next: usize,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { ops: user_level(), kinds: compressed_kinds().into_values().collect(), next: 0 }
    }
}

impl Bodies {
    /// A body of so many parts, each of one instruction or of a few that belong together. It leaves [`crate::RESERVED`] alone.
    pub fn body(&mut self, random: &mut Random, parts: usize) -> Vec<Instruction> {
        let Self { ops, kinds, next } = self;
        let mut body = Vec::new();
        for _ in 0..parts {
            // In turn, so that each is met as often as any other.
            *next = (*next + 1) % (ops.len() + kinds.len());
            let skipped = simple(random, ops);
            match ops.get(*next) {
                Some(&op) => part(random, op, skipped, &mut body),
                None => compressed_part(random, &kinds[*next - ops.len()], skipped, &mut body),
            }
        }
        body
    }
}

/// So many blocks with so many parts each.
pub fn generate(random: &mut Random, blocks: usize, parts: usize) -> Program {
    let mut bodies = Bodies::default();
    let blocks = (0..blocks).map(|_| Block { body: bodies.body(random, parts), before: operands::registers(random) });
    let blocks = blocks.collect();
    let mut scratch = vec![0; SCRATCH_BYTES];
    random.fill(&mut scratch);
    Program { blocks, scratch }
}

fn free_register(random: &mut Random) -> u8 {
    loop {
        let register = random.below(32) as u8;
        if is_free(register) {
            return register;
        }
    }
}

/// One that is not 0.
fn free_target(random: &mut Random) -> u8 {
    loop {
        let register = free_register(random);
        if register != 0 {
            return register;
        }
    }
}

fn is_jump(op: Op) -> bool {
    op >= Op::Jal && op <= Op::Bgeu
}

/// An instruction that stands alone, for jumps to skip.
fn simple(random: &mut Random, ops: &[Op]) -> Instruction {
    loop {
        let op = *random.pick(ops);
        // A reservation that is skipped or not must not be there later.
        if !is_jump(op) && !matches!(op, Op::LrW | Op::LrD) {
            return instruction(random, op);
        }
    }
}

/// An instruction with operands that a block may have. Jumps are completed by [`part`].
fn instruction(random: &mut Random, op: Op) -> Instruction {
    let row = op.encoding().expect("an instruction of the table");
    let any = |random: &mut Random| random.below(32) as u8;
    let mut i = Instruction { rs1: any(random), rs2: any(random), rs3: any(random), ..Instruction::new(op) };
    i.rd = free_register(random);
    i.rounding = *random.pick(&[0, 1, 2, 3, 4, 7]);
    let pointer = *random.pick(&POINTERS);
    let offset = |random: &mut Random, bytes: i32| (random.below(4096) as i32 - 2048) / bytes * bytes;
    match op {
        Op::Lb | Op::Lbu | Op::Sb => (i.rs1, i.immediate) = (2, offset(random, 1)),
        Op::Lh | Op::Lhu | Op::Sh => (i.rs1, i.immediate) = (2, offset(random, 2)),
        Op::Lw | Op::Lwu | Op::Sw | Op::Flw | Op::Fsw => (i.rs1, i.immediate) = (2, offset(random, 4)),
        Op::Ld | Op::Sd | Op::Fld | Op::Fsd => (i.rs1, i.immediate) = (2, offset(random, 8)),
        _ => {
            i.immediate = match row.format {
                Format::Shift6 => random.below(64) as i32,
                Format::Shift5 => random.below(32) as i32,
                Format::U => (random.next_u64() as i32) << 12,
                _ => offset(random, 1),
            }
        }
    }
    match row.format {
        Format::Amo | Format::LoadReserved => i.rs1 = pointer,
        Format::Csr => csr(random, &mut i),
        _ => {}
    }
    // Loads to floating point have any destination.
    if matches!(op, Op::Flw | Op::Fld) || op >= Op::FmaddS && !writes_integer(op) {
        i.rd = any(random);
    }
    i
}

/// Whether a floating-point instruction, from `fmadd.s` on, gives an integer.
pub fn writes_integer(op: Op) -> bool {
    let name = op.encoding().expect("an instruction of the table").name;
    ["fcvt.w", "fcvt.l", "fmv.x", "fclass", "feq", "flt", "fle"].iter().any(|beginning| name.starts_with(beginning))
}

/// Registers of floating point, written so that the rounding mode stays legal.
fn csr(random: &mut Random, i: &mut Instruction) {
    let numbers = match i.op {
        Op::Csrrw | Op::Csrrs | Op::Csrrc => &[number::FFLAGS][..],
        Op::Csrrwi => &[number::FFLAGS, number::FRM, number::FCSR],
        _ => &[number::FFLAGS, number::FCSR],
    };
    let number = *random.pick(numbers);
    if number == number::FRM {
        i.rs1 = random.below(5) as u8;
    }
    i.immediate = number.into();
}

/// Adds an instruction, with what belongs to it. Jumps skip one instruction.
fn part(random: &mut Random, op: Op, skipped: Instruction, body: &mut Vec<Instruction>) {
    let mut i = instruction(random, op);
    let over = i32::from(skipped.bytes);
    match op {
        Op::Jalr => {
            // The lowest bit of the sum is dropped.
            let register = free_target(random);
            i.rs1 = register;
            i.immediate = 8 + over + random.below(2) as i32;
            body.extend([Instruction { rd: register, ..Instruction::new(Op::Auipc) }, i, skipped]);
        }
        _ if is_jump(op) => {
            i.immediate = 4 + over;
            if random.below(4) == 0 {
                // Equal operands, so that each branch is seen both ways.
                i.rs2 = i.rs1;
            }
            body.extend([i, skipped]);
        }
        Op::LrW | Op::LrD => {
            let store = if op == Op::LrW { Op::ScW } else { Op::ScD };
            body.extend([i, Instruction { rs1: i.rs1, ..instruction(random, store) }]);
        }
        _ => body.push(i),
    }
}

/// The same for an instruction of 16 bits.
fn compressed_part(random: &mut Random, kind: &[Instruction], skipped: Instruction, body: &mut Vec<Instruction>) {
    let i = *random.pick(kind);
    let over = i32::from(skipped.bytes);
    match i.op {
        Op::Jalr => {
            let ahead = Instruction { rd: i.rs1, rs1: i.rs1, immediate: 10 + over, ..Instruction::new(Op::Addi) };
            body.extend([Instruction { rd: i.rs1, ..Instruction::new(Op::Auipc) }, ahead, i, skipped]);
        }
        op if is_jump(op) => {
            let reaches = |i: &&Instruction| i.immediate == 2 + over;
            let choices: Vec<_> = kind.iter().filter(reaches).collect();
            body.extend([**random.pick(&choices), skipped]);
        }
        _ if i.rd == POINTERS[0] => {
            // The largest adjustment downwards has none that takes it back.
            if let Some(back) = kind.iter().find(|back| back.immediate == -i.immediate) {
                let seen = Instruction { rd: free_target(random), rs1: POINTERS[0], ..Instruction::new(Op::Add) };
                body.extend([i, seen, *back]);
            }
        }
        _ => body.push(i),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Volume I, "RVC Instruction Set Listings", RV64: 33 instructions besides `c.ebreak` and the hints; `c.nop` is `c.addi`, and `c.mv` and `c.add`, as
    /// `c.jr` and `c.jalr`, are one kind here.
    #[test]
    fn all_compressed_instructions_may_stand() {
        let kinds = compressed_kinds();
        assert_eq!(kinds.len(), 33, "{:?}", kinds.keys());
        assert!(kinds.values().all(|kind| !kind.is_empty()));
    }
}
