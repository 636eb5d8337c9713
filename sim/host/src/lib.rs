//! A small NVMe host driver that checks the universal rules while it runs.
