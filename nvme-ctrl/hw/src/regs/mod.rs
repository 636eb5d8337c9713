//! # Registers
//!
//! What the host reads and writes in BAR0: the controller properties, the doorbells, and the window of the MSI-X table.
//!
//! ## Symbol
//! ```text
//!                     +--- regs ---+
//!      mmio ==========|            |---> doorbell  Doorbell (to queues)
//! status_f0, ..   --->|            |---> cc_f0, aqa_f0, asq_f0, acq_f0, ..
//! function_reset  --->|            |---> window_write, .. (to irq)
//! window_read_data -->|            |---> subsystem_reset
//!     clear_nssro --->|            |
//!                     +------------+
//! ```
//! ## Theory of operation
//! 1. The registers are those of [`nvme_spec::regs`]: [`rtl_csr::RegisterFile`] makes them from that table, once for each function.
//! 2. A write of both low bytes of a doorbell becomes an item of `doorbell`; other writes there, and doorbells beyond the highest queue
//!    number of any configuration, are ignored. Doorbells read as zero.
//! 3. A controller reset changes nothing here: CC holds what the host wrote, AQA, ASQ and ACQ keep their values. A function level reset
//!    clears those of its function.
//! 4. A write of [`SUBSYSTEM_RESET`] to NSSR of any function clears the registers of all functions in the same clock, and `subsystem_reset` has
//!    everything else reset. CSTS.NSSRO of all functions is 1 from then on: until the host clears it, or firmware does (`clear_nssro`), through
//!    all other resets.
//! 5. Accesses of functions that are not there read zero and write nothing.
//!
//! ## Timing
//! A read is answered after 3 clocks, a write after 2. A doorbell is offered 1 clock after it came.
//!
//! ## Limits
//! One read and one write at a time.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::held::{function_bit, get, placed, port_name, register_of, with_fields};
use crate::irq::WINDOW_BITS;
use crate::lifecycle::STATUS_BITS;
use crate::queues::Doorbell;
use crate::Config;
use nvme_spec::reg::{self, Reg};
use nvme_spec::regs::{self, csts, BAR0_BYTES, DOORBELLS, MSIX_TABLE, REGISTERS, SUBSYSTEM_RESET};
use rtl_bus::AxiLiteRegisters;
use rtl_csr::{Access, Bus, RegisterFile};
use rtl_hdl::{address_width, when, zero, Block, Module, Naming, Shape, Signal, Value};
use rtl_prim::one_hot_select;

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
    function: Signal,
    /// There is such a function.
    ours: Signal,
    offset: Signal,
}

impl Place {
    fn of(address: Signal, functions: u32) -> Place {
        let function = address.bits(OFFSET_BITS..MMIO_ADDRESS_BITS);
        Place { function, ours: function.zext(9).lt(functions), offset: address.low(OFFSET_BITS) }
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
                // What outlives a reset of its function is not in here.
                _ if reg.name == regs::CSTS.name => Access::Ro,
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
        format!("regs_n{}_e{}", self.config.functions, self.config.queue_entries_max)
    }

    fn description(&self) -> String {
        "Controller properties, doorbells and the window of the MSI-X table, on AXI4-Lite.".into()
    }

    fn build(&self, m: &Module) {
        // 1. Ports
        let clock = m.clock();
        let mmio = AxiLiteRegisters::new(m, clock, "mmio", MMIO_ADDRESS_BITS);
        let functions = self.config.functions;
        let status = (0..functions).map(|f| m.input(&format!("status_f{f}"), STATUS_BITS)).collect::<Vec<_>>();
        let function_reset = m.input("function_reset", functions);
        let clear_nssro = m.input("clear_nssro", functions);
        let window_read_data = m.input("window_read_data", 32);
        let doorbell = m.stream_out_wires("doorbell", Naming::Underscore, |make| Doorbell::declare("", make));

        // 2. State
        let reset = clock.reset().expect("`Module::clock` has a reset");
        let file = self.register_file();
        let subsystem_reset = m.wire_of_width("resets_subsystem", 1);
        let properties: Vec<_> = (0..functions)
            .map(|f| {
                let reset = m.wire(&format!("reset_f{f}"), reset | function_reset.bit(f) | subsystem_reset);
                m.instance_with_clocks(&format!("properties_f{f}"), &file, &[clock.with_reset(reset)])
            })
            .collect();
        let read_settled = m.reg("read_settled", clock, false);
        let nssro = m.reg("nssro", clock, zero(functions));

        // 3. Conditions
        let written = Place::of(mmio.write_address(), functions);
        let read = Place::of(mmio.read_address(), functions);
        let write_doorbell = m.wire("write_doorbell", written.is_in(DOORBELLS));
        // Doorbells alternate: tail of a submission queue, head of a completion queue.
        let index = written.offset.bits(2..address_width(DOORBELLS.end - DOORBELLS.start));
        let queue = index.bits(1..index.width());
        let is_whole = m.wire("is_whole", mmio.write_strobe().low(2).all() & !queue.bits(8..queue.width()).any());
        // What is offered is in the registers of `mmio`, and stays there until it is taken.
        doorbell.valid.set(mmio.write() & write_doorbell & is_whole);
        let accept = m.wire("accept", mmio.write() & (!(write_doorbell & is_whole) | doorbell.ready));
        // A bit for each function whose register is written with this value.
        let writes = |reg: &Reg, value: Signal| {
            let is_it = written.is_in(REGISTERS) & written.offset.bits(2..OFFSET_BITS).eq(reg.offset / 4);
            function_bit(written.function, functions) & (mmio.write() & is_it & value).repeat(functions)
        };
        let is_signature = mmio.write_strobe().all() & mmio.write_data().eq(SUBSYSTEM_RESET);
        subsystem_reset.set(writes(&regs::NSSR, is_signature).any());
        let is_nssro = mmio.write_strobe().bit(csts::NSSRO.lsb / 8) & mmio.write_data().bit(csts::NSSRO.lsb);
        let clears_nssro = m.wire("clears_nssro", writes(&regs::CSTS, is_nssro) | clear_nssro);
        let write_window = m.wire("write_window", written.is_in(MSIX_TABLE.start..BAR0_BYTES));
        let read_window = m.wire("read_window", read.is_in(MSIX_TABLE.start..BAR0_BYTES));

        // 4. Next state
        when(accept, || mmio.accept_write());
        doorbell.payload.set(Doorbell {
            function: written.function,
            queue: queue.low(8),
            completion: index.bit(0),
            value: mmio.write_data().low(16),
        });
        for (number, (file, status)) in (0..).zip(properties.iter().zip(&status)) {
            file.port("write").set(mmio.write() & written.is_in(REGISTERS) & written.function.eq(number));
            file.port("write_address").set(written.offset.low(PROPERTY_BITS));
            file.port("write_data").set(mmio.write_data());
            file.port("write_strobe").set(mmio.write_strobe());
            file.port("read_address").set(read.offset.low(PROPERTY_BITS));
            let status = status.zext(32) | placed(nssro.bit(number), csts::NSSRO.lsb, 32);
            for field in regs::CSTS.fields {
                file.port(&port_name(&regs::CSTS, field)).set(get(status, field));
            }
        }
        nssro.set((nssro & !clears_nssro) | subsystem_reset.repeat(functions));
        // Registers and window answer one clock after their address.
        read_settled.set(mmio.read() & !read_settled);
        let reader = function_bit(read.function, functions);
        let data: Vec<Signal> = properties.iter().map(|file| file.port("read_data")).collect();
        let property = read.is_in(REGISTERS).mux(one_hot_select(reader, &data), zero(32));
        let answer = m.wire("answer", read_window.mux(window_read_data, property));
        when(mmio.read() & read_settled, || mmio.answer_read(answer));

        // 5. Outputs
        for (number, file) in properties.iter().enumerate() {
            let value = |reg: &Reg| {
                let fields = reg.fields.iter().map(|field| (field, file.port(&port_name(reg, field))));
                with_fields(&fields.collect::<Vec<_>>())
            };
            let page = |reg: &Reg| placed(file.port(&port_name(reg, &reg.fields[0])), reg.fields[0].lsb, 64);
            m.output(&format!("cc_f{number}"), value(&regs::CC));
            m.output(&format!("aqa_f{number}"), value(&regs::AQA));
            m.output(&format!("asq_f{number}"), page(&regs::ASQ));
            m.output(&format!("acq_f{number}"), page(&regs::ACQ));
        }
        m.output("subsystem_reset", subsystem_reset);
        m.output("window_write", mmio.write() & write_window);
        m.output("window_function", written.function);
        m.output("window_address", window_address(written.offset));
        m.output("window_data", mmio.write_data());
        m.output("window_strobe", mmio.write_strobe());
        m.output("window_read_function", read.function);
        m.output("window_read_address", window_address(read.offset));
    }
}

/// The dword in the window of the MSI-X table.
fn window_address(offset: Signal) -> Signal {
    // The window is the upper half of the BAR.
    offset.bits(2..2 + WINDOW_BITS)
}

const _: () = assert!(MSIX_TABLE.start * 2 == BAR0_BYTES && REGISTERS.start == 0);
