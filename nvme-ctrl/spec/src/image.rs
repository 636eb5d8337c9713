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
    /// Of nothing.
    #[allow(clippy::new_without_default, reason = "a checksum has no default")]
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Goes on by a byte.
    pub const fn add(&mut self, byte: u8) {
        self.0 = times_x(self.0 ^ byte as u32, 8);
    }

    /// Of the bytes so far.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

/// The polynomial of [`Crc32`]; of a polynomial that is reflected the highest bit is the coefficient of 1.
const REFLECTED_POLYNOMIAL: u32 = 0xEDB8_8320;

/// 1.
const ONE: u32 = 1 << 31;

/// x to the power of 8: a factor for each byte that follows.
const BYTE: u32 = times_x(ONE, 8);

/// Its inverse. The polynomial has a coefficient of 1, and every power of x an inverse.
const BYTE_INVERSE: u32 = {
    let mut value = ONE;
    let mut step = 0;
    while step < 8 {
        let low_bit = value >> 31;
        let added = REFLECTED_POLYNOMIAL * low_bit;
        value = (value ^ added) << 1 | low_bit;
        step += 1;
    }
    value
};

const _: () = assert!(times(BYTE, BYTE_INVERSE) == ONE);

/// Times a power of x, modulo the polynomial.
const fn times_x(mut value: u32, power: u32) -> u32 {
    let mut step = 0;
    while step < power {
        let subtracted = REFLECTED_POLYNOMIAL * (value & 1);
        value = value >> 1 ^ subtracted;
        step += 1;
    }
    value
}

/// The product of two polynomials, modulo that of the CRC.
const fn times(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 32;
    while bit > 0 {
        bit -= 1;
        product ^= b * (a >> bit & 1);
        b = times_x(b, 1);
    }
    product
}

fn power(mut base: u32, mut exponent: u32) -> u32 {
    let mut result = ONE;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    result
}

/// [`Crc32`] of bytes that come in pieces in any order, none of which is kept.
///
/// A CRC is the sum of what its pieces contribute, each times x^8 for every byte behind it. How many there are is not known before the end, so the
/// sum here lacks the factor x^8 for every byte of the whole: a piece is divided by x^8 for every byte before its end, and [`Self::value`] makes up for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PiecewiseCrc32(u32);

impl PiecewiseCrc32 {
    /// Of nothing.
    #[allow(clippy::new_without_default, reason = "a checksum has no default")]
    pub const fn new() -> Self {
        Self(Crc32::new().0)
    }

    /// Adds the bytes from `start` on; each byte of the whole is added once.
    pub fn add(&mut self, start: u32, bytes: impl Iterator<Item = u8>) {
        let mut piece = Crc32(0);
        let mut end = start;
        for byte in bytes {
            piece.add(byte);
            end += 1;
        }
        self.0 ^= times(piece.0, power(BYTE_INVERSE, end));
    }

    /// Of so many bytes, all of which have been added.
    pub fn value(self, bytes: u32) -> u32 {
        Crc32(times(self.0, power(BYTE, bytes))).value()
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
    fn the_order_of_pieces_does_not_matter() {
        let bytes: [u8; 1000] = core::array::from_fn(|at| (at * at / 3) as u8);
        let expected = crc32(&bytes);
        let orders: [[(usize, usize); 4]; 3] = [
            [(0, 1), (1, 400), (400, 999), (999, 1000)],
            [(999, 1000), (400, 999), (1, 400), (0, 1)],
            [(400, 999), (0, 1), (999, 1000), (1, 400)],
        ];
        for order in orders {
            let mut crc = PiecewiseCrc32::new();
            for (start, end) in order {
                crc.add(start as u32, bytes[start..end].iter().copied());
            }
            assert_eq!(crc.value(1000), expected, "{order:?}");
            crc.add(3, [1].into_iter());
            assert_ne!(crc.value(1000), expected);
        }
        assert_eq!(PiecewiseCrc32::new().value(0), crc32(b""));
    }

    #[test]
    fn a_header_covers_itself_and_its_payload() {
        let header = ImageHeader::new(*b"1.2.3   ", b"payload!");
        assert_eq!(header.as_bytes()[..8], *b"FDFWIMG1");
        assert_eq!(header.payload_bytes.get(), 8);
        assert_eq!(header.header_crc.get(), crc32(&header.as_bytes()[..60]));
    }
}
