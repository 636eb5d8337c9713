//! The data of a command on its way between the data buffer and the host. The buffer has one owner at a time.
//!
//! Hardware finds the data of a transfer from its SGL and its length, or from its two PRPs and its length. With PRPs the host may describe more memory than firmware sends (a log page is
//! shorter than what was asked for), and then PRP2 may point to a list although what is sent touches two pages only. In that case firmware
//! sends the part in the first page, reads the list entry of the second page, and sends the rest there.
//! NVMe Base, "Physical Region Page Entry and List".

use nvme_spec::entry::prp::{ENTRY_BYTES, LIST_ALIGNMENT};
use nvme_spec::limits::PAGE_BYTES;
use nvme_spec::{DataPointer, Status};
use soc_hal::Mmio;

use crate::port::Transferred;
use crate::request::Request;
use crate::Firmware;

/// The data of a command on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) request: Request,
    then: Then,
    next: Next,
}

/// What is done when all data has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The command is done.
    Complete {
        /// Dword 0 of its completion.
        result: u32,
        /// The log page that the host has read without retaining its event.
        acknowledges: Option<u8>,
    },
    /// The data is a frame that arrives.
    ReceiveFrame {
        /// Its length.
        bytes: u32,
    },
    /// The data belongs to an admin command, which goes on with it.
    Execute,
    /// The data is the ranges of a Dataset Management command.
    Deallocate,
    /// The data is the source ranges of a Copy command.
    Copy,
}

/// What comes after the hardware's transfer that is under way.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// All data has arrived.
    Complete,
    /// The first page has its part. The page of the rest is in a list.
    LookUp(Listed),
    /// The list entry is in the first words of the buffer, where `kept` was.
    Follow { listed: Listed, kept: [u32; ENTRY_WORDS as usize] },
}

/// Data for a page that a PRP list names.
#[derive(Clone, Copy, Debug)]
struct Listed {
    /// Address of the list entry.
    list: u64,
    /// Pages that the list describes from this entry on.
    pages: u32,
    /// Where the data begins in the buffer, in words.
    start: u32,
    /// Its length in words.
    words: u32,
}

/// Words of a list entry.
const ENTRY_WORDS: u32 = ENTRY_BYTES / 4;

impl<M: Mmio> Firmware<M> {
    /// Sends `bytes` of the data buffer as the data of a command whose data pointer describes `described` bytes.
    pub(crate) fn begin_transfer(&mut self, request: &Request, bytes: u32, described: u32, then: Then) {
        assert!(self.transfer.is_none(), "the data buffer has one owner");
        let pointer = match DataPointer::of(&request.entry) {
            Ok(pointer) => pointer,
            Err(status) => return self.refuse(request, status),
        };
        let DataPointer::Prp(prp) = pointer else {
            self.port.send_buffer(request.function, pointer, bytes);
            self.transfer = Some(Transfer { request: *request, then, next: Next::Complete });
            return;
        };
        let offset = (prp[0] % u64::from(PAGE_BYTES)) as u32;
        let in_first_page = bytes.min(PAGE_BYTES - offset);
        let pages = (offset + described).div_ceil(PAGE_BYTES);
        let is_list = pages > 2;
        if is_list && prp[1] % LIST_ALIGNMENT != 0 {
            return self.refuse(request, Status::INVALID_PRP_OFFSET);
        }
        let next = if is_list && in_first_page < bytes {
            let words = (bytes - in_first_page) / 4;
            self.port.send_buffer(request.function, pointer, in_first_page);
            Next::LookUp(Listed { list: prp[1], pages: pages - 1, start: in_first_page / 4, words })
        } else {
            self.port.send_buffer(request.function, pointer, bytes);
            Next::Complete
        };
        self.transfer = Some(Transfer { request: *request, then, next });
    }

    /// Brings `bytes` of the data of a command, which are no more than the buffer holds, into the buffer.
    pub(crate) fn begin_fetch(&mut self, request: &Request, bytes: u32, then: Then) {
        assert!(self.transfer.is_none(), "the data buffer has one owner");
        let pointer = match DataPointer::of(&request.entry) {
            Ok(pointer) => pointer,
            Err(status) => return self.refuse(request, status),
        };
        self.port.fetch_to_buffer(request.function, pointer, bytes);
        self.transfer = Some(Transfer { request: *request, then, next: Next::Complete });
    }

    /// Goes on with the transfer when the hardware's part of it has ended; whether it was the last part.
    pub(crate) fn poll_transfer(&mut self) -> bool {
        let Some(transfer) = self.transfer else {
            return false;
        };
        let status = match self.port.transferred() {
            Transferred::GoesOn => return false,
            // The buffer has something else, and the command ends with its life.
            Transferred::Dropped => {
                self.transfer = None;
                return false;
            }
            Transferred::Ended(status) => status,
        };
        match self.continue_transfer(&transfer, status) {
            Ok(Some(next)) => self.transfer = Some(Transfer { next, ..transfer }),
            Ok(None) => {
                self.transfer = None;
                self.end_transfer(&transfer);
            }
            Err(status) => {
                self.transfer = None;
                self.refuse(&transfer.request, status);
            }
        }
        self.transfer.is_none()
    }

    fn end_transfer(&mut self, transfer: &Transfer) {
        let request = &transfer.request;
        match transfer.then {
            Then::Complete { result, acknowledges } => {
                if let Some(log_page) = acknowledges {
                    self.log_page_was_read(request.function, log_page);
                }
                self.complete(request.place, result);
            }
            Then::ReceiveFrame { bytes } => self.receive_frame(request, bytes),
            Then::Execute => {
                let answer = self.execute_with_data(request);
                self.answer(request, answer);
            }
            Then::Deallocate => {
                let answer = self.deallocate(request);
                self.answer(request, answer);
            }
            Then::Copy => {
                let answer = self.begin_copy(request);
                self.answer(request, answer);
            }
        }
    }

    /// Starts the next part; `None` if there is none.
    fn continue_transfer(&mut self, transfer: &Transfer, status: Status) -> Result<Option<Next>, Status> {
        if !status.is_success() {
            return Err(status);
        }
        let function = transfer.request.function;
        match transfer.next {
            Next::Complete => Ok(None),
            Next::LookUp(listed) => {
                let kept = core::array::from_fn(|word| self.port.buffer_word(word as u32));
                self.port.fetch_to_buffer(function, DataPointer::Prp([listed.list, 0]), ENTRY_BYTES);
                Ok(Some(Next::Follow { listed, kept }))
            }
            Next::Follow { listed, kept } => {
                let entry = u64::from(self.port.buffer_word(1)) << 32 | u64::from(self.port.buffer_word(0));
                if entry % u64::from(PAGE_BYTES) != 0 {
                    return Err(Status::INVALID_PRP_OFFSET);
                }
                let is_last_of_page = (listed.list + u64::from(ENTRY_BYTES)) % u64::from(PAGE_BYTES) == 0;
                if is_last_of_page && listed.pages > 1 {
                    // The last entry of a list page points to the next list page if more pages are described.
                    self.port.fetch_to_buffer(function, DataPointer::Prp([entry, 0]), ENTRY_BYTES);
                    return Ok(Some(Next::Follow { listed: Listed { list: entry, ..listed }, kept }));
                }
                for (word, value) in (0..).zip(kept) {
                    self.port.set_buffer_word(word, value);
                }
                for word in 0..listed.words {
                    let value = self.port.buffer_word(listed.start + word);
                    self.port.set_buffer_word(word, value);
                }
                self.port.send_buffer(function, DataPointer::Prp([entry, 0]), 4 * listed.words);
                Ok(Some(Next::Complete))
            }
        }
    }
}
