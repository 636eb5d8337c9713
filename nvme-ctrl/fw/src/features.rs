//! The values of features. NVMe Base, "Feature Identifiers"; NVM Command Set, "Feature Identifiers".

use nvme_spec::feature::notice;
use nvme_spec::feature::ARBITRATION_DEFAULT;
use nvme_spec::limits::IO_QUEUES_MAX;
use nvme_spec::log::critical_warning;

/// The temperature of the device in kelvin. There is no sensor yet: 37 degrees Celsius.
pub(crate) const TEMPERATURE_K: u16 = 310;
/// Identify Controller, WCTEMP: 70 degrees Celsius. It is also the over temperature threshold at first.
pub(crate) const WARNING_TEMPERATURE_K: u16 = 343;
/// Identify Controller, CCTEMP: 80 degrees Celsius.
pub(crate) const CRITICAL_TEMPERATURE_K: u16 = 353;

/// Interrupt vectors: one per I/O queue pair and one for the admin queue.
const VECTORS: usize = IO_QUEUES_MAX as usize + 1;

/// A value that the host can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) current: u32,
    pub(crate) default: u32,
}

impl Value {
    const fn new(default: u32) -> Self {
        Self { current: default, default }
    }
}

/// Every feature; a controller reset brings back the defaults, since none is saveable.
pub(crate) struct Features {
    pub(crate) arbitration: Value,
    pub(crate) power_management: Value,
    pub(crate) over_temperature: Value,
    pub(crate) under_temperature: Value,
    pub(crate) error_recovery: Value,
    /// NCQA in bits 31:16, NSQA in bits 15:0, each minus one.
    pub(crate) number_of_queues: Value,
    pub(crate) interrupt_coalescing: Value,
    pub(crate) write_atomicity: Value,
    pub(crate) async_event_configuration: Value,
    /// Host Identifier, in the order of the wire.
    pub(crate) host_identifier: [u8; 16],
    /// Timestamp: milliseconds, and when the host set it in clocks; `None`: not since the reset.
    pub(crate) timestamp: Option<(u64, u64)>,
    /// A bit per interrupt vector: Coalescing Disable.
    coalescing_disabled: [u64; VECTORS / 64],
}

impl Features {
    pub(crate) const fn new() -> Self {
        Self {
            arbitration: Value::new(ARBITRATION_DEFAULT),
            power_management: Value::new(0),
            over_temperature: Value::new(WARNING_TEMPERATURE_K as u32),
            under_temperature: Value::new(0),
            error_recovery: Value::new(0),
            number_of_queues: Value::new(0),
            interrupt_coalescing: Value::new(0),
            write_atomicity: Value::new(0),
            async_event_configuration: Value::new(0),
            host_identifier: [0; 16],
            timestamp: None,
            // The admin queue is never coalesced.
            coalescing_disabled: [1, 0, 0, 0],
        }
    }

    /// All I/O queues are granted as long as the host does not ask for fewer.
    pub(crate) fn set_io_queues(&mut self, queues: u16) {
        let minus_one = u32::from(queues.max(1) - 1);
        self.number_of_queues = Value::new(minus_one << 16 | minus_one);
    }

    /// The highest submission queue identifier that was granted.
    pub(crate) const fn granted_sqs(&self) -> u32 {
        (self.number_of_queues.current & 0xFFFF) + 1
    }

    /// The highest completion queue identifier that was granted.
    pub(crate) const fn granted_cqs(&self) -> u32 {
        (self.number_of_queues.current >> 16) + 1
    }

    pub(crate) const fn is_coalescing_disabled(&self, vector: u8) -> bool {
        self.coalescing_disabled[vector as usize / 64] >> (vector % 64) & 1 == 1
    }

    pub(crate) fn set_coalescing_disabled(&mut self, vector: u8, disabled: bool) {
        let word = &mut self.coalescing_disabled[usize::from(vector) / 64];
        *word = *word & !(1 << (vector % 64)) | u64::from(disabled) << (vector % 64);
    }

    /// I/O queue pairs that were granted.
    pub(crate) fn granted_pairs(&self) -> u16 {
        self.granted_sqs().max(self.granted_cqs()) as u16
    }

    /// Whether the host wants to be told that namespaces have changed.
    pub(crate) const fn wants_namespace_notices(&self) -> bool {
        self.async_event_configuration.current & notice::NAMESPACE_ATTRIBUTE != 0
    }

    /// Whether the host wants to be told that an image is being activated.
    pub(crate) const fn wants_activation_notices(&self) -> bool {
        self.async_event_configuration.current & notice::FIRMWARE_ACTIVATION != 0
    }

    /// SMART, Critical Warning, less what concerns the medium.
    pub(crate) fn critical_warning(&self) -> u8 {
        let temperature = u32::from(TEMPERATURE_K);
        let over = temperature >= self.over_temperature.current;
        let under = temperature <= self.under_temperature.current;
        if over || under {
            critical_warning::TEMPERATURE
        } else {
            0
        }
    }

    /// The critical warnings that the host wants to be told about.
    pub(crate) const fn warnings_wanted(&self) -> u8 {
        self.async_event_configuration.current as u8
    }
}
