//! The device comes up and moves data, under Verilator and in the evaluator, in the same clocks.

use flash_hw::flash_path;
use flash_spec::{Geometry, Preset, Reliability};
use nvme_hw::Config;
use nvme_spec::dataset::{self, DatasetRange};
use nvme_spec::feature::{event_result, event_type, fid, smart_event};
use nvme_spec::identify::DLFEAT;
use nvme_spec::log::{critical_warning, lid, SmartLog};
use nvme_spec::opcode::{admin, io};
use nvme_spec::{decode, regs, SqEntry};
use sim_cosim::{Evaluated, FlashOptions, Options, Verilated};
use sim_device::{Access, Device, Event, HostMemory, ModelDevice};
use sim_host::{blocks_entry, cdw, wire_prps, Buffer, Driver, ListPlacement};
use zerocopy::{FromBytes, IntoBytes};

/// Brings the device up, writes, reads back, and ends. How many clocks that took.
fn moves_data(mut device: impl Device, config: Config, bytes: u32) -> u64 {
    let name = format!("{}, {config:?}", device.name());
    // Every other function keeps a pair.
    let io_queues = (config.io_queues - (config.functions - 1)) as u16;
    let options = sim_host::Options { io_queues, ..Default::default() };
    let mut driver = Driver::new(&mut device, options);
    let identity = driver.bring_up().unwrap_or_else(|error| panic!("{name}: {error}"));
    let data: Vec<u8> = (0..bytes).map(|i| (i * 7 + i / 256) as u8).collect();
    driver.write(&identity, 8, &data).unwrap_or_else(|error| panic!("{name}: write: {error}"));
    let mut back = vec![0; data.len()];
    driver.read(&identity, 8, &mut back).unwrap_or_else(|error| panic!("{name}: read: {error}"));
    assert!(back == data, "{name}: the data came back different");
    driver.flush(&identity).unwrap_or_else(|error| panic!("{name}: flush: {error}"));
    driver.disable().unwrap_or_else(|error| panic!("{name}: disable: {error}"));
    device.clock()
}

#[test]
fn comes_up_and_moves_data() {
    for config in [Config::DEFAULT, Config::SMALL] {
        let device = Verilated::new(&Options::new(config)).unwrap_or_else(|error| panic!("{error}"));
        moves_data(device, config, 40 * 1024);
    }
}

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

#[test]
fn a_device_with_flash_keeps_more_than_its_cache_holds() {
    let namespace_bytes = 4 << 20;
    let flash = flash(namespace_bytes);
    let config = Config::SMALL;
    let options = Options { flash: Some(flash), namespace_bytes, spare_bytes: 0, ..Options::new(config) };
    let mut device = Verilated::new(&options).unwrap_or_else(|error| panic!("{error}"));
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

/// Dataset Management and Write Zeroes with DEAC go through the controller to the map of the flash: their blocks have no place any more, and read as zero,
/// also after a power cut.
#[test]
fn deallocated_blocks_have_no_place_in_the_flash_and_do_not_come_back() {
    const BLOCKS: u64 = 256;
    let namespace_bytes = BLOCKS * 4096;
    let flash = flash(namespace_bytes);
    let options = Options { flash: Some(flash), namespace_bytes, spare_bytes: 0, ..Options::new(Config::SMALL) };
    let driver_options = || sim_host::Options { io_queues: 2, ..Default::default() };
    let mut device = Verilated::new(&options).unwrap_or_else(|error| panic!("{error}"));
    let mut driver = Driver::new(&mut device, driver_options());
    let identity = driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((u64::from(identity.lba_bytes) * BLOCKS, identity.blocks), (namespace_bytes, BLOCKS));
    assert_eq!(identity.namespace.dlfeat, DLFEAT);
    let mut expected: Vec<u8> = (0..namespace_bytes).map(|byte| (byte * 7 + byte / 4096 * 31 + 1) as u8).collect();
    driver.write(&identity, 0, &expected).unwrap_or_else(|error| panic!("{error}"));
    driver.flush(&identity).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(driver.device().flash_valid_units(), Some(BLOCKS));

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
    assert_eq!(driver.device().flash_valid_units(), Some(valid));
    check(&mut driver, "flushed");

    let contents = device.cut_power().expect("it has flash");
    let mut device = Verilated::with_contents(&options, contents).unwrap_or_else(|error| panic!("{error}"));
    let mut driver = Driver::new(&mut device, driver_options());
    driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    check(&mut driver, "after a power cut");
    assert_eq!(driver.device().flash_valid_units(), Some(valid));
}

/// Flash whose programs fail wears out: its host hears that the spare falls below the threshold, and, when it has read the log page, that there are no more writes.
#[test]
fn a_host_is_told_when_its_flash_is_worn_out() {
    let geometry = flash(4096).path.geometry;
    let full = flash_fw::Config::new(geometry, 100);
    // One of twenty units is spare.
    let namespace_bytes = u64::from(full.units_max().min(full.units) / 20 * 19) * 4096;
    let mut flash = flash(namespace_bytes);
    flash.reliability.program_fail_rate = u32::MAX / 30;
    let options = Options { flash: Some(flash), namespace_bytes, spare_bytes: 0, ..Options::new(Config::SMALL) };
    let mut device = Verilated::new(&options).unwrap_or_else(|error| panic!("{error}"));
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

#[test]
fn the_evaluator_takes_the_same_clocks() {
    let config = Config::SMALL;
    let options = Options { monitors: true, ..Options::new(config) };
    let verilated = Verilated::new(&options).unwrap_or_else(|error| panic!("{error}"));
    let evaluated = Evaluated::new(&options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(moves_data(evaluated, config, 8 * 1024), moves_data(verilated, config, 8 * 1024));
}

/// What a read returns does not depend on its width or its place; the model and the hardware agree.
#[test]
fn registers_are_read_with_any_width_at_any_offset() {
    let hardware = Evaluated::new(&Options::new(Config::SMALL)).unwrap_or_else(|error| panic!("{error}"));
    let model = ModelDevice::new(nvme_model::Config::SMALL, HostMemory::new());
    let devices: [Box<dyn Device>; 2] = [Box::new(hardware), Box::new(model)];
    for mut device in devices {
        let (asq, acq) = (0x0123_4567_89AB_C000_u64, 0xFEDC_BA98_7654_3000_u64);
        device.write(Access::qword(u64::from(regs::ASQ.offset)), asq);
        device.write(Access::qword(u64::from(regs::ACQ.offset)), acq);
        let both = u128::from(acq) << 64 | u128::from(asq);
        for bytes in [1, 2, 4, 8] {
            for offset in 0..=u64::from(16 - bytes) {
                let value = device.read(Access { function: 0, offset: u64::from(regs::ASQ.offset) + offset, bytes });
                let expected = (both >> (8 * offset)) as u64 & u64::MAX >> (64 - 8 * u32::from(bytes));
                assert_eq!(value, expected, "{}: {bytes} bytes at {offset}", device.name());
            }
        }
    }
}

/// An event that was asked for happens in its clock, in the middle of a step, and those of one clock in the order in which they were asked for.
#[test]
fn events_happen_in_their_clock() {
    let hardware = Evaluated::new(&Options::new(Config::SMALL)).unwrap_or_else(|error| panic!("{error}"));
    let model = ModelDevice::new(nvme_model::Config::SMALL, HostMemory::new());
    let devices: [Box<dyn Device>; 2] = [Box::new(hardware), Box::new(model)];
    for mut device in devices {
        let access = Access::dword(u64::from(regs::AQA.offset));
        device.after(40, Event::Write { access, value: 2 });
        device.after(40, Event::Write { access, value: 3 });
        device.step(20);
        assert_eq!(device.read(access), 0, "{}", device.name());
        device.step(40);
        assert_eq!(device.read(access), 3, "{}", device.name());
        device.after(10, Event::FunctionLevelReset { function: 0 });
        device.step(100);
        assert_eq!(device.read(access), 0, "{}", device.name());
    }
}
