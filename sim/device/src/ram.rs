use crate::image::Dirty;
use crate::pages::{copy_strobed, Pages};
use crate::{Beat, Fault, Faults, Image, Memory, BEAT_BYTES, PAGE_BYTES};

/// A memory of fixed size that reads as zero until it is written: the device's DDR4 in simulation. With an [`Image`] it holds what the file does.
pub struct Ram {
    pages: Pages,
    bytes: u64,
    image: Option<Image>,
    /// Where and how often it fails.
    pub faults: Faults,
}

impl Ram {
    /// A RAM of `bytes` from address 0.
    pub fn new(bytes: u64) -> Self {
        Self { pages: Pages::default(), bytes, image: None, faults: Faults::none(0) }
    }

    /// Keeps what it holds in a file from now on; what the file has takes the place of what was here.
    pub fn set_image(&mut self, image: Image) {
        self.pages = Pages::default();
        self.image = Some(image);
    }

    /// Its size.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads by the back door: no faults.
    ///
    /// # Panics
    /// When the range is not inside the RAM, or its image fails.
    pub fn load(&mut self, address: u64, data: &mut [u8]) {
        self.assert_inside(address, data.len());
        let mut done = 0;
        while done < data.len() {
            let at = address + done as u64;
            let in_page = ((PAGE_BYTES - at % PAGE_BYTES) as usize).min(data.len() - done);
            self.fetch(at).expect("the image can be read");
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
    /// When the range is not inside the RAM, or its image fails.
    pub fn store(&mut self, address: u64, data: &[u8]) {
        self.assert_inside(address, data.len());
        self.pages.map(address, address + data.len() as u64, 0);
        self.pages.write(address, data);
        if let Some(image) = &self.image {
            image.store(address, data).expect("the image can be written");
        }
    }

    /// Takes the page of an address out of the image when it is first touched.
    fn fetch(&mut self, address: u64) -> Result<(), Fault> {
        let Some(image) = self.image.as_ref().filter(|_| self.pages.tail(address).is_none()) else {
            return Ok(());
        };
        let page = address / PAGE_BYTES * PAGE_BYTES;
        let bytes = PAGE_BYTES.min(self.bytes - page) as usize;
        let mut data = [0; PAGE_BYTES as usize];
        image.load(page, &mut data[..bytes]).map_err(|_| Fault)?;
        self.pages.map(page, page + 1, 0);
        self.pages.write(page, &data);
        Ok(())
    }

    /// Notes that bytes were written, which are in the image when their burst has ended.
    fn soil(&mut self, bytes: std::ops::Range<u64>, changed: bool) -> Result<(), Fault> {
        let dirty = self.image.as_mut().and_then(|image| image.dirty.as_mut());
        if let Some(dirty) = dirty.filter(|dirty| dirty.bytes.end == bytes.start && bytes.start % PAGE_BYTES != 0) {
            dirty.bytes.end = bytes.end;
            dirty.changed |= changed;
            return Ok(());
        }
        self.end_burst()?;
        if let Some(image) = &mut self.image {
            image.dirty = Some(Dirty { bytes, changed });
        }
        Ok(())
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
        self.fetch(address)?;
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
        self.fetch(address)?;
        if self.pages.tail(address).is_none() {
            self.pages.map(address, address + 1, 0);
        }
        let tail = self.pages.tail_mut(address).expect("mapped just above");
        if self.image.is_none() {
            copy_strobed(tail, data, strobe);
            return Ok(());
        }
        let before = <Beat>::try_from(&tail[..BEAT_BYTES]).expect("a beat");
        copy_strobed(tail, data, strobe);
        let changed = before != tail[..BEAT_BYTES];
        self.soil(address..address + BEAT_BYTES as u64, changed)
    }

    fn end_burst(&mut self) -> Result<(), Fault> {
        let Some(image) = &mut self.image else { return Ok(()) };
        // A burst that changes nothing is not written, so that zeroes over zeroes take no room in the file.
        let Some(Dirty { bytes, changed: true }) = image.dirty.take() else { return Ok(()) };
        let tail = self.pages.tail(bytes.start).expect("it was written");
        image.store(bytes.start, &tail[..(bytes.end - bytes.start) as usize]).map_err(|_| Fault)
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
    fn an_image_has_what_was_answered_and_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image");
        let open = || Image::open(&path, 4 << 20);
        let ram = || {
            let mut ram = Ram::new(4 << 20);
            ram.set_image(open().expect("an image"));
            ram
        };
        let mut first = ram();
        assert!(matches!(open(), Err(crate::ImageError::InUse { .. })));
        assert_eq!(first.write_beat(0, 1 << 20, &[0; 64], u64::MAX), Ok(()));
        for beat in 62..66 {
            assert_eq!(
                first.write_beat(0, 64 * beat, &[beat as u8; 64], if beat == 65 { 1 } else { u64::MAX }),
                Ok(())
            );
        }
        let file = || std::fs::read(&path).expect("the image");
        assert_eq!(file()[64 * 62], 62, "before another page");
        assert_eq!(file()[4096], 0, "before the burst ends");
        assert_eq!(first.end_burst(), Ok(()));
        assert_eq!((file()[4096], file()[4096 + 64], file()[4096 + 65]), (64, 65, 0));
        // A burst is written as a whole, be there beats in it that change nothing: a process that is killed tears none.
        for (beat, value) in [(62, 7), (63, 63)] {
            assert_eq!(first.write_beat(0, 64 * beat, &[value; 64], u64::MAX), Ok(()));
        }
        let dirty = first.image.as_ref().and_then(|image| image.dirty.clone());
        assert_eq!(dirty.map(|dirty| dirty.bytes), Some(64 * 62..4096));
        assert_eq!(first.end_burst(), Ok(()));
        drop(first);

        let mut second = ram();
        let mut back = [0; 3];
        second.load(4096 + 63, &mut back);
        assert_eq!(back, [64, 65, 0]);
        let mut beat = [1; 64];
        assert_eq!(second.read_beat(0, 64 * 62, &mut beat), Ok(()));
        assert_eq!(beat, [7; 64]);
        // Zeroes over zeroes, and reads, take no room.
        use std::os::unix::fs::MetadataExt;
        assert!(std::fs::metadata(&path).expect("the image").blocks() * 512 <= 2 * 4096);
        drop(second);
        assert!(matches!(Image::open(&path, 1 << 20), Err(crate::ImageError::Size { .. })));
        assert!(matches!(Image::open(folder.path(), 1 << 20), Err(crate::ImageError::Io { .. })));
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
