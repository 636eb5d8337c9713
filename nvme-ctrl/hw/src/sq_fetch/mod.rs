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
//! 1. Each grant takes the next tag and becomes one read of as many beats as it has entries: a beat is an entry.
//! 2. A tag owns eight places in `entries`, so beats are always taken, also when those of different tags alternate.
//! 3. `arrived` has a bit for each place. The oldest tag delivers its places in order as they arrive; when it has delivered its last
//!    entry, the tag is free again.
//! 4. An entry that could not be read is delivered with `error`.
//!
//! ## Timing
//! From grant to read 1 clock; from beat to entry 2 clocks; one entry every second clock.
//!
//! ## Limits
//! As many reads in flight as the configuration has `fetches`.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::bit_at;
use crate::types::{reader, Fetched, Grant, HostBeat, HostRead};
use crate::Config;
use rtl_hdl::{address_width, cat, lit, select, when, zero, Block, MemoryStyle, Module, Signal};
use rtl_prim::one_hot;

#[cfg(test)]
mod bench;

/// Places of a tag: the most entries of a grant.
const PLACES: u32 = 8;
const PLACE_BITS: u32 = address_width(PLACES);

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
        let places = tags * PLACES;

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
        let place = m.reg("place", clock, zero(PLACE_BITS));
        let arrived = m.reg("arrived", clock, zero(places));
        let grants = m.memory("grants", 8 + 8 + 4, tags, MemoryStyle::Distributed);
        // Where the next beat of a tag goes; back at 0 after the last one.
        let next_places: Vec<Signal> =
            (0..tags).map(|tag| m.reg(&format!("next_place_{tag}"), clock, zero(PLACE_BITS))).collect();
        let entries = m.memory("entries", 1 + 512, places, MemoryStyle::Distributed);

        // 3. Conditions
        let may_issue = m.wire("may_issue", tags_used.ne(tags) & read.can_take());
        let issue = m.wire("issue", may_issue & grant.valid());
        let oldest = m.wire("oldest", grants.lookup(oldest_tag));
        let (sqid, function, count) = (oldest.bits(0..8), oldest.bits(8..16), oldest.bits(16..20));
        let place_delivered = m.wire("place_delivered", cat(&[oldest_tag, place]));
        let deliver = m.wire("deliver", bit_at(arrived, place_delivered) & fetched.can_take());
        let last_of_grant = m.wire("last_of_grant", (place.zext(4) + 1).eq(count));
        let beat_tag = m.wire("beat_tag", beat.payload().id.low(tag_bits));
        let beat_place = m.wire("beat_place", select(&next_places, beat_tag));
        let place_filled = m.wire("place_filled", cat(&[beat_tag, beat_place]));

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
        });
        grants.write(clock, issue, next_tag, cat(&[granted.count, granted.function, granted.sqid]));

        beat.take();
        let after = beat.payload().last.mux(lit(0u8, PLACE_BITS), beat_place + 1);
        for (tag, next_place) in (0..tags).zip(&next_places) {
            when(beat.valid() & beat_tag.eq(tag), || next_place.set(after));
        }
        entries.write(clock, beat.valid(), place_filled, cat(&[beat.payload().error, beat.payload().data]));

        let entry = entries.lookup(place_delivered);
        when(deliver, || {
            fetched.offer(Fetched { sqid, function, error: entry.bit(512), entry: entry.low(512) });
            place.set(place + 1);
            when(last_of_grant, || {
                place.set(lit(0u8, PLACE_BITS));
                oldest_tag.set(oldest_tag + 1);
            });
        });
        let filled = beat.valid().mux(one_hot(place_filled, places), lit(0u8, 1).repeat(places));
        let emptied = deliver.mux(one_hot(place_delivered, places), lit(0u8, 1).repeat(places));
        arrived.set((arrived & !emptied) | filled);
        let freed = deliver & last_of_grant;
        when(issue & !freed, || tags_used.set(tags_used + 1));
        when(freed & !issue, || tags_used.set(tags_used - 1));

        // 5. Outputs: the streams' own.
    }
}
