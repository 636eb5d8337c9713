//! Dataset Management. NVM Command Set, "Dataset Management command".

use nvme_spec::dataset::{DatasetManagement, DatasetRange};
use nvme_spec::{NamespaceInfo, Status};
use soc_hal::Mmio;

use crate::admin::Answer;
use crate::erasure::{Extent, Scope};
use crate::request::Request;
use crate::transfer::Then;
use crate::Firmware;

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
        self.begin_erasure(request, 0, Scope::Blocks);
        Ok(Answer::Held)
    }

    fn extent_of(&mut self, number: u32, info: &NamespaceInfo) -> Result<Extent, Status> {
        let blocks = self.dataset_range(number).decode(info)?;
        let namespace = self.namespaces.get(info.nsid).ok_or(Status::INVALID_NAMESPACE)?;
        Ok(namespace.extent(blocks))
    }

    fn dataset_range(&mut self, number: u32) -> DatasetRange {
        self.port.buffer_item(number)
    }
}
