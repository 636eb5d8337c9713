//! Operations on values of more than one word, lowest word first, inside one array of words. Bits above a value's width are zero, before
//! and after.

use std::cmp::Ordering;

/// The mask of the top word of a value whose top word has `unused` bits that do not count.
fn top_mask(unused: u8) -> u64 {
    u64::MAX >> unused
}

pub(super) fn add(w: &mut [u64], d: usize, a: usize, b: usize, n: usize, unused: u8) {
    let mut carry = false;
    for i in 0..n {
        let (sum, c1) = w[a + i].overflowing_add(w[b + i]);
        let (sum, c2) = sum.overflowing_add(carry as u64);
        carry = c1 | c2;
        w[d + i] = sum;
    }
    w[d + n - 1] &= top_mask(unused);
}

pub(super) fn sub(w: &mut [u64], d: usize, a: usize, b: usize, n: usize, unused: u8) {
    let mut borrow = false;
    for i in 0..n {
        let (difference, b1) = w[a + i].overflowing_sub(w[b + i]);
        let (difference, b2) = difference.overflowing_sub(borrow as u64);
        borrow = b1 | b2;
        w[d + i] = difference;
    }
    w[d + n - 1] &= top_mask(unused);
}

pub(super) fn mul(w: &mut [u64], d: usize, a: usize, b: usize, n: usize, unused: u8) {
    w[d..d + n].fill(0);
    for i in 0..n {
        let mut carry = 0u128;
        for j in 0..n - i {
            let sum = u128::from(w[a + i]) * u128::from(w[b + j]) + u128::from(w[d + i + j]) + carry;
            w[d + i + j] = sum as u64;
            carry = sum >> 64;
        }
    }
    w[d + n - 1] &= top_mask(unused);
}

pub(super) fn compare(w: &[u64], a: usize, b: usize, n: usize) -> Ordering {
    w[a..a + n].iter().rev().cmp(w[b..b + n].iter().rev())
}

/// The value as a number, or the largest number if it does not fit.
pub(super) fn saturate(w: &[u64], a: usize, n: usize) -> u64 {
    if w[a + 1..a + n].iter().any(|&word| word != 0) {
        u64::MAX
    } else {
        w[a]
    }
}

pub(super) fn shift_left(w: &mut [u64], d: usize, a: usize, amount: u64, n: usize, unused: u8) {
    let (by, bits) = ((amount / 64) as usize, (amount % 64) as u32);
    for i in 0..n {
        let word = |i: usize| if i >= by && i - by < n { w[a + i - by] } else { 0 };
        let below = if i == 0 || bits == 0 { 0 } else { word(i - 1) >> (64 - bits) };
        w[d + i] = word(i) << bits | below;
    }
    w[d + n - 1] &= top_mask(unused);
}

pub(super) fn shift_right(w: &mut [u64], d: usize, a: usize, amount: u64, n: usize) {
    let (by, bits) = (amount / 64, (amount % 64) as u32);
    for i in 0..n {
        let word = |i: usize| if by < n as u64 && i + (by as usize) < n { w[a + i + by as usize] } else { 0 };
        let above = if bits == 0 { 0 } else { word(i + 1) << (64 - bits) };
        w[d + i] = word(i) >> bits | above;
    }
}

/// `width` bits of the value at `a` from bit `low` up.
pub(super) fn extract(w: &mut [u64], d: usize, a: usize, low: u64, width: u32) {
    let (first, bits) = (a + (low / 64) as usize, (low % 64) as u32);
    let n = crate::words_for(width);
    for i in 0..n {
        let mut word = w[first + i] >> bits;
        // The next word is there, and wanted, only if the piece reaches into it.
        if bits + (width - 64 * i as u32).min(64) > 64 {
            word |= w[first + i + 1] << (64 - bits);
        }
        w[d + i] = word;
    }
    if width % 64 != 0 {
        w[d + n - 1] &= (1 << (width % 64)) - 1;
    }
}

/// Puts the value at `a` into the value at `d` from bit `low` up, where the bits are zero.
pub(super) fn insert(w: &mut [u64], d: usize, a: usize, low: u32, width: u32) {
    let (first, bits) = (d + (low / 64) as usize, low % 64);
    for i in 0..crate::words_for(width) {
        let word = w[a + i];
        w[first + i] |= word << bits;
        if bits + (width - 64 * i as u32).min(64) > 64 {
            w[first + i + 1] |= word >> (64 - bits);
        }
    }
}

/// Puts the value at `a` into the value at `d` from bit `low` up, in place of what is there.
pub(super) fn replace(w: &mut [u64], d: usize, a: usize, low: u32, width: u32) {
    let (first, bits) = (d + (low / 64) as usize, low % 64);
    for i in 0..crate::words_for(width) {
        let count = (width - 64 * i as u32).min(64);
        let (word, mask) = (w[a + i], u64::MAX >> (64 - count));
        w[first + i] = w[first + i] & !(mask << bits) | word << bits;
        if bits + count > 64 {
            w[first + i + 1] = w[first + i + 1] & !(mask >> (64 - bits)) | word >> (64 - bits);
        }
    }
}

/// A word, whose `unused` highest bits do not count, as a number with a sign.
pub(super) fn signed(word: u64, unused: u8) -> i64 {
    (word << unused) as i64 >> unused
}

/// Compares two values with signs.
pub(super) fn compare_signed(w: &[u64], a: usize, b: usize, n: usize, unused: u8) -> Ordering {
    let top = signed(w[a + n - 1], unused).cmp(&signed(w[b + n - 1], unused));
    top.then_with(|| compare(w, a, b, n - 1))
}

/// Like [`shift_right`], with copies of the sign above.
pub(super) fn shift_right_signed(w: &mut [u64], d: usize, a: usize, amount: u64, n: usize, unused: u8) {
    let (by, bits) = (amount / 64, (amount % 64) as u32);
    let sign = (signed(w[a + n - 1], unused) >> 63) as u64;
    for i in 0..n {
        let word = |i: usize| match by.checked_add(i as u64) {
            Some(from) if from < n as u64 - 1 => w[a + from as usize],
            Some(from) if from == n as u64 - 1 => signed(w[a + n - 1], unused) as u64,
            _ => sign,
        };
        let above = if bits == 0 { 0 } else { word(i + 1) << (64 - bits) };
        w[d + i] = word(i) >> bits | above;
    }
    w[d + n - 1] &= top_mask(unused);
}
