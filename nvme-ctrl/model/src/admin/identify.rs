//! NVMe Base, "Identify command".

use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::identify::{
    cns, lpa, nidt, padded, vwc, IdentifyController, IdentifyNamespace, LbaFormat, UuidDescriptor, CNTRLTYPE_IO,
    FIRMWARE_REVISION, FRMW_ONE_READ_ONLY_SLOT, IDENTIFY_BYTES, MODEL_NUMBER, NQN_UUID_PREFIX, PCI_VENDOR_ID,
};
use nvme_spec::limits::{ABORTS, ASYNC_EVENT_REQUESTS, ERROR_LOG_ENTRIES, MDTS, NAMESPACES, NSID, NSID_BROADCAST};
use nvme_spec::{regs, SqEntry, Status};
use zerocopy::{FromZeros, IntoBytes};

use super::features::{CRITICAL_TEMPERATURE, WARNING_TEMPERATURE};
use crate::host::HostPort;
use crate::model::Model;

/// The UUID of the model's namespace: made up, version 4.
const NAMESPACE_UUID: [u8; 16] = *b"flashd\x4fc\x8bmodel02";

/// The UUID of the model itself, as text.
const SUBSYSTEM_UUID: &[u8] = b"666c6173-6864-4f63-8b6d-6f64656c3031";

impl Model {
    pub(super) fn identify(&self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<u32, Status> {
        let nsid = entry.nsid.get();
        let data = match entry.cdw(10) as u8 {
            cns::NAMESPACE => {
                check_namespace(nsid)?;
                self.namespace().as_bytes().to_vec()
            }
            cns::CONTROLLER => controller().as_bytes().to_vec(),
            cns::ACTIVE_NAMESPACES => active_namespaces(nsid)?,
            cns::NAMESPACE_DESCRIPTORS => {
                check_namespace(nsid)?;
                descriptors()
            }
            _ => return Err(Status::INVALID_FIELD),
        };
        self.send(entry, &data, host)?;
        Ok(0)
    }

    fn namespace(&self) -> IdentifyNamespace {
        let blocks = self.config.blocks.into();
        let mut data = IdentifyNamespace::new_zeroed();
        data.nsze = blocks;
        data.ncap = blocks;
        data.nuse = blocks;
        data.lbaf[0] = LbaFormat { ms: 0.into(), lbads: self.config.lba_bytes.ilog2() as u8, rp: 0 };
        data
    }
}

/// There is no namespace management: only the namespaces themselves can be asked about.
fn check_namespace(nsid: u32) -> Result<(), Status> {
    if nsid == NSID {
        Ok(())
    } else {
        Err(Status::INVALID_NAMESPACE)
    }
}

fn controller() -> IdentifyController {
    let mut data = IdentifyController::new_zeroed();
    data.vid = PCI_VENDOR_ID.into();
    data.ssvid = PCI_VENDOR_ID.into();
    data.sn = padded(b"MODEL");
    data.mn = MODEL_NUMBER;
    data.fr = FIRMWARE_REVISION;
    data.mdts = MDTS;
    data.ver = regs::VERSION.into();
    data.cntrltype = CNTRLTYPE_IO;
    data.acl = (ABORTS - 1) as u8;
    data.aerl = (ASYNC_EVENT_REQUESTS - 1) as u8;
    data.frmw = FRMW_ONE_READ_ONLY_SLOT;
    data.lpa = lpa::EXTENDED_DATA;
    data.elpe = (ERROR_LOG_ENTRIES - 1) as u8;
    data.wctemp = WARNING_TEMPERATURE.into();
    data.cctemp = CRITICAL_TEMPERATURE.into();
    data.sqes = SQ_ENTRY_LOG2_BYTES << 4 | SQ_ENTRY_LOG2_BYTES;
    data.cqes = CQ_ENTRY_LOG2_BYTES << 4 | CQ_ENTRY_LOG2_BYTES;
    data.nn = NAMESPACES.into();
    data.vwc = vwc::FLUSH_ALL;
    let name = [NQN_UUID_PREFIX, SUBSYSTEM_UUID].concat();
    data.subnqn[..name.len()].copy_from_slice(&name);
    data
}

/// The identifiers above `nsid`, ascending. The two highest values leave no identifier above them.
fn active_namespaces(nsid: u32) -> Result<Vec<u8>, Status> {
    if nsid >= NSID_BROADCAST - 1 {
        return Err(Status::INVALID_NAMESPACE);
    }
    let mut data = vec![0; IDENTIFY_BYTES as usize];
    if nsid < NSID {
        data[..4].copy_from_slice(&NSID.to_le_bytes());
    }
    Ok(data)
}

fn descriptors() -> Vec<u8> {
    let descriptor =
        UuidDescriptor { nidt: nidt::UUID, nidl: NAMESPACE_UUID.len() as u8, reserved: [0; 2], nid: NAMESPACE_UUID };
    let mut data = vec![0; IDENTIFY_BYTES as usize];
    data[..size_of::<UuidDescriptor>()].copy_from_slice(descriptor.as_bytes());
    data
}
