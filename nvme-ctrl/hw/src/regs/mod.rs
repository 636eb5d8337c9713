//! # Registers
//!
//! What the host reads and writes in BAR0: the controller properties, the doorbells, and the window of the MSI-X table.
//!
//! ## Symbol
//! ```text
//!                  +--- regs ---+
//!   mmio ==========|            |---> doorbell  Doorbell (to queues)
//! status -------->|            |---> cc, aqa, asq, acq
//! function_reset ->|            |---> window_write, .. (to irq)
//! window_read_data>|            |
//!                  +------------+
//! ```
//! ## Theory of operation
//! The registers are those of [`nvme_spec::regs`]: names, offsets and fields come from there.
//! 1. Writes follow the byte strobes; bits outside of fields that can be written stay zero.
//! 2. A write of both low bytes of a doorbell becomes an item of `doorbell`; other writes there, and doorbells beyond the highest queue
//!    number of any configuration, are ignored. Doorbells read as zero.
//! 3. A controller reset changes nothing here: CC holds what the host wrote, AQA, ASQ and ACQ keep their values. A function level reset
//!    clears them all.
//! 4. Accesses of functions other than 0 read zero and write nothing.
//!
//! ## Timing
//! A read is answered after 3 clocks, a write after 2.
//!
//! ## Limits
//! One read and one write at a time.

use crate::irq::WINDOW_BITS;
use crate::lifecycle::STATUS_BITS;
use crate::queues::Doorbell;
use crate::Config;
use nvme_spec::reg::{Access, Reg};
use nvme_spec::regs::{self, BAR0_BYTES, DOORBELLS, MSIX_TABLE, REGISTERS};
use rtl_bus::AxiLiteRegisters;
use rtl_hdl::{address_width, cat, lit, when, zero, Block, Module, Signal};

#[cfg(test)]
mod bench;

/// Width of an offset in the BAR.
pub const OFFSET_BITS: u32 = address_width(BAR0_BYTES);
/// Width of an address of `mmio`: the function number is above the offset.
pub const MMIO_ADDRESS_BITS: u32 = OFFSET_BITS + 8;

/// See the [page](self) of this block.
pub struct Regs {
    config: Config,
}

impl Regs {
    /// The block of this configuration.
    pub fn new(config: Config) -> Self {
        Regs { config }
    }
}

/// An address of `mmio`, taken apart.
struct Place {
    /// In function 0.
    ours: Signal,
    offset: Signal,
}

impl Place {
    fn of(address: Signal) -> Place {
        Place { ours: !address.bits(OFFSET_BITS..MMIO_ADDRESS_BITS).any(), offset: address.low(OFFSET_BITS) }
    }

    /// In the half-open range; its bounds are multiples of 4096.
    fn is_in(&self, range: std::ops::Range<u32>) -> Signal {
        self.ours & self.offset.ge(range.start) & !self.offset.zext(OFFSET_BITS + 1).ge(range.end)
    }

    /// The dword of a register, counted from its offset.
    fn is_dword(&self, reg: &Reg, dword: u32) -> Signal {
        self.ours & self.offset.bits(2..OFFSET_BITS).eq(reg.offset / 4 + dword)
    }
}

impl Block for Regs {
    fn name(&self) -> String {
        format!("regs_e{}", self.config.queue_entries_max)
    }

    fn description(&self) -> String {
        "Controller properties, doorbells and the window of the MSI-X table, on AXI4-Lite.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let mmio = AxiLiteRegisters::new(m, clock, "mmio", MMIO_ADDRESS_BITS);
        let status = m.input("status", STATUS_BITS);
        let function_reset = m.input("function_reset", 1);
        let window_read_data = m.input("window_read_data", 32);
        let doorbell = m.stream_out_single::<Doorbell>("doorbell");

        // 2. State
        let cc = m.reg("cc_held", clock, zero(32));
        let aqa = m.reg("aqa_held", clock, zero(32));
        let asq = m.reg("asq_held", clock, zero(64));
        let acq = m.reg("acq_held", clock, zero(64));
        let read_settled = m.reg("read_settled", clock, false);

        // 3. Conditions
        let written = Place::of(mmio.write_address());
        let read = Place::of(mmio.read_address());
        let write_doorbell = m.wire("write_doorbell", written.is_in(DOORBELLS));
        let accept = m.wire("accept", mmio.write() & (!write_doorbell | doorbell.can_take()));
        // Doorbells alternate: tail of a submission queue, head of a completion queue.
        let index = written.offset.bits(2..address_width(DOORBELLS.end - DOORBELLS.start));
        let queue = index.bits(1..index.width());
        let is_whole = m.wire("is_whole", mmio.write_strobe().low(2).all() & !queue.bits(8..queue.width()).any());
        let write_window = m.wire("write_window", written.is_in(MSIX_TABLE.start..BAR0_BYTES));
        let read_window = m.wire("read_window", read.is_in(MSIX_TABLE.start..BAR0_BYTES));

        // 4. Next state
        when(accept, || mmio.accept_write());
        when(accept & write_doorbell & is_whole, || {
            doorbell.offer(Doorbell {
                queue: queue.low(8),
                completion: index.bit(0),
                value: mmio.write_data().low(16),
            });
        });
        for (reg, held) in [(&regs::CC, cc), (&regs::AQA, aqa), (&regs::ASQ, asq), (&regs::ACQ, acq)] {
            let dwords: Vec<Signal> = (0..reg.bytes / 4)
                .rev()
                .map(|dword| {
                    let old = held.bits(32 * dword..32 * dword + 32);
                    let here = mmio.write() & written.is_dword(reg, dword);
                    let bits = lit((reg.mask_of(Access::Rw) >> (32 * dword)) as u32, 32);
                    here.mux(merged(old, mmio.write_data(), mmio.write_strobe()) & bits, old)
                })
                .collect();
            held.set(cat(&dwords));
            when(function_reset, || held.set(lit(0u8, held.width())));
        }

        // The window answers one clock after its address.
        read_settled.set(mmio.read() & !read_settled);
        let csts = status.zext(32);
        let cap = regs::cap_value(self.config.queue_entries_max);
        let values = [
            (&regs::CAP, lit(cap, 64)),
            (&regs::VS, lit(regs::VS.reset, 32)),
            (&regs::CC, cc),
            (&regs::CSTS, csts),
            (&regs::AQA, aqa),
            (&regs::ASQ, asq),
            (&regs::ACQ, acq),
        ];
        let dwords = values.iter().flat_map(|(reg, value)| {
            let read = &read;
            (0..reg.bytes / 4)
                .map(move |dword| read.is_dword(reg, dword).repeat(32) & value.bits(32 * dword..32 * dword + 32))
        });
        let word = dwords.reduce(|a, b| a | b).expect("there are registers");
        let answer = m.wire("answer", read_window.mux(window_read_data, word));
        when(mmio.read() & read_settled, || mmio.answer_read(answer));

        // 5. Outputs
        m.output("cc", cc);
        m.output("aqa", aqa);
        m.output("asq", asq);
        m.output("acq", acq);
        m.output("window_write", accept & write_window);
        m.output("window_address", window_address(written.offset));
        m.output("window_data", mmio.write_data());
        m.output("window_strobe", mmio.write_strobe());
        m.output("window_read_address", window_address(read.offset));
    }
}

/// The dword in the window of the MSI-X table.
fn window_address(offset: Signal) -> Signal {
    // The window is the upper half of the BAR.
    offset.bits(2..2 + WINDOW_BITS)
}

const _: () = assert!(MSIX_TABLE.start * 2 == BAR0_BYTES && REGISTERS.start == 0);

/// `old` with the bytes of `new` whose strobe is set.
fn merged(old: Signal, new: Signal, strobe: Signal) -> Signal {
    let bytes: Vec<Signal> = (0..4)
        .rev()
        .map(|byte| strobe.bit(byte).mux(new.bits(8 * byte..8 * byte + 8), old.bits(8 * byte..8 * byte + 8)))
        .collect();
    cat(&bytes)
}
