//! A ring of typed events in memory: [`soc_map::trace`].

use soc_map::trace::{Kind, EVENTS, EVENT_BYTES, MAGIC, RING_BYTES};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An event, as it lies in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Event {
    /// Of [`soc_map::trace::KINDS`].
    pub kind: U32,
    first: U32,
    /// `cycle` of the hart.
    pub clock: U64,
    second: U64,
    third: U64,
}

/// The ring of a hart.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Ring {
    magic: U64,
    written: U64,
    reserved: [u8; 16],
    events: [Event; EVENTS as usize],
}

const _: () = assert!(size_of::<Event>() as u64 == EVENT_BYTES);
const _: () = assert!(size_of::<Ring>() as u64 == RING_BYTES);

impl Event {
    /// An event with its values.
    pub fn new(kind: &Kind, clock: u64, values: [u64; 3]) -> Self {
        let [first, second, third] = values;
        let first = (first as u32).into();
        Self { kind: kind.number.into(), first, clock: clock.into(), second: second.into(), third: third.into() }
    }

    /// What happened, if that is known here.
    pub fn kind(&self) -> Option<&'static Kind> {
        Kind::of(self.kind.get())
    }

    /// Its values.
    pub fn values(&self) -> [u64; 3] {
        [self.first.get().into(), self.second.get(), self.third.get()]
    }
}

impl Ring {
    /// Begins anew, in any memory.
    pub fn start(&mut self) {
        (self.magic, self.written) = (MAGIC.into(), 0.into());
    }

    /// Writes an event, in the place of the oldest if the ring is full.
    pub fn push(&mut self, event: Event) {
        let written = self.written.get();
        self.events[(written % EVENTS) as usize] = event;
        self.written = written.wrapping_add(1).into();
    }

    /// Events that were lost because newer ones took their places.
    pub fn lost(&self) -> u64 {
        if self.magic.get() == MAGIC {
            self.written.get().saturating_sub(EVENTS)
        } else {
            0
        }
    }

    /// The events that are there, the oldest first; none if nobody has started the ring.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        let written = if self.magic.get() == MAGIC { self.written.get() } else { 0 };
        (written.saturating_sub(EVENTS)..written).map(|number| &self.events[(number % EVENTS) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use soc_map::trace::PROCESS_TRAPPED;
    use std::vec::Vec;

    #[test]
    fn values_come_back_with_their_kind() {
        let event = Event::new(&PROCESS_TRAPPED, 7, [13, u64::MAX, 5]);
        assert_eq!((event.kind(), event.values(), event.clock.get()), (Some(&PROCESS_TRAPPED), [13, u64::MAX, 5], 7));
    }

    proptest! {
        /// The newest events are there in their order, whatever was in the memory before.
        #[test]
        fn the_newest_events_are_kept(before: u8, count in 0..4 * EVENTS) {
            let mut ring = Ring::read_from_bytes(&[before; RING_BYTES as usize]).unwrap();
            prop_assert_eq!(ring.events().count(), 0);
            ring.start();
            (0..count).for_each(|clock| ring.push(Event::new(&PROCESS_TRAPPED, clock, [0; 3])));
            let clocks: Vec<u64> = ring.events().map(|event| event.clock.get()).collect();
            prop_assert_eq!(&clocks, &(count.saturating_sub(EVENTS)..count).collect::<Vec<_>>());
            prop_assert_eq!(ring.lost(), count - clocks.len() as u64);
        }

        /// What no firmware wrote can be looked at.
        #[test]
        fn any_count_is_survived(written: u64) {
            let mut ring = Ring::read_from_bytes(&[0; RING_BYTES as usize]).unwrap();
            (ring.magic, ring.written) = (MAGIC.into(), written.into());
            prop_assert_eq!(ring.events().count() as u64, written.min(EVENTS));
        }
    }
}
