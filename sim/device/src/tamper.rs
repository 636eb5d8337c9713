//! A hand in the path from the device to memory, for tests of those who watch a device: what they claim to notice is done on purpose.

/// A write of the device on its way to memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceWrite {
    /// Where.
    pub address: u64,
    /// What; the bytes follow each other.
    pub data: Vec<u8>,
}

/// Changes what a device does to memory. Off where there is none.
pub trait Tamper {
    /// A write is on its way: what arrives instead, in this order. Nothing: the write is lost.
    fn write(&mut self, write: DeviceWrite) -> Vec<DeviceWrite> {
        vec![write]
    }

    /// A read was answered with `data`, which the device sees as it is left here.
    fn read(&mut self, _address: u64, _data: &mut [u8]) {}
}
