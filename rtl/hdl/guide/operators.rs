//! The examples of operators.md.

use rtl_hdl::{block_fn, cat, Block};

// example: widths
/// The average of two bytes, and their bits in two other orders.
pub fn widths() -> impl Block {
    block_fn("widths", |m| {
        let clock = m.clock();
        let (a, b) = (m.input("a", 8), m.input("b", 8));
        // The carry must not be lost, so both get a ninth bit first.
        let sum = m.wire("sum", a.zext(9) + b.zext(9));
        let average = m.reg_without_reset("average", clock, 8);
        average.set(sum.bits(1..9));

        let swapped = m.reg_without_reset("swapped", clock, 16);
        swapped.set(cat(&[b, a]));
        let flags = m.reg_without_reset("flags", clock, 3);
        flags.set(cat(&[a.any(), a.all(), a.parity()]));
        m.output("mean", average);
        m.output("pair", swapped);
        m.output("reductions", flags);
    })
}
// end

// example: signed
/// Clamps a product of two signed numbers to 8 bits.
pub fn signed() -> impl Block {
    block_fn("signed_product", |m| {
        let clock = m.clock();
        let (a, b) = (m.input("a", 8).as_signed(), m.input("b", 8).as_signed());
        let product = m.wire("product", a.product(b));
        let too_large = m.wire("too_large", product.gt(127));
        let too_small = m.wire("too_small", product.lt(-128));

        let clamped = m.reg_without_reset("clamped", clock, 8);
        let low = product.bits().low(8);
        clamped.set(too_large.mux(low.literal(0x7f), too_small.mux(low.literal(0x80), low)));
        m.output("result", clamped);
    })
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("widths", Box::new(widths())), ("signed", Box::new(signed()))]
}
