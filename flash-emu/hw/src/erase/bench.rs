//! The running block: alone, with readers and an array that answers in any order, and with the real array.

use super::Erasing;
use crate::array::Array;
use crate::testing::{close_door, forgets_at_reset, set_times, under_all_stalls};
use crate::types::{user, Command, Done, Faults, Times, USER_BITS};
use flash_spec::fast_path::wire::event;
use flash_spec::fast_path::Planes;
use flash_spec::{Geometry, Operation, Outcome, PageAddress, Preset, Violation};
use nvme_spec::limits::CORE_HZ;
use rtl_hdl::bench::{Bench, Fields, Rng};
use rtl_hdl::{Block, Module, Shape};
use rtl_prim::{Lock, Payload, StreamArbiter, StreamDemux};
use std::collections::{BTreeMap, VecDeque};

/// The last one has more blocks than eight bits count, and all the dies there may be.
const GEOMETRIES: [Geometry; 3] = [
    Geometry::SMALL,
    Geometry { channels: 3, planes_per_die: 1, ..Geometry::SMALL },
    Geometry { blocks_per_plane: 300, ..Geometry::DEFAULT_1_GIB },
];

/// This block with the array, which programs for the bench too.
struct Path {
    geometry: Geometry,
}

const PATHS: [Path; 2] = [Path { geometry: GEOMETRIES[0] }, Path { geometry: GEOMETRIES[1] }];

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    let paths = PATHS.map(|path| Box::new(path) as Box<dyn Block>);
    GEOMETRIES.map(|geometry| Box::new(Erasing { geometry }) as Box<dyn Block>).into_iter().chain(paths).collect()
}

impl Block for Path {
    fn name(&self) -> String {
        format!("path_of_{}", Erasing { geometry: self.geometry }.name())
    }

    fn build(&self, m: &Module) {
        m.clock();
        let erase = m.instance("erase", &Erasing { geometry: self.geometry });
        let array = m.instance("array", &Array { geometry: self.geometry });
        close_door(&array);
        let commands = StreamArbiter { inputs: 2, payload: Payload::of::<Command>("command"), lock: Lock::Item };
        let commands = m.instance("commands", &commands);
        let ends = StreamDemux::new(4, Payload::of::<Done>("done"), "tag", USER_BITS);
        let ends = m.instance("ends", &ends);
        m.connect(&erase, "command", &commands, "in_0");
        m.export(&commands, "in_1", "command");
        m.connect(&commands, "out", &array, "command");
        m.connect(&array, "done", &ends, "in");
        for number in 0..4 {
            match number {
                user::ERASE => m.connect(&ends, &format!("out_{number}"), &erase, "done"),
                _ => m.export(&ends, &format!("out_{number}"), &format!("done_{number}")),
            }
        }
        m.export(&array, "transfer", "transfer");
        m.export(&array, "through", "through");
        m.export(&erase, "said", "said");
        m.export(&erase, "heard", "heard");
        for (field, width) in Times::fields() {
            array.port(&format!("times_{field}")).set(m.input(&format!("times_{field}"), width));
        }
        for (field, width) in Faults::fields() {
            array.port(&format!("faults_{field}")).set(m.input(&format!("faults_{field}"), width));
        }
        for (input, width) in [("suspends", 1), ("seed", 32), ("seed_set", 1), ("power_cut", 1)] {
            array.port(input).set(m.input(input, width));
        }
        erase.port("quiet").set(m.input("quiet", 1));
        m.output("epoch", erase.port("epoch"));
        for number in 0..self.geometry.channels {
            m.output(&format!("late_{number}"), array.port(&format!("late_{number}")));
        }
    }
}

/// Some of the planes of a flash, and bits beyond them.
fn any_planes(geometry: &Geometry, rng: &mut Rng) -> Planes {
    let any = Planes::from(rng.next_u64()) << 64 | Planes::from(rng.next_u64());
    match rng.below(4) {
        0 => any,
        1 => Planes::MAX,
        2 => any & Planes::from(rng.next_u64()),
        _ => 1 << rng.below(geometry.planes().into()),
    }
}

fn say(bench: &mut Bench, rng: &mut Rng, super_block: u16, planes: Planes) {
    let item = bench.random_fields("said", rng).set("argument", super_block);
    bench.send("said", [item.set("body", planes).words()]);
}

/// The planes of an `ERASE_DONE`.
fn failed(heard: &Fields) -> Planes {
    assert_eq!(heard.get("code"), event::ERASE_DONE.into());
    let [low, high] = heard.get_words("body").try_into().expect("128 bits");
    Planes::from(high) << 64 | Planes::from(low)
}

fn existing(geometry: &Geometry) -> Planes {
    (1 << geometry.planes()) - 1
}

#[test]
fn each_die_is_told_once_when_nobody_reads_any_more_and_failures_are_heard() {
    for geometry in GEOMETRIES {
        under_all_stalls(&Erasing { geometry }, |bench: &mut Bench, rng: &mut Rng| {
            let mut jobs = VecDeque::new();
            const JOBS: usize = 8;
            for _ in 0..JOBS {
                let (super_block, planes) =
                    (rng.below(geometry.blocks_per_plane.into()) as u16, any_planes(&geometry, rng));
                say(bench, rng, super_block, planes);
                jobs.push_back((super_block, planes));
            }
            // Of the super-block that is being erased, what is left to be told, and what the array has; of each so far, what failed.
            let mut left: Planes = 0;
            let mut running: Vec<(u64, Planes)> = vec![];
            let mut begun: Vec<(u16, Planes)> = vec![];
            let mut ended = vec![];
            // The readers that began before: how long they still read. The clock in which the epoch was new, if it was not used yet.
            let (mut epoch, mut changed, mut may_begin) = (0, None, false);
            let mut quiet_at = 0;
            while ended.len() < JOBS {
                bench.clock();
                let now = bench.clocks();
                if bench.peek("epoch") != epoch {
                    epoch = bench.peek("epoch");
                    assert!(changed.is_none() && left == 0 && running.is_empty(), "a change for each super-block");
                    let (super_block, planes) = jobs.pop_front().expect("a super-block for each change");
                    left = planes & existing(&geometry);
                    begun.push((super_block, 0));
                    may_begin = false;
                    changed = Some(now);
                    quiet_at = now + 2 + rng.below(40);
                    // Until then the readers have not seen it.
                    bench.poke("quiet", rng.bool().into());
                }
                if let Some(at) = changed {
                    // Of a clock before the second after the change `quiet` says nothing.
                    if now >= at + 2 {
                        bench.poke("quiet", (now >= quiet_at).into());
                        if now >= quiet_at {
                            (changed, may_begin) = (None, true);
                        }
                    }
                }
                for command in bench.drain_fields("command") {
                    assert!(may_begin, "readers may still be there");
                    let tag = command.get("tag");
                    assert_eq!(tag >> USER_BITS.start & 3, user::ERASE.into());
                    let super_block = begun.last().expect("it has begun").0;
                    let fields = ["operation", "block_0", "block_1"].map(|field| command.get(field));
                    assert_eq!(fields, [Operation::Erase.code().into(), super_block.into(), super_block.into()]);
                    let at = |plane: u8| PageAddress {
                        channel: (tag >> 12) as u8,
                        die: command.get("die") as u8,
                        plane,
                        block: 0,
                        page: 0,
                    };
                    let mut of_die: Planes = 0;
                    for plane in (0..geometry.planes_per_die as u8).map(at) {
                        assert!(geometry.contains(plane));
                        of_die |= 1 << geometry.plane_index(plane);
                    }
                    let told = (0..2).filter(|plane| command.get("planes") >> plane & 1 == 1);
                    let told: Planes = told.map(|plane| 1 << geometry.plane_index(at(plane))).sum();
                    assert_eq!(told, left & of_die, "all planes of a die, once");
                    assert_ne!(told, 0);
                    left &= !told;
                    running.push((tag, told));
                }
                if !running.is_empty() && rng.percent(20) {
                    let (tag, told) = running.swap_remove(rng.below(running.len() as u64) as usize);
                    // What is said of a plane that takes no part means nothing.
                    let codes = [Outcome::GOOD, Outcome::EraseFailed, Outcome::Refused(Violation::OutOfRange)];
                    let outcomes = [(); 2].map(|()| rng.pick(&codes).code());
                    for plane in 0..geometry.planes_per_die as u8 {
                        let (channel, die) = ((tag >> 12) as u8, (tag & 3) as u8);
                        let plane_index = geometry.plane_index(PageAddress { channel, die, plane, block: 0, page: 0 });
                        if outcomes[usize::from(plane)] >= 0x10 {
                            begun.last_mut().expect("it has begun").1 |= told & 1 << plane_index;
                        }
                    }
                    let item = bench.random_fields("done", rng).set("tag", tag);
                    let item = item.set("outcome_0", outcomes[0]).set("outcome_1", outcomes[1]);
                    bench.send("done", [item.words()]);
                }
                for heard in bench.drain_fields("heard") {
                    ended.push((heard.get("argument") as u16, failed(&heard)));
                    let is_over = left == 0 && running.is_empty() && may_begin;
                    assert!(
                        ended.len() < begun.len() || ended.len() == begun.len() && is_over,
                        "{left:x} is not erased"
                    );
                }
                assert!(now < 60_000, "{} super-blocks are erased", ended.len());
            }
            assert_eq!(ended, begun);
        });
    }
}

/// A block can be programmed from its first page on when it has been erased, and only then.
#[test]
fn what_is_wanted_is_erased_and_nothing_else() {
    for path in PATHS {
        under_all_stalls(&path, |bench: &mut Bench, rng: &mut Rng| {
            let geometry = path.geometry;
            set_times(bench, &Preset::Scm.clocks(CORE_HZ));
            bench.poke("faults_erase_fail_rate", 1 << 29);
            bench.poke("quiet", 1);
            bench.run(600);
            let first_pages = |bench: &mut Bench, super_block: u16| {
                let mut good: Planes = 0;
                let mut running = BTreeMap::new();
                for plane in 0..geometry.planes() {
                    let PageAddress { channel, die, plane: of_die, .. } = geometry.page_at(plane.into());
                    let tag = u64::from(channel) << 12 | u64::from(user::PROGRAM) << USER_BITS.start | u64::from(plane);
                    let item = bench.fields("command").set("tag", tag).set("die", die).set("planes", 1u64 << of_die);
                    let item = item.set("block_0", super_block).set("block_1", super_block);
                    bench.send("command", [item.set("operation", Operation::Program.code()).words()]);
                    running.insert(tag, (plane, of_die));
                }
                while !running.is_empty() {
                    bench.clock();
                    for transfer in bench.drain_fields("transfer") {
                        let channel = transfer.get("tag") >> 12;
                        bench.send("through", [bench.fields("through").set("channel", channel).words()]);
                    }
                    for done in bench.drain_fields(&format!("done_{}", user::PROGRAM)) {
                        let (plane, of_die) = running.remove(&done.get("tag")).expect("it was told");
                        if done.get(if of_die == 0 { "outcome_0" } else { "outcome_1" }) == Outcome::GOOD.code().into()
                        {
                            good |= 1 << plane;
                        }
                    }
                    assert!(bench.clocks() < 300_000, "{} programs have not ended", running.len());
                }
                good
            };
            let erase = |bench: &mut Bench, wanted: &[(u16, Planes)], rng: &mut Rng| {
                for &(super_block, planes) in wanted {
                    say(bench, rng, super_block, planes);
                }
                bench.run_until(100_000, |bench| bench.received("heard").len() == wanted.len());
                let heard = bench.drain_fields("heard");
                let heard = heard.iter().map(|heard| (heard.get("argument") as u16, failed(heard)));
                heard.collect::<Vec<(u16, Planes)>>()
            };
            const SUPER_BLOCKS: u16 = 6;
            for super_block in 0..SUPER_BLOCKS {
                assert_eq!(first_pages(bench, super_block), existing(&geometry), "new flash is erased");
            }
            let mut wanted: Vec<(u16, Planes)> =
                (0..SUPER_BLOCKS).map(|super_block| (super_block, any_planes(&geometry, rng))).collect();
            rng.shuffle(&mut wanted);
            let heard = erase(bench, &wanted, rng);
            let mut failures = 0;
            for ((super_block, planes), (of, failed)) in wanted.into_iter().zip(heard) {
                assert_eq!(of, super_block);
                let erased = planes & existing(&geometry) & !failed;
                assert_eq!(first_pages(bench, super_block), erased, "of {planes:x} {failed:x} failed");
                assert_eq!(failed & !planes, 0);
                failures += failed.count_ones();
            }
            assert!(failures > 0);
            // There is no such super-block.
            let beyond = geometry.blocks_per_plane as u16;
            assert_eq!(erase(bench, &[(beyond, 0b101)], rng), [(beyond, 0b101)]);
        });
    }
}

#[test]
fn a_reset_in_any_clock_leaves_nothing() {
    forgets_at_reset(&Erasing { geometry: Geometry::SMALL }, &["done"], &[]);
}
