//! AXI4 and AXI4-Lite: port bundles, bridges, protocol monitors.
