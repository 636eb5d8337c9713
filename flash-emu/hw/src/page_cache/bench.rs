//! The running block alone: what it asks for, and when. What comes of it all is tested with [`cache`](crate::cache).

use super::{Config, PageCache};
use crate::testing::{forgets_at_reset, without_stalls};
use crate::types::{Move, Step, UNIT_SECTORS};
use nvme_hw::types::Operation;
use rtl_hdl::bench::{Bench, Fields};
use rtl_hdl::{Block, HwEnum};

const CONFIG: Config = Config::SMALL;

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(PageCache::new(CONFIG))]
}

/// Runs until an item comes, and says how many clocks that took.
fn item_of(bench: &mut Bench, stream: &str) -> (Fields, u64) {
    let since = bench.clocks();
    bench.run_until(100, |bench| !bench.received(stream).is_empty());
    let mut items = bench.drain_fields(stream);
    assert_eq!(items.len(), 1, "items of `{stream}`");
    (items.remove(0), bench.clocks() - since)
}

fn ask(bench: &mut Bench, stream: &str, operation: Operation, sector: u64, sectors: u8) {
    let item = bench.fields(stream).set("operation", operation.code()).set("sector", sector).set("sectors", sectors);
    bench.send(stream, [item.words()]);
}

fn tell(bench: &mut Bench, step: Step, line: u64) {
    bench.send("progress", [bench.fields("progress").set("step", step.code()).set("line", line).words()]);
}

#[test]
fn a_line_goes_its_way_from_a_miss_to_the_flash() {
    without_stalls(&PageCache::new(CONFIG), |bench| {
        bench.run(u64::from(CONFIG.lines));
        ask(bench, "read", Operation::Read, 8 * 5 + 2, 3);
        let (fill, _) = item_of(bench, "fill");
        let line = fill.get("line");
        assert_eq!((fill.get("unit"), fill.get("forward"), fill.get("sector"), fill.get("sectors")), (5, 1, 2, 3));
        bench.send("filled", [bench.fields("filled").set("line", line).set("forward", true).words()]);
        let (report, _) = item_of(bench, "burst");
        assert_eq!(report.get("operation"), Move::Report.code(), "its beats were forwarded");

        ask(bench, "read", Operation::Read, 8 * 5, 8);
        let (burst, clocks) = item_of(bench, "burst");
        assert_eq!((burst.get("operation"), burst.get("line"), burst.get("beats")), (Move::Read.code(), line, 64));
        assert_eq!(clocks, 6, "five for the work, one for the output");
        let release = bench.fields("released").set("line", line);
        bench.send("released", [release.clone().words()]);

        ask(bench, "write", Operation::Write, 8 * 5 + 7, 1);
        let (burst, _) = item_of(bench, "burst");
        assert_eq!((burst.get("operation"), burst.get("beat"), burst.get("beats")), (Move::Write.code(), 56, 8));
        bench.send("released", [release.set("is_write", true).words()]);

        ask(bench, "read", Operation::Flush, 0, 0);
        let (clean, _) = item_of(bench, "clean");
        assert_eq!((clean.get("settle"), clean.get("line"), clean.get("unit")), (0, line, 5));
        tell(bench, Step::Left, line);
        tell(bench, Step::Failed, line);
        let (settle, _) = item_of(bench, "clean");
        assert_eq!(settle.get("settle"), 1);
        tell(bench, Step::Unsettled, 0);
        let (clean, _) = item_of(bench, "clean");
        assert_eq!((clean.get("settle"), clean.get("line")), (0, line), "it is given once more");
        tell(bench, Step::Left, line);
        tell(bench, Step::Cleaned, line);
        let (settle, _) = item_of(bench, "clean");
        assert_eq!(settle.get("settle"), 1);
        tell(bench, Step::Full, 0);
        let (report, _) = item_of(bench, "burst");
        assert_eq!((report.get("operation"), report.get("failed")), (Move::Report.code(), 1));
    });
}

/// Begins to write a whole unit, and says what line it goes to.
fn begin_write(bench: &mut Bench, unit: u64) -> u64 {
    ask(bench, "write", Operation::Write, 8 * unit, 8);
    item_of(bench, "burst").0.get("line")
}

fn end_write(bench: &mut Bench, line: u64) {
    bench.send("released", [bench.fields("released").set("line", line).set("is_write", true).words()]);
    bench.run(20);
}

/// Writes a whole unit, and says what line it went to.
fn write_unit(bench: &mut Bench, unit: u64) -> u64 {
    let line = begin_write(bench, unit);
    end_write(bench, line);
    line
}

/// What is given to the flash for a flush, behind which it settles: line, unit, and whether it is a trim.
fn given(bench: &mut Bench) -> [u64; 3] {
    ask(bench, "read", Operation::Flush, 0, 0);
    let (clean, _) = item_of(bench, "clean");
    assert_eq!(clean.get("settle"), 0);
    ["line", "unit", "trim"].map(|field| clean.get(field))
}

/// The flash has settled.
fn settle(bench: &mut Bench) {
    let (settle, _) = item_of(bench, "clean");
    assert_eq!((settle.get("settle"), settle.get("trim")), (1, 0));
    tell(bench, Step::Settled, 0);
    assert_eq!(item_of(bench, "burst").0.get("operation"), Move::Report.code());
}

#[test]
fn a_whole_line_that_is_deallocated_is_trimmed_until_it_is_written() {
    without_stalls(&PageCache::new(CONFIG), |bench| {
        bench.run(u64::from(CONFIG.lines));
        let change = |bench: &mut Bench, operation, sector, sectors| {
            ask(bench, "write", operation, sector, sectors);
            let (burst, _) = item_of(bench, "burst");
            let zeroes = operation == Operation::Deallocate || operation == Operation::WriteZeroes;
            assert_eq!((burst.get("operation"), burst.get("without_host")), (Move::Write.code(), zeroes.into()));
            let line = burst.get("line");
            bench.send("released", [bench.fields("released").set("line", line).set("is_write", true).words()]);
            bench.run(20);
            line
        };
        // Nothing is filled for it, and it stays a trim when it fails.
        let line = change(bench, Operation::Deallocate, 8 * 5, 8);
        assert!(bench.drain_fields("fill").is_empty());
        assert_eq!(given(bench), [line, 5, 1]);
        tell(bench, Step::Failed, line);
        let (_, _) = item_of(bench, "clean");
        tell(bench, Step::Unsettled, 0);
        let (clean, _) = item_of(bench, "clean");
        assert_eq!((clean.get("line"), clean.get("trim")), (line, 1));
        tell(bench, Step::Cleaned, line);
        settle(bench);
        // Another write, of whatever part, is none; nor is a Deallocate of a part.
        let others =
            [(Operation::Write, 8), (Operation::Write, 3), (Operation::WriteZeroes, 8), (Operation::Deallocate, 7)];
        for (operation, sectors) in others {
            change(bench, Operation::Deallocate, 8 * 5, 8);
            change(bench, operation, 8 * 5, sectors);
            assert_eq!(given(bench), [line, 5, 0], "{operation:?} of {sectors}");
            tell(bench, Step::Left, line);
            // It is trimmed while it is on its way, and given once more.
            change(bench, Operation::Deallocate, 8 * 5, 8);
            tell(bench, Step::Cleaned, line);
            settle(bench);
            assert_eq!(given(bench), [line, 5, 1], "behind {operation:?} of {sectors}");
            tell(bench, Step::Cleaned, line);
            settle(bench);
        }
    });
}

/// What the flash could not read is there for those who have waited for it. Who comes later asks the flash once more.
#[test]
fn a_line_that_is_lost_is_filled_anew_for_who_comes_later() {
    const ALL: u64 = (1 << UNIT_SECTORS) - 1;
    let fill = |bench: &mut Bench, unit: u64, is_lost: bool| {
        let (fill, _) = item_of(bench, "fill");
        assert_eq!(fill.get("unit"), unit);
        bench.run(50);
        let item = bench.fields("filled").set("line", fill.get("line")).set("forward", fill.get("forward"));
        let item = item.set("bad", u64::from(is_lost) * ALL).set("failed", is_lost).set("lost", is_lost);
        bench.send("filled", [item.words()]);
        bench.run(50);
        fill.get("line")
    };
    // What comes of bursts: operation, sectors that are written or cannot be read, and whether it failed.
    let bursts = |bench: &mut Bench| -> Vec<(Move, u64, u64)> {
        bench.run(50);
        let bursts = bench.drain_fields("burst");
        for burst in &bursts {
            let is_write = burst.get("operation") == Move::Write.code();
            if burst.get("operation") != Move::Report.code() {
                let item = bench.fields("released").set("line", burst.get("line")).set("is_write", is_write);
                bench.send("released", [item.words()]);
            }
        }
        bench.run(50);
        let operation = |burst: &Fields| Move::VARIANTS[burst.get("operation") as usize];
        bursts.iter().map(|burst| (operation(burst), burst.get("sectors"), burst.get("failed"))).collect()
    };
    without_stalls(&PageCache::new(CONFIG), |bench| {
        bench.run(u64::from(CONFIG.lines));
        let mut lines = vec![];
        // One that comes during the fill waits with the first; one that comes later is not concerned.
        for is_lost in [true, true, false, false] {
            ask(bench, "read", Operation::Read, 8 * 5, 8);
            ask(bench, "read", Operation::Verify, 8 * 5, 8);
            let bad = u64::from(is_lost) * ALL;
            if lines.len() < 3 {
                lines.push(fill(bench, 5, is_lost));
                assert_eq!(bursts(bench), [(Move::Report, 0, is_lost.into()), (Move::Read, bad, 0)]);
            } else {
                assert_eq!(bursts(bench), [(Move::Read, 0, 0); 2]);
            }
        }
        assert_eq!(lines, [lines[0]; 3], "a unit has one line");
        // Each line of two is asked for, for itself.
        let read_two = |bench: &mut Bench, first: u64| ask(bench, "read", Operation::Read, 8 * first + 7, 2);
        for (first, lost) in [(6, [true, false]), (8, [false, true]), (14, [true, true])] {
            read_two(bench, first);
            fill(bench, first, lost[0]);
            fill(bench, first + 1, lost[1]);
            assert_eq!(bursts(bench), lost.map(|is_lost| (Move::Read, u64::from(is_lost) * ALL, 0)));
            read_two(bench, first);
            (first..).zip(lost).filter(|(_, is_lost)| *is_lost).for_each(|(unit, _)| _ = fill(bench, unit, false));
            assert_eq!(bursts(bench), [(Move::Read, 0, 0); 2]);
        }
        // So does a write of a part; if the line is lost again, the other sectors are marked. A write of all of it does not ask.
        for (unit, sectors, is_lost, bad) in [(10, 1, false, 0), (11, 1, true, ALL & !1), (12, 8, false, 0)] {
            ask(bench, "read", Operation::Read, 8 * unit, 8);
            fill(bench, unit, true);
            assert_eq!(bursts(bench), [(Move::Report, 0, 1)]);
            ask(bench, "write", Operation::Write, 8 * unit, sectors);
            if sectors < 8 {
                fill(bench, unit, is_lost);
            }
            assert_eq!(bursts(bench), [(Move::Write, (1 << sectors) - 1, 0)]);
            ask(bench, "read", Operation::Read, 8 * unit, 8);
            assert_eq!(bursts(bench), [(Move::Read, bad, 0)]);
        }
        // As long as somebody reads the line it is not filled.
        ask(bench, "read", Operation::Verify, 8 * 16, 8);
        let line = fill(bench, 16, true);
        ask(bench, "read", Operation::Verify, 8 * 16, 8);
        bench.run(50);
        assert!(bench.received("fill").is_empty());
        assert_eq!(bursts(bench), [(Move::Read, ALL, 0)]);
        assert_eq!(fill(bench, 16, false), line);
        assert_eq!(bursts(bench), [(Move::Read, 0, 0)]);
        // A read that comes with the end of the fill has to wait for the write that has waited for it.
        ask(bench, "write", Operation::Write, 8 * 13, 1);
        let (filled, _) = item_of(bench, "fill");
        bench.run(50);
        let item = bench.fields("filled").set("line", filled.get("line")).set("bad", ALL).set("lost", true);
        bench.send("filled", [item.words()]);
        ask(bench, "read", Operation::Read, 8 * 13, 8);
        assert_eq!(bursts(bench), [(Move::Write, 1, 0)]);
        assert_eq!(bursts(bench), [(Move::Read, ALL & !1, 0)]);
    });
}

#[test]
fn a_crowded_set_gives_the_neighbour_of_what_was_given_last_and_no_write_goes_on_before() {
    without_stalls(&PageCache::new(CONFIG), |bench| {
        bench.run(u64::from(CONFIG.lines));
        let sets = u64::from(CONFIG.lines / super::WAYS);
        // Of each set three lines are written, in another order in every second one, so that the oldest is not always the neighbour.
        let mut given = Vec::new();
        for set in 0..sets {
            let laps = if set % 2 == 0 { [0, 1, 2] } else { [1, 0, 2] };
            for (lap, nth) in laps.into_iter().zip(1..) {
                write_unit(bench, lap * sets + set);
                let cleans = bench.drain_fields("clean");
                assert_eq!(
                    cleans.len(),
                    usize::from(nth > super::DIRTY_MAX),
                    "lines given after write {nth} of set {set}"
                );
                given.extend(cleans.iter().map(|clean| clean.get("unit")));
            }
        }
        let lap = given[0] / sets;
        assert!(given.iter().copied().eq((0..sets).map(|set| lap * sets + set)), "{given:?} are no neighbours");

        // As long as nobody takes the line that a set has to give, no further write is done, and reads are.
        bench.hold("clean", true);
        let line = write_unit(bench, 3 * sets);
        write_unit(bench, 9 * sets + 1);
        ask(bench, "write", Operation::Write, 8 * (3 * sets + 2), 8);
        bench.run(100);
        assert!(bench.received("burst").is_empty(), "a write went on before a crowded set");
        ask(bench, "read", Operation::Read, 8 * 3 * sets, 8);
        assert_eq!(item_of(bench, "burst").0.get("line"), line);
        bench.hold("clean", false);
        assert_eq!(item_of(bench, "burst").0.get("operation"), Move::Write.code());
        assert!(bench.drain_fields("clean").len() >= 2);
    });
}

/// A set may get crowded unseen, while another one waits to give a line. If all of its lines are dirty, who needs one has it given.
#[test]
fn a_set_of_dirty_lines_gives_one_when_it_is_needed() {
    without_stalls(&PageCache::new(CONFIG), |bench| {
        bench.run(u64::from(CONFIG.lines));
        let sets = u64::from(CONFIG.lines / super::WAYS);
        let written: Vec<u64> = (0..4).map(|lap| begin_write(bench, lap * sets + 1)).collect();
        bench.hold("clean", true);
        // The first line of another set is given, the second has to wait.
        (0..4).for_each(|lap| _ = write_unit(bench, lap * sets));
        written.into_iter().for_each(|line| end_write(bench, line));
        bench.hold("clean", false);
        bench.run(50);
        let given: Vec<u64> = bench.drain_fields("clean").iter().map(|clean| clean.get("unit") % sets).collect();
        assert_eq!(given, [0, 0]);

        let unit = 5 * sets + 1;
        ask(bench, "read", Operation::Read, 8 * unit, 8);
        let (clean, _) = item_of(bench, "clean");
        assert_eq!(clean.get("unit") % sets, 1);
        tell(bench, Step::Left, clean.get("line"));
        tell(bench, Step::Cleaned, clean.get("line"));
        let (fill, _) = item_of(bench, "fill");
        assert_eq!((fill.get("unit"), fill.get("line")), (unit, clean.get("line")));
    });
}

#[test]
fn units_in_a_row_fill_the_whole_cache_and_then_replace_each_other_evenly() {
    without_stalls(&PageCache::new(CONFIG), |bench| {
        let lines = u64::from(CONFIG.lines);
        bench.run(lines);
        let mut read = |unit: u64| -> Option<u64> {
            ask(bench, "read", Operation::Read, 8 * unit, 8);
            bench.run(20);
            let hit = bench.drain_fields("burst").first().map(|burst| burst.get("line"));
            if let Some(line) = hit {
                bench.send("released", [bench.fields("released").set("line", line).words()]);
                return None;
            }
            let (fill, _) = item_of(bench, "fill");
            let line = fill.get("line");
            bench.send("filled", [bench.fields("filled").set("line", line).set("forward", true).words()]);
            bench.run(20);
            bench.drain_fields("burst");
            Some(line)
        };
        (0..lines).for_each(|unit| assert!(read(unit).is_some(), "nobody has read unit {unit}"));
        (0..lines).for_each(|unit| assert!(read(unit).is_none(), "unit {unit} is not in the cache"));
        // Six times as many as there are lines, one after the other: most are not there, and no way is spared.
        let mut replaced = [0; super::WAYS as usize];
        for line in (0..6 * lines).cycle().take(400).filter_map(read) {
            replaced[(line % u64::from(super::WAYS)) as usize] += 1;
        }
        assert!(replaced.iter().all(|&times| times > 50), "lines given of each way: {replaced:?}");
    });
}

#[test]
fn writes_fail_while_the_flash_is_read_only_and_nothing_changes() {
    without_stalls(&PageCache::new(CONFIG), |bench| {
        bench.run(u64::from(CONFIG.lines));
        let line = write_unit(bench, 5);
        // A write waits for its line, which is being filled.
        ask(bench, "write", Operation::Write, 8 * 6, 1);
        item_of(bench, "fill");
        bench.run(50);
        bench.poke("read_only", 1);
        let (report, _) = item_of(bench, "burst");
        assert_eq!((report.get("operation"), report.get("failed")), (Move::Report.code(), 1), "that which waited");
        ask(bench, "write", Operation::WriteZeroes, 8 * 5, 8);
        let (report, _) = item_of(bench, "burst");
        assert_eq!((report.get("operation"), report.get("failed"), report.get("beats")), (Move::Report.code(), 1, 0));
        ask(bench, "write", Operation::Write, 8 * 7 + 6, 4);
        bench.run(50);
        let reports = bench.drain_fields("burst");
        let seen: Vec<_> = reports.iter().map(|r| (r.get("failed"), r.get("beats"), r.get("ends_command"))).collect();
        assert_eq!(seen, [(1, 16, 0), (1, 16, 1)], "of both lines, with their beats");

        // What was written before is there, and goes to the flash.
        ask(bench, "read", Operation::Read, 8 * 5, 8);
        assert_eq!(item_of(bench, "burst").0.get("line"), line);
        bench.send("released", [bench.fields("released").set("line", line).words()]);
        ask(bench, "read", Operation::Flush, 0, 0);
        let (clean, _) = item_of(bench, "clean");
        assert_eq!((clean.get("settle"), clean.get("unit")), (0, 5));
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // What a fill says of a command has no meaning if it is not forwarded.
    let ignored = ["fill_tag", "fill_sector", "fill_sectors"];
    let answers = ["released", "persist", "filled", "progress"];
    forgets_at_reset(&PageCache::new(CONFIG), &answers, &ignored);
}
