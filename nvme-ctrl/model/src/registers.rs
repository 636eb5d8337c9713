//! The registers. NVMe Base, "Controller Properties".

use nvme_spec::reg::Access;
use nvme_spec::regs::{self, aqa, cap, cc, csts, shst};

/// The stored registers, and what the enable handshake is at.
pub(crate) struct Registers {
    cap: u64,
    pub(crate) cc: u32,
    pub(crate) csts: u32,
    aqa: u32,
    asq: u64,
    acq: u64,
}

impl Registers {
    pub(crate) fn new(queue_entries_max: u32) -> Self {
        Self { cap: regs::cap_value(queue_entries_max), cc: 0, csts: 0, aqa: 0, asq: 0, acq: 0 }
    }

    /// The dword at `offset`; what is no register reads as zero.
    pub(crate) fn read(&self, offset: u32) -> u32 {
        let Some(reg) = regs::REGS.iter().find(|r| (r.offset..r.end()).contains(&offset)) else {
            return 0;
        };
        let value = match reg.name {
            "CAP" => self.cap,
            "CC" => u64::from(self.cc),
            "CSTS" => u64::from(self.csts),
            "AQA" => u64::from(self.aqa),
            "ASQ" => self.asq,
            "ACQ" => self.acq,
            _ => reg.reset,
        };
        (value >> (8 * (offset - reg.offset))) as u32
    }

    /// Writes the bytes of the dword at `offset` that `bytes` selects; only read-write bits change.
    pub(crate) fn write(&mut self, offset: u32, value: u32, bytes: u32) {
        let Some(reg) = regs::REGS.iter().find(|r| (r.offset..r.end()).contains(&offset)) else {
            return;
        };
        let shift = 8 * (offset - reg.offset);
        let mask = (u64::from(bytes) << shift) & reg.mask_of(Access::Rw);
        let ones = (u64::from(value & bytes) << shift) & reg.mask_of(Access::W1c);
        let merge = |old: u64| old & !mask | (u64::from(value) << shift) & mask;
        match reg.name {
            "CC" => self.cc = merge(u64::from(self.cc)) as u32,
            "CSTS" => self.csts &= !ones as u32,
            "AQA" => self.aqa = merge(u64::from(self.aqa)) as u32,
            "ASQ" => self.asq = merge(self.asq),
            "ACQ" => self.acq = merge(self.acq),
            _ => {}
        }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        cc::EN.get32(self.cc) == 1
    }

    pub(crate) fn is_failed(&self) -> bool {
        csts::CFS.get32(self.csts) == 1
    }

    /// Whether CC and AQA ask for something that this controller is.
    pub(crate) fn are_acceptable(&self) -> bool {
        let page_sizes = cap::MPSMIN.get(self.cap)..=cap::MPSMAX.get(self.cap);
        page_sizes.contains(&u64::from(cc::MPS.get32(self.cc)))
            && cc::CSS.get32(self.cc) == 0
            && cc::AMS.get32(self.cc) <= 1
            && aqa::ASQS.get32(self.aqa) > 0
            && aqa::ACQS.get32(self.aqa) > 0
    }

    pub(crate) fn selects_weighted_round_robin(&self) -> bool {
        cc::AMS.get32(self.cc) == cap::WEIGHTED_ROUND_ROBIN as u32
    }

    /// Base and entries of the admin submission queue.
    pub(crate) fn admin_submission(&self) -> (u64, u32) {
        (self.asq, aqa::ASQS.get32(self.aqa) + 1)
    }

    /// Base and entries of the admin completion queue.
    pub(crate) fn admin_completion(&self) -> (u64, u32) {
        (self.acq, aqa::ACQS.get32(self.aqa) + 1)
    }

    pub(crate) fn shutdown_is_asked_for(&self) -> bool {
        cc::SHN.get32(self.cc) != 0
    }

    pub(crate) fn shutdown_status(&self) -> u32 {
        csts::SHST.get32(self.csts)
    }

    pub(crate) fn set_shutdown_status(&mut self, status: u32) {
        self.csts = csts::SHST.set32(self.csts, status);
    }

    pub(crate) fn set_ready(&mut self) {
        self.csts = csts::RDY.set32(self.csts, 1);
        self.set_shutdown_status(shst::NORMAL);
    }

    pub(crate) fn set_failed(&mut self) {
        self.csts = csts::CFS.set32(self.csts, 1);
    }

    /// What a controller reset leaves: AQA, ASQ and ACQ, and CC as the host wrote it. NVMe Base, "Controller Level Reset".
    pub(crate) fn reset_controller(&mut self) {
        // The NVM subsystem is not reset, so that what is known of its last reset stays.
        self.csts &= csts::NSSRO.mask() as u32;
    }

    /// What a function level reset leaves: nothing else than a controller reset leaves of CSTS.
    pub(crate) fn reset_function(&mut self) {
        self.reset_controller();
        *self = Self { cap: self.cap, cc: 0, csts: self.csts, aqa: 0, asq: 0, acq: 0 };
    }

    /// NVMe Base, "Offset 1Ch: CSTS": the NVM subsystem was reset, and runs the image that it had before.
    pub(crate) fn set_subsystem_was_reset(&mut self, has_same_image: bool) {
        self.csts = csts::NSSRO.set32(self.csts, has_same_image.into());
    }
}
