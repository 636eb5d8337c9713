//! What lies where in the memory of firmware: [`FIRMWARE`].
//!
//! ```text
//!   STACKS       a stack for each hart, growing downwards: that of hart 0 is the lowest, and beyond it there is nothing that it could reach
//!   IMAGE        the image, and what it keeps beside it
//!   PARAMETERS   what firmware is told at its start
//!   RECORD       what it leaves behind when it stops
//! ```

use crate::{Region, FIRMWARE, HARTS_MAX};

/// Bytes of the stack of a hart. The state of the firmware, of half a MiB, is built there, and may be copied there, before it comes to its place.
pub const STACK_BYTES: u64 = 2 << 20;

/// The stacks of the harts, by their numbers.
pub const STACKS: Region = Region {
    name: "firmware-stacks",
    base: FIRMWARE.base,
    bytes: HARTS_MAX as u64 * STACK_BYTES,
    doc: "Stacks of the harts.",
};

/// Bytes of [`PARAMETERS`], and of [`RECORD`].
const PAGE_BYTES: u64 = 4096;

/// The image, from its start on, and the variables behind it.
pub const IMAGE: Region = Region {
    name: "firmware-image",
    base: STACKS.end(),
    bytes: PARAMETERS.base - STACKS.end(),
    doc: "The firmware's image and its variables.",
};

/// Where firmware begins to run: the boot ROM jumps there.
pub const ENTRY: u64 = IMAGE.base;

/// Most bytes of the image: what is loaded, without variables that begin as zero.
pub const IMAGE_BYTES_MAX: u64 = 256 << 10;

/// What firmware is told at its start. The boot ROM passes its address in `a1`, and the number of the hart in `a0`, as RISC-V's boot loaders do.
pub const PARAMETERS: Region = Region {
    name: "firmware-parameters",
    base: RECORD.base - PAGE_BYTES,
    bytes: PAGE_BYTES,
    doc: "What firmware is told at its start.",
};

/// What firmware leaves behind when it stops.
pub const RECORD: Region = Region {
    name: "firmware-record",
    base: FIRMWARE.end() - PAGE_BYTES,
    bytes: PAGE_BYTES,
    doc: "Why firmware has stopped.",
};

const _: () = assert!(crate::regions_are_disjoint(&[STACKS, IMAGE, PARAMETERS, RECORD]));
const _: () = assert!(IMAGE_BYTES_MAX < IMAGE.bytes);
