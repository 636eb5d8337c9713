//! Constant expressions of headers, with the widths and signs that SystemVerilog gives them (IEEE 1800-2017, "Expression bit lengths" and
//! "Signed expressions").

use super::text::{Kind, Token};
use super::Refusal;

/// The widest value.
const WIDTH_MAX: u32 = 64;
/// Width of a number without a size.
const INTEGER_WIDTH: u32 = 32;
/// Tokens in an expression, at most; it bounds how deep one goes.
const TOKENS_MAX: usize = 300;

/// A value: bits above the width are zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value {
    pub bits: u64,
    pub width: u32,
    pub signed: bool,
}

fn mask(width: u32) -> u64 {
    u64::MAX >> (WIDTH_MAX - width.clamp(1, WIDTH_MAX))
}

impl Value {
    pub fn new(bits: u64, width: u32, signed: bool) -> Value {
        Value { bits: bits & mask(width), width, signed }
    }

    pub fn integer(value: i32) -> Value {
        Value::new(i64::from(value) as u64, INTEGER_WIDTH, true)
    }

    /// The number that it stands for.
    pub fn number(self) -> i128 {
        let negative = self.signed && self.bits >> (self.width - 1) & 1 == 1;
        i128::from(self.bits) - if negative { 1 << self.width } else { 0 }
    }

    /// The value in another width and with another sign, extended by its own sign.
    pub fn cast(self, width: u32, signed: bool) -> Value {
        Value::new(self.number() as u64, width, signed)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unary {
    Plus,
    Minus,
    Invert,
    Not,
    And,
    Nand,
    Or,
    Nor,
    Xor,
    Xnor,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Binary {
    Power,
    Multiply,
    Divide,
    Modulo,
    Add,
    Subtract,
    ShiftLeft,
    ShiftRight,
    SignedShiftRight,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    And,
    Xor,
    Xnor,
    Or,
    AndThen,
    OrElse,
}

impl Binary {
    /// The operator and how strongly it binds (IEEE 1800-2017, "Operator precedence and associativity").
    fn of(symbol: &str) -> Option<(Binary, u8)> {
        Some(match symbol {
            "**" => (Binary::Power, 11),
            "*" => (Binary::Multiply, 10),
            "/" => (Binary::Divide, 10),
            "%" => (Binary::Modulo, 10),
            "+" => (Binary::Add, 9),
            "-" => (Binary::Subtract, 9),
            "<<" | "<<<" => (Binary::ShiftLeft, 8),
            ">>" => (Binary::ShiftRight, 8),
            ">>>" => (Binary::SignedShiftRight, 8),
            "<" => (Binary::Less, 7),
            "<=" => (Binary::LessOrEqual, 7),
            ">" => (Binary::Greater, 7),
            ">=" => (Binary::GreaterOrEqual, 7),
            "==" | "===" => (Binary::Equal, 6),
            "!=" | "!==" => (Binary::NotEqual, 6),
            "&" => (Binary::And, 5),
            "^" => (Binary::Xor, 4),
            "~^" | "^~" => (Binary::Xnor, 4),
            "|" => (Binary::Or, 3),
            "&&" => (Binary::AndThen, 2),
            "||" => (Binary::OrElse, 1),
            _ => return None,
        })
    }

    fn is_comparison(self) -> bool {
        use Binary::*;
        matches!(self, Less | LessOrEqual | Greater | GreaterOrEqual | Equal | NotEqual)
    }
}

/// An expression.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Expression<'a> {
    Number(Value),
    /// A bit that fills whatever it is put into.
    Fill(bool),
    Name(Token<'a>),
    Unary(Unary, Box<Expression<'a>>),
    Binary(Binary, Box<Expression<'a>>, Box<Expression<'a>>),
    Choice(Box<Expression<'a>>, Box<Expression<'a>>, Box<Expression<'a>>),
    /// How many bits count up to this many.
    Clog2(Box<Expression<'a>>),
}

/// Reads an expression that takes all of `tokens`, which stand in line `line`.
pub(super) fn parse<'a>(tokens: &[Token<'a>], line: u32) -> Result<Expression<'a>, Refusal> {
    if tokens.len() > TOKENS_MAX {
        return Err(Refusal { line, message: format!("an expression has more than {TOKENS_MAX} parts") });
    }
    for token in tokens {
        token.certain()?;
    }
    let mut parser = Parser { tokens, at: 0, line };
    let expression = parser.choice()?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(parser.unexpected(token)),
    }
}

struct Parser<'a, 't> {
    tokens: &'t [Token<'a>],
    at: usize,
    line: u32,
}

impl<'a> Parser<'a, '_> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn take_if(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(text));
        self.at += found as usize;
        found
    }

    fn unexpected(&self, token: Token) -> Refusal {
        let message = format!(
            "`{}` is not understood in a constant expression, which has numbers, parameters, operators and `$clog2`",
            token.text
        );
        Refusal { line: token.line, message }
    }

    fn expect(&mut self, text: &str) -> Result<(), Refusal> {
        if self.take_if(text) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => self.unexpected(token),
            None => Refusal { line: self.line, message: format!("an expression ends where `{text}` should be") },
        })
    }

    fn choice(&mut self) -> Result<Expression<'a>, Refusal> {
        let condition = self.binary(0)?;
        if !self.take_if("?") {
            return Ok(condition);
        }
        let then = self.choice()?;
        self.expect(":")?;
        let otherwise = self.choice()?;
        Ok(Expression::Choice(condition.into(), then.into(), otherwise.into()))
    }

    fn binary(&mut self, above: u8) -> Result<Expression<'a>, Refusal> {
        let mut left = self.unary()?;
        while let Some(token) = self.peek().filter(|token| token.kind == Kind::Symbol) {
            let Some((operator, strength)) = Binary::of(token.text).filter(|(_, strength)| *strength > above) else {
                break;
            };
            self.at += 1;
            left = Expression::Binary(operator, left.into(), self.binary(strength)?.into());
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression<'a>, Refusal> {
        let Some(token) = self.peek() else {
            return Err(Refusal { line: self.line, message: "an expression is missing or ends too early".into() });
        };
        self.at += 1;
        let operator = match (token.kind, token.text) {
            (Kind::Number, text) => return literal(text).map_err(|message| Refusal { line: token.line, message }),
            (Kind::Name, _) if !crate::emit::is_keyword(token.text) => {
                let qualified = self.peek().filter(|next| ["::", ".", "(", "["].iter().any(|symbol| next.is(symbol)));
                return match qualified {
                    Some(next) if next.is("::") => {
                        let message =
                            format!("`{}::` is a package, which is not read: put the number in its place", token.text);
                        Err(Refusal { line: token.line, message })
                    }
                    Some(next) => Err(self.unexpected(next)),
                    None => Ok(Expression::Name(token)),
                };
            }
            (Kind::System, "$clog2") => {
                self.expect("(")?;
                let inner = self.choice()?;
                self.expect(")")?;
                return Ok(Expression::Clog2(inner.into()));
            }
            (Kind::Symbol, "(") => {
                let inner = self.choice()?;
                self.expect(")")?;
                return Ok(inner);
            }
            (Kind::Symbol, "+") => Unary::Plus,
            (Kind::Symbol, "-") => Unary::Minus,
            (Kind::Symbol, "~") => Unary::Invert,
            (Kind::Symbol, "!") => Unary::Not,
            (Kind::Symbol, "&") => Unary::And,
            (Kind::Symbol, "~&") => Unary::Nand,
            (Kind::Symbol, "|") => Unary::Or,
            (Kind::Symbol, "~|") => Unary::Nor,
            (Kind::Symbol, "^") => Unary::Xor,
            (Kind::Symbol, "~^" | "^~") => Unary::Xnor,
            _ => return Err(self.unexpected(token)),
        };
        Ok(Expression::Unary(operator, self.unary()?.into()))
    }
}

/// Reads a number as it is written.
fn literal<'a>(text: &str) -> Result<Expression<'a>, String> {
    let digits_of = |text: &str| text.replace(['_', ' ', '\t'], "");
    let Some((size, based)) = text.split_once('\'') else {
        let value = digits_of(text).parse::<i32>();
        let message =
            |_| format!("`{text}` is no number of 31 bits: write a larger one with its size, as in `40'd{text}`");
        return Ok(Expression::Number(Value::integer(value.map_err(message)?)));
    };
    match based {
        "0" => return Ok(Expression::Fill(false)),
        "1" => return Ok(Expression::Fill(true)),
        _ => {}
    }
    let (signed, based) = match based.strip_prefix(['s', 'S']) {
        Some(rest) => (true, rest),
        None => (false, based),
    };
    let width = match digits_of(size).as_str() {
        "" => INTEGER_WIDTH,
        size => size.parse().unwrap_or(0),
    };
    if !(1..=WIDTH_MAX).contains(&width) {
        return Err(format!("`{text}` has no size from 1 to {WIDTH_MAX} bits"));
    }
    let radix = match based.chars().next() {
        Some('b' | 'B') => 2,
        Some('o' | 'O') => 8,
        Some('d' | 'D') => 10,
        _ => 16,
    };
    let digits = digits_of(based.get(1..).unwrap_or(""));
    match u64::from_str_radix(&digits, radix) {
        Ok(bits) if bits & !mask(width) == 0 => Ok(Expression::Number(Value::new(bits, width, signed))),
        _ => Err(format!("`{text}` is no number of {width} bits")),
    }
}

/// What a name stands for.
pub(super) type Lookup<'l, 'a> = &'l dyn Fn(Token<'a>) -> Result<Value, Refusal>;

/// The bits of `base ** exponent`, without what is above 64.
fn power(base: i128, exponent: i128) -> Option<u64> {
    if exponent < 0 {
        return match base {
            0 => None,
            1 => Some(1),
            -1 => Some(if exponent % 2 == 0 { 1 } else { u64::MAX }),
            _ => Some(0),
        };
    }
    let (mut square, mut rest, mut result) = (base as u64, exponent, 1u64);
    while rest > 0 {
        if rest & 1 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        rest >>= 1;
    }
    Some(result)
}

impl<'a> Expression<'a> {
    /// The value by itself.
    pub fn value(&self, lookup: Lookup<'_, 'a>, line: u32) -> Result<Value, Refusal> {
        self.value_as_wide_as(1, lookup, line)
    }

    /// The value where `width` bits are wanted: what it is computed from is at least as wide.
    pub fn value_as_wide_as(&self, width: u32, lookup: Lookup<'_, 'a>, line: u32) -> Result<Value, Refusal> {
        let (own, signed) = self.shape(lookup)?;
        self.evaluate(own.max(width), signed, lookup, line)
    }

    /// Width and sign.
    fn shape(&self, lookup: Lookup<'_, 'a>) -> Result<(u32, bool), Refusal> {
        Ok(match self {
            Expression::Number(value) => (value.width, value.signed),
            Expression::Fill(_) => (1, false),
            Expression::Name(name) => {
                let value = lookup(*name)?;
                (value.width, value.signed)
            }
            Expression::Unary(Unary::Plus | Unary::Minus | Unary::Invert, inner) => inner.shape(lookup)?,
            Expression::Unary(..) => (1, false),
            Expression::Binary(operator, a, b) => match operator {
                Binary::Power | Binary::ShiftLeft | Binary::ShiftRight | Binary::SignedShiftRight => a.shape(lookup)?,
                Binary::AndThen | Binary::OrElse => (1, false),
                operator if operator.is_comparison() => (1, false),
                _ => a.shape_with(b, lookup)?,
            },
            Expression::Choice(_, a, b) => a.shape_with(b, lookup)?,
            Expression::Clog2(_) => (INTEGER_WIDTH, true),
        })
    }

    /// Width and sign of two operands together.
    fn shape_with(&self, other: &Expression<'a>, lookup: Lookup<'_, 'a>) -> Result<(u32, bool), Refusal> {
        let ((a, a_signed), (b, b_signed)) = (self.shape(lookup)?, other.shape(lookup)?);
        Ok((a.max(b), a_signed && b_signed))
    }

    /// The value in an expression of this width and sign.
    fn evaluate(&self, width: u32, signed: bool, lookup: Lookup<'_, 'a>, line: u32) -> Result<Value, Refusal> {
        let of = |bits: u64| Ok(Value::new(bits, width, signed));
        let is_set = |expression: &Expression<'a>| expression.value(lookup, line).map(|value| value.bits != 0);
        let unknown =
            |why: &str| Err(Refusal { line, message: format!("the value of an expression is unknown: {why}") });
        match self {
            Expression::Number(value) => Ok(Value { signed, ..*value }.cast(width, signed)),
            Expression::Fill(bit) => of(if *bit { u64::MAX } else { 0 }),
            Expression::Name(name) => Ok(Value { signed, ..lookup(*name)? }.cast(width, signed)),
            Expression::Unary(operator, inner) => {
                let inner = match operator {
                    Unary::Plus | Unary::Minus | Unary::Invert => inner.evaluate(width, signed, lookup, line)?,
                    _ => inner.value(lookup, line)?,
                };
                let (all, any, odd) =
                    (inner.bits == mask(inner.width), inner.bits != 0, inner.bits.count_ones() % 2 == 1);
                of(match operator {
                    Unary::Plus => inner.bits,
                    Unary::Minus => inner.bits.wrapping_neg(),
                    Unary::Invert => !inner.bits,
                    Unary::Not | Unary::Nor => u64::from(!any),
                    Unary::And => u64::from(all),
                    Unary::Nand => u64::from(!all),
                    Unary::Or => u64::from(any),
                    Unary::Xor => u64::from(odd),
                    Unary::Xnor => u64::from(!odd),
                })
            }
            Expression::Binary(Binary::AndThen, a, b) => of(u64::from(is_set(a)? && is_set(b)?)),
            Expression::Binary(Binary::OrElse, a, b) => of(u64::from(is_set(a)? || is_set(b)?)),
            Expression::Binary(operator, a, b) if operator.is_comparison() => {
                let (width, signed) = a.shape_with(b, lookup)?;
                let [a, b] = [a, b].map(|side| side.evaluate(width, signed, lookup, line));
                let (a, b) = (a?.number(), b?.number());
                of(u64::from(match operator {
                    Binary::Less => a < b,
                    Binary::LessOrEqual => a <= b,
                    Binary::Greater => a > b,
                    Binary::GreaterOrEqual => a >= b,
                    Binary::Equal => a == b,
                    _ => a != b,
                }))
            }
            Expression::Binary(operator, a, b) => {
                let left = a.evaluate(width, signed, lookup, line)?;
                let right = match operator {
                    Binary::Power | Binary::ShiftLeft | Binary::ShiftRight | Binary::SignedShiftRight => {
                        b.value(lookup, line)?
                    }
                    _ => b.evaluate(width, signed, lookup, line)?,
                };
                if *operator == Binary::Power {
                    // IEEE 1800-2017, table "Bit lengths resulting from expressions" lets the place decide how wide the left side is. Verilator
                    // 5.048 does not.
                    if a.value(lookup, line)?.number() != left.number() {
                        let message =
                            "tools do not agree how wide the left side of `**` is: make it a parameter of its own";
                        return Err(Refusal { line, message: message.into() });
                    }
                }
                let amount = u32::try_from(right.bits).unwrap_or(u32::MAX);
                let (a, b) = (left.number(), right.number());
                of(match operator {
                    Binary::Power => match power(a, b) {
                        Some(bits) => bits,
                        None => return unknown("zero to a negative power"),
                    },
                    Binary::Divide | Binary::Modulo if b == 0 => return unknown("it divides by zero"),
                    Binary::Divide => (a / b) as u64,
                    Binary::Modulo => (a % b) as u64,
                    Binary::Multiply => left.bits.wrapping_mul(right.bits),
                    Binary::Add => left.bits.wrapping_add(right.bits),
                    Binary::Subtract => left.bits.wrapping_sub(right.bits),
                    Binary::ShiftLeft => left.bits.checked_shl(amount).unwrap_or(0),
                    Binary::ShiftRight => left.bits.checked_shr(amount).unwrap_or(0),
                    Binary::SignedShiftRight => (a >> amount.min(WIDTH_MAX)) as u64,
                    Binary::And => left.bits & right.bits,
                    Binary::Or => left.bits | right.bits,
                    Binary::Xor => left.bits ^ right.bits,
                    _ => !(left.bits ^ right.bits),
                })
            }
            Expression::Choice(condition, then, otherwise) => {
                let chosen = if is_set(condition)? { then } else { otherwise };
                chosen.evaluate(width, signed, lookup, line)
            }
            Expression::Clog2(inner) => {
                let inner = inner.value(lookup, line)?;
                let bits = match inner.bits {
                    0 | 1 => 0,
                    count => u64::BITS - (count - 1).leading_zeros(),
                };
                of(bits.into())
            }
        }
    }
}
