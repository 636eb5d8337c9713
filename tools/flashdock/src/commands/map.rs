//! `map`: where things are, from `soc-map` and `nvme-spec`.

use crate::failure::Result;
use crate::output::{self, Align, Paint, Table};
use nvme_spec::reg::{Reg, Window};
use nvme_spec::{firmware_port, limits, regs};
use serde::Serialize;
use std::ops::Range;

/// Print the address maps: the device's bus, BAR0, the firmware port
#[derive(clap::Args)]
pub struct Args {
    /// Only this map
    #[arg(value_enum)]
    only: Option<Which>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// The bus inside the device
    Soc,
    /// What the host sees
    Bar0,
    /// What the controller's firmware sees
    Firmware,
}

/// One address space.
#[derive(Serialize)]
struct Map {
    name: &'static str,
    about: String,
    entries: Vec<Entry>,
}

/// A half-open range of addresses.
#[derive(Serialize)]
struct Entry {
    start: u64,
    end: u64,
    name: String,
    about: String,
}

impl Entry {
    fn new(range: Range<u64>, name: impl Into<String>, about: impl Into<String>) -> Self {
        Self { start: range.start, end: range.end, name: name.into(), about: about.into() }
    }

    fn of_offsets(range: &Range<u32>, name: impl Into<String>, about: impl Into<String>) -> Self {
        Self::new(range.start.into()..range.end.into(), name, about)
    }

    fn of_reg(reg: &Reg) -> Self {
        Self::of_offsets(&(reg.offset..reg.end()), reg.name, reg.doc)
    }

    fn of_window(window: &Window) -> Self {
        Self::of_offsets(&(window.offset..window.end()), window.name, window.doc)
    }
}

/// Prints the maps.
pub fn run(args: &Args) -> Result {
    let all = [(Which::Soc, soc()), (Which::Bar0, bar0()), (Which::Firmware, firmware())];
    let wanted = |which| args.only.is_none_or(|only| only == which);
    let maps: Vec<Map> = all.into_iter().filter(|(which, _)| wanted(*which)).map(|(_, map)| map).collect();
    if args.json {
        return output::print_json(&maps);
    }
    let text: Vec<String> = maps.iter().map(Map::text).collect();
    output::print(&text.join("\n"))
}

impl Map {
    fn text(&self) -> String {
        let digits = self.entries.iter().map(|entry| format!("{:x}", entry.end).len()).max().unwrap_or(0).max(4);
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left, Align::Left]);
        for entry in &self.entries {
            let range = format!("0x{:0digits$x}..0x{:0digits$x}", entry.start, entry.end);
            let size = output::bytes_text(entry.end - entry.start);
            table.row([range, size, entry.name.clone(), entry.about.clone()]);
        }
        format!("{}: {}\n{}", Paint::stdout().strong(self.name), self.about, table.text(2))
    }
}

fn soc() -> Map {
    let entries = soc_map::REGIONS.iter().map(|region| Entry::new(region.range(), region.name, region.doc));
    let about = format!("the bus inside the device; the controller's interrupt is line {}", soc_map::NVME_INTERRUPT);
    Map { name: "soc", about, entries: entries.collect() }
}

fn bar0() -> Map {
    let mut entries = vec![Entry::of_offsets(&regs::REGISTERS, "registers", "Controller registers.")];
    entries.extend(regs::REGS.iter().map(Entry::of_reg));
    let pairs = limits::IO_QUEUES_DEFAULT;
    let about = format!("Doorbells; those of the default {pairs} I/O queue pairs are listed.");
    entries.push(Entry::of_offsets(&regs::DOORBELLS, "doorbells", about));
    let doorbell = |offset: u32, name: String, about: &str| {
        Entry::of_offsets(&(offset..offset + regs::DOORBELL_BYTES), name, about)
    };
    for queue in 0..=pairs {
        entries.push(doorbell(regs::sq_tail_doorbell(queue), format!("SQ{queue}TDBL"), "Submission queue tail."));
        entries.push(doorbell(regs::cq_head_doorbell(queue), format!("CQ{queue}HDBL"), "Completion queue head."));
    }
    let about = format!("MSI-X table, {} bytes for each vector.", regs::MSIX_ENTRY_BYTES);
    entries.push(Entry::of_offsets(&regs::MSIX_TABLE, "msix-table", about));
    entries.push(Entry::of_offsets(&regs::MSIX_PBA, "msix-pending", "MSI-X pending bits."));
    Map { name: "bar0", about: "what the host sees, offsets in BAR0".to_owned(), entries }
}

fn firmware() -> Map {
    let mut entries: Vec<Entry> = firmware_port::REGS.iter().map(Entry::of_reg).collect();
    entries.extend(firmware_port::WINDOWS.iter().map(Entry::of_window));
    entries.sort_by_key(|entry| entry.start);
    let base = soc_map::NVME_FIRMWARE_PORT.base;
    let about = format!("what the controller's firmware sees, offsets from {base:#x}");
    Map { name: "firmware", about, entries }
}
