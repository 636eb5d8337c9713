//! Processes in U-mode on harts for containers, beside the firmware that serves a host: what they may, what they may not, and what it costs them. Each body
//! runs on simulated processors and on the Verilated tiles.

mod common;

use common::image;
use nvme_hw::Config;
use nvme_spec::identify::{cns, IDENTIFY_BYTES};
use nvme_spec::regs::csts;
use sim_cosim::{system_call_clocks, CoresKind, CoresOptions, Options, Start, Verilated, SYSTEM_CALL_CLOCKS_MAX};
use sim_device::Device;
use sim_firmware::Image;
use sim_host::{identify_entry, Driver};
use sim_iss::{encode, number, Instruction, Op};
use soc_firmware::calls::{process_number, EXIT, GETPID, NO_SUCH_CALL};
use soc_firmware::process::tables_at;
use soc_firmware::record::TRAP;
use soc_map::containers::{slot, VIRTUAL_BASE};
use soc_map::firmware::{stack, CODE, MONITOR};
use soc_map::privileged::cause::{
    ILLEGAL_INSTRUCTION, INSTRUCTION_PAGE_FAULT, LOAD_ACCESS_FAULT, LOAD_PAGE_FAULT, STORE_ACCESS_FAULT,
    STORE_PAGE_FAULT,
};
use soc_map::privileged::sv39::{entry, AD, PAGE_BYTES, R, U, W};
use soc_map::trace::{Kind, HART_STARTED, HART_STOPPED, PROCESS_ENDED, PROCESS_STARTED, PROCESS_TRAPPED, SERVING};
use soc_map::{trace, HARTS_MAX, NVME_FIRMWARE_PORT};
use std::sync::Arc;

fn device(image: Image, harts: u32, kind: CoresKind) -> Verilated {
    let cores = Some(CoresOptions { image: Arc::new(image), harts, kind });
    Verilated::new(&Options { cores, ..Options::new(Config::SMALL) }).unwrap_or_else(|error| panic!("{error}"))
}

const ZERO: u8 = 0;
const T0: u8 = 5;
const T1: u8 = 6;
const A0: u8 = 10;
const A7: u8 = 17;

fn i(op: Op, rd: u8, rs1: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, immediate, ..Instruction::new(op) }
}

/// The code of a program.
fn code(parts: &[&[Instruction]]) -> Vec<u8> {
    parts.concat().iter().flat_map(|instruction| encode(instruction).to_le_bytes()).collect()
}

/// An address of 32 bits, a multiple of 4096.
fn address(register: u8, address: u64) -> [Instruction; 3] {
    let shift = |op| i(op, register, register, 32);
    [i(Op::Lui, register, 0, address as u32 as i32), shift(Op::Slli), shift(Op::Srli)]
}

/// A call with what `a0` has.
fn call(number: u64) -> [Instruction; 2] {
    [i(Op::Addi, A7, ZERO, number as i32), Instruction::new(Op::Ecall)]
}

fn load_from(place: u64) -> Vec<Instruction> {
    [&address(T0, place)[..], &[i(Op::Ld, T1, T0, 0)]].concat()
}

/// Waits until the first word behind the code is not 0.
fn wait() -> Vec<Instruction> {
    let branch = Instruction { rs1: T1, rs2: ZERO, immediate: -4, ..Instruction::new(Op::Beq) };
    [&address(T0, VIRTUAL_BASE + PAGE_BYTES)[..], &[i(Op::Ld, T1, T0, 0), branch]].concat()
}

/// Where that word is.
fn flag(hart: u32) -> u64 {
    slot(hart).unwrap().base + 2 * PAGE_BYTES
}

/// The device brings a host up and answers it.
fn serves(device: &mut Verilated) {
    let mut driver = Driver::new(device, sim_host::Options { io_queues: 1, ..Default::default() });
    driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    identifies(&mut driver);
    driver.disable().unwrap_or_else(|error| panic!("{error}"));
}

/// The controller answers, and does not say that it is dead.
fn identifies(driver: &mut Driver<'_, Verilated>) {
    let entry = identify_entry(cns::CONTROLLER, 0);
    let (completion, _) = driver.admin_data(entry, IDENTIFY_BYTES as usize).unwrap_or_else(|error| panic!("{error}"));
    assert!(completion.status.is_success(), "{:?}", completion.status);
    assert_eq!(csts::CFS.get32(driver.csts()), 0);
}

type Told = Vec<(&'static Kind, [u64; 3])>;

/// What a hart has told.
fn told(device: &mut Verilated, hart: u32) -> Told {
    let ring = device.firmware_trace(hart).expect("firmware runs on processors");
    assert_eq!(ring.lost(), 0);
    ring.events().map(|event| (event.kind().expect("a kind that is known"), event.values())).collect()
}

/// What a hart tells whose process ends so.
fn story(code: &[u8], end: (&'static Kind, [u64; 3])) -> Told {
    vec![(&HART_STARTED, [0; 3]), (&PROCESS_STARTED, [0, VIRTUAL_BASE, code.len() as u64]), end]
}

/// The Verilated processors.
const TILES: CoresKind = CoresKind::Verilated(Start::Ready);

/// Clocks in which a process does something.
const CLOCKS: u32 = 100_000;

/// Runs until the process of a hart has its tables, and begins.
fn begins(device: &mut Verilated, hart: u32) {
    for _ in 0..100 {
        if told(device, hart).iter().any(|(kind, _)| *kind == &PROCESS_STARTED) {
            return;
        }
        device.step(CLOCKS / 100);
    }
    panic!("the process of hart {hart} does not begin");
}

/// A process that calls firmware, and processes that reach for the firmware's memory, for what is nowhere, and for an instruction that is none, on a hart
/// each: all is told, and the host is served.
fn neighbours(kind: CoresKind) {
    let Some(image) = image() else { return };
    let exit = call(EXIT);
    // The end of the first one is what two calls have returned: its number, and that there is no call 0; and one more, should time go back.
    let keep = Instruction { rs1: A0, rd: T0, ..Instruction::new(Op::Addi) };
    let sum = Instruction { rd: A0, rs1: A0, rs2: T0, ..Instruction::new(Op::Add) };
    let time = |rd| i(Op::Csrrs, rd, ZERO, number::TIME.into());
    let is_earlier = Instruction { rd: T1, rs1: T1, rs2: T0, ..Instruction::new(Op::Sltu) };
    let add = Instruction { rd: A0, rs1: A0, rs2: T1, ..Instruction::new(Op::Add) };
    let times = [time(T0), time(T1), is_earlier, add];
    let calls = code(&[&call(GETPID), &[keep], &call(0), &[sum], &times, &exit]);
    let firmware = code(&[&load_from(CODE.base), &exit]);
    let nowhere = code(&[&address(T0, NVME_FIRMWARE_PORT.base), &[i(Op::Sd, 0, T0, 0)], &exit]);
    let mut illegal = code(&[&[i(Op::Addi, T0, ZERO, 1)]]);
    illegal.extend([0; 4]);

    let pc = |instructions: u64| VIRTUAL_BASE + 4 * instructions;
    let status = process_number(2).wrapping_add(NO_SUCH_CALL) & 0xFF;
    let ends = [
        (&calls, (&PROCESS_ENDED, [0, status, 0])),
        (&firmware, (&PROCESS_TRAPPED, [LOAD_PAGE_FAULT, pc(3), CODE.base])),
        (&nowhere, (&PROCESS_TRAPPED, [STORE_PAGE_FAULT, pc(3), NVME_FIRMWARE_PORT.base])),
        (&illegal, (&PROCESS_TRAPPED, [ILLEGAL_INSTRUCTION, pc(1), 0])),
    ];
    let mut image = Image::clone(&image);
    for (hart, (code, _)) in (2..).zip(&ends) {
        image = image.with_program(hart, code).unwrap();
    }
    let mut device = device(image, HARTS_MAX, kind);
    serves(&mut device);
    device.step(CLOCKS);
    assert_eq!(told(&mut device, 0), [(&HART_STARTED, [0; 3]), (&SERVING, [0; 3])]);
    assert_eq!(told(&mut device, 1), [(&HART_STARTED, [0; 3])]);
    for (hart, (code, end)) in (2..).zip(ends) {
        assert_eq!(told(&mut device, hart), story(code, end), "hart {hart}");
    }
    assert_eq!(device.firmware_record(), None);
    serves(&mut device);
}

#[test]
fn processes_call_firmware_and_end_alone() {
    neighbours(CoresKind::Simulated);
}

#[test]
fn processes_on_tiles_call_firmware_and_end_alone() {
    neighbours(TILES);
}

/// A process whose page table is wrong, and shows it the stacks of others, is stopped by the protection: another wall behind the first one.
#[test]
fn a_wrong_page_table_opens_nothing_of_others() {
    wrong_page_table(CoresKind::Simulated);
}

#[test]
fn a_wrong_page_table_on_tiles_opens_nothing_of_others() {
    wrong_page_table(TILES);
}

fn wrong_page_table(kind: CoresKind) {
    let Some(image) = image() else { return };
    let page = VIRTUAL_BASE + 2 * PAGE_BYTES;
    let load = i(Op::Ld, T1, T0, 0);
    let store = i(Op::Sd, 0, T0, 0);
    let places = [stack(0).base, MONITOR.base, CODE.base, slot(3).unwrap().base, trace::ring(0).base];
    for (place, access, cause) in [
        (places[0], load, LOAD_ACCESS_FAULT),
        (places[1], load, LOAD_ACCESS_FAULT),
        (places[2], store, STORE_ACCESS_FAULT),
        (places[3], store, STORE_ACCESS_FAULT),
        (places[4], store, STORE_ACCESS_FAULT),
    ] {
        let program = code(&[&wait(), &address(T0, page), &[access], &call(EXIT)]);
        let mut device = device(Image::clone(&image).with_program(2, &program).unwrap(), 3, kind);
        begins(&mut device, 2);
        // The tables of the levels 2 and 1 come before that of the pages.
        let last = tables_at(&slot(2).unwrap()) + 2 * PAGE_BYTES + 8 * (page / PAGE_BYTES);
        device.write_firmware_memory(last, &entry(place, R | W | U | AD).to_le_bytes());
        device.write_firmware_memory(flag(2), &[1]);
        device.step(CLOCKS);
        let end = (&PROCESS_TRAPPED, [cause, VIRTUAL_BASE + 4 * 8, page]);
        assert_eq!(told(&mut device, 2), story(&program, end), "{place:#x}");
        serves(&mut device);
    }
}

/// Firmware that traps on a hart for containers stops that hart, leaves a record, and does not disturb the controller.
#[test]
fn firmware_that_stops_on_one_hart_takes_no_neighbour_down() {
    firmware_stops(CoresKind::Simulated);
}

#[test]
fn firmware_that_stops_on_one_tile_takes_no_neighbour_down() {
    firmware_stops(TILES);
}

fn firmware_stops(kind: CoresKind) {
    let Some(image) = image() else { return };
    let (_, call_range) = image.functions().find(|(name, _)| name.contains("system_call")).expect("it is there");
    let program = code(&[&wait(), &call(GETPID), &wait(), &call(EXIT)]);
    let other = code(&[&wait(), &call(EXIT)]);
    let with_programs = Image::clone(&image).with_program(2, &program).and_then(|image| image.with_program(3, &other));
    let mut device = device(with_programs.unwrap(), 4, kind);
    [2, 3].iter().for_each(|hart| begins(&mut device, *hart));
    let before = device.read_firmware_memory(call_range.start, 4).expect("it runs on processors");
    device.write_firmware_memory(call_range.start, &[0; 4]);
    let mut driver = Driver::new(&mut device, sim_host::Options { io_queues: 1, ..Default::default() });
    driver.bring_up().unwrap_or_else(|error| panic!("{error}"));
    driver.device().write_firmware_memory(flag(2), &[1]);
    driver.device().step(CLOCKS);
    identifies(&mut driver);
    driver.disable().unwrap_or_else(|error| panic!("{error}"));
    let record = device.firmware_record().expect("there is a record");
    assert_eq!((record.kind.get(), record.hart.get(), record.pc.get()), (TRAP, 2, call_range.start));
    assert_eq!(record.cause.get(), ILLEGAL_INSTRUCTION);
    // `a7` of the process is in the registers, not what the trap was told with.
    assert_eq!(record.registers[usize::from(A7) - 1].get(), GETPID);
    let stopped = (&HART_STOPPED, [ILLEGAL_INSTRUCTION, call_range.start, 0]);
    assert_eq!(told(&mut device, 2), story(&program, stopped));
    let said = String::from_utf8_lossy(&device.take_console()).into_owned();
    assert!(said.contains("hart 2 has stopped: trap: illegal instruction"), "{said}");
    serves(&mut device);
    // Its neighbour calls the same function, which is whole again.
    device.write_firmware_memory(call_range.start, &before);
    device.write_firmware_memory(flag(3), &[1]);
    device.step(CLOCKS);
    assert_eq!(told(&mut device, 3), story(&other, (&PROCESS_ENDED, [0, 0, 0])));
}

/// What does not fit a hart is refused before it is loaded, and a program without code traps at once.
#[test]
fn programs_have_a_hart_and_code() {
    let Some(image) = image() else { return };
    assert!(Image::clone(&image).with_program(0, &[]).unwrap_err().to_string().contains("2, 3, 4, 5"));
    assert!(Image::clone(&image).with_program(HARTS_MAX, &[]).is_err());
    assert!(Image::clone(&image).with_program(2, &vec![0; 1 << 20]).unwrap_err().to_string().contains("room"));
    // A program without code: the first page is of variables, and cannot be executed.
    let mut device = device(Image::clone(&image).with_program(2, &[]).unwrap(), 3, CoresKind::Simulated);
    let end = (&PROCESS_TRAPPED, [INSTRUCTION_PAGE_FAULT, VIRTUAL_BASE, VIRTUAL_BASE]);
    assert_eq!(told(&mut device, 2), story(&[], end));
    serves(&mut device);
}

#[test]
fn a_system_call_is_one_short_trap() {
    let Some(image) = image() else { return };
    for kind in [CoresKind::Simulated, TILES] {
        let clocks = system_call_clocks(&image, kind).unwrap_or_else(|error| panic!("{error}"));
        eprintln!("syscall_cycles: {clocks} core clocks on {kind:?}");
        assert!(clocks <= SYSTEM_CALL_CLOCKS_MAX && clocks > 20, "{clocks} clocks on {kind:?}");
    }
}
