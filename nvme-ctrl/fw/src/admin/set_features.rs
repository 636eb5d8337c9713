//! Set Features. NVMe Base, "Set Features command".

use nvme_spec::feature::{notice, timestamp, write_protection};
use nvme_spec::firmware_port as regs;
use nvme_spec::limits::NSID_BROADCAST;
use nvme_spec::Status;
use soc_hal::Mmio;

use super::features::{host_identifier_bytes, Feature, ThresholdSelect};
use super::Answer;
use crate::erasure::Scope;
use crate::features::Features;
use crate::request::Request;
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
    /// The critical warnings, and the notices of Identify Controller, OAES.
    pub(super) const ASYNC_EVENTS: u32 = 0x1F | super::notice::NAMESPACE_ATTRIBUTE | super::notice::FIRMWARE_ACTIVATION;
}

/// A number of queues that the specification forbids to ask for.
const TOO_MANY_QUEUES: u32 = 0xFFFF;

impl<M: Mmio> Firmware<M> {
    pub(super) fn set_features(&mut self, request: &Request) -> Result<Answer, Status> {
        let feature = Feature::decode(request.cdw(10))?;
        if request.cdw(10) & SAVE != 0 {
            return Err(Status::FEATURE_NOT_SAVEABLE);
        }
        if feature.is_namespace_specific() {
            self.check_namespace_of_feature(feature, request)?;
        } else if !matches!(request.nsid(), 0 | NSID_BROADCAST) {
            return Err(Status::FEATURE_NOT_NAMESPACE_SPECIFIC);
        }
        let cdw11 = request.cdw(11);
        match feature {
            Feature::NumberOfQueues => return self.set_number_of_queues(request.function, cdw11),
            Feature::Timestamp => return self.fetch(request, timestamp::BYTES),
            Feature::HostIdentifier => return self.fetch(request, host_identifier_bytes(cdw11)),
            Feature::KeepAliveTimer => self.set_keep_alive(request.function, cdw11),
            Feature::NamespaceWriteProtection => return self.set_write_protection(request, cdw11 & 7),
            _ => self.set_plain_feature(request.function, feature, cdw11)?,
        }
        Ok(Answer::Done(0))
    }

    fn set_plain_feature(&mut self, function: u8, feature: Feature, cdw11: u32) -> Result<(), Status> {
        let vectors = u32::from(self.hardware.vectors);
        let told_before = self.told_warnings(function);
        write(&mut self.of(function).features, feature, cdw11, vectors)?;
        self.raise_warnings(function, told_before);
        let changed = self.of(function);
        let (arbitration, coalescing) =
            (changed.features.arbitration.current, changed.features.interrupt_coalescing.current);
        match feature {
            Feature::Arbitration => self.port.write_of(&regs::ARBITRATION, function, arbitration),
            Feature::InterruptCoalescing => self.port.write_of(&regs::COALESCING, function, coalescing),
            Feature::InterruptVectorConfiguration => self.write_vector(function, cdw11 as u16),
            _ => {}
        }
        Ok(())
    }

    /// NVMe Base, "Namespace Write Protection Config": the states that end with power are not offered. A namespace is protected when the commands have
    /// ended that the hardware began to execute before: after the completion nothing changes its blocks.
    fn set_write_protection(&mut self, request: &Request, state: u32) -> Result<Answer, Status> {
        if !matches!(state, write_protection::NONE | write_protection::PROTECT) {
            return Err(Status::INVALID_FIELD);
        }
        let nsid = request.nsid();
        let Some(namespace) = self.namespaces.get_mut(nsid) else {
            return Err(Status::INVALID_NAMESPACE);
        };
        let is_changed = namespace.is_write_protected != (state == write_protection::PROTECT);
        namespace.is_write_protected = state == write_protection::PROTECT;
        let attached = namespace.attached;
        if is_changed {
            self.write_namespace(nsid);
            self.namespace_changed(nsid, attached, request.function);
        }
        if state == write_protection::NONE {
            return Ok(Answer::Done(0));
        }
        self.begin_erasure(request, 0, Scope::Namespaces);
        Ok(Answer::Held)
    }

    /// The value of the feature is in the data buffer.
    pub(super) fn set_feature_with_data(&mut self, request: &Request) -> Result<u32, Status> {
        let function = request.function;
        match Feature::decode(request.cdw(10))? {
            Feature::Timestamp => {
                let now = self.port.counter(&regs::CLOCK);
                let low = u64::from(self.port.buffer_word(0));
                let value = u64::from(self.port.buffer_word(1)) << 32 | low;
                self.of(function).features.timestamp = Some((value & timestamp::MILLISECONDS_MASK, now));
            }
            _ => {
                let mut identifier = [0; 16];
                let bytes = host_identifier_bytes(request.cdw(11)) as usize;
                for (index, word) in (0..).zip(identifier[..bytes].chunks_exact_mut(4)) {
                    word.copy_from_slice(&self.port.buffer_word(index).to_le_bytes());
                }
                self.of(function).features.host_identifier = identifier;
            }
        }
        Ok(0)
    }

    /// Grants what is asked for, up to what there is.
    fn set_number_of_queues(&mut self, function: u8, cdw11: u32) -> Result<Answer, Status> {
        let (sqs, cqs) = (cdw11 & 0xFFFF, cdw11 >> 16);
        if sqs == TOO_MANY_QUEUES || cqs == TOO_MANY_QUEUES {
            return Err(Status::INVALID_FIELD);
        }
        if self.of(function).queues.has_io_queue() {
            return Err(Status::COMMAND_SEQUENCE_ERROR);
        }
        // What is stored is one less.
        let grant = |firmware: &Self, asked: u32| u32::from(firmware.queues_for(function, asked as u16 + 1) - 1);
        let value = grant(self, cqs) << 16 | grant(self, sqs);
        self.of(function).features.number_of_queues.current = value;
        Ok(Answer::Done(value))
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
        // `set_features` has done these.
        Feature::NumberOfQueues
        | Feature::Timestamp
        | Feature::KeepAliveTimer
        | Feature::HostIdentifier
        | Feature::NamespaceWriteProtection => {}
    }
    Ok(())
}
