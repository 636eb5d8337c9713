//! From which submission queue the next command is fetched. NVMe Base, "Command Arbitration".

use nvme_spec::entry::queue_priority;
use nvme_spec::firmware_port::arbitration::{AB, HPW, LPW, MPW};

use crate::random::Random;

/// Most commands of one turn, whatever the Arbitration Burst is.
const TURN_MAX: u32 = 8;

/// A class of queues: by strict priority, but for the weighted ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The admin queue; with plain round robin, all queues.
    Admin,
    Urgent,
    High,
    Medium,
    Low,
}

impl Class {
    const WEIGHTED: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    fn of(queue: usize, priority: u8) -> Self {
        match (queue, priority) {
            (0, _) => Self::Admin,
            (_, queue_priority::URGENT) => Self::Urgent,
            (_, queue_priority::HIGH) => Self::High,
            (_, queue_priority::MEDIUM) => Self::Medium,
            _ => Self::Low,
        }
    }
}

/// A queue that could be fetched from.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) queue: usize,
    /// QPRIO.
    pub(crate) priority: u8,
}

/// Who had the last turn, and what is left of the round.
#[derive(Default)]
pub(crate) struct Arbiter {
    /// By class: where its next turn begins.
    next: [usize; 5],
    /// By class of [`Class::WEIGHTED`]: commands until the end of the round.
    credits: [u32; 3],
    /// The queue that has the turn, and how many commands that allows.
    turn: Option<(usize, u32)>,
}

impl Arbiter {
    /// Chooses one of the candidates, by weights or by plain round robin. `feature` is Arbitration.
    pub(crate) fn choose(&mut self, candidates: &[Candidate], is_weighted: bool, feature: u32) -> Option<Candidate> {
        let class_of = |c: &Candidate| if is_weighted { Class::of(c.queue, c.priority) } else { Class::Admin };
        let has = |class: Class| candidates.iter().any(|c| class_of(c) == class);
        let strict = [Class::Admin, Class::Urgent].into_iter().find(|class| has(*class));
        let class = strict.or_else(|| {
            self.with_credit(has).or_else(|| {
                // The round is over.
                self.credits = [HPW, MPW, LPW].map(|weight| weight.get32(feature) + 1);
                self.with_credit(has)
            })
        })?;
        let members = || candidates.iter().filter(|c| class_of(c) == class);
        let has_turn = |c: &&Candidate| self.turn.is_some_and(|(queue, left)| queue == c.queue && left > 0);
        let next = self.next[class as usize];
        let chosen = members().find(has_turn).or_else(|| members().find(|c| c.queue >= next));
        chosen.or_else(|| members().next()).copied()
    }

    fn with_credit(&self, has: impl Fn(Class) -> bool) -> Option<Class> {
        let mut classes = Class::WEIGHTED.into_iter().zip(self.credits);
        classes.find(|(class, credit)| *credit > 0 && has(*class)).map(|(class, _)| class)
    }

    /// Commands were fetched from a candidate. How long its turn is, within the Arbitration Burst, is left to the controller.
    pub(crate) fn took(&mut self, from: Candidate, count: u32, is_weighted: bool, feature: u32, random: &mut Random) {
        let class = if is_weighted { Class::of(from.queue, from.priority) } else { Class::Admin };
        let left = match self.turn {
            Some((queue, left)) if queue == from.queue && left > 0 => left,
            _ => 1 + random.below(TURN_MAX.min(1 << AB.get32(feature))),
        };
        self.turn = Some((from.queue, left.saturating_sub(count)));
        self.next[class as usize] = from.queue + 1;
        if let Some(at) = Class::WEIGHTED.iter().position(|weighted| *weighted == class) {
            self.credits[at] = self.credits[at].saturating_sub(count);
        }
    }
}
