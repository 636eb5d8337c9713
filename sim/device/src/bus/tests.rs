use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{HostMemory, Ram};

/// A manager that always takes what it is given, and its record of what it got.
struct Manager {
    bus: Bus,
    ram: Ram,
    beats: Vec<(u64, ReadBeat)>,
    responses: Vec<(u64, WriteResponse)>,
}

impl Manager {
    fn new(timing: BusTiming) -> Self {
        Self { bus: Bus::new(timing), ram: Ram::new(1 << 20), beats: Vec::new(), responses: Vec::new() }
    }

    fn begin(&mut self) {
        self.bus.begin_clock(&mut self.ram);
        if let Some(beat) = self.bus.read_beat() {
            self.beats.push((self.bus.clock, *beat));
            self.bus.take_read_beat();
        }
        if let Some(response) = self.bus.write_response() {
            self.responses.push((self.bus.clock, *response));
            self.bus.take_write_response();
        }
    }

    /// Offers everything as early as it is accepted, and runs until all is answered.
    fn run(&mut self, reads: &[ReadRequest], writes: &[(WriteRequest, Vec<Beat>)]) {
        let mut reads = reads.iter().copied().peekable();
        let mut addresses = writes.iter().map(|w| w.0).peekable();
        let mut data: VecDeque<(Beat, bool)> = writes
            .iter()
            .flat_map(|(_, beats)| {
                let last = beats.len() - 1;
                beats.iter().enumerate().map(move |(i, b)| (*b, i == last))
            })
            .collect();
        for _ in 0..1_000_000 {
            self.begin();
            if self.bus.read_ready() {
                if let Some(read) = reads.next() {
                    self.bus.read(read);
                }
            }
            if self.bus.write_ready() {
                if let Some(write) = addresses.next() {
                    self.bus.write(write, &mut self.ram);
                }
            }
            if self.bus.write_beat_ready() {
                if let Some((beat, last)) = data.pop_front() {
                    self.bus.write_beat(&beat, u64::MAX, last, &mut self.ram);
                }
            }
            if reads.peek().is_none() && addresses.peek().is_none() && data.is_empty() && self.bus.is_idle() {
                return;
            }
        }
        panic!("the bus did not answer everything in a million clocks");
    }
}

fn read(id: u8, address: u64, beats: u32) -> ReadRequest {
    ReadRequest { id, function: 0, address, beats }
}

fn write(id: u8, address: u64, beats: u32) -> WriteRequest {
    WriteRequest { id, function: 0, address, beats }
}

#[test]
fn without_knobs_every_channel_moves_in_every_clock() {
    let mut manager = Manager::new(BusTiming::with_latency(200));
    let reads: Vec<_> = (0..16).map(|i| read(i, u64::from(i) * 4096, 64)).collect();
    let writes: Vec<_> = (0..16).map(|i| (write(i, 0x8_0000 + u64::from(i) * 4096, 64), vec![[i; 64]; 64])).collect();
    manager.run(&reads, &writes);
    let clocks: Vec<u64> = manager.beats.iter().map(|b| b.0).collect();
    let expected: Vec<u64> = (201..201 + 16 * 64).collect();
    assert_eq!(clocks, expected, "one beat per clock after the latency");
    assert_eq!(manager.responses.len(), 16);
    assert_eq!(manager.responses[15].0, 16 * 64 + 200);
}

#[test]
fn single_beat_writes_move_in_every_clock() {
    let mut manager = Manager::new(BusTiming::IDEAL);
    let writes: Vec<_> = (0..32).map(|i| (write(0, i * 64, 1), vec![[1; 64]])).collect();
    manager.run(&[], &writes);
    let clocks: Vec<u64> = manager.responses.iter().map(|b| b.0).collect();
    assert_eq!(clocks, (2..34).collect::<Vec<u64>>());
}

#[test]
fn an_offered_beat_stays_until_it_is_taken() {
    let mut ram = Ram::new(4096);
    let mut bus = Bus::new(BusTiming::IDEAL);
    bus.begin_clock(&mut ram);
    bus.read(read(3, 0, 1));
    bus.begin_clock(&mut ram);
    let first = *bus.read_beat().expect("due in the next clock");
    ram.store(0, &[9; 64]);
    for _ in 0..10 {
        bus.begin_clock(&mut ram);
        assert_eq!(bus.read_beat(), Some(&first));
    }
    bus.take_read_beat();
    bus.begin_clock(&mut ram);
    assert_eq!(bus.read_beat(), None);
}

#[test]
fn late_settling_hides_a_write_until_its_response() {
    let mut ram = Ram::new(4096);
    let timing = BusTiming { writes_settle_late: true, ..BusTiming::with_latency(5) };
    let mut bus = Bus::new(timing);
    bus.begin_clock(&mut ram);
    bus.write(write(0, 0, 1), &mut ram);
    bus.write_beat(&[7; 64], u64::MAX, true, &mut ram);
    let mut byte = [0];
    for _ in 0..4 {
        bus.begin_clock(&mut ram);
        ram.load(0, &mut byte);
        assert_eq!((byte, bus.write_response()), ([0], None));
    }
    bus.begin_clock(&mut ram);
    ram.load(0, &mut byte);
    assert_eq!(byte, [7]);
    assert!(bus.write_response().is_some());
}

#[test]
fn errors_come_with_their_own_beat_and_response() {
    let mut manager = Manager::new(BusTiming::IDEAL);
    manager.ram.faults.failing_reads.push(64..128);
    manager.ram.faults.failing_writes.push(4096..4097);
    let writes = [(write(1, 4096, 2), vec![[1; 64]; 2]), (write(2, 8192, 1), vec![[2; 64]])];
    manager.run(&[read(0, 0, 3)], &writes);
    let errors: Vec<bool> = manager.beats.iter().map(|b| b.1.error).collect();
    assert_eq!(errors, [false, true, false]);
    let errors: Vec<bool> = manager.responses.iter().map(|r| r.1.error).collect();
    assert_eq!(errors, [true, false]);
}

#[test]
fn a_write_and_the_interrupt_after_it_arrive_in_that_order() {
    let mut memory = HostMemory::new();
    let address = memory.alloc(4096, 4096);
    memory.set_logging(true);
    let mut bus = Bus::new(BusTiming::IDEAL);
    for target in [address, crate::MESSAGE_WINDOW.start] {
        bus.begin_clock(&mut memory);
        bus.write(write(0, target, 1), &mut memory);
        bus.write_beat(&[1; 64], 0xF, true, &mut memory);
    }
    let mut log = Vec::new();
    memory.take_log(&mut log);
    let kinds: Vec<_> = log.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [crate::AccessKind::Write, crate::AccessKind::Message]);
}

#[test]
#[should_panic(expected = "crosses 4 KiB")]
fn a_burst_over_a_page_boundary_is_refused() {
    let mut ram = Ram::new(8192);
    let mut bus = Bus::new(BusTiming::IDEAL);
    bus.begin_clock(&mut ram);
    bus.read(read(0, 4032, 2));
}

#[test]
#[should_panic(expected = "WLAST disagrees")]
fn a_missing_last_is_refused() {
    let mut ram = Ram::new(8192);
    let mut bus = Bus::new(BusTiming::IDEAL);
    bus.begin_clock(&mut ram);
    bus.write(write(0, 0, 1), &mut ram);
    bus.write_beat(&[0; 64], 1, false, &mut ram);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the knobs: every beat arrives once with its data, reads of one id in order, writes in order, and twice alike.
    #[test]
    fn everything_is_answered_in_a_legal_order(
        seed: u64,
        settle_late: bool,
        reads in proptest::collection::vec((0u8..4, 0u64..32, 1u32..9), 0..40),
        writes in proptest::collection::vec((0u8..4, 0u64..32, 1usize..9), 0..40),
    ) {
        let timing = BusTiming { writes_settle_late: settle_late, ..BusTiming::adverse(seed) };
        let reads: Vec<_> = reads.iter().map(|&(id, page, beats)| read(id, page * 4096, beats)).collect();
        let writes: Vec<_> = writes.iter().enumerate()
            .map(|(i, &(id, page, beats))| (write(id, 0x8_0000 + page * 4096, beats as u32), vec![[i as u8; 64]; beats]))
            .collect();
        let run = || {
            let mut manager = Manager::new(timing);
            for beat in 0..0x8_0000 / 64u64 {
                manager.ram.store(beat * 64, &beat.to_le_bytes());
            }
            manager.run(&reads, &writes);
            manager
        };
        let mut manager = run();

        let mut expected: BTreeMap<u8, VecDeque<(u64, bool)>> = BTreeMap::new();
        for r in &reads {
            for beat in 0..r.beats {
                let number = r.address / 64 + u64::from(beat);
                expected.entry(r.id).or_default().push_back((number, beat + 1 == r.beats));
            }
        }
        let mut open: Option<u8> = None;
        for (_, beat) in &manager.beats {
            let number = u64::from_le_bytes(beat.data[..8].try_into().expect("eight bytes"));
            let queue = expected.get_mut(&beat.id);
            prop_assert_eq!(queue.and_then(VecDeque::pop_front), Some((number, beat.last)));
            if !timing.interleave {
                prop_assert!(open.is_none_or(|id| id == beat.id), "ids alternate");
                open = (!beat.last).then_some(beat.id);
            }
        }
        prop_assert!(expected.values().all(VecDeque::is_empty));

        let ids: Vec<u8> = manager.responses.iter().map(|r| r.1.id).collect();
        prop_assert_eq!(ids, writes.iter().map(|w| w.0.id).collect::<Vec<_>>());
        let mut memory = BTreeMap::new();
        for (i, (request, beats)) in writes.iter().enumerate() {
            for beat in 0..beats.len() as u64 {
                memory.insert(request.address + beat * 64, i as u8);
            }
        }
        for (&address, &value) in &memory {
            let mut data = [0; 64];
            manager.ram.load(address, &mut data);
            prop_assert_eq!(data, [value; 64]);
        }

        let again = run();
        prop_assert_eq!(&manager.beats, &again.beats);
        prop_assert_eq!(&manager.responses, &again.responses);
    }
}
