//! Enable, disable, shutdown: group A.

use nvme_spec::firmware_port::function_events;
use nvme_spec::regs::{cc, csts};
use nvme_spec::{FatalCode, Status};

use crate::bench::{async_event_request, create_cq, identify, Bench, BLOCKS, CC_ENABLED};
use crate::fake_port::{Cq, Sq, QUEUE_ENTRIES_MAX};

#[test]
fn nothing_happens_before_the_host_enables_the_controller() {
    let mut bench = Bench::powered_on();
    assert_eq!(bench.port().accesses, 0);
    bench.polls(3);
    assert_eq!(bench.port().accesses, 3, "an idle poll reads one register");
    assert_eq!(bench.port().csts(), 0);
}

/// A7: the admin queues are created from AQA, ASQ and ACQ.
#[test]
fn enable_creates_the_admin_queues_and_sets_ready() {
    let mut bench = Bench::powered_on();
    bench.port().host_writes_admin_queues(32, 4);
    bench.port().host_writes_cc(CC_ENABLED);
    bench.polls(1);
    let port = bench.port();
    assert_eq!(port.csts(), csts::RDY.set32(0, 1));
    let sq = Sq { base: 0x1_0001_0000, entries: 32, cqid: 0, stopped: false, function: 0, qid: 0, priority: 0 };
    let cq = Cq { base: 0x2_0002_0000, entries: 4, vector: 0, interrupts_enabled: true, function: 0, qid: 0 };
    assert_eq!((port.sqs.get(&0), port.cqs.get(&0)), (Some(&sq), Some(&cq)));
    assert_eq!(port.namespace_blocks(), BLOCKS);
    assert_eq!(port.completions, []);
    bench.polls(3);
    assert_eq!(bench.firmware.fatal(), None);
}

/// A10: what CAP does not offer ends with CFS, and the controller recovers.
#[test]
fn a_wrong_configuration_is_fatal_until_a_reset() {
    let fields = [(cc::MPS, 1), (cc::CSS, 1), (cc::CSS, 6), (cc::CSS, 7), (cc::AMS, 1), (cc::AMS, 7)];
    for (field, value) in fields {
        let mut bench = Bench::powered_on();
        bench.enable(field.set32(CC_ENABLED, value));
        assert_eq!(bench.port().csts(), csts::CFS.set32(0, 1), "{} = {value}", field.name);
        assert_eq!(bench.firmware.fatal(), Some(FatalCode::InvalidConfiguration));
        bench.polls(5);
        assert!(bench.port().sqs.is_empty());
        bench.reset();
        bench.admin(identify(1, 0)).data();
    }
}

/// A12 and A13: sizes of the admin queues.
#[test]
fn admin_queue_sizes_are_checked() {
    // Not bound by CAP.MQES, which is about I/O queues.
    let max = nvme_spec::limits::QUEUE_ENTRIES_MAX;
    assert!(QUEUE_ENTRIES_MAX < max);
    let good = [(2, 2), (max, max), (32, 4), (2, max)];
    let bad = [(1, 32), (32, 1), (1, 1)];
    for (sizes, is_good) in good.map(|sizes| (sizes, true)).into_iter().chain(bad.map(|sizes| (sizes, false))) {
        let mut bench = Bench::powered_on();
        bench.port().host_writes_admin_queues(sizes.0, sizes.1);
        bench.port().host_writes_cc(CC_ENABLED);
        bench.polls(2);
        let expected = if is_good { csts::RDY } else { csts::CFS };
        assert_eq!(bench.port().csts(), expected.set32(0, 1), "{sizes:?}");
    }
}

/// The I/O queue entry sizes may be zero as long as no I/O queue is created.
#[test]
fn entry_sizes_are_looked_at_when_a_queue_is_created() {
    let mut bench = Bench::powered_on();
    bench.enable(1);
    bench.refused(create_cq(1, 16), Status::INVALID_QUEUE_SIZE);
    bench.port().host_writes_cc(CC_ENABLED);
    bench.create_cq(1);
    bench.port().host_writes_cc(cc::IOSQES.set32(CC_ENABLED, 5));
    bench.refused(crate::bench::create_sq(1, 16, 1), Status::INVALID_QUEUE_SIZE);
}

#[test]
fn unknown_hardware_is_not_touched() {
    let mut bench = Bench::powered_on();
    bench.port().set_version(0x1234);
    bench.enable(CC_ENABLED);
    assert_eq!(bench.firmware.fatal(), Some(FatalCode::UnknownHardware));
    assert!(bench.port().sqs.is_empty());
}

/// A8 and A22: a reset drops everything, a thousand times.
#[test]
fn every_life_starts_anew() {
    let mut bench = Bench::ready();
    for _ in 0..1000 {
        bench.create_cq(1);
        bench.create_sq(1, 1);
        for _ in 0..4 {
            bench.submit(0, async_event_request());
        }
        bench.submit(0, identify(1, 0));
        bench.polls(1);
        let before = bench.port().completions.len();
        bench.reset();
        bench.polls(2);
        assert_eq!(bench.port().completions.len(), before, "nothing of the old life is completed");
        bench.port().completions.clear();
        bench.port().sent.clear();
    }
}

/// A9: CC.EN falls and rises before firmware looks.
#[test]
fn a_short_disable_is_a_reset() {
    let mut bench = Bench::ready();
    bench.create_cq(2);
    bench.port().host_writes_cc(CC_ENABLED & !1);
    bench.port().host_writes_cc(CC_ENABLED);
    bench.polls(2);
    assert_eq!(bench.port().csts(), 1);
    assert_eq!(bench.port().cqs.len(), 1);
    bench.create_cq(2);
}

/// The controller is disabled while firmware works on something: what it still asks for is dropped.
#[test]
fn a_reset_may_come_between_any_two_polls() {
    for polls in 0..12 {
        let mut bench = Bench::ready();
        bench.create_cq(1);
        bench.create_sq(1, 1);
        bench.port().in_flight.insert(1, 1);
        bench.port().full.insert(0);
        for entry in [identify(1, 0), crate::bench::delete_sq(1), async_event_request(), identify(2, 9)] {
            bench.submit(0, entry);
        }
        bench.polls(polls);
        bench.reset();
        bench.create_cq(1);
        bench.create_sq(1, 1);
        bench.admin(identify(1, 0)).data();
    }
}

fn shutdown_status(bench: &mut Bench) -> u32 {
    csts::SHST.get32(bench.port().csts())
}

/// A14 and A15: the shutdown ends when nothing is in flight, and leaves with the reset.
#[test]
fn shutdown_waits_for_commands_in_flight() {
    for notification in [1, 2] {
        let mut bench = Bench::ready();
        for qid in 1..=2 {
            bench.create_cq(qid);
            bench.create_sq(qid, qid);
        }
        bench.port().in_flight.insert(2, 3);
        bench.port().host_writes_cc(cc::SHN.set32(CC_ENABLED, notification));
        bench.polls(10);
        assert_eq!(shutdown_status(&mut bench), 1);
        assert!(bench.port().sqs[&1].stopped && bench.port().sqs[&2].stopped);
        bench.port().in_flight.clear();
        bench.polls(10);
        assert_eq!(shutdown_status(&mut bench), 2);
        assert_eq!(csts::RDY.get32(bench.port().csts()), 1);
        bench.reset();
    }
}

/// A17: a shutdown of a controller that is disabled, or with the disable.
#[test]
fn shutdown_of_a_disabled_controller_is_complete_at_once() {
    let mut bench = Bench::powered_on();
    bench.port().host_writes_cc(cc::SHN.set32(0, 1));
    bench.polls(1);
    assert_eq!(shutdown_status(&mut bench), 2);
    bench.enable(CC_ENABLED);
    assert_eq!(bench.port().csts(), 1, "a new life has no shutdown");
    bench.port().host_writes_cc(cc::SHN.set32(CC_ENABLED & !1, 1));
    bench.polls(3);
    assert_eq!(csts::RDY.get32(bench.port().csts()), 0);
    bench.enable(CC_ENABLED);
    assert_eq!(bench.port().csts(), 1);
}

/// A18: the admin queue is where the device cannot read.
#[test]
fn a_host_memory_error_is_fatal_until_a_reset() {
    let mut bench = Bench::ready();
    bench.port().raise(function_events::HOST_ERROR);
    bench.polls(3);
    assert_eq!(csts::CFS.get32(bench.port().csts()), 1);
    assert_eq!(bench.firmware.fatal(), Some(FatalCode::HostMemory));
    bench.reset();
    bench.admin(identify(1, 0)).data();
}
