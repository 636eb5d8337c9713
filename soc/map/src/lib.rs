//! Address map, interrupt numbers and memory sizes.
