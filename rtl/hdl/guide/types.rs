//! The examples of types.md.

use rtl_hdl::{block_fn, hw_bundle, hw_enum, when, Bits, Block, Value};

// example: bundle
hw_enum! {
    /// What a request wants.
    pub enum Kind {
        /// Data from memory.
        Read,
        /// Data to memory.
        Write,
    }
}

hw_bundle! {
    /// A request of the bus.
    pub struct Request {
        /// What it wants.
        pub kind: Kind,
        /// Of the first byte.
        pub address: Bits<32>,
        /// Bytes, less one.
        pub length: Bits<8>,
    }
}

/// Passes requests on and counts those that write beyond a limit.
pub fn bundle() -> impl Block {
    block_fn("watch", |m| {
        let clock = m.clock();
        let request = m.input_as::<Request>("request");
        let (valid, limit) = (m.input("valid", 1), m.input("limit", 32));
        let held = m.reg_as::<Request>("held", clock);
        let beyond = m.reg("beyond", clock, false);

        when(valid, || held.set(request));
        beyond.set(valid & request.kind.is(Kind::Write) & request.address.ge(limit));
        m.output_as::<Request>("last", held);
        m.output("alarm", beyond);
    })
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("bundle", Box::new(bundle()))]
}
