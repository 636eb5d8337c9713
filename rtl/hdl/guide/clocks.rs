//! The examples of clocks.md.

use rtl_hdl::{block_fn, zero, Block};

// example: resets
/// Two ways to reset.
pub fn resets() -> impl Block {
    block_fn("resets", |m| {
        let clock = m.clock();
        m.allow_combinational("what is driven ends at once, without an edge of the clock");
        let stop = m.input_async("stop", 1);
        let guarded = clock.with_async_reset(stop);

        let count = m.reg("count", clock, zero(8));
        count.set(count + 1);
        let drive = m.reg("drive", guarded, false);
        drive.set(count.bit(7));
        m.output("driving", drive);
    })
}
// end

// example: crossing
/// Shows in the domain of `display` that something runs in that of `core`.
pub fn crossing() -> impl Block {
    block_fn("status_light", |m| {
        let core = m.named_clock("core", Some("core_reset"));
        let display = m.named_clock("display", None);
        let (start, stop) = (m.input_of("start", 1, core), m.input_of("stop", 1, core));

        let running = m.reg("running", core, false);
        running.set((running | start) & !stop);
        // Two registers of the other clock, after a register of this one.
        let seen = m.synchronize("running_seen", display, running, 2, None);
        m.output("light", seen.value());
    })
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("resets", Box::new(resets())), ("crossing", Box::new(crossing()))]
}
