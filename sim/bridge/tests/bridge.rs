//! A host of a few lines drives a device through the bridge: the model, and the Verilated hardware.

use nvme_spec::entry::{CqEntry, SqEntry};
use nvme_spec::{identify, opcode, pci, regs};
use sim_bridge::{
    AddressBits, Bridge, Endpoint, GuestMemory, Host, Identity, Mapping, Recorder, Recording, ReplayError, StartError,
};
use sim_device::{Access, Device, Fault, HostMemory, Message, ModelDevice, Outside};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Where the host has its memory, far above 4 GiB.
const BASE: u64 = 0x7F00_0000_0000;
const BYTES: u64 = 1 << 20;
/// Offsets in it.
const ASQ: u64 = 0x0;
const ACQ: u64 = 0x1000;
const DATA: u64 = 0x2000;
const ENTRIES: u32 = 16;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Device(#[from] sim_cosim::Error),
}

/// Memory in a file, and interrupts in a channel.
struct TestHost {
    memory: GuestMemory,
    messages: Sender<Message>,
    /// Most messages at once.
    largest: Arc<Mutex<usize>>,
}

impl Outside for TestHost {
    fn read(&mut self, function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault> {
        self.memory.read(function, address, data)
    }

    fn write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        self.memory.write(function, address, data)
    }
}

impl Host for TestHost {
    fn interrupt(&mut self, messages: &[Message]) {
        let mut largest = self.largest.lock().expect("a lock");
        *largest = messages.len().max(*largest);
        // A test that has seen enough listens no more.
        messages.iter().for_each(|&message| self.messages.send(message).unwrap_or_default());
    }
}

/// Far longer than a command takes on any machine.
const HANG: std::time::Duration = std::time::Duration::from_secs(60);

/// One function behind a bridge, with an admin queue.
struct Rig {
    bridge: Bridge,
    memory: GuestMemory,
    file: File,
    messages: Receiver<Message>,
    largest: Arc<Mutex<usize>>,
    tail: u32,
}

const IDENTITY: Identity = Identity { functions: 1, vectors: 9, address: AddressBits::Bits64 };

/// The message of the vector of the admin queue.
const MESSAGE: (u64, u32) = (soc_map::MSI_WINDOW.base + 0x40, 0x4567);

impl Rig {
    fn new<D: Device + 'static>(make: fn() -> Result<D, Error>, recorder: Option<Recorder>) -> Self {
        let memory = GuestMemory::default();
        let file = File::from(rustix::fs::memfd_create("host", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd"));
        file.set_len(BYTES).expect("its length");
        let again = file.try_clone().expect("a second descriptor");
        let mapping = Mapping { address: BASE, bytes: BYTES, file: again, offset: 0, is_writable: true };
        memory.map(mapping).expect("a window");
        let (sender, messages) = mpsc::channel();
        let largest = Arc::default();
        let host = TestHost { memory: memory.clone(), messages: sender, largest: Arc::clone(&largest) };
        let bridge = Bridge::start(IDENTITY, make, Box::new(host), recorder).expect("a device");
        Self { bridge, memory, file, messages, largest, tail: 0 }
    }

    fn write(&self, offset: u32, bytes: u8, value: u64) {
        self.bridge.write_bar(Access { function: 0, offset: u64::from(offset), bytes }, value);
    }

    fn read(&self, offset: u32) -> u32 {
        self.bridge.read_bar_now(Access::dword(u64::from(offset))) as u32
    }

    fn enable(&mut self) {
        self.tail = 0;
        self.file.write_all_at(&[0; 0x1000], ACQ).expect("the completion queue");
        self.bridge.write_config(0, pci::COMMAND.offset, 2, 6);
        self.bridge.write_config(0, pci::MSIX.offset + 2, 2, 0x8000);
        self.write(regs::MSIX_TABLE.start, 8, MESSAGE.0);
        self.write(regs::MSIX_TABLE.start + 8, 8, u64::from(MESSAGE.1));
        self.write(regs::AQA.offset, 4, u64::from((ENTRIES - 1) << 16 | (ENTRIES - 1)));
        self.write(regs::ASQ.offset, 8, BASE + ASQ);
        self.write(regs::ACQ.offset, 8, BASE + ACQ);
        self.write(regs::CC.offset, 4, regs::cc::IOCQES.set(regs::cc::IOSQES.set(1, 6), 4));
        while self.read(regs::CSTS.offset) & 1 == 0 {
            assert!(self.bridge.is_running());
        }
    }

    fn ring(&self) {
        self.write(regs::sq_tail_doorbell(0), 4, u64::from(self.tail));
    }

    fn identify(&mut self, address: u64) {
        self.put_identify(address);
        self.ring();
    }

    fn put_identify(&mut self, address: u64) {
        let mut entry = SqEntry::new_zeroed();
        entry.opcode = opcode::admin::IDENTIFY;
        entry.cid = 7.into();
        entry.prp[0] = address.into();
        entry.cdw10[0] = u32::from(identify::cns::CONTROLLER).into();
        self.file.write_all_at(entry.as_bytes(), ASQ + u64::from(self.tail) * 64).expect("the submission queue");
        self.tail = (self.tail + 1) % ENTRIES;
    }

    /// Waits for an interrupt and returns the completion at `index`.
    fn completion(&self, index: u64) -> CqEntry {
        // A device that has lost a doorbell would be waited for without an end.
        let message = self.messages.recv_timeout(HANG).expect("an interrupt");
        assert_eq!((message.address, message.data), MESSAGE);
        let mut bytes = [0; size_of::<CqEntry>()];
        self.file.read_exact_at(&mut bytes, ACQ + index * 16).expect("the completion queue");
        CqEntry::read_from_bytes(&bytes).expect("sixteen bytes")
    }
}

fn model() -> Result<ModelDevice, Error> {
    Ok(ModelDevice::new(nvme_model::Config::DEFAULT, HostMemory::new()))
}

fn verilated() -> Result<sim_cosim::Verilated, Error> {
    Ok(sim_cosim::Verilated::new(&sim_cosim::Options::new(nvme_hw::Config::SMALL))?)
}

fn registers_dma_and_interrupts_reach_the_other_side<D: Device + 'static>(make: fn() -> Result<D, Error>) {
    let mut rig = Rig::new(make, None);
    assert_eq!(rig.read(regs::VS.offset), regs::VERSION);
    rig.enable();
    rig.identify(BASE + DATA);
    let completion = rig.completion(0);
    assert_eq!((completion.cid.get(), completion.status_field()), (7, 0));
    let mut data = [0; 4096];
    rig.file.read_exact_at(&mut data, DATA).expect("the data");
    let controller = identify::IdentifyController::ref_from_bytes(&data).expect("4096 bytes");
    assert_eq!(controller.vid.get(), identify::PCI_VENDOR_ID);

    // Writes are posted: a device need not notice that nobody takes one. It lives on.
    rig.identify(BASE + BYTES);
    rig.completion(1);
    rig.identify(BASE + DATA);
    assert_eq!(rig.completion(2).status_field(), 0);
    rig.bridge.stop().expect("no recording");
}

#[test]
fn registers_dma_and_interrupts_reach_the_other_side_of_the_model() {
    registers_dma_and_interrupts_reach_the_other_side(model);
}

#[test]
fn registers_dma_and_interrupts_reach_the_other_side_of_the_hardware() {
    registers_dma_and_interrupts_reach_the_other_side(verilated);
}

/// PCI Express Base, "Function Level Reset (FLR)"; and without Bus Master Enable nothing is accessed.
#[test]
fn resets_and_power_states_reach_the_device() {
    let mut rig = Rig::new(model, None);
    rig.enable();
    rig.bridge.write_config(0, pci::DEVICE_CONTROL.offset, 2, 0x8000);
    assert_eq!((rig.read(regs::CC.offset), rig.read(regs::CSTS.offset)), (0, 0));
    rig.enable();
    rig.bridge.write_config(0, pci::POWER_CONTROL.offset, 2, 3);
    assert_eq!(rig.read(regs::VS.offset), u32::MAX, "asleep");
    rig.bridge.write_config(0, pci::POWER_CONTROL.offset, 2, 0);
    assert_eq!(rig.read(regs::CSTS.offset), 1, "it has kept its state");
    rig.bridge.write_config(0, pci::COMMAND.offset, 2, 2);
    rig.identify(BASE + DATA);
    while !rig.bridge.activity().is_idle {}
    assert!(rig.messages.try_recv().is_err(), "no bus master, and yet an interrupt");
    rig.bridge.write_config(0, pci::COMMAND.offset, 2, 6);
    rig.completion(0);
    rig.bridge.reset(0);
    assert_eq!(rig.read(regs::CC.offset), 0);
    assert_eq!(rig.bridge.read_config(0, pci::COMMAND.offset, 2), 0);
    // Functions that are not there.
    assert_eq!(rig.bridge.read_config(1, 0, 4), u32::MAX);
    assert_eq!(rig.bridge.read_bar_now(Access { function: 1, offset: 0, bytes: 4 }), u64::MAX);
}

fn record(path: &Path) {
    let mut rig = Rig::new(verilated, Some(Recorder::create(path, "as it is").expect("a file")));
    rig.enable();
    for index in 0..5 {
        rig.identify(BASE + DATA + index * 0x1000);
        rig.completion(index);
    }
    rig.identify(BASE + BYTES);
    rig.completion(5);
    // A life ends with a command in flight.
    rig.identify(BASE + DATA);
    rig.write(regs::CC.offset, 4, 0);
    while rig.read(regs::CSTS.offset) & 1 == 1 {}
    assert_eq!(rig.memory.windows(), 1);
    rig.bridge.stop().expect("the recording is complete");
}

#[test]
fn a_recording_is_run_again_clock_by_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("inputs");
    record(&path);
    let recording = Recording::open(&path).expect("a recording");
    assert_eq!(recording.device, "as it is");
    let replayed = recording.replay(&mut verilated().expect("a device")).expect("the same");
    assert!(replayed.is_complete);
    assert!(replayed.inputs > 20, "{replayed:?}");

    // Another seed is another device.
    let options = sim_cosim::Options { seed: 5, ..sim_cosim::Options::new(nvme_hw::Config::SMALL) };
    let mut other = sim_cosim::Verilated::new(&options).expect("a device");
    let diverged = Recording::open(&path).expect("a recording").replay(&mut other);
    assert!(matches!(diverged, Err(ReplayError::Diverged { .. })), "{diverged:?}");

    // What a killed process leaves is replayed as far as it goes.
    let bytes = std::fs::read(&path).expect("the file");
    std::fs::write(&path, &bytes[..bytes.len() - 100]).expect("the file");
    let cut =
        Recording::open(&path).expect("a recording").replay(&mut verilated().expect("a device")).expect("the same");
    assert!(!cut.is_complete && cut.inputs <= replayed.inputs, "{cut:?}");

    for rubbish in [&b"no recording"[..], &[], &bytes[20..]] {
        std::fs::write(&path, rubbish).expect("the file");
        let refused = Recording::open(&path).map(|recording| recording.device);
        assert!(matches!(refused, Err(ReplayError::Format(_))), "{refused:?}");
    }
}

/// A host may merge messages that are the same; the recording has them all, as a replay does.
#[test]
fn equal_messages_of_a_step_are_recorded_one_by_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("inputs");
    let mut rig = Rig::new(model, Some(Recorder::create(&path, "the model").expect("a file")));
    rig.enable();
    rig.put_identify(BASE + DATA);
    rig.put_identify(BASE + DATA);
    rig.ring();
    rig.completion(0);
    rig.completion(1);
    assert_eq!(*rig.largest.lock().expect("a lock"), 2, "both in one step");
    rig.bridge.stop().expect("the recording is complete");
    let recording = Recording::open(&path).expect("a recording");
    assert!(recording.replay(&mut model().expect("a device")).expect("the same").is_complete);
}

#[test]
fn an_idle_model_waits_without_stepping() {
    an_idle_device_waits_without_stepping(model);
}

#[test]
fn idle_hardware_waits_without_stepping() {
    an_idle_device_waits_without_stepping(verilated);
}

fn an_idle_device_waits_without_stepping<D: Device + 'static>(make: fn() -> Result<D, Error>) {
    let mut rig = Rig::new(make, None);
    rig.enable();
    while !rig.bridge.activity().is_idle {}
    let (clock, time) = (rig.bridge.clock(), rig.bridge.device_time());
    for _ in 0..3 {
        std::thread::yield_now();
    }
    assert!(rig.bridge.activity().is_idle);
    assert_eq!((rig.bridge.clock(), rig.bridge.device_time()), (clock, time));
    rig.identify(BASE + DATA);
    rig.completion(0);
    assert!(rig.bridge.clock() > clock);
}

#[test]
fn a_device_that_cannot_be_made_is_an_error() {
    let host = || {
        let (messages, _) = mpsc::channel();
        Box::new(TestHost { memory: GuestMemory::default(), messages, largest: Arc::default() })
    };
    let panics = || -> Result<ModelDevice, Error> { panic!("on purpose") };
    assert!(matches!(Bridge::start(IDENTITY, panics, host(), None), Err(Error::Start(_))));
    let options = sim_cosim::Options::new(nvme_hw::Config { io_queues: 0, ..nvme_hw::Config::SMALL });
    let impossible = move || Ok(sim_cosim::Verilated::new(&options)?);
    assert!(matches!(Bridge::start(IDENTITY, impossible, host(), None), Err(Error::Device(_))));
}
