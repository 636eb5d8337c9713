//! The dual-port RAM in the HDL and by hand, in configurations that fit block RAM and UltraRAM.

use rtl_hdl::MemoryStyle;
use rtl_prim::dual_port_ram::{Clocks, DualPortRam};

const BY_HAND: &str = include_str!("dual_port_ram.sv");

/// The configurations that are compared.
pub const CONFIGURATIONS: [DualPortRam; 6] = [
    ram(32, 1024, 4, MemoryStyle::Block, Clocks::Two),
    ram(36, 2048, 4, MemoryStyle::Block, Clocks::Two),
    ram(64, 4096, 8, MemoryStyle::Block, Clocks::Two),
    ram(64, 512, 8, MemoryStyle::Block, Clocks::One),
    ram(64, 4096, 8, MemoryStyle::Ultra, Clocks::One),
    ram(72, 8192, 8, MemoryStyle::Ultra, Clocks::One),
];

const fn ram(width: u32, depth: u32, lanes: u32, style: MemoryStyle, clocks: Clocks) -> DualPortRam {
    DualPortRam { width, depth, lanes, style, clocks }
}

/// The same memory by hand, and its top module.
pub fn by_hand(ram: &DualPortRam) -> (String, String) {
    let text = match ram.style {
        MemoryStyle::Ultra => BY_HAND.replace("\"block\"", "\"ultra\""),
        _ => BY_HAND.to_owned(),
    };
    let DualPortRam { width, depth, lanes, clocks, .. } = ram;
    let address = rtl_hdl::address_width(*depth) - 1;
    let b_clock = match clocks {
        Clocks::One => "a_clock",
        Clocks::Two => "b_clock",
    };
    let port = |name: &str| {
        format!(
            "input logic [{address}:0] {name}_address, input logic [{}:0] {name}_write_data, input logic [{}:0] {name}_write, \
             input logic {name}_read, output logic [{}:0] {name}_read_data",
            width - 1,
            lanes - 1,
            width - 1
        )
    };
    let top = format!(
        "module top(input logic a_clock, input logic b_clock, {}, {});\n  \
         dual_port_ram_by_hand #(.WIDTH({width}), .DEPTH({depth}), .LANES({lanes})) ram (.*, .b_clock({b_clock}));\nendmodule\n",
        port("a"),
        port("b")
    );
    (text + &top, "top".into())
}
