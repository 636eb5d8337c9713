//! The examples of foreign.md.

use rtl_hdl::{block_fn, Block, Foreign};

// example: averager
/// A core as somebody else wrote it.
const AVERAGER: &str = "
module averager #(parameter int WIDTH = 8, localparam int SUM = WIDTH + 4) (
  input  logic             clk,
  input  logic             rst,
  input  logic [WIDTH-1:0] sample,
  output logic [SUM-1:0]   sum
);
  always_ff @(posedge clk)
    if (rst) sum <= '0;
    else sum <= sum - (sum >> 4) + SUM'(sample);
endmodule
";

/// The core for samples of 12 bits, with what its text cannot tell.
fn averager() -> Foreign {
    Foreign::from_verilog("averager", AVERAGER).parameter("WIDTH", 12).clock("clk").reset("rst")
}

/// Averages samples.
pub fn average() -> impl Block {
    block_fn("average", |m| {
        let clock = m.clock();
        let sample = m.input("sample", 12);
        let inner = m.foreign("averager", &averager(), &[clock]);
        inner.port("sample").set(sample);
        m.output("mean", inner.port("sum").bits(4..16));
    })
}
// end

pub fn shown() -> Vec<(&'static str, Box<dyn Block>)> {
    vec![("averager", Box::new(average()))]
}
