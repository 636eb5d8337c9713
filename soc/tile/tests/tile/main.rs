//! The tile of Rocket Chip, taken from its package, Verilated, runs programs of a few instructions.

mod assembler;

use assembler::*;
use rtl_hdl::elaborate;
use sim_tile::{texts, Bench, Stalls, MODEL, NOTHING};
use sim_toolchain::Toolchain;
use sim_verilator::{Library, ModelSpec, Reset};
use soc_map::rocket::{CACHED, CACHE_BYTES, CLINT, LINE_BYTES, UNCACHED};
use soc_tile::verilog::{Edits, Source};
use soc_tile::{RocketTile, Texts, Tile, HART_BITS};
use std::sync::OnceLock;

const SEED: u64 = 0x711E;

/// The texts of the package; nothing, with a line that says so, where it cannot be had.
fn package() -> Option<sim_toolchain::Rocket> {
    match Toolchain::from_env().rocket() {
        Ok(rocket) => Some(rocket),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: the tile of Rocket Chip. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The Verilated tile.
fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    let load = || match sim_tile::library() {
        Ok(library) => Some(library),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: the Verilated tile. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    };
    LIBRARY.get_or_init(load).as_ref()
}

/// A tile that has this number and program.
fn bench(hart: u64, program: &[u32], stalls: Stalls) -> Option<Bench> {
    Some(Bench::new(library()?.model_with(MODEL, Reset::Seed(SEED as u32)), hart, program, stalls, SEED))
}

const NO_STALLS: Stalls = Stalls { takes: 0, answers: 0 };
const STALLS: [Stalls; 4] =
    [NO_STALLS, Stalls { takes: 8, answers: 0 }, Stalls { takes: 0, answers: 8 }, Stalls { takes: 12, answers: 12 }];

/// Puts the base of the registers into `T0`, and that of the memory into `T1`.
fn bases() -> Vec<u32> {
    assert_eq!(CACHED.base, 1 << 31);
    vec![lui(T0, UNCACHED.base), addi(T1, ZERO, 1), slli(T1, T1, 31)]
}

/// Stays where it is.
const STOP: fn() -> u32 = || j(0);

#[test]
fn the_package_is_read_and_written_as_it_is() {
    let Some(rocket) = package() else { return };
    for (file, text) in [("modules", &rocket.modules), ("memories", &rocket.memories)] {
        let source = Source::read(file, text).unwrap_or_else(|error| panic!("{error}"));
        assert!(source.write_all(&Edits::default()) == *text, "{file}");
    }
}

/// The numbers are those of this version.
#[test]
fn the_tile_is_cut_out_and_widened_in_every_place() {
    let Some(rocket) = package() else { return };
    let tile = RocketTile::read(texts(&rocket)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tile.module_count(), 73);
    let source = Source::read("tile", tile.verilog()).unwrap_or_else(|error| panic!("{error}"));
    assert!(source.modules().iter().all(|module| source.token(module.name).starts_with("rocket_")));
    let lines = |text: &str| tile.verilog().lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("[1:0]  auto_hartid_in") + lines("[1:0]  io_hartid"), 0);
    assert_eq!(lines("[2:0]  auto_hartid_in") + lines("[2:0]  io_hartid"), 3);
    let design = elaborate(&Tile::new(tile)).unwrap_or_else(|problems| panic!("{problems}"));
    let licences = rtl_hdl::licences(&design);
    let names: Vec<&str> = licences.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["LICENSE.rocket", "NOTICE.rocket"]);
    assert!(licences[0].text == rocket.licence && licences[0].text.contains("Apache License"));
    assert!(licences[1].text.contains("The Regents of the University of California"));
    let spec = ModelSpec::of(&design);
    match sim_verilator::lint(&spec.verilog, &spec.top) {
        Err(error) if error.is_unavailable() => eprintln!("skipped: lint of the tile. {error}"),
        lint => lint.unwrap_or_else(|error| panic!("{error}")),
    }
}

/// Something else in the place of what is known is an error that says where.
#[test]
fn another_version_is_refused() {
    let Some(rocket) = package() else { return };
    let refused = |from: &str, to: &str| {
        assert!(rocket.modules.contains(from), "{from}");
        let modules = rocket.modules.replace(from, to);
        RocketTile::read(Texts { modules: &modules, ..texts(&rocket) }).unwrap_err().to_string()
    };
    let changes = [
        ("module RocketTile(", "module RocketTiles(", "no module `RocketTile`"),
        ("module CSRFile(", "module CSRFiles(", "no module `CSRFile`"),
        ("auto_wfi_out_0,", "auto_wfi_out_1,", "another version"),
        ("input  [1:0]  auto_hartid_in,", "input  [2:0]  auto_hartid_in,", "another version"),
        ("decoded_13 ? io_hartid : 2'h0", "decoded_13 ? io_hartid : 2'h1", "in the place of a zero"),
        ("{{62'd0}, _io_rw_rdata_T_13}", "{{62'd0}, ~_io_rw_rdata_T_13}", "not understood"),
        ("wire [1:0] csr_io_hartid;", "wire [2:0] csr_io_hartid;", "does not have 2 bits"),
        ("assign csr_io_hartid = io_hartid;", "assign csr_io_hartid = io_hartid + 2'h0;", "not understood"),
        ("core_io_hartid = broadcast_auto_out;", "core_io_hartid = broadcast_auto_out; case", "`case`"),
    ];
    for (from, to, message) in changes {
        let error = refused(from, to);
        assert!(error.contains(message) && error.starts_with("LitexFull4DConfig.v:"), "{to}: {error}");
    }
    // What is carried out of a traced tile is known as well.
    let modules = rocket.modules.replace("wire [63:0] rf_wdata", "wire [64:0] rf_wdata");
    let error = RocketTile::read_traced(Texts { modules: &modules, ..texts(&rocket) }).unwrap_err().to_string();
    assert!(error.contains("`rf_wdata` does not have 64 bits"), "{error}");
}

#[test]
fn every_hart_knows_its_number() {
    let mut program = bases();
    program.extend([csrr(A0, MHARTID), sd(A0, T0, 0), STOP()]);
    for hart in 0..1 << HART_BITS {
        let Some(mut bench) = bench(hart, &program, NO_STALLS) else { return };
        bench.run_until(2_000, |bench| !bench.written.is_empty());
        assert_eq!(bench.written, [(UNCACHED.base, hart)]);
    }
}

/// A line each, of twice as many lines as the data cache has, so that changed lines are given back.
const LINES: u64 = 2 * (CACHE_BYTES / LINE_BYTES) as u64;

/// Fills lines with squares, reads them again, and adds them up in a register and, by an atomic operation, in memory; then writes both sums. Does it
/// all `repeats` times.
fn checksum_program(repeats: i32) -> Vec<u32> {
    let mut program = bases();
    let (pointer, count, value, sum, end) = (T2, A0, A1, A2, A3);
    let lines = LINES as i32;
    let repeat = [addi(A4, ZERO, repeats)];
    let outer =
        [addi(sum, ZERO, 0), addi(pointer, T1, LINE_BYTES as i32), addi(count, ZERO, 0), addi(end, ZERO, lines)];
    let fill = [
        mul(value, count, count),
        sd(value, pointer, 0),
        addi(pointer, pointer, LINE_BYTES as i32),
        addi(count, count, 1),
        bne(count, end, -16),
    ];
    let read_from = [sd(ZERO, T1, 0), addi(pointer, T1, LINE_BYTES as i32), addi(count, ZERO, 0)];
    let read = [
        ld(value, pointer, 0),
        mul(sum, sum, end),
        add(sum, sum, value),
        amoadd_d(ZERO, value, T1),
        addi(pointer, pointer, LINE_BYTES as i32),
        addi(count, count, 1),
        bne(count, end, -24),
    ];
    let body = outer.len() + fill.len() + read_from.len() + read.len();
    let again = [addi(A4, A4, -1), bne(A4, ZERO, -4 * (body as i32 + 1))];
    let report = [ld(value, T1, 0), sd(sum, T0, 8), sd(value, T0, 16), STOP()];
    for part in [&repeat[..], &outer, &fill, &read_from, &read, &again, &report] {
        program.extend(part);
    }
    program
}

#[test]
fn loads_stores_and_atomics_compute_a_checksum_under_every_stall() {
    let sum = (0..LINES).fold(0u64, |sum, count| sum.wrapping_mul(LINES).wrapping_add(count * count));
    let total: u64 = (0..LINES).map(|count| count * count).sum();
    for stalls in STALLS {
        let Some(mut bench) = bench(0, &checksum_program(1), stalls) else { return };
        bench.run_until(2_000_000, |bench| bench.written.len() == 2);
        let base = UNCACHED.base;
        assert_eq!(bench.written, [(base + 8, sum), (base + 16, total)], "{stalls:?}, seed {SEED:#x}");
        let seen = bench.seen;
        assert!(seen.acquires > LINES && seen.releases > LINES / 2, "{seen:?} with {stalls:?}");
        assert_eq!(seen.acquires, seen.acknowledgements);
    }
}

/// TileLink, "ProbeAckData": who has changed a line gives it back, and asks for it again to go on.
#[test]
fn a_probe_takes_a_changed_line_back() {
    const T_TO_N: u8 = 1;
    const N_TO_N: u8 = 5;
    // Writes 1, 2, 3 and so on to one word of memory, and each also to a register.
    let mut program = bases();
    program.extend([addi(A0, ZERO, 0), addi(A0, A0, 1), sd(A0, T1, 8), ld(A1, T1, 8), sd(A1, T0, 0), j(-16)]);
    let Some(mut bench) = bench(0, &program, NO_STALLS) else { return };
    for _ in 0..3 {
        let (written, acquires) = (bench.written.len(), bench.seen.acquires);
        bench.run_until(2_000, |bench| bench.written.len() > written + 3);
        bench.take_back(CACHED.base);
        bench.run_until(2_000, |bench| bench.probed.len() == 8);
        assert!(bench.probed.iter().all(|(param, _)| *param == T_TO_N), "{:?}", bench.probed);
        assert!(bench.probed[1].1 >= written as u64 + 3, "{:?} after {:?}", bench.probed, bench.written);
        bench.probed.clear();
        bench.run_until(2_000, |bench| bench.seen.acquires > acquires);
    }
    // A line that the tile does not have.
    bench.take_back(CACHED.base + 0x1000);
    bench.run_until(2_000, |bench| !bench.probed.is_empty());
    assert_eq!(bench.probed, [(N_TO_N, 0)]);
    let expected: Vec<(u64, u64)> = (1..=bench.written.len() as u64).map(|count| (UNCACHED.base, count)).collect();
    assert_eq!(bench.written, expected);
}

/// An access of four bytes to the upper half of a beat, and one of two.
#[test]
fn registers_are_accessed_with_the_width_of_the_instruction() {
    let mut program = bases();
    program.extend([lw(A0, T0, 4), sd(A0, T0, 0), sh(A0, T0, 14), STOP()]);
    let Some(mut bench) = bench(0, &program, NO_STALLS) else { return };
    bench.run_until(2_000, |bench| bench.written.len() == 2);
    let upper = !(UNCACHED.base + 4) >> 32 & 0xFFFF_FFFF;
    let loaded = i64::from(upper as u32 as i32) as u64;
    assert_eq!(bench.written, [(UNCACHED.base, loaded), (UNCACHED.base + 14, loaded & 0xFFFF)]);
}

/// Writes the cause of a trap and what belongs to it to the registers; `body` runs before.
fn program_with_handler(body: &[u32]) -> Vec<u32> {
    let mut program = bases();
    let handler = 4 * (3 + body.len() as i32);
    program.extend([auipc(A0), addi(A0, A0, handler), csrw(MTVEC, A0)]);
    program.extend(body);
    program.extend([csrr(A0, MCAUSE), csrr(A1, MTVAL), sd(A0, T0, 8), sd(A1, T0, 16), STOP()]);
    program
}

/// RISC-V Privileged Architecture, "Machine Cause (mcause) Register".
const INSTRUCTION_ACCESS_FAULT: u64 = 1;
const LOAD_ACCESS_FAULT: u64 = 5;

/// What is in none of the tile's regions does not come to the bus.
#[test]
fn an_access_outside_of_the_map_traps() {
    let outside = CLINT.end();
    let program = program_with_handler(&[lui(A1, outside), ld(A2, A1, 0), sd(A2, T0, 0), STOP()]);
    let Some(mut bench) = bench(0, &program, NO_STALLS) else { return };
    bench.run_until(2_000, |bench| bench.written.len() == 2);
    assert_eq!(bench.written, [(UNCACHED.base + 8, LOAD_ACCESS_FAULT), (UNCACHED.base + 16, outside)]);
}

#[test]
fn a_denied_fetch_traps() {
    let program = program_with_handler(&[lui(A1, NOTHING), jr(A1), STOP()]);
    let Some(mut bench) = bench(0, &program, NO_STALLS) else { return };
    bench.run_until(2_000, |bench| bench.written.len() == 2);
    assert_eq!(bench.written, [(UNCACHED.base + 8, INSTRUCTION_ACCESS_FAULT), (UNCACHED.base + 16, NOTHING)]);
}

/// The tile has no bus error unit: it takes the data of a denied load as they come, and does not hear of a denied store. Whoever denies has to raise an interrupt.
#[test]
fn a_denied_load_or_store_does_not_trap() {
    let program = program_with_handler(&[lui(A1, NOTHING), sd(A1, A1, 0), ld(A2, A1, 0), sd(A2, T0, 0), STOP()]);
    let Some(mut bench) = bench(0, &program, NO_STALLS) else { return };
    bench.run_until(2_000, |bench| !bench.written.is_empty());
    bench.run(200);
    assert_eq!(bench.written, [(UNCACHED.base, 0)]);
}

/// RISC-V Privileged Architecture, "Machine Interrupt (mip and mie) Registers": each input sets its bit, and ends a `wfi`.
#[test]
fn interrupts_end_a_wait_and_are_told_apart() {
    const BITS: [(&str, u32); 4] = [("msip", 3), ("mtip", 7), ("seip", 9), ("meip", 11)];
    let mut program = bases();
    // No reset clears the bits of `mip` that software may write.
    program.extend([csrw(MIP, ZERO), addi(A0, ZERO, -1), csrw(MIE, A0), WFI, csrr(A1, MIP), sd(A1, T0, 0), j(-12)]);
    let Some(mut bench) = bench(0, &program, NO_STALLS) else { return };
    for (name, bit) in BITS {
        bench.run_until(2_000, Bench::waits);
        bench.run(200);
        assert_eq!(bench.written, [], "before {name}");
        bench.interrupt(name, true);
        bench.run_until(2_000, |bench| !bench.written.is_empty());
        bench.interrupt(name, false);
        assert_eq!(bench.written, [(UNCACHED.base, 1 << bit)], "{name}");
        // It may have gone round once more before the interrupt was gone.
        bench.run(200);
        assert!(bench.waits());
        bench.written.clear();
    }
}
