//! Get Features. NVMe Base, "Get Features command".

use nvme_spec::limits::{NAMESPACES, NSID_BROADCAST};
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use super::features::{Feature, ThresholdSelect};
use super::Answer;
use crate::features::{Features, Value};
use crate::Firmware;

/// Select: dword 10 bits 10:8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Select {
    Current,
    Default,
    Capabilities,
}

impl Select {
    const fn decode(cdw10: u32) -> Result<Self, Status> {
        match cdw10 >> 8 & 7 {
            0 => Ok(Self::Current),
            // No feature is saveable, and then the saved value is the default.
            1 | 2 => Ok(Self::Default),
            3 => Ok(Self::Capabilities),
            _ => Err(Status::INVALID_FIELD),
        }
    }
}

/// Supported Capabilities: the feature belongs to a namespace.
const NAMESPACE_SPECIFIC: u32 = 1 << 1;
/// Supported Capabilities: the feature can be changed.
const CHANGEABLE: u32 = 1 << 2;

impl<M: Mmio> Firmware<M> {
    pub(super) fn get_features(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let feature = Feature::decode(entry.cdw(10))?;
        let select = Select::decode(entry.cdw(10))?;
        let nsid = entry.nsid.get();
        if feature.is_namespace_specific() && nsid > NAMESPACES && nsid != NSID_BROADCAST {
            return Err(Status::INVALID_NAMESPACE);
        }
        let vectors = u32::from(self.hardware.io_queues) + 1;
        let value = read(&mut self.life.features, feature, entry.cdw(11), vectors)?;
        Ok(Answer::Done(match select {
            Select::Current => value.current,
            Select::Default => value.default,
            Select::Capabilities if feature.is_namespace_specific() => CHANGEABLE | NAMESPACE_SPECIFIC,
            Select::Capabilities => CHANGEABLE,
        }))
    }
}

fn read(features: &mut Features, feature: Feature, cdw11: u32, vectors: u32) -> Result<Value, Status> {
    Ok(match feature {
        Feature::Arbitration => features.arbitration,
        Feature::PowerManagement => features.power_management,
        Feature::ErrorRecovery => features.error_recovery,
        Feature::NumberOfQueues => features.number_of_queues,
        Feature::InterruptCoalescing => features.interrupt_coalescing,
        Feature::WriteAtomicity => features.write_atomicity,
        Feature::AsyncEventConfiguration => features.async_event_configuration,
        Feature::TemperatureThreshold => {
            let select = ThresholdSelect::decode(cdw11)?;
            if select.is_for_all {
                return Err(Status::INVALID_FIELD);
            }
            *select.value(features)
        }
        Feature::InterruptVectorConfiguration => {
            let vector = cdw11 & 0xFFFF;
            if vector >= vectors {
                return Err(Status::INVALID_FIELD);
            }
            let with = |disabled: bool| u32::from(disabled) << 16 | vector;
            Value { current: with(features.is_coalescing_disabled(vector as u8)), default: with(vector == 0) }
        }
    })
}
