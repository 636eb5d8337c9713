//! What the steps of a task find out, from the command and the records of its blocks: each of them puts it into registers.

use super::{Task, PAGE_BITS, PAGE_END_BITS, PHASE_TIME_BITS, PROGRAM_TIME_BITS};
use crate::types::{Command, Faults, Phase, Record, Times, Torn, BUS_TIME_BITS};
use flash_spec::limits::UNITS_PER_PAGE;
use flash_spec::reliability::{ERASES_BITS, RETRIES_MAX};
use flash_spec::{Geometry, Outcome, Violation};
use rtl_hdl::{cases, cat, constant, lit, zero, Clock, EnumSignal, HwEnum, Module, Shape, Signal, Value};

/// A task: its command, and what that is.
pub(super) struct Subject {
    pub task: EnumSignal<Task>,
    pub command: Command,
    pub is_program: Signal,
    pub is_copyback: Signal,
    pub is_copyback_read: Signal,
    /// The records of its blocks, from `Draw` on.
    pub found: [Record; 2],
    /// Its die notes that the power was cut.
    pub is_cut: Signal,
}

impl Subject {
    fn is_selected(&self, plane: usize) -> Signal {
        self.command.planes.bit(plane as u32)
    }

    fn page(&self) -> Signal {
        self.command.page.low(PAGE_BITS).zext(PAGE_END_BITS)
    }

    /// The phase of a grant has data.
    fn has_data(&self) -> Signal {
        self.task.is(Task::Out) | (self.task.is(Task::Write) & self.is_program & !self.is_copyback)
    }
}

/// What the die of the task says.
pub(super) struct OfDie {
    /// How its read ends in each plane.
    pub read_ends: [Signal; 2],
    /// The planes in which its page is blank.
    pub read_blank: Signal,
    /// Where its program or erase fails.
    pub write_fails: Signal,
    pub write_timer: Signal,
    /// The planes whose page register is full.
    pub registers: Signal,
    pub status: Signal,
}

/// See the [module](self).
pub(super) struct Findings {
    // Look
    pub is_lsb: Signal,
    /// Where the program of the MSB page of the cells of an LSB page ends.
    other_end: Signal,
    page_end: Signal,
    units: Signal,
    // Look and Draw
    pub draw: [Signal; 2],
    // Draw
    is_torn: [Signal; 2],
    is_written: [Signal; 2],
    is_next: [Signal; 2],
    wear: [Signal; 2],
    is_worn: [Signal; 2],
    has_register: Signal,
    data_clocks: Signal,
    write_left: Signal,
    // Judge
    pub is_refused: Signal,
    pub outcome: [Signal; 2],
    /// The program or the erase will fail.
    pub fails: [Signal; 2],
    /// The new records.
    pub new: [Record; 2],
    pub repeats: Signal,
    /// The planes in which a read finds something that can be programmed elsewhere.
    pub content: Signal,
    /// The planes in which a read finds a page that has not been programmed.
    pub blank: Signal,
    pub phase: EnumSignal<Phase>,
    pub phase_clocks: Signal,
    pub write_timer: Signal,
    pub status: Signal,
    pub begins_phase: Signal,
    pub announces: Signal,
    pub completes: Signal,
}

/// What a read finds in a plane.
struct Judged {
    outcome: Signal,
    repeats: Signal,
    has_content: Signal,
    is_blank: Signal,
}

impl Findings {
    pub fn new(m: &Module, clock: Clock) -> Findings {
        let reg = |name: &str, width: u32| m.reg_without_reset(name, clock, width);
        let of_planes = |name: &str, width: u32| [0, 1].map(|plane| reg(&format!("{name}_{plane}"), width));
        Findings {
            is_lsb: reg("is_lsb", 1),
            other_end: reg("other_end", PAGE_END_BITS),
            page_end: reg("page_end", PAGE_END_BITS),
            units: reg("units", 4),
            draw: of_planes("draw", 32),
            is_torn: of_planes("is_torn", 1),
            is_written: of_planes("is_written", 1),
            is_next: of_planes("is_next", 1),
            wear: of_planes("wear", ERASES_BITS),
            is_worn: of_planes("is_worn", 1),
            has_register: reg("has_register", 1),
            data_clocks: reg("data_clocks", PHASE_TIME_BITS),
            write_left: reg("write_left", PROGRAM_TIME_BITS),
            is_refused: reg("is_refused", 1),
            outcome: of_planes("outcome", 8),
            fails: of_planes("fails", 1),
            new: [0, 1].map(|plane| m.reg_as::<Record>(&format!("new_{plane}"), clock)),
            repeats: reg("repeats", 3),
            content: reg("content", 2),
            blank: reg("blank", 2),
            phase: m.reg_as::<Phase>("new_phase", clock),
            phase_clocks: reg("phase_clocks", PHASE_TIME_BITS),
            write_timer: reg("new_write_timer", PROGRAM_TIME_BITS),
            status: reg("status", 8),
            begins_phase: reg("begins_phase", 1),
            announces: reg("announces", 1),
            completes: reg("completes", 1),
        }
    }

    /// `Look`: of the page, the units that go over the bus, and the random number of plane 0.
    pub fn look(&self, subject: &Subject, geometry: &Geometry, random: Signal) {
        let (is_lsb, other_end) = lsb(subject.page(), geometry.pages_per_block);
        self.is_lsb.set(is_lsb);
        self.other_end.set(other_end);
        self.page_end.set(subject.page() + 1);
        let units = subject.task.is(Task::Out).mux(subject.command.units.zext(4), lit(UNITS_PER_PAGE, 4));
        let units = subject.command.planes.all().mux(cat(&[units.low(3), lit(0u8, 1)]), units);
        self.units.set(units & subject.has_data().repeat(4));
        self.draw[0].set(drawn(subject.is_selected(0), random));
    }

    /// `Draw`: of the records, the time of the data, and the random number of plane 1.
    pub fn draw(&self, subject: &Subject, of_die: &OfDie, times: &Times, faults: &Faults) {
        self.draw[1].set(drawn(subject.is_selected(1), self.draw[0]));
        for (plane, record) in subject.found.iter().enumerate() {
            let was_last = record.torn.is(Torn::Last) | record.torn.is(Torn::Cells);
            let is_torn = record.torn.is(Torn::Block)
                | (was_last & record.next_page.eq(self.page_end))
                | (record.torn.is(Torn::Cells) & self.is_lsb & record.next_page.eq(self.other_end));
            self.is_torn[plane].set(is_torn);
            self.is_written[plane].set(subject.page().lt(record.next_page));
            self.is_next[plane].set(subject.page().eq(record.next_page));
            self.wear[plane].set(record.erases.shr(faults.retry_wear_shift));
            let is_worn = faults.erases_max.any() & record.erases.zext(32).ge(faults.erases_max);
            self.is_worn[plane].set(is_worn | record.is_bad);
        }
        self.has_register.set(!(subject.command.planes & !of_die.registers).any());
        self.data_clocks.set(times_units(times.unit, self.units));
        self.write_left.set(of_die.write_timer);
    }

    /// `Judge`: what comes of it. The phase is that of [`phase_of`], the violation that of [`violation`](Self::violation).
    pub fn judge(
        &self,
        subject: &Subject,
        of_die: &OfDie,
        times: &Times,
        faults: &Faults,
        [phase, violation]: [Signal; 2],
    ) {
        let Subject { task, command, is_program, is_cut, .. } = subject;
        let is_end = task.is(Task::EndWrite);
        let is_write = task.is(Task::Write) & *is_program;
        let may_be_refused = is_write | (task.is(Task::StartWrite) & *is_program);
        let is_refused = may_be_refused & violation.any();
        self.is_refused.set(is_refused);
        let judged = [0, 1].map(|plane| self.judge_read(plane, subject.is_selected(plane), faults));
        let code = |outcome: Outcome| lit(outcome.code(), 8);
        for (plane, read) in judged.iter().enumerate() {
            let fails = of_die.write_fails.bit(plane as u32);
            let failure = is_program.mux(code(Outcome::ProgramFailed), code(Outcome::EraseFailed));
            let outcome = failure & (is_end & fails).repeat(8);
            let outcome = task.is(Task::StartRead).mux(read.outcome, outcome);
            let outcome = task.is(Task::FinishRead).mux(of_die.read_ends[plane], outcome);
            self.outcome[plane].set(is_refused.mux(violation, outcome));
            let program_fails = self.draw[plane].lt(faults.program_fail_rate);
            let erase_fails = self.draw[plane].lt(faults.erase_fail_rate) | self.is_worn[plane];
            self.fails[plane].set(is_program.mux(program_fails, erase_fails) & command.planes.bit(plane as u32));
            let started = Record { next_page: self.page_end, ..subject.found[plane] };
            let ended = self.ended(&subject.found[plane], *is_program, *is_cut, fails);
            self.new[plane].set(Record::unpack(is_end.mux(ended.pack(), started.pack())));
        }
        let [first, second] = judged;
        self.repeats.set(first.repeats.gt(second.repeats).mux(first.repeats, second.repeats));
        self.content.set(cat(&[second.has_content, first.has_content]));
        let found_blank = cat(&[second.is_blank, first.is_blank]) & task.is(Task::StartRead).repeat(2);
        self.blank.set(task.is(Task::FinishRead).mux(of_die.read_blank, found_blank));

        let command_clocks = (!task.is(Task::Out)).repeat(BUS_TIME_BITS) & times.command;
        self.phase_clocks.set(self.data_clocks + command_clocks.zext(PHASE_TIME_BITS));
        let array_time = is_program.mux(self.is_lsb.mux(times.program_lsb, times.program_msb), times.erase);
        let resumed = self.write_left + times.resume.zext(PROGRAM_TIME_BITS);
        self.write_timer.set(task.is(Task::Resume).mux(resumed, array_time.zext(PROGRAM_TIME_BITS)));
        self.status.set(of_die.status);
        self.phase.signal().set(phase);
        let grants = [Task::Read, Task::Suspend, Task::Out, Task::Status, Task::Write, Task::Resume];
        let is_grant = grants.map(|grant| task.is(grant)).into_iter().reduce(|a, b| a | b).expect("there are some");
        self.begins_phase.set(is_grant & !is_refused);
        self.announces.set(task.is(Task::Out) | (is_write & !is_refused));
        let finishes = task.is(Task::FinishRead) | task.is(Task::FinishStatus);
        self.completes.set((is_end & !*is_cut) | finishes | is_refused);
    }

    /// How a read of a plane ends.
    fn judge_read(&self, plane: usize, is_selected: Signal, faults: &Faults) -> Judged {
        let draw = self.draw[plane];
        let is_hopeless = draw.lt(faults.uncorrectable_rate);
        let either = faults.uncorrectable_rate.zext(33) + faults.retry_rate.zext(33);
        let needs_one_more = !is_hopeless & draw.zext(33).lt(either);
        let (few, many) = (self.wear[plane].low(3), self.wear[plane].bits(3..ERASES_BITS).any());
        let is_uncorrectable = is_hopeless | self.is_torn[plane] | many | (few.all() & needs_one_more);
        let retries = few + needs_one_more.zext(3);
        let outcome = is_uncorrectable.mux(lit(Outcome::Uncorrectable.code(), 8), retries.zext(8));
        let repeats = is_uncorrectable.mux(lit(RETRIES_MAX, 3), retries);
        Judged {
            outcome: outcome & is_selected.repeat(8),
            repeats: repeats & is_selected.repeat(3),
            has_content: is_selected & !is_uncorrectable & self.is_written[plane],
            is_blank: is_selected & !self.is_torn[plane] & !self.is_written[plane],
        }
    }

    /// The outcome that says which rule a program breaks; zero if it breaks none.
    pub fn violation(&self, subject: &Subject) -> Signal {
        let of_plane = |plane: usize| {
            let is_closed = subject.found[plane].is_closed | self.is_written[plane];
            let is_selected = subject.is_selected(plane);
            (is_selected & is_closed, is_selected & !is_closed & !self.is_next[plane])
        };
        let [(closed_0, order_0), (closed_1, order_1)] = [of_plane(0), of_plane(1)];
        let no_register = subject.is_copyback & subject.task.is(Task::Write) & !self.has_register;
        // The first plane that breaks one says which.
        let not_erased = closed_0 | (closed_1 & !order_0);
        let out_of_order = order_0 | order_1;
        let code = |violation: Violation| lit(Outcome::Refused(violation).code(), 8);
        let other = out_of_order.mux(code(Violation::OutOfOrder), lit(0u8, 8));
        no_register.mux(code(Violation::NoPageRegister), not_erased.mux(code(Violation::NotErased), other))
    }

    /// What is known of a block after a program or an erase has ended or was torn.
    fn ended(&self, old: &Record, is_program: Signal, is_cut: Signal, fails: Signal) -> Record {
        let torn = |torn: Torn| lit(torn.code(), Torn::WIDTH);
        let is_bad_end = is_cut | fails;
        let of_page = (is_cut & !self.is_lsb).mux(torn(Torn::Cells), torn(Torn::Last));
        let erases = old.erases + (!old.erases.all()).zext(ERASES_BITS);
        Record {
            erases: is_program.mux(old.erases, erases),
            next_page: is_program.mux(old.next_page, lit(0u8, PAGE_END_BITS)),
            is_closed: is_bad_end,
            is_bad: old.is_bad | (!is_program & fails & !is_cut),
            torn: EnumSignal::from_signal(is_program.mux(of_page, torn(Torn::Block)) & is_bad_end.repeat(Torn::WIDTH)),
        }
    }
}

/// The phase that a grant begins.
pub(super) fn phase_of(m: &Module, subject: &Subject) -> Signal {
    let phase = m.wire_of_width("granted_phase", Phase::WIDTH);
    let code = |phase: Phase| lit(phase.code(), Phase::WIDTH);
    let write = subject.is_copyback_read.mux(code(Phase::Read), code(Phase::Write));
    cases(subject.task.signal())
        .on(Task::Suspend.code(), || phase.set(code(Phase::Suspend)))
        .on(Task::Out.code(), || phase.set(code(Phase::Out)))
        .on(Task::Status.code(), || phase.set(code(Phase::Status)))
        .on(Task::Write.code(), || phase.set(write))
        .on(Task::Resume.code(), || phase.set(code(Phase::Resume)))
        .otherwise(|| phase.set(code(Phase::Read)));
    phase
}

/// Whether a page is an LSB page, and where the program of the MSB page of its cells ends then: see [`flash_spec::pairing`].
fn lsb(page: Signal, pages_per_block: u32) -> (Signal, Signal) {
    let last = pages_per_block - 1;
    let is_lsb = page.eq(0) | (page.bit(0) & page.ne(last));
    let other_end = page.eq(last - 2).mux(lit(last + 1, PAGE_END_BITS), page + 4);
    (is_lsb, page.eq(0).mux(lit(3u8, PAGE_END_BITS), other_end))
}

/// The time of so many units.
fn times_units(unit: Signal, units: Signal) -> Signal {
    let unit = unit.zext(PHASE_TIME_BITS);
    let part = |bit: u32| {
        let shifted = match bit {
            0 => unit,
            bit => cat(&[unit.low(PHASE_TIME_BITS - bit), constant(&zero(bit))]),
        };
        shifted & units.bit(bit).repeat(PHASE_TIME_BITS)
    };
    (part(0) + part(1)) + (part(2) + part(3))
}

/// The number after `state` if it is drawn.
fn drawn(is_drawn: Signal, state: Signal) -> Signal {
    is_drawn.mux(next_random(state), state)
}

/// The next number of the sequence: see [`flash_spec::reliability::next_random`].
fn next_random(state: Signal) -> Signal {
    let left = |value: Signal, by: u32| cat(&[value.low(32 - by), constant(&zero(by))]);
    let state = state ^ left(state, 13);
    let state = state ^ state.bits(17..32).zext(32);
    state ^ left(state, 5)
}
