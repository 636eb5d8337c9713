//! NVMe Base, "Controller Properties", "Memory-based Transport Controller Initialization", "Memory-based Controller Shutdown" and
//! "Controller Level Reset".

use nvme_spec::reg::Access as FieldAccess;
use nvme_spec::regs::{self, aqa, cap, cc, csts, shst, AQA, CAP, CC, CSTS, NSSR, REGS, SUBSYSTEM_RESET, VS};
use nvme_spec::Status;
use sim_device::{Access, Device, Random, Sideband};
use sim_host::{Driver, Options};

use crate::expect::{
    assert_works, async_event_request, bring_up, bring_up_with, get_features, rounds, start, Host, Running,
};
use crate::{every_back_end, seed, Outcome};

fn read(device: &mut dyn Device, offset: u32, bytes: u8) -> u64 {
    device.read(Access { function: 0, offset: offset.into(), bytes })
}

fn write(device: &mut dyn Device, offset: u32, bytes: u8, value: u64) {
    device.write(Access { function: 0, offset: offset.into(), bytes }, value);
}

/// "Controller Properties": what is there after power-on.
///
/// Cases: A1.
#[test]
fn registers_have_their_reset_values() {
    every_back_end(|device| {
        assert_eq!(read(device, CC.offset, 4), 0, "CC");
        let status = read(device, CSTS.offset, 4) as u32;
        assert_eq!(csts::RDY.get32(status), 0, "CSTS.RDY");
        assert_eq!(csts::CFS.get32(status), 0, "CSTS.CFS");
        assert_eq!(csts::SHST.get32(status), shst::NORMAL, "CSTS.SHST");
        let capabilities = read(device, CAP.offset, 8);
        assert!(cap::MQES.get(capabilities) >= 1, "CAP.MQES");
        assert!(cap::TO.get(capabilities) > 0, "CAP.TO");
        assert!(cap::MPSMIN.get(capabilities) <= cap::MPSMAX.get(capabilities), "CAP.MPSMIN, CAP.MPSMAX");
        assert_eq!(cap::CSS.get(capabilities) & 1, 1, "CAP.CSS: the NVM command set");
        Ok(())
    });
}

/// "Controller Properties": writes to read-only properties have no effect.
///
/// Cases: A2.
#[test]
fn read_only_registers_ignore_writes() {
    every_back_end(|device| {
        for reg in REGS.iter().filter(|r| r.mask_of(FieldAccess::Rw) == 0) {
            let before = read(device, reg.offset, reg.bytes as u8);
            write(device, reg.offset, reg.bytes as u8, u64::MAX);
            assert_eq!(read(device, reg.offset, reg.bytes as u8), before, "{}", reg.name);
        }
        // The bits of the others that belong to no field are read-only too. CC is left alone: all ones would enable the controller.
        for reg in REGS.iter().filter(|r| r.mask_of(FieldAccess::Rw) != 0 && r.name != CC.name) {
            write(device, reg.offset, reg.bytes as u8, u64::MAX);
            let value = read(device, reg.offset, reg.bytes as u8);
            assert_eq!(value, reg.mask_of(FieldAccess::Rw), "{}", reg.name);
        }
        Ok(())
    });
}

/// "Offset 8h: VS - Version" and "Identify Controller data structure": VER.
///
/// Cases: A3.
#[test]
fn version_equals_that_of_identify_controller() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let identity = host.identity()?;
        let version = host.read32(VS.offset);
        assert_eq!(version, identity.controller.ver.get());
        assert!(version >= 0x0001_0200, "at least 1.2");
        Ok(())
    });
}

/// "Controller Properties": 64-bit properties may be accessed as two 32-bit ones, in either order.
///
/// Cases: A4.
#[test]
fn wide_registers_may_be_accessed_in_halves() {
    every_back_end(|device| {
        for reg in REGS.iter().filter(|r| r.bytes == 8) {
            let mask = reg.mask_of(FieldAccess::Rw);
            for (value, high_first) in [(0x1122_3344_5566_7000, false), (0x99AA_BBCC_DDEE_F000, true)] {
                let mut halves = [(reg.offset, value & 0xFFFF_FFFF), (reg.offset + 4, value >> 32)];
                if high_first {
                    halves.reverse();
                }
                for (offset, half) in halves {
                    write(device, offset, 4, half);
                }
                let expected = if mask == 0 { read(device, reg.offset, 8) } else { value & mask };
                let high = read(device, reg.offset + 4, 4);
                let low = read(device, reg.offset, 4);
                assert_eq!(high << 32 | low, expected, "{} in halves", reg.name);
                assert_eq!(read(device, reg.offset, 8), expected, "{} as a whole", reg.name);
            }
        }
        Ok(())
    });
}

/// "Controller Properties": accesses of other widths are not required to work, but must do no harm.
///
/// Cases: A5.
#[test]
fn narrow_accesses_leave_neighbours_intact() {
    every_back_end(|device| {
        let asq = 0x0123_4567_89AB_C000;
        write(device, regs::ASQ.offset, 8, asq);
        write(device, AQA.offset, 4, 0x0011_0022);
        for offset in 0..regs::ACQ.end() + 8 {
            for bytes in [1, 2] {
                read(device, offset, bytes);
            }
        }
        assert_eq!(read(device, regs::ASQ.offset, 8), asq, "reads change nothing");
        for bytes in [1, 2] {
            write(device, AQA.offset, bytes, 0);
            write(device, AQA.offset + 3, 1, 0);
        }
        write(device, regs::ACQ.offset + 1, 2, 0xFFFF);
        write(device, 0x3F, 2, 0xFFFF);
        assert_eq!(read(device, regs::ASQ.offset, 8), asq, "the neighbour of AQA and ACQ");
        let mut host = start(device)?;
        assert_works(&mut host)
    });
}

/// "Controller Properties": reserved properties read as zero; writes to them have no effect.
///
/// Cases: A6.
#[test]
fn reserved_offsets_read_zero_and_ignore_writes() {
    every_back_end(|device| {
        let is_reserved = |offset: &u32| !REGS.iter().any(|r| (r.offset..r.end()).contains(offset));
        // What later revisions of the specification define between 24h and the doorbells is optional, and not there. Every 13th dword of the
        // large gap stands for the others.
        let near = (0..0x100).step_by(4);
        let far = (0x100..regs::REGISTERS.end).step_by(52);
        for offset in near.chain(far).filter(is_reserved) {
            assert_eq!(read(device, offset, 4), 0, "offset {offset:#x}");
            write(device, offset, 4, 0xFFFF_FFFF);
            assert_eq!(read(device, offset, 4), 0, "offset {offset:#x} after a write");
        }
        Ok(())
    });
}

/// "Memory-based Transport Controller Initialization": CSTS.RDY follows CC.EN, and nothing is completed before a command.
///
/// Cases: A7.
#[test]
fn controller_becomes_ready_and_completes_nothing_unasked() {
    every_back_end(|device| {
        let mut host = start(device)?;
        // A completion for a command that was never submitted is a violation.
        host.run_for(2000)?;
        assert_eq!(csts::CFS.get32(host.csts()), 0);
        assert_works(&mut host)
    });
}

/// "Controller Level Reset": AQA, ASQ and ACQ keep their values; I/O queues are deleted.
///
/// Cases: A8.
#[test]
fn disabling_keeps_the_admin_queue_registers_and_drops_the_io_queues() {
    every_back_end(|device| {
        let mut host = bring_up(device)?.host;
        let registers = |host: &mut Host<'_>| {
            [host.read32(AQA.offset).into(), host.read64(regs::ASQ.offset), host.read64(regs::ACQ.offset)]
        };
        let before = registers(&mut host);
        host.disable()?;
        assert_eq!(registers(&mut host), before);
        assert_eq!(csts::SHST.get32(host.csts()), shst::NORMAL);
        assert_eq!(cc::EN.get32(host.read32(CC.offset)), 0);
        host.enable()?;
        // Queue 1 is free again: creating it succeeds.
        host.create_queue_pair(1, 8, Some(1))
    });
}

/// "Controller Level Reset": after CSTS.RDY is 0 the controller does not access host memory for what was in flight.
///
/// Cases: A8, X8.
#[test]
fn disabling_with_work_in_flight_ends_all_accesses() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let mut random = Random::new(seed());
        for _ in 0..rounds(&mut running.host, 20, 4) {
            running.submit_random_work(&mut random)?;
            let clocks = random.below(400);
            running.host.run_for(clocks)?;
            running.host.disable()?;
            // Any access from now on is a violation.
            running.host.run_for(3000)?;
            running = running.restart()?;
        }
        assert_works(&mut running.host)
    });
}

/// "Offset 14h: CC - Controller Configuration", EN: toggled faster than CSTS.RDY follows, the next proper handshake works.
///
/// Cases: A9.
#[test]
fn enable_may_be_toggled_without_waiting_for_ready() {
    every_back_end(|device| {
        let mut random = Random::new(seed());
        let mut host = bring_up(device)?.host;
        for _ in 0..rounds(&mut host, 50, 5) {
            for enable in [0, 1, 0, 1] {
                host.write32(CC.offset, Host::cc_value(enable));
                host.device().step(random.below(60) as u32);
            }
            host.disable()?;
            host.enable()?;
            assert_works(&mut host)?;
        }
        Ok(())
    });
}

/// "Offset 14h: CC - Controller Configuration": a page size, command set or arbitration mechanism that CAP does not offer.
///
/// Cases: A10.
#[test]
fn unsupported_configurations_do_not_become_operational() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let capabilities = host.read64(CAP.offset);
        let page_size_too_large = cap::MPSMAX.get(capabilities) as u32 + 1;
        let enabled = Host::cc_value(1);
        for (what, value) in [
            ("CC.MPS above CAP.MPSMAX", cc::MPS.set32(enabled, page_size_too_large)),
            ("CC.CSS reserved", cc::CSS.set32(enabled, 3)),
            ("CC.AMS reserved", cc::AMS.set32(enabled, 3)),
        ] {
            host.disable()?;
            host.prepare_admin_queues();
            host.write32(CC.offset, value);
            host.run_for(5000)?;
            let status = host.csts();
            let is_operational = csts::RDY.get32(status) == 1 && csts::CFS.get32(status) == 0;
            assert!(!is_operational, "{what}: CSTS = {status:#x}");
        }
        host.disable()?;
        host.enable()?;
        assert_works(&mut host)
    });
}

/// "Offset 28h: ASQ" and "Offset 30h: ACQ": bits 11:0 are reserved, queues begin at a page.
///
/// Cases: A11.
#[test]
fn low_bits_of_queue_bases_are_ignored() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.disable()?;
        let (submission, completion) = host.prepare_admin_queues();
        host.write64(regs::ASQ.offset, submission | 0xFFF);
        host.write64(regs::ACQ.offset, completion | 0xABC);
        assert_eq!(host.read64(regs::ASQ.offset), submission);
        assert_eq!(host.read64(regs::ACQ.offset), completion);
        host.write32(CC.offset, Host::cc_value(1));
        host.wait_ready()?;
        assert_works(&mut host)
    });
}

/// "Offset 24h: AQA": a queue has at least two entries. What happens with one is open; that a reset recovers is not.
///
/// Cases: A12.
#[test]
fn admin_queues_of_one_entry_do_no_harm() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for value in [0, aqa::ASQS.set32(0, 31), aqa::ACQS.set32(0, 31)] {
            host.disable()?;
            host.prepare_admin_queues();
            host.write32(AQA.offset, value);
            host.write32(CC.offset, Host::cc_value(1));
            host.run_for(2000)?;
            host.write32(regs::sq_tail_doorbell(0), 1);
            host.device().step(2000);
        }
        host.write32(CC.offset, Host::cc_value(0));
        host.device().step(5000);
        host.disable()?;
        host.enable()?;
        assert_works(&mut host)
    });
}

/// "Offset 24h: AQA": 2 to 4096 entries each, independently.
///
/// Cases: A13.
#[test]
fn admin_queues_may_have_any_legal_size() {
    every_back_end(|device| {
        let mut host = start(device)?;
        // AQA allows 4096 entries, whatever CAP.MQES says of I/O queues.
        let limit = aqa::ASQS.max() as u16 + 1;
        for (submission, completion) in [(2, 2), (32, 4), (3, 17), (limit, limit)] {
            host.disable()?;
            host.options().admin_submission_entries = submission;
            host.options().admin_completion_entries = completion;
            host.enable()?;
            // Three passes through the longer queue, except where that takes too long.
            let longer = u32::from(submission.max(completion));
            let commands = if longer == u32::from(limit) { rounds(&mut host, longer + 5, 10) } else { 3 * longer + 1 };
            for _ in 0..commands {
                assert_works(&mut host)?;
            }
        }
        Ok(())
    });
}

/// "Memory-based Controller Shutdown": SHST 00b, 01b, 10b; what was written is there after the next start.
///
/// Cases: A14.
#[test]
fn normal_shutdown_completes_and_keeps_the_data() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let identity = running.identity;
        let data = crate::expect::data(seed(), identity.lba_bytes as usize * 8);
        running.host.write(&identity, 40, &data)?;
        submit_random_reads(&mut running)?;
        shut_down(&mut running.host, 1)?;
        let mut running = bring_up_with(running.host)?;
        assert_eq!(csts::SHST.get32(running.host.csts()), shst::NORMAL, "a reset clears SHST");
        let mut back = vec![0; data.len()];
        running.host.read(&identity, 40, &mut back)?;
        assert_eq!(back, data);
        Ok(())
    });
}

fn submit_random_reads(running: &mut Running<'_>) -> Outcome {
    for lba in 0..6 {
        running.submit_transfer(1, lba, 16, false)?;
    }
    Ok(())
}

fn shut_down(host: &mut Host<'_>, notification: u32) -> Outcome {
    host.write32(CC.offset, cc::SHN.set32(Host::cc_value(1), notification));
    host.wait_until("CSTS.SHST = 10b", |h| csts::SHST.get32(h.csts()) == shst::COMPLETE)
}

/// "Memory-based Controller Shutdown": abrupt.
///
/// Cases: A15.
#[test]
fn abrupt_shutdown_completes() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        submit_random_reads(&mut running)?;
        shut_down(&mut running.host, 2)?;
        let mut running = bring_up_with(running.host)?;
        assert_works(&mut running.host)
    });
}

/// "Memory-based Controller Shutdown": commands after it need not be executed, and a reset starts anew.
///
/// Cases: A16.
#[test]
fn commands_after_a_shutdown_do_no_harm() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        shut_down(&mut running.host, 1)?;
        submit_random_reads(&mut running)?;
        running.host.run_for(3000)?;
        let mut running = bring_up_with(running.host)?;
        assert_works(&mut running.host)
    });
}

/// "Memory-based Controller Shutdown": SHN in the same write as EN = 0, and while EN is 0.
///
/// Cases: A17.
#[test]
fn shutdown_together_with_disable_does_no_harm() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.write32(CC.offset, cc::SHN.set32(Host::cc_value(0), 1));
        host.run_for(2000)?;
        host.disable()?;
        host.enable()?;
        assert_works(&mut host)?;
        host.disable()?;
        host.write32(CC.offset, cc::SHN.set32(Host::cc_value(0), 1));
        host.run_for(2000)?;
        host.write32(CC.offset, Host::cc_value(0));
        host.enable()?;
        assert_eq!(csts::SHST.get32(host.csts()), shst::NORMAL);
        assert_works(&mut host)
    });
}

/// "Controller Fatal Status Condition": entries that cannot be read cannot be answered.
///
/// Cases: A18.
#[test]
fn unreadable_admin_queue_is_a_fatal_status_that_a_reset_clears() {
    every_back_end(|device| {
        let mut host = start(device)?;
        host.disable()?;
        let (submission, _) = host.prepare_admin_queues();
        host.host().faults.failing_reads.push(submission..submission + 4096);
        host.write32(CC.offset, Host::cc_value(1));
        host.wait_ready()?;
        let cid = host.submit(0, get_features(1, 0), &[])?;
        let mut ended_with_error = false;
        host.wait_until("CSTS.CFS = 1 or an error", |h| {
            let completion = h.take_completion(0, cid);
            ended_with_error = completion.is_some_and(|c| c.status.code() == Status::DATA_TRANSFER_ERROR);
            ended_with_error || csts::CFS.get32(h.csts()) == 1
        })?;
        host.host().faults.clear();
        host.disable()?;
        host.enable()?;
        assert_eq!(csts::CFS.get32(host.csts()), 0);
        assert_works(&mut host)
    });
}

/// "Offset 20h: NSSR - NVM Subsystem Reset": "NVMe" resets the controller, registers and all, with work in flight; other values do nothing. "Offset
/// 1Ch: CSTS", NSSRO: the reset is told until the host has cleared the bit, and no other reset changes it.
///
/// Cases: A19.
#[test]
fn subsystem_reset_resets_the_controller_and_is_told() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let host = &mut running.host;
        assert_eq!(cap::NSSRS.get(host.read64(CAP.offset)), 1);
        for value in [0, SUBSYSTEM_RESET ^ 1, SUBSYSTEM_RESET.swap_bytes(), u32::MAX] {
            host.write32(NSSR.offset, value);
            host.run_for(500)?;
            assert_eq!(host.csts(), csts::RDY.mask() as u32, "{value:#x} was written");
        }
        assert_works(host)?;
        for bytes in [1, 2] {
            let offset = NSSR.offset.into();
            host.device().write(Access { function: 0, offset, bytes }, SUBSYSTEM_RESET.into());
        }
        assert_eq!(host.csts(), csts::RDY.mask() as u32, "bytes of the value were written");

        submit_random_reads(&mut running)?;
        let host = &mut running.host;
        host.run_for(100)?;
        host.write32(NSSR.offset, SUBSYSTEM_RESET);
        host.wait_until("CSTS.RDY = 0", |h| csts::RDY.get32(h.csts()) == 0)?;
        host.now_disabled();
        for reg in [CC, AQA, regs::ASQ, regs::ACQ, NSSR] {
            let value = host.device().read(Access { function: 0, offset: reg.offset.into(), bytes: reg.bytes as u8 });
            assert_eq!(value, 0, "{}", reg.name);
        }
        let vector_control = host.read32(regs::MSIX_TABLE.start + 12);
        assert_eq!(vector_control & 1, 1, "vectors are masked after a reset");
        let told = csts::NSSRO.mask() as u32;
        assert_eq!(host.csts(), told);
        let mut running = bring_up_with(running.host)?;
        let host = &mut running.host;
        assert_works(host)?;
        assert_eq!(csts::NSSRO.get32(host.csts()), 1, "until it is cleared");
        host.disable()?;
        assert_eq!(host.csts(), told, "a controller reset leaves it");
        host.device().function_level_reset(0);
        host.run_for(500)?;
        assert_eq!(host.csts(), told, "a function level reset leaves it");
        host.write32(CSTS.offset, !told);
        assert_eq!(host.csts(), told, "zeroes leave it");
        host.write32(CSTS.offset, told);
        assert_eq!(host.csts(), 0);
        host.start()?;
        host.disable()?;
        assert_eq!(host.csts(), 0, "it stays cleared");
        let mut running = bring_up_with(running.host)?;
        assert_works(&mut running.host)
    });
}

/// "Transport Specific Controller Properties": accesses that touch two registers are not supported, so that this is what ours do alike: 8 bytes over two
/// registers of 4 are a write of each, the lower one first. What comes behind a reset of the NVM subsystem finds registers that were reset, and stays.
///
/// Cases: A19.
#[test]
fn eight_bytes_over_two_registers_are_two_writes() {
    every_back_end(|device| {
        let mut host = bring_up(device)?.host;
        let (low, high) = (Access { function: 0, offset: NSSR.offset.into(), bytes: 8 }, 0x0003_0007_u32);
        assert_eq!(NSSR.end(), AQA.offset);
        host.disable()?;
        // Without the value that resets, only the upper register changes.
        host.device().write(low, u64::from(high) << 32);
        assert_eq!(host.read32(AQA.offset), high);
        assert_eq!(host.device().read(low), u64::from(high) << 32);
        for aqa in [high, 0x000F_0001] {
            host.device().write(low, u64::from(aqa) << 32 | u64::from(SUBSYSTEM_RESET));
            host.run_for(500)?;
            assert_eq!(csts::NSSRO.get32(host.csts()), 1, "the subsystem was reset");
            assert_eq!(host.read64(regs::ASQ.offset), 0, "with its registers");
            assert_eq!(host.read32(AQA.offset), aqa, "and then AQA was written");
            host.write32(CSTS.offset, csts::NSSRO.mask() as u32);
        }
        let mut running = bring_up_with(host)?;
        assert_works(&mut running.host)
    });
}

/// "Offset 14h: CC": only EN and SHN mean something while enabled. What other changes do is undefined, but a reset recovers.
///
/// Cases: A20.
#[test]
fn other_fields_of_cc_may_change_while_enabled() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for field in [cc::CSS, cc::MPS, cc::AMS, cc::IOSQES, cc::IOCQES] {
            let changed = field.set32(Host::cc_value(1), field.max() as u32);
            host.write32(CC.offset, changed);
            host.run_for(200)?;
            host.write32(CC.offset, Host::cc_value(1));
            host.run_for(200)?;
        }
        host.disable()?;
        host.enable()?;
        assert_works(&mut host)
    });
}

/// "Offset Ch: INTMS" and "Offset 10h: INTMC": not to be used with MSI-X; nothing breaks.
///
/// Cases: A21.
#[test]
fn interrupt_mask_registers_are_harmless_with_msix() {
    every_back_end(|device| {
        let mut host = bring_up(device)?.host;
        host.write32(regs::INTMS.offset, u32::MAX);
        assert_works(&mut host)?;
        host.write32(regs::INTMC.offset, u32::MAX);
        assert_works(&mut host)
    });
}

/// "Controller Level Reset": a thousand times, at random moments, with everything in flight.
///
/// Cases: A22, G5.
#[test]
fn controller_survives_many_resets_with_work_in_flight() {
    every_back_end(|device| {
        let mut random = Random::new(seed());
        let mut running = bring_up(device)?;
        for _ in 0..rounds(&mut running.host, 1000, 20) {
            for _ in 0..random.below(5) {
                running.host.submit(0, async_event_request(), &[])?;
            }
            running.submit_random_work(&mut random)?;
            let clocks = random.below(600);
            running.host.run_for(clocks)?;
            running = running.restart()?;
            // As many requests as ever are accepted: none leaked.
            for _ in 0..=running.identity.controller.aerl {
                running.host.submit(0, async_event_request(), &[])?;
            }
            running.host.run_for(300)?;
            assert_eq!(running.host.next_completion(), None, "an event request ended");
            running.host.host().check_canaries().unwrap_or_else(|error| panic!("{error}"));
            running = bring_up_with(running.host)?;
        }
        Ok(())
    });
}

/// PCI Express Base, "Function Level Reset": registers and the MSI-X table return to their reset values.
///
/// Cases: X6.
#[test]
fn function_level_reset_returns_everything_to_power_on() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        submit_random_reads(&mut running)?;
        let host = &mut running.host;
        host.run_for(100)?;
        host.device().function_level_reset(0);
        host.wait_until("CSTS.RDY = 0", |h| csts::RDY.get32(h.csts()) == 0)?;
        host.now_disabled();
        for reg in [CC, AQA, regs::ASQ, regs::ACQ] {
            let value = host.device().read(Access { function: 0, offset: reg.offset.into(), bytes: reg.bytes as u8 });
            assert_eq!(value, 0, "{}", reg.name);
        }
        assert_eq!(host.csts(), 0);
        let vector_control = host.read32(regs::MSIX_TABLE.start + 12);
        assert_eq!(vector_control & 1, 1, "vectors are masked after a reset");
        let mut running = bring_up_with(running.host)?;
        assert_works(&mut running.host)
    });
}

/// The same, and "NVM Subsystem Reset", of a controller that is disabled, and shut down.
///
/// Cases: A19.
#[test]
fn resets_of_more_than_the_controller_end_a_shutdown() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for of_subsystem in [false, true] {
            host.disable()?;
            host.write32(CC.offset, cc::SHN.set32(0, 1));
            host.wait_until("CSTS.SHST = 10b", |h| csts::SHST.get32(h.csts()) == shst::COMPLETE)?;
            if of_subsystem {
                host.write32(NSSR.offset, SUBSYSTEM_RESET);
            } else {
                host.device().function_level_reset(0);
            }
            host.run_for(500)?;
            assert_eq!(host.csts(), csts::NSSRO.set32(0, of_subsystem.into()));
            host.start()?;
        }
        assert_works(&mut host)
    });
}

/// PCI Local Bus, "Command Register", Bus Master Enable: without it a function makes no memory access.
///
/// Cases: X5.
#[test]
fn without_bus_mastering_memory_is_not_accessed() {
    every_back_end(|device| {
        let mut host = Driver::new(device, Options::default());
        host.start()?;
        let off = Sideband { bus_master_enable: false, ..Sideband::RUNNING };
        host.device().set_sideband(0, off);
        host.run_for(500)?;
        let cid = host.submit(0, get_features(1, 0), &[])?;
        host.run_for(3000)?;
        assert_eq!(host.take_completion(0, cid), None);
        host.device().set_sideband(0, Sideband::RUNNING);
        // Work goes on, or, where an access was lost, a reset brings it back.
        host.run_for(3000)?;
        host.disable()?;
        host.enable()?;
        assert_works(&mut host)
    });
}
