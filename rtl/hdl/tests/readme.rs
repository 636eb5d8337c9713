//! What the README shows is what the program does.

use rtl_hdl::{elaborate, emit};

#[path = "../examples/counter.rs"]
mod counter;

const README: &str = include_str!("../README.md");
const EXAMPLE: &str = include_str!("../examples/counter.rs");

/// The text between the fences of the first code block that begins with `fence`.
fn block(fence: &str) -> &'static str {
    let start = README.find(fence).expect("the README has the block") + fence.len() + 1;
    let length = README[start..].find("```").expect("the block ends");
    &README[start..start + length]
}

#[test]
fn the_first_block_is_the_example() {
    let part = |text: &'static str, mark: &str| text.split(mark).nth(1).expect("the example has its marks").trim();
    let example = EXAMPLE.split("// README: end").next().unwrap();
    let example = part(example, "// README: begin");
    assert!(README.contains(example), "the README should show:\n{example}");
}

#[test]
fn its_verilog_is_what_is_emitted() {
    let design = elaborate(&counter::Counter { width: 8 }).unwrap();
    // Seen from here the example has another path.
    let text = emit(&design)[0].text.replace("tests/../", "");
    assert_eq!(block("```systemverilog"), text, "the README should show:\n{text}");
}
