//! Dataset Management. NVM Command Set, "Dataset Management command".

use core::mem::size_of;

use nvme_spec::dataset::{DatasetManagement, DatasetRange};
use nvme_spec::{NamespaceInfo, Status};
use soc_hal::Mmio;
use zerocopy::{FromZeros, IntoBytes};

use crate::admin::Answer;
use crate::erasure::{AtReset, Extent, SECTORS_PER_UNIT, SECTOR_SHIFT};
use crate::request::Request;
use crate::transfer::Then;
use crate::Firmware;

/// Words of a range in the data buffer.
const RANGE_WORDS: u32 = (size_of::<DatasetRange>() / 4) as u32;

impl<M: Mmio> Firmware<M> {
    /// Fetches the ranges, if there is something to do for them.
    pub(crate) fn dataset_management(
        &mut self,
        request: &Request,
        command: DatasetManagement,
    ) -> Result<Answer, Status> {
        if !command.deallocates {
            return Ok(Answer::Done(0));
        }
        self.begin_fetch(request, command.bytes(), Then::Deallocate);
        Ok(Answer::Held)
    }

    /// The ranges are in the data buffer.
    pub(crate) fn deallocate(&mut self, request: &Request) -> Result<Answer, Status> {
        let info = self.namespaces.info(request.function, request.nsid());
        let DatasetManagement { ranges, .. } =
            DatasetManagement::decode(&request.entry, &info).ok_or(Status::INTERNAL_ERROR)??;
        for number in 0..ranges {
            self.dataset_range(number).decode(&info)?;
        }
        for number in 0..ranges {
            let extent = self.extent_of(number, &info)?;
            self.erasure.add(extent);
        }
        self.begin_erasure(request, 0, AtReset::Stops);
        Ok(Answer::Held)
    }

    fn extent_of(&mut self, number: u32, info: &NamespaceInfo) -> Result<Extent, Status> {
        let blocks = self.dataset_range(number).decode(info)?;
        let namespace = self.namespaces.get(info.nsid).ok_or(Status::INVALID_NAMESPACE)?;
        let shift = namespace.lba_shift - SECTOR_SHIFT;
        let first = namespace.base_units * SECTORS_PER_UNIT;
        Ok(Extent { sector: first + (blocks.start << shift), sectors: (blocks.end - blocks.start) << shift })
    }

    fn dataset_range(&mut self, number: u32) -> DatasetRange {
        let mut range = DatasetRange::new_zeroed();
        for (word, bytes) in (number * RANGE_WORDS..).zip(range.as_mut_bytes().chunks_exact_mut(4)) {
            bytes.copy_from_slice(&self.port.buffer_word(word).to_le_bytes());
        }
        range
    }
}
