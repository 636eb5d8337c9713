//! The same seeded work for both designs.

use rtl_hdl::sim::Simulator;

/// What a run did; equal for equal designs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Commands that came out.
    pub commands: u64,
    /// Reads that were made.
    pub reads: u64,
    /// A hash over every field of every command, in order.
    pub checksum: u64,
    /// The design's error output at the end.
    pub error: bool,
}

/// Runs a queue-fetch design for `clocks` clocks: random doorbells, a read port that stalls, a receiver that stalls.
pub fn run(sim: &mut dyn Simulator, clocks: u64) -> Outcome {
    let mut state = 0x0139_408d_cbbf_7a45_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut entries = [[0u64; 8]; 64];
    for (k, entry) in entries.iter_mut().enumerate() {
        entry.fill_with(&mut random);
        entry[0] = entry[0] & !0xff | (k as u64 & 3);
    }
    let base = 1u64 << 32;
    let [reset, enable, base_port, db_valid, db_tail, ar_ready, r_valid, r_data, r_last, cmd_ready] =
        ["reset", "enable", "base", "db_valid", "db_tail", "ar_ready", "r_valid", "r_data", "r_last", "cmd_ready"]
            .map(|n| sim.port(n));
    let [ar_valid, ar_addr, r_ready, cmd_valid, sq_head, err] =
        ["ar_valid", "ar_addr", "r_ready", "cmd_valid", "sq_head", "err"].map(|n| sim.port(n));
    let fields = ["cmd_op", "cmd_cid", "cmd_nsid", "cmd_prp1", "cmd_prp2", "cmd_slba", "cmd_nlb"].map(|n| sim.port(n));

    sim.poke_u64(reset, 1);
    sim.poke_u64(enable, 1);
    sim.poke_u64(base_port, base);
    for _ in 0..4 {
        sim.step();
    }
    sim.poke_u64(reset, 0);

    let mut outcome = Outcome { commands: 0, reads: 0, checksum: 0, error: false };
    let (mut tail, mut reading) = (0u64, None::<(usize, usize)>);
    for _ in 0..clocks {
        let r = random();
        let published = tail.wrapping_sub(sim.peek_u64(sq_head)) & 63;
        let more = r & 3;
        let rings = r & 0x30 == 0 && published + more < 63;
        if rings {
            tail = (tail + more) & 63;
            sim.poke_u64(db_tail, tail);
        }
        sim.poke_u64(db_valid, rings as u64);
        sim.poke_u64(ar_ready, r >> 8 & 1);
        let offers = reading.is_some() && r >> 9 & 1 == 1;
        if let Some((entry, beat)) = reading {
            sim.poke(r_data, &entries[entry][2 * beat..2 * beat + 2]);
            sim.poke_u64(r_last, (beat == 3) as u64);
        }
        sim.poke_u64(r_valid, offers as u64);
        sim.poke_u64(cmd_ready, (r >> 10 & 3 == 0) as u64);
        sim.settle();
        if sim.peek_u64(cmd_valid) == 1 && r >> 10 & 3 == 0 {
            outcome.commands += 1;
            for field in fields {
                outcome.checksum = outcome.checksum.wrapping_mul(0x0100_0000_01b3) ^ sim.peek_u64(field);
            }
        }
        let beat_taken = offers && sim.peek_u64(r_ready) == 1;
        let read_taken = (r >> 8 & 1 == 1 && sim.peek_u64(ar_valid) == 1).then(|| sim.peek_u64(ar_addr));
        sim.step();
        if beat_taken {
            reading = reading.and_then(|(entry, beat)| (beat < 3).then_some((entry, beat + 1)));
        }
        if let Some(address) = read_taken {
            reading = Some((((address - base) / 64) as usize, 0));
            outcome.reads += 1;
        }
    }
    outcome.error = sim.peek_u64(err) == 1;
    outcome
}
