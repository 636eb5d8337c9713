//! The controller's registers in BAR0. NVMe Base, "Controller Properties"; NVMe PCIe, "Controller Properties".

use crate::limits;
use crate::reg::{fields_are_disjoint, regs_are_disjoint, Access, Field, Reg};
use core::ops::Range;

/// Bytes of BAR0.
pub const BAR0_BYTES: u32 = 0x4000;
/// Where the registers of this module are in BAR0; what is not in [`REGS`] reads as zero and ignores writes.
pub const REGISTERS: Range<u32> = 0x0000..0x1000;
/// Where the doorbells are in BAR0: stride 0, write-only, read as zero.
pub const DOORBELLS: Range<u32> = 0x1000..0x2000;
/// Where the MSI-X table is in BAR0: 16 bytes per vector.
pub const MSIX_TABLE: Range<u32> = 0x2000..0x3000;
/// Where the MSI-X pending bits are in BAR0.
pub const MSIX_PBA: Range<u32> = 0x3000..0x4000;

/// Bytes of a doorbell: CAP.DSTRD = 0.
pub const DOORBELL_BYTES: u32 = 4;

/// Bytes of an entry of the MSI-X table. PCI Express Base, "MSI-X Capability and Table Structure".
pub const MSIX_ENTRY_BYTES: u32 = 16;

/// Offset of the tail doorbell of submission queue `queue`.
pub const fn sq_tail_doorbell(queue: u16) -> u32 {
    DOORBELLS.start + 2 * queue as u32 * DOORBELL_BYTES
}

/// Offset of the head doorbell of completion queue `queue`.
pub const fn cq_head_doorbell(queue: u16) -> u32 {
    DOORBELLS.start + (2 * queue as u32 + 1) * DOORBELL_BYTES
}

/// The specification's version that this controller follows: 1.4.
pub const VERSION: u32 = 0x0001_0400;

/// Fields of [`CAP`].
pub mod cap {
    use super::{Access, Field};

    /// Maximum Queue Entries Supported.
    pub const MQES: Field = Field::new("MQES", 0, 16, Access::Ro).with_doc("Most entries of an I/O queue, minus one.");
    /// Contiguous Queues Required.
    pub const CQR: Field = Field::new("CQR", 16, 1, Access::Ro).with_doc("I/O queues must be physically contiguous.");
    /// Arbitration Mechanism Supported.
    pub const AMS: Field = Field::new("AMS", 17, 2, Access::Ro)
        .with_doc("Arbitration beyond round robin: bit 0, weighted round robin with urgent priority class.");
    /// Bit 0 of AMS.
    pub const WEIGHTED_ROUND_ROBIN: u64 = 1;
    /// Timeout.
    pub const TO: Field = Field::new("TO", 24, 8, Access::Ro)
        .with_doc("Longest time for CSTS.RDY to follow CC.EN, in units of 500 milliseconds.");
    /// Doorbell Stride.
    pub const DSTRD: Field =
        Field::new("DSTRD", 32, 4, Access::Ro).with_doc("Doorbells are 2^(2 + DSTRD) bytes apart.");
    /// NVM Subsystem Reset Supported.
    pub const NSSRS: Field = Field::new("NSSRS", 36, 1, Access::Ro).with_doc("NSSR resets the NVM subsystem: yes.");
    /// Command Sets Supported.
    pub const CSS: Field = Field::new("CSS", 37, 8, Access::Ro).with_doc("Bit 0: the NVM command set is supported.");
    /// Memory Page Size Minimum.
    pub const MPSMIN: Field =
        Field::new("MPSMIN", 48, 4, Access::Ro).with_doc("Smallest memory page is 2^(12 + MPSMIN) bytes.");
    /// Memory Page Size Maximum.
    pub const MPSMAX: Field =
        Field::new("MPSMAX", 52, 4, Access::Ro).with_doc("Largest memory page is 2^(12 + MPSMAX) bytes.");
}

/// The value of [`CAP`] in a configuration with queues of at most `queue_entries_max` entries.
pub const fn cap_value(queue_entries_max: u32) -> u64 {
    let value = cap::MQES.set(0, queue_entries_max as u64 - 1);
    let value = cap::CQR.set(value, 1);
    let value = cap::AMS.set(value, cap::WEIGHTED_ROUND_ROBIN);
    let value = cap::TO.set(value, limits::READY_TIMEOUT_500_MS as u64);
    let value = cap::NSSRS.set(value, 1);
    cap::CSS.set(value, 1)
}

/// Controller Capabilities. NVMe Base, "Offset 0h: CAP - Controller Capabilities".
pub const CAP: Reg = Reg {
    name: "CAP",
    offset: 0x00,
    bytes: 8,
    reset: cap_value(limits::QUEUE_ENTRIES_MAX),
    fields: &[cap::MQES, cap::CQR, cap::AMS, cap::TO, cap::DSTRD, cap::NSSRS, cap::CSS, cap::MPSMIN, cap::MPSMAX],
    doc: "Controller Capabilities.",
};

/// Fields of [`VS`].
pub mod vs {
    use super::{Access, Field};

    /// Tertiary Version Number.
    pub const TER: Field = Field::new("TER", 0, 8, Access::Ro).with_doc("Tertiary version number.");
    /// Minor Version Number.
    pub const MNR: Field = Field::new("MNR", 8, 8, Access::Ro).with_doc("Minor version number.");
    /// Major Version Number.
    pub const MJR: Field = Field::new("MJR", 16, 16, Access::Ro).with_doc("Major version number.");
}

/// Version. NVMe Base, "Offset 8h: VS - Version".
pub const VS: Reg = Reg {
    name: "VS",
    offset: 0x08,
    bytes: 4,
    reset: VERSION as u64,
    fields: &[vs::TER, vs::MNR, vs::MJR],
    doc: "Version of the specification that the controller follows.",
};

/// Interrupt Mask Set. NVMe Base, "Offset Ch: INTMS - Interrupt Mask Set".
pub const INTMS: Reg = Reg {
    name: "INTMS",
    offset: 0x0C,
    bytes: 4,
    reset: 0,
    fields: &[
        Field::new("IVMS", 0, 32, Access::Ro).with_doc("Interrupts are MSI-X only: reads as zero, writes are ignored.")
    ],
    doc: "Interrupt Mask Set.",
};

/// Interrupt Mask Clear. NVMe Base, "Offset 10h: INTMC - Interrupt Mask Clear".
pub const INTMC: Reg = Reg {
    name: "INTMC",
    offset: 0x10,
    bytes: 4,
    reset: 0,
    fields: &[
        Field::new("IVMC", 0, 32, Access::Ro).with_doc("Interrupts are MSI-X only: reads as zero, writes are ignored.")
    ],
    doc: "Interrupt Mask Clear.",
};

/// Fields of [`CC`].
pub mod cc {
    use super::{Access, Field};

    /// Enable.
    pub const EN: Field =
        Field::new("EN", 0, 1, Access::Rw).with_doc("1 starts the controller; 1 to 0 is a controller reset.");
    /// I/O Command Set Selected.
    pub const CSS: Field = Field::new("CSS", 4, 3, Access::Rw).with_doc("0: the NVM command set.");
    /// Memory Page Size.
    pub const MPS: Field = Field::new("MPS", 7, 4, Access::Rw).with_doc("A memory page has 2^(12 + MPS) bytes.");
    /// Arbitration Mechanism Selected.
    pub const AMS: Field = Field::new("AMS", 11, 3, Access::Rw)
        .with_doc("0: round robin; 1: weighted round robin with urgent priority class.");
    /// Shutdown Notification.
    pub const SHN: Field =
        Field::new("SHN", 14, 2, Access::Rw).with_doc("0: none; 1: normal shutdown; 2: abrupt shutdown.");
    /// I/O Submission Queue Entry Size.
    pub const IOSQES: Field =
        Field::new("IOSQES", 16, 4, Access::Rw).with_doc("Log2 of the bytes of an entry of I/O submission queues: 6.");
    /// I/O Completion Queue Entry Size.
    pub const IOCQES: Field =
        Field::new("IOCQES", 20, 4, Access::Rw).with_doc("Log2 of the bytes of an entry of I/O completion queues: 4.");
}

/// Controller Configuration. NVMe Base, "Offset 14h: CC - Controller Configuration".
pub const CC: Reg = Reg {
    name: "CC",
    offset: 0x14,
    bytes: 4,
    reset: 0,
    fields: &[cc::EN, cc::CSS, cc::MPS, cc::AMS, cc::SHN, cc::IOSQES, cc::IOCQES],
    doc: "Controller Configuration.",
};

/// Fields of [`CSTS`].
pub mod csts {
    use super::{Access, Field};

    /// Ready.
    pub const RDY: Field = Field::new("RDY", 0, 1, Access::Ro).with_doc("The controller processes commands.");
    /// Controller Fatal Status.
    pub const CFS: Field =
        Field::new("CFS", 1, 1, Access::Ro).with_doc("An error that cannot be reported by a completion.");
    /// Shutdown Status.
    pub const SHST: Field =
        Field::new("SHST", 2, 2, Access::Ro).with_doc("0: no shutdown; 1: shutting down; 2: shutdown is complete.");
    /// NVM Subsystem Reset Occurred.
    pub const NSSRO: Field = Field::new("NSSRO", 4, 1, Access::W1c).with_doc(
        "NSSR has reset the NVM subsystem, and no new firmware image runs since; stays through all other resets.",
    );
    /// Processing Paused.
    pub const PP: Field = Field::new("PP", 5, 1, Access::Ro).with_doc("Always 0: commands are never paused.");
}

/// Values of CSTS.SHST.
pub mod shst {
    /// Normal operation.
    pub const NORMAL: u32 = 0;
    /// A shutdown is being processed.
    pub const OCCURRING: u32 = 1;
    /// The shutdown is complete.
    pub const COMPLETE: u32 = 2;
}

/// Controller Status. NVMe Base, "Offset 1Ch: CSTS - Controller Status".
pub const CSTS: Reg = Reg {
    name: "CSTS",
    offset: 0x1C,
    bytes: 4,
    reset: 0,
    fields: &[csts::RDY, csts::CFS, csts::SHST, csts::NSSRO, csts::PP],
    doc: "Controller Status.",
};

/// The value of NSSR.NSSRC that resets the NVM subsystem: the letters NVMe, the first in the highest byte.
pub const SUBSYSTEM_RESET: u32 = u32::from_be_bytes(*b"NVMe");

/// NVM Subsystem Reset. NVMe Base, "Offset 20h: NSSR - NVM Subsystem Reset".
pub const NSSR: Reg = Reg {
    name: "NSSR",
    offset: 0x20,
    bytes: 4,
    reset: 0,
    fields: &[Field::new("NSSRC", 0, 32, Access::Ro)
        .with_doc("Writing SUBSYSTEM_RESET resets all functions, other values do nothing; reads as zero.")],
    doc: "NVM Subsystem Reset.",
};

/// Fields of [`AQA`].
pub mod aqa {
    use super::{Access, Field};

    /// Admin Submission Queue Size.
    pub const ASQS: Field =
        Field::new("ASQS", 0, 12, Access::Rw).with_doc("Entries of the admin submission queue, minus one.");
    /// Admin Completion Queue Size.
    pub const ACQS: Field =
        Field::new("ACQS", 16, 12, Access::Rw).with_doc("Entries of the admin completion queue, minus one.");
}

/// Admin Queue Attributes. NVMe Base, "Offset 24h: AQA - Admin Queue Attributes".
///
/// A controller reset does not change it, nor [`ASQ`] and [`ACQ`].
pub const AQA: Reg = Reg {
    name: "AQA",
    offset: 0x24,
    bytes: 4,
    reset: 0,
    fields: &[aqa::ASQS, aqa::ACQS],
    doc: "Admin Queue Attributes.",
};

/// Admin Submission Queue Base Address. NVMe Base, "Offset 28h: ASQ - Admin Submission Queue Base Address".
pub const ASQ: Reg = Reg {
    name: "ASQ",
    offset: 0x28,
    bytes: 8,
    reset: 0,
    fields: &[Field::new("ASQB", 12, 52, Access::Rw)
        .with_doc("Page of the admin submission queue; the 12 lowest address bits are zero.")],
    doc: "Admin Submission Queue Base Address.",
};

/// Admin Completion Queue Base Address. NVMe Base, "Offset 30h: ACQ - Admin Completion Queue Base Address".
pub const ACQ: Reg = Reg {
    name: "ACQ",
    offset: 0x30,
    bytes: 8,
    reset: 0,
    fields: &[Field::new("ACQB", 12, 52, Access::Rw)
        .with_doc("Page of the admin completion queue; the 12 lowest address bits are zero.")],
    doc: "Admin Completion Queue Base Address.",
};

/// All registers, in the order of their offsets.
pub const REGS: &[Reg] = &[CAP, VS, INTMS, INTMC, CC, CSTS, NSSR, AQA, ASQ, ACQ];

const _: () = assert!(regs_are_disjoint(REGS) && fields_are_disjoint(REGS));
const _: () = assert!(ACQ.end() <= REGISTERS.end);
const _: () = assert!(MSIX_PBA.end == BAR0_BYTES);
const _: () = assert!(cq_head_doorbell(limits::IO_QUEUES_MAX) < DOORBELLS.end);

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors from the figures of "Controller Properties" and the doorbell formulas of the PCIe transport.
    #[test]
    fn offsets_and_values_are_those_of_the_specification() {
        let offsets: std::vec::Vec<_> = REGS.iter().map(|reg| (reg.name, reg.offset)).collect();
        let expected = [
            ("CAP", 0x0),
            ("VS", 0x8),
            ("INTMS", 0xC),
            ("INTMC", 0x10),
            ("CC", 0x14),
            ("CSTS", 0x1C),
            ("NSSR", 0x20),
            ("AQA", 0x24),
            ("ASQ", 0x28),
            ("ACQ", 0x30),
        ];
        assert_eq!(offsets, expected);
        assert_eq!(CAP.reset, 0x0000_0030_1403_0FFF);
        assert_eq!(SUBSYSTEM_RESET, 0x4E56_4D65);
        assert_eq!(VS.reset, 0x0001_0400);
        assert_eq!(sq_tail_doorbell(0), 0x1000);
        assert_eq!(cq_head_doorbell(0), 0x1004);
        assert_eq!(sq_tail_doorbell(3), 0x1018);
        assert_eq!(cq_head_doorbell(3), 0x101C);
        // What Linux writes: IOCQES 4, IOSQES 6, EN.
        let cc_value = 0x0046_0001;
        assert_eq!(cc::EN.get(cc_value), 1);
        assert_eq!(cc::IOSQES.get(cc_value), 6);
        assert_eq!(cc::IOCQES.get(cc_value), 4);
    }

    #[test]
    fn every_field_has_a_sentence() {
        for field in REGS.iter().flat_map(|reg| reg.fields) {
            assert!(field.doc.ends_with('.'), "{}", field.name);
        }
    }
}
