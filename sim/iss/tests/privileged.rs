//! Modes, traps, translation and protection, as programs meet them. The RISC-V Instruction Set Manual, Volume II.

mod common;

use common::{i, n, s, Machine, BASE, DATA};
use proptest::prelude::*;
use sim_iss::{interrupt, number, Cause, Hart, Instruction, MemoryBus, Mode, Op, Stop};

/// Where handlers lie.
const M_HANDLER: u64 = BASE + 0x4000;
const S_HANDLER: u64 = BASE + 0x5000;
/// The page table: one of 1 GiB maps memory to the same addresses, and one of 4 KiB at [`VIRTUAL`] the page at [`PAGE`].
const TABLES: u64 = BASE + 0x8000;
const VIRTUAL: u64 = 0x4000_0000;
const PAGE: u64 = DATA;

const V: u64 = 1;
const RWX: u64 = 0b1110;
const U: u64 = 1 << 4;
const AD: u64 = 0b1100_0000;

fn csr(op: Op, rd: u8, rs1: u8, number: u16) -> Instruction {
    Instruction { rd, rs1, immediate: number.into(), ..n(op) }
}

/// A machine whose hart is in `mode`, with handlers, and with all of memory open to all modes.
fn machine(mode: Mode, program: &[Instruction]) -> Machine {
    let mut machine = Machine::new(program);
    machine.hart.set_csr(number::MTVEC, M_HANDLER);
    machine.hart.set_csr(number::STVEC, S_HANDLER);
    machine.hart.set_csr(number::PMPADDR0, u64::MAX);
    machine.hart.set_csr(number::PMPCFG0, 0x1F);
    machine.hart.set_mode(mode);
    machine
}

/// The same under Sv39; the page at [`VIRTUAL`] has these permissions.
fn translated(mode: Mode, permissions: u64, program: &[Instruction]) -> Machine {
    let mut machine = machine(mode, program);
    let user = if mode == Mode::User { U } else { 0 };
    machine.put(TABLES + 8 * (BASE >> 30), (BASE >> 12 << 10 | V | RWX | AD | user).to_le_bytes());
    machine.put(TABLES + 8 * (VIRTUAL >> 30), ((TABLES + 0x1000) >> 12 << 10 | V).to_le_bytes());
    machine.put(TABLES + 0x1000, ((TABLES + 0x2000) >> 12 << 10 | V).to_le_bytes());
    machine.put(TABLES + 0x2000, (PAGE >> 12 << 10 | permissions).to_le_bytes());
    machine.hart.set_csr(number::SATP, 8 << 60 | TABLES >> 12);
    machine.hart.set_x(1, VIRTUAL);
    machine
}

#[track_caller]
fn assert_trapped(machine: &Machine, cause: Cause, value: u64, pc: u64) {
    let registers = [number::MCAUSE, number::MTVAL, number::MEPC].map(|number| machine.csr(number));
    assert_eq!(registers, [cause as u64, value, pc], "{cause:?}");
    assert_eq!((machine.hart.pc(), machine.hart.mode()), (M_HANDLER, Mode::Machine));
}

#[test]
fn calls_trap_by_their_mode_and_return() {
    for (mode, cause) in
        [(Mode::User, Cause::UserCall), (Mode::Supervisor, Cause::SupervisorCall), (Mode::Machine, Cause::MachineCall)]
    {
        let mut machine = machine(mode, &[n(Op::Ecall)]);
        machine.put_program(M_HANDLER, &[n(Op::Mret)]);
        machine.run(1);
        assert_trapped(&machine, cause, 0, BASE);
        machine.run(1);
        assert_eq!((machine.hart.pc(), machine.hart.mode()), (BASE, mode));
    }
}

#[test]
fn a_delegated_call_is_one_trap_to_s() {
    let mut machine = machine(Mode::User, &[n(Op::Ecall), n(Op::Ebreak)]);
    machine.hart.set_csr(number::MEDELEG, 1 << Cause::UserCall as u64);
    let add = [csr(Op::Csrrs, 5, 0, number::SEPC), i(Op::Addi, 5, 5, 4), csr(Op::Csrrw, 0, 5, number::SEPC)];
    machine.put_program(S_HANDLER, &[&add[..], &[n(Op::Sret)]].concat());
    machine.run(1);
    assert_eq!((machine.hart.pc(), machine.hart.mode()), (S_HANDLER, Mode::Supervisor));
    assert_eq!((machine.csr(number::SCAUSE), machine.csr(number::MCAUSE)), (8, 0));
    machine.run(4);
    assert_eq!((machine.hart.pc(), machine.hart.mode()), (BASE + 4, Mode::User));
    machine.run(1);
    assert_trapped(&machine, Cause::Breakpoint, 0, BASE + 4);
}

#[test]
fn what_a_mode_may_not_do_is_illegal() {
    use Mode::{Supervisor, User};
    const TVM: u64 = 1 << 20;
    const TW: u64 = 1 << 21;
    const TSR: u64 = 1 << 22;
    for (mode, status, instruction, legal) in [
        (User, 0, n(Op::Mret), false),
        (Supervisor, 0, n(Op::Mret), false),
        (User, 0, n(Op::Sret), false),
        (Supervisor, 0, n(Op::Sret), true),
        (Supervisor, TSR, n(Op::Sret), false),
        (User, 0, n(Op::Wfi), false),
        (Supervisor, 0, n(Op::Wfi), true),
        (Supervisor, TW, n(Op::Wfi), false),
        (User, 0, n(Op::SfenceVma), false),
        (Supervisor, 0, n(Op::SfenceVma), true),
        (Supervisor, TVM, n(Op::SfenceVma), false),
        (Supervisor, TVM, csr(Op::Csrrs, 1, 0, number::SATP), false),
        (Supervisor, 0, csr(Op::Csrrs, 1, 0, number::SATP), true),
        (Supervisor, 0, csr(Op::Csrrs, 1, 0, number::MSTATUS), false),
        (User, 0, csr(Op::Csrrs, 1, 0, number::SSTATUS), false),
        (User, 0, csr(Op::Csrrs, 1, 0, number::CYCLE), false),
        (Supervisor, 0, csr(Op::Csrrs, 1, 0, 0x5C0), false),
    ] {
        let mut machine = machine(mode, &[instruction]);
        machine.hart.set_csr(number::MSTATUS, status);
        machine.run(1);
        if legal {
            assert_eq!(machine.csr(number::MCAUSE), 0, "{instruction:?} in {mode:?}");
        } else {
            assert_trapped(&machine, Cause::IllegalInstruction, sim_iss::encode(&instruction).into(), BASE);
        }
    }
}

#[test]
fn illegal_instructions_show_themselves() {
    let mut machine = machine(Mode::User, &[]);
    machine.put(BASE, [0; 4]);
    machine.run(1);
    assert_trapped(&machine, Cause::IllegalInstruction, 0, BASE);
    machine.put(BASE + 4, 0xFFFF_FFFFu32.to_le_bytes());
    machine.hart.set_pc(BASE + 4);
    machine.run(1);
    assert_trapped(&machine, Cause::IllegalInstruction, 0xFFFF_FFFF, BASE + 4);
    machine.put(BASE + 8, [0x02, 0x80, 0xFF, 0xFF]); // c.jr x0
    machine.hart.set_pc(BASE + 8);
    machine.run(1);
    assert_trapped(&machine, Cause::IllegalInstruction, 0x8002, BASE + 8);
    // A trapped instruction does not retire.
    assert_eq!((machine.csr(number::MINSTRET), machine.csr(number::MCYCLE)), (0, 3));
}

#[test]
fn time_is_the_platforms_or_an_illegal_instruction() {
    let mut machine = machine(Mode::Machine, &[csr(Op::Csrrs, 1, 0, number::TIME); 2]);
    machine.bus.time = Some(77);
    machine.run(1);
    assert_eq!(machine.hart.x(1), 77);
    machine.bus.time = None;
    machine.run(1);
    assert_eq!(machine.csr(number::MCAUSE), Cause::IllegalInstruction as u64);
}

#[test]
fn interrupts_wake_and_are_taken_when_enabled() {
    let mut machine = machine(Mode::Machine, &[n(Op::Wfi), i(Op::Addi, 3, 3, 1), i(Op::Addi, 3, 3, 1)]);
    machine.hart.set_csr(number::MIE, interrupt::MTI);
    assert_eq!(machine.hart.run(&mut machine.bus, 10), Stop::Waiting);
    machine.hart.set_interrupts(interrupt::MSI);
    assert_eq!(machine.hart.run(&mut machine.bus, 10), Stop::Waiting, "not enabled in mie");
    assert_eq!((machine.hart.pc(), machine.hart.steps()), (BASE + 4, 1));
    machine.hart.set_interrupts(interrupt::MTI);
    assert_eq!(machine.hart.run(&mut machine.bus, 1), Stop::Limit, "MIE is off: it goes on without a trap");
    assert_eq!((machine.hart.pc(), machine.hart.x(3)), (BASE + 8, 1));
    machine.hart.set_csr(number::MTVEC, M_HANDLER | 1);
    machine.put_program(M_HANDLER + 4 * 7, &[n(Op::Mret)]);
    machine.hart.set_csr(number::MSTATUS, 1 << 3 | 3 << 11);
    machine.hart.run(&mut machine.bus, 1);
    // The handler's first instruction returns, with the interrupt still pending.
    assert_eq!(machine.csr(number::MCAUSE), 1 << 63 | 7);
    assert_eq!((machine.csr(number::MEPC), machine.hart.pc()), (BASE + 8, BASE + 8));
    machine.hart.set_interrupts(0);
    machine.run(1);
    assert_eq!(machine.hart.x(3), 2);
}

/// An interrupt that an instruction enables is taken before the next one.
#[test]
fn enabling_takes_effect_at_once() {
    let mut machine =
        machine(Mode::Machine, &[csr(Op::Csrrsi, 0, 8, number::MSTATUS), i(Op::Addi, 3, 3, 1), i(Op::Addi, 3, 3, 1)]);
    machine.put_program(M_HANDLER, &[i(Op::Addi, 0, 0, 0)]);
    machine.hart.set_csr(number::MIE, interrupt::MEI);
    machine.hart.set_interrupts(interrupt::MEI);
    machine.run(1);
    assert_eq!(machine.csr(number::MCAUSE), 0);
    machine.run(1);
    assert_eq!((machine.csr(number::MCAUSE), machine.csr(number::MEPC)), (1 << 63 | 11, BASE + 4));
    assert_eq!(machine.hart.x(3), 0);
}

#[test]
fn pages_are_translated_and_denied() {
    let access = [i(Op::Ld, 3, 1, 8), s(Op::Sd, 1, 3, 16), i(Op::Jalr, 0, 1, 0)];
    for mode in [Mode::User, Mode::Supervisor] {
        let user = if mode == Mode::User { U } else { 0 };
        let mut machine = translated(mode, V | RWX | AD | user, &access);
        machine.put(PAGE + 8, 77u64.to_le_bytes());
        machine.run(3);
        assert_eq!((machine.hart.x(3), machine.doubleword(PAGE + 16)), (77, 77));
        assert_eq!((machine.hart.pc(), machine.csr(number::MCAUSE)), (VIRTUAL, 0));

        // Without A, without D, of the other mode.
        for (permissions, cause, steps) in [
            (V | RWX | user, Cause::LoadPageFault, 1),
            (V | RWX | 1 << 6 | user, Cause::StorePageFault, 2),
            (V | RWX | AD | (user ^ U), Cause::LoadPageFault, 1),
        ] {
            let mut machine = translated(mode, permissions, &access);
            machine.run(steps);
            let value = VIRTUAL + 8 * steps;
            assert_trapped(&machine, cause, value, BASE + 4 * (steps - 1));
        }
        let mut machine = translated(mode, V | 0b110 | AD | user, &access);
        machine.run(4);
        assert_trapped(&machine, Cause::InstructionPageFault, VIRTUAL, VIRTUAL);
    }
}

/// What was translated is used until `sfence.vma`, which a program must carry out after a change.
#[test]
fn translations_are_renewed() {
    let program = [i(Op::Ld, 3, 1, 0), s(Op::Sd, 2, 0, 0), n(Op::SfenceVma), i(Op::Ld, 4, 1, 0)];
    let mut machine = translated(Mode::Supervisor, V | RWX | AD, &program);
    machine.hart.set_x(2, TABLES + 0x2000);
    machine.run(4);
    assert_trapped(&machine, Cause::LoadPageFault, VIRTUAL, BASE + 12);
}

/// SUM, MXR and MPRV, each turned on and off by the program between two loads.
#[test]
fn status_bits_change_what_loads_see() {
    let load = i(Op::Ld, 3, 1, 0);
    let (set, clear) = (csr(Op::Csrrs, 0, 2, number::SSTATUS), csr(Op::Csrrc, 0, 2, number::SSTATUS));
    for (permissions, bit) in [(V | RWX | AD | U, 1 << 18), (V | 1 << 3 | AD, 1 << 19)] {
        let mut machine = translated(Mode::Supervisor, permissions, &[set, load, clear, load]);
        machine.hart.set_x(2, bit);
        machine.run(3);
        assert_eq!(machine.csr(number::MCAUSE), 0, "{bit:#x}");
        machine.run(1);
        assert_trapped(&machine, Cause::LoadPageFault, VIRTUAL, BASE + 12);
    }
    // M loads as S with MPRV, and stores as itself without.
    let (set, clear) = (csr(Op::Csrrs, 0, 2, number::MSTATUS), csr(Op::Csrrc, 0, 2, number::MSTATUS));
    let mut machine = translated(Mode::Machine, V | RWX | AD, &[set, load, clear, load]);
    machine.put(PAGE, 5u64.to_le_bytes());
    machine.hart.set_csr(number::MSTATUS, 1 << 11);
    machine.hart.set_x(2, 1 << 17);
    machine.run(3);
    assert_eq!((machine.hart.x(3), machine.csr(number::MCAUSE)), (5, 0));
    machine.run(1);
    assert_trapped(&machine, Cause::LoadAccessFault, VIRTUAL, BASE + 12);
}

/// As the tile has it, the page counts before the alignment, and where there are effects a misaligned access is an access fault.
#[test]
fn alignment_comes_last() {
    let load = i(Op::Ld, 3, 1, 4);
    for (permissions, cause) in [(V | RWX | AD, Cause::LoadAddressMisaligned), (V | 1 << 3 | AD, Cause::LoadPageFault)]
    {
        let mut machine = translated(Mode::Supervisor, permissions, &[load]);
        machine.run(1);
        assert_trapped(&machine, cause, VIRTUAL + 4, BASE);
    }
    let mut machine = machine(Mode::Machine, &[load]);
    machine.hart.set_x(1, common::DEVICE);
    machine.run(1);
    assert_trapped(&machine, Cause::LoadAccessFault, common::DEVICE + 4, BASE);
    assert_eq!(machine.bus.device_reads, 0);
}

/// Where nothing answers, each kind of access is an access fault of its own, in every mode, and the hart goes on in its handler.
#[test]
fn accesses_outside_of_the_map_trap() {
    const OUTSIDE: u64 = 0x2000_0000;
    for mode in [Mode::User, Mode::Supervisor, Mode::Machine] {
        for (instruction, cause, pc) in [
            (i(Op::Ld, 3, 1, 0), Cause::LoadAccessFault, BASE),
            (s(Op::Sd, 1, 3, 0), Cause::StoreAccessFault, BASE),
            (Instruction { rs1: 1, ..n(Op::AmoaddD) }, Cause::StoreAccessFault, BASE),
            (Instruction { rs1: 1, ..n(Op::LrW) }, Cause::LoadAccessFault, BASE),
            (i(Op::Jalr, 0, 1, 0), Cause::InstructionAccessFault, OUTSIDE),
        ] {
            let mut machine = machine(mode, &[instruction]);
            machine.put_program(M_HANDLER, &[i(Op::Addi, 4, 0, 1)]);
            machine.hart.set_x(1, OUTSIDE);
            machine.run(if pc == OUTSIDE { 2 } else { 1 });
            assert_trapped(&machine, cause, OUTSIDE, pc);
            machine.run(1);
            assert_eq!(machine.hart.x(4), 1);
        }
    }
}

/// One step at a time takes no interrupt unless it is asked to, and tells what trapped.
#[test]
fn a_step_tells_what_trapped_and_leaves_interrupts() {
    let mut machine = machine(Mode::Machine, &[n(Op::Wfi), n(Op::Ecall)]);
    machine.hart.set_csr(number::MIE, interrupt::MTI);
    machine.hart.set_csr(number::MSTATUS, 1 << 3);
    machine.hart.set_interrupts(interrupt::MTI);
    assert_eq!(machine.hart.step(&mut machine.bus), Ok(()));
    assert_eq!(machine.hart.pc(), BASE + 4);
    let call = machine.hart.step(&mut machine.bus).unwrap_err();
    assert_eq!((call.cause, machine.hart.pc()), (Cause::MachineCall, M_HANDLER));
    assert_eq!(machine.hart.take_interrupt(), None, "the handler has turned them off");
    machine.hart.set_csr(number::MSTATUS, 1 << 3);
    assert_eq!(machine.hart.take_interrupt(), Some(1 << 63 | 7));
    assert_eq!(machine.csr(number::MEPC), M_HANDLER);
}

/// Protection inside of a page: each access is checked, loads, stores and fetches.
#[test]
fn protection_is_finer_than_pages() {
    let program = [i(Op::Ld, 3, 1, 0), i(Op::Ld, 3, 1, 8), s(Op::Sd, 1, 3, 0)];
    let mut machine = machine(Mode::User, &program);
    machine.hart.set_x(1, DATA);
    // The doubleword at DATA can be read, the one behind it nothing, and the program's page ends after three instructions.
    for (region, address) in [DATA, DATA + 8, 0, BASE + 12].into_iter().enumerate() {
        machine.hart.set_csr(number::PMPADDR0 + region as u16, address >> 2);
    }
    machine.hart.set_csr(number::PMPCFG0, u64::from_le_bytes([0x19, 0x18, 0, 0x0F, 0, 0, 0, 0]));
    for (step, cause, value) in [
        (0, None, 0),
        (1, Some(Cause::LoadAccessFault), DATA + 8),
        (2, Some(Cause::StoreAccessFault), DATA),
        (3, Some(Cause::InstructionAccessFault), BASE + 12),
    ] {
        machine.hart.set_csr(number::MCAUSE, 0);
        machine.hart.set_mode(Mode::User);
        machine.hart.set_pc(BASE + 4 * step);
        machine.run(1);
        match cause {
            None => assert_eq!(machine.csr(number::MCAUSE), 0),
            Some(cause) => assert_trapped(&machine, cause, value, BASE + 4 * step),
        }
    }
}

/// The second half of an instruction may be in a page that is not there; the fault tells its address.
#[test]
fn a_fault_in_the_second_half_has_its_own_address() {
    let mut machine = translated(Mode::Supervisor, V | RWX | AD, &[]);
    machine.put(PAGE + 0xFFE, [0x13, 0]);
    machine.hart.set_pc(VIRTUAL + 0xFFE);
    machine.run(1);
    assert_trapped(&machine, Cause::InstructionPageFault, VIRTUAL + 0x1000, VIRTUAL + 0xFFE);
}

/// Harts in lock-step: each adds to one counter, by an atomic and under `lr` and `sc`.
#[test]
fn harts_share_memory() {
    const HARTS: usize = 6;
    const ROUNDS: u64 = 100;
    let r = |op, rd, rs1, rs2| Instruction { rd, rs1, rs2, ..n(op) };
    let program = [
        r(Op::AmoaddD, 0, 1, 2),
        r(Op::LrD, 4, 3, 0),
        i(Op::Addi, 4, 4, 1),
        r(Op::ScD, 5, 3, 4),
        s(Op::Bne, 5, 0, -12),
        i(Op::Addi, 6, 6, -1),
        s(Op::Bne, 6, 0, -24),
        n(Op::Wfi),
    ];
    let mut bus = MemoryBus::new(BASE, 0x2_0000);
    for (at, instruction) in (BASE..).step_by(4).zip(&program) {
        bus.bytes_mut(at, 4).copy_from_slice(&sim_iss::encode(instruction).to_le_bytes());
    }
    let config = |hart| sim_iss::Config { hart, reset_pc: BASE, physical_bits: 32 };
    let mut harts: Vec<_> = (0..HARTS).map(|hart| Hart::new(&config(hart))).collect();
    for hart in &mut harts {
        for (register, value) in [(1, DATA), (2, 1), (3, DATA + 64), (6, ROUNDS)] {
            hart.set_x(register, value);
        }
    }
    let mut failed = 0;
    // A round has seven instructions, and of six that try, one succeeds.
    for _ in 0..ROUNDS * 7 * HARTS as u64 {
        for hart in &mut harts {
            hart.run(&mut bus, 1);
            failed += hart.x(5);
        }
    }
    assert!(harts.iter_mut().all(|hart| hart.run(&mut bus, 1) == Stop::Waiting));
    for counter in [DATA, DATA + 64] {
        let value = u64::from_le_bytes(bus.bytes_mut(counter, 8).try_into().expect("8 bytes"));
        assert_eq!(value, ROUNDS * HARTS as u64);
    }
    assert!(failed > 0, "no store conditional met another hart");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever lies in memory, and in whatever mode: the hart makes its steps, one by one or many together, with the same end.
    #[test]
    fn any_program_runs_and_steps_make_no_difference(
        words in prop::collection::vec(any::<u32>(), 64),
        registers in prop::array::uniform32(0u64..0x400),
        mode in prop::sample::select(vec![Mode::User, Mode::Supervisor, Mode::Machine]),
    ) {
        let ends = [1, 7, 200].map(|steps| {
            let mut machine = machine(mode, &[]);
            for (at, word) in (BASE..).step_by(4).zip(&words) {
                machine.put(at, word.to_le_bytes());
                machine.put(at + (M_HANDLER - BASE), word.rotate_left(7).to_le_bytes());
            }
            machine.hart.set_csr(number::MSTATUS, 3 << 13);
            for (register, value) in registers.iter().enumerate() {
                machine.hart.set_x(register, DATA + value);
            }
            while machine.hart.steps() < 1400 {
                let left = 1400 - machine.hart.steps();
                if machine.hart.run(&mut machine.bus, left.min(steps)) == Stop::Waiting {
                    break;
                }
            }
            let csrs = [number::MEPC, number::MCAUSE, number::MTVAL, number::MSTATUS, number::FCSR, number::MINSTRET];
            let csrs = csrs.map(|number| machine.csr(number));
            (std::array::from_fn::<_, 32, _>(|register| machine.hart.x(register)), machine.hart.pc(), csrs)
        });
        prop_assert_eq!(ends[0], ends[1]);
        prop_assert_eq!(ends[0], ends[2]);
    }
}
