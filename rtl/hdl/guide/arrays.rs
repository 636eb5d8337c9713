//! The examples of arrays.md.

use rtl_hdl::{block_fn, when, zero, Block};

// example: scoreboard
/// What is outstanding of each of six queues.
pub fn scoreboard() -> impl Block {
    block_fn("scoreboard", |m| {
        let clock = m.clock();
        let (started, ended) = (m.input("started", 1), m.input("ended", 1));
        let (start_queue, end_queue) = (m.input("start_queue", 3), m.input("end_queue", 3));
        let outstanding = m.reg_array("outstanding", clock, 6, zero(4));
        let same = m.wire("same", started & ended & start_queue.eq(end_queue));

        when(started & !same, || outstanding.set(start_queue, outstanding.get(start_queue) + 1));
        when(ended & !same, || outstanding.set(end_queue, outstanding.get(end_queue) - 1));
        let idle = m.reg("idle", clock, true);
        idle.set(outstanding.elements().into_iter().map(|count| count.eq(0)).reduce(|a, b| a & b).expect("six"));
        m.output("all_idle", idle);
        m.output("first", outstanding.at(0));
    })
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("scoreboard", Box::new(scoreboard()))]
}
