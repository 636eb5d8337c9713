//! Properties of the reader of Verilog.

use proptest::prelude::*;
use soc_tile::verilog::{Direction, Edits, Item, Source};

#[test]
fn tmp() {
    let t = std::time::Instant::now();
    for f in ["LitexFull4DConfig.v", "LitexFull4DConfig.behav_srams.v"] {
        let text = std::fs::read_to_string(format!("/tmp/rocket/{f}")).unwrap();
        let s = Source::read(f, &text).unwrap_or_else(|e| panic!("{e}"));
        eprintln!("{} {:?}", s.modules().len(), t.elapsed());
        assert!(s.write_all(&Edits::default()) == text);
    }
}
