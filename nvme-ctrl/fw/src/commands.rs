//! The commands that firmware has taken from the inbox, until their completions are with the hardware.
//!
//! Every command that is taken has an entry in one table from then on, so that ending it never needs room for anything: not when it is held for
//! hours, and not when its completion queue is full. Completions of one submission queue stay in order; one full completion queue does not stop the
//! others. What is done to one command takes no longer the more of them there are.

use nvme_spec::limits::{FIRMWARE_COMMANDS, HELD_COMMANDS};
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use crate::port::{CommandId, Completion, Port, Posted};
use crate::request::Request;
use crate::FUNCTIONS;

/// Completions that are posted per poll.
const POSTS_PER_POLL: u32 = 8;

const ENTRIES: usize = (HELD_COMMANDS + FIRMWARE_COMMANDS) as usize;
const _: () = assert!(ENTRIES < NONE as usize, "a place has 16 bits");

/// Slots of submission queues.
const SLOTS: usize = 256;

/// A command in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u16);

/// No place.
const NONE: u16 = u16::MAX;

/// What a command is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// A frame for this function, which is its own.
    Frame(u8),
    /// The Copy commands before it.
    Copy,
    /// The end of an erasure.
    Erasure,
}

impl For {
    /// Number of the list of those that are held for this.
    const fn list(self) -> usize {
        match self {
            Self::Frame(function) => function as usize,
            Self::Copy => FUNCTIONS,
            Self::Erasure => FUNCTIONS + 1,
        }
    }
}

/// Lists of what commands are held for.
const WAITING: usize = FUNCTIONS + 2;

/// Where a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// Something else in firmware knows the place.
    Working,
    /// In the list of the held commands of its slot, and in that of those that wait for the same.
    Held(For),
    /// In the list of the ended commands of its slot.
    Ended,
}

/// Neighbours in a list.
#[derive(Clone, Copy)]
struct Links {
    next: u16,
    previous: u16,
}

impl Links {
    const NONE: Self = Self { next: NONE, previous: NONE };
}

/// The ends of a list.
#[derive(Clone, Copy)]
struct Ends {
    first: u16,
    last: u16,
}

impl Ends {
    const EMPTY: Self = Self { first: NONE, last: NONE };
}

#[derive(Clone, Copy)]
struct Entry {
    state: State,
    command: CommandId,
    result: u32,
    status: Status,
    /// The submission queue entry of a held command.
    entry: SqEntry,
    /// When it ended, counted in commands that ended.
    ended: u64,
    /// In a list of its slot, or in that of the free entries.
    of_slot: Links,
    /// In the list of what waits for the same.
    of_waiting: Links,
}

impl Entry {
    const FREE: Self = Self {
        state: State::Free,
        command: CommandId { function: 0, slot: 0, cid: 0 },
        result: 0,
        status: Status::SUCCESS,
        entry: zerocopy::transmute!([0_u8; size_of::<SqEntry>()]),
        ended: 0,
        of_slot: Links::NONE,
        of_waiting: Links::NONE,
    };
}

/// The table.
pub(crate) struct Commands {
    entries: [Entry; ENTRIES],
    /// Entries from this one on were never used.
    untouched: u16,
    /// Of the free entries before it, linked by `next`.
    free: u16,
    used: u16,
    held: u32,
    ends: u64,
    held_of: [Ends; SLOTS],
    ended_of: [Ends; SLOTS],
    waiting: [Ends; WAITING],
    /// A bit for every slot with ended commands.
    has_ended: [u64; SLOTS / 64],
    /// A bit for every slot whose completion queue had no room when it was last tried.
    refused: [u64; SLOTS / 64],
    /// Which command the hardware has.
    posting: Option<u16>,
}

/// Which of the links of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Slot,
    Waiting,
}

impl Commands {
    pub(crate) const fn new() -> Self {
        Self {
            entries: [Entry::FREE; ENTRIES],
            untouched: 0,
            free: NONE,
            used: 0,
            held: 0,
            ends: 0,
            held_of: [Ends::EMPTY; SLOTS],
            ended_of: [Ends::EMPTY; SLOTS],
            waiting: [Ends::EMPTY; WAITING],
            has_ended: [0; SLOTS / 64],
            refused: [0; SLOTS / 64],
            posting: None,
        }
    }

    /// Whether another command may be taken from the inbox.
    pub(crate) const fn has_room(&self) -> bool {
        (self.used as usize) < ENTRIES
    }

    /// Whether something waits that was not refused.
    pub(crate) fn can_post(&self) -> bool {
        self.has_ended.iter().zip(self.refused).any(|(ended, refused)| ended & !refused != 0)
    }

    /// Takes a command in. The caller has made sure that there is room.
    pub(crate) fn take(&mut self, command: CommandId) -> Place {
        assert!(self.has_room(), "the table of commands is full");
        let at = if self.free == NONE {
            self.untouched += 1;
            self.untouched - 1
        } else {
            let at = self.free;
            self.free = self.entry(at).of_slot.next;
            at
        };
        self.used += 1;
        *self.entry(at) = Entry { state: State::Working, command, ..Entry::FREE };
        Place(at)
    }

    /// Which command it is.
    pub(crate) fn command(&self, place: Place) -> CommandId {
        self.entries[usize::from(place.0)].command
    }

    /// Holds a command until its turn has come, or until something ends it.
    pub(crate) fn hold(&mut self, request: &Request, purpose: For) -> Result<(), Status> {
        if self.held == HELD_COMMANDS {
            return Err(Status::HELD_COMMAND_LIMIT_EXCEEDED);
        }
        let at = request.place.0;
        let entry = self.entry(at);
        assert!(entry.state == State::Working, "a command is held once");
        entry.state = State::Held(purpose);
        entry.entry = request.entry;
        self.held += 1;
        let slot = usize::from(request.slot);
        self.held_of[slot] = self.push(List::Slot, self.held_of[slot], at);
        let list = purpose.list();
        self.waiting[list] = self.push(List::Waiting, self.waiting[list], at);
        Ok(())
    }

    /// Whether a command is held for something.
    pub(crate) const fn has_waiting(&self, purpose: For) -> bool {
        self.waiting[purpose.list()].first != NONE
    }

    /// The oldest command that is held for something; it is not held any more.
    pub(crate) fn take_waiting(&mut self, purpose: For) -> Option<Request> {
        let first = self.waiting[purpose.list()].first;
        (first != NONE).then(|| {
            self.release(first);
            let Entry { command, entry, .. } = *self.entry(first);
            Request { function: command.function, slot: command.slot, place: Place(first), entry }
        })
    }

    /// A held command by its identifier.
    pub(crate) fn find_held(&self, slot: u8, cid: u16) -> Option<Place> {
        let mut at = self.held_of[usize::from(slot)].first;
        while at != NONE {
            let entry = &self.entries[usize::from(at)];
            if entry.command.cid == cid {
                return Some(Place(at));
            }
            at = entry.of_slot.next;
        }
        None
    }

    /// Some held command of a slot.
    pub(crate) fn held_of(&self, slot: u8) -> Option<Place> {
        let first = self.held_of[usize::from(slot)].first;
        (first != NONE).then_some(Place(first))
    }

    /// Ends a command, also one that is held: its completion is the next in line.
    pub(crate) fn end(&mut self, place: Place, result: u32, status: Status) {
        let at = place.0;
        if matches!(self.entry(at).state, State::Held(_)) {
            self.release(at);
        }
        let ended = self.ends;
        self.ends += 1;
        let entry = self.entry(at);
        assert!(entry.state == State::Working, "a command ends once");
        (entry.state, entry.result, entry.status, entry.ended) = (State::Ended, result, status, ended);
        let slot = entry.command.slot;
        let ends = self.push(List::Slot, self.ended_of[usize::from(slot)], at);
        self.ended_of[usize::from(slot)] = ends;
        set(&mut self.has_ended, slot, true);
    }

    /// Whether completions of a slot wait that may still be posted.
    pub(crate) fn posts_for(&self, slot: u8) -> bool {
        is_set(&self.has_ended, slot) && !is_set(&self.refused, slot)
    }

    /// The commands of a queue that is deleted, or of a function whose life has ended.
    pub(crate) fn drop_where(&mut self, gone: impl Fn(&CommandId) -> bool) {
        if self.posting.is_some_and(|at| gone(&self.entry(at).command)) {
            self.posting = None;
        }
        for at in 0..self.untouched {
            let entry = self.entry(at);
            if entry.state == State::Free || !gone(&entry.command) {
                continue;
            }
            let slot = entry.command.slot;
            match entry.state {
                State::Held(_) => self.release(at),
                State::Ended => self.remove_ended(at),
                State::Free | State::Working => {}
            }
            set(&mut self.refused, slot, false);
            self.give_back(at);
        }
    }

    /// The commands of a function that wait for others: its life is about to end.
    pub(crate) fn drop_waiting(&mut self, purpose: For, function: u8) {
        let mut at = self.waiting[purpose.list()].first;
        while at != NONE {
            let entry = self.entry(at);
            let next = entry.of_waiting.next;
            if entry.command.function == function {
                self.release(at);
                self.give_back(at);
            }
            at = next;
        }
    }

    /// Some completion queue got room.
    pub(crate) fn retry_all(&mut self) {
        self.refused = [0; SLOTS / 64];
    }

    /// Posts what can be posted, up to a bound. Afterwards the hardware has no completion of ours unless this returns `false`.
    pub(crate) fn poll<M: Mmio>(&mut self, port: &mut Port<M>) -> bool {
        if !self.settle(port) {
            return false;
        }
        for _ in 0..POSTS_PER_POLL {
            let Some(at) = self.next_to_post() else {
                break;
            };
            let Entry { command, result, status, .. } = *self.entry(at);
            port.post(&Completion { command, result, status });
            self.posting = Some(at);
            if !self.settle(port) {
                return false;
            }
        }
        true
    }

    /// The command that ended first, of those whose completion queue was not full.
    fn next_to_post(&self) -> Option<u16> {
        let mut next = None;
        for (word, (ended, refused)) in (0..).zip(self.has_ended.iter().zip(self.refused)) {
            let mut slots = ended & !refused;
            while slots != 0 {
                let slot = 64 * word + slots.trailing_zeros() as usize;
                slots &= slots - 1;
                let first = self.ended_of[slot].first;
                let ended = self.entries[usize::from(first)].ended;
                if next.is_none_or(|(_, earliest)| ended < earliest) {
                    next = Some((first, ended));
                }
            }
        }
        next.map(|(at, _)| at)
    }

    /// Asks what became of the completion that the hardware has; `false`: not known yet.
    fn settle<M: Mmio>(&mut self, port: &mut Port<M>) -> bool {
        let Some(at) = self.posting else {
            return true;
        };
        match port.posted() {
            Posted::Busy => return false,
            Posted::Done => {
                self.remove_ended(at);
                self.give_back(at);
            }
            Posted::Refused => {
                let slot = self.entry(at).command.slot;
                set(&mut self.refused, slot, true);
            }
        }
        self.posting = None;
        true
    }

    fn entry(&mut self, at: u16) -> &mut Entry {
        &mut self.entries[usize::from(at)]
    }

    fn links(&mut self, list: List, at: u16) -> &mut Links {
        let entry = self.entry(at);
        match list {
            List::Slot => &mut entry.of_slot,
            List::Waiting => &mut entry.of_waiting,
        }
    }

    /// Appends to a list, and answers its ends.
    fn push(&mut self, list: List, ends: Ends, at: u16) -> Ends {
        *self.links(list, at) = Links { next: NONE, previous: ends.last };
        if ends.last != NONE {
            self.links(list, ends.last).next = at;
        }
        Ends { first: if ends.first == NONE { at } else { ends.first }, last: at }
    }

    /// Takes out of a list, and answers its ends.
    fn unlink(&mut self, list: List, mut ends: Ends, at: u16) -> Ends {
        let Links { next, previous } = *self.links(list, at);
        match previous {
            NONE => ends.first = next,
            _ => self.links(list, previous).next = next,
        }
        match next {
            NONE => ends.last = previous,
            _ => self.links(list, next).previous = previous,
        }
        ends
    }

    /// From held to working.
    fn release(&mut self, at: u16) {
        let State::Held(purpose) = self.entry(at).state else {
            unreachable!("it is held");
        };
        let slot = usize::from(self.entry(at).command.slot);
        self.held_of[slot] = self.unlink(List::Slot, self.held_of[slot], at);
        let list = purpose.list();
        self.waiting[list] = self.unlink(List::Waiting, self.waiting[list], at);
        self.held -= 1;
        self.entry(at).state = State::Working;
    }

    fn remove_ended(&mut self, at: u16) {
        let slot = self.entry(at).command.slot;
        let ends = self.unlink(List::Slot, self.ended_of[usize::from(slot)], at);
        self.ended_of[usize::from(slot)] = ends;
        set(&mut self.has_ended, slot, ends.first != NONE);
        self.entry(at).state = State::Working;
    }

    fn give_back(&mut self, at: u16) {
        let free = self.free;
        *self.entry(at) = Entry { of_slot: Links { next: free, previous: NONE }, ..Entry::FREE };
        self.free = at;
        self.used -= 1;
    }
}

fn is_set(bits: &[u64; SLOTS / 64], slot: u8) -> bool {
    bits[usize::from(slot / 64)] >> (slot % 64) & 1 == 1
}

fn set(bits: &mut [u64; SLOTS / 64], slot: u8, value: bool) {
    let word = &mut bits[usize::from(slot / 64)];
    *word = *word & !(1 << (slot % 64)) | u64::from(value) << (slot % 64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn id(slot: u8, cid: u16) -> CommandId {
        CommandId { function: 0, slot, cid }
    }

    /// What would be posted, in order, with the slots in `full` refused.
    fn drain(commands: &mut Commands, full: &[u8]) -> Vec<(u8, u16)> {
        let mut posted = Vec::new();
        while let Some(at) = commands.next_to_post() {
            let command = commands.entry(at).command;
            if full.contains(&command.slot) {
                set(&mut commands.refused, command.slot, true);
            } else {
                posted.push((command.slot, command.cid));
                commands.remove_ended(at);
                commands.give_back(at);
            }
        }
        posted
    }

    #[test]
    fn commands_are_posted_in_the_order_in_which_they_end() {
        let mut commands = Box::new(Commands::new());
        let places: Vec<Place> = [(1, 0), (2, 1), (1, 2), (200, 3)].map(|(s, c)| commands.take(id(s, c))).to_vec();
        for at in [3, 0, 1, 2] {
            commands.end(places[at], 0, Status::SUCCESS);
        }
        assert_eq!(drain(&mut commands, &[1]), [(200, 3), (2, 1)]);
        assert!(!commands.can_post() && !commands.posts_for(1));
        commands.retry_all();
        assert_eq!(drain(&mut commands, &[]), [(1, 0), (1, 2)]);
    }

    #[test]
    fn thousands_are_held_and_found() {
        let mut commands = Box::new(Commands::new());
        let hold = |commands: &mut Commands, cid: u16| {
            let slot = 1 + (cid % 3) as u8;
            let place = commands.take(id(slot, cid));
            let entry = SqEntry { cid: cid.into(), ..SqEntry::default() };
            (place, commands.hold(&Request { function: 0, slot, place, entry }, For::Frame(0)))
        };
        for cid in 0..HELD_COMMANDS as u16 {
            assert_eq!(hold(&mut commands, cid).1, Ok(()));
        }
        let (surplus, refused) = hold(&mut commands, 9999);
        assert_eq!(refused, Err(Status::HELD_COMMAND_LIMIT_EXCEEDED));
        commands.end(surplus, 0, Status::HELD_COMMAND_LIMIT_EXCEEDED);
        drain(&mut commands, &[]);
        assert!(commands.has_room(), "there is room for other commands");

        assert_eq!(commands.find_held(2, 2), None, "of another slot");
        let found = commands.find_held(3, 2).unwrap();
        commands.end(found, 7, Status::ABORT_REQUESTED);
        assert_eq!(commands.find_held(3, 2), None);
        assert!(!commands.has_waiting(For::Copy) && commands.take_waiting(For::Frame(1)).is_none());
        let order: Vec<_> = (0..3).map(|_| commands.take_waiting(For::Frame(0)).unwrap()).collect();
        let order = order.iter().map(|request| (request.slot, request.entry.cid.get()));
        assert_eq!(order.collect::<Vec<_>>(), [(1, 0), (2, 1), (1, 3)], "the oldest first, without the aborted one");

        commands.drop_where(|command| command.slot == 1);
        assert_eq!(commands.held_of(1), None);
        assert!(commands.held_of(2).is_some());
        commands.drop_where(|_| true);
        assert_eq!((commands.used, commands.held), (0, 0));
        for cid in 0..HELD_COMMANDS as u16 {
            assert_eq!(hold(&mut commands, cid).1, Ok(()), "all places are free again");
        }
    }
}
