//! The emulated flash as synthesizable blocks.
//!
//! Each module below is one block and begins with its front page; [`types`] are the bundles that cross the walls between them.
//!
//! ```text
//!  command --> channel --> done
//!                 | ^
//!        transfer v | through
//!             data mover (DDR4)
//! ```
#![deny(missing_docs)]

pub mod channel;
pub mod types;

#[cfg(test)]
mod testing;

pub use channel::Channel;
