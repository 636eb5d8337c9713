//! The examples of registers.md.

use rtl_hdl::{block_fn, when, zero, Block};

// example: edge
/// Says for one clock that `level` has risen.
pub fn edge() -> impl Block {
    block_fn("edge_detector", |m| {
        let clock = m.clock();
        let level = m.input("level", 1);
        let before = m.reg("level_before", clock, false);
        let rising = m.reg("rising", clock, false);

        before.set(level);
        rising.set(level & !before);
        m.output("rising_edge", rising);
    })
}
// end

// example: accumulator
/// Sums what it gets until it is cleared; `clear` wins.
pub fn accumulator() -> impl Block {
    block_fn("accumulator", |m| {
        let clock = m.clock();
        let (add, clear, value) = (m.input("add", 1), m.input("clear", 1), m.input("value", 8));
        let sum = m.reg("sum", clock, zero(16));
        // Nothing reads it before `valid` is set: it needs no reset.
        let last = m.reg_without_reset("last", clock, 8);
        let valid = m.reg("valid", clock, false);

        when(add, || {
            sum.set(sum + value.zext(16));
            last.set(value);
            valid.set(true);
        });
        when(clear, || sum.set(0));
        m.output("total", sum);
        m.output("newest", last);
        m.output("has_newest", valid);
    })
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("edge", Box::new(edge())), ("accumulator", Box::new(accumulator()))]
}
