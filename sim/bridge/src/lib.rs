//! # The simulated device offered to real software
//!
//! ```text
//!  software (QEMU, a driver in user space)
//!      |  sockets                                              memory of the software
//!  front end: mpqemu, vfio_user                                        ^
//!      |  Endpoint: configuration space, BAR accesses, reset           | Host: DMA, interrupts
//!      v                                                               |
//!   Bridge ------ inputs, in order ------> thread of the device ------ Device
//!                                              |
//!                                              +--> Recording: every input with its clock
//! ```
//!
//! A [`Bridge`] puts a [`Device`](sim_device::Device) of any back end behind a PCI function: [`ConfigSpace`] is the header with power management,
//! MSI-X and PCI Express. The device runs in a thread of its own, in steps of [`STEP_CLOCKS`]; between two steps it takes the inputs that came.
//! Reads of registers are answered at once, doorbells are posted, and a device that is idle waits without stepping.
//!
//! Whatever carries the accesses is a front end behind two traits, [`Endpoint`] and [`Host`].
//!
//! ## Limits
//! - The device's clock runs only while the device has something to do: times that firmware keeps stand still while it is idle.
//! - Maximum payload and read request size are kept in the configuration space and have no effect.
#![deny(missing_docs)]

mod bridge;
mod config_space;
mod guest_memory;
mod listener;
pub mod mpqemu;
mod recording;
mod transport;
pub mod vfio_user;

pub use bridge::{Activity, Bridge, StartError, STEP_CLOCKS};
pub use config_space::{AddressBits, ConfigSpace, Effect, Identity};
pub use guest_memory::{GuestMemory, MapError, Mapping};
pub use listener::{listen, BindError, Listener};
pub use recording::{Recorder, Recording, ReplayError, Replayed};
pub use transport::{distinct, Endpoint, Host};
