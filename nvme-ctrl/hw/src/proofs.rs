//! What is proved of the blocks of this crate: see `cargo xtask formal`.

use crate::*;
use rtl_hdl::formal::{Goal, Proof};
use rtl_hdl::Block;

/// Every proof, in configurations that are small and have every case in them. Of blocks without properties of their own it is the rule of streams.
pub fn proofs() -> Vec<Proof> {
    let config = Config::SMALL;
    let functions = Config { functions: 2, ..config };
    vec![
        streams_of(arbiter::Arbiter::new(functions)),
        streams_of(complete::Complete),
        streams_of(decode::Decode::new(functions)),
        streams_of(errand::Errand),
        streams_of(host_port::HostPort::new(functions)),
        streams_of(irq::Irq::new(functions)),
        streams_of(mailbox::Mailbox::new(config)),
        streams_of(queues::Queues::new(functions)),
        streams_of(regs::Regs::new(functions)),
        streams_of(sq_fetch::SqFetch::new(config)),
        streams_of(buffer::Buffer),
        streams_of(slots::Slots::new(config)),
        streams_of(list_reader::ListReader),
        streams_of(walk::Walk),
        streams_of(units::Units::new(config)),
        streams_of(dma_read::DmaRead::new(config)),
        streams_of(dma_write::DmaWrite::new(config)),
    ]
}

/// That offers stay: it takes two clocks, and nothing is deep.
#[track_caller]
fn streams_of(block: impl Block + 'static) -> Proof {
    Proof { goal: Goal::Induction { base: 3, step: 3 }, ..Proof::by_induction(block, 3).cover(0) }
}
