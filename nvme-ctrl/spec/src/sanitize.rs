//! Sanitize: its command dword and its log page. NVMe Base, "Sanitize command" and "Sanitize Operations".

use core::mem::{offset_of, size_of};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::opcode::admin;

/// Sanitize Action: CDW10 bits 2:0.
pub mod action {
    /// Exit Failure Mode.
    pub const EXIT_FAILURE_MODE: u32 = 1;
    /// Start a block erase sanitize operation.
    pub const BLOCK_ERASE: u32 = 2;
}

/// Allow Unrestricted Sanitize Exit: CDW10 bit 3.
pub const ALLOW_UNRESTRICTED_EXIT: u32 = 1 << 3;

/// Bits of Identify Controller, SANICAP.
pub mod capabilities {
    /// Block Erase.
    pub const BLOCK_ERASE: u32 = 1 << 1;
    /// NODMMAS 1: nothing but what the host asks for is changed on the medium afterwards.
    pub const NOTHING_ELSE_MODIFIED: u32 = 1 << 30;
}

/// Sanitize Status: SSTAT bits 2:0.
pub mod status {
    /// There was none.
    pub const NEVER: u16 = 0;
    /// The last one is complete.
    pub const COMPLETED: u16 = 1;
    /// One is going on.
    pub const IN_PROGRESS: u16 = 2;
    /// The last one failed.
    pub const FAILED: u16 = 3;
}

/// SSTAT: nothing was written since the last one was complete.
pub const GLOBAL_DATA_ERASED: u16 = 1 << 8;

/// SPROG of an operation that is not going on.
pub const PROGRESS_NONE: u16 = 0xFFFF;

/// An estimate that is not given.
pub const NO_ESTIMATE: u32 = 0xFFFF_FFFF;

/// Sanitize Status. NVMe Base, "Sanitize Status (Log Identifier 81h)".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct SanitizeLog {
    /// Sanitize Progress: so many of 65,536 parts are done.
    pub sprog: U16,
    /// Sanitize Status.
    pub sstat: U16,
    /// CDW10 of the command that started it.
    pub scdw10: U32,
    /// Estimated times, in seconds.
    pub estimates: [U32; 6],
    /// Reserved.
    pub reserved32: [u8; 480],
}

const _: () = assert!(size_of::<SanitizeLog>() == 512);
const _: () = assert!(offset_of!(SanitizeLog, scdw10) == 4);
const _: () = assert!(offset_of!(SanitizeLog, estimates) == 8);

/// Whether an admin command may be executed during a sanitize operation. NVMe Base, "Command Restrictions".
pub const fn is_allowed(opcode: u8) -> bool {
    matches!(
        opcode,
        admin::DELETE_IO_SQ
            | admin::CREATE_IO_SQ
            | admin::GET_LOG_PAGE
            | admin::DELETE_IO_CQ
            | admin::CREATE_IO_CQ
            | admin::IDENTIFY
            | admin::ABORT
            | admin::SET_FEATURES
            | admin::GET_FEATURES
            | admin::ASYNC_EVENT_REQUEST
            | admin::KEEP_ALIVE
    )
}
