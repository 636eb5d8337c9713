//! The monitor of permissions: one writer or many readers.

use super::{MessageSample, Report, Rule, TileLinkSample, Violation};
use crate::tile_link::variant;
use crate::{OpcodeA, OpcodeB, OpcodeC, OpcodeD, TileLinkConfig};
use std::collections::{BTreeMap, BTreeSet};

/// What a client may do with a block. TileLink, "Permissions".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Permission {
    /// It has no copy.
    Nothing,
    /// It may read its copy.
    Branch,
    /// It may read and write its copy.
    Trunk,
}

/// `param` of channels B and D, `toT`, `toB` and `toN`.
fn cap(param: u8) -> Option<Permission> {
    [Permission::Trunk, Permission::Branch, Permission::Nothing].get(usize::from(param)).copied()
}

/// `param` of channel C: what it was, and what it is.
fn shrink(param: u8) -> Option<(Permission, Permission)> {
    use Permission::{Branch, Nothing, Trunk};
    let all =
        [(Trunk, Branch), (Trunk, Nothing), (Branch, Nothing), (Trunk, Trunk), (Branch, Branch), (Nothing, Nothing)];
    all.get(usize::from(param)).copied()
}

/// Judges the buses of all clients of one memory together: who has a copy of what, and which probes and grants wait. A client may forget a clean copy
/// without a word, so that it may have less than what the monitor knows, and never more.
#[derive(Clone, Debug)]
pub struct CoherenceMonitor {
    config: TileLinkConfig,
    report: Report,
    clients: Vec<Client>,
}

#[derive(Clone, Debug, Default)]
struct Client {
    /// By block.
    copies: BTreeMap<u64, Permission>,
    /// The block that each source acquires.
    acquires: BTreeMap<u16, u64>,
    /// Blocks whose probes are not answered, and what may be kept.
    probes: BTreeMap<u64, Permission>,
    /// Sinks of grants that are not acknowledged, and their blocks.
    grants: BTreeMap<u16, u64>,
    /// Blocks that are released, by source.
    releases: BTreeMap<u16, u64>,
    /// Beats to come on channels A, C and D.
    left: [u32; 3],
}

impl CoherenceMonitor {
    /// A monitor of this many clients, which have no copies; `name` is for its messages.
    pub fn new(name: &str, config: TileLinkConfig, clients: usize) -> Self {
        CoherenceMonitor { config, report: Report::new(name), clients: vec![Client::default(); clients] }
    }

    /// Looks at the buses of all clients just before a clock edge.
    ///
    /// # Panics
    /// If there are not as many samples as clients.
    pub fn clock(&mut self, now: &[TileLinkSample]) {
        assert_eq!(now.len(), self.clients.len(), "a sample for each client");
        if now.iter().any(|sample| sample.reset) {
            self.clients.fill(Client::default());
        } else {
            // What is given up counts before what is given: both may happen in one clock.
            for (number, sample) in now.iter().enumerate() {
                self.ask(number, sample);
                self.give_up(number, sample);
            }
            for (number, sample) in now.iter().enumerate() {
                self.probe(number, sample);
                self.grant(number, sample);
            }
        }
        self.report.clock += 1;
    }

    /// Whether a beat is the first of its message.
    fn is_first(&mut self, number: usize, channel: usize, has_data: bool, beat: &MessageSample) -> bool {
        let left = &mut self.clients[number].left[channel];
        if *left > 0 {
            *left -= 1;
            return false;
        }
        *left = if has_data { (1u32 << beat.size).div_ceil(self.config.beat_bytes()) - 1 } else { 0 };
        true
    }

    fn ask(&mut self, number: usize, sample: &TileLinkSample) {
        let Some(beat) = sample.a.taken() else { return };
        let opcode = variant(beat.opcode.into());
        let acquires = matches!(opcode, Some(OpcodeA::AcquireBlock | OpcodeA::AcquirePerm));
        if self.is_first(number, 0, beat.opcode < 4, &beat) && acquires {
            let client = &mut self.clients[number];
            client.acquires.insert(beat.source, beat.address);
            if client.releases.values().any(|block| *block == beat.address) {
                let what = format!("client {number} acquires block {:#x} while it releases it", beat.address);
                self.report.add(Rule::Permission, what);
            }
        }
    }

    /// Releases, and answers to probes.
    fn give_up(&mut self, number: usize, sample: &TileLinkSample) {
        let Some(beat) = sample.c.taken() else { return };
        let Some(opcode) = variant::<OpcodeC>(beat.opcode.into()) else { return };
        let has_data = matches!(opcode, OpcodeC::ProbeAckData | OpcodeC::ReleaseData);
        if !self.is_first(number, 1, has_data, &beat) {
            return;
        }
        let block = beat.address;
        let client = &mut self.clients[number];
        let had = *client.copies.get(&block).unwrap_or(&Permission::Nothing);
        let Some((from, to)) = shrink(beat.param) else { return };
        client.copies.insert(block, to);
        let mut wrong = vec![];
        if from > had {
            wrong.push((Rule::Permission, format!("gives up {from:?} of block {block:#x}, of which it has {had:?}")));
        }
        if matches!(opcode, OpcodeC::Release | OpcodeC::ReleaseData) {
            client.releases.insert(beat.source, block);
        } else {
            match client.probes.remove(&block) {
                Some(kept) if to <= kept => {}
                Some(kept) => wrong.push((
                    Rule::Permission,
                    format!("keeps {to:?} of block {block:#x}, of which {kept:?} may be kept"),
                )),
                None => wrong.push((Rule::ResponseUnasked, format!("answers no probe of block {block:#x}"))),
            }
            if client.releases.values().any(|released| *released == block) {
                wrong.push((Rule::Permission, format!("answers a probe of block {block:#x} while it releases it")));
            }
        }
        for (rule, what) in wrong {
            self.report.add(rule, format!("client {number} {what}"));
        }
    }

    fn probe(&mut self, number: usize, sample: &TileLinkSample) {
        let Some(beat) = sample.b.taken() else { return };
        let probes = matches!(variant(beat.opcode.into()), Some(OpcodeB::ProbeBlock | OpcodeB::ProbePerm));
        let Some(kept) = cap(beat.param).filter(|_| probes) else { return };
        let client = &mut self.clients[number];
        let block = beat.address;
        if client.probes.insert(block, kept).is_some() {
            let what = format!("client {number} is probed twice for block {block:#x}");
            self.report.add(Rule::SourceInUse, what);
        }
        if client.grants.values().any(|granted| *granted == block) {
            let what = format!("client {number} is probed for block {block:#x} before it has acknowledged its grant");
            self.report.add(Rule::Permission, what);
        }
    }

    /// Grants, their acknowledgements, and those of releases.
    fn grant(&mut self, number: usize, sample: &TileLinkSample) {
        if let Some(beat) = sample.d.taken() {
            let opcode = variant(beat.opcode.into());
            let has_data = matches!(opcode, Some(OpcodeD::AccessAckData | OpcodeD::GrantData));
            if self.is_first(number, 2, has_data, &beat) {
                match opcode {
                    Some(OpcodeD::Grant | OpcodeD::GrantData) => self.begin_grant(number, &beat),
                    Some(OpcodeD::ReleaseAck) => drop(self.clients[number].releases.remove(&beat.source)),
                    _ => {}
                }
            }
        }
        if let Some(sink) = sample.e.taken() {
            if self.clients[number].grants.remove(&sink).is_none() {
                let what = format!("client {number} acknowledges sink {sink:#x}, which has granted nothing");
                self.report.add(Rule::ResponseUnasked, what);
            }
        }
    }

    fn begin_grant(&mut self, number: usize, beat: &MessageSample) {
        let client = &mut self.clients[number];
        // A grant of nothing that was asked is found by the monitor of the bus.
        let Some(block) = client.acquires.remove(&beat.source) else { return };
        if client.grants.insert(beat.sink, block).is_some() {
            let what = format!("sink {:#x} grants to client {number} while a grant of it waits", beat.sink);
            self.report.add(Rule::SourceInUse, what);
        }
        let Some(given) = cap(beat.param).filter(|_| !beat.denied) else { return };
        client.copies.insert(block, given);
        let most = if given == Permission::Trunk { Permission::Nothing } else { Permission::Branch };
        for (other, client) in self.clients.iter().enumerate().filter(|(other, _)| *other != number) {
            let has = *client.copies.get(&block).unwrap_or(&Permission::Nothing);
            if has > most {
                let what =
                    format!("client {number} gets a {given:?} of block {block:#x} while client {other} has a {has:?}");
                self.report.add(Rule::Permission, what);
            }
        }
    }

    /// At the end of a run: probes that are not answered and grants that are not acknowledged are violations.
    pub fn finish(&mut self) {
        let probes: usize = self.clients.iter().map(|client| client.probes.len()).sum();
        let grants: BTreeSet<u64> = self.clients.iter().flat_map(|client| client.grants.values().copied()).collect();
        if probes > 0 || !grants.is_empty() {
            let what = format!("{probes} probes are not answered; grants of {grants:x?} are not acknowledged");
            self.report.add(Rule::Unanswered, what);
        }
    }

    /// Every violation so far.
    pub fn violations(&self) -> &[Violation] {
        &self.report.violations
    }

    /// Asserts that no rule was broken.
    ///
    /// # Panics
    /// With all violations, if there are any.
    #[track_caller]
    pub fn assert_clean(&self) {
        self.report.assert_none();
    }
}
