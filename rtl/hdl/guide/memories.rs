//! The examples of memories.md.

use rtl_hdl::{block_fn, Block, MemoryStyle};

// example: scratchpad
/// A RAM with a write port that has an enable for each byte, and a read port.
pub fn scratchpad() -> impl Block {
    block_fn("scratchpad", |m| {
        let clock = m.clock();
        let (write, write_address) = (m.input("write", 1), m.input("write_address", 9));
        let (data, bytes) = (m.input("data", 32), m.input("bytes", 4));
        let (read, read_address) = (m.input("read", 1), m.input("read_address", 9));

        let words = m.memory("words", 32, 512, MemoryStyle::Block);
        words.write_lanes(clock, write, write_address, data, bytes);
        let word = words.read_when(clock, "word", read, read_address);
        m.output("q", word);
    })
}
// end

// example: two_clocks
/// Written in one clock domain, read in another.
pub fn two_clocks() -> impl Block {
    block_fn("mailbox_ram", |m| {
        let fast = m.named_clock("fast", None);
        let slow = m.named_clock("slow", None);
        let (write, data) = (m.input_of("write", 1, fast), m.input_of("data", 72, fast));
        let (write_address, read_address) = (m.input_of("write_address", 9, fast), m.input_of("read_address", 9, slow));

        let words = m.memory("words", 72, 512, MemoryStyle::Block);
        let words = words.crosses_clocks("a pointer that crosses later says which words are whole");
        words.write(fast, write, write_address, data);
        let word = words.read(slow, "word", read_address);
        m.output("q", word);
    })
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("scratchpad", Box::new(scratchpad())), ("two_clocks", Box::new(two_clocks()))]
}
