//! # A vfio-user client
//!
//! Stands in for QEMU and SPDK, which are not needed to test the server of `sim-bridge`. It was written from the specification and shares no code with that
//! server but the facts of NVMe and PCI: "vfio-user Protocol Specification", and `linux/vfio.h` for what that leaves to VFIO.
//!
//! ```text
//!   tests of the protocol      sim_host::Driver        benchmark
//!            |                        |                    |
//!            |                  SocketDevice               |   memory, and the page of doorbells, are mapped by both sides
//!            |                        |                    |
//!            +-----> Connection <-- Client <---------------+
//!                        |
//!                      socket
//! ```
//!
//! - [`Connection`]: any bytes and files, and the messages that come back.
//! - [`Client`]: the commands, with DMA requests of the server answered from a [`Memory`] while it waits.
//! - [`SocketDevice`]: the device behind the socket as a [`sim_device::Device`], whose memory is reached by messages only.
//! - [`benchmark`]: polled reads from mapped memory, as a driver in user space does them.
#![deny(missing_docs)]

mod benchmark;
mod client;
mod connection;
mod device;

pub use benchmark::{benchmark, Figures, QUEUE_DEPTH};
pub use client::{action, command, data, map, region, Client, DeviceInfo, InterruptInfo, Memory, NoMemory, RegionInfo};
pub use connection::{Connection, Error, Incoming, ERROR, NO_REPLY, REPLY};
pub use device::{DoorbellPath, SocketDevice};
