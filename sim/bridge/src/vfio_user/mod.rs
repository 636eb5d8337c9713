//! # vfio-user: the device behind a socket for QEMU and for drivers in user space
//!
//! "vfio-user Protocol Specification". QEMU 10.1 and later (`vfio-user-pci`) and SPDK (transport `VFIOUSER`) are clients.
//!
//! ```text
//!              client                     |                     server
//!  configuration space, registers ------ REGION_READ, _WRITE -------> session --> Endpoint
//!  doorbells ----------------------- a page that both have mapped --> doorbells --> Endpoint
//!  memory <----- mapped files, or DMA_READ and DMA_WRITE messages --- memory <-- Host: reads, writes
//!  interrupts <------------------------- event files ---------------- interrupts <-- Host: messages
//! ```
//!
//! Each function has a socket: `DIR/cntrl` is that of function 0, `DIR/1/cntrl` that of function 1. [`Server::bind`] makes them, mode 0600; `DIR` is made
//! with mode 0700, or must be a directory that only this user can write. The socket of a server that has died is replaced, that of one which lives is not.
//!
//! ## Theory of operation
//! A function serves one client at a time; another one that connects waits, without an answer, until the first has gone. Then the function is reset, its
//! windows are unmapped, all files closed, and the next client finds it as after power-on.
//!
//! One thread for each function receives. It never waits for the device: the device may be waiting for the answer to a DMA_READ, which that thread has to
//! receive. So reads of registers are answered by the device's thread, and a window that is being accessed is unmapped, and this answered, at the end of that
//! access. Writes are answered when they are in line.
//!
//! ## Limits
//! - A client that stays connected and takes no messages, or does not answer DMA_READ, stops the device for all functions until it goes.
//! - Doorbells in the page are written as dwords. All ones, which no doorbell can hold, is not seen there.
//! - No twin socket, no migration, no REGION_WRITE_MULTI, no GET_REGION_IO_FDS: none is offered, and each is refused.
//! - A file cannot be mapped so that it ends with the last byte of the address space.

mod doorbells;
mod interrupts;
mod link;
mod memory;
mod server;
mod session;
mod version;
mod wire;

pub use server::{Server, Serving, VfioUserHost};
