//! Verilated models of emitted hardware: fetch, build, load, and the Verilated back end.
