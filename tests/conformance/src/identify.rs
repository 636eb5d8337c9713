//! NVMe Base, "Identify command"; NVM Command Set, "Identify Namespace data structure".

use nvme_spec::identify::{
    cns, oacs, IdentifyController, IdentifyNamespace, IndependentNamespace, CSI_NVM, IDENTIFY_BYTES, NSTAT_READY,
};
use nvme_spec::limits::NSID_BROADCAST;
use nvme_spec::{SqEntry, Status};
use sim_host::{identify_entry, DriverError};
use zerocopy::little_endian::U32;

use crate::every_back_end;
use crate::expect::{assert_admin, assert_ends, assert_works, bring_up, start, wire, Host};

fn identify(host: &mut Host<'_>, cns: u8, nsid: u32) -> Result<Vec<u8>, DriverError> {
    let (completion, data) = host.admin_data(identify_entry(cns, nsid), IDENTIFY_BYTES as usize)?;
    assert_ends(&completion, &[Status::SUCCESS], &format!("Identify, CNS {cns:#04x}, NSID {nsid:#x}"));
    Ok(data)
}

fn active_namespaces(host: &mut Host<'_>, above: u32) -> Result<Vec<u32>, DriverError> {
    let data = identify(host, cns::ACTIVE_NAMESPACES, above)?;
    let list: Vec<u32> = data.chunks_exact(4).map(|entry| wire::<U32>(entry).get()).collect();
    let used = list.iter().position(|nsid| *nsid == 0).unwrap_or(list.len());
    assert!(list[used..].iter().all(|nsid| *nsid == 0), "zeroes behind the last entry");
    Ok(list[..used].to_vec())
}

fn controller(host: &mut Host<'_>) -> Result<IdentifyController, DriverError> {
    Ok(wire(&identify(host, cns::CONTROLLER, 0)?))
}

/// "Identify Namespace data structure": sizes, formats, reserved bytes.
///
/// Cases: H1.
#[test]
fn namespace_data_is_consistent() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for nsid in active_namespaces(&mut host, 0)? {
            let data: IdentifyNamespace = wire(&identify(&mut host, cns::NAMESPACE, nsid)?);
            assert!(data.nsze.get() >= data.ncap.get() && data.ncap.get() >= data.nuse.get());
            assert!(data.nsze.get() > 0, "an active namespace has blocks");
            let format = data.flbas & 0xF;
            assert!(format <= data.nlbaf, "FLBAS names a format that is there");
            assert!(data.lbaf[usize::from(format)].lbads >= 9);
            assert!(data.reserved192.iter().all(|byte| *byte == 0));
            let unused = &data.lbaf[usize::from(data.nlbaf) + 1..];
            assert!(unused.iter().all(|f| (f.ms.get(), f.lbads, f.rp) == (0, 0, 0)));
        }
        Ok(())
    });
}

/// "Namespace Identifiers": 0 and above NN.
///
/// Cases: H2.
#[test]
fn namespaces_out_of_range_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let namespaces = controller(&mut host)?.nn.get();
        for structure in [cns::NAMESPACE, cns::NAMESPACE_DESCRIPTORS] {
            for nsid in [0, namespaces + 1, 0xFFFF_FFFE] {
                let what = format!("CNS {structure:#04x}, NSID {nsid:#x} of {namespaces}");
                assert_admin(&mut host, identify_entry(structure, nsid), &[Status::INVALID_NAMESPACE], &what);
            }
        }
        assert_works(&mut host)
    });
}

/// "Identify Namespace data structure": a valid but inactive namespace is all zero.
///
/// Cases: H3.
#[test]
fn inactive_namespaces_are_all_zero() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let active = active_namespaces(&mut host, 0)?;
        let namespaces = controller(&mut host)?.nn.get();
        for nsid in (1..=namespaces).filter(|nsid| !active.contains(nsid)).take(8) {
            let data = identify(&mut host, cns::NAMESPACE, nsid)?;
            assert!(data.iter().all(|byte| *byte == 0), "NSID {nsid}");
        }
        Ok(())
    });
}

/// "Identify Namespace data structure", NSID FFFFFFFFh: what all namespaces have in common, if they can be managed.
///
/// Cases: H4.
#[test]
fn broadcast_namespace_is_what_all_namespaces_have_in_common() {
    every_back_end(|device| {
        let mut host = start(device)?;
        if controller(&mut host)?.oacs.get() & oacs::NAMESPACE_MANAGEMENT == 0 {
            let entry = identify_entry(cns::NAMESPACE, NSID_BROADCAST);
            assert_admin(&mut host, entry, &[Status::INVALID_NAMESPACE], "NSID FFFFFFFFh");
        } else {
            let common: IdentifyNamespace = wire(&identify(&mut host, cns::NAMESPACE, NSID_BROADCAST)?);
            let nsid = active_namespaces(&mut host, 0)?[0];
            let first: IdentifyNamespace = wire(&identify(&mut host, cns::NAMESPACE, nsid)?);
            assert_eq!((common.nsze.get(), common.ncap.get(), common.nuse.get()), (0, 0, 0));
            assert_eq!((common.nlbaf, common.lbaf, common.mc), (first.nlbaf, first.lbaf, first.mc));
        }
        let entry = identify_entry(cns::NAMESPACE_DESCRIPTORS, NSID_BROADCAST);
        assert_admin(&mut host, entry, &[Status::INVALID_NAMESPACE], "NSID FFFFFFFFh");
        assert_works(&mut host)
    });
}

/// "Identify Controller data structure": texts, entry sizes, limits; optional commands are accepted exactly if they are announced.
///
/// Cases: H5.
#[test]
fn controller_data_is_consistent() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let data = controller(&mut host)?;
        for text in [&data.sn[..], &data.mn[..], &data.fr[..]] {
            assert!(text.iter().all(|byte| (0x20..0x7F).contains(byte)), "printable");
            assert_ne!(text[0], b' ', "left-justified");
        }
        assert_eq!((data.sqes, data.cqes), (0x66, 0x44));
        assert!(data.nn.get() >= 1);
        assert_eq!(data.cntrltype, 1, "an I/O controller");
        let name = std::str::from_utf8(&data.subnqn).expect("SUBNQN is UTF-8");
        assert!(name.starts_with("nqn."), "{name}");
        // OACS bits and the commands behind them: Security Send, Format NVM, Firmware Commit, Namespace Management, Device Self-test,
        // Directive Send, NVMe-MI Send, Virtualization Management, Doorbell Buffer Config.
        let optional =
            [(0, 0x81), (1, 0x80), (2, 0x10), (3, 0x0D), (4, 0x14), (5, 0x19), (6, 0x1D), (7, 0x1C), (8, 0x7C)];
        for (bit, opcode) in optional {
            if data.oacs.get() >> bit & 1 == 0 {
                let entry = SqEntry { opcode, ..SqEntry::default() };
                assert_admin(
                    &mut host,
                    entry,
                    &[Status::INVALID_OPCODE],
                    &format!("opcode {opcode:#04x} without OACS"),
                );
            }
        }
        // ONCS bits: Compare, Write Uncorrectable, Dataset Management, Write Zeroes, Reservation Register, Verify, Copy.
        host.create_queue_pair(1, 8, Some(1))?;
        for (bit, opcode) in [(0, 0x05), (1, 0x04), (2, 0x09), (3, 0x08), (5, 0x0D), (7, 0x0C), (8, 0x19)] {
            if data.oncs.get() >> bit & 1 == 0 {
                let entry = SqEntry { opcode, nsid: 1.into(), ..SqEntry::default() };
                let completion = host.execute(1, entry, &[])?;
                assert_ends(&completion, &[Status::INVALID_OPCODE], &format!("opcode {opcode:#04x} without ONCS"));
            }
        }
        assert_works(&mut host)
    });
}

/// "Active Namespace ID list": ascending, above the NSID that is given.
///
/// Cases: H6.
#[test]
fn active_namespace_list_ascends_above_the_given_one() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let namespaces = controller(&mut host)?.nn.get();
        let all = active_namespaces(&mut host, 0)?;
        assert!(!all.is_empty());
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(all.iter().all(|nsid| *nsid <= namespaces));
        for above in [1, namespaces] {
            let expected: Vec<u32> = all.iter().copied().filter(|nsid| *nsid > above).collect();
            assert_eq!(active_namespaces(&mut host, above)?, expected);
        }
        for nsid in [0xFFFF_FFFE, NSID_BROADCAST] {
            let entry = identify_entry(cns::ACTIVE_NAMESPACES, nsid);
            assert_admin(&mut host, entry, &[Status::INVALID_NAMESPACE], &format!("NSID {nsid:#x}"));
        }
        Ok(())
    });
}

/// "Namespace Identification Descriptor list": at least one of EUI64, NGUID and UUID, and it is not all zero.
///
/// Cases: H7.
#[test]
fn namespace_has_an_identifier() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let data = identify(&mut host, cns::NAMESPACE_DESCRIPTORS, 1)?;
        let mut rest = &data[..];
        let mut identifiers = 0;
        while rest[1] != 0 {
            let (kind, length) = (rest[0], usize::from(rest[1]));
            let expected = match kind {
                1 => 8,
                2 | 3 => 16,
                4 => 1,
                _ => panic!("NIDT {kind}"),
            };
            assert_eq!(length, expected, "NIDL of NIDT {kind}");
            let identifier = &rest[4..4 + length];
            if kind != 4 {
                assert!(identifier.iter().any(|byte| *byte != 0));
                identifiers += 1;
            }
            rest = &rest[4 + length..];
        }
        assert!(identifiers >= 1);
        assert!(rest.iter().all(|byte| *byte == 0), "zeroes behind the last descriptor");
        Ok(())
    });
}

/// "Identify command", CNS of I/O command sets: there is one, the NVM command set, with the same namespaces; another one is refused.
///
/// Cases: H8.
#[test]
fn data_of_the_nvm_command_set_is_there_and_of_no_other() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let sets = identify(&mut host, cns::COMMAND_SETS, 0)?;
        assert_eq!((sets[0], sets[1..].iter().any(|byte| *byte != 0)), (1 << CSI_NVM, false), "the combinations");
        let nsid = active_namespaces(&mut host, 0)?[0];
        let same = identify(&mut host, cns::ACTIVE_NAMESPACES_OF_COMMAND_SET, 0)?;
        assert_eq!(same, identify(&mut host, cns::ACTIVE_NAMESPACES, 0)?);
        let independent: IndependentNamespace = wire(&identify(&mut host, cns::NAMESPACE_INDEPENDENT, nsid)?);
        let namespace: IdentifyNamespace = wire(&identify(&mut host, cns::NAMESPACE, nsid)?);
        assert_eq!((independent.nmic, independent.nstat), (namespace.nmic, NSTAT_READY));
        for structure in
            [cns::NAMESPACE_OF_COMMAND_SET, cns::CONTROLLER_OF_COMMAND_SET, cns::ACTIVE_NAMESPACES_OF_COMMAND_SET]
        {
            identify(&mut host, structure, nsid)?;
            for set in [1, 2, 0xFF] {
                let mut entry = identify_entry(structure, nsid);
                entry.cdw10[1] = (set << 24).into();
                let what = format!("CNS {structure:#04x} of command set {set}");
                assert_admin(&mut host, entry, &[Status::INVALID_FIELD], &what);
            }
        }
        assert_works(&mut host)
    });
}

/// "Identify command", CNS: reserved values, and structures of optional capabilities.
///
/// Cases: H10.
#[test]
fn reserved_structures_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for structure in [0x0F, 0x20, 0x7F, 0xA0, 0xC0, 0xFF] {
            let what = format!("CNS {structure:#04x}");
            assert_admin(&mut host, identify_entry(structure, 0), &[Status::INVALID_FIELD], &what);
        }
        assert_works(&mut host)
    });
}

/// Identify does not change while the controller works.
///
/// Cases: H11.
#[test]
fn identify_data_is_stable_under_load() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        let first = identify(&mut running.host, cns::CONTROLLER, 0)?;
        for lba in 0..8 {
            running.submit_transfer(1, lba * 8, 8, lba % 2 == 0)?;
        }
        let loaded = identify(&mut running.host, cns::CONTROLLER, 0)?;
        running.host.wait_all()?;
        let after = identify(&mut running.host, cns::CONTROLLER, 0)?;
        assert!(first == loaded && loaded == after);
        let namespace = identify(&mut running.host, cns::NAMESPACE, running.identity.nsid)?;
        assert_eq!(wire::<IdentifyNamespace>(&namespace), running.identity.namespace);
        Ok(())
    });
}

/// "Physical Region Page Entry and List": admin data too may begin anywhere in a page, at a dword.
///
/// Cases: X1.
#[test]
fn identify_data_may_cross_a_page() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let expected = identify(&mut host, cns::CONTROLLER, 0)?;
        for offset in [4, 0x200, 0xFFC] {
            let mut buffer = sim_host::Buffer::scattered(host.host(), offset, IDENTIFY_BYTES as usize);
            let prp = buffer.prps(host.host(), sim_host::ListPlacement::PAGE_START);
            let entry = SqEntry { prp: sim_host::wire_prps(prp), ..identify_entry(cns::CONTROLLER, 0) };
            let completion = host.execute(0, entry, buffer.segments())?;
            assert_ends(&completion, &[Status::SUCCESS], "Identify");
            assert!(buffer.load(host.host()) == expected, "offset {offset:#x}");
        }
        let misaligned = SqEntry { prp: sim_host::wire_prps([0x5_0000_0002, 0]), ..identify_entry(cns::CONTROLLER, 0) };
        let allowed = &[Status::INVALID_PRP_OFFSET, Status::INVALID_FIELD];
        assert_admin(&mut host, misaligned, allowed, "PRP1 that is no multiple of 4");
        let unreachable = SqEntry { prp: sim_host::wire_prps([0x1000, 0]), ..identify_entry(cns::CONTROLLER, 0) };
        // Writes are posted: nobody has to tell the controller that there is no memory.
        let allowed = &[Status::SUCCESS, Status::DATA_TRANSFER_ERROR];
        assert_admin(&mut host, unreachable, allowed, "PRP1 without memory");
        assert_works(&mut host)
    });
}
