//! NVMe Base, "Get Features command" and "Set Features command".

use nvme_spec::feature::{fid, notice, timestamp, write_protection};
use nvme_spec::feature::{AGGREGATION_TIME_CLOCKS, ARBITRATION_DEFAULT};
use nvme_spec::firmware_port::coalescing::{THR, TIME};
use nvme_spec::limits::{CORE_HZ, NSID_BROADCAST};
use nvme_spec::log::critical_warning;
use nvme_spec::{SqEntry, Status};

use crate::controller::Controller;
use crate::host::HostPort;
use crate::interrupts::Aggregation;
use crate::Config;

/// What the model's only sensor shows, in kelvin.
pub(super) const TEMPERATURE: u16 = 313;

/// Identify Controller, WCTEMP and the default of the over temperature threshold.
pub(super) const WARNING_TEMPERATURE: u16 = 343;

/// Identify Controller, CCTEMP.
pub(super) const CRITICAL_TEMPERATURE: u16 = 353;

/// Command dword 10 of Set Features: SV, Save.
const SAVE: u32 = 1 << 31;

/// Asynchronous Event Configuration: a bit for each defined Critical Warning.
const SMART_EVENTS: u32 = 0x1F;

/// Error Recovery: Deallocated or Unwritten Logical Block Error Enable.
const DULBE: u32 = 1 << 16;

/// Interrupt Vector Configuration: Coalescing Disable.
const COALESCING_DISABLE: u32 = 1 << 16;

/// Clocks in a millisecond.
const CLOCKS_PER_MS: u64 = CORE_HZ / 1000;

/// Identify Controller, OAES.
pub(super) const NOTICES: u32 = notice::NAMESPACE_ATTRIBUTE | notice::FIRMWARE_ACTIVATION;

/// The values of all features.
#[derive(Clone)]
pub(crate) struct Features {
    arbitration: u32,
    power_management: u32,
    over_temperature: u16,
    under_temperature: u16,
    error_recovery: u32,
    /// Queues asked for, minus one, as (submission, completion); nothing was asked for: all.
    queues: Option<(u16, u16)>,
    interrupt_coalescing: u32,
    coalescing_disabled: Vec<bool>,
    write_atomicity: u32,
    event_configuration: u32,
    host_identifier: [u8; 16],
    /// What the host has set, in milliseconds, and in which clock.
    timestamp: Option<(u64, u64)>,
    keep_alive_ms: u32,
    /// The clock in which the host was last heard of.
    heard: u64,
}

impl Features {
    pub(crate) fn new(vectors: u16) -> Self {
        Self {
            arbitration: ARBITRATION_DEFAULT,
            power_management: 0,
            over_temperature: WARNING_TEMPERATURE,
            under_temperature: 0,
            error_recovery: 0,
            queues: None,
            interrupt_coalescing: 0,
            // The admin queue is never coalesced.
            coalescing_disabled: (0..vectors).map(|vector| vector == 0).collect(),
            write_atomicity: 0,
            event_configuration: 0,
            host_identifier: [0; 16],
            timestamp: None,
            keep_alive_ms: 0,
            heard: 0,
        }
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.coalescing_disabled.len() as u16);
    }

    pub(crate) fn granted_submission_queues(&self, config: &Config) -> u16 {
        let asked = self.queues.map_or(config.io_queues, |q| q.0 + 1);
        asked.min(config.io_queues)
    }

    pub(crate) fn granted_completion_queues(&self, config: &Config) -> u16 {
        let asked = self.queues.map_or(config.io_queues, |q| q.1 + 1);
        asked.min(config.io_queues)
    }

    /// Whether the host wants to hear of a notice.
    pub(super) const fn wants(&self, notice: u32) -> bool {
        self.event_configuration & notice != 0
    }

    pub(super) const fn arbitration(&self) -> u32 {
        self.arbitration
    }

    /// How requests of a vector are coalesced, if they are. NVMe Base, "Interrupt Coalescing" and "Interrupt Vector Configuration".
    pub(super) fn aggregation(&self, vector: u16) -> Option<Aggregation> {
        let time = TIME.get32(self.interrupt_coalescing);
        let takes_part = vector != 0 && time > 0 && !self.coalescing_disabled[usize::from(vector)];
        takes_part.then(|| Aggregation {
            entries: THR.get32(self.interrupt_coalescing) + 1,
            clocks: u64::from(time) * AGGREGATION_TIME_CLOCKS,
        })
    }

    /// SMART, Critical Warning.
    pub(super) fn critical_warning(&self) -> u8 {
        let too_hot = TEMPERATURE >= self.over_temperature;
        let too_cold = TEMPERATURE <= self.under_temperature;
        if too_hot || too_cold {
            critical_warning::TEMPERATURE
        } else {
            0
        }
    }
}

/// "Temperature Threshold": which of them.
enum Threshold {
    Over,
    Under,
}

/// THSEL and TMPSEL. There is no sensor but the composite temperature; `for_all` allows the value that means all of them.
fn threshold(cdw11: u32, for_all: bool) -> Result<Threshold, Status> {
    let (tmpsel, thsel) = (cdw11 >> 16 & 0xF, cdw11 >> 20 & 3);
    if tmpsel != 0 && !(for_all && tmpsel == 0xF) {
        return Err(Status::INVALID_FIELD);
    }
    match thsel {
        0 => Ok(Threshold::Over),
        1 => Ok(Threshold::Under),
        _ => Err(Status::INVALID_FIELD),
    }
}

impl Controller {
    pub(super) fn get_features(&mut self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<u32, Status> {
        let feature = entry.cdw(10) as u8;
        // A feature that does not exist is refused before what is asked of it.
        if !exists(feature) {
            return Err(Status::INVALID_FIELD);
        }
        let select = entry.cdw(10) >> 8 & 7;
        let is_of_namespace = is_of_namespace(feature);
        match select {
            0..=3 if is_of_namespace => self.check_namespace(feature, entry.nsid.get())?,
            0..=3 => {}
            _ => return Err(Status::INVALID_FIELD),
        }
        if select == 3 {
            // Supported capabilities: bit 0 saveable, bit 1 namespace specific, bit 2 changeable.
            return Ok(4 | u32::from(is_of_namespace) << 1);
        }
        // Nothing is saved, so that the saved value is the default.
        let defaults = Features::new(self.admin.features.coalescing_disabled.len() as u16);
        let is_current = select == 0;
        let features = if is_current { &self.admin.features } else { &defaults };
        let value = match feature {
            fid::ARBITRATION => features.arbitration,
            fid::POWER_MANAGEMENT => features.power_management,
            fid::TEMPERATURE_THRESHOLD => match threshold(entry.cdw(11), false)? {
                Threshold::Over => features.over_temperature.into(),
                Threshold::Under => features.under_temperature.into(),
            },
            fid::ERROR_RECOVERY => features.error_recovery,
            fid::NUMBER_OF_QUEUES if is_current => self.granted_queues(),
            fid::NUMBER_OF_QUEUES => u32::from(self.config.io_queues - 1) * 0x1_0001,
            fid::INTERRUPT_COALESCING => features.interrupt_coalescing,
            fid::INTERRUPT_VECTOR_CONFIGURATION => {
                let vector = entry.cdw(11) & 0xFFFF;
                let disabled = features.coalescing_disabled.get(vector as usize);
                let disabled = *disabled.ok_or(Status::INVALID_FIELD)?;
                vector | if disabled { COALESCING_DISABLE } else { 0 }
            }
            fid::WRITE_ATOMICITY => features.write_atomicity,
            fid::ASYNC_EVENT_CONFIGURATION => features.event_configuration,
            fid::KEEP_ALIVE_TIMER => features.keep_alive_ms,
            fid::NAMESPACE_WRITE_PROTECTION => {
                let is_protected = self.subsystem.info(self.function, entry.nsid.get()).is_write_protected;
                u32::from(is_current && is_protected)
            }
            fid::TIMESTAMP => {
                let value = if is_current { self.timestamp() } else { 0 };
                self.send(entry, &value.to_le_bytes(), host)?;
                0
            }
            _ => {
                let bytes = identifier_bytes(entry.cdw(11));
                let identifier = features.host_identifier;
                self.send(entry, &identifier[..bytes], host)?;
                0
            }
        };
        Ok(value)
    }

    /// Milliseconds, and whether the host has set them.
    fn timestamp(&self) -> u64 {
        match self.admin.features.timestamp {
            Some((set, at)) => {
                let value = set + (self.clock - at) / CLOCKS_PER_MS;
                value & timestamp::MILLISECONDS_MASK | timestamp::ORIGIN_SET
            }
            None => (self.clock / CLOCKS_PER_MS) & timestamp::MILLISECONDS_MASK,
        }
    }

    /// The host shows that it is there.
    pub(super) fn restart_keep_alive(&mut self) {
        self.admin.features.heard = self.clock;
    }

    /// Whether the host was silent for too long.
    pub(crate) fn keep_alive_has_ended(&self) -> bool {
        let features = &self.admin.features;
        let clocks = u64::from(features.keep_alive_ms) * CLOCKS_PER_MS;
        clocks > 0 && self.clock - features.heard > clocks
    }

    /// Features of a namespace: Error Recovery may be one of all namespaces.
    fn check_namespace(&self, feature: u8, nsid: u32) -> Result<(), Status> {
        if feature == fid::ERROR_RECOVERY && matches!(nsid, 0 | NSID_BROADCAST) {
            return Ok(());
        }
        self.subsystem.check_valid(nsid)?;
        self.subsystem.active(self.function, nsid).map(|_| ()).ok_or(Status::INVALID_FIELD)
    }

    fn set_write_protection(&mut self, nsid: u32, state: u32) -> Result<(), Status> {
        let is_write_protected = match state {
            write_protection::NONE => false,
            write_protection::PROTECT => true,
            // Identify Controller, NWPC: not until power is off, and not for ever.
            _ => return Err(Status::INVALID_FIELD),
        };
        let namespace = self.subsystem.namespaces.get_mut(&nsid).ok_or(Status::INVALID_NAMESPACE)?;
        let has_changed = namespace.is_write_protected != is_write_protected;
        namespace.is_write_protected = is_write_protected;
        let attached = namespace.attached.clone();
        if has_changed {
            self.subsystem.namespace_changed(nsid, &attached, self.function);
        }
        Ok(())
    }

    pub(super) fn set_features(&mut self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<u32, Status> {
        let feature = entry.cdw(10) as u8;
        if !exists(feature) {
            return Err(Status::INVALID_FIELD);
        }
        if entry.cdw(10) & SAVE != 0 {
            return Err(Status::FEATURE_NOT_SAVEABLE);
        }
        let nsid = entry.nsid.get();
        if is_of_namespace(feature) {
            self.check_namespace(feature, nsid)?;
        } else if !matches!(nsid, 0 | NSID_BROADCAST) {
            return Err(Status::FEATURE_NOT_NAMESPACE_SPECIFIC);
        }
        match feature {
            fid::TIMESTAMP => {
                let data = self.receive(entry, timestamp::BYTES.into(), host)?;
                let mut value = [0; 8];
                value.copy_from_slice(&data);
                let milliseconds = u64::from_le_bytes(value) & timestamp::MILLISECONDS_MASK;
                self.admin.features.timestamp = Some((milliseconds, self.clock));
                return Ok(0);
            }
            fid::HOST_IDENTIFIER => {
                let bytes = identifier_bytes(entry.cdw(11));
                let data = self.receive(entry, bytes as u64, host)?;
                self.admin.features.host_identifier = [0; 16];
                self.admin.features.host_identifier[..bytes].copy_from_slice(&data);
                return Ok(0);
            }
            fid::NAMESPACE_WRITE_PROTECTION => {
                self.set_write_protection(nsid, entry.cdw(11) & 7)?;
                return Ok(0);
            }
            _ => {}
        }
        let value = entry.cdw(11);
        let features = &mut self.admin.features;
        match feature {
            fid::ARBITRATION => features.arbitration = value & 0xFFFF_FF07,
            fid::POWER_MANAGEMENT => {
                // One power state: NPSS is 0.
                if value & 0x1F != 0 {
                    return Err(Status::INVALID_FIELD);
                }
                features.power_management = value & 0xE0;
            }
            fid::TEMPERATURE_THRESHOLD => {
                match threshold(value, true)? {
                    Threshold::Over => features.over_temperature = value as u16,
                    Threshold::Under => features.under_temperature = value as u16,
                }
                self.report_warnings();
            }
            fid::ERROR_RECOVERY => {
                if value & DULBE != 0 {
                    return Err(Status::INVALID_FIELD);
                }
                features.error_recovery = value & 0xFFFF;
            }
            fid::NUMBER_OF_QUEUES => return self.set_number_of_queues(value),
            fid::INTERRUPT_COALESCING => features.interrupt_coalescing = value & 0xFFFF,
            fid::INTERRUPT_VECTOR_CONFIGURATION => {
                let vector = (value & 0xFFFF) as usize;
                let disabled = features.coalescing_disabled.get_mut(vector);
                *disabled.ok_or(Status::INVALID_FIELD)? = value & COALESCING_DISABLE != 0;
            }
            fid::WRITE_ATOMICITY => features.write_atomicity = value & 1,
            fid::KEEP_ALIVE_TIMER => {
                features.keep_alive_ms = value;
                features.heard = self.clock;
            }
            _ => {
                features.event_configuration = value & (SMART_EVENTS | NOTICES);
                self.report_warnings();
            }
        }
        Ok(0)
    }

    /// NVMe Base, "Number of Queues".
    fn set_number_of_queues(&mut self, value: u32) -> Result<u32, Status> {
        let (submission, completion) = (value as u16, (value >> 16) as u16);
        if submission == u16::MAX || completion == u16::MAX {
            return Err(Status::INVALID_FIELD);
        }
        if self.has_io_queues() {
            return Err(Status::COMMAND_SEQUENCE_ERROR);
        }
        self.admin.features.queues = Some((submission, completion));
        Ok(self.granted_queues())
    }

    fn granted_queues(&self) -> u32 {
        let features = &self.admin.features;
        let submission = u32::from(features.granted_submission_queues(&self.config)) - 1;
        let completion = u32::from(features.granted_completion_queues(&self.config)) - 1;
        completion << 16 | submission
    }

    /// Reports the critical warnings that the host wants to hear of.
    fn report_warnings(&mut self) {
        let warning = u32::from(self.admin.features.critical_warning());
        if warning & self.admin.features.event_configuration != 0 {
            self.admin.events.temperature_threshold();
        }
    }
}

fn exists(feature: u8) -> bool {
    matches!(
        feature,
        fid::ARBITRATION
            | fid::POWER_MANAGEMENT
            | fid::TEMPERATURE_THRESHOLD
            | fid::ERROR_RECOVERY
            | fid::NUMBER_OF_QUEUES
            | fid::INTERRUPT_COALESCING
            | fid::INTERRUPT_VECTOR_CONFIGURATION
            | fid::WRITE_ATOMICITY
            | fid::ASYNC_EVENT_CONFIGURATION
            | fid::TIMESTAMP
            | fid::KEEP_ALIVE_TIMER
            | fid::HOST_IDENTIFIER
            | fid::NAMESPACE_WRITE_PROTECTION
    )
}

/// The other features belong to the controller, which no single namespace stands for.
fn is_of_namespace(feature: u8) -> bool {
    matches!(feature, fid::ERROR_RECOVERY | fid::NAMESPACE_WRITE_PROTECTION)
}

/// Host Identifier, EXHID: 128 bits instead of 64.
fn identifier_bytes(cdw11: u32) -> usize {
    if cdw11 & 1 == 1 {
        16
    } else {
        8
    }
}
