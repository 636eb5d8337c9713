//! NVMe Base, "Sanitize command" and "Sanitize Operations".

use nvme_spec::feature::{event_result, event_type, fid, io_command_set_event, write_protection};
use nvme_spec::log::lid;
use nvme_spec::opcode::{admin, io};
use nvme_spec::sanitize::{action, capabilities, status, SanitizeLog, GLOBAL_DATA_ERASED, PROGRESS_NONE};
use nvme_spec::{SqEntry, Status};
use sim_host::{cdw, DriverError, IoTransfer};

use crate::every_back_end;
use crate::expect::{
    assert_admin, assert_ends, assert_works, async_event_request, bring_up, flush, get_log_page, set_features, start,
    wire, Host,
};

fn sanitize(cdw10: u32) -> SqEntry {
    SqEntry { opcode: admin::SANITIZE, cdw10: cdw([cdw10, 0, 0, 0, 0, 0]), ..SqEntry::default() }
}

fn can_erase(host: &mut Host<'_>) -> Result<bool, DriverError> {
    Ok(host.identity()?.controller.sanicap.get() & capabilities::BLOCK_ERASE != 0)
}

fn log(host: &mut Host<'_>) -> Result<SanitizeLog, DriverError> {
    let (completion, data) = host.admin_data(get_log_page(lid::SANITIZE_STATUS, 512, 0, false), 512)?;
    assert_ends(&completion, &[Status::SUCCESS], "Sanitize Status");
    Ok(wire(&data))
}

fn wait_for_the_end(host: &mut Host<'_>) -> Result<SanitizeLog, DriverError> {
    for _ in 0..1000 {
        let log = log(host)?;
        if log.sstat.get() & 7 != status::IN_PROGRESS {
            return Ok(log);
        }
        host.run_for(1000)?;
    }
    panic!("the sanitize operation does not end");
}

/// "Sanitize command": without a capability it is refused, and so are actions that are not announced.
///
/// Cases: N8, N14.
#[test]
fn sanitize_is_there_exactly_if_announced() {
    every_back_end(|device| {
        let mut host = start(device)?;
        if !can_erase(&mut host)? {
            assert_admin(&mut host, sanitize(action::BLOCK_ERASE), &[Status::INVALID_OPCODE], "Sanitize");
            return assert_works(&mut host);
        }
        for reserved in [0, 5, 6, 7] {
            assert_admin(&mut host, sanitize(reserved), &[Status::INVALID_FIELD], &format!("SANACT {reserved}"));
        }
        host.admin("Exit Failure Mode without a failure", sanitize(action::EXIT_FAILURE_MODE))?;
        let log = log(&mut host)?;
        assert_eq!((log.sprog.get(), log.sstat.get()), (PROGRESS_NONE, status::NEVER));
        Ok(())
    });
}

/// "Sanitize Operations": afterwards nothing of the data is left, and the log page and an event say so.
///
/// Cases: N8.
#[test]
fn block_erase_leaves_no_data() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        if !can_erase(&mut running.host)? {
            return Ok(());
        }
        let identity = running.identity;
        let pattern = vec![0xA5; identity.lba_bytes as usize];
        for lba in [0, 77, identity.blocks - 1] {
            running.host.write(&identity, lba, &pattern)?;
        }
        let request = running.host.submit(0, async_event_request(), &[])?;
        running.host.admin("Sanitize", sanitize(action::BLOCK_ERASE))?;
        let completion = running.host.wait(0, request)?;
        let event =
            event_result(event_type::IO_COMMAND_SET, io_command_set_event::SANITIZE_COMPLETED, lid::SANITIZE_STATUS);
        assert_eq!(completion.result, event);
        let done = log(&mut running.host)?;
        assert_eq!((done.sprog.get(), done.sstat.get()), (PROGRESS_NONE, status::COMPLETED | GLOBAL_DATA_ERASED));
        assert_eq!(done.scdw10.get(), action::BLOCK_ERASE);
        for lba in [0, 77, identity.blocks - 1] {
            let mut data = pattern.clone();
            running.host.read(&identity, lba, &mut data)?;
            assert!(data.iter().all(|byte| *byte == 0), "block {lba}");
        }
        running.host.write(&identity, 0, &pattern)?;
        assert_eq!(log(&mut running.host)?.sstat.get(), status::COMPLETED, "no longer all erased");
        Ok(())
    });
}

/// "Command Restrictions": meanwhile I/O commands and those that change data or firmware end with Sanitize In Progress; a reset does not end it.
///
/// Cases: N9.
#[test]
fn commands_are_restricted_during_a_sanitize_operation() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        if !can_erase(&mut running.host)? {
            return Ok(());
        }
        let identity = running.identity;
        let mut refused = 0;
        let restricted = [
            (1, IoTransfer { write: true, nsid: identity.nsid, lba: 0, blocks: 1 }.entry([0x5_0000_0000, 0])),
            (1, IoTransfer { write: false, nsid: identity.nsid, lba: 0, blocks: 1 }.entry([0x5_0000_0000, 0])),
            (1, flush(identity.nsid)),
            (1, SqEntry { opcode: io::COPY, nsid: identity.nsid.into(), ..SqEntry::default() }),
            (0, SqEntry { opcode: admin::FORMAT_NVM, nsid: identity.nsid.into(), ..SqEntry::default() }),
            (0, sanitize(action::BLOCK_ERASE)),
        ];
        assert_eq!(restricted[0].1.opcode, io::WRITE);
        // One operation for all of them where it lasts so long; on a fast device it may be over before the command is executed.
        let sanitize_goes_on = |host: &mut Host<'_>| -> Result<(), DriverError> {
            if log(host)?.sstat.get() & 7 != status::IN_PROGRESS {
                host.admin("Sanitize", sanitize(action::BLOCK_ERASE))?;
            }
            Ok(())
        };
        for (queue, entry) in restricted {
            sanitize_goes_on(&mut running.host)?;
            let completion = running.host.execute(queue, entry, &[])?;
            if log(&mut running.host)?.sstat.get() & 7 == status::IN_PROGRESS {
                assert_ends(&completion, &[Status::SANITIZE_IN_PROGRESS], &format!("{entry:?}"));
                refused += 1;
            }
            assert_works(&mut running.host)?;
        }
        sanitize_goes_on(&mut running.host)?;
        running = running.restart()?;
        let done = wait_for_the_end(&mut running.host)?;
        assert_eq!(done.sstat.get() & 7, status::COMPLETED);
        assert!(refused > 0, "some command came in time");
        let protect = SqEntry {
            nsid: identity.nsid.into(),
            ..set_features(fid::NAMESPACE_WRITE_PROTECTION, write_protection::PROTECT)
        };
        running.host.admin("write protection", protect)?;
        let allowed = &[Status::NAMESPACE_WRITE_PROTECTED];
        assert_admin(&mut running.host, sanitize(action::BLOCK_ERASE), allowed, "Sanitize of a protected namespace");
        Ok(())
    });
}
