use std::collections::VecDeque;

use nvme_spec::Status;
use sim_host::DriverError;

use crate::plan::Action;

/// What a simulation found broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A rule that the driver holds every access against, or something that did not happen in time.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A status that the command cannot have.
    #[error("command {cid:#06x} of queue {queue} ended with {status}, which cannot be: {why}")]
    Status {
        /// Submission queue.
        queue: u16,
        /// Command.
        cid: u16,
        /// How it ended.
        status: Status,
        /// What speaks against it.
        why: String,
    },
    /// A Read returned what was not there.
    #[error(
        "command {cid:#06x} of queue {queue} read block {lba} wrongly: it may hold {possible}; it came as {found}"
    )]
    Data {
        /// Submission queue.
        queue: u16,
        /// Command.
        cid: u16,
        /// The block.
        lba: u64,
        /// What it may hold.
        possible: String,
        /// What was read.
        found: String,
    },
    /// The function accessed memory without being bus master.
    #[error("clock {clock}: an access at {address:#x} while Bus Master Enable was 0")]
    NotBusMaster {
        /// When.
        clock: u64,
        /// Where.
        address: u64,
    },
    /// Something about the device changed that must not.
    #[error("{0}")]
    Other(String),
    /// Firmware, a monitor of a bus or the harness stopped with an assertion.
    #[error("an assertion failed: {0}")]
    Panic(String),
    /// Another one, with what was done before it.
    #[error("{broken}\nbefore it, by clock: {history}")]
    After {
        /// What was found broken.
        broken: Box<Broken>,
        /// The last actions.
        history: String,
    },
    /// There is no device.
    #[error("{0}")]
    NoDevice(String),
}

impl Broken {
    /// With what was done before it.
    pub(crate) fn after(self, history: &VecDeque<(u64, Action)>) -> Self {
        let actions: Vec<String> = history.iter().map(|(clock, action)| format!("{clock} {action:?}")).collect();
        Self::After { broken: Box::new(self), history: actions.join(", ") }
    }

    /// What was found broken, without what was done before it.
    pub fn cause(&self) -> &Self {
        match self {
            Self::After { broken, .. } => broken.cause(),
            other => other,
        }
    }
}
