use crate::Fault;

/// Memory that a device reaches beyond [`HostMemory`](crate::HostMemory): that of another program, such as the one which runs a guest.
pub trait Outside {
    /// Reads as `function` of the device. When it fails, `data` holds anything.
    ///
    /// # Errors
    /// If not all of it is there.
    fn read(&mut self, function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault>;

    /// Writes as `function` of the device.
    ///
    /// # Errors
    /// If not all of it is there.
    fn write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault>;
}
