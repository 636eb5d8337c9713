//! Opcodes. NVMe Base, "Opcodes for Admin Commands"; NVM Command Set, "Opcodes for NVM Commands".

/// Admin commands.
pub mod admin {
    /// Delete I/O Submission Queue.
    pub const DELETE_IO_SQ: u8 = 0x00;
    /// Create I/O Submission Queue.
    pub const CREATE_IO_SQ: u8 = 0x01;
    /// Get Log Page.
    pub const GET_LOG_PAGE: u8 = 0x02;
    /// Delete I/O Completion Queue.
    pub const DELETE_IO_CQ: u8 = 0x04;
    /// Create I/O Completion Queue.
    pub const CREATE_IO_CQ: u8 = 0x05;
    /// Identify.
    pub const IDENTIFY: u8 = 0x06;
    /// Abort.
    pub const ABORT: u8 = 0x08;
    /// Set Features.
    pub const SET_FEATURES: u8 = 0x09;
    /// Get Features.
    pub const GET_FEATURES: u8 = 0x0A;
    /// Asynchronous Event Request.
    pub const ASYNC_EVENT_REQUEST: u8 = 0x0C;
    /// Namespace Management.
    pub const NAMESPACE_MANAGEMENT: u8 = 0x0D;
    /// Firmware Commit.
    pub const FIRMWARE_COMMIT: u8 = 0x10;
    /// Firmware Image Download.
    pub const FIRMWARE_IMAGE_DOWNLOAD: u8 = 0x11;
    /// Namespace Attachment.
    pub const NAMESPACE_ATTACHMENT: u8 = 0x15;
    /// Keep Alive.
    pub const KEEP_ALIVE: u8 = 0x18;
    /// Format NVM.
    pub const FORMAT_NVM: u8 = 0x80;
    /// Sanitize.
    pub const SANITIZE: u8 = 0x84;

    /// Whether the opcode is that of a command that a controller may lack: Identify Controller, OACS and SANICAP, say whether it is there.
    pub const fn is_optional(opcode: u8) -> bool {
        matches!(
            opcode,
            NAMESPACE_MANAGEMENT
                | NAMESPACE_ATTACHMENT
                | FIRMWARE_COMMIT
                | FIRMWARE_IMAGE_DOWNLOAD
                | KEEP_ALIVE
                | FORMAT_NVM
                | SANITIZE
        )
    }

    /// All admin commands of this controller, with their names.
    pub const ALL: &[(u8, &str)] = &[
        (DELETE_IO_SQ, "Delete I/O Submission Queue"),
        (CREATE_IO_SQ, "Create I/O Submission Queue"),
        (GET_LOG_PAGE, "Get Log Page"),
        (DELETE_IO_CQ, "Delete I/O Completion Queue"),
        (CREATE_IO_CQ, "Create I/O Completion Queue"),
        (IDENTIFY, "Identify"),
        (ABORT, "Abort"),
        (SET_FEATURES, "Set Features"),
        (GET_FEATURES, "Get Features"),
        (ASYNC_EVENT_REQUEST, "Asynchronous Event Request"),
        (NAMESPACE_MANAGEMENT, "Namespace Management"),
        (FIRMWARE_COMMIT, "Firmware Commit"),
        (FIRMWARE_IMAGE_DOWNLOAD, "Firmware Image Download"),
        (NAMESPACE_ATTACHMENT, "Namespace Attachment"),
        (KEEP_ALIVE, "Keep Alive"),
        (FORMAT_NVM, "Format NVM"),
        (SANITIZE, "Sanitize"),
    ];
}

/// Commands of the NVM command set.
pub mod io {
    /// Flush.
    pub const FLUSH: u8 = 0x00;
    /// Write.
    pub const WRITE: u8 = 0x01;
    /// Read.
    pub const READ: u8 = 0x02;
    /// Write Uncorrectable.
    pub const WRITE_UNCORRECTABLE: u8 = 0x04;
    /// Compare.
    pub const COMPARE: u8 = 0x05;
    /// Write Zeroes.
    pub const WRITE_ZEROES: u8 = 0x08;
    /// Dataset Management; only where the storage can be erased.
    pub const DATASET_MANAGEMENT: u8 = 0x09;
    /// Verify.
    pub const VERIFY: u8 = 0x0C;
    /// Copy; only where the storage can be copied.
    pub const COPY: u8 = 0x19;

    /// Send Frame: vendor specific; see [`crate::FrameCommand`].
    pub const SEND_FRAME: u8 = 0x81;
    /// Receive Frame: vendor specific; see [`crate::FrameCommand`].
    pub const RECEIVE_FRAME: u8 = 0x82;

    /// Whether the command names logical blocks, in command dwords 10 to 12.
    pub const fn has_blocks(opcode: u8) -> bool {
        matches!(opcode, WRITE | READ | WRITE_UNCORRECTABLE | COMPARE | WRITE_ZEROES | VERIFY)
    }

    /// Whether the command changes logical blocks.
    pub const fn is_write(opcode: u8) -> bool {
        matches!(opcode, WRITE | WRITE_UNCORRECTABLE | WRITE_ZEROES)
    }

    /// All I/O commands of this controller, with their names.
    pub const ALL: &[(u8, &str)] = &[
        (FLUSH, "Flush"),
        (WRITE, "Write"),
        (READ, "Read"),
        (WRITE_UNCORRECTABLE, "Write Uncorrectable"),
        (COMPARE, "Compare"),
        (WRITE_ZEROES, "Write Zeroes"),
        (DATASET_MANAGEMENT, "Dataset Management"),
        (VERIFY, "Verify"),
        (COPY, "Copy"),
        (SEND_FRAME, "Send Frame"),
        (RECEIVE_FRAME, "Receive Frame"),
    ];
}

/// The name of an opcode that this controller executes.
pub fn name(opcode: u8, is_admin: bool) -> Option<&'static str> {
    let all = if is_admin { admin::ALL } else { io::ALL };
    let known = all.iter().find(|(known, _)| *known == opcode);
    known.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_right_table() {
        assert_eq!(name(0x00, true), Some("Delete I/O Submission Queue"));
        assert_eq!(name(0x00, false), Some("Flush"));
        assert_eq!(name(0x03, true), None);
        for all in [admin::ALL, io::ALL] {
            let opcodes: std::collections::BTreeSet<_> = all.iter().map(|(code, _)| code).collect();
            assert_eq!(opcodes.len(), all.len());
        }
    }
}
