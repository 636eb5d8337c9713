//! A program for both: its instructions, its memory, and the file that QEMU loads.

use object::elf::{
    EF_RISCV_FLOAT_ABI_DOUBLE, EF_RISCV_RVC, ELFOSABI_NONE, EM_RISCV, ET_EXEC, PF_R, PF_W, PF_X, PT_LOAD,
};
use object::write::elf::{Encoder, FileHeader, FileHeaderLayout, ProgramHeader};
use object::Endianness;
use sim_iss::{encode, number, Instruction, Op};

/// Where programs lie, and begin.
pub const BASE: u64 = 0x100_0000;

/// Registers that blocks do not write: two pointers into the scratch memory and one to the state of the block.
pub const POINTERS: [u8; 2] = [2, 8];
const STATE: u8 = 3;
/// Registers that bodies do not write, [`POINTERS`] among them.
pub const RESERVED: [u8; 3] = [2, 3, 8];

/// Whether blocks may write an integer register.
pub(crate) fn is_free(register: u8) -> bool {
    !RESERVED.contains(&register)
}

/// Bytes of the scratch memory. Offsets of loads and stores reach all of it from its middle.
pub(crate) const SCRATCH_BYTES: usize = 4096;

/// Registers as a block begins or ends with them: integers, of which the first place has `fcsr`, then floating point.
pub const REGISTERS: usize = 64;
/// Bytes of them.
pub(crate) const STATE_BYTES: usize = 8 * REGISTERS;

/// Instructions with the registers that they begin with.
#[derive(Clone, Debug)]
pub struct Block {
    /// Instructions of 2 or 4 bytes.
    pub body: Vec<Instruction>,
    /// What the registers are at first.
    pub(crate) before: [u64; REGISTERS],
}

/// Blocks that run one after the other.
#[derive(Clone, Debug)]
pub struct Program {
    /// The blocks, in their order.
    pub blocks: Vec<Block>,
    pub(crate) scratch: Vec<u8>,
}

/// A program in memory.
pub(crate) struct Image {
    /// Code, scratch memory and the states of all blocks, from [`BASE`] on.
    pub bytes: Vec<u8>,
    /// Where the code begins to write the results out.
    pub end: u64,
    /// Where scratch memory and states begin in `bytes`.
    pub results: usize,
    /// Addresses of each block's body.
    pub bodies: Vec<std::ops::Range<u64>>,
}

pub(crate) const fn with(op: Op, rd: u8, rs1: u8, rs2: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, rs2, immediate, ..Instruction::new(op) }
}

/// `register = value`.
///
/// # Panics
/// When the value does not fit into 31 bits.
pub fn load_immediate(register: u8, value: u64) -> [Instruction; 2] {
    let value = i32::try_from(value).expect("a small value");
    let low = value << 20 >> 20;
    [with(Op::Lui, register, 0, 0, value - low), with(Op::Addi, register, register, 0, low)]
}

/// The bytes of an instruction.
pub fn bytes(instruction: &Instruction) -> Vec<u8> {
    match instruction.bytes {
        2 => (instruction.raw as u16).to_le_bytes().to_vec(),
        _ => encode(instruction).to_le_bytes().to_vec(),
    }
}

impl Block {
    /// The block with its registers loaded before and stored after it.
    fn code(&self) -> (Vec<Instruction>, Vec<Instruction>) {
        let fcsr = i32::from(number::FCSR);
        let place = |register: u8| 8 * i32::from(register);
        let float_place = |register: u8| place(register + 32);
        let integers = || (1..32).filter(|&register| register != STATE);
        let mut before = vec![with(Op::Ld, 1, STATE, 0, 0), with(Op::Csrrw, 0, 1, 0, fcsr)];
        before.extend((0..32).map(|register| with(Op::Fld, register, STATE, 0, float_place(register))));
        before.extend(integers().map(|register| with(Op::Ld, register, STATE, 0, place(register))));
        let mut after: Vec<_> = integers().map(|register| with(Op::Sd, 0, STATE, register, place(register))).collect();
        after.extend((0..32).map(|register| with(Op::Fsd, 0, STATE, register, float_place(register))));
        after.extend([with(Op::Csrrs, 1, 0, 0, fcsr), with(Op::Sd, 0, STATE, 1, 0)]);
        after.push(with(Op::Addi, STATE, STATE, 0, STATE_BYTES as i32));
        (before, after)
    }
}

impl Program {
    /// The program in memory. Its end is the system calls that write the results to standard output and leave.
    pub(crate) fn image(&self) -> Image {
        // The code has the same length whatever the addresses in it are.
        let code_bytes = self.code(0).0.len();
        let results = code_bytes.next_multiple_of(SCRATCH_BYTES);
        let (mut bytes, end, bodies) = self.code(BASE + results as u64);
        bytes.resize(results, 0);
        bytes.extend(&self.scratch);
        let middle = BASE + (results + SCRATCH_BYTES / 2) as u64;
        for block in &self.blocks {
            let mut before = block.before;
            before[usize::from(POINTERS[0])] = middle;
            before[usize::from(POINTERS[1])] = middle + 8;
            bytes.extend(before.iter().flat_map(|value| value.to_le_bytes()));
        }
        Image { bytes, end, results, bodies }
    }

    fn code(&self, results: u64) -> (Vec<u8>, u64, Vec<std::ops::Range<u64>>) {
        let mut code = Vec::new();
        let put = |code: &mut Vec<u8>, part: &[Instruction]| code.extend(part.iter().flat_map(bytes));
        put(&mut code, &load_immediate(STATE, results + SCRATCH_BYTES as u64));
        let mut bodies = Vec::new();
        for block in &self.blocks {
            let (before, after) = block.code();
            put(&mut code, &before);
            let begin = BASE + code.len() as u64;
            put(&mut code, &block.body);
            bodies.push(begin..BASE + code.len() as u64);
            put(&mut code, &after);
        }
        let end = BASE + code.len() as u64;
        // The numbers of Linux's generic system calls: write and exit.
        let length = (SCRATCH_BYTES + self.blocks.len() * STATE_BYTES) as u64;
        for (register, value) in [(10, 1), (11, results), (12, length), (17, 64)] {
            put(&mut code, &load_immediate(register, value));
        }
        put(&mut code, &[with(Op::Ecall, 0, 0, 0, 0)]);
        for (register, value) in [(10, 0), (17, 93)] {
            put(&mut code, &load_immediate(register, value));
        }
        put(&mut code, &[with(Op::Ecall, 0, 0, 0, 0)]);
        (code, end, bodies)
    }
}

/// A static program for Linux on riscv64: what lies from [`BASE`] on, where it begins.
pub fn elf(bytes: &[u8]) -> Vec<u8> {
    elf_at(BASE, bytes)
}

/// A static program that lies from an address on, where it begins.
pub(crate) fn elf_at(base: u64, bytes: &[u8]) -> Vec<u8> {
    const ALIGNMENT: usize = 4096;
    let header = FileHeader {
        os_abi: ELFOSABI_NONE,
        abi_version: 0,
        e_type: ET_EXEC,
        e_machine: EM_RISCV,
        e_entry: base,
        e_flags: EF_RISCV_RVC | EF_RISCV_FLOAT_ABI_DOUBLE,
    };
    let encoder = Encoder::new(Endianness::Little, true, EM_RISCV);
    let layout = FileHeaderLayout { e_phoff: encoder.file_header_size(), segment_num: 1, ..Default::default() };
    let size = bytes.len() as u64;
    let segment = ProgramHeader {
        p_type: PT_LOAD,
        p_flags: PF_R | PF_W | PF_X,
        p_offset: ALIGNMENT as u64,
        p_vaddr: base,
        p_paddr: base,
        p_filesz: size,
        p_memsz: size,
        p_align: ALIGNMENT as u64,
    };
    let mut file = Vec::new();
    encoder.file_header(&mut file, &header, &layout).expect("a header of few parts");
    encoder.program_header(&mut file, &segment);
    file.resize(ALIGNMENT, 0);
    file.extend(bytes);
    file
}
