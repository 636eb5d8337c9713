//! NVMe Base, "Identify command".

use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::identify::{
    cns, lpa, nidt, oacs, oncs, padded, vwc, CsiDescriptor, IdentifyController, IdentifyNamespace,
    IndependentNamespace, LbaFormat, NvmIdentifyController, UuidDescriptor, CMIC_CONTROLLERS, CNTRLTYPE_IO, CSI_NVM,
    CTRATT_LONG_HOST_IDENTIFIER, DLFEAT, FRMW, FUSES_COMPARE_AND_WRITE, IDENTIFY_BYTES, MODEL_NUMBER, NMIC_SHARED,
    NQN_UUID_PREFIX, NSATTR_WRITE_PROTECTED, NSTAT_READY, NVSCC_USUAL_LAYOUT, NWPC_WRITE_PROTECT, OCFS_FORMAT_0,
    PCI_VENDOR_ID, SGLS,
};
use nvme_spec::limits::{
    ABORTS, ACWU, ASYNC_EVENT_REQUESTS, ERROR_LOG_ENTRIES, KEEP_ALIVE_GRANULARITY_100_MS, MCL, MDTS, MSRC, MSSRL,
    NSID_BROADCAST,
};
use nvme_spec::sanitize::capabilities;
use nvme_spec::{regs, SqEntry, Status};
use zerocopy::{FromZeros, IntoBytes};

use super::features::{CRITICAL_TEMPERATURE, NOTICES, WARNING_TEMPERATURE};
use crate::controller::Controller;
use crate::host::HostPort;
use crate::subsystem::Namespace;

/// The UUID of the model itself, as text.
const SUBSYSTEM_UUID: &[u8] = b"666c6173-6864-4f63-8b6d-6f64656c3031";

impl Controller {
    pub(super) fn identify(&self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<u32, Status> {
        let mut data = self.structure(entry)?;
        data.resize(IDENTIFY_BYTES as usize, 0);
        self.send(entry, &data, host)?;
        Ok(0)
    }

    /// The data structure that a command asks for; zeroes at its end may be left out.
    fn structure(&self, entry: &SqEntry) -> Result<Vec<u8>, Status> {
        let (nsid, structure) = (entry.nsid.get(), entry.cdw(10) as u8);
        let subsystem = &self.subsystem;
        let active = subsystem.active(self.function, nsid);
        let command_set = entry.cdw(11) >> 24;
        if (cns::NAMESPACE_OF_COMMAND_SET..=cns::ACTIVE_NAMESPACES_OF_COMMAND_SET).contains(&structure)
            && command_set != u32::from(CSI_NVM)
        {
            return Err(Status::INVALID_FIELD);
        }
        let needs_management = (cns::ALLOCATED_NAMESPACES..=cns::CONTROLLERS).contains(&structure);
        if needs_management && !self.config.is_managed {
            return Err(Status::INVALID_FIELD);
        }
        let described =
            |namespace: Option<&Namespace>| namespace.map_or(vec![], |n| self.namespace(n).as_bytes().to_vec());
        Ok(match structure {
            cns::NAMESPACE if nsid == NSID_BROADCAST && self.config.is_managed => self.formats().as_bytes().to_vec(),
            cns::NAMESPACE => {
                subsystem.check_valid(nsid)?;
                described(active)
            }
            cns::CONTROLLER => self.controller().as_bytes().to_vec(),
            cns::ACTIVE_NAMESPACES | cns::ACTIVE_NAMESPACES_OF_COMMAND_SET => {
                self.list_above(nsid, |namespace| namespace.attached.contains(&self.function))?
            }
            cns::NAMESPACE_DESCRIPTORS => {
                subsystem.check_valid(nsid)?;
                descriptors(active.ok_or(Status::INVALID_FIELD)?)
            }
            cns::NAMESPACE_OF_COMMAND_SET => {
                subsystem.check_valid(nsid)?;
                vec![]
            }
            cns::CONTROLLER_OF_COMMAND_SET => NvmIdentifyController::THIS.as_bytes().to_vec(),
            cns::NAMESPACE_INDEPENDENT => {
                subsystem.check_valid(nsid)?;
                let mut data = IndependentNamespace::new_zeroed();
                if let Some(namespace) = active {
                    data.nmic = u8::from(namespace.is_shared) * NMIC_SHARED;
                    data.nsattr = u8::from(namespace.is_write_protected) * NSATTR_WRITE_PROTECTED;
                    data.nstat = NSTAT_READY;
                }
                data.as_bytes().to_vec()
            }
            cns::ALLOCATED_NAMESPACES => self.list_above(nsid, |_| true)?,
            cns::ALLOCATED_NAMESPACE => {
                subsystem.check_valid(nsid)?;
                described(subsystem.namespaces.get(&nsid))
            }
            cns::ATTACHED_CONTROLLERS => {
                let attached = &subsystem.allocated(nsid)?.attached;
                controller_list(attached.iter().copied(), entry.cdw(10) >> 16)
            }
            cns::CONTROLLERS => controller_list(0..subsystem.controllers(), entry.cdw(10) >> 16),
            cns::COMMAND_SETS => vec![1],
            _ => return Err(Status::INVALID_FIELD),
        })
    }

    /// What all namespaces have in common.
    fn formats(&self) -> IdentifyNamespace {
        let mut data = IdentifyNamespace::new_zeroed();
        let formats = self.subsystem.formats();
        data.nlbaf = formats.len() as u8 - 1;
        for (place, lba_bytes) in data.lbaf.iter_mut().zip(&formats) {
            *place = LbaFormat { ms: 0.into(), lbads: lba_bytes.ilog2() as u8, rp: 0 };
        }
        if self.config.can_copy {
            (data.mssrl, data.mcl, data.msrc) = (MSSRL.into(), MCL.into(), MSRC);
        }
        data
    }

    fn namespace(&self, namespace: &Namespace) -> IdentifyNamespace {
        let blocks = namespace.blocks.into();
        let mut data = self.formats();
        data.nsze = blocks;
        data.ncap = blocks;
        data.nuse = blocks;
        data.dlfeat = if self.config.can_erase { DLFEAT } else { 0 };
        let formats = self.subsystem.formats();
        data.flbas = formats.iter().position(|bytes| *bytes == namespace.lba_bytes).unwrap_or(0) as u8;
        data.nmic = u8::from(namespace.is_shared) * NMIC_SHARED;
        data.nsattr = u8::from(namespace.is_write_protected) * NSATTR_WRITE_PROTECTED;
        if self.config.is_managed {
            data.nvmcap = u128::from(namespace.bytes()).into();
        }
        data
    }

    fn controller(&self) -> IdentifyController {
        let subsystem = &self.subsystem;
        let mut data = IdentifyController::new_zeroed();
        data.vid = PCI_VENDOR_ID.into();
        data.ssvid = PCI_VENDOR_ID.into();
        data.sn = padded(b"MODEL");
        data.mn = MODEL_NUMBER;
        data.fr = subsystem.revision();
        data.mdts = MDTS;
        data.cntlid = u16::from(self.function).into();
        data.ver = regs::VERSION.into();
        data.cntrltype = CNTRLTYPE_IO;
        data.acl = (ABORTS - 1) as u8;
        data.aerl = (ASYNC_EVENT_REQUESTS - 1) as u8;
        data.frmw = FRMW;
        data.lpa = lpa::EXTENDED_DATA | lpa::EFFECTS | lpa::SUPPORTED_LOG_PAGES;
        data.elpe = (ERROR_LOG_ENTRIES - 1) as u8;
        data.wctemp = WARNING_TEMPERATURE.into();
        data.cctemp = CRITICAL_TEMPERATURE.into();
        data.kas = KEEP_ALIVE_GRANULARITY_100_MS.into();
        data.sqes = SQ_ENTRY_LOG2_BYTES << 4 | SQ_ENTRY_LOG2_BYTES;
        data.cqes = CQ_ENTRY_LOG2_BYTES << 4 | CQ_ENTRY_LOG2_BYTES;
        data.nn = subsystem.highest_nsid().into();
        data.mnan = subsystem.highest_nsid().into();
        let erases = if self.config.can_erase { oncs::DATASET_MANAGEMENT } else { 0 };
        let copies = if self.config.can_copy { oncs::COPY } else { 0 };
        data.oncs = (oncs::ALL | erases | copies).into();
        data.ocfs = if self.config.can_copy { OCFS_FORMAT_0 } else { 0 }.into();
        data.fuses = FUSES_COMPARE_AND_WRITE.into();
        data.acwu = ACWU.into();
        data.oacs = (oacs::FORMAT | oacs::FIRMWARE).into();
        data.oaes = NOTICES.into();
        data.ctratt = CTRATT_LONG_HOST_IDENTIFIER.into();
        data.nvscc = NVSCC_USUAL_LAYOUT;
        data.nwpc = NWPC_WRITE_PROTECT;
        data.sgls = SGLS.into();
        data.vwc = vwc::FLUSH_ALL;
        if self.config.is_managed {
            data.oacs = (data.oacs.get() | oacs::NAMESPACE_MANAGEMENT).into();
            data.tnvmcap = u128::from(subsystem.capacity).into();
            data.unvmcap = u128::from(subsystem.unallocated()).into();
        }
        if self.config.can_erase {
            data.sanicap = (capabilities::BLOCK_ERASE | capabilities::NOTHING_ELSE_MODIFIED).into();
        }
        if subsystem.controllers() > 1 {
            data.cmic = CMIC_CONTROLLERS;
        }
        let name = [NQN_UUID_PREFIX, SUBSYSTEM_UUID].concat();
        data.subnqn[..name.len()].copy_from_slice(&name);
        data
    }

    /// The identifiers above `nsid`, ascending. The two highest values leave no identifier above them.
    fn list_above(&self, nsid: u32, is_listed: impl Fn(&Namespace) -> bool) -> Result<Vec<u8>, Status> {
        if nsid >= NSID_BROADCAST - 1 {
            return Err(Status::INVALID_NAMESPACE);
        }
        let above = self.subsystem.namespaces.range(nsid + 1..).filter(|(_, namespace)| is_listed(namespace));
        Ok(above.flat_map(|(nsid, _)| nsid.to_le_bytes()).collect())
    }
}

/// NVMe Base, "Controller List": those from `first` on.
fn controller_list(controllers: impl Iterator<Item = u8>, first: u32) -> Vec<u8> {
    let listed: Vec<u16> = controllers.map(u16::from).filter(|id| u32::from(*id) >= first).collect();
    let count = listed.len() as u16;
    std::iter::once(count).chain(listed).flat_map(u16::to_le_bytes).collect()
}

fn descriptors(namespace: &Namespace) -> Vec<u8> {
    let uuid = namespace.uuid;
    let name = UuidDescriptor { nidt: nidt::UUID, nidl: uuid.len() as u8, reserved: [0; 2], nid: uuid };
    let command_set = CsiDescriptor { nidt: nidt::CSI, nidl: 1, reserved: [0; 2], csi: CSI_NVM };
    [name.as_bytes(), command_set.as_bytes()].concat()
}
