use crate::pages::{copy_strobed, Pages};
use crate::{Beat, Fault, Faults, Memory, BEAT_BYTES, PAGE_BYTES};

/// A memory of fixed size that reads as zero until it is written: the device's DDR4 in simulation.
pub struct Ram {
    pages: Pages,
    bytes: u64,
    /// Where and how often it fails.
    pub faults: Faults,
}

impl Ram {
    /// A RAM of `bytes` from address 0.
    pub fn new(bytes: u64) -> Self {
        Self { pages: Pages::default(), bytes, faults: Faults::none(0) }
    }

    /// Its size.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads by the back door: no faults.
    ///
    /// # Panics
    /// When the range is not inside the RAM.
    pub fn load(&self, address: u64, data: &mut [u8]) {
        self.assert_inside(address, data.len());
        let mut done = 0;
        while done < data.len() {
            let at = address + done as u64;
            let in_page = ((PAGE_BYTES - at % PAGE_BYTES) as usize).min(data.len() - done);
            let part = &mut data[done..done + in_page];
            match self.pages.tail(at) {
                Some(tail) => part.copy_from_slice(&tail[..in_page]),
                None => part.fill(0),
            }
            done += in_page;
        }
    }

    /// Writes by the back door: no faults.
    ///
    /// # Panics
    /// When the range is not inside the RAM.
    pub fn store(&mut self, address: u64, data: &[u8]) {
        self.assert_inside(address, data.len());
        self.pages.map(address, address + data.len() as u64, 0);
        self.pages.write(address, data);
    }

    fn contains(&self, address: u64, bytes: usize) -> bool {
        address.checked_add(bytes as u64).is_some_and(|end| end <= self.bytes)
    }

    fn assert_inside(&self, address: u64, bytes: usize) {
        assert!(
            self.contains(address, bytes),
            "{bytes} bytes at {address:#x} are outside a RAM of {:#x} bytes",
            self.bytes
        );
    }
}

impl Memory for Ram {
    fn read_beat(&mut self, _function: u8, address: u64, data: &mut Beat) -> Result<(), Fault> {
        self.faults.read(address, data.len())?;
        if !self.contains(address, data.len()) {
            return Err(Fault);
        }
        match self.pages.tail(address) {
            Some(tail) => data.copy_from_slice(&tail[..BEAT_BYTES]),
            None => data.fill(0),
        }
        Ok(())
    }

    fn write_beat(&mut self, _function: u8, address: u64, data: &Beat, strobe: u64) -> Result<(), Fault> {
        self.faults.write(address, data.len())?;
        if !self.contains(address, data.len()) {
            return Err(Fault);
        }
        if self.pages.tail(address).is_none() {
            self.pages.map(address, address + 1, 0);
        }
        let tail = self.pages.tail_mut(address).expect("mapped just above");
        copy_strobed(tail, data, strobe);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_zero_then_what_was_written_and_fails_outside() {
        let mut ram = Ram::new(8192);
        let mut beat = [1; 64];
        assert_eq!(ram.read_beat(0, 4096, &mut beat), Ok(()));
        assert_eq!(beat, [0; 64]);
        assert_eq!(ram.write_beat(0, 4096, &[5; 64], 0b10), Ok(()));
        let mut back = [9; 3];
        ram.load(4096, &mut back);
        assert_eq!(back, [0, 5, 0]);
        assert_eq!(ram.write_beat(0, 8192, &[5; 64], u64::MAX), Err(Fault));
        assert_eq!(ram.read_beat(0, 8192, &mut beat), Err(Fault));
    }

    #[test]
    fn the_back_door_crosses_pages() {
        let mut ram = Ram::new(3 * 4096);
        ram.store(4090, &[1, 2, 3, 4, 5, 6, 7, 8]);
        let mut back = [0; 10];
        ram.load(4089, &mut back);
        assert_eq!(back, [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
    }
}
