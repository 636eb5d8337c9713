//! The AXI4 memory behind `direct`: answers in order.

use super::bytes::Bytes;
use super::BackEnd;
use rtl_hdl::bench::Bench;
use std::collections::VecDeque;

/// Memory with its bus `memory`.
pub(crate) struct Memory {
    bytes: Bytes,
    /// Whether an access to an address ends with an error.
    bad: fn(u64) -> bool,
    latency: u64,
    now: u64,
    /// When it is due, the address of the next beat, and beats left, of each read.
    reads: VecDeque<(u64, u64, u64)>,
    /// Address of the next beat, beats left, and whether a beat failed, of each write whose address has come.
    writes: VecDeque<(u64, u64, bool)>,
    beats: VecDeque<(Vec<u64>, u64, bool)>,
    /// When it is due, and whether it is an error.
    responses: VecDeque<(u64, bool)>,
}

const OKAY: u64 = rtl_bus::resp::OKAY as u64;
const SLVERR: u64 = rtl_bus::resp::SLVERR as u64;

impl Memory {
    pub fn new(bytes: Bytes, bad: fn(u64) -> bool, latency: u64) -> Memory {
        let (reads, writes, beats, responses) = Default::default();
        Memory { bytes, bad, latency, now: 0, reads, writes, beats, responses }
    }

    fn answer_reads(&mut self, bench: &mut Bench) {
        while bench.pending("memory_r") < 2 {
            let Some((_, address, left)) = self.reads.front_mut().filter(|(due, ..)| *due <= self.now) else { break };
            let bad = (self.bad)(*address);
            let line = self.bytes.line(*address).filter(|_| !bad).unwrap_or(vec![0xBAD0_BAD0_BAD0_BAD0; 8]);
            *left -= 1;
            *address += 64;
            let item = bench
                .fields("memory_r")
                .set("resp", if bad { SLVERR } else { OKAY })
                .set("last", (*left == 0) as u64)
                .set_words("data", &line);
            if *left == 0 {
                self.reads.pop_front();
            }
            bench.send("memory_r", [item.words()]);
        }
    }

    fn carry_out_writes(&mut self, bench: &mut Bench) {
        while let (Some((address, left, failed)), false) = (self.writes.front_mut(), self.beats.is_empty()) {
            let (data, strobe, last) = self.beats.pop_front().expect("not empty");
            assert_eq!(last, *left == 1, "WLAST of a burst with {left} beats left");
            if (self.bad)(*address) {
                *failed = true;
            } else {
                assert!(self.bytes.write_line(*address, &data, strobe), "a write to {address:#x}, where nothing is");
            }
            *address += 64;
            *left -= 1;
            if *left == 0 {
                self.responses.push_back((self.now + self.latency, *failed));
                self.writes.pop_front();
            }
        }
        while let Some((_, failed)) = self.responses.front().filter(|(due, _)| *due <= self.now) {
            let item = bench.fields("memory_b").set("resp", if *failed { SLVERR } else { OKAY });
            bench.send("memory_b", [item.words()]);
            self.responses.pop_front();
        }
    }
}

impl BackEnd for Memory {
    fn clock(&mut self, bench: &mut Bench) {
        self.now += 1;
        let burst = |bench: &mut Bench, channel: &str| {
            let bursts = bench.drain_fields(channel).into_iter().map(|burst| {
                let (address, beats) = (burst.get("addr"), burst.get("len") + 1);
                assert_eq!(address % 64, 0, "{channel} at {address:#x}");
                assert_eq!(address / 4096, (address + 64 * beats - 1) / 4096, "{channel} crosses 4 KiB: {address:#x}");
                (address, beats)
            });
            bursts.collect::<Vec<_>>()
        };
        let reads = burst(bench, "memory_ar");
        let writes = burst(bench, "memory_aw");
        self.reads.extend(reads.into_iter().map(|(address, beats)| (self.now + self.latency, address, beats)));
        self.writes.extend(writes.into_iter().map(|(address, beats)| (address, beats, false)));
        for beat in bench.drain_fields("memory_w") {
            self.beats.push_back((beat.get_words("data"), beat.get("strb"), beat.get("last") == 1));
        }
        self.answer_reads(bench);
        self.carry_out_writes(bench);
    }

    fn forget(&mut self, bench: &mut Bench) {
        for stream in ["memory_r", "memory_b"] {
            bench.clear(stream);
        }
        for stream in ["memory_ar", "memory_aw", "memory_w"] {
            bench.drain(stream);
        }
        *self = Memory::new(std::mem::take(&mut self.bytes), self.bad, self.latency);
    }

    fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn is_idle(&self) -> bool {
        self.reads.is_empty() && self.writes.is_empty() && self.beats.is_empty() && self.responses.is_empty()
    }
}
