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

    /// All I/O commands of this controller, with their names.
    pub const ALL: &[(u8, &str)] = &[(FLUSH, "Flush"), (WRITE, "Write"), (READ, "Read")];
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
