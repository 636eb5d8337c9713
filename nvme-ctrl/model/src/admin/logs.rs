//! NVMe Base, "Get Log Page command".

use std::collections::VecDeque;

use nvme_spec::limits::{CORE_HZ, ERROR_LOG_ENTRIES, NSID_BROADCAST, TRANSFER_BYTES_MAX};
use nvme_spec::log::latency::{self, LatencyLog, QueueLatency};
use nvme_spec::log::{
    effects, lid, ErrorLogEntry, FirmwareSlotLog, SmartLog, CHANGED_NAMESPACES_ENTRIES, DATA_UNIT_BYTES,
    ERROR_LOG_BYTES, LOG_PAGE_SUPPORTED, NO_PARAMETER_LOCATION, SUPPORTED_LOG_PAGES_BYTES,
};
use nvme_spec::opcode::io;
use nvme_spec::{SqEntry, Status, ZeroBased};
use zerocopy::{FromZeros, IntoBytes};

use super::features::TEMPERATURE;
use crate::controller::Controller;
use crate::host::HostPort;

/// Command dword 10, bit 15: RAE, Retain Asynchronous Event.
const RETAIN_EVENT: u32 = 1 << 15;

/// What the log pages are made from.
#[derive(Default)]
pub(crate) struct Logs {
    /// Newest first.
    errors: VecDeque<ErrorLogEntry>,
    error_count: u64,
    bytes_read: u64,
    bytes_written: u64,
    read_commands: u64,
    write_commands: u64,
}

impl Logs {
    pub(super) fn error(&mut self, queue: u16, entry: &SqEntry, status: Status) {
        self.error_count += 1;
        let mut logged = ErrorLogEntry::new_zeroed();
        logged.error_count = self.error_count.into();
        logged.sqid = queue.into();
        logged.cid = entry.cid;
        logged.status_field = (status.raw() << 1).into();
        logged.parameter_error_location = NO_PARAMETER_LOCATION.into();
        if queue != 0 && io::has_blocks(entry.opcode) {
            logged.lba = (u64::from(entry.cdw(11)) << 32 | u64::from(entry.cdw(10))).into();
        }
        logged.nsid = entry.nsid;
        self.errors.push_front(logged);
        self.errors.truncate(ERROR_LOG_ENTRIES as usize);
    }

    pub(super) fn count(&mut self, entry: &SqEntry, lba_bytes: u32) {
        let blocks = ZeroBased::from_raw(entry.cdw(12) as u16).count();
        let bytes = u64::from(blocks) * u64::from(lba_bytes);
        match entry.opcode {
            io::READ | io::COMPARE => {
                self.bytes_read += bytes;
                self.read_commands += 1;
            }
            io::WRITE => {
                self.bytes_written += bytes;
                self.write_commands += 1;
            }
            // NVM Command Set, "SMART / Health Information": blocks that are verified count, the commands do not.
            io::VERIFY => self.bytes_read += bytes,
            _ => {}
        }
    }

    /// NVM Command Set, "SMART Host Read Command" and "User Data Out Command": a Copy is both, but the blocks that it reads are not counted.
    pub(super) fn count_copy(&mut self, bytes: u64) {
        self.read_commands += 1;
        self.write_commands += 1;
        self.bytes_written += bytes;
    }

    fn error_information(&self) -> Vec<u8> {
        let mut page: Vec<u8> = self.errors.iter().flat_map(|e| e.as_bytes().to_vec()).collect();
        page.resize(ERROR_LOG_BYTES as usize, 0);
        page
    }

    fn smart(&self, critical_warning: u8) -> SmartLog {
        let units = |bytes: u64| u128::from(bytes.div_ceil(DATA_UNIT_BYTES)).into();
        let mut page = SmartLog::new_zeroed();
        page.critical_warning = critical_warning;
        page.composite_temperature = TEMPERATURE.into();
        page.available_spare = 100;
        page.available_spare_threshold = 10;
        page.data_units_read = units(self.bytes_read);
        page.data_units_written = units(self.bytes_written);
        page.host_read_commands = u128::from(self.read_commands).into();
        page.host_write_commands = u128::from(self.write_commands).into();
        page.power_cycles = 1.into();
        page.error_log_entries = u128::from(self.error_count).into();
        page
    }
}

/// Zeroes with some dwords in them.
fn table(bytes: u32, dwords: impl Iterator<Item = (u32, u32)>) -> Vec<u8> {
    let mut page = vec![0; bytes as usize];
    for (offset, value) in dwords {
        page[offset as usize..offset as usize + 4].copy_from_slice(&value.to_le_bytes());
    }
    page
}

impl Controller {
    fn firmware_slots(&self) -> FirmwareSlotLog {
        let number = |index: usize| index as u8 + 1;
        let mut page = FirmwareSlotLog::new_zeroed();
        page.afi = number(self.subsystem.active_slot) | self.subsystem.next_slot.map_or(0, number) << 4;
        for (place, revision) in page.frs.iter_mut().zip(self.subsystem.slots) {
            *place = revision.unwrap_or([0; 8]);
        }
        page
    }

    fn effects(&self) -> Vec<u8> {
        let admin = (0..=u8::MAX).filter(|opcode| self.has_admin_command(*opcode));
        let admin = admin.map(|opcode| (u32::from(opcode) * 4, effects::of(opcode, true)));
        let io = io::ALL
            .iter()
            .filter(|(opcode, _)| *opcode != io::DATASET_MANAGEMENT || self.config.can_erase)
            .filter(|(opcode, _)| *opcode != io::COPY || self.config.can_copy)
            .map(|(opcode, _)| (effects::IO_OFFSET + u32::from(*opcode) * 4, effects::of(*opcode, false)));
        table(effects::BYTES, admin.chain(io))
    }

    /// The model takes no time in any phase that it could tell of: the first counter of each phase counts all commands.
    fn latency(&self) -> Vec<u8> {
        let features = &self.admin.features;
        let submission = features.granted_submission_queues(&self.config);
        let queues = submission.max(features.granted_completion_queues(&self.config));
        let mut head = LatencyLog::new_zeroed();
        head.version = latency::VERSION.into();
        head.queues = u32::from(queues).into();
        head.phases = latency::PHASES.into();
        head.buckets = latency::BUCKETS.into();
        head.clock_hz = CORE_HZ.into();
        head.clock = self.clock.into();
        let mut page = head.as_bytes().to_vec();
        for number in 1..=usize::from(queues) {
            let mut queue = QueueLatency::new_zeroed();
            let commands = self.submission.get(number).and_then(Option::as_ref).map_or(0, |queue| queue.fast_commands);
            queue.phases.iter_mut().for_each(|phase| phase[0] = commands.into());
            page.extend(queue.as_bytes());
        }
        page
    }

    fn log_page(&self, log_page: u8) -> Result<Vec<u8>, Status> {
        Ok(match log_page {
            lid::SUPPORTED_LOG_PAGES => {
                let known = lid::ALL.iter().map(|(known, _)| *known);
                let there = known.filter(|known| *known != lid::SANITIZE_STATUS || self.config.can_erase);
                let listed = there.map(|there| (u32::from(there) * 4, LOG_PAGE_SUPPORTED));
                table(SUPPORTED_LOG_PAGES_BYTES, listed)
            }
            lid::ERROR_INFORMATION => self.admin.logs.error_information(),
            lid::SMART => {
                let warning = self.admin.features.critical_warning();
                self.admin.logs.smart(warning).as_bytes().to_vec()
            }
            lid::FIRMWARE_SLOT => self.firmware_slots().as_bytes().to_vec(),
            lid::CHANGED_NAMESPACES => {
                let listed = (0..).step_by(4).zip(self.admin.changed_namespaces.iter().copied());
                table(CHANGED_NAMESPACES_ENTRIES * 4, listed)
            }
            lid::COMMANDS_SUPPORTED_AND_EFFECTS => self.effects(),
            lid::SANITIZE_STATUS if self.config.can_erase => self.subsystem.sanitize_log().as_bytes().to_vec(),
            lid::LATENCY => self.latency(),
            _ => return Err(Status::INVALID_LOG_PAGE),
        })
    }

    pub(super) fn get_log_page(&mut self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<u32, Status> {
        let log_page = entry.cdw(10) as u8;
        let page = self.log_page(log_page)?;
        // Identify Controller, LPA, bit 0: no page is kept per namespace.
        if !matches!(entry.nsid.get(), 0 | NSID_BROADCAST) {
            return Err(Status::INVALID_FIELD);
        }
        let dwords = u64::from(entry.cdw(11) << 16 | entry.cdw(10) >> 16) + 1;
        let offset = u64::from(entry.cdw(13)) << 32 | u64::from(entry.cdw(12));
        if dwords * 4 > u64::from(TRANSFER_BYTES_MAX) {
            return Err(Status::INVALID_FIELD);
        }
        if offset % 4 != 0 || offset > page.len() as u64 {
            return Err(Status::INVALID_FIELD);
        }
        // What the host asks for beyond the end of the page is zero.
        let mut data = page[offset as usize..].to_vec();
        data.resize(dwords as usize * 4, 0);
        self.send(entry, &data, host)?;
        if entry.cdw(10) & RETAIN_EVENT == 0 {
            self.admin.events.log_page_was_read(log_page);
            if log_page == lid::CHANGED_NAMESPACES {
                self.admin.changed_namespaces.clear();
            }
        }
        Ok(0)
    }
}
