//! The examples of streams.md.

use rtl_hdl::{block_fn, hw_bundle, when, Bits, Block};

// example: doubler
hw_bundle! {
    /// A sample of a channel.
    pub struct Sample {
        /// Which.
        pub channel: Bits<3>,
        /// Its value.
        pub value: Bits<12>,
    }
}

/// Doubles each sample, and drops those of channel 7.
pub fn doubler() -> impl Block {
    block_fn("doubler", |m| {
        m.clock();
        let input = m.stream_in::<Sample>("in");
        let output = m.stream_out_single::<Sample>("out");

        let sample = input.payload();
        let dropped = m.wire("dropped", sample.channel.eq(7));
        let doubled = Sample { value: sample.value + sample.value, ..sample };
        when(output.can_take(), || {
            input.take();
            when(input.valid() & !dropped, || output.offer(doubled));
        });
    })
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("doubler", Box::new(doubler()))]
}
