//! Each rule, broken once.

use nvme_spec::CqEntry;
use sim_device::MESSAGE_WINDOW;
use zerocopy::IntoBytes;

use super::*;

/// A queue pair of four entries, vector 0, and commands 0 and 1 in flight; command 0 may write `BUFFER`.
struct Bench {
    monitor: Monitor,
    host: HostMemory,
    base: u64,
    clock: u64,
}

const BUFFER: Range<u64> = 0x9000..0x9200;

impl Bench {
    fn new() -> Self {
        let mut host = HostMemory::new();
        let base = host.alloc(4 * CQ_ENTRY_BYTES, 4096);
        let mut monitor = Monitor::default();
        monitor.vectors.push(Vector { address: MESSAGE_WINDOW.start, data: 7, ..Vector::default() });
        monitor.submission.insert(1, SubmissionRing::new(0, 4, 1));
        monitor.completion.insert(1, CompletionRing::new(base, 4, Some(0)));
        monitor.start(1, 0, &[BUFFER]);
        monitor.start(1, 1, &[]);
        assert_eq!(monitor.announce(1, 100), Some(2));
        Self { monitor, host, base, clock: 100 }
    }

    fn write(&mut self, address: u64, bytes: u32) -> Result<(), Violation> {
        self.clock += 1;
        let record =
            AccessRecord { clock: self.clock, address, bytes, kind: AccessKind::Write, function: 0, failed: false };
        self.monitor.access(&record, &self.host)
    }

    /// Writes a completion entry into `slot`.
    fn complete(&mut self, slot: u64, cid: u16, sqhd: u16, phase: bool, status: Status) -> Result<(), Violation> {
        let entry = CqEntry {
            sqid: 1.into(),
            cid: cid.into(),
            sqhd: sqhd.into(),
            status_phase: (status.raw() << 1 | u16::from(phase)).into(),
            ..CqEntry::default()
        };
        let address = self.base + slot * CQ_ENTRY_BYTES;
        self.host.store(address, entry.as_bytes());
        self.write(address, CQ_ENTRY_BYTES as u32)
    }

    fn message(&mut self, data: u32) -> Result<(), Violation> {
        let message = Message { function: 0, address: MESSAGE_WINDOW.start, data, clock: self.clock };
        self.monitor.message(&message)
    }

    fn consume(&mut self) -> Result<bool, Violation> {
        self.monitor.consume(1, &self.host, true)
    }
}

#[test]
fn a_correct_device_passes() {
    let mut bench = Bench::new();
    assert_eq!(bench.write(BUFFER.start, 512), Ok(()));
    assert_eq!(bench.complete(0, 0, 2, true, Status::SUCCESS), Ok(()));
    assert_eq!(bench.message(7), Ok(()));
    assert_eq!(bench.consume(), Ok(true));
    assert_eq!(bench.consume(), Ok(false));
    let completion = bench.monitor.consumed.pop_front().expect("it was consumed");
    assert_eq!((completion.cid, completion.latency()), (0, 2));
    assert_eq!(bench.monitor.in_flight(), 1);
}

#[test]
fn a_command_that_completes_twice_is_found() {
    let mut bench = Bench::new();
    assert_eq!(bench.complete(0, 1, 2, true, Status::SUCCESS), Ok(()));
    let again = bench.complete(1, 1, 2, true, Status::SUCCESS);
    assert_eq!(again, Err(Violation::NotOutstanding { queue: 1, sqid: 1, cid: 1 }));
    let unknown = bench.complete(2, 9, 2, true, Status::SUCCESS);
    assert_eq!(unknown, Err(Violation::NotOutstanding { queue: 1, sqid: 1, cid: 9 }));
}

#[test]
fn a_phase_that_is_not_inverted_is_found() {
    let mut bench = Bench::new();
    assert_eq!(bench.complete(0, 0, 2, false, Status::SUCCESS), Err(Violation::Phase { queue: 1, slot: 0 }));
}

#[test]
fn entries_out_of_place_or_in_pieces_are_found() {
    let mut bench = Bench::new();
    assert!(matches!(bench.complete(1, 0, 2, true, Status::SUCCESS), Err(Violation::NotAtTail { .. })));
    let base = bench.base;
    assert!(matches!(bench.write(base, 8), Err(Violation::NotAtTail { bytes: 8, .. })));
}

#[test]
fn a_queue_that_is_overrun_is_found() {
    let mut bench = Bench::new();
    for cid in 2..5 {
        bench.monitor.start(1, cid, &[]);
    }
    for slot in 0..3 {
        assert_eq!(bench.complete(slot, slot as u16, 2, true, Status::SUCCESS), Ok(()));
    }
    assert_eq!(bench.complete(3, 3, 2, true, Status::SUCCESS), Err(Violation::Overrun { queue: 1 }));
}

#[test]
fn an_implausible_submission_head_is_found() {
    // Before the command itself, beyond the tail, and no slot at all.
    for (cid, sqhd) in [(1, 1), (0, 3), (0, 4), (0, 0)] {
        let mut bench = Bench::new();
        assert_eq!(bench.complete(0, cid, sqhd, true, Status::SUCCESS), Ok(()));
        assert!(matches!(bench.consume(), Err(Violation::Head { .. })), "SQHD {sqhd} for command {cid}");
    }
}

#[test]
fn data_after_its_completion_and_stray_writes_are_found() {
    let mut bench = Bench::new();
    assert!(
        matches!(bench.write(BUFFER.end - 64, 128), Err(Violation::StrayWrite { address, .. }) if address == BUFFER.end)
    );
    assert!(matches!(bench.write(BUFFER.start - 1, 1), Err(Violation::StrayWrite { .. })));
    assert_eq!(bench.complete(0, 0, 2, true, Status::SUCCESS), Ok(()));
    assert!(matches!(bench.write(BUFFER.start, 64), Err(Violation::StrayWrite { .. })));
    bench.monitor.always_writable.push(BUFFER);
    assert_eq!(bench.write(BUFFER.start, 512), Ok(()));
}

#[test]
fn interrupts_before_their_completion_and_unknown_ones_are_found() {
    let mut bench = Bench::new();
    assert_eq!(bench.message(7), Err(Violation::InterruptWithoutCompletion { vector: 0, clock: 100 }));
    assert_eq!(bench.complete(0, 0, 2, true, Status::SUCCESS), Ok(()));
    assert_eq!(bench.message(7), Ok(()));
    assert!(bench.message(7).is_err(), "one entry, one message");
    assert!(matches!(bench.message(8), Err(Violation::UnknownMessage { .. })));
}

/// Up to four entries leave in one write. If it fails they are lost, and their interrupts come all the same: one for each, and no more.
#[test]
fn each_entry_of_a_write_that_failed_is_a_reason_to_interrupt() {
    let mut bench = Bench::new();
    let entries = 2;
    let mut record = AccessRecord {
        clock: 101,
        address: bench.base,
        bytes: entries * CQ_ENTRY_BYTES as u32,
        kind: AccessKind::Write,
        function: 0,
        failed: true,
    };
    assert_eq!(bench.monitor.access(&record, &bench.host), Ok(()));
    assert!((0..entries).all(|_| bench.message(7).is_ok()));
    assert!(bench.message(7).is_err(), "one entry, one message");
    // Later ones are not known either, whether they arrive or not.
    record.address += u64::from(record.bytes);
    record.failed = false;
    assert_eq!(bench.monitor.access(&record, &bench.host), Ok(()));
    assert!((0..entries).all(|_| bench.message(7).is_ok()));
    assert!(bench.message(7).is_err(), "one entry, one message");
}

#[test]
fn any_access_of_a_disabled_controller_is_found() {
    let mut bench = Bench::new();
    bench.monitor.disabled = true;
    assert!(matches!(bench.write(BUFFER.start, 64), Err(Violation::AccessWhileDisabled { .. })));
    assert!(matches!(bench.message(7), Err(Violation::AccessWhileDisabled { .. })));
}

#[test]
fn a_lasting_error_without_do_not_retry_is_found() {
    let mut bench = Bench::new();
    assert_eq!(bench.complete(0, 0, 2, true, Status::INVALID_FIELD), Ok(()));
    assert!(matches!(bench.consume(), Err(Violation::Retry { cid: 0, .. })));
    let mut bench = Bench::new();
    assert_eq!(bench.complete(0, 0, 2, true, Status::INVALID_FIELD.with_dnr()), Ok(()));
    assert_eq!(bench.consume(), Ok(true));
}

#[test]
fn completions_in_the_wrong_queue_are_found() {
    let mut bench = Bench::new();
    if let Some(ring) = bench.monitor.submission.get_mut(&1) {
        ring.completion_queue = 2;
    }
    let wrong = bench.complete(0, 0, 2, true, Status::SUCCESS);
    assert_eq!(wrong, Err(Violation::WrongQueue { queue: 1, sqid: 1 }));
}

#[test]
fn what_a_deleted_queue_had_in_flight_may_no_longer_write() {
    let mut bench = Bench::new();
    bench.monitor.remove_submission(1);
    assert!(matches!(bench.write(BUFFER.start, 64), Err(Violation::StrayWrite { .. })));
    assert_eq!(bench.monitor.in_flight(), 0);
}

/// After something without a defined answer only submission queues and what is around allocations are sacred; nothing is after a reset.
#[test]
fn a_lenient_monitor_judges_writes_into_submission_queues_alone() {
    let mut bench = Bench::new();
    bench.monitor.is_lenient = true;
    assert_eq!(bench.complete(2, 5, 9, false, Status::SUCCESS), Ok(()));
    assert_eq!(bench.message(9), Ok(()));
    assert_eq!(bench.write(0x5000, 64), Ok(()));
    // The submission queue lies at address 0.
    assert!(matches!(bench.write(3 * SQ_ENTRY_BYTES, 64), Err(Violation::StrayWrite { .. })));
    bench.monitor.disabled = true;
    assert!(matches!(bench.write(0x5000, 64), Err(Violation::AccessWhileDisabled { .. })));
}

#[test]
fn writes_that_failed_are_remembered_and_are_no_stray_writes() {
    let mut bench = Bench::new();
    let record =
        AccessRecord { clock: 101, address: 0x7000, bytes: 64, kind: AccessKind::Write, function: 0, failed: true };
    assert_eq!(bench.monitor.access(&record, &bench.host), Ok(()));
    assert_eq!(bench.monitor.failed_writes.as_slice(), std::slice::from_ref(&(0x7000..0x7040)));
    bench.monitor.forget();
    assert!(bench.monitor.failed_writes.is_empty());
}
