//! A drive as tools know it, whatever is behind it.

use flash_fw::{Config, Purpose, Smart};
use flash_model::fast_path::PageCounts;
use flash_model::Array;
use flash_spec::fast_path::Buffer;
use flash_spec::limits::UNITS_PER_PAGE;
use flash_spec::record::{MAP_ENTRIES, UNMAPPED};
use flash_spec::{Geometry, PageAddress, Reliability};
use soc_hal::Flash;

use crate::drive::{Drive, Stopped};
use crate::image::Image;
use crate::Owned;

/// Lines of the cache.
const LINES: usize = 64;
/// Polls of the firmware after which it has to be ready.
const POLLS_MAX: u32 = 10_000_000;

/// A drive: units that are written and read, and what can be seen of its inside. A unit of data is a number of 64 bits, which stands for
/// [`UNIT_BYTES`](flash_spec::limits::UNIT_BYTES).
///
/// The firmware over the reference fast path is such a one ([`Drive`]), and so is whatever else takes an [`Image`] and gives it back.
pub trait FlashDrive {
    /// What its firmware was told.
    fn config(&self) -> &Config;

    /// Writes a unit.
    ///
    /// # Errors
    /// See [`Stopped`].
    fn write(&mut self, unit: u32, data: u64) -> Result<(), Stopped>;

    /// Reads a unit: `None` if it was never written, or trimmed.
    ///
    /// # Errors
    /// See [`Stopped`].
    fn read(&mut self, unit: u32) -> Result<Option<u64>, Stopped>;

    /// Trims a unit.
    ///
    /// # Errors
    /// See [`Stopped`].
    fn trim(&mut self, unit: u32) -> Result<(), Stopped>;

    /// Makes all that was acknowledged safe from a power cut.
    ///
    /// # Errors
    /// See [`Stopped`].
    fn flush(&mut self) -> Result<(), Stopped>;

    /// What it tells about its health.
    fn smart(&mut self) -> Smart;

    /// Whether it takes no more writes.
    fn is_read_only(&self) -> bool;

    /// Pages that were programmed since power-up.
    fn pages(&mut self) -> PageCounts;

    /// What each block is used for, in the order of [`Geometry::block_index`].
    ///
    /// # Errors
    /// See [`Stopped`].
    fn blocks(&mut self) -> Result<Vec<BlockUse>, Stopped>;

    /// Flushes, writes a checkpoint and takes the power away.
    ///
    /// # Errors
    /// See [`Stopped`].
    fn save(self) -> Result<Image, Stopped>
    where
        Self: Sized;
}

/// What a block is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nothing: it is erased, or about to be used.
    Erased,
    /// Units of the host are being written to it.
    Open,
    /// Units of the host, valid or not.
    Full,
    /// The device's own: the map, the log, anchors.
    Own,
    /// Nothing ever more.
    Bad,
}

/// A block as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockUse {
    /// What it is used for.
    pub purpose: Use,
    /// Units that the map refers to.
    pub valid_units: u32,
    /// Pages that were programmed since the last erase, or destroyed.
    pub written_pages: u32,
    /// How often it was erased.
    pub erases: u32,
}

impl BlockUse {
    /// Units of pages that were programmed and hold nothing that the map refers to.
    pub const fn invalid_units(&self) -> u32 {
        (self.written_pages * UNITS_PER_PAGE).saturating_sub(self.valid_units)
    }
}

impl<'m> Drive<'m> {
    /// A new drive, formatted.
    ///
    /// # Errors
    /// See [`Stopped`].
    ///
    /// # Panics
    /// If the configuration breaks a constraint.
    pub fn formatted(config: Config, memory: &'m mut Owned, seed: u64) -> Result<Self, Stopped> {
        let array = Array::new(config.geometry, Reliability::DEFAULT);
        let mut drive = Self::new(config, memory.lend(), array, LINES, seed, u64::MAX);
        drive.format()?;
        Ok(drive)
    }

    /// The drive of an image, powered up again: `memory` is that of its configuration.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub fn restored(image: Image, memory: &'m mut Owned, seed: u64) -> Result<Self, Stopped> {
        let Image { config, array } = image;
        let mut drive = Self::new(config, memory.lend(), array, LINES, seed, u64::MAX);
        drive.mount()?;
        Ok(drive)
    }

    fn poll_until(&mut self, mut is_ready: impl FnMut(&mut Self) -> bool) -> Result<(), Stopped> {
        for _ in 0..POLLS_MAX {
            if is_ready(self) {
                return Ok(());
            }
            self.poll();
        }
        Err(Stopped::Hangs)
    }
}

impl FlashDrive for Drive<'_> {
    fn config(&self) -> &Config {
        self.ftl.config()
    }

    fn write(&mut self, unit: u32, data: u64) -> Result<(), Stopped> {
        self.write(unit, data)
    }

    fn read(&mut self, unit: u32) -> Result<Option<u64>, Stopped> {
        self.read(unit)
    }

    fn trim(&mut self, unit: u32) -> Result<(), Stopped> {
        self.trim(unit)
    }

    fn flush(&mut self) -> Result<(), Stopped> {
        self.flush()
    }

    fn smart(&mut self) -> Smart {
        self.ftl.smart()
    }

    fn is_read_only(&self) -> bool {
        self.ftl.is_read_only()
    }

    fn pages(&mut self) -> PageCounts {
        self.path().pages()
    }

    fn blocks(&mut self) -> Result<Vec<BlockUse>, Stopped> {
        self.poll_until(|drive| drive.ftl.is_map_loaded())?;
        let config = *FlashDrive::config(self);
        let geometry = config.geometry;
        let mut valid = vec![0; geometry.blocks() as usize];
        for unit in 0..config.units {
            let place = self.port().read_word(Buffer::Map((unit / MAP_ENTRIES) as u16), unit % MAP_ENTRIES);
            if place != UNMAPPED {
                let page = geometry.page_at(u64::from(place / UNITS_PER_PAGE));
                valid[geometry.block_index(page) as usize] += 1;
            }
        }
        let views: Vec<_> = self.ftl.super_blocks().collect();
        let array = self.path().array();
        let block = |index: u32| {
            let (super_block, plane) = (index / geometry.planes(), index % geometry.planes());
            let view = views[super_block as usize];
            let first = first_page(&geometry, super_block, plane);
            let page = |page| PageAddress { page: page as u16, ..first };
            BlockUse {
                purpose: match view.purpose {
                    _ if view.bad >> plane & 1 == 1 => Use::Bad,
                    Purpose::Erased => Use::Erased,
                    Purpose::Open => Use::Open,
                    Purpose::Full => Use::Full,
                    Purpose::Own => Use::Own,
                    Purpose::Retired => Use::Bad,
                },
                valid_units: valid[index as usize],
                written_pages: (0..geometry.pages_per_block).filter(|&at| !array.is_blank(page(at))).count() as u32,
                erases: array.erases(first),
            }
        };
        Ok((0..geometry.blocks()).map(block).collect())
    }

    fn save(mut self) -> Result<Image, Stopped> {
        self.flush()?;
        if !self.is_read_only() {
            self.ftl.prepare_power_off();
            self.poll_until(|drive| drive.ftl.is_prepared())?;
        }
        let config = *FlashDrive::config(&self);
        Ok(Image { config, array: self.cut() })
    }
}

fn first_page(geometry: &Geometry, super_block: u32, plane: u32) -> PageAddress {
    let stripe = u64::from(super_block) * u64::from(geometry.pages_per_block);
    geometry.page_at(stripe * u64::from(geometry.planes()) + u64::from(plane))
}
