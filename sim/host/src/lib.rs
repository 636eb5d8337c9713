//! # A small NVMe host
//!
//! [`Driver`] brings a [`Device`](sim_device::Device) up, creates queues, keeps many commands in flight, and holds everything that the device
//! does to host memory against the rules that every NVMe controller keeps:
//!
//! - each command completes once, in the right queue, with the right phase tag, and SQHD is plausible;
//! - completion entries are written as a whole, in order, and never over one that the host has not consumed;
//! - data is written before its completion and only into the buffers of commands in flight; nothing around them changes;
//! - an interrupt comes after a completion; nothing comes while CSTS.RDY is 0;
//! - errors that will come again say Do Not Retry.
//!
//! What is broken comes back as a [`DriverError`]. All waits are bounded, in clocks.
//!
//! ```
//! use nvme_model::Config;
//! use sim_device::{HostMemory, ModelDevice};
//! use sim_host::{Driver, Options};
//!
//! # fn main() -> Result<(), sim_host::DriverError> {
//! let mut device = ModelDevice::new(Config::DEFAULT, HostMemory::new());
//! let mut driver = Driver::new(&mut device, Options::default());
//! let identity = driver.bring_up()?;
//! driver.write(&identity, 7, &[0xA5; 512])?;
//! let mut data = [0; 512];
//! driver.read(&identity, 7, &mut data)?;
//! assert_eq!(data, [0xA5; 512]);
//! # Ok(())
//! # }
//! ```

mod buffer;
mod driver;
mod error;
mod monitor;
mod rings;

pub use buffer::{Buffer, ListPlacement};
pub use driver::{
    blocks_entry, cdw, create_cq_entry, create_sq_entry, delete_entry, identify_entry, wire_prps, with_sgl, Driver,
    Identity, IoTransfer, Options, Waiting,
};
pub use error::{DriverError, Violation};
pub use monitor::Completion;
