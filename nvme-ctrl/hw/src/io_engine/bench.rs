//! The running block.

use super::IoEngine;
use crate::{direct::Direct, Config};
use rtl_hdl::elaborate;

#[test]
fn elaborates() {
    for config in [Config::SMALL, Config::DEFAULT] {
        elaborate(&IoEngine::new(config)).unwrap_or_else(|problems| panic!("{problems}"));
        elaborate(&Direct::new(config, 1 << 30)).unwrap_or_else(|problems| panic!("{problems}"));
    }
}
