//! The emulated flash and its fast path as synthesizable blocks.
//!
//! Each module below is one block and begins with its front page; [`types`] are the bundles that cross the walls between them.
//!
//! ```text
//!                        read, write                 fill, clean
//!  storage port --> stage ---------> page_cache ------------------> (to come) --> channel --> done
//!                        data            | burst                        |            | ^
//!                   storage port <-- line_port == memory          page_map, mover <--+ |
//!                                                                    == memory   transfer, through
//! ```
#![deny(missing_docs)]

// The cache: from the storage port to lines that are filled and cleaned.
pub mod cache;
pub mod line_port;
pub mod page_cache;
pub mod stage;

// Between the cache and the flash.
pub mod commit;
pub mod erase;
pub mod fill;
pub mod locate;
pub mod mover;
pub mod page_map;
pub mod page_read;

// Between the cache and the flash, the other way.
pub mod flash_port;
pub mod gather;
pub mod program;
pub mod write_point;

// The flash.
pub mod array;
pub mod channel;

mod place;
pub mod types;

#[cfg(test)]
mod testing;

pub use channel::Channel;
pub use page_map::PageMap;
