//! # Submission queue fetch
//!
//! Reads granted submission queue entries from host memory, several grants at a time, and delivers them in the order of the grants.
//!
//! ## Symbol
//! ```text
//!           +-- sq_fetch --+
//!  grant -->|              |---> read     HostRead (to host_port)
//!   beat -->|              |---> fetched  Fetched  (to decode)
//!           +--------------+
//! ```
//! ## Theory of operation
//! 1. Each grant takes the next tag, and becomes one read of as many beats as it has entries: a beat is an entry.
//! 2. It takes as many places of the ring `entries`, so beats are always taken, also when those of different tags alternate.
//! 3. `arrived` has a bit for each place. Places are delivered in order as they arrive; the last one of a grant frees its tag.
//! 4. `has_next` of an entry says that another one of its queue comes: of this grant, or of a later one.
//! 5. An entry that could not be read is delivered with `error`.
//!
//! ## Timing
//! From grant to read 1 clock; from beat to entry 1 clock; one entry every second clock.
//!
//! ## Limits
//! As many reads in flight as the configuration has `fetches`, and twice as many entries, but at least those of two whole grants.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::arbiter::GRANT_ENTRIES_MAX;
use crate::held::bit_at;
use crate::types::{reader, Fetched, Grant, HostBeat, HostRead};
use crate::Config;
use rtl_hdl::{address_width, cat, lit, when, zero, Block, MemoryStyle, Module};
use rtl_prim::one_hot;

#[cfg(test)]
mod bench;

/// See the [page](self) of this block.
pub struct SqFetch {
    config: Config,
}

impl SqFetch {
    /// The block of this configuration.
    pub fn new(config: Config) -> Self {
        SqFetch { config }
    }
}

impl Block for SqFetch {
    fn name(&self) -> String {
        format!("sq_fetch_f{}", self.config.fetches)
    }

    fn description(&self) -> String {
        "Reads granted submission queue entries and delivers them in the order of the grants.".into()
    }

    fn build(&self, m: &Module) {
        let tags = self.config.fetches;
        let tag_bits = address_width(tags);
        let places = (2 * tags).max(2 * GRANT_ENTRIES_MAX);
        let place_bits = address_width(places);

        // 1. Ports
        let clock = m.clock();
        let grant = m.stream_in::<Grant>("grant");
        let beat = m.stream_in::<HostBeat>("beat");
        let read = m.stream_out_single::<HostRead>("read");
        let fetched = m.stream_out_single::<Fetched>("fetched");

        // 2. State
        let next_tag = m.reg("next_tag", clock, zero(tag_bits));
        let oldest_tag = m.reg("oldest_tag", clock, zero(tag_bits));
        let tags_used = m.reg("tags_used", clock, zero(tag_bits + 1));
        let next_place = m.reg("next_place", clock, zero(place_bits));
        let oldest_place = m.reg("oldest_place", clock, zero(place_bits));
        let places_used = m.reg("places_used", clock, zero(place_bits + 1));
        let arrived = m.reg("arrived", clock, zero(places));
        let grants = m.memory("grants", 8 + 8 + 1, tags, MemoryStyle::Distributed);
        // Where the first beat of a tag goes, and the one after the last that has come.
        let first_places = m.memory("first_places", place_bits, tags, MemoryStyle::Distributed);
        let later_places = m.memory("later_places", place_bits, tags, MemoryStyle::Distributed);
        let begun = m.reg("begun", clock, zero(tags));
        // The last beat of a grant is at its place.
        let ends_grant = m.memory("ends_grant", 1, places, MemoryStyle::Distributed);
        let entries = m.memory("entries", 1 + 512, places, MemoryStyle::Distributed);

        // 3. Conditions
        let has_room = m.wire("has_room", tags_used.ne(tags) & places_used.le(places - GRANT_ENTRIES_MAX));
        let may_issue = m.wire("may_issue", has_room & read.can_take());
        let issue = m.wire("issue", may_issue & grant.valid());
        let oldest = m.wire("oldest", grants.lookup(oldest_tag));
        let (sqid, function, leaves_some) = (oldest.bits(0..8), oldest.bits(8..16), oldest.bit(16));
        let beat_tag = m.wire("beat_tag", beat.payload().id.low(tag_bits));
        let has_begun = m.wire("has_begun", bit_at(begun, beat_tag));
        let [later_place, first_place] = [&later_places, &first_places].map(|places| places.lookup(beat_tag));
        let place = m.wire("place", has_begun.mux(later_place, first_place));

        // The oldest entry may come in this clock.
        let is_oldest = has_begun.mux(later_place.eq(oldest_place), first_place.eq(oldest_place));
        let passes = m.wire("passes", beat.valid() & is_oldest);
        let has_arrived = m.wire("has_arrived", bit_at(arrived, oldest_place));
        let deliver = m.wire("deliver", (has_arrived | passes) & fetched.can_take());
        let is_last =
            m.wire("is_last", (has_arrived & ends_grant.lookup(oldest_place)) | (passes & beat.payload().last));
        let ends = m.wire("ends", is_last & fetched.can_take());

        // 4. Next state
        when(may_issue, || grant.take());
        let granted = grant.payload();
        when(issue, || {
            let id = lit(u32::from(reader::FETCH) << 6, 8) | next_tag.zext(8);
            read.offer(HostRead {
                id,
                function: granted.function,
                address: granted.address,
                beats: granted.count.zext(7),
            });
            next_tag.set(next_tag + 1);
            next_place.set(next_place + granted.count.zext(place_bits));
        });
        grants.write(clock, issue, next_tag, cat(&[granted.leaves_some, granted.function, granted.sqid]));
        first_places.write(clock, issue, next_tag, next_place);

        beat.take();
        let received = beat.payload();
        let tag_bit = one_hot(beat_tag, tags) & beat.valid().repeat(tags);
        begun.set((begun | tag_bit) & !(tag_bit & received.last.repeat(tags)));
        later_places.write(clock, beat.valid(), beat_tag, place + 1);
        ends_grant.write(clock, beat.valid(), place, received.last);
        entries.write(clock, beat.valid(), place, cat(&[received.error, received.data]));

        let entry = passes.mux(cat(&[received.error, received.data]), entries.lookup(oldest_place));
        when(deliver, || {
            let has_next = !is_last | leaves_some;
            fetched.offer(Fetched { sqid, function, error: entry.bit(512), has_next, entry: entry.low(512) });
            oldest_place.set(oldest_place + 1);
        });
        when(ends, || oldest_tag.set(oldest_tag + 1));
        let filled = one_hot(place, places) & beat.valid().repeat(places);
        let emptied = one_hot(oldest_place, places) & deliver.repeat(places);
        arrived.set((arrived | filled) & !emptied);
        when(issue & !ends, || tags_used.set(tags_used + 1));
        when(ends & !issue, || tags_used.set(tags_used - 1));
        let taken = issue.mux(granted.count.zext(place_bits + 1), zero(place_bits + 1));
        places_used.set(places_used + taken - deliver.zext(place_bits + 1));

        // 5. Outputs: the streams' own.
    }
}
