//! The blocks that can be measured and emitted by name.

use rtl_hdl::Block;
use rtl_prim::{Fifo, Payload};

/// Every block, in a configuration that is used.
pub fn all() -> Vec<Box<dyn Block>> {
    vec![Box::new(Fifo::new(Payload::bits(512), 512))]
}
