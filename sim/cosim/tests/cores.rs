//! The firmware's image on simulated processors, joined to the controller under Verilator.

use nvme_hw::Config;
use sim_cosim::{CoresOptions, Options, Verilated};
use sim_device::Device;
use sim_host::Driver;
use std::sync::Arc;

fn device(config: Config, harts: u32) -> Verilated {
    let image = sim_firmware::build(&sim_verilator::Toolchain::from_env()).unwrap_or_else(|error| panic!("{error}"));
    let options = Options { cores: Some(CoresOptions { image: Arc::new(image), harts }), ..Options::new(config) };
    Verilated::new(&options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn comes_up() {
    let mut device = device(Config::SMALL, 1);
    device.step(30000);
    eprintln!(
        "{} instructions {:?}",
        device.instructions(),
        device.firmware_record().map(|r| r.said().unwrap().to_owned())
    );
    let mut driver = Driver::new(&mut device, sim_host::Options { io_queues: 2, ..Default::default() });
    let r = driver.bring_up();
    eprintln!("{:?}", r.is_ok());
    drop(driver);
    eprintln!(
        "{} instructions {:?}",
        device.instructions(),
        device.firmware_record().map(|r| r.said().unwrap().to_owned())
    );
    assert!(r.is_ok(), "{:?}", r.err());
}
