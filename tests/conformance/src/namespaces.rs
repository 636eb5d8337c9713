//! NVMe Base, "Namespace Management command", "Namespace Attachment command" and "Format NVM command".

use std::collections::BTreeSet;

use nvme_spec::identify::{
    cns, management, oacs, ControllerList, IdentifyController, IdentifyNamespace, IDENTIFY_BYTES, NMIC_SHARED,
};
use nvme_spec::limits::NSID_BROADCAST;
use nvme_spec::opcode::{admin, io};
use nvme_spec::sanitize::capabilities;
use nvme_spec::{SqEntry, Status};
use sim_device::{BusTiming, PAGE_BYTES};
use sim_host::{blocks_entry, cdw, identify_entry, DriverError, Identity, IoTransfer};
use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

use crate::every_back_end;
use crate::expect::{
    admin_with_data, assert_admin, assert_ends, assert_works, bring_up, flush, start, transfer, wire, Host, Running,
};

fn identify<T: zerocopy::FromBytes>(host: &mut Host<'_>, structure: u8, nsid: u32) -> Result<T, DriverError> {
    let (completion, data) = host.admin_data(identify_entry(structure, nsid), IDENTIFY_BYTES as usize)?;
    assert_ends(&completion, &[Status::SUCCESS], &format!("Identify, CNS {structure:#04x}, NSID {nsid:#x}"));
    Ok(wire(&data))
}

fn list(host: &mut Host<'_>, structure: u8) -> Result<Vec<u32>, DriverError> {
    let list: [U32; 1024] = identify(host, structure, 0)?;
    Ok(list.iter().map(|nsid| nsid.get()).take_while(|nsid| *nsid != 0).collect())
}

fn is_managed(host: &mut Host<'_>) -> Result<bool, DriverError> {
    let controller: IdentifyController = identify(host, cns::CONTROLLER, 0)?;
    Ok(controller.oacs.get() & oacs::NAMESPACE_MANAGEMENT != 0)
}

/// Whether the storage can be erased: "Sanitize Capabilities" of Identify Controller.
fn can_erase(identity: &Identity) -> bool {
    identity.controller.sanicap.get() & capabilities::BLOCK_ERASE != 0
}

fn manage(nsid: u32, select: u32) -> SqEntry {
    SqEntry {
        opcode: admin::NAMESPACE_MANAGEMENT,
        nsid: nsid.into(),
        cdw10: cdw([select, 0, 0, 0, 0, 0]),
        ..SqEntry::default()
    }
}

fn wanted(blocks: u64, format: u8) -> IdentifyNamespace {
    let mut data = IdentifyNamespace::new_zeroed();
    (data.nsze, data.ncap, data.flbas) = (blocks.into(), blocks.into(), format);
    data
}

fn create(host: &mut Host<'_>, data: &IdentifyNamespace) -> Result<sim_host::Completion, DriverError> {
    admin_with_data(host, manage(0, management::CREATE), data.as_bytes())
}

/// Attaches to or detaches from controllers.
fn attach(host: &mut Host<'_>, nsid: u32, select: u32, controllers: &[u16]) -> Result<Status, DriverError> {
    let mut list = ControllerList::new_zeroed();
    list.count = (controllers.len() as u16).into();
    for (place, controller) in list.identifiers.iter_mut().zip(controllers) {
        *place = (*controller).into();
    }
    let entry = SqEntry { opcode: admin::NAMESPACE_ATTACHMENT, ..manage(nsid, select) };
    Ok(admin_with_data(host, entry, list.as_bytes())?.status.code())
}

/// The running controller with another namespace as its own.
fn with_namespace<'d>(mut running: Running<'d>, nsid: u32) -> Result<Running<'d>, DriverError> {
    let namespace: IdentifyNamespace = identify(&mut running.host, cns::NAMESPACE, nsid)?;
    let format = namespace.lbaf[usize::from(namespace.flbas & 0xF)];
    running.identity.nsid = nsid;
    running.identity.namespace = namespace;
    running.identity.lba_bytes = 1 << format.lbads;
    running.identity.blocks = namespace.nsze.get();
    Ok(running)
}

/// "Optional Admin Command Support": a controller without the commands refuses them.
///
/// Cases: H9, N14.
#[test]
fn namespace_commands_are_there_exactly_if_announced() {
    every_back_end(|device| {
        let mut host = start(device)?;
        if !is_managed(&mut host)? {
            let refused = &[Status::INVALID_OPCODE];
            assert_admin(&mut host, manage(1, management::DELETE), refused, "Namespace Management");
            let entry = SqEntry { opcode: admin::NAMESPACE_ATTACHMENT, ..manage(1, management::ATTACH) };
            assert_admin(&mut host, entry, refused, "Namespace Attachment");
            for structure in cns::ALLOCATED_NAMESPACES..=cns::CONTROLLERS {
                let what = format!("CNS {structure:#04x}");
                assert_admin(&mut host, identify_entry(structure, 1), &[Status::INVALID_FIELD], &what);
            }
        }
        assert_works(&mut host)
    });
}

/// "Namespace Management": a new namespace of each format is created, attached, used, detached and deleted, and no other one notices.
///
/// Cases: H9, K21, N1.
#[test]
fn created_namespaces_hold_data_of_their_own() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        if !is_managed(&mut running.host)? {
            return Ok(());
        }
        let old = running.identity;
        let pattern = vec![0x5A; old.lba_bytes as usize];
        running.host.write(&old, old.blocks - 1, &pattern)?;
        let before: IdentifyController = identify(&mut running.host, cns::CONTROLLER, 0)?;
        let me = before.cntlid.get();
        for format in 0..=old.namespace.nlbaf {
            let lba_bytes = 1_u64 << old.namespace.lbaf[usize::from(format)].lbads;
            let created = create(&mut running.host, &wanted(0x10_0000 / lba_bytes, format))?;
            assert_ends(&created, &[Status::SUCCESS], "creation");
            let nsid = created.result;
            assert!(list(&mut running.host, cns::ALLOCATED_NAMESPACES)?.contains(&nsid));
            assert!(!list(&mut running.host, cns::ACTIVE_NAMESPACES)?.contains(&nsid), "not attached yet");
            let completion = running.host.execute(1, flush(nsid), &[])?;
            assert_ends(&completion, &[Status::INVALID_NAMESPACE, Status::INVALID_FIELD], "Flush before attachment");
            let during: IdentifyController = identify(&mut running.host, cns::CONTROLLER, 0)?;
            assert_eq!(before.unvmcap.get() - during.unvmcap.get(), 0x10_0000, "UNVMCAP");

            assert_eq!(attach(&mut running.host, nsid, management::ATTACH, &[me])?, Status::SUCCESS);
            running = with_namespace(running, nsid)?;
            let new = running.identity;
            assert_eq!((new.blocks, u64::from(new.lba_bytes)), (0x10_0000 / lba_bytes, lba_bytes));
            for lba in [0, new.blocks - 1] {
                let data = crate::expect::data(lba + 1, new.lba_bytes as usize);
                let mut back = vec![0; data.len()];
                running.host.read(&new, lba, &mut back)?;
                assert!(
                    back.iter().all(|byte| *byte == 0) || !can_erase(&old),
                    "what another namespace had in block {lba}"
                );
                running.host.write(&new, lba, &data)?;
                running.host.read(&new, lba, &mut back)?;
                assert_eq!(back, data);
            }
            let beyond = IoTransfer { write: true, nsid, lba: new.blocks, blocks: 1 }.entry([0x5_0000_0000, 0]);
            let completion = running.host.execute(1, beyond, &[])?;
            assert_ends(&completion, &[Status::LBA_OUT_OF_RANGE], "a block beyond the end");
            let mut back = vec![0; pattern.len()];
            running.host.read(&old, old.blocks - 1, &mut back)?;
            assert_eq!(back, pattern, "the neighbour's last block");

            assert_eq!(attach(&mut running.host, nsid, management::DETACH, &[me])?, Status::SUCCESS);
            let completion = running.host.execute(1, flush(nsid), &[])?;
            assert_ends(&completion, &[Status::INVALID_NAMESPACE, Status::INVALID_FIELD], "Flush after detachment");
            running.host.admin("deletion", manage(nsid, management::DELETE))?;
            assert!(!list(&mut running.host, cns::ALLOCATED_NAMESPACES)?.contains(&nsid));
            let after: IdentifyController = identify(&mut running.host, cns::CONTROLLER, 0)?;
            assert_eq!(after.unvmcap, before.unvmcap);
        }
        Ok(())
    });
}

/// "Namespace Management" and "Namespace Attachment": each mistake and its status.
///
/// Cases: N2, N3, N4.
#[test]
fn mistakes_in_namespace_commands_have_their_status() {
    every_back_end(|device| {
        let mut host = start(device)?;
        if !is_managed(&mut host)? {
            return Ok(());
        }
        let controller: IdentifyController = identify(&mut host, cns::CONTROLLER, 0)?;
        let me = controller.cntlid.get();
        let small = wanted(8, 0);
        let too_many = controller.unvmcap.get() as u64 / 512 + 1;
        let cases = [
            ("NCAP below NSZE", IdentifyNamespace { ncap: 4.into(), ..small }, Status::THIN_PROVISIONING_NOT_SUPPORTED),
            ("no such format", IdentifyNamespace { flbas: 0xF, ..small }, Status::INVALID_FORMAT),
            ("protection information", IdentifyNamespace { dps: 1, ..small }, Status::INVALID_FIELD),
            ("more than there is", wanted(too_many, 0), Status::NAMESPACE_INSUFFICIENT_CAPACITY),
            ("2^64 - 1 blocks", wanted(u64::MAX, 0), Status::NAMESPACE_INSUFFICIENT_CAPACITY),
        ];
        for (what, data, status) in cases {
            assert_ends(&create(&mut host, &data)?, &[status], what);
        }
        assert_admin(&mut host, manage(0, 2), &[Status::INVALID_FIELD], "reserved SEL");
        let nsid = create(&mut host, &small)?.result;
        let mut attach = |nsid, select, list: &[u16]| attach(&mut host, nsid, select, list);
        assert_eq!(attach(nsid, management::DETACH, &[me])?, Status::NAMESPACE_NOT_ATTACHED);
        assert_eq!(attach(nsid, management::ATTACH, &[])?, Status::CONTROLLER_LIST_INVALID);
        assert_eq!(attach(nsid, management::ATTACH, &[0xFFF0])?, Status::CONTROLLER_LIST_INVALID);
        assert_eq!(attach(nsid, management::ATTACH, &[me])?, Status::SUCCESS);
        assert_eq!(attach(nsid, management::ATTACH, &[me])?, Status::NAMESPACE_ALREADY_ATTACHED);
        assert_eq!(attach(controller.nn.get() + 1, management::ATTACH, &[me])?, Status::INVALID_NAMESPACE);
        host.admin("deletion", manage(nsid, management::DELETE))?;
        for (nsid, allowed) in [(nsid, Status::INVALID_FIELD), (0, Status::INVALID_NAMESPACE)] {
            let allowed = &[allowed, Status::INVALID_NAMESPACE];
            assert_admin(&mut host, manage(nsid, management::DELETE), allowed, "deletion of what is not there");
        }
        // As many as there may be, and one more.
        let free = controller.nn.get() as usize - list(&mut host, cns::ALLOCATED_NAMESPACES)?.len();
        for _ in 0..free {
            assert_ends(
                &create(&mut host, &IdentifyNamespace { nmic: NMIC_SHARED, ..small })?,
                &[Status::SUCCESS],
                "one",
            );
        }
        assert_ends(&create(&mut host, &small)?, &[Status::NAMESPACE_IDENTIFIER_UNAVAILABLE], "one too many");
        host.admin("deletion of all", manage(NSID_BROADCAST, management::DELETE))?;
        assert_eq!(list(&mut host, cns::ALLOCATED_NAMESPACES)?, Vec::<u32>::new());
        assert_works(&mut host)
    });
}

/// "Namespace Management": commands in flight when their namespace is deleted end, and from then on there is no such namespace.
///
/// Cases: N4.
#[test]
fn a_deletion_ends_commands_in_flight() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        if !is_managed(&mut running.host)? {
            return Ok(());
        }
        let nsid = running.identity.nsid;
        for deleted in [nsid, NSID_BROADCAST] {
            for number in 0..40 {
                running.submit_transfer(1 + number as u16 % running.queues, 16 * number, 16, number % 2 == 0)?;
            }
            let deletion = running.host.submit(0, manage(deleted, management::DELETE), &[])?;
            let ended = running.host.wait_all()?;
            assert_eq!(ended.len(), 41);
            for completion in ended {
                let allowed = [Status::SUCCESS, Status::INVALID_NAMESPACE];
                let is_deletion = (completion.queue, completion.cid) == (0, deletion);
                assert_ends(&completion, &allowed[..if is_deletion { 1 } else { 2 }], &format!("{completion:?}"));
            }
            assert!(!list(&mut running.host, cns::ALLOCATED_NAMESPACES)?.contains(&nsid));
            let completion = running.host.execute(1, flush(nsid), &[])?;
            assert_ends(&completion, &[Status::INVALID_NAMESPACE], "Flush of what is not there");
            // Another one in its place.
            let blocks = running.identity.blocks;
            let data = wanted(blocks, running.identity.namespace.flbas & 0xF);
            assert_eq!(create(&mut running.host, &data)?.result, nsid);
            let me = running.identity.controller.cntlid.get();
            assert_eq!(attach(&mut running.host, nsid, management::ATTACH, &[me])?, Status::SUCCESS);
        }
        assert_works(&mut running.host)
    });
}

/// How long host memory takes to answer a read if it is slow: longer than a small namespace is formatted, or deleted and made.
const SLOW_CLOCKS: u32 = 20_000;

/// Data of a Write that the host delivers late, or that is much, does not come to a namespace that was formatted, or deleted and made again, meanwhile.
///
/// Cases: N4, N6.
#[test]
fn data_on_its_way_stays_in_its_namespace() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        if !can_erase(&running.identity) || !is_managed(&mut running.host)? {
            return Ok(());
        }
        let me = running.identity.controller.cntlid.get();
        let whole = 512 << 10;
        let format_number = running.identity.namespace.flbas & 0xF;
        let small = wanted(whole / u64::from(running.identity.lba_bytes), format_number);
        let nsid = create(&mut running.host, &small)?.result;
        assert_eq!(attach(&mut running.host, nsid, management::ATTACH, &[me])?, Status::SUCCESS);
        running = with_namespace(running, nsid)?;
        let Running { host, identity, .. } = &mut running;
        let same = u32::from(format_number);
        for end in [format(nsid, USER_DATA_ERASE | same), format(nsid, same), manage(nsid, management::DELETE)] {
            for (latency, bytes, clocks) in [
                (SLOW_CLOCKS, PAGE_BYTES, 50),
                (SLOW_CLOCKS, PAGE_BYTES, 5000),
                (SLOW_CLOCKS, PAGE_BYTES, 15_000),
                (1, whole, 50),
                (1, whole, 500),
                (1, whole, 2000),
            ] {
                // A read that is answered fast need not wait for those before it.
                let timing = |clocks| BusTiming { reorder: true, ..BusTiming::with_latency(clocks) };
                host.device().set_host_timing(timing(latency));
                let blocks = (bytes / u64::from(identity.lba_bytes)) as u32;
                let (entry, buffer) = transfer(host, identity, 0, blocks, true);
                buffer.store(host.host(), &crate::expect::data(clocks, bytes as usize));
                let write = host.submit(1, entry, &[])?;
                host.run_for(clocks)?;
                host.admin("the end of the namespace as it was", end)?;
                host.device().set_host_timing(timing(1));
                if end.opcode == admin::NAMESPACE_MANAGEMENT {
                    assert_eq!(create(host, &small)?.result, nsid);
                    assert_eq!(attach(host, nsid, management::ATTACH, &[me])?, Status::SUCCESS);
                }
                // The host writes the first block and the last one anew, and nothing comes behind that.
                let lbas = [0, u64::from(blocks) - 1];
                let block = crate::expect::data(clocks + 1, identity.lba_bytes as usize);
                for lba in lbas {
                    host.write(identity, lba, &block)?;
                }
                let written = host.wait(1, write)?;
                let allowed = [Status::SUCCESS, Status::FORMAT_IN_PROGRESS, Status::INVALID_NAMESPACE];
                assert_ends(&written, &allowed, "Write");
                for lba in lbas {
                    let mut back = vec![0; block.len()];
                    host.read(identity, lba, &mut back)?;
                    assert_eq!(back, block, "block {lba}, {bytes} bytes {clocks} clocks before {end:?}");
                }
                buffer.free(host.host());
            }
        }
        Ok(())
    });
}

/// Secure Erase Settings of a Format: User Data Erase.
const USER_DATA_ERASE: u32 = 1 << 9;

fn format(nsid: u32, cdw10: u32) -> SqEntry {
    SqEntry { opcode: admin::FORMAT_NVM, nsid: nsid.into(), cdw10: cdw([cdw10, 0, 0, 0, 0, 0]), ..SqEntry::default() }
}

/// "Format NVM command": every format that Identify Namespace offers, of one namespace and of all; others are refused.
///
/// Cases: N5, N7.
#[test]
fn every_offered_format_can_be_chosen() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        if running.identity.controller.oacs.get() & oacs::FORMAT == 0 {
            assert_admin(&mut running.host, format(1, 0), &[Status::INVALID_OPCODE], "Format NVM");
            return Ok(());
        }
        let old = running.identity;
        let bytes = old.blocks * u64::from(old.lba_bytes);
        for (number, nsid) in (0..=old.namespace.nlbaf).rev().flat_map(|n| [(n, old.nsid), (n, NSID_BROADCAST)]) {
            running.host.admin("Format NVM", format(nsid, number.into()))?;
            running = with_namespace(running, old.nsid)?;
            let new = running.identity;
            assert_eq!(new.namespace.flbas & 0xF, number);
            assert_eq!(new.lba_bytes, 1 << old.namespace.lbaf[usize::from(number)].lbads);
            assert_eq!(new.blocks, bytes / u64::from(new.lba_bytes));
            let data = crate::expect::data(number.into(), new.lba_bytes as usize);
            running.host.write(&new, new.blocks - 1, &data)?;
            let mut back = vec![0; data.len()];
            running.host.read(&new, new.blocks - 1, &mut back)?;
            assert_eq!(back, data);
        }
        let host = &mut running.host;
        for (what, cdw10, allowed) in [
            ("a format that is not there", u32::from(old.namespace.nlbaf) + 1, &[Status::INVALID_FORMAT][..]),
            ("protection information", 1 << 5, &[Status::INVALID_FORMAT, Status::INVALID_FIELD]),
            ("reserved SES", 7 << 9, &[Status::INVALID_FIELD]),
        ] {
            assert_admin(host, format(old.nsid, cdw10), allowed, what);
        }
        for nsid in [0, old.controller.nn.get() + 1] {
            assert_admin(host, format(nsid, 0), &[Status::INVALID_NAMESPACE], "no such namespace");
        }
        assert_works(host)
    });
}

/// "Secure Erase Settings": after a format with User Data Erase nothing of the data is left.
///
/// Cases: N5, K21.
#[test]
fn a_format_erases_user_data() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let old = running.identity;
        if !can_erase(&old) {
            let refused = &[Status::INVALID_FIELD, Status::INVALID_OPCODE];
            assert_admin(&mut running.host, format(old.nsid, USER_DATA_ERASE), refused, "User Data Erase");
            return Ok(());
        }
        let last = old.namespace.nlbaf;
        let cryptographic = 2 << 9;
        assert_admin(
            &mut running.host,
            format(old.nsid, cryptographic),
            &[Status::INVALID_FIELD],
            "Cryptographic Erase",
        );
        for settings in [USER_DATA_ERASE, 0] {
            let old = running.identity;
            for lba in [0, 100, old.blocks - 1] {
                running.host.write(&old, lba, &crate::expect::data(lba, old.lba_bytes as usize))?;
            }
            running.host.admin("Format NVM", format(old.nsid, settings | u32::from(last)))?;
            running = with_namespace(running, old.nsid)?;
            let new = running.identity;
            let ratio = u64::from(new.lba_bytes / old.lba_bytes).max(1);
            for lba in [0, 100 / ratio, new.blocks - 1] {
                let mut back = vec![0xFF; new.lba_bytes as usize];
                running.host.read(&new, lba, &mut back)?;
                assert!(back.iter().all(|byte| *byte == 0), "block {lba}, settings {settings:#x}");
            }
        }
        assert_works(&mut running.host)
    });
}

/// "Format NVM command": meanwhile I/O commands for the namespace end with Format In Progress, or are executed before or after it. Other namespaces and
/// the admin queue go on, and what they do is not erased.
///
/// Cases: N6, N7.
#[test]
fn commands_go_on_or_are_refused_during_a_format() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let formatted = running.identity;
        if !can_erase(&formatted) || !is_managed(&mut running.host)? {
            return Ok(());
        }
        let me = formatted.controller.cntlid.get();
        let other = create(&mut running.host, &wanted(64, formatted.namespace.flbas & 0xF))?.result;
        assert_eq!(attach(&mut running.host, other, management::ATTACH, &[me])?, Status::SUCCESS);
        running = with_namespace(running, other)?;
        let other = running.identity;
        let host = &mut running.host;
        let block = crate::expect::data(1, other.lba_bytes as usize);
        host.write(&formatted, 9, &block)?;
        let same = u32::from(formatted.namespace.flbas & 0xF);
        let cid = host.submit(0, format(formatted.nsid, USER_DATA_ERASE | same), &[])?;
        let mut refused = BTreeSet::new();
        let mut rounds = 0;
        let ended = loop {
            if let Some(completion) = host.take_completion(0, cid) {
                break completion;
            }
            for entry in [
                flush(formatted.nsid),
                blocks_entry(io::VERIFY, formatted.nsid, 0, 1),
                blocks_entry(io::WRITE_ZEROES, formatted.nsid, 9, 1),
                SqEntry { opcode: io::COPY, ..blocks_entry(io::VERIFY, formatted.nsid, 0, 1) },
            ] {
                let completion = host.execute(1, entry, &[])?;
                if completion.status.code() == Status::FORMAT_IN_PROGRESS {
                    refused.insert(entry.opcode);
                }
                let allowed = [Status::SUCCESS, Status::FORMAT_IN_PROGRESS, Status::DATA_TRANSFER_ERROR];
                let allowed = if entry.opcode == io::COPY { &allowed[..] } else { &allowed[..2] };
                assert_ends(&completion, allowed, &format!("{entry:?}"));
            }
            if rounds % 64 == 0 {
                host.write(&other, rounds, &block)?;
                assert_works(host)?;
            }
            rounds = (rounds + 1) % other.blocks;
        };
        assert_ends(&ended, &[Status::SUCCESS], "Format NVM");
        assert!(refused.len() >= 3, "some came in time: {refused:x?}");
        let mut back = vec![0; block.len()];
        host.read(&other, 0, &mut back)?;
        assert_eq!(back, block, "the other namespace");
        host.read(&formatted, 9, &mut back)?;
        assert!(back.iter().all(|byte| *byte == 0), "what was in the formatted one");
        host.write(&formatted, 9, &block)?;
        host.read(&formatted, 9, &mut back)?;
        assert_eq!(back, block, "it works again");
        Ok(())
    });
}

/// "Controller Level Reset": a Format that a reset meets has been executed as a whole or not at all, and the namespace works afterwards.
///
/// Cases: N6.
#[test]
fn a_reset_during_a_format_leaves_a_defined_state() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        if !can_erase(&running.identity) {
            return Ok(());
        }
        for clocks in [0, 100, 2000, 100_000] {
            let old = running.identity;
            let samples = [0, 77, old.blocks - 1];
            let block = crate::expect::data(u64::from(clocks), old.lba_bytes as usize);
            for lba in samples {
                running.host.write(&old, lba, &block)?;
            }
            let number = (old.namespace.flbas & 0xF) ^ u8::from(old.namespace.nlbaf > 0);
            running.host.submit(0, format(old.nsid, USER_DATA_ERASE | u32::from(number)), &[])?;
            running.host.device().step(clocks);
            running = running.restart()?;
            let new = running.identity;
            let bytes = old.blocks * u64::from(old.lba_bytes);
            assert_eq!(new.blocks * u64::from(new.lba_bytes), bytes);
            let is_formatted = new.namespace.flbas & 0xF == number;
            for at in samples.map(|lba| lba * u64::from(old.lba_bytes)) {
                let mut back = vec![0xFF; new.lba_bytes as usize];
                running.host.read(&new, at / u64::from(new.lba_bytes), &mut back)?;
                let is_as_it_was = back == block;
                let is_erased = back.iter().all(|byte| *byte == 0);
                assert!(
                    if is_formatted { is_erased } else { is_as_it_was },
                    "byte {at}, a reset after {clocks} clocks"
                );
            }
            running.host.write(&new, new.blocks - 1, &crate::expect::data(7, new.lba_bytes as usize))?;
        }
        assert_works(&mut running.host)
    });
}
