//! What the model asks of the memory of its host.

/// The host answered an access with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError;

/// The host as a PCIe function sees it: memory, and interrupt messages, which are writes.
pub trait HostPort {
    /// Fills `data` from `address`.
    fn read(&mut self, function: u8, address: u64, data: &mut [u8]) -> Result<(), HostError>;

    /// Writes `data` to `address`.
    fn write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), HostError>;
}
