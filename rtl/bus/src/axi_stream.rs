//! AXI4-Stream: one channel, most of whose signals are optional. AMBA AXI-Stream (IHI 0051), "Signal descriptions".

use crate::channel::{bus, channel};
use rtl_hdl::Signal;
use std::fmt;

/// The widths of an AXI4-Stream. A signal of no bits is left out. TSTRB is: a byte that is kept is a data byte here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxiStreamConfig {
    /// Width of TDATA: whole bytes.
    pub data_bits: u32,
    /// Whether there is TKEEP, one bit for each byte.
    pub keep: bool,
    /// Whether there is TLAST, which ends a packet.
    pub last: bool,
    /// Width of TID, which names a stream among several; at most 8.
    pub id_bits: u32,
    /// Width of TDEST, by which interconnects route; at most 8.
    pub dest_bits: u32,
    /// Width of TUSER; at most 64 here.
    pub user_bits: u32,
}

/// What is wrong with an [`AxiStreamConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxiStreamConfigError {
    /// Data are 1 to 128 whole bytes here.
    DataBits,
    /// TID has at most 8 bits.
    IdBits,
    /// TDEST has at most 8 bits.
    DestBits,
    /// TUSER has at most 64 bits here.
    UserBits,
}

impl fmt::Display for AxiStreamConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AxiStreamConfigError::DataBits => "the data of an AXI4-Stream are 1 to 128 whole bytes here",
            AxiStreamConfigError::IdBits => "TID has at most 8 bits",
            AxiStreamConfigError::DestBits => "TDEST has at most 8 bits",
            AxiStreamConfigError::UserBits => "TUSER has at most 64 bits here",
        })
    }
}

impl std::error::Error for AxiStreamConfigError {}

impl AxiStreamConfig {
    /// Names the first constraint that does not hold.
    pub const fn check(&self) -> Result<(), AxiStreamConfigError> {
        if self.data_bits == 0 || self.data_bits > 1024 || self.data_bits % 8 != 0 {
            return Err(AxiStreamConfigError::DataBits);
        }
        if self.id_bits > 8 {
            return Err(AxiStreamConfigError::IdBits);
        }
        if self.dest_bits > 8 {
            return Err(AxiStreamConfigError::DestBits);
        }
        if self.user_bits > 64 {
            return Err(AxiStreamConfigError::UserBits);
        }
        Ok(())
    }

    /// Bytes of a transfer.
    pub const fn data_bytes(&self) -> u32 {
        self.data_bits / 8
    }
}

channel! {
    /// A transfer.
    pub struct Transfer for AxiStreamConfig {
        /// The bytes, the first in the lowest bits.
        pub data: Signal = |config| config.data_bits,
        /// One bit for each byte that counts; without it all do.
        pub keep: Option<Signal> = |config| if config.keep { config.data_bytes() } else { 0 },
        /// The last transfer of a packet.
        pub last: Option<Signal> = |config| config.last.into(),
        /// The stream that the transfer belongs to.
        pub id: Option<Signal> = |config| config.id_bits,
        /// Where it goes.
        pub dest: Option<Signal> = |config| config.dest_bits,
        /// What the system puts beside it.
        pub user: Option<Signal> = |config| config.user_bits,
    }
}

bus! {
    /// Declares and joins AXI4-Stream ports.
    ///
    /// ```
    /// use rtl_bus::{AxiStream, AxiStreamConfig};
    /// use rtl_hdl::{block_fn, elaborate, when};
    ///
    /// const PACKETS: AxiStreamConfig =
    ///     AxiStreamConfig { data_bits: 64, keep: true, last: true, id_bits: 0, dest_bits: 0, user_bits: 0 };
    /// let block = block_fn("passes_packets_on", |m| {
    ///     m.clock();
    ///     let from = AxiStream::receiver(m, "from", PACKETS).t;
    ///     let to = AxiStream::transmitter(m, "to", PACKETS).t;
    ///     when(to.can_take(), || {
    ///         from.take();
    ///         when(from.valid(), || to.offer(from.payload()));
    ///     });
    /// });
    /// let design = elaborate(&block).expect("the block is right");
    /// assert!(design.top().port("to_tlast").is_some() && design.top().port("to_tid").is_none());
    /// ```
    pub struct AxiStream for AxiStreamConfig, Joined, stream_out_with;
    /// The ports of a transmitter.
    transmitter: AxiStreamTransmitter;
    /// The ports of a receiver.
    receiver: AxiStreamReceiver;
    /// Transfers.
    asks t "t": Transfer,
}
