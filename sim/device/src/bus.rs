//! The path to a memory, beat by beat: see [`Bus`].

use std::collections::VecDeque;

use crate::{Beat, Chance, Memory, Random, BEAT_BYTES, PAGE_BYTES};

/// A number of clocks, drawn anew each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
}

impl Clocks {
    /// Always `clocks`.
    pub const fn fixed(clocks: u32) -> Self {
        Self { min: clocks, max: clocks }
    }

    /// Between `min` and `max`, both included.
    pub const fn between(min: u32, max: u32) -> Self {
        assert!(min <= max);
        Self { min, max }
    }

    /// Draws.
    pub fn draw(self, random: &mut Random) -> u64 {
        if self.min == self.max {
            u64::from(self.min)
        } else {
            random.between(u64::from(self.min), u64::from(self.max))
        }
    }
}

/// The chance of each channel to pause in a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    /// Read addresses are not accepted.
    pub read_address: Chance,
    /// No read beat is offered.
    pub read_data: Chance,
    /// Write addresses are not accepted.
    pub write_address: Chance,
    /// Write beats are not accepted.
    pub write_data: Chance,
    /// No write response is offered.
    pub write_response: Chance,
}

impl Stalls {
    /// No channel ever pauses.
    pub const NONE: Self = Self::all(Chance::NEVER);

    /// The same chance on every channel.
    pub const fn all(chance: Chance) -> Self {
        Self {
            read_address: chance,
            read_data: chance,
            write_address: chance,
            write_data: chance,
            write_response: chance,
        }
    }
}

/// How a [`Bus`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusTiming {
    /// From the clock in which a read address is accepted to the clock in which its first beat is offered.
    pub read_latency: Clocks,
    /// From the clock of the last write beat to the clock in which the response is offered.
    pub write_latency: Clocks,
    /// A read is late with this chance ...
    pub late: Chance,
    /// ... by so many clocks more.
    pub late_clocks: Clocks,
    /// Pauses.
    pub stalls: Stalls,
    /// Reads with different ids may be answered in any order.
    pub reorder: bool,
    /// Beats of reads with different ids may alternate. Has an effect with `reorder` only.
    pub interleave: bool,
    /// Writes take effect only when their response is given.
    pub writes_settle_late: bool,
    /// Reads in flight before addresses are no longer accepted.
    pub reads_max: u32,
    /// Writes in flight before addresses are no longer accepted.
    pub writes_max: u32,
    /// Seed of all draws.
    pub seed: u64,
}

impl BusTiming {
    /// Answers in the next clock, never pauses, keeps the order.
    pub const IDEAL: Self = Self::with_latency(1);

    /// As [`IDEAL`](Self::IDEAL), with `clocks` of latency.
    pub const fn with_latency(clocks: u32) -> Self {
        Self {
            read_latency: Clocks::fixed(clocks),
            write_latency: Clocks::fixed(clocks),
            late: Chance::NEVER,
            late_clocks: Clocks::fixed(0),
            stalls: Stalls::NONE,
            reorder: false,
            interleave: false,
            writes_settle_late: false,
            reads_max: 256,
            writes_max: 256,
            seed: 0,
        }
    }

    /// Everything that the protocol allows, at random from `seed`.
    pub fn adverse(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0xAD5E);
        let stalls = [Chance::NEVER, Chance::of(1, 8), Chance::of(1, 2), Chance::of(7, 8)];
        Self {
            read_latency: Clocks::between(1, *random.pick(&[1, 10, 100, 400])),
            write_latency: Clocks::between(1, *random.pick(&[1, 10, 100, 400])),
            late: *random.pick(&[Chance::NEVER, Chance::of(1, 50)]),
            late_clocks: Clocks::between(500, 2000),
            stalls: Stalls {
                read_address: *random.pick(&stalls),
                read_data: *random.pick(&stalls),
                write_address: *random.pick(&stalls),
                write_data: *random.pick(&stalls),
                write_response: *random.pick(&stalls),
            },
            reorder: random.below(4) != 0,
            interleave: random.below(2) == 0,
            writes_settle_late: false,
            reads_max: *random.pick(&[1, 4, 256]),
            writes_max: *random.pick(&[1, 4, 256]),
            seed,
        }
    }
}

impl Default for BusTiming {
    fn default() -> Self {
        Self::IDEAL
    }
}

/// An address on the read channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// ARID.
    pub id: u8,
    /// ARUSER: the function.
    pub function: u8,
    /// ARADDR. Need not be aligned; the beats are.
    pub address: u64,
    /// ARLEN + 1.
    pub beats: u32,
}

/// A beat on the read data channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBeat {
    /// RID.
    pub id: u8,
    /// RDATA.
    pub data: Beat,
    /// RRESP is not OKAY.
    pub error: bool,
    /// RLAST.
    pub last: bool,
}

/// An address on the write channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRequest {
    /// AWID.
    pub id: u8,
    /// AWUSER: the function.
    pub function: u8,
    /// AWADDR. Need not be aligned; the beats are.
    pub address: u64,
    /// AWLEN + 1.
    pub beats: u32,
}

/// A response on the write channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteResponse {
    /// BID.
    pub id: u8,
    /// BRESP is not OKAY.
    pub error: bool,
}

struct Read {
    id: u8,
    function: u8,
    address: u64,
    beats: u32,
    due: u64,
}

struct Write {
    id: u8,
    function: u8,
    address: u64,
    beats: u32,
    error: bool,
}

struct WriteBeat {
    data: Beat,
    strobe: u64,
    last: bool,
}

struct Response {
    response: WriteResponse,
    due: u64,
    /// Beats at the front of `settling` that take effect with it.
    beats: u32,
}

struct Settling {
    function: u8,
    address: u64,
    data: Beat,
    strobe: u64,
}

/// Data beats that may arrive before their address.
const EARLY_BEATS_MAX: usize = 64;

/// Reads among which the next one to answer is chosen; a bound on the work per clock.
const REORDER_WINDOW: usize = 64;

/// An AXI4 subordinate in front of a [`Memory`], with full 64-byte beats, incrementing bursts, many transactions in flight, and knobs for
/// everything that the protocol leaves open. Deterministic for a seed.
///
/// ## Theory of operation
/// What the bus drives in a clock is decided by [`Bus::begin_clock`] and does not depend on what the manager drives in that clock. The
/// caller then looks at ready and valid and reports each transfer that takes place:
///
/// ```text
/// begin_clock
///   manager's AR valid and read_ready()        -> read(..)
///   read_beat() is some and manager's R ready  -> take_read_beat()
///   manager's AW valid and write_ready()       -> write(..)
///   manager's W valid and write_beat_ready()   -> write_beat(..)
///   write_response() is some and its B ready   -> take_write_response()
/// ```
///
/// An offered beat or response stays offered until it is taken. With the default knobs every channel moves in every clock.
///
/// ## Order
/// Reads of one id are answered in order; [`BusTiming::reorder`] allows any order between ids, [`BusTiming::interleave`] a change of id
/// between beats. Writes take effect in their order as soon as address and data are there (posted), or, with
/// [`BusTiming::writes_settle_late`], only when their response is given, so that a manager of a memory that does not wait is found out.
pub struct Bus {
    timing: BusTiming,
    random: Random,
    clock: u64,
    reads: VecDeque<Read>,
    /// Index in `reads` of the read whose beats are being given.
    current: Option<usize>,
    offered: ReadBeat,
    read_offered: bool,
    read_ready: bool,
    writes: VecDeque<Write>,
    early: VecDeque<WriteBeat>,
    settling: VecDeque<Settling>,
    responses: VecDeque<Response>,
    response_offered: bool,
    write_ready: bool,
    write_beat_ready: bool,
    beats_read: u64,
    beats_written: u64,
}

impl Bus {
    /// A bus with nothing in flight.
    pub fn new(timing: BusTiming) -> Self {
        Self {
            timing,
            random: Random::new(timing.seed),
            clock: 0,
            reads: VecDeque::new(),
            current: None,
            offered: ReadBeat { id: 0, data: [0; BEAT_BYTES], error: false, last: false },
            read_offered: false,
            read_ready: false,
            writes: VecDeque::new(),
            early: VecDeque::new(),
            settling: VecDeque::new(),
            responses: VecDeque::new(),
            response_offered: false,
            write_ready: false,
            write_beat_ready: false,
            beats_read: 0,
            beats_written: 0,
        }
    }

    /// Changes the knobs. What is in flight keeps the latency that it drew.
    pub fn set_timing(&mut self, timing: BusTiming) {
        self.timing = timing;
        self.random = Random::new(timing.seed);
    }

    /// Whether nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.reads.is_empty()
            && !self.read_offered
            && self.writes.is_empty()
            && self.early.is_empty()
            && self.responses.is_empty()
    }

    /// Beats read and written since the start.
    pub const fn beats(&self) -> (u64, u64) {
        (self.beats_read, self.beats_written)
    }

    /// Decides what the bus drives in the clock that begins.
    pub fn begin_clock(&mut self, memory: &mut impl Memory) {
        self.clock += 1;
        let BusTiming { stalls, reads_max, writes_max, .. } = self.timing;
        if !self.read_offered && !self.reads.is_empty() && !stalls.read_data.happens(&mut self.random) {
            self.offer_read_beat(memory);
        }
        if !self.response_offered && !self.responses.is_empty() {
            self.offer_response(memory);
        }
        self.read_ready = self.reads.len() < reads_max as usize && !stalls.read_address.happens(&mut self.random);
        self.write_ready = self.writes.len() + self.responses.len() < writes_max as usize
            && !stalls.write_address.happens(&mut self.random);
        self.write_beat_ready = self.early.len() < EARLY_BEATS_MAX && !stalls.write_data.happens(&mut self.random);
    }

    // --- Reads -----------------------------------------------------------------------------------------------------------------------

    /// ARREADY.
    pub const fn read_ready(&self) -> bool {
        self.read_ready
    }

    /// A read address was transferred.
    ///
    /// # Panics
    /// When the request breaks the protocol.
    pub fn read(&mut self, request: ReadRequest) {
        assert!(self.read_ready, "read address transferred without ARREADY: {request:x?}");
        self.read_ready = false;
        assert_burst(request.address, request.beats);
        let late =
            if self.timing.late.happens(&mut self.random) { self.timing.late_clocks.draw(&mut self.random) } else { 0 };
        let latency = self.timing.read_latency.draw(&mut self.random).max(1);
        self.reads.push_back(Read {
            id: request.id,
            function: request.function,
            address: beat_address(request.address),
            beats: request.beats,
            due: self.clock + latency + late,
        });
    }

    /// RVALID, and what comes with it.
    pub fn read_beat(&self) -> Option<&ReadBeat> {
        self.read_offered.then_some(&self.offered)
    }

    /// The offered read beat was transferred.
    ///
    /// # Panics
    /// When none is offered.
    pub fn take_read_beat(&mut self) {
        assert!(self.read_offered, "read beat taken without RVALID");
        self.read_offered = false;
        self.beats_read += 1;
    }

    fn offer_read_beat(&mut self, memory: &mut impl Memory) {
        let Some(index) = self.current.or_else(|| self.choose_read()) else {
            return;
        };
        let read = &mut self.reads[index];
        let error = memory.read_beat(read.function, read.address, &mut self.offered.data).is_err();
        if error {
            // What comes with an error is not data; a manager that uses it shall be seen.
            self.offered.data.fill(0xEE);
        }
        read.address += BEAT_BYTES as u64;
        read.beats -= 1;
        self.offered.id = read.id;
        self.offered.error = error;
        self.offered.last = read.beats == 0;
        self.read_offered = true;
        if self.offered.last {
            self.current = None;
            self.reads.remove(index);
        } else {
            let may_change = self.timing.reorder && self.timing.interleave;
            self.current = (!may_change).then_some(index);
        }
    }

    fn choose_read(&mut self) -> Option<usize> {
        if !self.timing.reorder {
            return (self.reads.front()?.due <= self.clock).then_some(0);
        }
        // A read may be answered when it is due and no older read has its id.
        let mut ids_seen = [0u64; 4];
        let mut chosen = None;
        let mut candidates = 0;
        for (index, read) in self.reads.iter().take(REORDER_WINDOW).enumerate() {
            let (word, bit) = (usize::from(read.id / 64), 1u64 << (read.id % 64));
            let oldest_of_id = ids_seen[word] & bit == 0;
            ids_seen[word] |= bit;
            if oldest_of_id && read.due <= self.clock {
                candidates += 1;
                if self.random.below(candidates) == 0 {
                    chosen = Some(index);
                }
            }
        }
        chosen
    }

    // --- Writes ----------------------------------------------------------------------------------------------------------------------

    /// AWREADY.
    pub const fn write_ready(&self) -> bool {
        self.write_ready
    }

    /// A write address was transferred.
    ///
    /// # Panics
    /// When the request breaks the protocol.
    pub fn write(&mut self, request: WriteRequest, memory: &mut impl Memory) {
        assert!(self.write_ready, "write address transferred without AWREADY: {request:x?}");
        self.write_ready = false;
        assert_burst(request.address, request.beats);
        self.writes.push_back(Write {
            id: request.id,
            function: request.function,
            address: beat_address(request.address),
            beats: request.beats,
            error: false,
        });
        self.join_writes(memory);
    }

    /// WREADY. Data may come before its address.
    pub const fn write_beat_ready(&self) -> bool {
        self.write_beat_ready
    }

    /// A write beat was transferred.
    ///
    /// # Panics
    /// When it breaks the protocol.
    pub fn write_beat(&mut self, data: &Beat, strobe: u64, last: bool, memory: &mut impl Memory) {
        assert!(self.write_beat_ready, "write beat transferred without WREADY");
        self.write_beat_ready = false;
        self.beats_written += 1;
        self.early.push_back(WriteBeat { data: *data, strobe, last });
        self.join_writes(memory);
    }

    /// Brings addresses and data together, in order.
    fn join_writes(&mut self, memory: &mut impl Memory) {
        while let Some(write) = self.writes.front_mut() {
            let Some(beat) = self.early.pop_front() else {
                return;
            };
            if self.timing.writes_settle_late {
                self.settling.push_back(Settling {
                    function: write.function,
                    address: write.address,
                    data: beat.data,
                    strobe: beat.strobe,
                });
            } else {
                let result = memory.write_beat(write.function, write.address, &beat.data, beat.strobe);
                write.error |= result.is_err();
            }
            write.address += BEAT_BYTES as u64;
            write.beats -= 1;
            assert_eq!(
                beat.last,
                write.beats == 0,
                "WLAST disagrees with AWLEN of the write before {:#x}",
                write.address
            );
            if beat.last {
                let mut write = self.writes.pop_front().expect("the loop's condition saw it");
                write.error |= memory.end_burst().is_err();
                self.respond(&write);
            }
        }
    }

    fn respond(&mut self, write: &Write) {
        let due = self.clock + self.timing.write_latency.draw(&mut self.random).max(1);
        // A beat settles with the response after it, whatever the knob was when it came.
        let owed: u32 = self.responses.iter().map(|r| r.beats).sum();
        self.responses.push_back(Response {
            response: WriteResponse { id: write.id, error: write.error },
            due,
            beats: self.settling.len() as u32 - owed,
        });
    }

    /// BVALID, and what comes with it.
    pub fn write_response(&self) -> Option<&WriteResponse> {
        if self.response_offered {
            self.responses.front().map(|r| &r.response)
        } else {
            None
        }
    }

    /// The offered write response was transferred.
    ///
    /// # Panics
    /// When none is offered.
    pub fn take_write_response(&mut self) {
        assert!(self.response_offered, "write response taken without BVALID");
        self.response_offered = false;
        self.responses.pop_front();
    }

    fn offer_response(&mut self, memory: &mut impl Memory) {
        let front = &mut self.responses[0];
        if front.due > self.clock || self.timing.stalls.write_response.happens(&mut self.random) {
            return;
        }
        for beat in self.settling.drain(..front.beats as usize) {
            let result = memory.write_beat(beat.function, beat.address, &beat.data, beat.strobe);
            front.response.error |= result.is_err();
        }
        if front.beats > 0 {
            front.response.error |= memory.end_burst().is_err();
        }
        front.beats = 0;
        self.response_offered = true;
    }
}

fn beat_address(address: u64) -> u64 {
    address & !(BEAT_BYTES as u64 - 1)
}

/// AMBA AXI, "Address structure": at most 256 beats, and a burst does not cross a 4 KiB boundary.
#[track_caller]
fn assert_burst(address: u64, beats: u32) {
    assert!((1..=256).contains(&beats), "a burst of {beats} beats at {address:#x}");
    let last = beat_address(address) + u64::from(beats - 1) * BEAT_BYTES as u64;
    assert!(address / PAGE_BYTES == last / PAGE_BYTES, "a burst of {beats} beats at {address:#x} crosses 4 KiB");
}

#[cfg(test)]
mod tests;
