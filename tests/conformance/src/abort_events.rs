//! NVMe Base, "Abort command" and "Asynchronous Event Request command".

use nvme_spec::feature::{error_event, event_result, event_type, fid, smart_event};
use nvme_spec::log::{critical_warning, lid, SmartLog};
use nvme_spec::{regs, Status};
use sim_host::{Completion, Driver, DriverError, Options};

use crate::expect::{
    abort, assert_ends, assert_works, async_event_request, bring_up, get_features, get_log_page, set_features, start,
    wire, Host,
};
use crate::{every_back_end, Outcome};

/// Clocks in which an event that is going to be reported is reported.
const EVENT_CLOCKS: u64 = 20_000;

/// "Abort command": bit 0 of dword 0 is 1 if the command was not aborted.
///
/// Cases: G1.
#[test]
fn abort_of_an_unknown_command_reports_that_nothing_was_aborted() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        for (queue, cid) in [(0, 0x1234), (1, 0x1234), (running.queues + 1, 1), (0xFFFF, 1)] {
            let completion = running.host.execute(0, abort(queue, cid), &[])?;
            let allowed = [Status::SUCCESS, Status::INVALID_FIELD, Status::INVALID_QUEUE_ID];
            let allowed = if queue <= running.queues { &allowed[..1] } else { &allowed };
            assert_ends(&completion, allowed, &format!("Abort of {cid:#x} in queue {queue}"));
            if completion.status.is_success() {
                assert_eq!(completion.result & 1, 1, "queue {queue}");
            }
        }
        assert_works(&mut running.host)
    });
}

/// "Abort command": the aborted command's completion comes first, with Command Abort Requested.
///
/// Cases: G2.
#[test]
fn abort_of_an_event_request_ends_it_before_the_abort() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for _ in 0..6 {
            let request = host.submit(0, async_event_request(), &[])?;
            host.run_for(EVENT_CLOCKS)?;
            let abort = host.submit(0, abort(0, request), &[])?;
            let completions = host.wait_all()?;
            let order: Vec<u16> = completions.iter().map(|c| c.cid).collect();
            assert_eq!(order, [request, abort]);
            assert_ends(&completions[0], &[Status::ABORT_REQUESTED], "the request");
            assert_ends(&completions[1], &[Status::SUCCESS], "the Abort");
            assert_eq!(completions[1].result & 1, 0, "it was aborted");
        }
        assert_works(&mut host)
    });
}

/// "Abort command": best effort. Every command ends once, aborted or not, and the Abort tells the truth.
///
/// Cases: G2.
#[test]
fn abort_of_io_commands_does_no_harm() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        for round in 0..10u32 {
            let victims: Vec<u16> =
                (0..3).map(|i| running.submit_transfer(1, i * 32, 32, false)).collect::<Result<_, DriverError>>()?;
            let victim = victims[round as usize % victims.len()];
            running.host.device().step(round * 10);
            let abort = running.host.submit(0, abort(1, victim), &[])?;
            let completions = running.host.wait_all()?;
            let of = |cid| completions.iter().find(|c: &&Completion| (c.queue, c.cid) == (1, cid));
            let answer = completions.iter().find(|c| (c.queue, c.cid) == (0, abort)).expect("wait_all waits for it");
            assert_ends(answer, &[Status::SUCCESS], "Abort");
            for cid in victims {
                let end = of(cid).expect("wait_all waits for it");
                let is_aborted = cid == victim && answer.result & 1 == 0;
                let expected = if is_aborted { Status::ABORT_REQUESTED } else { Status::SUCCESS };
                assert_ends(end, &[expected], "a Read");
            }
            for buffer in std::mem::take(&mut running.buffers) {
                buffer.free(running.host.host());
            }
        }
        assert_works(&mut running.host)
    });
}

/// "Abort command": no more than ACL + 1 at once; a controller that is faster executes them all.
///
/// Cases: G3.
#[test]
fn surplus_aborts_are_refused_or_done() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let limit = u16::from(host.identity()?.controller.acl) + 1;
        let aborts = (limit + 1).min(31);
        for cid in 0..aborts {
            host.push(0, abort(0, 0x4000 + cid), &[])?;
        }
        host.ring(0);
        let completions = host.wait_all()?;
        assert_eq!(completions.len(), usize::from(aborts));
        for completion in &completions {
            assert_ends(completion, &[Status::SUCCESS, Status::ABORT_LIMIT_EXCEEDED], "Abort");
        }
        let done = completions.iter().filter(|c| c.status.is_success()).count();
        assert!(done >= usize::from(limit.min(aborts)), "{done} of {aborts} Aborts with a limit of {limit}");
        assert_works(&mut host)
    });
}

/// "Asynchronous Event Request Limit": the surplus ends at once, the others wait for ever.
///
/// Cases: G4.
#[test]
fn surplus_event_requests_are_refused_and_the_others_wait() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let limit = u16::from(host.identity()?.controller.aerl) + 1;
        for _ in 0..limit {
            host.submit(0, async_event_request(), &[])?;
        }
        host.run_for(EVENT_CLOCKS)?;
        for _ in 0..3 {
            let completion = host.execute(0, async_event_request(), &[])?;
            assert_ends(&completion, &[Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED], "one too many");
        }
        host.run_for(EVENT_CLOCKS)?;
        assert_eq!(host.next_completion(), None);
        assert_eq!(host.in_flight(), usize::from(limit));
        assert_works(&mut host)
    });
}

/// "Controller Level Reset": requests end without a completion, and their count begins anew.
///
/// Cases: G5.
#[test]
fn reset_drops_event_requests_without_completions() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let limit = u16::from(host.identity()?.controller.aerl) + 1;
        for _ in 0..3 {
            for _ in 0..limit {
                host.submit(0, async_event_request(), &[])?;
            }
            host.run_for(EVENT_CLOCKS)?;
            assert_eq!(host.next_completion(), None);
            host.disable()?;
            host.enable()?;
        }
        assert_works(&mut host)
    });
}

/// Waits for an event on request `cid`.
fn expect_event(host: &mut Host<'_>, cid: u16, result: u32) -> Outcome {
    let completion = host.wait(0, cid)?;
    assert_ends(&completion, &[Status::SUCCESS], "an event");
    assert_eq!(completion.result, result, "type, information and log page");
    Ok(())
}

fn expect_silence(host: &mut Host<'_>, cid: u16) -> Outcome {
    host.run_for(EVENT_CLOCKS)?;
    assert_eq!(host.take_completion(0, cid), None, "an event that should be silent");
    Ok(())
}

fn read_log(host: &mut Host<'_>, log_page: u8, retain: bool) -> Result<Vec<u8>, DriverError> {
    let (completion, data) = host.admin_data(get_log_page(log_page, 512, 0, retain), 512)?;
    assert_ends(&completion, &[Status::SUCCESS], "Get Log Page");
    Ok(data)
}

const DOORBELL_REGISTER: u32 =
    event_result(event_type::ERROR, error_event::INVALID_DOORBELL_REGISTER, lid::ERROR_INFORMATION);
const DOORBELL_VALUE: u32 =
    event_result(event_type::ERROR, error_event::INVALID_DOORBELL_VALUE, lid::ERROR_INFORMATION);
const TEMPERATURE: u32 = event_result(event_type::SMART, smart_event::TEMPERATURE_THRESHOLD, lid::SMART);

/// "Asynchronous Event Request command": an event masks its type until its log page is read without Retain Asynchronous Event.
///
/// Cases: G6.
#[test]
fn event_type_stays_silent_until_its_log_page_is_read() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let first = host.submit(0, async_event_request(), &[])?;
        // Which of two requests reports an event is open, unless one is there before the other.
        host.run_for(EVENT_CLOCKS)?;
        provoke_temperature_event(&mut host)?;
        expect_event(&mut host, first, TEMPERATURE)?;
        let second = host.submit(0, async_event_request(), &[])?;
        host.run_for(EVENT_CLOCKS)?;
        provoke_temperature_event(&mut host)?;
        expect_silence(&mut host, second)?;
        read_log(&mut host, lid::SMART, true)?;
        expect_silence(&mut host, second)?;
        read_log(&mut host, lid::SMART, false)?;
        // What happened while the type was masked may be reported now; what happens from now on must be.
        provoke_temperature_event(&mut host)?;
        expect_event(&mut host, second, TEMPERATURE)
    });
}

/// Sets the over temperature threshold above and then below what the sensor shows, with events on.
fn provoke_temperature_event(host: &mut Host<'_>) -> Outcome {
    let events = set_features(fid::ASYNC_EVENT_CONFIGURATION, critical_warning::TEMPERATURE.into());
    host.admin("Set Features, events on", events)?;
    for threshold in [0xFFFF, 1] {
        let entry = set_features(fid::TEMPERATURE_THRESHOLD, threshold);
        host.admin("Set Features, Temperature Threshold", entry)?;
    }
    Ok(())
}

/// "Asynchronous Event Configuration": bits off, no event; bits on, one event.
///
/// Cases: G7.
#[test]
fn event_configuration_silences_events() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let request = host.submit(0, async_event_request(), &[])?;
        host.admin("Set Features, events off", set_features(fid::ASYNC_EVENT_CONFIGURATION, 0))?;
        host.admin("Set Features, Temperature Threshold", set_features(fid::TEMPERATURE_THRESHOLD, 1))?;
        expect_silence(&mut host, request)?;
        host.admin("Set Features, Temperature Threshold", set_features(fid::TEMPERATURE_THRESHOLD, 0xFFFF))?;
        provoke_temperature_event(&mut host)?;
        expect_event(&mut host, request, TEMPERATURE)
    });
}

/// "Temperature Threshold" and "SMART / Health Information": the event and the Critical Warning bit.
///
/// Cases: G8.
#[test]
fn temperature_threshold_raises_an_event() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let smart: SmartLog = wire(&read_log(&mut host, lid::SMART, false)?);
        assert_eq!(smart.critical_warning & critical_warning::TEMPERATURE, 0, "not before");
        let temperature = u32::from(smart.composite_temperature.get());
        let request = host.submit(0, async_event_request(), &[])?;
        let events = set_features(fid::ASYNC_EVENT_CONFIGURATION, critical_warning::TEMPERATURE.into());
        host.admin("Set Features, events on", events)?;
        // An over temperature threshold of exactly the temperature is reached.
        host.admin("Set Features, Temperature Threshold", set_features(fid::TEMPERATURE_THRESHOLD, temperature))?;
        expect_event(&mut host, request, TEMPERATURE)?;
        let smart: SmartLog = wire(&read_log(&mut host, lid::SMART, false)?);
        assert_ne!(smart.critical_warning & critical_warning::TEMPERATURE, 0);
        let back = host.admin("Get Features", get_features(fid::TEMPERATURE_THRESHOLD, 0))?.result;
        assert_eq!(back, temperature);
        Ok(())
    });
}

/// "Asynchronous Event Information - Error Status": doorbells of queues that do not exist, and impossible positions.
///
/// Cases: X4.
#[test]
fn invalid_doorbell_writes_are_reported() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let (queues, entries) = (running.queues, u32::from(running.entries));
        let host = &mut running.host;
        for (offset, value, event) in [
            (regs::sq_tail_doorbell(queues + 1), 1, DOORBELL_REGISTER),
            (regs::sq_tail_doorbell(1), entries, DOORBELL_VALUE),
        ] {
            let request = host.submit(0, async_event_request(), &[])?;
            expect_silence(host, request)?;
            host.write32(offset, value);
            expect_event(host, request, event)?;
            read_log(host, lid::ERROR_INFORMATION, false)?;
        }
        assert_works(host)
    });
}

/// "SQ Head Pointer": the head when the entry is written, also in the completions of commands that were held and waited for room.
///
/// Cases: B2.
#[test]
fn completions_of_held_commands_tell_where_the_head_is() {
    every_back_end(|device| {
        let options = Options { admin_completion_entries: 4, poll_clocks: 64, ..Options::default() };
        let mut host = Driver::new(device, options);
        host.start()?;
        // A head that goes back is a violation.
        for _ in 0..40 {
            let cid = host.push(0, async_event_request(), &[])?;
            for _ in 0..3 {
                host.push(0, get_features(fid::ARBITRATION, 0), &[])?;
            }
            host.push(0, abort(0, cid), &[])?;
            for _ in 0..6 {
                host.push(0, get_features(fid::ARBITRATION, 0), &[])?;
            }
            host.ring(0);
            host.wait_all()?;
        }
        Ok(())
    });
}
