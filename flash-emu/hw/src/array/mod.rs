//! # Array
//!
//! All channels of the flash behind one stream of commands: wiring only.
//!
//! ## Symbol
//! ```text
//!                      +--- array ---+
//!            command ->-|             |->- transfer
//!            through ->-|             |->- done
//!  times_*, faults_* -->|             |---> late_0, late_1, ..
//!  suspends, seed_* --->|             |
//!         power_cut --->|             |
//!               door ->-|             |->- door_record
//!                       +-------------+
//! ```
//! ## Theory of operation
//! The upper four bits of a tag are the number of the channel. They part the commands, and say in transfers and completions where they come from.
//!
//! Each channel draws its random numbers from a seed of its own, which is the common one and its number.
//!
//! After `power_cut` no channel takes a command before a reset: those that are on their way from whoever has not been told do not reach flash whose power
//! is gone. Data that was announced before moves on, and the `door` is opened when it is through and everything that was torn has been noted.
//!
//! ## Timing
//! A clock more than a [channel](crate::channel) in each direction, and one more for one that has not the turn.
//! No combinational path from any input to any output.
//!
//! ## Limits
//! A command for a channel that is full holds up those behind it. What names no channel is thrown away.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::types::{Command, Done, Door, DoorRecord, Faults, Through, Times, Transfer};
use crate::Channel;
use flash_spec::Geometry;
use rtl_hdl::{when, Block, Module, Shape};
use rtl_prim::{Lock, Payload, StreamArbiter, StreamDemux};
use std::ops::Range;

#[cfg(test)]
pub(crate) mod bench;

/// The bits of a tag that are the number of the channel.
pub const CHANNEL_BITS: Range<u32> = 12..16;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Array {
    /// The flash.
    pub geometry: Geometry,
}

impl Block for Array {
    fn name(&self) -> String {
        format!("array_c{}_{}", self.geometry.channels, Channel::new(self.geometry).name())
    }

    fn description(&self) -> String {
        "All channels of the flash behind one stream of commands.".into()
    }

    fn build(&self, m: &Module) {
        let channels = self.geometry.channels;
        let clock = m.clock();
        let commands = StreamDemux::new(channels, Payload::of::<Command>("command"), "tag", CHANNEL_BITS);
        let commands = m.instance("commands", &commands);
        let merge = |payload: Payload| StreamArbiter { inputs: channels, payload, lock: Lock::Item };
        let transfers = m.instance("transfers", &merge(Payload::of::<Transfer>("transfer")));
        let ends = m.instance("ends", &merge(Payload::of::<Done>("done")));
        let doors = StreamDemux::new(channels, Payload::of::<Door>("door"), "channel", 0..CHANNEL_BITS.len() as u32);
        let doors = m.instance("doors", &doors);
        let records = m.instance("records", &merge(Payload::of::<DoorRecord>("door_record")));
        let through = m.stream_in::<Through>("through");
        through.take();
        let times = m.input_as::<Times>("times");
        let faults = m.input_as::<Faults>("faults");
        let [suspends, seed_set, power_cut] = ["suspends", "seed_set", "power_cut"].map(|name| m.input(name, 1));
        let seed = m.input("seed", 32);

        m.export(&commands, "in", "command");
        m.export(&transfers, "out", "transfer");
        m.export(&ends, "out", "done");
        m.export(&doors, "in", "door");
        m.export(&records, "out", "door_record");
        let is_off = m.reg("is_off", clock, false);
        when(power_cut, || is_off.set(true));
        for number in 0..channels {
            let channel = m.instance(&format!("channel_{number}"), &Channel::new(self.geometry));
            let command = |port: &str| commands.port(&format!("out_{number}_{port}"));
            for (field, _) in Command::fields() {
                channel.port(&format!("command_{field}")).set(command(&field));
            }
            channel.port("command_valid").set(command("valid") & !is_off);
            command("ready").set(channel.port("command_ready") & !is_off);
            m.connect(&doors, &format!("out_{number}"), &channel, "door");
            m.connect(&channel, "door_record", &records, &format!("in_{number}"));
            m.connect(&channel, "transfer", &transfers, &format!("in_{number}"));
            m.connect(&channel, "done", &ends, &format!("in_{number}"));
            let of_bundle = |bundle: &str, fields: Vec<(String, u32)>, leaves: Vec<rtl_hdl::Signal>| {
                for ((field, _), leaf) in fields.iter().zip(leaves) {
                    channel.port(&format!("{bundle}_{field}")).set(leaf);
                }
            };
            of_bundle("times", Times::fields(), rtl_hdl::Value::leaves(&times));
            of_bundle("faults", Faults::fields(), rtl_hdl::Value::leaves(&faults));
            channel.port("suspends").set(suspends);
            channel.port("seed").set(seed + number);
            channel.port("seed_set").set(seed_set);
            channel.port("power_cut").set(power_cut);
            channel.port("through").set(through.valid() & through.payload().channel.eq(number));
            m.output(&format!("late_{number}"), channel.port("late"));
        }
    }
}
