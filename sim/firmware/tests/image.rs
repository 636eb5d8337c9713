//! The firmware of this repository as an image, and what it does when it must not go on: on a hart with nothing around it but a port that says yes.

use proptest::prelude::*;
use sim_firmware::{compile, Image, Toolchain};
use sim_iss::{Bus, BusFault, Config, Hart, MemoryBus, Reservations, Stop};
use soc_firmware::parameters::Parameters;
use soc_firmware::process::Program;
use soc_firmware::record::{Record, PANIC, TRAP};
use soc_firmware::trace::Ring;
use soc_map::containers::slot;
use soc_map::firmware::{record as record_of, stack, IMAGE, IMAGE_BYTES_MAX, PARAMETERS, STACKS};
use soc_map::trace::{ring, PROGRAM_REFUSED};
use soc_map::{uart, FIRMWARE, HARTS_MAX, NVME_FIRMWARE_PORT, UART};
use std::sync::OnceLock;
use zerocopy::{FromBytes, IntoBytes};

/// The file, compiled once; none if the machine cannot have a compiler.
fn file() -> Option<&'static [u8]> {
    static FILE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let file = FILE.get_or_init(|| match compile(&Toolchain::from_env()) {
        Ok(path) => Some(std::fs::read(path).unwrap_or_else(|error| panic!("{error}"))),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: the tests of the firmware's image. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    });
    file.as_deref()
}

fn image() -> Option<Image> {
    file().map(|file| Image::parse(file).unwrap_or_else(|error| panic!("{error}")))
}

/// Memory, registers that all read as 2 until they are written, and a console that is never full.
struct TestBus {
    memory: MemoryBus,
    written: Vec<(u64, u32)>,
}

impl Bus for TestBus {
    fn load<const N: usize>(&mut self, hart: usize, address: u64) -> Result<[u8; N], BusFault> {
        if N == 4 && NVME_FIRMWARE_PORT.contains(address) {
            let value = self.written.iter().rfind(|written| written.0 == address).map_or(2, |written| written.1);
            return value.to_le_bytes().as_slice().try_into().map_err(|_| BusFault);
        }
        if UART.contains(address) {
            let value = u64::from(uart::ROOM).to_le_bytes();
            return value[..N].try_into().map_err(|_| BusFault);
        }
        self.memory.load(hart, address)
    }

    fn store<const N: usize>(&mut self, hart: usize, address: u64, bytes: [u8; N]) -> Result<(), BusFault> {
        if N == 4 && NVME_FIRMWARE_PORT.contains(address) {
            let value = bytes.as_slice().try_into().map_err(|_| BusFault)?;
            self.written.push((address, u32::from_le_bytes(value)));
            return Ok(());
        }
        if UART.contains(address) {
            return Ok(());
        }
        self.memory.store(hart, address, bytes)
    }

    fn fetch(&mut self, hart: usize, address: u64) -> Result<u16, BusFault> {
        self.memory.fetch(hart, address)
    }

    fn has_atomics(&self, address: u64) -> bool {
        self.memory.has_atomics(address)
    }

    fn reservations(&mut self) -> &mut Reservations {
        self.memory.reservations()
    }
}

/// Instructions within which firmware starts up, or stops.
const STEPS_MAX: u64 = 5_000_000;

/// A hart at the entry of the image, in memory that `change` was at, run until it sleeps; and the bus.
fn run(image: &Image, number: usize, change: impl FnOnce(&mut MemoryBus)) -> (Hart, TestBus) {
    let mut memory = MemoryBus::new(FIRMWARE.base, FIRMWARE.bytes as usize);
    // Memory holds anything when the power comes.
    memory.bytes_mut(FIRMWARE.base, FIRMWARE.bytes as usize).fill(0xA5);
    for segment in image.segments() {
        memory.bytes_mut(segment.address, segment.content.len()).copy_from_slice(&segment.content);
    }
    let parameters = Parameters::new(&nvme_fw::Config::new(1 << 20, "SERIAL-1"));
    memory.bytes_mut(PARAMETERS.base, size_of::<Parameters>()).copy_from_slice(parameters.as_bytes());
    change(&mut memory);
    let mut bus = TestBus { memory, written: Vec::new() };
    let mut hart = Hart::new(&Config { hart: number, reset_pc: image.entry(), physical_bits: 32 });
    hart.set_x(10, number as u64);
    hart.set_x(11, PARAMETERS.base);
    assert_eq!(hart.run(&mut bus, STEPS_MAX), Stop::Waiting, "it is at {:#x}", hart.pc());
    (hart, bus)
}

fn record(bus: &mut TestBus) -> Option<Record> {
    let record = Record::read_from_bytes(bus.memory.bytes_mut(record_of(0).base, size_of::<Record>())).unwrap();
    record.said().is_some().then_some(record)
}

/// Whether CSTS.CFS was set for two functions.
fn tells_hosts(bus: &TestBus) -> bool {
    use nvme_spec::firmware_port::{of_function, status_set::CFS, STATUS_SET};
    (0..2).all(|function| {
        let address = NVME_FIRMWARE_PORT.base + u64::from(of_function(&STATUS_SET, function).offset);
        bus.written.iter().any(|&(to, value)| to == address && CFS.get32(value) == 1)
    })
}

#[test]
fn the_image_has_its_size() {
    let Some(image) = image() else { return };
    eprintln!("the firmware's image has {} bytes of {IMAGE_BYTES_MAX}", image.bytes());
    assert!(image.bytes() <= IMAGE_BYTES_MAX);
    // It has what the firmware is there for: a program of which nothing was left would be small, too.
    assert!(image.functions().any(|(name, _)| name.contains("nvme_fw") && name.contains("4poll")));
    assert_eq!(image.segments()[0].address, IMAGE.base);
}

/// Hart 0 serves the controller, on its own stack; the others sleep and touch nothing.
#[test]
fn harts_start_up_in_any_memory() {
    let Some(image) = image() else { return };
    for number in 0..HARTS_MAX as usize {
        let (hart, mut bus) = run(&image, number, |_| {});
        assert_eq!(record(&mut bus).map(|record| record.said().unwrap().to_owned()), None);
        assert_eq!(bus.written.len(), 0, "hart {number}");
        let top = stack(number as u32).end();
        let sp = hart.x(2);
        assert!(sp <= top && sp > top - 4096, "the stack of hart {number} is at {sp:#x}");
    }
}

#[test]
fn firmware_without_its_parameters_says_so_and_tells_the_hosts() {
    let Some(image) = image() else { return };
    for (change, text) in [(0, "there are no parameters"), (8, "the parameters are for map")] {
        let (_, mut bus) = run(&image, 0, |memory| memory.bytes_mut(PARAMETERS.base + change, 1)[0] ^= 1);
        let record = record(&mut bus).expect("there is a record");
        assert_eq!((record.kind.get(), record.hart.get()), (PANIC, 0));
        let said = record.said().unwrap();
        assert!(said.contains(text) && said.contains("start.rs"), "{said}");
        assert!(tells_hosts(&bus));
    }
}

/// The functions on the stack of a hart that has stopped, the innermost first.
fn back_trace(image: &Image, bus: &mut TestBus) -> Vec<String> {
    let record = record(bus).expect("there is a record");
    let read = |address: u64| {
        let is_inside = FIRMWARE.contains(address) && FIRMWARE.end() - address >= 8;
        let bytes = is_inside.then(|| bus.memory.bytes_mut(address, 8))?;
        Some(u64::from_le_bytes((*bytes).try_into().ok()?))
    };
    let places = image.back_trace(record.pc.get(), &record.registers.map(u64::from), read);
    places.into_iter().map(|place| place.function).collect()
}

#[test]
fn a_panic_and_a_trap_tell_who_called() {
    let Some(image) = image() else { return };
    let (_, mut bus) = run(&image, 0, |memory| memory.bytes_mut(PARAMETERS.base, 1)[0] ^= 1);
    let functions = back_trace(&image, &mut bus);
    assert!(functions[0].contains("rust_begin_unwind") && functions[1].contains("panic_fmt"), "{functions:?}");

    let (_, poll) = image.functions().find(|(name, _)| name.contains("nvme_fw") && name.contains("4poll")).unwrap();
    // Behind its beginning, in the middle of an instruction or not.
    let (_, mut bus) = run(&image, 0, |memory| memory.bytes_mut(poll.start + 64, 16).fill(0));
    let functions = back_trace(&image, &mut bus);
    assert!(functions[0].contains("poll") && functions.iter().any(|name| name.contains("supervise")), "{functions:?}");
}

/// What a loader says of a program is not believed: one for another map, or that leaves no room for a stack, is not run.
#[test]
fn programs_that_do_not_fit_are_refused() {
    let Some(image) = image() else { return };
    let hart = 2;
    let slot = slot(hart).expect("it is for containers");
    let good = Program::new(64);
    let large = Program::new(slot.bytes);
    let mut other = good;
    other.as_mut_bytes()[8] ^= 1;
    for program in [large, other] {
        let change = |memory: &mut MemoryBus| {
            memory.bytes_mut(slot.base, size_of::<Program>()).copy_from_slice(program.as_bytes());
        };
        let (_, mut bus) = run(&image, hart as usize, change);
        let ring = Ring::read_from_bytes(bus.memory.bytes_mut(ring(hart).base, size_of::<Ring>())).unwrap();
        let told: Vec<_> = ring.events().map(|event| (event.kind().unwrap(), event.values())).collect();
        let refused = program.code_bytes().unwrap_err();
        assert_eq!(told[1..], [(&PROGRAM_REFUSED, [0, refused.map, refused.code_bytes])]);
        assert_eq!(record(&mut bus), None);
    }
}

/// An instruction that is none, in the firmware's main function.
#[test]
fn a_trap_leaves_a_record_and_tells_the_hosts() {
    let Some(image) = image() else { return };
    let (_, poll) = image.functions().find(|(name, _)| name.contains("nvme_fw") && name.contains("4poll")).unwrap();
    let (_, mut bus) = run(&image, 0, |memory| memory.bytes_mut(poll.start, 4).fill(0));
    let record = record(&mut bus).expect("there is a record");
    assert_eq!((record.kind.get(), record.hart.get(), record.cause.get()), (TRAP, 0, 2));
    assert_eq!(record.pc.get(), poll.start);
    let (function, offset) = image.function_at(record.pc.get()).expect("the address has a name");
    assert!(function.contains("4poll") && offset == 0, "{function} + {offset}");
    let sp = record.registers[1].get();
    assert!(sp > STACKS.base && sp <= STACKS.base + soc_map::firmware::STACK_BYTES, "{sp:#x}");
    assert!(record.said().unwrap().contains("illegal instruction (0x2)"), "{:?}", record.said());
    assert!(tells_hosts(&bus));
}

/// A stack that is full ends at the memory's end, and the trap is still reported.
#[test]
fn a_full_stack_is_reported() {
    let Some(image) = image() else { return };
    let (_, poll) = image.functions().find(|(name, _)| name.contains("nvme_fw") && name.contains("4poll")).unwrap();
    // addi sp, sp, -2032; sd ra, 0(sp); j to the first of these.
    let code: [u32; 3] = [0x8101_0113, 0x0011_3023, 0xFF9F_F06F];
    let (_, mut bus) = run(&image, 0, |memory| memory.bytes_mut(poll.start, 12).copy_from_slice(code.as_bytes()));
    let record = record(&mut bus).expect("there is a record");
    assert_eq!((record.kind.get(), record.cause.get(), record.pc.get()), (TRAP, 7, poll.start + 4));
    assert!(record.value.get() < STACKS.base, "{:#x}", record.value.get());
    assert!(tells_hosts(&bus));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Of the real file, too, damage is refused or can be loaded. It hits the headers, and anything.
    #[test]
    fn any_damage_to_the_file_is_survived(
        damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..16),
        bytes in any::<prop::sample::Index>(),
        is_cut: bool,
    ) {
        let Some(file) = file() else { return Ok(()) };
        let mut file = file.to_vec();
        for (index, value, is_in_headers) in damages {
            let index = index.index(if is_in_headers { 512 } else { file.len() });
            file[index] = value;
        }
        if is_cut {
            file.truncate(bytes.index(file.len()));
        }
        if let Ok(image) = Image::parse(&file) {
            prop_assert!(image.bytes() <= IMAGE_BYTES_MAX);
            for segment in image.segments() {
                prop_assert!(segment.address >= IMAGE.base);
                prop_assert!(segment.address + segment.bytes <= IMAGE.end());
            }
        }
    }
}
