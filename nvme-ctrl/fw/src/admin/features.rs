//! What Get Features and Set Features have in common. NVMe Base, "Get Features command" and "Set Features command".

use nvme_spec::feature::fid;
use nvme_spec::Status;

use crate::features::{Features, Value};

/// A feature of this controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    Arbitration,
    PowerManagement,
    TemperatureThreshold,
    ErrorRecovery,
    NumberOfQueues,
    InterruptCoalescing,
    InterruptVectorConfiguration,
    WriteAtomicity,
    AsyncEventConfiguration,
    Timestamp,
    KeepAliveTimer,
    HostIdentifier,
    NamespaceWriteProtection,
}

impl Feature {
    /// From command dword 10. There is no volatile write cache, and so no feature for it.
    pub(super) const fn decode(cdw10: u32) -> Result<Self, Status> {
        Ok(match cdw10 as u8 {
            fid::ARBITRATION => Self::Arbitration,
            fid::POWER_MANAGEMENT => Self::PowerManagement,
            fid::TEMPERATURE_THRESHOLD => Self::TemperatureThreshold,
            fid::ERROR_RECOVERY => Self::ErrorRecovery,
            fid::NUMBER_OF_QUEUES => Self::NumberOfQueues,
            fid::INTERRUPT_COALESCING => Self::InterruptCoalescing,
            fid::INTERRUPT_VECTOR_CONFIGURATION => Self::InterruptVectorConfiguration,
            fid::WRITE_ATOMICITY => Self::WriteAtomicity,
            fid::ASYNC_EVENT_CONFIGURATION => Self::AsyncEventConfiguration,
            fid::TIMESTAMP => Self::Timestamp,
            fid::KEEP_ALIVE_TIMER => Self::KeepAliveTimer,
            fid::HOST_IDENTIFIER => Self::HostIdentifier,
            fid::NAMESPACE_WRITE_PROTECTION => Self::NamespaceWriteProtection,
            _ => return Err(Status::INVALID_FIELD),
        })
    }

    /// Whether the feature belongs to a namespace and not to the controller.
    pub(super) fn is_namespace_specific(self) -> bool {
        matches!(self, Self::ErrorRecovery | Self::NamespaceWriteProtection)
    }
}

/// Host Identifier, dword 11 bit 0: EXHID, the identifier has 128 bits and not 64.
pub(super) const fn host_identifier_bytes(cdw11: u32) -> u32 {
    match cdw11 & 1 {
        0 => 8,
        _ => 16,
    }
}

/// Temperature Threshold, dword 11: which threshold of which sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThresholdSelect {
    /// Threshold Type Select: under instead of over temperature.
    pub(super) is_under: bool,
    /// Threshold Temperature Select: all sensors.
    pub(super) is_for_all: bool,
}

impl ThresholdSelect {
    /// The composite temperature is the only sensor.
    pub(super) const fn decode(cdw11: u32) -> Result<Self, Status> {
        let (sensor, threshold) = (cdw11 >> 16 & 0xF, cdw11 >> 20 & 0x3);
        if threshold > 1 || (sensor != 0 && sensor != 0xF) {
            return Err(Status::INVALID_FIELD);
        }
        Ok(Self { is_under: threshold == 1, is_for_all: sensor == 0xF })
    }

    pub(super) fn value(self, features: &mut Features) -> &mut Value {
        match self.is_under {
            true => &mut features.under_temperature,
            false => &mut features.over_temperature,
        }
    }
}
