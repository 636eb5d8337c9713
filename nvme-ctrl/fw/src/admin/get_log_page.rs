//! Get Log Page. NVMe Base, "Get Log Page command".

use core::mem::size_of;

use nvme_spec::firmware_port as regs;
use nvme_spec::limits::{
    BUFFER_BYTES, CORE_HZ, ERROR_LOG_ENTRIES, FIRMWARE_SLOTS, NAMESPACES_MAX, NSID_BROADCAST, TRANSFER_BYTES_MAX,
};
use nvme_spec::log::latency::{LatencyLog, QueueLatency, BUCKETS, PHASES, VERSION};
use nvme_spec::log::{
    effects, lid, FirmwareSlotLog, SmartLog, CHANGED_NAMESPACES_ENTRIES, ERROR_LOG_BYTES, LOG_PAGE_SUPPORTED,
    SUPPORTED_LOG_PAGES_BYTES,
};
use nvme_spec::opcode::io;
use nvme_spec::sanitize::{SanitizeLog, NO_ESTIMATE};
use nvme_spec::Status;
use soc_hal::Mmio;
use zerocopy::little_endian::U128;
use zerocopy::{FromZeros, IntoBytes};

use super::Answer;
use crate::features::TEMPERATURE_K;
use crate::medium::data_units;
use crate::request::Request;
use crate::Firmware;

const PAGE_BYTES: usize = BUFFER_BYTES as usize;
const _: () = assert!(ERROR_LOG_BYTES <= BUFFER_BYTES && effects::BYTES <= BUFFER_BYTES);
const _: () = assert!(CHANGED_NAMESPACES_ENTRIES * 4 <= BUFFER_BYTES && SUPPORTED_LOG_PAGES_BYTES <= BUFFER_BYTES);
const _: () =
    assert!(NAMESPACES_MAX <= CHANGED_NAMESPACES_ENTRIES, "the list of changed namespaces is never too short");

const LATENCY_HEAD_BYTES: u64 = size_of::<LatencyLog>() as u64;
const LATENCY_QUEUE_BYTES: u64 = size_of::<QueueLatency>() as u64;

/// A piece of a log page: as much of it as fits the data buffer, from what the host has asked for on.
struct LogPage {
    data: [u8; PAGE_BYTES],
    /// Where the piece begins in the log page.
    start: u64,
    /// Length of the whole log page.
    bytes: u64,
}

impl LogPage {
    /// Of a log page of so many bytes, which are zero until [`Self::put`] says otherwise.
    fn new(request: &LogRequest, bytes: u64) -> Result<Self, Status> {
        if request.offset > bytes {
            return Err(Status::INVALID_FIELD);
        }
        Ok(Self { data: [0; PAGE_BYTES], start: request.offset, bytes })
    }

    fn of(request: &LogRequest, content: &[u8]) -> Result<Self, Status> {
        let mut page = Self::new(request, content.len() as u64)?;
        page.put(0, content);
        Ok(page)
    }

    /// Puts what is at `offset` of the log page; what is outside of the piece is left out.
    fn put(&mut self, offset: u64, content: &[u8]) {
        debug_assert!(offset + content.len() as u64 <= self.bytes);
        for (at, byte) in (offset..).zip(content) {
            let place = at.checked_sub(self.start).and_then(|at| self.data.get_mut(at as usize));
            if let Some(place) = place {
                *place = *byte;
            }
        }
    }

    /// Whether some of what is at `offset` is in the piece.
    fn wants(&self, offset: u64, bytes: u64) -> bool {
        offset + bytes > self.start && offset < self.start + PAGE_BYTES as u64
    }
}

/// What the host wants of a log page, from command dwords 10 to 13.
struct LogRequest {
    /// Number of Dwords, as bytes.
    bytes: u64,
    /// Log Page Offset.
    offset: u64,
    /// Retain Asynchronous Event.
    retains_event: bool,
}

impl LogRequest {
    fn decode(request: &Request) -> Result<Self, Status> {
        let dwords = u64::from(request.cdw(11) & 0xFFFF) << 16 | u64::from(request.cdw(10) >> 16);
        let bytes = (dwords + 1) * 4;
        let offset = u64::from(request.cdw(13)) << 32 | u64::from(request.cdw(12));
        if bytes > u64::from(TRANSFER_BYTES_MAX) || offset % 4 != 0 {
            return Err(Status::INVALID_FIELD);
        }
        Ok(Self { bytes, offset, retains_event: request.cdw(10) >> 15 & 1 == 1 })
    }
}

impl<M: Mmio> Firmware<M> {
    /// Sends what was asked for. What lies behind the end of the log page is zero, and what lies behind the data buffer is not sent: the
    /// specification leaves it undefined.
    pub(super) fn get_log_page(&mut self, request: &Request) -> Result<Answer, Status> {
        let wanted = LogRequest::decode(request)?;
        let log_page = request.cdw(10) as u8;
        if !self.has_log_page(log_page) {
            return Err(Status::INVALID_LOG_PAGE);
        }
        // All log pages are the controller's. NVMe Base, "Identify Controller data structure": LPA bit 0 is 0.
        if !matches!(request.nsid(), 0 | NSID_BROADCAST) {
            return Err(Status::INVALID_FIELD);
        }
        let function = request.function;
        let page = match log_page {
            lid::SUPPORTED_LOG_PAGES => self.supported_log_pages(&wanted)?,
            lid::ERROR_INFORMATION => self.error_information(function, &wanted)?,
            lid::SMART => self.smart(function, &wanted)?,
            lid::FIRMWARE_SLOT => self.firmware_slots(&wanted)?,
            lid::CHANGED_NAMESPACES => self.changed_namespaces(function, &wanted)?,
            lid::COMMANDS_SUPPORTED_AND_EFFECTS => self.effects(&wanted)?,
            lid::SANITIZE_STATUS => self.sanitize_status(&wanted)?,
            _ => self.latency(function, &wanted)?,
        };
        let bytes = wanted.bytes.min(PAGE_BYTES as u64) as usize;
        let acknowledges = (!wanted.retains_event).then_some(log_page);
        self.send_part(request, &page.data[..bytes], wanted.bytes as u32, acknowledges)
    }

    fn has_log_page(&self, log_page: u8) -> bool {
        match log_page {
            lid::SANITIZE_STATUS => self.hardware.can_erase,
            _ => lid::ALL.iter().any(|(known, _)| *known == log_page),
        }
    }

    fn supported_log_pages(&self, wanted: &LogRequest) -> Result<LogPage, Status> {
        let mut page = LogPage::new(wanted, u64::from(SUPPORTED_LOG_PAGES_BYTES))?;
        for log_page in (0..=u8::MAX).filter(|log_page| self.has_log_page(*log_page)) {
            page.put(u64::from(log_page) * 4, &LOG_PAGE_SUPPORTED.to_le_bytes());
        }
        Ok(page)
    }

    fn sanitize_status(&mut self, wanted: &LogRequest) -> Result<LogPage, Status> {
        let has_written = self.write_commands() != self.written_at_sanitize;
        let mut data = SanitizeLog::new_zeroed();
        data.sprog = self.sanitize.progress(self.namespaces.units()).into();
        data.sstat = self.sanitize.sstat(has_written).into();
        data.scdw10 = self.sanitize.cdw10.into();
        data.estimates = [NO_ESTIMATE.into(); 6];
        LogPage::of(wanted, data.as_bytes())
    }

    fn error_information(&mut self, function: u8, wanted: &LogRequest) -> Result<LogPage, Status> {
        let mut page = LogPage::new(wanted, u64::from(ERROR_LOG_BYTES))?;
        for age in 0..u64::from(ERROR_LOG_ENTRIES) {
            let entry = self.of(function).error_log.newest(age);
            let bytes = entry.as_bytes();
            page.put(age * bytes.len() as u64, bytes);
        }
        Ok(page)
    }

    fn smart(&mut self, function: u8, wanted: &LogRequest) -> Result<LogPage, Status> {
        let count = |value: u64| U128::new(u128::from(value));
        let mut data = SmartLog::new_zeroed();
        data.composite_temperature = TEMPERATURE_K.into();
        data.available_spare = 100;
        data.data_units_read = data_units(self.port.counter(&regs::READ_SECTORS));
        // NVM Command Set, "SMART Data Units Read Command", "SMART Host Read Command" and "User Data Out Command": Copy is of the last two.
        let written_before = self.medium.map_or(0, |medium| medium.sectors_written_before);
        let written = self.port.counter(&regs::WRITE_SECTORS) + self.copies.sectors();
        data.data_units_written = data_units(written_before + written);
        data.host_read_commands = count(self.port.counter(&regs::READ_COMMANDS) + self.copies.commands());
        data.host_write_commands = count(self.write_commands());
        // Firmware starts once per power-on, and keeps nothing beyond it.
        data.power_cycles = count(1);
        data.power_on_hours = count(self.port.counter(&regs::CLOCK) / (CORE_HZ * 3600));
        let reader = self.of(function);
        data.critical_warning = reader.features.critical_warning();
        data.media_errors = count(reader.error_log.media_errors());
        data.error_log_entries = count(reader.error_log.count());
        if let Some(medium) = &self.medium {
            medium.put(&mut data);
        }
        LogPage::of(wanted, data.as_bytes())
    }

    fn firmware_slots(&self, wanted: &LogRequest) -> Result<LogPage, Status> {
        let mut data = FirmwareSlotLog::new_zeroed();
        data.afi = self.slots.active_info();
        for slot in 0..FIRMWARE_SLOTS as usize {
            data.frs[slot] = self.slots.revision(slot);
        }
        LogPage::of(wanted, data.as_bytes())
    }

    fn changed_namespaces(&mut self, function: u8, wanted: &LogRequest) -> Result<LogPage, Status> {
        let changed = self.of(function).changed_namespaces;
        let mut page = LogPage::new(wanted, u64::from(CHANGED_NAMESPACES_ENTRIES) * 4)?;
        let listed = (1..=NAMESPACES_MAX).filter(|nsid| changed >> (nsid - 1) & 1 == 1);
        for (place, nsid) in (0..).zip(listed) {
            page.put(place * 4, &nsid.to_le_bytes());
        }
        Ok(page)
    }

    fn effects(&self, wanted: &LogRequest) -> Result<LogPage, Status> {
        let mut page = LogPage::new(wanted, u64::from(effects::BYTES))?;
        for opcode in (0..=u8::MAX).filter(|opcode| self.has_admin_command(*opcode)) {
            page.put(u64::from(opcode) * 4, &effects::of(opcode, true).to_le_bytes());
        }
        for (opcode, _) in io::ALL.iter().filter(|(opcode, _)| self.has_io_command(*opcode)) {
            let place = u64::from(effects::IO_OFFSET) + u64::from(*opcode) * 4;
            page.put(place, &effects::of(*opcode, false).to_le_bytes());
        }
        Ok(page)
    }

    /// The histograms of the queues that the function was granted; those of queues that do not exist are zero.
    fn latency(&mut self, function: u8, wanted: &LogRequest) -> Result<LogPage, Status> {
        let queues = u64::from(self.of(function).features.granted_pairs());
        let mut page = LogPage::new(wanted, LATENCY_HEAD_BYTES + queues * LATENCY_QUEUE_BYTES)?;
        let mut head = LatencyLog::new_zeroed();
        head.version = VERSION.into();
        head.queues = (queues as u32).into();
        head.phases = PHASES.into();
        head.buckets = BUCKETS.into();
        head.clock_hz = CORE_HZ.into();
        head.clock = self.port.counter(&regs::CLOCK).into();
        page.put(0, head.as_bytes());
        for qid in 1..=queues as u8 {
            let offset = LATENCY_HEAD_BYTES + u64::from(qid - 1) * LATENCY_QUEUE_BYTES;
            let Some(sq) = self.of(function).queues.sq(qid).filter(|_| page.wants(offset, LATENCY_QUEUE_BYTES)) else {
                continue;
            };
            let mut counters = [0; (PHASES * BUCKETS) as usize];
            self.port.latency(sq.slot, &mut counters);
            for (place, counter) in (0..).zip(counters) {
                page.put(offset + place * 4, &counter.to_le_bytes());
            }
        }
        Ok(page)
    }
}
