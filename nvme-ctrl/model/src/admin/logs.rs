//! NVMe Base, "Get Log Page command".

use std::collections::VecDeque;

use nvme_spec::identify::FIRMWARE_REVISION;
use nvme_spec::limits::{ERROR_LOG_ENTRIES, NSID_BROADCAST, TRANSFER_BYTES_MAX};
use nvme_spec::log::{
    lid, ErrorLogEntry, FirmwareSlotLog, SmartLog, DATA_UNIT_BYTES, ERROR_LOG_BYTES, NO_PARAMETER_LOCATION,
};
use nvme_spec::opcode::io;
use nvme_spec::{SqEntry, Status, ZeroBased};
use zerocopy::{FromZeros, IntoBytes};

use super::features::TEMPERATURE;
use crate::host::HostPort;
use crate::model::Model;

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
        if queue != 0 && matches!(entry.opcode, io::READ | io::WRITE) {
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
            io::READ => {
                self.bytes_read += bytes;
                self.read_commands += 1;
            }
            io::WRITE => {
                self.bytes_written += bytes;
                self.write_commands += 1;
            }
            _ => {}
        }
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

fn firmware_slots() -> FirmwareSlotLog {
    let mut page = FirmwareSlotLog::new_zeroed();
    page.afi = 1;
    page.frs[0] = FIRMWARE_REVISION;
    page
}

impl Model {
    pub(super) fn get_log_page(&mut self, entry: &SqEntry, host: &mut dyn HostPort) -> Result<u32, Status> {
        let log_page = entry.cdw(10) as u8;
        let page = match log_page {
            lid::ERROR_INFORMATION => self.admin.logs.error_information(),
            lid::SMART => {
                // Identify Controller, LPA, bit 0: the page is not kept per namespace.
                if !matches!(entry.nsid.get(), 0 | NSID_BROADCAST) {
                    return Err(Status::INVALID_FIELD);
                }
                let warning = self.admin.features.critical_warning();
                self.admin.logs.smart(warning).as_bytes().to_vec()
            }
            lid::FIRMWARE_SLOT => firmware_slots().as_bytes().to_vec(),
            _ => return Err(Status::INVALID_LOG_PAGE),
        };
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
        }
        Ok(0)
    }
}
