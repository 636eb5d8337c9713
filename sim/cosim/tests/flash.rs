//! A device with flash: its firmware on the PC, on simulated harts and on Verilated ones.

mod common;

use common::image;
use flash_hw::flash_path;
use flash_spec::{Geometry, Preset, Reliability};
use nvme_hw::Config;
use nvme_spec::dataset::{self, DatasetRange};
use nvme_spec::feature::{event_result, event_type, fid, smart_event};
use nvme_spec::identify::DLFEAT;
use nvme_spec::log::{critical_warning, lid, SmartLog};
use nvme_spec::opcode::{admin, io};
use nvme_spec::{decode, SqEntry};
use sim_cosim::{CoresKind, CoresOptions, Error, FlashContents, FlashOptions, Options, Start, Verilated};
use sim_device::{Device, Ram};
use sim_host::{blocks_entry, cdw, wire_prps, Buffer, Driver, ListPlacement};
use zerocopy::{FromBytes, IntoBytes};

/// A small flash, with times that are short.
fn flash(namespace_bytes: u64) -> FlashOptions {
    let geometry = Geometry { blocks_per_plane: 64, pages_per_block: 8, ..Geometry::SMALL };
    let units = (namespace_bytes / u64::from(flash_spec::limits::UNIT_BYTES)) as u32;
    FlashOptions {
        path: flash_path::Config { geometry, units, ..flash_path::Config::SMALL },
        clocks: Preset::Sim.clocks(nvme_spec::limits::CORE_HZ),
        reliability: Reliability::DEFAULT,
    }
}

/// Options of a device with such flash, all of which is one namespace.
fn options(flash: FlashOptions, cores: Option<CoresOptions>) -> Options {
    let namespace_bytes = u64::from(flash.path.units) * u64::from(flash_spec::limits::UNIT_BYTES);
    Options { flash: Some(flash), cores, namespace_bytes, spare_bytes: 0, ..Options::new(Config::SMALL) }
}

fn device(options: &Options) -> Verilated {
    Verilated::new(options).unwrap_or_else(|error| panic!("{error}"))
}

/// The harts that serve hosts and flash, as the simulator has them, and Verilated.
const HARTS: u32 = 2;
const TILES: CoresKind = CoresKind::Verilated(Start::Ready);

fn on(kind: CoresKind) -> Option<CoresOptions> {
    image().map(|image| CoresOptions { image, harts: HARTS, kind })
}

/// What the firmware of a device with flash runs on: the PC, and simulated harts.
fn places() -> Vec<Option<CoresOptions>> {
    [None].into_iter().chain(on(CoresKind::Simulated).map(Some)).collect()
}

#[test]
fn a_device_with_flash_keeps_more_than_its_cache_holds() {
    let namespace_bytes = 4 << 20;
    let mut device = device(&options(flash(namespace_bytes), None));
    let mut driver = Driver::new(&mut device, sim_host::Options { io_queues: 2, ..Default::default() });
    let identity = driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    let bytes = 64 * 1024;
    let content = |part: u64, round: u64| -> Vec<u8> {
        (0..bytes).map(|byte: u64| (byte * 7 + byte / 256 + part * 31 + round * 113) as u8).collect()
    };
    let parts = namespace_bytes / bytes;
    for round in 0..2 {
        for part in 0..parts {
            driver
                .write(&identity, part * bytes / 4096, &content(part, round))
                .unwrap_or_else(|error| panic!("{error}"));
        }
        driver.flush(&identity).unwrap_or_else(|error| panic!("{error}"));
        for part in 0..parts {
            let mut back = vec![0; bytes as usize];
            driver.read(&identity, part * bytes / 4096, &mut back).unwrap_or_else(|error| panic!("{error}"));
            assert!(back == content(part, round), "part {part} of round {round} came back different");
        }
    }
    driver.disable().unwrap_or_else(|error| panic!("{error}"));
    assert!(device.flash_counts().expect("it has flash").event_clocks > 0, "its firmware had nothing to do");
}

/// The entry of a Dataset Management command that deallocates these ranges of first block and length.
fn deallocation<D: Device>(driver: &mut Driver<'_, D>, nsid: u32, ranges: &[(u64, u32)]) -> SqEntry {
    let wire = |&(lba, blocks): &(u64, u32)| {
        DatasetRange { attributes: 0.into(), blocks: blocks.into(), lba: lba.into() }.as_bytes().to_vec()
    };
    let wire: Vec<u8> = ranges.iter().flat_map(wire).collect();
    let mut buffer = Buffer::contiguous(driver.host(), 0, wire.len());
    buffer.store(driver.host(), &wire);
    SqEntry {
        opcode: io::DATASET_MANAGEMENT,
        nsid: nsid.into(),
        prp: wire_prps(buffer.prps(driver.host(), ListPlacement::PAGE_START)),
        cdw10: cdw([ranges.len() as u32 - 1, dataset::DEALLOCATE, 0, 0, 0, 0]),
        ..SqEntry::default()
    }
}

/// The map refers to so many units. Firmware on processors does not tell.
fn has_valid_units(driver: &mut Driver<'_, Verilated>, units: u64) {
    if let Some(told) = driver.device().flash_valid_units() {
        assert_eq!(told, units);
    }
}

/// Dataset Management and Write Zeroes with DEAC go through the controller to the map of the flash: their blocks have no place any more, and read as zero,
/// also after a power cut.
#[test]
fn deallocated_blocks_have_no_place_in_the_flash_and_do_not_come_back() {
    places().into_iter().for_each(deallocated_blocks_do_not_come_back);
}

/// The same on Verilated harts, with the uncached way of the tile to what firmware and flash share.
#[test]
fn deallocated_blocks_do_not_come_back_on_tiles() {
    on(TILES).into_iter().for_each(|cores| deallocated_blocks_do_not_come_back(Some(cores)));
}

fn deallocated_blocks_do_not_come_back(cores: Option<CoresOptions>) {
    const BLOCKS: u64 = 256;
    let namespace_bytes = BLOCKS * 4096;
    let options = options(flash(namespace_bytes), cores);
    let driver_options = || sim_host::Options { io_queues: 2, ..Default::default() };
    let mut device = device(&options);
    let mut driver = Driver::new(&mut device, driver_options());
    let identity = driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((u64::from(identity.lba_bytes) * BLOCKS, identity.blocks), (namespace_bytes, BLOCKS));
    assert_eq!(identity.namespace.dlfeat, DLFEAT);
    let mut expected: Vec<u8> = (0..namespace_bytes).map(|byte| (byte * 7 + byte / 4096 * 31 + 1) as u8).collect();
    driver.write(&identity, 0, &expected).unwrap_or_else(|error| panic!("{error}"));
    driver.flush(&identity).unwrap_or_else(|error| panic!("{error}"));
    has_valid_units(&mut driver, BLOCKS);

    let zeroed = [(3, 40), (100, 1), (150, 30)];
    let dataset = deallocation(&mut driver, identity.nsid, &zeroed[..2]);
    let (first, blocks) = zeroed[2];
    let mut zeroes = blocks_entry(io::WRITE_ZEROES, identity.nsid, first, blocks);
    zeroes.cdw10[2] = (zeroes.cdw(12) | decode::DEALLOCATE).into();
    for entry in [dataset, zeroes] {
        let done = driver.execute(1, entry, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert!(done.status.is_success(), "{}", done.status);
    }
    for (first, blocks) in zeroed {
        expected[first as usize * 4096..][..blocks as usize * 4096].fill(0);
    }
    let valid = BLOCKS - zeroed.iter().map(|(_, blocks)| u64::from(*blocks)).sum::<u64>();
    let check = |driver: &mut Driver<'_, Verilated>, when: &str| {
        let mut back = vec![0xEE; expected.len()];
        driver.read(&identity, 0, &mut back).unwrap_or_else(|error| panic!("{when}: {error}"));
        assert!(back == expected, "{when}: a block came back different");
    };
    check(&mut driver, "deallocated");
    driver.flush(&identity).unwrap_or_else(|error| panic!("{error}"));
    has_valid_units(&mut driver, valid);
    check(&mut driver, "flushed");

    let contents = device.cut_power().expect("it has flash");
    let mut device = Verilated::with_contents(&options, contents).unwrap_or_else(|error| panic!("{error}"));
    let mut driver = Driver::new(&mut device, driver_options());
    driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    check(&mut driver, "after a power cut");
    has_valid_units(&mut driver, valid);
}

/// Flash whose programs fail wears out: its host hears that the spare falls below the threshold, and, when it has read the log page, that there are no more writes.
#[test]
fn a_host_is_told_when_its_flash_is_worn_out() {
    places().into_iter().for_each(a_host_is_told);
}

fn a_host_is_told(cores: Option<CoresOptions>) {
    let geometry = flash(4096).path.geometry;
    let full = flash_fw::Config::new(geometry, 100);
    // One of twenty units is spare.
    let namespace_bytes = u64::from(full.units_max().min(full.units) / 20 * 19) * 4096;
    let mut flash = flash(namespace_bytes);
    flash.reliability.program_fail_rate = u32::MAX / 30;
    let mut device = device(&options(flash, cores));
    let mut driver = Driver::new(&mut device, sim_host::Options { io_queues: 2, ..Default::default() });
    let identity = driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    let wanted = u32::from(critical_warning::SPARE | critical_warning::READ_ONLY);
    let configuration = SqEntry {
        opcode: admin::SET_FEATURES,
        cdw10: cdw([fid::ASYNC_EVENT_CONFIGURATION.into(), wanted, 0, 0, 0, 0]),
        ..SqEntry::default()
    };
    driver.admin("Asynchronous Event Configuration", configuration).unwrap_or_else(|error| panic!("{error}"));
    let smart = |driver: &mut Driver<'_, Verilated>| {
        let bytes = size_of::<SmartLog>();
        let entry = SqEntry {
            opcode: admin::GET_LOG_PAGE,
            cdw10: cdw([u32::from(lid::SMART) | (bytes as u32 / 4 - 1) << 16, 0, 0, 0, 0, 0]),
            ..SqEntry::default()
        };
        let (done, data) = driver.admin_data(entry, bytes).unwrap_or_else(|error| panic!("{error}"));
        assert!(done.status.is_success(), "{}", done.status);
        SmartLog::read_from_bytes(&data).expect("a log page")
    };
    assert_eq!(smart(&mut driver).critical_warning, 0);

    let data = vec![0xA5; 64 * 1024];
    let places = namespace_bytes / 4096 / 16;
    let mut place = 0;
    for (information, warning) in [
        (smart_event::SPARE_BELOW_THRESHOLD, critical_warning::SPARE),
        (smart_event::RELIABILITY, critical_warning::READ_ONLY),
    ] {
        let request = SqEntry { opcode: admin::ASYNC_EVENT_REQUEST, ..SqEntry::default() };
        let cid = driver.submit(0, request, &[]).unwrap_or_else(|error| panic!("{error}"));
        let start = place;
        let event = loop {
            assert!(place < start + 2000, "nothing is told: {:?}", smart(&mut driver));
            // A write fails when there is no spare left.
            let written = driver.write(&identity, place % places * 16, &data);
            assert!(written.is_ok() || warning == critical_warning::READ_ONLY, "{written:?}");
            place += 1;
            driver.run_for(1000).unwrap_or_else(|error| panic!("{error}"));
            if let Some(event) = driver.take_completion(0, cid) {
                break event;
            }
        };
        assert_eq!(event.result, event_result(event_type::SMART, information, lid::SMART));
        let smart = smart(&mut driver);
        assert_ne!(smart.critical_warning & warning, 0, "{smart:?}");
        assert!(smart.available_spare < smart.available_spare_threshold, "{smart:?}");
    }
}

/// Flash that cannot be mounted, and processors of which none is there for it.
#[test]
fn what_cannot_come_up_is_refused() {
    let Some(cores) = on(CoresKind::Simulated) else { return };
    let options = options(flash(1 << 20), Some(cores.clone()));
    let one = Options { cores: Some(CoresOptions { harts: 1, ..cores }), ..options.clone() };
    assert!(matches!(Verilated::new(&one), Err(Error::Cores(_))));
    let path = options.flash.expect("it has flash").path;
    let erased = FlashContents { medium: Some(Ram::new(path.medium_bytes()).into()), ..FlashContents::new(&path) };
    match Verilated::with_contents(&options, erased) {
        Err(Error::Contents(why)) => assert!(why.contains("the flash does not come up"), "{why}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("erased flash was mounted"),
    }
}
