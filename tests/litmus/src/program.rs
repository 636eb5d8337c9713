//! Instructions for the operations of one hart, and what is in its registers and in its memory at first.
//!
//! ```text
//!   entry     to the code of the hart; registers from the window; meet
//!   loop      [litmus: next row of the table, caches as it says, meet, skew]
//!             operations, results into registers, then into the log
//!             again, for so many rounds
//!   end       waits for ever
//! ```
//! The window of a hart is the place of its stack: [`stack`].
//!
//! The operands of writes are a sequence that the hart computes and the host knows: each is the one before times [`FACTOR`].

use crate::history::{Accesses, Event, Kind, Modification, Operation};
use crate::WORD_BYTES;
use sim_iss::{encode, number, Instruction, Op};
use soc_map::firmware::{stack, ENTRY, STACK_BYTES};
use soc_map::rocket::LINE_BYTES;

const WORD: i32 = WORD_BYTES as i32;

// Registers.
const ZERO: u8 = 0;
const LOG: u8 = 1;
/// The row of the table.
const ROW: u8 = 2;
const ROUNDS: u8 = 3;
const OPERAND: u8 = 4;
const FACTOR_REGISTER: u8 = 5;
const T0: u8 = 6;
const T1: u8 = 7;
/// Where the lines with the places are.
const LINES: u8 = 8;
/// As the boot ROM leaves the number of the hart.
const A0: u8 = 10;
const RESULTS: u8 = 16;
const RESULTS_END: u8 = 28;
/// The counter at which harts meet, what it counts up to, and by how much that grows.
const MEETING: u8 = 28;
const EXPECTED: u8 = 29;
const PARTNERS: u8 = 30;
const ONE: u8 = 31;

/// Most lines with places.
pub const LINES_MAX: usize = 8;

/// From one operand to the next. It is odd, so that none comes twice.
const FACTOR: u64 = 0xD134_2543_DE82_EF95;

/// Bytes for the code of a hart.
const CODE_BYTES: u64 = 1 << 16;
/// Where the code of hart 0 begins.
const CODE: u64 = ENTRY + CODE_BYTES;
/// Where memory for the places begins, and ends at the latest.
pub const SHARED: u64 = ENTRY + (1 << 20);
pub const SHARED_END: u64 = SHARED + (2 << 20);

/// In the window: where the rows are, a line that nobody else uses, and where the log is.
const TABLE: u64 = 1 << 12;
const SPARE: u64 = 1 << 10;
const LOG_BEGIN: u64 = STACK_BYTES / 2;
/// A row has the addresses of two lines, what of them is loaded before, what is taken away from others before, and how late the hart is.
const ROW_BYTES: u64 = LINE_BYTES as u64;
/// Most rows.
pub const ROWS_MAX: u64 = (LOG_BEGIN - TABLE) / ROW_BYTES;
/// Instructions that a hart may be late.
pub const SKEW_MAX: u64 = 48;
/// Harts that have met go on when this power of two divides their clock, which is the same in all of them.
const MEETING_CLOCKS: i32 = 128;

const fn with(op: Op, rd: u8, rs1: u8, rs2: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, rs2, immediate, ..Instruction::new(op) }
}

/// Code under construction.
#[derive(Default)]
struct Code(Vec<u32>);

impl Code {
    fn put(&mut self, op: Op, rd: u8, rs1: u8, rs2: u8, immediate: i32) {
        self.0.push(encode(&with(op, rd, rs1, rs2, immediate)));
    }

    fn here(&self) -> i32 {
        4 * self.0.len() as i32
    }

    /// An atomic with `aq` and `rl`. Unprivileged ISA, "A Extension for Atomic Instructions".
    fn atomic(&mut self, op: Op, rd: u8, operand: u8, operation: &Operation) {
        let order = u32::from(operation.acquire) << 26 | u32::from(operation.release) << 25;
        self.0.push(encode(&with(op, rd, T0, operand, 0)) | order);
    }

    /// Unprivileged ISA, "Memory Ordering Instructions".
    fn fence(&mut self, before: Accesses, after: Accesses) {
        let bits = |accesses: Accesses| u32::from(accesses.reads) << 1 | u32::from(accesses.writes);
        self.0.push(encode(&Instruction::new(Op::Fence)) | bits(before) << 24 | bits(after) << 20);
    }

    fn pause(&mut self, instructions: u32) {
        (0..instructions).for_each(|_| self.put(Op::Addi, ZERO, ZERO, 0, 0));
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Waits for ever.
    fn park(&mut self) {
        self.fence(Accesses::ALL, Accesses::ALL);
        self.put(Op::Csrrw, ZERO, ZERO, 0, number::MIE.into());
        self.put(Op::Wfi, 0, 0, 0, 0);
        self.put(Op::Jal, ZERO, 0, 0, -4);
    }

    /// Waits for the partners, and then for a clock that is the same for all.
    fn meet(&mut self) {
        self.fence(Accesses::ALL, Accesses::ALL);
        self.put(Op::Add, EXPECTED, EXPECTED, PARTNERS, 0);
        self.put(Op::AmoaddD, ZERO, MEETING, ONE, 0);
        self.put(Op::Ld, T0, MEETING, 0, 0);
        self.put(Op::Bltu, 0, T0, EXPECTED, -4);
        self.put(Op::Csrrs, T1, ZERO, 0, number::MCYCLE.into());
        self.put(Op::Addi, T1, T1, 0, 2 * MEETING_CLOCKS - 1);
        self.put(Op::Andi, T1, T1, 0, -MEETING_CLOCKS);
        self.put(Op::Csrrs, T0, ZERO, 0, number::MCYCLE.into());
        self.put(Op::Bltu, 0, T0, T1, -4);
    }

    /// Takes the next row: where the lines are, and what is done with them before the harts meet.
    fn next_row(&mut self) {
        for line in 0..2 {
            self.put(Op::Ld, LINES + line, ROW, 0, WORD * i32::from(line));
        }
        for of_line in 2..4 {
            self.put(Op::Ld, T0, ROW, 0, WORD * of_line);
            self.put(Op::Ld, T0, T0, 0, 0);
        }
        for of_line in 4..6 {
            self.put(Op::Ld, T0, ROW, 0, WORD * of_line);
            self.put(Op::AmoorD, ZERO, T0, ZERO, 0);
        }
        self.put(Op::Ld, RESULTS, ROW, 0, 6 * WORD);
        self.put(Op::Addi, ROW, ROW, 0, ROW_BYTES as i32);
        self.meet();
        // Into the middle of what does nothing.
        self.put(Op::Auipc, T0, 0, 0, 0);
        self.put(Op::Add, T0, T0, RESULTS, 0);
        self.put(Op::Jalr, ZERO, T0, 0, 12);
        self.pause(SKEW_MAX as u32);
    }

    /// What takes the results from the registers into the log.
    fn log(&mut self, results: &mut u8) {
        for result in 0..*results {
            self.put(Op::Sd, 0, LOG, RESULTS + result, WORD * i32::from(result));
        }
        self.put(Op::Addi, LOG, LOG, 0, WORD * i32::from(*results));
        *results = 0;
    }

    /// The operations, of places that are so many in a line.
    fn operations(&mut self, operations: &[Operation], places_of_line: usize) {
        let mut results = 0;
        for operation in operations {
            // One register is left for an operation that depends on the one before.
            if !operation.depends && RESULTS + results + 1 >= RESULTS_END {
                self.log(&mut results);
            }
            self.pause(operation.pause);
            let rd = RESULTS + results;
            results += u8::from(operation.has_result());
            let line = LINES + (operation.place / places_of_line) as u8;
            let offset = WORD * (operation.place % places_of_line) as i32;
            let (mut base, mut left) = (line, offset);
            if operation.depends {
                self.put(Op::Xor, T0, rd - 1, rd - 1, 0);
                self.put(Op::Add, T0, T0, line, 0);
                base = T0;
            }
            if !matches!(operation.kind, Kind::Load | Kind::Store | Kind::Fence { .. }) {
                self.put(Op::Addi, T0, base, 0, offset);
                (base, left) = (T0, 0);
            }
            match operation.kind {
                Kind::Load => self.put(Op::Ld, rd, base, 0, left),
                Kind::Store => self.put(Op::Sd, 0, base, OPERAND, left),
                Kind::Modify(modification) => self.atomic(op(modification), rd, OPERAND, operation),
                Kind::LoadReserved => self.atomic(Op::LrD, rd, 0, operation),
                Kind::StoreConditional => self.atomic(Op::ScD, rd, OPERAND, operation),
                Kind::Fence { before, after } => self.fence(before, after),
            }
            if operation.has_operand() {
                self.put(Op::Mul, OPERAND, OPERAND, FACTOR_REGISTER, 0);
            }
        }
        self.log(&mut results);
    }
}

fn op(modification: Modification) -> Op {
    match modification {
        Modification::Swap => Op::AmoswapD,
        Modification::Add => Op::AmoaddD,
        Modification::Xor => Op::AmoxorD,
        Modification::Min => Op::AmominD,
        Modification::Max => Op::AmomaxD,
        Modification::MinUnsigned => Op::AmominuD,
        Modification::MaxUnsigned => Op::AmomaxuD,
    }
}

/// How a hart begins a round of a litmus test.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The places, each of which is the first of its line here.
    pub places: [u64; 2],
    /// Which of their lines it loads before.
    pub loads: [bool; 2],
    /// Which of their lines it makes its own before.
    pub owns: [bool; 2],
    /// Instructions by which it is late: up to [`SKEW_MAX`].
    pub skew: u64,
}

/// What a hart does.
#[derive(Clone, Debug)]
pub struct Program {
    /// In each round.
    pub operations: Vec<Operation>,
    pub rounds: u64,
    /// Where the lines are, if there are no rows.
    pub lines: Vec<u64>,
    pub places_of_line: usize,
    /// One for each round, or none.
    pub rows: Vec<Row>,
    /// The first operand: odd.
    pub operand: u64,
    /// The counter at which the harts meet, in a line of its own.
    pub meeting: u64,
    /// How many they are.
    pub partners: u64,
}

impl Program {
    /// The code at [`ENTRY`], for all harts.
    pub fn entry() -> Vec<u8> {
        let mut code = Code::default();
        // Of 32 bits, zero-extended.
        code.put(Op::Lui, T0, 0, 0, CODE as u32 as i32);
        code.put(Op::Slli, T1, A0, 0, CODE_BYTES.ilog2() as i32);
        code.put(Op::Add, T0, T0, T1, 0);
        code.put(Op::Slli, T0, T0, 0, 32);
        code.put(Op::Srli, T0, T0, 0, 32);
        code.put(Op::Jalr, ZERO, T0, 0, 0);
        code.bytes()
    }

    /// The code of a hart that does nothing.
    pub fn parked(hart: u32) -> (u64, Vec<u8>) {
        let mut code = Code::default();
        code.park();
        (CODE + u64::from(hart) * CODE_BYTES, code.bytes())
    }

    /// What lies in memory for a hart: addresses and bytes.
    pub fn memory(&self, hart: u32) -> [(u64, Vec<u8>); 3] {
        assert!(self.lines.len() <= LINES_MAX && self.operand % 2 == 1, "lines or operand");
        let window = stack(hart).base;
        let mut code = Code::default();
        code.put(Op::Lui, ONE, 0, 0, window as u32 as i32);
        code.put(Op::Slli, ONE, ONE, 0, 32);
        code.put(Op::Srli, ONE, ONE, 0, 32);
        (1..=ONE).for_each(|register| code.put(Op::Ld, register, ONE, 0, WORD * i32::from(register)));
        code.meet();
        let again = code.here();
        if !self.rows.is_empty() {
            code.next_row();
        }
        code.operations(&self.operations, self.places_of_line);
        code.put(Op::Addi, ROUNDS, ROUNDS, 0, -1);
        code.put(Op::Beq, 0, ROUNDS, ZERO, 8);
        code.put(Op::Jal, ZERO, 0, 0, again - code.here());
        code.park();
        let code = code.bytes();
        assert!(code.len() as u64 <= CODE_BYTES && self.rows.len() as u64 <= ROWS_MAX, "a program is too long");

        let mut registers = [0; 32];
        let mut set = |register: u8, value| registers[usize::from(register)] = value;
        set(LOG, window + LOG_BEGIN);
        set(ROW, window + TABLE);
        set(ROUNDS, self.rounds);
        set(OPERAND, self.operand);
        set(FACTOR_REGISTER, FACTOR);
        set(MEETING, self.meeting);
        set(PARTNERS, self.partners);
        set(ONE, 1);
        self.lines.iter().zip(LINES..).for_each(|(line, register)| set(register, *line));
        let row = |row: &Row| {
            let [x, y] = row.places;
            let at = |is_so: bool, place| if is_so { place } else { window + SPARE };
            let [loads_x, loads_y] = [at(row.loads[0], x), at(row.loads[1], y)];
            [x, y, loads_x, loads_y, at(row.owns[0], x), at(row.owns[1], y), 4 * (SKEW_MAX - row.skew), 0]
        };
        let table: Vec<u64> = self.rows.iter().flat_map(row).collect();
        [
            (CODE + u64::from(hart) * CODE_BYTES, code),
            (window, crate::run::bytes(&registers)),
            (window + TABLE, crate::run::bytes(&table)),
        ]
    }

    /// Where a hart leaves the results, and how many there are.
    pub fn log(&self, hart: u32) -> (u64, usize) {
        let results = self.operations.iter().filter(|operation| operation.has_result()).count();
        (stack(hart).base + LOG_BEGIN, results * self.rounds as usize)
    }

    /// What happened, by the results: the events of each round.
    pub fn events(&self, log: &[u64]) -> Vec<Vec<Event>> {
        let (mut operand, mut results) = (self.operand, log.iter());
        let mut event = |operation: &Operation| {
            let result = if operation.has_result() { *results.next().expect("a result") } else { 0 };
            let event = operation.event(operand, result);
            if operation.has_operand() {
                operand = operand.wrapping_mul(FACTOR);
            }
            event
        };
        (0..self.rounds).map(|_| self.operations.iter().map(&mut event).collect()).collect()
    }
}
