//! The words of a running design, and what operations do to them.

use super::{wide, ForeignInstance};
use crate::bench::set_bits;
use std::cmp::Ordering;

/// The index of the lowest word of a value.
pub(super) type Slot = u32;

/// One operation. `d` is written; `a`, `b`, `c` are read. `unused` counts the bits of the (top) word that do not count; `n` counts words.
/// The first group is for values of one word, the second for more.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Copy {
        d: Slot,
        a: Slot,
    },
    Not {
        unused: u8,
        d: Slot,
        a: Slot,
    },
    And {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Or {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Xor {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Add {
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Sub {
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Mul {
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Eq {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Ne {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Lt {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Le {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    SignedLt {
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    SignedLe {
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    All {
        unused: u8,
        d: Slot,
        a: Slot,
    },
    Any {
        d: Slot,
        a: Slot,
    },
    Odd {
        d: Slot,
        a: Slot,
    },
    Shl {
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Shr {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    SignedShr {
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Mux {
        d: Slot,
        c: Slot,
        a: Slot,
        b: Slot,
    },
    /// Bits of one word.
    Bits {
        low: u8,
        unused: u8,
        d: Slot,
        a: Slot,
    },
    /// Bits of two neighbouring words.
    BitsOfTwo {
        low: u8,
        unused: u8,
        d: Slot,
        a: Slot,
    },
    /// `a` above the low `low` bits, which are `b`.
    Join {
        low: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    /// Word number `b` of `a`, in words of this width.
    Select {
        width: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    /// The same out of a wide value.
    SelectOfWide {
        width: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Lookup {
        d: Slot,
        memory: u32,
        a: Slot,
    },

    WideCopy {
        n: u16,
        d: Slot,
        a: Slot,
    },
    WideNot {
        n: u16,
        unused: u8,
        d: Slot,
        a: Slot,
    },
    WideAnd {
        n: u16,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideOr {
        n: u16,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideXor {
        n: u16,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideAdd {
        n: u16,
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideSub {
        n: u16,
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideMul {
        n: u16,
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideEq {
        n: u16,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideNe {
        n: u16,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideLt {
        n: u16,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideLe {
        n: u16,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideSignedLt {
        n: u16,
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideSignedLe {
        n: u16,
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideAll {
        n: u16,
        unused: u8,
        d: Slot,
        a: Slot,
    },
    WideAny {
        n: u16,
        d: Slot,
        a: Slot,
    },
    WideOdd {
        n: u16,
        d: Slot,
        a: Slot,
    },
    WideShl {
        n: u16,
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideShr {
        n: u16,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideSignedShr {
        n: u16,
        unused: u8,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    WideMux {
        n: u16,
        d: Slot,
        c: Slot,
        a: Slot,
        b: Slot,
    },
    /// The value as one word, the largest if it does not fit.
    Saturate {
        n: u16,
        d: Slot,
        a: Slot,
    },
    Clear {
        n: u16,
        d: Slot,
    },
    /// `a` goes into the cleared `d` at bit `low`.
    Insert {
        d: Slot,
        a: Slot,
        low: u32,
        width: u32,
    },
    WideBits {
        d: Slot,
        a: Slot,
        low: u32,
        width: u32,
    },
    WideSelect {
        d: Slot,
        a: Slot,
        b: Slot,
        width: u32,
    },
    WideLookup {
        n: u16,
        d: Slot,
        memory: u32,
        a: Slot,
    },

    /// `d` becomes `a` if `c` is set: a reset that does not wait for a clock.
    CopyWhere {
        n: u16,
        c: Slot,
        d: Slot,
        a: Slot,
    },
    /// An element of an array.
    SetElement {
        element: u32,
    },

    Jump {
        to: u32,
    },
    JumpUnless {
        c: Slot,
        to: u32,
    },
    JumpUnlessEq {
        a: Slot,
        b: Slot,
        to: u32,
    },
    /// To the place that the table has for the value of `a`.
    Case {
        a: Slot,
        table: u32,
    },

    /// The next value of a register.
    Next {
        d: Slot,
        a: Slot,
    },
    WideNext {
        n: u16,
        d: Slot,
        a: Slot,
    },
    /// An element of the next value of an array, of which there is a next value already.
    NextElement {
        element: u32,
    },
    /// The next value of the data register of a memory.
    NextRead {
        d: Slot,
        memory: u32,
        a: Slot,
    },
    /// A combinational output of a foreign module.
    Foreign {
        instance: u32,
        output: u32,
    },
}

const _: () = assert!(size_of::<Op>() <= 20, "the program should stay small");

/// The assignment of the element number `index` of the array at `d`, which has `count` elements of `width` bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub d: Slot,
    pub a: Slot,
    pub index: Slot,
    pub width: u32,
    pub count: u32,
}

impl Element {
    /// The lowest bit of the element; nothing if there is no such element.
    fn low(&self, words: &[u64]) -> Option<u32> {
        let index = words[self.index as usize];
        (index < u64::from(self.count)).then(|| index as u32 * self.width)
    }
}

/// A memory: `depth` words of `stride` 64-bit words.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub stride: usize,
    pub depth: usize,
    pub words: Vec<u64>,
}

/// A write port: slots, and the width of a lane.
#[derive(Clone, Debug)]
pub(super) struct WritePort {
    pub memory: usize,
    pub enable: Slot,
    pub address: Slot,
    pub data: Slot,
    /// Slot, number of lanes, bits in a lane.
    pub lanes: Option<(Slot, u32, u32)>,
}

/// Where a `Case` goes: a place for each value.
pub(super) type Table = Vec<u32>;

pub(super) struct Machine {
    /// Every value; the state comes first.
    pub words: Vec<u64>,
    /// The next values of the state, at the same indexes.
    pub next: Vec<u64>,
    /// Slots and word counts of the state that has a next value; as many as can be at once fit.
    pub pending: Vec<(Slot, u16)>,
    pub memories: Vec<Memory>,
    pub tables: Vec<Table>,
    pub elements: Vec<Element>,
}

impl Machine {
    /// Runs `ops` from number `start` to their end.
    pub fn run(&mut self, ops: &[Op], start: usize, foreign: &[ForeignInstance]) {
        let w = &mut self.words[..];
        let mut at = start;
        macro_rules! r {
            ($slot:expr) => {
                w[$slot as usize]
            };
        }
        while let Some(op) = ops.get(at) {
            at += 1;
            match *op {
                Op::Copy { d, a } => r!(d) = r!(a),
                Op::Not { unused, d, a } => r!(d) = !r!(a) & (u64::MAX >> unused),
                Op::And { d, a, b } => r!(d) = r!(a) & r!(b),
                Op::Or { d, a, b } => r!(d) = r!(a) | r!(b),
                Op::Xor { d, a, b } => r!(d) = r!(a) ^ r!(b),
                Op::Add { unused, d, a, b } => r!(d) = r!(a).wrapping_add(r!(b)) & (u64::MAX >> unused),
                Op::Sub { unused, d, a, b } => r!(d) = r!(a).wrapping_sub(r!(b)) & (u64::MAX >> unused),
                Op::Mul { unused, d, a, b } => r!(d) = r!(a).wrapping_mul(r!(b)) & (u64::MAX >> unused),
                Op::Eq { d, a, b } => r!(d) = (r!(a) == r!(b)) as u64,
                Op::Ne { d, a, b } => r!(d) = (r!(a) != r!(b)) as u64,
                Op::Lt { d, a, b } => r!(d) = (r!(a) < r!(b)) as u64,
                Op::Le { d, a, b } => r!(d) = (r!(a) <= r!(b)) as u64,
                Op::SignedLt { unused, d, a, b } => {
                    r!(d) = (wide::signed(r!(a), unused) < wide::signed(r!(b), unused)) as u64
                }
                Op::SignedLe { unused, d, a, b } => {
                    r!(d) = (wide::signed(r!(a), unused) <= wide::signed(r!(b), unused)) as u64
                }
                Op::All { unused, d, a } => r!(d) = (r!(a) == u64::MAX >> unused) as u64,
                Op::Any { d, a } => r!(d) = (r!(a) != 0) as u64,
                Op::Odd { d, a } => r!(d) = u64::from(r!(a).count_ones() & 1),
                Op::Shl { unused, d, a, b } => {
                    let amount = r!(b);
                    r!(d) = if amount < 64 { r!(a) << amount & (u64::MAX >> unused) } else { 0 };
                }
                Op::Shr { d, a, b } => {
                    let amount = r!(b);
                    r!(d) = if amount < 64 { r!(a) >> amount } else { 0 };
                }
                Op::SignedShr { unused, d, a, b } => {
                    let amount = r!(b).min(63);
                    r!(d) = (wide::signed(r!(a), unused) >> amount) as u64 & (u64::MAX >> unused);
                }
                Op::Mux { d, c, a, b } => r!(d) = if r!(c) != 0 { r!(a) } else { r!(b) },
                Op::Bits { low, unused, d, a } => r!(d) = r!(a) >> low & (u64::MAX >> unused),
                Op::BitsOfTwo { low, unused, d, a } => {
                    r!(d) = (r!(a) >> low | r!(a + 1) << (64 - low)) & (u64::MAX >> unused);
                }
                Op::Join { low, d, a, b } => r!(d) = r!(a) << low | r!(b),
                Op::Select { width, d, a, b } => {
                    r!(d) = r!(a) >> (r!(b) as u32 * u32::from(width)) & (u64::MAX >> (64 - width));
                }
                Op::SelectOfWide { width, d, a, b } => {
                    wide::extract(w, d as usize, a as usize, r!(b) * u64::from(width), width.into())
                }
                Op::Lookup { d, memory, a } => {
                    let address = r!(a) as usize;
                    r!(d) = self.memories[memory as usize].words.get(address).copied().unwrap_or(0);
                }

                Op::WideCopy { n, d, a } => w.copy_within(a as usize..a as usize + n as usize, d as usize),
                Op::WideNot { n, unused, d, a } => {
                    for i in 0..u32::from(n) {
                        r!(d + i) = !r!(a + i);
                    }
                    r!(d + u32::from(n) - 1) &= u64::MAX >> unused;
                }
                Op::WideAnd { n, d, a, b } => {
                    for i in 0..u32::from(n) {
                        r!(d + i) = r!(a + i) & r!(b + i);
                    }
                }
                Op::WideOr { n, d, a, b } => {
                    for i in 0..u32::from(n) {
                        r!(d + i) = r!(a + i) | r!(b + i);
                    }
                }
                Op::WideXor { n, d, a, b } => {
                    for i in 0..u32::from(n) {
                        r!(d + i) = r!(a + i) ^ r!(b + i);
                    }
                }
                Op::WideAdd { n, unused, d, a, b } => {
                    wide::add(w, d as usize, a as usize, b as usize, n as usize, unused)
                }
                Op::WideSub { n, unused, d, a, b } => {
                    wide::sub(w, d as usize, a as usize, b as usize, n as usize, unused)
                }
                Op::WideMul { n, unused, d, a, b } => {
                    wide::mul(w, d as usize, a as usize, b as usize, n as usize, unused)
                }
                Op::WideEq { n, d, a, b } => {
                    r!(d) = (wide::compare(w, a as usize, b as usize, n as usize) == Ordering::Equal) as u64
                }
                Op::WideNe { n, d, a, b } => {
                    r!(d) = (wide::compare(w, a as usize, b as usize, n as usize) != Ordering::Equal) as u64
                }
                Op::WideLt { n, d, a, b } => {
                    r!(d) = (wide::compare(w, a as usize, b as usize, n as usize) == Ordering::Less) as u64
                }
                Op::WideLe { n, d, a, b } => {
                    r!(d) = (wide::compare(w, a as usize, b as usize, n as usize) != Ordering::Greater) as u64
                }
                Op::WideSignedLt { n, unused, d, a, b } => {
                    let order = wide::compare_signed(w, a as usize, b as usize, n as usize, unused);
                    r!(d) = (order == Ordering::Less) as u64
                }
                Op::WideSignedLe { n, unused, d, a, b } => {
                    let order = wide::compare_signed(w, a as usize, b as usize, n as usize, unused);
                    r!(d) = (order != Ordering::Greater) as u64
                }
                Op::WideAll { n, unused, d, a } => {
                    let (top, below) = (a as usize + n as usize - 1, a as usize..a as usize + n as usize - 1);
                    r!(d) = (w[top] == u64::MAX >> unused && w[below].iter().all(|&word| word == u64::MAX)) as u64;
                }
                Op::WideAny { n, d, a } => {
                    r!(d) = w[a as usize..a as usize + n as usize].iter().any(|&word| word != 0) as u64
                }
                Op::WideOdd { n, d, a } => {
                    let all = w[a as usize..a as usize + n as usize].iter().fold(0, |all, word| all ^ word);
                    r!(d) = u64::from(all.count_ones() & 1);
                }
                Op::WideShl { n, unused, d, a, b } => {
                    wide::shift_left(w, d as usize, a as usize, r!(b), n as usize, unused)
                }
                Op::WideShr { n, d, a, b } => wide::shift_right(w, d as usize, a as usize, r!(b), n as usize),
                Op::WideSignedShr { n, unused, d, a, b } => {
                    wide::shift_right_signed(w, d as usize, a as usize, r!(b), n as usize, unused)
                }
                Op::WideMux { n, d, c, a, b } => {
                    let from = if r!(c) != 0 { a } else { b } as usize;
                    w.copy_within(from..from + n as usize, d as usize);
                }
                Op::Saturate { n, d, a } => r!(d) = wide::saturate(w, a as usize, n as usize),
                Op::Clear { n, d } => w[d as usize..d as usize + n as usize].fill(0),
                Op::Insert { d, a, low, width } => wide::insert(w, d as usize, a as usize, low, width),
                Op::WideBits { d, a, low, width } => wide::extract(w, d as usize, a as usize, low.into(), width),
                Op::WideSelect { d, a, b, width } => {
                    wide::extract(w, d as usize, a as usize, r!(b) * u64::from(width), width)
                }
                Op::WideLookup { n, d, memory, a } => {
                    let (address, n) = (r!(a) as usize, n as usize);
                    let memory = &self.memories[memory as usize];
                    let target = &mut w[d as usize..d as usize + n];
                    match address < memory.depth {
                        true => target.copy_from_slice(&memory.words[address * n..][..n]),
                        false => target.fill(0),
                    }
                }

                Op::CopyWhere { n, c, d, a } => {
                    if r!(c) != 0 {
                        w.copy_within(a as usize..a as usize + n as usize, d as usize);
                    }
                }
                Op::SetElement { element } => {
                    let element = self.elements[element as usize];
                    if let Some(low) = element.low(w) {
                        wide::replace(w, element.d as usize, element.a as usize, low, element.width);
                    }
                }

                Op::Jump { to } => at = to as usize,
                Op::JumpUnless { c, to } => {
                    if r!(c) == 0 {
                        at = to as usize;
                    }
                }
                Op::JumpUnlessEq { a, b, to } => {
                    if r!(a) != r!(b) {
                        at = to as usize;
                    }
                }
                Op::Case { a, table } => at = self.tables[table as usize][r!(a) as usize] as usize,

                Op::Next { d, a } => {
                    self.next[d as usize] = r!(a);
                    self.pending.push((d, 1));
                }
                Op::WideNext { n, d, a } => {
                    self.next[d as usize..d as usize + n as usize]
                        .copy_from_slice(&w[a as usize..a as usize + n as usize]);
                    self.pending.push((d, n));
                }
                Op::NextElement { element } => {
                    let element = self.elements[element as usize];
                    if let Some(low) = element.low(w) {
                        let value = &w[element.a as usize..][..crate::words_for(element.width)];
                        set_bits(&mut self.next[element.d as usize..], low, element.width, value);
                    }
                }
                Op::NextRead { d, memory, a } => {
                    let memory = &self.memories[memory as usize];
                    let (address, n) = (r!(a) as usize, memory.stride);
                    let target = &mut self.next[d as usize..d as usize + n];
                    match address < memory.depth {
                        true => target.copy_from_slice(&memory.words[address * n..][..n]),
                        false => target.fill(0),
                    }
                    self.pending.push((d, n as u16));
                }
                Op::Foreign { instance, output } => {
                    let instance = &foreign[instance as usize];
                    let (name, slot, width) = &instance.combinational[output as usize];
                    let value = instance.model.output(name, &instance.reader(w));
                    assert_eq!(value.width(), *width, "the model's output `{name}` has {width} bits in the design");
                    w[*slot as usize..][..value.words().len()].copy_from_slice(value.words());
                }
            }
        }
    }

    /// Writes memories from the values before the edge; true if a word changed.
    pub fn write_memories(&mut self, ports: &[WritePort]) -> bool {
        let mut changed = false;
        for port in ports {
            let memory = &mut self.memories[port.memory];
            let address = self.words[port.address as usize] as usize;
            if self.words[port.enable as usize] == 0 || address >= memory.depth {
                continue;
            }
            let n = memory.stride;
            let word = &mut memory.words[address * n..][..n];
            let data = &self.words[port.data as usize..][..n];
            match port.lanes {
                None => {
                    changed |= word != data;
                    word.copy_from_slice(data);
                }
                Some((lanes, count, width)) => {
                    for lane in
                        (0..count).filter(|lane| self.words[(lanes + lane / 64) as usize] >> (lane % 64) & 1 == 1)
                    {
                        changed |= copy_bits(word, data, lane * width, width);
                    }
                }
            }
        }
        changed
    }

    /// The next state becomes the state; true if it differs.
    pub fn commit(&mut self) -> bool {
        let mut changed = false;
        for &(slot, n) in &self.pending {
            let range = slot as usize..slot as usize + n as usize;
            if n == 1 {
                let (old, new) = (&mut self.words[range.start], self.next[range.start]);
                changed |= *old != new;
                *old = new;
            } else {
                changed |= self.words[range.clone()] != self.next[range.clone()];
                self.words[range.clone()].copy_from_slice(&self.next[range]);
            }
        }
        self.pending.clear();
        changed
    }
}

/// Copies `width` bits from bit `low` up; true if they differ.
fn copy_bits(to: &mut [u64], from: &[u64], low: u32, width: u32) -> bool {
    let mut changed = false;
    let (mut low, mut left) = (low, width);
    while left > 0 {
        let (word, shift) = ((low / 64) as usize, low % 64);
        let count = left.min(64 - shift);
        let mask = (u64::MAX >> (64 - count)) << shift;
        let new = to[word] & !mask | from[word] & mask;
        changed |= to[word] != new;
        to[word] = new;
        low += count;
        left -= count;
    }
    changed
}
