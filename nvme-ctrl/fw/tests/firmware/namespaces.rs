//! Namespace Management, Namespace Attachment and Format: groups H9 and N1 to N7.

use nvme_spec::firmware_port::capabilities::{NAMESPACE_BASE, NAMESPACE_FORMAT};
use nvme_spec::identify::{ControllerList, IdentifyController, IdentifyNamespace};
use nvme_spec::opcode::admin;
use nvme_spec::{SqEntry, Status};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::bench::{
    async_event_request, command, get_log_page, identify, set_features, Bench, Done, DATA, PRIVATE_BLOCKS,
    SHARED_BLOCKS,
};

fn two() -> Bench {
    Bench::with(2, (NAMESPACE_BASE.mask() | NAMESPACE_FORMAT.mask()) as u32)
}

fn wanted(blocks: u64, format: u8, is_shared: bool) -> IdentifyNamespace {
    let mut data = IdentifyNamespace::new_zeroed();
    (data.nsze, data.ncap) = (blocks.into(), blocks.into());
    (data.flbas, data.nmic) = (format, u8::from(is_shared));
    data
}

fn create(bench: &mut Bench, data: &IdentifyNamespace) -> Done {
    bench.port().host_data.insert(DATA, data.as_bytes().to_vec());
    bench.admin(command(admin::NAMESPACE_MANAGEMENT, 0, &[0]))
}

fn delete(nsid: u32) -> SqEntry {
    command(admin::NAMESPACE_MANAGEMENT, nsid, &[1])
}

fn attachment(bench: &mut Bench, function: u8, nsid: u32, select: u32, controllers: &[u16]) -> Status {
    let mut list = ControllerList::new_zeroed();
    list.count = (controllers.len() as u16).into();
    for (place, controller) in list.identifiers.iter_mut().zip(controllers) {
        *place = (*controller).into();
    }
    bench.port().host_data.insert(DATA, list.as_bytes().to_vec());
    bench.execute(function, command(admin::NAMESPACE_ATTACHMENT, nsid, &[select])).status.code()
}

fn words(data: &[u8]) -> Vec<u32> {
    data.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

fn list(bench: &mut Bench, function: u8, cns: u32, nsid: u32) -> Vec<u32> {
    words(&bench.execute(function, identify(cns, nsid)).data()).into_iter().take_while(|nsid| *nsid > 0).collect()
}

fn controllers(bench: &mut Bench, cns: u32, nsid: u32, from: u32) -> Vec<u16> {
    let data = bench.admin(identify(from << 16 | cns, nsid)).data();
    let list = ControllerList::read_from_bytes(&data).unwrap();
    list.identifiers[..usize::from(list.count.get())].iter().map(|id| id.get()).collect()
}

fn free_bytes(bench: &mut Bench) -> u128 {
    IdentifyController::read_from_bytes(&bench.admin(identify(1, 0)).data()).unwrap().unvmcap.get()
}

const FREE_BLOCKS: u64 = PRIVATE_BLOCKS + SHARED_BLOCKS;

/// N1, J6, H9: from creation to deletion, with the notices and lists that go with it.
#[test]
fn a_namespace_is_created_attached_and_deleted() {
    let mut bench = two();
    for function in 0..2 {
        bench.execute(function, set_features(0xB, 1 << 8)).ok();
    }
    let requests = [0, 1].map(|function| bench.submit(function, async_event_request()));
    assert_eq!(free_bytes(&mut bench), u128::from(FREE_BLOCKS) * 512);
    assert_eq!(create(&mut bench, &wanted(0x1000, 0, true)).ok(), 3);
    assert_eq!(free_bytes(&mut bench), u128::from(FREE_BLOCKS - 0x1000) * 512);
    assert_eq!((list(&mut bench, 0, 0x10, 0), list(&mut bench, 0, 2, 0)), (vec![1, 2, 3], vec![1, 2]));
    assert!(bench.admin(identify(0, 3)).data().iter().all(|byte| *byte == 0), "inactive");
    let allocated = IdentifyNamespace::read_from_bytes(&bench.admin(identify(0x11, 3)).data()).unwrap();
    assert_eq!((allocated.nsze.get(), allocated.nmic, allocated.nvmcap.get()), (0x1000, 1, 0x20_0000));

    assert_eq!(attachment(&mut bench, 0, 3, 0, &[0, 1]), Status::SUCCESS);
    bench.polls(3);
    // Notice, Namespace Attribute Changed, log page 4: to the function that did not ask.
    assert_eq!(bench.completions_of(0, requests[0]), []);
    assert_eq!(bench.completions_of(1, requests[1])[0].result, 0x0004_0002);
    assert_eq!((list(&mut bench, 1, 2, 0), list(&mut bench, 1, 2, 2)), (vec![2, 3], vec![3]));
    assert_eq!(controllers(&mut bench, 0x12, 3, 0), [0, 1]);
    assert_eq!(controllers(&mut bench, 0x12, 1, 0), [0]);
    assert_eq!(controllers(&mut bench, 0x13, 0, 1), [1]);
    let row = bench.port().rows[2];
    assert_eq!((row.base_units, row.blocks, row.attached), (FREE_BLOCKS / 8, 0x1000, 3));

    let mut retaining = get_log_page(4, 4096);
    retaining.cdw10[0] = (retaining.cdw(10) | 1 << 15).into();
    for entry in [retaining, retaining, get_log_page(4, 4096)] {
        assert_eq!(words(&bench.execute(1, entry).data())[..2], [3, 0]);
    }
    assert_eq!(words(&bench.execute(1, get_log_page(4, 4096)).data())[0], 0);
    assert_eq!(words(&bench.execute(0, get_log_page(4, 4096)).data())[0], 0, "function 0 asked for it");

    assert_eq!(attachment(&mut bench, 1, 3, 1, &[0]), Status::SUCCESS, "detach");
    assert_eq!((list(&mut bench, 0, 2, 0), list(&mut bench, 1, 2, 0)), (vec![1, 2], vec![2, 3]));
    bench.admin(delete(3)).ok();
    assert_eq!((list(&mut bench, 0, 0x10, 0), list(&mut bench, 1, 2, 0)), (vec![1, 2], vec![2]));
    assert_eq!(bench.port().rows[2].blocks, 0);
    assert_eq!(free_bytes(&mut bench), u128::from(FREE_BLOCKS) * 512);
    bench.refused(delete(3), Status::INVALID_FIELD);
}

/// The first gap that is large enough, and never two namespaces in one place.
#[test]
fn namespaces_get_the_first_gap() {
    let mut bench = two();
    let half = FREE_BLOCKS / 2;
    assert_eq!(create(&mut bench, &wanted(half, 0, false)).ok(), 3);
    assert_eq!(create(&mut bench, &wanted(half - 8, 0, false)).ok(), 4);
    let done = create(&mut bench, &wanted(16, 0, false));
    assert_eq!(done.status.code(), Status::NAMESPACE_INSUFFICIENT_CAPACITY, "N2");
    assert_eq!(create(&mut bench, &wanted(1, 1, false)).ok(), 5, "one block of 4 KiB is left");
    bench.admin(delete(1)).ok();
    bench.admin(delete(3)).ok();
    assert_eq!(create(&mut bench, &wanted(PRIVATE_BLOCKS / 8, 1, false)).ok(), 1);
    assert_eq!(create(&mut bench, &wanted(3, 0, false)).ok(), 3, "part of a unit takes all of it");
    assert_eq!(create(&mut bench, &wanted(half - 8, 0, false)).ok(), 6);
    let mut places: Vec<(u64, u64)> = bench
        .port()
        .rows
        .iter()
        .filter(|row| row.blocks > 0)
        .map(|row| (row.base_units, row.base_units + (row.blocks << row.lba_shift).div_ceil(4096)))
        .collect();
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{places:?}");
    assert_eq!(places[0].0, 0);
    // All at once: N4.
    bench.admin(delete(0xFFFF_FFFF)).ok();
    assert_eq!(list(&mut bench, 0, 0x10, 0), Vec::<u32>::new());
    for nsid in 1..=8 {
        assert_eq!(create(&mut bench, &wanted(8, 0, false)).ok(), nsid);
    }
    let done = create(&mut bench, &wanted(8, 0, false));
    assert_eq!(done.status.code(), Status::NAMESPACE_IDENTIFIER_UNAVAILABLE, "N2");
}

/// N2, N3: each mistake and its status.
#[test]
fn each_mistake_has_its_status() {
    let mut bench = two();
    let good = wanted(0x100, 0, false);
    for (name, data, status) in [
        ("thin", IdentifyNamespace { ncap: 8.into(), ..good }, Status::THIN_PROVISIONING_NOT_SUPPORTED),
        ("no blocks", wanted(0, 0, false), Status::INVALID_FIELD),
        ("format 2", wanted(8, 2, false), Status::INVALID_FORMAT),
        ("format 15", wanted(8, 15, false), Status::INVALID_FORMAT),
        ("metadata", wanted(8, 0x10, false), Status::INVALID_FORMAT),
        ("protection", IdentifyNamespace { dps: 1, ..good }, Status::INVALID_FIELD),
        ("reserved sharing", IdentifyNamespace { nmic: 2, ..good }, Status::INVALID_FIELD),
        ("too large", wanted(FREE_BLOCKS + 1, 0, false), Status::NAMESPACE_INSUFFICIENT_CAPACITY),
        ("huge", wanted(u64::MAX, 1, false), Status::NAMESPACE_INSUFFICIENT_CAPACITY),
    ] {
        assert_eq!(create(&mut bench, &data).status.code(), status, "{name}");
    }
    bench.refused(command(admin::NAMESPACE_MANAGEMENT, 0, &[2]), Status::INVALID_FIELD);
    bench.refused(command(admin::NAMESPACE_MANAGEMENT, 0, &[0, 1 << 24]), Status::INVALID_FIELD);
    for (nsid, status) in [(0, Status::INVALID_NAMESPACE), (9, Status::INVALID_NAMESPACE), (5, Status::INVALID_FIELD)] {
        bench.refused(delete(nsid), status);
        assert_eq!(attachment(&mut bench, 0, nsid, 0, &[0]), status);
    }
    assert_eq!(create(&mut bench, &good).ok(), 3);
    let mut attach = |nsid, select, list: &[u16]| attachment(&mut bench, 0, nsid, select, list);
    for wrong in [&[][..], &[2], &[0, 0], &[1, 0], &[0xFFFF]] {
        assert_eq!(attach(3, 0, wrong), Status::CONTROLLER_LIST_INVALID, "{wrong:?}");
    }
    assert_eq!(attach(3, 0, &[0, 1]), Status::NAMESPACE_IS_PRIVATE);
    assert_eq!(attach(3, 0, &[1]), Status::SUCCESS);
    assert_eq!(attach(3, 0, &[0]), Status::NAMESPACE_IS_PRIVATE);
    assert_eq!(attach(3, 0, &[1]), Status::NAMESPACE_ALREADY_ATTACHED);
    assert_eq!(attach(3, 1, &[0]), Status::NAMESPACE_NOT_ATTACHED);
    assert_eq!(attach(3, 2, &[0]), Status::INVALID_FIELD);
}

/// N5, N7: blocks of another size, of one namespace or of all; what is not there is refused.
#[test]
fn format_changes_the_size_of_blocks() {
    let mut bench = two();
    let format = |nsid, cdw10| command(admin::FORMAT_NVM, nsid, &[cdw10]);
    let size = |bench: &mut Bench, nsid| {
        let data = IdentifyNamespace::read_from_bytes(&bench.admin(identify(0, nsid)).data()).unwrap();
        (data.nsze.get(), data.lbaf[usize::from(data.flbas & 0xF)].lbads)
    };
    bench.admin(format(1, 1)).ok();
    assert_eq!(size(&mut bench, 1), (PRIVATE_BLOCKS / 8, 12));
    assert_eq!((bench.port().rows[0].blocks, bench.port().rows[0].lba_shift), (PRIVATE_BLOCKS / 8, 12));
    assert_eq!(size(&mut bench, 2), (SHARED_BLOCKS, 9));
    bench.admin(format(0xFFFF_FFFF, 0)).ok();
    assert_eq!((size(&mut bench, 1), size(&mut bench, 2)), ((PRIVATE_BLOCKS, 9), (SHARED_BLOCKS, 9)));
    for (cdw10, status) in [
        (2, Status::INVALID_FORMAT),
        (15, Status::INVALID_FORMAT),
        (1 << 12, Status::INVALID_FORMAT),
        (1 << 4, Status::INVALID_FORMAT),
        (1 << 5, Status::INVALID_FORMAT),
        (1 << 9, Status::INVALID_FIELD),
        (7 << 9, Status::INVALID_FIELD),
    ] {
        bench.refused(format(1, cdw10), status);
    }
    bench.refused(format(0, 0), Status::INVALID_NAMESPACE);
    bench.refused(format(9, 0), Status::INVALID_NAMESPACE);
    bench.refused(format(3, 0), Status::INVALID_FIELD);
    // Function 1 does not see namespace 1.
    assert_eq!(bench.execute(1, format(1, 0)).status.code(), Status::INVALID_FIELD);
}

/// N14: hardware that cannot tell namespaces apart has one, and nothing of their management.
#[test]
fn one_namespace_is_not_managed() {
    let mut bench = Bench::with(1, 0);
    let controller = IdentifyController::read_from_bytes(&bench.admin(identify(1, 0)).data()).unwrap();
    assert_eq!((controller.oacs.get() & 8, controller.nn.get()), (0, 1));
    bench.refused(delete(1), Status::INVALID_OPCODE);
    bench.refused(command(admin::NAMESPACE_ATTACHMENT, 1, &[0]), Status::INVALID_OPCODE);
    for cns in 0x10..=0x13 {
        bench.refused(identify(cns, 1), Status::INVALID_FIELD);
    }
    bench.refused(command(admin::FORMAT_NVM, 1, &[1]), Status::INVALID_FORMAT);
    bench.admin(command(admin::FORMAT_NVM, 1, &[0])).ok();
}

/// H8: the structures of I/O command sets.
#[test]
fn structures_of_command_sets_are_those_of_the_nvm_command_set() {
    let mut bench = two();
    assert_eq!(list(&mut bench, 1, 7, 0), [2]);
    assert!(bench.admin(identify(5, 1)).data().iter().all(|byte| *byte == 0));
    let limits = bench.admin(identify(6, 0)).data();
    assert_eq!(limits[..3], [9, 9, 9], "VSL, WZSL and WUSL are as MDTS");
    assert!(limits[3..].iter().all(|byte| *byte == 0));
    assert_eq!(bench.admin(identify(8, 1)).data()[14], 1, "ready");
    assert_eq!(bench.admin(identify(0x1C, 0)).data()[..9], [1, 0, 0, 0, 0, 0, 0, 0, 0]);
    for cns in [5, 6, 7] {
        let mut entry = identify(cns, 1);
        entry.cdw10[1] = (2 << 24).into();
        bench.refused(entry, Status::INVALID_FIELD);
    }
    let common = IdentifyNamespace::read_from_bytes(&bench.admin(identify(0, 0xFFFF_FFFF)).data()).unwrap();
    assert_eq!((common.nsze.get(), common.nlbaf, common.lbaf[1].lbads), (0, 1, 12));
}
