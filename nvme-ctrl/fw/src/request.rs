//! A command that firmware works on.

use nvme_spec::SqEntry;

use crate::commands::Place;

/// A command, and where its completion goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) function: u8,
    /// Of its submission queue.
    pub(crate) slot: u8,
    pub(crate) place: Place,
    pub(crate) entry: SqEntry,
}

impl Request {
    /// Command dword 10 to 15.
    pub(crate) fn cdw(&self, number: usize) -> u32 {
        self.entry.cdw(number)
    }

    pub(crate) const fn nsid(&self) -> u32 {
        self.entry.nsid.get()
    }
}
