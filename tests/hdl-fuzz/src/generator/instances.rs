//! Random modules inside random modules, and streams.

use rtl_hdl::{lit, when, Clock, InstanceHandle, Shape};

use super::builder::{Builder, Later};
use super::shapes::Outer;
use super::{Level, Plan};

/// How many blocks a module contains, at most; each of them may be there twice.
const INSTANCES_MAX: u32 = 4;

/// Decides about the streams when all values are there.
type FinishStreams = Box<dyn Fn(&Builder)>;

impl Builder<'_> {
    /// Streams of the last clock.
    pub fn add_streams(&mut self) -> FinishStreams {
        let m = self.m;
        let clock = self.clocks.len().saturating_sub(1);
        let input = self.plan.stream_in.map(|width| m.stream_in_bits("sink", width));
        if let Some(input) = input {
            self.add(input.valid(), clock, Level::Late);
            self.add(input.payload(), clock, Level::Late);
        }
        let output = self.plan.stream_out.map(|width| (width, m.stream_out_bits("source", width)));
        if let Some((_, output)) = output {
            self.add(output.can_take(), clock, Level::Registered);
        }
        let bundle = self.plan.bundle_stream.then(|| m.stream_out_single::<Outer>("bundle"));
        Box::new(move |own: &Builder| {
            let late = || own.bit(clock, Level::Late);
            if let Some(input) = input {
                when(own.bit(clock, Level::Registered), || input.take());
            }
            if let Some((width, output)) = output {
                when(output.can_take() & late(), || output.offer(own.of_width(clock, Level::Late, width)));
            }
            if let Some(bundle) = bundle {
                when(bundle.can_take(), || {
                    let packed = own.of_width(clock, Level::Late, Outer::WIDTH);
                    when(late(), || bundle.offer(Outer::unpack(packed)));
                });
            }
        })
    }

    /// Puts another random block inside, sometimes twice.
    pub fn add_instance(&mut self) {
        if self.block.depth == 0 || self.instances == INSTANCES_MAX {
            return self.add_expression();
        }
        self.instances += 1;
        // The number of the name is the number of the block's tape.
        let name = self.name("inner");
        let number = name.rsplit('_').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let block = self.block.inner(number);
        let plan = block.plan();
        for copy in 0..1 + self.below(2) {
            let Some(mut on) = plan.clocks.iter().map(|reset| self.clock_for(*reset)).collect::<Option<Vec<usize>>>()
            else {
                return self.add_expression();
            };
            let clocks: Vec<Clock> = on.iter().map(|clock| self.with_another_reset(*clock)).collect();
            let instance = self.m.instance_with_clocks(&format!("{name}_{copy}"), &block, &clocks);
            if on.is_empty() {
                // What has no clock belongs to that of its inputs.
                on.push(self.clock());
            }
            self.connect(&instance, &plan, &on);
        }
    }

    /// A clock for an inner block, which may need a reset.
    fn clock_for(&self, needs_reset: bool) -> Option<usize> {
        let usable = |clock: &usize| !needs_reset || self.clocks[*clock].reset().is_some();
        let usable: Vec<usize> = (0..self.clocks.len()).filter(usable).collect();
        (!usable.is_empty()).then(|| usable[self.index_of(usable.len())])
    }

    fn with_another_reset(&self, index: usize) -> Clock {
        let clock = self.clocks[index];
        match clock.reset() {
            Some(reset) if self.percent(30) => clock.with_reset(reset & self.bit(index, Level::Registered)),
            _ => clock,
        }
    }

    /// Drives the inputs of an instance, now or at the end, and adds its outputs.
    fn connect(&mut self, instance: &InstanceHandle, plan: &Plan, on: &[usize]) {
        let late = |name: &str, clock| Later { target: instance.port(name), clock, is_register: false };
        for input in &plan.inputs {
            let clock = on[input.clock];
            if input.level == Level::Late {
                self.later.push(late(&input.name, clock));
            } else {
                instance.port(&input.name).set(self.of_width(clock, Level::Combinational, input.width));
            }
        }
        for index in 0..plan.async_resets {
            let reset = if self.async_resets.is_empty() { lit(0, 1) } else { self.async_reset() };
            instance.port(&format!("now{index}")).set(reset);
        }
        for (index, width) in plan.async_inputs.iter().enumerate() {
            instance.port(&format!("any{index}")).set(self.of_width(self.clock(), Level::Combinational, *width));
        }
        let last = on[on.len() - 1];
        if plan.stream_in.is_some() {
            self.later.extend([late("sink_valid", last), late("sink_data", last)]);
            self.add(instance.port("sink_ready"), last, Level::Registered);
        }
        if plan.stream_out.is_some() {
            self.add(instance.port("source_valid"), last, Level::Registered);
            self.add(instance.port("source_data"), last, Level::Registered);
            self.later.push(late("source_ready", last));
        }
        if plan.bundle_stream {
            self.add(instance.port("bundle_inner_state"), last, Level::Registered);
            self.later.push(late("bundle_ready", last));
        }
        for output in &plan.outputs {
            self.add(instance.port(&output.name), on[output.clock], output.level);
        }
        if plan.watched {
            for (index, clock) in on.iter().enumerate() {
                self.add(instance.port(&format!("seen{index}")), *clock, Level::Registered);
            }
        }
    }
}
