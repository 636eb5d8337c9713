//! AXI4: the five channels as streams.

use crate::channel::{bus, channel};
use crate::{burst, resp};
use rtl_hdl::{lit, Signal};
use std::fmt;

/// Width of `awlen` and `arlen` in bits.
pub(crate) const LEN_BITS: u32 = 8;
/// Width of `awsize` and `arsize` in bits.
const SIZE_BITS: u32 = 3;

/// The widths of an AXI4 bus. The signals that say nothing on a point-to-point bus to memory (lock, cache, prot, qos, region) are left
/// out; a wrapper ties them to their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axi4Config {
    /// Width of addresses.
    pub address_bits: u32,
    /// Width of the data of a beat: 8 to 1024, a power of two.
    pub data_bits: u32,
    /// Width of ids, at least 1.
    pub id_bits: u32,
    /// Width of `awuser` and `aruser`, at least 1.
    pub user_bits: u32,
}

/// What is wrong with an [`Axi4Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Addresses have 12 to 64 bits here, so that a 4 KiB boundary exists.
    AddressBits,
    /// The data width is not a power of two between 8 and 1024.
    DataBits,
    /// Ids have 1 to 32 bits.
    IdBits,
    /// User signals have 1 to 64 bits.
    UserBits,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConfigError::AddressBits => "an AXI4 address has 12 to 64 bits here",
            ConfigError::DataBits => "an AXI4 data width is a power of two between 8 and 1024 bits",
            ConfigError::IdBits => "an AXI4 id has 1 to 32 bits here",
            ConfigError::UserBits => "an AXI4 user signal has 1 to 64 bits here",
        })
    }
}

impl std::error::Error for ConfigError {}

impl Axi4Config {
    /// Names the first constraint that does not hold.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.address_bits < 12 || self.address_bits > 64 {
            return Err(ConfigError::AddressBits);
        }
        if self.data_bits < 8 || self.data_bits > 1024 || !self.data_bits.is_power_of_two() {
            return Err(ConfigError::DataBits);
        }
        if self.id_bits == 0 || self.id_bits > 32 {
            return Err(ConfigError::IdBits);
        }
        if self.user_bits == 0 || self.user_bits > 64 {
            return Err(ConfigError::UserBits);
        }
        Ok(())
    }

    /// Bytes of a beat.
    pub const fn beat_bytes(&self) -> u32 {
        self.data_bits / 8
    }

    /// The value of `awsize` and `arsize` for whole beats.
    pub const fn full_size(&self) -> u32 {
        self.beat_bytes().ilog2()
    }

    /// The address of a burst of whole beats with ascending addresses. `len` is the number of beats minus one, as the protocol has it.
    #[track_caller]
    pub fn whole_beats(&self, id: Signal, addr: Signal, len: Signal, user: Signal) -> Address {
        Address { id, addr, len, size: lit(self.full_size(), SIZE_BITS), burst: lit(burst::INCR, burst::BITS), user }
    }
}

channel! {
    /// The payload of the write address (AW) and read address (AR) channels.
    pub struct Address for Axi4Config {
        /// Answers carry it.
        pub id: Signal = |config| config.id_bits,
        /// Of the first byte.
        pub addr: Signal = |config| config.address_bits,
        /// Number of beats minus one.
        pub len: Signal = |_| LEN_BITS,
        /// Bytes of a beat, as a power of two.
        pub size: Signal = |_| SIZE_BITS,
        /// See [`burst`].
        pub burst: Signal = |_| burst::BITS,
        /// What the system puts beside the address.
        pub user: Signal = |config| config.user_bits,
    }
}

channel! {
    /// The payload of the write data (W) channel.
    pub struct WriteData for Axi4Config {
        /// The beat.
        pub data: Signal = |config| config.data_bits,
        /// One bit for each byte that is written.
        pub strb: Signal = |config| config.beat_bytes(),
        /// The last beat of the burst.
        pub last: Signal = |_| 1,
    }
}

channel! {
    /// The payload of the write response (B) channel.
    pub struct WriteResponse for Axi4Config {
        /// Of the write.
        pub id: Signal = |config| config.id_bits,
        /// See [`resp`].
        pub resp: Signal = |_| resp::BITS,
    }
}

channel! {
    /// The payload of the read data (R) channel.
    pub struct ReadData for Axi4Config {
        /// Of the read.
        pub id: Signal = |config| config.id_bits,
        /// The beat.
        pub data: Signal = |config| config.data_bits,
        /// See [`resp`].
        pub resp: Signal = |_| resp::BITS,
        /// The last beat of the burst.
        pub last: Signal = |_| 1,
    }
}

bus! {
    /// Declares and joins AXI4 ports.
    ///
    /// ```
    /// use rtl_bus::{Axi4, Axi4Config};
    /// use rtl_hdl::{block_fn, elaborate, lit};
    ///
    /// const CONFIG: Axi4Config = Axi4Config { address_bits: 32, data_bits: 64, id_bits: 4, user_bits: 1 };
    /// let block = block_fn("zeroes_one_word", |m| {
    ///     m.clock();
    ///     let memory = Axi4::manager(m, "memory", CONFIG);
    ///     rtl_hdl::when(memory.aw.can_take() & memory.w.can_take(), || {
    ///         memory.aw.offer(CONFIG.whole_beats(lit(0u8, 4), lit(0u8, 32), lit(0u8, 8), lit(0u8, 1)));
    ///         memory.w.offer(rtl_bus::WriteData { data: lit(0u8, 64), strb: lit(0xffu8, 8), last: lit(1u8, 1) });
    ///     });
    ///     memory.b.take();
    ///     memory.ar.never();
    ///     memory.r.take();
    /// });
    /// let design = elaborate(&block).expect("the block is right");
    /// assert!(design.top().port("memory_awvalid").is_some());
    /// ```
    pub struct Axi4 for Axi4Config, Joined, stream_out_with;
    /// The ports of a manager.
    manager: Axi4Manager;
    /// The ports of a subordinate.
    subordinate: Axi4Subordinate;
    /// Write addresses.
    asks aw "aw": Address,
    /// Write data.
    asks w "w": WriteData,
    /// Write responses.
    answers b "b": WriteResponse,
    /// Read addresses.
    asks ar "ar": Address,
    /// Read data.
    answers r "r": ReadData,
}
