//! Tapes: the choices that a design is made from.
//!
//! Every module has a tape under its name. Whoever builds the module reads it from the start, so that a module that is built twice is twice the
//! same. A tape that ends goes on: with random choices while a design is made up, with zeros when it is made again. Zero is always the
//! simplest choice, so that a design becomes simpler when choices are taken away.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rtl_hdl::bench::{Rng, Seed};

/// The tapes of a design: for each module, its choices.
pub type Tapes = BTreeMap<String, Vec<u64>>;

/// Tapes that a design is being made from, and what is read of them.
#[derive(Clone, Debug)]
pub struct Recorder {
    recording: Rc<RefCell<Recording>>,
}

#[derive(Debug)]
struct Recording {
    /// Where choices come from when a tape ends; zeros, if there is none.
    seed: Option<Seed>,
    given: Tapes,
    read: BTreeMap<String, Track>,
}

/// The tape of one module.
#[derive(Debug)]
struct Track {
    choices: Vec<u64>,
    /// How many of the choices were read.
    read: usize,
    rng: Option<Rng>,
}

impl Recorder {
    /// Tapes that are made up as they are read.
    pub fn random(seed: Seed) -> Self {
        Self::new(Some(seed), Tapes::new())
    }

    /// These tapes, and zeros after them.
    pub fn replay(tapes: Tapes) -> Self {
        Self::new(None, tapes)
    }

    fn new(seed: Option<Seed>, given: Tapes) -> Self {
        Self { recording: Rc::new(RefCell::new(Recording { seed, given, read: BTreeMap::new() })) }
    }

    /// The tape of this module, from its start.
    pub fn reader(&self, module: &str) -> Reader {
        let mut recording = self.recording.borrow_mut();
        if !recording.read.contains_key(module) {
            let rng = recording.seed.map(|seed| seed.rng(&format!("module {module}")));
            let choices = recording.given.get(module).cloned().unwrap_or_default();
            recording.read.insert(module.to_owned(), Track { choices, read: 0, rng });
        }
        Reader { recording: self.recording.clone(), module: module.to_owned(), position: 0 }
    }

    /// What was read: the tapes of all modules that were built, as far as it matters. They make the same design.
    pub fn tapes(&self) -> Tapes {
        let recording = self.recording.borrow();
        let tape = |track: &Track| {
            let read = &track.choices[..track.read];
            read[..read.iter().rposition(|choice| *choice != 0).map_or(0, |last| last + 1)].to_vec()
        };
        recording.read.iter().map(|(module, track)| (module.clone(), tape(track))).collect()
    }
}

/// Reads the tape of one module.
#[derive(Debug)]
pub struct Reader {
    recording: Rc<RefCell<Recording>>,
    module: String,
    position: usize,
}

impl Reader {
    fn next(&mut self, make: impl FnOnce(&mut Rng) -> u64, largest: u64) -> u64 {
        let mut recording = self.recording.borrow_mut();
        let track = recording.read.get_mut(&self.module).expect("`Recorder::reader` has put it there");
        if self.position == track.choices.len() {
            let choice = track.rng.as_mut().map_or(0, make);
            track.choices.push(choice);
        }
        // A tape from elsewhere may hold more than there is to choose from.
        let choice = &mut track.choices[self.position];
        *choice = largest.min(*choice);
        self.position += 1;
        track.read = track.read.max(self.position);
        *choice
    }

    /// A number below `limit`, which is at least 1. Nothing is read where there is nothing to choose.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit <= 1 {
            return 0;
        }
        self.next(|rng| rng.below(limit), limit - 1)
    }

    /// The index of something in a list of this many.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// True in `percent` of the cases; false is the simpler choice.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) >= 100 - percent
    }

    /// One of these, the simplest first.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        self.next(|rng| rng.next_u64(), u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut Reader) -> [u64; 4] {
        [reader.below(10), reader.word(), u64::from(reader.percent(50)), reader.below(3)]
    }

    #[test]
    fn what_was_read_reads_the_same_again() {
        let made = Recorder::random(Seed(1));
        let first = read(&mut made.reader("a"));
        assert_eq!(read(&mut made.reader("a")), first, "every reader begins at the start");
        assert_ne!(read(&mut made.reader("b")), first, "another module has another tape");
        let again = Recorder::replay(made.tapes());
        assert_eq!(read(&mut again.reader("a")), first);
        assert_eq!(again.tapes()["a"], made.tapes()["a"]);
    }

    #[test]
    fn a_tape_that_ends_goes_on_with_zeros() {
        let recorder = Recorder::replay(Tapes::from([("a".into(), vec![7])]));
        assert_eq!(read(&mut recorder.reader("a")), [7, 0, 0, 0]);
        assert_eq!(recorder.tapes()["a"], [7]);
    }

    #[test]
    fn what_is_not_read_is_not_kept() {
        let recorder = Recorder::replay(Tapes::from([("a".into(), vec![70, 5, 5, 5]), ("b".into(), vec![1])]));
        let mut reader = recorder.reader("a");
        assert_eq!([reader.below(10), reader.below(1), reader.below(4)], [9, 0, 3]);
        assert_eq!(recorder.tapes(), Tapes::from([("a".into(), vec![9, 3])]));
    }

    #[test]
    fn zero_is_false_and_the_first_choice() {
        let recorder = Recorder::replay(Tapes::new());
        let mut reader = recorder.reader("a");
        assert!(!reader.percent(99));
        assert!(reader.percent(100));
        assert_eq!(reader.pick(&[3, 4]), 3);
    }
}
