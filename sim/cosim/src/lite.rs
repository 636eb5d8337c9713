//! A manager of an AXI4-Lite port of the hardware: one access at a time, in order.

use rtl_hdl::sim::{PortId, Simulator};
use std::collections::VecDeque;

/// A register access.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// Reads the 32 bits at this address.
    Read {
        /// A multiple of 4.
        address: u32,
    },
    /// Writes the bytes of `value` whose bit in `strobe` is set.
    Write {
        /// A multiple of 4.
        address: u32,
        /// The dword.
        value: u32,
        /// One bit for each byte.
        strobe: u8,
    },
}

/// The pins of the port and what is under way on them.
pub struct LitePort {
    pins: Pins,
    queue: VecDeque<Request>,
    current: Option<Active>,
    answer: Option<u32>,
}

struct Active {
    request: Request,
    address_sent: bool,
    data_sent: bool,
}

struct Pins {
    awvalid: PortId,
    awready: PortId,
    awaddr: PortId,
    wvalid: PortId,
    wready: PortId,
    wdata: PortId,
    wstrb: PortId,
    bvalid: PortId,
    bready: PortId,
    arvalid: PortId,
    arready: PortId,
    araddr: PortId,
    rvalid: PortId,
    rready: PortId,
    rdata: PortId,
}

fn high(model: &impl Simulator, pin: PortId) -> bool {
    model.peek_u64(pin) == 1
}

impl LitePort {
    /// The port whose pins begin with `prefix`.
    pub fn new(model: &mut impl Simulator, prefix: &str) -> Self {
        let pin = |name: &str| model.port(&format!("{prefix}_{name}"));
        let pins = Pins {
            awvalid: pin("awvalid"),
            awready: pin("awready"),
            awaddr: pin("awaddr"),
            wvalid: pin("wvalid"),
            wready: pin("wready"),
            wdata: pin("wdata"),
            wstrb: pin("wstrb"),
            bvalid: pin("bvalid"),
            bready: pin("bready"),
            arvalid: pin("arvalid"),
            arready: pin("arready"),
            araddr: pin("araddr"),
            rvalid: pin("rvalid"),
            rready: pin("rready"),
            rdata: pin("rdata"),
        };
        // Answers are always welcome.
        model.poke_u64(pins.bready, 1);
        model.poke_u64(pins.rready, 1);
        Self { pins, queue: VecDeque::new(), current: None, answer: None }
    }

    /// Puts an access in line.
    pub fn push(&mut self, request: Request) {
        self.queue.push_back(request);
    }

    /// True if nothing is in line or under way.
    pub fn is_idle(&self) -> bool {
        self.current.is_none() && self.queue.is_empty()
    }

    /// What the last read returned, once.
    pub fn take_answer(&mut self) -> Option<u32> {
        self.answer.take()
    }

    /// Drives the pins for the clock that comes, from what the hardware drives in it.
    pub fn drive(&mut self, model: &mut impl Simulator) {
        let pins = &self.pins;
        if let Some(active) = &self.current {
            // What was transferred at the last edge is no longer offered.
            if active.address_sent {
                model.poke_u64(pins.awvalid, 0);
                model.poke_u64(pins.arvalid, 0);
            }
            if active.data_sent {
                model.poke_u64(pins.wvalid, 0);
            }
            // An answer that is offered now is transferred at the coming edge.
            let answered = match active.request {
                Request::Write { .. } => high(model, pins.bvalid),
                Request::Read { .. } => high(model, pins.rvalid),
            };
            if answered {
                if let Request::Read { .. } = active.request {
                    self.answer = Some(model.peek_u64(pins.rdata) as u32);
                }
                self.current = None;
            }
        }
        if self.current.is_none() {
            let Some(request) = self.queue.pop_front() else { return };
            match request {
                Request::Write { address, value, strobe } => {
                    model.poke_u64(pins.awaddr, u64::from(address));
                    model.poke_u64(pins.wdata, u64::from(value));
                    model.poke_u64(pins.wstrb, u64::from(strobe));
                    model.poke_u64(pins.awvalid, 1);
                    model.poke_u64(pins.wvalid, 1);
                }
                Request::Read { address } => {
                    model.poke_u64(pins.araddr, u64::from(address));
                    model.poke_u64(pins.arvalid, 1);
                }
            }
            self.current = Some(Active { request, address_sent: false, data_sent: false });
        }
        if let Some(active) = &mut self.current {
            match active.request {
                Request::Write { .. } => {
                    active.address_sent |= high(model, pins.awready);
                    active.data_sent |= high(model, pins.wready);
                }
                Request::Read { .. } => active.address_sent |= high(model, pins.arready),
            }
        }
    }
}
