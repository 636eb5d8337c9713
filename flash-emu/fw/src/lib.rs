//! # The flash translation layer: its policy
//!
//! Hardware reads, writes and moves units and keeps the map ([`flash_spec::fast_path`]). Firmware decides which super-blocks are written, collected and
//! erased, keeps what must survive a power cut, and mounts it again.
//!
//! ## What is in flash
//! [`flash_spec::record`] has the formats. Units of the host are in super-blocks of two streams, those that the host writes and those that were moved. The
//! pages of the map, the directory of their places and the table of super-blocks are a checkpoint. Since the last one the log has every change. What is not
//! in the log yet is in the spares of pages that were written since. An anchor says where the checkpoint and the log begin.
//!
//! ## Rules that make it safe
//! - A super-block is written only when a record of the log names it as being written. So a mount knows where to look for spares.
//! - A super-block whose units were moved is erased only when the moved pages, and all that the host wrote until then, are safe from programs of the same
//!   cells, and each trim until then is in the log, which covers
//!   what was programmed before it. So no map that a mount can find points to what was erased.
//! - A record lies in an MSB page, so no later program can destroy it. It is in flash before what depends on it: the anchor after its checkpoint,
//!   the use of a super-block after its record.
//! - A block in which a program has failed, or whose erase has, is not used again. A super-block is as wide as it has good blocks; what is lost is taken
//!   from the spare, so that hardware finds a page by arithmetic alone. When there is no spare left the device takes no more writes.
//!
//! ## How it runs
//! [`Ftl::poll`] does a bounded amount of work and never waits. One [`job`](Job) at a time uses the flash for firmware itself: a record, or a page of
//! the map. [`Ftl::mount`] and [`Ftl::format`] wait for the flash: the host is not served before they end.
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

mod blocks;
mod checkpoint;
mod collect;
mod config;
mod erase;
mod grant;
mod job;
mod log;
mod map;
mod mount;
mod smart;
mod view;
mod words;

pub use blocks::SuperBlock;
pub use config::{Config, ConfigError, Policy};
pub use mount::{Delta, MountError};
pub use smart::Smart;
pub use view::{Purpose, SuperBlockView};

use flash_spec::fast_path::{Command, Event, Register};
use flash_spec::record::{MAP_ENTRIES, MAP_PAGES_MAX, MARK_WORDS, UNMAPPED, WRITTEN_MAX};
use flash_spec::Geometry;
use soc_hal::Flash;

use blocks::State;
use checkpoint::Checkpoint;
use collect::Collection;
use erase::Secure;
use job::{Job, RecordWriter};
use log::{ClosedBuffer, LogState};

/// Events that one poll handles.
const EVENTS_PER_POLL: u32 = 32;

/// What the translation layer keeps its state in. Firmware does not allocate.
pub struct Memory<'m> {
    /// One for each super-block.
    pub super_blocks: &'m mut [SuperBlock],
    /// The place of each map page, and of each page of marks: [`Config::directory_entries`].
    pub directory: &'m mut [u32],
    /// [`MARK_WORDS`](flash_spec::record::MARK_WORDS) for each map page.
    pub marks: &'m mut [u32],
    /// Changes that a mount finds: [`Config::deltas`].
    pub deltas: &'m mut [Delta],
    /// One for each entry of a map page.
    pub newest: &'m mut [u64],
}

/// A super-block in which there may be pages whose changes are not in the log.
#[derive(Clone, Copy, Debug)]
struct Written {
    super_block: u16,
    /// The first sequence number after its last page, when it is full.
    end: Option<u64>,
}

/// The translation layer of a flash.
pub struct Ftl<'m, F> {
    flash: F,
    config: Config,
    geometry: Geometry,
    memory: Memory<'m>,
    is_mounted: bool,
    job: Job,
    log: LogState,
    log_writer: RecordWriter,
    map_writer: RecordWriter,
    anchor: checkpoint::AnchorWriter,
    checkpoint: Checkpoint,
    collection: Option<Collection>,
    /// A super-block whose pages are hard to read.
    refresh: Option<u16>,
    written: [Option<Written>; WRITTEN_MAX],
    grants: grant::Grants,
    map: map::MapState,
    secure: Secure,
    /// All pages with lower sequence numbers have been settled.
    settled: u64,
    /// How many of `memory.deltas` there are.
    deltas: usize,
    smart: Smart,
    is_read_only: bool,
}

impl<'m, F: Flash> Ftl<'m, F> {
    /// A translation layer that is not mounted.
    ///
    /// # Errors
    /// If the configuration breaks a constraint or the memory does not fit it.
    pub fn new(flash: F, config: Config, memory: Memory<'m>) -> Result<Self, ConfigError> {
        config.check()?;
        let fits = memory.super_blocks.len() == config.geometry.blocks_per_plane as usize
            && memory.directory.len() == config.directory_entries() as usize
            && memory.marks.len() == (config.map_pages() * MARK_WORDS) as usize
            && memory.deltas.len() >= config.deltas() as usize
            && memory.newest.len() == MAP_ENTRIES as usize;
        if !fits {
            return Err(ConfigError::Memory);
        }
        Ok(Self {
            flash,
            config,
            geometry: config.geometry,
            memory,
            is_mounted: false,
            job: Job::Idle,
            log: LogState::new(),
            log_writer: RecordWriter::NONE,
            map_writer: RecordWriter::NONE,
            anchor: checkpoint::AnchorWriter::NEW,
            checkpoint: Checkpoint::Idle,
            collection: None,
            refresh: None,
            written: [None; WRITTEN_MAX],
            grants: grant::Grants::default(),
            map: map::MapState::new(),
            secure: Secure::Idle,
            settled: 0,
            deltas: 0,
            smart: Smart::default(),
            is_read_only: false,
        })
    }

    /// The hardware.
    pub fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Gives the hardware back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Whether the device takes no more writes, because its spare is used up.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Handles what has happened and does a bounded amount of work.
    pub fn poll(&mut self) {
        for _ in 0..EVENTS_PER_POLL {
            let Some(event) = self.flash.event() else { break };
            self.handle(event);
        }
        self.log.is_urgent = self.is_at_rest();
        if self.is_mounted {
            self.poll_grants();
            self.poll_checkpoint();
            self.poll_collection();
            self.poll_erases();
        }
        self.poll_log();
        self.poll_job();
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::SuperBlockClosed { super_block, .. } => self.note_closed(super_block),
            Event::MapNeeded { map_page } => self.map.wanted = Some(map_page),
            Event::ReadDone { outcome, spare, tag } => self.end_read(tag, outcome, &spare),
            Event::ProgramDone { outcome, .. } => self.end_program(outcome),
            Event::EraseDone { super_block, failed } => self.end_erase(super_block, failed),
            Event::Moved { outcome, .. } => self.note_moved(outcome),
            Event::MovesDrained => self.note_drained(),
            Event::LogClosed { buffer, entries, covered, safe_at } => {
                self.log.note_closed(ClosedBuffer { buffer, entries, covered, safe_at, number: 0 });
            }
            Event::ProgramFailed { page } => self.note_program_failed(page),
            Event::ReadRetried { page, .. } => self.refresh = Some(self.super_block_of(page)),
        }
    }

    /// A super-block of a stream is full.
    fn note_closed(&mut self, super_block: u16) {
        let sequence = self.flash.register(Register::Sequence);
        self.block(super_block).state = State::Closed;
        self.block(super_block).closed_at = sequence;
        let written = self.written.iter_mut().flatten().find(|written| written.super_block == super_block);
        written.expect("it was handed out").end = Some(sequence);
    }

    /// A page could not be programmed: its block is not used again.
    fn note_program_failed(&mut self, page: u32) {
        self.smart.program_failures += 1;
        self.retire(page);
    }

    /// A block is not used again.
    fn retire(&mut self, page: u32) {
        let address = self.geometry.page_at(page.into());
        self.block(address.block).bad |= 1 << self.geometry.plane_index(address);
        self.append(flash_spec::record::entry::RETIRED, self.geometry.block_index(address));
        self.smart.retired_blocks += 1;
        self.checkpoint.want();
        self.check_spare();
    }

    fn append(&mut self, lpn: u32, place: u32) {
        self.flash.command(Command::AppendLog { lpn, place });
    }

    fn block(&mut self, super_block: u16) -> &mut SuperBlock {
        &mut self.memory.super_blocks[usize::from(super_block)]
    }

    fn super_block_of(&self, page: u32) -> u16 {
        self.geometry.page_at(page.into()).block
    }

    /// Takes no more writes when the good blocks have no room for what the device needs beside the units of the host.
    fn check_spare(&mut self) {
        if self.is_read_only || self.spare_units() > 0 {
            return;
        }
        self.is_read_only = true;
        self.flash.command(Command::SetReadOnly { read_only: true });
    }
}

const _: () = assert!(MAP_PAGES_MAX <= 1 << 16, "a map page has a number of 16 bits");
const _: () = assert!(UNMAPPED == u32::MAX);
