//! The examples of choices.md.

use rtl_hdl::{block_fn, cases, hw_enum, select, switch, when, zero, Block};

// example: machine
hw_enum! {
    /// `Idle -> Running -> Done -> Idle`.
    pub enum State {
        /// Waits for `start`.
        Idle,
        /// Counts down.
        Running,
        /// For one clock.
        Done,
    }
}

/// Says `done` this many clocks after `start`.
pub fn machine() -> impl Block {
    block_fn("timer", |m| {
        let clock = m.clock();
        let (start, clocks) = (m.input("start", 1), m.input("clocks", 8));
        let state = m.reg("state", clock, State::Idle);
        let left = m.reg("left", clock, zero(8));

        switch(state, |s: State| match s {
            State::Idle => drop(when(start, || {
                left.set(clocks);
                state.goto(State::Running);
            })),
            State::Running => {
                left.set(left - 1);
                when(left.eq(0), || state.goto(State::Done));
            }
            State::Done => state.goto(State::Idle),
        });
        m.output("done", state.is(State::Done));
    })
}
// end

// example: decoder
/// Four ways to choose, in one block.
pub fn decoder() -> impl Block {
    block_fn("decoder", |m| {
        let clock = m.clock();
        let code = m.input("code", 4);
        let values: Vec<_> = (0..4).map(|i| m.input(&format!("value_{i}"), 8)).collect();

        let chosen = m.reg_without_reset("chosen", clock, 8);
        chosen.set(select(&values, code.low(2)));
        let larger = m.reg_without_reset("larger", clock, 8);
        larger.set(values[0].gt(values[1]).mux(values[0], values[1]));
        let length = m.wire_of_width("length", 3);
        cases(code).on(0, || length.set(1)).on(1, || length.set(2)).on(7, || length.set(4)).otherwise(|| length.set(0));
        let known = m.reg("known", clock, false);
        known.set(length.ne(0));
        m.output("one_of_four", chosen);
        m.output("maximum", larger);
        m.output("is_known", known);
    })
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("machine", Box::new(machine())), ("decoder", Box::new(decoder()))]
}
