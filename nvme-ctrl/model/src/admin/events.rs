//! Asynchronous events. NVMe Base, "Asynchronous Event Request command".

use std::collections::VecDeque;

use nvme_spec::feature::{error_event, event_result, event_type, io_command_set_event, notice_event, smart_event};
use nvme_spec::limits::ASYNC_EVENT_REQUESTS;
use nvme_spec::log::lid;
use nvme_spec::Status;

/// Events of one type that wait for a request or for the host to read their log page.
const WAITING_MAX: usize = 8;

/// Events of one type.
#[derive(Default)]
struct Kind {
    /// The log page of the event that was reported, which the host has not read yet: no other is reported.
    masked_by: Option<u8>,
    waiting: VecDeque<u32>,
}

#[derive(Default)]
pub(crate) struct Events {
    /// Command ids of the requests that are held, oldest first.
    requests: VecDeque<u16>,
    error: Kind,
    smart: Kind,
    notice: Kind,
    io_command_set: Kind,
}

impl Events {
    /// Holds a request.
    pub(crate) fn hold(&mut self, cid: u16) -> Result<(), Status> {
        if self.requests.len() >= ASYNC_EVENT_REQUESTS as usize {
            return Err(Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED);
        }
        self.requests.push_back(cid);
        Ok(())
    }

    /// Forgets a held request; whether there was one.
    pub(crate) fn drop_held(&mut self, cid: u16) -> bool {
        let found = self.requests.iter().position(|held| *held == cid);
        found.and_then(|at| self.requests.remove(at)).is_some()
    }

    /// The next event to report, with the request that reports it.
    pub(crate) fn take(&mut self) -> Option<(u16, u32)> {
        let cid = *self.requests.front()?;
        let result = self.error.take().or_else(|| self.smart.take()).or_else(|| self.notice.take());
        let result = result.or_else(|| self.io_command_set.take())?;
        self.requests.pop_front();
        Some((cid, result))
    }

    /// The host has read a log page and did not ask to retain the event.
    pub(crate) fn log_page_was_read(&mut self, log_page: u8) {
        for kind in [&mut self.error, &mut self.smart, &mut self.notice, &mut self.io_command_set] {
            kind.masked_by = kind.masked_by.filter(|masking| *masking != log_page);
        }
    }

    pub(crate) fn invalid_doorbell_register(&mut self) {
        self.error.raise(event_result(
            event_type::ERROR,
            error_event::INVALID_DOORBELL_REGISTER,
            lid::ERROR_INFORMATION,
        ));
    }

    pub(crate) fn invalid_doorbell_value(&mut self) {
        self.error.raise(event_result(event_type::ERROR, error_event::INVALID_DOORBELL_VALUE, lid::ERROR_INFORMATION));
    }

    pub(crate) fn temperature_threshold(&mut self) {
        self.smart.raise(event_result(event_type::SMART, smart_event::TEMPERATURE_THRESHOLD, lid::SMART));
    }
}

impl Events {
    pub(crate) fn namespace_changed(&mut self) {
        let event = notice_event::NAMESPACE_ATTRIBUTE_CHANGED;
        self.notice.raise(event_result(event_type::NOTICE, event, lid::CHANGED_NAMESPACES));
    }

    pub(crate) fn activation_starts(&mut self) {
        let event = notice_event::FIRMWARE_ACTIVATION_STARTING;
        self.notice.raise(event_result(event_type::NOTICE, event, lid::FIRMWARE_SLOT));
    }
}

impl Events {
    pub(crate) fn sanitized(&mut self) {
        let event = io_command_set_event::SANITIZE_COMPLETED;
        self.io_command_set.raise(event_result(event_type::IO_COMMAND_SET, event, lid::SANITIZE_STATUS));
    }
}

impl Kind {
    fn raise(&mut self, result: u32) {
        if self.waiting.len() < WAITING_MAX && !self.waiting.contains(&result) {
            self.waiting.push_back(result);
        }
    }

    fn take(&mut self) -> Option<u32> {
        if self.masked_by.is_some() {
            return None;
        }
        let result = self.waiting.pop_front()?;
        self.masked_by = Some((result >> 16) as u8);
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reported_type_stays_silent_until_its_log_page_is_read() {
        let mut events = Events::default();
        for cid in 0..3 {
            assert_eq!(events.hold(cid), Ok(()));
        }
        events.invalid_doorbell_register();
        events.invalid_doorbell_value();
        events.temperature_threshold();
        assert_eq!(events.take(), Some((0, 0x0001_0000)));
        assert_eq!(events.take(), Some((1, 0x0002_0101)));
        assert_eq!(events.take(), None);
        events.log_page_was_read(lid::SMART);
        assert_eq!(events.take(), None);
        events.log_page_was_read(lid::ERROR_INFORMATION);
        assert_eq!(events.take(), Some((2, 0x0001_0100)));
    }

    #[test]
    fn surplus_requests_are_refused_and_dropped_ones_make_room() {
        let mut events = Events::default();
        for cid in 0..ASYNC_EVENT_REQUESTS as u16 {
            assert_eq!(events.hold(cid), Ok(()));
        }
        let refused = Err(Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED);
        assert_eq!(events.hold(9), refused);
        assert!(events.drop_held(1));
        assert!(!events.drop_held(1));
        assert_eq!(events.hold(9), Ok(()));
    }
}
