//! The interrupts: which messages are under way when a life ends.

use crate::{lives_of, CALM_CLOCKS};
use nvme_hw::irq::{Irq, State};
use nvme_hw::Config;
use rtl_hdl::{block_fn, cat, lit, Block, HwEnum, Module, Signal};

const CONFIG: Config = Config { functions: 1, ..Config::SMALL };

/// The end of a life, while messages are held and `queues` raises nothing. A message is a write of host memory.
pub fn lives() -> impl Block {
    block_fn("irq_lives", |m: &Module| {
        Irq::new(CONFIG).build(m);
        let clock = m.found_clock();
        let bit = |name: &str| m.found(name);
        let (checker, calm) = lives_of(m, !bit("raise"), bit("holding").all());
        for name in ["read", "read_taken", "read_end", "write_taken", "write_end"] {
            checker.port(name).set(lit(0u8, 1));
        }
        checker.port("write").set(bit("message_valid"));

        // What is assumed of `queues` and of `lifecycle`.
        m.assume(clock, "functions_exist", bit("raise").implies(bit("raise_function").eq(0)));
        let is_cleared = m.reg("is_cleared", clock, false);
        is_cleared.set(bit("clear").all());
        let falls = checker.port("ready_before") & !bit("life_ready");
        m.assume(clock, "a_life_is_cleared_as_it_ends", falls.implies(is_cleared));

        // How the state of the checker is that of the block.
        let assert = |name: &str, condition: Signal| m.assert(clock, name, condition);
        let looks = bit("state").eq(State::Look.code());
        let [full, has] = [bit("message_full"), bit("has_f0")];
        let forgotten = !bit("pending_f0").any() & !bit("delayed_f0").any();
        assert("states_exist", bit("state").le(State::Send.code()));
        assert("a_message_is_of_the_function", looks | bit("sent_function").all());
        assert("an_offer_is_of_the_function", full.implies(bit("offered_function").all()));
        assert("nothing_is_offered_when_quiet", bit("quiet_held").all().implies(!full));
        assert("nothing_is_looked_for_when_held", calm.any().implies(!has));
        assert("no_message_is_made_when_calm", (calm.ge(2) & bit("quiet_held").all()).implies(looks));
        let counts = ["reads", "writes"].map(|name| checker.port(name).any());
        assert("no_access_is_counted", !cat(&counts).any());
        let over = checker.port("over");
        assert("nothing_is_sent_between_lives", (over | calm.eq(CALM_CLOCKS)).implies(looks & !full & !has));
        assert("what_was_pending_is_forgotten", (over | is_cleared).implies(forgotten));
    })
}
