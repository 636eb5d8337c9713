//! # Flash path
//!
//! All between the `storage` port and the two memories: cache, page map, flash, and the way back. Wiring only.
//!
//! ## Symbol
//! ```text
//!                        +--- flash_path ---+
//!  firmware (AXI4-Lite) ==|                  |=== dram       AXI4 manager: lines, the map, the log
//!    shared (AXI4-Lite) ==|                  |=== medium     AXI4 manager: what stands for the flash
//!     storage_command  ->-|                  |->- storage_read, storage_done
//!       storage_write  ->-|                  |
//!   times_*, faults_*  -->|                  |---> read_only, forget, has_events
//!   suspends, seed_*   -->|                  |---> late, lost
//!           power_cut  -->|                  |
//!                door ->-|                  |->- door_record
//!                        +------------------+
//! ```
//! ## Theory of operation
//! ```text
//!                 (fill)           (command, transfer, through, done)
//!  storage ==== cache ---> fill --------------------------------------- array
//!                |  ^       | page_map        (firmware's reads) page_read
//!                |  |       +--- mover ------------------------- /   |
//!        (clean) |  | (progress)                            (unit)   |
//!                v  |                     (page, unit)        |      | (resolved)
//!             gather ---(want, place)---> program --- array   |      |
//!                ^  |    write_point         | mover back     |      |
//!                |  |                        v (result)       |      |
//!                |  +-- trim, settled --> commit ----- page_map, log -+
//!                +-------------------------------------------+
//! ```
//! Tags part what comes back: see [`USER_BITS`] and [`MAP_USER_BITS`]. All that firmware hears comes together in
//! [`flash_port`](crate::flash_port). `shared` is its way to the pages of `dram` that it shares with the hardware, from the first one on:
//! [`Config::shared_base`].
//!
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! `power_cut` is for the array alone: the rest is to be reset, or thrown away, after it. `forget` is only reported. When a program fails in one plane of a
//! die, those behind it are refused in both: the other block is not retired, but has no more pages until it has been erased.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::array::Array;
use crate::cache::Cache;
use crate::commit::{self, Commit};
use crate::erase::Erasing;
use crate::fill::{self, Filling};
use crate::flash_port::FlashPort;
use crate::gather::{self, Gather};
use crate::locate::Locate;
use crate::mover::Mover;
use crate::page_cache;
use crate::page_map::{self, Answer, PageMap, Request};
use crate::page_read::{self, PageRead};
use crate::program::{self, Programming};
use crate::types::{
    user, Command, Done, Faults, Heard, MoveJob, Moved, Through, Times, Transfer, MAP_USER_BITS, MEMORY, USER_BITS,
};
use crate::write_point::WritePoint;
use flash_spec::fast_path::{shared_bytes, MAP_FIRST, TAGS};
use flash_spec::limits::{PAGE_BYTES, SPARE_BYTES, UNITS_PER_PAGE, UNIT_BYTES};
use flash_spec::record::{MAP_ENTRIES, MAP_PAGES_MAX};
use flash_spec::Geometry;
use rtl_bus::{Axi4, Axi4Config, Axi4Mux, AxiLite, AxiLiteToAxi4};
use rtl_hdl::{Block, InstanceHandle, Module, Shape};
use rtl_prim::{Fifo, Lock, Payload, StreamArbiter, StreamDemux};

#[cfg(test)]
pub(crate) mod bench;

/// Units that each mover reads ahead.
const MOVER_UNITS: u32 = 8;
/// Fills in flight.
const FILLS: u32 = 64;
/// Programs in flight.
const PROGRAMS: u32 = 128;
/// Joins the users of DRAM.
const DRAM_MUX: Axi4Mux = Axi4Mux { managers: 7, config: MEMORY };
/// Joins the users of the medium.
const MEDIUM_MUX: Axi4Mux = Axi4Mux { managers: 5, config: MEMORY };
/// The widths of the bus `dram`.
pub const DRAM: Axi4Config = DRAM_MUX.to();
/// The widths of the bus `medium`.
pub const MEDIUM: Axi4Config = MEDIUM_MUX.to();

/// Width of the addresses of what firmware shares with the hardware.
pub const SHARED_BITS: u32 = 26;

const _: () = assert!(shared_bytes(MAP_PAGES_MAX) + TAGS as u64 * SPARE_BYTES as u64 <= 1 << SHARED_BITS);

/// The parameters of the flash path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The flash. Blocks have a power of two pages.
    pub geometry: Geometry,
    /// Units of the host.
    pub units: u32,
    /// Lines of the cache: see [`page_cache::Config`].
    pub lines: u32,
    /// Storage commands in flight.
    pub commands: u32,
    /// Lines of the cache of the page map: see [`page_map::Config`].
    pub map_lines: u32,
    /// Clocks that a unit waits for others to fill a page.
    pub patience: u32,
}

impl Config {
    /// Two channels of two dies, for quick tests.
    pub const SMALL: Self =
        Self { geometry: Geometry::SMALL, units: 3000, lines: 128, commands: 64, map_lines: 64, patience: 5000 };
    /// All dies, 512 MiB for the host, and a cache of 64 MiB.
    pub const DEFAULT: Self = Self {
        geometry: Geometry::DEFAULT_1_GIB,
        units: 1 << 17,
        lines: page_cache::Config::DEFAULT.lines,
        commands: 64,
        map_lines: page_map::Config::DEFAULT.lines,
        patience: 25_000,
    };

    /// Pages of the map.
    pub const fn map_pages(&self) -> u32 {
        self.units.div_ceil(MAP_ENTRIES)
    }

    /// Address of the first page that firmware and hardware share, in DRAM; the lines of the cache are before it.
    pub const fn shared_base(&self) -> u64 {
        (self.lines as u64 * UNIT_BYTES as u64).next_multiple_of(PAGE_BYTES as u64)
    }

    /// Address in DRAM of the spares that firmware reads, by tag.
    pub const fn read_spares_base(&self) -> u64 {
        self.shared_base() + shared_bytes(self.map_pages())
    }

    /// Bytes of DRAM.
    pub const fn dram_bytes(&self) -> u64 {
        self.read_spares_base() + TAGS as u64 * SPARE_BYTES as u64
    }

    /// Address of the first spare on the medium; the units are before it.
    pub const fn spares_base(&self) -> u64 {
        self.geometry.bytes()
    }

    /// Bytes of the medium.
    pub const fn medium_bytes(&self) -> u64 {
        self.spares_base() + self.geometry.pages() * SPARE_BYTES as u64
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct FlashPath {
    config: Config,
}

impl FlashPath {
    /// A flash path of these parameters.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

/// An arbiter of streams of one kind.
fn merge(m: &Module, name: &str, inputs: u32, payload: Payload) -> InstanceHandle {
    m.instance(name, &StreamArbiter { inputs, payload, lock: Lock::Item })
}

impl Block for FlashPath {
    fn name(&self) -> String {
        let Config { geometry, units, lines, commands, map_lines, patience } = self.config;
        let Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block } = geometry;
        let flash = format!("{channels}_{dies_per_channel}_{planes_per_die}_{blocks_per_plane}_{pages_per_block}");
        format!("flash_path_{flash}_u{units}_l{lines}_c{commands}_m{map_lines}_p{patience}")
    }

    fn description(&self) -> String {
        "All between the storage port and the memories.".into()
    }

    fn build(&self, m: &Module) {
        let config = self.config;
        let Config { geometry, units, lines, commands, map_lines, patience } = config;
        let (lines_base, units_base) = (0, 0);
        let (shared_base, spares_base) = (config.shared_base(), config.spares_base());
        let read_spares_base = config.read_spares_base();
        let map_base = shared_base + u64::from(MAP_FIRST) * u64::from(PAGE_BYTES);
        m.clock();

        let cache = Cache { config: page_cache::Config { lines, units, commands }, base: lines_base };
        let cache = m.instance("cache", &cache);
        let page_map = page_map::Config { units, lines: map_lines, base: map_base };
        let page_map = m.instance("page_map", &PageMap::new(page_map));
        let fill =
            fill::Config { geometry, slots: FILLS, lines_base, units_base, spares_base, patience: fill::PATIENCE };
        let fill = m.instance("fill", &Filling::new(fill));
        let gather = gather::Config { geometry, lines_base, shared_base, patience };
        let gather = m.instance("gather", &Gather::new(gather));
        let locate = m.instance("locate", &Locate::new(geometry));
        let write_point = m.instance("write_point", &WritePoint { geometry });
        let program = program::Config { geometry, slots: PROGRAMS, units_base, spares_base };
        let program = m.instance("programming", &Programming::new(program));
        let commit = m.instance("commit", &Commit::new(commit::Config { geometry, lines_base, shared_base }));
        let page_read = page_read::Config { geometry, units, units_base, spares_base, shared_base, read_spares_base };
        let page_read = m.instance("page_read", &PageRead::new(page_read));
        let erase = m.instance("erase", &Erasing { geometry });
        let port = m.instance("port", &FlashPort);
        let array = m.instance("array", &Array { geometry });
        let window = AxiLiteToAxi4 { address_bits: SHARED_BITS, base: shared_base, config: MEMORY };
        let window = m.instance("window", &window);
        let mover_in = m.instance("mover_in", &Mover { units: MOVER_UNITS });
        let mover_out = m.instance("mover_out", &Mover { units: MOVER_UNITS });

        // The host
        for stream in ["storage_command", "storage_write", "storage_read", "storage_done"] {
            m.export(&cache, stream, stream);
        }
        m.connect(&cache, "fill", &fill, "fill");
        m.connect(&fill, "filled", &cache, "filled");
        m.connect(&mover_in, "forward", &cache, "forward");
        m.connect(&cache, "clean", &gather, "clean");
        m.connect(&commit, "progress", &cache, "progress");

        // The page map
        let requests = merge(m, "requests", 4, Payload::of::<Request>("request"));
        let answers = StreamDemux::new(4, Payload::of::<Answer>("answer"), "tag", MAP_USER_BITS);
        let answers = m.instance("answers", &answers);
        let users = [
            (&fill, "look_up", "found"),
            (&gather, "look_up", "found"),
            (&page_read, "look_up", "found"),
            (&commit, "map", "mapped"),
        ];
        for (number, (block, asks, hears)) in users.into_iter().enumerate() {
            m.connect(block, asks, &requests, &format!("in_{number}"));
            m.connect(&answers, &format!("out_{number}"), block, hears);
        }
        m.connect(&requests, "out", &page_map, "request");
        m.connect(&page_map, "answer", &answers, "in");

        // The array
        let to_array = merge(m, "to_array", 4, Payload::of::<Command>("command"));
        let transfers =
            m.instance("transfers", &StreamDemux::new(3, Payload::of::<Transfer>("transfer"), "tag", USER_BITS));
        let ends = m.instance("ends", &StreamDemux::new(4, Payload::of::<Done>("done"), "tag", USER_BITS));
        let throughs = merge(m, "throughs", 3, Payload::of::<Through>("through"));
        for (number, block) in
            [(user::FILL, &fill), (user::READ, &page_read), (user::PROGRAM, &program), (user::ERASE, &erase)]
        {
            m.connect(block, "command", &to_array, &format!("in_{number}"));
            m.connect(&ends, &format!("out_{number}"), block, "done");
            if number != user::ERASE {
                m.connect(&transfers, &format!("out_{number}"), block, "transfer");
                m.connect(block, "through", &throughs, &format!("in_{number}"));
            }
        }
        m.connect(&to_array, "out", &array, "command");
        m.connect(&array, "transfer", &transfers, "in");
        m.connect(&array, "done", &ends, "in");
        m.connect(&throughs, "out", &array, "through");

        m.export(&array, "door", "door");
        m.export(&array, "door_record", "door_record");

        // Data
        let jobs = merge(m, "jobs", 2, Payload::of::<MoveJob>("job"));
        let moves = m.instance("moves", &StreamDemux::new(2, Payload::of::<Moved>("moved"), "tag", USER_BITS));
        for (number, block) in [(user::FILL, &fill), (user::READ, &page_read)] {
            m.connect(block, "job", &jobs, &format!("in_{number}"));
        }
        let ends_of_reads = Fifo::new(Payload::of::<Moved>("moved"), page_read::TRANSFERS * UNITS_PER_PAGE);
        let ends_of_reads = m.instance("ends_of_reads", &ends_of_reads);
        m.connect(&moves, &format!("out_{}", user::FILL), &fill, "moved");
        m.connect(&moves, &format!("out_{}", user::READ), &ends_of_reads, "in");
        m.connect(&ends_of_reads, "out", &page_read, "moved");
        m.connect(&jobs, "out", &mover_in, "job");
        m.connect(&mover_in, "moved", &moves, "in");
        m.connect(&program, "job", &mover_out, "job");
        // `program` may wait for the page map, and that for a read behind those of the mover; `page_read` for a spare behind units that are moved for others. So
        // no mover waits for them: there is room for the ends of all of their jobs.
        let ends_of_programs = Fifo::new(Payload::of::<Moved>("moved"), program::MOVES_MAX);
        let ends_of_programs = m.instance("ends_of_programs", &ends_of_programs);
        m.connect(&mover_out, "moved", &ends_of_programs, "in");
        m.connect(&ends_of_programs, "out", &program, "moved");
        // Nobody waits for what goes to the flash.
        mover_out.port("forward_ready").set(rtl_hdl::lit(1u8, 1));

        // Programs
        m.connect(&gather, "page_number", &locate, "number");
        m.connect(&locate, "located", &gather, "located");
        m.connect(&gather, "want", &write_point, "want");
        m.connect(&write_point, "place", &gather, "place");
        m.connect(&gather, "page", &program, "page");
        m.connect(&gather, "unit", &program, "unit");
        m.connect(&program, "result", &commit, "result");
        m.connect(&gather, "settled", &commit, "settled");
        m.connect(&gather, "trim", &commit, "trim");
        m.connect(&commit, "ended", &write_point, "ended");
        m.connect(&page_read, "unit", &gather, "moved");
        m.connect(&commit, "resolved", &page_read, "resolved");

        // Firmware
        AxiLite::export(m, &port, "firmware", "firmware");
        AxiLite::export(m, &window, "from", "shared");
        for (number, block) in [&write_point, &page_read, &gather, &erase, &commit].into_iter().enumerate() {
            m.connect(&port, &format!("said_{number}"), block, "said");
        }
        let tellers = [&write_point, &page_read, &gather, &erase, &commit, &fill];
        let events = merge(m, "events", tellers.len() as u32, Payload::of::<Heard>("heard"));
        for (number, block) in tellers.into_iter().enumerate() {
            m.connect(block, "heard", &events, &format!("in_{number}"));
        }
        m.connect(&events, "out", &port, "heard");

        // What blocks know of each other
        let wires = [
            (
                &write_point,
                "next_sequence",
                vec![(&gather, "next_sequence"), (&commit, "next_sequence"), (&port, "next_sequence")],
            ),
            (&write_point, "covered", vec![(&gather, "covered"), (&commit, "covered")]),
            (&write_point, "safe_host", vec![(&gather, "safe_host")]),
            (&write_point, "safe", vec![(&port, "safe")]),
            (&write_point, "can_host", vec![(&gather, "can_host")]),
            (&write_point, "can_moved", vec![(&gather, "can_moved")]),
            (&gather, "flush_limit", vec![(&write_point, "flush_limit")]),
            (&gather, "reserve", vec![(&commit, "reserve")]),
            (&gather, "may_trim", vec![(&commit, "may_trim")]),
            (&gather, "settles", vec![(&commit, "settles")]),
            (&gather, "told_for", vec![(&port, "told_for")]),
            (&gather, "told_pages", vec![(&port, "told_pages")]),
            (&commit, "has_room", vec![(&gather, "has_room"), (&write_point, "log_has_room")]),
            (&commit, "waits_for", vec![(&write_point, "log_limit")]),
            (&commit, "presented", vec![(&gather, "retry"), (&fill, "retry")]),
            (&commit, "host_failure", vec![(&gather, "failure")]),
            (&commit, "appended", vec![(&port, "appended")]),
            (&commit, "durable", vec![(&port, "durable")]),
            (&commit, "durable_covered", vec![(&port, "durable_covered")]),
            (&commit, "last_trim", vec![(&port, "last_trim")]),
            (&commit, "last_trim_sequence", vec![(&port, "last_trim_sequence")]),
            (&commit, "trims_are_durable", vec![(&gather, "trims_are_durable")]),
            (&commit, "flush_waits", vec![(&port, "flush_waits")]),
            (&commit, "valid_units", vec![(&port, "valid_units")]),
            (&page_map, "peek_changed", vec![(&port, "peek_changed")]),
            (&page_read, "drains", vec![(&gather, "drains")]),
            (&erase, "epoch", vec![(&fill, "epoch")]),
            (&fill, "quiet", vec![(&erase, "quiet")]),
            (&cache, "wrote", vec![(&port, "wrote")]),
            (&port, "read_only", vec![(&cache, "read_only")]),
            (&port, "valid_at", vec![(&commit, "valid_at")]),
            (&port, "peek", vec![(&page_map, "peek")]),
        ];
        for (from, output, sinks) in wires {
            for (to, input) in sinks {
                to.port(input).set(from.port(output));
            }
        }
        m.output("read_only", port.port("read_only"));
        m.output("forget", port.port("forget"));
        m.output("has_events", port.port("has_events"));

        // The memories
        let dram = [
            (&cache, "memory"),
            (&page_map, "memory"),
            (&commit, "memory"),
            (&mover_in, "sink"),
            (&mover_out, "source"),
            (&page_read, "copies"),
            (&window, "to"),
        ];
        let medium = [
            (&mover_in, "source"),
            (&mover_out, "sink"),
            (&program, "spares"),
            (&page_read, "spares"),
            (&fill, "spares"),
        ];
        for (name, mux, managers) in [("dram", DRAM_MUX, &dram[..]), ("medium", MEDIUM_MUX, &medium[..])] {
            let mux = m.instance(&format!("{name}_mux"), &mux);
            for (number, (block, bus)) in managers.iter().enumerate() {
                Axi4::connect(m, block, bus, &mux, &format!("from_{number}"));
            }
            Axi4::export(m, &mux, "to", name);
        }

        // Times and faults
        let bundles = [("times", Times::fields()), ("faults", Faults::fields())];
        for (bundle, fields) in bundles {
            for (field, width) in fields {
                let name = format!("{bundle}_{field}");
                array.port(&name).set(m.input(&name, width));
            }
        }
        for (input, width) in [("suspends", 1), ("seed", 32), ("seed_set", 1), ("power_cut", 1)] {
            array.port(input).set(m.input(input, width));
        }
        let late: Vec<_> = (0..geometry.channels).map(|number| array.port(&format!("late_{number}"))).collect();
        m.output("late", rtl_hdl::cat(&late).any());
        m.output("lost", page_map.port("lost") | commit.port("lost"));
        m.output("log_units", commit.port("host_units"));
    }
}
