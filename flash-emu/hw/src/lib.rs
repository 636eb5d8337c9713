//! The emulated flash and its fast path as synthesizable blocks.
//!
//! Each module below is one block and begins with its front page; [`types`] are the bundles that cross the walls between them.
//! [`flash_path`] joins them, and its page shows how.
#![deny(missing_docs)]

// The cache: from the storage port to lines that are filled and cleaned.
pub mod cache;
pub mod line_port;
pub mod page_cache;
pub mod stage;

// From the flash to the cache, and to firmware.
pub mod fill;
pub mod locate;
pub mod mover;
pub mod page_map;
pub mod page_read;

// From the cache to the flash.
pub mod commit;
pub mod erase;
pub mod gather;
pub mod program;
pub mod write_point;

// All of it, and firmware.
pub mod flash_path;
pub mod flash_port;

// The flash.
pub mod array;
pub mod channel;

mod place;
pub mod types;

#[cfg(test)]
mod testing;

pub use channel::Channel;
pub use page_map::PageMap;
