//! The firmware's image on simulated processors, joined to the controller under Verilator.

mod common;

use common::image;
use nvme_hw::Config;
use nvme_spec::identify::{cns, IDENTIFY_BYTES};
use nvme_spec::regs::csts;
use sim_cosim::{CoresKind, CoresOptions, Ended, Error, Options, Start, Verilated, IDENTIFY_CLOCKS_MAX};
use sim_device::{Device, Random};
use sim_firmware::Image;
use sim_host::{identify_entry, Driver};
use soc_firmware::record::TRAP;
use soc_map::HARTS_MAX;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;

fn device(config: Config, image: Arc<Image>, harts: u32) -> Verilated {
    device_of(config, CoresOptions { image, harts, kind: CoresKind::Simulated })
}

fn device_of(config: Config, cores: CoresOptions) -> Verilated {
    let cores = Some(cores);
    let options = Options { cores, monitors: true, ..Options::new(config) };
    Verilated::new(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// Most clocks from the doorbell to the completion of an Identify on the instruction-set simulator, with the latencies that figures are measured with.
const IDENTIFY_CLOCKS_SIMULATED_MAX: u64 = 7_500;

/// Brings the device up, identifies it, moves data, and ends. The clocks that the Identify took.
fn works(device: &mut Verilated) -> u64 {
    let mut driver = Driver::new(device, sim_host::Options { io_queues: 2, ..Default::default() });
    let identity = driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    let entry = identify_entry(cns::CONTROLLER, 0);
    let (completion, data) =
        driver.admin_data(entry, IDENTIFY_BYTES as usize).unwrap_or_else(|error| panic!("{error}"));
    assert!(completion.status.is_success(), "{:?}", completion.status);
    assert!(data.windows(9).any(|part| part == b"flashdock"), "it says who it is");
    let mut written = vec![0; 40 * 1024];
    let mut random = Random::new(0x5EED);
    written.iter_mut().for_each(|byte| *byte = random.next_u64() as u8);
    driver.write(&identity, 8, &written).unwrap_or_else(|error| panic!("{error}"));
    let mut back = vec![0; written.len()];
    driver.read(&identity, 8, &mut back).unwrap_or_else(|error| panic!("{error}"));
    assert!(back == written, "the data came back different");
    driver.disable().unwrap_or_else(|error| panic!("{error}"));
    completion.latency()
}

#[test]
fn comes_up_and_answers_in_time() {
    let Some(image) = image() else { return };
    for config in [Config::DEFAULT, Config::SMALL] {
        let mut device = device(config, image.clone(), 1);
        let clocks = works(&mut device);
        eprintln!("admin_identify_cycles_on_cores: {clocks} ({} instructions since the start)", device.instructions());
        assert!(clocks <= IDENTIFY_CLOCKS_SIMULATED_MAX, "Identify took {clocks} clocks");
        assert_eq!(device.firmware_record(), None);
    }
}

/// A device with Verilated processors.
fn device_with_tiles(image: Arc<Image>, harts: u32, start: Start) -> Verilated {
    device_of(Config::SMALL, CoresOptions { image, harts, kind: CoresKind::Verilated(start) })
}

/// With `TILES=reset` the tile starts firmware up itself, which takes a minute.
#[test]
fn comes_up_on_the_verilated_tile_and_answers_in_time() {
    let Some(image) = image() else { return };
    let is_asked_for = std::env::var("TILES").is_ok_and(|start| start == "reset");
    let start = if is_asked_for { Start::Reset } else { Start::Ready };
    let mut device = device_with_tiles(image, 1, start);
    let clocks = works(&mut device);
    eprintln!("admin_identify_cycles_on_cores: {clocks} on the Verilated tile, from {start:?}");
    assert!(clocks <= IDENTIFY_CLOCKS_MAX, "Identify took {clocks} clocks");
    assert_eq!(device.firmware_record(), None);
    let said = String::from_utf8_lossy(&device.take_console()).into_owned();
    assert!(said.starts_with("flashdock firmware") && said.ends_with("\r\n"), "{said:?}");
}

/// The same seed is the same run, and harts that sleep change nothing in it.
#[test]
fn runs_do_not_depend_on_harts_that_sleep() {
    let Some(image) = image() else { return };
    let clocks = [1, 1, HARTS_MAX].map(|harts| {
        let mut device = device(Config::SMALL, image.clone(), harts);
        (works(&mut device), device.clock())
    });
    assert_eq!(clocks[0], clocks[1]);
    assert_eq!(clocks[0], clocks[2]);
}

/// A controller whose firmware has stopped says so, in the life in which that happens and in those that come.
#[test]
fn hosts_are_told_of_firmware_that_has_stopped() {
    let Some(image) = image() else { return };
    let poll = poll(&image);
    // A word that is no instruction, and a load from where nothing is.
    const LOAD_FROM_ZERO: u32 = 0x0000_3503;
    for instruction in [0, LOAD_FROM_ZERO] {
        stops_at(image.clone(), poll.start, instruction);
    }
}

fn stops_at(image: Arc<Image>, address: u64, instruction: u32) {
    let mut device = device(Config::SMALL, image.clone(), 1);
    let mut driver = Driver::new(&mut device, sim_host::Options { io_queues: 2, ..Default::default() });
    driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    driver.device().write_firmware_memory(address, &instruction.to_le_bytes());
    let entry = identify_entry(cns::CONTROLLER, 0);
    driver.submit(0, entry, &[]).unwrap_or_else(|error| panic!("{error}"));
    let has_stopped = |driver: &mut Driver<'_, Verilated>| csts::CFS.get32(driver.csts()) == 1;
    driver.wait_until("CSTS.CFS = 1", has_stopped).unwrap_or_else(|error| panic!("{error}"));
    let record = driver.device().firmware_record().expect("there is a record");
    assert_eq!((record.kind.get(), record.pc.get()), (TRAP, address));
    let said = String::from_utf8_lossy(&driver.device().take_console()).into_owned();
    let trap = "hart 0 has stopped: trap: ";
    assert!(said.contains(trap) && said.contains(&format!("pc {address:#x}")), "{said:?}");
}

/// Where firmware looks for what to do.
fn poll(image: &Image) -> Range<u64> {
    let is_poll = |name: &str| name.contains("nvme_fw") && name.contains("4poll");
    image.functions().find(|(name, _)| is_poll(name)).map(|(_, range)| range).unwrap()
}

/// GDB stops the harts where firmware takes a command up, looks, and leaves; the host has its answers all the same.
#[test]
fn a_debugger_stops_firmware_and_leaves() {
    let Some(image) = image() else { return };
    let poll = poll(&image);
    let mut device = device(Config::SMALL, image, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut gdb = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    device.debug(listener.accept().unwrap().0).unwrap();
    let debugger = std::thread::spawn(move || {
        let mut ask = |packet: &str| {
            let sum = packet.bytes().fold(0u8, |sum, byte| sum.wrapping_add(byte));
            write!(gdb, "${packet}#{sum:02x}").unwrap();
            let mut answer = Vec::new();
            // The acknowledgement, the answer, and its sum behind `#`.
            while answer.len() < 3 || answer[answer.len() - 3] != b'#' {
                let mut byte = [0];
                gdb.read_exact(&mut byte).unwrap();
                answer.push(byte[0]);
            }
            gdb.write_all(b"+").unwrap();
            String::from_utf8(answer).unwrap()
        };
        ask("qSupported:swbreak+;vContSupported+");
        let breakpoint = format!("0,{:x},2", poll.start);
        assert_eq!(&ask(&format!("Z{breakpoint}"))[..4], "+$OK");
        assert!(ask("vCont;c").contains("swbreak"));
        // The lower half: a run of zeros is told in short.
        let pc: String = (poll.start as u32).to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(ask("p20").contains(&pc));
        assert_eq!(&ask(&format!("z{breakpoint}"))[..4], "+$OK");
        assert_eq!(&ask("D")[..4], "+$OK");
    });
    works(&mut device);
    debugger.join().unwrap();
    assert_eq!(device.debugger_ended(), Some(&Ended::Detached));
    assert_eq!(device.firmware_record(), None);
}

/// What is not there is refused with the reason.
#[test]
fn devices_that_cannot_be_are_refused() {
    let Some(image) = image() else { return };
    let cores = Some(CoresOptions { image, harts: 1, kind: CoresKind::Simulated });
    let options = Options { cores, ..Options::new(Config::SMALL) };
    let refused = |options: &Options| match Verilated::new(options) {
        Err(Error::Cores(reason)) => reason,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was not refused"),
    };
    let large = Options { namespace_bytes: 2 << 30, ..options.clone() };
    assert!(refused(&large).contains("storage"));
}
