//! NVM Command Set, "Dataset Management command".

use nvme_spec::dataset::DatasetRange;
use nvme_spec::feature::{fid, write_protection};
use nvme_spec::identify::{oncs, DLFEAT_READS_ZERO, DLFEAT_WRITE_ZEROES_DEALLOCATES};
use nvme_spec::opcode::io;
use nvme_spec::{SqEntry, Status};
use sim_device::Random;
use sim_host::{cdw, wire_prps, Buffer, DriverError, Identity, ListPlacement};
use zerocopy::IntoBytes;

use crate::expect::{assert_ends, assert_io, bring_up, data, rounds, set_features, Host};
use crate::{every_back_end, seed};

/// An address where the host has no memory.
const NOWHERE: u64 = 0x5_0000_0000;

/// Command dword 11: Attribute - Deallocate, and the two hints beside it.
const DEALLOCATE: u32 = 1 << 2;
const HINTS: u32 = 0b11;

/// Most ranges of a command.
const RANGES_MAX: u64 = 256;

fn is_there(identity: &Identity) -> bool {
    identity.controller.oncs.get() & oncs::DATASET_MANAGEMENT != 0
}

fn entry(nsid: u32, attributes: u32, ranges: usize) -> SqEntry {
    SqEntry {
        opcode: io::DATASET_MANAGEMENT,
        nsid: nsid.into(),
        cdw10: cdw([ranges as u32 - 1, attributes, 0, 0, 0, 0]),
        ..SqEntry::default()
    }
}

/// Executes the command with these ranges of first block and length, from pages that are not adjacent.
fn manage(host: &mut Host<'_>, nsid: u32, attributes: u32, ranges: &[(u64, u32)]) -> Result<Status, DriverError> {
    let wire = ranges.iter().flat_map(|(lba, blocks)| {
        let range = DatasetRange { attributes: 0xFFFF_FFFF.into(), blocks: (*blocks).into(), lba: (*lba).into() };
        range.as_bytes().to_vec()
    });
    let wire: Vec<u8> = wire.collect();
    let mut buffer = Buffer::scattered(host.host(), 64, wire.len());
    buffer.store(host.host(), &wire);
    let prp = buffer.prps(host.host(), ListPlacement::PAGE_START);
    let entry = SqEntry { prp: wire_prps(prp), ..entry(nsid, attributes, ranges.len()) };
    let completion = host.execute(1, entry, &[])?;
    buffer.free(host.host());
    Ok(completion.status.code())
}

/// "Optional NVM Command Support": without the capability the command is refused.
///
/// Cases: N14.
#[test]
fn dataset_management_is_there_exactly_if_announced() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let allowed = if is_there(&identity) { Status::SUCCESS } else { Status::INVALID_OPCODE };
        assert_eq!(manage(&mut running.host, identity.nsid, HINTS, &[(0, 1)])?, allowed);
        if is_there(&identity) {
            let dlfeat = DLFEAT_READS_ZERO | DLFEAT_WRITE_ZEROES_DEALLOCATES;
            assert_eq!(identity.namespace.dlfeat & 0xF, dlfeat, "deallocated blocks read as zero, those of DEAC too");
        }
        Ok(())
    });
}

/// "Deallocate": exactly the blocks of the ranges read as zero, whatever their order, length and overlap; hints change nothing.
///
/// Cases: K12, K15.
#[test]
fn deallocated_blocks_read_as_zero_and_no_others_change() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        let block = identity.lba_bytes as usize;
        let blocks = 300.min(identity.blocks) as usize;
        let first = identity.blocks - blocks as u64;
        let mut expected = data(seed(), blocks * block);
        running.host.write(&identity, first, &expected)?;
        let mut random = Random::new(seed());
        let repeats = rounds(&mut running.host, 20, 3);
        for round in 0..repeats {
            let count = match round {
                0 => RANGES_MAX,
                1 => 1,
                _ => 1 + random.below(RANGES_MAX),
            };
            let ranges: Vec<(u64, u32)> = (0..count)
                .map(|_| {
                    let start = random.below(blocks as u64);
                    let longest = (blocks as u64 - start).min(5);
                    (start, random.below(longest + 1) as u32)
                })
                .collect();
            let named: Vec<_> = ranges.iter().map(|(start, length)| (first + start, *length)).collect();
            assert_eq!(manage(&mut running.host, identity.nsid, HINTS, &named)?, Status::SUCCESS);
            let mut back = vec![0; expected.len()];
            running.host.read(&identity, first, &mut back)?;
            assert!(back == expected, "hints in round {round}");
            assert_eq!(manage(&mut running.host, identity.nsid, DEALLOCATE | HINTS, &named)?, Status::SUCCESS);
            for (start, length) in ranges {
                expected[start as usize * block..][..length as usize * block].fill(0);
            }
            running.host.read(&identity, first, &mut back)?;
            assert!(back == expected, "round {round}");
            // Blocks that were deallocated are written as others are.
            let at = random.below(blocks as u64) as usize;
            let again = data(seed() + u64::from(round), block);
            running.host.write(&identity, first + at as u64, &again)?;
            expected[at * block..][..block].copy_from_slice(&again);
        }
        Ok(())
    });
}

/// A range that the namespace does not have, or any other mistake, and nothing is done for any range.
///
/// Cases: K13, N13.
#[test]
fn nothing_is_deallocated_by_a_command_that_is_refused() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        if !is_there(&identity) {
            return Ok(());
        }
        let (nsid, end) = (identity.nsid, identity.blocks);
        let pattern = data(seed(), 8 * identity.lba_bytes as usize);
        running.host.write(&identity, 0, &pattern)?;
        for wrong in [(end, 1), (end - 1, 2), (u64::MAX, 1), (u64::MAX - 1, u32::MAX)] {
            for ranges in [vec![wrong], vec![(0, 4), wrong, (4, 4)], vec![(0, 4), (4, 4), wrong]] {
                let status = manage(&mut running.host, nsid, DEALLOCATE, &ranges)?;
                assert_eq!(status, Status::LBA_OUT_OF_RANGE, "{ranges:x?}");
            }
        }
        assert_eq!(manage(&mut running.host, nsid, DEALLOCATE, &[(u64::MAX, 0)])?, Status::SUCCESS, "no block");
        assert_eq!(manage(&mut running.host, nsid, HINTS, &[(end, 1)])?, Status::SUCCESS, "a hint");
        for nsid in [0, 0xFFFF_FFFE, 0xFFFF_FFFF] {
            assert_eq!(manage(&mut running.host, nsid, DEALLOCATE, &[(0, 8)])?, Status::INVALID_NAMESPACE, "{nsid:#x}");
        }
        let misplaced = SqEntry { prp: wire_prps([NOWHERE + 1, 0]), ..entry(nsid, DEALLOCATE, 1) };
        assert_io(&mut running.host, misplaced, &[], &[Status::INVALID_PRP_OFFSET], "PRP1 of one byte");
        let fused = SqEntry { flags: 1, ..entry(nsid, DEALLOCATE, 1) };
        assert_io(&mut running.host, fused, &[], &[Status::INVALID_FIELD], "fused");
        let protect =
            SqEntry { nsid: nsid.into(), ..set_features(fid::NAMESPACE_WRITE_PROTECTION, write_protection::PROTECT) };
        let protected = running.host.execute(0, protect, &[])?;
        assert_ends(&protected, &[Status::SUCCESS], "write protection");
        let status = manage(&mut running.host, nsid, DEALLOCATE, &[(0, 8)])?;
        assert_eq!(status, Status::NAMESPACE_WRITE_PROTECTED);
        let mut back = vec![0; pattern.len()];
        running.host.read(&identity, 0, &mut back)?;
        assert_eq!(back, pattern);
        Ok(())
    });
}
