//! Scatter Gather Lists. NVMe Base, "Scatter Gather List (SGL)".
//!
//! The descriptor in a command is a data block, or leads to a *segment*: an array of descriptors at a multiple of 8, of which only the last one may
//! lead to another segment. Data blocks are taken in their order until the command has its data; what lies behind is not looked at, so an SGL may
//! be longer than the data. Descriptors are judged one by one, and the first mistake ends the command:
//!
//! | mistake | status |
//! |---|---|
//! | neither a data block nor a segment, or of a subtype other than an address | SGL Descriptor Type Invalid |
//! | a data block whose address or length is not a multiple of 4 | SGL Data Block Granularity Invalid |
//! | a segment at no multiple of 8, without descriptors, or of a length that is no multiple of 16 | Invalid SGL Segment Descriptor |
//! | a segment behind the last one, or none behind another one, although there is not all data | Invalid SGL Segment Descriptor |
//! | a descriptor that leads on, and is not the last one of its segment | Invalid Number of SGL Descriptors |
//! | more than [`EMPTY_DESCRIPTORS_MAX`] descriptors without data: the SGL may point to itself | Invalid Number of SGL Descriptors |
//! | the SGL ends before the data | Data SGL Length Invalid |
//! | a segment cannot be read | Data Transfer Error |
//!
//! Data blocks of length 0 are skipped.

use core::mem::size_of;

use crate::status::Status;
use crate::SqEntry;

/// Bytes of a descriptor.
pub const DESCRIPTOR_BYTES: u32 = 16;

/// A segment begins at a multiple of this.
pub const SEGMENT_ALIGNMENT: u64 = 8;

/// Addresses and lengths of data blocks are multiples of this: Identify Controller, SGLS, says so.
pub const BLOCK_ALIGNMENT: u64 = 4;

/// Most descriptors of a command that describe no data: those that lead on, and empty data blocks.
pub const EMPTY_DESCRIPTORS_MAX: u32 = 1024;

/// SGL Identifier: Data Block descriptor, subtype Address.
pub const DATA_BLOCK: u8 = 0x00;
/// SGL Identifier: Bit Bucket descriptor, which is not supported.
pub const BIT_BUCKET: u8 = 0x10;
/// SGL Identifier: Segment descriptor, subtype Address.
pub const SEGMENT: u8 = 0x20;
/// SGL Identifier: Last Segment descriptor, subtype Address.
pub const LAST_SEGMENT: u8 = 0x30;

/// A descriptor as it is on the wire: any 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SglDescriptor([u64; 2]);

const _: () = assert!(size_of::<SglDescriptor>() == DESCRIPTOR_BYTES as usize);

/// What a descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// Data.
    Block {
        /// Where it is.
        address: u64,
        /// How much; 0 is legal.
        bytes: u32,
    },
    /// The SGL goes on elsewhere.
    Segment {
        /// Where.
        address: u64,
        /// How many descriptors there are, at least one.
        descriptors: u32,
        /// No other segment follows.
        is_last: bool,
    },
}

impl SglDescriptor {
    /// A descriptor with this SGL Identifier.
    pub const fn new(identifier: u8, address: u64, length: u32) -> Self {
        Self([address, (identifier as u64) << 56 | length as u64])
    }

    /// From its two halves, as they are in host memory.
    pub const fn from_halves(halves: [u64; 2]) -> Self {
        Self(halves)
    }

    /// Its two halves.
    pub const fn halves(self) -> [u64; 2] {
        self.0
    }

    /// What it says, as far as it can be judged alone.
    pub const fn decode(self) -> Result<Descriptor, Status> {
        let [address, high] = self.0;
        let (length, identifier) = (high as u32, (high >> 56) as u8);
        match identifier {
            DATA_BLOCK if address % BLOCK_ALIGNMENT != 0 || length as u64 % BLOCK_ALIGNMENT != 0 => {
                Err(Status::INVALID_SGL_GRANULARITY)
            }
            DATA_BLOCK => Ok(Descriptor::Block { address, bytes: length }),
            SEGMENT | LAST_SEGMENT
                if address % SEGMENT_ALIGNMENT != 0 || length == 0 || length % DESCRIPTOR_BYTES != 0 =>
            {
                Err(Status::INVALID_SGL_SEGMENT)
            }
            SEGMENT | LAST_SEGMENT => Ok(Descriptor::Segment {
                address,
                descriptors: length / DESCRIPTOR_BYTES,
                is_last: identifier == LAST_SEGMENT,
            }),
            _ => Err(Status::INVALID_SGL_TYPE),
        }
    }
}

/// Where the data of a command is: the field Data Pointer, as PSDT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPointer {
    /// PRP Entry 1 and 2.
    Prp([u64; 2]),
    /// The first descriptor of an SGL.
    Sgl(SglDescriptor),
}

/// PSDT: PRPs.
pub const PSDT_PRP: u8 = 0;
/// PSDT: an SGL, and metadata in one piece. PSDT 10b would have metadata described by an SGL, which Identify Controller, SGLS, excludes.
pub const PSDT_SGL: u8 = 1;

impl DataPointer {
    /// The data pointer of an entry.
    pub fn of(entry: &SqEntry) -> Result<Self, Status> {
        let halves = entry.prp.map(|half| half.get());
        match entry.psdt() {
            PSDT_PRP => Ok(Self::Prp(halves)),
            PSDT_SGL => Ok(Self::Sgl(SglDescriptor::from_halves(halves))),
            _ => Err(Status::INVALID_FIELD),
        }
    }

    /// The 16 bytes of the field, and whether they are a descriptor.
    pub const fn halves(self) -> ([u64; 2], bool) {
        match self {
            Self::Prp(prp) => (prp, false),
            Self::Sgl(first) => (first.halves(), true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte from the figures "SGL Data Block descriptor" and "SGL Segment descriptor".
    #[test]
    fn descriptors_are_read_from_their_bytes() {
        let read = |bytes: [u8; 16]| {
            let half = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
            SglDescriptor::from_halves([half(0), half(8)]).decode()
        };
        let mut bytes = [0x04, 0x30, 0, 0, 0, 0, 0, 0x80, 0x00, 0x02, 0, 0, 0xFF, 0xFF, 0xFF, 0x00];
        assert_eq!(read(bytes), Ok(Descriptor::Block { address: 0x8000_0000_0000_3004, bytes: 512 }));
        bytes[0] = 0x08;
        for (identifier, is_last) in [(0x20, false), (0x30, true)] {
            bytes[15] = identifier;
            let segment = Descriptor::Segment { address: 0x8000_0000_0000_3008, descriptors: 32, is_last };
            assert_eq!(read(bytes), Ok(segment));
        }
    }

    #[test]
    fn each_mistake_has_its_status() {
        let decode = |identifier, address, length| SglDescriptor::new(identifier, address, length).decode();
        for identifier in (1..=0xFF).filter(|i| ![SEGMENT, LAST_SEGMENT].contains(i)) {
            assert_eq!(decode(identifier, 0, 16), Err(Status::INVALID_SGL_TYPE), "{identifier:#04x}");
        }
        for (address, length) in [(1, 4), (2, 4), (4, 1), (4, 2)] {
            assert_eq!(decode(DATA_BLOCK, address, length), Err(Status::INVALID_SGL_GRANULARITY));
        }
        assert!(decode(DATA_BLOCK, 4, 0).is_ok());
        for (address, length) in [(4, 16), (8, 0), (8, 8), (8, 24)] {
            for identifier in [SEGMENT, LAST_SEGMENT] {
                assert_eq!(decode(identifier, address, length), Err(Status::INVALID_SGL_SEGMENT));
            }
        }
    }
}
