//! What reaches host memory between two lives of a controller.

use rtl_hdl::{when, zero, Block, Module};

/// Bits of a number of accesses under way.
const ACCESS_BITS: u32 = 10;

/// After CSTS.RDY has fallen no access of host memory is made, and none is under way, until CC.EN is set again.
#[derive(Clone, Copy, Debug)]
pub struct Lives;

impl Block for Lives {
    fn name(&self) -> String {
        "nvme_lives".into()
    }

    fn description(&self) -> String {
        "Checks that nothing reaches host memory after CSTS.RDY has fallen.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let [enable, ready] = ["enable", "ready"].map(|name| m.input(name, 1));
        let [read, read_taken, read_end] = ["read", "read_taken", "read_end"].map(|name| m.input(name, 1));
        let [write, write_taken, write_end] = ["write", "write_taken", "write_end"].map(|name| m.input(name, 1));

        // 2. State
        let was_ready = m.reg("was_ready", clock, false);
        let over = m.reg("is_over", clock, false);
        let counts = ["reads_held", "writes_held"].map(|name| m.reg(name, clock, zero(ACCESS_BITS)));
        let [reads, writes] = counts;

        // 3. Conditions
        let falls = m.wire("falls", was_ready & !ready);
        let between = m.wire("between", falls | over);

        // 4. Next state
        was_ready.set(ready);
        over.set(between & !enable);
        for (count, up, down) in [(reads, read_taken, read_end), (writes, write_taken, write_end)] {
            when(up & !down, || count.set(count + 1));
            when(down & !up, || count.set(count - 1));
        }

        // 5. Outputs, for what ties this state to that of a controller
        m.output("ready_before", was_ready);
        m.output("over", over);
        m.output("reads", reads);
        m.output("writes", writes);

        // 6. Properties
        m.assert(clock, "no_access_after_ready_has_fallen", between.implies(!read & !write));
        m.assert(clock, "nothing_is_under_way_when_ready_falls", falls.implies(!reads.any() & !writes.any()));
        m.cover(clock, "ready_falls", falls);
    }
}
