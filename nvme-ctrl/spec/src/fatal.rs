//! Why firmware stopped a controller: the reason behind CSTS.CFS.

/// The reason. It ends with the next controller reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FatalCode {
    /// The hardware's identification or interface version is not one that this firmware knows.
    UnknownHardware,
    /// The host selected something in CC that CAP does not offer.
    InvalidConfiguration,
    /// The host gave the admin queues a size that they cannot have.
    InvalidAdminQueueSize,
    /// An access to a queue in host memory failed.
    HostMemory,
    /// The hardware did not end a queue command within its clocks.
    QueueCommandStuck,
    /// The host was silent for longer than its Keep Alive Timer allows.
    KeepAliveTimeout,
}

impl FatalCode {
    /// All codes.
    pub const ALL: [Self; 6] = [
        Self::UnknownHardware,
        Self::InvalidConfiguration,
        Self::InvalidAdminQueueSize,
        Self::HostMemory,
        Self::QueueCommandStuck,
        Self::KeepAliveTimeout,
    ];

    /// One sentence for a person.
    pub const fn message(self) -> &'static str {
        match self {
            Self::UnknownHardware => "The hardware has an interface that this firmware does not know.",
            Self::InvalidConfiguration => "The host wrote something to CC that CAP does not offer.",
            Self::InvalidAdminQueueSize => "The host gave the admin queues a size that they cannot have.",
            Self::HostMemory => "An access to a queue in host memory failed.",
            Self::QueueCommandStuck => "The hardware did not end a queue command.",
            Self::KeepAliveTimeout => "The host was silent for longer than its Keep Alive Timer allows.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_sentence() {
        let messages: std::collections::BTreeSet<_> = FatalCode::ALL.iter().map(|code| code.message()).collect();
        assert_eq!(messages.len(), FatalCode::ALL.len());
    }
}
