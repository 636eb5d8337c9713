//! A driver brings up the controller behind a socket, and uses it: the model, and the hardware under Verilator.

mod common;

use common::Directory;
use nvme_spec::regs;
use sim_bridge::vfio_user::{Server, Serving};
use sim_bridge::{AddressBits, Bridge, Endpoint, Identity, StartError};
use sim_cosim::Verilated;
use sim_device::{Device, HostMemory, ModelDevice};
use sim_host::{Driver, Options, Waiting};
use sim_vfio_client::{benchmark, Client, DoorbellPath, NoMemory, SocketDevice, QUEUE_DEPTH};
use std::path::PathBuf;
use std::sync::Arc;

/// Entries of I/O queues: as many as the small configuration has.
const IO_ENTRIES: u16 = 8;

/// A device behind a server.
struct Served {
    serving: Serving,
    bridge: Arc<Bridge>,
    directory: Directory,
}

impl Served {
    fn new<D: Device>(identity: Identity, make: impl FnOnce() -> D + Send + 'static) -> Self {
        let directory = Directory::new();
        let server = Server::bind(directory.path(), identity.functions).expect("a server");
        let host = Box::new(server.host());
        let bridge = Bridge::start(identity, || Ok::<_, StartError>(make()), host, None).expect("a device");
        let bridge = Arc::new(bridge);
        let endpoint: Arc<dyn Endpoint> = bridge.clone();
        let serving = server.serve(&endpoint).expect("threads");
        Self { serving, bridge, directory }
    }

    fn model(config: nvme_model::Config) -> Self {
        let identity =
            Identity { functions: config.functions, vectors: config.io_queues + 1, address: AddressBits::Bits64 };
        Self::new(identity, move || ModelDevice::new(config, HostMemory::new()))
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let others =
            (1..self.bridge.functions()).map(|function| self.directory.path().join(format!("{function}/cntrl")));
        std::iter::once(self.directory.socket()).chain(others).collect()
    }

    fn device(&self, doorbells: DoorbellPath) -> SocketDevice {
        SocketDevice::connect(&self.sockets(), doorbells).expect("a client")
    }

    /// Ends it, and sees that the device has no defect.
    fn stop(self) {
        self.serving.stop();
        Arc::into_inner(self.bridge).expect("nobody else has it").stop().expect("it records nothing");
    }
}

/// Brings the controller up, writes, reads back, and ends.
fn moves_data(device: &mut SocketDevice, waiting: Waiting, io_queues: u16) {
    let options = Options { io_queues, io_entries: IO_ENTRIES, waiting, ..Options::default() };
    let mut driver = Driver::new(device, options);
    let identity = driver.bring_up().unwrap_or_else(|error| panic!("{waiting:?}: {error}"));
    let data: Vec<u8> = (0..16 * 1024u32).map(|at| (at * 7 + at / 256) as u8).collect();
    driver.write(&identity, 8, &data).unwrap_or_else(|error| panic!("{waiting:?}: {error}"));
    let mut back = vec![0; data.len()];
    driver.read(&identity, 8, &mut back).unwrap_or_else(|error| panic!("{waiting:?}: {error}"));
    assert!(back == data, "{waiting:?}: the data came back different");
    driver.flush(&identity).unwrap_or_else(|error| panic!("{waiting:?}: {error}"));
    driver.disable().unwrap_or_else(|error| panic!("{waiting:?}: {error}"));
}

#[test]
fn the_model_moves_data_by_messages_and_by_the_page() {
    let served = Served::model(nvme_model::Config::SMALL);
    for doorbells in [DoorbellPath::Messages, DoorbellPath::Page] {
        for waiting in [Waiting::Polling, Waiting::Interrupts] {
            moves_data(&mut served.device(doorbells), waiting, 2);
        }
    }
    served.stop();
}

#[test]
fn the_hardware_moves_data() {
    let config = nvme_hw::Config::SMALL;
    let identity = Identity { functions: 1, vectors: config.io_queues as u16 + 1, address: AddressBits::Bits64 };
    let make = move || Verilated::new(&sim_cosim::Options::new(config)).unwrap_or_else(|error| panic!("{error}"));
    let served = Served::new(identity, make);
    for doorbells in [DoorbellPath::Messages, DoorbellPath::Page] {
        moves_data(&mut served.device(doorbells), Waiting::Interrupts, config.io_queues as u16);
    }
    served.stop();
}

/// A queue that is made anew gets its first doorbell although the page had that value before.
#[test]
fn queues_that_are_made_anew_are_rung_anew() {
    let served = Served::model(nvme_model::Config::SMALL);
    let mut device = served.device(DoorbellPath::Page);
    let mut driver = Driver::new(&mut device, Options { io_queues: 2, io_entries: IO_ENTRIES, ..Options::default() });
    let identity = driver.bring_up().expect("it comes up");
    for round in 0..3 {
        driver.write(&identity, 0, &[round; 512]).expect("a write: tail 1");
        driver.delete_submission_queue(1).expect("deleted");
        driver.delete_completion_queue(1).expect("deleted");
        driver.create_queue_pair(1, IO_ENTRIES, Some(1)).expect("made anew: tail 0");
        let mut back = [0; 512];
        driver.read(&identity, 0, &mut back).expect("a read: tail 1");
        assert_eq!(back, [round; 512]);
        driver.delete_submission_queue(1).expect("deleted");
        driver.delete_completion_queue(1).expect("deleted");
        driver.create_queue_pair(1, IO_ENTRIES, Some(1)).expect("made anew");
    }
}

/// Resets of all kinds, in the middle of everything, and drivers that come again.
#[test]
fn the_controller_comes_up_again_after_resets_and_clients_that_went() {
    let served = Served::model(nvme_model::Config::SMALL);
    for round in 0..4 {
        let mut device = served.device(DoorbellPath::Page);
        moves_data(&mut device, Waiting::Interrupts, 2);
        device.function_level_reset(0);
        moves_data(&mut device, Waiting::Interrupts, 2);
        let mut driver =
            Driver::new(&mut device, Options { io_queues: 2, io_entries: IO_ENTRIES, ..Options::default() });
        let identity = driver.bring_up().expect("it comes up");
        let mut buffer = sim_host::Buffer::contiguous(driver.host(), 0, 4096);
        let transfer = sim_host::IoTransfer { write: round % 2 == 0, nsid: identity.nsid, lba: 0, blocks: 8 };
        driver.submit_transfer(1, transfer, &mut buffer, sim_host::ListPlacement::PAGE_START).expect("submitted");
        // The client goes with a command in flight, and memory that the device may be asking for.
    }
    let mut client = Client::connect(&served.directory.socket()).expect("a client");
    let mut csts = [0xFF; 4];
    client.read(0, regs::CSTS.offset.into(), &mut csts, &mut NoMemory).expect("a read");
    assert_eq!(csts, [0; 4], "as after power-on");
    drop(client);
    served.stop();
}

#[test]
fn two_functions_have_a_socket_each() {
    let config = nvme_model::Config { functions: 2, is_managed: true, ..nvme_model::Config::SMALL };
    let served = Served::model(config);
    let mut device = served.device(DoorbellPath::Page);
    for function in [0, 1] {
        device.set_sideband(function, sim_device::Sideband::RUNNING);
        let mut driver = Driver::new(&mut device, Options { function, io_queues: 1, ..Options::default() });
        driver.start().unwrap_or_else(|error| panic!("function {function}: {error}"));
        driver.set_number_of_queues(1).unwrap_or_else(|error| panic!("function {function}: {error}"));
        driver.disable().unwrap_or_else(|error| panic!("function {function}: {error}"));
    }
}

/// Mapped memory, mapped doorbells, polled completions. Nothing is said of speed here.
#[test]
fn the_benchmark_reads() {
    let served = Served::model(nvme_model::Config::DEFAULT);
    let commands = 20 * QUEUE_DEPTH as u64;
    for _ in 0..2 {
        let figures = benchmark(served.directory.path(), commands).expect("all reads succeed");
        assert_eq!(figures.commands, commands);
        assert!(figures.iops > 0.0 && figures.processor_share > 0.0, "{figures:?}");
    }
    // When the next client has its answer, the one before is gone.
    Client::connect(&served.directory.socket()).expect("a client");
    assert_eq!(served.serving.windows(), 0);
    served.stop();
}
