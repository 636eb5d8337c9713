//! The running block.
