//! What becomes of a command.

use crate::COUNT_BITS;
use rtl_hdl::{when, zero, Block, Module};

/// Bits of what names a command among those that are outstanding: its submission queue above its command identifier.
pub const COMMAND_BITS: u32 = 2 * COUNT_BITS;

/// A command that is taken ends once: it is not lost, and not completed twice.
///
/// The same checker fits a whole controller, from the fetch of an entry to its completion, and each block through which commands pass. The
/// host gives no command identifier to two outstanding commands of one queue: that is assumed.
#[derive(Clone, Copy, Debug)]
pub struct Commands;

impl Block for Commands {
    fn name(&self) -> String {
        "nvme_commands".into()
    }

    fn description(&self) -> String {
        "Checks that a command is completed, within a number of clocks, and not twice.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let watched = m.input("watched", COMMAND_BITS);
        let [begin, begin_command] =
            [("begin_taken", 1), ("begin_command", COMMAND_BITS)].map(|(n, bits)| m.input(n, bits));
        let [end, end_command] = [("end_taken", 1), ("end_command", COMMAND_BITS)].map(|(n, bits)| m.input(n, bits));
        let may_end = m.input("may_end", 1);
        let at_rest = m.input("at_rest", 1);
        let clocks_max = m.input("clocks_max", COUNT_BITS);

        // 2. State
        let outstanding = m.reg("is_outstanding", clock, false);
        let waited = m.reg("waited", clock, zero(COUNT_BITS));
        let watched_before = m.reg_without_reset("watched_before", clock, COMMAND_BITS);

        // 3. Conditions
        let begins = m.wire("begins", begin & begin_command.eq(watched));
        let ends = m.wire("ends", end & end_command.eq(watched));

        // 4. Next state
        watched_before.set(watched);
        outstanding.set((outstanding | begins) & !ends);
        when(!outstanding | ends, || waited.set(zero(COUNT_BITS)))
            .else_when(may_end & !waited.all(), || waited.set(waited + 1));

        // 5. Outputs, for what ties this state to that of a controller
        m.output("outstanding", outstanding);
        m.output("waited_clocks", waited);

        // 6. Properties
        m.assume(clock, "watched_stays", watched.eq(watched_before));
        m.assume(clock, "no_command_identifier_is_given_twice", begins.implies(!outstanding));
        m.assert(clock, "no_command_is_completed_twice", ends.implies(outstanding | begins));
        m.assert(clock, "no_command_is_lost", outstanding.implies(waited.le(clocks_max)));
        m.assert(clock, "no_command_is_forgotten_at_rest", at_rest.implies(!outstanding));
        m.cover(clock, "a_command_ends", ends);
    }
}
