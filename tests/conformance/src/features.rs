//! NVMe Base, "Get Features command" and "Set Features command".

use nvme_spec::feature::{fid, timestamp, write_protection};
use nvme_spec::identify::oncs;
use nvme_spec::limits::TRANSFER_BYTES_MAX;
use nvme_spec::opcode::{admin, io};
use nvme_spec::{SqEntry, Status};
use sim_device::{BusTiming, PAGE_BYTES};
use sim_host::{cdw, IoTransfer};

use crate::every_back_end;
use crate::expect::{
    admin_with_data, assert_admin, assert_ends, assert_works, bring_up, data, get_features, set_features, start,
    transfer, Host, Running,
};

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

/// Select of Get Features: the supported capabilities; and in them: the feature can be changed.
const SUPPORTED_CAPABILITIES: u32 = 3 << 8;
const CHANGEABLE: u32 = 1 << 2;

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

/// "Set Features command", Feature Not Changeable: exactly where the supported capabilities say so.
#[test]
fn features_can_be_changed_as_they_say() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let identity = host.identity()?;
        if identity.controller.oncs.get() & SAVE_AND_SELECT == 0 {
            return Ok(());
        }
        let of_namespace = |entry| SqEntry { nsid: identity.nsid.into(), ..entry };
        let mut changeable = 0;
        for feature in 0..=u8::MAX {
            let mut capabilities = of_namespace(get_features(feature, 0));
            capabilities.cdw10[0] = (u32::from(feature) | SUPPORTED_CAPABILITIES).into();
            let completion = host.execute(0, capabilities, &[])?;
            if completion.status != Status::SUCCESS {
                continue;
            }
            let is_changeable = completion.result & CHANGEABLE != 0;
            changeable += u32::from(is_changeable);
            let completion = admin_with_data(&mut host, of_namespace(set_features(feature, 0)), &[0; 4096])?;
            let is_refused = completion.status.code() == Status::FEATURE_NOT_CHANGEABLE;
            assert_ne!(is_refused, is_changeable, "feature {feature:#04x}");
        }
        assert!(changeable >= 1, "none can be changed");
        assert_works(&mut host)
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

/// NVM Command Set, "Error Recovery" and "Write Atomicity Normal". Errors for deallocated or unwritten blocks are not there, as NSFEAT says.
///
/// Cases: K21.
#[test]
fn error_recovery_and_write_atomicity_are_kept() {
    every_back_end(|device| {
        let mut host = start(device)?;
        assert_eq!(host.identity()?.namespace.nsfeat & 1 << 2, 0, "DAE: extend this test when it is supported");
        let deallocated_errors = set_features(fid::ERROR_RECOVERY, 1 << 16);
        assert_admin(&mut host, deallocated_errors, &[Status::INVALID_FIELD], "DULBE");
        set(&mut host, fid::ERROR_RECOVERY, 0x00FF);
        assert_eq!(get(&mut host, fid::ERROR_RECOVERY, 0), 0x00FF);
        set(&mut host, fid::WRITE_ATOMICITY, 1);
        assert_eq!(get(&mut host, fid::WRITE_ATOMICITY, 0), 1);
        Ok(())
    });
}

/// Features of capabilities that Identify does not announce: Autonomous Power State Transition, Host Memory Buffer, Host Controlled Thermal
/// Management, Sanitize Config, reservations, and what the controller may lack of Timestamp, Keep Alive and Namespace Write Protection.
///
/// Cases: I14.
#[test]
fn absent_features_are_refused() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let controller = host.identity()?.controller;
        let oncs = controller.oncs.get();
        assert_eq!(oncs & (1 << 5), 0, "reservations: extend this test when they are supported");
        let optional = [
            (fid::TIMESTAMP, oncs & oncs::TIMESTAMP != 0),
            (fid::KEEP_ALIVE_TIMER, controller.kas.get() != 0),
            (fid::NAMESPACE_WRITE_PROTECTION, controller.nwpc != 0),
        ];
        let absent = optional.into_iter().filter(|(_, is_there)| !is_there).map(|(feature, _)| feature);
        for feature in [0x0C, 0x0D, 0x10, 0x17, 0x82, 0x83].into_iter().chain(absent) {
            assert_admin(&mut host, get_features(feature, 0), REFUSED, &format!("Get Features {feature:#04x}"));
            assert_admin(&mut host, set_features(feature, 0), REFUSED, &format!("Set Features {feature:#04x}"));
        }
        assert_works(&mut host)
    });
}

/// "Timestamp": what the host has set goes on in milliseconds; a controller reset begins anew.
#[test]
fn timestamp_goes_on_from_what_was_set() {
    every_back_end(|device| {
        let mut host = start(device)?;
        if host.identity()?.controller.oncs.get() & oncs::TIMESTAMP == 0 {
            return Ok(());
        }
        let read = |host: &mut Host<'_>| -> Result<u64, sim_host::DriverError> {
            let (completion, data) = host.admin_data(get_features(fid::TIMESTAMP, 0), timestamp::BYTES as usize)?;
            assert_ends(&completion, &[Status::SUCCESS], "Get Features, Timestamp");
            Ok(u64::from_le_bytes(data.try_into().expect("eight bytes")))
        };
        let set = 0x0123_4567_89AB_u64;
        // Reserved bits of the data are ignored.
        let data = (set | 0xFFFF << 48).to_le_bytes();
        let completion = admin_with_data(&mut host, set_features(fid::TIMESTAMP, 0), &data)?;
        assert_ends(&completion, &[Status::SUCCESS], "Set Features, Timestamp");
        let value = read(&mut host)?;
        let milliseconds = value & timestamp::MILLISECONDS_MASK;
        assert!((set..set + 1000).contains(&milliseconds), "{milliseconds:#x}");
        assert_eq!(value & (7 << 49), timestamp::ORIGIN_SET, "set by the host");
        host.disable()?;
        host.enable()?;
        let value = read(&mut host)?;
        assert_eq!(value >> 49 & 7, 0, "the origin is a reset");
        assert!((value & timestamp::MILLISECONDS_MASK) < set);
        Ok(())
    });
}

/// "Host Identifier": of 64 bits and, where CTRATT says so, of 128 bits.
#[test]
fn host_identifier_is_kept_until_a_reset() {
    every_back_end(|device| {
        let mut host = start(device)?;
        let is_long = host.identity()?.controller.ctratt.get() & 1;
        for extended in 0..=is_long {
            let bytes = 8 << extended;
            let identifier: Vec<u8> = (1..=bytes).map(|i| i as u8 * 3).collect();
            let completion = admin_with_data(&mut host, set_features(fid::HOST_IDENTIFIER, extended), &identifier)?;
            assert_ends(&completion, &[Status::SUCCESS], "Set Features, Host Identifier");
            let (completion, data) = host.admin_data(get_features(fid::HOST_IDENTIFIER, extended), bytes)?;
            assert_ends(&completion, &[Status::SUCCESS], "Get Features, Host Identifier");
            assert_eq!(data, identifier);
        }
        host.disable()?;
        host.enable()?;
        let (_, data) = host.admin_data(get_features(fid::HOST_IDENTIFIER, is_long), 8 << is_long)?;
        assert!(data.iter().all(|byte| *byte == 0));
        Ok(())
    });
}

/// "Keep Alive Timer" and "Keep Alive command": a host that is heard of is served on.
#[test]
fn keep_alive_timer_is_kept_and_restarted() {
    every_back_end(|device| {
        let mut host = start(device)?;
        if host.identity()?.controller.kas.get() == 0 {
            return Ok(());
        }
        assert_eq!(get(&mut host, fid::KEEP_ALIVE_TIMER, 0), 0, "off at first");
        set(&mut host, fid::KEEP_ALIVE_TIMER, 60_000);
        assert_eq!(get(&mut host, fid::KEEP_ALIVE_TIMER, 0), 60_000);
        let entry = SqEntry { opcode: admin::KEEP_ALIVE, ..SqEntry::default() };
        assert_admin(&mut host, entry, &[Status::SUCCESS], "Keep Alive");
        set(&mut host, fid::KEEP_ALIVE_TIMER, 0);
        assert_works(&mut host)
    });
}

/// "Keep Alive Timer": a host that is silent for too long is gone, and the controller fails.
#[test]
fn silent_host_fails_the_controller() {
    every_back_end(|device| {
        let mut host = start(device)?;
        if host.identity()?.controller.kas.get() == 0 {
            return Ok(());
        }
        set(&mut host, fid::KEEP_ALIVE_TIMER, 1);
        // The time may end a little later, and must end within a few units of the controller's alarm.
        host.options().poll_clocks = 1 << 12;
        host.wait_until("CSTS.CFS = 1", |h| nvme_spec::regs::csts::CFS.get32(h.csts()) == 1)?;
        host.options().poll_clocks = 16;
        host.disable()?;
        host.enable()?;
        assert_eq!(get(&mut host, fid::KEEP_ALIVE_TIMER, 0), 0, "a reset turns it off");
        assert_works(&mut host)
    });
}

/// "Namespace Write Protection": writes, Format and deletion are refused, reads are not; it survives a controller reset.
#[test]
fn write_protected_namespaces_are_only_read() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        if running.identity.controller.nwpc & 1 == 0 {
            return Ok(());
        }
        let nsid = running.identity.nsid;
        let protect = |state| SqEntry { nsid: nsid.into(), ..set_features(fid::NAMESPACE_WRITE_PROTECTION, state) };
        let asked = SqEntry { nsid: nsid.into(), ..get_features(fid::NAMESPACE_WRITE_PROTECTION, 0) };
        running.host.write(&running.identity, 0, &vec![7; running.identity.lba_bytes as usize])?;
        running.host.admin("Set Features, write protect", protect(write_protection::PROTECT))?;
        running = running.restart()?;
        assert_eq!(running.host.admin("Get Features", asked)?.result, write_protection::PROTECT);
        assert_eq!(running.identity.namespace.nsattr & 1, 1, "Identify Namespace, NSATTR");
        let refused = &[Status::NAMESPACE_WRITE_PROTECTED];
        let write = IoTransfer { write: true, nsid, lba: 0, blocks: 1 }.entry([0x5_0000_0000, 0]);
        let completion = running.host.execute(1, write, &[])?;
        assert_ends(&completion, refused, "Write");
        assert_eq!(write.opcode, io::WRITE);
        let format = SqEntry { opcode: admin::FORMAT_NVM, nsid: nsid.into(), ..SqEntry::default() };
        assert_admin(&mut running.host, format, refused, "Format NVM");
        let mut data = vec![0; running.identity.lba_bytes as usize];
        running.host.read(&running.identity, 0, &mut data)?;
        assert!(data.iter().all(|byte| *byte == 7));
        running.host.flush(&running.identity)?;
        for state in [2, 3, 5] {
            assert_admin(&mut running.host, protect(state), REFUSED, "a state that NWPC does not offer");
        }
        running.host.admin("Set Features, no write protection", protect(write_protection::NONE))?;
        running.host.write(&running.identity, 0, &data)
    });
}

/// How long host memory takes to answer a read if it is slow: longer than a Set Features takes.
const SLOW_CLOCKS: u32 = 20_000;

/// "Namespace Write Protection": from the completion on that protects a namespace its blocks stay as they are, also if the host delivers the data of a Write
/// that began before late, or it is much.
#[test]
fn write_protection_is_complete_when_it_is_told() {
    every_back_end(|device| {
        let mut running = bring_up(device)?;
        if running.identity.controller.nwpc & 1 == 0 {
            return Ok(());
        }
        let whole = TRANSFER_BYTES_MAX / 4;
        let Running { host, identity, .. } = &mut running;
        let protect =
            |state| SqEntry { nsid: identity.nsid.into(), ..set_features(fid::NAMESPACE_WRITE_PROTECTION, state) };
        for (latency, bytes, clocks) in [
            (SLOW_CLOCKS, PAGE_BYTES as u32, 50),
            (SLOW_CLOCKS, PAGE_BYTES as u32, 5000),
            (1, whole, 50),
            (1, whole, 100),
            (1, whole, 500),
            (1, whole, 2000),
        ] {
            // A read that is answered fast need not wait for those before it.
            let timing = |clocks| BusTiming { reorder: true, ..BusTiming::with_latency(clocks) };
            let new = data(clocks, bytes as usize);
            let mut old = vec![0; new.len()];
            host.read(identity, 0, &mut old)?;
            host.device().set_host_timing(timing(latency));
            let (entry, buffer) = transfer(host, identity, 0, bytes / identity.lba_bytes, true);
            buffer.store(host.host(), &new);
            let write = host.submit(1, entry, &[])?;
            host.run_for(clocks)?;
            host.admin("Set Features, write protect", protect(write_protection::PROTECT))?;
            host.device().set_host_timing(timing(1));
            let mut protected = vec![0; new.len()];
            host.read(identity, 0, &mut protected)?;
            let written = host.wait(1, write)?;
            assert_ends(&written, &[Status::SUCCESS, Status::NAMESPACE_WRITE_PROTECTED], "Write");
            let mut after = vec![0; new.len()];
            host.read(identity, 0, &mut after)?;
            assert!(after == protected, "{bytes} bytes {clocks} clocks before changed a protected namespace");
            let expected = if written.status == Status::SUCCESS { &new } else { &old };
            assert!(after == *expected, "{bytes} bytes {clocks} clocks before ended with {:?}", written.status);
            host.admin("Set Features, no write protection", protect(write_protection::NONE))?;
            buffer.free(host.host());
        }
        Ok(())
    });
}
