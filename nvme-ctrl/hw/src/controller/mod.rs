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
//!            (1)        (2)          (3)         (4)          (5)
//!  mmio --> regs -----> queues -----> sq_fetch --> decode --------------> io_engine ==> storage
//!            |  ^        ^  ^ | |                    |                    ^  |
//!            |  |        |  | | +--(9)--+            +--(6)--> mailbox ---+  | (7)
//!            |  |(12)    |  | |         |                       ^ |  ^       |
//!            |  +-- irq -|--|-+---(10)--|-----------------------|-|--|-------+ failure
//!            v      |    |  +-- complete <--------(11)----------|-|--+-------+ outcome
//!     lifecycle_f0, ..   +----- consumed, released, firmware's completions <-+
//!                   |                   |
//!                   +--(10)-----------> host_port ==> host
//! ```
//! 1. Registers and doorbells. 2. Doorbells. 3. Grants of fetches. 4. Entries. 5. Commands of the fast path. 6. Everything else goes to
//!    firmware, which 7. has transfers and completions of its own. 9. Completion queue entries with their places. 10. Interrupts are requested, and
//!    messages sent. 11. Outcomes. 12. The window of the MSI-X tables.
//! 13. `errand`, which is not drawn, stands in the way of the transfers and adds the pieces of what is erased or copied for firmware. 14. `latency`, which is not drawn either, watches how far commands are, and shows the mailbox what it has counted.
//!
//! `docs/architecture.md` follows one command through all of this.
//!
//! ## Timing
//! See the blocks. No combinational path from any input to any output.
//!
//! ## Limits
//! Between two lives of a function nothing of it is in flight: see `lifecycle`.
//!
//! ## Mutation score
#![doc = include_str!("doc/mutation.md")]

use crate::complete::Complete;
use crate::decode::Decode;
use crate::errand::Errand;
use crate::held::get;
use crate::host_port::HostPort;
use crate::io_engine::IoEngine;
use crate::irq::Irq;
use crate::latency::Latency;
use crate::lifecycle::Lifecycle;
use crate::mailbox::Mailbox;
use crate::queues::{QueueOperation, Queues};
use crate::regs::Regs;
use crate::sq_fetch::SqFetch;
use crate::Config;
use nvme_spec::regs::cc;
use rtl_bus::{Axi4, AxiLite};
use rtl_hdl::{cat, Block, HwEnum, InstanceHandle, Module, Signal};

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
        m.clock();
        let functions = config.functions;
        let sideband = |name: &str| m.input(name, functions);
        let bus_master_enable = sideband("bus_master_enable");
        let [msix_enable, msix_function_mask] = ["msix_enable", "msix_function_mask"].map(sideband);
        let function_level_reset = sideband("function_level_reset");

        let regs = m.instance("regs", &Regs::new(config));
        let lifecycles: Vec<InstanceHandle> =
            (0..functions).map(|f| m.instance(&format!("lifecycle_f{f}"), &Lifecycle)).collect();
        let mailbox = m.instance("mailbox", &Mailbox::new(config));
        let irq = m.instance("irq", &Irq::new(config));
        let host_port = m.instance("host_port", &HostPort::new(config));
        let queues = m.instance("queues", &Queues::new(config));
        let sq_fetch = m.instance("sq_fetch", &SqFetch::new(config));
        let decode = m.instance("decode", &Decode::new(config));
        let io_engine = m.instance("io_engine", &IoEngine::new(config));
        let complete = m.instance("complete", &Complete);
        let errand = m.instance("errand", &Errand);
        let latency = m.instance("latency", &Latency::new(config));

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
        let window = ["window_write", "window_function", "window_address", "window_data", "window_strobe"];
        wires(&regs, &irq, &window);
        wires(&regs, &irq, &["window_read_function", "window_read_address"]);
        wires(&irq, &regs, &["window_read_data"]);
        regs.port("function_reset").set(function_level_reset);
        wires(&regs, &mailbox, &["subsystem_reset"]);
        let function_reset =
            m.wire("function_reset", function_level_reset | regs.port("subsystem_reset").repeat(functions));

        // 3, 4. From grants to entries.
        m.connect(&queues, "grant", &sq_fetch, "grant");
        m.connect(&sq_fetch, "fetched", &decode, "fetched");
        m.connect(&decode, "consumed", &queues, "consumed");

        // 5, 7, 13. Commands, and the transfers and errands of firmware.
        m.connect(&decode, "command", &io_engine, "command");
        m.connect(&mailbox, "transfer", &errand, "transfer");
        m.connect(&errand, "own", &io_engine, "transfer");
        for port in ["erase", "copy", "sector", "sectors", "source"] {
            wire(&mailbox, &format!("errand_{port}"), &errand, port);
        }
        wire(&errand, "busy", &mailbox, "errand_busy");
        wire(&errand, "failure", &mailbox, "errand_failure");
        wire(&complete, "errand_done", &errand, "done");
        wire(&complete, "transfer_status", &errand, "status");

        // 6. What firmware gets.
        m.connect(&decode, "inbox", &mailbox, "inbox");
        m.connect(&io_engine, "failure", &mailbox, "failure");
        wires(&host_port, &mailbox, &["write_error"]);

        // 7. What firmware asks for.
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

        // 9, 10. Completions and interrupts.
        m.connect(&queues, "posted", &host_port, "posted");
        m.connect(&irq, "message", &host_port, "message");
        wires(&queues, &irq, &["raise", "raise_function", "raise_vector"]);
        irq.port("msix_enable").set(msix_enable);
        irq.port("function_mask").set(msix_function_mask);
        irq.port("function_reset").set(function_reset);

        // 11. Outcomes.
        m.connect(&io_engine, "outcome", &complete, "outcome");
        m.connect(&complete, "completion", &queues, "completion");
        wires(&complete, &mailbox, &["transfer_done", "transfer_status"]);
        wires(&complete, &mailbox, &["read_done", "verify_done", "write_done", "sectors_done"]);

        // 14. Latencies.
        let taken = |from: &InstanceHandle, to: &InstanceHandle, stream: &str| {
            from.port(&format!("{stream}_valid")) & to.port(&format!("{stream}_ready"))
        };
        latency.port("granted").set(taken(&queues, &sq_fetch, "grant"));
        latency.port("granted_count").set(queues.port("grant_count"));
        latency.port("entry_valid").set(sq_fetch.port("fetched_valid"));
        latency.port("entry_taken").set(taken(&sq_fetch, &decode, "fetched"));
        latency.port("command_taken").set(taken(&decode, &io_engine, "command"));
        wires(&io_engine, &latency, &["walked", "walked_slot", "walked_operation"]);
        wires(&io_engine, &latency, &["begun", "begun_slot", "answered", "answered_slot"]);
        wires(&io_engine, &latency, &["finished", "finished_slot", "reported", "reported_slot"]);
        latency.port("completed").set(taken(&complete, &queues, "completion"));
        latency.port("completed_sqid").set(complete.port("completion_sqid"));
        let creates = mailbox.port("queue_command_operation").eq(QueueOperation::CreateSubmission.code());
        let changes = mailbox.port("queue_command_valid") & queues.port("command_ready");
        latency.port("created").set(changes & creates);
        latency.port("created_sqid").set(mailbox.port("queue_command_queue"));
        wires(&mailbox, &latency, &["window_read", "window_sqid", "window_index"]);
        wires(&latency, &mailbox, &["window_ready", "window_data"]);
        wire(&latency, "busy", &mailbox, "clearing");

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
        Axi4::export(m, &host_port, "host", "host");

        // The storage port.
        for stream in ["storage_command", "storage_write", "storage_read", "storage_done"] {
            m.export(&io_engine, stream, stream);
        }

        // What belongs to one function: a bit of wires of all, or wires of its own.
        let of_all = |name: &str| cat(&lifecycles.iter().rev().map(|life| life.port(name)).collect::<Vec<_>>());
        let draining = m.wire("draining", of_all("draining"));
        let clear = m.wire("clear", of_all("clear"));
        for (number, life) in (0..).zip(&lifecycles) {
            let of_function = |name: &str| format!("{name}_f{number}");
            life.port("enable").set(regs.port(&of_function("cc")).bit(cc::EN.lsb));
            life.port("function_reset").set(function_reset.bit(number));
            let quiet = [&queues, &irq, &host_port, &mailbox].map(|block| block.port("quiet").bit(number));
            life.port("quiet").set(cat(&quiet));
            wire(life, "status", &regs, &of_function("status"));
            for name in ["acknowledge", "status_write"] {
                wire(&mailbox, &of_function(name), life, name);
            }
            wires(&mailbox, life, &["status_value"]);
            for name in ["alive", "clear", "enabling", "disabled", "status"] {
                wire(life, name, &mailbox, &of_function(name));
            }
            for register in ["cc", "aqa", "asq", "acq"] {
                wire(&regs, &of_function(register), &mailbox, &of_function(register));
            }
            let bits = [
                (&decode, "host_error"),
                (&host_port, "queue_write_error"),
                (&queues, "doorbell_unknown"),
                (&queues, "doorbell_illegal"),
            ];
            for (block, name) in bits {
                mailbox.port(&of_function(name)).set(block.port(name).bit(number));
            }
            wire(&mailbox, &of_function("arbitration"), &queues, &of_function("arbitration"));
            for name in ["coalescing", "exempt_write", "exempt_vector", "exempt_value"] {
                wire(&mailbox, &of_function(name), &irq, &of_function(name));
            }
        }
        let clears: Vec<Signal> = (0..functions).rev().map(|f| mailbox.port(&format!("clear_nssro_f{f}"))).collect();
        regs.port("clear_nssro").set(cat(&clears));
        let selects_weights = |number: u32| get(regs.port(&format!("cc_f{number}")), &cc::AMS).any();
        let weighted: Vec<Signal> = (0..functions).rev().map(selects_weights).collect();
        queues.port("weighted").set(cat(&weighted));
        queues.port("granting").set(of_all("granting"));
        queues.port("clear").set(clear);
        irq.port("clear").set(clear);
        irq.port("holding").set(draining);
        decode.port("draining").set(draining);
        decode.port("running").set(queues.port("running"));
        queues.port("half_fetched").set(decode.port("half_fetched"));
        host_port.port("dropping").set(draining);
    }
}
