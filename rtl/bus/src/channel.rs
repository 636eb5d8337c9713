//! What buses have in common: channels, the payloads of channels, and bundles of channels.

use rtl_hdl::{EnumSignal, HwEnum, InstanceHandle, Module, Signal, Value};

/// Adds a signal of this name and width.
pub(crate) type Make<'a> = &'a mut dyn FnMut(&str, u32) -> Signal;

/// What a configuration makes of a channel.
pub(crate) trait Payload<C>: Value {
    /// Makes the fields.
    fn declare(config: &C, make: Make) -> Self;
}

/// A field of a payload.
pub(crate) trait Field: Value {
    /// Makes the field of this width.
    fn declare(name: &str, width: u32, make: Make) -> Self;
}

impl Field for Signal {
    fn declare(name: &str, width: u32, make: Make) -> Self {
        make(name, width)
    }
}

/// A field that is left out if it has no bits.
impl Field for Option<Signal> {
    fn declare(name: &str, width: u32, make: Make) -> Self {
        (width > 0).then(|| make(name, width))
    }
}

/// A field that holds one of a few codes.
impl<E: HwEnum> Field for EnumSignal<E> {
    fn declare(name: &str, width: u32, make: Make) -> Self {
        EnumSignal::from_signal(make(name, width))
    }
}

/// Which side of a bus drives a channel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The side that asks: a manager of AXI, a client of TileLink, the transmitter of a stream.
    Asks,
    /// The side that answers.
    Answers,
}

/// Makes the channels `inner` of an instance ports `outer` of the module that is being built.
#[track_caller]
pub(crate) fn export(m: &Module, channels: &[(&str, From)], instance: &InstanceHandle, inner: &str, outer: &str) {
    for (channel, _) in channels {
        m.export(instance, &format!("{inner}_{channel}"), &format!("{outer}_{channel}"));
    }
}

/// Joins the channels of the side that asks to those of the side that answers.
#[track_caller]
pub(crate) fn connect(
    m: &Module,
    channels: &[(&str, From)],
    (asks, from): (&InstanceHandle, &str),
    (answers, to): (&InstanceHandle, &str),
) {
    for (channel, side) in channels {
        let (from, to) = (format!("{from}_{channel}"), format!("{to}_{channel}"));
        match side {
            From::Asks => m.connect(asks, &from, answers, &to),
            From::Answers => m.connect(answers, &to, asks, &from),
        }
    }
}

/// Defines the payload of a channel: fields whose widths a configuration gives.
///
/// ```text
/// channel! { pub struct Request for Config { pub id: Signal = |config| config.id_bits } }
/// // is a struct Request { pub id: Signal } with `Value` and `Payload<Config>`
/// ```
macro_rules! channel {
    ($(#[$meta:meta])* $vis:vis struct $name:ident for $config:ty {
        $($(#[$fmeta:meta])* pub $field:ident: $type:ty = $width:expr),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        $vis struct $name { $($(#[$fmeta])* pub $field: $type),+ }

        impl rtl_hdl::Value for $name {
            fn leaves(&self) -> Vec<rtl_hdl::Signal> {
                let mut leaves = Vec::new();
                $(leaves.extend(rtl_hdl::Value::leaves(&self.$field));)+
                leaves
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = rtl_hdl::Signal>) -> Self {
                Self { $($field: rtl_hdl::Value::rebuild(&self.$field, leaves)),+ }
            }
            fn suffixes(&self) -> Vec<String> {
                let mut suffixes = Vec::new();
                $(suffixes.extend(rtl_hdl::Value::suffixes(&self.$field).iter().map(|_| concat!("_", stringify!($field)).to_string()));)+
                suffixes
            }
        }
        impl $crate::channel::Payload<$config> for $name {
            fn declare(config: &$config, make: $crate::channel::Make) -> Self {
                Self { $($field: {
                    let width: fn(&$config) -> u32 = $width;
                    <$type as $crate::channel::Field>::declare(stringify!($field), width(config), make)
                }),+ }
            }
        }
    };
}
pub(crate) use channel;

/// Defines a bus out of channels: the ports of its two sides, and one line each to declare, export and join them.
///
/// ```text
/// bus! {
///     pub struct Bus for Config, Joined, stream_out_with;
///     manager: BusManager; subordinate: BusSubordinate;
///     asks a "a": Request, answers b "b": Response,
/// }
/// // is struct BusManager { pub a: StreamOut<Request>, pub b: StreamIn<Response> }, struct BusSubordinate with the directions
/// // turned, and struct Bus with the functions manager(m, name, config), subordinate(m, name, config),
/// // export(m, instance, inner, outer) and connect(m, manager, from, subordinate, to)
/// ```
macro_rules! bus {
    (
        $(#[$meta:meta])* pub struct $bus:ident for $config:ty, $naming:ident, $output:ident;
        $(#[$asks_meta:meta])* $asks:ident: $Asks:ident;
        $(#[$answers_meta:meta])* $answers:ident: $Answers:ident;
        $($(#[$channel_meta:meta])* $side:ident $channel:ident $name:literal: $payload:ty),+ $(,)?
    ) => {
        $(#[$asks_meta])*
        #[derive(Clone, Copy)]
        pub struct $Asks { $($(#[$channel_meta])* pub $channel: $crate::channel::port!(asks $side $payload)),+ }

        $(#[$answers_meta])*
        #[derive(Clone, Copy)]
        pub struct $Answers { $($(#[$channel_meta])* pub $channel: $crate::channel::port!(answers $side $payload)),+ }

        $(#[$meta])*
        pub struct $bus;

        impl $bus {
            const CHANNELS: &'static [(&'static str, $crate::channel::From)] =
                &[$(($name, $crate::channel::from!($side))),+];

            #[doc = concat!("Adds the ports of the ", stringify!($asks), "; their names begin with `name` and `_`.")]
            #[track_caller]
            pub fn $asks(m: &rtl_hdl::Module, name: &str, config: $config) -> $Asks {
                $Asks { $($channel: $crate::channel::declare!(asks $side m name $name config $naming $output)),+ }
            }

            #[doc = concat!("Adds the ports of the ", stringify!($answers), "; their names begin with `name` and `_`.")]
            #[track_caller]
            pub fn $answers(m: &rtl_hdl::Module, name: &str, config: $config) -> $Answers {
                $Answers { $($channel: $crate::channel::declare!(answers $side m name $name config $naming $output)),+ }
            }

            /// Makes the bus `inner` of an instance a bus `outer` of the module that is being built.
            #[track_caller]
            pub fn export(m: &rtl_hdl::Module, instance: &rtl_hdl::InstanceHandle, inner: &str, outer: &str) {
                $crate::channel::export(m, Self::CHANNELS, instance, inner, outer);
            }

            #[doc = concat!("Joins the bus `from` of the ", stringify!($asks), " to the bus `to` of the ", stringify!($answers), ".")]
            #[track_caller]
            pub fn connect(
                m: &rtl_hdl::Module,
                $asks: &rtl_hdl::InstanceHandle,
                from: &str,
                $answers: &rtl_hdl::InstanceHandle,
                to: &str,
            ) {
                $crate::channel::connect(m, Self::CHANNELS, ($asks, from), ($answers, to));
            }
        }
    };
}
pub(crate) use bus;

/// The type of the ports of a channel, for one side of the bus.
macro_rules! port {
    (asks asks $payload:ty) => { rtl_hdl::StreamOut<$payload> };
    (answers answers $payload:ty) => { rtl_hdl::StreamOut<$payload> };
    ($side:ident $from:ident $payload:ty) => { rtl_hdl::StreamIn<$payload> };
}
pub(crate) use port;

/// Which side drives a channel.
macro_rules! from {
    (asks) => {
        $crate::channel::From::Asks
    };
    (answers) => {
        $crate::channel::From::Answers
    };
}
pub(crate) use from;

/// Adds the ports of a channel, for one side of the bus.
macro_rules! declare {
    (asks asks $($rest:tt)+) => { $crate::channel::declare!(out $($rest)+) };
    (answers answers $($rest:tt)+) => { $crate::channel::declare!(out $($rest)+) };
    (out $m:ident $bus:ident $name:literal $config:ident $naming:ident $output:ident) => {
        $m.$output(&format!("{}_{}", $bus, $name), rtl_hdl::Naming::$naming, |make| {
            $crate::channel::Payload::declare(&$config, make)
        })
    };
    ($side:ident $from:ident $m:ident $bus:ident $name:literal $config:ident $naming:ident $output:ident) => {
        $m.stream_in_with(&format!("{}_{}", $bus, $name), rtl_hdl::Naming::$naming, |make| {
            $crate::channel::Payload::declare(&$config, make)
        })
    };
}
pub(crate) use declare;
