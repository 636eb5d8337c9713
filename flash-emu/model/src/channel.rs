//! # A channel
//!
//! One bus and the dies on it, clock by clock: what the block `channel` of `flash-hw` does, in plain Rust. What is written here is
//! exact: the hardware is built from it and compared with it, clock by clock.
//!
//! ```text
//!               +--------+    reads, writes   +-----------+   phases   +------ bus ------+
//!  command ---> | intake | ---> queues of --> | sequencer | ---------> | 0 .. n clocks   | ---> die 0, 1, ..
//!               +--------+      each die      +-----------+            +-----------------+      timers, registers
//!                    | refused                      | ended
//!                    +----------> done <------------+
//! ```
//!
//! All that is said of a clock follows from the registers as they were when it began. What it changes is seen in the next one.
//!
//! ## Intake
//! A register for one command. It is free for the next one while it is empty and at most [`DONE_WAITING_MAX`] completions have not been taken. In the
//! clock after a command has come it leaves: one that names what is not there (see [`Violation::OutOfRange`]) is refused, with the status byte 0, but not
//! in a clock in which the sequencer ends a task; any other goes to its die, as soon as that has room. A die has room for [`DIE_QUEUE_ENTRIES`] reads, for
//! as many of all other commands but [`Operation::ReadStatus`], and for one of those.
//!
//! ## Die
//! - `read`: `None -> Commanding -> Commanded -> Busy -> Full -> Sending -> Sent -> None`. A copyback read goes from `Full` to `None`.
//! - `array`: `Idle -> Busy -> Over -> Idle`; `Busy -> Suspending -> Suspended -> Busy`. What programs or erases.
//! - `next`: `Empty -> Loading -> Full -> Empty`. The command that the array takes next; it is the cache register.
//! - `copyback`: the planes whose page register holds what a copyback read has put there. A copyback program takes it, any program overwrites it.
//! - `turns`: reads begun since a program or an erase was last given the bus, or goes on after a suspension, as long as one waits or is suspended.
//!
//! A timer that is loaded with `n` is 0 after `n` clocks. In the clock that finds it 0 `Busy` becomes `Full`, or `Over`, and `Suspending` becomes
//! `Suspended`. A read that is repeated loads its timer again in that clock, so that each repetition takes as long as the read, and no less than a clock.
//!
//! ## Bus
//! A phase has the bus for as many clocks as it needs and one more, in which it ends: at the earliest the clock that finds its counter 0; if it has
//! data, not before the data mover has said in an earlier clock that it is through. `late` counts the clocks in which the bus waits for that.
//!
//! | phase | clocks | at its end |
//! |---|---|---|
//! | `Read` | `command` | `read` is `Commanded` |
//! | `Suspend` | `command` | if `array` is `Busy` with time left: it is `Suspending`, for `suspend` clocks |
//! | `Out` | `unit` for each unit of each plane | `read` is `Sent` |
//! | `Status` | `command` | the answer is due |
//! | `Write` | `command`, and `unit` for each unit of each plane of a program, but not of a copyback | `next` is `Full` |
//! | `Resume` | `command` | `array` is `Busy` |
//!
//! The transfer of a phase with data, copybacks among them, is announced in its first clock.
//!
//! ## Sequencer
//! It does one task at a time, which takes [`TASK_CLOCKS`]: it is chosen in the first clock, everything that it changes changes in the sixth (the status
//! byte of a completion is that of the fifth), and the seventh lets the wishes settle. Wishes are registers: a choice sees what the dies and the bus
//! were in the clock before. The first of these, and the lowest die, that is wished for:
//!
//! | task | is wished while | does |
//! |---|---|---|
//! | end a write | `array` is `Over` | completion; `array` is `Idle` |
//! | start a read | `read` is `Commanded` | says how it ends; its timer runs: a repetition for each retry, [`RETRIES_MAX`] if it cannot be corrected |
//! | start a write | `next` is `Full`, `array` is `Idle` | its timer runs. A program whose block a failure has closed meanwhile is refused |
//! | finish a read | `read` is `Sent`, or `Full` after a copyback read | completion; `read` is `None` |
//! | finish a status | it has been asked | completion |
//! | give the bus | nobody has it, and no transfer is owed | see below |
//!
//! A grant is of one of three classes, and in its class goes to the next die after the one that had the last grant of the class:
//! 1. `Read`, if a read waits, `read` is `None`, `turns` is below [`READ_TURNS_MAX`], and `array` is `Suspended`, or is `Idle` with `next` `Empty`.
//!    `Suspend`, if a read waits, `read` is `None`, `array` is `Busy`, suspension is allowed and the operation has been suspended less than
//!    [`SUSPENDS_MAX`] times.
//! 2. `Out`, if `read` is `Full`, but not after a copyback read; else `Status`, if one waits.
//! 3. `Resume`, if `array` is `Suspended`, `read` is `None`, and no read waits or `turns` has reached its bound. `Write`, if one waits, `next` is `Empty`,
//!    `read` is `None`, and `array` is `Idle`, or is `Busy` with a program while a cache program waits. A copyback read goes this way too; its phase is `Read`.
//!
//! After [`READ_TURNS_MAX`] grants in a row of the first two classes, each while somebody had a wish of the third, the third class comes first once.
//!
//! With its grant a program is held against the rules; one that breaks one is refused, and no phase begins. Of a command with two planes either all is
//! done or nothing: the violation is that of the first plane that has one. A program takes `program` clocks of its page, an erase `erase`, and
//! `resume` more for each suspension.
//!
//! Random numbers are drawn when a read, program or erase starts, one for each of its planes.
//!
//! ## Power cut
//! Nothing else happens in its clock. Programs and erases that have started and not ended are torn; all other commands are lost, but completions that are
//! there stay. A die whose array was not `Idle` has it `Over` afterwards, until a task ends it without a completion: in the hardware it notes what is
//! torn. A transfer that was announced is owed until the data mover says that it is through.
//!
//! ## What a command takes alone
//! [`READ_OWN_CLOCKS`], [`WRITE_OWN_CLOCKS`] and [`STATUS_OWN_CLOCKS`] more than its phases and its array: from the clock in which it is taken to that
//! in which it completes.

use crate::{Array, Page};
use flash_spec::command::status;
use flash_spec::limits::{
    DIE_QUEUE_ENTRIES, DONE_WAITING_MAX, READ_TURNS_MAX, SPARE_BYTES, SUSPENDS_MAX, UNITS_PER_PAGE,
};
use flash_spec::pairing::{kind, PageKind};
use flash_spec::reliability::RETRIES_MAX;
use flash_spec::{Clocks, Geometry, Operation, Outcome, PageAddress, Violation};
use std::collections::VecDeque;

#[cfg(test)]
mod tests;

/// Clocks from the choice of a task to the next choice.
pub const TASK_CLOCKS: u64 = 7;
/// What a read takes beside its phases and its array: 9 clocks until its command phase, 8 from there to the array, 8 to the data phase, 7 to the end.
pub const READ_OWN_CLOCKS: u64 = 32;
/// The same of a program or an erase: 9, 8 and 7.
pub const WRITE_OWN_CLOCKS: u64 = 24;
/// The same of [`Operation::ReadStatus`]: 9 and 7.
pub const STATUS_OWN_CLOCKS: u64 = 16;

/// The spare of a page.
pub type Spare = [u8; SPARE_BYTES as usize];

/// What a channel is told to do. `D` is the content of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<D> {
    /// Comes back with the completion.
    pub tag: u16,
    /// The die.
    pub die: u8,
    /// What to do.
    pub operation: Operation,
    /// The planes, a bit each.
    pub planes: u8,
    /// The block in each plane.
    pub blocks: [u16; 2],
    /// The page in each of them. An erase does not look at it.
    pub page: u16,
    /// The first unit that is read.
    pub first_unit: u8,
    /// How many are read.
    pub units: u8,
    /// What a program, but not a copyback, writes in each plane.
    pub data: [Option<D>; 2],
    /// The spare that a program writes in each plane.
    pub spare: [Spare; 2],
}

impl<D> Command<D> {
    /// A command for a page, or the pages of the same number, without data; all units are read.
    pub fn new(tag: u16, operation: Operation, die: u8, planes: u8, blocks: [u16; 2], page: u16) -> Self {
        Self {
            tag,
            die,
            operation,
            planes,
            blocks,
            page,
            first_unit: 0,
            units: UNITS_PER_PAGE as u8,
            data: [None, None],
            spare: [[0; SPARE_BYTES as usize]; 2],
        }
    }

    /// The planes of the command.
    fn planes(&self) -> impl Iterator<Item = usize> {
        let planes = self.planes;
        (0..2).filter(move |plane| planes >> plane & 1 == 1)
    }

    fn kind(&self, pages_per_block: u32) -> PageKind {
        kind(self.page.into(), pages_per_block)
    }
}

/// The end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion<D> {
    /// When.
    pub clock: u64,
    /// That of the command.
    pub tag: u16,
    /// How it ended in each plane. Of a plane that has no part in it: [`Outcome::GOOD`]; of a command that was refused: why, in both.
    pub outcomes: [Outcome; 2],
    /// Of a read, the planes whose page [is blank](Array::is_blank), a bit each.
    pub blank: u8,
    /// What the die was doing: see [`status`].
    pub status: u8,
    /// What a read has found in each of its planes, if it could be read.
    pub content: [Option<Page<D>>; 2],
}

/// What the bus is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PhaseKind {
    /// Command of a read.
    Read = 0,
    /// Suspend command.
    Suspend = 1,
    /// Data of a read.
    Out = 2,
    /// Read status command, and the answer.
    Status = 3,
    /// Command of a program or an erase, and the data.
    Write = 4,
    /// Resume command.
    Resume = 5,
}

/// Who had the bus, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What for.
    pub kind: PhaseKind,
    /// With which die.
    pub die: u8,
    /// The first clock.
    pub from: u64,
    /// The clock in which it ended.
    pub until: u64,
}

/// Data that goes over the bus, or inside a plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// That of the command.
    pub tag: u16,
    /// [`Operation::Read`], [`Operation::Program`] or [`Operation::CopybackProgram`].
    pub operation: Operation,
    /// The die.
    pub die: u8,
    /// The planes, a bit each.
    pub planes: u8,
    /// The planes whose data could not be corrected, a bit each.
    pub uncorrectable: u8,
    /// The block in each plane.
    pub blocks: [u16; 2],
    /// The page.
    pub page: u16,
    /// The first unit.
    pub first_unit: u8,
    /// How many.
    pub units: u8,
    /// Where the data of a copyback comes from: the block in each plane, and the page.
    pub source: ([u16; 2], u16),
}

/// Who says that the data of a phase is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mover {
    /// It always is in time.
    InTime,
    /// Whoever takes the transfers, by [`Channel::through`].
    Outside,
}

/// What a channel is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The times.
    pub clocks: Clocks,
    /// Whether reads suspend programs and erases.
    pub suspends: bool,
    /// Who moves data.
    pub mover: Mover,
    /// Whether the phases of the bus are kept for [`Channel::take_phases`].
    pub keeps_phases: bool,
}

/// A channel: see the [page](self) of this module. The pages are in an [`Array`], which all channels of a flash share.
#[derive(Clone, Debug)]
pub struct Channel<D> {
    number: u8,
    geometry: Geometry,
    config: Config,
    clock: u64,
    /// What the intake gets at the end of this clock.
    arriving: Option<Command<D>>,
    intake: Option<Command<D>>,
    dies: Vec<Die<D>>,
    bus: Option<Bus>,
    /// A transfer has been announced that is not through.
    owed: bool,
    /// What was said of it in this clock.
    is_through: bool,
    late: u64,
    sequencer: Sequencer,
    wishes: Wishes,
    /// The die of the last grant of each class.
    last: [Option<u8>; 3],
    /// Grants in a row of the first two classes while somebody had a wish of the third.
    turns: u32,
    done: VecDeque<Completion<D>>,
    phases: Vec<Phase>,
    transfers: VecDeque<Transfer>,
}

#[derive(Clone, Debug)]
struct Die<D> {
    reads: VecDeque<Command<D>>,
    writes: VecDeque<Command<D>>,
    query: Query,
    query_tag: u16,
    read: Read,
    reading: Option<Command<D>>,
    read_timer: u32,
    repeats: u32,
    outcomes: [Outcome; 2],
    /// The planes in which it finds a blank page, a bit each.
    blank: u8,
    array: State,
    writing: Option<Command<D>>,
    write_timer: u32,
    suspends: u32,
    /// The power was cut while the array was busy.
    is_cut: bool,
    next: Next,
    loaded: Option<Command<D>>,
    copyback: [Option<D>; 2],
    copyback_source: ([u16; 2], u16),
    turns: u32,
    has_failed: bool,
    has_failed_before: bool,
}

/// A read status command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Query {
    None,
    Waiting,
    Asking,
    Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    None,
    Commanding,
    Commanded,
    Busy,
    Full,
    Sending,
    Sent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Busy,
    Over,
    Suspending,
    Suspended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Empty,
    Loading,
    Full,
}

#[derive(Clone, Copy, Debug)]
struct Bus {
    kind: PhaseKind,
    die: u8,
    from: u64,
    left: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sequencer {
    Choose,
    /// In so many clocks the task is done.
    Work {
        task: Task,
        die: u8,
        left: u32,
        status: u8,
    },
    Settle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    EndWrite,
    StartRead,
    StartWrite,
    FinishRead,
    FinishStatus,
    Grant(PhaseKind),
}

/// Who wishes for what, a bit for each die.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wishes {
    end_write: u8,
    start_read: u8,
    start_write: u8,
    finish_read: u8,
    finish_status: u8,
    read: u8,
    suspend: u8,
    out: u8,
    status: u8,
    write: u8,
    resume: u8,
}

impl<D: Clone> Channel<D> {
    /// The channel of this number of a flash, with nothing to do.
    ///
    /// # Panics
    /// If the flash has no such channel.
    pub fn new(number: u8, config: Config, array: &Array<D>) -> Self {
        let geometry = array.geometry();
        assert!(u32::from(number) < geometry.channels, "there is no channel {number}");
        Self {
            number,
            geometry: *geometry,
            config,
            clock: 0,
            arriving: None,
            intake: None,
            dies: (0..geometry.dies_per_channel).map(|_| Die::new()).collect(),
            bus: None,
            owed: false,
            is_through: false,
            late: 0,
            sequencer: Sequencer::Choose,
            wishes: Wishes::default(),
            last: [None; 3],
            turns: 0,
            done: VecDeque::new(),
            phases: Vec::new(),
            transfers: VecDeque::new(),
        }
    }

    /// The number of the next clock.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// Whether a command is taken in this clock.
    pub fn can_take(&self) -> bool {
        self.intake.is_none() && self.arriving.is_none() && self.done.len() <= DONE_WAITING_MAX as usize
    }

    /// Gives it a command in this clock.
    ///
    /// # Panics
    /// If it takes none, or if a program does not bring the data of its planes.
    pub fn take(&mut self, mut command: Command<D>) {
        assert!(self.can_take(), "the intake is full");
        if matches!(command.operation, Operation::Program | Operation::CacheProgram) {
            assert!(command.planes().all(|plane| command.data[plane].is_some()), "a program brings its data");
        }
        if command.operation == Operation::Erase {
            command.page = 0;
        }
        self.arriving = Some(command);
    }

    /// Says in this clock that the data of the transfer is through.
    ///
    /// # Panics
    /// If none is owed.
    pub fn through(&mut self) {
        assert!(self.owed, "no transfer is owed");
        self.is_through = true;
    }

    /// The next completion, if there is one.
    pub fn next_done(&mut self) -> Option<Completion<D>> {
        self.done.pop_front()
    }

    /// How many completions have not been taken.
    pub fn waiting_done(&self) -> usize {
        self.done.len()
    }

    /// The next transfer that was announced, if there is one. There is none with [`Mover::InTime`].
    pub fn next_transfer(&mut self) -> Option<Transfer> {
        self.transfers.pop_front()
    }

    /// The phases that have ended since they were last taken.
    pub fn take_phases(&mut self) -> Vec<Phase> {
        std::mem::take(&mut self.phases)
    }

    /// Who has the bus in this clock, and for what.
    pub fn bus(&self) -> Option<(PhaseKind, u8)> {
        self.bus.map(|bus| (bus.kind, bus.die))
    }

    /// Clocks in which the bus has waited for data.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Whether no command is inside.
    pub fn is_idle(&self) -> bool {
        self.intake.is_none() && self.arriving.is_none() && self.dies.iter().all(Die::is_idle)
    }

    /// One clock in which the power is cut: everything is lost but what the array has ([`Array::cut`] is called for all channels at once), the
    /// completions that were there, and the promise of a transfer that was taken to say when it is through.
    pub fn cut(&mut self) {
        self.arriving = None;
        self.intake = None;
        for die in &mut self.dies {
            let is_cut = die.array != State::Idle;
            let (writing, array) = if is_cut { (die.writing.take(), State::Over) } else { (None, State::Idle) };
            *die = Die { array, writing, is_cut, ..Die::new() };
        }
        self.bus = None;
        self.owed &= !self.is_through;
        self.is_through = false;
        self.sequencer = Sequencer::Choose;
        self.wishes = Wishes::default();
        self.last = [None; 3];
        self.turns = 0;
        self.clock += 1;
    }

    /// One clock.
    pub fn step(&mut self, array: &mut Array<D>) {
        let wishes = self.wish();
        let intake = self.judge_intake();
        let status = match self.sequencer {
            Sequencer::Work { die, left: 1, .. } => self.dies[usize::from(die)].status(),
            _ => 0,
        };
        let pages = self.geometry.pages_per_block;
        for die in &mut self.dies {
            die.count(&self.config.clocks, pages);
        }
        self.count_phase();
        self.owed &= !self.is_through;
        self.is_through = false;
        self.sequencer = match self.sequencer {
            Sequencer::Choose => self.choose(),
            Sequencer::Work { task, die, left: 0, status } => {
                self.apply(array, task, die, status);
                Sequencer::Settle
            }
            Sequencer::Work { task, die, left, status: sampled } => {
                Sequencer::Work { task, die, left: left - 1, status: if left == 1 { status } else { sampled } }
            }
            Sequencer::Settle => Sequencer::Choose,
        };
        self.wishes = wishes;
        if let Some(decision) = intake {
            let command = self.intake.take().expect("it was judged");
            let die = usize::from(command.die);
            match decision {
                Intake::Refuse => {
                    let outcomes = [Outcome::Refused(Violation::OutOfRange); 2];
                    self.complete(command.tag, outcomes, 0);
                }
                Intake::Query => {
                    (self.dies[die].query, self.dies[die].query_tag) = (Query::Waiting, command.tag);
                }
                Intake::Read => self.dies[die].reads.push_back(command),
                Intake::Write => self.dies[die].writes.push_back(command),
            }
        }
        if self.arriving.is_some() {
            self.intake = self.arriving.take();
        }
        self.clock += 1;
    }

    /// Leaves out the clocks in which nothing happens but counting, at most `clocks_max`, and says how many those were.
    pub fn skip(&mut self, clocks_max: u64) -> u64 {
        let clocks = self.quiet_clocks().min(clocks_max);
        if clocks == 0 {
            return 0;
        }
        let counted = clocks as u32;
        for die in &mut self.dies {
            if matches!(die.read, Read::Busy) || matches!(die.array, State::Suspending) {
                die.read_timer -= counted;
            }
            if matches!(die.array, State::Busy) {
                die.write_timer -= counted;
            }
        }
        match &mut self.bus {
            Some(bus) if bus.left == 0 => self.late += clocks,
            Some(bus) => bus.left -= counted,
            None => {}
        }
        if let Sequencer::Work { left, .. } = &mut self.sequencer {
            *left -= counted;
        }
        self.clock += clocks;
        clocks
    }

    /// Goes on to a clock, or until a completion or a transfer waits to be taken.
    pub fn run(&mut self, array: &mut Array<D>, until: u64) {
        while self.clock < until && self.done.is_empty() && self.transfers.is_empty() {
            if self.skip(until - self.clock) == 0 {
                self.step(array);
            }
        }
    }

    /// For how many clocks nothing happens but counting.
    fn quiet_clocks(&self) -> u64 {
        if self.arriving.is_some() || self.is_through || self.judge_intake().is_some() {
            return 0;
        }
        let mut quiet = match self.sequencer {
            Sequencer::Choose if self.wishes == Wishes::default() && self.wish() == self.wishes => u64::from(u32::MAX),
            Sequencer::Work { left, .. } if left > 1 => u64::from(left - 1),
            _ => return 0,
        };
        for die in &self.dies {
            if matches!(die.read, Read::Busy) || matches!(die.array, State::Suspending) {
                quiet = quiet.min(die.read_timer.into());
            }
            if matches!(die.array, State::Busy) {
                quiet = quiet.min(die.write_timer.into());
            }
        }
        match &self.bus {
            Some(bus) if bus.left > 0 || !self.owed => quiet.min(bus.left.into()),
            _ => quiet,
        }
    }

    /// Where the command of the intake goes; nowhere if there is none, or no room for it.
    fn judge_intake(&self) -> Option<Intake> {
        let command = self.intake.as_ref()?;
        if !self.is_in_range(command) {
            let sequencer_ends = matches!(self.sequencer, Sequencer::Work { left: 0, .. });
            return (!sequencer_ends).then_some(Intake::Refuse);
        }
        let has_room = self.dies[usize::from(command.die)].has_room(command.operation);
        has_room.then_some(match command.operation {
            Operation::ReadStatus => Intake::Query,
            Operation::Read => Intake::Read,
            _ => Intake::Write,
        })
    }

    /// Whether there is all that a command names.
    fn is_in_range(&self, command: &Command<D>) -> bool {
        let units = u32::from(command.first_unit) + u32::from(command.units);
        let has_units = command.operation != Operation::Read || command.units > 0 && units <= UNITS_PER_PAGE;
        let has_planes = command.planes != 0 && command.planes >> self.geometry.planes_per_die == 0;
        let is_there = |plane| self.geometry.contains(self.address(command, plane));
        let is_status = command.operation == Operation::ReadStatus;
        usize::from(command.die) < self.dies.len()
            && (is_status || has_units && has_planes && command.planes().all(is_there))
    }

    /// What the dies wish for, as they are in this clock.
    fn wish(&self) -> Wishes {
        let mut wishes = Wishes::default();
        let is_free = self.bus.is_none() && !self.owed;
        for (number, die) in self.dies.iter().enumerate() {
            let set = |wish: &mut u8, is_wished: bool| *wish |= u8::from(is_wished) << number;
            set(&mut wishes.end_write, die.array == State::Over);
            set(&mut wishes.start_read, die.read == Read::Commanded);
            set(&mut wishes.start_write, die.next == Next::Full && die.array == State::Idle);
            let is_filled = die.read == Read::Full;
            set(&mut wishes.finish_read, die.read == Read::Sent || is_filled && die.is_copyback_read());
            set(&mut wishes.finish_status, die.query == Query::Asked);
            if !is_free {
                continue;
            }
            set(&mut wishes.out, is_filled && !die.is_copyback_read());
            set(&mut wishes.status, die.query == Query::Waiting);
            if die.read != Read::None {
                continue;
            }
            let is_free = die.array == State::Idle && die.next == Next::Empty;
            let may_read = !die.reads.is_empty() && die.turns < READ_TURNS_MAX;
            let may_suspend = self.config.suspends && die.suspends < SUSPENDS_MAX;
            set(&mut wishes.read, may_read && (die.array == State::Suspended || is_free));
            set(&mut wishes.suspend, may_read && may_suspend && die.array == State::Busy);
            set(&mut wishes.resume, die.array == State::Suspended && !may_read);
            set(&mut wishes.write, !die.writes.is_empty() && (is_free || die.takes_cache_program()));
        }
        wishes
    }

    fn choose(&mut self) -> Sequencer {
        let wishes = self.wishes;
        let tasks = [
            (wishes.end_write, Task::EndWrite),
            (wishes.start_read, Task::StartRead),
            (wishes.start_write, Task::StartWrite),
            (wishes.finish_read, Task::FinishRead),
            (wishes.finish_status, Task::FinishStatus),
        ];
        let task = tasks.into_iter().find(|(dies, _)| *dies != 0);
        let chosen = match task {
            Some((dies, task)) => Some((task, dies.trailing_zeros() as u8)),
            None => self.choose_grant(),
        };
        match chosen {
            Some((task, die)) => Sequencer::Work { task, die, left: TASK_CLOCKS as u32 - 3, status: 0 },
            None => Sequencer::Choose,
        }
    }

    fn choose_grant(&mut self) -> Option<(Task, u8)> {
        let wishes = self.wishes;
        let classes = [wishes.read | wishes.suspend, wishes.out | wishes.status, wishes.write | wishes.resume];
        let is_third_first = self.turns >= READ_TURNS_MAX && classes[2] != 0;
        let class = if is_third_first { 2 } else { classes.iter().position(|dies| *dies != 0)? };
        self.turns = if class < 2 && classes[2] != 0 { self.turns + 1 } else { 0 };
        let dies = classes[class];
        let above = self.last[class].map_or(u8::MAX, |last| !((2 << last) - 1));
        let die = if dies & above != 0 { dies & above } else { dies }.trailing_zeros() as u8;
        self.last[class] = Some(die);
        let is_wished = |wishes: u8| wishes >> die & 1 == 1;
        let phase = match class {
            0 if is_wished(wishes.read) => PhaseKind::Read,
            0 => PhaseKind::Suspend,
            1 if is_wished(wishes.out) => PhaseKind::Out,
            1 => PhaseKind::Status,
            _ if is_wished(wishes.resume) => PhaseKind::Resume,
            _ => PhaseKind::Write,
        };
        Some((Task::Grant(phase), die))
    }

    /// Does what a task does.
    fn apply(&mut self, array: &mut Array<D>, task: Task, number: u8, status: u8) {
        match task {
            Task::EndWrite => self.end_write(array, number, status),
            Task::StartRead => self.start_read(array, number),
            Task::StartWrite => self.start_write(array, number, status),
            Task::FinishRead => self.finish_read(array, number, status),
            Task::FinishStatus => {
                let die = &mut self.dies[usize::from(number)];
                die.query = Query::None;
                let tag = die.query_tag;
                self.complete(tag, [Outcome::GOOD; 2], status);
            }
            Task::Grant(PhaseKind::Read) => self.grant_read(number),
            Task::Grant(PhaseKind::Suspend) => {
                self.begin_phase(PhaseKind::Suspend, number, self.config.clocks.command);
            }
            Task::Grant(PhaseKind::Out) => self.grant_out(number),
            Task::Grant(PhaseKind::Status) => {
                self.dies[usize::from(number)].query = Query::Asking;
                self.begin_phase(PhaseKind::Status, number, self.config.clocks.command);
            }
            Task::Grant(PhaseKind::Write) => self.grant_write(array, number, status),
            Task::Grant(PhaseKind::Resume) => {
                let die = &mut self.dies[usize::from(number)];
                die.write_timer += self.config.clocks.resume;
                die.turns = 0;
                self.begin_phase(PhaseKind::Resume, number, self.config.clocks.command);
            }
        }
    }

    fn end_write(&mut self, array: &mut Array<D>, number: u8, status: u8) {
        let die = &mut self.dies[usize::from(number)];
        let command = die.writing.take().expect("it is over");
        die.array = State::Idle;
        if std::mem::take(&mut die.is_cut) {
            return;
        }
        let mut outcomes = [Outcome::GOOD; 2];
        for plane in command.planes() {
            outcomes[plane] = array.end(self.address(&command, plane));
        }
        let die = &mut self.dies[usize::from(number)];
        die.has_failed_before = die.has_failed;
        die.has_failed = outcomes.iter().any(|outcome| !outcome.is_good());
        self.complete(command.tag, outcomes, status);
    }

    fn start_read(&mut self, array: &mut Array<D>, number: u8) {
        let command = self.dies[usize::from(number)].reading.as_ref().expect("it was commanded");
        let mut outcomes = [Outcome::GOOD; 2];
        let mut blank = 0;
        for plane in command.planes() {
            let address = self.address(command, plane);
            outcomes[plane] = array.read(address).expect("the intake has looked");
            blank |= u8::from(array.is_blank(address)) << plane;
        }
        let repeats = outcomes.iter().map(|outcome| match outcome {
            Outcome::Good { retries } => u32::from(*retries),
            _ => RETRIES_MAX,
        });
        let clocks = self.config.clocks.read_of(command.kind(self.geometry.pages_per_block));
        let die = &mut self.dies[usize::from(number)];
        die.repeats = repeats.max().unwrap_or(0);
        die.outcomes = outcomes;
        die.blank = blank;
        die.read_timer = clocks;
        die.read = Read::Busy;
    }

    fn start_write(&mut self, array: &mut Array<D>, number: u8, status: u8) {
        let die = &mut self.dies[usize::from(number)];
        die.next = Next::Empty;
        let mut command = die.loaded.take().expect("it was loaded");
        if let Some(violation) = self.violation(array, &command) {
            self.complete(command.tag, [Outcome::Refused(violation); 2], status);
            return;
        }
        for plane in command.planes() {
            let address = self.address(&command, plane);
            match command.data[plane].take() {
                Some(data) => array.start_program(address, data, command.spare[plane]),
                None => array.start_erase(address),
            }
            .expect("it breaks no rule");
        }
        let clocks = match command.operation {
            Operation::Erase => self.config.clocks.erase,
            _ => self.config.clocks.program_of(command.kind(self.geometry.pages_per_block)),
        };
        let die = &mut self.dies[usize::from(number)];
        die.array = State::Busy;
        die.write_timer = clocks;
        die.suspends = 0;
        die.writing = Some(command);
    }

    fn finish_read(&mut self, array: &Array<D>, number: u8, status: u8) {
        let die = &mut self.dies[usize::from(number)];
        let command = die.reading.take().expect("it is there");
        die.read = Read::None;
        let (outcomes, blank) = (die.outcomes, die.blank);
        let mut content = [None, None];
        for plane in command.planes().filter(|&plane| outcomes[plane].is_good()) {
            content[plane] = Some(array.page(self.address(&command, plane)).clone());
        }
        if command.operation == Operation::CopybackRead {
            let die = &mut self.dies[usize::from(number)];
            die.copyback_source = (command.blocks, command.page);
            die.copyback = content.clone().map(|page| match page {
                Some(Page::Programmed { data, .. }) => Some(data),
                _ => None,
            });
        }
        self.done.push_back(Completion { clock: self.clock, tag: command.tag, outcomes, blank, status, content });
    }

    fn grant_read(&mut self, number: u8) {
        let die = &mut self.dies[usize::from(number)];
        let is_waited_for = !die.writes.is_empty() || die.array == State::Suspended;
        die.turns = if is_waited_for { die.turns + 1 } else { 0 };
        die.reading = die.reads.pop_front();
        die.read = Read::Commanding;
        self.begin_phase(PhaseKind::Read, number, self.config.clocks.command);
    }

    fn grant_out(&mut self, number: u8) {
        let die = &mut self.dies[usize::from(number)];
        die.read = Read::Sending;
        let command = die.reading.as_ref().expect("it is there");
        let uncorrectable = (0..2).map(|plane| u8::from(!die.outcomes[plane].is_good()) << plane).sum();
        let transfer = Transfer { uncorrectable, ..Transfer::of(command) };
        let units = u32::from(command.units) * command.planes.count_ones();
        self.announce(transfer);
        self.begin_phase(PhaseKind::Out, number, units * self.config.clocks.unit);
    }

    fn grant_write(&mut self, array: &Array<D>, number: u8, status: u8) {
        let die = &mut self.dies[usize::from(number)];
        let mut command = die.writes.pop_front().expect("one waits");
        die.turns = 0;
        let Clocks { command: mut clocks, unit, .. } = self.config.clocks;
        if command.operation == Operation::CopybackRead {
            die.reading = Some(command);
            die.read = Read::Commanding;
            self.begin_phase(PhaseKind::Read, number, clocks);
            return;
        }
        let has_register = command.planes().all(|plane| die.copyback[plane].is_some());
        let violation = match command.operation {
            Operation::CopybackProgram if !has_register => Some(Violation::NoPageRegister),
            _ => self.violation(array, &command),
        };
        if let Some(violation) = violation {
            self.complete(command.tag, [Outcome::Refused(violation); 2], status);
            return;
        }
        if command.operation.is_program() {
            let die = &mut self.dies[usize::from(number)];
            let register = std::mem::take(&mut die.copyback);
            let mut transfer = Transfer::of(&command);
            if command.operation == Operation::CopybackProgram {
                transfer.source = die.copyback_source;
                let planes = command.planes;
                command.data = register;
                for plane in (0..2).filter(|plane| planes >> plane & 1 == 0) {
                    command.data[plane] = None;
                }
            } else {
                clocks += UNITS_PER_PAGE * command.planes.count_ones() * unit;
            }
            self.announce(transfer);
        }
        let die = &mut self.dies[usize::from(number)];
        die.loaded = Some(command);
        die.next = Next::Loading;
        self.begin_phase(PhaseKind::Write, number, clocks);
    }

    /// The rule that a program would break in one of its planes. An erase breaks none.
    fn violation(&self, array: &Array<D>, command: &Command<D>) -> Option<Violation> {
        if !command.operation.is_program() {
            return None;
        }
        command.planes().find_map(|plane| array.check_program(self.address(command, plane)).err())
    }

    fn announce(&mut self, transfer: Transfer) {
        if self.config.mover == Mover::Outside {
            self.transfers.push_back(transfer);
            self.owed = true;
        }
    }

    fn begin_phase(&mut self, kind: PhaseKind, die: u8, clocks: u32) {
        self.bus = Some(Bus { kind, die, from: self.clock + 1, left: clocks });
    }

    fn count_phase(&mut self) {
        let Some(bus) = &mut self.bus else { return };
        if bus.left > 0 {
            bus.left -= 1;
            return;
        }
        if self.owed {
            self.late += 1;
            return;
        }
        let Bus { kind, die: number, from, .. } = *bus;
        let die = &mut self.dies[usize::from(number)];
        match kind {
            PhaseKind::Read => die.read = Read::Commanded,
            PhaseKind::Suspend if die.array == State::Busy => {
                die.array = State::Suspending;
                die.read_timer = self.config.clocks.suspend;
                die.suspends += 1;
            }
            PhaseKind::Suspend => {}
            PhaseKind::Out => die.read = Read::Sent,
            PhaseKind::Status => die.query = Query::Asked,
            PhaseKind::Write => die.next = Next::Full,
            PhaseKind::Resume => die.array = State::Busy,
        }
        self.bus = None;
        if self.config.keeps_phases {
            self.phases.push(Phase { kind, die: number, from, until: self.clock });
        }
    }

    /// The end of a command that has read nothing.
    fn complete(&mut self, tag: u16, outcomes: [Outcome; 2], status: u8) {
        let (clock, content) = (self.clock, [None, None]);
        self.done.push_back(Completion { clock, tag, outcomes, blank: 0, status, content });
    }

    fn address(&self, command: &Command<D>, plane: usize) -> PageAddress {
        let Command { die, blocks, page, .. } = *command;
        PageAddress { channel: self.number, die, plane: plane as u8, block: blocks[plane], page }
    }
}

/// Where a command goes from the intake.
#[derive(Clone, Copy, Debug)]
enum Intake {
    Refuse,
    Query,
    Read,
    Write,
}

impl<D> Die<D> {
    fn new() -> Self {
        Self {
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            query: Query::None,
            query_tag: 0,
            read: Read::None,
            reading: None,
            read_timer: 0,
            repeats: 0,
            outcomes: [Outcome::GOOD; 2],
            blank: 0,
            array: State::Idle,
            writing: None,
            write_timer: 0,
            suspends: 0,
            is_cut: false,
            next: Next::Empty,
            loaded: None,
            copyback: [None, None],
            copyback_source: ([0; 2], 0),
            turns: 0,
            has_failed: false,
            has_failed_before: false,
        }
    }

    fn is_idle(&self) -> bool {
        self.reads.is_empty()
            && self.writes.is_empty()
            && self.query == Query::None
            && self.read == Read::None
            && self.array == State::Idle
            && self.next == Next::Empty
    }

    fn has_room(&self, operation: Operation) -> bool {
        match operation {
            Operation::ReadStatus => self.query == Query::None,
            Operation::Read => self.reads.len() < DIE_QUEUE_ENTRIES as usize,
            _ => self.writes.len() < DIE_QUEUE_ENTRIES as usize,
        }
    }

    fn is_copyback_read(&self) -> bool {
        self.reading.as_ref().is_some_and(|command| command.operation == Operation::CopybackRead)
    }

    /// Whether the array programs and is not suspended.
    fn is_programming(&self) -> bool {
        self.array == State::Busy && self.writing.as_ref().is_some_and(|command| command.operation.is_program())
    }

    fn takes_cache_program(&self) -> bool {
        let is_cache = self.writes.front().is_some_and(|command| command.operation == Operation::CacheProgram);
        is_cache && self.next == Next::Empty && self.is_programming()
    }

    fn count(&mut self, clocks: &Clocks, pages_per_block: u32) {
        match (self.read, self.array) {
            (Read::Busy, _) if self.read_timer > 0 => self.read_timer -= 1,
            (Read::Busy, _) if self.repeats > 0 => {
                let command = self.reading.as_ref().expect("it is read");
                self.repeats -= 1;
                self.read_timer = clocks.read_of(command.kind(pages_per_block)).saturating_sub(1);
            }
            (Read::Busy, _) => self.read = Read::Full,
            (_, State::Suspending) if self.read_timer > 0 => self.read_timer -= 1,
            (_, State::Suspending) => self.array = State::Suspended,
            (_, State::Busy) if self.write_timer > 0 => self.write_timer -= 1,
            (_, State::Busy) => self.array = State::Over,
            _ => {}
        }
    }

    fn status(&self) -> u8 {
        let is_reading = matches!(self.read, Read::Commanded | Read::Busy);
        let is_still = matches!(self.array, State::Idle | State::Suspended);
        let is_ready = self.next == Next::Empty && (is_still || self.is_programming());
        let bits = [
            (status::FAIL, self.has_failed),
            (status::FAILC, self.has_failed_before),
            (status::SUSPENDED, self.array == State::Suspended),
            (status::ARDY, !is_reading && is_still),
            (status::RDY, !is_reading && is_ready),
        ];
        bits.into_iter().filter(|(_, is_set)| *is_set).map(|(bit, _)| bit).sum()
    }
}

impl Transfer {
    fn of<D>(command: &Command<D>) -> Self {
        let operation = match command.operation {
            Operation::CacheProgram => Operation::Program,
            operation => operation,
        };
        let (first_unit, units) = match operation {
            Operation::Read => (command.first_unit, command.units),
            _ => (0, UNITS_PER_PAGE as u8),
        };
        Self {
            tag: command.tag,
            operation,
            die: command.die,
            planes: command.planes,
            uncorrectable: 0,
            blocks: command.blocks,
            page: command.page,
            first_unit,
            units,
            source: ([0; 2], 0),
        }
    }
}
