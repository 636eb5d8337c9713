//! NVMe Base, "Get Features command" and "Set Features command".

use nvme_spec::feature::fid;
use nvme_spec::limits::{NSID, NSID_BROADCAST};
use nvme_spec::log::critical_warning;
use nvme_spec::{SqEntry, Status};

use crate::model::Model;
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
}

impl Features {
    pub(crate) fn new(vectors: u16) -> Self {
        Self {
            arbitration: 0,
            power_management: 0,
            over_temperature: WARNING_TEMPERATURE,
            under_temperature: 0,
            error_recovery: 0,
            queues: None,
            interrupt_coalescing: 0,
            coalescing_disabled: vec![false; usize::from(vectors)],
            write_atomicity: 0,
            event_configuration: 0,
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

impl Model {
    pub(super) fn get_features(&self, entry: &SqEntry) -> Result<u32, Status> {
        // Identify Controller, ONCS: selecting other than current values is not supported.
        if entry.cdw(10) >> 8 & 7 != 0 {
            return Err(Status::INVALID_FIELD);
        }
        let features = &self.admin.features;
        let value = match entry.cdw(10) as u8 {
            fid::ARBITRATION => features.arbitration,
            fid::POWER_MANAGEMENT => features.power_management,
            fid::TEMPERATURE_THRESHOLD => match threshold(entry.cdw(11), false)? {
                Threshold::Over => features.over_temperature.into(),
                Threshold::Under => features.under_temperature.into(),
            },
            fid::ERROR_RECOVERY => features.error_recovery,
            fid::NUMBER_OF_QUEUES => self.granted_queues(),
            fid::INTERRUPT_COALESCING => features.interrupt_coalescing,
            fid::INTERRUPT_VECTOR_CONFIGURATION => {
                let vector = entry.cdw(11) & 0xFFFF;
                let disabled = features.coalescing_disabled.get(vector as usize);
                let disabled = *disabled.ok_or(Status::INVALID_FIELD)?;
                vector | if disabled { COALESCING_DISABLE } else { 0 }
            }
            fid::WRITE_ATOMICITY => features.write_atomicity,
            fid::ASYNC_EVENT_CONFIGURATION => features.event_configuration,
            // The volatile write cache among them: there is none.
            _ => return Err(Status::INVALID_FIELD),
        };
        Ok(value)
    }

    pub(super) fn set_features(&mut self, entry: &SqEntry) -> Result<u32, Status> {
        let feature = entry.cdw(10) as u8;
        // Reading tells whether the feature exists.
        let exists = matches!(
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
        );
        if !exists {
            return Err(Status::INVALID_FIELD);
        }
        if entry.cdw(10) & SAVE != 0 {
            return Err(Status::FEATURE_NOT_SAVEABLE);
        }
        check_scope(feature, entry.nsid.get())?;
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
            _ => {
                features.event_configuration = value & SMART_EVENTS;
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

/// All features but Error Recovery belong to the controller, which no single namespace stands for.
fn check_scope(feature: u8, nsid: u32) -> Result<(), Status> {
    match nsid {
        0 | NSID_BROADCAST => Ok(()),
        NSID if feature == fid::ERROR_RECOVERY => Ok(()),
        NSID => Err(Status::FEATURE_NOT_NAMESPACE_SPECIFIC),
        _ => Err(Status::INVALID_NAMESPACE),
    }
}
