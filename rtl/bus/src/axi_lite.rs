//! AXI4-Lite, 32 bits wide: the five channels as streams.

use crate::channel::{self, channel};
use crate::resp;
use rtl_hdl::{InstanceHandle, Module, Naming, Signal, StreamIn, StreamOut};

channel! {
    /// The payload of the write address (AW) and read address (AR) channels.
    pub struct LiteAddress {
        /// Of the word. Its two lowest bits say nothing: strobes choose bytes.
        pub addr,
    }
}

channel! {
    /// The payload of the write data (W) channel.
    pub struct LiteWriteData {
        /// The word.
        pub data,
        /// One bit for each byte that is written.
        pub strb,
    }
}

channel! {
    /// The payload of the write response (B) channel.
    pub struct LiteWriteResponse {
        /// See [`resp`].
        pub resp,
    }
}

channel! {
    /// The payload of the read data (R) channel.
    pub struct LiteReadData {
        /// The word.
        pub data,
        /// See [`resp`].
        pub resp,
    }
}

/// The ports of a manager.
#[derive(Clone, Copy)]
pub struct AxiLiteManager {
    /// Write addresses.
    pub aw: StreamOut<LiteAddress>,
    /// Write data.
    pub w: StreamOut<LiteWriteData>,
    /// Write responses.
    pub b: StreamIn<LiteWriteResponse>,
    /// Read addresses.
    pub ar: StreamOut<LiteAddress>,
    /// Read data.
    pub r: StreamIn<LiteReadData>,
}

/// The ports of a subordinate.
#[derive(Clone, Copy)]
pub struct AxiLiteSubordinate {
    /// Write addresses.
    pub aw: StreamIn<LiteAddress>,
    /// Write data.
    pub w: StreamIn<LiteWriteData>,
    /// Write responses.
    pub b: StreamOut<LiteWriteResponse>,
    /// Read addresses.
    pub ar: StreamIn<LiteAddress>,
    /// Read data.
    pub r: StreamOut<LiteReadData>,
}

/// Declares and joins AXI4-Lite ports. `awprot` and `arprot` are left out: nothing here distinguishes accesses by them.
pub struct AxiLite;

impl AxiLite {
    /// Width of a word.
    pub const DATA_BITS: u32 = 32;
    /// Bytes of a word.
    pub const DATA_BYTES: u32 = Self::DATA_BITS / 8;

    /// Adds the ports of a manager; their names begin with `name` and `_`. Each channel sends at most every second clock.
    #[track_caller]
    pub fn manager(m: &Module, name: &str, address_bits: u32) -> AxiLiteManager {
        AxiLiteManager {
            aw: m.stream_out_single_with(&format!("{name}_aw"), Naming::Joined, |make| address(make, address_bits)),
            w: m.stream_out_single_with(&format!("{name}_w"), Naming::Joined, write_data),
            b: m.stream_in_with(&format!("{name}_b"), Naming::Joined, write_response),
            ar: m.stream_out_single_with(&format!("{name}_ar"), Naming::Joined, |make| address(make, address_bits)),
            r: m.stream_in_with(&format!("{name}_r"), Naming::Joined, read_data),
        }
    }

    /// Adds the ports of a subordinate; their names begin with `name` and `_`. Each channel answers at most every second clock.
    #[track_caller]
    pub fn subordinate(m: &Module, name: &str, address_bits: u32) -> AxiLiteSubordinate {
        AxiLiteSubordinate {
            aw: m.stream_in_with(&format!("{name}_aw"), Naming::Joined, |make| address(make, address_bits)),
            w: m.stream_in_with(&format!("{name}_w"), Naming::Joined, write_data),
            b: m.stream_out_single_with(&format!("{name}_b"), Naming::Joined, write_response),
            ar: m.stream_in_with(&format!("{name}_ar"), Naming::Joined, |make| address(make, address_bits)),
            r: m.stream_out_single_with(&format!("{name}_r"), Naming::Joined, read_data),
        }
    }

    /// Makes the bus `inner` of an instance a bus `outer` of the module that is being built.
    #[track_caller]
    pub fn export(m: &Module, instance: &InstanceHandle, inner: &str, outer: &str) {
        channel::export(m, instance, inner, outer);
    }

    /// Joins the bus `from` of a manager to the bus `to` of a subordinate.
    #[track_caller]
    pub fn connect(m: &Module, manager: &InstanceHandle, from: &str, subordinate: &InstanceHandle, to: &str) {
        channel::connect(m, manager, from, subordinate, to);
    }
}

fn address(make: &mut dyn FnMut(&str, u32) -> Signal, bits: u32) -> LiteAddress {
    LiteAddress { addr: make("addr", bits) }
}

fn write_data(make: &mut dyn FnMut(&str, u32) -> Signal) -> LiteWriteData {
    LiteWriteData { data: make("data", AxiLite::DATA_BITS), strb: make("strb", AxiLite::DATA_BYTES) }
}

fn write_response(make: &mut dyn FnMut(&str, u32) -> Signal) -> LiteWriteResponse {
    LiteWriteResponse { resp: make("resp", resp::BITS) }
}

fn read_data(make: &mut dyn FnMut(&str, u32) -> Signal) -> LiteReadData {
    LiteReadData { data: make("data", AxiLite::DATA_BITS), resp: make("resp", resp::BITS) }
}
