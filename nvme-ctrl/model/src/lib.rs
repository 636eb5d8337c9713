//! A reference NVMe controller in plain Rust.
