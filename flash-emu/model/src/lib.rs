//! # The reference flash
//!
//! [`Array`] is what all dies keep and which rules they enforce, without time.
#![deny(missing_docs)]

mod array;

pub use array::{Array, Page};
