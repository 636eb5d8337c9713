//! Firmware that has started up, for processors that have not: what the simulator `sim-iss` has made of its memory, with a few instructions in it that
//! bring the registers of a hart to where they were.
//!
//! ```text
//!   IMAGE.base:  jump to the program            (in the place of the first instruction, which nobody else comes to)
//!   program:     another hart than 0 carries out the first instruction, and goes on behind it
//!                registers and CSRs are loaded from the words behind the program
//!                mret: to the instruction at which firmware first touches a register
//! ```
//! A start takes millions of clocks, in which half a MiB of state is made. What comes after it is the same, but for what is in the caches.

use sim_iss::{encode, number, Bus, BusFault, Config, Hart, Instruction, MemoryBus, Op, Reservations};
use soc_map::firmware::{ENTRY, STACKS, STACK_BYTES};
use soc_map::protection;
use soc_map::rocket::CACHED;

/// Instructions after which firmware that has not touched a register is given up.
const STEPS_MAX: u64 = 50_000_000;

/// Where the program lies: in the stack of the last hart, at a depth that it does not come to while it starts.
const PLACE: u64 = STACKS.end() - STACK_BYTES / 4;

/// How far `jal` goes.
const JUMP_BYTES_MAX: u64 = 1 << 20;

const _: () = assert!(ENTRY - PLACE < JUMP_BYTES_MAX);

/// The CSRs that firmware has set, but for those of the protection.
const CSRS: [u16; 11] = [
    number::MTVEC,
    number::MIE,
    number::MSCRATCH,
    number::MEDELEG,
    number::MIDELEG,
    number::MCOUNTEREN,
    number::STVEC,
    number::SSCRATCH,
    number::SCOUNTEREN,
    number::PMPCFG0,
    number::MSTATUS,
];

/// The memory, and that a register was touched.
struct Quiet<'a> {
    memory: &'a mut MemoryBus,
    is_touched: bool,
}

impl Bus for Quiet<'_> {
    fn load<const N: usize>(&mut self, hart: usize, address: u64) -> Result<[u8; N], BusFault> {
        let loaded = self.memory.load(hart, address).or_else(|BusFault| crate::cores::rom(address));
        self.is_touched |= loaded.is_err();
        loaded
    }

    fn store<const N: usize>(&mut self, hart: usize, address: u64, bytes: [u8; N]) -> Result<(), BusFault> {
        let stored = self.memory.store(hart, address, bytes);
        self.is_touched |= stored.is_err();
        stored
    }

    fn fetch(&mut self, hart: usize, address: u64) -> Result<u16, BusFault> {
        self.memory.fetch(hart, address).or_else(|BusFault| crate::cores::rom(address).map(u16::from_le_bytes))
    }

    fn has_atomics(&self, address: u64) -> bool {
        self.memory.has_atomics(address)
    }

    fn reservations(&mut self) -> &mut Reservations {
        self.memory.reservations()
    }
}

/// Lets firmware start up in its memory, until it touches a register, and puts the program there.
///
/// # Panics
/// If it never touches one.
pub(crate) fn start_up(memory: &mut MemoryBus, config: &Config) {
    let mut hart = Hart::new(config);
    let mut bus = Quiet { memory, is_touched: false };
    while !bus.is_touched {
        assert!(
            hart.steps() < STEPS_MAX,
            "firmware has not come up in {STEPS_MAX} instructions: it is at {:#x}",
            hart.pc()
        );
        hart.run(&mut bus, 1);
    }
    // The access has trapped into M-mode, and changed nothing but the registers of the trap: `mret` undoes that.
    let csr = |number: u16| hart.csr(number).expect("every hart has it");
    let (pc, first) = (csr(number::MEPC), memory.bytes_mut(ENTRY, 4).try_into().map(u32::from_le_bytes));
    let first = first.expect("four bytes");

    let i = Instruction::new;
    let [t0, t1] = [5, 6];
    let csrw = |number: u16| Instruction { rs1: t0, immediate: number.into(), ..i(Op::Csrrw) };
    // The data is behind the instructions, at what `t1` points to.
    let load = |rd: u8, word: usize| Instruction { rd, rs1: t1, immediate: 8 * word as i32, ..i(Op::Ld) };
    let mut words = vec![pc];
    let mut body = vec![load(t0, 0), csrw(number::MEPC)];
    for number in (number::PMPADDR0..).take(protection::REGIONS).chain(CSRS) {
        body.extend([load(t0, words.len()), csrw(number)]);
        words.push(csr(number));
    }
    let pointer = usize::from(t1);
    for register in (1..32).filter(|register| *register != pointer).chain([pointer]) {
        body.push(load(register as u8, words.len()));
        words.push(hart.x(register));
    }
    body.push(i(Op::Mret));

    // Which hart it is; another one jumps over the body and the word behind the branch.
    let skipped = 4 * (body.len() as i32 + 3);
    let mut program = vec![
        encode(&Instruction { rd: t0, immediate: number::MHARTID.into(), ..i(Op::Csrrs) }),
        encode(&Instruction { rs1: t0, immediate: skipped, ..i(Op::Bne) }),
        encode(&Instruction { rd: t1, ..i(Op::Auipc) }),
    ];
    let data = (4 * (program.len() + 1 + body.len() + 2)).next_multiple_of(8);
    let from_pointer = data as i32 - 4 * (program.len() as i32 - 1);
    program.push(encode(&Instruction { rd: t1, rs1: t1, immediate: from_pointer, ..i(Op::Addi) }));
    program.extend(body.iter().map(encode));
    let jump = |from: u64, to: u64| encode(&Instruction { immediate: to.wrapping_sub(from) as i32, ..i(Op::Jal) });
    let behind = PLACE + 4 * (program.len() as u64 + 1);
    program.extend([first, jump(behind, ENTRY + 4)]);

    let mut put = |address: u64, bytes: &[u8]| memory.bytes_mut(address, bytes.len()).copy_from_slice(bytes);
    program.iter().enumerate().for_each(|(index, word)| put(PLACE + 4 * index as u64, &word.to_le_bytes()));
    words.iter().enumerate().for_each(|(index, word)| put(PLACE + (data + 8 * index) as u64, &word.to_le_bytes()));
    put(ENTRY, &jump(ENTRY, PLACE).to_le_bytes());
    debug_assert!(CACHED.contains(PLACE));
}
