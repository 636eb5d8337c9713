//! The NVMe controller's firmware: admin commands, features, logs, events.
