//! One-hot codes, priority, selection. All functions are combinational.

use rtl_hdl::{address_width, lit, Signal, Value};

/// `width` bits of which bit number `index` is set; all zero if `index` is beyond them.
#[track_caller]
pub fn one_hot(index: Signal, width: u32) -> Signal {
    lit(1u32, width).shl(index)
}

/// `then` where `condition` holds, else `otherwise`: [`Signal::mux`] for anything that is made of signals.
pub fn choose<V: Value>(condition: Signal, then: V, otherwise: V) -> V {
    let mut chosen = then.leaves().into_iter().zip(otherwise.leaves()).map(|(t, o)| condition.mux(t, o));
    then.rebuild(&mut chosen)
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

/// `binary` in Gray code: from one number to the next, and from the last to 0, one bit changes.
#[track_caller]
pub fn gray(binary: Signal) -> Signal {
    binary ^ binary.shr(lit(1u8, 1))
}

/// The number that `gray` stands for.
#[track_caller]
pub fn from_gray(gray: Signal) -> Signal {
    let bits: Vec<Signal> = (0..gray.width()).rev().map(|bit| gray.bits(bit..gray.width()).parity()).collect();
    rtl_hdl::cat(&bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Function;

    #[test]
    fn one_bit_of_a_gray_code_changes_from_one_number_to_the_next() {
        for width in 1..8 {
            let mut code = Function::new(&[width], |inputs| gray(inputs[0]));
            let codes: Vec<u32> = (0..1u32 << width).map(|number| code.of(&[number])).collect();
            let mut distinct = codes.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), codes.len());
            for (number, code) in codes.iter().enumerate() {
                let next = codes[(number + 1) % codes.len()];
                assert_eq!((code ^ next).count_ones(), 1, "{number} of {width} bits");
            }
            let mut back = Function::new(&[width], |inputs| from_gray(inputs[0]));
            for (number, code) in codes.iter().enumerate() {
                assert_eq!(back.of(&[*code]), number as u32);
            }
        }
    }

    #[test]
    fn one_hot_sets_the_bit_of_the_index() {
        for (index_bits, width) in [(1, 1), (1, 2), (3, 5), (3, 8), (4, 3)] {
            let mut code = Function::new(&[index_bits], |inputs| one_hot(inputs[0], width));
            for index in 0..1u32 << index_bits {
                let expected = if index < width { 1 << index } else { 0 };
                assert_eq!(code.of(&[index]), expected, "{index} in {width} bits");
            }
        }
    }

    #[test]
    fn the_lowest_bit_is_found() {
        for width in [1, 2, 3, 5, 8, 9] {
            let mut first = Function::new(&[width], |inputs| first_one(inputs[0]));
            let mut index = Function::new(&[width], |inputs| priority_index(inputs[0]));
            for bits in 0..1u32 << width {
                let lowest = (bits != 0).then(|| bits.trailing_zeros());
                assert_eq!(first.of(&[bits]), lowest.map_or(0, |bit| 1 << bit), "{bits:#b}");
                assert_eq!(index.of(&[bits]), lowest.unwrap_or(0), "{bits:#b}");
            }
        }
    }

    #[test]
    fn a_one_hot_code_selects_and_counts() {
        for width in [1, 2, 3, 7] {
            let mut index = Function::new(&[width], |inputs| one_hot_index(inputs[0]));
            let mut selected = Function::new(&[width, 4], |inputs| {
                let choices: Vec<Signal> = (0..width).map(|choice| inputs[1] + choice).collect();
                one_hot_select(inputs[0], &choices)
            });
            for choice in 0..width {
                assert_eq!(index.of(&[1 << choice]), choice);
                assert_eq!(selected.of(&[1 << choice, 9]), (9 + choice) % 16);
            }
            assert_eq!((index.of(&[0]), selected.of(&[0, 9])), (0, 0));
        }
    }
}
