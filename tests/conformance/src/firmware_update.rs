//! NVMe Base, "Firmware Image Download command" and "Firmware Commit command".

use nvme_spec::identify::oacs;
use nvme_spec::image::ImageHeader;
use nvme_spec::log::{lid, FirmwareSlotLog};
use nvme_spec::opcode::admin;
use nvme_spec::regs::{csts, NSSR, SUBSYSTEM_RESET};
use nvme_spec::{SqEntry, Status};
use sim_device::Random;
use sim_host::{cdw, DriverError};
use zerocopy::IntoBytes;

use crate::expect::{admin_with_data, assert_admin, assert_ends, get_log_page, start, wire, Host};
use crate::{every_back_end, seed};

fn part(host: &mut Host<'_>, offset: usize, data: &[u8]) -> Result<Status, DriverError> {
    let entry = SqEntry {
        opcode: admin::FIRMWARE_IMAGE_DOWNLOAD,
        cdw10: cdw([data.len() as u32 / 4 - 1, offset as u32 / 4, 0, 0, 0, 0]),
        ..SqEntry::default()
    };
    Ok(admin_with_data(host, entry, data)?.status.code())
}

fn commit_entry(slot: u32, action: u32) -> SqEntry {
    SqEntry { opcode: admin::FIRMWARE_COMMIT, cdw10: cdw([action << 3 | slot, 0, 0, 0, 0, 0]), ..SqEntry::default() }
}

fn commit(host: &mut Host<'_>, slot: u32, action: u32, status: Status) {
    assert_admin(host, commit_entry(slot, action), &[status], &format!("slot {slot}, action {action}"));
}

fn download(host: &mut Host<'_>, image: &[u8]) -> Result<(), DriverError> {
    for (number, data) in image.chunks(2048).enumerate() {
        assert_eq!(part(host, number * 2048, data)?, Status::SUCCESS);
    }
    Ok(())
}

fn slots(host: &mut Host<'_>) -> Result<FirmwareSlotLog, DriverError> {
    let (completion, data) = host.admin_data(get_log_page(lid::FIRMWARE_SLOT, 512, 0, false), 512)?;
    assert_ends(&completion, &[Status::SUCCESS], "Firmware Slot Information");
    Ok(wire(&data))
}

fn image(revision: &[u8; 8], bytes: usize) -> Vec<u8> {
    let payload = crate::expect::data(bytes as u64, bytes);
    let header = ImageHeader::new(*revision, &payload);
    [header.as_bytes(), &payload].concat()
}

/// "Firmware Commit command": stored, activated by the next reset, and at once; Identify and the log page agree.
#[test]
fn committed_image_is_activated_as_the_action_says() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let controller = host.identity()?.controller;
        if controller.oacs.get() & oacs::FIRMWARE == 0 {
            assert_admin(&mut host, commit_entry(1, 2), &[Status::INVALID_OPCODE], "Firmware Commit");
            return Ok(());
        }
        let slot = u32::from(controller.frmw >> 1 & 7);
        assert!(slot >= 2, "a slot that can be written");
        download(&mut host, &image(b"7.0.1   ", 5000))?;
        commit(&mut host, slot, 1, Status::SUCCESS);
        let log = slots(&mut host)?;
        assert_eq!((log.frs[slot as usize - 1], log.afi >> 4 & 7), (*b"7.0.1   ", slot as u8));
        assert_eq!(host.identity()?.controller.fr, controller.fr, "not yet");
        host.disable()?;
        host.enable()?;
        assert_eq!(host.identity()?.controller.fr, *b"7.0.1   ");
        assert_eq!(slots(&mut host)?.afi, slot as u8);
        // FRMW, bit 4: activation without a reset.
        if controller.frmw >> 4 & 1 == 1 {
            commit(&mut host, 1, 3, Status::SUCCESS);
            assert_eq!((host.identity()?.controller.fr, slots(&mut host)?.afi), (controller.fr, 1));
        }
        Ok(())
    });
}

/// "Firmware Commit command": bad images, slots and actions change nothing.
///
/// Cases: N12.
#[test]
fn bad_images_and_slots_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let controller = host.identity()?.controller;
        if controller.oacs.get() & oacs::FIRMWARE == 0 {
            return Ok(());
        }
        let last = u32::from(controller.frmw >> 1 & 7);
        let before = slots(&mut host)?;
        let good = image(b"8       ", 256);
        commit(&mut host, last, 0, Status::INVALID_FIRMWARE_IMAGE);
        for at in [0, 9, 20, 40, 63, 64, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            download(&mut host, &bad)?;
            commit(&mut host, last, 0, Status::INVALID_FIRMWARE_IMAGE);
            // A bad image is not a missing one: the old image of the slot is not activated in its place.
            if controller.frmw >> 4 & 1 == 1 {
                commit(&mut host, last, 3, Status::INVALID_FIRMWARE_IMAGE);
            }
        }
        assert_eq!(part(&mut host, 0, &good[..128])?, Status::SUCCESS);
        assert_eq!(part(&mut host, 64, &good[64..128])?, Status::OVERLAPPING_RANGE);
        assert_eq!(part(&mut host, 128, &good[128..])?, Status::SUCCESS);
        if controller.frmw & 1 == 1 {
            commit(&mut host, 1, 0, Status::INVALID_FIRMWARE_SLOT);
        }
        if last < 7 {
            commit(&mut host, last + 1, 0, Status::INVALID_FIRMWARE_SLOT);
        }
        commit(&mut host, last, 2, Status::INVALID_FIRMWARE_IMAGE);
        commit(&mut host, last, 5, Status::INVALID_FIELD);
        assert_eq!(slots(&mut host)?, before);
        commit(&mut host, last, 0, Status::SUCCESS);
        Ok(())
    });
}

/// "Firmware Image Download command": parts may come in any order; those that overlap are refused, and change nothing.
///
/// Cases: N12.
#[test]
fn parts_of_an_image_come_in_any_order() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let controller = host.identity()?.controller;
        if controller.oacs.get() & oacs::FIRMWARE == 0 {
            return Ok(());
        }
        let slot = u32::from(controller.frmw >> 1 & 7);
        let mut random = Random::new(seed());
        for round in 0..4 {
            let revision = format!("8.{round}.1   ").into_bytes().try_into().expect("eight bytes");
            let image = image(&revision, 20_000);
            let mut parts = Vec::new();
            let mut start = 0;
            while start < image.len() {
                let end = image.len().min(start + 4 * (1 + random.below(512) as usize));
                parts.push(start..end);
                start = end;
            }
            for place in (1..parts.len()).rev() {
                parts.swap(place, random.below(place as u64 + 1) as usize);
            }
            for (place, range) in parts.iter().enumerate() {
                assert_eq!(part(&mut host, range.start, &image[range.clone()])?, Status::SUCCESS, "{range:?}");
                let old = &parts[random.below(place as u64 + 1) as usize];
                let at = old.start + 4 * random.below((old.len() / 4) as u64) as usize;
                let overlapping = part(&mut host, at.saturating_sub(4), &[0xA5; 8])?;
                assert_eq!(overlapping, Status::OVERLAPPING_RANGE, "at {at} of {old:?}");
            }
            commit(&mut host, slot, 0, Status::SUCCESS);
            assert_eq!(slots(&mut host)?.frs[slot as usize - 1], revision);
        }
        Ok(())
    });
}

/// "Offset 1Ch: CSTS", NSSRO: a reset of the NVM subsystem activates an image, too, and is not told then.
///
/// Cases: A19.
#[test]
fn image_is_activated_by_a_subsystem_reset_which_is_not_told() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let controller = host.identity()?.controller;
        if controller.oacs.get() & oacs::FIRMWARE == 0 {
            return Ok(());
        }
        let slot = u32::from(controller.frmw >> 1 & 7);
        for (is_new, told) in [(true, 0), (false, csts::NSSRO.mask() as u32)] {
            if is_new {
                download(&mut host, &image(b"7.0.2   ", 600))?;
                commit(&mut host, slot, 1, Status::SUCCESS);
            }
            host.write32(NSSR.offset, SUBSYSTEM_RESET);
            host.wait_until("CSTS.RDY = 0", |h| csts::RDY.get32(h.csts()) == 0)?;
            host.now_disabled();
            assert_eq!(host.csts(), told);
            host.start()?;
            assert_eq!(host.identity()?.controller.fr, *b"7.0.2   ");
        }
        Ok(())
    });
}

/// "Firmware Update Process": a Controller Level Reset discards what was downloaded and not committed.
///
/// Cases: N12.
#[test]
fn a_reset_discards_parts_of_an_image() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let controller = host.identity()?.controller;
        if controller.oacs.get() & oacs::FIRMWARE == 0 {
            return Ok(());
        }
        let slot = u32::from(controller.frmw >> 1 & 7);
        let image = image(b"9.0.0   ", 3000);
        download(&mut host, &image)?;
        host.disable()?;
        host.enable()?;
        commit(&mut host, slot, 0, Status::INVALID_FIRMWARE_IMAGE);
        download(&mut host, &image[..2048])?;
        host.disable()?;
        host.enable()?;
        download(&mut host, &image)?;
        commit(&mut host, slot, 0, Status::SUCCESS);
        Ok(())
    });
}
