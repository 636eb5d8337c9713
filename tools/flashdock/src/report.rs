//! Parts of reports that several commands have.

use crate::backend::{Kind, Processor};
use crate::output::{self, Align, Paint, Table};
use crate::stats::Summary;
use crate::storage::Flash;
use nvme_spec::limits::CORE_HZ;
use serde::Serialize;
use sim_host::Identity;

/// The device as it identified itself.
#[derive(Serialize)]
pub struct DeviceReport {
    back_end: &'static str,
    /// Where the blocks lie, if not in the memory of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    flash: Option<String>,
    model: String,
    serial: String,
    firmware: String,
    version: String,
    namespace_bytes: u64,
    lba_bytes: u32,
    blocks: u64,
    transfer_bytes_max: u64,
    io_queues: u16,
    io_queue_entries: u16,
}

impl DeviceReport {
    /// What `identity` says, and the queues that were created.
    pub fn new(kind: Kind, identity: &Identity, io_queues: u16, io_queue_entries: u16) -> Self {
        let controller = &identity.controller;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned();
        let version = controller.ver.get();
        Self {
            back_end: kind.description(),
            flash: None,
            model: text(&controller.mn),
            serial: text(&controller.sn),
            firmware: text(&controller.fr),
            version: format!("{}.{}.{}", version >> 16, version >> 8 & 0xFF, version & 0xFF),
            namespace_bytes: identity.blocks * u64::from(identity.lba_bytes),
            lba_bytes: identity.lba_bytes,
            blocks: identity.blocks,
            transfer_bytes_max: identity.transfer_bytes_max(),
            io_queues,
            io_queue_entries,
        }
    }

    /// The same for a device whose blocks lie in this flash.
    #[must_use]
    pub fn with_flash(self, flash: Option<&Flash>) -> Self {
        Self { flash: flash.map(Flash::text), ..self }
    }

    /// The same for a device whose firmware runs there.
    #[must_use]
    pub fn with_processor(self, processor: Processor, kind: Kind) -> Self {
        Self { back_end: processor.description(kind), ..self }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&[Align::Left, Align::Left]);
        let blocks = output::thousands(self.blocks);
        let capacity = format!("{}: {blocks} blocks of {} B", output::bytes_text(self.namespace_bytes), self.lba_bytes);
        let queues = format!("{} I/O queue pairs of {} entries", self.io_queues, self.io_queue_entries);
        table.row(["made of", self.back_end]);
        if let Some(flash) = &self.flash {
            table.row(["blocks lie in", flash]);
        }
        table.row(["model", &self.model]);
        table.row(["serial number", &self.serial]);
        table.row(["firmware", &self.firmware]);
        table.row(["NVMe version", &self.version]);
        table.row(["capacity", &capacity]);
        table.row(["queues", &queues]);
        table.row(["largest command", &output::bytes_text(self.transfer_bytes_max)]);
        format!("{}\n{}", Paint::stdout().strong("Device"), table.text(2))
    }
}

impl Summary {
    /// Everything, for people.
    pub fn text(&self, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let megahertz = CORE_HZ / 1_000_000;
        let mut text = format!(
            "{pad}{}, {} in {}: {:.1} cycles per command, {:.2} GB/s at {megahertz} MHz\n",
            output::count_text(self.commands, "command"),
            output::bytes_text(self.bytes),
            output::count_text(self.clocks, "clock"),
            self.cycles_per_command,
            self.gigabytes_per_second,
        );
        let latency = &self.latency;
        let mut table = Table::with_heading(&[
            ("latency", Align::Left),
            ("p50", Align::Right),
            ("p90", Align::Right),
            ("p99", Align::Right),
            ("max", Align::Right),
        ]);
        let cycles = [latency.p50_cycles, latency.p90_cycles, latency.p99_cycles, latency.max_cycles];
        let ns = [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.max_ns];
        table.row([vec!["cycles".to_owned()], cycles.map(output::thousands).to_vec()].concat());
        table.row([vec!["ns".to_owned()], ns.map(|ns| output::thousands(ns.round() as u64)).to_vec()].concat());
        text += &table.text(indent);
        text + &self.histogram_text(indent)
    }
}
