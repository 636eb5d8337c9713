//! Which pages share cells.
//!
//! A cell of MLC flash has two bits: one of an LSB page and one of an MSB page. The LSB page is quick and is programmed first. A program of the MSB page
//! that is interrupted destroys both. Neighbouring word lines are programmed alternately, so that each disturbs the other less: the MSB page of a word
//! line comes after the LSB page of the next one (Park et al., "A zeroing cell-to-cell interference page architecture with temporary LSB storing and
//! parallel MSB program scheme for MLC NAND flash memories", IEEE JSSC 43(4), 2008).
//!
//! ```text
//! word line   0     1     2     ..   n-1
//! LSB page    0     1     3     ..   2n-3
//! MSB page    2     4     6     ..   2n-1
//! ```

/// Which bit of its cells a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// The bit that is programmed first.
    Lsb,
    /// The bit that is programmed second.
    Msb,
}

/// The kind of a page of a block of `pages_per_block` pages, which is even.
pub const fn kind(page: u32, pages_per_block: u32) -> PageKind {
    assert!(page < pages_per_block);
    let is_lsb = page == 0 || page % 2 == 1 && page != pages_per_block - 1;
    if is_lsb {
        PageKind::Lsb
    } else {
        PageKind::Msb
    }
}

/// The other page of the same cells.
pub const fn paired(page: u32, pages_per_block: u32) -> u32 {
    let last = pages_per_block - 1;
    match kind(page, pages_per_block) {
        PageKind::Lsb if page == 0 => 2,
        PageKind::Lsb if page + 3 > last => last,
        PageKind::Lsb => page + 3,
        PageKind::Msb if page == 2 => 0,
        PageKind::Msb if page == last => last - 2,
        PageKind::Msb => page - 3,
    }
}

/// How many pages of a block must be programmed so that no later program can destroy one of the first `written`: until the pairs of all of these are behind.
pub const fn safe_end(written: u32, pages_per_block: u32) -> u32 {
    let mut end = written;
    let mut page = 0;
    while page < written {
        let other = paired(page, pages_per_block);
        if other >= end {
            end = other + 1;
        }
        page += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_table_is_that_of_the_text() {
        let of = |kind_of| (0..8).filter(|&page| kind(page, 8) == kind_of).collect::<Vec<u32>>();
        assert_eq!(of(PageKind::Lsb), [0, 1, 3, 5]);
        assert_eq!(of(PageKind::Msb), [2, 4, 6, 7]);
        let others: Vec<u32> = (0..8).map(|page| paired(page, 8)).collect();
        assert_eq!(others, [2, 4, 0, 6, 1, 7, 3, 5]);
    }

    #[test]
    fn pages_are_in_pairs_of_which_the_lsb_comes_first() {
        for pages in (4..=crate::limits::PAGES_PER_BLOCK_MAX).step_by(2) {
            for page in 0..pages {
                let other = paired(page, pages);
                assert_eq!(paired(other, pages), page, "{page} of {pages}");
                let (lsb, msb) = (page.min(other), page.max(other));
                assert_eq!((kind(lsb, pages), kind(msb, pages)), (PageKind::Lsb, PageKind::Msb), "{page} of {pages}");
            }
        }
    }

    #[test]
    fn what_is_behind_the_safe_end_endangers_nothing_before_the_start() {
        for pages in [4, 8, 16, 64] {
            for written in 0..=pages {
                let end = safe_end(written, pages);
                assert!((written..=pages).contains(&end) && end <= written + 3, "{written} of {pages}: {end}");
                assert!((end..pages).all(|page| paired(page, pages) >= written));
            }
        }
    }
}
