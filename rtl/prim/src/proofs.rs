//! What is proved of the blocks of this crate: see `cargo xtask formal`.

use crate::*;
use rtl_hdl::formal::Proof;
use rtl_hdl::{hw_bundle, Bits};

hw_bundle! {
    /// An item with a field that ends a burst.
    struct Beat {
        /// Chooses an output.
        target: Bits<1>,
        /// Ends a burst.
        last: Bits<1>,
        /// The rest.
        data: Bits<2>,
    }
}

/// Every proof, in configurations that are small and have every case in them.
pub fn proofs() -> Vec<Proof> {
    let beats = || Payload::of::<Beat>("small_beat");
    let mut proofs = Vec::new();
    for depth in [1, 2, 3, 4, 7] {
        proofs.push(Proof::by_induction(Fifo::new(Payload::bits(4), depth), 6));
    }
    proofs.push(Proof::by_induction(SkidBuffer { payload: beats() }, 6));
    for requests in [1, 2, 3, 5] {
        proofs.push(Proof::by_induction(RoundRobin { requests }, 4));
        proofs.push(Proof::by_induction(RoundRobinRegistered { requests }, 4));
    }
    for (inputs, lock) in [(1, Lock::Item), (3, Lock::Item), (2, Lock::UntilLast), (3, Lock::UntilLast)] {
        proofs.push(Proof::by_induction(StreamArbiter { inputs, payload: beats(), lock }, 6));
    }
    proofs.push(Proof::by_induction(StreamDemux::new(2, beats(), "target", 0..1), 6));
    proofs.push(Proof::by_induction(StreamDemux::new(3, beats(), "data", 0..2), 6));
    proofs
}
