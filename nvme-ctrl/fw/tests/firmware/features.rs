//! Get Features and Set Features: groups I and C19 to C21.

use nvme_spec::Status;

use crate::bench::{create_cq, get_features, set_features, Bench};
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
    for fid in (0..=0xFF).filter(|fid| *fid != 7 && FEATURES.iter().all(|(known, _)| known != fid)) {
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
    assert_eq!(bench.admin(get_features(0xB, 0)).ok(), 0x1F);
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
