//! The driver on the reference model: what it does when the device, or its user, does not play along.

use nvme_model::Config;
use nvme_spec::opcode::io;
use nvme_spec::SqEntry;
use sim_device::{Device, HostMemory, ModelDevice, Sideband};
use sim_host::{Driver, DriverError, Options, Violation, Waiting};

fn device(config: Config) -> ModelDevice {
    ModelDevice::new(config, HostMemory::new())
}

fn flush() -> SqEntry {
    SqEntry { opcode: io::FLUSH, nsid: 1.into(), ..SqEntry::default() }
}

#[test]
fn a_dead_device_is_a_timeout_in_clocks() {
    let mut device = device(Config::DEFAULT);
    device.set_sideband(0, Sideband { bus_master_enable: false, ..Sideband::RUNNING });
    let mut driver = Driver::new(&mut device, Options { clocks_max: 5000, ..Options::default() });
    driver.disable().expect("a disabled controller is disabled");
    driver.enable().expect("enabling needs no access to memory");
    let error = driver.execute(0, flush(), &[]).expect_err("no command can be fetched");
    assert!(matches!(error, DriverError::Timeout { clocks: 5000..=5100, .. }), "{error}");
}

#[test]
fn a_full_and_an_absent_queue_are_errors() {
    let mut device = device(Config::DEFAULT);
    let mut driver = Driver::new(&mut device, Options::default());
    driver.start().expect("the model starts");
    driver.create_queue_pair(1, 4, Some(1)).expect("queue 1 is free");
    for _ in 0..3 {
        driver.push(1, flush(), &[]).expect("there is room for three");
    }
    assert_eq!(driver.push(1, flush(), &[]), Err(DriverError::QueueFull { queue: 1 }));
    assert_eq!(driver.push(2, flush(), &[]), Err(DriverError::NoQueue { queue: 2 }));
    driver.ring(1);
    assert_eq!(driver.wait_all().map(|completions| completions.len()), Ok(3));
}

#[test]
fn too_few_queues_are_said_to_be_unsupported() {
    let mut device = device(Config::SMALL);
    let error = Driver::new(&mut device, Options::default()).bring_up().expect_err("SMALL has two pairs");
    assert!(matches!(error, DriverError::Unsupported { .. }), "{error}");
}

#[test]
fn a_read_into_memory_that_was_not_offered_is_a_violation() {
    let mut device = device(Config::DEFAULT);
    let mut driver = Driver::new(&mut device, Options::default());
    driver.bring_up().expect("the model comes up");
    let address = driver.host().alloc(512, 512);
    let mut read = SqEntry { opcode: io::READ, ..flush() };
    read.prp[0] = address.into();
    let error = driver.execute(1, read, &[]).expect_err("the driver was not told of the buffer");
    let is_stray = matches!(&error, DriverError::Violation { violation: Violation::StrayWrite { .. }, .. });
    assert!(is_stray, "{error}");
}

#[test]
fn many_commands_in_flight_complete_by_interrupt_with_plausible_latencies() {
    let mut device = device(Config::DEFAULT);
    let options = Options { waiting: Waiting::Interrupts, ..Options::default() };
    let mut driver = Driver::new(&mut device, options);
    driver.bring_up().expect("the model comes up");
    for queue in 1..=8 {
        for _ in 0..32 {
            driver.push(queue, flush(), &[]).expect("there is room for 63");
        }
        driver.ring(queue);
    }
    let completions = driver.wait_all().expect("all complete");
    assert_eq!(completions.len(), 8 * 32);
    let end = driver.clock();
    assert!(completions.iter().all(|c| c.latency() > 0 && c.completed_at <= end));
    assert_eq!(driver.check_canaries(), Ok(()));
}
