//! The running block between firmware and the blocks, which are played here.

use super::FlashPort;
use crate::testing::{forgets_at_reset, under_all_stalls};
use crate::types::Purpose;
use flash_spec::fast_path::wire::{self, register, WORDS};
use flash_spec::fast_path::{Buffer, Command, Event, Register, Stream};
use flash_spec::Outcome;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::{Block, HwEnum};

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(FlashPort)]
}

fn write(bench: &mut Bench, offset: u32, word: u32) {
    let data = bench.fields("firmware_w").set("data", word).set("strb", 0xFu8);
    bench.send("firmware_aw", [bench.fields("firmware_aw").set("addr", offset).words()]);
    bench.send("firmware_w", [data.words()]);
    bench.run_until(1000, |bench| !bench.received("firmware_b").is_empty());
    bench.drain("firmware_b");
}

fn read(bench: &mut Bench, offset: u32) -> u32 {
    bench.send("firmware_ar", [bench.fields("firmware_ar").set("addr", offset).words()]);
    bench.run_until(1000, |bench| !bench.received("firmware_r").is_empty());
    bench.drain_fields("firmware_r")[0].get("data") as u32
}

fn number(bench: &mut Bench, which: Register) -> u64 {
    let offset = wire::register_offset(which);
    let low = read(bench, offset);
    let high = if wire::is_wide(which) { read(bench, offset + 4) } else { 0 };
    u64::from(low) | u64::from(high) << 32
}

fn send(bench: &mut Bench, command: Command) {
    let words = wire::encode(command);
    for index in (0..WORDS).rev() {
        write(bench, register::COMMAND + 4 * index as u32, words[index]);
    }
}

fn commands(rng: &mut Rng) -> Vec<(usize, Command)> {
    let planes = u128::from(rng.next_u64()) << 40 | u128::from(rng.next_u64());
    let [page, label] = [rng.next_u64() as u32, rng.next_u64() as u32];
    let (tag, super_block) = (rng.next_u64() as u8 & 63, rng.next_u64() as u16);
    let from = rng.bool().then_some(Buffer::Map(super_block & 0xFFF));
    vec![
        (0, Command::Open { stream: Stream::Moved, super_block, planes }),
        (0, Command::StartAt { plane: tag, page: super_block }),
        (0, Command::SetSequence { next: u64::from(page) << 10 }),
        (0, Command::Settle),
        (1, Command::Read { tag, page, into: from }),
        (1, Command::Move { page }),
        (1, Command::DrainMoves),
        (2, Command::Program { tag, page, from, kind: 3, label }),
        (3, Command::Erase { super_block, planes }),
        (4, Command::MapPresent { map_page: super_block, is_dirty: true }),
        (4, Command::AppendLog { lpn: page, place: label }),
        (4, Command::CloseLog),
        (4, Command::LogDurable),
    ]
}

#[test]
fn commands_reach_their_blocks() {
    under_all_stalls(&FlashPort, |bench: &mut Bench, rng: &mut Rng| {
        for (block, command) in commands(rng) {
            let stream = format!("said_{block}");
            bench.hold(&stream, true);
            send(bench, command);
            assert_eq!(read(bench, register::BUSY), 1, "{command:?} is not taken yet");
            bench.hold(&stream, false);
            bench.run_until(1000, |bench| !bench.received(&stream).is_empty());
            let item = bench.drain_fields(&stream).remove(0);
            let body = item.get_words("body");
            let head = item.get("code") | item.get("tag") << 8 | item.get("argument") << 16;
            let mut words = vec![head, item.get("first"), item.get("second"), item.get("third")];
            words.extend(body.iter().flat_map(|word| [word & 0xFFFF_FFFF, word >> 32]));
            let right: Vec<u64> = wire::encode(command).iter().map(|&word| u64::from(word)).collect();
            assert_eq!(words, right, "{command:?}");
            bench.run_until(1000, |bench| read(bench, register::BUSY) == 0);
        }
        send(bench, Command::SetReadOnly { read_only: true });
        assert_eq!(bench.peek("read_only"), 1);
        send(bench, Command::SetReadOnly { read_only: false });
        assert_eq!(bench.peek("read_only"), 0);
        assert!((0..5).all(|block| bench.received(&format!("said_{block}")).is_empty()));
    });
}

#[test]
fn events_and_numbers_can_be_read() {
    under_all_stalls(&FlashPort, |bench: &mut Bench, rng: &mut Rng| {
        assert_eq!(read(bench, register::EVENT), 0);
        let failed = u128::from(rng.next_u64()) << 50 | 5;
        let item = bench.fields("heard").set("code", wire::event::ERASE_DONE).set("argument", 77);
        let words = [failed as u64, (failed >> 64) as u64];
        bench.send("heard", [item.set_words("body", &words).words()]);
        let item = bench.fields("heard").set("code", wire::event::MOVED).set("argument", 0x10).set("first", 99_999);
        bench.send("heard", [item.words()]);
        let right = [
            Event::EraseDone { super_block: 77, failed },
            Event::Moved { page: 99_999, outcome: Outcome::Uncorrectable },
        ];
        for event in right {
            bench.run_until(1000, |bench| read(bench, register::EVENT) != 0);
            let words: Vec<u32> = (0..WORDS as u32).map(|word| read(bench, register::EVENT + 4 * word)).collect();
            let words = words.try_into().expect("as many as there are");
            assert_eq!(wire::decode(words, |_| unreachable!("it is no read")), Some(event));
            write(bench, register::EVENT_TAKE, 0);
        }
        assert_eq!(read(bench, register::EVENT), 0);

        let ports = [
            ("next_sequence", Register::Sequence),
            ("safe", Register::SafeSequence),
            ("appended", Register::LogAppended),
            ("durable", Register::LogDurable),
            ("durable_covered", Register::LogCovered),
            ("last_trim", Register::LastTrim),
            ("last_trim_sequence", Register::LastTrimSequence),
        ];
        for (port, register) in ports {
            let value = rng.next_u64() >> 16;
            bench.poke(port, value);
            assert_eq!(number(bench, register), value, "{port}");
        }
        for waits in [1, 0] {
            bench.poke("flush_waits", waits);
            assert_eq!(number(bench, Register::FlushWaits), waits);
        }
        bench.poke("valid_units", 0xABCDE);
        bench.poke("peek_changed", 1);
        for (register, port, at, right) in
            [(Register::ValidUnits(1023), "valid_at", 1023, 0xABCDE), (Register::MapDirty(3000), "peek", 3000, 1)]
        {
            let address = bench.fields("firmware_ar").set("addr", wire::register_offset(register));
            bench.send("firmware_ar", [address.words()]);
            bench.run_until(1000, |bench| bench.peek(port) == at);
            bench.run_until(1000, |bench| !bench.received("firmware_r").is_empty());
            assert_eq!(bench.drain_fields("firmware_r")[0].get("data"), right);
        }
        for (purpose, pages) in [(Purpose::Host, 2), (Purpose::Moved, 1), (Purpose::Filler, 2), (Purpose::Firmware, 1)]
        {
            bench.poke("told_for", purpose.code());
            bench.poke("told_pages", pages);
            bench.poke("wrote", 1);
            bench.clock();
            bench.poke("told_pages", 0);
            bench.poke("wrote", 0);
        }
        let counts = [Register::WrittenUnits, Register::HostPages, Register::MovedPages, Register::OtherPages];
        assert_eq!(counts.map(|register| number(bench, register)), [4, 2, 1, 3]);
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&FlashPort, &["firmware_b", "firmware_r"], &["valid_at", "peek"]);
}
