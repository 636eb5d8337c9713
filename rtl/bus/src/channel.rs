//! What the channels of both protocols have in common.

use rtl_hdl::{InstanceHandle, Module};

/// The five channels.
const CHANNELS: [&str; 5] = ["aw", "w", "b", "ar", "r"];

/// Makes the five channels `inner` of an instance ports `outer` of the module that is being built.
#[track_caller]
pub(crate) fn export(m: &Module, instance: &InstanceHandle, inner: &str, outer: &str) {
    for channel in CHANNELS {
        m.export(instance, &format!("{inner}_{channel}"), &format!("{outer}_{channel}"));
    }
}

/// Joins the five channels of a manager to those of a subordinate.
#[track_caller]
pub(crate) fn connect(m: &Module, manager: &InstanceHandle, from: &str, subordinate: &InstanceHandle, to: &str) {
    for channel in CHANNELS {
        let (from, to) = (format!("{from}_{channel}"), format!("{to}_{channel}"));
        match channel {
            "b" | "r" => m.connect(subordinate, &to, manager, &from),
            _ => m.connect(manager, &from, subordinate, &to),
        }
    }
}

/// Defines the payload of a channel: signals whose widths a configuration gives.
macro_rules! channel {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name { $($(#[$fmeta])* pub $field: rtl_hdl::Signal),+ }

        impl rtl_hdl::Value for $name {
            fn leaves(&self) -> Vec<rtl_hdl::Signal> {
                vec![$(self.$field),+]
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = rtl_hdl::Signal>) -> Self {
                Self { $($field: leaves.next().expect("one leaf for each field")),+ }
            }
            fn suffixes(&self) -> Vec<String> {
                vec![$(concat!("_", stringify!($field)).to_string()),+]
            }
        }
    };
}
pub(crate) use channel;
