//! Features and asynchronous events. NVMe Base, "Get Features command", "Set Features command", "Asynchronous Event Request command".

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
}

/// Types of an asynchronous event: dword 0 bits 2:0.
pub mod event_type {
    /// Error Status.
    pub const ERROR: u8 = 0;
    /// SMART / Health Status.
    pub const SMART: u8 = 1;
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
    /// Temperature Threshold.
    pub const TEMPERATURE_THRESHOLD: u8 = 1;
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
