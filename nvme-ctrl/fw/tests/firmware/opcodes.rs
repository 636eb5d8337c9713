//! Opcodes and flags: group B.

use nvme_spec::opcode::{admin, io};
use nvme_spec::Status;

use crate::bench::{command, Bench, BLOCKS};

/// The admin commands of hardware with one namespace.
const ADMIN: &[u8] = &[
    admin::DELETE_IO_SQ,
    admin::CREATE_IO_SQ,
    admin::GET_LOG_PAGE,
    admin::DELETE_IO_CQ,
    admin::CREATE_IO_CQ,
    admin::IDENTIFY,
    admin::ABORT,
    admin::SET_FEATURES,
    admin::GET_FEATURES,
    admin::ASYNC_EVENT_REQUEST,
    admin::FIRMWARE_COMMIT,
    admin::FIRMWARE_IMAGE_DOWNLOAD,
    admin::KEEP_ALIVE,
    admin::FORMAT_NVM,
];

/// B10: everything that is not there.
#[test]
fn unknown_opcodes_are_refused_and_the_controller_goes_on() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    for opcode in 0..=u8::MAX {
        if !ADMIN.contains(&opcode) {
            bench.refused(command(opcode, 1, &[]), Status::INVALID_OPCODE);
        }
        if io::ALL.iter().all(|(known, _)| *known != opcode) {
            let done = bench.execute(1, command(opcode, 1, &[]));
            assert_eq!(done.status, Status::INVALID_OPCODE.with_dnr());
        }
    }
}

/// B11 and B12: FUSE and PSDT on every admin command.
#[test]
fn admin_commands_are_neither_fused_nor_use_sgls() {
    let mut bench = Bench::ready();
    for opcode in ADMIN {
        for flags in [1, 2, 3, 0x40, 0x80, 0xC0] {
            let mut entry = command(*opcode, 0, &[1]);
            entry.flags = flags;
            bench.refused(entry, Status::INVALID_FIELD);
        }
    }
}

/// K2 to K4 and K19, as far as firmware answers them.
#[test]
fn invalid_io_commands_have_their_status() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    let high = (BLOCKS >> 32) as u32;
    let cases = [
        (command(io::READ, 1, &[BLOCKS as u32, high, 0]), Status::LBA_OUT_OF_RANGE),
        (command(io::WRITE, 1, &[!0, !0, 0]), Status::LBA_OUT_OF_RANGE),
        (command(io::READ, 1, &[0, 0, 4096]), Status::INVALID_FIELD),
        (command(io::READ, 0, &[]), Status::INVALID_NAMESPACE),
        (command(io::FLUSH, 2, &[]), Status::INVALID_NAMESPACE),
    ];
    for (entry, status) in cases {
        assert_eq!(bench.execute(1, entry).status, status.with_dnr(), "{entry:?}");
    }
    let mut fused = command(io::READ, 1, &[]);
    fused.flags = 1;
    assert_eq!(bench.execute(1, fused).status, Status::INVALID_FIELD.with_dnr());
}

/// K18: the two entries of a Compare and Write that hardware does not execute come one right after the other, and end together.
#[test]
fn a_pair_that_is_not_valid_has_two_statuses() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    let pair = |dwords: [&[u32]; 2]| {
        [(io::COMPARE, 1), (io::WRITE, 2)].map(|(opcode, flags)| {
            let mut entry = command(opcode, 1, dwords[usize::from(flags == 2)]);
            entry.flags = flags;
            entry
        })
    };
    let far = &[0, !0, 0];
    let cases = [
        (pair([&[5], &[6]]), [Status::INVALID_FIELD; 2]),
        (pair([&[5, 0, 1], &[5, 0, 1]]), [Status::ATOMIC_WRITE_UNIT_EXCEEDED; 2]),
        (pair([far, far]), [Status::LBA_OUT_OF_RANGE, Status::FAILED_FUSED_COMMAND]),
        // Valid, so hardware should have executed them.
        (pair([&[5], &[5]]), [Status::INTERNAL_ERROR; 2]),
    ];
    for (pair, statuses) in cases {
        let cids = pair.map(|entry| bench.submit(1, entry));
        bench.polls(3);
        for (cid, status) in cids.into_iter().zip(statuses) {
            let done = bench.completions_of(1, cid);
            assert_eq!(done.len(), 1);
            assert_eq!(done[0].status.code(), status, "{pair:x?}");
        }
    }
}

/// Hardware and `decode_io` disagree: the host must not believe that the command was executed.
#[test]
fn a_valid_command_that_hardware_did_not_execute_fails() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    let done = bench.execute(1, command(io::WRITE, 1, &[0, 0, 7]));
    assert_eq!(done.status, Status::INTERNAL_ERROR);
}

/// Not possible by the contract of the port, and harmless: a command of a queue that is not there has nobody to answer to.
#[test]
fn a_command_of_no_queue_is_dropped() {
    let mut bench = Bench::ready();
    let cid = bench.submit(3, command(0x7F, 1, &[]));
    bench.polls(3);
    assert_eq!((bench.port().inbox_len(), bench.completions_of(3, cid).len()), (0, 0));
}
