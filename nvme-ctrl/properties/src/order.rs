//! In which order data, completions and interrupts reach host memory.

use rtl_hdl::{when, zero, Block, Clock, Module, Signal};

/// Bits of a number of writes on their way.
const WRITE_BITS: u32 = 8;

/// Data is in host memory before its completion, the completion before its interrupt.
///
/// Writes of one kind leave in the order in which they come. What comes first of two kinds leaves first: a completion comes when the data of its
/// command has come, an interrupt when its completion has. `watch` chooses the completion and the interrupt that are watched; it is free.
#[derive(Clone, Copy, Debug)]
pub struct Order;

/// Writes of one kind, and the one of them that is watched.
struct Writes {
    waiting: Signal,
    inside: Signal,
    ahead: Signal,
    /// The watched one leaves.
    leaves: Signal,
}

impl Writes {
    /// `leave` of them leave, the oldest first.
    #[track_caller]
    fn new(m: &Module, clock: Clock, name: &str, comes: Signal, leave: Signal, watch: Signal) -> Writes {
        let named = |part: &str| format!("{name}_{part}");
        let waiting = m.reg(&named("waiting"), clock, zero(WRITE_BITS));
        let inside = m.reg(&named("inside"), clock, false);
        let ahead = m.reg(&named("ahead"), clock, zero(WRITE_BITS));
        let leaves = m.wire(&named("leaves"), inside & leave.gt(ahead));
        waiting.set(waiting + comes.zext(WRITE_BITS) - leave);
        when(inside, || ahead.set(ahead - leave));
        when(leaves, || inside.set(false));
        when(comes & watch & !inside, || {
            inside.set(true);
            ahead.set(waiting - leave);
        });
        Writes { waiting, inside, ahead, leaves }
    }
}

impl Block for Order {
    fn name(&self) -> String {
        "nvme_order".into()
    }

    fn description(&self) -> String {
        "Checks that data reaches host memory before its completion, and that before its interrupt.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let watch = m.input("watch", 1);
        let [data_comes, data_leaves] = ["data_comes", "data_leaves"].map(|name| m.input(name, 1));
        let completion_comes = m.input("completion_comes", 1);
        let completions_leave = m.input("completions_leave", WRITE_BITS);
        let [interrupt_comes, interrupt_leaves] = ["interrupt_comes", "interrupt_leaves"].map(|name| m.input(name, 1));

        // 2. State
        let data = m.reg("data_held", clock, zero(WRITE_BITS));
        let completions = Writes::new(m, clock, "posted", completion_comes, completions_leave, watch);
        let interrupts = Writes::new(m, clock, "sent", interrupt_comes, interrupt_leaves.zext(WRITE_BITS), watch);
        // What came before the watched one and has not left.
        let data_before = m.reg("data_before", clock, zero(WRITE_BITS));
        let completions_before = m.reg("completions_before", clock, zero(WRITE_BITS));

        // 4. Next state
        data.set(data + data_comes.zext(WRITE_BITS) - data_leaves.zext(WRITE_BITS));
        when(data_before.any(), || data_before.set(data_before - data_leaves.zext(WRITE_BITS)));
        when(completion_comes & watch & !completions.inside, || {
            data_before.set(data - data_leaves.zext(WRITE_BITS));
        });
        let gone = completions_leave.ge(completions_before);
        completions_before.set(gone.mux(completions_leave.literal(0u8), completions_before - completions_leave));
        when(interrupt_comes & watch & !interrupts.inside, || {
            completions_before.set(completions.waiting - completions_leave);
        });

        // 5. Outputs, for what ties this state to that of a controller
        for (name, value) in [
            ("data", data),
            ("completions", completions.waiting),
            ("interrupts", interrupts.waiting),
            ("watched_completion", completions.inside),
            ("watched_completion_ahead", completions.ahead),
            ("watched_completion_data", data_before),
            ("watched_interrupt", interrupts.inside),
            ("watched_interrupt_ahead", interrupts.ahead),
            ("watched_interrupt_completions", completions_before),
        ] {
            m.output(name, value);
        }

        // 6. Properties
        m.assert(clock, "data_is_before_its_completion", completions.leaves.implies(!data_before.any()));
        m.assert(clock, "the_completion_is_before_its_interrupt", interrupts.leaves.implies(!completions_before.any()));
        m.cover(clock, "a_completion_leaves", completions.leaves);
        m.cover(clock, "an_interrupt_leaves", interrupts.leaves);
    }
}
