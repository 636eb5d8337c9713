//! Get Log Page: its command dwords and the log pages. NVMe Base, "Get Log Page command".

use core::mem::{offset_of, size_of};
use zerocopy::little_endian::{U128, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::ERROR_LOG_ENTRIES;

/// Log Page Identifiers: CDW10 bits 7:0.
pub mod lid {
    /// Supported Log Pages.
    pub const SUPPORTED_LOG_PAGES: u8 = 0x00;
    /// Error Information.
    pub const ERROR_INFORMATION: u8 = 0x01;
    /// SMART / Health Information.
    pub const SMART: u8 = 0x02;
    /// Firmware Slot Information.
    pub const FIRMWARE_SLOT: u8 = 0x03;
    /// Changed Namespace List.
    pub const CHANGED_NAMESPACES: u8 = 0x04;
    /// Commands Supported and Effects.
    pub const COMMANDS_SUPPORTED_AND_EFFECTS: u8 = 0x05;
    /// Sanitize Status.
    pub const SANITIZE_STATUS: u8 = 0x81;
    /// Latencies, vendor specific: [`crate::log::latency`].
    pub const LATENCY: u8 = 0xC0;

    /// All log pages of this controller, with their names; Sanitize Status only where sanitize operations are supported.
    pub const ALL: &[(u8, &str)] = &[
        (SUPPORTED_LOG_PAGES, "Supported Log Pages"),
        (ERROR_INFORMATION, "Error Information"),
        (SMART, "SMART / Health Information"),
        (FIRMWARE_SLOT, "Firmware Slot Information"),
        (CHANGED_NAMESPACES, "Changed Namespace List"),
        (COMMANDS_SUPPORTED_AND_EFFECTS, "Commands Supported and Effects"),
        (SANITIZE_STATUS, "Sanitize Status"),
        (LATENCY, "Latency"),
    ];
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
    /// Available Spare is below its threshold.
    pub const SPARE: u8 = 1 << 0;
    /// The medium takes no more writes.
    pub const READ_ONLY: u8 = 1 << 3;
    /// A temperature is at or beyond a threshold.
    pub const TEMPERATURE: u8 = 1 << 1;
}

/// Available Spare Threshold in percent, of a medium that has spare.
pub const AVAILABLE_SPARE_THRESHOLD: u8 = 10;

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

/// Bytes of the Supported Log Pages log page: a dword for each log page identifier. NVMe Base, "Supported Log Pages (Log Identifier 00h)".
pub const SUPPORTED_LOG_PAGES_BYTES: u32 = 1024;

/// LSUPP: the log page is supported; a bit of the dword of a log page identifier.
pub const LOG_PAGE_SUPPORTED: u32 = 1;

/// Entries of the Changed Namespace List. NVMe Base, "Changed Namespace List (Log Identifier 04h)".
pub const CHANGED_NAMESPACES_ENTRIES: u32 = 1024;

/// Commands Supported and Effects. NVMe Base, "Commands Supported and Effects (Log Identifier 05h)".
pub mod effects {
    use crate::opcode::{admin, io};

    /// Bytes of the log page: a dword for each admin opcode, a dword for each I/O opcode, and reserved ones.
    pub const BYTES: u32 = 4096;
    /// Where the dwords of the I/O opcodes begin.
    pub const IO_OFFSET: u32 = 1024;

    /// CSUPP: the command is supported.
    pub const SUPPORTED: u32 = 1;
    /// LBCC: it may change the contents of logical blocks.
    pub const LOGICAL_BLOCKS: u32 = 1 << 1;
    /// NCC: it may change a namespace.
    pub const NAMESPACE: u32 = 1 << 2;
    /// NIC: it may change which namespaces there are.
    pub const INVENTORY: u32 = 1 << 3;
    /// CCC: it may change what the controller can do.
    pub const CAPABILITIES: u32 = 1 << 4;
    /// CSE 1: no other command of the namespace at the same time, bits 18:16.
    pub const ALONE_IN_NAMESPACE: u32 = 1 << 16;

    /// What a supported command does.
    pub const fn of(opcode: u8, is_admin: bool) -> u32 {
        SUPPORTED
            | match (is_admin, opcode) {
                (true, admin::NAMESPACE_MANAGEMENT | admin::NAMESPACE_ATTACHMENT) => NAMESPACE | INVENTORY,
                (true, admin::FORMAT_NVM) => LOGICAL_BLOCKS | NAMESPACE | ALONE_IN_NAMESPACE,
                (true, admin::SANITIZE) => LOGICAL_BLOCKS,
                (true, admin::FIRMWARE_COMMIT) => CAPABILITIES,
                (false, io::DATASET_MANAGEMENT | io::COPY) => LOGICAL_BLOCKS,
                (false, opcode) if io::is_write(opcode) => LOGICAL_BLOCKS,
                _ => 0,
            }
    }
}

/// Latencies: a vendor specific log page.
///
/// Hardware measures how long each command of the fast path spends in each [phase](latency::Phase), and counts the commands of each submission queue
/// by the logarithm of the clocks that it took. A command is counted once in each phase, when it has ended without error. The phases follow one another
/// without a gap, but a Write has its data before its storage phase. The counters of a queue are 0 when it is created; a full one stays so.
pub mod latency {
    use super::{offset_of, size_of, FromBytes, Immutable, IntoBytes, KnownLayout, U32, U64};

    /// What happens to a command, one after the other.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Phase {
        /// From the grant, which a queue gets in its turn after its doorbell, to the entry.
        Fetch,
        /// From the entry to the I/O engine, which takes a command when it has room.
        Decode,
        /// From there until all of the PRP or SGL list is read and the last unit of the command goes on.
        List,
        /// Waiting for the storage: a Read until it has answered the last unit, a Write from the start of its last unit to the end, others all the time.
        Storage,
        /// Moving data: of a Read after the storage's last answer, of a Write until the data of the last unit comes from the host; no time for others.
        Data,
        /// From the end of the last unit until the queue manager takes the command, to give its completion queue entry a place that it kept.
        Completion,
    }

    impl Phase {
        /// All phases, in the order of the log page.
        pub const ALL: [Self; 6] = [Self::Fetch, Self::Decode, Self::List, Self::Storage, Self::Data, Self::Completion];

        /// Its name.
        pub const fn name(self) -> &'static str {
            match self {
                Self::Fetch => "fetch",
                Self::Decode => "decode",
                Self::List => "list",
                Self::Storage => "storage",
                Self::Data => "data",
                Self::Completion => "completion",
            }
        }
    }

    /// Number of phases.
    pub const PHASES: u32 = Phase::ALL.len() as u32;

    /// Counters of a histogram: counter `n` counts durations from `2^n` up to but not including `2^(n + 1)` clocks; the first also counts 0, and the
    /// last everything longer.
    pub const BUCKETS: u32 = 16;

    /// The histograms of a submission queue.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
    pub struct QueueLatency {
        /// A histogram for each phase.
        pub phases: [[U32; BUCKETS as usize]; PHASES as usize],
    }

    /// The head of the log page. A [`QueueLatency`] for each queue follows, from queue 1 on.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
    pub struct LatencyLog {
        /// Version of this page: [`VERSION`].
        pub version: U32,
        /// Number of queues that follow.
        pub queues: U32,
        /// Number of phases of each.
        pub phases: U32,
        /// Number of counters of each phase.
        pub buckets: U32,
        /// Clocks per second.
        pub clock_hz: U64,
        /// Clocks since power-on.
        pub clock: U64,
        /// Reserved.
        pub reserved32: [u8; 32],
    }

    /// The version of the log page.
    pub const VERSION: u32 = 1;

    const _: () = assert!(size_of::<LatencyLog>() == 64);
    const _: () = assert!(offset_of!(LatencyLog, clock_hz) == 16);
    const _: () = assert!(size_of::<QueueLatency>() == 384);
}

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
