//! Abort and asynchronous events: group G.

use nvme_fw::MediumHealth;
use nvme_spec::firmware_port::function_events;
use nvme_spec::Status;

use crate::bench::{abort, async_event_request, get_log_page, set_features, Bench};

/// Type SMART, information temperature threshold, log page 2.
const TEMPERATURE_EVENT: u32 = 0x0002_0101;
/// Type error, information 0 and 1, log page 1.
const DOORBELL_REGISTER_EVENT: u32 = 0x0001_0000;
const DOORBELL_VALUE_EVENT: u32 = 0x0001_0100;

/// Makes the device too warm, or no longer too warm.
fn set_over_temperature(bench: &mut Bench, is_over: bool) {
    let threshold = if is_over { 300 } else { 350 };
    bench.admin(set_features(4, threshold)).ok();
}

fn results(bench: &mut Bench, cids: &[u16]) -> Vec<u32> {
    let mut results = Vec::new();
    for cid in cids {
        results.extend(bench.completions_of(0, *cid).iter().map(|posted| posted.result));
    }
    results
}

/// G1: what is not there is not aborted.
#[test]
fn abort_of_an_unknown_command_succeeds_without_effect() {
    let mut bench = Bench::ready();
    let request = bench.submit(0, async_event_request());
    bench.polls(2);
    for (sqid, cid) in [(0, request + 1), (1, request), (0xFFFF, request), (3, 0)] {
        assert_eq!(bench.admin(abort(sqid, cid)).ok(), 1);
    }
    assert_eq!(bench.completions_of(0, request), []);
}

/// G2: an event request is aborted, and completed before the Abort command.
#[test]
fn abort_of_an_event_request() {
    let mut bench = Bench::ready();
    let requests: Vec<_> = (0..4).map(|_| bench.submit(0, async_event_request())).collect();
    bench.polls(2);
    assert_eq!(bench.admin(abort(0, requests[2])).ok(), 0);
    let [.., aborted, _] = bench.port().completions[..] else { panic!("two completions") };
    assert_eq!((aborted.cid, aborted.status), (requests[2], Status::ABORT_REQUESTED));
    assert_eq!(bench.admin(abort(0, requests[2])).ok(), 1, "only once");
    // There is room for another one.
    let another = bench.submit(0, async_event_request());
    bench.polls(2);
    assert_eq!(bench.completions_of(0, another), []);
}

/// G3: more Abort commands at once than Identify offers.
#[test]
fn surplus_aborts_are_refused() {
    let mut bench = Bench::ready();
    let cids: Vec<_> = (0..6).map(|_| bench.submit(0, abort(0, 1))).collect();
    bench.polls(5);
    let statuses: Vec<_> = cids.iter().map(|cid| bench.completions_of(0, *cid)[0].status).collect();
    assert_eq!(statuses[..4], [Status::SUCCESS; 4]);
    assert_eq!(statuses[4..], [Status::ABORT_LIMIT_EXCEEDED; 2]);
    assert_eq!(bench.admin(abort(0, 1)).ok(), 1, "the limit is on commands at once");
}

/// G4 and G5: more event requests than Identify offers; a reset forgets them.
#[test]
fn surplus_event_requests_are_refused() {
    let mut bench = Bench::ready();
    for _ in 0..2 {
        let cids: Vec<_> = (0..6).map(|_| bench.submit(0, async_event_request())).collect();
        bench.polls(5);
        for cid in &cids[..4] {
            assert_eq!(bench.completions_of(0, *cid), []);
        }
        for cid in &cids[4..] {
            let status = bench.completions_of(0, *cid)[0].status;
            assert_eq!(status, Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED);
        }
        bench.reset();
    }
}

/// G6: the second event of a type waits until the log page was read with RAE 0.
#[test]
fn events_of_a_type_wait_for_the_log_page() {
    let mut bench = Bench::ready();
    let cids: Vec<_> = (0..3).map(|_| bench.submit(0, async_event_request())).collect();
    bench.admin(set_features(0xB, 2)).ok();
    set_over_temperature(&mut bench, true);
    assert_eq!(results(&mut bench, &cids), [TEMPERATURE_EVENT]);
    set_over_temperature(&mut bench, false);
    set_over_temperature(&mut bench, true);
    assert_eq!(results(&mut bench, &cids), [TEMPERATURE_EVENT]);
    let mut retaining = get_log_page(2, 512);
    retaining.cdw10[0] = (retaining.cdw(10) | 1 << 15).into();
    bench.admin(retaining).data();
    bench.admin(get_log_page(1, 64)).data();
    assert_eq!(results(&mut bench, &cids), [TEMPERATURE_EVENT]);
    bench.admin(get_log_page(2, 512)).data();
    bench.polls(2);
    assert_eq!(results(&mut bench, &cids), [TEMPERATURE_EVENT; 2]);
}

/// G7 and G8: the configuration decides, and each crossing is one event.
#[test]
fn temperature_events_follow_the_configuration() {
    let mut bench = Bench::ready();
    let cids: Vec<_> = (0..2).map(|_| bench.submit(0, async_event_request())).collect();
    set_over_temperature(&mut bench, true);
    bench.polls(3);
    assert_eq!(results(&mut bench, &cids), []);
    bench.admin(set_features(0xB, 2)).ok();
    bench.admin(set_features(0xB, 2)).ok();
    bench.polls(3);
    bench.admin(get_log_page(2, 512)).data();
    bench.polls(3);
    assert_eq!(results(&mut bench, &cids), [TEMPERATURE_EVENT], "the same warning is told once");
}

/// Type SMART, information spare below threshold and NVM subsystem reliability, log page 2.
const SPARE_EVENT: u32 = 0x0002_0201;
const RELIABILITY_EVENT: u32 = 0x0002_0001;

/// G6 to G8 for a medium that wears: each warning that is wanted is told when it goes on, and none while another one has not been read.
#[test]
fn a_worn_medium_is_told_as_configured() {
    let mut bench = Bench::ready();
    let cids: Vec<_> = (0..4).map(|_| bench.submit(0, async_event_request())).collect();
    bench.run_to_rest();
    let mut told = vec![];
    // The spare, whether it is read-only, whether the log page is read before, and what is told then.
    let mut step = |bench: &mut Bench, available_spare, is_read_only, is_read, event: Option<u32>| {
        if is_read {
            bench.admin(get_log_page(2, 512)).data();
        }
        bench.firmware.set_medium_health(MediumHealth { available_spare, is_read_only, ..MediumHealth::default() });
        assert_eq!(
            bench.firmware.is_busy(),
            event.is_some() && !is_read,
            "{available_spare} %: somebody calls firmware"
        );
        bench.run_to_rest();
        told.extend(event);
        assert_eq!(results(bench, &cids), told, "{available_spare} %, read-only {is_read_only}");
    };
    step(&mut bench, 9, false, false, None);
    step(&mut bench, 10, false, false, None);
    bench.admin(set_features(0xB, 1 << 3 | 1)).ok();
    step(&mut bench, 10, false, false, None);
    step(&mut bench, 9, false, false, Some(SPARE_EVENT));
    step(&mut bench, 8, false, true, None);
    step(&mut bench, 50, false, false, None);
    step(&mut bench, 0, true, false, Some(SPARE_EVENT));
    // Both are on; the second one waits until the log page is read.
    step(&mut bench, 0, true, false, None);
    step(&mut bench, 0, true, true, Some(RELIABILITY_EVENT));
    step(&mut bench, 0, true, true, None);
    // What is on already is told when it is wanted.
    bench.admin(set_features(0xB, 0)).ok();
    bench.admin(set_features(0xB, 1 << 3)).ok();
    step(&mut bench, 0, true, true, Some(RELIABILITY_EVENT));
}

/// Events of the medium are those of no function in particular: the host of each is told.
#[test]
fn a_worn_medium_is_told_to_the_host_of_each_function() {
    let mut bench = Bench::with(2, 0);
    let mut cids = vec![];
    for function in 0..2 {
        bench.execute(function, set_features(0xB, 1)).ok();
        cids.push(bench.submit(function, async_event_request()));
    }
    bench.run_to_rest();
    bench.firmware.set_medium_health(MediumHealth::default());
    bench.run_to_rest();
    for (function, cid) in (0..2).zip(cids) {
        let completions = bench.completions_of(function, cid);
        assert_eq!(completions.iter().map(|posted| posted.result).collect::<Vec<_>>(), [SPARE_EVENT], "{function}");
    }
}

/// An event that comes before its request waits for it.
#[test]
fn an_event_waits_for_a_request() {
    let mut bench = Bench::ready();
    bench.admin(set_features(0xB, 2)).ok();
    // The device is at most as warm as the under temperature threshold.
    bench.admin(set_features(4, 1 << 20 | 320)).ok();
    assert_eq!(bench.admin(async_event_request()).ok(), TEMPERATURE_EVENT);
}

/// Doorbell errors are told and logged; the two kinds are one type.
#[test]
fn doorbell_errors_are_told() {
    let mut bench = Bench::ready();
    let cids: Vec<_> = (0..3).map(|_| bench.submit(0, async_event_request())).collect();
    bench.port().raise(function_events::INVALID_DOORBELL);
    bench.polls(2);
    bench.port().raise(function_events::INVALID_DOORBELL_VALUE);
    bench.polls(2);
    assert_eq!(results(&mut bench, &cids), [DOORBELL_REGISTER_EVENT]);
    let log = bench.admin(get_log_page(1, 128)).data();
    assert_eq!((log[0], log[64]), (2, 1), "two errors");
    assert_eq!(log[8..12], [0xFF; 4], "of no command");
    bench.polls(2);
    assert_eq!(results(&mut bench, &cids), [DOORBELL_REGISTER_EVENT, DOORBELL_VALUE_EVENT]);
}
