//! The only crate that touches memory-mapped registers.
