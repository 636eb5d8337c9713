//! Firmware on simulated processors: harts of `sim-iss`, the memory of their firmware, and the controller's register port on their bus.

use crate::lite::Request;
use crate::machine::Machine;
use nvme_spec::feature::AGGREGATION_TIME_CLOCKS;
use nvme_spec::firmware_port::{coalescing, of_function, COALESCING, FUNCTIONS_MAX};
use rtl_hdl::sim::Simulator;
use sim_firmware::Image;
use sim_gdb::{Debugger, Ended};
use sim_iss::{interrupt, Bus, BusFault, Config, Hart, MemoryBus, Reservations, Stop};
use soc_firmware::parameters::Parameters;
use soc_hal::Mmio;
use soc_map::firmware::PARAMETERS;
use soc_map::rocket::{BOOT_ROM, CLINT, RESET_PC};
use soc_map::roles::Role;
use soc_map::{
    boot, clint, uart, Region, DRAM, FIRMWARE, FLASH_FIRMWARE_PORT, FLASH_SHARED, HARTS_MAX, NVME_FIRMWARE_PORT, UART,
};
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use zerocopy::IntoBytes;

/// The image that the processors run, and how many there are.
#[derive(Clone, Debug)]
pub struct CoresOptions {
    /// The image.
    pub image: Arc<Image>,
    /// Harts, from 1 on, at most [`HARTS_MAX`](soc_map::HARTS_MAX). Each is a turn of the simulation, also if it sleeps.
    pub harts: u32,
    /// What they are.
    pub kind: CoresKind,
}

/// What carries out the instructions of the processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoresKind {
    /// The instruction-set simulator `sim-iss`: fast, with two clocks for every instruction.
    Simulated,
    /// The Verilated tiles, with their caches, the buses around them and the boot ROM.
    Verilated(Start),
}

/// Where Verilated processors begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At their reset, in the boot ROM. Firmware starts up in 9 million clocks.
    Reset,
    /// Where firmware first touches a register of the controller: the instruction-set simulator has brought it there.
    Ready,
}

/// What firmware wrote to the registers COALESCING.
#[derive(Default)]
pub(crate) struct Coalescing {
    /// Of each function, as it was written last.
    values: [u32; FUNCTIONS_MAX as usize],
    /// The offset of the register that is written now.
    pub address: u32,
    /// What is written to it.
    pub value: u32,
}

impl Coalescing {
    /// Notes what is written, if it is to one of them.
    pub fn note(&mut self) {
        for (function, value) in (0..).zip(&mut self.values) {
            if self.address == of_function(&COALESCING, function).offset {
                *value = self.value;
            }
        }
    }

    /// The longest time that an interrupt waits for others, in clocks. NVMe Base, "Interrupt Coalescing".
    pub fn aggregation_clocks_max(&self) -> u64 {
        let times = self.values.iter().map(|&value| coalescing::TIME.get32(value));
        u64::from(times.max().unwrap_or(0)) * AGGREGATION_TIME_CLOCKS
    }
}

/// Most bytes of storage in the device's memory, in which the firmware lies behind it.
pub(crate) const STORAGE_BYTES_MAX: u64 = FIRMWARE.base - DRAM.base;

/// Core clocks of a cycle of a hart, whose clock is half of the core's.
pub(crate) const CLOCKS_PER_CYCLE: u32 = 2;

/// Core clocks in which a simulated hart carries out an instruction: a tile begins one in almost every one of its cycles.
const CLOCKS_PER_INSTRUCTION: u32 = CLOCKS_PER_CYCLE;

/// Instructions of a turn while the harts start up.
const BOOT_TURN: u64 = 1000;

/// Turns after which firmware that has not come up is given up.
const BOOT_TURNS_MAX: u32 = 20_000;

/// Bits of a physical address on the harts' bus.
const PHYSICAL_BITS: u32 = 32;

/// A hart as it is reset.
pub(crate) fn hart_config(number: usize) -> Config {
    Config { hart: number, reset_pc: RESET_PC, physical_bits: PHYSICAL_BITS }
}

/// The memory of firmware with the image and what it is told.
pub(crate) fn loaded(image: &Image, parameters: &Parameters) -> MemoryBus {
    let mut memory = MemoryBus::new(FIRMWARE.base, FIRMWARE.bytes as usize);
    for segment in image.segments().iter().chain(image.programs()) {
        memory.bytes_mut(segment.address, segment.content.len()).copy_from_slice(&segment.content);
    }
    memory.bytes_mut(PARAMETERS.base, size_of::<Parameters>()).copy_from_slice(parameters.as_bytes());
    memory
}

/// The timers of the harts, and the interrupts that they send each other: [`soc_map::clint`]. The time is the device's clock.
struct Clint {
    compares: [u64; HARTS_MAX as usize],
    is_asked: [bool; HARTS_MAX as usize],
}

impl Clint {
    const NEW: Self = Self { compares: [u64::MAX; HARTS_MAX as usize], is_asked: [false; HARTS_MAX as usize] };

    const fn time(clock: u64) -> u64 {
        clock / clint::CLOCKS_PER_TICK as u64
    }

    /// Which hart's register of so many bytes this is, and which word of it, if it is one that begins here.
    fn place(offset: u32, first: u32, bytes: u32) -> Option<(usize, u32)> {
        let number = offset.checked_sub(first)? / bytes;
        (number < HARTS_MAX).then_some((number as usize, offset % bytes / 4))
    }

    fn read(&self, offset: u32, clock: u64) -> u32 {
        let half = |value: u64, word: u32| (value >> (32 * word)) as u32;
        if let Some((hart, _)) = Self::place(offset, clint::MSIP, 4) {
            self.is_asked[hart].into()
        } else if let Some((hart, word)) = Self::place(offset, clint::MTIMECMP, 8) {
            half(self.compares[hart], word)
        } else if offset & !4 == clint::MTIME {
            half(Self::time(clock), offset % 8 / 4)
        } else {
            0
        }
    }

    fn write(&mut self, offset: u32, value: u32) {
        if let Some((hart, _)) = Self::place(offset, clint::MSIP, 4) {
            self.is_asked[hart] = value & 1 == 1;
        } else if let Some((hart, word)) = Self::place(offset, clint::MTIMECMP, 8) {
            let shift = 32 * word;
            self.compares[hart] = self.compares[hart] & !(0xFFFF_FFFF << shift) | u64::from(value) << shift;
        }
    }

    /// The lines of a hart.
    fn lines(&self, hart: usize, clock: u64) -> u64 {
        let timer = if Self::time(clock) >= self.compares[hart] { interrupt::MTI } else { 0 };
        timer | if self.is_asked[hart] { interrupt::MSI } else { 0 }
    }
}

/// The processors.
pub(crate) struct Cores {
    harts: Vec<Hart>,
    memory: MemoryBus,
    clint: Clint,
    debugger: Option<Debugger<MemoryBus>>,
    /// The harts wait for an interrupt.
    are_waiting: bool,
    coalescing: Coalescing,
    /// What firmware has written to the console.
    pub console: Vec<u8>,
}

impl Cores {
    /// Harts that are about to begin with the image.
    pub fn new(options: &CoresOptions, parameters: &Parameters) -> Self {
        let CoresOptions { image, harts, .. } = options;
        let memory = loaded(image, parameters);
        Self {
            harts: (0..*harts as usize).map(|number| Hart::new(&hart_config(number))).collect(),
            memory,
            clint: Clint::NEW,
            debugger: None,
            are_waiting: false,
            coalescing: Coalescing::default(),
            console: vec![],
        }
    }

    /// Lets the harts start up before the device's clock does, as a host finds a drive that has been there for a while: until the turn in which firmware
    /// first touches a register, or waits for the flash, whose firmware begins after that.
    ///
    /// # Panics
    /// If it never does.
    pub fn boot<S: Simulator>(&mut self, machine: &mut Machine<S>) {
        let start = machine.clock;
        let mut bus = CoresBus {
            memory: &mut self.memory,
            clint: &mut self.clint,
            machine,
            coalescing: &mut self.coalescing,
            console: &mut self.console,
        };
        let has_flash = bus.machine.flash.is_some();
        let is_first = |hart: usize| !has_flash || Role::of(hart as u32) != Role::CacheAndTranslation;
        for _ in 0..BOOT_TURNS_MAX {
            let mut is_waiting = false;
            for (number, hart) in self.harts.iter_mut().enumerate().filter(|(number, _)| is_first(*number)) {
                is_waiting |= hart.run(&mut bus, BOOT_TURN) == Stop::Waiting && number == 0;
            }
            if bus.machine.clock != start || is_waiting {
                return;
            }
        }
        let pc = self.harts[0].pc();
        panic!("firmware has not come up in {BOOT_TURNS_MAX} turns of {BOOT_TURN} instructions: it is at {pc:#x}");
    }

    /// A turn of all harts, and the clocks that it takes.
    pub fn advance<S: Simulator>(&mut self, machine: &mut Machine<S>) {
        let Self { harts, memory, clint, debugger, .. } = self;
        if let Some(debugger) = debugger {
            debugger.turn(harts, memory);
        }
        let may_run = |number| debugger.as_ref().is_none_or(|debugger| debugger.may_run(number));
        let mut bus = CoresBus { memory, clint, machine, coalescing: &mut self.coalescing, console: &mut self.console };
        let mut are_waiting = true;
        for (number, hart) in harts.iter_mut().enumerate().filter(|(number, _)| may_run(*number)) {
            let waits = match Role::of(number as u32) {
                Role::HostInterface => bus.machine.event(),
                Role::CacheAndTranslation => bus.machine.flash_event(),
                Role::Containers => false,
            };
            let lines = bus.clint.lines(number, bus.machine.clock);
            hart.set_interrupts(lines | if waits { interrupt::SEI } else { 0 });
            are_waiting &= hart.run(&mut bus, 1) == Stop::Waiting;
        }
        self.are_waiting = are_waiting;
        for _ in 0..if are_waiting { 1 } else { CLOCKS_PER_INSTRUCTION } {
            machine.tick();
        }
    }

    /// Lets a debugger look at the harts and stop them, from their next turn on.
    pub fn debug(&mut self, connection: TcpStream) -> io::Result<()> {
        self.debugger = Some(Debugger::new(connection)?);
        Ok(())
    }

    /// How the conversation with the debugger has ended, if it has.
    pub fn debugger_ended(&self) -> Option<&Ended> {
        self.debugger.as_ref()?.ended()
    }

    /// Whether all harts wait for an interrupt, and no debugger wants anything of them.
    pub fn are_waiting(&self) -> bool {
        self.are_waiting && self.debugger.as_ref().is_none_or(|debugger| debugger.ended().is_some())
    }

    /// What firmware wrote to COALESCING.
    pub fn coalescing(&self) -> &Coalescing {
        &self.coalescing
    }

    /// Instructions that the harts have begun.
    pub fn instructions(&self) -> u64 {
        self.harts.iter().map(Hart::steps).sum()
    }

    /// Firmware's memory, by the back door.
    pub fn memory(&mut self, address: u64, bytes: usize) -> &mut [u8] {
        self.harts.iter_mut().for_each(Hart::flush);
        self.memory.bytes_mut(address, bytes)
    }
}

/// What the harts see.
struct CoresBus<'a, S> {
    memory: &'a mut MemoryBus,
    clint: &'a mut Clint,
    machine: &'a mut Machine<S>,
    coalescing: &'a mut Coalescing,
    console: &'a mut Vec<u8>,
}

/// The bytes of the boot ROM at an address, which is a multiple of their number.
pub(crate) fn rom<const BYTES: usize>(address: u64) -> Result<[u8; BYTES], BusFault> {
    let words = [boot::word_at(address & !7), boot::word_at(address & !7 | 4)].map(u32::to_le_bytes);
    let bytes = words.concat();
    let at = (address % 8) as usize;
    let part = bytes.get(at..at + BYTES).and_then(|part| part.try_into().ok());
    part.filter(|_| BOOT_ROM.contains(address)).ok_or(BusFault)
}

/// Bytes of a register. They are read and written as a whole.
const REGISTER_BYTES: usize = 4;

/// The region of registers in which an address is, and its offset there.
fn find(address: u64) -> Result<(&'static Region, u32), BusFault> {
    let regions = [&NVME_FIRMWARE_PORT, &UART, &CLINT, &FLASH_FIRMWARE_PORT, &FLASH_SHARED];
    let region = regions.into_iter().find(|region| region.contains(address)).ok_or(BusFault)?;
    Ok((region, (address - region.base) as u32))
}

impl<S: Simulator> CoresBus<'_, S> {
    fn load_register(&mut self, address: u64, bytes: usize) -> Result<u32, BusFault> {
        let (region, offset) = find(address).ok().filter(|_| bytes == REGISTER_BYTES).ok_or(BusFault)?;
        match *region {
            // There is always room, and nobody types.
            UART => Ok(match offset {
                uart::STATUS => uart::ROOM,
                uart::RECEIVE => uart::NONE,
                _ => 0,
            }),
            CLINT => Ok(self.clint.read(offset, self.machine.clock)),
            NVME_FIRMWARE_PORT => Ok(self.machine.read32(offset)),
            FLASH_FIRMWARE_PORT if self.machine.flash.is_some() => {
                Ok(self.machine.flash_access(Request::Read { address: offset }))
            }
            FLASH_SHARED => {
                let address = self.machine.shared_address(offset.into()).ok_or(BusFault)?;
                let mut word = [0; REGISTER_BYTES];
                self.machine.ram.load(address, &mut word);
                Ok(u32::from_le_bytes(word))
            }
            _ => Err(BusFault),
        }
    }

    fn store_register(&mut self, address: u64, value: u32) -> Result<(), BusFault> {
        let (region, offset) = find(address)?;
        match *region {
            UART if offset == uart::TRANSMIT => self.console.push(value as u8),
            UART => {}
            CLINT => self.clint.write(offset, value),
            NVME_FIRMWARE_PORT => {
                (self.coalescing.address, self.coalescing.value) = (offset, value);
                self.coalescing.note();
                self.machine.post(offset, value);
            }
            FLASH_FIRMWARE_PORT if self.machine.flash.is_some() => {
                self.machine.flash_access(Request::Write { address: offset, value, strobe: 0xF });
            }
            FLASH_SHARED => {
                let address = self.machine.shared_address(offset.into()).ok_or(BusFault)?;
                self.machine.ram.store(address, &value.to_le_bytes());
            }
            _ => return Err(BusFault),
        }
        Ok(())
    }
}

impl<S: Simulator> Bus for CoresBus<'_, S> {
    #[inline]
    fn load<const N: usize>(&mut self, hart: usize, address: u64) -> Result<[u8; N], BusFault> {
        self.memory.load(hart, address).or_else(|BusFault| rom(address)).or_else(|BusFault| {
            let value = self.load_register(address, N)?.to_le_bytes();
            value.as_slice().try_into().map_err(|_| BusFault)
        })
    }

    #[inline]
    fn store<const N: usize>(&mut self, hart: usize, address: u64, bytes: [u8; N]) -> Result<(), BusFault> {
        self.memory.store(hart, address, bytes).or_else(|BusFault| {
            let value = bytes.as_slice().try_into().map_err(|_| BusFault)?;
            self.store_register(address, u32::from_le_bytes(value))
        })
    }

    fn fetch(&mut self, hart: usize, address: u64) -> Result<u16, BusFault> {
        self.memory.fetch(hart, address).or_else(|BusFault| rom(address).map(u16::from_le_bytes))
    }

    fn has_atomics(&self, address: u64) -> bool {
        self.memory.has_atomics(address)
    }

    fn reservations(&mut self) -> &mut Reservations {
        self.memory.reservations()
    }
}
