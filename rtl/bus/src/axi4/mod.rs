//! AXI4: the five channels as streams.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::channel::{self, channel};
use crate::{burst, resp};
use rtl_hdl::{lit, InstanceHandle, Module, Naming, Signal, StreamIn, StreamOut};
use std::fmt;

#[cfg(test)]
pub(crate) mod bench;

/// Width of `awlen` and `arlen` in bits.
const LEN_BITS: u32 = 8;
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

    fn address(&self, make: &mut dyn FnMut(&str, u32) -> Signal) -> Address {
        Address {
            id: make("id", self.id_bits),
            addr: make("addr", self.address_bits),
            len: make("len", LEN_BITS),
            size: make("size", SIZE_BITS),
            burst: make("burst", burst::BITS),
            user: make("user", self.user_bits),
        }
    }

    fn write_data(&self, make: &mut dyn FnMut(&str, u32) -> Signal) -> WriteData {
        WriteData { data: make("data", self.data_bits), strb: make("strb", self.beat_bytes()), last: make("last", 1) }
    }

    fn write_response(&self, make: &mut dyn FnMut(&str, u32) -> Signal) -> WriteResponse {
        WriteResponse { id: make("id", self.id_bits), resp: make("resp", resp::BITS) }
    }

    fn read_data(&self, make: &mut dyn FnMut(&str, u32) -> Signal) -> ReadData {
        ReadData {
            id: make("id", self.id_bits),
            data: make("data", self.data_bits),
            resp: make("resp", resp::BITS),
            last: make("last", 1),
        }
    }
}

channel! {
    /// The payload of the write address (AW) and read address (AR) channels.
    pub struct Address {
        /// Answers carry it.
        pub id,
        /// Of the first byte.
        pub addr,
        /// Number of beats minus one.
        pub len,
        /// Bytes of a beat, as a power of two.
        pub size,
        /// See [`burst`].
        pub burst,
        /// What the system puts beside the address.
        pub user,
    }
}

channel! {
    /// The payload of the write data (W) channel.
    pub struct WriteData {
        /// The beat.
        pub data,
        /// One bit for each byte that is written.
        pub strb,
        /// The last beat of the burst.
        pub last,
    }
}

channel! {
    /// The payload of the write response (B) channel.
    pub struct WriteResponse {
        /// Of the write.
        pub id,
        /// See [`resp`].
        pub resp,
    }
}

channel! {
    /// The payload of the read data (R) channel.
    pub struct ReadData {
        /// Of the read.
        pub id,
        /// The beat.
        pub data,
        /// See [`resp`].
        pub resp,
        /// The last beat of the burst.
        pub last,
    }
}

/// The ports of a manager.
#[derive(Clone, Copy)]
pub struct Axi4Manager {
    /// Write addresses.
    pub aw: StreamOut<Address>,
    /// Write data.
    pub w: StreamOut<WriteData>,
    /// Write responses.
    pub b: StreamIn<WriteResponse>,
    /// Read addresses.
    pub ar: StreamOut<Address>,
    /// Read data.
    pub r: StreamIn<ReadData>,
}

/// The ports of a subordinate.
#[derive(Clone, Copy)]
pub struct Axi4Subordinate {
    /// Write addresses.
    pub aw: StreamIn<Address>,
    /// Write data.
    pub w: StreamIn<WriteData>,
    /// Write responses.
    pub b: StreamOut<WriteResponse>,
    /// Read addresses.
    pub ar: StreamIn<Address>,
    /// Read data.
    pub r: StreamOut<ReadData>,
}

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
pub struct Axi4;

impl Axi4 {
    /// Adds the ports of a manager; their names begin with `name` and `_`.
    #[track_caller]
    pub fn manager(m: &Module, name: &str, config: Axi4Config) -> Axi4Manager {
        Axi4Manager {
            aw: m.stream_out_with(&format!("{name}_aw"), Naming::Joined, |make| config.address(make)),
            w: m.stream_out_with(&format!("{name}_w"), Naming::Joined, |make| config.write_data(make)),
            b: m.stream_in_with(&format!("{name}_b"), Naming::Joined, |make| config.write_response(make)),
            ar: m.stream_out_with(&format!("{name}_ar"), Naming::Joined, |make| config.address(make)),
            r: m.stream_in_with(&format!("{name}_r"), Naming::Joined, |make| config.read_data(make)),
        }
    }

    /// Adds the ports of a subordinate; their names begin with `name` and `_`.
    #[track_caller]
    pub fn subordinate(m: &Module, name: &str, config: Axi4Config) -> Axi4Subordinate {
        Axi4Subordinate {
            aw: m.stream_in_with(&format!("{name}_aw"), Naming::Joined, |make| config.address(make)),
            w: m.stream_in_with(&format!("{name}_w"), Naming::Joined, |make| config.write_data(make)),
            b: m.stream_out_with(&format!("{name}_b"), Naming::Joined, |make| config.write_response(make)),
            ar: m.stream_in_with(&format!("{name}_ar"), Naming::Joined, |make| config.address(make)),
            r: m.stream_out_with(&format!("{name}_r"), Naming::Joined, |make| config.read_data(make)),
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
