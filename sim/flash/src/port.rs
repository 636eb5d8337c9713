//! The fast path as firmware sees it.

use flash_model::{FastPath, Random};
use flash_spec::fast_path::{Buffer, Command, Event, Register, TAGS};
use flash_spec::{Preset, Reliability};
use soc_hal::Flash;

use crate::time::DeviceTime;

/// What fails, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A program.
    Program,
    /// An erase.
    Erase,
    /// All attempts to read something.
    Read,
}

/// The reference fast path with a power supply.
#[derive(Debug)]
pub struct Port {
    /// The hardware.
    pub path: FastPath,
    random: Random,
    /// What happens before the power goes.
    steps_left: u64,
    /// Steps and commands so far.
    moments: u64,
    /// What fails in which moment.
    fault: Option<(u64, Fault)>,
    time: DeviceTime,
    /// When the read of each tag ends, and the program, if it has not ended in the model.
    read_ends: [u64; TAGS as usize],
    program_ends: [Option<u64>; TAGS as usize],
    /// What has ended in the model: firmware hears of it in the order of time.
    ended: Vec<(u64, Event)>,
}

impl Port {
    /// Hardware whose power goes after so many steps.
    pub fn new(path: FastPath, seed: u64, steps: u64) -> Self {
        let time = DeviceTime::new(*path.array().geometry(), Preset::SimplessdMlc.timing());
        Self {
            path,
            random: Random::new(seed),
            steps_left: steps,
            moments: 0,
            fault: None,
            time,
            read_ends: [0; TAGS as usize],
            program_ends: [None; TAGS as usize],
            ended: Vec::new(),
        }
    }

    /// Whether there is power.
    pub fn has_power(&self) -> bool {
        self.steps_left > 0
    }

    /// The power goes after so many more steps.
    pub fn cut_after(&mut self, steps: u64) {
        self.steps_left = steps;
    }

    /// Steps and commands so far.
    pub fn moments(&self) -> u64 {
        self.moments
    }

    /// The time that firmware has waited for the flash, with the times of the default preset.
    pub fn time(&self) -> &DeviceTime {
        &self.time
    }

    /// What starts in the first moment after this many, in which something of the kind starts, fails.
    pub fn fail_at(&mut self, moment: u64, fault: Fault) {
        self.fault = Some((moment, fault));
    }

    /// Does something, with a fault if it is time for one.
    fn moment<T>(&mut self, action: impl FnOnce(&mut Self) -> T) -> T {
        self.moments += 1;
        let due = self.fault.filter(|&(moment, _)| moment < self.moments).map(|(_, fault)| fault);
        let Some(fault) = due else { return action(self) };
        let good = Reliability::DEFAULT;
        self.path.array_mut().set_reliability(match fault {
            Fault::Program => Reliability { program_fail_rate: u32::MAX, ..good },
            Fault::Erase => Reliability { erase_fail_rate: u32::MAX, ..good },
            Fault::Read => Reliability { uncorrectable_rate: u32::MAX, ..good },
        });
        let before = self.path.array().begun();
        let answer = action(self);
        self.path.array_mut().set_reliability(good);
        let begun = self.path.array().begun();
        let has_happened = match fault {
            Fault::Program => begun.programs != before.programs,
            Fault::Erase => begun.erases != before.erases,
            Fault::Read => begun.reads != before.reads,
        };
        if has_happened {
            self.fault = None;
        }
        answer
    }
}

impl Flash for Port {
    fn command(&mut self, command: Command) {
        if !self.has_power() {
            return;
        }
        match command {
            Command::Read { tag, page, into } => {
                self.read_ends[usize::from(tag)] = self.time.read(page, into.is_some());
            }
            Command::Program { tag, page, .. } => self.program_ends[usize::from(tag)] = Some(self.time.program(page)),
            _ => {}
        }
        self.moment(|port| port.path.command(command));
    }

    fn event(&mut self) -> Option<Event> {
        if !self.has_power() {
            return None;
        }
        while let Some(event) = self.path.event() {
            let end = match event {
                Event::ReadDone { tag, .. } => Some(self.read_ends[usize::from(tag)]),
                Event::ProgramDone { tag, .. } => self.program_ends[usize::from(tag)].take(),
                _ => return Some(event),
            };
            self.ended.push((end.expect("it was started"), event));
        }
        let first = (0..self.ended.len()).min_by_key(|&index| self.ended[index].0);
        let others = self.program_ends.iter().flatten().min();
        if let Some(first) = first.filter(|&first| others.is_none_or(|&other| self.ended[first].0 <= other)) {
            let (end, event) = self.ended.swap_remove(first);
            self.time.wait_until(end);
            return Some(event);
        }
        self.moment(|port| port.path.step(&mut port.random));
        self.steps_left -= 1;
        None
    }

    fn register(&mut self, register: Register) -> u64 {
        self.path.register(register)
    }

    fn read_word(&mut self, buffer: Buffer, word: u32) -> u32 {
        self.path.buffer(buffer)[word as usize]
    }

    fn write_word(&mut self, buffer: Buffer, word: u32, value: u32) {
        if self.has_power() {
            self.path.buffer(buffer)[word as usize] = value;
        }
    }
}
