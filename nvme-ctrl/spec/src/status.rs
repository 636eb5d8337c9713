//! Status of a completion. NVMe Base, "Status Field Definition" and "Status Code".

use core::fmt;

/// The Status Field of a completion queue entry without the phase tag: 15 bits.
///
/// Status Code in bits 7:0, Status Code Type in bits 10:8, Command Retry Delay in bits 12:11, More in bit 13, Do Not Retry in bit 14.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u16);

/// Status Code Types.
pub mod status_code_type {
    /// Generic Command Status.
    pub const GENERIC: u8 = 0;
    /// Command Specific Status.
    pub const COMMAND_SPECIFIC: u8 = 1;
    /// Media and Data Integrity Errors.
    pub const MEDIA: u8 = 2;
}

use status_code_type::{COMMAND_SPECIFIC, GENERIC, MEDIA};

const DNR: u16 = 1 << 14;
const MORE: u16 = 1 << 13;
const CODE_MASK: u16 = 0x7FF;

/// Writes the constants, the table of names and the table of what a retry is good for from one list:
/// `NAME = type, code, Retry, "name", "sentence";` becomes `pub const NAME: Status` and one element of `Status::ALL`.
macro_rules! statuses {
    ($($name:ident = $kind:expr, $code:expr, $retry:ident, $text:expr;)*) => {
        impl Status {
            $(
                #[doc = concat!($text, ".")]
                pub const $name: Status = Status::new($kind, $code);
            )*

            /// Every status that this controller returns.
            pub const ALL: &'static [StatusInfo] = &[
                $(StatusInfo { status: Status::$name, name: $text, retry: Retry::$retry },)*
            ];
        }
    };
}

/// Whether it makes sense that the host submits the same command again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same command would fail again: the completion says Do Not Retry.
    Never,
    /// The same command may succeed later.
    Later,
}

/// What is known about a status.
#[derive(Clone, Copy, Debug)]
pub struct StatusInfo {
    /// The status, without Do Not Retry.
    pub status: Status,
    /// The specification's name.
    pub name: &'static str,
    /// Whether a retry makes sense.
    pub retry: Retry,
}

statuses! {
    SUCCESS = GENERIC, 0x00, Later, "Successful Completion";
    INVALID_OPCODE = GENERIC, 0x01, Never, "Invalid Command Opcode";
    INVALID_FIELD = GENERIC, 0x02, Never, "Invalid Field in Command";
    COMMAND_ID_CONFLICT = GENERIC, 0x03, Later, "Command ID Conflict";
    DATA_TRANSFER_ERROR = GENERIC, 0x04, Later, "Data Transfer Error";
    INTERNAL_ERROR = GENERIC, 0x06, Later, "Internal Error";
    ABORT_REQUESTED = GENERIC, 0x07, Later, "Command Abort Requested";
    ABORTED_SQ_DELETION = GENERIC, 0x08, Later, "Command Aborted due to SQ Deletion";
    FAILED_FUSED_COMMAND = GENERIC, 0x09, Later, "Command Aborted due to Failed Fused Command";
    MISSING_FUSED_COMMAND = GENERIC, 0x0A, Never, "Command Aborted due to Missing Fused Command";
    INVALID_NAMESPACE = GENERIC, 0x0B, Never, "Invalid Namespace or Format";
    COMMAND_SEQUENCE_ERROR = GENERIC, 0x0C, Never, "Command Sequence Error";
    INVALID_SGL_SEGMENT = GENERIC, 0x0D, Never, "Invalid SGL Segment Descriptor";
    INVALID_SGL_NUMBER = GENERIC, 0x0E, Never, "Invalid Number of SGL Descriptors";
    INVALID_SGL_LENGTH = GENERIC, 0x0F, Never, "Data SGL Length Invalid";
    INVALID_SGL_TYPE = GENERIC, 0x11, Never, "SGL Descriptor Type Invalid";
    INVALID_PRP_OFFSET = GENERIC, 0x13, Never, "PRP Offset Invalid";
    ATOMIC_WRITE_UNIT_EXCEEDED = GENERIC, 0x14, Never, "Atomic Write Unit Exceeded";
    KEEP_ALIVE_TIMEOUT_INVALID = GENERIC, 0x1A, Never, "Keep Alive Timeout Invalid";
    SANITIZE_FAILED = GENERIC, 0x1C, Never, "Sanitize Failed";
    SANITIZE_IN_PROGRESS = GENERIC, 0x1D, Later, "Sanitize In Progress";
    INVALID_SGL_GRANULARITY = GENERIC, 0x1E, Never, "SGL Data Block Granularity Invalid";
    NAMESPACE_WRITE_PROTECTED = GENERIC, 0x20, Never, "Namespace is Write Protected";
    LBA_OUT_OF_RANGE = GENERIC, 0x80, Never, "LBA Out of Range";
    FORMAT_IN_PROGRESS = GENERIC, 0x84, Later, "Format in Progress";
    INVALID_COMPLETION_QUEUE = COMMAND_SPECIFIC, 0x00, Never, "Completion Queue Invalid";
    INVALID_QUEUE_ID = COMMAND_SPECIFIC, 0x01, Never, "Invalid Queue Identifier";
    INVALID_QUEUE_SIZE = COMMAND_SPECIFIC, 0x02, Never, "Invalid Queue Size";
    ABORT_LIMIT_EXCEEDED = COMMAND_SPECIFIC, 0x03, Later, "Abort Command Limit Exceeded";
    ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED = COMMAND_SPECIFIC, 0x05, Later, "Asynchronous Event Request Limit Exceeded";
    INVALID_FIRMWARE_SLOT = COMMAND_SPECIFIC, 0x06, Never, "Invalid Firmware Slot";
    INVALID_FIRMWARE_IMAGE = COMMAND_SPECIFIC, 0x07, Never, "Invalid Firmware Image";
    INVALID_INTERRUPT_VECTOR = COMMAND_SPECIFIC, 0x08, Never, "Invalid Interrupt Vector";
    INVALID_LOG_PAGE = COMMAND_SPECIFIC, 0x09, Never, "Invalid Log Page";
    INVALID_FORMAT = COMMAND_SPECIFIC, 0x0A, Never, "Invalid Format";
    INVALID_QUEUE_DELETION = COMMAND_SPECIFIC, 0x0C, Never, "Invalid Queue Deletion";
    FEATURE_NOT_SAVEABLE = COMMAND_SPECIFIC, 0x0D, Never, "Feature Identifier Not Saveable";
    FEATURE_NOT_CHANGEABLE = COMMAND_SPECIFIC, 0x0E, Never, "Feature Not Changeable";
    FEATURE_NOT_NAMESPACE_SPECIFIC = COMMAND_SPECIFIC, 0x0F, Never, "Feature Not Namespace Specific";
    ACTIVATION_REQUIRES_RESET = COMMAND_SPECIFIC, 0x11, Never, "Firmware Activation Requires Controller Level Reset";
    OVERLAPPING_RANGE = COMMAND_SPECIFIC, 0x14, Never, "Overlapping Range";
    NAMESPACE_INSUFFICIENT_CAPACITY = COMMAND_SPECIFIC, 0x15, Never, "Namespace Insufficient Capacity";
    NAMESPACE_IDENTIFIER_UNAVAILABLE = COMMAND_SPECIFIC, 0x16, Never, "Namespace Identifier Unavailable";
    NAMESPACE_ALREADY_ATTACHED = COMMAND_SPECIFIC, 0x18, Never, "Namespace Already Attached";
    NAMESPACE_IS_PRIVATE = COMMAND_SPECIFIC, 0x19, Never, "Namespace Is Private";
    NAMESPACE_NOT_ATTACHED = COMMAND_SPECIFIC, 0x1A, Never, "Namespace Not Attached";
    THIN_PROVISIONING_NOT_SUPPORTED = COMMAND_SPECIFIC, 0x1B, Never, "Thin Provisioning Not Supported";
    CONTROLLER_LIST_INVALID = COMMAND_SPECIFIC, 0x1C, Never, "Controller List Invalid";
    COMMAND_SIZE_LIMIT_EXCEEDED = COMMAND_SPECIFIC, 0x83, Never, "Command Size Limit Exceeded";
    HELD_COMMAND_LIMIT_EXCEEDED = COMMAND_SPECIFIC, 0xC0, Later, "Held Command Limit Exceeded";
    NO_ROOM_FOR_FRAME = COMMAND_SPECIFIC, 0xC1, Later, "No Room for the Frame";
    WRITE_FAULT = MEDIA, 0x80, Later, "Write Fault";
    UNRECOVERED_READ_ERROR = MEDIA, 0x81, Later, "Unrecovered Read Error";
    COMPARE_FAILURE = MEDIA, 0x85, Never, "Compare Failure";
}

impl Status {
    /// A status from its type and code, without Do Not Retry.
    pub const fn new(status_code_type: u8, status_code: u8) -> Self {
        assert!(status_code_type < 8, "the Status Code Type has three bits");
        Self((status_code_type as u16) << 8 | status_code as u16)
    }

    /// From the 15 bits of the Status Field; a sixteenth bit is dropped.
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw & 0x7FFF)
    }

    /// The 15 bits of the Status Field.
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// Status Code Type.
    pub const fn status_code_type(self) -> u8 {
        (self.0 >> 8 & 7) as u8
    }

    /// Status Code.
    pub const fn status_code(self) -> u8 {
        self.0 as u8
    }

    /// Do Not Retry.
    pub const fn do_not_retry(self) -> bool {
        self.0 & DNR != 0
    }

    /// More: there is an entry in the error log about it.
    pub const fn more(self) -> bool {
        self.0 & MORE != 0
    }

    /// The same status with Do Not Retry.
    pub const fn with_dnr(self) -> Self {
        Self(self.0 | DNR)
    }

    /// The same status with More.
    pub const fn with_more(self) -> Self {
        Self(self.0 | MORE)
    }

    /// Status Code Type and Status Code alone: what the constants hold.
    pub const fn code(self) -> Self {
        Self(self.0 & CODE_MASK)
    }

    /// Whether the command succeeded.
    pub const fn is_success(self) -> bool {
        self.0 & CODE_MASK == 0
    }

    /// What is known about the status; `None` if this controller never returns it.
    pub fn info(self) -> Option<&'static StatusInfo> {
        Self::ALL.iter().find(|info| info.status == self.code())
    }

    /// The specification's name.
    pub fn name(self) -> &'static str {
        self.info().map_or("Unknown Status", |info| info.name)
    }

    /// The status as the host gets it: with Do Not Retry if the same command would fail again.
    pub fn for_host(self) -> Self {
        match self.info() {
            Some(info) if info.retry == Retry::Never => self.with_dnr(),
            _ => self,
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As in `0/02 Invalid Field in Command (DNR)`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, code) = (self.status_code_type(), self.status_code());
        write!(f, "{kind:X}/{code:02X} {}", self.name())?;
        if self.do_not_retry() {
            f.write_str(" (DNR)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn every_status_is_there_once() {
        let codes: std::collections::BTreeSet<_> = Status::ALL.iter().map(|info| info.status).collect();
        let names: std::collections::BTreeSet<_> = Status::ALL.iter().map(|info| info.name).collect();
        assert_eq!(codes.len(), Status::ALL.len());
        assert_eq!(names.len(), Status::ALL.len());
    }

    #[test]
    fn fields_are_where_the_specification_has_them() {
        let status = Status::from_raw(0x4281);
        assert_eq!(status.status_code_type(), 2);
        assert_eq!(status.status_code(), 0x81);
        assert!(status.do_not_retry() && !status.more());
        assert_eq!(status.code(), Status::UNRECOVERED_READ_ERROR);
        assert_eq!(Status::SUCCESS.with_more().raw(), 0x2000);
        assert_eq!(Status::INVALID_QUEUE_ID.raw(), 0x101);
    }

    #[test]
    fn errors_that_come_again_say_do_not_retry() {
        assert_eq!(Status::INVALID_FIELD.for_host(), Status::INVALID_FIELD.with_dnr());
        assert_eq!(Status::SUCCESS.for_host(), Status::SUCCESS);
        assert_eq!(Status::DATA_TRANSFER_ERROR.for_host(), Status::DATA_TRANSFER_ERROR);
        let text = format!("{}", Status::INVALID_FIELD.for_host());
        assert_eq!(text, "0/02 Invalid Field in Command (DNR)");
    }
}
