//! Firmware images: N12 and J5.

use nvme_spec::firmware_port::events;
use nvme_spec::identify::IdentifyController;
use nvme_spec::image::ImageHeader;
use nvme_spec::limits::IMAGE_RANGES;
use nvme_spec::log::FirmwareSlotLog;
use nvme_spec::opcode::admin;
use nvme_spec::Status;
use zerocopy::{FromBytes, IntoBytes};

use crate::bench::{async_event_request, command, get_log_page, identify, set_features, Bench, DATA};

fn image(revision: &[u8; 8], payload: &[u8]) -> Vec<u8> {
    let header = ImageHeader::new(*revision, payload);
    [header.as_bytes(), payload].concat()
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 7) as u8).collect()
}

/// Firmware Image Download of one part.
fn part(bench: &mut Bench, offset: usize, data: &[u8]) -> Status {
    bench.port().host_data.insert(DATA, data.to_vec());
    let dwords = data.len() as u32 / 4;
    bench.admin(command(admin::FIRMWARE_IMAGE_DOWNLOAD, 0, &[dwords - 1, offset as u32 / 4])).status
}

/// A whole image in parts.
fn download(bench: &mut Bench, image: &[u8], part_bytes: usize) {
    for (number, data) in image.chunks(part_bytes).enumerate() {
        assert_eq!(part(bench, number * part_bytes, data), Status::SUCCESS);
    }
}

fn commit(bench: &mut Bench, slot: u32, action: u32) -> Status {
    bench.admin(command(admin::FIRMWARE_COMMIT, 0, &[action << 3 | slot])).status.code()
}

fn revision(bench: &mut Bench) -> [u8; 8] {
    IdentifyController::read_from_bytes(&bench.admin(identify(1, 0)).data()).unwrap().fr
}

fn slots(bench: &mut Bench) -> FirmwareSlotLog {
    FirmwareSlotLog::read_from_bytes(&bench.admin(get_log_page(3, 512)).data()).unwrap()
}

/// "Firmware Commit command", Commit Action 1: the image runs after the next controller reset.
#[test]
fn an_image_runs_after_the_reset() {
    for part_bytes in [4096, 512, 68, 4] {
        let mut bench = Bench::ready();
        let old = revision(&mut bench);
        download(&mut bench, &image(b"2.0.0   ", &payload(5000)), part_bytes);
        assert_eq!(commit(&mut bench, 2, 1), Status::SUCCESS);
        assert_eq!(revision(&mut bench), old, "not yet");
        assert_eq!((slots(&mut bench).afi, slots(&mut bench).frs[1]), (0x21, *b"2.0.0   "));
        bench.reset();
        assert_eq!(revision(&mut bench), *b"2.0.0   ");
        assert_eq!(slots(&mut bench).afi, 2);
        // Commit Action 2: back to the first slot.
        assert_eq!(commit(&mut bench, 1, 2), Status::SUCCESS);
        bench.reset();
        assert_eq!(revision(&mut bench), old);
    }
}

/// "Offset 1Ch: CSTS", NSSRO: a reset of the NVM subsystem is told by every function, but not one that activates an image.
#[test]
fn an_image_runs_after_a_reset_of_the_subsystem_which_is_not_told_then() {
    let mut bench = Bench::with(2, 0);
    bench.port().raise(events::SUBSYSTEM_RESET);
    bench.polls(1);
    assert_eq!(bench.port().nssro_cleared, 0, "nothing to activate");
    download(&mut bench, &image(b"2.0.0   ", &payload(64)), 4096);
    assert_eq!(commit(&mut bench, 2, 1), Status::SUCCESS);
    bench.port().raise(events::SUBSYSTEM_RESET);
    bench.polls(1);
    assert_eq!(bench.port().nssro_cleared, 0b11);
    assert_eq!((revision(&mut bench), slots(&mut bench).afi), (*b"2.0.0   ", 2));
    bench.port().nssro_cleared = 0;
    bench.polls(3);
    assert_eq!(bench.port().nssro_cleared, 0, "the event was cleared");
}

/// Commit Actions 0 and 3: stored, and later activated at once, which is told.
#[test]
fn an_image_runs_at_once() {
    let mut bench = Bench::ready();
    bench.admin(set_features(0xB, 1 << 9)).ok();
    let request = bench.submit(0, async_event_request());
    download(&mut bench, &image(b"3.1.4   ", &payload(64)), 4096);
    assert_eq!(commit(&mut bench, 3, 0), Status::SUCCESS);
    assert_eq!(slots(&mut bench).afi, 1);
    assert_eq!(commit(&mut bench, 3, 3), Status::SUCCESS);
    bench.polls(3);
    // Notice, Firmware Activation Starting, log page 3.
    assert_eq!(bench.completions_of(0, request)[0].result, 0x0003_0102);
    assert_eq!((revision(&mut bench), slots(&mut bench).afi), (*b"3.1.4   ", 3));
    // Slot 0: the controller chooses, and not the slot that runs.
    download(&mut bench, &image(b"4       ", &payload(8)), 4096);
    assert_eq!(commit(&mut bench, 0, 0), Status::SUCCESS);
    assert_eq!(slots(&mut bench).frs[1], *b"4       ");
}

/// N12: each mistake and its status, and nothing changes.
#[test]
fn bad_images_are_refused() {
    let mut bench = Bench::ready();
    // There is an image in the slot that must not run because another one is bad.
    download(&mut bench, &image(b"5       ", &payload(40)), 4096);
    assert_eq!(commit(&mut bench, 3, 0), Status::SUCCESS);
    let old_slots = slots(&mut bench);
    let good = image(b"9       ", &payload(400));
    for action in [0, 1, 3] {
        assert_eq!(commit(&mut bench, 2, action), Status::INVALID_FIRMWARE_IMAGE, "nothing was downloaded");
    }
    // Every byte counts, but those of the image's revision, which the header's checksum covers, too.
    for at in (0..good.len()).step_by(13) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        download(&mut bench, &bad, 4096);
        assert_eq!(commit(&mut bench, 2, 0), Status::INVALID_FIRMWARE_IMAGE, "byte {at}");
        assert_eq!(commit(&mut bench, 3, 3), Status::INVALID_FIRMWARE_IMAGE, "byte {at}: not the old image instead");
    }
    download(&mut bench, &good[..good.len() - 4], 4096);
    assert_eq!(commit(&mut bench, 2, 0), Status::INVALID_FIRMWARE_IMAGE, "too short");
    download(&mut bench, &[&good[..], &[0; 4]].concat(), 4096);
    assert_eq!(commit(&mut bench, 2, 0), Status::INVALID_FIRMWARE_IMAGE, "too long");
    // With a hole.
    assert_eq!(part(&mut bench, 0, &good[..128]), Status::SUCCESS);
    assert_eq!(part(&mut bench, 132, &good[132..]), Status::SUCCESS);
    assert_eq!(commit(&mut bench, 2, 0), Status::INVALID_FIRMWARE_IMAGE);
    download(&mut bench, &good, 4096);
    assert_eq!(commit(&mut bench, 1, 0), Status::INVALID_FIRMWARE_SLOT, "read only");
    assert_eq!(commit(&mut bench, 4, 0), Status::INVALID_FIRMWARE_SLOT);
    assert_eq!(commit(&mut bench, 7, 2), Status::INVALID_FIRMWARE_SLOT);
    assert_eq!(commit(&mut bench, 2, 2), Status::INVALID_FIRMWARE_IMAGE, "the slot is empty");
    for action in 4..8 {
        assert_eq!(commit(&mut bench, 2, action), Status::INVALID_FIELD);
    }
    assert_eq!(slots(&mut bench), old_slots);
    assert_eq!(commit(&mut bench, 2, 0), Status::SUCCESS, "the good image is still there");
    // More than the data buffer.
    bench.refused(command(admin::FIRMWARE_IMAGE_DOWNLOAD, 0, &[1024, 0]), Status::INVALID_FIELD);
    bench.refused(command(admin::FIRMWARE_IMAGE_DOWNLOAD, 0, &[0xFFFF_FFFF, 0]), Status::INVALID_FIELD);
}

/// N12: "Firmware Image Download command": parts come in any order.
#[test]
fn parts_come_in_any_order() {
    let good = image(b"6.0.0   ", &payload(1200));
    for (seed, part_bytes) in (1..=20).zip([4, 60, 64, 68, 400].into_iter().cycle()) {
        let mut bench = Bench::ready();
        let mut parts: Vec<_> = good.chunks(part_bytes).enumerate().collect();
        // A shuffle.
        parts.sort_by_key(|(number, _)| (*number as u32 ^ seed).wrapping_mul(0x9E37_79B1) >> 8);
        for (number, data) in &parts {
            assert_eq!(part(&mut bench, number * part_bytes, data), Status::SUCCESS);
        }
        assert_eq!(commit(&mut bench, 2, 0), Status::SUCCESS, "parts of {part_bytes} bytes, seed {seed}");
        assert_eq!(slots(&mut bench).frs[1], *b"6.0.0   ");
        // The same with a wrong byte.
        for (number, data) in &parts {
            let mut data = data.to_vec();
            data[0] ^= u8::from(*number == parts.len() / 2);
            assert_eq!(part(&mut bench, number * part_bytes, &data), Status::SUCCESS);
        }
        assert_eq!(commit(&mut bench, 3, 0), Status::INVALID_FIRMWARE_IMAGE);
    }
}

/// N12: what overlaps is refused, and changes nothing.
#[test]
fn parts_do_not_overlap() {
    let mut bench = Bench::ready();
    let good = image(b"6.1.0   ", &payload(960));
    assert_eq!(part(&mut bench, 256, &good[256..512]), Status::SUCCESS);
    for (start, end) in [(256, 512), (252, 260), (508, 516), (0, 1024), (300, 304)] {
        assert_eq!(part(&mut bench, start, &vec![0; end - start]).code(), Status::OVERLAPPING_RANGE, "{start}..{end}");
    }
    assert_eq!(part(&mut bench, 512, &good[512..]), Status::SUCCESS);
    assert_eq!(part(&mut bench, 0, &good[..256]), Status::SUCCESS);
    assert_eq!(part(&mut bench, 0, &good[..256]).code(), Status::OVERLAPPING_RANGE);
    assert_eq!(commit(&mut bench, 2, 0), Status::SUCCESS);
    bench.refused(command(admin::FIRMWARE_IMAGE_DOWNLOAD, 0, &[1, (16 << 20) / 4 - 1]), Status::INVALID_FIELD);
    bench.admin(command(admin::FIRMWARE_IMAGE_DOWNLOAD, 0, &[0, (16 << 20) / 4 - 1])).ok();
}

/// "Firmware Update Process": a reset discards what was downloaded; that of another function does not.
#[test]
fn a_reset_discards_what_was_downloaded() {
    let mut bench = Bench::with(2, 0);
    let good = image(b"6.2.0   ", &payload(64));
    download(&mut bench, &good, 64);
    bench.reset();
    assert_eq!(commit(&mut bench, 2, 0), Status::INVALID_FIRMWARE_IMAGE);
    download(&mut bench, &good, 64);
    bench.port().host_of_writes_cc(1, 0);
    bench.polls(2);
    bench.enable_function(1);
    assert_eq!(commit(&mut bench, 2, 0), Status::SUCCESS);
}

/// Parts that do not meet are bounded in number; those that meet others still come.
#[test]
fn too_many_holes_are_refused() {
    let mut bench = Bench::ready();
    let good = image(b"6.3.0   ", &payload(4 * 2 * (IMAGE_RANGES as usize + 1)));
    let words: Vec<_> = good.chunks(4).enumerate().collect();
    let (even, odd): (Vec<_>, Vec<_>) = words.iter().partition(|(number, _)| number % 2 == 0);
    let (kept, surplus) = even.split_at(IMAGE_RANGES as usize);
    for (number, data) in kept {
        assert_eq!(part(&mut bench, 4 * number, data), Status::SUCCESS);
    }
    assert_eq!(part(&mut bench, 4 * surplus[0].0, surplus[0].1).code(), Status::INTERNAL_ERROR);
    for (number, data) in odd.iter().take(IMAGE_RANGES as usize).chain(surplus).chain(&odd[IMAGE_RANGES as usize..]) {
        assert_eq!(part(&mut bench, 4 * number, data), Status::SUCCESS);
    }
    assert_eq!(commit(&mut bench, 2, 0), Status::SUCCESS);
}
