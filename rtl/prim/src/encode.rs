//! One-hot codes, priority, selection. All functions are combinational.

use rtl_hdl::{address_width, lit, Signal};

/// `width` bits of which bit number `index` is set; all zero if `index` is beyond them.
#[track_caller]
pub fn one_hot(index: Signal, width: u32) -> Signal {
    lit(1u32, width).shl(index)
}

/// The lowest set bit of `bits` alone; zero if none is set.
#[track_caller]
pub fn first_one(bits: Signal) -> Signal {
    bits & (!bits + 1)
}

/// The number of the only set bit of `one_hot`; 0 if none is set.
#[track_caller]
pub fn one_hot_index(one_hot: Signal) -> Signal {
    let width = address_width(one_hot.width());
    let bits: Vec<Signal> = (0..width)
        .rev()
        .map(|bit| {
            let members: Vec<Signal> = (0..one_hot.width())
                .filter(|number| number >> bit & 1 == 1)
                .map(|number| one_hot.bit(number))
                .collect();
            match members.as_slice() {
                [] => lit(0u32, 1),
                members => rtl_hdl::cat(members).any(),
            }
        })
        .collect();
    rtl_hdl::cat(&bits)
}

/// The number of the lowest set bit of `bits`; 0 if none is set.
#[track_caller]
pub fn priority_index(bits: Signal) -> Signal {
    one_hot_index(first_one(bits))
}

/// The one of `choices` whose bit in `one_hot` is set; zero if none is.
///
/// # Panics
/// If `choices` is empty.
#[track_caller]
pub fn one_hot_select(one_hot: Signal, choices: &[Signal]) -> Signal {
    choices
        .iter()
        .enumerate()
        .map(|(number, choice)| one_hot.bit(number as u32).repeat(choice.width()) & *choice)
        .reduce(|a, b| a | b)
        .expect("a selection has at least one choice")
}
