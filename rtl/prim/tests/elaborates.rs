//! Every block elaborates in several configurations.

use rtl_hdl::{block_fn, elaborate, emit, hw_bundle, when, Bits, Block};
use rtl_prim::*;

hw_bundle! {
    /// A beat.
    pub struct Beat {
        /// Data.
        pub data: Bits<70>,
        /// Of a burst.
        pub last: Bits<1>,
    }
}

fn check(block: &dyn Block) {
    let design = elaborate(block).unwrap_or_else(|problems| panic!("{}: {problems}", block.name()));
    assert!(!emit(&design).is_empty());
}

#[test]
fn every_block_elaborates() {
    for payload in [Payload::bits(1), Payload::bits(200), Payload::of::<Beat>("beat"), Payload::of::<Bits<9>>("nine")] {
        for depth in [1, 2, 3, 64, 65, 1000] {
            check(&Fifo::new(payload.clone(), depth));
        }
        check(&SkidBuffer { payload: payload.clone() });
        for inputs in 1..5 {
            for lock in [Lock::Item, Lock::UntilLast] {
                check(&StreamArbiter { inputs, payload: payload.clone(), lock });
            }
        }
    }
    for requests in [1, 2, 3, 64, 200] {
        check(&RoundRobin { requests });
        check(&RoundRobinRegistered { requests });
    }
    check(&StreamDemux::new(3, Payload::bits(8), "data", 6..8));
    check(&StreamDemux::new(2, Payload::of::<Beat>("beat"), "last", 0..1));
}

#[test]
fn typed_streams_connect_to_a_fifo() {
    let source = block_fn("source", |m| {
        m.clock();
        let beat = m.stream_in::<Beat>("beat");
        let out = m.stream_out::<Beat>("out");
        let inner = fifo_of::<Beat>(m, "inner", 4);
        when(inner.can_push(), || {
            beat.take();
            when(beat.valid(), || inner.push(beat.payload()));
        });
        when(out.can_take() & inner.valid(), || {
            inner.take();
            out.offer(inner.payload());
        });
    });
    check(&block_fn("top", |m| {
        m.clock();
        let source = m.instance("source", &source);
        let fifo = m.instance("fifo", &Fifo::new(Payload::of::<Beat>("beat"), 16));
        m.export(&source, "beat", "beat");
        m.connect(&source, "out", &fifo, "in");
        m.export(&fifo, "out", "output");
    }));
}
