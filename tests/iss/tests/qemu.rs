//! Every user-level instruction of RV64GC with random operands, on the simulator and on QEMU.

use iss_reference::{compressed_kinds, generate, on_qemu, on_simulator, user_level, Difference};
use sim_device::{seed_from_env_or, Random};
use sim_guest::{Toolchain, UserQemu};

/// Blocks of one program.
const BLOCKS: usize = 1500;
/// Instructions of a block, jumps with what they skip counted as one.
const PARTS: usize = 14;
/// Programs of one run.
const PROGRAMS: u64 = 3;

/// QEMU, or nothing and a line that says why.
fn qemu() -> Option<UserQemu> {
    match UserQemu::found(&Toolchain::from_env()) {
        Ok(qemu) => Some(qemu),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: the comparison with QEMU. {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn random_blocks_end_with_the_same_registers_and_memory() {
    let Some(qemu) = qemu() else { return };
    let seed = seed_from_env_or(0x1557_0001);
    let replay = |seed: u64| format!("replay: SEED={seed:#x} cargo test --package iss-reference --test qemu");
    for seed in (0..PROGRAMS).map(|program| seed.wrapping_add(program)) {
        let program = generate(&mut Random::new(seed), BLOCKS, PARTS);
        let expected = on_qemu(&qemu, &program).unwrap_or_else(|error| panic!("{error}\n{}", replay(seed)));
        let (got, met) = on_simulator(&program);
        if let Some(difference) = Difference::find(&program, &expected, &got) {
            panic!("{difference}\n{}", replay(seed));
        }
        let often_enough = BLOCKS * PARTS / 1000;
        for op in user_level() {
            let times = met.plain.get(&op).copied().unwrap_or(0);
            assert!(times >= often_enough, "{op:?} was met {times} times\n{}", replay(seed));
        }
        for kind in compressed_kinds().into_keys() {
            let times = met.compressed.get(&kind).copied().unwrap_or(0);
            assert!(times >= often_enough, "{kind:?} was met {times} times\n{}", replay(seed));
        }
    }
}

/// The comparison itself: one bit of any result is enough.
#[test]
fn a_single_bit_makes_a_difference() {
    let program = generate(&mut Random::new(1), 4, 3);
    let (results, _) = on_simulator(&program);
    assert!(Difference::find(&program, &results, &results).is_none());
    for byte in [0, 4095, 4096, results.len() - 1] {
        let mut other = results.clone();
        other[byte] ^= 0x10;
        let text = Difference::find(&program, &results, &other).expect("a difference").to_string();
        assert_eq!(text.contains("after block"), byte >= 4096, "{text}");
    }
    assert!(Difference::find(&program, &results, &results[1..]).is_some());
}
