//! A register file built from a table of registers.
