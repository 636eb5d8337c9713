//! The hardware with everything that its pins are joined to.

use crate::axi::AxiPort;
use crate::door::HasDoor;
use crate::lite::{LitePort, Request};
use crate::monitors::Monitors;
use crate::soc::{read_blocks, Soc, BLOCK_CLOCKS_MAX};
use crate::tiles::Tiles;
use flash_hw::flash_path;
use rtl_hdl::sim::{PortId, Simulator};
use sim_device::{Access, Bus, BusTiming, Event, HostMemory, Ram, Random, Schedule, Sideband, BEAT_BYTES};
use soc_hal::Mmio;

/// Clocks after which an access to a register bus is given up as hung: a defect of the hardware.
const ACCESS_CLOCKS_MAX: u32 = 10_000;

/// The pins of a device with flash that others have not, and what they are joined to.
pub(crate) struct FlashPins {
    pub medium: Ram,
    /// Where in the device's memory begins what its firmware shares with the hardware.
    shared_base: u64,
    medium_bus: Bus,
    medium_port: AxiPort,
    pub registers: LitePort,
    event: PortId,
    late: PortId,
    lost: PortId,
    /// Clocks in which data was later than the bus of a channel.
    pub late_clocks: u64,
    /// Clocks in which its firmware was asked for.
    pub event_clocks: u64,
}

impl FlashPins {
    pub fn new<S: Simulator>(model: &mut S, path: &flash_path::Config, medium: Ram, timing: BusTiming) -> Self {
        Self {
            medium,
            shared_base: path.shared_base(),
            medium_bus: Bus::new(timing),
            medium_port: AxiPort::new(model, "medium"),
            registers: LitePort::new(model, "flash"),
            event: model.port("flash_event"),
            late: model.port("late"),
            lost: model.port("lost"),
            late_clocks: 0,
            event_clocks: 0,
        }
    }

    fn drive(&mut self, model: &mut impl Simulator) {
        self.medium_port.drive(model, &mut self.medium_bus, &mut self.medium);
        self.late_clocks += model.peek_u64(self.late);
        self.event_clocks += model.peek_u64(self.event);
        assert_eq!(model.peek_u64(self.lost), 0, "an access to DRAM was refused");
    }
}

pub(crate) struct Machine<S> {
    pub model: S,
    pub host: HostMemory,
    pub host_bus: Bus,
    pub ram: Ram,
    memory_bus: Bus,
    pub clock: u64,
    host_port: AxiPort,
    memory_port: AxiPort,
    pub mmio: LitePort,
    firmware: LitePort,
    /// Of a device with flash.
    pub flash: Option<FlashPins>,
    /// Of a device with Verilated processors, which have the register port for firmware.
    pub tiles: Option<Box<Tiles>>,
    event: PortId,
    sideband: [PortId; 3],
    function_level_reset: PortId,
    random: Random,
    pub schedule: Schedule,
    /// The reset wire of the function is up for this clock.
    is_resetting: bool,
    /// The last clock in which a port was in use, or firmware was asked for.
    last_activity: u64,
    pub monitors: Option<Monitors>,
    /// Clocks that a register access of firmware takes beyond those of the bus, at most.
    firmware_clocks_max: u32,
}

impl<S: Simulator> Machine<S> {
    pub fn new(
        mut model: S,
        functions: u8,
        ram: Ram,
        host: BusTiming,
        memory: BusTiming,
        seed: u64,
        firmware_clocks_max: u32,
    ) -> Self {
        let host_port = AxiPort::new(&model, "host");
        let memory_port = AxiPort::new(&model, "memory");
        let mmio = LitePort::new(&mut model, "mmio");
        let firmware = LitePort::new(&mut model, "firmware");
        let sideband = ["bus_master_enable", "msix_enable", "msix_function_mask"].map(|name| model.port(name));
        let function_level_reset = model.port("function_level_reset");
        let event = model.port("firmware_event");
        let reset = model.port("reset");
        let mut machine = Self {
            model,
            host: HostMemory::new(),
            host_bus: Bus::new(host),
            ram,
            memory_bus: Bus::new(memory),
            clock: 0,
            host_port,
            memory_port,
            mmio,
            firmware,
            flash: None,
            tiles: None,
            event,
            sideband,
            function_level_reset,
            random: Random::new(seed),
            schedule: Schedule::default(),
            is_resetting: false,
            last_activity: 0,
            monitors: None,
            firmware_clocks_max,
        };
        for function in 0..functions {
            machine.set_sideband(function, Sideband::RUNNING);
        }
        machine.model.poke_u64(reset, 1);
        for _ in 0..4 {
            machine.model.step();
        }
        machine.model.poke_u64(reset, 0);
        machine
    }

    /// Sets the wires of one function, which has a bit in each.
    pub fn set_sideband(&mut self, function: u8, sideband: Sideband) {
        let bits = [sideband.bus_master_enable, sideband.msix_enable, sideband.msix_function_mask];
        for (pin, bit) in self.sideband.into_iter().zip(bits) {
            let others = self.model.peek_u64(pin) & !(1 << function);
            self.model.poke_u64(pin, others | u64::from(bit) << function);
        }
    }

    pub fn function_level_reset(&mut self, function: u8) {
        self.schedule.add(0, Event::FunctionLevelReset { function });
        self.tick();
    }

    /// True while the hardware wants firmware.
    pub fn event(&self) -> bool {
        self.model.peek_u64(self.event) == 1
    }

    /// One clock.
    pub fn tick(&mut self) {
        self.clock += 1;
        self.host.set_clock(self.clock);
        self.happen();
        self.host_port.drive(&mut self.model, &mut self.host_bus, &mut self.host);
        self.memory_port.drive(&mut self.model, &mut self.memory_bus, &mut self.ram);
        self.mmio.drive(&mut self.model);
        match &mut self.tiles {
            None => {
                self.firmware.drive(&mut self.model);
                if let Some(flash) = &mut self.flash {
                    flash.registers.drive(&mut self.model);
                }
            }
            Some(tiles) => tiles.clock(&mut self.model),
        }
        if let Some(flash) = &mut self.flash {
            flash.drive(&mut self.model);
        }
        if let Some(monitors) = &mut self.monitors {
            monitors.look(&self.model);
        }
        self.model.step();
        if !self.is_quiet() {
            self.last_activity = self.clock;
        }
    }

    /// Clocks since a port was in use, or firmware was asked for.
    pub fn quiet_clocks(&self) -> u64 {
        // What was put in line since the last clock is no part of it.
        if self.is_quiet() {
            self.clock - self.last_activity
        } else {
            0
        }
    }

    fn is_quiet(&self) -> bool {
        self.mmio.is_idle()
            && self.firmware.is_idle()
            && self.host_bus.is_idle()
            && self.memory_bus.is_idle()
            && self.schedule.is_empty()
            && !self.event()
    }

    /// Lets the events happen whose clock has come.
    fn happen(&mut self) {
        if self.is_resetting {
            self.is_resetting = false;
            self.model.poke_u64(self.function_level_reset, 0);
        }
        while let Some(event) = self.schedule.due(self.clock) {
            match event {
                Event::Write { access, value } => push_write(&mut self.mmio, access, value),
                Event::Sideband { function, sideband } => self.set_sideband(function, sideband),
                Event::FunctionLevelReset { function } => {
                    self.is_resetting = true;
                    let others = self.model.peek_u64(self.function_level_reset);
                    self.model.poke_u64(self.function_level_reset, others | 1 << function);
                }
            }
        }
    }

    /// A read through the port that carries the host's accesses, behind all earlier writes.
    pub fn read_mmio(&mut self, address: u32) -> u32 {
        self.mmio.push(Request::Read { address });
        self.wait(|machine| machine.mmio.take_answer(), "mmio", address)
    }

    fn firmware_access(&mut self, request: Request, address: u32) -> u32 {
        self.firmware.push(request);
        let value = self.wait(
            |machine| match request {
                Request::Read { .. } => machine.firmware.take_answer(),
                Request::Write { .. } => machine.firmware.is_idle().then_some(0),
            },
            "firmware",
            address,
        );
        for _ in 0..self.random.between(0, u64::from(self.firmware_clocks_max)) {
            self.tick();
        }
        value
    }

    /// A write of a register that whoever does it does not wait for; but one before it is complete first.
    pub fn post(&mut self, offset: u32, value: u32) {
        if !self.firmware.is_idle() {
            self.wait(|machine| machine.firmware.is_idle().then_some(0), "firmware", offset);
        }
        self.firmware.push(Request::Write { address: offset, value, strobe: 0xf });
    }

    /// A register access of the firmware of the flash.
    ///
    /// # Panics
    /// If there is no flash, or the hardware does not answer.
    pub fn flash_access(&mut self, request: Request) -> u32 {
        let address = match request {
            Request::Read { address } | Request::Write { address, .. } => address,
        };
        let flash = self.flash.as_mut().expect("there is flash");
        flash.registers.push(request);
        self.wait(
            |machine| {
                let registers = &mut machine.flash.as_mut().expect("there is flash").registers;
                match request {
                    Request::Read { .. } => registers.take_answer(),
                    Request::Write { .. } => registers.is_idle().then_some(0),
                }
            },
            "flash",
            address,
        )
    }

    /// Where in the device's memory lies what is at an offset of what the flash shares with its firmware.
    pub fn shared_address(&self, offset: u64) -> Option<u64> {
        Some(self.flash.as_ref()?.shared_base + offset)
    }

    /// True while the flash has something to tell its firmware.
    pub fn flash_event(&self) -> bool {
        self.flash.as_ref().is_some_and(|flash| self.model.peek_u64(flash.event) == 1)
    }

    fn soc(&mut self) -> &mut Soc {
        &mut self.tiles.as_mut().expect("there are Verilated processors").soc
    }

    /// The memory of firmware on Verilated processors, as they see it.
    ///
    /// # Panics
    /// If there are none, or their memory does not answer.
    pub fn read_firmware_memory(&mut self, address: u64, bytes: usize) -> Vec<u8> {
        read_blocks(address, bytes, |address| {
            self.soc().ask_block(address);
            for _ in 0..BLOCK_CLOCKS_MAX {
                self.tick();
                if let Some(block) = self.soc().taken_block() {
                    return block;
                }
            }
            panic!("memory did not answer a read of {address:#x} within {BLOCK_CLOCKS_MAX} clocks");
        })
    }

    /// Writes it, as another device of theirs would.
    ///
    /// # Panics
    /// As [`read_firmware_memory`](Self::read_firmware_memory).
    pub fn write_firmware_memory(&mut self, mut address: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let offset = address as usize % BEAT_BYTES;
            let (part, rest) = bytes.split_at(bytes.len().min(BEAT_BYTES - offset));
            let mut beat = [0; BEAT_BYTES];
            beat[offset..offset + part.len()].copy_from_slice(part);
            let strobes = (u64::MAX >> (BEAT_BYTES - part.len())) << offset;
            self.soc().write_block(address, &beat, strobes);
            let clocks = (0..BLOCK_CLOCKS_MAX).find(|_| {
                self.tick();
                self.soc().is_block_written()
            });
            assert!(clocks.is_some(), "memory did not answer a write of {address:#x} within {BLOCK_CLOCKS_MAX} clocks");
            (address, bytes) = (address + part.len() as u64, rest);
        }
    }

    fn wait(&mut self, done: impl Fn(&mut Self) -> Option<u32>, port: &str, address: u32) -> u32 {
        for _ in 0..ACCESS_CLOCKS_MAX {
            self.tick();
            if let Some(value) = done(self) {
                return value;
            }
        }
        panic!("the hardware did not answer an access to {address:#x} of the port `{port}` within {ACCESS_CLOCKS_MAX} clocks");
    }
}

impl<S: Simulator> HasDoor for Machine<S> {
    type Model = S;

    fn model(&mut self) -> &mut S {
        &mut self.model
    }

    fn tick(&mut self) {
        self.tick();
    }
}

impl<S: Simulator> Mmio for Machine<S> {
    fn read32(&mut self, offset: u32) -> u32 {
        self.firmware_access(Request::Read { address: offset }, offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.firmware_access(Request::Write { address: offset, value, strobe: 0xf }, offset);
    }
}

/// The BAR0 offset of the dword that holds the first byte of an access, as the port counts: functions after each other.
pub(crate) fn first_dword(access: Access) -> u32 {
    (u32::from(access.function) * nvme_spec::regs::BAR0_BYTES + access.offset as u32) & !3
}

/// Puts a write of any width in line, a dword at a time. What is outside of the BAR of the function is dropped.
pub(crate) fn push_write(mmio: &mut LitePort, access: Access, value: u64) {
    if !is_inside(access) {
        return;
    }
    let mut address = first_dword(access);
    let shift = 8 * (access.offset & 3);
    let mut bytes = u128::from(value) << shift;
    let mut strobe = ((1u32 << access.bytes) - 1) << (access.offset & 3);
    while strobe != 0 {
        if strobe & 0xf != 0 {
            mmio.push(Request::Write { address, value: bytes as u32, strobe: (strobe & 0xf) as u8 });
        }
        bytes >>= 32;
        strobe >>= 4;
        address += 4;
    }
}

/// Whether an access lies in the BAR of a function.
pub(crate) fn is_inside(access: Access) -> bool {
    let end = access.offset.checked_add(u64::from(access.bytes));
    end.is_some_and(|end| end <= u64::from(nvme_spec::regs::BAR0_BYTES))
}
