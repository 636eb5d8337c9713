//! All of it is run with its firmware in `sim/flash` and `sim/cosim`; here it is elaborated, and its Verilog is looked at, with the others.

use super::{Config, FlashPath};
use rtl_hdl::Block;

pub(crate) fn blocks() -> Vec<Box<dyn Block>> {
    vec![Box::new(FlashPath::new(Config::SMALL))]
}
