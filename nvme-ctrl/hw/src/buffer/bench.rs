//! The running block.

use super::Buffer;
use crate::testing::{forgets_at_reset, under_all_stalls, without_stalls};
use crate::types::{Operation, StorageStatus};
use nvme_spec::limits::BUFFER_BYTES;
use rtl_hdl::bench::Bench;
use rtl_hdl::HwEnum;

const DWORDS: usize = BUFFER_BYTES as usize / 4;

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

/// Starts a command; its tag is the number of beats.
fn start(bench: &mut Bench, operation: Operation, beats: u64) {
    let item = bench.fields("command").set("operation", operation.code()).set("tag", beats).set("beats", beats);
    bench.send("command", [item.words()]);
}

fn finish(bench: &mut Bench, beats: u64) {
    bench.run_until(2000, |bench| !bench.received("done").is_empty());
    let [done] = &bench.drain_fields("done")[..] else { panic!("a command is done once") };
    assert_eq!((done.get("tag"), done.get("status")), (beats, StorageStatus::Good.code()));
}

fn beat_of(memory: &[u32], beat: usize) -> Vec<u64> {
    memory[16 * beat..16 * beat + 16].chunks(2).map(|pair| u64::from(pair[1]) << 32 | u64::from(pair[0])).collect()
}

#[test]
fn firmware_and_units_see_the_same_bytes() {
    under_all_stalls(&Buffer, |bench, rng| {
        let mut memory: Vec<u32> = (0..DWORDS).map(|_| rng.next_u64() as u32).collect();
        for (address, dword) in memory.iter().enumerate() {
            store(bench, address, *dword);
        }
        for _ in 0..12 {
            let any = rng.range(1..65);
            let beats = *rng.pick(&[1, 2, 64, any]);
            if rng.bool() {
                start(bench, Operation::Write, beats);
                for beat in 0..beats as usize {
                    let data = rng.bits(512);
                    for (dword, words) in memory[16 * beat..].chunks_mut(2).zip(&data) {
                        dword.copy_from_slice(&[*words as u32, (words >> 32) as u32]);
                    }
                    let item = bench.fields("fill").set("last", beat as u64 + 1 == beats).set_words("data", &data);
                    bench.send("fill", [item.words()]);
                }
                finish(bench, beats);
                assert!(bench.drain("drain").is_empty(), "a Write gives nothing out");
            } else {
                start(bench, Operation::Read, beats);
                finish(bench, beats);
                bench.run_until(100, |bench| bench.received("drain").len() as u64 == beats);
                for (index, got) in bench.drain_fields("drain").iter().enumerate() {
                    assert_eq!(got.get_words("data"), beat_of(&memory, index), "beat {index} of {beats}");
                    assert_eq!((got.get("tag"), got.get("error")), (beats, 0));
                    assert_eq!(got.get("last") == 1, index as u64 + 1 == beats);
                }
            }
            let address = rng.below(DWORDS as u64) as usize;
            memory[address] = rng.next_u64() as u32;
            store(bench, address, memory[address]);
        }
        start(bench, Operation::Flush, 0);
        finish(bench, 0);
        assert!(bench.drain("drain").is_empty(), "a Flush gives nothing out");
        for (address, dword) in memory.iter().enumerate() {
            assert_eq!(load(bench, address), *dword, "dword {address}");
        }
    });
}

/// Five clocks per beat of a Write, six per beat of a Read; three for the command and its end.
#[test]
fn takes_few_clocks_per_beat() {
    without_stalls(&Buffer, |bench| {
        for (operation, clocks_per_beat) in [(Operation::Write, 5), (Operation::Read, 6)] {
            let item = bench.fields("fill").words();
            if operation == Operation::Write {
                bench.send("fill", (0..64).map(|_| item.clone()));
            }
            start(bench, operation, 64);
            let began = bench.clocks();
            finish(bench, 64);
            assert_eq!(bench.clocks() - began, 64 * clocks_per_beat + 3, "clocks of a {operation:?}");
        }
    });
}

#[test]
fn nothing_is_lost_while_others_wait() {
    without_stalls(&Buffer, |bench| {
        let memory: Vec<u32> = (0..DWORDS as u32).map(|address| address.wrapping_mul(0x0101_0101)).collect();
        memory.iter().enumerate().for_each(|(address, dword)| store(bench, address, *dword));
        ["drain", "done"].iter().for_each(|stream| bench.hold(stream, true));
        start(bench, Operation::Flush, 0);
        start(bench, Operation::Read, 3);
        start(bench, Operation::Read, 2);
        start(bench, Operation::Flush, 1);
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
        let expected = [(3, 0), (3, 1), (3, 2), (2, 0), (2, 1)].map(|(tag, beat)| (tag, beat_of(&memory, beat)));
        assert_eq!(beats, expected);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    // Words of the RAM.
    forgets_at_reset(&Buffer, &[], &["buffer_read_data", "drain_data"]);
}
