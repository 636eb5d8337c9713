//! NVMe PCIe, "Interrupts"; PCI Express Base, "MSI-X Capability and Table Structure".
//!
//! The driver notices an interrupt without a completion before it, and one that no vector of the table holds, in every test.

use nvme_spec::feature::{fid, AGGREGATION_TIME_CLOCKS};
use nvme_spec::firmware_port::coalescing::{THR, TIME};
use nvme_spec::firmware_port::vector_coalescing::{DISABLE, VECTOR};
use nvme_spec::Status;
use sim_device::{Device, Sideband, MESSAGE_WINDOW};
use sim_host::{Driver, DriverError, Options, Waiting};

use crate::expect::{assert_io, bring_up, bring_up_with, flush, get_features, set_features, start, Host};
use crate::{every_back_end, Outcome};

/// Clocks in which an interrupt that is going to come has come.
const INTERRUPT_CLOCKS: u64 = 4000;

/// Waits until a message of `vector` has arrived.
fn expect_message(host: &mut Host<'_>, vector: u16) -> Outcome {
    let mut messages = 0;
    host.wait_until(&format!("an interrupt of vector {vector}"), |h| {
        messages += h.take_messages(vector);
        messages > 0
    })
}

fn expect_no_message(host: &mut Host<'_>, vector: u16) -> Outcome {
    host.run_for(INTERRUPT_CLOCKS)?;
    assert_eq!(host.take_messages(vector), 0, "vector {vector}");
    Ok(())
}

/// A vector per completion queue.
///
/// Cases: M1.
#[test]
fn every_completion_queue_interrupts_with_its_vector() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        running.host.run_for(INTERRUPT_CLOCKS)?;
        // An interrupt whose reason the host has taken away may not come.
        running.host.options().release_completions = false;
        for queue in 1..=running.queues {
            for vector in 0..=running.queues {
                running.host.take_messages(vector);
            }
            let cid = running.host.submit(queue, flush(running.identity.nsid), &[])?;
            running.host.wait(queue, cid)?;
            expect_message(&mut running.host, queue)?;
            for other in (0..=running.queues).filter(|vector| *vector != queue) {
                assert_eq!(running.host.take_messages(other), 0, "vector {other} for queue {queue}");
            }
        }
        Ok(())
    });
}

/// One vector for all completion queues.
///
/// Cases: M1.
#[test]
fn queues_may_share_a_vector() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let granted = host.set_number_of_queues(3)?.min(3);
        for queue in 1..=granted {
            host.create_queue_pair(queue, 8, Some(1))?;
        }
        host.options().waiting = Waiting::Interrupts;
        for _ in 0..20 {
            for queue in 1..=granted {
                host.submit(queue, flush(1), &[])?;
            }
            assert_eq!(host.wait_all()?.len(), usize::from(granted));
        }
        Ok(())
    });
}

/// A host that looks at a queue only after an interrupt loses nothing.
///
/// Cases: M1, M3.
#[test]
fn work_can_be_driven_by_interrupts_alone() {
    every_back_end(|device| {
        let options = Options { waiting: Waiting::Interrupts, poll_clocks: 3, ..Options::default() };
        let mut running = bring_up_with(Driver::new(device, options))?;
        for round in 0..60u64 {
            for queue in 1..=running.queues {
                for _ in 0..=round % 5 {
                    running.submit_transfer(queue, round * 8, 8, round % 2 == 0)?;
                }
            }
            running.host.wait_all()?;
            for buffer in std::mem::take(&mut running.buffers) {
                buffer.free(running.host.host());
            }
        }
        Ok(())
    });
}

/// "Mask Bit" and "Pending Bits".
///
/// Cases: M2.
#[test]
fn masked_vectors_stay_pending_and_send_one_message_when_unmasked() {
    every_back_end(|device| {
        let mut host = bring_up(device)?.host;
        host.run_for(INTERRUPT_CLOCKS)?;
        host.take_messages(1);
        host.mask_vector(1, true);
        assert!(!host.is_pending(1), "before");
        host.options().release_completions = false;
        for _ in 0..3 {
            host.submit(1, flush(1), &[])?;
        }
        host.wait_all()?;
        expect_no_message(&mut host, 1)?;
        assert!(host.is_pending(1), "while masked");
        host.mask_vector(1, false);
        host.run_for(INTERRUPT_CLOCKS)?;
        assert_eq!(host.take_messages(1), 1, "when unmasked");
        assert!(!host.is_pending(1), "after");
        Ok(())
    });
}

/// "Function Mask": as if every vector were masked.
///
/// Cases: M2.
#[test]
fn function_mask_holds_all_vectors_back() {
    every_back_end(|device| {
        let mut host = bring_up(device)?.host;
        host.run_for(INTERRUPT_CLOCKS)?;
        host.take_messages(1);
        host.device().set_sideband(0, Sideband { msix_function_mask: true, ..Sideband::RUNNING });
        host.run_for(50)?;
        host.options().release_completions = false;
        assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
        expect_no_message(&mut host, 1)?;
        assert!(host.is_pending(1), "while masked");
        host.device().set_sideband(0, Sideband::RUNNING);
        expect_message(&mut host, 1)?;
        assert!(!host.is_pending(1), "after");
        Ok(())
    });
}

/// "MSI-X Enable" 0: the function sends no message; polling works.
#[test]
fn without_msix_no_message_is_sent() {
    every_back_end(|device| {
        let mut host = bring_up(device)?.host;
        host.run_for(INTERRUPT_CLOCKS)?;
        host.take_messages(1);
        host.device().set_sideband(0, Sideband { msix_enable: false, ..Sideband::RUNNING });
        host.run_for(50)?;
        assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
        expect_no_message(&mut host, 1)
    });
}

/// "MSI-X": a host that consumes a part of the entries and rings the head doorbell is interrupted again for the rest.
///
/// Cases: M3.
#[test]
fn entries_left_behind_interrupt_again() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.create_queue_pair(1, 16, Some(1))?;
        host.options().release_completions = false;
        for rounds in 0..3 {
            for _ in 0..4 {
                host.push(1, flush(1), &[])?;
            }
            host.ring(1);
            // Nothing is consumed yet: only interrupts are looked at.
            let start = host.clock();
            while host.waiting_completions(1) < 4 {
                host.step(16)?;
                assert!(host.clock() - start < INTERRUPT_CLOCKS, "round {rounds}: four completions");
            }
            host.step(INTERRUPT_CLOCKS as u32)?;
            assert!(host.take_messages(1) >= 1, "round {rounds}: the first interrupt");
            for left in (0..4).rev() {
                assert!(host.consume(1)?);
                host.release(1);
                host.step(INTERRUPT_CLOCKS as u32)?;
                let messages = host.take_messages(1);
                assert_eq!(messages > 0, left > 0, "round {rounds}: {messages} interrupts with {left} entries left");
            }
            while host.next_completion().is_some() {}
        }
        Ok(())
    });
}

/// "MSI-X Table": software may change an entry while it is masked.
///
/// Cases: M4.
#[test]
fn message_address_and_data_may_change_while_masked() {
    every_back_end(|device| {
        let mut host = bring_up(device)?.host;
        host.run_for(INTERRUPT_CLOCKS)?;
        for change in 1..4u32 {
            host.take_messages(1);
            host.mask_vector(1, true);
            assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
            // A message to the old address, or with the old data, is in no entry of the table.
            host.set_vector(1, MESSAGE_WINDOW.start + 0x8_0000 + u64::from(change) * 4, 0xABC0_0000 + change);
            host.mask_vector(1, false);
            host.options().release_completions = false;
            assert_io(&mut host, flush(1), &[], &[Status::SUCCESS], "Flush");
            expect_message(&mut host, 1)?;
            host.options().release_completions = true;
        }
        Ok(())
    });
}

/// "Interrupts": when the message arrives, the entry is there. One command at a time, so that each message belongs to one entry.
///
/// Cases: M1.
#[test]
fn interrupt_comes_after_its_completion() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        running.host.run_for(INTERRUPT_CLOCKS)?;
        running.host.take_messages(1);
        for lba in 0..20 {
            running.submit_transfer(1, lba, 1, lba % 2 == 0)?;
            let start = running.host.clock();
            while running.host.take_messages(1) == 0 {
                running.host.step(1)?;
                assert!(running.host.clock() - start < 100_000, "an interrupt");
            }
            assert_eq!(running.host.waiting_completions(1), 1, "the entry is there when the message arrives");
            running.host.poll()?;
            running.host.run_for(200)?;
            running.host.take_messages(1);
        }
        Ok(())
    });
}

/// Clocks from an entry in memory to its message, at most, on a device that does nothing else.
const PROMPT_CLOCKS: u64 = 500;

/// A controller with I/O queue pairs 1 and 2 of these vectors and with Interrupt Coalescing: so many entries, or so many units of time. Messages
/// are counted by entries alone, so the host gives no entries back.
fn start_coalescing(
    device: &mut dyn Device,
    vectors: [u16; 2],
    entries: u32,
    time: u32,
) -> Result<Host<'_>, DriverError> {
    let mut host = start(device)?;
    host.set_number_of_queues(2)?;
    for (queue, vector) in (1..).zip(vectors) {
        host.create_queue_pair(queue, 16, Some(vector))?;
    }
    let feature = TIME.set32(THR.set32(0, entries - 1), time);
    host.admin("Set Features, Interrupt Coalescing", set_features(fid::INTERRUPT_COALESCING, feature))?;
    host.run_for(INTERRUPT_CLOCKS)?;
    for vector in 0..=2 {
        host.take_messages(vector);
    }
    host.options().release_completions = false;
    Ok(host)
}

/// Completes a command in a queue; the messages of a vector that its entry has brought soon.
fn messages_of_one(host: &mut Host<'_>, queue: u16, vector: u16) -> Result<u64, DriverError> {
    host.execute(queue, flush(1), &[])?;
    host.run_for(PROMPT_CLOCKS)?;
    Ok(host.take_messages(vector))
}

/// "Interrupt Coalescing", Aggregation Threshold: one message for so many completions, whichever queue of the vector they are in.
///
/// Cases: M6.
#[test]
fn coalescing_waits_for_the_threshold() {
    every_back_end(|device| {
        for entries in [1, 2, 5] {
            let mut host = start_coalescing(device, [1, 2], entries, TIME.max() as u32)?;
            for number in 1..=12 {
                let expected = u64::from(number % entries == 0);
                assert_eq!(messages_of_one(&mut host, 1, 1)?, expected, "completion {number}, threshold {entries}");
            }
            assert_eq!(host.take_messages(2), 0);
        }
        let mut host = start_coalescing(device, [1, 1], 4, TIME.max() as u32)?;
        for number in 1..=12 {
            let queue = 1 + number % 2;
            let expected = u64::from(number % 4 == 0);
            assert_eq!(messages_of_one(&mut host, queue, 1)?, expected, "completion {number} of a shared vector");
        }
        let mut host = start_coalescing(device, [1, 2], 3, TIME.max() as u32)?;
        for number in 1..=6 {
            for queue in [1, 2] {
                let expected = u64::from(number % 3 == 0);
                assert_eq!(messages_of_one(&mut host, queue, queue)?, expected, "completion {number} of two vectors");
            }
        }
        Ok(())
    });
}

/// "Interrupt Coalescing", Aggregation Time: what has not reached the threshold is announced by one message when the time is over; 0 does not wait.
///
/// Cases: M6.
#[test]
fn coalescing_waits_no_longer_than_its_time() {
    every_back_end(|device| {
        for time in [1, 3] {
            let mut host = start_coalescing(device, [1, 2], THR.max() as u32 + 1, time)?;
            host.options().poll_clocks = 100;
            for completions in [1, 3] {
                let first = host.execute(1, flush(1), &[])?.completed_at;
                for _ in 1..completions {
                    host.execute(1, flush(1), &[])?;
                }
                expect_message(&mut host, 1)?;
                let waited = host.clock() - first;
                // A unit more, for a clock that ticks in units.
                let bounds = u64::from(time) * AGGREGATION_TIME_CLOCKS..u64::from(time + 1) * AGGREGATION_TIME_CLOCKS;
                let bounds = bounds.start..bounds.end + PROMPT_CLOCKS;
                assert!(bounds.contains(&waited), "{completions} completions: {waited} clocks instead of {bounds:?}");
                host.run_for(2 * AGGREGATION_TIME_CLOCKS)?;
                assert_eq!(host.take_messages(1), 0, "one message for {completions} completions");
            }
        }
        let mut host = start_coalescing(device, [1, 2], THR.max() as u32 + 1, 0)?;
        for _ in 0..4 {
            assert_eq!(messages_of_one(&mut host, 1, 1)?, 1, "without a time nothing waits");
        }
        Ok(())
    });
}

/// "Interrupt Vector Configuration", Coalescing Disable: of one vector.
///
/// Cases: M6, I12.
#[test]
fn coalescing_can_be_disabled_for_a_vector() {
    every_back_end(|device| {
        let mut host = start_coalescing(device, [1, 2], 3, TIME.max() as u32)?;
        for disable in [1, 0, 1] {
            let feature = DISABLE.set32(VECTOR.set32(0, 1), disable);
            host.admin("Set Features", set_features(fid::INTERRUPT_VECTOR_CONFIGURATION, feature))?;
            for number in 1..=3 {
                let is_reached = number == 3;
                let expected = u64::from(disable == 1 || is_reached);
                assert_eq!(messages_of_one(&mut host, 1, 1)?, expected, "completion {number}, CD {disable}");
                assert_eq!(messages_of_one(&mut host, 2, 2)?, u64::from(is_reached), "completion {number}, vector 2");
            }
        }
        Ok(())
    });
}

/// "Interrupt Coalescing": it applies to I/O queues alone.
///
/// Cases: M6, I12.
#[test]
fn completions_of_the_admin_queue_are_never_coalesced() {
    every_back_end(|device| {
        let mut host = start_coalescing(device, [1, 2], THR.max() as u32 + 1, TIME.max() as u32)?;
        for number in 0..4 {
            assert_eq!(messages_of_one(&mut host, 1, 1)?, 0, "completion {number} of an I/O queue");
            host.execute(0, get_features(fid::INTERRUPT_COALESCING, 0), &[])?;
            host.run_for(PROMPT_CLOCKS)?;
            assert_eq!(host.take_messages(0), 1, "completion {number} of the admin queue");
            // Not even if its vector takes part.
            let feature = DISABLE.set32(VECTOR.set32(0, 0), number % 2);
            host.admin("Set Features", set_features(fid::INTERRUPT_VECTOR_CONFIGURATION, feature))?;
            host.run_for(PROMPT_CLOCKS)?;
            assert_eq!(host.take_messages(0), 1, "Set Features {number}");
        }
        Ok(())
    });
}
