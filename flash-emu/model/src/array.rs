//! # What the dies keep
//!
//! Blocks, pages and their contents, with the rules of NAND, wear and faults. Time is not known here: whoever counts it starts an operation when its
//! array time begins and ends it when that is over. A power cut comes between the two.
//!
//! ## Rules
//! - The pages of a block are programmed in order, each once, after the block was erased.
//! - A program that is cut off leaves no content in its page and, if that is an MSB page, none in the LSB page of the same cells. An erase that is cut
//!   off leaves none in the block. Either way the block must be erased before it is programmed again.
//! - After a program that failed the block must be erased before it is programmed again; its other pages are as they were. After an erase that failed
//!   the block can no more be programmed.

mod saved;

pub use saved::{NotSaved, SavedBlock};

use flash_spec::limits::SPARE_BYTES;
use flash_spec::pairing::{kind, paired, PageKind};
use flash_spec::reliability::{next_random, ERASES_BITS, RETRIES_MAX};
use flash_spec::{BlockRecord, Geometry, Outcome, PageAddress, Reliability, Torn, Violation};

/// What the counter of a block's erases goes to.
const ERASES_MAX: u32 = (1 << ERASES_BITS) - 1;

/// The dies of a flash. `D` is the content of a page, bytes or anything that stands for them.
#[derive(Clone, Debug)]
pub struct Array<D> {
    geometry: Geometry,
    reliability: Reliability,
    /// The last number of each channel's sequence.
    random: Vec<u32>,
    begun: Begun,
    blocks: Vec<Block<D>>,
}

/// How much has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Reads, with those of all attempts.
    pub reads: u64,
    /// Programs.
    pub programs: u64,
    /// Erases of blocks.
    pub erases: u64,
}

/// What is in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page<D> {
    /// Nothing since the last erase: it reads as ones.
    Erased,
    /// What was programmed.
    Programmed {
        /// The data.
        data: D,
        /// The spare.
        spare: [u8; SPARE_BYTES as usize],
    },
    /// Nothing that could be read: a program or an erase was cut off or failed.
    Destroyed,
}

#[derive(Clone, Debug)]
struct Block<D> {
    /// Empty as long as all of them are erased.
    pages: Vec<Page<D>>,
    erases: u32,
    /// The page that is programmed next.
    next_page: u32,
    /// Nothing is programmed before the next erase.
    is_closed: bool,
    is_bad: bool,
    in_progress: Option<InProgress<D>>,
}

#[derive(Clone, Debug)]
enum InProgress<D> {
    Program { page: u32, content: Page<D> },
    Erase { outcome: Outcome },
}

impl<D> Array<D> {
    /// New flash: all blocks are erased and were never used.
    ///
    /// # Panics
    /// If the geometry breaks a constraint.
    pub fn new(geometry: Geometry, reliability: Reliability) -> Self {
        assert_eq!(geometry.check(), Ok(()));
        let random = (0..geometry.channels).map(|channel| reliability.seed.wrapping_add(channel)).collect();
        let blocks = (0..geometry.blocks()).map(|_| Block::new()).collect();
        Self { geometry, reliability, random, begun: Begun::default(), blocks }
    }

    /// How many of what there are.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Changes what goes wrong from now on; the sequences of numbers go on.
    pub fn set_reliability(&mut self, reliability: Reliability) {
        self.reliability = reliability;
    }

    /// What has begun in the arrays.
    pub fn begun(&self) -> Begun {
        self.begun
    }

    /// How often the block of a page was erased.
    pub fn erases(&self, address: PageAddress) -> u32 {
        self.block(address).erases
    }

    /// Sets how often the block of a page was erased, as if it had been used.
    ///
    /// # Panics
    /// If the counter has no room for it: see [`ERASES_BITS`].
    pub fn set_erases(&mut self, address: PageAddress, erases: u32) {
        assert!(erases <= ERASES_MAX, "a block is not erased {erases} times");
        self.block_mut(address).erases = erases;
    }

    /// What is known of the block of a page beside what its pages hold. While a program is in progress its page counts as programmed.
    pub fn block_record(&self, address: PageAddress) -> BlockRecord {
        let pages = self.geometry.pages_per_block;
        let block = self.block(address);
        let is_destroyed = |page: u32| matches!(block.pages.get(page as usize), Some(Page::Destroyed));
        let torn = match block.next_page.checked_sub(1) {
            None if is_destroyed(0) => Torn::Block,
            Some(last) if is_destroyed(last) => match kind(last, pages) {
                PageKind::Msb if is_destroyed(paired(last, pages)) => Torn::Cells,
                _ => Torn::Last,
            },
            _ => Torn::Nothing,
        };
        let Block { erases, next_page, is_closed, is_bad, .. } = *block;
        BlockRecord { erases, next_page: next_page as u16, is_closed, is_bad, torn }
    }

    /// Makes the block of a page one with this record, as if it had been used; `content` says what is in each of its pages that was programmed and is not torn.
    ///
    /// # Panics
    /// If [no block can have](BlockRecord::is_possible) this record, or an operation of the block is in progress.
    pub fn set_block_record(
        &mut self,
        address: PageAddress,
        record: BlockRecord,
        mut content: impl FnMut(u16) -> (D, [u8; SPARE_BYTES as usize]),
    ) {
        let pages = self.geometry.pages_per_block;
        assert!(record.is_possible(pages), "no block can have {record:?}");
        let BlockRecord { erases, next_page, is_closed, is_bad, torn } = record;
        let block = self.block_mut(address);
        assert!(block.in_progress.is_none(), "a block that is in use does not change");
        *block = Block { erases, next_page: next_page.into(), is_closed, is_bad, ..Block::new() };
        if torn == Torn::Block {
            block.destroy(pages);
        }
        if next_page == 0 {
            return;
        }
        block.pages.resize_with(pages as usize, || Page::Erased);
        let last = u32::from(next_page) - 1;
        for page in 0..next_page {
            let is_last = u32::from(page) == last;
            let is_torn = match torn {
                Torn::Nothing => false,
                Torn::Last => is_last,
                Torn::Cells => is_last || u32::from(page) == paired(last, pages),
                Torn::Block => true,
            };
            block.pages[usize::from(page)] = if is_torn {
                Page::Destroyed
            } else {
                let (data, spare) = content(page);
                Page::Programmed { data, spare }
            };
        }
    }

    /// What is in a page, whether or not it could be read.
    pub fn page(&self, address: PageAddress) -> &Page<D> {
        self.block(address).pages.get(usize::from(address.page)).unwrap_or(&Page::Erased)
    }

    /// Whether a page has not been programmed since the erase of its block. One whose program is in progress is not blank, nor is one that is torn.
    pub fn is_blank(&self, address: PageAddress) -> bool {
        u32::from(address.page) >= self.block(address).next_page && matches!(self.page(address), Page::Erased)
    }

    /// What is in a page, to change it as no program does: a fault that error correction does not notice. Nothing if the whole block is erased.
    pub fn page_mut(&mut self, address: PageAddress) -> Option<&mut Page<D>> {
        self.block_mut(address).pages.get_mut(usize::from(address.page))
    }

    /// Starts a read and says how it ends.
    ///
    /// # Errors
    /// If there is no such page.
    pub fn read(&mut self, address: PageAddress) -> Result<Outcome, Violation> {
        self.check(address)?;
        self.begun.reads += 1;
        let random = self.draw(address);
        let Reliability { retry_rate, uncorrectable_rate, .. } = self.reliability;
        let is_uncorrectable = random < uncorrectable_rate;
        let needs_one_more = !is_uncorrectable && random - uncorrectable_rate < retry_rate;
        let retries = self.reliability.wear_retries(self.erases(address)) + u32::from(needs_one_more);
        let is_destroyed = matches!(self.page(address), Page::Destroyed);
        if is_uncorrectable || is_destroyed || retries > RETRIES_MAX {
            return Ok(Outcome::Uncorrectable);
        }
        Ok(Outcome::Good { retries: retries as u8 })
    }

    /// Starts a program.
    ///
    /// # Errors
    /// If it breaks a rule. Nothing is done then.
    ///
    /// # Panics
    /// If an operation of the block is in progress.
    pub fn start_program(
        &mut self,
        address: PageAddress,
        data: D,
        spare: [u8; SPARE_BYTES as usize],
    ) -> Result<(), Violation> {
        self.check_program(address)?;
        self.begun.programs += 1;
        let fails = self.draw(address) < self.reliability.program_fail_rate;
        let page = u32::from(address.page);
        let pages = self.geometry.pages_per_block as usize;
        let block = self.block_mut(address);
        block.pages.resize_with(pages, || Page::Erased);
        block.next_page = page + 1;
        let content = if fails { Page::Destroyed } else { Page::Programmed { data, spare } };
        block.start(InProgress::Program { page, content });
        Ok(())
    }

    /// Whether the next program may be of this page.
    ///
    /// # Errors
    /// The rule that it would break.
    pub fn check_program(&self, address: PageAddress) -> Result<(), Violation> {
        self.check(address)?;
        let (block, page) = (self.block(address), u32::from(address.page));
        if block.is_closed || page < block.next_page {
            return Err(Violation::NotErased);
        }
        if page > block.next_page {
            return Err(Violation::OutOfOrder);
        }
        Ok(())
    }

    /// Starts an erase of the block of a page.
    ///
    /// # Errors
    /// If there is no such block.
    ///
    /// # Panics
    /// If an operation of the block is in progress.
    pub fn start_erase(&mut self, address: PageAddress) -> Result<(), Violation> {
        self.check(address)?;
        self.begun.erases += 1;
        let Reliability { erase_fail_rate, erases_max, .. } = self.reliability;
        let is_worn = erases_max != 0 && self.erases(address) >= erases_max;
        let fails = self.draw(address) < erase_fail_rate || is_worn || self.block(address).is_bad;
        let outcome = if fails { Outcome::EraseFailed } else { Outcome::GOOD };
        self.block_mut(address).start(InProgress::Erase { outcome });
        Ok(())
    }

    /// Ends the program or the erase of a block and says how.
    ///
    /// # Panics
    /// If none is in progress.
    pub fn end(&mut self, address: PageAddress) -> Outcome {
        let pages = self.geometry.pages_per_block;
        let block = self.block_mut(address);
        match block.in_progress.take().expect("an operation is in progress") {
            InProgress::Program { page, content } => {
                let has_failed = matches!(content, Page::Destroyed);
                block.is_closed |= has_failed;
                block.pages[page as usize] = content;
                if has_failed {
                    Outcome::ProgramFailed
                } else {
                    Outcome::GOOD
                }
            }
            InProgress::Erase { outcome } => {
                block.count_erase();
                block.next_page = 0;
                if outcome.is_good() {
                    block.is_closed = false;
                    block.pages = Vec::new();
                } else {
                    block.is_bad = true;
                    block.destroy(pages);
                }
                outcome
            }
        }
    }

    /// Cuts the power: operations in progress end where they are.
    pub fn cut(&mut self) {
        let pages = self.geometry.pages_per_block;
        for block in &mut self.blocks {
            match block.in_progress.take() {
                None => {}
                Some(InProgress::Program { page, .. }) => {
                    block.is_closed = true;
                    block.pages[page as usize] = Page::Destroyed;
                    if kind(page, pages) == PageKind::Msb {
                        block.pages[paired(page, pages) as usize] = Page::Destroyed;
                    }
                }
                Some(InProgress::Erase { .. }) => {
                    block.count_erase();
                    block.next_page = 0;
                    block.destroy(pages);
                }
            }
        }
    }

    /// The next number of the channel of a page.
    fn draw(&mut self, address: PageAddress) -> u32 {
        let random = &mut self.random[usize::from(address.channel)];
        *random = next_random(*random);
        *random
    }

    fn check(&self, address: PageAddress) -> Result<(), Violation> {
        if self.geometry.contains(address) {
            Ok(())
        } else {
            Err(Violation::OutOfRange)
        }
    }

    fn block(&self, address: PageAddress) -> &Block<D> {
        &self.blocks[self.geometry.block_index(address) as usize]
    }

    fn block_mut(&mut self, address: PageAddress) -> &mut Block<D> {
        &mut self.blocks[self.geometry.block_index(address) as usize]
    }
}

impl<D> Block<D> {
    fn new() -> Self {
        Self { pages: Vec::new(), erases: 0, next_page: 0, is_closed: false, is_bad: false, in_progress: None }
    }

    fn start(&mut self, operation: InProgress<D>) {
        assert!(self.in_progress.is_none(), "a block does one thing at a time");
        self.in_progress = Some(operation);
    }

    fn count_erase(&mut self) {
        self.erases = ERASES_MAX.min(self.erases + 1);
    }

    /// Leaves no content and nothing that could be programmed.
    fn destroy(&mut self, pages: u32) {
        self.is_closed = true;
        self.pages.clear();
        self.pages.resize_with(pages as usize, || Page::Destroyed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flash_spec::pairing;
    use proptest::prelude::*;

    const SPARE: [u8; SPARE_BYTES as usize] = [7; SPARE_BYTES as usize];
    const PAGES: u16 = Geometry::SMALL.pages_per_block as u16;

    fn at(block: u16, page: u16) -> PageAddress {
        PageAddress { channel: 1, die: 1, plane: 1, block, page }
    }

    fn new() -> Array<u16> {
        Array::new(Geometry::SMALL, Reliability::DEFAULT)
    }

    fn program(array: &mut Array<u16>, address: PageAddress) -> Result<Outcome, Violation> {
        array.start_program(address, address.page, SPARE).map(|()| array.end(address))
    }

    fn erase(array: &mut Array<u16>, address: PageAddress) -> Outcome {
        array.start_erase(address).expect("a block");
        array.end(address)
    }

    fn is_there(array: &Array<u16>, address: PageAddress) -> bool {
        array.page(address) == &Page::Programmed { data: address.page, spare: SPARE }
    }

    #[test]
    fn pages_are_programmed_in_order_and_once() {
        let mut array = new();
        assert_eq!(program(&mut array, at(3, 1)), Err(Violation::OutOfOrder));
        for page in 0..PAGES {
            assert_eq!(program(&mut array, at(3, page)), Ok(Outcome::GOOD));
            assert_eq!(program(&mut array, at(3, page)), Err(Violation::NotErased));
        }
        assert!((0..PAGES).all(|page| is_there(&array, at(3, page))));
        assert_eq!(array.page(at(2, 0)), &Page::Erased);
        assert_eq!(erase(&mut array, at(3, 0)), Outcome::GOOD);
        assert_eq!((array.page(at(3, 0)), array.erases(at(3, 9))), (&Page::Erased, 1));
        assert_eq!(program(&mut array, at(3, 0)), Ok(Outcome::GOOD));
        for wrong in [at(16, 0), at(0, 16), PageAddress { channel: 2, ..at(0, 0) }] {
            assert_eq!(program(&mut array, wrong), Err(Violation::OutOfRange));
            assert_eq!(array.read(wrong), Err(Violation::OutOfRange));
            assert_eq!(array.start_erase(wrong), Err(Violation::OutOfRange));
        }
    }

    proptest! {
        #[test]
        fn a_cut_takes_the_page_in_progress_and_the_lsb_page_of_its_cells(programmed in 0..PAGES) {
            let mut array = new();
            for page in 0..programmed {
                program(&mut array, at(0, page)).expect("it is in order");
            }
            array.start_program(at(0, programmed), 0, SPARE).expect("it is in order");
            array.cut();
            let (page, pages) = (u32::from(programmed), u32::from(PAGES));
            let lost = (pairing::kind(page, pages) == PageKind::Msb).then(|| pairing::paired(page, pages));
            for page in 0..programmed {
                prop_assert_eq!(is_there(&array, at(0, page)), lost != Some(page.into()), "page {}", page);
            }
            prop_assert_eq!(array.read(at(0, programmed)), Ok(Outcome::Uncorrectable));
            prop_assert_eq!(program(&mut array, at(0, programmed + 1)), Err(if programmed + 1 < PAGES { Violation::NotErased } else { Violation::OutOfRange }));
            prop_assert_eq!(erase(&mut array, at(0, 0)), Outcome::GOOD);
            prop_assert_eq!(program(&mut array, at(0, 0)), Ok(Outcome::GOOD));
        }
    }

    #[test]
    fn an_erase_that_is_cut_off_leaves_nothing() {
        let mut array = new();
        program(&mut array, at(0, 0)).expect("it is in order");
        array.start_erase(at(0, 0)).expect("a block");
        assert!(is_there(&array, at(0, 0)), "it is there until the erase ends");
        array.cut();
        assert_eq!(array.read(at(0, 0)), Ok(Outcome::Uncorrectable));
        assert_eq!(array.read(at(0, 5)), Ok(Outcome::Uncorrectable));
        assert_eq!(program(&mut array, at(0, 0)), Err(Violation::NotErased));
        assert_eq!(erase(&mut array, at(0, 0)), Outcome::GOOD);
        assert_eq!(array.erases(at(0, 0)), 2);
        assert_eq!(program(&mut array, at(0, 0)), Ok(Outcome::GOOD));
    }

    #[test]
    fn a_program_that_fails_leaves_the_other_pages() {
        let mut array = new();
        program(&mut array, at(0, 0)).expect("it is in order");
        array.set_reliability(Reliability { program_fail_rate: u32::MAX, ..Reliability::DEFAULT });
        assert_eq!(program(&mut array, at(0, 1)), Ok(Outcome::ProgramFailed));
        assert!(is_there(&array, at(0, 0)));
        assert_eq!(array.read(at(0, 1)), Ok(Outcome::Uncorrectable));
        assert_eq!(program(&mut array, at(0, 2)), Err(Violation::NotErased));
    }

    #[test]
    fn a_block_whose_erase_failed_stays_bad() {
        let mut array = new();
        array.set_reliability(Reliability { erases_max: 2, ..Reliability::DEFAULT });
        let ends = [(); 4].map(|()| erase(&mut array, at(0, 0)));
        assert_eq!(ends, [Outcome::GOOD, Outcome::GOOD, Outcome::EraseFailed, Outcome::EraseFailed]);
        array.set_reliability(Reliability::DEFAULT);
        assert_eq!(erase(&mut array, at(0, 0)), Outcome::EraseFailed);
        assert_eq!(program(&mut array, at(0, 0)), Err(Violation::NotErased));
    }

    #[test]
    fn a_record_says_what_has_happened_to_a_block() {
        let mut array = new();
        let record = |array: &Array<u16>| array.block_record(at(0, 0));
        assert_eq!(record(&array), BlockRecord::default());
        let open = |next_page| BlockRecord { next_page, ..BlockRecord::default() };
        let cut = |next_page, torn| BlockRecord { is_closed: true, torn, ..open(next_page) };
        for page in 0..2 {
            program(&mut array, at(0, page)).expect("it is in order");
        }
        assert_eq!(record(&array), open(2));
        let mut other = array.clone();
        other.start_program(at(0, 2), 0, SPARE).expect("it is in order");
        assert_eq!(record(&other), open(3), "it is in progress");
        other.cut();
        assert_eq!(record(&other), cut(3, Torn::Cells));
        program(&mut array, at(0, 2)).expect("it is in order");
        array.start_program(at(0, 3), 0, SPARE).expect("it is in order");
        array.cut();
        assert_eq!(record(&array), cut(4, Torn::Last));
        array.start_erase(at(0, 0)).expect("a block");
        array.cut();
        assert_eq!(record(&array), BlockRecord { erases: 1, ..cut(0, Torn::Block) });
        array.set_reliability(Reliability { erase_fail_rate: u32::MAX, ..Reliability::DEFAULT });
        erase(&mut array, at(0, 0));
        assert_eq!(record(&array), BlockRecord { erases: 2, is_bad: true, ..cut(0, Torn::Block) });
    }

    proptest! {
        #[test]
        fn a_block_with_the_record_of_another_behaves_as_that(bits in any::<u64>(), page in 0..PAGES) {
            let record = BlockRecord::from_bits(bits);
            let record = BlockRecord { erases: record.erases >> 11, next_page: record.next_page % (PAGES + 1), ..record };
            prop_assume!(record.is_possible(PAGES.into()));
            let mut array = new();
            array.set_block_record(at(0, 0), record, |page| (page, SPARE));
            prop_assert_eq!(array.block_record(at(0, 0)), record);
            let (page, last, pages) = (u32::from(page), u32::from(record.next_page).wrapping_sub(1), u32::from(PAGES));
            let is_torn = match record.torn {
                Torn::Nothing => false,
                Torn::Last => page == last,
                Torn::Cells => page == last || page == pairing::paired(last, pages),
                Torn::Block => true,
            };
            let is_written = page < record.next_page.into();
            let at_page = at(0, page as u16);
            prop_assert_eq!(is_there(&array, at_page), is_written && !is_torn);
            prop_assert_eq!(array.is_blank(at_page), !is_written && !is_torn);
            let is_next = page == record.next_page.into() && !record.is_closed;
            prop_assert_eq!(program(&mut array, at_page).is_ok(), is_next);
            prop_assert_eq!(erase(&mut array, at_page).is_good(), !record.is_bad);
        }
    }

    #[test]
    fn reads_are_repeated_with_wear_until_there_is_no_help() {
        let mut array = new();
        for (erases, expected) in [
            (0, Outcome::GOOD),
            (1024, Outcome::Good { retries: 1 }),
            (8 * 1024 - 1, Outcome::Good { retries: 7 }),
            (8 * 1024, Outcome::Uncorrectable),
        ] {
            array.set_erases(at(0, 0), erases);
            assert_eq!(array.read(at(0, 0)), Ok(expected));
        }
    }

    #[test]
    fn rates_are_kept() {
        let rate = |part: f64| (part * f64::from(u32::MAX)) as u32;
        let reliability =
            Reliability { retry_rate: rate(0.25), uncorrectable_rate: rate(0.125), ..Reliability::DEFAULT };
        let mut array = Array::<u16>::new(Geometry::SMALL, reliability);
        let reads: Vec<_> = (0..10_000).map(|_| array.read(at(0, 0)).expect("a page")).collect();
        let share = |of| reads.iter().filter(|&&outcome| outcome == of).count();
        assert!((2_300..2_700).contains(&share(Outcome::Good { retries: 1 })));
        assert!((1_100..1_400).contains(&share(Outcome::Uncorrectable)));
    }
}
