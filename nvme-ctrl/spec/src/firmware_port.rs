//! The controller's firmware port.
