//! The examples of foreign.md.

use rtl_hdl::Block;

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![]
}
