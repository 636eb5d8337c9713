//! What any NVMe controller promises its host, as checkers.
//!
//! Each checker is a block whose inputs are what crosses the boundary of a controller, or of one of its blocks: doorbells, fetches, completion queue
//! entries, accesses of host memory, CC.EN and CSTS.RDY. It asserts what must hold, and keeps what it needs to know for that. An instance beside a
//! design checks it in simulation in every clock; a formal tool proves it for all runs. The outputs of a checker are its state, for the
//! sentences that a proof by induction needs.
//!
//! A checker watches one queue, one command, or one dword. Which one is an input that stays: a constant in simulation, and anything in a proof, which
//! so is about all of them.
//!
//! How others bind them to a controller of their own is on the page `README.md` of this crate, which is in every bundle; how they are bound to
//! ours, and what is proved, in `docs/properties.md`.

#![deny(missing_docs)]

mod arbitration;
mod commands;
mod completions;
mod fetches;
mod lives;
mod order;
mod pointers;
mod ring;

pub use arbitration::{Arbitration, Class};
pub use commands::{Commands, COMMAND_BITS};
pub use completions::Completions;
pub use fetches::Fetches;
pub use lives::Lives;
pub use order::Order;
pub use pointers::{Pointers, DWORD_ADDRESS_BITS, DWORD_COUNT_BITS, QWORD_ADDRESS_BITS, QWORD_COUNT_BITS};

use rtl_hdl::{hw_bundle, Bits, Block};

/// Bits of a queue identifier, of a number of entries, and of a position in a queue.
pub const COUNT_BITS: u32 = 16;

/// The guide for those who bind the checkers to a controller of their own.
pub const GUIDE: &str = include_str!("../README.md");

hw_bundle! {
    /// A queue is created.
    pub struct QueueBegins {
        /// Its identifier.
        pub queue: Bits<COUNT_BITS>,
        /// Where its first entry lies.
        pub address: Bits<64>,
        /// Index of the last entry: the number of entries minus one.
        pub last: Bits<COUNT_BITS>,
    }
}

/// Every checker.
pub fn checkers() -> Vec<Box<dyn Block>> {
    vec![
        Box::new(Fetches),
        Box::new(Completions),
        Box::new(Commands),
        Box::new(Lives),
        Box::new(Arbitration),
        Box::new(Order),
        Box::new(Pointers),
    ]
}

/// A property of a checker.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// The checker.
    pub checker: &'static str,
    /// Its assertion.
    pub name: &'static str,
    /// What must hold.
    pub statement: &'static str,
    /// Where the specification says so.
    pub section: &'static str,
}

/// Every property.
pub const PROPERTIES: &[Property] = &[
    Property {
        checker: "nvme_fetches",
        name: "fetches_are_of_a_queue",
        statement: "Nothing is fetched from a queue that does not exist.",
        section: "NVMe Base, \"Submission Queue Entry\"",
    },
    Property {
        checker: "nvme_fetches",
        name: "nothing_is_fetched_beyond_the_tail",
        statement: "At most those entries are fetched that a tail doorbell has published.",
        section: "NVMe Base, \"Offset 1000h + (2y * (4 << CAP.DSTRD)): SQyTDBL - Submission Queue y Tail Doorbell\"",
    },
    Property {
        checker: "nvme_fetches",
        name: "entries_are_fetched_in_order",
        statement: "Each fetch begins where the one before it ended: no entry is left out, and none is fetched twice.",
        section: "NVMe Base, \"Queues\"",
    },
    Property {
        checker: "nvme_fetches",
        name: "a_fetch_ends_with_the_ring",
        statement: "No fetch goes beyond the last entry; the next one begins at the first.",
        section: "NVMe Base, \"Queues\"",
    },
    Property {
        checker: "nvme_completions",
        name: "completions_are_of_a_queue",
        statement: "Nothing is written to a queue that does not exist.",
        section: "NVMe Base, \"Completion Queue Entry\"",
    },
    Property {
        checker: "nvme_completions",
        name: "no_completion_over_an_unconsumed_one",
        statement: "A completion is not written over one that the host has not consumed, and one entry stays empty.",
        section: "NVMe Base, \"Full Queue\"",
    },
    Property {
        checker: "nvme_completions",
        name: "completions_follow_one_another",
        statement: "Each completion is written behind the one before it, and after the last entry comes the first.",
        section: "NVMe Base, \"Queues\"",
    },
    Property {
        checker: "nvme_completions",
        name: "the_phase_inverts_on_each_pass",
        statement: "The phase tag is 1 on the first pass through the queue, and inverts on each.",
        section: "NVMe Base, \"Phase Tag\"",
    },
    Property {
        checker: "nvme_commands",
        name: "no_command_is_completed_twice",
        statement: "Only an outstanding command is completed.",
        section: "NVMe Base, \"Command Processing\"",
    },
    Property {
        checker: "nvme_commands",
        name: "no_command_is_lost",
        statement: "An outstanding command is completed within a number of clocks in which nothing outside holds it up.",
        section: "NVMe Base, \"Command Processing\"",
    },
    Property {
        checker: "nvme_commands",
        name: "no_command_is_forgotten_at_rest",
        statement: "Who says that nothing is in flight has no outstanding command.",
        section: "NVMe Base, \"Command Processing\"",
    },
    Property {
        checker: "nvme_lives",
        name: "no_access_after_ready_has_fallen",
        statement: "After CSTS.RDY has fallen host memory is neither read nor written until CC.EN is set again.",
        section: "NVMe Base, \"Controller Level Reset\"",
    },
    Property {
        checker: "nvme_lives",
        name: "nothing_is_under_way_when_ready_falls",
        statement: "When CSTS.RDY falls each read and write has been answered.",
        section: "NVMe Base, \"Controller Level Reset\"",
    },
    Property {
        checker: "nvme_arbitration",
        name: "a_turn_is_within_the_burst",
        statement: "No more entries are fetched at once than the Arbitration Burst says.",
        section: "NVMe Base, \"Arbitration (Feature Identifier 01h)\"",
    },
    Property {
        checker: "nvme_arbitration",
        name: "admin_and_urgent_queues_go_first",
        statement: "While the admin queue or one of urgent priority waits, no lower class is served, but for one turn that was given before.",
        section: "NVMe Base, \"Weighted Round Robin with Urgent Priority Class Arbitration\"",
    },
    Property {
        checker: "nvme_arbitration",
        name: "shares_are_by_weight",
        statement: "A class that waits meets at most twice the weight of another class in entries.",
        section: "NVMe Base, \"Weighted Round Robin with Urgent Priority Class Arbitration\"",
    },
    Property {
        checker: "nvme_order",
        name: "data_is_before_its_completion",
        statement: "The data of a command is written to host memory before its completion.",
        section: "NVMe Base, \"Command Processing\"",
    },
    Property {
        checker: "nvme_order",
        name: "the_completion_is_before_its_interrupt",
        statement: "A completion is written to host memory before its interrupt.",
        section: "NVMe over PCIe, \"Interrupts\"",
    },
    Property {
        checker: "nvme_pointers",
        name: "no_access_without_a_command",
        statement: "No data is moved without a command that is outstanding.",
        section: "NVMe Base, \"Data Pointer\"",
    },
    Property {
        checker: "nvme_pointers",
        name: "no_access_outside_the_data_pointer",
        statement: "Data is moved only within the pages that the PRPs of the command name, those of a list one after the other, or within the data blocks of its SGL.",
        section: "NVMe Base, \"Physical Region Page Entry and List\", \"Scatter Gather List (SGL)\"",
    },
    Property {
        checker: "nvme_pointers",
        name: "no_list_outside_the_data_pointer",
        statement: "Lists of PRPs and segments of SGLs are read only where the command says, or the list or segment before, and not beyond their ends.",
        section: "NVMe Base, \"Physical Region Page Entry and List\", \"Scatter Gather List (SGL)\"",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use rtl_hdl::sim::Simulator;
    use rtl_hdl::{elaborate, Evaluator};

    const ADDRESS: u64 = 4096;

    /// A simulation with a checker of completion queue 3, which has two entries; `phase` is that of the second pass.
    fn second_pass_with(phase: u64) {
        let design = elaborate(&Completions).unwrap();
        let mut simulation = Evaluator::new(&design).unwrap();
        let mut clock = |pokes: &[(&str, u64)]| {
            let inputs = ["reset", "create", "remove", "ring", "post"];
            for (name, value) in inputs.iter().map(|name| (*name, 0)).chain(pokes.iter().copied()) {
                let port = simulation.port(name);
                simulation.poke_u64(port, value);
            }
            simulation.step();
        };
        clock(&[("reset", 1), ("watched", 3), ("create_queue", 3), ("ring_queue", 3), ("post_queue", 3)]);
        clock(&[("create", 1), ("create_address", ADDRESS), ("create_last", 1)]);
        for (place, head, phase) in [(0, 1, 1), (1, 0, 1), (0, 1, phase)] {
            clock(&[("post", 1), ("post_address", ADDRESS + 16 * place), ("post_phase", phase)]);
            clock(&[("ring", 1), ("ring_head", head)]);
        }
    }

    #[test]
    fn a_simulation_checks_what_is_right() {
        second_pass_with(0);
    }

    #[test]
    #[should_panic(expected = "the_phase_inverts_on_each_pass")]
    fn a_simulation_stops_at_what_is_wrong() {
        second_pass_with(1);
    }
}
