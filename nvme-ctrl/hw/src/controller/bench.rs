//! The running controller.

mod system;

use crate::Config;
use nvme_spec::firmware_port as port;
use nvme_spec::opcode::io;
use nvme_spec::regs::{self, MSIX_PBA, MSIX_TABLE};
use nvme_spec::{SqEntry, Status};
use rtl_hdl::bench::{Rng, Seed};
use sim_device::{BusTiming, Chance};
use system::*;

/// The configurations and host memories under which each test runs.
fn everywhere(test: impl Fn(&mut System)) {
    for config in [Config::SMALL, Config::DEFAULT] {
        let seed = Seed::from_env_or(0xC0DE);
        for timing in [BusTiming::IDEAL, BusTiming::adverse(seed.0)] {
            let mut system = System::new(config, timing, seed);
            test(&mut system);
        }
    }
}

/// The admin path: a command goes to firmware, which moves data and completes it.
#[test]
fn an_admin_command_travels_through_firmware() {
    everywhere(|s| {
        let mut admin = s.enable(4, 3);
        let buffer = s.host.alloc_guarded(4096, 4096);
        // Three laps of the completion queue.
        for lap in 0..9u16 {
            let mut identify = entry(0x06, 0x40 + lap, 0, 1, [buffer, 0]);
            identify.cdw10[0].set(1);
            s.submit(&mut admin, &identify);
            s.ring(&admin);
            let (sqid, kind, status, got) = s.firmware_pops();
            assert_eq!((sqid, kind, status), (0, port::inbox_kind::COMMAND, 0));
            assert_eq!(got, identify);
            for word in 0..1024 {
                let value = u32::from(lap) << 16 | word;
                s.access(&FIRMWARE, Access::write(port::BUFFER.dword(word), value, 0xF));
            }
            assert_eq!(s.firmware_transfers(true, buffer, 0, 4096), 0);
            assert_eq!(s.firmware_posts(0, identify.cid.get(), 0x2002, 0xABCD), 0);
            let completion = s.completion(&mut admin);
            assert_eq!(completion.cid.get(), identify.cid.get());
            assert_eq!(completion.sqid.get(), 0);
            assert_eq!(completion.sqhd.get(), (lap + 1) % 4);
            assert_eq!(completion.status_field(), 0x2002);
            assert_eq!(completion.result.get(), 0xABCD);
            let page = s.host.load_vec(buffer, 4096);
            let expected: Vec<u8> = (0..1024u32).flat_map(|w| (u32::from(lap) << 16 | w).to_le_bytes()).collect();
            assert_eq!(page, expected);
            s.ring_head(&admin);
            assert_eq!(s.messages(1), [0x100], "one interrupt for one completion");
        }
        s.disable();
    });
}

/// Reads, writes and a flush never touch firmware; data arrives before its completion.
#[test]
fn io_commands_move_data_without_firmware() {
    everywhere(|s| {
        s.enable(4, 4);
        let mut io_pair = s.create_io_pair(1, 8, 8);
        let blocks_4k = 4096 / s.config.lba_bytes;
        s.attach(1000);
        let buffer = s.host.alloc_guarded(16384, 4096);
        let data: Vec<u8> = (0..16384u32).map(|i| (i * 7 + i / 256) as u8).collect();
        s.host.store(buffer, &data);
        let list = s.host.alloc_guarded(4096, 4096);
        for page in 1..4u64 {
            s.host.store(list + 8 * (page - 1), &(buffer + 4096 * page).to_le_bytes());
        }
        s.submit(&mut io_pair, &entry(io::WRITE, 1, 8, blocks_4k, [buffer, 0]));
        s.submit(&mut io_pair, &entry(io::WRITE, 2, 16, 4 * blocks_4k, [buffer, list]));
        s.ring(&io_pair);
        let mut cids: Vec<u16> = Vec::new();
        for _ in 0..2 {
            let completion = s.completion(&mut io_pair);
            assert_eq!((completion.status_field(), completion.sqid.get()), (0, 1));
            cids.push(completion.cid.get());
        }
        cids.sort_unstable();
        assert_eq!(cids, [1, 2]);
        s.ring_head(&io_pair);
        s.submit(&mut io_pair, &entry(io::FLUSH, 3, 0, 1, [0, 0]));
        s.ring(&io_pair);
        assert_eq!(s.completion(&mut io_pair).status_field(), 0);

        let target = s.host.alloc_guarded(16384, 4096);
        s.host.fill(target, 16384, 0xEE);
        for page in 1..4u64 {
            s.host.store(list + 8 * (page - 1), &(target + 4096 * page).to_le_bytes());
        }
        s.submit(&mut io_pair, &entry(io::READ, 4, 16, 4 * blocks_4k, [target, list]));
        s.ring(&io_pair);
        assert_eq!(s.completion(&mut io_pair).cid.get(), 4);
        assert_eq!(s.host.load_vec(target, 16384), data, "data is there when the completion is");

        // A read at an offset into the page.
        s.host.fill(target, 16384, 0xEE);
        s.submit(&mut io_pair, &entry(io::READ, 5, 8, blocks_4k, [target + 0x104, target + 4096]));
        s.ring(&io_pair);
        let completion = s.completion(&mut io_pair);
        assert_eq!((completion.cid.get(), completion.status_field()), (5, 0));
        let got = s.host.load_vec(target, 8192);
        assert_eq!(got[0x104..0x104 + 4096], data[..4096]);
        assert!(got[..0x104].iter().chain(&got[0x1104..]).all(|byte| *byte == 0xEE));
        assert_eq!(s.firmware_read(&port::EVENTS), 0, "firmware was never needed");
        assert_eq!(s.firmware_read(&port::READ_COMMANDS.low), 2);
        assert_eq!(s.firmware_read(&port::WRITE_SECTORS.low), 5 * 8);
        s.disable();
    });
}

/// What is not a valid command of the fast path goes to firmware with its queue; so does a command that fails.
#[test]
fn odd_and_failed_commands_go_to_firmware() {
    everywhere(|s| {
        s.enable(4, 4);
        let mut pair = s.create_io_pair(2, 8, 8);
        s.attach(100);
        s.storage.bad_block = Some(50);
        let buffer = s.host.alloc_guarded(4096, 4096);
        let good = entry(io::READ, 0x11, 0, 1, [buffer, 0]);
        let mut odd = [good; 5];
        odd[0].opcode = 0x09;
        odd[1].flags = 0x80;
        odd[2].nsid.set(2);
        odd[3].cdw10[0].set(100);
        odd[4].prp[0].set(buffer + 2);
        for odd in odd {
            s.submit(&mut pair, &odd);
            s.ring(&pair);
            let (sqid, kind, status, got) = s.firmware_pops();
            assert_eq!((sqid, kind, status), (2, port::inbox_kind::COMMAND, 0));
            assert_eq!(got, odd);
            assert_eq!(s.firmware_posts(2, 0x11, Status::INVALID_FIELD.raw(), 0), 0);
            assert_eq!(s.completion(&mut pair).status_field(), Status::INVALID_FIELD.raw());
            s.ring_head(&pair);
        }
        s.submit(&mut pair, &entry(io::READ, 0x22, 50, 1, [buffer, 0]));
        s.ring(&pair);
        let (sqid, kind, status, got) = s.firmware_pops();
        assert_eq!((sqid, kind), (2, port::inbox_kind::FAILED_COMMAND));
        assert_eq!(status, Status::UNRECOVERED_READ_ERROR.raw());
        assert_eq!(got, SqEntry { prp: Default::default(), ..entry(io::READ, 0x22, 50, 1, [0, 0]) });
        assert_eq!(s.firmware_posts(2, 0x22, status, 0), 0);
        assert_eq!(s.completion(&mut pair).status_field(), status);
        s.disable();
    });
}

/// A completion queue that is full stops its own submission queues and nobody else; firmware is refused, told, and served first.
#[test]
fn a_full_completion_queue_stops_nobody_else() {
    everywhere(|s| {
        s.enable(4, 4);
        s.attach(100);
        let buffer = s.host.alloc_guarded(4096, 4096);
        // Room for two completions, and seven commands.
        let mut narrow = s.create_io_pair(1, 8, 3);
        let mut wide = s.create_io_pair(2, 8, 8);
        for cid in 0..7 {
            s.submit(&mut narrow, &entry(io::READ, cid, 0, 1, [buffer, 0]));
        }
        s.ring(&narrow);
        for cid in 0..21 {
            s.submit(&mut wide, &entry(io::READ, cid, 0, 1, [buffer, 0]));
            s.ring(&wide);
            assert_eq!(s.completion(&mut wide).cid.get(), cid);
            s.ring_head(&wide);
        }
        let mut cids: Vec<u16> = (0..2).map(|_| s.completion(&mut narrow).cid.get()).collect();
        s.run(300);
        assert!(s.peek_completion(&narrow).is_none(), "no third entry in a queue of three");

        // Firmware wants to complete a command that it holds since long ago.
        let state = s.firmware_posts(1, 0x77, 0, 1);
        assert_eq!(state, port::completion_state::REFUSED.mask() as u32);
        assert_eq!(s.firmware_read(&port::EVENTS), 0);
        narrow.head = 1;
        s.ring_head(&narrow);
        s.wait_event(&port::events::COMPLETION_ROOM);
        s.firmware_write(&port::EVENTS_CLEAR, port::events::COMPLETION_ROOM.mask() as u32);
        assert_eq!(s.firmware_read(&port::EVENTS), 0);
        s.run(200);
        assert_eq!(s.firmware_posts(1, 0x77, 0, 1), 0, "the entry was kept for firmware");
        narrow.head = 2;
        assert_eq!(s.completion(&mut narrow).cid.get(), 0x77);

        // The rest comes as the host makes room.
        for _ in 2..7 {
            s.ring_head(&narrow);
            cids.push(s.completion(&mut narrow).cid.get());
        }
        cids.sort_unstable();
        assert_eq!(cids, [0, 1, 2, 3, 4, 5, 6]);
        s.disable();
    });
}

/// "Write to Invalid Doorbell Register" and "Invalid Doorbell Write Value" of NVMe Base, "Asynchronous Event Information".
#[test]
fn wrong_doorbells_are_reported_and_ignored() {
    everywhere(|s| {
        s.enable(4, 4);
        s.attach(100);
        let buffer = s.host.alloc_guarded(4096, 4096);
        let mut pair = s.create_io_pair(1, 4, 4);
        let clear = (port::function_events::INVALID_DOORBELL.mask()
            | port::function_events::INVALID_DOORBELL_VALUE.mask()) as u32;
        for (offset, value, event) in [
            (regs::sq_tail_doorbell(2), 1, port::function_events::INVALID_DOORBELL),
            (regs::cq_head_doorbell(2), 0, port::function_events::INVALID_DOORBELL),
            (regs::sq_tail_doorbell(200), 1, port::function_events::INVALID_DOORBELL),
            (regs::sq_tail_doorbell(1), 4, port::function_events::INVALID_DOORBELL_VALUE),
            (regs::sq_tail_doorbell(1), 0xFFFF, port::function_events::INVALID_DOORBELL_VALUE),
            (regs::cq_head_doorbell(1), 1, port::function_events::INVALID_DOORBELL_VALUE),
            (regs::cq_head_doorbell(1), 0xFFFF, port::function_events::INVALID_DOORBELL_VALUE),
        ] {
            s.mmio_write(offset, value);
            s.wait_event(&event);
            let events = s.firmware_read(&port::FUNCTION_EVENTS);
            assert_eq!(u64::from(events), event.mask(), "doorbell {offset:#x} = {value:#x}");
            s.firmware_write(&port::FUNCTION_EVENTS_CLEAR, clear);
            assert_eq!(s.firmware_read(&port::EVENTS), 0);
        }
        // A doorbell that says nothing new is no mistake.
        s.ring(&pair);
        s.ring_head(&pair);
        s.submit(&mut pair, &entry(io::READ, 5, 0, 1, [buffer, 0]));
        s.ring(&pair);
        assert_eq!(s.completion(&mut pair).cid.get(), 5);
        assert_eq!(s.firmware_read(&port::EVENTS), 0);
        s.disable();
    });
}

/// Firmware stops a queue, waits for what is in flight, and deletes it; then the same number is used again.
#[test]
fn a_queue_is_stopped_deleted_and_created_again() {
    everywhere(|s| {
        s.enable(4, 4);
        s.attach(1000);
        let buffer = s.host.alloc_guarded(4096, 4096);
        for round in 0..3 {
            let mut pair = s.create_io_pair(1, 8, 8);
            for cid in 0..7 {
                s.submit(&mut pair, &entry(io::WRITE, cid, 8 * u64::from(cid), 1, [buffer, 0]));
            }
            s.ring(&pair);
            s.run(40 * round);
            s.queue_command(port::queue_operation::STOP_SQ, 1);
            let slot = s.slot(1);
            s.firmware_write(&port::QUEUE_SELECT, slot.into());
            s.firmware_wait("the queue is empty", &port::QUEUE_IN_FLIGHT, u64::MAX, 0);
            // What was posted may still be on its way to the host; it gets there before anything that is posted later.
            s.run(2000);
            let mut cids = Vec::new();
            while s.peek_completion(&pair).is_some() {
                cids.push(s.completion(&mut pair).cid.get());
            }
            cids.sort_unstable();
            assert!(cids.iter().copied().eq(0..cids.len() as u16), "what was fetched is completed once: {cids:?}");
            s.queue_command(port::queue_operation::DELETE_SQ, 1);
            s.queue_command(port::queue_operation::DELETE_CQ, 1);
            s.run(200);
            assert!(s.peek_completion(&pair).is_none(), "nothing comes after the queue is gone");
            assert_eq!(s.firmware_posts(1, 0, 0, 0), port::completion_state::DROPPED.mask() as u32);
        }
        s.disable();
    });
}

/// PCI Express Base, "MSI-X": masked vectors stay pending, and one message is sent on unmasking.
#[test]
fn masked_interrupts_wait_and_remaining_entries_remind() {
    everywhere(|s| {
        s.enable(4, 4);
        s.attach(100);
        let buffer = s.host.alloc_guarded(4096, 4096);
        let mut pair = s.create_io_pair(1, 8, 8);
        let control = MSIX_TABLE.start + 16 + 12;
        s.mmio_write(control, 1);
        assert_eq!(s.mmio_read(control), 1);
        assert_eq!(s.mmio_read(MSIX_TABLE.start + 16 + 8), 0x101);
        for cid in 0..3 {
            s.submit(&mut pair, &entry(io::READ, cid, 0, 1, [buffer, 0]));
        }
        s.ring(&pair);
        for _ in 0..3 {
            s.completion(&mut pair);
        }
        assert_eq!(s.messages(0), []);
        assert_eq!(s.mmio_read(MSIX_PBA.start), 2, "the pending bit of vector 1");
        s.mmio_write(control, 0);
        assert_eq!(s.messages(1), [0x101]);
        assert_eq!(s.mmio_read(MSIX_PBA.start), 0);

        // Two of three entries are taken: one more message. All three: none.
        pair.head = 2;
        s.ring_head(&pair);
        assert_eq!(s.messages(1), [0x101]);
        pair.head = 3;
        s.ring_head(&pair);
        assert_eq!(s.messages(0), []);

        // The function mask holds all vectors back.
        s.ports.set("msix_function_mask", 1);
        s.submit(&mut pair, &entry(io::READ, 3, 0, 1, [buffer, 0]));
        s.ring(&pair);
        s.completion(&mut pair);
        assert_eq!(s.messages(0), []);
        s.ports.set("msix_function_mask", 0);
        assert_eq!(s.messages(1), [0x101]);
        s.disable();
    });
}

#[test]
fn the_registers_are_those_of_the_specification() {
    everywhere(|s| {
        let cap = regs::cap_value(s.config.queue_entries_max);
        assert_eq!(s.mmio_read(regs::CAP.offset), cap as u32);
        assert_eq!(s.mmio_read(regs::CAP.offset + 4), (cap >> 32) as u32);
        assert_eq!(s.mmio_read(regs::VS.offset), regs::VERSION);
        let mut offsets: Vec<u32> = (0..0x60).step_by(4).collect();
        offsets.extend([0x100, 0xFFC, 0x1000, 0x1FFC, 0x2FFC, 0x3FFC]);
        let before: Vec<u32> = offsets.iter().map(|offset| s.mmio_read(*offset)).collect();
        // What another function writes or reads is not ours.
        for offset in &offsets {
            s.mmio_write(regs::BAR0_BYTES + offset, !1);
            let beyond = s.config.functions * regs::BAR0_BYTES + offset;
            s.mmio_write(beyond, !1);
            assert_eq!(s.mmio_read(beyond), 0);
        }
        let after: Vec<u32> = offsets.iter().map(|offset| s.mmio_read(*offset)).collect();
        assert_eq!(before, after);
        for reg in regs::REGS {
            for dword in 0..reg.bytes / 4 {
                let offset = reg.offset + 4 * dword;
                let ones = if reg.name == "CC" { !1 } else { !0 };
                s.mmio_write(offset, ones);
                let mask = (reg.mask_of(nvme_spec::reg::Access::Rw) >> (32 * dword)) as u32;
                let constant = before[offset as usize / 4] & !mask;
                assert_eq!(s.mmio_read(offset), ones & mask | constant, "{} dword {dword}", reg.name);
            }
        }
        s.mmio_write(regs::AQA.offset, 0x0123_0456);
        s.access(&MMIO, Access::write(regs::AQA.offset, 0xAAAA_AA9A, 0b0001));
        assert_eq!(s.mmio_read(regs::AQA.offset), 0x0123_049A);
        s.access(&MMIO, Access::write(regs::AQA.offset, 0x0BCD_AAAA, 0b1100));
        assert_eq!(s.mmio_read(regs::AQA.offset), 0x0BCD_049A);
        s.access(&MMIO, Access::write(regs::AQA.offset, 0xFFFF_FFFF, 0));
        assert_eq!(s.mmio_read(regs::AQA.offset), 0x0BCD_049A);
        s.ports.set("function_level_reset", 1);
        s.run(1);
        s.ports.set("function_level_reset", 0);
        assert_eq!(s.mmio_read(regs::AQA.offset), 0);
    });
}

/// A submission queue in memory that cannot be read is fatal; without bus mastering everything is.
#[test]
fn unreadable_queues_are_fatal_and_a_reset_helps() {
    everywhere(|s| {
        for without_bus_mastering in [false, true] {
            let mut admin = s.enable(4, 4);
            if without_bus_mastering {
                s.ports.set("bus_master_enable", 0);
            } else {
                s.host.faults.failing_reads.push(admin.sq..admin.sq + 256);
            }
            s.submit(&mut admin, &entry(0x06, 1, 0, 1, [0, 0]));
            s.ring(&admin);
            s.wait_event(&port::function_events::HOST_ERROR);
            s.firmware_write(&port::STATUS_SET, 3);
            assert_eq!(s.mmio_read(regs::CSTS.offset), 3, "CSTS.CFS");
            s.run(200);
            assert!(s.peek_completion(&admin).is_none());
            s.disable();
            s.host.faults.clear();
            s.ports.set("bus_master_enable", 1);
        }
        // A completion that cannot be written is as fatal.
        let mut admin = s.enable(4, 4);
        s.host.faults.failing_writes.push(admin.cq..admin.cq + 64);
        s.submit(&mut admin, &entry(0x06, 1, 0, 1, [0, 0]));
        s.ring(&admin);
        s.firmware_pops();
        s.firmware_posts(0, 1, 0, 0);
        s.wait_event(&port::function_events::HOST_ERROR);
        assert_eq!(s.firmware_read(&port::HOST_WRITE_ERRORS.low), 1);
        s.disable();
        s.host.faults.clear();
        one_good_command(s);
    });
}

/// The controller works: a life with one command.
fn one_good_command(s: &mut System) {
    s.enable(4, 4);
    s.attach(100);
    let mut pair = s.create_io_pair(1, 4, 4);
    let buffer = s.host.alloc_guarded(4096, 4096);
    s.submit(&mut pair, &entry(io::READ, 0x99, 1, 1, [buffer, 0]));
    s.ring(&pair);
    let completion = s.completion(&mut pair);
    assert_eq!((completion.cid.get(), completion.status_field(), completion.sqhd.get()), (0x99, 0, 1));
    s.disable();
}

/// "All commands are aborted, nothing is accessed after CSTS.RDY is 0": whatever is going on, a life ends.
#[test]
fn a_life_ends_in_any_clock() {
    let seed = Seed::from_env_or(0x11FE);
    for config in [Config::SMALL, Config::DEFAULT] {
        for round in 0..12 {
            let mut rng = seed.rng(&format!("round {round}"));
            let timing = BusTiming::adverse(rng.next_u64());
            let mut system = System::new(config, timing, seed);
            for _ in 0..3 {
                busy_life(&mut system, &mut rng);
                let beats = system.bus.beats();
                system.run(300);
                assert_eq!(system.bus.beats(), beats, "host memory after the end of a life; {}", seed.replay());
            }
            system.host.faults.clear();
            one_good_command(&mut system);
        }
    }
}

/// Commands of all kinds, errors of host memory, a host that never frees completions and a firmware that does things by halves; then the end.
fn busy_life(s: &mut System, rng: &mut Rng) {
    let ends_early = rng.percent(10);
    if ends_early {
        s.mmio_write(regs::CC.offset, CC_ENABLED);
        s.run(rng.below(60) as u32);
        s.mmio_write(regs::CC.offset, 0);
        s.wait_event(&port::function_events::DISABLED);
        s.firmware_write(&port::CONTROL, 1);
        return;
    }
    s.host.faults.clear();
    let mut pairs = vec![s.enable(2 + rng.below(7) as u16, 2 + rng.below(7) as u16)];
    s.attach(1000);
    for number in 1..=2 {
        let pair = s.create_io_pair(number, 2 + rng.below(31) as u16, 2 + rng.below(31) as u16);
        pairs.push(pair);
    }
    let buffer = s.host.alloc(65536, 4096);
    let list = s.host.alloc(4096, 4096);
    for page in 1..16u64 {
        s.host.store(list + 8 * (page - 1), &(buffer + 4096 * page).to_le_bytes());
    }
    if rng.percent(50) {
        s.host.faults.read_chance = Chance::of(1, 20);
        s.host.faults.write_chance = Chance::of(1, 50);
    }
    let sector = u64::from(s.config.lba_bytes);
    for pair in &mut pairs {
        for cid in 0..rng.below(u64::from(pair.sq_entries)) as u16 {
            let opcode = *rng.pick(&[io::READ, io::WRITE, io::READ, io::WRITE, io::FLUSH, 0x09, 0x06]);
            let bytes = *rng.pick(&[512, 4096, 8192, 40960]);
            let blocks = (bytes / sector).max(1) as u32;
            let lba = rng.below(900);
            let offset = 4 * rng.below(3);
            let prp2 = if bytes > 4096 { list } else { buffer + 4096 };
            s.submit(pair, &entry(opcode, cid, lba, blocks, [buffer + offset, prp2]));
        }
    }
    for pair in &pairs {
        s.ring(pair);
        s.run(rng.below(30) as u32);
    }
    for _ in 0..rng.below(4) {
        s.run(rng.below(200) as u32);
        match rng.below(4) {
            0 => s.firmware_write(&port::INBOX_POP, 1),
            1 => s.firmware_write(&port::COMPLETION_POST, 0),
            2 => {
                s.firmware_write(&port::TRANSFER_PRP1_LOW, buffer as u32);
                s.firmware_write(&port::TRANSFER_PRP1_HIGH, (buffer >> 32) as u32);
                s.firmware_write(&port::TRANSFER_LENGTH, 512);
                s.firmware_write(&port::TRANSFER_START, rng.below(2) as u32);
            }
            _ => {
                let command = port::queue_command::SLOT.set(port::queue_operation::STOP_SQ.into(), s.slot(1).into());
                s.firmware_write(&port::QUEUE_COMMAND, command as u32);
            }
        }
    }
    s.run(rng.below(400) as u32);
    if rng.bool() {
        s.mmio_write(regs::CC.offset, CC_ENABLED & !1);
    } else {
        s.ports.set("function_level_reset", 1);
        s.run(1);
        s.ports.set("function_level_reset", 0);
    }
    if rng.percent(30) {
        // The host does not wait for CSTS.RDY. The next life is enabled right away.
        s.mmio_write(regs::CC.offset, CC_ENABLED);
        s.wait_event(&port::function_events::DISABLED);
        s.firmware_write(&port::CONTROL, 1);
        s.wait_event(&port::function_events::ENABLE);
        s.disable();
        return;
    }
    s.finish_life();
}

/// The rate of small reads with a distant host: bounded by how many fetches and commands are in flight.
#[test]
fn small_reads_are_fast() {
    let mut system = System::new(Config::DEFAULT, BusTiming::with_latency(200), Seed(1));
    let s = &mut system;
    s.storage.stall_percent = 0;
    s.enable(4, 4);
    s.attach(1000);
    let buffer = s.host.alloc_guarded(4096, 4096);
    let mut pairs: Vec<_> = (1..=8).map(|number| s.create_io_pair(number, 33, 33)).collect();
    for pair in &mut pairs {
        for cid in 0..32 {
            s.submit(pair, &entry(io::READ, cid, cid.into(), 1, [buffer, 0]));
        }
    }
    let start = s.clocks;
    pairs.iter().for_each(|pair| s.ring(pair));
    for pair in &mut pairs {
        (0..32).for_each(|_| assert_eq!(s.completion(pair).status_field(), 0));
    }
    let clocks = (s.clocks - start) / (32 * 8);
    assert!(clocks <= 20, "{clocks} clocks for a read of 512 bytes");
}
