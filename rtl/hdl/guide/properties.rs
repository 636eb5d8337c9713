//! The examples of properties.md.

use rtl_hdl::formal::Proof;
use rtl_hdl::{block_fn, when, zero, Block};

// example: credits
/// Hands out up to five credits.
pub fn credits() -> impl Block {
    block_fn("credits", |m| {
        let clock = m.clock();
        let (take, give) = (m.input("take", 1), m.input("give", 1));
        let used = m.reg("used", clock, zero(3));
        let free = m.wire("free", used.lt(5));
        let taken = m.wire("taken", take & free);

        // Who is around this block gives back only what it has.
        m.assume(clock, "gives_what_it_has", give.implies(used.ne(0)));
        when(taken & !give, || used.set(used + 1)).else_when(give & !taken, || used.set(used - 1));
        m.assert(clock, "at_most_five", used.le(5));
        m.cover(clock, "all_used", used.eq(5));
        m.output("available", free);
    })
}
// end

// example: proof
/// What `cargo xtask formal` is asked: for all runs, with an induction over two clocks.
pub fn proof() -> Proof {
    Proof::by_induction(credits(), 2)
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("credits", Box::new(credits()))]
}
