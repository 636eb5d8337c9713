//! The running block: who gets how much, held against the words of the specification.

use super::Arbiter;
use crate::testing::{without_stalls, FUNCTION_CONFIGS};
use crate::Config;
use rtl_hdl::bench::{Bench, Rng, Seed};

/// A wish for entries without an end, in the slots of `pending`.
struct World<'a, 'b> {
    bench: &'a mut Bench<'b>,
    config: Config,
    /// Entries that each slot still wants.
    wants: Vec<u64>,
    /// Clocks from taking a candidate to what it was granted.
    settle_clocks: u64,
}

impl World<'_, '_> {
    fn slots(&self) -> u64 {
        self.config.queues().into()
    }

    fn show(&mut self) {
        let bits = self.wants.iter().enumerate().map(|(slot, wants)| u64::from(*wants > 0) << slot);
        let bits = bits.sum::<u64>();
        self.bench.poke("pending", bits);
    }

    /// Takes candidates and grants them what they want and may have; the grants in their order.
    fn grants(&mut self, count: usize) -> Vec<(u64, u64)> {
        let mut grants = vec![];
        let mut silent = 0;
        while grants.len() < count && silent < 60 {
            self.show();
            let candidate = self.bench.peek("candidate") == 1;
            self.bench.poke("taken", candidate.into());
            if !candidate {
                silent += 1;
                self.bench.clock();
                continue;
            }
            silent = 0;
            let (slot, limit) = (self.bench.peek("candidate_sq"), self.bench.peek("candidate_limit"));
            assert!(limit & 1 == 1 && (limit + 1).is_power_of_two(), "the limit is a count: {limit:#b}");
            self.bench.clock();
            self.bench.poke("taken", 0);
            self.bench.run(self.settle_clocks);
            let granted = self.wants[slot as usize].min(limit.count_ones().into());
            self.bench.poke("settled", 1);
            self.bench.poke("settled_count", granted);
            self.wants[slot as usize] -= granted;
            self.show();
            self.bench.clock();
            self.bench.poke("settled", 0);
            if granted > 0 {
                grants.push((slot, granted));
            }
        }
        grants
    }
}

/// Slot `s` belongs to function `s % functions`, as admin queues do.
fn set_up<'a, 'b>(bench: &'a mut Bench<'b>, config: Config) -> World<'a, 'b> {
    let slots = config.queues();
    let functions = config.functions;
    for function in 0..functions {
        let members = (0..slots).filter(|slot| slot % functions == function).map(|slot| 1u64 << slot).sum::<u64>();
        bench.poke(&format!("members_f{function}"), members);
        bench.poke(&format!("burst_f{function}"), 7);
    }
    bench.poke("granting", (1 << functions) - 1);
    World { bench, config, wants: vec![0; slots as usize], settle_clocks: 1 }
}

#[test]
fn round_robin_gives_every_queue_its_turn() {
    for config in FUNCTION_CONFIGS {
        without_stalls(&Arbiter::new(config), |bench| {
            let mut world = set_up(bench, config);
            let slots = world.slots();
            world.wants.fill(1000);
            let grants = world.grants(4 * slots as usize);
            for slot in 0..slots {
                let mine = grants.iter().filter(|(granted, _)| *granted == slot).count() as u64;
                // Functions take turns first.
                let functions = u64::from(config.functions);
                let peers = (slots - slot % functions).div_ceil(functions);
                let share = 4 * slots / functions / peers;
                assert!((share - 1..=share + 1).contains(&mine), "{mine} turns of slot {slot} in {grants:?}");
            }
        });
    }
}

#[test]
fn the_arbitration_burst_limits_a_turn() {
    let config = FUNCTION_CONFIGS[1];
    without_stalls(&Arbiter::new(config), |bench| {
        let mut world = set_up(bench, config);
        for (burst, most) in [(0, 1), (1, 2), (2, 4), (3, 8), (6, 8), (7, 8)] {
            world.bench.poke("burst_f0", burst);
            // A candidate may have been found before.
            world.wants.fill(100);
            world.grants(2);
            world.wants.fill(100);
            assert!(world.grants(10).iter().all(|(_, count)| *count == most), "with a burst of {burst}");
        }
    });
}

/// NVMe Base, "Weighted Round Robin with Urgent Priority Class Arbitration".
#[test]
fn classes_share_by_their_weights() {
    let config = FUNCTION_CONFIGS[1];
    let seed = Seed::from_env_or(0x5EED);
    without_stalls(&Arbiter::new(config), |bench| {
        let rng: &mut Rng = &mut seed.rng("weights");
        let mut world = set_up(bench, config);
        world.bench.poke("weighted", 1);
        // Slots 1 and 2 are urgent, 3 and 4 high, 5 medium, all others low.
        world.bench.poke("urgent_priority", 0b110);
        world.bench.poke("high_priority", 0b11000);
        world.bench.poke("medium_priority", 0b100000);
        for settle_clocks in 0..8 {
            world.settle_clocks = settle_clocks;
            let weights: Vec<u64> = (0..3).map(|_| rng.below(12)).collect();
            world.bench.poke("weights_f0", weights[0] | weights[1] << 8 | weights[2] << 16);
            // Rounds that began with other weights come to their end.
            world.wants.fill(0);
            world.wants[3..].fill(1_000_000);
            world.grants(80);
            let mut shares = [0; 3];
            let rounds = 20;
            let total: u64 = weights.iter().map(|weight| weight + 1).sum();
            while shares.iter().sum::<u64>() < rounds * total {
                for (slot, count) in world.grants(1) {
                    shares[match slot {
                        3 | 4 => 2,
                        5 => 1,
                        _ => 0,
                    }] += count;
                }
            }
            for (class, weight) in weights.iter().enumerate() {
                let expected = rounds * (weight + 1);
                let near = expected.saturating_sub(weight + 1)..=expected + weight + 1;
                assert!(
                    near.contains(&shares[class]),
                    "class {class} of {weights:?} has {shares:?}, replay with {seed}"
                );
            }
            // The admin queue first, then the urgent ones, an entry at a time; one candidate may have been found before they came.
            world.bench.poke("burst_f0", 0);
            world.wants[..3].fill(3);
            let order: Vec<u64> = world.grants(10).iter().map(|(slot, _)| *slot).collect();
            let order = if order[0] < 3 { &order[..9] } else { &order[1..] };
            let urgent = [[1, 2, 1, 2, 1, 2], [2, 1, 2, 1, 2, 1]];
            assert!(order[..3] == [0; 3] && urgent.contains(&order[3..].try_into().unwrap()), "{order:?}");
            world.bench.poke("burst_f0", 7);
        }
    });
}

#[test]
fn functions_take_turns_and_wait_for_nobody() {
    let config = FUNCTION_CONFIGS[0];
    without_stalls(&Arbiter::new(config), |bench| {
        let mut world = set_up(bench, config);
        world.wants.fill(1000);
        let functions: Vec<u64> = world.grants(20).iter().map(|(slot, _)| slot % 2).collect();
        assert!(functions.windows(2).all(|pair| pair[0] != pair[1]), "{functions:?}");
        world.bench.poke("granting", 0b10);
        world.grants(2);
        assert!(world.grants(10).iter().all(|(slot, _)| slot % 2 == 1));
        world.bench.poke("granting", 0);
        world.grants(2);
        assert_eq!(world.grants(1), []);
    });
}

#[test]
fn a_hint_is_followed_at_once_and_alone() {
    let config = FUNCTION_CONFIGS[1];
    without_stalls(&Arbiter::new(config), |bench| {
        let world = set_up(bench, config);
        let hint = |bench: &mut Bench| {
            // The search looks again in every second clock.
            for clocks in 1..4 {
                bench.poke("hint", 1);
                bench.poke("hint_sq", 5);
                bench.poke("hint_function", 1);
                bench.clock();
                bench.poke("hint", 0);
                if bench.peek("candidate") == 1 {
                    return Some((clocks, bench.peek("candidate_sq")));
                }
            }
            None
        };
        let (clocks, sq) = hint(world.bench).expect("it is followed");
        assert!(clocks <= 2 && sq == 5);
        world.bench.reset(1);
        world.bench.poke("weighted", 1);
        assert_eq!(hint(world.bench), None, "weights must be looked at");
        world.bench.poke("weighted", 0);
        world.bench.poke("granting", 0);
        assert_eq!(hint(world.bench), None);
    });
}
