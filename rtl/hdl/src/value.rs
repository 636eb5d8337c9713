//! Typed values: enums and bundles of signals.

use crate::module::{building, excuse_value, note_fields, problem};
use crate::signal::{cat, Operand, Signal};
use std::marker::PhantomData;
use std::panic::Location;

/// A hardware value: one signal or a structure of signals.
pub trait Value: Copy {
    /// The signals, the first field first.
    fn leaves(&self) -> Vec<Signal>;
    /// The same structure around other signals, taken in the order of [`leaves`](Self::leaves).
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Signal>) -> Self;
    /// Suffix (with its leading `_`, or empty) of each leaf.
    fn suffixes(&self) -> Vec<String>;

    /// For each leaf: of which bundles it is a field, as the number of characters of its suffix that belong to the name of each, the outermost
    /// first.
    #[doc(hidden)]
    fn bundles(&self) -> Vec<Vec<usize>> {
        self.suffixes().iter().map(|suffix| if suffix.is_empty() { vec![] } else { vec![0] }).collect()
    }

    /// The same structure around signals made by `make(name, width)`.
    #[doc(hidden)]
    fn rebuild_named(&self, prefix: &str, make: &mut dyn FnMut(&str, u32) -> Signal) -> Self {
        let made: Vec<Signal> = self
            .leaves()
            .iter()
            .zip(self.suffixes())
            .map(|(leaf, suffix)| make(&format!("{prefix}{suffix}"), leaf.width()))
            .collect();
        let value = self.rebuild(&mut made.into_iter());
        note_fields(prefix, &value);
        value
    }

    /// One signal with the first field in the lowest bits.
    #[track_caller]
    fn pack(&self) -> Signal {
        let mut leaves = self.leaves();
        leaves.reverse();
        cat(&leaves)
    }

    /// Assigns every field; see [`Signal::set`].
    #[track_caller]
    fn set(&self, value: Self) {
        let (wanted, given) = (self.suffixes(), value.suffixes());
        if wanted != given {
            let list = |suffixes: &[String]| {
                let names: Vec<&str> = suffixes.iter().map(|suffix| suffix.trim_start_matches('_')).collect();
                names.join(", ")
            };
            let (wanted, given) = (list(&wanted), list(&given));
            problem(
                Location::caller(),
                format!("the fields {given} are assigned to the fields {wanted}: give exactly the optional fields that the configuration has"),
            );
            return excuse_value(self);
        }
        for (target, value) in self.leaves().into_iter().zip(value.leaves()) {
            target.set(value);
        }
    }
}

impl Value for Signal {
    fn leaves(&self) -> Vec<Signal> {
        vec![*self]
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Signal>) -> Self {
        leaves.next().expect("one leaf for a signal")
    }
    fn suffixes(&self) -> Vec<String> {
        vec![String::new()]
    }
}

/// A value that a configuration may leave out: if it does, there is no signal.
impl<V: Value> Value for Option<V> {
    fn leaves(&self) -> Vec<Signal> {
        self.iter().flat_map(V::leaves).collect()
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Signal>) -> Self {
        self.map(|value| value.rebuild(leaves))
    }
    fn suffixes(&self) -> Vec<String> {
        self.iter().flat_map(V::suffixes).collect()
    }
    fn bundles(&self) -> Vec<Vec<usize>> {
        self.iter().flat_map(V::bundles).collect()
    }
}

/// A type whose fields and widths are known without a value.
pub trait Shape {
    /// The value of this shape.
    type Value: Value;
    /// Width of all fields together, in bits.
    const WIDTH: u32;
    /// Makes a value out of signals made by `make(name, width)`, one for each leaf.
    #[track_caller]
    fn declare(prefix: &str, make: &mut dyn FnMut(&str, u32) -> Signal) -> Self::Value;

    /// Name (empty for a plain signal) and width of each leaf, in the order of [`declare`](Self::declare).
    fn fields() -> Vec<(String, u32)>;

    /// The reverse of [`Value::pack`].
    #[track_caller]
    fn unpack(packed: Signal) -> Self::Value {
        let mut low = 0;
        Self::declare("", &mut |_, width| {
            let part = packed.bits(low..low + width);
            low += width;
            part
        })
    }
}

/// The shape of a plain signal of `W` bits.
pub struct Bits<const W: u32>;

impl<const W: u32> Shape for Bits<W> {
    type Value = Signal;
    const WIDTH: u32 = W;
    fn declare(prefix: &str, make: &mut dyn FnMut(&str, u32) -> Signal) -> Signal {
        make(prefix, W)
    }
    fn fields() -> Vec<(String, u32)> {
        vec![(String::new(), W)]
    }
}

/// A Rust enum without data that is known to hardware; made by [`hw_enum!`](crate::hw_enum).
pub trait HwEnum: Shape + Copy + PartialEq + 'static {
    /// The variants in the order of their codes, which count from 0.
    const VARIANTS: &'static [Self];
    /// Their names.
    const LABELS: &'static [&'static str];

    /// The code of this variant.
    fn code(self) -> u64 {
        Self::VARIANTS.iter().position(|v| *v == self).expect("every variant is listed") as u64
    }
}

/// A signal that holds a variant of `E`.
pub struct EnumSignal<E> {
    signal: Signal,
    _enum: PhantomData<E>,
}

impl<E> Clone for EnumSignal<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for EnumSignal<E> {}

impl<E: HwEnum> EnumSignal<E> {
    /// The signal as this enum; its width is the enum's.
    pub fn from_signal(signal: Signal) -> Self {
        building(|b| {
            if let Some(node) = b.ir.nodes.get_mut(signal.id) {
                if node.name.is_some() {
                    node.labels = Some(E::LABELS);
                }
            }
        });
        EnumSignal { signal, _enum: PhantomData }
    }

    /// The code.
    pub fn signal(self) -> Signal {
        self.signal
    }

    /// True where it holds `variant`.
    #[track_caller]
    pub fn is(self, variant: E) -> Signal {
        self.signal.eq(variant.code())
    }

    /// The next value.
    #[track_caller]
    pub fn goto(self, variant: E) {
        self.signal.set(variant.code());
    }

    /// A constant of this enum.
    #[track_caller]
    pub fn of(variant: E) -> Self {
        EnumSignal { signal: crate::lit(variant.code(), E::WIDTH), _enum: PhantomData }
    }
}

impl<E: HwEnum> Operand for EnumSignal<E> {
    fn of_width(self, _: u32) -> Signal {
        self.signal
    }
}

impl<E: HwEnum> Value for EnumSignal<E> {
    fn leaves(&self) -> Vec<Signal> {
        vec![self.signal]
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Signal>) -> Self {
        Self::from_signal(leaves.next().expect("one leaf for an enum"))
    }
    fn suffixes(&self) -> Vec<String> {
        vec![String::new()]
    }
}

/// Defines an enum that hardware knows, with codes from 0 in the order of the variants.
///
/// ```
/// rtl_hdl::hw_enum! {
///     /// `Idle -> Busy -> Idle`.
///     pub enum State {
///         /// Nothing to do.
///         Idle,
///         /// Working.
///         Busy,
///     }
/// }
/// ```
#[macro_export]
macro_rules! hw_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        $vis enum $name { $($(#[$vmeta])* $variant),+ }

        impl $crate::HwEnum for $name {
            const VARIANTS: &'static [Self] = &[$($name::$variant),+];
            const LABELS: &'static [&'static str] = &[$(stringify!($variant)),+];
        }
        impl $crate::Shape for $name {
            type Value = $crate::EnumSignal<$name>;
            const WIDTH: u32 = $crate::address_width([$($name::$variant),+].len() as u32);
            #[track_caller]
            fn declare(prefix: &str, make: &mut dyn FnMut(&str, u32) -> $crate::Signal) -> Self::Value {
                $crate::EnumSignal::from_signal(make(prefix, <$name as $crate::Shape>::WIDTH))
            }
            fn fields() -> Vec<(String, u32)> {
                vec![(String::new(), <$name as $crate::Shape>::WIDTH)]
            }
        }
        impl $crate::Initial for $name {
            type Value = $crate::EnumSignal<$name>;
            fn constant(&self, _: &str, _: $crate::Source) -> $crate::Constant {
                $crate::Constant::from_words(<$name as $crate::Shape>::WIDTH, &[$crate::HwEnum::code(*self)])
            }
            fn value_of(signal: $crate::Signal) -> Self::Value {
                $crate::EnumSignal::from_signal(signal)
            }
        }
    };
}

/// Defines a structure of signals. A field is [`Bits<W>`], a hardware enum, or another bundle; in Rust it is the value of that shape.
///
/// ```
/// use rtl_hdl::Bits;
/// rtl_hdl::hw_bundle! {
///     /// One read request.
///     pub struct HostRead {
///         /// Answers carry it.
///         pub id: Bits<8>,
///         /// Of the first byte.
///         pub address: Bits<64>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! hw_bundle {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$fmeta:meta])* $fvis:vis $field:ident : $shape:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        $vis struct $name { $($(#[$fmeta])* $fvis $field: <$shape as $crate::Shape>::Value),+ }

        impl $crate::Value for $name {
            fn leaves(&self) -> Vec<$crate::Signal> {
                let mut leaves = Vec::new();
                $(leaves.extend($crate::Value::leaves(&self.$field));)+
                leaves
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = $crate::Signal>) -> Self {
                Self { $($field: $crate::Value::rebuild(&self.$field, leaves)),+ }
            }
            fn suffixes(&self) -> Vec<String> {
                let mut suffixes = Vec::new();
                $(suffixes.extend($crate::Value::suffixes(&self.$field).into_iter().map(|s| format!("_{}{s}", stringify!($field))));)+
                suffixes
            }
            fn bundles(&self) -> Vec<Vec<usize>> {
                let mut bundles = Vec::new();
                $(for inner in $crate::Value::bundles(&self.$field) {
                    let field = concat!("_", stringify!($field)).len();
                    bundles.push(std::iter::once(0).chain(inner.into_iter().map(|length| field + length)).collect());
                })+
                bundles
            }
        }
        impl $crate::Shape for $name {
            type Value = Self;
            const WIDTH: u32 = 0 $(+ <$shape as $crate::Shape>::WIDTH)+;
            #[track_caller]
            fn declare(prefix: &str, make: &mut dyn FnMut(&str, u32) -> $crate::Signal) -> Self {
                let join = |field: &str| if prefix.is_empty() { field.to_string() } else { format!("{prefix}_{field}") };
                Self { $($field: <$shape as $crate::Shape>::declare(&join(stringify!($field)), make)),+ }
            }
            fn fields() -> Vec<(String, u32)> {
                let mut fields = Vec::new();
                $(fields.extend(<$shape as $crate::Shape>::fields().into_iter().map(|(inner, width)| {
                    let name = stringify!($field);
                    (if inner.is_empty() { name.to_string() } else { format!("{name}_{inner}") }, width)
                }));)+
                fields
            }
        }
    };
}

/// Defines the hardware view of a wire type: chosen fields of a `#[repr(C)]` structure of bytes, at the places where the structure has them.
/// The first byte is in the lowest bits, which is the little-endian order of the wire.
///
/// ```
/// #[repr(C)]
/// pub struct Wire { pub opcode: u8, pub flags: u8, pub cid: [u8; 2] }
/// rtl_hdl::hw_view! {
///     /// The hardware view of [`Wire`].
///     pub struct WireView from Wire { opcode: 8, cid: 16 }
/// }
/// ```
/// The widths are written for the reader and checked against the wire type when the program is compiled.
#[macro_export]
macro_rules! hw_view {
    ($(#[$meta:meta])* $vis:vis struct $name:ident from $wire:ty { $($field:ident : $width:literal),+ $(,)? }) => {
        $crate::hw_bundle! {
            $(#[$meta])*
            $vis struct $name { $(#[allow(missing_docs)] pub $field: $crate::Bits<$width>),+ }
        }
        const _: () = {
            const fn bits_of_field<W, F>(_: &std::mem::MaybeUninit<W>, _: fn(&W) -> &F) -> u32 {
                8 * std::mem::size_of::<F>() as u32
            }
            $(
                fn $field(wire: &$wire) -> &impl Sized { &wire.$field }
                assert!(
                    bits_of_field::<$wire, _>(&std::mem::MaybeUninit::uninit(), $field) == $width,
                    concat!("the width of `", stringify!($field), "` is not the wire type's")
                );
            )+
        };
        impl $name {
            /// Width of the wire type in bits.
            pub const WIRE_WIDTH: u32 = 8 * std::mem::size_of::<$wire>() as u32;

            /// The fields, cut out of the bytes of the wire type.
            #[track_caller]
            pub fn view(wire: $crate::Signal) -> Self {
                Self { $($field: {
                    let low = 8 * std::mem::offset_of!($wire, $field) as u32;
                    wire.bits(low..low + $width)
                }),+ }
            }
        }
    };
}
