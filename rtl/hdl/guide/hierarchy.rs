//! The examples of hierarchy.md.

use super::streams::{doubler, Sample};
use rtl_hdl::{zero, Block, Module};

// example: pipeline
/// So many doublers in a row, with a count of what left them.
pub struct Pipeline {
    /// At least one.
    pub stages: u32,
}

impl Block for Pipeline {
    fn name(&self) -> String {
        format!("pipeline_{}", self.stages)
    }

    fn build(&self, m: &Module) {
        let clock = m.clock();
        let stages: Vec<_> = (0..self.stages).map(|i| m.instance(&format!("stage_{i}"), &doubler())).collect();
        for pair in stages.windows(2) {
            m.connect(&pair[0], "out", &pair[1], "in");
        }
        m.export(&stages[0], "in", "in");

        // The last stream is looked at on its way.
        let last = &stages[stages.len() - 1];
        let ready = m.input("out_ready", 1);
        last.port("out_ready").set(ready);
        m.output_as::<Sample>("out", last.port_as::<Sample>("out"));
        m.output("out_valid", last.port("out_valid"));
        let count = m.reg("count", clock, zero(16));
        count.set(count + (last.port("out_valid") & ready).zext(16));
        m.output("moved", count);
    }
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("pipeline", Box::new(Pipeline { stages: 2 }))]
}
