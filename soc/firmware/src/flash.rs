//! The hart of cache and translation: the firmware of the flash.

use crate::csr::{clear_csr, read_csr, write_csr};
use crate::start::{wait, HOST_INTERFACE};
use crate::{sbi, tracing};
use core::mem::MaybeUninit;
use core::slice;
use flash_fw::{Ftl, Memory, SuperBlock};
use flash_spec::fast_path::shared_bytes;
use flash_spec::record::{MAP_ENTRIES, MARK_WORDS};
use nvme_fw::MediumHealth;
use soc_firmware::medium::{health, Letterbox, HEALTH_CLOCKS, POLL_CLOCKS};
use soc_firmware::parameters::FlashParameters;
use soc_hal::{FastPath, Layout, Mmio, Registers, Shared};
use soc_map::clint::CLOCKS_PER_TICK;
use soc_map::firmware::FLASH_TABLES;
use soc_map::privileged::interrupt::{EXTERNAL, SOFTWARE, TIMER};
use soc_map::trace::FLASH_READY;
use soc_map::{Region, FLASH_FIRMWARE_PORT, FLASH_SHARED};
use zerocopy::FromBytes;

/// What the hart of the host interface is told.
pub static HEALTH: Letterbox<MediumHealth> = Letterbox::new();

/// Time from one poll to the next, if the flash has nothing to tell.
const POLL_TICKS: u64 = POLL_CLOCKS / CLOCKS_PER_TICK as u64;

/// Time from one time that [`HEALTH`] is told to the next.
const HEALTH_TICKS: u64 = HEALTH_CLOCKS / CLOCKS_PER_TICK as u64;

/// The fast path, as this hart reaches it.
struct Hardware {
    port: Registers,
    shared: Registers,
}

impl Mmio for Hardware {
    fn read32(&mut self, offset: u32) -> u32 {
        self.port.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.port.write32(offset, value);
    }
}

impl Shared for Hardware {
    fn load32(&mut self, address: u64) -> u32 {
        self.shared.read32(address as u32)
    }

    fn store32(&mut self, address: u64, value: u32) {
        self.shared.write32(address as u32, value);
    }
}

/// Serves the flash, for ever.
pub fn run(hart: u32, parameters: &FlashParameters) -> ! {
    let mut ftl = new(parameters);
    let started = if parameters.is_new { ftl.format() } else { ftl.mount() };
    started.unwrap_or_else(|error| panic!("the flash does not come up: {}", error.message()));
    let written_before = ftl.smart().written_units;
    tracing::write(hart, &FLASH_READY, [parameters.is_new.into(), parameters.config.units.into(), 0]);
    // The hart of the host interface clears the variables, and says when they are there.
    write_csr!("sie", SOFTWARE);
    while read_csr!("sip") & SOFTWARE == 0 {
        wait();
    }
    clear_csr!("sip", SOFTWARE);
    write_csr!("sie", EXTERNAL | TIMER);
    sbi::set_timer(0);
    let mut next_health = 0;
    loop {
        while read_csr!("sip") & (EXTERNAL | TIMER) == 0 {
            wait();
        }
        ftl.poll();
        if read_csr!("sip") & TIMER == 0 {
            continue;
        }
        let now = sbi::time();
        if now >= next_health {
            next_health = now + HEALTH_TICKS;
            // SAFETY: only this hart puts something in. If there is something in it, the next one is there soon.
            if unsafe { HEALTH.put(health(&mut ftl, written_before)) } {
                sbi::interrupt_hart(HOST_INTERFACE);
            }
        }
        sbi::set_timer(now + POLL_TICKS);
    }
}

/// The translation layer, which is not mounted.
fn new(parameters: &FlashParameters) -> Ftl<'static, FastPath<Hardware>> {
    let FlashParameters { config, map_pages, .. } = *parameters;
    let mut room = Room { next: FLASH_TABLES.base };
    let super_blocks = config.geometry.blocks_per_plane as usize;
    let memory = Memory {
        super_blocks: room.filled(super_blocks, SuperBlock::NEW),
        directory: room.slice(config.directory_entries()),
        marks: room.slice(config.map_pages() * MARK_WORDS),
        newest: room.slice(MAP_ENTRIES),
        deltas: room.slice(config.deltas()),
    };
    let layout = Layout { shared_base: 0, read_spares_base: shared_bytes(map_pages), map_pages };
    let driver = FastPath::new(hardware(), layout);
    Ftl::new(driver, config, memory).unwrap_or_else(|error| panic!("the flash: {}", error.message()))
}

fn hardware() -> Hardware {
    let registers = |region: &Region| {
        // SAFETY: the map says that they lie there, and the protection gives them to this hart alone.
        unsafe { Registers::new(region.base as *mut u32, region.bytes as u32) }
    };
    Hardware { port: registers(&FLASH_FIRMWARE_PORT), shared: registers(&FLASH_SHARED) }
}

/// What is left of [`FLASH_TABLES`], which is lent out once.
struct Room {
    next: u64,
}

impl Room {
    /// The place for so many of these.
    fn take<T>(&mut self, count: usize) -> &'static mut [MaybeUninit<T>] {
        let place = self.next.next_multiple_of(align_of::<T>() as u64);
        self.next = place + (count * size_of::<T>()) as u64;
        assert!(self.next <= FLASH_TABLES.end(), "the flash needs more than {} bytes of tables", FLASH_TABLES.bytes);
        // SAFETY: the map gives the memory to this, and each part of it is lent once.
        unsafe { slice::from_raw_parts_mut(place as *mut MaybeUninit<T>, count) }
    }

    /// So many, as they come.
    fn slice<T: FromBytes>(&mut self, count: u32) -> &'static mut [T] {
        let place = self.take::<T>(count as usize);
        // SAFETY: memory has bytes, and any are what they are to be.
        unsafe { slice::from_raw_parts_mut(place.as_mut_ptr().cast(), place.len()) }
    }

    /// So many of the same.
    fn filled<T: Copy>(&mut self, count: usize, value: T) -> &'static mut [T] {
        let place = self.take::<T>(count);
        place.iter_mut().for_each(|place| {
            place.write(value);
        });
        // SAFETY: each has been written.
        unsafe { slice::from_raw_parts_mut(place.as_mut_ptr().cast(), place.len()) }
    }
}
