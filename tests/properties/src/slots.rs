//! The slots: what becomes of a command of the fast path.

use crate::{count, watched};
use nvme_hw::slots::Slots;
use nvme_hw::types::Operation;
use nvme_hw::Config;
use nvme_properties::{Commands, COMMAND_BITS};
use nvme_spec::limits::UNIT_BYTES;
use rtl_hdl::{block_fn, cat, lit, when, zero, Block, HwEnum, Module};
use rtl_prim::one_hot;

const CONFIG: Config = Config { slots: 2, ..Config::SMALL };
/// So long a command takes in here.
const CLOCKS_MAX: u32 = 3;

/// Commands of one unit.
pub fn commands() -> impl Block {
    block_fn("slots_commands", |m: &Module| {
        Slots::new(CONFIG).build(m);
        let clock = m.found_clock();
        let checker = m.instance("commands", &Commands);
        let taken = |stream: &str| m.found(&format!("{stream}_valid")) & m.found(&format!("{stream}_ready"));
        let command_of = |item: &str| cat(&["sqid", "cid"].map(|field| count(m.found(&format!("{item}_{field}")))));

        // From the controller to the checker.
        let command = watched(m, "watched_command", COMMAND_BITS);
        let begins = taken("command");
        checker.port("watched").set(command);
        checker.port("begin_taken").set(begins);
        checker.port("begin_command").set(command_of("command"));
        checker.port("end_taken").set(m.found("send_good") | m.found("send_failed"));
        checker.port("end_command").set(command_of("identity"));
        checker.port("at_rest").set(m.found("quiet"));
        checker.port("clocks_max").set(lit(CLOCKS_MAX, 16));

        // What is assumed: each job that has left ends once, and who takes outcomes does so at once, or the wait does not count.
        let ends = taken("unit_end");
        let slot_of = |stream: &str| one_hot(m.found(&format!("{stream}_slot")).low(1), CONFIG.slots);
        let running = m.reg("running", clock, zero(CONFIG.slots));
        when(taken("job"), || running.set(running | slot_of("job")));
        when(ends, || running.set(running & !slot_of("unit_end")));
        when(taken("job") & ends, || running.set((running | slot_of("job")) & !slot_of("unit_end")));
        let outside = running.any() | m.found("job_valid") | !m.found("outcome_ready") | !m.found("failure_ready");
        checker.port("may_end").set(!outside);
        let numbers = m.found("unit_end_slot").lt(CONFIG.slots);
        m.assume(
            clock,
            "units_end_once",
            m.found("unit_end_valid").implies(numbers & (running & slot_of("unit_end")).any()),
        );
        let has_one_unit = m.found("command_bytes").le(UNIT_BYTES)
            & m.found("command_operation").ne(Operation::Compare.code())
            & m.found("command_operation").ne(Operation::Copy.code())
            & !m.found("command_sgl")
            & !m.found("command_fused");
        m.assume(clock, "commands_have_one_unit", has_one_unit);
        m.assume(clock, "no_walk_fails", !m.found("walk_end_valid"));
        m.assume(clock, "firmware_transfers_nothing", !m.found("transfer_valid"));
        let known = checker.port("outstanding");
        m.assume(clock, "identifiers_are_not_given_twice", !(begins & known & command_of("command").eq(command)));
    })
}
