//! # Dilation: the guest's clock stands still while it waits for a slow device
//!
//! A driver gives a command some seconds (`nvme_core.io_timeout`) and then resets the device. A simulated device may take longer. So while the device
//! is busy and has not answered for longer than the guest has patience for, the guest is stopped, and with it all of its clocks. It goes on when the
//! device answers or has nothing to do.
//!
//! ## Theory of operation
//!
//! Between two answers of a busy device, the guest runs for [`patience`](Dilation::new) at the most. A command that has at most `n - 1` others before it
//! is answered after at most `n` patiences of guest time, so that with [`patience_of`]`(io_timeout, n)` none reaches its timeout, however slow the device is.
//!
//! The caller says what the device does, and calls [`Dilation::check`] when [`Dilation::deadline`] has come: there is no thread here, and no clock.
//!
//! ## Limits
//!
//! Commands that a device holds for long by design (Asynchronous Event Requests) do not make it busy: the caller leaves them out.

use std::time::{Duration, Instant};

/// The guest's clock. [`Qmp`](crate::Qmp) is the real one.
pub trait Clock {
    /// Why it could not be changed.
    type Error;
    /// The guest stops, and time with it.
    fn stop(&mut self) -> Result<(), Self::Error>;
    /// The guest goes on where it was.
    fn go_on(&mut self) -> Result<(), Self::Error>;
}

/// Decides when the guest's clock stands still.
#[derive(Debug)]
pub struct Dilation<C> {
    clock: C,
    patience: Duration,
    state: State,
}

/// `Idle -> Waiting -> Stopped -> Waiting | Idle`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The device has nothing to do. The guest runs.
    Idle,
    /// The device works since its last answer, or since it was given work. The guest runs.
    Waiting { since: Instant },
    /// The device works, and the guest's patience is used up. The guest stands still.
    Stopped,
}

/// The patience with which a command is answered in time when `commands_max` of them are in flight and the device answers them in turns.
pub fn patience_of(io_timeout: Duration, commands_max: u32) -> Duration {
    io_timeout / commands_max.saturating_add(1)
}

impl<C: Clock> Dilation<C> {
    /// The device is idle and the guest runs; it is stopped when a busy device has not answered for longer than `patience`.
    pub fn new(clock: C, patience: Duration) -> Self {
        Self { clock, patience, state: State::Idle }
    }

    /// The device has something to do. That it gets more to do while it is busy changes nothing.
    pub fn busy(&mut self, now: Instant) -> Result<(), C::Error> {
        if self.state == State::Idle {
            self.state = State::Waiting { since: now };
        }
        self.check(now)
    }

    /// The device has answered a command, and has others to answer.
    pub fn answered(&mut self, now: Instant) -> Result<(), C::Error> {
        self.run_in(State::Waiting { since: now })
    }

    /// The device has nothing to do.
    pub fn idle(&mut self) -> Result<(), C::Error> {
        self.run_in(State::Idle)
    }

    /// Stops the guest if its patience is used up.
    pub fn check(&mut self, now: Instant) -> Result<(), C::Error> {
        if self.deadline().is_some_and(|deadline| now > deadline) {
            self.clock.stop()?;
            self.state = State::Stopped;
        }
        Ok(())
    }

    /// After this, the guest's patience is used up, if the device does not answer; [`check`](Self::check) is due then.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { since } => Some(since + self.patience),
            State::Idle | State::Stopped => None,
        }
    }

    /// Whether the guest stands still.
    pub fn is_stopped(&self) -> bool {
        self.state == State::Stopped
    }

    /// The guest runs, in this state.
    fn run_in(&mut self, state: State) -> Result<(), C::Error> {
        if self.is_stopped() {
            self.clock.go_on()?;
        }
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);
    const MOMENT: Duration = Duration::from_nanos(1);

    /// Keeps what it is told, and refuses to stop or go on twice.
    #[derive(Debug, Default)]
    struct Record {
        told: Vec<&'static str>,
        fails: bool,
    }

    impl Clock for Record {
        type Error = &'static str;

        fn stop(&mut self) -> Result<(), &'static str> {
            self.tell("stop")
        }

        fn go_on(&mut self) -> Result<(), &'static str> {
            self.tell("go on")
        }
    }

    impl Record {
        fn tell(&mut self, what: &'static str) -> Result<(), &'static str> {
            if self.fails {
                return Err("the monitor went away");
            }
            assert_ne!(self.told.last(), Some(&what), "told twice");
            self.told.push(what);
            Ok(())
        }
    }

    fn dilation() -> (Dilation<Record>, Instant) {
        (Dilation::new(Record::default(), PATIENCE), Instant::now())
    }

    #[test]
    fn a_device_that_answers_in_time_stops_nothing() {
        let (mut dilation, mut now) = dilation();
        dilation.busy(now).unwrap();
        for _ in 0..10 {
            now += PATIENCE;
            dilation.check(now).unwrap();
            dilation.answered(now).unwrap();
        }
        dilation.idle().unwrap();
        assert_eq!(dilation.clock.told, [""; 0]);
    }

    #[test]
    fn an_idle_device_stops_nothing() {
        let (mut dilation, now) = dilation();
        assert_eq!(dilation.deadline(), None);
        dilation.check(now + 1000 * PATIENCE).unwrap();
        dilation.busy(now).unwrap();
        dilation.idle().unwrap();
        assert_eq!(dilation.deadline(), None);
        dilation.check(now + 1000 * PATIENCE).unwrap();
        assert_eq!(dilation.clock.told, [""; 0]);
    }

    #[test]
    fn the_guest_stands_still_until_the_answer_and_has_patience_again() {
        let (mut dilation, now) = dilation();
        dilation.busy(now).unwrap();
        assert_eq!(dilation.deadline(), Some(now + PATIENCE));
        dilation.check(now + PATIENCE).unwrap();
        assert!(!dilation.is_stopped());
        dilation.check(now + PATIENCE + MOMENT).unwrap();
        assert!(dilation.is_stopped());
        assert_eq!(dilation.deadline(), None);
        dilation.check(now + 50 * PATIENCE).unwrap();

        let later = now + 100 * PATIENCE;
        dilation.answered(later).unwrap();
        assert_eq!(dilation.deadline(), Some(later + PATIENCE));
        dilation.check(later + PATIENCE + MOMENT).unwrap();
        dilation.idle().unwrap();
        assert!(!dilation.is_stopped());
        assert_eq!(dilation.clock.told, ["stop", "go on", "stop", "go on"]);
    }

    #[test]
    fn more_work_gives_no_more_patience() {
        let (mut dilation, now) = dilation();
        dilation.busy(now).unwrap();
        dilation.busy(now + PATIENCE).unwrap();
        assert_eq!(dilation.deadline(), Some(now + PATIENCE));
        dilation.busy(now + PATIENCE + MOMENT).unwrap();
        assert!(dilation.is_stopped());
        dilation.busy(now + 2 * PATIENCE).unwrap();
        assert_eq!(dilation.clock.told, ["stop"]);
    }

    /// However slow the device is, a command with all others before it is answered before its timeout in guest time.
    #[test]
    fn no_command_reaches_its_timeout() {
        const COMMANDS: u32 = 64;
        let io_timeout = Duration::from_secs(30);
        let patience = patience_of(io_timeout, COMMANDS);
        let mut dilation = Dilation::new(Record::default(), patience);
        let mut now = Instant::now();
        let mut guest_time = Duration::ZERO;
        dilation.busy(now).unwrap();
        for _ in 0..COMMANDS {
            // The device takes ten seconds for each; the check comes a hair late.
            guest_time += patience + MOMENT;
            dilation.check(now + patience + MOMENT).unwrap();
            now += Duration::from_secs(10);
            assert!(dilation.is_stopped());
            dilation.answered(now).unwrap();
        }
        assert!(guest_time < io_timeout);
    }

    #[test]
    fn what_cannot_be_changed_is_tried_again() {
        let (mut dilation, now) = dilation();
        dilation.busy(now).unwrap();
        dilation.clock.fails = true;
        assert!(dilation.check(now + 2 * PATIENCE).is_err());
        assert!(!dilation.is_stopped());
        dilation.clock.fails = false;
        dilation.check(now + 2 * PATIENCE).unwrap();
        dilation.clock.fails = true;
        assert!(dilation.idle().is_err());
        assert!(dilation.is_stopped());
        dilation.clock.fails = false;
        dilation.idle().unwrap();
        assert_eq!(dilation.clock.told, ["stop", "go on"]);
    }
}
