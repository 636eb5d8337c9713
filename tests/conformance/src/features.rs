//! NVMe Base, "Get Features command" and "Set Features command".

use nvme_spec::feature::fid;
use nvme_spec::{SqEntry, Status};
use sim_host::cdw;

use crate::every_back_end;
use crate::expect::{assert_admin, assert_ends, assert_works, get_features, set_features, start, Host};

/// The features that every I/O controller of the NVM command set has.
const MANDATORY: &[u8] = &[
    fid::ARBITRATION,
    fid::POWER_MANAGEMENT,
    fid::TEMPERATURE_THRESHOLD,
    fid::ERROR_RECOVERY,
    fid::NUMBER_OF_QUEUES,
    fid::INTERRUPT_COALESCING,
    fid::INTERRUPT_VECTOR_CONFIGURATION,
    fid::WRITE_ATOMICITY,
    fid::ASYNC_EVENT_CONFIGURATION,
];

const REFUSED: &[Status] = &[Status::INVALID_FIELD];

/// ONCS, bit 4: Save and Select.
const SAVE_AND_SELECT: u16 = 1 << 4;

#[track_caller]
fn get(host: &mut Host<'_>, feature: u8, cdw11: u32) -> u32 {
    match host.admin("Get Features", get_features(feature, cdw11)) {
        Ok(completion) => completion.result,
        Err(error) => panic!("feature {feature:#04x}: {error}"),
    }
}

#[track_caller]
fn set(host: &mut Host<'_>, feature: u8, cdw11: u32) {
    let what = format!("Set Features {feature:#04x}, {cdw11:#x}");
    assert_admin(host, set_features(feature, cdw11), &[Status::SUCCESS], &what);
}

/// "Feature Identifiers": the mandatory set.
///
/// Cases: I1.
#[test]
fn mandatory_features_can_be_read() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for feature in MANDATORY {
            get(&mut host, *feature, 0);
        }
        Ok(())
    });
}

/// "Get Features command", SEL: other than current values only where ONCS announces it; reserved values never.
///
/// Cases: I2.
#[test]
fn selecting_values_follows_oncs() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let is_announced = host.identity()?.controller.oncs.get() & SAVE_AND_SELECT != 0;
        for select in 1..=7u32 {
            let entry = SqEntry {
                cdw10: cdw([u32::from(fid::ARBITRATION) | select << 8, 0, 0, 0, 0, 0]),
                ..get_features(fid::ARBITRATION, 0)
            };
            // Without the capability the field may be ignored, or refused.
            let allowed: &[Status] = match (is_announced, select) {
                (true, 1..=3) => &[Status::SUCCESS],
                (true, _) => REFUSED,
                (false, _) => &[Status::SUCCESS, Status::INVALID_FIELD],
            };
            assert_admin(&mut host, entry, allowed, &format!("SEL {select}"));
        }
        assert_works(&mut host)
    });
}

/// "Set Features command", SV: nothing is saveable here.
///
/// Cases: I3.
#[test]
fn saving_is_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for feature in [fid::ARBITRATION, fid::TEMPERATURE_THRESHOLD, fid::WRITE_ATOMICITY] {
            let before = get(&mut host, feature, 0);
            let entry = SqEntry {
                cdw10: cdw([u32::from(feature) | 1 << 31, before ^ 1, 0, 0, 0, 0]),
                ..set_features(feature, 0)
            };
            assert_admin(&mut host, entry, &[Status::FEATURE_NOT_SAVEABLE], &format!("SV with {feature:#04x}"));
            assert_eq!(get(&mut host, feature, 0), before, "a refused command changes nothing");
        }
        Ok(())
    });
}

/// "Feature Not Namespace Specific".
///
/// Cases: I5.
#[test]
fn features_of_the_controller_are_not_namespace_specific() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for feature in [fid::ARBITRATION, fid::POWER_MANAGEMENT, fid::TEMPERATURE_THRESHOLD, fid::INTERRUPT_COALESCING]
        {
            let before = get(&mut host, feature, 0);
            let entry = SqEntry { nsid: 1.into(), ..set_features(feature, 0x40) };
            let allowed = &[Status::FEATURE_NOT_NAMESPACE_SPECIFIC, Status::INVALID_FIELD];
            assert_admin(&mut host, entry, allowed, &format!("feature {feature:#04x} of namespace 1"));
            assert_eq!(get(&mut host, feature, 0), before, "a refused command changes nothing");
        }
        Ok(())
    });
}

/// "Feature Identifiers": 00h and what is reserved.
///
/// Cases: I6.
#[test]
fn unknown_features_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for feature in [0x00, 0x1F, 0x77, 0x7F, 0x90, 0xBF, 0xC0, 0xFF] {
            assert_admin(&mut host, get_features(feature, 0), REFUSED, &format!("Get Features {feature:#04x}"));
            assert_admin(&mut host, set_features(feature, 0), REFUSED, &format!("Set Features {feature:#04x}"));
        }
        assert_works(&mut host)
    });
}

/// "Feature Values": what is not saved is lost by a controller reset.
///
/// Cases: I7.
#[test]
fn controller_reset_returns_features_to_their_defaults() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let features = [
            (fid::ARBITRATION, 0x0102_0303),
            (fid::TEMPERATURE_THRESHOLD, 0x0140),
            (fid::INTERRUPT_COALESCING, 0x0305),
            (fid::WRITE_ATOMICITY, 1),
        ];
        let defaults: Vec<u32> = features.iter().map(|(feature, _)| get(&mut host, *feature, 0)).collect();
        for (feature, value) in features {
            set(&mut host, feature, value);
            assert_eq!(get(&mut host, feature, 0), value, "feature {feature:#04x}");
        }
        host.disable()?;
        host.enable()?;
        for ((feature, _), default) in features.iter().zip(defaults) {
            assert_eq!(get(&mut host, *feature, 0), default, "feature {feature:#04x} after the reset");
        }
        Ok(())
    });
}

/// "Arbitration": AB, LPW, MPW, HPW.
///
/// Cases: I8.
#[test]
fn arbitration_is_kept() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for value in [0, 0x0102_0304, 0xFFFE_FD07] {
            set(&mut host, fid::ARBITRATION, value);
            assert_eq!(get(&mut host, fid::ARBITRATION, 0), value);
        }
        Ok(())
    });
}

/// "Power Management", PS: at most NPSS.
///
/// Cases: I9.
#[test]
fn power_states_beyond_the_last_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let last = u32::from(host.identity()?.controller.npss);
        set(&mut host, fid::POWER_MANAGEMENT, last);
        for state in [last + 1, 31] {
            let entry = set_features(fid::POWER_MANAGEMENT, state);
            assert_admin(&mut host, entry, REFUSED, &format!("power state {state}"));
        }
        assert_eq!(get(&mut host, fid::POWER_MANAGEMENT, 0) & 0x1F, last);
        Ok(())
    });
}

/// "Temperature Threshold": over and under, the composite temperature and each sensor.
///
/// Cases: I10.
#[test]
fn temperature_thresholds_are_kept() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let sensor = |tmpsel: u32, thsel: u32| tmpsel << 16 | thsel << 20;
        for (over_or_under, threshold) in [(0, 0x0150), (1, 0x0110), (0, 0x0160)] {
            set(&mut host, fid::TEMPERATURE_THRESHOLD, sensor(0, over_or_under) | threshold);
            let back = get(&mut host, fid::TEMPERATURE_THRESHOLD, sensor(0, over_or_under));
            assert_eq!(back & 0xFFFF, threshold, "THSEL {over_or_under}");
        }
        assert_eq!(get(&mut host, fid::TEMPERATURE_THRESHOLD, sensor(0, 1)) & 0xFFFF, 0x0110, "over and under are two");
        for thsel in [2, 3] {
            let entry = set_features(fid::TEMPERATURE_THRESHOLD, sensor(0, thsel) | 0x0140);
            assert_admin(&mut host, entry, REFUSED, &format!("THSEL {thsel}"));
        }
        // A sensor that is not there may be refused, or accepted without effect.
        for tmpsel in 1..=8 {
            let entry = set_features(fid::TEMPERATURE_THRESHOLD, sensor(tmpsel, 0) | 0x0140);
            assert_admin(&mut host, entry, &[Status::SUCCESS, Status::INVALID_FIELD], &format!("TMPSEL {tmpsel}"));
        }
        for tmpsel in 9..=14 {
            let entry = set_features(fid::TEMPERATURE_THRESHOLD, sensor(tmpsel, 0) | 0x0140);
            assert_admin(&mut host, entry, REFUSED, &format!("reserved TMPSEL {tmpsel}"));
        }
        set(&mut host, fid::TEMPERATURE_THRESHOLD, sensor(0xF, 0) | 0x0155);
        assert_eq!(get(&mut host, fid::TEMPERATURE_THRESHOLD, 0) & 0xFFFF, 0x0155, "TMPSEL Fh means all");
        Ok(())
    });
}

/// "Volatile Write Cache": refused where VWC says that there is none; where there is one, it is on and can be switched.
///
/// Cases: I11.
#[test]
fn volatile_write_cache_is_refused_where_there_is_none() {
    every_back_end(|device| {
        let mut host = start(device)?;
        if host.identity()?.controller.vwc & 1 == 0 {
            for enable in [0, 1] {
                let entry = set_features(fid::VOLATILE_WRITE_CACHE, enable);
                assert_admin(&mut host, entry, REFUSED, "Volatile Write Cache");
            }
            assert_admin(&mut host, get_features(fid::VOLATILE_WRITE_CACHE, 0), REFUSED, "Volatile Write Cache");
        } else {
            for enable in [0, 1] {
                set(&mut host, fid::VOLATILE_WRITE_CACHE, enable);
                assert_eq!(get(&mut host, fid::VOLATILE_WRITE_CACHE, 0) & 1, enable);
            }
        }
        assert_works(&mut host)
    });
}

/// "Interrupt Coalescing": THR and TIME.
///
/// Cases: I12.
#[test]
fn interrupt_coalescing_is_kept() {
    every_back_end(|device| {
        let mut host = start(device)?;
        for value in [0, 0x0A04, 0xFFFF, 0] {
            set(&mut host, fid::INTERRUPT_COALESCING, value);
            assert_eq!(get(&mut host, fid::INTERRUPT_COALESCING, 0), value);
        }
        Ok(())
    });
}

/// "Interrupt Vector Configuration": CD per vector; vectors beyond the table are refused.
///
/// Cases: I12.
#[test]
fn interrupt_vector_configuration_is_kept_per_vector() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let disable = 1 << 16;
        set(&mut host, fid::INTERRUPT_VECTOR_CONFIGURATION, 1 | disable);
        set(&mut host, fid::INTERRUPT_VECTOR_CONFIGURATION, 2);
        assert_eq!(get(&mut host, fid::INTERRUPT_VECTOR_CONFIGURATION, 1), 1 | disable);
        assert_eq!(get(&mut host, fid::INTERRUPT_VECTOR_CONFIGURATION, 2), 2);
        for vector in [2048, 0xFFFF] {
            let what = format!("vector {vector}");
            assert_admin(&mut host, set_features(fid::INTERRUPT_VECTOR_CONFIGURATION, vector), REFUSED, &what);
            assert_admin(&mut host, get_features(fid::INTERRUPT_VECTOR_CONFIGURATION, vector), REFUSED, &what);
        }
        Ok(())
    });
}

/// "Asynchronous Event Configuration": unsupported bits are refused or read back as zero; supported ones are kept.
///
/// Cases: I13.
#[test]
fn event_configuration_reads_back_honestly() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let optional_supported = host.identity()?.controller.oaes.get();
        let all = set_features(fid::ASYNC_EVENT_CONFIGURATION, 0xFFFF_FFFF);
        let completion = host.execute(0, all, &[])?;
        assert_ends(&completion, &[Status::SUCCESS, Status::INVALID_FIELD], "all bits");
        let back = get(&mut host, fid::ASYNC_EVENT_CONFIGURATION, 0);
        assert_eq!(back & !0xFF & !optional_supported, 0, "bits of events that never come");
        set(&mut host, fid::ASYNC_EVENT_CONFIGURATION, 0x1F);
        assert_eq!(get(&mut host, fid::ASYNC_EVENT_CONFIGURATION, 0), 0x1F, "the mandatory SMART events");
        Ok(())
    });
}

/// NVM Command Set, "Error Recovery" and "Write Atomicity Normal".
#[test]
fn error_recovery_and_write_atomicity_are_kept() {
    every_back_end(|device| {
        let mut host = start(device)?;
        set(&mut host, fid::ERROR_RECOVERY, 0x00FF);
        assert_eq!(get(&mut host, fid::ERROR_RECOVERY, 0), 0x00FF);
        set(&mut host, fid::WRITE_ATOMICITY, 1);
        assert_eq!(get(&mut host, fid::WRITE_ATOMICITY, 0), 1);
        Ok(())
    });
}

/// Features of capabilities that Identify does not announce: Autonomous Power State Transition, Host Memory Buffer, Timestamp, Keep Alive,
/// Host Controlled Thermal Management, Sanitize Config, Host Identifier, Namespace Write Protection.
///
/// Cases: I14.
#[test]
fn absent_features_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let oncs = host.identity()?.controller.oncs.get();
        let reservations_and_timestamp = (1 << 5) | (1 << 6);
        assert_eq!(oncs & reservations_and_timestamp, 0, "extend this test when they are supported");
        for feature in [0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x17, 0x81, 0x84] {
            assert_admin(&mut host, get_features(feature, 0), REFUSED, &format!("Get Features {feature:#04x}"));
            assert_admin(&mut host, set_features(feature, 0), REFUSED, &format!("Set Features {feature:#04x}"));
        }
        assert_works(&mut host)
    });
}
