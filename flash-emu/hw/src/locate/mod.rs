//! # Locate
//!
//! Says where a page lies, by its number: channel, die, plane, block, and page of the block.
//!
//! ## Symbol
//! ```text
//!             +- locate -+
//!   number ->-|          |->- located
//!             +----------+
//! ```
//! ## Theory of operation
//! The number is divided by that of all planes, a bit of the quotient in each clock. What is left names the plane, by a table; the quotient is the block
//! and the page of it. See [`Geometry::page_at`].
//!
//! ## Timing
//! One number at a time. Its place is offered two clocks, and one for each bit of the greatest number, after the number was there.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! Blocks have a power of two pages.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::place::place_of;
use crate::types::{Located, PageNumber};
use flash_spec::Geometry;
use rtl_hdl::{address_width, cat, hw_enum, switch, when, zero, Block, Module};

#[cfg(test)]
pub(crate) mod bench;

hw_enum! {
    /// `Rest -> Divide -> Tell -> Rest`.
    pub enum State {
        /// Leaves with a number.
        Rest,
        /// Leaves with the last bit of the quotient.
        Divide,
        /// Leaves when the place can be told.
        Tell,
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Locate {
    geometry: Geometry,
}

impl Locate {
    /// For this flash.
    ///
    /// # Panics
    /// If blocks have not a power of two pages.
    pub fn new(geometry: Geometry) -> Self {
        assert!(geometry.pages_per_block.is_power_of_two());
        Self { geometry }
    }
}

impl Block for Locate {
    fn name(&self) -> String {
        let Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block } = self.geometry;
        format!("locate_{channels}_{dies_per_channel}_{planes_per_die}_{blocks_per_plane}_{pages_per_block}")
    }

    fn description(&self) -> String {
        "Says where a page lies, by its number.".into()
    }

    fn build(&self, m: &Module) {
        let geometry = self.geometry;
        let planes = geometry.planes();
        let number_bits = address_width(geometry.pages() as u32);
        let plane_bits = address_width(planes);
        let page_bits = address_width(geometry.pages_per_block);

        // 1. Ports
        let clock = m.clock();
        let number = m.stream_in::<PageNumber>("number");
        let located = m.stream_out_single::<Located>("located");

        // 2. State
        let state = m.reg("state", clock, State::Rest);
        // What is left of the number, and the quotient, which takes its place bit by bit.
        let left = m.reg_without_reset("left", clock, plane_bits + 1);
        let quotient = m.reg_without_reset("quotient", clock, number_bits);
        let bits_left = m.reg_without_reset("bits_left", clock, address_width(number_bits + 1));

        // 3. Conditions
        let PageNumber { page, carried } = number.payload();
        let shifted = m.wire("shifted", cat(&[left.low(plane_bits), quotient.bit(number_bits - 1)]));
        let goes_in = m.wire("goes_in", shifted.ge(planes));
        let tells = m.wire("tells", state.is(State::Tell) & located.can_take());

        // 4. Next state: the number stays where it is until it has been answered.
        switch(state, |s: State| match s {
            State::Rest => {
                left.set(zero(plane_bits + 1));
                quotient.set(page.low(number_bits));
                bits_left.set(number_bits);
                when(number.valid(), || state.goto(State::Divide));
            }
            State::Divide => {
                left.set(goes_in.mux(shifted - planes, shifted));
                quotient.set(cat(&[quotient.low(number_bits - 1), goes_in]));
                bits_left.set(bits_left - 1);
                when(bits_left.eq(1), || state.goto(State::Tell));
            }
            State::Tell => {
                when(tells, || {
                    number.take();
                    state.goto(State::Rest);
                });
            }
        });

        // 5. Outputs
        let place = m.wire("place", place_of(&geometry, left.low(plane_bits)));
        let stripe = quotient.zext(32);
        when(tells, || {
            located.offer(Located {
                page,
                is_there: page.lt(geometry.pages() as u32),
                channel: place.bits(0..4),
                die: place.bits(4..6),
                plane: place.bit(6),
                block: stripe.bits(page_bits..32).zext(32).low(16),
                page_of_block: stripe.low(page_bits).zext(16),
                carried,
            });
        });
    }
}
