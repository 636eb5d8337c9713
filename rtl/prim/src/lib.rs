//! Streams, skid buffers, FIFOs, arbiters, RAMs.
