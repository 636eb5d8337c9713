//! Set Features. NVMe Base, "Set Features command".

use nvme_spec::limits::{NAMESPACES, NSID_BROADCAST};
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use super::features::{Feature, ThresholdSelect};
use super::Answer;
use crate::events::Event;
use crate::features::Features;
use crate::Firmware;

/// Save: dword 10 bit 31.
const SAVE: u32 = 1 << 31;

/// Dword 11 without its reserved bits.
mod used {
    pub(super) const ARBITRATION: u32 = 0xFFFF_FF07;
    pub(super) const POWER_STATE: u32 = 0x1F;
    pub(super) const WORKLOAD_HINT: u32 = 0xE0;
    pub(super) const THRESHOLD: u32 = 0xFFFF;
    pub(super) const TIME_LIMITED_ERROR_RECOVERY: u32 = 0xFFFF;
    pub(super) const DEALLOCATED_ERROR: u32 = 1 << 16;
    pub(super) const COALESCING: u32 = 0xFFFF;
    pub(super) const COALESCING_DISABLE: u32 = 1 << 16;
    pub(super) const DISABLE_NORMAL: u32 = 1;
    /// The critical warnings. No notice is offered: Identify Controller, OAES, is 0.
    pub(super) const ASYNC_EVENTS: u32 = 0x1F;
}

/// A number of queues that the specification forbids to ask for.
const TOO_MANY_QUEUES: u32 = 0xFFFF;

impl<M: Mmio> Firmware<M> {
    pub(super) fn set_features(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let feature = Feature::decode(entry.cdw(10))?;
        if entry.cdw(10) & SAVE != 0 {
            return Err(Status::FEATURE_NOT_SAVEABLE);
        }
        let nsid = entry.nsid.get();
        if nsid != 0 && nsid != NSID_BROADCAST {
            if !feature.is_namespace_specific() {
                return Err(Status::FEATURE_NOT_NAMESPACE_SPECIFIC);
            }
            if nsid > NAMESPACES {
                return Err(Status::INVALID_NAMESPACE);
            }
        }
        let cdw11 = entry.cdw(11);
        if feature == Feature::NumberOfQueues {
            return self.set_number_of_queues(cdw11);
        }
        let vectors = u32::from(self.hardware.io_queues) + 1;
        let was_told = self.life.features.warning_is_told();
        write(&mut self.life.features, feature, cdw11, vectors)?;
        if !was_told && self.life.features.warning_is_told() {
            self.life.events.raise(Event::TemperatureThreshold);
        }
        Ok(Answer::Done(0))
    }

    /// Grants what is asked for, up to what there is.
    fn set_number_of_queues(&mut self, cdw11: u32) -> Result<Answer, Status> {
        let (sqs, cqs) = (cdw11 & 0xFFFF, cdw11 >> 16);
        if sqs == TOO_MANY_QUEUES || cqs == TOO_MANY_QUEUES {
            return Err(Status::INVALID_FIELD);
        }
        if self.life.queues.has_io_queue() {
            return Err(Status::COMMAND_SEQUENCE_ERROR);
        }
        let value = &mut self.life.features.number_of_queues;
        let granted_sqs = sqs.min(value.default & 0xFFFF);
        let granted_cqs = cqs.min(value.default >> 16);
        value.current = granted_cqs << 16 | granted_sqs;
        Ok(Answer::Done(value.current))
    }
}

fn write(features: &mut Features, feature: Feature, cdw11: u32, vectors: u32) -> Result<(), Status> {
    match feature {
        Feature::Arbitration => features.arbitration.current = cdw11 & used::ARBITRATION,
        Feature::PowerManagement => {
            // There is one power state, number 0.
            if cdw11 & used::POWER_STATE != 0 {
                return Err(Status::INVALID_FIELD);
            }
            features.power_management.current = cdw11 & used::WORKLOAD_HINT;
        }
        Feature::TemperatureThreshold => {
            let select = ThresholdSelect::decode(cdw11)?;
            select.value(features).current = cdw11 & used::THRESHOLD;
        }
        Feature::ErrorRecovery => {
            // Identify Namespace, NSFEAT: reads of deallocated blocks are no errors.
            if cdw11 & used::DEALLOCATED_ERROR != 0 {
                return Err(Status::INVALID_FIELD);
            }
            features.error_recovery.current = cdw11 & used::TIME_LIMITED_ERROR_RECOVERY;
        }
        Feature::InterruptCoalescing => {
            features.interrupt_coalescing.current = cdw11 & used::COALESCING;
        }
        Feature::InterruptVectorConfiguration => {
            let vector = cdw11 & 0xFFFF;
            if vector >= vectors {
                return Err(Status::INVALID_FIELD);
            }
            let disabled = cdw11 & used::COALESCING_DISABLE != 0;
            features.set_coalescing_disabled(vector as u8, disabled);
        }
        Feature::WriteAtomicity => features.write_atomicity.current = cdw11 & used::DISABLE_NORMAL,
        Feature::AsyncEventConfiguration => {
            features.async_event_configuration.current = cdw11 & used::ASYNC_EVENTS;
        }
        // It answers with a result, and `set_features` has done it.
        Feature::NumberOfQueues => {}
    }
    Ok(())
}
