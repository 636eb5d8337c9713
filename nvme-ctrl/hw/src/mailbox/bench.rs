//! The running block: firmware on its bus, commands from two sides.

use super::Mailbox;
use crate::decode::bench::row_words;
use crate::testing::{under_all_stalls, without_stalls, CONFIGS};
use crate::Config;
use nvme_spec::firmware_port as port;
use nvme_spec::reg::{Access, Reg};
use nvme_spec::{limits, SqEntry};
use rtl_hdl::bench::{Bench, Rng};
use std::collections::VecDeque;
use zerocopy::{FromBytes, IntoBytes};

fn write(bench: &mut Bench, address: u32, data: u64) {
    send_write(bench, address, data);
    wait_until_written(bench);
}

fn send_write(bench: &mut Bench, address: u32, data: u64) {
    let address = bench.fields("firmware_aw").set("addr", address).words();
    let data = bench.fields("firmware_w").set("data", data).set("strb", 0xFu8).words();
    bench.send("firmware_aw", [address]);
    bench.send("firmware_w", [data]);
}

fn wait_until_written(bench: &mut Bench) {
    bench.run_until(500, |bench| !bench.received("firmware_b").is_empty());
    bench.drain("firmware_b");
}

fn read(bench: &mut Bench, address: u32) -> u64 {
    let address = bench.fields("firmware_ar").set("addr", address).words();
    bench.send("firmware_ar", [address]);
    bench.run_until(500, |bench| !bench.received("firmware_r").is_empty());
    bench.drain_fields("firmware_r")[0].get("data")
}

fn pulse(bench: &mut Bench, ports: &[(&str, u64)]) {
    ports.iter().for_each(|(port, value)| bench.poke(port, *value));
    bench.clock();
    ports.iter().for_each(|(port, _)| bench.poke(port, 0));
}

fn random_entry(rng: &mut Rng) -> SqEntry {
    let bytes: Vec<u8> = (0..64).map(|_| rng.next_u64() as u8).collect();
    SqEntry::read_from_bytes(&bytes).expect("64 bytes")
}

fn words(entry: &SqEntry) -> Vec<u64> {
    entry.as_bytes().chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes"))).collect()
}

/// Runs `body` in every configuration, under every stall pattern.
fn under_all_stalls_everywhere(mut body: impl FnMut(&mut Bench, &mut Rng)) {
    for config in CONFIGS {
        under_all_stalls(&Mailbox::new(config), &mut body);
    }
}

/// Plain registers: what can be written is read back, what is constant stays, what is not there reads as zero.
#[test]
fn every_plain_register_does_what_its_table_says() {
    for config in CONFIGS {
        under_all_stalls(&Mailbox::new(config), |bench, rng| {
            bench.poke("window_ready", 1);
            assert_eq!(read(bench, port::ID.offset), port::ID_VALUE.into());
            assert_eq!(read(bench, port::VERSION.offset), port::INTERFACE_VERSION.into());
            assert_eq!(read(bench, port::LBA_BYTES.offset), config.lba_bytes.into());
            let functions = read(bench, port::FUNCTIONS.offset);
            assert_eq!(port::functions::COUNT.get(functions), config.functions.into());
            assert_eq!(port::functions::VECTORS.get(functions), config.vectors().into());
            let configuration = read(bench, port::CONFIGURATION.offset);
            assert_eq!(port::configuration::IO_QUEUES.get(configuration), config.io_queues.into());
            assert_eq!(port::configuration::UNITS.get(configuration), config.units.into());
            assert_eq!(port::configuration::SLOTS.get(configuration), config.slots.min(255).into());
            assert_eq!(1 << port::configuration::QUEUE_ENTRIES_LOG2.get(configuration), config.queue_entries_max);
            for reg in port::REGS.iter().filter(|reg| reg.mask_of(Access::Rw) != 0 && reg.name != "STATUS_SET") {
                let value = rng.next_u64() & 0xFFFF_FFFF;
                write(bench, reg.offset, value);
                assert_eq!(read(bench, reg.offset), value & reg.mask_of(Access::Rw), "{}", reg.name);
            }
            for reg in [port::ID, port::EVENTS, port::INBOX_STATUS, port::TRANSFER_STATE] {
                let before = read(bench, reg.offset);
                write(bench, reg.offset, 0xFFFF_FFFF);
                assert_eq!(read(bench, reg.offset), before, "{}", reg.name);
            }
            let banks = port::REGS.iter().filter(|reg| port::is_of_function(reg));
            let banks = banks.flat_map(|reg| (0..config.functions as u8).map(|f| port::of_function(reg, f).offset));
            let banks: Vec<u32> = banks.collect();
            let is_known = |offset| port::REGS.iter().any(|reg: &Reg| reg.offset == offset) || banks.contains(&offset);
            let in_window =
                |offset| port::INBOX_ENTRY.contains(offset) || (0x2A0..port::FUNCTION_BANK).contains(&offset);
            for offset in (0..port::BUFFER.offset).step_by(4).filter(|offset| !is_known(*offset) && !in_window(*offset))
            {
                write(bench, offset, 0xFFFF_FFFF);
                assert_eq!(read(bench, offset), 0, "nothing is at {offset:#x}");
            }
        });
    }
}

/// Both sources of the inbox, each in its own order; a place is released when its command is popped.
#[test]
fn the_inbox_holds_commands_until_they_are_popped() {
    under_all_stalls_everywhere(|bench, rng| {
        bench.poke("alive_f0", 1);
        // What must come from each side: queue, kind, status, entry.
        let mut expected: [VecDeque<(u64, u64, SqEntry)>; 2] = Default::default();
        for number in 0..30u64 {
            let entry = random_entry(rng);
            let item = bench.fields("inbox").set("sqid", number).set_words("entry", &words(&entry));
            bench.send("inbox", [item.words()]);
            expected[0].push_back((number, 0, entry));
            let (lba, blocks, status) = (rng.next_u64(), rng.range(1..65_537), rng.range(1..0x8000));
            let mut failed = SqEntry { opcode: rng.next_u64() as u8, ..Default::default() };
            failed.cid.set(number as u16);
            failed.nsid.set(rng.next_u64() as u32);
            failed.cdw10[0].set(lba as u32);
            failed.cdw10[1].set((lba >> 32) as u32);
            failed.cdw10[2].set(blocks as u32 - 1);
            let item =
                bench.fields("failure").set("sqid", 100 + number).set("cid", number).set("opcode", failed.opcode);
            let item = item.set("nsid", failed.nsid.get()).set("lba", lba).set("blocks", blocks).set("status", status);
            bench.send("failure", [item.words()]);
            expected[1].push_back((100 + number, status, failed));
        }
        let mut popped = Vec::new();
        while popped.len() < 60 {
            let status = read(bench, port::INBOX_STATUS.offset);
            if port::inbox_status::VALID.get(status) == 0 {
                continue;
            }
            assert_eq!(bench.peek("firmware_event"), 1);
            assert_eq!(bench.received("released").len(), popped.len(), "released when popped, not before");
            let bytes: Vec<u8> =
                (0..16).flat_map(|i| (read(bench, port::INBOX_ENTRY.dword(i)) as u32).to_le_bytes()).collect();
            let kind = port::inbox_status::KIND.get(status) as usize;
            let found = (
                port::inbox_status::SLOT.get(status),
                port::inbox_status::STATUS.get(status),
                SqEntry::read_from_bytes(&bytes).expect("64 bytes"),
            );
            assert_eq!(Some(found), expected[kind].pop_front());
            write(bench, port::INBOX_POP.offset, 1);
            popped.push(found.0);
            bench.run_until(100, |bench| bench.received("released").len() == popped.len());
        }
        let released: Vec<u64> = bench.drain_fields("released").iter().map(|item| item.get("sqid")).collect();
        assert_eq!(released, popped);
        assert_eq!(read(bench, port::EVENTS.offset), 0);
        write(bench, port::INBOX_POP.offset, 1);
        bench.run(50);
        assert_eq!(bench.drain("released").len(), 0, "nothing to pop");
    });
}

/// After the end of a life commands are dropped, places released, and nothing is handed on.
#[test]
fn nothing_crosses_the_end_of_a_life() {
    under_all_stalls_everywhere(|bench, rng| {
        let item = bench.fields("inbox").set("sqid", 1u8).set_words("entry", &words(&random_entry(rng))).words();
        bench.send("inbox", vec![item; 20]);
        let item = bench.fields("failure").set("sqid", 2u8).words();
        bench.send("failure", vec![item; 20]);
        bench.run_until(2000, |bench| bench.received("released").len() == 40);
        write(bench, port::COMPLETION_POST.offset, 0);
        let dropped = port::completion_state::DROPPED.mask();
        assert_eq!(read(bench, port::COMPLETION_STATE.offset), dropped);
        write(bench, port::QUEUE_COMMAND.offset, port::queue_operation::CREATE_SQ.into());
        assert_eq!(read(bench, port::QUEUE_STATE.offset), 0);
        write(bench, port::TRANSFER_START.offset, 1);
        assert_eq!(read(bench, port::TRANSFER_STATE.offset), port::transfer_state::DROPPED.mask());
        assert_eq!(read(bench, port::EVENTS.offset), 0);
        for stream in ["firmware_completion", "queue_command", "transfer"] {
            assert_eq!(bench.drain(stream).len(), 0, "{stream}");
        }
    });
}

#[test]
fn requests_are_busy_until_they_are_answered() {
    under_all_stalls_everywhere(|bench, _| {
        bench.poke("alive_f0", 1);
        write(bench, port::COMPLETION_RESULT.offset, 0x1234_5678);
        let id = port::completion_id::CID.set(port::completion_id::SLOT.set(0, 7), 0xBEEF);
        write(bench, port::COMPLETION_ID.offset, id);
        for (refused, dropped) in [(0, 0), (1, 0), (0, 1)] {
            write(bench, port::COMPLETION_POST.offset, 0x4002);
            assert_eq!(read(bench, port::COMPLETION_STATE.offset) & 1, 1, "busy");
            bench.run_until(100, |bench| bench.received("firmware_completion").len() == 1);
            let item = &bench.drain_fields("firmware_completion")[0];
            let fields = ["sqid", "cid", "status", "result", "from_firmware"].map(|name| item.get(name));
            assert_eq!(fields, [7, 0xBEEF, 0x4002, 0x1234_5678, 1]);
            pulse(bench, &[("firmware_answered", 1), ("firmware_refused", refused), ("firmware_dropped", dropped)]);
            assert_eq!(read(bench, port::COMPLETION_STATE.offset), refused << 1 | dropped << 2);
        }

        write(bench, port::QUEUE_BASE_LOW.offset, 0x1234_5000);
        write(bench, port::QUEUE_BASE_HIGH.offset, 9);
        write(bench, port::QUEUE_SIZE.offset, 4096);
        write(bench, port::QUEUE_ATTRIBUTES.offset, 0x5_0503);
        write(bench, port::QUEUE_IDENTITY.offset, 0x1234);
        for (operation, code) in [
            (port::queue_operation::CREATE_SQ, 0),
            (port::queue_operation::CREATE_CQ, 1),
            (port::queue_operation::STOP_SQ, 2),
            (port::queue_operation::DELETE_SQ, 3),
            (port::queue_operation::DELETE_CQ, 4),
        ] {
            write(bench, port::QUEUE_COMMAND.offset, u64::from(operation) | 0x200);
            assert_eq!(read(bench, port::QUEUE_STATE.offset), 1, "busy");
            bench.run_until(100, |bench| bench.received("queue_command").len() == 1);
            let item = &bench.drain_fields("queue_command")[0];
            let names = ["operation", "queue", "completion_queue", "page", "last", "interrupts", "vector"];
            assert_eq!(names.map(|name| item.get(name)), [code, 2, 3, 0x0091_2345, 4095, 1, 5]);
            assert_eq!(["function", "qid", "priority"].map(|name| item.get(name)), [0, 0x1234, 2]);
            pulse(bench, &[("command_answered", 1)]);
            assert_eq!(read(bench, port::QUEUE_STATE.offset), 0);
        }
        write(bench, port::QUEUE_COMMAND.offset, 7);
        assert_eq!(read(bench, port::QUEUE_STATE.offset), 0, "no such operation");

        write(bench, port::TRANSFER_PRP1_LOW.offset, 0x1004);
        write(bench, port::TRANSFER_PRP2_HIGH.offset, 3);
        write(bench, port::TRANSFER_LENGTH.offset, limits::BUFFER_BYTES.into());
        for (direction, sgl, operation) in [(0, 0, 1), (1, 0, 2), (0, 1, 1), (1, 1, 2)] {
            write(bench, port::TRANSFER_START.offset, direction | sgl << 1);
            assert_eq!(read(bench, port::TRANSFER_STATE.offset) & 1, 1, "busy");
            bench.run_until(100, |bench| bench.received("transfer").len() == 1);
            let item = &bench.drain_fields("transfer")[0];
            let fields = ["operation", "target", "bytes", "sgl", "prp1", "prp2"].map(|name| item.get(name));
            assert_eq!(fields, [operation, 1, 4096, sgl, 0x1004, 3 << 32]);
            pulse(bench, &[("transfer_done", 1), ("transfer_status", 0x13)]);
            assert_eq!(read(bench, port::TRANSFER_STATE.offset), 0x13 << 16);
            assert_eq!(read(bench, port::EVENTS.offset), port::events::TRANSFER_DONE.mask());
        }
        write(bench, port::EVENTS_CLEAR.offset, port::events::TRANSFER_DONE.mask());
        assert_eq!(read(bench, port::EVENTS.offset), 0);
    });
}

#[test]
fn events_are_latched_and_cleared() {
    under_all_stalls_everywhere(|bench, _| {
        bench.poke("alive_f0", 1);
        for (cause, register, clear, event) in [
            ("firmware_room", port::EVENTS, port::EVENTS_CLEAR, port::events::COMPLETION_ROOM),
            (
                "doorbell_unknown_f0",
                port::FUNCTION_EVENTS,
                port::FUNCTION_EVENTS_CLEAR,
                port::function_events::INVALID_DOORBELL,
            ),
            (
                "doorbell_illegal_f0",
                port::FUNCTION_EVENTS,
                port::FUNCTION_EVENTS_CLEAR,
                port::function_events::INVALID_DOORBELL_VALUE,
            ),
        ] {
            pulse(bench, &[(cause, 1)]);
            bench.run(2);
            assert_eq!(bench.peek("firmware_event"), 1);
            assert_eq!(read(bench, register.offset), event.mask(), "{cause}");
            if port::is_of_function(&register) {
                assert_eq!(read(bench, port::EVENTS.offset), port::events::FUNCTIONS.set(0, 1), "the summary");
            }
            write(bench, clear.offset, event.mask());
            assert_eq!(read(bench, register.offset), 0);
            assert_eq!(read(bench, port::EVENTS.offset), 0);
        }
        pulse(bench, &[("subsystem_reset", 1)]);
        assert_eq!(read(bench, port::EVENTS.offset), port::events::SUBSYSTEM_RESET.mask());
        write(bench, port::EVENTS_CLEAR.offset, port::events::SUBSYSTEM_RESET.mask());
        assert_eq!(read(bench, port::EVENTS.offset), 0);
        send_write(bench, port::CONTROL.offset, port::control::CLEAR_NSSRO.mask());
        bench.run_until(500, |bench| bench.peek("clear_nssro_f0") == 1);
        bench.clock();
        assert_eq!(bench.peek("clear_nssro_f0"), 0, "a pulse");
        wait_until_written(bench);
        for cause in ["host_error_f0", "queue_write_error_f0"] {
            pulse(bench, &[(cause, 1)]);
            write(bench, port::FUNCTION_EVENTS_CLEAR.offset, 0xFFFF_FFFF);
            assert_eq!(
                read(bench, port::FUNCTION_EVENTS.offset),
                port::function_events::HOST_ERROR.mask(),
                "until the life ends"
            );
            pulse(bench, &[("clear_f0", 1)]);
            assert_eq!(read(bench, port::FUNCTION_EVENTS.offset), 0);
        }
        bench.poke("cc_f0", nvme_spec::regs::cc::SHN.set(0, 1));
        bench.run(3);
        assert_eq!(read(bench, port::FUNCTION_EVENTS.offset), port::function_events::SHUTDOWN.mask());
        write(bench, port::CONTROL.offset, port::control::ACK_SHUTDOWN.mask());
        assert_eq!(read(bench, port::FUNCTION_EVENTS.offset), 0);
        bench.poke("cc_f0", 0);
        bench.run(3);
        assert_eq!(read(bench, port::FUNCTION_EVENTS.offset), 0, "back to no shutdown is no event");
        bench.poke("alive_f0", 0);
        pulse(bench, &[("doorbell_unknown_f0", 1), ("host_error_f0", 1)]);
        assert_eq!(read(bench, port::FUNCTION_EVENTS.offset), 0, "no life, no event");
        for (port_name, event) in
            [("enabling_f0", port::function_events::ENABLE), ("disabled_f0", port::function_events::DISABLED)]
        {
            bench.poke(port_name, 1);
            assert_eq!(read(bench, port::FUNCTION_EVENTS.offset), event.mask());
            bench.poke(port_name, 0);
        }
    });
}

#[test]
fn counters_count() {
    under_all_stalls_everywhere(|bench, rng| {
        let mut counts = [0u64; 5];
        // The last counter is that of clocks.
        for _ in 0..100 {
            let (pulses, sectors) = (rng.below(16), rng.range(1..8 * 65_536 + 1));
            let [reads, verifies, writes, errors] = [0, 1, 2, 3].map(|bit| pulses >> bit & 1);
            let names = ["read_done", "verify_done", "write_done", "write_error", "sectors_done"];
            let ports: Vec<_> = names.into_iter().zip([reads, verifies, writes, errors, sectors]).collect();
            pulse(bench, &ports);
            let sectors_read = (reads | verifies) * sectors;
            for (count, step) in counts.iter_mut().zip([reads, writes, sectors_read, writes * sectors, errors]) {
                *count += step;
            }
        }
        for (counter, expected) in port::COUNTERS.iter().zip(counts) {
            let low = read(bench, counter.low.offset);
            assert_eq!(low | read(bench, counter.high.offset) << 32, expected, "{}", counter.low.name);
        }
    });
}

/// "Reading the low dword holds the high dword": a count that passes 2^32 in any clock of the first read, or between the two, is read as one number.
#[test]
fn a_counter_is_read_in_two_halves() {
    let (step, steps) = (1_u64 << 19, 1_u64 << 13);
    let mut passed = 0;
    for ahead in 0..12 {
        without_stalls(&Mailbox::new(CONFIGS[0]), |bench| {
            bench.poke("read_done", 1);
            bench.poke("sectors_done", step);
            let start = bench.clocks();
            bench.run(steps - ahead);
            let before = (bench.clocks() - start) * step;
            let low = read(bench, port::READ_SECTORS.low.offset);
            let after = (bench.clocks() - start) * step;
            bench.run(50);
            let count = low | read(bench, port::READ_SECTORS.high.offset) << 32;
            assert!((before..after).contains(&count), "{count:#x} is not between {before:#x} and {after:#x}");
            passed += u32::from(count >> 32 == 0);
        });
    }
    assert!((1..12).contains(&passed), "some counts pass 2^32 after the read, and some before");
}

/// The window of the buffer: writes and reads reach the memory behind it, which answers after one clock.
#[test]
fn the_buffer_is_read_and_written() {
    under_all_stalls_everywhere(|bench, rng| {
        let mut memory = vec![0; 1024];
        let mut expected = memory.clone();
        for _ in 0..100 {
            let word = rng.below(1024);
            let address = bench.fields("firmware_aw").set("addr", port::BUFFER.dword(word as u32)).words();
            let data = rng.next_u64() & 0xFFFF_FFFF;
            let item = bench.fields("firmware_w").set("data", data).set("strb", 0xFu8).words();
            bench.send("firmware_aw", [address]);
            bench.send("firmware_w", [item]);
            expected[word as usize] = data;
            // A read goes on at the same time; it is for a word that is not written.
            let other = (word + 1 + rng.below(1023)) % 1024;
            let address = bench.fields("firmware_ar").set("addr", port::BUFFER.dword(other as u32)).words();
            bench.send("firmware_ar", [address]);
            while bench.received("firmware_b").is_empty() || bench.received("firmware_r").is_empty() {
                let at = bench.peek("buffer_address") as usize;
                if bench.peek("buffer_write") == 1 {
                    memory[at] = bench.peek("buffer_write_data");
                }
                let old = memory[at];
                bench.clock();
                bench.poke("buffer_read_data", old);
                assert!(bench.clocks() < 100_000, "no answer");
            }
            bench.drain("firmware_b");
            assert_eq!(bench.drain_fields("firmware_r")[0].get("data"), expected[other as usize]);
        }
        assert_eq!(memory, expected);
    });
}

/// What is written behind BUFFER_CLEAR is written when all of the buffer is zero, and other registers are read meanwhile.
#[test]
fn the_buffer_is_cleared_before_anything_else_is_written() {
    under_all_stalls_everywhere(|bench, rng| {
        for _ in 0..3 {
            let mut memory = vec![1; 1024];
            let (word, data) = (rng.below(1024), rng.next_u64() & 0xFFFF_FFFF);
            for (offset, data) in [(port::BUFFER_CLEAR.offset, 1), (port::BUFFER.dword(word as u32), data)] {
                let address = bench.fields("firmware_aw").set("addr", offset).words();
                bench.send("firmware_aw", [address]);
                let item = bench.fields("firmware_w").set("data", data).set("strb", 0xFu8).words();
                bench.send("firmware_w", [item]);
            }
            let (start, mut read_at) = (bench.clocks(), 0);
            while bench.received("firmware_b").len() < 2 {
                if bench.received("firmware_b").len() == 1 && read_at == 0 {
                    let address = bench.fields("firmware_ar").set("addr", port::ID.offset).words();
                    bench.send("firmware_ar", [address]);
                    read_at = bench.clocks();
                }
                let at = bench.peek("buffer_address") as usize;
                if bench.peek("buffer_write") == 1 {
                    memory[at] = bench.peek("buffer_write_data");
                }
                bench.clock();
                assert!(bench.clocks() < start + 10_000, "no answer");
            }
            assert!(bench.clocks() - start > 1024, "the write has waited");
            let mut expected = vec![0; 1024];
            expected[word as usize] = data;
            assert_eq!(memory, expected);
            assert_eq!(bench.drain_fields("firmware_r")[0].get("data"), u64::from(port::ID_VALUE));
            bench.drain("firmware_b");
        }
    });
}

/// A row of the table of namespaces is handed on when it is committed, whole.
#[test]
fn a_row_of_the_table_of_namespaces_is_committed_as_a_whole() {
    under_all_stalls_everywhere(|bench, rng| {
        for _ in 0..20 {
            let [base, blocks] = [rng.next_u64(), rng.next_u64()];
            let (attached, shift, protected) = (rng.below(256), *rng.pick(&[9, 12]), rng.below(2));
            write(bench, port::NAMESPACE_BASE_LOW.offset, base & 0xFFFF_FFFF);
            write(bench, port::NAMESPACE_BASE_HIGH.offset, base >> 32);
            write(bench, port::NAMESPACE_BLOCKS_LOW.offset, blocks & 0xFFFF_FFFF);
            write(bench, port::NAMESPACE_BLOCKS_HIGH.offset, blocks >> 32);
            let control = port::namespace_control::ATTACHED.set(0, attached);
            let control = port::namespace_control::LBA_SHIFT.set(control, shift);
            let control = port::namespace_control::WRITE_PROTECTED.set(control, protected);
            write(bench, port::NAMESPACE_CONTROL.offset, control);
            let index = rng.below(8);
            write(bench, port::NAMESPACE_SELECT.offset, index);
            assert_eq!(bench.peek("namespace_write"), 0, "not before the commit");
            let address = bench.fields("firmware_aw").set("addr", port::NAMESPACE_COMMIT.offset).words();
            let item = bench.fields("firmware_w").set("data", 1u8).set("strb", 0xFu8).words();
            bench.send("firmware_aw", [address]);
            bench.send("firmware_w", [item]);
            bench.run_until(500, |bench| bench.peek("namespace_write") == 1);
            assert_eq!(bench.peek("namespace_index"), index);
            let port = bench.sim().port("namespace_row");
            let mut row = [0; 3];
            bench.sim().peek(port, &mut row);
            assert_eq!(row, row_words(base, blocks, attached, shift, protected == 1));
            bench.clock();
            assert_eq!(bench.peek("namespace_write"), 0, "once");
            bench.run_until(500, |bench| !bench.received("firmware_b").is_empty());
            bench.drain("firmware_b");
        }
    });
}

/// A counter of LATENCY is shown when `latency` says that it is there, in the clock after that.
#[test]
fn counters_of_latencies_are_waited_for() {
    under_all_stalls_everywhere(|bench, rng| {
        write(bench, port::LATENCY_SELECT.offset, 5);
        for index in [0, 17, port::LATENCY.bytes / 4 - 1] {
            let address = bench.fields("firmware_ar").set("addr", port::LATENCY.dword(index)).words();
            bench.send("firmware_ar", [address]);
            bench.run_until(500, |bench| bench.peek("window_read") == 1);
            assert_eq!((bench.peek("window_sqid"), bench.peek("window_index")), (5, index.into()));
            let value = rng.next_u64() & 0xFFFF_FFFF;
            bench.run(rng.below(4));
            bench.poke("window_ready", 1);
            bench.clock();
            bench.poke("window_ready", 0);
            bench.poke("window_data", value);
            bench.run_until(500, |bench| !bench.received("firmware_r").is_empty());
            assert_eq!(bench.drain_fields("firmware_r")[0].get("data"), value);
            assert_eq!(bench.peek("window_read"), 0);
        }
    });
}

/// The creation of a queue is not over while its counters are cleared.
#[test]
fn a_queue_is_busy_while_its_counters_are_cleared() {
    without_stalls(&Mailbox::new(Config::SMALL), |bench| {
        bench.poke("clearing", 1);
        assert_eq!(read(bench, port::QUEUE_STATE.offset), port::queue_state::BUSY.mask());
        bench.poke("clearing", 0);
        assert_eq!(read(bench, port::QUEUE_STATE.offset), 0);
    });
}

/// An errand is started once, with its ranges, and its state is shown.
#[test]
fn an_errand_is_started_with_its_ranges() {
    under_all_stalls_everywhere(|bench, rng| {
        for (start, pulses) in [(port::errand_start::ERASE, [1, 0]), (port::errand_start::COPY, [0, 1])] {
            let (first, source, sectors) = (rng.next_u64(), rng.next_u64(), rng.next_u64() & 0xFFFF_FFFF);
            write(bench, port::ERRAND_SECTOR_LOW.offset, first & 0xFFFF_FFFF);
            write(bench, port::ERRAND_SECTOR_HIGH.offset, first >> 32);
            write(bench, port::ERRAND_SOURCE_LOW.offset, source & 0xFFFF_FFFF);
            write(bench, port::ERRAND_SOURCE_HIGH.offset, source >> 32);
            write(bench, port::ERRAND_SECTORS.offset, sectors);
            let address = bench.fields("firmware_aw").set("addr", port::ERRAND_START.offset).words();
            let data = bench.fields("firmware_w").set("data", start.mask()).set("strb", 0xFu8).words();
            bench.send("firmware_aw", [address]);
            bench.send("firmware_w", [data]);
            let starts = |bench: &mut Bench| ["errand_erase", "errand_copy"].map(|port| bench.peek(port));
            bench.run_until(500, |bench| starts(bench) == pulses);
            let ranges = ["errand_sector", "errand_source", "errand_sectors"].map(|port| bench.peek(port));
            assert_eq!(ranges, [first, source, sectors]);
            bench.clock();
            assert_eq!(starts(bench), [0, 0], "once");
            bench.run_until(500, |bench| !bench.received("firmware_b").is_empty());
            bench.drain("firmware_b");
        }
        for (busy, failure) in [(1, 0), (0, rng.below(1 << 15)), (0, 0)] {
            bench.poke("errand_busy", busy);
            bench.poke("errand_failure", failure);
            let state = read(bench, port::ERRAND_STATE.offset);
            assert_eq!(port::errand_state::BUSY.get(state), busy);
            assert_eq!(port::errand_state::STATUS.get(state), failure);
        }
    });
}

/// The features that hardware follows, and the alarm.
#[test]
fn features_and_the_alarm_reach_the_hardware() {
    under_all_stalls_everywhere(|bench, _| {
        write(bench, port::ARBITRATION.offset, 0x0304_0506);
        assert_eq!(bench.peek("arbitration_f0"), 0x0003_0405 << 3 | 6);
        write(bench, port::COALESCING.offset, 0x1234);
        assert_eq!(bench.peek("coalescing_f0"), 0x1234);
        write(bench, port::ALARM.offset, 1);
        write(bench, port::ALARM_CONTROL.offset, 1);
        assert_eq!(read(bench, port::EVENTS.offset), 0, "not yet");
        write(bench, port::ALARM.offset, 0);
        bench.run(3);
        assert_eq!(read(bench, port::EVENTS.offset), port::events::ALARM.mask());
        assert_eq!(bench.peek("firmware_event"), 1);
        write(bench, port::ALARM_CONTROL.offset, 0);
        bench.run(3);
        assert_eq!(read(bench, port::EVENTS.offset), 0);
    });
}

/// Each function has a bank, a summary bit, and a life of its own: what the end of one life takes away is what belongs to it.
#[test]
fn functions_do_not_meet() {
    let config = Config { functions: 2, ..Config::SMALL };
    without_stalls(&Mailbox::new(config), |bench| {
        let of = |reg: &Reg, function| port::of_function(reg, function).offset;
        assert_eq!(port::functions::COUNT.get(read(bench, port::FUNCTIONS.offset)), 2);
        bench.poke("alive_f0", 1);
        bench.poke("cc_f1", 0x1234_0001);
        bench.poke("asq_f1", 0x11_2233_4455);
        assert_eq!(read(bench, of(&port::CC, 0)), 0);
        assert_eq!(read(bench, of(&port::CC, 1)), 0x1234_0001);
        assert_eq!(read(bench, of(&port::ASQ_HIGH, 1)), 0x11);
        // Nothing is handed on for a function without a life.
        let identity = port::queue_identity::FUNCTION.set(5, 1);
        let id = port::completion_id::FUNCTION.set(0, 1);
        let transfer = port::transfer_start::FUNCTION.set(1, 1);
        write(bench, port::QUEUE_IDENTITY.offset, identity);
        write(bench, port::COMPLETION_ID.offset, id);
        write(bench, port::QUEUE_COMMAND.offset, port::queue_operation::STOP_SQ.into());
        write(bench, port::COMPLETION_POST.offset, 0);
        write(bench, port::TRANSFER_START.offset, transfer);
        assert_eq!(read(bench, port::COMPLETION_STATE.offset), port::completion_state::DROPPED.mask());
        assert_eq!(read(bench, port::TRANSFER_STATE.offset), port::transfer_state::DROPPED.mask());
        bench.run(20);
        for stream in ["firmware_completion", "queue_command", "transfer"] {
            assert_eq!(bench.drain(stream).len(), 0, "{stream}");
        }
        // With a life it is, and says for whom.
        bench.poke("alive_f1", 1);
        write(bench, port::QUEUE_COMMAND.offset, port::queue_operation::STOP_SQ.into());
        write(bench, port::COMPLETION_POST.offset, 0);
        write(bench, port::TRANSFER_START.offset, transfer);
        bench.run(20);
        let item = bench.drain_fields("queue_command").remove(0);
        assert_eq!((item.get("function"), item.get("qid")), (1, 5));
        assert_eq!(bench.drain_fields("transfer")[0].get("function"), 1);
        assert_eq!(read(bench, port::TRANSFER_STATE.offset), port::transfer_state::BUSY.mask());
        // The end of the other life changes nothing about it, the end of its own life does.
        pulse(bench, &[("doorbell_unknown_f0", 1)]);
        pulse(bench, &[("doorbell_illegal_f1", 1)]);
        assert_eq!(read(bench, port::EVENTS.offset), port::events::FUNCTIONS.set(0, 0b11));
        pulse(bench, &[("clear_f0", 1)]);
        let busy = [port::QUEUE_STATE, port::COMPLETION_STATE, port::TRANSFER_STATE];
        assert_eq!(busy.map(|reg| read(bench, reg.offset) & 1), [1; 3]);
        assert_eq!(read(bench, of(&port::FUNCTION_EVENTS, 0)), 0);
        assert_eq!(read(bench, of(&port::FUNCTION_EVENTS, 1)), port::function_events::INVALID_DOORBELL_VALUE.mask());
        pulse(bench, &[("clear_f1", 1)]);
        assert_eq!(busy.map(|reg| read(bench, reg.offset) & 1), [0; 3]);
        assert_eq!(read(bench, port::EVENTS.offset), 0);
        // Each function's status, acknowledgement and vectors go to it alone.
        write(bench, of(&port::COALESCING, 1), 0x0203);
        assert_eq!((bench.peek("coalescing_f0"), bench.peek("coalescing_f1")), (0, 0x0203));
        // Of a function whose life has ended, commands are dropped, and those of others stay.
        bench.poke("alive_f1", 0);
        for (function, slot) in [(1u8, 1u8), (0, 0)] {
            let item = bench.fields("inbox").set("function", function).set("sqid", slot);
            bench.send("inbox", [item.words()]);
        }
        bench.run_until(200, |bench| bench.received("released").len() == 1);
        assert_eq!(bench.drain_fields("released")[0].get("sqid"), 1);
        bench.run(20);
        let status = read(bench, port::INBOX_STATUS.offset);
        assert_eq!(port::inbox_status::VALID.get(status), 1);
        assert_eq!((port::inbox_status::FUNCTION.get(status), port::inbox_status::SLOT.get(status)), (0, 0));
    });
}

/// Both lives: the head of the inbox says whose it is.
#[test]
fn the_inbox_tells_the_function() {
    let config = Config { functions: 2, ..Config::SMALL };
    without_stalls(&Mailbox::new(config), |bench| {
        bench.poke("alive_f0", 1);
        bench.poke("alive_f1", 1);
        for (function, slot) in [(1u8, 3u8), (0, 2), (1, 1)] {
            let item = bench.fields("inbox").set("function", function).set("sqid", slot);
            bench.send("inbox", [item.words()]);
            bench.run(20);
            let status = read(bench, port::INBOX_STATUS.offset);
            assert_eq!(port::inbox_status::FUNCTION.get(status), function.into());
            assert_eq!(port::inbox_status::SLOT.get(status), slot.into());
            write(bench, port::INBOX_POP.offset, 1);
            bench.run(10);
        }
    });
}
