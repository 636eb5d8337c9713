//! Small pieces that several control blocks share.

use nvme_spec::reg::{Field, Reg};
use rtl_csr::{Access, Register};
use rtl_hdl::{address_width, cat, lit, when, Clock, Module, Shape, Signal, Value};
use rtl_prim::{one_hot, one_hot_index};

/// An input stream with one register behind it, so that a block may choose between several inputs by what has arrived on them: the register
/// takes an item while it is empty or is being used, which depends on registers only.
pub(crate) struct Held<V> {
    /// An item is held.
    pub full: Signal,
    /// The item.
    pub item: V,
    used: Signal,
}

impl<V: Value> Held<V> {
    /// Adds the input stream `name`.
    #[track_caller]
    pub fn new<T: Shape<Value = V>>(m: &Module, clock: Clock, name: &str) -> Held<V> {
        let stream = m.stream_in::<T>(name);
        let full = m.reg(&format!("{name}_full"), clock, false);
        let item = m.reg_as::<T>(&format!("{name}_held"), clock);
        let used = m.wire_of_width(&format!("{name}_used"), 1);
        m.default_to(used, false);
        when(!full | used, || {
            stream.take();
            full.set(stream.valid());
            item.set(stream.payload());
        });
        Held { full, item, used }
    }

    /// Uses the item up, under the conditions around this call, which must include [`full`](Self::full).
    #[track_caller]
    pub fn consume(&self) {
        self.used.set(true);
    }
}

/// The bit of the function with this number, among those of all functions.
#[track_caller]
pub(crate) fn function_bit(number: Signal, functions: u32) -> Signal {
    one_hot(number.low(address_width(functions.max(2))), functions)
}

/// The bit of the function with this number, of bits that all functions have.
#[track_caller]
pub(crate) fn bit_of_function(bits: Signal, number: Signal) -> Signal {
    (bits & function_bit(number, bits.width())).any()
}

/// The number of the function whose bit is set.
#[track_caller]
pub(crate) fn function_number(bits: Signal) -> Signal {
    match bits.width() {
        1 => lit(0u8, 8),
        _ => one_hot_index(bits).zext(8),
    }
}

/// The row of `index` in a memory in which each function has as many rows as `index` has values: see [`function_rows`].
#[track_caller]
pub(crate) fn function_row(number: Signal, index: Signal, functions: u32) -> Signal {
    match functions {
        1 => index,
        _ => cat(&[number.low(address_width(functions)), index]),
    }
}

/// The rows of that memory.
pub(crate) const fn function_rows(functions: u32, index_bits: u32) -> u32 {
    functions.next_power_of_two() << index_bits
}

/// Bit number `index` of `bits`; 0 if there is no such bit.
#[track_caller]
pub(crate) fn bit_at(bits: Signal, index: Signal) -> Signal {
    bits.zext(1 << index.width()).word(index, 1)
}

/// Cuts a field out of a register's value.
#[track_caller]
pub(crate) fn get(value: Signal, field: &Field) -> Signal {
    value.bits(field.lsb..field.lsb + field.width)
}

/// `value` from bit `lsb` up, in `width` bits.
#[track_caller]
pub(crate) fn placed(value: Signal, lsb: u32, width: u32) -> Signal {
    match lsb {
        0 => value.zext(width),
        lsb => cat(&[value, lit(0u8, lsb)]).zext(width),
    }
}

/// The value of a register of 32 bits, from the values of its fields.
#[track_caller]
pub(crate) fn with_fields(fields: &[(&Field, Signal)]) -> Signal {
    let placed = fields.iter().map(|(field, value)| placed(*value, field.lsb, 32));
    placed.reduce(|a, b| a | b).expect("a register has fields")
}

/// The name of a field's port of a register file.
pub(crate) fn port_name(reg: &Reg, field: &Field) -> String {
    format!("{}_{}", reg.name, field.name)
}

/// A register of the specification for a register file; `access` says what the file does with each field.
pub(crate) fn register_of(reg: &Reg, reset: u64, access: impl Fn(&Field) -> Access) -> Register {
    let field_of = |field: &Field| rtl_csr::Field::new(field.name, field.lsb, field.width, access(field));
    let fields = reg.fields.iter().map(field_of).collect();
    Register { name: reg.name.into(), offset: reg.offset, bytes: reg.bytes, reset, fields }
}
