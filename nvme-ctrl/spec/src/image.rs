//! Firmware images, as Firmware Image Download carries them.
//!
//! An image is a header of [`HEADER_BYTES`] bytes and a payload that only the processors of the device understand.

use core::mem::{offset_of, size_of};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What every image begins with.
pub const MAGIC: [u8; 8] = *b"FDFWIMG1";

/// Bytes of the header.
pub const HEADER_BYTES: u32 = 64;

/// Most bytes of an image.
pub const IMAGE_BYTES_MAX: u32 = 16 << 20;

/// The header of an image.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct ImageHeader {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// Bytes behind the header, a multiple of 4.
    pub payload_bytes: U32,
    /// CRC-32 of the bytes behind the header.
    pub payload_crc: U32,
    /// Firmware Revision: printable ASCII, blank padded.
    pub revision: [u8; 8],
    /// The version of the firmware port that it is for: [`crate::firmware_port::INTERFACE_VERSION`].
    pub interface_version: U32,
    /// Reserved.
    pub reserved28: [u8; 32],
    /// CRC-32 of the header before this field.
    pub header_crc: U32,
}

const _: () = assert!(size_of::<ImageHeader>() == HEADER_BYTES as usize);
const _: () = assert!(offset_of!(ImageHeader, revision) == 16);
const _: () = assert!(offset_of!(ImageHeader, header_crc) == 60);

impl ImageHeader {
    /// The bytes that `header_crc` covers.
    pub fn checked_bytes(&self) -> [u8; 60] {
        let mut bytes = [0; 60];
        bytes.copy_from_slice(&self.as_bytes()[..60]);
        bytes
    }

    /// The header of an image for this version of the firmware port.
    pub fn new(revision: [u8; 8], payload: &[u8]) -> Self {
        let mut header = Self {
            magic: MAGIC,
            payload_bytes: (payload.len() as u32).into(),
            payload_crc: crc32(payload).into(),
            revision,
            interface_version: crate::firmware_port::INTERFACE_VERSION.into(),
            reserved28: [0; 32],
            header_crc: 0.into(),
        };
        header.header_crc = crc32(&header.checked_bytes()).into();
        header
    }
}

/// CRC-32 of ISO/IEC/IEEE 802-3: the polynomial 04C11DB7h, reflected, with all ones before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32(u32);

impl Crc32 {
    const REFLECTED_POLYNOMIAL: u32 = 0xEDB8_8320;

    /// Of nothing.
    #[allow(clippy::new_without_default, reason = "a checksum has no default")]
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Goes on by a byte.
    pub const fn add(&mut self, byte: u8) {
        self.0 ^= byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let subtract = Self::REFLECTED_POLYNOMIAL * (self.0 & 1);
            self.0 = self.0 >> 1 ^ subtract;
            bit += 1;
        }
    }

    /// Of the bytes so far.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

/// The CRC-32 of some bytes.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    bytes.iter().for_each(|byte| crc.add(*byte));
    crc.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the catalogue of CRCs.
    #[test]
    fn the_crc_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_header_covers_itself_and_its_payload() {
        let header = ImageHeader::new(*b"1.2.3   ", b"payload!");
        assert_eq!(header.as_bytes()[..8], *b"FDFWIMG1");
        assert_eq!(header.payload_bytes.get(), 8);
        assert_eq!(header.header_crc.get(), crc32(&header.as_bytes()[..60]));
    }
}
