//! AXI4-Lite, 32 bits wide: the five channels as streams. Its configuration is the width of addresses.

use crate::channel::{bus, channel};
use crate::resp;
use rtl_hdl::Signal;

channel! {
    /// The payload of the write address (AW) and read address (AR) channels.
    pub struct LiteAddress for u32 {
        /// Of the word. Its two lowest bits say nothing: strobes choose bytes.
        pub addr: Signal = |address_bits| *address_bits,
    }
}

channel! {
    /// The payload of the write data (W) channel.
    pub struct LiteWriteData for u32 {
        /// The word.
        pub data: Signal = |_| AxiLite::DATA_BITS,
        /// One bit for each byte that is written.
        pub strb: Signal = |_| AxiLite::DATA_BYTES,
    }
}

channel! {
    /// The payload of the write response (B) channel.
    pub struct LiteWriteResponse for u32 {
        /// See [`resp`].
        pub resp: Signal = |_| resp::BITS,
    }
}

channel! {
    /// The payload of the read data (R) channel.
    pub struct LiteReadData for u32 {
        /// The word.
        pub data: Signal = |_| AxiLite::DATA_BITS,
        /// See [`resp`].
        pub resp: Signal = |_| resp::BITS,
    }
}

bus! {
    /// Declares and joins AXI4-Lite ports. `awprot` and `arprot` are left out: nothing here distinguishes accesses by them. Each channel sends at most
    /// every second clock.
    pub struct AxiLite for u32, Joined, stream_out_single_with;
    /// The ports of a manager.
    manager: AxiLiteManager;
    /// The ports of a subordinate.
    subordinate: AxiLiteSubordinate;
    /// Write addresses.
    asks aw "aw": LiteAddress,
    /// Write data.
    asks w "w": LiteWriteData,
    /// Write responses.
    answers b "b": LiteWriteResponse,
    /// Read addresses.
    asks ar "ar": LiteAddress,
    /// Read data.
    answers r "r": LiteReadData,
}

impl AxiLite {
    /// Width of a word.
    pub const DATA_BITS: u32 = 32;
    /// Bytes of a word.
    pub const DATA_BYTES: u32 = Self::DATA_BITS / 8;
}
