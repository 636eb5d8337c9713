//! The running block: each channel gets its commands, and what it says is known by its number.

use super::Array;
use crate::testing::{set_times, under_all_stalls};
use flash_spec::{Geometry, Operation, Outcome, Preset};
use nvme_spec::limits::CORE_HZ;
use rtl_hdl::bench::{Bench, Rng};
use rtl_hdl::Block;
use std::collections::BTreeSet;

/// A number of channels that is no power of two.
const ARRAY: Array = Array { geometry: Geometry { channels: 3, ..Geometry::SMALL } };

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(ARRAY)]
}

#[test]
fn commands_of_all_channels_end_once_and_their_data_goes_over_the_bus_of_their_channel() {
    under_all_stalls(&ARRAY, |bench: &mut Bench, rng: &mut Rng| {
        set_times(bench, &Preset::Sim.clocks(CORE_HZ).divided(16));
        let channels = u64::from(ARRAY.geometry.channels);
        let mut running = BTreeSet::new();
        let mut owed = vec![];
        let (mut started, mut moved) = (0, 0);
        while started < 60 || !running.is_empty() {
            if started < 60 && rng.percent(5) {
                let tag = rng.below(channels) << 12 | started;
                let item = bench.fields("command").set("tag", tag).set("die", rng.below(2));
                let item = item.set("operation", Operation::Read.code()).set("planes", 1 + rng.below(3));
                bench.send("command", [item.set("page", rng.below(16)).set("units", 1u8).words()]);
                running.insert(tag);
                started += 1;
            }
            bench.clock();
            for transfer in bench.drain_fields("transfer") {
                let tag = transfer.get("tag");
                assert!(running.contains(&tag) && !owed.contains(&(tag >> 12)), "a bus carries one thing at a time");
                owed.push(tag >> 12);
                moved += 1;
            }
            if !owed.is_empty() && rng.percent(10) {
                let channel = owed.swap_remove(rng.below(owed.len() as u64) as usize);
                bench.send("through", [bench.fields("through").set("channel", channel).words()]);
            }
            for done in bench.drain_fields("done") {
                assert!(running.remove(&done.get("tag")), "{done:?}");
                assert_eq!(done.get("outcome_0"), Outcome::GOOD.code().into());
            }
            assert!(bench.clocks() < 100_000, "{} commands are running", running.len());
        }
        assert_eq!(moved, 60);
        let late: u64 = (0..channels).map(|channel| bench.peek(&format!("late_{channel}"))).sum();
        assert!(late > 0, "a bus waited for its data");
    });
}

#[test]
fn each_channel_keeps_its_own_records_and_a_power_cut_closes_all_but_the_door() {
    under_all_stalls(&ARRAY, |bench: &mut Bench, _: &mut Rng| {
        let channels = u64::from(ARRAY.geometry.channels);
        let visit = |bench: &mut Bench, channel: u64, record: Option<u64>| {
            let item = bench.fields("door").set("channel", channel).set("die", 1u8).set("plane", 1u8).set("block", 5u8);
            let item = item.set("is_write", record.is_some()).set("record", record.unwrap_or(0));
            bench.send("door", [item.words()]);
            for _ in 0..1000 {
                bench.clock();
                if let Some(answer) = bench.drain_fields("door_record").first() {
                    return answer.get("record");
                }
            }
            panic!("channel {channel} does not answer");
        };
        for channel in 0..channels {
            assert_eq!(visit(bench, channel, Some(100 + channel)), 0, "the block is new");
        }
        bench.poke("power_cut", 1);
        bench.clock();
        bench.poke("power_cut", 0);
        let item =
            bench.fields("command").set("operation", Operation::Read.code()).set("planes", 1u8).set("units", 1u8);
        bench.send("command", [item.words()]);
        for channel in 0..channels {
            assert_eq!(visit(bench, channel, None), 100 + channel);
        }
        bench.run(1000);
        assert!(
            bench.drain_fields("done").is_empty() && bench.drain_fields("transfer").is_empty(),
            "there is no power"
        );
    });
}
