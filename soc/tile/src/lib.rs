//! wip
pub mod verilog;
