//! Identify. NVMe Base, "Identify command"; NVM Command Set, "Identify Namespace data structure".

use core::mem::{offset_of, size_of};

use nvme_spec::entry::{CQ_ENTRY_LOG2_BYTES, SQ_ENTRY_LOG2_BYTES};
use nvme_spec::feature::notice;
use nvme_spec::identify::{
    cns, lpa, nidt, oacs, oncs, vwc, ControllerAttributes, ControllerList, CsiDescriptor, IdentifyNamespace,
    IndependentNamespace, LbaFormat, NvmIdentifyController, UuidDescriptor, CMIC_CONTROLLERS, CNTRLTYPE_IO, CSI_NVM,
    CTRATT_LONG_HOST_IDENTIFIER, DLFEAT, FRMW, FUSES_COMPARE_AND_WRITE, IDENTIFY_BYTES, LBA_FORMATS, MODEL_NUMBER,
    NAMESPACE_LIST_ENTRIES, NMIC_SHARED, NQN_UUID_PREFIX, NSATTR_WRITE_PROTECTED, NSTAT_READY, NVSCC_USUAL_LAYOUT,
    NWPC_WRITE_PROTECT, OCFS_FORMAT_0, PCI_VENDOR_ID, SGLS,
};
use nvme_spec::limits::{
    ABORTS, ACWU, ASYNC_EVENT_REQUESTS, ERROR_LOG_ENTRIES, KEEP_ALIVE_GRANULARITY_100_MS, MCL, MDTS, MSRC, MSSRL,
    NSID_BROADCAST, STORAGE_UNIT_BYTES,
};
use nvme_spec::sanitize::capabilities;
use nvme_spec::{regs, Status};
use soc_hal::Mmio;
use zerocopy::little_endian::{U128, U16, U32};
use zerocopy::{FromZeros, IntoBytes};

use super::{check_prp1, Answer};
use crate::features::{CRITICAL_TEMPERATURE_K, WARNING_TEMPERATURE_K};
use crate::namespaces::Namespace;
use crate::request::Request;
use crate::transfer::Then;
use crate::Firmware;

/// The first of the namespace identifiers that have no successor in a list of namespaces.
const NSID_LIST_END: u32 = 0xFFFF_FFFE;

/// Where the number of the function is in Identify Controller.
const CNTLID: usize = offset_of!(ControllerAttributes, cntlid);

const NOTHING: [u8; IDENTIFY_BYTES as usize] = [0; IDENTIFY_BYTES as usize];

impl<M: Mmio> Firmware<M> {
    pub(super) fn identify(&mut self, request: &Request) -> Result<Answer, Status> {
        let (nsid, function) = (request.nsid(), request.function);
        let structure = request.cdw(10) as u8;
        let is_of_command_set = matches!(
            structure,
            cns::NAMESPACE_OF_COMMAND_SET | cns::CONTROLLER_OF_COMMAND_SET | cns::ACTIVE_NAMESPACES_OF_COMMAND_SET
        );
        if is_of_command_set && request.cdw(11) >> 24 != u32::from(CSI_NVM) {
            return Err(Status::INVALID_FIELD);
        }
        let is_managed = self.namespaces.is_managed;
        match structure {
            cns::NAMESPACE if nsid == NSID_BROADCAST && is_managed => {
                let data = self.common_namespace();
                self.send(request, data.as_bytes())
            }
            cns::NAMESPACE => {
                self.namespaces.check_valid(nsid)?;
                let found = self.namespaces.attached(function, nsid);
                let data = found.map_or_else(IdentifyNamespace::new_zeroed, |found| self.namespace(found));
                self.send(request, data.as_bytes())
            }
            cns::CONTROLLER => {
                check_prp1(request)?;
                self.refresh_identity();
                let cntlid = u32::from(function) << (8 * (CNTLID % 4));
                self.identity.write(&mut self.port, CNTLID as u16 / 4, cntlid);
                let then = Then::Complete { result: 0, acknowledges: None };
                self.begin_transfer(request, IDENTIFY_BYTES, IDENTIFY_BYTES, then);
                Ok(Answer::Held)
            }
            cns::ACTIVE_NAMESPACES | cns::ACTIVE_NAMESPACES_OF_COMMAND_SET => {
                let data = self.namespace_list(nsid, |namespace| namespace.is_attached_to(function))?;
                self.send(request, data.as_bytes())
            }
            cns::NAMESPACE_DESCRIPTORS => {
                self.namespaces.check_valid(nsid)?;
                // NVMe Base, "Namespace Identification Descriptor list": of an active namespace.
                let found = self.namespaces.attached(function, nsid).ok_or(Status::INVALID_FIELD)?;
                let data = self.namespace_descriptors(found);
                self.send(request, &data)
            }
            cns::NAMESPACE_OF_COMMAND_SET => {
                // No protection information and no formats but those of the other structure: all zero.
                self.namespaces.check_valid(nsid)?;
                self.send(request, &NOTHING)
            }
            cns::CONTROLLER_OF_COMMAND_SET => self.send(request, NvmIdentifyController::THIS.as_bytes()),
            cns::NAMESPACE_INDEPENDENT => {
                self.namespaces.check_valid(nsid)?;
                let found = self.namespaces.attached(function, nsid);
                let data = found.map_or_else(IndependentNamespace::new_zeroed, independent);
                self.send(request, data.as_bytes())
            }
            cns::ALLOCATED_NAMESPACES if is_managed => {
                let data = self.namespace_list(nsid, |_| true)?;
                self.send(request, data.as_bytes())
            }
            cns::ALLOCATED_NAMESPACE if is_managed => {
                self.namespaces.check_valid(nsid)?;
                let found = self.namespaces.get(nsid);
                let data = found.map_or_else(IdentifyNamespace::new_zeroed, |found| self.namespace(found));
                self.send(request, data.as_bytes())
            }
            cns::ATTACHED_CONTROLLERS if is_managed => {
                let attached = self.named_namespace(nsid)?.attached;
                let data = self.controller_list(attached, request.cdw(10) >> 16);
                self.send(request, data.as_bytes())
            }
            cns::CONTROLLERS if is_managed => {
                let data = self.controller_list(u8::MAX, request.cdw(10) >> 16);
                self.send(request, data.as_bytes())
            }
            cns::COMMAND_SETS => {
                // One combination: the NVM command set.
                let mut data = NOTHING;
                data[0] = 1 << CSI_NVM;
                self.send(request, &data)
            }
            _ => Err(Status::INVALID_FIELD),
        }
    }

    /// A namespace that exists, whether it is attached or not.
    pub(super) fn named_namespace(&self, nsid: u32) -> Result<&Namespace, Status> {
        self.namespaces.check_valid(nsid)?;
        self.namespaces.get(nsid).ok_or(Status::INVALID_FIELD)
    }

    /// Log2 of the bytes of a block in an LBA format; `None` if there is no such format.
    pub(super) fn lba_format(&self, number: u8) -> Option<u8> {
        self.lba_formats().get(usize::from(number)).copied()
    }

    /// All LBA formats: hardware that cannot follow them has one.
    fn lba_formats(&self) -> &'static [u8] {
        if self.hardware.has_namespace_format {
            &LBA_FORMATS
        } else {
            let fixed = self.hardware.lba_bytes.ilog2() as u8;
            let at = LBA_FORMATS.iter().position(|shift| *shift == fixed).unwrap_or(0);
            &LBA_FORMATS[at..=at]
        }
    }

    /// Puts Identify Controller together, if it has changed.
    pub(crate) fn refresh_identity(&mut self) {
        let source = (self.slots.running(), self.namespaces.changes);
        if !self.identity.is_of(source) {
            let attributes = self.controller();
            self.identity.set(source, attributes.as_bytes());
        }
    }

    /// What all functions say, with 0 for CNTLID.
    fn controller(&self) -> ControllerAttributes {
        let bytes = |units: u64| U128::new(u128::from(units) * u128::from(STORAGE_UNIT_BYTES));
        let mut data = ControllerAttributes::new_zeroed();
        data.vid = PCI_VENDOR_ID.into();
        data.ssvid = PCI_VENDOR_ID.into();
        data.sn = self.config.serial_number;
        data.mn = MODEL_NUMBER;
        data.fr = self.slots.running();
        data.mdts = MDTS;
        data.ver = regs::VERSION.into();
        data.cntrltype = CNTRLTYPE_IO;
        data.acl = (ABORTS - 1) as u8;
        data.aerl = (ASYNC_EVENT_REQUESTS - 1) as u8;
        data.frmw = FRMW;
        data.lpa = lpa::EXTENDED_DATA | lpa::EFFECTS | lpa::SUPPORTED_LOG_PAGES;
        data.elpe = (ERROR_LOG_ENTRIES - 1) as u8;
        data.wctemp = WARNING_TEMPERATURE_K.into();
        data.cctemp = CRITICAL_TEMPERATURE_K.into();
        data.kas = KEEP_ALIVE_GRANULARITY_100_MS.into();
        data.sqes = SQ_ENTRY_LOG2_BYTES << 4 | SQ_ENTRY_LOG2_BYTES;
        data.cqes = CQ_ENTRY_LOG2_BYTES << 4 | CQ_ENTRY_LOG2_BYTES;
        data.nn = self.namespaces.highest().into();
        data.mnan = self.namespaces.highest().into();
        let mut optional = oncs::ALL;
        if self.hardware.can_erase {
            optional |= oncs::DATASET_MANAGEMENT;
        }
        if self.hardware.can_copy {
            optional |= oncs::COPY;
            data.ocfs = OCFS_FORMAT_0.into();
        }
        data.oncs = optional.into();
        data.fuses = FUSES_COMPARE_AND_WRITE.into();
        data.acwu = ACWU.into();
        data.vwc = vwc::FLUSH_ALL;
        data.ctratt = CTRATT_LONG_HOST_IDENTIFIER.into();
        data.nvscc = NVSCC_USUAL_LAYOUT;
        data.nwpc = NWPC_WRITE_PROTECT;
        data.sgls = SGLS.into();
        let mut commands = oacs::FORMAT | oacs::FIRMWARE;
        if self.namespaces.is_managed {
            commands |= oacs::NAMESPACE_MANAGEMENT;
            data.tnvmcap = bytes(self.namespaces.units());
            data.unvmcap = bytes(self.namespaces.free_units());
        }
        if self.hardware.can_erase {
            data.sanicap = (capabilities::BLOCK_ERASE | capabilities::NOTHING_ELSE_MODIFIED).into();
        }
        if self.function_count() > 1 {
            data.cmic = CMIC_CONTROLLERS;
        }
        data.oacs = commands.into();
        data.oaes = (notice::NAMESPACE_ATTRIBUTE | notice::FIRMWARE_ACTIVATION).into();
        let (prefix, uuid) = data.subnqn.split_at_mut(NQN_UUID_PREFIX.len());
        prefix.copy_from_slice(NQN_UUID_PREFIX);
        uuid[..UUID_CHARACTERS].copy_from_slice(&uuid_text(self.config.uuid));
        data
    }

    /// What all namespaces have in common: NSID `FFFFFFFFh`.
    fn common_namespace(&self) -> IdentifyNamespace {
        let mut data = IdentifyNamespace::new_zeroed();
        let formats = self.lba_formats();
        data.nlbaf = formats.len() as u8 - 1;
        for (place, shift) in data.lbaf.iter_mut().zip(formats) {
            *place = LbaFormat { ms: 0.into(), lbads: *shift, rp: 0 };
        }
        if self.hardware.can_copy {
            (data.mssrl, data.mcl, data.msrc) = (MSSRL.into(), MCL.into(), MSRC);
        }
        data
    }

    fn namespace(&self, namespace: &Namespace) -> IdentifyNamespace {
        let mut data = self.common_namespace();
        data.nsze = namespace.blocks.into();
        data.ncap = namespace.blocks.into();
        data.nuse = namespace.blocks.into();
        data.dlfeat = if self.hardware.can_erase { DLFEAT } else { 0 };
        let format = self.lba_formats().iter().position(|shift| *shift == namespace.lba_shift);
        data.flbas = format.unwrap_or(0) as u8;
        data.nmic = if namespace.is_shared { NMIC_SHARED } else { 0 };
        data.nsattr = if namespace.is_write_protected { NSATTR_WRITE_PROTECTED } else { 0 };
        if self.namespaces.is_managed {
            data.nvmcap = (u128::from(namespace.units()) * u128::from(STORAGE_UNIT_BYTES)).into();
        }
        data
    }

    /// Identifiers above `nsid`, ascending.
    fn namespace_list(
        &self,
        nsid: u32,
        is_listed: impl Fn(&Namespace) -> bool,
    ) -> Result<[U32; NAMESPACE_LIST_ENTRIES], Status> {
        if nsid >= NSID_LIST_END {
            return Err(Status::INVALID_NAMESPACE);
        }
        let mut list = [U32::new(0); NAMESPACE_LIST_ENTRIES];
        let listed = self.namespaces.allocated().filter(|(found, namespace)| *found > nsid && is_listed(namespace));
        for (place, (found, _)) in list.iter_mut().zip(listed) {
            *place = found.into();
        }
        Ok(list)
    }

    /// The functions in `functions` from number `first` on.
    fn controller_list(&self, functions: u8, first: u32) -> ControllerList {
        let mut list = ControllerList::new_zeroed();
        let listed = (0..u32::from(self.function_count())).filter(|f| functions >> f & 1 == 1 && *f >= first);
        let mut count = 0;
        for (place, function) in list.identifiers.iter_mut().zip(listed) {
            *place = (function as u16).into();
            count += 1;
        }
        list.count = U16::new(count);
        list
    }

    fn namespace_descriptors(&self, namespace: &Namespace) -> [u8; IDENTIFY_BYTES as usize] {
        let mut data = NOTHING;
        let uuid = self.config.namespace_uuid(namespace.serial);
        let name = UuidDescriptor { nidt: nidt::UUID, nidl: uuid.len() as u8, reserved: [0; 2], nid: uuid };
        let command_set = CsiDescriptor { nidt: nidt::CSI, nidl: 1, reserved: [0; 2], csi: CSI_NVM };
        data[..size_of::<UuidDescriptor>()].copy_from_slice(name.as_bytes());
        let behind = size_of::<UuidDescriptor>()..size_of::<UuidDescriptor>() + size_of::<CsiDescriptor>();
        data[behind].copy_from_slice(command_set.as_bytes());
        data
    }
}

fn independent(namespace: &Namespace) -> IndependentNamespace {
    let mut data = IndependentNamespace::new_zeroed();
    data.nmic = if namespace.is_shared { NMIC_SHARED } else { 0 };
    data.nsattr = if namespace.is_write_protected { NSATTR_WRITE_PROTECTED } else { 0 };
    data.nstat = NSTAT_READY;
    data
}

/// Characters of a UUID as text.
const UUID_CHARACTERS: usize = 36;

/// The usual text of a UUID: hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn uuid_text(uuid: [u8; 16]) -> [u8; UUID_CHARACTERS] {
    let mut text = [b'-'; UUID_CHARACTERS];
    let mut at = 0;
    for (i, byte) in uuid.into_iter().enumerate() {
        at += usize::from(matches!(i, 4 | 6 | 8 | 10));
        for nibble in [byte >> 4, byte & 0xF] {
            text[at] = b"0123456789abcdef"[usize::from(nibble)];
            at += 1;
        }
    }
    text
}
