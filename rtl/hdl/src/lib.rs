//! A hardware description language in Rust: signals, blocks, checks, evaluator, SystemVerilog.
