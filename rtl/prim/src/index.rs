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

/// True for the indexes of a ring of `entries` entries.
#[track_caller]
pub fn is_index(index: Signal, entries: u32) -> Signal {
    if u64::from(entries) >> index.width() != 0 {
        return lit(1u8, 1);
    }
    index.lt(entries)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Function;

    const BITS: u32 = 4;

    #[test]
    fn the_next_index_is_0_after_the_last() {
        for entries in 1..=1 << BITS {
            let mut next = Function::new(&[BITS], |inputs| next_index(inputs[0], entries));
            for index in 0..entries {
                assert_eq!(next.of(&[index]), (index + 1) % entries, "{index} of {entries}");
            }
        }
    }

    #[test]
    fn indexes_are_those_below_the_number_of_entries() {
        for entries in [1, 2, 7, 8, 9, 15, 16, 17] {
            let mut inside = Function::new(&[BITS], |inputs| is_index(inputs[0], entries));
            for index in 0..1 << BITS {
                assert_eq!(inside.of(&[index]), u32::from(index < entries), "{index} of {entries}");
            }
        }
    }

    #[test]
    fn the_next_index_follows_a_size_that_changes() {
        let mut next = Function::new(&[BITS, BITS], |inputs| next_index_in(inputs[0], inputs[1]));
        for last in 0..1 << BITS {
            for index in 0..=last {
                assert_eq!(next.of(&[index, last]), (index + 1) % (last + 1), "{index} of {last}");
            }
        }
    }

    #[test]
    fn an_index_advances_by_any_step() {
        let mut advanced = Function::new(&[BITS; 3], |inputs| advance_index(inputs[0], inputs[1], inputs[2]));
        for last in 0..1u32 << BITS {
            for index in 0..=last {
                for step in 0..=(last + 1).min((1 << BITS) - 1) {
                    let expected = (index + step) % (last + 1);
                    assert_eq!(advanced.of(&[index, step, last]), expected, "{index} + {step} of {last}");
                }
            }
        }
    }

    #[test]
    fn the_entries_between_two_indexes_are_counted() {
        let mut between = Function::new(&[BITS; 3], |inputs| entries_between(inputs[0], inputs[1], inputs[2]));
        for last in 0..1u32 << BITS {
            for head in 0..=last {
                for count in 0..=last {
                    let tail = (head + count) % (last + 1);
                    assert_eq!(between.of(&[head, tail, last]), count, "{head} to {tail} of {last}");
                }
            }
        }
    }
}
