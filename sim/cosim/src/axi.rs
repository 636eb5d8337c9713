//! Joins an AXI4 manager port of the hardware to a [`Bus`].

use rtl_hdl::sim::{PortId, Simulator};
use sim_device::{Beat, Bus, Memory, ReadRequest, WriteRequest, BEAT_BYTES};

/// The pins of the port.
pub struct AxiPort {
    awvalid: PortId,
    awready: PortId,
    awaddr: PortId,
    awlen: PortId,
    awid: PortId,
    awuser: PortId,
    wvalid: PortId,
    wready: PortId,
    wdata: PortId,
    wstrb: PortId,
    wlast: PortId,
    bvalid: PortId,
    bready: PortId,
    bid: PortId,
    bresp: PortId,
    arvalid: PortId,
    arready: PortId,
    araddr: PortId,
    arlen: PortId,
    arid: PortId,
    aruser: PortId,
    rvalid: PortId,
    rready: PortId,
    rdata: PortId,
    rresp: PortId,
    rid: PortId,
    rlast: PortId,
    driven: Driven,
}

/// What the pins were last set to, so that only changes reach the model.
#[derive(Default)]
struct Driven {
    /// The beat that the bus offers is on the pins.
    beat: bool,
    /// The response that the bus offers is on the pins.
    response: bool,
    rvalid: bool,
    bvalid: bool,
    arready: bool,
    awready: bool,
    wready: bool,
}

/// Sets a pin if it changes.
fn change(model: &mut impl Simulator, pin: PortId, now: &mut bool, to: bool) {
    if *now != to {
        *now = to;
        model.poke_u64(pin, u64::from(to));
    }
}

fn high(model: &impl Simulator, pin: PortId) -> bool {
    model.peek_u64(pin) == 1
}

fn low_byte(model: &impl Simulator, pin: PortId) -> u8 {
    model.peek_u64(pin) as u8
}

const WORDS: usize = BEAT_BYTES / 8;
/// RRESP and BRESP of an error that the subordinate reports.
const SLVERR: u64 = 2;

impl AxiPort {
    /// The port whose pins begin with `prefix`.
    pub fn new(model: &impl Simulator, prefix: &str) -> Self {
        let pin = |name: &str| model.port(&format!("{prefix}_{name}"));
        Self {
            awvalid: pin("awvalid"),
            awready: pin("awready"),
            awaddr: pin("awaddr"),
            awlen: pin("awlen"),
            awid: pin("awid"),
            awuser: pin("awuser"),
            wvalid: pin("wvalid"),
            wready: pin("wready"),
            wdata: pin("wdata"),
            wstrb: pin("wstrb"),
            wlast: pin("wlast"),
            bvalid: pin("bvalid"),
            bready: pin("bready"),
            bid: pin("bid"),
            bresp: pin("bresp"),
            arvalid: pin("arvalid"),
            arready: pin("arready"),
            araddr: pin("araddr"),
            arlen: pin("arlen"),
            arid: pin("arid"),
            aruser: pin("aruser"),
            rvalid: pin("rvalid"),
            rready: pin("rready"),
            rdata: pin("rdata"),
            rresp: pin("rresp"),
            rid: pin("rid"),
            rlast: pin("rlast"),
            driven: Driven::default(),
        }
    }

    /// Serves the port for the clock that comes: drives its inputs from `bus` and reports every transfer of the coming edge to it.
    pub fn drive(&mut self, model: &mut impl Simulator, bus: &mut Bus, memory: &mut impl Memory) {
        bus.begin_clock(memory);

        // Reads.
        if let Some(beat) = bus.read_beat() {
            if !self.driven.beat {
                let mut words = [0u64; WORDS];
                for (word, bytes) in words.iter_mut().zip(beat.data.chunks_exact(8)) {
                    *word = u64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
                }
                model.poke(self.rdata, &words);
                model.poke_u64(self.rid, u64::from(beat.id));
                model.poke_u64(self.rlast, u64::from(beat.last));
                model.poke_u64(self.rresp, if beat.error { SLVERR } else { 0 });
                change(model, self.rvalid, &mut self.driven.rvalid, true);
                self.driven.beat = true;
            }
            if high(model, self.rready) {
                bus.take_read_beat();
                self.driven.beat = false;
            }
        } else {
            change(model, self.rvalid, &mut self.driven.rvalid, false);
        }
        let ready = bus.read_ready();
        change(model, self.arready, &mut self.driven.arready, ready);
        if ready && high(model, self.arvalid) {
            bus.read(ReadRequest {
                id: low_byte(model, self.arid),
                function: low_byte(model, self.aruser),
                address: model.peek_u64(self.araddr),
                beats: model.peek_u64(self.arlen) as u32 + 1,
            });
        }

        // Writes.
        let ready = bus.write_ready();
        change(model, self.awready, &mut self.driven.awready, ready);
        if ready && high(model, self.awvalid) {
            let request = WriteRequest {
                id: low_byte(model, self.awid),
                function: low_byte(model, self.awuser),
                address: model.peek_u64(self.awaddr),
                beats: model.peek_u64(self.awlen) as u32 + 1,
            };
            bus.write(request, memory);
        }
        let ready = bus.write_beat_ready();
        change(model, self.wready, &mut self.driven.wready, ready);
        if ready && high(model, self.wvalid) {
            let mut words = [0u64; WORDS];
            model.peek(self.wdata, &mut words);
            let mut data: Beat = [0; BEAT_BYTES];
            for (bytes, word) in data.chunks_exact_mut(8).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            bus.write_beat(&data, model.peek_u64(self.wstrb), high(model, self.wlast), memory);
        }
        if let Some(response) = bus.write_response() {
            if !self.driven.response {
                model.poke_u64(self.bid, u64::from(response.id));
                model.poke_u64(self.bresp, if response.error { SLVERR } else { 0 });
                change(model, self.bvalid, &mut self.driven.bvalid, true);
                self.driven.response = true;
            }
            if high(model, self.bready) {
                bus.take_write_response();
                self.driven.response = false;
            }
        } else {
            change(model, self.bvalid, &mut self.driven.bvalid, false);
        }
    }
}
