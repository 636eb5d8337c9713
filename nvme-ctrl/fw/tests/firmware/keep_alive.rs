//! Keep Alive. NVMe Base, "Keep Alive".

use nvme_spec::opcode::admin;
use nvme_spec::regs::csts;
use nvme_spec::FatalCode;

use crate::bench::{command, get_features, identify, set_features, Bench};

/// Clocks in a millisecond.
const MS: u64 = 250_000;

/// "Keep Alive Timer": a host that is silent for longer is gone; until then nothing happens.
#[test]
fn a_silent_host_stops_the_controller() {
    let mut bench = Bench::ready();
    assert_eq!(bench.admin(get_features(0xF, 0)).ok(), 0, "off at first");
    bench.admin(set_features(0xF, 5000)).ok();
    assert_eq!(bench.admin(get_features(0xF, 0)).ok(), 5000);
    for _ in 0..5 {
        bench.port().clock += 4900 * MS;
        bench.polls(2);
        bench.admin(command(admin::KEEP_ALIVE, 0, &[])).ok();
    }
    // Other commands do not restart the timer: CTRATT does not announce traffic based keep alive.
    bench.port().clock += 4900 * MS;
    bench.admin(identify(1, 0)).data();
    bench.polls(2);
    assert_eq!(csts::CFS.get32(bench.port().csts()), 0);
    bench.port().clock += 120 * MS;
    bench.polls(2);
    assert_eq!(csts::CFS.get32(bench.port().csts()), 1);
    assert_eq!(bench.firmware.fatal(), Some(FatalCode::KeepAliveTimeout));
    let accesses = bench.port().accesses;
    bench.polls(1);
    assert_eq!(bench.port().accesses, accesses + 2, "events and the inbox: the alarm is off");
    bench.reset();
    bench.port().clock += 50_000 * MS;
    bench.polls(2);
    assert_eq!(bench.admin(get_features(0xF, 0)).ok(), 0, "a reset turns it off");
}

/// A timeout of 0 turns the timer off; the longest one does not overflow.
#[test]
fn the_timer_can_be_turned_off() {
    let mut bench = Bench::ready();
    bench.admin(set_features(0xF, 1)).ok();
    bench.admin(set_features(0xF, 0)).ok();
    bench.port().clock += 100_000 * MS;
    bench.polls(2);
    bench.admin(set_features(0xF, 0xFFFF_FFFF)).ok();
    // Longer than the alarm can be armed for: it comes in between.
    for _ in 0..0xF {
        bench.port().clock += 0x1000_0000 * MS;
        bench.polls(2);
    }
    bench.port().clock += 0x0FFF_FFFE * MS;
    bench.polls(2);
    assert_eq!(bench.firmware.fatal(), None);
    bench.port().clock += 10 * MS;
    bench.polls(2);
    assert_eq!(bench.firmware.fatal(), Some(FatalCode::KeepAliveTimeout));
}
