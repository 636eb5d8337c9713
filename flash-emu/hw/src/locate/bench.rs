//! The running block: the places that the geometry says, of all pages of small flash and of some of large.

use super::Locate;
use crate::testing::{forgets_at_reset, under_all_stalls, LEAST};
use flash_spec::{Geometry, PageAddress};
use rtl_hdl::Block;

const GEOMETRIES: [Geometry; 3] =
    [LEAST, Geometry { channels: 3, planes_per_die: 1, ..Geometry::SMALL }, Geometry::DEFAULT_1_GIB];

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    GEOMETRIES.iter().map(|&geometry| Box::new(Locate::new(geometry)) as Box<dyn Block>).collect()
}

#[test]
fn places_are_those_of_the_geometry() {
    for geometry in GEOMETRIES {
        under_all_stalls(&Locate::new(geometry), |bench, rng| {
            let pages = geometry.pages();
            let mut numbers = vec![0, pages - 1, pages, u32::MAX.into()];
            numbers.extend((0..40).map(|_| rng.below(pages)));
            numbers.extend((0..4).map(|_| rng.range(pages..1 << 32)));
            rng.shuffle(&mut numbers);
            for (&number, carried) in numbers.iter().zip(0xFFE0u64..) {
                let item = bench.fields("number").set("page", number).set("carried", carried & 0xFFFF);
                bench.send("number", [item.words()]);
            }
            bench.run_until(10_000, |bench| bench.received("located").len() == numbers.len());
            for ((located, &number), carried) in bench.drain_fields("located").iter().zip(&numbers).zip(0xFFE0u64..) {
                let [page, is_there, channel, die, plane, block, page_of_block, got] =
                    ["page", "is_there", "channel", "die", "plane", "block", "page_of_block", "carried"]
                        .map(|field| located.get(field));
                assert_eq!((page, is_there == 1, got), (number, number < pages, carried & 0xFFFF));
                let address = PageAddress {
                    channel: channel as u8,
                    die: die as u8,
                    plane: plane as u8,
                    block: block as u16,
                    page: page_of_block as u16,
                };
                assert!(is_there == 0 || address == geometry.page_at(number), "page {number}: {address:?}");
            }
        });
    }
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&Locate::new(GEOMETRIES[1]), &[], &[]);
}
