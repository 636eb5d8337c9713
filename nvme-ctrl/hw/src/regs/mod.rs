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
//! 1. The registers are those of [`nvme_spec::regs`]: [`rtl_csr::RegisterFile`] makes them from that table.
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
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::{get, placed, port_name, register_of, with_fields};
use crate::irq::WINDOW_BITS;
use crate::lifecycle::STATUS_BITS;
use crate::queues::Doorbell;
use crate::Config;
use nvme_spec::reg::{self, Reg};
use nvme_spec::regs::{self, BAR0_BYTES, DOORBELLS, MSIX_TABLE, REGISTERS};
use rtl_bus::AxiLiteRegisters;
use rtl_csr::{Access, Bus, RegisterFile};
use rtl_hdl::{address_width, when, zero, Block, Module, Signal};

#[cfg(test)]
mod bench;

/// Width of an offset in the BAR.
pub const OFFSET_BITS: u32 = address_width(BAR0_BYTES);
/// Width of the address of a register.
const PROPERTY_BITS: u32 = address_width(REGISTERS.end);
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
}

impl Regs {
    fn register_file(&self) -> RegisterFile {
        let register = |reg: &Reg| {
            let is_cap = reg.name == regs::CAP.name;
            let reset = if is_cap { regs::cap_value(self.config.queue_entries_max) } else { reg.reset };
            register_of(reg, reset, |field| match field.access {
                reg::Access::Ro if reg.name == regs::CSTS.name => Access::Ro,
                reg::Access::Ro => Access::Constant,
                reg::Access::Rw => Access::Rw,
                reg::Access::W1c => Access::W1c,
                reg::Access::W1s => Access::W1s,
            })
        };
        let name = format!("properties_e{}", self.config.queue_entries_max);
        let registers = regs::REGS.iter().map(register).collect();
        RegisterFile::new(&name, registers, PROPERTY_BITS, Bus::Access)
            .expect("the table of the specification is right")
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
        let reset = clock.reset().expect("`Module::clock` has a reset") | function_reset;
        let file = self.register_file();
        let properties = m.instance_with_clocks("properties", &file, &[clock.with_reset(reset)]);
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
        properties.port("write").set(accept & written.is_in(REGISTERS));
        properties.port("write_address").set(written.offset.low(PROPERTY_BITS));
        properties.port("write_data").set(mmio.write_data());
        properties.port("write_strobe").set(mmio.write_strobe());
        properties.port("read_address").set(read.offset.low(PROPERTY_BITS));
        for field in regs::CSTS.fields {
            properties.port(&port_name(&regs::CSTS, field)).set(get(status.zext(32), field));
        }
        // Registers and window answer one clock after their address.
        read_settled.set(mmio.read() & !read_settled);
        let property = read.is_in(REGISTERS).mux(properties.port("read_data"), zero(32));
        let answer = m.wire("answer", read_window.mux(window_read_data, property));
        when(mmio.read() & read_settled, || mmio.answer_read(answer));
        let value = |reg: &Reg| {
            let fields = reg.fields.iter().map(|field| (field, properties.port(&port_name(reg, field))));
            with_fields(&fields.collect::<Vec<_>>())
        };
        let page = |reg: &Reg| placed(properties.port(&port_name(reg, &reg.fields[0])), reg.fields[0].lsb, 64);

        // 5. Outputs
        m.output("cc", value(&regs::CC));
        m.output("aqa", value(&regs::AQA));
        m.output("asq", page(&regs::ASQ));
        m.output("acq", page(&regs::ACQ));
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
