//! Identify: group H.

use nvme_fw::Config;
use nvme_spec::identify::{IdentifyController, IdentifyNamespace, UuidDescriptor};
use nvme_spec::limits::LBA_BYTES;
use nvme_spec::{regs, Status};
use zerocopy::FromBytes;

use crate::bench::{identify, Bench, BLOCKS, DATA};

/// H1: the namespace.
#[test]
fn the_namespace_is_as_large_as_configured() {
    let mut bench = Bench::ready();
    let data = bench.admin(identify(0, 1)).data();
    let namespace = IdentifyNamespace::read_from_bytes(&data).unwrap();
    for blocks in [namespace.nsze, namespace.ncap, namespace.nuse] {
        assert_eq!(blocks.get(), BLOCKS);
    }
    let format = namespace.lbaf[usize::from(namespace.flbas & 0xF)];
    assert!(namespace.flbas & 0xF <= namespace.nlbaf);
    assert_eq!(1 << format.lbads, LBA_BYTES);
    assert_eq!(format.ms.get(), 0);
    assert!(data[192..].iter().all(|byte| *byte == 0), "reserved bytes");
}

/// H2, H4, H6, H7, H10: what is not there.
#[test]
fn what_is_not_there_is_refused() {
    let mut bench = Bench::ready();
    for nsid in [0, 2, 0xFFFF_FFFE, 0xFFFF_FFFF] {
        bench.refused(identify(0, nsid), Status::INVALID_NAMESPACE);
        bench.refused(identify(3, nsid), Status::INVALID_NAMESPACE);
    }
    for nsid in [0xFFFF_FFFE, 0xFFFF_FFFF] {
        bench.refused(identify(2, nsid), Status::INVALID_NAMESPACE);
    }
    for cns in (4..=0xFF).filter(|cns| ![5, 6, 7, 8, 0x1C].contains(cns)) {
        bench.refused(identify(cns, 1), Status::INVALID_FIELD);
    }
    for (cns, nsid) in [(0, 1), (1, 0), (2, 0), (3, 1)] {
        let mut entry = identify(cns, nsid);
        entry.prp[0] = (DATA + 2).into();
        bench.refused(entry, Status::INVALID_PRP_OFFSET);
    }
}

/// H3: a namespace that is not attached.
#[test]
fn a_detached_namespace_is_all_zero() {
    let mut bench = Bench::with_config(1, 0, Config::new(0, "FD0001"));
    assert!(bench.admin(identify(0, 1)).data().iter().all(|byte| *byte == 0));
    assert!(bench.admin(identify(2, 0)).data().iter().all(|byte| *byte == 0));
}

/// H5: the controller says what it does.
#[test]
fn the_controller_describes_itself() {
    let mut bench = Bench::ready();
    let data = bench.admin(identify(1, 0)).data();
    let controller = IdentifyController::read_from_bytes(&data).unwrap();
    assert_eq!(&controller.sn, b"FD0001              ");
    for text in [&controller.sn[..], &controller.mn, &controller.fr] {
        assert!(text.iter().all(|byte| (0x20..0x7F).contains(byte)), "{text:?}");
    }
    // A3: the version is that of the register.
    assert_eq!(u64::from(controller.ver.get()), regs::VS.reset);
    assert_eq!((controller.sqes, controller.cqes), (0x66, 0x44));
    assert_eq!((controller.mdts, controller.nn.get()), (9, 1));
    // Format and firmware, but no management of namespaces: this hardware has one. Compare, Write Uncorrectable, Write Zeroes and Verify, Select and
    // Save of features, and the Timestamp.
    let optional = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7;
    assert_eq!((controller.oacs.get(), controller.oncs.get(), controller.fuses.get()), (6, optional, 1));
    // SGLs of dwords, which may be longer than the data.
    assert_eq!((controller.sgls.get(), controller.vwc & 1), (2 | 1 << 18, 0));
    assert_eq!((controller.acl, controller.aerl, controller.elpe), (3, 3, 63));
    let name = controller.subnqn.split(|byte| *byte == 0).next().unwrap();
    let name = core::str::from_utf8(name).unwrap();
    let uuid = name.strip_prefix("nqn.2014-08.org.nvmexpress:uuid:").unwrap();
    let groups: Vec<_> = uuid.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert!(uuid.chars().all(|c| c == '-' || c.is_ascii_hexdigit()));
}

/// H6: the list of active namespaces.
#[test]
fn active_namespaces_are_those_above_nsid() {
    let mut bench = Bench::ready();
    let mut list = |nsid| bench.admin(identify(2, nsid)).data();
    assert_eq!(list(0)[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
    assert!(list(1).iter().all(|byte| *byte == 0));
    assert!(list(0xFFFF_FFFD).iter().all(|byte| *byte == 0));
}

/// H7: a UUID, which differs with the serial number, and an end.
#[test]
fn the_namespace_has_a_uuid() {
    let mut bench = Bench::ready();
    let data = bench.admin(identify(3, 1)).data();
    let (descriptor, rest) = UuidDescriptor::read_from_prefix(&data).unwrap();
    assert_eq!((descriptor.nidt, descriptor.nidl), (3, 16));
    assert_eq!((descriptor.nid[6] >> 4, descriptor.nid[8] >> 6), (8, 2), "version and variant of RFC 9562");
    assert_eq!(rest[..5], [4, 1, 0, 0, 0], "the command set is NVM");
    assert!(rest[5..].iter().all(|byte| *byte == 0));
    assert_eq!(descriptor.nid, Config::new(1, "FD0001").uuid);
    assert_ne!(descriptor.nid, Config::new(1, "FD0002").uuid);
}

/// H11, and that the data goes to the command's own pages.
#[test]
fn identify_twice_is_the_same_and_goes_to_its_pages() {
    let mut bench = Bench::ready();
    let mut entry = identify(1, 0);
    entry.prp = [(DATA + 0xFF0).into(), 0x9_0000_0000.into()];
    for _ in 0..2 {
        bench.submit(0, entry);
    }
    bench.polls(20);
    let sent = &bench.port().sent;
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
    assert_eq!(sent[0].prp, [DATA + 0xFF0, 0x9_0000_0000]);
}

/// The host's memory fails under the data.
#[test]
fn a_failed_transfer_fails_the_command() {
    for status in [Status::DATA_TRANSFER_ERROR, Status::INVALID_PRP_OFFSET] {
        let mut bench = Bench::ready();
        bench.port().transfer_status = status;
        assert_eq!(bench.admin(identify(1, 0)).status, status.for_host());
        bench.port().transfer_status = Status::SUCCESS;
        bench.admin(identify(1, 0)).data();
    }
}
