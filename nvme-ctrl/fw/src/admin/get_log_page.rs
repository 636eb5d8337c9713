//! Get Log Page. NVMe Base, "Get Log Page command".

use nvme_spec::feature::event_type;
use nvme_spec::firmware_port as regs;
use nvme_spec::identify::FIRMWARE_REVISION;
use nvme_spec::limits::{BUFFER_BYTES, ERROR_LOG_ENTRIES, NSID_BROADCAST, TRANSFER_BYTES_MAX};
use nvme_spec::log::{lid, FirmwareSlotLog, SmartLog, DATA_UNIT_BYTES, ERROR_LOG_BYTES};
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;
use zerocopy::little_endian::U128;
use zerocopy::{FromZeros, IntoBytes};

use super::Answer;
use crate::features::TEMPERATURE_K;
use crate::Firmware;

const PAGE_BYTES: usize = BUFFER_BYTES as usize;
const _: () = assert!(ERROR_LOG_BYTES <= BUFFER_BYTES, "every log page fits the buffer");

/// A log page: its bytes, its length and the type of events that reading it acknowledges.
struct LogPage {
    data: [u8; PAGE_BYTES],
    bytes: usize,
    event_type: Option<u8>,
}

impl LogPage {
    fn new(content: &[u8], event_type: Option<u8>) -> Self {
        let mut data = [0; PAGE_BYTES];
        data[..content.len()].copy_from_slice(content);
        Self { data, bytes: content.len(), event_type }
    }
}

/// What the host wants of a log page, from command dwords 10 to 13.
struct Request {
    /// Number of Dwords, as bytes.
    bytes: u64,
    /// Log Page Offset.
    offset: u64,
    /// Retain Asynchronous Event.
    retains_event: bool,
}

impl Request {
    fn decode(entry: &SqEntry) -> Result<Self, Status> {
        let dwords = u64::from(entry.cdw(11) & 0xFFFF) << 16 | u64::from(entry.cdw(10) >> 16);
        let bytes = (dwords + 1) * 4;
        let offset = u64::from(entry.cdw(13)) << 32 | u64::from(entry.cdw(12));
        if bytes > u64::from(TRANSFER_BYTES_MAX) || offset % 4 != 0 {
            return Err(Status::INVALID_FIELD);
        }
        Ok(Self { bytes, offset, retains_event: entry.cdw(10) >> 15 & 1 == 1 })
    }
}

impl<M: Mmio> Firmware<M> {
    /// Sends what was asked for. What lies behind the end of the log page is zero, and what lies behind the data buffer is not sent: the
    /// specification leaves it undefined.
    pub(super) fn get_log_page(&mut self, entry: &SqEntry) -> Result<Answer, Status> {
        let request = Request::decode(entry)?;
        let page = match entry.cdw(10) as u8 {
            lid::ERROR_INFORMATION => self.error_information(),
            lid::SMART => self.smart(),
            lid::FIRMWARE_SLOT => firmware_slots(),
            _ => return Err(Status::INVALID_LOG_PAGE),
        };
        // All log pages are the controller's. NVMe Base, "Identify Controller data structure": LPA bit 0 is 0.
        if !matches!(entry.nsid.get(), 0 | NSID_BROADCAST) {
            return Err(Status::INVALID_FIELD);
        }
        if request.offset > page.bytes as u64 {
            return Err(Status::INVALID_FIELD);
        }
        let start = request.offset as usize;
        let mut data = [0; PAGE_BYTES];
        data[..PAGE_BYTES - start].copy_from_slice(&page.data[start..]);
        let bytes = request.bytes.min(PAGE_BYTES as u64) as usize;
        let answer = self.send(entry, &data[..bytes])?;
        let acknowledges = page.event_type.filter(|_| !request.retains_event);
        Ok(match answer {
            Answer::Send { bytes, .. } => Answer::Send { bytes, described: request.bytes as u32, acknowledges },
            other => other,
        })
    }

    fn error_information(&self) -> LogPage {
        let mut page = LogPage::new(&[0; ERROR_LOG_BYTES as usize], Some(event_type::ERROR));
        for age in 0..u64::from(ERROR_LOG_ENTRIES) {
            let entry = self.error_log.newest(age);
            let bytes = entry.as_bytes();
            let start = age as usize * bytes.len();
            page.data[start..start + bytes.len()].copy_from_slice(bytes);
        }
        page
    }

    fn smart(&mut self) -> LogPage {
        let lba_bytes = u128::from(self.hardware.lba_bytes);
        let units = |blocks: u64| {
            let bytes = u128::from(blocks) * lba_bytes;
            U128::new(bytes.div_ceil(u128::from(DATA_UNIT_BYTES)))
        };
        let count = |value: u64| U128::new(u128::from(value));
        let mut data = SmartLog::new_zeroed();
        data.critical_warning = self.life.features.critical_warning();
        data.composite_temperature = TEMPERATURE_K.into();
        data.available_spare = 100;
        data.data_units_read = units(self.port.counter(&regs::READ_BLOCKS));
        data.data_units_written = units(self.port.counter(&regs::WRITE_BLOCKS));
        data.host_read_commands = count(self.port.counter(&regs::READ_COMMANDS));
        data.host_write_commands = count(self.port.counter(&regs::WRITE_COMMANDS));
        // Firmware starts once per power-on, and keeps nothing beyond it.
        data.power_cycles = count(1);
        data.media_errors = count(self.error_log.media_errors());
        data.error_log_entries = count(self.error_log.count());
        LogPage::new(data.as_bytes(), Some(event_type::SMART))
    }
}

fn firmware_slots() -> LogPage {
    let mut data = FirmwareSlotLog::new_zeroed();
    data.afi = 1;
    data.frs[0] = FIRMWARE_REVISION;
    LogPage::new(data.as_bytes(), None)
}
