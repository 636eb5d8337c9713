//! A hart with a memory and one device, and instructions in a short form.
#![allow(dead_code, reason = "each test file uses a part")]

use sim_iss::{encode, Bus, BusFault, Config, Hart, Instruction, MemoryBus, Op, Reservations};

/// Where memory begins, and programs.
pub const BASE: u64 = 0x8000_0000;
/// Data in memory.
pub const DATA: u64 = BASE + 0x1_0000;
/// Bytes of memory.
pub const BYTES: usize = 0x10_0000;
/// A device of one page, whose bytes can be read and written but not reserved nor executed; its upper half denies all.
pub const DEVICE: u64 = 0x1000_0000;

/// The memory, and the device.
pub struct TestBus {
    memory: MemoryBus,
    /// What the device was written last, and how often it was read.
    pub device: u64,
    pub device_reads: usize,
    pub time: Option<u64>,
}

impl TestBus {
    fn device_at(address: u64) -> Option<Result<(), BusFault>> {
        let offset = address.checked_sub(DEVICE).filter(|&offset| offset < 4096)?;
        Some(if offset < 2048 { Ok(()) } else { Err(BusFault) })
    }
}

impl Bus for TestBus {
    fn load<const N: usize>(&mut self, hart: usize, address: u64) -> Result<[u8; N], BusFault> {
        let Some(device) = Self::device_at(address) else { return self.memory.load(hart, address) };
        device?;
        self.device_reads += 1;
        Ok(*self.device.to_le_bytes().first_chunk().expect("at most 8 bytes"))
    }

    fn store<const N: usize>(&mut self, hart: usize, address: u64, bytes: [u8; N]) -> Result<(), BusFault> {
        let Some(device) = Self::device_at(address) else { return self.memory.store(hart, address, bytes) };
        device?;
        let mut value = [0; 8];
        value[..N].copy_from_slice(&bytes);
        self.device = u64::from_le_bytes(value);
        Ok(())
    }

    fn fetch(&mut self, hart: usize, address: u64) -> Result<u16, BusFault> {
        self.memory.fetch(hart, address)
    }

    fn has_atomics(&self, address: u64) -> bool {
        self.memory.has_atomics(address)
    }

    fn reservations(&mut self) -> &mut Reservations {
        self.memory.reservations()
    }

    fn time(&self) -> Option<u64> {
        self.time
    }
}

/// A hart and its bus.
pub struct Machine {
    pub hart: Hart,
    pub bus: TestBus,
}

impl Machine {
    /// A machine with a program at [`BASE`], where the hart begins.
    pub fn new(program: &[Instruction]) -> Self {
        let bus = TestBus { memory: MemoryBus::new(BASE, BYTES), device: 0, device_reads: 0, time: None };
        let hart = Hart::new(&Config { hart: 0, reset_pc: BASE, physical_bits: 32 });
        let mut machine = Self { hart, bus };
        machine.put_program(BASE, program);
        machine
    }

    /// Writes instructions of 32 bits.
    pub fn put_program(&mut self, address: u64, program: &[Instruction]) {
        for (at, instruction) in (address..).step_by(4).zip(program) {
            self.put(at, encode(instruction).to_le_bytes());
        }
    }

    /// Writes memory by the back door.
    pub fn put<const N: usize>(&mut self, address: u64, bytes: [u8; N]) {
        self.bus.memory.bytes_mut(address, N).copy_from_slice(&bytes);
    }

    /// A doubleword of memory.
    pub fn doubleword(&mut self, address: u64) -> u64 {
        u64::from_le_bytes(self.bus.load(0, address).expect("memory"))
    }

    /// Carries out so many instructions.
    pub fn run(&mut self, steps: u64) {
        self.hart.run(&mut self.bus, steps);
    }

    /// A register, which the hart has.
    pub fn csr(&self, number: u16) -> u64 {
        self.hart.csr(number).expect("a register")
    }
}

/// What one instruction leaves in `x3`, of `x1` and `x2`.
pub fn result(instruction: Instruction, x1: u64, x2: u64) -> u64 {
    let mut machine = Machine::new(&[Instruction { rd: 3, rs1: 1, ..instruction }]);
    machine.hart.set_x(1, x1);
    machine.hart.set_x(2, x2);
    machine.run(1);
    assert_eq!(machine.hart.pc(), BASE + 4, "{instruction:?} trapped");
    machine.hart.x(3)
}

/// An instruction of two registers: `x3 = x1 op x2`.
pub fn r(op: Op) -> Instruction {
    Instruction { rd: 3, rs1: 1, rs2: 2, ..Instruction::new(op) }
}

/// An instruction of a register and an immediate.
pub fn i(op: Op, rd: u8, rs1: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, immediate, ..Instruction::new(op) }
}

/// A store, or a branch.
pub fn s(op: Op, rs1: u8, rs2: u8, immediate: i32) -> Instruction {
    Instruction { rs1, rs2, immediate, ..Instruction::new(op) }
}

/// An instruction without operands.
pub fn n(op: Op) -> Instruction {
    Instruction::new(op)
}
