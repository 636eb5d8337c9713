//! The running block.

use super::Buffer;
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls};
use crate::types::{Operation, StorageStatus};
use nvme_spec::limits::BUFFER_BYTES;
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::HwEnum;

const DWORDS: usize = BUFFER_BYTES as usize / 4;
const BEAT_DWORDS: usize = 16;

fn store(bench: &mut Bench, address: usize, dword: u32) {
    bench.poke("buffer_write", 1);
    bench.poke("buffer_address", address as u64);
    bench.poke("buffer_write_data", dword.into());
    bench.clock();
    bench.poke("buffer_write", 0);
}

fn load(bench: &mut Bench, address: usize) -> u32 {
    bench.poke("buffer_address", address as u64);
    bench.clock();
    bench.peek("buffer_read_data") as u32
}

/// Data of a command: a run of dwords in one of the two pages.
#[derive(Clone, Copy, Debug)]
struct Run {
    in_bounce: bool,
    at: usize,
    dwords: usize,
}

impl Run {
    /// The first beats of firmware's page.
    fn of_beats(beats: usize) -> Run {
        Run { in_bounce: false, at: 0, dwords: BEAT_DWORDS * beats }
    }

    /// Often a special one.
    fn random(rng: &mut Rng) -> Run {
        let any = rng.below(DWORDS as u64) as usize;
        let at = *rng.pick(&[0, 1, 2, 3, any, DWORDS - 1]);
        let any = rng.range(1..DWORDS as u64 + 1) as usize;
        let dwords = (*rng.pick(&[1, 15, 16, 17, 128, any, DWORDS])).min(DWORDS - at);
        Run { in_bounce: rng.bool(), at, dwords }
    }

    fn beats(&self) -> usize {
        self.dwords.div_ceil(BEAT_DWORDS)
    }

    /// Starts a command; its tag is the number of beats.
    fn start(&self, bench: &mut Bench, operation: Operation) {
        let item = bench.fields("command").set("operation", operation.code()).set("in_bounce", self.in_bounce);
        let item = item.set("at", self.at as u64).set("last_dwords", (self.dwords % BEAT_DWORDS) as u64);
        bench.send("command", [item.set("tag", self.beats() as u64).set("beats", self.beats() as u64).words()]);
    }
}

/// Both pages, as the bench knows them.
type Pages = [Vec<u32>; 2];

fn finish(bench: &mut Bench, beats: usize) {
    bench.run_until(2000, |bench| !bench.received("done").is_empty());
    let [done] = &bench.drain_fields("done")[..] else { panic!("a command is done once") };
    assert_eq!((done.get("tag"), done.get("status")), (beats as u64, StorageStatus::Good.code()));
}

/// The beat that begins at dword `at` of a page; behind the end it goes on at the start.
fn beat_of(page: &[u32], at: usize) -> Vec<u64> {
    let dword = |number: usize| u64::from(page[(at + number) % DWORDS]);
    (0..BEAT_DWORDS).step_by(2).map(|number| dword(number + 1) << 32 | dword(number)).collect()
}

fn dwords_of(data: &[u64]) -> impl Iterator<Item = u32> + use<'_> {
    data.iter().flat_map(|word| [*word as u32, (word >> 32) as u32])
}

fn write(bench: &mut Bench, rng: &mut Rng, run: Run, pages: &mut Pages) {
    run.start(bench, Operation::Write);
    let place = &mut pages[usize::from(run.in_bounce)][run.at..run.at + run.dwords];
    for (number, part) in place.chunks_mut(BEAT_DWORDS).enumerate() {
        let data = rng.bits(512);
        part.iter_mut().zip(dwords_of(&data)).for_each(|(dword, new)| *dword = new);
        let item = bench.fields("fill").set("last", number + 1 == run.beats()).set_words("data", &data);
        bench.send("fill", [item.words()]);
    }
    finish(bench, run.beats());
    assert!(bench.drain("drain").is_empty(), "a Write gives nothing out");
}

/// A Read or a Store.
fn read(bench: &mut Bench, rng: &mut Rng, run: Run, pages: &Pages) {
    let stores = rng.bool();
    let run = if stores { Run { in_bounce: true, at: 0, ..run } } else { run };
    let spoilt = rng.below(4) == 0;
    bench.poke("spoilt", spoilt.into());
    if stores {
        bench.poke("store", 1);
        bench.poke("store_beats", run.beats() as u64);
        bench.clock();
        bench.poke("store", 0);
    } else {
        run.start(bench, Operation::Read);
    }
    bench.run_until(2000, |bench| bench.received("drain").len() == run.beats());
    for (number, got) in bench.drain_fields("drain").iter().enumerate() {
        let page = &pages[usize::from(run.in_bounce)];
        assert_eq!(got.get_words("data"), beat_of(page, run.at + BEAT_DWORDS * number), "beat {number} of {run:?}");
        assert_eq!(got.get("error") == 1, spoilt && run.in_bounce);
        assert!(stores || got.get("tag") == run.beats() as u64);
        assert_eq!(got.get("last") == 1, number + 1 == run.beats());
    }
    if !stores {
        finish(bench, run.beats());
    } else {
        bench.run(20);
        assert!(bench.drain("done").is_empty(), "the storage says how a Store ended");
    }
}

/// Beats of the storage.
fn send_loads(bench: &mut Bench, tag: u64, beats: &[(Vec<u64>, bool)]) {
    for (number, (data, error)) in beats.iter().enumerate() {
        let item = bench.fields("load").set("tag", tag).set("error", *error).set("last", number + 1 == beats.len());
        bench.send("load", [item.set_words("data", data).words()]);
    }
}

fn loaded(bench: &mut Bench) -> Fields {
    bench.run_until(2000, |bench| !bench.received("loaded").is_empty());
    let [loaded] = &bench.drain_fields("loaded")[..] else { panic!("it is loaded once") };
    loaded.clone()
}

/// A Load into the bounce.
fn load_beats(bench: &mut Bench, rng: &mut Rng, beats: usize, pages: &mut Pages) {
    bench.poke("compares", 0);
    let data: Vec<_> = (0..beats).map(|_| (rng.bits(512), rng.below(20) == 0)).collect();
    pages[1].iter_mut().zip(data.iter().flat_map(|(beat, _)| dwords_of(beat))).for_each(|(dword, new)| *dword = new);
    let tag = rng.below(256);
    send_loads(bench, tag, &data);
    assert_eq!(loaded(bench).get("tag"), tag);
}

/// A Compare with the bounce, in which one bit is another one, or none.
fn compare(bench: &mut Bench, rng: &mut Rng, beats: usize, pages: &Pages) {
    bench.poke("compares", 1);
    let mut data: Vec<_> = (0..beats).map(|beat| (beat_of(&pages[1], BEAT_DWORDS * beat), false)).collect();
    let differs = rng.bool();
    if differs {
        let bit = rng.below(512 * beats as u64);
        data[bit as usize / 512].0[bit as usize % 512 / 64] ^= 1 << (bit % 64);
    } else if rng.bool() {
        // What could not be read says nothing.
        let beat = rng.below(beats as u64) as usize;
        data[beat] = (rng.bits(512), true);
    }
    let tag = rng.below(256);
    send_loads(bench, tag, &data);
    let loaded = loaded(bench);
    assert_eq!((loaded.get("tag"), loaded.get("differs") == 1), (tag, differs));
}

#[test]
fn firmware_units_and_the_storage_see_the_same_bytes() {
    under_all_stalls(&Buffer, |bench, rng| {
        let own: Vec<u32> = (0..DWORDS).map(|_| rng.next_u64() as u32).collect();
        for (address, dword) in own.iter().enumerate() {
            store(bench, address, *dword);
        }
        let mut pages = [own, vec![0; DWORDS]];
        load_beats(bench, rng, DWORDS / BEAT_DWORDS, &mut pages);
        for _ in 0..40 {
            let (run, beats) = (Run::random(rng), rng.range(1..65) as usize);
            match rng.below(6) {
                0 | 1 => write(bench, rng, run, &mut pages),
                2 | 3 => read(bench, rng, run, &pages),
                4 => load_beats(bench, rng, beats, &mut pages),
                _ => compare(bench, rng, beats, &pages),
            }
            let address = rng.below(DWORDS as u64) as usize;
            pages[0][address] = rng.next_u64() as u32;
            store(bench, address, pages[0][address]);
        }
        Run::of_beats(0).start(bench, Operation::Flush);
        finish(bench, 0);
        assert!(bench.drain("drain").is_empty(), "a Flush gives nothing out");
        for (address, dword) in pages[0].iter().enumerate() {
            assert_eq!(load(bench, address), *dword, "dword {address}");
        }
    });
}

/// Firmware's page is its own, also while the bounce is in use.
#[test]
fn firmware_writes_and_reads_while_the_bounce_is_in_use() {
    without_stalls(&Buffer, |bench| {
        let run = Run { in_bounce: true, ..Run::of_beats(8) };
        run.start(bench, Operation::Write);
        let item = bench.fields("fill").words();
        bench.send("fill", (0..7).map(|_| item.clone()));
        for address in 0..DWORDS {
            store(bench, address, address as u32 ^ 0x5A5A);
        }
        bench.send("fill", [bench.fields("fill").set("last", 1u8).words()]);
        finish(bench, 8);
        Run { in_bounce: true, ..Run::of_beats(64) }.start(bench, Operation::Read);
        for address in 0..DWORDS {
            assert_eq!(load(bench, address), address as u32 ^ 0x5A5A, "dword {address}");
        }
    });
}

/// Five clocks per beat of a Write, six per beat of a Read; three for the command and its end.
#[test]
fn takes_few_clocks_per_beat() {
    without_stalls(&Buffer, |bench| {
        for (operation, clocks_per_beat) in [(Operation::Write, 5), (Operation::Read, 6)] {
            if operation == Operation::Write {
                let item = |number: u32| bench.fields("fill").set("last", number == 63).words();
                let items: Vec<_> = (0..64).map(item).collect();
                bench.send("fill", items);
            }
            Run::of_beats(64).start(bench, operation);
            let began = bench.clocks();
            finish(bench, 64);
            assert_eq!(bench.clocks() - began, 64 * clocks_per_beat + 3, "clocks of a {operation:?}");
        }
        for (compares, clocks_per_beat) in [(0, 5), (1, 6)] {
            bench.poke("compares", compares);
            send_loads(bench, 0, &vec![(vec![0; 8], false); 64]);
            let began = bench.clocks();
            loaded(bench);
            let clocks = bench.clocks() - began;
            assert!(clocks <= 64 * clocks_per_beat + 3, "{clocks} clocks");
        }
    });
}

#[test]
fn nothing_is_lost_while_others_wait() {
    without_stalls(&Buffer, |bench| {
        let memory: Vec<u32> = (0..DWORDS as u32).map(|address| address.wrapping_mul(0x0101_0101)).collect();
        memory.iter().enumerate().for_each(|(address, dword)| store(bench, address, *dword));
        ["drain", "done"].iter().for_each(|stream| bench.hold(stream, true));
        Run::of_beats(0).start(bench, Operation::Flush);
        Run::of_beats(3).start(bench, Operation::Read);
        Run::of_beats(2).start(bench, Operation::Read);
        Run::of_beats(1).start(bench, Operation::Flush);
        bench.run(100);
        bench.hold("done", false);
        bench.run(100);
        let done =
            |bench: &mut Bench| bench.drain_fields("done").iter().map(|done| done.get("tag")).collect::<Vec<_>>();
        assert_eq!(done(bench), [0], "a Read is not done while its data waits");
        bench.hold("drain", false);
        bench.hold("done", true);
        bench.run(100);
        bench.hold("done", false);
        bench.run(100);
        assert_eq!(done(bench), [3, 2, 1]);
        let drained = bench.drain_fields("drain");
        let beats: Vec<_> = drained.iter().map(|beat| (beat.get("tag"), beat.get_words("data"))).collect();
        let expected = [(3, 0), (3, 1), (3, 2), (2, 0), (2, 1)];
        assert_eq!(beats, expected.map(|(tag, beat)| (tag, beat_of(&memory, BEAT_DWORDS * beat))));
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // Words of the RAM.
    forgets_at_reset(&Buffer, &["load"], &["buffer_read_data", "drain_data"]);
}
