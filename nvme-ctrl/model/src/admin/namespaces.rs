//! NVMe Base, "Namespace Management command", "Namespace Attachment command", "Format NVM command" and "Sanitize command".

use std::collections::BTreeSet;

use nvme_spec::identify::{management, ControllerList, IdentifyNamespace, IDENTIFY_BYTES, NMIC_SHARED};
use nvme_spec::limits::NSID_BROADCAST;
use nvme_spec::sanitize::action;
use nvme_spec::{SqEntry, Status};
use zerocopy::FromBytes;

use super::Answer;
use crate::controller::Controller;
use crate::host::HostPort;

impl Controller {
    pub(super) fn namespace_management(&mut self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<u32, Status> {
        if entry.cdw(11) >> 24 != 0 {
            return Err(Status::INVALID_FIELD);
        }
        match entry.cdw(10) & 0xF {
            management::CREATE => {
                let data = self.receive(entry, IDENTIFY_BYTES.into(), host)?;
                let wanted = IdentifyNamespace::read_from_bytes(&data).map_err(|_| Status::INTERNAL_ERROR)?;
                self.create_namespace(&wanted)
            }
            management::DELETE => self.delete_namespaces(entry.nsid.get()),
            _ => Err(Status::INVALID_FIELD),
        }
    }

    fn create_namespace(&mut self, wanted: &IdentifyNamespace) -> Result<u32, Status> {
        let formats = self.subsystem.formats();
        let format = formats.get(usize::from(wanted.flbas & 0xF)).copied();
        // FLBAS beyond the format: metadata, which no format has.
        let lba_bytes = format.filter(|_| wanted.flbas < 0x10).ok_or(Status::INVALID_FORMAT)?;
        if wanted.dps != 0 || wanted.nmic > NMIC_SHARED || wanted.nsze.get() == 0 {
            return Err(Status::INVALID_FIELD);
        }
        if wanted.nsze != wanted.ncap {
            return Err(Status::THIN_PROVISIONING_NOT_SUPPORTED);
        }
        self.subsystem.create(wanted.nsze.get(), lba_bytes, wanted.nmic == NMIC_SHARED)
    }

    fn delete_namespaces(&mut self, nsid: u32) -> Result<u32, Status> {
        let gone: Vec<u32> = if nsid == NSID_BROADCAST {
            self.subsystem.namespaces.keys().copied().collect()
        } else if self.subsystem.allocated(nsid)?.is_write_protected {
            return Err(Status::NAMESPACE_WRITE_PROTECTED);
        } else {
            vec![nsid]
        };
        for nsid in gone {
            if let Some(namespace) = self.subsystem.namespaces.remove(&nsid) {
                self.subsystem.namespace_changed(nsid, &namespace.attached, self.function);
            }
        }
        Ok(0)
    }

    pub(super) fn namespace_attachment(&mut self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<u32, Status> {
        let (nsid, select) = (entry.nsid.get(), entry.cdw(10) & 0xF);
        if select > management::DETACH {
            return Err(Status::INVALID_FIELD);
        }
        self.subsystem.allocated(nsid)?;
        let data = self.receive(entry, IDENTIFY_BYTES.into(), host)?;
        let controllers = self.listed(&data)?;
        let function = self.function;
        let namespace = self.subsystem.namespaces.get_mut(&nsid).ok_or(Status::INVALID_FIELD)?;
        if select == management::ATTACH {
            if !namespace.attached.is_disjoint(&controllers) {
                return Err(Status::NAMESPACE_ALREADY_ATTACHED);
            }
            if !namespace.is_shared && namespace.attached.len() + controllers.len() > 1 {
                return Err(Status::NAMESPACE_IS_PRIVATE);
            }
            namespace.attached.extend(&controllers);
        } else {
            if !namespace.attached.is_superset(&controllers) {
                return Err(Status::NAMESPACE_NOT_ATTACHED);
            }
            namespace.attached.retain(|controller| !controllers.contains(controller));
        }
        self.subsystem.namespace_changed(nsid, &controllers, function);
        Ok(0)
    }

    /// The controllers of a Controller List: at least one, ascending, and all of this subsystem.
    fn listed(&self, data: &[u8]) -> Result<BTreeSet<u8>, Status> {
        let list = ControllerList::read_from_bytes(data).map_err(|_| Status::INTERNAL_ERROR)?;
        let count = usize::from(list.count.get());
        let listed = list.identifiers.get(..count).filter(|listed| !listed.is_empty());
        let listed = listed.ok_or(Status::CONTROLLER_LIST_INVALID)?;
        let is_ascending = listed.windows(2).all(|pair| pair[0].get() < pair[1].get());
        let is_known = |id: u16| id < u16::from(self.subsystem.controllers());
        if !is_ascending || !listed.iter().all(|id| is_known(id.get())) {
            return Err(Status::CONTROLLER_LIST_INVALID);
        }
        Ok(listed.iter().map(|id| id.get() as u8).collect())
    }

    /// NVMe Base, "Sanitize command". No operation of the model fails, so that there is no failure mode to leave.
    pub(super) fn sanitize(&mut self, entry: &SqEntry) -> Result<u32, Status> {
        self.subsystem.check_sanitize()?;
        match entry.cdw(10) & 7 {
            action::EXIT_FAILURE_MODE => {}
            action::BLOCK_ERASE => {
                if self.subsystem.next_slot.is_some() {
                    return Err(Status::ACTIVATION_REQUIRES_RESET);
                }
                if self.subsystem.namespaces.values().any(|namespace| namespace.is_write_protected) {
                    return Err(Status::NAMESPACE_WRITE_PROTECTED);
                }
                self.subsystem.start_sanitize(entry.cdw(10));
            }
            _ => return Err(Status::INVALID_FIELD),
        }
        Ok(0)
    }

    /// What is erased is erased at once; the command ends later. Commands that are under way in the namespace end with an error.
    pub(super) fn format_nvm(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let wanted = entry.cdw(10);
        // Secure Erase Settings: nothing, or User Data Erase. What was there is not returned either way, where that is possible.
        let erases = match wanted >> 9 & 7 {
            0 => self.config.can_erase,
            1 if self.config.can_erase => true,
            _ => return Err(Status::INVALID_FIELD),
        };
        let formats = self.subsystem.formats();
        let lba_bytes = formats.get((wanted & 0xF) as usize).copied();
        // Metadata, protection information and the upper bits of the format.
        let lba_bytes = lba_bytes.filter(|_| wanted >> 4 & 0x1F == 0 && wanted >> 12 & 3 == 0);
        let lba_bytes = lba_bytes.ok_or(Status::INVALID_FORMAT)?;
        let nsid = entry.nsid.get();
        let chosen: Vec<u32> = if nsid == NSID_BROADCAST {
            self.subsystem.namespaces.keys().copied().collect()
        } else {
            self.subsystem.check_valid(nsid)?;
            self.subsystem.active(self.function, nsid).ok_or(Status::INVALID_FIELD)?;
            vec![nsid]
        };
        if chosen.iter().any(|nsid| self.subsystem.namespaces[nsid].is_write_protected) {
            return Err(Status::NAMESPACE_WRITE_PROTECTED);
        }
        for nsid in &chosen {
            let version = self.subsystem.new_version();
            let Some(namespace) = self.subsystem.namespaces.get_mut(nsid) else {
                continue;
            };
            let bytes = namespace.blocks * u64::from(namespace.lba_bytes);
            namespace.version = version;
            namespace.lba_bytes = lba_bytes;
            namespace.blocks = bytes / u64::from(lba_bytes);
            let (at, attached) = (namespace.at, namespace.attached.clone());
            if erases {
                self.subsystem.storage.erase(at, bytes);
            }
            self.subsystem.namespace_changed(*nsid, &attached, self.function);
        }
        if erases {
            self.subsystem.start_format(self.function, entry.cid.get(), chosen);
            return Ok(Answer::Held);
        }
        Ok(Answer::Done(Ok(0)))
    }
}
