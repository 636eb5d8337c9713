//! The running memory, against two vectors of words.

use super::*;
use crate::testing::{design, BED};
use rtl_hdl::bench::Seed;
use rtl_hdl::{words_for, Direction};

pub(crate) fn blocks() -> impl Iterator<Item = DualPortRam> {
    use MemoryStyle::*;
    [
        (32, 16, 4, Block, Clocks::Two),
        (72, 8, 8, Block, Clocks::One),
        (18, 5, 2, Ultra, Clocks::One),
        (7, 2, 1, Auto, Clocks::Two),
    ]
    .into_iter()
    .map(|(width, depth, lanes, style, clocks)| DualPortRam { width, depth, lanes, style, clocks })
}

/// Each port does what memory does, whatever the other one does at other addresses.
#[test]
fn each_port_writes_lanes_or_reads() {
    let seed = Seed::from_env_or(0x5EED);
    for ram in blocks() {
        let design = design(&ram);
        let mut sim = BED.simulator(&design);
        let mut rng = seed.rng("accesses");
        let address_limit = 1 << address_width(ram.depth);
        // What was never written is not known.
        let mut words: Vec<Option<Vec<u64>>> = vec![None; ram.depth as usize];
        let mut shown: [Option<Vec<u64>>; 2] = [None, None];
        for access in 0..4_000 {
            let rises = match ram.clocks {
                Clocks::One => 0b11,
                Clocks::Two => rng.range(1..4),
            };
            let mut addresses = [rng.below(address_limit), rng.below(address_limit)];
            let lanes = [(); 2].map(|()| if rng.bool() { rng.bits(ram.lanes)[0] } else { 0 });
            if addresses[0] == addresses[1] && (lanes[0] | lanes[1]) != 0 {
                addresses[1] = (addresses[1] + 1) % address_limit;
            }
            let next = [0, 1].map(|port| {
                let (name, address) = (["a", "b"][port], addresses[port]);
                let read = rng.bool();
                // The first pass writes whole words, so that later ones are known.
                let lanes = if access < 64 { u64::MAX >> (64 - ram.lanes) } else { lanes[port] };
                let lanes = if addresses[0] == addresses[1] { 0 } else { lanes };
                let data = rng.bits(ram.width);
                for (what, value) in [
                    ("address", vec![address]),
                    ("write", vec![lanes]),
                    ("read", vec![u64::from(read)]),
                    ("write_data", data.clone()),
                ] {
                    sim.poke(sim.port(&format!("{name}_{what}")), &value);
                }
                (address as usize, lanes, data, read)
            });
            sim.step_clocks(if ram.clocks == Clocks::One { 1 } else { rises });
            for (port, (address, lanes, data, read)) in
                next.into_iter().enumerate().filter(|(port, _)| rises >> port & 1 == 1)
            {
                if lanes == 0 {
                    if read {
                        shown[port] = if address < words.len() {
                            words[address].clone()
                        } else {
                            Some(vec![0; words_for(ram.width)])
                        };
                    }
                } else if let Some(word) = words.get_mut(address) {
                    let known = word.is_some() || lanes == u64::MAX >> (64 - ram.lanes);
                    let mut new = word.clone().unwrap_or_else(|| vec![0; words_for(ram.width)]);
                    let width = ram.width / ram.lanes;
                    for lane in (0..ram.lanes).filter(|lane| lanes >> lane & 1 == 1) {
                        let part = rtl_hdl::bench::get_bits(&data, lane * width, width);
                        rtl_hdl::bench::set_bits(&mut new, lane * width, width, &part);
                    }
                    *word = known.then_some(new);
                }
            }
            for (port, expected) in ["a", "b"].into_iter().zip(&shown) {
                let Some(expected) = expected else { continue };
                let mut found = vec![0; expected.len()];
                sim.peek(sim.port(&format!("{port}_read_data")), &mut found);
                assert_eq!(&found, expected, "port {port}, access {access} of {}, SEED={seed}", ram.name());
            }
        }
    }
}

#[test]
fn a_collision_stops_the_simulation() {
    for ram in blocks() {
        let design = design(&ram);
        let mut sim = rtl_hdl::Evaluator::new(&design).expect("nothing foreign is inside");
        use rtl_hdl::sim::Simulator;
        for port in design.top().ports.iter().filter(|port| port.direction == Direction::Input) {
            if !port.name.ends_with("clock") {
                sim.poke_u64(sim.port(&port.name), u64::from(port.name == "a_write" || port.name == "b_read"));
            }
        }
        let collides = std::panic::AssertUnwindSafe(|| sim.step_clocks(0b11));
        assert!(std::panic::catch_unwind(collides).is_err(), "{}", ram.name());
    }
}

#[test]
fn ultra_ram_of_two_clocks_is_refused() {
    let ram = DualPortRam { width: 72, depth: 4096, lanes: 8, style: MemoryStyle::Ultra, clocks: Clocks::Two };
    let problems = rtl_hdl::elaborate(&ram).unwrap_err().to_string();
    assert!(problems.contains("the UltraRAM `words` has 2 clocks, and can have one"), "{problems}");
}
