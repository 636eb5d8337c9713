//! Identify. NVMe Base, "Identify command"; NVM Command Set, "Identify Namespace data structure".

use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::identify::{
    cns, lpa, nidt, vwc, IdentifyController, IdentifyNamespace, LbaFormat, UuidDescriptor, CNTRLTYPE_IO,
    FIRMWARE_REVISION, FRMW_ONE_READ_ONLY_SLOT, IDENTIFY_BYTES, MODEL_NUMBER, NQN_UUID_PREFIX, ONCS_SELECT,
    PCI_VENDOR_ID,
};
use nvme_spec::limits::{ABORTS, ASYNC_EVENT_REQUESTS, ERROR_LOG_ENTRIES, MDTS, NAMESPACES, NSID};
use nvme_spec::{regs, SqEntry, Status};
use soc_hal::Mmio;
use zerocopy::{FromZeros, IntoBytes};

use super::Answer;
use crate::features::{CRITICAL_TEMPERATURE_K, WARNING_TEMPERATURE_K};
use crate::{Config, Firmware};

/// The first of the namespace identifiers that have no successor in a list of active namespaces.
const NSID_LIST_END: u32 = 0xFFFF_FFFE;

impl<M: Mmio> Firmware<M> {
    pub(super) fn identify(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let nsid = entry.nsid.get();
        match entry.cdw(10) as u8 {
            cns::NAMESPACE => {
                named(nsid)?;
                let data = namespace(&self.config, self.hardware.lba_bytes);
                self.send(entry, data.as_bytes())
            }
            cns::CONTROLLER => {
                let data = controller(&self.config);
                self.send(entry, data.as_bytes())
            }
            cns::ACTIVE_NAMESPACES => {
                if nsid >= NSID_LIST_END {
                    return Err(Status::INVALID_NAMESPACE);
                }
                let data = active_namespaces(&self.config, nsid);
                self.send(entry, data.as_bytes())
            }
            cns::NAMESPACE_DESCRIPTORS => {
                named(nsid)?;
                let data = namespace_descriptors(&self.config);
                self.send(entry, &data)
            }
            _ => Err(Status::INVALID_FIELD),
        }
    }
}

/// Namespaces are not managed, so that `FFFFFFFFh` names no common properties.
fn named(nsid: u32) -> Result<(), Status> {
    match nsid {
        1..=NAMESPACES => Ok(()),
        _ => Err(Status::INVALID_NAMESPACE),
    }
}

fn controller(config: &Config) -> IdentifyController {
    let mut data = IdentifyController::new_zeroed();
    data.vid = PCI_VENDOR_ID.into();
    data.ssvid = PCI_VENDOR_ID.into();
    data.sn = config.serial_number;
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
    data.wctemp = WARNING_TEMPERATURE_K.into();
    data.cctemp = CRITICAL_TEMPERATURE_K.into();
    data.sqes = SQ_ENTRY_LOG2_BYTES << 4 | SQ_ENTRY_LOG2_BYTES;
    data.cqes = CQ_ENTRY_LOG2_BYTES << 4 | CQ_ENTRY_LOG2_BYTES;
    data.nn = NAMESPACES.into();
    data.oncs = ONCS_SELECT.into();
    data.vwc = vwc::FLUSH_ALL;
    let name = NQN_UUID_PREFIX.iter().copied().chain(uuid_text(config.uuid));
    for (byte, character) in data.subnqn.iter_mut().zip(name) {
        *byte = character;
    }
    data
}

/// The usual text of a UUID: hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn uuid_text(uuid: [u8; 16]) -> impl Iterator<Item = u8> {
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    uuid.into_iter().enumerate().flat_map(move |(i, byte)| {
        let dash = matches!(i, 4 | 6 | 8 | 10).then_some(b'-');
        dash.into_iter().chain([digit(byte >> 4), digit(byte & 0xF)])
    })
}

/// All zero if the namespace is not attached.
fn namespace(config: &Config, lba_bytes: u32) -> IdentifyNamespace {
    let mut data = IdentifyNamespace::new_zeroed();
    if config.namespace_blocks == 0 {
        return data;
    }
    data.nsze = config.namespace_blocks.into();
    data.ncap = config.namespace_blocks.into();
    data.nuse = config.namespace_blocks.into();
    data.lbaf[0] = LbaFormat { ms: 0.into(), lbads: lba_bytes.ilog2() as u8, rp: 0 };
    data
}

/// Identifiers above `nsid`, ascending.
fn active_namespaces(config: &Config, nsid: u32) -> [u32; IDENTIFY_BYTES as usize / 4] {
    let mut list = [0_u32; IDENTIFY_BYTES as usize / 4];
    if config.namespace_blocks != 0 && nsid < NSID {
        list[0] = NSID.to_le();
    }
    list
}

fn namespace_descriptors(config: &Config) -> [u8; IDENTIFY_BYTES as usize] {
    let mut data = [0; IDENTIFY_BYTES as usize];
    let descriptor =
        UuidDescriptor { nidt: nidt::UUID, nidl: config.uuid.len() as u8, reserved: [0; 2], nid: config.uuid };
    let bytes = descriptor.as_bytes();
    data[..bytes.len()].copy_from_slice(bytes);
    data
}
