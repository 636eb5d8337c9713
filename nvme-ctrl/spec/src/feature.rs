//! Features and asynchronous events. NVMe Base, "Get Features command", "Set Features command", "Asynchronous Event Request command".

use crate::limits::CORE_HZ;

/// The default of Arbitration: no limit to a burst, and equal weights. NVMe Base, "Arbitration (Feature Identifier 01h)".
pub const ARBITRATION_DEFAULT: u32 = 0b111;

/// The unit of the Aggregation Time, in microseconds. NVMe Base, "Interrupt Coalescing (Feature Identifier 08h)".
pub const AGGREGATION_TIME_US: u64 = 100;

/// The same in clocks of the controller's core.
pub const AGGREGATION_TIME_CLOCKS: u64 = AGGREGATION_TIME_US * (CORE_HZ / 1_000_000);

/// Feature Identifiers: CDW10 bits 7:0.
pub mod fid {
    /// Arbitration.
    pub const ARBITRATION: u8 = 0x01;
    /// Power Management.
    pub const POWER_MANAGEMENT: u8 = 0x02;
    /// Temperature Threshold.
    pub const TEMPERATURE_THRESHOLD: u8 = 0x04;
    /// Error Recovery.
    pub const ERROR_RECOVERY: u8 = 0x05;
    /// Volatile Write Cache.
    pub const VOLATILE_WRITE_CACHE: u8 = 0x06;
    /// Number of Queues.
    pub const NUMBER_OF_QUEUES: u8 = 0x07;
    /// Interrupt Coalescing.
    pub const INTERRUPT_COALESCING: u8 = 0x08;
    /// Interrupt Vector Configuration.
    pub const INTERRUPT_VECTOR_CONFIGURATION: u8 = 0x09;
    /// Write Atomicity Normal.
    pub const WRITE_ATOMICITY: u8 = 0x0A;
    /// Asynchronous Event Configuration.
    pub const ASYNC_EVENT_CONFIGURATION: u8 = 0x0B;
    /// Timestamp.
    pub const TIMESTAMP: u8 = 0x0E;
    /// Keep Alive Timer.
    pub const KEEP_ALIVE_TIMER: u8 = 0x0F;
    /// Host Identifier.
    pub const HOST_IDENTIFIER: u8 = 0x81;
    /// Namespace Write Protection Config.
    pub const NAMESPACE_WRITE_PROTECTION: u8 = 0x84;
}

/// Types of an asynchronous event: dword 0 bits 2:0.
pub mod event_type {
    /// Error Status.
    pub const ERROR: u8 = 0;
    /// SMART / Health Status.
    pub const SMART: u8 = 1;
    /// Notice.
    pub const NOTICE: u8 = 2;
    /// I/O Command Set specific.
    pub const IO_COMMAND_SET: u8 = 6;
}

/// Information of error events: dword 0 bits 15:8.
pub mod error_event {
    /// Write to Invalid Doorbell Register.
    pub const INVALID_DOORBELL_REGISTER: u8 = 0;
    /// Invalid Doorbell Write Value.
    pub const INVALID_DOORBELL_VALUE: u8 = 1;
}

/// Information of SMART events: dword 0 bits 15:8.
pub mod smart_event {
    /// NVM subsystem Reliability: also that the medium takes no more writes.
    pub const RELIABILITY: u8 = 0;
    /// Temperature Threshold.
    pub const TEMPERATURE_THRESHOLD: u8 = 1;
    /// Spare Below Threshold.
    pub const SPARE_BELOW_THRESHOLD: u8 = 2;
}

/// Information of notices: dword 0 bits 15:8.
pub mod notice_event {
    /// Namespace Attribute Changed.
    pub const NAMESPACE_ATTRIBUTE_CHANGED: u8 = 0;
    /// Firmware Activation Starting.
    pub const FIRMWARE_ACTIVATION_STARTING: u8 = 1;
}

/// Information of I/O command set specific events: dword 0 bits 15:8.
pub mod io_command_set_event {
    /// Sanitize Operation Completed.
    pub const SANITIZE_COMPLETED: u8 = 1;
}

/// The optional notices: bits of Identify Controller, OAES, and of the feature Asynchronous Event Configuration.
pub mod notice {
    /// Namespace Attribute Notices.
    pub const NAMESPACE_ATTRIBUTE: u32 = 1 << 8;
    /// Firmware Activation Notices.
    pub const FIRMWARE_ACTIVATION: u32 = 1 << 9;
}

/// Values of Namespace Write Protection Config, bits 2:0.
pub mod write_protection {
    /// No write protection.
    pub const NONE: u32 = 0;
    /// Write protect.
    pub const PROTECT: u32 = 1;
}

/// The data of the feature Timestamp. NVMe Base, "Timestamp".
pub mod timestamp {
    /// Bytes of the data.
    pub const BYTES: u32 = 8;
    /// Milliseconds since midnight, 1 January 1970, UTC: bits 47:0.
    pub const MILLISECONDS_MASK: u64 = (1 << 48) - 1;
    /// Timestamp Origin, bits 51:49: set by a host; else it counts from a controller reset.
    pub const ORIGIN_SET: u64 = 1 << 49;
}

/// Dword 0 of the completion of an Asynchronous Event Request.
pub const fn event_result(event_type: u8, information: u8, log_page: u8) -> u32 {
    event_type as u32 | (information as u32) << 8 | (log_page as u32) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Asynchronous Event Request - Completion Queue Entry Dword 0": type, information, log page.
    #[test]
    fn an_event_names_its_log_page() {
        let result = event_result(event_type::SMART, smart_event::TEMPERATURE_THRESHOLD, crate::log::lid::SMART);
        assert_eq!(result, 0x0002_0101);
    }
}
