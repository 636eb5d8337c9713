//! The firmware against a fake of the firmware port. Letters and numbers of the cases are those of the project's NVMe checklist.

mod bench;
mod copy;
mod erasure;
mod events;
mod fake_port;
mod features;
mod frames;
mod functions;
mod held;
mod identify;
mod images;
mod keep_alive;
mod life;
mod logs;
mod namespaces;
mod opcodes;
mod queues;
mod random;
mod sanitize;

// The port fits the place that the address map gives it.
const _: () = assert!(soc_map::NVME_FIRMWARE_PORT.bytes == nvme_spec::firmware_port::PORT_BYTES as u64);
