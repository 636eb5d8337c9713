//! What a cell of yosys does, by its definition in "Internal cell library". Bits are lists, the lowest first.

use num_bigint::BigUint;
use sim_yosys::Error;

use super::{Described, Memory, Net};

/// A cell without a clock.
#[derive(Debug)]
pub struct Cell {
    pub operation: Operation,
    /// In the order of [`Operation::inputs`].
    pub inputs: Vec<Vec<Net>>,
    pub output: Vec<Net>,
    /// What stands for a bit that is not defined.
    pub unknown: bool,
}

/// What it computes. Operands that are signed are made wider with copies of their highest bit, others with zeros.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// A word of the memory of this number.
    Read(usize),
    Unary {
        operation: Unary,
        signed: bool,
    },
    Reduce(Reduce),
    Bitwise {
        operation: Bitwise,
        signed: bool,
    },
    Arithmetic {
        operation: Arithmetic,
        signed: bool,
    },
    Compare {
        operation: Compare,
        signed: bool,
    },
    Logic {
        or: bool,
    },
    Shift {
        operation: Shift,
        signed: bool,
    },
    /// By an amount with a sign: up, if it is negative.
    ShiftEither {
        signed: bool,
        amount_signed: bool,
        unknown_beyond: bool,
    },
    Mux,
    /// One of several, by one select bit each.
    ParallelMux,
}

#[derive(Clone, Copy, Debug)]
pub enum Unary {
    Not,
    Positive,
    Negative,
}

#[derive(Clone, Copy, Debug)]
pub enum Reduce {
    And,
    Or,
    Xor,
    Xnor,
    /// No bit is set.
    None,
}

#[derive(Clone, Copy, Debug)]
pub enum Bitwise {
    And,
    Or,
    Xor,
    Xnor,
}

#[derive(Clone, Copy, Debug)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

#[derive(Clone, Copy, Debug)]
pub enum Compare {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

#[derive(Clone, Copy, Debug)]
pub enum Shift {
    Left,
    Right,
    /// Copies of the highest bit come in, if the operand is signed.
    RightWithSign,
}

impl Operation {
    /// The operation of a cell, if it is known here.
    pub fn of(cell: &Described) -> Result<Option<Operation>, Error> {
        use Operation as O;
        let unary = |operation| Ok::<_, Error>(O::Unary { operation, signed: cell.flag("A_SIGNED")? });
        let both = || {
            let signed = cell.flag("A_SIGNED")?;
            match signed == cell.flag("B_SIGNED")? {
                true => Ok(signed),
                false => Err(cell.is("an operation on operands of which one is signed")),
            }
        };
        let bitwise = |operation| Ok::<_, Error>(O::Bitwise { operation, signed: both()? });
        let arithmetic = |operation| Ok::<_, Error>(O::Arithmetic { operation, signed: both()? });
        let compare = |operation| Ok::<_, Error>(O::Compare { operation, signed: both()? });
        let shift = |operation| match cell.flag("B_SIGNED")? {
            false => Ok(O::Shift { operation, signed: cell.flag("A_SIGNED")? }),
            true => Err(cell.is("a shift by an amount with a sign")),
        };
        let either = |unknown_beyond| {
            let (signed, amount_signed) = (cell.flag("A_SIGNED")?, cell.flag("B_SIGNED")?);
            Ok::<_, Error>(O::ShiftEither { signed, amount_signed, unknown_beyond })
        };
        Ok(Some(match cell.cell.kind.as_str() {
            "$not" => unary(Unary::Not)?,
            "$pos" => unary(Unary::Positive)?,
            "$neg" => unary(Unary::Negative)?,
            "$and" => bitwise(Bitwise::And)?,
            "$or" => bitwise(Bitwise::Or)?,
            "$xor" => bitwise(Bitwise::Xor)?,
            "$xnor" => bitwise(Bitwise::Xnor)?,
            "$add" => arithmetic(Arithmetic::Add)?,
            "$sub" => arithmetic(Arithmetic::Subtract)?,
            "$mul" => arithmetic(Arithmetic::Multiply)?,
            "$lt" => compare(Compare::Less)?,
            "$le" => compare(Compare::LessOrEqual)?,
            "$eq" => compare(Compare::Equal)?,
            "$ne" => compare(Compare::NotEqual)?,
            "$ge" => compare(Compare::GreaterOrEqual)?,
            "$gt" => compare(Compare::Greater)?,
            "$shl" | "$sshl" => shift(Shift::Left)?,
            "$shr" => shift(Shift::Right)?,
            "$sshr" => shift(Shift::RightWithSign)?,
            "$shift" => either(false)?,
            "$shiftx" => either(true)?,
            "$reduce_and" => O::Reduce(Reduce::And),
            "$reduce_or" | "$reduce_bool" => O::Reduce(Reduce::Or),
            "$reduce_xor" => O::Reduce(Reduce::Xor),
            "$reduce_xnor" => O::Reduce(Reduce::Xnor),
            "$logic_not" => O::Reduce(Reduce::None),
            "$logic_and" => O::Logic { or: false },
            "$logic_or" => O::Logic { or: true },
            "$mux" => O::Mux,
            "$pmux" => O::ParallelMux,
            _ => return Ok(None),
        }))
    }

    /// Its input ports.
    pub fn inputs(self) -> &'static [&'static str] {
        match self {
            Operation::Read(_) => &["ADDR"],
            Operation::Unary { .. } | Operation::Reduce(_) => &["A"],
            Operation::Mux | Operation::ParallelMux => &["A", "B", "S"],
            _ => &["A", "B"],
        }
    }
}

impl Cell {
    /// Computes the output.
    pub fn compute(&self, values: &mut [bool], memories: &[Memory]) {
        let result = self.result(values, memories);
        for (net, bit) in self.output.iter().zip(result) {
            values[*net] = bit;
        }
    }

    fn result(&self, values: &[bool], memories: &[Memory]) -> Vec<bool> {
        let input = |index: usize| -> Vec<bool> { self.inputs[index].iter().map(|net| values[*net]).collect() };
        let width = self.output.len();
        match self.operation {
            Operation::Read(memory) => {
                let word = number(input(0)).and_then(|index| memories[memory].words.get(index));
                word.cloned().unwrap_or_else(|| vec![self.unknown; width])
            }
            Operation::Unary { operation, signed } => {
                let a = extended(input(0), width, signed);
                match operation {
                    Unary::Positive => a,
                    Unary::Not => inverted(a),
                    Unary::Negative => sum(&inverted(a), &[], true, width),
                }
            }
            Operation::Reduce(operation) => one_bit(reduced(operation, &input(0)), width),
            Operation::Logic { or } => {
                let [a, b] = [input(0), input(1)].map(|bits| bits.contains(&true));
                one_bit(if or { a || b } else { a && b }, width)
            }
            Operation::Bitwise { operation, signed } => {
                let (a, b) = (extended(input(0), width, signed), extended(input(1), width, signed));
                let of_bits = |(a, b)| match operation {
                    Bitwise::And => a & b,
                    Bitwise::Or => a | b,
                    Bitwise::Xor => a ^ b,
                    Bitwise::Xnor => a == b,
                };
                a.into_iter().zip(b).map(of_bits).collect()
            }
            Operation::Arithmetic { operation, signed } => {
                let (a, b) = (extended(input(0), width, signed), extended(input(1), width, signed));
                match operation {
                    Arithmetic::Add => sum(&a, &b, false, width),
                    Arithmetic::Subtract => sum(&a, &inverted(b), true, width),
                    Arithmetic::Multiply => low_bits(&(integer(&a) * integer(&b)), width),
                }
            }
            Operation::Compare { operation, signed } => {
                let (a, b) = (input(0), input(1));
                let wide = a.len().max(b.len());
                let (mut a, mut b) = (extended(a, wide, signed), extended(b, wide, signed));
                if signed {
                    // Then the order is that of numbers without a sign.
                    [&mut a, &mut b].into_iter().for_each(|bits| bits[wide - 1] ^= true);
                }
                let order = a.iter().rev().cmp(b.iter().rev());
                let holds = match operation {
                    Compare::Less => order.is_lt(),
                    Compare::LessOrEqual => order.is_le(),
                    Compare::Equal => order.is_eq(),
                    Compare::NotEqual => order.is_ne(),
                    Compare::GreaterOrEqual => order.is_ge(),
                    Compare::Greater => order.is_gt(),
                };
                one_bit(holds, width)
            }
            Operation::Shift { operation, signed } => {
                let a = input(0);
                let wide = a.len().max(width);
                let a = extended(a, wide, signed);
                let amount = number(input(1)).unwrap_or(wide).min(wide);
                let fill = matches!(operation, Shift::RightWithSign) && signed && a.last() == Some(&true);
                let from = |index: usize| match operation {
                    Shift::Left => index.checked_sub(amount).is_some_and(|from| a[from]),
                    _ => a.get(index + amount).copied().unwrap_or(fill),
                };
                (0..width).map(from).collect()
            }
            Operation::ShiftEither { signed, amount_signed, unknown_beyond } => {
                let a = input(0);
                let a = if unknown_beyond { a } else { extended_at_least(a, width, signed) };
                let beyond = unknown_beyond && self.unknown;
                let mut amount = input(1);
                let up = amount_signed && amount.last() == Some(&true);
                if up {
                    amount = sum(&inverted(amount.clone()), &[], true, amount.len());
                }
                let from = |index: usize| {
                    let amount = number(amount.iter().copied())?;
                    let from = if up { index.checked_sub(amount) } else { index.checked_add(amount) };
                    from.and_then(|from| a.get(from).copied())
                };
                (0..width).map(|index| from(index).unwrap_or(beyond)).collect()
            }
            Operation::Mux => input(usize::from(values[self.inputs[2][0]])),
            Operation::ParallelMux => {
                let selected: Vec<usize> = (0..self.inputs[2].len()).filter(|i| values[self.inputs[2][*i]]).collect();
                match selected[..] {
                    [] => input(0),
                    [index] => input(1)[index * width..][..width].to_vec(),
                    _ => vec![self.unknown; width],
                }
            }
        }
    }
}

/// The number in these bits, if it is not absurdly large.
pub fn number(bits: impl IntoIterator<Item = bool>) -> Option<usize> {
    let mut number = 0;
    for (index, _) in bits.into_iter().enumerate().filter(|(_, bit)| *bit) {
        number |= 1usize.checked_shl(index as u32).filter(|_| index < 30)?;
    }
    Some(number)
}

fn one_bit(bit: bool, width: usize) -> Vec<bool> {
    (0..width).map(|index| index == 0 && bit).collect()
}

/// These bits in this width: cut, or with more above.
fn extended(mut bits: Vec<bool>, width: usize, signed: bool) -> Vec<bool> {
    let above = signed && bits.last() == Some(&true);
    bits.resize(width, above);
    bits
}

fn extended_at_least(bits: Vec<bool>, width: usize, signed: bool) -> Vec<bool> {
    let width = width.max(bits.len());
    extended(bits, width, signed)
}

fn inverted(mut bits: Vec<bool>) -> Vec<bool> {
    bits.iter_mut().for_each(|bit| *bit = !*bit);
    bits
}

fn reduced(operation: Reduce, bits: &[bool]) -> bool {
    let odd = bits.iter().filter(|bit| **bit).count() % 2 == 1;
    match operation {
        Reduce::And => !bits.contains(&false),
        Reduce::Or => bits.contains(&true),
        Reduce::Xor => odd,
        Reduce::Xnor => !odd,
        Reduce::None => !bits.contains(&true),
    }
}

/// The sum, with a carry into the lowest bit; missing bits are zero.
fn sum(a: &[bool], b: &[bool], mut carry: bool, width: usize) -> Vec<bool> {
    let bit = |bits: &[bool], index: usize| bits.get(index).copied().unwrap_or(false);
    let full_adder = |index| {
        let (a, b) = (bit(a, index), bit(b, index));
        let sum = a ^ b ^ carry;
        carry = a & b | carry & (a ^ b);
        sum
    };
    (0..width).map(full_adder).collect()
}

fn integer(bits: &[bool]) -> BigUint {
    let mut bytes = vec![0; bits.len().div_ceil(8)];
    for (index, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
        bytes[index / 8] |= 1 << (index % 8);
    }
    BigUint::from_bytes_le(&bytes)
}

fn low_bits(integer: &BigUint, width: usize) -> Vec<bool> {
    (0..width).map(|index| integer.bit(index as u64)).collect()
}
