//! NVMe wire formats, registers, opcodes, status codes and limits.
//!
//! Every number of the NVMe controller has its only home here; hardware, firmware, model, simulator and tools read it from here. References name
//! the NVM Express Base Specification ("NVMe Base"), the NVM Command Set Specification ("NVM Command Set") and the PCIe Transport
//! Specification ("NVMe PCIe"), with the title of the section.
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod copy;
pub mod count;
pub mod dataset;
pub mod decode;
pub mod entry;
pub mod fatal;
pub mod feature;
pub mod firmware_port;
pub mod identify;
pub mod image;
pub mod limits;
pub mod log;
pub mod opcode;
pub mod pci;
pub mod reg;
pub mod regs;
pub mod sanitize;
pub mod sgl;
pub mod status;

pub use count::ZeroBased;
pub use decode::{
    decode_fused, decode_io, is_fast_path, FrameCommand, IoCommand, LbaRange, Limits, NamespaceInfo, Transfer,
};
pub use entry::{CqEntry, SqEntry};
pub use fatal::FatalCode;
pub use sgl::{DataPointer, SglDescriptor};
pub use status::Status;
