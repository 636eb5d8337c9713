//! A drive of the model as the emulated medium of the hardware.
//!
//! Both have the same pages, with the same spares and records: what firmware writes is the same in both, byte for byte. They differ in what a unit of the
//! host holds: a number in the model ([`FlashDrive`](crate::FlashDrive)), and [`UNIT_BYTES`] in hardware, which are the number over and over again here.

use flash_hw::flash_path;
use flash_model::{Content, Page};
use flash_spec::limits::{PAGE_BYTES, SPARE_BYTES, UNIT_BYTES};
use flash_spec::spare::{crc32c, Spare, LPN_NONE};
use sim_cosim::{FlashContents, Medium};
use sim_device::Ram;

use crate::Image;

/// What a unit holds in hardware that holds a number in the model.
pub fn unit_bytes(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(UNIT_BYTES as usize / 8)
}

impl Image {
    /// The drive for the hardware of these parameters, of which it takes the places on the medium.
    ///
    /// The sequences that choose when something fails are not in it: hardware goes on with its own.
    ///
    /// # Panics
    /// If the geometry is another one.
    pub fn contents(&self, path: &flash_path::Config) -> FlashContents {
        let geometry = &path.geometry;
        assert_eq!(*geometry, self.config.geometry);
        let mut ram = Ram::new(path.medium_bytes());
        for index in 0..geometry.pages() {
            let Page::Programmed { data, spare } = self.array.page(geometry.page_at(index)) else { continue };
            let page_base = index * u64::from(PAGE_BYTES);
            let mut spare = *spare;
            match data {
                Content::Units(numbers) => {
                    let units = units_of(&mut spare, index as u32, *numbers);
                    for (place, unit) in (0..).zip(units).filter_map(|(at, unit)| Some((at, unit?))) {
                        ram.store(page_base + place * u64::from(UNIT_BYTES), &unit);
                    }
                }
                Content::Words(words) => {
                    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                    ram.store(page_base, &bytes);
                }
                Content::Nothing => {}
            }
            ram.store(path.spares_base() + index * u64::from(SPARE_BYTES), &spare);
        }
        let records = (0..geometry.blocks()).map(|block| self.array.block_record(geometry.block_at(block))).collect();
        FlashContents { config: self.config, medium: Some(Medium { ram, records }) }
    }
}

/// The units of a page, as far as they have content, and its spare with their checksums instead of those of the numbers. A spare that does not belong to
/// what the page holds stays as it is: whoever reads the page is to notice.
fn units_of(spare: &mut [u8; SPARE_BYTES as usize], page: u32, numbers: [u64; 4]) -> [Option<Vec<u8>>; 4] {
    let numbers_crc = Content::Units(numbers).crc();
    let known = Spare::check(spare, page).filter(|known| known.unit_crc.map(|crc| crc.get()) == numbers_crc);
    let Some(known) = known else { return numbers.map(|number| Some(unit_bytes(number))) };
    let lpns = known.lpns.map(|lpn| lpn.get());
    let mut units = [const { None }; 4];
    let mut crcs = [0; 4];
    for (at, number) in numbers.into_iter().enumerate().filter(|(at, _)| lpns[*at] != LPN_NONE) {
        let bytes = unit_bytes(number);
        crcs[at] = crc32c(&bytes);
        units[at] = Some(bytes);
    }
    *spare = Spare::new(page, known.sequence.get(), known.kind, lpns, crcs).to_bytes();
    units
}
