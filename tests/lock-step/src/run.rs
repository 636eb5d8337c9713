//! The two side by side.

use std::collections::VecDeque;
use std::fmt;
use std::ops::AddAssign;

use iss_reference::writes_integer;
use sim_device::Random;
use sim_iss::{
    decode, decode_compressed, interrupt, is_compressed, number, Access, Bus, BusFault, Cause, Config, Hart,
    Instruction, Op, Reservations,
};
use sim_tile::{Bench, Landing, Memory, Observed, Retired, NOTHING};
use soc_map::rocket::{BOOT_ROM, CACHED, CLINT, LINE_BYTES, PLIC, RESET_PC, UNCACHED};

/// Bits of a physical address of the tile.
const PHYSICAL_BITS: u32 = 32;
/// A store to this register ends all interrupts.
pub(crate) const ACKNOWLEDGE: u64 = UNCACHED.base + 0x100;
/// Clocks after which a tile that retires nothing hangs, and a value that has not landed does not come.
const CLOCKS_MAX: u64 = 20_000;
/// Instructions that a difference shows.
const SHOWN: usize = 24;
/// The bit of a cause that tells interrupts from exceptions.
const INTERRUPT: u64 = 1 << 63;
/// The inputs of the tile for interrupts.
const LINES: [&str; 4] = ["msip", "mtip", "seip", "meip"];
/// One clock of so many raises an interrupt, and one of so many asks a line back.
const CLOCKS_PER_INTERRUPT: u64 = 1000;
const CLOCKS_PER_PROBE: u64 = 40;

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Instructions that retired.
    pub retired: u64,
    /// Instructions that retired, by the number of the mode.
    pub by_mode: [u64; 4],
    /// Exceptions, by cause.
    pub exceptions: [u64; 16],
    /// Interrupts.
    pub interrupts: u64,
    /// Values that came into integer registers: as the instruction retired, and later.
    pub at_once: u64,
    /// See [`Self::at_once`].
    pub late: u64,
    /// Values that came into floating-point registers.
    pub float: u64,
    /// Reads of devices, and of registers that count clocks, that were injected.
    pub injected: u64,
    /// Conditional stores, and those of them that succeeded.
    pub conditional: u64,
    /// See [`Self::conditional`].
    pub succeeded: u64,
    /// Lines of memory.
    pub lines: u64,
    /// Clocks of the tile.
    pub clocks: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.retired += other.retired;
        self.by_mode.iter_mut().zip(other.by_mode).for_each(|(sum, more)| *sum += more);
        self.exceptions.iter_mut().zip(other.exceptions).for_each(|(sum, more)| *sum += more);
        self.interrupts += other.interrupts;
        self.at_once += other.at_once;
        self.late += other.late;
        self.float += other.float;
        self.injected += other.injected;
        self.conditional += other.conditional;
        self.succeeded += other.succeeded;
        self.lines += other.lines;
        self.clocks += other.clocks;
    }
}

/// Where the two went apart.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What differs.
    pub message: String,
    /// The instructions before, the last of them last.
    pub instructions: Vec<String>,
    /// Where it was.
    pub report: Report,
    /// The seed of the program that shows it.
    pub seed: Option<u64>,
}

impl Difference {
    pub(crate) fn of_seed(mut self: Box<Self>, seed: u64) -> Box<Self> {
        self.seed = Some(seed);
        self
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for instruction in &self.instructions {
            writeln!(f, "  {instruction}")?;
        }
        write!(f, "after {} instructions: {}", self.report.retired, self.message)?;
        match self.seed {
            // The program ends where the two differ.
            Some(seed) => write!(f, "\nreplay: cargo xtask lock-step --instructions {} --seed {seed:#x}", PROGRAM),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Difference {}

const PROGRAM: u64 = crate::PROGRAM_INSTRUCTIONS;

/// What is to come into a register.
#[derive(Clone, Copy, Debug)]
struct Expected {
    /// None if a device decides.
    value: Option<u64>,
    pc: u64,
    instruction: u32,
    /// The clock in which its instruction retired.
    clock: u64,
}

/// The simulator's side of the bus.
struct Mirror {
    memory: Memory,
    reservations: Reservations,
    /// What was written to devices, and has not been seen from the tile.
    written: VecDeque<(u64, u64)>,
    /// A device was read.
    device_was_read: bool,
}

fn is_memory(address: u64) -> bool {
    CACHED.contains(address) || BOOT_ROM.contains(address)
}

fn is_device(address: u64) -> bool {
    UNCACHED.contains(address) || CLINT.contains(address) || PLIC.contains(address)
}

impl Bus for Mirror {
    fn load<const N: usize>(&mut self, _hart: usize, address: u64) -> Result<[u8; N], BusFault> {
        if is_memory(address) {
            Ok(self.memory.read(address))
        } else if is_device(address) {
            self.device_was_read = true;
            Ok([0; N])
        } else {
            Err(BusFault)
        }
    }

    fn store<const N: usize>(&mut self, hart: usize, address: u64, bytes: [u8; N]) -> Result<(), BusFault> {
        if CACHED.contains(address) {
            self.reservations.written(Some(hart), address);
            self.memory.write(address, &bytes);
            Ok(())
        } else if is_device(address) {
            let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            // The bench denies the others, of which the tile does not hear.
            if (UNCACHED.base..NOTHING).contains(&address) {
                self.written.push_back((address, value));
            }
            Ok(())
        } else {
            Err(BusFault)
        }
    }

    fn fetch(&mut self, _hart: usize, address: u64) -> Result<u16, BusFault> {
        if is_memory(address) {
            Ok(u16::from_le_bytes(self.memory.read(address)))
        } else {
            Err(BusFault)
        }
    }

    fn is_memory(&self, address: u64) -> bool {
        is_memory(address)
    }

    fn has_atomics(&self, address: u64) -> bool {
        CACHED.contains(address)
    }

    fn reservations(&mut self) -> &mut Reservations {
        &mut self.reservations
    }
}

/// The tile and the simulator.
pub struct LockStep {
    bench: Bench,
    hart: Hart,
    mirror: Mirror,
    random: Random,
    disturbed: Option<std::ops::Range<u64>>,
    integers: [VecDeque<Expected>; 32],
    floats: [VecDeque<Expected>; 32],
    shown: VecDeque<(u64, u32, &'static str)>,
    report: Report,
    last_retired: u64,
    last_checked: u64,
}

impl LockStep {
    /// Both about to begin, with this in memory beside the boot ROM. The lines of a range are asked back at random, and interrupts come at random; if there is no
    /// range, neither is.
    pub fn new(
        mut bench: Bench,
        memory: &[(u64, Vec<u8>)],
        disturbed: Option<std::ops::Range<u64>>,
        seed: u64,
    ) -> Self {
        for (address, bytes) in memory {
            bench.memory.write(*address, bytes);
        }
        let mirror = Mirror {
            memory: bench.memory.clone(),
            reservations: Reservations::default(),
            written: VecDeque::new(),
            device_was_read: false,
        };
        Self {
            bench,
            hart: Hart::new(&Config { hart: 0, reset_pc: RESET_PC, physical_bits: PHYSICAL_BITS }),
            mirror,
            random: Random::new(seed),
            disturbed,
            integers: Default::default(),
            floats: Default::default(),
            shown: VecDeque::new(),
            report: Report::default(),
            last_retired: 0,
            last_checked: 0,
        }
    }

    /// What was compared so far.
    pub fn report(&self) -> Report {
        Report { clocks: self.bench.clocks, ..self.report }
    }

    /// The simulator's hart.
    pub fn hart(&mut self) -> &mut Hart {
        &mut self.hart
    }

    /// The simulator's memory.
    pub fn memory(&mut self) -> &mut Memory {
        &mut self.mirror.memory
    }

    /// Goes on until so many instructions have retired in all, or the hart waits for an interrupt that does not come.
    ///
    /// # Errors
    /// The two do not do the same.
    pub fn run(&mut self, instructions: u64) -> Result<(), Box<Difference>> {
        while self.report.retired < instructions && (self.disturbed.is_some() || !self.bench.waits()) {
            self.clock().map_err(|message| Difference {
                message,
                instructions: self.shown.iter().map(|shown| show(*shown)).collect(),
                report: self.report(),
                seed: None,
            })?;
        }
        Ok(())
    }

    /// One clock of the tile.
    fn clock(&mut self) -> Result<(), String> {
        let Observed { retired, now, late, float } = self.bench.observe();
        if let Some(retired) = retired {
            self.last_retired = self.bench.clocks;
            self.retire(retired, now)?;
        }
        if let Some(landing) = late {
            self.report.late += 1;
            let expected = self.integers[usize::from(landing.register)].pop_front();
            if let Some(value) = landed("x", landing, expected)? {
                self.report.injected += 1;
                self.hart.set_x(landing.register.into(), value);
            }
        }
        for landing in float.into_iter().flatten() {
            self.report.float += 1;
            let expected = self.floats[usize::from(landing.register)].pop_front();
            if let Some(value) = landed("f", landing, expected)? {
                self.report.injected += 1;
                self.hart.set_f(landing.register.into(), value);
            }
        }
        self.bench.clock();
        self.compare_memory()?;
        self.disturb();
        self.check_progress()
    }

    fn retire(&mut self, retired: Retired, now: Option<Landing>) -> Result<(), String> {
        let Retired { pc, instruction, trap, cause, write } = retired;
        if trap && cause & INTERRUPT != 0 {
            self.show(pc, instruction, "interrupt");
            self.report.interrupts += 1;
            // Of the lines, that which the tile took: when it saw it is its own business.
            self.hart.set_interrupts(1 << (cause & !INTERRUPT) & interrupt::LINES);
            let taken = self.hart.take_interrupt();
            self.hart.set_interrupts(0);
            return match taken {
                Some(taken) if taken == cause => Ok(()),
                _ => Err(format!("the tile takes the interrupt {cause:#x}, the simulator {taken:x?}")),
            };
        }
        self.show(pc, instruction, if trap { "traps" } else { "" });
        if self.hart.pc() != pc {
            return Err(format!("the tile is at {pc:#x}, the simulator at {:#x}", self.hart.pc()));
        }
        if trap {
            return match self.hart.step(&mut self.mirror) {
                Ok(()) => Err(format!("the tile traps with cause {cause}, the simulator does not")),
                // The core tells calls and breakpoints to its registers in another way.
                Err(exception) if is_call(exception.cause) || exception.cause as u64 == cause => {
                    self.report.exceptions[exception.cause as usize] += 1;
                    Ok(())
                }
                Err(exception) => Err(format!("the tile traps with cause {cause}, the simulator with {exception:x?}")),
            };
        }
        self.report.retired += 1;
        self.report.by_mode[self.hart.mode() as usize] += 1;
        let fetched = self.fetch(pc)?;
        if fetched != instruction {
            return Err(format!("the tile carries out {instruction:#010x}, the simulator {fetched:#010x}"));
        }
        let decoded = decoded(instruction);
        if matches!(decoded.op, Op::ScW | Op::ScD) {
            self.conditional(now)?;
        }
        let before: [u64; 32] = std::array::from_fn(|register| self.hart.x(register));
        self.mirror.device_was_read = false;
        if let Err(exception) = self.hart.step(&mut self.mirror) {
            return Err(format!("the simulator traps with {exception:x?}, the tile does not"));
        }
        if let (true, Some(Landing { register, value })) = (is_injected(&decoded), now) {
            self.report.injected += 1;
            self.hart.set_x(register.into(), value);
        }
        for (register, before) in before.into_iter().enumerate().skip(1) {
            let is_written = write.is_some_and(|(written, _)| usize::from(written) == register);
            if self.hart.x(register) != before && !is_written {
                return Err(format!("the simulator writes x{register}, the tile does not"));
            }
        }
        let value = |value| (!self.mirror.device_was_read).then_some(value);
        let clock = self.bench.clocks;
        match (now, write) {
            (Some(Landing { register: 0, .. }), _) => {}
            (Some(landing), _) => {
                self.report.at_once += 1;
                let value = value(self.hart.x(landing.register.into()));
                landed("x", landing, Some(Expected { value, pc, instruction, clock }))?;
            }
            (None, Some((register, _))) => {
                let value = value(self.hart.x(register.into()));
                // What comes for x0 is not looked at.
                let value = value.filter(|_| register != 0);
                self.integers[usize::from(register)].push_back(Expected { value, pc, instruction, clock });
            }
            (None, None) => {}
        }
        if writes_float(decoded.op) {
            let value = value(self.hart.f(decoded.rd.into()));
            self.floats[usize::from(decoded.rd)].push_back(Expected { value, pc, instruction, clock });
        }
        Ok(())
    }

    /// Lets the simulator's next `sc` fail where that of the tile does.
    fn conditional(&mut self, now: Option<Landing>) -> Result<(), String> {
        let Some(Landing { value, .. }) = now else {
            return Err("`sc` does not tell at once whether it succeeds".into());
        };
        self.report.conditional += 1;
        if value == 0 {
            self.report.succeeded += 1;
        } else {
            self.mirror.reservations.release(0);
        }
        Ok(())
    }

    /// The bits of an instruction as the simulator's memory has them.
    fn fetch(&mut self, pc: u64) -> Result<u32, String> {
        let mut parcel = |address| {
            let physical = self.hart.translate(&mut self.mirror, Access::Fetch, address).map_err(|exception| {
                format!("the simulator cannot fetch from {address:#x}, from which the tile does: {exception:x?}")
            })?;
            Ok::<_, String>(u16::from_le_bytes(self.mirror.memory.read(physical)))
        };
        let low = parcel(pc)?;
        let high = if is_compressed(low) { 0 } else { parcel(pc.wrapping_add(2))? };
        Ok(u32::from(high) << 16 | u32::from(low))
    }

    /// Interrupts and probes, at random.
    fn disturb(&mut self) {
        let Some(disturbed) = self.disturbed.clone() else { return };
        if self.bench.waits() || self.random.below(CLOCKS_PER_INTERRUPT) == 0 {
            let name = *self.random.pick(&LINES);
            self.bench.interrupt(name, true);
        }
        if self.random.below(CLOCKS_PER_PROBE) == 0 && !self.bench.is_taking_back() {
            let lines = (disturbed.end - disturbed.start) / u64::from(LINE_BYTES);
            self.bench.take_back(disturbed.start + self.random.below(lines) * u64::from(LINE_BYTES));
        }
    }

    /// Lines that were given back, and writes to devices.
    fn compare_memory(&mut self) -> Result<(), String> {
        for line in std::mem::take(&mut self.bench.given_back) {
            self.report.lines += 1;
            let (tile, simulator) = (self.bench.memory.read::<64>(line), self.mirror.memory.read::<64>(line));
            if let Some(at) = (0..tile.len()).find(|&at| tile[at] != simulator[at]) {
                let address = line + at as u64;
                return Err(format!(
                    "at {address:#x} the tile has {:#04x} in memory, the simulator {:#04x}",
                    tile[at], simulator[at]
                ));
            }
        }
        for (address, value) in std::mem::take(&mut self.bench.written) {
            if address == ACKNOWLEDGE {
                LINES.iter().for_each(|name| self.bench.interrupt(name, false));
            }
            match self.mirror.written.pop_front() {
                Some(expected) if expected == (address, value) => {}
                expected => {
                    return Err(format!(
                        "the tile writes {value:#x} to the device at {address:#x}, the simulator {expected:x?}"
                    ))
                }
            }
        }
        Ok(())
    }

    /// Now and then, whether all goes on.
    fn check_progress(&mut self) -> Result<(), String> {
        let clock = self.bench.clocks;
        if clock < self.last_checked + CLOCKS_MAX {
            return Ok(());
        }
        self.last_checked = clock;
        if clock > self.last_retired + CLOCKS_MAX {
            return Err(format!("the tile retires nothing for {CLOCKS_MAX} clocks"));
        }
        for (name, registers) in [("x", &self.integers), ("f", &self.floats)] {
            for (number, expected) in registers.iter().enumerate() {
                if let Some(Expected { pc, .. }) = expected.front().filter(|old| clock > old.clock + CLOCKS_MAX) {
                    return Err(format!("what the instruction at {pc:#x} writes into {name}{number} does not come"));
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, pc: u64, instruction: u32, what: &'static str) {
        if self.shown.len() == SHOWN {
            self.shown.pop_front();
        }
        self.shown.push_back((pc, instruction, what));
    }
}

/// Compares a value that has come; gives it back if it is to be injected.
fn landed(file: &str, landing: Landing, expected: Option<Expected>) -> Result<Option<u64>, String> {
    let Landing { register, value } = landing;
    match expected {
        None => Err(format!("{value:#x} comes into {file}{register}, which no instruction writes")),
        Some(Expected { value: None, .. }) => Ok(Some(value)),
        Some(Expected { value: Some(expected), .. }) if expected == value => Ok(None),
        Some(Expected { value: Some(expected), pc, instruction, .. }) => Err(format!(
            "the instruction {instruction:08x} at {pc:#x} writes {value:#x} into {file}{register} in the tile, {expected:#x} in the simulator"
        )),
    }
}

fn is_call(cause: Cause) -> bool {
    matches!(cause, Cause::UserCall | Cause::SupervisorCall | Cause::MachineCall | Cause::Breakpoint)
}

fn decoded(instruction: u32) -> Instruction {
    if is_compressed(instruction as u16) {
        decode_compressed(instruction as u16)
    } else {
        decode(instruction)
    }
}

/// Whether an instruction reads a register that counts clocks, or the lines of interrupts.
fn is_injected(instruction: &Instruction) -> bool {
    let is_csr = matches!(instruction.op, Op::Csrrw | Op::Csrrs | Op::Csrrc | Op::Csrrwi | Op::Csrrsi | Op::Csrrci);
    is_csr
        && matches!(
            instruction.immediate as u16,
            number::MCYCLE | number::MINSTRET | number::CYCLE | number::INSTRET | number::MIP | number::SIP
        )
}

fn writes_float(op: Op) -> bool {
    // The loads and stores of doubles stand among the others.
    op == Op::Flw || op >= Op::FmaddS && op <= Op::FmvDX && op != Op::Fsd && !writes_integer(op)
}

/// An instruction as a line of text.
fn show((pc, instruction, what): (u64, u32, &str)) -> String {
    let Instruction { op, rd, rs1, rs2, rs3, rounding, immediate, .. } = decoded(instruction);
    let name = op.encoding().map_or("illegal", |row| row.name);
    let operands = format!("rd={rd} rs1={rs1} rs2={rs2} rs3={rs3} rm={rounding} immediate={immediate:#x}");
    format!("{pc:#012x}: {instruction:08x}  {name:10} {operands}  {what}")
}
