//! Runs a program on both, and finds where they differ.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};

use sim_guest::UserQemu;
use sim_iss::{number, Config, Hart, Instruction, MemoryBus, Op, Stop};

use crate::generator::{kind, Kind};
use crate::program::{elf, Image, Program, BASE, REGISTERS, SCRATCH_BYTES, STATE_BYTES};

/// QEMU did not run the program to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written, or the program not be started.
    #[error("cannot run the program on QEMU")]
    Io(#[from] std::io::Error),
    /// The program was ended, by a signal as a rule.
    #[error("QEMU ended the program with {status}: {messages}")]
    Ended {
        /// How.
        status: std::process::ExitStatus,
        /// What QEMU said.
        messages: String,
    },
    /// The two computed something else.
    #[error("the program ends with {simulator} in the simulator, and QEMU with {qemu:?}")]
    Sum {
        /// What QEMU ended with.
        qemu: Option<i32>,
        /// What the simulator's program ended with.
        simulator: i32,
    },
}

/// How often each instruction was carried out in the blocks.
#[derive(Clone, Debug, Default)]
pub struct Met {
    /// Those of 32 bits.
    pub plain: BTreeMap<Op, usize>,
    /// Those of 16 bits.
    pub compressed: BTreeMap<Kind, usize>,
}

/// Scratch memory and the registers after each block, as QEMU computes them.
///
/// # Errors
/// The program did not end as it should.
pub fn on_qemu(qemu: &UserQemu, program: &Program) -> Result<Vec<u8>, Error> {
    let output = output_on_qemu(qemu, &program.image().bytes)?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Ended { status: output.status, messages });
    }
    Ok(output.stdout)
}

/// What a program leaves that lies from [`BASE`] on.
///
/// # Errors
/// A file could not be written, or QEMU not be started.
pub fn output_on_qemu(qemu: &UserQemu, bytes: &[u8]) -> Result<Output, Error> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("program");
    fs::write(&path, elf(bytes))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(qemu.command().arg(&path).stdin(Stdio::null()).output()?)
}

/// The same from the simulator, and what it met.
///
/// # Panics
/// When the program does not reach its end.
pub fn on_simulator(program: &Program) -> (Vec<u8>, Met) {
    let Image { bytes, end, results, bodies } = program.image();
    let mut bus = MemoryBus::new(BASE, bytes.len());
    bus.bytes_mut(BASE, bytes.len()).copy_from_slice(&bytes);
    let mut hart = Hart::new(&Config { hart: 0, reset_pc: BASE, physical_bits: 32 });
    // Floating point is on for users under Linux.
    hart.set_csr(number::MSTATUS, 3 << 13);

    let instructions: BTreeMap<u64, &Instruction> = program
        .blocks
        .iter()
        .zip(&bodies)
        .flat_map(|(block, addresses)| {
            block.body.iter().scan(addresses.start, |address, instruction| {
                let here = *address;
                *address += u64::from(instruction.bytes);
                Some((here, instruction))
            })
        })
        .collect();
    let mut met = Met::default();
    // All jumps go forward.
    let steps_max = bytes.len();
    for _ in 0..steps_max {
        if hart.pc() == end {
            return (bus.bytes_mut(BASE + results as u64, bytes.len() - results).to_vec(), met);
        }
        if let Some(instruction) = instructions.get(&hart.pc()) {
            *match instruction.bytes {
                2 => met.compressed.entry(kind(instruction)).or_default(),
                _ => met.plain.entry(instruction.op).or_default(),
            } += 1;
        }
        assert_eq!(hart.run(&mut bus, 1), Stop::Limit);
    }
    panic!("at {:#x} after {steps_max} steps: {:?}", hart.pc(), hart.csr(number::MCAUSE));
}

/// The first block after which the two differ.
pub struct Difference(String);

impl Difference {
    /// Compares what QEMU and the simulator left.
    pub fn find(program: &Program, qemu: &[u8], simulator: &[u8]) -> Option<Self> {
        if qemu == simulator {
            return None;
        }
        // Writing to a string cannot fail.
        let mut text = String::new();
        if qemu.len() != simulator.len() {
            let _ = writeln!(text, "{} bytes from QEMU, {} from the simulator", qemu.len(), simulator.len());
            return Some(Self(text));
        }
        let states = |results: &[u8]| results[SCRATCH_BYTES..].chunks_exact(STATE_BYTES).map(registers).collect();
        let (qemu_states, simulator_states): (Vec<_>, Vec<_>) = (states(qemu), states(simulator));
        let Some(index) = (0..program.blocks.len()).find(|&index| qemu_states[index] != simulator_states[index]) else {
            let at = qemu.iter().zip(simulator).position(|(a, b)| a != b);
            let _ = writeln!(text, "scratch memory differs at byte {at:?}, and no register does");
            return Some(Self(text));
        };
        let block = &program.blocks[index];
        let _ = writeln!(text, "after block {index}:");
        for register in
            (0..REGISTERS).filter(|&register| qemu_states[index][register] != simulator_states[index][register])
        {
            let name = match register {
                0 => "fcsr".into(),
                1..32 => format!("x{register}"),
                _ => format!("f{}", register - 32),
            };
            let (expected, got) = (qemu_states[index][register], simulator_states[index][register]);
            let _ = writeln!(text, "  {name}: QEMU {expected:#018x}, simulator {got:#018x}");
        }
        for i in &block.body {
            let name = i.op.encoding().map_or("?", |row| row.name);
            let _ = write!(text, "  {name} rd={} rs1={} rs2={} rs3={}", i.rd, i.rs1, i.rs2, i.rs3);
            let _ = writeln!(text, " rm={} immediate={}", i.rounding, i.immediate);
        }
        for (register, value) in block.before.iter().enumerate() {
            let _ = write!(text, "{}{value:#018x}", if register % 4 == 0 { "\n  before: " } else { " " });
        }
        Some(Self(text))
    }
}

fn registers(state: &[u8]) -> [u64; REGISTERS] {
    let mut words = state.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
    std::array::from_fn(|_| words.next().expect("a place for each register"))
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
