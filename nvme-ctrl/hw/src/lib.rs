//! The NVMe controller as synthesizable blocks.
