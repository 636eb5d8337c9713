//! A power cut of the Verilated flash path: the records of the blocks and the medium survive it, in any clock.

use flash_hw::flash_path::Config;
use flash_spec::fast_path::{Buffer, Command, Event};
use flash_spec::limits::PAGE_BYTES;
use flash_spec::spare::kind;
use flash_spec::{BlockRecord, Geometry, Outcome, PageAddress, Preset, Reliability, Torn};
use sim_device::Ram;
use sim_flash::hardware::{layout, library, Machine, Medium};
use sim_verilator::Library;
use soc_hal::{FastPath, Flash};
use std::collections::BTreeSet;

/// Two channels of one die of two planes: sixteen blocks of eight pages.
const GEOMETRY: Geometry =
    Geometry { channels: 2, dies_per_channel: 1, planes_per_die: 2, blocks_per_plane: 4, pages_per_block: 8 };
const PATH: Config = Config { geometry: GEOMETRY, units: 200, ..Config::SMALL };
/// Clocks after which an event has to have come.
const CLOCKS_MAX: u64 = 200_000;
/// The super-block in which pages are programmed.
const WRITTEN: u16 = 1;
/// The one that is erased while they are.
const ERASED: u16 = 2;

type Path = FastPath<Machine>;

fn start(library: &Library, medium: impl Into<Medium>) -> Path {
    let mut machine = Machine::new(library, PATH, medium);
    machine.set_flash(&Preset::Sim, 8, Reliability::DEFAULT);
    FastPath::new(machine, layout(&PATH))
}

fn wait(path: &mut Path) -> Event {
    let end = path.hardware().clock + CLOCKS_MAX;
    while path.hardware().clock < end {
        if let Some(event) = path.event() {
            return event;
        }
    }
    panic!("nothing happens");
}

fn page_of(super_block: u16, plane: u32, page: u16) -> u32 {
    let first = GEOMETRY.block_at(u32::from(super_block) * GEOMETRY.planes() + plane);
    GEOMETRY.page_index(PageAddress { page, ..first }) as u32
}

/// A word of what a page holds.
fn content(page: u32, word: u32) -> u32 {
    (page << 16 | word).wrapping_mul(0x9E37_79B9)
}

/// Begins a program of the page of a number in all blocks of `WRITTEN`.
fn begin_programs(path: &mut Path, page: u16) {
    for plane in 0..GEOMETRY.planes() {
        let (tag, page) = (plane as u8, page_of(WRITTEN, plane, page));
        let from = Buffer::Scratch(tag);
        (0..PAGE_BYTES / 4).for_each(|word| path.write_word(from, word, content(page, word)));
        path.command(Command::Program { tag, page, from: Some(from), kind: kind::CHECKPOINT, label: page });
    }
}

fn end_programs(path: &mut Path) {
    for _ in 0..GEOMETRY.planes() {
        let event = wait(path);
        assert!(matches!(event, Event::ProgramDone { outcome: Outcome::GOOD, .. }), "{event:?}");
    }
}

fn begin_erase(path: &mut Path, super_block: u16) {
    path.command(Command::Erase { super_block, planes: (1 << GEOMETRY.planes()) - 1 });
}

fn end_erase(path: &mut Path) {
    let event = wait(path);
    assert!(matches!(event, Event::EraseDone { failed: 0, .. }), "{event:?}");
}

/// How the read of a page ends, and whether it holds what was programmed.
fn read(path: &mut Path, page: u32) -> (Outcome, bool) {
    let buffer = Buffer::Scratch(9);
    path.command(Command::Read { tag: 9, page, into: Some(buffer) });
    let Event::ReadDone { tag: 9, outcome, .. } = wait(path) else { panic!("something else ends") };
    (outcome, (0..PAGE_BYTES / 4).all(|word| path.read_word(buffer, word) == content(page, word)))
}

/// Flash in which `WRITTEN` has been erased and its first two pages are programmed.
fn prepared(library: &Library) -> Path {
    let mut path = start(library, Ram::new(PATH.medium_bytes()));
    begin_erase(&mut path, WRITTEN);
    end_erase(&mut path);
    for page in 0..2 {
        begin_programs(&mut path, page);
        end_programs(&mut path);
    }
    path
}

const OPEN: BlockRecord = BlockRecord { erases: 1, next_page: 2, is_closed: false, is_bad: false, torn: Torn::Nothing };
const DONE: BlockRecord = BlockRecord { next_page: 3, ..OPEN };
const TORN: BlockRecord = BlockRecord { is_closed: true, torn: Torn::Cells, ..DONE };

/// What was cut is as its record says, and works again after an erase; other blocks are as they were.
fn check(library: &Library, medium: Medium) {
    let records = medium.records.clone();
    let mut path = start(library, medium);
    for plane in 0..GEOMETRY.planes() {
        let record = records[GEOMETRY.block_index(GEOMETRY.page_at(page_of(WRITTEN, plane, 0).into())) as usize];
        let [first, second, last] = [0, 1, 2].map(|page| read(&mut path, page_of(WRITTEN, plane, page)));
        assert_eq!(second, (Outcome::GOOD, true), "nothing can destroy it");
        match record {
            OPEN => assert_eq!((first, last), ((Outcome::GOOD, true), (Outcome::GOOD, false)), "it is blank"),
            DONE => assert_eq!((first, last), ((Outcome::GOOD, true), (Outcome::GOOD, true))),
            _ => assert_eq!((first.0, last.0), (Outcome::Uncorrectable, Outcome::Uncorrectable)),
        }
    }
    let medium = path.into_hardware().cut_power();
    assert_eq!(medium.records, records, "reads change nothing");
    let mut path = start(library, medium);
    begin_erase(&mut path, WRITTEN);
    end_erase(&mut path);
    begin_programs(&mut path, 0);
    end_programs(&mut path);
    assert_eq!(read(&mut path, page_of(WRITTEN, 0, 0)), (Outcome::GOOD, true));
    let again = path.into_hardware().cut_power().records;
    let is_of = |block: u32, super_block: u16| block / GEOMETRY.planes() == u32::from(super_block);
    for (block, (before, after)) in (0..).zip(records.into_iter().zip(again)) {
        let expected = if is_of(block, WRITTEN) { BlockRecord { erases: 2, next_page: 1, ..OPEN } } else { before };
        assert_eq!(after, expected, "block {block}");
    }
}

#[test]
fn records_and_medium_survive_a_power_cut() {
    let library = library(PATH).expect("it can be built");
    // How long it takes if nothing happens.
    let mut path = prepared(&library);
    let begin = path.hardware().clock;
    begin_programs(&mut path, 2);
    end_programs(&mut path);
    let clocks = path.hardware().clock - begin;
    let mut seen: Vec<BlockRecord> = Vec::new();
    let mut erased = BTreeSet::new();
    for part in 0..=9 {
        let mut path = prepared(&library);
        begin_erase(&mut path, ERASED);
        if part > 4 {
            end_erase(&mut path);
        }
        begin_programs(&mut path, 2);
        (0..clocks * part / 8).for_each(|_| path.hardware().tick());
        let medium = path.into_hardware().cut_power();
        for (block, record) in (0..).zip(&medium.records) {
            let super_block = (block / GEOMETRY.planes()) as u16;
            let new = BlockRecord::default();
            let cut = BlockRecord { erases: 1, is_closed: true, torn: Torn::Block, ..new };
            let possible = match super_block {
                // What has been said but has not begun does not begin after the cut.
                WRITTEN if part == 0 => vec![OPEN],
                WRITTEN => vec![OPEN, TORN, DONE],
                ERASED => vec![cut, BlockRecord { erases: 1, ..new }],
                _ => vec![new],
            };
            let at = possible.iter().position(|other| other == record);
            let at = at.unwrap_or_else(|| panic!("block {block} after {part} eighths: {record:?}"));
            match super_block {
                WRITTEN => seen.push(*record),
                ERASED => _ = erased.insert(at),
                _ => {}
            }
        }
        check(&library, medium);
    }
    let counts = [OPEN, TORN, DONE].map(|record| seen.iter().filter(|&&other| other == record).count());
    println!("{clocks} clocks; pages of blocks that are blank, torn, programmed: {counts:?}; erases: {erased:?}");
    assert!(counts.iter().all(|&count| count > 1) && erased.len() == 2, "{counts:?} {erased:?}");
}
