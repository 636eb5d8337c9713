//! Get Features and Set Features: groups I and C19 to C21.

use nvme_spec::Status;

use crate::bench::{create_cq, get_features, set_features, Bench, DATA};
use crate::fake_port::IO_QUEUES;

/// The mandatory features of a controller without a volatile write cache, with values that differ from the default.
const FEATURES: &[(u32, u32)] =
    &[(1, 0x0102_0305), (2, 0x20), (4, 400), (5, 0x1234), (8, 0x0503), (9, 1 << 16 | 2), (0xA, 1), (0xB, 0x1F)];

/// What dword 11 of Get Features selects for a value.
fn selector(fid: u32, value: u32) -> u32 {
    match fid {
        9 => value & 0xFFFF,
        _ => 0,
    }
}

/// I1, I7, I8, I10, I12: set, get, reset, get.
#[test]
fn features_are_kept_until_a_reset() {
    let mut bench = Bench::ready();
    for &(fid, value) in FEATURES {
        let select = selector(fid, value);
        let default = bench.admin(get_features(fid, select)).ok();
        assert_ne!(default, value, "feature {fid:X}");
        bench.admin(set_features(fid, value)).ok();
        assert_eq!(bench.admin(get_features(fid, select)).ok(), value, "feature {fid:X}");
        // I2: default and saved value, capabilities.
        assert_eq!(bench.admin(get_features(1 << 8 | fid, select)).ok(), default);
        assert_eq!(bench.admin(get_features(2 << 8 | fid, select)).ok(), default);
        let namespace_specific = u32::from(fid == 5) << 1;
        assert_eq!(bench.admin(get_features(3 << 8 | fid, select)).ok(), 4 | namespace_specific);
        bench.reset();
        assert_eq!(bench.admin(get_features(fid, select)).ok(), default, "feature {fid:X}");
    }
}

/// I2, I3, I5, I6, I9 to I11: each mistake and its status.
#[test]
fn each_mistake_has_its_status() {
    let mut bench = Bench::ready();
    for &(fid, value) in FEATURES {
        for select in 4..8 {
            bench.refused(get_features(select << 8 | fid, selector(fid, value)), Status::INVALID_FIELD);
        }
        bench.refused(set_features(1 << 31 | fid, value), Status::FEATURE_NOT_SAVEABLE);
        let mut entry = set_features(fid, value);
        entry.nsid = 1.into();
        match fid {
            5 => assert_eq!(bench.admin(entry).ok(), 0),
            _ => bench.refused(entry, Status::FEATURE_NOT_NAMESPACE_SPECIFIC),
        }
    }
    // Those with data or with a test of their own: Number of Queues, Timestamp, Keep Alive Timer, Host Identifier, Write Protection.
    let others = [7, 0xE, 0xF, 0x81, 0x84];
    let is_known = |fid: u32| others.contains(&fid) || FEATURES.iter().any(|(known, _)| *known == fid);
    for fid in (0..=0xFF).filter(|fid| !is_known(*fid)) {
        bench.refused(get_features(fid, 0), Status::INVALID_FIELD);
        bench.refused(set_features(fid, 0), Status::INVALID_FIELD);
    }
    let cases = [
        ("I9 power state 1", set_features(2, 1)),
        ("I10 sensor 1", set_features(4, 1 << 16 | 300)),
        ("I10 sensor 8", get_features(4, 8 << 16)),
        ("I10 all sensors", get_features(4, 0xF << 16)),
        ("I10 reserved threshold", set_features(4, 2 << 20 | 300)),
        ("I10 reserved threshold", get_features(4, 3 << 20)),
        ("I12 vector beyond", set_features(9, IO_QUEUES + 1)),
        ("I12 vector beyond", get_features(9, IO_QUEUES + 1)),
        ("I12 vector FFFF", get_features(9, 0xFFFF)),
        ("DULBE", set_features(5, 1 << 16)),
    ];
    for (name, entry) in cases {
        assert_eq!(bench.admin(entry).status, Status::INVALID_FIELD.with_dnr(), "{name}");
    }
    let mut entry = set_features(5, 0);
    entry.nsid = 2.into();
    bench.refused(entry, Status::INVALID_NAMESPACE);
}

/// I10: the two thresholds are kept apart, and "all sensors" sets the one that is there.
#[test]
fn temperature_thresholds() {
    let mut bench = Bench::ready();
    assert_eq!(bench.admin(get_features(4, 1 << 20)).ok(), 0);
    bench.admin(set_features(4, 1 << 20 | 250)).ok();
    bench.admin(set_features(4, 0xF << 16 | 360)).ok();
    assert_eq!(bench.admin(get_features(4, 0)).ok(), 360);
    assert_eq!(bench.admin(get_features(4, 1 << 20)).ok(), 250);
}

/// I13: what is not offered is not kept.
#[test]
fn unsupported_event_bits_are_not_kept() {
    let mut bench = Bench::ready();
    bench.admin(set_features(0xB, !0)).ok();
    assert_eq!(bench.admin(get_features(0xB, 0)).ok(), 0x31F, "the critical warnings and the notices of OAES");
}

/// The admin queue's interrupt is never coalesced, and vectors are kept apart.
#[test]
fn interrupt_vectors_are_kept_apart() {
    let mut bench = Bench::ready();
    assert_eq!(bench.admin(get_features(9, 0)).ok(), 1 << 16);
    bench.admin(set_features(9, 1 << 16 | 3)).ok();
    for (vector, disabled) in [(1, 0), (2, 0), (3, 1), (4, 0)] {
        assert_eq!(bench.admin(get_features(9, vector)).ok(), disabled << 16 | vector);
    }
}

/// C19 to C21.
#[test]
fn number_of_queues() {
    let all = (IO_QUEUES - 1) << 16 | (IO_QUEUES - 1);
    let mut bench = Bench::ready();
    assert_eq!(bench.admin(get_features(7, 0)).ok(), all);
    for wrong in [0xFFFF_FFFF, 0xFFFF_0000, 0x0000_FFFF] {
        bench.refused(set_features(7, wrong), Status::INVALID_FIELD);
    }
    for (asked, granted) in [(0, 0), (0x00FF_00FE, all), (1 << 16, 1 << 16), (0xFFFE_FFFE, all)] {
        assert_eq!(bench.admin(set_features(7, asked)).ok(), granted, "{asked:X}");
        assert_eq!(bench.admin(get_features(7, 0)).ok(), granted);
    }
    bench.admin(create_cq(1, 16)).ok();
    bench.refused(set_features(7, 0), Status::COMMAND_SEQUENCE_ERROR);
    bench.reset();
    assert_eq!(bench.admin(set_features(7, 0)).ok(), 0);
}

/// I14: the Timestamp goes on from what the host has set, and from 0 after a reset. NVMe Base, "Timestamp".
#[test]
fn the_timestamp_goes_on() {
    const MS: u64 = 250_000;
    let mut bench = Bench::ready();
    let read = |bench: &mut Bench| {
        let data = bench.admin(get_features(0xE, 0)).data();
        u64::from_le_bytes(data.try_into().unwrap())
    };
    let origin = |value: u64| value >> 49 & 7;
    bench.port().clock = 7 * MS;
    assert_eq!(read(&mut bench), 7, "since power-on");
    bench.port().host_data.insert(DATA, 0xFFFF_1234_5678_9ABC_u64.to_le_bytes().to_vec());
    bench.admin(set_features(0xE, 0)).ok();
    let start = read(&mut bench);
    assert_eq!((start & 0xFFFF_FFFF_FFFF, origin(start)), (0x1234_5678_9ABC, 1));
    bench.port().clock += 5 * MS;
    assert_eq!(read(&mut bench), start + 5);
    bench.reset();
    assert_eq!(origin(read(&mut bench)), 0);
}

/// I14: Host Identifier of 64 and of 128 bits; a reset forgets it.
#[test]
fn the_host_identifier_is_kept() {
    let mut bench = Bench::ready();
    for (extended, bytes) in [(0, 8), (1, 16)] {
        let identifier: Vec<u8> = (1..=bytes).collect();
        bench.port().host_data.insert(DATA, identifier.clone());
        bench.admin(set_features(0x81, extended)).ok();
        assert_eq!(bench.admin(get_features(0x81, extended)).data(), identifier);
    }
    bench.reset();
    assert_eq!(bench.admin(get_features(0x81, 1)).data(), [0; 16]);
}

/// I14, N13: a protected namespace is told to the hardware, and writes are refused; other states are not offered.
#[test]
fn write_protection_reaches_the_hardware() {
    let mut bench = Bench::ready();
    bench.create_cq(1);
    bench.create_sq(1, 1);
    let of_namespace = |mut entry: nvme_spec::SqEntry, nsid: u32| {
        entry.nsid = nsid.into();
        entry
    };
    let write = crate::bench::command(nvme_spec::opcode::io::WRITE, 1, &[0, 0, 0]);
    for state in [1, 0, 1] {
        bench.admin(of_namespace(set_features(0x84, state), 1)).ok();
        assert_eq!(bench.admin(of_namespace(get_features(0x84, 0), 1)).ok(), state);
        assert_eq!(bench.port().rows[0].is_write_protected, state == 1);
    }
    assert_eq!(bench.execute(1, write).status, Status::NAMESPACE_WRITE_PROTECTED.with_dnr());
    bench.refused(
        crate::bench::command(nvme_spec::opcode::admin::FORMAT_NVM, 1, &[0]),
        Status::NAMESPACE_WRITE_PROTECTED,
    );
    for state in [2, 3, 7] {
        bench.refused(of_namespace(set_features(0x84, state), 1), Status::INVALID_FIELD);
    }
    for nsid in [0, 2, 0xFFFF_FFFF] {
        bench.refused(of_namespace(set_features(0x84, 1), nsid), Status::INVALID_NAMESPACE);
    }
    bench.reset();
    assert!(bench.port().rows[0].is_write_protected, "it is the namespace's, and survives a controller reset");
}

/// I8, I12: what hardware follows is told to it, and set back by a reset.
#[test]
fn arbitration_and_coalescing_reach_the_hardware() {
    use nvme_spec::feature::ARBITRATION_DEFAULT;
    use nvme_spec::firmware_port as port;
    let mut bench = Bench::ready();
    bench.admin(set_features(1, 0x0102_0305)).ok();
    bench.admin(set_features(8, 0x0503)).ok();
    bench.admin(set_features(9, 1 << 16 | 2)).ok();
    let mut values =
        [port::ARBITRATION, port::COALESCING, port::VECTOR_COALESCING].map(|register| bench.port().written(&register));
    assert_eq!(values, [0x0102_0305, 0x0503, 1 << 16 | 2]);
    bench.reset();
    values = [port::ARBITRATION, port::COALESCING, port::VECTOR_COALESCING].map(|r| bench.port().written(&r));
    assert_eq!(values, [ARBITRATION_DEFAULT, 0, 4], "the last vector");
}
