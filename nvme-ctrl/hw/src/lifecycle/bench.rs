//! The running block against a model of a few lines, with random inputs in every clock.

use super::{Lifecycle, State, QUIET_BLOCKS, QUIET_CLOCKS};
use crate::testing::{forgets_at_reset, without_stalls};
use rtl_hdl::bench::{Bench, Seed};

/// What the block should be doing.
struct Model {
    state: State,
    status: u64,
    quiet_clocks: u32,
}

/// The inputs of a clock.
struct Inputs {
    enable: bool,
    function_reset: bool,
    all_quiet: bool,
    acknowledge: bool,
    status_write: Option<u64>,
}

impl Model {
    fn clock(&mut self, inputs: &Inputs) {
        let ends = !inputs.enable || inputs.function_reset;
        let quiet_clocks = std::mem::take(&mut self.quiet_clocks);
        match self.state {
            State::Idle => {
                if let Some(value) = inputs.status_write {
                    self.status = value & 0b1100;
                }
                if inputs.function_reset {
                    self.status = 0;
                }
                if !ends {
                    self.state = State::Alive;
                }
            }
            State::Alive => {
                if let Some(value) = inputs.status_write {
                    self.status = value;
                }
                if ends {
                    self.state = State::Draining;
                }
            }
            State::Draining => {
                if inputs.all_quiet {
                    self.quiet_clocks = quiet_clocks + 1;
                }
                if quiet_clocks == QUIET_CLOCKS {
                    self.state = State::Waiting;
                }
            }
            State::Waiting if inputs.acknowledge => self.state = State::Clearing,
            State::Waiting => {}
            State::Clearing => {
                self.status = 0;
                self.state = State::Idle;
            }
        }
    }

    fn check(&self, bench: &Bench) {
        let alive = self.state == State::Alive;
        let idle = self.state == State::Idle;
        let (ready, fatal) = (self.status & 1 == 1, self.status & 2 == 2);
        let expected = [
            ("alive", alive),
            ("granting", alive && ready),
            ("draining", !alive && !idle),
            ("clear", self.state == State::Clearing),
            ("enabling", alive && !ready && !fatal),
            ("disabled", self.state == State::Waiting),
        ];
        for (port, value) in expected {
            assert_eq!(bench.peek(port) == 1, value, "`{port}` in {:?}", self.state);
        }
        assert_eq!(bench.peek("status"), self.status, "`status` in {:?}", self.state);
    }
}

#[test]
fn lives_begin_and_end_as_firmware_is_told() {
    without_stalls(&Lifecycle, |bench| {
        let mut rng = Seed::from_env_or(0x11FE).rng("inputs");
        let mut model = Model { state: State::Idle, status: 0, quiet_clocks: 0 };
        let mut inputs =
            Inputs { enable: false, function_reset: false, all_quiet: true, acknowledge: false, status_write: None };
        let mut lives = 0;
        for _ in 0..20_000 {
            inputs.enable ^= rng.percent(5);
            inputs.function_reset = rng.percent(1);
            inputs.all_quiet = rng.percent(97);
            inputs.acknowledge = rng.percent(20);
            inputs.status_write = rng.percent(20).then(|| rng.below(16));
            bench.poke("enable", inputs.enable.into());
            bench.poke("function_reset", inputs.function_reset.into());
            let all = (1 << QUIET_BLOCKS) - 1;
            bench.poke("quiet", if inputs.all_quiet { all } else { rng.below(all) });
            bench.poke("acknowledge", inputs.acknowledge.into());
            bench.poke("status_write", inputs.status_write.is_some().into());
            bench.poke("status_value", inputs.status_write.unwrap_or(0));
            let before = model.state;
            bench.clock();
            model.clock(&inputs);
            model.check(bench);
            lives += u32::from(before == State::Clearing);
        }
        assert!(lives > 50, "only {lives} lives in the whole run");
    });
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&Lifecycle, &[], &[]);
}
