//! The lives of a function: when CSTS.RDY falls.

use nvme_hw::lifecycle::{Lifecycle, State, QUIET_CLOCKS};
use nvme_properties::Lives;
use nvme_spec::firmware_port::status_set;
use rtl_hdl::{block_fn, when, zero, Block, HwEnum, Module};

/// The end of a life, beside blocks that do what they like until all of them have been quiet for [`QUIET_CLOCKS`].
pub fn lives() -> impl Block {
    block_fn("lifecycle_lives", |m: &Module| {
        Lifecycle.build(m);
        let clock = m.found_clock();
        let is = |state: State| m.found("state").eq(state.code());
        let checker = m.instance("lives", &Lives);
        let ready = m.found("status_held").bit(status_set::RDY.lsb);

        // From the controller to the checker.
        checker.port("enable").set(m.found("enable"));
        checker.port("ready").set(ready);
        let names = ["read", "read_taken", "read_end", "write", "write_taken", "write_end"];
        let accesses = names.map(|name| {
            let happens = m.input(&format!("host_{name}"), 1);
            checker.port(name).set(happens);
            happens
        });
        let [read, read_taken, read_end, write, write_taken, write_end] = accesses;
        let [reads, writes] = ["reads", "writes"].map(|name| checker.port(name));

        // What is assumed: when all blocks have been quiet for so long after a life, they reach for nothing until the next one, and nothing is
        // under way. Answers follow accesses, and firmware says that a function is ready in its life, and takes that back with it.
        let calm = m.reg("calm_clocks", clock, zero(5));
        let is_calm = calm.eq(QUIET_CLOCKS);
        let ended = !is(State::Idle) & !is(State::Alive);
        when(!ended, || calm.set(zero(5)))
            .else_when(!is_calm & m.found("quiet").all(), || calm.set(calm + 1))
            .else_when(!is_calm, || calm.set(zero(5)));
        let over = is_calm | checker.port("over");
        m.assume(clock, "quiet_blocks_are_quiet", over.implies(!read & !write & !reads.any() & !writes.any()));
        m.assume(clock, "answers_follow_accesses", {
            read_taken.implies(read)
                & write_taken.implies(write)
                & read_end.implies(reads.any())
                & write_end.implies(writes.any())
                & !reads.all()
                & !writes.all()
        });
        let status = m.found("status_value").bit(status_set::RDY.lsb);
        m.assume(clock, "ready_stays_in_a_life", (is(State::Alive) & m.found("status_write") & ready).implies(status));

        // How the state of the checker is that of the block.
        let assert = |name: &str, condition: rtl_hdl::Signal| m.assert(clock, name, condition);
        assert("states_exist", m.found("state").le(State::Clearing.code()));
        assert("all_are_calm_after_draining", (is(State::Waiting) | is(State::Clearing)).implies(is_calm));
        assert(
            "calm_is_counted",
            is(State::Draining).implies(m.found("quiet_clocks").le(calm) & calm.le(QUIET_CLOCKS)),
        );
        assert("no_ready_without_a_life", is(State::Idle).implies(!ready));
    })
}
