//! The running block against what a flash would say to it.

use super::{WritePoint, FLIGHTS};
use crate::testing::{forgets_at_reset, under_all_stalls};
use crate::types::Purpose;
use flash_spec::fast_path::{wire, Command, Stream};
use flash_spec::pairing::{kind, paired, PageKind};
use flash_spec::Geometry;
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::{Block, HwEnum};
use std::collections::VecDeque;

const UNEVEN: Geometry = Geometry { channels: 3, dies_per_channel: 1, planes_per_die: 1, ..Geometry::SMALL };

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    [Geometry::SMALL, UNEVEN].map(|geometry| Box::new(WritePoint { geometry }) as Box<dyn Block>).into()
}

/// What firmware says, as an item of `said`.
pub(crate) fn said(bench: &Bench, stream: &str, command: Command) -> Vec<u64> {
    let [head, first, second, third, body @ ..] = wire::encode(command);
    let pair = |low: usize| u64::from(body[low]) | u64::from(body[low + 1]) << 32;
    let item = bench.fields(stream).set("code", head & 0xFF).set("tag", head >> 8 & 0xFF).set("argument", head >> 16);
    let item = item.set("first", first).set("second", second).set("third", third);
    item.set_words("body", &[pair(0), pair(2)]).words()
}

/// A program in flight.
#[derive(Clone, Copy, Debug)]
struct Flight {
    point: u64,
    page: u32,
    sequence: u64,
}

/// A page that is not safe.
#[derive(Clone, Copy, Debug)]
struct Unsafe {
    page: u32,
    sequence: u64,
}

#[derive(Clone, Debug)]
struct Die {
    next: u32,
    good: u64,
    /// What it was when the last place was taken: an end may be on its way.
    was_good: u64,
    flights: VecDeque<Flight>,
    dangers: Vec<Unsafe>,
}

#[derive(Debug)]
struct Point {
    stream: Stream,
    super_block: u16,
    dies: Vec<Die>,
}

/// What the flash should be.
struct Flash {
    geometry: Geometry,
    points: Vec<Point>,
    sequence: u64,
    fillers: u32,
    /// How many of a hundred programs fail.
    failures: u64,
    /// What `covered` was.
    covered: u64,
}

impl Flash {
    fn new(geometry: Geometry, failures: u64) -> Self {
        Self { geometry, points: Vec::new(), sequence: 1, fillers: 0, failures, covered: 0 }
    }

    fn open(&mut self, bench: &mut Bench, stream: Stream, super_block: u16, planes: u128, starts: &[u16]) {
        for (plane, &page) in (0..).zip(starts) {
            let command = Command::StartAt { plane, page };
            let item = said(bench, "said", command);
            bench.send("said", [item]);
        }
        let item = said(bench, "said", Command::Open { stream, super_block, planes });
        bench.send("said", [item]);
        let dies = self.geometry.dies() as usize;
        let start = |plane: usize| u32::from(starts.get(plane).copied().unwrap_or(0));
        let die = |index: usize| {
            let has = [0, 1].map(|plane| {
                plane < self.geometry.planes_per_die as usize && planes >> (plane * dies + index) & 1 == 1
            });
            let is_level = start(index) == start(index + dies);
            let good = u64::from(has[0]) | u64::from(has[1] && (is_level || !has[0])) << 1;
            let next = if has[0] { start(index) } else { start(index + dies) };
            Die { next, good, was_good: good, flights: VecDeque::new(), dangers: Vec::new() }
        };
        self.points.push(Point { stream, super_block, dies: (0..dies).map(die).collect() });
    }

    fn take_place(&mut self, place: &Fields) {
        let planes = place.get("planes");
        if planes == 0 {
            return;
        }
        let is_filler = place.get("purpose") == Purpose::Filler.code();
        self.fillers += u32::from(is_filler);
        let geometry = self.geometry;
        let super_block = place.get("super_block") as u16;
        let point = self.points.iter_mut().find(|point| point.super_block == super_block).expect("it is open");
        if !is_filler {
            let purpose = if point.stream == Stream::Host { Purpose::Host } else { Purpose::Moved };
            assert_eq!(place.get("purpose"), purpose.code());
        }
        let index = place.get("die") as usize * geometry.channels as usize + place.get("channel") as usize;
        let least = point.dies.iter().filter(|die| die.good != 0 && die.flights.is_empty()).map(|die| die.next).min();
        let die = &mut point.dies[index];
        let page = place.get("page") as u32;
        assert_eq!((page, place.get("sequence")), (die.next, self.sequence), "{die:?}");
        assert!(planes & die.good == die.good && planes & !die.was_good == 0, "planes {planes:#b}: {die:?}");
        die.was_good = die.good;
        assert!(page < geometry.pages_per_block);
        assert!(die.flights.len() < FLIGHTS as usize);
        assert!(is_filler || least.is_none_or(|least| page <= least + 3), "page {page} where {least:?} is the least");
        if is_filler {
            assert!(die.good == 0 || !die.dangers.is_empty(), "nothing is in danger");
        } else if die.good != 0 && kind(page, geometry.pages_per_block) == PageKind::Lsb {
            die.dangers.push(Unsafe { page, sequence: self.sequence });
        }
        die.next += 1;
        die.flights.push_back(Flight { point: place.get("point"), page, sequence: self.sequence });
        self.sequence += u64::from(planes.count_ones());
    }

    /// One of the programs in flight ends.
    fn end_one(&mut self, bench: &mut Bench, rng: &mut Rng) -> bool {
        let geometry = self.geometry;
        let mut busy: Vec<(usize, usize)> = Vec::new();
        for (point, at) in self.points.iter().zip(0..) {
            let dies = point.dies.iter().zip(0..).filter(|(die, _)| !die.flights.is_empty());
            busy.extend(dies.map(|(_, die)| (at, die)));
        }
        if busy.is_empty() {
            return false;
        }
        let (point, index) = *rng.pick(&busy);
        let die = &mut self.points[point].dies[index];
        let flight = die.flights.pop_front().expect("it is busy");
        let failed = if rng.percent(self.failures) { rng.below(4) } else { 0 } | !die.good & 3;
        die.good &= !failed;
        let other = paired(flight.page, geometry.pages_per_block);
        die.dangers.retain(|danger| danger.page != other || flight.page < other);
        if die.good == 0 {
            die.dangers.clear();
        }
        let (channel, die) = (index as u32 % geometry.channels, index as u32 / geometry.channels);
        let item = bench.fields("ended").set("point", flight.point).set("channel", channel).set("die", die);
        bench.send("ended", [item.set("failed", failed).words()]);
        true
    }

    /// The least sequence of a page that is not safe, of the host or of all, and of one in flight.
    fn least(&self, host_only: bool) -> (u64, u64) {
        let points = self.points.iter().filter(|point| !host_only || point.stream == Stream::Host);
        let dies: Vec<&Die> = points.flat_map(|point| &point.dies).collect();
        let dangers = dies.iter().flat_map(|die| &die.dangers).map(|danger| danger.sequence);
        // What goes on in a die without good planes fails.
        let flights =
            dies.iter().filter(|die| die.good != 0).flat_map(|die| &die.flights).map(|flight| flight.sequence);
        (dangers.min().unwrap_or(self.sequence), flights.min().unwrap_or(self.sequence))
    }

    /// One clock.
    fn clock(&mut self, bench: &mut Bench) {
        bench.clock();
        for place in bench.drain_fields("place") {
            self.take_place(&place);
        }
        for event in bench.drain_fields("heard") {
            assert_eq!(event.get("code"), u64::from(wire::event::SUPER_BLOCK_CLOSED));
            let at = self.points.iter().position(|point| u64::from(point.super_block) == event.get("argument"));
            let point = self.points.remove(at.expect("it was open"));
            assert_eq!(event.get("tag"), point.stream as u64);
            let has_ended =
                |die: &Die| die.flights.is_empty() && (die.good == 0 || die.next == self.geometry.pages_per_block);
            assert!(point.dies.iter().all(has_ended), "{point:?}");
        }
        let (not_safe, in_flight) = self.least(false);
        let [safe, safe_host, covered] = ["safe", "safe_host", "covered"].map(|name| bench.peek(name));
        assert!(safe <= not_safe, "{safe} is said to be safe, {not_safe} is not");
        assert!(safe_host <= self.least(true).0);
        assert!(covered <= in_flight, "{covered} is said to be covered, {in_flight} is in flight");
        assert!(covered >= self.covered, "{covered} is said to be covered, it was {}", self.covered);
        self.covered = covered;
    }

    fn want(&mut self, bench: &mut Bench, purpose: Purpose) {
        let item = bench.fields("want").set("purpose", purpose.code());
        bench.send("want", [item.words()]);
    }

    fn has_room(&self, stream: Stream) -> bool {
        self.points.iter().filter(|point| point.stream == stream).count() < 2
    }
}

#[test]
fn dies_are_programmed_in_order_and_what_is_said_to_be_safe_is() {
    for geometry in [Geometry::SMALL, UNEVEN] {
        under_all_stalls(&WritePoint { geometry }, |bench: &mut Bench, rng: &mut Rng| {
            let mut flash = Flash::new(geometry, 3);
            let all = (1u128 << geometry.planes()) - 1;
            let mut super_block = 0;
            let mut closed = 0;
            for _ in 0..6000 {
                let stream = *rng.pick(&Stream::ALL);
                if flash.has_room(stream) && rng.percent(20) {
                    let planes = if rng.bool() { all } else { all & u128::from(rng.next_u64()) | 1 };
                    let starts: Vec<u16> = (0..geometry.planes()).map(|_| rng.below(8) as u16).collect();
                    let starts = if rng.percent(20) { &starts[..] } else { &[] };
                    super_block += 1;
                    flash.open(bench, stream, super_block, planes, starts);
                }
                let can = bench.peek(if stream == Stream::Host { "can_host" } else { "can_moved" }) == 1;
                if can && bench.pending("want") == 0 {
                    flash.want(bench, if stream == Stream::Host { Purpose::Host } else { Purpose::Moved });
                }
                let before = flash.points.len();
                if rng.percent(30) {
                    flash.end_one(bench, rng);
                }
                (0..rng.below(20)).for_each(|_| flash.clock(bench));
                closed += before.saturating_sub(flash.points.len());
            }
            assert!(closed > 3, "{closed} super-blocks were closed");
            // At rest all that is needed becomes safe by filler.
            while flash.end_one(bench, rng) {}
            flash.failures = 0;
            let limit = flash.sequence;
            bench.poke("flush_limit", limit);
            settle(&mut flash, bench, rng, "safe_host", limit);
            assert!(flash.least(true).0 >= limit);
            bench.poke("flush_limit", 0);
            let limit = flash.sequence;
            let settle_all = said(bench, "said", Command::Settle);
            bench.send("said", [settle_all]);
            settle(&mut flash, bench, rng, "safe", limit);
            assert!(flash.fillers > 0);
            // And then nothing more happens.
            while flash.end_one(bench, rng) {}
            let fillers = flash.fillers;
            (0..5000).for_each(|_| flash.clock(bench));
            assert_eq!(flash.fillers, fillers);
            assert_eq!((bench.peek("covered"), bench.peek("next_sequence")), (flash.sequence, flash.sequence));
        });
    }
}

fn settle(flash: &mut Flash, bench: &mut Bench, rng: &mut Rng, what: &str, limit: u64) {
    let since = bench.clocks();
    while bench.peek(what) < limit {
        flash.clock(bench);
        if rng.percent(2) {
            flash.end_one(bench, rng);
        }
        assert!(bench.clocks() - since < 200_000, "{what} does not reach {limit}: {:?}", flash.points);
    }
}

#[test]
fn firmware_gets_numbers_of_its_own() {
    under_all_stalls(&WritePoint { geometry: UNEVEN }, |bench: &mut Bench, _| {
        let item = said(bench, "said", Command::SetSequence { next: 7_000_000_000 });
        bench.send("said", [item]);
        bench.run_until(1000, |bench| bench.peek("next_sequence") == 7_000_000_000);
        for number in 0..3 {
            let item = bench.fields("want").set("purpose", Purpose::Firmware.code());
            bench.send("want", [item.words()]);
            bench.run_until(1000, |bench| !bench.received("place").is_empty());
            let place = bench.drain_fields("place").remove(0);
            assert_eq!(place.get("sequence"), 7_000_000_000 + number);
        }
        bench.run_until(1000, |bench| bench.peek("safe") == 7_000_000_003 && bench.peek("covered") == 7_000_000_003);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&WritePoint { geometry: UNEVEN }, &["ended"], &[]);
}
