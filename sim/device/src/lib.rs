//! trait Device: one handle on the device, several back ends; host memory with fault knobs.
