//! The litmus tests: few operations of few harts at two places, and the outcome that only a relaxed order gives. The names are those of the literature.

use crate::checker::{check, Source};
use crate::history::{Accesses, Event, History, Kind, Modification, Operation};

/// A litmus test.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// What each hart does.
    pub harts: Vec<Vec<Operation>>,
    /// What the loads read in that outcome, in the order of the harts: 0 for what was there, 1 for what a hart has written.
    pub relaxed: &'static str,
    /// Whether RVWMO allows it.
    pub is_allowed: bool,
}

const X: usize = 0;
const Y: usize = 1;

const fn load(place: usize) -> Operation {
    Operation::new(Kind::Load, place)
}

const fn store(place: usize) -> Operation {
    Operation::new(Kind::Store, place)
}

/// A load whose address depends on the load before it, or a store.
const fn depending(operation: Operation) -> Operation {
    Operation { depends: true, ..operation }
}

const fn swap(place: usize, acquire: bool) -> Operation {
    Operation { acquire, release: true, ..Operation::new(Kind::Modify(Modification::Swap), place) }
}

/// All of them.
pub fn shapes() -> Vec<Shape> {
    let fence = Operation::FENCE;
    let writes = Operation::fence(Accesses::WRITES, Accesses::WRITES);
    let reads = Operation::fence(Accesses::READS, Accesses::READS);
    let acquire = |place| Operation { acquire: true, ..Operation::new(Kind::LoadReserved, place) };
    let shape = |name, harts: &[&[Operation]], relaxed, is_allowed| Shape {
        name,
        harts: harts.iter().map(|operations| operations.to_vec()).collect(),
        relaxed,
        is_allowed,
    };
    let (wx, wy, rx, ry) = (store(X), store(Y), load(X), load(Y));
    vec![
        shape("MP", &[&[wx, wy], &[ry, rx]], "10", true),
        shape("MP+fences", &[&[wx, fence, wy], &[ry, fence, rx]], "10", false),
        shape("MP+fence.w.w+fence.r.r", &[&[wx, writes, wy], &[ry, reads, rx]], "10", false),
        shape("MP+fence.w.w+po", &[&[wx, writes, wy], &[ry, rx]], "10", true),
        shape("MP+fence.w.w+addr", &[&[wx, writes, wy], &[ry, depending(rx)]], "10", false),
        shape("MP+rl+aq", &[&[wx, swap(Y, false)], &[acquire(Y), rx]], "10", false),
        shape("SB", &[&[wx, ry], &[wy, rx]], "00", true),
        shape("SB+fences", &[&[wx, fence, ry], &[wy, fence, rx]], "00", false),
        shape("SB+aqrl", &[&[swap(X, true), ry], &[swap(Y, true), rx]], "00", false),
        shape("LB", &[&[rx, wy], &[ry, wx]], "11", true),
        shape("LB+fences", &[&[rx, fence, wy], &[ry, fence, wx]], "11", false),
        shape("LB+addrs", &[&[rx, depending(wy)], &[ry, depending(wx)]], "11", false),
        shape("IRIW", &[&[wx], &[wy], &[rx, ry], &[ry, rx]], "1010", true),
        shape("IRIW+fences", &[&[wx], &[wy], &[rx, fence, ry], &[ry, fence, rx]], "1010", false),
        shape("IRIW+addrs", &[&[wx], &[wy], &[rx, depending(ry)], &[ry, depending(rx)]], "1010", false),
    ]
}

/// What the loads have read, if it is allowed.
pub(crate) fn outcome(agents: Vec<Vec<Event>>) -> Result<String, crate::Violation> {
    let history = History { initial: vec![0; 2], agents };
    let sources = check(&history)?;
    let events = history.agents.iter().flatten().zip(sources.into_iter().flatten());
    let loads = events.filter(|(event, _)| matches!(event.operation.kind, Kind::Load | Kind::LoadReserved));
    Ok(loads.map(|(_, source)| if source == Some(Source::Initial) { '0' } else { '1' }).collect())
}
