//! Completions on their way to the host.
//!
//! A completion that its queue has no room for is kept and posted again when hardware says that some queue got room. Completions of one
//! submission queue stay in order; one full completion queue does not stop the others.

use nvme_spec::limits::HELD_COMMANDS;
use soc_hal::Mmio;

use crate::list::List;
use crate::port::{Completion, Port, Posted};

/// Completions that are posted per poll.
const POSTS_PER_POLL: u32 = 8;

pub(crate) struct Completions {
    waiting: List<Completion, { HELD_COMMANDS as usize }>,
    /// Which of `waiting` the hardware has.
    posting: Option<usize>,
    /// A bit for every submission queue whose completion queue had no room when it was last tried.
    refused: [u64; 4],
}

impl Completions {
    pub(crate) const fn new() -> Self {
        Self { waiting: List::new(), posting: None, refused: [0; 4] }
    }

    /// How many more completions may wait.
    pub(crate) const fn room(&self) -> usize {
        self.waiting.room()
    }

    /// Whether something waits that was not refused.
    pub(crate) fn can_post(&self) -> bool {
        let can_post = |waiting: &Completion| !self.is_refused(waiting.command.sqid);
        self.waiting.position(can_post).is_some()
    }

    pub(crate) fn push(&mut self, completion: Completion) {
        self.waiting.push(completion);
    }

    /// The completions of a queue that is deleted.
    pub(crate) fn drop_queue(&mut self, sqid: u8) {
        assert!(self.posting.is_none(), "nothing is with the hardware");
        self.waiting.retain(|waiting| waiting.command.sqid != sqid);
        self.set_refused(sqid, false);
    }

    /// Some completion queue got room.
    pub(crate) fn retry_all(&mut self) {
        self.refused = [0; 4];
    }

    fn is_refused(&self, sqid: u8) -> bool {
        self.refused[usize::from(sqid / 64)] >> (sqid % 64) & 1 == 1
    }

    fn set_refused(&mut self, sqid: u8, refused: bool) {
        let word = &mut self.refused[usize::from(sqid / 64)];
        *word = *word & !(1 << (sqid % 64)) | u64::from(refused) << (sqid % 64);
    }

    /// Posts what can be posted, up to a bound. Afterwards the hardware has no completion of ours unless this returns `false`.
    pub(crate) fn poll<M: Mmio>(&mut self, port: &mut Port<M>) -> bool {
        if !self.settle(port) {
            return false;
        }
        for _ in 0..POSTS_PER_POLL {
            let next = |waiting: &Completion| !self.is_refused(waiting.command.sqid);
            let Some(index) = self.waiting.position(next) else {
                break;
            };
            let completion = self.waiting.get(index).expect("just found");
            port.post(&completion);
            self.posting = Some(index);
            if !self.settle(port) {
                return false;
            }
        }
        true
    }

    /// Asks what became of the completion that the hardware has; `false`: not known yet.
    fn settle<M: Mmio>(&mut self, port: &mut Port<M>) -> bool {
        let Some(index) = self.posting else {
            return true;
        };
        match port.posted() {
            Posted::Busy => return false,
            Posted::Done => {
                self.waiting.remove(index);
            }
            Posted::Refused => {
                let refused = self.waiting.get(index).expect("it is kept until now");
                self.set_refused(refused.command.sqid, true);
            }
        }
        self.posting = None;
        true
    }
}
