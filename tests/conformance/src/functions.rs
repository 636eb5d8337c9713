//! Several functions: NVMe Base, "NVM Subsystem Entities", and what this device promises: one function reaches only its own queues and the
//! namespaces attached to it. They run on the back ends that have two functions.

use nvme_spec::dataset::DatasetRange;
use nvme_spec::feature::{event_result, event_type, fid, notice, notice_event};
use nvme_spec::identify::{
    cns, management, ControllerList, IdentifyController, IdentifyNamespace, IDENTIFY_BYTES, NMIC_SHARED,
};
use nvme_spec::log::lid;
use nvme_spec::opcode::{admin, io};
use nvme_spec::reg::Reg;
use nvme_spec::regs::{self, csts};
use nvme_spec::{SqEntry, Status};
use sim_device::{Access, Device, PAGE_BYTES};
use sim_host::{cdw, identify_entry, wire_prps, Driver, DriverError, Identity, IoTransfer, Options};
use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

use crate::back_end::every_back_end_with_two_functions;
use crate::expect::{
    admin_with_data, assert_ends, assert_works, async_event_request, data, flush, get_log_page, set_features, wire,
    Host,
};
use crate::seed;

fn driver<'d>(device: &'d mut (dyn Device + 'd), function: u8) -> Host<'d> {
    Driver::new(device, Options { function, ..Options::default() })
}

fn active(host: &mut Host<'_>) -> Result<Vec<u32>, DriverError> {
    let (_, data) = host.admin_data(identify_entry(cns::ACTIVE_NAMESPACES, 0), IDENTIFY_BYTES as usize)?;
    let list: [U32; 1024] = wire(&data);
    Ok(list.iter().map(|nsid| nsid.get()).take_while(|nsid| *nsid != 0).collect())
}

/// Each function has its controller identifier, its namespaces, and the same subsystem.
#[test]
fn each_function_sees_the_namespaces_attached_to_it() {
    every_back_end_with_two_functions(|device| {
        let mut controllers: Vec<IdentifyController> = Vec::new();
        for (function, expected) in [(0, vec![1, 2]), (1, vec![2])] {
            let mut host = driver(device, function);
            host.start()?;
            assert_eq!(active(&mut host)?, expected);
            host.create_queue_pair(1, 16, Some(1))?;
            let completion = host.execute(1, flush(1), &[])?;
            let allowed = if function == 0 { Status::SUCCESS } else { Status::INVALID_NAMESPACE };
            assert_ends(&completion, &[allowed], "Flush of namespace 1");
            controllers.push(host.identity()?.controller);
            host.disable()?;
        }
        assert_eq!((controllers[0].cntlid.get(), controllers[1].cntlid.get()), (0, 1));
        assert_eq!(controllers[0].subnqn, controllers[1].subnqn);
        assert_eq!(controllers[0].cmic & 2, 2, "several controllers");
        Ok(())
    });
}

/// What one function writes to a shared namespace, the other reads; its private one stays as it was.
#[test]
fn shared_namespaces_are_shared_and_private_ones_are_not() {
    every_back_end_with_two_functions(|device| {
        let block = |value: u8| vec![value; 512];
        let mut host = driver(device, 0);
        let first = host.bring_up()?;
        host.write(&first, 0, &block(1))?;
        let shared = sim_host::Identity { nsid: 2, ..first };
        host.write(&shared, 0, &block(2))?;
        let mut other = driver(device, 1);
        let second = other.bring_up()?;
        assert_eq!(second.nsid, 2);
        let mut data = block(0);
        other.read(&second, 0, &mut data)?;
        assert_eq!(data, block(2));
        other.write(&second, 0, &block(3))?;
        let private = IoTransfer { write: true, nsid: 1, lba: 0, blocks: 1 }.entry([0x5_0000_0000, 0]);
        let completion = other.execute(1, private, &[])?;
        assert_ends(&completion, &[Status::INVALID_NAMESPACE], "Write to a namespace of another function");
        let mut host = driver(device, 0);
        host.bring_up()?;
        host.read(&first, 0, &mut data)?;
        assert_eq!(data, block(1));
        host.read(&shared, 0, &mut data)?;
        assert_eq!(data, block(3));
        Ok(())
    });
}

/// A command that fails on its way is answered to its own function.
#[test]
fn failures_are_answered_to_their_function() {
    every_back_end_with_two_functions(|device| {
        driver(device, 0).bring_up()?;
        let mut other = driver(device, 1);
        let identity = other.bring_up()?;
        let pages = other.host().alloc_guarded(2 * PAGE_BYTES, PAGE_BYTES);
        let blocks = 2 * PAGE_BYTES as u32 / identity.lba_bytes;
        let entry =
            IoTransfer { write: true, nsid: identity.nsid, lba: 0, blocks }.entry([pages, pages + PAGE_BYTES + 4]);
        let completion = other.execute(1, entry, &[])?;
        assert_ends(&completion, &[Status::INVALID_PRP_OFFSET], "PRP2 with an offset");
        Ok(())
    });
}

/// A reset of one function leaves the queues of the other alone.
#[test]
fn reset_of_a_function_leaves_the_other_alone() {
    every_back_end_with_two_functions(|device| {
        driver(device, 0).bring_up()?;
        // The second function comes and goes; the first is not told to.
        let mut other = driver(device, 1);
        other.bring_up()?;
        other.disable()?;
        let csts =
            device.read(sim_device::Access { function: 0, offset: nvme_spec::regs::CSTS.offset.into(), bytes: 4 });
        assert_eq!(csts, 1, "still ready");
        device.function_level_reset(1);
        device.step(1000);
        let csts =
            device.read(sim_device::Access { function: 0, offset: nvme_spec::regs::CSTS.offset.into(), bytes: 4 });
        assert_eq!(csts, 1, "still ready");
        Ok(())
    });
}

/// Turns of 1000 clocks within which both functions have ended their lives.
const RESET_TURNS_MAX: u32 = 200;

/// "NVM Subsystem Reset": asked of one function, it resets all of them, and each tells of it until its own host has cleared the bit.
///
/// Cases: A19.
#[test]
fn subsystem_reset_resets_all_functions() {
    every_back_end_with_two_functions(|device| {
        for asked in 0..2 {
            driver(device, 0).bring_up()?;
            let mut host = driver(device, 1);
            host.bring_up()?;
            // An asynchronous event request is held by firmware.
            host.submit(0, async_event_request(), &[])?;
            let access = |function, reg: Reg| Access { function, ..Access::dword(reg.offset.into()) };
            device.write(access(asked, regs::NSSR), regs::SUBSYSTEM_RESET.into());
            let told = csts::NSSRO.mask();
            // Firmware looks through all that it holds of each function.
            for _ in 0..RESET_TURNS_MAX {
                device.step(1000);
                if (0..2).all(|function| device.read(access(function, regs::CSTS)) == told) {
                    break;
                }
            }
            for function in 0..2 {
                assert_eq!(device.read(access(function, regs::CSTS)), told, "CSTS of {function}");
                assert_eq!(device.read(access(function, regs::CC)), 0, "CC of {function}");
                assert_eq!(device.read(access(function, regs::AQA)), 0, "AQA of {function}");
            }
            device.write(access(asked, regs::CSTS), told);
            assert_eq!(device.read(access(asked, regs::CSTS)), 0);
            assert_eq!(device.read(access(1 - asked, regs::CSTS)), told, "that of another function");
            device.write(access(1 - asked, regs::CSTS), told);
        }
        let mut host = driver(device, 1);
        host.start()?;
        assert_works(&mut host)
    });
}

/// "Changed Namespace List": what another function has changed, until the list is read without Retain Asynchronous Event.
///
/// Cases: J6, N1.
#[test]
fn namespace_changes_are_listed_for_the_other_function() {
    every_back_end_with_two_functions(|device| {
        let mut host = driver(device, 0);
        host.start()?;
        assert_eq!(attach(&mut host, 2, management::DETACH, &[1])?, Status::SUCCESS);
        let read = |host: &mut Host<'_>, retain| -> Result<u32, DriverError> {
            let (completion, data) = host.admin_data(get_log_page(lid::CHANGED_NAMESPACES, 4096, 0, retain), 4096)?;
            assert_ends(&completion, &[Status::SUCCESS], "Changed Namespace List");
            Ok(wire::<U32>(&data).get())
        };
        assert_eq!(read(&mut host, false)?, 0, "the function that asked knows");
        // The list outlives a reset of the function that has not read it.
        let mut host = driver(device, 1);
        host.start()?;
        assert_eq!(active(&mut host)?, Vec::<u32>::new());
        assert_eq!((read(&mut host, true)?, read(&mut host, true)?), (2, 2));
        assert_eq!((read(&mut host, false)?, read(&mut host, false)?), (2, 0));
        assert_works(&mut host)
    });
}

/// "Namespace Attribute Changed" and "Private Namespace": a function is told when another one has changed its namespaces; one that is not sharable is
/// attached to one controller at most.
///
/// Cases: G7, N1, N3.
#[test]
fn a_function_is_told_of_changed_namespaces() {
    every_back_end_with_two_functions(|device| {
        let mut host = driver(device, 0);
        host.start()?;
        host.turn_to(1);
        host.start()?;
        let wants = |bits| set_features(fid::ASYNC_EVENT_CONFIGURATION, bits);
        let changes = [(notice::NAMESPACE_ATTRIBUTE, management::DETACH, true), (0, management::ATTACH, false)];
        for (notices, change, is_told) in changes {
            host.admin("Asynchronous Event Configuration", wants(notices))?;
            let request = host.submit(0, async_event_request(), &[])?;
            host.turn_to(0);
            assert_eq!(attach(&mut host, 2, change, &[1])?, Status::SUCCESS);
            assert_eq!(attach(&mut host, 1, management::ATTACH, &[1])?, Status::NAMESPACE_IS_PRIVATE);
            host.turn_to(1);
            host.run_for(QUIET_CLOCKS)?;
            let told = host.take_completion(0, request).map(|completion| completion.result);
            let event =
                event_result(event_type::NOTICE, notice_event::NAMESPACE_ATTRIBUTE_CHANGED, lid::CHANGED_NAMESPACES);
            assert_eq!(told, is_told.then_some(event));
            host.admin_data(get_log_page(lid::CHANGED_NAMESPACES, 4096, 0, false), 4096)?;
        }
        assert_works(&mut host)
    });
}

/// Attaches a namespace to these controllers, or detaches it.
fn attach(host: &mut Host<'_>, nsid: u32, select: u32, controllers: &[u16]) -> Result<Status, DriverError> {
    let mut list = ControllerList::new_zeroed();
    list.count = (controllers.len() as u16).into();
    for (place, controller) in list.identifiers.iter_mut().zip(controllers) {
        *place = (*controller).into();
    }
    let entry = SqEntry {
        opcode: admin::NAMESPACE_ATTACHMENT,
        nsid: nsid.into(),
        cdw10: cdw([select, 0, 0, 0, 0, 0]),
        ..SqEntry::default()
    };
    Ok(admin_with_data(host, entry, list.as_bytes())?.status.code())
}

/// "Controller Level Reset": when CSTS.RDY is 0, nothing of the old life is erased any more, not even where another function writes.
#[test]
fn nothing_is_erased_after_the_reset_of_a_function() {
    every_back_end_with_two_functions(|device| {
        make_shared_namespace_small(&mut driver(device, 0))?;
        let mut other = driver(device, 1);
        let shared = other.bring_up()?;
        assert_eq!(shared.blocks, SMALL_BLOCKS);
        let block = data(seed(), 512);
        for (step, clocks) in [0, 3000, 12_000].into_iter().enumerate() {
            for erasure in [deallocate_all, format_with_erasure] {
                let mut host = driver(other.device(), 0);
                host.bring_up()?;
                erasure(&mut host, &shared)?;
                host.step(clocks)?;
                host.disable()?;
                // What is erased from the first block on comes to the last one at the end.
                let last = shared.blocks - 1 - step as u64;
                other.write(&shared, last, &block)?;
                other.run_for(QUIET_CLOCKS)?;
                let mut back = vec![0; block.len()];
                other.read(&shared, last, &mut back)?;
                assert!(back == block, "what was written after a reset stays; the reset came after {clocks} clocks");
            }
        }
        Ok(())
    });
}

/// Blocks of a namespace that is soon erased: 1 MiB.
const SMALL_BLOCKS: u64 = 2048;

/// Clocks in which it is.
const QUIET_CLOCKS: u64 = 40_000;

/// Has a small namespace in the place of the shared one.
fn make_shared_namespace_small(host: &mut Host<'_>) -> Result<(), DriverError> {
    let entry = |opcode, nsid: u32, select| SqEntry {
        opcode,
        nsid: nsid.into(),
        cdw10: cdw([select, 0, 0, 0, 0, 0]),
        ..SqEntry::default()
    };
    host.start()?;
    host.admin("deletion", entry(admin::NAMESPACE_MANAGEMENT, 2, management::DELETE))?;
    let mut wanted = IdentifyNamespace::new_zeroed();
    (wanted.nsze, wanted.ncap, wanted.nmic) = (SMALL_BLOCKS.into(), SMALL_BLOCKS.into(), NMIC_SHARED);
    let created = admin_with_data(host, entry(admin::NAMESPACE_MANAGEMENT, 0, management::CREATE), wanted.as_bytes())?;
    assert_eq!((created.status, created.result), (Status::SUCCESS, 2));
    assert_eq!(attach(host, 2, management::ATTACH, &[0, 1])?, Status::SUCCESS);
    host.disable()
}

/// Submits a Dataset Management that deallocates all of a namespace, in many ranges.
fn deallocate_all(host: &mut Host<'_>, identity: &Identity) -> Result<(), DriverError> {
    const RANGES: u64 = 256;
    let blocks = identity.blocks / RANGES;
    let ranges: Vec<DatasetRange> = (0..RANGES)
        .map(|range| DatasetRange {
            attributes: 0.into(),
            blocks: (blocks as u32).into(),
            lba: (range * blocks).into(),
        })
        .collect();
    let page = host.host().alloc_guarded(PAGE_BYTES, PAGE_BYTES);
    host.host().store(page, ranges.as_bytes());
    let entry = SqEntry {
        opcode: io::DATASET_MANAGEMENT,
        nsid: identity.nsid.into(),
        prp: wire_prps([page, 0]),
        cdw10: cdw([RANGES as u32 - 1, 1 << 2, 0, 0, 0, 0]),
        ..SqEntry::default()
    };
    host.submit(1, entry, &[]).map(drop)
}

/// Submits a Format NVM with User Data Erase.
fn format_with_erasure(host: &mut Host<'_>, identity: &Identity) -> Result<(), DriverError> {
    let entry = SqEntry {
        opcode: admin::FORMAT_NVM,
        nsid: identity.nsid.into(),
        cdw10: cdw([1 << 9, 0, 0, 0, 0, 0]),
        ..SqEntry::default()
    };
    host.submit(0, entry, &[]).map(drop)
}
