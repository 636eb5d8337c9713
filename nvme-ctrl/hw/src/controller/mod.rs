//! # Controller
//!
//! The NVMe controller: all blocks, joined. Wiring only.
//!
//! ## Symbol
//! ```text
//!                       +--- controller ---+
//!   mmio  (AXI4-Lite) ==|                  |== host     (AXI4 manager, 512 bits)
//! firmware (AXI4-Lite) ==|                  |---> firmware_event
//!  bus_master_enable -->|                  |---> storage_command  StorageCommand
//!        msix_enable -->|                  |---> storage_write    StorageWrite
//! msix_function_mask -->|                  |<--- storage_read     StorageRead
//! function_level_reset ->|                  |<--- storage_done     StorageDone
//!                       +------------------+
//! ```
//! ## Theory of operation
//! ```text
//!            (1)        (2)          (3)         (4)
//!  mmio --> regs -----> queues -----> sq_fetch --> decode --(5)--> commands --(6)--> io_engine ==> storage
//!            |  ^        ^  ^  |                      |               ^                  |
//!            |  |(12)    |  |  +--(9)--> cq_post      +--(7)--> mailbox ==> firmware     |
//!            |  |        |  |              |  ^       |          ^ |  (8)                |
//!            |  +-- irq -|--|---(10)-------+  |       |          | +--> queues           |
//!            v           |  +-- complete <----|-------|----------|--------(11)-----------+
//!        lifecycle       +--------------------|-------+ consumed +---- failure ----------+
//!                                             +--> host_port ==> host
//! ```
//! 1. Registers and doorbells. 2. Doorbells. 3. Grants of fetches. 4. Entries. 5. Commands of the fast path, and 8. transfers of firmware,
//!    merged, 6. go to the I/O engine. 7. Everything else goes to firmware. 9. Completion queue entries with their places. 10. Interrupts are
//!    raised, messages come back. 11. Outcomes. 12. The window of the MSI-X table.
//!
//! `docs/architecture.md` follows one command through all of this.
//!
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! One function. The blocks that hold commands are reset between two lives, when nothing is in flight: see `lifecycle`.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::complete::Complete;
use crate::cq_post::CqPost;
use crate::decode::Decode;
use crate::host_port::HostPort;
use crate::io_engine::IoEngine;
use crate::irq::Irq;
use crate::lifecycle::Lifecycle;
use crate::mailbox::Mailbox;
use crate::queues::Queues;
use crate::regs::Regs;
use crate::sq_fetch::SqFetch;
use crate::types::Command;
use crate::Config;
use nvme_spec::regs::cc;
use rtl_bus::{Axi4, AxiLite};
use rtl_hdl::{cat, Block, InstanceHandle, Module};
use rtl_prim::{Lock, Payload, StreamArbiter};

#[cfg(test)]
mod bench;

/// See the [page](self) of this block.
#[derive(Clone, Copy, Debug)]
pub struct Controller {
    config: Config,
}

impl Controller {
    /// The controller of this configuration, which must be legal: see [`Config::check`].
    pub fn new(config: Config) -> Self {
        Controller { config }
    }
}

impl Block for Controller {
    fn name(&self) -> String {
        format!("controller_{}", self.config.suffix())
    }

    fn description(&self) -> String {
        "An NVMe controller.".into()
    }

    fn build(&self, m: &Module) {
        let config = self.config;
        let clock = m.clock();
        let bus_master_enable = m.input("bus_master_enable", 1);
        let msix_enable = m.input("msix_enable", 1);
        let msix_function_mask = m.input("msix_function_mask", 1);
        let function_level_reset = m.input("function_level_reset", 1);

        // Blocks that live as long as the hardware.
        let regs = m.instance("regs", &Regs::new(config));
        let lifecycle = m.instance("lifecycle", &Lifecycle);
        let mailbox = m.instance("mailbox", &Mailbox::new(config));
        let irq = m.instance("irq", &Irq::new(config));
        let host_port = m.instance("host_port", &HostPort);

        // Blocks that are reset between two lives.
        let reset = clock.reset().expect("`Module::clock` has a reset");
        let life = [clock.with_reset(m.wire("life_reset", reset | lifecycle.port("clear")))];
        let of_life = |name: &str, block: &dyn Block| m.instance_with_clocks(name, block, &life);
        let queues = of_life("queues", &Queues::new(config));
        let sq_fetch = of_life("sq_fetch", &SqFetch::new(config));
        let decode = of_life("decode", &Decode::new(config));
        let merge = StreamArbiter { inputs: 2, payload: Payload::of::<Command>("command"), lock: Lock::Item };
        let commands = of_life("commands", &merge);
        let io_engine = of_life("io_engine", &IoEngine::new(config));
        let complete = of_life("complete", &Complete);
        let cq_post = of_life("cq_post", &CqPost);

        let wire = |from: &InstanceHandle, output: &str, to: &InstanceHandle, input: &str| {
            to.port(input).set(from.port(output));
        };
        let wires = |from: &InstanceHandle, to: &InstanceHandle, names: &[&str]| {
            for name in names {
                wire(from, name, to, name);
            }
        };

        // 1, 2, 12. The host's accesses.
        AxiLite::export(m, &regs, "mmio", "mmio");
        m.connect(&regs, "doorbell", &queues, "doorbell");
        wires(&regs, &irq, &["window_write", "window_address", "window_data", "window_strobe", "window_read_address"]);
        wires(&irq, &regs, &["window_read_data"]);
        regs.port("function_reset").set(function_level_reset);

        // 3, 4. From grants to entries.
        m.connect(&queues, "grant", &sq_fetch, "grant");
        m.connect(&sq_fetch, "fetched", &decode, "fetched");
        m.connect(&decode, "consumed", &queues, "consumed");

        // 5, 6, 8. Commands.
        m.connect(&decode, "command", &commands, "in_0");
        m.connect(&mailbox, "transfer", &commands, "in_1");
        m.connect(&commands, "out", &io_engine, "command");

        // 7. What firmware gets.
        m.connect(&decode, "inbox", &mailbox, "inbox");
        m.connect(&io_engine, "failure", &mailbox, "failure");
        wires(&host_port, &mailbox, &["write_error"]);
        // What belongs to a function: there is one.
        let of_function = |from: &InstanceHandle, names: &[&str]| {
            for name in names {
                wire(from, name, &mailbox, &format!("{name}_f0"));
            }
        };
        of_function(&decode, &["host_error"]);
        of_function(&host_port, &["queue_write_error"]);

        // 8. What firmware asks for.
        AxiLite::export(m, &mailbox, "firmware", "firmware");
        m.output("firmware_event", mailbox.port("firmware_event"));
        m.connect(&mailbox, "released", &queues, "released");
        m.connect(&mailbox, "firmware_completion", &queues, "firmware_completion");
        m.connect(&mailbox, "queue_command", &queues, "command");
        wires(&mailbox, &queues, &["select"]);
        wires(&mailbox, &decode, &["namespace_write", "namespace_index", "namespace_row"]);
        wires(&mailbox, &io_engine, &["buffer_write", "buffer_address", "buffer_write_data"]);
        wires(&io_engine, &mailbox, &["buffer_read_data"]);
        let answers =
            ["command_answered", "firmware_answered", "firmware_refused", "firmware_dropped", "firmware_room"];
        wires(&queues, &mailbox, &answers);
        wires(&queues, &mailbox, &["selected_in_flight"]);
        of_function(&queues, &["doorbell_unknown", "doorbell_illegal"]);
        of_function(&regs, &["cc", "aqa", "asq", "acq"]);

        // 9, 10. Completions and interrupts.
        m.connect(&queues, "posted", &cq_post, "posted");
        m.connect(&irq, "message", &cq_post, "message");
        wires(&cq_post, &irq, &["raise", "raise_vector"]);
        irq.port("msix_enable").set(msix_enable);
        irq.port("function_mask").set(msix_function_mask);
        irq.port("function_reset").set(function_level_reset);

        // 11. Outcomes.
        m.connect(&io_engine, "outcome", &complete, "outcome");
        m.connect(&complete, "completion", &queues, "completion");
        wires(&complete, &mailbox, &["transfer_done", "transfer_status", "read_done", "write_done", "blocks_done"]);

        // Host memory.
        host_port.port("bus_master_enable").set(bus_master_enable);
        m.connect(&sq_fetch, "read", &host_port, "fetch_read");
        m.connect(&host_port, "fetch_beat", &sq_fetch, "beat");
        for reader in ["list", "data"] {
            let (read, beat) = (format!("{reader}_read"), format!("{reader}_beat"));
            m.connect(&io_engine, &read, &host_port, &read);
            m.connect(&host_port, &beat, &io_engine, &beat);
        }
        m.connect(&io_engine, "data_write", &host_port, "data_write");
        m.connect(&io_engine, "data_write_beat", &host_port, "data_write_beat");
        m.connect(&cq_post, "write", &host_port, "small_write");
        Axi4::export(m, &host_port, "host", "host");

        // The storage port.
        for stream in ["storage_command", "storage_write", "storage_read", "storage_done"] {
            m.export(&io_engine, stream, stream);
        }

        // Lives.
        lifecycle.port("enable").set(regs.port("cc").bit(cc::EN.lsb));
        lifecycle.port("function_reset").set(function_level_reset);
        let quiet = [&queues, &io_engine, &cq_post, &irq, &host_port].map(|block| block.port("quiet"));
        lifecycle.port("quiet").set(cat(&quiet));
        wire(&mailbox, "acknowledge_f0", &lifecycle, "acknowledge");
        wire(&mailbox, "status_write_f0", &lifecycle, "status_write");
        wires(&mailbox, &lifecycle, &["status_value"]);
        of_function(&lifecycle, &["alive", "clear", "enabling", "disabled", "status"]);
        wires(&lifecycle, &regs, &["status"]);
        wires(&lifecycle, &queues, &["granting"]);
        wires(&lifecycle, &decode, &["draining"]);
        wires(&lifecycle, &irq, &["clear"]);
        wire(&lifecycle, "draining", &cq_post, "dropping");
        wire(&lifecycle, "draining", &irq, "holding");
    }
}
