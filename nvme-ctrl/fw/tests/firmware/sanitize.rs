//! Sanitize: N8 to N10.

use nvme_spec::firmware_port::capabilities::{NAMESPACE_BASE, STORAGE_ERASE};
use nvme_spec::identify::IdentifyController;
use nvme_spec::opcode::{admin, io};
use nvme_spec::sanitize::{status, SanitizeLog};
use nvme_spec::{firmware_port as port, SqEntry, Status};
use zerocopy::FromBytes;

use crate::bench::{
    async_event_request, command, get_features, get_log_page, identify, set_features, Bench, PRIVATE_BLOCKS,
    SHARED_BLOCKS,
};

/// Sectors of the storage of the bench.
const SECTORS: u32 = ((PRIVATE_BLOCKS + SHARED_BLOCKS) * 2) as u32;

fn ready() -> Bench {
    let mut bench = Bench::with(2, (NAMESPACE_BASE.mask() | STORAGE_ERASE.mask()) as u32);
    bench.execute(0, crate::bench::create_cq(1, 16)).ok();
    bench.execute(0, crate::bench::create_sq(1, 16, 1)).ok();
    bench
}

fn sanitize(cdw10: u32) -> SqEntry {
    command(admin::SANITIZE, 0, &[cdw10])
}

fn log(bench: &mut Bench) -> SanitizeLog {
    SanitizeLog::read_from_bytes(&bench.admin(get_log_page(0x81, 512)).data()).unwrap()
}

/// The slot of I/O queue 1 of function 0.
const SLOT: u8 = 2;

/// N8: every sector is erased once, the log page tells how far it is, and all functions are told when it is complete.
#[test]
fn a_block_erase_erases_everything() {
    let mut bench = ready();
    let requests = [0, 1].map(|function| bench.submit(function, async_event_request()));
    assert_eq!((log(&mut bench).sprog.get(), log(&mut bench).sstat.get()), (0xFFFF, status::NEVER));
    let controller = IdentifyController::read_from_bytes(&bench.admin(identify(1, 0)).data()).unwrap();
    assert_eq!(controller.sanicap.get(), 0x4000_0002);
    bench.port().in_flight.insert(SLOT, 1);
    bench.admin(sanitize(2)).ok();
    assert_eq!(log(&mut bench).sstat.get(), status::IN_PROGRESS);
    assert!(bench.port().rows.iter().all(|row| row.blocks == 0), "hidden from the hardware");
    bench.polls(20);
    assert_eq!(bench.port().erased, [], "a command is in flight");
    bench.port().in_flight.clear();
    bench.polls(20);
    let erased = bench.port().erased.clone();
    let ends: Vec<u32> = erased.iter().map(|(base, sectors)| base + sectors).collect();
    assert_eq!((erased[0].0, *ends.last().unwrap()), (0, SECTORS));
    assert!(erased.iter().skip(1).zip(&ends).all(|((base, _), end)| base == end), "no hole: {erased:?}");
    let done = log(&mut bench);
    assert_eq!((done.sprog.get(), done.sstat.get(), done.scdw10.get()), (0xFFFF, 0x100 | status::COMPLETED, 2));
    assert_eq!(bench.port().rows[0].blocks, PRIVATE_BLOCKS);
    for (function, request) in (0..).zip(requests) {
        // I/O command set specific, Sanitize Operation Completed, log page 81h.
        assert_eq!(bench.completions_of(function, request)[0].result, 0x0081_0106);
    }
    bench.port().set_counter(&port::WRITE_COMMANDS, 1);
    assert_eq!(log(&mut bench).sstat.get(), status::COMPLETED, "something was written since");
}

/// N9: so does a command that the hardware has handed over before it learned of the namespaces again.
#[test]
fn a_command_on_its_way_at_the_end_is_refused() {
    let mut bench = ready();
    bench.admin(sanitize(2)).ok();
    while !bench.port().is_at_errand() {
        bench.polls(1);
    }
    while bench.port().is_at_errand() {
        bench.polls(1);
    }
    let late = bench.submit(SLOT, command(io::READ, 1, &[]));
    bench.run_to_rest();
    assert_eq!(bench.completions_of(SLOT, late)[0].status, Status::SANITIZE_IN_PROGRESS);
    assert_eq!(log(&mut bench).sstat.get() & 7, status::COMPLETED);
}

/// N9: what is refused meanwhile, by Sanitize In Progress, and what is not; a reset does not end it.
#[test]
fn commands_are_restricted_meanwhile() {
    let mut bench = ready();
    bench.port().in_flight.insert(SLOT, 1);
    bench.admin(sanitize(2)).ok();
    for entry in [
        sanitize(2),
        sanitize(1),
        command(admin::FORMAT_NVM, 1, &[0]),
        command(admin::FIRMWARE_COMMIT, 0, &[1]),
        command(admin::FIRMWARE_IMAGE_DOWNLOAD, 0, &[0]),
        command(admin::NAMESPACE_MANAGEMENT, 1, &[1]),
        command(admin::NAMESPACE_ATTACHMENT, 1, &[0]),
    ] {
        assert_eq!(bench.admin(entry).status, Status::SANITIZE_IN_PROGRESS, "{entry:?}");
        assert_eq!(bench.execute(1, entry).status, Status::SANITIZE_IN_PROGRESS, "from the other function");
    }
    for opcode in [io::READ, io::WRITE, io::FLUSH] {
        assert_eq!(bench.execute(SLOT, command(opcode, 1, &[])).status, Status::SANITIZE_IN_PROGRESS);
    }
    bench.admin(identify(1, 0)).data();
    bench.admin(get_features(1, 0)).ok();
    bench.admin(set_features(1, 0)).ok();
    bench.admin(command(admin::KEEP_ALIVE, 0, &[])).ok();
    bench.port().in_flight.clear();
    for function in 0..2 {
        bench.port().host_of_writes_cc(function, 0);
    }
    bench.polls(50);
    for function in 0..2 {
        bench.enable_function(function);
    }
    assert_eq!(log(&mut bench).sstat.get() & 7, status::COMPLETED, "it went on without any function");
    bench.admin(command(admin::FORMAT_NVM, 1, &[0])).ok();
}

/// N10: a failed operation restricts commands until another one succeeds, or by Exit Failure Mode if that was allowed.
#[test]
fn a_failed_operation_has_to_be_left() {
    for (cdw10, may_exit) in [(2, false), (2 | 8, true)] {
        let mut bench = ready();
        bench.port().errand_status = Status::WRITE_FAULT;
        bench.admin(sanitize(cdw10)).ok();
        bench.polls(20);
        assert_eq!(log(&mut bench).sstat.get(), status::FAILED);
        assert_eq!(bench.execute(SLOT, command(io::READ, 1, &[])).status.code(), Status::SANITIZE_FAILED);
        bench.refused(command(admin::FORMAT_NVM, 1, &[0]), Status::SANITIZE_FAILED);
        bench.port().errand_status = Status::SUCCESS;
        if may_exit {
            bench.admin(sanitize(1)).ok();
        } else {
            bench.refused(sanitize(1), Status::SANITIZE_FAILED);
            bench.admin(sanitize(2)).ok();
            bench.polls(20);
            assert_eq!(log(&mut bench).sstat.get() & 7, status::COMPLETED);
        }
        assert_eq!(bench.port().rows[0].blocks, PRIVATE_BLOCKS);
        bench.admin(command(admin::FORMAT_NVM, 1, &[0])).ok();
    }
}

/// N8, N14: actions that are not there, a protected namespace, and hardware that cannot erase.
#[test]
fn each_mistake_has_its_status() {
    let mut bench = ready();
    for action in [0, 3, 4, 5, 6, 7] {
        bench.refused(sanitize(action), Status::INVALID_FIELD);
    }
    bench.admin(sanitize(1)).ok();
    let mut protect = set_features(0x84, 1);
    protect.nsid = 2.into();
    bench.admin(protect).ok();
    bench.refused(sanitize(2), Status::NAMESPACE_WRITE_PROTECTED);
    let mut bench = Bench::ready();
    bench.refused(sanitize(2), Status::INVALID_OPCODE);
    bench.refused(get_log_page(0x81, 512), Status::INVALID_LOG_PAGE);
}
