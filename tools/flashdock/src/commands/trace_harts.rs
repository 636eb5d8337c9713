//! `trace --harts`: what the device's processors have done, and where firmware has stopped.

use crate::backend::{verilated, Kind, Processor, Settings};
use crate::failure::{Failure, Result};
use crate::output::{self, Align, Paint, Table};
use sim_cosim::Verilated;
use sim_firmware::{Image, Place};
use soc_firmware::record::Record;
use soc_firmware::trace::{Event, Ring};
use soc_map::privileged::cause;
use soc_map::roles::Role;
use soc_map::{FIRMWARE, HARTS_MAX};
use std::path::PathBuf;
use std::sync::Arc;

/// What belongs to `--harts`.
#[derive(clap::Args)]
#[group(id = "trace_harts")]
pub struct Args {
    /// Print what the device's processors have done, instead of a waveform: their events and, where firmware has stopped, who had called whom
    #[arg(long)]
    pub harts: bool,
    /// What firmware runs on, with `--harts`
    #[arg(long, value_name = "PROCESSOR", value_enum, default_value_t = Processor::Iss, requires = "harts", conflicts_with = "out")]
    firmware: Processor,
    /// A program for a hart that runs containers, with `--harts`: machine code that works at any address
    #[arg(long = "program", value_name = "HART=FILE", value_parser = program, requires = "harts", conflicts_with = "out")]
    programs: Vec<(u32, PathBuf)>,
}

fn program(argument: &str) -> std::result::Result<(u32, PathBuf), String> {
    let (hart, file) = argument.split_once('=').ok_or("write the number of the hart, `=`, and the file")?;
    let hart = hart.parse().map_err(|_| format!("`{hart}` is no number of a hart"))?;
    Ok((hart, file.into()))
}

/// Runs a workload and prints what the harts did; also, and first, if the workload failed.
pub fn run(args: &Args, seed: u64, work: impl FnOnce(&mut Verilated) -> Result) -> Result {
    let mut settings = Settings::new(Kind::Verilated, seed);
    let Some(mut cores) = args.firmware.cores(HARTS_MAX)? else {
        return Err(Failure::new("firmware on this machine has no harts", "give `--firmware iss` or `--firmware rtl`"));
    };
    let mut image = Image::clone(&cores.image);
    for (hart, file) in &args.programs {
        let code = std::fs::read(file).map_err(|error| {
            Failure::new(
                format!("cannot read {}: {}", file.display(), output::reason(&error)),
                "name a file that is there",
            )
        })?;
        let with_program = image.with_program(*hart, &code);
        image = with_program.map_err(|error| Failure::new(error, "give less code, or another hart"))?;
    }
    cores.image = Arc::new(image);
    let image = cores.image.clone();
    settings.cores = Some(cores);
    let mut device = verilated(&settings, false)?;
    let worked = work(&mut device);
    output::print(&text(&mut device, &image))?;
    worked
}

fn text(device: &mut Verilated, image: &Image) -> String {
    let mut table = Table::with_heading(&[
        ("hart", Align::Right),
        ("role", Align::Left),
        ("clock", Align::Right),
        ("event", Align::Left),
        ("", Align::Left),
    ]);
    let mut lost = String::new();
    for hart in 0..HARTS_MAX {
        let ring = device.firmware_trace(hart);
        for event in ring.iter().flat_map(Ring::events) {
            let (name, values) = described(event);
            let clock = output::thousands(event.clock.get());
            table.row([hart.to_string(), Role::of(hart).name().to_owned(), clock, name, values]);
        }
        let gone = ring.map_or(0, |ring| ring.lost());
        if gone > 0 {
            lost += &format!("  hart {hart}: {} before these\n", output::count_text(gone, "event"));
        }
    }
    let title = Paint::stdout().strong("What the harts have done");
    let mut text = format!("{title}, by the cycles of each\n{}{lost}", table.text(2));
    for hart in 0..HARTS_MAX {
        if let Some(record) = device.firmware_record_of(hart) {
            text += &stopped(device, image, hart, &record);
        }
    }
    text
}

/// The name of an event, and its values with theirs.
fn described(event: &Event) -> (String, String) {
    let Some(kind) = event.kind() else {
        return (format!("unknown ({})", event.kind.get()), format!("{:#x?}", event.values()));
    };
    let value = |(name, value): (&&str, u64)| match *name {
        "" => None,
        "cause" => Some(format!("{} ({value})", cause::name(value))),
        name if name.ends_with("bytes") || name == "status" => Some(format!("{name} {value}")),
        name => Some(format!("{name} {value:#x}")),
    };
    let values: Vec<_> = kind.values.iter().zip(event.values()).filter_map(value).collect();
    (kind.name.to_owned(), values.join(", "))
}

/// Why a hart has stopped, and where.
fn stopped(device: &mut Verilated, image: &Image, hart: u32, record: &Record) -> String {
    let title = Paint::stdout().bad(format!("Hart {hart} has stopped"));
    let mut text = format!("\n{title}: {}\n", record.said().unwrap_or_default());
    let read = |address: u64| {
        let is_inside = FIRMWARE.contains(address) && FIRMWARE.end() - address >= 8;
        let bytes = is_inside.then(|| device.read_firmware_memory(address, 8)).flatten()?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    for place in image.back_trace(record.pc.get(), &record.registers.map(u64::from), read) {
        let Place { address, function, offset } = place;
        text += &format!("  {address:#x}  {function} + {offset:#x}\n");
    }
    text
}
