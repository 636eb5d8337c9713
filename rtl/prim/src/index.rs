//! Arithmetic on ring indexes. All functions are combinational and hold for any number of entries, not only for powers of two.

use rtl_hdl::{lit, Signal};

/// The index after `index` in a ring of `entries` entries: 0 after the last one.
#[track_caller]
pub fn next_index(index: Signal, entries: u32) -> Signal {
    if u64::from(entries) == 1 << index.width() {
        return index + 1;
    }
    next_index_in(index, lit(entries - 1, index.width()))
}

/// The index after `index` in a ring whose last index is `last`, which may change at run time.
#[track_caller]
pub fn next_index_in(index: Signal, last: Signal) -> Signal {
    index.eq(last).mux(lit(0u32, index.width()), index + 1)
}

/// The index `step` entries after `index` in a ring whose last index is `last`; `step` is at most `last + 1` and as wide as `index`.
#[track_caller]
pub fn advance_index(index: Signal, step: Signal, last: Signal) -> Signal {
    let wide = index.width() + 1;
    let sum = index.zext(wide) + step.zext(wide);
    let over = sum.gt(last.zext(wide));
    over.mux(sum - last.zext(wide) - 1, sum).low(index.width())
}

/// How many entries lie from `head` up to, not including, `tail` in a ring whose last index is `last`. Equal indexes mean none.
#[track_caller]
pub fn entries_between(head: Signal, tail: Signal, last: Signal) -> Signal {
    let wrapped = tail.lt(head);
    wrapped.mux(tail + last + 1 - head, tail - head)
}
