//! The host port: in which order writes leave.

use nvme_hw::host_port::HostPort;
use nvme_hw::Config;
use nvme_properties::Order;
use rtl_hdl::{block_fn, lit, Block, Module, Signal};
use rtl_prim::one_hot;

const CONFIG: Config = Config { functions: 1, ..Config::SMALL };
const LINE_ENTRIES: u32 = 4;
/// Bits of a number of writes.
const WRITE_BITS: u32 = 8;

/// How many bits are set.
fn ones(bits: Signal) -> Signal {
    let ones = (0..bits.width()).map(|i| bits.bit(i).zext(WRITE_BITS));
    ones.reduce(|a, b| a + b).expect("there are bits")
}

/// Data, completions and interrupts.
pub fn order() -> impl Block {
    block_fn("host_port_order", |m: &Module| {
        HostPort::new(CONFIG).build(m);
        let clock = m.found_clock();
        let checker = m.instance("order", &Order);
        let bit = |name: &str| m.found(name);

        // From the controller to the checker.
        let comes = |stream: &str| bit(&format!("{stream}_valid")) & bit(&format!("{stream}_ready"));
        let in_line = ones(bit("line_entries"));
        let leave = bit("entry_is_lone").mux(lit(1u8, WRITE_BITS), in_line);
        checker.port("watch").set(m.input("watch", 1));
        checker.port("data_comes").set(comes("data_write"));
        checker.port("data_leaves").set(bit("choose_data"));
        checker.port("completion_comes").set(comes("posted"));
        checker.port("completions_leave").set(bit("choose_entry").mux(leave, lit(0u8, WRITE_BITS)));
        checker.port("interrupt_comes").set(comes("message"));
        checker.port("interrupt_leaves").set(bit("choose_message"));

        // What is assumed: no life ends, and entries of one line come with their places.
        m.assume(clock, "no_life_ends", !bit("dropping").any());
        m.assume(clock, "places_of_a_line_are_taken_once", {
            let place = one_hot(bit("posted_held_address").bits(4..6), LINE_ENTRIES);
            bit("entry_joins").implies(!(bit("line_entries") & place).any())
        });

        // How the state of the checker is that of the block.
        let assert = |name: &str, condition: Signal| m.assert(clock, name, condition);
        let number = |condition: Signal| condition.zext(WRITE_BITS);
        let [posted, line] = ["posted_full", "line_full"].map(bit);
        let lined = line.mux(in_line, lit(0u8, WRITE_BITS));
        assert("no_life_has_ended", !bit("dropping_held").any());
        assert("a_line_has_entries", line.implies(bit("line_entries").any()));
        assert("data_is_held", checker.port("data").eq(number(bit("data_write_full"))));
        assert("completions_are_held", checker.port("completions").eq(number(posted) + lined));
        assert("interrupts_are_held", checker.port("interrupts").eq(number(bit("message_full"))));
        assert("heads_pass_who_waits", bit("head_passed").implies(posted | line));
        let inside = checker.port("watched_completion");
        let ahead = checker.port("watched_completion_ahead");
        let is_lined = ahead.lt(lined);
        let data_before = checker.port("watched_completion_data").any();
        assert("the_watched_completion_is_held", inside.implies(is_lined | (posted & ahead.eq(lined))));
        assert(
            "data_before_it_is_held",
            (inside & data_before).implies({
                let is_next = is_lined | !line;
                bit("data_write_full")
                    & checker.port("watched_completion_data").eq(1)
                    & (!is_next | !bit("head_passed"))
            }),
        );
        let interrupt = checker.port("watched_interrupt");
        assert("the_watched_interrupt_is_held", {
            interrupt.implies(bit("message_full") & !checker.port("watched_interrupt_ahead").any())
        });
        let before = checker.port("watched_interrupt_completions");
        assert("completions_before_it_are_held", before.le(checker.port("completions")));
    })
}
