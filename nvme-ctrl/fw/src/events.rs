//! Asynchronous events. NVMe Base, "Asynchronous Event Request command".
//!
//! An event that occurs waits until the host has an event request outstanding. When it is told, further events of its type wait until the host
//! has read the type's log page with Retain Asynchronous Event 0.

use nvme_spec::feature::{error_event, event_result, event_type, io_command_set_event, notice_event, smart_event};
use nvme_spec::firmware_port::{self as regs, function_events as event};
use nvme_spec::limits::ASYNC_EVENT_REQUESTS;
use nvme_spec::log::{critical_warning, lid};
use nvme_spec::Status;
use soc_hal::Mmio;

use crate::commands::Place;
use crate::life::Abort;
use crate::list::List;
use crate::request::Request;
use crate::Firmware;

/// What this controller tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    InvalidDoorbellRegister,
    InvalidDoorbellValue,
    TemperatureThreshold,
    SpareBelowThreshold,
    Reliability,
    NamespaceAttributeChanged,
    FirmwareActivationStarting,
    SanitizeCompleted,
}

impl Event {
    const ALL: [Self; 8] = [
        Self::InvalidDoorbellRegister,
        Self::InvalidDoorbellValue,
        Self::TemperatureThreshold,
        Self::SpareBelowThreshold,
        Self::Reliability,
        Self::NamespaceAttributeChanged,
        Self::FirmwareActivationStarting,
        Self::SanitizeCompleted,
    ];

    const fn event_type(self) -> u8 {
        match self {
            Self::InvalidDoorbellRegister | Self::InvalidDoorbellValue => event_type::ERROR,
            Self::TemperatureThreshold | Self::SpareBelowThreshold | Self::Reliability => event_type::SMART,
            Self::NamespaceAttributeChanged | Self::FirmwareActivationStarting => event_type::NOTICE,
            Self::SanitizeCompleted => event_type::IO_COMMAND_SET,
        }
    }

    /// The log page that belongs to it: reading it lets the host be told again.
    const fn log_page(self) -> u8 {
        match self {
            Self::InvalidDoorbellRegister | Self::InvalidDoorbellValue => lid::ERROR_INFORMATION,
            Self::TemperatureThreshold | Self::SpareBelowThreshold | Self::Reliability => lid::SMART,
            Self::NamespaceAttributeChanged => lid::CHANGED_NAMESPACES,
            Self::FirmwareActivationStarting => lid::FIRMWARE_SLOT,
            Self::SanitizeCompleted => lid::SANITIZE_STATUS,
        }
    }

    /// Dword 0 of the completion.
    const fn result(self) -> u32 {
        let information = match self {
            Self::InvalidDoorbellRegister => error_event::INVALID_DOORBELL_REGISTER,
            Self::InvalidDoorbellValue => error_event::INVALID_DOORBELL_VALUE,
            Self::TemperatureThreshold => smart_event::TEMPERATURE_THRESHOLD,
            Self::SpareBelowThreshold => smart_event::SPARE_BELOW_THRESHOLD,
            Self::Reliability => smart_event::RELIABILITY,
            Self::NamespaceAttributeChanged => notice_event::NAMESPACE_ATTRIBUTE_CHANGED,
            Self::FirmwareActivationStarting => notice_event::FIRMWARE_ACTIVATION_STARTING,
            Self::SanitizeCompleted => io_command_set_event::SANITIZE_COMPLETED,
        };
        event_result(self.event_type(), information, self.log_page())
    }
}

/// What tells of a critical warning: bits of SMART / Health Information, Critical Warning, and so of Asynchronous Event Configuration.
const OF_WARNINGS: [(u8, Event); 3] = [
    (critical_warning::SPARE, Event::SpareBelowThreshold),
    (critical_warning::TEMPERATURE, Event::TemperatureThreshold),
    (critical_warning::READ_ONLY, Event::Reliability),
];

pub(crate) struct AsyncEvents {
    /// The requests that the host has outstanding.
    requests: List<Place, { ASYNC_EVENT_REQUESTS as usize }>,
    /// A bit per element of `Event::ALL`: it has occurred and was not told yet.
    occurred: u8,
    /// A bit per log page of an event that was told, and that was not read since: no event of its type is told.
    masked: u8,
}

impl AsyncEvents {
    pub(crate) const fn new() -> Self {
        Self { requests: List::new(), occurred: 0, masked: 0 }
    }

    /// Holds a request.
    pub(crate) fn add_request(&mut self, place: Place) -> Result<(), Status> {
        if self.requests.room() == 0 {
            return Err(Status::ASYNC_EVENT_REQUEST_LIMIT_EXCEEDED);
        }
        self.requests.push(place);
        Ok(())
    }

    /// Takes back a request, if it is there.
    pub(crate) fn remove_request(&mut self, wanted: impl FnMut(&Place) -> bool) -> Option<Place> {
        let index = self.requests.position(wanted)?;
        Some(self.requests.remove(index))
    }

    /// An event occurs. It is told once, however often it occurs until then.
    pub(crate) fn raise(&mut self, event: Event) {
        self.occurred |= 1 << event as u8;
    }

    /// A log page was read: the next event of its type may be told.
    pub(crate) fn acknowledge(&mut self, log_page: u8) {
        for event in Event::ALL.into_iter().filter(|event| event.log_page() == log_page) {
            self.masked &= !(1 << event as u8);
        }
    }

    /// Whether an event of the type was told and its log page not read since.
    fn is_masked(&self, event_type: u8) -> bool {
        Event::ALL.iter().any(|told| told.event_type() == event_type && self.masked >> *told as u8 & 1 == 1)
    }

    /// The event that is told next, if one can be.
    pub(crate) fn next(&self) -> Option<Event> {
        if self.requests.is_empty() {
            return None;
        }
        let is_next = |event: &Event| self.occurred >> *event as u8 & 1 == 1 && !self.is_masked(event.event_type());
        Event::ALL.into_iter().find(is_next)
    }

    /// The next request to complete, and with which event.
    fn take(&mut self) -> Option<(Place, Event)> {
        let event = self.next()?;
        self.occurred &= !(1 << event as u8);
        self.masked |= 1 << event as u8;
        Some((self.requests.remove(0), event))
    }
}

impl<M: Mmio> Firmware<M> {
    /// Tells the hosts what has occurred, as far as they have asked.
    pub(crate) fn deliver_events(&mut self) {
        for function in 0..self.functions.len() as u8 {
            while let Some((place, event)) = self.of(function).events.take() {
                self.complete(place, event.result());
            }
        }
    }

    /// The critical warnings that are on and that the host of a function wants to be told about. NVMe Base, "Asynchronous Event Configuration".
    pub(crate) fn told_warnings(&self, function: u8) -> u8 {
        let features = &self.functions[usize::from(function)].features;
        let of_medium = self.medium.map_or(0, |medium| medium.critical_warning());
        (features.critical_warning() | of_medium) & features.warnings_wanted()
    }

    /// Raises the events of the warnings that were not there before: each is told once, until it has been off.
    pub(crate) fn raise_warnings(&mut self, function: u8, told_before: u8) {
        let new = self.told_warnings(function) & !told_before;
        for (_, event) in OF_WARNINGS.into_iter().filter(|(warning, _)| new & warning != 0) {
            self.of(function).events.raise(event);
        }
    }

    /// The host has read a log page, and does not retain its event.
    pub(crate) fn log_page_was_read(&mut self, function: u8, log_page: u8) {
        let reader = self.of(function);
        reader.events.acknowledge(log_page);
        if log_page == lid::CHANGED_NAMESPACES {
            reader.changed_namespaces = 0;
        }
    }

    /// The host wrote to doorbells what it must not.
    pub(crate) fn notice_doorbell_errors(&mut self, function: u8, events: u32) {
        let errors = [
            (event::INVALID_DOORBELL, Event::InvalidDoorbellRegister),
            (event::INVALID_DOORBELL_VALUE, Event::InvalidDoorbellValue),
        ];
        for (field, event) in errors {
            if field.get32(events) == 1 {
                self.port.write_of(&regs::FUNCTION_EVENTS_CLEAR, function, field.set32(0, 1));
                let told = self.of(function);
                told.error_log.add_without_command();
                told.events.raise(event);
            }
        }
    }

    /// Executes the Abort commands that came in this poll, and those that wait until the hardware copies no more for the command that they name. NVMe
    /// Base, "Abort command".
    ///
    /// Only what firmware holds stays long enough to be aborted; a command that is with the hardware ends by itself.
    pub(crate) fn execute_aborts(&mut self) {
        for function in 0..self.functions.len() as u8 {
            let mut waiting = 0;
            while let Some(abort) = self.of(function).aborts.get(waiting) {
                if self.is_copied(function, &abort) {
                    waiting += 1;
                    continue;
                }
                self.of(function).aborts.remove(waiting);
                let aborted = self.find_held(function, &abort);
                if let Some((place, result)) = aborted {
                    self.commands.end(place, result, Status::ABORT_REQUESTED);
                }
                // Bit 0 of the result: the command was not aborted.
                self.complete(abort.place, u32::from(aborted.is_none()));
            }
        }
    }

    /// The command that an Abort names, if firmware holds it, and dword 0 of its completion.
    fn find_held(&mut self, function: u8, abort: &Abort) -> Option<(Place, u32)> {
        if abort.sqid == 0 {
            let Self { commands, functions, .. } = self;
            let events = &mut functions[usize::from(function)].events;
            if let Some(request) = events.remove_request(|place| commands.command(*place).cid == abort.cid) {
                return Some((request, 0));
            }
        }
        let slot = self.slot_of(function, abort)?;
        let held = self.commands.find_held(slot, abort.cid).map(|place| (place, 0));
        held.or_else(|| self.abort_copy(slot, abort.cid))
    }

    /// Whether the hardware copies for the command that an Abort names.
    fn is_copied(&mut self, function: u8, abort: &Abort) -> bool {
        let slot = self.slot_of(function, abort);
        let is_it = |request: &Request| Some(request.slot) == slot && request.entry.cid.get() == abort.cid;
        self.copies.is_moving_for(is_it)
    }

    /// The slot of the submission queue that an Abort names.
    fn slot_of(&mut self, function: u8, abort: &Abort) -> Option<u8> {
        let qid = u8::try_from(abort.sqid).ok()?;
        self.of(function).queues.sq(qid).map(|sq| sq.slot)
    }
}
