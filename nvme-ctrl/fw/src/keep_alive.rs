//! Keep Alive. NVMe Base, "Keep Alive": a host that sends no Keep Alive command for longer than it has promised is gone. Other commands do not count:
//! Identify Controller, CTRATT, does not announce traffic based keep alive.

use nvme_spec::firmware_port::{ALARM_UNIT_LOG2_CLOCKS, CLOCK};
use nvme_spec::limits::CORE_HZ;
use nvme_spec::FatalCode;
use soc_hal::Mmio;

use crate::life::State;
use crate::Firmware;

/// The timer of a function.
pub(crate) struct KeepAlive {
    /// The feature Keep Alive Timer in milliseconds; 0: off.
    pub(crate) timeout_ms: u32,
    /// When the host is gone, in units of the alarm.
    due: Option<u64>,
}

impl KeepAlive {
    pub(crate) const fn new() -> Self {
        Self { timeout_ms: 0, due: None }
    }
}

/// The longest time that the alarm can be armed for.
const ALARM_UNITS_MAX: u64 = (1 << 31) - 1;

/// Clocks of the core in a millisecond.
pub(crate) const CLOCKS_PER_MS: u64 = CORE_HZ / 1000;

impl<M: Mmio> Firmware<M> {
    /// The time in units of the alarm.
    fn alarm_now(&mut self) -> u64 {
        self.port.counter(&CLOCK) >> ALARM_UNIT_LOG2_CLOCKS
    }

    /// Sets the feature; 0 turns it off.
    pub(crate) fn set_keep_alive(&mut self, function: u8, timeout_ms: u32) {
        self.of(function).keep_alive = KeepAlive { timeout_ms, due: None };
        self.restart_keep_alive(function);
    }

    /// The host has shown that it is there.
    pub(crate) fn restart_keep_alive(&mut self, function: u8) {
        let timeout_ms = self.of(function).keep_alive.timeout_ms;
        let now = self.alarm_now();
        // One more unit than the time takes: the one that has begun already.
        let units = ((u64::from(timeout_ms) * CLOCKS_PER_MS) >> ALARM_UNIT_LOG2_CLOCKS) + 2;
        self.of(function).keep_alive.due = (timeout_ms > 0).then_some(now + units);
        self.set_alarm(now);
    }

    /// The times of a function are no longer waited for.
    pub(crate) fn drop_alarm(&mut self) {
        if self.is_identified {
            let now = self.alarm_now();
            self.set_alarm(now);
        }
    }

    /// Arms the alarm for the function whose time ends first. For a time that is too far away it comes in between.
    fn set_alarm(&mut self, now: u64) {
        let first = self.functions.iter().filter_map(|function| function.keep_alive.due).min();
        self.port.set_alarm(first.map(|due| due.min(now + ALARM_UNITS_MAX) as u32));
    }

    /// A time has ended. NVMe Base, "Keep Alive Timer": the controller stops, with CSTS.CFS.
    pub(crate) fn notice_alarm(&mut self) {
        let now = self.alarm_now();
        for function in 0..self.functions.len() as u8 {
            let silent = self.of(function);
            if silent.state == State::Ready && silent.keep_alive.due.is_some_and(|due| due <= now) {
                silent.keep_alive.due = None;
                self.fail(function, FatalCode::KeepAliveTimeout);
            }
        }
        self.set_alarm(now);
    }
}
