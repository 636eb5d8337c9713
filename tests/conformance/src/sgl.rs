//! NVMe Base, "Scatter Gather List (SGL)". What is right and wrong is in `nvme_spec::sgl`.

use nvme_spec::identify::sgls;
use nvme_spec::opcode::io;
use nvme_spec::sgl::{
    BIT_BUCKET, DATA_BLOCK, DESCRIPTOR_BYTES, EMPTY_DESCRIPTORS_MAX, LAST_SEGMENT, PSDT_SGL, SEGMENT,
};
use nvme_spec::{SglDescriptor, SqEntry, Status};
use sim_device::Random;
use sim_host::{with_sgl, Buffer, Identity, IoTransfer};

use crate::expect::{assert_io, assert_works, bring_up, data, rounds, transfer, Host};
use crate::{every_back_end, seed};

/// An address where the host has no memory.
const NOWHERE: u64 = 7 << 48;

fn request(identity: &Identity, lba: u64, bytes: usize, write: bool) -> SqEntry {
    let blocks = bytes as u32 / identity.lba_bytes;
    IoTransfer { write, nsid: identity.nsid, lba, blocks }.entry([0, 0])
}

/// Puts a segment into host memory.
fn segment(host: &mut Host<'_>, descriptors: &[SglDescriptor]) -> u64 {
    let halves: Vec<u8> = descriptors.iter().flat_map(|d| d.halves()).flat_map(u64::to_le_bytes).collect();
    let address = host.host().alloc_guarded(halves.len() as u64, DESCRIPTOR_BYTES.into());
    host.host().store(address, &halves);
    address
}

/// "SGL Data Block descriptor": pieces at any dword, that end with logical blocks or inside of them, in segments of any length.
///
/// Cases: F1, F2.
#[test]
fn data_blocks_lie_anywhere() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let (host, identity) = (&mut running.host, running.identity);
        assert_eq!(identity.controller.sgls.get() & 3, sgls::DWORDS);
        let mut random = Random::new(seed());
        for round in 0..rounds(host, 200, 30) {
            let count_max = *random.pick(&[1, 4, 20]);
            let count = random.between(1, count_max);
            let lba_bytes = identity.lba_bytes as usize;
            let unit = *random.pick(&[lba_bytes, lba_bytes, 4, 36]);
            let mut pieces: Vec<(u64, usize)> = (0..count)
                .map(|_| (4 * random.below(1024), unit * random.between(1, 12 * (lba_bytes / unit) as u64) as usize))
                .collect();
            // The last one fills up its logical block.
            let bytes: usize = pieces.iter().map(|piece| piece.1).sum();
            pieces.push((0, bytes.next_multiple_of(lba_bytes) - bytes));
            pieces.retain(|piece| piece.1 > 0);
            let content = data(random.next_u64(), bytes.next_multiple_of(lba_bytes));
            for write in [true, false] {
                let mut buffer = Buffer::of_pieces(host.host(), &pieces);
                buffer.store(host.host(), if write { &content } else { &[] });
                let first = buffer.sgl(host.host(), random.between(2, 6) as usize, 8 * random.below(512));
                let entry = with_sgl(request(&identity, 40, content.len(), write), first);
                let writable = if write { &[] } else { buffer.segments() };
                assert_io(host, entry, writable, &[Status::SUCCESS], &format!("round {round}: {pieces:x?}"));
                if write {
                    // The same data compared, by the same SGL.
                    let compare = SqEntry { opcode: io::COMPARE, ..entry };
                    assert_io(host, compare, &[], &[Status::SUCCESS], &format!("round {round}: {pieces:x?}, compared"));
                }
                assert!(write || buffer.load(host.host()) == content, "round {round}: {pieces:x?}");
                buffer.free(host.host());
            }
        }
        Ok(())
    });
}

/// "SGL Support": an SGL may be longer than the data; what lies behind is not looked at.
///
/// Cases: F4.
#[test]
fn an_sgl_may_be_longer_than_the_data() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let (host, identity) = (&mut running.host, running.identity);
        assert_ne!(identity.controller.sgls.get() & sgls::LONGER_THAN_DATA, 0);
        let content = data(seed(), identity.lba_bytes as usize);
        host.write(&identity, 3, &content)?;
        let buffer = Buffer::contiguous(host.host(), 0, content.len());
        let at = buffer.segments()[0].start;
        let block = |length| SglDescriptor::new(DATA_BLOCK, at, length);
        let wrong = SglDescriptor::new(BIT_BUCKET, 1, 1);
        let list = segment(host, &[block(0), block(identity.lba_bytes), wrong, wrong, wrong]);
        for first in [block(1 << 20), SglDescriptor::new(LAST_SEGMENT, list, 5 * DESCRIPTOR_BYTES)] {
            buffer.store(host.host(), &vec![0; content.len()]);
            let entry = with_sgl(request(&identity, 3, content.len(), false), first);
            assert_io(host, entry, buffer.segments(), &[Status::SUCCESS], &format!("{first:x?}"));
            assert_eq!(buffer.load(host.host()), content);
        }
        Ok(())
    });
}

/// The table of `nvme_spec::sgl`, from the descriptions of the status codes and of the descriptors.
///
/// Cases: F2, F3, F5, F6, F7, F8.
#[test]
fn each_mistake_has_its_status() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let (host, identity) = (&mut running.host, running.identity);
        let bytes = 2 * identity.lba_bytes;
        let buffer = Buffer::contiguous(host.host(), 0, bytes as usize);
        let at = buffer.segments()[0].start;
        let block = |length| SglDescriptor::new(DATA_BLOCK, at, length);
        let (half, whole) = (block(bytes / 2), block(bytes));
        let lists = [[half, half], [half, whole], [whole, whole]].map(|list| segment(host, &list));
        let link =
            |identifier, list, descriptors: u32| SglDescriptor::new(identifier, list, descriptors * DESCRIPTOR_BYTES);
        let last_in_last = segment(host, &[half, link(LAST_SEGMENT, lists[0], 2)]);
        let link_in_front = segment(host, &[link(LAST_SEGMENT, lists[0], 2), half]);
        let odd = |length| SglDescriptor::new(LAST_SEGMENT, lists[0], length);
        let cases = [
            (SglDescriptor::new(BIT_BUCKET, 0, bytes), Status::INVALID_SGL_TYPE),
            (SglDescriptor::new(0x01, at, bytes), Status::INVALID_SGL_TYPE),
            (SglDescriptor::new(0x40, at, bytes), Status::INVALID_SGL_TYPE),
            (SglDescriptor::new(0xF0, at, bytes), Status::INVALID_SGL_TYPE),
            (SglDescriptor::new(DATA_BLOCK, at + 2, bytes), Status::INVALID_SGL_GRANULARITY),
            (block(bytes + 1), Status::INVALID_SGL_GRANULARITY),
            (half, Status::INVALID_SGL_LENGTH),
            (block(bytes - 4), Status::INVALID_SGL_LENGTH),
            (link(LAST_SEGMENT, lists[0], 1), Status::INVALID_SGL_LENGTH),
            (link(SEGMENT, lists[0], 1), Status::INVALID_SGL_SEGMENT),
            (odd(0), Status::INVALID_SGL_SEGMENT),
            (odd(DESCRIPTOR_BYTES + 8), Status::INVALID_SGL_SEGMENT),
            (SglDescriptor::new(SEGMENT, lists[0] + 4, 2 * DESCRIPTOR_BYTES), Status::INVALID_SGL_SEGMENT),
            (link(LAST_SEGMENT, last_in_last, 2), Status::INVALID_SGL_SEGMENT),
            (link(SEGMENT, link_in_front, 2), Status::INVALID_SGL_NUMBER),
        ];
        for (first, status) in cases {
            for write in [false, true] {
                let entry = with_sgl(request(&identity, 7, bytes as usize, write), first);
                let writable = if write { &[] } else { buffer.segments() };
                assert_io(host, entry, writable, &[status], &format!("{first:x?}, write {write}"));
            }
        }
        assert_works(host)
    });
}

/// A segment that leads to itself, and one of too many empty data blocks.
///
/// Cases: F9.
#[test]
fn sgls_that_point_to_themselves_end() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let (host, identity) = (&mut running.host, running.identity);
        let bytes = identity.lba_bytes as usize;
        let list = segment(host, &[SglDescriptor::new(DATA_BLOCK, 0, 0); 2]);
        let itself = SglDescriptor::new(SEGMENT, list, 2 * DESCRIPTOR_BYTES);
        for (at, half) in (list + u64::from(DESCRIPTOR_BYTES)..).step_by(8).zip(itself.halves()) {
            host.host().store(at, &half.to_le_bytes());
        }
        let empties = vec![SglDescriptor::new(DATA_BLOCK, 0, 0); EMPTY_DESCRIPTORS_MAX as usize];
        let many = segment(host, &empties);
        let many = SglDescriptor::new(LAST_SEGMENT, many, EMPTY_DESCRIPTORS_MAX * DESCRIPTOR_BYTES);
        for first in [itself, many] {
            let entry = with_sgl(request(&identity, 0, bytes, true), first);
            assert_io(host, entry, &[], &[Status::INVALID_SGL_NUMBER], &format!("{first:x?}"));
        }
        assert_works(host)
    });
}

/// "Data Transfer Error": a segment, or the second one, is where no memory is.
///
/// Cases: X3.
#[test]
fn segments_that_cannot_be_read_end_the_command() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let (host, identity) = (&mut running.host, running.identity);
        let nowhere = SglDescriptor::new(LAST_SEGMENT, NOWHERE, 64 * DESCRIPTOR_BYTES);
        let list = segment(host, &[nowhere]);
        for first in [nowhere, SglDescriptor::new(SEGMENT, list, DESCRIPTOR_BYTES)] {
            let entry = with_sgl(request(&identity, 0, identity.lba_bytes as usize, false), first);
            assert_io(host, entry, &[], &[Status::DATA_TRANSFER_ERROR], &format!("{first:x?}"));
        }
        assert_works(host)
    });
}

/// "PRP or SGL for Data Transfer": 10b is for metadata described by an SGL, which SGLS excludes; 11b is reserved.
///
/// Cases: B12.
#[test]
fn other_values_of_psdt_are_refused() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let (host, identity) = (&mut running.host, running.identity);
        for psdt in PSDT_SGL + 1..=3 {
            for opcode in [io::WRITE, io::READ] {
                let (entry, buffer) = transfer(host, &identity, 0, 1, false);
                let entry = SqEntry { opcode, flags: psdt << 6, ..entry };
                let what = format!("PSDT {psdt}, opcode {opcode:#04x}");
                assert_io(host, entry, &[], &[Status::INVALID_FIELD], &what);
                buffer.free(host.host());
            }
        }
        assert_works(host)
    });
}
