//! Numbers of pages and dies as signals.

use flash_spec::{Geometry, PageAddress};
use rtl_hdl::{cat, lit, select, zero, Signal};

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

/// The number of a plane among all as plane, die and channel, from the highest bit on: one, two and four bits.
pub(crate) fn place_of(geometry: &Geometry, plane_index: Signal) -> Signal {
    let places: Vec<Signal> = (0..geometry.planes())
        .map(|index| {
            let PageAddress { channel, die, plane, .. } = geometry.page_at(index.into());
            cat(&[lit(plane, 1), lit(die, 2), lit(channel, 4)])
        })
        .collect();
    select(&places, plane_index)
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
