//! Admin commands. NVMe Base, "Admin Command Set".

mod events;
mod features;
mod firmware;
mod identify;
mod logs;
mod namespaces;
mod queues;

use std::collections::BTreeSet;

use nvme_spec::feature::notice;
use nvme_spec::limits::PAGE_BYTES;
use nvme_spec::opcode::admin;
use nvme_spec::{sanitize, DataPointer, SqEntry, Status};

use self::events::Events;
use self::features::Features;
use self::logs::Logs;
use crate::controller::Controller;
use crate::frames::Frames;
use crate::host::{HostError, HostPort};
use crate::interrupts::Aggregation;
use crate::io::walk;
use crate::subsystem::Notice;

/// What becomes of an admin command.
pub(crate) enum Answer {
    /// It has ended: dword 0 of the completion, or the error.
    Done(Result<u32, Status>),
    /// It ends later.
    Held,
}

/// What admin commands work on, apart from queues.
pub(crate) struct Admin {
    features: Features,
    events: Events,
    logs: Logs,
    pub(crate) frames: Frames,
    /// The Changed Namespace List.
    changed_namespaces: BTreeSet<u32>,
}

impl Admin {
    pub(crate) fn new(vectors: u16) -> Self {
        Self {
            features: Features::new(vectors),
            events: Events::default(),
            logs: Logs::default(),
            frames: Frames::default(),
            changed_namespaces: BTreeSet::new(),
        }
    }

    /// A controller reset: features return to their defaults, held commands are gone, logs stay.
    pub(crate) fn reset(&mut self) {
        self.features.reset();
        self.events = Events::default();
        self.frames = Frames::default();
    }

    /// The feature Arbitration.
    pub(crate) fn arbitration(&self) -> u32 {
        self.features.arbitration()
    }

    /// How requests of an interrupt vector are coalesced, if they are.
    pub(crate) fn aggregation(&self, vector: u16) -> Option<Aggregation> {
        self.features.aggregation(vector)
    }

    /// The next asynchronous event to report: the command that reports it, and its result.
    pub(crate) fn take_event(&mut self) -> Option<(u16, u32)> {
        self.events.take()
    }

    pub(crate) fn invalid_doorbell_register(&mut self) {
        self.events.invalid_doorbell_register();
    }

    pub(crate) fn invalid_doorbell_value(&mut self) {
        self.events.invalid_doorbell_value();
    }

    pub(crate) fn log_error(&mut self, queue: u16, entry: &SqEntry, status: Status) {
        self.logs.error(queue, entry, status);
    }

    /// Counts an I/O command that succeeded.
    pub(crate) fn count(&mut self, entry: &SqEntry, lba_bytes: u32) {
        self.logs.count(entry, lba_bytes);
    }

    /// A Copy that has written so many bytes.
    pub(crate) fn count_copy(&mut self, bytes: u64) {
        self.logs.count_copy(bytes);
    }
}

impl Controller {
    pub(crate) fn execute_admin(&mut self, entry: &SqEntry, host: &mut dyn HostPort) -> Answer {
        if !self.has_admin_command(entry.opcode) {
            return Answer::Done(Err(Status::INVALID_OPCODE));
        }
        // No fused admin commands exist, and admin commands over PCIe use PRPs.
        if entry.fuse() != 0 || entry.psdt() != 0 {
            return Answer::Done(Err(Status::INVALID_FIELD));
        }
        if !sanitize::is_allowed(entry.opcode) && entry.opcode != admin::SANITIZE {
            if let Err(status) = self.subsystem.check_sanitize() {
                return Answer::Done(Err(status));
            }
        }
        let result = match entry.opcode {
            admin::DELETE_IO_SQ => self.delete_io_sq(entry),
            admin::CREATE_IO_SQ => self.create_io_sq(entry),
            admin::DELETE_IO_CQ => self.delete_io_cq(entry),
            admin::CREATE_IO_CQ => self.create_io_cq(entry),
            admin::GET_LOG_PAGE => self.get_log_page(entry, host),
            admin::IDENTIFY => self.identify(entry, host),
            admin::ABORT => self.abort_command(entry),
            admin::SET_FEATURES => self.set_features(entry, host),
            admin::GET_FEATURES => self.get_features(entry, host),
            admin::NAMESPACE_MANAGEMENT => self.namespace_management(entry, host),
            admin::NAMESPACE_ATTACHMENT => self.namespace_attachment(entry, host),
            admin::FORMAT_NVM => return self.format_nvm(entry).unwrap_or_else(|status| Answer::Done(Err(status))),
            admin::FIRMWARE_IMAGE_DOWNLOAD => self.firmware_image_download(entry, host),
            admin::FIRMWARE_COMMIT => self.firmware_commit(entry),
            admin::KEEP_ALIVE => {
                self.restart_keep_alive();
                Ok(0)
            }
            admin::SANITIZE => self.sanitize(entry),
            _ => match self.admin.events.hold(entry.cid.get()) {
                Ok(()) => return Answer::Held,
                Err(status) => Err(status),
            },
        };
        Answer::Done(result)
    }

    /// Whether the controller has a command: some are there only if the configuration says so.
    pub(super) fn has_admin_command(&self, code: u8) -> bool {
        match code {
            admin::NAMESPACE_MANAGEMENT | admin::NAMESPACE_ATTACHMENT => self.config.is_managed,
            admin::SANITIZE => self.config.can_erase,
            _ => admin::ALL.iter().any(|(known, _)| *known == code),
        }
    }

    /// Looks at what other controllers have done to the subsystem.
    pub(crate) fn follow_subsystem(&mut self) {
        while let Some(notice) = self.subsystem.take_notice(self.function) {
            match notice {
                Notice::Namespace(nsid) => {
                    self.admin.changed_namespaces.insert(nsid);
                    if self.admin.features.wants(notice::NAMESPACE_ATTRIBUTE) {
                        self.admin.events.namespace_changed();
                    }
                }
                Notice::Activation => {
                    if self.admin.features.wants(notice::FIRMWARE_ACTIVATION) {
                        self.admin.events.activation_starts();
                    }
                }
                Notice::Sanitized => self.admin.events.sanitized(),
            }
        }
    }

    /// NVMe Base, "Abort command". Bit 0 of the result says that nothing was aborted.
    fn abort_command(&mut self, entry: &SqEntry) -> Result<u32, Status> {
        let (queue, cid) = (entry.cdw(10) as u16, (entry.cdw(10) >> 16) as u16);
        if queue == 0 && self.admin.events.drop_held(cid) {
            self.finish(0, cid, Err(Status::ABORT_REQUESTED), false);
            return Ok(0);
        }
        if self.admin.frames.take(queue, cid).is_some() {
            self.finish(queue, cid, Err(Status::ABORT_REQUESTED), false);
            return Ok(0);
        }
        Ok(u32::from(!self.abort(queue, cid)))
    }

    /// Writes the data of a command to where it is wanted.
    pub(crate) fn send(&self, entry: &SqEntry, data: &[u8], host: &mut dyn HostPort) -> Result<(), Status> {
        let segments = walk(host, self.function, DataPointer::of(entry)?, data.len() as u64)?;
        let mut rest = data;
        for segment in segments {
            let (part, later) = rest.split_at(segment.bytes as usize);
            host.write(self.function, segment.address, part).map_err(|HostError| Status::DATA_TRANSFER_ERROR)?;
            rest = later;
        }
        Ok(())
    }
}

const _: () = assert!(PAGE_BYTES as u64 == crate::prp::PAGE_BYTES);
