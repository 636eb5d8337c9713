//! # Channel
//!
//! One bus and the dies on it: takes commands in any order of dies, keeps the time of bus and arrays to the clock, enforces the rules of NAND, wears and
//! fails as it is told, and says when data moves.
//!
//! ## Symbol
//! ```text
//!                      +-- channel --+
//!  command          -->|             |---> done      Done (stream)
//!    Command (stream)  |             |---> transfer  Transfer (stream, to the data mover)
//!  through          -->|             |---> late
//!  times_*, faults_*-->|             |---> bus_active, bus_phase, bus_die
//!  suspends         -->|             |
//!  seed, seed_set   -->|             |
//!  power_cut        -->|             |
//!  door             -->|             |---> door_record   DoorRecord (stream)
//!    Door (stream)     +-------------+
//! ```
//! ## Theory of operation
//! The machine is that of the page of `flash_model::channel`, register for register; what is said there is not said again. How it is built:
//! 1. The intake holds a command against the geometry and writes it into `queues`, which has the places of both queues of every die.
//! 2. Each die has its states and timers in registers, and wishes: see `die.rs`. `Choose` puts a task and its die into registers: see `choice.rs`.
//! 3. `Fetch` reads the command of the task: from `queues`, or from `kept`, where a command stays from its grant to its end. A die has four places
//!    there: for its read, for its last copyback read, and two for its writes.
//! 4. `Look` reads the `records` of its blocks, one memory for each plane, and draws the random number of plane 0; `Draw` has the records, and draws that
//!    of plane 1; `Judge` compares, and computes the new records, the outcomes and the times: see `findings.rs`. `Apply` writes all; `Settle` lets the wishes follow.
//! 5. Completions go through a FIFO with room for all that is inside, so that no task waits for it.
//!
//! A record says of a block how often it was erased, which page is next, whether it is closed or bad, and what is torn: nothing, the last page that was
//! programmed, that page and the LSB page of its cells, or all pages. More is not needed: a block is closed by what tears it, until it is erased.
//!
//! `power_cut`, in any clock, loses everything but the records, the random number, completions that were there, and a transfer that was announced, for
//! which `through` must still come. Programs and erases in progress are torn: each die that had one keeps it until a task has noted that.
//!
//! `door` reads the record of a block, or puts one there and answers with the one that was there before: so that flash is aged, saved and restored. It is
//! opened only while nothing is inside or in progress, nothing is left to be noted, and no transfer is owed; then the `records` have nothing else to do
//! until after the answer. So it changes no time, and what it says is final: after a power cut an answer means that all that was torn is in the records.
//!
//! ## Timing
//! As on the page of the model. `done` offers a completion three clocks after it has come about. `through` may come from the clock after the transfer was
//! taken on. `door_record` offers a record three clocks after `door` was taken. No combinational path from any input to any output.
//!
//! ## Limits
//! Times and faults may change while no command is inside. The times of the array have 24 bits, those of the bus 16. A reset is for the start, when the
//! records are those of new flash: it loses what is in progress and tears nothing. `door` waits as long as commands come, and looks neither at whether
//! there is such a block nor at whether a block can have such a record. The random number is not among the records: it follows from `seed`.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

mod choice;
mod die;
mod findings;

#[cfg(test)]
mod bench;

use self::choice::Choice;
use self::die::{Die, Pushes, Query};
use self::findings::{phase_of, Findings, OfDie, Subject};
use crate::types::{
    Command, Done, Door, DoorRecord, Faults, Phase, Record, Times, Transfer, ARRAY_TIME_BITS, BUS_TIME_BITS,
};
use flash_spec::limits::{
    DIES_PER_CHANNEL_MAX, DIE_QUEUE_ENTRIES, DONE_WAITING_MAX, PAGES_PER_BLOCK_MAX, READ_TURNS_MAX, UNITS_PER_PAGE,
};
use flash_spec::reliability::RETRIES_MAX;
use flash_spec::{Geometry, Operation, Outcome, Violation};
use rtl_hdl::{
    address_width, cat, hw_enum, lit, switch, when, zero, Block, Constant, EnumSignal, MemoryStyle, Module, Shape,
    Signal, Value,
};
use rtl_prim::{fifo_of, one_hot_index, one_hot_select};

/// Width of a place in a queue of a die.
const DIE_QUEUE: u32 = address_width(DIE_QUEUE_ENTRIES);
/// Width of the timer of programs and erases, with room for all suspensions.
const PROGRAM_TIME_BITS: u32 = ARRAY_TIME_BITS + 4;
/// Width of a number of reads that go first.
const TURNS_BITS: u32 = address_width(READ_TURNS_MAX + 1);
/// Width of the counter of a phase: a command, and the units of two pages.
const PHASE_TIME_BITS: u32 = BUS_TIME_BITS + 4;
/// Width of the number of a page, and of the page behind the last.
const PAGE_BITS: u32 = address_width(PAGES_PER_BLOCK_MAX);
const PAGE_END_BITS: u32 = PAGE_BITS + 1;
/// How a read ends: the outcome of each plane, the planes that have something to be programmed elsewhere, and those that are blank.
const READ_END_BITS: u32 = 8 + 8 + 2 + 2;
/// Completions for which there is room.
const DONE_ENTRIES: u32 = 64;
/// The most commands inside: the intake; of each die both queues, a query, a read and two writes.
const COMMANDS_MAX: u32 = 1 + DIES_PER_CHANNEL_MAX * (2 * DIE_QUEUE_ENTRIES + 4);
const _: () = assert!(DONE_WAITING_MAX + COMMANDS_MAX <= DONE_ENTRIES);
const _: () = assert!(RETRIES_MAX == 7, "repetitions have three bits");

hw_enum! {
    /// What the sequencer does, in the order in which it prefers them; grants come last.
    pub enum Task {
        /// Ends a program or an erase.
        EndWrite,
        /// Starts the array for a read.
        StartRead,
        /// Starts the array for a program or an erase.
        StartWrite,
        /// Completes a read.
        FinishRead,
        /// Completes a read status.
        FinishStatus,
        /// Gives the bus to a read command.
        Read,
        /// To a suspend command.
        Suspend,
        /// To the data of a read.
        Out,
        /// To a read status command.
        Status,
        /// To a program, an erase or a copyback read.
        Write,
        /// To a resume command.
        Resume,
    }
}

hw_enum! {
    /// `Choose -> Fetch -> Look -> Draw -> Judge -> Apply -> Settle -> Choose`, a clock each.
    pub enum Step {
        /// Nothing to do, or a task is chosen. Leaves with a wish.
        Choose,
        /// Its command is read.
        Fetch,
        /// The records of its blocks are read.
        Look,
        /// Random numbers are drawn.
        Draw,
        /// What comes of it.
        Judge,
        /// It is done.
        Apply,
        /// The wishes follow.
        Settle,
    }
}

/// The end of a phase, as its die sees it.
struct Ended {
    phase: EnumSignal<Phase>,
    is_mine: Signal,
}

impl Ended {
    fn is(&self, phase: Phase) -> Signal {
        self.is_mine & self.phase.is(phase)
    }
}

/// The end of a task, as its die sees it.
struct Started {
    task: EnumSignal<Task>,
    is_mine: Signal,
    is_refused: Signal,
    is_program: Signal,
    is_copyback_read: Signal,
    is_msb: Signal,
    fails: Signal,
    repeats: Signal,
    content: Signal,
    write_timer: Signal,
}

impl Started {
    fn is(&self, task: Task) -> Signal {
        self.is_mine & self.task.is(task)
    }
}

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    geometry: Geometry,
}

impl Channel {
    /// A channel of this flash.
    ///
    /// # Panics
    /// If the geometry breaks a constraint.
    pub fn new(geometry: Geometry) -> Self {
        assert_eq!(geometry.check(), Ok(()));
        Self { geometry }
    }

    /// Whether there is all that a command names.
    fn is_in_range(&self, command: &Command) -> Signal {
        let Geometry { dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block, .. } = self.geometry;
        let below = |value: Signal, end: u32| match u64::from(end) >> value.width() {
            0 => value.lt(end),
            _ => lit(1u8, 1),
        };
        let has_block = [command.block_0, command.block_1].map(|block| below(block, blocks_per_plane));
        let has_blocks = (has_block[0] | !command.planes.bit(0)) & (has_block[1] | !command.planes.bit(1));
        let has_planes = command.planes.any() & below(command.planes, 1 << planes_per_die);
        let units_end = command.first_unit.zext(4) + command.units.zext(4);
        let has_units = command.units.any() & units_end.le(UNITS_PER_PAGE);
        let is = |operation: Operation| command.operation.eq(operation.code());
        let has_page = below(command.page, pages_per_block);
        let has_place = has_planes & has_blocks & has_page & (!is(Operation::Read) | has_units);
        let is_operation = command.operation.lt(Operation::ALL.len() as u32);
        below(command.die, dies_per_channel) & is_operation & (is(Operation::ReadStatus) | has_place)
    }
}

impl Block for Channel {
    fn name(&self) -> String {
        let Geometry { dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block, .. } = self.geometry;
        format!("channel_d{dies_per_channel}_l{planes_per_die}_b{blocks_per_plane}_p{pages_per_block}")
    }

    fn description(&self) -> String {
        "One bus and the dies on it, to the clock.".into()
    }

    fn build(&self, m: &Module) {
        let dies = self.geometry.dies_per_channel;
        let die_bits = address_width(dies);
        let block_bits = address_width(self.geometry.blocks_per_plane);

        // 1. Ports
        let clock = m.clock();
        let command = m.stream_in::<Command>("command");
        let through = m.input("through", 1);
        let times = m.input_as::<Times>("times");
        let faults = m.input_as::<Faults>("faults");
        let suspends = m.input("suspends", 1);
        let seed = m.input("seed", 32);
        let seed_set = m.input("seed_set", 1);
        let power_cut = m.input("power_cut", 1);
        let door = m.stream_in::<Door>("door");
        let door_record = m.stream_out_single::<DoorRecord>("door_record");
        let done = m.stream_out::<Done>("done");
        let transfer = m.stream_out_single::<Transfer>("transfer");

        // 2. State
        let intake_full = m.reg("intake_full", clock, false);
        let intake = m.reg_as::<Command>("intake", clock);
        let queues = m.memory("queues", Command::WIDTH, (2 * DIE_QUEUE_ENTRIES) << die_bits, MemoryStyle::Distributed);
        let kept = m.memory("kept", Command::WIDTH, 4 << die_bits, MemoryStyle::Distributed);
        let query_tags = m.memory("query_tags", 16, 1 << die_bits, MemoryStyle::Distributed);
        // How the read and the write of each die will end.
        let read_ends = m.memory("read_ends", READ_END_BITS, 1 << die_bits, MemoryStyle::Distributed);
        let write_ends = m.memory("write_ends", 2, 1 << die_bits, MemoryStyle::Distributed);
        let records = [0, 1].map(|plane| {
            // New flash: zeros.
            let new = vec![zero(Record::WIDTH)];
            let name = format!("records_{plane}");
            m.memory_with_contents(&name, Record::WIDTH, 1 << (die_bits + block_bits), MemoryStyle::Block, new)
        });
        let finished = fifo_of::<Done>(m, "finished", DONE_ENTRIES);
        let waiting = m.reg("waiting", clock, zero(address_width(DONE_ENTRIES + 4)));
        let die: Vec<Die> = (0..dies).map(|number| Die::new(m, clock, number)).collect();
        let random = m.reg("random", clock, Constant::from_words(32, &[1]));

        let step = m.reg("step", clock, Step::Choose);
        let task = m.reg("current_task", clock, Task::EndWrite);
        let chosen = m.reg("chosen", clock, zero(dies));
        let chosen_die = m.reg("chosen_die", clock, zero(die_bits));
        let current = m.reg_as::<Command>("current", clock);
        let source = m.reg_as::<Command>("source", clock);
        let current_query = m.reg_without_reset("current_query", clock, 16);
        let current_end = m.reg_without_reset("current_end", clock, READ_END_BITS);
        let current_fails = m.reg_without_reset("current_fails", clock, 2);
        let findings = Findings::new(m, clock);

        let bus_active = m.reg("active", clock, false);
        let bus_phase = m.reg("phase", clock, Phase::Read);
        let bus_die = m.reg("die", clock, zero(die_bits));
        let bus_left = m.reg_without_reset("bus_left", clock, PHASE_TIME_BITS);
        // A transfer has been announced that is not through.
        let owed = m.reg("owed", clock, false);
        let late = m.reg("late_clocks", clock, zero(32));

        // Whether it was quiet in the clock before.
        let was_quiet = m.reg("was_quiet", clock, false);
        let visit = m.reg_as::<Door>("visit", clock);
        // In the first clock of a visit the record is read, in the second it is there.
        let visit_looks = m.reg("visit_looks", clock, false);
        let visit_ends = m.reg("visit_ends", clock, false);

        // 3. Conditions: wishes and the choice.
        let bus_is_free = m.wire("bus_is_free", !bus_active & !owed & transfer.can_take());
        let wishes: Vec<_> = die.iter().map(|die| die.wishes(bus_is_free, suspends)).collect();
        let choice = Choice::new(m, clock, &wishes, power_cut);
        let applies = m.wire("applies", step.is(Step::Apply) & !power_cut);
        let of_die =
            |value: &dyn Fn(&Die) -> Signal| one_hot_select(chosen, &die.iter().map(value).collect::<Vec<_>>());

        // 3. Conditions: the intake.
        let is_operation = |command: &Command, operation: Operation| command.operation.eq(operation.code());
        let goes_to = one_hot_of(intake.die, dies);
        let is_status = is_operation(&intake, Operation::ReadStatus);
        let is_read = is_operation(&intake, Operation::Read);
        let rooms = die.iter().map(|die| {
            let other = is_read.mux(die.reads.has_room(), die.writes.has_room());
            is_status.mux(die.query.is(Query::None), other)
        });
        let has_room = m.wire("has_room", one_hot_select(goes_to, &rooms.collect::<Vec<_>>()));
        let in_range = m.wire("in_range", self.is_in_range(&intake));
        let refuses = m.wire("refuses", intake_full & !in_range & !step.is(Step::Apply) & !power_cut);
        let moves = m.wire("moves", intake_full & in_range & has_room & !power_cut);
        let takes = m.wire("takes", !intake_full & waiting.le(DONE_WAITING_MAX));

        // 4. Next state: the intake.
        when(takes, || {
            command.take();
            intake_full.set(command.valid());
            let arrived = command.payload();
            let page = is_operation(&arrived, Operation::Erase).mux(lit(0u8, 16), arrived.page);
            intake.set(Command { page, ..arrived });
        });
        when(refuses | moves, || intake_full.set(false));
        let writes = moves & !is_status;
        let tails = die.iter().map(|die| is_read.mux(die.reads.tail, die.writes.tail));
        let tail = one_hot_select(goes_to, &tails.collect::<Vec<_>>());
        let intake_die = intake.die.low(die_bits);
        queues.write(clock, writes, cat(&[intake_die, !is_read, tail]), intake.pack());
        query_tags.write(clock, moves & is_status, intake_die, intake.tag);

        // 4. Next state: the steps of a task.
        let place_of_write = of_die(&|die| die.next_place);
        switch(step, |s: Step| match s {
            Step::Choose => {
                task.signal().set(choice.task);
                chosen.set(choice.die);
                chosen_die.set(one_hot_index(choice.die).low(die_bits));
                choice.follow();
                when(choice.die.any(), || step.goto(Step::Fetch));
            }
            Step::Fetch => step.goto(Step::Look),
            Step::Look => step.goto(Step::Draw),
            Step::Draw => step.goto(Step::Judge),
            Step::Judge => step.goto(Step::Apply),
            Step::Apply => step.goto(Step::Settle),
            Step::Settle => step.goto(Step::Choose),
        });

        // Fetch
        let from_reads = task.is(Task::Read);
        let heads = from_reads.mux(of_die(&|die| die.reads.head), of_die(&|die| die.writes.head));
        let queued = queues.lookup(cat(&[chosen_die, !from_reads, heads]));
        let of_read = task.is(Task::StartRead) | task.is(Task::FinishRead) | task.is(Task::Out);
        // The array has the place that the next write has not.
        let of_write = cat(&[lit(1u8, 1), place_of_write ^ task.is(Task::EndWrite)]);
        let place = of_read.mux(cat(&[lit(0u8, 1), of_die(&|die| die.reads_copyback)]), of_write);
        let is_kept = of_read | task.is(Task::EndWrite) | task.is(Task::StartWrite);
        let fetched = is_kept.mux(kept.lookup(cat(&[chosen_die, place])), queued);
        when(step.is(Step::Fetch), || {
            current.set(Command::unpack(fetched));
            source.set(Command::unpack(kept.lookup(cat(&[chosen_die, lit(COPYBACK_PLACE, 2)]))));
            current_query.set(query_tags.lookup(chosen_die));
            current_end.set(read_ends.lookup(chosen_die));
            current_fails.set(write_ends.lookup(chosen_die));
        });

        // Look
        let looks = step.is(Step::Look);
        let visits = m.wire("visits", visit_looks | visit_ends);
        let visited = cat(&[visit.die.low(die_bits), visit.block.low(block_bits)]);
        let addresses = [current.block_0, current.block_1]
            .map(|block| visits.mux(visited, cat(&[chosen_die, block.low(block_bits)])));
        let found = [0, 1].map(|plane| {
            let enable = looks | visit_looks;
            let word = records[plane].read_when(clock, &format!("record_{plane}"), enable, addresses[plane]);
            m.wire(&format!("found_{plane}"), Record::unpack(word))
        });
        let programs = Operation::ALL.into_iter().filter(|operation| operation.is_program());
        let is_program = programs.map(|operation| is_operation(&current, operation)).reduce(|a, b| a | b);
        let subject = Subject {
            task,
            command: current,
            is_program: m.wire("is_program", is_program.expect("there are three")),
            is_copyback: m.wire("is_copyback", is_operation(&current, Operation::CopybackProgram)),
            is_copyback_read: m.wire("is_copyback_read", is_operation(&current, Operation::CopybackRead)),
            found,
            is_cut: m.wire("is_cut", of_die(&|die| die.is_cut)),
        };
        let Subject { is_program, is_copyback, is_copyback_read, .. } = subject;
        when(looks, || findings.look(&subject, &self.geometry, random));

        // Draw and Judge
        let says = OfDie {
            read_ends: [current_end.bits(0..8), current_end.bits(8..16)],
            read_blank: current_end.bits(18..20),
            write_fails: current_fails,
            write_timer: of_die(&|die| die.write_timer),
            registers: of_die(&|die| die.copyback),
            status: of_die(&Die::status),
        };
        when(step.is(Step::Draw), || findings.draw(&subject, &says, &times, &faults));
        let judged = [phase_of(m, &subject), m.wire("violation", findings.violation(&subject))];
        when(step.is(Step::Judge), || findings.judge(&subject, &says, &times, &faults, judged));

        // Apply
        let does = |what: Task| applies & task.is(what);
        let starts = does(Task::StartWrite) & !findings.is_refused;
        when(does(Task::StartRead) | starts, || random.set(findings.draw[1]));
        when(seed_set, || random.set(seed));
        let notes = m.wire("notes", does(Task::EndWrite) | (starts & is_program));
        // What registers hold before the first reset writes no record.
        let is_running = !clock.reset().expect("the clock has a reset");
        for plane in 0..2 {
            let notes = notes & current.planes.bit(plane as u32);
            let puts = visit_ends & visit.is_write & visit.plane.eq(plane as u32);
            let record = visits.mux(visit.record, findings.new[plane].pack());
            records[plane].write(clock, (notes | puts) & is_running, addresses[plane], record);
        }
        let keeps = does(Task::Read) | (does(Task::Write) & !findings.is_refused);
        let own_place = task.is(Task::Read).mux(lit(0u8, 2), cat(&[lit(1u8, 1), place_of_write]));
        let own_place = (task.is(Task::Write) & is_copyback_read).mux(lit(COPYBACK_PLACE, 2), own_place);
        kept.write(clock, keeps, cat(&[chosen_die, own_place]), current.pack());
        let ends = cat(&[findings.blank, findings.content, findings.outcome[1], findings.outcome[0]]);
        read_ends.write(clock, does(Task::StartRead), chosen_die, ends);
        write_ends.write(clock, starts, chosen_die, cat(&[findings.fails[1], findings.fails[0]]));
        let tag = task.is(Task::FinishStatus).mux(current_query, current.tag);
        let completes = m.wire("completion", applies & findings.completes);
        when(completes | refuses, || {
            let out_of_range = lit(Outcome::Refused(Violation::OutOfRange).code(), 8);
            finished.push(Done {
                tag: refuses.mux(intake.tag, tag),
                outcome_0: refuses.mux(out_of_range, findings.outcome[0]),
                outcome_1: refuses.mux(out_of_range, findings.outcome[1]),
                blank: findings.blank & (!refuses).repeat(2),
                status: refuses.mux(lit(0u8, 8), findings.status),
            });
        });
        when(done.can_take(), || {
            finished.take();
            when(finished.valid(), || done.offer(finished.payload()));
        });
        let pushed = completes | refuses;
        when(pushed & !done.taken(), || waiting.set(waiting + 1));
        when(done.taken() & !pushed, || waiting.set(waiting - 1));
        let announces = m.wire("announcement", applies & findings.announces);
        let is_out = task.is(Task::Out);
        when(announces, || {
            let program = lit(Operation::Program.code(), 3);
            let operation = (is_out | is_copyback).mux(current.operation, program);
            transfer.offer(Transfer {
                tag: current.tag,
                operation,
                die: chosen_die.zext(2),
                planes: current.planes,
                uncorrectable: cat(&[current_end.bit(8 + 4), current_end.bit(4)]) & is_out.repeat(2),
                block_0: current.block_0,
                block_1: current.block_1,
                page: current.page,
                first_unit: current.first_unit & is_out.repeat(2),
                units: is_out.mux(current.units, lit(UNITS_PER_PAGE, 3)),
                from_block_0: source.block_0,
                from_block_1: source.block_1,
                from_page: source.page,
            });
        });

        // 4. Next state: the door. A command that comes now looks at records five clocks later.
        let dies_are_quiet = die.iter().map(Die::is_quiet).reduce(|a, b| a & b).expect("there are some");
        was_quiet.set(dies_are_quiet & !intake_full & step.is(Step::Choose) & !bus_active & !owed);
        let opens = m.wire("opens", was_quiet & !visits & door_record.can_take());
        visit_looks.set(false);
        visit_ends.set(visit_looks);
        when(opens, || {
            door.take();
            visit_looks.set(door.valid());
            visit.set(door.payload());
        });
        when(visit_ends, || {
            door_record.offer(DoorRecord { record: visit.plane.mux(found[1].pack(), found[0].pack()) });
        });

        // 4. Next state: the bus.
        let bus_over = m.wire("bus_over", bus_active & !bus_left.any());
        let ends_phase = m.wire("ends_phase", bus_over & !owed);
        when(bus_active & bus_left.any(), || bus_left.set(bus_left - 1));
        when(bus_over & owed & !power_cut, || late.set(late + 1));
        when(ends_phase, || bus_active.set(false));
        when(through, || owed.set(false));
        when(announces, || owed.set(true));
        when(applies & findings.begins_phase, || {
            bus_active.set(true);
            bus_phase.signal().set(findings.phase.signal());
            bus_die.set(chosen_die);
            bus_left.set(findings.phase_clocks);
        });

        // 4. Next state: the dies, and the power cut.
        let fails = task.is(Task::EndWrite) & (findings.outcome[0] | findings.outcome[1]).any();
        for (number, die) in die.iter().enumerate() {
            let number = number as u32;
            let goes = moves & goes_to.bit(number);
            let pushes = Pushes {
                read: goes & is_read,
                write: goes & !is_read & !is_status,
                is_cache: is_operation(&intake, Operation::CacheProgram),
                status: goes & is_status,
            };
            let ended = Ended { phase: bus_phase, is_mine: ends_phase & bus_die.eq(number) };
            let started = Started {
                task,
                is_mine: applies & chosen.bit(number),
                is_refused: findings.is_refused,
                is_program,
                is_copyback_read,
                is_msb: !findings.is_lsb,
                fails,
                repeats: findings.repeats,
                content: current_end.bits(16..18),
                write_timer: findings.write_timer,
            };
            die.clock(&times, pushes, &ended, &started, power_cut);
        }
        when(power_cut, || {
            intake_full.set(false);
            step.goto(Step::Choose);
            choice.clear();
            bus_active.set(false);
        });

        // 5. Outputs
        m.output("bus_active", bus_active);
        m.output_as::<Phase>("bus_phase", bus_phase);
        m.output("bus_die", bus_die.zext(2));
        m.output("late", late);

        // 6. Properties
        m.assert(clock, "completions_have_room", pushed.implies(finished.can_push()));
        let uses_records = looks | step.is(Step::Draw) | notes;
        m.assert(clock, "a_visit_is_alone", visits.implies(!uses_records & door_record.can_take()));
        m.assert(clock, "one_die_is_chosen", (chosen & (chosen - 1)).eq(0));
    }
}

/// Where the last copyback read of a die is kept.
const COPYBACK_PLACE: u32 = 1;

/// A bit for the die of this number; none if there is no such die.
fn one_hot_of(number: Signal, dies: u32) -> Signal {
    let bits = (0..dies).rev().map(|die| number.eq(die));
    cat(&bits.collect::<Vec<_>>())
}
