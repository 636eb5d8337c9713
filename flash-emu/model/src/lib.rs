//! # The reference flash
//!
//! [`Array`] is what all dies keep and which rules they enforce, without time; [`Channel`](channel::Channel) gives them their time, clock by clock.
//! [`FastPath`] is what hardware does between the storage port and the dies, without time; [`reference_ftl`] says what a translation layer does to
//! flash.
#![deny(missing_docs)]

mod array;
pub mod channel;
pub mod fast_path;
mod random;
pub mod reference_ftl;
pub mod traffic;

pub use array::{Array, Begun, NotSaved, Page, SavedBlock};
pub use fast_path::{Content, FastPath, Refusal};
pub use random::Random;
