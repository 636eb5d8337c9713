//! TileLink: channels A and D of the uncached levels (TL-UL, TL-UH), and all five of the cached level (TL-C). SiFive TileLink Specification 1.8.1,
//! "Signal Descriptions".

use crate::channel::{bus, channel, Payload};
use rtl_hdl::{hw_enum, lit, EnumSignal, HwEnum, Signal};
use std::fmt;

/// Width of `opcode`, and of `param` on channels A, B and C.
const OPCODE_BITS: u32 = 3;
/// Width of `param` on channel D.
pub(crate) const PERMISSION_BITS: u32 = 2;
/// Width of the widest `size`.
pub(crate) const SIZE_BITS: u32 = 4;

/// The widths of a TileLink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileLinkConfig {
    /// Width of addresses.
    pub address_bits: u32,
    /// Width of the data of a beat: 8 to 512, a power of two.
    pub data_bits: u32,
    /// Width of sizes, which are powers of two in bytes; at most 4.
    pub size_bits: u32,
    /// Width of the names that clients give to what they ask.
    pub source_bits: u32,
    /// Width of the names that managers give to what they grant; at least 1.
    pub sink_bits: u32,
}

/// What is wrong with a [`TileLinkConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileLinkConfigError {
    /// Addresses have 1 to 64 bits.
    AddressBits,
    /// The data width is not a power of two between 8 and 512.
    DataBits,
    /// Sizes have 1 to 4 bits, and one of them is that of a beat.
    SizeBits,
    /// Sources have 1 to 16 bits.
    SourceBits,
    /// Sinks have 1 to 16 bits.
    SinkBits,
}

impl fmt::Display for TileLinkConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TileLinkConfigError::AddressBits => "a TileLink address has 1 to 64 bits here",
            TileLinkConfigError::DataBits => "a TileLink data width is a power of two between 8 and 512 bits here",
            TileLinkConfigError::SizeBits => "a TileLink size has 1 to 4 bits, enough for the size of a beat",
            TileLinkConfigError::SourceBits => "a TileLink source has 1 to 16 bits here",
            TileLinkConfigError::SinkBits => "a TileLink sink has 1 to 16 bits here",
        })
    }
}

impl std::error::Error for TileLinkConfigError {}

impl TileLinkConfig {
    /// Names the first constraint that does not hold.
    pub const fn check(&self) -> Result<(), TileLinkConfigError> {
        if self.address_bits == 0 || self.address_bits > 64 {
            return Err(TileLinkConfigError::AddressBits);
        }
        if self.data_bits < 8 || self.data_bits > 512 || !self.data_bits.is_power_of_two() {
            return Err(TileLinkConfigError::DataBits);
        }
        if self.size_bits == 0 || self.size_bits > 4 || self.beat_size() >> self.size_bits != 0 {
            return Err(TileLinkConfigError::SizeBits);
        }
        if self.source_bits == 0 || self.source_bits > 16 {
            return Err(TileLinkConfigError::SourceBits);
        }
        if self.sink_bits == 0 || self.sink_bits > 16 {
            return Err(TileLinkConfigError::SinkBits);
        }
        Ok(())
    }

    /// Bytes of a beat.
    pub const fn beat_bytes(&self) -> u32 {
        self.data_bits / 8
    }

    /// The size of a beat, as a power of two.
    pub const fn beat_size(&self) -> u32 {
        self.beat_bytes().ilog2()
    }
}

/// The conformance levels. TileLink, "Protocol Conformance Levels".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// TL-UL: reads and writes of at most a beat.
    UncachedLightweight,
    /// TL-UH: also atomics, hints and bursts.
    UncachedHeavyweight,
    /// TL-C: also blocks that are cached.
    Cached,
}

hw_enum! {
    /// `a_opcode`. TileLink, "Message Taxonomy".
    pub enum OpcodeA {
        /// Writes all bytes.
        PutFullData,
        /// Writes the bytes of the mask.
        PutPartialData,
        /// Reads, and writes back what an addition or a comparison makes of it.
        ArithmeticData,
        /// Reads, and writes back what a bitwise operation makes of it.
        LogicalData,
        /// Reads.
        Get,
        /// Says what will be asked.
        Intent,
        /// Asks for a copy of a block with permissions.
        AcquireBlock,
        /// Asks for permissions.
        AcquirePerm,
    }
}

hw_enum! {
    /// `b_opcode`. TileLink, "Message Taxonomy".
    pub enum OpcodeB {
        /// As on channel A.
        PutFullData,
        /// As on channel A.
        PutPartialData,
        /// As on channel A.
        ArithmeticData,
        /// As on channel A.
        LogicalData,
        /// As on channel A.
        Get,
        /// As on channel A.
        Intent,
        /// Takes permissions away, and asks for the block.
        ProbeBlock,
        /// Takes permissions away.
        ProbePerm,
    }
}

hw_enum! {
    /// `c_opcode`. TileLink, "Message Taxonomy".
    pub enum OpcodeC {
        /// Answers a write.
        AccessAck,
        /// Answers with data.
        AccessAckData,
        /// Answers a hint.
        HintAck,
        /// No message.
        Reserved3,
        /// Answers a probe.
        ProbeAck,
        /// Answers a probe with the changed block.
        ProbeAckData,
        /// Gives permissions back.
        Release,
        /// Gives permissions back with the changed block.
        ReleaseData,
    }
}

hw_enum! {
    /// `d_opcode`. TileLink, "Message Taxonomy".
    pub enum OpcodeD {
        /// Answers a write.
        AccessAck,
        /// Answers with data.
        AccessAckData,
        /// Answers a hint.
        HintAck,
        /// No message.
        Reserved3,
        /// Gives permissions.
        Grant,
        /// Gives permissions and a copy of the block.
        GrantData,
        /// Answers a release.
        ReleaseAck,
        /// No message.
        Reserved7,
    }
}

/// The variant of a code, if there is one.
pub(crate) fn variant<E: HwEnum>(code: u64) -> Option<E> {
    E::VARIANTS.get(code as usize).copied()
}

/// How many beats of `2^beat_size` bytes follow the first of a message with data of this size.
pub(crate) fn beats_behind(size: Signal, beat_size: u32) -> Signal {
    let bytes = lit(1u8, 1 << SIZE_BITS).shl(size.zext(SIZE_BITS)) - 1;
    bytes.bits(beat_size..(1 << SIZE_BITS) - 1)
}

/// The opcode of the answer to a request. TileLink, "Message Taxonomy".
pub(crate) fn answer_to(opcode: EnumSignal<OpcodeA>) -> Signal {
    let code = |opcode: OpcodeD| EnumSignal::of(opcode).signal();
    let is = |asked: OpcodeA| opcode.is(asked);
    let reads = is(OpcodeA::Get) | is(OpcodeA::ArithmeticData) | is(OpcodeA::LogicalData);
    let writes_or_reads = reads.mux(code(OpcodeD::AccessAckData), code(OpcodeD::AccessAck));
    let or_hint = is(OpcodeA::Intent).mux(code(OpcodeD::HintAck), writes_or_reads);
    let or_grant = is(OpcodeA::AcquirePerm).mux(code(OpcodeD::Grant), or_hint);
    is(OpcodeA::AcquireBlock).mux(code(OpcodeD::GrantData), or_grant)
}

channel! {
    /// Channel A: what a client asks.
    pub struct ChannelA for TileLinkConfig {
        /// The operation.
        pub opcode: EnumSignal<OpcodeA> = |_| OPCODE_BITS,
        /// Which kind of it.
        pub param: Signal = |_| OPCODE_BITS,
        /// Bytes, as a power of two.
        pub size: Signal = |config| config.size_bits,
        /// The answer carries it.
        pub source: Signal = |config| config.source_bits,
        /// Of the first byte, a multiple of the size.
        pub address: Signal = |config| config.address_bits,
        /// One bit for each byte of the beat that is meant.
        pub mask: Signal = |config| config.beat_bytes(),
        /// The beat.
        pub data: Signal = |config| config.data_bits,
        /// The data is damaged.
        pub corrupt: Signal = |_| 1,
    }
}

channel! {
    /// Channel B: what a manager asks of a client that caches.
    pub struct ChannelB for TileLinkConfig {
        /// The operation.
        pub opcode: EnumSignal<OpcodeB> = |_| OPCODE_BITS,
        /// Which kind of it.
        pub param: Signal = |_| OPCODE_BITS,
        /// Bytes, as a power of two.
        pub size: Signal = |config| config.size_bits,
        /// The client that is asked.
        pub source: Signal = |config| config.source_bits,
        /// Of the first byte, a multiple of the size.
        pub address: Signal = |config| config.address_bits,
        /// One bit for each byte of the beat that is meant.
        pub mask: Signal = |config| config.beat_bytes(),
        /// The beat.
        pub data: Signal = |config| config.data_bits,
        /// The data is damaged.
        pub corrupt: Signal = |_| 1,
    }
}

channel! {
    /// Channel C: what a client that caches answers and gives back.
    pub struct ChannelC for TileLinkConfig {
        /// The message.
        pub opcode: EnumSignal<OpcodeC> = |_| OPCODE_BITS,
        /// Which kind of it.
        pub param: Signal = |_| OPCODE_BITS,
        /// Bytes, as a power of two.
        pub size: Signal = |config| config.size_bits,
        /// The client, or the name of the release.
        pub source: Signal = |config| config.source_bits,
        /// Of the first byte, a multiple of the size.
        pub address: Signal = |config| config.address_bits,
        /// The beat.
        pub data: Signal = |config| config.data_bits,
        /// The data is damaged.
        pub corrupt: Signal = |_| 1,
    }
}

channel! {
    /// Channel D: what a manager answers.
    pub struct ChannelD for TileLinkConfig {
        /// The message.
        pub opcode: EnumSignal<OpcodeD> = |_| OPCODE_BITS,
        /// The permissions that are given.
        pub param: Signal = |_| PERMISSION_BITS,
        /// Bytes, as a power of two: those of the request.
        pub size: Signal = |config| config.size_bits,
        /// Of the request.
        pub source: Signal = |config| config.source_bits,
        /// The acknowledgement of a grant carries it.
        pub sink: Signal = |config| config.sink_bits,
        /// The manager could not do it.
        pub denied: Signal = |_| 1,
        /// The beat.
        pub data: Signal = |config| config.data_bits,
        /// The data is damaged.
        pub corrupt: Signal = |_| 1,
    }
}

channel! {
    /// Channel E: a client has taken a grant.
    pub struct ChannelE for TileLinkConfig {
        /// Of the grant.
        pub sink: Signal = |config| config.sink_bits,
    }
}

/// The names of the fields of a channel, `"a"` to `"e"`: its ports, but for `valid` and `ready`.
///
/// # Panics
/// If there is no such channel.
pub fn channel_fields(config: TileLinkConfig, channel: &str) -> Vec<String> {
    let mut names = vec![];
    let mut make = |name: &str, width: u32| {
        names.push(name.to_owned());
        lit(0u8, width)
    };
    match channel {
        "a" => drop(ChannelA::declare(&config, &mut make)),
        "b" => drop(ChannelB::declare(&config, &mut make)),
        "c" => drop(ChannelC::declare(&config, &mut make)),
        "d" => drop(ChannelD::declare(&config, &mut make)),
        "e" => drop(ChannelE::declare(&config, &mut make)),
        _ => panic!("TileLink has no channel `{channel}`"),
    }
    names
}

bus! {
    /// Declares and joins TileLink ports without caches, TL-UL or TL-UH: what differs is what goes over them.
    ///
    /// ```
    /// use rtl_bus::{ChannelA, OpcodeA, TileLink, TileLinkConfig};
    /// use rtl_hdl::{block_fn, elaborate, lit, when, EnumSignal};
    ///
    /// const CONFIG: TileLinkConfig =
    ///     TileLinkConfig { address_bits: 32, data_bits: 64, size_bits: 2, source_bits: 1, sink_bits: 1 };
    /// let block = block_fn("reads_one_word", |m| {
    ///     m.clock();
    ///     let memory = TileLink::client(m, "memory", CONFIG);
    ///     when(memory.a.can_take(), || {
    ///         memory.a.offer(ChannelA {
    ///             opcode: EnumSignal::of(OpcodeA::Get),
    ///             param: lit(0u8, 3),
    ///             size: lit(3u8, 2),
    ///             source: lit(0u8, 1),
    ///             address: lit(0u8, 32),
    ///             mask: lit(0xffu8, 8),
    ///             data: lit(0u8, 64),
    ///             corrupt: lit(0u8, 1),
    ///         });
    ///     });
    ///     memory.d.take();
    /// });
    /// let design = elaborate(&block).expect("the block is right");
    /// assert!(design.top().port("memory_a_opcode").is_some());
    /// ```
    pub struct TileLink for TileLinkConfig, Underscore, stream_out_with;
    /// The ports of a client, which the specification also calls a master.
    client: TileLinkClient;
    /// The ports of a manager, which the specification also calls a slave.
    manager: TileLinkManager;
    /// Requests.
    asks a "a": ChannelA,
    /// Answers.
    answers d "d": ChannelD,
}

bus! {
    /// Declares and joins TileLink ports with caches, TL-C.
    pub struct TileLinkCached for TileLinkConfig, Underscore, stream_out_with;
    /// The ports of a client that caches.
    client: TileLinkCachedClient;
    /// The ports of a manager of clients that cache.
    manager: TileLinkCachedManager;
    /// Requests.
    asks a "a": ChannelA,
    /// Probes.
    answers b "b": ChannelB,
    /// Releases, and answers to probes.
    asks c "c": ChannelC,
    /// Answers and grants.
    answers d "d": ChannelD,
    /// Acknowledgements of grants.
    asks e "e": ChannelE,
}
