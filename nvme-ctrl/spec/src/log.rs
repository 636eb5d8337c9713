//! Get Log Page: its command dwords and the log pages. NVMe Base, "Get Log Page command".

use core::mem::{offset_of, size_of};
use zerocopy::little_endian::{U128, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::ERROR_LOG_ENTRIES;

/// Log Page Identifiers: CDW10 bits 7:0.
pub mod lid {
    /// Error Information.
    pub const ERROR_INFORMATION: u8 = 0x01;
    /// SMART / Health Information.
    pub const SMART: u8 = 0x02;
    /// Firmware Slot Information.
    pub const FIRMWARE_SLOT: u8 = 0x03;
}

/// An entry of the Error Information log page. NVMe Base, "Error Information (Log Identifier 01h)".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct ErrorLogEntry {
    /// Number of the error, from 1; 0: the entry is not used.
    pub error_count: U64,
    /// Submission Queue ID.
    pub sqid: U16,
    /// Command ID.
    pub cid: U16,
    /// Status Field in bits 15:1, as in the completion.
    pub status_field: U16,
    /// Byte and bit of the command that the error is about; `FFFFh`: none in particular.
    pub parameter_error_location: U16,
    /// First logical block in error, if any.
    pub lba: U64,
    /// Namespace.
    pub nsid: U32,
    /// Vendor Specific Information Available: a log page identifier.
    pub vendor_specific: u8,
    /// Transport Type.
    pub trtype: u8,
    /// Reserved.
    pub reserved30: [u8; 2],
    /// Command Specific Information.
    pub command_specific: U64,
    /// Transport Type Specific Information.
    pub transport_specific: U16,
    /// Reserved.
    pub reserved42: [u8; 22],
}

const _: () = assert!(size_of::<ErrorLogEntry>() == 64);
const _: () = assert!(offset_of!(ErrorLogEntry, status_field) == 12);
const _: () = assert!(offset_of!(ErrorLogEntry, lba) == 16);
const _: () = assert!(offset_of!(ErrorLogEntry, nsid) == 24);
const _: () = assert!(offset_of!(ErrorLogEntry, command_specific) == 32);

/// The parameter error location of an error that no field of the command is to blame for.
pub const NO_PARAMETER_LOCATION: u16 = 0xFFFF;

/// Bytes of the Error Information log page.
pub const ERROR_LOG_BYTES: u32 = ERROR_LOG_ENTRIES * size_of::<ErrorLogEntry>() as u32;

/// SMART / Health Information. NVMe Base, "SMART / Health Information (Log Identifier 02h)".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct SmartLog {
    /// Critical Warning.
    pub critical_warning: u8,
    /// Composite Temperature in kelvin.
    pub composite_temperature: U16,
    /// Available Spare in percent.
    pub available_spare: u8,
    /// Available Spare Threshold in percent.
    pub available_spare_threshold: u8,
    /// Percentage Used.
    pub percentage_used: u8,
    /// Endurance Group Critical Warning Summary.
    pub endurance_group_warning: u8,
    /// Reserved.
    pub reserved7: [u8; 25],
    /// Data Units Read: thousands of 512 bytes, rounded up.
    pub data_units_read: U128,
    /// Data Units Written: thousands of 512 bytes, rounded up.
    pub data_units_written: U128,
    /// Host Read Commands.
    pub host_read_commands: U128,
    /// Host Write Commands.
    pub host_write_commands: U128,
    /// Controller Busy Time in minutes.
    pub controller_busy_time: U128,
    /// Power Cycles.
    pub power_cycles: U128,
    /// Power On Hours.
    pub power_on_hours: U128,
    /// Unsafe Shutdowns.
    pub unsafe_shutdowns: U128,
    /// Media and Data Integrity Errors.
    pub media_errors: U128,
    /// Number of Error Information Log Entries over the life of the controller.
    pub error_log_entries: U128,
    /// Warning Composite Temperature Time in minutes.
    pub warning_temperature_time: U32,
    /// Critical Composite Temperature Time in minutes.
    pub critical_temperature_time: U32,
    /// Temperature Sensors 1 to 8 in kelvin; 0: not there.
    pub temperature_sensors: [U16; 8],
    /// Thermal management and reserved bytes.
    pub reserved216: [u8; 296],
}

const _: () = assert!(size_of::<SmartLog>() == 512);
const _: () = assert!(offset_of!(SmartLog, composite_temperature) == 1);
const _: () = assert!(offset_of!(SmartLog, data_units_read) == 32);
const _: () = assert!(offset_of!(SmartLog, power_cycles) == 112);
const _: () = assert!(offset_of!(SmartLog, media_errors) == 160);
const _: () = assert!(offset_of!(SmartLog, warning_temperature_time) == 192);

/// Bits of SMART, Critical Warning.
pub mod critical_warning {
    /// A temperature is at or beyond a threshold.
    pub const TEMPERATURE: u8 = 1 << 1;
}

/// Bytes of the unit that Data Units Read and Written count.
pub const DATA_UNIT_BYTES: u64 = 512 * 1000;

/// Firmware Slot Information. NVMe Base, "Firmware Slot Information (Log Identifier 03h)".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct FirmwareSlotLog {
    /// Active Firmware Info: the active slot in bits 2:0.
    pub afi: u8,
    /// Reserved.
    pub reserved1: [u8; 7],
    /// Firmware Revision for Slot 1 to 7; zeroes: empty.
    pub frs: [[u8; 8]; 7],
    /// Reserved.
    pub reserved64: [u8; 448],
}

const _: () = assert!(size_of::<FirmwareSlotLog>() == 512);
const _: () = assert!(offset_of!(FirmwareSlotLog, frs) == 8);

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte offsets from the figures of the log pages.
    #[test]
    fn fields_are_where_the_specification_has_them() {
        let mut bytes = [0; 512];
        bytes[1..3].copy_from_slice(&[0x33, 0x01]);
        bytes[32] = 5;
        bytes[176] = 7;
        let smart = SmartLog::read_from_bytes(&bytes).unwrap();
        assert_eq!(smart.composite_temperature.get(), 307);
        assert_eq!(smart.data_units_read.get(), 5);
        assert_eq!(smart.error_log_entries.get(), 7);

        let mut bytes = [0; 64];
        bytes[8] = 3;
        bytes[10..12].copy_from_slice(&[0x34, 0x12]);
        bytes[24] = 1;
        let entry = ErrorLogEntry::read_from_bytes(&bytes).unwrap();
        assert_eq!((entry.sqid.get(), entry.cid.get()), (3, 0x1234));
        assert_eq!(entry.nsid.get(), 1);
    }
}
