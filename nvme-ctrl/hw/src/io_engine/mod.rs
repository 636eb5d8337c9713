//! # I/O engine
//!
//! Carries out commands: moves their data between host memory and the storage, and says how they ended. Wiring only.
//!
//! ## Symbol
//! ```text
//!                        +--- io_engine ---+
//!             command ->-|                 |->- outcome            what is well, and every transfer of firmware
//!            transfer ->-|                 |->- failure            all others
//!           list_beat ->-|                 |
//!           data_beat ->-|                 |->- list_read
//!        storage_read ->-|                 |->- data_read
//!        storage_done ->-|                 |->- data_write
//!        buffer_write -->|                 |->- data_write_beat
//!      buffer_address -->|                 |->- storage_command
//!   drain, pair_comes -->|                 |--> drains
//!   buffer_write_data -->|                 |->- storage_write
//!                        |                 |--> buffer_read_data
//!                        |                 |--> quiet
//!                        |                 |--> walked, begun, answered, finished, reported, ..   to latency
//!                        +-----------------+
//! ```
//! ## Theory of operation
//! ```text
//!               (1)         (2)            (3)
//!     command ----> slots ------> walk ------> units
//!                   ^   ^          |           | | ^ ^
//!                   |   +---(11)---+           | | | |
//!                   +---------------(10)-------+ | | |
//!                                                | | |
//!        +-------------(4), (5), (8)-------------+ | |
//!        |         +------(6), (7)-----------------+ +--------(12)-------+
//!        v         |                                                     |
//!     dma_read, dma_write                                                |
//!        |         ^                                                     |
//!        |  (8)    |  (9)                                                |
//!        +---> storage_mux <==> storage port, and buffer ----------------+
//! ```
//! 1. A command takes a slot. 2. Its PRPs or its SGL are walked. 3. It goes on as units of at most 4 KiB.
//! 4. The data of a Write is read from the host first. 5. Where the data of a Read goes is noted.
//! 6. The data of a Read has gone to the host. 7. The data of a Write is here.
//! 8. Units are started at their target, the storage or the buffer, and the data of Writes follows. Data between these two does not leave the mux.
//! 9. The data of Reads comes back, from either target.
//! 10. A unit has ended. 11. The walk of a command has ended. 12. A target says how it ended.
//!
//! [`latency`](crate::latency) watches what happens to a command: the last unit of it has left `walk` (`walked`), and what `slots` and `units` tell.
//!
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! Reads and writes share slots and tags: while the host takes no data, reads may hold all of them and writes wait, and the reverse.
//! Neither ever waits for the other to make the host or the storage move.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::buffer::Buffer;
use crate::dma_read::DmaRead;
use crate::dma_write::DmaWrite;
use crate::slots::Slots;
use crate::storage_mux::StorageMux;
use crate::types::Target;
use crate::units::Units;
use crate::walk::Walk;
use crate::Config;
use rtl_hdl::{Block, HwEnum, Module};

#[cfg(test)]
pub(crate) mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct IoEngine {
    config: Config,
}

impl IoEngine {
    /// The engine of a controller.
    pub fn new(config: Config) -> IoEngine {
        IoEngine { config }
    }
}

impl Block for IoEngine {
    fn name(&self) -> String {
        format!("io_engine_u{}_s{}", self.config.units, self.config.slots)
    }

    fn description(&self) -> String {
        "Carries out commands: moves their data and says how they ended.".into()
    }

    fn build(&self, m: &Module) {
        m.clock();
        let slots = m.instance("slots", &Slots::new(self.config));
        let walk = m.instance("walk", &Walk);
        let units = m.instance("units", &Units::new(self.config));
        let dma_read = m.instance("dma_read", &DmaRead::new(self.config));
        let dma_write = m.instance("dma_write", &DmaWrite::new(self.config));
        let storage_mux = m.instance("storage_mux", &StorageMux);
        let buffer = m.instance("buffer", &Buffer);

        // Commands and their ends.
        m.export(&slots, "command", "command");
        m.export(&slots, "transfer", "transfer");
        m.export(&slots, "outcome", "outcome");
        m.export(&slots, "failure", "failure");
        m.connect(&slots, "job", &walk, "job");
        m.connect(&walk, "unit", &units, "unit");
        m.connect(&walk, "walk_end", &slots, "walk_end");
        m.connect(&units, "unit_end", &slots, "unit_end");
        m.output("quiet", slots.port("quiet"));
        for input in ["drain", "pair_comes"] {
            slots.port(input).set(m.input(input, 1));
        }
        m.output("drains", slots.port("drains"));

        // What is watched.
        let is_command = slots.port("job_target").eq(Target::Storage.code());
        m.output("walked", slots.port("job_valid") & walk.port("job_ready") & is_command);
        m.output("walked_slot", slots.port("job_slot"));
        m.output("walked_operation", slots.port("job_operation"));
        for (block, event) in [(&units, "begun"), (&units, "answered"), (&slots, "finished"), (&slots, "reported")] {
            for name in [event.into(), format!("{event}_slot")] {
                m.output(&name, block.port(&name));
            }
        }

        // Host memory.
        m.export(&walk, "list_read", "list_read");
        m.export(&walk, "list_beat", "list_beat");
        m.export(&dma_read, "data_read", "data_read");
        m.export(&dma_read, "data_beat", "data_beat");
        m.export(&dma_write, "data_write", "data_write");
        m.export(&dma_write, "data_write_beat", "data_write_beat");

        // Units on their way.
        m.connect(&units, "read_unit", &dma_write, "read_unit");
        m.connect(&units, "write_unit", &dma_read, "write_unit");
        m.connect(&dma_write, "written", &units, "written");
        m.connect(&dma_read, "arrived", &units, "arrived");
        for wire in ["data_error", "data_error_tag"] {
            units.port(wire).set(dma_read.port(wire));
        }
        m.connect(&units, "start", &storage_mux, "start");
        m.connect(&dma_read, "write", &storage_mux, "write");
        m.connect(&storage_mux, "read", &dma_write, "storage_read");
        m.connect(&storage_mux, "buffer_read", &dma_write, "buffer_read");
        for wire in ["loads", "stores"] {
            storage_mux.port(wire).set(units.port(wire));
        }

        // The storage port.
        m.export(&storage_mux, "storage_command", "storage_command");
        m.export(&storage_mux, "storage_write", "storage_write");
        m.export(&storage_mux, "storage_read", "storage_read");
        m.export(&units, "storage_done", "storage_done");

        // The buffer.
        m.connect(&storage_mux, "buffer_command", &buffer, "command");
        m.connect(&storage_mux, "buffer_write", &buffer, "fill");
        m.connect(&storage_mux, "load", &buffer, "load");
        m.connect(&buffer, "drain", &storage_mux, "drain");
        m.connect(&buffer, "done", &units, "buffer_done");
        m.connect(&buffer, "loaded", &units, "loaded");
        for wire in ["compares", "spoilt"] {
            buffer.port(wire).set(units.port(wire));
        }
        for wire in ["store", "store_beats"] {
            buffer.port(wire).set(storage_mux.port(wire));
        }
        for input in ["buffer_write", "buffer_address", "buffer_write_data"] {
            let port = buffer.port(input);
            port.set(m.input(input, port.width()));
        }
        m.output("buffer_read_data", buffer.port("buffer_read_data"));
    }
}
