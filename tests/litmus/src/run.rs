//! Programs on the harts of the Verilated SoC, DMA beside them, and what is in their logs at the end.

use crate::history::{Event, Kind, Operation};
use crate::program::Program;
use crate::WORD_BYTES;
use crate::{Error, Replay};
use sim_cosim::Soc;
use sim_device::{Beat, BusTiming, Random, BEAT_BYTES};
use sim_iss::MemoryBus;
use sim_verilator::Toolchain;
use soc_map::firmware::ENTRY;
use soc_map::{FIRMWARE, HARTS_MAX};

const WORD: usize = WORD_BYTES as usize;

/// Clocks for each operation, and for all else, after which a run is given up.
const CLOCKS_OF_OPERATION: u64 = 500;
const CLOCKS_AROUND: u64 = 200_000;

/// Clocks between accesses of the DMA, at most.
const DMA_PAUSE_MAX: u64 = 200;

/// Words in little-endian order.
pub(crate) fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(WORD).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes"))).collect()
}

/// What is run.
pub(crate) struct Setting {
    /// The programs, by hart.
    pub programs: Vec<Option<Program>>,
    /// What lies in memory besides.
    pub memory: Vec<(u64, Vec<u8>)>,
    pub timing: BusTiming,
    pub replay: Replay,
}

/// Lets the harts run until all of them are done. The logs of the harts, and the clocks it took.
pub(crate) fn run(
    setting: &Setting,
    mut dma: Option<&mut Dma>,
    toolchain: &Toolchain,
) -> Result<(Vec<Vec<u64>>, u64), Error> {
    let mut memory = MemoryBus::new(FIRMWARE.base, FIRMWARE.bytes as usize);
    let harts = setting.programs.iter().zip(0..).flat_map(|(program, hart)| match program {
        Some(program) => program.memory(hart).to_vec(),
        None => vec![Program::parked(hart)],
    });
    for (address, bytes) in harts.chain([(ENTRY, Program::entry())]).chain(setting.memory.iter().cloned()) {
        memory.bytes_mut(address, bytes.len()).copy_from_slice(&bytes);
    }
    let mut soc = Soc::new(HARTS_MAX, &mut memory, toolchain).map_err(Box::new)?;
    soc.set_memory_timing(setting.timing);
    let active = || setting.programs.iter().zip(0..).filter_map(|(program, hart)| Some((program.as_ref()?, hart)));
    let operations: u64 = active().map(|(program, _)| program.operations.len() as u64 * program.rounds).sum();
    let clocks_max = CLOCKS_AROUND + CLOCKS_OF_OPERATION * operations;
    loop {
        if let Some(dma) = &mut dma {
            let begins = active().any(|(_, hart)| !soc.waits(hart));
            dma.clock(&mut soc, begins);
        }
        if soc.is_asleep() && dma.as_ref().is_none_or(|dma| dma.under_way.is_none()) {
            break;
        }
        if soc.clock() > clocks_max {
            let awake: Vec<u32> = active().map(|(_, hart)| hart).filter(|hart| !soc.waits(*hart)).collect();
            return Err(setting.replay.failed(format!("after {clocks_max} clocks harts {awake:?} are not done")));
        }
        soc.step();
    }
    let clocks = soc.clock();
    let mut logs = vec![vec![]; setting.programs.len()];
    for (program, hart) in active() {
        let (address, results) = program.log(hart);
        logs[hart as usize] = words(&soc.read(address, results * WORD));
    }
    Ok((logs, clocks))
}

/// DMA that reads and writes lines with places, one access after the other, each in one beat.
pub(crate) struct Dma {
    pub random: Random,
    pub lines: Vec<u64>,
    pub places_of_line: usize,
    pub events: Vec<Event>,
    pub accesses: u64,
    pause: u64,
    under_way: Option<Access>,
}

struct Access {
    line: usize,
    /// The words that are written, if it is a write.
    written: Option<Vec<Option<u64>>>,
}

impl Dma {
    pub fn new(random: Random, lines: Vec<u64>, places_of_line: usize) -> Self {
        Self { random, lines, places_of_line, events: vec![], accesses: 0, pause: 0, under_way: None }
    }

    fn clock(&mut self, soc: &mut Soc, begins: bool) {
        let Some(access) = &self.under_way else {
            self.pause = self.pause.saturating_sub(1);
            if begins && self.pause == 0 {
                self.begin(soc);
            }
            return;
        };
        let place = |word: usize| access.line * self.places_of_line + word;
        let event = |kind, word, value| Operation::new(kind, place(word)).event(value, value);
        let mut events: Vec<Event> = match &access.written {
            None => {
                let Some(block) = soc.taken_block() else { return };
                let words = words(&block).into_iter().enumerate().take(self.places_of_line);
                words.map(|(word, value)| event(Kind::Load, word, value)).collect()
            }
            Some(written) => {
                if !soc.is_block_written() {
                    return;
                }
                let words = written.iter().enumerate();
                words.filter_map(|(word, value)| Some(event(Kind::Store, word, (*value)?))).collect()
            }
        };
        self.events.append(&mut events);
        // The next access begins when this one is done. The words of one access have no order among themselves.
        self.events.push(Operation::FENCE.event(0, 0));
        self.accesses += 1;
        self.under_way = None;
        self.pause = self.random.below(DMA_PAUSE_MAX);
    }

    fn begin(&mut self, soc: &mut Soc) {
        let line = self.random.below(self.lines.len() as u64) as usize;
        if self.random.below(2) == 0 {
            soc.ask_block(self.lines[line]);
            self.under_way = Some(Access { line, written: None });
            return;
        }
        let mut block: Beat = [0; BEAT_BYTES];
        let mut strobes = 0;
        let written: Vec<Option<u64>> = (0..self.places_of_line)
            .map(|word| {
                let value = self.random.next_u64();
                block[word * WORD..][..WORD].copy_from_slice(&value.to_le_bytes());
                let is_written = self.random.below(2) == 0 || self.places_of_line == 1;
                strobes |= if is_written { 0xFF << (word * WORD) } else { 0 };
                is_written.then_some(value)
            })
            .collect();
        soc.write_block(self.lines[line], &block, strobes);
        self.under_way = Some(Access { line, written: Some(written) });
    }
}
