//! The Error Information log. NVMe Base, "Error Information (Log Identifier 01h)".

use nvme_spec::limits::{ERROR_LOG_ENTRIES, NSID_BROADCAST};
use nvme_spec::log::{ErrorLogEntry, NO_PARAMETER_LOCATION};
use nvme_spec::status::status_code_type;
use nvme_spec::{SqEntry, Status};
use zerocopy::FromZeros;

const ENTRIES: usize = ERROR_LOG_ENTRIES as usize;

/// The newest errors.
pub(crate) struct ErrorLog {
    /// A ring: error number `n` is at `n % ENTRIES`.
    ring: [Option<ErrorLogEntry>; ENTRIES],
    /// Errors so far: the number of the newest.
    count: u64,
    media_errors: u64,
}

impl ErrorLog {
    pub(crate) const fn new() -> Self {
        Self { ring: [None; ENTRIES], count: 0, media_errors: 0 }
    }

    /// Errors since power-on.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Those of them that the medium is to blame for.
    pub(crate) const fn media_errors(&self) -> u64 {
        self.media_errors
    }

    /// Logs a command that ends with an error.
    pub(crate) fn add(&mut self, qid: u16, entry: &SqEntry, status: Status) {
        // Data that differs is no fault of the medium.
        if status.status_code_type() == status_code_type::MEDIA && status.code() != Status::COMPARE_FAILURE {
            self.media_errors += 1;
        }
        // Only I/O commands name logical blocks.
        let lba = match qid {
            0 => 0,
            _ => u64::from(entry.cdw(11)) << 32 | u64::from(entry.cdw(10)),
        };
        self.push(ErrorLogEntry {
            sqid: qid.into(),
            cid: entry.cid,
            // The lowest bit is the phase tag, which nobody needs here.
            status_field: (status.raw() << 1).into(),
            lba: lba.into(),
            nsid: entry.nsid,
            ..Self::nothing()
        });
    }

    /// Logs an error that no command is to blame for.
    pub(crate) fn add_without_command(&mut self) {
        self.push(ErrorLogEntry {
            sqid: u16::MAX.into(),
            cid: u16::MAX.into(),
            nsid: NSID_BROADCAST.into(),
            ..Self::nothing()
        });
    }

    /// The `age`-th newest error; all zero if there are not so many.
    pub(crate) fn newest(&self, age: u64) -> ErrorLogEntry {
        let unused = ErrorLogEntry::new_zeroed();
        if age >= self.count.min(ENTRIES as u64) {
            return unused;
        }
        self.ring[Self::index(self.count - age)].unwrap_or(unused)
    }

    fn nothing() -> ErrorLogEntry {
        ErrorLogEntry { parameter_error_location: NO_PARAMETER_LOCATION.into(), ..ErrorLogEntry::new_zeroed() }
    }

    fn push(&mut self, entry: ErrorLogEntry) {
        self.count += 1;
        self.ring[Self::index(self.count)] = Some(ErrorLogEntry { error_count: self.count.into(), ..entry });
    }

    const fn index(number: u64) -> usize {
        (number % ENTRIES as u64) as usize
    }
}
