//! The RTL tops: wiring only.
