//! What a device is told at its start.

use nvme_spec::identify::padded;

/// The identity and the size of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Logical blocks of namespace 1; 0: no namespace is attached.
    pub namespace_blocks: u64,
    /// Identify Controller, SN: printable ASCII, blank padded.
    pub serial_number: [u8; 20],
    /// The namespace's UUID, also part of the subsystem's name.
    pub uuid: [u8; 16],
}

impl Config {
    /// A device whose UUID is derived from its serial number.
    pub const fn new(namespace_blocks: u64, serial_number: &str) -> Self {
        let serial_number = padded(serial_number.as_bytes());
        Self { namespace_blocks, serial_number, uuid: uuid_from(&serial_number) }
    }
}

/// A UUID of version 8 ("custom"), RFC 9562, "UUID Version 8": two FNV-1a hashes of the text.
const fn uuid_from(text: &[u8]) -> [u8; 16] {
    let mut uuid = [0; 16];
    let mut half = 0;
    while half < 2 {
        let mut hash: u64 = 0xCBF2_9CE4_8422_2325 ^ half as u64;
        let mut i = 0;
        while i < text.len() {
            hash = (hash ^ text[i] as u64).wrapping_mul(0x100_0000_01B3);
            i += 1;
        }
        let bytes = hash.to_be_bytes();
        let mut i = 0;
        while i < 8 {
            uuid[8 * half + i] = bytes[i];
            i += 1;
        }
        half += 1;
    }
    uuid[6] = uuid[6] & 0x0F | 0x80;
    uuid[8] = uuid[8] & 0x3F | 0x80;
    uuid
}
