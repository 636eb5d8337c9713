//! The hart: its state, and the loop that carries out instructions.

use crate::bus::Bus;
use crate::code::{Code, Page};
use crate::compressed::{decode_compressed, is_compressed};
use crate::csr::{carried_address, number, status, Config, Csrs, Now};
use crate::decode::{decode, Instruction, Op};
use crate::mmu::{Access, ModeTag, Tlb, PAGE_BYTES};
use crate::trap::{interrupt, Exception, Mode};

/// Why [`Hart::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All steps were made.
    Limit,
    /// The hart waits for an interrupt (`wfi`), and none that is enabled is pending.
    Waiting,
}

/// One RV64GC hart.
pub struct Hart {
    state: State,
    code: Code,
}

/// What instructions act on.
pub(crate) struct State {
    pub x: [u64; 32],
    pub f: [u64; 32],
    pc: u64,
    pub mode: Mode,
    pub csrs: Csrs,
    pub hart: usize,
    fetches: Tlb,
    loads: Tlb,
    stores: Tlb,
    code_tag: ModeTag,
    data_tag: ModeTag,
    /// Instructions that were begun.
    steps: u64,
    /// Those of them that trapped.
    traps: u64,
    pub waiting: bool,
}

/// Why the hart does not simply go on at the address that an instruction gives.
pub(crate) enum Exit {
    /// Nothing was done.
    Exception(Exception),
    /// It goes on there, after a look at everything that the instruction may have changed.
    Leave(u64),
    /// It goes on there, and fetches anew.
    Refetch(u64),
}

impl From<Exception> for Exit {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

impl Hart {
    /// A hart after reset: M-mode, interrupts off, no translation, no protection.
    ///
    /// # Panics
    /// When the number of physical address bits is not in 32 to 56.
    pub fn new(config: &Config) -> Self {
        assert!((32..=56).contains(&config.physical_bits), "{} bits of address", config.physical_bits);
        let state = State {
            x: [0; 32],
            f: [0; 32],
            pc: config.reset_pc,
            mode: Mode::Machine,
            csrs: Csrs::new(config),
            hart: config.hart,
            fetches: Tlb::new(),
            loads: Tlb::new(),
            stores: Tlb::new(),
            code_tag: ModeTag::new(Mode::Machine),
            data_tag: ModeTag::new(Mode::Machine),
            steps: 0,
            traps: 0,
            waiting: false,
        };
        Self { state, code: Code::new() }
    }

    /// Carries out at most so many instructions; one that traps counts as one. Interrupts are taken before an instruction, as [`Self::set_interrupts`]
    /// and the instructions before have left them.
    pub fn run<B: Bus>(&mut self, bus: &mut B, steps: u64) -> Stop {
        let end = self.state.steps.saturating_add(steps);
        while self.state.steps < end {
            if self.state.waiting && self.state.csrs.mip() & self.state.csrs.mie == 0 {
                return Stop::Waiting;
            }
            self.state.waiting = false;
            self.state.take_interrupt();
            if let Err(exception) = self.run_page(bus, end) {
                self.state.take_exception(exception);
            }
        }
        Stop::Limit
    }

    /// Carries out one instruction, whether an interrupt is pending or the hart waits for one: what it trapped with, if it did. With
    /// [`Self::take_interrupt`], for whoever decides when interrupts are taken.
    ///
    /// # Errors
    /// The exception by which the hart has come into a handler.
    pub fn step<B: Bus>(&mut self, bus: &mut B) -> Result<(), Exception> {
        self.state.waiting = false;
        let end = self.state.steps + 1;
        self.run_page(bus, end).inspect_err(|exception| self.state.take_exception(*exception))
    }

    /// Takes the interrupt that is pending and enabled, if there is one: its value of `mcause`.
    pub fn take_interrupt(&mut self) -> Option<u64> {
        self.state.waiting = false;
        self.state.take_interrupt()
    }

    /// The physical address of an access of one byte, as the hart would find it now: for who looks from outside. Nothing changes.
    ///
    /// # Errors
    /// What the access would trap with.
    pub fn translate<B: Bus>(&self, bus: &mut B, access: Access, address: u64) -> Result<u64, Exception> {
        let csrs = &self.state.csrs;
        let mode = if access == Access::Fetch { self.state.mode } else { csrs.data_mode(self.state.mode) };
        csrs.translate(bus, self.state.hart, mode, access, address, 1)
    }

    /// Goes on until the page ends, or something else must be looked at. After an error, `pc` is that of the instruction.
    fn run_page<B: Bus>(&mut self, bus: &mut B, end: u64) -> Result<(), Exception> {
        let Self { state, code } = self;
        let Some(physical) = state.code_page(bus)? else { return self.step_uncached(bus) };
        let page = code.page(physical);
        let mut pc = state.pc;
        let first = pc & !(PAGE_BYTES - 1);
        loop {
            let slot = &mut page[(pc % PAGE_BYTES) as usize / 2];
            if slot.op >= Op::Undecoded {
                state.pc = pc;
                *slot = state.decode_at(bus, physical & !(PAGE_BYTES - 1) | (pc % PAGE_BYTES))?;
                if slot.op == Op::Crossing {
                    return self.step_uncached(bus);
                }
            }
            match state.execute(bus, slot, pc) {
                Ok(next) => pc = next,
                Err(exit) => {
                    state.pc = pc;
                    return self.leave(exit);
                }
            }
            state.steps += 1;
            if pc.wrapping_sub(first) >= PAGE_BYTES || state.steps >= end {
                state.pc = pc;
                return Ok(());
            }
        }
    }

    /// Goes on after an instruction that did more than give an address. `pc` is still its own.
    fn leave(&mut self, exit: Exit) -> Result<(), Exception> {
        self.state.pc = match exit {
            Exit::Exception(exception) => return Err(exception),
            Exit::Leave(next) => next,
            Exit::Refetch(next) => {
                self.code.flush();
                next
            }
        };
        self.state.steps += 1;
        Ok(())
    }

    /// One instruction that is not kept decoded: its page is not allowed as a whole, or it ends in the next one.
    #[cold]
    fn step_uncached<B: Bus>(&mut self, bus: &mut B) -> Result<(), Exception> {
        let state = &mut self.state;
        let pc = state.pc;
        let low = state.fetch_checked(bus, pc)?;
        let instruction = if is_compressed(low) {
            decode_compressed(low)
        } else {
            // A fault in the second half is reported with its own address.
            let high = state.fetch_checked(bus, pc.wrapping_add(2))?;
            decode(u32::from(high) << 16 | u32::from(low))
        };
        match state.execute(bus, &instruction, pc) {
            Ok(next) => self.leave(Exit::Leave(next)),
            Err(exit) => self.leave(exit),
        }
    }

    /// Sets the lines of the interrupts [`interrupt::LINES`] that come from outside.
    pub fn set_interrupts(&mut self, lines: u64) {
        self.state.csrs.lines = lines & interrupt::LINES;
    }

    /// An integer register.
    ///
    /// # Panics
    /// When there is no such register.
    pub fn x(&self, register: usize) -> u64 {
        self.state.x[register]
    }

    /// Sets an integer register; `x0` stays 0.
    ///
    /// # Panics
    /// When there is no such register.
    pub fn set_x(&mut self, register: usize, value: u64) {
        self.state.x[register] = value;
        self.state.x[0] = 0;
    }

    /// A floating-point register; a single is NaN-boxed.
    ///
    /// # Panics
    /// When there is no such register.
    pub fn f(&self, register: usize) -> u64 {
        self.state.f[register]
    }

    /// Sets a floating-point register.
    ///
    /// # Panics
    /// When there is no such register.
    pub fn set_f(&mut self, register: usize, value: u64) {
        self.state.f[register] = value;
    }

    /// The address of the next instruction.
    pub fn pc(&self) -> u64 {
        self.state.pc
    }

    /// Goes on at an even address.
    ///
    /// # Panics
    /// When the address is odd.
    pub fn set_pc(&mut self, pc: u64) {
        assert!(pc & 1 == 0, "instructions lie at even addresses, not at {pc:#x}");
        self.state.pc = pc;
        self.state.waiting = false;
    }

    /// The privilege mode.
    pub fn mode(&self) -> Mode {
        self.state.mode
    }

    /// Sets the privilege mode.
    pub fn set_mode(&mut self, mode: Mode) {
        self.state.set_mode(mode);
    }

    /// A control and status register, by its number ([`number`]), from any mode; none if the hart has no such register.
    pub fn csr(&self, number: u16) -> Option<u64> {
        self.state.csrs.read(number, self.state.now(None))
    }

    /// Writes a control and status register as an instruction would.
    pub fn set_csr(&mut self, number: u16, value: u64) {
        self.state.write_csr(number, value);
    }

    /// Instructions that were begun: those that retired, and those that trapped.
    pub fn steps(&self) -> u64 {
        self.state.steps
    }

    /// Forgets what was decoded and translated: memory was written by the back door.
    pub fn flush(&mut self) {
        self.code.flush();
        self.state.flush_translations();
    }
}

impl State {
    /// The physical address of `pc`; none if its page is not allowed as a whole.
    fn code_page<B: Bus>(&mut self, bus: &mut B) -> Result<Option<u64>, Exception> {
        if let Some(physical) = self.fetches.find(self.code_tag, self.pc) {
            return Ok(Some(physical));
        }
        let physical = self.csrs.translate(bus, self.hart, self.mode, Access::Fetch, self.pc, 2)?;
        if !self.csrs.pmp.is_uniform(physical & !(PAGE_BYTES - 1)) {
            return Ok(None);
        }
        self.fetches.keep(self.code_tag, self.pc, physical);
        Ok(Some(physical))
    }

    /// The instruction of a slot, fetched and decoded; [`Op::Crossing`] if it does not end in its page.
    #[cold]
    fn decode_at<B: Bus>(&mut self, bus: &mut B, physical: u64) -> Result<Instruction, Exception> {
        let mut fetch = |ahead: u64| {
            let parcel = bus.fetch(self.hart, physical + ahead);
            parcel.map_err(|_| Access::Fetch.access_fault(self.pc.wrapping_add(ahead)))
        };
        let low = fetch(0)?;
        if is_compressed(low) {
            return Ok(decode_compressed(low));
        }
        if physical % PAGE_BYTES == PAGE_BYTES - 2 {
            return Ok(Instruction::new(Op::Crossing));
        }
        let high = fetch(2)?;
        Ok(decode(u32::from(high) << 16 | u32::from(low)))
    }

    fn fetch_checked<B: Bus>(&mut self, bus: &mut B, address: u64) -> Result<u16, Exception> {
        let physical = self.csrs.translate(bus, self.hart, self.mode, Access::Fetch, address, 2)?;
        bus.fetch(self.hart, physical).map_err(|_| Access::Fetch.access_fault(address))
    }

    /// Reads memory, with all checks.
    #[inline(always)]
    pub(crate) fn load<const N: usize, B: Bus>(&mut self, bus: &mut B, address: u64) -> Result<[u8; N], Exception> {
        match self.loads.find(self.data_tag, address) {
            Some(physical) if address % N as u64 == 0 => {
                bus.load(self.hart, physical).map_err(|_| Access::Load.access_fault(address))
            }
            _ => self.load_slowly(bus, address),
        }
    }

    #[cold]
    #[inline(never)]
    fn load_slowly<const N: usize, B: Bus>(&mut self, bus: &mut B, address: u64) -> Result<[u8; N], Exception> {
        let physical = self.data_address(bus, Access::Load, address, N as u64)?;
        bus.load(self.hart, physical).map_err(|_| Access::Load.access_fault(address))
    }

    /// Writes memory, with all checks.
    #[inline(always)]
    pub(crate) fn store<const N: usize, B: Bus>(
        &mut self,
        bus: &mut B,
        address: u64,
        bytes: [u8; N],
    ) -> Result<(), Exception> {
        match self.stores.find(self.data_tag, address) {
            Some(physical) if address % N as u64 == 0 => {
                bus.store(self.hart, physical, bytes).map_err(|_| Access::Store.access_fault(address))
            }
            _ => self.store_slowly(bus, address, bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn store_slowly<const N: usize, B: Bus>(
        &mut self,
        bus: &mut B,
        address: u64,
        bytes: [u8; N],
    ) -> Result<(), Exception> {
        let physical = self.data_address(bus, Access::Store, address, N as u64)?;
        bus.store(self.hart, physical, bytes).map_err(|_| Access::Store.access_fault(address))
    }

    /// The physical address of a load or store.
    fn data_address<B: Bus>(
        &mut self,
        bus: &mut B,
        access: Access,
        address: u64,
        bytes: u64,
    ) -> Result<u64, Exception> {
        let physical = self.data_page(bus, access, address, bytes)?;
        if address % bytes == 0 {
            Ok(physical)
        } else if bus.is_memory(physical) {
            Err(access.misaligned(address))
        } else {
            Err(access.access_fault(address))
        }
    }

    /// The physical address of a load or store, aligned or not: Rocket looks at the alignment behind all else. The page is kept if it is allowed as a whole.
    pub(crate) fn data_page<B: Bus>(
        &mut self,
        bus: &mut B,
        access: Access,
        address: u64,
        bytes: u64,
    ) -> Result<u64, Exception> {
        let mode = self.csrs.data_mode(self.mode);
        let physical = self.csrs.translate(bus, self.hart, mode, access, address, bytes)?;
        if self.csrs.pmp.is_uniform(physical & !(PAGE_BYTES - 1)) {
            let tlb = if access == Access::Load { &mut self.loads } else { &mut self.stores };
            tlb.keep(self.data_tag, address, physical);
        }
        Ok(physical)
    }

    pub(crate) fn now(&self, time: Option<u64>) -> Now {
        Now { steps: self.steps, traps: self.traps, time }
    }

    /// Writes a register, and draws the consequences.
    pub(crate) fn write_csr(&mut self, number: u16, value: u64) {
        let before = self.csrs.mstatus;
        self.csrs.write(number, value, self.now(None));
        let permissions_changed = (before ^ self.csrs.mstatus) & (status::SUM | status::MXR) != 0;
        let translates =
            matches!(number, number::SATP | number::PMPCFG0 | number::PMPCFG2 | number::PMPADDR0..=number::PMPADDR15);
        if permissions_changed || translates {
            self.flush_translations();
        }
        self.set_mode(self.mode);
    }

    pub(crate) fn flush_translations(&mut self) {
        self.fetches.flush();
        self.loads.flush();
        self.stores.flush();
    }

    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        self.code_tag = ModeTag::new(mode);
        self.data_tag = ModeTag::new(self.csrs.data_mode(mode));
    }

    fn take_interrupt(&mut self) -> Option<u64> {
        let cause = self.csrs.interrupt_cause(self.mode)?;
        self.enter(cause, 0);
        Some(cause)
    }

    fn take_exception(&mut self, exception: Exception) {
        self.steps += 1;
        self.traps += 1;
        self.enter(exception.cause as u64, carried_address(exception.value));
    }

    fn enter(&mut self, cause: u64, value: u64) {
        let (handler, mode) = self.csrs.enter_trap(self.mode, self.pc, cause, value);
        self.pc = handler;
        self.set_mode(mode);
    }
}

const _: () = assert!(size_of::<Page>() == 16 * PAGE_BYTES as usize / 2);
