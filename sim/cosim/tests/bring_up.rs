//! The device comes up and moves data, under Verilator and in the evaluator, in the same clocks.

use nvme_hw::Config;
use nvme_spec::regs;
use sim_cosim::{Evaluated, Options, Verilated};
use sim_device::{Access, Device, Event, HostMemory, ModelDevice};
use sim_host::Driver;

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
