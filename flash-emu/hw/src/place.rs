//! Numbers of pages and dies as signals.

use flash_spec::Geometry;
use rtl_hdl::{cat, lit, zero, Signal};

/// A signal times a number, as additions; of this width.
pub(crate) fn times(signal: Signal, number: u32, width: u32) -> Signal {
    let shifted = |shift: u32| {
        let wide = if shift == 0 { signal } else { cat(&[signal, lit(0u8, shift)]) };
        wide.zext(wide.width().max(width)).low(width)
    };
    let terms = (0..u32::BITS).filter(|shift| number >> shift & 1 == 1).map(shifted);
    terms.reduce(|sum, term| sum + term).unwrap_or_else(|| rtl_hdl::constant(&zero(width)))
}

/// [`Geometry::page_index`] of a page, 32 bits wide.
pub(crate) fn page_index(geometry: &Geometry, at: PageAt) -> Signal {
    let stripe = times(at.block, geometry.pages_per_block, 32) + at.page.zext(32);
    let plane = times(at.plane, geometry.dies(), 32) + die_index(geometry, at.die, at.channel).zext(32);
    times(stripe, geometry.planes(), 32) + plane
}

/// The number of a die among all, channel first, 6 bits wide.
pub(crate) fn die_index(geometry: &Geometry, die: Signal, channel: Signal) -> Signal {
    times(die, geometry.channels, 6) + channel.zext(6)
}

/// A page by its place.
#[derive(Clone, Copy)]
pub(crate) struct PageAt {
    pub channel: Signal,
    pub die: Signal,
    pub plane: Signal,
    pub block: Signal,
    pub page: Signal,
}
