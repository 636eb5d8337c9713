//! The device comes up and moves data, under Verilator and in the evaluator, in the same clocks.

use nvme_hw::Config;
use sim_cosim::{Evaluated, Options, Verilated};
use sim_device::Device;
use sim_host::Driver;

/// Brings the device up, writes, reads back, and ends. How many clocks that took.
fn moves_data(mut device: impl Device, config: Config, bytes: u32) -> u64 {
    let name = format!("{}, {config:?}", device.name());
    let options = sim_host::Options { io_queues: config.io_queues as u16, ..Default::default() };
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
