//! Configuration space of a PCIe function of the controller, as data. PCI Local Bus, "Configuration Space"; PCI Express Base, "PCI Express Capability
//! Structure"; NVMe over PCIe, "PCI Header".
//!
//! On a board the PCIe block of the FPGA has this space; in simulation it is made from here.

use crate::identify::PCI_VENDOR_ID;
use crate::reg::{regs_are_disjoint, Access, Field, Reg};
use crate::regs::{BAR0_BYTES, MSIX_PBA, MSIX_TABLE};

/// Bytes of the configuration space that every access mechanism reaches.
pub const CONFIG_BYTES: u32 = 256;

/// Bytes of the configuration space of a PCI Express function. Behind [`CONFIG_BYTES`] there are no extended capabilities: it reads as zero.
pub const EXTENDED_CONFIG_BYTES: u32 = 4096;

/// Device ID: chosen by this project among those of [`PCI_VENDOR_ID`].
pub const DEVICE_ID: u16 = 0xFD01;

/// Class code: mass storage, non-volatile memory, NVM Express I/O controller. NVMe over PCIe, "Class Code".
pub const CLASS_CODE: u32 = 0x01_08_02;

/// Most entries of an MSI-X table in [`MSIX_TABLE`].
pub const VECTORS_MAX: u32 = (MSIX_TABLE.end - MSIX_TABLE.start) / crate::regs::MSIX_ENTRY_BYTES;

/// Vendor and device.
pub const ID: Reg = Reg {
    name: "ID",
    offset: 0x00,
    bytes: 4,
    reset: (DEVICE_ID as u64) << 16 | PCI_VENDOR_ID as u64,
    fields: &[],
    doc: "Vendor ID and Device ID.",
};

/// Fields of [`COMMAND`].
pub mod command {
    use super::{Access, Field};

    /// Memory Space Enable.
    pub const MEMORY_SPACE_ENABLE: Field =
        Field::new("MSE", 1, 1, Access::Rw).with_doc("The BARs answer. Who routes accesses to the function obeys it.");
    /// Bus Master Enable.
    pub const BUS_MASTER_ENABLE: Field =
        Field::new("BME", 2, 1, Access::Rw).with_doc("The function may access host memory and send interrupts.");
    /// Parity Error Response.
    pub const PARITY_ERROR_RESPONSE: Field = Field::new("PEE", 6, 1, Access::Rw).with_doc("Kept, without effect.");
    /// SERR# Enable.
    pub const SERR_ENABLE: Field = Field::new("SEE", 8, 1, Access::Rw).with_doc("Kept, without effect.");
    /// Interrupt Disable.
    pub const INTERRUPT_DISABLE: Field =
        Field::new("ID", 10, 1, Access::Rw).with_doc("Kept, without effect: the function has no INTx.");
    /// Status: Capabilities List.
    pub const CAPABILITIES_LIST: Field =
        Field::new("CL", 20, 1, Access::Ro).with_doc("There is a list of capabilities.");
}

/// Command and status.
pub const COMMAND: Reg = Reg {
    name: "CMD/STS",
    offset: 0x04,
    bytes: 4,
    reset: command::CAPABILITIES_LIST.mask(),
    fields: &[
        command::MEMORY_SPACE_ENABLE,
        command::BUS_MASTER_ENABLE,
        command::PARITY_ERROR_RESPONSE,
        command::SERR_ENABLE,
        command::INTERRUPT_DISABLE,
        command::CAPABILITIES_LIST,
    ],
    doc: "Command and Status.",
};

/// Revision and class.
pub const CLASS: Reg = Reg {
    name: "RID/CC",
    offset: 0x08,
    bytes: 4,
    reset: (CLASS_CODE as u64) << 8,
    fields: &[],
    doc: "Revision ID and Class Code.",
};

/// Fields of [`HEADER`].
pub mod header {
    use super::{Access, Field};

    /// Cache Line Size.
    pub const CACHE_LINE_SIZE: Field = Field::new("CLS", 0, 8, Access::Rw).with_doc("Kept, without effect.");
    /// Header Type: more than one function.
    pub const MULTI_FUNCTION: Field =
        Field::new("HTYPE.MFD", 23, 1, Access::Ro).with_doc("The device has more than one function.");
}

/// Cache line size, latency timer, header type, BIST.
pub const HEADER: Reg = Reg {
    name: "CLS/MLT/HTYPE/BIST",
    offset: 0x0C,
    bytes: 4,
    reset: 0,
    fields: &[header::CACHE_LINE_SIZE, header::MULTI_FUNCTION],
    doc: "Cache Line Size, Latency Timer, Header Type 0, BIST.",
};

/// Fields of [`BAR0`].
pub mod bar0 {
    use super::{Access, Field, BAR0_BYTES};

    /// Type: 64-bit address.
    pub const IS_64_BIT: Field =
        Field::new("TP", 2, 1, Access::Ro).with_doc("BAR1 holds the upper half of the address.");
    /// The address.
    pub const ADDRESS: Field =
        Field::new("BA", BAR0_BYTES.trailing_zeros(), 32 - BAR0_BYTES.trailing_zeros(), Access::Rw)
            .with_doc("The address of the registers, a multiple of their size.");
}

/// The lower half of the address of the registers.
pub const BAR0: Reg = Reg {
    name: "MLBAR",
    offset: 0x10,
    bytes: 4,
    reset: bar0::IS_64_BIT.mask(),
    fields: &[bar0::IS_64_BIT, bar0::ADDRESS],
    doc: "Memory Register Base Address, lower 32 bits.",
};

/// The upper half.
pub const BAR1: Reg = Reg {
    name: "MUBAR",
    offset: 0x14,
    bytes: 4,
    reset: 0,
    fields: &[Field::new("BA", 0, 32, Access::Rw)],
    doc: "Memory Register Base Address, upper 32 bits.",
};

/// Subsystem.
pub const SUBSYSTEM: Reg = Reg {
    name: "SS",
    offset: 0x2C,
    bytes: 4,
    reset: ID.reset,
    fields: &[],
    doc: "Subsystem Vendor ID and Subsystem ID.",
};

/// Where the list of capabilities begins.
pub const CAPABILITIES: Reg = Reg {
    name: "CAP",
    offset: 0x34,
    bytes: 4,
    reset: POWER_MANAGEMENT.offset as u64,
    fields: &[],
    doc: "Capabilities Pointer.",
};

/// Interrupt line and pin.
pub const INTERRUPT: Reg = Reg {
    name: "INTR",
    offset: 0x3C,
    bytes: 4,
    reset: 0,
    fields: &[Field::new("ILINE", 0, 8, Access::Rw).with_doc("Kept, without effect.")],
    doc: "Interrupt Line and Pin: there is no INTx.",
};

/// Capability identifiers. PCI Code and ID Assignment, "Capability IDs".
pub mod capability {
    /// PCI Power Management Interface.
    pub const POWER_MANAGEMENT: u8 = 0x01;
    /// PCI Express.
    pub const PCI_EXPRESS: u8 = 0x10;
    /// MSI-X.
    pub const MSIX: u8 = 0x11;
}

const fn capability_header(identifier: u8, next: u32) -> u64 {
    (next as u64) << 8 | identifier as u64
}

/// Version of the power management capability: 1.2.
const POWER_MANAGEMENT_VERSION: u64 = 3;

/// Power management capabilities. PCI Express Base, "Power Management Capability Structure".
pub const POWER_MANAGEMENT: Reg = Reg {
    name: "PMC",
    offset: 0x40,
    bytes: 4,
    reset: POWER_MANAGEMENT_VERSION << 16 | capability_header(capability::POWER_MANAGEMENT, MSIX.offset),
    fields: &[],
    doc: "Power Management: states D0 and D3, no PME.",
};

/// Fields of [`POWER_CONTROL`].
pub mod power_control {
    use super::{Access, Field};

    /// PowerState.
    pub const POWER_STATE: Field =
        Field::new("PS", 0, 2, Access::Rw).with_doc("0: D0; 3: D3hot. Others are not entered.");
    /// No_Soft_Reset.
    pub const NO_SOFT_RESET: Field =
        Field::new("NSFRST", 3, 1, Access::Ro).with_doc("The function keeps its state on the way from D3hot to D0.");
    /// Value of PowerState: D0.
    pub const D0: u32 = 0;
    /// Value of PowerState: D3hot.
    pub const D3_HOT: u32 = 3;
}

/// Power management control and status.
pub const POWER_CONTROL: Reg = Reg {
    name: "PMCS",
    offset: 0x44,
    bytes: 4,
    reset: power_control::NO_SOFT_RESET.mask(),
    fields: &[power_control::POWER_STATE, power_control::NO_SOFT_RESET],
    doc: "Power Management Control and Status.",
};

/// Fields of [`MSIX`].
pub mod msix {
    use super::{Access, Field};

    /// Table Size, minus one.
    pub const TABLE_SIZE: Field = Field::new("TS", 16, 11, Access::Ro).with_doc("Entries of the table, minus one.");
    /// Function Mask.
    pub const FUNCTION_MASK: Field = Field::new("FM", 30, 1, Access::Rw).with_doc("All vectors are masked.");
    /// MSI-X Enable.
    pub const ENABLE: Field = Field::new("MXE", 31, 1, Access::Rw).with_doc("The function sends interrupt messages.");
}

/// MSI-X. PCI Express Base, "MSI-X Capability and Table Structure".
pub const MSIX: Reg = Reg {
    name: "MXC",
    offset: 0x50,
    bytes: 4,
    reset: capability_header(capability::MSIX, EXPRESS.offset),
    fields: &[msix::TABLE_SIZE, msix::FUNCTION_MASK, msix::ENABLE],
    doc: "MSI-X Message Control.",
};

/// Where the MSI-X table is: in BAR0.
pub const MSIX_TABLE_PLACE: Reg = Reg {
    name: "MTAB",
    offset: 0x54,
    bytes: 4,
    reset: MSIX_TABLE.start as u64,
    fields: &[],
    doc: "MSI-X Table Offset and BIR.",
};

/// Where the MSI-X pending bits are: in BAR0.
pub const MSIX_PBA_PLACE: Reg = Reg {
    name: "MPBA",
    offset: 0x58,
    bytes: 4,
    reset: MSIX_PBA.start as u64,
    fields: &[],
    doc: "MSI-X PBA Offset and BIR.",
};

/// Version of the PCI Express capability.
const EXPRESS_VERSION: u64 = 2;

/// PCI Express capabilities: an endpoint.
pub const EXPRESS: Reg = Reg {
    name: "PXCAP",
    offset: 0x60,
    bytes: 4,
    reset: EXPRESS_VERSION << 16 | capability_header(capability::PCI_EXPRESS, 0),
    fields: &[],
    doc: "PCI Express: endpoint.",
};

/// Fields of [`DEVICE_CAPABILITIES`].
pub mod device_capabilities {
    use super::{Access, Field};

    /// Max_Payload_Size Supported.
    pub const PAYLOAD_SIZE: Field = Field::new("MPS", 0, 3, Access::Ro).with_doc("Largest payload, 2^(7 + MPS) bytes.");
    /// Role-Based Error Reporting.
    pub const ROLE_BASED_ERRORS: Field = Field::new("RER", 15, 1, Access::Ro).with_doc("Always 1.");
    /// Function Level Reset Capability.
    pub const FUNCTION_LEVEL_RESET: Field =
        Field::new("FLRC", 28, 1, Access::Ro).with_doc("There is function level reset.");
    /// Value of [`PAYLOAD_SIZE`]: 512 bytes.
    pub const PAYLOAD_512: u64 = 2;
}

/// Device capabilities.
pub const DEVICE_CAPABILITIES: Reg = Reg {
    name: "PXDCAP",
    offset: 0x64,
    bytes: 4,
    reset: device_capabilities::PAYLOAD_512
        | device_capabilities::ROLE_BASED_ERRORS.mask()
        | device_capabilities::FUNCTION_LEVEL_RESET.mask(),
    fields: &[
        device_capabilities::PAYLOAD_SIZE,
        device_capabilities::ROLE_BASED_ERRORS,
        device_capabilities::FUNCTION_LEVEL_RESET,
    ],
    doc: "PCI Express Device Capabilities.",
};

/// Fields of [`DEVICE_CONTROL`].
pub mod device_control {
    use super::{Access, Field};

    /// Error reporting enables.
    pub const ERROR_REPORTING: Field = Field::new("ERE", 0, 4, Access::Rw).with_doc("Kept, without effect.");
    /// Enable Relaxed Ordering.
    pub const RELAXED_ORDERING: Field = Field::new("ERO", 4, 1, Access::Rw).with_doc("Kept, without effect.");
    /// Max_Payload_Size.
    pub const PAYLOAD_SIZE: Field = Field::new("MPS", 5, 3, Access::Rw).with_doc("2^(7 + MPS) bytes.");
    /// Enable No Snoop.
    pub const NO_SNOOP: Field = Field::new("ENS", 11, 1, Access::Rw).with_doc("Kept, without effect.");
    /// Max_Read_Request_Size.
    pub const READ_REQUEST_SIZE: Field = Field::new("MRRS", 12, 3, Access::Rw).with_doc("2^(7 + MRRS) bytes.");
    /// Initiate Function Level Reset.
    pub const INITIATE_RESET: Field =
        Field::new("IFLR", 15, 1, Access::W1s).with_doc("Resets the function; reads as zero.");
    /// Value of [`READ_REQUEST_SIZE`] after reset: 512 bytes.
    pub const READ_REQUEST_512: u64 = 2;
}

/// Device control and status.
pub const DEVICE_CONTROL: Reg = Reg {
    name: "PXDC/PXDS",
    offset: 0x68,
    bytes: 4,
    reset: device_control::READ_REQUEST_SIZE.set(0, device_control::READ_REQUEST_512)
        | device_control::RELAXED_ORDERING.mask()
        | device_control::NO_SNOOP.mask(),
    fields: &[
        device_control::ERROR_REPORTING,
        device_control::RELAXED_ORDERING,
        device_control::PAYLOAD_SIZE,
        device_control::NO_SNOOP,
        device_control::READ_REQUEST_SIZE,
        device_control::INITIATE_RESET,
    ],
    doc: "PCI Express Device Control and Status.",
};

/// A link of four lanes of 8 GT/s.
const LINK: u64 = 4 << 4 | 3;

/// Link capabilities.
pub const LINK_CAPABILITIES: Reg =
    Reg { name: "PXLCAP", offset: 0x6C, bytes: 4, reset: LINK, fields: &[], doc: "PCI Express Link Capabilities." };

/// Fields of [`LINK_CONTROL`].
pub mod link_control {
    use super::{Access, Field};

    /// Active State Power Management Control.
    pub const ASPM: Field = Field::new("ASPMC", 0, 2, Access::Rw).with_doc("Kept, without effect.");
    /// Read Completion Boundary.
    pub const READ_COMPLETION_BOUNDARY: Field = Field::new("RCB", 3, 1, Access::Rw).with_doc("Kept, without effect.");
    /// Common Clock Configuration.
    pub const COMMON_CLOCK: Field = Field::new("CCC", 6, 1, Access::Rw).with_doc("Kept, without effect.");
}

/// Link control and status.
pub const LINK_CONTROL: Reg = Reg {
    name: "PXLC/PXLS",
    offset: 0x70,
    bytes: 4,
    reset: LINK << 16,
    fields: &[link_control::ASPM, link_control::READ_COMPLETION_BOUNDARY, link_control::COMMON_CLOCK],
    doc: "PCI Express Link Control and Status.",
};

/// Device capabilities 2.
pub const DEVICE_CAPABILITIES_2: Reg = Reg {
    name: "PXDCAP2",
    offset: 0x84,
    bytes: 4,
    reset: 0x1F,
    fields: &[],
    doc: "PCI Express Device Capabilities 2: completion timeouts of all ranges, and none.",
};

/// Device control 2.
pub const DEVICE_CONTROL_2: Reg = Reg {
    name: "PXDC2",
    offset: 0x88,
    bytes: 4,
    reset: 0,
    fields: &[
        Field::new("CTV", 0, 5, Access::Rw).with_doc("Completion timeout value and disable: kept, without effect.")
    ],
    doc: "PCI Express Device Control 2.",
};

/// Link capabilities 2: speeds up to 8 GT/s.
pub const LINK_CAPABILITIES_2: Reg =
    Reg { name: "PXLCAP2", offset: 0x8C, bytes: 4, reset: 0xE, fields: &[], doc: "PCI Express Link Capabilities 2." };

/// Link control 2.
pub const LINK_CONTROL_2: Reg = Reg {
    name: "PXLC2",
    offset: 0x90,
    bytes: 4,
    reset: LINK & 0xF,
    fields: &[Field::new("TLS", 0, 4, Access::Rw).with_doc("Target link speed: kept, without effect.")],
    doc: "PCI Express Link Control 2.",
};

/// All registers of the configuration space; what is between them reads as zero and ignores writes.
pub const REGS: &[Reg] = &[
    ID,
    COMMAND,
    CLASS,
    HEADER,
    BAR0,
    BAR1,
    SUBSYSTEM,
    CAPABILITIES,
    INTERRUPT,
    POWER_MANAGEMENT,
    POWER_CONTROL,
    MSIX,
    MSIX_TABLE_PLACE,
    MSIX_PBA_PLACE,
    EXPRESS,
    DEVICE_CAPABILITIES,
    DEVICE_CONTROL,
    LINK_CAPABILITIES,
    LINK_CONTROL,
    DEVICE_CAPABILITIES_2,
    DEVICE_CONTROL_2,
    LINK_CAPABILITIES_2,
    LINK_CONTROL_2,
];

const _: () = assert!(regs_are_disjoint(REGS));
