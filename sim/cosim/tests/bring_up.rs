//! The Verilated device comes up and moves data.

use nvme_hw::Config;
use sim_cosim::{Options, Verilated};
use sim_host::Driver;

#[test]
fn comes_up_and_moves_data() {
    for config in [Config::DEFAULT, Config::SMALL] {
        let mut device = Verilated::new(&Options::new(config)).unwrap_or_else(|error| panic!("{error}"));
        let options = sim_host::Options { io_queues: config.io_queues as u16, ..Default::default() };
        let mut driver = Driver::new(&mut device, options);
        let identity = driver.bring_up().unwrap_or_else(|error| panic!("{config:?}: {error}"));
        let data: Vec<u8> = (0..40 * 1024u32).map(|i| (i * 7 + i / 256) as u8).collect();
        driver.write(&identity, 8, &data).unwrap_or_else(|error| panic!("{config:?}: write: {error}"));
        let mut back = vec![0; data.len()];
        driver.read(&identity, 8, &mut back).unwrap_or_else(|error| panic!("{config:?}: read: {error}"));
        assert!(back == data, "{config:?}: the data came back different");
        driver.flush(&identity).unwrap_or_else(|error| panic!("{config:?}: flush: {error}"));
        driver.disable().unwrap_or_else(|error| panic!("{config:?}: disable: {error}"));
    }
}
