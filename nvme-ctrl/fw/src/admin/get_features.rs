//! Get Features. NVMe Base, "Get Features command".

use nvme_spec::feature::{timestamp, write_protection};
use nvme_spec::firmware_port::CLOCK;
use nvme_spec::limits::NSID_BROADCAST;
use nvme_spec::Status;
use soc_hal::Mmio;

use super::features::{host_identifier_bytes, Feature, ThresholdSelect};
use super::Answer;
use crate::features::{Features, Value};
use crate::keep_alive::CLOCKS_PER_MS;
use crate::request::Request;
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
    pub(super) fn get_features(&mut self, request: &Request) -> Result<Answer, Status> {
        let feature = Feature::decode(request.cdw(10))?;
        let select = Select::decode(request.cdw(10))?;
        let function = request.function;
        let current = select == Select::Current;
        if feature.is_namespace_specific() {
            self.check_namespace_of_feature(feature, request)?;
        }
        if select == Select::Capabilities {
            let scope = if feature.is_namespace_specific() { NAMESPACE_SPECIFIC } else { 0 };
            return Ok(Answer::Done(CHANGEABLE | scope));
        }
        match feature {
            Feature::Timestamp => {
                let value = if current { self.timestamp(function) } else { 0 };
                self.send(request, &value.to_le_bytes())
            }
            Feature::HostIdentifier => {
                let identifier = if current { self.of(function).features.host_identifier } else { [0; 16] };
                self.send(request, &identifier[..host_identifier_bytes(request.cdw(11)) as usize])
            }
            Feature::KeepAliveTimer => {
                let timeout_ms = if current { self.of(function).keep_alive.timeout_ms } else { 0 };
                Ok(Answer::Done(timeout_ms))
            }
            Feature::NamespaceWriteProtection => {
                let is_protected = self.namespaces.info(function, request.nsid()).is_write_protected;
                let value = if current && is_protected { write_protection::PROTECT } else { write_protection::NONE };
                Ok(Answer::Done(value))
            }
            _ => {
                let vectors = u32::from(self.hardware.vectors);
                let value = read(&mut self.of(function).features, feature, request.cdw(11), vectors)?;
                Ok(Answer::Done(if current { value.current } else { value.default }))
            }
        }
    }

    /// Features of namespaces: Error Recovery is asked for as one of all namespaces too.
    pub(super) fn check_namespace_of_feature(&self, feature: Feature, request: &Request) -> Result<(), Status> {
        let nsid = request.nsid();
        let is_for_all = matches!(nsid, 0 | NSID_BROADCAST) && feature == Feature::ErrorRecovery;
        if is_for_all {
            return Ok(());
        }
        self.namespaces.check_valid(nsid)?;
        self.namespaces.attached(request.function, nsid).map(|_| ()).ok_or(Status::INVALID_FIELD)
    }

    /// Milliseconds since the host's epoch, or since the reset. NVMe Base, "Timestamp".
    fn timestamp(&mut self, function: u8) -> u64 {
        let now = self.port.counter(&CLOCK);
        let (at, origin) = match self.of(function).features.timestamp {
            Some((milliseconds, set_at)) => {
                (milliseconds + now.saturating_sub(set_at) / CLOCKS_PER_MS, timestamp::ORIGIN_SET)
            }
            None => (now / CLOCKS_PER_MS, 0),
        };
        at & timestamp::MILLISECONDS_MASK | origin
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
        // They have data or belong to something else, and `get_features` has read them.
        Feature::Timestamp | Feature::KeepAliveTimer | Feature::HostIdentifier | Feature::NamespaceWriteProtection => {
            return Err(Status::INTERNAL_ERROR)
        }
    })
}
