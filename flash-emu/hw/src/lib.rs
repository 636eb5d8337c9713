//! The flash emulator and its fast path as synthesizable blocks.
//!
//! Each module below is one block and begins with its front page.
#![deny(missing_docs)]

pub mod cache;
pub mod line_port;
pub mod mover;
pub mod page_cache;
pub mod page_map;
pub mod stage;
pub mod types;

#[cfg(test)]
mod testing;

pub use page_map::PageMap;
