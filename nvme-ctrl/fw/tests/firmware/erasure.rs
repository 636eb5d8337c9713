//! Commands that erase: Format with User Data Erase, creation of a namespace, Dataset Management. Groups K12 to K15, N1 and N5.

use nvme_fw::Config;
use nvme_spec::dataset::DatasetRange;
use nvme_spec::firmware_port::capabilities::{NAMESPACE_BASE, NAMESPACE_FORMAT, STORAGE_ERASE};
use nvme_spec::identify::{IdentifyController, IdentifyNamespace};
use nvme_spec::opcode::{admin, io};
use nvme_spec::{SqEntry, Status};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::bench::{
    abort, command, create_cq, create_sq, delete_sq, identify, set_features, Bench, CC_ENABLED, DATA, PRIVATE_BLOCKS,
    SHARED_BLOCKS,
};

/// The slot of I/O queue 1 of function 0.
const SLOT: u8 = 2;

/// Sectors that are erased at a time.
const STEP: u32 = 1 << 17;

const CAPABILITIES: u32 = (NAMESPACE_BASE.mask() | NAMESPACE_FORMAT.mask() | STORAGE_ERASE.mask()) as u32;

fn ready() -> Bench {
    let mut bench = Bench::with(2, CAPABILITIES);
    bench.execute(0, create_cq(1, 16)).ok();
    bench.execute(0, create_sq(1, 16, 1)).ok();
    bench
}

fn erased(bench: &mut Bench) -> Vec<(u32, u32)> {
    std::mem::take(&mut bench.port().erased)
}

/// Dataset Management with these ranges of first block and length.
fn manage(bench: &mut Bench, attributes: u32, ranges: &[(u64, u32)]) -> SqEntry {
    let wire = ranges.iter().flat_map(|(lba, blocks)| {
        let range = DatasetRange { attributes: 0x55.into(), blocks: (*blocks).into(), lba: (*lba).into() };
        range.as_bytes().to_vec()
    });
    bench.port().host_data.insert(DATA, wire.collect());
    command(io::DATASET_MANAGEMENT, 1, &[ranges.len() as u32 - 1, attributes])
}

const DEALLOCATE: u32 = 4;

/// N5, N7: a format erases whether it is asked to or not, one namespace or all of them, and ends when that has. NVMe Base, "Format NVM command": what was
/// there before is not returned.
#[test]
fn a_format_erases() {
    let mut bench = ready();
    let format = |nsid, cdw10| command(admin::FORMAT_NVM, nsid, &[cdw10]);
    bench.admin(format(1, 0)).ok();
    assert_eq!(erased(&mut bench), [(0, PRIVATE_BLOCKS as u32)]);
    bench.admin(format(1, 1 << 9)).ok();
    assert_eq!(erased(&mut bench), [(0, PRIVATE_BLOCKS as u32)]);
    bench.admin(format(0xFFFF_FFFF, 1 << 9 | 1)).ok();
    assert_eq!(bench.port().rows[0].lba_shift, 12);
    let (private, shared) = (PRIVATE_BLOCKS as u32, SHARED_BLOCKS as u32);
    assert_eq!(erased(&mut bench), [(0, private), (private, shared)]);
    for erase in 2..8 {
        bench.refused(format(1, erase << 9), Status::INVALID_FIELD);
    }
    bench.port().errand_status = Status::WRITE_FAULT;
    assert_eq!(bench.admin(format(1, 1 << 9)).status.code(), Status::WRITE_FAULT);
}

/// N1, N5: what is about whole namespaces waits for the commands that the hardware executes, before it erases anything; they are hidden meanwhile.
#[test]
fn commands_in_flight_are_waited_for() {
    for (entry, erases) in [
        (command(admin::FORMAT_NVM, 1, &[1 << 9]), vec![(0, PRIVATE_BLOCKS as u32)]),
        (command(admin::FORMAT_NVM, 1, &[0]), vec![(0, PRIVATE_BLOCKS as u32)]),
        (command(admin::NAMESPACE_MANAGEMENT, 1, &[1]), vec![]),
    ] {
        let mut bench = ready();
        bench.port().errand_busy_reads = u32::MAX;
        let cid = bench.submit(0, entry);
        bench.polls(20);
        assert_eq!((bench.port().drains, erased(&mut bench).len()), (1, 0), "{entry:?}");
        assert_eq!(bench.port().rows[0].blocks, 0, "{entry:?}");
        assert!(bench.completions_of(0, cid).is_empty(), "{entry:?}");
        bench.port().end_errand();
        bench.run_to_rest();
        assert_eq!(bench.completions_of(0, cid)[0].status, Status::SUCCESS, "{entry:?}");
        assert_eq!((bench.port().drains, erased(&mut bench)), (1, erases), "{entry:?}");
    }
}

/// I14: a namespace is write protected when the commands have ended that were executed before, and not a command sooner; what is asked for meanwhile
/// comes behind.
#[test]
fn write_protection_waits_for_commands_in_flight() {
    let mut bench = ready();
    bench.port().errand_busy_reads = u32::MAX;
    let protect = |state| {
        let mut entry = set_features(0x84, state);
        entry.nsid = 1.into();
        entry
    };
    let cids = [protect(1), protect(0), protect(1)].map(|entry| bench.submit(0, entry));
    let other = bench.submit(0, set_features(1, 7));
    bench.polls(20);
    assert_eq!((bench.port().drains, bench.port().rows[0].is_write_protected), (1, true));
    assert!(cids.iter().all(|cid| bench.completions_of(0, *cid).is_empty()));
    assert_eq!(bench.completions_of(0, other)[0].status, Status::SUCCESS, "another feature does not wait");
    bench.port().end_errand();
    bench.run_to_rest();
    for cid in cids {
        assert_eq!(bench.completions_of(0, cid)[0].status, Status::SUCCESS);
    }
    assert_eq!((bench.port().drains, bench.port().rows[0].is_write_protected), (2, true), "what allows does not wait");
    assert_eq!(erased(&mut bench), []);
}

/// Without the hardware's help nothing is erased, and nothing is announced.
#[test]
fn nothing_is_erased_if_the_hardware_cannot() {
    let mut bench = Bench::with(2, NAMESPACE_BASE.mask() as u32);
    bench.execute(0, create_cq(1, 16)).ok();
    bench.execute(0, create_sq(1, 16, 1)).ok();
    bench.refused(command(admin::FORMAT_NVM, 1, &[1 << 9]), Status::INVALID_FIELD);
    let entry = manage(&mut bench, DEALLOCATE, &[(0, 1)]);
    assert_eq!(bench.execute(SLOT, entry).status.code(), Status::INVALID_OPCODE);
    let controller = IdentifyController::read_from_bytes(&bench.admin(identify(1, 0)).data()).unwrap();
    assert_eq!(controller.oncs.get() & 1 << 2, 0);
    let namespace = IdentifyNamespace::read_from_bytes(&bench.admin(identify(0, 1)).data()).unwrap();
    assert_eq!(namespace.dlfeat, 0);
}

/// N1: a namespace does not show what was in its place; without that it is not created.
#[test]
fn a_created_namespace_is_erased() {
    let mut bench = ready();
    let mut wanted = IdentifyNamespace::new_zeroed();
    (wanted.nsze, wanted.ncap) = (0x1000.into(), 0x1000.into());
    let create = |bench: &mut Bench| {
        bench.port().host_data.insert(DATA, wanted.as_bytes().to_vec());
        bench.admin(command(admin::NAMESPACE_MANAGEMENT, 0, &[0]))
    };
    assert_eq!(create(&mut bench).ok(), 3);
    let end = (PRIVATE_BLOCKS + SHARED_BLOCKS) as u32;
    assert_eq!(erased(&mut bench), [(end, 0x1000)]);
    bench.port().errand_status = Status::WRITE_FAULT;
    assert_eq!(create(&mut bench).status.code(), Status::WRITE_FAULT);
    bench.port().errand_status = Status::SUCCESS;
    assert_eq!(create(&mut bench).ok(), 4, "the identifier was given back");
}

/// K12 to K15: all ranges are looked at, then their blocks are erased.
#[test]
fn deallocated_blocks_are_erased() {
    let mut bench = ready();
    let controller = IdentifyController::read_from_bytes(&bench.admin(identify(1, 0)).data()).unwrap();
    assert_eq!(controller.oncs.get() & 1 << 2, 1 << 2);
    let namespace = IdentifyNamespace::read_from_bytes(&bench.admin(identify(0, 1)).data()).unwrap();
    assert_eq!(namespace.dlfeat, 0b1001, "they read as zero, and Write Zeroes deallocates");
    let entry = manage(&mut bench, DEALLOCATE, &[(5, 3), (7, 0), (PRIVATE_BLOCKS - 1, 1), (4, 2)]);
    bench.execute(SLOT, entry).ok();
    assert_eq!(erased(&mut bench), [(5, 3), (PRIVATE_BLOCKS as u32 - 1, 1), (4, 2)]);
    // Whole units of the storage are aligned, which it needs to deallocate them.
    let entry = manage(&mut bench, DEALLOCATE, &[(5, 40), (16, 20)]);
    bench.execute(SLOT, entry).ok();
    assert_eq!(erased(&mut bench), [(5, 3), (16, 20), (8, 37)]);
    let entry = manage(&mut bench, DEALLOCATE, &[(0, 1); 256]);
    bench.execute(SLOT, entry).ok();
    assert_eq!(erased(&mut bench), [(0, 1); 256]);
    let entry = manage(&mut bench, DEALLOCATE, &[(9, 0)]);
    bench.execute(SLOT, entry).ok();
    for attributes in [0, 1, 2, 3] {
        let entry = manage(&mut bench, attributes, &[(0, 1), (u64::MAX, 1)]);
        bench.execute(SLOT, entry).ok();
    }
    let wrong = [(PRIVATE_BLOCKS, 1), (PRIVATE_BLOCKS - 1, 2), (u64::MAX, 1), (0, u32::MAX)];
    for range in wrong {
        let entry = manage(&mut bench, DEALLOCATE, &[(0, 1), range, (1, 1)]);
        assert_eq!(bench.execute(SLOT, entry).status.code(), Status::LBA_OUT_OF_RANGE, "{range:?}");
    }
    let entry = SqEntry { nsid: 9.into(), ..manage(&mut bench, DEALLOCATE, &[(0, 1)]) };
    assert_eq!(bench.execute(SLOT, entry).status.code(), Status::INVALID_NAMESPACE);
    assert_eq!(erased(&mut bench), [], "nothing of all these");
    // A namespace of large blocks has eight sectors in each.
    bench.admin(command(admin::FORMAT_NVM, 1, &[1])).ok();
    erased(&mut bench);
    let entry = manage(&mut bench, DEALLOCATE, &[(5, 3)]);
    bench.execute(SLOT, entry).ok();
    assert_eq!(erased(&mut bench), [(40, 24)]);
    bench.port().errand_status = Status::WRITE_FAULT;
    let entry = manage(&mut bench, DEALLOCATE, &[(5, 3), (9, 1)]);
    assert_eq!(bench.execute(SLOT, entry).status.code(), Status::WRITE_FAULT);
    assert_eq!(erased(&mut bench), [(40, 24)], "the first failure ends it");
}

/// Puts a command into the inbox and polls until the hardware is at its first step, which takes a while.
fn begin(bench: &mut Bench, slot: u8, entry: SqEntry) -> u16 {
    bench.port().errand_busy_reads = 20;
    let cid = bench.submit(slot, entry);
    while bench.port().erased.is_empty() {
        bench.polls(1);
    }
    cid
}

/// The host resets its function while the hardware erases: CSTS.RDY is 1 as long as it does. What has been erased then.
fn reset_during_erasure(bench: &mut Bench) -> Vec<(u32, u32)> {
    bench.port().host_writes_cc(CC_ENABLED & !1);
    bench.polls(3);
    assert_eq!((bench.port().is_at_errand(), bench.port().csts()), (true, 1));
    while bench.port().csts() == 1 {
        assert!(bench.port().event_line() || bench.firmware.is_busy(), "somebody calls firmware");
        bench.polls(1);
    }
    assert!(!bench.port().is_at_errand());
    let erased = erased(bench);
    bench.enable(CC_ENABLED);
    bench.admin(identify(1, 0)).ok();
    bench.run_to_rest();
    assert_eq!(self::erased(bench), [], "nothing in the next life");
    erased
}

/// NVMe Base, "Controller Level Reset": a Deallocate erases nothing after it, and it waits for no more than a step.
#[test]
fn a_reset_waits_for_a_step_and_ends_a_deallocation() {
    let mut bench = ready();
    let entry = manage(&mut bench, DEALLOCATE, &[(1, 1), (2, 1), (3, 1)]);
    let cid = begin(&mut bench, SLOT, entry);
    assert_eq!(reset_during_erasure(&mut bench), [(1, 1)]);
    assert!(bench.completions_of(SLOT, cid).is_empty());
    bench.execute(0, create_cq(1, 16)).ok();
    bench.execute(0, create_sq(1, 16, 1)).ok();
    let entry = manage(&mut bench, DEALLOCATE, &[(4, 1), (5, 1)]);
    bench.execute(SLOT, entry).ok();
    assert_eq!(erased(&mut bench), [(4, 1), (5, 1)], "a Deallocate of the next life");
}

/// The life has ended when the ranges are asked for: hardware drops the transfer, and what the buffer has is not theirs.
#[test]
fn ranges_that_did_not_come_are_not_erased() {
    let mut bench = ready();
    let entry = manage(&mut bench, DEALLOCATE, &[(1, 1)]);
    bench.execute(SLOT, entry).ok();
    assert_eq!(erased(&mut bench), [(1, 1)]);
    let entry = manage(&mut bench, DEALLOCATE, &[(2, 1)]);
    bench.submit(SLOT, entry);
    bench.port().ends_life_at_transfer = true;
    bench.port().is_draining = true;
    bench.polls(20);
    bench.port().is_draining = false;
    bench.polls(20);
    assert_eq!(bench.port().csts(), 0);
    assert_eq!(erased(&mut bench), []);
}

/// N6: what a Format erases is erased when the reset ends.
#[test]
fn a_reset_waits_for_a_format() {
    let (private, shared) = (PRIVATE_BLOCKS as u32, SHARED_BLOCKS as u32);
    let mut bench = ready();
    let cid = begin(&mut bench, 0, command(admin::FORMAT_NVM, 0xFFFF_FFFF, &[1 << 9]));
    assert_eq!(reset_during_erasure(&mut bench), [(0, private), (private, shared)]);
    assert!(bench.completions_of(0, cid).is_empty());
}

/// A Format of namespace 1 that erases.
fn format() -> SqEntry {
    command(admin::FORMAT_NVM, 1, &[1 << 9])
}

fn status_of(bench: &mut Bench, slot: u8, cid: u16) -> Status {
    let [done] = bench.completions_of(slot, cid)[..] else { panic!("{cid} of slot {slot} is completed once") };
    done.status.code()
}

/// N6: the hardware does not know of a namespace that is being erased, and its commands end with Format In Progress; all others go on.
#[test]
fn commands_during_a_format_are_refused() {
    let mut bench = ready();
    let read = |nsid| command(io::READ, nsid, &[]);
    let cid = begin(&mut bench, 0, format());
    assert_eq!((bench.port().rows[0].blocks, bench.port().rows[1].blocks), (0, SHARED_BLOCKS));
    let compare = SqEntry { opcode: io::COMPARE, flags: 1, ..read(1) };
    let write = SqEntry { opcode: io::WRITE, flags: 2, ..read(1) };
    let dataset = manage(&mut bench, 0, &[(0, 1)]);
    let refused = [read(1), command(io::FLUSH, 1, &[]), command(0x7F, 1, &[]), compare, write];
    let refused = refused.map(|entry| bench.submit(SLOT, entry));
    let waits = bench.submit(SLOT, dataset);
    assert_eq!(bench.execute(SLOT, command(io::FLUSH, !0, &[])).ok(), 0);
    bench.admin(identify(1, 0)).data();
    assert!(bench.port().is_at_errand(), "it goes on");
    for cid in refused {
        assert_eq!(status_of(&mut bench, SLOT, cid), Status::FORMAT_IN_PROGRESS);
    }
    assert!(bench.completions_of(SLOT, waits).is_empty() && bench.completions_of(0, cid).is_empty());
    // The hardware may have handed a command over before it learned of the namespace again.
    while bench.port().is_at_errand() {
        bench.polls(1);
    }
    let late = bench.submit(SLOT, read(1));
    bench.run_to_rest();
    assert_eq!(status_of(&mut bench, SLOT, late), Status::FORMAT_IN_PROGRESS);
    assert_eq!(status_of(&mut bench, SLOT, waits), Status::SUCCESS);
    assert_eq!(status_of(&mut bench, 0, cid), Status::SUCCESS);
    assert_eq!(bench.port().rows[0].blocks, PRIVATE_BLOCKS);
}

/// Commands that need an erasure wait for the one that goes on, in order; those of a queue or a function that ends go with it.
#[test]
fn one_erasure_follows_another() {
    let mut bench = ready();
    let first = begin(&mut bench, 0, format());
    let aborted = bench.submit(0, format());
    let dataset = manage(&mut bench, DEALLOCATE, &[(5, 1)]);
    let second = bench.submit(SLOT, dataset);
    let third = bench.submit(0, command(admin::SANITIZE, 0, &[2]));
    let last = bench.submit(0, format());
    assert_eq!(bench.execute(0, abort(0, aborted)).ok(), 0, "it waits, and is aborted");
    assert_eq!(status_of(&mut bench, 0, aborted), Status::ABORT_REQUESTED);
    assert_eq!(bench.execute(0, abort(0, first)).ok(), 1, "what is being done is not");
    bench.run_to_rest();
    assert_eq!(
        erased(&mut bench),
        [(0, PRIVATE_BLOCKS as u32), (5, 1), (0, 2 * (PRIVATE_BLOCKS + SHARED_BLOCKS) as u32)]
    );
    for (slot, cid) in [(0, first), (SLOT, second), (0, third)] {
        assert_eq!(status_of(&mut bench, slot, cid), Status::SUCCESS);
    }
    assert_eq!(status_of(&mut bench, 0, last), Status::SANITIZE_IN_PROGRESS);

    // The queue is deleted when nothing is erased for it any more.
    let dataset = manage(&mut bench, DEALLOCATE, &[(6, 1), (7, 1)]);
    let active = begin(&mut bench, SLOT, dataset);
    let waiting = bench.submit(SLOT, dataset);
    bench.polls(1);
    bench.execute(0, delete_sq(1)).ok();
    assert_eq!(status_of(&mut bench, SLOT, active), Status::SUCCESS);
    assert_eq!(status_of(&mut bench, SLOT, waiting), Status::ABORTED_SQ_DELETION);
    assert_eq!(erased(&mut bench), [(6, 1), (7, 1)]);

    // What waits does not outlive its function.
    begin(&mut bench, 0, format());
    bench.submit(0, format());
    bench.polls(1);
    assert_eq!(reset_during_erasure(&mut bench), [(0, PRIVATE_BLOCKS as u32)]);
    assert_eq!(bench.port().rows[0].blocks, PRIVATE_BLOCKS, "the namespace is there in the next life");
}

/// N1: so is what a new namespace must not show.
#[test]
fn a_reset_waits_for_a_creation() {
    let mut config = Config::with_two_functions(PRIVATE_BLOCKS, SHARED_BLOCKS, "FD0001");
    config.unallocated_units = u64::from(STEP) / 4;
    let mut bench = Bench::with_config(2, CAPABILITIES, config);
    let mut wanted = IdentifyNamespace::new_zeroed();
    let blocks = STEP + 8;
    (wanted.nsze, wanted.ncap) = (u64::from(blocks).into(), u64::from(blocks).into());
    bench.port().host_data.insert(DATA, wanted.as_bytes().to_vec());
    let cid = begin(&mut bench, 0, command(admin::NAMESPACE_MANAGEMENT, 0, &[0]));
    bench.port().host_data.insert(DATA, [&[1_u8, 0][..], &[0; 4094]].concat());
    bench.admin(command(admin::NAMESPACE_ATTACHMENT, 3, &[0])).ok();
    assert_eq!(bench.port().rows[2].blocks, 0, "attached, and not to be read yet");
    let end = (PRIVATE_BLOCKS + SHARED_BLOCKS) as u32;
    assert_eq!(reset_during_erasure(&mut bench), [(end, STEP), (end + STEP, 8)]);
    assert!(bench.completions_of(0, cid).is_empty());
    assert_eq!(bench.admin(identify(0x11, 3)).data()[0], (blocks & 0xFF) as u8, "the namespace is there");
}

/// The reset of a function does not wait for what is erased for another one, which goes on.
#[test]
fn erasures_of_others_go_on() {
    let mut bench = ready();
    let entry = manage(&mut bench, DEALLOCATE, &[(1, 1), (2, 1)]);
    let cid = begin(&mut bench, SLOT, entry);
    bench.port().host_of_writes_cc(1, CC_ENABLED & !1);
    bench.polls(1);
    assert_eq!((bench.port().is_at_errand(), bench.port().csts_of(1)), (true, 0));
    bench.run_to_rest();
    assert_eq!(bench.completions_of(SLOT, cid)[0].status, Status::SUCCESS);
    assert_eq!(erased(&mut bench), [(1, 1), (2, 1)]);
}

/// Long ranges are erased in steps.
#[test]
fn long_ranges_are_erased_in_steps() {
    let mut bench = ready();
    bench.admin(command(admin::FORMAT_NVM, 1, &[1])).ok();
    erased(&mut bench);
    let blocks = PRIVATE_BLOCKS as u32 / 8;
    let entry = manage(&mut bench, DEALLOCATE, &[(0, blocks); 256]);
    bench.execute(SLOT, entry).ok();
    let steps = erased(&mut bench);
    assert!(steps.iter().all(|(_, sectors)| *sectors <= STEP));
    assert_eq!(steps.iter().map(|(_, sectors)| sectors).sum::<u32>(), 256 * PRIVATE_BLOCKS as u32);
}
