//! Asynchronous events. NVMe Base, "Asynchronous Event Request command".
//!
//! An event that occurs waits until the host has an event request outstanding. When it is told, further events of its type wait until the host
//! has read the type's log page with Retain Asynchronous Event 0.

use nvme_spec::feature::{error_event, event_result, event_type, smart_event};
use nvme_spec::firmware_port::events as event;
use nvme_spec::limits::ASYNC_EVENT_REQUESTS;
use nvme_spec::log::lid;
use nvme_spec::{SqEntry, Status};
use soc_hal::Mmio;

use crate::list::List;
use crate::port::{CommandId, Completion};
use crate::Firmware;

/// What this controller tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    InvalidDoorbellRegister,
    InvalidDoorbellValue,
    TemperatureThreshold,
}

impl Event {
    const ALL: [Self; 3] = [Self::InvalidDoorbellRegister, Self::InvalidDoorbellValue, Self::TemperatureThreshold];

    const fn event_type(self) -> u8 {
        match self {
            Self::InvalidDoorbellRegister | Self::InvalidDoorbellValue => event_type::ERROR,
            Self::TemperatureThreshold => event_type::SMART,
        }
    }

    /// Dword 0 of the completion.
    const fn result(self) -> u32 {
        let (information, log_page) = match self {
            Self::InvalidDoorbellRegister => (error_event::INVALID_DOORBELL_REGISTER, lid::ERROR_INFORMATION),
            Self::InvalidDoorbellValue => (error_event::INVALID_DOORBELL_VALUE, lid::ERROR_INFORMATION),
            Self::TemperatureThreshold => (smart_event::TEMPERATURE_THRESHOLD, lid::SMART),
        };
        event_result(self.event_type(), information, log_page)
    }
}

pub(crate) struct AsyncEvents {
    /// Command identifiers of the requests that the host has outstanding.
    requests: List<u16, { ASYNC_EVENT_REQUESTS as usize }>,
    /// A bit per element of `Event::ALL`: it has occurred and was not told yet.
    occurred: u8,
    /// A bit per event type: one was told, and its log page was not read since.
    masked: u8,
}

impl AsyncEvents {
    pub(crate) const fn new() -> Self {
        Self { requests: List::new(), occurred: 0, masked: 0 }
    }

    /// Holds a request.
    pub(crate) fn add_request(&mut self, cid: u16) -> Result<(), Status> {
        if self.requests.room() == 0 {
            return Err(Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED);
        }
        self.requests.push(cid);
        Ok(())
    }

    /// Takes back a request; whether there was one.
    pub(crate) fn remove_request(&mut self, cid: u16) -> bool {
        let index = self.requests.position(|held| *held == cid);
        if let Some(index) = index {
            self.requests.remove(index);
        }
        index.is_some()
    }

    /// An event occurs. It is told once, however often it occurs until then.
    pub(crate) fn raise(&mut self, event: Event) {
        self.occurred |= 1 << event as u8;
    }

    /// The log page of a type was read: its next event may be told.
    pub(crate) fn acknowledge(&mut self, event_type: u8) {
        self.masked &= !(1 << event_type);
    }

    /// The next request to complete, and with which event.
    fn take(&mut self) -> Option<(u16, Event)> {
        if self.requests.is_empty() {
            return None;
        }
        let is_next =
            |event: &Event| self.occurred >> *event as u8 & 1 == 1 && self.masked >> event.event_type() & 1 == 0;
        let event = Event::ALL.into_iter().find(is_next)?;
        self.occurred &= !(1 << event as u8);
        self.masked |= 1 << event.event_type();
        Some((self.requests.remove(0), event))
    }
}

impl<M: Mmio> Firmware<M> {
    /// Tells the host what has occurred, as far as it has asked.
    pub(crate) fn deliver_events(&mut self) {
        while self.life.completions.room() > 0 {
            let Some((cid, event)) = self.life.events.take() else {
                break;
            };
            self.complete(CommandId { sqid: 0, cid }, event.result());
        }
    }

    /// The host wrote to doorbells what it must not.
    pub(crate) fn notice_doorbell_errors(&mut self, events: u32) {
        let errors = [
            (event::INVALID_DOORBELL, Event::InvalidDoorbellRegister),
            (event::INVALID_DOORBELL_VALUE, Event::InvalidDoorbellValue),
        ];
        for (field, event) in errors {
            if field.get32(events) == 1 {
                self.clear_event(field);
                self.error_log.add_without_command();
                self.life.events.raise(event);
            }
        }
    }

    /// Executes the Abort commands that came in this poll. NVMe Base, "Abort command".
    ///
    /// Only event requests stay long enough to be aborted; a command that is with the hardware ends by itself.
    pub(crate) fn execute_aborts(&mut self) {
        while !self.life.aborts.is_empty() {
            let abort: SqEntry = self.life.aborts.remove(0);
            let [sqid, cid] = [abort.cdw(10) as u16, (abort.cdw(10) >> 16) as u16];
            let aborted = sqid == 0 && self.life.events.remove_request(cid);
            if aborted {
                self.life.completions.push(Completion {
                    command: CommandId { sqid: 0, cid },
                    result: 0,
                    status: Status::ABORT_REQUESTED,
                });
            }
            // Bit 0 of the result: the command was not aborted.
            let command = CommandId { sqid: 0, cid: abort.cid.get() };
            self.complete(command, u32::from(!aborted));
        }
    }
}
