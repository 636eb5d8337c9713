//! The device behind a socket, as [`Device`].

use crate::client::{action, data, map, region, Client, Memory};
use crate::connection::Error;
use nvme_spec::pci::{command, device_control, msix, COMMAND, DEVICE_CONTROL, MSIX};
use nvme_spec::regs::{DOORBELLS, MSIX_ENTRY_BYTES, MSIX_TABLE};
use rustix::event::{eventfd, EventfdFlags};
use sim_device::{Access, BusTiming, Device, Event, HostMemory, Schedule, Sideband};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

/// The window of DMA addresses that the server asks this client for: as much as a processor of 64 bits has, at most.
const WINDOW_BYTES: u64 = 1 << 56;

/// How long a step waits for something to happen: long enough for a device in another process, so that whoever counts steps does not run out of them.
const STEP: Duration = Duration::from_millis(1);

/// How doorbells reach the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorbellPath {
    /// As all other registers.
    Messages,
    /// Through the page that the server lets clients map.
    Page,
}

/// A device behind sockets, one for each of its functions. All of its accesses to memory come as messages and are those of [`HostMemory`], so that a
/// driver judges them as it does for a device of its own process. The table of MSI-X vectors is kept here, as QEMU keeps it.
///
/// A server that breaks the protocol or goes away ends the program: this is a device of tests.
pub struct SocketDevice {
    functions: Vec<Function>,
    host: HostMemory,
    schedule: Schedule,
    clock: u64,
}

struct Function {
    number: u8,
    client: Client,
    vectors: Vec<Vector>,
    page: Option<MmapRegion>,
}

#[derive(Default)]
struct Vector {
    /// Address, data and control as the driver wrote them.
    entry: [u32; 4],
    file: Option<OwnedFd>,
}

/// The memory of one function.
struct Reach<'a> {
    host: &'a mut HostMemory,
    function: u8,
}

impl Memory for Reach<'_> {
    fn read(&mut self, address: u64, data: &mut [u8]) -> bool {
        self.host.dma_read(self.function, address, data).is_ok()
    }

    fn write(&mut self, address: u64, data: &[u8]) -> bool {
        self.host.dma_write(self.function, address, data).is_ok()
    }
}

impl SocketDevice {
    /// Connects to the sockets of the functions, from function 0 on.
    ///
    /// # Errors
    /// If one is not served, or its server does not have what this device needs.
    pub fn connect(sockets: &[impl AsRef<Path>], doorbells: DoorbellPath) -> Result<Self, Error> {
        let connect = |(number, socket): (u8, &Path)| {
            let mut client = Client::connect(socket)?;
            client.map(map::READABLE | map::WRITABLE, 0, WINDOW_BYTES, None)?;
            let vectors = client.interrupts(INTERRUPT_MSIX)?.count;
            let page = match doorbells {
                DoorbellPath::Messages => None,
                DoorbellPath::Page => Some(map_doorbells(&mut client)?),
            };
            Ok(Function { number, client, vectors: (0..vectors).map(|_| Vector::default()).collect(), page })
        };
        let functions = (0..).zip(sockets.iter().map(AsRef::as_ref)).map(connect).collect::<Result<_, Error>>()?;
        let mut device = Self { functions, host: HostMemory::new(), schedule: Schedule::default(), clock: 0 };
        device.set_sideband(0, Sideband::RUNNING);
        Ok(device)
    }

    fn with<T>(&mut self, function: u8, work: impl FnOnce(&mut Function, &mut Reach<'_>) -> Result<T, Error>) -> T {
        let found = self.functions.get_mut(usize::from(function));
        let found = found.unwrap_or_else(|| panic!("there is no socket of function {function}"));
        let result = work(found, &mut Reach { host: &mut self.host, function });
        result.unwrap_or_else(|error| panic!("function {function}: {error}"))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Write { access, value } => self.write(access, value),
            Event::Sideband { function, sideband } => self.set_sideband(function, sideband),
            Event::FunctionLevelReset { function } => self.function_level_reset(function),
        }
    }

    /// Answers what the device asks for, waiting `time` for the first of it, and takes the interrupts. An interrupt comes after the accesses before it: the
    /// device has waited for the answers to these.
    fn look(&mut self, time: Duration) {
        let functions = self.functions.len() as u32;
        for function in 0..functions as u8 {
            self.with(function, |function, memory| {
                let mut time = time / functions;
                while function.client.serve(time, memory)? {
                    time = Duration::ZERO;
                }
                Ok(())
            });
        }
        for function in &self.functions {
            for vector in &function.vectors {
                let mut count = [0; 8];
                let Some(file) = &vector.file else { continue };
                if rustix::io::read(file, &mut count).is_err() {
                    continue;
                }
                let address = u64::from(vector.entry[1]) << 32 | u64::from(vector.entry[0]);
                for _ in 0..u64::from_ne_bytes(count) {
                    // Where it is not taken as a message, it is memory, or nothing.
                    let _ = self.host.dma_write(function.number, address, &vector.entry[2].to_le_bytes());
                }
            }
        }
    }
}

/// `linux/vfio.h`, `VFIO_PCI_MSIX_IRQ_INDEX`.
const INTERRUPT_MSIX: u32 = 2;

/// Maps the page of doorbells.
pub(crate) fn map_doorbells(client: &mut Client) -> Result<MmapRegion, Error> {
    let info = client.region(region::BAR0)?;
    let wanted = (u64::from(DOORBELLS.start), DOORBELLS.len() as u64);
    let area = info.areas.iter().find(|&&(start, _, bytes)| (start, bytes) == wanted);
    let (Some(&(_, offset, _)), Some(file)) = (area, info.file) else {
        return Err(Error::Protocol(format!("the doorbells cannot be mapped: {:?}", info.areas)));
    };
    let page = MmapRegion::from_file(FileOffset::new(File::from(file), offset), DOORBELLS.len());
    page.map_err(|error| Error::Protocol(format!("the file of the doorbells: {error}")))
}

/// Rings a doorbell in the page.
pub(crate) fn ring(page: &MmapRegion, offset: u32, value: u32) {
    let doorbell = page.get_atomic_ref::<AtomicU32>((offset - DOORBELLS.start) as usize);
    doorbell.expect("a doorbell is in the page").store(value, Ordering::Release);
}

impl Function {
    fn write(&mut self, access: Access, value: u64, memory: &mut Reach<'_>) -> Result<(), Error> {
        let offset = u32::try_from(access.offset).unwrap_or(u32::MAX);
        if MSIX_TABLE.contains(&offset) && access.bytes == 4 {
            return self.write_table(offset - MSIX_TABLE.start, value as u32);
        }
        match &self.page {
            Some(page) if DOORBELLS.contains(&offset) && access.bytes == 4 => {
                ring(page, offset, value as u32);
                Ok(())
            }
            _ => {
                let bytes = &value.to_le_bytes()[..usize::from(access.bytes)];
                self.client.write(region::BAR0, access.offset, bytes, memory)
            }
        }
    }

    /// A write into the table of vectors: a vector that is unmasked for the first time gets a file.
    fn write_table(&mut self, offset: u32, value: u32) -> Result<(), Error> {
        let number = offset / MSIX_ENTRY_BYTES;
        let Some(vector) = self.vectors.get_mut(number as usize) else { return Ok(()) };
        let dword = (offset % MSIX_ENTRY_BYTES / 4) as usize;
        vector.entry[dword] = value;
        if dword != 3 {
            return Ok(());
        }
        let range = number..number + 1;
        if value & 1 == 1 {
            return match vector.file {
                None => Ok(()),
                Some(_) => self.client.set_interrupts(data::NONE | action::MASK, INTERRUPT_MSIX, range, &[], &[]),
            };
        }
        let file = match vector.file.take() {
            Some(file) => file,
            None => eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        };
        let file: &OwnedFd = vector.file.insert(file);
        let trigger = data::EVENT_FILE | action::TRIGGER;
        self.client.set_interrupts(trigger, INTERRUPT_MSIX, range.clone(), &[], &[file.as_fd()])?;
        self.client.set_interrupts(data::NONE | action::UNMASK, INTERRUPT_MSIX, range, &[], &[])
    }

    fn config(&mut self, offset: u32, memory: &mut Reach<'_>) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.client.read(region::CONFIG, offset.into(), &mut bytes, memory)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn set_config(&mut self, offset: u32, value: u32, memory: &mut Reach<'_>) -> Result<(), Error> {
        self.client.write(region::CONFIG, offset.into(), &value.to_le_bytes(), memory)
    }
}

impl Device for SocketDevice {
    fn name(&self) -> &str {
        "vfio-user"
    }

    fn read(&mut self, access: Access) -> u64 {
        let value = self.with(access.function, |function, memory| {
            let mut bytes = [0; 8];
            let read = &mut bytes[..usize::from(access.bytes)];
            function.client.read(region::BAR0, access.offset, read, memory)?;
            Ok(u64::from_le_bytes(bytes))
        });
        self.look(Duration::ZERO);
        value
    }

    fn write(&mut self, access: Access, value: u64) {
        self.with(access.function, |function, memory| function.write(access, value, memory));
    }

    fn step(&mut self, clocks: u32) {
        self.clock += u64::from(clocks);
        self.host.set_clock(self.clock);
        while let Some(event) = self.schedule.due(self.clock) {
            self.happen(event);
        }
        self.look(STEP);
    }

    fn clock(&self) -> u64 {
        self.clock
    }

    /// Nobody knows: it has a clock of its own.
    fn is_idle(&self) -> bool {
        false
    }

    fn host(&mut self) -> &mut HostMemory {
        &mut self.host
    }

    fn set_sideband(&mut self, function: u8, sideband: Sideband) {
        self.with(function, |function, memory| {
            let control = command::BUS_MASTER_ENABLE.set32(0, sideband.bus_master_enable.into());
            function.set_config(COMMAND.offset, control, memory)?;
            let vectors = msix::ENABLE.set32(0, sideband.msix_enable.into());
            let vectors = msix::FUNCTION_MASK.set32(vectors, sideband.msix_function_mask.into());
            function.set_config(MSIX.offset, vectors, memory)
        });
    }

    fn function_level_reset(&mut self, function: u8) {
        self.with(function, |function, memory| {
            let control = function.config(DEVICE_CONTROL.offset, memory)?;
            let reset = device_control::INITIATE_RESET.set32(control, 1);
            function.set_config(DEVICE_CONTROL.offset, reset, memory)
        });
    }

    fn after(&mut self, clocks: u32, event: Event) {
        self.schedule.add(self.clock + u64::from(clocks), event);
    }

    /// How the path behaves is the kernel's business.
    fn set_host_timing(&mut self, _timing: BusTiming) {}
}
