//! What agents do to shared words, and what came of it.

/// A word of 64 bits that agents share, by its number.
pub type Place = usize;

/// Kinds of accesses that a fence orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accesses {
    /// Reads.
    pub reads: bool,
    /// Writes.
    pub writes: bool,
}

impl Accesses {
    /// Reads alone.
    pub const READS: Self = Self { reads: true, writes: false };
    /// Writes alone.
    pub const WRITES: Self = Self { reads: false, writes: true };
    /// Both.
    pub const ALL: Self = Self { reads: true, writes: true };

    /// Whether an access is of these kinds; an atomic is of both.
    pub fn meets(self, other: Self) -> bool {
        self.reads && other.reads || self.writes && other.writes
    }
}

/// How an atomic makes what it writes of what it reads and of its operand. Of values that differ it makes values that differ, or does not change anything, so that
/// what is read tells who wrote it: AND and OR do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "names of the manual")]
pub enum Modification {
    Swap,
    Add,
    Xor,
    Min,
    Max,
    MinUnsigned,
    MaxUnsigned,
}

impl Modification {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Swap, Self::Add, Self::Xor, Self::Min, Self::Max, Self::MinUnsigned, Self::MaxUnsigned];

    /// What is written.
    pub fn of(self, old: u64, operand: u64) -> u64 {
        match self {
            Self::Swap => operand,
            Self::Add => old.wrapping_add(operand),
            Self::Xor => old ^ operand,
            Self::Min => old.cast_signed().min(operand.cast_signed()).cast_unsigned(),
            Self::Max => old.cast_signed().max(operand.cast_signed()).cast_unsigned(),
            Self::MinUnsigned => old.min(operand),
            Self::MaxUnsigned => old.max(operand),
        }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ld`
    Load,
    /// `sd`
    Store,
    /// `amo*.d`
    Modify(Modification),
    /// `lr.d`
    LoadReserved,
    /// `sc.d`
    StoreConditional,
    /// `fence`
    Fence {
        /// What comes before it.
        before: Accesses,
        /// What comes after it.
        after: Accesses,
    },
}

/// An operation of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What is done.
    pub kind: Kind,
    /// Where; a fence is nowhere.
    pub place: Place,
    /// Atomics: the bit `aq`.
    pub acquire: bool,
    /// Atomics: the bit `rl`.
    pub release: bool,
    /// The address depends on what the operation right before has read.
    pub depends: bool,
    /// Instructions that do nothing, in front of it.
    pub pause: u32,
}

impl Operation {
    /// A plain one.
    pub const fn new(kind: Kind, place: Place) -> Self {
        Self { kind, place, acquire: false, release: false, depends: false, pause: 0 }
    }

    /// A fence.
    pub const fn fence(before: Accesses, after: Accesses) -> Self {
        Self::new(Kind::Fence { before, after }, 0)
    }

    /// The fence that orders everything.
    pub const FENCE: Self = Self::fence(Accesses::ALL, Accesses::ALL);

    /// Whether a value comes back: what was read, or whether `sc` has failed.
    pub fn has_result(&self) -> bool {
        !matches!(self.kind, Kind::Store | Kind::Fence { .. })
    }

    /// Whether it reads, so that the one behind it may depend on it.
    pub fn is_read(&self) -> bool {
        self.has_result() && self.kind != Kind::StoreConditional
    }

    /// Whether it takes a value to write.
    pub fn has_operand(&self) -> bool {
        matches!(self.kind, Kind::Store | Kind::Modify(_) | Kind::StoreConditional)
    }

    /// What happened, from the operand and the result.
    pub fn event(self, operand: u64, result: u64) -> Event {
        let (read, wrote) = match self.kind {
            Kind::Load | Kind::LoadReserved => (Some(result), None),
            Kind::Store => (None, Some(operand)),
            Kind::Modify(modification) => {
                let new = modification.of(result, operand);
                (Some(result), (new != result).then_some(new))
            }
            Kind::StoreConditional => (None, (result == 0).then_some(operand)),
            Kind::Fence { .. } => (None, None),
        };
        Event { operation: self, read, wrote }
    }
}

/// What happened. An atomic that changes nothing counts as a read, and an `sc` that fails as nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What was to be done.
    pub operation: Operation,
    /// What was read.
    pub read: Option<u64>,
    /// What was written.
    pub wrote: Option<u64>,
}

/// What happened to some places. No two writes of one place have the same value, nor is one that of the beginning.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What is in the places at first.
    pub initial: Vec<u64>,
    /// The events of each agent, in the order of its program.
    pub agents: Vec<Vec<Event>>,
}
