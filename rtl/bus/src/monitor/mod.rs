//! Protocol monitors.
