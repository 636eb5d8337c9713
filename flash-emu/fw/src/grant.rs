//! Super-blocks for the streams and for the map: taken, written down, and then handed out.

use flash_spec::fast_path::{Command, Register, Stream};
use flash_spec::record::{entry, state};
use soc_hal::Flash;

use crate::blocks::Wear;
use crate::checkpoint::Checkpoint;
use crate::config::{GRANTS_PER_STREAM, LOG_SUPER_BLOCKS, RESERVED};
use crate::log::Detached;
use crate::{Ftl, State, Written};

/// A super-block that is handed out when the log says so.
#[derive(Clone, Copy, Debug)]
struct Grant {
    super_block: u16,
    /// Entries of the log up to the one about it.
    entries: u64,
}

/// Super-blocks on their way.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    streams: [Option<Grant>; 2],
    map: Option<Grant>,
    /// A stream has no super-block, or a checkpoint cannot begin, and there is none for it.
    is_short: bool,
    /// A stream has no super-block to write.
    waits: [bool; 2],
}

impl Grants {
    /// What is needed cannot begin with what is erased.
    pub(crate) fn note_short(&mut self) {
        self.is_short = true;
    }
}

impl<F: Flash> Ftl<'_, F> {
    /// Hands out super-blocks.
    pub(crate) fn poll_grants(&mut self) {
        let durable = self.durable();
        self.grants.is_short = false;
        for stream in Stream::ALL {
            let held = self.held(stream);
            let is_on_its_way = self.grants.streams[stream as usize].is_some();
            // While units are moved, the pages before them become safe without filler.
            let waits = held == u32::from(is_on_its_way);
            self.log.is_urgent |= waits && is_on_its_way && self.collection.is_none();
            self.grants.waits[stream as usize] = waits;
            match self.grants.streams[stream as usize] {
                Some(grant) if grant.entries <= durable => {
                    self.grants.streams[stream as usize] = None;
                    let super_block = grant.super_block;
                    let planes = self.planes(super_block);
                    self.flash.command(Command::Open { stream, super_block, planes });
                }
                Some(_) => {}
                None if held < GRANTS_PER_STREAM => self.grant(stream, held),
                None => {}
            }
        }
        // Without a log that counts, the anchor is what the super-block waits for.
        let is_detached = self.log.detached != Detached::No;
        if let Some(grant) = self.grants.map.filter(|grant| is_detached || grant.entries <= durable) {
            self.grants.map = None;
            self.begin_map_super_block(grant.super_block);
        }
    }

    /// Whether a stream has no super-block to write.
    pub(crate) fn waits(&self, stream: Stream) -> bool {
        self.grants.waits[stream as usize]
    }

    /// Whether units are being moved that have a place to go to.
    pub(crate) fn do_moves_go_on(&self) -> bool {
        self.collection.is_some() && !self.waits(Stream::Moved)
    }

    /// How many super-blocks a stream has that are not full, with the one that is on its way.
    fn held(&self, stream: Stream) -> u32 {
        let held = self.written.iter().flatten().filter(|written| written.end.is_none());
        held.filter(|written| self.stream_of(written.super_block) == Some(stream)).count() as u32
    }

    /// Takes a super-block for a stream that needs one.
    fn grant(&mut self, stream: Stream, held: u32) {
        let may_take = match stream {
            // What is left in the cache is little, and the last of what there is to write.
            Stream::Host if self.is_read_only && held == 0 => self.free_for_units() > 0,
            Stream::Moved if self.collection.is_none() => return,
            Stream::Moved if held == 0 => self.may_move_into_another(),
            Stream::Host | Stream::Moved => self.free_for_units() > RESERVED,
        };
        if !may_take {
            self.grants.is_short |= held == 0;
            return;
        }
        let Some(place) = self.written.iter().position(Option::is_none) else {
            // The next record forgets those that are full and covered.
            self.log.record_wanted = true;
            return;
        };
        let wear = match stream {
            Stream::Host => Wear::Least,
            Stream::Moved => Wear::Most,
        };
        let super_block = self.take(wear, State::Open).expect("one is free");
        self.block(super_block).closed_at = stream as u64;
        self.written[place] = Some(Written { super_block, end: None });
        let entries = self.write_down(super_block, state::DATA);
        self.grants.streams[stream as usize] = Some(Grant { super_block, entries });
    }

    /// Erased super-blocks beside those that are kept for the log and the map. So neither waits for units to be moved, which might wait for it.
    pub(crate) fn free_for_units(&self) -> u32 {
        self.free().saturating_sub(self.kept_for_log() + self.kept_for_map())
    }

    /// What the log may still take; of a worn device, which has little left to write, what it needs before long.
    fn kept_for_log(&self) -> u32 {
        if self.is_read_only {
            return (self.log_writer.slot + self.geometry.planes() >= self.slots()).into();
        }
        LOG_SUPER_BLOCKS.saturating_sub(self.count(State::Log)).max(self.needed_for_log())
    }

    /// What the map may still take, likewise.
    fn kept_for_map(&self) -> u32 {
        if self.is_read_only {
            return (self.checkpoint != Checkpoint::Idle && self.map_writer.slot >= self.slots()).into();
        }
        self.config.map_super_blocks_max().saturating_sub(self.count(State::Map))
    }

    /// Whether moves may take an erased super-block, be it one that is kept for the log or the map: they give back the victim, and then need neither.
    /// But they leave the log its next one, without which they would not come to an end, and do not take what lets a checkpoint end.
    fn may_move_into_another(&self) -> bool {
        let (free, log) = (self.free(), self.needed_for_log());
        let all = log + self.needed_for_map();
        free > log
            && match self.checkpoint {
                Checkpoint::Idle => true,
                Checkpoint::Wanted => free > all || free < all && !self.is_given_back(),
                Checkpoint::Going(_) => free > all,
            }
    }

    /// Whether a checkpoint that is wanted may begin: it comes to its end with what is erased, or nobody is about to give something back.
    pub(crate) fn may_begin_checkpoint(&self) -> bool {
        let map = self.needed_for_map();
        let (free, log) = (self.free(), self.needed_for_log());
        map == 0
            || free >= map + log
            || self.log.detached != Detached::No
            || self.log_length() > u64::from(2 * self.config.log_records)
            || !self.is_given_back() && !self.do_moves_go_on() && (free <= log || self.collection.is_none())
    }

    /// 1 if the log has half a super-block left and has not taken the next one: what is left is enough for moves to come to an end, or a checkpoint, or a
    /// few mounts.
    fn needed_for_log(&self) -> u32 {
        (self.log.has_no_next() && self.log_writer.slot >= self.slots() / 2).into()
    }

    /// What the checkpoint that is wanted or written still takes if no program fails.
    fn needed_for_map(&self) -> u32 {
        if self.checkpoint == Checkpoint::Idle || self.grants.map.is_some() {
            return 0;
        }
        let left = self.slots().saturating_sub(self.map_writer.slot);
        self.checkpoint_pages_left().saturating_sub(left).div_ceil(self.slots())
    }

    /// Whether a super-block will be erased without anything else being erased before.
    fn is_given_back(&self) -> bool {
        let is_given_back = |state| matches!(state, State::Emptied | State::Useless | State::Erasing);
        self.memory.super_blocks.iter().any(|block| is_given_back(block.state))
    }

    /// Whether somebody waits for a super-block to be erased.
    pub(crate) fn is_short(&self) -> bool {
        let does_map_wait =
            self.checkpoint.is_going() && self.map_writer.slot >= self.slots() && self.grants.map.is_none();
        self.grants.is_short || does_map_wait || self.log.has_no_next() && self.log_writer.slot >= self.slots()
    }

    /// Which stream an open super-block belongs to.
    fn stream_of(&self, super_block: u16) -> Option<Stream> {
        let block = &self.memory.super_blocks[usize::from(super_block)];
        (block.state == State::Open).then(|| Stream::ALL[block.closed_at as usize])
    }

    /// Takes a super-block for the map, unless one is on its way.
    pub(crate) fn grant_map(&mut self) {
        if self.grants.map.is_some() || self.free() <= self.needed_for_log() {
            return;
        }
        if let Some(super_block) = self.take(Wear::Least, State::Map) {
            if self.log.detached != Detached::No {
                // No record would count. A mount notices that it is not erased.
                return self.begin_map_super_block(super_block);
            }
            let entries = self.write_down(super_block, state::MAP);
            self.grants.map = Some(Grant { super_block, entries });
        }
    }

    /// Whether this super-block is on its way to the map.
    pub(crate) fn grants_map(&self, super_block: u16) -> bool {
        self.grants.map.is_some_and(|grant| grant.super_block == super_block)
    }

    fn write_down(&mut self, super_block: u16, state: u8) -> u64 {
        self.append(entry::OPENED, u32::from(super_block) | u32::from(state) << entry::SUPER_BLOCK_BITS);
        let entries = self.flash.register(Register::LogAppended);
        self.log.want(entries);
        entries
    }
}
