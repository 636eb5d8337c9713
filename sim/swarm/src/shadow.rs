//! What each logical block may hold.

use std::collections::BTreeMap;
use std::ops::Range;

use sim_device::Random;

/// Which Write put the content of a block there. 0 is what a new namespace holds: zeroes.
pub type Version = u32;

/// How a Write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It succeeded: all of its blocks hold its data.
    Done,
    /// A reset or a deletion of its queue took it away, while nothing else failed: each block is the old one or the new one, as a whole.
    ///
    /// NVM Command Set, "Atomic Operation": AWUN and AWUPF are at least one logical block.
    Interrupted,
    /// It failed, or its data is not known: its blocks hold anything.
    Unknown,
}

/// A point in the order of events as the host knows it: what ended before something else began surely came before it.
pub type Moment = u64;

/// Something that a block may hold.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    version: Version,
    /// What the version looks like is known.
    is_known: bool,
    /// It may be that the block cannot be read: of a Write Uncorrectable.
    is_mark: bool,
    begun: Moment,
    ended: Option<Moment>,
    /// When a later Write surely replaced it.
    replaced: Option<Moment>,
}

/// Old candidates are thrown away when a block has more.
const CANDIDATES_MAX: usize = 8;

/// The namespace as the commands so far must have left it.
///
/// Writes of one block that overlap in time may take effect in either order, and a Read meanwhile sees either. So a block has *candidates*: a Write
/// adds one when it begins, and, when it succeeds, ends those that had ended before it began. A Read may return what was a candidate at any moment
/// between its submission and its completion.
pub struct Shadow {
    seed: u64,
    lba_bytes: usize,
    /// Bytes that are always of one candidate.
    whole_bytes: usize,
    blocks: BTreeMap<u64, Vec<Candidate>>,
    moment: Moment,
    versions: Version,
    /// Since when nothing is known of blocks that are not in `blocks`.
    forgotten: bool,
}

impl Shadow {
    /// A new namespace. Pieces of `whole_bytes` bytes are of one Write each, whatever meets: a logical block where Writes are atomic.
    pub fn new(seed: u64, lba_bytes: u32, whole_bytes: u32) -> Self {
        Self {
            seed,
            lba_bytes: lba_bytes as usize,
            whole_bytes: whole_bytes as usize,
            blocks: BTreeMap::new(),
            moment: 0,
            versions: 0,
            forgotten: false,
        }
    }

    /// A new moment, after all others.
    pub fn now(&mut self) -> Moment {
        self.moment += 1;
        self.moment
    }

    fn initial(&self) -> Candidate {
        let (is_known, is_mark) = (!self.forgotten, self.forgotten);
        Candidate { version: 0, is_known, is_mark, begun: 0, ended: Some(0), replaced: None }
    }

    /// Something happened after which blocks hold anything, or cannot be read.
    pub fn forget_everything(&mut self) {
        self.blocks.clear();
        self.forgotten = true;
    }

    /// A Write of its own data begins: which version it writes.
    pub fn begin(&mut self, lbas: Range<u64>) -> Version {
        self.add(lbas, true, false)
    }

    /// A Write of data that nobody knows begins.
    pub fn begin_unknown(&mut self, lbas: Range<u64>) -> Version {
        self.add(lbas, false, false)
    }

    /// A Write Uncorrectable begins.
    pub fn begin_mark(&mut self, lbas: Range<u64>) -> Version {
        self.add(lbas, false, true)
    }

    fn add(&mut self, lbas: Range<u64>, is_known: bool, is_mark: bool) -> Version {
        self.versions += 1;
        let version = self.versions;
        let begun = self.now();
        let initial = self.initial();
        for lba in lbas {
            let candidates = self.blocks.entry(lba).or_insert_with(|| vec![initial]);
            candidates.push(Candidate { version, is_known, is_mark, begun, ended: None, replaced: None });
        }
        version
    }

    /// A Write ends. What a Read that began at `oldest_read` or later cannot return any more is thrown away.
    pub fn end(&mut self, lbas: Range<u64>, version: Version, end: End, oldest_read: Option<Moment>) {
        let now = self.now();
        for lba in lbas {
            let Some(candidates) = self.blocks.get_mut(&lba) else { continue };
            let Some(index) = candidates.iter().position(|c| c.version == version) else { continue };
            candidates[index].ended = Some(now);
            let begun = candidates[index].begun;
            match end {
                End::Done => replace(candidates, begun, now),
                End::Interrupted => {}
                End::Unknown => candidates[index].is_known = false,
            }
            prune(candidates, oldest_read.unwrap_or(now));
        }
    }

    /// The data of a Write.
    pub fn data(&self, lbas: Range<u64>, version: Version) -> Vec<u8> {
        let mut data = vec![0; (lbas.end - lbas.start) as usize * self.lba_bytes];
        for (lba, block) in lbas.zip(data.chunks_mut(self.lba_bytes)) {
            self.fill(lba, version, block);
        }
        data
    }

    fn fill(&self, lba: u64, version: Version, block: &mut [u8]) {
        if version == 0 {
            block.fill(0);
        } else {
            let mixed = self.seed ^ lba.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(version) << 40;
            Random::new(mixed).fill(block);
        }
    }

    /// The first block that a Read, begun at `begun` and ending now, must not have returned.
    pub fn wrong_block(&self, lbas: Range<u64>, begun: Moment, data: &[u8]) -> Option<u64> {
        let mut expected = vec![0; self.lba_bytes];
        let initial = [self.initial()];
        let mut pairs = lbas.zip(data.chunks(self.lba_bytes));
        let wrong = pairs.find(|(lba, block)| {
            let candidates = self.blocks.get(lba).map_or(&initial[..], Vec::as_slice);
            let mut open: Vec<usize> = (0..block.len()).step_by(self.whole_bytes).collect();
            for candidate in candidates.iter().filter(|c| c.replaced.is_none_or(|replaced| replaced > begun)) {
                if !candidate.is_known {
                    return false;
                }
                self.fill(*lba, candidate.version, &mut expected);
                open.retain(|at| block[*at..][..self.whole_bytes] != expected[*at..][..self.whole_bytes]);
                if open.is_empty() {
                    return false;
                }
            }
            true
        });
        wrong.map(|(lba, _)| lba)
    }

    /// Whether a Read, begun at `begun` and ending now, may have met a block that cannot be read.
    pub fn may_be_unreadable(&self, lbas: Range<u64>, begun: Moment) -> bool {
        let count = lbas.end - lbas.start;
        let mut candidates = self.blocks.range(lbas.clone()).flat_map(|(_, candidates)| candidates);
        let is_untold = self.forgotten && (self.blocks.range(lbas).count() as u64) < count;
        is_untold || candidates.any(|c| c.is_mark && c.replaced.is_none_or(|replaced| replaced > begun))
    }

    /// What blocks may hold, in words: for messages.
    pub fn describe(&self, lba: u64) -> String {
        let candidates = self.blocks.get(&lba).map_or_else(|| vec![self.initial()], Clone::clone);
        let words: Vec<String> = candidates
            .iter()
            .map(|c| {
                let what = if c.is_known { format!("version {}", c.version) } else { "anything".to_owned() };
                let replaced = c.replaced.map_or(String::new(), |at| format!(", replaced at {at}"));
                format!("{what} (begun at {}, ended at {:?}{replaced})", c.begun, c.ended)
            })
            .collect();
        words.join("; ")
    }

    /// What a block is that was read, in words: for messages.
    pub fn recognize(&self, lba: u64, block: &[u8]) -> String {
        // The first bytes tell versions apart.
        let mut start = [0; 8];
        let mut looks_like = |lba: u64, version: Version| {
            self.fill(lba, version, &mut start);
            start == block[..8]
        };
        if let Some(version) = (0..=self.versions).find(|version| looks_like(lba, *version)) {
            let is_whole = self.data(lba..lba + 1, version) == block;
            return format!("version {version}{}", if is_whole { "" } else { ", torn" });
        }
        // Only blocks that were written are of interest, and this is for people who look into a failure.
        let others = self.blocks.keys().flat_map(|other| (1..=self.versions).map(move |version| (*other, version)));
        match others.into_iter().find(|(other, version)| looks_like(*other, *version)) {
            Some((other, version)) => format!("version {version} of block {other}"),
            None => format!("no version of any block: {:02x?}...", &block[..16]),
        }
    }

    /// Blocks that were written and whose content is known, from `lba` on: at most `blocks_max` that follow each other.
    pub fn next_known(&self, lba: u64, blocks_max: u64) -> Option<Range<u64>> {
        let mut known = self.blocks.range(lba..).filter(|(_, c)| c.iter().all(|c| c.is_known)).map(|(lba, _)| *lba);
        let start = known.next()?;
        let mut end = start + 1;
        for lba in known {
            if lba != end || end - start == blocks_max {
                break;
            }
            end += 1;
        }
        Some(start..end)
    }
}

/// What had ended before `begun` is replaced.
fn replace(candidates: &mut [Candidate], begun: Moment, now: Moment) {
    for candidate in candidates {
        if candidate.ended.is_some_and(|ended| ended < begun) && candidate.replaced.is_none() {
            candidate.replaced = Some(now);
        }
    }
}

fn prune(candidates: &mut Vec<Candidate>, oldest_read: Moment) {
    if candidates.len() > CANDIDATES_MAX {
        candidates.retain(|candidate| candidate.replaced.is_none_or(|replaced| replaced > oldest_read));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadow() -> Shadow {
        Shadow::new(7, 512, 512)
    }

    #[test]
    fn pieces_of_a_block_may_be_of_several_writes_where_writes_are_not_atomic() {
        for (whole_bytes, wrong) in [(512, Some(0)), (64, None)] {
            let mut shadow = Shadow::new(7, 512, whole_bytes);
            let [one, two] = [shadow.begin(0..1), shadow.begin(0..1)];
            let torn = [&shadow.data(0..1, one)[..64], &shadow.data(0..1, two)[64..]].concat();
            let begun = shadow.now();
            assert_eq!(shadow.wrong_block(0..1, begun, &torn), wrong);
            let smaller = [&torn[..32], &[0; 480]].concat();
            assert_eq!(shadow.wrong_block(0..1, begun, &smaller), Some(0));
        }
    }

    #[test]
    fn a_new_namespace_holds_zeroes() {
        let mut shadow = shadow();
        let begun = shadow.now();
        assert_eq!(shadow.wrong_block(0..2, begun, &[0; 1024]), None);
        let mut data = [0; 1024];
        data[600] = 1;
        assert_eq!(shadow.wrong_block(0..2, begun, &data), Some(1));
    }

    #[test]
    fn a_write_that_is_done_replaces_what_was_there() {
        let mut shadow = shadow();
        let version = shadow.begin(4..6);
        let data = shadow.data(4..6, version);
        let during = shadow.now();
        shadow.end(4..6, version, End::Done, None);
        let after = shadow.now();
        assert_eq!(shadow.wrong_block(4..6, after, &data), None);
        assert_eq!(shadow.wrong_block(4..6, after, &[0; 1024]), Some(4));
        assert_eq!(shadow.wrong_block(4..6, during, &[0; 1024]), None, "a Read that began before its end");
        let swapped = [&data[512..], &data[..512]].concat();
        assert_eq!(shadow.wrong_block(4..6, after, &swapped), Some(4), "blocks differ");
    }

    #[test]
    fn writes_at_the_same_time_end_in_either_order() {
        let mut shadow = shadow();
        let [one, two] = [shadow.begin(0..1), shadow.begin(0..1)];
        shadow.end(0..1, two, End::Done, None);
        shadow.end(0..1, one, End::Done, None);
        let after = shadow.now();
        for version in [one, two] {
            assert_eq!(shadow.wrong_block(0..1, after, &shadow.data(0..1, version)), None);
        }
        assert_eq!(shadow.wrong_block(0..1, after, &[0; 512]), Some(0));
        let three = shadow.begin(0..1);
        shadow.end(0..1, three, End::Done, None);
        let after = shadow.now();
        assert_eq!(shadow.wrong_block(0..1, after, &shadow.data(0..1, one)), Some(0));
    }

    #[test]
    fn interrupted_writes_leave_whole_blocks_and_failed_ones_anything() {
        let mut shadow = shadow();
        let version = shadow.begin(0..2);
        shadow.end(0..2, version, End::Interrupted, None);
        let new = shadow.data(0..2, version);
        let half = [&new[..512], &[0; 512]].concat();
        let torn = [&new[..256], &[0; 768]].concat();
        let after = shadow.now();
        assert_eq!(shadow.wrong_block(0..2, after, &half), None);
        assert_eq!(shadow.wrong_block(0..2, after, &torn), Some(0));
        let version = shadow.begin(0..2);
        shadow.end(0..2, version, End::Unknown, None);
        let after = shadow.now();
        assert_eq!(shadow.wrong_block(0..2, after, &torn), None);
        assert_eq!(shadow.next_known(0, 8), None);
    }

    #[test]
    fn marked_blocks_may_be_unreadable_until_they_are_written() {
        let mut shadow = shadow();
        let mark = shadow.begin_mark(3..5);
        let during = shadow.now();
        shadow.end(3..5, mark, End::Unknown, None);
        assert!(shadow.may_be_unreadable(0..4, during) && !shadow.may_be_unreadable(0..3, during));
        let version = shadow.begin(3..5);
        shadow.end(3..5, version, End::Done, None);
        let after = shadow.now();
        assert!(shadow.may_be_unreadable(4..9, during), "a Read that began before the Write ended");
        assert!(!shadow.may_be_unreadable(0..9, after));
        shadow.forget_everything();
        assert!(shadow.may_be_unreadable(0..1, after));
        let version = shadow.begin(0..1);
        shadow.end(0..1, version, End::Done, None);
        let after = shadow.now();
        assert!(!shadow.may_be_unreadable(0..1, after) && shadow.may_be_unreadable(0..2, after));
    }

    #[test]
    fn known_blocks_are_found_in_pieces() {
        let mut shadow = shadow();
        for lbas in [3..7, 9..10] {
            let version = shadow.begin(lbas.clone());
            shadow.end(lbas, version, End::Done, None);
        }
        assert_eq!(shadow.next_known(0, 3), Some(3..6));
        assert_eq!(shadow.next_known(6, 3), Some(6..7));
        assert_eq!(shadow.next_known(7, 3), Some(9..10));
        assert_eq!(shadow.next_known(10, 3), None);
        shadow.forget_everything();
        assert_eq!(shadow.next_known(0, 3), None);
    }

    #[test]
    fn old_candidates_are_thrown_away() {
        let mut shadow = shadow();
        for _ in 0..100 {
            let version = shadow.begin(0..1);
            shadow.end(0..1, version, End::Done, None);
        }
        assert!(shadow.blocks[&0].len() <= CANDIDATES_MAX + 1);
    }
}
