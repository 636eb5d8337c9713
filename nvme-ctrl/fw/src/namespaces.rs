//! The namespaces of the NVM subsystem. NVMe Base, "Namespaces" and "Namespace Management".
//!
//! A namespace is a contiguous piece of the storage. A new one gets the first gap that is large enough.

use core::ops::Range;

use nvme_spec::limits::{NAMESPACES_MAX, NSID_BROADCAST, STORAGE_UNIT_BYTES};
use nvme_spec::{NamespaceInfo, Status};
use soc_hal::Mmio;

use crate::config::Config;
use crate::erasure::{Extent, SECTORS_PER_UNIT, SECTOR_SHIFT};
use crate::events::Event;
use crate::port::{Hardware, NamespaceRow};
use crate::Firmware;

const COUNT: usize = NAMESPACES_MAX as usize;

/// Log2 of the bytes of a unit of the storage.
const UNIT_SHIFT: u32 = STORAGE_UNIT_BYTES.trailing_zeros();

/// A namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) base_units: u64,
    pub(crate) blocks: u64,
    /// Log2 of the bytes of a logical block.
    pub(crate) lba_shift: u8,
    pub(crate) is_shared: bool,
    /// A bit for each function.
    pub(crate) attached: u8,
    pub(crate) is_write_protected: bool,
    /// It is being formatted or made: the hardware does not know of it, so that every I/O command comes to firmware.
    pub(crate) is_formatting: bool,
    /// How many namespaces were made before it: identifiers are used again, this is not.
    pub(crate) serial: u32,
}

impl Namespace {
    pub(crate) const fn lba_bytes(&self) -> u32 {
        1 << self.lba_shift
    }

    /// Where its logical blocks lie in the storage.
    pub(crate) const fn extent(&self, blocks: Range<u64>) -> Extent {
        let shift = self.lba_shift - SECTOR_SHIFT;
        let sector = self.base_units * SECTORS_PER_UNIT + (blocks.start << shift);
        Extent { sector, sectors: (blocks.end - blocks.start) << shift }
    }

    pub(crate) const fn is_attached_to(&self, function: u8) -> bool {
        self.attached >> function & 1 == 1
    }

    /// Its size in units of the storage.
    pub(crate) const fn units(&self) -> u64 {
        units_of(self.blocks, self.lba_shift)
    }
}

/// Units of the storage that so many blocks take.
pub(crate) const fn units_of(blocks: u64, lba_shift: u8) -> u64 {
    blocks.div_ceil(1 << (UNIT_SHIFT - lba_shift as u32))
}

/// All namespaces, by identifier minus one.
pub(crate) struct Namespaces {
    table: [Option<Namespace>; COUNT],
    units: u64,
    /// Namespaces made so far.
    made: u32,
    /// How often anything here may have changed.
    pub(crate) changes: u32,
    /// Whether there may be more than one.
    pub(crate) is_managed: bool,
    /// The hardware knows of no namespace, so that every I/O command comes to firmware.
    pub(crate) is_hidden: bool,
    /// How a valid command ends that the hardware has not executed. It has not known of the namespace, and this is why that was so last: when the
    /// command is taken from the inbox, the hardware may know of the namespace again.
    pub(crate) unready: Status,
}

impl Namespaces {
    pub(crate) const fn new() -> Self {
        Self {
            table: [None; COUNT],
            units: 0,
            made: 0,
            changes: 0,
            is_managed: false,
            is_hidden: false,
            unready: Status::INTERNAL_ERROR,
        }
    }

    /// The namespaces of the start.
    pub(crate) fn set_up(&mut self, config: &Config, hardware: &Hardware) {
        self.changes += 1;
        self.is_managed = hardware.has_namespace_base;
        let count = if self.is_managed { COUNT } else { 1 };
        let lba_shift = hardware.lba_bytes.ilog2() as u8;
        for (place, namespace) in self.table.iter_mut().zip(config.namespaces).take(count) {
            if namespace.blocks == 0 {
                continue;
            }
            *place = Some(Namespace {
                base_units: self.units,
                blocks: namespace.blocks,
                lba_shift,
                is_shared: namespace.is_shared,
                attached: namespace.attached,
                is_write_protected: false,
                is_formatting: false,
                serial: self.made,
            });
            self.made += 1;
            self.units += units_of(namespace.blocks, lba_shift);
        }
        self.units += config.unallocated_units;
    }

    /// Identify Controller, NN: the highest identifier that there can be.
    pub(crate) const fn highest(&self) -> u32 {
        if self.is_managed {
            NAMESPACES_MAX
        } else {
            1
        }
    }

    /// A namespace that exists.
    pub(crate) fn get(&self, nsid: u32) -> Option<&Namespace> {
        let index = (nsid as usize).checked_sub(1)?;
        self.table.get(index)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, nsid: u32) -> Option<&mut Namespace> {
        self.changes = self.changes.wrapping_add(1);
        let index = (nsid as usize).checked_sub(1)?;
        self.table.get_mut(index)?.as_mut()
    }

    /// A namespace that the function sees.
    pub(crate) fn attached(&self, function: u8, nsid: u32) -> Option<&Namespace> {
        self.get(nsid).filter(|namespace| namespace.is_attached_to(function))
    }

    /// Refuses a command for a namespace that is being erased. NVMe Base, "Format NVM command".
    pub(crate) fn check_ready(&self, function: u8, nsid: u32) -> Result<(), Status> {
        match self.attached(function, nsid) {
            Some(namespace) if namespace.is_formatting => Err(Status::FORMAT_IN_PROGRESS),
            _ => Ok(()),
        }
    }

    /// Whether there can be a namespace of this identifier. NVMe Base, "Valid and Invalid NSIDs".
    pub(crate) fn check_valid(&self, nsid: u32) -> Result<(), Status> {
        if nsid == 0 || nsid > self.highest() {
            return Err(Status::INVALID_NAMESPACE);
        }
        Ok(())
    }

    /// The identifiers in use, ascending.
    pub(crate) fn allocated(&self) -> impl Iterator<Item = (u32, &Namespace)> {
        (1..).zip(&self.table).filter_map(|(nsid, namespace)| Some((nsid, namespace.as_ref()?)))
    }

    /// What decoding an I/O command must know; for "all namespaces" that is one that the function sees.
    pub(crate) fn info(&self, function: u8, nsid: u32) -> NamespaceInfo {
        let of = |nsid: u32, namespace: &Namespace| NamespaceInfo {
            nsid,
            blocks: namespace.blocks,
            is_write_protected: namespace.is_write_protected,
        };
        let mut attached = self.allocated().filter(|(_, namespace)| namespace.is_attached_to(function));
        let found = attached.find(|(candidate, _)| *candidate == nsid || nsid == NSID_BROADCAST);
        let none = NamespaceInfo { nsid, blocks: 0, is_write_protected: false };
        found.map_or(none, |(nsid, namespace)| of(nsid, namespace))
    }

    /// Units of the whole storage.
    pub(crate) const fn units(&self) -> u64 {
        self.units
    }

    /// Units that no namespace has.
    pub(crate) fn free_units(&self) -> u64 {
        self.units - self.allocated().map(|(_, namespace)| namespace.units()).sum::<u64>()
    }

    /// Makes a namespace that no function sees yet.
    pub(crate) fn create(&mut self, blocks: u64, lba_shift: u8, is_shared: bool) -> Result<u32, Status> {
        let units = units_of(blocks, lba_shift);
        let Some(base_units) = self.first_fit(units) else {
            return Err(Status::NAMESPACE_INSUFFICIENT_CAPACITY);
        };
        let Some(index) = self.table.iter().position(Option::is_none) else {
            return Err(Status::NAMESPACE_IDENTIFIER_UNAVAILABLE);
        };
        self.changes = self.changes.wrapping_add(1);
        self.table[index] = Some(Namespace {
            base_units,
            blocks,
            lba_shift,
            is_shared,
            attached: 0,
            is_write_protected: false,
            is_formatting: false,
            serial: self.made,
        });
        self.made += 1;
        Ok(index as u32 + 1)
    }

    /// The first gap of so many units.
    fn first_fit(&self, units: u64) -> Option<u64> {
        // A gap starts at the start of the storage or behind a namespace.
        let ends = self.allocated().map(|(_, namespace)| namespace.base_units + namespace.units());
        let fits = |start: &u64| {
            let Some(end) = start.checked_add(units).filter(|end| *end <= self.units) else {
                return false;
            };
            let mut others = self.allocated().map(|(_, other)| (other.base_units, other.base_units + other.units()));
            others.all(|(base, behind)| end <= base || behind <= *start)
        };
        core::iter::once(0).chain(ends).filter(fits).min()
    }

    pub(crate) fn delete(&mut self, nsid: u32) {
        self.changes = self.changes.wrapping_add(1);
        self.table[nsid as usize - 1] = None;
    }

    /// The row of the hardware's table.
    fn row(&self, index: usize) -> NamespaceRow {
        let none = NamespaceRow { base_units: 0, blocks: 0, attached: 0, lba_shift: 0, is_write_protected: false };
        let known = self.table[index].filter(|namespace| !self.is_hidden && !namespace.is_formatting);
        known.map_or(none, |namespace| NamespaceRow {
            base_units: namespace.base_units,
            blocks: namespace.blocks,
            attached: namespace.attached,
            lba_shift: namespace.lba_shift,
            is_write_protected: namespace.is_write_protected,
        })
    }
}

impl<M: Mmio> Firmware<M> {
    /// Tells the hardware of all namespaces.
    pub(crate) fn write_namespaces(&mut self) {
        for index in 0..NAMESPACES_MAX {
            let row = self.namespaces.row(index as usize);
            self.port.set_namespace(index, &row);
        }
    }

    /// Tells the hardware of one namespace.
    pub(crate) fn write_namespace(&mut self, nsid: u32) {
        let row = self.namespaces.row(nsid as usize - 1);
        self.port.set_namespace(nsid - 1, &row);
    }

    /// Nobody begins to read or write a namespace until the next erasure has ended.
    pub(crate) fn close_namespace(&mut self, nsid: u32) {
        if let Some(namespace) = self.namespaces.get_mut(nsid) {
            namespace.is_formatting = true;
            self.namespaces.unready = Status::FORMAT_IN_PROGRESS;
            self.write_namespace(nsid);
        }
    }

    /// All of a namespace, which is closed, is erased next.
    pub(crate) fn add_namespace_to_erasure(&mut self, nsid: u32) {
        if let Some(namespace) = self.namespaces.get(nsid) {
            let [sector, sectors] = [namespace.base_units, namespace.units()].map(|units| units * SECTORS_PER_UNIT);
            self.erasure.add(Extent { sector, sectors });
        }
    }

    /// No namespace is being formatted or made any more.
    pub(crate) fn end_formatting(&mut self) {
        for nsid in 1..=self.namespaces.highest() {
            if let Some(namespace) = self.namespaces.get_mut(nsid).filter(|namespace| namespace.is_formatting) {
                namespace.is_formatting = false;
                self.write_namespace(nsid);
            }
        }
    }

    /// A namespace has changed for the functions in `functions`; the one that asked for the change knows. NVMe Base, "Changed Namespace List".
    pub(crate) fn namespace_changed(&mut self, nsid: u32, functions: u8, asked: u8) {
        for function in 0..self.function_count() {
            if function == asked || functions >> function & 1 == 0 {
                continue;
            }
            let changed = self.of(function);
            changed.changed_namespaces |= 1 << (nsid - 1);
            if changed.features.wants_namespace_notices() {
                changed.events.raise(Event::NamespaceAttributeChanged);
            }
        }
    }
}
