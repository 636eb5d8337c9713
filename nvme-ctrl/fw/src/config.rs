//! What a device is told at its start.

use nvme_spec::identify::padded;
use nvme_spec::limits::NAMESPACES_MAX;

/// A namespace that is there from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceConfig {
    /// Its logical blocks, of the size that the hardware prefers; 0: there is no such namespace.
    pub blocks: u64,
    /// Several functions may see it.
    pub is_shared: bool,
    /// A bit for each function that sees it, the lowest for function 0.
    pub attached: u8,
}

impl NamespaceConfig {
    /// No namespace.
    pub const NONE: Self = Self { blocks: 0, is_shared: false, attached: 0 };
}

/// The identity and the size of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The namespaces, by identifier from 1 on. They lie one behind the other in the storage.
    pub namespaces: [NamespaceConfig; NAMESPACES_MAX as usize],
    /// 4 KiB units of the storage behind them that no namespace has yet.
    pub unallocated_units: u64,
    /// Identify Controller, SN: printable ASCII, blank padded.
    pub serial_number: [u8; 20],
    /// The UUID of the subsystem, also part of its name and of the UUIDs of its namespaces.
    pub uuid: [u8; 16],
}

impl Config {
    /// A device with one namespace of function 0, whose UUID is derived from its serial number.
    pub const fn new(namespace_blocks: u64, serial_number: &str) -> Self {
        let serial_number = padded(serial_number.as_bytes());
        let mut namespaces = [NamespaceConfig::NONE; NAMESPACES_MAX as usize];
        namespaces[0] = NamespaceConfig { blocks: namespace_blocks, is_shared: false, attached: 1 };
        Self { namespaces, unallocated_units: 0, serial_number, uuid: uuid_from(&serial_number) }
    }

    /// The UUID of the namespace that was made as number `serial`: the first has that of the subsystem.
    pub fn namespace_uuid(&self, serial: u32) -> [u8; 16] {
        let mut uuid = self.uuid;
        for (byte, part) in uuid[12..].iter_mut().zip(serial.to_be_bytes()) {
            *byte ^= part;
        }
        uuid
    }

    /// A device with a private namespace of function 0 and a sharable one of functions 0 and 1.
    pub const fn with_two_functions(private_blocks: u64, shared_blocks: u64, serial_number: &str) -> Self {
        let mut config = Self::new(private_blocks, serial_number);
        config.namespaces[1] = NamespaceConfig { blocks: shared_blocks, is_shared: true, attached: 0b11 };
        config
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
