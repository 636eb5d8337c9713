//! The Verilated SoC apart from the device: harts that share memory, wake each other, notice that another has stopped, and write to the console.

use sim_cosim::{Error, Soc};
use sim_iss::{encode, interrupt, Instruction, MemoryBus, Op};
use sim_verilator::Toolchain;
use soc_map::counters::Event;
use soc_map::firmware::ENTRY;
use soc_map::rocket::{CLINT, LINE_BYTES, PLIC};
use soc_map::{
    clint, dma, plic, watchdog, COUNTERS, DMA, FIRMWARE, NVME_FIRMWARE_PORT, UART, WATCHDOG, WATCHDOG_INTERRUPT,
};

/// Where the harts meet: two words, each in a line of its own.
const SHARED: u64 = FIRMWARE.base + 0x1_0000;
const LINE: i32 = LINE_BYTES as i32;

/// How often each hart adds to the first word.
const ADDITIONS: i32 = 500;

/// Clocks that hart 0 lets hart 1 sleep for, at least.
const SLEEP: i32 = 1_000;

const CLOCKS_MAX: u64 = 400_000;

const ZERO: u8 = 0;
const T0: u8 = 5;
const T1: u8 = 6;
const T2: u8 = 7;
const A0: u8 = 10;

/// Ticks after which the watchdog barks at hart 0.
const PATIENCE: u64 = 100;

fn i(op: Op, rd: u8, rs1: u8, immediate: i32) -> Instruction {
    Instruction { rd, rs1, immediate, ..Instruction::new(op) }
}

fn store(op: Op, rs1: u8, rs2: u8, immediate: i32) -> Instruction {
    Instruction { rs1, rs2, immediate, ..Instruction::new(op) }
}

fn amoadd(rs1: u8, rs2: u8) -> Instruction {
    Instruction { rs1, rs2, ..Instruction::new(Op::AmoaddD) }
}

/// Waits until the word at an offset is not zero.
fn wait_for(offset: i32) -> [Instruction; 2] {
    [i(Op::Ld, T0, T1, offset), Instruction { rs1: T0, rs2: ZERO, immediate: -4, ..Instruction::new(Op::Beq) }]
}

fn count_down(from: i32, body: &[Instruction]) -> Vec<Instruction> {
    let mut program = vec![i(Op::Addi, T0, ZERO, from)];
    program.extend(body);
    program.push(i(Op::Addi, T0, T0, -1));
    let back = -4 * (body.len() as i32 + 1);
    program.push(Instruction { rs1: T0, rs2: ZERO, immediate: back, ..Instruction::new(Op::Bne) });
    program
}

/// Writes a character to the console.
fn say(character: u8) -> [Instruction; 3] {
    [
        i(Op::Lui, T0, 0, UART.base as i32),
        i(Op::Addi, T2, ZERO, character.into()),
        store(Op::Sw, T0, T2, soc_map::uart::TRANSMIT as i32),
    ]
}

/// Waits for interrupts that never come.
fn park() -> [Instruction; 3] {
    [i(Op::Csrrw, 0, ZERO, sim_iss::number::MIE.into()), Instruction::new(Op::Wfi), i(Op::Jal, ZERO, 0, -4)]
}

/// What hart 0 does, and what the other does.
fn apart(first: Vec<Instruction>, second: Vec<Instruction>) -> Vec<Instruction> {
    let skip = 4 * (first.len() as i32 + 1);
    let mut program = vec![Instruction { rs1: A0, rs2: ZERO, immediate: skip, ..Instruction::new(Op::Bne) }];
    program.extend(first);
    program.extend(second);
    program
}

/// Loads a number of 32 bits, or an address of as many.
fn load_number(rd: u8, number: u64) -> [Instruction; 4] {
    // The lower part is taken as a signed number.
    let low = (number as i32) << 20 >> 20;
    [
        i(Op::Lui, rd, 0, (number as i32).wrapping_sub(low)),
        i(Op::Addi, rd, rd, low),
        i(Op::Slli, rd, rd, 32),
        i(Op::Srli, rd, rd, 32),
    ]
}

/// Writes to a register.
fn write(register: u64, value: u64) -> Vec<Instruction> {
    [&load_number(T0, register)[..], &load_number(T2, value), &[store(Op::Sw, T0, T2, 0)]].concat()
}

/// Reads a register.
fn read(rd: u8, register: u64) -> Vec<Instruction> {
    [&load_number(T0, register)[..], &[i(Op::Lw, rd, T0, 0)]].concat()
}

/// Writes a number of one digit, from a register, to the console.
fn say_digit(register: u8) -> Vec<Instruction> {
    let digit = i(Op::Addi, T2, register, i32::from(b'0'));
    [&[digit], &load_number(T0, UART.base)[..], &[store(Op::Sw, T0, T2, soc_map::uart::TRANSMIT as i32)]].concat()
}

/// Hart 0 stops feeding, and hart 1 is told by the PLIC; it says which interrupt it was.
fn program_of_a_hart_that_stops() -> Vec<Instruction> {
    let first = [&write(WATCHDOG.base + u64::from(watchdog::TIMEOUT), PATIENCE)[..], &park()].concat();
    let context = plic::machine(1);
    let at = |offset: u32| PLIC.base + u64::from(offset);
    let second = [
        write(at(plic::PRIORITY + 4 * WATCHDOG_INTERRUPT), 1),
        write(at(plic::ENABLE + plic::ENABLE_STRIDE * context), 1 << WATCHDOG_INTERRUPT),
        load_number(T2, interrupt::MEI).to_vec(),
        vec![i(Op::Csrrw, 0, T2, sim_iss::number::MIE.into()), Instruction::new(Op::Wfi)],
        read(T1, at(plic::CLAIM + plic::CONTEXT_STRIDE * context)),
        say_digit(T1),
        park().to_vec(),
    ];
    apart(first, second.concat())
}

/// Hart 0 has a line copied that only its cache holds, onto another one that its cache holds; then onto one that no window allows. It says how both have
/// ended, what it finds, and how many lines were copied.
fn program_of_copies() -> Vec<Instruction> {
    let at = |offset: u32| DMA.base + u64::from(offset);
    let [source, destination] = [0, 1].map(|line| SHARED + LINE as u64 * line);
    let copy = |destination: u64| {
        let started = [
            write(at(dma::SOURCE), source),
            write(at(dma::DESTINATION), destination),
            write(at(dma::BYTES), LINE as u64),
            write(at(dma::CONTROL), dma::START.into()),
            load_number(T0, at(dma::STATUS)).to_vec(),
        ];
        let wait = [
            i(Op::Lw, T1, T0, 0),
            i(Op::Andi, T2, T1, dma::DONE as i32),
            Instruction { rs1: T2, rs2: ZERO, immediate: -8, ..Instruction::new(Op::Beq) },
            i(Op::Srli, T1, T1, dma::OUTCOME_SHIFT as i32),
        ];
        [&started.concat()[..], &wait, &say_digit(T1)].concat()
    };
    let first = [
        load_number(T0, SHARED).to_vec(),
        vec![i(Op::Addi, T2, ZERO, 7), store(Op::Sd, T0, T2, 0), store(Op::Sd, T0, ZERO, LINE)],
        write(at(dma::WINDOW_FIRST), source),
        write(at(dma::WINDOW_LAST), destination + LINE as u64 - 1),
        write(at(dma::WINDOW_ACCESS), (dma::READ | dma::WRITE).into()),
        copy(destination),
        read(T1, destination),
        say_digit(T1),
        copy(destination + LINE as u64),
        read(T1, COUNTERS.base + u64::from(Event::DmaLines.register())),
        say_digit(T1),
        park().to_vec(),
    ];
    apart(first.concat(), park().to_vec())
}

/// Hart 0 reads a register of a device that never answers, and hart 1 the console's. Each says that it goes on.
fn program_of_a_device_that_is_stuck() -> Vec<Instruction> {
    let first = [read(T1, NVME_FIRMWARE_PORT.base), say(b'A').to_vec(), park().to_vec()];
    let second = [read(T1, UART.base + u64::from(soc_map::uart::STATUS)), say(b'B').to_vec(), park().to_vec()];
    apart(first.concat(), second.concat())
}

/// Hart 0 writes to the console what comes from it.
fn program_of_an_echo() -> Vec<Instruction> {
    let back = |op, rs1, instructions: i32| Instruction {
        rs1,
        rs2: ZERO,
        immediate: -4 * instructions,
        ..Instruction::new(op)
    };
    let echo = [
        i(Op::Lw, T1, T0, soc_map::uart::RECEIVE as i32),
        back(Op::Blt, T1, 1),
        store(Op::Sw, T0, T1, soc_map::uart::TRANSMIT as i32),
        i(Op::Jal, ZERO, 0, -12),
    ];
    apart([&load_number(T0, UART.base)[..], &echo].concat(), park().to_vec())
}

/// Both harts add to a word, and then hart 0 wakes hart 1.
fn program_of_two_harts() -> Vec<Instruction> {
    let one = i(Op::Addi, T2, ZERO, 1);
    let mut program = vec![i(Op::Csrrw, 0, ZERO, sim_iss::number::MIP.into())];
    program.extend(load_number(T1, SHARED));
    program.push(one);
    program.extend(count_down(ADDITIONS, &[amoadd(T1, T2)]));
    let mut first = wait_for(LINE).to_vec();
    first.extend(count_down(SLEEP, &[]));
    first.extend(say(b'A'));
    // Nothing but the interrupt comes to hart 1 from here on.
    first.extend([one, i(Op::Lui, T0, 0, CLINT.base as i32), store(Op::Sw, T0, T2, clint::MSIP as i32 + 4)]);
    first.extend(park());

    let mut second = vec![
        i(Op::Addi, T0, ZERO, interrupt::MSI as i32),
        i(Op::Csrrw, 0, T0, sim_iss::number::MIE.into()),
        store(Op::Sd, T1, T2, LINE),
        Instruction::new(Op::Wfi),
    ];
    second.extend(say(b'B'));
    second.extend(park());
    program.extend(apart(first, second));
    program
}

/// The SoC with a program in its memory; nothing, with a line that says so, where it cannot be had.
fn soc(program: &[Instruction]) -> Option<Soc> {
    let mut memory = MemoryBus::new(FIRMWARE.base, FIRMWARE.bytes as usize);
    let program: Vec<u8> = program.iter().flat_map(|instruction| encode(instruction).to_le_bytes()).collect();
    memory.bytes_mut(ENTRY, program.len()).copy_from_slice(&program);
    match Soc::new(2, &mut memory, &Toolchain::from_env()) {
        Ok(soc) => Some(soc),
        Err(Error::Build(error)) if error.is_unavailable() => {
            eprintln!("skipped: the Verilated SoC. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Atomics of two harts are all done, a hart that sleeps is woken by the other, and memory is read through their caches.
#[test]
fn harts_share_memory_and_wake_each_other() {
    let Some(mut soc) = soc(&program_of_two_harts()) else { return };
    let (mut said, mut slept) = (vec![], 0);
    while said.len() < 2 {
        assert!(soc.clock() < CLOCKS_MAX, "after {CLOCKS_MAX} clocks: {said:?}");
        soc.step();
        slept += u64::from(soc.waits(1));
        said.extend(soc.take_console());
    }
    assert_eq!(said, b"AB", "hart 0 wakes hart 1");
    assert!(slept > SLEEP as u64, "hart 1 slept for {slept} clocks");
    let sum = soc.read(SHARED, 8);
    assert_eq!(sum, (2 * ADDITIONS as u64).to_le_bytes());
    for _ in 0..CLOCKS_MAX {
        if soc.is_asleep() {
            return;
        }
        soc.step();
    }
    panic!("both harts sleep in the end");
}

/// A hart that stops feeding is barked at, which another hart is told and can find out; and bitten, when nobody does anything about it.
#[test]
fn a_hart_that_stops_is_noticed_by_another_and_then_by_the_board() {
    let Some(mut soc) = soc(&program_of_a_hart_that_stops()) else { return };
    let patience = PATIENCE * u64::from(clint::CLOCKS_PER_TICK);
    let (mut said, mut bark) = (vec![], 0);
    while !soc.has_bitten() {
        assert!(soc.clock() < CLOCKS_MAX, "after {CLOCKS_MAX} clocks: {said:?}");
        soc.step();
        said.extend(soc.take_console());
        if said.is_empty() {
            bark = soc.clock();
        }
    }
    assert_eq!(said, format!("{WATCHDOG_INTERRUPT}").as_bytes());
    let passed = soc.clock() - bark;
    assert!((patience / 2..=patience).contains(&passed), "a bite {passed} clocks after hart 1 knew of the bark");
}

/// The DMA engine sees what the caches hold, and they see what it writes; what no window allows is refused.
#[test]
fn lines_are_copied_where_firmware_may_and_caches_see_it() {
    let Some(mut soc) = soc(&program_of_copies()) else { return };
    let mut said = vec![];
    while said.len() < 4 {
        assert!(soc.clock() < CLOCKS_MAX, "after {CLOCKS_MAX} clocks: {said:?}");
        soc.step();
        said.extend(soc.take_console());
    }
    let [good, forbidden] = [dma::Outcome::Good, dma::Outcome::DestinationForbidden].map(|outcome| outcome as u32);
    assert_eq!(String::from_utf8_lossy(&said), format!("{good}7{forbidden}1"));
    assert_eq!(soc.read(SHARED + 2 * LINE as u64, 8), [0; 8]);
}

/// Nothing is at the port of the device: who asks it is answered all the same, and so is who asks something else.
#[test]
fn a_device_that_is_stuck_holds_no_hart_up_for_ever() {
    let Some(mut soc) = soc(&program_of_a_device_that_is_stuck()) else { return };
    let mut said = vec![];
    while said.len() < 2 {
        assert!(soc.clock() < CLOCKS_MAX, "after {CLOCKS_MAX} clocks: {said:?}");
        soc.step();
        said.extend(soc.take_console());
    }
    said.sort_unstable();
    assert_eq!(said, b"AB");
}

#[test]
fn what_is_typed_comes_to_firmware() {
    let Some(mut soc) = soc(&program_of_an_echo()) else { return };
    soc.type_in(b"flash");
    let mut said = vec![];
    while said.len() < 5 {
        assert!(soc.clock() < CLOCKS_MAX, "after {CLOCKS_MAX} clocks: {said:?}");
        soc.step();
        said.extend(soc.take_console());
    }
    assert_eq!(said, b"flash");
}
