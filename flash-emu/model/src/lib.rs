//! # The reference flash
//!
//! [`Array`] is what all dies keep and which rules they enforce, without time; [`Channel`](channel::Channel) gives
//! them their time, clock by clock.
#![deny(missing_docs)]

mod array;
pub mod channel;
pub mod traffic;

pub use array::{Array, Page};
