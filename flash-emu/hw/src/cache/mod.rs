//! # Cache
//!
//! A write-back cache of 4 KiB lines in memory, behind the `storage` port: wiring only.
//!
//! ## Symbol
//! ```text
//!                     +---- cache ----+
//!  storage_command ->-|               |->- fill, clean                to what moves lines between memory and flash
//!    storage_write ->-|               |-<- filled, progress
//!     storage_read -<-|               |-<- forward
//!     storage_done -<-|               |---> wrote                     a unit of the host has been written
//!        read_only -->|               |
//!                     |               |=== memory                     AXI4 manager
//!                     +---------------+
//! ```
//! ## Theory of operation
//! ```text
//! storage_command, storage_write ---> stage ---(read, write)---> page_cache ---> fill, clean
//!                                       |                         |     ^
//!                                     (data)                   (burst) (released, persist)
//!                                       |                         v     |
//!                                       +-----------------------> line_port ==== memory
//!                                                                 |     ^
//!                            storage_read, storage_done <---------+     +---- forward
//! ```
//!
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! See [`page_cache`](crate::page_cache).
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::line_port::LinePort;
use crate::page_cache::{self, PageCache};
use crate::stage::Stage;
use rtl_bus::Axi4;
use rtl_hdl::{Block, Module};

#[cfg(test)]
pub(crate) mod bench;

/// Bursts of the memory in flight in each direction.
const BURSTS: u32 = 16;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    /// Its decisions.
    pub config: page_cache::Config,
    /// Address of the first line in memory.
    pub base: u64,
}

impl Block for Cache {
    fn name(&self) -> String {
        format!("cache_{}_b{:x}", PageCache::new(self.config).name(), self.base)
    }

    fn description(&self) -> String {
        "A write-back cache of 4 KiB lines behind the storage port.".into()
    }

    fn build(&self, m: &Module) {
        m.clock();
        let stage = m.instance("stage", &Stage { commands: self.config.commands });
        let page_cache = m.instance("page_cache", &PageCache::new(self.config));
        let line_port = m.instance("line_port", &LinePort { bursts: BURSTS, base: self.base });

        for stream in ["storage_command", "storage_write"] {
            m.export(&stage, stream, stream);
        }
        m.connect(&stage, "read", &page_cache, "read");
        m.connect(&stage, "write", &page_cache, "write");
        m.connect(&stage, "data", &line_port, "data");
        m.connect(&page_cache, "burst", &line_port, "burst");
        m.connect(&line_port, "released", &page_cache, "released");
        page_cache.port("read_only").set(m.input("read_only", 1));
        m.output("wrote", page_cache.port("wrote"));
        m.connect(&line_port, "persist", &page_cache, "persist");
        for stream in ["fill", "filled", "clean", "progress"] {
            m.export(&page_cache, stream, stream);
        }
        for stream in ["forward", "storage_read", "storage_done"] {
            m.export(&line_port, stream, stream);
        }
        Axi4::export(m, &line_port, "memory", "memory");
    }
}
