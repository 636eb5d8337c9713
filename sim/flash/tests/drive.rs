//! The drive as a host sees it, when its flash fails, is full, worn or damaged.

use flash_fw::{Config, MountError};

use flash_model::{Array, Content, Page, Random};
use flash_spec::fast_path::Register;
use flash_spec::record::{slot_plane, Anchor, COPIES};
use flash_spec::spare::{kind, Spare};
use flash_spec::{Geometry, Reliability};
use proptest::prelude::*;
use sim_flash::{Drive, Fault, Oracle, Owned, Stopped};
use zerocopy::FromBytes;

/// 32 super-blocks of 32 pages.
const TINY: Geometry =
    Geometry { channels: 2, dies_per_channel: 1, planes_per_die: 2, blocks_per_plane: 32, pages_per_block: 8 };

const LINES: usize = 16;

fn tiny(percent: u32) -> Config {
    let mut config = Config::new(TINY, percent);
    config.units = config.units.min(config.units_max());
    config.log_records = 6;
    config
}

fn new_flash(config: &Config) -> Array<Content> {
    Array::new(config.geometry, Reliability::DEFAULT)
}

/// Runs a life of a drive, and returns its flash after a power cut.
fn life(
    config: Config,
    array: Array<Content>,
    steps: u64,
    body: impl FnOnce(&mut Drive) -> Result<(), Stopped>,
) -> (Array<Content>, Result<(), Stopped>) {
    let mut memory = Owned::new(&config);
    let mut drive = Drive::new(config, memory.lend(), array, LINES, 1, steps);
    let ended = body(&mut drive);
    (drive.cut(), ended)
}

fn write(drive: &mut Drive, oracle: &mut Oracle, lpn: u32) -> Result<(), Stopped> {
    let data = oracle.next_data(lpn);
    drive.write(lpn, data)?;
    oracle.acknowledge(lpn, Some(data));
    Ok(())
}

fn flush(drive: &mut Drive, oracle: &mut Oracle) -> Result<(), Stopped> {
    let operations = oracle.operations();
    drive.flush()?;
    oracle.flushed(operations);
    Ok(())
}

fn check_all(drive: &mut Drive, oracle: &Oracle) {
    for lpn in 0..oracle.units() {
        assert_eq!(drive.read(lpn), Ok(oracle.now(lpn)), "unit {lpn}");
    }
}

fn check_found(drive: &mut Drive, oracle: &mut Oracle) {
    for lpn in 0..oracle.units() {
        let value = drive.read(lpn).unwrap_or_else(|stopped| panic!("unit {lpn}: {stopped:?}"));
        oracle.found(lpn, value).unwrap_or_else(|text| panic!("{text}"));
    }
    oracle.all_found();
}

/// Random overwrites of all units, flushed now and then.
fn overwrite(drive: &mut Drive, oracle: &mut Oracle, random: &mut Random, writes: u32) -> Result<(), Stopped> {
    for number in 0..writes {
        let lpn = random.below(oracle.units());
        write(drive, oracle, lpn)?;
        if number % 97 == 0 {
            flush(drive, oracle)?;
        }
    }
    Ok(())
}

/// The flash of a drive of which all units were written, so many overwritten, and all was flushed.
fn filled(config: Config, overwrites: u32) -> (Array<Content>, Oracle) {
    let mut oracle = Oracle::new(config.units);
    let (array, ended) = life(config, new_flash(&config), u64::MAX, |drive| {
        drive.format()?;
        (0..config.units).try_for_each(|lpn| write(drive, &mut oracle, lpn))?;
        overwrite(drive, &mut oracle, &mut Random::new(1), overwrites)?;
        flush(drive, &mut oracle)
    });
    assert_eq!(ended, Ok(()));
    (array, oracle)
}

#[test]
fn a_full_device_takes_writes_for_ever() {
    let config = tiny(100);
    assert_eq!(config.units, config.units_max(), "no more than this can be promised");
    let mut oracle = Oracle::new(config.units);
    let (array, ended) = life(config, new_flash(&config), u64::MAX, |drive| {
        drive.format()?;
        (0..config.units).try_for_each(|lpn| write(drive, &mut oracle, lpn))?;
        overwrite(drive, &mut oracle, &mut Random::new(1), 6 * config.units)?;
        check_all(drive, &oracle);
        assert!(!drive.ftl.is_read_only());
        flush(drive, &mut oracle)
    });
    assert_eq!(ended, Ok(()));
    let (_, ended) = life(config, array, u64::MAX, |drive| {
        drive.mount()?;
        check_found(drive, &mut oracle);
        Ok(())
    });
    assert_eq!(ended, Ok(()));
}

/// What happens between two moments of a drive that collects, writes records and makes checkpoints, when something fails in each of them.
fn fail_in_each_moment(fault: Fault, stride: usize) {
    let config = tiny(90);
    let (array, oracle) = filled(config, config.units);
    let mut failed = 0;
    for moment in (0..3000).step_by(stride) {
        let mut oracle = oracle.clone();
        let mut retired = 0;
        let (array, ended) = life(config, array.clone(), u64::MAX, |drive| {
            drive.mount()?;
            let now = drive.port().moments();
            drive.port().fail_at(now + moment, fault);
            overwrite(drive, &mut oracle, &mut Random::new(2), 500)?;
            let smart = drive.ftl.smart();
            retired = smart.retired_blocks;
            let failures = match fault {
                Fault::Program => (retired, 0),
                Fault::Erase => (0, retired),
                Fault::Read => (0, 0),
            };
            assert_eq!((smart.program_failures, smart.erase_failures), failures, "in moment {moment}");
            assert_eq!(smart.bad_blocks, retired, "in moment {moment}");
            check_all(drive, &oracle);
            Ok(())
        });
        assert_eq!(ended, Ok(()), "{fault:?} in moment {moment}");
        failed += retired;
        let (_, ended) = life(config, array, u64::MAX, |drive| {
            drive.mount()?;
            check_found(drive, &mut oracle);
            overwrite(drive, &mut oracle, &mut Random::new(3), 50)
        });
        assert_eq!(ended, Ok(()), "{fault:?} in moment {moment}, then a power cut");
    }
    let is_write = fault != Fault::Read;
    assert_eq!(failed > 0, is_write, "blocks are retired after programs and erases that failed");
}

#[test]
fn a_program_that_fails_loses_nothing() {
    fail_in_each_moment(Fault::Program, 41);
}

#[test]
fn an_erase_that_fails_loses_nothing() {
    fail_in_each_moment(Fault::Erase, 83);
}

#[test]
fn a_read_that_fails_loses_nothing() {
    fail_in_each_moment(Fault::Read, 83);
}

#[test]
fn a_page_of_the_map_that_is_damaged_is_found_again_in_spares() {
    let config = Config { units: 6000, log_records: 4, ..Config::new(Geometry { blocks_per_plane: 80, ..TINY }, 80) };
    let mut oracle = Oracle::new(config.units);
    let (mut array, ended) = life(config, new_flash(&config), u64::MAX, |drive| {
        drive.format()?;
        (0..config.units).try_for_each(|lpn| write(drive, &mut oracle, lpn))?;
        overwrite(drive, &mut oracle, &mut Random::new(1), 3 * config.units)?;
        for lpn in (0..config.units).step_by(7) {
            drive.trim(lpn)?;
            oracle.acknowledge(lpn, None);
        }
        // A record for each flush that waits for a trim, so that the trims are before the last checkpoint; what was trimmed is still in flash.
        for _ in 0..8 * config.log_records {
            drive.trim(0)?;
            flush(drive, &mut oracle)?;
        }
        flush(drive, &mut oracle)
    });
    assert_eq!(ended, Ok(()));
    let trimmed = (0..config.units).filter(|&lpn| oracle.now(lpn).is_none()).count();
    assert!(trimmed > 200, "{trimmed} units are trimmed");
    let mut damaged = 0;
    for index in 0..config.geometry.pages() {
        let Some(Page::Programmed { data: Content::Words(words), spare }) =
            array.page_mut(config.geometry.page_at(index))
        else {
            continue;
        };
        if Spare::check(spare, index as u32).is_some_and(|spare| spare.kind == kind::MAP) {
            words[7] ^= 1;
            damaged += 1;
        }
    }
    assert!(damaged >= config.map_pages());
    let (_, ended) = life(config, array, u64::MAX, |drive| {
        drive.mount()?;
        check_all(drive, &oracle);
        assert_eq!(drive.ftl.smart().rebuilt_map_pages, config.map_pages());
        overwrite(drive, &mut oracle, &mut Random::new(2), config.units)?;
        check_all(drive, &oracle);
        Ok(())
    });
    assert_eq!(ended, Ok(()));
}

/// The last anchor in flash.
fn last_anchor(array: &Array<Content>, geometry: &Geometry) -> Anchor {
    let pages = u64::from(geometry.planes() * geometry.pages_per_block);
    let anchors = (0..pages).filter_map(|index| match array.page(geometry.page_at(index)) {
        Page::Programmed { data: Content::Words(words), .. } => {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            Anchor::read_from_prefix(&bytes).ok().map(|(anchor, _)| anchor)
        }
        _ => None,
    });
    anchors.max_by_key(|anchor| anchor.generation.get()).expect("it was formatted")
}

#[test]
fn one_copy_of_the_directory_and_of_the_table_is_enough() {
    let config = tiny(80);
    let (array, oracle) = filled(config, 3 * config.units);
    let anchor = last_anchor(&array, &config.geometry);
    let places =
        [anchor.directory, anchor.table].map(|copies| copies.map(|copy| config.geometry.page_at(copy.get().into())));
    for lost in 0..1 << (2 * COPIES) {
        let mut array = array.clone();
        for (_, &place) in places.as_flattened().iter().enumerate().filter(|(index, _)| lost >> index & 1 == 1) {
            *array.page_mut(place).expect("it is written") = Page::Destroyed;
        }
        let (_, ended) = life(config, array, u64::MAX, |drive| {
            drive.mount()?;
            check_found(drive, &mut oracle.clone());
            Ok(())
        });
        let is_left = [lost & 3, lost >> 2].into_iter().all(|copies| copies != 3);
        let expected = if is_left { Ok(()) } else { Err(Stopped::Mount(MountError::Unreadable)) };
        assert_eq!(ended, expected, "lost: {lost:#b}");
    }
    for [first, second] in places {
        assert_ne!((first.channel, first.die), (second.channel, second.die), "both copies are in one die");
    }
}

fn units_left(array: &Array<Content>, geometry: &Geometry) -> usize {
    let holds_units =
        |index| matches!(array.page(geometry.page_at(index)), Page::Programmed { data: Content::Units(_), .. });
    (0..geometry.pages()).filter(|&index| holds_units(index)).count()
}

#[test]
fn a_secure_erase_leaves_nothing_even_if_it_is_interrupted() {
    let config = tiny(80);
    let (array, oracle) = filled(config, 3 * config.units);
    let mut kept = 0;
    let mut erased = 0;
    for steps in (1..).map(|index| index * 13) {
        let (array, ended) = life(config, array.clone(), u64::MAX, |drive| {
            drive.mount()?;
            drive.port().cut_after(steps);
            drive.erase_all()
        });
        let is_complete = ended == Ok(());
        let mut oracle = oracle.clone();
        let mut has_erased = false;
        let (array, mounted) = life(config, array, u64::MAX, |drive| {
            drive.mount()?;
            has_erased = (0..config.units).all(|lpn| drive.read(lpn) == Ok(None));
            if !has_erased {
                check_found(drive, &mut oracle);
            }
            assert!(drive.ftl.smart().erases > 0, "wear stays known");
            Ok(())
        });
        assert_eq!(mounted, Ok(()), "cut after {steps} steps");
        assert!(!is_complete || has_erased);
        if has_erased {
            assert_eq!(units_left(&array, &config.geometry), 0, "cut after {steps} steps");
            erased += 1;
        } else {
            kept += 1;
        }
        if is_complete {
            break;
        }
    }
    assert!(kept > 0 && erased > 1, "it was interrupted before and after it counted: {kept}, {erased}");
}

#[test]
fn flash_that_is_not_of_this_drive_is_not_mounted() {
    let config = tiny(80);
    let mounts = |config, array| life(config, array, u64::MAX, |drive| drive.mount()).1;
    assert_eq!(mounts(config, new_flash(&config)), Err(Stopped::Mount(MountError::NoAnchor)));
    let (array, ended) = life(config, new_flash(&config), u64::MAX, |drive| drive.format());
    assert_eq!(ended, Ok(()));
    let other = Config { units: config.units - 1, ..config };
    assert_eq!(mounts(other, array.clone()), Err(Stopped::Mount(MountError::OtherConfig)));
    assert_eq!(mounts(config, array), Ok(()));
}

#[test]
fn flash_that_was_used_can_be_formatted() {
    let config = tiny(80);
    let mut oracle = Oracle::new(config.units);
    let (array, _) = life(config, new_flash(&config), u64::MAX, |drive| {
        drive.format()?;
        overwrite(drive, &mut oracle, &mut Random::new(1), 4 * config.units)
    });
    let (array, ended) = life(config, array, u64::MAX, |drive| drive.format());
    assert_eq!(ended, Ok(()));
    let (array, ended) = life(config, array, u64::MAX, |drive| {
        drive.mount()?;
        assert!((0..config.units).all(|lpn| drive.read(lpn) == Ok(None)));
        Ok(())
    });
    assert_eq!(ended, Ok(()));
    assert_eq!(units_left(&array, &config.geometry), 0);
}

#[test]
fn a_worn_out_device_is_read_only_and_keeps_everything() {
    let config = tiny(90);
    let worn = Reliability { erases_max: 12, ..Reliability::DEFAULT };
    let mut oracle = Oracle::new(config.units);
    let (array, ended) = life(config, Array::new(config.geometry, worn), u64::MAX, |drive| {
        drive.format()?;
        (0..config.units).try_for_each(|lpn| write(drive, &mut oracle, lpn))?;
        let ended = overwrite(drive, &mut oracle, &mut Random::new(1), 60 * config.units);
        assert_eq!(ended, Err(Stopped::ReadOnly), "{:?}", drive.ftl.smart());
        assert!(drive.ftl.is_read_only());
        assert_eq!(drive.ftl.smart().spare_units, 0);
        check_all(drive, &oracle);
        // The checkpoint that the last bad blocks have asked for.
        (0..20_000).for_each(|_| drive.poll());
        flush(drive, &mut oracle)
    });
    assert_eq!(ended, Ok(()), "what was in the cache is written all the same");
    let (_, ended) = life(config, array, u64::MAX, |drive| {
        drive.mount()?;
        check_found(drive, &mut oracle);
        assert_eq!(drive.write(0, 0), Err(Stopped::ReadOnly));
        Ok(())
    });
    assert_eq!(ended, Ok(()));
}

#[test]
fn what_is_hard_to_read_is_written_anew() {
    let config = tiny(60);
    let (mut array, oracle) = filled(config, 0);
    // A page with units: all blocks of its super-block need six repetitions.
    let holds_units = |&index: &u64| {
        matches!(array.page(config.geometry.page_at(index)), Page::Programmed { data: Content::Units(_), .. })
    };
    let page = config.geometry.page_at((0..config.geometry.pages()).find(holds_units).expect("units were written"));
    let hard = 6 << Reliability::DEFAULT.retry_wear_shift;
    for plane in 0..config.geometry.planes() {
        let first = u64::from(page.block) * u64::from(config.geometry.planes() * config.geometry.pages_per_block);
        array.set_erases(config.geometry.page_at(first + u64::from(plane)), hard);
    }
    let (_, ended) = life(config, array, u64::MAX, |drive| {
        drive.mount()?;
        check_all(drive, &oracle);
        let valid = Register::ValidUnits(page.block);
        assert!(drive.path().register(valid) > 0);
        (0..20_000).for_each(|_| drive.poll());
        assert_eq!(drive.path().register(valid), 0, "the units of super-block {} were moved", page.block);
        check_all(drive, &oracle);
        Ok(())
    });
    assert_eq!(ended, Ok(()));
}

/// Super-blocks of 1,024 pages, so that more changes than a record has are not in the log.
const LONG: Geometry =
    Geometry { channels: 2, dies_per_channel: 2, planes_per_die: 1, blocks_per_plane: 24, pages_per_block: 256 };

/// Cuts a mount in each of its steps and the next one in some step, and returns how many records the first one writes. The power went first after so many
/// steps of a drive that collects and flushes.
fn interrupt_mount(steps_before: u64) -> u32 {
    let config = Config { log_records: 8, units: 34_816, ..Config::new(LONG, 50) };
    let mut oracle = Oracle::new(config.units);
    let (array, ended) = life(config, new_flash(&config), u64::MAX, |drive| {
        drive.format()?;
        (0..config.units).try_for_each(|lpn| write(drive, &mut oracle, lpn))?;
        flush(drive, &mut oracle)?;
        drive.port().cut_after(steps_before);
        overwrite(drive, &mut oracle, &mut Random::new(1), u32::MAX)
    });
    assert_eq!(ended, Err(Stopped::NoPower));
    let records = |array: &Array<Content>| {
        let is_log = |&index: &u64| {
            let page = array.page(config.geometry.page_at(index));
            matches!(page, Page::Programmed { spare, .. } if Spare::check(spare, index as u32).is_some_and(|spare| spare.kind == kind::LOG))
        };
        (0..config.geometry.pages()).filter(is_log).count() as u32
    };
    let before = records(&array);
    let mut random = Random::new(steps_before);
    for steps in 1.. {
        let (first_array, first) = life(config, array.clone(), steps, |drive| drive.mount());
        let second_steps = u64::from(random.below(2 * steps as u32)) + 1;
        let written = records(&first_array) - before;
        let (array, _) = life(config, first_array, second_steps, |drive| drive.mount());
        let (_, third) = life(config, array, u64::MAX, |drive| {
            drive.mount()?;
            check_found(drive, &mut oracle.clone());
            Ok(())
        });
        assert_eq!(
            third,
            Ok(()),
            "after {steps_before} steps, and cuts in steps {steps} and {second_steps} of two mounts"
        );
        if first == Ok(()) {
            return written;
        }
    }
    unreachable!("a mount ends")
}

#[test]
fn a_mount_can_be_interrupted_anywhere() {
    // Moments in which much is not in the log, so that a mount has more than one record to write, and some others.
    let records: Vec<u32> = [47, 50, 66, 68, 92, 106, 117, 127].map(|index| interrupt_mount(index * 401)).into();
    assert!(records.iter().any(|&records| records > 1), "what is found in spares does not fit one record: {records:?}");
}

#[test]
fn a_super_block_that_counts_as_erased_and_is_not_is_erased() {
    let config = tiny(60);
    let (mut array, mut oracle) = filled(config, 0);
    let mut used = 0;
    for block in 1..config.geometry.blocks_per_plane as u16 {
        let pages = u64::from(config.geometry.planes() * config.geometry.pages_per_block);
        // The filler before a record in the first slot: only records can be where nothing tells of them.
        let plane = slot_plane(&config.geometry, block.into(), 0);
        let first = config.geometry.page_at(u64::from(block) * pages + u64::from(plane));
        let all = (0..pages).map(|page| config.geometry.page_at(u64::from(block) * pages + page));
        if all.into_iter().all(|page| array.page(page) == &Page::Erased) {
            array.start_program(first, Content::Nothing, [0; 64]).expect("it is erased");
            array.end(first);
            used += 1;
        }
    }
    assert!(used > 0);
    let (_, ended) = life(config, array, u64::MAX, |drive| {
        drive.mount()?;
        overwrite(drive, &mut oracle, &mut Random::new(1), 4 * config.units)?;
        check_all(drive, &oracle);
        Ok(())
    });
    assert_eq!(ended, Ok(()));
}

/// What a host does.
#[derive(Clone, Debug)]
enum Work {
    Write(u32),
    Trim(u32),
    Flush,
    Read(u32),
    Wait,
}

fn any_work(units: u32) -> impl Strategy<Value = Work> {
    prop_oneof![
        6 => (0..units).prop_map(Work::Write),
        1 => (0..units).prop_map(Work::Trim),
        1 => Just(Work::Flush),
        1 => (0..units).prop_map(Work::Read),
        2 => Just(Work::Wait),
    ]
}

fn work(drive: &mut Drive, oracle: &mut Oracle, works: &[Work]) -> Result<(), Stopped> {
    for work in works {
        match *work {
            Work::Write(lpn) => write(drive, oracle, lpn)?,
            Work::Trim(lpn) => {
                drive.trim(lpn)?;
                oracle.acknowledge(lpn, None);
            }
            Work::Flush => flush(drive, oracle)?,
            Work::Read(lpn) => assert_eq!(drive.read(lpn)?, oracle.now(lpn), "unit {lpn}"),
            Work::Wait => (0..20).for_each(|_| drive.poll()),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever a host does and whenever the power goes, what was flushed is there, and the drive goes on.
    #[test]
    fn any_work_survives_a_power_cut(
        works in prop::collection::vec(any_work(300), 1..1200),
        steps in 1..3000_u64,
        after in prop::collection::vec(any_work(300), 1..100),
    ) {
        let config = Config { units: 300, ..tiny(50) };
        let mut oracle = Oracle::new(config.units);
        let (array, _) = life(config, new_flash(&config), u64::MAX, |drive| {
            drive.format()?;
            drive.port().cut_after(steps);
            work(drive, &mut oracle, &works)
        });
        let (_, ended) = life(config, array, u64::MAX, |drive| {
            drive.mount()?;
            check_found(drive, &mut oracle);
            work(drive, &mut oracle, &after)
        });
        prop_assert_eq!(ended, Ok(()));
    }
}
